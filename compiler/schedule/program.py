"""A program: what the emitted functions do, as loops, matrix products and buffers.

A program is a sequence of steps. A `Gemm` is a product of two matrices (for each value of its batch indices); a `Nest`
is a tree of loops with statements at its leaves and between them; a `Sequential` runs steps for one value after the
other of an index, as a recurrence has to. A statement is an equation of the graph in the names
of the loops around it: fusing puts statements side by side, bodies are never substituted into each other.

A tensor lives in a `Buffer`: given by the caller, handed out, kept in the work space, or, where all that write and
read it share loops, without the axes of those loops: at its smallest a local variable.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import TypeAlias

from gradc.graph.conditions import under
from gradc.graph.index import ZERO, IndexExpr, index
from gradc.graph.nodes import Equation, Graph, Guard, Reducer, Tensor
from gradc.graph.tensors import Index, Kind, ranges_of


class Storage(Enum):
    """Where a tensor lives."""

    GIVEN = "given"
    """Passed in by the caller: inputs, parameters, results."""
    WORK = "work"
    """A stretch of the work space."""
    COMMON = "common"
    """A stretch of what all workers have in common, where a program is cut into shards."""
    LOCAL = "local"
    """A variable."""


class Space(Enum):
    """The arrays that callers hand in for tensors to lie in."""

    WORK = "work"
    PLACES = "places"
    FLAGS = "flags"
    COMMON = "common"

    @property
    def kind(self) -> Kind:
        """What it holds."""
        return {Space.PLACES: Kind.WHOLE, Space.FLAGS: Kind.BOOL}.get(self, Kind.REAL)


SPACES: Mapping[Kind, Space] = {space.kind: space for space in (Space.WORK, Space.PLACES, Space.FLAGS)}


@dataclass(frozen=True, slots=True)
class Buffer:
    """A tensor's place. `axes` are the tensor's axes that it keeps, in order; `shares` names the buffer it lies in."""

    tensor: str
    kind: Kind
    storage: Storage
    axes: tuple[int, ...]
    extents: tuple[IndexExpr, ...]
    shares: str | None = None
    offset: IndexExpr | None = None

    @property
    def space(self) -> Space:
        """Where it has a stretch, if it has one."""
        return Space.COMMON if self.storage is Storage.COMMON else SPACES[self.kind]

    @property
    def has_stretch(self) -> bool:
        """Whether it has one of its own."""
        return self.storage in (Storage.WORK, Storage.COMMON) and not self.shares


@dataclass(frozen=True, slots=True)
class Statement:
    """One equation, at the place in the loops where it is computed.

    Attributes:
        equation: in the names of the loops around it.
        path: the names of those loops, outermost first.
        starts: it is the first that writes its target: what it does not cover must be 0 before it.
        around: the indices of the sequential loops around the nest, outermost first.
        parts: the axis along which its target is written in parts, this equation one of them whole: it starts its own.
    """

    equation: Equation
    path: tuple[str, ...]
    starts: bool
    around: tuple[str, ...] = ()
    parts: int | None = None

    @property
    def runs(self) -> tuple[str | None, ...]:
        """For each axis of the target the index by which it goes along it, from place to place or within its part."""
        return tuple(
            next(iter(place.indices), None) if at == self.parts else place.bare
            for at, place in enumerate(self.equation.write)
        )

    @property
    def free_prefix(self) -> int:
        """How many of the outermost loops go along an axis of the target: below them it is accumulated."""
        along = set(self.runs)
        for depth, name in enumerate(self.path):
            if name not in along:
                return depth
        return len(self.path)

    @property
    def accumulates(self) -> bool:
        """Whether a place is written more than once."""
        return self.spreads or self.free_prefix < len(self.path)

    @property
    def spreads(self) -> bool:
        """Whether it writes at places that other values of its indices may give too: `dA[i + u]`, `dw[ids[b]]`."""
        places = zip(self.runs, self.equation.write, strict=True)
        return any(name is None and not set(place.indices) <= set(self.around) for name, place in places)


@dataclass(frozen=True, slots=True)
class Loop:
    """`for index in range(low, high)`."""

    index: Index
    body: tuple["Item", ...]


Item: TypeAlias = Loop | Statement


class _Step(ABC):
    """What a step computes, writes and reads is asked of it often: it is kept."""

    @property
    @abstractmethod
    def equations(self) -> tuple[Equation, ...]:
        """The equations that it computes, in the order in which they stand."""

    @cached_property
    def written(self) -> tuple[str, ...]:
        """The tensors that it writes, in order."""
        return tuple(dict.fromkeys(equation.target for equation in self.equations))

    @cached_property
    def read(self) -> tuple[str, ...]:
        """The tensors that it reads, in order."""
        return tuple(dict.fromkeys(source for equation in self.equations for source in equation.sources()))


@dataclass(frozen=True)
class Nest(_Step):
    """Loops with statements: one kernel. `guards` say in which rounds of sequential loops around it it runs."""

    items: tuple[Item, ...]
    guards: tuple[Guard, ...] = ()

    def statements(self) -> Iterator[Statement]:
        """All statements, in the order in which they stand."""
        return statements_in(self.items)

    @cached_property
    def equations(self) -> tuple[Equation, ...]:
        """The equations that it computes, in the order in which they stand."""
        return tuple(statement.equation for statement in self.statements())


def statements_in(items: Iterable[Item]) -> Iterator[Statement]:
    """All statements of loops, in the order in which they stand."""
    for item in items:
        if isinstance(item, Statement):
            yield item
        else:
            yield from statements_in(item.body)


@dataclass(frozen=True, slots=True)
class Window:
    """Windows along an axis: the place of one is a multiple of `outer`, and `inner` runs within it."""

    axis: int
    outer: str
    inner: str

    def within(self, subscripts: Sequence[IndexExpr]) -> bool:
        """Whether a tensor that is read so has these windows."""
        return len(subscripts) > self.axis and {self.outer, self.inner} <= set(subscripts[self.axis].indices)


@dataclass(frozen=True, slots=True)
class Operand:
    """A tensor as a matrix: groups of adjacent axes merged to rows and columns.

    Attributes:
        tensor: its name.
        subscripts: for each axis the index that runs along it, or along one block of it; or a place, in the indices of
            loops around the product.
        rows, columns: those of the indices that make the rows and the columns, in the order of the axes.
        transposed: the columns come before the rows in the tensor.
        window: two indices run along one axis, and rows, or columns, overlap.
    """

    tensor: str
    subscripts: tuple[IndexExpr, ...]
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    transposed: bool
    window: Window | None = None

    @property
    def order(self) -> tuple[str, ...]:
        """The rows and columns that run along the axes, one after the other; '' for an axis that is at one place."""
        inner = {*self.rows, *self.columns}
        around = {name for place in self.subscripts for name in place.indices if name not in inner}
        return order_of(self.subscripts, self.window, around)


def outermost(loops: tuple[Index, ...], names: Collection[str]) -> tuple[Index, ...]:
    """Of loops those from the outermost to the last one of these names."""
    return loops[: max((at + 1 for at, loop in enumerate(loops) if loop.name in names), default=0)]


def order_of(subscripts: Iterable[IndexExpr], window: Window | None, around: Collection[str]) -> tuple[str, ...]:
    """The indices that run along axes, one after the other; '' for an axis that is at one place.

    Args:
        around: indices of loops around, in each round of which they run.
    """
    order: list[str] = []
    for at, place in enumerate(subscripts):
        order += (window.outer, window.inner) if window and window.axis == at else (along(place, around),)
    return tuple(order)


def along(place: IndexExpr, around: Collection[str]) -> str:
    """The index that runs along an axis, or along a part of it, where those around stand still; '' if none does."""
    if place.bare is not None:
        return place.bare
    own = [name for name in place.indices if name not in around]
    factor = place.coefficient(own[0]) if len(own) == 1 else None
    return own[0] if factor is not None and factor.constant is not None else ""


@dataclass(frozen=True, slots=True)
class Block:
    """A block of an axis that is cut into such.

    Attributes:
        number: the index that says which block it is.
        within: the index that runs from end to end of it.
        begin, end: the places of the axis that it is.
    """

    number: str
    within: str
    begin: IndexExpr
    end: IndexExpr


def block_of(place: IndexExpr, extent: IndexExpr, indices: Mapping[str, Index]) -> Block | None:
    """The block that a place `g*size + i` is in, where the blocks are all of the axis."""
    if place.bare is not None or len(place.indices) != 2:  # noqa: PLR2004  (a block, and a place in it)
        return None
    for number, inner in (place.indices, place.indices[::-1]):
        ends = indices[number], indices[inner]
        whole = not any(each.low.terms for each in ends) and ends[0].high * ends[1].high == extent
        if whole and place == index(number) * ends[1].high + index(inner):
            begin = place - index(inner)
            return Block(number, inner, begin, begin + ends[1].high)
    return None


@dataclass(frozen=True, slots=True)
class Turn:
    """Every so many-th place of an axis, from its first to its last: `step*index + first`."""

    index: str
    step: int
    first: int


def turn_of(place: IndexExpr, extent: IndexExpr, indices: Mapping[str, Index]) -> Turn | None:
    """The turn that a place is of."""
    if len(place.indices) != 1:
        return None
    own = indices[place.indices[0]]
    factor = place.coefficient(own.name)
    step = factor.constant if factor is not None else None
    if step is None or step <= 1 or own.low.terms or step * own.high != extent:
        return None
    first = (place - step * index(own.name)).constant
    return Turn(own.name, step, first) if first is not None and 0 <= first < step else None


def blocks_of(
    places: Iterable[IndexExpr], extents: Iterable[IndexExpr], indices: Mapping[str, Index]
) -> Iterator[Block]:
    """The blocks that the places along several axes are in."""
    return filter(None, (block_of(*each, indices) for each in zip(places, extents, strict=True)))


@dataclass(frozen=True)
class Gemm(_Step):
    """out = a · b, or out += a · b, for each value of the batch indices.

    A batch index that the equation sums over adds to what is there. The equation's guards are conditions on batch
    indices and on the rounds of the sequential loops around it alone. `packing` makes in each round of the outermost
    loops what of a factor belongs to it.
    """

    equation: Equation
    out: Operand
    a: Operand
    b: Operand
    batch: tuple[Index, ...]
    starts: bool
    packing: Nest | None = None

    @cached_property
    def packing_rounds(self) -> tuple[Index, ...]:
        """The loops in each round of which `packing` makes something else."""
        if self.packing is None:
            return ()
        return outermost(self.batch, {i.name for equation in self.packing.equations for i in equation.indices})

    @cached_property
    def equations(self) -> tuple[Equation, ...]:
        """Its equation, and before it those of what is packed."""
        return (*(self.packing.equations if self.packing else ()), self.equation)


@dataclass(frozen=True)
class Sequential(_Step):
    """Steps for one value after the other of an index, from its last to its first where it runs backward."""

    index: Index
    backward: bool
    steps: "tuple[Step, ...]"

    @cached_property
    def equations(self) -> tuple[Equation, ...]:
        """The equations that it computes, in the order in which they stand."""
        return tuple(equation for step in self.steps for equation in step.equations)


@dataclass(frozen=True)
class Meeting(_Step):
    """Where the workers of a program that is cut into shards wait for each other: from there on, each has the sums of
    what all of them have added to these tensors. No step of a whole program is one."""

    sums: tuple[str, ...]

    @cached_property
    def equations(self) -> tuple[Equation, ...]:
        """It computes none of the graph's."""
        return ()

    @cached_property
    def written(self) -> tuple[str, ...]:
        """The sums."""
        return self.sums

    @cached_property
    def read(self) -> tuple[str, ...]:
        """The sums."""
        return self.sums


Step: TypeAlias = Nest | Gemm | Sequential | Meeting


@dataclass(frozen=True, slots=True)
class Program:
    """One function to emit: its graph, its steps in order, and a buffer for every tensor they touch.

    `work` gives the length of each space that it needs, in the free dims; `in_shards` says that it is arranged to run
    on ranges of its rows.
    """

    graph: Graph
    steps: tuple[Step, ...]
    buffers: Mapping[str, Buffer]
    work: Mapping[Space, IndexExpr]
    in_shards: bool = False

    def root_of(self, tensor: str) -> str:
        """The tensor in whose place a tensor lies: as a rule its own."""
        buffer = self.buffers.get(tensor)
        return (buffer and buffer.shares) or tensor


def equations_of(step: Step) -> tuple[Equation, ...]:
    """The equations that a step computes, in the order in which they stand."""
    return step.equations


def guards_of_rounds(equation: Equation, around: Iterable[str]) -> tuple[Guard, ...]:
    """The guards of an equation that are about the rounds of the sequential loops around it alone."""
    rounds = set(around)
    return tuple(g for g in equation.guards if g.value.indices and rounds.issuperset(g.value.indices))


def may_be_idle(equation: Equation, guards: Sequence[Guard], begins: Tensor | None) -> bool:
    """Whether an equation may stand in rounds in which these guards do not hold, and add nothing there: it is a sum.

    Args:
        begins: the target, where it is the first that writes it: the place that it sets to 0 must be one in any round.
    """
    if equation.reducer is not Reducer.SUM or begins is None or not guards:
        return equation.reducer is Reducer.SUM
    ranges = under(ranges_of(equation.indices), [guard for guard in equation.guards if guard not in guards])
    return all(
        ranges.nonnegative(place) and ranges.nonnegative(extent - 1 - place)
        for place, extent in zip(equation.write, begins.extents, strict=True)
    )


def axis_of_parts(writers: Sequence[Equation], tensor: Tensor, stepping: Collection[str] = ()) -> int | None:
    """The axis along which each of the equations writes one part of a tensor, all of it: one after the other, as a[i]
    and b[j] in z[i] = a[i], z[n + j] = b[j], or in turn, as in z[2*i] = a[i], z[2*i + 1] = b[i]. None where there is no
    such axis.

    Args:
        stepping: the indices of sequential loops: what is written in their rounds is no part.
    """
    if len(writers) == 1 or any(each.reducer is not Reducer.SUM or each.reduced or each.guards for each in writers):
        return None
    for axis, extent in enumerate(tensor.extents):
        if any(set(each.write[axis].indices).intersection(stepping) for each in writers):
            continue
        if _follow_each_other(writers, axis, extent) or _take_turns(writers, axis, extent):
            others = [at for at in range(len(tensor.extents)) if at != axis]
            axes = ([(each.write[at], tensor.extents[at]) for at in others] for each in writers)
            return axis if all(map(runs_whole, writers, axes)) else None
    return None


def _follow_each_other(writers: Sequence[Equation], axis: int, extent: IndexExpr) -> bool:
    """Whether the places along an axis are ranges that come one after the other, from its first to its last."""
    ends: dict[IndexExpr, IndexExpr] = {}
    for each in writers:
        place = each.write[axis]
        own = [i for i in each.indices if i.name in place.indices]
        if not own:
            ends[place] = place + 1
            continue
        before = place - index(own[0].name)
        if before.indices or own[0].name in _elsewhere(each, axis):
            return False
        ends[before + own[0].low] = before + own[0].high
    at: IndexExpr | None = ZERO
    for _ in ends:
        at = ends.get(at) if at is not None else None
    return at == extent and len(ends) == len(writers)


def _take_turns(writers: Sequence[Equation], axis: int, extent: IndexExpr) -> bool:
    """Whether the first of so many equations writes the first place of an axis, the second the next, and so on round
    after round."""
    turns = [turn_of(each.write[axis], extent, {i.name: i for i in each.indices}) for each in writers]
    known = [(turn.step, turn.first) for turn in turns if turn is not None]
    alone = all(_elsewhere(each, axis).isdisjoint(each.write[axis].indices) for each in writers)
    return alone and sorted(known) == [(len(writers), first) for first in range(len(writers))]


def _elsewhere(equation: Equation, axis: int) -> set[str]:
    """The indices along the other axes that it writes."""
    return {name for at, place in enumerate(equation.write) if at != axis for name in place.indices}


def runs_whole(equation: Equation, axes: Iterable[tuple[IndexExpr, IndexExpr]]) -> bool:
    """Whether an equation writes along these axes from end to end, each by an index of its own.

    Args:
        axes: of each the place that is written, and the extent.
    """
    pairs = [(place.bare, extent) for place, extent in axes]
    names = [name for name, _ in pairs]
    ranges: Mapping[str | None, Index] = {i.name: i for i in equation.indices}
    return (
        None not in names
        and len(set(names)) == len(names)
        and all(not ranges[name].low.terms and ranges[name].high == extent for name, extent in pairs)
    )


def plain_steps(steps: Iterable[Step]) -> Iterator[Nest | Gemm]:
    """The nests and products, those in sequential loops too."""
    for step in steps:
        if isinstance(step, Sequential):
            yield from plain_steps(step.steps)
        elif not isinstance(step, Meeting):
            yield step


def written_by(step: Step) -> tuple[str, ...]:
    """The tensors a step writes, in order."""
    return step.written


def read_by(step: Step) -> tuple[str, ...]:
    """The tensors a step reads, in order."""
    return step.read


def keys_read(graph: Graph, steps: Iterable[Step]) -> tuple[str, ...]:
    """The keys of random numbers that the steps read."""
    keys = {name for name, tensor in graph.tensors.items() if tensor.site is not None}
    read = dict.fromkeys(name for step in steps for name in read_by(step)) if keys else {}
    return tuple(name for name in read if name in keys)
