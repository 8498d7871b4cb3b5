"""The command `python -m benchmarks.startup`: the seconds from the start of a process to its first training step.

Of the digits model: gradc with an empty cache folder and with a full one, PyTorch eager, JAX jit; then the stages of
gradc's compiler. Of the rows of the benchmarks: gradc, likewise. Each in fresh processes, in turn; the median and the
least are written to startup.md.
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
from .rows import ROWS
from .run import initial
from .stages import STAGES

HERE = Path(__file__).parent
MODEL = HERE.parent / "examples" / "digits.grad"
TITLES = {"torch": "PyTorch eager", "jax": "JAX jit"}
ROUNDS = 5
ROUNDS_OF_ROWS = 2
BATCH = 32


@dataclass(frozen=True, slots=True)
class Scratch:
    """A folder for one run: the data, and gradc's cache."""

    folder: Path

    @property
    def data(self) -> Path:
        """One batch of digits."""
        return self.folder / "batch.npz"

    def cache(self, name: str) -> Path:
        """A cache folder of its own for each name."""
        return self.folder / f"cache-{name}"


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
        rows = seconds_of_rows(scratch)
        stages = stage_seconds()
    text = markdown(seconds, rows, stages, machine)
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
            files = (MODEL, scratch.data) if package == "gradc" else (scratch.data,)
            taken = start_to_step(package, chosen[package], files, scratch.cache(str(number)))
            found.setdefault(who, []).append(taken)
    return found


def seconds_of_rows(scratch: Scratch) -> dict[str, tuple[float, float]]:
    """The median seconds from start to first step of each row, compiled anew and from the cache."""
    found = {}
    for row in ROWS:
        files = scratch.folder / f"{row.name.replace('-', '_')}.grad", scratch.folder / f"{row.name}.npz"
        files[0].write_text(row.text, encoding="utf-8")
        np.savez(files[1], **initial(row).data)
        caches = [scratch.cache(f"{row.name}-{number}") for number in range(ROUNDS_OF_ROWS)]
        runs = [[start_to_step("gradc", sys.executable, files, cache) for cache in caches] for _ in ("anew", "again")]
        found[row.title] = statistics.median(runs[0]), statistics.median(runs[1])
    return found


def start_to_step(package: str, python: str, files: Sequence[Path], cache: Path) -> float:
    """Runs a script of `starts/` on these files and times it until it says that it is done.

    Raises:
        ClickException: it fails.
    """
    command = [python, str(HERE / "starts" / f"start_{package}.py"), *map(str, files)]
    start = time.perf_counter()
    environment = as_installed(GRADC_CACHE=str(cache))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        seconds = time.perf_counter() - start
    if said != "done\n":
        raise click.ClickException(f"{package} did not do its first step")
    return seconds


def as_installed(**more: str) -> dict[str, str]:
    """The environment, in which Python keeps what it compiles of the sources, as for all that is installed."""
    return {**os.environ, "PYTHONDONTWRITEBYTECODE": "", **more}


def stage_seconds() -> dict[str, dict[str, float]]:
    """What `stages.py` finds in a process of its own.

    Raises:
        ClickException: it fails.
    """
    command = [sys.executable, "-m", "benchmarks.stages", str(MODEL)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, cwd=HERE.parent, env=as_installed())
    if answer.returncode != 0:
        raise click.ClickException(answer.stderr)
    found = json.loads(answer.stdout)
    return {"first": {**found["first"], "import": found["import"]}, "again": found["again"]}


def markdown(
    seconds: Mapping[str, Sequence[float]],
    rows: Mapping[str, tuple[float, float]],
    stages: Mapping[str, Mapping[str, float]],
    machine: Machine,
) -> str:
    """The tables."""
    lines = ["| start of the process to the first step done, s | median | least |", "| --- | ---: | ---: |"]
    for who, runs in seconds.items():
        lines.append(f"| {who} | {statistics.median(runs):.2f} | {min(runs):.2f} |")
    lines += ["", "| stage of the compiler, ms | first in a process | again |", "| --- | ---: | ---: |"]
    first, again = stages["first"], stages["again"]
    lines.append(f"| import of the compiler, with SymPy | {1e3 * first['import']:.0f} | |")
    for name, title in STAGES.items():
        lines.append(f"| {title} | {1e3 * first[name]:.0f} | {1e3 * again[name]:.0f} |")
    lines.append(f"| text to source | {1e3 * first['all']:.0f} | {1e3 * again['all']:.0f} |")
    lines += ["", f"The digits model, batch {BATCH}.", ""]
    lines += ["| a row's first step, s | compiled anew | from the cache |", "| --- | ---: | ---: |"]
    lines += [f"| {title} | {anew:.2f} | {again:.2f} |" for title, (anew, again) in rows.items()]
    lines += ["", f"{machine}."]
    return "\n".join([*lines, *([busy(machine)] if machine.busy else []), ""])


if __name__ == "__main__":
    main()
