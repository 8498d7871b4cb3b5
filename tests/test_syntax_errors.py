"""Syntax errors: every example of the table gives its error, all statements are checked at once, nothing takes long."""

import random
import re
import string
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradc.errors import GradcError
from gradc.language.messages import MISTAKES
from gradc.language.mistake import Row
from gradc.language.parse import parse
from gradc.language.tables import tables

LANGUAGE = Path(__file__).parents[1] / "compiler" / "language"
SECONDS = 2.0
TRIES = 3  # another process may have had the machine


def error(text: str) -> GradcError:
    with pytest.raises(GradcError) as caught:
        parse(text, "m.grad")
    return caught.value


def refusal(text: str) -> GradcError | None:
    """The error of a text that may be right."""
    try:
        parse(text, "m.grad")
    except GradcError as refused:
        return refused
    return None


def codes(text: str) -> list[str]:
    return [diagnostic.code for diagnostic in error(text).diagnostics]


# ---------------------------------------------------------------- the table

EXAMPLES = [
    pytest.param(row, text, id=f"{row.code}-{number}") for row in MISTAKES for number, text in enumerate(row.examples)
]


@pytest.mark.parametrize(("row", "text"), EXAMPLES)
def test_every_example_gives_its_error(row: Row, text: str) -> None:
    first = error(text).diagnostics[0]
    assert first.code == row.code
    assert first.span is not None
    assert first.message
    assert first.help
    assert not re.search(r"\{\w+\}", first.message.replace("`{`", "") + first.help)
    assert not any(kind in first.message for kind in ("_NEWLINE", "RPAR", "LSQB", "$END"))


def test_the_table_has_its_kinds_and_no_row_that_cannot_count() -> None:
    assert len({row.code for row in MISTAKES}) >= 60
    kinds = {kind for row in tables().actions for kind in row} | set(re.findall(r"\?P<(\w+)>", tables().words))
    for row in MISTAKES:
        assert row.examples, row.code
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", row.code)
        for asked in (row.at, row.before, row.starts, row.wants, row.refuses, row.absent):
            assert asked <= kinds, row.code


def test_every_code_that_is_raised_has_its_row() -> None:
    found = {row.code for row in MISTAKES if row.found}
    raised: set[str] = set()
    for name in ("build", "layout", "parse"):
        text = (LANGUAGE / f"{name}.py").read_text(encoding="utf-8")
        raised |= set(re.findall(r'(?:Misplaced|of_code)\(\s*"([a-z-]+)"', text))
        raised |= set(re.findall(r'_spoil\(line, "([a-z-]+)"', text))
    assert raised == found


# ---------------------------------------------------------------- as the user reads them


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "h = relu(dense(x, 64)\ny = h",
            "m.grad:1:9: error: this `(` is never closed\n"
            "   1 | h = relu(dense(x, 64)\n"
            "     |         ^\n"
            "     = write `)` where it ends: until then, the lines below belong to it",
        ),
        (
            "y = relu(x[b, i)]",
            "m.grad:1:16: error: `[` is closed by `)`\n"
            "   1 | y = relu(x[b, i)]\n"
            "     |           ^    ^\n"
            "     |           |    closed here\n"
            "     |           opened here\n"
            "     = close the inner bracket first, each by its own kind",
        ),
        (
            "y = x ** 2",
            "m.grad:1:7: error: `**` is not a sign of the language\n"
            "   1 | y = x ** 2\n"
            "     |       ^^\n"
            "     |       expected an operator, `(`, `[` or the end of the line\n"
            "     = a power is written x^2",
        ),
        (
            "y =   # later",
            "m.grad:1:4: error: the right side is missing\n"
            "   1 | y =   # later\n"
            "     |    ^\n"
            "     |    expected a value\n"
            "     = write a value after `=`",
        ),
        (
            "imput x[n]",
            "m.grad:1:1: error: `imput` begins no statement\n"
            "   1 | imput x[n]\n"
            "     | ^^^^^\n"
            "     = did you mean input?",
        ),
        (
            "if a\n    x = 1",
            "m.grad:1:5: error: the `:` of this `if` is missing\n"
            "   1 | if a\n"
            "     |     ^\n"
            "     |     expected an operator, `:`, `(` or `[`\n"
            "     = a block follows a `:`, in the line or indented below",
        ),
    ],
)
def test_what_the_user_reads(text: str, said: str) -> None:
    assert str(error(text)) == said


# ---------------------------------------------------------------- all at once


def places(text: str) -> list[str]:
    return [f"{item.span.line}:{item.span.column} {item.code}" for item in error(text).diagnostics if item.span]


def test_the_first_error_of_every_statement_is_told() -> None:
    text = "x = = 1\ny = 2\ndim n 3\nz = f(a b) + (c d)\ninput x[n\nparam w ~ zeros\nloss x)\n"
    assert places(text) == [
        "1:5 missing-value",
        "3:7 misplaced",
        "4:9 missing-comma",
        "5:8 unclosed-bracket",
        "7:7 unopened-bracket",
    ]


def test_a_header_that_is_wrong_does_not_hide_its_block() -> None:
    text = "def f(x)\n    y = **\n    return y\ndef g(x:\n    z = 1 +\nrepeat 2:\n    x = &\nelse:\n    x = 3"
    assert places(text) == [
        "1:9 missing-colon",
        "2:9 power-sign",
        "4:6 unclosed-bracket",
        "5:12 missing-operand",
        "7:9 logic-sign",
    ]


def test_an_else_whose_if_was_wrong_is_not_told() -> None:
    assert codes("if a b:\n    x = 1\nelse:\n    x = 2") == ["missing-operator"]
    assert codes("if a:\n# nothing\nelse:\n    x = 1") == ["missing-block"]


def test_arguments_by_name_at_the_start_of_a_line_are_no_statements() -> None:
    assert len(parse("y = f(a,\nlr = 3,\nb = (4))", "m.grad").statements) == 1
    assert codes("y = f(a,\nlr = 3,\nb = (4)") == ["unclosed-bracket"]


def test_no_more_than_twenty_errors_are_told() -> None:
    assert len(codes("x = = 1\n" * 500)) == 20
    assert len(codes("x = (\n" * 500)) == 20
    assert len(codes("".join(map(chr, range(1, 32))) + "\x7f\x80")) == 20


def test_a_block_too_deep_is_told_once() -> None:
    text = "\n".join("\t" * depth + "repeat 1:" for depth in range(80)) + "\n" + "\t" * 80 + "x = x"
    assert places(text) == ["52:52 blocks-too-deep"]


def test_limits_leave_room() -> None:
    parse("y = " + "(" * 100 + "x" + ")" * 100, "m.grad")
    parse("y = " + " + ".join("x" * 240), "m.grad")
    parse("if a: x = 1\n" + "else if b: x = 2\n" * 50, "m.grad")
    parse("\n".join(" " * depth + "repeat 1:" for depth in range(50)) + "\n" + " " * 50 + "x = x", "m.grad")
    assert codes("if a: x = 1\n" + "else if b: x = 2\n" * 400) == ["too-many-branches"]


def test_branches_inside_branches_are_counted_together() -> None:
    rows = [" " * depth + row for depth in range(8) for row in ["if a: x = 1", *["else if b: x = 2"] * 40, "else:"]]
    assert codes("\n".join([*rows, " " * 8 + "x = 1"])) == ["too-deep"]


# ---------------------------------------------------------------- hostile texts

CHARACTERS = random.Random(7)
HOSTILE = {
    "binary": "".join(map(chr, CHARACTERS.randbytes(1_000_000))),
    "printable": "".join(CHARACTERS.choices(string.printable[:95] + "\n", k=1_000_000)),
    "words": " ".join(CHARACTERS.choices([*"x1:,~()[]=+\n", "if", "then", "def", "\n  "], k=38_000)),
    "brackets": "y = " + "(" * 500_000,
    "closers": "y = " + ")" * 50_000,
    "pairs": "y = " + "(" * 10_000 + "x" + ")" * 10_000,
    "calls": "y = " + "relu(" * 3_000 + "x" + ")" * 3_000,
    "a long name": "y = " + "x" * 900_000,
    "a long line": "y = f(" + "x, " * 19_000 + "x)",
    "many lines": "y = x + 1\n" * 100_000,
    "most lines": "y = x + 1\n" * 6_600,
    "blank lines": "\n" * 1_000_000,
    "a staircase": "\n".join(" " * depth + "repeat 2:" for depth in range(1_300)),
    "a chain": "y = 1" + "+1" * 100_000,
    "half a chain": "y = 1" + "+1" * 16_000,
    "minuses": "y = " + "-" * 36_000 + "x",
    "conditions": "y = " + "if a then b else " * 6_000 + "c",
    "branches": "if a: x = 1\n" + "else if b: x = 2\n" * 4_500,
    "reads": "y = x" + "[i]" * 12_000,
    "unclosed": "x = (\n" * 9_500,
    "wrong lines": "x = = 2\n" * 7_500,
    "quotes": '"' * 1_000_000,
    "blanks": " " * 900_000 + "x",
    "dots": "y = " + "a." * 400_000 + "a",
    "digits": "y = " + "1" * 900_000,
    "an exponent": "y = 1e" + "9" * 900_000,
    "a pattern": "freeze " + "a*" * 19_000,
    "powers": "y = 9^9^9^9",
    "surrogates": "y = \ud800",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_texts_are_answered_soon(name: str) -> None:
    seconds = []
    while len(seconds) < TRIES and min(seconds, default=SECONDS) >= SECONDS:
        start = time.process_time()
        refused = refusal(HOSTILE[name])
        assert refused is None or len(str(refused)) < 100_000
        seconds.append(time.process_time() - start)
    assert min(seconds) < SECONDS


@pytest.mark.parametrize(
    "name", ["brackets", "pairs", "calls", "a chain", "minuses", "conditions", "reads", "printable"]
)
def test_what_nests_too_deep_is_refused_by_name(name: str) -> None:
    (code,) = codes(HOSTILE[name])
    assert code in {"brackets-too-deep", "too-deep", "too-many-words"}


SIGNS = [*"()[],:=~+-*/^<|.;!'@", "?[", "==", "|>", "...", "**", "\n", "\n    ", "\n        "]
OTHERS = ["x", "h.w", "1", "2.5", '"a"', "frozen", "with"]
WORDS = st.lists(st.sampled_from([*tables().keywords, *SIGNS, *OTHERS]), max_size=30)


@settings(max_examples=400, deadline=None)
@given(WORDS)
def test_no_sequence_of_words_breaks_the_parser(words: list[str]) -> None:
    _answered(" ".join(words))


LIBRARY = "".join(path.read_text(encoding="utf-8") for path in sorted((LANGUAGE / "std").glob("*.grad")))[:3_000]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(LIBRARY)), st.integers(0, 30), st.text(max_size=3))
def test_no_damage_to_a_text_breaks_the_parser(at: int, size: int, put: str) -> None:
    _answered(LIBRARY[:at] + put + LIBRARY[at + size :])


def _answered(text: str) -> None:
    """The text is parsed, or refused with errors that can be read."""
    refused = refusal(text)
    if refused is None:
        return
    assert refused.diagnostics
    assert str(refused)
    for diagnostic in refused.diagnostics:
        assert diagnostic.span is not None
        assert diagnostic.help
