"""What every random statement is made of."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .expressions import stated
from .terms import Choices, Idx, Known, Scope, Size, Uses, Value
from .world import Step, Stored, World

ROOM = 48
"""How many places an equation runs over, reductions and all."""


@dataclass(frozen=True)
class Made:
    """A tensor that a statement makes, or all those of a recurrence."""

    known: tuple[Known, ...]
    compute: Callable[[World], tuple[Stored, ...]]
    recurrent: bool = False

    @property
    def step(self) -> Step:
        return Step(tuple(tensor.name for tensor in self.known), self.compute, self.recurrent)


def one(known: Known, compute: Callable[[World], Stored]) -> Made:
    """A tensor that needs none of its own places."""
    return Made((known,), lambda world: (compute(world),))


@dataclass(frozen=True)
class Statement:
    """Lines, and the tensors they make, in order."""

    lines: tuple[str, ...]
    made: tuple[Made, ...]


def tabulated(name: str, indices: Sequence[Idx], value: Value, uses: Uses, kind: str = "real",
              below: Size | None = None) -> Made:  # fmt: skip
    """A tensor with an axis for each index."""
    sizes = tuple(idx.size for idx in indices)
    known = Known(name, sizes, kind, below, any(t.late for t in uses.tensors.values()))
    shape, names = [size.value for size in sizes], [idx.name for idx in indices]
    return one(known, lambda world: world.tabulate(shape, value, names))


def left_side(name: str, indices: Sequence[Idx], uses: Uses, choices: Choices) -> str:
    if not indices:
        return name
    return f"{name}[{', '.join(stated(idx, uses, choices) for idx in indices)}]"


def drawn_indices(known: Sequence[Known], choices: Choices, most: int = 3) -> tuple[Idx, ...]:
    """Indices over the extents of some axes."""
    sizes = [size for tensor in known for size in tensor.sizes]
    found: list[Idx] = []
    room = ROOM
    for at in range(choices.pick([1, 2, 2, 3, 0][: most + 2])):
        fitting = [size for size in sizes if size.value <= room]
        if fitting:
            size = choices.pick(fitting)
            found.append(Idx("ijkl"[at], size))
            room //= size.value
    return tuple(found)


def scope_for(known: Sequence[Known], indices: tuple[Idx, ...], choices: Choices) -> Scope:
    count = 1
    for idx in indices:
        count *= idx.size.value
    return Scope(choices, tuple(known), indices, Uses(), max(1, ROOM // count))
