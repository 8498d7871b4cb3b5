"""Rows of functions that are too long, as ruff's formatter sets them: broken in their brackets, at their operators.

    return {"loss": float(loss), "bits": float(bits), …}        return {
                                                                    "loss": float(loss),
                                                                    "bits": float(bits),
                                                                    …
                                                                }

However many arrays, sizes and outputs a model has, no row is wider than a line; only a name alone may be. It works on
text: what it is given is what the emitter writes, not any Python.
"""

import re
import textwrap
from collections.abc import Iterable, Iterator

from .lines import BRACES, HARD, INDENT, PAIR, STRING, WIDTH, elements, opens, outermost, parts, wrapped

OPENING, CLOSING = "([{", ")]}"
QUOTES = '"""'
SIGNS = (" = ", " += ", " -= ", " *= ")
HEADS = re.compile(r"(?:if|elif|while|return|raise|def|for .*? in) ")


def laid_out(rows: Iterable[str]) -> list[str]:
    """The rows, those that are too long as several."""
    given = [part for row in rows for part in row.split("\n")]
    return given if all(len(row) <= WIDTH for row in given) else list(_narrowed(given))


def _narrowed(rows: Iterable[str]) -> Iterator[str]:
    """Row by row, knowing whether it stands in a docstring or in brackets."""
    in_text, depth, before = False, 0, ""
    for row in rows:
        text = row.lstrip()
        indent = row[: len(row) - len(text)]
        if in_text or text.startswith(QUOTES):
            ends = text.endswith(QUOTES) and (in_text or len(text) > len(QUOTES))
            yield from _said(indent, text) if ends and not in_text else [row]
            in_text = not ends
            continue
        yield from [row] if len(row) <= WIDTH else _row(indent, text, depth, before)
        depth, before = depth + _opened_by(text), text


def _row(indent: str, text: str, depth: int, before: str) -> list[str]:
    """One that is too long."""
    if text.startswith("# "):
        return [indent + part for part in wrapped(text, WIDTH - len(indent), "#     ")]
    code, sign, comment = (text[: at[0]], *text[at[0] :].partition("# ")[1:]) if (at := outermost(text, "  # ")) else (
        text, "", ""
    )  # fmt: skip
    if comment:
        return [*_row(indent, sign + comment, depth, before), *_fit(indent, code, depth, before)]
    if not depth:
        return _statement(indent, text)
    if before[-1:] in OPENING and elements(text)[1:]:
        return _inside(indent, before, text)
    return _value(indent, text.removesuffix(","), "," if text.endswith(",") else "")


def _fit(indent: str, text: str, depth: int, before: str) -> list[str]:
    return [indent + text] if len(indent + text) <= WIDTH else _row(indent, text, depth, before)


def _said(indent: str, text: str) -> list[str]:
    """A docstring of one row."""
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False)


def _statement(indent: str, text: str) -> list[str]:
    """An assignment, a condition's or a loop's head, a call, what is given back."""
    text, colon = text.removesuffix(":"), ":" if text.endswith(":") else ""
    if head := HEADS.match(text):
        return _headed(indent, head[0], text[head.end() :], colon)
    sign = next((sign for sign in SIGNS if outermost(text, sign)), None)
    if sign is None or colon:
        return _headed(indent, "", text, colon)
    at = outermost(text, sign)[0]
    target, value = text[:at], text[at + len(sign) :]
    rows = [] if value[-1] in OPENING else _headed(indent, target + sign, value, "")
    if rows and len(rows[0]) <= WIDTH:
        return rows
    names = elements(target)
    if not names[1:]:
        return _at_places(indent, target, sign, value) or rows or [indent + text]
    left = [f"{indent}(", *(f"{indent}{INDENT}{name}," for name in names)]
    return [*left, *(_headed(indent, f"){sign}", value, "") if rows else [f"{indent}){sign}{value}"])]


def _at_places(indent: str, target: str, sign: str, value: str) -> list[str]:
    """`target[i, j] = value`, whose subscripts are broken; none where it has no subscripts."""
    if not target.endswith("]"):
        return []
    start, end = _brackets(target)[-1]
    first, head = target[: start + 1], target[end:] + sign
    rows = [indent + head + value] if value[-1] in OPENING else _headed(indent, head, value, "")
    return [indent + first, *_inside(indent + INDENT, first, target[start + 1 : end]), *rows]


def _headed(indent: str, head: str, value: str, tail: str) -> list[str]:
    """`return value`, `target = value`: in the value's own brackets if it has no looser operator, else in new ones."""
    if len(indent + head + value + tail) <= WIDTH:
        return [indent + head + value + tail]
    items = elements(value)
    if items[1:]:
        inner = [row for element in items for row in _value(indent + INDENT, element, ",")]
    elif own := _in_brackets(indent, head, value, tail):
        return own
    elif not head:
        return [indent + value + tail]
    else:
        inner = _value(indent + INDENT, value, "")
    return [f"{indent}{head}(", *inner, f"{indent}){tail}"]


def _value(indent: str, value: str, tail: str) -> list[str]:
    """An expression inside of brackets, where a row may end at any operator."""
    if len(indent + value + tail) <= WIDTH:
        return [indent + value + tail]
    if STRING.fullmatch(value):
        *rows, last = (indent + part for part in _text_parts(value, WIDTH - len(indent + tail)))
        return [*rows, last + tail]
    *first, last = parts(value)
    if first:
        return [*(row for part in first for row in _value(indent, part, "")), *_value(indent, last, tail)]
    return _in_brackets(indent, "", value, tail) or [indent + value + tail]


def _in_brackets(indent: str, head: str, value: str, tail: str) -> list[str]:
    """Broken in the last bracket up to which it fits into a row; none where operators hold less, or no bracket does."""
    if parts(value)[1:] and not (head and opens(value)):
        return []
    for start, end in reversed(_brackets(value)):
        first, inner, last = value[: start + 1], value[start + 1 : end], value[end:]
        if inner and len(indent + head + first) <= WIDTH and len(indent + last + tail) <= WIDTH:
            return [indent + head + first, *_inside(indent + INDENT, first, inner), indent + last + tail]
    return []


def _inside(indent: str, before: str, inner: str) -> list[str]:
    """What stands in brackets, of a call in one row if that is wide enough; else an element in each.

    Args:
        before: what ends with the opening bracket.
    """
    bracket, calls = before[-1], len(before) > 1 and (before[-PAIR].isalnum() or before[-PAIR] in "_)]")
    items = elements(inner)
    if calls and len(indent + inner) <= WIDTH:
        return [indent + inner]
    if clauses := outermost(inner, " for "):
        return [*_value(indent, inner[: clauses[0]], ""), *_value(indent, inner[clauses[0] + 1 :], "")]
    alone = not items[1:] and not inner.endswith(",") and bracket != "{"
    if alone and (STRING.fullmatch(inner) or not calls or bracket == "["):
        return _value(indent, inner, "," if bracket == "[" and not calls else "")
    return [row for element in items for row in _value(indent, element, ",")]


def _brackets(value: str) -> list[tuple[int, int]]:
    """Where the outermost brackets open and close."""
    found, starts = [], []
    for at, letter in enumerate(_without_texts(value)):
        if letter in OPENING:
            starts.append(at)
        elif letter in CLOSING and starts:
            start = starts.pop()
            found += [] if starts else [(start, at)]
    return found


def _opened_by(text: str) -> int:
    """How many more brackets a row opens than it closes."""
    code = _without_texts(text).partition("  # ")[0]
    return 0 if code.startswith("# ") else sum((letter in OPENING) - (letter in CLOSING) for letter in code)


def _without_texts(text: str) -> str:
    return STRING.sub(lambda match: "_" * len(match[0]), text)


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
