"""Indices that take one value alone are that value: no loop runs once.

    y[b, o] = Σ_k h[b, k]·w[k, o]    o < 1        becomes        y[b, 0] = Σ_k h[b, k]·w[k, 0]

What is left of a reduction over nothing else is its body; of an argmax, place 0.
"""

from dataclasses import replace

from sympy import Integer

from gradc.graph.index import IndexExpr
from gradc.graph.nodes import Equation, Reducer, substitute


def without_unit_indices(equation: Equation) -> Equation:
    """The equation with every index of extent 1 replaced by its value."""
    values: dict[str, IndexExpr] = {i.name: i.low for i in equation.indices if i.extent.constant == 1}
    if values:
        equation = replace(
            equation,
            write=tuple(place.substitute(values) for place in equation.write),
            indices=tuple(i for i in equation.indices if i.name not in values),
            guards=tuple(guard.substitute(values) for guard in equation.guards),
            body=substitute(equation.body, values),
        )
    if equation.reducer is Reducer.SUM or equation.reduced:
        return equation
    found = Integer(0) if equation.reducer in (Reducer.ARGMAX, Reducer.ARGMIN) else equation.body
    return replace(equation, reducer=Reducer.SUM, body=found)
