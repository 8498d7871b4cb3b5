"""Many training steps in one call of compiled code: the same, to the bit, as a call for each."""

import numpy as np
import pytest
from support.emitted import load_compiled, load_plain

from gradc.pipeline import emit
from gradc.runtime import batches, training
from gradc.runtime.session import Settings, start

CLASSIFIER = """
dim batch
input  x[batch, 6]
target y[batch] : int(4)
h = relu(batch_norm(dense(x, 8)))
logits = dense(dropout(h, 0.3), 4)
predict p = softmax(logits)
loss mean(cross_entropy(logits, y))
optimize adam(lr = cosine(1e-2, steps = 50)), clip_norm = 1.0
"""
GAME = """
dim batch
input x[batch, 2], z[batch, 2]
shared def critic(q[n, i]):
    return dense(tanh(dense(q, 5)), 1)
fake = dense(z, 2)
predict fake
loss mean(softplus(-critic(fake)))
gap = mean(softplus(-critic(x))) + mean(softplus(critic(fake)))
optimize sgd(lr = 0.1)
optimize critic.* with adam(lr = 0.2) for gap
"""
SERIES = """
dim batch, time
input  x[batch, time, 2]
target y[batch]
h = gru(x, 3)
predict p[b] = sum[k](h[b, time - 1, k])
loss mean((p - y)^2)
optimize sgd(lr = 1e-2, momentum = 0.9)
"""
GRAPH = """
dim nodes
input near[nodes, nodes], scale
target y[nodes]
param w ~ ones
predict p[n] = sum[m](near[n, m] * w * scale)
loss mean((p - y)^2)
optimize adam(lr = 1e-2)
"""
PAIRS = """
dim batch
input x[batch]
target y[batch] : int(batch)
param w ~ ones
predict p = w * x[batch - 2]
loss mean[b](w * x[y[b]]) + p
optimize sgd(lr = 0.1)
"""


def data(module, rows):
    """Arrays for any module; free dims that are not the batch are 5."""
    rng = np.random.default_rng(0)
    found = []
    for kind, axes in {**module.INPUTS, **module.TARGETS}.values():
        shape = [rows if axis == module.BATCH else 5 if isinstance(axis, str) else axis for axis in axes]
        real = np.asarray(rng.normal(size=shape), module.DTYPE)
        found.append(real if kind == "real" else rng.integers(0, 4, shape))
    return found


def assert_one_call_is_many(module, steps=5):
    arrays = data(module, 6 * steps)
    one, many = module.init(1), module.init(1)
    states = module.init_state(one, seed=3), module.init_state(many, seed=3)
    found = module.train_steps(one, states[0], steps, *arrays)
    cut = [np.split(array, steps) if module.BATCH else [array] * steps for array in arrays]
    alone = [module.train_step(many, states[1], *batch) for batch in zip(*cut, strict=True)]
    np.testing.assert_array_equal(found, alone)
    np.testing.assert_array_equal(one.flat, many.flat)
    np.testing.assert_array_equal(states[0].flat, states[1].flat)
    assert states[0].step == states[1].step == steps


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    return load_compiled(emit(CLASSIFIER, dtype="float32"), tmp_path_factory.mktemp("steps"))


def test_one_call_is_many_compiled(classifier):
    """With random numbers that go by the step, running statistics, a schedule and whole numbers."""
    assert_one_call_is_many(classifier)


@pytest.mark.parametrize(
    ("text", "batch"), [(CLASSIFIER, "batch"), (GAME, "batch"), (SERIES, "batch"), (GRAPH, None), (PAIRS, "batch")]
)
def test_one_call_is_many(text, batch):
    module = load_plain(emit(text, dtype="float64"))
    assert batch == module.BATCH
    assert_one_call_is_many(module)


def test_the_dim_to_cut_along():
    def batch(arrays):
        return load_plain(emit(f"dim n, m\n{arrays}\nparam w ~ ones\nloss w\n", dtype="float64")).BATCH

    assert batch("input x[n, 3]\ntarget y[n] : int(10)") == "n"
    assert batch("input x[n, m], y[n, m]") == "n"
    for arrays in ("input x[n, 3], s", "input x[n, n]", "input x[n, 2 * n]", "input x[n], y[m]", "input x[4, 3]", ""):
        assert batch(arrays) is None


def test_a_fit_is_its_steps(classifier, monkeypatch):
    """In the order of the epochs' batches, the last of which is smaller, whatever a call takes."""
    arrays, settings = data(classifier, 45), Settings(batch=8, seed=2)
    sessions = [start(classifier, 7) for _ in range(3)]
    losses = [training.fit(sessions[0], arrays, settings, 4).loss]
    monkeypatch.setattr(training, "CALL_SECONDS", 0.0)
    losses.append(training.fit(sessions[1], arrays, settings, 4).loss)
    assert losses[0] == losses[1]
    alone = sessions[2]
    cut = batches.split(arrays, classifier.BATCH, settings)
    for epoch in range(4):
        for _, batch in cut.blocks(epoch, 0, lambda: 1):
            classifier.train_step(alone.params, alone.state, *batch)
    for session in sessions[:2]:
        np.testing.assert_array_equal(session.params.flat, alone.params.flat)
        np.testing.assert_array_equal(session.state.flat, alone.state.flat)
        assert session.state.step == alone.state.step == 4 * 6


def test_the_step_whose_loss_is_not_finite_is_the_last(classifier):
    x, y = data(classifier, 30)
    one, many = classifier.init(1), classifier.init(1)
    states = classifier.init_state(one), classifier.init_state(many)
    x[14] = np.nan  # relu hides it from the loss of step 3
    with pytest.raises(FloatingPointError, match="the loss of step 4 is nan"):
        classifier.train_steps(one, states[0], 5, x, y)
    for at in range(0, 18, 6):
        classifier.train_step(many, states[1], x[at : at + 6], y[at : at + 6])
    with pytest.raises(FloatingPointError, match="the loss of step 4 is nan"):
        classifier.train_step(many, states[1], x[18:24], y[18:24])
    assert states[0].step == states[1].step == 4
    np.testing.assert_array_equal(one.flat, many.flat)


def test_what_is_out_of_range_ends_before_its_step(classifier):
    x, y = data(classifier, 30)
    y[20] = 4
    params, twice = classifier.init(1), classifier.init(1)
    state, other = classifier.init_state(params), classifier.init_state(twice)
    with pytest.raises(ValueError, match=r"y holds whole numbers from 0, below 4; y\[2\] is 4"):
        classifier.train_steps(params, state, 5, x, y)
    classifier.train_steps(twice, other, 3, x[:18], y[:18])
    assert state.step == other.step == 3
    np.testing.assert_array_equal(params.flat, twice.flat)


def test_batches_have_one_size(classifier):
    x, y = data(classifier, 30)
    params = classifier.init(1)
    for steps in (0, -1, 4, 31):
        with pytest.raises(ValueError, match=f"30 rows are not {steps} batches of one size"):
            classifier.train_steps(params, classifier.init_state(params), steps, x, y)
    graph = load_plain(emit(GRAPH, dtype="float64"))
    with pytest.raises(ValueError, match="one step is the least"):
        graph.train_steps(graph.init(), graph.init_state(graph.init()), 0, *data(graph, 3))


def test_what_a_batch_has_to_be_holds_of_each():
    """All rows together are enough, and large enough; a batch is not."""
    module = load_plain(emit(PAIRS, dtype="float64"))
    params = module.init()
    with pytest.raises(ValueError, match="batch"):
        module.train_steps(params, module.init_state(params), 6, np.ones(6), np.zeros(6, np.int64))
    with pytest.raises(ValueError, match=r"y\[0\] is 3"):
        module.train_steps(params, module.init_state(params), 2, np.ones(6), np.array([0, 1, 2, 3, 0, 0]))
