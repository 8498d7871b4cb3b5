"""Definitions of numbers, put into the equation that calls them.

    relu(a + b)   →   let x = a + b in (if x > 0 then x else 0)

An argument gets a name where it is no leaf and is used more than once. On whole tensors the same goes place by place.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from gradc.errors import Label
from gradc.graph.ranges import Ranges

from . import core, syntax
from .bind import Bound
from .mends import at_indices
from .places import Place
from .refusal import Refused
from .scopes import Given, Scope, frame_of
from .values import Array, Element, Subscripts, Value, constant, shown
from .walk import nodes
from .world import World

LEAVES = (core.Number, core.Constant, core.Whole, core.Read, core.Local)


def of_numbers(world: World, definition: syntax.Definition, bound: Bound, node: syntax.Call, place: Place) -> Value:
    """What a definition of numbers gives, of elements or place by place of tensors."""
    arrays = {name: value for name, value in bound.values.items() if isinstance(value, Array)}
    if not arrays:
        return _inlined(world, definition, bound.values, node, place)
    axes = _one_shape(definition, arrays, bound, node)
    sample = _inlined(world, definition, {**bound.values, **{n: a.sample for n, a in arrays.items()}}, node, place)
    if not isinstance(sample, Element):
        return sample

    def at(subscripts: Subscripts, ranges: Ranges) -> Element:
        parts = {**bound.values, **{name: array.at(subscripts, ranges) for name, array in arrays.items()}}
        value = _inlined(world, definition, parts, node, replace(place, ranges=ranges))
        return value if isinstance(value, Element) else constant(node.span, 0)

    return Array(axes, sample, at)


def _one_shape(definition: syntax.Definition, arrays: Mapping[str, Array], bound: Bound,
               node: syntax.Call) -> tuple[core.Axis, ...]:  # fmt: skip
    (first_name, first), *others = arrays.items()
    for name, other in others:
        if [a.extent for a in other.axes] != [a.extent for a in first.axes]:
            labels = [Label(bound.nodes[n].span, f"{n} is {shown(arrays[n].axes)}") for n in (first_name, name)]
            raise Refused(
                "shapes-disagree",
                f"{definition.name} goes by element, and wants tensors of one shape",
                node.span,
                labels,
                help=_with_indices(definition, (first_name, name), arrays, bound),
            )
    return first.axes


def _with_indices(definition: syntax.Definition, names: tuple[str, str], arrays: Mapping[str, Array],
                  bound: Bound) -> str:  # fmt: skip
    """`y[i] = squared_error(guess[i, 0], y[i])`."""
    a, b = names
    found = at_indices(arrays[a].axes, bound.nodes[a], arrays[b].axes, bound.nodes[b])
    if found is None:
        return "nothing is broadcast silently; bring both to one shape, or write the equation with indices"
    help = "nothing is broadcast silently; write the equation with indices"
    return f"{help}: z[{found[0]}] = {definition.name}({found[1]}, {found[2]})" if set(bound.nodes) == {a, b} else help


def _inlined(world: World, definition: syntax.Definition, values: Mapping[str, Value], node: syntax.Call,
             place: Place) -> Value:  # fmt: skip
    body = definition.body
    assert not isinstance(body, tuple)
    context = place.context
    call = world.span(node.span, context.frame)
    frame = frame_of(definition, context.frame, context.frame.prefix, context.order, call, node.span)
    scope = Scope(frame, home=world.homes.get(definition.span.file))
    uses = world.uses.get(id(definition))
    if uses is None:
        uses = world.uses[id(definition)] = Counter(n.name for n in nodes(body) if isinstance(n, syntax.Name))
    named: dict[str, core.Expression] = {}
    for name, value in values.items():
        if isinstance(value, Element) and uses.get(name, 0) > 1 and not _is_leaf(value):
            local = context.fresh_local(name)
            named[local] = value.expression
            value = Element(core.Local(value.expression.span, local), value.kind, bounds=value.range(place.ranges))
        scope.define(name, Given(value, number=True))
    result = world.value(body, place.inside(scope, named))
    if not isinstance(result, Element) or result.known:
        return result
    for local, expression in reversed(named.items()):
        result = _let(result, local, expression, place.ranges)
    return result


def _is_leaf(element: Element) -> bool:
    return element.known or isinstance(element.expression, LEAVES)


def _let(body: Element, name: str, value: core.Expression, ranges: Ranges) -> Element:
    bounds = body.range(ranges) if body.kind is core.Kind.WHOLE else None
    expression = core.Let(body.expression.span, name, value, body.expression)
    return Element(expression, body.kind, bounds=bounds, holds=body.holds, fails=body.fails)
