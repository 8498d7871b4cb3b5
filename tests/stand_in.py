"""A stand-in for gradc.pipeline: every text becomes the module of data/stand_in.py.

What a line of the text says changes it: `wrong` makes the compiler give up, `warn` makes it warn, `use "FILE"` brings
a file in, `data "FILE"` and `python LINE` go into the module.
"""

import re
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from gradc.errors import Diagnostic, GradcError, GradcWarning, Label, Span
from gradc.runtime.interface import Array

TEMPLATE = Path(__file__).with_name("data") / "stand_in.py"
calls: list[str] = []


def emit(text: str, *, file: str, dtype: str, lr: float | None = None) -> str:
    calls.append(text)
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith("wrong"):
            span = Span(file, number, 1, number, 6)
            problem = Diagnostic("wrong", "this is wrong", span, (Label(span, "here"),), help="write right")
            raise GradcError([problem], {file: text})
        if line.startswith("warn"):
            warnings.warn(f"{file}:{number}: warning: {line}", GradcWarning, stacklevel=1)
        if line.startswith("deprecated"):
            warnings.warn("old", DeprecationWarning, stacklevel=1)
    used = "".join(path.read_text() for path in dependencies(text, file))
    source = TEMPLATE.read_text().replace('SOURCE = ""', f"SOURCE = {text + used!r}")
    source = source.replace('DTYPE = "float32"', f'DTYPE = "{dtype}"')
    source = source.replace('NAME = "line"', f"NAME = {Path(file).stem!r}")
    if lr is not None:
        source = source.replace("LR = 0.05", f"LR = {lr!r}")
    if match := re.search(r'^data "(.*)"$', text, re.MULTILINE):
        source = source.replace("DATA = None", f"DATA = {match[1]!r}")
    return source + "".join(line + "\n" for line in re.findall(r"^python (.*)$", text, re.MULTILINE))


def declared(text: str, *, file: str) -> dict[str, Span]:
    """The places of arrays in lines such as `input x[batch, 3]`."""
    return {
        match[1]: Span(file, number, match.start(1) + 1, number, len(line) + 1)
        for number, line in enumerate(text.split("\n"), 1)
        if (match := re.match(r"(?:input|target) +(\w+)", line))
    }


def dependencies(text: str, file: str) -> tuple[Path, ...]:
    return tuple(Path(file).parent / name for name in re.findall(r'^use "(.*)"$', text, re.MULTILINE))


@dataclass(frozen=True)
class Report:
    passed: bool

    def __str__(self) -> str:
        return f"w  largest difference {0.0 if self.passed else 1.0}"


def check(text: str, *, file: str) -> Report:
    return Report("planted" not in text)


def inspect(text: str, *, file: str, stage: str, of: str | None, dtype: str) -> str:
    return f"# {stage} of {of} in {dtype}\n{text}"


def derive(text: str, *, file: str, of: str, latex: bool = False) -> str:
    return rf"\partial {of}" if latex else f"∂loss/∂{of}"


def install(patch: pytest.MonkeyPatch, cache: Path) -> None:
    """Puts this module where the compiler is looked for, and the cache into a folder of the test."""
    patch.setitem(sys.modules, "gradc.pipeline", sys.modules[__name__])
    patch.setenv("GRADC_CACHE", str(cache))
    calls.clear()


def line_data(examples: int = 41) -> tuple[Array, Array]:
    """x and y of a line with noise, in float32."""
    rng = np.random.default_rng(7)
    x = rng.normal(size=(examples, 3)).astype("float32")
    return x, (x @ [1.0, -2.0, 0.5] + 3 + 0.1 * rng.normal(size=examples)).astype("float32")
