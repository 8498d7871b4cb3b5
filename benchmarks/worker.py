"""Times one peer on one row, in a process of its own: `python -m benchmarks.worker PEER ROW ARRAYS SECONDS`.

Row and arrays -> one line of JSON. A lap starts from the initial parameters and is timed in blocks of steps; laps go on
until the time is up. The first lap is not timed: it compiles, and its losses are what the peers must agree on. It needs
NumPy and the peer's framework only, so that it can run in another environment than gradc's.
"""

import importlib
import json
import resource
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from .peers import Arrays, Peer
from .row import Row
from .rows import named

BLOCKS = 20
TRIAL_SECONDS = 0.3
GROUPS = tuple(field.name for field in fields(Arrays))


@dataclass(frozen=True, slots=True)
class Timing:
    """What one run of a peer gave: seconds a step, losses of the first and the last step of a lap, peak memory."""

    form: str
    median: float
    least: float
    first_loss: float
    last_loss: float
    steps: int
    megabytes: float


def measure(row: Row, arrays: Arrays, name: str, seconds: float) -> Timing:
    """Times a peer; of several ways to train, the one that is fastest in a short trial."""
    peers: Mapping[str, Peer] = importlib.import_module(f"benchmarks.peers.{name}_peer").peers(row, arrays)
    losses = {form: untimed_lap(row, peer) for form, peer in peers.items()}
    form = next(iter(peers))
    if len(peers) > 1:
        form = min(peers, key=lambda form: float(np.median(laps(row, peers[form], TRIAL_SECONDS))))
    blocks = laps(row, peers[form], seconds)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Timing(form, float(np.median(blocks)), min(blocks), *losses[form], len(blocks) * block_of(row), peak)


def block_of(row: Row) -> int:
    """How many steps are timed together."""
    return max(1, row.steps // BLOCKS)


def untimed_lap(row: Row, peer: Peer) -> tuple[float, float]:
    """The losses of the first and the last step."""
    peer.restart()
    first = last = peer.wait(peer.step())
    for _ in range(row.steps - 1):
        last = peer.step()
    return first, peer.wait(last)


def laps(row: Row, peer: Peer, seconds: float) -> list[float]:
    """Seconds a step, block by block, of one lap at least."""
    blocks: list[float] = []
    size, step = block_of(row), peer.step
    end = time.perf_counter() + seconds
    while not blocks or time.perf_counter() < end:
        peer.restart()
        peer.wait(step())
        for _ in range(row.steps // size):
            start = time.perf_counter()
            for _ in range(size):
                loss = step()
            peer.wait(loss)
            blocks.append((time.perf_counter() - start) / size)
    return blocks


def save(path: Path, arrays: Arrays) -> None:
    """Writes what all peers start from."""
    groups = {group: getattr(arrays, group) for group in GROUPS}
    named_arrays = {f"{group}/{name}": value for group, part in groups.items() for name, value in part.items()}
    np.savez(path, allow_pickle=False, **named_arrays)


def load(path: Path) -> Arrays:
    """What `save` wrote, in the same order."""
    with np.load(path) as file:
        found = {name: file[name] for name in file.files}
    parts = {
        group: {name.removeprefix(f"{group}/"): value for name, value in found.items() if name.startswith(f"{group}/")}
        for group in GROUPS
    }
    return Arrays(**parts)


def main() -> None:
    """The command."""
    peer, row, arrays, seconds = sys.argv[1:]
    timing = measure(named(row), load(Path(arrays)), peer, float(seconds))
    sys.stdout.write(json.dumps(asdict(timing)) + "\n")


if __name__ == "__main__":
    main()
