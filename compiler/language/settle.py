"""What is told about indices → their extents, by the rules in their order.

An index runs over what is stated; else over the extent of where it stands bare, and of the dim of its name; else, in
arithmetic only, from 0 as far as its reads stay inside; else over what guarded reads and comparisons tell.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from gradc.errors import Label
from gradc.graph.index import ZERO, IndexExpr
from gradc.graph.ranges import Ranges, never_negative

from . import core, syntax
from .cycles import cycle_refusal
from .indices import suggested_order
from .places import Context
from .refusal import Refused
from .scopes import Group, Thunk
from .values import Array
from .variables import Bare, Variable, axis_span, steps
from .world import World


class Told(Protocol):
    """What the text of an equation tells."""

    world: World
    context: Context
    all: list[Variable]
    circular: Group | None
    written: list[IndexExpr | None]

    def axes(self, node: syntax.Subscript, env: Mapping[str, Variable]) -> tuple[core.Axis, ...] | None:
        """The axes of what is read."""


@dataclass(frozen=True, slots=True)
class Settling:
    """One equation's indices, and the search for their extents."""

    told: Told

    def settle(self) -> None:
        """Finds every extent, by the rules in their order."""
        for variable in self.told.all:
            variable.extent = variable.stated
        for variable in self.told.all:
            if variable.extent is None and (variable.bare or variable.dim is not None):
                self._agree(variable)
            if variable.extent is None:
                variable.extent = variable.state
        self._by_arithmetic()
        for variable in self.told.all:
            if variable.extent is None and variable.guarded:
                self._by_guarded(variable)
        self._by_arithmetic()
        self._note_unknown()
        self._by_own_recurrence()
        for variable in self.told.all:
            if variable.extent is None and self.told.circular is not None:
                unknown = {v.name: v.span for v in self.told.all if v.extent is None}
                raise cycle_refusal(self.told.circular, unknown)
            if variable.extent is None:
                raise undetermined(variable)
            self._check_extent(variable)

    def _agree(self, variable: Variable) -> None:
        first = variable.bare[0].extent if variable.bare else variable.dim
        assert first is not None
        for place in variable.bare[1:]:
            if place.extent != first:
                raise self._disagreement(variable, variable.bare[0], place)
        if variable.dim is not None and variable.dim != first:
            place = variable.bare[0]
            raise Refused(
                "extents-disagree", f"index {variable.name} has two extents", place.read.span,
                [Label(place.read.span, f"{place.extent}: {place.why()}"),
                 Label(variable.span, f"{variable.dim}: the dim {variable.name}")],
                help=f"state the extent, as in [{variable.name}: {place.extent}], or take a name that is no dim's",
            )  # fmt: skip
        variable.extent = first

    def _disagreement(self, variable: Variable, a: Bare, b: Bare) -> Refused:
        spans = [p.read.span if a.read is not b.read else axis_span(p) for p in (a, b)]
        labels = [Label(span, f"{p.extent}: {p.why()}") for span, p in zip(spans, (a, b), strict=True)]
        help = self._reordered(variable, a, b) or self._reordered(variable, b, a)
        help = help or f"state what {variable.name} runs over, [{variable.name}: …], within both, or take two indices"
        return Refused("extents-disagree", f"index {variable.name} has two extents", a.read.span, labels, help=help)

    def _reordered(self, variable: Variable, kept: Bare, moved: Bare) -> str | None:
        """`did you mean w[o, k]?` where the subscripts of one read fit in another order."""
        wanted = {v.name: self._elsewhere(v, moved) for v in self.told.all} | {variable.name: kept.extent}
        axes = self.told.axes(moved.read, {})
        return suggested_order(moved.read, axes, wanted) if axes else None

    def _elsewhere(self, variable: Variable, moved: Bare) -> IndexExpr | None:
        """What an index runs over by all that is said but in one read."""
        told = [place.extent for place in variable.bare if place.read is not moved.read]
        return variable.stated or variable.dim or (told[0] if told else None)

    def _by_guarded(self, variable: Variable) -> None:
        first = variable.guarded[0]
        if any(extent != first for extent in variable.guarded):
            raise Refused("undetermined-index", f"guarded reads say different things of index {variable.name}",
                          variable.span, help=f"state its extent, as in [{variable.name}: 10]")  # fmt: skip
        variable.extent = first

    def _by_arithmetic(self) -> None:
        changed = True
        while changed:
            changed = False
            for variable in self.told.all:
                if variable.extent is None and variable.reads:
                    variable.extent = self._reach(variable)
                    changed = changed or variable.extent is not None

    def _note_unknown(self) -> None:
        """What the others of the recurrence are asked for: for errors, where they ask in turn."""
        around = self.told.world.forcing[-1]
        if isinstance(around, Group):
            around.unknown = {v.name: v.span for v in self.told.all if v.extent is None}

    def _by_own_recurrence(self) -> None:
        """An index that nothing else tells of runs over an axis of its own recurrence, as far as that is known."""
        changed = True
        while changed:
            changed = False
            for variable in self.told.all:
                for entry, axis in variable.own if variable.extent is None else ():
                    variable.extent = (
                        self._known_extent(entry, axis) if isinstance(entry, Group) else self._of_whole(entry, axis)
                    )
                    if variable.extent is not None:
                        variable.told_by = entry, axis
                        changed = True
                        self._by_arithmetic()
                        break

    def _known_extent(self, group: Group, axis: int) -> IndexExpr | None:
        """How far an axis goes by what is known of the left sides of a tensor that is being measured, or by the whole
        of one that is not yet."""
        if group.state == "waiting" and (axes := self.told.world.axes(self.told.world, group)):
            return axes[axis].extent if axis < len(axes) else None
        ends = [end for own in group.ends if axis < len(own) and (end := own[axis]) is not None]
        if group is self.told.context.own and axis < len(self.told.written):
            written = self.told.written[axis]
            most = None if written is None else self._ranges().most(written)
            ends += [] if most is None or most.indices or most.gathers else [most + 1]
        largest = [a for a in ends if all(Ranges().nonnegative(a - b) for b in ends)]
        return largest[0] if largest else None

    def _of_whole(self, thunk: Thunk, axis: int) -> IndexExpr | None:
        """How far an axis of a whole-tensor equation goes, if that is known without the tensors being measured."""
        if thunk.state == "forcing":
            return None
        value = self.told.world.force(self.told.world, thunk)
        axes = value.axes if isinstance(value, Array) else ()
        return axes[axis].extent if axis < len(axes) else None

    def _reach(self, variable: Variable) -> IndexExpr | None:
        """How far an index goes from 0 until one of its reads would leave its tensor."""
        ranges = self._ranges()
        limits: list[IndexExpr] = []
        for value, extent in variable.reads:
            if any(name not in ranges.bounds and name != variable.internal for name in value.indices):
                return None
            limit = steps(value, variable.internal, extent - 1, ranges)
            if limit is not None:
                limits.append(limit)
        smallest = [a for a in limits if all(ranges.nonnegative(b - a) for b in limits)]
        return smallest[0] if smallest else None

    def _ranges(self) -> Ranges:
        known = {v.internal: (ZERO, v.extent) for v in self.told.all if v.extent is not None}
        known |= {i.name: (i.low, i.high) for i in self.told.context.rest or ()}
        return Ranges(known)

    def _check_extent(self, variable: Variable) -> None:
        extent, fewest = variable.extent, variable.fewest
        assert extent is not None
        if never_negative(extent - fewest):
            return
        message = f"index {variable.name} runs over {extent}, which must be at least {fewest}"
        span = self.told.world.span(variable.span, self.told.context.frame)
        if not self.told.world.require(span, extent - fewest, message):
            raise Refused("empty-index", f"index {variable.name} runs over {extent} places", variable.span,
                          help=f"an extent is at least {fewest} for all sizes of the free dims")  # fmt: skip


def undetermined(variable: Variable) -> Refused:
    message = f"nothing says what index {variable.name} runs over"
    help = f"read a tensor at it, or state its extent, as in [{variable.name}: 10]"
    if variable.reads:
        at = str(variable.reads[0][0]).replace(variable.internal, variable.name)
        help = f"state its extent, as in [{variable.name}: 10]: how far it goes does not follow from {at}"
    return Refused("undetermined-index", message, variable.span, help=help)
