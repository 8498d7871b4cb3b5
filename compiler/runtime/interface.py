"""What an emitted module offers, as types, and what it says about its arrays.

This is the one place where the runtime's side of the interface is written down; emitted modules do not import it.
It checks nothing: `data.py` compares arrays with these descriptions, and the emitted wrappers check every call.
"""

import inspect
from collections.abc import Iterator, KeysView, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Kind: TypeAlias = Literal["real", "whole", "bool"]
Axis: TypeAlias = int | str
Array: TypeAlias = NDArray[Any]
Place: TypeAlias = tuple[int, tuple[int, ...]]
"""Of a tensor in a flat buffer: its offset and its shape."""


class Flat(Protocol):
    """Named tensors in one flat buffer: parameters and state tensors, or gradients."""

    flat: Array

    def __getitem__(self, name: str) -> Array: ...
    def __setitem__(self, name: str, value: Any) -> None: ...
    def __iter__(self) -> Iterator[str]: ...
    def __len__(self) -> int: ...
    def keys(self) -> KeysView[str]: ...
    def values(self) -> list[Array]: ...
    def items(self) -> list[tuple[str, Array]]: ...


class State(Protocol):
    """What training carries from step to step: the optimizers' moments in one buffer, the steps done, the seed."""

    flat: Array
    step: int
    seed: int


class Emitted(Protocol):
    """The names of an emitted module that the runtime uses.

    `PARAMS` and `MOMENTS` give the offset and shape of each tensor in `params.flat` and `state.flat`; `INPUTS` and
    `TARGETS` the kind and axes of each array in the order of calls, an axis being a size, the name of a free dim or
    an expression in some; `RANGES` the first number too large for an array of whole numbers; `BATCH` the free dim along
    which batches are cut, the first axis of every array. None: there is no such dim.
    """

    __file__: str
    NAME: str
    DTYPE: str
    SOURCE: str
    HASH: str
    PARAMS: Mapping[str, Place]
    MOMENTS: Mapping[str, Place]
    INPUTS: Mapping[str, tuple[Kind, tuple[Axis, ...]]]
    TARGETS: Mapping[str, tuple[Kind, tuple[Axis, ...]]]
    RANGES: Mapping[str, Axis | None]
    BATCH: str | None
    PREDICTIONS: tuple[str, ...]
    METRICS: tuple[str, ...]
    DATA: str | None
    FIT: Mapping[str, Any]

    def init(self, seed: int = 0) -> Flat: ...
    def init_state(self, params: Flat) -> State: ...
    def train_step(self, params: Flat, state: State, *arrays: Any, **named: Any) -> float: ...
    def train_steps(self, params: Flat, state: State, steps: int, *arrays: Any, **named: Any) -> Array: ...
    def loss_and_gradients(self, params: Flat, *arrays: Any, **named: Any) -> tuple[float, Flat]: ...
    def predict(self, params: Flat, *arrays: Any, **named: Any) -> Any: ...
    def evaluate(self, params: Flat, *arrays: Any, **named: Any) -> dict[str, float]: ...


@dataclass(frozen=True, slots=True)
class ArraySpec:
    """One array that a caller passes: an input or a target.

    `limit` is the first whole number too large for it: a size, the name of a free dim, or None where nothing is known.
    """

    name: str
    role: Literal["input", "target"]
    kind: Kind
    axes: tuple[Axis, ...]
    limit: Axis | None

    def __str__(self) -> str:
        """As the model declares it: x[batch, 64], y[batch] : int(10)."""
        axes = f"[{', '.join(map(str, self.axes))}]" if self.axes else ""
        match self.kind:
            case "real":
                return f"{self.name}{axes}"
            case "bool":
                return f"{self.name}{axes} : bool"
            case "whole":
                return f"{self.name}{axes} : int({'…' if self.limit is None else self.limit})"


def input_specs(module: Emitted) -> tuple[ArraySpec, ...]:
    """The arrays that predict takes, in order."""
    return tuple(
        ArraySpec(name, "input", kind, tuple(axes), module.RANGES.get(name))
        for name, (kind, axes) in module.INPUTS.items()
    )


def array_specs(module: Emitted) -> tuple[ArraySpec, ...]:
    """The arrays that a training step takes, in order: inputs, then targets."""
    targets = (
        ArraySpec(name, "target", kind, tuple(axes), module.RANGES.get(name))
        for name, (kind, axes) in module.TARGETS.items()
    )
    return (*input_specs(module), *targets)


def renamed(module: Emitted) -> dict[str, str]:
    """The arrays whose names Python or the module has taken: each with what the module's functions call it."""
    taken = list(inspect.signature(module.evaluate).parameters)[1:]
    names = zip((*module.INPUTS, *module.TARGETS), taken, strict=False)
    return {name: called for name, called in names if name != called}


def numpy_dtype(module: Emitted, kind: Kind) -> np.dtype[Any]:
    """The dtype in which arrays of a kind are handed to the module without being copied."""
    match kind:
        case "real":
            return np.dtype(module.DTYPE)
        case "whole":
            return np.dtype(np.int64)
        case "bool":
            return np.dtype(np.bool_)
