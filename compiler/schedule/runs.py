"""The statements of a program in the order in which they run, and where each stands: what its checks ask of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from gradc.graph.index import IndexExpr
from gradc.graph.nodes import Equation
from gradc.graph.verify import describe

from .memory import uses_of
from .program import Gemm, Item, Loop, Nest, Program, Sequential, Statement, Step

Subscripts: TypeAlias = tuple[IndexExpr, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """A statement or a product, and where it stands: its step, its place among the items, the loops around it."""

    equation: Equation
    step: int
    place: tuple[int, ...]
    loops: tuple[Loop | Sequential, ...]
    starts: bool
    statement: Statement | None

    def __str__(self) -> str:
        return f"step {self.step + 1}, {describe(self.equation)}"

    @property
    def order(self) -> tuple[int, tuple[int, ...]]:
        """Runs compare as they stand in the program."""
        return self.step, self.place

    def touches(self, tensor: str) -> Iterator[Subscripts]:
        """The places at which it writes or reads a tensor."""
        return uses_of(tensor, self.equation)

    def reads(self, tensor: str) -> Iterator[Subscripts]:
        """The places at which it reads a tensor."""
        places = uses_of(tensor, self.equation)
        if self.equation.target == tensor:
            next(places)
        return places


@dataclass(frozen=True, slots=True)
class Runs:
    """All of them; those that write a tensor; those that write or read it."""

    all: tuple[Run, ...]
    writers: Mapping[str, tuple[Run, ...]]
    touching: Mapping[str, tuple[Run, ...]]


def runs_of(program: Program) -> Runs:
    """The runs of a program."""
    runs = tuple(run for at, step in enumerate(program.steps) for run in _of_step(at, step))
    writers: dict[str, tuple[Run, ...]] = {}
    touching: dict[str, tuple[Run, ...]] = {}
    for run in runs:
        target = run.equation.target
        writers[target] = (*writers.get(target, ()), run)
        for name in dict.fromkeys((target, *run.equation.sources())):
            touching[name] = (*touching.get(name, ()), run)
    return Runs(runs, writers, touching)


def _of_step(at: int, step: Step, place: tuple[int, ...] = (), around: tuple[Sequential, ...] = ()) -> Iterator[Run]:
    match step:
        case Gemm():
            loops = tuple(Loop(index, ()) for index in step.packing_rounds)
            if step.packing:
                yield from _of_items(at, step.packing.items, (*place, 0), (*around, *loops))
            yield Run(step.equation, at, (*place, 1), (*around, *loops), step.starts, None)
        case Nest(items=items):
            yield from _of_items(at, items, place, around)
        case Sequential(steps=steps):
            for number, inner in enumerate(steps):
                yield from _of_step(at, inner, (*place, number), (*around, step))


def _of_items(
    at: int, items: tuple[Item, ...], place: tuple[int, ...], loops: tuple[Loop | Sequential, ...]
) -> Iterator[Run]:
    for number, item in enumerate(items):
        here = (*place, number)
        if isinstance(item, Statement):
            yield Run(item.equation, at, here, loops, item.starts, item)
        else:
            yield from _of_items(at, item.body, here, (*loops, item))


def shared_loops(a: Run, b: Run) -> int:
    """How many loops are around both."""
    if a.step != b.step:
        return 0
    depth = 0
    for x, y in zip(a.loops, b.loops, strict=False):
        if x is not y:
            break
        depth += 1
    return depth
