"""A clock for compiled code: what a profile puts around each call of a kernel. No emitted module carries it along.

`clocks` is an array of whole numbers with a row for each call site: nanoseconds, calls, multiply-adds. Its row 0 is the
clock's own: what the system wrote last, and when `mark` was called last.
"""

import ctypes
import sys
import time
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite.binding import add_symbol
from numba import njit, types
from numba.extending import overload, register_jitable

Clocks = npt.NDArray[np.int64]
Matrix = npt.NDArray[Any]

COLUMNS = 3
NANOSECONDS, CALLS, MULTIPLY_ADDS = range(COLUMNS)
MARKED = 2
"""In row 0, behind the two numbers that the system's clock writes."""
SYMBOL = "gradc_clock"
TRIES = 1000

part = register_jitable(error_model="numpy", nogil=True, _nrt=False)
"""As the kernels of an emitted module are: compiled into what calls it, and counting no arrays."""


def now(clocks: Clocks) -> int:
    """Nanoseconds by a clock that never goes back."""
    return time.perf_counter_ns()


@overload(now)
def compiled_now(clocks: Any) -> Any:
    """The same in compiled code, by a call of the system's clock."""
    if sys.platform == "win32":
        counter: Any = types.ExternalFunction(SYMBOL, types.intc(types.intp))
        ticks = ctypes.c_int64()
        ctypes.WinDLL("kernel32").QueryPerformanceFrequency(ctypes.byref(ticks))
        tick = 1_000_000_000 // ticks.value

        def counted(clocks: Any) -> Any:
            counter(clocks.ctypes.data)
            return clocks[0, 0] * tick

        return counted
    clock: Any = types.ExternalFunction(SYMBOL, types.intc(types.intc, types.intp))
    steady = time.CLOCK_MONOTONIC

    def read(clocks: Any) -> Any:
        clock(steady, clocks.ctypes.data)
        return clocks[0, 0] * 1_000_000_000 + clocks[0, 1]

    return read


@part
def mark(clocks: Clocks) -> None:
    """From here on time counts for the site that `lap` names next."""
    clocks[0, MARKED] = now(clocks)


@part
def lap(clocks: Clocks, site: int) -> None:
    """Counts one call of a site, and the time since the mark."""
    clocks[site, NANOSECONDS] += now(clocks) - clocks[0, MARKED]
    clocks[site, CALLS] += 1


@part
def multiplied(clocks: Clocks, site: int, a: Matrix, out: Matrix) -> None:
    """Counts what a product `out = a @ b` does, or the sum of those of two stacks."""
    clocks[site, MULTIPLY_ADDS] += a.size * out.shape[1]


def looked(clocks: Clocks, count: int) -> None:
    """As many calls of nothing."""
    for _ in range(count):
        mark(clocks)
        lap(clocks, 1)


def cost() -> float:
    """Nanoseconds that the clock itself adds to what it times."""
    clocks, compiled = np.zeros((2, COLUMNS), np.int64), njit(nogil=True)(looked)
    compiled(clocks, 1)
    clocks[...] = 0
    compiled(clocks, TRIES)
    return float(clocks[1, NANOSECONDS]) / TRIES


def address() -> int | None:
    """Where the system's clock is: a function that writes the time to a place that it is given."""
    if sys.platform == "win32":
        return ctypes.cast(ctypes.WinDLL("kernel32").QueryPerformanceCounter, ctypes.c_void_p).value
    return ctypes.cast(ctypes.CDLL(None).clock_gettime, ctypes.c_void_p).value


add_symbol(SYMBOL, address())
