"""The perceptron in PyTensor."""

from typing import Any

import pytensor.tensor as pt


def loss(params: dict[str, Any], x: Any, y: Any, sizes: tuple[int, ...]) -> Any:
    """The loss of one batch, as an expression."""
    layers = ["h", *(f"h_{n}" for n in range(2, len(sizes) - 1))]
    for layer in layers:
        x = pt.maximum(x @ params[f"{layer}.weight"] + params[f"{layer}.bias"], 0)
    logits = x @ params["logits.weight"] + params["logits.bias"]
    picked = pt.special.log_softmax(logits, axis=1)[pt.arange(y.shape[0]), y]
    return -pt.mean(picked)
