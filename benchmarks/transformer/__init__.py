"""A transformer of signs: learned places, blocks of causal attention, at each step a softmax of the next sign, Adam."""

from collections.abc import Mapping

import numpy as np

from benchmarks.row import Array, Products, Row, linear

TEXT = """
dim batch
dim time = {time}, signs = {signs}, width = {width}

input  x[batch, time] : int(signs)
target y[batch, time] : int(signs)

param place[time, width] ~ normal()

seen       = embedding(x, signs, width)
h[b, t, i] = seen[b, t, i] + place[t, i]
repeat {blocks}: h = transformer_block(h, {heads}, 4 * width, causal = true)
logits     = dense(layer_norm(h), signs)

predict p = softmax(logits)
loss    mean(cross_entropy(logits, y))

optimize adam(lr = 1e-3)
"""


def data(signs: int, time: int, batch: int, rng: np.random.Generator) -> dict[str, Array]:
    """One batch of noise: signs, and those that follow them."""
    return {name: rng.integers(0, signs, (batch, time)) for name in "xy"}


def products(sizes: Mapping[str, int], batch: int) -> Products:
    """Of a step. Attention's are for each head of each example, as if all places were seen."""
    time, width, many, part = sizes["time"], sizes["width"], batch * sizes["heads"], sizes["width"] // sizes["heads"]
    block = (
        *4 * linear(batch * time, width, width),
        *2 * ((many, time, time, part),),
        *4 * ((many, time, part, time),),
        *linear(batch * time, width, 4 * width),
        *linear(batch * time, 4 * width, width),
    )
    return (*sizes["blocks"] * block, *linear(batch * time, width, sizes["signs"]))


def row(name: str, sizes: Mapping[str, int], batch: int) -> Row:
    """A network as a row."""
    return Row(
        name=name,
        title="transformer, {blocks} blocks of {width}, {heads} heads, {time} steps, batch {batch}".format(
            **sizes, batch=batch
        ),
        family="transformer",
        text=TEXT.format(**sizes),
        data=lambda rng: data(sizes["signs"], sizes["time"], batch, rng),
        options=sizes,
        products=products(sizes, batch),
        steps=20,
    )


ROWS = (row("transformer", {"time": 64, "signs": 64, "width": 128, "heads": 4, "blocks": 2}, batch=8),)
