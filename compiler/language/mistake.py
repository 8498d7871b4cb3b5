"""A row of the table of syntax errors: when it counts, what is said, how to mend it, and examples.

A row is either found elsewhere, by `layout`, `build` or `parse`, which give its code, or it is the parser's: then its
fields say where the parser stopped, and the first row that fits counts. What is in braces is filled in: `found` and
`text` the wrong word, `before` the one before it, `first` the line's first, `expected` what could stand there, `hint`
the row's word for any of these, `near` a word of the language that is like the first, `sign` the first of its signs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

NONE: frozenset[str] = frozenset()


def of(words: str) -> frozenset[str]:
    """A set of words, written with blanks between them."""
    return frozenset(words.split())


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of mistake. An empty condition asks nothing."""

    code: str
    message: str
    help: str
    examples: tuple[str, ...]
    found: bool = False  # not by the parser
    at: frozenset[str] = NONE  # kinds of the wrong word
    texts: frozenset[str] = NONE  # the wrong word itself
    before: frozenset[str] = NONE  # kinds of the word before it
    before_texts: frozenset[str] = NONE
    starts: frozenset[str] = NONE  # kinds of the line's first word
    first_texts: frozenset[str] = NONE
    wants: frozenset[str] = NONE  # kinds that could all stand there
    refuses: frozenset[str] = NONE  # kinds none of which could
    absent: frozenset[str] = NONE  # kinds none of which follows in the line
    place: int | None = None  # which word of the line it is, from 0
    inside: tuple[str, ...] | None = None  # the open bracket is one of these
    touching: bool = False  # no blank before it
    points_before: bool = False  # the caret goes under the word before
    label: str = "expected {expected}"
    hints: Mapping[str, str] = field(default_factory=dict)


VALUE_ENDS = of("NAME FULL_NAME NUMBER LOSS RPAR RSQB")
VALUE_BEGINS = of("NAME FULL_NAME NUMBER LOSS LPAR LSQB GUARDED")
BINARY = of(
    "PLUS MINUS STAR SLASH FLOOR_DIVIDE PERCENT AT CIRCUMFLEX PIPE AND OR EQUAL NOT_EQUAL LESSTHAN AT_MOST MORETHAN "
    "AT_LEAST"
)
STATEMENTS = of(
    "MODEL USE DIM INPUT TARGET PARAM STATE UPDATE RETURN PREDICT METRIC OPTIMIZE FREEZE FIT DATA DEF SHARED OPTIMIZER "
    "FOR REPEAT"
)
RESERVED = STATEMENTS | of("LOSS IF THEN ELSE AND OR NOT IN")
HEADS = of("DEF SHARED OPTIMIZER FOR REPEAT IF ELSE")
ENDS = of("_NEWLINE RPAR RSQB COMMA COLON")
