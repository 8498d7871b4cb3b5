"""Dead code: what no output needs."""

from collections.abc import Callable, Iterable

from .nodes import Graph


def pruned(graph: Graph) -> Graph:
    """The graph with only what its outputs need, and all its leaves."""
    alive = needed(graph.outputs.values(), graph.needs)
    tensors = {name: t for name, t in graph.tensors.items() if name in alive or t.role is not None}
    return Graph(tensors, tuple(eq for eq in graph.equations if eq.target in alive), graph.outputs)


def needed(outputs: Iterable[str], needs: Callable[[str], Iterable[str]]) -> set[str]:
    """These tensors, and all that they are computed from, one from the other."""
    alive: set[str] = set()
    waiting = list(outputs)
    while waiting:
        name = waiting.pop()
        if name not in alive:
            alive.add(name)
            waiting += needs(name)
    return alive
