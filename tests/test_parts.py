"""Tensors written in parts, one after the other or in turn: each part is written once, and nothing is zeroed before."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.agreement import assert_close
from support.emitted import load_plain

from gradc.pipeline import emit, graphs
from gradc.schedule.build import schedule
from gradc.schedule.program import plain_steps
from gradc.schedule.verify import verify_program

MODEL = """
dim batch
input x[batch, 6], y[batch, 4]
param s[6] ~ normal()
{equations}
loss mean(sin(z) ^ 2)
"""
IN_PARTS = {
    "one after the other": (
        "z[b, i: 6] = x[b, i] * s[i]\nz[b, (j: 4) + 6] = y[b, j] ^ 2",
        lambda x, y, s: jnp.concatenate([x * s, y**2], 1),
    ),
    "one place, then ranges": (
        "z[b: batch, 0] = 0.5\nz[b, (j: 4) + 1] = y[b, j] ^ 2\nz[b, (i: 6) + 5] = x[b, i] * s[i]",
        lambda x, y, s: jnp.concatenate([0.5 + 0 * x[:, :1], y**2, x * s], 1),
    ),
    "of a batch's length each": (
        "z[b: batch, i: 6] = x[b, i] * s[i]\nz[(b: batch) + batch, i] = x[b, i] ^ 2",
        lambda x, y, s: jnp.concatenate([x * s, x**2], 0),
    ),
    "in turn": (
        "z[b, 2 * (n: 3)] = x[b, 2 * n] * s[n]\nz[b, 2 * (n: 3) + 1] = x[b, 2 * n + 1] * y[b, n]",
        lambda x, y, s: jnp.stack([x[:, ::2] * s[:3], x[:, 1::2] * y[:, :3]], 2).reshape(-1, 6),
    ),
    "three in turn": (
        "z[b, 3 * (n: 4) + 1] = y[b, n]\nz[b, 3 * (n: 4)] = y[b, n] * s[n]\nz[b, 3 * (n: 4) + 2] = s[n] + 0 * x[b, 0]",
        lambda x, y, s: jnp.stack([y * s[:4], y, s[:4] + 0 * y], 2).reshape(-1, 12),
    ),
}


def program_of(text):
    graph = graphs(text).gradient
    assert graph is not None
    program = schedule(graph)
    verify_program(program)
    return program


def agrees(text, function):
    """Loss and gradient are those of JAX."""
    module = load_plain(emit(text, dtype="float64"))
    rng = np.random.default_rng(2)
    x, y, s = rng.normal(size=(3, 6)), rng.normal(size=(3, 4)), rng.normal(size=6)
    params = module.init()
    params["s"] = s
    loss, gradients = module.loss_and_gradients(params, x=x, y=y)
    with jax.enable_x64(True):
        wanted, slope = jax.value_and_grad(lambda s: (jnp.sin(function(x, y, s)) ** 2).mean())(jnp.asarray(s))
    assert_close(loss, wanted, "loss")
    assert_close(gradients["s"], slope, "s")


@pytest.mark.parametrize("name", IN_PARTS)
def test_each_part_is_written_once(name):
    equations, function = IN_PARTS[name]
    text = MODEL.format(equations=equations)
    (axis,) = {s.parts for step in plain_steps(program_of(text).steps) for s in step.statements()
               if s.equation.target == "z"}  # fmt: skip
    assert axis is not None
    code = emit(text)
    assert "z[...]" not in code
    assert "z[b, ...]" not in code
    assert not any("z[" in row.split("+=")[0] for row in code.splitlines() if "+=" in row)
    agrees(text, function)


def test_parts_in_turn_share_a_loop():
    text = MODEL.format(equations=IN_PARTS["in turn"][0])
    (nest,) = [step for step in plain_steps(program_of(text).steps) if "z" in step.written]
    assert {s.path for s in nest.statements() if s.equation.target == "z"} == {("b", "n")}


def test_a_part_that_reads_another_comes_after_it():
    agrees(
        MODEL.format(equations="z[b, 2 * (n: 3)] = x[b, n] * s[n]\nz[b, 2 * (n: 3) + 1] = z[b, 4 - 2 * n] ^ 2"),
        lambda x, y, s: jnp.stack([x[:, :3] * s[:3], (x[:, :3] * s[:3])[:, ::-1] ** 2], 2).reshape(-1, 6),
    )


def test_rounds_of_a_recurrence_are_no_parts():
    agrees(
        MODEL.format(equations="z[b: batch, 0] = s[0]\nz[b, (t: 6) + 1] = tanh(z[b, t] * x[b, t] + s[t])"),
        lambda x, y, s: _recurrence(x, s),
    )


def _recurrence(x, s):
    rows = [s[0] + 0 * x[:, 0]]
    for t in range(6):
        rows.append(jnp.tanh(rows[-1] * x[:, t] + s[t]))
    return jnp.stack(rows, 1)


def test_contributions_to_a_part_become_one():
    """Each place of v is read in turn by two equations: of its derivative, two parts of two terms."""
    text = MODEL.format(
        equations="v[b, i: 6] = tanh(x[b, i] * s[i])\n"
        "z[b, 2 * (n: 3)] = v[b, 2 * n] * y[b, n] - v[b, 2 * n + 1] * y[b, n + 1]\n"
        "z[b, 2 * (n: 3) + 1] = v[b, 2 * n] * y[b, n + 1] + v[b, 2 * n + 1] * y[b, n]"
    )
    graph = graphs(text).gradient
    assert graph is not None
    assert len(graph.writers["d_v"]) == 2

    def turned(x, y, s):
        v = jnp.tanh(x * s)
        a, b, c, d = v[:, ::2], v[:, 1::2], y[:, :3], y[:, 1:]
        return jnp.stack([a * c - b * d, a * d + b * c], 2).reshape(-1, 6)

    agrees(text, turned)


@pytest.mark.parametrize(
    ("equations", "function"),
    [
        ("z[b, 2 * (n: 3)] = v[b, 2 * n]\nz[b, 2 * (n: 3) + 1] = y[b, n]", lambda v, y: (v[:, ::2], y[:, :3])),
        ("z[b, i: 4] = v[b, i]\nz[b, (i: 4) + 4] = v[b, i + 1]", lambda v, y: (v[:, :4], v[:, 1:5])),
        ("z[b, i: 3] = v[b, i]\nz[b, (i: 3) + 3] = v[b, i + 3]", lambda v, y: (v[:, :3], v[:, 3:])),
        ("z[b, n: 3] = v[b, 2 * n]\nz[b, (n: 3) + 3] = v[b, 5 - 2 * n]", lambda v, y: (v[:, ::2], v[:, ::-2])),
    ],
    ids=["every other", "ranges that overlap", "ranges side by side", "in turn, one backwards"],
)
def test_derivatives_by_parts(equations, function):
    """What no part of d_v writes is 0, and what two write is their sum."""
    agrees(
        MODEL.format(equations=f"v[b, i: 6] = tanh(x[b, i] * s[i])\n{equations}"),
        lambda x, y, s: jnp.concatenate([part.ravel() for part in function(jnp.tanh(x * s), y)]),
    )
