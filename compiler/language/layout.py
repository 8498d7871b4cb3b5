"""Makes lines and blocks of words: words → lines, each with the blocks that begin and end before it.

A line goes on while a bracket is open. What is wrong with brackets and indentation is found here, where the opener
and the blocks around are known; such a line becomes the one word BAD, and the parser goes on after it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from gradc.errors import Label, Span

from .build import Misplaced, Word
from .mistake import HEADS, STATEMENTS

MOST_BRACKETS = 100
MOST_BLOCKS = 50
MOST_BRANCHES = 50

PAIRS = {"LPAR": "RPAR", "LSQB": "RSQB", "GUARDED": "RSQB"}
CLOSERS = {"RPAR", "RSQB"}


@dataclass(slots=True)
class Line:
    """A statement's line, or a block's first: its words, and what comes before them (_INDENT, _DEDENT)."""

    words: list[Word]
    indentation: str
    bad: bool = False
    edges: list[Word] = field(default_factory=list)


class Layout:
    """One text's way from words to lines. `problems` is what was wrong; after so many, the rest is not read."""

    def __init__(self, text: str, most_problems: int) -> None:
        self.text = text
        self.most_problems = most_problems
        self.problems: list[Misplaced] = []

    def lines(self, words: Sequence[Word]) -> list[Line]:
        """All lines, the last one followed by one without words that closes what is open."""
        lines = self._joined(self._rows(words))
        for line in lines:
            if not line.bad:
                _name_soft_words(line.words)
                self._check_digits(line)
        return self._indented(lines)

    # ------------------------------------------------------------ brackets

    def _rows(self, words: Sequence[Word]) -> list[list[Word]]:
        """The words by line of the text, those without words left out."""
        rows: list[list[Word]] = [[]]
        for word in words:
            if word.type == "_NEWLINE":
                rows.append([])
            else:
                rows[-1].append(word)
        return [row for row in rows if row]

    def _joined(self, rows: list[list[Word]]) -> list[Line]:
        lines = []
        at = 0
        while at < len(rows) and len(self.problems) < self.most_problems:
            line, at = self._join(rows, at)
            lines.append(line)
        return lines

    def _join(self, rows: list[list[Word]], first: int) -> tuple[Line, int]:
        """The line that begins with a row, and the row after it."""
        brackets = Brackets()
        start = self._indentation(rows[first][0])
        restart: int | None = None
        for at in range(first, len(rows)):
            row = rows[at]
            if at > first:
                fresh = len(self._indentation(row[0])) <= len(start)
                if _is_start(row) or (brackets.problem and fresh):
                    restart = restart or at
                    break
                if restart is None and fresh and rows[at - 1][-1].type != "COMMA" and _is_equation(row):
                    restart = at
            for word in row:
                brackets.read(word)
            if not brackets.open or (row[-1].type == "COLON" and rows[first][0].type in HEADS):
                restart = at + 1
                break
        else:
            restart = restart or len(rows)
        assert restart is not None
        problem = brackets.problem or brackets.unclosed()
        if problem:
            self.problems.append(problem)
        words = [word for row in rows[first:restart] for word in row]
        return Line(words, start, problem is not None), restart

    # ------------------------------------------------------------ numbers

    def _check_digits(self, line: Line) -> None:
        """Numbers that are cut into groups, such as 1,000 and 1_000."""
        for at, word in enumerate(line.words):
            pieces = _pieces(line.words, at) if word.type == "NUMBER" else []
            if len(pieces) > 1:
                joined = "".join(piece.text.replace("_", "") for piece in pieces)
                self._spoil(line, "digit-groups", word.span.to(pieces[-1].span), joined=joined)

    # ------------------------------------------------------------ blocks

    def _indentation(self, word: Word) -> str:
        return self.text[word.start - word.span.column + 1 : word.start]

    def _indented(self, lines: list[Line]) -> list[Line]:
        """Puts the edges of blocks before the lines. A level is a width, and whether a block was begun for it."""
        levels: list[tuple[int, bool]] = [(0, True)]
        tabs: bool | None = None
        before: Line | None = None
        branches: dict[int, int] = {}
        for line in lines:
            tabs = self._check_tabs(line, tabs)
            width = len(line.indentation)
            opens = before is not None and (before.bad or _begins_block(before.words))
            if width > levels[-1][0]:
                self._check_deeper(line, opens, len(levels))
                levels.append((width, opens))
                if opens:
                    line.edges.append(_edge("_INDENT", line.words[0]))
            else:
                self._check_block_follows(before)
            while width < levels[-1][0]:
                _, begun = levels.pop()
                if begun:
                    line.edges.append(_edge("_DEDENT", line.words[0]))
            if width > levels[-1][0]:
                self._spoil(line, "uneven-indentation", line.words[0].span)
            self._check_branches(line, branches)
            before = line
        self._check_block_follows(before)
        return [*lines, self._ending(lines, sum(begun for _, begun in levels[1:]))]

    def _ending(self, lines: list[Line], blocks: int) -> Line:
        if not lines:
            return Line([], "")
        last = lines[-1].words[-1]
        return Line([], "", edges=[_edge("_DEDENT", last)] * blocks)

    def _check_tabs(self, line: Line, tabs: bool | None) -> bool | None:
        """All indentation of a file is of one kind."""
        if not line.indentation:
            return tabs
        mixed = len(set(line.indentation)) > 1
        here = "\t" in line.indentation
        if mixed or tabs not in (None, here):
            first = line.words[0].span
            self._spoil(line, "mixed-tabs", Span(first.file, first.line, 1, first.line, first.column))
            return tabs
        return here

    def _check_branches(self, line: Line, branches: dict[int, int]) -> None:
        """Every `else if` stands inside the one before it: there is an end to that."""
        width = len(line.indentation)
        if [word.type for word in line.words[:2]] != ["ELSE", "IF"]:
            branches.pop(width, None)
            return
        branches[width] = branches.get(width, 0) + 1
        if branches[width] == MOST_BRANCHES + 1:
            self._spoil(line, "too-many-branches", line.words[0].span, limit=str(MOST_BRANCHES))
        line.bad = line.bad or branches[width] > MOST_BRANCHES

    def _check_deeper(self, line: Line, opens: bool, depth: int) -> None:
        if not opens:
            self._spoil(line, "unexpected-indentation", line.words[0].span)
        elif depth > MOST_BLOCKS + 1:
            line.bad = True
        elif depth > MOST_BLOCKS:
            self._spoil(line, "blocks-too-deep", line.words[0].span, limit=str(MOST_BLOCKS))

    def _check_block_follows(self, line: Line | None) -> None:
        """A line that ends in `:` and begins a block needs one."""
        if line and line.words[-1].type == "COLON" and line.words[0].type in HEADS:
            word = line.words[0].text if line.words[0].type != "SHARED" else "shared def"
            self._spoil(line, "missing-block", line.words[-1].span, word=word)

    def _spoil(self, line: Line, code: str, span: Span, **words: str) -> None:
        """One error for a line: the first one found."""
        if not line.bad:
            self.problems.append(Misplaced(code, span, (), **words))
        line.bad = True


class Brackets:
    """The brackets that are open while a line is read, and the first thing that is wrong with them."""

    def __init__(self) -> None:
        self.open: list[Word] = []
        self.problem: Misplaced | None = None

    def read(self, word: Word) -> None:
        if word.type in PAIRS:
            self.open.append(word)
            if len(self.open) > MOST_BRACKETS:
                self._set(Misplaced("brackets-too-deep", word.span, limit=str(MOST_BRACKETS)))
        elif word.type == "UNFINISHED":
            self._set(Misplaced("unfinished-text", word.span))
        elif word.type in CLOSERS and not self.open:
            self._set(Misplaced("unopened-bracket", word.span, closer=word.text))
        elif word.type in CLOSERS:
            opener = self.open.pop()
            if PAIRS[opener.type] != word.type:
                labels = (Label(opener.span, "opened here"), Label(word.span, "closed here"))
                self._set(Misplaced("crossed-brackets", word.span, labels, opener=opener.text, closer=word.text))

    def unclosed(self) -> Misplaced | None:
        """What is still open where the line cannot go on."""
        if not self.open:
            return None
        opener = self.open[-1]
        return Misplaced("unclosed-bracket", opener.span, opener=opener.text, closer=")" if opener.text == "(" else "]")

    def _set(self, problem: Misplaced) -> None:
        self.problem = self.problem or problem


def _is_start(row: list[Word]) -> bool:
    """Whether a line is a statement for sure, even inside brackets: `data = 3` is a wrong argument instead."""
    return row[0].type in STATEMENTS and (len(row) == 1 or row[1].type != "ASSIGN")


def _begins_block(words: list[Word]) -> bool:
    """Whether an indented block may follow a line, or was meant to: the parser tells where the `:` is missing."""
    if words[0].type not in HEADS or words[-1].type == "COLON":
        return words[0].type in HEADS
    return all(word.type != "COLON" for word in words) and not _has_assignment(words)


def _is_equation(row: list[Word]) -> bool:
    """Whether a line reads like `name … =`: the next statement, where the one before has lost its bracket."""
    return row[0].type == "NAME" and _has_assignment(row)


def _has_assignment(words: list[Word]) -> bool:
    """Whether a `=` stands outside of all brackets."""
    depth = 0
    for word in words[1:]:
        if word.type == "ASSIGN" and depth == 0:
            return True
        depth += (word.type in PAIRS) - (word.type in CLOSERS)
        if depth < 0:
            return False
    return False


def _pieces(words: Sequence[Word], first: int) -> list[Word]:
    """A number and the groups of three digits that touch it, where they can be nothing else: `1,500` may be two."""
    pieces, at, certain = [words[first]], first + 1, False
    while at < len(words) and _touch(words[at - 1], words[at]):
        mark = words[at]
        group = re.fullmatch(r"(_\d{3})+", mark.text)
        comma = mark.type == "COMMA" and at + 1 < len(words) and _touch(mark, words[at + 1])
        if comma and re.fullmatch(r"\d{3}(\.\d*)?", words[at + 1].text):
            at, certain = at + 1, certain or words[at + 1].text.startswith("0")
        elif not group:
            break
        certain = certain or group is not None
        pieces.append(words[at])
        at += 1
    return pieces if certain else pieces[:1]


def _touch(word: Word, other: Word) -> bool:
    return word.start + len(word.text) == other.start


def _edge(kind: str, near: Word) -> Word:
    span = near.span
    return Word(kind, "", Span(span.file, span.line, span.column, span.line, span.column), near.start)


def _name_soft_words(words: list[Word]) -> None:
    """`frozen`, `with` and patterns are words of their lines only: elsewhere they are names like any other."""
    types = [word.type for word in words]
    if words[-1].text == "frozen" and {"PARAM", "STATE"} & {*types[:-2]} and "TILDE" not in types[-2:]:
        words[-1] = words[-1]._replace(type="FROZEN")
    if "FREEZE" in types:
        _join_patterns(words, types.index("FREEZE") + 1, len(words))
    if "OPTIMIZE" in types:
        start = types.index("OPTIMIZE") + 1
        ends = [at for at in range(start, len(words)) if words[at].text == "with"]
        if ends:
            words[ends[0]] = words[ends[0]]._replace(type="WITH")
            _join_patterns(words, start, ends[0])


def _join_patterns(words: list[Word], start: int, end: int) -> None:
    """Words that touch each other, up to a comma, are one pattern: `head.*`."""
    patterns: list[Word] = []
    for word in words[start:end]:
        last = patterns[-1] if patterns else None
        if word.type == "COMMA" or (word.type not in {"STAR", "NUMBER"} and not _is_wordlike(word)):
            patterns.append(word)
        elif last and last.type == "PATTERN" and last.start + len(last.text) == word.start:
            patterns[-1] = Word("PATTERN", last.text + word.text, last.span.to(word.span), last.start)
        else:
            patterns.append(word._replace(type="PATTERN"))
    words[start:end] = patterns


def _is_wordlike(word: Word) -> bool:
    return all(part.isalnum() or part in "_.*" for part in word.text)
