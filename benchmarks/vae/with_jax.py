"""The autoencoder in JAX."""

from typing import Any

import jax
import jax.numpy as jnp


def loss(params: dict[str, jax.Array], x: jax.Array, noise: jax.Array, **_: Any) -> jax.Array:
    """The loss of one batch."""

    def dense(layer: str, x: jax.Array) -> jax.Array:
        return x @ params[f"{layer}.weight"] + params[f"{layer}.bias"]

    h = jax.nn.relu(dense("h", x))
    centre, spread = dense("centre", h), dense("spread", h)
    z = centre + jnp.exp(spread) * noise
    logits = dense("logits", jax.nn.relu(dense("g", z)))
    far = jnp.sum(jax.nn.softplus(logits) - x * logits)
    told = jnp.sum((centre**2 + jnp.exp(2 * spread) - 1) / 2 - spread)
    return (far + told) / len(x)
