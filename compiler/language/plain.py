"""Functions of numbers and reductions as NumPy has them: what they mean to the plain oracle.

It shares nothing with the graph's table of functions on purpose.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

Numbers: TypeAlias = np.ndarray[Any, Any]


def _power(a: Numbers, b: Numbers) -> Numbers:
    result: Numbers = np.power(a.astype(np.float64), b)
    return result


def _log_sum_exp(flat: Numbers) -> Numbers:
    """log Σ exp, from the largest down; -inf of nothing but -inf, inf where one is inf."""
    flat = flat.astype(np.float64)
    largest = flat.max(axis=0)
    shift = np.where(np.isfinite(largest), largest, 0.0)
    result: Numbers = np.log(np.exp(flat - shift).sum(axis=0)) + shift
    return result


def _erf(x: Numbers) -> Numbers:
    result: Numbers = np.vectorize(math.erf, otypes=[np.float64])(x)
    return result


def _to_whole(function: Callable[[Numbers], Numbers]) -> Callable[[Numbers], Numbers]:
    return lambda x: function(x.astype(np.float64)).astype(np.int64)


def _real(function: Callable[..., Numbers]) -> Callable[..., Numbers]:
    return lambda *parts: function(*(part.astype(np.float64) for part in parts))


FUNCTIONS: Mapping[str, Callable[..., Numbers]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": _real(np.divide),
    "neg": np.negative,
    "pow": _power,
    "floordiv": np.floor_divide,
    "mod": np.mod,
    "lt": np.less,
    "le": np.less_equal,
    "eq": np.equal,
    "ne": np.not_equal,
    "and": np.logical_and,
    "or": np.logical_or,
    "not": np.logical_not,
    "exp": _real(np.exp),
    "log": _real(np.log),
    "log1p": _real(np.log1p),
    "expm1": _real(np.expm1),
    "sqrt": _real(np.sqrt),
    "abs": np.abs,
    "sign": np.sign,
    "sin": _real(np.sin),
    "cos": _real(np.cos),
    "tan": _real(np.tan),
    "asin": _real(np.arcsin),
    "acos": _real(np.arccos),
    "atan": _real(np.arctan),
    "tanh": _real(np.tanh),
    "sinh": _real(np.sinh),
    "cosh": _real(np.cosh),
    "erf": _erf,
    "floor": _to_whole(np.floor),
    "round": _to_whole(np.round),
    "max": np.maximum,
    "min": np.minimum,
    "clip": lambda x, low, high: np.minimum(np.maximum(x, low), high),
    "stop_gradient": lambda x: x,
}
"""Functions of numbers, by their names in `core.Apply`."""

REDUCERS: Mapping[str, Callable[[Numbers], Numbers]] = {
    "sum": lambda flat: flat.sum(axis=0), "prod": lambda flat: flat.prod(axis=0), "max": lambda flat: flat.max(axis=0),
    "min": lambda flat: flat.min(axis=0), "logsumexp": _log_sum_exp, "argmax": lambda flat: np.argmax(flat, axis=0),
    "argmin": lambda flat: np.argmin(flat, axis=0),
}  # fmt: skip
"""Reductions of the first axis."""
