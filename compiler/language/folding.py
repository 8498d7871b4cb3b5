"""Numbers known when the model is compiled: exact, and never larger than a reader would write."""

import operator
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from math import floor

from gradc.errors import Span

from .refusal import Refused
from .values import decimal

MOST_BITS = 4096
COMPARE = {"lt", "le", "eq", "ne"}
OF_TWO: Mapping[str, Callable[[Fraction, Fraction], Fraction]] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "max": max, "min": min,
}  # fmt: skip
OF_ONE: Mapping[str, Callable[[Fraction], Fraction]] = {
    "neg": operator.neg, "abs": abs, "floor": lambda a: Fraction(floor(a)),
}  # fmt: skip


UNDEFINED: Mapping[str, Callable[..., bool]] = {
    "sqrt": lambda a: a < 0, "log": lambda a: a < 0, "log1p": lambda a: a < -1, "asin": lambda a: abs(a) > 1,
    "acos": lambda a: abs(a) > 1, "pow": lambda a, b: a < 0 and b.denominator != 1,
}  # fmt: skip
"""Where functions have no real value."""


def fold(function: str, numbers: list[Fraction], span: Span) -> Fraction | None:
    """The value of a function of known numbers, where it is exact; None where it is not a fraction.

    Raises:
        Refused: it would be too long to write down, divides by zero, or is no real number.
    """
    if function in UNDEFINED and UNDEFINED[function](*numbers):
        raise _not_real(function, numbers, span)
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


def _not_real(function: str, numbers: Sequence[Fraction], span: Span) -> Refused:
    shown = [decimal(value) for value in numbers]
    said = f"({shown[0]})^{shown[1]}" if function == "pow" else f"{function}({shown[0]})"
    return Refused("not-a-real-number", f"{said} is no real number", span,
                   help="look at the numbers and sizes that it is made of: it is so whatever the data")  # fmt: skip


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
