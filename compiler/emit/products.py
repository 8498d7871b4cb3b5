"""Matrix products as calls of `gemm`, with the loops around them."""

import re
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from gradc.graph.index import IndexExpr, dim
from gradc.graph.nodes import Graph, Guard
from gradc.graph.tensors import Index, ranges_of
from gradc.schedule.costs import LEAST_ROWS, STEPPED_NUMBERS, STEPPED_ROWS
from gradc.schedule.program import Gemm, Nest, Operand, Program, block_of, blocks_of
from gradc.schedule.shard import Rows

from .lines import INDENT, call_rows, commented
from .matrices import block_ends, lying, size_of
from .names import Names
from .rounds import RANGE, conditions_text, ends_of, range_text, zero
from .style import Surroundings, index_text, stretch
from .teams import share_of

ARRAY = "\0"
"""Stands for an array's name."""
Packed: TypeAlias = Callable[[Nest, Mapping[str, str], Surroundings], list[str]]


@dataclass(frozen=True, slots=True)
class Joint:
    """What all workers make together in a prediction, of which each makes its rows.

    Attributes:
        rows: along what they are cut.
        products: the products that all make together.
        whole: how many rows all have, by its name.
        room: how many rows there is room for in a worker's own space: its own, and one where it has none.
    """

    rows: Rows
    products: tuple[Gemm, ...]
    whole: str
    room: str

    def of_all(self, around: Surroundings) -> Surroundings:
        """How sizes are called of the arrays with the rows of all."""
        return replace(around, name=lambda name: self.whole if name == self.rows.dim else around.name(name))

    def of_room(self, around: Surroundings) -> Surroundings:
        """How sizes are called where they say what lies where in a worker's own space."""
        return replace(around, name=lambda name: self.room if name == self.rows.dim else around.name(name))


def rows_name(tensor: str) -> str:
    """What the array with the rows of all is named after."""
    return f"{tensor}.rows"


@dataclass(frozen=True, slots=True)
class _Stack:
    """Products that are one of stacks.

    Attributes:
        operands: the stacks.
        ends: the line that gives names to what begins and ends them, where those are no words.
        taken: the conditions that are in these.
    """

    operands: list[str]
    ends: str
    taken: frozenset[Guard]


@dataclass(frozen=True, slots=True)
class Products:
    """Writes the products of one program.

    Attributes:
        rows: an extent over a range of which alone it runs.
        known: what matrices outside of loops are written as, but for the array's name: equal layers have equal ones.
    """

    names: Names
    program: Program
    rows: IndexExpr | None
    known: dict[Hashable, str]

    def lines(self, gemm: Gemm, around: Surroundings, rounds: Mapping[str, str], packed: Packed) -> list[str]:
        """A product in the loops of its batch indices. Where several of them add to one place, it is 0 before.

        Args:
            rounds: the indices of sequential loops around it, each with the variable that holds it.
            packed: makes the lines that make what of a factor belongs to a round.
        """
        loops = self.names.inside((i.name for i in gemm.batch), rounds.values())
        alone = not gemm.batch and not rounds
        inside = around if alone else replace(around, index=lambda name: loops.get(name) or rounds.get(name, name))
        depth = _covering_loops(gemm, self.program.graph)
        lines: list[str] = []
        left = set(gemm.equation.guards)
        stack = self.stack_of(gemm, rounds, inside)
        batch = gemm.batch[:-1] if stack else gemm.batch
        zeroed = gemm.starts and depth < len(batch)
        for level, i in enumerate(batch):
            if level == depth and zeroed:
                lines.append(f"{INDENT * level}{self.zeros(gemm, gemm.batch[:level], inside)}")
            known = {*rounds, *(outer.name for outer in gemm.batch[:level])}
            ends = ends_of(i, left if level >= depth else (), known)
            left -= ends.taken
            rounds_of_it = range_text(*ends.texts(inside, self.rows))
            lines.append(f"{INDENT * level}for {loops[i.name]} in range({rounds_of_it}):")
            if gemm.packing is not None and level + 1 == len(gemm.packing_rounds):
                made = packed(gemm.packing, {each.name: loops[each.name] for each in gemm.packing_rounds}, inside)
                lines += [f"{INDENT * (level + 1)}{row}" for row in made]
        level = len(batch)
        left -= stack.taken if stack else set()
        conditions = sorted((g for g in left if set(g.value.indices) & set(loops)), key=str)
        if conditions:
            lines.append(f"{INDENT * level}if {conditions_text(conditions, inside)}:")
            level += 1
        operands = stack.operands if stack else [self.matrix(part, gemm, inside, alone) for part in (gemm.a, gemm.b)]
        operands = [*operands, self.matrix(gemm.out, gemm, inside, alone)]
        if stack and stack.ends:
            lines.append(f"{INDENT * level}{stack.ends}")
        rows = call_rows("gemm", [*operands, str(not gemm.starts or zeroed)])
        comment = f"# {product_text(gemm, self.names)}"
        if level:
            lines = [comment, *lines, *(f"{INDENT * level}{row}" for row in rows)]
            if conditions and gemm.starts and not zeroed:
                nothing = self.zeros(gemm, batch, inside)
                lines += [f"{INDENT * (level - 1)}else:", f"{INDENT * level}{nothing}"]
        else:
            lines += commented(rows[0], comment) if len(rows) == 1 else [comment, *rows]
        outer = [g for g in gemm.equation.guards if not set(g.value.indices) & set(loops)]
        if not outer:
            return lines
        lines = [f"if {conditions_text(outer, inside)}:", *(f"{INDENT}{line}" for line in lines)]
        if gemm.starts:
            lines += ["else:", f"{INDENT}{self.zeros(gemm, (), inside)}"]
        return lines

    def stack_of(self, gemm: Gemm, rounds: Collection[str], around: Surroundings) -> "_Stack | None":
        """The products of the innermost loop as one of two stacks of matrices, where they are summed up and lie so."""
        *outer, own = gemm.batch or (None,)
        written = {name for place in gemm.out.subscripts for name in place.indices}
        if own is None or own.name in written or len(gemm.packing_rounds) > len(outer):
            return None
        ends = ends_of(own, gemm.equation.guards, {*rounds, *(i.name for i in gemm.batch[:-1])})
        inside = ends.in_order(ranges_of(gemm.batch[:-1]))
        if not inside or any(own.name in guard.value.indices for guard in {*gemm.equation.guards} - ends.taken):
            return None
        texts = dict(zip(("begin", "end"), ends.texts(around, self.rows), strict=True))
        made = {name: text for name, text in texts.items() if not re.fullmatch(r"\w+", text)}
        low, high = (name if name in made else text for name, text in texts.items())
        operands = []
        for operand in (gemm.a, gemm.b):
            name = self.names.of(self.program.root_of(operand.tensor))
            operands.append(lying(operand, gemm, self.program).stack(name, own, (low, high), around))
        first, second = operands
        if first is None or second is None:
            return None
        return _Stack([first, second], f"{', '.join(made)} = {', '.join(made.values())}" if made else "", ends.taken)

    def part(self, gemm: Gemm, around: Surroundings, offset: int) -> list[str]:
        """A product of which only those rows are made that begin in a range of the parameters.

        Args:
            offset: where the result lies among them.
        """
        extents = {i.name: i.extent for i in gemm.equation.indices}
        count, width = (size_of(map(extents.__getitem__, group)) for group in (gemm.out.rows, gemm.out.columns))
        a, b, out = (self.matrix(part, gemm, around, alone=True) for part in (gemm.a, gemm.b, gemm.out))
        ends = ", ".join(RANGE.values())
        return [
            f"# {product_text(gemm, self.names)}",
            f"{ends} = rows_within(begin, end, {offset}, {count}, {width})",
            *call_rows("gemm", [f"rows({a}, {ends})", b, f"rows({out}, {ends})", "False"]),
        ]

    def stepped(self, gemm: Gemm, around: Surroundings, offset: int) -> list[str]:
        """A product of which a worker makes its rows, some at a time, each time with the optimizer's step by them.

        Args:
            offset: where the result lies among the parameters.
        """
        extents = {i.name: i.extent for i in gemm.equation.indices}
        count, width = (size_of(map(extents.__getitem__, group)) for group in (gemm.out.rows, gemm.out.columns))
        a, b = (self.matrix(part, gemm, around, alone=True) for part in (gemm.a, gemm.b))
        some = max(STEPPED_NUMBERS // (width.constant or 1) // LEAST_ROWS * LEAST_ROWS, STEPPED_ROWS)
        low = f"{offset} + " if offset else ""
        places = (f"{low}{width} * begin", f"{low}{width} * end")
        return [
            f"# {product_text(gemm, self.names)}",
            f"{', '.join(RANGE.values())} = {share_of(str(count))}",
            f"for begin in range({', '.join(RANGE.values())}, {some}):",
            f"{INDENT}end = min(begin + {some}, last)",
            f"{INDENT}part = view(d_params, {offset}, (end - begin, {width}))",
            *(f"{INDENT}{row}" for row in call_rows("gemm", [f"rows({a}, begin, end)", b, "part", "False"])),
            *(f"{INDENT}{row}" for row in call_rows("update", [
                "params", "view(part, 0, (part.size,))", "moments", "t", *places
            ])),
        ]  # fmt: skip

    def by_all(self, gemm: Gemm, around: Surroundings, joint: Joint | None) -> list[str]:
        """A product that all workers make together, of the rows of all: each gets the rows that are its own.

        Args:
            joint: of a prediction, in which a worker's rows are arrays of their own.
        """
        extents = {i.name: i.extent for i in gemm.equation.indices}
        first, _ = RANGE
        offset = size_of([dim(first), *(extents[name] for name in gemm.a.rows[1:])])
        plain = replace(around, name=lambda text: RANGE.get(text) or around.name(text))
        if joint is not None:
            a = self.matrix(gemm.a, gemm, joint.of_all(around), alone=True, every=True)
        else:
            a = replace(self, rows=None, known={}).matrix(gemm.a, gemm, around, alone=True)
        b, out = (self.matrix(part, gemm, around, alone=True) for part in (gemm.b, gemm.out))
        rows = call_rows("gemm_by_all", [a, b, out, index_text(offset, plain), "sums", "team"])
        comment = f"# {product_text(gemm, self.names)}"
        return commented(rows[0], comment) if len(rows) == 1 else [comment, *rows]

    def zeros(self, gemm: Gemm, loops: Sequence[Index], around: Surroundings) -> str:
        """The row that sets to 0 what the product writes in one round of these loops."""
        buffer = self.program.buffers[gemm.out.tensor]
        inner = {*gemm.out.rows, *gemm.out.columns, *(i.name for i in gemm.batch)} - {i.name for i in loops}
        indices = {i.name: i for i in gemm.equation.indices}
        cuts = []
        for at, extent in zip(buffer.axes, buffer.extents, strict=True):
            place = gemm.out.subscripts[at]
            block = block_of(place, extent, indices)
            whole = ":".join(RANGE.values()) if extent == self.rows else ":"
            if block and block.number not in inner and block.within in inner:
                cuts.append(" : ".join(block_ends(block, around)))
            else:
                cuts.append(whole if inner & set(place.indices) else index_text(place, around))
        return f"{self.names.of(self.program.root_of(buffer.tensor))}[{stretch(cuts)}] = {zero(buffer.kind, around)}"

    def matrix(self, operand: Operand, gemm: Gemm, around: Surroundings, alone: bool, every: bool = False) -> str:
        """The array as a matrix; `alone` where there are no loops around the product, `every` where it is the one with
        the rows of all workers."""
        root = self.program.root_of(operand.tensor)
        name, lies = self.names.of(rows_name(root) if every else root), lying(operand, gemm, self.program)
        if not alone or operand.window is not None:
            return lies.matrix(name, self.rows, around)
        kind = (lies.axes, operand.rows, operand.columns, operand.transposed, every)
        if kind not in self.known:
            self.known[kind] = lies.matrix(ARRAY, self.rows, around)
        return self.known[kind].replace(ARRAY, name)


def _covering_loops(gemm: Gemm, graph: Graph) -> int:
    """How many of the outermost loops run along an axis of the result from end to end, or over all of its blocks: a
    round has its own part."""
    indices = {i.name: i for i in gemm.equation.indices}
    axes = gemm.out.subscripts, graph.tensors[gemm.out.tensor].extents
    extents = {place.bare: extent for place, extent in zip(*axes, strict=True)}
    blocks = {block.number for block in blocks_of(*axes, indices)}
    for depth, i in enumerate(gemm.batch):
        if i.low.terms or (i.high != extents.get(i.name) and i.name not in blocks):
            return depth
    return len(gemm.batch)


def product_text(gemm: Gemm, names: Names) -> str:
    """`h[b, j] = Σ_i x[b, i] h_weight[i, j]`."""
    equation = gemm.equation
    summed = ",".join(i.name for i in equation.reduced)
    factors = [f"{names.of(operand.tensor)}[{', '.join(map(str, operand.subscripts))}]" for operand in (gemm.a, gemm.b)]
    write = ", ".join(map(str, gemm.out.subscripts))
    sign = "=" if gemm.starts else "+="
    return f"{names.of(equation.target)}[{write}] {sign} Σ_{summed} {' '.join(factors)}"
