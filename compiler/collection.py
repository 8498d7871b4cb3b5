"""Python's collector of cycles, which rests while a compiler works.

What a compiler makes is in use until it is done: to look, over and over, for what is not takes a tenth of its time.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def resting() -> Iterator[None]:
    """Nothing is collected inside of it; memory without cycles is freed as always."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
