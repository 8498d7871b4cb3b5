"""The residual network in JAX, channels last; the running moments go round with the step."""

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax


@dataclass(frozen=True, slots=True)
class Network:
    """The layers by name. A norm leaves its new running moments in `states`."""

    params: dict[str, jax.Array]
    training: bool
    states: dict[str, jax.Array] = field(default_factory=dict)

    def conv(self, x: jax.Array, name: str, stride: int = 1) -> jax.Array:
        """A convolution with as many zeros on each side as PyTorch's."""
        weight = self.params[f"{name}.weight"]
        pad = len(weight) // 2
        return lax.conv_general_dilated(
            x, weight, (stride, stride), [(pad, pad)] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    def norm(self, x: jax.Array, name: str) -> jax.Array:
        """Batch norm, by the running moments where it is not training."""
        scale, offset = self.params[f"{name}.gain"], self.params[f"{name}.offset"]
        if not self.training:
            mean, variance = self.params[f"{name}.running_mean"], self.params[f"{name}.running_var"]
            return (x - mean) * (scale * lax.rsqrt(variance + 1e-5)) + offset
        mean, variance = jnp.mean(x, (0, 1, 2)), jnp.var(x, (0, 1, 2))
        count = x.size // x.shape[-1]
        for moment, value in (("mean", mean), ("var", variance * count / (count - 1))):
            key = f"{name}.running_{moment}"
            self.states[key] = 0.9 * self.params[key] + 0.1 * lax.stop_gradient(value)
        return (x - mean) * (scale * lax.rsqrt(variance + 1e-5)) + offset

    def block(self, x: jax.Array, name: str, first: str, stride: int) -> jax.Array:
        """Two convolutions beside x, or beside its projection where they make it smaller."""
        inner = jax.nn.relu(self.norm(self.conv(x, f"{name}.inner.{first}", stride), f"{name}.inner.batch_norm"))
        outer = self.norm(self.conv(inner, f"{name}.outer.conv.conv2d"), f"{name}.outer.batch_norm")
        if stride > 1:
            x = self.norm(self.conv(x, f"{name}.short.conv2d", stride), f"{name}.short.batch_norm")
        return jax.nn.relu(outer + x)

    def logits(self, x: jax.Array) -> jax.Array:
        """[batch, rows, columns, 3] -> [batch, classes]."""
        x = jax.nn.relu(self.norm(self.conv(x, "h.conv.conv2d"), "h.batch_norm"))
        x = self.block(x, "h_2", "conv.conv2d", 1)
        x = self.block(x, "h_3", "halve", 2)
        x = self.block(x, "h_4", "halve", 2)
        return jnp.mean(x, (1, 2)) @ self.params["logits.weight"] + self.params["logits.bias"]


def prediction(params: dict[str, jax.Array], x: jax.Array, **_: Any) -> jax.Array:
    """Of one batch."""
    return jax.nn.softmax(Network(params, training=False).logits(x))


def loss(params: dict[str, jax.Array], x: jax.Array, y: jax.Array, **_: Any) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The loss of one batch, and the running moments after it."""
    network = Network(params, training=True)
    logits = network.logits(x)
    picked = jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], axis=1)
    return -jnp.mean(picked), network.states
