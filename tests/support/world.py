"""Random models computed by NumPy or JAX: plain formulas at lists of places, sharing nothing with gradc.

A tensor is stored flat. Lists of places are filled up to a few lengths with places that do not count, so that JAX,
which compiles each operation for each shape, meets few of them. With NumPy the distance to the nearest kink is kept:
a model that comes close to one is not drawn.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special

Array: TypeAlias = Any
LENGTHS = (64, 512, 4096, 32768)
"""How long lists of places are."""


@dataclass(frozen=True)
class Stored:
    """A tensor: its numbers row by row, with some that do not count at the end, and its shape."""

    flat: Array
    shape: tuple[int, ...]

    @property
    def array(self) -> Array:
        return self.flat[: int(np.prod(self.shape, dtype=int))].reshape(self.shape)


@dataclass(frozen=True)
class Step:
    """How a tensor is made that is no leaf, or all those of a recurrence, which need each other."""

    names: tuple[str, ...]
    compute: "Callable[[World], tuple[Stored, ...]]"
    recurrent: bool = False


@dataclass
class World:
    """The tensors known so far, the sizes of the dims, and the library that computes."""

    xp: Any
    sizes: Mapping[str, int]
    tensors: dict[str, Stored] = field(default_factory=dict)
    gap: float = float("inf")
    """How near to a kink anything came; NumPy only."""
    steps: Sequence[Step] = ()
    """How the tensors that are no leaves are made, in order."""
    moved: Mapping[str, Stored] = field(default_factory=dict)
    """What is added to the places of a recurrence as they are written: later ones follow."""

    @property
    def special(self) -> Any:
        return scipy.special if self.xp is np else jax.scipy.special

    def stop(self, value: Array) -> Array:
        return value if self.xp is np else jax.lax.stop_gradient(value)

    def kink(self, distance: Callable[[], Array]) -> None:
        """Notes how far from a kink every place is."""
        if self.xp is np:
            self.gap = min(self.gap, float(np.min(np.abs(distance()) * 1.0, initial=np.inf)))

    def store(self, name: str, value: Array) -> None:
        """A leaf, given as an array."""
        count = int(np.prod(value.shape, dtype=int))
        flat = self.xp.asarray(value).reshape(-1)
        self.tensors[name] = Stored(self.xp.pad(flat, (0, filled(count) - count), mode="edge"), value.shape)

    def run(self, step: Step) -> None:
        self.tensors.update(zip(step.names, step.compute(self), strict=True))

    def tabulate(self, shape: Sequence[int], value: "Callable[[Points], Array]",
                 names: Sequence[str] | None = None) -> Stored:  # fmt: skip
        """A tensor from its value at every place."""
        names = names if names is not None else [f"#{at}" for at in range(len(shape))]
        points = places(self, dict(zip(names, shape, strict=True)))
        flat = self.xp.broadcast_to(self.xp.asarray(value(points)), (points.count,))
        return Stored(flat, tuple(shape))

    def gradient(self, of: str, by: str) -> Stored:
        """The derivatives of the sum of a tensor by another, by JAX: what lies between is computed again."""
        made = {name: at for at, step in enumerate(self.steps) for name in step.names}
        start, stop = made.get(by, -1), made.get(of, -1) + 1
        recurrent = start >= 0 and self.steps[start].recurrent

        def total(value: Array) -> Array:
            inner = World(jnp, self.sizes, dict(self.tensors), steps=self.steps)
            inner.store(by, value)
            if recurrent:
                inner.moved = {by: inner.tensors[by]}
            for step in self.steps[start if recurrent else start + 1 : stop]:
                inner.run(step)
            return inner.tensors[of].array.sum()

        with jax.enable_x64(True):
            value = jnp.asarray(self.tensors[by].array)
            value = jax.grad(total)(jnp.zeros(value.shape) if recurrent else value)
            found = World(self.xp, self.sizes)
            found.store(by, value if self.xp is jnp else np.asarray(value))
        return found.tensors[by]

    def zeros(self, shape: Sequence[int]) -> Stored:
        """With at least one place that does not count."""
        return Stored(self.xp.zeros(filled(int(np.prod(shape, dtype=int)))), tuple(shape))

    def scatter(self, shape: Sequence[int], parts: "Sequence[tuple[Points, Sequence[Array], Array]]") -> Stored:
        """A tensor from values at some of its places; each place is written once."""
        found = self.zeros(shape)
        for points, subscripts, value in parts:
            found = self.write(found, points, subscripts, value)
        return found

    def write(self, into: Stored, points: "Points", subscripts: Sequence[Array], value: Array,
              more: Stored | None = None) -> Stored:  # fmt: skip
        """The same tensor with values, and what `more` has there, at some of its places."""
        total = int(np.prod(into.shape, dtype=int))
        place = np.zeros(points.count, int)
        for extent, subscript in zip(into.shape, subscripts, strict=True):
            place = place * extent + subscript
        place = np.where(np.arange(points.count) < points.real, place, total)
        value = self.xp.broadcast_to(value, (points.count,))
        value = value if more is None else value + more.flat[place]
        if self.xp is not np:
            return Stored(into.flat.at[place].set(value), into.shape)
        flat = into.flat.copy()
        flat[place] = value
        return Stored(flat, into.shape)


def filled(count: int) -> int:
    """How long a list is made: one place at least does not count."""
    return next(length for length in LENGTHS if length > count)


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
        return stored.flat[flat] if self.xp is np else jnp.take(stored.flat, flat, mode="clip")

    def inside(self, name: str, subscripts: Sequence[Array]) -> Array:
        """Where all subscripts are in the tensor."""
        within = np.ones(self.count, bool)
        for extent, subscript in zip(self.world.tensors[name].shape, subscripts, strict=True):
            within = within & (subscript >= 0) & (subscript < extent)
        return within

    def spread(self, extents: Mapping[str, int]) -> "Points":
        """Every real place once for all values of more indices."""
        assert extents, "a reduction has indices"
        inner = int(np.prod(list(extents.values()), dtype=int))
        total = self.real * inner
        at = np.minimum(np.arange(filled(total)), total - 1)
        more = np.unravel_index(at % inner, tuple(extents.values()))
        values = {name: np.broadcast_to(value, (self.count,))[at // inner] for name, value in self.indices.items()}
        return Points(self.world, values | dict(zip(extents, more, strict=True)), len(at), total)

    def reduce(self, reducer: str, extents: Mapping[str, int], body: "Callable[[Points], Array]") -> Array:
        """A reduction at every place."""
        points = self.spread(extents)
        value = self.xp.broadcast_to(self.xp.asarray(body(points)), (points.count,))
        inner = points.real // self.real
        if self.xp is np:
            rows = value[: points.real].reshape(self.real, inner)
            return np.pad(_by_numpy(self.world, reducer, rows), (0, self.count - self.real), mode="edge")
        return _by_jax(reducer, value, self, inner)


def _by_numpy(world: World, reducer: str, rows: Array) -> Array:
    """Each row joined."""
    match reducer:
        case "sum" | "mean" | "prod":
            return getattr(rows, reducer)(1)
        case "logsumexp":
            return scipy.special.logsumexp(rows, axis=1)
    world.kink(lambda: _leads(rows if reducer in ("max", "argmax") else -rows))
    return getattr(rows, reducer)(1)


def _leads(rows: Array) -> Array:
    """By how much the largest of each row is ahead."""
    if rows.shape[1] == 1:
        return np.full(1, np.inf)
    ranked = np.sort(rows, axis=1)
    return ranked[:, -1] - ranked[:, -2]


def _by_jax(reducer: str, value: Array, outer: Points, inner: int) -> Array:
    """The same by operations on flat lists, whose shapes are few; what does not count joins at the last place."""
    at = np.arange(len(value))
    owner = np.where(at < outer.real * inner, at // inner, outer.count - 1)
    counts = np.arange(outer.count) < outer.real

    def total(numbers: Array) -> Array:
        return jnp.zeros(outer.count, numbers.dtype).at[owner].add(numbers)

    def first_largest(numbers: Array) -> Array:
        fixed = jax.lax.stop_gradient(numbers) * 1.0
        most = jnp.full(outer.count, -jnp.inf).at[owner].max(fixed)
        found = jnp.where(fixed == jnp.take(most, owner), at, len(at) - 1)
        return jnp.full(outer.count, len(at) - 1).at[owner].min(found)

    match reducer:
        case "sum":
            return total(value)
        case "mean":
            return total(value) / inner
        case "prod":
            wide = 2 ** (inner - 1).bit_length()
            rows = np.minimum(np.arange(outer.count)[:, None] * inner + np.arange(wide), len(at) - 1)
            return jnp.where(np.arange(wide) < inner, jnp.take(value, rows), 1).prod(1)
        case "max" | "min":
            sign = 1 if reducer == "max" else -1
            return jnp.take(value, first_largest(sign * value))
        case "argmax" | "argmin":
            return first_largest(value if reducer == "argmax" else -value) - np.arange(outer.count) * inner
    shift = jnp.take(jax.lax.stop_gradient(value), first_largest(value))
    sums = total(jnp.exp(value - jnp.take(shift, owner)))
    return jnp.where(counts, jnp.log(jnp.where(counts, sums, 1.0)) + shift, 0.0)
