"""Each `grad(y, x)` in a model's equations as a slope to be checked: y's sum as a function of what is added to x.

What calculus makes of it is computed by interpretation, and so is y: the derivatives that y needs itself are checked by
slopes of their own. Where x is a recurrence, its later places follow those that are moved.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from gradc.calculus.nested import expanded
from gradc.differences import Array
from gradc.graph.index import ZERO, index
from gradc.graph.interpret import interpret
from gradc.graph.nodes import Equation, Graph, Read, Reducer
from gradc.graph.prune import pruned
from gradc.graph.tensors import Index, Role
from gradc.held import held

MOVE, BEFORE = "what is added", "what it was"


@dataclass(frozen=True, slots=True)
class Nested:
    """One gradient: its name, the tensor that is moved, from where, and what is said of the function's slopes there."""

    name: str
    by: str
    at: Mapping[str, Array]
    gradient: Array
    function: Callable[[Mapping[str, Array]], float]


def nested(written: Graph, here: Mapping[str, Array], dims: Mapping[str, int]) -> Iterator[Nested]:
    """The gradients in the equations of a graph, at some values of its leaves."""
    if not written.gradients:
        return
    found = expanded(written)
    known = interpret(found.graph, here, dims)
    for name, adjoint in found.names.items():
        asked = written.gradients[name]
        of, by = (found.names.get(each, each) for each in (asked.of, asked.by))
        graph = pruned(_moved(found.graph, by, of))
        at = {**here, MOVE: np.zeros(known[by].shape)} | ({BEFORE: here[by]} if by in here else {})
        yield Nested(name, MOVE, at, known[adjoint], _sum(graph, of, at, dims))


def _moved(graph: Graph, name: str, output: str) -> Graph:
    """The graph in which a tensor is what it was and an input beside it."""
    old = graph.tensors[name]
    indices = tuple(Index(f"i{axis}'", ZERO, extent) for axis, extent in enumerate(old.extents))
    place = tuple(index(i.name) for i in indices)
    body = Read(BEFORE, place) + Read(MOVE, place)
    before = (replace(each, target=BEFORE) if each.target == name else each for each in graph.equations)
    sums = Equation(name, place, indices, (), Reducer.SUM, body, old.origin)
    more = {
        name: replace(old, role=None),
        BEFORE: replace(old, name=BEFORE),
        MOVE: replace(old, name=MOVE, role=Role.INPUT),
    }
    return Graph({**graph.tensors, **more}, (*before, sums), {output: output})


def _sum(graph: Graph, of: str, here: Mapping[str, Array],
         dims: Mapping[str, int]) -> Callable[[Mapping[str, Array]], float]:  # fmt: skip
    stopping = held(graph)
    stopped = stopping.values(here, dims) if stopping is not None else {}
    plain = stopping.graph if stopping is not None else graph
    return lambda values: float(interpret(plain, {**values, **stopped}, dims)[of].sum())
