"""Checks arrays against what a model takes, and brings them into the form in which it takes them.

Arrays by name and their descriptions -> C-contiguous NumPy arrays of the module's dtypes, or a `GradcError` with
everything that is wrong, places included. Every value is looked at, so this is for `fit`, not for each step.
It reads no files (`files.py`) and cuts no batches (`training.py`).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from gradc.errors import Diagnostic, GradcError, fail

from .interface import Array, ArraySpec, Emitted, Kind, numpy_dtype

WIDEST_WHOLE = 2.0**63


def by_name(specs: Sequence[ArraySpec], arrays: Sequence[object], named: Mapping[str, object]) -> dict[str, object]:
    """Arrays given by position, in the order of declaration, and by name, as one mapping.

    Raises:
        GradcError: too many arrays, a name that the model does not have, or an array given twice.
    """
    declared = ", ".join(str(spec) for spec in specs)
    wrong: list[Diagnostic] = []
    if len(arrays) > len(specs):
        wrong.append(Diagnostic("too-many-arrays", f"{len(arrays)} arrays are given; the model takes {declared}"))
    given = {spec.name: array for spec, array in zip(specs, arrays, strict=False)}
    names = [spec.name for spec in specs]
    for name, array in named.items():
        if name not in names:
            wrong.append(Diagnostic("unknown-array", f"the model has no array {name}; it takes {declared}"))
        elif name in given:
            wrong.append(Diagnostic("array-twice", f"{name} is given by position and by name"))
        given[name] = array
    if wrong:
        raise GradcError(wrong)
    return given


def prepare(module: Emitted, specs: Sequence[ArraySpec], given: Mapping[str, object]) -> dict[str, Array]:
    """The arrays in the order of `specs`, checked and converted. An array that fits already is not copied.

    Raises:
        GradcError: arrays that are missing, of the wrong dtype, rank or extent, that disagree about a free dim, are
            empty, hold NaN, infinity or a whole number outside its range. All of them at once.
    """
    ready: dict[str, Array] = {}
    wrong: list[Diagnostic] = []
    dims: dict[str, tuple[int, str]] = {}
    for spec in specs:
        try:
            array = _as_array(spec, given)
            _check_shape(spec, array, dims)
            ready[spec.name] = _converted(spec.name, array, spec.kind, numpy_dtype(module, spec.kind))
        except GradcError as error:
            wrong.extend(error.diagnostics)
    for spec in specs:
        if spec.kind == "whole" and spec.name in ready:
            wrong.extend(_outside(spec, ready[spec.name], dims))
    if wrong:
        raise GradcError(wrong)
    return ready


def shown(array: Array) -> str:
    """dtype and shape, as in errors: float64[1797, 64]."""
    return f"{array.dtype}{list(array.shape)}"


def _as_array(spec: ArraySpec, given: Mapping[str, object]) -> Array:
    if spec.name not in given:
        others = ", ".join(given) or "no array"
        raise fail("missing-array", f"{spec.role} {spec} is missing; given: {others}")
    try:
        array = np.asarray(given[spec.name])
    except (TypeError, ValueError) as error:  # rows of different lengths
        raise fail("not-an-array", f"{spec} cannot be made an array: {error}") from error
    if array.dtype.kind not in "fiub":
        raise fail("wrong-dtype", f"{spec} holds {_KINDS[spec.kind]}; {shown(array)} is given")
    return array


_KINDS: Mapping[Kind, str] = {"real": "real numbers", "whole": "whole numbers", "bool": "true and false"}


def _check_shape(spec: ArraySpec, array: Array, dims: dict[str, tuple[int, str]]) -> None:
    """Rank and extents. Free dims that stand alone are learned in `dims`, with the array that gave them."""
    if array.ndim != len(spec.axes):
        wanted = f"{len(spec.axes)} axes" if len(spec.axes) != 1 else "1 axis"
        raise fail("wrong-rank", f"{spec} has {wanted}; {shown(array)} is given", _reshape_help(spec, array))
    for place, (axis, extent) in enumerate(zip(spec.axes, array.shape, strict=True)):
        if isinstance(axis, int):
            if extent != axis:
                raise fail("wrong-extent", f"{spec}: axis {place} has {axis} places; {shown(array)} is given")
        elif extent == 0:
            raise fail("empty-array", f"{spec} is empty: {shown(array)}; every dim is at least 1")
        elif axis.isidentifier():
            size, owner = dims.setdefault(axis, (extent, spec.name))
            if size != extent:
                raise fail("dims-disagree", f"dim {axis} is {size} in {owner} and {extent} in {spec.name}")


def _reshape_help(spec: ArraySpec, array: Array) -> str | None:
    """The mends that are nearly always meant: a column that should be a vector, and the other way round."""
    rank = len(spec.axes)
    if rank == array.ndim - 1 and array.shape[-1] == 1:
        return f"drop the last axis: {spec.name}[..., 0]"
    if rank == array.ndim + 1 and spec.axes[-1] == 1:
        return f"add an axis: {spec.name}[..., None]"
    rest = [axis for axis in spec.axes[1:] if isinstance(axis, int)]
    if len(rest) == rank - 1 > 1 and array.shape[1:] == (math.prod(rest),):
        return f"split the last axis: {spec.name}.reshape(-1, {', '.join(map(str, rest))})"
    return None


def _converted(name: str, array: Array, kind: Kind, dtype: np.dtype[Any]) -> Array:
    match kind:
        case "real":
            return _real(name, array, dtype)
        case "whole":
            return _whole(name, array, dtype)
        case "bool":
            return _bool(name, array, dtype)


def _real(name: str, array: Array, dtype: np.dtype[Any]) -> Array:
    with np.errstate(over="ignore"):
        converted = np.ascontiguousarray(array, dtype).reshape(array.shape)
    finite = np.isfinite(converted)
    if finite.all():
        return converted
    place = _first(~finite)
    value = array[place]
    if np.isfinite(value):
        raise fail("number-too-large", f"{_at(name, place)} is {value}, which {dtype} cannot hold", "use float64")
    count = int(finite.size - np.count_nonzero(finite))
    more = f" ({count:,} such places in all)" if count > 1 else ""
    raise fail("not-finite", f"{_at(name, place)} is {value}{more}", "leave such examples out, or fill them in")


def _whole(name: str, array: Array, dtype: np.dtype[Any]) -> Array:
    if array.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            fits = (np.floor(array) == array) & (np.abs(array) < WIDEST_WHOLE)
        if not fits.all():
            place = _first(~fits)
            message = f"{_at(name, place)} is {array[place]}, and {name} holds whole numbers"
            raise fail("not-whole", message)
    elif array.dtype.kind == "u" and array.size and int(array.max()) >= int(WIDEST_WHOLE):
        place = _first(array >= np.uint64(WIDEST_WHOLE))
        raise fail("not-whole", f"{_at(name, place)} is {array[place]}, too large a whole number")
    return np.ascontiguousarray(array, dtype).reshape(array.shape)


def _bool(name: str, array: Array, dtype: np.dtype[Any]) -> Array:
    fits = (array == 0) | (array == 1)
    if not fits.all():
        place = _first(~fits)
        raise fail("not-bool", f"{_at(name, place)} is {array[place]}, and {name} holds true and false (1 and 0)")
    return np.ascontiguousarray(array, dtype).reshape(array.shape)


def _outside(spec: ArraySpec, array: Array, dims: Mapping[str, tuple[int, str]]) -> Iterator[Diagnostic]:
    """The first place that holds a whole number outside its range, where the range is known here."""
    limit = dims[spec.limit][0] if isinstance(spec.limit, str) and spec.limit in dims else spec.limit
    if not isinstance(limit, int):
        return
    outside = (array < 0) | (array >= limit)
    if outside.any():
        place = _first(outside)
        count = int(np.count_nonzero(outside))
        more = f" ({count:,} places outside in all)" if count > 1 else ""
        hint = "count from 0, not from 1" if array.min() >= 1 and array.max() == limit else None
        message = f"{spec.name} holds 0 .. {limit - 1}; {_at(spec.name, place)} is {array[place]}{more}"
        yield Diagnostic("outside-range", message, help=hint)


def _first(wrong: Array) -> tuple[int, ...]:
    """The first place, in row-major order, that is true."""
    return tuple(int(n) for n in np.unravel_index(int(np.argmax(wrong)), wrong.shape))


def _at(name: str, place: tuple[int, ...]) -> str:
    return f"{name}[{', '.join(map(str, place))}]" if place else name
