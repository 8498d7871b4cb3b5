"""An equation and the loops it stands in: which axes an index runs along, and which from end to end."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from operator import mul

import sympy

from gradc.graph.index import ONE, IndexExpr
from gradc.graph.nodes import Equation, Guard, Read, Tensor, mentioned, reads_of
from gradc.graph.ranges import Ranges
from gradc.graph.tensors import Kind

from .costs import COPIED_WINDOW, PACKED_CHANNELS, THINNEST_BESIDE_WIDE, THINNEST_PRODUCT, WIDE_ENOUGH
from .factors import Factor, at_least, grouped
from .gather import longest
from .program import Window, along, block_of, blocks_of, guards_of_rounds, order_of, turn_of


@dataclass(frozen=True)
class Standing:
    """A sum, and what stands around it.

    Attributes:
        fixed: the indices of the loops around it.
        window: a factor may have windows along an axis.
        blocks: those of the loops that say in which block of an axis, or of several, a product is.
        in_turns: each round writes every so many-th place along some axes of the target.
    """

    equation: Equation
    tensors: Mapping[str, Tensor]
    fixed: frozenset[str]
    window: Window | None = None
    blocks: frozenset[str] = frozenset()
    in_turns: bool = False

    @property
    def summed(self) -> frozenset[str]:
        """The indices that the sum runs over, but for loops around it."""
        return frozenset(i.name for i in self.equation.reduced) - self.fixed

    def factors(self, term: sympy.Expr) -> list[Factor]:
        """Those of a term, with the indices that are not of loops around."""
        parts = term.args if isinstance(term, sympy.Mul) else (term,)
        return [Factor(part, frozenset(mentioned(part)) - self.fixed) for part in parts]

    def places(self, names: Collection[str]) -> IndexExpr:
        """How many there are for these indices."""
        return reduce(mul, (i.extent for i in self.equation.indices if i.name in names), ONE)

    def is_fixed(self, place: IndexExpr) -> bool:
        """Whether a place is the same for all of one round of the loops around."""
        return bool(self.fixed) and self.fixed.issuperset(place.indices)

    def runs(self, place: IndexExpr, extent: IndexExpr) -> str | None:
        """The index that runs along an axis, or along the block or the turn of it that the loops around are at."""
        if place.bare is not None or not (self.blocks or self.in_turns):
            return place.bare
        indices = {i.name: i for i in self.equation.indices}
        turn = turn_of(place, extent, indices) if self.in_turns and place in self.equation.write else None
        block = block_of(place, extent, indices)
        return turn.index if turn else block.within if block and block.number in self.blocks else None

    def runs_whole(self, read: Read, at: int) -> bool:
        """Whether the axis is run along from end to end, or is at one place in a round of the loops around, or has but
        one."""
        only_place = not read.subscripts[at].terms and self.tensors[read.tensor].extents[at].constant == 1
        if self.window and self.window.axis == at and self.window.within(read.subscripts):
            return True
        return only_place or self.is_fixed(read.subscripts[at]) or self.extent_is_whole(read, at)

    def extent_is_whole(self, read: Read, at: int) -> bool:
        """Whether the axis, or a block of it, is run along by one index of its own, from end to end."""
        tensor = self.tensors[read.tensor]
        names = [self.runs(place, extent) for place, extent in zip(read.subscripts, tensor.extents, strict=True)]
        name = names[at]
        if name is None or names.count(name) > 1 or tensor.kind is not Kind.REAL:
            return False
        found = next(i for i in self.equation.indices if i.name == name)
        return read.subscripts[at].bare is None or (not found.low.terms and found.high == tensor.extents[at])

    def order(self, read: Read) -> list[str]:
        """The indices that run along the axes of a factor."""
        window = self.window if self.window and self.window.within(read.subscripts) else None
        return list(order_of(read.subscripts, window, self.fixed))

    def is_window(self, read: Read) -> bool:
        """Whether several indices together say where along an axis it reads."""
        return any(len(set(place.indices) - self.fixed) > 1 for place in read.subscripts)

    def side_by_side(self, body: sympy.Expr) -> set[str | None]:
        """The indices by which windows are packed as they lie: that of channels, or, where there is but one, those
        that go from window to window."""
        windows = [read for read in reads_of(body) if self.is_window(read)]
        channels: set[str | None] = {along(read.subscripts[-1], self.fixed) for read in windows}
        one = channels == {""}
        return {longest(place, self.equation) for read in windows for place in read.subscripts} if one else channels

    def is_thin(self, window: Read) -> bool:
        """Whether a product for each place of the window would be of few numbers, though not of hardly any."""
        places = {name for place in window.subscripts if place.bare is None for name in place.indices}
        names = {i.name for i in self.equation.indices} - places - set(window.subscripts[0].indices)
        sizes = [i.extent.constant for i in self.equation.indices if i.name in names]
        numbers = [size for size in sizes if size is not None and size >= THINNEST_PRODUCT]
        if any(place.bare for place in window.subscripts[1:]):
            return len(sizes) == len(numbers) > 1 and math.prod(numbers) < PACKED_CHANNELS**2
        inner = places - {longest(place, self.equation) for place in window.subscripts}
        copies = self.places(inner).constant  # of one channel, which is no index
        return copies is not None and len(sizes) == len(numbers) == 1 and copies <= COPIED_WINDOW * numbers[0]

    def is_scattered(self) -> bool:
        """Whether several indices together say where the result goes: a product of its own would be much larger."""
        target = self.tensors[self.equation.target]
        places = zip(self.equation.write, target.extents, strict=True)
        return any(not self.runs(place, extent) and not self.is_fixed(place) for place, extent in places)

    def writes_a_part(self) -> bool:
        """Whether it is at one place of several along an axis: loops around a product would leave the others as they
        are."""
        extents = self.tensors[self.equation.target].extents
        return any(not p.indices and e.constant != 1 for p, e in zip(self.equation.write, extents, strict=True))

    def bare_write(self) -> bool:
        """Whether each axis of the result has an index of its own."""
        places = zip(self.equation.write, self.tensors[self.equation.target].extents, strict=True)
        names = [self.runs(place, extent) for place, extent in places if not self.is_fixed(place)]
        return None not in names and len(set(names)) == len(names)

    def numbers_of_blocks(self, term: sympy.Expr) -> frozenset[str]:
        """The indices of both factors that are the numbers of blocks along axes."""
        inner = [factor for factor in grouped(self.factors(term)) if factor.indices & self.summed]
        if len(inner) != 2:  # noqa: PLR2004  (a product has two factors)
            return frozenset()
        indices = {i.name: i for i in self.equation.indices}
        reads = *reads_of(term), Read(self.equation.target, self.equation.write)
        blocks = (blocks_of(read.subscripts, self.tensors[read.tensor].extents, indices) for read in reads)
        found = {block.number for each in blocks for block in each}
        return frozenset(found & inner[0].indices & inner[1].indices - self.summed)

    def of_rounds(self) -> tuple[Guard, ...]:
        """The guards on the rounds of the loops around alone: they are the product's."""
        return guards_of_rounds(self.equation, self.fixed)

    def inner_guards(self) -> tuple[Guard, ...]:
        """The others: a factor has to have them."""
        outer = self.of_rounds()
        return tuple(g for g in self.equation.guards if g not in outer)

    def guards_fit(self, inner: list[Factor]) -> bool:
        """Whether each of those is about one factor's indices."""
        return all(any(set(g.value.indices) - self.fixed <= f.indices for f in inner) for g in self.inner_guards())

    def guarded(self, factor: Factor, copied: int | None) -> Factor:
        """The factor with the guards that are about its indices; where windows are packed, they alone have them."""
        if copied is None and not any(map(self.is_window, reads_of(factor.body))):
            return factor
        mine = tuple(g for g in self.inner_guards() if set(g.value.indices) - self.fixed <= factor.indices)
        return replace(factor, guards=mine) if mine else factor

    def thick_enough(self, first: Factor, second: Factor) -> bool:
        """Whether rows, columns and the summed extent are each worth a product."""
        sizes = {i.name: i.extent for i in self.equation.indices}
        a, b = first.indices, second.indices
        groups = (a - b, b - a, a & b & self.summed)
        extents = [tuple(sizes[name] for name in sorted(group)) for group in groups]
        *sides, summed = extents
        wide = any(at_least(group, WIDE_ENOUGH, free=False) for group in extents)
        if wide and self.fixed == self.blocks and not self.sums_rows(first, second):
            thin = THINNEST_BESIDE_WIDE
        else:
            thin = THINNEST_PRODUCT
        return all(at_least(side, thin) for side in sides) and at_least(summed, THINNEST_PRODUCT)

    def sums_rows(self, *factors: Factor) -> bool:
        """Whether the sum runs along the last axis of all that it reads, as vectors lie."""
        reads = (read for factor in factors for read in reads_of(factor.body))
        return all(along(read.subscripts[-1], self.fixed) in self.summed for read in reads if read.subscripts)

    def is_small(self, factor: Factor, other: Factor, copied: int | None) -> bool:
        """Whether one factor has at most so many times the places that the other has, or, where it may have more of
        them, the result; whatever the free dims are. None: it may have any number."""
        if copied is None:
            return True
        against = (other.indices, self.equation.written) if copied > 1 else (other.indices,)
        own = self.places(factor.indices)
        return any(Ranges().nonnegative(copied * self.places(names) - own) for names in against)
