"""Arrays as the matrices that `gemm` takes, and as stacks of such."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from gradc.graph.index import ONE, IndexExpr, dim, index, number
from gradc.graph.tensors import Index
from gradc.schedule.program import Block, Gemm, Operand, Program, block_of, turn_of

from .lines import shape_text
from .rounds import RANGE
from .style import Surroundings, index_text

_Axis: TypeAlias = tuple[IndexExpr, IndexExpr]
"""Where along an axis, and how long that is."""


@dataclass(frozen=True, slots=True)
class Lying:
    """A product's operand as it lies in its array.

    Attributes:
        operand: its rows and columns.
        axes: those that the array has.
        window: which of these has windows along it.
        indices: those of the product, by name.
    """

    operand: Operand
    axes: tuple[_Axis, ...]
    window: int | None
    indices: Mapping[str, Index]

    @property
    def inner(self) -> set[str]:
        """The indices that run in a matrix."""
        return {*self.operand.rows, *self.operand.columns}

    @property
    def groups(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Those that run along its two axes, as they lie."""
        operand = self.operand
        return (operand.columns, operand.rows) if operand.transposed else (operand.rows, operand.columns)

    def matrix(self, text: str, rows: IndexExpr | None, around: Surroundings) -> str:
        """The array of this name as a matrix: batch indices and places put in, groups of axes merged, turned where it
        lies so.

        Args:
            rows: an extent over a range of which alone the product runs.
        """
        if self.window is not None:
            sizes, offset = self.windows(around)
            places = [index_text(place, around) for place, _ in self.axes[: self.window]]
            places += [f"{index_text(offset, around)}:"] if offset.terms else []
            text = f"windows({_at(text, places)}, {sizes})"
        else:
            text = self._block(self._merged(text, rows, around), around)
        return f"{text}.T" if self.operand.transposed else text

    def stack(self, text: str, own: Index, ends: tuple[str, str], around: Surroundings) -> str | None:
        """The array of this name as a stack of matrices, for an index's values in this range; None where it lies
        otherwise."""
        parts = list(_together(self.axes, self.groups if self.window is None else ()))
        at = len(parts) - 3 if self.window is None else self.window - 1
        if at < 0 or any(len(part) > 1 or self.inner & set(part[0][0].indices) for part in parts[: at + 1]):
            return None
        place, extent = parts[at][0]
        before = [part[0][0] for part in parts[:at]]
        if place.coefficient(own.name) != ONE or any(own.name in outer.indices for outer in before):
            return None
        if any(block.within in self.inner for block in self.blocks()):
            return None
        text = _at(text, [index_text(outer, around) for outer in before])
        rest = place - index(own.name)
        low, high = (_moved(end, rest, around) for end in ends)
        if (low, high) != ("0", index_text(extent, around)):
            text = f"rows({text}, {low}, {high})"
        if self.window is not None:
            sizes, offset = self.windows(around)
            if offset.terms:
                return None
            text = f"windows_of_each({text}, {sizes})"
        elif self._is_merged():
            count = ends[1] if ends[0] == "0" else f"{ends[1]} - {ends[0]}"
            shape = (count, *(index_text(_product_of(part), around) for part in parts[-2:]))
            text = f"view({text}, 0, {shape_text(shape)})"
        return f"turned_each({text})" if self.operand.transposed else text

    def blocks(self) -> Iterator[Block]:
        """The blocks of axes that it is in."""
        return filter(None, (block_of(*axis, self.indices) for axis in self.axes))

    def windows(self, around: Surroundings) -> tuple[str, IndexExpr]:
        """How many windows there are, how far from each other, and how wide; and where along the axis they begin."""
        window = self.operand.window
        assert window is not None
        assert self.window is not None
        place, _ = self.axes[self.window]
        step = place.coefficient(window.outer)
        assert step is not None
        sizes = (self.indices[window.outer].extent, step, self.indices[window.inner].extent)
        offset = place - step * index(window.outer) - index(window.inner)
        return ", ".join(index_text(size, around) for size in sizes), offset

    def _is_merged(self) -> bool:
        return any(len(group) > 1 for group in self.groups)

    def _merged(self, text: str, rows: IndexExpr | None, around: Surroundings) -> str:
        """The array as it lies, with the axes of a group as one."""
        inner, merged = self.inner, self._is_merged()
        axes = _with_turns_apart(self.axes, {name: self.indices[name] for name in inner})
        in_turns = len(axes) > len(self.axes)
        parts = list(_together(axes, self.groups))
        cut = rows is not None and axes[0][0].bare in inner and axes[0][1] == rows
        leading = all(len(part) == 1 and inner.isdisjoint(part[0][0].indices) for part in parts[:-2])
        first, last = map(dim, RANGE)
        plain = replace(around, name=lambda text: RANGE.get(text) or around.name(text))
        ends, block = [first, last], None
        if in_turns or (merged and not leading):
            (at, count), *_ = parts[-2]
            if at.constant is not None:  # a place between the two axes: there is a block of columns
                width = _product_of(parts[-1])
                block = (at * width, (at + 1) * width) if count != ONE else None
                parts[-2:] = [[*parts[-2], *parts[-1]]]
            ends = [end * _product_of(parts[0][1:]) for end in ends]
            shape = [index_text(_product_of(part), around) for part in parts]
            text, merged = f"view({text}, 0, {shape_text(shape)})", False
        places = [index_text(part[0][0], around) if inner.isdisjoint(part[-1][0].indices) else ":" for part in parts]
        if cut:
            cuts = [index_text(end, plain) for end in ends]
            places[0] = (":" if cuts == [*RANGE.values()] else " : ").join(cuts)
        while places and places[-1] == ":":
            places.pop()
        text = f"rows({text}, {', '.join(cuts)})" if cut and len(places) == 1 else _at(text, places)
        if block:
            return f"columns_of({text}, {', '.join(index_text(end, around) for end in block)})"
        if not merged:
            return text
        sizes = [_product_of(part) for part in parts[-2:]]
        if cut:
            sizes[0] = _product_of([(parts[0][0][0], last - first), *parts[0][1:]])
        return f"view({text}, 0, {shape_text(index_text(size, plain) for size in sizes)})"

    def _block(self, text: str, around: Surroundings) -> str:
        """Of a matrix, as it lies, the rows or the columns that are the block of an axis."""
        for block in self.blocks():
            if block.within in self.inner:
                cut = "columns_of" if block.within in self.groups[1] else "rows"
                text = f"{cut}({text}, {', '.join(block_ends(block, around))})"
        return text


def lying(operand: Operand, gemm: Gemm, program: Program) -> Lying:
    """How an operand of one of a program's products lies."""
    buffer, extents = program.buffers.get(operand.tensor), program.graph.tensors[operand.tensor].extents
    stored = tuple(range(len(extents))) if buffer is None else buffer.axes
    window = stored.index(operand.window.axis) if operand.window is not None else None
    axes = tuple((operand.subscripts[at], extents[at]) for at in stored)
    return Lying(operand, axes, window, {i.name: i for i in gemm.equation.indices})


def block_ends(block: Block, around: Surroundings) -> tuple[str, str]:
    """Where along its axis a block begins and ends."""
    return index_text(block.begin, around), index_text(block.end, around)


def size_of(extents: Iterable[IndexExpr]) -> IndexExpr:
    """How many numbers axes of these extents hold."""
    return math.prod(extents, start=ONE)


def _at(text: str, places: Sequence[str]) -> str:
    """The part of an array that is at these places of its first axes."""
    return f"{text}[{', '.join(places)}]" if places else text


def _moved(end: str, rest: IndexExpr, around: Surroundings) -> str:
    """An end of a range, so much further on."""
    if not rest.terms:
        return end
    return index_text(rest, around) if end == "0" else f"{index_text(rest, around)} + {end}"


def _with_turns_apart(axes: Iterable[_Axis], inner: Mapping[str, Index]) -> list[_Axis]:
    """The axes; one of which a product writes a turn, as its rounds and the places in a round."""
    apart: list[_Axis] = []
    for place, extent in axes:
        turn = turn_of(place, extent, inner) if inner.keys() & set(place.indices) else None
        if turn is None:
            apart.append((place, extent))
        else:
            apart += [(index(turn.index), inner[turn.index].extent), (number(turn.first), number(turn.step))]
    return apart


def _together(axes: Sequence[_Axis], groups: tuple[tuple[str, ...], ...]) -> Iterator[Sequence[_Axis]]:
    """The axes, those of a group together."""
    left = axes
    while left:
        group = next((g for g in groups if not set(g).isdisjoint(left[0][0].indices)), ())
        count = max(len(group), 1)
        yield left[:count]
        left = left[count:]


def _product_of(part: Iterable[_Axis]) -> IndexExpr:
    return size_of(extent for _, extent in part)
