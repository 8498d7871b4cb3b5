"""How a model is trained: its `optimize`, `freeze`, `fit` and `data` lines → groups of parameters and their updates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from gradc.errors import Label, Span
from gradc.nearest import did_you_mean
from gradc.patterns import fits

from . import core, syntax
from .core import Role
from .load import leaves_folder
from .outputs import tensor_name
from .places import Context, Place
from .refusal import Echo, Refused
from .rules import Group, clip_scale, size_of_leaf, updates_of
from .scopes import Given, Scope
from .values import POISON, Element, described
from .world import World, ordered

FIT = {"epochs": (1, True), "batch": (1, True), "validation": (0, False), "seed": (0, True)}
"""The options of `fit`: their least value, and whether they are whole."""
OPTIONS = {"clip_norm", "clip_value"}
DEFAULT = "optimize adam(lr = 1e-3)"


@dataclass(frozen=True, slots=True)
class Settings:
    """What a model says of its training, and which parameters stay fixed."""

    training: core.Training
    frozen: frozenset[str]
    fit: tuple[tuple[str, float], ...]
    data: str | None


def settings(world: World, scope: Scope, span: Span, lr: float | None) -> Settings:
    """Reads all statements about training; `span` is where the rule of a model without any is said to stand."""
    leaves = [leaf for leaf in ordered(world.tables.leaves) if leaf.role is Role.PARAM]
    statements = world.statements
    frozen = {leaf.name for leaf in leaves if leaf.frozen}
    for statement in statements:
        if isinstance(statement, syntax.Freeze):
            frozen |= _collect(world, scope, statement, leaves)
    lines = [s for s in statements if isinstance(s, syntax.Optimize)] or [_default(world, span)]
    fit = _fit(world, [s for s in statements if isinstance(s, syntax.Fit)], scope)
    data = _data(world, [s for s in statements if isinstance(s, syntax.Data)], scope)
    training = core.Training((), (), ())
    try:
        lines = [_with_lr(world, line, lr, scope) for line in lines]
        training = _training(world, scope, lines, leaves, frozenset(frozen))
    except Refused as refused:
        world.report(refused, scope.frame)
    return Settings(training, frozenset(frozen), fit, data)


def _default(world: World, span: Span) -> syntax.Optimize:
    """The library's adam, whatever a model's own definitions are called."""
    value = syntax.Number(span, Fraction(1, 1000), False)
    adam = world.library.find("adam")
    rule = syntax.Call(span, "adam", adam.span if adam else span, None, (syntax.Argument(span, "lr", value),))
    return syntax.Optimize(span, None, rule, (), None)


def _with_lr(world: World, line: syntax.Optimize, lr: float | None, scope: Scope) -> syntax.Optimize:
    """The line with another learning rate, where one is asked for."""
    if lr is None:
        return line
    rule = line.rule
    given = next((a for a in rule.arguments if a.name == "lr" or (a.name is None and a is rule.arguments[0])), None)
    if given is not None and not isinstance(given.value, syntax.Number):
        raise Refused(
            "lr-is-a-schedule",
            "the learning rate of the model is a schedule, and is not replaced by one number",
            given.span,
            help="change it in the model",
        )
    value = syntax.Number(rule.span, Fraction(repr(lr)), False)
    others = tuple(a for a in rule.arguments if a is not given)
    first = syntax.Argument(rule.span, None if given is not None and given.name is None else "lr", value)
    ordered = (first, *others) if first.name is None else (*others, first)
    return replace(line, rule=replace(rule, arguments=ordered))


# ---------------------------------------------------------------- patterns


def _collect(world: World, scope: Scope, statement: syntax.Freeze, leaves: Sequence[core.Leaf]) -> set[str]:
    found: set[str] = set()
    for pattern in statement.patterns:
        names = _fitting(pattern.value, leaves)
        if not names and not _follows(world, scope, pattern.value):
            world.report(_fits_nothing(pattern.value, pattern.span, leaves), scope.frame)
        found |= names
    return found


def _fitting(pattern: str, leaves: Sequence[core.Leaf]) -> set[str]:
    return {leaf.name for leaf in leaves if fits(pattern, leaf.name)}


def _follows(world: World, scope: Scope, pattern: str) -> bool:
    """Whether a parameter may be missing since its declaration, or the equation that would have made it, is wrong."""
    declared = (name for name, entries in scope.entries.items() for _, entry in entries
                if isinstance(entry, Given) and entry.value is POISON)  # fmt: skip
    return any(fits(pattern, name) for name in declared) or world.may_lack(pattern.split("*")[0])


def _fits_nothing(pattern: str, span: Span, leaves: Sequence[core.Leaf]) -> Refused:
    names = ", ".join(leaf.name for leaf in leaves[:12]) or "none"
    return Refused("pattern-fits-nothing", f"no parameter fits {pattern}", span, help=f"the parameters are {names}")


def _all_frozen(world: World, line: syntax.Optimize, names: set[str], leaves: Sequence[core.Leaf]) -> Refused:
    """A line for parameters none of which is trained."""
    freezing = {pattern.span: None for statement in world.statements if isinstance(statement, syntax.Freeze)
                for pattern in statement.patterns if names & _fitting(pattern.value, leaves)}  # fmt: skip
    declared = {leaf.span: None for leaf in leaves if leaf.frozen and leaf.name in names}
    labels = [Label(line.span, "trained here"), *(Label(span, "frozen here") for span in {**freezing, **declared})]
    return Refused("frozen-and-trained", f"all that {line.pattern} fits is frozen", line.span, labels,
                   help="delete this line, or let some of them be trained")  # fmt: skip


def _training(world: World, scope: Scope, lines: Sequence[syntax.Optimize], leaves: Sequence[core.Leaf],
              frozen: frozenset[str]) -> core.Training:  # fmt: skip
    for line in lines:
        _check_line(line)
    trained = [leaf for leaf in leaves if leaf.name not in frozen]
    owners = _owners(world, lines, leaves, trained, scope)
    total = sum(size_of_leaf(leaf) for leaf in trained)
    tensors, equations, scale = clip_scale(world, lines, total, scope) if total else ((), (), None)
    updates: list[core.Update] = []
    for line in lines:
        own = tuple(leaf for leaf in trained if owners.get(leaf.name) is line)
        text = world.text(line.span) if any(line is s for s in world.statements) else DEFAULT
        try:
            loss = _own_loss(world, line.loss, scope) if line.loss is not None else None
            updates.extend(updates_of(world, Group(line, text, own, scale, loss), scope))
        except Refused as refused:
            world.report(refused, scope.frame)
    return core.Training(tensors, equations, tuple(updates))


def _own_loss(world: World, node: syntax.Name, scope: Scope) -> core.Output:
    """The scalar that a line's parameters make less."""
    if not any(output.role == "loss" for output, _, _ in world.outputs):
        raise Refused("no-loss", "some parameters have a scalar of their own, and the model has no loss", node.span,
                      help=f"say what the others make less, or what is watched: loss {node.name}")  # fmt: skip
    value = world.value(node, Place(scope, scope.now, Context(node.name, scope.frame, (), "", node.span)))
    if value is POISON:
        raise Echo
    name = tensor_name(value) if isinstance(value, Element) and value.kind is core.Kind.REAL else None
    if name is None or all(tensor.name != name for _, tensor in world.tables.tensors):
        raise Refused("not-a-scalar", f"what is made less is a computed real scalar, and {node.name} is "
                      f"{described(value)}", node.span, help="name a sum or a mean, on a line above")  # fmt: skip
    return core.Output(node.span, node.name, name, world.text(node.span))


def _check_line(line: syntax.Optimize) -> None:
    for option in line.options:
        if option.name not in OPTIONS:
            raise Refused("unknown-keyword", f"optimize has no option {option.name}", option.span,
                          help="there are clip_norm and clip_value; a rule's own stand in its brackets")  # fmt: skip


def _owners(world: World, lines: Sequence[syntax.Optimize], leaves: Sequence[core.Leaf], trained: Sequence[core.Leaf],
            scope: Scope) -> Mapping[str, syntax.Optimize]:  # fmt: skip
    """The line of each parameter: the one whose pattern fits, else the plain one."""
    plain = [line for line in lines if line.pattern is None]
    if len(plain) > 1:
        raise Refused(
            "two-optimizers",
            "two lines are for all parameters",
            plain[1].span,
            [Label(line.span, "") for line in plain],
            help="give one a pattern: optimize head.* with …",
        )
    fits: dict[str, list[syntax.Optimize]] = {leaf.name: [] for leaf in leaves}
    for line in lines:
        if line.pattern is not None:
            names = _fitting(line.pattern, leaves)
            if not names and not _follows(world, scope, line.pattern):
                world.report(_fits_nothing(line.pattern, line.span, leaves), scope.frame)
            elif names and not any(leaf.name in names for leaf in trained):
                world.report(_all_frozen(world, line, names, leaves), scope.frame)
            for name in names:
                fits[name].append(line)
    owners: dict[str, syntax.Optimize] = {}
    for leaf in trained:
        own = fits[leaf.name] or plain
        if len(own) > 1:
            labels = [Label(line.span, f"{line.pattern} fits") for line in own]
            world.report(
                Refused(
                    "two-patterns-fit",
                    f"two patterns fit the parameter {leaf.name}",
                    own[1].span,
                    labels,
                    help="make one of them narrower, so that each parameter fits one",
                ),
                scope.frame,
            )
        elif not own:
            world.report(Refused("no-optimizer", f"no optimize line is for the parameter {leaf.name}", lines[0].span,
                                 help="add a plain line: optimize adam(lr = 1e-3)"), scope.frame)  # fmt: skip
        else:
            owners[leaf.name] = own[0]
    return owners


# ---------------------------------------------------------------- fit, data


def _fit(world: World, statements: Sequence[syntax.Fit], scope: Scope) -> tuple[tuple[str, float], ...]:
    found: dict[str, float] = {}
    _only_one(world, statements, "fit", scope)
    for statement in statements:
        for option in statement.options:
            try:
                found[option.name or ""] = _fit_option(world, option, scope)
            except Refused as refused:
                world.report(refused, scope.frame)
    return tuple(found.items())


def _only_one(world: World, statements: "Sequence[syntax.Fit | syntax.Data]", word: str, scope: Scope) -> None:
    if len(statements) > 1:
        labels = [Label(statement.span, "") for statement in statements]
        world.report(
            Refused(
                "twice", f"{word} stands twice", statements[1].span, labels, help=f"put all into one line: {word} …"
            ),
            scope.frame,
        )


def _fit_option(world: World, option: syntax.Argument, scope: Scope) -> float:
    name = option.name or ""
    if name not in FIT:
        raise Refused(
            "unknown-keyword",
            f"fit has no option {name}",
            option.span,
            help=did_you_mean(name, FIT) or f"there are {', '.join(FIT)}",
        )
    least, whole = FIT[name]
    value = world.value(option.value, Place(scope, scope.now, Context("fit", scope.frame, (), "", option.span)))
    if value is POISON:
        raise Echo
    number = value.number if isinstance(value, Element) else None
    if (
        number is None
        or number < least
        or (whole and number.denominator != 1)
        or (name == "validation" and number >= 1)
    ):
        wanted = f"a whole number, at least {least}" if whole else "a number from 0 to below 1"
        raise Refused(
            "wrong-argument",
            f"{name} is {wanted}",
            option.value.span,
            help="write fit epochs = 30, batch = 64, validation = 0.2, seed = 0",
        )
    return int(number) if whole else float(number)


def _data(world: World, statements: Sequence[syntax.Data], scope: Scope) -> str | None:
    _only_one(world, statements, "data", scope)
    for statement in statements:
        path = statement.path
        reason = leaves_folder(path.value)
        if reason is None:
            return path.value
        help = "data lies in the folder of the model or below; any other is named by gradc train --data FILE"
        refused = Refused("leaves-folder", f"data {path.value!r}: {reason}", path.span, help=help)
        world.report(refused, scope.frame)
    return None
