"""The row's matrix products alone, by NumPy's BLAS: what no training step that uses it can be faster than."""

import numpy as np

from benchmarks.row import Array, Row

from . import Arrays, Peer, nothing


def peers(row: Row, arrays: Arrays) -> dict[str, Peer]:
    """All products of a step, one after the other."""
    operands = {sizes: _operands(*sizes) for sizes in row.products}
    # the steps of a recurrence share their weights, so products of the same sizes share their operands
    products = [(np.dot if len(sizes) == 3 else np.matmul, *operands[sizes]) for sizes in row.products]

    def step() -> float:
        for product, a, b, out in products:
            product(a, b, out)
        return 0.0

    return {"": Peer(step, float, nothing, float)}


def _operands(*sizes: int) -> tuple[Array, Array, Array]:
    *batch, m, n, k = sizes
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((*batch, m, k), np.float32), rng.standard_normal((*batch, k, n), np.float32)
    return a, b, np.empty((*batch, m, n), np.float32)
