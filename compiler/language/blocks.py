"""Blocks: statements in order → names in a scope. Loops and conditions unfold; equations wait until they are needed.

A whole-tensor equation makes a new tensor under its name. The index equations of a name in one block make one tensor.
"""

from collections.abc import Iterator, Sequence

from gradc.errors import Label, Span

from . import syntax
from .conditions import decided, loop_values, repetitions
from .declarations import declare_dim, declare_inputs, declare_parameter
from .equations import axes_of, force
from .naming import CONSTANTS
from .refusal import Refused
from .scopes import Entry, Given, Group, Part, Returning, Scope, Size, Thunk, Written
from .states import NEXT, note_hidden, state_of
from .values import POISON
from .world import Updated, World

BLOCKS = (syntax.For, syntax.Repeat, syntax.If)
TRAINING = (syntax.Optimize, syntax.Freeze, syntax.Fit, syntax.Data)
TOP_LEVEL = (syntax.Inputs, syntax.Output, syntax.Definition, syntax.Use, syntax.ModelName, *TRAINING)


def run(world: World, statements: Sequence[syntax.Statement], scope: Scope) -> None:
    """Unfolds a block, then elaborates all its equations in order."""
    run_statements(world, statements, scope)
    if scope.outer is None:
        for entry in scope.pending:
            if isinstance(entry, Group):
                axes_of(world, entry)
            try:
                force(world, entry)
            except Refused as refused:
                world.report(refused, scope.frame)


def run_statements(world: World, statements: Sequence[syntax.Statement], scope: Scope) -> None:
    """Unfolds a block; its equations wait."""
    for statement in statements:
        try:
            _run_one(world, statement, scope)
        except Refused as refused:
            world.report(refused, scope.frame)
            for name in _made_in([statement] if isinstance(statement, BLOCKS) else []):
                scope.define(name, Given(POISON))


def _made_in(statements: Sequence[syntax.Statement]) -> Iterator[str]:
    """The names that equations make in these, and in the blocks among them."""
    for statement in statements:
        match statement:
            case syntax.Equation(targets=targets):
                yield from (target.name for target in targets)
            case syntax.If(then=then, otherwise=otherwise):
                yield from _made_in([*then, *otherwise])
            case syntax.For(body=body) | syntax.Repeat(body=body):
                yield from _made_in(body)


def _run_one(world: World, statement: syntax.Statement, scope: Scope) -> None:
    _check_position(statement, scope)
    match statement:
        case syntax.Equation():
            _equation(world, statement, scope)
        case syntax.Return():
            _return(world, statement, scope)
        case syntax.Output():
            _output(world, statement, scope)
        case syntax.Param():
            declare_parameter(world, statement, scope)
        case syntax.Inputs():
            declare_inputs(world, statement, scope)
        case syntax.Dim():
            declare_dim(world, statement, scope)
        case syntax.For():
            _for(world, statement, scope)
        case syntax.Repeat():
            _repeat(world, statement, scope)
        case syntax.If(then=then, otherwise=otherwise):
            branch = decided(world, statement.condition, scope)
            run_statements(world, then if branch else otherwise, scope)
        case _ if isinstance(statement, TRAINING):
            world.statements.append(statement)


def _check_position(statement: syntax.Statement, scope: Scope) -> None:
    if isinstance(statement, TOP_LEVEL) and (scope.frame.definition is not None or scope.outer is not None):
        raise Refused("not-here", "this stands at the top level of a model, outside of definitions and loops",
                      statement.span, help="move it to the left margin of the file")  # fmt: skip
    returned = scope.entries.get("return")
    if returned and not (isinstance(returned[-1][1], Group) and isinstance(statement, syntax.Return)):
        raise Refused(
            "after-return",
            "nothing comes after `return`",
            statement.span,
            help="move it above the `return`, or delete it; where that stands in an `if`, into its `else:`",
        )


# ---------------------------------------------------------------- equations


def _equation(world: World, statement: syntax.Equation, scope: Scope) -> None:
    if statement.update:
        _update(world, statement, scope)
        return
    for target in statement.targets:
        check_name(scope, target.name, target.span)
        note_hidden(world, target, scope)
    if len(statement.targets) > 1:
        _several(world, statement, scope)
        return
    (target,) = statement.targets
    if target.subscripts is None:
        name = full_name(world, scope, target.name)
        whole_equation(world, scope, target.name, name, statement.value, statement.span)
    else:
        index_equation(world, scope, target.name, target.subscripts, statement.value, statement.span)


def _update(world: World, statement: syntax.Equation, scope: Scope) -> None:
    """An update is an equation whose value a state has after the step: it takes no name from the state."""
    (target,) = statement.targets
    state, seen = state_of(world, target, scope)
    local, span = f"{target.name}.{NEXT}", statement.span
    known = scope.group_of(local)
    if target.subscripts is not None:
        entry: Entry = index_equation(world, scope, local, target.subscripts, statement.value, span)
    else:
        entry = whole_equation(world, scope, None, full_name(world, scope, local), statement.value, span)
    if isinstance(entry, Group):
        entry.like = state.axes
    if entry is not known:
        world.updates.append(Updated(state, seen, entry, span, scope.frame))


def _several(world: World, statement: syntax.Equation, scope: Scope) -> None:
    indexed = [target for target in statement.targets if target.subscripts is not None]
    if indexed:
        raise Refused(
            "several-values",
            "several names on the left stand without brackets",
            indexed[0].span,
            help=f"write an equation for each: {indexed[0].name}[…] = …",
        )
    names = [full_name(world, scope, target.name) for target in statement.targets]
    tensors = tuple(tensor for _, tensor in names)
    thunk = Thunk(names[0][0], scope, scope.now, order_here(scope), tensors, statement.value, statement.span)
    world.count_instance(statement.span)
    scope.pending.append(thunk)
    for at, (target, both) in enumerate(zip(statement.targets, names, strict=True)):
        _note(world, both, thunk)
        scope.define(target.name, Part(thunk, at))


def whole_equation(world: World, scope: Scope, local: str | None, names: tuple[str, str], value: syntax.Expression,
                   span: Span) -> Thunk:  # fmt: skip
    """A new tensor: its local name, that by which its calls name what is theirs, and its own."""
    world.count_instance(span)
    base, name = names
    thunk = Thunk(base, scope, scope.now, order_here(scope), (name,), value, span)
    _note(world, names, thunk)
    scope.pending.append(thunk)
    if local is None:
        scope.now += 1
    else:
        scope.define(local, thunk)
    return thunk


def index_equation(world: World, scope: Scope, local: str, subscripts: tuple[syntax.Expression, ...],
                   value: syntax.Expression, span: Span) -> Group:  # fmt: skip
    """One more equation of the tensor that this block's index equations of the name make."""
    world.count_instance(span)
    group = scope.group_of(local)
    order = order_here(scope)
    if group is None:
        above = [entry for _, entry in scope.entries.get(local, []) if isinstance(entry, Thunk | Part)]
        if above:
            whole = above[-1] if isinstance(above[-1], Thunk) else above[-1].whole
            raise Refused("index-after-whole", f"the index equations of {local} stand above its whole-tensor equation",
                          span, [Label(whole.span, "a whole tensor"), Label(span, "places of one")],
                          help="give one of them another name")  # fmt: skip
        base, name = full_name(world, scope, local)
        group = Group(name, base, local)
        _note(world, (base, name), group)
        scope.pending.append(group)
        scope.define(local, group)
    elif any(isinstance(e, Thunk) for _, e in scope.entries[local]):
        raise Refused(
            "index-after-whole",
            f"the index equations of {local} stand above its whole-tensor equation",
            span,
            help="give one of them another name",
        )
    group.equations.append(Written(subscripts, value, span, scope, scope.now, order))
    scope.now += 1
    return group


def _note(world: World, names: tuple[str, str], entry: Thunk | Group) -> None:
    for name in names:
        world.made.setdefault(name, entry)


def full_name(world: World, scope: Scope, local: str) -> tuple[str, str]:
    """The full name of an equation, and that of the tensor it makes: one that is a result may have another's name."""
    frame = scope.frame
    if local == "return":
        return frame.prefix.removesuffix("."), frame.results.get(local) or world.unique(frame.returns)
    base = world.unique(frame.prefix + local)
    return base, frame.results.get(local, base) if scope.outer is None else base


def order_here(scope: Scope) -> tuple[int, ...]:
    """The place of the next statement in the order of the model."""
    outer = (*order_here(scope.outer)[:-1], scope.at) if scope.outer else scope.frame.order
    return (*outer, scope.now)


def check_name(scope: Scope, name: str, span: Span) -> None:
    """A name that is a dim's, or means something else already, names no tensor."""
    if name in CONSTANTS:
        raise Refused("reserved-name", f"{name} is a name of the language", span, help="take another name")
    if isinstance(scope.find(name, scope.now, False), Size):
        raise Refused("name-taken", f"{name} is a dim", span, help="take another name for the tensor")


# ---------------------------------------------------------------- results


def _return(world: World, statement: syntax.Return, scope: Scope) -> None:
    if scope.frame.definition is None:
        raise Refused(
            "not-here",
            "`return` stands in a definition",
            statement.span,
            help="give the value a name, as in y = …; a definition begins with def f(x):",
        )
    if statement.subscripts is not None:
        index_equation(world, scope, "return", statement.subscripts, statement.values[0], statement.span)
    else:
        scope.define("return", Returning(statement.values, statement.span, scope, scope.now, order_here(scope)))


def _output(world: World, statement: syntax.Output, scope: Scope) -> None:
    """An output is an equation whose name is also handed out."""
    target, value = statement.target, statement.value
    if target is not None:
        check_name(scope, target.name, target.span)
        entry: Entry = (
            whole_equation(world, scope, target.name, full_name(world, scope, target.name), value, statement.span)
            if target.subscripts is None
            else index_equation(world, scope, target.name, target.subscripts, value, statement.span)
        )
        world.outputs.append((statement, target.name, entry))
        return
    called = {"loss": "loss", "predict": "prediction"}.get(statement.role, "")
    if statement.role != "loss" and isinstance(value, syntax.Name):
        called = value.name
        entry = whole_equation(world, scope, None, (called, called), value, statement.span)
    else:
        local = "loss" if statement.role == "loss" else None
        entry = whole_equation(world, scope, local, full_name(world, scope, called), value, statement.span)
    world.outputs.append((statement, called, entry))


# ---------------------------------------------------------------- loops


def _for(world: World, statement: syntax.For, scope: Scope) -> None:
    for value in loop_values(world, statement, scope):
        round_scope = _round(world, scope, statement.span)
        check_name(round_scope, statement.name, statement.span)
        round_scope.define(statement.name, Given(value, number=True))
        run_statements(world, statement.body, round_scope)
        _hand_out(round_scope, scope, statement.name)


def _repeat(world: World, statement: syntax.Repeat, scope: Scope) -> None:
    for _ in range(repetitions(world, statement, scope)):
        round_scope = _round(world, scope, statement.span)
        run_statements(world, statement.body, round_scope)
        _hand_out(round_scope, scope, None)


def _round(world: World, scope: Scope, span: Span) -> Scope:
    world.count_instance(span)
    round_scope = Scope(scope.frame, scope)
    return round_scope


def _hand_out(round_scope: Scope, scope: Scope, variable: str | None) -> None:
    """After a loop, a name means its last round's."""
    for name, entries in round_scope.entries.items():
        if name != variable:
            scope.define(name, entries[-1][1])
    scope.now += 1
