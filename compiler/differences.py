"""Central differences: a function of named arrays → how far a given gradient is from its slopes.

    (f(x + h) - f(x - h)) / 2h        with h = 1e-5, in float64

At a kink the slopes to both sides differ however small the step is, and neither they nor their mean need be what is
called the derivative there: such places are told apart by a second, larger step, and left out.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Function: TypeAlias = Callable[[Mapping[str, Array]], float]

SMALL, LARGE = 1e-5, 1e-4
RTOL = 1e-5
ATOL = 1e-6  # of the largest slope of the same tensor
NOISE = 64 * float(np.finfo(np.float64).eps)
"""What rounding makes of a value of 1: a slope is uncertain by this much over the step."""
SMOOTH = 0.3
"""One-sided slopes differ by h · f″ where f is smooth: by a tenth as much with a step a tenth as long."""
EXHAUSTIVE, SAMPLE = 32, 24


@dataclass(frozen=True, slots=True)
class Slope:
    """One slope: where, what the gradient says, what the differences say. `kink` says that there is none.

    `place` is that of an entry; None means a random direction through the whole tensor.
    """

    place: tuple[int, ...] | None
    analytic: float
    numeric: float
    noise: float
    kink: bool


def slopes(function: Function, at: Mapping[str, Array], name: str, gradient: Array,
           rng: np.random.Generator) -> Iterator[Slope]:  # fmt: skip
    """The slopes by the entries of one tensor, or by a sample of them and along a random direction.

    Args:
        function: a scalar function of named arrays; it is called with arrays of its own.
        at: where.
        name: the tensor that is moved.
        gradient: the gradient by it, which is checked.
        rng: chooses.
    """
    here = function(at)
    for place in _places(gradient, rng):
        direction = np.zeros(gradient.shape)
        direction[place] = 1.0
        yield _slope(function, at, name, direction, here, (place, float(gradient[place])))
    if gradient.size > EXHAUSTIVE:
        direction = rng.normal(size=gradient.shape)
        direction /= np.linalg.norm(direction)
        yield _slope(function, at, name, direction, here, (None, float(np.sum(gradient * direction))))


def _places(gradient: Array, rng: np.random.Generator) -> list[tuple[int, ...]]:
    """All places of a small tensor; of a large one a sample, half of it where the gradient is not 0."""
    flat = np.arange(gradient.size)
    if gradient.size > EXHAUSTIVE:
        busy = np.flatnonzero(gradient)
        some = rng.choice(busy, min(SAMPLE // 2, len(busy)), replace=False)
        rest = np.setdiff1d(flat, some)
        flat = np.sort(np.concatenate([some, rng.choice(rest, SAMPLE - len(some), replace=False)]))
    return [tuple(map(int, np.unravel_index(place, gradient.shape))) for place in flat]


def _slope(function: Function, at: Mapping[str, Array], name: str, direction: Array, here: float,
           said: tuple[tuple[int, ...] | None, float]) -> Slope:  # fmt: skip
    def moved(step: float) -> float:
        return function({**at, name: at[name] + step * direction})

    up, down = moved(SMALL), moved(-SMALL)
    bend = abs(up - 2 * here + down) / SMALL
    noise = NOISE * max(abs(here), abs(up), abs(down), 1e-300) / SMALL
    kink = False
    if bend > noise:
        kink = bend > SMOOTH * abs(moved(LARGE) - 2 * here + moved(-LARGE)) / LARGE
    return Slope(said[0], said[1], (up - down) / (2 * SMALL), noise, kink)


def differs(slope: Slope, scale: float) -> bool:
    """Whether the gradient is not the slope: |a − n| ≤ atol + rtol |n| fails, as it does for NaN.

    `scale` is the largest slope of the tensor.
    """
    error = abs(slope.analytic - slope.numeric)
    return not error <= ATOL * scale + RTOL * abs(slope.numeric) + slope.noise
