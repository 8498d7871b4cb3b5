"""What equations read of each other: the places, and whether a read may meet what an equation writes.

A read that never meets a write is no dependence: `h[b, t + 1] = …` does not need `h[b, 0] = …` to come after it. Most
reads do meet the write, which some values of the indices show; only where none is found is the contrary proved.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random

import sympy

from .conditions import facts_of, parts_of, under
from .index import ZERO, IndexExpr, index, number
from .nodes import Equation, Graph, Guard, Head, Read, Relation, Value
from .places import are_apart
from .ranges import Ranges, never_negative
from .scalar import WHERE
from .tensors import Index, ranges_of


@dataclass(frozen=True, slots=True)
class Dependence:
    """A read of what an equation of the same component writes.

    Attributes:
        reader, writer: their numbers in the component.
        place: the subscripts that are read.
        ranges: what is known of the reader's indices there, by the conditions around the read.
    """

    reader: int
    writer: int
    place: tuple[IndexExpr, ...]
    ranges: Ranges


def dependences(equations: Sequence[Equation]) -> list[Dependence]:
    """The reads between equations that may meet the place that one of them writes."""
    writers: dict[str, list[int]] = {}
    for at, equation in enumerate(equations):
        writers.setdefault(equation.target, []).append(at)
    found: list[Dependence] = []
    for reader, equation in enumerate(equations):
        for tensor in equation.sources():
            for writer in writers.get(tensor, ()):
                meeting = _meeting_reads(equation, equations[writer])
                found += [Dependence(reader, writer, place, ranges) for place, ranges in meeting]
    return found


def read_in_vain(graph: Graph) -> set[str]:
    """Tensors that a cycle of equations reads at places, all that a read names, which nothing writes: they are 0.

    Such a read is no dependence, and so may come before all that writes the tensor.
    """
    found: set[str] = set()
    for names in graph.cycles:
        writers = {name: graph.writers[name] for name in names}
        for reader in (equation for name in names for equation in writers[name]):
            for tensor in writers.keys() & reader.sources():
                met = {place for writer in writers[tensor] for place, _ in _meeting_reads(reader, writer)}
                places = {place for name, place, _ in reads_with_ranges(reader) if name == tensor}
                found |= {tensor} if places - met else set()
    return found


@lru_cache(maxsize=8192)
def _meeting_reads(reader: Equation, writer: Equation) -> tuple[tuple[tuple[IndexExpr, ...], Ranges], ...]:
    """The places of the writer's tensor that the reader reads and the writer may write."""
    return tuple(
        (place, ranges)
        for tensor, place, ranges in reads_with_ranges(reader)
        if tensor == writer.target and (_meets(place, ranges, writer) or not _apart(place, ranges, writer))
    )


def meeting_write(one: Equation, other: Equation) -> Dependence | None:
    """The place that one equation writes, as if it read there what the other writes; None where they never meet."""
    ranges = under(ranges_of(one.indices), one.guards)
    meets = _meets(one.write, ranges, other) or not _apart(one.write, ranges, other)
    return Dependence(0, 1, one.write, ranges) if meets else None


SAMPLES = 12
SAMPLE_SIZE = 5
"""What free dims are taken to be where places are tried."""


def _meets(place: tuple[IndexExpr, ...], ranges: Ranges, writer: Equation) -> bool:
    """Whether some values of the indices were found at which a read meets what an equation writes. That is cheap, and
    nearly always so where it can be; not finding any says nothing."""
    every = [*place, *writer.write, *ranges.expressions, *(guard.value for guard in writer.guards)]
    if any(each.gathers for each in every):
        return False
    every += [end for i in writer.indices for end in (i.low, i.high)]
    dims = {name: SAMPLE_SIZE for each in every for name in each.dims}
    draws = Random(SAMPLES)
    for _ in range(SAMPLES):
        env = _drawn(ranges, dims, draws)
        if env is not None and _writes(writer, [each.value(env) for each in place], dims):
            return True
    return False


def _drawn(ranges: Ranges, dims: dict[str, int], draws: Random) -> dict[str, int] | None:
    """Values of the indices within their ranges, often at an end, at which all facts hold; None if these do not."""
    env = dict(dims)
    for name, (low, high) in ranges.bounds.items():
        if low.indices or high.indices or high.value(dims) <= low.value(dims):
            return None
        first, last = low.value(dims), high.value(dims) - 1
        env[name] = draws.choice((first, last, draws.randint(first, last)))
    return env if ranges.hold_at(env) else None


def _writes(writer: Equation, place: list[int], dims: dict[str, int]) -> bool:
    """Whether an equation with bare subscripts, or such at a distance, writes a place."""
    env = dict(dims)
    for written, at in zip(writer.write, place, strict=True):
        names = written.indices
        if len(names) == 1 and names[0] not in env:
            value = written_in(written, names[0], number(at), writer.indices)
            if value is None or value.constant is None:
                return False
            env[names[0]] = value.constant
    inside = (i.name in env and i.low.value(dims) <= env[i.name] < i.high.value(dims) for i in writer.indices
              if i.name in writer.written)  # fmt: skip
    if any(end.indices for i in writer.indices for end in (i.low, i.high)) or not all(inside):
        return False
    known = [g for g in writer.guards if set(g.value.indices) <= env.keys()]
    holds = all(_relates(guard.value.value(env), guard.relation) for guard in known)
    return holds and len(known) == len(writer.guards) and [w.value(env) for w in writer.write] == place


def _relates(value: int, relation: Relation) -> bool:
    match relation:
        case Relation.AT_LEAST:
            return value >= 0
        case Relation.EQUAL:
            return value == 0
        case Relation.UNEQUAL:
            return value != 0


def _apart(place: tuple[IndexExpr, ...], ranges: Ranges, writer: Equation) -> bool:
    """Whether a read never meets what an equation writes: where subscripts solve its indices, at those values."""
    values = _values_at(place, writer)
    for i in writer.indices:
        if values[i.name].bare == _twin(i.name):
            ranges = ranges.with_index(_twin(i.name), i.low.substitute(values), i.high.substitute(values))
    if any(_fails(guard.substitute(values), ranges) for guard in writer.guards):
        return True
    ranges = under(ranges, [guard.substitute(values) for guard in writer.guards])
    outside = any(
        ranges.nonnegative(i.low.substitute(values) - 1 - at) or ranges.nonnegative(at - i.high.substitute(values))
        for i in writer.indices
        if (at := values[i.name]).bare != _twin(i.name)
    )
    return outside or are_apart(place, [written.substitute(values) for written in writer.write], ranges)


def _values_at(place: Sequence[IndexExpr], writer: Equation) -> dict[str, IndexExpr]:
    """The writer's indices where it writes a place: what a bare subscript tells, i' for any other i."""
    met = {written.bare: at for written, at in reversed(tuple(zip(writer.write, place, strict=True))) if written.bare}
    return {i.name: met.get(i.name, index(_twin(i.name))) for i in writer.indices}


def _twin(name: str) -> str:
    """What a writer's index is called beside the reader's."""
    return f"{name}'"


def _fails(guard: Guard, ranges: Ranges) -> bool:
    """Whether a guard certainly does not hold."""
    return guard.relation is Relation.AT_LEAST and ranges.nonnegative(-guard.value - 1)


MOST_CASES = 8
"""In which a sum adds something, looked at one by one."""


@lru_cache(maxsize=8192)
def where_it_adds(equation: Equation) -> tuple[Ranges, ...]:
    """What is known of the indices in each case in which a sum adds anything: not where a factor is 0 by conditions."""
    ranges = under(ranges_of(equation.indices), equation.guards)
    cases = _nonzero(equation.body, ranges)
    return cases if len(cases) <= MOST_CASES else (ranges,)


def _nonzero(body: sympy.Expr, ranges: Ranges) -> tuple[Ranges, ...]:
    if isinstance(body, WHERE.head):
        condition, then, otherwise = body.args
        branches = ((then, True), (otherwise, False))
        known = ((branch, ranges.with_facts(facts_of(condition, outcome))) for branch, outcome in branches)
        return tuple(case for branch, there in known if branch != 0 for case in _nonzero(branch, there))
    if isinstance(body, sympy.Add):
        found = dict.fromkeys(case for term in body.args for case in _nonzero(term, ranges))
        return (ranges,) if ranges in found else tuple(found)
    cases: tuple[Ranges, ...] = (ranges,)
    for factor in sympy.Mul.make_args(body) if isinstance(body, sympy.Mul) else ():
        if isinstance(factor, WHERE.head | sympy.Add) and len(cases) <= MOST_CASES:
            cases = tuple(case for each in cases for case in _nonzero(factor, each))
    return cases


def reads_with_ranges(equation: Equation) -> Iterator[tuple[str, tuple[IndexExpr, ...], Ranges]]:
    """Each place that an equation reads, with what is known of the indices there; gathers' places too."""
    ranges = under(ranges_of(equation.indices), equation.guards)
    for expression in (*equation.write, *(guard.value for guard in equation.guards)):
        yield from _gathered(expression, ranges)
    yield from _read_in(equation.body, ranges)


def _read_in(body: sympy.Expr, ranges: Ranges) -> Iterator[tuple[str, tuple[IndexExpr, ...], Ranges]]:
    if isinstance(body, Head):
        for part in parts_of(body):
            known = () if part.condition is None else facts_of(part.condition, part.outcome)
            yield from _read_in(part.body, ranges.with_facts(known))
    elif isinstance(body, Read):
        yield body.tensor, body.subscripts, ranges
        for subscript in body.subscripts:
            yield from _gathered(subscript, ranges)
    elif isinstance(body, Value):
        yield from _gathered(body.value, ranges)
    else:
        for argument in body.args:
            yield from _read_in(argument, ranges)


def _gathered(expression: IndexExpr, ranges: Ranges) -> Iterator[tuple[str, tuple[IndexExpr, ...], Ranges]]:
    for gather in expression.gathers:
        yield gather.tensor, gather.subscripts, ranges


def written_in(written: IndexExpr, own: str, place: IndexExpr, indices: tuple[Index, ...],
               known: Collection[str] = ()) -> IndexExpr | None:  # fmt: skip
    """The value of the index `own` at which `written` is the place, if it is at any: rounded down.

    `3*t + k` is p at t = p // 3 where k < 3: what else steps in the subscript must stay within one step of `own`.

    Args:
        indices: the writer's, with their ranges.
        known: of these, the ones that have one value where the place is written and where it is read.
    """
    factor = written.coefficient(own)
    if factor is None or not factor.terms or not factor.of_dims:
        return None
    sign = 1 if never_negative(factor) else -1
    factor, rest = factor * sign, (written - factor * index(own)) * sign
    if not never_negative(factor - 1):
        return None
    terms = (IndexExpr((term,)) for term in rest.terms)
    within = sum((each for each in terms if set(each.indices) - set(known)), ZERO)
    ranges = ranges_of(indices)
    low, high = ranges.least(within), ranges.most(within)
    if low is None or high is None or not never_negative(factor - 1 - (high - low)):
        return None
    return (place * sign - (rest - within) - low) // factor


def written_at(axis: int, own: str, read: Dependence, writer: Equation,
               known: Collection[str] = ()) -> list[tuple[IndexExpr, Ranges]]:  # fmt: skip
    """The values of the index `own` at which the place that is read is written, where a step of it is a step along an
    axis, or along none, as of a sum; each with what is known there of the reader's indices and of the writer's, k'
    for its k.

    `l - k` is p at l = p + k', and k' ≤ l - 1, as the writer says of its k. `h[0] = Σ_s c[s]` is written at all s'.

    Args:
        known: those of the writer's indices that are the reader's too.
    """
    written, place = writer.write[axis], read.place[axis]
    factor = written.coefficient(own)
    sign = None if factor is None else factor.constant
    if factor is None or not (sign in (1, -1) or own not in writer.written):
        return []
    values = {name: at for name, at in _values_at(read.place, writer).items() if name not in known}
    values[own] = index(_twin(own))
    if sign:
        values[own] = (place - (written - factor * index(own)).substitute(values)) * sign
    apart = [each.substitute(values) - at for each, at in zip(writer.write, read.place, strict=True)]
    same = [end for each in apart if each.terms for end in (each, -each)]
    found: list[tuple[IndexExpr, Ranges]] = []
    for case in where_it_adds(writer):
        theirs: dict[str, tuple[IndexExpr, IndexExpr]] = {}
        facts = [*read.ranges.all_facts, *same, *(fact.substitute(values) for fact in case.all_facts)]
        for name, at in values.items():
            low, high = (end.substitute(values) for end in case.bounds[name])
            if at.bare == _twin(name):
                theirs[at.bare] = (low, high)
            else:
                facts += [at - low, high - 1 - at]
        found.append((values[own], Ranges({**read.ranges.bounds, **theirs}).with_facts(facts)))
    return found
