"""The plain oracle: a `core.Model` and values for its leaves → the value of every tensor, by NumPy alone.

Each equation is computed over the grid of its indices, one array axis for each index, in float64, int64 and bool. It is
clear rather than fast, and shares nothing with the graph: no SymPy, no rewriting. What a condition guards is computed
everywhere, with subscripts clipped into the tensor, and then selected. For `grad(y, x)`, what leads from x to y is
computed again with numbers that carry their derivatives by x (`tangents`).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import assert_never

import numpy as np

from gradc.graph import noise
from gradc.graph.cycles import components
from gradc.graph.index import Atom, Dim, Gather, Idx, IndexExpr, Quotient, Remainder

from . import core
from .core import Kind
from .plain import Numbers
from .tangents import Dual, Value, applied, plain, reduced, same, shaped, slopes, variable, where
from .tensors import tensors_read

DTYPES = {Kind.REAL: np.float64, Kind.WHOLE: np.int64, Kind.BOOL: np.bool_}


@dataclass(frozen=True, slots=True)
class _Call:
    """What equations are computed for besides their leaves: the free dims, and the seed of random numbers."""

    dims: Mapping[str, int]
    seed: int = 0


def evaluate(
    model: core.Model, values: Mapping[str, Numbers], dims: Mapping[str, int], seed: int = 0
) -> dict[str, Numbers]:
    """The value of every tensor of a model, leaves too.

    Args:
        values: the leaves that are needed; equations that read others are left out.
        dims: the free dims.
        seed: of the random numbers in equations.
    """
    kinds = {leaf.name: leaf.kind for leaf in model.leaves}
    given: dict[str, Numbers] = {
        name: np.asarray(value, DTYPES[kinds.get(name, Kind.REAL)]) for name, value in values.items()
    }
    return _all_tensors(model.tensors, model.equations, given, _Call(dims, seed))


def evaluate_law(law: core.Law, rng: np.random.Generator) -> Numbers:
    """A parameter's first value by its law; fresh random numbers at every place."""
    shape = tuple(_size(i.high - i.low, {}) for i in law.indices)
    if law.value is None:
        return _orthogonal(shape, rng)
    grid = _Grid({}, {}, {}, rng, shape).among(law.indices)
    return np.array(_spread(plain(grid.value(law.value)), shape), np.float64)


def evaluate_update(update: core.Update, values: Mapping[str, Numbers]) -> dict[str, Numbers]:
    """The next value of p and of each moment, from `p`, `g`, `t`, the moments and the scalars of the training."""
    given = {name: np.asarray(value, np.int64 if name == "t" else np.float64) for name, value in values.items()}
    sizes = {name: given["p"].size for axis in update.axes for name in axis.extent.dims}
    found = _all_tensors(update.tensors, update.equations, given, _Call(sizes))
    return {name: found[tensor] for name, tensor in update.results}


def evaluate_before(training: core.Training, gradient: Numbers) -> dict[str, Numbers]:
    """The scalars that come before the updates, from all gradients as one axis."""
    given = {"gradient": np.asarray(gradient, np.float64)}
    return _all_tensors(training.before_tensors, training.before, given, _Call({}))


def _all_tensors(tensors: Iterable[core.Tensor], equations: Sequence[core.Equation], given: Mapping[str, Numbers],
                 call: _Call) -> dict[str, Numbers]:  # fmt: skip
    by_name = {tensor.name: tensor for tensor in tensors}
    parts: dict[str, list[core.Equation]] = {name: [] for name in by_name}
    for equation in equations:
        parts[equation.target].append(equation)
    work = _Work(by_name, parts, call, _in_order(by_name, parts, given))
    found: dict[str, Value] = dict(given)
    for names in work.order:
        found |= work.computed(names, found)
    return {name: plain(value) for name, value in found.items()}


def _in_order(tensors: Mapping[str, core.Tensor], parts: Mapping[str, Sequence[core.Equation]],
              given: Mapping[str, Numbers]) -> list[list[str]]:  # fmt: skip
    """The tensors that can be computed, each after those it needs, those that need each other together."""
    names = list(parts)
    numbers = {name: at for at, name in enumerate(names)}
    needs = [sorted(_needs(tensors[name], parts[name]) - set(given)) for name in names]
    order: list[list[str]] = []
    known = set(given)
    for component in components([[numbers[need] for need in own if need in numbers] for own in needs]):
        together = {names[at] for at in component}
        if all(need in known or need in together for at in component for need in needs[at]):
            order.append([names[at] for at in component])
            known |= together
    return order


def _needs(tensor: core.Tensor, equations: Sequence[core.Equation]) -> set[str]:
    if tensor.gradient is not None:
        return {tensor.gradient.of, tensor.gradient.by}
    return {read for equation in equations for read in _reads(equation)}


def _reads(equation: core.Equation) -> set[str]:
    return set(tensors_read(equation.value)) | {g.tensor for w in equation.write for g in w.gathers}


@dataclass(frozen=True, slots=True)
class _Work:
    """The tensors of a model, in an order in which they can be computed."""

    tensors: Mapping[str, core.Tensor]
    parts: Mapping[str, Sequence[core.Equation]]
    call: _Call
    order: Sequence[Sequence[str]]

    def computed(self, names: Sequence[str], found: Mapping[str, Value], moved: Mapping[str, Value] | None = None,
                 ) -> dict[str, Value]:  # fmt: skip
        """The values of tensors that need each other, or of one, from those of others.

        Args:
            moved: what is added to some of them: the tensor whose places are varied moves with them.
        """
        moved = moved or {}
        gradient = self.tensors[names[0]].gradient
        if gradient is not None:
            return {names[0]: self.gradient(gradient, found)}
        if len(names) == 1 and names[0] not in _needs(self.tensors[names[0]], self.parts[names[0]]):
            return {names[0]: self.tensor(names[0], found, moved)}
        return self.solved(names, found, moved)

    def tensor(self, name: str, found: Mapping[str, Value], moved: Mapping[str, Value]) -> Value:
        value = _tensor(self.tensors[name], self.parts[name], found, self.call)
        return applied("add", value, moved[name]) if name in moved else value

    def solved(self, names: Sequence[str], found: Mapping[str, Value], moved: Mapping[str, Value]) -> dict[str, Value]:
        """A recurrence: from zeros, all of it over and over, until nothing changes. That finds each place once those
        that it needs are found, in whatever order that is."""
        own: dict[str, Value] = {}
        for name in names:
            shape = tuple(_size(axis.extent, self.call.dims) for axis in self.tensors[name].axes)
            own[name] = np.zeros(shape, DTYPES[self.tensors[name].kind])
        for _ in range(sum(plain(value).size for value in own.values()) + 2):
            new = {name: self.tensor(name, {**found, **own}, moved) for name in names}
            if all(same(new[name], own[name]) for name in names):
                return new
            own = new
        raise AssertionError(f"{names[0]}: a place needs itself")

    def gradient(self, gradient: core.Gradient, found: Mapping[str, Value]) -> Value:
        """The derivatives of the sum of one tensor by another, which may carry derivatives themselves.

        The tensor is varied by what is added to its places; where it is a recurrence, its later places follow.
        """
        by = found[gradient.by]
        level = 1 + max(value.level if isinstance(value, Dual) else 0 for value in found.values())
        moved = {**found, gradient.by: variable(by, level)}
        for names in self.way(gradient):
            moved |= self.computed(names, moved, {gradient.by: variable(np.zeros(by.shape), level)})
        return slopes(moved[gradient.of], level, by.shape)

    def way(self, gradient: core.Gradient) -> list[Sequence[str]]:
        """The tensors that are computed on the way from one tensor to another, in order."""
        needs = {name: _needs(self.tensors[name], self.parts[name]) for names in self.order for name in names}
        reached = {gradient.by}
        for names in self.order:
            if any(needs[name] & reached for name in names):
                reached |= set(names)
        wanted = {gradient.of}
        for names in reversed(self.order):
            if wanted & set(names):
                wanted = wanted.union(*(needs[name] for name in names))
        return [names for names in self.order if wanted & set(names) and any(needs[name] & reached for name in names)]


def _tensor(tensor: core.Tensor, equations: Sequence[core.Equation], found: Mapping[str, Value],
            call: _Call) -> Value:  # fmt: skip
    shape = tuple(_size(axis.extent, call.dims) for axis in tensor.axes)
    result: Value = np.zeros(shape, DTYPES[tensor.kind])
    for equation in equations:
        extents = tuple(_size(i.high - i.low, call.dims) for i in equation.indices)
        grid = _Grid(found, call.dims, {}, call.seed, extents).among(equation.indices)
        places = tuple(_spread(grid.index(at), extents) for at in equation.write)
        with np.errstate(all="ignore"):
            value = grid.value(equation.value)
            value = value if tensor.kind is Kind.REAL else plain(value)
            result = applied("add", result, _placed(value, places, extents, result))
    return result


def _placed(value: Value, places: tuple[Numbers, ...], extents: tuple[int, ...], like: Value) -> Value:
    """A tensor with the values at their places, and 0 elsewhere."""

    def put(numbers: Numbers, extra: int) -> Numbers:
        spread = _spread(numbers, extents, extra)
        out: Numbers = np.zeros((*like.shape, *spread.shape[len(extents) :]), plain(like).dtype)
        out[places] = spread
        return out

    return shaped(value, put)


def _spread(value: Numbers, extents: tuple[int, ...], extra: int = 0) -> Numbers:
    """The value at every place, its axes in the order of the indices: a grid has them last first. `extra` axes come
    after them."""
    rest = value.shape[value.ndim - extra :]
    whole = np.broadcast_to(value, (*extents[::-1], *rest))
    count = len(extents)
    return whole.transpose(*reversed(range(count)), *range(count, count + extra))


def _size(extent: IndexExpr, dims: Mapping[str, int]) -> int:
    return int(extent.value(dims))


# ---------------------------------------------------------------- expressions


@dataclass(frozen=True, slots=True)
class _Grid:
    """The places of an equation: every index is an array along an axis of its own, the first index along the last axis.

    So the indices of a reduction are the first axes, and an index that a value does not depend on need not be there.
    Random numbers come from a generator in initial laws, in equations from a seed, the site and `place`, row-major.
    """

    tensors: Mapping[str, Value]
    dims: Mapping[str, int]
    indices: Mapping[str, Numbers]
    chance: np.random.Generator | int
    shape: tuple[int, ...] = ()
    locals: Mapping[str, Value] = field(default_factory=dict)
    depth: int = 0
    place: Numbers = field(default_factory=lambda: np.asarray(0))

    def among(self, indices: Sequence[core.Index]) -> "_Grid":
        """The same with more indices, each along the next axis."""
        found, place = dict(self.indices), self.place
        for at, index in enumerate(indices, self.depth):
            values = np.arange(_size(index.low, self.dims), _size(index.high, self.dims))
            found[index.name] = values.reshape(-1, *([1] * at))
            place = place * len(values) + np.arange(len(values)).reshape(-1, *([1] * at))
        return replace(self, indices=found, depth=self.depth + len(indices), place=place)

    def let(self, name: str, value: Value) -> "_Grid":
        """The same with a named value."""
        return replace(self, locals={**self.locals, name: value})

    def value(self, node: core.Expression) -> Value:
        """The value of an expression at every place; an axis that it does not depend on may be missing or 1 long."""
        match node:
            case core.Number(value=value):
                whole = value.denominator == 1 and abs(value.numerator) < 2**63
                return np.asarray(int(value) if whole else float(value))
            case core.Constant(name=name):
                return np.asarray(math.inf if name == "inf" else math.pi)
            case core.Whole(value=value):
                return self.index(value)
            case core.Read(tensor=tensor, subscripts=subscripts):
                return self.read(tensor, subscripts)
            case core.Apply(function=function, arguments=arguments):
                return applied(function, *(self.value(argument) for argument in arguments))
            case core.Where(condition=condition, then=then, otherwise=otherwise):
                return where(plain(self.value(condition)), self.value(then), self.value(otherwise))
            case core.Reduce():
                return self.reduce(node)
            case core.Let(name=name, value=value, body=body):
                return self.let(name, self.value(value)).value(body)
            case core.Local(name=name):
                return self.locals[name]
            case core.Random():
                return self.random(node)
        assert_never(node)

    def random(self, node: core.Random) -> Numbers:
        """A number at every place."""
        if isinstance(self.chance, int):
            return noise.LAWS[node.law](noise.key(self.chance, node.site), self.place)
        shape = self.shape[::-1]
        return self.chance.random(shape) if node.law == "uniform" else self.chance.standard_normal(shape)

    def reduce(self, node: core.Reduce) -> Value:
        """A reduction: the axes of its indices, which come first, are reduced away."""
        extents = [_size(i.high - i.low, self.dims) for i in reversed(node.indices)]

        def flat(numbers: Numbers, extra: int) -> Numbers:
            count = numbers.ndim - extra
            kept = numbers.shape[max(count - self.depth, 0) : count]
            rest = (*((1,) * (self.depth - len(kept))), *kept, *numbers.shape[count:])
            return np.broadcast_to(numbers, (*extents, *rest)).reshape(math.prod(extents), *rest)

        return reduced(node.reducer, shaped(self.among(node.indices).value(node.body), flat))

    def read(self, tensor: str, subscripts: Sequence[IndexExpr]) -> Value:
        """A tensor at places; where a condition keeps a place out of it, some place of it is read instead."""
        values = self.tensors[tensor]
        if not subscripts:
            return values
        places = [self.index(at) for at in subscripts]
        if 0 in values.shape:
            return np.zeros(np.broadcast_shapes(*(p.shape for p in places)), plain(values).dtype)
        inside = tuple(np.clip(place, 0, size - 1) for place, size in zip(places, values.shape, strict=True))
        return shaped(values, lambda numbers, _: np.asarray(numbers[inside]))

    def index(self, expr: IndexExpr) -> Numbers:
        """An index expression at every place."""
        total = np.asarray(0)
        for monomial, coefficient in expr.terms:
            product = np.asarray(coefficient)
            for atom in monomial:
                product = product * self._atom(atom)
            total = total + product
        return total

    def _atom(self, atom: Atom) -> Numbers:
        match atom:
            case Dim(name=name):
                return np.asarray(self.dims[name])
            case Idx(name=name):
                return self.indices[name]
            case Quotient(numerator=a, denominator=b):
                return self.index(a) // self.index(b)
            case Remainder(numerator=a, denominator=b):
                return self.index(a) % self.index(b)
            case Gather(tensor=tensor, subscripts=subscripts):
                return plain(self.read(tensor, subscripts))
        assert_never(atom)


def _orthogonal(shape: tuple[int, ...], rng: np.random.Generator) -> Numbers:
    """Rows or columns of length 1 at right angles, the first axis against the rest."""
    rows, columns = shape[0], math.prod(shape[1:])
    normal = rng.standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(normal)
    q = q * np.sign(np.diag(r))
    return np.ascontiguousarray((q if rows >= columns else q.T).reshape(shape))
