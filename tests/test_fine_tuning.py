"""Frozen parameters and groups with rules of their own, from the model's text to training that goes on."""

import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from support.emitted import load_plain

import gradc
from gradc import pipeline

MODEL = """
dim batch
dim n = 4, classes = 3
input x[batch, n]
target y[batch] : int(classes)

def net(x[b, i]):
    h1 = tanh(dense(x, 5))
    h2 = tanh(dense(h1, 5))
    return h2

backbone = net(x)
head     = dense(backbone, classes)
predict p = softmax(head)
loss mean(cross_entropy(head, y))
"""
FROZEN = "freeze backbone.h1.*\n"
GROUPS = "optimize momentum(lr = 0.1)\noptimize head.* with sgd(lr = 0.5)\n"
MOMENTUM = """
optimizer momentum(lr = 0.01, mu = 0.9):
    state v ~ zeros
    v = mu * v + g
    p = p - lr * v
"""
X = np.random.default_rng(0).normal(size=(12, 4))
Y = np.random.default_rng(1).integers(0, 3, 12)


def module_of(text: str) -> ModuleType:
    return load_plain(pipeline.emit(text, dtype="float64"))


def test_nothing_is_computed_for_what_is_frozen():
    module = module_of(MODEL + FROZEN)
    kept = [name for name in module.PARAMS if not name.startswith("backbone.h1.")]
    assert {name.rsplit(".", 1)[0] for name in module.MOMENTS} == set(kept)
    source = pipeline.emit(MODEL + FROZEN)
    assert not re.search(r"\bd_backbone_h1", source)
    assert re.search(r"\bd_backbone_h2", source)
    # what lies before it gets no gradient either, and everything else the one it would get anyway
    whole = module_of(MODEL)
    params, other = module.init(3), whole.init(3)
    loss, gradients = module.loss_and_gradients(params, X, Y)
    wanted, all_gradients = whole.loss_and_gradients(other, X, Y)
    assert loss == pytest.approx(wanted, rel=1e-14)
    for name in module.PARAMS:
        np.testing.assert_array_equal(params[name], other[name])
        expected = all_gradients[name] if name in kept else np.zeros(module.PARAMS[name][1])
        np.testing.assert_allclose(gradients[name], expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("stage", ["gradient", "simplified", "program", "python"])
def test_no_stage_has_the_gradient_of_what_is_frozen(stage):
    with pytest.raises(gradc.GradcError, match=r"backbone\.h1\.bias is frozen: nothing makes its gradient"):
        pipeline.inspect(MODEL + FROZEN, stage=stage, of="backbone.h1.bias")
    assert "backbone.h1.bias" in pipeline.inspect(MODEL + FROZEN, stage="graph", of="backbone.h1.bias")


def test_what_is_frozen_in_the_middle_passes_gradients_on():
    module, whole = module_of(MODEL + "freeze backbone.h2.*, head.bias\n"), module_of(MODEL)
    _, gradients = module.loss_and_gradients(module.init(3), X, Y)
    _, wanted = whole.loss_and_gradients(whole.init(3), X, Y)
    np.testing.assert_allclose(gradients["backbone.h1.weight"], wanted["backbone.h1.weight"], rtol=1e-12)
    assert not gradients["backbone.h2.weight"].any()
    assert not gradients["head.bias"].any()


def test_frozen_parameters_stay_and_groups_step_by_their_own_rule():
    module = module_of(MODEL + FROZEN + GROUPS + MOMENTUM)
    params = module.init(3)
    state, before = module.init_state(params), {name: params[name].copy() for name in params}
    velocity = {name: 0.0 for name in params}
    for _ in range(3):
        _, gradients = module.loss_and_gradients(params, X, Y)
        module.train_step(params, state, X, Y)
        for name in params:
            if name.startswith("head."):
                before[name] = before[name] - 0.5 * gradients[name]
            elif name.startswith("backbone.h2."):
                velocity[name] = 0.9 * velocity[name] + gradients[name]
                before[name] = before[name] - 0.1 * velocity[name]
            np.testing.assert_allclose(params[name], before[name], rtol=1e-12)
    np.testing.assert_array_equal(params["backbone.h1.weight"], module.init(3)["backbone.h1.weight"])
    assert list(module.MOMENTS) == ["backbone.h2.weight.v", "backbone.h2.bias.v"]


def test_a_learning_rate_from_outside_is_every_groups():
    module = load_plain(pipeline.emit(MODEL + GROUPS + MOMENTUM, dtype="float64", lr=0.25))
    params = module.init(3)
    _, gradients = module.loss_and_gradients(params, X, Y)
    wanted = params.flat - 0.25 * gradients.flat
    module.train_step(params, module.init_state(params), X, Y)
    np.testing.assert_allclose(params.flat, wanted, rtol=1e-12)


@pytest.mark.parametrize("frozen", ["freeze *", "freeze backbone.*, head.*"])
def test_a_model_that_trains_nothing(frozen):
    with pytest.warns(gradc.GradcWarning, match="all parameters are frozen: training changes nothing"):
        module = module_of(MODEL + frozen)
    params = module.init(3)
    before = params.flat.copy()
    state = module.init_state(params)
    assert module.train_step(params, state, X, Y) == module.evaluate(params, X, Y)["loss"]
    np.testing.assert_array_equal(params.flat, before)
    assert module.MOMENTS == {}


@pytest.mark.usefixtures("without_jit")
def test_fine_tuning_stopped_and_resumed_equals_fine_tuning_that_was_not(tmp_path: Path):
    def fresh() -> gradc.Model:
        return gradc.compile_text(MODEL + FROZEN + GROUPS + MOMENTUM, "tuned", dtype="float64", seed=5)

    base = gradc.compile_text(MODEL, "base", dtype="float64", seed=1)
    base.save(tmp_path / "base.safetensors")
    through, stopped, resumed = fresh(), fresh(), fresh()
    for model in (through, stopped):
        model.load(tmp_path / "base.safetensors", only="backbone.*")
    through.fit(X, Y, epochs=3, batch_size=5, progress=False)
    stopped.fit(X, Y, epochs=1, batch_size=5, progress=False)
    stopped.save(tmp_path / "half.safetensors")
    resumed.load(tmp_path / "half.safetensors")
    resumed.fit(X, Y, epochs=2, batch_size=5, progress=False)
    np.testing.assert_array_equal(resumed.params.flat, through.params.flat)
    np.testing.assert_array_equal(resumed.state.flat, through.state.flat)
    np.testing.assert_array_equal(resumed.params["backbone.h1.weight"], base.params["backbone.h1.weight"])
    assert (resumed.params["backbone.h2.weight"] != base.params["backbone.h2.weight"]).any()
