"""The order in which equations can be computed, and loops over one index where they need each other's places.

The nodes of the dependence graph are equations. In a strongly connected component each read has a distance along an
index: how many rounds before its own the place that it reads was written.

    h.sum[b, t, j] = Σ_k h[b, t - 1, k]·u[k, j]        reads h one round back        (distance 1)
    h[b, t, j]     = tanh(a[b, t, j] + h.sum[b, t, j])  reads h.sum of its own round  (distance 0)

The component is a recurrence if some index, forwards or backwards, makes no distance negative, after shifting the
equations by constants, and what is at distance 0 has an order, or is a recurrence over another index. Whatever is
outside of the component stays outside of the loop.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from .cycles import components
from .dependence import Dependence, dependences, meeting_write, where_it_adds, written_at, written_in
from .index import IndexExpr, index
from .nodes import Equation, Graph, Guard, Relation, substitute
from .ranges import Ranges
from .stepping import choices, turned
from .tensors import Index


@dataclass(frozen=True, slots=True)
class Recurrence:
    """Equations that are computed together, for one value after the other of an index that they all have.

    Attributes:
        index: the index, with the range of the loop.
        backward: whether it runs from its last value down to its first.
        body: what is computed for one value, in order; equations in terms of `index`.
    """

    index: Index
    backward: bool
    body: "tuple[Ordered, ...]"


Ordered: TypeAlias = Equation | Recurrence
Loops: TypeAlias = Sequence[tuple[str, bool]]
"""Sequential loops, outermost first: the index of each, and whether it runs backward."""


class Unordered(Exception):
    """Equations that need each other's places without an order of places: none can be computed first."""

    def __init__(self, equations: Sequence[Equation]) -> None:
        super().__init__(", ".join(equation.target for equation in equations))
        self.equations = tuple(equations)


def arrange(graph: Graph) -> tuple[Ordered, ...]:
    """The equations of a graph in an order in which each comes after those it needs, recurrences as loops.

    Raises:
        Unordered: a cycle of equations is no recurrence.
    """
    order: list[Ordered] = []
    for names in graph.cycles:
        equations = [equation for name in names for equation in graph.writers[name]]
        if len(names) == 1 and not any(names[0] in equation.sources() for equation in equations):
            order += equations
        else:
            order += _ordered(equations, dependences(equations), ())
    return tuple(order)


def equations_in(items: Iterable[Ordered], around: tuple[Recurrence, ...] = ()) -> Iterator[
    tuple[Equation, tuple[Recurrence, ...]]
]:  # fmt: skip
    """All equations in order, each with the recurrences around it, outermost first."""
    for item in items:
        if isinstance(item, Recurrence):
            yield from equations_in(item.body, (*around, item))
        else:
            yield item, around


def near_reads(reader: Equation, writer: Equation, loops: Loops) -> list[tuple[tuple[IndexExpr, ...], bool]]:
    """The places of the writer's tensor that the reader reads, less those that are certain to have been written in an
    earlier round of loops around both, or that the writer never writes; and whether each is certain to be of no round
    still to come."""
    found: list[tuple[tuple[IndexExpr, ...], bool]] = []
    for read in dependences((reader, writer)):
        if (read.reader, read.writer) == (0, 1):
            earlier = _rounds_earlier(read, (reader, writer), loops)
            if earlier != 1:
                found.append((read.place, earlier == 0))
    return found


def begins_late(first: Equation, other: Equation, loops: Loops) -> bool:
    """Whether an equation may come to a place in a later round of loops around both than another that writes it, or
    than itself."""
    written = meeting_write(other, first) if loops else None
    return written is not None and _rounds_earlier(written, (other, first), loops) is None


def _rounds_earlier(read: Dependence, equations: Sequence[Equation], loops: Loops) -> int | None:
    """1 where what is read is certain to have been written in an earlier round of loops around both, 0 where it is in
    an earlier one or the reader's own, None where it may be in a later one."""
    for at, (name, backward) in enumerate(loops):
        bound = _least_distance(read, (name,) * len(equations), equations, backward, loops[:at])
        if bound is None or bound < 0:
            return None
        if bound > 0:
            return 1
    return 0


# ---------------------------------------------------------------- one component


def _ordered(equations: list[Equation], reads: list[Dependence], loops: Loops) -> list[Ordered]:
    """The equations of a component and what is between them, in order.

    Args:
        loops: those around them already.
    """
    needs: list[list[int]] = [[] for _ in equations]
    for read in reads:
        if read.writer not in needs[read.reader]:
            needs[read.reader].append(read.writer)
    order: list[Ordered] = []
    for component in components(needs):
        if len(component) == 1 and component[0] not in needs[component[0]]:
            order.append(equations[component[0]])
        else:
            order.append(_recurrence(*_part(component, equations, reads), loops))
    return order


def _part(component: list[int], equations: list[Equation], reads: list[Dependence]) -> tuple[
    list[Equation], list[Dependence]
]:  # fmt: skip
    """A part of the equations and the reads among them, numbered anew."""
    numbers = {old: new for new, old in enumerate(component)}
    inside = [
        replace(read, reader=numbers[read.reader], writer=numbers[read.writer])
        for read in reads
        if read.reader in numbers and read.writer in numbers
    ]
    return [equations[at] for at in component], inside


def _recurrence(equations: list[Equation], reads: list[Dependence], loops: Loops) -> Recurrence:
    """The loop that computes a component; of several the one with the fewest loops inside of it."""
    found: list[Recurrence] = []
    for own in choices(equations, reads, frozenset(name for name, _ in loops)):
        names = tuple(step.name for step in own)
        ordered, met = turned(equations, reads, own)
        for backward in (False, True):
            try:
                made = _along(names, backward, ordered, met, loops)
            except Unordered:
                continue
            if made is not None:
                found.append(made)
                if _depth(made) == 1:
                    return made
    if not found:
        raise Unordered(_cycle(equations, reads))
    return min(found, key=_depth)


def _depth(item: Ordered) -> int:
    return 1 + max(map(_depth, item.body), default=0) if isinstance(item, Recurrence) else 0


def _cycle(equations: list[Equation], reads: list[Dependence]) -> list[Equation]:
    """A shortest way from the first equation back to itself."""
    before: dict[int, int] = {}
    waiting = [0]
    for node in waiting:
        for read in reads:
            if read.reader == node and read.writer not in before:
                before[read.writer] = node
                waiting.append(read.writer)
        if 0 in before:
            break
    way, node = [0], before[0]
    while node != 0:
        way.append(node)
        node = before[node]
    return [equations[at] for at in (way[0], *reversed(way[1:]))]


def _along(own: tuple[str, ...], backward: bool, equations: list[Equation], reads: list[Dependence],
           loops: Loops) -> Recurrence | None:  # fmt: skip
    """The loop over the equations' own indices; None where one is read before it is written."""
    least: list[int] = []
    for read in reads:
        bound = _least_distance(read, own, equations, backward, loops)
        if bound is None:
            return None
        least.append(bound)
    shifts = _shifts(len(equations), [(r.reader, r.writer, d) for r, d in zip(reads, least, strict=True)])
    if shifts is None:
        return None
    near = [r for r, d in zip(reads, least, strict=True) if d + shifts[r.reader] - shifts[r.writer] < 1]
    if len(near) == len(reads) and all(_is_in_the_round(read, own, equations, loops) for read in reads):
        return None
    sign = -1 if backward else 1
    loop = _loop(equations, own, [sign * shift for shift in shifts])
    moved = [_in_terms_of(loop, eq, name, sign * by) for eq, name, by in zip(equations, own, shifts, strict=True)]
    loops = (*loops, (loop.name, backward))
    if near:  # what stays at distance 0 is said in the new terms: places may have moved
        kept = {(read.reader, read.writer) for read in near}
        near = [read for read in dependences(moved) if (read.reader, read.writer) in kept]
        near = [read for read in near if _rounds_earlier(read, moved, loops) != 1]
    return Recurrence(loop, backward, tuple(_ordered(moved, near, loops)))


def _least_distance(read: Dependence, own: Sequence[str], equations: Sequence[Equation], backward: bool,
                    loops: Loops) -> int | None:  # fmt: skip
    """A number that the distance is never below: how many rounds before the reader's the place was written.

    Every axis along which the writer steps says when that was, `h[t, j, t]` twice; the one that says most counts.

    Args:
        loops: those around, in the same round of which this is.
    """
    known = [name for name, _ in loops]
    writer = equations[read.writer]
    read = replace(read, ranges=read.ranges.with_facts(_in_the_rounds(writer, writer.write, read.place, known)))
    bounds = [_least_along(axis, read, own, equations, backward, known) for axis in range(len(read.place))]
    return max((bound for bound in bounds if bound is not None), default=None)


def _in_the_rounds(equation: Equation, write: Sequence[IndexExpr], place: Sequence[IndexExpr],
                   known: Sequence[str]) -> list[IndexExpr]:  # fmt: skip
    """Facts where a place is written, or read, by an equation in the same round of loops around: 0 rounds away in each.

    Args:
        write: the subscripts there in terms of the equation's indices.
        place: the same in terms of another's.
    """
    facts: list[IndexExpr] = []
    for at, name in enumerate(known):
        for written, there in zip(write, place, strict=True):
            round_ = written_in(written, name, there, equation.indices, known[:at])
            if round_ is not None and round_ != index(name):
                facts += [round_ - index(name), index(name) - round_]
    return facts


def _least_along(axis: int, read: Dependence, own: Sequence[str], equations: Sequence[Equation], backward: bool,
                 known: Sequence[str]) -> int | None:  # fmt: skip
    """The same by one axis: by the round in which the place that is read was written, or, where that tells none, as
    `d_h[i // 2] += …` and `d_h[parent[i]] += …` do not, by the round in which the place that is written is read."""
    reader, writer = equations[read.reader], equations[read.writer]
    here, there = own[read.reader], own[read.writer]
    written, place = writer.write[axis], read.place[axis]
    sign = -1 if backward else 1
    before = written_in(written, there, place, writer.indices, known)
    if before is not None:
        return _least((index(here) - before) * sign, read.ranges)
    bounds = [_least((index(here) - at) * sign, ranges) for at, ranges in written_at(axis, there, read, writer, known)]
    after = written_in(place, here, written, reader.indices, known) if there in written.indices else None
    if not bounds and after is not None:
        facts = _in_the_rounds(reader, read.place, writer.write, known)
        cases = [ranges.with_facts(facts) for ranges in where_it_adds(writer)]
        bounds = [_least((after - index(there)) * sign, ranges) for ranges in cases]
    known_bounds = [bound for bound in bounds if bound is not None]
    return min(known_bounds, default=None) if len(known_bounds) == len(bounds) else None


def _is_in_the_round(read: Dependence, own: Sequence[str], equations: Sequence[Equation], loops: Loops) -> bool:
    """Whether what is read is always of the reader's own round."""
    writer = equations[read.writer]
    known = [name for name, _ in loops]
    return any(
        written_in(written, own[read.writer], place, writer.indices, known) == index(own[read.reader])
        for written, place in zip(writer.write, read.place, strict=True)
    )


def _least(distance: IndexExpr, ranges: Ranges) -> int | None:
    """A number that the distance is never below."""
    if distance.constant is not None:
        return distance.constant
    for bound in (1, 0):
        if ranges.nonnegative(distance - bound):
            return bound
    end = ranges.least(distance)
    return None if end is None else end.constant


def _shifts(count: int, edges: Sequence[tuple[int, int, int]]) -> list[int] | None:
    """Rounds by which each equation is put off, so that no read is ahead of its write (Bellman 1958)."""
    shifts = [0] * count
    for _ in range(count + 1):
        changed = False
        for reader, writer, distance in edges:
            if shifts[reader] < shifts[writer] - distance:
                shifts[reader], changed = shifts[writer] - distance, True
        if not changed:
            return shifts
    return None


def _loop(equations: list[Equation], own: tuple[str, ...], shifts: list[int]) -> Index:
    """The index of the loop: the name of the first equation's, over all rounds of any."""
    ends = []
    for equation, name, shift in zip(equations, own, shifts, strict=True):
        found = next(i for i in equation.indices if i.name == name)
        ends.append((found.low + shift, found.high + shift))
    free = Ranges()
    lows = [a for a, _ in ends if all(free.nonnegative(b - a) for b, _ in ends)]
    highs = [a for _, a in ends if all(free.nonnegative(a - b) for _, b in ends)]
    if not lows or not highs:
        raise Unordered(equations)
    return Index(own[0], lows[0], highs[0])


def _in_terms_of(loop: Index, equation: Equation, own: str, shift: int) -> Equation:
    """The equation with its own index as the loop's, guarded where its range is narrower."""
    values = {own: index(loop.name) - shift}
    others = {i.name for i in equation.indices} - {own}
    names = {own: loop.name}
    if loop.name in others:
        names[loop.name] = _fresh(loop.name, {*others, own})
        values[loop.name] = index(names[loop.name])
    found = next(i for i in equation.indices if i.name == own)
    low, high = found.low + shift, found.high + shift
    guards = [Guard(index(loop.name) - low, Relation.AT_LEAST)] if low != loop.low else []
    guards += [Guard(high - 1 - index(loop.name), Relation.AT_LEAST)] if high != loop.high else []
    if own == loop.name and not shift and not guards:
        return equation
    return replace(
        equation,
        write=tuple(place.substitute(values) for place in equation.write),
        indices=tuple(loop if i is found else _renamed(i, names, values) for i in equation.indices),
        guards=(*(guard.substitute(values) for guard in equation.guards), *guards),
        body=substitute(equation.body, values),
    )


def _renamed(each: Index, names: Mapping[str, str], values: Mapping[str, IndexExpr]) -> Index:
    return Index(names.get(each.name, each.name), each.low.substitute(values), each.high.substitute(values))


def _fresh(name: str, taken: set[str]) -> str:
    count, candidate = 1, name
    while candidate in taken:
        count += 1
        candidate = f"{name}{count}"
    return candidate
