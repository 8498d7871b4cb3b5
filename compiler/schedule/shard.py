"""Shards: a program that goes through its examples one by one, run on ranges of them.

A shard is a range along one extent, not a smaller model: bodies see global indices and whole extents. Every stored
tensor is computed and read row by row; what sums over rows (the gradients, the loss) has one accumulator for each
worker, added in a fixed order. Where rows read such a sum (a batch norm its mean), the workers meet: each waits until
all have added their rows, then has the whole sum. Scalars and small arrays without rows are computed by each worker;
what only the results need (the loss of its sum, a penalty on the weights) comes after.

    for b in range(batch): …        becomes        for b in range(first, last): …

A large sum over rows that is a product (the gradient of a large weight) is made when the rows are done, jointly: each
worker makes some of its own rows, of all rows of the examples, and nothing has to be added. What is made of rows with a
large weight all make together, each with those rows of the weight.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby

from gradc.graph.index import ONE, ZERO, IndexExpr, dim
from gradc.graph.nodes import Equation, Graph, Read, Reducer, leaves_of
from gradc.graph.tensors import Index, Kind, Role

from .costs import JOINT_RESULT, OWN_PRODUCT, STEP_TERMS
from .few import is_with_large
from .program import (
    Gemm,
    Item,
    Loop,
    Meeting,
    Nest,
    Operand,
    Program,
    Sequential,
    Statement,
    Step,
    equations_of,
    keys_read,
    plain_steps,
    read_by,
    written_by,
)


@dataclass(frozen=True, slots=True)
class Rows:
    """How a program is cut: `steps` over ranges along an extent, then `after` once.

    Attributes:
        partial: the scalars that the steps leave, to be added up over the workers.
        joint: products over all rows, of which each worker then makes a part.
        by_all: those of the steps that all workers make together where rows are few.
        common: the computed tensors that both read: all workers have them in one place.
        met: the sums that all workers have alike at the end: they are to be counted once.
        in_order: the steps of the whole program, each once, in the order in which they run where it is cut.
    """

    extent: IndexExpr
    steps: tuple[Step, ...]
    after: tuple[Step, ...] = ()
    joint: tuple[Gemm, ...] = ()
    by_all: tuple[Gemm, ...] = ()
    common: frozenset[str] = frozenset()
    partial: tuple[str, ...] = ()
    met: tuple[str, ...] = ()
    in_order: tuple[Step, ...] = ()

    @property
    def dim(self) -> str:
        """The free dim that it is cut along."""
        (name,) = self.extent.dims
        return name

    @property
    def need_all(self) -> bool:
        """Whether workers meet in the middle of their rows: then none can make those of several one after another."""
        return bool(self.met or self.by_all)


def rows_of(program: Program) -> Rows | None:
    """How the program can be cut, along the first free dim along which it can be; None where along none."""
    return rows_in(program.graph, program.steps)


def rows_in(graph: Graph, steps: tuple[Step, ...]) -> Rows | None:
    """How these steps of a graph can be cut, as `rows_of` has it. Their tensors need no places yet."""
    names = dict.fromkeys(name for tensor in graph.tensors.values() for e in tensor.extents for name in e.dims)
    found = (_Cut(graph, steps, dim(name)).rows() for name in names)
    return next((rows for rows in found if rows is not None), None)


def rows_along(program: Program, extent: IndexExpr) -> Rows | None:
    """How the program can be cut along the axes of this extent; None where it cannot be."""
    return _Cut(program.graph, program.steps, extent).rows()


def row_by_row(graph: Graph, steps: tuple[Step, ...]) -> Rows | None:
    """The rows of steps that make of some rows what they make of them among others: a part of a batch is a smaller
    batch. None where rows are added up, and where the number of rows, or which one it is, matters; or another row of
    what is given."""
    rows = rows_in(graph, steps)
    if rows is None or rows.met or rows.partial or rows.after or keys_read(graph, steps):
        return None
    if any(rows.dim in size.dims for step in rows.steps for equation in step.equations for size in _sizes(equation)):
        return None
    tensors, results = graph.tensors, graph.outputs.values()
    given = [tensors[name] for step in rows.steps for name in step.read if tensors[name].role]
    if any(rows.dim in extent.dims for tensor in given for extent in tensor.extents[1:]):
        return None
    with_rows = {tensor.name for tensor in given if tensor.extents[:1] == (rows.extent,)}
    if any(_reads_other_rows(equation, with_rows, rows) for step in rows.steps for equation in step.equations):
        return None
    return rows if all(tensors[name].extents[:1] == (rows.extent,) for name in results) else None


def _reads_other_rows(equation: Equation, names: Collection[str], rows: Rows) -> bool:
    """Whether an equation reads one of these tensors at another row than that of its own loop."""
    own = {i.name for i in equation.indices if not i.low.terms and i.high == rows.extent}
    return any(use[0].bare not in own for name in names for use in equation.uses.get(name, ()))


def _sizes(equation: Equation) -> Iterator[IndexExpr]:
    """The numbers that an equation mentions, but for the ends of its indices."""
    yield from equation.write
    yield from (guard.value for guard in equation.guards)
    for leaf in leaves_of(equation.body):
        yield from leaf.subscripts if isinstance(leaf, Read) else (leaf.value,)


def work_per_row(rows: Rows) -> int:
    """Multiply-adds of the products for one row, other free dims counted as 1."""
    return sum(math.prod(extent.constant or 1 for extent in extents) for extents in _products(rows))


def work_of(rows: Rows) -> IndexExpr:
    """Multiply-adds of the products for all rows."""
    return sum((math.prod(extents, start=ONE) for extents in _products(rows)), ZERO)


def _products(rows: Rows) -> Iterator[list[IndexExpr]]:
    """The extents of the indices of each product; what differs from round to round of others is left out."""
    for step in plain_steps((*rows.steps, *rows.joint)):
        if isinstance(step, Gemm):
            yield [index.extent for index in step.equation.indices if not index.extent.indices]


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """What is not cut further: a loop along the rows or another statement of a nest, as a nest of its own; a product;
    a recurrence. `path` is its place among the items of the nest."""

    at: int
    path: tuple[int, ...]
    step: Step
    by_rows: bool
    written: frozenset[str]
    read: frozenset[str]


class _Cut:
    """Sorts the parts of a program: by rows; early, which each worker does for itself; late, once after all rows."""

    def __init__(self, graph: Graph, steps: tuple[Step, ...], extent: IndexExpr) -> None:
        self.graph = graph
        self.steps = steps
        self.extent = extent
        self.axes = {
            name: tuple(at for at, each in enumerate(tensor.extents) if each == extent)
            for name, tensor in graph.tensors.items()
        }
        """Along which axes each tensor has rows."""
        self.parts = [
            _Part(at, path, step, self.is_by_rows(step), frozenset(written_by(step)), frozenset(read_by(step)))
            for at, whole in enumerate(steps)
            for path, step in self.apart(whole)
        ]
        self.joint = [part for part in self.parts if self.is_joint(part.step)]
        joint = set(self.joint)
        self.by_rows = [part for part in self.parts if part.by_rows and part not in joint]
        self.sums = {name for name in _all(part.written for part in self.by_rows) if not self.has_rows(name)}

    def rows(self) -> Rows | None:
        equations = [equation for part in self.by_rows for equation in equations_of(part.step)]
        if not equations or not all(map(self.reads_own_rows, equations)) or not all(map(self.is_added_up, equations)):
            return None
        early = set(_needed(_all(part.read for part in self.by_rows), [p for p in self.parts if not p.by_rows]))
        joint, of_each = set(self.joint), {*self.by_rows, *early}
        shared = [part for part in self.parts if part in of_each]
        late = [part for part in self.parts if part not in of_each and part not in joint]
        if not self.is_cheap(early):
            return None
        meetings = self.meetings(shared, late)
        after = self.completed(late, [part for part in shared if part in early])
        if meetings is None or after is None:
            return None
        return self.cut(shared, after, meetings)

    def is_added_up(self, equation: Equation) -> bool:
        """Whether what workers make of their rows is added: a largest number of all rows would not be."""
        return self.has_rows(equation.target) or equation.reducer is Reducer.SUM

    def is_cheap(self, early: Collection[_Part]) -> bool:
        """Whether each worker can do this for itself: no large product, nothing along the rows, no array handed out."""
        written = _all(part.written for part in early)
        if any(name in written and self.graph.tensors[name].axes for name in self.graph.outputs.values()):
            return False
        steps = list(plain_steps(part.step for part in early))
        indices = (index for step in steps for equation in equations_of(step) for index in equation.indices)
        return not any(map(_is_large_product, steps)) and not any(map(self.along, indices))

    def is_joint(self, step: Step) -> bool:
        """Whether it is a product over all rows whose result is large, handed out, and nobody else's."""
        if not isinstance(step, Gemm) or step.batch or step.equation.guards or not step.starts:
            return False
        name, out = step.equation.target, step.out
        extents = self.graph.tensors[name].extents
        size = math.prod(extents, start=ONE).constant or 0
        if size < JOINT_RESULT or name not in self.graph.outputs.values():
            return False
        if sum((name in written_by(other)) + (name in read_by(other)) for other in self.steps) > 1:
            return False
        plain = not out.transposed and out.window is None and out.subscripts[0].bare == out.rows[0]
        return plain and any(map(self.along, step.equation.reduced)) and all(map(self.lies_by_rows, (step.a, step.b)))

    def is_by_all(self, gemm: Gemm) -> bool:
        """Whether all workers make a product together, each with the rows of the matrix that it also steps."""
        return not gemm.b.transposed and is_with_large(gemm, self.graph, self.extent, JOINT_RESULT, STEP_TERMS)

    def lies_by_rows(self, operand: Operand) -> bool:
        """Whether it is an array of rows, made row by row or given."""
        made = operand.tensor in self.graph.writers
        return operand.window is None and (not made or self.graph.tensors[operand.tensor].extents[0] == self.extent)

    # ------------------------------------------------------------ where workers meet

    def meetings(self, shared: list[_Part], late: list[_Part]) -> dict[int, tuple[str, ...]] | None:
        """Before which of the shared parts which sums are met: before the first that reads one, all that are complete
        there and read later; what only comes after reads is met at the end. None where workers would count twice what
        is added to a sum that they read."""
        read = self.sums & _all(part.read for part in shared)
        left = read | {name for name in self.sums & _all(part.read for part in late) if self.graph.tensors[name].axes}
        if any(read & part.written & (part.read if part.by_rows else part.written) for part in self.parts):
            return None
        if not all(map(self.can_be_met, left)):
            return None
        writers = Counter(name for part in self.by_rows for name in part.written)
        found: dict[int, tuple[str, ...]] = {}
        whole: list[str] = []
        for _, group in groupby(enumerate(shared), key=lambda numbered: numbered[1].at):
            parts = list(group)
            wanted = left & _all(part.read for _, part in parts)
            for number, part in parts:
                if wanted & set(whole):
                    found[number] = tuple(whole)
                    left -= set(whole)
                    wanted -= set(whole)
                    whole = []
                if wanted & part.read:
                    return None
                writers.subtract(part.written if part.by_rows else ())
                whole += sorted(name for name in part.written & left if not writers[name] and name not in whole)
        if whole:
            found[len(shared)] = tuple(whole)
        return found

    def can_be_met(self, name: str) -> bool:
        tensor = self.graph.tensors[name]
        return tensor.kind is Kind.REAL and (not tensor.axes or self.lies(name))

    def lies(self, name: str) -> bool:
        """Whether it lies somewhere as an array: one with a single place may be a variable."""
        return any(extent.constant != 1 for extent in self.graph.tensors[name].extents)

    def completed(self, late: list[_Part], early: list[_Part]) -> list[_Part] | None:
        """What comes after, with the scalars that it needs of what each worker did for itself, if they can be computed
        again of leaves, states and sums; and with those that are results. Arrays lie in the workers' space."""
        tensors = self.graph.tensors
        made = [part for part in early if any(not tensors[name].axes for name in part.written)]
        wanted = _all(part.read for part in late) | set(self.graph.outputs.values())
        again = _needed([name for name in wanted if name in tensors and not tensors[name].axes], made)
        once = {*late, *again}
        after = [part for part in self.parts if part in once]
        known = _all(part.written for part in after) | set(self.scalar_sums())
        given = {name for name, t in tensors.items() if t.role in (Role.PARAM, Role.STATE) or t.site is not None}
        lying = {name for name in _all(part.written for part in early) | self.sums if self.lies(name)}
        if not _all(part.read for part in again) <= known | given:
            return None
        return after if _all(part.read for part in late) <= known | given | lying else None

    def scalar_sums(self) -> list[str]:
        """The scalars that rows add to."""
        names = dict.fromkeys(name for part in self.by_rows for name in written_by(part.step))
        return [name for name in names if name in self.sums and not self.graph.tensors[name].axes]

    # ------------------------------------------------------------ the steps

    def cut(self, shared: list[_Part], after: list[_Part], meetings: dict[int, tuple[str, ...]]) -> Rows | None:
        """The sums to which both rows and what comes after add start with the rows."""
        both = self.sums & _all(part.written for part in after)
        left = set(both)
        steps: list[Step] = []
        for number, group in groupby(range(len(shared)), key=lambda at: sum(met <= at for met in meetings)):
            places = list(group)
            if number:
                steps.append(Meeting(meetings[places[0]]))
            for step in self.together([shared[at] for at in places]):
                if isinstance(step, Sequential) and left & set(written_by(step)):
                    return None
                steps.append(_starting(step, left))
        if len(shared) in meetings:
            steps.append(Meeting(meetings[len(shared)]))
        ended = list(self.together(after))
        if any(isinstance(step, Sequential) and both & set(written_by(step)) for step in ended):
            return None
        ended = [_starting(step, set(), both) for step in ended]
        of_each = set(shared)
        late = self.together([part for part in after if part not in of_each])
        alone = (step for step in steps if not isinstance(step, Meeting))
        joint = tuple(part.step for part in self.joint if isinstance(part.step, Gemm))
        by_all = tuple(step for step in steps if isinstance(step, Gemm) and self.is_by_all(step))
        operands = {operand.tensor for gemm in joint for operand in (gemm.a, gemm.b)}
        operands |= {gemm.a.tensor for gemm in by_all}
        in_order = (*alone, *joint, *(_starting(step, set(), both) for step in late))
        met = tuple(name for names in meetings.values() for name in names)
        return Rows(
            self.extent,
            tuple(steps),
            tuple(ended),
            joint,
            by_all,
            frozenset(operands & set(self.graph.writers)),
            tuple(self.scalar_sums()),
            met,
            in_order,
        )

    def together(self, chosen: list[_Part]) -> Iterator[Step]:
        """These parts in their order, those of one nest as one nest."""
        for at, group in groupby(chosen, key=lambda part: part.at):
            parts, whole = list(group), self.steps[at]
            if not isinstance(whole, Nest):
                yield whole
            else:
                paths = {part.path for part in parts}
                yield replace(whole, items=tuple(_those_at(paths, whole.items)))

    # ------------------------------------------------------------ what runs along the rows

    def apart(self, step: Step) -> Iterator[tuple[tuple[int, ...], Step]]:
        """The parts of a step, each with its path."""
        if not isinstance(step, Nest):
            yield (), step
            return
        for at, item in enumerate(step.items):
            if isinstance(item, Loop) and self.along(item.index):
                yield (at,), replace(step, items=(item,))
            else:
                yield from ((path, replace(step, items=(alone,))) for path, alone in _statements_apart(item, (at,)))

    def is_by_rows(self, step: Step) -> bool:
        """Whether the whole step, a part, can run over a range of rows."""
        match step:
            case Gemm(equation=equation):
                return any(map(self.along, equation.indices)) and self.starts_with_rows(step)
            case Sequential(index=index, steps=steps):
                parts = (part for inner in steps for _, part in self.apart(inner))
                return not self.along(index) and all(map(self.is_by_rows, parts))
            case Nest(items=items):
                return all(isinstance(item, Loop) and self.along(item.index) for item in items)
            case Meeting():
                return False

    def along(self, index: Index) -> bool:
        return not index.low.terms and index.high == self.extent

    def has_rows(self, name: str) -> bool:
        return bool(self.axes[name])

    def starts_with_rows(self, gemm: Gemm) -> bool:
        """Whether the operands that have rows have them as their first axis."""
        rows = {i.name for i in gemm.equation.indices if self.along(i)}
        operands = (gemm.a, gemm.b, gemm.out)
        return all(rows.isdisjoint(place.indices) for operand in operands for place in operand.subscripts[1:])

    def reads_own_rows(self, equation: Equation) -> bool:
        """Whether it touches each computed tensor at one row, that of its own loop."""
        own = {i.name for i in equation.indices if self.along(i)}
        for name, uses in equation.uses.items():
            axes = self.axes[name]
            if not axes or name not in self.graph.writers:
                continue
            if len(axes) > 1 or any(use[at].bare not in own for use in uses for at in axes):
                return False
        return len(own) <= 1


def _is_large_product(step: Step) -> bool:
    """Whether it is a product that workers have no time to make each for itself."""
    if not isinstance(step, Gemm):
        return False
    work = math.prod((index.extent for index in step.equation.indices), start=ONE).constant
    return work is None or work > OWN_PRODUCT


def _statements_apart(item: Item, path: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], Item]]:
    """The statements of an item, each alone in its loops, with its path."""
    if isinstance(item, Statement):
        yield path, item
        return
    for at, inner in enumerate(item.body):
        yield from ((place, replace(item, body=(alone,))) for place, alone in _statements_apart(inner, (*path, at)))


def _those_at(
    paths: Collection[tuple[int, ...]], items: tuple[Item, ...], path: tuple[int, ...] = ()
) -> Iterator[Item]:
    """The items at these paths, and of the loops around others what is at them."""
    for at, item in enumerate(items):
        here = (*path, at)
        if here in paths:
            yield item
        elif isinstance(item, Loop) and (body := tuple(_those_at(paths, item.body, here))):
            yield replace(item, body=body)


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
    if isinstance(step, Sequential | Meeting):
        return step
    if isinstance(step, Gemm):
        name = step.equation.target
        starts = (step.starts or name in first) and name not in later
        first.discard(name)
        return step if starts == step.starts else replace(step, starts=starts)

    def changed(item: Item) -> Item:
        if isinstance(item, Loop):
            body = tuple(map(changed, item.body))
            return item if all(a is b for a, b in zip(body, item.body, strict=True)) else replace(item, body=body)
        name = item.equation.target
        starts = (item.starts or name in first) and (name not in later or item.parts is not None)
        first.discard(name)
        return item if starts == item.starts else replace(item, starts=starts)

    items = tuple(map(changed, step.items))
    return step if all(a is b for a, b in zip(items, step.items, strict=True)) else replace(step, items=items)
