"""What the command line shows: diagnostics and code, coloured in a terminal and plain elsewhere.

Text in, lines on stdout or stderr out. Model files may be a stranger's: control characters never reach the terminal,
and nothing in them is read as markup. Rich is imported only where there is a terminal to colour for.
"""

import importlib
import os
import re
import sys
from typing import Any, TextIO

import click

from gradc.errors import fail

STYLES = (
    (r"^(?P<place>.+?:\d+:\d+: )?(?P<error>error): ", {"place": "bold", "error": "bold red"}),
    (r"^(?P<place>.+?:\d+:\d+: )?(?P<warning>warning): ", {"place": "bold", "warning": "bold yellow"}),
    (r"^(?P<margin> *\d+ \|) ", {"margin": "blue"}),
    (r"^(?P<margin> {5}\|)(?P<marks>.*)$", {"margin": "blue", "marks": "red"}),
    (r"^(?P<margin> {5}=)(?P<help>.*)$", {"margin": "blue", "help": "cyan"}),
    (r"^ {5}(?P<margin>-->)", {"margin": "blue"}),
)


def printable(text: str) -> str:
    """The text without what a terminal would obey: every control character but line ends becomes a space."""
    return "".join(c if c.isprintable() or c == "\n" else " " for c in text)


def say(text: str) -> None:
    """A line on stdout.

    Raises:
        GradcError: it cannot be written: the disk is full.
    """
    try:
        click.echo(printable(text))
    except BrokenPipeError:
        raise  # the reader has gone, which click takes for an end
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python would try again as it ends
        message = f"the output cannot be written: {error.strerror or error}"
        raise fail("cannot-write", message, "make room on the disk, or write elsewhere") from error


def tell(text: str) -> None:
    """Diagnostics, or a note about what was done, on stderr."""
    if not is_terminal(sys.stderr):
        click.echo(printable(text), err=True)
        return
    styled = importlib.import_module("rich.text").Text("\n").join(_styled(line) for line in printable(text).split("\n"))
    _rich_console(sys.stderr).print(styled, soft_wrap=True, highlight=False)


def show_code(text: str, language: str) -> None:
    """Code on stdout; in a terminal, coloured."""
    if not is_terminal(sys.stdout):
        say(text.rstrip("\n"))
        return
    code = importlib.import_module("rich.syntax").Syntax(printable(text), language, background_color="default")
    _rich_console(sys.stdout).print(code, soft_wrap=True)


def show_table(table: Any) -> None:
    """A table on stdout, with its title, header, rows, and columns to the right; in a terminal, drawn."""
    say("")
    if not is_terminal(sys.stdout):
        say(str(table))
        return
    drawn = importlib.import_module("rich.table").Table(
        title=printable(table.title) or None, title_justify="left", box=importlib.import_module("rich.box").SIMPLE,
        show_header=any(table.header),
    )  # fmt: skip
    plain = importlib.import_module("rich.text").Text
    for at, name in enumerate(table.header):
        drawn.add_column(plain(name), justify="right" if at in table.right else "left")
    for row in table.rows:
        drawn.add_row(*(plain(printable(cell)) for cell in row))
    _rich_console(sys.stdout).print(drawn)


def progress_bar() -> Any:
    """A bar for a fit, on stdout."""
    return importlib.import_module("gradc.runtime.bar").Bar(_rich_console(sys.stdout))


def is_terminal(stream: TextIO | None) -> bool:
    """Whether someone reads the stream as it is written; it is None where the process was started without."""
    return stream is not None and stream.isatty()


def _rich_console(stream: TextIO) -> Any:
    return importlib.import_module("rich.console").Console(file=stream)


def _styled(line: str) -> Any:
    """One line of a rendered diagnostic, its parts coloured."""
    text = importlib.import_module("rich.text").Text(line)
    for pattern, styles in STYLES:
        if match := re.match(pattern, line):
            for group, style in styles.items():
                if match[group]:
                    text.stylize(style, match.start(group), match.end(group))
    return text
