"""Ctrl-C that waits for a good moment: the first press sets a flag, the second ends at once."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass(slots=True)
class Interrupt:
    """Whether Ctrl-C was pressed."""

    requested: bool = False


@contextmanager
def interruptible() -> Iterator[Interrupt]:
    """Ctrl-C inside sets a flag, for the loop to end after its step; a second one ends at once, as usual.

    Only the main thread can catch it, and a program with a handler of its own keeps it, but one that wraps Python's.
    """
    interrupt = Interrupt()
    own = threading.current_thread() is threading.main_thread()
    usual = signal.getsignal(signal.SIGINT)
    if not own or getattr(usual, "__wrapped__", usual) is not signal.default_int_handler:
        yield interrupt
        return

    def first(number: int, frame: FrameType | None) -> None:
        interrupt.requested = True
        signal.signal(signal.SIGINT, usual)

    signal.signal(signal.SIGINT, first)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, usual)
