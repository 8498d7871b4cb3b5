"""`grad(y, x)` in equations: the tensors that stand for it → the equations of the derivatives, innermost first.

    ux[n] = grad(u, x)[n, 0]                 ux[n] = du.dx[n, 0]        du.dx[n, i] += du.dh[n, j] * w[i, j]  …
    uxx[n] = grad(ux, x)[n, 0]     becomes   uxx[n] = dux.dx[n, 0]      dux.dx[n, i] += …

They come of the one rule, and are differentiated by it again: of `ux` by `x`, and of the loss by the parameters.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from gradc.errors import InternalError
from gradc.graph.nodes import Equation, Graph, Read, Tensor, rebuild
from gradc.graph.tensors import Gradient

from .differentiate import gradient


@dataclass(frozen=True, slots=True)
class Expanded:
    """A graph in which no tensor stands for a gradient any more.

    Attributes:
        names: by what stood for a gradient, the tensor that holds it now.
        zeros: what stood for nothing but zeros.
    """

    graph: Graph
    names: Mapping[str, str]
    zeros: tuple[Tensor, ...]


def expanded(graph: Graph) -> Expanded:
    """The graph with equations for every `grad(y, x)`; all gradients of one tensor are made at once."""
    names: dict[str, str] = {}
    zeros: list[Tensor] = []
    while graph.gradients:
        of = _innermost(graph)
        wanted = {name: each.by for name, each in graph.gradients.items() if each.of == of}
        found = gradient(graph, of, wanted.values(), prefix=f"d{of}.d")
        made = {name: found.outputs[f"gradient {by}"] for name, by in wanted.items()}
        zeros += [graph.tensors[name] for name, other in made.items() if other not in found.writers]
        graph = _read_from(Graph(found.tensors, found.equations, graph.outputs), made)
        names |= made
    return Expanded(graph, names, tuple(zeros))


def _innermost(graph: Graph) -> str:
    """A tensor whose gradient is wanted, and that needs no other gradient."""
    for each in graph.gradients.values():
        if not _needs_gradient(graph, each.of):
            return each.of
    raise InternalError(f"{', '.join(graph.gradients)}: each needs another")


def _needs_gradient(graph: Graph, name: str) -> bool:
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        name = waiting.pop()
        if name in graph.gradients:
            return True
        if name not in seen:
            seen.add(name)
            waiting += graph.needs(name)
    return False


def _read_from(graph: Graph, names: Mapping[str, str]) -> Graph:
    """The graph without some tensors, which are read from others."""

    def named(name: str) -> str:
        return names.get(name, name)

    tensors = {name: _tensor(tensor, names) for name, tensor in graph.tensors.items() if name not in names}
    outputs = {label: named(name) for label, name in graph.outputs.items()}
    return Graph(tensors, tuple(_equation(each, names) for each in graph.equations), outputs)


def _tensor(tensor: Tensor, names: Mapping[str, str]) -> Tensor:
    if tensor.gradient is None or not names.keys() & {tensor.gradient.of, tensor.gradient.by}:
        return tensor
    of, by = tensor.gradient.of, tensor.gradient.by
    return replace(tensor, gradient=Gradient(names.get(of, of), names.get(by, by)))


def _equation(equation: Equation, names: Mapping[str, str]) -> Equation:
    changes = {read: Read(names[read.tensor], read.subscripts) for read in equation.reads if read.tensor in names}
    if not changes:
        return equation
    origin = replace(equation.origin, order=tuple(_renamed(equation.origin.order, names)))
    return replace(equation, body=rebuild(equation.body, changes), origin=origin)


def _renamed(order: Iterable[str], names: Mapping[str, str]) -> Iterable[str]:
    return (names.get(name, name) for name in order)
