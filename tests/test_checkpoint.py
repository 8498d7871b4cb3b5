"""Weights on disk: what comes back, what resuming equals, and what is refused."""

import copy
import json
import pickle
import stat
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import stand_in
from test_training import Presses, X, Y, model, same

import gradc
from gradc import GradcError, GradcWarning
from gradc.runtime import checkpoint
from gradc.runtime.session import Position, Settings


@pytest.fixture(autouse=True)
def _stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stand_in.install(monkeypatch, tmp_path / "cache")


def trained(text: str = "line", **options) -> gradc.Model:
    line = model(text, **options)
    line.fit(X, Y, epochs=2, seed=5)
    return line


def edited(path: Path, **record: object) -> None:
    """Writes a file of weights again with another record; None leaves an entry out."""
    with safetensors.safe_open(path, framework="numpy") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it has no iterator
        told = json.loads(file.metadata()["gradc"]) | record
    kept = {name: value for name, value in told.items() if value is not None}
    safetensors.numpy.save_file(tensors, path, {"gradc": json.dumps(kept)})


def test_everything_comes_back(tmp_path):
    line = trained(seed=3)
    line.save(tmp_path / "w.safetensors")
    other = model()
    other.load(str(tmp_path / "w.safetensors"))
    same(line, other)
    assert other.state.seed == 3
    assert other.session.settings == Settings(8, 0.25, 5)
    assert other.session.examples == 30
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["w.safetensors"]


@pytest.mark.parametrize("again", [copy.deepcopy, lambda line: pickle.loads(pickle.dumps(line))])
def test_a_copy_goes_on_by_itself_from_where_the_model_is(again):
    line = model(lr=0.02, seed=3)
    line.fit(X, Y, epochs=2, seed=5, progress=Presses(5))
    other = again(line)
    same(line, other)
    assert other.state.seed == 3
    assert other.session.settings == line.session.settings
    before = line.params.flat.copy()
    other.fit(X, Y, epochs=2, seed=5)
    np.testing.assert_array_equal(line.params.flat, before)
    line.fit(X, Y, epochs=2, seed=5)
    same(line, other)


def test_other_tools_can_read_the_file(tmp_path):
    line = trained()
    line.save(tmp_path / "w.safetensors")
    tensors = safetensors.numpy.load_file(tmp_path / "w.safetensors")
    assert sorted(tensors) == ["b", "moment/b.v", "moment/w.v", "w"]
    np.testing.assert_array_equal(tensors["w"], line.params["w"])


@pytest.mark.parametrize("at", [1, 4, 6])
def test_resumed_training_equals_training_that_never_stopped(tmp_path, at):
    whole, broken = model(), model()
    whole.fit(X, Y, epochs=3)
    broken.fit(X, Y, epochs=3, progress=Presses(at))
    broken.save(tmp_path / "w.safetensors")
    resumed = model(seed=99)
    checkpoint.resume(tmp_path / "w.safetensors", resumed.session)
    resumed.fit(X, Y, epochs=3 - resumed.session.position.epoch)
    same(resumed, whole)


def test_another_dtype_is_converted_but_not_resumed(tmp_path):
    line = trained(dtype="float64")
    line.save(tmp_path / "w.safetensors")
    other = model()
    other.load(tmp_path / "w.safetensors")
    np.testing.assert_array_equal(other.params.flat, line.params.flat.astype("float32"))
    with pytest.raises(GradcError, match=r"was trained in float64; .*\n.*give --dtype float64"):
        checkpoint.resume(tmp_path / "w.safetensors", other.session)


def test_another_learning_rate_is_the_same_model(tmp_path):
    line = trained()
    line.save(tmp_path / "w.safetensors")
    checkpoint.resume(tmp_path / "w.safetensors", model(lr=0.5).session)


def test_another_text_that_fits(tmp_path):
    line = trained("first text", seed=4)
    line.save(tmp_path / "w.safetensors")
    other = trained("second text")
    with pytest.warns(GradcWarning, match=r"another model text \(\w{12}; this one is \w{12}\): they fit"):
        other.load(tmp_path / "w.safetensors")
    np.testing.assert_array_equal(other.params.flat, line.params.flat)
    assert not other.state.flat.any()
    assert (other.state.step, other.session.position) == (0, Position())
    with pytest.raises(GradcError, match="is of another model text"):
        checkpoint.resume(tmp_path / "w.safetensors", other.session)


def test_a_file_of_parameters_alone(tmp_path):
    values = {"w": np.ones((3, 1), "float32"), "b": np.ones(1, "float16")}
    safetensors.numpy.save_file(values, tmp_path / "w.safetensors")
    line = model()
    with pytest.warns(GradcWarning, match="unknown; this one is"):
        line.load(tmp_path / "w.safetensors")
    np.testing.assert_array_equal(line.params.flat, 1)


def test_a_form_of_the_future(tmp_path):
    trained().save(tmp_path / "w.safetensors")
    edited(tmp_path / "w.safetensors", format="gradc weights 9")
    with pytest.raises(GradcError, match="is written as 'gradc weights 9'; this gradc reads 'gradc weights 1'"):
        model().load(tmp_path / "w.safetensors")


@pytest.mark.parametrize("record", ["{", "[]"])
def test_a_record_that_is_none(tmp_path, record):
    line = model()
    values = {name: np.array(line.params[name]) for name in line.params}
    safetensors.numpy.save_file(values, tmp_path / "w.safetensors", {"gradc": record})
    with pytest.warns(GradcWarning, match="unknown; this one is"):
        line.load(tmp_path / "w.safetensors")


def test_everything_that_differs_is_told_and_nothing_changed(tmp_path):
    values = {"b": np.ones(1, "int8"), "w": np.ones((1, 3), "float32"), "c": np.ones(1, "int8")}
    safetensors.numpy.save_file(values, tmp_path / "w.safetensors")
    line = trained()
    before = line.params.flat.copy()
    with pytest.raises(GradcError) as caught:
        line.load(tmp_path / "w.safetensors")
    (only,) = caught.value.diagnostics
    assert only.message.split("\n     - ")[1:] == [
        "parameter w is [1, 3] in the file and [3, 1] in the model",
        "parameter b is int8 in the file, and real in the model",
        "c is no parameter of the model",
    ]
    np.testing.assert_array_equal(line.params.flat, before)


def test_moments_are_checked_too(tmp_path):
    trained().save(tmp_path / "w.safetensors")
    with safetensors.safe_open(tmp_path / "w.safetensors", framework="numpy") as file:
        kept = {name: file.get_tensor(name) for name in file.keys() if name != "moment/b.v"}  # noqa: SIM118
        safetensors.numpy.save_file(kept, tmp_path / "w.safetensors", file.metadata())
    with pytest.raises(GradcError, match=r"optimizer moment b\.v is missing"):
        model().load(tmp_path / "w.safetensors")


@pytest.mark.parametrize("metadata", [{"step": None}, {"step": "many"}, {"validation": "x"}, {"epoch": -1}])
def test_damaged_metadata(tmp_path, metadata):
    trained().save(tmp_path / "w.safetensors")
    edited(tmp_path / "w.safetensors", **metadata)
    line = model()
    before = line.params.flat.copy()
    with pytest.raises(GradcError, match="what it says about training is damaged"):
        line.load(tmp_path / "w.safetensors")
    np.testing.assert_array_equal(line.params.flat, before)
    assert line.state.step == 0


def test_files_that_hold_no_weights(tmp_path, monkeypatch):
    trained().save(tmp_path / "w.safetensors")
    whole = (tmp_path / "w.safetensors").read_bytes()
    (tmp_path / "short.safetensors").write_bytes(whole[:-4])
    (tmp_path / "empty.safetensors").write_bytes(b"")
    (tmp_path / "text.safetensors").write_text("no weights at all, but text that is long enough")
    for name, message in {
        "short": "is not a file of weights",
        "empty": "is not a file of weights",
        "text": "is not a file of weights",
        "absent": "there is no file",
    }.items():
        with pytest.raises(GradcError, match=message):
            model().load(tmp_path / f"{name}.safetensors")
    with pytest.raises(GradcError, match="is not a file"):
        model().load(tmp_path)

    def refuse(*args: object, **named: object) -> None:
        raise PermissionError(13, "Permission denied")

    line = model()
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(GradcError, match="cannot be read: Permission denied"):
        line.load(tmp_path / "w.safetensors")


def test_saving_is_atomic(tmp_path, monkeypatch):
    path = tmp_path / "w.safetensors"
    trained().save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~checkpoint._umask()
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint.os, "fsync", full)
    with pytest.raises(GradcError, match="cannot be written: No space left on device"):
        model().save(path)
    assert path.read_bytes() == before
    assert [child.name for child in tmp_path.iterdir() if child.is_file()] == ["w.safetensors"]


def test_where_nothing_can_be_saved(tmp_path, monkeypatch):
    with pytest.raises(GradcError, match="cannot be written: No such file or directory"):
        model().save(tmp_path / "absent" / "w.safetensors")
    with pytest.raises(GradcError, match="there is no folder"):
        checkpoint.check_writable(tmp_path / "absent" / "w.safetensors")
    with pytest.raises(GradcError, match="it is a folder"):
        checkpoint.check_writable(tmp_path)
    for write in (model().save, checkpoint.check_writable):
        with pytest.raises(
            GradcError, match=r"to a \.safetensors file, not to .*m\.grad(.|\n)*m\.safetensors would do"
        ):
            write(tmp_path / "m.grad")
    checkpoint.check_writable(tmp_path / "w.safetensors")
    monkeypatch.setattr(checkpoint.os, "access", lambda path, mode: False)
    with pytest.raises(GradcError, match="nothing can be written to"):
        checkpoint.check_writable(tmp_path / "w.safetensors")
