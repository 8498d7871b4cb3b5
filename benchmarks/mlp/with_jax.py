"""The perceptron in JAX."""

import jax
import jax.numpy as jnp


def logits_of(params: dict[str, jax.Array], x: jax.Array, sizes: tuple[int, ...]) -> jax.Array:
    """[batch, features] -> [batch, classes]."""
    layers = ["h", *(f"h_{n}" for n in range(2, len(sizes) - 1))]
    for layer in layers:
        x = jax.nn.relu(x @ params[f"{layer}.weight"] + params[f"{layer}.bias"])
    return x @ params["logits.weight"] + params["logits.bias"]


def prediction(params: dict[str, jax.Array], x: jax.Array, sizes: tuple[int, ...]) -> jax.Array:
    """Of one batch."""
    return jax.nn.softmax(logits_of(params, x, sizes))


def loss(params: dict[str, jax.Array], x: jax.Array, y: jax.Array, sizes: tuple[int, ...]) -> jax.Array:
    """The loss of one batch."""
    logits = logits_of(params, x, sizes)
    picked = jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], axis=1)
    return -jnp.mean(picked)
