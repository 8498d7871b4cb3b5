"""Equations of nothing but 0, for places to which no other equation gives their first value.

What nothing writes is 0. As a rule the first equation of a tensor sees to that: the places that it does not write are
set to 0 before it. But it may come to a place too late,

    d_h[t + 1, t] += …        in rounds from the last to the first: when this one
    d_h[t, j]     += …        comes to d_h[t + 1], this one has been there

or come to it in several rounds,

    d_h[t - k] += …           for k < 3

and a place that nothing writes may be read before it. Then `d_h[i0, i1] = 0` stands before all rounds.
"""

from collections.abc import Iterable, Iterator

import sympy

from gradc.graph.dependence import read_in_vain
from gradc.graph.index import ZERO, index
from gradc.graph.nodes import Equation, Graph, Reducer
from gradc.graph.recurrence import Ordered, Recurrence, begins_late, equations_in
from gradc.graph.tensors import Index


def with_zeros(graph: Graph) -> Graph:
    """Tensors that are read or handed out but never written are written with 0."""
    read = {source for equation in graph.equations for source in equation.sources()} | set(graph.outputs.values())
    unwritten = (name for name in graph.tensors if name in read and name not in graph.writers)
    missing = [name for name in unwritten if graph.tensors[name].role is None]
    return graph.with_equations((*(filled(graph, name, sympy.Integer(0)) for name in missing), *graph.equations))


def with_beginnings(graph: Graph, items: Iterable[Ordered]) -> tuple[Graph, list[Ordered]]:
    """The graph and its equations in their order, with tensors set to 0 before all that touches them where they must
    be: what is read where nothing writes it, and what rounds of a recurrence begin too late."""
    needed = read_in_vain(graph)
    order: list[Ordered] = []
    fills: list[Equation] = []
    touched: set[str] = set()
    for item in items:
        inside = list(equations_in((item,)))
        late = set(_begun_late(inside))
        for name in dict.fromkeys(name for equation, _ in inside for name in (*equation.sources(), equation.target)):
            if name not in touched and (name in needed or name in late):
                fills.append(filled(graph, name, sympy.Integer(0)))
                order.append(fills[-1])
            touched.add(name)
        order.append(item)
    return graph.with_equations((*fills, *graph.equations)) if fills else graph, order


def _begun_late(equations: Iterable[tuple[Equation, tuple[Recurrence, ...]]]) -> Iterator[str]:
    """Tensors of which some place is written before the first equation that writes them comes there last."""
    first: dict[str, tuple[Equation, tuple[Recurrence, ...]]] = {}
    for equation, around in equations:
        begins, loops = first.setdefault(equation.target, (equation, around))
        shared = [(a.index.name, a.backward) for a, b in zip(loops, around, strict=False) if a is b]
        if begins_late(begins, equation, shared):
            yield equation.target


def filled(graph: Graph, name: str, body: sympy.Expr) -> Equation:
    """The equation that writes the body to every place of a tensor, over indices i0, i1 …"""
    tensor = graph.tensors[name]
    indices = tuple(Index(f"i{at}", ZERO, extent) for at, extent in enumerate(tensor.extents))
    place = tuple(index(i.name) for i in indices)
    return Equation(name, place, indices, (), Reducer.SUM, body, tensor.origin)
