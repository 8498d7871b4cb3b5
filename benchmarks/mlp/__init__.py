"""Multilayer perceptrons: relu, softmax cross-entropy, Adam."""

from itertools import pairwise

import numpy as np

from benchmarks.row import Array, Products, Row, linear


def text(sizes: tuple[int, ...]) -> str:
    """The model: its parameters are h.weight, h.bias, h_2.weight, …, logits.weight, logits.bias."""
    hidden = [f"h = relu(dense({'h' if n else 'x'}, {size}))" for n, size in enumerate(sizes[1:-1])]
    return "\n".join(
        [
            "dim batch",
            f"dim features = {sizes[0]}, classes = {sizes[-1]}",
            "",
            "input  x[batch, features]",
            "target y[batch] : int(classes)",
            "",
            *hidden,
            "logits = dense(h, classes)",
            "",
            "predict p = softmax(logits)",
            "loss    mean(cross_entropy(logits, y))",
            "",
            "optimize adam(lr = 1e-3)",
            "",
        ]
    )


def data(sizes: tuple[int, ...], batch: int, rng: np.random.Generator) -> dict[str, Array]:
    """One batch of noise with classes of noise: timing needs no more."""
    x = rng.standard_normal((batch, sizes[0]), dtype=np.float32)
    return {"x": x, "y": rng.integers(0, sizes[-1], batch)}


def products(sizes: tuple[int, ...], batch: int) -> Products:
    """Of a step."""
    layers = pairwise(sizes)
    return tuple(product for n, (i, o) in enumerate(layers) for product in linear(batch, i, o, first=n == 0))


def row(name: str, sizes: tuple[int, ...], batch: int, steps: int) -> Row:
    """A perceptron as a row."""
    return Row(
        name=name,
        title=f"mlp {'-'.join(map(str, sizes))}, batch {batch}",
        family="mlp",
        text=text(sizes),
        data=lambda rng: data(sizes, batch, rng),
        options={"sizes": sizes},
        products=products(sizes, batch),
        steps=steps,
        peers=("torch", "compile", "jax", "pytensor"),
    )


ROWS = (
    row("mlp-small", (64, 32, 32, 10), batch=32, steps=500),
    row("mlp-middle", (64, 128, 128, 10), batch=64, steps=200),
    row("mlp-large", (784, 512, 512, 10), batch=128, steps=40),
)
