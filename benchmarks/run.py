"""The command `python -m benchmarks`: every row, every peer, each in a process of its own, in turn, twice round.

It writes what all start from, runs `worker.py` for each peer, which trains or predicts, compares losses and predictions
and hands the timings to `report.py`. It ends with code 1 where they differ, and where a peer fails.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np

import gradc

from . import report, worker
from .machine import installed, this_machine
from .peers import Arrays
from .report import TITLES, Result
from .row import Row
from .rows import ROWS, named
from .worker import BATCHES, PREDICT, TRAIN, Timing

ROOT = Path(__file__).parents[1]
PACKAGES = {
    "gradc": "gradc",
    "torch": "torch",
    "compile": "torch",
    "jax": "jax",
    "pytensor": "pytensor",
    "blas": "numpy",
}
ROUNDS = 2
SECONDS = 2.0
QUICK_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Plan:
    """Which peers to run by which Python, how often, for how long each, and whether to train, to predict or both."""

    pythons: Mapping[str, str]
    rounds: int
    seconds: float
    what: Sequence[str] = (TRAIN, PREDICT)


class PeerError(Exception):
    """A peer's process ended badly; the message has what it wrote."""


@click.command()
@click.option("--rows", default=",".join(row.name for row in ROWS), show_default=True, help="Which rows.")
@click.option("--peers", default="torch,compile,jax,pytensor", show_default=True, help="Beside gradc.")
@click.option("--what", type=click.Choice(["train", "predict", "both"]), default="both", help="Steps, predictions.")
@click.option("--quick", is_flag=True, help="One short round: to see that all works, not for its figures.")
@click.option("--seconds", default=SECONDS, show_default=True, help="For each peer, row and round.")
@click.option("--python", multiple=True, metavar="PEER=PATH", help="The Python that has a peer, if not this one.")
@click.option("--out", type=click.Path(path_type=Path), default=Path(__file__).parent, help="Folder of the results.")
def main(rows: str, peers: str, python: tuple[str, ...], out: Path, **how: Any) -> None:
    """Times training steps and predictions of gradc beside other frameworks; writes results.md, results.json and the
    summary.md that README.md shows."""
    chosen = [_row(name) for name in rows.split(",")]
    pythons, versions = _pythons(["gradc", "blas", *filter(None, peers.split(","))], python)
    rounds, seconds = (1, QUICK_SECONDS) if how["quick"] else (ROUNDS, how["seconds"])
    plan = Plan(pythons, rounds, seconds, (TRAIN, PREDICT) if how["what"] == "both" else (how["what"],))
    machine = this_machine()
    if machine.busy:
        click.echo(report.busy(machine), err=True)
    try:
        results = [run_row(row, plan) for row in chosen]
    except PeerError as error:
        raise click.ClickException(str(error)) from None
    report.save(out, results, machine, versions)
    click.echo(report.markdown(results, machine, versions))
    wrong = [f"{result.row.name}: {text}" for result in results for text in report.disagreements(result)]
    if wrong:
        raise click.ClickException("losses or predictions differ by more than rounding\n" + "\n".join(wrong))


def _row(name: str) -> Row:
    try:
        return named(name)
    except KeyError:
        raise click.UsageError(f"no row {name}; there are {', '.join(row.name for row in ROWS)}") from None


def _pythons(peers: Sequence[str], given: tuple[str, ...]) -> tuple[dict[str, str], dict[str, str]]:
    """The Python of every peer that is installed, and the versions of their packages."""
    chosen = dict(pair.split("=", 1) for pair in given)
    pythons, versions = {}, {}
    for peer in peers:
        if peer not in PACKAGES:
            raise click.UsageError(f"no peer {peer}; there are {', '.join(PACKAGES)}")
        python = chosen.get(peer, sys.executable)
        version = installed(PACKAGES[peer], python)
        if version is None:
            click.echo(f"{TITLES[peer]} is not installed and left out", err=True)
            continue
        pythons[peer] = python
        versions[PACKAGES[peer]] = version
    versions["numba"] = installed("numba", sys.executable) or "?"
    return pythons, versions


# ------------------------------------------------------------------ one row


def initial(row: Row) -> Arrays:
    """Parameters by the model's own laws, and a batch of data; always the same."""
    model = gradc.compile_text(row.text, row.name.replace("-", "_"), seed=0)
    arrays = {name: np.array(model.params[name]) for name in model.params}
    # a parameter is what the optimizer has moments of
    trained = {name.rpartition(".")[0] for name in model.module.MOMENTS}
    params = {name: array for name, array in arrays.items() if name in trained}
    states = {name: array for name, array in arrays.items() if name not in trained}
    return Arrays(params, states, row.data(np.random.default_rng(0)))


def inputs_of(row: Row, arrays: Arrays) -> Arrays:
    """The same with data to predict from: the inputs alone, as often as the largest batch needs them."""
    inputs = gradc.compile_text(row.text, row.name.replace("-", "_")).module.INPUTS
    count = max(BATCHES)
    data = {name: np.resize(array, (count, *array.shape[1:])) for name, array in arrays.data.items() if name in inputs}
    return replace(arrays, data=data)


def run_row(row: Row, plan: Plan) -> Result:
    """All peers, round by round."""
    start = initial(row)
    trained = run_peers(row, start, plan, TRAIN)[0] if TRAIN in plan.what else {}
    predicted = run_peers(row, inputs_of(row, start), plan, PREDICT) if PREDICT in plan.what else []
    batches = zip(BATCHES, predicted, strict=False)
    return Result(row, trained, {batch: Result(row, timings) for batch, timings in batches})


def run_peers(row: Row, start: Arrays, plan: Plan, what: str) -> list[dict[str, list[Timing]]]:
    """All peers, round by round: of training one mapping from peers to timings, of predictions one for each batch."""
    others = ("gradc", "blas", *row.peers) if what == TRAIN else ("gradc", *row.peers)
    pythons = {peer: python for peer, python in plan.pythons.items() if peer in others}
    found: list[dict[str, list[Timing]]] = []
    with tempfile.TemporaryDirectory() as folder:
        arrays = Path(folder) / "arrays.npz"
        worker.save(arrays, start)
        for _ in range(plan.rounds):
            for peer, python in pythons.items():
                timings = _run_peer(row, peer, [python, str(arrays), str(plan.seconds), what])
                found = found or [{} for _ in timings]
                for mapping, timing in zip(found, timings, strict=True):
                    mapping.setdefault(peer, []).append(timing)
                shown = ", ".join(f"{timing.median * 1e6:10.1f} µs" for timing in timings)
                click.echo(f"{row.name:12} {what:8} {peer:10} {shown}", err=True)
    return found


def _run_peer(row: Row, peer: str, how: Sequence[str]) -> list[Timing]:
    """`how`: the Python, the file of arrays, seconds, and what to do."""
    python, *arguments = how
    command = [python, "-m", "benchmarks.worker", peer, row.name, *arguments]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    answer = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": path}
    )
    if answer.returncode != 0:
        raise PeerError(f"{peer} failed on {row.name}:\n{answer.stderr}")
    return [Timing(**timing) for timing in json.loads(answer.stdout.splitlines()[-1])]
