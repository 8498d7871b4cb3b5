"""Definitions as text: functions with their docstrings, literals, tuples, tables, assignments."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from .breaking import laid_out
from .lines import INDENT, WIDTH, columns

WIDEST_EQUATION = 88
LITERAL = 100
"""Columns of the model's text in one line of the literal that holds it."""


def function(decorator: str, name: str, arguments: Iterable[str], body: Iterable[str]) -> str:
    """A decorated definition."""
    return f"@{decorator}\n{plain(name, arguments, body)}"


def plain(name: str, arguments: Iterable[str], body: Iterable[str]) -> str:
    """A definition, its header wrapped where it is long."""
    names = list(arguments)
    header = f"def {name}({', '.join(names)}):"
    if len(header) > WIDTH:
        header = f"def {name}(\n{_filled(names, INDENT)}\n):"
    return "\n".join([header, *laid_out(f"{INDENT}{row}" if row else "" for row in body)])


def docstring(rows: Sequence[str]) -> list[str]:
    """A docstring of one row or several."""
    if len(rows) == 1:
        return [f'"""{rows[0].strip()}"""']
    # what follows the first row stands no deeper than it, as formatters set it
    return [f'"""{rows[0]}', *textwrap.dedent("\n".join(rows[1:])).split("\n"), '"""']


def assigned(names: Sequence[str], value: str) -> str:
    """Names that take a tuple apart, a line each where they are many."""
    left = ", ".join(names)
    single = f"{left}, = {value}" if len(names) == 1 else f"{left} = {value}"
    single = f"({left},) = {value}" if len(names) == 1 else single
    if len(single) <= WIDTH - len(INDENT):
        return single
    return f"(\n{_filled(list(names), INDENT * 2)}\n{INDENT}) = {value}"


def _filled(names: list[str], indent: str) -> str:
    """Names a line each, as ruff's formatter sets them."""
    return "\n".join(f"{indent}{name}," for name in names)


def wrapped_tuple(views: list[str]) -> str:
    """What a function returns, a line each where it is much."""
    line = ", ".join(views) + ("," if len(views) == 1 else "")
    if len(line) + len(INDENT) + len("return ") <= WIDTH:
        return f"({line})" if len(views) == 1 else line
    return f"(\n{_filled(views, INDENT * 2)}\n{INDENT})"


def filled_text(text: str, indent: str) -> str:
    """Broken at double or single blanks before the line is full."""
    rows, row = [], ""
    for word in text.split(" "):
        if row and len(indent) + len(row) + 1 + len(word) > WIDTH - 2:
            rows.append(row.rstrip())
            row = word
        else:
            row = f"{row} {word}" if row or rows or word == "" else word
    rows.append(row.rstrip())
    return f"\n{indent}".join(part.lstrip() if at else part for at, part in enumerate(rows))


def table(name: str, rows: list[tuple[str, str]]) -> str:
    """A dictionary of names, a row each."""
    if not rows:
        return f"{name} = {{}}"
    return "\n".join([f"{name} = {{", *(f"{INDENT}{key!r}: {value}," for key, value in rows), "}"]).replace("'", '"')


def tuple_of(values: Iterable[object]) -> str:
    """The values as a tuple."""
    return tuple_text(f'"{value}"' if isinstance(value, str) else repr(value) for value in values)


def quoted(text: str) -> str:
    """The text as a literal, in double quotes where these need no more escapes than single ones."""
    shown = repr(text)
    if shown.startswith('"') or text.count('"') > text.count("'"):
        return shown
    inner = shown[1:-1].replace("\\'", "'").replace('"', '\\"')
    return f'"{inner}"'


def unpacked(names: list[str]) -> str:
    """The left side that takes a tuple apart, or the tuple itself."""
    return f"({names[0]},)" if len(names) == 1 else ", ".join(names)


def tuple_text(parts: Iterable[str]) -> str:
    """The parts as a tuple."""
    shown = list(parts)
    return f"({', '.join(shown)}{',' if len(shown) == 1 else ''})"


def sentences(text: str) -> list[str]:
    """A docstring, its sentences on lines of their own where one line is too short."""
    if len(text) + len(INDENT) + 6 <= WIDTH:
        return [f'"""{text}"""']
    first, _, rest = text.partition(". ")
    rows = [textwrap.wrap(part, WIDTH - len(INDENT), break_long_words=False) for part in (f'"""{first}.', rest)]
    return [*rows[0], "", *rows[1], '"""']


def safe(text: str) -> str:
    """A line of the model that may stand in a docstring: no quotes, backslashes or control characters."""
    shown = text.split("#", maxsplit=1)[0].rstrip()
    return "".join(c if c.isprintable() and c not in '"\\' else "'" for c in shown)


def shortened(text: str, widest: int) -> str:
    """The beginning of a long equation."""
    if columns(text) <= widest:
        return text
    end = next(end for end in range(widest - 2, -1, -1) if columns(text[:end]) <= widest - 2)
    return f"{text[:end]} …"


def _cut(row: str) -> Iterator[str]:
    """Parts of a line of the model, each as long as a literal may be: what is written as an escape takes more."""
    start, width = 0, 0
    for at, letter in enumerate(row):
        # of two kinds of quotes the rarer are escaped; a line's end stays with it
        own = {'"': 2, "\n": 0}.get(letter, columns(repr(letter)) - 2)
        if width + own > LITERAL:
            yield row[start:at]
            start, width = at, 0
        width += own
    yield row[start:]


def source_text(text: str) -> str:
    """The model's text as a literal, a line a line."""
    rows = [quoted(part) for row in text.splitlines(keepends=True) for part in _cut(row)]
    joined = quoted(text)
    if len(rows) <= 1 or len("SOURCE = ") + len(joined) <= WIDTH:
        return joined
    return "\n".join(["(", *(f"{INDENT}{row}" for row in rows), ")"])
