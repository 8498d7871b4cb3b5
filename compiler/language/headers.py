"""A definition's header and the tensors it is handed: `dense(x[..., i], units)` makes `i` a dim inside."""

from gradc.errors import Label, Span

from . import core, syntax
from .bind import Bound
from .extents import size_of
from .tensors import free_indices, stored
from .values import POISON, Array, Element, Value, described, shown
from .world import Context, Given, Place, Refused, Scope, Size, World

Axes = tuple[core.Axis, ...]


def bind_tensors(world: World, definition: syntax.Definition, bound: Bound, scope: Scope, result: str,
                 place: Place) -> Axes | None:  # fmt: skip
    """Gives every tensor argument a name and defines it inside, with the header's dims; gives what `...` stands for.

    Raises:
        Refused: an argument is no tensor, or its axes do not fit the header.
    """
    dots: Axes | None = None
    values: dict[str, Value] = {}
    sizes: dict[str, tuple[Size, str]] = {}
    for parameter in definition.parameters:
        value = bound.values[parameter.name]
        if parameter.axes is not None:
            value = _as_tensor(world, value, f"{result}.{parameter.name}", bound.nodes[parameter.name], parameter, place)
            dots = _bind(world, definition, parameter, value, bound.nodes[parameter.name].span, sizes, scope, dots)
        elif isinstance(value, Array) and isinstance(definition.body, tuple):
            value = stored(world, value, f"{result}.{parameter.name}", place)
        values[parameter.name] = value
    for name, value in values.items():
        scope.define(name, Given(value, number=not isinstance(value, Array)))
    for size, _ in sizes.values():
        scope.define(size.name, size)
    return dots


def _as_tensor(world: World, value: Value, name: str, node: syntax.Expression, parameter: syntax.Parameter,
               place: Place) -> Value:  # fmt: skip
    if isinstance(value, Array):
        return stored(world, value, name, place)
    if value is POISON:
        return value
    if not isinstance(value, Element):
        raise Refused("wrong-kind", f"{parameter.name} is to be a tensor, and this is {described(value)}", node.span)
    mentioned = [i for i in place.indices if place.indices[i].name in free_indices(value.expression)]
    if mentioned:
        raise Refused("wants-a-tensor", "a whole tensor is wanted here, and this is one number at each place", node.span,
                      help=f"hand over the tensor without brackets, or go over an index: f[{mentioned[-1]}](…)")  # fmt: skip
    return value


def _bind(world: World, definition: syntax.Definition, parameter: syntax.Parameter, value: Value, at: Span,
          sizes: dict[str, tuple[Size, str]], scope: Scope, dots: Axes | None) -> Axes | None:  # fmt: skip
    axes = value.axes if isinstance(value, Array) else ()
    named, rest = _matched(definition, parameter, axes, at)
    label = Label(at, f"{parameter.name} is {shown(axes)}")
    for written, axis in named:
        _bind_axis(world, written, axis, parameter, sizes, scope, label)
    if rest is None:
        return dots
    if dots is not None and [a.extent for a in dots] != [a.extent for a in rest]:
        raise Refused("shapes-disagree", f"... in the header of {definition.name} is {shown(dots)} and {shown(rest)}", at,
                      [label])  # fmt: skip
    return rest if dots is None else dots


def _matched(definition: syntax.Definition, parameter: syntax.Parameter, axes: Axes,
             at: Span) -> tuple[list[tuple[syntax.Expression, core.Axis]], Axes | None]:  # fmt: skip
    written = parameter.axes or ()
    dots = [k for k, axis in enumerate(written) if isinstance(axis, syntax.Ellipsis)]
    plain = [axis for axis in written if not isinstance(axis, syntax.Ellipsis)]
    if len(axes) < len(plain) or (not dots and len(axes) > len(plain)) or len(dots) > 1:
        raise Refused("wrong-rank", f"{definition.name} wants {parameter.name}[{', '.join(map(_shown_axis, written))}], and "
                      f"this is {'a number' if not axes else shown(axes)}", at)  # fmt: skip
    if not dots:
        return list(zip(plain, axes, strict=True)), None
    start, width = dots[0], len(axes) - len(plain)
    kept = (*axes[:start], *axes[start + width :])
    return list(zip(plain, kept, strict=True)), axes[start : start + width]


def _shown_axis(axis: syntax.Expression) -> str:
    match axis:
        case syntax.Name(name=name):
            return name
        case syntax.Ellipsis():
            return "..."
    return "…"


def _bind_axis(world: World, written: syntax.Expression, axis: core.Axis, parameter: syntax.Parameter,
               sizes: dict[str, tuple[Size, str]], scope: Scope, label: Label) -> None:  # fmt: skip
    if isinstance(written, syntax.Name):
        known = sizes.get(written.name)
        if known is None:
            size = Size(written.name, axis.extent)
            sizes[written.name] = (size, parameter.name)
            scope.define(written.name, size)
            return
        wanted, whose = known[0].value, f"{written.name} of {known[1]}"
    else:
        context = Context("", scope.frame, (), "", written.span)
        wanted, whose = size_of(world, written, Place(scope, scope.now, context)), "the header"
    if wanted != axis.extent:
        raise Refused("shapes-disagree", f"an axis of {parameter.name} is {axis.extent}, and {whose} says {wanted}",
                      label.span, [label])  # fmt: skip
