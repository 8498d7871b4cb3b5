"""Random expressions of any kind: functions of numbers in safe ranges, conditions, reductions, gathers, guarded reads."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from .terms import (
    ATOM,
    COMPARISON,
    COMPARISONS,
    POWER,
    PRODUCT,
    SUM,
    Choices,
    Idx,
    Known,
    Scope,
    Size,
    Term,
    binary,
    call,
    choice,
    combined,
    data_condition,
    guarded_read,
    index_condition,
    index_value,
    joined,
    negative,
    number,
    power,
    read,
    subscripts,
)
from .world import Array, Points

NUMBERS = (number(2), number(0.5), number(3), number(0.25), number(-1), number(1.5, "3/2"), number(0.1))


# ---------------------------------------------------------------- functions of numbers


def plain(name: str) -> Callable[[Term], Term]:
    """A function that NumPy and JAX have under the same name."""
    numpy_name = {"asin": "arcsin", "acos": "arccos", "atan": "arctan"}.get(name, name)
    return lambda x: call(name, x, by=lambda points, v: getattr(points.xp, numpy_name)(v * 1.0))


def special(name: str) -> Callable[[Term], Term]:
    return lambda x: call(name, x, by=lambda points, v: getattr(points.world.special, name)(v * 1.0))


def kinked(name: str, by: Callable[[Any, Array], Array], distance: Callable[[Array], Array]) -> Callable[[Term], Term]:
    """A function with kinks, and how far a number is from one."""

    def at(points: Points, value: Array) -> Array:
        points.world.kink(lambda: distance(value))
        return by(points.xp, value)

    return lambda x: call(name, x, by=at)


def written(template: str, level: int, by: Callable[[Points, Array], Array]) -> Callable[[Term], Term]:
    """A formula with {} where the argument stands, bound tightly."""
    return lambda x: Term(template.replace("{}", x.inside(ATOM)), level, lambda points: by(points, x.at(points)))


def _logistic(points: Points, x: Array) -> Array:
    return 0.5 * (1 + points.xp.tanh(x / 2))


def _softplus(points: Points, x: Array) -> Array:
    return points.xp.logaddexp(0.0, x)


TANH, SIN, EXP, SQRT, LOG = (plain(name) for name in ("tanh", "sin", "exp", "sqrt", "log"))
ERF = special("erf")
RELU = kinked("relu", lambda xp, x: xp.where(x > 0, x, 0), lambda x: x)
ABS = kinked("abs", lambda xp, x: xp.abs(x), lambda x: x)


def _square_plus(x: Term, amount: float = 1) -> Term:
    return binary(number(amount), "+", power(x, 2))


def _clip(x: Term) -> Term:
    def at(points: Points, value: Array, low: float, high: float) -> Array:
        points.world.kink(lambda: np.minimum(np.abs(value - low), np.abs(value - high)))
        return points.xp.clip(value, low, high)

    return call("clip", x, number(-0.5), number(0.7), by=at)


def _remainder(x: Term) -> Term:
    def at(points: Points) -> Array:
        value = x.at(points) / 0.7
        points.world.kink(lambda: value - np.round(value))
        return points.xp.mod(x.at(points), 0.7)

    return Term(f"{x.inside(PRODUCT)} % 0.7", PRODUCT, at)


SMOOTH: tuple[Callable[[Term], Term], ...] = (
    TANH,
    SIN,
    plain("cos"),
    ERF,
    plain("atan"),
    lambda x: power(x, 2),
    negative,
    lambda x: EXP(TANH(x)),
    lambda x: EXP(negative(power(x, 2))),
    lambda x: LOG(_square_plus(x)),
    lambda x: plain("log1p")(power(x, 2)),
    lambda x: plain("expm1")(SIN(x)),
    lambda x: SQRT(_square_plus(x, 0.5)),
    lambda x: plain("asin")(binary(number(0.9), "*", SIN(x))),
    lambda x: plain("acos")(binary(TANH(x), "/", number(2))),
    lambda x: plain("tan")(SIN(x)),
    lambda x: plain("sinh")(SIN(x)),
    lambda x: plain("cosh")(TANH(x)),
    lambda x: call("sigmoid", x, by=_logistic),
    lambda x: call("softplus", x, by=_softplus),
    written("1 / (1 + exp(-{}))", PRODUCT, _logistic),
    written("log(1 + exp({}))", ATOM, _softplus),
    lambda x: call("silu", x, by=lambda points, v: v * _logistic(points, v)),
    lambda x: call("gelu", x, by=lambda points, v: v * (1 + points.world.special.erf(v / np.sqrt(2))) / 2),
    lambda x: call("stop_gradient", x, by=lambda points, v: points.world.stop(v)),
    written("(1 + {}^2)^0.3", POWER, lambda points, v: (1 + v**2) ** 0.3),
    written("(1 + {}^2)^(-1)", POWER, lambda points, v: 1 / (1 + v**2)),
    lambda x: power(x, 3),
)
KINKED: tuple[Callable[[Term], Term], ...] = (
    RELU,
    ABS,
    _clip,
    kinked("sign", lambda xp, x: xp.sign(x), lambda x: x),
    kinked("floor", lambda xp, x: xp.floor(x), lambda x: x - np.round(x)),
    kinked("round", lambda xp, x: xp.round(x), lambda x: x - np.floor(x) - 0.5),
    lambda x: _remainder(x),
    kinked("leaky_relu", lambda xp, x: xp.where(x > 0, x, 0.01 * x), lambda x: x),
    kinked("elu", lambda xp, x: xp.where(x > 0, x, xp.expm1(xp.minimum(x, 0))), lambda x: x),
)


def function_of(x: Term, choices: Choices, kinks: bool = True) -> Term:
    """Some function of it."""
    return choices.pick(SMOOTH + KINKED if kinks else SMOOTH)(x) if choices.chance(85) else call_of_two(x, x, choices)


def call_of_two(a: Term, b: Term, choices: Choices) -> Term:
    """Some function of two numbers."""
    match choices.integer(0, 4):
        case 0:
            return binary(a, "/", _square_plus(b))
        case 1:
            return binary(a, "/", binary(number(2), "+", SIN(b)))
        case 2:
            return _power_of(_square_plus(a), SIN(b))
        case 3:
            b = binary(b, "+", number(0.1)) if a is b else b
            return _extreme("max", a, b)
    b = binary(b, "-", number(0.3)) if a is b else b
    return _extreme("min", a, b)


def _power_of(a: Term, b: Term) -> Term:
    return Term(f"{a.inside(ATOM)}^{b.inside(ATOM)}", PRODUCT, lambda points: a.at(points) ** b.at(points))


def _extreme(name: str, a: Term, b: Term) -> Term:
    def at(points: Points, left: Array, right: Array) -> Array:
        points.world.kink(lambda: left - right)
        return getattr(points.xp, f"{name}imum")(left, right)

    return call(name, a, b, by=at)


# ---------------------------------------------------------------- expressions over indices


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
    return Term(f"{left.text} {sign} {right.text}", COMPARISON, lambda points: compare(left.at(points), right.at(points)))


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
    places = subscripts(replace_axis(tensor, axis), scope, plain=True)
    places[axis] = Term(place, SUM, lambda points: moved(points.indices[idx.name]))
    text = f"{tensor.name}[{', '.join(term.text for term in places)}]"
    inner = Term(text, ATOM, lambda points: points.read(tensor.name, [term.at(points) for term in places]))
    condition = Term(asked, ATOM, lambda points: holds(points.indices[idx.name]))
    return choice(condition, inner, expression(scope, depth - 1))


def replace_axis(tensor: Known, axis: int) -> Known:
    """The tensor with an axis that only place 0 fits."""
    sizes = list(tensor.sizes)
    sizes[axis] = Size("1", 0, False)
    return replace(tensor, sizes=tuple(sizes))


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
        body = TANH(binary(body, "+", binary(spread, "*", number(0.3))))
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


def jax_is_ready() -> None:
    """JAX computes in float64."""
    jax.config.update("jax_enable_x64", True)
