"""What an expression of a model is while it is elaborated: a number at a place, a whole tensor, a definition, a word.

`Element` and `Array` are all that equations compute with. An `Array` is a function from subscripts to elements, so
element-wise text such as `x * sigmoid(x)` costs no tensor in between; one that has a tensor carries its name.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TypeAlias

from gradc.errors import Span
from gradc.graph.index import IndexExpr, number
from gradc.graph.ranges import Fact, Ranges

from . import core, syntax

NO_RANGE = 2**62
"""Ends of ranges from here on come of whole numbers of which nothing is known."""

Subscripts: TypeAlias = tuple[IndexExpr, ...]


@dataclass(frozen=True, slots=True)
class Element:
    """A number at a place, or true or false; a scalar is one too.

    Attributes:
        number, truth: what it is, where that is known when the model is compiled.
        index: the index expression it is, where it is whole-number arithmetic on indices, sizes and gathers.
        bounds: its range, for a whole number that is no index expression.
        holds, fails: what is known of indices where it is true, and where it is false.
    """

    expression: core.Expression
    kind: core.Kind
    number: Fraction | None = None
    truth: bool | None = None
    index: IndexExpr | None = None
    bounds: core.Bounds | None = None
    holds: tuple[Fact, ...] = ()
    fails: tuple[Fact, ...] = ()

    @property
    def known(self) -> bool:
        """Whether it is known when the model is compiled."""
        return self.number is not None or self.truth is not None

    @property
    def size(self) -> IndexExpr | None:
        """The size it is: a whole number or an expression in the dims alone."""
        if self.number is not None:
            return number(int(self.number)) if self.number.denominator == 1 else None
        if self.index is None or self.index.indices or self.index.gathers:
            return None
        return self.index

    def range(self, ranges: Ranges) -> core.Bounds | None:
        """Its least and largest value, in the dims, as far as they are known."""
        if self.kind is core.Kind.BOOL:
            return core.Bounds(number(0), number(1))
        if self.index is None:
            return self.bounds
        low, high = _least(self.index, ranges), _most(self.index, ranges)
        if low is None or high is None or low.indices or high.indices:
            return None
        told = all(abs(coefficient) < NO_RANGE for end in (low, high) for _, coefficient in end.terms)
        return core.Bounds(low, high) if told else None


def _least(expr: IndexExpr, ranges: Ranges) -> IndexExpr | None:
    """An expression in the dims that is never above another: by the ends of its indices, or by a fact about it."""
    found = ranges.least(expr)
    for fact in ranges.facts:
        told = expr - fact
        if told.of_dims and (found is None or found.indices or ranges.nonnegative(told - found)):
            found = told
    return found


def _most(expr: IndexExpr, ranges: Ranges) -> IndexExpr | None:
    """An expression in the dims that is never below another."""
    below = _least(-expr, ranges)
    return None if below is None else -below


@dataclass(frozen=True, slots=True, eq=False)
class Array:
    """A whole tensor with one axis or more.

    Attributes:
        sample: an element at some place: what every element's kind and range are; known if all are the same number.
        at: the element at a place, under what is known of the indices there.
        name: the tensor that holds it, if there is one.
    """

    axes: tuple[core.Axis, ...]
    sample: Element
    at: Callable[[Subscripts, Ranges], Element]
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Poison:
    """The value of what is already known to be wrong: whatever meets it stays silent."""


@dataclass(frozen=True, slots=True)
class Word:
    """One of the words that a definition's header lists: `same`."""

    word: str


@dataclass(frozen=True, slots=True, eq=False)
class Items:
    """A list of values known when the model is compiled: `[3, 5]`."""

    values: tuple["Value", ...]


@dataclass(frozen=True, slots=True, eq=False)
class Function:
    """A definition as a value; `definition` is None for a built-in function of numbers."""

    name: str
    definition: syntax.Definition | None


@dataclass(frozen=True, slots=True, eq=False)
class Several:
    """What `return a, b` gives."""

    values: tuple["Value", ...]


Value: TypeAlias = Element | Array | Poison | Word | Items | Function | Several

POISON = Poison()


def constant(span: Span, value: Fraction | int, whole: bool | None = None) -> Element:
    """A number known when the model is compiled; whole if it is written so."""
    value = Fraction(value)
    is_whole = value.denominator == 1 if whole is None else whole
    kind = core.Kind.WHOLE if is_whole else core.Kind.REAL
    return Element(core.Number(span, value), kind, value, index=number(int(value)) if is_whole else None)


def truth(span: Span, value: bool) -> Element:
    """True or false, known when the model is compiled. In an expression it is a comparison of two numbers."""
    zero, one = core.Number(span, Fraction(0)), core.Number(span, Fraction(1))
    return Element(core.Apply(span, "eq", (one, one if value else zero)), core.Kind.BOOL, truth=value)


def whole(span: Span, value: IndexExpr) -> Element:
    """An index expression over indices and sizes as a number."""
    if value.constant is not None:
        return constant(span, value.constant)
    return Element(core.Whole(span, value), core.Kind.WHOLE, index=value)


def decimal(value: Fraction) -> str:
    """A known number as it is read: 1.5, 0.333333."""
    return f"{Decimal(value.numerator) / Decimal(value.denominator):.6g}"


def described(value: Value) -> str:
    """What a value is, for an error."""
    match value:
        case Element(kind=kind):
            return {core.Kind.BOOL: "true or false", core.Kind.WHOLE: "a whole number"}.get(kind, "a number")
        case Array():
            return f"a tensor {shown(value.axes)}"
        case Word():
            return f"the word {value.word}"
        case Items():
            return "a list"
        case Function():
            return f"the definition {value.name}"
        case Several():
            return f"{len(value.values)} values"
        case Poison():
            return "wrong already"


def shown(axes: tuple[core.Axis, ...]) -> str:
    """`[batch, pixels = 64]`: the axes by their names, with the extent where that says more."""
    parts = [
        str(axis.extent) if axis.name == str(axis.extent) or not axis.name else f"{axis.name} = {axis.extent}"
        for axis in axes
    ]
    return f"[{', '.join(parts)}]"
