"""The command `python -m benchmarks.functions`: what a number costs that goes through a vector function, ns.

gradc's, as compiled in a module of one equation, and PyTorch's, in turn, each in a process of its own with one thread,
over numbers that stay in the cache. The least of many rounds is written to functions.md.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from .machine import Machine, installed, this_machine
from .report import busy

HERE = Path(__file__).parent
NUMBERS = 2**14
ROUNDS = 2
FUNCTIONS = ("exp", "expm1", "log", "log1p", "tanh", "sigmoid", "softplus", "erf", "sin", "cos", "pow")
TYPES = ("float32", "float64")

Costs = dict[str, dict[str, float]]
"""Nanoseconds by function and type: `{"exp": {"float32": 0.3, …}, …}`."""


@click.command()
@click.option("--python", multiple=True, metavar="PEER=PATH", help="The Python that has a peer, if not this one.")
@click.option("--out", type=click.Path(path_type=Path), default=HERE, help="Folder of the results.")
def main(python: tuple[str, ...], out: Path) -> None:
    """Times vector functions, and writes functions.md."""
    machine = this_machine()
    pythons = dict(pair.split("=", 1) for pair in python)
    chosen = {peer: pythons.get(peer, sys.executable) for peer in ("gradc", "torch")}
    least: dict[str, Costs] = {}
    for _ in range(ROUNDS):
        for peer, path in chosen.items():
            if installed(peer, path):
                found = costs(peer, path)
                known = least.setdefault(peer, found)
                for name, by_type in found.items():
                    for dtype, cost in by_type.items():
                        known[name][dtype] = min(known[name][dtype], cost)
    text = markdown(least, machine)
    out.mkdir(parents=True, exist_ok=True)
    (out / "functions.md").write_text(text, encoding="utf-8")
    click.echo(text)


def costs(peer: str, python: str) -> Costs:
    """What a process of its own finds.

    Raises:
        ClickException: it fails.
    """
    command = [python, str(HERE / "functions_of" / f"of_{peer}.py"), str(NUMBERS), *FUNCTIONS]
    one_thread = {**os.environ, "GRADC_THREADS": "1", "OMP_NUM_THREADS": "1"}
    answer = subprocess.run(command, capture_output=True, text=True, check=False, cwd=HERE.parent, env=one_thread)
    if answer.returncode != 0:
        raise click.ClickException(answer.stderr)
    found: Costs = json.loads(answer.stdout)
    return found


def markdown(least: Mapping[str, Costs], machine: Machine) -> str:
    """The table, a row for each function."""
    titles = {"gradc": "gradc", "torch": "PyTorch"}
    heads = [f"{titles[peer]}, {dtype}" for dtype in TYPES for peer in least]
    lines = [f"| ns a number | {' | '.join(heads)} |", f"| --- |{' ---: |' * len(heads)}"]
    for name in FUNCTIONS:
        row = (f"{least[peer][name][dtype]:.2f}" for dtype in TYPES for peer in least)
        lines.append(f"| {name} | {' | '.join(row)} |")
    lines += ["", f"{NUMBERS} numbers, one thread. {machine}."]
    return "\n".join([*lines, *([busy(machine)] if machine.busy else []), ""])


if __name__ == "__main__":
    main()
