"""Which definitions are of numbers, and which have parameters: told from their text, before they are called."""

from collections.abc import Collection, Mapping

from . import syntax
from .arithmetic import ARITY
from .naming import BUILT_IN, RANDOM
from .scopes import Given, Scope
from .values import Function, Value
from .walk import calls_in_order, nodes, statements_in, values_in
from .world import World


def is_numeric(world: World, definition: syntax.Definition, values: Mapping[str, Value]) -> bool:
    """Whether a definition is one of numbers, which applies to every element: its body is made of these alone."""
    handed = {name: value for name, value in values.items() if isinstance(value, Function)}
    return _is_numeric(world, definition, handed, ())


def _is_numeric(world: World, definition: syntax.Definition, handed: Mapping[str, Function],
                chain: Collection[syntax.Definition]) -> bool:  # fmt: skip
    if isinstance(definition.body, tuple) or any(p.axes is not None for p in definition.parameters):
        return False
    if any(definition is outer for outer in chain):
        return False
    known = None if handed else world.numeric.get(id(definition))
    if known is None:
        inner = (*chain, definition)
        known = all(_is_number(world, node, handed, inner) for node in nodes(definition.body))
        if not handed:
            world.numeric[id(definition)] = known
    return known


def is_number(world: World, node: syntax.Expression) -> bool:
    """Whether an expression, what stands in it not looked at, is one that definitions of numbers are made of."""
    return _is_number(world, node, {}, ())


def _is_number(world: World, node: syntax.Expression, handed: Mapping[str, Function],
               chain: tuple[syntax.Definition, ...]) -> bool:  # fmt: skip
    match node:
        case syntax.Subscript() | syntax.List() | syntax.Text() | syntax.Ellipsis() | syntax.Binder():
            return False
        case syntax.Binary(operator="@"):
            return False
        case syntax.Binary(operator="|>", right=syntax.Name(name=name, span=span)):
            return _calls_numbers(world, syntax.Call(span, name, span, None, ()), handed, chain)
        case syntax.Call(indices=indices):
            return indices is None and _calls_numbers(world, node, handed, chain)
    return True


def _calls_numbers(world: World, node: syntax.Call, handed: Mapping[str, Function],
                   chain: tuple[syntax.Definition, ...]) -> bool:  # fmt: skip
    name = node.function
    if name in handed:
        function = handed[name].definition
        return function is None or _is_numeric(world, function, {}, chain)
    if name in {"max", "min"}:
        return len(node.arguments) > 1
    if name in BUILT_IN:
        return name in ARITY or name in RANDOM
    definition = world.definition(name, node.function_span)
    return definition is not None and _is_numeric(world, definition, {}, chain)


def has_parameters(world: World, definition: syntax.Definition) -> bool:
    """Whether a call of the definition makes parameters or states of its own, itself or by what it calls."""
    if definition.keyword == "shared def":
        return False
    known = world.trained.get(id(definition))
    if known is None:
        world.trained[id(definition)] = False
        known = world.trained[id(definition)] = _has_parameters(world, definition)
    return known


def _has_parameters(world: World, definition: syntax.Definition) -> bool:
    body = definition.body
    if not isinstance(body, tuple):
        return _any_call_has(world, body)
    for statement in statements_in(body):
        if isinstance(statement, syntax.Param):
            return True
        if any(_any_call_has(world, value) for value in values_in(statement)):
            return True
    return False


def _any_call_has(world: World, root: syntax.Expression) -> bool:
    return any(
        has_parameters(world, definition)
        for _, name, node in calls_in_order(root)
        for definition in [world.definition(name, node.span)]
        if definition is not None
    )


def handed_parameters(world: World, node: syntax.Expression, scope: Scope, position: int) -> bool:
    """Whether a call hands a definition with parameters to another: `twice(dense_block, x)`."""
    if not isinstance(node, syntax.Call):
        return False
    for argument in node.arguments:
        if isinstance(argument.value, syntax.Name):
            function = called(world, argument.value.name, argument.value, scope, position)
            if function is not None and has_parameters(world, function):
                return True
    return False


def called(world: World, name: str, node: syntax.Expression, scope: Scope, position: int) -> syntax.Definition | None:
    """The definition that a name means where it is called: one handed in, or one of the file or the library."""
    entry = scope.find(name, position, False)
    if isinstance(entry, Given) and isinstance(entry.value, Function):
        return entry.value.definition
    return None if entry is not None or name in BUILT_IN else world.definition(name, node.span)
