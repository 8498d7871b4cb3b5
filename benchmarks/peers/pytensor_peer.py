"""PyTensor: one compiled function, shared variables, updates."""

import importlib
from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt

from benchmarks.row import Row

from . import Arrays, Peer, predictor


def peers(row: Row, arrays: Arrays) -> dict[str, Peer]:
    """Compiled by Numba, PyTensor's default."""
    with pytensor.config.change_flags(floatX="float32"):
        return {"": _peer(row, arrays)}


def _peer(row: Row, arrays: Arrays) -> Peer:
    statement = importlib.import_module(f"benchmarks.{row.family}.with_pytensor")
    params = {name: pytensor.shared(array.copy(), name) for name, array in arrays.params.items()}
    inputs = _inputs(arrays)
    loss = statement.loss(params, **inputs, **row.options)
    updates, moments = adam(loss, list(params.values()))
    function = pytensor.function(list(inputs.values()), loss, updates=updates)
    function.trust_input = True
    data = tuple(arrays.data.values())

    def step() -> Any:
        return function(*data)

    def restart() -> None:
        for name, shared in params.items():
            shared.set_value(arrays.params[name])
        for moment in moments:
            moment.set_value(np.zeros_like(moment.get_value()))

    return Peer(step, float, restart, float)


def predictors(row: Row, arrays: Arrays) -> dict[str, Peer]:
    """The compiled prediction."""
    with pytensor.config.change_flags(floatX="float32"):
        statement = importlib.import_module(f"benchmarks.{row.family}.with_pytensor")
        params = {name: pytensor.shared(array.copy(), name) for name, array in arrays.params.items()}
        inputs = _inputs(arrays)
        function = pytensor.function(list(inputs.values()), statement.prediction(params, **inputs, **row.options))
    function.trust_input = True
    data = tuple(arrays.data.values())
    return {"": predictor(lambda: function(*data))}


def _inputs(arrays: Arrays) -> dict[str, Any]:
    return {name: pt.tensor(name, dtype=a.dtype, shape=a.shape) for name, a in arrays.data.items()}


def adam(loss: Any, params: list[Any]) -> tuple[dict[Any, Any], list[Any]]:
    """The updates of one step, and the shared variables that are not parameters."""
    step = pytensor.shared(np.float32(0), "t")
    t = step + np.float32(1)
    size = np.float32(1e-3) / (1 - np.float32(0.9) ** t)
    unbias = 1 / (1 - np.float32(0.999) ** t)
    updates, moments = {step: t}, [step]
    for p, g in zip(params, pytensor.grad(loss, params), strict=True):
        m, v = (pytensor.shared(np.zeros_like(p.get_value())) for _ in range(2))
        updates[m] = np.float32(0.9) * m + np.float32(0.1) * g
        updates[v] = np.float32(0.999) * v + np.float32(0.001) * g * g
        updates[p] = p - size * updates[m] / (pt.sqrt(updates[v] * unbias) + np.float32(1e-8))
        moments += [m, v]
    return updates, moments
