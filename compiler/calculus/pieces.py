"""A contribution in pieces, each with the conditions under which it is written.

    d_z[i] += if i < 3 then d_q[i] else 0        for i < 6        becomes        d_z[i] += d_q[i]    where i < 3

A read in a branch is inside its tensor only there; swapped with the write, the branch's condition must guard the
whole equation. Conditions on data stay in the body.
"""

from collections.abc import Iterator
from dataclasses import replace

import sympy
from sympy import Integer

from gradc.graph.conditions import guards_of, implied, negated
from gradc.graph.nodes import Equation, Guard, Head, Tensor
from gradc.graph.scalar import AND, NOT, OR

from .bodies import where

Guards = tuple[Guard, ...]
MOST_CASES = 8
"""Of a condition that is cut up; one of more stays in the body."""


def guarded_pieces(equation: Equation, target: Tensor) -> Iterator[Equation]:
    """Equations with the same sum, each of which writes inside its target wherever its guards hold."""
    if writes_inside(equation, target):
        yield equation
        return
    for guards, body in _pieces(equation.body):
        if body != 0:
            yield replace(equation, guards=(*equation.guards, *guards), body=body)


def writes_inside(equation: Equation, target: Tensor) -> bool:
    """Whether every place that the equation writes is proven to be inside."""
    ranges = equation.ranges
    return all(
        ranges.nonnegative(place) and ranges.nonnegative(extent - 1 - place)
        for place, extent in zip(equation.write, target.extents, strict=True)
    )


def _pieces(body: sympy.Expr) -> Iterator[tuple[Guards, sympy.Expr]]:
    """Bodies that add up to the body where each one's guards hold, and are 0 elsewhere."""
    if isinstance(body, Head) and body.row_name == "where":
        yield from _branches(*body.args)
    elif isinstance(body, sympy.Add):
        for term in body.args:
            yield from _pieces(term)
    elif isinstance(body, sympy.Mul) and (branching := _branching_factor(body)) is not None:
        rest = sympy.Mul(*(factor for factor in body.args if factor is not branching))
        for guards, part in _pieces(branching):
            yield guards, rest * part
    else:
        yield (), body


def _branching_factor(product: sympy.Mul) -> sympy.Expr | None:
    for factor in product.args:
        if isinstance(factor, sympy.Add) or (isinstance(factor, Head) and factor.row_name == "where"):
            return factor
    return None


def _branches(condition: sympy.Expr, then: sympy.Expr, otherwise: sympy.Expr) -> Iterator[tuple[Guards, sympy.Expr]]:
    for outcome, branch in ((True, then), (False, otherwise)):
        cases = _cases(condition, outcome)
        for inner, part in _pieces(branch):
            if cases is None:
                holds = condition if outcome else negated(condition)
                yield (*implied(condition, outcome), *inner), where(holds, part, Integer(0))
            else:
                yield from (((*guards, *inner), part) for guards in cases)


def _cases(condition: sympy.Expr, outcome: bool) -> tuple[Guards, ...] | None:
    """Guards of which exactly one set holds where a condition on indices comes out so; None for another condition.

    `a or b` → a; not a, b
    """
    guards = guards_of(condition if outcome else negated(condition))
    if guards is not None:
        return (guards,)
    if isinstance(condition, NOT.head):
        return _cases(condition.args[0], not outcome)
    if not isinstance(condition, AND.head | OR.head):
        return None
    left, right = condition.args
    first, other, last = _cases(left, outcome), _cases(left, not outcome), _cases(right, outcome)
    if first is None or other is None or last is None:
        return None
    both = isinstance(condition, AND.head) == outcome
    joined = tuple((*a, *b) for a in (first if both else other) for b in last)
    found = joined if both else (*first, *joined)
    return found if len(found) <= MOST_CASES else None
