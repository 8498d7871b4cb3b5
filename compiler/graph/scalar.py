"""The table of scalar functions: one row each, read by the lowering, the derivative, the printers, the interpreter and
the tests.

Kinks are decisions, PyTorch's: max and min split ½ ½ at a tie, clip passes at its bounds, |x|′(0) = 0, sign, floor and
round have derivative 0 everywhere, √x at 0 has an infinite one.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import sympy
from sympy import Integer, Rational

from . import noise
from .nodes import PI, Head

Derivative = Callable[..., tuple[sympy.Expr, ...]]
ONE, TWO, HALF, ZERO = Integer(1), Integer(2), Rational(1, 2), Integer(0)


@dataclass(frozen=True, slots=True)
class Row:
    """A scalar function.

    Attributes:
        name: its name in the language and in every printed stage.
        head: its class in bodies.
        arity: how many arguments it takes.
        numpy: its plain meaning, on arrays; the interpreter's.
        derivative: from the value and the arguments to the derivative by each; None says there is none, by `why`.
        gives: "real", "bool", or "same" where whole numbers stay whole.
        costly: worth computing once and keeping apart: a call of a vector function.
        draws: it is a random number, of a key and a place, both whole numbers.
        kinks: where it has no derivative, and what is taken there.
        probes: arguments where tests look, beside random ones.
    """

    name: str
    head: type[Head]
    arity: int
    numpy: Callable[..., Any]
    derivative: Derivative | None
    gives: str = "real"
    costly: bool = False
    draws: bool = False
    kinks: str = ""
    why: str = ""
    probes: tuple[tuple[float, ...], ...] = field(default=())

    def __call__(self, *arguments: sympy.Expr) -> sympy.Expr:
        return self.head(*arguments)


def _head(name: str) -> type[Head]:
    return type(f"{name.title().replace('_', '')}Head", (Head,), {"row_name": name, "__slots__": ()})


def _row(name: str, arity: int, numpy: Callable[..., Any], derivative: Derivative | None, **more: Any) -> Row:
    return Row(name, _head(name), arity, numpy, derivative, **more)


def _nothing(*arguments: sympy.Expr) -> tuple[sympy.Expr, ...]:
    """Zero by every argument; the value comes first and is not one."""
    return (ZERO,) * (len(arguments) - 1)


def _np_where(condition: Any, then: Any, otherwise: Any) -> Any:
    return np.where(condition, then, otherwise)


def _np_sigmoid(x: Any) -> Any:
    e = np.exp(-np.abs(x))
    return np.where(np.greater_equal(x, 0), 1 / (1 + e), e / (1 + e))


def _np_softplus(x: Any) -> Any:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


_np_erf = np.vectorize(math.erf, otypes=[np.float64])


def _np_power(x: Any, y: Any) -> Any:
    return np.power(np.asarray(x, np.float64), y)


def _np_clip(x: Any, low: Any, high: Any) -> Any:
    return np.minimum(np.maximum(x, low), high)


def _np_round(x: Any) -> Any:
    return np.round(np.asarray(x, np.float64))


def _np_and(a: Any, b: Any) -> Any:
    return np.logical_and(a, b)


LT = _row("lt", 2, np.less, _nothing, gives="bool", kinks="piecewise constant", probes=((0, 0), (1, 2)))
LE = _row("le", 2, np.less_equal, _nothing, gives="bool", kinks="piecewise constant", probes=((0, 0), (1, 2)))
EQ = _row("eq", 2, np.equal, _nothing, gives="bool", kinks="piecewise constant", probes=((0, 0), (1, 2)))
NE = _row("ne", 2, np.not_equal, _nothing, gives="bool", kinks="piecewise constant", probes=((0, 0), (1, 2)))
AND = _row("and", 2, _np_and, _nothing, gives="bool", kinks="piecewise constant")
OR = _row("or", 2, np.logical_or, _nothing, gives="bool", kinks="piecewise constant")
NOT = _row("not", 1, np.logical_not, _nothing, gives="bool", kinks="piecewise constant")
WHERE: Row = _row(
    "where", 3, _np_where, lambda out, c, a, b: (ZERO, WHERE(c, ONE, ZERO), WHERE(c, ZERO, ONE)), gives="same",
    kinks="the branch taken counts",
)  # fmt: skip
EXP = _row("exp", 1, np.exp, lambda out, x: (out,), costly=True, probes=((0,), (-700,), (1,)))
SQRT = _row("sqrt", 1, np.sqrt, lambda out, x: (HALF / out,), kinks="infinite at 0", probes=((1,), (4,)))
LOG = _row("log", 1, np.log, lambda out, x: (ONE / x,), costly=True, probes=((1,), (1e-30,)))
LOG1P = _row("log1p", 1, np.log1p, lambda out, x: (ONE / (ONE + x),), costly=True, probes=((0,), (1e-12,)))
EXPM1 = _row("expm1", 1, np.expm1, lambda out, x: (EXP(x),), costly=True, probes=((0,), (1e-12,)))
TANH = _row("tanh", 1, np.tanh, lambda out, x: (ONE - out**2,), costly=True, probes=((0,), (20,)))
SIGMOID = _row("sigmoid", 1, _np_sigmoid, lambda out, x: (out * (ONE - out),), costly=True, probes=((0,), (-50,)))
SOFTPLUS = _row("softplus", 1, _np_softplus, lambda out, x: (SIGMOID(x),), costly=True, probes=((0,), (-50,), (50,)))
ERF = _row("erf", 1, _np_erf, lambda out, x: (TWO * EXP(-(x**2)) / SQRT(PI),), costly=True, probes=((0,), (3,)))
SIN = _row("sin", 1, np.sin, lambda out, x: (COS(x),), costly=True, probes=((0,), (3,)))
COS: Row = _row("cos", 1, np.cos, lambda out, x: (-SIN(x),), costly=True, probes=((0,), (3,)))
TAN = _row("tan", 1, np.tan, lambda out, x: (ONE + out**2,), costly=True, probes=((0,), (1,)))
ASIN = _row("asin", 1, np.arcsin, lambda out, x: (ONE / SQRT(ONE - x**2),), costly=True, probes=((0,), (0.9,)))
ACOS = _row("acos", 1, np.arccos, lambda out, x: (-ONE / SQRT(ONE - x**2),), costly=True, probes=((0,), (0.9,)))
ATAN = _row("atan", 1, np.arctan, lambda out, x: (ONE / (ONE + x**2),), costly=True, probes=((0,), (9,)))
SINH = _row("sinh", 1, np.sinh, lambda out, x: (COSH(x),), costly=True, probes=((0,), (2,)))
COSH: Row = _row("cosh", 1, np.cosh, lambda out, x: (SINH(x),), costly=True, probes=((0,), (2,)))
ABS = _row("abs", 1, np.abs, lambda out, x: (SIGN(x),), gives="same", kinks="0 at 0", probes=((0,), (-1,)))
SIGN: Row = _row("sign", 1, np.sign, _nothing, gives="same", kinks="piecewise constant", probes=((0,), (-2,)))
FLOOR = _row("floor", 1, np.floor, _nothing, gives="whole", kinks="piecewise constant", probes=((0.5,), (-0.5,)))
ROUND = _row("round", 1, _np_round, _nothing, gives="whole", kinks="piecewise constant", probes=((0.5,), (1.5,)))
STOP = _row("stop_gradient", 1, lambda x: x, _nothing, gives="same", kinks="derivative 0 by definition")
FLOORDIV = _row("floordiv", 2, np.floor_divide, _nothing, gives="same", kinks="piecewise constant", probes=((7, 2),))
MOD = _row(
    "mod", 2, np.mod, lambda out, x, y: (ONE, -FLOORDIV(x, y)), gives="same", kinks="1 at the jumps", probes=((7, 2),)
)
MAX = _row(
    "max", 2, np.maximum,
    lambda out, a, b: (WHERE(LT(b, a), ONE, WHERE(EQ(a, b), HALF, ZERO)),
                       WHERE(LT(a, b), ONE, WHERE(EQ(a, b), HALF, ZERO))),
    gives="same", kinks="½ and ½ at a tie", probes=((0, 0), (1, 2)),
)  # fmt: skip
MIN = _row(
    "min", 2, np.minimum,
    lambda out, a, b: (WHERE(LT(a, b), ONE, WHERE(EQ(a, b), HALF, ZERO)),
                       WHERE(LT(b, a), ONE, WHERE(EQ(a, b), HALF, ZERO))),
    gives="same", kinks="½ and ½ at a tie", probes=((0, 0), (1, 2)),
)  # fmt: skip
CLIP = _row(
    "clip", 3, _np_clip,
    lambda out, x, low, high: (
        WHERE(AND(LE(low, x), LE(x, high)), ONE, ZERO),
        WHERE(AND(LT(x, low), LT(low, high)), ONE, ZERO),
        WHERE(OR(LT(high, x), LT(high, low)), ONE, ZERO)),
    gives="same", kinks="passes at its bounds", probes=((0, 0, 1), (1, 0, 1), (2, 0, 1)),
)  # fmt: skip
POW: Row = _row(
    "pow", 2, _np_power,
    lambda out, x, y: (
        WHERE(EQ(y, ZERO), ZERO, y * POW(x, y - ONE)),
        WHERE(AND(EQ(x, ZERO), LE(ZERO, y)), ZERO, out * LOG(x))),
    costly=True, kinks="by the exponent 0 at 0^y, y ≥ 0; by the base 0 where the exponent is 0",
    probes=((0, 2), (2, 0.5), (0, 0), (2, -1)),
)  # fmt: skip

UNIFORM = _row("uniform", 2, noise.uniform, _nothing, costly=True, draws=True, kinks="depends on whole numbers alone")
NORMAL = _row("normal", 2, noise.normal, _nothing, costly=True, draws=True, kinks="depends on whole numbers alone")

ROWS: dict[str, Row] = {
    row.name: row
    for row in (
        LT, LE, EQ, NE, AND, OR, NOT, WHERE, EXP, SQRT, LOG, LOG1P, EXPM1, TANH, SIGMOID, SOFTPLUS, ERF, SIN, COS, TAN,
        ASIN, ACOS, ATAN, SINH, COSH, ABS, SIGN, FLOOR, ROUND, STOP, FLOORDIV, MOD, MAX, MIN, CLIP, POW,
        UNIFORM, NORMAL,
    )
}  # fmt: skip


def row_of(head: Head) -> Row:
    """The row of a function in a body."""
    return ROWS[head.row_name]
