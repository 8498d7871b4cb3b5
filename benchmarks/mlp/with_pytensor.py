"""The perceptron in PyTensor."""

from typing import Any

import pytensor.tensor as pt


def logits_of(params: dict[str, Any], x: Any, sizes: tuple[int, ...]) -> Any:
    """[batch, features] -> [batch, classes], as expressions."""
    layers = ["h", *(f"h_{n}" for n in range(2, len(sizes) - 1))]
    for layer in layers:
        x = pt.maximum(x @ params[f"{layer}.weight"] + params[f"{layer}.bias"], 0)
    return x @ params["logits.weight"] + params["logits.bias"]


def prediction(params: dict[str, Any], x: Any, sizes: tuple[int, ...]) -> Any:
    """Of one batch."""
    return pt.special.softmax(logits_of(params, x, sizes), axis=1)


def loss(params: dict[str, Any], x: Any, y: Any, sizes: tuple[int, ...]) -> Any:
    """The loss of one batch."""
    logits = logits_of(params, x, sizes)
    picked = pt.special.log_softmax(logits, axis=1)[pt.arange(y.shape[0]), y]
    return -pt.mean(picked)
