"""Weights on disk: a session <-> one safetensors file.

Parameters and state tensors stand under their own names, the optimizers' moments under `moment/…`, the rest of the
session in the file's metadata, as one JSON text: several entries would be written in an order of chance. Writing is
atomic. Reading runs no code, whatever the file holds.
"""

import hashlib
import importlib.metadata
import json
import os
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import safetensors
import safetensors.numpy

from gradc.errors import Diagnostic, GradcError, GradcWarning, fail

from .interface import Array, Emitted, Flat, Place, State
from .session import Position, Session, Settings

FORMAT = "gradc weights 1"
RECORD = "gradc"
MOMENT = "moment/"
SHORT = 12


def text_hash(module: Emitted) -> str:
    """Of the model text, whatever dtype or learning rate it was compiled with."""
    return hashlib.sha256(module.SOURCE.encode()).hexdigest()


# ------------------------------------------------------------------ writing


def save(path: Path, session: Session) -> None:
    """Writes a session beside its place and renames it there: a reader sees the old file or the new one.

    Raises:
        GradcError: the folder is missing or cannot be written.
    """
    content = safetensors.numpy.save(_tensors(session), {RECORD: json.dumps(_record(session))})
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}-", delete=False) as file:
            try:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                Path(file.name).chmod(0o666 & ~_umask())
                Path(file.name).replace(path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise fail("cannot-save", f"{path} cannot be written: {error.strerror or error}") from error


def check_writable(path: Path) -> None:
    """Raises GradcError now where `save` would later, after hours of training."""
    if path.is_dir():
        raise fail("cannot-save", f"{path} cannot be written: it is a folder")
    if not path.parent.is_dir():
        raise fail("cannot-save", f"{path} cannot be written: there is no folder {path.parent}")
    if not os.access(path.parent, os.W_OK):
        raise fail("cannot-save", f"{path} cannot be written: nothing can be written to {path.parent.absolute()}")


def _umask() -> int:
    """A temporary file is its owner's alone; the file that replaces it gets the rights any other would."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _tensors(session: Session) -> dict[str, Array]:
    tensors = {name: np.array(session.params[name]) for name in session.module.PARAMS}
    for name, (offset, shape) in session.module.MOMENTS.items():
        tensors[MOMENT + name] = _part(session.state.flat, offset, shape)
    return tensors


def _part(flat: Array, offset: int, shape: tuple[int, ...]) -> Array:
    return flat[offset : offset + int(np.prod(shape))].reshape(shape)


def _record(session: Session) -> dict[str, str | int | float]:
    """All of a session that is no tensor."""
    module = session.module
    return {
        "format": FORMAT,
        "gradc": importlib.metadata.version("gradc"),
        "model": module.NAME,
        "text": text_hash(module),
        "dtype": module.DTYPE,
        "step": session.state.step,
        "state_seed": session.state.seed,
        "epoch": session.position.epoch,
        "epoch_step": session.position.step,
        "batch": session.settings.batch,
        "validation": float(session.settings.validation),
        "seed": session.settings.seed,
        "examples": session.examples,
    }


# ------------------------------------------------------------------ reading


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    tensors: Mapping[str, Array]
    record: Mapping[str, object]

    @property
    def text(self) -> str:
        """The hash of the model text it was saved for."""
        return str(self.record.get("text", "unknown"))

    @property
    def moments(self) -> dict[str, Array]:
        return {name.removeprefix(MOMENT): self.tensors[name] for name in self.tensors if name.startswith(MOMENT)}

    @property
    def params(self) -> dict[str, Array]:
        return {name: self.tensors[name] for name in self.tensors if not name.startswith(MOMENT)}


def load(path: Path, session: Session) -> None:
    """Takes over the parameters and, from a file of the same model text, all that training carries.

    Where the text differs and the parameters fit they are taken over with a warning, and training starts anew. Values
    of another dtype are converted. Nothing is changed where an error is raised.

    Raises:
        GradcError: there is no such file, it is no file of weights, or names or shapes differ (all of them are listed).
    """
    file = _read(path)
    if (form := file.record.get("format", FORMAT)) != FORMAT:
        raise fail("not-weights", f"{path} is written as {form!r}; this gradc reads {FORMAT!r}")
    _check(path, "parameter", session.module.PARAMS, file.params)
    same = file.text == text_hash(session.module)
    if same:
        _check(path, "optimizer moment", session.module.MOMENTS, file.moments)
        _restore(session, file)
    else:
        message = f"{path} holds weights of another model text ({_both_hashes(file, session.module)}): "
        message += "they fit and are used, without the optimizer's state"
        warnings.warn(message, GradcWarning, stacklevel=3)
        seed = session.state.seed
        session.state = session.module.init_state(session.params)
        session.state.seed = seed
        session.position = Position()
    _take_over(session.params, file.params)


def resume(path: Path, session: Session) -> None:
    """As `load`, for training that is to go on as if it had never stopped: text and dtype have to be the same.

    Raises:
        GradcError: as `load`, or text or dtype differ, or the file holds parameters alone.
    """
    file = _read(path)
    wrong: list[Diagnostic] = []
    hint = "to start from these weights anew, load them in Python: model.load(path)"
    if file.text != text_hash(session.module):
        message = f"{path} is of another model text ({_both_hashes(file, session.module)})"
        wrong.append(Diagnostic("other-model", message, help=hint))
    dtype = file.record.get("dtype")
    if dtype != session.module.DTYPE:
        message = f"{path} was trained in {dtype}; this model is compiled for {session.module.DTYPE}"
        wrong.append(Diagnostic("other-dtype", message, help=f"give --dtype {dtype}"))
    if wrong:
        raise GradcError(wrong)
    load(path, session)


def _read(path: Path) -> _File:
    if not path.exists():
        raise fail("no-such-file", f"there is no file {path}")
    if not path.is_file():
        raise fail("not-a-file", f"{path} is not a file; a .safetensors file is wanted")
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it has no iterator
            return _File(path, tensors, _read_record(file.metadata() or {}))
    except OSError as error:
        raise fail("unreadable-file", f"{path} cannot be read: {error.strerror or error}") from error
    except (safetensors.SafetensorError, TypeError, AttributeError) as error:  # the last two: a dtype NumPy lacks
        raise fail("not-weights", f"{path} is not a file of weights (safetensors): {error}") from error


def _both_hashes(file: _File, module: Emitted) -> str:
    return f"{file.text[:SHORT]}; this one is {text_hash(module)[:SHORT]}"


def _check(path: Path, what: str, wanted: Mapping[str, Place], there: Mapping[str, Array]) -> None:
    """Names and shapes; everything that differs at once."""
    wrong = [f"{what} {name} is missing" for name in wanted if name not in there]
    wrong += [f"{what} {name} is not in the model" for name in there if name not in wanted]
    for name, (_, shape) in wanted.items():
        if name in there and there[name].shape != tuple(shape):
            wrong.append(f"{what} {name} is {list(there[name].shape)} in the file and {list(shape)} in the model")
    wrong += [f"{what} {name} is {there[name].dtype}" for name in there if there[name].dtype.kind != "f"]
    if wrong:
        raise GradcError([Diagnostic("weights-differ", f"{path}: {message}") for message in wrong])


def _take_over(target: Flat, values: Mapping[str, Array]) -> None:
    for name, value in values.items():
        target[name] = value


def _read_record(metadata: Mapping[str, str]) -> Mapping[str, object]:
    """What `save` recorded; nothing where another program wrote the file."""
    try:
        record = json.loads(metadata.get(RECORD, "{}"))
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


def _restore(session: Session, file: _File) -> None:
    """All that training carries but the parameters."""
    counts = [file.record.get(name) for name in _COUNTS]
    validation = file.record.get("validation")
    if not all(isinstance(count, int) and count >= 0 for count in counts) or not isinstance(validation, float):
        raise fail("not-weights", f"{file.path}: what it says about training is damaged")
    step, state_seed, epoch, epoch_step, batch, seed, examples = cast(list[int], counts)
    state: State = session.state
    state.step, state.seed = step, state_seed
    for name, (offset, shape) in session.module.MOMENTS.items():
        _part(state.flat, offset, shape)[...] = file.moments[name]
    session.position = Position(epoch, epoch_step)
    session.settings = Settings(batch, validation, seed)
    session.examples = examples


_COUNTS = ("step", "state_seed", "epoch", "epoch_step", "batch", "seed", "examples")
