"""Random expressions of any kind over indices: functions, conditions, reductions, gathers, guarded reads."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .functions import TANH, call_of_two, function_of, plain
from .reads import COMPARISONS, combined, data_condition, guarded_read, index_condition, read, subscripts
from .terms import (
    ATOM,
    COMPARISON,
    SUM,
    Choices,
    Idx,
    Known,
    Scope,
    Size,
    Term,
    binary,
    choice,
    index_value,
    joined,
    negative,
    number,
)

NUMBERS = (number(2), number(0.5), number(3), number(0.25), number(-1), number(1.5, "3/2"), number(0.1))


def expression(scope: Scope, depth: int) -> Term:
    """An expression at the places of the scope's indices."""
    choices = scope.choices
    options: list[tuple[int, Callable[[Scope, int], Term]]] = [(6, _read)]
    if depth > 0:
        options += [(3, _function), (3, _sum), (3, _product), (1, _two), (1, _data_choice)]
        options += [(2, _reduction)] if scope.room > 1 else []
        options += [(1, _index_choice), (1, _shifted_choice), (1, _guarded)] if scope.indices else []
    options += [(1, lambda scope, depth: choices.pick(NUMBERS))]
    options += [(1, lambda scope, depth: index_value(choices.pick(scope.indices)))] if scope.indices else []
    return choices.weighted(options)(scope, depth)


def _read(scope: Scope, depth: int) -> Term:
    """Of the tensors, one that shares indices with the equation rather than another."""
    real = [tensor for tensor in scope.known if tensor.kind != "bool"]
    fitting = [t for t in real if t.rank and all(any(i.size.same(s) for i in scope.indices) for s in t.sizes)]
    return read(scope.choices.pick(fitting if fitting and scope.choices.chance(80) else real), scope)


def _function(scope: Scope, depth: int) -> Term:
    return function_of(expression(scope, depth - 1), scope.choices)


def _sum(scope: Scope, depth: int) -> Term:
    sign = scope.choices.pick("+-")
    return binary(expression(scope, depth - 1), sign, expression(scope, depth - 1))


def _product(scope: Scope, depth: int) -> Term:
    return binary(expression(scope, depth - 1), "*", expression(scope, depth - 1))


def _two(scope: Scope, depth: int) -> Term:
    return call_of_two(expression(scope, depth - 1), expression(scope, depth - 1), scope.choices)


def _data_choice(scope: Scope, depth: int) -> Term:
    flags = [t for t in scope.known if t.kind == "bool" and all(_has(scope, size) for size in t.sizes)]
    numbers = [t for t in scope.known if t.kind == "whole" and all(_has(scope, size) for size in t.sizes)]
    if flags and scope.choices.chance(50):
        condition = read(scope.choices.pick(flags), scope, plain=True)
    elif numbers and scope.choices.chance(50):
        condition = _of_whole_numbers(scope, numbers)
    else:
        condition = data_condition(_read(scope, 0), expression(scope, depth - 1), scope.choices)
    return choice(condition, expression(scope, depth - 1), expression(scope, depth - 1))


def _of_whole_numbers(scope: Scope, numbers: Sequence[Known]) -> Term:
    """`ids[i] == j`, `labels[i] <= ids[i]`."""
    left = read(scope.choices.pick(numbers), scope, plain=True)
    others = [number(1), number(0), *(index_value(idx) for idx in scope.indices)]
    right = scope.choices.pick(others)
    if scope.choices.chance(40):
        right = read(scope.choices.pick(numbers), scope, plain=True)
    sign, compare = scope.choices.pick(list(COMPARISONS.items()))
    return Term(
        f"{left.text} {sign} {right.text}", COMPARISON, lambda points: compare(left.at(points), right.at(points))
    )


def _has(scope: Scope, size: Size) -> bool:
    return any(idx.size.within(size) for idx in scope.indices)


def _index_choice(scope: Scope, depth: int) -> Term:
    condition = index_condition(scope)
    if scope.choices.chance(30):
        condition = combined(condition, index_condition(scope), scope.choices)
    otherwise = number(0) if scope.choices.chance(50) else expression(scope, depth - 1)
    return choice(condition, expression(scope, depth - 1), otherwise)


def _shifted_choice(scope: Scope, depth: int) -> Term:
    """`if i > 0 then x[i - 1, j] else y[j]`: a read that a condition keeps inside."""
    choices = scope.choices
    fitting = [
        (tensor, at, idx)
        for tensor in scope.known
        if tensor.kind == "real"
        for at, size in enumerate(tensor.sizes)
        for idx in scope.indices
        if idx.size.within(size)
    ]
    if not fitting:
        return _read(scope, depth)
    tensor, axis, idx = choices.pick(fitting)
    scope.uses.tensors[tensor.name] = tensor
    size: Size = tensor.sizes[axis]
    forms = [
        (f"{idx.name} > 0", f"{idx.name} - 1", lambda v: v > 0, lambda v: v - 1),
        (f"{idx.name} + 1 < {size.text}", f"{idx.name} + 1", lambda v: v + 1 < size.value, lambda v: v + 1),
        (f"1 <= {idx.name} < {size.text}", f"{size.text} - {idx.name}", lambda v: v >= 1, lambda v: size.value - v),
    ]
    asked, place, holds, moved = choices.pick(forms)
    others = replace(tensor, sizes=(*tensor.sizes[:axis], *tensor.sizes[axis + 1 :]))
    places = subscripts(others, scope, plain=True)
    places.insert(axis, Term(place, SUM, lambda points: moved(points.indices[idx.name])))
    text = f"{tensor.name}[{', '.join(term.text for term in places)}]"
    inner = Term(text, ATOM, lambda points: points.read(tensor.name, [term.at(points) for term in places]))
    condition = Term(asked, ATOM, lambda points: holds(points.indices[idx.name]))
    return choice(condition, inner, expression(scope, depth - 1))


def _guarded(scope: Scope, depth: int) -> Term:
    fitting = [tensor for tensor in scope.known if tensor.rank and tensor.kind == "real"]
    return guarded_read(scope.choices.pick(fitting), scope) if fitting else _read(scope, depth)


# ---------------------------------------------------------------- reductions

REDUCERS = ("sum", "mean", "max", "min", "prod", "logsumexp")


@dataclass(frozen=True)
class Header:
    """What a reduction runs over."""

    indices: tuple[Idx, ...]

    @property
    def extents(self) -> dict[str, int]:
        return {idx.name: idx.size.value for idx in self.indices}

    def text(self, uses: Any, choices: Choices) -> str:
        """`k, l: 3`: an extent is stated where the reads do not tell it, and sometimes where they do."""
        return ", ".join(stated(idx, uses, choices) for idx in self.indices)


def stated(idx: Idx, uses: Any, choices: Choices) -> str:
    """An index, with its extent where that must be said."""
    if idx.name == idx.size.text or (uses.tells(idx) and not choices.chance(15)):
        return idx.name
    return f"{idx.name}: {idx.size.text}"


def _reduction(scope: Scope, depth: int) -> Term:
    choices = scope.choices
    sizes = [size for tensor in scope.known for size in tensor.sizes if size.value <= scope.room]
    header: tuple[Idx, ...] = ()
    room = scope.room
    for _ in range(choices.pick([1, 1, 2])):
        fitting = [size for size in sizes if size.value <= room]
        if fitting:
            size = choices.pick(fitting)
            header = (*header, Idx(scope.fresh_index([idx.name for idx in header]), size))
            room //= size.value
    if not header:
        return _read(scope, depth)
    inner = scope.with_indices(header)
    reducer = choices.pick(REDUCERS)
    body = expression(inner, depth - 1)
    if reducer in ("max", "min", "prod", "logsumexp"):
        # equal bodies would be a tie, and large ones overflow
        spread = joined("+", [index_value(idx) for idx in header])
        body = TANH(binary(body, "+", binary(spread, "*", number(0.3)))) if choices.chance(70) else body
        body = negative(body) if choices.chance(30) else body
    return reduction(reducer, Header(header), body, scope)


def reduction(reducer: str, header: Header, body: Term, scope: Scope) -> Term:
    """`sum[k](…)`."""
    text = f"{reducer}[{header.text(scope.uses, scope.choices)}]({body.text})"
    return Term(text, ATOM, lambda points: points.reduce(reducer, header.extents, body.at))


def total(terms: Sequence[Term]) -> Term:
    """Their sum."""
    return joined("+", terms)


def with_cosines(term: Term, indices: Sequence[Idx]) -> Term:
    """The term times cos(1 + i + 2*j …): weights that no symmetry hides behind."""
    parts = [number(1)]
    for at, idx in enumerate(indices):
        parts.append(index_value(idx) if at == 0 else binary(number(at + 1), "*", index_value(idx)))
    return binary(term, "*", plain("cos")(total(parts)))
