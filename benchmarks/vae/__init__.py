"""A variational autoencoder of pictures, whose noise is passed in so that all peers draw the same; Adam.

Kingma and Welling, "Auto-encoding variational Bayes" (2014).
"""

import numpy as np

from benchmarks.row import Array, Products, Row, linear

TEXT = """
dim batch
dim pixels = {pixels}, hidden = {hidden}, codes = {codes}

input x[batch, pixels], noise[batch, codes]

h       = relu(dense(x, hidden))
centre  = dense(h, codes)
spread  = dense(h, codes)                    # the logarithm of a standard deviation
z[b, k] = centre[b, k] + exp(spread[b, k]) * noise[b, k]
g       = relu(dense(z, hidden))
logits  = dense(g, pixels)

far[b]  = sum[i](binary_cross_entropy(logits[b, i], x[b, i]))
told[b] = sum[k]((centre[b, k]^2 + exp(2 * spread[b, k]) - 1) / 2 - spread[b, k])

predict p = sigmoid(logits)
loss    mean(far + told)

optimize adam(lr = 1e-3)
"""


def data(sizes: tuple[int, int, int], batch: int, rng: np.random.Generator) -> dict[str, Array]:
    """One batch of noise: pixels from 0 to 1, and what the codes are moved by."""
    pixels, _, codes = sizes
    x = rng.random((batch, pixels), dtype=np.float32)
    return {"x": x, "noise": rng.standard_normal((batch, codes), dtype=np.float32)}


def products(sizes: tuple[int, int, int], batch: int) -> Products:
    """Of a step."""
    pixels, hidden, codes = sizes
    return (
        *linear(batch, pixels, hidden, first=True),
        *2 * linear(batch, hidden, codes),
        *linear(batch, codes, hidden),
        *linear(batch, hidden, pixels),
    )


def row(name: str, sizes: tuple[int, int, int], batch: int) -> Row:
    """An autoencoder as a row; sizes are pixels, hidden units, codes."""
    pixels, hidden, codes = sizes
    return Row(
        name=name,
        title=f"vae {'-'.join(map(str, sizes))}, batch {batch}",
        family="vae",
        text=TEXT.format(pixels=pixels, hidden=hidden, codes=codes),
        data=lambda rng: data(sizes, batch, rng),
        options={"sizes": sizes},
        products=products(sizes, batch),
        steps=40,
    )


ROWS = (row("vae", sizes=(784, 400, 20), batch=128),)
