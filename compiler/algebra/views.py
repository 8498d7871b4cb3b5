"""Seeing through the let-normal form: what stands behind a read, and whether it is an exponential or a sum of them.

Lowering gives every costly function and every reduction a tensor of its own, so `1 / (1 + exp(-x))` arrives as
`e[i] = exp(-x[i])` and `y[i] = 1/(1 + e[i])`. A matcher that looks at `y` must look at `e` too, at the place read. It
changes nothing: what is found is an expression that could stand where the read stands.
"""

from collections.abc import Iterable
from math import prod

import sympy
from sympy import Integer

from gradc.graph.index import IndexExpr
from gradc.graph.nodes import INF, Equation, Guard, Head, Read, Reducer, Relation, Value, leaves_of, rebuild
from gradc.graph.ranges import Ranges
from gradc.graph.scalar import EXP, NOT, WHERE

from .engine import Site

DEEPEST = 40


def behind(body: sympy.Expr, site: Site) -> sympy.Expr:
    """The expression itself, or what is behind a read of element-wise tensors; conditions that are known are taken."""
    for _ in range(DEEPEST):
        if isinstance(body, Read):
            found = site.work.opened(body)
            if found is None or not hold(found[1], site):
                return body
            body = found[0]
        elif isinstance(body, WHERE.head) and (outcome := outcome_of(body.args[0], site)) is not None:
            body = body.args[1 if outcome else 2]
        else:
            return body
    return body


def hold(guards: tuple[Guard, ...], site: Site) -> bool:
    """Whether guards hold wherever the site is reached."""
    if not guards:
        return True
    ranges = site.ranges()
    return all(proven(guard, ranges) for guard in guards)


def proven(guard: Guard, ranges: Ranges) -> bool:
    """Whether the guard always holds."""
    match guard.relation:
        case Relation.AT_LEAST:
            return _never_below(guard.value, ranges)
        case Relation.EQUAL:
            return _never_below(guard.value, ranges) and _never_below(-guard.value, ranges)
        case Relation.UNEQUAL:
            return _never_below(guard.value - 1, ranges) or _never_below(-guard.value - 1, ranges)


def _never_below(expr: IndexExpr, ranges: Ranges) -> bool:
    """Whether the expression is ≥ 0 at every place; most that are not are found at a corner, without a proof."""
    return not _below_at_corner(expr, ranges) and ranges.nonnegative(expr)


SAMPLE_SIZE = 7
"""What free dims are taken to be where a corner is tried."""


def _below_at_corner(expr: IndexExpr, ranges: Ranges) -> bool:
    """Whether the expression is negative at an end of its ranges where the facts hold. Not finding one says nothing."""
    every = (expr, *ranges.expressions)
    if any(each.gathers for each in every) or any(end.indices for ends in ranges.bounds.values() for end in ends):
        return False
    dims = {name: SAMPLE_SIZE for each in every for name in each.dims}
    corners = {name: (low.value(dims), high.value(dims) - 1) for name, (low, high) in ranges.bounds.items()}
    env = dims | {name: low for name, (low, _) in corners.items()}
    if any(name not in env for each in every for name in each.indices):
        return False
    for name in expr.indices:
        other = env | {name: corners[name][1]}
        if expr.value(other) < expr.value(env):
            env = other
    return expr.value(env) < 0 and ranges.hold_at(env)


def outcome_of(condition: sympy.Expr, site: Site) -> bool | None:
    """How a condition came out on the way down to here, where it was asked."""
    negations = 0
    while isinstance(condition, NOT.head):
        condition, negations = condition.args[0], negations + 1
    outcome = site.known.get(condition)
    return None if outcome is None else outcome != bool(negations % 2)


PRODUCTS = 8
"""How many products, powers and branches an exponential is looked for through, one behind the other. Each doubles the
work where tensors are read twice, so there must be an end, and exponentials are multiplied a few times at most."""


def exponent_of(body: sympy.Expr, site: Site, masked: bool = False, depth: int = PRODUCTS) -> sympy.Expr | None:
    """u where the body is exp(u). `masked` allows `if c then exp(u) else 0`, whose u is −∞ elsewhere."""
    body = behind(body, site)
    if isinstance(body, EXP.head):
        return body.args[0]
    if depth == 0:
        return None
    match body:
        case sympy.Pow(args=(base, sympy.Integer() as power)):
            exponent = exponent_of(base, site, depth=depth - 1)
            return None if exponent is None else power * exponent
        case sympy.Mul():
            return _exponent_of_product(body.args, site, depth - 1)
        case WHERE.head(args=(condition, then, otherwise)) if masked:
            left = _masked(then, site.inside(condition, True), depth - 1)
            right = _masked(otherwise, site.inside(condition, False), depth - 1)
            if left is None or right is None or (left == right == -INF):
                return None
            return WHERE(condition, left, right)
    return None


def _exponent_of_product(factors: Iterable[sympy.Expr], site: Site, depth: int) -> sympy.Expr | None:
    parts: list[sympy.Expr] = []
    for factor in factors:
        part = exponent_of(factor, site, depth=depth)
        if part is None:
            return None
        parts.append(part)
    return sympy.Add(*parts)


def _masked(body: sympy.Expr, site: Site, depth: int) -> sympy.Expr | None:
    return -INF if body == 0 else exponent_of(body, site, masked=True, depth=depth)


def two_exponents(body: sympy.Expr, site: Site) -> tuple[sympy.Expr, sympy.Expr] | None:
    """p and q where the body is exp(p) + exp(q), or 1 + exp(p), q being 0 then."""
    body = behind(body, site)
    if not isinstance(body, sympy.Add) or len(body.args) != 2:  # noqa: PLR2004  (of two terms, as the name says)
        return None
    first, second = body.args
    q = Integer(0) if first == 1 else exponent_of(first, site)
    p = exponent_of(second, site)
    return None if p is None or q is None else (p, q)


def sum_of_exponentials(body: sympy.Expr, site: Site) -> tuple[Read, Equation, sympy.Expr] | None:
    """The read of a tensor that is Σ exp(u) over at least one place, its equation, and u."""
    body = behind(body, site)
    if not isinstance(body, Read) or body.tensor in site.work.variables:
        return None
    equations = site.work.behind(body.tensor)
    if len(equations) != 1:
        return None
    (equation,) = equations
    if equation.reducer is not Reducer.SUM or not equation.reduced:
        return None
    whole = all(written.bare is not None for written in equation.write) and len(equation.written) == len(equation.write)
    if not whole or not all(Ranges().nonnegative(index.extent - 1) for index in equation.reduced):
        return None
    exponent = exponent_of(equation.body, Site(site.work, equation), masked=True)
    return None if exponent is None or not _written(equation, body, site) else (body, equation, exponent)


def _written(equation: Equation, read: Read, site: Site) -> bool:
    """Whether no guard takes terms out of the sum that is read."""
    reduced = {index.name for index in equation.reduced}
    if any(not reduced.isdisjoint(guard.value.indices) for guard in equation.guards):
        return False
    values = {place.bare or "": subscript for place, subscript in zip(equation.write, read.subscripts, strict=True)}
    return hold(tuple(guard.substitute(values) for guard in equation.guards), site)


MOST_TERMS = 100
"""Of a polynomial that is written out to be compared with another."""


def same(a: sympy.Expr, b: sympy.Expr, site: Site) -> bool:
    """Whether two expressions are equal as polynomials in what they read, seen through all cheap tensors.

    Those that would be very long are taken for different.
    """
    if a == b:
        return True
    difference = deep(a, site) - deep(b, site)
    return _terms(difference) <= MOST_TERMS and bool(sympy.expand(difference) == 0)


def _terms(body: sympy.Expr) -> int:
    """How many terms a polynomial has at most when it is multiplied out, or more than `MOST_TERMS`."""
    match body:
        case sympy.Add():
            return sum(map(_terms, body.args))
        case sympy.Mul():
            return prod(map(_terms, body.args))
        case sympy.Pow(args=(base, sympy.Integer() as power)) if power > 0:
            terms = _terms(base)
            return 1 if terms == 1 else MOST_TERMS + 1 if power > MOST_TERMS else terms ** int(power)
    return 1


def deep(body: sympy.Expr, site: Site) -> sympy.Expr:
    """The body with element-wise tensors that are polynomials of others put in their places, while it is short."""
    for _ in range(DEEPEST):
        if _terms(body) > MOST_TERMS:
            return body
        changes = {}
        for leaf in leaves_of(body):
            found = site.work.through(leaf) if isinstance(leaf, Read) else None
            if found is not None and not found.has(Head):
                changes[leaf] = found
        if not changes:
            return body
        body = rebuild(body, changes)
    return body


def negative(body: sympy.Expr) -> sympy.Expr:
    """−body, term by term."""
    return sympy.Add(*(-term for term in sympy.Add.make_args(body)))


def mentions(body: sympy.Expr, names: set[str]) -> bool:
    """Whether the body depends on one of the indices."""
    for leaf in leaves_of(body):
        for expr in (leaf.value,) if isinstance(leaf, Value) else leaf.subscripts:
            if not names.isdisjoint(expr.indices):
                return True
    return False
