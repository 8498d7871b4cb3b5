"""A definition's header and the tensors it is handed: `dense(x[..., i], units)` makes `i` a dim inside."""

from gradc.errors import Label, Span
from gradc.graph.index import IndexExpr

from . import core, syntax
from .bind import Axes, Bound, header, matched, shown_axis
from .mends import another_rank
from .places import Context, Place
from .refusal import Refused
from .scopes import Given, Scope, Size
from .sizes import size_of
from .tensors import free_indices, settled, stored
from .values import Array, Element, Value, described, shown
from .world import World


def bind_tensors(world: World, definition: syntax.Definition, bound: Bound, scope: Scope, place: Place) -> Axes | None:
    """Gives every tensor argument a name and defines it inside, with the header's dims; gives what `...` stands for.

    Raises:
        Refused: an argument is no tensor, or its axes do not fit the header.
    """
    found = _Header(world, definition, scope)
    values: dict[str, Value] = {}
    for parameter in definition.parameters:
        value = bound.values[parameter.name]
        name = f"{scope.frame.returns}.{parameter.name}"
        if parameter.axes is not None and parameter.default is not None and isinstance(value, Element):
            value = found.everywhere(parameter, value)
        elif parameter.axes is not None:
            node = bound.nodes[parameter.name]
            value = _as_tensor(world, value, name, node, place)
            found.bind(parameter, value, node.span)
        elif isinstance(value, Array) and isinstance(definition.body, tuple):
            value = stored(world, value, name, place)
        elif isinstance(definition.body, tuple):
            value = settled(world, value, place)
        values[parameter.name] = value
    for name, value in values.items():
        scope.define(name, Given(value, number=not isinstance(value, Array)))
    for size in found.sizes.values():
        scope.define(size.name, size)
    return found.dots


def _as_tensor(world: World, value: Value, name: str, node: syntax.Expression, place: Place) -> Value:
    if isinstance(value, Array):
        return stored(world, value, name, place)
    if not isinstance(value, Element):
        raise Refused(
            "wrong-kind",
            f"a tensor is wanted here, and this is {described(value)}",
            node.span,
            help="hand over a whole tensor or a number",
        )
    mentioned = [i for i in place.indices if place.indices[i].name in free_indices(value.expression)]
    if mentioned:
        raise Refused(
            "wants-a-tensor",
            "a whole tensor is wanted here, and this is one number at each place",
            node.span,
            help=f"hand over the tensor without brackets, or go over an index: f[{mentioned[-1]}](…)",
        )
    return settled(world, value, place)


class _Header:
    """The dims of a header while its arguments are matched: by name, and those of `...`."""

    def __init__(self, world: World, definition: syntax.Definition, scope: Scope) -> None:
        self.world = world
        self.definition = definition
        self.scope = scope
        self.sizes: dict[str, Size] = {}
        self.owners: dict[str, str] = {}
        self.labels: dict[str, Label] = {}
        self.dots: Axes | None = None

    def bind(self, parameter: syntax.Parameter, value: Value, at: Span) -> None:
        """Matches the axes of one argument."""
        axes = value.axes if isinstance(value, Array) else ()
        named, rest = self._matched(parameter, axes, at)
        label = self.labels[parameter.name] = Label(at, f"{parameter.name} is {shown(axes)}")
        for written, axis in named:
            self._bind_axis(written, axis, parameter, label)
        if rest is None:
            return
        if self.dots is not None and [a.extent for a in self.dots] != [a.extent for a in rest]:
            first = self.owners["..."]
            raise Refused(
                "shapes-disagree",
                f"{self.definition.name} wants {parameter.name} to have the axes {shown(self.dots)} of {first}",
                at,
                [self.labels[first], label],
                help=f"the header is {header(self.definition)}: ... stands for the same axes throughout",
            )
        if self.dots is None:
            self.dots, self.owners["..."] = rest, parameter.name

    def _matched(self, parameter: syntax.Parameter, axes: Axes,
                 at: Span) -> tuple[list[tuple[syntax.Expression, core.Axis]], Axes | None]:  # fmt: skip
        written = parameter.axes or ()
        dots = any(isinstance(axis, syntax.Ellipsis) for axis in written)
        count = len(written) - dots
        if len(axes) < count or (not dots and len(axes) > count):
            wanted = f"{parameter.name}[{', '.join(map(shown_axis, written))}]"
            found = shown(axes) if axes else "a number"
            help = another_rank(parameter, axes, header(self.definition))
            raise Refused("wrong-rank", f"{self.definition.name} wants {wanted}, and this is {found}", at, help=help)
        named, rest = matched(written, axes)
        return named, rest if dots else None

    def everywhere(self, parameter: syntax.Parameter, value: Element) -> Array | Element:
        """A number in the place of a tensor: the default `mask[b, t] = true` stands at every place.

        The dims of the header are those that other arguments tell.
        """
        axes: list[core.Axis] = []
        for written in parameter.axes or ():
            if isinstance(written, syntax.Ellipsis):
                axes += self.dots or ()
            else:
                axes.append(core.Axis(shown_axis(written), self._size(written)))
        return Array(tuple(axes), value, lambda _subscripts, _ranges: value) if axes else value

    def _size(self, written: syntax.Expression) -> IndexExpr:
        context = Context("", self.scope.frame, (), "", written.span)
        return size_of(self.world, written, Place(self.scope, self.scope.now, context))

    def _bind_axis(
        self, written: syntax.Expression, axis: core.Axis, parameter: syntax.Parameter, label: Label
    ) -> None:
        if isinstance(written, syntax.Name) and written.name not in self.sizes:
            size = self.sizes[written.name] = Size(written.name, axis.extent)
            self.owners[written.name] = parameter.name
            self.scope.define(written.name, size)
            return
        if isinstance(written, syntax.Name):
            wanted, whose = self.sizes[written.name].value, f"{written.name} of {self.owners[written.name]}"
        else:
            wanted, whose = self._size(written), "the header"
        if wanted != axis.extent:
            owner = self.labels.get(self.owners.get(written.name, "")) if isinstance(written, syntax.Name) else None
            raise Refused(
                "shapes-disagree",
                f"an axis of {parameter.name} is {axis.extent}, and {whose} says {wanted}",
                label.span,
                [owner, label] if owner is not None and owner.span != label.span else [label],
                help=f"the header is {header(self.definition)}: a name has one size throughout",
            )
