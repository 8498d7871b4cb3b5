"""Numba made ready: what it sets up when it first compiles an array, a loop, a call, an exception.

It takes about a second, once in a process. The functions are of the kind that emitted modules consist of; nobody calls
them again.
"""

from functools import cache
from typing import Any

import numpy as np

from .collection import resting
from .interface import Array


@cache
def get_numba_ready() -> None:
    """Compiles a kernel and an entry that calls it. Without the JIT there is nothing to do."""
    with resting():
        from numba import njit
        from numba.extending import register_jitable

        kernel = register_jitable(error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)(_kernel)

        def entry(numbers: Array, places: Array, step: int) -> tuple[int, Any]:
            if numbers.size != places.size * 2:
                raise ValueError("of another size")
            rows = numbers.shape[0]
            for b in range(rows):
                if places[b] < 0 or places[b] >= rows:
                    return b, 0.9 ** float(step)
            places[places[0]] -= 1
            return -1, kernel(numbers)

        njit(entry, error_model="numpy", nogil=True)(np.zeros((1, 2), np.float32), np.zeros(1, np.int64), 1)


def _kernel(numbers: Array) -> Any:
    rows = numbers.shape[0]
    total = np.float32(0.0)
    for b in range(rows):
        for i in range(2):
            whole = np.float32(np.int32(numbers[b, i]))
            total += max(numbers[b, i], np.float32(0.0)) * whole / np.float32(rows)
            numbers[b, i] = np.sqrt(abs(total)) if total < np.float32(np.inf) else total
    return total
