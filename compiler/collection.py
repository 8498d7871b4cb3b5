"""Python's collector of cycles, which rests while a compiler works.

What a compiler makes is in use until it is done: to look, over and over, for what is not takes a tenth of its time.
"""

import gc
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache


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


@cache
def rest_while_numba_compiles() -> None:
    """From now on it rests whenever Numba compiles in this process. Numba compiles in one thread at a time."""
    from numba.core import event

    class Rest(event.Listener):
        def __init__(self) -> None:
            self.compiling: list[ExitStack] = []

        def on_start(self, _: event.Event) -> None:
            self.compiling.append(ExitStack())
            self.compiling[-1].enter_context(resting())

        def on_end(self, _: event.Event) -> None:
            self.compiling.pop().close()

    event.register("numba:compile", Rest())  # type: ignore[no-untyped-call]
