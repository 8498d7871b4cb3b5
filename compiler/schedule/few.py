"""Products of few rows of examples with a large matrix that has none, reading which is what takes time: workers make
such a product together, each by a part of the matrix.

    h[b, j] = Σ_i x[b, i] w[i, j]        becomes        of i in first .. last - 1 the terms, for all b; then, of its own
                                                        rows b, the sum of what all have

What such a product reads of the examples has to lie in one place for all workers.
"""

import math
from collections.abc import Iterable

from gradc.graph.index import ONE, IndexExpr
from gradc.graph.nodes import Graph

from .program import Gemm


def is_with_large(gemm: Gemm, graph: Graph, extent: IndexExpr, least: int, terms_a_row: int) -> bool:
    """Whether a product is one of rows along this extent, which lie one after the other, and a matrix without any.

    Args:
        least: how many numbers the matrix has at least.
        terms_a_row: terms for each row up to which rows are few: each example has at most so many.
    """
    if gemm.batch or gemm.equation.guards or not gemm.starts or gemm.a.window or gemm.b.window or gemm.a.transposed:
        return False
    tensors = graph.tensors
    if any(tensors[each.tensor].extents[:1] != (extent,) for each in (gemm.a, gemm.out)):
        return False
    if any(each.rows[:1] != (each.subscripts[0].bare,) for each in (gemm.a, gemm.out)):
        return False
    if any(set(extent.dims) & set(size.dims) for size in tensors[gemm.b.tensor].extents):
        return False
    extents = {i.name: i.extent for i in gemm.equation.indices}
    terms, beside = (
        math.prod((extents[name] for name in names), start=ONE).constant for names in (gemm.a.columns, gemm.a.rows[1:])
    )
    return numbers_of_large(gemm, graph) >= least and terms is not None and terms_a_row * (beside or 1) <= terms


def numbers_of_large(gemm: Gemm, graph: Graph) -> int:
    """How many numbers the matrix has."""
    return math.prod(graph.tensors[gemm.b.tensor].extents, start=ONE).constant or 0


def most_sums(products: Iterable[Gemm], terms_a_row: int) -> int:
    """The most numbers that a worker has of such a product: where it has more rows, workers make their own."""
    sizes = (_size(gemm, gemm.b.rows) * _size(gemm, gemm.b.columns) for gemm in products)
    return max((size.constant or 0) // terms_a_row for size in sizes)


def _size(gemm: Gemm, names: Iterable[str]) -> IndexExpr:
    extents = {i.name: i.extent for i in gemm.equation.indices}
    return math.prod((extents[name] for name in names), start=ONE)
