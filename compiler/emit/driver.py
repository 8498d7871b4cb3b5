"""Programs → the bodies of the functions that run them: views, kernel calls and matrix products, in order.

Kernels are written once: a nest whose text is that of another, but for the names of its arrays, calls the other's
kernel.
"""

import re
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from gradc.graph.index import IndexExpr
from gradc.graph.nodes import Graph
from gradc.schedule.program import (
    Buffer,
    Gemm,
    Loop,
    Meeting,
    Nest,
    Program,
    Sequential,
    Space,
    Step,
    Storage,
    plain_steps,
    read_by,
    written_by,
)
from gradc.schedule.shard import Rows

from .alike import form_of
from .kernels import Kernel, KernelWriter
from .lines import INDENT, call_rows, fitted, shape_text
from .names import WORDS, Names, identifier
from .products import Joint, Products, rows_name
from .rounds import RANGE, conditions_text, otherwise, round_of, rounds_row, uncovered
from .sizes import Group, Key, Lengths, groups
from .style import Surroundings, index_text

WIDEST_VIEW = 90
"""Characters of a view of the work space; with a longer one among them, starts get names."""


@dataclass
class KernelTable:
    """The kernels of a module, each once."""

    kernels: list[Kernel] = field(default_factory=list)
    by_text: dict[Key, Kernel] = field(default_factory=dict)
    by_form: "dict[Hashable, _Call]" = field(default_factory=dict)
    """For each form of a nest the call of the kernel that was written for the first of it."""
    lengths: dict[Key, Lengths] = field(default_factory=dict)
    """For each text the lengths that the arrays have at all calls."""
    groups: Mapping[Key, Group] = field(default_factory=dict)
    """The texts that are alike but for sizes."""
    of_groups: dict[int, Kernel] = field(default_factory=dict)
    written: dict[Hashable, Kernel] = field(default_factory=dict)
    """For each form of a nest its kernel as it was first written, without a name."""

    def shared(self, kernel: Kernel) -> tuple[Kernel, tuple[int, ...]]:
        """This kernel, or the one written before that does the same to its own arrays; and the sizes that it is handed
        besides."""
        key = _anonymous(kernel)
        known, group = self.known(key), self.groups.get(key)
        if known is None:
            known = kernel if group is None else group.common(kernel)
            self.kernels.append(known)
            if group is not None:
                self.of_groups[id(group)] = known
        self.by_text[key] = known
        self.lengths[key] = _common(self.lengths.get(key, kernel.lengths), kernel.lengths)
        return known, group.given(key) if group is not None else ()

    def known(self, key: Key) -> Kernel | None:
        """The kernel of this text, or of one that is alike but for sizes."""
        return self.by_text.get(key) or self.of_groups.get(id(self.groups.get(key)))

    def has(self, kernel: Kernel) -> bool:
        """Whether an equal one is there."""
        return self.known(_anonymous(kernel)) is not None

    def alike(self) -> dict[Key, Group]:
        """The texts in it that are alike but for sizes."""
        return groups(self.by_text, self.lengths)


def _common(one: Lengths, other: Lengths) -> Lengths:
    """The lengths that are the same."""
    return tuple(
        tuple(a if a == b else None for a, b in zip(*axes, strict=False)) for axes in zip(one, other, strict=True)
    )


@dataclass(frozen=True, slots=True)
class _Call:
    """A kernel's call: what it is handed and hands back, the sizes that it is handed besides, and the tensors of the
    nest by their numbers in its form."""

    kernel: str
    parameters: tuple[str, ...]
    returns: tuple[str, ...]
    sizes: tuple[int, ...]
    tensors: tuple[str, ...]

    def of(self, tensors: tuple[str, ...]) -> "_Call":
        """The call that does the same to other tensors."""
        names = dict(zip(self.tensors, tensors, strict=True))
        parameters, returns = (tuple(names.get(name, name) for name in own) for own in (self.parameters, self.returns))
        return _Call(self.kernel, parameters, returns, self.sizes, tensors)


def _anonymous(kernel: Kernel) -> Key:
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
        arrays: leaves that it reads or gives new values, by their names in the graph.
        dims: free dims it needs.
        work: the spaces it needs.
        calls: the prelude functions it calls itself.
        sites: its calls of kernels and products, in the order of the text.
    """

    lines: tuple[str, ...]
    arrays: tuple[str, ...]
    dims: tuple[str, ...]
    work: tuple[Space, ...]
    calls: tuple[str, ...]
    sites: tuple["CallSite", ...]


@dataclass(frozen=True, slots=True)
class CallSite:
    """A call of a kernel, or of `gemm`, and the step that it runs."""

    function: str
    step: Step


@dataclass
class Driver:
    """Writes the bodies of one module's functions."""

    names: Names
    real: str
    table: KernelTable
    functions: Names
    rows: IndexExpr | None = None
    joint: Joint | None = None
    offsets: Mapping[str, int] = field(default_factory=dict)
    stepped: bool = False
    by_all: tuple[Gemm, ...] = ()
    sites: list[CallSite] = field(default_factory=list)
    known: dict[Hashable, str] = field(default_factory=dict)
    """What matrices of one body are written as."""
    role: str = ""
    """What the program is for, if not for training: `predict`, `evaluate`."""

    def body(
        self,
        program: Program,
        label: str = "",
        rows: Rows | None = None,
        offsets: Mapping[str, int] | None = None,
        joint: Joint | None = None,
        *,
        stepped: bool = False,
    ) -> Body:
        """The lines that run a program, or over a range of `rows` what of it can be cut; views of parameters and
        results are made by the caller.

        Args:
            offsets: where results lie among all parameters, of a program that makes those in a range of them.
            joint: what its workers make together, where it is one worker's part of a prediction.
            stepped: whether the optimizer's step by these results is taken with them.
        """
        self.offsets, self.joint, self.stepped = offsets or {}, joint, stepped
        dims: dict[str, None] = {}
        around = self.surroundings(program.graph, dims)
        self.rows = rows.extent if rows is not None else None
        self.by_all = joint.products if joint is not None else rows.by_all if rows is not None else ()
        program = replace(program, steps=rows.steps) if rows is not None else program
        flow = Flow(program, rows.after if rows is not None else ())
        self.sites, self.known = [], {}
        lines = self.work_views(program, flow, around)
        turn = first_backward_step(program)
        for at in range(len(program.steps)):
            if turn and at in (0, turn):
                lines += ["", "# backward" if at else "# forward"]
            lines += self.step(program, at, flow, around, label)
        for size in program.work.values() if joint is None else ():
            dims |= dict.fromkeys(size.dims)
        order = [name for name, tensor in program.graph.tensors.items() if tensor.role and name in flow.touched]
        multiplies = any(isinstance(step, Gemm) for step in plain_steps(program.steps))
        calls = ("gemm", *(("gemm_by_all",) if self.by_all else ())) if multiplies else ()
        self.rows = None
        return Body(tuple(lines), tuple(order), tuple(dims), tuple(program.work), calls, tuple(self.sites))

    def surroundings(self, graph: Graph, dims: dict[str, None]) -> Surroundings:
        def name(text: str) -> str:
            dims.setdefault(text)
            return self.names.of(text)

        return Surroundings(lambda tensor, _: self.names.of(tensor), name, graph.tensors, self.real, lambda _: None)

    # ------------------------------------------------------------ views

    def work_views(self, program: Program, flow: "Flow", around: Surroundings) -> list[str]:
        """`h = view(work, 0, (batch, 32))`, for each tensor that lives in the work space."""
        buffers = (program.buffers[name] for name in program.buffers if name in flow.touched)
        stored = [buffer for buffer in buffers if buffer.has_stretch]
        views = [self.view_of(buffer, around, {}) for buffer in stored]
        starts: dict[tuple[Space, IndexExpr], str] = {}
        lines: list[str] = []
        if any(len(view) > WIDEST_VIEW for view in views):
            starts, lines = self.starts(stored, around)
            views = [self.view_of(buffer, around, starts) for buffer in stored]
        for buffer, view in zip(stored, views, strict=True):
            name = self.names.of(buffer.tensor)
            if self.joint and buffer.space is Space.COMMON:
                every = self.names.of(rows_name(buffer.tensor))
                lines += [f"{every} = {view}", f"{name} = rows({every}, {', '.join(RANGE.values())})"]
            else:
                lines.append(fitted(f"{name} = {view}", self.kept_for(buffer.tensor, program, flow)))
        return lines

    def view_of(self, buffer: Buffer, around: Surroundings, starts: Mapping[tuple[Space, IndexExpr], str]) -> str:
        """A stretch of the work space in the tensor's shape: of all rows, where all workers have it in common."""
        assert buffer.offset is not None, "a stored tensor has an offset"
        start = starts.get((buffer.space, buffer.offset)) or index_text(buffer.offset, self.around_of(buffer, around))
        sizes = self.joint.of_all(around) if self.joint and buffer.space is Space.COMMON else around
        shape = shape_text(index_text(extent, sizes) for extent in buffer.extents)
        return f"view({buffer.space.value}, {start}, {shape})"

    def around_of(self, buffer: Buffer, around: Surroundings) -> Surroundings:
        """How sizes are called that say where a buffer lies."""
        if self.joint is None:
            return around
        return self.joint.of_all(around) if buffer.space is Space.COMMON else self.joint.of_room(around)

    def starts(
        self, stored: list[Buffer], around: Surroundings
    ) -> tuple[dict[tuple[Space, IndexExpr], str], list[str]]:
        """Where each stretch of the work space starts, as variables: with many of them, sums would hide the shapes."""
        found: dict[tuple[Space, IndexExpr], str] = {}
        lines: list[str] = []
        before: dict[Space, IndexExpr] = {}
        for buffer in stored:
            assert buffer.offset is not None, "a stored tensor has an offset"
            key = (buffer.space, buffer.offset)
            if key in found or not buffer.offset.terms:
                continue
            last = before.get(buffer.space, IndexExpr())
            found[key] = self.names.fresh(f"start_{len(found) + 1}")
            step = index_text(buffer.offset - last, self.around_of(buffer, around))
            base = f"{found[buffer.space, last]} + " if last.terms else ""
            lines.append(f"{found[key]} = {base}{step}")
            before[buffer.space] = buffer.offset
        return found, lines

    def kept_for(self, name: str, program: Program, flow: "Flow") -> str:
        """Why a value of the forward pass is still there in the backward pass."""
        if name.startswith("d_") or self.offsets:
            return ""
        readers = (equation for step in flow.readers.get(name, ()) for equation in step.equations)
        users = (each.target for each in readers if name in map(flow.program.root_of, each.sources()))
        adjoints = dict.fromkeys(user for user in users if user.startswith("d_"))
        shown = [self.names.of(user) for user in adjoints][:2]
        return f"  # kept for {' and '.join(shown)}" if shown else ""

    # ------------------------------------------------------------ steps

    def step(self, program: Program, at: int, flow: "Flow", around: Surroundings, label: str) -> list[str]:
        """The lines of the step at a place among the program's."""
        return self.lines(program, program.steps[at], _Site(around, label, flow.outside(at)))

    def lines(self, program: Program, step: Step, site: "_Site") -> list[str]:
        """The lines of a step: a product, a kernel's call, a loop around both."""
        if isinstance(step, Gemm):
            products = Products(self.names, program, self.rows, self.known)
            if step.equation.target in self.offsets:
                made = products.stepped if self.stepped else products.part
                lines = made(step, site.around, self.offsets[step.equation.target])
            elif any(step is each for each in self.by_all):
                lines = products.by_all(step, site.around, self.joint)
                self.sites.append(CallSite("gemm_by_all", step))
                return lines
            else:
                lines = products.lines(
                    step, site.around, site.rounds, lambda *packing: self.packing(program, site, *packing)
                )
            self.sites.append(CallSite("gemm", step))  # what it packs is called before it
            return lines
        if isinstance(step, Meeting):
            return [self.meeting(name, program, site) for name in step.sums]
        if isinstance(step, Sequential) and any(isinstance(inner, Gemm) for inner in plain_steps(step.steps)):
            return self.sequential(step, program, site)
        found = self.call(program, step, site)
        if not isinstance(found, _Call):
            return found
        self.sites.append(CallSite(found.kernel, step))
        given = {round_of(name): variable for name, variable in site.rounds.items()}
        arguments = [RANGE.get(name) or given.get(name) or self.names.of(name) for name in found.parameters]
        results = ", ".join(self.names.of(name) for name in found.returns)
        called = f"{results} = {found.kernel}" if results else found.kernel
        return call_rows(called, [*arguments, *map(str, found.sizes)])

    def packing(self, program: Program, site: "_Site", nest: Nest, rounds: Mapping[str, str],
                around: Surroundings) -> list[str]:  # fmt: skip
        """The lines that make what of a factor belongs to a round of the outermost loops around a product."""
        outside = frozenset(nest.written)
        return self.lines(
            program, nest, replace(site, around=around, rounds={**site.rounds, **rounds}, outside=outside)
        )

    def call(self, program: Program, step: Nest | Sequential, site: "_Site") -> "_Call | list[str]":
        """The call of a step's kernel; the lines of one that needs none."""
        rounds = tuple(site.rounds)
        form, tensors = None, tuple[str, ...]()
        if isinstance(step, Nest) and any(isinstance(item, Loop) for item in step.items):
            form, tensors = form_of(step, program, site.outside, (rounds, self.rows))
        known = self.table.by_form.get(form)
        if known is not None:
            return self.telling_dims(known.of(tensors), program, site)
        kernel = self.table.written.get(form)
        if kernel is None:
            kernel = KernelWriter(program, self.names, self.real, step, site.outside, rounds, rows=self.rows).kernel("")
        self.telling_dims(_Call("", kernel.parameters, (), (), ()), program, site)
        if isinstance(step, Nest) and form is None and not kernel.calls and not rounds:
            return [row for row in kernel.body if not row.startswith("return ")]
        named = self.named(kernel, step, site.label, frozenset(program.graph.outputs.values()))
        shared, sizes = self.table.shared(named)
        made = _Call(shared.name, kernel.parameters, kernel.returns, sizes, tensors)
        if form is not None:
            self.table.by_form[form], self.table.written[form] = made, kernel
        return made

    def telling_dims(self, call: "_Call", program: Program, site: "_Site") -> "_Call":
        """The call; the free dims that it is handed are needed here."""
        for name in call.parameters:
            if name not in program.graph.tensors and name not in RANGE and not name.startswith(round_of("")):
                site.around.name(name)
        return call

    def meeting(self, name: str, program: Program, site: "_Site") -> str:
        """The row after which each worker has the whole of a sum."""
        buffer = program.buffers[name]
        shown = self.names.of(program.root_of(name))
        if buffer.storage is Storage.LOCAL:
            return f"{shown} = {self.real}(joined({shown}, team))"
        return f"add_up({shown}, team)  # {self.names.of(name)}, of the rows of all"

    def sequential(self, step: Sequential, program: Program, site: "_Site") -> list[str]:
        """A recurrence with products: a loop around its steps."""
        # only what steps the optimizer has an argument called t
        variable = Names((self.names.taken - {"t"}) | set(site.rounds.values())).fresh(step.index.name)
        inside = replace(site, rounds={**site.rounds, step.index.name: variable})
        inside = replace(inside, around=replace(site.around, index=lambda name: inside.rounds.get(name, name)))
        arrays = _Arrays(self.names, program, inside.around)
        lines = list(uncovered(step, program, arrays, tuple(site.rounds), self.rows))
        way = (
            "back through {}: each round reads what the one after it made"
            if step.backward
            else ("through {}: each round reads what the one before it made")
        )
        lines += [f"# {way.format(variable)}", rounds_row(variable, step, inside.around)]
        for at, inner in enumerate(step.steps):
            later = {name for other in step.steps[at + 1 :] for name in read_by(other)}
            rows = self.lines(program, inner, replace(inside, outside=site.outside | later))
            if isinstance(inner, Nest) and inner.guards:
                rows = [f"if {conditions_text(inner.guards, inside.around)}:", *(f"{INDENT}{row}" for row in rows)]
                rows += otherwise(inner, step.steps[at + 1 :], program, arrays, "")
            lines += [f"{INDENT}{row}" if row else row for row in rows]
        return lines

    def named(self, kernel: Kernel, nest: Nest | Sequential, label: str, given: frozenset[str]) -> Kernel:
        """The kernel under a name that says what it computes."""
        if self.table.has(kernel):
            return kernel
        usual = label or kernel_name(kernel, nest, given)
        others = () if label else others_for(usual, nest, self.role)
        free = (name for name in (usual, *others) if identifier(name) not in self.functions.taken | self.names.taken)
        name = self.functions.fresh(next(free, usual))
        while self.names is not self.functions and name in self.names.taken:
            name = self.functions.fresh(name)
        self.names.taken.add(name)
        return replace(kernel, name=name)


class Flow:
    """What the steps of a program read and write.

    Attributes:
        touched: the tensors that they read, and those in whose place they write.
        readers: for each such place the steps that read what lies there, and write nothing there.
    """

    def __init__(self, program: Program, after: Iterable[Step] = ()) -> None:
        self.program = program
        self.touched: set[str] = set()
        self.readers: dict[str, list[Step]] = {}
        self.needed = {*program.graph.outputs.values(), *(name for step in after for name in read_by(step))}
        self.last: dict[str, int] = {}
        for at, step in enumerate(program.steps):
            read, written = (set(map(program.root_of, names)) for names in (read_by(step), written_by(step)))
            self.touched |= read | written | set(read_by(step))
            self.last |= dict.fromkeys(read_by(step), at)
            for place in read - written:
                self.readers.setdefault(place, []).append(step)

    def outside(self, at: int) -> frozenset[str]:
        """What a step writes that is needed after it."""
        written = written_by(self.program.steps[at])
        return frozenset(name for name in written if name in self.needed or self.last.get(name, at) > at)


@dataclass(frozen=True, slots=True)
class _Site:
    """Where a step stands.

    Attributes:
        around: how things are called there.
        label: what its kernel is called, where that is given.
        outside: what it writes that is needed after it.
        rounds: the indices of sequential loops around it, each with the variable that holds it.
    """

    around: Surroundings
    label: str
    outside: frozenset[str]
    rounds: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Arrays:
    """What the rows that set places to 0 need to know of the arrays."""

    names: Names
    program: Program
    around: Surroundings

    def array(self, name: str) -> str:
        """The identifier of the array that a computed tensor lies in."""
        return self.names.of(self.program.root_of(name))


def first_backward_step(program: Program) -> int:
    """The first step after the loss from which on each computes an adjoint; 0 where there is no such turn."""
    results = {name for label, name in program.graph.outputs.items() if not label.startswith("gradient ")}
    for at in reversed(range(len(program.steps))):
        written = set(written_by(program.steps[at]))
        if written & results or not any(name.startswith("d_") for name in written):
            return at + 1 if at + 1 < len(program.steps) else 0
    return 0


def kernel_name(kernel: Kernel, step: Nest | Sequential, given: frozenset[str]) -> str:
    """`forward_h`, `loss_and_d_logits`, `backward_h`: the first array it makes, or the scalar it returns."""
    targets = list(written_by(step))
    shown = [name for name in dict.fromkeys(targets) if name in kernel.parameters]
    adjoints = [name for name in shown if name.startswith("d_")]
    result = "loss" if "loss" in kernel.returns else next(iter(kernel.returns), "")
    if result and adjoints:
        kept = [name for name in adjoints if name not in given]
        return f"{result}_and_{(kept or adjoints)[0]}"
    if result:
        return _with_direction(result)
    if adjoints and len(adjoints) == len(shown):
        return f"backward_{adjoints[0].removeprefix('d_')}"
    own = [name for name in shown if not name.startswith("d_")]
    return _with_direction((own or targets)[-1])


def others_for(usual: str, step: Nest | Sequential, role: str) -> Iterator[str]:
    """Names for a kernel whose usual one is taken: of a prediction, of something else that it makes, of what its
    derivatives are of.

    forward_h       predict_h                     what training keeps of h is not kept here
    backward_c      backward_c_through_t          d_c[t] += d_c[t + 1] * …
    backward_z      backward_z_of_forget_gate     d_z[1] += d_forget_gate * …
    """
    if role and usual.startswith("forward_"):
        yield f"{role}_{usual.removeprefix('forward_')}"
    if not usual.startswith("backward_"):
        return
    written, read = written_by(step), read_by(step)
    for name in written:
        if name.startswith("d_"):
            yield f"backward_{name.removeprefix('d_')}"
    if any(name in read for name in written):
        rounds = (step.index.name,) if isinstance(step, Sequential) else next(step.statements()).around[-1:]
        yield from (f"{usual}_through_{index}" for index in rounds)
    yield from (
        f"{usual}_of_{name.removeprefix('d_')}" for name in read if name.startswith("d_") and name not in written
    )


def _with_direction(name: str) -> str:
    return f"backward_{name.removeprefix('d_')}" if name.startswith("d_") else f"forward_{name}"
