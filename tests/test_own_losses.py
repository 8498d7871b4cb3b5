"""`optimize … for`: groups of parameters that make scalars of their own less, against JAX and by differences."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.agreement import assert_close, sources_of
from support.emitted import load_plain

import gradc
from gradc.pipeline import check, derive, emit, graphs, inspect

GAME = """
dim batch
input x[batch, 2], z[batch, 2]
shared def critic(q[n, i]):
    h = tanh(dense(q, 5))
    return dense(h, 1)
h = tanh(dense(z, 4))
fake = dense(h, 2)
likely = critic(x)
unlikely = critic(fake)
gap = mean(softplus(-likely)) + mean(softplus(unlikely))
predict fake
loss mean(softplus(-unlikely))
metric gap_too = gap
optimize sgd(lr = 0.1)
optimize critic.* with sgd(lr = 0.2) for gap
"""
CRITIC = ("critic.h.weight", "critic.h.bias", "critic.dense.weight", "critic.dense.bias")


def gap_and_loss(v: dict[str, Any], x: Any, z: Any) -> tuple[Any, Any]:
    def critic(q: Any) -> Any:
        h = jnp.tanh(q @ v["critic.h.weight"] + v["critic.h.bias"])
        return h @ v["critic.dense.weight"] + v["critic.dense.bias"]

    fake = jnp.tanh(z @ v["h.weight"] + v["h.bias"]) @ v["fake.weight"] + v["fake.bias"]
    likely, unlikely = critic(x), critic(fake)
    gap = jax.nn.softplus(-likely).mean() + jax.nn.softplus(unlikely).mean()
    return gap, jax.nn.softplus(-unlikely).mean()


def test_each_group_has_the_gradient_of_its_own_scalar() -> None:
    module = load_plain(sources_of(graphs(GAME), GAME, "float64").shared)
    rng = np.random.default_rng(1)
    x, z = rng.normal(size=(2, 6, 2))
    params = module.init(3)
    loss, gradients = module.loss_and_gradients(params, x, z)
    with jax.enable_x64(True):
        values = {name: jnp.asarray(params[name]) for name in module.PARAMS}
        (_, wanted), slopes = gap_and_loss(values, x, z), jax.jacrev(gap_and_loss)(values, x, z)
        assert_close(loss, wanted, "loss")
        for name in module.PARAMS:
            assert_close(gradients[name], slopes[name not in CRITIC][name], name)
    before = {name: np.array(params[name]) for name in module.PARAMS}
    module.train_step(params, module.init_state(params), x, z)
    for name, value in before.items():
        rate = 0.2 if name in CRITIC else 0.1
        assert_close(params[name], value - rate * gradients[name], name)


def test_differences_are_of_each_group_s_own_scalar() -> None:
    report = check(GAME)
    assert report.passed, str(report)
    assert {row.name for row in report.rows} > set(CRITIC)


def test_a_stopped_gradient_in_a_scalar_of_its_own() -> None:
    text = "param w ~ ones\nparam v ~ ones\na = v^2 * stop_gradient(v) + w\nloss w^2\noptimize sgd(lr = 0.1)\n"
    text += "optimize v with sgd(lr = 0.1) for a\n"
    assert check(text).passed


def test_words_name_what_is_differentiated() -> None:
    shown = str(derive(GAME, of="critic.h.weight"))
    assert "The derivative of gap by critic.h.weight" in shown
    assert "dgap.dgap = 1, the derivative of gap by itself" in shown
    assert "The derivative of the loss by h.weight" in str(derive(GAME, of="h.weight"))
    module = inspect(GAME)
    assert "dY_dX is the derivative of Y's sum by X" in module
    assert "dgap_dcritic_h_weight" in module
    assert "dgap.dcritic.h.bias" in inspect(GAME, stage="gradient")
    assert "dgap.dfake[" not in inspect(GAME, stage="simplified")


def test_a_scalar_may_hold_derivatives() -> None:
    text = "dim n\ninput x[n]\nparam w ~ ones\nparam v ~ ones\nu[i] = tanh(w * v * x[i])\nb = sum(grad(u, x)^2)\n"
    text += "loss sum(u)\noptimize sgd(lr = 1)\noptimize v with sgd(lr = 1) for b\n"
    assert check(text).passed


def test_what_its_scalar_does_not_depend_on_is_warned_of() -> None:
    text = "param w ~ ones\nparam v ~ ones\na = w^2\nloss w + v\noptimize w with sgd(lr = 1)\n"
    with pytest.warns(gradc.GradcWarning, match="a does not depend on v: it will not be trained"):
        emit(text + "optimize v with sgd(lr = 1) for a\n")
    shown = derive(text + "optimize v with sgd(lr = 1) for a\n", of="v")
    assert "a does not depend on v: its derivative is 0 everywhere" in str(shown)
    assert r"\text{a does not depend on it}" in shown.latex


def test_a_model_without_a_loss_has_no_others() -> None:
    text = "param w ~ ones\ninput x\na = w * x\npredict a\noptimize w with sgd(lr = 1) for a\n"
    with pytest.raises(gradc.GradcError, match="and the model has no loss"):
        emit(text)


@pytest.mark.parametrize("line", [0, 1])
def test_clipping_by_norm_is_over_all_gradients_whichever_line_says_it(line: int) -> None:
    lines = GAME.splitlines()
    lines[-2 + line] = re.sub(r"(0\.[12]\))", r"\1, clip_norm = 0.05", lines[-2 + line])
    module = load_plain(emit("\n".join(lines) + "\n", dtype="float64"))
    rng = np.random.default_rng(1)
    x, z = rng.normal(size=(2, 6, 2))
    params = module.init(3)
    _, gradients = module.loss_and_gradients(params, x, z)
    scale = 0.05 / (np.sqrt(np.sum(np.array(gradients.flat) ** 2)) + 1e-6)
    assert scale < 1
    before = {name: np.array(params[name]) for name in module.PARAMS}
    module.train_step(params, module.init_state(params), x, z)
    for name, value in before.items():
        rate = 0.2 if name in CRITIC else 0.1
        assert_close(params[name], value - rate * scale * gradients[name], name)
