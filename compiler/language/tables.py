"""The tables of the parser: `grammar.lark` → the kinds of words and the LALR(1) automaton, by lark.

Making them takes 0.3 s, so they are kept beside the grammar, in `grammar.json`; `python -m gradc.language.tables`
writes it anew. With a grammar that it was not made from, the tables are made in memory.
"""

import functools
import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from lark import Lark, Token
from lark.grammar import Rule
from lark.lark import PostLex

NOTHING, PART, SPLICED = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Reduction:
    """A rule read backwards: how many parts it takes off, what becomes of each, and the method that makes its node.

    A rule of the kind `?rule` with one part hands it on as it is (`alone`); a helper that lark made for `*` and `+`
    has no method, and its parts are spliced into those of the rule around it.
    """

    size: int
    origin: str
    method: str | None
    alone: bool
    shape: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Tables:
    """What a parse needs. An action that is not negative shifts to that state, `~n` reduces by reduction n."""

    grammar: str
    words: str
    keywords: dict[str, str]
    start: int
    end: int
    actions: tuple[dict[str, int], ...]
    gotos: tuple[dict[str, int], ...]
    reductions: tuple[Reduction, ...]


@functools.cache
def tables() -> Tables:
    """The tables of the grammar as it is."""
    folder = files("gradc.language")
    grammar = folder.joinpath("grammar.lark").read_text(encoding="utf-8")
    stored = folder.joinpath("grammar.json")
    if stored.is_file():
        found = from_json(stored.read_text(encoding="utf-8"))
        if found.grammar == fingerprint(grammar):
            return found
    return make(grammar)


def fingerprint(grammar: str) -> str:
    """What tells whether tables were made from a grammar."""
    return hashlib.sha256(grammar.encode()).hexdigest()


# ---------------------------------------------------------------- from the grammar


class _Foreign(PostLex):
    """Keeps the words that are not of the language, which no rule mentions."""

    always_accept = ("FOREIGN", "UNFINISHED", "QUOTED", "OTHER")

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        return stream


def make(grammar: str) -> Tables:
    """The tables of a grammar."""
    lark = Lark(grammar, start="file", parser="lalr", lexer="basic", postlex=_Foreign(), keep_all_tokens=True)
    table: Any = lark.parser.parser._parse_table
    rules: dict[Rule, int] = {}
    actions, gotos = [], []
    for state in range(len(table.states)):
        row = {name: _action(*entry, rules) for name, entry in table.states[state].items()}
        actions.append({name: action for name, action in row.items() if name.lstrip("$_").isupper()})
        gotos.append({name: action for name, action in row.items() if not name.lstrip("$_").isupper()})
    words, keywords = _words(lark)
    reductions = tuple(_reduction(rule) for rule in rules)
    ends = table.start_states["file"], table.end_states["file"]
    return Tables(fingerprint(grammar), words, keywords, *ends, tuple(actions), tuple(gotos), reductions)
