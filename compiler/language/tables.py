"""The parser's tables: `grammar.json` → what `automaton` runs on.

Lark makes them of `grammar.lark` in 0.3 s, and to import lark takes another 0.05 s; to read them takes 0.005 s. So they
are kept beside the grammar, and `python -m gradc.language.grammar` makes them anew when it has changed.
"""

import functools
import hashlib
import json
from dataclasses import asdict, dataclass
from importlib.resources import files

from gradc.errors import InternalError

NOTHING, PART, SPLICED = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Reduction:
    """A rule read backwards: how many parts it takes off, what becomes of each, and the method that makes its node.

    A rule of the kind `?rule` with one part hands it on as it is (`alone`). A helper that lark made of `*` or `+` has
    no method: its parts are spliced into those of the rule around it. A shape of None takes every part as it is.
    """

    size: int
    origin: str
    method: str | None
    alone: bool
    shape: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Tables:
    """An LALR(1) automaton and the words it reads. An action of 0 and more shifts to that state, ~n reduces by n."""

    grammar: str
    words: str
    keywords: dict[str, str]
    start: int
    end: int
    actions: tuple[dict[str, int], ...]
    gotos: tuple[dict[str, int], ...]
    reductions: tuple[Reduction, ...]


@functools.cache
def tables() -> Tables:
    """The tables of the grammar as it is."""
    folder = files("gradc.language")
    found = from_json(folder.joinpath("grammar.json").read_text(encoding="utf-8"))
    if found.grammar != fingerprint(folder.joinpath("grammar.lark").read_text(encoding="utf-8")):
        raise InternalError("grammar.json was made of another grammar.lark: run python -m gradc.language.grammar")
    return found


def fingerprint(grammar: str) -> str:
    """What tells whether tables were made of a grammar."""
    return hashlib.sha256(grammar.encode()).hexdigest()


def to_json(made: Tables) -> str:
    """Tables as text, a state a line."""
    lines = []
    for name, value in asdict(made).items():
        if isinstance(value, tuple):
            rows = ",\n".join(json.dumps(row, separators=(",", ":")) for row in value)
            lines.append(f'"{name}": [\n{rows}\n]')
        else:
            lines.append(f'"{name}": {json.dumps(value, ensure_ascii=False)}')
    return "{" + ",\n".join(lines) + "}\n"


def from_json(text: str) -> Tables:
    """Reads what `to_json` wrote."""
    data = json.loads(text)
    reductions = [row | {"shape": row["shape"] and tuple(row["shape"])} for row in data["reductions"]]
    data["reductions"] = tuple(Reduction(**row) for row in reductions)
    return Tables(**data | {"actions": tuple(data["actions"]), "gotos": tuple(data["gotos"])})
