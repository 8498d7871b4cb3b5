"""Runs the parser's tables: words, one at a time → the nodes that a builder makes of them.

It is a plain LALR(1) automaton. It knows the kinds of words and rules by name only; recovering from errors is `parse`.
"""

from typing import Any

from .build import Builder, Word
from .tables import NOTHING, SPLICED, Reduction, tables

END = "$END"


class Unexpected(Exception):
    """No rule goes on with this word."""


class Automaton:
    """A parse under way."""

    def __init__(self, builder: Builder) -> None:
        self._tables = tables()
        self._methods = [getattr(builder, row.method) if row.method else _helper for row in self._tables.reductions]
        self._states = [self._tables.start]
        self._values: list[Any] = []
        self._marked = [self._tables.start]
        self._since: list[str] = []

    def mark(self) -> None:
        """Remembers this place, for `accepts`."""
        self._marked = self._states[:]
        self._since = []

    def feed(self, word: Word) -> Any:
        """Takes a word. After the end it gives back what the first rule made.

        Raises:
            Unexpected: it cannot stand here.
        """
        kind = word.type
        states, values = self._states, self._values
        actions, gotos, reductions = self._tables.actions, self._tables.gotos, self._tables.reductions
        while True:
            action = actions[states[-1]].get(kind)
            if action is None:
                raise Unexpected
            if action >= 0:
                states.append(action)
                values.append(word)
                self._since.append(kind)
                return None
            row = reductions[~action]
            if not row.alone:
                parts = values[len(values) - row.size :]
                del states[len(states) - row.size :], values[len(values) - row.size :]
                values.append(self._methods[~action](_shaped(row, parts)))
            else:
                states.pop()
            states.append(gotos[states[-1]][row.origin])
            if kind == END and states[-1] == self._tables.end:
                return values[-1]

    def accepts(self) -> frozenset[str]:
        """The kinds of words that could have stood in the place of an unexpected one.

        Before it was found unexpected, rules may have been taken as ended that only this word would have ended. So the
        words since the mark are read again, without making nodes.
        """
        states = self._marked[:]
        for kind in self._since:
            self._take(states, kind)
        return frozenset(kind for kind in self._tables.actions[states[-1]] if self._take(states[:], kind))

    def back_to(self, kind: str) -> None:
        """Forgets what was read since a place where a word of this kind may stand."""
        while kind not in self._tables.actions[self._states[-1]]:
            self._states.pop()
            self._values.pop()

    def _take(self, states: list[int], kind: str) -> bool:
        """Moves states by a kind of word, and says whether it could."""
        while True:
            action = self._tables.actions[states[-1]].get(kind)
            if action is None:
                return False
            if action >= 0:
                states.append(action)
                return True
            row = self._tables.reductions[~action]
            del states[len(states) - row.size :]
            states.append(self._tables.gotos[states[-1]][row.origin])
            if kind == END and states[-1] == self._tables.end:
                return True


def _shaped(row: Reduction, parts: list[Any]) -> list[Any]:
    """The parts of a rule as its method gets them: None for what was left out, helpers spliced in."""
    if row.shape is None:
        return parts
    given = iter(parts)
    shaped: list[Any] = []
    for kind in row.shape:
        if kind == SPLICED:
            more = next(given)
            # A helper's list is this rule's alone: the first is gone on with, so that a long list costs no copies.
            shaped = more if not shaped else shaped + more
        else:
            shaped.append(None if kind == NOTHING else next(given))
    return shaped


def _helper(parts: list[Any]) -> list[Any]:
    return parts
