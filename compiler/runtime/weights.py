"""Parameters from a file of weights: which of the model's, from which tensors of the file, and what does not fit.

A file and a choice -> arrays by the model's names, or a `GradcError` that lists everything that is missing, left over
or of another shape or dtype. It changes no model (`checkpoint.py` does) and reads no weights (`tensors.py`).
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from gradc.beside import similar
from gradc.errors import GradcError, fail
from gradc.patterns import fits

from .interface import Array, Place
from .rearrange import EXAMPLE, Source, as_it_is, parse, rearranged, tensor_of
from .tensors import TensorFile

Missing = Literal["error", "init"]
Table = Mapping[str, tuple[Source, ...]]
MISSING: tuple[Missing, ...] = ("error", "init")


@dataclass(frozen=True, slots=True)
class Malformed:
    """An entry of a table that is not written as one: the reasons, and the tensors of the file that it names."""

    reasons: tuple[str, ...]
    tensors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    """What of a file is wanted. The usual: every parameter, each under its own name, and nothing else in the file.

    only: patterns of parameters; the others stay as they are, and nothing is asked of the file for them.
    missing: "init" gives a parameter that the file lacks its first values.
    ignore: patterns of tensors of the file that may be left over.
    table: where a parameter stands in the file, and how, if not under its own name and in its own shape.
    malformed: of parameters whose entries in the table cannot be read, what is wrong with each.
    """

    only: tuple[str, ...] = ("*",)
    missing: Missing = "error"
    ignore: tuple[str, ...] = ()
    table: Table = field(default_factory=dict)
    malformed: "Mapping[str, Malformed]" = field(default_factory=dict)

    @property
    def everything(self) -> bool:
        """Whether it is the whole file that is wanted, as gradc wrote it."""
        return self.only == ("*",) and not self.table and not self.malformed

    def of(self, names: Iterable[str]) -> list[str]:
        """The parameters that are wanted."""
        return [name for name in names if any(fits(pattern, name) for pattern in self.only)]


def choice(only: str | Sequence[str] | None, missing: str, ignore: str | Sequence[str],
           table: str | Path | Mapping[str, object] | None) -> Choice:  # fmt: skip
    """A choice as users write it: one pattern or several, the table a TOML file or a dict.

    Raises:
        GradcError: `missing` is no word for it, or the file of the table cannot be read.
    """
    if missing not in MISSING:
        raise fail("bad-option", f'missing is "error" or "init", not {missing!r}', '"init" draws what the file lacks')
    patterns = ("*",) if only is None else _several("only", only)
    entries = {name: _sources(value) for name, value in _entries(table)}
    good = {name: entry for name, entry in entries.items() if not isinstance(entry, Malformed)}
    malformed = {name: entry for name, entry in entries.items() if isinstance(entry, Malformed)}
    return Choice(patterns, "init" if missing == "init" else "error", _several("ignore", ignore), good, malformed)


def _several(option: str, patterns: object) -> tuple[str, ...]:
    several = tuple(patterns) if isinstance(patterns, Iterable) and not isinstance(patterns, str) else (patterns,)
    texts = tuple(pattern for pattern in several if isinstance(pattern, str))
    if len(texts) < len(several):
        help = f'{option} = "backbone.*", or {option} = ["backbone.*", "head.bias"]'
        raise fail("bad-option", f"{option} is a pattern or a list of patterns, not {patterns!r}", help)
    return texts


# ------------------------------------------------------------------ tables


def _entries(given: str | Path | Mapping[str, object] | None) -> Iterator[tuple[str, object]]:
    if given is None:
        return iter(())
    if not isinstance(given, str | Path | Mapping):
        help = 'table = {"h.weight": "fc1.weight: o i -> i o"}, or the same in a file, table = "names.toml"'
        raise fail("bad-option", f"table is a dict or the path of a TOML file, not {given!r}", help)
    return _flat(given if isinstance(given, Mapping) else _read_toml(Path(given)))


def _read_toml(path: Path) -> Mapping[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        message = f"the table {path} cannot be read: {error.strerror or error}"
        raise fail("unreadable-file", message, similar(path, (".toml",))) from error
    except ValueError as error:  # no UTF-8, no TOML
        help = 'a line is h.weight = "fc1.weight: o i -> i o"; docs/weights.md'
        raise fail("bad-table", f"the table {path} is not TOML: {error}", help) from error


def _flat(entries: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """`h.weight = …` in TOML is a table h with an entry weight; the parameter's name has the dot."""
    for name, value in entries.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _sources(value: object) -> tuple[Source, ...] | Malformed:
    """The tensors that a parameter is made of: one, or several to be added."""
    entries = value if isinstance(value, list | tuple) else [value]
    texts = [entry for entry in entries if isinstance(entry, str)]
    if not texts or len(texts) < len(entries):
        return Malformed((f"{value!r}, and not a text or a list of texts",), tuple(map(tensor_of, texts)))
    found: list[Source] = []
    wrong: list[str] = []
    for text in texts:
        try:
            found.append(parse(text))
        except ValueError as error:
            wrong.append(str(error))
    return Malformed(tuple(wrong), tuple(map(tensor_of, texts))) if wrong else tuple(found)


# ------------------------------------------------------------------ from a file


def chosen(choice: Choice, file: TensorFile, wanted: Mapping[str, Place], dtype: str) -> dict[str, Array]:
    """The parameters that are wanted and there, in the model's shapes and dtype. One that is missing is left out.

    Args:
        choice: what is wanted.
        file: its tensors; moments that gradc wrote are not among them.
        wanted: the model's parameters.
        dtype: of the model.

    Raises:
        GradcError: something does not fit; everything that does not is told.
    """
    wrong = list(_unknown(choice, wanted))
    found: dict[str, Array] = {}
    used = {tensor for entry in choice.malformed.values() for tensor in entry.tensors}
    for name in choice.of(wanted):
        if name in choice.malformed:
            continue
        sources = choice.table.get(name) or (as_it_is(name),)
        used |= {source.tensor for source in sources}
        absent = [s.tensor for s in sources if s.tensor not in file.tensors and s.tensor not in file.strange]
        if absent:
            named = "" if absent == [name] else f": the file has no {' and no '.join(absent)}"
            # what the table names is meant to be there
            if choice.missing == "error" or name in choice.table:
                wrong.append(f"parameter {name} is missing{named}")
            continue
        try:
            found[name] = _value(sources, file, wanted[name][1], dtype)
        except ValueError as error:
            wrong.append(f"parameter {name} {error}")
    wrong += [f"{name} is no parameter of the model" for name in _left_over(choice, file, used)]
    if wrong:
        written = f"an entry of the table is written {EXAMPLE}\n" if choice.malformed else ""
        raise do_not_fit(file.path, wrong, written)
    return found


def do_not_fit(path: Path, wrong: Sequence[str], first: str = "") -> GradcError:
    """Everything of a file that does not fit the model; `first` is how to mend something else."""
    help = (
        "to train from a part, only (--only 'h.*') takes it, missing = \"init\" (--missing init) draws what it lacks\n"
        "ignore (--ignore 'h.*') passes over what is left over\n"
        "a table says where a parameter stands in another program's file: docs/weights.md"
    )
    return fail(
        "weights-differ",
        "".join([f"{path} does not fit the model:", *(f"\n     - {one}" for one in wrong)]),
        f"{first}{help}",
    )


def _unknown(choice: Choice, wanted: Mapping[str, Place]) -> Iterator[str]:
    """Patterns and entries of the table that are for no parameter, or cannot be read."""
    for pattern in choice.only:
        if not any(fits(pattern, name) for name in wanted):
            yield f"no parameter fits {pattern}; the model has {', '.join(wanted)}"
    for name, entry in choice.malformed.items():
        yield from (f"the table's entry for {name} is {reason}" for reason in entry.reasons)
    for name in (*choice.table, *choice.malformed):
        if name not in wanted:
            yield f"the table has {name}, which is no parameter of the model; it has {', '.join(wanted)}"


def _left_over(choice: Choice, file: TensorFile, used: set[str]) -> Iterator[str]:
    """Tensors of the file that nobody takes and that are not passed over: those that `only` leaves out are."""
    for name in (*file.tensors, *file.strange):
        if name in used or any(fits(pattern, name) for pattern in choice.ignore):
            continue
        if choice.only == ("*",) or (not choice.table and any(fits(pattern, name) for pattern in choice.only)):
            yield name


def _value(sources: Sequence[Source], file: TensorFile, shape: tuple[int, ...], dtype: str) -> Array:
    """A parameter, in float64 until its parts are added.

    Raises:
        ValueError: a part has another shape or dtype, or holds what the model's dtype cannot.
    """
    total = np.zeros(shape)
    for source in sources:
        if (strange := file.strange.get(source.tensor)) is not None:
            raise ValueError(f"is {strange}, which cannot be read")
        stored = file.tensors[source.tensor]
        if stored.dtype.kind != "f":
            raise ValueError(f"is {stored.dtype} in the file, and real in the model")
        part = rearranged(source, stored, tuple(shape))
        total = part if len(sources) == 1 else total + part
    with np.errstate(over="ignore"):
        value = total.astype(dtype)
    if too_large := np.argwhere(np.isfinite(total) & ~np.isfinite(value)).tolist():
        place = tuple(too_large[0])
        raise ValueError(f"holds {total[place]} at {list(place)}, too large for {dtype}")
    return value
