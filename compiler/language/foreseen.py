"""What a tensor that reads itself holds, where its equations tell without being elaborated: whole numbers, and which.

    path[b, t] = back[b, t, path[b, t + 1]]       back holds 0 .. tags - 1, so path does

A place of the tensor itself adds nothing to what the others say. Only reads, choices between them and argmax are looked
into; arithmetic may leave any range from one place to the next, and makes the tensor real.
"""

from collections.abc import Sequence
from itertools import chain

from gradc.graph.index import ZERO, Ranges, number

from . import syntax
from .arithmetic import hull
from .core import Bounds, Kind
from .cycles import in_one_cycle
from .places import Place
from .scopes import Given, Group
from .values import Array, Element, Value
from .world import World

NOTHING = Bounds(ZERO, ZERO)
"""What stands where nothing is written, and where a guarded read is outside."""


def whole_range(world: World, group: Group, equations: Sequence[tuple[syntax.Expression, Place]]) -> Bounds | None:
    """The range of what the equations of a tensor give, if all of it is whole numbers; None otherwise.

    Args:
        equations: right sides, and the places where they stand.
    """
    told = [_told(world, group, node, place) for node, place in equations]
    ranges = [each for one in told for each in one or ()]
    if None in told or not ranges:
        return None
    found: Bounds | None = NOTHING
    for each in ranges:
        found = hull(found, each, Ranges())
    return found


def _told(world: World, group: Group, node: syntax.Expression, place: Place) -> list[Bounds] | None:
    """The ranges of what an expression gives, besides what the tensor itself holds; None if not all is whole."""
    match node:
        case syntax.Number(value=value, whole=True):
            return [Bounds(number(int(value)), number(int(value)))]
        case syntax.Conditional(then=then, otherwise=otherwise):
            return _all_told(world, group, (then, otherwise), place)
        case syntax.Call(function="min" | "max", indices=None, arguments=arguments):
            return _all_told(world, group, [argument.value for argument in arguments], place)
        case syntax.Call(function="argmax" | "argmin", indices=(_,)):
            (index,) = place.context.reductions.get(id(node), (None,))
            return [Bounds(ZERO, index.high - 1)] if index is not None else None
        case syntax.Subscript(base=syntax.Name(name=name)):
            return _held(world, group, name, place)
    return None


def _all_told(world: World, group: Group, parts: Sequence[syntax.Expression], place: Place) -> list[Bounds] | None:
    told = [_told(world, group, part, place) for part in parts]
    return None if None in told else list(chain.from_iterable(each for each in told if each is not None))


def _held(world: World, group: Group, name: str, place: Place) -> list[Bounds] | None:
    """The range of what a tensor holds."""
    entry = world.find(name, place)
    if entry is group:
        return []
    if entry is None or in_one_cycle(world, entry, [group]):
        return None
    value: Value = entry.value if isinstance(entry, Given) else world.force(world, entry)
    sample = value.sample if isinstance(value, Array) else value
    if not isinstance(sample, Element) or sample.kind is not Kind.WHOLE:
        return None
    bounds = sample.range(Ranges())
    return None if bounds is None else [bounds]
