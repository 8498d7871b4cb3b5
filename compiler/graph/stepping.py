"""Along which index each equation of a recurrence steps, and which way: equations → an index of each.

    h[b, n - 1 - t] = tanh(g[b, t])        steps along t, against
    g[b, t] = h?[b, n - t]                 this one, which steps along t

An equation that steps against the others is turned: its index runs from the last value to the first.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from .dependence import Dependence
from .index import IndexExpr, Ranges, index
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
    if any(_factor(written, name) is None for name in written.indices[:1]):
        return False  # a gather's value does not step
    reader, writer = own.get(read.reader), own.get(read.writer)
    names = [name for name in place.indices if name in steppable(equations[read.reader], used)]
    if reader is not None and writer is None:
        first = written.indices[:1]
        if reader.name in names and first and first[0] in steppable(equations[read.writer], used):
            turned = _falls(place, reader.name) != _falls(written, first[0])
            own[read.writer] = Step(first[0], reader.against != turned)
            return True
    elif writer is not None and reader is None and written.indices == (writer.name,) and len(names) == 1:
        turned = _falls(place, names[0]) != _falls(written, writer.name)
        own[read.reader] = Step(names[0], writer.against != turned)
        return True
    return False


def _falls(place: IndexExpr, name: str) -> bool:
    """Whether a place falls as an index rises."""
    return (_factor(place, name) or 0) < 0


def _factor(place: IndexExpr, name: str) -> int | None:
    factor = place.coefficient(name)
    return None if factor is None else factor.constant


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
    facts = [fact.substitute(values) for fact in (*read.ranges.facts, *read.ranges.choices)]
    ranges = Ranges(bounds).with_facts(facts)
    return replace(read, place=tuple(at.substitute(values) for at in read.place), ranges=ranges)


def steppable(equation: Equation, used: frozenset[str]) -> list[str]:
    """The indices along which an equation writes one place after the other: alone in some subscript of the write."""
    found = []
    for name in equation.written:
        if name not in used and any(_factor(place, name) for place in equation.write if place.indices == (name,)):
            found.append(name)
    return found
