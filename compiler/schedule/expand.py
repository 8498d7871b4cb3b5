"""Reducers that loops do not have, written out: a logsumexp becomes a maximum, a sum of exponentials and a logarithm.

    l[b] = logsumexp_k a[b, k]            l.max[b]   = max_k a[b, k], and 0 where that is ±∞
                                          l.exp[b, k] = exp(a[b, k] - l.max[b])
                                          l.total[b] = Σ_k l.exp[b, k]
                                          l[b]       = l.max[b] + log(l.total[b])

and what weighs with exp(a - l), softmax and the gradient of logsumexp, reads `l.exp / l.total` instead of computing
the exponentials again. The weight is 0 where the total is 0: a sum of nothing has slope 0.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import sympy
from sympy import Integer

from gradc.graph import scalar
from gradc.graph.index import IndexExpr, index
from gradc.graph.nodes import INF, Equation, Graph, Head, Read, Reducer, Tensor, rebuild, substitute
from gradc.graph.tensors import Axis, Kind


@dataclass(frozen=True, slots=True)
class _Sum:
    """What a logsumexp equation became."""

    equation: Equation
    name: str
    exp: str
    inverse: str


def expand(graph: Graph) -> Graph:
    """The graph without logsumexp."""
    sums: dict[str, _Sum] = {}
    plain = {eqs[0].target: eqs[0] for eqs in graph.writers.values() if len(eqs) == 1 and is_elementwise(eqs[0])}
    tensors = dict(graph.tensors)
    equations: list[Equation] = []
    for equation in graph.equations:
        if equation.reducer is Reducer.LOGSUMEXP and len(graph.writers[equation.target]) == 1:
            name = _named_after(equation, {*tensors, *(part.exp for part in sums.values())})
            sums[equation.target] = _Sum(equation, name, f"{name}.exp", f"{name}.inverse")
    with sympy.core.parameters.distribute(False):
        for equation in graph.equations:
            if equation.target in sums:
                equations += _written_out(sums[equation.target], tensors)
            else:
                body = _weighted(equation.body, sums, plain) if sums else equation.body
                equations.append(replace(equation, body=body) if body != equation.body else equation)
    return without_copies(Graph(tensors, tuple(equations), graph.outputs))


def without_copies(graph: Graph) -> Graph:
    """The graph that reads a copy where it comes from: the slope of a logsumexp may be a softmax that is there."""
    sources = {eqs[0].target: eqs[0].body.tensor for eqs in graph.writers.values() if _is_copy(eqs, graph)}
    if not sources:
        return graph

    def read(leaf: Read) -> Read:
        name = leaf.tensor
        while name in sources:
            name = sources[name]
        return Read(name, leaf.subscripts)

    def changed(equation: Equation) -> Equation:
        changes = {leaf: read(leaf) for leaf in equation.reads if leaf.tensor in sources}
        return replace(equation, body=rebuild(equation.body, changes)) if changes else equation

    return graph.with_equations(tuple(map(changed, graph.equations)))


def _is_copy(equations: tuple[Equation, ...], graph: Graph) -> bool:
    """Whether it is another computed tensor, whole and of the same shape, and real: none is read to read another."""
    (equation, *others) = equations
    if others or not isinstance(equation.body, Read) or not is_elementwise(equation):
        return False
    copy, source = graph.tensors[equation.target], graph.tensors[equation.body.tensor]
    ends = {i.name: i.high for i in equation.indices}
    whole = copy.extents == source.extents == tuple(ends[place.bare or ""] for place in equation.write)
    real = copy.kind is source.kind is Kind.REAL and source.role is None
    return whole and real and bool(equation.body.subscripts == equation.write)


def _written_out(part: _Sum, tensors: dict[str, Tensor]) -> Iterator[Equation]:
    equation = part.equation
    name, write, origin = equation.target, equation.write, equation.origin
    free = tuple(i for i in equation.indices if i.name in equation.written)

    def tensor(label: str, axes: tuple[Axis, ...]) -> str:
        tensors[label] = Tensor(label, axes, Kind.REAL, origin)
        return label

    axes = tensors[name].axes
    peak, shift = tensor(f"{part.name}.max", axes), tensor(f"{part.name}.shift", axes)
    total = tensor(f"{part.name}.total", axes)
    tensor(part.inverse, axes)
    tensor(part.exp, tuple(Axis(i.name, i.extent) for i in equation.indices))
    place = tuple(index(i.name) - i.low for i in equation.indices)
    at_peak, at_shift, at_total = Read(peak, write), Read(shift, write), Read(total, write)
    finite = scalar.LT(scalar.ABS(at_peak), INF)

    def row(target: str, body: sympy.Expr) -> Equation:
        return replace(equation, target=target, indices=free, guards=(), reducer=Reducer.SUM, body=body)

    yield replace(equation, target=peak, reducer=Reducer.PEAK)
    yield row(shift, scalar.WHERE(finite, at_peak, Integer(0)))
    exponential = scalar.EXP(equation.body - at_shift)
    yield replace(equation, target=part.exp, write=place, reducer=Reducer.SUM, body=exponential)
    yield replace(equation, target=total, reducer=Reducer.SUM, body=Read(part.exp, place))
    yield row(name, at_shift + scalar.LOG(at_total))
    yield row(part.inverse, scalar.WHERE(scalar.EQ(at_total, Integer(0)), Integer(0), 1 / at_total))


def _named_after(equation: Equation, tensors: Collection[str]) -> str:
    """What the parts are named after: the tensor that is summed, where the body is nothing else."""
    name = equation.body.tensor if isinstance(equation.body, Read) else equation.target
    taken = any(f"{name}.{part}" in tensors for part in ("max", "shift", "exp", "total", "inverse"))
    return equation.target if taken else name


def is_elementwise(equation: Equation) -> bool:
    """Whether it computes each place of its target from one tuple of indices, unguarded, from 0."""
    names = [place.bare for place in equation.write]
    plain = None not in names and len(set(names)) == len(names) and not equation.guards
    return plain and not equation.reduced and equation.reducer is Reducer.SUM and all(
        not i.low.terms for i in equation.indices
    )  # fmt: skip


def _seen_through(body: sympy.Expr, plain: Mapping[str, Equation]) -> sympy.Expr:
    """A read of an element-wise tensor as the body that computes it."""
    if not isinstance(body, Read) or body.tensor not in plain:
        return body
    equation = plain[body.tensor]
    values = {place.bare: at for place, at in zip(equation.write, body.subscripts, strict=True) if place.bare}
    return substitute(equation.body, values)


def _weighted(body: sympy.Expr, sums: Mapping[str, _Sum], plain: Mapping[str, Equation]) -> sympy.Expr:
    """The body with every exp(a − logsumexp a) read as its exponential times the inverse of the total, and asking
    whether a sum is of nothing without a logarithm."""
    changes: dict[sympy.Expr, sympy.Expr] = {}
    for head in sorted(_exponentials(body), key=str):
        match head.row_name, head.args:
            case "exp", (argument,):
                found = _weight(_seen_through(argument, plain), sums, plain)
                changes |= {} if found is None else {head: found}
            case "eq", (Read() as out, low) if low == -INF and out.tensor in sums:
                changes[head] = scalar.EQ(Read(f"{sums[out.tensor].name}.total", out.subscripts), Integer(0))
    return rebuild(body, changes)


@lru_cache(maxsize=8192)
def _exponentials(body: sympy.Expr) -> tuple[Head, ...]:
    """The exponentials and equalities in a body."""
    return tuple(head for head in body.atoms(Head) if head.row_name in ("exp", "eq"))


def _weight(difference: sympy.Expr, sums: Mapping[str, _Sum], plain: Mapping[str, Equation]) -> sympy.Expr | None:
    terms = difference.args if isinstance(difference, sympy.Add) else (difference,)
    for term in terms:
        match term:
            case sympy.Mul(args=(sympy.Integer() as sign, Read() as taken)) if sign == -1:
                out = _base_of(taken, plain)
                if out.tensor not in sums:
                    continue
                part = sums[out.tensor]
                places = _matched(part.equation, out, difference - term)
                if places is not None:
                    at = tuple(index(i.name) - i.low for i in part.equation.indices)
                    exponential = substitute(Read(part.exp, at), places)
                    return exponential * Read(part.inverse, out.subscripts)
    return None


def _base_of(taken: Read, plain: Mapping[str, Equation]) -> Read:
    """Of `if out == -inf then 0 else out` the read of out; then a weight is 0 where all is −∞, as it is written out."""
    match _seen_through(taken, plain):
        case Head(row_name="where", args=(Head(row_name="eq", args=(Read() as out, low)), then, otherwise)) if (
            low == -INF and then == 0 and otherwise == out
        ):
            return out
    return taken


def _matched(equation: Equation, out: Read, body: sympy.Expr) -> dict[str, IndexExpr] | None:
    """For each index of the logsumexp the place at which `body` is its body, if it is."""
    places: dict[str, IndexExpr] = {}
    for written, at in zip(equation.write, out.subscripts, strict=True):
        if written.bare is None:
            return None
        places[written.bare] = at
    theirs = sorted(body.atoms(Read), key=str)
    for mine in sorted(equation.body.atoms(Read), key=str):
        for other in theirs:
            if other.tensor == mine.tensor:
                for a, b in zip(mine.subscripts, other.subscripts, strict=True):
                    if a.bare is not None:
                        places.setdefault(a.bare, b)
    if any(i.name not in places for i in equation.indices):
        return None
    return places if substitute(equation.body, places) == body and not equation.guards else None
