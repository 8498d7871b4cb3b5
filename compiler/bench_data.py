"""What `gradc bench` runs a model on: a batch of a data file, or numbers drawn at random in the sizes asked for."""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gradc.draws import drawn_data
from gradc.errors import fail
from gradc.language import core
from gradc.runtime.interface import Array, ArraySpec, Emitted, array_specs, input_specs, numpy_dtype
from gradc.runtime.model import Model

SIZE = 32
"""Of a free dim that nobody gives a size."""
DRAWS = 2
"""Normal numbers, then, for models that want positive ones, numbers between 0 and 1."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be timed.

    Attributes:
        data: a file; None where none is given.
        batch: examples of it, or of what is drawn.
        dims: sizes of free dims.
        predict: predictions, not training steps.
        profile: call by call too.
        seconds: about how long each of the measurements takes.
    """

    data: Path | None = None
    batch: int | None = None
    dims: Mapping[str, int] = field(default_factory=dict)
    predict: bool = False
    profile: bool = False
    seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class Load:
    """Arrays as the module takes them, by name, and in words where they come from."""

    arrays: Mapping[str, Array]
    source: str


def loads(model: Model, declared: core.Model, asked: Asked, *, targets: bool) -> Iterator[Load]:
    """One batch of the file that is given or that the model names; else drawn ones, those of the first kind first.

    Raises:
        GradcError: the file does not fit the model, there is no such free dim, or no such sizes.
    """
    specs = array_specs(model.module) if targets else input_specs(model.module)
    dim = model.module.BATCH
    if asked.batch is not None and dim is None:
        why = "no free dim is the first axis, and no other, of all that it is given"
        raise fail("no-batches", f"{declared.file} takes no batches: {why}", "leave --batch out; --dim NAME=SIZE gives "
                   "a free dim its size")  # fmt: skip
    file = None if asked.dims else asked.data or _own_file(model)
    size = model.settings().batch if asked.batch is None else asked.batch
    if file is not None:
        arrays = model.read(file, targets=targets)
        cut = {name: array[:size].copy() if dim else array for name, array in arrays.items()}
        yield Load(cut, file.name)
        return
    dims = sizes(declared, {**({dim: size} if dim else {}), **asked.dims})
    for draw in range(DRAWS):
        yield Load(drawn(model.module, specs, declared, dims, draw), "drawn at random")


def _own_file(model: Model) -> Path | None:
    """The model's own data, if they are there."""
    file = model.data_path()
    return file if file is not None and file.exists() else None


def sizes(declared: core.Model, given: Mapping[str, int]) -> dict[str, int]:
    """A size for each free dim.

    Raises:
        GradcError: one that is given is not free, or the sizes do not go together.
    """
    for name in given:
        if name not in declared.dims:
            close = difflib.get_close_matches(name, declared.dims, 1)
            listed = f"its free dims: {', '.join(declared.dims)}" if declared.dims else "it has no free dim"
            hint = f"did you mean {close[0]}? {listed}" if close else listed
            raise fail("unknown-dim", f"{declared.file} has no free dim {name}", hint)
    dims = {name: given.get(name, SIZE) for name in declared.dims}
    for condition in declared.preconditions:
        if condition.value.value(dims) < 0:
            named = ", ".join(f"{name} = {size}" for name, size in dims.items())
            hint = "give other sizes: --dim NAME=SIZE, --batch N"
            raise fail("bad-sizes", f"with {named}: {condition.message}", hint)
    return dims


def drawn(
    module: Emitted, specs: tuple[ArraySpec, ...], declared: core.Model, dims: Mapping[str, int], draw: int
) -> dict[str, Array]:
    """Inputs and targets drawn within their ranges, always the same."""
    data = drawn_data(declared, dims, draw, np.random.default_rng(draw))
    return {spec.name: np.asarray(data[spec.name], numpy_dtype(module, spec.kind), order="C") for spec in specs}
