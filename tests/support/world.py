"""Random models computed by NumPy or JAX: plain formulas at lists of places, sharing nothing with gradc.

A tensor is stored flat. Lists of places are filled up to powers of two with places that do not count, so that JAX,
which compiles each operation for each shape, meets few of them. With NumPy the distance to the nearest kink is kept:
a model that comes close to one is not drawn.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import jax
import numpy as np
import scipy.special

Array: TypeAlias = Any
SMALLEST = 8
"""The shortest list of places."""


@dataclass(frozen=True)
class Stored:
    """A tensor: its numbers row by row, with some that do not count at the end, and its shape."""

    flat: Array
    shape: tuple[int, ...]

    @property
    def array(self) -> Array:
        return self.flat[: int(np.prod(self.shape, dtype=int))].reshape(self.shape)


@dataclass
class World:
    """The tensors known so far, the sizes of the dims, and the library that computes."""

    xp: Any
    sizes: Mapping[str, int]
    tensors: dict[str, Stored] = field(default_factory=dict)
    gap: float = float("inf")
    """How near to a kink anything came; NumPy only."""

    @property
    def special(self) -> Any:
        return scipy.special if self.xp is np else jax.scipy.special

    def stop(self, value: Array) -> Array:
        return value if self.xp is np else jax.lax.stop_gradient(value)

    def kink(self, distance: Callable[[], Array]) -> None:
        """Notes how far from a kink every place is."""
        if self.xp is np:
            self.gap = min(self.gap, float(np.min(np.abs(distance()), initial=np.inf)))

    def store(self, name: str, value: Array) -> None:
        """A leaf, given as an array."""
        count = int(np.prod(value.shape, dtype=int))
        flat = self.xp.asarray(value).reshape(-1)
        self.tensors[name] = Stored(self.xp.pad(flat, (0, filled(count) - count), mode="edge"), value.shape)

    def tabulate(self, shape: Sequence[int], value: "Callable[[Points], Array]",
                 names: Sequence[str] | None = None) -> Stored:  # fmt: skip
        """A tensor from its value at every place."""
        names = names if names is not None else [f"#{at}" for at in range(len(shape))]
        points = places(self, dict(zip(names, shape, strict=True)))
        flat = self.xp.broadcast_to(self.xp.asarray(value(points)), (points.count,))
        return Stored(flat, tuple(shape))

    def scatter(self, shape: Sequence[int], parts: "Sequence[tuple[Points, Sequence[Array], Array]]") -> Stored:
        """A tensor from values at some of its places; each place is written once."""
        total = int(np.prod(shape, dtype=int))
        flat = self.xp.zeros(filled(total + 1))
        for points, subscripts, value in parts:
            place = np.zeros(points.count, int)
            for extent, subscript in zip(shape, subscripts, strict=True):
                place = place * extent + subscript
            place = np.where(np.arange(points.count) < points.real, place, total)
            value = self.xp.broadcast_to(value, (points.count,))
            if self.xp is np:
                flat[place] = value
            else:
                flat = flat.at[place].set(value)
        return Stored(flat, tuple(shape))


def filled(count: int) -> int:
    """How long a list is made."""
    size = SMALLEST
    while size < count:
        size *= 4
    return size


def places(world: World, extents: Mapping[str, int]) -> "Points":
    """All places over some indices, row by row."""
    total = int(np.prod(list(extents.values()), dtype=int))
    at = np.minimum(np.arange(filled(total)), max(total - 1, 0))
    values = np.unravel_index(at, tuple(extents.values())) if extents else ()
    return Points(world, dict(zip(extents, values, strict=True)), len(at), total)


@dataclass(frozen=True)
class Points:
    """A list of places: the value of each index at each of them. Those after `real` do not count."""

    world: World
    indices: Mapping[str, Array]
    count: int
    real: int

    @property
    def xp(self) -> Any:
        return self.world.xp

    def read(self, name: str, subscripts: Sequence[Array]) -> Array:
        """What a tensor holds; outside of it, something that it holds elsewhere."""
        stored = self.world.tensors[name]
        flat = np.zeros(self.count, int)
        for extent, subscript in zip(stored.shape, subscripts, strict=True):
            flat = flat * extent + self.xp.clip(subscript, 0, extent - 1)
        return stored.flat[flat] if self.xp is np else jax.numpy.take(stored.flat, flat, mode="clip")

    def inside(self, name: str, subscripts: Sequence[Array]) -> Array:
        """Where all subscripts are in the tensor."""
        within = np.ones(self.count, bool)
        for extent, subscript in zip(self.world.tensors[name].shape, subscripts, strict=True):
            within = within & (subscript >= 0) & (subscript < extent)
        return within

    def spread(self, extents: Mapping[str, int]) -> "tuple[Points, Array]":
        """Every place once for all values of more indices: (longer list, which of them count, a row for each place)."""
        assert extents, "a reduction has indices"
        inner = int(np.prod(list(extents.values()), dtype=int))
        wide = 1
        while wide < inner:
            wide *= 2
        at = np.minimum(np.arange(wide), inner - 1)
        more = np.unravel_index(at, tuple(extents.values()))
        values = {name: np.repeat(np.asarray(value), wide) for name, value in self.indices.items()}
        values |= {name: np.tile(value, self.count) for name, value in zip(extents, more, strict=True)}
        mask = np.tile(np.arange(wide) < inner, (self.count, 1))
        return Points(self.world, values, self.count * wide, self.count * wide), mask

    def reduce(self, reducer: str, extents: Mapping[str, int], body: "Callable[[Points], Array]") -> Array:
        """A reduction at every place."""
        points, mask = self.spread(extents)
        value = self.xp.broadcast_to(self.xp.asarray(body(points)), (points.count,)).reshape(mask.shape)
        return reduced(self.world, reducer, value, mask)


def reduced(world: World, reducer: str, value: Array, mask: Array) -> Array:
    """Each row of `value` joined, where `mask` holds."""
    xp = world.xp
    match reducer:
        case "sum":
            return xp.where(mask, value, 0).sum(1)
        case "mean":
            return xp.where(mask, value, 0).sum(1) / mask.sum(1)
        case "prod":
            return xp.where(mask, value, 1).prod(1)
        case "logsumexp":
            return world.special.logsumexp(xp.where(mask, value, -np.inf), axis=1)
    sign = 1 if reducer in ("max", "argmax") else -1
    signed = xp.where(mask, sign * value, -np.inf)
    world.kink(lambda: _leads(signed))
    return sign * signed.max(1) if reducer in ("max", "min") else signed.argmax(1)


def _leads(rows: Array) -> Array:
    """By how much the largest of each row is ahead."""
    if rows.shape[1] == 1:
        return np.full(1, np.inf)
    ranked = np.sort(rows, axis=1)
    return ranked[:, -1] - ranked[:, -2]
