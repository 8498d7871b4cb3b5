"""Random functions of numbers, in ranges where they are smooth, or with their kinks noted."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .terms import ATOM, POWER, PRODUCT, Choices, Term, binary, call, negative, number, power
from .world import Array, Points


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


def sigmoid(x: Term) -> Term:
    return call("sigmoid", x, by=_logistic)


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
    sigmoid,
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
