"""How each framework trains and predicts: one file each, which alone imports it.

Every file has `peers(row, arrays)`: one or more ways to train the row, by name. Where there are several (two forms of
Adam, say), the worker times the one that turns out fastest. And it has `predictors(row, arrays)`, likewise, which are
given the inputs alone.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

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
    """One way to train, or to predict.

    Attributes:
        step: does one training step and returns its loss, in whatever form the framework does; or returns a prediction.
        wait: of what `step` returned, the number; it waits until that and everything before it is done.
        restart: puts parameters and optimizer back to where they started.
        told: of what `step` returned, the number that the peers must agree on.
    """

    step: Callable[[], Any]
    wait: Callable[[Any], float]
    restart: Callable[[], None]
    told: Callable[[Any], float]


def predictor(step: Callable[[], Any]) -> Peer:
    """A way to predict, which keeps nothing."""
    return Peer(step, ready, nothing, told)


def ready(prediction: Any) -> float:
    """Waits for it: one of its numbers."""
    return float(np.asarray(prediction).flat[0])


def nothing() -> None:
    """The restart of what keeps nothing."""


def told(prediction: Any) -> float:
    """A number that all of a prediction decides, its signs and the order of its places too: no sum, whose terms might
    cancel each other but for their rounding."""
    flat = np.asarray(prediction, np.float64).ravel()
    size = np.linalg.norm(flat) / flat.size**0.5
    return float(np.linalg.norm(flat + size * np.cos(np.arange(flat.size)))) / flat.size**0.5
