"""`shared def`: one set of parameters for all calls, against the same written out with parameters as arguments."""

from typing import Any

import numpy as np
import pytest
from support.agreement import assert_close, sources_of
from support.emitted import load_plain

import gradc
from gradc.graph.interpret import interpret
from gradc.language.evaluate import evaluate
from gradc.language.lower import lower
from gradc.pipeline import check, emit, graphs, inspect

SHARED = """
dim n
input x[n, 2], b[n, 2]
def layer(q[n, i], units): return tanh(dense(q, units))
shared def net(q[n, i]):
    param scale ~ ones
    h = layer(q, 5)
    h = layer(h, 4)
    return[r] = dense(h, 1)[r, 0] * scale + 0.01 * sum(h.dense.weight^2)
u = net(x)
v = net(b) + net(2 * x)
ux = grad(u, x)
w = dense(reshape(net(x), [n, 1]), 2)
loss mean((u - v)^2) + sum(ux^2) + sum(w) + 0.1 * sum(net.h.dense.weight^2)
"""
WRITTEN_OUT = """
dim n
input x[n, 2], b[n, 2]
param scale ~ ones
param a[2, 5] ~ glorot_uniform(fan_in = 2, fan_out = 5)
param a_bias[5] ~ zeros
param c[5, 4] ~ glorot_uniform(fan_in = 5, fan_out = 4)
param c_bias[4] ~ zeros
param d[4, 1] ~ glorot_uniform(fan_in = 4, fan_out = 1)
param d_bias[1] ~ zeros
def affine(q[n, i], m[i, o], k[o]):
    return[r, o] = sum[i](q[r, i] * m[i, o]) + k[o]
def net(q[n, i], a[i, j], a_bias[j], c[j, k], c_bias[k], d[k, l], d_bias[l], scale):
    h = tanh(affine(tanh(affine(q, a, a_bias)), c, c_bias))
    return[r] = affine(h, d, d_bias)[r, 0] * scale + 0.01 * sum(a^2)
u = net(x, a, a_bias, c, c_bias, d, d_bias, scale)
v = net(b, a, a_bias, c, c_bias, d, d_bias, scale) + net(2 * x, a, a_bias, c, c_bias, d, d_bias, scale)
ux = grad(u, x)
w = dense(reshape(net(x, a, a_bias, c, c_bias, d, d_bias, scale), [n, 1]), 2)
loss mean((u - v)^2) + sum(ux^2) + sum(w) + 0.1 * sum(a^2)
"""
NAMES = ("net.scale", "net.h.dense.weight", "net.h.dense.bias", "net.h_2.dense.weight", "net.h_2.dense.bias",
         "net.dense.weight", "net.dense.bias", "w.weight", "w.bias")  # fmt: skip


def drawn() -> dict[str, Any]:
    rng = np.random.default_rng(3)
    leaves = graphs(SHARED).model.leaves
    return {leaf.name: rng.normal(size=[axis.extent.value({"n": 3}) for axis in leaf.axes]) for leaf in leaves}


def module(text: str) -> Any:
    return load_plain(sources_of(graphs(text), text, "float64").shared)


def test_all_calls_have_one_set_of_parameters() -> None:
    values = drawn()
    ours, theirs = module(SHARED), module(WRITTEN_OUT)
    assert tuple(ours.PARAMS) == NAMES
    found = []
    for each in (ours, theirs):
        params = each.init(0)
        for own, name in zip(each.PARAMS, NAMES, strict=True):
            params[own] = values[name]
        found.append(each.loss_and_gradients(params, values["x"], values["b"]))
    (loss, gradients), (wanted_loss, wanted) = found
    assert_close(loss, wanted_loss, "loss")
    for name, other in zip(NAMES, theirs.PARAMS, strict=True):
        assert_close(gradients[name], wanted[other], name)


def test_the_oracles_agree() -> None:
    values, stages = drawn(), graphs(SHARED)
    syntax = evaluate(stages.model, values, {"n": 3})
    graph = interpret(stages.forward, values, {"n": 3})
    outputs = lower(stages.model).outputs
    assert_close(graph[stages.forward.outputs["loss"]], syntax[outputs["loss"]], "loss")
    assert check(SHARED).passed


def test_parameters_stand_in_the_order_of_the_first_call() -> None:
    """A tensor that is read above its equation is elaborated first, and does not come first."""
    text = "dim n\ninput x[n]\nshared def net(q[n]):\n    param w ~ ones\n    return w * q\n"
    text += "def one(q[n]):\n    param k ~ ones\n    return k * sum(q)\n"
    text += "y[i] = z[i]\na = net(x) + one(x)\nz[i] = net(x)[i]\nloss sum(y) + sum(a)\n"
    assert [leaf.name for leaf in graphs(text).model.leaves] == ["x", "net.w", "a.k"]


def test_parameters_can_be_read_above_the_calls() -> None:
    text = "dim n\ninput x[n]\nshared def net(q[n]):\n    param w ~ ones\n    return w * q\n"
    loss = load_plain(emit(text + "early = net.w^2\nu = net(x)\nloss early + sum(u)\n", dtype="float64"))
    assert loss.loss_and_gradients(loss.init(0), np.arange(3.0))[0] == 4.0


def test_a_shared_definition_calls_another() -> None:
    text = """
dim n
input x[n]
shared def inner(q[n]):
    param w ~ ones
    return w * q
shared def outer(q[n]):
    param v ~ ones
    return inner(q) + v * inner(q)
y = outer(x) * inner(outer(x))
loss sum(y)
"""
    assert [leaf.name for leaf in graphs(text).model.leaves] == ["x", "outer.v", "inner.w"]
    assert check(text).passed


def test_the_name_is_the_definition_s() -> None:
    """A tensor of the same name leaves it the parameters' names; the prediction is called as it is written."""
    text = "dim n\ninput x[n]\nshared def net(q[n]):\n    param w ~ ones\n    return w * q\n"
    stages = graphs(text + "predict net = net(x)\nloss sum(net)\n")
    assert [leaf.name for leaf in stages.model.leaves] == ["x", "net.w"]
    assert [output.name for output in stages.model.predictions] == ["net"]


def test_a_shared_definition_is_frozen_optimized_and_shown_by_its_name() -> None:
    text = SHARED + "freeze net.h_*\noptimize net.* with sgd(lr = 0.1)\noptimize w.* with adam(lr = 1)\n"
    stages = graphs(text)
    assert next(u.parameters for u in stages.model.training.updates) == (
        "net.scale", "net.h.dense.weight", "net.h.dense.bias", "net.dense.weight", "net.dense.bias")  # fmt: skip
    assert "net_2.dense.sum[n, u] = " in inspect(SHARED, stage="graph").replace("[n, o]", "[n, u]")


CALL = """
dim n
input x[n, 2], y[n, 3]
shared def net(q[n, i]):
    param w[i] ~ ones
    return[r] = sum[i](q[r, i] * w[i])
"""


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("loss sum(net(x)) + sum(net(y))", "net.w is [i = 3] in this call, and [i = 2] in another"),
        ("loss sum(net(x)) + net.v", "there is no parameter net.v"),
        ("u = net(x)\nloss sum(u) + u.w", "there is no parameter u.w"),
    ],
)
def test_what_is_wrong_is_said(lines: str, message: str) -> None:
    with pytest.raises(gradc.GradcError) as caught:
        emit(CALL + lines + "\n")
    assert message in str(caught.value), str(caught.value)
