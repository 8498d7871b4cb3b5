"""Along which index each equation of a recurrence steps, and which way: equations → an index of each.

    h[b, n - 1 - t] = tanh(g[b, t])        steps along t, against
    g[b, t] = h?[b, n - t]                 this one, which steps along t

An equation that steps against the others is turned: its index runs from the last value to the first.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice

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
        for choice in islice(_completed({start: Step(name)}, equations, reads, used), MOST_CHOICES):
            if choice not in seen:
                seen.add(choice)
                yield choice


MOST_CHOICES = 16
"""From one index of one equation."""


def _completed(own: dict[int, Step], equations: list[Equation], reads: list[Dependence],
               used: frozenset[str]) -> Iterator[tuple[Step, ...]]:  # fmt: skip
    """The same with a step for each equation: what follows in one way alone first, then what may be one of several.
    Where an equation meets the others in sums alone, as `Σ_s h[s]`, any of its indices may be the one."""
    while len(own) < len(equations):
        found = [step for read in reads for step in _following(own, equations, read, used)]
        sure = next((each for each in found if len(each[1]) == 1), None)
        if sure is None:
            apart = next(at for at in range(len(equations)) if at not in own)
            at, steps = found[0] if found else (apart, [Step(name) for name in steppable(equations[apart], used)])
            for step in steps:
                yield from _completed({**own, at: step}, equations, reads, used)
            return
        own = {**own, sure[0]: sure[1][0]}
    yield tuple(own[at] for at in range(len(equations)))


def _following(own: Mapping[int, Step], equations: list[Equation], read: Dependence,
               used: frozenset[str]) -> Iterator[tuple[int, list[Step]]]:  # fmt: skip
    """Reader and writer step along the same axis of what is read: where one is known the other follows, as one of
    these steps."""
    reader, writer = own.get(read.reader), own.get(read.writer)
    if (reader is None) == (writer is None):
        return
    for written, place in zip(equations[read.writer].write, read.place, strict=True):
        if reader is not None:
            at, found = read.writer, _like(place, reader, written, equations[read.writer], used)
        else:
            assert writer is not None
            at, found = read.reader, _like(written, writer, place, equations[read.reader], used)
        if found:
            yield at, found


def _like(place: IndexExpr, known: Step, other: IndexExpr, equation: Equation, used: frozenset[str]) -> list[Step]:
    """How another equation steps along an axis: of its indices there those that go as far with a step as the known one
    does, all if none does."""
    if known.name not in place.indices:
        return []
    found = [name for name in steppable(equation, used) if name in other.indices]
    step = _step(place, known.name)
    alike = [name for name in found if _step(other, name) == step]
    falls = _falls(place, known.name)
    return [Step(name, known.against != (falls != _falls(other, name))) for name in alike or found]


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
    then those that places depend on in another way, `d_h[i // 2]` and `d_h[i - k]`."""
    waiting = [name for name in equation.written if name not in used]
    first = [name for name in waiting if any(_steps(equation, place, name, used) for place in equation.write)]
    return tuple(dict.fromkeys([*first, *waiting]))


def _steps(equation: Equation, place: IndexExpr, name: str, used: frozenset[str]) -> bool:
    return name in place.indices and written_in(place, name, place, equation.indices, used) is not None
