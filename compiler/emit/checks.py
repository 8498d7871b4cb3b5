"""Checks of the arrays that users pass: kinds, shapes and ranges, and the errors that tell of them."""

from collections.abc import Iterator
from dataclasses import dataclass

from gradc.graph.index import IndexExpr
from gradc.graph.nodes import Tensor
from gradc.graph.tensors import Kind

from .definitions import plain, quoted
from .layout import ModuleSpec
from .lines import INDENT
from .names import Names
from .style import Surroundings, index_text

KINDS = {Kind.REAL: ("fiu", "numbers"), Kind.WHOLE: ("iu", "whole numbers"), Kind.BOOL: ("b", "true or false")}


@dataclass(frozen=True, slots=True)
class Checks:
    """Writes them for one module."""

    spec: ModuleSpec
    names: Names
    real: str

    # ------------------------------------------------------------ small texts

    def dtype(self, kind: Kind) -> str:
        return {Kind.REAL: self.real, Kind.WHOLE: "np.int64", Kind.BOOL: "np.bool_"}[kind]

    def size(self, expr: IndexExpr) -> str:
        around = Surroundings(lambda tensor, _: tensor, self.names.of, {}, self.real, lambda _: None)
        return index_text(expr, around)

    def passed(self, label: str) -> list[str]:
        """The arrays that an entry takes, in order."""
        return [self.names.of(tensor.name) for tensor in self.given(label)]

    def given(self, label: str) -> tuple[Tensor, ...]:
        if label in self.spec.alone:
            return self.spec.alone[label].inputs
        return self.spec.inputs if label == "predict" else (*self.spec.inputs, *self.spec.targets)

    def shape_text(self, tensor: Tensor) -> str:
        """`[batch, pixels = 64]`."""
        parts = []
        for axis in tensor.axes:
            size = str(axis.extent)
            named = axis.name != size and axis.name.isidentifier() and dict(self.spec.sizes).get(axis.name) is not None
            parts.append(f"{axis.name} = {size}" if named else size)
        return f"[{', '.join(parts)}]"

    def bounded(self, label: str) -> list[tuple[int, Tensor]]:
        """The arrays of whole numbers whose range is declared, each with its place among those passed."""
        found = [(at, t) for at, t in enumerate(self.given(label)) if t.kind is Kind.WHOLE and t.bounds is not None]
        return found

    # ------------------------------------------------------------ checks of arrays

    def checked_texts(self) -> Iterator[str]:
        everything = self.given("all")
        if not everything:
            return
        both = bool(self.spec.targets)
        if self.spec.inputs:
            yield self.checker("_checked_inputs", self.spec.inputs, ())
        if both or not self.spec.inputs:
            yield self.checker("_checked", everything, self.spec.inputs)
        elif self.spec.gradient is not None or self.spec.evaluate is not None:
            yield "_checked = _checked_inputs"
        for label, alone in self.spec.alone.items():
            if alone.inputs:
                yield self.checker(f"_checked_for_{label}", alone.inputs, ())
        yield self.array_text()
        if any(tensor.axes for _, tensor in self.bounded("all")) or self.bounded("all"):
            yield self.out_of_range_text()

    def checker(self, name: str, tensors: tuple[Tensor, ...], before: tuple[Tensor, ...]) -> str:
        names = [self.names.of(tensor.name) for tensor in tensors]
        rows: list[str] = []
        known: dict[str, str] = {}
        if before:
            first = [self.names.of(tensor.name) for tensor in before]
            left = f"({first[0]},)" if len(first) == 1 else ", ".join(first)
            rows.append(f"{left} = _checked_inputs({', '.join(first)})")
            for tensor in before:
                self.learn(tensor, known)
        for tensor in tensors:
            if tensor not in before:
                rows += self.array_rows(tensor, known)
        rows += self.late_rows(tensors, before, known)
        for value, message in self.spec.preconditions:
            if all(dim in known for dim in value.dims) and not self.told_before(value, before):
                text = value.with_dims({})
                rows.append(f"if {self.known_size(text, known)} < 0:")
                rows.append(f"{INDENT}raise ValueError({quoted(message)})")
        ending = f"return {', '.join(names)}{',' if len(names) == 1 else ''}"
        ending = f"return ({names[0]},)" if len(names) == 1 else ending
        return plain(name, names, [*rows, ending])

    def told_before(self, value: IndexExpr, before: tuple[Tensor, ...]) -> bool:
        known: dict[str, str] = {}
        for tensor in before:
            self.learn(tensor, known)
        return bool(before) and all(dim in known for dim in value.dims)

    def learn(self, tensor: Tensor, known: dict[str, str]) -> None:
        for at, extent in enumerate(tensor.extents):
            if extent.dims == (str(extent),):
                known.setdefault(str(extent), f"{self.names.of(tensor.name)}.shape[{at}]")

    def known_size(self, expr: IndexExpr, known: dict[str, str]) -> str:
        around = Surroundings(lambda t, _: t, lambda dim: known.get(dim, dim), {}, self.real, lambda _: None)
        return index_text(expr, around)

    def array_rows(self, tensor: Tensor, known: dict[str, str]) -> list[str]:
        name = self.names.of(tensor.name)
        kinds, words = KINDS[tensor.kind]
        checks = f"{quoted(tensor.name)}, {name}, {quoted(kinds)}, {quoted(words)}, {self.dtype(tensor.kind)}"
        shape = self.shape_text(tensor)
        if not tensor.axes:
            return [
                f"{name} = _array({checks})",
                f"if {name}.ndim != 0:",
                f'{INDENT}raise ValueError(f"{tensor.name} is a scalar; got {{list({name}.shape)}}")',
                f"{name} = {name}.item()",
            ]
        told = dict(known)
        self.learn(tensor, known)
        wanted = []
        for at, extent in enumerate(tensor.extents):
            own = known.get(str(extent)) == f"{name}.shape[{at}]" and str(extent) not in told
            if not own and all(dim in known for dim in extent.dims):
                wanted.append(f"{name}.shape[{at}] != {self.known_size(extent, known)}")
        free = any(extent.dims for extent in tensor.extents)
        empty = [f"{name}.size == 0"] if free else []
        conditions = " or ".join([f"{name}.ndim != {len(tensor.axes)}", *wanted, *empty])
        relation = self.relation(tensor, told) + self.least(tensor, told)
        return [
            f"{name} = _array({checks})",
            f"if {conditions}:",
            f'{INDENT}raise ValueError(f"{tensor.name} is {shape}{relation}; got {{list({name}.shape)}}")',
        ]

    def late_rows(self, tensors: tuple[Tensor, ...], before: tuple[Tensor, ...], known: dict[str, str]) -> list[str]:
        """Checks of extents in free dims that only a later array tells: `a[n + 1]` before `b[n]`."""
        early: dict[str, str] = {}
        for tensor in before:
            self.learn(tensor, early)
        so_far: dict[str, str] = {}
        rows = []
        for tensor in tensors:
            self.learn(tensor, so_far)
            name = self.names.of(tensor.name)
            for at, extent in enumerate(tensor.extents):
                late = not all(dim in so_far for dim in extent.dims) and all(dim in known for dim in extent.dims)
                if late and not (tensor in before and all(dim in early for dim in extent.dims)):
                    told = {dim: known[dim] for dim in extent.dims}
                    shape = f"{self.shape_text(tensor)}{self.relation(tensor, told)}"
                    rows.append(f"if {name}.shape[{at}] != {self.known_size(extent, known)}:")
                    rows.append(f'{INDENT}raise ValueError(f"{tensor.name} is {shape}; got {{list({name}.shape)}}")')
        return rows

    def relation(self, tensor: Tensor, known: dict[str, str]) -> str:
        """` with batch = 32`, for the dims that an array before this one told."""
        dims = dict.fromkeys(dim for extent in tensor.extents for dim in extent.dims if dim in known)
        shown = ", ".join(f"{dim} = {{{known[dim]}}}" for dim in dims)
        return f" with {shown}" if shown else ""

    def least(self, tensor: Tensor, known: dict[str, str]) -> str:
        """`, batch at least 1`, of the dims that no array before this one told."""
        dims = dict.fromkeys(dim for extent in tensor.extents for dim in extent.dims if dim not in known)
        return f", {' and '.join(dims)} at least 1" if dims else ""

    def array_text(self) -> str:
        return "\n".join([
            "def _array(name, value, kinds, words, dtype):",
            f"{INDENT}if type(value) is np.ndarray and value.dtype == dtype and value.flags.carray:",
            f"{INDENT * 2}return value",
            f"{INDENT}try:",
            f"{INDENT * 2}array = np.asarray(value)",
            f"{INDENT}except ValueError as error:  # rows of different lengths",
            f'{INDENT * 2}raise ValueError(f"{{name}} cannot be made an array: {{error}}") from None',
            f"{INDENT}if array.dtype.kind not in kinds:",
            f'{INDENT * 2}raise TypeError(f"{{name}} holds {{words}}; got {{array.dtype}}")',
            f'{INDENT}array = np.asarray(array, dtype, order="C")',
            f"{INDENT}# of arrays that cannot be written Numba would compile versions of its own",
            f"{INDENT}return array if array.flags.writeable else array.copy()",
        ])  # fmt: skip

    def out_of_range_text(self) -> str:
        lines = [
            "at = list(map(int, np.unravel_index(place, np.shape(array))))",
            "value = np.ravel(array)[place]",
            "return f\"{name} holds whole numbers from 0, below {RANGES[name]}; {name}{at or ''} is {value}\"",
        ]
        return plain("_out_of_range", ["name", "array", "place"], lines)
