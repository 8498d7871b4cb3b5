"""JAX: one jitted step with donated buffers, Adam written over the tree of parameters."""

import importlib
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.row import Row

from . import Arrays, Peer, predictor

Tree = dict[str, jax.Array]


@partial(jax.jit, static_argnums=0, donate_argnums=(1, 2, 3))
def train(loss_of: Any, params: Tree, states: Tree, moments: tuple[Any, ...], data: Tree) -> tuple[Any, ...]:
    """One step of Adam."""
    m, v, t = moments
    (loss, states), gradients = jax.value_and_grad(loss_of, has_aux=True)(params, states, data)
    t = t + 1
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, gradients)
    v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, gradients)
    size, unbias = 1e-3 / (1 - 0.9**t), 1 / (1 - 0.999**t)
    params = jax.tree.map(lambda p, m, v: p - size * m / (jnp.sqrt(v * unbias) + 1e-8), params, m, v)
    return loss, params, states, (m, v, t)


def peers(row: Row, arrays: Arrays) -> dict[str, Peer]:
    """The jitted step."""
    statement = importlib.import_module(f"benchmarks.{row.family}.with_jax")

    def loss_of(params: Tree, states: Tree, data: Tree) -> tuple[jax.Array, Tree]:
        # a statement gives new states beside the loss if it has any
        answer = statement.loss({**params, **states}, **data, **row.options)
        return answer if states else (answer, {})

    data = {name: jnp.asarray(array) for name, array in arrays.data.items()}
    carried: list[Any] = []

    def restart() -> None:
        # copies: donated buffers must not be NumPy's own
        params, states = (jax.tree.map(partial(jnp.array, copy=True), dict(a)) for a in (arrays.params, arrays.states))
        zeros = [jax.tree.map(jnp.zeros_like, params) for _ in range(2)]
        carried[:] = [params, states, (*zeros, jnp.asarray(np.float32(0)))]

    def step() -> Any:
        loss, *carried[:] = train(loss_of, *carried, data)
        return loss

    def wait(loss: Any) -> float:
        jax.block_until_ready(carried)
        return float(loss)

    return {"": Peer(step, wait, restart, wait)}


def predictors(row: Row, arrays: Arrays) -> dict[str, Peer]:
    """The jitted prediction."""
    statement = importlib.import_module(f"benchmarks.{row.family}.with_jax")
    params = jax.tree.map(jnp.asarray, {**arrays.params, **arrays.states})
    data = {name: jnp.asarray(array) for name, array in arrays.data.items()}
    predict = jax.jit(lambda params, data: statement.prediction(params, **data, **row.options))
    return {"": predictor(lambda: predict(params, data))}
