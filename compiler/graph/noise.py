"""Random numbers as the language means them: law, key and place → a number, by plain NumPy.

    number = law(key(seed of the step, site), place)        seed of a training step = key(seed, step)

Each `uniform()` or `normal()` of a model is a site; places are counted row-major over all indices that it stands under.
A number is a function of seed, site and place alone, so it is the same in forward and backward pass and in every shard.
Both oracles draw from here; an emitted module carries functions of its own that give the same
(`emit/prelude/random_float64.py`): uniform numbers to the bit, normal ones to 1e-14.
"""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Bits: TypeAlias = NDArray[np.uint64]
Reals: TypeAlias = NDArray[np.float64]

LOW = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)
ROUNDS = 10
MULTIPLIER, WEYL = np.uint64(0xD256D193), np.uint64(0x9E3779B9)
"""Of Philox-2x32, as published: Salmon, Moraes, Dror and Shaw, Parallel random numbers: as easy as 1, 2, 3 (2011)."""


def philox(key: Any, place: Any) -> Bits:
    """64 random bits for a key and a place, each 64 bits: Philox-2x32-10.

    The cipher's counter is the place, its upper half crossed with that of the key; its key is the key's lower half.
    """
    place, key = np.asarray(place, np.uint64), np.asarray(key, np.uint64)
    x, y, k = place & LOW, (place ^ key) >> HALF, key & LOW
    for _ in range(ROUNDS):
        product = MULTIPLIER * x
        x, y = (product >> HALF) ^ k ^ y, product & LOW
        k = (k + WEYL) & LOW
    return np.asarray((x << HALF) | y)


def key(seed: int, number: int) -> int:
    """The key of a site under a step's seed, or the seed of a step: 63 random bits for both numbers."""
    return int(philox(seed, number)) >> 1


def uniform(key: Any, place: Any) -> Reals:
    """The upper 52 bits k as (k + ½) / 2^52: between 0 and 1, neither of them."""
    bits = philox(key, place)
    return np.asarray(((bits >> np.uint64(12)).astype(np.float64) + 0.5) / 2.0**52)


def normal(key: Any, place: Any) -> Reals:
    """Box and Muller's √(-2 ln u) cos 2πv, with u = (k + ½) / 2^32 of the upper half k, v of the lower."""
    bits = philox(key, place)
    u = ((bits >> HALF).astype(np.float64) + 0.5) / 2.0**32
    v = (bits & LOW).astype(np.float64) / 2.0**32
    return np.asarray(np.sqrt(-2.0 * np.log(u)) * np.cos(2.0 * np.pi * v))


LAWS = {"uniform": uniform, "normal": normal}
