"""JAX: one jitted step with donated buffers, Adam written over the tree of parameters."""

import importlib
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.row import Row

from . import Arrays, Peer

Tree = dict[str, jax.Array]


@partial(jax.jit, static_argnums=0, donate_argnums=(1, 2, 3, 4))
def train(loss_of: Any, params: Tree, m: Tree, v: Tree, t: jax.Array, data: Tree) -> tuple[Any, ...]:
    """One step of Adam."""
    loss, gradients = jax.value_and_grad(loss_of)(params, **data)
    t = t + 1
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, gradients)
    v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, gradients)
    size, unbias = 1e-3 / (1 - 0.9**t), 1 / (1 - 0.999**t)
    params = jax.tree.map(lambda p, m, v: p - size * m / (jnp.sqrt(v * unbias) + 1e-8), params, m, v)
    return loss, params, m, v, t


def peers(row: Row, arrays: Arrays) -> dict[str, Peer]:
    """The jitted step."""
    statement = importlib.import_module(f"benchmarks.{row.family}.with_jax")
    loss_of = partial(statement.loss, **row.options)
    data = {name: jnp.asarray(array) for name, array in arrays.data.items()}
    carried: list[Any] = []

    def restart() -> None:
        # copies: donated buffers must not be NumPy's own
        params = {name: jnp.array(array, copy=True) for name, array in arrays.params.items()}
        zeros = [{name: jnp.zeros_like(array) for name, array in params.items()} for _ in range(2)]
        carried[:] = [params, *zeros, jnp.asarray(np.float32(0))]

    def step() -> Any:
        loss, *carried[:] = train(loss_of, *carried, data)
        return loss

    def wait(loss: Any) -> float:
        jax.block_until_ready(carried)
        return float(loss)

    return {"": Peer(step, wait, restart)}
