"""A residual network with batch norm: a convolution, a block as wide as it, two blocks half as large, Adam.

He, Zhang, Ren and Sun, "Deep residual learning for image recognition" (2016), section 4.2 with n = 1 and projections.
"""

import numpy as np

from benchmarks.row import Array, Products, Row, linear

CLASSES = 10
TEXT = """
dim batch
dim side = {side}, classes = {classes}

input  x[batch, side, side, 3]
target y[batch] : int(classes)

def conv(x[b, n, m, c], filters):
    return conv2d(x, filters, 3, padding = same, bias = false)

# Half as many rows and columns, with zeros on the side where PyTorch's padding = 1 has them.
def halve(x[b, n, m, c], filters):
    dim rows = n / 2, columns = m / 2
    param weight[3, 3, c, filters] ~ he_normal(fan_in = 9 * c)
    return[b, i: rows, j: columns, o] = sum[u: 3, v: 3, k](x?[b, 2*i + u - 1, 2*j + v - 1, k] * weight[u, v, k, o])

def block(x[b, n, m, c]):
    inner = x |> conv(c) |> batch_norm |> relu
    outer = inner |> conv(c) |> batch_norm
    return relu(outer + x)

def half_block(x[b, n, m, c], filters):
    inner = x |> halve(filters) |> batch_norm |> relu
    outer = inner |> conv(filters) |> batch_norm
    short = x |> conv2d(filters, 1, stride = 2, bias = false) |> batch_norm
    return relu(outer + short)

h      = x |> conv({width}) |> batch_norm |> relu
h      = block(h)
h      = half_block(h, 2 * {width})
h      = half_block(h, 4 * {width})
logits = dense(global_avg_pool(h), classes)

predict p = softmax(logits)
loss    mean(cross_entropy(logits, y))

optimize adam(lr = 1e-3)
"""


def data(side: int, batch: int, rng: np.random.Generator) -> dict[str, Array]:
    """One batch of noise."""
    x = rng.standard_normal((batch, side, side, 3), dtype=np.float32)
    return {"x": x, "y": rng.integers(0, CLASSES, batch)}


def products(side: int, width: int, batch: int) -> Products:
    """Of a step, the windows of a convolution being rows."""
    places = batch * side**2
    found = [*linear(places, 27, width, first=True), *2 * linear(places, 9 * width, width)]
    for _ in range(2):
        places, inputs, width = places // 4, width, 2 * width
        found += [
            *linear(places, 9 * inputs, width),
            *linear(places, 9 * width, width),
            *linear(places, inputs, width),
        ]
    return (*found, *linear(batch, width, CLASSES))


def row(name: str, side: int, width: int, batch: int) -> Row:
    """A network as a row."""
    return Row(
        name=name,
        title=f"resnet-8 with batch norm, {side}×{side}×3, batch {batch}",
        family="resnet",
        text=TEXT.format(side=side, classes=CLASSES, width=width),
        data=lambda rng: data(side, batch, rng),
        options={"width": width},
        products=products(side, width, batch),
        steps=20,
    )


ROWS = (row("resnet", side=32, width=16, batch=32),)
