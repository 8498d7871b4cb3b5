"""Makes library.md, beside this file, of the library's definitions and their comments: `python docs/make_library.py`.

In `compiler/language/std/*.grad`

- the comment that a file begins with says what all its definitions share;
- the comment right above a definition, no empty line between, is the definition's;
- another comment, with empty lines around it, says something of what follows; a line of dashes and words begins a part;
- lines of a comment that are moved in by four are an example.

A sentence of each definition's comment says what it makes of which shape, one what PyTorch or a paper calls it.
"""

import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
LIBRARY = FOLDER.parent / "compiler" / "language" / "std"
HEADER = re.compile(r"(?:shared )?(?:def|optimizer) (\w+)")
PART = re.compile(r"-{8,} *(\w.*)?")
SHAPE = re.compile(r"(?<![\w`])\w*\[(?:[^\[\]]|\[[^\[\]]*\])*\](?: : \w+\(\w+\))?")
INTRODUCTION = """\
# The library

Layers, losses, laws, optimizers: all that a model can use without defining it. Nothing of it is built into the
compiler. Each is a definition in the language itself, shown here whole, that can be copied into a model and changed.
Channels are last, weights are `[…, in, out]`, and where PyTorch has the function, its formula and its defaults hold
(not its initial laws). [The language](language.md) says how to read them.

This page is made of `compiler/language/std/*.grad` by `python docs/make_library.py`.
"""


@dataclass(frozen=True, slots=True)
class Block:
    """Comment lines, without their `#`, and what they stand above: a definition, or nothing."""

    comment: tuple[str, ...]
    code: tuple[str, ...]

    @property
    def name(self) -> str | None:
        """Of the definition."""
        match = HEADER.match(self.code[0]) if self.code else None
        return match[1] if match else None


def blocks(text: str) -> list[Block]:
    """A file, cut where a comment or a definition begins at the left margin."""
    found: list[Block] = []
    comment: list[str] = []
    lines = text.splitlines()
    at = 0
    while at < len(lines):
        line = lines[at]
        at += 1
        if line.startswith("#"):
            comment.append(line[1:].removeprefix(" "))
        elif HEADER.match(line):
            begin = at - 1
            while at < len(lines) and not lines[at].startswith("#") and not HEADER.match(lines[at]):
                at += 1
            code = "\n".join(lines[begin:at]).rstrip().split("\n")
            found.append(Block(tuple(comment), tuple(code)))
            comment = []
        elif comment:
            found.append(Block(tuple(comment), ()))
            comment = []
    return found


def prose(comment: tuple[str, ...]) -> str:
    """A comment as Markdown: shapes as code, what is moved in as an example, parts as headings."""
    paragraphs: list[str] = []
    kind = ""
    for line in comment:
        part = PART.fullmatch(line)
        if part:
            kind, text = "part", f"### {(part[1] or '').capitalize()}".rstrip(" #")
        elif line.startswith("    "):
            kind, text = ("more code" if "code" in kind else "code"), line[4:]
        else:
            kind, text = ("more" if kind in ("text", "more") else "text") if line else "", _with_code(line)
        if kind.startswith("more"):
            paragraphs[-1] += "\n" + text
        elif text:
            paragraphs.append(f"```grad\n{text}" if kind == "code" else text)
    return "\n\n".join(f"{text}\n```" if text.startswith("```") else text for text in paragraphs)


def _with_code(line: str) -> str:
    """Shapes between backquotes, where none are yet."""
    pieces = line.split("`")
    return "`".join(SHAPE.sub(r"`\g<0>`", piece) if at % 2 == 0 else piece for at, piece in enumerate(pieces))


def section(file: Path) -> str:
    """What a file defines, under its name."""
    parts = [f"## {_title(file)}: [std/{file.name}](../{file.relative_to(FOLDER.parent).as_posix()})"]
    for block in blocks(file.read_text("utf-8")):
        if block.name:
            parts.append(f"#### {block.name}")
        parts.extend([prose(block.comment)] if block.comment else [])
        if block.code:
            parts.append("\n".join(["```grad", *block.code, "```"]))
    return "\n\n".join(parts)


def _title(file: Path) -> str:
    return file.stem.replace("_", " ").capitalize()


def _anchor(file: Path) -> str:
    """Of a section's heading, as GitHub makes them: apart from those of definitions, one of which may be its title."""
    return f"{_title(file).lower().replace(' ', '-')}-std{file.stem}grad"


def library() -> str:
    """The whole page."""
    files = sorted(LIBRARY.glob("*.grad"))
    rows = ["| | |", "| --- | --- |"]
    for file in files:
        names = [block.name for block in blocks(file.read_text("utf-8")) if block.name]
        links = ", ".join(f"[{name}](#{name})" for name in names)
        rows.append(f"| [{_title(file)}](#{_anchor(file)}) | {links} |")
    return "\n\n".join([INTRODUCTION.strip(), "\n".join(rows), *map(section, files)]) + "\n"


if __name__ == "__main__":
    (FOLDER / "library.md").write_text(library(), encoding="utf-8")
