"""Reductions: over the indices they list, and of whole tensors, whose indices are made for them."""

from collections.abc import Sequence
from dataclasses import replace

from gradc.errors import Span
from gradc.graph.index import ONE, ZERO, IndexExpr, index
from gradc.graph.ranges import Ranges

from . import core, syntax
from .arithmetic import as_number
from .core import Bounds, Kind
from .extents import solve
from .indices import indices_for
from .places import Place
from .refusal import Refused
from .tensors import free_indices, ranges_at
from .values import POISON, Array, Element, Subscripts, Value, described, whole
from .world import World

WHOLE_TENSOR = {"sum", "prod", "mean", "max", "min"}
ARGS = {"argmax", "argmin"}
LAST_AXIS = ARGS | {"logsumexp"}


def over_indices(world: World, node: syntax.Call, place: Place) -> Value:
    """`sum[k](x[i, k])`."""
    written = node.indices or ()
    argument = only_argument(node)
    if node.function in ARGS and (len(written) != 1 or isinstance(written[0], syntax.Ellipsis)):
        raise Refused(
            "one-index",
            f"{node.function} goes over one index",
            node.span,
            help=f"join axes first with reshape, or take two {node.function} one after the other",
        )
    inner, indices = _inner_place(world, node, written, place)
    body = world.value(argument, inner)
    if isinstance(body, Array):
        raise Refused(
            "not-an-element",
            f"{node.function}[…] reduces a number at each place, and this is {described(body)}",
            argument.span,
            help="read it at its indices",
        )
    if not isinstance(body, Element):
        return body if body is POISON else _not_a_number(node, body)
    span = world.span(node.span, place.context.frame)
    return reduced(node.function, indices, body, span, inner.ranges)


def only_argument(node: syntax.Call) -> syntax.Expression:
    """The one argument of a reduction."""
    if len(node.arguments) != 1 or node.arguments[0].name is not None:
        raise Refused(
            "wrong-arity",
            f"{node.function}[…] takes one argument",
            node.span,
            help=f"put all of it into one expression: {node.function}[i](a[i] + b[i])",
        )
    return node.arguments[0].value


def _not_a_number(node: syntax.Call, value: Value) -> Value:
    raise Refused(
        "wrong-kind",
        f"{node.function} wants numbers, and this is {described(value)}",
        node.span,
        help="read a tensor at its indices",
    )


def _inner_place(world: World, node: syntax.Call, written: Sequence[syntax.Expression],
                 place: Place) -> tuple[Place, tuple[core.Index, ...]]:  # fmt: skip
    named = place.context.reductions.get(id(node))
    if named is None:
        solve(world, place, (), (), node)
        named = place.context.reductions.pop(id(node))
    names = [i.name for i in written if isinstance(i, syntax.Name | syntax.Binder)]
    inner = place.among(dict(zip(names, named, strict=True)))
    if not any(isinstance(i, syntax.Ellipsis) for i in written):
        return inner, named
    if place.rest is not None:
        raise Refused("index-hides", "... is on the left side or reduced already", node.span,
                      help="... is the same axes throughout an equation")  # fmt: skip
    rest = place.context.rest
    if rest is None:
        raise Refused("undetermined-index", "nothing says which axes ... stands for", node.span,
                      help="read a tensor at [...] inside of the reduction")  # fmt: skip
    inner = replace(inner, rest=rest, ranges=ranges_at(inner, rest),
                    known={**inner.known, **{i.name: i for i in rest}})  # fmt: skip
    return inner, (*named, *rest)


def of_whole(world: World, name: str, value: Value, span: Span, place: Place) -> Value:
    """`sum(x)` over everything, `argmax(x)` over the last axis."""
    span = world.span(span, place.context.frame)
    if value is POISON:
        return POISON
    if isinstance(value, Element):
        return _of_number(name, value, span, place)
    if not isinstance(value, Array):
        raise Refused(
            "wrong-kind",
            f"{name} wants a tensor, and this is {described(value)}",
            span,
            help="name a whole tensor; numbers are joined by + or max(a, b)",
        )
    if name in LAST_AXIS:
        return _over_last(name, value, span, place)
    indices = indices_for(value.axes, place.context)
    ranges = ranges_at(place, indices)
    body = value.at(tuple(index(i.name) for i in indices), ranges)
    return reduced(name, indices, body, span, ranges)


def _of_number(name: str, value: Element, span: Span, place: Place) -> Element:
    mentioned = [i for i in place.indices.values() if i.name in free_indices(value.expression)]
    if mentioned or name in LAST_AXIS:
        at = mentioned[0].name if mentioned else "i"
        raise Refused("no-axes", f"{name} has nothing to go over here: this is one number", span,
                      help=f"name the indices, as in {name}[{at}](…)")  # fmt: skip
    return as_number(value)


def _over_last(name: str, value: Array, span: Span, place: Place) -> Value:
    (last,) = indices_for(value.axes[-1:], place.context)

    def at(subscripts: Subscripts, ranges: Ranges) -> Element:
        inner = ranges.with_index(last.name, last.low, last.high)
        return reduced(name, (last,), value.at((*subscripts, index(last.name)), inner), span, inner)

    sample = reduced(name, (last,), value.sample, span, Ranges({last.name: (last.low, last.high)}))
    if len(value.axes) == 1:
        return at((), place.ranges)
    return Array(value.axes[:-1], sample, at)


def reduced(reducer: str, indices: tuple[core.Index, ...], body: Element, span: Span, ranges: Ranges) -> Element:
    """The reduction of an element over indices."""
    body = as_number(body)
    if reducer == "mean":
        total = core.Reduce(span, "sum", indices, body.expression)
        count = whole(span, _count(indices))
        return Element(core.Apply(span, "div", (total, count.expression)), Kind.REAL)
    expression = core.Reduce(span, reducer, indices, body.expression)
    if reducer in ARGS:
        return Element(expression, Kind.WHOLE, bounds=Bounds(ZERO, indices[0].high - 1))
    if body.kind is not Kind.WHOLE or reducer in {"prod", "logsumexp"}:
        return Element(expression, Kind.REAL)
    bounds = body.range(ranges)
    if bounds and reducer == "sum":
        places = _count(indices)
        bounds = Bounds(bounds.low * places, bounds.high * places)
    return Element(expression, Kind.WHOLE, bounds=bounds)


def _count(indices: tuple[core.Index, ...]) -> IndexExpr:
    count = ONE
    for i in indices:
        count = count * (i.high - i.low)
    return count


def is_whole_reduction(name: str, count: int) -> bool:
    """Whether a call reduces a whole tensor: max and min of two are functions of numbers."""
    return name in LAST_AXIS or (name in WHOLE_TENSOR and (count == 1 or name not in {"max", "min"}))
