"""The text of the functions that an emitted module carries along: names in, Python source out.

The files beside this one are ordinary Numba modules, so that the functions can be read, imported and tested where they
stand. Here they are only text: a file is cut at its blank lines into definitions, and `prelude_source` picks those that
a model uses. Nothing is imported, compiled or changed.
"""

import re
from collections.abc import Iterable
from importlib.resources import files

FAMILIES = ("exponential", "hyperbolic", "trigonometric", "error_function", "row", "random")

WHOLE = (
    *("compilers", "pure", "rare", "scaled", "array_field", "array_of", "own_signature", "view", "rows"),
    *("columns_of", "windows", "windows_of_each", "turned_each"),
    *("tile", "gemm", "team", "gemm_by_all"),
)
"""Each with a file of its own, which is one definition."""

AVAILABLE: tuple[str, ...] = (
    *("exp", "expm1", "log", "log1p", "pow", "tanh", "sigmoid", "softplus", "sinh", "cosh"),
    *("sin", "cos", "tan", "asin", "acos", "atan", "erf", "largest", "smallest", "view", "rows", "windows", "gemm"),
    *("columns_of", "windows_of_each", "turned_each"),
    "team",
    "gemm_by_all",
    *("random_key", "uniform", "normal"),
)


def prelude_source(names: Iterable[str], dtype: str) -> str:
    """The definitions of `names` and of all that they use, each once: vector functions, then what is written for Numba.

    Two blank lines lie between definitions, and there is none at the ends. The text stands on the names `np`, `f4`,
    `f8`, `i4`, `i8`, `u4`, `u8` and `vector` (those of `scope.py`) and on what `prelude_imports` brings.

    Args:
        names: any of AVAILABLE.
        dtype: "float32" or "float64".
    """
    return "\n\n\n".join(text for text in prelude_parts(names, dtype) if text)


def prelude_parts(names: Iterable[str], dtype: str) -> tuple[str, str]:
    """As `prelude_source`, in two: vector functions, which say what is computed, and what is written for Numba."""
    definitions = _definitions(dtype)
    wanted = _with_what_they_use(names, definitions)
    vector, for_numba = (
        "\n\n\n".join(definitions[name] for name in wanted if (name in WHOLE) is whole) for whole in (False, True)
    )
    return vector, for_numba


def prelude_imports(names: Iterable[str], dtype: str) -> tuple[str, ...]:
    """The import lines that the definitions of `names` need besides those of `np` and `njit`, sorted."""
    wanted = _with_what_they_use(names, _definitions(dtype))
    lines = {line for name in WHOLE if name in wanted for line in _text(f"{name}.py").splitlines()}
    return tuple(sorted(line for line in lines if re.match(r"import (?!numpy)|from \w", line)))


def prelude_words(names: Iterable[str], dtype: str) -> tuple[str, ...]:
    """Every name that the definitions of `names` bring into the module, helpers too, in the order of the text."""
    return tuple(re.findall(r"^(?:def|class) (\w+)", prelude_source(names, dtype), flags=re.MULTILINE))


def _with_what_they_use(names: Iterable[str], definitions: dict[str, str]) -> list[str]:
    """In the order of the files."""
    wanted: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in wanted:
            wanted.add(name)
            waiting.extend(_used_by(definitions[name], definitions))
    return [name for name in definitions if name in wanted]


def _used_by(definition: str, definitions: dict[str, str]) -> set[str]:
    """The definitions that one names: among its words, but for those of docstrings and comments."""
    code = re.sub(r'""".*?"""|#[^\n]*', "", definition, flags=re.DOTALL)
    return set(re.findall(r"(?<![.\w])\w+", code)) & set(definitions)


def _definitions(dtype: str) -> dict[str, str]:
    """Every definition for one dtype by its name, in the order of the files."""
    blocks = [block for family in FAMILIES for block in _body(f"{family}_{dtype}.py").split("\n\n\n")]
    named = {match[1]: block for block in blocks if (match := re.search(r"^def (\w+)", block, flags=re.MULTILINE))}
    return named | {name: _body(f"{name}.py") for name in WHOLE}


def _body(file: str) -> str:
    """A file without its head, docstring and imports."""
    return re.split(r'^(?:from|import) .*\n|^""".*\n|^# mypy.*\n', _text(file), flags=re.MULTILINE)[-1].strip("\n")


def _text(file: str) -> str:
    return files(__name__).joinpath(file).read_text(encoding="utf-8")
