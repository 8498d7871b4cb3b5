"""Where index equations write: every place inside, none written twice, the tensor as small as holds them all.

y[b, n*width + d] = …      one place for each n, d, since d < width
o[b, 0] = …, o[b, 1] = …   two equations, never at one place
y[i + j] = …               refused: i = 0, j = 1 and i = 1, j = 0 are one place
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations
from typing import TypeAlias

from gradc.errors import Label
from gradc.graph.index import IndexExpr, Quotient, Remainder, index, number
from gradc.graph.places import are_apart
from gradc.graph.ranges import Ranges, never_negative
from gradc.graph.tensors import ranges_of

from . import core
from .places import Place
from .refusal import Refused
from .scopes import Written
from .values import Subscripts
from .world import World

Write: TypeAlias = tuple[Written, Place, tuple[core.Index, ...], Subscripts, tuple[str, ...]]


def check_writes(world: World, name: str, writes: Sequence[Write]) -> tuple[core.Axis, ...]:
    """The axes of a tensor, the smallest that hold every place written.

    Raises:
        Refused: a place is below 0 or written twice, or the equations do not agree on the number of axes.
    """
    first = writes[0]
    for other in writes[1:]:
        if len(other[3]) != len(first[3]):
            raise Refused(
                "wrong-rank",
                f"{name} has {len(first[3])} axes in one equation and {len(other[3])} in another",
                other[0].span,
                [Label(first[0].span, ""), Label(other[0].span, "")],
                help="write as many indices on the left of each; 0 is a place too: y[b, 0] = …",
            )
    for write in writes:
        _check_inside(write)
        _check_once(name, write)
    for a, b in combinations(writes, 2):
        if not _are_apart(a, b):
            raise Refused("written-twice", f"two values for one place of {name}", b[0].span,
                          [Label(a[0].span, "this writes it"), Label(b[0].span, "and so may this")],
                          help="make the places differ in an index, or write one equation with `if`")  # fmt: skip
    return tuple(_axis(world, name, axis, writes) for axis in range(len(first[3])))


def _check_inside(write: Write) -> None:
    written, place, _, subscripts, _ = write
    for at in subscripts:
        if not place.ranges.nonnegative(at):
            raise Refused("outside", f"{at} may be below 0, and places count from 0", written.span,
                          help="shift the left side so that it starts at 0")  # fmt: skip


def _axis(world: World, name: str, axis: int, writes: Sequence[Write]) -> core.Axis:
    ends: list[IndexExpr] = []
    for written, place, _, subscripts, _ in writes:
        most = place.ranges.most(subscripts[axis])
        if most is None or most.indices or most.gathers:
            raise Refused(
                "undetermined-extent",
                f"how large axis {axis} of {name} is cannot be told from {subscripts[axis]}",
                written.span,
                help="state how far its indices go, as in y[i: 10] = …",
            )
        ends.append(most + 1)
    free = Ranges()
    largest = [a for a in ends if all(free.nonnegative(a - b) for b in ends)]
    if not largest:
        raise Refused(
            "undetermined-extent",
            f"axis {axis} of {name} has no largest extent: {', '.join(map(str, ends))}",
            writes[0][0].span,
            [Label(w[0].span, str(e)) for w, e in zip(writes, ends, strict=True)],
            help="which is larger depends on free dims; state the extent of the indices",
        )
    if not never_negative(largest[0] - 1):
        message = f"axis {axis} of {name} has {largest[0]} places, which must be at least 1"
        if not world.require(world.span(writes[0][0].span, writes[0][1].context.frame), largest[0] - 1, message):
            raise Refused("empty-index", f"axis {axis} of {name} has {largest[0]} places", writes[0][0].span,
                          help="an extent is at least 1 for all sizes of the free dims")  # fmt: skip
    shown = writes[0][4][axis]
    return core.Axis(shown or str(largest[0]), largest[0])


# ---------------------------------------------------------------- one equation


def _check_once(name: str, write: Write) -> None:
    """Refuses a left side that gives one place to two tuples of indices."""
    written, place, indices, subscripts, _ = write
    rest = _free(indices, subscripts, place.ranges)
    if rest:
        shown = ", ".join(str(s) for s in subscripts)
        raise Refused("written-twice", f"two values for one place: several {', '.join(i.name for i in rest)} write one "
                      f"place of {name}[{shown}]", written.span,
                      help="sum what meets: y[p] = sum[i, j](if i + j == p then … else 0)")  # fmt: skip


@lru_cache(maxsize=4096)
def _free(indices: tuple[core.Index, ...], subscripts: Subscripts, ranges: Ranges) -> tuple[core.Index, ...]:
    """The indices that a place leaves free."""
    known = {i.name for i in indices if i.high - i.low == number(1)}
    open_parts = list(subscripts)
    changed = True
    while changed:
        changed = False
        for part in list(open_parts):
            found = _determined(part, known, ranges) or _by_parts(part, open_parts, known)
            if found is not None:
                known |= found
                open_parts.remove(part)
                changed = True
    return tuple(i for i in indices if i.name not in known)


def _determined(part: IndexExpr, known: set[str], ranges: Ranges) -> set[str] | None:
    """The indices that a value determines, those known taken as given: `n*width + d` with d < width."""
    unknown = [name for name in part.indices if name not in known]
    factors: list[tuple[str, IndexExpr]] = []
    for name in unknown:
        factor = part.coefficient(name)
        if factor is None or any(n in unknown for n in factor.indices):
            return None
        if ranges.nonnegative(-factor - 1):
            factor = -factor
        if not ranges.nonnegative(factor - 1):
            return None
        factors.append((name, factor))
    return set(unknown) if _is_mixed_radix(factors, ranges) else None


def _is_mixed_radix(factors: list[tuple[str, IndexExpr]], ranges: Ranges) -> bool:
    """Whether, from the smallest factor on, each is larger than all before it can add up to."""
    left = list(factors)
    reach = number(0)
    while left:
        nexts = [(n, f) for n, f in left if ranges.nonnegative(f - reach - 1)]
        smallest = [(n, f) for n, f in nexts if all(ranges.nonnegative(g - f) for _, g in left)]
        if not smallest:
            return False
        name, factor = smallest[0]
        low, high = ranges.bounds[name]
        reach = reach + factor * (high - low - 1)
        left.remove((name, factor))
    return True


def _by_parts(part: IndexExpr, others: Sequence[IndexExpr], known: set[str]) -> set[str] | None:
    """`i // 4` and `i % 4` together determine i."""
    match part.terms:
        case (((Quotient(a, b),), 1),):
            twin = a % b
            if twin in others and a.bare is not None:
                return {a.bare}
        case (((Remainder(a, b),), 1),):
            twin = a // b
            if twin in others and a.bare is not None:
                return {a.bare}
    return None


# ---------------------------------------------------------------- two equations


def _are_apart(a: Write, b: Write) -> bool:
    """Whether two equations are certain never to write one place."""
    renamed = {i.name: index(f"{i.name}'") for i in b[2]}
    indices = (*a[2], *(core.Index(f"{i.name}'", i.low, i.high) for i in b[2]))
    return are_apart(a[3], [place.substitute(renamed) for place in b[3]], ranges_of(indices))
