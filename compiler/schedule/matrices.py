"""Two factors as matrices: which axes make rows and columns, and which indices are loops around the product."""

from collections.abc import Collection, Mapping
from dataclasses import replace

from gradc.graph.index import ZERO
from gradc.graph.nodes import Equation, Read, Tensor

from .program import Gemm, Operand, Window, order_of


def gemm_of(equation: Equation, factors: tuple[Read, Read], shared: set[str], fixed: frozenset[str],
          window: Window | None) -> Gemm | None:  # fmt: skip
    """The product of matrices, or None where the axes lie so that it is none."""
    first, second = factors
    out = tuple(name for name in order_of(equation.write, None, fixed) if name and name not in fixed)
    summed = ({i.name for i in equation.reduced} & shared) - fixed
    batch = [name for name in out if name in shared]
    for a, b in ((first, second), (second, first)):
        rows = [name for name in out if name in names_of(a) and name not in batch]
        columns = [name for name in out if name in names_of(b) and name not in batch]
        target = _operand(Read(equation.target, equation.write), rows, columns, None, fixed)
        if target is None or target.transposed:
            continue
        a_window, b_window = (window if window and window.within(each.subscripts) else None for each in (a, b))
        order = [name for name in order_of(a.subscripts, a_window, fixed) if name in summed]
        left = _operand(a, rows, order, a_window, fixed)
        right = _operand(b, order, columns, b_window, fixed)
        if left is None or right is None:
            continue
        indices = {i.name: i for i in equation.indices}
        return Gemm(equation, target, left, right, tuple(indices[name] for name in batch), starts=True)
    return None


def with_loops(gemm: Gemm, loops: Collection[str], first: Collection[str] = ()) -> Gemm:
    """The product for each value of these indices too: outermost the first ones, then those along axes of the result,
    in their order."""
    names = {*loops, *(i.name for i in gemm.batch)}
    axes = {place.bare: at for at, place in enumerate(gemm.out.subscripts) if place.bare}
    order = [i for i in gemm.equation.indices if i.name in names]
    order.sort(key=lambda i: (i.name not in first, axes.get(i.name, len(axes))))
    return replace(gemm, batch=tuple(order))


def outside_of_loops(gemm: Gemm, around: Collection[str], tensors: Mapping[str, Tensor]) -> Gemm | None:
    """The product where loops that it was found in are no longer around it: what they ran over are rows or columns of
    it, or loops of its own. None where a condition is about them: then loops are what it is.

    Args:
        around: the indices of the loops that are.
    """
    equation = gemm.equation
    left = {i.name for i in equation.indices} - used_in(gemm) - set(around)
    if not left:
        return gemm
    if any(left & set(guard.value.indices) for guard in equation.guards):
        return None
    a, b = (Read(each.tensor, each.subscripts) for each in (gemm.a, gemm.b))
    if not gemm.batch and not gemm.a.window and not gemm.b.window:
        found = gemm_of(equation, (a, b), names_of(a) & names_of(b), frozenset(around), None)
        if found is not None and all(_runs_whole(each, equation, tensors) for each in (found.out, found.a, found.b)):
            return found
    return with_loops(gemm, left)


def used_in(gemm: Gemm) -> set[str]:
    """The indices that make the matrices of a product and the loops around it; others are those of recurrences."""
    return {*gemm.out.rows, *gemm.out.columns, *gemm.a.columns, *(i.name for i in gemm.batch)}


def _runs_whole(operand: Operand, equation: Equation, tensors: Mapping[str, Tensor]) -> bool:
    """Whether the rows and columns are axes from end to end."""
    ends = {i.name: i for i in equation.indices}
    axes = zip(operand.subscripts, tensors[operand.tensor].extents, strict=True)
    inner = {*operand.rows, *operand.columns}
    found = [(ends[place.bare], extent) for place, extent in axes if place.bare is not None and place.bare in inner]
    return all(i.low == ZERO and i.high == extent for i, extent in found)


def _operand(read: Read, rows: list[str], columns: list[str], window: Window | None,
             fixed: Collection[str]) -> Operand | None:  # fmt: skip
    """The tensor as a matrix with these rows and columns, if each group's axes are adjacent and in this order. Of the
    indices of a window, one is alone in its group, and the other begins the other group, which is all that follows.
    What runs along a block of an axis is alone in its group."""
    order = list(order_of(read.subscripts, window, fixed))
    kept = [name for name in order if name in rows or name in columns]
    if kept == [*rows, *columns]:
        transposed = False
    elif kept == [*columns, *rows]:
        transposed = True
    else:
        return None
    groups = (rows, columns)
    if any(not _adjacent(order, group) for group in groups if len(group) > 1):
        return None
    in_blocks = {name for place in read.subscripts if place.bare is None for name in place.indices} - set(fixed)
    if window is None and any(in_blocks.intersection(group) for group in groups if len(group) > 1):
        return None
    if window is not None:
        within = next(group for group in groups if window.inner in group)
        if [window.outer] not in groups or within != order[order.index(window.inner) :]:
            return None
    return Operand(read.tensor, read.subscripts, tuple(rows), tuple(columns), transposed, window)


def _adjacent(order: list[str], group: list[str]) -> bool:
    start = order.index(group[0])
    return order[start : start + len(group)] == group


def names_of(read: Read) -> set[str]:
    """The indices in the places of a read."""
    return {name for place in read.subscripts for name in place.indices}
