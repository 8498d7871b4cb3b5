"""What a table must say about where it was measured: processor, cores, versions, date, and how busy the machine was."""

import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from datetime import date
from pathlib import Path

VERSION_OF = "import sys; from importlib.metadata import version; print(version(sys.argv[1]))"


@dataclass(frozen=True, slots=True)
class Machine:
    """Where and when."""

    processor: str
    cores: int
    system: str
    python: str
    date: str
    load: float

    @property
    def busy(self) -> bool:
        """Whether other work ran: then threads wait for each other, and the figures say little."""
        return self.load > self.cores / 2

    def __str__(self) -> str:
        return f"{self.processor}, {self.cores} cores, {self.system}, Python {self.python}, {self.date}"


def this_machine() -> Machine:
    """The one that this runs on. `load`: how many processes wanted a core in the last minute, so ask before timing."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    today = date.today().isoformat()
    return Machine(processor(), cores, platform.system(), platform.python_version(), today, load)


def processor() -> str:
    """The processor's model, as the system calls it."""
    listed = Path("/proc/cpuinfo")
    if listed.exists():
        for line in listed.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    if sys.platform == "darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return platform.processor() or platform.machine()


def installed(package: str, python: str) -> str | None:
    """The version of a package in some Python's environment, if it is there."""
    command = [python, "-c", VERSION_OF, package]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return answer.stdout.strip() if answer.returncode == 0 else None
