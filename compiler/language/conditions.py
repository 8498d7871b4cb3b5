"""What is decided when the model is compiled: conditions of `if`, values of `for`, counts of `repeat`."""

from collections.abc import Sequence
from fractions import Fraction

from gradc.errors import Span
from gradc.graph.index import IndexExpr

from . import syntax
from .core import Kind
from .places import Context, Place
from .refusal import Echo, OutOfBudget, Refused
from .scopes import Scope
from .values import POISON, Element, Function, Items, Value, Word, constant, decimal, described
from .walk import nodes
from .world import MOST_INSTANCES, World


def place_here(scope: Scope, span: Span) -> Place:
    """The place of an expression that is known when the model is compiled."""
    return Place(
        scope, scope.now, Context(scope.frame.prefix.removesuffix("."), scope.frame, scope.frame.order, "", span)
    )


def meanings(world: World, node: syntax.Expression, place: Place) -> str | None:
    """What is known of the names of an expression in this call of a definition: `here n = 12, padding = valid`."""
    if place.context.frame.definition is None:
        return None
    known: list[str] = []
    for name in (part for part in nodes(node) if isinstance(part, syntax.Name)):
        match world.value(name, place):
            case Element(size=IndexExpr() as size):
                known.append(f"{name.name} = {size}")
            case Element(number=Fraction() as number):
                known.append(f"{name.name} = {decimal(number)}")
            case Word(word=word):
                known.append(f"{name.name} = {word}")
    return f"here {', '.join(dict.fromkeys(known))}" if known else None


def decided(world: World, node: syntax.Expression, scope: Scope) -> bool:
    """Whether a condition holds."""
    value = world.value(node, place_here(scope, node.span))
    if value is POISON:
        raise Echo
    if isinstance(value, Element) and value.truth is not None:
        return value.truth
    if isinstance(value, Element) and value.kind is Kind.BOOL:
        raise Refused("not-known", "this condition is not known when the model is compiled", node.span,
                      help="in an equation write `if … then … else …`")  # fmt: skip
    raise Refused(
        "not-a-condition",
        f"a condition is wanted here, and this is {described(value)}",
        node.span,
        help=meanings(world, node, place_here(scope, node.span))
        or "a condition compares, as in n > 0 or padding == same",
    )


def repetitions(world: World, statement: syntax.Repeat, scope: Scope) -> int:
    """How often a block is repeated."""
    value = world.value(statement.count, place_here(scope, statement.span))
    return _whole(value, statement.count.span)


def loop_values(world: World, statement: syntax.For, scope: Scope) -> Sequence[Value]:
    """The values that a loop goes through."""
    place = place_here(scope, statement.span)
    if len(statement.values) == 1:
        only = statement.values[0]
        if isinstance(only, syntax.Call) and only.function == "range":
            return _range(world, only, place)
        value = world.value(only, place)
        values: Sequence[Value] = value.values if isinstance(value, Items) else [value]
    else:
        values = [world.value(node, place) for node in statement.values]
    for value in values:
        if value is POISON:
            raise Echo
        if not isinstance(value, Word | Function | Items) and not (isinstance(value, Element) and _is_known(value)):
            raise Refused(
                "not-known",
                f"a loop goes through values known when the model is compiled, and this is {described(value)}",
                statement.values[0].span,
                help="write for k in 1, 2, 3: or for k in range(4):; what goes over data is an equation with indices",
            )
    return values


def _is_known(value: Element) -> bool:
    return value.known or value.size is not None


def _range(world: World, node: syntax.Call, place: Place) -> Sequence[Value]:
    if not 1 <= len(node.arguments) <= 3 or any(a.name for a in node.arguments):  # noqa: PLR2004  (start, stop, step)
        raise Refused(
            "wrong-arity",
            "range takes one to three numbers: range(n), range(start, stop, step)",
            node.span,
            help="write range(4), range(1, 4) or range(0, 8, 2)",
        )
    numbers = [_number(world.value(a.value, place), a.value.span) for a in node.arguments]
    if len(numbers) == 3 and numbers[2] == 0:  # noqa: PLR2004
        raise Refused(
            "wrong-argument",
            "the step of a range is not 0",
            node.arguments[2].span,
            help="write a step of 1 or more, or leave it out",
        )
    start, stop, step = (0, *numbers, 1) if len(numbers) == 1 else (*numbers, 1)[:3]
    _check_count(max(0, -((start - stop) // step)), node.span)
    return [constant(node.span, k) for k in range(start, stop, step)]


def _whole(value: Value, span: Span) -> int:
    count = _number(value, span)
    if count < 0:
        raise Refused(
            "wrong-argument",
            f"a block cannot be repeated {count} times",
            span,
            help="repeat takes a whole number, 0 or more",
        )
    _check_count(count, span)
    return count


def _number(value: Value, span: Span) -> int:
    if value is POISON:
        raise Echo
    if isinstance(value, Element) and value.number is not None and value.number.denominator == 1:
        return int(Fraction(value.number))
    if isinstance(value, Element) and value.number is not None:
        message = f"a whole number is wanted here, and this is {decimal(value.number)}"
        raise Refused("not-whole", message, span, help="write a whole number; n // 2 rounds down")
    raise Refused("not-known", f"a whole number known when the model is compiled is wanted here, and this is "
                  f"{described(value)}", span, help="free dims are known only when the model is called")  # fmt: skip


def _check_count(count: int, span: Span) -> None:
    if count > MOST_INSTANCES:
        raise OutOfBudget(Refused(
            "too-large", f"a loop of {count:,} rounds unfolds to more than {MOST_INSTANCES:,} equations", span,
            help="loops unfold when the model is compiled; an index runs when it is called",
        ))  # fmt: skip
