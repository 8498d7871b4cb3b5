"""Matrix products as calls of `gemm`: the loops around them, and the matrices that arrays are taken for."""

import math
import re
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TypeAlias

from gradc.graph.index import ONE, IndexExpr, dim, index, number
from gradc.graph.nodes import Graph, Guard
from gradc.graph.tensors import Index, ranges_of
from gradc.schedule.costs import LEAST_ROWS, STEPPED_NUMBERS, STEPPED_ROWS
from gradc.schedule.program import Block, Gemm, Nest, Operand, Program, Window, block_of, blocks_of, turn_of
from gradc.schedule.shard import Rows

from .lines import INDENT, call_rows, commented, shape_text
from .names import Names
from .rounds import RANGE, conditions_text, ends_of, narrowed, zero
from .style import Surroundings, index_text, stretch
from .teams import share_of

ARRAY = "\0"
"""Stands for an array's name."""
_Axis: TypeAlias = tuple[IndexExpr, IndexExpr]
"""Where along an axis, and how long that is."""
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
        ends: of what begins and ends them, where those are no words.
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
            low, high, taken = narrowed(i, left if level >= depth else (), known, inside, self.rows)
            left -= taken
            ends = high if low == "0" else f"{low}, {high}"
            lines.append(f"{INDENT * level}for {loops[i.name]} in range({ends}):")
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
            lines.append(f"{INDENT * level}begin, end = {stack.ends}")
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
        known = {*rounds, *(i.name for i in gemm.batch[:-1])}
        lows, highs, taken = ends_of(own, gemm.equation.guards, known)
        ranges = ranges_of(gemm.batch[:-1])
        if not all(ranges.nonnegative(high - low) for low, high in product(lows, highs)):
            return None
        low, high, _ = narrowed(own, gemm.equation.guards, known, around, self.rows)
        if any(own.name in guard.value.indices for guard in gemm.equation.guards if guard not in taken):
            return None
        ends = "" if re.fullmatch(r"\w+", low) and re.fullmatch(r"\w+", high) else f"{low}, {high}"
        if ends:
            low, high = "begin", "end"
        operands = [self.stacked(part, gemm, own, (low, high), around) for part in (gemm.a, gemm.b)]
        first, second = operands
        return _Stack([first, second], ends, taken) if first is not None and second is not None else None

    def stacked(self, operand: Operand, gemm: Gemm, own: Index, ends: tuple[str, str],
                around: Surroundings) -> str | None:  # fmt: skip
        """The array as a stack of matrices, for the values of an index in this range; None where it lies otherwise."""
        buffer = self.program.buffers.get(operand.tensor)
        extents = self.program.graph.tensors[operand.tensor].extents
        stored = tuple(range(len(extents))) if buffer is None else buffer.axes
        text = self.names.of(buffer.shares if buffer and buffer.shares else operand.tensor)
        inner, window = {*operand.rows, *operand.columns}, operand.window
        groups = (operand.columns, operand.rows) if operand.transposed else (operand.rows, operand.columns)
        axes = [(operand.subscripts[at], extents[at]) for at in stored]
        parts = list(_merged(axes, groups if window is None else ()))
        at = len(parts) - 3 if window is None else stored.index(window.axis) - 1
        if at < 0 or any(len(part) > 1 or inner & set(part[0][0].indices) for part in parts[: at + 1]):
            return None
        indices = {i.name: i for i in gemm.equation.indices}
        if any(each.within in inner for each in blocks_of(operand.subscripts, extents, indices)):
            return None
        place = parts[at][0][0]
        if place.coefficient(own.name) != ONE or any(own.name in part[0][0].indices for part in parts[:at]):
            return None
        before = [index_text(part[0][0], around) for part in parts[:at]]
        text += f"[{', '.join(before)}]" if before else ""
        rest = place - index(own.name)
        low, high = (_moved(end, rest, around) for end in ends)
        if (low, high) != ("0", index_text(parts[at][0][1], around)):
            text = f"rows({text}, {low}, {high})"
        if window is not None:
            sizes, offset = _sizes_of_windows(operand, window, gemm, around)
            if offset.terms:
                return None
            text = f"windows_of_each({text}, {sizes})"
        elif any(len(group) > 1 for group in groups):
            count = ends[1] if ends[0] == "0" else f"{ends[1]} - {ends[0]}"
            shape = (count, *(index_text(_product_of(part), around) for part in parts[-2:]))
            text = f"view({text}, 0, {shape_text(shape)})"
        return f"turned_each({text})" if operand.transposed else text

    def part(self, gemm: Gemm, around: Surroundings, offset: int) -> list[str]:
        """A product of which only those rows are made that begin in a range of the parameters.

        Args:
            offset: where the result lies among them.
        """
        extents = {i.name: i.extent for i in gemm.equation.indices}
        count, width = (_size(map(extents.__getitem__, group)) for group in (gemm.out.rows, gemm.out.columns))
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
        count, width = (_size(map(extents.__getitem__, group)) for group in (gemm.out.rows, gemm.out.columns))
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
        offset = _size([dim(first), *(extents[name] for name in gemm.a.rows[1:])])
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
                cuts.append(" : ".join(_ends(block, around)))
            else:
                cuts.append(whole if inner & set(place.indices) else index_text(place, around))
        return f"{self.names.of(buffer.shares or buffer.tensor)}[{stretch(cuts)}] = {zero(buffer.kind, around)}"

    def matrix(self, operand: Operand, gemm: Gemm, around: Surroundings, alone: bool, every: bool = False) -> str:
        """The array as a matrix; `alone` where there are no loops around the product, `every` where it is the one with
        the rows of all workers."""
        buffer = self.program.buffers.get(operand.tensor)
        extents = self.program.graph.tensors[operand.tensor].extents
        stored = tuple(range(len(extents))) if buffer is None else buffer.axes
        root = buffer.shares if buffer and buffer.shares else operand.tensor
        name = self.names.of(rows_name(root) if every else root)
        if not alone or operand.window is not None:
            return self.operand(name, operand, gemm, stored, around)
        kind = (operand.subscripts, operand.rows, operand.columns, operand.transposed, stored, extents, every)
        if kind not in self.known:
            self.known[kind] = self.operand(ARRAY, operand, gemm, stored, around)
        return self.known[kind].replace(ARRAY, name)

    def operand(self, text: str, operand: Operand, gemm: Gemm, stored: tuple[int, ...], around: Surroundings) -> str:
        """The array of this name as a matrix: groups of axes merged, batch indices and places put in, turned where it
        lies so."""
        tensor = self.program.graph.tensors[operand.tensor]
        if operand.window is not None:
            return self.windows(text, operand, gemm, stored, around)
        groups = (operand.columns, operand.rows) if operand.transposed else (operand.rows, operand.columns)
        inner = {*operand.rows, *operand.columns}
        axes = [(operand.subscripts[at], tensor.extents[at]) for at in stored]
        apart = _with_turns_apart(axes, {i.name: i for i in gemm.equation.indices if i.name in inner})
        in_turns, axes = apart != axes, apart
        parts = list(_merged(axes, groups))
        cut = self.rows is not None and axes[0][0].bare in inner and axes[0][1] == self.rows
        leading = all(len(part) == 1 and inner.isdisjoint(part[0][0].indices) for part in parts[:-2])
        first, last = map(dim, RANGE)
        plain = replace(around, name=lambda text: RANGE.get(text) or around.name(text))
        ends = [first, last]
        if in_turns or (any(len(group) > 1 for group in groups) and not leading):
            ends = [end * _product_of(parts[0][1:]) for end in ends]
            shape = [index_text(_product_of(part), around) for part in parts]
            text = f"view({text}, 0, {shape_text(shape)})"
            groups = (groups[0][:1], groups[1][:1])
        places = [index_text(part[0][0], around) if inner.isdisjoint(part[0][0].indices) else ":" for part in parts]
        if cut:
            cuts = [index_text(end, plain) for end in ends]
            places[0] = (":" if cuts == [*RANGE.values()] else " : ").join(cuts)
        while places and places[-1] == ":":
            places.pop()
        if cut and len(places) == 1:
            text = f"rows({text}, {', '.join(cuts)})"
        elif places:
            text += f"[{', '.join(places)}]"
        if any(len(group) > 1 for group in groups):
            sizes = [_product_of(part) for part in parts[-2:]]
            if cut:
                sizes[0] = _product_of([(parts[0][0][0], last - first), *parts[0][1:]])
            text = f"view({text}, 0, {shape_text(index_text(size, plain) for size in sizes)})"
        text = self.in_block(text, operand, gemm, around)
        return f"{text}.T" if operand.transposed else text

    def in_block(self, text: str, operand: Operand, gemm: Gemm, around: Surroundings) -> str:
        """Of a matrix, as it lies, the rows or the columns that are the block of an axis."""
        tensor = self.program.graph.tensors[operand.tensor]
        indices = {i.name: i for i in gemm.equation.indices}
        for block in blocks_of(operand.subscripts, tensor.extents, indices):
            if block.within in {*operand.rows, *operand.columns}:
                cut = "columns_of" if (block.within in operand.columns) != operand.transposed else "rows"
                text = f"{cut}({text}, {', '.join(_ends(block, around))})"
        return text

    def windows(self, text: str, operand: Operand, gemm: Gemm, stored: Collection[int], around: Surroundings) -> str:
        """The array as a matrix whose rows, or columns, are windows along an axis."""
        assert operand.window is not None
        sizes, offset = _sizes_of_windows(operand, operand.window, gemm, around)
        places = [index_text(operand.subscripts[at], around) for at in stored if at < operand.window.axis]
        places += [f"{index_text(offset, around)}:"] if offset.terms else []
        text += f"[{', '.join(places)}]" if places else ""
        return f"windows({text}, {sizes})" + (".T" if operand.transposed else "")


def _sizes_of_windows(operand: Operand, window: Window, gemm: Gemm, around: Surroundings) -> tuple[str, IndexExpr]:
    """How many windows there are, how far from each other, and how wide; and where along the axis they begin."""
    extents = {i.name: i.extent for i in gemm.equation.indices}
    place = operand.subscripts[window.axis]
    step = place.coefficient(window.outer)
    assert step is not None
    sizes = (extents[window.outer], step, extents[window.inner])
    offset = place - step * index(window.outer) - index(window.inner)
    return ", ".join(index_text(size, around) for size in sizes), offset


def _moved(end: str, rest: IndexExpr, around: Surroundings) -> str:
    """An end of a range, so much further on."""
    if not rest.terms:
        return end
    return index_text(rest, around) if end == "0" else f"{index_text(rest, around)} + {end}"


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


def _ends(block: Block, around: Surroundings) -> tuple[str, str]:
    return index_text(block.begin, around), index_text(block.end, around)


def _with_turns_apart(axes: Iterable[_Axis], inner: Mapping[str, Index]) -> list[_Axis]:
    """The axes, each with its extent; one of which a product writes a turn, as its rounds and the places in a round."""
    apart: list[_Axis] = []
    for place, extent in axes:
        turn = turn_of(place, extent, inner) if inner.keys() & set(place.indices) else None
        if turn is None:
            apart.append((place, extent))
        else:
            apart += [(index(turn.index), inner[turn.index].extent), (number(turn.first), number(turn.step))]
    return apart


def _merged(axes: list[_Axis], groups: tuple[tuple[str, ...], ...]) -> Iterator[list[_Axis]]:
    """The axes, each with its extent, those of a group together."""
    left = list(axes)
    while left:
        group = next((g for g in groups if not set(g).isdisjoint(left[0][0].indices)), ())
        count = max(len(group), 1)
        yield left[:count]
        left = left[count:]


def _size(extents: Iterable[IndexExpr]) -> IndexExpr:
    return math.prod(extents, start=ONE)


def _product_of(part: list[_Axis]) -> IndexExpr:
    return _size(extent for _, extent in part)


def product_text(gemm: Gemm, names: Names) -> str:
    """`h[b, j] = Σ_i x[b, i] h_weight[i, j]`."""
    equation = gemm.equation
    summed = ",".join(i.name for i in equation.reduced)
    factors = [f"{names.of(operand.tensor)}[{', '.join(map(str, operand.subscripts))}]" for operand in (gemm.a, gemm.b)]
    write = ", ".join(map(str, gemm.out.subscripts))
    sign = "=" if gemm.starts else "+="
    return f"{names.of(equation.target)}[{write}] {sign} Σ_{summed} {' '.join(factors)}"
