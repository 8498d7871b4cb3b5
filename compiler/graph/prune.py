"""Dead code: what no output needs."""

from .nodes import Graph


def pruned(graph: Graph) -> Graph:
    """The graph with only what its outputs need, and all its leaves."""
    alive: set[str] = set()
    waiting = list(graph.outputs.values())
    while waiting:
        name = waiting.pop()
        if name not in alive:
            alive.add(name)
            waiting += graph.needs(name)
    tensors = {name: t for name, t in graph.tensors.items() if name in alive or t.role is not None}
    return Graph(tensors, tuple(eq for eq in graph.equations if eq.target in alive), graph.outputs)
