"""Cutting data: arrays and settings -> the examples held back, and the batches of each epoch.

The order of an epoch depends on the seed and its number alone. It trains nothing.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np

from gradc.errors import fail

from .interface import Array
from .session import Settings, checked_seed

BLOCK_BYTES = 512 * 1024
"""Shuffled examples are gathered in blocks of this size at most, if it is no single batch: they are still in the cache
when they are trained on."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Data ready to be trained on. `order` holds the places of the training examples; None: every step takes all."""

    arrays: tuple[Array, ...]
    order: Array | None
    held_back: tuple[Array, ...]
    settings: Settings

    @property
    def examples(self) -> int:
        return 1 if self.order is None else len(self.order)

    @property
    def steps(self) -> int:
        """In an epoch."""
        return 1 if self.order is None else math.ceil(len(self.order) / self.settings.batch)

    def blocks(self, epoch: int, step: int, most: Callable[[], int]) -> Iterator[tuple[int, Sequence[Array]]]:
        """What is left of an epoch (counted from 0), from a step on: so many steps, and the rows of their batches,
        in whose place the next ones will lie.

        `most` tells before each block how many steps there may be in it. A smaller last batch is a block of its own.
        """
        if self.order is None:
            if step == 0:
                yield 1, self.arrays
            return
        batch = self.settings.batch
        order = self.order[np.random.default_rng([self.settings.seed, epoch]).permutation(len(self.order))]
        batch_bytes = batch * sum(array[:1].nbytes for array in self.arrays)
        room: list[Array] = []  # the same for every block: a new one would be new pages to the system
        while step < self.steps:
            steps = max(1, min(most(), BLOCK_BYTES // max(1, batch_bytes), len(order) // batch - step))
            places = order[step * batch : (step + steps) * batch]
            if not room or len(room[0]) < len(places):
                room = [np.empty((len(places), *array.shape[1:]), array.dtype) for array in self.arrays]
            rows = [space[: len(places)] for space in room]
            for array, space in zip(self.arrays, rows, strict=True):
                np.take(array, places, axis=0, out=space, mode="clip")  # none is outside: only then it takes no copy
            yield steps, rows
            step += steps


def _checked(settings: Settings) -> Settings:
    """The settings in Python's own numbers, which a file of weights can hold; NumPy's are taken, too."""
    batch, validation = settings.batch, settings.validation
    if not isinstance(batch, Integral) or batch < 1:
        raise fail("bad-batch", f"batch is a whole number, at least 1, not {batch!r}", "batch = 32 is usual")
    if not isinstance(validation, Real) or not 0.0 <= validation < 1.0:
        message = f"validation is a fraction from 0 to below 1, not {validation!r}"
        raise fail("bad-validation", message, "validation = 0.2 holds back a fifth")
    return Settings(int(batch), float(validation), checked_seed(settings.seed))


def split(arrays: Sequence[Array], dim: str | None, settings: Settings) -> Cut:
    """Holds back the first ceil(validation * n) examples of an order that depends on the seed alone.

    Raises:
        GradcError: the settings make no sense, or not for these data.
    """
    settings = _checked(settings)
    if dim is None:
        if settings.validation > 0.0:
            why = "no free dim is the first axis, and no other, of all inputs and targets"
            raise fail("no-validation", f"nothing can be held back for validation: {why}", "set validation = 0")
        return Cut(tuple(arrays), None, (), settings)
    examples = len(arrays[0])
    # rounded first: 0.07 * 100 is a little above 7
    count = math.ceil(round(settings.validation * examples, 6))
    if count >= examples:
        message = f"validation = {settings.validation} of {examples} examples leaves none to train on"
        raise fail("bad-validation", message, "give more examples, or a smaller fraction")
    order = np.random.default_rng(settings.seed).permutation(examples)
    held_back = tuple(array[order[:count]] for array in arrays) if count else ()
    return Cut(tuple(arrays), order[count:], held_back, settings)
