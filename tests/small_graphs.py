"""Small graphs for tests, written in a few lines."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import sympy

from gradc.errors import Span
from gradc.graph.index import ZERO, IndexExpr, as_expr, index
from gradc.graph.nodes import Equation, Graph, Guard, Origin, Read, Reducer, Relation, Tensor
from gradc.graph.tensors import Axis, Bounds, Index, Kind, Role

SPECIAL = (0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e300, -1e300, 1e-300, 710.0, -710.0, 40.0, -40.0)
i, j, k = index("i"), index("j"), index("k")


def origin(line: int = 1) -> Origin:
    """A line of a model that there is not."""
    return Origin(Span("m.grad", line, 1, line, 2), "…")


def read(tensor: str, *subscripts: IndexExpr | int) -> Read:
    """`tensor[subscripts]`."""
    return Read(tensor, tuple(map(as_expr, subscripts)))


def at_least(value: IndexExpr | int) -> Guard:
    """value >= 0."""
    return Guard(as_expr(value), Relation.AT_LEAST)


def equal(a: IndexExpr | int, b: IndexExpr | int) -> Guard:
    """a == b."""
    return Guard(as_expr(a) - as_expr(b), Relation.EQUAL)


class Small:
    """Collects tensors and equations; `graph` ends it."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self.equations: list[Equation] = []

    def leaf(self, name: str, *extents: IndexExpr | int, whole: tuple[int, int] | None = None,
             role: Role = Role.INPUT) -> "Small":  # fmt: skip
        """A leaf; `whole` gives the bounds of one that holds whole numbers."""
        bounds = Bounds(as_expr(whole[0]), as_expr(whole[1])) if whole else None
        kind = Kind.WHOLE if whole else Kind.REAL
        self.tensors[name] = Tensor(name, _axes(extents), kind, origin(), role, bounds)
        return self

    def tensor(self, name: str, *extents: IndexExpr | int, kind: Kind = Kind.REAL) -> "Small":
        """A computed tensor."""
        self.tensors[name] = Tensor(name, _axes(extents), kind, origin())
        return self

    def write(self, target: str, write: Iterable[IndexExpr | int], ranges: Mapping[str, Any], body: sympy.Expr,
              guards: tuple[Guard, ...] = (), reducer: Reducer = Reducer.SUM) -> "Small":  # fmt: skip
        """An equation; a range is its end, or (low, end)."""
        indices = tuple(_index(name, ends) for name, ends in ranges.items())
        place = tuple(map(as_expr, write))
        line = origin(len(self.equations) + 1)
        self.equations.append(Equation(target, place, indices, guards, reducer, sympy.sympify(body), line))
        return self

    def graph(self, *outputs: str) -> Graph:
        """The graph; without names the last equation's target is handed out."""
        names = outputs or (self.equations[-1].target,)
        return Graph(self.tensors, tuple(self.equations), {name: name for name in names})


def _axes(extents: Iterable[IndexExpr | int]) -> tuple[Axis, ...]:
    return tuple(Axis(f"a{n}", as_expr(extent)) for n, extent in enumerate(extents))


def _index(name: str, ends: Any) -> Index:
    low, high = ends if isinstance(ends, tuple) else (ZERO, ends)
    return Index(name, as_expr(low), as_expr(high))
