"""Declarations: dims, inputs, targets and parameters → names in scope and leaves of the model."""

from dataclasses import replace

from gradc.errors import Span
from gradc.graph.index import ZERO, IndexExpr, dim, number
from gradc.graph.ranges import never_negative

from . import core, syntax
from .arithmetic import as_number
from .conditions import meanings, place_here
from .core import Bounds, Kind, Role
from .indices import index_name
from .naming import CONSTANTS
from .places import Context, Place
from .refusal import Echo, Refused
from .scopes import Given, Scope, Size
from .seen import seen_in_call
from .sizes import size_of
from .tensors import WIDEST, tensor_value, tensors_read
from .values import POISON, Array, Element, Value, described, shown
from .walk import names_in
from .world import World

ORTHOGONAL = "orthogonal"


def declare_dim(world: World, statement: syntax.Dim, scope: Scope) -> None:
    """`dim n = 64`, `dim batch`."""
    name = statement.name
    _check_new(scope, name, statement)
    if statement.value is None:
        if scope.frame.definition is not None or scope.outer is not None:
            raise Refused(
                "free-dim",
                f"dim {name} needs a value here: only a file's dims are known when called",
                statement.span,
                help=f"write dim {name} = …, of numbers and of the dims that the header names",
            )
        scope.define(name, Size(name, dim(name)))
        return
    place = place_here(scope, statement.span)
    try:
        size = size_of(world, statement.value, place)
        if not never_negative(size - 1):
            message = f"dim {name} is {size}, which must be at least 1"
            if not world.require(statement.span, size - 1, message):
                raise Refused(
                    "not-a-size",
                    f"dim {name} is {size}, and a size is at least 1",
                    statement.span,
                    help="look at the sizes that it is computed from",
                )
    except Refused as refused:
        scope.define(name, Given(POISON))
        told = refused.diagnostic
        refused.diagnostic = replace(told, help=meanings(world, statement.value, place) or told.help)
        raise
    scope.define(name, Size(name, size))


def _check_new(scope: Scope, name: str, statement: syntax.Dim | syntax.Declared) -> None:
    if name in CONSTANTS:
        raise Refused("reserved-name", f"{name} is a name of the language", statement.span, help="take another name")
    if any(True for at, _ in scope.entries.get(name, []) if at <= scope.now):
        raise Refused("name-taken", f"{name} is declared already", statement.span, help="take another name")


# ---------------------------------------------------------------- inputs


def declare_inputs(world: World, statement: syntax.Inputs, scope: Scope) -> None:
    """`input x[batch, n]`, `target y[batch] : int(classes)`."""
    for declared in statement.tensors:
        try:
            _declare_input(world, declared, scope, statement.target)
        except Refused as refused:
            if not scope.entries.get(declared.name):
                scope.define(declared.name, Given(POISON))
            world.report(refused, scope.frame)


def _declare_input(world: World, declared: syntax.Declared, scope: Scope, target: bool) -> None:
    _check_new(scope, declared.name, declared)
    place = place_here(scope, declared.span)
    axes = tuple(_axis(world, node, place) for node in declared.axes)
    kind, bounds = _type(world, declared.type, place)
    role = Role.TARGET if target else Role.INPUT
    leaf = core.Leaf(declared.span, world.unique(declared.name), role, axes, kind, bounds)
    world.add_leaf((*scope.frame.order, scope.now), leaf)
    scope.define(declared.name, Given(tensor_value(declared.span, leaf.name, axes, kind, bounds)))


def _axis(world: World, node: syntax.Expression, place: Place) -> core.Axis:
    if isinstance(node, syntax.Ellipsis):
        raise Refused(
            "stray-dots",
            "an input's axes are given one by one",
            node.span,
            help="name each axis, as in x[batch, time, n]; a definition can take any, as in def f(x[..., i])",
        )
    if isinstance(node, syntax.Binder):
        raise Refused(
            "stray-binder",
            "an input's axes are sizes; its places have no index here",
            node.span,
            help="write the size alone, as in x[batch, n]",
        )
    size = size_of(world, node, place) if world.value(node, place) is not POISON else None
    if size is None:
        raise Echo
    if not never_negative(size - 1):
        raise _too_short(size, node)
    return core.Axis(node.name if isinstance(node, syntax.Name) else str(size), size)


def _too_short(size: IndexExpr, node: syntax.Expression) -> Refused:
    message = f"an axis is at least 1 long, and this one is {size}"
    return Refused("not-a-size", message, node.span, help="look at the sizes that it is computed from")


def _type(world: World, type_name: syntax.TypeName | None, place: Place) -> tuple[Kind, Bounds | None]:
    if type_name is None:
        return Kind.REAL, None
    if type_name.name not in {"int", "bool", "real"} or (type_name.argument is not None and type_name.name != "int"):
        raise Refused("unknown-type", f"there is no type {type_name.name}", type_name.span,
                      help="a type is int(n), int or bool; without one a tensor is real")  # fmt: skip
    if type_name.name != "int" or type_name.argument is None:
        return {"int": Kind.WHOLE, "bool": Kind.BOOL, "real": Kind.REAL}[type_name.name], None
    size = size_of(world, type_name.argument, place)
    if not never_negative(size - 1):
        raise Refused(
            "not-a-size",
            f"int({size}) has no values",
            type_name.span,
            help="int(n) holds 0 .. n - 1, so n is at least 1",
        )
    if size.constant is not None and size.constant - 1 > WIDEST:
        raise Refused("not-a-size", f"a whole number is at most {WIDEST:,}", type_name.span,
                      help="int alone is any whole number")  # fmt: skip
    return Kind.WHOLE, Bounds(number(0), size - 1)


# ---------------------------------------------------------------- parameters


def declare_parameter(world: World, statement: syntax.Param, scope: Scope) -> None:
    """`param w[n, m] ~ he_normal(fan_in = n)`, `state mean[c] ~ zeros`."""
    name = statement.name
    if statement.state and statement.frozen:
        scope.define(name, Given(POISON))
        raise Refused("not-here", f"{name} is a state, which is not trained in any case", statement.span,
                      help="leave `frozen` out; without an `update` it stays as it is")  # fmt: skip
    if statement.state and world.tables.step:
        _declare_moment(world, statement, scope)
        return
    if world.tables.step:
        raise Refused(
            "not-here",
            "an optimizer has `state`, and no parameters of its own",
            statement.span,
            help=f"write state {name} ~ zeros: what it keeps for each number of p from step to step",
        )
    if name in CONSTANTS:
        raise Refused("reserved-name", f"{name} is a name of the language", statement.span, help="take another name")
    _check_free(world, scope, statement)
    own = world.unique(scope.frame.prefix + name)
    full = scope.frame.parameter(own)
    try:
        leaf = _leaf(world, statement, full, scope)
        world.count_instance(statement.span)
        if full in world.parameters:
            _once_more(world, leaf, (*scope.frame.order, scope.now))
        else:
            world.add_leaf((*scope.frame.order, scope.now), leaf)
    except Refused:
        scope.define(name, Given(POISON))
        raise
    world.tables.spans[full] = _name_span(world, statement, leaf.span)
    value: Value = tensor_value(leaf.span, full, leaf.axes, Kind.REAL)
    world.parameters[full] = value
    if statement.state and scope.frame.is_shared:
        value = seen_in_call(world, leaf, own, scope.frame, (*scope.frame.order, scope.now))
    scope.define(name, Given(value))


def _check_free(world: World, scope: Scope, statement: syntax.Param) -> None:
    """A parameter may have the name of an equation or of a parameter above, not that of a dim or of what is given."""
    entries = scope.entries.get(statement.name, [])
    last = entries[-1][1] if entries else None
    value = last.value if isinstance(last, Given) else None
    named = value.name if isinstance(value, Array) and not scope.frame.prefix else None
    given = named is not None and any(
        leaf.name == named for _, leaf in world.tables.leaves if leaf.role in (Role.INPUT, Role.TARGET)
    )
    if isinstance(last, Size) or given:
        scope.define(statement.name, Given(POISON))
        raise Refused(
            "name-taken", f"{statement.name} is declared already", statement.span, help="take another name for one"
        )


def _once_more(world: World, leaf: core.Leaf, order: tuple[int, ...]) -> None:
    """A parameter that a call of a shared definition has in common with those before: the first in order makes it."""
    leaves = world.tables.leaves
    at = next(at for at, (_, other) in enumerate(leaves) if other.name == leaf.name)
    first, known = leaves[at]
    if [axis.extent for axis in known.axes] != [axis.extent for axis in leaf.axes]:
        raise Refused(
            "shapes-disagree",
            f"{leaf.name} is {shown(leaf.axes)} in this call, and {shown(known.axes)} in another",
            leaf.span,
            help="the calls of a shared definition have one set of parameters; a plain `def` makes one for each call",
        )
    if order < first:
        leaves[at] = (order, leaf)


def _name_span(world: World, statement: syntax.Param, span: Span) -> Span:
    """The place of the name in `param w[n, m] ~ …`."""
    if span != statement.span:
        return span
    line = world.sources.get(span.file, "").split("\n")[span.line - 1 : span.line]
    at = line[0].find(statement.name, span.column + len("param") - 1) if line else -1
    return replace(span, column=at + 1) if at >= 0 else span


def _declare_moment(world: World, statement: syntax.Param, scope: Scope) -> None:
    """`state v ~ zeros` in an optimizer: shaped like p, or with `[]` a scalar."""
    if scope.entries.get(statement.name):
        raise Refused("name-taken", f"{statement.name} means something in this optimizer already", statement.span,
                      help="p, g, t and the arguments have their names; take another")  # fmt: skip
    try:
        law = _law_of_moment(world, statement, scope)
    except Refused:
        scope.define(statement.name, Given(POISON))
        raise
    scalar = statement.axes is not None
    assert law.value is not None
    name = world.unique(statement.name)
    world.tables.moments.append(core.Moment(name, scalar, law.value))
    shape = next(e.value for _, e in scope.entries["p"] if isinstance(e, Given))
    axes = () if scalar or not isinstance(shape, Array) else shape.axes
    scope.define(statement.name, Given(tensor_value(statement.span, name, axes, Kind.REAL)))


def _law_of_moment(world: World, statement: syntax.Param, scope: Scope) -> core.Law:
    if statement.axes:
        raise Refused(
            "not-a-state",
            "a state of an optimizer is shaped like p, or with [] a scalar",
            statement.span,
            help=f"write state {statement.name} ~ zeros, or state {statement.name}[] ~ zeros",
        )
    return law_of(world, statement, (), place_here(scope, statement.span))


def _leaf(world: World, statement: syntax.Param, full: str, scope: Scope) -> core.Leaf:
    span = world.span(statement.span, scope.frame)
    context = Context(full, scope.frame, scope.frame.order, world.text(statement.span), span)
    place = replace(place_here(scope, statement.span), context=context)
    axes: list[core.Axis] = []
    indices: list[core.Index] = []
    named: dict[str, core.Index] = {}
    for node in statement.axes or ():
        for axis, index_written in _parameter_axes(world, node, place):
            axes.append(axis)
            name = context.fresh_index(index_written) if index_written else index_name(axis, context)
            indices.append(core.Index(name, ZERO, axis.extent))
            if index_written:
                named[index_written] = indices[-1]
    law = law_of(world, statement, tuple(indices), place.among(named))
    role = Role.STATE if statement.state else Role.PARAM
    return core.Leaf(span, full, role, tuple(axes), Kind.REAL, law=law, frozen=statement.frozen)


def _parameter_axes(world: World, node: syntax.Expression, place: Place) -> list[tuple[core.Axis, str]]:
    if isinstance(node, syntax.Ellipsis):
        rest = place.scope.frame.axes
        if rest is None:
            raise Refused(
                "stray-dots",
                "... stands for the axes of a definition's header",
                node.span,
                help="name each axis, as in w[n, m]",
            )
        return [(_fixed(axis, node), "") for axis in rest]
    binder = node.name if isinstance(node, syntax.Binder) else ""
    inner = node.extent if isinstance(node, syntax.Binder) else node
    if world.value(inner, place) is POISON:
        raise Echo
    size = size_of(world, inner, place)
    return [(_fixed(core.Axis(inner.name if isinstance(inner, syntax.Name) else str(size), size), node), binder)]


def _fixed(axis: core.Axis, node: syntax.Expression) -> core.Axis:
    if axis.extent.dims:
        raise Refused("free-parameter",
                      f"the size of a parameter or state is fixed, and {axis.extent} is known only when called",
                      node.span, help=f"give dim {axis.extent.dims[0]} a value")  # fmt: skip
    if axis.extent.constant is None or axis.extent.constant < 1:
        raise _too_short(axis.extent, node)
    return axis


def law_of(world: World, statement: syntax.Param, indices: tuple[core.Index, ...], place: Place) -> core.Law:
    """The initial law of a parameter or a state: an expression at every place, or a law's name alone."""
    node = statement.law
    span = world.span(statement.span, place.context.frame)
    text = world.text(node.span)
    if isinstance(node, syntax.Name | syntax.Call):
        called = node.name if isinstance(node, syntax.Name) else node.function
        entry = world.find(called, place)
        if called == ORTHOGONAL and entry is None and world.definition(called, node.span) is None:
            return _orthogonal(node, indices, span, text)
        if isinstance(node, syntax.Name) and entry is None and called not in CONSTANTS | set(place.indices):
            node = syntax.Call(node.span, called, node.span, None, ())
    if ORTHOGONAL in names_in(node) and world.find(ORTHOGONAL, place) is None:
        raise Refused("not-a-law", "orthogonal is a law of all places together, and no number at each", node.span,
                      help="it stands alone, ~ orthogonal; a factor stands where the parameter is used")  # fmt: skip
    value = world.value(node, place)
    if value is POISON:
        raise Echo
    if not isinstance(value, Element):
        raise Refused(
            "not-a-law",
            f"an initial law is a number at every place, and this is {described(value)}",
            node.span,
            help="write a law, as in ~ zeros or ~ he_normal(fan_in = n), or a number at each place: ~ normal() * 0.1",
        )
    read = next(iter(tensors_read(value.expression)), None)
    if read is not None:
        raise Refused(
            "not-a-law",
            f"an initial law reads no tensor, and this reads {read}",
            node.span,
            help="it sees sizes, indices, normal() and uniform(); what is computed from tensors is an equation",
        )
    return core.Law(span, text, indices, as_number(value).expression)


def _orthogonal(node: syntax.Name | syntax.Call, indices: tuple[core.Index, ...], span: Span, text: str) -> core.Law:
    if isinstance(node, syntax.Call) and node.arguments:
        raise Refused(
            "wrong-arity",
            "orthogonal takes no arguments",
            node.span,
            help="write ~ orthogonal; a factor stands where the parameter is used",
        )
    if len(indices) < 2:  # noqa: PLR2004  (the first axis against the rest)
        raise Refused(
            "not-a-law",
            "orthogonal wants two axes or more: the first against the rest",
            node.span,
            help="for a number or one axis write ~ normal() * 0.1",
        )
    return core.Law(span, text, indices, None)
