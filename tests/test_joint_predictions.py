"""Predictions that workers make together: products of few rows with large matrices, by a part of the matrix each."""

import itertools
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from numba import njit
from support.emitted import load_compiled, load_plain
from test_prelude import prelude, stored

from gradc.pipeline import emit, graphs
from gradc.schedule.build import schedule
from gradc.schedule.joint import rows_with_joint
from gradc.schedule.program import Gemm, Storage
from gradc.schedule.verify import verify_program

pytest.importorskip("threadpoolctl")

TEXT = """
dim batch
input  x[batch, 300]
target y[batch] : int(10)
h      = relu(dense(x, 600))
h      = h + tanh(dense(h, 600))
logits = dense(h, 10)
predict p = softmax(logits)
loss    mean(cross_entropy(logits, y))
optimize sgd(lr = 1e-3)
"""
TIMES = """
dim batch, time, steps = 2
input  ids[batch, steps] : int(50), scale, x[batch, 1000], gate[batch, time, steps]
h[b, s, j] = relu(dense(embedding(ids, 50, 300), 300))[b, s, j] * scale
g      = dense(relu(dense(x, 400)), 4)
predict p[b, t, s, j] = h[b, s, j] * gate[b, t, s]
predict q = g
loss    mean(p^2) + mean(g^2)
"""


@pytest.fixture(scope="module")
def module(tmp_path_factory):
    return load_compiled(emit(TEXT, dtype="float64"), tmp_path_factory.mktemp("joint"))


def _rows(count):
    return np.random.default_rng(count).normal(size=(count, 300))


def _workers(module, monkeypatch, workers):
    monkeypatch.setattr(module, "shards_of", lambda *_: workers)


def _joint(text):
    graph = graphs(text).predict
    assert graph is not None
    program = schedule(graph, in_parts=True)
    verify_program(program)
    found = rows_with_joint(program.graph, program.steps)
    return program, [] if found is None else [gemm.equation.target for gemm in found[1]]


def test_products_with_large_weights_are_made_together():
    program, targets = _joint(TEXT)
    assert program.in_shards
    products = [step for step in program.steps if isinstance(step, Gemm)]
    assert targets == [products[0].equation.target, products[1].equation.target]
    assert len(products) == 3
    lying = [name for name, b in program.buffers.items() if b.storage is Storage.COMMON and not b.shares]
    assert lying == [products[1].a.tensor]


@pytest.mark.parametrize(
    "line",
    [
        "h = dense(x, 1200)\npredict p = h",  # small
        "h = dense(x, 2000)\npredict p[o, b] = h[b, o]",
        "h = dense(x, 2000)\npredict p[b, o] = h[b, o] - max[c](h[c, o])",
        "h[b, t, o] = sum[i](x[b, i] * w[i, t, o])\nk = dense(h, 4000)\npredict p = k",  # many rows of each example
    ],
)
def test_other_products_are_not(line):
    given = "dim batch\ninput x[batch, 300]\nparam w[300, 100, 20] ~ normal()\n"
    _, targets = _joint(f"{given}{line}\nloss mean(h^2)\n")
    assert targets == (["h"] if "k" in line else [])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("b_how", ["rows", "columns"])
def test_a_product_by_all_workers_is_that_by_one(dtype, b_how):
    """Of few rows, for whose sums there is room, and of more. Fewer workers than shards give the same bits."""
    by_all = {flag: prelude(dtype, compiled=flag)["gemm_by_all"] for flag in (False, True)}

    @njit(nogil=True)
    def compiled(a, b, out, first, sums, team):
        by_all_compiled(a, b, out, first, sums, team)

    by_all_compiled = by_all[True]
    rng = np.random.default_rng(0)
    for m, k, n, shards in ((1, 200, 70, 2), (2, 31, 5, 3), (7, 300, 33, 3), (5, 2, 40, 3), (6, 50, 64, 1)):
        a, b = rng.normal(size=(m, k)).astype(dtype), np.asarray(stored(rng, (k, n), b_how), dtype)
        for call, room in itertools.product((compiled, by_all[False]), (0, m * n, m * n + 5)):
            found = [_by_workers(call, a, b, np.full((shards, room), np.nan, dtype), n) for n in range(1, shards + 1)]
            np.testing.assert_allclose(found[0], a @ b, rtol=1e-4, atol=1e-4)
            for out in found[1:]:
                np.testing.assert_array_equal(out, found[0])


def _by_workers(call, a, b, sums, workers):
    """What so many make together."""
    turns, out = np.zeros((workers, 8), np.int64), np.full((a.shape[0], b.shape[1]), np.nan, a.dtype)
    shards = sums.shape[0]
    ends = [a.shape[0] * (shards * worker // workers) // shards for worker in range(workers + 1)]
    threads = [
        threading.Thread(target=call, args=(a, b, out[first:last], first, sums, (worker, turns)))
        for worker, (first, last) in enumerate(itertools.pairwise(ends))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return out


def test_the_number_of_shards_changes_nothing_but_rounding(monkeypatch):
    module = load_plain(emit(TEXT, dtype="float64"))
    params = module.init(seed=1)
    for count in (1, 2, 7, 150):
        _workers(module, monkeypatch, 1)
        alone = module.predict(params, _rows(count))
        for workers in (2, 3, 5):
            _workers(module, monkeypatch, workers)
            np.testing.assert_allclose(module.predict(params, _rows(count)), alone, rtol=1e-10)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_number_of_workers_changes_nothing_at_all(dtype, tmp_path, monkeypatch):
    """Not even the last bits, of products that all make together, and of those that they make of their own rows."""
    module = load_compiled(emit(TEXT, dtype=dtype), tmp_path)
    params = module.init(seed=1)
    for count, shards in itertools.product((1, 2, 7, 8, 33, 150), (2, 3, 5)):
        _workers(module, monkeypatch, shards)
        x, found = _rows(count).astype(dtype), []
        for workers in range(1, shards + 1):
            monkeypatch.setattr(module.WORKERS, "free", lambda _, workers=workers: workers)
            found.append(module.predict(params, x))
        for p in found[1:]:
            np.testing.assert_array_equal(p, found[0])


def test_late_predictions_are_followed_by_some_of_one_worker(module, monkeypatch):
    """For longer and longer, as long as they are late again; with the same bits. The clock is ours."""
    _workers(module, monkeypatch, 3)
    workers, params, x = module.Workers(), module.init(1), _rows(2)
    now, takes, made, meet = [100.0], {1: 1e-3, 3: 5e-4}, [], workers.meet
    monkeypatch.setattr(module, "WORKERS", workers)
    monkeypatch.setattr(module, "perf_counter", lambda: now[0])

    def timed(part, count, turns):
        now[0] += takes[count]
        made.append(count)
        return meet(part, count, turns)

    def until(seconds):
        """Who made the predictions of so long."""
        made.clear()
        end = now[0] + seconds
        while now[0] < end:
            np.testing.assert_array_equal(module.predict(params, x), expected)
        return made

    monkeypatch.setattr(workers, "meet", timed)
    expected = module.predict(params, x)
    assert 1 in until(0.2)  # to see that those together are not late, though slower than was guessed
    assert set(until(0.1)) == {3}
    takes[3] = 0.01  # the processor is busy
    assert until(0.01) == [3]
    rests = []
    for _ in range(6):
        begun = now[0]
        assert set(until(0.05)) == {1}
        while made[-1] == 1:
            module.predict(params, x)
        rests.append(now[0] - takes[3] - begun)
    assert rests == pytest.approx([0.068, 0.136, 0.272, 0.544, 1.088, 1.088], rel=0.05)
    takes[3] = 5e-4  # it is idle again
    assert set(until(1.0)) == {1}
    assert set(until(1.0)[-100:]) == {3}
    takes[3] = 3e-3  # late for once, as any may be
    until(1e-3)
    takes[3] = 5e-4
    assert set(until(0.1)) == {3}


def test_inputs_of_all_kinds_and_predictions_alone(monkeypatch, tmp_path):
    """Whole numbers and their ranges, scalars, other free dims, several results, results with fewer inputs."""
    source = emit(TIMES, dtype="float64")
    assert {"part_of_predict", "part_of_predict_q"} <= set(source.replace("(", " ").split())
    rng = np.random.default_rng(0)
    ids, x, gate = rng.integers(0, 50, (5, 2)), rng.normal(size=(5, 1000)), rng.normal(size=(5, 3, 2))
    for module in (load_plain(source), load_compiled(source, tmp_path)):
        params, found = module.init(1), []
        for workers in (1, 2, 3):
            _workers(module, monkeypatch, workers)
            for _ in range(3):
                found.append((*module.predict(params, ids, 0.5, x, gate).values(), module.predict_q(params, x)))
            wrong = ids.copy()
            wrong[4, 1] = 50
            with pytest.raises(ValueError, match=r"ids\[4, 1\] is 50"):
                module.predict(params, wrong, 0.5, x, gate)
        for p, q, alone in found[1:]:
            np.testing.assert_allclose(p, found[0][0], rtol=1e-10)
            np.testing.assert_allclose(q, found[0][1], rtol=1e-10)
            np.testing.assert_allclose(alone, found[0][1], rtol=1e-10)


def test_workers_that_stay_predict_from_what_they_are_called_with(module, monkeypatch):
    """From other batches of other lengths, freed at once, and with other parameters."""
    several = [module.init(seed) for seed in (1, 2)]
    counts = (1, 1, 1, 64, 1, 2, 64, 64, 3, 1, 200, 1) * 3
    found = []
    for workers in (1, 2):
        _workers(module, monkeypatch, workers)
        found.append([module.predict(several[at % 2], _rows(count)) for at, count in enumerate(counts)])
    for cut, alone in zip(*found, strict=True):
        np.testing.assert_allclose(cut, alone, rtol=1e-10)


def test_many_threads_predict_at_once(module, monkeypatch):
    params = module.init(1)
    _workers(module, monkeypatch, 3)
    expected = {count: module.predict(params, _rows(count)) for count in (1, 5, 64)}
    found = []

    def predict():
        found.extend((count, module.predict(params, _rows(count))) for _ in range(5) for count in expected)

    threads = [threading.Thread(target=predict, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert len(found) == 8 * 15
    for count, p in found:
        np.testing.assert_array_equal(p, expected[count])
    assert module.WORKERS.predicting == []
    pace = module.Pace("predict", 6)
    assert module.WORKERS.free(pace) == 6
    module.WORKERS.predicting.append(None)
    assert module.WORKERS.free(pace) == 3
    module.WORKERS.predicting.pop()


@pytest.mark.parametrize("where", [0, 1])
def test_a_worker_that_is_interrupted_keeps_nobody_waiting(module, where, monkeypatch):
    _workers(module, monkeypatch, 2)
    monkeypatch.setattr(module.WORKERS, "free", lambda _: 2)
    params, entry = module.init(1), module.predict_entry
    module.WORKERS.teams.clear()

    def interrupted(*arguments):
        if arguments[1] == where:
            raise KeyboardInterrupt
        return entry(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(module, "predict_entry", interrupted)
        with pytest.raises(KeyboardInterrupt):
            module.predict(params, _rows(2))
    assert not any(module.WORKERS.teams.values())
    assert module.WORKERS.predicting == []
    assert np.isfinite(module.predict(params, _rows(2))).all()


def test_space_is_kept_for_calls_that_need_no_more(module, monkeypatch):
    _workers(module, monkeypatch, 2)
    monkeypatch.setattr(module.WORKERS, "free", lambda _: 2)
    params = module.init(1)
    module.WORKERS.teams.clear()
    module.predict(params, _rows(8))
    ((team,),) = module.WORKERS.teams.values()
    module.predict(params, _rows(3))
    assert module.WORKERS.teams == {("predict", 2): [team]}
    module.predict(params, _rows(9))
    ((larger,),) = module.WORKERS.teams.values()
    assert larger is not team
    module.predict(params, _rows(5000))
    assert module.WORKERS.teams == {("predict", 2): []}


FORKED = """
import os, sys
import numpy as np
import forked

forked.shards_of = lambda *_: 2
params, x = forked.init(seed=1), np.random.default_rng(0).normal(size=(2, 300))
before = [forked.predict(params, x) for _ in range(3)][-1]
child = os.fork()
same = np.array_equal(forked.predict(params, x), before)
if child == 0:
    os._exit(not same)
_, ended = os.waitpid(child, 0)
sys.exit(ended or not same)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_while_workers_stay_has_workers_of_its_own(tmp_path):
    """In a process where nothing else has threads."""
    (tmp_path / "forked.py").write_text(emit(TEXT, dtype="float64"), encoding="utf-8")
    ended = subprocess.run([sys.executable, "-c", FORKED], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr


RENAMED = """
dim batch
input  common[batch, 300]
target team[batch] : int(10)
own    = relu(dense(common, 600))
own    = own + tanh(dense(own, 600))
sums   = dense(own, 10)
predict all_rows = softmax(sums)
loss    mean(cross_entropy(sums, team))
optimize sgd(lr = 1e-3)
"""


def test_names_of_the_team_are_no_names_of_the_model(monkeypatch):
    plain, renamed = (load_plain(emit(text, dtype="float64")) for text in (TEXT, RENAMED))
    params, found = plain.init(1), []
    for module in (plain, renamed):
        _workers(module, monkeypatch, 2)
        found.append(module.predict(params, _rows(3)))
    np.testing.assert_array_equal(*found)
