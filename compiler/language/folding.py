"""Numbers known when the model is compiled: exact, and never larger than a reader would write."""

import operator
from collections.abc import Callable, Mapping
from fractions import Fraction
from math import floor

from gradc.errors import Span

from .refusal import Refused

MOST_BITS = 4096
COMPARE = {"lt", "le", "eq", "ne"}
OF_TWO: Mapping[str, Callable[[Fraction, Fraction], Fraction]] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "max": max, "min": min,
}  # fmt: skip
OF_ONE: Mapping[str, Callable[[Fraction], Fraction]] = {
    "neg": operator.neg, "abs": abs, "floor": lambda a: Fraction(floor(a)),
}  # fmt: skip


def fold(function: str, numbers: list[Fraction], span: Span) -> Fraction | None:
    """The value of a function of known numbers, where it is exact; None where it is not a fraction.

    Raises:
        Refused: it would be too long to write down, or divides by zero.
    """
    match function, numbers:
        case ("div" | "floordiv" | "mod") as sign, [a, b]:
            return _divided(sign, a, b, span)
        case "pow", [a, b]:
            return _power(a, b, span)
        case _, [a, b] if function in OF_TWO:
            return _bounded(OF_TWO[function](a, b), span)
        case _, [a] if function in OF_ONE:
            return OF_ONE[function](a)
    return None


def compare(function: str, a: Fraction, b: Fraction) -> bool:
    """Whether a comparison of known numbers holds."""
    return {"lt": a < b, "le": a <= b, "eq": a == b, "ne": a != b}[function]


def division_by_zero(span: Span, message: str = "a division by zero") -> Refused:
    """By a number known when the model is compiled."""
    help = "look at the numbers and sizes that it is made of: it is 0 whatever the data"
    return Refused("division-by-zero", message, span, help=help)


def _divided(sign: str, a: Fraction, b: Fraction, span: Span) -> Fraction:
    if b == 0:
        raise division_by_zero(span)
    match sign:
        case "div":
            return _bounded(a / b, span)
        case "floordiv":
            return Fraction(a // b)
    return a % b


def _power(a: Fraction, b: Fraction, span: Span) -> Fraction | None:
    if a == 0 and b < 0:
        raise division_by_zero(span, "0 to a negative power divides by zero")
    if b.denominator != 1:
        return None
    longest = max(abs(a.numerator), a.denominator).bit_length()
    if longest > 1 and longest * abs(int(b)) > MOST_BITS:
        raise _too_long(span)
    return a ** int(b)


def _bounded(value: Fraction, span: Span) -> Fraction:
    if max(abs(value.numerator), value.denominator).bit_length() > 2 * MOST_BITS:
        raise _too_long(span)
    return value


def _too_long(span: Span) -> Refused:
    return Refused(
        "number-too-large",
        "this number is too large to be worked out",
        span,
        help="for a number without bound write inf",
    )
