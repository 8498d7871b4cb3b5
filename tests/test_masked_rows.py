"""Rows of a softmax of which a mask hides every place: 0 in both oracles, after every pass and in the module, and so
are their gradients, where exp(−∞ − logsumexp) by the letter, and PyTorch, give NaN."""

import numpy as np
import pytest
from support.agreement import assert_close, sources_of
from support.emitted import load_plain

from gradc.calculus.nested import expanded
from gradc.graph.interpret import interpret
from gradc.language.elaborate import elaborate
from gradc.language.evaluate import evaluate
from gradc.language.load import load
from gradc.language.lower import lower
from gradc.pipeline import graphs_of

HEAD = """
dim batch, n = 3
input s[batch, n], keep[batch, n] : bool
param w[n] ~ ones
m[b, i] = if keep[b, i] then s[b, i] * w[i] else -inf
"""
FORMS = {
    "over the last axis": "p = softmax(m)",
    "over an index": "p[b, i] = softmax[i](m[b, i])",
    "by its logarithm": "q = log_softmax(m)\np[b, i] = exp(q[b, i])",
    "as weights": "a[b, i] = softmax[i](m[b, i])\np[b, i] = sum[j](a[b, j] * s[b, j] * w[j]) * a[b, i]",
    "in a gradient": "a = softmax(m)\nc = sum(a^2)\np = grad(c, s)",
    "in a gradient by the sum": "l[b] = logsumexp[j](m[b, j])\nbase[b] = if l[b] == -inf then 0 else l[b]\n"
    "g = grad(base, l)\np[b, i] = g[b] * softmax[i](m[b, i])",
    "in a recurrence": "p[b, i] = softmax[i](m[b, i]) + 0.5 * p?[b - 1, i]",
}
BY_HAND = {
    "a quotient": "p[b, i] = exp(m[b, i]) / sum[j](exp(m[b, j]))",
    "an exponential": "l[b] = logsumexp[j](m[b, j])\np[b, i] = exp(m[b, i] - l[b])",
}
KEEP = np.array([[True, False, True], [False, False, False], [True, True, True]])
SCORES = np.array([[1.0, 2.0, 3.0], [0.5, 0.25, -1.0], [-2.0, 0.0, 0.5]])
WEIGHTS = np.array([1.0, 0.5, -0.75])


def by_module(text: str) -> tuple[np.ndarray, float, np.ndarray]:
    sources = load(text)
    stages = graphs_of(elaborate(sources, training=True), elaborate(sources, training=False))
    module = load_plain(sources_of(stages, text, "float64").shared)
    params = module.init(0)
    params["w"] = WEIGHTS
    loss, gradients = module.loss_and_gradients(params, SCORES, KEEP)
    return module.predict(params, SCORES, KEEP), loss, gradients["w"]


@pytest.mark.parametrize("name", FORMS)
def test_a_row_without_places_is_nothing(name):
    text = f"{HEAD}{FORMS[name]}\npredict p\nloss sum[b, i](p[b, i]^2 * (1 + i))\n"
    sources, values, dims = load(text), {"s": SCORES, "keep": KEEP, "w": WEIGHTS}, {"batch": 3}
    written = elaborate(sources, training=True)
    oracle = evaluate(written, values, dims)
    stages = graphs_of(written, elaborate(sources, training=False))
    assert np.isfinite(oracle["p"]).all()
    if name != "in a recurrence":
        np.testing.assert_array_equal(oracle["p"][1], 0.0)
    for graph in (expanded(lower(written)).graph, stages.forward):
        assert_close(interpret(graph, values, dims)["p"], oracle["p"], name)
    predicted, loss, gradient = by_module(text)
    assert_close(predicted, oracle["p"], "module")
    assert_close(loss, oracle["loss"], "loss")
    found = interpret(stages.gradient, values, dims)
    assert_close(gradient, found[stages.gradient.outputs["gradient w"]], "gradient")
    for at in range(3):
        step = np.zeros(3)
        step[at] = 1e-6
        ends = [evaluate(written, {**values, "w": WEIGHTS + by}, dims)["loss"] for by in (step, -step)]
        assert_close(gradient[at], (ends[0] - ends[1]) / 2e-6, "differences", 1e-7)


@pytest.mark.parametrize("name", BY_HAND)
def test_a_softmax_by_hand_is_the_librarys(name):
    """Its letter says NaN for such a row; what it is written out as says 0."""
    rest = "\npredict p\nloss sum[b, i](p[b, i]^2 * (1 + i))\n"
    for found, wanted in zip(
        by_module(HEAD + BY_HAND[name] + rest), by_module(HEAD + FORMS["over an index"] + rest), strict=True
    ):
        assert_close(found, wanted, name)


def test_a_query_that_may_look_at_nothing_adds_nothing():
    text = """
dim batch, time, n = 2
input x[batch, time, n], keep[batch, time, time] : bool
y = attention(x, 1, mask = keep)
predict y
loss sum(y^2)
"""
    sources = load(text)
    stages = graphs_of(elaborate(sources, training=True), elaborate(sources, training=False))
    module = load_plain(sources_of(stages, text, "float64").shared)
    rng = np.random.default_rng(0)
    x, keep = rng.normal(size=(1, 3, 2)), KEEP[None]
    params = module.init(0)
    params["y.out.bias"] = [0.25, -1.0]
    np.testing.assert_array_equal(module.predict(params, x, keep)[0, 1], [0.25, -1.0])
    _, gradients = module.loss_and_gradients(params, x, keep)
    assert all(np.isfinite(gradients[name]).all() for name in module.PARAMS)
