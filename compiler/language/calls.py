"""Calls of definitions: arguments bound to the header, the body unfolded where the call stands.

A definition of numbers is put into the equation itself (`inline`). Any other works on whole tensors: what it is handed
gets a name, its equations become equations of the model, named after the equation that calls it.
"""

from collections.abc import Sequence
from dataclasses import replace

from gradc.graph.index import index
from gradc.graph.ranges import Ranges

from . import core, syntax
from .bind import Bound, bind
from .call_names import plan_calls
from .doubts import doubt_logits
from .extents import solve
from .headers import bind_tensors
from .inline import of_numbers
from .numeric import is_numeric
from .places import CallName, Context, Place
from .refusal import Echo, Refused
from .scopes import Frame, Returning, Scope, frame_of
from .tensors import mentioned, tensor_value
from .values import POISON, Array, Element, Several, Value, described
from .walk import names_in
from .world import World

STEPS_OF_A_CALL = 8
"""What unfolding a definition counts in parts of expressions."""


def call_definition(world: World, definition: syntax.Definition, node: syntax.Call, key: int, place: Place) -> Value:
    """What a call of a definition gives."""
    _check_callable(world, definition, node, place)
    if is_numeric(world, definition, {}):
        frame = frame_of(definition, place.context.frame, "", (), world.span(node.span, place.context.frame),
                         node.span)  # fmt: skip
        scope = Scope(frame, home=world.homes.get(definition.span.file))
        bound = bind(world, definition, node, place, place.inside(scope, {}))
    else:
        scope, inside = _inside(world, definition, node, key, place)
        bound = bind(world, definition, node, place, inside)
    if any(value is POISON for value in bound.values.values()):
        return POISON
    doubt_logits(world, definition, bound.nodes, node, place)
    if is_numeric(world, definition, bound.values):
        return of_numbers(world, definition, bound, node, place)
    return _unfolded(world, definition, bound, node, scope, place)


def _check_callable(world: World, definition: syntax.Definition, node: syntax.Call, place: Place) -> None:
    name = definition.name
    if definition.keyword == "optimizer":
        raise Refused(
            "not-a-function",
            f"{name} is an optimizer, which stands after `optimize`",
            node.function_span,
            help=f"write optimize {name}(…) on a line of its own",
        )
    if id(definition) in world.recursive:
        raise Echo
    if id(definition) in place.context.frame.within:
        chain = place.context.frame.chain()
        at = next(k for k, outer in enumerate(chain) if outer is definition)
        shown = " → ".join([*(outer.name for outer in chain[at:]), name])
        raise Refused("recursive-definition", f"the definition {name} calls itself: {shown}", node.function_span,
                      help="definitions unfold when the model is compiled; use `repeat`, or an index")  # fmt: skip


def _inside(
    world: World, definition: syntax.Definition, node: syntax.Call, key: int, place: Place
) -> tuple[Scope, Place]:
    """The scope of a call's body, still empty, and the place where defaults are evaluated."""
    context = place.context
    fallback = f"{context.name}.{definition.name}"
    name = context.plan.get(key) or CallName(fallback, f"{fallback}.")
    wanted = context.direct[1] if context.direct and context.direct[0] == key else ()
    call = world.span(node.span, context.frame)
    frame = frame_of(definition, context.frame, name.prefix, context.order, call, node.span)
    if definition.keyword == "shared def":
        frame = _shared(world, definition, frame)
    frame = replace(frame, results=_results(definition, wanted), returns=name.result, wanted=wanted)
    scope = Scope(frame, home=world.homes.get(definition.span.file))
    return scope, Place(scope, 0, context.inside(frame))


def _shared(world: World, definition: syntax.Definition, frame: Frame) -> Frame:
    """The frame of one of several calls that have their parameters in common: its tensors are its own."""
    name, *calls = world.shared[id(definition)]
    own = world.unique(name) if calls else name
    world.shared[id(definition)].append(own)
    return replace(frame, prefix=f"{own}.", shared=(f"{own}.", f"{name}."))


def _results(definition: syntax.Definition, wanted: tuple[str, ...]) -> dict[str, str]:
    """Which names of a body are the results, where one equation, or the index equations of one tensor, make each."""
    body = definition.body
    if not isinstance(body, tuple) or not body or not wanted:
        return {}
    last = body[-1]
    if len(wanted) == 1 and not (isinstance(last, syntax.Return) and last.subscripts is None):
        return {"return": wanted[0]}
    if not isinstance(last, syntax.Return) or len(last.values) != len(wanted):
        return {}
    pairs = zip(last.values, wanted, strict=True)
    return {
        value.name: full for value, full in pairs if isinstance(value, syntax.Name) and _made_once(value.name, body)
    }


def _made_once(name: str, body: Sequence[syntax.Statement]) -> bool:
    made = [t for s in body if isinstance(s, syntax.Equation) for t in s.targets if t.name == name]
    nested = any(isinstance(s, syntax.For | syntax.Repeat | syntax.If) for s in body)
    return bool(made) and not nested and (len(made) == 1 or all(t.subscripts is not None for t in made))


def _unfolded(world: World, definition: syntax.Definition, bound: Bound, node: syntax.Call, scope: Scope,
              place: Place) -> Value:  # fmt: skip
    world.count_instance(node.span)
    world.steps += STEPS_OF_A_CALL
    axes = bind_tensors(world, definition, bound, scope, place)
    scope.frame = replace(scope.frame, axes=axes, order=place.context.next_call())
    if not isinstance(definition.body, tuple):
        returning = Returning((definition.body,), definition.body.span, scope, scope.now, scope.frame.order)
        return _returned(world, returning, place)
    errors = len(world.diagnostics)
    world.run(world, definition.body, scope)
    returned = scope.entries.get("return")
    if returned is None:
        if len(world.diagnostics) > errors:
            return POISON
        raise Refused("no-return", f"the definition {definition.name} returns nothing", definition.span,
                      help="end it with `return …`")  # fmt: skip
    entry = returned[-1][1]
    return _returned(world, entry, place) if isinstance(entry, Returning) else world.force(world, entry)


def _returned(world: World, returning: Returning, place: Place) -> Value:
    """The values of a `return`, as parts of the equation that called: its made indices are not theirs."""
    scope, outer = returning.scope, place.context
    frame = scope.frame
    values = returning.values
    context = Context(frame.prefix.removesuffix("."), frame, returning.order, world.text(returning.span),
                      world.span(returning.span, frame), taken=outer.taken, locals=outer.locals)  # fmt: skip
    if len(values) == 1 and isinstance(values[0], syntax.Call):
        context.direct = (id(values[0]), frame.wanted)
    inner = Place(scope, returning.position, context)
    plan_calls(world, context, values, inner, between=True)
    found: list[Value] = []
    for value in values:
        solve(world, inner, (), (), value)
        found.append(world.value(value, inner))
    return found[0] if len(found) == 1 else Several(tuple(found))


# ---------------------------------------------------------------- softmax[u](s[b, u, t])


def call_over(world: World, definition: syntax.Definition, node: syntax.Call, key: int, place: Place) -> Value:
    """A call over an index of the equation: `f[u](s[b, u, t])` is f of the tensor [b, t, u], read at b, t, u.

    Where f reduces its last axis, u may be an index of its own, as in `variance[u](s[b, u])`.
    """
    name = _over_name(node)
    own = place.context.reductions.get(key)
    if own:
        place = place.among({name: own[0]})
    if name not in place.indices:
        raise Refused(
            "unknown-index",
            f"{name} is no index of this equation",
            node.span,
            help=f"put {name} on the left side, or into a reduction around it",
        )
    over = place.indices[name]
    _check_callable(world, definition, node, place)
    scope, inside = _inside(world, definition, node, key, place)
    everywhere = replace(place, conditions=(), ranges=Ranges(place.ranges.bounds))
    bound = bind(world, definition, node, everywhere, inside)
    if any(value is POISON for value in bound.values.values()):
        return POISON
    tensors = {p.name: bound.values[p.name] for p in definition.parameters if p.axes is not None}
    if not tensors:
        raise Refused("no-indices", f"{definition.name} goes by element, and over no index", node.span,
                      help=f"leave [{', '.join(sorted(names_in(*(node.indices or ()))))}] out")  # fmt: skip
    batch = _batch(tensors, over, place)
    values = dict(bound.values)
    for parameter in definition.parameters:
        if parameter.name in tensors:
            indices = (*batch, over) if _takes_last(parameter) else batch
            element = _element(values[parameter.name], bound.nodes[parameter.name])
            values[parameter.name] = _spread(world, element, indices, f"{scope.frame.returns}.{parameter.name}", place)
    result = _unfolded(world, definition, Bound(values, bound.nodes), node, scope, place)
    return _read_back(result, (*batch, over), bool(own), node, place)


def _over_name(node: syntax.Call) -> str:
    written = node.indices or ()
    if len(written) != 1 or not isinstance(written[0], syntax.Name):
        raise Refused(
            "one-index",
            f"{node.function}[…] goes over one index of the equation",
            node.span,
            help=f"name one: {node.function}[i](x[…, i])",
        )
    return written[0].name


def _takes_last(parameter: syntax.Parameter) -> bool:
    """Whether a header's tensor ends in an axis of its own: `x[..., i]`, not `y[...]`."""
    axes = parameter.axes or ()
    return bool(axes) and not isinstance(axes[-1], syntax.Ellipsis)


def _element(value: Value, node: syntax.Expression) -> Element:
    if isinstance(value, Element):
        return value
    raise Refused("not-an-element", f"a number at each place is wanted here, and this is {described(value)}", node.span,
                  help="read it at its indices")  # fmt: skip


def _batch(values: dict[str, Value], over: core.Index, place: Place) -> tuple[core.Index, ...]:
    used = {n for v in values.values() if isinstance(v, Element) for n in mentioned(v, place)} - {over.name}
    return tuple(i for i in place.known.values() if i.name in used)


def _spread(world: World, element: Element, indices: tuple[core.Index, ...], name: str, place: Place) -> Value:
    """The element at every place of the indices, as a tensor."""
    context = place.context
    full = world.unique(name)
    order = context.next_call()
    subscripts = tuple(index(i.name) for i in indices)
    axes = tuple(core.Axis(i.name, i.high) for i in indices)
    bounds = element.range(place.ranges) if element.kind is core.Kind.WHOLE else None
    world.add_tensor(order, core.Tensor(context.span, full, axes, element.kind, bounds))
    world.add_equation(order, core.Equation(context.span, full, subscripts, indices, element.expression, context.text))
    return tensor_value(context.span, full, axes, element.kind, bounds)


def _read_back(result: Value, indices: tuple[core.Index, ...], reduces: bool, node: syntax.Call, place: Place) -> Value:
    if result is POISON:
        return POISON
    axes = result.axes if isinstance(result, Array) else ()
    for wanted in (indices[:-1],) if reduces else (indices, indices[:-1]):
        if [a.extent for a in axes] == [i.high for i in wanted]:
            at = tuple(index(i.name) for i in wanted)
            return result.at(at, place.ranges) if isinstance(result, Array) else result
    if reduces and len(axes) == len(indices):
        name = _over_name(node)
        raise Refused(
            "unknown-index",
            f"{node.function} has a value at each {name}, which is no index of this equation",
            node.span,
            help=f"put {name} on the left side, or into a reduction around it",
        )
    raise Refused(
        "wrong-rank",
        f"{node.function} gives {described(result)} here, not a value at each index",
        node.span,
        help="call it on the whole tensor",
    )
