"""Reading a model file, or one that it uses: path -> text, or an error that says what is wrong with the file.

It looks at bytes only; whether the text is a model is the compiler's business.
"""

import codecs
from pathlib import Path

from gradc.beside import similar
from gradc.errors import Diagnostic, GradcError, Span, fail, unreadable

MOST_BYTES = 1_000_000
WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
"""What files of two bytes a character begin with."""


def read_model(path: Path, name: str | None = None) -> str:
    """The text of a model file, with line ends as \\n and without a byte order mark. Errors call it `name`.

    Raises:
        GradcError: there is no such file, it is no file, cannot be read, is larger than 1 MB or is not UTF-8.
    """
    name = str(path) if name is None else name
    try:
        content = _content(path, name)
    except OSError as error:
        raise unreadable(path, error) from error
    return _decoded(content, name)


def check_length(text: str, name: str) -> None:
    """Refuses a text that is larger than a file may be."""
    if (size := len(text.encode("utf-8", "surrogatepass"))) > MOST_BYTES:
        raise _too_large(name, size)


def _content(path: Path, name: str) -> bytes:
    if not path.exists():
        raise fail("no-such-file", f"there is no file {path}", help=similar(path, (".grad",)))
    if path.is_dir():
        inside = sorted(child.name for child in path.glob("*.grad"))
        models = f"its models: {', '.join(inside[:8])}" if inside else "there are no models in it"
        raise fail("not-a-file", f"{path} is a folder; a model file is wanted", help=models)
    if not path.is_file():
        raise fail("not-a-file", f"{path} is not a regular file", "a model file is wanted, such as digits.grad")
    if (size := path.stat().st_size) > MOST_BYTES:
        raise _too_large(name, size)
    return path.read_bytes()


def _too_large(name: str, size: int) -> GradcError:
    message = f"this file has {size:,} bytes, and a model file has at most {MOST_BYTES:,}"
    help = 'is this the data? A model is a few lines of text; data stand in an .npz, which a line names: data "x.npz"'
    return GradcError([Diagnostic("file-too-large", message, Span(name, 1, 1, 1, 1), help=help)])


def _decoded(content: bytes, name: str) -> str:
    content = content.removeprefix(codecs.BOM_UTF8)
    try:
        return _lines(content.decode())
    except UnicodeDecodeError as error:
        raise _not_text(content, error, name) from error


def _not_text(content: bytes, error: UnicodeDecodeError, name: str) -> GradcError:
    """The first byte that is no character, in its line: bytes that are none are shown as numbers, `caf\\xe9`."""
    wrong = content[error.start]
    before = _lines(content[: error.start].decode()).split("\n")
    line, column = len(before), len(before[-1]) + 1
    span = Span(name, line, column, line, column + len(f"\\x{wrong:02x}"))
    message = f"this file is not UTF-8: byte {wrong:#04x} is not text"
    meant = content[error.start : error.start + 1].decode("latin-1")
    mend = "save it as UTF-8"
    if content.startswith(WIDE):
        mend = "it begins like UTF-16: save it as UTF-8"
    elif meant.isprintable():
        mend = f"save it as UTF-8; in Latin-1 this byte is {meant}"
    shown = _lines(content.decode(errors="backslashreplace"))
    return GradcError([Diagnostic("not-utf-8", message, span, help=mend)], {name: shown})


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")
