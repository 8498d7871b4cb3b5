"""Optimizers: a rule's text, its arguments and a group of parameters → the equations of an update.

A rule that works number by number runs once over all parameters of its group, as one axis of numbers; any other runs
for each tensor. `p`, `g`, the states and the step `t` are leaves; clipping is the first of the equations.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction

from gradc.errors import Label, Span
from gradc.graph.index import dim, number
from gradc.nearest import did_you_mean

from . import core, syntax
from .bind import Bound, bind
from .blocks import run, whole_equation
from .core import Kind
from .equations import force
from .naming import step_number
from .numeric import is_number
from .outputs import tensor_name
from .places import Context, Place
from .refusal import Echo, Refused
from .scopes import Frame, Given, Scope
from .tensors import store, tensor_value
from .values import POISON, Array, Element, Value, decimal, described
from .walk import nodes, statements_in, values_in
from .world import Tables, World, ordered

GRADIENT, RATE = "gradient", "lr"


@dataclass(frozen=True, slots=True)
class Group:
    """An optimize line and the parameters it is for."""

    line: syntax.Optimize
    text: str
    parameters: tuple[core.Leaf, ...]
    scale: str | None
    """The scalar that clips by norm."""
    loss: core.Output | None
    """The scalar that they are to make less, where it is not the model's loss."""


@contextmanager
def rule_tables(world: World) -> Iterator[Tables]:
    """Tables of their own for a rule, whose names are apart from the model's."""
    outer, made, parameters = world.tables, world.made, world.parameters
    world.tables, world.made, world.parameters = Tables(step=True), {}, {}
    try:
        yield world.tables
    finally:
        world.tables, world.made, world.parameters = outer, made, parameters


def size_of_leaf(leaf: core.Leaf) -> int:
    """How many numbers a parameter has."""
    total = 1
    for axis in leaf.axes:
        total *= axis.extent.constant or 0
    return total


def updates_of(world: World, group: Group, model: Scope) -> list[core.Update]:
    """The updates of a group: one over all its numbers, or one for each tensor."""
    rule = group.line.rule
    definition = world.definition(rule.function, rule.function_span)
    if definition is None or definition.keyword != "optimizer":
        raise _no_optimizer(world, rule, definition)
    if not group.parameters:
        return []
    if _by_number(world, definition):
        axis = core.Axis("n", dim(_apart("size", definition)))
        return [_update(world, definition, group, group.parameters, (axis,), model)]
    return [_update(world, definition, group, (leaf,), leaf.axes, model) for leaf in group.parameters]


def _no_optimizer(world: World, rule: syntax.Call, definition: syntax.Definition | None) -> Refused:
    if definition is not None:
        return Refused(
            "not-an-optimizer",
            f"{rule.function} is a definition, and no optimizer",
            rule.function_span,
            help="a schedule stands in one: adam(lr = cosine(…)); one's own is written optimizer f(…): …",
        )
    own = world.definitions.get(rule.span.file, {})
    known = [n for n in {*world.library.names(), *own}
             if (d := own.get(n) or world.library.find(n)) and d.keyword == "optimizer"]  # fmt: skip
    return Refused("unknown-function", f"there is no optimizer {rule.function}", rule.function_span,
                   help=did_you_mean(rule.function, known) or f"there are {', '.join(sorted(known))}")  # fmt: skip


def _apart(name: str, definition: syntax.Definition) -> str:
    """The name, or one like it that no tensor of a rule has."""
    assert isinstance(definition.body, tuple)
    taken = {target.name for statement in statements_in(definition.body) if isinstance(statement, syntax.Equation)
             for target in statement.targets}  # fmt: skip
    while name in taken:
        name += "_"
    return name


def _by_number(world: World, definition: syntax.Definition) -> bool:
    """Whether a rule treats every number of a parameter alike, whatever its shape."""
    body = definition.body
    if not isinstance(body, tuple):
        return False
    for statement in statements_in(body):
        if isinstance(statement, syntax.Equation) and any(t.subscripts is not None for t in statement.targets):
            return False
        if not all(is_number(world, node) for root in values_in(statement) for node in nodes(root)):
            return False
    return True


def _update(world: World, definition: syntax.Definition, group: Group, parameters: tuple[core.Leaf, ...],
            axes: tuple[core.Axis, ...], model: Scope) -> core.Update:  # fmt: skip
    line = group.line
    with rule_tables(world) as tables:
        scope = _rule_scope(world, definition, group, axes, model)
        assert isinstance(definition.body, tuple)
        errors = len(world.diagnostics)
        run(world, definition.body, scope)
        if len(world.diagnostics) > errors:
            raise Echo
        results = tuple(_result(world, name, axes, scope, definition)
                        for name in ("p", *(m.name for m in tables.moments)))  # fmt: skip
        return core.Update(
            line.span,
            definition.name,
            group.text,
            tuple(leaf.name for leaf in parameters),
            axes,
            tuple(tables.moments),
            ordered(tables.tensors),
            ordered(tables.equations),
            results,
            group.loss,
        )


def _rule_scope(world: World, definition: syntax.Definition, group: Group, axes: tuple[core.Axis, ...],
                model: Scope) -> Scope:  # fmt: skip
    """What a rule sees: its arguments, p, g after clipping, t."""
    line = group.line
    frame = Frame(definition, None, "", (1,), line.rule.span)
    scope = Scope(frame, home=world.homes.get(definition.span.file))
    context = Context("", frame, (0,), group.text, line.span)
    outer = Place(model, model.now, replace(context, frame=replace(model.frame, order=(0,)), name="rule"))
    for name in ("p", "g", "t", *([group.scale] if group.scale else [])):
        world.unique(name)
    bound = bind(world, definition, line.rule, outer, Place(scope, 0, context))
    if any(value is POISON for value in bound.values.values()):
        raise Echo
    for parameter in definition.parameters:
        if parameter.name in ("p", "g", "t"):
            raise Refused("name-taken", f"{parameter.name} cannot be an argument of an optimizer", parameter.span,
                          help="p is the parameter, g its gradient, t the step")  # fmt: skip
    _check_rate(world, bound, model.frame)
    for name, value in bound.values.items():
        scope.define(name, Given(_argument(world, name, value, context), number=True))
    for name in ("p", "g"):
        scope.define(name, Given(tensor_value(line.span, name, axes, Kind.REAL)))
    scope.define("t", Given(step_number(line.span)))
    if group.scale:
        scope.define(group.scale, Given(tensor_value(line.span, group.scale, (), Kind.REAL)))
    _clip(world, group, scope, model)
    return scope


def _check_rate(world: World, bound: Bound, frame: Frame) -> None:
    """A learning rate is at least 0, here as on the command line; what a schedule gives is not known yet."""
    rate = bound.values.get(RATE)
    if isinstance(rate, Element) and rate.number is not None and rate.number < 0:
        message = f"a learning rate is at least 0, and this is {decimal(rate.number)}"
        help = "write lr = 1e-3: a step goes against the gradient; to make something grow, make less of its negative"
        world.report(Refused("wrong-argument", message, bound.nodes[RATE].span, help=help), frame)


def _argument(world: World, name: str, value: Value, context: Context) -> Value:
    """An argument; what depends on the step, such as a schedule, is worked out once."""
    if isinstance(value, Array):
        raise Refused(
            "wrong-kind",
            f"{name} of an optimizer is a number, and this is {described(value)}",
            context.span,
            help="take a mean of it, or give a number; a rate that changes is a schedule of t",
        )
    if not isinstance(value, Element) or value.known or isinstance(value.expression, core.Read | core.Constant):
        return value
    return store(world, value, world.unique(name), replace(context, name=name), (0, 0))


def _clip(world: World, group: Group, scope: Scope, model: Scope) -> None:
    """Clips g: by norm, whichever line says so, since that is over all gradients; by value where its own line does."""
    if group.scale:
        g, span = syntax.Name(group.line.span, "g"), group.line.span
        _next_gradient(world, scope, syntax.Binary(span, "*", g, syntax.Name(span, group.scale)))
    for option in group.line.options:
        if option.name == "clip_value":
            g = syntax.Name(option.span, "g")
            _next_gradient(world, scope, _call(option.span, "clip_value", g, literal(world, option, model)))


def _next_gradient(world: World, scope: Scope, value: syntax.Expression) -> None:
    """What `g` is from here on. The rule's frame stands in the library, and this text in the model's file."""
    name = world.unique("g")
    whole_equation(world, scope, "g", (name, name), value, value.span)


def literal(world: World, option: syntax.Argument, model: Scope) -> syntax.Number:
    """The number above 0 that an option is."""
    context = Context("", model.frame, (0,), "", option.span)
    value = world.value(option.value, Place(model, model.now, context))
    if value is POISON:
        raise Echo
    if not isinstance(value, Element) or value.number is None or value.number <= 0:
        raise Refused(
            "wrong-argument", f"{option.name} is a number above 0", option.value.span, help=f"write {option.name} = 1.0"
        )
    return syntax.Number(option.value.span, value.number, value.number.denominator == 1)


def _result(
    world: World, name: str, axes: tuple[core.Axis, ...], scope: Scope, definition: syntax.Definition
) -> tuple[str, str]:
    """What holds the next value of p or of a state: the last that was given to its name."""
    local = next(
        (
            n
            for n, entries in scope.entries.items()
            for _, e in entries
            if isinstance(e, Given) and isinstance(e.value, Element | Array) and tensor_name(e.value) == name
        ),
        name,
    )
    entry = scope.entries[local][-1][1]
    if isinstance(entry, Given):
        if name == "p":
            raise Refused(
                "no-update",
                f"the optimizer {definition.name} gives p no value",
                definition.span,
                help="end with p = p - lr * g, or what takes its place",
            )
        return name, name
    value = force(world, entry)
    if not isinstance(value, Element | Array):
        raise Echo
    scalar = any(m.name == name and m.scalar for m in world.tables.moments)
    shape = () if scalar else axes
    found = value.axes if isinstance(value, Array) else ()
    if [a.extent for a in found] != [a.extent for a in shape]:
        raise Refused(
            "shapes-disagree",
            f"{local} is given {described(value)}, and is {'a scalar' if scalar else 'shaped like the parameter'}",
            definition.span,
            help="an equation goes by element; sum and mean make scalars, which are declared with []",
        )
    tensor = tensor_name(value)
    if tensor is None:
        context = Context(
            local, scope.frame, (2, len(world.tables.tensors)), local, scope.frame.call or definition.span
        )
        tensor = tensor_name(store(world, value, world.unique(local), context, context.order))
    assert tensor is not None
    return name, tensor


# ---------------------------------------------------------------- clipping by norm


def clip_scale(world: World, lines: Sequence[syntax.Optimize], total: int,
               model: Scope) -> tuple[tuple[core.Tensor, ...], tuple[core.Equation, ...], str | None]:  # fmt: skip
    """The scalar that clips by norm, from all gradients as one axis, and its name: of all lines, whichever says it."""
    options = [option for line in lines for option in line.options if option.name == "clip_norm"]
    if not options:
        return (), (), None
    limit = _one_limit(world, options, model)
    with rule_tables(world) as tables:
        span = options[0].span
        scope = Scope(replace(model.frame, order=(0,)))
        axis = core.Axis("n", number(total))
        scope.define(GRADIENT, Given(tensor_value(span, GRADIENT, (axis,), Kind.REAL)))
        world.unique(GRADIENT)
        two = syntax.Number(span, Fraction(2), True)
        squares = _call(span, "sum", syntax.Binary(span, "^", syntax.Name(span, GRADIENT), two))
        norm_name = world.unique("gradient_norm")
        whole_equation(world, scope, norm_name, (norm_name, norm_name), _call(span, "sqrt", squares), span)
        name = world.unique("clip_scale")
        value = _call(span, "clip_norm_scale", syntax.Name(span, norm_name), limit)
        whole_equation(world, scope, name, (name, name), value, span)
        run(world, (), scope)
        return ordered(tables.tensors), ordered(tables.equations), name


def _one_limit(world: World, options: Sequence[syntax.Argument], model: Scope) -> syntax.Number:
    """The limit that the lines give, which is that of all gradients together: several lines may only repeat it."""
    limits = [literal(world, option, model) for option in options]
    if any(limit.value != limits[0].value for limit in limits):
        labels = [Label(option.span, str(decimal(limit.value))) for option, limit in zip(options, limits, strict=True)]
        raise Refused(
            "several-limits",
            "clip_norm is over all gradients, whatever their line, and has several values here",
            options[1].span,
            labels,
            help="give it on one line; clip_value is of its own line",
        )
    return limits[0]


def _call(span: Span, function: str, *values: syntax.Expression) -> syntax.Call:
    arguments = tuple(syntax.Argument(value.span, None, value) for value in values)
    return syntax.Call(span, function, span, None, arguments)
