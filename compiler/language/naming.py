"""What a name on the right of an equation means, and what is said of one that means nothing."""

import itertools
from collections.abc import Iterator

from gradc.errors import Label, Span
from gradc.graph.index import Gather, index, number, of_atom
from gradc.nearest import MUCH_LIKE, did_you_mean

from . import core, syntax
from .arithmetic import ARITY
from .cycles import depends
from .mends import ATTRIBUTE, no_value
from .places import Place
from .reductions import LAST_AXIS, WHOLE_TENSOR
from .refusal import Echo, Refused
from .scopes import Entry, Given, Group, Size, Thunk
from .tensors import WIDEST, read_of
from .values import Element, Function, Value, Word, truth, whole
from .world import World

CONSTANTS = {"inf", "pi", "true", "false", "training"}
TENSOR_FUNCTIONS = {"concat", "reshape", "transpose"}
RANDOM = {"uniform", "normal"}
MOST_NAMES = 6
BUILT_IN = set(ARITY) | WHOLE_TENSOR | LAST_AXIS | TENSOR_FUNCTIONS | RANDOM | {"grad"}


def name_value(world: World, node: syntax.Name, place: Place) -> Value:
    """The value of a name where it stands."""
    name = node.name
    if name in place.indices:
        return whole(world.span(node.span, place.context.frame), index(place.indices[name].name))
    if name in CONSTANTS:
        return _constant(world, name, node)
    if "." in name:
        return _parameter(world, node, place)
    entry = world.find(name, place)
    if isinstance(entry, Size):
        return whole(world.span(node.span, place.context.frame), entry.value)
    if isinstance(entry, Given):
        return entry.value
    if entry is not None:
        return world.force(world, entry)
    if name == "t" and world.tables.step:
        return step_number(world.span(node.span, place.context.frame))
    definition = world.definition(name, node.span)
    if definition is not None or name in ARITY:
        return Function(name, definition)
    if is_word(name, place):
        return Word(name)
    if name in BUILT_IN:
        message = f"{name} is a function, and a value is wanted here"
        raise Refused("not-a-tensor", message, node.span, help=no_value(name))
    raise unknown_name(world, node, place)


def is_word(name: str, place: Place) -> bool:
    """Whether a name is one of the words that the header around it lists: `if padding == same`."""
    definition = place.context.frame.definition
    return definition is not None and any(name in parameter.choices for parameter in definition.parameters)


def step_number(span: Span) -> Element:
    """`t`, the step from 1, in rules and schedules."""
    element = read_of(span, "t", (), core.Kind.WHOLE, None)
    steps = of_atom(Gather("t", (), number(1), number(WIDEST)))
    return Element(element.expression, core.Kind.WHOLE, index=steps)


def _constant(world: World, name: str, node: syntax.Name) -> Element:
    if name == "training":
        world.asked = True
        return truth(node.span, world.training)
    if name in {"true", "false"}:
        return truth(node.span, name == "true")
    return Element(core.Constant(node.span, name), core.Kind.REAL)


def _parameter(world: World, node: syntax.Name, place: Place) -> Value:
    """A parameter by its full name, or inside of a definition by its name there."""
    frame = place.context.frame
    inside = frame.prefix + node.name
    for full, known in dict.fromkeys([(inside, frame.parameter(inside)), (node.name, node.name)]):
        for entry in _makers(world, full):
            if known not in world.parameters and entry not in world.forcing:
                world.force(world, entry)
        if frame.is_shared and full in world.seen:
            return world.seen[full].value
        if known in world.parameters:
            return world.parameters[known]
    if world.may_lack(node.name) or world.may_lack(inside):
        raise Echo
    close = did_you_mean(node.name, world.parameters)
    first, _, rest = node.name.partition(".")
    own = [name for name in world.parameters if name.startswith(f"{first}.")]
    is_attribute = close is None or f".{rest}?" not in close  # not that of x_2, made from an input x
    if world.find(first, place) is not None and not own and is_attribute:
        close = ATTRIBUTE
    elif own and close is None:
        close = f"{first} has {', '.join(own[:MOST_NAMES])}{', …' if len(own) > MOST_NAMES else ''}"
    raise Refused("unknown-name", f"there is no parameter {node.name}", node.span,
                  help=close or "parameters are read by their full names, such as h.weight")  # fmt: skip


def _makers(world: World, full: str) -> Iterator[Entry]:
    """The equations that may make a parameter: those it is named after; for a shared definition's any that calls it."""
    parts = full.split(".")
    names = itertools.accumulate(parts[:-1], "{}.{}".format)
    yield from (world.made[name] for name in names if name in world.made)
    if any(parts[0] == name for name, *_ in world.shared.values()):
        yield from (entry for entry in tuple(world.made.values()) if not depends(entry, world.forcing))


def _too_low(world: World, below: Thunk | Group, node: syntax.Name, place: Place) -> Refused:
    """A name that is made below where it is looked for."""
    made = below.equations[0] if isinstance(below, Group) else below
    labels = [Label(node.span, ""), Label(made.span, "made here")]
    help = "a name is looked for above: put this line further down; only index equations see those below them"
    if depends(below, world.forcing):
        help = (
            f"{node.name} is made of what this makes: a recurrence is of index equations, which see those below them; "
            f"where they need whole tensors, the last gives one's value to {node.name}[t] = value[t]"
        )
    elif isinstance(below, Thunk) and place.context.indexed:
        help = (
            "index equations see the index equations below them, and this one is of whole tensors: put this line "
            "further down"
        )
    return Refused("unknown-name", f"unknown name {node.name}", node.span, labels, help=help)


def unknown_name(world: World, node: syntax.Name, place: Place) -> Refused:
    """A name that means nothing here."""
    if place.scope.unseen(node.name) in world.forcing:
        return Refused("unknown-name", f"{node.name} is what this equation makes, and no {node.name} stands above",
                       node.span, help="a whole-tensor equation reads what is above; a recurrence is written with "
                       f"indices, as in {node.name}[t] = … {node.name}?[t - 1]")  # fmt: skip
    below = place.scope.unseen(node.name)
    if below is not None:
        return _too_low(world, below, node, place)
    known = place.scope.names() | set(place.indices) | CONSTANTS
    if place.context.own is not None:
        known.add(place.context.own.shown)
    # one letter is rather an index that nothing lists than another name misspelt
    help = did_you_mean(node.name, known) if len(node.name) > 1 else None
    message = f"unknown name {node.name}"
    home = place.scope.home
    if help is None and place.context.frame.definition is not None and home is not None and node.name in home.entries:
        help = "a definition sees its arguments, its own names, dims and definitions; hand other tensors over"
    elif help is None and node.name in world.made:
        help = "a name is looked for above, and not in blocks of others"
    elif help is None and place.context.indexed:
        said = f"an index stands on the left side or in a reduction, such as sum[{node.name}](…)"
        help = f"{said}; nothing is summed silently"
    elif help is None and node.name == "t":
        help = "t, the step, is known in optimizers and schedules"
    help = (
        help or f"write an equation for it above, or declare it: input, param, dim; list an index: sum[{node.name}](…)"
    )
    return Refused("unknown-name", message, node.span, help=help)


def unknown_function(world: World, name: str, node: syntax.Call, place: Place) -> Refused:
    """A call of something that is no function."""
    entry = world.find(name, place)
    if entry is not None or name in place.indices:
        return Refused("not-a-function", f"{name} is no definition", node.function_span,
                       help=f"a tensor is read with square brackets: {name}[…]")  # fmt: skip
    own = BUILT_IN | world.library.names() | set(world.definitions.get(node.function_span.file, {}))
    close = did_you_mean(name, sorted(own), MUCH_LIKE, world.library.elsewhere())
    return Refused("unknown-function", f"unknown function {name}", node.function_span,
                   help=close or "write it: def f(x) = …; docs/library.md lists what there is")  # fmt: skip
