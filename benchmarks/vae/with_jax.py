"""The autoencoder in JAX."""

from typing import Any

import jax
import jax.numpy as jnp


def network(params: dict[str, jax.Array], x: jax.Array, noise: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """[batch, pixels], [batch, codes] -> logits [batch, pixels]; centre and spread of the codes."""

    def dense(layer: str, x: jax.Array) -> jax.Array:
        return x @ params[f"{layer}.weight"] + params[f"{layer}.bias"]

    h = jax.nn.relu(dense("h", x))
    centre, spread = dense("centre", h), dense("spread", h)
    z = centre + jnp.exp(spread) * noise
    return dense("logits", jax.nn.relu(dense("g", z))), centre, spread


def prediction(params: dict[str, jax.Array], x: jax.Array, noise: jax.Array, **_: Any) -> jax.Array:
    """Of one batch."""
    return jax.nn.sigmoid(network(params, x, noise)[0])


def loss(params: dict[str, jax.Array], x: jax.Array, noise: jax.Array, **_: Any) -> jax.Array:
    """The loss of one batch."""
    logits, centre, spread = network(params, x, noise)
    far = jnp.sum(jax.nn.softplus(logits) - x * logits)
    told = jnp.sum((centre**2 + jnp.exp(2 * spread) - 1) / 2 - spread)
    return (far + told) / len(x)
