"""Numba made ready: what it sets up when it first compiles an array, a loop, a call, an exception.

It takes about a second, once in a process. The functions are of the kind that emitted modules consist of; nobody calls
them again. They are compiled with the options of emitted modules: what Numba makes of `max`, or of a number's bits as
another type, it keeps for those who ask with the same.
"""

from functools import cache
from typing import Any

import numpy as np

from gradc.collection import resting

from .interface import Array

FAST = {"arcp", "contract", "nsz", "reassoc"}
PLAIN: dict[str, Any] = {"error_model": "numpy", "nogil": True, "_nrt": False}
BARE: dict[str, Any] = {**PLAIN, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}


@cache
def get_numba_ready() -> None:
    """Compiles a kernel, a vector function and an entry. Without the JIT there is nothing to do."""
    with resting():
        from numba import njit
        from numba.extending import register_jitable

        vector = register_jitable(fastmath={"contract"}, forceinline=True, **BARE)(_vector)

        def kernel(numbers: Array, sums: Array) -> Any:
            rows = numbers.shape[0]
            total = np.float32(0.0)
            sums[:] = np.float32(0.0)
            for b in range(rows):
                best = np.float32(-np.inf)
                for i in range(2):
                    best = max(best, numbers[b, i])
                    numbers[b, i] = vector(numbers[b, i]) / np.float32(rows)
                    sums[i] += numbers[b, i]
                total += np.sqrt(abs(best)) if best < np.float32(np.inf) else best
            return total

        inner = register_jitable(fastmath=FAST, forceinline=False, **BARE)(kernel)

        def entry(numbers: Array, places: Array, step: int) -> tuple[int, Any]:
            if numbers.size != places.size * 2:
                raise ValueError("of another size")
            rows = numbers.shape[0]
            for b in range(rows):
                if places[b] < 0 or places[b] >= rows:
                    return b, 0.9 ** float(step)
            places[places[0]] -= 1
            return -1, inner(numbers, numbers[0])

        njit(entry, fastmath=FAST, **PLAIN)(np.zeros((1, 2), np.float32), np.zeros(1, np.int64), 1)


def _vector(x: Any) -> Any:
    """The operations of the vector functions: bounds, rounding by a large sum, a number's bits."""
    y = min(max(x, np.float32(-100.0)), np.float32(100.0))
    shifted = np.float32(y + np.float32(12582912.0))
    bits = shifted.view(np.int32) - np.int32(0x4B400000)
    power = np.int32(((bits >> np.int32(1)) + np.int32(127)) << np.int32(23)).view(np.float32)
    return np.float32(np.inf) if x > np.float32(88.0) else y * power
