"""The definitions that each file sees: its own, those of the files it uses, and behind them the library's."""

from collections.abc import Iterable, Iterator, Mapping

from gradc.errors import Label, Span

from . import syntax
from .indices import two_dots
from .naming import BUILT_IN, CONSTANTS
from .refusal import Refused
from .scopes import Frame
from .walk import calls_in_order, certain_calls, statements_in, values_in
from .world import MOST_STEPS, World, unfolds_too_far


def register(world: World, file: syntax.File, used: Iterable[syntax.File]) -> None:
    """Notes what a file sees, and checks its own definitions."""
    top = Frame()
    seen: dict[str, syntax.Definition] = {}
    for definition in _own(file):
        try:
            _check(definition, seen)
            seen[definition.name] = definition
            if definition.keyword == "shared def":
                world.shared[id(definition)] = [world.unique(definition.name)]
        except Refused as refused:
            world.report(refused, top)
    for other in used:
        for definition in _own(other):
            known = seen.get(definition.name)
            if known is None:
                seen[definition.name] = definition
            elif known is not definition:
                world.report(_defined_twice(known, definition, known.span), top)
    world.definitions[file.name] = seen


def _own(file: syntax.File) -> list[syntax.Definition]:
    return [statement for statement in file.statements if isinstance(statement, syntax.Definition)]


def _defined_twice(first: syntax.Definition, second: syntax.Definition, span: Span) -> Refused:
    labels = [Label(first.span, "here"), Label(second.span, "and here")]
    return Refused("name-taken", f"{first.name} is defined twice", span, labels, help="give one of them another name")


def _check(definition: syntax.Definition, seen: Mapping[str, syntax.Definition]) -> None:
    name = definition.name
    if name in BUILT_IN | CONSTANTS | {"range"}:
        raise Refused("name-taken", f"{name} is built in", definition.span, help="take another name")
    if name in seen:
        raise _defined_twice(seen[name], definition, definition.span)
    names = [parameter.name for parameter in definition.parameters]
    for parameter in definition.parameters:
        if names.count(parameter.name) > 1:
            raise Refused(
                "name-taken",
                f"{name} has two arguments called {parameter.name}",
                parameter.span,
                help="give one of them another name",
            )
        if parameter.name in CONSTANTS:
            raise Refused(
                "reserved-name", f"{parameter.name} is a name of the language", parameter.span, help="take another name"
            )
        if sum(isinstance(axis, syntax.Ellipsis) for axis in parameter.axes or ()) > 1:
            raise two_dots(parameter.span)
        for axis in parameter.axes or ():
            if isinstance(axis, syntax.Name) and axis.name in names:
                raise Refused(
                    "name-taken",
                    f"{axis.name} is an argument and a dim of the header",
                    axis.span,
                    help="a name in the header's brackets is a dim inside; leave the argument out",
                )


def check_recursion(world: World, file: syntax.File) -> None:
    """Refuses definitions that call themselves, called or not."""
    top = Frame()
    done: set[int] = set()
    for definition in _own(file):
        chain = _circle(world, definition, (), done)
        if chain:
            world.recursive.update(id(d) for d in chain)
            shown = " → ".join(d.name for d in chain)
            world.report(Refused(
                "recursive-definition", f"the definition {chain[0].name} calls itself: {shown}", chain[0].span,
                [Label(d.span, "") for d in dict.fromkeys(chain)],
                help="definitions unfold when the model is compiled; use `repeat`, or an index",
            ), top)  # fmt: skip


def _circle(world: World, definition: syntax.Definition, chain: tuple[syntax.Definition, ...],
            done: set[int]) -> tuple[syntax.Definition, ...]:  # fmt: skip
    for at, outer in enumerate(chain):
        if outer is definition:
            return (*chain[at:], definition)
    if id(definition) in done:
        return ()
    for called in _called(world, definition):
        found = _circle(world, called, (*chain, definition), done)
        if found:
            done.update(id(d) for d in found)
            return found
    done.add(id(definition))
    return ()


def check_unfolding(world: World, file: syntax.File) -> None:
    """Refuses a model that would certainly unfold without end, before any of it is unfolded.

    Each definition counts the calls that one call of it makes: those in loops and branches are left out, as they may
    not be made. A definition that calls another one twice, which calls a third one twice, … doubles with every step.
    """
    counted: dict[int, int] = {}
    for statement in file.statements:
        if isinstance(statement, syntax.Equation | syntax.Output):
            calls = sum(_calls(world, statement.span.file, values_in(statement), frozenset(), counted))
            if calls > MOST_STEPS:
                raise unfolds_too_far(statement.span)


def _calls(world: World, file: str, roots: Iterable[syntax.Expression], own: frozenset[str],
           counted: dict[int, int]) -> Iterator[int]:  # fmt: skip
    known = world.definitions.get(file, {})
    for root in roots:
        for name in certain_calls(root):
            definition = None if name in own else known.get(name)
            if definition is not None and id(definition) not in world.recursive:
                yield 1 + _calls_of(world, definition, counted)


def _calls_of(world: World, definition: syntax.Definition, counted: dict[int, int]) -> int:
    if id(definition) not in counted:
        counted[id(definition)] = 0  # for a circle, which is refused elsewhere
        body, file = definition.body, definition.span.file
        roots = [v for statement in body for v in values_in(statement)] if isinstance(body, tuple) else [body]
        own = frozenset(parameter.name for parameter in definition.parameters)
        counted[id(definition)] = sum(_calls(world, file, roots, own, counted))
    return counted[id(definition)]


def _called(world: World, definition: syntax.Definition) -> list[syntax.Definition]:
    body = definition.body
    roots = [v for s in statements_in(body) for v in values_in(s)] if isinstance(body, tuple) else [body]
    own = {parameter.name for parameter in definition.parameters}
    known = world.definitions.get(definition.span.file, {})
    names = {name for root in roots for _, name, _ in calls_in_order(root)} - own
    return [known[name] for name in sorted(names) if name in known]
