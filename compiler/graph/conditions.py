"""Conditions on indices: a condition of a body → the guards it is, or the guards it implies where it holds or fails.

A condition is about indices where it compares whole expressions made of index values and whole numbers alone. What
compares reals is left alone: with NaN, `not (a < b)` is not `b <= a`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache, reduce
from operator import mul

import sympy

from .index import ONE, ZERO, IndexExpr, number
from .nodes import Guard, Head, Relation, Value
from .ranges import Fact, Ranges, one_of
from .scalar import AND, EQ, FLOORDIV, LE, LT, MOD, NE, NOT, OR, WHERE

HIGHEST_POWER = 4  # of an index expression; a condition on more is left as it is
NEVER = Guard(number(-1), Relation.AT_LEAST)

COMPARISONS: dict[str, Callable[[IndexExpr, IndexExpr], Guard]] = {
    LT.name: lambda a, b: Guard(b - a - 1, Relation.AT_LEAST),
    LE.name: lambda a, b: Guard(b - a, Relation.AT_LEAST),
    EQ.name: lambda a, b: Guard(a - b, Relation.EQUAL),
    NE.name: lambda a, b: Guard(a - b, Relation.UNEQUAL),
}


@lru_cache(maxsize=4096)
def index_of(expr: sympy.Expr) -> IndexExpr | None:
    """The index expression that a body is, where it is made of index values and whole numbers alone."""
    match expr:
        case Value():
            return expr.value
        case sympy.Integer():
            return number(int(expr))
        case sympy.Add() | sympy.Mul():
            total = ZERO if isinstance(expr, sympy.Add) else ONE
            for argument in expr.args:
                part = index_of(argument)
                if part is None:
                    return None
                total = total + part if isinstance(expr, sympy.Add) else total * part
            return total
        case sympy.Pow(args=(base, sympy.Integer() as exponent)) if 0 < int(exponent) <= HIGHEST_POWER:
            part = index_of(base)
            return None if part is None else reduce(mul, [part] * int(exponent))
        case Head():
            return _divided(expr)
    return None


def _divided(head: Head) -> IndexExpr | None:
    if not isinstance(head, FLOORDIV.head | MOD.head):
        return None
    above, below = map(index_of, head.args)
    if above is None or below is None or below.constant is None or below.constant <= 0:
        return None
    return above // below if isinstance(head, FLOORDIV.head) else above % below


def opposite(guard: Guard) -> Guard:
    """The guard that holds just where this one does not."""
    match guard.relation:
        case Relation.AT_LEAST:
            return Guard(-guard.value - 1, Relation.AT_LEAST)
        case Relation.EQUAL:
            return Guard(guard.value, Relation.UNEQUAL)
        case Relation.UNEQUAL:
            return Guard(guard.value, Relation.EQUAL)


def comparison_of(condition: sympy.Expr) -> Guard | None:
    """The guard that one comparison is, where both sides are index expressions."""
    if isinstance(condition, Head) and condition.row_name in COMPARISONS:
        a, b = map(index_of, condition.args)
        if a is not None and b is not None:
            return COMPARISONS[condition.row_name](a, b)
    return None


@dataclass(frozen=True, slots=True)
class Part:
    """An argument of a function, and the condition under which it is looked at: that `condition` comes out so."""

    body: sympy.Expr
    condition: sympy.Expr | None = None
    outcome: bool = True


def parts_of(head: Head) -> tuple[Part, ...]:
    """The arguments of a function. A branch stands under its condition, the right side of `and` and `or` under the
    left one: where the left side has settled it, the right one is not looked at, and may read outside."""
    match head:
        case WHERE.head(args=(condition, then, otherwise)):
            return Part(condition), Part(then, condition, True), Part(otherwise, condition, False)
        case AND.head(args=(left, right)) | OR.head(args=(left, right)):
            return Part(left), Part(right, left, isinstance(head, AND.head))
    return tuple(map(Part, head.args))


def guards_of(condition: sympy.Expr) -> tuple[Guard, ...] | None:
    """The guards whose conjunction is the condition; None where it is not one, or not about indices alone.

    `i < n and not j == 2` → `n - i - 1 >= 0`, `j - 2 != 0`
    """
    return _conjunction(condition, outcome=True)


def negated(condition: sympy.Expr) -> sympy.Expr:
    """Its negation; twice negated it is itself."""
    if isinstance(condition, NOT.head):
        (inner,) = condition.args
        return inner
    if isinstance(condition, sympy.Integer):
        return sympy.Integer(0 if condition else 1)
    return NOT(condition)


def condition_of(guards: Iterable[Guard]) -> sympy.Expr:
    """The condition that guards are: `n - i - 1 >= 0`, `j - 2 != 0` → `i < n and j != 2`."""
    return reduce(AND, map(_compared, guards))


def _compared(guard: Guard) -> sympy.Expr:
    below, above = guard.sides
    if guard.relation is not Relation.AT_LEAST:
        return (EQ if guard.relation is Relation.EQUAL else NE)(_as_body(above), _as_body(below))
    if ((), -1) in guard.value.terms:
        return LT(_as_body(below - 1), _as_body(above))
    return LE(_as_body(below), _as_body(above))


def _as_body(expr: IndexExpr) -> sympy.Expr:
    return Value(expr) if expr.constant is None else sympy.Integer(expr.constant)


def _conjunction(condition: sympy.Expr, outcome: bool) -> tuple[Guard, ...] | None:
    match condition:
        case sympy.Integer():
            return () if bool(condition) == outcome else (NEVER,)
        case NOT.head():
            return _conjunction(condition.args[0], not outcome)
        case AND.head() | OR.head() if isinstance(condition, AND.head) == outcome:
            parts = [_conjunction(argument, outcome) for argument in condition.args]
            return None if None in parts else tuple(dict.fromkeys(guard for part in parts for guard in part or ()))
    guard = comparison_of(condition)
    if guard is None:
        return None
    return (guard,) if outcome else (opposite(guard),)


@lru_cache(maxsize=4096)
def implied(condition: sympy.Expr, outcome: bool) -> tuple[Guard, ...]:
    """Guards that hold wherever the condition comes out so; what it says of anything but indices is left out."""
    match condition:
        case NOT.head():
            return implied(condition.args[0], not outcome)
        case AND.head() | OR.head() if isinstance(condition, AND.head) == outcome:
            found = [guard for argument in condition.args for guard in implied(argument, outcome)]
            return tuple(dict.fromkeys(found))
    return _conjunction(condition, outcome) or ()


@lru_cache(maxsize=4096)
def facts_of(condition: sympy.Expr, outcome: bool) -> tuple[Fact, ...]:
    """What is known of indices where the condition comes out so."""
    match condition:
        case NOT.head():
            return facts_of(condition.args[0], not outcome)
        case AND.head() | OR.head():
            parts = [facts_of(argument, outcome) for argument in condition.args]
            if isinstance(condition, AND.head) == outcome:
                return tuple(dict.fromkeys(fact for part in parts for fact in part))
            return one_of(*parts)
    return tuple(fact for guard in _conjunction(condition, outcome) or () for fact in guard.facts)


def under(ranges: Ranges, guards: Iterable[Guard]) -> Ranges:
    """The ranges where the guards hold too."""
    facts = [fact for guard in guards for fact in guard.facts]
    return ranges.with_facts(facts) if facts else ranges
