"""Random values for a model: sizes, inputs and parameters at which its gradient is checked.

Parameters are drawn by their laws and then moved: at zeros, or at equal numbers, a wrong gradient can look right.
"""

import math
from collections.abc import Mapping

import numpy as np

from gradc.errors import fail
from gradc.graph.index import ZERO, index
from gradc.graph.interpret import Points, evaluate
from gradc.graph.nodes import Read, reads_of, rebuild
from gradc.graph.tensors import Kind, Role
from gradc.language import core
from gradc.language.lower import lower_law

from .differences import Array

FIRST_SIZE, SIZES, LARGEST_SIZE = 2, 2, 64
MOST_AWAY = 16
SPREAD = 0.5  # of a parameter's own, by which it is moved
ALONE = 0.3  # by which a parameter is moved whose entries are all equal
UNBOUNDED = 3


def small_dims(model: core.Model) -> dict[str, int]:
    """A size for each free dim: 3, 2, 3 …, and beyond what is read so many places away; or the next larger ones that
    meet the model's preconditions."""
    away = farthest(model)
    for more in range(LARGEST_SIZE):
        least = {name: FIRST_SIZE + (at + 1) % SIZES + more for at, name in enumerate(model.dims)}
        dims = {name: max(size, away.get(name, 0) + 2) for name, size in least.items()}
        if all(condition.value.value(dims) >= 0 for condition in model.preconditions):
            return dims
    message = f"{model.file}: no sizes below {LARGEST_SIZE} meet all that its reads ask of them"
    raise fail("no-small-size", message, "check a model with smaller windows, or give its dims values")


def farthest(model: core.Model) -> dict[str, int]:
    """How many places away equations read along axes of free dims: with no more places, nothing would be read."""
    found: dict[str, int] = {}
    for equation in model.equations:
        ranges = {part.name: part for part in core.parts_in(equation) if isinstance(part, core.Index)}
        for read in core.parts_in(equation.value):
            for place in read.subscripts if isinstance(read, core.Read) else ():
                by = abs(dict(place.terms).get((), 0))
                dims = {name for i in place.indices if i in ranges for name in ranges[i].high.dims}
                found |= {name: min(max(by, found.get(name, 0)), MOST_AWAY) for name in dims if by}
    return found


def drawn_data(model: core.Model, dims: Mapping[str, int], attempt: int, rng: np.random.Generator) -> dict[str, Array]:
    """Inputs and targets. Reals are normal numbers at first; for models that want positive ones, between 0 and 1."""
    data: dict[str, Array] = {}
    for leaf in model.leaves:
        if leaf.role not in (Role.INPUT, Role.TARGET):
            continue
        shape = tuple(axis.extent.value(dims) for axis in leaf.axes)
        match leaf.kind:
            case Kind.REAL:
                data[leaf.name] = rng.uniform(0.05, 0.95, shape) if attempt % 2 else rng.normal(size=shape)
            case Kind.WHOLE:
                low, high = (leaf.bounds.low, leaf.bounds.high) if leaf.bounds else (ZERO, None)
                last = high.value(dims) if high is not None else UNBOUNDED
                data[leaf.name] = rng.integers(low.value(dims), last, size=shape, endpoint=True)
            case Kind.BOOL:
                data[leaf.name] = rng.random(shape) < 0.5  # noqa: PLR2004  (as often true as false)
    return data


def drawn_parameters(model: core.Model, attempt: int, rng: np.random.Generator) -> dict[str, Array]:
    """Parameters and states: by their laws, those that are trained moved by noise, by less at each new attempt."""
    values: dict[str, Array] = {}
    for leaf in model.leaves:
        if leaf.role not in (Role.PARAM, Role.STATE):
            continue
        start = _by_law(leaf, rng)
        spread = SPREAD * float(start.std()) or ALONE
        moved = leaf.role is Role.PARAM and not leaf.frozen
        values[leaf.name] = start + spread / (1 + attempt) * rng.normal(size=start.shape) if moved else start
    return values


def _by_law(leaf: core.Leaf, rng: np.random.Generator) -> Array:
    """The values that the law of a parameter gives; orthogonal ones as normal numbers of the same size."""
    assert leaf.law is not None, "every parameter has an initial law"
    shape = tuple(axis.extent.value({}) for axis in leaf.axes)
    if leaf.law.value is None:
        return np.asarray(rng.normal(size=shape) / np.sqrt(max(shape, default=1)))
    body = lower_law(leaf.law)
    names = [each.name for each in leaf.law.indices]
    place = tuple(index(name) for name in names)
    reads = reads_of(body)
    tensors = {f"{read}": _random(read.tensor, shape, rng) for read in reads}
    body = rebuild(body, {read: Read(f"{read}", place) for read in reads})
    count = math.prod(shape)
    env = dict(zip(names, np.indices(shape).reshape(len(shape), count), strict=True))
    points = Points(env, tuple(names), count, tensors)
    return np.array(evaluate(body, points), np.float64).reshape(shape)


def _random(law: str, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    return rng.uniform(size=shape) if law == "uniform" else rng.normal(size=shape)
