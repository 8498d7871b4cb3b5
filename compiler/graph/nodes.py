"""The graph: named tensors and the equations that write them.

    for all indices of a domain, where a guard holds:   out[write] ⊕= body

`Equation` is the only inner node. Bodies are SymPy expressions on a short leash: their leaves are `Read`s (one opaque
symbol for each distinct read, without assumptions), `Value`s (index expressions as numbers), exact numbers and the
named constants; every function is a `Head` of the table of scalar functions, which SymPy never evaluates. What is left
of SymPy's own arithmetic is sums, products and powers with literal exponents (x − x, x/x, 0·x are folded).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property, lru_cache
from typing import Any

import sympy
from sympy.core.expr import AtomicExpr

from gradc.errors import Span

from .cycles import components
from .index import IndexExpr
from .ranges import Fact, Ranges, differs
from .tensors import Axis, Bounds, Gradient, Index, Kind, Role, ranges_of

# ---------------------------------------------------------------- bodies


class Read(AtomicExpr):  # type: ignore[misc]  # SymPy has no types
    """`tensor[subscripts]`, a leaf of a body. Equal ones are one object, as a rule: bodies are compared without end."""

    __slots__ = ("subscripts", "tensor")
    is_commutative = True
    tensor: str
    subscripts: tuple[IndexExpr, ...]

    def __new__(cls, tensor: str, subscripts: tuple[IndexExpr, ...]) -> "Read":
        return _read(tensor, subscripts)

    def _hashable_content(self) -> tuple[Any, ...]:
        return (self.tensor, *self.subscripts)

    def __getnewargs__(self) -> tuple[Any, ...]:
        return self.tensor, self.subscripts

    def _sympystr(self, printer: object) -> str:
        return f"{self.tensor}[{', '.join(map(str, self.subscripts))}]"


@lru_cache(maxsize=65536)
def _read(tensor: str, subscripts: tuple[IndexExpr, ...]) -> Read:
    self: Read = AtomicExpr.__new__(Read)
    self.tensor = tensor
    self.subscripts = subscripts
    return self


class Value(AtomicExpr):  # type: ignore[misc]  # SymPy has no types
    """An index expression as a number: an index value, a size, or what a gather reads."""

    __slots__ = ("value",)
    is_commutative = True
    value: IndexExpr

    def __new__(cls, value: IndexExpr) -> sympy.Expr:
        if value.constant is not None:
            return sympy.Integer(value.constant)
        self = AtomicExpr.__new__(cls)
        self.value = value
        return self

    def _hashable_content(self) -> tuple[Any, ...]:
        return (self.value,)

    def __getnewargs__(self) -> tuple[Any, ...]:
        return (self.value,)

    def _sympystr(self, printer: object) -> str:
        return f"({self.value})"


class Named(AtomicExpr):  # type: ignore[misc]  # SymPy has no types
    """`inf` or `pi`: SymPy's own would rewrite what stands around them (m > −∞ is not always true: NaN)."""

    __slots__ = ("name",)
    is_commutative = True
    name: str

    def __new__(cls, name: str) -> "Named":
        self: Named = AtomicExpr.__new__(cls)
        self.name = name
        return self

    def _hashable_content(self) -> tuple[Any, ...]:
        return (self.name,)

    def __getnewargs__(self) -> tuple[Any, ...]:
        return (self.name,)

    def _sympystr(self, printer: object) -> str:
        return self.name


INF = Named("inf")
PI = Named("pi")


class Head(sympy.Expr):  # type: ignore[misc]  # SymPy has no types
    """A function of numbers applied to its arguments. Subclasses are made by the table of scalar functions."""

    is_commutative = True
    row_name: str = ""

    def _sympystr(self, printer: Any) -> str:
        return f"{self.row_name}({', '.join(printer._print(argument) for argument in self.args)})"


# ---------------------------------------------------------------- equations


class Reducer(Enum):
    """⊕: how the bodies that write one place are joined. ARGMAX and ARGMIN give the place among the reduced indices,
    counted row-major, the first of equals; NaN counts as largest and as smallest."""

    SUM = "sum"
    PROD = "prod"
    MAX = "max"
    MIN = "min"
    ARGMAX = "argmax"
    ARGMIN = "argmin"
    LOGSUMEXP = "logsumexp"
    PEAK = "peak"
    """A maximum that may pass over NaN: what exponentials are shifted by. The scheduler alone makes it."""


class Relation(Enum):
    """How a guard's expression relates to 0."""

    AT_LEAST = ">="
    EQUAL = "=="
    UNEQUAL = "!="


@dataclass(frozen=True, slots=True)
class Guard:
    """A condition on indices: `value >= 0`, `value == 0` or `value != 0`."""

    value: IndexExpr
    relation: Relation

    def __str__(self) -> str:
        return f"{self.value} {self.relation.value} 0"

    @property
    def sides(self) -> tuple[IndexExpr, IndexExpr]:
        """What is taken off, and what it is taken off from: of `n - i - 1 >= 0` they are i + 1 and n."""
        above = IndexExpr(tuple(term for term in self.value.terms if term[1] > 0))
        return above - self.value, above

    def substitute(self, values: Mapping[str, IndexExpr]) -> "Guard":
        """Indices replaced by expressions."""
        return Guard(self.value.substitute(values), self.relation)

    @property
    def facts(self) -> tuple[Fact, ...]:
        """What is known of indices where it holds."""
        match self.relation:
            case Relation.AT_LEAST:
                return (self.value,)
            case Relation.EQUAL:
                return self.value, -self.value
            case Relation.UNEQUAL:
                return (differs(self.value),)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a tensor or an equation comes from: the line of the model, and which rules made it what it is.

    `order` names the tensors that the line reads, in the order in which it does: terms are printed so.
    """

    span: Span
    text: str
    trail: tuple[str, ...] = ()
    order: tuple[str, ...] = ()

    def after(self, rule: str) -> "Origin":
        """The same line, after one more rule."""
        return self if rule in self.trail else replace(self, trail=(*self.trail, rule))


@dataclass(frozen=True)
class Equation:
    """For all `indices`, where every guard holds: target[write] ⊕= body. What is asked of it often is kept."""

    target: str
    write: tuple[IndexExpr, ...]
    indices: tuple[Index, ...]
    guards: tuple[Guard, ...]
    reducer: Reducer
    body: sympy.Expr
    origin: Origin = field(compare=False)

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash((self.target, self.write, self.indices, self.guards, self.reducer, self.body))

    @cached_property
    def written(self) -> tuple[str, ...]:
        """The indices that the write mentions."""
        return tuple(dict.fromkeys(name for place in self.write for name in place.indices))

    @cached_property
    def reduced(self) -> tuple[Index, ...]:
        """The indices that the write does not mention."""
        written = set(self.written)
        return tuple(index for index in self.indices if index.name not in written)

    @cached_property
    def reads(self) -> tuple[Read, ...]:
        """The distinct reads of the body, sorted."""
        return reads_of(self.body)

    @cached_property
    def uses(self) -> Mapping[str, tuple[tuple[IndexExpr, ...], ...]]:
        """The subscripts at which it writes or reads each tensor: first those of the write, last those of gathers."""
        found: dict[str, list[tuple[IndexExpr, ...]]] = {self.target: [self.write]}
        for read in self.reads:
            found.setdefault(read.tensor, []).append(read.subscripts)
        for expression in self.index_expressions():
            for gather in expression.gathers:
                found.setdefault(gather.tensor, []).append(gather.subscripts)
        return {name: tuple(places) for name, places in found.items()}

    @cached_property
    def read_along(self) -> Mapping[str, frozenset[str]]:
        """For each index the tensors with an axis along which the body reads at it alone."""
        found: dict[str, set[str]] = {}
        for read in self.reads:
            for place in read.subscripts:
                if place.bare is not None:
                    found.setdefault(place.bare, set()).add(read.tensor)
        return {name: frozenset(tensors) for name, tensors in found.items()}

    @property
    def ranges(self) -> Ranges:
        """What holds at every place of the domain: the indices' ranges and the guards."""
        return ranges_of(self.indices).with_facts(fact for guard in self.guards for fact in guard.facts)

    def sources(self) -> tuple[str, ...]:
        """The tensors it reads: in the body, and through gathers in subscripts, guards and index values."""
        return self._sources

    @cached_property
    def _sources(self) -> tuple[str, ...]:
        return _sources(self.body, (*self.write, *(guard.value for guard in self.guards)))

    def index_expressions(self) -> tuple[IndexExpr, ...]:
        """Every index expression in it: subscripts of the write and of reads, guards, index values."""
        return self._index_expressions

    @cached_property
    def _index_expressions(self) -> tuple[IndexExpr, ...]:
        return (*self.write, *(guard.value for guard in self.guards), *_places_in(self.body))


@lru_cache(maxsize=16384)
def _sources(body: sympy.Expr, places: tuple[IndexExpr, ...]) -> tuple[str, ...]:
    """The tensors that a body reads, and then those that the subscripts in it and the places gather from."""
    names = [read.tensor for read in reads_of(body)]
    names += [gather.tensor for place in (*places, *_places_in(body)) for gather in place.gathers]
    return tuple(dict.fromkeys(names))


@lru_cache(maxsize=16384)
def _places_in(body: sympy.Expr) -> tuple[IndexExpr, ...]:
    """The index expressions in a body: subscripts of reads, and index values."""
    leaves = leaves_of(body)
    return tuple(place for leaf in leaves for place in (leaf.subscripts if isinstance(leaf, Read) else (leaf.value,)))


@lru_cache(maxsize=16384)
def leaves_of(body: sympy.Expr) -> tuple[Read | Value, ...]:
    """The distinct reads and index values of a body, in a fixed order."""
    found = body.atoms(Read, Value)
    return tuple(sorted(found, key=lambda leaf: (isinstance(leaf, Value), leaf._hashable_content())))


def reads_of(body: sympy.Expr) -> tuple[Read, ...]:
    """The distinct reads of a body, in a fixed order."""
    return tuple(leaf for leaf in leaves_of(body) if isinstance(leaf, Read))


def mentioned(body: sympy.Expr) -> set[str]:
    """The indices that a body mentions."""
    names: set[str] = set()
    for leaf in leaves_of(body):
        for part in leaf.subscripts if isinstance(leaf, Read) else (leaf.value,):
            names |= set(part.indices)
    return names


def substitute(body: sympy.Expr, values: Mapping[str, IndexExpr]) -> sympy.Expr:
    """Indices replaced by expressions in every subscript and index value of the body."""
    changes: dict[sympy.Expr, sympy.Expr] = {}
    for leaf in leaves_of(body):
        if isinstance(leaf, Read):
            changed: sympy.Expr = Read(leaf.tensor, tuple(place.substitute(values) for place in leaf.subscripts))
        else:
            changed = Value(leaf.value.substitute(values))
        if changed != leaf:
            changes[leaf] = changed
    return rebuild(body, changes)


def rebuild(body: sympy.Expr, changes: Mapping[sympy.Expr, sympy.Expr]) -> sympy.Expr:
    """The body with subexpressions replaced, all at once."""
    return body.xreplace(dict(changes)) if changes else body


# ---------------------------------------------------------------- the graph


@dataclass(frozen=True)
class Tensor:
    """A named tensor. A leaf has a role; any other is what its equations write, and 0 where none does.

    `site` is the number of a site of random numbers, of whose key this is the leaf. One with a `gradient` stands for
    `grad(of, by)` and has no equations: calculus puts others in its place.
    """

    name: str
    axes: tuple[Axis, ...]
    kind: Kind
    origin: Origin = field(compare=False)
    role: Role | None = None
    bounds: Bounds | None = None
    site: int | None = None
    gradient: Gradient | None = None

    @cached_property
    def extents(self) -> tuple[IndexExpr, ...]:
        """The extent of each axis."""
        return tuple(axis.extent for axis in self.axes)


@dataclass(frozen=True)
class Graph:
    """A table of tensors, their equations, and the tensors that are handed out (by the name they go by outside)."""

    tensors: Mapping[str, Tensor]
    equations: tuple[Equation, ...]
    outputs: Mapping[str, str]

    @cached_property
    def writers(self) -> Mapping[str, tuple[Equation, ...]]:
        """The equations of each tensor that has any."""
        table: dict[str, list[Equation]] = {}
        for equation in self.equations:
            table.setdefault(equation.target, []).append(equation)
        return {name: tuple(equations) for name, equations in table.items()}

    @cached_property
    def gradients(self) -> Mapping[str, Gradient]:
        """The tensors that stand for `grad(of, by)`."""
        return {name: tensor.gradient for name, tensor in self.tensors.items() if tensor.gradient is not None}

    @cached_property
    def cycles(self) -> tuple[tuple[str, ...], ...]:
        """The computed tensors, each after those it needs; those that need each other together. Of several orders, the
        one nearest the source's."""
        return in_order(self.writers, self.gradients)

    @cached_property
    def order(self) -> tuple[str, ...]:
        """The computed tensors, each after those it reads, but for those that need each other."""
        return tuple(name for names in self.cycles for name in names)

    def needs(self, name: str) -> tuple[str, ...]:
        """The tensors that one is computed from: what its equations read, or what `grad(of, by)` is of."""
        return needs_of(self.writers.get(name, ()), self.gradients.get(name))

    def with_equations(self, equations: tuple[Equation, ...]) -> "Graph":
        """The same tensors with other equations."""
        return Graph(self.tensors, equations, self.outputs)


def needs_of(equations: Iterable[Equation], gradient: Gradient | None) -> tuple[str, ...]:
    """The tensors that one with these equations is computed from, or one that stands for a gradient."""
    read = dict.fromkeys(source for equation in equations for source in equation.sources())
    return tuple(read if gradient is None else dict.fromkeys((*read, gradient.of, gradient.by)))


def in_order(
    writers: Mapping[str, tuple[Equation, ...]], gradients: Mapping[str, Gradient]
) -> tuple[tuple[str, ...], ...]:
    """The tensors that equations write, each after those it needs; those that need each other together."""
    names = list(dict.fromkeys((*writers, *gradients)))
    numbers = {name: at for at, name in enumerate(names)}
    needs = [
        [numbers[source] for equation in writers.get(name, ()) for source in equation.sources() if source in numbers]
        for name in names
    ]
    for name, gradient in gradients.items():
        needs[numbers[name]] += [numbers[each] for each in (gradient.of, gradient.by) if each in numbers]
    found = (tuple(names[at] for at in component if names[at] in writers) for component in components(needs))
    return tuple(component for component in found if component)
