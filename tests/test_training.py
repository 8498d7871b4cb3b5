"""Training: batches, validation, interruption, progress, and that what goes on equals what never stopped."""

import io
import itertools
import os
import re
import signal
import threading
from pathlib import Path

import numpy as np
import pytest
import stand_in
from rich.console import Console

import gradc
from gradc import GradcError, GradcWarning
from gradc.runtime import batches, training
from gradc.runtime.bar import Bar
from gradc.runtime.batches import split
from gradc.runtime.progress import Lines
from gradc.runtime.session import Position, Settings
from gradc.runtime.training import Epoch, Plan, Silent

X, Y = stand_in.line_data()


@pytest.fixture(autouse=True)
def _stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stand_in.install(monkeypatch, tmp_path / "cache")


def model(text: str = "line", **options) -> gradc.Model:
    return gradc.compile_text(text, **options)


class Presses(Silent):
    """Presses Ctrl-C during a step, as a terminal does."""

    def __init__(self, *at: int) -> None:
        self.at = at
        self.taken = 0

    def steps(self, losses: list[float]) -> None:
        for _ in losses:
            self.taken += 1
            if self.taken in self.at:
                os.kill(os.getpid(), signal.SIGINT)


def same(a: gradc.Model, b: gradc.Model) -> None:
    """To the bit."""
    np.testing.assert_array_equal(a.params.flat, b.params.flat)
    np.testing.assert_array_equal(a.state.flat, b.state.flat)
    assert (a.state.step, a.state.seed) == (b.state.step, b.state.seed)
    assert a.session.position == b.session.position


# ------------------------------------------------------------------ fit


def test_fit_learns_and_tells_how():
    line = model()
    history = line.fit(X, Y, epochs=30)
    assert [epoch.number for epoch in history.epochs] == list(range(1, 31))
    assert history.loss[-1] < 0.05 < history.loss[0]
    assert len(history.validation) == 30
    assert history.validation[-1]["mae"] < 0.2
    assert history.rate > 0
    assert all(epoch.seconds > 0 and epoch.steps == 4 for epoch in history.epochs)  # 41 less 11 held back, by 8
    assert not history.interrupted
    np.testing.assert_allclose(line.params["w"][:, 0], [1, -2, 0.5], atol=0.1)


def test_what_is_not_said_comes_from_the_models_fit_line():
    line = model()
    assert len(line.fit(X, Y).epochs) == 4
    assert line.session.settings == Settings(8, 0.25, 0)
    assert line.session.examples == 30


def test_a_data_file_is_read_as_fit_takes_it(tmp_path):
    np.savez(tmp_path / "xy.npz", x=X.astype("float64"), y=Y)
    line, other = model(), model()
    read = line.read(tmp_path / "xy.npz")
    assert [array.dtype for array in read.values()] == ["float32", "float32"]
    line.fit(**read, epochs=2)
    other.fit(X, Y, epochs=2)
    same(line, other)
    assert list(line.read(tmp_path / "xy.npz", targets=False)) == ["x"]
    np.savez(tmp_path / "x.npz", x=X)
    declared = model("input x[batch, 3]\ntarget y[batch]")
    with pytest.raises(GradcError, match=r"no array for target y\[batch\]; it has x\n.*model.grad\n   2 \| target y"):
        declared.read(tmp_path / "x.npz")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("epoch", "did you mean epochs?"),
        ("batch", "did you mean batch_size?"),
        ("vaildation", "did you mean validation?"),
        ("lr", "options: epochs, batch_size, validation, seed, progress; gradc.compile takes dtype and lr"),
    ],
)
def test_an_argument_that_fit_does_not_have(name, said):
    with pytest.raises(GradcError, match=re.escape(said)):
        model().fit(X, Y, **{name: 3})


def test_what_compile_cannot_take():
    for lr in ("abc", -1.0, float("nan")):
        with pytest.raises(GradcError, match=r"lr is a finite number, at least 0, not .*\n     = write lr=1e-3"):
            model(lr=lr)
    with pytest.raises(GradcError, match=r"digits\.grad is the path of a model, not its text"):
        gradc.compile_text("digits.grad")
    with pytest.raises(GradcError, match=r"a model's text is a str, and this is of the type bytes"):
        gradc.compile_text(b"line")
    with pytest.raises(GradcError, match=r"this is a model's text, not its path\n     = gradc\.compile_text"):
        gradc.compile("line\nmore")


def test_arrays_by_name_and_from_the_data_line(tmp_path):
    np.savez(tmp_path / "xy.npz", x=X, y=Y)
    (tmp_path / "m.grad").write_text('data "xy.npz"')
    named, filed = model('data "xy.npz"'), gradc.compile(tmp_path / "m.grad")
    named.fit(y=Y, x=X)
    filed.fit()
    same(named, filed)
    with pytest.raises(GradcError, match=r"input x\[batch, 3\] is missing; given: no array"):
        model().fit()
    with pytest.raises(GradcError, match="leaves the folder"):
        gradc.compile_text('data "/etc/xy.npz"').fit()


def test_two_fits_are_one_long_one():
    twice, once = model(), model()
    twice.fit(X, Y, epochs=2)
    assert twice.fit(X, Y, epochs=3).epochs[0].number == 3
    once.fit(X, Y, epochs=5)
    same(twice, once)


def test_seeds():
    same(fitted(seed=3), fitted(seed=3))
    assert not np.array_equal(fitted(seed=3).params.flat, fitted(seed=4).params.flat)
    assert model(seed=5).state.seed == 5


def fitted(seed: int) -> gradc.Model:
    line = model()
    line.fit(X, Y, epochs=1, seed=seed)
    return line


def test_no_epochs_do_nothing():
    line = model()
    before = line.params.flat.copy()
    assert line.fit(X, Y, epochs=0).epochs == []
    np.testing.assert_array_equal(line.params.flat, before)


def test_restart():
    line = model()
    line.fit(X, Y)
    line.restart()
    same(line, model())
    line.restart(seed=9)
    same(line, model(seed=9))


def test_arrays_are_left_alone():
    x, y = X.copy(), Y.copy()
    model().fit(x, y)
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(y, Y)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": -1}, "epochs is a whole number"),
        ({"batch_size": 0}, "batch is a whole number"),
        ({"validation": 1.0}, "validation is a fraction"),
        ({"validation": float("nan")}, "validation is a fraction"),
        ({"validation": 0.99}, "leaves none to train on"),
        ({"seed": -1}, "seed is a whole number"),
        ({"epochs": 2.5}, "epochs is a whole number, at least 0, not 2.5"),
        ({"batch_size": 2.5}, "batch is a whole number, at least 1, not 2.5"),
        ({"batch_size": float("inf")}, "batch is a whole number, at least 1, not inf"),
        ({"batch_size": "8"}, "batch is a whole number, at least 1, not '8'"),
        ({"validation": "a fifth"}, "validation is a fraction from 0 to below 1, not 'a fifth'"),
        ({"seed": 1.5}, "seed is a whole number, at least 0, not 1.5"),
        ({"progress": 1}, "progress is True, False or an object with start, steps, epoch, finish, not 1"),
        ({"progress": "bar"}, "progress is True, False or an object with"),
    ],
)
def test_settings_that_make_no_sense(options, message):
    line = model()
    before = line.params.flat.copy()
    with pytest.raises(GradcError, match=message):
        line.fit(X, Y, **options)
    np.testing.assert_array_equal(line.params.flat, before)


@pytest.mark.parametrize("seed", [-1, 1.5, "3"])
def test_seeds_that_make_no_sense(seed):
    with pytest.raises(GradcError, match=re.escape(f"seed is a whole number, at least 0, not {seed!r}")):
        model(seed=seed)
    with pytest.raises(GradcError, match="seed is a whole number"):
        model().restart(seed)


def test_settings_may_be_numbers_of_numpy(tmp_path):
    line, other = model(lr=np.float32(0.25), seed=np.int64(3)), model(lr=0.25, seed=3)
    line.fit(X, Y, epochs=np.int32(2), batch_size=np.int64(7), validation=np.float32(0.25), seed=np.uint8(4))
    other.fit(X, Y, epochs=2, batch_size=7, validation=0.25, seed=4)
    same(line, other)
    line.save(tmp_path / "line.safetensors")
    other.save(tmp_path / "other.safetensors")
    assert (tmp_path / "line.safetensors").read_bytes() == (tmp_path / "other.safetensors").read_bytes()


def test_data_is_checked_before_anything_changes():
    y = Y.copy()
    y[17] = np.inf
    line = model()
    before = line.params.flat.copy()
    with pytest.raises(GradcError, match=r"y\[17\] is inf"):
        line.fit(X, y)
    np.testing.assert_array_equal(line.params.flat, before)


def test_a_loss_that_is_not_finite_names_its_step():
    line = model(lr=1e30)
    with pytest.raises(FloatingPointError, match="the loss of step 3 is"), np.errstate(all="ignore"):
        line.fit(X, Y)
    assert line.state.step == line.session.position.step == 0


@pytest.mark.parametrize("poisoned", [False, True])
def test_what_is_not_finite_loses_nothing(poisoned):
    """The fit goes back to the end of an epoch; before weights became NaN, too, which the loss may hide."""
    line, other = model(), model()
    other.fit(X, Y, epochs=50)
    step, params = line.module.train_step, line.params

    def broken(params, state, x, y):
        if poisoned and state.step == 399:
            params["b"] = np.nan
            state.step += 1
            return 1.0
        if state.step == 410:
            raise FloatingPointError("the loss of step 411 is nan")
        return step(params, state, x, y) if not poisoned or state.step < 399 else _counted(state)

    line.module.train_step = broken
    line.fit(X, Y, epochs=50)
    said = r"after step 400 b is NaN \(1 numbers of b\), though the loss is finite" if poisoned else "step 411"
    with pytest.raises(FloatingPointError, match=said) as caught:
        line.fit(X, Y, epochs=60)
    assert caught.value.__notes__[-1] == f"the parameters are again as they were after step {300 if poisoned else 400}"
    assert line.params is params
    line.module.train_step = step
    line.fit(X, Y, epochs=(100 if poisoned else 110) - line.session.position.epoch)
    other.fit(X, Y, epochs=50 if poisoned else 60)
    same(line, other)


@pytest.mark.parametrize("epochs", [1, 3])
def test_weights_that_are_nan_are_found_at_the_end_of_a_short_fit(epochs, monkeypatch):
    line = model()
    before = line.params.flat.copy()

    def hiding(params, state, x, y):
        params["w"] = np.nan
        return _counted(state)

    monkeypatch.setattr(line.module, "train_step", hiding)
    with pytest.raises(FloatingPointError, match="w is NaN"):
        line.fit(X, Y, epochs=epochs)
    np.testing.assert_array_equal(line.params.flat, before)
    assert line.state.step == line.session.position.epoch == 0


def _counted(state) -> float:
    state.step += 1
    return 1.0


def test_without_a_dim_to_cut_along_a_step_takes_all():
    whole = "line\npython BATCH = None"
    line, alone = model(whole), model()
    history = line.fit(X, Y, epochs=3, validation=0.0)
    assert [epoch.steps for epoch in history.epochs] == [1, 1, 1]
    assert history.validation == []
    for _ in range(3):
        alone.train_step(X, Y)
    np.testing.assert_array_equal(line.params.flat, alone.params.flat)
    with pytest.raises(GradcError, match="nothing can be held back"):
        line.fit(X, Y, validation=0.1)


# ------------------------------------------------------------------ batches


def rows(cut: batches.Cut, epoch: int, step: int = 0) -> list[list[int]]:
    blocks = cut.blocks(epoch, step, lambda: 3)
    return [batch.tolist() for steps, (block, *_) in blocks for batch in np.split(block, steps)]


def test_every_example_is_seen_once_an_epoch_and_none_held_back():
    numbers = np.arange(101)
    cut = split([numbers, numbers * 2], "n", Settings(batch=8, validation=0.2, seed=1))
    assert len(cut.held_back[0]) == 21  # the smallest whole number that is a fifth at least
    first, second = rows(cut, 0), rows(cut, 1)
    assert [len(batch) for batch in first] == [8] * 10
    trained = sorted(set(range(101)) - set(cut.held_back[0].tolist()))
    assert sorted(itertools.chain(*first)) == sorted(itertools.chain(*second)) == trained
    assert first != second
    assert rows(cut, 0) == first
    assert rows(cut, 1, 3) == second[3:]
    for _, (a, b) in cut.blocks(0, 0, lambda: 3):
        np.testing.assert_array_equal(b, 2 * a)
        assert a.flags.c_contiguous


def test_the_last_batch_may_be_smaller(monkeypatch):
    monkeypatch.setattr(batches, "BLOCK_BYTES", 100)
    cut = split([np.arange(10)], "n", Settings(batch=4))
    assert [len(batch) for batch in rows(cut, 0)] == [4, 4, 2]
    assert cut.steps == 3


def test_blocks_do_not_change_what_is_in_a_batch(monkeypatch):
    cut = split([np.arange(1000)], "n", Settings(batch=7))
    whole = rows(cut, 5)
    assert [steps for steps, _ in cut.blocks(5, 0, lambda: 100)] == [100, 42, 1]
    monkeypatch.setattr(batches, "BLOCK_BYTES", 2 * 7 * 8)
    assert {steps for steps, _ in cut.blocks(5, 0, lambda: 100)} == {2, 1}
    assert rows(cut, 5) == whole


def test_a_fraction_is_rounded_as_a_person_would():
    assert len(split([np.arange(100)], "n", Settings(validation=0.07)).held_back[0]) == 7


# ------------------------------------------------------------------ evaluation


def test_a_large_set_is_evaluated_in_parts(monkeypatch):
    line = model()
    whole = line.evaluate(X, Y)
    monkeypatch.setattr(training, "EVALUATE_BYTES", 100)
    parts = training.evaluate(line.session, (X, Y))
    assert list(parts) == ["loss", "mae"]
    np.testing.assert_allclose(list(parts.values()), list(whole.values()), rtol=1e-5)


# ------------------------------------------------------------------ Ctrl-C


# of the 4 steps of an epoch the last has a smaller batch, and a call of its own
@pytest.mark.parametrize(
    ("seconds", "at", "reached"),
    [(0.0, 1, 1), (0.0, 3, 3), (0.0, 5, 5), (0.0, 11, 11), (9.0, 1, 1), (9.0, 3, 3), (9.0, 5, 7), (9.0, 10, 11)],
)
def test_ctrl_c_ends_after_the_call_and_training_goes_on_as_if_it_had_not(seconds, at, reached, monkeypatch):
    monkeypatch.setattr(training, "CALL_SECONDS", seconds)
    broken, whole = model(), model()
    history = broken.fit(X, Y, epochs=3, progress=Presses(at))
    assert history.interrupted
    assert broken.state.step == reached
    assert len(history.epochs) == reached // 4
    broken.fit(X, Y, epochs=3 - reached // 4)
    whole.fit(X, Y, epochs=3)
    same(broken, whole)


def test_ctrl_c_in_the_last_step_of_an_epoch_keeps_the_epoch():
    line = model()
    history = line.fit(X, Y, epochs=3, progress=Presses(4))
    assert history.interrupted
    assert len(history.epochs) == 1
    assert line.session.position == Position(1, 0)
    assert not model().fit(X, Y, epochs=1, progress=Presses(4)).interrupted


def test_a_second_ctrl_c_ends_at_once():
    line = model()

    class Twice(Silent):
        def steps(self, losses: list[float]) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        line.fit(X, Y, progress=Twice())
    assert line.session.position == Position(0, 1)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_handler_is_put_back_and_others_are_kept():
    model().fit(X, Y, epochs=1)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    old = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        history = model().fit(X, Y, epochs=1, progress=Presses(1))
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, old)
    assert not history.interrupted


def test_fit_in_another_thread():
    result: list[int] = []
    line = model()
    thread = threading.Thread(target=lambda: result.append(len(line.fit(X, Y, epochs=2).epochs)))
    thread.start()
    thread.join()
    assert result == [2]


def test_data_cut_otherwise_passes_over_the_rest_of_an_epoch():
    line = model()
    line.fit(X, Y, epochs=3, progress=Presses(2))
    with pytest.warns(GradcWarning, match="epoch 1 was interrupted"):
        history = line.fit(X, Y, epochs=1, batch_size=5)
    assert history.epochs[0].number == 2


# ------------------------------------------------------------------ progress


class Recorder:
    def __init__(self) -> None:
        self.told: list[object] = []

    def start(self, plan: Plan) -> None:
        self.told.append(plan)

    def steps(self, losses: list[float]) -> None:
        self.told += losses

    def epoch(self, epoch: Epoch) -> None:
        self.told.append(epoch)

    def finish(self) -> None:
        self.told.append("finish")


def test_progress_is_told_everything():
    recorder = Recorder()
    line = model()
    line.fit(X, Y, epochs=1)
    line.fit(X, Y, epochs=2, progress=recorder)
    assert recorder.told[0] == Plan(2, 3, 4, 0)
    kinds = [type(told).__name__ for told in recorder.told]
    assert kinds == ["Plan", *(["float"] * 4 + ["Epoch"]) * 2, "str"]


def test_progress_is_finished_whatever_happens():
    recorder = Recorder()
    with pytest.raises(FloatingPointError), np.errstate(all="ignore"):
        model(lr=1e30).fit(X, Y, progress=recorder)
    assert recorder.told[-1] == "finish"


def test_lines():
    lines: list[str] = []
    model().fit(X, Y, epochs=10, progress=Lines(lines.append))
    assert len(lines) == 10
    assert lines[2].startswith("epoch  3/10: loss ")
    assert "; validation loss " in lines[2]
    assert ", mae " in lines[2]
    lines.clear()
    model().fit(X, Y, epochs=100, validation=0.0, progress=Lines(lines.append))
    assert [line.split(":")[0] for line in (lines[0], lines[-1])] == ["epoch   3/100", "epoch 100/100"]
    assert len(lines) == 34
    assert "validation" not in lines[0]


def test_bar(monkeypatch):
    monkeypatch.setattr("gradc.runtime.bar.SECONDS_BETWEEN", 0.0)
    screen = io.StringIO()
    model().fit(X, Y, epochs=2, progress=Bar(Console(file=screen, force_terminal=True, width=120)))
    assert "epoch 2/2" in screen.getvalue()
    assert "validation loss" in screen.getvalue()
    model().fit(X, Y, epochs=2, validation=0, progress=Bar(Console(file=screen, force_terminal=True, width=120)))


def test_a_bar_is_shown_only_to_someone(capsys, monkeypatch):
    model().fit(X, Y, epochs=1, progress=True)
    model().fit(X, Y, epochs=1, progress=False)
    assert capsys.readouterr().out == ""
    monkeypatch.setenv("FORCE_COLOR", "1")
    model().fit(X, Y, epochs=1, progress=True)
    assert "epoch 1/1" in capsys.readouterr().out


# ------------------------------------------------------------------ the model


def test_single_calls_go_to_the_module():
    line = model()
    loss, gradients = line.loss_and_gradients(X, y=Y)
    assert loss == line.train_step(X, Y) == pytest.approx(model().evaluate(X, Y)["loss"])
    assert gradients["w"].shape == (3, 1)
    assert line.predict(x=X).shape == (41,)
    assert line.derive("w") == "∂loss/∂w"
    with pytest.raises(ValueError, match=r"x is \[batch, 3\]; got \[3\]"):
        line.predict(X[0])


def test_what_a_model_says_of_itself():
    line = model(name="slope")
    assert repr(line) == "<gradc model slope: x[batch, 3], y[batch] -> p, loss, mae; 4 parameters, float32>"
    assert line.source.startswith('"""A module as gradc emits it')
    assert list(line.params) == ["w", "b"]
    line.params["b"] = 7.0
    assert line.params.flat[3] == 7.0


def test_compile_reads_a_file(tmp_path):
    (tmp_path / "m.grad").write_bytes(b"\xef\xbb\xbfline\r\nmore\r")
    assert gradc.compile(str(tmp_path / "m.grad"), "float64").module.SOURCE == "line\nmore\n"
    for name, content, message in (
        ("latin.grad", b"ok\nab\xe9", r"latin.grad:2:3: error: this file is not UTF-8: byte 0xe9"),
        ("huge.grad", b" " * 1_000_001, "a model file has at most 1,000,000"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(GradcError, match=message):
            gradc.compile(tmp_path / name)


def test_files_that_are_none(tmp_path, monkeypatch):
    (tmp_path / "digits.grad").write_text("line")
    os.mkfifo(tmp_path / "pipe.grad")
    for path, message in {
        tmp_path / "digit.grad": "did you mean .*digits.grad",
        tmp_path / "digits": "did you mean .*digits.grad",
        tmp_path / "zzz.grad": "there is no file",
        tmp_path / "absent" / "digits.grad": "there is no folder .*absent either",
        tmp_path: "is a folder; a model file is wanted\n.*its models: digits.grad",
        tmp_path / "pipe.grad": "is not a regular file",
    }.items():
        with pytest.raises(GradcError, match=message):
            gradc.compile(path)

    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(GradcError, match="cannot be read: Permission denied"):
        gradc.compile(tmp_path / "digits.grad")
