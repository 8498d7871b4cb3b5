"""Numbers that carry derivatives, for the plain oracle: forward mode, where calculus works backwards.

A `Dual` is a value and its derivatives by all places of one tensor at once, along one more axis, the last. Its parts
may be duals again, of a lower level: that gives derivatives of derivatives. Nothing here is shared with `calculus`.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from .plain import FUNCTIONS, REDUCERS, Numbers


@dataclass(frozen=True, slots=True, eq=False)
class Dual:
    """A value of some shape, and a tangent of that shape and an axis of directions; the highest level is outermost."""

    level: int
    primal: "Value"
    tangent: "Value"

    __array_ufunc__ = None

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the value."""
        return self.primal.shape

    def __add__(self, other: "Value | float") -> "Value":
        return applied("add", self, other)

    __radd__ = __add__

    def __sub__(self, other: "Value | float") -> "Value":
        return applied("sub", self, other)

    def __rsub__(self, other: "Value | float") -> "Value":
        return applied("sub", other, self)

    def __mul__(self, other: "Value | float") -> "Value":
        return applied("mul", self, other)

    __rmul__ = __mul__

    def __truediv__(self, other: "Value | float") -> "Value":
        return applied("div", self, other)

    def __rtruediv__(self, other: "Value | float") -> "Value":
        return applied("div", other, self)

    def __neg__(self) -> "Value":
        return applied("neg", self)


Value: TypeAlias = Numbers | Dual


def plain(value: Value) -> Numbers:
    """The value alone."""
    while isinstance(value, Dual):
        value = value.primal
    return value


def same(first: Value, second: Value) -> bool:
    """Whether two values and their derivatives are the same."""
    if isinstance(first, Dual) and isinstance(second, Dual):
        alike = first.level == second.level
        return alike and same(first.primal, second.primal) and same(first.tangent, second.tangent)
    if isinstance(first, Dual) or isinstance(second, Dual):
        return False
    return np.array_equal(first, second, equal_nan=first.dtype == np.float64)


def variable(value: Value, level: int) -> Dual:
    """A tensor as the variable of a new level: its derivative by itself is 1."""
    shape = value.shape
    count = int(np.prod(shape, dtype=np.int64))
    return Dual(level, value, np.eye(count).reshape((*shape, count)))


def slopes(value: Value, level: int, shape: tuple[int, ...]) -> Value:
    """The derivatives of the sum of a tensor by the variable of a level, in the variable's shape."""
    if not isinstance(value, Dual) or value.level < level:
        return np.zeros(shape)

    def summed(numbers: Numbers, extra: int) -> Numbers:
        directions = numbers.ndim - extra
        total: Numbers = numbers.sum(axis=tuple(range(directions - 1)))
        return total.reshape((*shape, *total.shape[1:]))

    return shaped(value.tangent, summed)


# ---------------------------------------------------------------- what changes shapes alone


def shaped(value: Value, change: Callable[[Numbers, int], Numbers], extra: int = 0) -> Value:
    """The value moved about; `change` is told how many axes of directions stand last."""
    if not isinstance(value, Dual):
        return change(value, extra)
    return Dual(value.level, shaped(value.primal, change, extra), shaped(value.tangent, change, extra + 1))


def widened(value: Value) -> Value:
    """With an axis of one direction."""
    return shaped(value, lambda numbers, extra: np.expand_dims(numbers, numbers.ndim - extra))


def where(condition: Numbers, then: Value, otherwise: Value) -> Value:
    """One of two values at each place."""
    level = _top(then, otherwise)
    if level is None:
        return np.where(condition, then, otherwise)  # type: ignore[arg-type]  # neither is a dual
    primal = where(condition, _primal(then, level), _primal(otherwise, level))
    tangents = (_tangent(part, level) for part in (then, otherwise))
    return Dual(level, primal, where(condition[..., None], *tangents))


def _top(*values: Value) -> int | None:
    return max((value.level for value in values if isinstance(value, Dual)), default=None)


def _primal(value: Value, level: int) -> Value:
    return value.primal if isinstance(value, Dual) and value.level == level else value


def _tangent(value: Value, level: int) -> Value:
    none = np.zeros((1,) * (len(value.shape) + 1))
    return value.tangent if isinstance(value, Dual) and value.level == level else none


# ---------------------------------------------------------------- reductions


def reduced(reducer: str, flat: Value) -> Value:
    """A reduction of the first axis."""
    if not isinstance(flat, Dual):
        return REDUCERS[reducer](flat)
    match reducer:
        case "sum":
            return _summed(flat)
        case "prod":
            product: Value = np.ones(flat.shape[1:])
            for place in range(flat.shape[0]):
                product = product * _at(flat, place)
            return product
        case "max" | "min":
            return _picked(flat, REDUCERS[f"arg{reducer}"](plain(flat)))
        case "logsumexp":
            value = reduced(reducer, flat.primal)
            least = plain(value) == -np.inf
            weight = where(np.asarray(least), np.zeros(()), exp(flat.primal - value))
            return Dual(flat.level, value, _summed(widened(weight) * flat.tangent))
    return REDUCERS[reducer](plain(flat))


def _summed(flat: Value) -> Value:
    return shaped(flat, lambda numbers, _: numbers.sum(axis=0))


def _at(flat: Value, place: int) -> Value:
    return shaped(flat, lambda numbers, _: np.asarray(numbers[place]))


def _picked(flat: Value, places: Numbers) -> Value:
    """For every place of the rest of the axes, one place of the first."""

    def pick(numbers: Numbers, extra: int) -> Numbers:
        where_from = places.reshape(1, *places.shape, *([1] * extra))
        found: Numbers = np.take_along_axis(numbers, where_from, axis=0)[0]
        return found

    return shaped(flat, pick)


# ---------------------------------------------------------------- functions of numbers


def applied(function: str, *numbers: Value | float) -> Value:
    """A function of numbers, by the chain rule where an argument carries derivatives."""
    arguments = [number if isinstance(number, Dual) else np.asarray(number) for number in numbers]
    level = _top(*arguments)
    if level is None:
        return FUNCTIONS[function](*arguments)
    if function not in SLOPES:
        return FUNCTIONS[function](*map(plain, arguments))
    primals = [_primal(argument, level) for argument in arguments]
    value = applied(function, *primals)
    moving = [isinstance(argument, Dual) and argument.level == level for argument in arguments]
    partials = SLOPES[function](value, *primals)
    tangent: Value | None = None
    for argument, partial, moves in zip(arguments, partials, moving, strict=True):
        if moves:
            assert isinstance(argument, Dual)
            part = widened(_broadcast(partial, value.shape)) * argument.tangent
            tangent = part if tangent is None else tangent + part
    assert tangent is not None, "the level is that of an argument"
    return Dual(level, value, tangent)


def _broadcast(value: Value | float, shape: tuple[int, ...]) -> Value:
    if not isinstance(value, Dual):
        return np.broadcast_to(np.asarray(value, np.float64), shape)
    return value


def _call(name: str) -> Callable[..., Value]:
    return functools.partial(applied, name)


exp, log, sqrt, sin, cos, sinh, cosh = map(_call, ["exp", "log", "sqrt", "sin", "cos", "sinh", "cosh"])


def _half_at_ties(first: Value, second: Value) -> tuple[Numbers, Numbers]:
    a, b = plain(first), plain(second)
    wins = np.where(a > b, 1.0, np.where(a == b, 0.5, 0.0))
    return wins, 1.0 - wins


def _of_power(_: Value, x: Value, y: Value) -> tuple[Value, Value]:
    by_base = where(plain(y) == 0, np.zeros(()), y * applied("pow", x, y - 1.0))
    zero = (plain(x) == 0) & (plain(y) >= 0)
    return by_base, where(zero, np.zeros(()), applied("pow", x, y) * log(x))


def _of_clip(_: Value, x: Value, low: Value, high: Value) -> tuple[Numbers, Numbers, Numbers]:
    x, low, high = plain(x), plain(low), plain(high)
    passes, below, above = (low <= x) & (x <= high), (x < low) & (low < high), (high < x) | (high < low)
    return 1.0 * passes, 1.0 * below, 1.0 * above


def _inverse_of_root(x: Value) -> Value:
    return 1.0 / sqrt(1.0 - x * x)


SLOPES: Mapping[str, Callable[..., tuple[Any, ...]]] = {
    "add": lambda out, a, b: (1.0, 1.0),
    "sub": lambda out, a, b: (1.0, -1.0),
    "mul": lambda out, a, b: (b, a),
    "div": lambda out, a, b: (1.0 / b, -a / (b * b)),
    "neg": lambda out, a: (-1.0,),
    "pow": _of_power,
    "mod": lambda out, a, b: (1.0, -np.floor_divide(plain(a), plain(b))),
    "exp": lambda out, x: (out,),
    "log": lambda out, x: (1.0 / x,),
    "log1p": lambda out, x: (1.0 / (1.0 + x),),
    "expm1": lambda out, x: (exp(x),),
    "sqrt": lambda out, x: (0.5 / out,),
    "abs": lambda out, x: (np.sign(plain(x)),),
    "sin": lambda out, x: (cos(x),),
    "cos": lambda out, x: (-sin(x),),
    "tan": lambda out, x: (1.0 + out * out,),
    "asin": lambda out, x: (_inverse_of_root(x),),
    "acos": lambda out, x: (-_inverse_of_root(x),),
    "atan": lambda out, x: (1.0 / (1.0 + x * x),),
    "tanh": lambda out, x: (1.0 - out * out,),
    "sinh": lambda out, x: (cosh(x),),
    "cosh": lambda out, x: (sinh(x),),
    "erf": lambda out, x: (2.0 / np.sqrt(np.pi) * exp(-(x * x)),),
    "max": lambda out, a, b: _half_at_ties(a, b),
    "min": lambda out, a, b: _half_at_ties(b, a),
    "clip": _of_clip,
}
"""Derivatives by each argument; `out` is the value. Functions that are not here have the derivative 0 or none."""
