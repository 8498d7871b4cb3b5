"""How an array stands in a file of another program -> as the model has it: `"fc.weight: (g j) i -> i g j"`.

An axis is a name; several in brackets lie in one axis, the last the fastest; 1 is an axis of one place. The same names
stand on both sides of the arrow, but those of which `where` takes one place: `(p o) i -> i o where p = 1`. It may put
places into another order, too: `(g j) i -> i g j where g = 0 2 1 3`; `_` is a place of zeros. Sizes follow from the two
shapes, or are stated: `o (c:16 n:8 m) -> (n m c) o`.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .interface import Array

Axes = tuple[tuple[str, ...], ...]

AXIS = re.compile(r"\s*(?:\(([^()]*)\)|([^\s()]+))")
NAME = re.compile(r"([^\W\d]\w*)(?::([1-9]\d*))?|1")
WHERE = re.compile(r"\s*([^\W\d]\w*)\s*=\s*((?:\d+|_)(?:\s+(?:\d+|_))*)\s*")
ZEROS = -1
EXAMPLE = 'as "fc.weight", "fc.weight: o i -> i o" or "attention.weight: (p o) i -> i o where p = 1"'


@dataclass(frozen=True, slots=True)
class Source:
    """A tensor of the file and how its axes become the model's; `left` is None where it is taken as it is."""

    tensor: str
    text: str
    left: Axes | None
    right: Axes
    picks: Mapping[str, tuple[int, ...]]
    stated: Mapping[str, int]


def as_it_is(tensor: str) -> Source:
    """A tensor that has the model's shape already."""
    return Source(tensor, tensor, None, (), {}, {})


def parse(text: str) -> Source:
    """Reads an entry of a table.

    Raises:
        ValueError: it is not written as one, or the two sides do not have the same axes.
    """
    tensor = tensor_of(text)
    _, colon, rest = text.partition(": ")
    if not colon:
        return as_it_is(tensor)
    axes, _, where = rest.partition(" where ")
    left, arrow, right = axes.partition("->")
    if not tensor or not arrow:
        raise _malformed(text, "there is no ->" if tensor else "there is no name of a tensor before the colon")
    stated = {name: int(size) for name, size in NAME.findall(axes) if size}
    source = Source(tensor, text, _axes(text, left), _axes(text, right), _picks(text, where), stated)
    _check(source)
    return source


def tensor_of(text: str) -> str:
    """The tensor of the file that an entry is about, even one that is not written as an entry."""
    return text.partition(": ")[0].strip()


def _malformed(text: str, reason: str) -> ValueError:
    return ValueError(f"{text!r}, where {reason}")


def _axes(text: str, side: str) -> Axes:
    found: list[tuple[str, ...]] = []
    end = 0
    while side[end:].strip():
        axis = AXIS.match(side, end)
        names = tuple((axis[1] or axis[2] or "").split()) if axis else ()
        if axis is None or not names or not all(NAME.fullmatch(name) for name in names):
            raise _malformed(text, f"{side.strip()!r} is no list of axes")
        found.append(tuple(name.partition(":")[0] for name in names if name != "1"))
        end = axis.end()
    return tuple(found)


def _picks(text: str, where: str) -> dict[str, tuple[int, ...]]:
    picks: dict[str, tuple[int, ...]] = {}
    for part in where.split(",") if where else ():
        pick = WHERE.fullmatch(part)
        if pick is None:
            raise _malformed(text, f"{part.strip()!r} does not say which places of an axis: p = 1, or g = 0 2 1 3")
        picks[pick[1]] = tuple(ZEROS if place == "_" else int(place) for place in pick[2].split())
    return picks


def _check(source: Source) -> None:
    """The same names on both sides, each once; less those of which one place is taken."""
    left, right = [n for axis in source.left or () for n in axis], [n for axis in source.right for n in axis]
    dropped = {name for name, places in source.picks.items() if len(places) == 1}
    for names, side in ((left, "left"), (right, "right")):
        if twice := [name for name in names if names.count(name) > 1]:
            raise _malformed(source.text, f"{twice[0]} stands twice on the {side}")
    for name in source.picks:
        if name not in left:
            raise _malformed(source.text, f"there is no axis {name} to take places of")
    if wrong := sorted((set(left) - dropped) ^ set(right)):
        side = "left" if wrong[0] in left else "right"
        raise _malformed(source.text, f"{wrong[0]} stands on the {side} only")


# ------------------------------------------------------------------ applied


def rearranged(source: Source, array: Array, shape: tuple[int, ...]) -> Array:
    """The array in the model's shape.

    Raises:
        ValueError: the shapes do not fit; the message says why.
    """
    if source.left is None:
        if array.shape != shape:
            raise ValueError(f"is {list(array.shape)} in the file and {list(shape)} in the model")
        return array
    for side, of, what in ((source.left, array.shape, "in the file"), (source.right, shape, "in the model")):
        if len(side) != len(of):
            raise ValueError(f"is {list(of)} {what}, and {source.text!r} says {len(side)} axes")
    sizes = _sizes(source, array.shape, shape)
    names = [name for axis in source.left for name in axis]
    array = array.reshape([sizes[name] for name in names])
    for name, places in source.picks.items():
        if max(places) >= sizes[name]:
            raise ValueError(f"has {sizes[name]} places of {name}, and {source.text!r} takes place {max(places)}")
        array = _taken(array, places, names.index(name))
    kept = [name for axis in source.right for name in axis]
    dropped = [name for name in names if name not in kept]  # of one place each, so that they may stand anywhere
    sizes |= {name: len(places) for name, places in source.picks.items()}
    made = tuple(math.prod(sizes[name] for name in axis) for axis in source.right)
    if made != shape:
        raise ValueError(f"is {list(shape)} in the model, and {source.text!r} gives {list(made)}")
    return array.transpose([names.index(name) for name in (*kept, *dropped)]).reshape(shape)


def _taken(array: Array, places: tuple[int, ...], axis: int) -> Array:
    taken = np.take(array, [max(place, 0) for place in places], axis)
    np.moveaxis(taken, axis, 0)[[place == ZEROS for place in places]] = 0
    return taken


def _sizes(source: Source, there: tuple[int, ...], here: tuple[int, ...]) -> dict[str, int]:
    """The size of each axis on the left: what stands alone is known, and of each bracket one may be found."""
    assert source.left is not None
    sides = [*zip(source.left, there, strict=True)]
    for axis, extent in zip(source.right, here, strict=True):
        # of an axis that `where` takes places of, the model has those
        taken = math.prod(len(source.picks[name]) for name in axis if name in source.picks)
        if extent % taken == 0:
            sides.append((tuple(name for name in axis if name not in source.picks), extent // taken))
    sizes = dict(source.stated)
    for _ in range(len(sides)):
        for axis, extent in sides:
            unknown = [name for name in axis if name not in sizes]
            known = math.prod(sizes[name] for name in axis if name in sizes)
            if not unknown and known != extent:
                raise ValueError(f"is {list(there)} in the file and {list(here)} in the model, "
                                 f"which {source.text!r} does not join")  # fmt: skip
            if len(unknown) == 1:
                if known == 0 or extent % known:
                    raise ValueError(f"has an axis of {extent} places, which is not so many times {known}, "
                                     f"as {source.text!r} says")  # fmt: skip
                sizes[unknown[0]] = extent // known
    if unknown := [name for axis in source.left for name in axis if name not in sizes]:
        raise ValueError(f"could be cut in several ways: {source.text!r} does not tell the size of {unknown[0]}")
    return sizes
