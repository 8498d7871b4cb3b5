"""Checks arrays against what a model takes, and brings them into the form in which it takes them.

Arrays by name and their descriptions -> C-contiguous NumPy arrays of the module's dtypes, or a `GradcError` with
everything that is wrong, places included. Every value is looked at, so this is for `fit`, not for each step.
It reads no files (`files.py`) and cuts no batches (`training.py`).
"""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gradc.errors import Diagnostic, GradcError
from gradc.nearest import did_you_mean

from .interface import Array, ArraySpec, Emitted, Kind, numpy_dtype

WIDEST_WHOLE = 2.0**63


@dataclass(frozen=True, slots=True)
class Source:
    """Where arrays come from: a call, or a file, with the line of each row where it is a .csv.

    A file may hold whole numbers and truths as real numbers, a .csv has nothing else; an array in a call is of the
    dtype that it should be, for `fit` as for `train_step`.
    """

    file: Path | None = None
    lines: tuple[int, ...] = ()

    def wrong(self, code: str, message: str, help: str, *specs: ArraySpec,
              place: tuple[int, ...] = ()) -> GradcError:  # fmt: skip
        """An error about arrays from here, at a place of the first."""
        line = f":{self.lines[place[0]]}" if place and self.lines else ""
        message = f"{self.file}{line}: {message}" if self.file else message
        return GradcError([Diagnostic(code, message, help=help, about=tuple(spec.name for spec in specs))])

    def kinds(self, kind: Kind) -> str:
        """The kinds of dtypes that hold such numbers."""
        return _DTYPES["real"] + "b" if self.file else _DTYPES[kind]


CALL = Source()
_KINDS: Mapping[Kind, str] = {"real": "real numbers", "whole": "whole numbers", "bool": "true and false"}
_DTYPES: Mapping[Kind, str] = {"real": "fiu", "whole": "iu", "bool": "b"}
_CASTS: Mapping[Kind, str] = {"real": "float32", "whole": "int", "bool": "bool"}


def by_name(specs: Sequence[ArraySpec], arrays: Sequence[object], named: Mapping[str, object]) -> dict[str, object]:
    """Arrays given by position, in the order of declaration, and by name, as one mapping.

    Raises:
        GradcError: too many arrays, a name that the model does not have, or an array given twice.
    """
    declared = ", ".join(str(spec) for spec in specs)
    wrong: list[Diagnostic] = []
    if len(arrays) > len(specs):
        message = f"{len(arrays)} arrays are given; the model takes {declared}"
        wrong.append(Diagnostic("too-many-arrays", message, help=f"leave out {len(arrays) - len(specs)} of them"))
    given = {spec.name: array for spec, array in zip(specs, arrays, strict=False)}
    names = [spec.name for spec in specs]
    for name, array in named.items():
        if name not in names:
            message = f"the model has no array {name}, and there is no argument of this name"
            wrong.append(Diagnostic("unknown-array", message, help=_near(name, names, declared)))
        elif name in given:
            message = f"{name} is given by position and by name"
            wrong.append(Diagnostic("array-twice", message, help="give it once", about=(name,)))
        given[name] = array
    if wrong:
        raise GradcError(wrong)
    return given


OPTIONS = ("epochs", "batch_size", "validation", "seed", "progress")
"""What `fit` takes besides arrays."""


def _near(name: str, arrays: Sequence[str], declared: str) -> str:
    """How to mend a name: one that is like it (`batch` begins `batch_size`), or what there is."""
    close = did_you_mean(name, [*arrays, *OPTIONS])
    return close or f"arrays: {declared}; options: {', '.join(OPTIONS)}; gradc.compile takes dtype and lr"


def prepare(
    module: Emitted, specs: Sequence[ArraySpec], given: Mapping[str, object], source: Source = CALL
) -> dict[str, Array]:
    """The arrays in the order of `specs`, checked and converted. An array that fits already is not copied.

    Raises:
        GradcError: arrays that are missing, of the wrong dtype, rank or extent, that disagree about a free dim, are
            empty, hold NaN, infinity or a whole number outside its range. All of them at once.
    """
    ready: dict[str, Array] = {}
    wrong: list[Diagnostic] = []
    dims: dict[str, tuple[int, ArraySpec]] = {}
    for spec in specs:
        try:
            array = _as_array(spec, given, source)
            _check_shape(spec, array, dims, source)
            _check_dtype(spec, array, source)
            ready[spec.name] = _converted(spec, array, numpy_dtype(module, spec.kind), source)
        except GradcError as error:
            wrong.extend(error.diagnostics)
    for spec in specs:
        if spec.kind == "whole" and spec.name in ready:
            wrong.extend(_outside(spec, ready[spec.name], dims, source))
    if wrong:
        raise GradcError(wrong)
    return ready


def fingerprint(arrays: Sequence[Array]) -> str:
    """A hash of arrays in their order: of their numbers, dtypes and shapes, not of the file they come from."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(shown(array).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def shown(array: Array) -> str:
    """dtype and shape, as in errors: float64[1797, 64]."""
    return f"{array.dtype}{list(array.shape)}"


def _as_array(spec: ArraySpec, given: Mapping[str, object], source: Source) -> Array:
    if spec.name not in given:
        others = ", ".join(given) or "no array"
        help = f"pass it by name, {spec.name}=…, or at its place in the order of declaration"
        raise source.wrong("missing-array", f"{spec.role} {spec} is missing; given: {others}", help, spec)
    try:
        array = np.asarray(given[spec.name])
    except (TypeError, ValueError) as error:  # rows of different lengths
        help = "give all rows one length; shorter ones can be filled up, with a second array that says what counts"
        raise source.wrong("not-an-array", f"{spec} cannot be made an array: {error}", help, spec) from error
    return array


def _check_dtype(spec: ArraySpec, array: Array, source: Source) -> None:
    if array.dtype.kind not in source.kinds(spec.kind):
        message = f"{spec} holds {_KINDS[spec.kind]}; {shown(array)} is given"
        raise source.wrong("wrong-dtype", message, _dtype_help(spec, array), spec)


def _dtype_help(spec: ArraySpec, array: Array) -> str:
    match array.dtype.kind:
        case "U" | "S" if spec.kind == "real":
            return f"if the words are numbers: {spec.name}.astype(float)"
        case "U" | "S":
            return f"give each word a number: words, {spec.name} = np.unique({spec.name}, return_inverse=True)"
        case "f" | "i" | "u" | "b":
            return f"if that is what they are: {spec.name}.astype({_CASTS[spec.kind]!r})"
        case "c":
            return f"give the parts as two arrays: {spec.name}.real and {spec.name}.imag"
    return f"make an array of numbers of it; an object in it has no number: {spec.name}.astype(float) says which"


def _check_shape(spec: ArraySpec, array: Array, dims: dict[str, tuple[int, ArraySpec]], source: Source) -> None:
    """Rank and extents. Free dims that stand alone are learned in `dims`, with the array that gave them."""
    if array.ndim != len(spec.axes):
        wanted = f"{len(spec.axes)} axes" if len(spec.axes) != 1 else "1 axis"
        message = f"{spec} has {wanted}; {shown(array)} is given"
        raise source.wrong("wrong-rank", message, _reshape_help(spec, array), spec)
    for place, (axis, extent) in enumerate(zip(spec.axes, array.shape, strict=True)):
        if isinstance(axis, int) and extent != axis:
            message = f"{spec}: axis {place} has {axis} places; {shown(array)} is given"
            raise source.wrong("wrong-extent", message, _extent_help(spec, array, axis, extent), spec)
        if extent == 0:
            message = f"{spec} is empty: {shown(array)}; every dim is at least 1"
            raise source.wrong("empty-array", message, f"give at least one {axis}", spec)
    for axis, extent in zip(spec.axes, array.shape, strict=True):
        if isinstance(axis, str) and axis.isidentifier():
            size, owner = dims.setdefault(axis, (extent, spec))
            if size != extent:
                message = f"dim {axis} is {size} in {owner.name} and {extent} in {spec.name}"
                help = "what has the same dim has one length: leave out what is too much, or give it another dim"
                raise source.wrong("dims-disagree", message, help, owner, spec)


def _reshape_help(spec: ArraySpec, array: Array) -> str:
    """The mends that are nearly always meant: a column that should be a vector, and the other way round."""
    rank = len(spec.axes)
    if rank == array.ndim - 1 and array.shape[-1] == 1:
        return f"drop the last axis: {spec.name}[..., 0]"
    if rank == array.ndim + 1 and spec.axes[-1] == 1:
        return f"add an axis: {spec.name}[..., None]"
    if spec.kind == "whole" and rank == array.ndim - 1 and array.shape[-1] == spec.limit:
        return f"a class is its number, not a row with a 1 at it: {spec.name}.argmax(axis=-1)"
    rest = [axis for axis in spec.axes[1:] if isinstance(axis, int)]
    if len(rest) == rank - 1 and rank > 1 and math.prod(array.shape[1:]) == math.prod(rest):
        return f"the numbers are as many: {spec.name}.reshape(-1, {', '.join(map(str, rest))})"
    pairs = zip(spec.axes[1:], array.shape, strict=False)
    if rank == array.ndim + 1 and all(axis == extent or isinstance(axis, str) for axis, extent in pairs):
        return f"is this one example? {spec.name}[None] is a batch of one"
    return "give it these axes, or declare the axes that it has"


def _extent_help(spec: ArraySpec, array: Array, wanted: int, given: int) -> str:
    fixed = [axis if isinstance(axis, int) else None for axis in spec.axes]
    turned = array.shape[::-1]
    if all(axis in (None, extent) for axis, extent in zip(fixed, turned, strict=True)):
        return f"it fits when it is transposed: {spec.name}.T"
    last = tuple(np.moveaxis(np.empty(array.shape, bool), 1, -1).shape) if array.ndim > 2 else turned  # noqa: PLR2004
    if all(axis in (None, extent) for axis, extent in zip(fixed, last, strict=True)):
        return f"channels are last here: np.moveaxis({spec.name}, 1, -1)"
    return f"declare {given} places in the model, or give an array with {wanted}"


def _converted(spec: ArraySpec, array: Array, dtype: np.dtype[Any], source: Source) -> Array:
    match spec.kind:
        case "real":
            return _real(spec, array, dtype, source)
        case "whole":
            return _whole(spec, array, dtype, source)
        case "bool":
            return _bool(spec, array, dtype, source)


def _real(spec: ArraySpec, array: Array, dtype: np.dtype[Any], source: Source) -> Array:
    with np.errstate(over="ignore"):
        converted = np.ascontiguousarray(array, dtype).reshape(array.shape)
    finite = np.isfinite(converted)
    if finite.all():
        return converted
    place = _first(~finite)
    value, at = array[place], _at(spec.name, place)
    if np.isfinite(value):
        message, help = f"{at} is {value}, which {dtype} cannot hold", "use float64, or another unit"
        raise source.wrong("number-too-large", message, help, spec, place=place)
    count = int(finite.size - np.count_nonzero(finite))
    more = f" ({count:,} such places in all)" if count > 1 else ""
    help = "leave such examples out, or fill them in"
    raise source.wrong("not-finite", f"{at} is {value}{more}", help, spec, place=place)


def _whole(spec: ArraySpec, array: Array, dtype: np.dtype[Any], source: Source) -> Array:
    """Whole numbers; in a file they may be written 3.0."""
    if array.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            fits = (np.floor(array) == array) & (np.abs(array) < WIDEST_WHOLE)
        if not fits.all():
            place = _first(~fits)
            message = f"{_at(spec.name, place)} is {array[place]}, and {spec} holds whole numbers"
            help = "leave out or round what is none; a real number is declared without `: int`"
            raise source.wrong("not-whole", message, help, spec, place=place)
    elif array.dtype.kind == "u" and array.size and int(array.max()) >= int(WIDEST_WHOLE):
        place = _first(array >= np.uint64(WIDEST_WHOLE))
        message = f"{_at(spec.name, place)} is {array[place]}, too large a whole number"
        raise source.wrong("not-whole", message, "numbers below 2^63 can be held", spec, place=place)
    return np.ascontiguousarray(array, dtype).reshape(array.shape)


def _bool(spec: ArraySpec, array: Array, dtype: np.dtype[Any], source: Source) -> Array:
    """Truths; in a file they may be written 1 and 0."""
    fits = (array == 0) | (array == 1)
    if not fits.all():
        place = _first(~fits)
        message = f"{_at(spec.name, place)} is {array[place]}, and {spec.name} holds true and false (1 and 0)"
        raise source.wrong("not-bool", message, f"say what is true, as {spec.name} > 0", spec, place=place)
    return np.ascontiguousarray(array, dtype).reshape(array.shape)


def _outside(
    spec: ArraySpec, array: Array, dims: Mapping[str, tuple[int, ArraySpec]], source: Source
) -> Iterator[Diagnostic]:
    """The first place that holds a whole number outside its range, where the range is known here."""
    limit = dims[spec.limit][0] if isinstance(spec.limit, str) and spec.limit in dims else spec.limit
    if not isinstance(limit, int):
        return
    outside = (array < 0) | (array >= limit)
    if outside.any():
        place = _first(outside)
        count = int(np.count_nonzero(outside))
        more = f" ({count:,} places outside in all)" if count > 1 else ""
        from_one = array.min() >= 1 and array.max() == limit
        help = f"count from 0, not from 1: {spec.name} - 1" if from_one else _range_help(array)
        message = f"{spec.name} holds 0 .. {limit - 1}; {_at(spec.name, place)} is {array[place]}{more}"
        yield from source.wrong("outside-range", message, help, spec, place=place).diagnostics


def _range_help(array: Array) -> str:
    if array.min() < 0:
        return "numbers count from 0: give what is missing a number of its own, or leave such examples out"
    return f"the largest is {array.max()}: declare int({int(array.max()) + 1}), or leave such examples out"


def _first(wrong: Array) -> tuple[int, ...]:
    """The first place, in row-major order, that is true."""
    return tuple(int(n) for n in np.unravel_index(int(np.argmax(wrong)), wrong.shape))


def _at(name: str, place: tuple[int, ...]) -> str:
    return f"{name}[{', '.join(map(str, place))}]" if place else name
