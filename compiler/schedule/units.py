"""Indices that take one value alone are that value: no loop runs once.

    y[b, o] = Σ_k h[b, k]·w[k, o]    o < 1        becomes        y[b, 0] = Σ_k h[b, k]·w[k, 0]
"""

from dataclasses import replace

from gradc.graph.index import IndexExpr
from gradc.graph.nodes import Equation, substitute


def without_unit_indices(equation: Equation) -> Equation:
    """The equation with every index of extent 1 replaced by its value."""
    values: dict[str, IndexExpr] = {i.name: i.low for i in equation.indices if i.extent.constant == 1}
    if not values:
        return equation
    return replace(
        equation,
        write=tuple(place.substitute(values) for place in equation.write),
        indices=tuple(i for i in equation.indices if i.name not in values),
        guards=tuple(guard.substitute(values) for guard in equation.guards),
        body=substitute(equation.body, values),
    )
