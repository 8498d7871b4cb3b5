"""The value of an expression: syntax at a place → `Element`, `Array` or another value.

Operators and functions of numbers go by element; reductions, reads, calls of definitions and operations on whole
tensors have files of their own.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import assert_never

from . import core, syntax
from .arithmetic import ARITY, needs_condition
from .calls import call_definition, call_over
from .extents import REDUCERS
from .gradients import gradient_value
from .indices import stray_binder
from .mends import AXIS_WORDS, over_index, signature
from .naming import BUILT_IN, RANDOM, TENSOR_FUNCTIONS, is_word, name_value, unknown_function
from .places import Place
from .reads import read
from .reductions import is_whole_reduction, of_whole, over_indices
from .refusal import Refused
from .scopes import Given
from .values import POISON, Array, Element, Function, Items, Value, Word, constant, described, truth
from .whole import by_element, concat, product, reshape, transpose
from .world import World

OPERATORS = {"+": "add", "-": "sub", "*": "mul", "/": "div", "//": "floordiv", "%": "mod", "^": "pow", "and": "and",
             "or": "or"}  # fmt: skip
COMPARISONS = {"==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "lt", ">=": "le"}
TURNED = {">", ">="}


def evaluate(world: World, node: syntax.Expression, place: Place) -> Value:
    """The value of an expression.

    Raises:
        Refused: it has none.
    """
    match node:
        case syntax.Number(span=span, value=value, whole=whole):
            return constant(world.span(span, place.context.frame), value, whole)
        case syntax.Name():
            return name_value(world, node, place)
        case syntax.Unary(operator=operator, operand=operand):
            return by_element("neg" if operator == "-" else "not", [world.value(operand, place)], node, world, place)
        case syntax.Binary():
            return _binary(world, node, place)
        case syntax.Comparison():
            return _comparison(world, node, place)
        case syntax.Conditional():
            return _conditional(world, node, place)
        case syntax.Subscript():
            return read(world, node, place)
        case syntax.Call():
            return call(world, node, id(node), place)
        case syntax.List(items=items):
            return Items(tuple(world.value(item, place) for item in items))
        case syntax.Text() | syntax.Ellipsis() | syntax.Binder():
            raise _stray(node)
    assert_never(node)


def _stray(node: syntax.Text | syntax.Ellipsis | syntax.Binder) -> Refused:
    """What is no value and stands where one is wanted."""
    match node:
        case syntax.Text():
            return Refused(
                "stray-text",
                "a text in quotes stands only after `use` and `data`",
                node.span,
                help="a word is written as it is: padding = same",
            )
        case syntax.Ellipsis():
            return Refused(
                "stray-dots",
                "... stands only between brackets",
                node.span,
                help="write x[..., i], or mean[...](x[..., c])",
            )
    return stray_binder(node)


def _binary(world: World, node: syntax.Binary, place: Place) -> Value:
    if node.operator == "|>":
        return _pipe(world, node, place)
    left = world.value(node.left, place)
    if node.operator in {"and", "or"} and isinstance(left, Element):
        if left.truth is (node.operator == "or"):
            return left
        place = _where_it_is(left, node.operator == "and", place)
    right = world.value(node.right, place)
    if node.operator == "@":
        return product(left, right, node, world, place)
    return by_element(OPERATORS[node.operator], [left, right], node, world, place)


def _where_it_is(condition: Element, outcome: bool, place: Place) -> Place:
    """The place where a condition comes out so: of a branch, or of the right side of `and` and `or`."""
    expression = condition.expression
    if outcome:
        return place.under(expression, condition.holds)
    return place.under(core.Apply(expression.span, "not", (expression,)), condition.fails)


def _pipe(world: World, node: syntax.Binary, place: Place) -> Value:
    """`x |> g(2)` is `g(x, 2)`."""
    first = syntax.Argument(node.left.span, None, node.left)
    match node.right:
        case syntax.Name(name=name, span=span):
            return call(world, syntax.Call(node.span, name, span, None, (first,)), id(node.right), place)
        case syntax.Call(function=name, function_span=span, indices=indices, arguments=arguments):
            if indices is not None and name in REDUCERS:
                raise Refused(
                    "piped-reduction",
                    f"|> cannot hand on to {name}[…], whose indices it would not see",
                    node.span,
                    help=f"write {name}[…](…)",
                )
            piped = syntax.Call(node.span, name, span, indices, (first, *arguments))
            return call(world, piped, id(node.right), place)
    raise Refused(
        "not-a-function", "|> hands on to a function", node.right.span, help="write x |> f, or x |> f(2) for f(x, 2)"
    )


def _comparison(world: World, node: syntax.Comparison, place: Place) -> Value:
    left = world.value(node.operands[0], place)
    result: Value | None = None
    for sign, nodes in zip(node.operators, pairwise(node.operands), strict=True):
        right = world.value(nodes[1], _where_it_is(result, True, place) if isinstance(result, Element) else place)
        pair, left = _words(nodes, [left, right], place), right
        part = _words_equal(sign, pair, node)
        if part is None:
            pair = pair[::-1] if sign in TURNED else pair
            part = by_element(COMPARISONS[sign], pair, node, world, place)
        result = part if result is None else by_element("and", [result, part], node, world, place)
    assert result is not None
    return result


def _words(nodes: Sequence[syntax.Expression], pair: list[Value], place: Place) -> list[Value]:
    """Beside a word, a name that the header lists is that word, whatever else has the name: `if norm == batch`."""
    if not any(isinstance(value, Word) for value in pair):
        return pair
    return [
        Word(node.name)
        if not isinstance(value, Word) and isinstance(node, syntax.Name) and is_word(node.name, place)
        else value
        for node, value in zip(nodes, pair, strict=True)
    ]


def _words_equal(sign: str, pair: Sequence[Value], node: syntax.Comparison) -> Value | None:
    """`padding == same`, of words: decided when the model is compiled."""
    a, b = pair
    if not isinstance(a, Word) and not isinstance(b, Word):
        return None
    if a is POISON or b is POISON:
        return POISON
    if sign not in {"==", "!="} or not isinstance(a, Word) or not isinstance(b, Word):
        raise Refused(
            "wrong-kind",
            f"{described(a)} and {described(b)} cannot be compared so",
            node.span,
            help="words are compared by == and != with words of the header",
        )
    equal = (a.word == b.word) == (sign == "==")
    return truth(node.span, equal)


def _conditional(world: World, node: syntax.Conditional, place: Place) -> Value:
    """Only the branch taken counts; where it is known when the model is compiled, the other is not looked at."""
    condition = world.value(node.condition, place)
    if condition is POISON:
        return POISON
    if isinstance(condition, Element):
        needs_condition(condition, node.condition.span)
        if condition.truth is not None:
            return world.value(node.then if condition.truth else node.otherwise, place)
        then = world.value(node.then, _where_it_is(condition, True, place))
        otherwise = world.value(node.otherwise, _where_it_is(condition, False, place))
    elif isinstance(condition, Array):
        needs_condition(condition.sample, node.condition.span)
        then, otherwise = world.value(node.then, place), world.value(node.otherwise, place)
    else:
        raise Refused("not-a-condition", f"a condition is wanted here, and this is {described(condition)}",
                      node.condition.span, help="a condition compares, as in x > 0")  # fmt: skip
    return by_element("where", [condition, then, otherwise], node, world, place)


# ---------------------------------------------------------------- calls


def call(world: World, node: syntax.Call, key: int, place: Place) -> Value:
    """A call; `key` is the identity of the syntax node by which the equation planned its names."""
    name = node.function
    entry = world.find(name, place)
    if isinstance(entry, Given) and isinstance(entry.value, Function):
        name, definition = entry.value.name, entry.value.definition
    elif name in BUILT_IN:
        return _built_in(world, node, name, place)
    else:
        definition = world.definition(name, node.function_span)
    if definition is None:
        if name in BUILT_IN:
            return _built_in(world, node, name, place)
        if isinstance(entry, Given) and entry.value is POISON:
            return POISON
        raise unknown_function(world, name, node, place)
    if node.indices is not None:
        return call_over(world, definition, node, key, place)
    return call_definition(world, definition, node, key, place)


def _built_in(world: World, node: syntax.Call, name: str, place: Place) -> Value:
    if node.indices is not None:
        if name in REDUCERS:
            return over_indices(world, node, place)
        raise Refused(
            "no-indices", f"{name} takes no indices", node.span, help=f"it goes by element: write {name}(x[i])"
        )
    if name in RANDOM:
        return _random(world, node, name, place)
    if name == "grad":
        return gradient_value(world, node, place)
    positional = [a for a in node.arguments if a.name is None]
    if name in TENSOR_FUNCTIONS:
        return _tensor_function(world, node, name, place)
    if len(positional) < len(node.arguments):
        keyword = next(a for a in node.arguments if a.name is not None)
        by_axis = name in REDUCERS and keyword.name in AXIS_WORDS
        help = over_index(name, node, [world.value(a.value, place) for a in positional]) if by_axis else signature(name)
        raise Refused("unknown-keyword", f"{name} has no argument called {keyword.name}", keyword.span, help=help)
    values = [world.value(a.value, place) for a in positional]
    if is_whole_reduction(name, len(values)) and len(values) == 1:
        return of_whole(world, name, values[0], node.span, place)
    return _of_numbers(world, node, name, values, place)


def _of_numbers(world: World, node: syntax.Call, name: str, values: Sequence[Value], place: Place) -> Value:
    wanted = ARITY.get(name, 1)
    if name in {"max", "min"} and len(values) > wanted:
        result = values[0]
        for value in values[1:]:
            result = by_element(name, [result, value], node, world, place)
        return result
    if len(values) != wanted:
        plural = "argument" if wanted == 1 else "arguments"
        by_axis = name in REDUCERS and len(values) > 1 and isinstance(values[0], Array)
        help = over_index(name, node, values) if by_axis else signature(name)
        raise Refused(
            "wrong-arity", f"{name} takes {wanted} {plural}, and has {len(values)} here", node.span, help=help
        )
    return by_element(name, values, node, world, place)


def _tensor_function(world: World, node: syntax.Call, name: str, place: Place) -> Value:
    keywords = {a.name: a for a in node.arguments if a.name is not None}
    for keyword, argument in keywords.items():
        if (name, keyword) != ("concat", "axis"):
            message = f"{name} has no argument called {keyword}"
            raise Refused("unknown-keyword", message, argument.span, help=signature(name))
    values = [world.value(a.value, place) for a in node.arguments if a.name is None]
    axis = world.value(keywords["axis"].value, place) if keywords else None
    if axis is POISON or any(value is POISON for value in values):
        return POISON
    if name == "concat":
        return concat(values, axis, node, world, place)
    wanted = {"transpose": 1, "reshape": 2}[name]
    if len(values) != wanted:
        message = f"{name} takes {wanted} arguments, and has {len(values)} here"
        raise Refused("wrong-arity", message, node.span, help=signature(name))
    return transpose(values[0], node) if name == "transpose" else reshape(values[0], values[1], node)


def _random(world: World, node: syntax.Call, name: str, place: Place) -> Value:
    if node.arguments:
        raise Refused("wrong-arity", f"{name}() takes no arguments", node.span,
                      help="scale it: mean + std * normal(), low + (high - low) * uniform()")  # fmt: skip
    if world.tables.step:
        raise Refused("not-here", f"an optimizer has no random numbers, and this is {name}()", node.span,
                      help="they stand in equations of the model and in initial laws")  # fmt: skip
    world.sites += 1
    return Element(core.Random(world.span(node.span, place.context.frame), name, world.sites), core.Kind.REAL)
