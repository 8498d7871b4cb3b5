"""What a call costs."""

import time
from collections.abc import Callable

SECONDS = 0.05
"""For each function: its least time of many calls."""


def cost(call: Callable[[], object], numbers: int) -> float:
    """Nanoseconds a number."""
    least, end = float("inf"), time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        start = time.perf_counter()
        call()
        least = min(least, time.perf_counter() - start)
    return least / numbers * 1e9
