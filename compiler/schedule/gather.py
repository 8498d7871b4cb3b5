"""Windows that scatter, as windows that gather: the gradient of a convolution is one, with the window turned round.

    y[i + u - 1] += x[i]·w[u]            becomes         y[i] = Σ_u x[i - u + 1]·w[u]

Where windows follow each other at a step, what goes into a place is told by which of so many it is. Each turn gathers
from its own part of the window:

    y[2·i + u - 1] += x[i]·w[u]          becomes         y[2·i] = x[i]·w[1]
    (u of 3)                                             y[2·i + 1] = Σ_q x[i - q + 1]·w[2·q]    (q of 2)
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product

from gradc.graph.index import ONE, ZERO, IndexExpr, index, number
from gradc.graph.nodes import Equation, Guard, Relation, Tensor, substitute
from gradc.graph.ranges import Ranges
from gradc.graph.tensors import Index


@dataclass(frozen=True, slots=True)
class _Way:
    """How the places of one axis are gone through.

    Attributes:
        place: what is written, by an index that runs along the axis.
        moved: what the indices of the windows are for it.
        indices: those that are there in their place, by the old names; None for one that has but one value.
        whole: an index of old whose range has to be asked for.
    """

    place: IndexExpr
    moved: dict[str, IndexExpr]
    indices: dict[str, Index | None]
    whole: str


def gathered(equation: Equation, tensors: Mapping[str, Tensor], fixed: frozenset[str]) -> list[Equation]:
    """The equation with an index for each axis of its target: one, or, where windows lie at a step, one for each turn;
    none if it is not known what comes to a place.

    Args:
        fixed: the indices of loops around, whose axes stay as they are.
    """
    extents = tensors[equation.target].extents
    indices = {i.name: i for i in equation.indices}
    axes: list[list[tuple[int, _Way]]] = []
    for at, (place, extent) in enumerate(zip(equation.write, extents, strict=True)):
        name = longest(place, equation)
        if place.bare is not None or not name or fixed & set(place.indices):
            continue
        elsewhere = {other for k, p in enumerate(equation.write) if k != at for other in p.indices}
        step = place.coefficient(name)
        if step is None or step.constant is None or name in elsewhere:
            return []
        rest = place - step * index(name)
        if step == ONE:
            axes.append([(at, _Way(index(name), {name: index(name) - rest}, {name: Index(name, ZERO, extent)}, name))])
        elif elsewhere.isdisjoint(rest.indices):
            axes.append([(at, way) for way in _turns(name, step.constant, rest, extent, indices)])
        else:
            return []
    made = [_by(equation, dict(ways)) for ways in product(*axes)]
    return [each for each in made if each is not None] if None not in made else []


def _turns(name: str, step: int, rest: IndexExpr, extent: IndexExpr, indices: Mapping[str, Index]) -> Iterator[_Way]:
    """The ways along an axis of `step*name + rest`, a turn at a time; none where the turns are not equally long, or it
    is not one index that runs within a window."""
    length, inner = extent.constant, rest.indices
    offset = (rest - sum(map(index, inner), ZERO)).constant
    window = indices[inner[0]] if inner else None
    size = window.extent.constant if window else 1
    if length is None or length % step or offset is None or len(inner) > 1 or size is None or step < 1:
        return
    if indices[name].low.terms or (window and window.low.terms):
        return
    for first in range(step):
        start = (first - offset) % step
        rounds = -((start - size) // step)
        if rounds < 1:
            continue
        run, found = Index(name, ZERO, number(length // step)), dict[str, Index | None]()
        before = index(name) - (start + offset - first) // step
        moved = {name: before}
        if window is not None:
            several = rounds > 1
            found = {window.name: Index(window.name, ZERO, number(rounds)) if several else None}
            turn = index(window.name) if several else ZERO
            moved |= {name: before - turn, window.name: step * turn + start}
        yield _Way(step * index(name) + first, moved, {name: run, **found}, name)


def _by(equation: Equation, ways: Mapping[int, _Way]) -> Equation | None:
    """The equation with these ways along these axes of its target."""
    moved = {name: value for way in ways.values() for name, value in way.moved.items()}
    changed = {name: value for way in ways.values() for name, value in way.indices.items()}
    indices = [changed.get(i.name, i) for i in equation.indices]
    kept = tuple(i for i in indices if i is not None)
    given = {i.name: i for i in equation.indices}
    asked = [Guard(value, Relation.AT_LEAST) for way in ways.values() for value in _within(given[way.whole])]
    for way in ways.values():
        others = moved.keys() - way.indices.keys()
        if any(others & set(value.indices) for value in way.moved.values()):
            return None
    ranges = Ranges({i.name: (i.low, i.high) for i in kept})
    guards = (guard.substitute(moved) for guard in dict.fromkeys((*equation.guards, *asked)))
    return replace(
        equation,
        write=tuple(
            ways[at].place if at in ways else place.substitute(moved) for at, place in enumerate(equation.write)
        ),
        indices=kept,
        guards=tuple(g for g in guards if g.relation is not Relation.AT_LEAST or not ranges.nonnegative(g.value)),
        body=substitute(equation.body, moved),
    )


def longest(place: IndexExpr, equation: Equation) -> str | None:
    """Of the indices that run along an axis the one of most values: the others are the window's own."""
    sizes = {i.name: i.extent.constant for i in equation.indices}
    return max(sorted(place.indices), key=lambda name: sizes[name] or float("inf"), default=None)


def _within(loop: Index) -> tuple[IndexExpr, IndexExpr]:
    """What is at least 0 where an index is in its range."""
    return index(loop.name) - loop.low, loop.high - 1 - index(loop.name)
