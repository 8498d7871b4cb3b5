"""Sizes: expressions in numbers and dims, known when the model is compiled."""

from gradc.graph.index import IndexExpr

from . import syntax
from .places import Place
from .refusal import Echo, Refused
from .values import POISON, Array, Element, described
from .world import World


def size_of(world: World, node: syntax.Expression, place: Place) -> IndexExpr:
    """The size that an expression is."""
    value = world.value(node, place)
    if value is POISON:
        raise Echo
    size = value.size if isinstance(value, Element) else None
    if size is not None:
        return size
    if isinstance(value, Element) and value.number is not None:
        raise Refused(
            "not-whole", f"a size is a whole number, and this is {value.number}", node.span, help="n // 2 rounds down"
        )
    if isinstance(value, Element | Array):
        raise Refused("not-a-size", "a size is wanted here: a whole number known when the model is compiled", node.span,
                      help="sizes are made of numbers and dims with + - * // and exact /")  # fmt: skip
    raise Refused(
        "not-a-size",
        f"a size is wanted here, and this is {described(value)}",
        node.span,
        help="write a whole number, a dim, or arithmetic of them: n // 2",
    )
