"""Along which index each equation of a recurrence steps, and which way: equations → an index of each.

    h[b, n - 1 - t] = tanh(g[b, t])        steps along t, against
    g[b, t] = h?[b, n - t]                 this one, which steps along t

An equation that steps against the others is turned: its index runs from the last value to the first.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from typing import TypeAlias

from .dependence import Dependence, written_in
from .index import IndexExpr, index
from .nodes import Equation, Reducer, substitute
from .ranges import Ranges, never_negative
from .tensors import Index


@dataclass(frozen=True, slots=True)
class Step:
    """The index along which an equation steps, and whether against the first: `g[n - t] = …` beside `h[t] = …`."""

    name: str
    against: bool = False


def choices(equations: list[Equation], reads: list[Dependence], used: frozenset[str]) -> Iterator[tuple[Step, ...]]:
    """For each equation the index that steps: all that follow from one index of one of them."""
    seen: set[tuple[Step, ...]] = set()
    starts = [(at, name) for each in (steppable, summed) for at, equation in enumerate(equations)
              for name in each(equation, used)]  # fmt: skip
    for start, name in starts:
        for choice in islice(_completed({start: Step(name)}, equations, reads, used), MOST_CHOICES):
            if choice not in seen:
                seen.add(choice)
                yield choice


MOST_CHOICES = 16
"""From one index of one equation."""


Candidates: TypeAlias = Callable[[Equation, frozenset[str]], Sequence[str]]
"""Indices of an equation that may step, but for those of loops around."""


def _completed(own: dict[int, Step], equations: list[Equation], reads: list[Dependence],
               used: frozenset[str]) -> Iterator[tuple[Step, ...]]:  # fmt: skip
    """The same with a step for each equation: what follows in one way alone first, then what may be one of several.
    Where an equation meets the others in sums alone, as `Σ_s h[s]`, any of its indices may be the one, at last s."""
    while len(own) < len(equations):
        found = [step for read in reads for step in _following(own, equations, read, used, steppable)]
        sure = next((each for each in found if len(each[1]) == 1), None)
        if sure is None:
            at, steps = found[0] if found else _any(own, equations, reads, used)
            for step in steps:
                yield from _completed({**own, at: step}, equations, reads, used)
            return
        own = {**own, sure[0]: sure[1][0]}
    yield tuple(own[at] for at in range(len(equations)))


def _any(own: Mapping[int, Step], equations: list[Equation], reads: list[Dependence],
         used: frozenset[str]) -> tuple[int, list[Step]]:  # fmt: skip
    """An equation that nothing written follows of, and all that it may step along."""
    sums = [step for read in reads for step in _following(own, equations, read, used, summed)]
    apart = next(at for at in range(len(equations)) if at not in own)
    at, along = sums[0] if sums else (apart, [Step(name) for name in summed(equations[apart], used)])
    return at, [*map(Step, steppable(equations[at], used)), *along]


def _following(own: Mapping[int, Step], equations: list[Equation], read: Dependence, used: frozenset[str],
               indices: Candidates) -> Iterator[tuple[int, list[Step]]]:  # fmt: skip
    """Reader and writer step along the same axis of what is read: where one is known the other follows, as one of
    these steps, which are along indices that the last argument gives."""
    reader, writer = own.get(read.reader), own.get(read.writer)
    known = reader or writer
    if known is None or (reader is not None and writer is not None):
        return
    at = read.writer if writer is None else read.reader
    names = indices(equations[at], used)
    for written, place in zip(equations[read.writer].write, read.place, strict=True):
        found = _like(place, known, written, names) if writer is None else _like(written, known, place, names)
        if found:
            yield at, found


def _like(place: IndexExpr, known: Step, other: IndexExpr, names: Sequence[str]) -> list[Step]:
    """How another equation steps along an axis: of these indices those there that go as far with a step as the known
    one does, all if none does."""
    if known.name not in place.indices:
        return []
    found = [name for name in names if name in other.indices]
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


def summed(equation: Equation, used: frozenset[str]) -> tuple[str, ...]:
    """The indices of a sum, which adds to its places in each round if it steps along one: `d_h[0] = Σ_s d_c[s]`."""
    return tuple(i.name for i in equation.reduced if equation.reducer is Reducer.SUM and i.name not in used)


def _steps(equation: Equation, place: IndexExpr, name: str, used: frozenset[str]) -> bool:
    return name in place.indices and written_in(place, name, place, equation.indices, used) is not None
