"""What a tensor that reads itself holds, where its equations tell without being elaborated: conditions, or whole
numbers, and which.

    path[b, t] = back[b, t, path[b, t + 1]]       back holds 0 .. tags - 1, so path does

A place of the tensor itself adds nothing to what the others say; one of another in its cycle, which may read it in
turn, adds what that one's equations say. Only reads, choices between them, argmax, and what `%` and `clip` leave of
whole numbers are looked into; other arithmetic may leave any range from one place to the next, and makes the tensor
real.
"""

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple, Protocol, runtime_checkable

from gradc.graph.index import ZERO, number
from gradc.graph.ranges import Ranges, never_negative

from . import syntax
from .arithmetic import hull
from .core import Bounds, Kind
from .cycles import in_one_cycle
from .places import Place
from .scopes import Entry, Given, Group, Size, Written
from .values import Array, Element, Value
from .walk import names_in, nodes
from .world import World

NOTHING = Bounds(ZERO, ZERO)
"""What stands where nothing is written, and where a guarded read is outside."""


@runtime_checkable
class Measured(Protocol):
    """An index equation whose indices are known."""

    @property
    def written(self) -> Written:
        """The equation."""

    @property
    def place(self) -> Place:
        """Where its right side stands."""


class Seen(NamedTuple):
    """The tensors of a cycle whose equations are looked into, the one that is asked for first: for the ranges of what
    they hold; and only for whether it is whole, where a range is left behind."""

    ranges: list[Group]
    whole: list[Group]


def foreseen(world: World, group: Group) -> tuple[Kind, Bounds | None]:
    """The kind of what the equations of a measured tensor give, and the range of whole numbers."""
    if _are_conditions(world, [group], group):
        return Kind.BOOL, None
    bounds = _whole_range(world, group)
    return Kind.REAL if bounds is None else Kind.WHOLE, bounds


def _are_conditions(world: World, seen: list[Group], group: Group) -> bool | None:
    """Whether a tensor's equations give conditions; None where those seen before would have to tell."""
    measured = [one for one in group.prepared if isinstance(one, Measured)]
    return _all_conditions([_is_condition(world, seen, one.written.value, one.place) for one in measured])


def _all_conditions(told: Sequence[bool | None]) -> bool | None:
    return False if False in told else True if True in told else None


def _is_condition(world: World, seen: list[Group], node: syntax.Expression, place: Place) -> bool | None:
    """Whether an expression is a condition; None where the tensors seen before would have to tell."""
    match node:
        case syntax.Comparison() | syntax.Unary(operator="not") | syntax.Binary(operator="and" | "or"):
            return True
        case syntax.Conditional(then=then, otherwise=otherwise):
            return _all_conditions([_is_condition(world, seen, part, place) for part in (then, otherwise)])
        case syntax.Name(name="true" | "false"):
            return True
        case syntax.Subscript(base=syntax.Name(name=name)):
            found = _sample(world, seen, world.find(name, place))
            if not isinstance(found, Group):
                return found is not None and found.kind is Kind.BOOL
            if found in seen:
                return None
            seen.append(found)
            return False if world.axes(world, found) is None else _are_conditions(world, seen, found)
    return False


def _whole_range(world: World, group: Group) -> Bounds | None:
    """The range of what the equations of a measured tensor give, if all of it is whole numbers; None otherwise."""
    ranges = _of_equations(world, Seen([group], [group]), group)
    if not ranges:
        return None
    found: Bounds | None = NOTHING
    for each in ranges:
        found = hull(found, each, Ranges())
    return found


def _of_equations(world: World, seen: Seen, group: Group) -> list[Bounds] | None:
    """The ranges of what a tensor's equations give, besides what those seen before do; None if not all is whole."""
    measured = [one for one in group.prepared if isinstance(one, Measured)]
    told = [_told(world, seen, one.written.value, one.place) for one in measured]
    return None if None in told else list(chain.from_iterable(each for each in told if each is not None))


def _told(world: World, seen: Seen, node: syntax.Expression, place: Place) -> list[Bounds] | None:
    """The ranges of what an expression gives, besides what the tensor itself holds; None if not all is whole."""
    match node:
        case syntax.Number(value=value, whole=True):
            return [Bounds(number(int(value)), number(int(value)))]
        case syntax.Conditional(then=then, otherwise=otherwise):
            return _all_told(world, seen, (then, otherwise), place)
        case syntax.Call(function="min" | "max", indices=None, arguments=arguments):
            return _all_told(world, seen, [argument.value for argument in arguments], place)
        case syntax.Call(function="argmax" | "argmin", indices=(_,)):
            (index,) = place.context.reductions.get(id(node), (None,))
            return [Bounds(ZERO, index.high - 1)] if index is not None else None
        case syntax.Binary(operator="%", left=left, right=right) if _is_whole(world, seen, left, place):
            most = _bounds_apart(world, seen, right, place)
            known = most is not None and never_negative(most.low - 1)
            return [Bounds(ZERO, most.high - 1)] if most is not None and known else None
        case syntax.Call(function="clip", indices=None, arguments=(inner, *ends)):
            if _is_whole(world, seen, inner.value, place):
                return _all_told(world, seen, [end.value for end in ends], place)
        case syntax.Subscript(base=syntax.Name(name=name)):
            return _held(world, seen, name, place)
        case syntax.Name() | syntax.Binary() | syntax.Unary():
            bounds = _bounds_apart(world, seen, node, place)
            return None if bounds is None else [bounds]
    return None


def _is_whole(world: World, seen: Seen, node: syntax.Expression, place: Place) -> bool:
    """Whether an expression is a whole number if the tensor itself is."""
    match node:
        case syntax.Binary(operator="+" | "-" | "*" | "//" | "%", left=left, right=right):
            return _is_whole(world, seen, left, place) and _is_whole(world, seen, right, place)
        case syntax.Unary(operator="-", operand=operand):
            return _is_whole(world, seen, operand, place)
        case syntax.Conditional(then=then, otherwise=otherwise):
            return _is_whole(world, seen, then, place) and _is_whole(world, seen, otherwise, place)
        case syntax.Call(function="min" | "max" | "clip", indices=None, arguments=arguments):
            return all(_is_whole(world, seen, argument.value, place) for argument in arguments)
    return _told(world, Seen(seen.whole, seen.whole), node, place) is not None


def _bounds_apart(world: World, seen: Seen, node: syntax.Expression, place: Place) -> Bounds | None:
    """The range of a whole number made of indices, sizes and tensors outside of the tensor's own cycle."""
    found = (world.find(name, place) for name in names_in(node))
    if any(entry is not None and in_one_cycle(world, entry, seen.ranges) for entry in found):
        return None
    if any(isinstance(part, syntax.Call) for part in nodes(node)):
        return None
    value = world.value(node, place)
    return value.range(place.ranges) if isinstance(value, Element) and value.kind is Kind.WHOLE else None


def _all_told(world: World, seen: Seen, parts: Sequence[syntax.Expression], place: Place) -> list[Bounds] | None:
    told = [_told(world, seen, part, place) for part in parts]
    return None if None in told else list(chain.from_iterable(each for each in told if each is not None))


def _held(world: World, seen: Seen, name: str, place: Place) -> list[Bounds] | None:
    """The range of what a tensor holds."""
    found = _sample(world, seen.ranges, world.find(name, place))
    if isinstance(found, Group):
        if found in seen.ranges:
            return []
        seen.ranges.append(found)
        return None if world.axes(world, found) is None else _of_equations(world, seen, found)
    if found is None or found.kind is not Kind.WHOLE:
        return None
    bounds = found.range(Ranges())
    return None if bounds is None else [bounds]


def _sample(world: World, seen: Sequence[Group], entry: Entry | None) -> Element | Group | None:
    """A place of a tensor; of one that waits for those seen the index equations that make it, None if none do."""
    is_done = isinstance(entry, Group) and entry.state == "done"
    if not is_done and in_one_cycle(world, entry, seen):
        return entry if isinstance(entry, Group) else None
    if entry is None or isinstance(entry, Size):
        return None
    value: Value = entry.value if isinstance(entry, Given) else world.force(world, entry)
    sample = value.sample if isinstance(value, Array) else value
    return sample if isinstance(sample, Element) else None
