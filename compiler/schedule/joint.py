"""Products that all workers make together in predictions: those of few rows with a large matrix. What they read of the
examples has to lie in one place for all workers; all else is made row by row.
"""

from gradc.graph.nodes import Graph

from .costs import FEWEST_ROWS, JOINT_TERMS, JOINT_WEIGHTS, JOINT_WORK, SHARDED_WORK, USUAL_BATCH
from .few import is_with_large, numbers_of_large
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
    weights = sum(numbers_of_large(gemm, graph) for gemm in joint)
    return (rows, joint) if FEWEST_ROWS * weights >= 2 * JOINT_WORK else None


def is_joint(gemm: Gemm, graph: Graph, rows: Rows) -> bool:
    """Whether a product is one of rows of examples, which lie one after the other, and a large matrix without any."""
    return is_with_large(gemm, graph, rows.extent, JOINT_WEIGHTS, JOINT_TERMS)


def common_to(joint: tuple[Gemm, ...], graph: Graph) -> frozenset[str]:
    """The computed tensors that they read of the rows of all."""
    return frozenset(gemm.a.tensor for gemm in joint if gemm.a.tensor in graph.writers)
