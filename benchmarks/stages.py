"""How long each stage of the compiler takes for a model, in a fresh process: `python -m benchmarks.stages MODEL`.

It wraps the stages that `gradc.stages` calls in clocks, emits the model twice and writes one line of JSON: seconds
by stage, first time and again, and the seconds that importing the compiler takes.
"""

import json
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

STAGES = {
    "load": "text to syntax",
    "elaborate_both": "names, extents, proofs",
    "lower": "graph",
    "stabilise": "stabilise",
    "gradient": "gradient",
    "simplify": "simplify",
    "schedule": "schedule",
    "emit_module": "source",
}


def timed(text: str, file: str, compiler: Any) -> dict[str, float]:
    """Seconds by stage of one `emit`. "all" is the whole; what the stages leave of it is the pipeline's own."""
    seconds = dict.fromkeys(STAGES, 0.0)
    with ExitStack() as patches:
        for name in STAGES:
            patches.enter_context(patch.object(compiler, name, _clocked(name, getattr(compiler, name), seconds)))
        start = time.perf_counter()
        compiler.emit(text, file=file)
        seconds["all"] = time.perf_counter() - start
    return seconds


def _clocked(name: str, stage: Callable[..., Any], seconds: dict[str, float]) -> Callable[..., Any]:
    def clocked(*arguments: Any, **named: Any) -> Any:
        start = time.perf_counter()
        try:
            return stage(*arguments, **named)
        finally:
            seconds[name] += time.perf_counter() - start

    return clocked


def main() -> None:
    """The command."""
    start = time.perf_counter()
    from gradc import stages  # imported here: the time this takes is one of the results

    imported = time.perf_counter() - start
    file = Path(sys.argv[1])
    text = file.read_text(encoding="utf-8")
    first, again = (timed(text, str(file), stages) for _ in range(2))
    sys.stdout.write(json.dumps({"import": imported, "first": first, "again": again}) + "\n")


if __name__ == "__main__":
    main()
