"""How each framework trains: one file each, which alone imports it.

Every file has `peers(row, arrays)`: one or more ways to train the row, by name. Where there are several (two forms of
Adam, say), the worker times the one that turns out fastest.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.row import Array


@dataclass(frozen=True, slots=True)
class Arrays:
    """What all peers start from: the initial parameters, what the model keeps beside them (a batch norm's running
    moments), and one batch; each by name and in the model's order."""

    params: Mapping[str, Array]
    states: Mapping[str, Array]
    data: Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Peer:
    """One way to train.

    Attributes:
        step: does one training step and returns its loss, in whatever form the framework does.
        wait: of what `step` returned, the number; it waits until that and everything before it is done.
        restart: puts parameters and optimizer back to where they started.
    """

    step: Callable[[], Any]
    wait: Callable[[Any], float]
    restart: Callable[[], None]
