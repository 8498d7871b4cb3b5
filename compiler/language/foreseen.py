"""What a tensor that reads itself holds, where its equations tell without being elaborated: whole numbers, and which.

    path[b, t] = back[b, t, path[b, t + 1]]       back holds 0 .. tags - 1, so path does

A place of the tensor itself adds nothing to what the others say. Only reads, choices between them, argmax, and what
`%` and `clip` leave of whole numbers are looked into; other arithmetic may leave any range from one place to the next,
and makes the tensor real.
"""

from collections.abc import Sequence
from itertools import chain

from gradc.graph.index import ZERO, number
from gradc.graph.ranges import Ranges, never_negative

from . import syntax
from .arithmetic import hull
from .core import Bounds, Kind
from .cycles import in_one_cycle
from .places import Place
from .scopes import Given, Group, Size
from .values import Array, Element, Value
from .walk import names_in, nodes
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
        case syntax.Binary(operator="%", left=left, right=right) if _is_whole(world, group, left, place):
            most = _bounds_apart(world, group, right, place)
            known = most is not None and never_negative(most.low - 1)
            return [Bounds(ZERO, most.high - 1)] if most is not None and known else None
        case syntax.Call(function="clip", indices=None, arguments=(inner, *ends)):
            if _is_whole(world, group, inner.value, place):
                return _all_told(world, group, [end.value for end in ends], place)
        case syntax.Subscript(base=syntax.Name(name=name)):
            return _held(world, group, name, place)
        case syntax.Name() | syntax.Binary() | syntax.Unary():
            bounds = _bounds_apart(world, group, node, place)
            return None if bounds is None else [bounds]
    return None


def _is_whole(world: World, group: Group, node: syntax.Expression, place: Place) -> bool:
    """Whether an expression is a whole number if the tensor itself is."""
    match node:
        case syntax.Binary(operator="+" | "-" | "*" | "//" | "%", left=left, right=right):
            return _is_whole(world, group, left, place) and _is_whole(world, group, right, place)
        case syntax.Unary(operator="-", operand=operand):
            return _is_whole(world, group, operand, place)
        case syntax.Conditional(then=then, otherwise=otherwise):
            return _is_whole(world, group, then, place) and _is_whole(world, group, otherwise, place)
        case syntax.Call(function="min" | "max" | "clip", indices=None, arguments=arguments):
            return all(_is_whole(world, group, argument.value, place) for argument in arguments)
    return _told(world, group, node, place) is not None


def _bounds_apart(world: World, group: Group, node: syntax.Expression, place: Place) -> Bounds | None:
    """The range of a whole number made of indices, sizes and tensors outside of the tensor's own cycle."""
    found = (world.find(name, place) for name in names_in(node))
    if any(entry is not None and in_one_cycle(world, entry, [group]) for entry in found):
        return None
    if any(isinstance(part, syntax.Call) for part in nodes(node)):
        return None
    value = world.value(node, place)
    return value.range(place.ranges) if isinstance(value, Element) and value.kind is Kind.WHOLE else None


def _all_told(world: World, group: Group, parts: Sequence[syntax.Expression], place: Place) -> list[Bounds] | None:
    told = [_told(world, group, part, place) for part in parts]
    return None if None in told else list(chain.from_iterable(each for each in told if each is not None))


def _held(world: World, group: Group, name: str, place: Place) -> list[Bounds] | None:
    """The range of what a tensor holds."""
    entry = world.find(name, place)
    if entry is group:
        return []
    if entry is None or isinstance(entry, Size) or in_one_cycle(world, entry, [group]):
        return None
    value: Value = entry.value if isinstance(entry, Given) else world.force(world, entry)
    sample = value.sample if isinstance(value, Array) else value
    if not isinstance(sample, Element) or sample.kind is not Kind.WHOLE:
        return None
    bounds = sample.range(Ranges())
    return None if bounds is None else [bounds]
