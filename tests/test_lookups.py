"""Products of rows that are looked up become products of the table, where it has fewer rows; values and slopes stay."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.agreement import assert_close
from support.emitted import load_compiled, load_plain

from gradc.pipeline import derive, emit, graphs

HEAD = """
dim batch, time
input x[batch, time] : int(7)
input a[batch, time]
input weights[batch, time, 3]
param e[7, 5] ~ normal()
param w[5, 3] ~ normal()
"""
TAIL = """
loss sum(weights * y)
optimize sgd(lr = 0.1)
"""

PRODUCTS = {
    "in place": ("y[b, t, j] = sum[i](e[x[b, t], i] * w[i, j])", lambda e, w, x, a: e[x] @ w),
    "by an equation": ("h = embedding_of(x, e)\ny = h @ w", lambda e, w, x, a: e[x] @ w),
    "with another factor": (
        "h = embedding_of(x, e)\ny[b, t, j] = sum[i](a[b, t] * h[b, t, i] * w[i, j])",
        lambda e, w, x, a: a[..., None] * (e[x] @ w),
    ),
    "columns": ("y[b, t, j] = sum[i](e[i, x[b, t]] * w[i, j])", lambda e, w, x, a: e.T[x] @ w),
    "a recurrence that reads them": (
        "h = embedding_of(x, e)\nz = h @ w\ny[b, t, j] = z[b, t, j] + (if t > 0 then tanh(y[b, t - 1, j]) else 0)",
        lambda e, w, x, a: _recurrence(e[x] @ w),
    ),
    "rows that something else reads too": (
        "h = embedding_of(x, e)\ny[b, t, j] = sum[i](h[b, t, i] * w[i, j]) + sum[k](h[b, t, k]^2)",
        lambda e, w, x, a: e[x] @ w + (e[x] ** 2).sum(-1, keepdims=True),
    ),
}
OTHERS = {
    "a table of more rows than places": ("param e[7,", "param e[900,"),
    "a window of rows": (
        "y[b, t, j] = sum[i](e[x[b, t], i] * w[i, j])",
        "y[b, t: time, j] = sum[i, u: 2](e[x[b, min(t + u, time - 1)], i] * w[i, j])",
    ),
    "a factor that differs from place to place": (
        "sum[i](e[x[b, t], i] * w[i, j])",
        "sum[i](e[x[b, t], i] * w[i, j] * sin(t + i))",
    ),
}


def _recurrence(z):
    made = [z[:, 0]]
    for t in range(1, z.shape[1]):
        made.append(z[:, t] + jnp.tanh(made[-1]))
    return jnp.stack(made, axis=1)


def model(product: str) -> str:
    definition = "def embedding_of(x, e):\n    h[b, t, i] = e[x[b, t], i]\n    return h\n"
    head = HEAD.replace("param e[7, 5]", "param e[5, 7]") if "e[i, x" in product else HEAD
    return f"{definition}{head}{product}\n{TAIL}"


def tables(text: str) -> set[str]:
    return {name for name in graphs(text).forward.tensors if name.endswith(".table")}


@pytest.mark.parametrize("name", PRODUCTS)
def test_values_and_slopes(name):
    product, formula = PRODUCTS[name]
    text = model(product)
    assert tables(text)
    rng = np.random.default_rng(3)
    x, a, weights = rng.integers(0, 7, (4, 6)), rng.normal(size=(4, 6)), rng.normal(size=(4, 6, 3))
    module = load_plain(emit(text, dtype="float64"))
    params = module.init(seed=1)
    loss, gradients = module.loss_and_gradients(params, x, a, weights)
    with jax.enable_x64(True):
        given = jnp.asarray(params["e"]), jnp.asarray(params["w"])
        wanted, slopes = jax.value_and_grad(lambda e, w: (weights * formula(e, w, x, a)).sum(), (0, 1))(*given)
    assert_close(loss, wanted, "loss")
    for parameter, slope in zip("ew", slopes, strict=True):
        assert_close(gradients[parameter], slope, parameter)


def test_rows_that_only_a_product_reads_are_not_written():
    code = emit(model(PRODUCTS["a recurrence that reads them"][0]))
    assert "z_table[x[b, t], j]" in code
    assert not re.search(r"^ *[hz] = view\(", code, re.MULTILINE)


@pytest.mark.parametrize("name", OTHERS)
def test_what_stays(name):
    before, after = OTHERS[name]
    text = model(PRODUCTS["in place"][0])
    assert before in text
    assert not tables(text.replace(before, after))


def test_workers_have_a_table_each_and_add_up_its_slopes(tmp_path, monkeypatch):
    """The table is made by each of them, and what is made of its slopes comes after the rows."""
    text = (
        "dim batch\ninput x[batch, 20] : int(12)\ntarget y[batch, 20] : int(12)\n"
        "logits = dense(lstm(embedding(x, 12, 24), 16), 12)\n"
        "loss mean(cross_entropy(logits, y))\noptimize sgd(lr = 1)\n"
    )
    assert tables(text)
    code = emit(text, dtype="float64")
    assert "def of_sums(" in code
    module = load_compiled(code, tmp_path)
    x, y = np.random.default_rng(0).integers(0, 12, (2, 9, 20))
    ends = []
    for workers in (1, 2, 3):
        monkeypatch.setattr(module, "shards_of", lambda *_, workers=workers: workers)
        params = module.init(seed=0)
        state = module.init_state(params)
        losses = [module.train_step(params, state, x, y) for _ in range(4)]
        ends.append((losses, params.flat.copy()))
    assert ends[0][0][-1] < ends[0][0][0]
    for losses, flat in ends[1:]:
        np.testing.assert_allclose(losses, ends[0][0], rtol=1e-12)
        np.testing.assert_allclose(flat, ends[0][1], rtol=1e-9, atol=1e-12)


def test_what_is_out_of_range_is_told():
    module = load_plain(emit(model(PRODUCTS["in place"][0]), dtype="float64"))
    x = np.zeros((2, 3), int)
    x[1, 2] = 7
    with pytest.raises(ValueError, match=r"x\[1, 2\] is 7"):
        module.loss_and_gradients(module.init(), x, np.zeros((2, 3)), np.zeros((2, 3, 3)))


def test_the_derivation_says_what_became_of_the_product():
    text = str(derive(model(PRODUCTS["a recurrence that reads them"][0]), file="model.grad", of="w"))
    assert "Rewritten before it is differentiated, by “lookups”" in text
    assert "as written   z[b, t, j] = sum[i](h[b, t, i]*w[i, j])" in text
    assert "instead      z.table[s, j] = sum[i](" in text
