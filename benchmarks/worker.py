"""Times one peer on one row, in a process of its own: `python -m benchmarks.worker PEER ROW ARRAYS SECONDS WHAT`.

Row and arrays -> one line of JSON; WHAT is "train" or "predict". A lap starts from the initial parameters and is timed
in blocks of steps; laps go on until the time is up. The first lap is not timed: it compiles, and its losses are what
the peers must agree on. It needs NumPy and the peer's framework only, so that it can run in another environment than
gradc's.
"""

import gc
import importlib
import json
import sys
import time
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np

from . import memory
from .peers import Arrays, Peer
from .row import Row
from .rows import named

TRAIN, PREDICT = "train", "predict"
BATCHES = (1, 64)
"""Of predictions."""
BLOCKS = 20
TRIAL_SECONDS = 0.3
GROUPS = tuple(field.name for field in fields(Arrays))


@dataclass(frozen=True, slots=True)
class Timing:
    """What one run of a peer gave: seconds a step, losses of the first and the last step of a lap (or what is told of
    predictions), and the most memory it took while it was timed, beyond what its framework takes when imported."""

    form: str
    median: float
    least: float
    first_loss: float
    last_loss: float
    steps: int
    megabytes: float


def measure(row: Row, arrays: Arrays, name: str, seconds: float) -> Timing:
    """Times a peer; of several ways to train, the one that is fastest in a short trial."""
    module = importlib.import_module(f"benchmarks.peers.{name}_peer")
    before = memory.restart()
    return timed(row, module.peers(row, arrays), seconds, before)


def measure_predictions(row: Row, arrays: Arrays, name: str, seconds: float) -> list[Timing]:
    """Times a peer's predictions, for each of the batches."""
    module = importlib.import_module(f"benchmarks.peers.{name}_peer")
    found = []
    for batch in BATCHES:
        data = {name: array[:batch].copy() for name, array in arrays.data.items()}
        before = memory.restart()
        found.append(timed(row, module.predictors(row, replace(arrays, data=data)), seconds, before))
    return found


def timed(row: Row, peers: dict[str, Peer], seconds: float, before: float) -> Timing:
    """Times the quickest of several ways, when the others are gone; `before`: megabytes of the process without them."""
    losses = {form: untimed_lap(row, peer) for form, peer in peers.items()}
    form = next(iter(peers))
    if len(peers) > 1:
        form = min(peers, key=lambda form: float(np.median(laps(row, peers[form], TRIAL_SECONDS))))
    peer = peers[form]
    peers.clear()
    gc.collect()
    memory.restart()
    blocks = laps(row, peer, seconds)
    most = memory.peak() - before
    return Timing(form, float(np.median(blocks)), min(blocks), *losses[form], len(blocks) * block_of(row), most)


def block_of(row: Row) -> int:
    """How many steps are timed together."""
    return max(1, row.steps // BLOCKS)


def untimed_lap(row: Row, peer: Peer) -> tuple[float, float]:
    """What is told of the first and of the last step."""
    peer.restart()
    last = peer.step()
    first = peer.told(last)
    for _ in range(row.steps - 1):
        last = peer.step()
    return first, peer.told(last)


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
    peer, row, arrays, seconds, what = sys.argv[1:]
    given = named(row), load(Path(arrays)), peer, float(seconds)
    timings = measure_predictions(*given) if what == PREDICT else [measure(*given)]
    sys.stdout.write(json.dumps([asdict(timing) for timing in timings]) + "\n")


if __name__ == "__main__":
    main()
