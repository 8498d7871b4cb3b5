"""Makes the parser's tables, by lark: `grammar.lark` → `grammar.json`. Run it after a change of the grammar.

Lark reads the grammar, expands `*`, `+` and `[…]`, and makes the LALR(1) automaton. Here its states get numbers that
are the same in every run, and its rules become data. No other module imports lark.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lark import Lark, Token
from lark.grammar import Rule
from lark.lark import PostLex

from .tables import NOTHING, PART, SPLICED, Reduction, Tables, fingerprint, to_json


class _Foreign(PostLex):
    """Keeps the words that are not of the language, which no rule mentions."""

    always_accept = ("FOREIGN", "UNFINISHED", "QUOTED", "OTHER")

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        return stream


def make(grammar: str) -> Tables:
    """The tables of a grammar. A conflict in it is lark's `GrammarError`."""
    lark = Lark(
        grammar, start="file", parser="lalr", lexer="basic", postlex=_Foreign(), keep_all_tokens=True, strict=False
    )
    table: Any = lark.parser.parser._parse_table
    states = _in_order(table.states, table.start_states["file"])
    number = {state: n for n, state in enumerate(states)}
    rules = {rule: n for n, rule in enumerate(lark.rules)}
    actions: list[dict[str, int]] = []
    gotos: list[dict[str, int]] = []
    for state in states:
        actions.append({})
        gotos.append({})
        for name, (_, argument) in sorted(table.states[state].items()):
            row = actions[-1] if name.isupper() else gotos[-1]
            row[name] = ~rules[argument] if isinstance(argument, Rule) else number[argument]
    return Tables(
        fingerprint(grammar),
        *_words(lark),
        number[table.start_states["file"]],
        number[table.end_states["file"]],
        tuple(actions),
        tuple(gotos),
        tuple(_reduction(rule) for rule in lark.rules),
    )


def _in_order(states: dict[int, dict[str, Any]], start: int) -> list[int]:
    """The states as a walk from the start by the names of words and rules meets them."""
    order = [start]
    seen = {start}
    for state in order:
        for _, (_, argument) in sorted(states[state].items(), key=lambda entry: entry[0]):
            if not isinstance(argument, Rule) and argument not in seen:
                seen.add(argument)
                order.append(argument)
    return order


def _reduction(rule: Rule) -> Reduction:
    """What lark's own tree builder does with a rule, as data."""
    origin = str(rule.origin.name)
    kinds = iter([SPLICED if symbol.name.startswith("__") else PART for symbol in rule.expansion])
    missing = rule.options.empty_indices or [False] * len(rule.expansion)
    shape = tuple(NOTHING if absent else next(kinds) for absent in missing)
    alone = rule.options.expand1 and not rule.alias and len(shape) == 1
    method = None if alone or origin.startswith("__") else str(rule.alias or origin)
    return Reduction(len(rule.expansion), origin, method, alone, None if set(shape) <= {PART} else shape)


def _words(lark: Lark) -> tuple[str, dict[str, str]]:
    """One pattern for all words, and the kinds of those that are names but for their meaning."""
    keywords = {term.pattern.value: term.name for term in lark.terminals if term.pattern.value.isalpha()}
    named = {*keywords.values(), *lark.ignore_tokens}
    terms = [term for term in lark.terminals if term.name not in named]
    terms.sort(key=lambda term: (-term.priority, -term.pattern.max_width, -len(term.pattern.value), term.name))
    ignored = "|".join(term.pattern.to_regexp() for term in lark.terminals if term.name in lark.ignore_tokens)
    choices = "|".join(f"(?P<{term.name}>{term.pattern.to_regexp()})" for term in terms)
    return f"(?>(?:{ignored})*)(?:{choices})", dict(sorted(keywords.items()))


if __name__ == "__main__":
    source = Path(__file__).with_name("grammar.lark")
    source.with_suffix(".json").write_text(to_json(make(source.read_text(encoding="utf-8"))), encoding="utf-8")
