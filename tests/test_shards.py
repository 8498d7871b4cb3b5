"""Long steps in shards: the same sums whatever the number of workers, safe from several threads and after a fork."""

import contextlib
import itertools
import os
import re
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from support.emitted import load_compiled, load_plain

from gradc.pipeline import emit, graphs
from gradc.schedule.build import schedule
from gradc.schedule.program import Meeting, Sequential, Storage
from gradc.schedule.shard import rows_of, work_per_row
from gradc.schedule.verify import verify_program
from gradc.stages import gradient_program

pytest.importorskip("threadpoolctl")

TEXT = """
dim batch
input  x[batch, 256]
target y[batch] : int(10)
param  scale ~ ones
h      = relu(dense(x, 256))
logits = dense(h, 10) * scale
predict p = softmax(logits)
loss    mean(cross_entropy(logits, y))
optimize adam(lr = 1e-3), clip_norm = 1.0
"""
BATCH = 160


@pytest.fixture(scope="module")
def module(tmp_path_factory):
    return load_compiled(emit(TEXT, dtype="float64"), tmp_path_factory.mktemp("shards"))


def _data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(BATCH, 256)), rng.integers(0, 10, BATCH)


def _trained(module, steps=3):
    params = module.init(seed=1)
    state = module.init_state(params)
    losses = [module.train_step(params, state, *_data()) for _ in range(steps)]
    return losses, params.flat.copy(), state


def test_many_steps_in_shards_are_one_after_the_other(module, monkeypatch):
    monkeypatch.setattr(module, "shards_of", lambda *_: 2)
    x, y = _data()
    found, alone = module.init(seed=1), module.init(seed=1)
    losses = module.train_steps(found, module.init_state(found), 2, x, y)
    state = module.init_state(alone)
    half = BATCH // 2
    np.testing.assert_array_equal(
        losses, [module.train_step(alone, state, x[at : at + half], y[at : at + half]) for at in (0, half)]
    )
    np.testing.assert_array_equal(found.flat, alone.flat)


@pytest.mark.parametrize("workers", ["2", "3"])
def test_the_number_of_workers_changes_nothing_but_rounding(module, monkeypatch, workers):
    monkeypatch.setenv("GRADC_THREADS", "1")
    losses, params, _ = _trained(module)
    monkeypatch.setenv("GRADC_THREADS", workers)
    assert module.shards_of(100 * BATCH, 10**9, 10**7) == int(workers)
    monkeypatch.setattr(module, "shards_of", lambda *_: int(workers))
    cut_losses, cut_params, state = _trained(module)
    assert len(state.work) == int(workers)
    np.testing.assert_allclose(cut_losses, losses, rtol=1e-12)
    np.testing.assert_allclose(cut_params, params, rtol=1e-9, atol=1e-12)


def test_one_number_of_workers_gives_the_same_bits_every_time(module, monkeypatch):
    monkeypatch.setattr(module, "shards_of", lambda *_: 2)
    first, second = _trained(module), _trained(module)
    assert first[0] == second[0]
    np.testing.assert_array_equal(first[1], second[1])


@pytest.mark.parametrize("shards", [2, 3])
def test_one_worker_gives_the_bits_of_a_worker_for_each_shard(module, shards, monkeypatch):
    """Alone it makes one shard after the other; steps in between, of which some are made so, change nothing either."""
    monkeypatch.setattr(module, "shards_of", lambda *_: shards)
    found, together = [], itertools.cycle((True, False, False))
    for is_alone in (lambda _: False, lambda _: True, lambda _: next(together)):
        monkeypatch.setattr(module.Pace, "is_alone", is_alone)
        found.append(_trained(module, steps=7))
    for losses, params, state in found[1:]:
        assert losses == found[0][0]
        np.testing.assert_array_equal(params, found[0][1])
        np.testing.assert_array_equal(state.flat, found[0][2].flat)


def test_late_steps_are_followed_by_some_of_one_worker(module, monkeypatch):
    """The clock is ours."""
    monkeypatch.setattr(module, "shards_of", lambda *_: 2)
    now, made, meet = [0.0], [], module.WORKERS.meet
    monkeypatch.setattr(module, "perf_counter", lambda: now[0])
    monkeypatch.setattr(module.WORKERS, "paces", {})

    def timed(part, count, turns):
        now[0] += {1: 0.003, 2: 0.02}[count]
        made.append(count)
        return meet(part, count, turns)

    monkeypatch.setattr(module.WORKERS, "meet", timed)
    _trained(module, steps=60)
    assert made[:3] == [2, 2, 1]  # the first may have been compiled
    assert made.count(1) > 50


def test_steps_whose_rows_meet_are_made_together_always(normed, monkeypatch):
    monkeypatch.setattr(normed.Pace, "is_alone", lambda _: True)
    losses, counts, meet = [], [], normed.WORKERS.meet
    monkeypatch.setattr(
        normed.WORKERS, "meet", lambda part, count, turns: counts.append(count) or meet(part, count, turns)
    )
    _, losses = _trained_with(normed, 2, *_normed_data(), monkeypatch)
    assert np.isfinite(losses).all()
    assert counts == [2, 2, 2]


def test_a_target_out_of_range_changes_nothing(module, monkeypatch):
    monkeypatch.setattr(module, "shards_of", lambda *_: 2)
    _, before, _ = _trained(module, steps=0)
    params = module.init(seed=1)
    state = module.init_state(params)
    x, y = _data()
    y[BATCH - 1] = 10
    with pytest.raises(ValueError, match=rf"y\[{BATCH - 1}\] is 10"):
        module.train_step(params, state, x, y)
    np.testing.assert_array_equal(params.flat, before)
    assert state.step == 0


def test_a_smaller_and_a_larger_batch_follow_each_other(module, monkeypatch):
    monkeypatch.setattr(module, "shards_of", lambda *_: 2)
    params = module.init(seed=1)
    state = module.init_state(params)
    x, y = _data()
    for rows in (5, BATCH, 1, 31):
        assert np.isfinite(module.train_step(params, state, x[:rows], y[:rows]))


def test_two_threads_train_two_models_at_once(module, monkeypatch):
    monkeypatch.setattr(module, "shards_of", lambda *_: 2)
    expected = _trained(module)
    found = {}
    threads = [threading.Thread(target=lambda n=n: found.update({n: _trained(module)})) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for losses, params, _ in found.values():
        assert losses == expected[0]
        np.testing.assert_array_equal(params, expected[1])
    assert module.WORKERS.one_blas_thread.users == 0


def test_workers_are_kept_for_what_comes_next(module):
    workers = module.Workers()
    assert workers.run(lambda n: n + 1, 2, 0) == [1, 2]
    (thread,) = _idle(workers, 1)
    assert workers.run(lambda n: n + 1, 2, 0) == [1, 2]
    assert _idle(workers, 1) == [thread]
    assert workers.run(lambda n: n + 1, 5, 0) == [1, 2, 3, 4, 5]


def test_a_state_has_its_steps_cut_into_as_many_shards_each_time(module, monkeypatch):
    """Or the bits of what it trains would depend on when the environment was changed."""
    asked = []
    monkeypatch.setattr(module, "shards_of", lambda *sizes: asked.append(sizes) or 2)
    _trained(module, steps=5)
    assert len(asked) == 1


def _idle(workers, count):
    """The threads that do nothing, when there are so many."""
    end = time.monotonic() + 60
    while len(workers.idle) != count and time.monotonic() < end:
        time.sleep(1e-3)
    assert len(workers.idle) == count
    return list(workers.idle)


def test_workers_that_stay_take_the_steps_they_are_called_to(module, monkeypatch):
    """With other arrays, of other lengths, freed at once: they are called with what is there now."""

    def trained(workers):
        monkeypatch.setattr(module, "shards_of", lambda *_: workers)
        rng = np.random.default_rng(1)
        params = module.init(seed=1)
        state = module.init_state(params)
        losses = []
        for count in (64, 64, 64, 31, 64, 2, 64, 7, 64, 64) * 3:
            losses.append(module.train_step(params, state, rng.normal(size=(count, 256)), rng.integers(0, 10, count)))
        return losses, params.flat

    alone, cut = trained(1), trained(2)
    np.testing.assert_allclose(cut[0], alone[0], rtol=1e-10)
    np.testing.assert_allclose(cut[1], alone[1], rtol=1e-8, atol=1e-11)


def test_workers_that_stay_do_not_work_on_other_parameters(module, monkeypatch):
    monkeypatch.setattr(module, "shards_of", lambda *_: 2)
    expected, x, y = module.init(seed=1), *_data()
    module.train_step(expected, module.init_state(expected), x, y)
    params = module.init(seed=2)
    state = module.init_state(params)
    module.train_step(params, state, x, y)
    other = module.init(seed=1)
    state.flat[:], state.step = 0, 0
    module.train_step(other, state, x, y)
    np.testing.assert_array_equal(other.flat, expected.flat)
    state.flat, state.step = np.zeros_like(state.flat), 0
    again = module.init(seed=1)
    module.train_step(again, state, x, y)
    np.testing.assert_array_equal(again.flat, expected.flat)


FORKED = """
import os, sys, time
import numpy as np
import forked

forked.shards_of = lambda *_: 2
params = forked.init(seed=1)
state, rng = forked.init_state(params), np.random.default_rng(0)
x, y = rng.normal(size=(64, 256)), rng.integers(0, 10, 64)
for _ in range(3):
    forked.train_step(params, state, x, y)
child = os.fork()
fine = np.isfinite(forked.train_step(params, state, x, y))
if child == 0:
    os._exit(not fine)
_, ended = os.waitpid(child, 0)
sys.exit(ended or not fine)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_while_workers_stay_has_workers_of_its_own(tmp_path):
    """In a process where nothing else has threads."""
    (tmp_path / "forked.py").write_text(emit(TEXT, dtype="float64"), encoding="utf-8")
    ended = subprocess.run([sys.executable, "-c", FORKED], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr


def test_numbers_are_noted_for_those_who_stay(tmp_path, monkeypatch):
    """Inputs without axes, real, whole and true or false, and the seed of what is drawn."""
    text = """
dim batch
input x[batch, 256], scale, shift : int(9), flip : bool
h = dropout(relu(dense(x, 256)), 0.1) * scale + shift
loss mean((if flip then h else -h)^2)
optimize sgd(lr = 1e-3)
"""
    module = load_compiled(emit(text, dtype="float64"), tmp_path)

    def trained(workers):
        monkeypatch.setattr(module, "shards_of", lambda *_: workers)
        rng, params = np.random.default_rng(1), module.init(seed=1)
        state, losses = module.init_state(params, seed=3), []
        for step in range(12):
            x = rng.normal(size=(32, 256))
            losses.append(module.train_step(params, state, x, 0.5 + step, step % 9, step % 2 == 0))
        return losses, params.flat

    alone, cut = trained(1), trained(2)
    np.testing.assert_allclose(cut[0], alone[0], rtol=1e-10)
    np.testing.assert_allclose(cut[1], alone[1], rtol=1e-8, atol=1e-11)


def _rows(text):
    graph = graphs(text).gradient
    assert graph is not None
    return rows_of(schedule(graph))


def test_a_network_is_cut_along_its_batch():
    rows = _rows(TEXT)
    assert rows is not None
    assert rows.dim == "batch"
    assert work_per_row(rows) == 256 * 256 * 2 + 256 * 10 * 3
    assert set(rows.partial) == {"loss.sum", "d_scale"}


def test_what_joins_rows_otherwise_than_by_sums_is_not_cut():
    text = "dim batch\ninput x[batch, 8]\ntarget y[batch]\nh = dense(x, 8)\nz[b] = h[b, 0]\n"
    other_rows = "d[b, j] = h[b, j] * h[batch - 1 - b, j]\nloss mean(d) + mean((z - y)^2)\n"
    largest = "m = max(z)\nloss mean((z - y)^2 * m)\n"
    twice = "m = mean(z) + sum(h.weight)\nk = m * sum(z)\nloss mean((z - y)^2) * k\n"
    assert _rows(text + other_rows) is None
    assert _rows(text + largest) is None
    assert _rows(text + twice) is not None


def test_a_recurrence_is_cut_along_its_batch(monkeypatch):
    text = """
dim batch, time
input x[batch, time, 24]
target y[batch, time, 64]
h = lstm(x, 64)
loss mean((gru(h, 64) - y)^2)
"""
    rows = _rows(text)
    assert rows is not None
    assert rows.dim == "batch"
    module = load_plain(emit(text, dtype="float64"))
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(5, 4, 24)), rng.normal(size=(5, 4, 64))
    found = []
    for workers in (1, 2, 3):
        monkeypatch.setattr(module, "shards_of", lambda *_, workers=workers: workers)
        params = module.init(seed=1)
        state = module.init_state(params)
        losses = [module.train_step(params, state, x, y) for _ in range(2)]
        found.append((losses, params.flat.copy()))
    for losses, params in found[1:]:
        np.testing.assert_allclose(losses, found[0][0], rtol=1e-12)
        np.testing.assert_allclose(params, found[0][1], rtol=1e-9, atol=1e-12)


HEAD = """
dim batch
input  x[batch, 128]
target y[batch] : int(5)
"""
TAIL = "loss mean(cross_entropy(logits, y))\noptimize sgd(lr = 0.1)\n"
NORMED = "h = x |> dense(256) |> relu |> batch_norm |> dense(256) |> batch_norm\nlogits = dense(h, 5)\n"
MEETING = {
    "batch norm": NORMED + TAIL,
    "a shared offset": NORMED.replace("h = x", "g = x").replace("logits = dense(h, 5)", "") + "h = relu(g + batch_norm("
    "dense(x, 256)))\nlogits = dense(h, 5)\n" + TAIL,
    "a scalar": "h = dense(x, 256)\nspread = mean(h^2)\nlogits = dense(h / sqrt(spread + 1), 5)\n" + TAIL,
    "a loss of all rows": "h = dense(x, 256)\nlogits = dense(h, 5)\nl = mean(cross_entropy(logits, y))\n"
    "loss log(l + 1) * l\n",
    "a penalty beside": "h = batch_norm(dense(x, 256))\nlogits = dense(h, 5)\n"
    "loss mean(cross_entropy(logits, y)) + 0.1 * sum(h.batch_norm.gain^2)\n",
    "a weight that rows read": "param w[128, 256] ~ normal()\nh[b, j] = sum[i](x[b, i] * w[i, j])\n"
    "m[j] = mean[b](h[b, j])\nz[b, j] = h[b, j] * m[j] * w[0, j]\nlogits = dense(z, 5)\n" + TAIL,
}


@pytest.mark.parametrize("name", MEETING)
def test_workers_meet_where_rows_read_sums_over_rows(name, monkeypatch):
    text = HEAD + MEETING[name]
    graph = graphs(text).gradient
    assert graph is not None
    program = gradient_program(graph)
    verify_program(program)
    rows = rows_of(program)
    assert rows is not None
    assert rows.met
    assert any(isinstance(step, Meeting) for step in rows.steps)
    module = load_plain(emit(text, dtype="float64"))
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(13, 128)), rng.integers(0, 5, 13)
    params, state = _trained_with(module, 1, x, y, monkeypatch)
    for workers in (2, 3):
        cut, cut_state = _trained_with(module, workers, x, y, monkeypatch)
        np.testing.assert_allclose(cut, params, rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(cut_state, state, rtol=1e-12)


def _trained_with(module, workers, x, y, monkeypatch):
    monkeypatch.setattr(module, "OneBlasThread", contextlib.nullcontext)
    monkeypatch.setattr(module.WORKERS, "one_blas_thread", contextlib.nullcontext())
    monkeypatch.setattr(module, "shards_of", lambda *_: workers)
    params = module.init(seed=1)
    state = module.init_state(params)
    losses = [module.train_step(params, state, x, y) for _ in range(3)]
    return params.flat.copy(), losses


@pytest.fixture(scope="module")
def normed(tmp_path_factory):
    return load_compiled(emit(HEAD + MEETING["batch norm"], dtype="float64"), tmp_path_factory.mktemp("normed"))


def _normed_data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(64, 128)), rng.integers(0, 5, 64)


def test_compiled_workers_meet(normed, monkeypatch):
    alone, losses = _trained_with(normed, 1, *_normed_data(), monkeypatch)
    for workers in (2, 3):
        cut, cut_losses = _trained_with(normed, workers, *_normed_data(), monkeypatch)
        np.testing.assert_allclose(cut_losses, losses, rtol=1e-12)
        np.testing.assert_allclose(cut, alone, rtol=1e-9, atol=1e-11)
        again, _ = _trained_with(normed, workers, *_normed_data(), monkeypatch)
        np.testing.assert_array_equal(again, cut)


def test_many_models_whose_workers_meet_train_at_once(normed, monkeypatch):
    expected, _ = _trained_with(normed, 3, *_normed_data(), monkeypatch)
    found = []

    def train():
        params = normed.init(seed=1)
        state = normed.init_state(params)
        for _ in range(3):
            normed.train_step(params, state, *_normed_data())
        found.append(params.flat)

    threads = [threading.Thread(target=train, daemon=True) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert len(found) == len(threads)
    for params in found:
        np.testing.assert_array_equal(params, expected)


@pytest.mark.parametrize("where", [0, 1])
def test_a_worker_that_is_interrupted_keeps_nobody_waiting(normed, where, monkeypatch):
    monkeypatch.setattr(normed, "shards_of", lambda *_: 2)
    params = normed.init(seed=1)
    state = normed.init_state(params)
    entry = normed.step_entry

    def interrupted(*arguments):
        if arguments[5] == where:
            raise KeyboardInterrupt
        return entry(*arguments)

    monkeypatch.setattr(normed, "step_entry", interrupted)
    before = params.flat.copy()
    with pytest.raises(KeyboardInterrupt):
        normed.train_step(params, state, *_normed_data())
    np.testing.assert_array_equal(params.flat, before)
    assert state.step == 0
    monkeypatch.setattr(normed, "step_entry", entry)
    assert np.isfinite(normed.train_step(params, state, *_normed_data()))


def test_a_worker_that_begins_after_an_interrupt_is_none_of_the_next_step(monkeypatch):
    module = load_plain(emit(HEAD + MEETING["batch norm"], dtype="float64"))
    monkeypatch.setattr(module, "shards_of", lambda *_: 2)
    params = module.init(seed=1)
    state, entry, late, seen = module.init_state(params), module.step_entry, [], []

    def interrupted(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module.WORKERS, "hand", lambda part, workers: late.extend((part, worker) for worker in workers))
        patch.setattr(module, "step_entry", lambda *given: entry(*given) if given[9] else interrupted())
        with pytest.raises(KeyboardInterrupt):
            module.train_step(params, state, *_normed_data())
    before = state.turns
    assert np.isfinite(module.train_step(params, state, *_normed_data()))
    assert state.turns is not before
    monkeypatch.setattr(module, "step_entry", lambda *given: seen.append(given))
    ((part, worker),) = late
    part(worker)
    ((_, shares, _, t, _, _, board, turns, calls, *_),) = seen
    assert turns is before
    assert (t, state.step) == (1, 1)
    assert all(mine is not new for mine, new in ((shares, state.shares), (board, state.board), (calls, state.calls)))


@pytest.mark.parametrize("extra", ["+ scale^2", "* scale", "+ sum(h.weight^2)"])
def test_a_loss_with_parameters_after_its_sums_is_trained(extra):
    """Its gradient has terms that no row gives, which the workers' shares must not hold."""
    text = TEXT.replace("mean(cross_entropy(logits, y))", f"mean(cross_entropy(logits, y)) {extra}")
    module = load_plain(emit(text, dtype="float64"))
    params = module.init(seed=1)
    x, y = np.random.default_rng(0).normal(size=(3, 256)), np.array([1, 5, 9])
    _, gradients = module.loss_and_gradients(params, x, y)
    losses = []
    for step in (1e-6, -1e-6):
        params["scale"] = 1 + step
        losses.append(module.loss_and_gradients(params, x, y)[0])
    np.testing.assert_allclose(gradients["scale"], (losses[0] - losses[1]) / 2e-6, rtol=1e-6)


WIDE = """
dim batch
input  x[batch, 512]
target y[batch] : int(10)
a      = tanh(dense(x, 300))
h      = relu(dense(a, 500))
logits = dense(h, 10)
loss   mean(cross_entropy(logits, y))
"""


@pytest.mark.parametrize("clip", ["", ", clip_norm = 0.1"])
def test_large_gradients_are_made_by_all_workers_together(clip, monkeypatch):
    """Of the rows of all, so that what these products read lies in one place; the others are added up."""
    text = f"{WIDE}optimize adam(lr = 1e-3){clip}\n"
    graph = graphs(text).gradient
    assert graph is not None
    program = gradient_program(graph)
    verify_program(program)
    rows = rows_of(program)
    assert rows is not None
    assert [gemm.equation.target for gemm in rows.joint] == ["d_h.weight", "d_a.weight"]
    assert [gemm.b.tensor for gemm in rows.by_all] == ["a.weight", "h.weight"]
    assert rows.common == {"a", "d_h.dense", "d_a.dense"}
    assert {program.buffers[name].storage for name in rows.common} == {Storage.COMMON}
    module = load_plain(emit(text, dtype="float64"))
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(13, 512)), rng.integers(0, 10, 13)
    params, losses = _trained_with(module, 1, x, y, monkeypatch)
    for workers in (2, 3):
        cut, cut_losses = _trained_with(module, workers, x, y, monkeypatch)
        np.testing.assert_allclose(cut_losses, losses, rtol=1e-12)
        np.testing.assert_allclose(cut, params, rtol=1e-9, atol=1e-12)
    monkeypatch.setattr(module, "shards_of", lambda *_: 1)
    start = module.init(seed=1)
    _, gradients = module.loss_and_gradients(start, x, y)
    for name in ("a.weight", "h.bias"):
        place = tuple(n // 2 for n in start[name].shape)
        found = []
        for step in (1e-6, -1e-6):
            moved = module.Params(start.flat.copy())
            moved[name][place] += step
            found.append(module.loss_and_gradients(moved, x, y)[0])
        np.testing.assert_allclose(gradients[name][place], (found[0] - found[1]) / 2e-6, rtol=1e-5, atol=1e-9)


def test_what_more_is_added_to_is_no_joint_gradient():
    graph = graphs(WIDE.replace("logits, y))", "logits, y)) + sum(h.weight^2)")).gradient
    assert graph is not None
    rows = rows_of(gradient_program(graph))
    assert rows is not None
    assert {gemm.equation.target for gemm in rows.joint} == {"d_a.weight"}


RULES = ("sgd", "rmsprop", "adagrad", "adadelta", "adam", "adamw", "nadam", "lion")
PUSHED = """
optimizer pushed(lr = 0.1):
    state s ~ 0.5
    r = sqrt(sum(p^2)) / sqrt(sum(g^2) + 1)
    s = s + g
    p = p - lr * r * s
"""


@pytest.mark.parametrize(
    ("rule", "cut"),
    [
        *((f"{rule}(weight_decay = 0.1)", rule != "nadam") for rule in RULES),  # which has a state for all parameters
        ("adamw(weight_decay = 0.1), clip_norm = 0.5", False),
        ("adamw(lr = 1e-3, amsgrad = true), clip_value = 0.5", True),
        ("pushed(lr = 0.01), clip_norm = 2.0", False),
    ],
)
def test_every_rule_takes_a_step_of_the_shares(rule, cut, monkeypatch):
    """By ranges of the parameters, or all of them at once with space for what waits for a sum."""
    module = load_plain(emit(PUSHED + TEXT.replace("adam(lr = 1e-3), clip_norm = 1.0", rule), dtype="float64"))
    assert ("first" in module.update.__code__.co_varnames) is cut
    monkeypatch.setattr(module, "OneBlasThread", contextlib.nullcontext)
    x, y = (array[:7] for array in _data())
    found = []
    for workers in (1, 3):
        monkeypatch.setattr(module, "shards_of", lambda *_, workers=workers: workers)
        params = module.init(seed=1)
        found.append((module.train_step(params, module.init_state(params), x, y), params.flat))
    np.testing.assert_allclose(found[1][0], found[0][0], rtol=1e-12)
    np.testing.assert_allclose(found[1][1], found[0][1], rtol=1e-9, atol=1e-12)


def test_a_recurrence_that_reads_no_rows_comes_after_them():
    text = TEXT.replace("loss ", "g[0] = scale\ng[(t: batch) + 1] = 0.9 * sin(g[t])\nloss sum(g^2) + ")
    gradient = graphs(text).gradient
    assert gradient is not None
    rows = rows_of(schedule(gradient))
    assert rows is not None
    assert any(isinstance(step, Sequential) for step in rows.after)


def test_the_work_of_rows_counts_free_dims(monkeypatch):
    text = "dim batch, time\ninput x[batch, time, 64]\nh = lstm(x, 96)\nloss mean(h^2)\n"
    source = emit(text)
    assert re.search(r"work = \d+ \* count \* x\.shape\[1\]", source)
    module = load_plain(source)
    seen = []
    monkeypatch.setattr(module, "shards_of", lambda rows, work, _: seen.append((rows, work)) or 1)
    params = module.init(0)
    module.train_step(params, module.init_state(params), np.zeros((4, 3, 64), "float32"))
    module.train_step(params, module.init_state(params), np.zeros((4, 6, 64), "float32"))
    (rows, work), (again, more) = seen
    assert (rows, again) == (4, 4)
    assert more == 2 * work


READER = """
dim batch, time
input  ids[batch, time] : int(50)
target y[batch, time] : int(50)
logits = dense(gru(embedding(ids, 50, 64), 96), 50)
predict p = softmax(logits)
predict end[b, o] = logits[b, time - 1, o]
loss mean(cross_entropy(logits, y))
"""


def test_predictions_of_parts_of_a_batch_are_those_of_the_batch(monkeypatch):
    module = load_plain(emit(READER, dtype="float64"))
    params = module.init(0)
    ids = np.random.default_rng(0).integers(0, 50, (7, 4))
    whole = module.predict(params, ids)
    asked = []
    monkeypatch.setattr(module, "shards_of", lambda *sizes: asked.append(sizes) or 3)
    cut = module.predict(params, ids)
    assert [rows for rows, *_ in asked] == [7]
    for name, values in whole.items():
        np.testing.assert_allclose(cut[name], values, rtol=1e-12)
    ids[5, 2] = 50
    with pytest.raises(ValueError, match=r"ids\[5, 2\] is 50"):
        module.predict(params, ids)


@pytest.mark.parametrize(
    "line",
    [
        "predict p[b, o] = h[b, o] - max[c](h[c, o])",
        "predict p[b, o] = h[b, o] / batch",
        "predict p[b, o] = if b + 1 < batch then h[b, o] else 0",
        "predict p[o, b] = h[b, o]",
        "predict p[b, o] = h[b, o] * uniform()",
        "predict p[b, o] = h[b, o] + x?[b - 1, 3 * o]",
        "predict p[b, o] = h[b, o] + x[other[b], 3 * o]",
        "predict p[b, o] = h[b, o]\npredict q = sum(h)",
    ],
)
def test_predictions_that_need_to_know_the_batch_are_made_whole(line):
    given = "dim batch\ninput x[batch, 256]\ninput other[batch] : int(batch)\n"
    source = emit(f"{given}h = relu(dense(relu(dense(x, 256)), 10))\n{line}\nloss mean(h^2)\n")
    assert "def part(worker)" not in source[source.index("def predict(") : source.index("def evaluate(")]
