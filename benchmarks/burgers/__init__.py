"""Burgers' equation in the loss of a network: its derivatives by place and time, the second by place, Adam.

Raissi, Perdikaris and Karniadakis, "Physics-informed neural networks" (2019), section 3.1.1; the initial and boundary
values are built into u.
"""

import numpy as np

from benchmarks.row import Array, Products, Row, linear

TEXT = """
dim n

input q[n, 2]                                # place from -1 to 1, time from 0 to 1

h       = tanh(dense(q, {width}))
repeat {more}: h = tanh(dense(h, {width}))
v       = dense(h, 1)
u[r: n] = -sin(pi * q[r, 0]) + q[r, 1] * (1 - q[r, 0]^2) * v[r, 0]

ut[r]   = grad(u, q)[r, 1]
ux[r]   = grad(u, q)[r, 0]
uxx[r]  = grad(ux, q)[r, 0]
rest[r] = ut[r] + u[r] * ux[r] - 0.01 / pi * uxx[r]

predict u
loss    mean(rest^2)

optimize adam(lr = 1e-3)
"""


def data(points: int, rng: np.random.Generator) -> dict[str, Array]:
    """Points in place and time."""
    return {"q": rng.uniform((-1, 0), (1, 1), (points, 2)).astype(np.float32)}


def products(width: int, more: int, points: int) -> Products:
    """Of a step, without those of two and of one column: the values of each layer and three derivatives of them."""
    return more * 4 * linear(points, width, width)


def row(name: str, width: int, more: int, points: int) -> Row:
    """A network as a row, with one hidden layer and so many more."""
    sizes = (2, *[width] * (1 + more), 1)
    return Row(
        name=name,
        title=f"Burgers' equation, {'-'.join(map(str, sizes))}, {points} points",
        family="burgers",
        text=TEXT.format(width=width, more=more),
        data=lambda rng: data(points, rng),
        options={"sizes": sizes},
        products=products(width, more, points),
        steps=100,
        # torch.compile cannot trace gradients of gradients
        peers=("torch", "jax"),
    )


ROWS = (row("burgers", width=32, more=2, points=256),)
