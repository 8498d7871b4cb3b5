"""Random reads of tensors and conditions on indices and data, over the indices of a scope.

Every read is inside its tensor, under the conditions around it, in a way that the language's page says is provable.
"""

import re
from collections.abc import Callable
from dataclasses import replace

from .terms import (
    AND,
    ATOM,
    COMPARISON,
    NOT,
    OR,
    PRODUCT,
    SUM,
    Choices,
    Idx,
    Known,
    Scope,
    Size,
    Term,
    Value,
    index_value,
)
from .world import Array, Points


def subscripts(tensor: Known, scope: Scope, plain: bool = False) -> list[Term]:
    """A place in a tensor for each of its axes, inside it."""
    found = []
    for size in tensor.sizes:
        options = _bare(size, scope)
        if not plain or not options:
            options = options * 6 + _affine(size, scope) + ([] if plain else _gathers(size, scope) * 2)
        found.append(scope.choices.pick(options)())
    return found


def _bare(size: Size, scope: Scope) -> list[Callable[[], Term]]:
    def made(idx: Idx) -> Callable[[], Term]:
        def make() -> Term:
            scope.uses.bare.append((idx, size, scope.sure))
            return index_value(idx)

        return make

    # an index that has a dim's name runs over all of the dim, wherever it stands bare
    named = [idx for idx in scope.indices if idx.name == idx.size.text and idx.size.same(size)]
    return [made(idx) for idx in scope.indices if idx in named or (idx.name != idx.size.text and idx.size.within(size))]


def _plain(text: str, level: int, at: Value) -> Callable[[], Term]:
    return lambda: Term(text, level, at)


def _affine(size: Size, scope: Scope) -> list[Callable[[], Term]]:
    """Arithmetic that stays inside."""
    last = size.value - 1
    end = size.text if " " not in size.text else f"({size.text})"
    options = [_plain("0", ATOM, lambda points: 0)]
    if set(re.findall(r"\w+", end)) & {idx.name for idx in scope.indices}:
        return options  # an index has the name of the dim
    if size.static and size.value > 1:
        options.append(_plain(f"{end} - 1", SUM, lambda points: last))
    for idx in scope.indices:
        options += _affine_of(idx, size, end)
    pairs = [(a, b) for a in scope.indices for b in scope.indices if a != b and a.size.static and b.size.static]
    for a, b in pairs if size.static else ():
        width = b.size.value
        if (a.size.value - 1) * width + b.size.value - 1 <= last:
            options.append(_pair(a, b, width))
        if a.size.value + b.size.value - 2 <= last:
            options.append(_pair(a, b, 1))
    return options


def _pair(a: Idx, b: Idx, width: int) -> Callable[[], Term]:
    text = f"{a.name} * {width} + {b.name}" if width > 1 else f"{a.name} + {b.name}"
    return _plain(text, SUM, lambda points: points.indices[a.name] * width + points.indices[b.name])


def _affine_of(idx: Idx, size: Size, end: str) -> list[Callable[[], Term]]:
    name, last = idx.name, size.value - 1
    options: list[Callable[[], Term]] = []
    if idx.size.within(size):
        options.append(_plain(f"{end} - 1 - {name}", SUM, lambda points: last - points.indices[name]))
    if size.static:
        options.append(_plain(f"{name} % {end}", PRODUCT, lambda points: points.indices[name] % size.value))
    if size.static and idx.size.static:
        most = idx.size.value - 1
        for shift in range(1, size.value - most):
            options.append(_shifted(name, shift))
        if 0 < 2 * most <= last:
            options.append(_plain(f"2*{name}", PRODUCT, lambda points: 2 * points.indices[name]))
        if most // 2 <= last:
            options.append(_plain(f"{name} // 2", PRODUCT, lambda points: points.indices[name] // 2))
    return options


def _shifted(name: str, shift: int) -> Callable[[], Term]:
    return _plain(f"{name} + {shift}", SUM, lambda points: points.indices[name] + shift)


def _gathers(size: Size, scope: Scope) -> list[Callable[[], Term]]:
    """Whole-number tensors whose values are places in an axis."""
    options = []
    for tensor in scope.known:
        fits = tensor.kind == "whole" and tensor.below is not None and tensor.below.within(size)
        if fits and all(_bare(axis, scope) for axis in tensor.sizes):
            options.append(_gather(tensor, scope))
    return options


def _gather(tensor: Known, scope: Scope) -> Callable[[], Term]:
    return lambda: read(tensor, scope, plain=True)


# ---------------------------------------------------------------- reads


def read(tensor: Known, scope: Scope, plain: bool = False) -> Term:
    """`x[i, 2*j]`."""
    scope.uses.tensors[tensor.name] = tensor
    places = subscripts(tensor, scope, plain)
    empty = "[]" if scope.choices.chance(20) else ""
    text = f"{tensor.name}[{', '.join(place.text for place in places)}]" if places else f"{tensor.name}{empty}"
    return Term(text, ATOM, lambda points: points.read(tensor.name, [place.at(points) for place in places]))


def guarded_read(tensor: Known, scope: Scope) -> Term:
    """`x?[i - 1, j + 2]`, 0 outside."""
    scope.uses.tensors[tensor.name] = tensor
    quiet = replace(scope, sure=False)
    places = []
    for size in tensor.sizes:
        if scope.indices and scope.choices.chance(70):
            places.append(_anywhere(scope.choices.pick(scope.indices), scope))
        else:
            places.append(scope.choices.pick(_bare(size, quiet) or _affine(size, quiet))())

    def at(points: Points) -> Array:
        values = [place.at(points) for place in places]
        return points.xp.where(points.inside(tensor.name, values), points.read(tensor.name, values), 0.0)

    return Term(f"{tensor.name}?[{', '.join(place.text for place in places)}]", ATOM, at)


def _anywhere(idx: Idx, scope: Scope) -> Term:
    """An index moved or stretched, anywhere."""
    factor, shift = scope.choices.pick([1, 1, 2, -1]), scope.choices.pick([-1, 1, -2, 2])
    name = idx.name
    start = {1: name, 2: f"2*{name}", -1: f"-{name}"}[factor]
    text = f"{start} {'-' if shift < 0 else '+'} {abs(shift)}"
    if factor == -1:
        text = f"{abs(shift)} - {name}"
        shift = abs(shift)
    return Term(text, SUM, lambda points: factor * points.indices[name] + shift)


# ---------------------------------------------------------------- conditions


def index_condition(scope: Scope) -> Term:
    """A comparison of indices."""
    choices = scope.choices
    a = choices.pick(scope.indices)
    others = [idx for idx in scope.indices if idx != a]
    sign, compare = choices.pick(list(COMPARISONS.items()))
    if others and choices.chance(60):
        b = choices.pick(others)
        shift = choices.pick([0, 0, 1])
        text = f"{a.name} {sign} {b.name}" + (f" + {shift}" if shift else "")
        return Term(text, COMPARISON, lambda points: compare(points.indices[a.name], points.indices[b.name] + shift))
    if choices.chance(20):
        text = f"{a.name} % 2 == {choices.integer(0, 1)}"
        rest = int(text[-1])
        return Term(text, COMPARISON, lambda points: points.indices[a.name] % 2 == rest)
    limit = choices.integer(0, 2)
    return Term(f"{a.name} {sign} {limit}", COMPARISON, lambda points: compare(points.indices[a.name], limit))


COMPARISONS: dict[str, Callable[[Array, Array], Array]] = {
    "<=": lambda a, b: a <= b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}


def data_condition(left: Term, right: Term, choices: Choices) -> Term:
    """A comparison of real numbers, which are not equal."""
    sign = choices.pick(["<", ">", "<=", ">="])

    def at(points: Points) -> Array:
        a, b = left.at(points), right.at(points)
        points.world.kink(lambda: a - b)
        return COMPARISONS[sign](a, b)

    return Term(f"{left.inside(SUM)} {sign} {right.inside(SUM)}", COMPARISON, at)


def combined(a: Term, b: Term, choices: Choices) -> Term:
    """Conditions joined."""
    match choices.integer(0, 3):
        case 0:
            return a
        case 1:
            text = f"{a.inside(NOT)} and {b.inside(NOT)}"
            return Term(text, AND, lambda points: points.xp.logical_and(a.at(points), b.at(points)))
        case 2:
            text = f"{a.inside(AND)} or {b.inside(AND)}"
            return Term(text, OR, lambda points: points.xp.logical_or(a.at(points), b.at(points)))
    return Term(f"not {a.inside(ATOM)}", NOT, lambda points: points.xp.logical_not(a.at(points)))
