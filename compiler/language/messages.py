"""Syntax errors."""

from collections.abc import Sequence
from dataclasses import dataclass

from gradc.errors import Diagnostic, Label, Span

from .build import Word


@dataclass(frozen=True, slots=True)
class Mistake:
    """Where the parser could not go on: the words of the line, the one that is wrong, the kinds that could stand there."""

    words: Sequence[Word]
    at: int
    accepts: frozenset[str]


def of_code(code: str, span: Span, labels: tuple[Label, ...] = (), **words: str) -> Diagnostic:
    return Diagnostic(code, code + str(words), span, labels)


def explain(mistake: Mistake) -> Diagnostic:
    word = mistake.words[mistake.at]
    return Diagnostic("syntax", f"unexpected {word.text!r}", word.span, (), str(sorted(mistake.accepts)))
