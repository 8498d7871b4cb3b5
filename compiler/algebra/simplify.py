"""Graph → an equal graph with less in it, after differentiation and on forward graphs.

Zeros, ones and copies leave, constants move to where they are read, equal tensors become one, conditions on indices
become domains, equalities are solved, constants leave sums, dead code goes. Element-wise tensors with work in them are
not put into each other: fusing is the scheduler's.
"""

import sympy

from gradc.graph.index import Quotient, Remainder
from gradc.graph.nodes import Equation, Graph, Read

from .domains import DOMAINS, FACTOR, constant_factor
from .engine import Measure, Phase, Rewritten, rewrite
from .folding import FOLDING, node_weight
from .sharing import SHARING
from .work import Work


def simplify(graph: Graph) -> Graph:
    """The graph with all that its outputs need, and less than before."""
    return simplified(graph).graph


def simplified(graph: Graph) -> Rewritten:
    """The same, and which rules fired where."""
    return rewrite(graph, PHASES)


def size(work: Work) -> Measure:
    """Equations; indices; reads; nodes of bodies; guards and quotients; how deep tensors stand on each other."""
    sizes = [work.remembered(_size, equation) for equation in work.equations()]
    return len(work.tensors), len(sizes), *map(sum, zip(*sizes, strict=True)), _heights(work)


def _size(equation: Equation) -> tuple[int, int, int, int]:
    conditions = len(equation.guards) + _quotients(equation)
    return len(equation.indices), _reads(equation.body), node_weight(equation.body), conditions


def _reads(body: sympy.Expr) -> int:
    return sum(isinstance(node, Read) for node in sympy.preorder_traversal(body))


def _quotients(equation: Equation) -> int:
    atoms = (atom for expr in equation.index_expressions() for atom in expr.atoms())
    return sum(isinstance(atom, Quotient | Remainder) for atom in atoms)


def _heights(work: Work) -> int:
    heights: dict[str, int] = {}
    for name in work.order():
        sources = (source for equation in work.writers[name] for source in equation.sources())
        heights[name] = 1 + max((heights.get(source, 0) for source in sources), default=0)
    return sum(heights.values())


def factors(work: Work) -> Measure:
    """Sums with a constant factor inside."""
    return (sum(constant_factor(equation) != 1 for equation in work.equations()),)


SETTLE = Phase("settle", size, bodies=FOLDING, equations=DOMAINS, graphs=SHARING)
PHASES: tuple[Phase, ...] = (SETTLE, Phase("sums", factors, equations=(FACTOR,)), SETTLE)
