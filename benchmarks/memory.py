"""How much memory this process has taken: the most since it was asked to count anew, in megabytes (2^20 bytes).

Linux tells it of the process alone, and can forget an earlier peak, such as that of an import. Elsewhere it is the peak
since the process began.
"""

import re
import resource
import sys
from pathlib import Path

STATUS = Path("/proc/self/status")
FORGET = Path("/proc/self/clear_refs")


def restart() -> float:
    """Counts anew; what the process has now."""
    if not STATUS.exists():
        return peak()
    try:
        FORGET.write_text("5")
    except OSError:  # it may not: then the peak is that since the process began
        return _of_status("VmHWM")
    return _of_status("VmRSS")


def peak() -> float:
    """The most that it has had since then."""
    if STATUS.exists():
        return _of_status("VmHWM")
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 2**20 if sys.platform == "darwin" else most / 2**10


def _of_status(name: str) -> float:
    match = re.search(rf"{name}:\s+(\d+) kB", STATUS.read_text())
    return int(match[1]) / 2**10 if match else float("nan")
