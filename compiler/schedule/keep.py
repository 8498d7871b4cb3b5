"""Gates through kept values: what a backward pass asks of a value that need not be kept, it asks of one that is.

    h[b, j]   = if 0 < z[b, j] then z[b, j] else 0
    d_z[b, j] = if 0 < z[b, j] then d_h[b, j] else 0      becomes      if 0 < h[b, j] then d_h[b, j] else 0

h is positive just where z is, so z need not outlive the loop that makes h. The same holds where the other branch is a
positive multiple of z (leaky rectifiers).
"""

from collections.abc import Mapping
from dataclasses import replace

import sympy

from gradc.graph import scalar
from gradc.graph.nodes import Equation, Graph, Head, Read, rebuild

from .expand import is_elementwise


def gate_by_results(graph: Graph) -> Graph:
    """The graph with the sign of a rectifier's argument read off its result."""
    gates = {}
    for equations in graph.writers.values():
        found = _rectified(equations[0]) if len(equations) == 1 else None
        if found is not None:
            gates[found.tensor] = equations[0]
    if not gates:
        return graph
    return graph.with_equations(tuple(_regated(equation, gates) for equation in graph.equations))


def _rectified(equation: Equation) -> Read | None:
    """The read z of `if 0 < z then z else c z`, c ≥ 0, where the equation is that at every place."""
    body = equation.body
    if not (is_elementwise(equation) and isinstance(body, Head) and body.row_name == "where"):
        return None
    condition, then, otherwise = body.args
    if not isinstance(then, Read) or then.subscripts != equation.write:
        return None
    if condition != scalar.LT(sympy.Integer(0), then):
        return None
    slope = otherwise / then
    positive = otherwise == 0 or (isinstance(slope, sympy.Rational) and slope > 0)
    return then if positive else None


def _regated(equation: Equation, gates: Mapping[str, Equation]) -> Equation:
    if not any(read.tensor in gates for read in equation.reads):
        return equation
    changes: dict[sympy.Expr, sympy.Expr] = {}
    for head in equation.body.atoms(Head):
        if head.row_name == "lt" and head.args[0] == 0 and isinstance(head.args[1], Read):
            gate = gates.get(head.args[1].tensor)
            if gate is not None and gate.target != equation.target:
                changes[head] = scalar.LT(sympy.Integer(0), Read(gate.target, head.args[1].subscripts))
    return replace(equation, body=rebuild(equation.body, changes)) if changes else equation
