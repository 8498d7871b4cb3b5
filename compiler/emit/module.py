"""Assembles a module: the parts in strings, arranged by the templates of `gradc_templates`."""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from gradc.graph.index import IndexExpr
from gradc.schedule.costs import BLAS_WORK, GUESSED_PACE, LATE
from gradc.schedule.program import Program, Space, Storage, read_by, written_by
from gradc.schedule.shard import Rows, rows_along, rows_of

from .callers import Callers, own
from .definitions import (
    assigned,
    docstring,
    filled_text,
    function,
    unpacked,
    wrapped_tuple,
)
from .driver import Body, CallSite, Driver, KernelTable
from .kernels import Kernel
from .layout import ModuleSpec, Parameter, UpdateProgram
from .lines import INDENT, broken, shape_text
from .names import MODULE_NAMES, Names
from .predicted import Predicted, joint_of, part_name
from .prelude import prelude_parts
from .render import render
from .rounds import RANGE
from .sharded import ShardedCallers
from .top import Top, constants, imports

WIDEST_TUPLE = 16
"""Parameters that are handed over in one tuple; Numba's work grows with the square of their number."""


def emit(spec: ModuleSpec) -> str:
    """The text of a module: the same bytes for the same spec."""
    return emit_with_sites(spec)[0]


def emit_with_sites(spec: ModuleSpec) -> tuple[str, Mapping[str, tuple[CallSite, ...]]]:
    """The same text; and for each function in it that runs a program its calls of kernels and products, in order."""
    module = _Module(spec)
    drivers = module.drivers()
    alike = module.table.alike()
    if alike:  # written again, with one kernel for those of a group
        module = _Module(spec, table=KernelTable(groups=alike, written=module.table.written))
        drivers = module.drivers()
    return module.text(drivers), module.sites


@dataclass
class _Module:
    """The parts of one module as they are written."""

    spec: ModuleSpec
    names: Names = field(default_factory=Names)
    table: KernelTable = field(default_factory=KernelTable)
    calls: dict[str, None] = field(default_factory=dict)
    finish: Body | None = None
    """What comes after all rows, where a step is cut."""
    sites: dict[str, tuple[CallSite, ...]] = field(default_factory=dict)
    """For each function that runs a program its calls of kernels and products."""

    @property
    def real(self) -> str:
        return "f4" if self.spec.dtype == "float32" else "f8"

    @cached_property
    def rows(self) -> Rows | None:
        """How a step is cut into shards, where it can be and is long enough."""
        program = self.spec.gradient
        return rows_of(program) if program is not None and program.in_shards else None

    @property
    def callers(self) -> Callers:
        if self.rows is None or self.finish is None:
            return Callers(self.spec, self.names, self.real)
        return ShardedCallers(self.spec, self.names, self.real, self.rows, self.finish, self.cuts_updates)

    @cached_property
    def cuts_updates(self) -> bool:
        """Whether the optimizer's step is cut into ranges of parameters, where a step is cut."""
        return self.rows is not None and self.spec.before is None and all(map(_joins_nothing, self.spec.updates))

    @property
    def is_cut(self) -> bool:
        return self.rows is not None

    @property
    def predictions(self) -> dict[str, Program]:
        """The programs of all predictions at once and of each alone, by the names of their functions."""
        alone = {label: prediction.program for label, prediction in self.spec.alone.items()}
        return {**({"predict": self.spec.predict} if self.spec.predict is not None else {}), **alone}

    def __post_init__(self) -> None:
        for label in self.spec.alone:
            self.names.taken |= {label, f"{label}_entry", f"_checked_for_{label}", part_name(label)}
        for tensor in (*self.spec.inputs, *self.spec.targets):
            self.names.of(tensor.name)

    def text(self, drivers: str) -> str:
        """The whole, with these functions that run programs."""
        spec, callers = self.spec, self.callers
        outside = callers.first_outside()
        kernels = "\n\n\n".join([*map(self.kernel_text, self.table.kernels), *([outside] if outside else [])])
        for kernel in self.table.kernels:
            self.calls |= dict.fromkeys(kernel.calls)
        parts = self.parts_text()
        text = parts + kernels + drivers
        for name in ("view", "rows", "columns_of", "windows", "windows_of_each", "turned_each"):
            if f"{name}(" in text and re.search(rf"\b{name}\(", text):
                self.calls.setdefault(name)
        vector, plumbing = prelude_parts(("compilers", *self.calls), spec.dtype)
        wrappers = callers.text()
        top = Top(spec, self.names)
        return render(
            "module.py.j2",
            title=top.title(),
            model=top.model_lines(),
            legend=top.legend(),
            provenance=top.provenance(),
            imports=imports(self.calls, spec.dtype, self.is_cut),
            constants=constants(vector + kernels + drivers, self.real),
            digest=spec.digest,
            dtype=spec.dtype,
            real=self.real,
            interface=top.interface(),
            parts=parts,
            vector=vector,
            kernels=kernels,
            drivers=drivers,
            plumbing=plumbing,
            work_lines=callers.work_for(),
            is_cut=self.is_cut,
            has_teams=any(joint_of(program, callers) for program in self.predictions.values()),
            has_steps=self.rows is not None and not self.rows.need_all,
            has_steps_together=self.rows is not None and self.rows.need_all,
            blas_work=BLAS_WORK,
            late=LATE,
            guessed_pace=GUESSED_PACE,
            no_work=callers.no_work(),
            wrappers=wrappers,
        )

    # ------------------------------------------------------------ functions

    def parts_text(self) -> str:
        if self.has_many:
            return "# Each pass takes the parameters that it needs from their buffer, one by one."
        views = [_view_of(p, "p") for p in self.spec.parameters]
        names = ", ".join(self.names.of(p.name) for p in self.spec.parameters)
        if not views:
            return "# The model has no parameters."
        body = wrapped_tuple(views)
        doc = filled_text(f'"""{names}: views of the flat buffer p, or of its gradient."""', INDENT)
        return f"@inlined\ndef parts(p):\n{INDENT}{doc}\n{INDENT}return {body}"

    def kernel_text(self, kernel: Kernel) -> str:
        body = (*docstring(kernel.doc), *kernel.body)
        return function("kernel", kernel.name, kernel.arguments, body)

    def drivers(self) -> str:
        spec = self.spec
        driver = Driver(self.names, self.real, self.table, self.names)
        texts = []
        if spec.gradient is not None:
            texts.append(self.gradient_text(driver, spec.gradient))
        if spec.updates:
            texts.append(self.update_text(driver))
        callers = self.callers
        if isinstance(callers, ShardedCallers) and callers.steps_jointly:
            texts.append(self.joint_steps_text(driver, callers.program, callers))
        if spec.gradient is not None:
            texts += [callers.gradient_entry(), callers.step_entry()]
        for label, program in self.predictions.items():
            texts.append(self.forward_text(driver, label, program))
        if spec.evaluate is not None:
            texts.append(self.forward_text(driver, "evaluate", spec.evaluate))
        return "\n\n\n".join(texts)

    def gradient_text(self, driver: Driver, program: Program) -> str:
        if self.rows is not None:
            return self.sharded_text(driver, program, self.rows)
        body = driver.body(program)
        self.sites["differentiate"] = body.sites
        self.calls |= dict.fromkeys(body.calls)
        work = (space.value for space in body.work)
        arguments = ["params", "d_params", *work, *self.callers.seed(program), *self.data_names()]
        loss = self.names.of(program.graph.outputs["loss"])
        gradients = {name: f"gradient {p.name}" for p in self.spec.parameters for name in [self.names.of(p.name)]}
        lines = [
            *docstring((self.pass_doc(),)),
            *self.sizes(body),
            *self.keys(program, body),
            *self.views("params", program, body.arrays),
            *self.gradient_views(program, gradients.values()),
            *body.lines,
            *self.scalar_gradients(program, gradients.values()),
            f"return {loss}",
        ]
        return function("inlined", "differentiate", arguments, lines)

    def pass_doc(self) -> str:
        does = "returns the loss and fills d_params"
        if self.spec.carries:
            does = "returns the loss, fills d_params, gives states their next values"
        return f"One forward and one backward pass: {does}."

    def sharded_text(self, driver: Driver, program: Program, rows: Rows) -> str:
        """The pass over a range of rows, what comes after all of them, and both for whole batches."""
        body = driver.body(program, rows=rows)
        labels = [f"gradient {p.name}" for p in self.spec.parameters]
        late = {name for step in rows.after for name in (*written_by(step), *read_by(step))}
        self.finish = driver.body(replace(program, steps=rows.after, work=self.work_after(program, rows)))
        self.sites |= {"over_rows": body.sites, "of_sums": self.finish.sites}
        self.calls |= dict.fromkeys((*body.calls, *self.finish.calls))
        callers = self.callers
        assert isinstance(callers, ShardedCallers)
        given = [*callers.work_names(program), *callers.seed(program), *self.data_names()]
        jointly = [label for label in labels if program.graph.outputs.get(label) in callers.joint]
        added = [label for label in labels if label not in jointly]
        over_rows = [
            *docstring((
                "One forward and one backward pass over the rows first .. last - 1: fills d_params with their share,",
                "returns what they add to the sums.",
            )),
            *self.sizes(body),
            *self.keys(program, body),
            *self.views("params", program, body.arrays),
            *self.gradient_views(program, added, labels),
            *body.lines,
            *self.left_to_sums(program, rows, added),
            *([f"return {unpacked(callers.sums)}"] if callers.sums else []),
        ]  # fmt: skip
        ends = [label for label in labels if not self.has_axes(program, label) or program.graph.outputs[label] in late]
        finish = [
            *docstring(
                (
                    "The loss, of the sums over all rows; states get their next values."
                    if self.spec.carries
                    else "The loss, of the sums over all rows.",
                )
            ),
            *self.keys(program, self.finish),
            *self.views("params", program, self.finish.arrays),
            *self.gradient_views(program, ends, labels),
            *self.finish.lines,
            *self.scalar_gradients(program, ends),
            f"return {self.names.of(program.graph.outputs['loss'])}",
        ]
        carries = ", gives states their next values" if self.spec.carries else ""
        whole = [
            *docstring((
                "One forward and one backward pass by all workers of a team, each over the rows of its shards:",
                f"returns the loss, fills the first of the shares{carries}.",
            )),
            *callers.passed_by_all(),
        ]  # fmt: skip
        self.calls |= dict.fromkeys(("team",))
        around = ["params", "d_params", *RANGE.values(), *callers.team_of_rows, *given]
        return "\n\n\n".join([
            function("inlined", "over_rows", around, over_rows),
            function("inlined", "of_sums", callers.after(), finish),
            *([self.joint_text(driver, program, callers, jointly, labels)] if jointly else []),
            function("inlined", "differentiate", ["params", "shares", "team", *given], whole),
        ])  # fmt: skip

    def joint_text(
        self, driver: Driver, program: Program, callers: ShardedCallers, jointly: list[str], labels: list[str]
    ) -> str:
        """The products over all rows that workers make together."""
        what = "The gradients of the large weights, of the rows of all workers"
        offsets = {} if callers.steps_jointly else callers.joint
        body = driver.body(replace(program, steps=callers.rows.joint, work={}), offsets=offsets)
        self.sites["joint_gradients"] = body.sites
        lines = [
            *docstring((f"{what}.",) if callers.steps_jointly else (
                f"{what}: of each the rows that begin among the", "parameters begin .. end - 1."
            )),
            *self.gradient_views(program, jointly, labels),
            *body.lines,
        ]  # fmt: skip
        given = ["d_params", *([] if callers.steps_jointly else ["begin", "end"]), *callers.read_by_joint()]
        return function("inlined", "joint_gradients", given, lines)

    def joint_steps_text(self, driver: Driver, program: Program, callers: ShardedCallers) -> str:
        """The same products, each time of some rows with a step by them."""
        steps, offsets = replace(program, steps=callers.rows.joint, work={}), callers.joint
        body = driver.body(steps, offsets=offsets, stepped=True)
        self.sites["joint_steps"] = body.sites
        lines = [
            *docstring((
                "A step by the gradients of the large weights, of the rows of all workers: a shard's rows of them,",
                "some at a time, are made, and the step by these is taken while they are in the cache.",
            )),
            "shards = shares.shape[0]",
            f"d_params = view(shares, {self.spec.size} * shard, ({self.spec.size},))",
            *body.lines,
        ]  # fmt: skip
        given = ["params", "shares", "moments", "t", "shard", *callers.read_by_joint()]
        return function("inlined", "joint_steps", given, lines)

    def work_after(self, program: Program, rows: Rows) -> dict[Space, IndexExpr]:
        """The spaces that what comes after the rows needs."""
        names = (name for step in rows.after for name in (*written_by(step), *read_by(step)))
        touched = [program.buffers[name] for name in names if name in program.buffers]
        spaces = {buffer.space for buffer in touched if buffer.storage in (Storage.WORK, Storage.COMMON)}
        return {space: size for space, size in program.work.items() if space in spaces}

    def left_to_sums(self, program: Program, rows: Rows, labels: Iterable[str]) -> list[str]:
        """Rows that set to 0 what is not this worker's share: the gradients that no row adds to, as they are made of
        the sums; and, but for the first worker, what all have alike or what the gradients are going to be made of."""
        tensors, buffers = program.graph.tensors, program.buffers
        made = {name for step in rows.steps for name in written_by(step)}
        used = {buffers[name].shares for name in made}
        lines = []
        once = [f"{self.names.of(name)} = 0.0" for name in rows.partial if name in rows.met]
        for tensor in (program.graph.outputs[label] for label in labels if label in program.graph.outputs):
            shown = self.names.of(tensor)
            if not tensors[tensor].axes:
                lines.append(f"{self.names.of(f'{tensor}.place')}[0] = 0.0")
            elif tensor in rows.met or (tensor not in made and tensor in used):
                once.append(f"{shown}[...] = 0.0")
            elif tensor not in made:
                lines.append(f"{shown}[...] = 0.0")
        once = ["if team[0] > 0:  # the first worker has it", *(f"{INDENT}{row}" for row in once)] if once else []
        return [*lines, *once]

    def has_axes(self, program: Program, label: str) -> bool:
        name = program.graph.outputs.get(label)
        return name is not None and bool(program.graph.tensors[name].axes)

    def data_names(self) -> list[str]:
        return [self.names.of(tensor.name) for tensor in (*self.spec.inputs, *self.spec.targets)]

    def sizes(self, body: Body, label: str = "all") -> list[str]:
        """Free dims from the shapes of the arrays."""
        callers = Callers(self.spec, self.names, self.real)
        return [f"{self.names.of(dim)} = {callers.dim_source(dim, label)}" for dim in body.dims]

    def keys(self, program: Program, body: Body) -> list[str]:
        """The keys of the random numbers that a program draws."""
        sites = [(name, program.graph.tensors[name].site) for name in body.arrays]
        rows = [f"{self.names.of(name)} = random_key(seed, {site})" for name, site in sites if site is not None]
        self.calls |= dict.fromkeys(("random_key",) if rows else ())
        return rows

    def views(self, buffer: str, program: Program, used: Sequence[str]) -> list[str]:
        """The parameters a program reads, as views of the flat buffer."""
        return self.taken(buffer, [self.names.of(p.name) if p.name in used else "_" for p in self.spec.parameters])

    def gradient_views(self, program: Program, labels: Iterable[str], every: Iterable[str] = ()) -> list[str]:
        """Views of the gradients of these parameters, in the order of all."""
        names = []
        wanted = set(labels := list(labels))
        for label in every or labels:
            tensor = program.graph.outputs.get(label) if label in wanted else None
            if tensor is None:
                names.append("_")
            elif program.graph.tensors[tensor].axes:
                names.append(self.names.of(tensor))
            else:
                names.append(self.names.of(f"{tensor}.place"))
        return self.taken("d_params", names)

    @property
    def has_many(self) -> bool:
        """Whether there are too many parameters for one tuple."""
        return len(self.spec.parameters) > WIDEST_TUPLE

    def taken(self, buffer: str, names: list[str]) -> list[str]:
        """What takes the parameters in a buffer under these names, `_` where one is not needed."""
        if all(name == "_" for name in names):
            return []
        if not self.has_many:
            return [assigned(names, f"parts({buffer})")]
        found = zip(names, self.spec.parameters, strict=False)
        return [row for name, p in found if name != "_" for row in broken("", f"{name} = {_view_of(p, buffer)}")]

    def scalar_gradients(self, program: Program, labels: Iterable[str]) -> list[str]:
        rows = []
        for label in labels:
            tensor = program.graph.outputs.get(label)
            if tensor is not None and not program.graph.tensors[tensor].axes:
                name = self.names.of(tensor)
                rows.append(f"{self.names.of(f'{tensor}.place')}[0] = {name}")
        return rows

    def update_text(self, driver: Driver) -> str:
        spec = self.spec
        rules = " and ".join(dict.fromkeys(update.rule for update in spec.updates))
        lines = [*docstring((f"One step of {rules}, in place; t counts steps from 1.",))]
        if self.cuts_updates:
            lines = docstring((
                f"One step of {rules} for the parameters first .. last - 1, in place, by their gradients d_params;",
                "t counts steps from 1.",
            ))  # fmt: skip
        local = Names((*MODULE_NAMES, *self.names.taken))
        local.given["t"] = "t"
        inner = Driver(local, self.real, self.table, self.names)
        if spec.before is not None:
            local.given["gradient"] = "gradient"
            lines.append(f"gradient = d_params[0:{spec.trained}]")
            body = inner.body(spec.before, "clip")
            self.sites["update"] = body.sites
            self.calls |= dict.fromkeys(body.calls)
            lines += body.lines
        for update in spec.updates:
            lines += self.update_lines(update, inner)
        over = RANGE.values() if self.cuts_updates else ()
        given = ("params", "d_params", "moments", "t", *self.callers.update_work(), *over)
        return function("inlined", "update", given, lines)

    def update_lines(self, update: UpdateProgram, driver: Driver) -> list[str]:
        names = driver.names
        start, size = update.offset, math.prod(update.shape)
        body = driver.body(update.program, update.rule)
        self.sites["update"] = (*self.sites.get("update", ()), *body.sites)
        self.calls |= dict.fromkeys(body.calls)
        ends, stretch = self.stretch(start, size)
        views = {"p": stretch("params", 0, update.shape), "g": self.stretch_of_gradients(update, ends)}
        for moment in update.moments:
            views[moment.leaf] = stretch("moments", moment.offset - start, moment.shape)
        words = set(re.findall(r"\w+", "\n".join(body.lines)))
        used = [f"{names.of(leaf)} = {view}" for leaf, view in views.items() if names.of(leaf) in words]
        sizes = [f"{names.of(name)} = {size}" for name in body.dims]
        return [*ends, *sizes, *used, *body.lines]

    def stretch(self, start: int, size: int) -> tuple[list[str], Callable[[str, int, tuple[int, ...]], str]]:
        """How a stretch of a buffer is cut out, so far after that of the parameters, and lines that tell its ends."""
        first, last = RANGE.values()
        lines = []
        if self.cuts_updates and size != self.spec.trained:
            low = f"max({first}, {start})" if start else first
            lines = [f"begin = {low}", f"end = max(begin, min({last}, {start + size}))"]
            first, last = "begin", "end"

        def text(buffer: str, after: int, shape: tuple[int, ...]) -> str:
            if not self.cuts_updates:
                return f"view({buffer}, {start + after}, {shape_text(map(str, shape or (1,)))})"
            moved = f" {'+' if after > 0 else '-'} {abs(after)}" if after else ""
            return f"rows({buffer}, {first}{moved}, {last}{moved})"

        return lines, text

    def stretch_of_gradients(self, update: UpdateProgram, ends: list[str]) -> str:
        """The gradients of a stretch of the parameters, of which the lines tell the ends."""
        if not self.cuts_updates:
            return f"view(d_params, {update.offset}, {shape_text(map(str, update.shape or (1,)))})"
        first, _ = RANGE.values()
        return f"rows(d_params, begin - {first}, end - {first})" if ends else "d_params"

    def forward_text(self, driver: Driver, label: str, program: Program) -> str:
        driver.role = label
        joint = joint_of(program, self.callers)
        if joint is not None:
            return self.predicted_text(driver, Predicted(self.callers, label, program, joint))
        body = driver.body(program)
        self.sites[f"{label}_entry"] = body.sites
        self.calls |= dict.fromkeys(body.calls)
        tensors = list(dict.fromkeys(program.graph.outputs.values()))
        arrays = [self.names.of(name) for name in tensors if program.graph.tensors[name].axes]
        scalars = [self.names.of(name) for name in tensors if not program.graph.tensors[name].axes]
        callers = Callers(self.spec, self.names, self.real)
        lines = [
            *docstring((callers.entry_doc(label, arrays, scalars),)),
            *own("params"),
            *callers.checks(label, len(scalars)),
            *self.sizes(body, label),
            *self.keys(program, body),
            *self.views("params", program, body.arrays),
            *body.lines,
            f"return {', '.join(['-1', '-1', *scalars])}",
        ]
        work = [space.value for space in body.work]
        given = [*work, *callers.seed(program), *callers.passed(label)]
        return function("entry", f"{label}_entry", ["params", *given, *arrays], lines)

    def predicted_text(self, driver: Driver, predicted: Predicted) -> str:
        """A prediction that workers make together."""
        label, program = predicted.label, predicted.program
        body = driver.body(program, joint=predicted.joint)
        self.sites[predicted.part_name] = body.sites
        self.calls |= dict.fromkeys((*body.calls, "team"))
        lines = [*self.sizes(body, label), *self.views("params", program, body.arrays), *body.lines]
        return f"{predicted.part(lines)}\n\n\n{predicted.entry()}"


# ---------------------------------------------------------------- text


def _view_of(parameter: Parameter, buffer: str) -> str:
    """A parameter, or its gradient, as a stretch of a buffer in its shape."""
    return f"view({buffer}, {parameter.offset}, {shape_text(map(str, parameter.shape or (1,)))})"


def _joins_nothing(update: UpdateProgram) -> bool:
    """Whether one of the optimizer's steps does the same to each number, whatever the others are."""
    (extents,) = {tensor.extents for tensor in update.program.graph.tensors.values() if tensor.name == "p"}
    rows = rows_along(update.program, extents[0]) if extents and extents[0].constant is None else None
    alike = all(moment.shape == update.shape for moment in update.moments)
    return rows is not None and not rows.after and not rows.partial and not update.program.work and alike
