"""Graph → program: expand reducers, find products, fuse the rest into nests, give every tensor a place."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import groupby

from gradc.graph.index import index
from gradc.graph.nodes import Equation, Graph, Read, Tensor
from gradc.graph.prune import pruned
from gradc.graph.recurrence import Ordered, Recurrence, arrange, equations_in

from .contract import contract
from .costs import SHARDED_WORK
from .expand import expand
from .fuse import Decided, fuse
from .hoist import hoist_scalars
from .joint import common_to, rows_with_joint
from .keep import gate_by_results
from .matrices import outside_of_loops
from .memory import place_buffers
from .program import Gemm, Program, axis_of_parts, runs_whole
from .shard import rows_in, work_per_row
from .units import without_unit_indices
from .zeros import filled, with_beginnings, with_zeros


def schedule(graph: Graph, in_place: Mapping[str, str] | None = None, *, share: bool = True, rows: int = 0,
             in_parts: bool = False) -> Program:  # fmt: skip
    """The program of a graph. Its outputs are what the caller holds: arrays passed in, scalars returned.

    Args:
        in_place: labels of outputs that are written where a leaf lies, each with its leaf: an optimizer's next values.
        share: whether tensors may lie in each other's place once it is free; tests switch it off.
        rows: how many a batch has, of a program that may run in shards: where that is worth it, what comes after all
            rows comes last.
        in_parts: whether workers may make predictions together: then what all of them read lies in one place.
    """
    graph, in_place = with_stores(graph, in_place or {})
    graph = with_own_outputs(with_zeros(graph))
    graph, loops = with_common_indices(hoist_scalars(gate_by_results(pruned(expand(graph)))))
    contracted = contract(graph, loops)
    packings = set(contracted.packed.values())
    arranged = [item for item in _arranged(contracted.graph) if item not in packings]
    graph, items = with_beginnings(contracted.graph, arranged)
    early = _scalars_of_leaves(graph)
    items.sort(key=lambda item: (_is_store(item), _is_late(item, early)))
    products = _in_their_loops(contracted.products, items, graph.tensors)
    stepping = {loop.index.name for _, around in equations_in(items) for loop in around}
    found_parts = {name: axis_of_parts(each, graph.tensors[name], stepping) for name, each in graph.writers.items()}
    parts = {name: axis for name, axis in found_parts.items() if axis is not None}
    steps = fuse(items, Decided(products, contracted.packed, in_place, graph.tensors, parts))
    found = rows_with_joint(graph, steps) if in_parts else None
    if found is not None:
        made = place_buffers(graph, steps, graph.outputs.values(), in_place, share, common_to(found[1], graph))
        return replace(made, in_shards=True)
    cut = rows_in(graph, steps) if rows else None
    if cut is None or work_per_row(cut) * rows < SHARDED_WORK:
        return place_buffers(graph, steps, graph.outputs.values(), in_place, share)
    whole = place_buffers(graph, cut.in_order, graph.outputs.values(), in_place, share, cut.common)
    return replace(whole, in_shards=True)


def with_common_indices(graph: Graph) -> tuple[Graph, dict[Equation, frozenset[str]]]:
    """The graph with the equations of each recurrence in terms of the index of its loop, and for each the indices of
    the loops around it. Nothing runs over an index that has but one value."""
    graph = graph.with_equations(tuple(map(without_unit_indices, graph.equations)))
    if all(len(names) == 1 and not _reads_itself(names[0], graph) for names in graph.cycles):
        return graph, {}
    around = list(equations_in(arrange(graph)))
    loops = {eq: frozenset(loop.index.name for loop in outer) for eq, outer in around if outer}
    return graph.with_equations(tuple(equation for equation, _ in around)), loops


def _reads_itself(name: str, graph: Graph) -> bool:
    return any(name in equation.sources() for equation in graph.writers[name])


def _arranged(graph: Graph) -> list[Ordered]:
    """Equations and recurrences in order; of the equations of a tensor one that writes every place first: then nothing
    has to be zeroed."""
    groups = groupby(arrange(graph), lambda item: item.target if isinstance(item, Equation) else id(item))
    return [item for _, group in groups for item in _covering_first(list(group), graph)]


def _in_their_loops(products: Mapping[Equation, Gemm], items: Iterable[Ordered], tensors: Mapping[str, Tensor]) -> (
    dict[Equation, Gemm]
):  # fmt: skip
    """The products among the equations in order: where one of a sum needs less than the others, fewer loops are around
    it than around the sum as a whole, in which it was found."""
    found: dict[Equation, Gemm] = {}
    for equation, around in equations_in(items):
        if equation in products:
            made = outside_of_loops(products[equation], {loop.index.name for loop in around}, tensors)
            found |= {equation: made} if made is not None else {}
    return found


def _covering_first(items: list[Ordered], graph: Graph) -> list[Ordered]:
    return sorted(items, key=lambda item: not _covers(item, graph)) if len(items) > 1 else items


def _covers(item: Ordered, graph: Graph) -> bool:
    return isinstance(item, Equation) and covers(item, graph)


def _is_late(item: Ordered, early: set[str]) -> bool:
    return isinstance(item, Recurrence) or item.target not in early


def _scalars_of_leaves(graph: Graph) -> set[str]:
    """Scalars computed from leaves and each other alone, such as 1 - 0.9^t: loops come after them."""
    found: set[str] = set()
    for name in graph.order:
        writers = graph.writers[name]
        known = all(s in found or graph.tensors[s].role is not None for eq in writers for s in eq.sources())
        if known and not any(eq.indices for eq in writers):
            found.add(name)
    return found


def _is_store(item: Ordered) -> bool:
    return isinstance(item, Equation) and "store" in item.origin.trail


def with_stores(graph: Graph, in_place: Mapping[str, str]) -> tuple[Graph, dict[str, str]]:
    """Every output that takes a leaf's place is computed first and stored last: by then all have read the old value.

    p.next[n] = p[n] - …      becomes      p.next[n] = p[n] - …;  p.store[n] = p.next[n]

    What another leaf held is copied first: its own store may come before this one.
    """
    tensors, equations, outputs = dict(graph.tensors), list(graph.equations), dict(graph.outputs)
    stores: dict[str, str] = {}
    for label, name in graph.outputs.items():
        leaf = in_place.get(label)
        if leaf is None:
            continue
        if leaf == name:  # it stays what it is
            del outputs[label]
            continue
        shape = replace(graph.tensors[leaf], role=None)
        if graph.tensors[name].role is not None:
            name, source = f"{leaf}.taken", name
            tensors[name] = replace(shape, name=name)
            equations.append(_copy(graph, source, name))
        store = f"{leaf}.store"
        tensors[store] = replace(shape, name=store)
        made = _copy(Graph(tensors, (), {}), name, store)
        equations.append(replace(made, origin=made.origin.after("store")))
        outputs[label] = store
        stores[store] = leaf
    return Graph(tensors, tuple(equations), outputs), stores


def with_own_outputs(graph: Graph) -> Graph:
    """Every array handed out is a tensor of its own: no input, and none handed out under two names."""
    tensors, equations = dict(graph.tensors), list(graph.equations)
    outputs: dict[str, str] = {}
    for label, name in graph.outputs.items():
        tensor = graph.tensors[name]
        if name in outputs.values() or tensor.role is not None:
            copy = f"{name}.copy_{len(outputs)}"
            tensors[copy] = replace(tensor, name=copy, role=None)
            equations.append(_copy(graph, name, copy))
            name = copy
        outputs[label] = name
    return Graph(tensors, tuple(equations), outputs)


def _copy(graph: Graph, source: str, target: str) -> Equation:
    """The equation that copies a tensor."""
    place = tuple(index(f"i{at}") for at in range(len(graph.tensors[source].axes)))
    return replace(filled(graph, source, Read(source, place)), target=target)


def covers(equation: Equation, graph: Graph) -> bool:
    """Whether an equation writes every place of its target: bare indices, whole ranges, no guards."""
    extents = graph.tensors[equation.target].extents
    pairs = zip(equation.write, extents, strict=True)
    axes = [(place, extent) for place, extent in pairs if place.terms or extent.constant != 1]
    return not equation.guards and runs_whole(equation, axes)
