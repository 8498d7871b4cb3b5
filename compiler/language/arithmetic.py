"""A function of numbers applied to elements: kinds, ranges, and what is known when the model is compiled.

`add` of two index expressions is an index expression; a comparison of two knows what it says of them; a whole number
carries its range; what is made of known numbers alone is worked out.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from functools import reduce

from gradc.errors import Span
from gradc.graph.index import IndexExpr, number
from gradc.graph.ranges import Fact, Ranges, differs, one_of

from . import core
from .core import Bounds, Kind
from .folding import COMPARE, compare, division_by_zero, fold
from .refusal import Refused
from .values import Element, constant, described, truth, whole

POLYNOMIAL: Mapping[str, Callable[..., IndexExpr]] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "neg": operator.neg,
}  # fmt: skip
ARITY = dict.fromkeys(
    [
        "exp",
        "log",
        "log1p",
        "expm1",
        "sqrt",
        "abs",
        "sign",
        "sin",
        "cos",
        "tan",
        "asin",
        "acos",
        "atan",
        "tanh",
        "sinh",
        "cosh",
        "erf",
        "floor",
        "round",
        "stop_gradient",
    ],
    1,
) | {"clip": 3, "max": 2, "min": 2}
"""The functions of numbers that a model can call, and how many arguments they take."""

LOGICAL = {"and", "or", "not"}
KEEP_WHOLE = {"add", "sub", "neg", "mul", "floordiv", "mod", "max", "min", "clip"}


def apply(function: str, arguments: Sequence[Element], span: Span, ranges: Ranges) -> Element:
    """The element that a function makes of others.

    Raises:
        Refused: an argument is of the wrong kind, or a number cannot be worked out.
    """
    if function in LOGICAL:
        return _logical(function, arguments, span)
    parts = [as_number(argument) for argument in arguments]
    if function in COMPARE:
        return _comparison(function, parts[0], parts[1], span)
    numbers = [part.number for part in parts if part.number is not None]
    if len(numbers) == len(parts):
        folded = fold(function, numbers, span)
        if folded is not None:
            return constant(span, folded, _keeps_whole(function, parts, folded.denominator))
    if function in {"div", "floordiv", "mod"} and parts[1].number == 0:
        raise division_by_zero(span)
    kind = _kind(function, parts)
    expression = _expression(function, parts, span)
    if kind is Kind.WHOLE:
        index = _index(function, parts, span, ranges)
        if index is not None:
            return _of_index(index, expression, span)
        return Element(expression, kind, bounds=_bounds(function, parts, ranges))
    return Element(expression, kind, index=_size(function, parts, span))


def as_number(element: Element) -> Element:
    """True is 1 where a number is wanted, false 0."""
    if element.kind is not Kind.BOOL:
        return element
    span = element.expression.span
    if element.truth is not None:
        return constant(span, int(element.truth))
    one, zero = constant(span, 1).expression, constant(span, 0).expression
    bounds = Bounds(number(0), number(1))
    return Element(core.Where(span, element.expression, one, zero), Kind.WHOLE, bounds=bounds)


def where(condition: Element, then: Element, otherwise: Element, span: Span, ranges: Ranges) -> Element:
    """`if condition then then else otherwise`, the condition not being known."""
    if then.kind is not Kind.BOOL or otherwise.kind is not Kind.BOOL:
        then, otherwise = as_number(then), as_number(otherwise)
    kind = then.kind if then.kind is otherwise.kind else Kind.REAL
    expression = core.Where(span, condition.expression, then.expression, otherwise.expression)
    if kind is not Kind.WHOLE:
        return Element(expression, kind)
    taken, left = (
        branch.range(ranges.with_facts(facts))
        for branch, facts in ((then, condition.holds), (otherwise, condition.fails))
    )
    return Element(expression, kind, bounds=hull(taken, left, ranges))


def needs_condition(element: Element, span: Span) -> None:
    """Refuses what is neither true nor false."""
    if element.kind is not Kind.BOOL:
        raise Refused("not-a-condition", f"a condition is wanted here, and this is {described(element)}", span,
                      help="compare it with something, as in `x > 0`")  # fmt: skip


def _of_index(index: IndexExpr, expression: core.Expression, span: Span) -> Element:
    if index.gathers:
        return Element(expression, Kind.WHOLE, index=index)
    return whole(span, index)


def _keeps_whole(function: str, parts: Sequence[Element], denominator: int) -> bool:
    if function in {"floor", "round"}:
        return True
    return denominator == 1 and function in KEEP_WHOLE | {"pow"} and all(p.kind is Kind.WHOLE for p in parts)


def _kind(function: str, parts: Sequence[Element]) -> Kind:
    if function in {"floor", "round"}:
        return Kind.WHOLE
    if function in KEEP_WHOLE and all(part.kind is Kind.WHOLE for part in parts):
        return Kind.WHOLE
    if function == "pow" and _small_power(parts) is not None:
        return Kind.WHOLE
    return Kind.REAL


def _small_power(parts: Sequence[Element]) -> int | None:
    """The exponent of a power of a size, which is a product: `n^2`."""
    base, exponent = parts
    if base.size is None or exponent.number is None or exponent.number.denominator != 1:
        return None
    return int(exponent.number) if 0 <= exponent.number <= 8 else None  # noqa: PLR2004  (a longer polynomial helps nobody)


def _expression(function: str, parts: Sequence[Element], span: Span) -> core.Expression:
    return core.Apply(span, function, tuple(part.expression for part in parts))


def _index(function: str, parts: Sequence[Element], span: Span, ranges: Ranges) -> IndexExpr | None:
    found = [part.index for part in parts if part.index is not None]
    if len(found) < len(parts):
        return None
    if function in POLYNOMIAL:
        return POLYNOMIAL[function](*found)
    match function, found:
        case "pow", [a, _]:
            return reduce(operator.mul, [a] * (_small_power(parts) or 0), number(1))
        case ("floordiv" | "mod") as sign, [a, b]:
            if b.constant == 0:
                raise division_by_zero(span)
            if not ranges.nonnegative(b - 1):
                return None
            return ranges.simplified(a // b if sign == "floordiv" else a % b)
        case ("max" | "min") as end, [a, b]:
            return _larger(a, b, ranges, None) if end == "max" else _smaller(a, b, ranges, None)
    return None


def _size(function: str, parts: Sequence[Element], span: Span) -> IndexExpr | None:
    """Sizes divided by sizes that go into them are sizes again: real as a number, whole where one is needed."""
    if any(part.size is None for part in parts):
        return None
    if function != "div":
        return _index(function, parts, span, Ranges())
    a, b = (part.index or number(0) for part in parts)
    if b.constant == 0:
        return None
    quotient = a // b
    return quotient if quotient * b == a else None


# ---------------------------------------------------------------- ranges


def _bounds(function: str, parts: Sequence[Element], ranges: Ranges) -> Bounds | None:
    known = [found for part in parts if (found := part.range(ranges)) is not None]
    if len(known) < len(parts) or function in {"floor", "round"}:
        return _bounds_of_some(function, parts, ranges)
    match function, known:
        case "add", [a, b]:
            return Bounds(a.low + b.low, a.high + b.high)
        case "sub", [a, b]:
            return Bounds(a.low - b.high, a.high - b.low)
        case "neg", [a]:
            return Bounds(-a.high, -a.low)
        case "mul", [a, b]:
            return _product(a, b, ranges)
        case "floordiv", [a, b] if ranges.nonnegative(a.low) and ranges.nonnegative(b.low - 1):
            return Bounds(number(0), a.high if b.low.constant is None else a.high // b.low)
        case "mod", [_, b] if ranges.nonnegative(b.low - 1):
            return Bounds(number(0), b.high - 1)
        case "max", [a, b]:
            return _joined(_larger(a.low, b.low, ranges, a.low), _larger(a.high, b.high, ranges, None))
        case "min", [a, b]:
            return _joined(_smaller(a.low, b.low, ranges, None), _smaller(a.high, b.high, ranges, a.high))
    return _bounds_of_some(function, parts, ranges)


def _bounds_of_some(function: str, parts: Sequence[Element], ranges: Ranges) -> Bounds | None:
    """What `clip` says whatever is clipped, and `%` whatever is divided."""
    if function == "clip":
        low, high = parts[1].range(ranges), parts[2].range(ranges)
        if low and high:
            return Bounds(_smaller(low.low, high.low, ranges, None) or low.low, high.high)
    if function == "mod":
        divisor = parts[1].range(ranges)
        if divisor and ranges.nonnegative(divisor.low - 1):
            return Bounds(number(0), divisor.high - 1)
    return None


def _product(a: Bounds, b: Bounds, ranges: Ranges) -> Bounds | None:
    for x, y in ((a, b), (b, a)):
        if x.low == x.high and ranges.nonnegative(x.low):
            return Bounds(x.low * y.low, x.low * y.high)
        if x.low == x.high and ranges.nonnegative(-x.low):
            return Bounds(x.low * y.high, x.low * y.low)
    if ranges.nonnegative(a.low) and ranges.nonnegative(b.low):
        return Bounds(a.low * b.low, a.high * b.high)
    return None


def hull(a: Bounds | None, b: Bounds | None, ranges: Ranges) -> Bounds | None:
    """The range of what is in one range or the other."""
    if a is None or b is None:
        return None
    return _joined(_smaller(a.low, b.low, ranges, None), _larger(a.high, b.high, ranges, None))


def _joined(low: IndexExpr | None, high: IndexExpr | None) -> Bounds | None:
    return None if low is None or high is None else Bounds(low, high)


def _larger(a: IndexExpr, b: IndexExpr, ranges: Ranges, otherwise: IndexExpr | None) -> IndexExpr | None:
    if ranges.nonnegative(a - b):
        return a
    return b if ranges.nonnegative(b - a) else otherwise


def _smaller(a: IndexExpr, b: IndexExpr, ranges: Ranges, otherwise: IndexExpr | None) -> IndexExpr | None:
    if ranges.nonnegative(a - b):
        return b
    return a if ranges.nonnegative(b - a) else otherwise


# ---------------------------------------------------------------- truth


def _comparison(function: str, a: Element, b: Element, span: Span) -> Element:
    if a.number is not None and b.number is not None:
        return truth(span, compare(function, a.number, b.number))
    expression = core.Apply(span, function, (a.expression, b.expression))
    if a.index is None or b.index is None or Kind.REAL in (a.kind, b.kind):
        return Element(expression, Kind.BOOL)
    difference = b.index - a.index
    decided = _decided(function, difference)
    if decided is not None:
        return truth(span, decided)
    equal: tuple[Fact, ...] = (difference, -difference)
    unequal: tuple[Fact, ...] = (differs(difference),)
    holds, fails = {
        "lt": ((difference - 1,), (-difference,)),
        "le": ((difference,), (-difference - 1,)),
        "eq": (equal, unequal),
        "ne": (unequal, equal),
    }[function]
    return Element(expression, Kind.BOOL, holds=holds, fails=fails)


def _decided(function: str, difference: IndexExpr) -> bool | None:
    """What is known of two sizes when the model is compiled, whatever the free dims are."""
    if difference.indices or difference.gathers:
        return None
    free = Ranges()
    at_least, at_most = free.nonnegative(difference), free.nonnegative(-difference)
    above, below = free.nonnegative(difference - 1), free.nonnegative(-difference - 1)
    yes, no = {
        "lt": (above, at_most),
        "le": (at_least, below),
        "eq": (at_least and at_most, above or below),
        "ne": (above or below, at_least and at_most),
    }[function]
    return True if yes else False if no else None


def _logical(function: str, parts: Sequence[Element], span: Span) -> Element:
    for part in parts:
        own = part.expression.span  # of a name: where the tensor is given
        needs_condition(part, own if span.holds(own) else span)
    expression = core.Apply(span, function, tuple(part.expression for part in parts))
    if function == "not":
        (a,) = parts
        if a.truth is not None:
            return truth(span, not a.truth)
        return Element(expression, Kind.BOOL, holds=a.fails, fails=a.holds)
    stops = function == "or"
    if any(part.truth is stops for part in parts):
        return truth(span, stops)
    unknown = [part for part in parts if part.truth is None]
    if len(unknown) < len(parts):
        return unknown[0] if unknown else truth(span, not stops)
    a, b = parts
    if stops:
        return Element(expression, Kind.BOOL, holds=one_of(a.holds, b.holds), fails=(*a.fails, *b.fails))
    return Element(expression, Kind.BOOL, holds=(*a.holds, *b.holds), fails=one_of(a.fails, b.fails))
