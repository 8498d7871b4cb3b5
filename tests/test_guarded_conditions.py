"""What stands right of `and` and `or` is looked at only where the left side has not settled them: it may read there."""

from typing import Any

import numpy as np
import pytest
from support.agreement import assert_close
from support.emitted import load_plain

from gradc import pipeline
from gradc.errors import GradcError
from gradc.graph.interpret import interpret
from gradc.graph.verify import verify
from gradc.language.elaborate import elaborate
from gradc.language.evaluate import evaluate
from gradc.language.load import load
from gradc.language.lower import lower
from gradc.stages import graphs_of

HEAD = "dim b, n = 5\ninput x[b, n], k[b] : int(n)\nparam w[n] ~ normal()\n"
X = np.random.default_rng(4).normal(size=(3, 5))
K = np.array([0, 2, 4])
W = np.random.default_rng(5).normal(size=5)
BEFORE = np.pad(X, ((0, 0), (1, 0)))[:, :-1]
W_BEFORE = np.pad(W, (1, 0))[:-1]
I = np.arange(5)  # noqa: E741  (the index of the models)

HOLDS: dict[str, tuple[str, Any]] = {
    "and": ("i > 0 and x[b, i - 1] > 0", (I > 0) & (BEFORE > 0)),
    "or": ("i == 0 or x[b, i - 1] > 0", (I == 0) | (BEFORE > 0)),
    "not or": ("not (i == 0 or x[b, i - 1] > 0)", (I > 0) & (BEFORE <= 0)),
    "and, and": ("i > 0 and x[b, i - 1] > 0 and x[b, i - 1] < 1", (I > 0) & (BEFORE > 0) & (BEFORE < 1)),
    "and in brackets": ("i > 0 and (x[b, i - 1] > 0 and w[i - 1] > 0)", (I > 0) & (BEFORE > 0) & (W_BEFORE > 0)),
    "or of and": ("i == 0 or x[b, i - 1] > 0 and w[i - 1] > 0", (I == 0) | (BEFORE > 0) & (W_BEFORE > 0)),
    "a chain": ("0 < i < 4 * x[b, i - 1]", (I > 0) & (I < 4 * BEFORE)),
    "a costly function": ("i > 0 and exp(x[b, i - 1]) > tanh(w[i-1])", (I > 0) & (np.exp(BEFORE) > np.tanh(W_BEFORE))),
    "a sum": ("i > 0 and (sum[j: 2](x[b, i - 1] * w[j])) > 0", (I > 0) & (BEFORE * W[:2].sum() > 0)),
    "a gather": ("k[b] > 0 and w[k[b] - 1] > x[b, i]", (K[:, None] > 0) & (W[K - 1][:, None] > X)),
    "a condition of data": ("x[b, i] > 0 and (i == 0 or w[i - 1] > 0)", (X > 0) & ((I == 0) | (W_BEFORE > 0))),
}  # fmt: skip


def model(condition: str) -> str:
    return (
        f"{HEAD}h[b, i] = if {condition} then w[i]^2 else w[i] * x[b, i]\n"
        f"g[b] = sum[i](if {condition} then h[b, i] else exp(w[i]))\npredict h\nloss sum(g^2)\n"
    )


@pytest.mark.parametrize("name", HOLDS)
def test_a_condition_under_another(name):
    """All graphs are sound and mean what NumPy says, the module too, and its gradient is the slope of its loss."""
    condition, holds = HOLDS[name]
    text, values, dims = model(condition), {"x": X, "k": K, "w": W}, {"b": 3, "n": 5}
    h = np.where(holds, W**2, W * X)
    loss = (np.where(holds, h, np.exp(W)).sum(axis=1) ** 2).sum()
    sources = load(text)
    written, plain = elaborate(sources, training=True), elaborate(sources, training=False)
    assert_close(evaluate(written, values, dims)["loss"], loss, "syntax")
    stages = graphs_of(written, plain)
    for graph in (lower(written), stages.forward, stages.gradient):
        verify(graph)
        assert_close(interpret(graph, values, dims)[graph.outputs["loss"]], loss, "graph")
    module = load_plain(pipeline.emit(text, file="m.grad", dtype="float64"))
    params = module.init()
    params["w"] = W
    assert_close(module.predict(params, X, K), h, "prediction")
    found, gradients = module.loss_and_gradients(params, X, K)
    assert_close(found, loss, "module")
    slopes = []
    for at in range(5):
        for step in (1e-6, -1e-6):
            params["w"][at] = W[at] + step
            slopes.append(module.loss_and_gradients(params, X, K)[0] * np.sign(step) / 2e-6)
            params["w"][at] = W[at]
    np.testing.assert_allclose(gradients["w"], np.reshape(slopes, (5, 2)).sum(axis=1), rtol=1e-6)


@pytest.mark.parametrize(
    "condition",
    [
        "x[b, i - 1] > 0 and i > 0",
        "i > 0 or x[b, i - 1] > 0",
        "i == 0 and x[b, i - 1] > 0",
        "not (i > 0 or w[i - 1] > 0)",
    ],
)
def test_a_condition_that_does_not_keep_a_read_inside(condition):
    with pytest.raises(GradcError, match=r"may be outside|below 0|-1"):
        pipeline.emit(model(condition), file="m.grad")


def test_a_stopped_gradient_under_a_condition():
    before = "stop_gradient(w[i - 1])"
    text = f"{HEAD}h[b, i] = if i > 0 and {before} > x[b, i] then {before} * w[i] else w[i]\n"
    assert pipeline.check(f"{text}loss sum(h^2) + sum(k) * 0\n", file="m.grad").passed


def test_a_place_that_whole_numbers_give_is_read_and_written_under_their_condition():
    """The gradient scatters to `k[b] + 1`, which only the branch's condition keeps inside."""
    equations = "a[b] = if k[b] < n - 1 then w[k[b] + 1] * x[b, 0] else 0\npredict a\nloss sum((a - y)^2)\n"
    text = f"{HEAD}target y[b]\n{equations}"
    module = load_plain(pipeline.emit(text, file="m.grad", dtype="float64"))
    params = module.init()
    params["w"] = W
    holds = K < 4
    a = np.where(holds, W[np.minimum(K + 1, 4)] * X[:, 0], 0)
    assert_close(module.predict(params, X, K), a, "prediction")
    _, gradients = module.loss_and_gradients(params, X, K, np.zeros(3))
    expected = np.zeros(5)
    np.add.at(expected, np.minimum(K + 1, 4), np.where(holds, 2 * a * X[:, 0], 0))
    assert_close(gradients["w"], expected, "gradient")
