"""Nests → Python functions: loops, accumulators, statements, in the style of the sample.

A statement whose target has no axes left is a variable; one that sums over an inner loop accumulates in a variable and
stores it after the loop; one that sums over an outer loop accumulates in its row. Guards become the ends of a loop
where all that is in the loop stands under them.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from gradc.graph.index import IndexExpr, index
from gradc.graph.nodes import Equation, Guard, Read, Reducer, Tensor
from gradc.graph.printing import is_negative
from gradc.graph.tensors import Kind
from gradc.schedule.program import Buffer, Item, Loop, Nest, Program, Sequential, Statement, Storage, plain_steps

from .bodies import BodyWriter
from .lines import INDENT
from .names import Names
from .openings import covers, diagonal_loops, opened_by_rows, opening_depth
from .rounds import (
    RANGE,
    conditions_text,
    ends_of,
    otherwise,
    range_text,
    round_of,
    rounds_row,
    uncovered,
)
from .style import BodyPrinter, Surroundings, body_printer, index_text, stretch
from .text import equation_text, with_place

LONG_ROW = 32
"""Numbers from which the largest of a row is found after it is made, in registers of many: shorter ones on the way."""
ACCUMULATORS = {
    Reducer.SUM: "total", Reducer.PROD: "product", Reducer.MAX: "largest", Reducer.MIN: "smallest",
    Reducer.PEAK: "largest",
    Reducer.ARGMAX: "best", Reducer.ARGMIN: "best",
}  # fmt: skip
LEAST, LARGEST = (f"np.iinfo(np.int64).{end}" for end in ("min", "max"))
STARTS: Mapping[Kind, Mapping[Reducer, str]] = {
    Kind.REAL: {
        Reducer.SUM: "0.0", Reducer.PROD: "1.0", Reducer.MAX: "-np.inf", Reducer.MIN: "np.inf",
        Reducer.ARGMAX: "-np.inf", Reducer.ARGMIN: "np.inf", Reducer.PEAK: "-np.inf",
    },
    Kind.WHOLE: {Reducer.SUM: "0", Reducer.PROD: "1", Reducer.MAX: LEAST, Reducer.MIN: LARGEST},
    Kind.BOOL: {Reducer.SUM: "False", Reducer.PROD: "True", Reducer.MAX: "False", Reducer.MIN: "True"},
}  # fmt: skip
"""What reductions start from; argmax and argmin compare reals."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """An emitted function.

    `parameters` are tensors or free dims, by their names in the graph; `returns` the scalars it computes. `body` does
    not depend on its name, so that equal kernels are found by comparing it. `lengths` are those of each parameter's
    axes, where they are numbers.
    """

    name: str
    parameters: tuple[str, ...]
    arguments: tuple[str, ...]
    returns: tuple[str, ...]
    doc: tuple[str, ...]
    body: tuple[str, ...]
    calls: tuple[str, ...]
    lengths: tuple[tuple[int | None, ...], ...]


@dataclass
class _Accumulator:
    """A variable that a statement accumulates in, and where it goes after the loop; None where it is the tensor."""

    variable: str
    place: str | None
    index_variable: str | None = None


@dataclass
class KernelWriter(BodyWriter):
    """Writes a nest, or a recurrence of nests alone, as a kernel.

    `rounds` are the indices of sequential loops around it, with the variables of the caller that hold them.
    """

    program: Program
    names: Names
    real: str
    step: Nest | Sequential
    external: frozenset[str]
    rounds: tuple[str, ...] = ()
    lines: list[str] = field(default_factory=list)
    used: dict[str, None] = field(default_factory=dict)
    arrays: dict[str, None] = field(default_factory=dict)
    scalars: dict[str, None] = field(default_factory=dict)
    dims: dict[str, None] = field(default_factory=dict)
    loops: dict[str, str] = field(default_factory=dict)
    accumulators: dict[int, _Accumulator] = field(default_factory=dict)
    rows: IndexExpr | None = None
    """A free dim over a range of which, `first` to `last`, the outermost loops run."""
    around_nest: tuple[str, ...] = ()
    """The indices of the sequential loops around the nest that is being written."""
    holding: frozenset[Guard] = frozenset()
    """The guards on rounds that hold where the nest that is being written runs."""
    by_rows: set[int] = field(default_factory=set)
    """The statements of that nest that are opened row by row."""
    local: Names = field(init=False)
    indented: int = 0

    def __post_init__(self) -> None:
        statements = list(self.statements())
        touched = {n for s in statements for n in (*s.equation.sources(), s.equation.target)}
        dims = {d for s in statements for d in _dims_of(s.equation)}
        self.local = Names({*RANGE.values(), *(self.names.of(name) for name in touched | dims)})
        self.around = Surroundings(
            self.read,
            self.dim_name,
            self.program.graph.tensors,
            self.real,
            lambda name: self.used.setdefault(name),
            lambda name: self.loops[name],
        )
        for name in self.rounds:
            self.loops[name] = self.local.fresh(name)

    def statements(self) -> Iterator[Statement]:
        """All statements, in order."""
        for nest in plain_steps((self.step,)):
            assert isinstance(nest, Nest), "a kernel has no products"
            yield from nest.statements()

    def kernel(self, name: str) -> Kernel:
        """The nest as a function of this name."""
        self.write(self.step)
        given = self.given()
        self.arrays = dict.fromkeys(sorted(self.arrays, key=lambda root: root not in given))
        made = tuple(dict.fromkeys(s.equation.target for s in self.statements()))
        returns = tuple(n for n in made if self.is_variable(n) and n in self.external)
        sizes, parameters = self.sizes()
        if self.rows is not None:
            parameters = (*parameters, *(key for key, name in RANGE.items() if self.mentions(name)))
        outer = {round_of(name): self.loops[name] for name in self.rounds}
        parameters = (*parameters, *(key for key, name in outer.items() if self.mentions(name)))
        names = tuple(RANGE.get(root) or outer.get(root) or self.names.of(root) for root in parameters)
        ending = [f"return {', '.join(self.names.of(n) for n in returns)}"] if returns else []
        words = set(re.findall(r"\w+", " ".join(self.lines)))
        body = (*(row for row in sizes if row.split(" = ")[0] in words), *self.lines, *ending)
        lengths = tuple(self.lengths(root) for root in parameters)
        return Kernel(name, parameters, names, returns, tuple(self.doc()), body, tuple(self.used), lengths)

    def mentions(self, name: str) -> bool:
        return any(re.search(rf"\b{re.escape(name)}\b", row) for row in self.lines)

    def write(self, step: Nest | Sequential) -> None:
        """A nest's loops; a recurrence as a loop around those of its nests."""
        if isinstance(step, Nest):
            self.nest(step)
            return
        name = step.index.name
        outer = tuple(self.loops)
        self.loops[name] = self.local.fresh(name)
        for row in uncovered(step, self.program, self, outer, self.rows):
            self.emit(0, row)
        self.emit(0, rounds_row(self.loops[name], step, self.around))
        self.indented += 1
        for at, inner in enumerate(step.steps):
            assert isinstance(inner, Nest | Sequential), "a kernel has no products"
            if not isinstance(inner, Nest) or not inner.guards:
                self.write(inner)
                continue
            self.emit(0, f"if {conditions_text(inner.guards, self.around)}:")
            self.indented += 1
            self.write(inner)
            self.indented -= 1
            self.lines += otherwise(inner, step.steps[at + 1 :], self.program, self, INDENT * self.indented)
        self.indented -= 1

    def nest(self, nest: Nest) -> None:
        """The loops of a nest, run in the rounds in which its guards hold."""
        self.holding = frozenset(nest.guards)
        self.around_nest = next(nest.statements()).around
        self.by_rows = {id(each) for each in opened_by_rows(nest.items, self.program, self.holding)}
        self.items(nest.items, (), self.holding)

    def sizes(self) -> tuple[list[str], tuple[str, ...]]:
        """Lines that take the free dims from arrays' shapes; parameters, with the dims that no array tells."""
        lines, missing = [], []
        for dim in self.dims:
            source = self.shape_with(dim)
            if source is None:
                missing.append(dim)
            else:
                lines.append(f"{self.names.of(dim)} = {source}")
        return lines, (*self.arrays, *self.scalars, *missing)

    def given(self) -> set[str]:
        """The arrays in which something is when the kernel is called; they come before those it only writes."""
        given, written = set[str](), set[str]()
        for statement in self.statements():
            target = self.program.root_of(statement.equation.target)
            given |= {self.program.root_of(name) for name in statement.equation.sources()} - written
            if not statement.starts and target not in written:
                given.add(target)
            written.add(target)
        return given

    def lengths(self, parameter: str) -> tuple[int | None, ...]:
        """The lengths of an array's axes, where they are numbers."""
        return tuple(extent.constant for extent in self.extents(parameter)) if parameter in self.arrays else ()

    def extents(self, root: str) -> tuple[IndexExpr, ...]:
        """The extents of an array, as it lies in memory."""
        buffer = self.program.buffers.get(root)
        return buffer.extents if buffer else self.tensor(root).extents

    def shape_with(self, dim: str) -> str | None:
        for root in self.arrays:
            for at, extent in enumerate(self.extents(root)):
                if str(extent) == dim and extent.dims == (dim,):
                    return f"{self.names.of(root)}.shape[{at}]"
        return None

    def doc(self) -> Iterator[str]:
        """One line for each equation, with the line of the model that it comes from."""
        quotes = '"""'
        statements = list(self.statements())
        shown = [s for s in statements if "store" not in s.equation.origin.trail] or statements
        for statement in shown:
            adds = statement.equation.reducer is Reducer.SUM and statement.spreads
            text = equation_text(statement.equation, self.names, adds or not statement.starts)
            # rows that are all deeper than the first would be moved to it by formatters
            further = "" if len(shown) == 1 else 2 * INDENT
            yield from with_place(text, statement.equation, quotes, further)
            quotes = ""

    # ------------------------------------------------------------ names

    def tensor(self, name: str) -> Tensor:
        return self.program.graph.tensors[name]

    def buffer(self, name: str) -> Buffer | None:
        return self.program.buffers.get(name)

    def dim_name(self, name: str) -> str:
        """The variable of a free dim."""
        self.dims.setdefault(name)
        return self.names.of(name)

    def read(self, name: str, subscripts: tuple[IndexExpr, ...]) -> str:
        """The text that reads or writes a tensor at a place."""
        buffer = self.buffer(name)
        if buffer is None:  # a leaf
            tensor = self.tensor(name)
            if not tensor.axes and not self.is_cell(name):
                self.scalars.setdefault(name)
                return self.names.of(name)
            self.arrays.setdefault(name)
            return self.element(self.names.of(name), subscripts or ())
        if buffer.storage is Storage.LOCAL:
            if not self.starts_here(name):
                self.scalars.setdefault(name)
            return self.names.of(name)
        root = self.program.root_of(name)
        self.arrays.setdefault(root)
        return self.element(self.names.of(root), tuple(subscripts[at] for at in buffer.axes))

    def is_cell(self, name: str) -> bool:
        """Whether a leaf without axes is a place in a flat buffer: a parameter."""
        role = self.tensor(name).role
        return role is not None and role.value in ("param", "state")

    def is_variable(self, name: str) -> bool:
        """Whether a computed tensor is a variable: one that is needed outside is handed back."""
        buffer = self.buffer(name)
        return buffer is not None and buffer.storage is Storage.LOCAL

    def starts_here(self, name: str) -> bool:
        """Whether this nest gives a tensor its first value; what it adds to comes from outside."""
        return any(s.equation.target == name and s.starts for s in self.statements())

    def element(self, array: str, subscripts: tuple[IndexExpr, ...]) -> str:
        return f"{array}[{', '.join(index_text(s, self.around) for s in subscripts) or '0'}]"

    # ------------------------------------------------------------ loops

    def items(self, items: tuple[Item, ...], path: tuple[str, ...], assumed: frozenset[Guard] = frozenset()) -> None:
        depth = len(path)
        for item in items:
            peaks = self.peaks_of_rows(item, path) if isinstance(item, Loop) else []
            if isinstance(item, Loop) and peaks:
                item = replace(item, body=tuple(each for each in item.body if each not in peaks))
            inside = list(Nest((item,)).statements())
            opened = [s for s in inside if self.opens_at(s, depth)]
            for statement in opened:
                self.open(statement, depth)
            if not isinstance(item, Loop):
                self.statement(item, depth, assumed)
            elif item.body:
                self.loop(item, path, assumed)
            for statement in opened:
                self.close(statement, depth)
            for statement in peaks:
                self.peak(statement, depth)

    def peaks_of_rows(self, loop: Loop, path: tuple[str, ...]) -> list[Statement]:
        """The statements in a loop that find the largest of a row which lies in an array when the loop is done. To
        LLVM, a loop with such a comparison is none of which it can do several rounds at once."""
        if (not path and self.rows is not None) or (loop.index.extent.constant or LONG_ROW) < LONG_ROW:
            return []
        found = []
        for at, statement in enumerate(loop.body):
            if isinstance(statement, Statement) and self.goes_along_row(statement.equation, loop):
                plain = statement.starts and self.is_variable(statement.equation.target)
                later = Nest(loop.body[at + 1 :]).statements()
                lies = not any(self.writes_where(statement.equation, other) for other in later)
                found += [statement] if plain and lies and self.opening(statement) == len(path) else []
        return found

    def goes_along_row(self, equation: Equation, loop: Loop) -> bool:
        """Whether it looks for the largest of a stored row, number after number."""
        if equation.reducer is not Reducer.PEAK or equation.guards or not isinstance(equation.body, Read):
            return False
        name, places = equation.body.tensor, self.kept_places(equation.body)
        if not places or self.tensor(name).kind is not Kind.REAL:
            return False
        *outer, last = places
        whole = not loop.index.low.terms and loop.index.high == self.extents(self.program.root_of(name))[-1]
        return whole and last.bare == loop.index.name and not any(loop.index.name in each.indices for each in outer)

    def kept_places(self, read: Read) -> tuple[IndexExpr, ...]:
        """Where it reads along the axes that are stored."""
        buffer = self.buffer(read.tensor)
        return read.subscripts if buffer is None else tuple(read.subscripts[at] for at in buffer.axes)

    def writes_where(self, equation: Equation, other: Statement) -> bool:
        """Whether a statement writes where an equation reads."""
        return self.program.root_of(other.equation.target) in map(self.program.root_of, equation.sources())

    def peak(self, statement: Statement, depth: int) -> None:
        """The largest of a row."""
        equation = statement.equation
        assert isinstance(equation.body, Read)
        root, outer = self.program.root_of(equation.body.tensor), self.kept_places(equation.body)[:-1]
        self.arrays.setdefault(root)
        row = self.element(self.names.of(root), outer) if outer else self.names.of(root)
        self.used.setdefault("largest")
        self.emit(depth, f"{self.read(equation.target, equation.write)} = largest({row})")

    def loop(self, loop: Loop, path: tuple[str, ...], assumed: frozenset[Guard]) -> None:
        name = loop.index.name
        self.loops[name] = self.local.fresh(name) if name not in self.loops else self.loops[name]
        conditions = self.conditions_of_a_fill(loop, path, assumed)
        if conditions:
            self.fill(loop, path, assumed, conditions)
            return
        outside = [g for g in self.common_guards(loop, len(path)) - assumed if set(g.value.indices) <= self.known(path)]
        if outside:
            self.emit(len(path), f"if {conditions_text(sorted(outside, key=str), self.around)}:")
            assumed |= frozenset(outside)
            self.indented += 1
        low, high, taken = self.ends(loop, path, assumed)
        ends = high if low == "0" else f"{low}, {high}"
        self.emit(len(path), f"for {self.loops[name]} in range({ends}):")
        self.items(loop.body, (*path, name), assumed | taken)
        self.indented -= bool(outside)

    def conditions_of_a_fill(self, loop: Loop, path: tuple[str, ...], assumed: frozenset[Guard]) -> list[Guard]:
        """What an innermost loop writes under these conditions, the same in all of its rounds, is 0 elsewhere. None if
        it does anything else."""
        if len(loop.body) > 1 or not isinstance(loop.body[0], Statement):
            return []
        statement = loop.body[0]
        guards = [guard for guard in statement.equation.guards if guard not in assumed | self.holding]
        same = all(set(guard.value.indices) <= self.known(path) for guard in guards)
        fills = statement.starts and not statement.accumulates
        inside = self.opening(statement) == len(path) + 1
        return guards if same and fills and inside else []

    def fill(self, loop: Loop, path: tuple[str, ...], assumed: frozenset[Guard], conditions: list[Guard]) -> None:
        """A loop for where the conditions hold, and one for where not: LLVM would ask for them in every round."""
        (statement,) = loop.body
        assert isinstance(statement, Statement)
        equation, holding = statement.equation, self.holding
        self.emit(len(path), f"if {conditions_text(conditions, self.around)}:")
        self.indented += 1
        self.holding = holding.union(conditions)
        self.loop(loop, path, assumed.union(conditions))
        self.holding = holding
        self.indented -= 1
        self.emit(len(path), "else:")
        low, high = ends_of(loop.index, (), self.known(path)).texts(self.around, None if path else self.rows)
        self.emit(len(path) + 1, f"for {self.loops[loop.index.name]} in range({range_text(low, high)}):")
        self.emit(len(path) + 2, f"{self.read(equation.target, equation.write)} = {self.identity(equation)}")

    def known(self, path: tuple[str, ...]) -> set[str]:
        """The indices whose values are known in a loop: of those around it, sequential ones too."""
        return {*path, *self.around_nest}

    def ends(self, loop: Loop, path: tuple[str, ...], assumed: frozenset[Guard]) -> tuple[str, str, frozenset[Guard]]:
        """The loop's ends, narrowed by the guards under which everything in it stands."""
        ends = ends_of(loop.index, self.common_guards(loop, len(path)) - assumed, self.known(path))
        return *ends.texts(self.around, None if path else self.rows), ends.taken

    def common_guards(self, loop: Loop, depth: int) -> set[Guard]:
        """The guards that all statements in the loop share, if none of them has to zero something inside it."""
        inside = list(Nest((loop,)).statements())
        if any(s.starts and self.opening(s) > depth for s in inside):
            return set()
        return set.intersection(*(set(s.equation.guards) for s in inside))

    # ------------------------------------------------------------ statements

    def opening(self, statement: Statement) -> int:
        """How many loops are around the row that opens a statement."""
        return opening_depth(statement, self.program) - (id(statement) in self.by_rows)

    def opens_at(self, statement: Statement, depth: int) -> bool:
        if self.opening(statement) != depth:
            return False
        return statement.accumulates or (statement.starts and not covers(statement, self.program, self.holding))

    def open(self, statement: Statement, depth: int) -> None:
        """What must stand before the loop: a variable to accumulate in, or zeros."""
        equation, buffer = statement.equation, self.program.buffers[statement.equation.target]
        diagonal = diagonal_loops(statement, buffer)
        outer = set(statement.path[:depth]) - diagonal
        rounds = set(statement.around) - diagonal
        kept = [equation.write[at] for at in buffer.axes]
        known = [place.bare in outer or bool(place.indices and rounds.issuperset(place.indices)) for place in kept]
        if statement.accumulates and all(known):
            self.open_variable(statement, buffer, depth)
        elif statement.starts:
            start = self.identity(equation)
            places = [index_text(p, self.around) if at else ":" for p, at in zip(kept, known, strict=True)]
            target = self.array(equation.target)
            self.emit(depth, f"{target}[{stretch(places)}] = {start}" if places else f"{target} = {start}")

    def array(self, name: str) -> str:
        """The array or the variable that a computed tensor lies in."""
        buffer = self.buffer(name)
        assert buffer is not None, "a leaf is never written"
        if buffer.storage is Storage.LOCAL:
            return self.names.of(name)
        self.arrays.setdefault(self.program.root_of(name))
        return self.names.of(self.program.root_of(name))

    def open_variable(self, statement: Statement, buffer: Buffer, depth: int) -> None:
        equation = statement.equation
        place = self.read(equation.target, equation.write)
        if buffer.storage is Storage.LOCAL:
            accumulator = _Accumulator(place, None)
        else:
            accumulator = _Accumulator(self.local.fresh(ACCUMULATORS[equation.reducer]), place)
        if equation.reducer in (Reducer.ARGMAX, Reducer.ARGMIN):
            accumulator.index_variable = accumulator.variable
            accumulator.variable = self.local.fresh("best")
            self.emit(depth, f"{accumulator.index_variable} = 0")
        if statement.starts:
            self.emit(depth, f"{accumulator.variable} = {self.identity(equation)}")
        elif accumulator.place:
            self.emit(depth, f"{accumulator.variable} = {place}")
        self.accumulators[id(statement)] = accumulator

    def identity(self, equation: Equation) -> str:
        """What a reduction starts from."""
        tensor = self.tensor(equation.target)
        if equation.reducer in STARTS[Kind.WHOLE] and tensor.kind is not Kind.REAL:
            return STARTS[tensor.kind][equation.reducer]
        text = STARTS[Kind.REAL][equation.reducer]
        single = self.real == "f4" and bool(tensor.axes)
        return f"f4({text})" if single else text

    def close(self, statement: Statement, depth: int) -> None:
        accumulator = self.accumulators.get(id(statement))
        if accumulator is not None and accumulator.place is not None:
            self.emit(depth, f"{accumulator.place} = {accumulator.index_variable or accumulator.variable}")

    def statement(self, statement: Statement, depth: int, assumed: frozenset[Guard]) -> None:
        equation = statement.equation
        guards = [guard for guard in equation.guards if guard not in assumed]
        if guards:
            self.emit(depth, f"if {conditions_text(guards, self.around)}:")
            depth += 1
        accumulator = self.accumulators.get(id(statement))
        target = accumulator.variable if accumulator else self.read(equation.target, equation.write)
        printer = self.printer(equation, accumulator is not None)
        sign = self.sign(statement)
        if equation.reducer is Reducer.SUM:
            self.assign(depth, f"{target} {sign} ", -equation.body if sign == "-=" else equation.body, printer)
            return
        body = printer.print(equation.body)
        match equation.reducer:
            case Reducer.PROD:
                self.emit(depth, f"{target} *= {body}")
            case Reducer.MAX | Reducer.MIN:
                real = self.tensor(equation.target).kind is Kind.REAL
                self.extremum(depth, target, body, ">" if equation.reducer is Reducer.MAX else "<", real)
            case Reducer.PEAK:
                self.emit(depth, f"{target} = max({target}, {body})")
            case Reducer.ARGMAX | Reducer.ARGMIN:
                assert accumulator is not None
                self.argument(depth, accumulator, body, equation)
            case Reducer.LOGSUMEXP:
                raise AssertionError("logsumexp is written out before it is scheduled")

    def sign(self, statement: Statement) -> str:
        """How the body goes into the target."""
        if not statement.accumulates and statement.starts:
            return "="
        summed = statement.equation.reducer is Reducer.SUM
        return "-=" if summed and is_negative(statement.equation.body) else "+="

    def argument(self, depth: int, accumulator: _Accumulator, body: str, equation: Equation) -> None:
        """The first of equals; NaN counts as beyond all."""
        assert accumulator.index_variable is not None
        sign = ">" if equation.reducer is Reducer.ARGMAX else "<"
        value, best = self.local.fresh("value"), accumulator.variable
        place = IndexExpr()
        for i in equation.reduced:
            place = place * i.extent + index(i.name) - i.low
        self.emit(depth, f"{value} = {body}")
        self.emit(depth, f"if {value} {sign} {best} or (np.isnan({value}) and not np.isnan({best})):")
        self.emit(depth + 1, f"{best}, {accumulator.index_variable} = {value}, {index_text(place, self.around)}")

    def printer(self, equation: Equation, accumulated: bool) -> BodyPrinter:
        """Scalars are computed in float64; what is summed into one is computed as the arrays are."""
        tensor = self.tensor(equation.target)
        arg = equation.reducer in (Reducer.ARGMAX, Reducer.ARGMIN)
        kind = Kind.REAL if arg else tensor.kind
        plain = not tensor.axes and not accumulated
        return body_printer(self.around, kind, plain, equation.origin.order)


def _dims_of(equation: Equation) -> Iterator[str]:
    for expression in equation.index_expressions():
        yield from expression.dims
    for i in equation.indices:
        yield from i.low.dims
        yield from i.high.dims
