"""Reads a model's text: text → `syntax.File`, or a `GradcError` with everything that is wrong with its form.

The grammar is `grammar.lark`, the errors are the table in `messages`. After an error the parser goes on at the next
line, so that one run shows the first mistake of every statement. Nothing is resolved here, and no other file is read.
"""

import functools
import re
import unicodedata
from collections.abc import Iterable
from typing import cast

from gradc.errors import Diagnostic, GradcError, Span
from gradc.source import check_length

from . import syntax
from .automaton import END, Automaton, Unexpected
from .build import Builder, Misplaced, Word
from .depth import DEEPEST, too_deep
from .layout import Layout, Line
from .messages import Mistake, explain, of_code
from .tables import tables

MOST_WORDS = 40_000
MOST_ERRORS = 20
LONG_LINE = 100
MANY_BRANCHES = 50

# The Unicode categories of what is not seen, and what a character of each is called that has no name.
NAMELESS = {
    "Cc": "a control character",
    "Cf": "a format character",
    "Cs": "half of a character",
    "Co": "a private character",
    "Zl": "a line separator",
    "Zp": "a paragraph separator",
}


def parse(text: str, name: str) -> syntax.File:
    """The syntax tree of a text; `name` is what errors call the file.

    Raises:
        GradcError: the text is not of the language. It carries the first error of every statement, at most 20.
    """
    check_length(text, name)
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    problems = _hidden_characters(text, name)
    if not problems:
        statements, problems = _parse(text, name)
    if problems:
        problems.sort(key=lambda problem: problem.span or Span("", 0, 0, 0, 0))
        raise GradcError(problems[:MOST_ERRORS], {name: text})
    return syntax.File(name, text, statements)


def _parse(text: str, name: str) -> tuple[tuple[syntax.Statement, ...], list[Diagnostic]]:
    words = _words(text, name)
    if len(words) > MOST_WORDS:
        return (), [of_code("too-many-words", words[-1].span, limit=f"{MOST_WORDS:,}")]
    layout = Layout(text, MOST_ERRORS)
    lines = layout.lines(words)
    reader = _Reader()
    statements = reader.read(lines)
    problems = [of_code(problem.code, problem.span, problem.labels, **problem.words) for problem in layout.problems]
    problems.extend(reader.problems)
    branches = sum(line.words[0].type == "ELSE" for line in lines if line.words)
    if not problems and (branches > MANY_BRANCHES or any(len(line.words) > LONG_LINE for line in lines)):
        problems.extend(of_code("too-deep", span, limit=str(DEEPEST)) for span in too_deep(statements))
    return statements, problems


# ---------------------------------------------------------------- words


@functools.cache
def _pattern() -> re.Pattern[str]:
    return re.compile(tables().words)


def _words(text: str, name: str) -> list[Word]:
    """The words of a text, at most one more than are allowed."""
    words: list[Word] = []
    match = _pattern().match
    keywords = tables().keywords
    line, line_start, at = 1, 0, 0
    while found := match(text, at):
        kind = found.lastgroup
        assert kind is not None
        start, at = found.span(kind)
        word = text[start:at]
        if kind == "NAME":
            kind = keywords.get(word, kind)
        column = start - line_start + 1
        words.append(Word(kind, word, Span(name, line, column, line, column + at - start), start))
        if kind == "_NEWLINE":
            line, line_start = line + 1, at
        if len(words) > MOST_WORDS:
            break
    return words


def _hidden_characters(text: str, name: str) -> list[Diagnostic]:
    """Characters that are not seen or turn the text around: what is read must be what is compiled."""
    hidden = sorted(character for character in set(text) if _is_hidden(character))
    return [_hidden(text, name, character) for character in hidden[:MOST_ERRORS]]


def _is_hidden(character: str) -> bool:
    if character in "\n\t" or " " <= character <= "~":
        return False
    return unicodedata.category(character) in NAMELESS


def _hidden(text: str, name: str, character: str) -> Diagnostic:
    at = text.index(character)
    line = text.count("\n", 0, at) + 1
    column = at - (text.rfind("\n", 0, at) + 1) + 1
    called = unicodedata.name(character, NAMELESS[unicodedata.category(character)]).lower()
    span = Span(name, line, column, line, column + 1)
    return of_code("hidden-character", span, character=f"U+{ord(character):04X}", called=called)


# ---------------------------------------------------------------- statements


class _Reader:
    """Feeds lines to the parser, and gets it going again after an error."""

    def __init__(self) -> None:
        self.parser = Automaton(Builder())
        self.problems: list[Diagnostic] = []
        self._gave_up = False

    def read(self, lines: Iterable[Line]) -> tuple[syntax.Statement, ...]:
        last: Word | None = None
        for line in lines:
            for edge in line.edges:
                self.parser.feed(edge)
            if not line.words:
                break
            self._read_line(line)
            last = line.words[-1]
            if len(self.problems) >= MOST_ERRORS:
                return ()
        end = Word(END, "", last.span if last else Span("", 1, 1, 1, 1), 0)
        return cast("tuple[syntax.Statement, ...]", self.parser.feed(end))

    def _read_line(self, line: Line) -> None:
        first, last = line.words[0], line.words[-1]
        end = last.span
        newline = Word("_NEWLINE", "\n", Span(end.file, end.line, end.end_column, end.line, end.end_column + 1), 0)
        words = [*line.words, newline]
        if line.bad:
            self._give_up(first, newline)
            return
        self.parser.mark()
        for at, word in enumerate(words):
            try:
                self.parser.feed(word)
            except Unexpected:
                self._explain(words, at)
            except Misplaced as problem:
                self.problems.append(of_code(problem.code, problem.span, problem.labels, **problem.words))
            else:
                continue
            self._give_up(first, newline)
            return

    def _explain(self, words: list[Word], at: int) -> None:
        if words[at].type == "ELSE" and at == 0 and self._gave_up:
            return  # its `if` may be the line that was given up
        self.problems.append(explain(Mistake(words, at, self.parser.accepts())))

    def _give_up(self, first: Word, newline: Word) -> None:
        """Takes the line as BAD: back to where a statement may stand, and on."""
        self._gave_up = True
        self.parser.back_to("BAD")
        self.parser.feed(first._replace(type="BAD"))
        self.parser.feed(newline)
