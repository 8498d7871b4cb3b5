"""Recurrent networks of signs: an embedding, an LSTM or a GRU, at each step a softmax of the next sign, Adam."""

import numpy as np

from benchmarks.row import Array, Products, Row, linear

GATES = {"lstm": 4, "gru": 3}
TEXT = """
dim batch, time
dim signs = {signs}

input  x[batch, time] : int(signs)
target y[batch, time] : int(signs)

h      = {layer}(embedding(x, signs, {width}), {units})
logits = dense(h, signs)

predict p = softmax(logits)
loss    mean(cross_entropy(logits, y))

optimize adam(lr = 1e-3)
"""


def data(signs: int, batch: int, time: int, rng: np.random.Generator) -> dict[str, Array]:
    """One batch of noise: signs, and those that follow them."""
    return {name: rng.integers(0, signs, (batch, time)) for name in "xy"}


def products(layer: str, sizes: tuple[int, int, int], batch: int, time: int) -> Products:
    """Of a step: by the inputs and by the losses for all times at once, by the last state one after the other."""
    signs, width, units = sizes
    gates = GATES[layer] * units
    return (
        *linear(batch * time, width, gates),
        *(time - 1) * ((batch, gates, units), (batch, units, gates)),
        (units, gates, batch * (time - 1)),
        *linear(batch * time, units, signs),
    )


def row(layer: str, sizes: tuple[int, int, int], batch: int, time: int) -> Row:
    """A network as a row; sizes are signs, width of the embedding, units."""
    signs, width, units = sizes
    return Row(
        name=layer,
        title=f"{layer} {units} over {time} steps, {signs} signs, batch {batch}",
        family="recurrent",
        text=TEXT.format(layer=layer, signs=signs, width=width, units=units),
        data=lambda rng: data(signs, batch, time, rng),
        options={"layer": layer, "sizes": sizes},
        products=products(layer, sizes, batch, time),
        steps=20,
    )


ROWS = tuple(row(layer, sizes=(64, 64, 128), batch=32, time=64) for layer in GATES)
