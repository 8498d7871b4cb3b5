"""The convolutional network in JAX, channels last."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax


def loss(params: dict[str, jax.Array], x: jax.Array, y: jax.Array, **_: Any) -> jax.Array:
    """The loss of one batch."""
    for layer in ("h", "h_2"):
        x = lax.conv_general_dilated(
            x, params[f"{layer}.weight"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        x = jax.nn.relu(x + params[f"{layer}.bias"])
        x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    x = jax.nn.relu(x.reshape(len(x), -1) @ params["f.weight"] + params["f.bias"])
    logits = x @ params["logits.weight"] + params["logits.bias"]
    picked = jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], axis=1)
    return -jnp.mean(picked)
