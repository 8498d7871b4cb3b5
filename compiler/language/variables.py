"""An index whose range is looked for, what is told about it, and how far its reads let it go."""

from collections.abc import Callable
from dataclasses import dataclass, field

from gradc.errors import Span
from gradc.graph.index import ONE, Idx, IndexExpr, Quotient, index, of_atom
from gradc.graph.ranges import Ranges

from . import syntax
from .scopes import Group, Thunk


@dataclass(frozen=True, slots=True)
class Bare:
    """A place where an index stands alone: the read, and the extent of the axis there."""

    read: syntax.Subscript
    axis: int
    extent: IndexExpr
    why: Callable[[], str]
    """Says what the tensor is, for errors."""


@dataclass(slots=True, eq=False)
class Variable:
    """An index whose range is looked for."""

    name: str
    internal: str
    span: Span
    stated: IndexExpr | None = None
    dim: IndexExpr | None = None
    state: IndexExpr | None = None
    """The extent of the state that it goes along on the left side of an update."""
    bare: list[Bare] = field(default_factory=list)
    guarded: list[IndexExpr] = field(default_factory=list)
    reads: list[tuple[IndexExpr, IndexExpr]] = field(default_factory=list)
    own: list[tuple[Group | Thunk, int]] = field(default_factory=list)
    """Where it stands bare in tensors of its own recurrence: the tensor, and the axis."""
    told_by: tuple[Group | Thunk, int] | None = None
    """Which of these told, where nothing else did."""
    extent: IndexExpr | None = None
    fewest: int = 1
    """What its extent must be at least: 0 where an equation writes some places of a tensor and others write more."""


def axis_span(place: Bare) -> Span:
    """The subscript itself, where both places are in one read."""
    return place.read.subscripts[min(place.axis, len(place.read.subscripts) - 1)].span


def steps(value: IndexExpr, name: str, top: IndexExpr, ranges: Ranges) -> IndexExpr | None:
    """For how many values of the index, from 0, 0 ≤ value ≤ top holds, the other indices at their ends."""
    factor = value.coefficient(name)
    if factor is None:
        return _steps_of_quotient(value, name, top, ranges)
    rest = value - factor * index(name)
    if ranges.nonnegative(factor - 1):
        most = ranges.most(rest)
        return None if most is None else (top - most) // factor + 1
    if ranges.nonnegative(-factor - 1):
        least = ranges.least(rest)
        return None if least is None else least // -factor + ONE
    return None


def _steps_of_quotient(value: IndexExpr, name: str, top: IndexExpr, ranges: Ranges) -> IndexExpr | None:
    for monomial, coefficient in value.terms:
        match monomial:
            case (Quotient(numerator, denominator),) if name in numerator.indices and coefficient == 1:
                rest = ranges.most(value - of_atom(monomial[0]))
                if (
                    rest is None
                    or name in denominator.indices
                    or Idx(name) in tuple((value - of_atom(monomial[0])).atoms())
                ):
                    return None
                return steps(numerator, name, (top - rest + 1) * denominator - 1, ranges)
    return None
