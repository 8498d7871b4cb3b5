"""Sequential loops and conditions as text: what kernels and the functions that call them write alike."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Protocol

from gradc.graph.index import IndexExpr, index
from gradc.graph.nodes import Equation, Guard, Relation
from gradc.graph.ranges import Ranges
from gradc.graph.tensors import Index, Kind
from gradc.schedule.program import (
    Buffer,
    Gemm,
    Nest,
    Program,
    Sequential,
    Step,
    guards_of_rounds,
    read_by,
)

from .lines import INDENT
from .style import Surroundings, index_text, stretch

RANGE: Mapping[str, str] = {"first row": "first", "last row": "last"}
"""What the range of rows of a shard is called: first ≤ row < last."""


def conditions_text(guards: Iterable[Guard], around: Surroundings) -> str:
    """Guards as one condition."""
    # one that reads a tensor after those that say that it is read inside
    order = sorted(guards, key=lambda guard: bool(guard.value.gathers))
    return " and ".join(guard_text(guard, around) for guard in order)


def guard_text(guard: Guard, around: Surroundings) -> str:
    """A guard as a comparison without subtraction."""
    above = IndexExpr(tuple(term for term in guard.value.terms if term[1] > 0))
    below = above - guard.value
    if guard.relation is not Relation.AT_LEAST:
        return f"{index_text(above, around)} {guard.relation.value} {index_text(below, around)}"
    if ((), -1) in guard.value.terms:
        return f"{index_text(above, around)} > {index_text(below - 1, around)}"
    if above.constant is not None:
        return f"{index_text(below, around)} <= {index_text(above, around)}"
    return f"{index_text(above, around)} >= {index_text(below, around)}"


@dataclass(frozen=True, slots=True)
class Ends:
    """Where a loop can begin and end.

    Attributes:
        loop: its index.
        lows: it begins at the greatest of them.
        highs: it ends before the least of them.
        taken: the guards that are in these.
    """

    loop: Index
    lows: tuple[IndexExpr, ...]
    highs: tuple[IndexExpr, ...]
    taken: frozenset[Guard]

    def in_order(self, ranges: Ranges) -> bool:
        """Whether it never ends before it begins."""
        return all(ranges.nonnegative(high - low) for low, high in product(self.lows, self.highs))

    def texts(self, around: Surroundings, rows: IndexExpr | None = None) -> tuple[str, str]:
        """The two ends as text. Along `rows` it goes through a range of them."""
        lows, highs, free = self.lows, self.highs, Ranges()
        cut = not self.loop.low.terms and self.loop.high == rows
        if not cut:
            lows = tuple(a for a in lows if not any(b != a and free.nonnegative(b - a) for b in lows))
            highs = tuple(a for a in highs if not any(b != a and free.nonnegative(a - b) for b in highs))
        low, high = ([index_text(end, around) for end in ends] for ends in (lows, highs))
        if cut:
            low[0], high[0] = RANGE.values()
        return (
            low[0] if len(low) == 1 else f"max({', '.join(low)})",
            high[0] if len(high) == 1 else f"min({', '.join(high)})",
        )


def ends_of(loop: Index, guards: Iterable[Guard], known: Collection[str]) -> Ends:
    """Where a loop over an index can begin and end, by its range and by those guards that say so, given the indices
    that are known there: `i + u >= 1` lets u begin at 1 - i."""
    lows, highs, taken = [loop.low], [loop.high], set()
    for guard in sorted(guards, key=str):
        factor = guard.value.coefficient(loop.name)
        if guard.relation is not Relation.AT_LEAST or factor is None or factor.constant in (None, 0):
            continue
        rest = guard.value - factor * index(loop.name)
        if set(rest.indices) - set(known):
            continue
        taken.add(guard)
        assert factor.constant is not None
        if factor.constant > 0:
            lows.append(-(rest // factor))
        else:
            highs.append(rest // -factor + 1)
    return Ends(loop, tuple(dict.fromkeys(lows)), tuple(dict.fromkeys(highs)), frozenset(taken))


def range_text(low: str, high: str) -> str:
    """What `range` is called with."""
    return high if low == "0" else f"{low}, {high}"


def round_of(name: str) -> str:
    """What the index of a sequential loop is called among a kernel's parameters."""
    return f"round {name}"


def rounds_row(name: str, step: Sequential, around: Surroundings) -> str:
    """`for t in range(time):`, or from the last round to the first."""
    low, high = step.index.low, step.index.high
    if step.backward:
        return f"for {name} in range({index_text(high - 1, around)}, {index_text(low - 1, around)}, -1):"
    start = f"{index_text(low, around)}, " if low.terms else ""
    return f"for {name} in range({start}{index_text(high, around)}):"


class Arrays(Protocol):
    """What tells the array that a computed tensor lies in, and how dims are called."""

    @property
    def around(self) -> Surroundings:
        """How dims and indices are called."""

    def array(self, name: str) -> str:
        """The array's identifier."""


def passing(equation: Equation, buffer: Buffer) -> set[str]:
    """The indices along axes that the buffer does not have: it holds what belongs to one round of them."""
    return {place.bare for at, place in enumerate(equation.write) if place.bare and at not in buffer.axes}


def running_along(equation: Equation, buffer: Buffer) -> set[str]:
    """The indices on which the place in the buffer depends."""
    return {name for at in buffer.axes for name in equation.write[at].indices}


def uncovered(step: Sequential, program: Program, arrays: Arrays, outer: Collection[str] = (),
              rows: IndexExpr | None = None) -> Iterator[str]:  # fmt: skip
    """Rows that set to 0 what no round writes, of the tensors that the recurrence is the first to write.

    Args:
        outer: the indices of sequential loops around it.
        rows: an extent over a range of which alone the recurrence runs.
    """
    for equation, loops in _started(step, ()):
        buffer = program.buffers[equation.target]
        stepping = running_along(equation, buffer) - passing(equation, buffer)
        if step.index.name in stepping and stepping.isdisjoint(outer):
            for cut in _cuts(equation, [loop for loop in loops if loop.index.name in stepping], buffer, arrays.around):
                if rows is not None and buffer.extents[0] == rows:
                    cut[0] = ":".join(RANGE.values())
                yield f"{arrays.array(equation.target)}[{stretch(cut)}] = {zero(buffer.kind, arrays.around)}"


def _started(step: Step, loops: tuple[Sequential, ...]) -> Iterator[tuple[Equation, tuple[Sequential, ...]]]:
    """The equations that are the first to write their tensors, each with the sequential loops around it."""
    match step:
        case Sequential(steps=steps):
            for inner in steps:
                yield from _started(inner, (*loops, step))
        case Nest():
            yield from ((statement.equation, loops) for statement in step.statements() if statement.starts)
        case Gemm(equation=equation, starts=True):
            yield equation, loops


def _rounds_with(guards: Iterable[Guard], loop: Index) -> tuple[IndexExpr, IndexExpr] | None:
    """The ends of the rounds in which guards hold; None where they are not those between two ends."""
    low, high, free = loop.low, loop.high, Ranges()
    for guard in guards:
        factor = guard.value.coefficient(loop.name)
        if guard.relation is not Relation.AT_LEAST or factor is None or factor.constant not in (1, -1):
            return None
        end = index(loop.name) - guard.value if factor.constant == 1 else guard.value + index(loop.name) + 1
        if factor.constant == 1 and free.nonnegative(end - low):
            low = end
        elif factor.constant == -1 and free.nonnegative(high - end):
            high = end
        else:
            return None
    return low, high


def otherwise(step: Nest, later: Iterable[Step], program: Program, arrays: Arrays, margin: str) -> list[str]:
    """What a nest makes that is kept for one round alone is 0 in the rounds in which the nest does not run."""
    read = {name for other in later for name in read_by(other)}
    rows = []
    for statement in step.statements():
        buffer = program.buffers[statement.equation.target]
        passing = [at for at in range(len(statement.equation.write)) if at not in buffer.axes]
        rounds = {name for at in passing for name in statement.equation.write[at].indices} & set(statement.around)
        if statement.starts and rounds and buffer.tensor in read:
            places = f"[{stretch([':' for _ in buffer.axes])}]" if buffer.axes else ""
            rows.append(f"{margin}{INDENT}{arrays.array(buffer.tensor)}{places} = {zero(buffer.kind, arrays.around)}")
    return [f"{margin}else:", *rows] if rows else []


def zero(kind: Kind, around: Surroundings) -> str:
    """0 as a number of an array."""
    return {Kind.REAL: "f4(0.0)" if around.real == "f4" else "0.0", Kind.WHOLE: "0", Kind.BOOL: "False"}[kind]


def _cuts(equation: Equation, loops: list[Sequential], buffer: Buffer, around: Surroundings) -> Iterator[list[str]]:
    """The slices of a tensor that no round writes: before the first place, and behind the last; all of it, where it is
    written in rounds of several loops, or only in some, or along a diagonal."""
    cuts: list[list[str]] = []
    places = [equation.write[at] for at in buffer.axes]
    for loop in loops:
        at, *others = (at for at, place in enumerate(places) if loop.index.name in place.indices)
        offset = places[at] - index(loop.index.name)
        ends = _rounds_with(guards_of_rounds(equation, [each.index.name for each in loops]), loop.index)
        if offset.indices or ends is None or others:
            yield [":"]
            return
        low, high = ends[0] + offset, ends[1] + offset
        cuts += [[*[":"] * at, f":{index_text(low, around)}"]] if low.terms else []
        cuts += [[*[":"] * at, f"{index_text(high, around)}:"]] if high != buffer.extents[at] else []
    yield from [[":"]] if cuts and len(loops) > 1 else cuts
