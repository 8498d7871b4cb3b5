"""`x[i, k]` and `x?[i - 1]`: a read, its subscripts as index expressions, and the proof that it is inside.

A read must be inside under the conditions around it. What only a small free dim would break becomes a precondition;
what cannot be proved is an error. A guarded read is one under the condition that it is inside.
"""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from gradc.errors import Label
from gradc.graph.index import IndexExpr, index

from . import core, syntax
from .arithmetic import apply, where
from .indices import shown_base, wrong_count
from .mends import whole_subscript
from .places import Place
from .refusal import Refused
from .scopes import Size
from .tensors import place_of, settled
from .unparse import unparse
from .values import NO_RANGE, POISON, Array, Element, Items, Value, constant, decimal, described, shown, truth
from .walk import nodes
from .world import World

ENDS = {"max": ">=", "min": "<=", "clip": "<="}
"""Functions that give one of two places, by how they compare."""


def read(world: World, node: syntax.Subscript, place: Place) -> Value:
    """The element that a read gives."""
    cases = _cases(node)
    if cases is not None:
        return world.value(cases, place)
    base = settled(world, _base(world, node, place), place)
    axes = base.axes if isinstance(base, Array) and len(base.axes) == len(node.subscripts) else ()
    values = [
        _subscript_value(world, s, axes[at].extent if axes else None, place)
        for at, s in enumerate(node.subscripts)
        if not isinstance(s, syntax.Ellipsis)
    ]
    if base is POISON or any(value is POISON for value in values):
        return POISON
    by_ends = _cases_of_ends(node, values)
    if by_ends is not None:
        return world.value(by_ends, place)
    if isinstance(base, Element) and _is_of_a_scalar(node, place):
        return base
    if isinstance(base, Items):
        return _item(base, values, node)
    if not isinstance(base, Array):
        raise Refused(
            "not-a-tensor",
            f"{shown_base(node)} has no axes to read at: it is {described(base)}",
            node.span,
            help=f"leave the brackets out: {shown_base(node)}",
        )
    elements = [value for value in values if isinstance(value, Element)]
    _check_whole(node, elements)
    parts = _expanded(node, elements, base, place)
    subscripts = tuple(_as_index(world, part, place) for part in parts)
    if node.guarded:
        return _guarded(base, subscripts, node, place)
    for subscript, axis in zip(subscripts, base.axes, strict=True):
        _prove_inside(world, node, subscript, axis, place)
    return base.at(subscripts, place.ranges)


def _cases(node: syntax.Subscript) -> syntax.Conditional | None:
    """`x[if c then i else j]` as `if c then x[i] else x[j]`: then each place is proved under its condition."""
    for at, subscript in enumerate(node.subscripts):
        if isinstance(subscript, syntax.Conditional):
            before, after = node.subscripts[:at], node.subscripts[at + 1 :]
            then, otherwise = (
                replace(node, subscripts=(*before, branch, *after)) for branch in (subscript.then, subscript.otherwise)
            )
            return syntax.Conditional(node.span, subscript.condition, then, otherwise)
    return None


def _cases_of_ends(node: syntax.Subscript, values: Sequence[Value]) -> syntax.Subscript | None:
    """`x[max(i - 2, 0)]` as `x[if i - 2 >= 0 then i - 2 else 0]`, where the largest place that it reads is one of two
    and which of them depends on the dims."""
    plain = [s for s in node.subscripts if not isinstance(s, syntax.Ellipsis)]
    for subscript, value in zip(plain, values, strict=False):
        whole = isinstance(value, Element) and value.kind is core.Kind.WHOLE
        unknown = isinstance(value, Element) and value.index is None and value.bounds is None
        if whole and unknown and (case := _case_of(subscript)) is not None:
            return replace(node, subscripts=tuple(case if s is subscript else s for s in node.subscripts))
    return None


def _case_of(node: syntax.Expression) -> syntax.Conditional | None:
    if not isinstance(node, syntax.Call) or node.function not in ENDS or node.indices is not None:
        return None
    if any(isinstance(part, syntax.Call) and part.function not in ENDS for part in nodes(node)):
        return None
    first, *others = (argument.value for argument in node.arguments)
    if node.function == "clip" and len(others) == len(("low", "high")):
        inner = replace(node, function="max", arguments=node.arguments[:2])
        return _either(node, inner, "<=", others[1])
    return _either(node, first, ENDS[node.function], others[0]) if len(others) == 1 else None


def _either(node: syntax.Expression, a: syntax.Expression, sign: str, b: syntax.Expression) -> syntax.Conditional:
    return syntax.Conditional(node.span, syntax.Comparison(node.span, (sign,), (a, b)), a, b)


def _item(items: Items, values: Sequence[Value], node: syntax.Subscript) -> Value:
    """An item of a list, at a place known when the model is compiled."""
    at = values[0].number if len(values) == 1 and isinstance(values[0], Element) else None
    if at is None or at.denominator != 1 or len(node.subscripts) != 1:
        raise Refused(
            "not-known",
            "a list is read at one whole number known when the model is compiled",
            node.span,
            help="write its place as a number, as in sizes[0]; the axes of a tensor are made by param or an equation",
        )
    if not 0 <= at < len(items.values):
        raise Refused(
            "outside",
            f"{shown_base(node)} has the places 0 .. {len(items.values) - 1}",
            node.span,
            help="places count from 0",
        )
    return items.values[int(at)]


def _is_of_a_scalar(node: syntax.Subscript, place: Place) -> bool:
    """`s[]`, or `s[...]` where ... is no axes."""
    dots = [s for s in node.subscripts if isinstance(s, syntax.Ellipsis)]
    return not node.subscripts or (place.rest == () and len(dots) == len(node.subscripts) == 1)


def _base(world: World, node: syntax.Subscript, place: Place) -> Value:
    if isinstance(node.base, syntax.Name) and node.base.name in place.indices:
        raise Refused(
            "index-read",
            f"{node.base.name} is an index here, not a tensor",
            node.base.span,
            help="an index is a number; give the index or the tensor another name",
        )
    known = place.context.bases.get(id(node.base))
    return known if known is not None else world.value(node.base, place)


def _subscript_value(world: World, node: syntax.Expression, extent: IndexExpr | None, place: Place) -> Value:
    if isinstance(node, syntax.Name) and node.name not in place.indices:
        entry = world.find(node.name, place)
        if isinstance(entry, Size):
            world.report(_stray(node.name, node, entry.value, extent), place.context.frame)
            return POISON
    value = world.value(node, place)
    if value is POISON or isinstance(value, Element):
        return value
    world.report(
        Refused(
            "not-a-subscript",
            f"a subscript is a whole number, and this is {described(value)}",
            node.span,
            help="read it at its own indices, as in table[ids[b, t], h]",
        ),
        place.context.frame,
    )
    return POISON


def _stray(name: str, node: syntax.Name, size: IndexExpr, extent: IndexExpr | None) -> Refused:
    """A dim's name alone between brackets, where its size may have been meant, or the last place of an axis."""
    last = f"{name} - 1" if extent in (None, size) else f"{name} + 0" if extent == size + 1 else str(extent - 1)
    return Refused(
        "stray-index",
        f"{name} stands alone between brackets, so it is an index here, and nothing lists it",
        node.span,
        help=f"put it on the left side or into a reduction, such as sum[{name}](…); the last place is {last}",
    )


def _expanded(node: syntax.Subscript, elements: Sequence[Element], base: Array, place: Place) -> list[Element]:
    """One element for each axis, those of `...` put in."""
    dots = [k for k, s in enumerate(node.subscripts) if isinstance(s, syntax.Ellipsis)]
    name = shown_base(node)
    if not dots:
        if len(elements) != len(base.axes):
            raise wrong_count(node, name, len(elements), base.axes)
        return list(elements)
    if len(elements) > len(base.axes) or len(dots) > 1:
        raise wrong_count(node, name, len(elements), base.axes)
    if place.rest is None:
        raise Refused(
            "stray-dots",
            "... is neither on the left side nor in a reduction",
            node.span,
            help="nothing is summed silently: put ... on the left, or reduce it, as in sum[...](…)",
        )
    if len(place.rest) != len(base.axes) - len(elements):
        raise Refused(
            "dots-disagree",
            f"... is {len(place.rest)} axes in this equation, and {name} has "
            f"{len(base.axes) - len(elements)} there: it is {shown(base.axes)}",
            node.span,
            help=f"name the axes that only {name} has",
        )
    span = node.span
    rest = [Element(core.Whole(span, index(i.name)), core.Kind.WHOLE, index=index(i.name)) for i in place.rest]
    return [*elements[: dots[0]], *rest, *elements[dots[0] :]]


def _check_whole(node: syntax.Subscript, elements: Sequence[Element]) -> None:
    plain = [part for part in node.subscripts if not isinstance(part, syntax.Ellipsis)]
    for part, element in zip(plain, elements, strict=True):
        if element.size is None and element.kind is not core.Kind.WHOLE:
            what = described(element) if element.number is None else decimal(element.number)
            raise Refused("not-a-subscript", f"a subscript is a whole number, and this is {what}", part.span,
                          help=whole_subscript(part))  # fmt: skip


def _as_index(world: World, element: Element, place: Place) -> IndexExpr:
    if element.size is not None:
        return element.size
    if element.index is not None:
        return place.ranges.simplified(element.index)
    return place_of(world, element, place)


# ---------------------------------------------------------------- proofs


def _prove_inside(world: World, node: syntax.Subscript, at: IndexExpr, axis: core.Axis, place: Place) -> None:
    for slack, below in ((at, True), (axis.extent - 1 - at, False)):
        if place.ranges.nonnegative(slack):
            continue
        least = place.ranges.least(slack)
        span = world.span(node.span, place.context.frame)
        text = world.text(node.span)
        if least is not None and not least.indices and not least.gathers:
            message = f"{text} reads outside of {shown_base(node)} unless {least} >= 0"
            if world.require(span, least, message):
                continue
        raise _outside(world, node, at, axis, below, place)


def _outside(world: World, node: syntax.Subscript, at: IndexExpr, axis: core.Axis, below: bool,
             place: Place) -> Refused:  # fmt: skip
    end = place.ranges.least(at) if below else place.ranges.most(at)
    reach = "" if end is None or end.indices else f": it goes {'down' if below else 'up'} to {end}"
    if end is not None and end == at:
        reach = ""
    unknown = end is not None and any(abs(coefficient) >= NO_RANGE for _, coefficient in end.terms)
    if unknown:
        reach = ": nothing tells its range"
    last = axis.extent - 1
    where_at = _written(node, at)
    message = f"{where_at} may be outside of {shown_base(node)}{reach}"
    needed = f"{where_at} >= 0" if below else f"{where_at} < {axis.extent}"
    guarded = f"a condition around it, such as `if {needed} then … "
    help = f"{shown_base(node)}?[…] reads 0 outside; or put {guarded}else …`"
    if at.constant is not None and axis.extent.constant is not None:
        meant = axis.extent + at if at.constant < 0 else axis.extent - 1
        help = f"places count from 0, and the last is {last}" + f": write {meant}" * ((meant.constant or 0) >= 0)
    elif at.constant is not None and at.constant < 0:
        help = f"places count from 0, and the last is {last}: write {axis.extent + at}"
    if unknown:
        help = f"clip({where_at}, 0, {last}) is inside; or put {guarded}else …`, or read {shown_base(node)}?[…]"
    definition = place.context.frame.definition
    if definition is not None and world.in_library(node.span):
        fitting = "" if below or end is None else f": an axis of {end + 1} places, or whole numbers below {axis.extent}"
        help = f"give {definition.name} what fits{fitting}"
    return Refused("outside", message, node.span, [Label(node.span, f"the axis has the places 0 .. {last}")], help=help)


def _written(node: syntax.Subscript, at: IndexExpr) -> str:
    """A place as it is written, where a whole number that is no index expression has a tensor of the compiler's."""
    made = [gather for gather in at.gathers if "." in gather.tensor]
    calls = [s for s in node.subscripts if isinstance(s, syntax.Call | syntax.Conditional)]
    return unparse(calls[0]) if made and len(calls) == 1 else str(at)


def _guarded(base: Array, subscripts: tuple[IndexExpr, ...], node: syntax.Subscript, place: Place) -> Element:
    conditions: list[Element] = []
    span = node.span
    for at, axis in zip(subscripts, base.axes, strict=True):
        place_element = Element(core.Whole(span, at), core.Kind.WHOLE, index=at)
        zero, size = constant(span, 0), Element(core.Whole(span, axis.extent), core.Kind.WHOLE, index=axis.extent)
        if size.index is not None and size.index.constant is not None:
            size = constant(span, size.index.constant)
        if not place.ranges.nonnegative(at):
            conditions.append(apply("le", [zero, place_element], span, place.ranges))
        if not place.ranges.nonnegative(axis.extent - 1 - at):
            conditions.append(apply("lt", [place_element, size], span, place.ranges))
    element = base.at(subscripts, place.ranges)
    if not conditions:
        return element
    condition = conditions[0]
    for more in conditions[1:]:
        condition = apply("and", [condition, more], span, place.ranges)
    nothing = Element(core.Number(span, Fraction(0)), element.kind, index=IndexExpr())
    if element.kind is core.Kind.BOOL:
        nothing = truth(span, False)
    if condition.truth is not None:
        return element if condition.truth else nothing
    return where(condition, element, nothing, span, place.ranges)
