"""The top of a module: its docstring, what it imports, and the tables that say what it is to callers."""

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass

from gradc.graph.nodes import Tensor
from gradc.graph.show import file_in_text
from gradc.graph.tensors import Kind
from gradc.schedule.program import Program

from .breaking import laid_out
from .definitions import WIDEST_EQUATION, filled_text, quoted, safe, shortened, source_text, table, tuple_of
from .layout import ModuleSpec
from .lines import HARD, INDENT, WIDTH, columns
from .names import Names
from .prelude import prelude_imports

THREAD_IMPORTS = (
    "import os",
    "import threading",
    "from contextlib import nullcontext",
    "from functools import partial",
    "from queue import SimpleQueue",
    "from time import perf_counter",
)
OPTIONAL_IMPORTS = (
    "",
    "try:",
    f"{INDENT}import threadpoolctl",
    "except ImportError:  # then every step is one shard",
    f"{INDENT}threadpoolctl = None",
)


@dataclass(frozen=True)
class Top:
    """The top of one module."""

    spec: ModuleSpec
    names: Names

    def title(self) -> str:
        """The first line: what the module is."""
        what = "its gradient and its training step" if self.spec.gradient is not None else "forward"
        name, file = file_in_text(self.spec.name), self.spec.file
        # the template has the quotes
        return filled_text(f'"""{name}: the network of {file}, {what}, as loops and matrix products.', "")[3:]

    def provenance(self) -> str:
        """What it was made from, and what it needs."""
        spec = self.spec
        first = f"Emitted by gradc {spec.version} from {spec.file}, sha256 {spec.digest}."
        wrapped = filled_text(f"{first} It needs NumPy and Numba, not gradc.", "")
        return wrapped + "\nThis file, all of it, is yours to use under any terms."

    def model_lines(self) -> str:
        """The model's equations, each with the place where it stands."""
        room = min(WIDEST_EQUATION, WIDTH - 2 * len(INDENT) - len(f"{self.spec.file}:9999"))
        shown = [(shortened(safe(text), room), f"{self.spec.file}:{line}") for text, line in self.spec.equations]
        width = min(max((columns(text) for text, _ in shown), default=0) + len(INDENT), room + 2)
        return "\n".join(f"    {text}{' ' * (width - columns(text))}{place}" for text, place in shown)

    def legend(self) -> str:
        """What there is to know to read it: sizes, parameters, how names are made."""
        spec = self.spec
        sizes = [f"{name} = {size}" for name, size in spec.sizes]
        free = [f"{name} (any size)" for name in spec.dims]
        rows = []
        if free or sizes:
            rows.append(filled_text("Sizes       " + ", ".join([*free, *sizes]), " " * 12))
        rows += self._legend_of_params()
        nested = "; dY_dX is the derivative of Y's sum by X, too" if spec.nested else ""
        rows.append(f"Names       d_X is ∂loss/∂X and has X's shape{nested}")
        return "\n".join(rows)

    def _legend_of_params(self) -> list[str]:
        """Parameters and states by name, and how long the buffer is that holds them all."""
        shown: dict[str, list[str]] = {}
        for p in self.spec.parameters:
            title = "States" if p.is_state else "Parameters"
            shown.setdefault(title, []).append(f"{self.names.of(p.name)}{list(p.shape)}")
        titles = [title for title in ("Parameters", "States") if title in shown]
        for title in titles[-1:]:
            shown[title].append(f"({self.spec.size:,} {self.spec.dtype} numbers in one buffer)".replace(",", HARD))
        rows = (filled_text("  ".join([title.ljust(10), *shown[title]]), " " * 12) for title in titles)
        return [row.replace(HARD, " ") for row in rows]

    def interface(self) -> str:
        """The tables for callers: where each parameter lies, what inputs there are, the model's text."""
        spec = self.spec
        rows = [f"NAME = {quoted(spec.name)}", f"DTYPE = {quoted(spec.dtype)}", f"HASH = {quoted(spec.digest)}"]
        rows.append(table("PARAMS", [(p.name, f"({p.offset}, {tuple_of(p.shape)})") for p in spec.parameters]))
        rows.append(f"SIZE = {spec.size}")
        moments = [(name, f"({offset}, {tuple_of(shape)})") for name, (offset, shape) in spec.moment_names.items()]
        rows.append(table("MOMENTS", moments))
        rows.append(table("INPUTS", [(t.name, self._described(t)) for t in spec.inputs]))
        rows.append(table("TARGETS", [(t.name, self._described(t)) for t in spec.targets]))
        whole = [t for t in (*spec.inputs, *spec.targets) if t.kind is Kind.WHOLE]
        rows.append(table("RANGES", [(t.name, _limit(t)) for t in whole]))
        rows.append(f"BATCH = {quoted(spec.batch) if spec.batch else None}")
        rows.append(f"PREDICTIONS = {tuple_of(_outputs_of(spec.predict, 'predict'))}")
        rows.append(f"METRICS = {tuple_of(_outputs_of(spec.evaluate, 'metric'))}")
        rows.append(f"DATA = {quoted(spec.data) if spec.data else None}")
        options = ", ".join(f"{quoted(name)}: {value!r}" for name, value in spec.fit.items())
        rows.append(f"FIT = {{{options}}}")
        return "\n".join([*laid_out(rows), f"SOURCE = {source_text(spec.source)}"])

    def _described(self, tensor: Tensor) -> str:
        axes = tuple(a.constant if a.constant is not None else str(a) for a in tensor.extents)
        return f"({tensor.kind.value!r}, {tuple_of(axes)})"


def imports(calls: Iterable[str], dtype: str, is_cut: bool) -> tuple[str, ...]:
    """The import lines of a module that uses these functions of the prelude, blank ones between their groups."""
    lines = {"import math", "from numba import njit", "from numba.extending import register_jitable"}
    lines |= {*prelude_imports(("compilers", *calls), dtype), *(THREAD_IMPORTS if is_cut else ())}
    names: dict[str, set[str]] = {}
    for line in sorted(lines, key=lambda line: (line.startswith("from"), line)):
        module, _, imported = line.partition(" import ")
        names.setdefault(module, set()).update(imported.split(", ") if imported else ())
    rows = {
        module: f"{module} import {', '.join(sorted(parts, key=_in_imports))}" if parts else module
        for module, parts in names.items()
    }
    own = [module for module in rows if module.split()[1].partition(".")[0] in sys.stdlib_module_names]
    others = [row for module, row in rows.items() if module not in own]
    optional = OPTIONAL_IMPORTS if is_cut else ()
    return (*(rows[module] for module in own), "", "import numpy as np", *others, *optional)


def _in_imports(name: str) -> tuple[bool, bool, str]:
    """Where a name stands among those that are imported from one module: constants, classes, functions."""
    return not name.isupper(), name.islower(), name.lower()


def constants(text: str, real: str) -> tuple[str, ...]:
    """The lines that define the number types which a text names."""
    names = {"f": "float", "i": "int", "u": "uint"}
    rows = {f"{k}{n}": f"{k}{n} = np.{name}{8 * n}" for k, name in names.items() for n in (4, 8)}
    # a name that is nowhere in the text is found not to be a hundred times sooner without the expression
    return tuple(
        row for name, row in rows.items() if name == real or (name in text and re.search(rf"\b{name}\b", text))
    )


def _outputs_of(program: Program | None, role: str) -> tuple[str, ...]:
    """The names of a program's outputs of one role."""
    if program is None:
        return ()
    return tuple(label.removeprefix(f"{role} ") for label in program.graph.outputs if label.startswith(f"{role} "))


def _limit(tensor: Tensor) -> str:
    if tensor.bounds is None:
        return "None"
    limit = tensor.bounds.high + 1
    return str(limit.constant) if limit.constant is not None else f'"{limit}"'
