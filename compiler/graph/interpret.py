"""The plain meaning of a graph: graph, leaf values and sizes → the value of every tensor, in float64, int64 and bool.

Each equation is run at the list of all places of its domain where its guards hold, one array entry for each place.
`where` evaluates each branch at the places that take it and nowhere else, and so do `and` and `or`; so a read that a
condition keeps inside never meets an index error, and what the untaken branch would give never shows. It is slow and
plain on purpose.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import sympy
from numpy.typing import NDArray

from gradc.errors import InternalError

from . import noise
from .index import Gather, IndexExpr, index
from .nodes import Equation, Graph, Guard, Head, Named, Read, Reducer, Relation, Tensor, Value, substitute
from .scalar import AND, EQ, OR, WHERE, row_of
from .tensors import Index, Kind

Array: TypeAlias = NDArray[Any]
DTYPES: dict[Kind, type] = {Kind.REAL: np.float64, Kind.WHOLE: np.int64, Kind.BOOL: np.bool_}
RELATIONS: dict[Relation, np.ufunc] = {
    Relation.AT_LEAST: np.greater_equal,
    Relation.EQUAL: np.equal,
    Relation.UNEQUAL: np.not_equal,
}
TRUE, FALSE = (EQ(sympy.Integer(0), sympy.Integer(k)) for k in (0, 1))
NAMED = {"inf": np.inf, "pi": np.pi}


def interpret(graph: Graph, values: Mapping[str, Any], dims: Mapping[str, int], seed: int = 0) -> dict[str, Array]:
    """The value of every tensor of the graph.

    Args:
        graph: the graph. Equations that need each other's places are run again and again until nothing changes: where
            each place needs earlier ones alone, that is their one solution, whatever the order.
        values: the leaves' values by name; those of other tensors are not looked at.
        dims: the sizes of the free dims.
        seed: of the random numbers.
    """
    found: dict[str, Array] = {}
    for name, tensor in graph.tensors.items():
        if tensor.site is not None:
            found[name] = np.asarray(noise.key(seed, tensor.site))
        elif name not in graph.writers and (name in values or tensor.role is not None):
            found[name] = _leaf(tensor, values, dims)
        elif tensor.gradient is not None:
            raise InternalError(f"{name} stands for equations that calculus makes, and has none yet")
        elif name not in graph.writers:
            found[name] = np.zeros(_shape(tensor, dims), DTYPES[tensor.kind])
    with np.errstate(all="ignore"):
        for names in graph.cycles:
            unknown = [source for name in names for eq in graph.writers[name] for source in eq.sources()
                       if source not in found and source not in names]  # fmt: skip
            if unknown:
                raise InternalError(f"{names[0]} needs {unknown[0]}, which is no tensor")
            if len(names) > 1 or any(names[0] in eq.sources() for eq in graph.writers[names[0]]):
                _solve(names, graph, found, dims)
            else:
                found[names[0]] = _computed(graph.tensors[names[0]], graph.writers[names[0]], found, dims)
    return found


def _solve(names: tuple[str, ...], graph: Graph, found: dict[str, Array], dims: Mapping[str, int]) -> None:
    """Tensors that need each other's places: computed from zeros, over and over, until they stay as they are."""
    for name in names:
        found[name] = np.zeros(_shape(graph.tensors[name], dims), DTYPES[graph.tensors[name].kind])
    for _ in range(sum(found[name].size for name in names) + 2):
        same = True
        for name in names:
            new = _computed(graph.tensors[name], graph.writers[name], found, dims)
            same = same and np.array_equal(new, found[name], equal_nan=new.dtype == np.float64)
            found[name] = new
        if same:
            return
    raise InternalError(f"{', '.join(names)}: a place needs itself")


def _shape(tensor: Tensor, dims: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(max(0, int(extent.value(dims))) for extent in tensor.extents)


def _leaf(tensor: Tensor, values: Mapping[str, Any], dims: Mapping[str, int]) -> Array:
    assert tensor.name in values, f"no value for {tensor.name}"
    value: Array = np.asarray(values[tensor.name], DTYPES[tensor.kind])
    assert value.shape == _shape(tensor, dims), f"{tensor.name}: {value.shape}, not {_shape(tensor, dims)}"
    return value


def _computed(
    tensor: Tensor, equations: tuple[Equation, ...], found: Mapping[str, Array], dims: Mapping[str, int]
) -> Array:
    out: Array = np.zeros(_shape(tensor, dims), DTYPES[tensor.kind])
    for each in equations:
        equation = _apart_from_dims(each, dims)
        points = _domain(equation, Points(dict(dims), (), 1, found))
        places = points.places(out.shape, equation.write, equation.target)
        body = evaluate(equation.body, points)
        if equation.reducer is Reducer.SUM:
            _add(out, places, body)
        else:
            _reduce(out, places, body, _counted(equation, points), equation.reducer)
    return out


def _apart_from_dims(equation: Equation, dims: Mapping[str, int]) -> Equation:
    """The equation with other names for indices that have the name of a dim."""
    names = {i.name: f"{i.name} index" for i in equation.indices if i.name in dims}
    if not names:
        return equation
    values = {name: index(other) for name, other in names.items()}
    return replace(
        equation,
        write=tuple(place.substitute(values) for place in equation.write),
        indices=tuple(
            Index(names.get(i.name, i.name), i.low.substitute(values), i.high.substitute(values))
            for i in equation.indices
        ),
        guards=tuple(guard.substitute(values) for guard in equation.guards),
        body=substitute(equation.body, values),
    )


# ---------------------------------------------------------------- places


@dataclass(frozen=True, slots=True)
class Points:
    """A list of places: the value of each index at each of them, the sizes, and the tensors known so far."""

    env: Mapping[str, Any]
    indices: tuple[str, ...]
    count: int
    tensors: Mapping[str, Array]

    def at(self, expr: IndexExpr) -> Array:
        """The value of an index expression at every place."""
        return np.broadcast_to(np.asarray(expr.value(self.env, self._gather), np.int64), (self.count,))

    def _gather(self, gather: Gather) -> Any:
        return self.read(gather.tensor, gather.subscripts)

    def read(self, tensor: str, subscripts: tuple[IndexExpr, ...]) -> Array:
        """What a tensor holds at the places that the subscripts name."""
        array = self.tensors[tensor]
        return array.reshape(-1)[self.places(array.shape, subscripts, tensor)]

    def places(self, shape: tuple[int, ...], subscripts: tuple[IndexExpr, ...], name: str) -> Array:
        """Flat places in a tensor, each seen to be inside."""
        assert len(shape) == len(subscripts), f"{name} has {len(shape)} axes, not {len(subscripts)}"
        flat = np.zeros(self.count, np.int64)
        for extent, subscript in zip(shape, subscripts, strict=True):
            place = self.at(subscript)
            outside = (place < 0) | (place >= extent)
            assert not outside.any(), f"{name}: {subscript} is {place[outside][:1]}, outside 0 .. {extent - 1}"
            flat = flat * extent + place
        return flat

    def only(self, kept: Array) -> "Points":
        """The places where `kept` is true, or those it lists."""
        env = dict(self.env)
        for name in self.indices:
            env[name] = env[name][kept]
        count = int(kept.sum()) if kept.dtype == np.bool_ else len(kept)
        return Points(env, self.indices, count, self.tensors)

    def spread(self, index: Index) -> "Points":
        """Every place once for each value of one more index, row-major."""
        low, high = self.at(index.low), self.at(index.high)
        counts = np.maximum(high - low, 0)
        wider = self.only(np.repeat(np.arange(self.count), counts))
        first = np.repeat(np.cumsum(counts) - counts, counts)
        value: Array = np.arange(wider.count) - first + np.repeat(low, counts)
        return Points({**wider.env, index.name: value}, (*self.indices, index.name), wider.count, self.tensors)


def _domain(equation: Equation, points: Points) -> Points:
    """All places of the domain where the guards hold. Guards that read tensors come last: others keep them inside."""
    waiting = list(equation.indices)
    while waiting:
        names = {index.name for index in waiting}
        ready = [index for index in waiting if not names & {*index.low.indices, *index.high.indices}]
        assert ready, f"{equation.target}: ranges that need each other"
        points = points.spread(ready[0])
        waiting.remove(ready[0])
    for guard in sorted(equation.guards, key=lambda guard: bool(guard.value.gathers)):
        points = points.only(_holds(guard, points))
    return points


def _holds(guard: Guard, points: Points) -> Array:
    return np.asarray(RELATIONS[guard.relation](points.at(guard.value), 0))


def _counted(equation: Equation, points: Points) -> Array:
    """The place of each point among the reduced indices, row-major; only argmax and argmin look at it."""
    flat = np.zeros(points.count, np.int64)
    if equation.reducer in (Reducer.ARGMAX, Reducer.ARGMIN):
        for index in equation.reduced:
            flat = flat * points.at(index.extent) + points.at(index.low * -1) + points.env[index.name]
    return flat


# ---------------------------------------------------------------- bodies


def evaluate(body: sympy.Expr, points: Points) -> Array:
    """The value of a body at every place."""
    return np.broadcast_to(_Evaluation(points).value(body), (points.count,))


class _Evaluation:
    """One body at one list of places; a subexpression that stands twice is evaluated once."""

    def __init__(self, points: Points) -> None:
        self.points = points
        self.known: dict[sympy.Expr, Any] = {}

    def value(self, body: sympy.Expr) -> Any:
        if body not in self.known:
            self.known[body] = self._value(body)
        return self.known[body]

    def _value(self, body: sympy.Expr) -> Any:
        match body:
            case Read():
                return self.points.read(body.tensor, body.subscripts)
            case Value():
                return self.points.at(body.value)
            case Named():
                return NAMED[body.name]
            case sympy.Rational():
                return number_of(body)
            case sympy.Add():
                return self._joined(np.add, body)
            case sympy.Mul():
                return self._joined(np.multiply, body)
            case sympy.Pow(args=(base, sympy.Rational() as exponent)):
                return _power(self.value(base), exponent)
            case WHERE.head():
                return self._where(*_branches(body))
            case AND.head() | OR.head():
                return self._where(*_branches(body)).astype(np.bool_)
            case Head():
                return row_of(body).numpy(*map(self.value, body.args))
        raise InternalError(f"a body with {type(body).__name__} in it: {body}")

    def _joined(self, join: Callable[[Any, Any], Any], body: sympy.Expr) -> Any:
        first, *others = (_as_number(self.value(argument)) for argument in body.args)
        for other in others:
            first = join(first, other)
        return first

    def _where(self, condition: sympy.Expr, then: sympy.Expr, otherwise: sympy.Expr) -> Any:
        taken = np.broadcast_to(np.asarray(self.value(condition), np.bool_), (self.points.count,))
        left = evaluate(then, self.points.only(taken))
        right = evaluate(otherwise, self.points.only(~taken))
        out = np.empty(self.points.count, np.result_type(left, right))
        out[taken], out[~taken] = left, right
        return out


def _branches(head: Head) -> tuple[sympy.Expr, sympy.Expr, sympy.Expr]:
    """`a and b` is `if a then b else false`, `a or b` is `if a then true else b`."""
    match head.args:
        case (left, right):
            return (left, right, FALSE) if isinstance(head, AND.head) else (left, TRUE, right)
        case (condition, then, otherwise):
            return condition, then, otherwise
    raise InternalError(f"{head.row_name} of {len(head.args)} arguments")


def number_of(value: sympy.Rational) -> int | float:
    """The number as a machine has it: whole where it is whole and fits, else a float64."""
    try:
        quotient = value.p / value.q
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
    return int(value) if value.q == 1 and abs(value.p) < 2**63 else quotient


def _as_number(value: Any) -> Any:
    value = np.asarray(value)
    return value.astype(np.int64) if value.dtype == np.bool_ else value


def _power(base: Any, exponent: sympy.Rational) -> Any:
    base = _as_number(base)
    if exponent.q == 1 and exponent.p >= 0:
        return base ** int(exponent)
    return np.power(base.astype(np.float64), float(exponent))


# ---------------------------------------------------------------- reducers


def _add(out: Array, places: Array, body: Array) -> None:
    flat = out.reshape(-1)
    if out.dtype == np.bool_:
        flat[places] = body.astype(np.bool_)
    else:
        np.add.at(flat, places, body.astype(out.dtype))


def _reduce(out: Array, places: Array, body: Array, counted: Array, reducer: Reducer) -> None:
    """Joins the bodies of each place; only places that are written change."""
    written, slots = np.unique(places, return_inverse=True)
    slots = slots.reshape(-1)
    flat = out.reshape(-1)
    match reducer:
        case Reducer.MAX | Reducer.MIN:
            flat[written] = _extreme(body, slots, len(written), reducer is Reducer.MAX)
        case Reducer.PROD:
            product = np.ones(len(written), out.dtype)
            np.multiply.at(product, slots, body.astype(out.dtype))
            flat[written] = product
        case Reducer.ARGMAX | Reducer.ARGMIN:
            best = _extreme(body, slots, len(written), reducer is Reducer.ARGMAX)[slots]
            wins = (body == best) | (np.isnan(body) & np.isnan(best))
            first = np.full(len(written), np.iinfo(np.int64).max)
            np.minimum.at(first, slots[wins], counted[wins])
            flat[written] = first
        case Reducer.LOGSUMEXP:
            flat[written] = _logsumexp(body.astype(np.float64), slots, len(written))
        case Reducer.SUM:
            raise AssertionError("sums are added, not reduced")


def _extreme(body: Array, slots: Array, count: int, largest: bool) -> Array:
    body = np.asarray(_as_number(body))
    extremes = _limits(body.dtype)
    out = np.full(count, extremes[0] if largest else extremes[1], body.dtype)
    (np.maximum if largest else np.minimum).at(out, slots, body)
    return out


def _limits(dtype: np.dtype[Any]) -> tuple[Any, Any]:
    if dtype.kind == "f":
        return -np.inf, np.inf
    return np.iinfo(dtype).min, np.iinfo(dtype).max


def _logsumexp(body: Array, slots: Array, count: int) -> Array:
    largest = _extreme(body, slots, count, True)
    shift = np.where(np.isfinite(largest), largest, 0.0)
    total = np.zeros(count)
    np.add.at(total, slots, np.exp(body - shift[slots]))
    return np.log(total) + shift
