"""Steps by the gradients of large weights, taken while workers make them, and products with those weights by all."""

import inspect

import numpy as np
import pytest
from support.emitted import load_compiled, load_plain

from gradc.emit import products
from gradc.pipeline import emit
from gradc.schedule import build, shard

pytest.importorskip("threadpoolctl")

NET = """
dim batch
input  x[batch, 40]
target y[batch] : int(10)
a      = tanh(dense(x, 30))
h      = relu(dense(a, 50))
logits = dense(h, 10)
loss   mean(cross_entropy(logits, y))
"""
READ_AFTER = NET.replace("logits, y))", "logits, y)) + sum(a.weight^2)")
ITERATED = """
dim batch
input  x[batch, 40]
param  u[40, 40] ~ normal()
d      = dense(x, 40)
h[b, 0, j] = d[b, j]
h[b, (t: 3) + 1, j] = tanh(sum[i](h[b, t, i] * u[i, j]) / 7 + d[b, j])
end[b, j] = h[b, 3, j]
loss   mean(end^2)
"""
TRANSPOSED = """
dim batch
input  x[batch, 40]
param  w[60, 40] ~ normal()
d      = tanh(dense(x, 40))
a[b, i] = sum[o](d[b, o] * w[i, o])
loss   mean(a^2)
"""
OF_MANY_ROWS = """
dim batch
input  x[batch, 20, 40]
d      = tanh(dense(x, 40))
loss   mean(d^2)
"""
SHARED = """
dim batch
input  x[batch, 40], z[batch, 40]
shared def side(v[b, i]) = tanh(dense(v, 30))
gap    = side(x) - side(z)
loss   mean(gap^2)
"""
SIGNED = """
optimizer signed(lr = 0.1):
    state s ~ 0.5
    s = 0.9 * s + g
    p = p - lr * s / (1 + abs(s))
"""


@pytest.fixture
def _small_is_large(monkeypatch):
    """Weights of a thousand numbers are large, and stepped a few rows at a time."""
    monkeypatch.setattr(shard, "JOINT_RESULT", 1000)
    monkeypatch.setattr(products, "STEPPED_NUMBERS", 400)
    monkeypatch.setattr(build, "SHARDED_WORK", 0)


@pytest.mark.parametrize(
    ("text", "stepped", "by_all"),
    [
        *((f"{NET}optimize {rule}", 2, 2) for rule in ("adam()", "sgd(lr = 0.1, momentum = 0.9)", "lion()")),
        (f"{SIGNED}{NET}optimize signed(lr = 1e-3)", 2, 2),
        (f"{NET}optimize a.* with sgd(lr = 0.1)\noptimize adam()", 2, 2),
        (f"{NET}optimize adam(), clip_value = 0.01", 2, 2),
        (f"{NET}optimize adam(), clip_norm = 0.1", 0, 2),
        (f"{NET}freeze a.*\noptimize adam()", 1, 2),
        (f"{READ_AFTER}optimize adam()", 1, 2),
        (f"{ITERATED}optimize adam()", 2, 1),
        (f"{SHARED}optimize adam()", 0, 2),
        (f"{TRANSPOSED}optimize adam()", 2, 2),  # with `w` not `a`, but `d_d`
        (f"{OF_MANY_ROWS}optimize adam()", 1, 0),
    ],
)
@pytest.mark.usefixtures("_small_is_large")
def test_a_step_with_the_product_is_one_after_it(text, stepped, by_all, monkeypatch):
    """As by the gradients that callers get, by workers with rows and without."""
    source = emit(f"{text}\n", dtype="float64")
    assert _function(source, "joint_steps").count(" gemm(") == stepped
    assert _function(source, "over_rows").count("gemm_by_all(") == by_all
    module = load_plain(source)
    rng = np.random.default_rng(0)
    data = {name: rng.normal(size=(7, *shape[1:])) for name, (_, shape) in module.INPUTS.items()}
    data |= {name: rng.integers(0, 10, 7) for name in module.TARGETS}
    expected, expected_moments = _steps_by_gradients(module, data, "a." if "freeze" in text else None)
    for workers in (1, 2, 3, 9):
        monkeypatch.setattr(module, "shards_of", lambda *_, workers=workers: workers)
        params = module.init(seed=1)
        state = module.init_state(params)
        for _ in range(2):
            module.train_step(params, state, **data)
        np.testing.assert_allclose(params.flat, expected, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(state.flat, expected_moments, rtol=1e-9, atol=1e-12)


def _function(source, name):
    """The text of a function in a module, or none."""
    _, _, rest = source.partition(f"\ndef {name}(")
    return rest.partition("\n\n\n")[0]


def _steps_by_gradients(module, data, frozen):
    """Parameters and moments after two steps, each of all gradients at once; but of those that are frozen."""
    params = module.init(seed=1)
    moments = module.init_state(params).flat
    trained = sum(params[name].size for name in params if frozen is None or not name.startswith(frozen))
    over = (0, trained) if "first" in inspect.signature(module.update).parameters else ()
    for t in (1, 2):
        _, gradients = module.loss_and_gradients(params, **data)
        module.update(params.flat, gradients.flat, moments, float(t), *over)
    return params.flat, moments


@pytest.mark.usefixtures("_small_is_large")
def test_compiled_steps_are_those_of_one_worker(tmp_path, monkeypatch):
    """Within rounding; and to the bit for as many workers."""
    module = load_compiled(emit(f"{NET}optimize adam()\n", dtype="float64"), tmp_path)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(11, 40)), rng.integers(0, 10, 11)
    found = []
    for workers in (1, 2, 2, 3):
        monkeypatch.setattr(module, "shards_of", lambda *_, workers=workers: workers)
        params = module.init(seed=1)
        state = module.init_state(params)
        losses = [module.train_step(params, state, x, y) for _ in range(5)]
        found.append((losses, params.flat))
    for losses, params in found[1:]:
        np.testing.assert_allclose(losses, found[0][0], rtol=1e-12)
        np.testing.assert_allclose(params, found[0][1], rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(found[1][1], found[2][1])
