"""Reading a model file: path -> text, or an error that says what is wrong with the file.

It looks at bytes only; whether the text is a model is the compiler's business.
"""

import difflib
from pathlib import Path

from gradc.errors import Diagnostic, GradcError, Span, fail

LARGEST = 4 * 1024 * 1024


def read_model(path: Path) -> str:
    """The text of a model file, with line ends as \\n and without a byte order mark.

    Raises:
        GradcError: there is no such file, it is no file, cannot be read, is larger than 4 MB or is not UTF-8.
    """
    try:
        content = _content(path)
    except OSError as error:
        raise fail("unreadable-file", f"{path} cannot be read: {error.strerror}") from error
    return _decoded(content, str(path))


def _content(path: Path) -> bytes:
    if not path.exists():
        raise fail("no-such-file", f"there is no file {path}", help=_similar(path))
    if path.is_dir():
        inside = sorted(child.name for child in path.glob("*.grad"))
        models = f"its models: {', '.join(inside[:8])}" if inside else None
        raise fail("not-a-file", f"{path} is a folder; a model file is wanted", help=models)
    if not path.is_file():
        raise fail("not-a-file", f"{path} is not a regular file; a model file is wanted")
    if (size := path.stat().st_size) > LARGEST:
        raise fail("file-too-large", f"{path} has {size:,} bytes; a model file has at most {LARGEST:,}")
    return path.read_bytes()


def _similar(path: Path) -> str | None:
    """Why there is no such file, or which beside it may have been meant."""
    if path.is_symlink():
        return "it is a link that leads nowhere"
    if not path.parent.is_dir():
        return f"there is no folder {path.parent} either"
    names = sorted(child.name for child in path.parent.glob("*.grad"))
    close = difflib.get_close_matches(path.name, names, 1) or [n for n in names if n == f"{path.name}.grad"]
    return f"did you mean {path.parent / close[0]}?" if close else None


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
