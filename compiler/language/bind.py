"""The arguments of a call, each under its name in the header: by position, by keyword, by default."""

from collections.abc import Mapping
from dataclasses import dataclass

from . import syntax
from .naming import suggestion
from .places import Place
from .refusal import Refused
from .scopes import Given
from .values import POISON, Value, Word, described
from .world import World


@dataclass(frozen=True, slots=True)
class Bound:
    """A call's arguments by the names of the header, and where each stands; defaults stand in the header."""

    values: Mapping[str, Value]
    nodes: Mapping[str, syntax.Expression]


def bind(world: World, definition: syntax.Definition, node: syntax.Call, place: Place, inside: Place) -> Bound:
    """Evaluates the arguments of a call where it stands, and the defaults inside of the definition.

    Raises:
        Refused: there are too many, one is missing, or a keyword is unknown.
    """
    given = _by_name(definition, node)
    values: dict[str, Value] = {}
    nodes: dict[str, syntax.Expression] = {}
    for parameter in definition.parameters:
        argument = given.get(parameter.name)
        if argument is not None:
            values[parameter.name] = _value(world, parameter, argument, place)
            nodes[parameter.name] = argument
        elif parameter.choices:
            values[parameter.name] = Word(parameter.choices[0])
        elif parameter.default is not None:
            values[parameter.name] = world.value(parameter.default, inside)
            nodes[parameter.name] = parameter.default
        else:
            raise Refused("missing-argument", f"{definition.name} wants {parameter.name}", node.span,
                          help=f"its header is {header(definition)}")  # fmt: skip
        inside.scope.define(parameter.name, Given(values[parameter.name], number=True))
        inside = Place(inside.scope, inside.scope.now, inside.context)
    return Bound(values, nodes)


def _by_name(definition: syntax.Definition, node: syntax.Call) -> dict[str, syntax.Expression]:
    names = [parameter.name for parameter in definition.parameters]
    given: dict[str, syntax.Expression] = {}
    for k, argument in enumerate(node.arguments):
        if argument.name is None and k >= len(names):
            raise Refused(
                "wrong-arity",
                f"{definition.name} takes {len(names)} argument{'s' * (len(names) != 1)}, and has "
                f"{len(node.arguments)} here",
                argument.span,
                help=f"its header is {header(definition)}",
            )
        name = argument.name or names[k]
        if name not in names:
            raise Refused(
                "unknown-keyword",
                f"{definition.name} has no argument called {name}",
                argument.span,
                help=suggestion(name, names) or f"its header is {header(definition)}",
            )
        if name in given:
            raise Refused("argument-twice", f"{name} is given twice", argument.span)
        given[name] = argument.value
    return given


def _value(world: World, parameter: syntax.Parameter, node: syntax.Expression, place: Place) -> Value:
    if not parameter.choices:
        return world.value(node, place)
    if isinstance(node, syntax.Name) and node.name in parameter.choices:
        return Word(node.name)
    value = world.value(node, place) if _is_known(world, node, place) else None
    if value is POISON or (isinstance(value, Word) and value.word in parameter.choices):
        return value
    said = f"; this is {described(value)}" if value is not None else ""
    raise Refused("not-a-choice", f"{parameter.name} is one of {', '.join(parameter.choices)}{said}", node.span)


def _is_known(world: World, node: syntax.Expression, place: Place) -> bool:
    return not isinstance(node, syntax.Name) or world.find(node.name, place) is not None


def header(definition: syntax.Definition) -> str:
    """`dense(x[..., i], units, bias = …)`."""
    return f"{definition.name}({', '.join(_shown(parameter) for parameter in definition.parameters)})"


def _shown(parameter: syntax.Parameter) -> str:
    if parameter.choices:
        return f"{parameter.name} = {' | '.join(parameter.choices)}"
    if parameter.axes is not None:
        return f"{parameter.name}[{', '.join(shown_axis(axis) for axis in parameter.axes)}]"
    return f"{parameter.name} = …" if parameter.default is not None else parameter.name


def shown_axis(node: syntax.Expression) -> str:
    """An axis of a header as written."""
    match node:
        case syntax.Name(name=name):
            return name
        case syntax.Ellipsis():
            return "..."
        case syntax.Number(value=value):
            return str(value)
    return "…"
