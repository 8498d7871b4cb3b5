"""A call in another process, while this one gets Numba ready.

The compiler takes a second to load, Numba another until it has compiled its first function, and neither needs the
other: on two processors a model's first step is that second earlier. The other process is this Python, with this
`sys.path`; function, arguments and outcome go through pipes. Where there is no such process, the call is made here.
"""

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import Any, TypeVar

from gradc.errors import GradcError

from .ready import get_numba_ready

Result = TypeVar("Result")

ANSWER = "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); pickle.load(sys.stdin.buffer)()"


def aside(function: Callable[..., Result], *arguments: Any) -> Result:
    """function(*arguments), which does not print. Function, arguments and result can be pickled.

    Raises:
        GradcError: as the function does.
    """
    # a program that Python is embedded in may call itself sys.executable
    if not Path(sys.executable or "").stem.startswith("python") or _processors() == 1:
        return function(*arguments)
    # -I: neither the environment nor the current folder may bring in other modules than this process has
    command = [sys.executable, "-I", *(["-B"] if sys.dont_write_bytecode else []), "-c", ANSWER]
    request = pickle.dumps(sys.path) + pickle.dumps(_Answer(function, arguments))
    try:
        process = subprocess.Popen(command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL)
    except OSError:
        return function(*arguments)
    with process:
        try:
            outcome = _talk(process, request)
        except BaseException:
            process.kill()
            raise
    if process.returncode:  # it was ended, or found a bug of ours: what there is to see is seen here
        return function(*arguments)
    result: Result | GradcError = pickle.loads(outcome)
    if isinstance(result, GradcError):
        raise result
    return result


def _talk(process: "subprocess.Popen[bytes]", request: bytes) -> bytes:
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(request)
        process.stdin.close()
    except OSError:
        return b""  # it has ended; its exit code says so
    get_numba_ready()
    return process.stdout.read()


class _Answer:
    """Made into a call by the process that unpickles it and calls it: it writes there what came out."""

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self.function, self.arguments = function, arguments

    def __call__(self) -> None:
        # Ctrl-C goes to both processes; the one that the user knows of ends the other
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            outcome: Any = self.function(*self.arguments)
        except GradcError as error:
            outcome = error
        sys.stdout.buffer.write(pickle.dumps(outcome))


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
