"""Sums of products of three factors and more → of two at a time, with tensors of their own between.

    p[b, o] = sum[i, j](x[b, i]*z[b, j]*w[i, j, o])
    p.pair[b, i, j] = x[b, i]*z[b, j]                  p[b, o] = sum[i, j](p.pair[b, i, j]*w[i, j, o])

As written, the sum and its derivative by each factor would run over all indices at once. The derivatives of pairs are
pairs as well, so this is done before differentiation, and what one pair made serves all. The order is opt_einsum's
(Smith and Gray, 2018), which counts multiplications.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import sympy

from gradc.graph.index import IndexExpr
from gradc.graph.kinds import kind_of
from gradc.graph.nodes import Equation, Read, Reducer, leaves_of

from .engine import EquationRule, Measure, Rule
from .work import Work

FREE = 256
"""What a free dim counts as."""

FEWEST = 2
"""Factors of which one may be summed before they meet."""

MOST_FOR_THE_BEST = 16
"""Factors up to which the best order is looked for; of more it is a good one."""

ROUNDS_FOR_A_NUMBER = 2
"""Rounds of the loops for each number of the largest factor, or of the result, up to which a sum stays as it is: it
reads about as much as it computes."""

PASSES = 3
"""Over the indices of a pair: for itself, and for the derivative by each of its factors."""


@dataclass(frozen=True, slots=True)
class _Factor:
    """A part of a product; the indices that it mentions, in its order; those that share a place with another."""

    body: sympy.Expr
    indices: tuple[str, ...]
    window: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Step:
    """Two factors become one, or one is summed: their places among those that are left, the indices of what is made."""

    places: tuple[int, ...]
    kept: tuple[str, ...]


def unpaired(work: Work) -> Measure:
    """Terms of sums that take less as pairs."""
    return (sum(len(work.remembered(_plan, equation)) for equation in work.equations()),)


def _plan(equation: Equation) -> dict[Equation, tuple[_Step, ...]]:
    """The terms of a sum that take less as pairs, each as an equation, and their steps."""
    terms = (replace(equation, body=term) for term in sympy.Add.make_args(equation.body))
    steps = {term: _steps(term) for term in terms} if equation.reducer is Reducer.SUM else {}
    return {term: taken for term, taken in steps.items() if taken}


def _pairs(equation: Equation, work: Work) -> tuple[Equation, ...] | None:
    plan = work.remembered(_plan, equation)
    if not plan:
        return None
    paired = [_paired(each, steps, work) for each, steps in plan.items()]
    split = {each.body for each in plan}
    rest = [term for term in sympy.Add.make_args(equation.body) if term not in split]
    return (*paired, *([replace(equation, body=sympy.Add(*rest))] if rest else []))


def _paired(equation: Equation, steps: Iterable[_Step], work: Work) -> Equation:
    """A sum of one product as a sum of two factors, after these steps."""
    own = {each.name: each for each in equation.indices}
    constants, left = _factors(equation.body)
    for step in steps:
        pair, left = _taken(left, step.places)
        summed = _mentioned(pair).difference(step.kept)
        domain = tuple(own[name] for name in step.kept)
        indices = (*domain, *(each for each in equation.indices if each.name in summed))
        body = sympy.Mul(*(factor.body for factor in pair))
        part = replace(equation, indices=indices, body=body, origin=equation.origin.after(PAIRS.name))
        read = work.add(f"{equation.target}.pair", domain, part, kind_of(body, work.tensors))
        left.append(_Factor(read, step.kept))
    mentioned = _mentioned(left).union(equation.written)
    indices = tuple(each for each in equation.indices if each.name in mentioned)
    return replace(equation, indices=indices, body=sympy.Mul(*constants, *(factor.body for factor in left)))


def _steps(equation: Equation) -> tuple[_Step, ...]:
    """The steps but the last, which the equation itself is; none where it would not take less by them."""
    if not equation.reduced or equation.guards:
        return ()
    _, factors = _factors(equation.body)
    sizes = {each.name: _size(each.extent) for each in equation.indices}
    if len(factors) < FEWEST or not _mentioned(factors).issuperset(each.name for each in equation.reduced):
        return ()
    rounds = numbers(sizes, sizes)
    largest = max(numbers(sizes, names) for names in (equation.written, *(factor.indices for factor in factors)))
    if rounds <= ROUNDS_FOR_A_NUMBER * largest:
        return ()
    steps: list[_Step] = []
    taken, left = 0, factors
    for places in _path(factors, equation.written, sizes):
        pair, left = _taken(left, places)
        needed = _mentioned(left).union(equation.written)
        taken += numbers(sizes, _mentioned(pair))
        kept = tuple(name for name in _side_by_side(pair, needed, list(sizes)) if name in needed)
        if left and any(factor.window and factor.window.issubset(kept) for factor in pair):
            return ()  # it would be all windows, one after the other
        steps.append(_Step(places, kept))
        left.append(_Factor(sympy.Integer(1), kept))
    return tuple(steps[:-1]) if PASSES * taken < (len(factors) + 1) * rounds else ()


def _side_by_side(pair: Sequence[_Factor], needed: set[str], order: Sequence[str]) -> Iterable[str]:
    """The indices of two factors: in the order of the one that has all that are needed, or first those of the one whose
    index is the equation's first, such as examples."""
    needed = needed & _mentioned(pair)
    first = (factor for factor in pair if needed.issubset(factor.indices))
    ranked = sorted(pair, key=lambda factor: min(map(order.index, factor.indices), default=-1))
    return dict.fromkeys(name for factor in (*first, *ranked) for name in factor.indices)


def _mentioned(factors: Iterable[_Factor]) -> set[str]:
    return {name for factor in factors for name in factor.indices}


def _factors(body: sympy.Expr) -> tuple[list[sympy.Expr], list[_Factor]]:
    """Numbers and sizes, and what depends on a tensor or an index."""
    constants: list[sympy.Expr] = []
    factors: list[_Factor] = []
    for part in sympy.Mul.make_args(body):
        leaves = leaves_of(part)
        places = [place for leaf in leaves for place in (leaf.subscripts if isinstance(leaf, Read) else (leaf.value,))]
        indices = tuple(dict.fromkeys(name for place in places for name in place.indices))
        window = frozenset(name for place in places if len(place.indices) > 1 for name in place.indices)
        if indices or any(isinstance(leaf, Read) for leaf in leaves):
            factors.append(_Factor(part, indices, window))
        else:
            constants.append(part)
    return constants, factors


def _taken(factors: Sequence[_Factor], places: Iterable[int]) -> tuple[list[_Factor], list[_Factor]]:
    """Those at the places, and those that are left."""
    return [factors[at] for at in places], [factor for at, factor in enumerate(factors) if at not in places]


def _path(factors: Sequence[_Factor], written: Iterable[str], sizes: Mapping[str, int]) -> list[tuple[int, ...]]:
    """Which are next, by their places among those that are left: first each of which something is summed alone, then
    two at a time. What they make comes last of those that are left."""
    from opt_einsum.paths import auto_hq, greedy

    numbers = {name: at for at, name in enumerate(sizes)}  # sets of names have another order in every process
    output = frozenset(numbers[name] for name in written)
    inputs = [frozenset(numbers[name] for name in factor.indices) for factor in factors]
    path: list[tuple[int, ...]] = []
    for factor in tuple(inputs):
        at = inputs.index(factor)
        others = output.union(*inputs[:at], *inputs[at + 1 :])
        if factor - others:
            path.append((at,))
            inputs = [*inputs[:at], *inputs[at + 1 :], factor & others]
    find = auto_hq if len(factors) <= MOST_FOR_THE_BEST else greedy
    return [*path, *find(inputs, output, {numbers[name]: size for name, size in sizes.items()})]


def _size(extent: IndexExpr) -> int:
    return extent.value(dict.fromkeys(extent.dims, FREE))


def numbers(sizes: Mapping[str, int], names: Iterable[str]) -> int:
    """How many places there are of these indices."""
    return math.prod(sizes[name] for name in names)


PAIRS: EquationRule = Rule(
    "pairs",
    "sum[i, j](x[i]*z[j]*w[i, j])",
    "sum[j](z[j]*sum[i](x[i]*w[i, j]))",
    "two factors at a time run over fewer indices",
    _pairs,
)
