"""Rules of quotients: what the quotient rule leaves of x / (1 + |x|), 1/v - |x|/v², is brought over one denominator.

Where what is left above it is less, most digits were lost in the difference: far from 0, 1/v and |x|/v² are alike.
"""

from collections.abc import Iterator
from itertools import permutations

import sympy
from sympy import Integer

from gradc.graph.scalar import ABS, SIGN

from .engine import BodyRule, Rule, Site
from .folding import node_weight


def _magnitude(body: sympy.Expr, site: Site) -> sympy.Expr | None:
    for factor in body.args:
        if isinstance(factor, SIGN.head) and factor.args[0] in body.args:
            (inner,) = factor.args
            return sympy.Mul(ABS(inner), *(other for other in body.args if other not in (factor, inner)))
    return None


def _one_denominator(body: sympy.Expr, site: Site) -> sympy.Expr | None:
    """a/v + b/v² is (a/v²)(v + b/a), where v + b/a is less than v and b/a."""
    for first, second in permutations(body.args, 2):
        for under in _sums_under(first):
            above = under + second / first * under
            joined = first / under * above
            if above.has(under) or node_weight(joined) >= node_weight(first + second):
                continue
            return sympy.Add(joined, *(term for term in body.args if term not in (first, second)))
    return None


def _sums_under(term: sympy.Expr) -> Iterator[sympy.Expr]:
    """The sums that a term is divided by."""
    for factor in sympy.Mul.make_args(term):
        match factor:
            case sympy.Pow(args=(sympy.Add() as under, Integer() as power)) if power < 0:
                yield under


MAGNITUDE: BodyRule = Rule(
    "magnitude", "x*sign(x)", "abs(x)", "one function less, and a sum may have it too", _magnitude, nodes=(sympy.Mul,)
)
ONE_DENOMINATOR: BodyRule = Rule(
    "one denominator", "1/(1 + x) - x/(1 + x)^2", "1/(1 + x)^2", "far from 0 the two are alike, and lose their digits",
    _one_denominator, assumes="x is finite, or NaN is not wanted", nodes=(sympy.Add,),
)  # fmt: skip

QUOTIENTS: tuple[BodyRule, ...] = (MAGNITUDE, ONE_DENOMINATOR)
