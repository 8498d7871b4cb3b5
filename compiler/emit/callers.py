"""The part of a module that its users call: entries, checks of arrays, `init`, `train_step`, `predict` and others."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from gradc.graph.index import IndexExpr
from gradc.graph.tensors import Kind
from gradc.schedule.program import Program, Space, keys_read

from .breaking import laid_out
from .checks import Checks
from .definitions import function, plain, quoted, sentences, tuple_of, tuple_text
from .laws import law_text
from .lines import INDENT, broken, call_rows


@dataclass(frozen=True, slots=True)
class Callers(Checks):
    """Writes them for one module."""

    # ------------------------------------------------------------ small texts

    def seed(self, program: Program | None) -> list[str]:
        """The seed, where a program draws random numbers."""
        return ["seed"] if program is not None and keys_read(program.graph, program.steps) else []

    def step_seed(self) -> list[str]:
        """The seed of a training step."""
        return ["random_key(seed, t)"] if self.seed(self.spec.gradient) else []

    def seed_text(self) -> str:
        """What makes seeds of what callers pass."""
        alone = [prediction.program for prediction in self.spec.alone.values()]
        if not any(map(self.seed, (self.spec.gradient, self.spec.predict, self.spec.evaluate, *alone))):
            return ""
        lines = [
            "if not isinstance(seed, int | np.integer):",
            f'{INDENT}raise TypeError(f"seed is a whole number; got {{seed!r}}")',
            "return int(seed) % 2**63",
        ]
        return plain("_seed", ["seed"], lines)

    def called_seed(self, program: Program, seed: str = "seed") -> list[str]:
        """The argument for an entry that draws random numbers."""
        return [f"_seed({seed})" for _ in self.seed(program)]

    def entry_doc(self, label: str, arrays: list[str], scalars: list[str]) -> str:
        if label.startswith("predict") and arrays:
            return f"One forward pass: fills {' and '.join(arrays)}."
        return f"One forward pass: returns {', '.join(scalars)}."

    # ------------------------------------------------------------ entries

    def checks(
        self,
        label: str,
        scalars: int,
        *known: str,
        before: Iterable[str] = (),
        names: Mapping[str, str] = MappingProxyType({}),
    ) -> Iterator[str]:
        """Lines that return (which array, place, known …) where a whole number is outside its range, and what stands
        before the return; of tensors that are called otherwise by these names."""
        for at, tensor in self.bounded(label):
            assert tensor.bounds is not None
            name = names.get(tensor.name) or self.names.of(tensor.name)
            limit = self.limit(tensor.bounds.high + 1)
            call = f"first_outside({name}, {limit})" if tensor.axes else f"0 if {name} < 0 or {name} >= {limit} else -1"
            yield f"place = {call}"
            yield "if place >= 0:"
            yield from (f"{INDENT}{row}" for row in before)
            yield f"{INDENT}return {', '.join([str(at), 'place', *known, *['0.0'] * scalars])}"

    def limit(self, expr: IndexExpr) -> str:
        """A size, its free dims by the arrays that tell them."""
        known = {dim: self.dim_source(dim, "all") for dim in expr.dims}
        return self.known_size(expr, known)

    def first_outside(self) -> str:
        if not any(tensor.axes for _, tensor in self.bounded("all")):
            return ""
        return "\n".join([
            "@kernel",
            "def first_outside(values, size):",
            f'{INDENT}"""The first place, counted row by row, that does not hold one of 0 .. size - 1, or -1."""',
            f"{INDENT}flat = view(values, 0, (values.size,))",
            f"{INDENT}for n in range(flat.size):",
            f"{INDENT * 2}if flat[n] < 0 or flat[n] >= size:",
            f"{INDENT * 3}return n",
            f"{INDENT}return -1",
        ])  # fmt: skip

    def work_names(self, program: Program) -> list[str]:
        return [space.value for space in program.work]

    @property
    def gradients(self) -> str:
        """What entries call the array that a pass fills."""
        return "d_params"

    @property
    def team(self) -> list[str]:
        """What a pass is told of the workers that make it together, where a step is cut."""
        return []

    @property
    def place(self) -> list[str]:
        """The arguments by which an entry is told the same."""
        return []

    def pass_given(self, *seed: str) -> list[str]:
        """The arguments of `differentiate`."""
        assert self.spec.gradient is not None
        return ["params", self.gradients, *self.team, *self.work_names(self.spec.gradient), *seed, *self.passed("all")]

    def gradient_entry(self) -> str:
        assert self.spec.gradient is not None
        seed = self.seed(self.spec.gradient)
        arguments = ["params", self.gradients, *self.place, *self.work_names(self.spec.gradient), *seed]
        lines = [
            '"""The loss and its gradient. Returns (which array is out of range or -1, its place, the loss)."""',
            *own("params"),
            *self.checks("all", 1),
            *self.meeting(),
            *call_rows("loss = differentiate", self.pass_given(*seed)),
            *self.completed(),
            "return -1, -1, loss",
        ]
        return function("entry", "gradient_entry", [*arguments, *self.passed("all")], lines)

    def meeting(self, *, steps: bool = False) -> list[str]:
        """Rows that make of the arguments of an entry what a pass is told of the workers."""
        return []

    def completed(self) -> list[str]:
        """Rows that make the gradients which a pass leaves to the optimizer's step."""
        return []

    def step_entry(self) -> str:
        """Steps, one after the other."""
        return self.steps_taken()

    def steps_taken(self) -> str:
        """Steps as an entry; or for a team, as what its entry calls."""
        assert self.spec.gradient is not None
        work = self.work_names(self.spec.gradient)
        given, cut = self.cut_rows()
        each = "each on as many of the rows, in their order" if cut else "all on the same arrays"
        step = [
            *cut,
            *self.checks("all", 1, "step", before=self.leaving()),
            *call_rows("loss = differentiate", self.pass_given(*self.step_seed())),
            *self.updated(),
            *(["if worker == 0:", f"{INDENT}losses[step] = loss"] if self.team else ["losses[step] = loss"]),
            "if not np.isfinite(loss):",
            f"{INDENT}return -1, -1, step + 1, loss",
            "t += 1",
        ]
        lines = [
            f'"""gradient_entry and a step of the optimizer, for each of the losses: {each}.',
            "",
            "Ends before an array that is out of range, and with a loss that is not finite. Returns (which array is",
            "out of range or -1, its place in its batch, how many steps were taken, the loss of the last).",
            '"""',
            *([] if self.team else own("params", self.gradients, "moments", moments=self.spec.moments)),
            *self.meeting(steps=True),
            *([f"count = {given[0]}.shape[0] // losses.size"] if cut else []),
            *(["loss = 0.0"] if self.team else []),
            "for step in range(losses.size):",
            *(f"{INDENT}{row}" for row in step),
            f"return -1, -1, losses.size, {'loss' if self.team else 'losses[losses.size - 1]'}",
        ]
        data = [*work, *self.seed(self.spec.gradient), *given]
        arguments = ["params", self.gradients, "moments", "t", "losses", *self.team, *data]
        name = ("inlined", "take_steps") if self.team else ("entry", "step_entry")
        return function(*name, arguments, lines)

    def leaving(self) -> list[str]:
        """What a worker does before it ends a step early."""
        return []

    def cut_rows(self) -> tuple[list[str], list[str]]:
        """What the arrays of all steps are called, and the rows that cut those of one step out of them."""
        names = self.passed("all")
        if self.spec.batch is None:
            return names, []
        given = [self.names.of(f"{name}.rows") for name in names]
        rows = [f"{name} = rows({whole}, first, first + count)" for name, whole in zip(names, given, strict=True)]
        return given, ["first = step * count", *rows]

    # ------------------------------------------------------------ work space

    def work_for(self) -> str:
        """The method of State that keeps the work space of a step."""
        program = self.spec.gradient
        sizes = program.work if program is not None else {}
        dims = list(dict.fromkeys(name for size in sizes.values() for name in size.dims))
        arguments = ", ".join(["self", *(self.names.of(dim) for dim in dims)])
        rows = [f"def work_for({arguments}):"]
        rows.append(f'{INDENT}"""The work space of a step, made anew only where a larger batch needs it."""')
        for at, (space, size) in enumerate(sizes.items()):
            rows.append(f"{INDENT}if self.work[{at}].size < {self.size(size)}:")
            rows.append(f"{INDENT * 2}self.work[{at}] = {self.aligned(size, space)}")
        rows.append(f"{INDENT}return self.work")
        return "\n".join(laid_out(f"{INDENT}{row}" for row in rows))

    def no_work(self) -> str:
        """The work space before the first step."""
        sizes = self.spec.gradient.work if self.spec.gradient is not None else {}
        return ", ".join(f"np.empty(0, {self.dtype(space.kind)})" for space in sizes)

    def fresh_work(self, program: Program) -> list[str]:
        return [self.aligned(size, space) for space, size in program.work.items()]

    def fresh_spaces(self, program: Program) -> list[str]:
        """All arrays that one call of a gradient's entry needs for itself."""
        return self.fresh_work(program)

    def aligned(self, size: IndexExpr, space: Space) -> str:
        """A new array for tensors to lie in."""
        return f"aligned(np.empty, {self.size(size)}, {self.dtype(space.kind)})"

    # ------------------------------------------------------------ for callers

    def text(self) -> str:
        """All functions after the classes."""
        spec = self.spec
        parts = [self.orthogonal_text(), self.init_text()]
        if spec.gradient is not None:
            parts += [self.init_state_text(), self.train_step_text(), self.train_steps_text(), self.steps_text()]
            parts.append(self.loss_and_gradients_text())
        if spec.predict is not None:
            parts.append(self.predict_text("predict", spec.predict))
        parts += [self.predict_text(label, alone.program) for label, alone in spec.alone.items()]
        if spec.evaluate is not None:
            parts.append(self.evaluate_text(spec.evaluate))
        parts += [*self.checked_texts(), self.seed_text()]
        return "\n\n\n".join(part for part in parts if part)

    def init_text(self) -> str:
        rows = []
        laws = dict.fromkeys(f"{p.name} ~ {p.law_text}" for p in self.spec.parameters)
        random = False
        for p in self.spec.parameters:
            if p.law is None:
                text: str | None = f"orthogonal(rng, {tuple_of(p.shape)})"
            else:
                text = law_text(p.law, p.indices, p.shape)
            if text is not None:
                random = random or "rng" in text
                rows += broken("", f"params[{quoted(p.name)}] = {text}")
        doc = "; ".join(laws) or "the model has none"
        lines = [f'"""New parameters: {doc}."""' if len(doc) < 92 else '"""New parameters, drawn by their laws."""']  # noqa: PLR2004
        lines += ["rng = np.random.default_rng(seed)"] if random else []
        lines += [f"params = Params(aligned(np.zeros, SIZE, {self.real}))", *rows, "return params"]
        return plain("init", ["seed=0"], lines)

    def orthogonal_text(self) -> str:
        """The one law that is no expression at every place."""
        if all(p.law is not None for p in self.spec.parameters):
            return ""
        lines = [
            '"""A random orthogonal matrix, the first axis against the rest (Saxe and others, 2014)."""',
            "rows, columns = shape[0], math.prod(shape[1:])",
            "q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))",
            "q *= np.where(np.diag(r) < 0, -1.0, 1.0)",
            "return (q if rows >= columns else q.T).reshape(shape)",
        ]
        return plain("orthogonal", ["rng", "shape"], lines)

    def init_state_text(self) -> str:
        spec = self.spec
        lines = ['"""The state before the first step."""', f"moments = aligned(np.zeros, {spec.moments}, {self.real})"]
        for update in spec.updates:
            for moment in update.moments:
                start = law_text(moment.start, (), ())
                if start is not None:
                    lines.append(f"moments[{moment.offset}:{moment.offset + moment.size}] = {start}")
        return plain("init_state", ["params", "seed=0"], [*lines, "return State(moments, seed)"])

    def described(self, label: str) -> str:
        shown = []
        for tensor in self.given(label):
            words = {Kind.REAL: self.spec.dtype, Kind.WHOLE: "whole numbers", Kind.BOOL: "true or false"}[tensor.kind]
            below = f" below {tensor.bounds.high + 1}" if tensor.bounds is not None else ""
            shown.append(f"{self.names.of(tensor.name)}: {words} {self.shape_text(tensor)}{below}")
        return "; ".join(shown)

    def checked(self, label: str) -> list[str]:
        names = self.passed(label)
        if not names:
            return []
        own = f"_checked_for_{label}" if label in self.spec.alone else "_checked"
        checker = "_checked_inputs" if label == "predict" else own
        left = f"({names[0]},)" if len(names) == 1 else ", ".join(names)
        return [f"{left} = {checker}({', '.join(names)})"]

    def dims_of(self, program: Program, label: str) -> list[str]:
        """Lines that give the free dims which the sizes of a program's arrays need."""
        names: dict[str, None] = {}
        for size in program.work.values():
            names |= dict.fromkeys(size.dims)
        for tensor in program.graph.outputs.values():
            for extent in program.graph.tensors[tensor].extents:
                names |= dict.fromkeys(extent.dims)
        return [f"{self.names.of(dim)} = {self.dim_source(dim, label)}" for dim in names]

    def dim_source(self, dim: str, label: str) -> str:
        for tensor in self.given(label):
            for at, extent in enumerate(tensor.extents):
                if str(extent) == dim and extent.dims == (dim,):
                    return f"{self.names.of(tensor.name)}.shape[{at}]"
        raise AssertionError(f"no array tells the size of {dim}")

    def refusal(self, label: str) -> list[str]:
        if not self.bounded(label):
            return []
        names = tuple_text(quoted(tensor.name) for tensor in self.given(label))
        arrays = tuple_text(self.passed(label))
        return ["if bad >= 0:", f"{INDENT}raise ValueError(_out_of_range({names}[bad], {arrays}[bad], place))"]

    def told(self) -> str:
        """The names of what an entry says about arrays out of range; it says nothing where none can be."""
        return "bad, place" if self.bounded("all") else "_, _"

    def train_step_text(self) -> str:
        passed = self.passed("all")
        lines = [
            *sentences(f"One training step on one batch, in place; returns the loss. {self.described('all')}."),
            *self.checked("all"),
            f"return _steps({', '.join(['params', 'state', 'state.losses', *passed])})",
        ]
        return plain("train_step", ["params", "state", *passed], lines)

    def train_steps_text(self) -> str:
        """Many training steps in one call of compiled code."""
        passed, batch = self.passed("all"), self.spec.batch
        wrong, told = "steps < 1", '"one step is the least"'
        if batch is not None:
            count = self.dim_source(batch, "all")
            wrong, told = f"{wrong} or {count} % steps", f'f"{{{count}}} rows are not {{steps}} batches of one size"'
        lines = [
            '"""train_step on one batch after the other, which are parts of the arrays; returns their losses."""'
            if batch is not None
            else '"""train_step again and again, on the same arrays; returns the losses."""',
            *self.checked("all"),
            f"if {wrong}:",
            f"{INDENT}raise ValueError({told})",
            *self.one_batch_checked(),
            "losses = np.empty(steps, np.float64)",
            f"_steps({', '.join(['params', 'state', 'losses', *passed])})",
            "return losses",
        ]
        return plain("train_steps", ["params", "state", "steps", *passed], lines)

    def one_batch_checked(self) -> list[str]:
        """Checks of what a batch has to be, where that is not known of all rows together."""
        batch = self.spec.batch
        if batch is None or not any(batch in value.dims for value, _ in self.spec.preconditions):
            return []
        parts = ", ".join(f"{name}[: {self.dim_source(batch, 'all')} // steps]" for name in self.passed("all"))
        return [f"_checked({parts})"]

    def steps_text(self) -> str:
        """What both have in common."""
        program, batch, passed = self.spec.gradient, self.spec.batch, self.passed("all")
        assert program is not None
        bounded = bool(self.bounded("all"))
        told = f"{self.told()}, done, loss"
        called = self.step_called(told)
        counted = batch is not None and (bounded or any("count" in row for row in called))
        names, arrays = tuple_text(quoted(tensor.name) for tensor in self.given("all")), tuple_text(passed)
        wrong = f"{arrays}[bad]{'[done * count :]' if batch is not None else ''}"
        refused = ["if bad >= 0:", f"{INDENT}raise ValueError(_out_of_range({names}[bad], {wrong}, place))"]
        lines = [
            '"""A step for each of the losses, which it fills in; returns the last."""',
            *([f"count = {self.dim_source(batch, 'all')} // losses.size"] if batch is not None and counted else []),
            *called,
            "state.step += done",
            *(refused if bounded else []),
            "if not math.isfinite(loss):",
            f'{INDENT}raise FloatingPointError(f"the loss of step {{state.step}} is {{loss}}")',
            "return loss",
        ]
        return plain("_steps", ["params", "state", "losses", *passed], lines)

    def step_called(self, results: str) -> list[str]:
        """The rows that run the steps."""
        program = self.spec.gradient
        assert program is not None
        work = [f"*state.work_for({', '.join(self.step_sizes(program).values())})"] if program.work else []
        held = ["params.flat", "state.d_params", "state.flat", "state.step + 1", "losses", *work]
        given = [*held, *self.called_seed(program, "state.seed"), *self.passed("all")]
        return call_rows(f"{results} = step_entry", given)

    def step_sizes(self, program: Program) -> dict[str, str]:
        """The free dims that the work space needs, and how large they are in one step."""
        dims = dict.fromkeys(name for size in program.work.values() for name in size.dims)
        return {dim: "count" if dim == self.spec.batch else self.dim_source(dim, "all") for dim in dims}

    def updated(self, *over: str) -> list[str]:
        """The call that takes one step of the optimizer, where it is cut over a range of parameters."""
        gradients = f"rows(d_params, {', '.join(over)})" if over else "d_params"
        # to a rule t is a real number: for powers by whole ones Numba compiles loops
        arguments = ["params", gradients, "moments", "float(t)", *self.update_work(), *over]
        return call_rows("update", arguments) if self.spec.updates else []

    def update_work(self) -> list[str]:
        """The work space that the optimizer's rules need."""
        return [space.value for space in self.spec.update_work]

    # ------------------------------------------------------------ gradients and predictions

    def loss_and_gradients_text(self) -> str:
        program = self.spec.gradient
        assert program is not None
        dims = [row for row in self.dims_of(program, "all") if self.work_needs(program, row)]
        given = [*self.fresh_spaces(program), *self.called_seed(program), *self.passed("all")]
        filled = self.filled("gradients.flat")
        doc = "The loss and its gradient by every parameter, named as the parameters are."
        params = "params.flat"
        if self.spec.carries:  # a pass gives states their next values where they lie
            doc, params = f"{doc} States stay as they are.", "params.flat.copy()"
        call = [params, *filled, *given]
        lines = [
            f'"""{doc}"""',
            *self.checked("all"),
            *dims,
            f"gradients = Params(np.zeros(SIZE, {self.real}))",
            *call_rows(f"{self.told()}, loss = gradient_entry", call),
            *self.refusal("all"),
            "return loss, gradients",
        ]
        return plain("loss_and_gradients", ["params", *self.passed("all"), "*", "seed=0"], lines)

    def filled(self, gradient: str) -> list[str]:
        """The arguments for an array that a pass fills alone."""
        return [gradient]

    def work_needs(self, program: Program, row: str) -> bool:
        name = row.split(" = ")[0]
        return any(name == self.names.of(dim) for size in program.work.values() for dim in size.dims)

    def predict_text(self, label: str, program: Program) -> str:
        outputs = program.graph.outputs
        made, results, scalars = [], [], []
        for name in outputs.values():
            tensor, shown = program.graph.tensors[name], self.names.of(name)
            if tensor.axes:
                sizes = ", ".join(self.size(extent) for extent in tensor.extents)
                comma = "," if len(tensor.axes) == 1 else ""
                made.append(f"{shown} = np.empty(({sizes}{comma}), {self.dtype(tensor.kind)})")
                results.append(shown)
            else:
                scalars.append(shown)
        given = [*self.fresh_work(program), *self.called_seed(program), *self.passed(label)]
        call = ["params.flat", *given, *results]
        results_of = {output.removeprefix("predict "): self.names.of(name) for output, name in outputs.items()}
        if len(results_of) == 1:
            result = next(iter(results_of.values()))
        else:
            result = "{" + ", ".join(f"{quoted(output)}: {name}" for output, name in results_of.items()) + "}"
        tensors = program.graph.tensors
        what = ", ".join(f"{output}: {self.shape_text(tensors[outputs[f'predict {output}']])}" for output in results_of)
        left = ", ".join(["bad", "place", *scalars]) if self.bounded(label) else ", ".join(["_", "_", *scalars])
        called = f"{left} = {label}_entry" if scalars or self.bounded(label) else f"{label}_entry"
        lines = [
            *sentences(f"The prediction {what}. {self.described(label)}."),
            *self.checked(label),
            *self.dims_of(program, label),
            *made,
            *self.predicted(label, program, result, call_rows(called, call)),
            *self.refusal(label),
            f"return {result}",
        ]
        return plain(label, ["params", *self.passed(label), "*", "seed=0"], lines)

    def predicted(self, label: str, program: Program, result: str, called: list[str]) -> list[str]:
        """The rows that make a prediction: the call of its entry, or what has workers make it."""
        return called

    def evaluate_text(self, program: Program) -> str:
        call = ["params.flat", *self.fresh_work(program), *self.called_seed(program), *self.passed("all")]
        outputs = program.graph.outputs
        scalars = list(dict.fromkeys(self.names.of(name) for name in outputs.values()))
        labels = [(label.removeprefix("metric "), self.names.of(name)) for label, name in outputs.items()]
        dims = [row for row in self.dims_of(program, "all") if self.work_needs(program, row)]
        lines = [
            '"""The loss and the metrics, without changing anything."""',
            *self.checked("all"),
            *dims,
            *call_rows(f"{', '.join([self.told(), *scalars])} = evaluate_entry", call),
            *self.refusal("all"),
            "return {" + ", ".join(f"{quoted(label)}: float({name})" for label, name in labels) + "}",
        ]
        return plain("evaluate", ["params", *self.passed("all"), "*", "seed=0"], lines)


def own(*buffers: str, moments: int = 0) -> list[str]:
    """Lines that refuse buffers of another model: where they are shorter, kernels would run beyond their ends."""
    sizes = {"params": "params.size != SIZE", "d_params": "d_params.size != SIZE", "shares": "shares.shape[1] != SIZE"}
    wrong = " or ".join({**sizes, "moments": f"moments.size != {moments}"}[buffer] for buffer in buffers)
    whose = "params or state are" if "moments" in buffers else "params are"
    mend = "init() and init_state(params) make" if "moments" in buffers else "init() makes"
    return [f"if {wrong}:", f'{INDENT}raise ValueError("{whose} of another model: {mend} those of this one")']
