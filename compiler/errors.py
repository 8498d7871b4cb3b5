"""What a user is told when the model, the data or a call is wrong.

A diagnostic is data: a message, the places it is about and how to mend it. `GradcError` carries all diagnostics of
a stage and renders them with the lines of the source. Bugs of gradc itself are `InternalError`s and asserts; they
are never dressed up as the user's mistake.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A stretch of a source text. Lines and columns count from 1; `end_column` is the column after the last."""

    file: str
    line: int
    column: int
    end_line: int
    end_column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"

    def holds(self, other: "Span") -> bool:
        """Whether another stretch is a part of this one."""
        starts = (self.line, self.column) <= (other.line, other.column)
        ends = (other.end_line, other.end_column) <= (self.end_line, self.end_column)
        return self.file == other.file and starts and ends

    def to(self, other: "Span") -> "Span":
        """From the start of this span to the end of another."""
        return Span(self.file, self.line, self.column, other.end_line, other.end_column)


@dataclass(frozen=True, slots=True)
class Label:
    """A place that a diagnostic points at, and what it is or says there."""

    span: Span
    text: str


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One thing that is wrong: what, where, why (`labels`), and how to mend it (`help`).

    `code` is a stable short name in kebab case, such as `unknown-name`. `about` names inputs and targets whose
    declarations are to be shown: who knows the model's text puts labels there (`located`).
    """

    code: str
    message: str
    span: Span | None = None
    labels: tuple[Label, ...] = ()
    help: str | None = None
    severity: str = "error"
    about: tuple[str, ...] = ()


class GradcError(Exception):
    """The model, the data or a call is wrong. `str(error)` is what the user reads.

    Args:
        diagnostics: everything found wrong by the stage that gave up, in the order of the source.
        sources: the texts the spans point into, by file name.
    """

    def __init__(self, diagnostics: Sequence[Diagnostic], sources: Mapping[str, str] | None = None) -> None:
        super().__init__(diagnostics, sources)
        self.diagnostics = tuple(diagnostics)
        self.sources = dict(sources or {})

    def __str__(self) -> str:
        return "\n\n".join(render(diagnostic, self.sources) for diagnostic in self.diagnostics)


class GradcWarning(UserWarning):
    """The model or a file is usable, but the message says what one should know about it."""


class InternalError(Exception):
    """gradc itself is wrong. The message says which invariant broke, and where in the model."""


def fail(code: str, message: str, help: str, about: tuple[str, ...] = ()) -> GradcError:
    """An error about no place in a text: a file that is missing, data that does not fit. `help` says how to mend it."""
    return GradcError([Diagnostic(code, message, help=help, about=about)])


def unreadable(path: object, error: OSError) -> GradcError:
    """A file that is there and cannot be read."""
    message = f"{path} cannot be read: {error.strerror or error}"
    return fail("unreadable-file", message, "look at its owner and its rights: ls -l")


def unwritable(path: object, error: OSError) -> GradcError:
    """A file that cannot be written."""
    message = f"{path} cannot be written: {error.strerror or error}"
    return fail("cannot-save", message, "make room, or name a file in a folder that is there and that you may write to")


def located(error: GradcError, declared: Mapping[str, Span], sources: Mapping[str, str]) -> GradcError:
    """The error with the declarations of the arrays that it is about.

    error: data.npz: y is float64[4, 1], and has 1 axis in the model
         --> m.grad
       4 | target y[batch] : int(3)
         |        ^^^^^^^^^^^^^^^^^
    """
    placed = [
        replace(one, labels=(*one.labels, *(Label(declared[name], "") for name in one.about if name in declared)))
        for one in error.diagnostics
    ]
    return GradcError(placed, {**error.sources, **sources})


def render(diagnostic: Diagnostic, sources: Mapping[str, str]) -> str:
    """The diagnostic as text, with carets under every place it names.

    mlp.grad:9:23: error: index k has two extents
       9 | h[b, o] = relu(sum[k](x[b, k] * w[k, o]))
         |                       ^^^^^^^   ^^^^^^^
         |                       |         128: w is declared at 6:7
         |                       784: x is declared at 4:7
         = did you mean w[o, k]?
    """
    place = f"{diagnostic.span}: " if diagnostic.span else ""
    lines = [f"{place}{diagnostic.severity}: {diagnostic.message}"]
    labels = list(diagnostic.labels)
    if diagnostic.span and all(label.span != diagnostic.span for label in labels):
        labels.append(Label(diagnostic.span, ""))
    margin = "     "
    shown = diagnostic.span.file if diagnostic.span else None
    for _, file, line in sorted({(label.span.file != shown, label.span.file, label.span.line) for label in labels}):
        text = _line(sources, file, line)
        if text is None:
            continue
        here = sorted((label for label in labels if (label.span.file, label.span.line) == (file, line)), key=_column)
        text, here = _window(text, here)
        if file != shown:
            shown = file
            lines.append(f"{margin}--> {file}")
        lines.append(f"{line:>4} | {_shown(text)}".rstrip())
        lines.extend(f"{margin}| {row}".rstrip() for row in _underlines(text, here))
    if diagnostic.help:
        lines.extend(f"{margin}= {part}" for part in diagnostic.help.splitlines())
    return "\n".join(lines)


WIDEST_LINE = 240
CUT = "… "
BEFORE = 60
"""Characters shown before the first place, where a line is too long to be shown from its start."""


def _line(sources: Mapping[str, str], file: str, line: int) -> str | None:
    rows = sources[file].split("\n") if file in sources else []
    return rows[line - 1] if 0 < line <= len(rows) else None


def _window(text: str, labels: list[Label]) -> tuple[str, list[Label]]:
    """The line from shortly before its first label on, where a label would not be seen otherwise."""
    if max(label.span.column for label in labels) <= WIDEST_LINE:
        return text, labels
    cut = max(0, min(label.span.column for label in labels) - BEFORE)
    left = cut - len(CUT)
    spans = [replace(at.span, column=at.span.column - left, end_column=at.span.end_column - left) for at in labels]
    return CUT + text[cut:], [replace(label, span=span) for label, span in zip(labels, spans, strict=True)]


def _shown(text: str) -> str:
    """A source line as the terminal may see it: no tabs, no control characters, not endless."""
    clean = "".join(c if c.isprintable() else " " for c in text[:WIDEST_LINE])
    return clean + (" …" if len(text) > WIDEST_LINE else "")


def _column(label: Label) -> tuple[int, int]:
    return label.span.column, label.span.end_column


def _underlines(text: str, labels: list[Label]) -> list[str]:
    """Carets under each label, the last label's text beside or under its own, the others hanging below theirs."""
    width = min(len(text), WIDEST_LINE) + 1
    carets = [" "] * (width + 1)
    for label in labels:
        start = label.span.column - 1
        end = label.span.end_column - 1 if label.span.end_line == label.span.line else len(text.rstrip())
        for place in range(min(start, width), min(max(end, start + 1), width + 1)):
            carets[place] = "^"
    rows = ["".join(carets).rstrip()]
    hanging = [label for label in labels if label.text and label.span.column <= width]
    for count in range(len(hanging), 0, -1):
        row = ""
        for label in hanging[: count - 1]:
            row = row.ljust(label.span.column - 1)
            row = row if len(row) >= label.span.column else row + "|"
        row = row.ljust(hanging[count - 1].span.column - 1) + hanging[count - 1].text
        rows.append(row)
    return rows
