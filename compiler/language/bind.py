"""The arguments of a call, each under its name in the header: by position, by keyword, by default."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from gradc.nearest import MUCH_LIKE, did_you_mean

from . import core, syntax
from .mends import AXIS_WORDS, over_last
from .places import Place
from .refusal import Refused
from .scopes import Given, Scope, Size
from .values import POISON, Array, Value, Word, described
from .world import World

Axes: TypeAlias = tuple[core.Axis, ...]


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
    parameters = {parameter.name: parameter for parameter in definition.parameters}
    values = {name: _value(world, parameters[name], argument, place) for name, argument in given.items()}
    nodes = dict(given)
    _define_dims(definition, values, inside.scope)
    for parameter in definition.parameters:
        if parameter.name in given:
            pass
        elif parameter.choices:
            values[parameter.name] = Word(parameter.choices[0])
        elif parameter.default is not None:
            inside = replace(inside, position=inside.scope.now)
            values[parameter.name] = world.value(parameter.default, inside)
            nodes[parameter.name] = parameter.default
        else:
            raise Refused("missing-argument", f"{definition.name} wants {parameter.name}", node.span,
                          help=f"its header is {header(definition)}")  # fmt: skip
        inside.scope.define(parameter.name, Given(values[parameter.name], number=True))
    return Bound({parameter.name: values[parameter.name] for parameter in definition.parameters}, nodes)


def _define_dims(definition: syntax.Definition, values: Mapping[str, Value], scope: Scope) -> None:
    """The dims of the header that the arguments tell, for its defaults: `hidden = 4 * c`. Whether all fit is seen
    later."""
    for parameter in definition.parameters:
        value = values.get(parameter.name)
        if parameter.axes is None or not isinstance(value, Array):
            continue
        axes, _ = matched(parameter.axes, value.axes)
        for written, axis in axes:
            if isinstance(written, syntax.Name) and written.name not in scope.dims():
                scope.define(written.name, Size(written.name, axis.extent))


def matched(written: Sequence[syntax.Expression], axes: Axes) -> tuple[list[tuple[syntax.Expression, core.Axis]], Axes]:
    """The axes of an argument beside those of the header, and those that `...` stands for."""
    dots = next((k for k, axis in enumerate(written) if isinstance(axis, syntax.Ellipsis)), None)
    if dots is None:
        return list(zip(written, axes, strict=False)), ()
    after = len(written) - dots - 1
    rest = axes[dots : len(axes) - after]
    plain = (*written[:dots], *written[dots + 1 :])
    return list(zip(plain, (*axes[:dots], *axes[len(axes) - after :]), strict=False)), rest


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
                help=_keyword_help(definition, name, names),
            )
        if name in given:
            raise Refused(
                "argument-twice",
                f"{name} is given twice",
                argument.span,
                help="give it once: by its place, or by its name",
            )
        given[name] = argument.value
    return given


def _keyword_help(definition: syntax.Definition, keyword: str, names: Sequence[str]) -> str:
    if close := did_you_mean(keyword, names, MUCH_LIKE):
        return close
    if definition.keyword == "optimizer":
        after = f"clip_norm and clip_value follow it: {definition.name}(…), clip_norm = 1.0"
        return f"its header is {header(definition)}; {after}"
    first = definition.parameters[0].axes if definition.parameters else None
    if keyword in AXIS_WORDS and first and not isinstance(first[-1], syntax.Ellipsis):
        return over_last(definition.name)
    return f"its header is {header(definition)}"


def _value(world: World, parameter: syntax.Parameter, node: syntax.Expression, place: Place) -> Value:
    if not parameter.choices:
        return world.value(node, place)
    if isinstance(node, syntax.Name) and node.name in parameter.choices:
        return Word(node.name)
    value = world.value(node, place) if _is_known(world, node, place) else None
    if value is POISON or (isinstance(value, Word) and value.word in parameter.choices):
        return value
    said = f"; this is {described(value)}" if value is not None else ""
    raise Refused(
        "not-a-choice",
        f"{parameter.name} is one of {', '.join(parameter.choices)}{said}",
        node.span,
        help=f"write {' or '.join(f'{parameter.name} = {word}' for word in parameter.choices)}",
    )


def _is_known(world: World, node: syntax.Expression, place: Place) -> bool:
    return not isinstance(node, syntax.Name) or world.find(node.name, place) is not None


def header(definition: syntax.Definition) -> str:
    """`dense(x[..., i], units, bias = …)`."""
    return f"{definition.name}({', '.join(_shown(parameter) for parameter in definition.parameters)})"


def _shown(parameter: syntax.Parameter) -> str:
    if parameter.choices:
        return f"{parameter.name} = {' | '.join(parameter.choices)}"
    axes = "" if parameter.axes is None else f"[{', '.join(shown_axis(axis) for axis in parameter.axes)}]"
    return f"{parameter.name}{axes}" + (" = …" if parameter.default is not None else "")


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
