"""Where among its loops a statement's target is opened: given the zeros, or the variable, that the loops below add to.

    for b:                                    for b:
        for j:                                    total = 0.0
            y[b, j] = x[b, j]**2                  for j:
                                                      total += x[b, j]
                                                  y[b] = total

On the left there is nothing to open; on the right, the sum is opened at depth 1, below the loop over b.
"""

from collections.abc import Iterable, Iterator

from gradc.graph.nodes import Guard, Relation
from gradc.graph.tensors import Index
from gradc.schedule.program import Buffer, Item, Program, Statement

from .rounds import passing, running_along

SHORT_ROW = 8
"""Numbers below which a row is written one by one, each with its conditions: such loops are unrolled."""


def opening_depth(statement: Statement, program: Program) -> int:
    """How many outer loops run along an axis of the target from end to end: what is below them starts at 0, in one
    stretch where an axis before has but some places written."""
    equation, buffer = statement.equation, program.buffers[statement.equation.target]
    places = statement.runs
    extents = program.graph.tensors[equation.target].extents
    without, diagonal = passing(equation, buffer), diagonal_loops(statement, buffer)
    whole = list(_whole_axes(statement, program))
    parted = whole.index(False) if False in whole else len(whole)
    indices = {i.name: i for i in equation.indices}
    for depth, name in enumerate(statement.path):
        if name in without:
            continue
        if places.count(name) != 1 or diagonal.intersection(statement.path[:depth]):
            return depth
        at = places.index(name)
        if at == statement.parts:
            continue
        if at > parted or indices[name].low.terms or indices[name].high != extents[at]:
            return depth
    return len(statement.path)


def covers(statement: Statement, program: Program, holding: frozenset[Guard]) -> bool:
    """Whether the statement alone writes every place its loops reach, and those are all.

    Args:
        holding: the guards that hold wherever it runs.
    """
    equation, buffer = statement.equation, program.buffers[statement.equation.target]
    whole = all(_whole_axes(statement, program)) and not diagonal_loops(statement, buffer)
    unguarded = not set(equation.guards) - holding
    return whole and unguarded and opening_depth(statement, program) == len(statement.path)


def opened_by_rows(items: Iterable[Item], program: Program, holding: frozenset[Guard]) -> Iterator[Statement]:
    """The statements that stand alone in an innermost loop and hold in a range of its rounds: before the loop all is 0,
    and it goes through that range alone."""
    for item in items:
        if isinstance(item, Statement):
            continue
        (first, *others) = item.body
        if others or not isinstance(first, Statement):
            yield from opened_by_rows(item.body, program, holding)
        elif first.starts and not first.accumulates and len(first.path) > 1:
            long = (item.index.extent.constant or SHORT_ROW) >= SHORT_ROW
            ends = (guard for guard in first.equation.guards if guard not in holding and _is_an_end(guard, item.index))
            if long and any(ends) and opening_depth(first, program) == len(first.path):
                yield first


def _is_an_end(guard: Guard, along: Index) -> bool:
    factor = guard.value.coefficient(along.name)
    return guard.relation is Relation.AT_LEAST and factor is not None and bool(factor.constant)


def diagonal_loops(statement: Statement, buffer: Buffer) -> set[str]:
    """The indices along axes that the buffer does not have, on which one that it has depends too, as in `d[k, k]` or
    `d[k // 2, k]`: a round writes one place of many."""
    return passing(statement.equation, buffer) & running_along(statement.equation, buffer)


def _whole_axes(statement: Statement, program: Program) -> Iterator[bool]:
    """For each axis of the target, whether the statement goes along it from place to place or from round to round, or
    others see to the other places; not so the second of `z[t, 3, j]`."""
    equation, rounds = statement.equation, set(statement.around)
    extents = program.graph.tensors[equation.target].extents
    for at, (place, extent) in enumerate(zip(equation.write, extents, strict=True)):
        in_rounds = bool(place.indices) and rounds.issuperset(place.indices)
        yield bool(place.bare) or extent.constant == 1 or in_rounds or at == statement.parts
