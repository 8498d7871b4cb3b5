"""States: what a model carries from step to step beside its parameters, and the updates that give their next values.

    state mean[c] ~ zeros
    update mean[c] = 0.9 * mean[c] + 0.1 * mu[c]

A state is a leaf. Its update is an equation of a tensor of its own, `mean.next`: on its right, and everywhere else,
`mean` is the value before the step.
"""

import math
from collections.abc import Iterator

from gradc.errors import Diagnostic, Label, Span

from . import core, syntax
from .arithmetic import as_number
from .core import Kind, Role
from .equations import Prepared, force
from .outputs import tensor_name
from .places import Context
from .refusal import Echo, Refused
from .scopes import Entry, Frame, Given, Group, Scope, Size
from .seen import LAST, passed_on
from .tensors import store
from .values import POISON, Array, Element, Value, described, shown
from .world import Updated, World

NEXT = "next"
ROLES = {
    Role.INPUT: "an input",
    Role.TARGET: "a target",
    Role.PARAM: "a parameter, to which its optimizer gives values",
}


def state_of(world: World, target: syntax.Target, scope: Scope) -> tuple[core.Leaf, str]:
    """The state that the left side of an update means, and the tensor that holds it there.

    Raises:
        Refused: it means something else, or nothing.
    """
    name = target.name
    if world.tables.step:
        raise Refused("not-here", "an optimizer gives its states their values by plain equations", target.span,
                      help=f"leave `update` out: {name} = …")  # fmt: skip
    entry = scope.find(name, scope.now, False)
    held, leaf = _leaf(world, entry)
    if leaf is not None and leaf.role is Role.STATE:
        return leaf, held
    if isinstance(entry, Given) and entry.value is POISON:
        raise Echo
    what = "means nothing here" if entry is None else f"is {_meaning(entry, leaf)}"
    labels = [Label(target.span, ""), Label(leaf.span, "declared here")] if leaf is not None else []
    help = f"declare one above: state {name}[…] ~ zeros"
    if entry is not None:
        help = "give the state another name: state average ~ zeros; what is computed is an equation, without `update`"
    elif scope.frame.definition is not None:
        help += "; or take one as an argument"
    raise Refused("not-a-state", f"`update` is for states, and {name} {what}", target.span, labels, help=help)


def note_hidden(world: World, target: syntax.Target, scope: Scope) -> None:
    """Keeps in mind an equation that takes the name of a state, as `m = 0.9 * m + …` does in an optimizer."""
    if world.tables.step:
        return
    _, leaf = _leaf(world, scope.find(target.name, scope.now, False))
    if leaf is not None and leaf.role is Role.STATE:
        world.hidden.setdefault(leaf.name, target)


def hidden_states(world: World) -> Iterator[Diagnostic]:
    """Warnings of states that never change, and whose name an equation has that may have been meant to change them."""
    updated = {update.state.name for update in world.updates}
    for name, target in world.hidden.items():
        if name not in updated:
            yield Diagnostic(
                "state-without-update",
                f"this is a new tensor {target.name}, and the state {target.name} keeps the value that it has",
                target.span,
                help=f"write update {target.name} = … for its next value; else take another name",
                severity="warning",
            )


def _leaf(world: World, entry: Entry | None) -> tuple[str, core.Leaf | None]:
    """The tensor that a name means, and the leaf that this is, or holds."""
    if not isinstance(entry, Given) or not isinstance(entry.value, Element | Array):
        return "", None
    name = tensor_name(entry.value) or ""
    states = {seen.name: seen.state.name for seen in world.seen.values()}
    leaf = states.get(name, name)
    return name, next((each for _, each in world.tables.leaves if each.name == leaf), None)


def _meaning(entry: Entry, leaf: core.Leaf | None) -> str:
    if leaf is not None:
        return ROLES[leaf.role]
    if isinstance(entry, Given):
        return described(entry.value)
    return "a dim" if isinstance(entry, Size) else "a tensor that the model computes"


# ---------------------------------------------------------------- next values


def next_values(world: World) -> tuple[tuple[str, str], ...]:
    """For each state that has an update, the tensor with its next value."""
    first: dict[str, Updated] = {}
    given: dict[str, str] = {}
    for update in world.updates:
        try:
            if first.setdefault(update.seen, update) is not update:
                world.report(_twice(first[update.seen], update, world), Frame())
                continue
            value = force(world, update.entry)
            if value is not POISON:
                given[update.seen] = _stored(world, update, value)
        except Refused as refused:
            world.report(refused, update.frame)
    alone = tuple((seen, tensor) for seen, tensor in given.items() if first[seen].state.name == seen)
    return (*alone, *passed_on(world, given))


def _twice(first: Updated, second: Updated, world: World) -> Refused:
    """Of one place of the text that is reached twice, what leads to it is shown."""
    name = second.state.name
    help = "write one update, over all places of the state"
    for a, b in zip(_ways(first, world), _ways(second, world), strict=False):
        if a != b:
            labels = [Label(a, "this gives it its next value"), Label(b, "and so does this")]
            return Refused("two-updates", f"{name} has two updates", b, labels, help=help)
        help = "call once what updates it, on all that it is to see: concat(a, b, axis = 0)"
    return Refused("two-updates", f"{name} has an update in each round of a loop", second.span,
                   help="write one after the loop")  # fmt: skip


def _ways(update: Updated, world: World) -> Iterator[Span]:
    """Where an update stands, and the calls that lead to it, innermost first."""
    yield world.span(update.span, update.frame)
    frame: Frame | None = update.frame
    while frame is not None and frame.call is not None:
        yield frame.call
        frame = frame.parent


def _stored(world: World, update: Updated, value: Value) -> str:
    """The tensor with a state's next value; a new one where that is a number or another leaf."""
    state = update.state
    if not isinstance(value, Element | Array):
        raise Refused("not-a-tensor", f"an update is a number at each place, and this is {described(value)}",
                      update.span, help="write update mean[i] = …, or give it a tensor of its shape")  # fmt: skip
    axes = value.axes if isinstance(value, Array) else ()
    if [axis.extent for axis in axes] != [axis.extent for axis in state.axes]:
        raise _other_shape(update, value)
    if isinstance(update.entry, Group):
        _check_all_written(update, update.entry)
    name = tensor_name(value)
    kind = value.sample.kind if isinstance(value, Array) else value.kind
    if name is not None and kind is not Kind.BOOL and all(leaf.name != name for _, leaf in world.tables.leaves):
        return name
    order = (LAST, len(world.tables.tensors))
    span = world.span(update.span, update.frame)
    context = Context(state.name, update.frame, order, world.text(update.span), span)
    name = world.unique(f"{state.name}.{NEXT}")
    store(world, as_number(value) if isinstance(value, Element) else _numbers(value), name, context, order)
    return name


def _numbers(value: Array) -> Array:
    """True and false as 1 and 0."""
    return Array(value.axes, as_number(value.sample), lambda at, ranges: as_number(value.at(at, ranges)))


def _other_shape(update: Updated, value: Value) -> Refused:
    state = update.state
    is_scalar = not state.axes
    labels = [Label(update.span, f"this is {described(value)}"),
              Label(state.span, "declared here as " + ("a scalar" if is_scalar else shown(state.axes)))]  # fmt: skip
    return Refused("shapes-disagree", f"the update of {state.name} is not shaped like it", update.span, labels,
                   help="it gives every place of the state a value")  # fmt: skip


def _check_all_written(update: Updated, group: Group) -> None:
    """No place is left out: those that an equation does not write keep nothing of what they held."""
    sizes = [math.prod(i.extent.constant or 0 for i in p.indices) for p in group.prepared if isinstance(p, Prepared)]
    places = math.prod(axis.extent.constant or 0 for axis in update.state.axes)
    if sum(sizes) < places:
        name = update.state.name
        raise Refused("places-left-out", f"the update of {name} gives {sum(sizes)} of its {places} places a value",
                      update.span, help="say what the others become, too; they do not stay as they are")  # fmt: skip
