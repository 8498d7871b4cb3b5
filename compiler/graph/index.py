"""Whole-number expressions over indices and dims: sizes, subscripts, guards. What is known of them is in `ranges.py`.

An `IndexExpr` is a polynomial with whole coefficients in atoms: dims, indices, floor quotients, remainders and reads
of whole-number tensors. It is kept in normal form (terms sorted, nothing zero), so equal expressions are equal
objects: `n*width + d` is one whichever way it was written. Sizes are index expressions without indices.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
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
        left = without(monomial, atoms)
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
        left = without(expr.terms[0][0], divisor.terms[0][0])
        if left is not None:
            guess = IndexExpr(((left, coefficient // divisor.terms[0][1]),))
            if guess * divisor == expr:
                return guess
    return None


def without(monomial: Monomial, atoms: Monomial) -> Monomial | None:
    """The product without some of its factors; None where one of them is none of its own."""
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
