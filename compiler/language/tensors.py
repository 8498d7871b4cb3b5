"""Tensors with a name: how they are read, and how a value gets one."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction

from gradc.errors import Span
from gradc.graph.index import Gather, IndexExpr, index, number, of_atom
from gradc.graph.ranges import Ranges
from gradc.graph.tensors import ranges_of

from . import core
from .indices import indices_for
from .places import Context, Place
from .refusal import Refused
from .values import Array, Element, Subscripts, Value
from .world import World

WIDEST = 2**63 - 1
"""The largest whole number that a tensor can hold."""
ANY = core.Bounds(number(-WIDEST - 1), number(WIDEST))
"""The range of a whole number of which nothing is known."""


def read_of(span: Span, name: str, subscripts: Subscripts, kind: core.Kind, bounds: core.Bounds | None) -> Element:
    """What stands in a tensor at a place."""
    expression = core.Read(span, name, subscripts)
    if kind is not core.Kind.WHOLE:
        return Element(expression, kind)
    known = bounds or ANY
    return Element(expression, kind, index=of_atom(Gather(name, subscripts, known.low, known.high)))


def tensor_value(span: Span, name: str, axes: tuple[core.Axis, ...], kind: core.Kind,
                 bounds: core.Bounds | None = None) -> Array | Element:  # fmt: skip
    """A tensor as a value; a scalar is an element."""
    if not axes:
        return read_of(span, name, (), kind, bounds)
    sample = read_of(span, name, tuple(index(f"?{k}") for k in range(len(axes))), kind, bounds)
    return Array(axes, sample, lambda subscripts, _: read_of(span, name, subscripts, kind, bounds), name)


def store(world: World, value: Array | Element, name: str, context: Context, order: tuple[int, ...]) -> Array | Element:
    """Writes a value into a new tensor of that name: `name[i, j] = value`."""
    scratch = replace(context, taken=set(context.taken))
    axes = value.axes if isinstance(value, Array) else ()
    indices = indices_for(axes, scratch)
    subscripts = tuple(index(i.name) for i in indices)
    ranges = ranges_of(indices)
    element = value.at(subscripts, ranges) if isinstance(value, Array) else value
    _check_closed(element, {i.name for i in indices}, context)
    span = context.span
    bounds = element.range(ranges) if element.kind is core.Kind.WHOLE else None
    world.add_tensor(order, core.Tensor(span, name, axes, element.kind, bounds))
    world.add_equation(order, core.Equation(span, name, subscripts, indices, element.expression, context.text))
    return tensor_value(span, name, axes, element.kind, bounds)


def stored(world: World, value: Array, wanted: str, place: Place) -> Array:
    """The value as a tensor with a name: its own, or a new one. What is known everywhere needs none."""
    if value.name is not None or value.sample.known:
        return value
    named = store(world, value, world.unique(wanted), place.context, place.context.next_call())
    assert isinstance(named, Array)
    return named


def settled(world: World, value: Value, place: Place) -> Value:
    """A value to be read at more places than its own, or in more equations: its random numbers are drawn once, so that
    each of its places keeps its own; `(x + normal()) @ w` has one for each place of x."""
    if isinstance(value, Array) and is_random(value.sample.expression):
        return stored(world, value, f"{place.context.name}.noisy", place)
    if isinstance(value, Element) and is_random(value.expression):
        name = world.unique(f"{place.context.name}.noisy")
        return store(world, value, name, place.context, place.context.next_call())
    return value


def place_of(world: World, element: Element, place: Place) -> IndexExpr:
    """A whole number that is no index arithmetic, such as `min(i + 1, n - 1)`, as a subscript: a tensor holds it."""
    context = place.context
    expression = _with_locals(element.expression, place)
    used = mentioned(element, place) | {n for c in place.conditions for n in free_indices(c)}
    indices = tuple(i for i in place.known.values() if i.name in used)
    zero = core.Number(context.span, Fraction(0))
    for condition in reversed(place.conditions):
        expression = core.Where(context.span, _with_locals(condition, place), expression, zero)
    bounds = element.range(place.ranges) or ANY
    if place.conditions and bounds is not ANY and not place.ranges.nonnegative(-bounds.low):
        bounds = core.Bounds(number(0), bounds.high) if place.ranges.nonnegative(bounds.low) else ANY
    name = world.unique(f"{context.name}.{_role(element.expression)}")
    axes = tuple(core.Axis(i.name, i.high) for i in indices)
    subscripts = tuple(index(i.name) for i in indices)
    order = context.next_call()
    world.add_tensor(order, core.Tensor(context.span, name, axes, core.Kind.WHOLE, bounds))
    world.add_equation(order, core.Equation(context.span, name, subscripts, indices, expression, context.text))
    return of_atom(Gather(name, subscripts, bounds.low, bounds.high))


def _role(expression: core.Expression) -> str:
    match expression:
        case core.Reduce(reducer=name) | core.Apply(function=name):
            return name
    return "place"


def _check_closed(element: Element, own: set[str], context: Context) -> None:
    for name in free_indices(element.expression):
        if name not in own:
            raise Refused("depends-on-index", f"a whole tensor is wanted here, and this one depends on index {name}",
                          context.span, help="write the equation with all its indices")  # fmt: skip


def _with_locals(expression: core.Expression, place: Place) -> core.Expression:
    for name, value in reversed(list(place.locals.items())):
        if any(isinstance(part, core.Local) and part.name == name for part in parts(expression)):
            expression = core.Let(expression.span, name, value, expression)
    return expression


# ---------------------------------------------------------------- looking through expressions


def children(node: core.Expression) -> tuple[core.Expression, ...]:
    """The expressions right inside of one."""
    match node:
        case core.Apply(arguments=arguments):
            return arguments
        case core.Where(condition=condition, then=then, otherwise=otherwise):
            return condition, then, otherwise
        case core.Reduce(body=body):
            return (body,)
        case core.Let(value=value, body=body):
            return value, body
    return ()


def parts(root: core.Expression) -> Iterator[core.Expression]:
    """All expressions in one, itself too."""
    stack = [root]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(children(node))


def index_parts(node: core.Expression) -> tuple[IndexExpr, ...]:
    """The index expressions of one node."""
    match node:
        case core.Read(subscripts=subscripts):
            return subscripts
        case core.Whole(value=value):
            return (value,)
    return ()


def free_indices(root: core.Expression) -> tuple[str, ...]:
    """The indices that an expression mentions and does not reduce, each once."""
    found: dict[str, None] = {}
    stack: list[tuple[core.Expression, frozenset[str]]] = [(root, frozenset())]
    while stack:
        node, bound = stack.pop()
        if isinstance(node, core.Reduce):
            bound = bound | {i.name for i in node.indices}
        for part in index_parts(node):
            found.update((name, None) for name in part.indices if name not in bound)
        stack.extend((child, bound) for child in children(node))
    return tuple(found)


def is_random(root: core.Expression) -> bool:
    """Whether random numbers stand in an expression."""
    return any(isinstance(node, core.Random) for node in parts(root))


def mentioned(element: Element, place: Place) -> set[str]:
    """The indices that an element depends on: all around it, where it has a random number at every place."""
    return set(place.known) if is_random(element.expression) else set(free_indices(element.expression))


def tensors_read(root: core.Expression) -> Iterator[str]:
    """The tensors that an expression reads, gathers too, each as often as it does."""
    for node in parts(root):
        if isinstance(node, core.Read):
            yield node.tensor
        for part in index_parts(node):
            yield from (gather.tensor for gather in part.gathers)


def dependencies(tensors: Iterable[core.Tensor], equations: Iterable[core.Equation]) -> dict[str, list[str]]:
    """What each computed tensor is computed from, in order: what is read for it, or what it is the gradient of."""
    found: dict[str, list[str]] = {}
    for tensor in tensors:
        if tensor.gradient is not None:
            found[tensor.name] = [tensor.gradient.of, tensor.gradient.by]
    for equation in equations:
        read = [*tensors_read(equation.value), *(g.tensor for w in equation.write for g in w.gathers)]
        found.setdefault(equation.target, []).extend(read)
    return found


def ranges_at(place: Place, indices: tuple[core.Index, ...]) -> Ranges:
    """What is known where more indices run."""
    ranges = place.ranges
    for i in indices:
        ranges = ranges.with_index(i.name, i.low, i.high)
    return ranges
