"""What is known of whole-number expressions: the ranges of indices, facts and choices, and proofs from them.

Proofs put each index at the end of its range that makes an expression smallest, then shift every free dim n to
1 + n', n' ≥ 0: what has only coefficients ≥ 0 then is never negative. A proof that is not found is not a refutation.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TypeAlias

from .index import (
    ONE,
    ZERO,
    Atom,
    Dim,
    Gather,
    Idx,
    IndexExpr,
    Monomial,
    Quotient,
    Remainder,
    index,
    of_atom,
    rebuilt,
    split_multiple,
    without,
)


@dataclass(frozen=True, slots=True)
class Either:
    """One of these holds, each some facts together: `i != 0` says that i - 1 ≥ 0 or that -i - 1 ≥ 0."""

    cases: "tuple[tuple[Fact, ...], ...]"

    def substitute(self, values: Mapping[str, IndexExpr]) -> "Either":
        """Indices replaced by expressions, everywhere."""
        return Either(tuple(tuple(fact.substitute(values) for fact in case) for case in self.cases))


Bounds: TypeAlias = Mapping[str, tuple[IndexExpr, IndexExpr]]
MOST_IN_A_CHOICE = 16
MOST_CHOICES = 8
"""What proofs look into: facts in the cases of a choice, and choices, of which the last are kept."""
Fact: TypeAlias = IndexExpr | Either
"""An expression that is ≥ 0, or a choice of facts."""


def differs(value: IndexExpr) -> Either:
    """That an expression is not 0."""
    return Either(((value - 1,), (-value - 1,)))


def one_of(*cases: tuple[Fact, ...]) -> tuple[Fact, ...]:
    """That one of these cases holds; nothing where one of them says nothing, or all together too much to look at."""
    if not all(cases) or sum(1 for _ in _expressions(Either(cases))) > MOST_IN_A_CHOICE:
        return ()
    return (Either(cases),)


def _expressions(fact: Fact) -> Iterator[IndexExpr]:
    """The expressions that a fact is about."""
    if isinstance(fact, IndexExpr):
        yield fact
    else:
        yield from (expr for case in fact.cases for each in case for expr in _expressions(each))


def _holds(fact: Fact, env: Mapping[str, int]) -> bool:
    """Whether a fact holds at some values of the dims and indices."""
    if isinstance(fact, Either):
        return any(all(_holds(each, env) for each in case) for case in fact.cases)
    return fact.value(env) >= 0


@dataclass(frozen=True)
class Ranges:
    """What is known where an expression stands: low ≤ index < high for each index, facts, each one ≥ 0, and choices,
    of each of which one case holds, none certain to be the one."""

    bounds: Bounds = field(default_factory=dict)
    facts: tuple[IndexExpr, ...] = ()
    choices: tuple[Either, ...] = ()

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash((frozenset(self.bounds.items()), self.facts, self.choices))

    def with_facts(self, facts: Iterable[Fact]) -> "Ranges":
        """The same and these facts. Of a choice, cases that cannot be are dropped; what is left alone holds. Where none
        is left, no place is like this, and all is true of it."""
        facts = tuple(facts)
        if not facts:
            return self
        plain = tuple(fact for fact in facts if isinstance(fact, IndexExpr))
        known = Ranges(_narrowed(self.bounds, plain), _strongest((*self.facts, *plain)))
        waiting = (*self.choices, *(fact for fact in facts if isinstance(fact, Either)))
        for at, choice in enumerate(waiting):
            cases = tuple(case for case in choice.cases if not known._excludes(case))
            if len(cases) == 1:
                return Ranges(known.bounds, known.facts, (*known.choices, *waiting[at + 1 :])).with_facts(cases[0])
            known = Ranges(known.bounds, known.facts, (*known.choices, Either(cases))[-MOST_CHOICES:])
        return known

    @property
    def all_facts(self) -> tuple[Fact, ...]:
        """Facts and choices."""
        return (*self.facts, *self.choices)

    @cached_property
    def expressions(self) -> tuple[IndexExpr, ...]:
        """Every index expression in the facts, the choices and the bounds."""
        ends = (end for pair in self.bounds.values() for end in pair)
        return (*self.facts, *(each for choice in self.choices for each in _expressions(choice)), *ends)

    def hold_at(self, env: Mapping[str, int]) -> bool:
        """Whether all facts and choices hold at some values of the dims and indices."""
        return all(_holds(fact, env) for fact in self.all_facts)

    def with_index(self, name: str, low: IndexExpr, high: IndexExpr) -> "Ranges":
        """The same and one more index."""
        return Ranges({**self.bounds, name: (low, high)}, self.facts, self.choices)

    def _excludes(self, case: tuple[Fact, ...]) -> bool:
        """Whether some fact of a case contradicts what is known."""
        return any(
            all(map(self._excludes, fact.cases)) if isinstance(fact, Either) else self._by_facts(-fact - 1)
            for fact in case
        )

    # ------------------------------------------------------------ ends

    def least(self, expr: IndexExpr) -> IndexExpr | None:
        """An expression in the dims alone that is never above `expr`; None where none is found."""
        return self._end(expr, lower=True)

    def most(self, expr: IndexExpr) -> IndexExpr | None:
        """An expression in the dims alone that is never below `expr`; None where none is found."""
        return self._end(expr, lower=False)

    @lru_cache(maxsize=65536)  # noqa: B019 - equal ranges are one to it: equal equations are proved once
    def _end(self, expr: IndexExpr, lower: bool) -> IndexExpr | None:
        if expr.of_dims:
            return expr
        for name in self._innermost_first(expr):
            factor = expr.coefficient(name)
            if factor is None:
                continue
            sign = self._sign(factor)
            if sign is None:
                return None
            low, high = self.bounds[name]
            end = low if (sign > 0) == lower else high - 1
            expr = expr.substitute({name: end})
        total = ZERO
        for monomial, coefficient in expr.terms:
            end_of = self._monomial_end(monomial, lower if coefficient > 0 else not lower)
            if end_of is None:
                return None
            total += end_of * coefficient
        if any(name in self.bounds for name in total.indices):
            return self._end(total, lower) if total != expr else None
        return total

    def _innermost_first(self, expr: IndexExpr) -> list[str]:
        """Indices of the expression, those whose range mentions another one first."""
        names = [name for name in expr.indices if name in self.bounds]

        def depth(name: str, seen: int = 0) -> int:
            inner = [n for end in self.bounds[name] for n in end.indices if n in self.bounds]
            return 1 + max((depth(n, seen + 1) for n in inner), default=0) if seen < len(self.bounds) + 1 else 0

        return sorted(names, key=depth, reverse=True)

    def _sign(self, factor: IndexExpr) -> int | None:
        if factor.constant is not None:
            return 1 if factor.constant >= 0 else -1
        # by facts in the indices, a proof of this could come back to it
        known = Ranges(self.bounds, tuple(fact for fact in self.facts if fact.of_dims)) if self.facts else self
        if known.nonnegative(factor):
            return 1
        return -1 if known.nonnegative(-factor) else None

    def _monomial_end(self, monomial: Monomial, lower: bool) -> IndexExpr | None:
        product = ONE
        powers = self._ends_of_powers(monomial, lower)
        compound = [atom for atom in monomial if not isinstance(atom, Dim | Idx)]
        plain = tuple(atom for atom in monomial if isinstance(atom, Dim | Idx) and atom not in powers)
        for atom in monomial:
            product *= powers.get(atom, ONE)
        for atom in compound:
            end = self._atom_end(atom, lower)
            if end is None or (len(monomial) > 1 and not never_negative(end)):
                return None
            product *= end
        return product * IndexExpr(((plain, 1),))

    def _ends_of_powers(self, monomial: Monomial, lower: bool) -> dict[Atom, IndexExpr]:
        """Of i·i·j, where no index is ever below 0, the ends of i and j: the product goes from end to end with them."""
        names = [atom for atom in monomial if isinstance(atom, Idx) and atom.name in self.bounds]
        if len(names) == len(set(names)) or not all(isinstance(atom, Dim) or atom in names for atom in monomial):
            return {}
        lows = {atom: self.least(self.bounds[atom.name][0]) for atom in names}
        if any(low is None or not never_negative(low) for low in lows.values()):
            return {}
        return {atom: self.bounds[atom.name][0] if lower else self.bounds[atom.name][1] - 1 for atom in names}

    def _atom_end(self, atom: Atom, lower: bool) -> IndexExpr | None:
        match atom:
            case Gather(low=low, high=high):
                return low if lower else high
            case Remainder(a, b):
                least, most = self.least(a), self.most(a)
                if least is not None and most is not None and never_negative(least) and never_negative(b - 1 - most):
                    return least if lower else most
                return ZERO if lower else self.most(b - 1)
            case Quotient(a, b):
                end = self.least(a) if lower else self.most(a)
                if end is None or b.indices:
                    return None
                whole, rest = split_multiple(end, b)
                if never_negative(rest) and never_negative(b - 1 - rest):
                    return whole
                if never_negative(-rest - 1) and never_negative(b + rest):
                    return whole - 1
                return end // b
        return of_atom(atom)

    # ------------------------------------------------------------ proofs

    @lru_cache(maxsize=65536)  # noqa: B019
    def nonnegative(self, expr: IndexExpr) -> bool:
        """Whether expr ≥ 0 at every place, for all sizes of the free dims, by the ranges and up to two facts, in each
        case of one of the choices."""
        if self._by_facts(expr):
            return True
        return any(
            all(others.with_facts(case)._by_facts(expr) for case in each.cases)
            for at, each in enumerate(self.choices)
            for others in [Ranges(self.bounds, self.facts, (*self.choices[:at], *self.choices[at + 1 :]))]
        )

    def _by_facts(self, expr: IndexExpr) -> bool:
        if self._direct(expr):
            return True
        known = set(expr.atoms())
        useful = [fact for fact in (*self.facts, *self._lengths) if known.intersection(fact.atoms())]
        if any(self._direct(expr - fact * times) for fact in useful for times in _multipliers(expr, fact)):
            return True
        if any(self._direct(expr - a - b) for a in useful for b in self.facts if a is not b):
            return True
        cleared = _cleared(expr)
        return cleared is not None and self._by_facts(cleared)

    @cached_property
    def _lengths(self) -> tuple[IndexExpr, ...]:
        """What follows from any index's having a value: with 2 ≤ t < n, n - 3 is not below 0."""
        return tuple(high - 1 - low for low, high in self.bounds.values() if low.terms and high.dims)

    def _direct(self, expr: IndexExpr) -> bool:
        least = self.least(expr)
        return least is not None and never_negative(least)

    def equal(self, a: IndexExpr, b: IndexExpr) -> bool:
        """Whether a = b is certain."""
        return a == b or (self.nonnegative(a - b) and self.nonnegative(b - a))

    def simplified(self, expr: IndexExpr) -> IndexExpr:
        """Quotients and remainders that the ranges decide leave: with d < w, (n*w + d) // w is n, its remainder d."""
        if not expr.divisions:
            return expr

        def change(atom: Atom) -> IndexExpr:
            atom_expr = rebuilt(atom, self.simplified)
            match atom_expr.terms:
                case (((Quotient(a, b) | Remainder(a, b) as inner,), 1),):
                    if self.nonnegative(a) and self.nonnegative(b - 1 - a):
                        return ZERO if isinstance(inner, Quotient) else a
            return atom_expr

        return expr.map_atoms(change)


def _strongest(facts: Iterable[IndexExpr]) -> tuple[IndexExpr, ...]:
    """Facts less those that another says too: of k - 1 ≥ 0 and k - 3 ≥ 0 the second."""
    found: dict[tuple[tuple[Monomial, int], ...], IndexExpr] = {}
    for fact in facts:
        shape = tuple(term for term in fact.terms if term[0])
        known = found.get(shape)
        if known is None or ((fact - known).constant or 0) < 0:
            found[shape] = fact
    return tuple(found.values())


def _narrowed(bounds: Bounds, facts: Iterable[IndexExpr]) -> Bounds:
    """The ranges of indices, less what lies beyond a fact such as i - 2 ≥ 0 or n - 3 - i ≥ 0."""
    found = dict(bounds)
    for fact in facts:
        name = fact.indices[0] if len(fact.indices) == 1 else ""
        factor = fact.coefficient(name)
        if name not in found or factor is None or factor.constant not in (1, -1):
            continue
        low, high = found[name]
        end = (index(name) - fact) if factor.constant == 1 else (fact + index(name) + 1)
        if factor.constant == 1 and end.of_dims and low.of_dims and never_negative(end - low):
            found[name] = end, high
        elif factor.constant == -1 and end.of_dims and high.of_dims and never_negative(high - end):
            found[name] = low, end
    return found


def _cleared(expr: IndexExpr) -> IndexExpr | None:
    """What is ≥ 0 just where `expr` is, with a quotient less: r - a // b ≥ 0 where (r + 1) b - 1 - a ≥ 0."""
    for monomial, coefficient in expr.terms:
        match monomial, coefficient:
            case (Quotient(a, b),), 1 | -1 if never_negative(b - 1):
                rest = expr - IndexExpr(((monomial, coefficient),))
                return a + rest * b if coefficient > 0 else (rest + 1) * b - 1 - a
    return None


def _multipliers(expr: IndexExpr, fact: IndexExpr) -> Iterator[IndexExpr]:
    """How often a fact may be taken from an expression: once, or so often that an index or a dim leaves it."""
    yield ONE
    atoms: list[Idx | Dim] = [*map(Idx, expr.indices), *map(Dim, expr.dims)]
    for atom in atoms:
        mine, theirs = expr.factor_of(atom), fact.factor_of(atom)
        if mine is not None and theirs is not None and theirs.constant in (1, -1):
            times = mine * theirs
            if times != ONE and never_negative(times):
                yield times


@lru_cache(maxsize=65536)
def never_negative(expr: IndexExpr) -> bool:
    """Whether expr ≥ 0 for all sizes of its dims, each at least 1: with n = 1 + n', no coefficient is negative.

    A quotient of sizes counts as a size that may be 0.
    """
    if expr.constant is not None:
        return expr.constant >= 0
    if expr.indices or expr.gathers:
        return False
    shifted = expr.map_atoms(lambda atom: of_atom(atom) + 1 if isinstance(atom, Dim) else of_atom(atom))
    if all(coefficient >= 0 for _, coefficient in shifted.terms):
        return all(_never_negative_atom(atom) for monomial, _ in shifted.terms for atom in monomial)
    bound = _without_quotient(expr)
    return bound is not None and never_negative(bound)


def _without_quotient(expr: IndexExpr) -> IndexExpr | None:
    """With q = a // b, something that is never above b · expr: a - b + 1 ≤ b q ≤ a in the place of b q."""
    found = next((atom for monomial, _ in expr.terms for atom in monomial if isinstance(atom, Quotient)), None)
    if found is None:
        return None
    a, b = found.numerator, found.denominator
    total = ZERO
    for monomial, coefficient in expr.terms:
        rest = without(monomial, (found,))
        if rest is None:
            total += IndexExpr(((monomial, coefficient),)) * b
        elif found in rest or not all(_never_negative_atom(atom) for atom in rest):
            return None
        else:
            total += IndexExpr(((rest, coefficient),)) * (a if coefficient < 0 else a - b + 1)
    return total


def _never_negative_atom(atom: Atom) -> bool:
    match atom:
        case Quotient(a, _):
            return never_negative(a)
        case Gather() | Idx():
            return False
    return True


def often_nonnegative(expr: IndexExpr) -> bool:
    """Whether expr ≥ 0 for all large enough sizes: its leading terms are positive. What a precondition may ask."""
    if expr.constant is not None:
        return expr.constant >= 0
    degree = max(len(monomial) for monomial, _ in expr.terms)
    return all(coefficient > 0 for monomial, coefficient in expr.terms if len(monomial) == degree)
