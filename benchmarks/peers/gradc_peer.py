"""gradc: the emitted module's `train_step` and `predict`, called in a loop as their user would."""

from typing import Any

import numba  # noqa: F401  (emitted modules stand on it, and what it takes is no model's)

import gradc
from benchmarks.row import Row

from . import Arrays, Peer, predictor


def peers(row: Row, arrays: Arrays) -> dict[str, Peer]:
    """The emitted module."""
    model = gradc.compile_text(row.text, row.name.replace("-", "_"), dtype="float32")
    module, params, state = model.module, model.params, model.state
    first = state.flat.copy()
    data = tuple(arrays.data.values())

    def step() -> Any:
        return module.train_step(params, state, *data)

    def restart() -> None:
        for name, value in {**arrays.params, **arrays.states}.items():
            params[name] = value
        state.flat[...] = first
        state.step = 0

    return {"": Peer(step, float, restart, float)}


def predictors(row: Row, arrays: Arrays) -> dict[str, Peer]:
    """The emitted module's `predict`."""
    model = gradc.compile_text(row.text, row.name.replace("-", "_"), dtype="float32")
    predict, params = model.module.predict, model.params
    for name, value in {**arrays.params, **arrays.states}.items():
        params[name] = value
    data = tuple(arrays.data.values())
    return {"": predictor(lambda: predict(params, *data))}
