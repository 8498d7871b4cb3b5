"""Long statements, broken as ruff's formatter breaks them: in brackets, at the operators that hold least."""

import re
import textwrap
from collections.abc import Iterable

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
LOOSEST_FIRST = ((" if ", " else "), (" or ",), (" and ",), (" + ", " - "), (" * ", " / "))


def broken(indent: str, text: str, width: int = WIDTH - 4) -> list[str]:
    """The statement on one line if it fits, a function's body being indented by four more; else on several."""
    row = indent + text
    sign = next((sign for sign in (" = ", " += ", " -= ", " *= ") if sign in text), None)
    if len(row) <= width or sign is None or text.startswith(("for ", "if ", "elif ", "#")):
        return [row]
    target, value = text.split(sign, maxsplit=1)
    inner = indent + "    "
    at = _last_bracket(value)
    fits = len(indent + target + sign) + at < width and len(inner + value[at + 1 : -1]) <= width
    if at and fits and _opens(value, at):
        return [f"{indent}{target}{sign}{value[: at + 1]}", inner + value[at + 1 : -1], indent + value[-1]]
    rows = [inner + value] if len(inner + value) <= width else [inner + part for part in parts(value)]
    return [f"{indent}{target}{sign}(", *rows, f"{indent})"]


def _opens(value: str, at: int) -> bool:
    """Whether the bracket that ends the value is where it is broken: there is no looser operator, or one, with what is
    in the bracket on its right."""
    return len(parts(value)) == 1 or (len(parts(value)) == PAIR and value[at - 1] == " " and value[-1] == ")")


def wrapped(text: str, width: int, further: str) -> list[str]:
    """A formula in rows, which end at spaces outside of subscripts, or in a long product at a `*`.

    Args:
        width: the most columns of a row.
        further: what the second row and those after it begin with.
    """
    words = SUBSCRIPTS.sub(lambda match: match[0].replace(" ", HARD), text).split(" ")
    whole = " ".join(word if len(further + word) <= width else word.replace("*", "*" + SOFT) for word in words)
    rows = textwrap.wrap(whole, width, subsequent_indent=further, break_long_words=False, replace_whitespace=False)
    return [row.replace(HARD, " ").replace(SOFT, "") for row in rows]


def laid_out(rows: Iterable[str]) -> list[str]:
    """Rows of a function: a long condition is broken at its `or`, a long call in the brackets that end it."""
    given = list(rows)
    # what stands in the brackets of a product, which is set before it is known how deep it is indented
    around = zip(["", *given], [*given[1:], ""], strict=False)
    inside = [before.endswith("gemm(") and after.strip() == ")" for before, after in around]
    return [part for row, call in zip(given, inside, strict=True) for part in _laid_out(row, call)]


def _laid_out(row: str, inside: bool) -> list[str]:
    text = row.lstrip()
    indent = row[: len(row) - len(text)]
    if len(row) <= WIDTH or "\n" in row or text.startswith('"'):
        return [row]
    if text.startswith("# "):
        return [indent + part for part in wrapped(text, WIDTH - len(indent), "#     ")]
    if inside:
        return _arguments(indent, text)
    if text.startswith(("if ", "elif ")) and text.endswith(":"):
        word, condition = text[:-1].split(" ", maxsplit=1)
        return [f"{indent}{word} (", *(f"{indent}    {part}" for part in parts(condition)), f"{indent}):"]
    if text.endswith(")") and (place := _last_bracket(text)):
        inner, is_call = text[place + 1 : -1], text[place - 1].isalnum() or text[place - 1] == "_"
        rows = _arguments(f"{indent}    ", inner) if is_call else [f"{indent}    {part}" for part in parts(inner)]
        return [f"{indent}{text[: place + 1]}", *rows, f"{indent})"]
    return [row]


def _arguments(indent: str, text: str) -> list[str]:
    """The arguments of a call in one row, or where that is too long in a row each; a long text in several."""
    if len(indent + text) <= WIDTH:
        return [indent + text]
    if STRING.fullmatch(text):
        return [indent + part for part in _text_parts(text, WIDTH - len(indent))]
    starts = [0, *(at + 2 for at in outermost(text, ", "))]
    ends = [*(at for at in outermost(text, ", ")), len(text)]
    return [f"{indent}{text[start:end]}," for start, end in zip(starts, ends, strict=True)]


def _text_parts(text: str, width: int) -> list[str]:
    """A string literal as several, one after the other, each ending at a space outside of braces."""
    start = text.index('"')
    prefix, said = text[:start], text[start + 1 : -1]
    words = re.split(r"(?<= )", BRACES.sub(lambda match: match[0].replace(" ", HARD), said))
    rows = [""]
    for word in words:
        if rows[-1] and len(prefix + rows[-1] + word) + PAIR > width:
            rows.append("")
        rows[-1] += word
    return [f'{prefix}"{row}"'.replace(HARD, " ") for row in rows]


def list_rows(indent: str, target: str, element: str, clause: str, width: int = WIDTH - 4) -> list[str]:
    """`target = [element for …]`, broken where it is long: in the brackets, then before `for`."""
    row = f"{indent}{target} = [{element} {clause}]"
    if len(row) <= width:
        return [row]
    inner = f"{indent}    {element} {clause}"
    inside = [inner] if len(inner) <= width else [f"{indent}    {part}" for part in (element, clause)]
    return [f"{indent}{target} = [", *inside, f"{indent}]"]


def _last_bracket(value: str) -> int:
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
    joined = ", ".join(arguments)
    row = f"{name}({joined})"
    if len(row) + len(INDENT) <= WIDTH:
        return [row]
    if len(joined) + 2 * len(INDENT) <= WIDTH:
        return [f"{name}(", f"{INDENT}{joined}", ")"]
    return [f"{name}(", *(f"{INDENT}{argument}," for argument in arguments), ")"]
