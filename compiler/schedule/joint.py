"""Products that all workers make together in predictions: those of few rows with a large matrix, reading which is what
takes time. Each worker reads a part of the matrix, and so makes some terms of the sums of all rows.

    h[b, j] = Σ_i x[b, i] w[i, j]        becomes        of i in first .. last - 1 the terms, for all b; then, of its own
                                                        rows b, the sum of what all have

What such a product reads of the examples has to lie in one place for all workers; all else is made row by row.
"""

import math

from gradc.graph.index import ONE
from gradc.graph.nodes import Graph

from .costs import FEWEST_ROWS, JOINT_TERMS, JOINT_WEIGHTS, JOINT_WORK, SHARDED_WORK, USUAL_BATCH
from .program import Gemm, Step
from .shard import Rows, row_by_row, work_per_row


def rows_with_joint(graph: Graph, steps: tuple[Step, ...]) -> tuple[Rows, tuple[Gemm, ...]] | None:
    """How these steps are cut into rows, and which of their products all make together; None where there is neither,
    where they are not worth it, and where the number of rows is a limit of numbers that are given."""
    rows = row_by_row(graph, steps)
    if rows is None or work_per_row(rows) * USUAL_BATCH < SHARDED_WORK:
        return None
    limits = (tensor.bounds.high for tensor in graph.tensors.values() if tensor.role and tensor.bounds is not None)
    if any(rows.dim in limit.dims for limit in limits):
        return None
    joint = tuple(step for step in steps if isinstance(step, Gemm) and is_joint(step, graph, rows))
    return (rows, joint) if FEWEST_ROWS * sum(_weights(gemm, graph) for gemm in joint) >= 2 * JOINT_WORK else None


def is_joint(gemm: Gemm, graph: Graph, rows: Rows) -> bool:
    """Whether a product is one of rows of examples, which lie one after the other, and a large matrix without any."""
    if gemm.batch or gemm.equation.guards or not gemm.starts or gemm.a.window or gemm.b.window or gemm.a.transposed:
        return False
    tensors = graph.tensors
    if any(tensors[each.tensor].extents[:1] != (rows.extent,) for each in (gemm.a, gemm.out)):
        return False
    if any(each.rows[:1] != (each.subscripts[0].bare,) for each in (gemm.a, gemm.out)):
        return False
    if any(rows.dim in extent.dims for extent in tensors[gemm.b.tensor].extents):
        return False
    extents = {i.name: i.extent for i in gemm.equation.indices}
    terms, beside = (
        math.prod((extents[name] for name in names), start=ONE).constant for names in (gemm.a.columns, gemm.a.rows[1:])
    )
    return _weights(gemm, graph) >= JOINT_WEIGHTS and terms is not None and JOINT_TERMS * (beside or 1) <= terms


def _weights(gemm: Gemm, graph: Graph) -> int:
    """How many numbers the matrix has."""
    return math.prod(graph.tensors[gemm.b.tensor].extents, start=ONE).constant or 0


def common_to(joint: tuple[Gemm, ...], graph: Graph) -> frozenset[str]:
    """The computed tensors that they read of the rows of all."""
    return frozenset(gemm.a.tensor for gemm in joint if gemm.a.tensor in graph.writers)
