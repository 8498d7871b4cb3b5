"""Says what is wrong with the form of a text: where the parser stopped → a diagnostic.

The errors are data, the table `MISTAKES`: under which circumstances, what is said, how to mend it, and examples, every
one of which is tested. Here a row is chosen and its words are filled in.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gradc.errors import Diagnostic, Label, Span
from gradc.nearest import MUCH_LIKE, did_you_mean

from .build import Word
from .mistake import Row
from .mistakes_found import FOUND
from .mistakes_lines import LINES
from .mistakes_signs import SIGNS
from .mistakes_values import VALUES
from .tables import tables

MISTAKES = (*FOUND, *SIGNS, *LINES, *VALUES)

LONGEST_QUOTED = 40
OPENERS = {"LPAR": "(", "LSQB": "[", "GUARDED": "["}
STATEMENT = {"MODEL", "DIM", "PARAM"}
OPERATOR = {"PLUS", "STAR"}
VALUE = {"NUMBER", "NAME", "FULL_NAME", "LPAR", "LSQB", "LOSS", "MINUS", "NOT", "IF"}
OPERATORS = {
    "PLUS", "MINUS", "STAR", "SLASH", "FLOOR_DIVIDE", "PERCENT", "AT", "CIRCUMFLEX", "PIPE", "AND", "OR",
    "EQUAL", "NOT_EQUAL", "LESSTHAN", "AT_MOST", "MORETHAN", "AT_LEAST",
}  # fmt: skip
SAID = {
    "NAME": "a name",
    "STRING": "a path in double quotes",
    "PATTERN": "a pattern such as head.*",
    "WITH": "`with`",
    "_NEWLINE": "the end of the line",
    "_INDENT": "an indented block",
    "COLON": "`:`",
    "COMMA": "`,`",
    "ASSIGN": "`=`",
    "TILDE": "`~` and an initial law",
    "LPAR": "`(`",
    "RPAR": "`)`",
    "LSQB": "`[`",
    "RSQB": "`]`",
    "VBAR": "`|`",
}
UNSAID = {"GUARDED", "FROZEN", "BAD", "_DEDENT", "DOTS"}


@dataclass(frozen=True, slots=True)
class Mistake:
    """Where the parser could not go on: a line's words, which one is wrong, the kinds that could stand there."""

    words: Sequence[Word]
    at: int
    accepts: frozenset[str]

    @property
    def word(self) -> Word:
        return self.words[self.at]

    @property
    def before(self) -> Word | None:
        return self.words[self.at - 1] if self.at else None

    @property
    def bracket(self) -> str:
        """The bracket that is open at the wrong word, or nothing."""
        open_: list[str] = []
        for word in self.words[: self.at]:
            if word.type in OPENERS:
                open_.append(OPENERS[word.type])
            elif word.type in {"RPAR", "RSQB"} and open_:
                open_.pop()
        return open_[-1] if open_ else ""


def of_code(code: str, span: Span, labels: tuple[Label, ...] = (), **words: str) -> Diagnostic:
    """The error of a row that its finder names."""
    row = next(row for row in MISTAKES if row.code == code and row.found)
    return Diagnostic(code, row.message.format(**words), span, labels, row.help.format(**words))


def explain(mistake: Mistake) -> Diagnostic:
    """The error for a word that cannot stand where it stands: the first row that fits."""
    row = next(row for row in MISTAKES if _fits(row, mistake))
    word, before = mistake.word, mistake.before
    expected = _expected(mistake.accepts)
    told = {
        "found": _found(word),
        "text": word.text.strip(),
        "before": before.text if before else "",
        "first": mistake.words[0].text,
        "sign": word.text[:1],
        "expected": expected,
    }
    hints = (row.hints.get(text) for text in (word.text, told["before"], told["first"]))
    plain = "delete it, or begin a new line for it" if expected == SAID["_NEWLINE"] else f"write {expected} there"
    told["hint"] = next(filter(None, hints), plain)
    told["near"] = _near(told["first"])
    point = before if row.points_before and before else word
    label = Label(point.span, row.label.format(**told))
    return Diagnostic(row.code, row.message.format(**told), point.span, (label,), row.help.format(**told))


def _fits(row: Row, mistake: Mistake) -> bool:
    """Whether the circumstances are the row's; what a row leaves open is not asked."""
    word, before = mistake.word, mistake.before
    if row.found:
        return False
    return (
        (not row.at or word.type in row.at)
        and (not row.texts or word.text in row.texts)
        and (not row.before or (before is not None and before.type in row.before))
        and (not row.before_texts or (before is not None and before.text in row.before_texts))
        and (not row.starts or mistake.words[0].type in row.starts)
        and (not row.first_texts or mistake.words[0].text in row.first_texts)
        and row.wants <= mistake.accepts
        and not row.refuses & mistake.accepts
        and not any(word.type in row.absent for word in mistake.words[mistake.at + 1 :])
        and (row.place is None or mistake.at == row.place)
        and (row.inside is None or mistake.bracket in row.inside)
        and (not row.touching or (before is not None and before.start + len(before.text) == word.start))
    )


# ---------------------------------------------------------------- words for words


def _found(word: Word) -> str:
    if word.type == "_NEWLINE":
        return "the end of the line"
    if word.type == "NUMBER":
        return f"the number {_short(word.text)}"
    return f"`{_short(word.text)}`"


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_QUOTED else text[: LONGEST_QUOTED - 3] + "…"


def _expected(accepts: frozenset[str]) -> str:
    """What could stand there, in words: `a value`, `an operator or the end of the line`."""
    if accepts >= STATEMENT:
        return "a statement"
    said = []
    rest = accepts - UNSAID
    if "NUMBER" in rest:
        said.append("a value")
        rest -= VALUE
    if rest >= OPERATOR:
        said.append("an operator")
        rest -= OPERATORS
    for kind in sorted(rest, key=_order):
        said.append(SAID.get(kind) or f"`{_spelling(kind)}`")
    return said[0] if len(said) == 1 else f"{', '.join(said[:-1])} or {said[-1]}"


def _order(kind: str) -> tuple[bool, str]:
    return kind == "_NEWLINE", kind


def _spelling(kind: str) -> str:
    return next((text for text, keyword in tables().keywords.items() if keyword == kind), kind.lower())


def _near(text: str) -> str:
    """The word of the language that another one is like."""
    return did_you_mean(text, tables().keywords, MUCH_LIKE) or "an equation has the form name = value"
