"""The plain oracle: a `core.Model` and values for its leaves → the value of every tensor, by NumPy alone.

Each equation is computed over the grid of its indices, one array axis for each index, in float64, int64 and bool. It is
clear rather than fast, and shares nothing with the graph: no SymPy, no rewriting. What a condition guards is computed
everywhere, with subscripts clipped into the tensor, and then selected.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, assert_never

import numpy as np

from gradc.graph import noise
from gradc.graph.cycles import components
from gradc.graph.index import Atom, Dim, Gather, Idx, IndexExpr, Quotient, Remainder

from . import core
from .core import Kind
from .tensors import tensors_read

Numbers: TypeAlias = np.ndarray[Any, Any]
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
    return np.array(_spread(grid.value(law.value), shape), np.float64)


def evaluate_update(update: core.Update, values: Mapping[str, Numbers]) -> dict[str, Numbers]:
    """The next value of p and of each moment, from `p`, `g`, `t`, the moments and the scalars of the training."""
    given = {name: np.asarray(value, np.int64 if name == "t" else np.float64) for name, value in values.items()}
    found = _all_tensors(update.tensors, update.equations, given, _Call({}))
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
    found = dict(given)
    for names in _in_order(parts, given):
        if len(names) > 1 or any(names[0] in _reads(equation) for equation in parts[names[0]]):
            _solve([by_name[name] for name in names], parts, found, call)
        else:
            found[names[0]] = _tensor(by_name[names[0]], parts[names[0]], found, call)
    return found


def _in_order(parts: Mapping[str, Sequence[core.Equation]], given: Mapping[str, Numbers]) -> list[list[str]]:
    """The tensors that can be computed, each after those it reads, those that read each other together."""
    names = list(parts)
    numbers = {name: at for at, name in enumerate(names)}
    reads = [sorted({read for equation in parts[name] for read in _reads(equation)} - set(given)) for name in names]
    order: list[list[str]] = []
    known = set(given)
    for component in components([[numbers[read] for read in own if read in numbers] for own in reads]):
        together = {names[at] for at in component}
        if all(read in known or read in together for at in component for read in reads[at]):
            order.append([names[at] for at in component])
            known |= together
    return order


def _solve(tensors: Sequence[core.Tensor], parts: Mapping[str, Sequence[core.Equation]], found: dict[str, Numbers],
           call: _Call) -> None:  # fmt: skip
    """A recurrence: from zeros, all of it over and over, until nothing changes. That finds each place once those that
    it needs are found, in whatever order that is."""
    for tensor in tensors:
        found[tensor.name] = np.zeros(tuple(_size(axis.extent, call.dims) for axis in tensor.axes), DTYPES[tensor.kind])
    for _ in range(sum(found[tensor.name].size for tensor in tensors) + 2):
        new = {tensor.name: _tensor(tensor, parts[tensor.name], found, call) for tensor in tensors}
        same = all(np.array_equal(new[n], found[n], equal_nan=new[n].dtype == np.float64) for n in new)
        found |= new
        if same:
            return
    raise AssertionError(f"{tensors[0].name}: a place needs itself")


def _reads(equation: core.Equation) -> set[str]:
    return set(tensors_read(equation.value)) | {g.tensor for w in equation.write for g in w.gathers}


def _tensor(tensor: core.Tensor, equations: Sequence[core.Equation], found: Mapping[str, Numbers],
            call: _Call) -> Numbers:  # fmt: skip
    shape = tuple(_size(axis.extent, call.dims) for axis in tensor.axes)
    result: Numbers = np.zeros(shape, DTYPES[tensor.kind])
    for equation in equations:
        extents = tuple(_size(i.high - i.low, call.dims) for i in equation.indices)
        grid = _Grid(found, call.dims, {}, call.seed, extents).among(equation.indices)
        with np.errstate(all="ignore"):
            value = _spread(grid.value(equation.value), extents)
        places = tuple(_spread(grid.index(at), extents) for at in equation.write)
        result[places] = value
    return result


def _spread(value: Numbers, extents: tuple[int, ...]) -> Numbers:
    """The value at every place, its axes in the order of the indices: a grid has them last first."""
    return np.broadcast_to(value, extents[::-1]).T


def _size(extent: IndexExpr, dims: Mapping[str, int]) -> int:
    return int(extent.value(dims))


# ---------------------------------------------------------------- expressions


@dataclass(frozen=True, slots=True)
class _Grid:
    """The places of an equation: every index is an array along an axis of its own, the first index along the last axis.

    So the indices of a reduction are the first axes, and an index that a value does not depend on need not be there.
    Random numbers come from a generator in initial laws, in equations from a seed, the site and `place`, row-major.
    """

    tensors: Mapping[str, Numbers]
    dims: Mapping[str, int]
    indices: Mapping[str, Numbers]
    chance: np.random.Generator | int
    shape: tuple[int, ...] = ()
    locals: Mapping[str, Numbers] = field(default_factory=dict)
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

    def let(self, name: str, value: Numbers) -> "_Grid":
        """The same with a named value."""
        return replace(self, locals={**self.locals, name: value})

    def value(self, node: core.Expression) -> Numbers:
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
                return FUNCTIONS[function](*(self.value(argument) for argument in arguments))
            case core.Where(condition=condition, then=then, otherwise=otherwise):
                return np.where(self.value(condition), self.value(then), self.value(otherwise))
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

    def reduce(self, node: core.Reduce) -> Numbers:
        """A reduction: the axes of its indices, which come first, are reduced away."""
        body = self.among(node.indices).value(node.body)
        extents = [_size(i.high - i.low, self.dims) for i in reversed(node.indices)]
        kept = body.shape[body.ndim - self.depth :] if body.ndim >= self.depth else body.shape
        rest = (1,) * (self.depth - len(kept)) + tuple(kept)
        flat = np.broadcast_to(body, (*extents, *rest)).reshape(-1, *rest)
        return REDUCERS[node.reducer](flat)

    def read(self, tensor: str, subscripts: Sequence[IndexExpr]) -> Numbers:
        """A tensor at places; where a condition keeps a place out of it, some place of it is read instead."""
        values = self.tensors[tensor]
        if not subscripts:
            return values
        places = [self.index(at) for at in subscripts]
        if 0 in values.shape:
            return np.zeros(np.broadcast_shapes(*(p.shape for p in places)), values.dtype)
        inside = [np.clip(place, 0, size - 1) for place, size in zip(places, values.shape, strict=True)]
        found: Numbers = values[tuple(inside)]
        return found

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
                return self.read(tensor, subscripts)
        assert_never(atom)


# ---------------------------------------------------------------- functions


def _power(a: Numbers, b: Numbers) -> Numbers:
    result: Numbers = np.power(a.astype(np.float64), b)
    return result


def _log_sum_exp(flat: Numbers) -> Numbers:
    """log Σ exp, from the largest down; -inf of nothing but -inf, inf where one is inf."""
    flat = flat.astype(np.float64)
    largest = flat.max(axis=0)
    shift = np.where(np.isfinite(largest), largest, 0.0)
    result: Numbers = np.log(np.exp(flat - shift).sum(axis=0)) + shift
    return result


def _erf(x: Numbers) -> Numbers:
    result: Numbers = np.vectorize(math.erf, otypes=[np.float64])(x)
    return result


def _to_whole(function: Callable[[Numbers], Numbers]) -> Callable[[Numbers], Numbers]:
    return lambda x: function(x.astype(np.float64)).astype(np.int64)


def _real(function: Callable[..., Numbers]) -> Callable[..., Numbers]:
    return lambda *parts: function(*(part.astype(np.float64) for part in parts))


FUNCTIONS: Mapping[str, Callable[..., Numbers]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": _real(np.divide),
    "neg": np.negative,
    "pow": _power,
    "floordiv": np.floor_divide,
    "mod": np.mod,
    "lt": np.less,
    "le": np.less_equal,
    "eq": np.equal,
    "ne": np.not_equal,
    "and": np.logical_and,
    "or": np.logical_or,
    "not": np.logical_not,
    "exp": _real(np.exp),
    "log": _real(np.log),
    "log1p": _real(np.log1p),
    "expm1": _real(np.expm1),
    "sqrt": _real(np.sqrt),
    "abs": np.abs,
    "sign": np.sign,
    "sin": _real(np.sin),
    "cos": _real(np.cos),
    "tan": _real(np.tan),
    "asin": _real(np.arcsin),
    "acos": _real(np.arccos),
    "atan": _real(np.arctan),
    "tanh": _real(np.tanh),
    "sinh": _real(np.sinh),
    "cosh": _real(np.cosh),
    "erf": _erf,
    "floor": _to_whole(np.floor),
    "round": _to_whole(np.round),
    "max": np.maximum,
    "min": np.minimum,
    "clip": lambda x, low, high: np.minimum(np.maximum(x, low), high),
    "stop_gradient": lambda x: x,
}
"""Functions of numbers, by their names in `core.Apply`."""

REDUCERS: Mapping[str, Callable[[Numbers], Numbers]] = {
    "sum": lambda flat: flat.sum(axis=0), "prod": lambda flat: flat.prod(axis=0), "max": lambda flat: flat.max(axis=0),
    "min": lambda flat: flat.min(axis=0), "logsumexp": _log_sum_exp, "argmax": lambda flat: np.argmax(flat, axis=0),
    "argmin": lambda flat: np.argmin(flat, axis=0),
}  # fmt: skip
"""Reductions of the first axis."""


def _orthogonal(shape: tuple[int, ...], rng: np.random.Generator) -> Numbers:
    """Rows or columns of length 1 at right angles, the first axis against the rest."""
    rows, columns = shape[0], math.prod(shape[1:])
    normal = rng.standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(normal)
    q = q * np.sign(np.diag(r))
    return np.ascontiguousarray((q if rows >= columns else q.T).reshape(shape))
