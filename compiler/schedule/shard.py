"""Shards: a program that goes through its examples one by one, run on ranges of them.

A shard is a range of one free dim, not a smaller model: bodies see global indices and whole extents. Every stored
tensor is computed and read row by row; what sums over rows (the gradients, the loss) has one accumulator for each
worker, added in a fixed order; scalars made of such sums come after.

    for b in range(batch): …        becomes        for b in range(first, last): …
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gradc.graph.index import dim
from gradc.graph.nodes import Equation
from gradc.graph.tensors import Index

from .memory import uses_of
from .program import (
    Gemm,
    Loop,
    Nest,
    Program,
    Sequential,
    Statement,
    Step,
    Storage,
    equations_of,
    plain_steps,
    written_by,
)


@dataclass(frozen=True, slots=True)
class Rows:
    """How a program is cut: along a free dim, `steps` over a range of it, then `after` once.

    `partial` are the scalars that the steps leave, to be added up over the workers.
    """

    dim: str
    steps: tuple[Step, ...]
    after: tuple[Step, ...]
    partial: tuple[str, ...]


def rows_of(program: Program) -> Rows | None:
    """How the program can be cut, along the first free dim along which it can be; None where along none."""
    names = dict.fromkeys(name for tensor in program.graph.tensors.values() for e in tensor.extents for name in e.dims)
    for name in names:
        found = _Cut(program, name).rows()
        if found is not None:
            return found
    return None


def work_per_row(rows: Rows) -> int:
    """Multiply-adds of the products for one row, other free dims counted as 1."""
    total = 0
    for step in plain_steps(rows.steps):
        if isinstance(step, Gemm):
            work = 1
            for index in step.equation.indices:
                work *= index.extent.constant or 1
            total += work
    return total


class _Cut:
    def __init__(self, program: Program, name: str) -> None:
        self.program = program
        self.name = name
        self.partial: dict[str, None] = {}

    def rows(self) -> Rows | None:
        steps: list[Step] = []
        after: list[Statement] = []
        for step in self.program.steps:
            parts = self.parts(step)
            if parts is None:
                return None
            if parts[0] is not None:
                steps.append(parts[0])
            after += parts[1]
        if not steps or not all(map(self.reads_own_rows, self.equations())):
            return None
        made_after = {statement.equation.target for statement in after}
        if made_after & {name for step in steps for name in written_by(step)} or not self.of_sums_alone(after):
            return None
        results = [name for name in self.partial if name not in made_after]
        finish = (Nest(tuple(after)),) if after else ()
        return Rows(self.name, tuple(steps), finish, tuple(results))

    def parts(self, step: Step) -> tuple[Step | None, list[Statement]] | None:
        """What of the step runs over ranges, and the scalar statements that come after; None where it cannot be cut."""
        if isinstance(step, Gemm):
            cut = any(self.along(i) for i in step.equation.indices) and self.starts_with_rows(step)
            return (step, []) if cut and not self.needs_sums(step.equation) else None
        if isinstance(step, Sequential):
            return None if self.along(step.index) else self.recurrence(step)
        loops = [item for item in step.items if isinstance(item, Loop)]
        scalars = [item for item in step.items if isinstance(item, Statement)]
        if any(scalar.path or scalar.equation.indices for scalar in scalars):
            return None
        if not all(self.along(loop.index) for loop in loops):
            return None
        inside = Nest(tuple(loops), step.guards)
        if any(self.needs_sums(statement.equation) for statement in inside.statements()):
            return None
        for name in written_by(inside):
            buffer = self.program.buffers[name]
            if buffer.storage is Storage.LOCAL and not self.program.graph.tensors[name].axes:
                self.partial.setdefault(name)
        return (inside if loops else None), scalars

    def recurrence(self, step: Sequential) -> tuple[Step | None, list[Statement]] | None:
        """A recurrence runs whole over each range of rows, where all of its steps can."""
        parts = [self.parts(inner) for inner in step.steps]
        if any(part is None or part[0] is None or part[1] for part in parts):
            return None
        return step, []

    def along(self, index: Index) -> bool:
        return not index.low.terms and index.high == dim(self.name)

    def of_sums_alone(self, after: Iterable[Statement]) -> bool:
        """Whether the scalars that come after are made of computed ones alone: the workers hand on no arrays."""
        tensors = self.program.graph.tensors
        leaves = (tensors[name] for statement in after for name in statement.equation.sources() if tensors[name].role)
        return all(leaf.site is not None for leaf in leaves)

    def needs_sums(self, equation: Equation) -> bool:
        """Whether it reads a sum over rows, which no worker has alone."""
        return any(source in self.program.buffers and not self.has_rows(source) for source in equation.sources())

    def has_rows(self, name: str) -> bool:
        return any(extent == dim(self.name) for extent in self.program.graph.tensors[name].extents)

    def starts_with_rows(self, gemm: Gemm) -> bool:
        """Whether the operands that have rows have them as their first axis."""
        rows = {i.name for i in gemm.equation.indices if self.along(i)}
        operands = (gemm.a, gemm.b, gemm.out)
        return all(rows.isdisjoint(place.indices) for operand in operands for place in operand.subscripts[1:])

    def equations(self) -> Iterator[Equation]:
        for step in self.program.steps:
            yield from equations_of(step)

    def reads_own_rows(self, equation: Equation) -> bool:
        """Whether it touches each computed tensor at one row, that of its own loop."""
        own = {i.name for i in equation.indices if self.along(i)}
        for name in (*equation.sources(), equation.target):
            if name not in self.program.buffers:
                continue
            axes = [at for at, e in enumerate(self.program.graph.tensors[name].extents) if e == dim(self.name)]
            if len(axes) > 1:
                return False
            if any(use[at].bare not in own for use in uses_of(name, equation) for at in axes):
                return False
        return len(own) <= 1
