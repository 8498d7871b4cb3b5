"""Rules of equations: domains and guards.

    s[b]   = sum[k](if k == y[b] then l[b, k] else 0)      →      s[b]         = l[b, y[b]]
    g[n]   = sum[e](if dst[e] == n then m[e] else 0)       →      g[dst[e]]   += m[e]

Conditions on indices become guards, guards that the ranges decide leave, an equality that fixes an index is solved for
it, an index that nothing depends on becomes a factor. What is solved stays guarded to be inside.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache

import sympy
from sympy import Integer

from gradc.graph.conditions import guards_of, opposite, under
from gradc.graph.index import ZERO, IndexExpr, index
from gradc.graph.nodes import Equation, Guard, Read, Reducer, Relation, Value, leaves_of, rebuild, substitute
from gradc.graph.ranges import Ranges
from gradc.graph.scalar import AND, NOT, WHERE
from gradc.graph.tensors import Index, ranges_of

from .engine import EquationRule, Rule
from .views import mentions, proven
from .work import Work

LONG = 1000
"""What a free dim counts as where loops are compared."""

PLACES = (Reducer.ARGMAX, Reducer.ARGMIN)
"""Reducers whose result depends on where the reduced indices stand."""


def _guards(equation: Equation, work: Work) -> tuple[Equation, ...] | None:
    """Guards proven by the ranges and the others leave; with one that cannot hold beside them the equation does."""
    if not equation.guards:
        return None
    kept = _unproven(equation.indices, equation.guards)
    if kept is None:
        return (_zeros(equation, work),) if _last_of_output(equation, work) else ()
    return (replace(equation, guards=kept),) if len(kept) != len(equation.guards) else None


def _zeros(equation: Equation, work: Work) -> Equation:
    """What is handed out, and written nowhere, has an equation all the same: every place of it is 0."""
    extents = work.tensors[equation.target].extents
    indices = tuple(Index(f"i{at}", ZERO, extent) for at, extent in enumerate(extents))
    write = tuple(index(each.name) for each in indices)
    return replace(equation, write=write, indices=indices, guards=(), reducer=Reducer.SUM, body=Integer(0))


@lru_cache(maxsize=4096)
def _unproven(indices: tuple[Index, ...], guards: tuple[Guard, ...]) -> tuple[Guard, ...] | None:
    """The guards that neither the ranges nor the others imply; None where they cannot all hold. Equal layers share."""
    kept = list(dict.fromkeys(guards))
    plain = ranges_of(indices)
    for guard in tuple(kept):
        ranges = under(plain, [other for other in kept if other is not guard])
        if proven(guard, ranges):
            kept.remove(guard)
        elif proven(opposite(guard), ranges):
            return None
    return tuple(kept)


def _last_of_output(equation: Equation, work: Work) -> bool:
    """Whether a tensor that is handed out would be left without equations."""
    return work.is_output(equation.target) and len(work.writers[equation.target]) == 1


def _nothing(equation: Equation, work: Work) -> tuple[Equation, ...] | None:
    if equation.body != 0 or equation.reducer is not Reducer.SUM or _last_of_output(equation, work):
        return None
    return ()


def _condition(equation: Equation, work: Work) -> tuple[Equation, ...] | None:
    """The part of a condition that is about indices is a guard, where a factor of a sum's body is 0 otherwise."""
    if equation.reducer is not Reducer.SUM:
        return None
    factors = sympy.Mul.make_args(equation.body)
    for factor in factors:
        found = _guarded_factor(factor, equation, work) if isinstance(factor, WHERE.head) else None
        if found is not None:
            more, body = found
            rest = (other for other in factors if other is not factor)
            guards = tuple(dict.fromkeys((*equation.guards, *more)))
            return (replace(equation, guards=guards, body=sympy.Mul(body, *rest)),)
    return None


def _guarded_factor(factor: sympy.Expr, equation: Equation, work: Work) -> tuple[list[Guard], sympy.Expr] | None:
    """What of a factor's condition is guards, and the factor where they hold."""
    condition, then, otherwise = factor.args
    if then == 0 and otherwise != 0:
        condition, then, otherwise = NOT(condition), otherwise, then
    if otherwise != 0:
        return None
    guards: list[Guard] = []
    rest: list[sympy.Expr] = []
    for part in _conjuncts(condition):
        found = _guards_of(part, equation)
        guards += found or ()
        rest += [part] if found is None else []
    if len(rest) == len(list(_conjuncts(condition))):
        return None
    for part in reversed(rest):
        then = WHERE(part, then, Integer(0))
    return guards, then


def _guards_of(condition: sympy.Expr, equation: Equation) -> tuple[Guard, ...] | None:
    """The guards that a condition is. One on what a tensor holds bounds no loop, so it must give an index its value."""
    guards = guards_of(condition)
    if guards is None or all(not guard.value.gathers or _solvable(guard, equation) for guard in guards):
        return guards
    return None


def _solvable(guard: Guard, equation: Equation) -> bool:
    equal = guard.relation is Relation.EQUAL
    return equal and any(_value(guard, each.name) is not None for each in equation.indices)


def _conjuncts(condition: sympy.Expr) -> Iterator[sympy.Expr]:
    if isinstance(condition, AND.head):
        for part in condition.args:
            yield from _conjuncts(part)
    else:
        yield condition


# ---------------------------------------------------------------- equalities


def _solved(equation: Equation, work: Work) -> tuple[Equation, ...] | None:
    """An equality guard gives the value of an index: of a reduced one if it can, else of one that is written."""
    solved = _best(equation, (guard for guard in equation.guards if guard.relation is Relation.EQUAL))
    return None if solved is None else (solved,)


def solved_for(equation: Equation, value: IndexExpr) -> Equation | None:
    """What an equation is where an expression of its indices is 0, by one index less; None where no index is told."""
    return _best(equation, [Guard(value, Relation.EQUAL)])


def _best(equation: Equation, guards: Iterable[Guard]) -> Equation | None:
    """The equation with the best of the indices that equalities give a value solved."""
    if equation.reducer in PLACES:
        return None
    found = [way for guard in guards for way in _ways(equation, guard)]
    if not found:
        return None
    _, guard, each, value = min(found, key=lambda way: way[0])
    return _with_value(equation, guard, each, value)


def _ways(equation: Equation, guard: Guard) -> Iterator[tuple[tuple[int, int], Guard, Index, IndexExpr]]:
    """The indices that an equality gives a value, and how good it is to solve it for them."""
    fixed = {name for each in equation.indices for end in (each.low, each.high) for name in end.indices}
    reduced = {each.name for each in equation.reduced}
    for each in equation.indices:
        value = None if each.name in fixed else _value(guard, each.name)
        if value is not None and (rank := _rank(each, value, reduced, equation)) is not None:
            yield rank, guard, each, value


def _value(guard: Guard, name: str) -> IndexExpr | None:
    """What the index is where the guard holds."""
    factor = guard.value.coefficient(name)
    if factor is None or factor.constant not in (1, -1):
        return None
    return (index(name) * factor.constant - guard.value) * factor.constant


def _rank(each: Index, value: IndexExpr, reduced: set[str], equation: Equation) -> tuple[int, int] | None:
    """Best is a reduced index that written ones give; else the one whose loop is the longest, reduced ones first."""
    length = each.extent.value(dict.fromkeys(each.extent.dims, LONG))
    if each.name in reduced:
        return (0, 0) if reduced.isdisjoint(value.indices) else (1, -2 * length)
    return (1, 1 - 2 * length) if equation.reducer is Reducer.SUM else None


def _with_value(equation: Equation, guard: Guard, solved: Index, value: IndexExpr) -> Equation:
    values = {solved.name: value}
    inside = (Guard(value - solved.low, Relation.AT_LEAST), Guard(solved.high - 1 - value, Relation.AT_LEAST))
    others = (other.substitute(values) for other in equation.guards if other is not guard)
    return replace(
        equation,
        write=tuple(place.substitute(values) for place in equation.write),
        indices=tuple(each for each in equation.indices if each is not solved),
        guards=tuple(dict.fromkeys((*others, *inside))),
        body=substitute(equation.body, values),
    )


# ---------------------------------------------------------------- indices


def _one_place(equation: Equation, work: Work) -> tuple[Equation, ...] | None:
    """An index that takes one value is that value, unless an axis of the target is it alone."""
    if equation.reducer in PLACES:
        return None
    for each in equation.indices:
        if each.extent.constant == 1 and all(place.bare != each.name for place in equation.write):
            values = {each.name: each.low}
            return (
                replace(
                    equation,
                    write=tuple(place.substitute(values) for place in equation.write),
                    indices=tuple(_index_at(other, values) for other in equation.indices if other is not each),
                    guards=tuple(guard.substitute(values) for guard in equation.guards),
                    body=substitute(equation.body, values),
                ),
            )
    return None


def _index_at(each: Index, values: dict[str, IndexExpr]) -> Index:
    return Index(each.name, each.low.substitute(values), each.high.substitute(values))


def _unused(equation: Equation, work: Work) -> tuple[Equation, ...] | None:
    """A sum over what nothing depends on is a product with its extent; an extremum over it is the body."""
    if equation.reducer not in (Reducer.SUM, Reducer.MAX, Reducer.MIN):
        return None
    for each in equation.reduced:
        if not _depends(equation, each) and Ranges().nonnegative(each.extent - 1):
            factor = Value(each.extent) if equation.reducer is Reducer.SUM else Integer(1)
            rest = tuple(other for other in equation.indices if other is not each)
            return (replace(equation, indices=rest, body=factor * equation.body),)
    return None


def _depends(equation: Equation, each: Index) -> bool:
    name = each.name
    if any(name in guard.value.indices for guard in equation.guards) or mentions(equation.body, {name}):
        return True
    return any(name in end.indices for other in equation.indices for end in (other.low, other.high))


def _quotients(equation: Equation, work: Work) -> tuple[Equation, ...] | None:
    """Quotients and remainders that the ranges decide: with d < w, (n*w + d) // w is n."""
    if not any(place.divisions for place in equation.index_expressions()):
        return None
    ranges = work.ranges(equation)
    changes: dict[sympy.Expr, sympy.Expr] = {}
    for leaf in leaves_of(equation.body):
        if isinstance(leaf, Read):
            new: sympy.Expr = Read(leaf.tensor, tuple(map(ranges.simplified, leaf.subscripts)))
        else:
            new = Value(ranges.simplified(leaf.value))
        if new != leaf:
            changes[leaf] = new
    write = tuple(map(ranges.simplified, equation.write))
    guards = equation.guards
    if any(guard.value.divisions for guard in guards):  # what one says is not taken as known in itself
        ranges = work.ranges(replace(equation, guards=()))
        guards = tuple(replace(guard, value=ranges.simplified(guard.value)) for guard in guards)
    if not changes and (write, guards) == (equation.write, equation.guards):
        return None
    return (replace(equation, write=write, guards=guards, body=rebuild(equation.body, changes)),)


# ---------------------------------------------------------------- sums


def constant_factor(equation: Equation) -> sympy.Expr:
    """The numbers and sizes that a sum's body is a product with."""
    if equation.reducer is not Reducer.SUM or not equation.reduced:
        return Integer(1)
    return sympy.Mul(*(factor for factor in sympy.Mul.make_args(equation.body) if _is_size(factor)))


def _is_size(factor: sympy.Expr) -> bool:
    match factor:
        case sympy.Rational():
            return True
        case Value(value=value):
            return not value.indices and not value.gathers
        case sympy.Pow(args=(Value(value=value), Integer())):
            return not value.indices and not value.gathers and Ranges().nonnegative(value - 1)
    return False


def _factor(equation: Equation, work: Work) -> tuple[Equation, ...] | None:
    """c · Σ f, with the sum in a tensor of its own."""
    factor = constant_factor(equation)
    bare = [place.bare for place in equation.write]
    if factor == 1 or len(work.writers[equation.target]) != 1 or None in bare or len(set(bare)) != len(bare):
        return None
    domain = tuple(next(each for each in equation.indices if each.name == name) for name in bare)
    guards = _kept_inside(equation, domain, work)
    if guards is None:
        return None
    body = sympy.Mul(*(part for part in sympy.Mul.make_args(equation.body) if not _is_size(part)))
    inner = work.add(f"{equation.target}.sum", domain, replace(equation, body=body))
    return (replace(equation, indices=domain, guards=guards, body=factor * inner),)


def _kept_inside(equation: Equation, domain: tuple[Index, ...], work: Work) -> tuple[Guard, ...] | None:
    """The guards that keep what is written inside the tensor, where the sum over all else is done; none where none is
    needed, None where those on what is summed over are."""
    own = {each.name for each in domain}
    of_domain = tuple(guard for guard in equation.guards if own.issuperset(guard.value.indices))
    extents = work.tensors[equation.target].extents
    for guards in ((), of_domain):
        ranges = under(ranges_of(domain), guards)
        if all(ranges.nonnegative(at) and ranges.nonnegative(e - 1 - at)
               for at, e in zip(equation.write, extents, strict=True)):  # fmt: skip
            return guards
    return None


GUARDS: EquationRule = Rule(
    "guard", "f(i) for i < n where i < n + 1", "f(i) for i < n", "decided by the ranges", _guards
)
NOTHING: EquationRule = Rule("zero", "a[i] += 0", "", "adds nothing", _nothing)
CONDITION: EquationRule = Rule(
    "condition",
    "sum[k](b[k]*(if k < i then a[k] else 0))",
    "sum[k] b[k]*a[k] where k < i",
    "a loop bound, not a branch",
    _condition,
    assumes="b is finite where the condition is false, or not wanted there",
)
SOLVED: EquationRule = Rule(
    "solved", "sum[j](if j == e then f(j))", "f(e)", "one place in place of a loop; a sum over matches is a scatter",
    _solved,
)  # fmt: skip
ONE_PLACE: EquationRule = Rule(
    "one place", "y[3*g + o] = f(g, o) for g < 1", "y[o] = f(0, o)", "a loop of one round", _one_place
)
UNUSED: EquationRule = Rule("unused index", "sum[k: n] x", "n*x", "the same term n times", _unused)
QUOTIENTS: EquationRule = Rule(
    "quotient", "x[(i*w + d) // w]", "x[i]", "decided by the ranges", _quotients, assumes="d in 0 .. w - 1"
)
FACTOR: EquationRule = Rule("factor", "sum[k] x[k]/n", "(sum[k] x[k])/n", "once, not at every place", _factor)

DOMAINS: tuple[EquationRule, ...] = (NOTHING, CONDITION, GUARDS, SOLVED, ONE_PLACE, UNUSED, QUOTIENTS)
