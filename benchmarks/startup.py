"""The command `python -m benchmarks.startup`: the seconds from the start of a process to its first training step.

Of the digits model: gradc with an empty cache folder and with a full one, PyTorch eager, JAX jit; then the stages of
gradc's compiler. Each in fresh processes, in turn; the median and the least are written to startup.md.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from .machine import Machine, installed, this_machine
from .report import busy
from .stages import STAGES

HERE = Path(__file__).parent
MODEL = HERE.parent / "examples" / "digits.grad"
TITLES = {"torch": "PyTorch eager", "jax": "JAX jit"}
ROUNDS = 5
BATCH = 32


@dataclass(frozen=True, slots=True)
class Scratch:
    """A folder for one run: the data, and gradc's cache."""

    folder: Path

    @property
    def data(self) -> Path:
        """One batch of digits."""
        return self.folder / "batch.npz"

    def cache(self, number: int) -> Path:
        """A cache folder of its own for each number."""
        return self.folder / f"cache-{number}"


@click.command()
@click.option("--rounds", default=ROUNDS, show_default=True)
@click.option("--python", multiple=True, metavar="PEER=PATH", help="The Python that has a peer, if not this one.")
@click.option("--out", type=click.Path(path_type=Path), default=HERE, help="Folder of the results.")
def main(rounds: int, python: tuple[str, ...], out: Path) -> None:
    """Times the way to the first training step, and writes startup.md."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Scratch(Path(folder))
        rng = np.random.default_rng(0)
        np.savez(scratch.data, x=rng.random((BATCH, 64), dtype=np.float32), y=rng.integers(0, 10, BATCH))
        machine = this_machine()
        seconds = measure(scratch, rounds, dict(pair.split("=", 1) for pair in python))
        stages = stage_seconds()
    text = markdown(seconds, stages, machine)
    out.mkdir(parents=True, exist_ok=True)
    (out / "startup.md").write_text(text, encoding="utf-8")
    click.echo(text)


def measure(scratch: Scratch, rounds: int, pythons: Mapping[str, str]) -> dict[str, list[float]]:
    """Seconds from start to first step, by who. Each is run by its Python of `pythons`, or by this one."""
    found: dict[str, list[float]] = {}
    chosen = {package: pythons.get(package, sys.executable) for package in ("gradc", *TITLES)}
    for number in range(rounds):
        scripts = {"gradc, compiled anew": "gradc", "gradc, from its cache": "gradc"}
        scripts |= {title: package for package, title in TITLES.items() if installed(package, chosen[package])}
        for who, package in scripts.items():
            taken = start_to_step(package, chosen[package], scratch.data, scratch.cache(number))
            found.setdefault(who, []).append(taken)
    return found


def start_to_step(package: str, python: str, data: Path, cache: Path) -> float:
    """Runs a script of `starts/` and times it until it says that it is done.

    Raises:
        ClickException: it fails.
    """
    command = [python, str(HERE / "starts" / f"start_{package}.py"), str(data)]
    start = time.perf_counter()
    environment = {**os.environ, "GRADC_CACHE": str(cache)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        seconds = time.perf_counter() - start
    if said != "done\n":
        raise click.ClickException(f"{package} did not do its first step")
    return seconds


def stage_seconds() -> dict[str, dict[str, float]]:
    """What `stages.py` finds in a process of its own.

    Raises:
        ClickException: it fails.
    """
    command = [sys.executable, "-m", "benchmarks.stages", str(MODEL)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, cwd=HERE.parent)
    if answer.returncode != 0:
        raise click.ClickException(answer.stderr)
    found = json.loads(answer.stdout)
    return {"first": {**found["first"], "import": found["import"]}, "again": found["again"]}


def markdown(
    seconds: Mapping[str, Sequence[float]], stages: Mapping[str, Mapping[str, float]], machine: Machine
) -> str:
    """Both tables."""
    lines = ["| start of the process to the first step done, s | median | least |", "| --- | ---: | ---: |"]
    for who, runs in seconds.items():
        lines.append(f"| {who} | {statistics.median(runs):.2f} | {min(runs):.2f} |")
    lines += ["", "| stage of the compiler, ms | first in a process | again |", "| --- | ---: | ---: |"]
    first, again = stages["first"], stages["again"]
    lines.append(f"| import of the compiler, with SymPy | {1e3 * first['import']:.0f} | |")
    for name, title in STAGES.items():
        lines.append(f"| {title} | {1e3 * first[name]:.0f} | {1e3 * again[name]:.0f} |")
    lines.append(f"| text to source | {1e3 * first['all']:.0f} | {1e3 * again['all']:.0f} |")
    lines += ["", f"The digits model, batch {BATCH}. {machine}."]
    return "\n".join([*lines, *([busy(machine)] if machine.busy else []), ""])


if __name__ == "__main__":
    main()
