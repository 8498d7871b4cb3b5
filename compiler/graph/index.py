"""Whole-number expressions over indices and dims: sizes, subscripts, guards; and proofs about them.

An `IndexExpr` is a polynomial with whole coefficients in atoms: dims, indices, floor quotients, remainders and reads
of whole-number tensors. It is kept in normal form (terms sorted, nothing zero), so equal expressions are equal
objects: `n*width + d` is one whichever way it was written. Sizes are index expressions without indices.

Proofs put each index at the end of its range that makes an expression smallest, then shift every free dim n to
1 + n', n' ≥ 0: what has only coefficients ≥ 0 then is never negative. A proof that is not found is not a refutation.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from threading import Lock
from typing import TypeAlias
from weakref import WeakValueDictionary

Monomial: TypeAlias = tuple["Atom", ...]
Terms: TypeAlias = tuple[tuple[Monomial, int], ...]


@dataclass(frozen=True, slots=True)
class Dim:
    """A free dim: a size known when called, at least 1."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Idx:
    """An index of the equation."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Quotient:
    """numerator // denominator, rounding down; the denominator is positive."""

    numerator: "IndexExpr"
    denominator: "IndexExpr"

    def __str__(self) -> str:
        return f"{_factor(self.numerator)} // {_factor(self.denominator)}"


@dataclass(frozen=True, slots=True)
class Remainder:
    """numerator % denominator, in 0 .. denominator - 1."""

    numerator: "IndexExpr"
    denominator: "IndexExpr"

    def __str__(self) -> str:
        return f"{_factor(self.numerator)} % {_factor(self.denominator)}"


@dataclass(frozen=True, slots=True)
class Gather:
    """What a whole-number tensor holds at a place; low ≤ value ≤ high, both in the dims."""

    tensor: str
    subscripts: tuple["IndexExpr", ...]
    low: "IndexExpr"
    high: "IndexExpr"

    def __str__(self) -> str:
        return f"{self.tensor}[{', '.join(map(str, self.subscripts))}]"


Atom: TypeAlias = Dim | Idx | Quotient | Remainder | Gather


def _atom_key(atom: Atom) -> tuple[int, str]:
    order = (Dim, Idx, Quotient, Remainder, Gather).index(type(atom))
    return order, str(atom)


def _monomial_key(monomial: Monomial) -> tuple[int, tuple[tuple[int, str], ...]]:
    return -len(monomial), tuple(map(_atom_key, monomial))


@dataclass(frozen=True, eq=False, init=False)
class IndexExpr:
    """Σ coefficient · atoms, in normal form. Make it with `number`, `dim`, `index` and arithmetic.

    Equal expressions are one object: they are often compared and hashed, and what is found out about one is kept.
    """

    terms: Terms

    def __new__(cls, terms: Terms = ()) -> "IndexExpr":
        known = _KNOWN.get(terms)
        if known is not None:
            return known
        with _KNOWING:
            return _KNOWN.setdefault(terms, _made(cls, terms))

    def __reduce__(self) -> tuple[type["IndexExpr"], tuple[Terms]]:
        return IndexExpr, (self.terms,)

    # ------------------------------------------------------------ arithmetic

    def __add__(self, other: "IndexExpr | int") -> "IndexExpr":
        return _sum(self, as_expr(other))

    def __sub__(self, other: "IndexExpr | int") -> "IndexExpr":
        return _difference(self, as_expr(other))

    def __neg__(self) -> "IndexExpr":
        return _difference(ZERO, self)

    def __mul__(self, other: "IndexExpr | int") -> "IndexExpr":
        return _product(self, as_expr(other))

    def __radd__(self, other: int) -> "IndexExpr":
        return self + other

    def __rsub__(self, other: int) -> "IndexExpr":
        return -self + other

    def __rmul__(self, other: int) -> "IndexExpr":
        return self * other

    def __floordiv__(self, other: "IndexExpr | int") -> "IndexExpr":
        """Rounding down. What the divisor divides exactly leaves the quotient: (n*w + d) // w is n + d // w."""
        return self._divided(as_expr(other))[0]

    def __mod__(self, other: "IndexExpr | int") -> "IndexExpr":
        return self._divided(as_expr(other))[1]

    def _divided(self, divisor: "IndexExpr") -> tuple["IndexExpr", "IndexExpr"]:
        if divisor.constant == 0:
            raise ZeroDivisionError("a division by zero in an index expression")
        whole, rest = split_multiple(self, divisor)
        if not rest.terms or divisor.constant == 1:
            return whole + (rest if divisor.constant == 1 else 0), ZERO
        if rest.constant is not None and divisor.constant is not None:
            return whole + rest.constant // divisor.constant, number(rest.constant % divisor.constant)
        quotient = IndexExpr((((Quotient(rest, divisor),), 1),))
        return whole + quotient, IndexExpr((((Remainder(rest, divisor),), 1),))

    # ------------------------------------------------------------ looking

    @property
    def constant(self) -> int | None:
        """The number it is, where it is one."""
        if not self.terms:
            return 0
        (monomial, coefficient), *more = self.terms
        return coefficient if not more and not monomial else None

    @cached_property
    def bare(self) -> str | None:
        """The index it is, where it is nothing but one."""
        match self.terms:
            case (((Idx(name),), 1),):
                return name
        return None

    def atoms(self) -> Iterator[Atom]:
        """All atoms, those inside quotients, remainders and gathers too."""
        for monomial, _ in self.terms:
            for atom in monomial:
                yield atom
                for part in _parts(atom):
                    yield from part.atoms()

    @cached_property
    def indices(self) -> tuple[str, ...]:
        """The names of the indices in it, each once, in order of appearance."""
        return tuple(dict.fromkeys(atom.name for atom in self.atoms() if isinstance(atom, Idx)))

    @cached_property
    def dims(self) -> tuple[str, ...]:
        """The names of the free dims in it, each once."""
        return tuple(dict.fromkeys(atom.name for atom in self.atoms() if isinstance(atom, Dim)))

    @cached_property
    def of_dims(self) -> bool:
        """Whether it is made of numbers and free dims alone."""
        return all(isinstance(atom, Dim) for monomial, _ in self.terms for atom in monomial)

    @cached_property
    def divisions(self) -> int:
        """How many quotients and remainders are in it."""
        return sum(isinstance(atom, Quotient | Remainder) for atom in self.atoms())

    @cached_property
    def gathers(self) -> tuple[Gather, ...]:
        """The reads of whole-number tensors in it."""
        return tuple(dict.fromkeys(atom for atom in self.atoms() if isinstance(atom, Gather)))

    def coefficient(self, name: str) -> "IndexExpr | None":
        """What the index is multiplied with, in dims and other indices; None where it stands inside // % or a read,
        or to a power."""
        return self.factor_of(Idx(name))

    def factor_of(self, wanted: Idx | Dim) -> "IndexExpr | None":
        """The same of an index or a free dim."""
        found = ZERO
        for monomial, factor in self.terms:
            count = monomial.count(wanted)
            rest = tuple(atom for atom in monomial if atom != wanted)
            if count > 1 or any(part.mentions(wanted) for atom in rest for part in _parts(atom)):
                return None
            if count:
                found += IndexExpr(((rest, factor),))
        return found

    def mentions(self, wanted: Idx | Dim) -> bool:
        """Whether the index or dim is in it anywhere."""
        return wanted.name in (self.indices if isinstance(wanted, Idx) else self.dims)

    # ------------------------------------------------------------ rewriting

    def map_atoms(self, change: Callable[[Atom], "IndexExpr"]) -> "IndexExpr":
        """The same expression with every outermost atom replaced."""
        total = ZERO
        for monomial, coefficient in self.terms:
            product = number(coefficient)
            for atom in monomial:
                product *= change(atom)
            total += product
        return total

    def substitute(self, values: Mapping[str, "IndexExpr"]) -> "IndexExpr":
        """Indices replaced by expressions, everywhere."""
        if self.bare is not None and self.bare in values:
            return values[self.bare]
        if not any(name in values for name in self.indices):
            return self
        return self.map_atoms(lambda atom: _substituted(atom, values))

    def with_dims(self, sizes: Mapping[str, "IndexExpr"]) -> "IndexExpr":
        """Free dims replaced by expressions, everywhere."""
        if not any(name in sizes for name in self.dims):
            return self

        def change(atom: Atom) -> IndexExpr:
            if isinstance(atom, Dim) and atom.name in sizes:
                return sizes[atom.name]
            return rebuilt(atom, lambda part: part.with_dims(sizes))

        return self.map_atoms(change)

    def rename_tensors(self, names: Mapping[str, str]) -> "IndexExpr":
        """Tensors read by gathers under other names."""
        if not self.gathers:
            return self

        def change(atom: Atom) -> IndexExpr:
            if isinstance(atom, Gather):
                parts = tuple(part.rename_tensors(names) for part in atom.subscripts)
                return of_atom(Gather(names.get(atom.tensor, atom.tensor), parts, atom.low, atom.high))
            return rebuilt(atom, lambda part: part.rename_tensors(names))

        return self.map_atoms(change)

    def value(self, env: Mapping[str, int], read: Callable[[Gather], int] | None = None) -> int:
        """Its number, given those of its dims and indices. Works on NumPy arrays of numbers too."""
        total = 0
        for monomial, coefficient in self.terms:
            product = coefficient
            for atom in monomial:
                product = product * _atom_value(atom, env, read)
            total = total + product
        return total

    # ------------------------------------------------------------ showing and sorting

    @cached_property
    def sort_key(self) -> tuple[tuple[tuple[int, tuple[tuple[int, str], ...]], int], ...]:
        """Orders expressions the same way in every run."""
        return tuple((_monomial_key(monomial), coefficient) for monomial, coefficient in self.terms)

    def __lt__(self, other: "IndexExpr") -> bool:
        return self.sort_key < other.sort_key

    def __gt__(self, other: "IndexExpr") -> bool:
        return self.sort_key > other.sort_key

    def __str__(self) -> str:
        """As a person would write it: positive terms first, `2*i + u - 1`."""
        return self._text

    @cached_property
    def _text(self) -> str:
        if not self.terms:
            return "0"
        ordered = sorted(self.terms, key=lambda term: (term[1] < 0, not term[0]))
        text = ""
        for monomial, coefficient in ordered:
            sign = "-" if coefficient < 0 else "+"
            shown = _term(monomial, abs(coefficient), closed=sign == "-" and not text)
            text += f" {sign} {shown}" if text else shown if sign == "+" else f"-{shown}"
        return text

    def __repr__(self) -> str:
        return f"IndexExpr({self})"


def _made(kind: type[IndexExpr], terms: Terms) -> IndexExpr:
    made = object.__new__(kind)
    object.__setattr__(made, "terms", terms)
    return made


_KNOWN: WeakValueDictionary[Terms, IndexExpr] = WeakValueDictionary()
_KNOWING = Lock()
Size: TypeAlias = IndexExpr


@lru_cache(maxsize=4096)
def number(value: int) -> IndexExpr:
    """The whole number as an expression."""
    return IndexExpr((((), value),)) if value else ZERO


def of_atom(atom: Atom) -> IndexExpr:
    """The expression that is one atom."""
    return IndexExpr((((atom,), 1),))


@lru_cache(maxsize=4096)
def dim(name: str) -> IndexExpr:
    """A free dim."""
    return of_atom(Dim(name))


@lru_cache(maxsize=4096)
def index(name: str) -> IndexExpr:
    """An index."""
    return of_atom(Idx(name))


def as_expr(value: "IndexExpr | int") -> IndexExpr:
    """Whole numbers are expressions too."""
    return number(value) if isinstance(value, int) else value


@lru_cache(maxsize=65536)
def _sum(a: IndexExpr, b: IndexExpr) -> IndexExpr:
    return _collect((*a.terms, *b.terms))


@lru_cache(maxsize=65536)
def _difference(a: IndexExpr, b: IndexExpr) -> IndexExpr:
    return _collect((*a.terms, *((monomial, -coefficient) for monomial, coefficient in b.terms)))


@lru_cache(maxsize=65536)
def _product(a: IndexExpr, b: IndexExpr) -> IndexExpr:
    products = []
    for some, x in a.terms:
        for others, y in b.terms:
            products.append((tuple(sorted((*some, *others), key=_atom_key)), x * y))
    return _collect(products)


def _collect(terms: Iterable[tuple[Monomial, int]]) -> IndexExpr:
    sums: dict[Monomial, int] = {}
    for monomial, coefficient in terms:
        sums[monomial] = sums.get(monomial, 0) + coefficient
    kept = [(monomial, coefficient) for monomial, coefficient in sums.items() if coefficient]
    if len(kept) > 1:
        kept.sort(key=lambda term: _monomial_key(term[0]))
    return IndexExpr(tuple(kept))


def _parts(atom: Atom) -> tuple[IndexExpr, ...]:
    match atom:
        case Quotient(a, b) | Remainder(a, b):
            return a, b
        case Gather(subscripts=subscripts):
            return subscripts
    return ()


def rebuilt(atom: Atom, change: Callable[[IndexExpr], IndexExpr]) -> IndexExpr:
    """The atom with its inner expressions changed, normalised anew."""
    match atom:
        case Quotient(a, b):
            return change(a) // change(b)
        case Remainder(a, b):
            return change(a) % change(b)
        case Gather(tensor, subscripts, low, high):
            return of_atom(Gather(tensor, tuple(map(change, subscripts)), change(low), change(high)))
    return of_atom(atom)


def _substituted(atom: Atom, values: Mapping[str, IndexExpr]) -> IndexExpr:
    if isinstance(atom, Idx):
        return values.get(atom.name, of_atom(atom))
    return rebuilt(atom, lambda part: part.substitute(values))


def _atom_value(atom: Atom, env: Mapping[str, int], read: Callable[[Gather], int] | None) -> int:
    match atom:
        case Dim(name) | Idx(name):
            return env[name]
        case Quotient(a, b):
            return a.value(env, read) // b.value(env, read)
        case Remainder(a, b):
            return a.value(env, read) % b.value(env, read)
        case Gather():
            assert read is not None, "a gather needs the tensors' values"
            return read(atom)


def split_multiple(expr: IndexExpr, divisor: IndexExpr) -> tuple[IndexExpr, IndexExpr]:
    """(whole, rest) with expr = whole · divisor + rest: the terms that the divisor divides, and the others."""
    if len(divisor.terms) != 1:
        ratio = _ratio(expr, divisor)
        return (ratio, ZERO) if ratio is not None else (ZERO, expr)
    ((atoms, factor),) = divisor.terms
    whole, rest = ZERO, ZERO
    for monomial, coefficient in expr.terms:
        left = _without(monomial, atoms)
        if left is None or (coefficient % factor and left):
            rest += IndexExpr(((monomial, coefficient),))
        elif coefficient % factor:
            whole += IndexExpr(((left, coefficient // factor),)) if coefficient // factor else ZERO
            rest += IndexExpr(((monomial, coefficient % factor),))
        else:
            whole += IndexExpr(((left, coefficient // factor),))
    return whole, rest


def _ratio(expr: IndexExpr, divisor: IndexExpr) -> IndexExpr | None:
    """expr / divisor where one is a whole multiple of the other, term by term."""
    if not expr.terms or not divisor.terms:
        return ZERO if divisor.terms else None
    coefficient = expr.terms[0][1]
    if divisor.terms[0][1] and coefficient % divisor.terms[0][1] == 0:
        left = _without(expr.terms[0][0], divisor.terms[0][0])
        if left is not None:
            guess = IndexExpr(((left, coefficient // divisor.terms[0][1]),))
            if guess * divisor == expr:
                return guess
    return None


def _without(monomial: Monomial, atoms: Monomial) -> Monomial | None:
    rest = list(monomial)
    for atom in atoms:
        if atom not in rest:
            return None
        rest.remove(atom)
    return tuple(rest)


def _term(monomial: Monomial, coefficient: int, closed: bool) -> str:
    """A term; `closed` where a minus comes before it: -(a % b) is not (-a) % b."""
    factors = [str(coefficient)] if coefficient != 1 or not monomial else []
    several = len(monomial) + len(factors) > 1 or closed
    factors += [f"({atom})" if several and isinstance(atom, Quotient | Remainder) else str(atom) for atom in monomial]
    return "*".join(factors)


def _factor(expr: IndexExpr) -> str:
    simple = len(expr.terms) == 1 and expr.terms[0][1] > 0 and len(expr.terms[0][0]) + (expr.terms[0][1] != 1) <= 1
    nested = simple and any(isinstance(atom, Quotient | Remainder) for atom in expr.terms[0][0])
    return str(expr) if simple and not nested else f"({expr})"


ZERO = IndexExpr()
ONE = number(1)


# ---------------------------------------------------------------- proofs


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
        rest = _without(monomial, (found,))
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
