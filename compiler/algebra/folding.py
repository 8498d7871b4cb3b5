"""Rules of bodies: what is known without running anything leaves, and conditions are asked once.

Constants, branches that are decided, products with an indicator, functions that undo each other, reads of copies and
of constant tensors. No rule here copies a costly function.
"""

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache

import sympy
from sympy import Integer, Rational

from gradc.graph.conditions import condition_of, facts_of, guards_of, index_of, opposite
from gradc.graph.index import Gather
from gradc.graph.nodes import Equation, Guard, Head, Named, Read, Value, leaves_of
from gradc.graph.ranges import Ranges
from gradc.graph.scalar import EQ, EXP, LE, LOG, LT, NE, NOT, POW, SQRT, STOP, WHERE, row_of
from gradc.graph.tensors import Kind

from .engine import BodyRule, Rule, Site
from .views import outcome_of, proven

LARGEST_POWER = 16
"""Whole powers up to this one are products, as in the lowering."""
CHEAP_SIZE = 6

# ---------------------------------------------------------------- constants

EXACT: Mapping[str, Callable[..., Fraction | bool]] = {
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "and": lambda a, b: bool(a and b),
    "or": lambda a, b: bool(a or b),
    "not": lambda a: not a,
    "max": max,
    "min": min,
    "abs": abs,
    "sign": lambda a: Fraction((a > 0) - (a < 0)),
    "floor": lambda a: Fraction(a.numerator // a.denominator),
    "round": lambda a: Fraction(round(a)),
    "clip": lambda a, low, high: min(max(a, low), high),
}
AT_POINTS: Mapping[tuple[str, Rational], Rational] = {
    ("exp", Integer(0)): Integer(1),
    ("log", Integer(1)): Integer(0),
    ("log1p", Integer(0)): Integer(0),
    ("expm1", Integer(0)): Integer(0),
    ("sqrt", Integer(0)): Integer(0),
    ("sqrt", Integer(1)): Integer(1),
    ("sqrt", Integer(4)): Integer(2),
    ("tanh", Integer(0)): Integer(0),
    ("sigmoid", Integer(0)): Rational(1, 2),
    ("erf", Integer(0)): Integer(0),
    ("sin", Integer(0)): Integer(0),
    ("cos", Integer(0)): Integer(1),
}


def _constant(body: sympy.Expr, site: Site) -> sympy.Expr | None:
    if not all(isinstance(argument, Rational) for argument in body.args):
        return None
    exact = EXACT.get(body.row_name)
    if exact is None:
        return AT_POINTS.get((body.row_name, body.args[0]))
    value = Fraction(exact(*(Fraction(argument.p, argument.q) for argument in body.args)))
    return Rational(value.numerator, value.denominator)


def _power(body: sympy.Expr, site: Site) -> sympy.Expr | None:
    base, exponent = body.args
    whole = isinstance(exponent, Integer) and abs(int(exponent)) <= LARGEST_POWER
    return base**exponent if whole else None


# ---------------------------------------------------------------- conditions


def _decided(body: sympy.Expr, site: Site) -> sympy.Expr | None:
    condition, then, otherwise = body.args
    if then == otherwise:
        return then
    outcome = bool(condition) if isinstance(condition, Integer) else outcome_of(condition, site)
    if outcome is None:
        outcome = _by_ranges(condition, site)
    return None if outcome is None else then if outcome else otherwise


def _by_ranges(condition: sympy.Expr, site: Site) -> bool | None:
    guards = guards_of(condition)
    if guards is None:
        return None
    ranges = site.ranges()
    if all(proven(guard, ranges) for guard in guards):
        return True
    return False if any(proven(opposite(guard), ranges) for guard in guards) else None


def _implied(body: sympy.Expr, site: Site) -> sympy.Expr | None:
    condition, then, otherwise = body.args
    for branch, other, outcome in ((then, otherwise, True), (otherwise, then, False)):
        inner = isinstance(branch, WHERE.head) and branch.args[2] == other
        if inner and _told_by(branch.args[0], condition) is outcome:
            return branch
    return None


@lru_cache(maxsize=8192)
def _told_by(asked: sympy.Expr, condition: sympy.Expr) -> bool | None:
    """How a condition on indices comes out wherever another one, which can be asked wherever it can, holds."""
    known, guards = guards_of(asked), guards_of(condition)
    if known is None or guards is None or not _gathers(known) <= _gathers(guards):
        return None
    ranges = Ranges().with_facts(facts_of(asked, True))
    if all(proven(guard, ranges) for guard in guards):
        return True
    return False if any(proven(opposite(guard), ranges) for guard in guards) else None


def _gathers(guards: Sequence[Guard]) -> set[Gather]:
    return {gather for guard in guards for gather in guard.value.gathers}


def _turned(body: sympy.Expr, site: Site) -> sympy.Expr | None:
    condition, then, otherwise = body.args
    return WHERE(condition.args[0], otherwise, then) if isinstance(condition, NOT.head) else None


def _not(body: sympy.Expr, site: Site) -> sympy.Expr | None:
    (inner,) = body.args
    match inner:
        case NOT.head(args=(condition,)):
            return condition
        case EQ.head(args=(a, b)):
            return NE(a, b)
        case NE.head(args=(a, b)):
            return EQ(a, b)
        case LT.head(args=(a, b)) | LE.head(args=(a, b)) if index_of(a) is not None and index_of(b) is not None:
            return LE(b, a) if isinstance(inner, LT.head) else LT(b, a)
    return None


def _one_condition(body: sympy.Expr, site: Site) -> sympy.Expr | None:
    """Terms under the same condition are one `where`."""
    groups: dict[sympy.Expr, list[sympy.Expr]] = {}
    for term in body.args:
        if isinstance(term, WHERE.head):
            groups.setdefault(term.args[0], []).append(term)
    for condition, terms in groups.items():
        if len(terms) > 1:
            rest = [term for term in body.args if term not in terms]
            branches = [sympy.Add(*(term.args[place] for term in terms)) for place in (1, 2)]
            return sympy.Add(*rest, WHERE(condition, *branches))
    return None


def _indicator(body: sympy.Expr, site: Site) -> sympy.Expr | None:
    for factor in body.args:
        if isinstance(factor, WHERE.head) and factor.args[1:] in ((1, 0), (0, 1)):
            rest = sympy.Mul(*(other for other in body.args if other is not factor))
            return WHERE(factor.args[0], *(rest if branch == 1 else Integer(0) for branch in factor.args[1:]))
    return None


# ---------------------------------------------------------------- functions


def _log_of_exp(body: sympy.Expr, site: Site) -> sympy.Expr | None:
    (inner,) = body.args
    return inner.args[0] if isinstance(inner, EXP.head) else None


def _exp_of_log(body: sympy.Expr, site: Site) -> sympy.Expr | None:
    (inner,) = body.args
    return inner.args[0] if isinstance(inner, LOG.head) and never_negative(inner.args[0]) else None


def _square_of_root(body: sympy.Expr, site: Site) -> sympy.Expr | None:
    base, power = body.args
    if not isinstance(base, SQRT.head) or not isinstance(power, Integer) or power % 2:
        return None
    return base.args[0] ** (power // 2) if never_negative(base.args[0]) else None


POSITIVE = ("exp", "sigmoid", "softplus", "abs", "sqrt")


@lru_cache(maxsize=4096)
def never_negative(body: sympy.Expr) -> bool:
    """Whether the body cannot be below 0, by its form alone; it may be NaN."""
    match body:
        case Rational():
            return bool(body >= 0)
        case Named():
            return True
        case sympy.Pow(args=(base, Integer() as power)):
            return int(power) % 2 == 0 or never_negative(base)
        case sympy.Add() | sympy.Mul():
            return all(never_negative(part) for part in body.args)
        case Head():
            return body.row_name in POSITIVE
    return False


def _stopped(body: sympy.Expr, site: Site) -> sympy.Expr | None:
    return body.args[0]


# ---------------------------------------------------------------- reads


def _copy(body: sympy.Expr, site: Site) -> sympy.Expr | None:
    """The read of what a tensor is a copy of, shifted or with its axes in another order."""
    if not is_copy(site.work.behind(body.tensor)):
        return None
    equation = site.work.elementwise(body.tensor)
    if equation is None or not _is_plain(equation.body):
        return None
    source = site.work.tensors.get(equation.body.tensor)
    if source is None or source.kind is not site.work.tensors[body.tensor].kind:
        return None
    return site.work.through(body)


def is_copy(equations: Sequence[Equation]) -> bool:
    """Whether a tensor has one equation, whose body is a read."""
    return len(equations) == 1 and isinstance(equations[0].body, Read)


def _is_plain(read: Read) -> bool:
    """Each axis at an index of its own, shifted or not, or at one place."""
    names: list[str] = []
    for subscript in read.subscripts:
        if subscript.gathers or len(subscript.indices) > 1:
            return False
        if subscript.indices:
            (name,) = subscript.indices
            factor = subscript.coefficient(name)
            if factor is None or factor.constant != 1:
                return False
            names.append(name)
    return len(set(names)) == len(names)


def _constant_tensor(body: sympy.Expr, site: Site) -> sympy.Expr | None:
    work = site.work
    tensor = work.tensors.get(body.tensor)
    if tensor is None or tensor.role is not None:
        return None
    equations = work.behind(body.tensor)
    if not equations or work.is_unwritten(body):
        return Integer(0)
    if equations[0].reads:
        return None
    found = work.opened(body)
    if found is None or not _is_known(*found, tensor.kind):
        return None
    value, guards = found
    return WHERE(condition_of(guards), value, Integer(0)) if guards else value


def _is_known(value: sympy.Expr, guards: tuple[Guard, ...], kind: Kind) -> bool:
    """Whether it is told by the place alone, and cheaply: it reads nothing, and asks for indices in conditions only."""
    if kind is Kind.WHOLE and (guards or not isinstance(value, Integer | Value)):
        return False
    if any(guard.value.gathers for guard in guards):
        return False
    return _is_fixed(value)


def _is_fixed(value: sympy.Expr) -> bool:
    match value:
        case Rational() | Named():
            return True
        case Value(value=expr):
            return not expr.indices and not expr.gathers
        case WHERE.head(args=(condition, then, otherwise)):
            return _is_of_indices(condition) and _is_fixed(then) and _is_fixed(otherwise)
        case Head():
            return _is_of_indices(value) or not value.atoms(Read, Value)  # log(2): what is compiled knows its value
        case sympy.Add() | sympy.Mul() | sympy.Pow():
            return all(map(_is_fixed, value.args))
    return False


def _is_of_indices(condition: sympy.Expr) -> bool:
    guards = guards_of(condition)
    return guards is not None and not any(guard.value.gathers for guard in guards)


def _scalar(body: sympy.Expr, site: Site) -> sympy.Expr | None:
    work = site.work
    if body.subscripts or work.is_output(body.tensor):
        return None
    equation = work.elementwise(body.tensor)
    if equation is None or work.tensors[body.tensor].kind is not Kind.REAL or equation.body.has(Head):
        return None
    reads = sum(isinstance(leaf, Read) for leaf in leaves_of(equation.body))
    return equation.body if reads <= 1 and node_weight(equation.body) <= CHEAP_SIZE else None


@lru_cache(maxsize=8192)
def node_weight(body: sympy.Expr) -> int:
    """How large a body is: its nodes, functions counted twice and costly ones three times."""
    weight = 1 if not isinstance(body, Head) else 3 if row_of(body).costly else 2
    return weight + sum(node_weight(part) for part in body.args)


# ---------------------------------------------------------------- the rules

COPY: BodyRule = Rule(
    "copy", "a[i], where a[i] = b[i]", "b[i]", "a copy is read where it comes from", _copy, nodes=(Read,)
)
CONSTANT_TENSOR: BodyRule = Rule(
    "constant tensor", "a[i], where a[i] = if i < 2 then 1/n else 0", "if i < 2 then 1/n else 0",
    "nothing is stored for it; of indices it has conditions alone", _constant_tensor, nodes=(Read,),
)  # fmt: skip
SCALAR: BodyRule = Rule(
    "scalar", "a, where a = b/n", "b/n", "one number, cheap to compute where it is used", _scalar, nodes=(Read,)
)
HEADS = (Head,)
CONSTANT: BodyRule = Rule("constant", "max(2, 3)", "3", "exact on rational numbers", _constant, nodes=HEADS)
POWER: BodyRule = Rule("power", "pow(x, 2)", "x^2", "a product, not a call", _power, nodes=(POW.head,))
DECIDED: BodyRule = Rule(
    "branch", "if c then (if c then a else b) else d", "if c then a else d",
    "equal branches, conditions asked before, conditions that the ranges decide", _decided, nodes=(WHERE.head,),
    outermost=True,
)  # fmt: skip
IMPLIED: BodyRule = Rule(
    "condition implied", "if k != 0 then (if k == 3 then a else b) else b", "if k == 3 then a else b",
    "the inner condition says how the outer one comes out", _implied, nodes=(WHERE.head,),
)  # fmt: skip
TURNED: BodyRule = Rule(
    "branches turned",
    "if not c then a else b",
    "if c then b else a",
    "one operation less",
    _turned,
    nodes=(WHERE.head,),
)
NEGATION: BodyRule = Rule(
    "not", "not a == b", "a != b", "true for NaN too; for < on indices only", _not, nodes=(NOT.head,)
)
ONE_CONDITION: BodyRule = Rule(
    "one condition", "(if c then a else 0) + (if c then b else 0)", "if c then a + b else 0", "c is asked once",
    _one_condition, nodes=(sympy.Add,),
)  # fmt: skip
INDICATOR: BodyRule = Rule(
    "indicator", "x*(if c then 1 else 0)", "if c then x else 0", "what is not taken counts for nothing", _indicator,
    assumes="x is finite where c is false, or not wanted there", nodes=(sympy.Mul,),
)  # fmt: skip
LOG_OF_EXP: BodyRule = Rule("log of exp", "log(exp(x))", "x", "exp overflows", _log_of_exp, nodes=(LOG.head,))
EXP_OF_LOG: BodyRule = Rule(
    "exp of log", "exp(log(x))", "x", "two calls less; only where x is not negative by its form", _exp_of_log,
    nodes=(EXP.head,),
)  # fmt: skip
SQUARE_OF_ROOT: BodyRule = Rule(
    "square of root", "sqrt(2)^2", "2", "only where what is under the root is not negative by its form",
    _square_of_root, nodes=(sympy.Pow,),
)  # fmt: skip
STOPPED: BodyRule = Rule(
    "stop_gradient", "stop_gradient(x)", "x", "there is nothing left to differentiate", _stopped, nodes=(STOP.head,)
)

FOLDING: tuple[BodyRule, ...] = (
    COPY, CONSTANT_TENSOR, SCALAR, CONSTANT, POWER, DECIDED, IMPLIED, TURNED, NEGATION, ONE_CONDITION, INDICATOR,
    LOG_OF_EXP, EXP_OF_LOG, SQUARE_OF_ROOT, STOPPED,
)  # fmt: skip
