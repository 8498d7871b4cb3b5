"""The transformer in JAX."""

from typing import Any

import jax
import jax.numpy as jnp

Params = dict[str, jax.Array]


def norm(params: Params, name: str, x: jax.Array) -> jax.Array:
    """Layer norm."""
    mean, variance = jnp.mean(x, 2, keepdims=True), jnp.var(x, 2, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(variance + 1e-5) * params[f"{name}.gain"] + params[f"{name}.offset"]


def attention(params: Params, name: str, x: jax.Array) -> jax.Array:
    """Each place sees those up to it."""
    weights = jnp.stack([params[f"{name}.{one}.weight"] for one in "qkv"])
    biases = jnp.stack([params[f"{name}.{one}.bias"] for one in "qkv"])
    q, k, v = jnp.einsum("bti,nihd->nbthd", x, weights) + biases[:, None, None]
    score = jnp.einsum("bthd,buhd->bhtu", q, k) / q.shape[-1] ** 0.5
    past = jnp.tril(jnp.ones(score.shape[2:], bool))
    weight = jax.nn.softmax(jnp.where(past, score, -jnp.inf))
    seen = jnp.einsum("bhtu,buhd->bthd", weight, v)
    return jnp.einsum("bthd,hdo->bto", seen, params[f"{name}.out.weight"]) + params[f"{name}.out.bias"]


def dense(params: Params, name: str, x: jax.Array) -> jax.Array:
    """An affine map."""
    return x @ params[f"{name}.weight"] + params[f"{name}.bias"]


def logits_of(params: Params, x: jax.Array, blocks: int) -> jax.Array:
    """[batch, time] -> [batch, time, signs]."""
    h = params["seen.weight"][x] + params["place"]
    for name in (f"h_{2 + block}" for block in range(blocks)):
        h = h + attention(params, f"{name}.attended", norm(params, f"{name}.norm", h))
        inner = jax.nn.gelu(dense(params, f"{name}.inner", norm(params, f"{name}.norm_2", h)), approximate=False)
        h = h + dense(params, f"{name}.outer", inner)
    return dense(params, "logits.dense", norm(params, "logits.layer_norm", h))


def prediction(params: Params, x: jax.Array, blocks: int, **_: Any) -> jax.Array:
    """Of one batch."""
    return jax.nn.softmax(logits_of(params, x, blocks))


def loss(params: Params, x: jax.Array, y: jax.Array, blocks: int, **_: Any) -> jax.Array:
    """The loss of one batch."""
    logits = logits_of(params, x, blocks)
    picked = jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, :, None], axis=2)
    return -jnp.mean(picked)
