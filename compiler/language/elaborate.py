"""The elaborator: syntax → `core.Model`, or a `GradcError` with everything that is wrong with the model.

Every name is resolved, every definition unfolded, every index has its range, every read is proved inside. Nothing is
rewritten for its value here, and nothing is differentiated.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePath

from gradc.errors import Label, Span

from . import core, syntax
from .blocks import run
from .core import Role
from .cycles import check_cycles
from .definitions import check_recursion, check_unfolding, register
from .equations import axes_of, force
from .expressions import evaluate
from .load import Sources, load
from .outputs import check_targets, collect
from .refusal import OutOfBudget, Refused
from .scopes import Frame, Group, Scope, Size
from .states import hidden_states, next_values
from .training import Settings, settings
from .world import World, ordered

DEEPEST = 12_000
"""Python frames that the deepest expression of a model may take; the parser bounds how deep one is."""
MANY = 50
"""Equations that wait for each other. So many are rather the reason for the depth than what one of them holds."""


def elaborate_text(
    text: str, *, file: str = "model.grad", folder: Path | None = None, training: bool = True
) -> core.Model:
    """The model of a text. `elaborate` does the same for sources that are parsed already."""
    return elaborate(load(text, file=file, folder=folder), training=training)


def elaborate_both(sources: Sources, lr: float | None = None) -> tuple[core.Model, core.Model]:
    """The model as it is in training, and as it is elsewhere: one and the same where nothing in it asks."""
    model = elaborate(sources, training=True, lr=lr)
    return model, elaborate(sources, training=False, lr=lr) if model.asks else model


def elaborate(sources: Sources, *, training: bool, lr: float | None = None) -> core.Model:
    """The model as it is in training, or as it is in predict and evaluate.

    Args:
        lr: a learning rate instead of the model's own.

    Raises:
        GradcError: the model is wrong. It carries all errors that were found.
    """
    world = _world(sources, training)
    scope = Scope(Frame())
    scope.home = scope
    with _deep_enough():
        try:
            _declare_files(world, sources, scope)
            check_unfolding(world, sources.file)
            run(world, sources.file.statements, scope)
            model = _model(world, sources.file, scope, lr)
        except OutOfBudget as out:
            world.report(out.refused, Frame())
        except RecursionError:
            world.report(_too_deep(world), Frame())
    world.raise_errors()
    return model


def _world(sources: Sources, training: bool) -> World:
    texts = {sources.file.name: sources.file.text} | {f.name: f.text for f in sources.used.values()}
    return World(training, sources.library, texts, evaluate, run, force, axes_of)


@contextmanager
def _deep_enough() -> Iterator[None]:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, DEEPEST))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def _too_deep(world: World) -> Refused:
    """What is said where elaborating would nest deeper than Python can: mostly since equations stand upside down."""
    waiting, last = world.deepest
    first = last.equations[0] if isinstance(last, Group) else last
    span = None if first is None else world.span(first.span, first.scope.frame)
    if waiting < MANY:
        return Refused("too-deep", "an equation of this model is nested too deeply", span,
                       help="give parts of it names of their own, in equations above")  # fmt: skip
    return Refused("too-deep", f"more than {waiting - 1} equations wait for this one, each for one below it", span,
                   help="write equations below those that they read")  # fmt: skip


def _declare_files(world: World, sources: Sources, scope: Scope) -> None:
    """Makes the definitions of all files known, and the dims of those that are used."""
    for file in (*sources.used.values(), sources.file):
        register(world, file, [sources.used[name] for name in sources.uses.get(file.name, ()) if name in sources.used])
    for file in (*sources.used.values(), sources.file):
        check_recursion(world, file)
    world.homes[sources.file.name] = scope
    for file in sources.used.values():
        home = Scope(Frame())
        home.home = home
        world.homes[file.name] = home
        run(world, [s for s in file.statements if isinstance(s, syntax.Dim) and s.value is not None], home)


def _model(world: World, file: syntax.File, scope: Scope, lr: float | None) -> core.Model:
    names = [statement for statement in file.statements if isinstance(statement, syntax.ModelName)]
    if len(names) > 1:
        labels = [Label(statement.span, "") for statement in names]
        world.report(
            Refused("twice", "model stands twice", names[1].span, labels, help="delete one of them"), scope.frame
        )
    outputs = collect(world, scope.frame)
    loss = outputs["loss"][0] if outputs["loss"] else None
    chosen: Settings = settings(world, scope, loss.span if loss else Span(file.name, 1, 1, 1, 1), lr)
    tables = world.tables
    carried = next_values(world)
    equations = ordered(tables.equations)
    if not world.diagnostics:
        check_targets(world, outputs["predict"], scope.frame)
    leaves = tuple(_frozen(leaf, chosen) for leaf in ordered(tables.leaves))
    model = core.Model(
        name=_name(file),
        file=file.name,
        dims=_free_dims(world, file, leaves, scope),
        sizes=_sizes(scope),
        leaves=leaves,
        tensors=ordered(tables.tensors),
        equations=equations,
        predictions=tuple(outputs["predict"]),
        loss=loss,
        metrics=tuple(outputs["metric"]),
        preconditions=tuple(world.preconditions),
        carried=carried,
        training=chosen.training,
        fit=chosen.fit,
        data=chosen.data,
        asks=world.asked,
        doubts=(*world.doubts, *hidden_states(world)),
    )
    cycle = None if world.diagnostics else check_cycles(model)
    if cycle is not None:
        world.report(cycle, scope.frame)
    return model


def _frozen(leaf: core.Leaf, chosen: Settings) -> core.Leaf:
    return replace(leaf, frozen=True) if leaf.name in chosen.frozen else leaf


def _name(file: syntax.File) -> str:
    named = [statement.name for statement in file.statements if isinstance(statement, syntax.ModelName)]
    return named[0] if named else PurePath(file.name).stem


def _sizes(scope: Scope) -> tuple[tuple[str, int], ...]:
    found = [entry for entries in scope.entries.values() for _, entry in entries if isinstance(entry, Size)]
    return tuple((size.name, size.value.constant) for size in found if size.value.constant is not None)


def _free_dims(world: World, file: syntax.File, leaves: tuple[core.Leaf, ...], scope: Scope) -> tuple[str, ...]:
    """The free dims in order of declaration, each told by an input or target where it stands alone."""
    free = [entry.name for entries in scope.entries.values() for _, entry in entries
            if isinstance(entry, Size) and entry.value.dims == (entry.name,)]  # fmt: skip
    told = {
        axis.extent.dims[0]
        for leaf in leaves
        if leaf.role in (Role.INPUT, Role.TARGET)
        for axis in leaf.axes
        if len(axis.extent.dims) == 1 and str(axis.extent) == axis.extent.dims[0]
    }
    used = {name for _, tensor in world.tables.tensors for axis in tensor.axes for name in axis.extent.dims}
    used |= {name for leaf in leaves for axis in leaf.axes for name in axis.extent.dims}
    used |= {name for leaf in leaves if leaf.bounds is not None for name in leaf.bounds.high.dims}
    used |= {name for _, equation in world.tables.equations for i in equation.indices for name in i.high.dims}
    if any(name not in told for name in free):  # they may stand in values, too
        used |= {name for _, equation in world.tables.equations for name in core.dims_in(equation)}
    for leaf in leaves:
        asked = next(core.dims_in(leaf.law), None) if leaf.law is not None else None
        if leaf.law is not None and asked is not None:
            message = f"{leaf.name} is drawn when the model has no data yet, and nothing tells dim {asked}"
            mend = f"give {asked} a value where it is declared, or write the law with a number"
            world.report(Refused("free-dim", message, leaf.law.span, help=mend), scope.frame)
    for name in free:
        if name in used and name not in told:
            world.report(
                Refused(
                    "free-dim",
                    f"nothing tells dim {name} when the model is called",
                    _dim_span(file, name),
                    help="let it stand alone in an input's brackets, or give it a value",
                ),
                scope.frame,
            )
    return tuple(name for name in free if name in told)


def _dim_span(file: syntax.File, name: str) -> Span | None:
    return next((s.span for s in file.statements if isinstance(s, syntax.Dim) and s.name == name), None)
