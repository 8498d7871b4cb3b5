"""Graph → an equal graph with less in it, after differentiation and on forward graphs.

Zeros, ones and copies leave, constants move to where they are read, equal tensors become one, conditions on indices
become domains, equalities are solved, constants leave sums, dead code goes. Element-wise tensors with work in them are
not put into each other: fusing is the scheduler's.
"""

from functools import lru_cache

import sympy

from gradc.graph.nodes import Equation, Graph, Read

from .domains import DOMAINS, FACTOR, constant_factor
from .engine import Measure, Phase, Rewritten, rewrite
from .folding import FOLDING, node_weight
from .places import PLACES
from .quotients import QUOTIENTS
from .sharing import SHARING
from .work import Work


def simplify(graph: Graph) -> Graph:
    """The graph with all that its outputs need, and less than before."""
    return simplified(graph).graph


def simplified(graph: Graph) -> Rewritten:
    """The same, and which rules fired where."""
    return rewrite(graph, PHASES)


def size(work: Work) -> Measure:
    """Equations; indices; reads; nodes of bodies; guards and quotients; how deep tensors stand, and what they read."""
    sizes = [work.remembered(_size, equation) for equation in work.equations()]
    return len(work.tensors), len(sizes), *map(sum, zip(*sizes, strict=True)), *_heights(work)


def _size(equation: Equation) -> tuple[int, int, int, int]:
    conditions = len(equation.guards) + sum(place.divisions for place in equation.index_expressions())
    return len(equation.indices), _reads(equation.body), node_weight(equation.body), conditions


@lru_cache(maxsize=8192)
def _reads(body: sympy.Expr) -> int:
    return 1 if isinstance(body, Read) else sum(map(_reads, body.args))


def _heights(work: Work) -> tuple[int, int]:
    heights: dict[str, int] = {}
    read = 0
    for name in work.order():
        highest = 0
        for equation in work.writers[name]:
            for source in equation.sources():
                height = heights.get(source, 0)
                highest = max(highest, height)
                read += height
        heights[name] = 1 + highest
    return sum(heights.values()), read


def factors(work: Work) -> Measure:
    """Sums with a constant factor inside."""
    return (sum(constant_factor(equation) != 1 for equation in work.equations()),)


SETTLE = Phase("settle", size, bodies=(*FOLDING, *QUOTIENTS), equations=DOMAINS, graphs=(*SHARING, *PLACES))
PHASES: tuple[Phase, ...] = (SETTLE, Phase("sums", factors, equations=(FACTOR,)), SETTLE)
