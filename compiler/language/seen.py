"""A state of a shared definition, as each of its calls sees it: as the call before left it.

    shared def net(q[b, i]):
        state seen ~ zeros
        update seen = seen + 1            # two calls make it two

Each call reads the state through a tensor of its own. When all calls and all updates are known, the first call's holds
the state, and each later one's what the call before gave the state, a constant to the gradient. In predict and evaluate
nothing is updated, and all calls see the state as it is.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from . import core
from .places import Context
from .scopes import Frame
from .tensors import store, tensor_value
from .values import Array, Element, Value
from .world import Seen, World

BEFORE = "before"
LAST = 2**62
"""The place in the order of a model of what comes after all that is written in it."""


def seen_in_call(world: World, state: core.Leaf, own: str, frame: Frame, order: tuple[int, ...]) -> Value:
    """The state in the call of a shared definition that calls it `own`."""
    name = world.unique(f"{own}.{BEFORE}")
    value = tensor_value(state.span, name, state.axes, state.kind)
    world.seen[own] = Seen(state, name, order, frame, value)
    return value


def passed_on(world: World, given: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Gives every call the state that it sees.

    Args:
        given: for what a call sees of a state, the tensor with the value that the call gives it.

    Yields:
        For each state that a call updates, the tensor with what the last of them gives it.
    """
    last: dict[str, str] = {}
    for seen in sorted(world.seen.values(), key=lambda each: each.order):
        state = seen.state
        before = last.get(state.name)
        value = tensor_value(state.span, before or state.name, state.axes, state.kind)
        order = (LAST, len(world.tables.tensors))
        context = Context(seen.name, seen.frame, order, state.name, state.span)
        store(world, value if before is None else _constant(value), seen.name, context, order)
        if seen.name in given:
            world.asked = True
            if world.training:
                last[state.name] = given[seen.name]
    yield from last.items()


def _constant(value: Array | Element) -> Array | Element:
    """The same with derivative 0, as a state has."""
    if isinstance(value, Array):
        return Array(value.axes, _stopped(value.sample), lambda at, ranges: _stopped(value.at(at, ranges)))
    return _stopped(value)


def _stopped(element: Element) -> Element:
    expression = core.Apply(element.expression.span, "stop_gradient", (element.expression,))
    return replace(element, expression=expression)
