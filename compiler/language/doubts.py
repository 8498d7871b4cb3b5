"""What compiles and is probably not what was meant: probabilities where a definition wants logits.

A definition says that it takes what softmax or sigmoid is still to be applied to by calling its argument `logits`.
"""

from collections.abc import Mapping

from gradc.errors import Diagnostic, Label, Span

from . import syntax
from .places import Place
from .scopes import Entry, Group, Thunk
from .world import World

UNNORMALISED = "logits"
PROBABILITIES = ("softmax", "sigmoid")
DEEPEST = 20
"""Names that stand for names, before one is no longer followed."""


def doubt_logits(
    world: World,
    definition: syntax.Definition,
    nodes: Mapping[str, syntax.Expression],
    node: syntax.Call,
    place: Place,
) -> None:
    """A warning where the argument `logits` of a call is what softmax or sigmoid gives."""
    made = _made_by(nodes.get(UNNORMALISED), place)
    if made is None or not world.training or world.in_library(node.span):
        return
    applied, span = made
    labels = (Label(node.span, ""), Label(span, f"{applied} stands here"))
    message = f"{definition.name} wants logits, and gets what {applied} makes of them: {applied} is applied twice"
    help = f"hand over what is inside of {applied}(…); {definition.name} goes on from there, and does not overflow"
    found = Diagnostic("probabilities-for-logits", message, node.span, labels, help, severity="warning")
    if found not in world.doubts:
        world.doubts.append(found)


def _made_by(node: syntax.Expression | None, place: Place) -> tuple[str, Span] | None:
    """The function of `PROBABILITIES` that makes an expression, or what the equation of its name says; and where."""
    for _ in range(DEEPEST):
        match node:
            case syntax.Call(function=name) | syntax.Binary(operator="|>", right=syntax.Name(name=name)):
                return (name, node.span) if name in PROBABILITIES else None
            case syntax.Binary(operator="|>", right=right):
                node = right
            case syntax.Name(name=name):
                node = _right_side(place.scope.find(name, place.position, False))
            case syntax.Subscript(base=syntax.Name(name=name)):
                node = _right_side(place.scope.find(name, place.position, place.context.indexed))
            case _:
                return None
    return None


def _right_side(entry: Entry | None) -> syntax.Expression | None:
    match entry:
        case Thunk(targets=(_,), value=value):
            return value
        case Group(equations=[equation]):
            return equation.value
    return None
