"""The benchmarks do the work that they time: gradc's rows against plain NumPy. No timing is asserted anywhere."""

import importlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def part(monkeypatch):
    """Imports a module of the benchmarks, which are not installed."""
    monkeypatch.syspath_prepend(ROOT)
    return lambda name: importlib.import_module(f"benchmarks.{name}")


def numpy_losses(params, x, y, steps):
    """Losses of a perceptron under Adam, in float64, written without any help."""
    p = [np.array(value, np.float64) for value in params.values()]
    m, v, losses = [0 * a for a in p], [0 * a for a in p], []
    for t in range(1, steps + 1):
        layers = [x.astype(np.float64)]
        for w, b in zip(p[:-2:2], p[1:-2:2], strict=True):
            layers.append(np.maximum(layers[-1] @ w + b, 0))
        z = layers[-1] @ p[-2] + p[-1]
        soft = np.exp(z - z.max(1, keepdims=True))
        soft /= soft.sum(1, keepdims=True)
        losses.append(-np.log(soft[np.arange(len(y)), y]).mean())
        d, gradients = (soft - np.eye(z.shape[1])[y]) / len(y), []
        for layer, w in zip(layers[::-1], p[-2::-2], strict=True):
            gradients += [d.sum(0), layer.T @ d]
            d = (d @ w.T) * (layer > 0)
        for n, g in enumerate(gradients[::-1]):
            m[n], v[n] = 0.9 * m[n] + 0.1 * g, 0.999 * v[n] + 0.001 * g * g
            p[n] -= 1e-3 * m[n] / (1 - 0.9**t) / (np.sqrt(v[n] / (1 - 0.999**t)) + 1e-8)
    return losses


def test_gradc_does_the_work_of_its_row(part):
    worker, row = part("worker"), replace(part("rows").named("mlp-small"), steps=30)
    arrays = part("run").initial(row)
    timing = worker.measure(row, arrays, "gradc", 0.0)
    losses = numpy_losses(arrays.params, *arrays.data.values(), row.steps)
    np.testing.assert_allclose([timing.first_loss, timing.last_loss], [losses[0], losses[-1]], rtol=1e-5)


def test_a_peer_starts_again_from_the_same_parameters(part):
    worker, row = part("worker"), replace(part("rows").named("mlp-small"), steps=5)
    (peer,) = part("peers.gradc_peer").peers(row, part("run").initial(row)).values()
    assert worker.untimed_lap(row, peer) == worker.untimed_lap(row, peer)


def test_arrays_come_back_as_they_were_saved(part, tmp_path):
    worker, arrays = (
        part("worker"),
        part("peers").Arrays({"h.weight": np.ones((2, 3), np.float32)}, {}, {"y": np.arange(3)}),
    )
    worker.save(tmp_path / "arrays.npz", arrays)
    found = worker.load(tmp_path / "arrays.npz")
    for group in worker.GROUPS:
        was, now = getattr(arrays, group), getattr(found, group)
        assert list(was) == list(now)
        for name in was:
            np.testing.assert_array_equal(was[name], now[name])


def test_every_row_is_stated_for_every_peer(part):
    for row in part("rows").ROWS:
        for framework in set(row.peers) - {"compile"}:
            assert (ROOT / "benchmarks" / row.family / f"with_{framework}.py").exists(), row.name


TINY = {
    "mlp": [{"name": "tiny", "sizes": (5, 4, 3), "batch": 4, "steps": 3}],
    "cnn": [{"name": "tiny", "side": 8, "filters": (2, 3), "hidden": 4, "batch": 2}],
    "resnet": [{"name": "tiny", "side": 8, "width": 2, "batch": 2}],
    "recurrent": [{"layer": layer, "sizes": (5, 3, 4), "batch": 2, "time": 3} for layer in ("lstm", "gru")],
    "transformer": [
        {"name": "tiny", "sizes": {"time": 3, "signs": 5, "width": 4, "heads": 2, "blocks": 2}, "batch": 2}
    ],
    "burgers": [{"name": "tiny", "width": 4, "more": 2, "points": 3}],
    "vae": [{"name": "tiny", "sizes": (6, 5, 2), "batch": 3}],
}
ROWS = [(family, at) for family, rows in TINY.items() for at in range(len(rows))]


@pytest.mark.parametrize(("family", "at"), ROWS)
@pytest.mark.parametrize("peer", ["jax", "torch"])
@pytest.mark.usefixtures("without_jit")
def test_peers_do_the_work_of_a_row(part, monkeypatch, family, at, peer):
    pytest.importorskip(peer)
    monkeypatch.setattr(part("run"), "BATCHES", (1, 3))
    worker, row = part("worker"), replace(part(family).row(**TINY[family][at]), steps=3)
    arrays = part("run").initial(row)
    inputs = part("run").inputs_of(row, arrays)
    (ours,), theirs = (
        [np.asarray(way.step()) for way in part(f"peers.{name}_peer").predictors(row, inputs).values()]
        for name in ("gradc", peer)
    )
    assert len(ours) == 3
    for prediction in theirs:
        np.testing.assert_allclose(prediction, ours, rtol=1e-4, atol=1e-6)
    (ours,), theirs = (
        [worker.untimed_lap(row, way) for way in part(f"peers.{name}_peer").peers(row, arrays).values()]
        for name in ("gradc", peer)
    )
    # later losses are wider apart: Adam's first steps are as large for a gradient that is all rounding as for any other
    tolerances = part("report").FIRST_AGREES, part("report").LAST_AGREES
    for losses in theirs:
        for loss, our, tolerance in zip(losses, ours, tolerances, strict=True):
            np.testing.assert_allclose(loss, our, rtol=tolerance)


def test_the_smoke_test_has_every_family(part):
    assert {row.family for row in part("rows").ROWS} == set(TINY)


# ------------------------------------------------------------------ the report


def result(part, **medians):
    """A row's result, one round, from each peer's seconds."""
    timing = part("worker").Timing("", 0.0, 0.0, 2.5, 0.5, 100, 1.0)
    timings = {peer: [replace(timing, median=time, least=time / 2)] for peer, time in medians.items()}
    return part("report").Result(part("rows").named("mlp-small"), timings)


@pytest.mark.parametrize(
    ("peer", "change", "found"),
    [
        ("jax", {}, 0),
        ("jax", {"first_loss": 2.5 * (1 + 5e-6), "last_loss": 0.5 * (1 + 5e-4)}, 0),
        ("jax", {"first_loss": 2.5 * (1 + 1e-4)}, 1),
        ("jax", {"last_loss": 0.51}, 1),
        ("jax", {"first_loss": float("nan"), "last_loss": float("nan")}, 2),
        ("blas", {"first_loss": 0.0, "last_loss": 0.0}, 0),
    ],
)
def test_different_work_is_noticed(part, peer, change, found):
    honest = result(part, gradc=1.0, **{peer: 1.0})
    changed = replace(honest, timings={**honest.timings, peer: [replace(honest.timings[peer][0], **change)]})
    assert len(part("report").disagreements(changed)) == found


def test_the_ratio_is_that_of_the_best_peer(part):
    measured = result(part, gradc=10e-6, torch=500e-6, jax=50e-6, blas=5e-6)
    assert measured.ratio() == pytest.approx(5.0)
    assert measured.share_of_blas() == pytest.approx(0.5)
    assert result(part, gradc=1.0, blas=1.0).ratio() is None


def test_the_table_is_markdown(part):
    measured = [result(part, gradc=10e-6, torch=500e-6, jax=50e-6), result(part, gradc=10e-6, torch=80e-6)]
    machine = replace(part("machine").this_machine(), load=0.0)
    head, rule, first, second, *notes = part("report").markdown(measured, machine, {"jax": "1.2"}).splitlines()
    assert head == "| training step, µs | gradc | PyTorch | JAX jit | best peer ÷ gradc |"
    assert rule == "| --- | ---: | ---: | ---: | ---: |"
    cells = "10.0 (5.0), 1 MB | 500 (250), 1 MB | 50.0 (25.0), 1 MB | **5.00×** (5.00×)"
    assert first == f"| mlp 64-32-32-10, batch 32 | {cells} |"
    assert second.endswith("| 10.0 (5.0), 1 MB | 80.0 (40.0), 1 MB | - | **8.00×** (8.00×) |")
    assert any("Geometric mean of the ratios: 6.32×" in note for note in notes)
    assert notes[-1] == f"{machine}. jax 1.2."


def test_predictions_have_a_table_of_their_own(part):
    small, large = result(part, gradc=1e-6, jax=5e-6), result(part, gradc=10e-6, jax=20e-6)
    measured = [replace(small, predictions={1: small, 64: large}), replace(small, predictions={1: small})]
    machine = replace(part("machine").this_machine(), load=0.0)
    rows = part("report").markdown(measured, machine, {}).splitlines()
    start = rows.index("| prediction, µs, batch 1 / 64 | gradc | JAX jit | best peer ÷ gradc |")
    assert rows[start + 2] == "| mlp 64-32-32-10 | 1.0 / 10.0 | 5.0 / 20.0 | **5.00× / 2.00×** |"
    assert rows[start + 3] == "| mlp 64-32-32-10 | 1.0 | 5.0 | **5.00×** |"
    alone = replace(measured[0], timings={})
    assert part("report").markdown([alone], machine, {}).splitlines()[0] == rows[start]


def test_different_predictions_are_noticed(part):
    honest = result(part, gradc=1.0, jax=1.0)
    changed = replace(honest.timings["jax"][0], first_loss=2.0)
    wrong = replace(honest, predictions={64: replace(honest, timings={**honest.timings, "jax": [changed]})})
    (text,) = part("report").disagreements(wrong)
    assert "batch 64" in text
    assert part("report").disagreements(replace(wrong, timings={})) == [text]


def test_memory_is_counted_anew(part):
    memory = part("memory")
    taken = np.ones(2**23)  # 64 MB
    with_it = memory.peak()
    del taken
    before = memory.restart()
    assert 0 < before <= memory.peak()
    if Path("/proc/self/clear_refs").exists():
        assert memory.peak() < with_it - 32
    assert np.ones(2**23).sum() > 0
    assert memory.peak() > before + 32


def test_a_table_from_a_busy_machine_says_so(part):
    machine = replace(part("machine").this_machine(), cores=2, load=3.0)
    text = part("report").markdown([result(part, gradc=1.0, jax=2.0)], machine, {})
    assert text.endswith("The machine was busy (load 3.0): these figures say little.\n")


# ------------------------------------------------------------------ the command


def command(*arguments):
    run = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(run, cwd=ROOT, env={**os.environ}, capture_output=True, text=True, check=False)


def test_the_command_writes_its_table(tmp_path):
    done = command("--quick", "--rows", "mlp-small", "--peers", "", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    row = json.loads((tmp_path / "results.json").read_text("utf-8"))["rows"]["mlp-small"]
    assert set(row["timings"]) == {"gradc", "blas"}
    assert [set(row["predictions"][batch]["timings"]) for batch in ("1", "64")] == [{"gradc"}, {"gradc"}]
    assert row["timings"]["gradc"][0]["last_loss"] < row["timings"]["gradc"][0]["first_loss"]
    assert "mlp 64-32-32-10" in (tmp_path / "results.md").read_text("utf-8")


@pytest.mark.parametrize(("option", "word"), [("--rows", "no row x"), ("--peers", "no peer x")])
def test_what_is_not_there_is_said_to_be(option, word):
    wrong = command(option, "x")
    assert wrong.returncode == 2
    assert word in wrong.stderr


def test_every_stage_of_the_compiler_is_clocked():
    run = [sys.executable, "-m", "benchmarks.stages", "examples/digits.grad"]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["first"]
    assert all(seconds > 0 for seconds in found.values()), found
