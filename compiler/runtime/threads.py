"""How many threads a step may have, by what the environment says: text -> a number, or an error that shows the text.

Emitted modules read the same variable at every call; here it is looked at before anything is compiled.
"""

import os

from gradc.errors import fail

THREADS = "GRADC_THREADS"


def threads_of_steps() -> int:
    """How many threads a step may have.

    Raises:
        GradcError: the environment says no number.
    """
    said = os.environ.get(THREADS) or str(processors())
    if not said.isdecimal() or int(said) < 1:
        raise fail("bad-threads", f"{THREADS} is a whole number of at least 1, not {said!r}", f"unset {THREADS}")
    return int(said)


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
