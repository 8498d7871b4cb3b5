"""Of a tensor that is read at one place of an axis only that place is made, and sums leave out places nobody writes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.agreement import assert_close
from support.emitted import load_compiled, load_plain

from gradc.pipeline import emit, graphs

HEAD = """
dim batch, time
input x[batch, time, 3]
input weights[batch, 4]
param w[3, 4] ~ normal()
param v[4, 4] ~ normal()
"""
TAIL = """
loss sum(weights * y)
optimize sgd(lr = 0.1)
"""

MODELS = {
    "the last of all steps": (
        "h = tanh(x @ w)\nz = h @ v\ny[b, j] = z[b, time - 1, j]",
        lambda w, v, x: (jnp.tanh(x @ w) @ v)[:, -1],
    ),
    "the first of all columns": (
        "h = tanh(x @ w)\ns[b, t] = h[b, t, 0]\ny[b, j] = sum[t](s[b, t]^2) * v[0, j]",
        lambda w, v, x: (jnp.tanh(x @ w)[..., 0] ** 2).sum(1)[:, None] * v[0],
    ),
    "a place of two": (
        "h[b, 0, j] = sum[i](x[b, 0, i] * w[i, j])\nh[b, 1, j] = x[b, 0, 0] * v[0, j]\ny[b, j] = exp(h[b, 1, j])",
        lambda w, v, x: jnp.exp(x[:, 0, :1] * v[0]),
    ),
    "one column of four": (
        "h[b, k: 4] = if k == 2 then sum[i](x[b, 0, i] * w[i, 1]) else 0\ny = sin(h @ v)",
        lambda w, v, x: jnp.sin((x[:, 0] @ w[:, 1])[:, None] * v[2]),
    ),
    "a recurrence, of which the last step is read": (
        "h[b, t, j] = if t > 0 then tanh(h[b, t - 1, j]) + x[b, t, 0] else sum[i](x[b, 0, i] * w[i, j])\n"
        "z = h @ v\ny[b, j] = z[b, time - 1, j]",
        lambda w, v, x: _recurrence(x, w) @ v,
    ),
}

WAVE = """
dim n
input q[n, 3]
param w[3, 5] ~ normal()
param v[5, 1] ~ normal()
u[r: n] = sum[k](tanh(sum[i](q[r, i] * w[i, k])) * v[k, 0])
ux[r] = grad(u, q)[r, 0]
uxx[r] = grad(ux, q)[r, 0]
ut[r] = grad(u, q)[r, 2]
utt[r] = grad(ut, q)[r, 2]
predict u
loss mean((utt - uxx * u)^2)
optimize sgd(lr = 0.1)
"""


def _recurrence(x, w):
    h = x[:, 0] @ w
    for t in range(1, x.shape[1]):
        h = jnp.tanh(h) + x[:, t, :1]
    return h


@pytest.mark.parametrize("name", MODELS)
def test_values_and_slopes(name):
    lines, formula = MODELS[name]
    rng = np.random.default_rng(3)
    x, weights = rng.normal(size=(4, 6, 3)), rng.normal(size=(4, 4))
    module = load_plain(emit(f"{HEAD}{lines}\n{TAIL}", dtype="float64"))
    params = module.init(seed=1)
    loss, gradients = module.loss_and_gradients(params, x, weights)
    with jax.enable_x64(True):
        given = jnp.asarray(params["w"]), jnp.asarray(params["v"])
        wanted, slopes = jax.value_and_grad(lambda w, v: (weights * formula(w, v, x)).sum(), (0, 1))(*given)
    assert_close(loss, wanted, "loss")
    for parameter, slope in zip("wv", slopes, strict=True):
        assert_close(gradients[parameter], slope, parameter)


def test_what_is_read_at_its_last_step_is_made_there_alone():
    """Neither the product nor the function nor a slope goes through the steps."""
    graph = graphs(f"{HEAD}{MODELS['the last of all steps'][0]}\n{TAIL}").gradient
    assert graph is not None
    assert all("time" not in index.extent.dims for equation in graph.equations for index in equation.indices)


@pytest.mark.parametrize("compiled", [False, True])
def test_second_derivatives_by_one_of_several_inputs(tmp_path, compiled):
    """Each is a scalar by a column: no slope has rows for the inputs that it is not by."""
    code = emit(WAVE, dtype="float64")
    module = load_compiled(code, tmp_path) if compiled else load_plain(code)
    q = np.random.default_rng(5).normal(size=(7, 3))
    params = module.init(seed=2)
    loss, gradients = module.loss_and_gradients(params, q)

    def wave(w, v):
        def u(row):
            return (jnp.tanh(row @ w) @ v)[0]

        def residual(row):
            second = jax.hessian(u)(row)
            return second[2, 2] - second[0, 0] * u(row)

        return (jax.vmap(residual)(jnp.asarray(q)) ** 2).mean()

    with jax.enable_x64(True):
        wanted, slopes = jax.value_and_grad(wave, (0, 1))(jnp.asarray(params["w"]), jnp.asarray(params["v"]))
    assert_close(loss, wanted, "loss")
    for parameter, slope in zip("wv", slopes, strict=True):
        assert_close(gradients[parameter], slope, parameter)
    graph = graphs(WAVE).gradient
    assert graph is not None
    written = {e.write[1] for name in graph.writers if name.endswith((".dq", "d_dq")) for e in graph.writers[name]}
    assert written
    assert not any(place.indices for place in written)
