"""Factors of a product, by the indices that they mention."""

from dataclasses import dataclass

import sympy

from gradc.graph.index import ONE, IndexExpr
from gradc.graph.nodes import Guard


@dataclass(frozen=True, slots=True)
class Factor:
    """A part of a product, and the indices it mentions."""

    body: sympy.Expr
    indices: frozenset[str]
    guards: tuple[Guard, ...] = ()


def grouped(factors: list[Factor]) -> list[Factor]:
    """Factors over the same indices as one; a factor joins the largest one that has all its indices."""
    groups: dict[frozenset[str], list[sympy.Expr]] = {}
    for factor in factors:
        groups.setdefault(factor.indices, []).append(factor.body)
    if len(groups) > 2:  # noqa: PLR2004  (a product has two factors)
        for small in sorted((g for g in groups if g), key=len):
            larger = [g for g in groups if small < g]
            if larger and len(groups) > 2:  # noqa: PLR2004
                groups[max(larger, key=len)] += groups.pop(small)
    return [Factor(bodies[0] if len(bodies) == 1 else sympy.Mul(*bodies), own) for own, bodies in groups.items()]


def at_least(extents: tuple[IndexExpr, ...], least: int, free: bool = True) -> bool:
    """Whether the product of the extents is at least this; a free dim counts as large, or not at all."""
    if not extents:
        return False
    product = ONE
    for extent in extents:
        product *= extent
    return free if product.constant is None else product.constant >= least
