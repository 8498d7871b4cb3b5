"""Programs → the bodies of the functions that run them: views, kernel calls and matrix products, in order.

Kernels are written once: a nest whose text is that of another, but for the names of its arrays, calls the other's
kernel.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from gradc.graph.index import ONE, IndexExpr, dim
from gradc.graph.nodes import Graph
from gradc.graph.tensors import Kind
from gradc.schedule.program import Buffer, Gemm, Nest, Operand, Program, Step, Storage, read_by, written_by
from gradc.schedule.shard import Rows

from .kernels import INDENT, RANGE, Kernel, KernelWriter
from .names import Names
from .style import Surroundings, index_text

WORK_NAMES: Mapping[Kind, str] = {Kind.REAL: "work", Kind.WHOLE: "places", Kind.BOOL: "flags"}
WORDS = Names(()).taken
"""What every kernel may use: keywords, builtins, vector functions, `np`, `f4`."""
WIDTH = 120
WIDEST_VIEW = 90
"""Characters of a view of the work space; with a longer one among them, starts get names."""


@dataclass
class KernelTable:
    """The kernels of a module, each once."""

    kernels: list[Kernel] = field(default_factory=list)
    by_text: dict[tuple[str, ...], Kernel] = field(default_factory=dict)

    def shared(self, kernel: Kernel) -> Kernel:
        """This kernel, or the one written before that does the same to its own arrays."""
        key = _anonymous(kernel)
        if key not in self.by_text:
            self.by_text[key] = kernel
            self.kernels.append(kernel)
        return self.by_text[key]

    def has(self, kernel: Kernel) -> bool:
        """Whether an equal one is there."""
        return _anonymous(kernel) in self.by_text


def _anonymous(kernel: Kernel) -> tuple[str, ...]:
    """The body with its names numbered, the parameters' first."""
    numbers = {name: f"${place}" for place, name in enumerate(kernel.arguments)}

    def numbered(word: re.Match[str]) -> str:
        name = word[0]
        return name if name in WORDS else numbers.setdefault(name, f"${len(numbers)}")

    return (str(len(kernel.arguments)), *(re.sub(r"(?<![\w.])[^\W\d]\w*", numbered, row) for row in kernel.body))


@dataclass(frozen=True, slots=True)
class Body:
    """What a function that runs a program does, and what it is given.

    Attributes:
        lines: its statements.
        arrays: leaves that it reads, by their names in the graph.
        dims: free dims it needs.
        work: the kinds of work space it needs.
        calls: the prelude functions it calls itself.
    """

    lines: tuple[str, ...]
    arrays: tuple[str, ...]
    dims: tuple[str, ...]
    work: tuple[Kind, ...]
    calls: tuple[str, ...]


@dataclass
class Driver:
    """Writes the bodies of one module's functions."""

    names: Names
    real: str
    table: KernelTable
    functions: Names
    rows: str | None = None
    after: tuple[Step, ...] = ()

    def body(self, program: Program, label: str = "", rows: Rows | None = None) -> Body:
        """The lines that run a program, or over a range of `rows` what of it can be cut; views of parameters and
        results are made by the caller."""
        dims: dict[str, None] = {}
        around = self.surroundings(program.graph, dims)
        lines = self.work_views(program, around)
        self.rows = rows.dim if rows is not None else None
        self.after = rows.after if rows is not None else ()
        program = replace(program, steps=rows.steps) if rows is not None else program
        turn = first_backward_step(program)
        for at in range(len(program.steps)):
            if turn and at in (0, turn):
                lines += ["", "# backward" if at else "# forward"]
            lines += self.step(program, at, around, label)
        for size in program.work.values():
            dims |= dict.fromkeys(size.dims)
        leaves = {name for step in program.steps for name in read_by(step) if program.graph.tensors[name].role}
        order = [name for name in program.graph.tensors if name in leaves]
        calls = ("gemm",) if any(isinstance(step, Gemm) for step in program.steps) else ()
        self.rows, self.after = None, ()
        return Body(tuple(lines), tuple(order), tuple(dims), tuple(program.work), calls)

    def surroundings(self, graph: Graph, dims: dict[str, None]) -> Surroundings:
        def name(text: str) -> str:
            dims.setdefault(text)
            return self.names.of(text)

        return Surroundings(lambda tensor, _: self.names.of(tensor), name, graph.tensors, self.real, lambda _: None)

    # ------------------------------------------------------------ views

    def work_views(self, program: Program, around: Surroundings) -> list[str]:
        """`h = work[0 : batch * 32].reshape(batch, 32)`, for each tensor that lives in the work space."""
        stored = [b for b in program.buffers.values() if b.storage is Storage.WORK and not b.shares]
        views = [work_view(buffer, around, {}) for buffer in stored]
        starts: dict[tuple[Kind, IndexExpr], str] = {}
        lines: list[str] = []
        if any(len(view) > WIDEST_VIEW for view in views):
            starts, lines = self.starts(stored, around)
            views = [work_view(buffer, around, starts) for buffer in stored]
        for buffer, view in zip(stored, views, strict=True):
            row = f"{self.names.of(buffer.tensor)} = {view}"
            lines.append(fitted(row, self.kept_for(buffer.tensor, program)))
        return lines

    def starts(self, stored: list[Buffer], around: Surroundings) -> tuple[dict[tuple[Kind, IndexExpr], str], list[str]]:
        """Where each stretch of the work space starts, as variables: with many of them, sums would hide the shapes."""
        found: dict[tuple[Kind, IndexExpr], str] = {}
        lines: list[str] = []
        before: dict[Kind, IndexExpr] = {}
        for buffer in stored:
            assert buffer.offset is not None, "a stored tensor has an offset"
            key = (buffer.kind, buffer.offset)
            if key in found or not buffer.offset.terms:
                continue
            last = before.get(buffer.kind, IndexExpr())
            found[key] = self.names.fresh(f"start_{len(found) + 1}")
            step = index_text(buffer.offset - last, around)
            base = f"{found[buffer.kind, last]} + " if last.terms else ""
            lines.append(f"{found[key]} = {base}{step}")
            before[buffer.kind] = buffer.offset
        return found, lines

    def kept_for(self, name: str, program: Program) -> str:
        """Why a value of the forward pass is still there in the backward pass."""
        if name.startswith("d_"):
            return ""
        lying = [name, *(n for n, b in program.buffers.items() if b.shares == name)]
        users = [
            target
            for step in program.steps
            if set(read_by(step)) & set(lying) and not set(written_by(step)) & set(lying)
            for target in written_by(step)
            if target.startswith("d_")
        ]
        shown = [self.names.of(user) for user in dict.fromkeys(users) if program.buffers[user].axes][:2]
        return f"  # kept for {' and '.join(shown)}" if shown else ""

    # ------------------------------------------------------------ steps

    def step(self, program: Program, at: int, around: Surroundings, label: str) -> list[str]:
        step = program.steps[at]
        if isinstance(step, Gemm):
            return self.product(step, program, around)
        after = {name for later in (*program.steps[at + 1 :], *self.after) for name in read_by(later)}
        outside = frozenset(after | set(program.graph.outputs.values()))
        kernel = KernelWriter(program, self.names, self.real, step, outside, rows=self.rows).kernel("")
        for name in kernel.parameters:
            if name not in program.graph.tensors and name not in RANGE:
                around.name(name)
        if not any(True for item in step.items if not hasattr(item, "equation")) and not kernel.calls:
            return [row for row in kernel.body if not row.startswith("return ")]
        given = frozenset(program.graph.outputs.values())
        shared = self.table.shared(self.named(kernel, step, label, given))
        arguments = [RANGE.get(name) or self.names.of(name) for name in kernel.parameters]
        results = ", ".join(self.names.of(name) for name in kernel.returns)
        return call_rows(f"{results} = {shared.name}" if results else shared.name, arguments)

    def named(self, kernel: Kernel, nest: Nest, label: str, given: frozenset[str]) -> Kernel:
        """The kernel under a name that says what it computes."""
        if self.table.has(kernel):
            return kernel
        name = self.functions.fresh(label or kernel_name(kernel, nest, given))
        while self.names is not self.functions and name in self.names.taken:
            name = self.functions.fresh(name)
        self.names.taken.add(name)
        return Kernel(
            name, kernel.parameters, kernel.arguments, kernel.returns, kernel.doc, kernel.body, kernel.calls
        )

    def product(self, gemm: Gemm, program: Program, around: Surroundings) -> list[str]:
        local = Names(self.names.taken)
        loops = {i.name: local.fresh(i.name) for i in gemm.batch}
        out, a, b = (self.operand(part, loops, program, around) for part in (gemm.out, gemm.a, gemm.b))
        call = f"gemm({a}, {b}, {out}, {not gemm.starts})"
        depth = len(gemm.batch)
        lines: list[str] = []
        for level, i in enumerate(gemm.batch):
            low = f"{index_text(i.low, around)}, " if i.low.terms else ""
            lines.append(f"{INDENT * level}for {loops[i.name]} in range({low}{index_text(i.high, around)}):")
        return [*lines, *commented(f"{INDENT * depth}{call}", f"{INDENT * depth}# {product_text(gemm, self.names)}")]

    def operand(self, operand: Operand, loops: Mapping[str, str], program: Program, around: Surroundings) -> str:
        """The array as a matrix: batch indices put in, groups of axes merged, transposed where it lies so."""
        buffer = program.buffers.get(operand.tensor)
        text = self.names.of(buffer.shares if buffer and buffer.shares else operand.tensor)
        extents = dict(zip(operand.subscripts, program.graph.tensors[operand.tensor].extents, strict=True))
        places = [loops.get(name, ":") for name in operand.subscripts]
        if loops.keys() & set(operand.subscripts):
            while places and places[-1] == ":":
                places.pop()
            text += f"[{', '.join(places)}]"
        cut = self.rows is not None and operand.subscripts[0] not in loops
        if cut and extents[operand.subscripts[0]] == dim(self.rows or ""):
            text += f"[{':'.join(RANGE.values())}]"
            first, last = map(dim, RANGE)
            extents[operand.subscripts[0]] = last - first
        groups = (operand.columns, operand.rows) if operand.transposed else (operand.rows, operand.columns)
        if any(len(group) > 1 for group in groups):
            plain = replace(around, name=lambda text: RANGE.get(text) or around.name(text))
            sizes = [index_text(_extent(group, extents), plain) for group in groups]
            text += f".reshape({', '.join(sizes)})"
        return f"{text}.T" if operand.transposed else text


def _extent(group: Iterable[str], extents: Mapping[str, IndexExpr]) -> IndexExpr:
    product = ONE
    for name in group:
        product *= extents[name]
    return product


def work_view(buffer: Buffer, around: Surroundings, starts: Mapping[tuple[Kind, IndexExpr], str]) -> str:
    """A stretch of the work space in the tensor's shape."""
    size = ONE
    for extent in buffer.extents:
        size *= extent
    assert buffer.offset is not None, "a stored tensor has an offset"
    start = starts.get((buffer.kind, buffer.offset))
    if start is not None:
        end = starts.get((buffer.kind, buffer.offset + size)) or f"{start} + {index_text(size, around)}"
        colon = " : " if " " in end else ":"
        text = f"{WORK_NAMES[buffer.kind]}[{start}{colon}{end}]"
    else:
        text = f"{WORK_NAMES[buffer.kind]}[{slice_text(buffer.offset, buffer.offset + size, around)}]"
    if len(buffer.extents) > 1:
        text += f".reshape({', '.join(index_text(extent, around) for extent in buffer.extents)})"
    return text


def slice_text(start: IndexExpr, end: IndexExpr, around: Surroundings) -> str:
    """`0:64`, `batch * 32 : batch * 64`, as ruff's formatter sets them."""
    low, high = index_text(start, around), index_text(end, around)
    return f"{low}:{high}" if f"{low}{high}".isalnum() else f"{low} : {high}"


def product_text(gemm: Gemm, names: Names) -> str:
    """`h[b, j] = Σ_i x[b, i] h_weight[i, j]`."""
    equation = gemm.equation
    summed = " ".join(i.name for i in equation.reduced)
    factors = [
        f"{names.of(operand.tensor)}[{', '.join(operand.subscripts)}]" for operand in (gemm.a, gemm.b)
    ]
    write = ", ".join(gemm.out.subscripts)
    sign = "=" if gemm.starts else "+="
    return f"{names.of(equation.target)}[{write}] {sign} Σ_{summed} {' '.join(factors)}"


def first_backward_step(program: Program) -> int:
    """The first step from which on only adjoints are computed; 0 where there is no such turn."""
    for at in reversed(range(len(program.steps))):
        if not all(name.startswith("d_") for name in written_by(program.steps[at])):
            return at + 1 if at + 1 < len(program.steps) else 0
    return 0


def commented(row: str, comment: str) -> list[str]:
    """The comment after the row, or above it where the line is too short for both."""
    beside = f"{row}  {comment.strip()}"
    return [beside] if len(beside) + len(INDENT) <= WIDTH else [comment, row]


def fitted(row: str, comment: str) -> str:
    """The row with its comment, where the line is long enough for both."""
    return row + comment if len(row + comment) + len(INDENT) <= WIDTH else row


def call_rows(name: str, arguments: list[str]) -> list[str]:
    """A call, as ruff's formatter breaks it where it is long."""
    joined = ", ".join(arguments)
    row = f"{name}({joined})"
    if len(row) + len(INDENT) <= WIDTH:
        return [row]
    if len(joined) + 2 * len(INDENT) <= WIDTH:
        return [f"{name}(", f"{INDENT}{joined}", ")"]
    return [f"{name}(", *(f"{INDENT}{argument}," for argument in arguments), ")"]


def kernel_name(kernel: Kernel, nest: Nest, given: frozenset[str]) -> str:
    """`forward_h`, `loss_and_d_logits`, `backward_h`: the first array it makes, or the scalar it returns."""
    targets = [s.equation.target for s in nest.statements()]
    shown = [name for name in dict.fromkeys(targets) if name in kernel.parameters]
    adjoints = [name for name in shown if name.startswith("d_")]
    result = "loss" if "loss" in kernel.returns else next(iter(kernel.returns), "")
    if result and adjoints:
        kept = [name for name in adjoints if name not in given]
        return f"{result}_and_{(kept or adjoints)[0]}"
    if result:
        return f"forward_{result}"
    if adjoints and len(adjoints) == len(shown):
        return f"backward_{adjoints[0].removeprefix('d_')}"
    own = [name for name in shown if not name.startswith("d_")]
    return f"forward_{(own or targets)[-1]}"
