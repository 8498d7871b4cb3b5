"""The text of the functions that an emitted module carries along: names in, Python source out.

The files beside this one are ordinary Numba modules, so that the functions can be read, imported and tested where they
stand. Here they are only text: a file is cut at its blank lines into definitions, and `prelude_source` picks those that
a model uses. Nothing is imported, compiled or changed.
"""

import re
from collections.abc import Iterable
from importlib.resources import files

FAMILIES = ("exponential", "hyperbolic", "trigonometric", "error_function")

AVAILABLE: tuple[str, ...] = (
    *("exp", "expm1", "log", "log1p", "pow", "tanh", "sigmoid", "softplus", "sinh", "cosh"),
    *("sin", "cos", "tan", "asin", "acos", "atan", "erf", "gemm"),
)


def prelude_source(names: Iterable[str], dtype: str) -> str:
    """The definitions of `names` and of all that they use, each once, a definition before those that use it.

    The text stands on the names `np`, `f4`, `f8`, `i4`, `i8`, `vector` and on `prelude_imports`. Definitions are
    separated by two blank lines; there is none at the ends, and no text at all for no names.

    Args:
        names: any of AVAILABLE.
        dtype: "float32" or "float64".
    """
    definitions = _definitions(dtype)
    return "\n\n\n".join(definitions[name] for name in _with_what_they_use(names, definitions))


def prelude_imports(names: Iterable[str]) -> tuple[str, ...]:
    """The import lines that the definitions of `names` need besides `np` and `njit`, sorted."""
    if "gemm" not in names:
        return ()
    return tuple(line for line in _lines("gemm.py") if line.startswith(("import numba", "from numba")))


def _with_what_they_use(names: Iterable[str], definitions: dict[str, str]) -> list[str]:
    """In the order of the files, which define before they use."""
    wanted: set[str] = set()
    waiting = sorted(names)
    while waiting:
        name = waiting.pop()
        if name not in wanted:
            wanted.add(name)
            waiting.extend(_used_by(definitions[name], definitions))
    return [name for name in definitions if name in wanted]


def _used_by(definition: str, definitions: dict[str, str]) -> list[str]:
    """The definitions that one calls or names: its words, but for those of docstrings and comments."""
    code = re.sub(r'""".*?"""|#[^\n]*', "", definition, flags=re.DOTALL)
    return sorted(set(re.findall(r"\w+", code)) & set(definitions))


def _definitions(dtype: str) -> dict[str, str]:
    """Every definition for one dtype by its name, in the order of the files."""
    texts = ["\n".join(_lines(f"{family}_{dtype}.py")) for family in FAMILIES]
    texts.append("\n".join(_lines("gemm.py")))
    blocks = [block.strip("\n") for text in texts for block in text.split("\n\n\n")[1:]]
    return {match[1]: block for block in blocks if (match := re.search(r"^def (\w+)", block, flags=re.MULTILINE))}


def _lines(file: str) -> list[str]:
    return files(__name__).joinpath(file).read_text(encoding="utf-8").splitlines()
