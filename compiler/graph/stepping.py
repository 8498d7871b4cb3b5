"""Along which index each equation of a recurrence steps, and which way: equations → an index of each.

    h[b, n - 1 - t] = tanh(g[b, t])        steps along t, against
    g[b, t] = h?[b, n - t]                 this one, which steps along t

An equation that steps against the others is turned: its index runs from the last value to the first.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from .dependence import Dependence, written_in
from .index import IndexExpr, Ranges, index, never_negative
from .nodes import Equation, substitute
from .tensors import Index


@dataclass(frozen=True, slots=True)
class Step:
    """The index along which an equation steps, and whether against the first: `g[n - t] = …` beside `h[t] = …`."""

    name: str
    against: bool = False


def choices(equations: list[Equation], reads: list[Dependence], used: frozenset[str]) -> Iterator[tuple[Step, ...]]:
    """For each equation the index that steps: all that follow from one index of one of them."""
    seen: set[tuple[Step, ...]] = set()
    for start, name in [(at, name) for at, equation in enumerate(equations) for name in steppable(equation, used)]:
        own: dict[int, Step] = {start: Step(name)}
        changed = True
        while changed and len(own) < len(equations):
            changed = False
            for read in reads:
                for axis, written in enumerate(equations[read.writer].write):
                    changed |= _follow(own, equations, read, (axis, written), used)
        if len(own) < len(equations):
            continue
        choice = tuple(own[at] for at in range(len(equations)))
        if choice not in seen:
            seen.add(choice)
            yield choice


def _follow(own: dict[int, Step], equations: list[Equation], read: Dependence, at: tuple[int, IndexExpr],
            used: frozenset[str]) -> bool:  # fmt: skip
    """Reader and writer step along the same axis of what is read: where one is known the other follows."""
    axis, written = at
    place = read.place[axis]
    reader, writer = own.get(read.reader), own.get(read.writer)
    if reader is not None and writer is None and reader.name in place.indices:
        found = _like(place, reader.name, written, steppable(equations[read.writer], used))
        if found is not None:
            own[read.writer] = Step(found, reader.against != (_falls(place, reader.name) != _falls(written, found)))
            return True
    elif writer is not None and reader is None and writer.name in written.indices:
        found = _like(written, writer.name, place, steppable(equations[read.reader], used))
        if found is not None:
            own[read.reader] = Step(found, writer.against != (_falls(place, found) != _falls(written, writer.name)))
            return True
    return False


def _like(place: IndexExpr, name: str, other: IndexExpr, names: Sequence[str]) -> str | None:
    """Of the indices of another subscript the one that goes as far with a step as `name` does in this one."""
    found = [each for each in names if each in other.indices]
    step = _step(place, name)
    alike = [each for each in found if _step(other, each) == step]
    return next(iter([*alike, *found]), None)


def _step(place: IndexExpr, name: str) -> IndexExpr | None:
    """How far a place goes with a step of an index, either way."""
    factor = place.coefficient(name)
    return -factor if factor is not None and _falls(place, name) else factor


def _falls(place: IndexExpr, name: str) -> bool:
    """Whether a place falls as an index rises."""
    factor = place.coefficient(name)
    return factor is not None and factor.of_dims and never_negative(-factor - 1)


def turned(equations: list[Equation], reads: list[Dependence], own: Sequence[Step]) -> tuple[
    list[Equation], list[Dependence]
]:  # fmt: skip
    """Equations that step against the first, from the last value of their index to its first, and what they read."""
    values: list[dict[str, IndexExpr]] = [
        {i.name: i.low + i.high - 1 - index(i.name) for i in equation.indices if i.name == step.name and step.against}
        for equation, step in zip(equations, own, strict=True)
    ]
    found = [_substituted(eq, given) if given else eq for eq, given in zip(equations, values, strict=True)]
    return found, [_read_by(read, own[read.reader].name, values[read.reader]) for read in reads]


def _substituted(equation: Equation, values: Mapping[str, IndexExpr]) -> Equation:
    return replace(
        equation,
        write=tuple(place.substitute(values) for place in equation.write),
        indices=tuple(
            i if i.name in values else Index(i.name, i.low.substitute(values), i.high.substitute(values))
            for i in equation.indices
        ),
        guards=tuple(guard.substitute(values) for guard in equation.guards),
        body=substitute(equation.body, values),
    )


def _read_by(read: Dependence, name: str, values: Mapping[str, IndexExpr]) -> Dependence:
    """What an equation reads that is turned."""
    if not values:
        return read
    bounds = {
        each: (low.substitute(values), high.substitute(values)) for each, (low, high) in read.ranges.bounds.items()
    }
    low, high = read.ranges.bounds[name]
    both = values[name] + index(name)  # the sum of its first value and its last
    bounds[name] = (both - high + 1, both - low + 1)
    facts = [fact.substitute(values) for fact in read.ranges.all_facts]
    ranges = Ranges(bounds).with_facts(facts)
    return replace(read, place=tuple(at.substitute(values) for at in read.place), ranges=ranges)


@lru_cache(maxsize=8192)
def steppable(equation: Equation, used: frozenset[str]) -> tuple[str, ...]:
    """The indices along which an equation writes one place after the other, each step beyond all places of the last;
    then those that places depend on in another way, `d_h[i // 2]`."""
    waiting = [name for name in equation.written if name not in used]
    first = [name for name in waiting if any(_steps(equation, place, name, used) for place in equation.write)]
    others = [name for name in waiting if any(_bends(place, name) for place in equation.write)]
    return tuple(dict.fromkeys([*first, *others]))


def _steps(equation: Equation, place: IndexExpr, name: str, used: frozenset[str]) -> bool:
    return name in place.indices and written_in(place, name, place, equation.indices, used) is not None


def _bends(place: IndexExpr, name: str) -> bool:
    """Whether an index stands inside of a quotient, a remainder or a gather."""
    return name in place.indices and place.coefficient(name) is None
