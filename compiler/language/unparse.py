"""Writes expressions as a person would: tree → text that parses to that tree, with as few brackets as can be."""

from collections.abc import Sequence
from fractions import Fraction
from typing import assert_never

from . import syntax as s

BINDER, CONDITION, PIPE, OR, AND, NOT, COMPARISON, SUM, PRODUCT, NEGATION, POWER, OPERAND = range(12)

LEVELS = {"|>": PIPE, "or": OR, "and": AND, "+": SUM, "-": SUM, "^": POWER}
LEVELS |= dict.fromkeys(("*", "/", "//", "%", "@"), PRODUCT)
LONGEST_PLAIN = 16


def unparse(expression: s.Expression) -> str:
    """The text of an expression."""
    return _at(expression, CONDITION)


def _at(node: s.Expression, level: int) -> str:
    """The text where a sign of some level binds it: in brackets where its own binds less."""
    own, text = _text(node)
    return text if own >= level else f"({text})"


def _text(node: s.Expression) -> tuple[int, str]:
    """The text of a node without brackets around it, and how tightly it holds together."""
    match node:
        case s.Number(_, value, whole):
            return _number(value, whole)
        case s.Unary(_, "not", operand):
            return NOT, f"not {_at(operand, NOT)}"
        case s.Unary(_, _, operand):
            return NEGATION, f"-{_at(operand, NEGATION)}"
        case s.Binary():
            return _binary(node)
        case s.Comparison(_, operators, operands):
            parts = [_at(operands[0], SUM)]
            parts += [f"{sign} {_at(operand, SUM)}" for sign, operand in zip(operators, operands[1:], strict=True)]
            return COMPARISON, " ".join(parts)
        case s.Conditional(_, condition, then, otherwise):
            return CONDITION, f"if {unparse(condition)} then {unparse(then)} else {unparse(otherwise)}"
        case s.Binder(_, name, extent):
            return BINDER, f"{name}: {unparse(extent)}"
        case _:
            return OPERAND, _operand(node)


def _operand(node: s.Name | s.Text | s.Ellipsis | s.Subscript | s.Call | s.List) -> str:
    match node:
        case s.Name(_, name):
            return name
        case s.Text(_, value):
            return f'"{value}"'
        case s.Ellipsis():
            return "..."
        case s.Subscript(_, base, subscripts, guarded):
            return f"{_base(base)}{'?' if guarded else ''}[{_items(subscripts)}]"
        case s.Call(_, function, _, indices, arguments):
            over = "" if indices is None else f"[{_items(indices)}]"
            return f"{function}{over}({', '.join(map(_argument, arguments))})"
        case s.List(_, items):
            return f"[{_items(items)}]"
        case _:
            assert_never(node)


def _binary(node: s.Binary) -> tuple[int, str]:
    own = LEVELS[node.operator]
    if own == POWER:
        return own, f"{_at(node.left, OPERAND)}^{_at(node.right, NEGATION)}"
    return own, f"{_at(node.left, own)} {node.operator} {_at(node.right, own + 1)}"


def _base(node: s.Expression) -> str:
    """What may stand before a bracket as it is: a name, a call, a read. The loss is no name there."""
    plain = isinstance(node, s.Call | s.Subscript) or (isinstance(node, s.Name) and node.name != "loss")
    return _text(node)[1] if plain else f"({_text(node)[1]})"


def _items(items: Sequence[s.Expression]) -> str:
    return ", ".join(_text(item)[1] for item in items)


def _argument(argument: s.Argument) -> str:
    value = unparse(argument.value)
    return value if argument.name is None else f"{argument.name} = {value}"


def _number(value: Fraction, whole: bool) -> tuple[int, str]:
    """A number as it may be written: in decimals where it has finitely many, else as a quotient."""
    if value < 0:
        return NEGATION, "-" + _number(-value, whole)[1]
    if whole and value.denominator == 1:
        return OPERAND, str(value.numerator)
    twos = (value.denominator & -value.denominator).bit_length() - 1
    fives = 0
    rest = value.denominator >> twos
    while rest % 5 == 0:
        rest //= 5
        fives += 1
    if rest != 1:
        return PRODUCT, f"{value.numerator} / {value.denominator}"
    places = max(twos, fives)
    return OPERAND, _decimal(str(value.numerator * 10**places // value.denominator), places)


def _decimal(digits: str, places: int) -> str:
    """Digits with the last so many after the point: `0.25`, `3.0`, or `25e-20` where that is long."""
    short = digits.rstrip("0") or "0"
    exponent = len(digits) - len(short) - places if digits != "0" else 0
    if (exponent > 0 and len(digits) > LONGEST_PLAIN) or places > LONGEST_PLAIN:
        return f"{short}e{exponent}"
    padded = digits.rjust(places + 1, "0")
    point = len(padded) - places
    return f"{padded[:point]}.{padded[point:] or '0'}"
