"""Files: a model's text → its tree, the trees of the files it uses, the library's definitions as they are needed."""

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path, PurePath, PurePosixPath

from gradc.errors import Diagnostic, GradcError, Label, Span, fail
from gradc.source import read_model

from . import syntax
from .parse import parse

MOST_FILES = 100
_HEADER = re.compile(r"^(?:def|shared def|optimizer)\s+(\w+)", re.MULTILINE)
_IN_PYTORCH = re.compile(r"PyTorch: (?:\w+\.)?(\w+)")


class StandardLibrary:
    """The definitions of `std/*.grad`. Only those that are asked for are parsed."""

    def __init__(self) -> None:
        folder = files("gradc.language.std")
        self._texts = {
            f"std/{item.name}": item.read_text(encoding="utf-8")
            for item in sorted(folder.iterdir(), key=lambda item: item.name)
            if item.name.endswith(".grad")
        }
        self._places = {
            match[1]: (file, match.start()) for file, text in self._texts.items() for match in _HEADER.finditer(text)
        }
        self._parsed: dict[str, syntax.Definition] = {}

    def names(self) -> set[str]:
        """All names it has."""
        return set(self._places)

    def elsewhere(self) -> dict[str, str]:
        """What PyTorch calls its definitions, as the comments above them say, and what they are called here.

        Where PyTorch has one function for several, the first is the usual one, and others say by which arguments.
        """
        found: dict[str, str] = {}
        for name, (file, start) in self._places.items():
            comment = self._texts[file][:start].rpartition("\n\n")[2]
            if said := _IN_PYTORCH.search(comment):
                found.setdefault(said[1], name)
        return found

    def text(self, file: str) -> str | None:
        """The text of one of its files."""
        return self._texts.get(file)

    def find(self, name: str) -> syntax.Definition | None:
        """The definition of that name."""
        if name not in self._places:
            return None
        if name not in self._parsed:
            self._parsed[name] = self._parse(name)
        return self._parsed[name]

    def _parse(self, name: str) -> syntax.Definition:
        file, start = self._places[name]
        text = self._texts[file]
        following = _HEADER.search(text, start + 1)
        lines = text.count("\n", 0, start)
        part = "\n" * lines + text[start : following.start() if following else len(text)]
        definition = parse(part, file).statements[0]
        assert isinstance(definition, syntax.Definition)
        return definition


@functools.cache
def standard_library() -> StandardLibrary:
    """The library that comes with gradc."""
    return StandardLibrary()


@dataclass(frozen=True, slots=True)
class Sources:
    """A model's file and those it uses, by the names that errors call them, and the paths that were read."""

    file: syntax.File
    used: Mapping[str, syntax.File]
    uses: Mapping[str, tuple[str, ...]]
    """For each file, the names of those it uses."""
    paths: tuple[Path, ...]
    library: StandardLibrary


def load(text: str, *, file: str = "model.grad", folder: Path | None = None) -> Sources:
    """Parses a model and the files it uses; `folder` is where its `use` looks.

    Raises:
        GradcError: a text is not of the language, or a `use` leaves its folder, goes in a circle or finds nothing.
    """
    root = parse(text, file)
    loader = _Loader(folder)
    loader.follow(root, PurePosixPath(), (PurePath(file).name,))
    if loader.problems:
        sources = {root.name: root.text} | {f.name: f.text for f in loader.files.values()}
        raise GradcError(loader.problems, sources)
    return Sources(root, loader.files, loader.uses, tuple(loader.paths), standard_library())


class _Loader:
    """Follows `use` from file to file."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.files: dict[str, syntax.File] = {}
        self.uses: dict[str, tuple[str, ...]] = {}
        self.paths: list[Path] = []
        self.problems: list[Diagnostic] = []

    def follow(self, file: syntax.File, where: PurePosixPath, chain: tuple[str, ...]) -> None:
        """Reads what a file uses; `where` is its folder, seen from the model's."""
        found: list[str] = []
        for statement in file.statements:
            if isinstance(statement, syntax.Use):
                name = self._read(statement, where, chain)
                found.extend([name] if name else [])
        self.uses[file.name] = tuple(dict.fromkeys(found))

    def _read(self, statement: syntax.Use, where: PurePosixPath, chain: tuple[str, ...]) -> str | None:
        path = statement.path
        reason = leaves_folder(path.value)
        if reason:
            self._refuse("leaves-folder", f"use {path.value!r}: {reason}", path.span,
                         "a file uses files of its own folder and below")  # fmt: skip
            return None
        name = str(where / path.value)
        if name in chain:
            self._refuse_circle([*chain[chain.index(name) :], name], path.span)
            return None
        if name in self.files:
            return name
        if self.folder is None:
            self._refuse("no-folder", f"use {path.value!r}: a model without a file has no folder to look in",
                         path.span, "write the model to a file, and compile that")  # fmt: skip
            return None
        if len(self.files) >= MOST_FILES:
            self._refuse("too-many-files", f"more than {MOST_FILES} files are used", path.span,
                         "put definitions that belong together into one file")  # fmt: skip
            return None
        return self._parse(statement, name, chain)

    def _parse(self, statement: syntax.Use, name: str, chain: tuple[str, ...]) -> str | None:
        assert self.folder is not None
        full = self.folder / name
        try:
            if self.folder.resolve() not in full.resolve().parents:
                self._refuse("leaves-folder", f"use {name!r} leads out of the model's folder", statement.path.span,
                             "put a copy of the file beside the model")  # fmt: skip
                return None
            tree = parse(_text(full, name), name)
        except GradcError as error:
            self._take(error, statement)
            return None
        self.files[name] = tree
        self.paths.append(full)
        self.follow(tree, PurePosixPath(name).parent, (*chain, name))
        return name

    def _take(self, error: GradcError, statement: syntax.Use) -> None:
        for diagnostic in error.diagnostics:
            if diagnostic.span is None:
                self._refuse(diagnostic.code, diagnostic.message, statement.path.span, diagnostic.help or "")
            else:
                self.problems.append(diagnostic)
        for name, text in error.sources.items():
            self.files.setdefault(name, syntax.File(name, text, ()))

    def _refuse_circle(self, around: list[str], span: Span) -> None:
        if len(set(around)) == 1:
            self._refuse("use-cycle", f"{around[0]} uses itself", span,
                         "delete this line: a file sees its own definitions, above and below")  # fmt: skip
            return
        self._refuse("use-cycle", f"these files use each other: {' → '.join(around)}", span,
                     "put what both need into a file of its own, which uses neither")  # fmt: skip

    def _refuse(self, code: str, message: str, span: Span, help: str) -> None:
        self.problems.append(Diagnostic(code, message, span, (Label(span, ""),), help))


def _text(path: Path, name: str) -> str:
    text = read_model(path, name)
    if not text.strip():
        raise fail("empty-file", f"{name} is empty", "write definitions into it, or delete this line")
    return text


def leaves_folder(path: str) -> str | None:
    """Why a path is not one of the folder and below; None where it is."""
    parts = PurePosixPath(path.replace("\\", "/"))
    if not path or path in {".", "./"}:
        return "an empty path"
    if parts.is_absolute() or re.match(r"^[A-Za-z]:", path) or path.startswith("~"):
        return "an absolute path"
    if ".." in parts.parts:
        return "`..` leaves the folder"
    if "\0" in path:
        return "no path"
    return None
