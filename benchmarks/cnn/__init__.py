"""A convolutional network of pictures: two convolutions with pools, two dense layers, Adam."""

import numpy as np

from benchmarks.row import Array, Products, Row, linear

CLASSES = 10


def text(side: int, filters: tuple[int, int], hidden: int) -> str:
    """The model; its parameters are h.weight, h.bias, h_2.…, f.…, logits.…"""
    first, second = filters
    return f"""
dim batch
dim side = {side}, classes = {CLASSES}

input  x[batch, side, side, 1]
target y[batch] : int(classes)

h      = x |> conv2d({first}, 3, padding = same) |> relu |> max_pool2d(2)
h      = h |> conv2d({second}, 3, padding = same) |> relu |> max_pool2d(2)
f      = flatten(h) |> dense({hidden}) |> relu
logits = dense(f, classes)

predict p = softmax(logits)
loss    mean(cross_entropy(logits, y))

optimize adam(lr = 1e-3)
"""


def data(side: int, batch: int, rng: np.random.Generator) -> dict[str, Array]:
    """One batch of noise."""
    x = rng.standard_normal((batch, side, side, 1), dtype=np.float32)
    return {"x": x, "y": rng.integers(0, CLASSES, batch)}


def products(side: int, filters: tuple[int, int], hidden: int, batch: int) -> Products:
    """Of a step, the windows of a convolution being rows."""
    first, second = filters
    return (
        *linear(batch * side**2, 9, first, first=True),
        *linear(batch * (side // 2) ** 2, 9 * first, second),
        *linear(batch, (side // 4) ** 2 * second, hidden),
        *linear(batch, hidden, CLASSES),
    )


def row(name: str, side: int, filters: tuple[int, int], hidden: int, batch: int) -> Row:
    """A network as a row."""
    return Row(
        name=name,
        title=f"cnn conv {filters[0]}, conv {filters[1]} on {side}×{side}, batch {batch}",
        family="cnn",
        text=text(side, filters, hidden),
        data=lambda rng: data(side, batch, rng),
        options={"side": side, "filters": filters, "hidden": hidden},
        products=products(side, filters, hidden, batch),
        steps=20,
    )


ROWS = (row("cnn", side=28, filters=(32, 64), hidden=128, batch=64),)
