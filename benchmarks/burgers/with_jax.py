"""Burgers' equation in JAX: derivatives backward, the second one forward over them."""

from typing import Any

import jax
import jax.numpy as jnp


def prediction(params: dict[str, jax.Array], q: jax.Array, sizes: tuple[int, ...], **_: Any) -> jax.Array:
    """The value at each point."""
    h = q
    for layer in ["h", *(f"h_{n}" for n in range(2, len(sizes) - 1))]:
        h = jnp.tanh(h @ params[f"{layer}.weight"] + params[f"{layer}.bias"])
    v = (h @ params["v.weight"] + params["v.bias"])[:, 0]
    return -jnp.sin(jnp.pi * q[:, 0]) + q[:, 1] * (1 - q[:, 0] ** 2) * v


def loss(params: dict[str, jax.Array], q: jax.Array, sizes: tuple[int, ...], **_: Any) -> jax.Array:
    """The loss of one batch of points."""

    def first(q: jax.Array) -> tuple[jax.Array, jax.Array]:
        u, back = jax.vjp(lambda q: prediction(params, q, sizes), q)
        return u, back(jnp.ones_like(u))[0]

    by_place = jnp.zeros_like(q).at[:, 0].set(1)
    (u, du), (_, dux) = jax.jvp(first, (q,), (by_place,))
    rest = du[:, 1] + u * du[:, 0] - 0.01 / jnp.pi * dux[:, 0]
    return jnp.mean(rest**2)
