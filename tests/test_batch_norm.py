"""`batch_norm` against PyTorch (stored answers) and JAX; for any number of axes, at the ends of batches and of floats.

`known_answers/batch_norm.py` made the answers. The modules run as plain Python.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.agreement import assert_close, sources_of
from support.emitted import load_plain, poisoned

from gradc.pipeline import check, emit, graphs

with np.load(Path(__file__).parent / "known_answers" / "batch_norm.npz") as archive:
    ANSWERS = dict(archive)

NETWORKS = {
    "flat": """
dim batch
input x[batch, 4]
target y[batch, 2]
first  = dense(x, 3, bias = false)
norm   = batch_norm(first, momentum = 0.3, eps = 1e-3)
second = dense(tanh(norm), 2, bias = false)
last   = batch_norm(second)
predict last
loss mean(squared_error(last, y))
optimize sgd(lr = 0.1)
""",
    "pictures": """
dim batch
input x[batch, 4, 2, 3]
target y[batch, 4, 2, 2]
norm = batch_norm(x)
last = dense(relu(norm), 2)
predict last
loss mean(squared_error(last, y))
optimize sgd(lr = 0.1)
""",
}
BATCHES = ((0, 5), (5, 10), (10, 13))


def answers(part: str) -> dict[str, Any]:
    return {name.removeprefix(f"{part}/"): value for name, value in ANSWERS.items() if name.startswith(f"{part}/")}


def named(module: Any, name: str) -> str:
    """PyTorch's name for a parameter or a running moment."""
    called = name.replace(".gain", ".weight").replace(".offset", ".bias")
    assert name in module.PARAMS
    return called


# ------------------------------------------------------------------ PyTorch


@pytest.mark.parametrize("part", NETWORKS)
def test_twenty_steps_and_a_prediction_follow_pytorch(part: str) -> None:
    wanted, module = answers(part), load_plain(emit(NETWORKS[part], dtype="float64"))
    params = module.init()
    assert len(params) == sum(name.startswith("initial ") for name in wanted)
    for name in params:
        params[name] = wanted[f"initial {named(module, name)}"]
    state = module.init_state(params)
    for step, loss in enumerate(wanted["losses"]):
        begin, end = BATCHES[step % len(BATCHES)]
        found = module.train_step(params, state, wanted["x"][begin:end], wanted["y"][begin:end])
        np.testing.assert_allclose(found, loss, rtol=1e-9)
        for name in params:
            np.testing.assert_allclose(
                params[name], wanted[f"after {named(module, name)}"][step], rtol=1e-9, atol=1e-12, err_msg=name
            )
    np.testing.assert_allclose(module.predict(params, wanted["x"]), wanted["predicted"], rtol=1e-9, atol=1e-12)


def test_one_call_gives_what_pytorch_gives() -> None:
    wanted = answers("alone")
    text = "target weights[4, 5, 3]\nparam x[4, 5, 3] ~ zeros\nv = batch_norm(x)\nloss sum(weights * v)\n"
    text += "state seen[4, 5, 3] ~ zeros\nupdate seen = v\n"
    module = load_plain(emit(text, dtype="float64"))
    params = module.init()
    params["x"], params["v.gain"], params["v.offset"] = wanted["x"], wanted["gain"], wanted["offset"]
    gradients = module.loss_and_gradients(params, wanted["weights"])[1]
    for ours, name in (("x", "x"), ("v.gain", "gain"), ("v.offset", "offset")):
        assert_close(gradients[ours], wanted[f"gradient {name}"], name)
    module.train_step(params, module.init_state(params), wanted["weights"])
    assert_close(params["seen"], wanted["value"], "value")
    for name in ("running_mean", "running_var"):
        assert_close(params[f"v.{name}"], wanted[name], name)


# ------------------------------------------------------------------ JAX


def normalised(x: Any, gain: Any, offset: Any, eps: float) -> Any:
    """In training: over all axes but the last."""
    axes = tuple(range(x.ndim - 1))
    return (x - x.mean(axes)) / jnp.sqrt(x.var(axes) + eps) * gain + offset


@pytest.mark.parametrize("shape", [(5, 3), (3, 2, 2, 4)])
def test_gradients_and_gradients_of_gradients_are_jax_s(shape: tuple[int, ...]) -> None:
    axes = ", ".join(f"d{at}" for at in range(len(shape)))
    sizes = ", ".join(f"d{at} = {size}" for at, size in enumerate(shape) if at)
    text = f"""dim d0
dim {sizes}
input x[{axes}]
target w[{axes}]
param scale ~ ones
inner = scale * x
v = batch_norm(inner, eps = 0.01)
s = sum(w * sin(v))
slope = grad(s, x)
loss s + sum(slope * slope * w)
"""
    rng = np.random.default_rng(len(shape))
    x, w = rng.normal(size=(2, *shape))
    module = load_plain(sources_of(graphs(text), text, "float64").shared)
    params = module.init()
    params["v.gain"], params["v.offset"] = rng.normal(size=(2, shape[-1]))
    params["scale"] = 1.3
    loss, gradients = module.loss_and_gradients(params, x, w)
    with poisoned(module, np.nan):
        assert module.loss_and_gradients(params, x, w)[0] == loss

    def total(x: Any, p: Mapping[str, Any]) -> Any:
        return jnp.sum(w * jnp.sin(normalised(p["scale"] * x, p["v.gain"], p["v.offset"], 0.01)))

    def jax_loss(p: Mapping[str, Any]) -> Any:
        slope = jax.grad(total)(x, p)
        return total(x, p) + jnp.sum(slope * slope * w)

    with jax.enable_x64(True):
        x, w = jnp.asarray(x), jnp.asarray(w)
        trained = {name: jnp.asarray(params[name]) for name in ("scale", "v.gain", "v.offset")}
        wanted, slopes = jax.value_and_grad(jax_loss)(trained)
        assert_close(loss, wanted, "loss")
        for name in trained:
            assert_close(gradients[name], slopes[name], name)


# ------------------------------------------------------------------ ends


def model(body: str, dtype: str = "float64") -> Any:
    return load_plain(emit(f"dim batch\ninput x[batch, 3]\n{body}\nloss mean(v^2)\npredict v\n", dtype=dtype))


def test_one_example_leaves_the_running_variance_as_it_is() -> None:
    module = model("v = batch_norm(x)")
    params = module.init()
    x = np.array([[1.0, 2.0, -3.0]])
    assert module.train_step(params, module.init_state(params), x) == 0.0
    np.testing.assert_array_equal(params["v.running_var"], np.ones(3))
    np.testing.assert_allclose(params["v.running_mean"], 0.1 * x[0])
    np.testing.assert_allclose(module.predict(params, x), 0.9 * x / np.sqrt(1 + 1e-5), rtol=1e-12)


def test_equal_numbers_give_finite_gradients() -> None:
    module = model("v = batch_norm(2 * x)")
    params = module.init()
    loss, gradients = module.loss_and_gradients(params, np.ones((4, 3)))
    assert loss == 0.0
    assert np.isfinite(gradients["v.gain"]).all()


def test_a_large_mean_costs_no_digits_of_the_variance() -> None:
    module = model("v = batch_norm(x)", "float32")
    params = module.init()
    x = (1000 + np.random.default_rng(0).normal(size=(64, 3))).astype(np.float32)
    module.train_step(params, module.init_state(params), x)
    wanted = 0.9 + 0.1 * x.astype(np.float64).var(axis=0, ddof=1)
    np.testing.assert_allclose(params["v.running_var"], wanted, rtol=1e-5)


def test_in_a_shared_definition_one_set_of_moments() -> None:
    text = """dim batch
input x[batch, 3], q[batch, 3]
shared def net(a[b, i]):
    return dense(batch_norm(a), 2)
both = net(concat(x, q, axis = 0))
predict both
loss mean(both^2)
"""
    module = load_plain(emit(text, dtype="float64"))
    assert {"net.batch_norm.gain", "net.batch_norm.running_mean"} < set(module.PARAMS)
    params = module.init()
    x, q = np.random.default_rng(0).normal(size=(2, 4, 3))
    module.train_step(params, module.init_state(params), x, q)
    np.testing.assert_allclose(params["net.batch_norm.running_mean"], 0.1 * np.concatenate([x, q]).mean(axis=0))


def test_differences_agree() -> None:
    report = check(NETWORKS["flat"])
    assert report.passed, str(report)


def test_its_loops_run_along_memory() -> None:
    """In each kernel the channels, which lie side by side, are the innermost loop."""
    source = emit(NETWORKS["pictures"].replace("3]", "48]"))
    rows = [row for row in source.splitlines() if row.lstrip().startswith("for ") and "range(48)" in row]
    assert len(rows) >= 8
    deep = [len(row) - len(row.lstrip()) for row in rows]
    following = source.splitlines()
    for row in rows:
        after = following[following.index(row) + 1]
        assert not after.lstrip().startswith("for "), row
    assert max(deep) > 4
