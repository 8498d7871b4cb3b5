"""Reads a model's text: text → `syntax.File`, or a `GradcError` with everything that is wrong with its form.

The grammar is `grammar.lark`, the errors are the table in `messages`. After an error the parser goes on at the next
line, so that one run shows the first mistake of every statement. Nothing is resolved here, and no other file is read.
"""

import functools
import unicodedata
from collections.abc import Iterable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import cast

from gradc.errors import Diagnostic, GradcError, Span, fail
from lark import Lark, Token
from lark.exceptions import UnexpectedToken
from lark.lark import PostLex
from lark.parsers.lalr_interactive_parser import InteractiveParser

from . import syntax
from .build import Builder, Misplaced, Word
from .depth import too_deep
from .layout import Layout, Line
from .messages import Mistake, explain, of_code

MOST_BYTES = 1_000_000
MOST_WORDS = 100_000
MOST_ERRORS = 20
LONG_LINE = 200


def read_source(path: Path | str) -> str:
    """The text of a model file: UTF-8, with or without a byte order mark."""
    path = Path(path)
    if path.is_dir():
        raise fail("not-a-file", f"{path} is a folder", "give the path of a model file, such as digits.grad")
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise fail("no-such-file", f"there is no file {path}") from None
    except (OSError, ValueError) as error:
        raise fail("unreadable-file", f"{path} cannot be read: {error}") from None
    if len(content) > MOST_BYTES:
        raise fail("file-too-large", f"{path} is larger than 1 MB", "a model file is text; is this the data?")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise fail(
            "not-utf-8",
            f"{path} is not UTF-8: byte {content[error.start]:#04x} in line {line} starts no character",
            "save the file with the encoding UTF-8",
        ) from None
    if not text.strip():
        raise fail("empty-file", f"{path} is empty", "a model needs at least a loss or a prediction")
    return text


def parse(text: str, name: str) -> syntax.File:
    """The syntax tree of a text; `name` is what errors call the file.

    Raises:
        GradcError: the text is not of the language. It carries the first error of every statement, at most 20.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    problems = _hidden_characters(text, name)
    if not problems:
        statements, problems = _parse(text, name)
    if problems:
        problems.sort(key=lambda problem: problem.span or Span("", 0, 0, 0, 0))
        raise GradcError(problems[:MOST_ERRORS], {name: text})
    return syntax.File(name, text, statements)


def _parse(text: str, name: str) -> tuple[tuple[syntax.Statement, ...], list[Diagnostic]]:
    words, surplus = _words(text, name)
    if surplus:
        return (), [of_code("too-many-words", surplus.span, limit=f"{MOST_WORDS:,}")]
    layout = Layout(text)
    lines = layout.lines(words)
    reader = _Reader()
    statements = reader.read(lines)
    problems = [of_code(problem.code, problem.span, problem.labels, **problem.words) for problem in layout.problems]
    problems.extend(reader.problems)
    if not problems and any(len(line.words) > LONG_LINE for line in lines):
        problems.extend(of_code("too-deep", span) for span in too_deep(statements))
    return statements, problems


# ---------------------------------------------------------------- words


class _Foreign(PostLex):
    """Keeps the words that are not of the language, which no rule mentions."""

    always_accept = ("FOREIGN", "UNFINISHED", "QUOTED", "OTHER")

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        return stream


@functools.cache
def _lark() -> Lark:
    return Lark(
        files("gradc.language").joinpath("grammar.lark").read_text(encoding="utf-8"),
        start="file",
        parser="lalr",
        lexer="basic",
        postlex=_Foreign(),
        keep_all_tokens=True,
        maybe_placeholders=True,
        transformer=Builder(),
    )


def _words(text: str, name: str) -> tuple[list[Word], Word | None]:
    """The words of a text, and the one that is too many."""
    words: list[Word] = []
    interactive = _lark().parse_interactive(text)
    for token in interactive.lexer_thread.lex(interactive.parser_state):
        words.append(_word(token, name))
        if len(words) > MOST_WORDS:
            return words, words[-1]
    return words, None


def _word(token: Token, name: str) -> Word:
    line, column, start = cast(int, token.line), cast(int, token.column), cast(int, token.start_pos)
    return Word(token.type, token.value, Span(name, line, column, line, column + len(token)), start)


def _hidden_characters(text: str, name: str) -> list[Diagnostic]:
    """Characters that are not seen or turn the text around: what is read must be what is compiled."""
    hidden = sorted(character for character in set(text) if _is_hidden(character))
    return [_hidden(text, name, character) for character in hidden[:MOST_ERRORS]]


def _is_hidden(character: str) -> bool:
    if character in "\n\t" or " " <= character <= "~":
        return False
    return unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}


def _hidden(text: str, name: str, character: str) -> Diagnostic:
    at = text.index(character)
    line = text.count("\n", 0, at) + 1
    column = at - (text.rfind("\n", 0, at) + 1) + 1
    called = unicodedata.name(character, "a control character").lower()
    span = Span(name, line, column, line, column + 1)
    return of_code("hidden-character", span, character=f"U+{ord(character):04X}", called=called)


# ---------------------------------------------------------------- statements


class _Reader:
    """Feeds lines to the parser, and gets it going again after an error."""

    def __init__(self) -> None:
        self.parser: InteractiveParser = _lark().parse_interactive()
        self.problems: list[Diagnostic] = []

    def read(self, lines: Iterable[Line]) -> tuple[syntax.Statement, ...]:
        last: Word | None = None
        for line in lines:
            for edge in line.edges:
                self._feed(edge)
            if not line.words:
                break
            self._read_line(line)
            last = line.words[-1]
            if len(self.problems) >= MOST_ERRORS:
                return ()
        end = Word("$END", "", last.span if last else Span("", 1, 1, 1, 1), 0)
        return cast("tuple[syntax.Statement, ...]", self._feed(end))

    def _read_line(self, line: Line) -> None:
        first, last = line.words[0], line.words[-1]
        end = last.span
        newline = Word("_NEWLINE", "\n", Span(end.file, end.line, end.end_column, end.line, end.end_column + 1), 0)
        words = [*line.words, newline]
        if line.bad:
            self._give_up(first, newline)
            return
        for at, word in enumerate(words):
            try:
                self._feed(word)
            except UnexpectedToken:
                self._explain(words, at)
            except Misplaced as problem:
                self.problems.append(of_code(problem.code, problem.span, problem.labels, **problem.words))
            else:
                continue
            self._give_up(first, newline)
            return

    def _feed(self, word: Word) -> object:
        # The parser asks a token for its type alone.
        return self.parser.feed_token(cast(Token, word))

    def _explain(self, words: list[Word], at: int) -> None:
        if words[at].type == "ELSE" and at == 0 and self.problems:
            return
        self.problems.append(explain(Mistake(words, at, frozenset(self.parser.accepts()))))

    def _give_up(self, first: Word, newline: Word) -> None:
        """Takes the line as BAD: back to where a statement may stand, and on."""
        state = self.parser.parser_state
        while "BAD" not in state.parse_conf.states[state.state_stack[-1]]:
            state.state_stack.pop()
            state.value_stack.pop()
        self._feed(first._replace(type="BAD"))
        self._feed(newline)
