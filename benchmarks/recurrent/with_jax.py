"""The recurrent networks in JAX: what the inputs give to the gates at once, then a scan over time."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

Params = dict[str, jax.Array]


def lstm(params: Params, x: jax.Array) -> jax.Array:
    """[batch, time, width] -> [time, batch, units]."""
    weight = params["h.lstm.wh"].reshape(len(params["h.lstm.wh"]), -1)
    given = jnp.einsum("bti,igj->tbgj", x, params["h.lstm.wx"]) + params["h.lstm.bias"]
    zeros = jnp.zeros((x.shape[0], len(weight)))

    def step(carry: tuple[jax.Array, jax.Array], z: jax.Array) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
        h, c = carry
        z = z + (h @ weight).reshape(z.shape)
        c = jax.nn.sigmoid(z[:, 1]) * c + jax.nn.sigmoid(z[:, 0]) * jnp.tanh(z[:, 2])
        h = jax.nn.sigmoid(z[:, 3]) * jnp.tanh(c)
        return (h, c), h

    return lax.scan(step, (zeros, zeros), given)[1]


def gru(params: Params, x: jax.Array) -> jax.Array:
    """[batch, time, width] -> [time, batch, units]."""
    weight = params["h.gru.wh"].reshape(len(params["h.gru.wh"]), -1)
    given = jnp.einsum("bti,igj->tbgj", x, params["h.gru.wx"]) + params["h.gru.bias"]

    def step(h: jax.Array, a: jax.Array) -> tuple[jax.Array, jax.Array]:
        s = (h @ weight).reshape(a.shape)
        r, z = jax.nn.sigmoid(a[:, 0] + s[:, 0]), jax.nn.sigmoid(a[:, 1] + s[:, 1])
        n = jnp.tanh(a[:, 2] + r * (s[:, 2] + params["h.gru.bias_h"]))
        h = (1 - z) * n + z * h
        return h, h

    return lax.scan(step, jnp.zeros((x.shape[0], len(weight))), given)[1]


def logits_of(params: Params, x: jax.Array, layer: str) -> jax.Array:
    """[batch, time] -> [time, batch, signs]."""
    h = {"lstm": lstm, "gru": gru}[layer](params, params["h.embedding.weight"][x])
    return h @ params["logits.weight"] + params["logits.bias"]


def prediction(params: Params, x: jax.Array, layer: str, **_: Any) -> jax.Array:
    """Of one batch: [batch, time, signs]."""
    return jax.nn.softmax(logits_of(params, x, layer)).swapaxes(0, 1)


def loss(params: Params, x: jax.Array, y: jax.Array, layer: str, **_: Any) -> jax.Array:
    """The loss of one batch."""
    logits = logits_of(params, x, layer)
    picked = jnp.take_along_axis(jax.nn.log_softmax(logits), y.T[:, :, None], axis=2)
    return -jnp.mean(picked)
