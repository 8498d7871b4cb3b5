"""Windows that scatter, as windows that gather: the gradient of a convolution is one, with the window turned round."""

from collections.abc import Mapping
from dataclasses import replace

from gradc.graph.index import ONE, ZERO, IndexExpr, index
from gradc.graph.nodes import Equation, Guard, Relation, Tensor, substitute
from gradc.graph.ranges import Ranges
from gradc.graph.tensors import Index


def gathered(equation: Equation, tensors: Mapping[str, Tensor], fixed: frozenset[str]) -> Equation | None:
    """The equation with an index for each axis of its target, if for each there is one place that comes to it.

    y[i + u - 1] = Σ x[i]·w[u]     becomes     y[i] = Σ x[i - u + 1]·w[u] where i - u + 1 is a place of x

    Args:
        fixed: the indices of loops around, whose axes stay as they are.
    """
    extents = tensors[equation.target].extents
    indices = {i.name: i for i in equation.indices}
    moved: dict[str, IndexExpr] = {}
    guards = list(equation.guards)
    for at, (place, extent) in enumerate(zip(equation.write, extents, strict=True)):
        name = longest(place, equation)
        if place.bare is not None or not name or fixed & set(place.indices):
            continue
        elsewhere = {other for k, p in enumerate(equation.write) if k != at for other in p.indices}
        if place.coefficient(name) != ONE or name in elsewhere:
            return None
        moved[name] = index(name) - (place - index(name))
        guards += [Guard(value, Relation.AT_LEAST) for value in _within(indices[name])]
        indices[name] = Index(name, ZERO, extent)
    if any(moved.keys() & set(value.indices) - {name} for name, value in moved.items()):
        return None
    ranges = Ranges({i.name: (i.low, i.high) for i in indices.values()})
    kept = (guard.substitute(moved) for guard in dict.fromkeys(guards))
    return replace(
        equation,
        write=tuple(place.substitute(moved) for place in equation.write),
        indices=tuple(indices.values()),
        guards=tuple(g for g in kept if g.relation is not Relation.AT_LEAST or not ranges.nonnegative(g.value)),
        body=substitute(equation.body, moved),
    )


def longest(place: IndexExpr, equation: Equation) -> str | None:
    """Of the indices that run along an axis the one of most values: the others are the window's own."""
    sizes = {i.name: i.extent.constant for i in equation.indices}
    return max(sorted(place.indices), key=lambda name: sizes[name] or float("inf"), default=None)


def _within(loop: Index) -> tuple[IndexExpr, IndexExpr]:
    """What is at least 0 where an index is in its range."""
    return index(loop.name) - loop.low, loop.high - 1 - index(loop.name)
