"""Long statements, broken as ruff's formatter breaks them: in brackets, at the operators that hold least."""

import re
import textwrap
from collections.abc import Iterable
from unicodedata import east_asian_width

WIDTH = 120
INDENT = "    "
PAIR = 2
STRING = re.compile(r'f?"(?:[^"\\\\]|\\\\.)*"')
BRACES = re.compile(r"\{[^{}]*\}")
SUBSCRIPTS = re.compile(r"\[[^\[\]]*\]")
HARD = "\xa0"
"""Stands for a space at which no row ends."""
SOFT = "\v"
"""Stands where a row may end, though there is no space."""
ENDS = re.compile(rf"(\*|,(?!{HARD}))")
COMPARISONS = (" < ", " <= ", " > ", " >= ", " == ", " != ")
LOOSEST_FIRST = ((" if ", " else "), (" or ",), (" and ",), COMPARISONS, (" + ", " - "), (" * ", " / "))


def broken(indent: str, text: str, width: int = WIDTH - 4) -> list[str]:
    """The statement on one line if it fits, a function's body being indented by four more; else on several."""
    row = indent + text
    sign = next((sign for sign in (" = ", " += ", " -= ", " *= ") if sign in text), None)
    if len(row) <= width or sign is None or text.startswith(("for ", "if ", "elif ", "#")):
        return [row]
    target, value = text.split(sign, maxsplit=1)
    inner = indent + "    "
    at = last_bracket(value)
    if at and len(indent + target + sign) + at < width and opens(value):
        held = value[at + 1 : -1]
        items = elements(held)
        rows = [f"{item}," for item in items] if items[1:] else parts(held)
        held_rows = [inner + held] if len(inner + held) <= width else [inner + row for row in rows]
        return [f"{indent}{target}{sign}{value[: at + 1]}", *held_rows, indent + value[-1]]
    rows = [inner + value] if len(inner + value) <= width else [inner + part for part in parts(value)]
    return [f"{indent}{target}{sign}(", *rows, f"{indent})"]


def opens(value: str) -> bool:
    """Whether the bracket that ends the value is where it is broken: there is no looser operator, or one before a call
    or a sum in brackets."""
    return len(parts(value)) == 1 or (len(parts(value)) == PAIR and value[-1] == ")")


def wrapped(text: str, width: int, further: str) -> list[str]:
    """A formula in rows, which end at spaces outside of subscripts, or in a long product at a `*`, in a long Σ_i,j,k
    at a comma; in subscripts only where they are longer than a row.

    Args:
        width: the most columns of a row.
        further: what the second row and those after it begin with.
    """
    words = SUBSCRIPTS.sub(lambda match: match[0].replace(" ", HARD), text).split(" ")
    whole = " ".join(_softened(word, width - len(further)) for word in words)
    rows = textwrap.wrap(whole, width, subsequent_indent=further, break_long_words=False, replace_whitespace=False)
    return [row.replace(HARD, " ").replace(SOFT, "") for row in rows]


def _softened(word: str, room: int) -> str:
    """A word with the places marked where it may be cut, if it is longer than there is room."""
    if len(word) <= room:
        return word
    soft = ENDS.sub(rf"\1{SOFT}", word)
    return soft if max(map(len, soft.split(SOFT))) <= room else soft.replace(f",{HARD}", f",{SOFT}")


def list_rows(indent: str, target: str, element: str, clause: str, width: int = WIDTH - 4) -> list[str]:
    """`target = [element for …]`, broken where it is long: in the brackets, then before `for`."""
    row = f"{indent}{target} = [{element} {clause}]"
    if len(row) <= width:
        return [row]
    inner = f"{indent}    {element} {clause}"
    inside = [inner] if len(inner) <= width else [f"{indent}    {part}" for part in (element, clause)]
    return [f"{indent}{target} = [", *inside, f"{indent}]"]


def last_bracket(value: str) -> int:
    """Where the bracket opens that closes at the end of the value; 0 where none does."""
    depth = 0
    value = STRING.sub(lambda match: "_" * len(match[0]), value)
    for at in reversed(range(len(value))):
        depth += value[at] in ")]"
        depth -= value[at] in "(["
        if depth == 0:
            return at if value[-1] in ")]" else 0
    return 0


def parts(value: str) -> list[str]:
    """An expression at its loosest operators, each but the first part with its operator in front."""
    for signs in LOOSEST_FIRST:
        places = [(at, sign) for sign in signs for at in outermost(value, sign)]
        if places:
            starts = [0, *(at + 1 for at, _ in sorted(places))]
            ends = [*(at for at, _ in sorted(places)), len(value)]
            return [value[start:end] for start, end in zip(starts, ends, strict=True)]
    return [value]


def elements(text: str) -> list[str]:
    """What commas outside of brackets divide."""
    text = text.removesuffix(",")
    commas = outermost(text, ", ")
    starts, ends = [0, *(at + PAIR for at in commas)], [*commas, len(text)]
    return [text[start:end] for start, end in zip(starts, ends, strict=True)]


def outermost(value: str, sign: str) -> list[int]:
    """Where an operator stands outside of all brackets."""
    if sign not in value:
        return []
    depth, found = 0, []
    value = STRING.sub(lambda match: "_" * len(match[0]), value)
    for at, letter in enumerate(value):
        depth += letter in "([{"
        depth -= letter in ")]}"
        if depth == 0 and value.startswith(sign, at):
            found.append(at)
    return found


def columns(text: str) -> int:
    """How many columns a text takes: signs such as 漢 take two."""
    return len(text) if text.isascii() else sum(1 + (east_asian_width(letter) in "WF") for letter in text)


def shape_text(sizes: Iterable[str]) -> str:
    """The sizes as a tuple."""
    shown = list(sizes)
    return f"({', '.join(shown)}{',' if len(shown) == 1 else ''})"


def commented(row: str, comment: str) -> list[str]:
    """The comment after the row, or above it where the line is too short for both."""
    beside = f"{row}  {comment.strip()}"
    return [beside] if len(beside) + len(INDENT) <= WIDTH else [comment, row]


def fitted(row: str, comment: str) -> str:
    """The row with its comment, where the line is long enough for both."""
    return row + comment if len(row + comment) + len(INDENT) <= WIDTH else row


def call_rows(name: str, arguments: list[str]) -> list[str]:
    """A call, as ruff's formatter breaks it where it is long."""
    targets, sign, called = name.rpartition(" = ")
    if ", " in targets and len(INDENT + name) >= WIDTH:
        left = (f"{INDENT}{target}," for target in targets.split(", "))
        return ["(", *left, *call_rows(f"){sign}{called}", arguments)]
    joined = ", ".join(arguments)
    row = f"{name}({joined})"
    if len(row) + len(INDENT) <= WIDTH:
        return [row]
    if len(joined) + 2 * len(INDENT) <= WIDTH:
        return [f"{name}(", f"{INDENT}{joined}", ")"]
    return [f"{name}(", *(f"{INDENT}{argument}," for argument in arguments), ")"]
