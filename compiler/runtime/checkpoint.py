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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import safetensors.numpy

from gradc.errors import Diagnostic, GradcError, GradcWarning, fail, unwritable

from . import tensors
from .data import shown
from .interface import Array, Emitted, State
from .session import Position, Session, Settings
from .tensors import TensorFile
from .weights import Choice, chosen, do_not_fit

FORMAT = "gradc weights 1"
SUFFIX = ".safetensors"
RECORD = "gradc"
MOMENT = "moment/"
ALL = Choice()
SHORT = 12


def text_hash(module: Emitted) -> str:
    """Of the model text, whatever dtype or learning rate it was compiled with."""
    return hashlib.sha256(module.SOURCE.encode()).hexdigest()


# ------------------------------------------------------------------ writing


def save(path: Path, session: Session) -> None:
    """Writes a session beside its place and renames it there: a reader sees the old file or the new one.

    Raises:
        GradcError: the file is no .safetensors, or the folder is missing or cannot be written.
    """
    _check_suffix(path)
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
        raise unwritable(path, error) from error


def check_writable(path: Path) -> None:
    """Raises GradcError now where `save` would later, after hours of training."""
    if path.is_dir():
        raise fail(
            "cannot-save", f"{path} cannot be written: it is a folder", f"name a file in it: {path / 'weights'}{SUFFIX}"
        )
    _check_suffix(path)
    if not path.parent.is_dir():
        message = f"{path} cannot be written: there is no folder {path.parent}"
        raise fail("cannot-save", message, f"make it first: mkdir -p {path.parent}")
    if not os.access(path.parent, os.W_OK):
        message = f"{path} cannot be written: nothing can be written to {path.parent.absolute()}"
        raise fail("cannot-save", message, "choose a folder that you may write to")


def _check_suffix(path: Path) -> None:
    """What is there under another name, a model or its data, is not for weights to replace."""
    if path.suffix != SUFFIX:
        would = f"{path.with_suffix(SUFFIX).name} would do" if path.stem else f"such as weights{SUFFIX}"
        raise fail("not-for-weights", f"weights are written to a {SUFFIX} file, not to {path}", would)


def _umask() -> int:
    """A temporary file is its owner's alone; the file that replaces it gets the rights any other would."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _tensors(session: Session) -> dict[str, Array]:
    content = {name: np.array(session.params[name]) for name in session.module.PARAMS}
    for name, (offset, shape) in session.module.MOMENTS.items():
        content[MOMENT + name] = _part(session.state.flat, offset, shape)
    return content


def _part(flat: Array, offset: int, shape: tuple[int, ...]) -> Array:
    return flat[offset : offset + int(np.prod(shape))].reshape(shape)


def _record(session: Session) -> dict[str, str | int | float | None]:
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
        "data": session.data,
        "lr": session.lr,
    }


# ------------------------------------------------------------------ reading


@dataclass(frozen=True, slots=True)
class _File:
    """A file apart: parameters, moments, and what `save` recorded."""

    path: Path
    params: TensorFile
    moments: Mapping[str, Array]
    record: Mapping[str, object]

    @property
    def text(self) -> str:
        """The hash of the model text it was saved for."""
        return str(self.record.get("text", "unknown"))


def load(path: Path, session: Session, choice: Choice = ALL) -> list[str]:
    """Takes over the parameters and, from a file of the same model text, all that training carries.

    Where the text differs, or only a part is chosen, training starts anew: with a warning where nothing was chosen.
    Values of another dtype are converted. Nothing is changed where an error is raised. Returns the names of the
    parameters that were in the file.

    Raises:
        GradcError: there is no such file, it is no file of weights, or names, shapes or dtypes differ from what is
            chosen (all that do are listed).
    """
    file = _read(path)
    if (form := file.record.get("format", FORMAT)) != FORMAT:
        raise fail("not-weights", f"{path} is written as {form!r}; this gradc reads {FORMAT!r}", "use a newer gradc")
    module = session.module
    values = chosen(choice, file.params, module.PARAMS, module.DTYPE)
    if choice.everything and file.text == text_hash(module) and len(values) == len(module.PARAMS):
        _check_moments(file, module)
        _restore(session, file)
    else:
        if choice == ALL:
            message = f"{path} holds weights of another model text ({_both_hashes(file, module)}): "
            message += "they fit and are used, without the optimizer's state"
            warnings.warn(message, GradcWarning, stacklevel=3)
        _start_anew(session, choice, values)
    for name, value in values.items():
        session.params[name] = value
    return list(values)


def _start_anew(session: Session, choice: Choice, values: Mapping[str, Array]) -> None:
    """Training before its first step; what was wanted and is not in the file has its first values."""
    seed = session.state.seed
    first = session.module.init(seed)
    for name in choice.of(session.module.PARAMS):
        if name not in values:
            session.params[name] = first[name]
    session.state = session.module.init_state(session.params)
    session.state.seed = seed
    session.position = Position()


def resume(path: Path, session: Session) -> float | None:
    """As `load`, for training that is to go on as if it had never stopped: text and dtype have to be the same.

    Returns the learning rate that took the place of the model's own in that training, None where none did.

    Raises:
        GradcError: as `load`, or text or dtype differ, or the file holds parameters alone.
    """
    file = _read(path)
    wrong: list[Diagnostic] = []
    hint = "to start anew from these weights: gradc train --load FILE, or model.load(path) in Python"
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
    lr = file.record.get("lr")
    return float(lr) if isinstance(lr, int | float) else None


def _read(path: Path) -> _File:
    file = tensors.read(path)
    moments = {name.removeprefix(MOMENT): file.tensors[name] for name in file.tensors if name.startswith(MOMENT)}
    params = {name: array for name, array in file.tensors.items() if not name.startswith(MOMENT)}
    return _File(path, replace(file, tensors=params), moments, _read_record(file.metadata))


def _both_hashes(file: _File, module: Emitted) -> str:
    return f"{file.text[:SHORT]}; this one is {text_hash(module)[:SHORT]}"


def _check_moments(file: _File, module: Emitted) -> None:
    """Names and shapes; everything that differs at once."""
    wanted, there = module.MOMENTS, file.moments
    wrong = [f"optimizer moment {name} is missing" for name in wanted if name not in there]
    wrong += [f"optimizer moment {name} is not in the model" for name in there if name not in wanted]
    for name, (_, shape) in wanted.items():
        if name in there and (there[name].shape != tuple(shape) or there[name].dtype.kind != "f"):
            wrong.append(f"optimizer moment {name} is {shown(there[name])} in the file and {list(shape)} in the model")
    if wrong:
        raise do_not_fit(file.path, wrong)


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
        message = f"{file.path}: what it says about training is damaged"
        raise fail("not-weights", message, "take another copy; a part of it can be loaded: only = 'h.*'")
    step, state_seed, epoch, epoch_step, batch, seed, examples = cast(list[int], counts)
    state: State = session.state
    state.step, state.seed = step, state_seed
    for name, (offset, shape) in session.module.MOMENTS.items():
        _part(state.flat, offset, shape)[...] = file.moments[name]
    session.position = Position(epoch, epoch_step)
    session.settings = Settings(batch, validation, seed)
    session.examples = examples
    session.data = str(file.record.get("data", ""))


_COUNTS = ("step", "state_seed", "epoch", "epoch_step", "batch", "seed", "examples")
