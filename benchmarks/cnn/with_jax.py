"""The convolutional network in JAX, channels last."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax


def pool(x: jax.Array) -> jax.Array:
    """The largest of each two by two places. The gradient of lax.reduce_window takes three times as long."""
    x = jnp.maximum(x[:, ::2], x[:, 1::2])
    return jnp.maximum(x[:, :, ::2], x[:, :, 1::2])


def logits_of(params: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    """[batch, rows, columns, 1] -> [batch, classes]."""
    for layer in ("h", "h_2"):
        x = lax.conv_general_dilated(
            x, params[f"{layer}.weight"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        x = jax.nn.relu(x + params[f"{layer}.bias"])
        x = pool(x)
    x = jax.nn.relu(x.reshape(len(x), -1) @ params["f.weight"] + params["f.bias"])
    return x @ params["logits.weight"] + params["logits.bias"]


def prediction(params: dict[str, jax.Array], x: jax.Array, **_: Any) -> jax.Array:
    """Of one batch."""
    return jax.nn.softmax(logits_of(params, x))


def loss(params: dict[str, jax.Array], x: jax.Array, y: jax.Array, **_: Any) -> jax.Array:
    """The loss of one batch."""
    logits = logits_of(params, x)
    picked = jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], axis=1)
    return -jnp.mean(picked)
