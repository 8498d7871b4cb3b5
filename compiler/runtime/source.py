"""Reading a model file: path -> text, or an error that says what is wrong with the file.

It looks at bytes only; whether the text is a model is the compiler's business.
"""

from pathlib import Path

from gradc.errors import Diagnostic, GradcError, Span, fail, unreadable

from .beside import similar

LARGEST = 4 * 1024 * 1024


def read_model(path: Path) -> str:
    """The text of a model file, with line ends as \\n and without a byte order mark.

    Raises:
        GradcError: there is no such file, it is no file, cannot be read, is larger than 4 MB or is not UTF-8.
    """
    try:
        content = _content(path)
    except OSError as error:
        raise unreadable(path, error) from error
    return _decoded(content, str(path))


def _content(path: Path) -> bytes:
    if not path.exists():
        raise fail("no-such-file", f"there is no file {path}", help=similar(path, (".grad",)))
    if path.is_dir():
        inside = sorted(child.name for child in path.glob("*.grad"))
        models = f"its models: {', '.join(inside[:8])}" if inside else "there are no models in it"
        raise fail("not-a-file", f"{path} is a folder; a model file is wanted", help=models)
    if not path.is_file():
        raise fail("not-a-file", f"{path} is not a regular file", "a model file is wanted, such as digits.grad")
    if (size := path.stat().st_size) > LARGEST:
        message = f"{path} has {size:,} bytes; a model file has at most {LARGEST:,}"
        raise fail("file-too-large", message, "is this the data? A model is a few lines of text")
    return path.read_bytes()


def _decoded(content: bytes, name: str) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8-sig").split("\n")
        line, column = len(before), len(before[-1]) + 1
        message = f"this file is not UTF-8: byte {content[error.start]:#04x} is not text"
        span = Span(name, line, column, line, column + 1)
        raise GradcError([Diagnostic("not-utf-8", message, span, help="save it as UTF-8")]) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")
