"""Data files: an .npz by array names, a .csv by column names -> arrays by name.

What the file holds is not compared with the model beyond what is needed to find it; `data.prepare` does that.
Nothing in a file is ever unpickled.
"""

import csv
import io
import math
import re
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np

from gradc.beside import similar
from gradc.errors import fail, unreadable, unwritable
from gradc.nearest import nearest

from .data import Source
from .interface import Array, ArraySpec

DELIMITERS = ",;\t"
SHOWN_NAMES = 12
SUFFIXES = (".npz", ".csv", ".tsv")


def inside_folder(model: Path, data: str) -> Path:
    """The file that a model's `data` line names. A model file may be a stranger's: it reads beside and below itself.

    Raises:
        GradcError: the path is absolute or leaves the folder, by `..` or by a link.
    """
    plain = PurePosixPath(data)
    outside = plain.is_absolute() or ".." in plain.parts or bool(PureWindowsPath(data).drive) or "\\" in data
    folder = model.parent
    if outside or "\0" in data or not (folder / data).resolve().is_relative_to(folder.resolve()):
        help = "move the data beside the model, or name it on the command line: --data FILE"
        raise fail("data-outside-folder", f'data "{data}" leaves the folder of {model.name}', help)
    return folder / data


@dataclass(frozen=True, slots=True)
class Read:
    """What a data file holds of what is wanted, and where it stands there."""

    arrays: dict[str, Array]
    source: Source


def read(path: Path, specs: Sequence[ArraySpec], others: Sequence[str] = ()) -> Read:
    """The arrays of a data file that `specs` name; one that the file lacks is an error.

    Args:
        path: an .npz with an array for each name, or a .csv (see `from_columns`).
        specs: the arrays wanted.
        others: arrays of the model that are not wanted; their columns in a .csv belong to them.

    Raises:
        GradcError: the file is missing, damaged or of another kind.
    """
    try:
        if not path.exists():
            raise fail("no-such-file", f"there is no data file {path}", similar(path, SUFFIXES))
        if not path.is_file():
            raise fail("not-a-file", f"{path} is not a file", "an .npz or .csv file is wanted")
        match path.suffix.lower():
            case ".npz":
                return Read(_read_npz(path, specs), Source(path))
            case ".csv" | ".tsv":
                columns = read_columns(path)
                return Read(from_columns(columns, specs, others), columns.source)
            case _:
                raise fail("unknown-data", f"{path}: data is an .npz or a .csv file", help=_save_help(specs))
    except OSError as error:
        raise unreadable(path, error) from error


def _save_help(specs: Sequence[ArraySpec]) -> str:
    arrays = ", ".join(f"{spec.name}={spec.name}" for spec in specs)
    return f'write one with NumPy: np.savez("data.npz", {arrays})'


# ------------------------------------------------------------------ npz


def write_npz(path: Path, arrays: Mapping[str, Array]) -> None:
    """As `numpy.savez`, which takes no array named `file`. A file that was there stays until the new one is whole.

    Raises:
        GradcError: the file cannot be written.
    """
    partial = path.with_name(f".{path.name}.part")
    try:
        with zipfile.ZipFile(partial, "w") as archive:
            for name, array in arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                    np.lib.format.write_array(file, np.asarray(array), allow_pickle=False)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise unwritable(path, error) from error


def _read_npz(path: Path, specs: Sequence[ArraySpec]) -> dict[str, Array]:
    if not zipfile.is_zipfile(path):
        raise fail("damaged-data", f"{path} is not an .npz file, or only the start of one", help=_save_help(specs))
    arrays: dict[str, Array] = {}
    with np.load(path, allow_pickle=False) as archive:
        missing = [spec for spec in specs if spec.name not in archive.files]
        if missing:
            names = " and ".join(f"{spec.role} {spec}" for spec in missing)
            message = f"there is no array for {names}; it has {_listed(archive.files)}"
            raise Source(path).wrong("missing-array", message, _names_help(missing, specs, archive.files), *missing)
        for spec in specs:
            try:
                arrays[spec.name] = archive[spec.name]
            except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
                objects = "pickle" in str(error)
                why = "it holds Python objects" if objects else str(error)
                numbers = f"save it as an array of numbers: {spec.name}.astype(float)"
                help = numbers if objects else "the file is damaged: take another copy of it, or write it again"
                raise Source(path).wrong(
                    "damaged-data", f"array {spec.name} cannot be read: {why}", help, spec
                ) from error
    return arrays


def _names_help(missing: Sequence[ArraySpec], specs: Sequence[ArraySpec], there: Sequence[str]) -> str:
    """Save them under their names: what is there under another one that is like it, or the only one left."""
    left = [name for name in there if name not in {spec.name for spec in specs}]
    if len(missing) == 1 and left:
        name = missing[0].name
        close = nearest(name, left) or (left[0] if len(left) == 1 else None)
        if close:
            return f"is it {close}? Save it under the name {name}, or call the model's so"
    return _save_help(specs)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:SHOWN_NAMES])
    return (shown + (", …" if len(names) > SHOWN_NAMES else "")) or "no array"


# ------------------------------------------------------------------ csv


@dataclass(frozen=True, slots=True)
class Columns:
    """A .csv: the fields of each column by its name, and which lines of the file the rows are."""

    fields: Mapping[str, list[str]]
    source: Source


def read_columns(path: Path) -> Columns:
    """The fields of each column, by the names of the first line. The delimiter is the one the first line has most of.

    Raises:
        GradcError: not UTF-8, no line of names, a name twice, no rows, or a row longer or shorter than the names.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"{path} is not UTF-8: byte {error.start} is not text"
        raise fail("not-utf-8", message, "save the file with the encoding UTF-8") from error
    head = text.split("\n", 1)[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(DELIMITERS, key=head.count), strict=True)
    rows: list[tuple[int, list[str]]] = []
    try:
        rows.extend((reader.line_num, row) for row in reader if row)
    except csv.Error as error:
        help = "a field with a quote or a line end in it stands between double quotes, each quote in it doubled"
        raise fail("damaged-data", f"{path}:{reader.line_num}: {error}", help) from error
    names = [name.strip() for name in rows[0][1]] if rows else []
    if _is_example(names):
        raise fail("no-names", f"{path}:{rows[0][0]}: the first line is all numbers", NAMES_FIRST)
    if not rows[1:]:
        raise fail("empty-data", f"{path} has no rows", NAMES_FIRST)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise fail("column-twice", f"{path} has two columns named {twice[0]!r}", "give each a name of its own")
    for line, row in rows[1:]:
        if len(row) != len(names):
            message = f"{path}:{line}: this row has {len(row)} fields; there are {len(names)} columns"
            raise fail("damaged-data", message, "every row has a field for each name of the first line")
    fields = map(list, zip(*(row for _, row in rows[1:]), strict=True))
    source = Source(path, tuple(line for line, _ in rows[1:]))
    return Columns(dict(zip(names, fields, strict=True)), source)


NAMES_FIRST = "a line of column names comes first, then a row for each example"


def _is_example(names: Sequence[str]) -> bool:
    """Whether numbers stand in the place of names. A column may be called 0, or 2026, but not 0.5."""
    numbers = bool(names) and all(_number(name) is not None for name in names)
    return numbers and not (all(map(str.isdigit, names)) and len(set(names)) == len(names))


def from_columns(columns: Columns, specs: Sequence[ArraySpec], others: Sequence[str] = ()) -> dict[str, Array]:
    """Arrays from columns. Rows are the first axis; the columns of an array are, in this order of preference,

    - y[batch]: the column y;
    - x[batch, 64]: columns x_0 .. x_63 or x0 .. x63, counted from 0 or from 1 (more axes: in row-major order);
    - for at most one array that has none of these: all columns that belong to no other array, if their number fits.

    Raises:
        GradcError: an array whose columns cannot be found, or a field that is not a number.
    """
    fields, source = columns.fields, columns.source
    found = {spec.name: _columns_of(spec.name, len(spec.axes), fields) for spec in specs}
    taken = {name for names in found.values() for name in names}
    taken.update(name for other in others for rank in (1, 2) for name in _columns_of(other, rank, fields))
    rest = [name for name in fields if name not in taken]
    homeless = [spec for spec in specs if not found[spec.name]]
    if len(homeless) == 1 and _width(homeless[0]) == len(rest):
        found[homeless[0].name] = rest
        homeless = []
    for spec in homeless:
        raise source.wrong("missing-array", f"there are no columns for {spec}", _columns_help(spec, rest), spec)
    for spec in specs:
        there, width = found[spec.name], _width(spec)
        if len(spec.axes) > 1 and width is not None and len(there) < width:
            message = f"there is no column {_next(there)}: {spec} has {width}, the file {len(there)}"
            others = f"one of the others ({_listed(rest)}) may be it; if none is" if rest else "if none is left out"
            raise source.wrong("missing-array", message, f"{others}, declare as many as there are", spec)
    return {spec.name: _assembled(source, spec, {name: fields[name] for name in found[spec.name]}) for spec in specs}


def _columns_of(name: str, rank: int, columns: Mapping[str, list[str]]) -> list[str]:
    """The columns named after an array, in their order; none where a number is missing."""
    if rank <= 1:
        return [name] if rank and name in columns else []
    numbered: dict[int, str] = {}
    for column in columns:
        if match := re.fullmatch(re.escape(name) + r"_?([0-9]{1,9})", column):
            numbered[int(match[1])] = column
    first = min(numbered, default=0)
    complete = first in (0, 1) and sorted(numbered) == list(range(first, first + len(numbered)))
    return [numbered[n] for n in sorted(numbered)] if complete else []


def _next(columns: Sequence[str]) -> str:
    """The name that would come after numbered ones: x_2 after x_0 and x_1."""
    stem = columns[-1].rstrip("0123456789")
    return f"{stem}{int(columns[-1][len(stem) :]) + 1}"


def _width(spec: ArraySpec) -> int | None:
    """How many columns an array takes, where its declaration says so."""
    sizes = [axis for axis in spec.axes[1:] if isinstance(axis, int)]
    return math.prod(sizes) if len(spec.axes) > 1 and len(sizes) == len(spec.axes) - 1 else None


def _columns_help(spec: ArraySpec, rest: Sequence[str]) -> str:
    if not spec.axes:
        return "a scalar cannot come from a .csv: use an .npz"
    width = _width(spec)
    if len(spec.axes) == 1:
        wanted = f"a column {spec.name}"
    elif width is None:
        wanted = f"columns {spec.name}_0, {spec.name}_1, …"
    else:
        wanted = f"columns {spec.name}_0 .. {spec.name}_{width - 1}, or {width} columns that belong to no other array"
    return f"wanted: {wanted}; the file's other {len(rest)}: {_listed(rest)}"


def _assembled(source: Source, spec: ArraySpec, columns: Mapping[str, list[str]]) -> Array:
    numbers = [_numbers(source, spec, name, fields) for name, fields in columns.items()]
    if len(spec.axes) == 1:
        return numbers[0]
    table = np.stack(numbers, axis=1)
    rest = [axis if isinstance(axis, int) else -1 for axis in spec.axes[1:]]
    fixed = math.prod(size for size in rest if size > 0)
    fits = table.shape[1] % fixed == 0 if rest.count(-1) == 1 else table.shape[1] == fixed
    # a table that does not fit is left as it is: the check of its shape says what is wrong
    return table.reshape(len(table), *rest) if fits else table


WORDS = {"true": 1.0, "false": 0.0}
MISSING = ("", "na", "n/a", "#n/a", "null", "none", "nil", "?", "-")
"""How tables write that a number is not there."""


def _numbers(source: Source, spec: ArraySpec, name: str, fields: list[str]) -> Array:
    numbers = np.empty(len(fields))
    for row, field in enumerate(fields):
        number = _number(field)
        if number is None:
            word = field.strip()
            what = f"{word!r} is not a number" if word else "there is nothing"
            raise source.wrong("not-a-number", f"column {name}: {what}", _field_help(word), spec, place=(row,))
        numbers[row] = number
    return numbers


def _number(field: str) -> float | None:
    """A field's number. Python reads `2020_01` as one, too; in a table it is a word."""
    try:
        return None if "_" in field else float(field)
    except ValueError:
        return WORDS.get(field.strip().lower())


def _field_help(word: str) -> str:
    if word.lower() in MISSING:
        return "leave such examples out, or fill them in"
    if "," in word and _number(word.replace(",", "")) is not None:
        return "a number has a point before its decimals and no other separator: 1234.5"
    return "every field of a column that the model uses is a number; words are numbered, 0, 1, 2, …"
