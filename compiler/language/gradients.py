"""`grad(y, x)`: a tensor that stands for the derivatives of the sum of y by the places of x, until calculus makes them.

    ux[n] = grad(u, x)[n, 0]      grad(loss, h.weight)      grad(grad(u, x), x)

It is shaped like x and read like any tensor. The same y and x give the same tensor, however often they are asked for.
"""

from dataclasses import replace

from . import core, syntax
from .core import Gradient, Kind
from .cycles import gradient_cycle
from .outputs import tensor_name
from .places import Place
from .refusal import Echo, Refused
from .scopes import Given, Size
from .tensors import free_indices, store, tensor_value
from .values import POISON, Array, Element, Value, described
from .world import World


def gradient_value(world: World, node: syntax.Call, place: Place) -> Value:
    """The tensor of derivatives of one tensor by another.

    Raises:
        Refused: y is no real tensor, or x is no name of one.
    """
    if len(node.arguments) != 2 or any(argument.name is not None for argument in node.arguments):  # noqa: PLR2004  (y and x)
        raise Refused("wrong-arity", "grad takes a tensor and the name of another", node.span,
                      help="grad(u, x) is the derivative of the sum of u by x, shaped like x")  # fmt: skip
    if world.tables.step:
        raise Refused("not-here", "grad stands in the equations of a model, not in an optimizer", node.span,
                      help="g is the gradient here")  # fmt: skip
    if cycle := gradient_cycle(world, node, place):
        raise cycle
    y, x = (argument.value for argument in node.arguments)
    by = _variable(world, x, place)
    of = _differentiated(world, y, place)
    by_name, of_name = tensor_name(by), tensor_name(of)
    assert by_name is not None
    assert of_name is not None
    name = f"grad({of_name}, {by_name})"
    axes = by.axes if isinstance(by, Array) else ()
    span = world.span(node.span, place.context.frame)
    if name not in world.tables.spans:
        gradient = Gradient(of_name, by_name)
        world.add_tensor(place.context.order, core.Tensor(span, name, axes, Kind.REAL, gradient=gradient))
    value = tensor_value(span, name, axes, Kind.REAL)
    # without a name of its own, so that the equation's name stays: ux = grad(u, x)
    return replace(value, name=None) if isinstance(value, Array) else value


def _variable(world: World, node: syntax.Expression, place: Place) -> Array | Element:
    """The tensor that a name stands for."""
    if not isinstance(node, syntax.Name):
        raise _no_name(node)
    if node.name in place.indices:
        raise Refused(
            "not-a-variable",
            f"{node.name} is an index here, and grad is by a tensor",
            node.span,
            help="name the tensor: grad(y, x), and read it at the index: grad(y, x)[n]",
        )
    value = world.value(node, place)
    if value is POISON:
        raise Echo
    entry = world.find(node.name, place)
    constant = isinstance(value, Element) and (value.known or value.size is not None)
    if not isinstance(value, Array | Element) or constant or isinstance(entry, Size):
        raise Refused(
            "not-a-variable",
            f"grad is by a tensor, and {node.name} is {described(value)}",
            node.span,
            help="name an input, a parameter or a tensor with an equation: grad(y, x)",
        )
    kind = value.kind if isinstance(value, Element) else value.sample.kind
    if kind is not Kind.REAL:
        raise Refused(
            "no-derivative",
            f"{node.name} holds {_numbers(kind)}, by which nothing has a derivative",
            node.span,
            help="a derivative is by real numbers; of an embedding, by its table: grad(y, h.weight)",
        )
    if tensor_name(value) is None:
        argument = isinstance(entry, Given)
        raise Refused(
            "not-a-variable",
            f"{node.name} is an expression here, and grad is by a tensor that has a name",
            node.span,
            help="give what is handed over a name, on a line above" if argument else "give it a name, on a line above",
        )
    return value


def _no_name(node: syntax.Expression) -> Refused:
    if isinstance(node, syntax.Subscript) and isinstance(node.base, syntax.Name):
        help = f"differentiate by the whole tensor, and read the result: grad(…, {node.base.name})[…]"
    else:
        help = "give it a name on a line of its own, and compute y from that name"
    return Refused("not-a-variable", "grad is by the name of a tensor, and this is an expression", node.span, help=help)


def _differentiated(world: World, node: syntax.Expression, place: Place) -> Array | Element:
    """The tensor that is differentiated; an expression gets a tensor."""
    value = world.value(node, place)
    if value is POISON:
        raise Echo
    if not isinstance(value, Array | Element):
        raise Refused(
            "wrong-kind",
            f"grad is of a tensor, and this is {described(value)}",
            node.span,
            help="write grad(y, x) of a tensor y that has an equation",
        )
    kind = value.kind if isinstance(value, Element) else value.sample.kind
    if kind is not Kind.REAL:
        raise Refused(
            "no-derivative",
            f"these are {_numbers(kind)}, which have no derivative",
            node.span,
            help="differentiate what they are made from, a real tensor",
        )
    if tensor_name(value) is not None:
        return value
    context = place.context
    if isinstance(value, Element) and free_indices(value.expression):
        raise Refused("depends-on-index", "grad is of a whole tensor, and this is one number at each place", node.span,
                      help="hand over the tensor without brackets: grad(u, x)[n, 0]")  # fmt: skip
    return store(world, value, world.unique(f"{context.name}.of"), context, context.next_call())


def _numbers(kind: Kind) -> str:
    return "whole numbers" if kind is Kind.WHOLE else "true and false"
