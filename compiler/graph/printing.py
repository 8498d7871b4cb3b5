"""Bodies as text: one printer, one table of precedence, a style for each kind of text.

A `Style` says how leaves, functions and operators are spelt; the `Printer` orders terms and factors and decides where
brackets are needed. Text and LaTeX styles are here; the emitter makes its own for Python. What SymPy makes of a body
is undone where people write it another way: `1/2*x` is `x/2`, `x*y**(-1)` is `x/y`, `-1*x + y` is `y - x`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import sympy

from gradc.errors import InternalError

from .conditions import comparison_of, index_of
from .index import IndexExpr, Quotient, Remainder
from .nodes import Guard, Head, Named, Read, Relation, Value


class Level(IntEnum):
    """How tightly a text holds together, loosest first."""

    CONDITIONAL = 0
    OR = 1
    AND = 2
    NOT = 3
    COMPARISON = 4
    SUM = 5
    PRODUCT = 6
    NEGATION = 7
    POWER = 8
    ATOM = 9


class Piece(NamedTuple):
    """A text, and how tightly it holds together."""

    text: str
    level: Level = Level.ATOM


TURNED: Mapping[str, str] = {"lt": "gt", "le": "ge"}
RELATIONS: Mapping[Relation, str] = {Relation.AT_LEAST: "ge", Relation.EQUAL: "eq", Relation.UNEQUAL: "ne"}
OPERATOR_LEVELS: Mapping[str, Level] = {
    "gt": Level.COMPARISON,
    "ge": Level.COMPARISON,
    "or": Level.OR,
    "and": Level.AND,
    "not": Level.NOT,
    "lt": Level.COMPARISON,
    "le": Level.COMPARISON,
    "eq": Level.COMPARISON,
    "ne": Level.COMPARISON,
    "floordiv": Level.PRODUCT,
    "mod": Level.PRODUCT,
    "pow": Level.POWER,
}


@dataclass(frozen=True, slots=True)
class Style:
    """How a body is spelt.

    Attributes:
        number: a rational number that is not negative.
        read, value, named: the other leaves.
        operators: between or before operands, with their blanks: "add sub mul div neg", and any function of
            `OPERATOR_LEVELS` that is written as one; others are calls.
        call: a function's name and its arguments.
        where: condition, then, otherwise.
        power: a base, in brackets where it needs them, and a literal whole exponent above 1.
        quotient: whether a factor p/q is written as a division by q.
        fraction: numerator over denominator; None writes them in a line.
    """

    number: Callable[[sympy.Rational], Piece]
    read: Callable[[Read], Piece]
    value: Callable[[IndexExpr], Piece]
    named: Callable[[Named], Piece]
    operators: Mapping[str, str]
    call: Callable[[str, tuple[str, ...]], Piece]
    where: Callable[[Piece, Piece, Piece], Piece]
    power: Callable[[str, int], Piece]
    quotient: Callable[[sympy.Rational], bool]
    fraction: Callable[[str, str], Piece] | None = None
    brackets: tuple[str, str] = ("(", ")")


@dataclass(frozen=True, slots=True)
class Printer:
    """Prints bodies in one style. Terms and factors stand in the `order` of the tensors they read, then SymPy's."""

    style: Style
    order: tuple[str, ...] = ()

    def print(self, body: sympy.Expr) -> str:
        """The body as text."""
        return self.piece(body).text

    def piece(self, body: sympy.Expr) -> Piece:
        """The body as text, and how tightly it holds together."""
        match body:
            case Read():
                return self.style.read(body)
            case Value():
                return self.style.value(body.value)
            case Named():
                return self.style.named(body)
            case sympy.Add():
                return self._sum(body)
            case sympy.Rational() | sympy.Mul() | sympy.Pow():
                return self._negative(self._magnitude(body)) if is_negative(body) else self._magnitude(body)
            case Head():
                return self._function(body)
        raise InternalError(f"a body with {type(body).__name__} in it cannot be printed")

    def within(self, piece: Piece, level: Level) -> str:
        """The text, in brackets where it holds together less tightly than its surroundings need."""
        opening, closing = self.style.brackets
        return piece.text if piece.level >= level else f"{opening}{piece.text}{closing}"

    # ------------------------------------------------------------ sums

    def _sum(self, body: sympy.Expr) -> Piece:
        """Positive terms first; among them cases after others, and plain numbers last."""
        terms = sorted(body.args, key=self._place_in_sum)
        text = ""
        for term in terms:
            if text and is_negative(term):
                text += self.style.operators["sub"] + self.within(self._magnitude(term), Level.PRODUCT)
            else:
                operator = self.style.operators["add"] if text else ""
                text += operator + self.within(self.piece(term), Level.PRODUCT if text else Level.SUM)
        return Piece(text, Level.SUM)

    def _place_in_sum(self, term: sympy.Expr) -> tuple[bool, bool, bool, int]:
        cases = isinstance(term, Head) and term.row_name == "where"
        return is_negative(term), isinstance(term, sympy.Rational), cases, self._rank(term)

    def _rank(self, part: sympy.Expr) -> int:
        """Where the first tensor that the part reads stands in the order; parts that read none stay in front."""
        names = {read.tensor for read in part.atoms(Read)}
        last = len(self.order) if names else -1
        return min((at for at, name in enumerate(self.order) if name in names), default=last)

    def _negative(self, piece: Piece) -> Piece:
        return Piece(self.style.operators["neg"] + self.within(piece, Level.PRODUCT), Level.NEGATION)

    # ------------------------------------------------------------ products

    def _magnitude(self, body: sympy.Expr) -> Piece:
        """A number or a product less its sign: a numerator and a denominator, each a list of factors."""
        number, above, below = split_product(body)
        number = abs(number)
        if above and (self.style.quotient(number) or (self.style.fraction and number.q != 1 and not is_long(number))):
            above = above if number.p == 1 else [sympy.Integer(number.p), *above]
            below = [sympy.Integer(number.q), *below]
        elif number != 1 or not above:
            above = [number, *above]
        if not below:
            return self._factors(above)
        if self.style.fraction:
            return self.style.fraction(self._factors(above).text, self._factors(below).text)
        numerator = self.within(self._factors(above), Level.PRODUCT)
        divisor = self.within(self._factors(below), Level.POWER)
        return Piece(numerator + self.style.operators["div"] + divisor, Level.PRODUCT)

    def _factors(self, factors: list[sympy.Expr]) -> Piece:
        if len(factors) == 1:
            piece = self._factor(factors[0])
            # -(a // b) is another number than -a // b
            rounds = isinstance(factors[0], Head) and factors[0].row_name in ("floordiv", "mod")
            return Piece(self.within(piece, Level.POWER)) if rounds else piece
        # a sum is easier to read behind what it is a multiple of
        factors = sorted(factors, key=lambda factor: (isinstance(factor, sympy.Add), self._rank(factor)))
        texts = [self.within(self._factor(factor), Level.POWER) for factor in factors]
        return Piece(self.style.operators["mul"].join(texts), Level.PRODUCT)

    def _factor(self, factor: sympy.Expr) -> Piece:
        match factor:
            case sympy.Rational():
                return self.style.number(factor)
            case sympy.Pow(args=(base, sympy.Integer() as exponent)) if exponent > 1:
                return self.style.power(self.within(self.piece(base), Level.ATOM), int(exponent))
            case sympy.Pow(args=(base, sympy.Rational() as exponent)):
                return self.style.call("pow", (self.print(base), self.print(exponent)))
        return self.piece(factor)

    # ------------------------------------------------------------ functions

    def _function(self, body: Head) -> Piece:
        name, arguments = body.row_name, [self.piece(argument) for argument in body.args]
        if name == "where":
            return self.style.where(arguments[0], arguments[1], arguments[2])
        if name not in self.style.operators:
            return self.style.call(name, tuple(argument.text for argument in arguments))
        if (guard := comparison_of(body)) is not None and any(map(_takes_off, body.args)):
            return self._comparison(guard)
        if name in TURNED and isinstance(body.args[0], sympy.Rational) and not isinstance(body.args[1], sympy.Rational):
            name, arguments = TURNED[name], arguments[::-1]  # x > 0, not 0 < x
        level, operator = OPERATOR_LEVELS[name], self.style.operators[name]
        if len(arguments) == 1:
            return Piece(operator + self.within(arguments[0], level), level)
        chains = name in ("and", "or")
        left = self.within(arguments[0], level if chains or level is Level.PRODUCT else Level(level + 1))
        return Piece(left + operator + self.within(arguments[1], level if chains else Level(level + 1)), level)

    def _comparison(self, guard: Guard) -> Piece:
        """One of index expressions, without subtraction: `t - 1 >= 0` is `t > 0`."""
        below, above = guard.sides
        name, left, right = RELATIONS[guard.relation], above, below
        if name == "ge" and ((), -1) in guard.value.terms:
            name, right = "gt", below - 1
        elif name == "ge" and below.constant is None:
            name, left, right = "le", below, above
        level = Level.COMPARISON
        texts = [self.within(self.style.value(side), Level(level + 1)) for side in (left, right)]
        return Piece(self.style.operators[name].join(texts), level)


def _takes_off(side: sympy.Expr) -> bool:
    """Whether an index expression has a minus in it."""
    expr = index_of(side)
    return expr is not None and any(coefficient < 0 for _, coefficient in expr.terms)


def is_negative(term: sympy.Expr) -> bool:
    """Whether a term is written with a minus sign."""
    match term:
        case sympy.Rational():
            return bool(term < 0)
        case sympy.Mul(args=(sympy.Rational() as number, *_)):
            return bool(number < 0)
    return False


def split_product(body: sympy.Expr) -> tuple[sympy.Rational, list[sympy.Expr], list[sympy.Expr]]:
    """A product as a number, the factors above and the factors below the line."""
    number: sympy.Rational = sympy.Integer(1)
    above: list[sympy.Expr] = []
    below: list[sympy.Expr] = []
    for factor in body.args if isinstance(body, sympy.Mul) else (body,):
        match factor:
            case sympy.Rational():
                number = number * factor
            case sympy.Pow(args=(base, sympy.Rational() as exponent)) if exponent < 0:
                below.append(base**-exponent)
            case _:
                above.append(factor)
    return number, above, below


# ---------------------------------------------------------------- leaves that styles share

LONGEST_DECIMAL = 6
LONG = 10**15
"""What is longer is written as a float has it: of 9^60/10^60 both would be infinite in float32."""


def decimal_of(value: sympy.Rational) -> str | None:
    """The number with a decimal point or an exponent, where it has few digits and is exact: 0.9, 1e-08."""
    try:
        text = f"{value.p / value.q:.{LONGEST_DECIMAL}g}"
    except OverflowError:
        return None
    return text if sympy.Rational(text) == value else None


def is_power_of_two(number: int) -> bool:
    """Whether the whole number is 1, 2, 4, 8 …"""
    return number > 0 and number & (number - 1) == 0


def is_long(value: sympy.Rational) -> bool:
    """Whether a number has more digits, above or below the line, than anyone would read."""
    return bool(abs(value.p) >= LONG or value.q >= LONG)


def long_number(value: sympy.Rational) -> str:
    """One that is long, to the digits of a float."""
    try:
        return repr(value.p / value.q)
    except OverflowError:
        return str(sympy.N(value, LONGEST_DECIMAL))


def plain_number(value: sympy.Rational) -> Piece:
    """A number as people write it: 3, 0.9, 1e-08, 1/3."""
    if is_long(value):
        return Piece(long_number(value))
    if value.q == 1:
        return Piece(str(value.p))
    decimal = decimal_of(value)
    return Piece(decimal) if decimal else Piece(f"{value.p}/{value.q}", Level.PRODUCT)


def plain_quotient(value: sympy.Rational) -> bool:
    """`x/2` and `x/3`, but `0.9*x`, `0.1*x`."""
    halves = value.p == 1 and is_power_of_two(value.q)
    return bool(value.q != 1 and not is_long(value) and (halves or decimal_of(value) is None))


def level_of(expr: IndexExpr) -> Level:
    """How tightly the text of an index expression holds together."""
    if len(expr.terms) > 1:
        return Level.SUM
    if not expr.terms:
        return Level.ATOM
    ((monomial, coefficient),) = expr.terms
    if coefficient < 0:
        return Level.NEGATION
    if len(monomial) + (coefficient != 1 or not monomial) > 1:
        return Level.PRODUCT
    return Level.PRODUCT if any(isinstance(atom, Quotient | Remainder) for atom in monomial) else Level.ATOM


def plain_call(name: str, arguments: tuple[str, ...]) -> Piece:
    """`name(a, b)`."""
    return Piece(f"{name}({', '.join(arguments)})")


def _bracketed(piece: Piece) -> str:
    return f"({piece.text})" if piece.level is Level.CONDITIONAL else piece.text


def _plain_where(condition: Piece, then: Piece, otherwise: Piece) -> Piece:
    return Piece(f"if {_bracketed(condition)} then {_bracketed(then)} else {otherwise.text}", Level.CONDITIONAL)


PLAIN_OPERATORS: Mapping[str, str] = {
    "add": " + ", "sub": " - ", "mul": "*", "div": "/", "neg": "-", "or": " or ", "and": " and ", "not": "not ",
    "lt": " < ", "le": " <= ", "gt": " > ", "ge": " >= ",
    "eq": " == ", "ne": " != ", "floordiv": " // ", "mod": " % ", "pow": "^",
}  # fmt: skip

TEXT = Style(
    number=plain_number,
    read=lambda read: Piece(
        f"{read.tensor}[{', '.join(map(str, read.subscripts))}]" if read.subscripts else read.tensor
    ),
    value=lambda value: Piece(str(value), level_of(value)),
    named=lambda named: Piece(named.name),
    operators=PLAIN_OPERATORS,
    call=plain_call,
    where=_plain_where,
    power=lambda base, exponent: Piece(f"{base}^{exponent}", Level.POWER),
    quotient=plain_quotient,
)


def text_of(body: sympy.Expr) -> str:
    """A body as the language would have it."""
    return Printer(TEXT).print(body)
