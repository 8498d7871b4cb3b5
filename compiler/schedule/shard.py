"""Shards: a program that goes through its examples one by one, run on ranges of them.

A shard is a range along one extent, not a smaller model: bodies see global indices and whole extents. Every stored
tensor is computed and read row by row; what sums over rows (the gradients, the loss) has one accumulator for each
worker, added in a fixed order. Scalars that no sum goes into are computed by each worker; what is made of such sums,
and what has no rows (a penalty on the weights), comes after.

    for b in range(batch): …        becomes        for b in range(first, last): …
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby

from gradc.graph.index import IndexExpr, dim
from gradc.graph.nodes import Equation, Reducer
from gradc.graph.tensors import Index, Role

from .memory import uses_of
from .program import (
    Gemm,
    Item,
    Loop,
    Nest,
    Program,
    Sequential,
    Step,
    Storage,
    equations_of,
    plain_steps,
    read_by,
    written_by,
)


@dataclass(frozen=True, slots=True)
class Rows:
    """How a program is cut: `steps` over ranges along an extent, then `after` once.

    `partial` are the scalars that the steps leave, to be added up over the workers.
    """

    extent: IndexExpr
    steps: tuple[Step, ...]
    after: tuple[Step, ...] = ()
    partial: tuple[str, ...] = ()

    @property
    def dim(self) -> str:
        """The free dim that it is cut along."""
        (name,) = self.extent.dims
        return name


def rows_of(program: Program) -> Rows | None:
    """How the program can be cut, along the first free dim along which it can be; None where along none."""
    names = dict.fromkeys(name for tensor in program.graph.tensors.values() for e in tensor.extents for name in e.dims)
    found = (rows_along(program, dim(name)) for name in names)
    return next((rows for rows in found if rows is not None), None)


def rows_along(program: Program, extent: IndexExpr) -> Rows | None:
    """How the program can be cut along the axes of this extent; None where it cannot be."""
    return _Cut(program, extent).rows()


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


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """What is not cut further: an item of a nest, as a nest of its own; a product; a recurrence."""

    at: int
    step: Step
    by_rows: bool
    written: frozenset[str]
    read: frozenset[str]


class _Cut:
    """Sorts the parts of a program: by rows; early, which each worker does for itself; late, once after all rows."""

    def __init__(self, program: Program, extent: IndexExpr) -> None:
        self.program = program
        self.extent = extent
        self.parts = [
            _Part(at, step, self.is_by_rows(step), frozenset(written_by(step)), frozenset(read_by(step)))
            for at, whole in enumerate(program.steps)
            for step in _apart(whole)
        ]
        self.by_rows = [part for part in self.parts if part.by_rows]
        rows = _all(part.written for part in self.by_rows)
        self.sums = {name for name in rows if not self.has_rows(name)}

    def rows(self) -> Rows | None:
        equations = [equation for part in self.by_rows for equation in equations_of(part.step)]
        if not equations or not all(map(self.reads_own_rows, equations)) or not all(map(self.is_added_up, equations)):
            return None
        late = self.made_of_sums()
        read = _all(part.read for part in self.by_rows)
        early = _needed(read, [part for part in self.parts if not part.by_rows and part not in late])
        late = [part for part in self.parts if not part.by_rows and part not in early]
        after = [*late, *_needed(_all(part.read for part in late), early)]
        if read & (self.sums | _all(part.written for part in late)) or not self.is_cheap(early):
            return None
        return self.cut(early, after) if self.is_complete(after) else None

    def is_added_up(self, equation: Equation) -> bool:
        """Whether what workers make of their rows is added: a largest number of all rows would not be."""
        return self.has_rows(equation.target) or equation.reducer is Reducer.SUM

    def made_of_sums(self) -> list[_Part]:
        """What reads a sum over rows, or adds to one, and so on."""
        made, found = set(self.sums), []
        for part in self.parts:
            if not part.by_rows and made & (part.written | part.read):
                made |= part.written
                found.append(part)
        return found

    def is_cheap(self, early: list[_Part]) -> bool:
        """Whether each worker can do this for itself: no products, nothing along the rows, no results."""
        if _all(part.written for part in early) & set(self.program.graph.outputs.values()):
            return False
        steps = list(plain_steps(part.step for part in early))
        indices = (index for step in steps for equation in equations_of(step) for index in equation.indices)
        return not any(isinstance(step, Gemm) for step in steps) and not any(map(self.along, indices))

    def is_complete(self, after: list[_Part]) -> bool:
        """Whether this needs nothing but parameters, states, scalars that are sums over rows, and what it makes."""
        known = _all(part.written for part in after) | set(self.scalar_sums())
        tensors = self.program.graph.tensors
        given = {name for name, t in tensors.items() if t.role in (Role.PARAM, Role.STATE) or t.site is not None}
        return _all(part.read for part in after) <= known | given and not self.arrays_read(after)

    def arrays_read(self, after: list[_Part]) -> set[str]:
        """The sums over rows among these parts' arrays that they read: no worker has them whole."""
        return (self.sums - set(self.scalar_sums())) & _all(part.read for part in after)

    def scalar_sums(self) -> list[str]:
        buffers, tensors = self.program.buffers, self.program.graph.tensors
        local = (n for part in self.by_rows for n in written_by(part.step) if buffers[n].storage is Storage.LOCAL)
        return list(dict.fromkeys(name for name in local if not tensors[name].axes))

    def cut(self, early: list[_Part], after: list[_Part]) -> Rows | None:
        """The sums to which both rows and what comes after add start with the rows."""
        both = self.sums & _all(part.written for part in after)
        left = set(both)
        steps: list[Step] = []
        for step in self.together([*early, *self.by_rows]):
            if isinstance(step, Sequential) and left & set(written_by(step)):
                return None
            steps.append(_starting(step, left))
        ended = list(self.together(after))
        if any(isinstance(step, Sequential) and both & set(written_by(step)) for step in ended):
            return None
        ended = [_starting(step, set(), both) for step in ended]
        return Rows(self.extent, tuple(steps), tuple(ended), tuple(self.scalar_sums()))

    def together(self, chosen: list[_Part]) -> Iterator[Step]:
        """These parts in their order, those of one nest as one nest."""
        wanted = set(chosen)
        for _, group in groupby((part for part in self.parts if part in wanted), key=lambda part: part.at):
            steps = [part.step for part in group]
            nests = [step for step in steps if isinstance(step, Nest)]
            yield Nest(tuple(item for nest in nests for item in nest.items), nests[0].guards) if nests else steps[0]

    # ------------------------------------------------------------ what runs along the rows

    def is_by_rows(self, step: Step) -> bool:
        """Whether the whole step, a part, can run over a range of rows."""
        match step:
            case Gemm(equation=equation):
                return any(map(self.along, equation.indices)) and self.starts_with_rows(step)
            case Sequential(index=index, steps=steps):
                parts = (part for inner in steps for part in _apart(inner))
                return not self.along(index) and all(map(self.is_by_rows, parts))
            case Nest(items=items):
                return all(isinstance(item, Loop) and self.along(item.index) for item in items)

    def along(self, index: Index) -> bool:
        return not index.low.terms and index.high == self.extent

    def has_rows(self, name: str) -> bool:
        return any(extent == self.extent for extent in self.program.graph.tensors[name].extents)

    def starts_with_rows(self, gemm: Gemm) -> bool:
        """Whether the operands that have rows have them as their first axis."""
        rows = {i.name for i in gemm.equation.indices if self.along(i)}
        operands = (gemm.a, gemm.b, gemm.out)
        return all(rows.isdisjoint(place.indices) for operand in operands for place in operand.subscripts[1:])

    def reads_own_rows(self, equation: Equation) -> bool:
        """Whether it touches each computed tensor at one row, that of its own loop."""
        own = {i.name for i in equation.indices if self.along(i)}
        for name in (*equation.sources(), equation.target):
            if name not in self.program.buffers:
                continue
            axes = [at for at, e in enumerate(self.program.graph.tensors[name].extents) if e == self.extent]
            if len(axes) > 1:
                return False
            if any(use[at].bare not in own for use in uses_of(name, equation) for at in axes):
                return False
        return len(own) <= 1


def _apart(step: Step) -> Iterator[Step]:
    if isinstance(step, Nest):
        yield from (Nest((item,), step.guards) for item in step.items)
    else:
        yield step


def _all(names: Iterable[frozenset[str]]) -> set[str]:
    return set().union(*names)


def _needed(names: Iterable[str], parts: list[_Part]) -> list[_Part]:
    """Those of the parts that these tensors are made by, and what they need in turn."""
    wanted, found = set(names), []
    for part in reversed(parts):
        if wanted & part.written:
            wanted |= part.read
            found.append(part)
    return found


def _starting(step: Step, first: set[str], later: Collection[str] = ()) -> Step:
    """The step where the first writer of each of `first` starts it, taken from `first` then, and none of `later` do.
    A recurrence writes none of them."""
    if isinstance(step, Sequential):
        return step
    if isinstance(step, Gemm):
        name = step.equation.target
        starts = (step.starts or name in first) and name not in later
        first.discard(name)
        return replace(step, starts=starts)

    def changed(item: Item) -> Item:
        if isinstance(item, Loop):
            return replace(item, body=tuple(map(changed, item.body)))
        name = item.equation.target
        starts = (item.starts or name in first) and name not in later
        first.discard(name)
        return replace(item, starts=starts)

    return replace(step, items=tuple(map(changed, step.items)))
