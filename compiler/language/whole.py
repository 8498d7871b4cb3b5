"""Operations on whole tensors: by element, products, concat, reshape, transpose. Nothing is broadcast silently."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from gradc.errors import Label, Span
from gradc.graph.index import ONE, IndexExpr, index, number, split_multiple
from gradc.graph.ranges import Ranges

from . import core, syntax
from .arithmetic import apply, where
from .conditions import meanings
from .indices import indices_for
from .mends import at_indices, joined_along, no_tensor, tensors_to_join
from .places import Place
from .reductions import reduced
from .refusal import Refused
from .tensors import ranges_at, settled
from .values import POISON, Array, Element, Items, Subscripts, Value, described, shown, whole
from .world import World

SIGNS = {"add": "+", "sub": "-", "mul": "*", "div": "/", "lt": "<", "le": "<=", "eq": "==", "ne": "!=", "and": "and",
         "or": "or", "floordiv": "//", "mod": "%", "pow": "^"}  # fmt: skip


def by_element(function: str, values: Sequence[Value], node: syntax.Expression, world: World, place: Place) -> Value:
    """A function of numbers, applied to elements and, place by place, to tensors of one shape."""
    if any(value is POISON for value in values):
        return POISON
    if any(isinstance(value, Items) for value in values):
        return _item_by_item(function, values, node, world, place)
    span = world.span(node.span, place.context.frame)
    numbers = [value for value in values if isinstance(value, Element | Array)]
    if len(numbers) < len(values):
        wrong = next(value for value in values if not isinstance(value, Element | Array))
        raise Refused(
            "wrong-kind",
            f"numbers are wanted here, and this is {described(wrong)}",
            node.span,
            help=no_tensor(wrong),
        )
    arrays = [value for value in numbers if isinstance(value, Array)]

    def combined(parts: Sequence[Element], ranges: Ranges) -> Element:
        if function == "where":
            return where(parts[0], parts[1], parts[2], span, ranges)
        return apply(function, parts, span, ranges)

    axes = _one_shape(function, numbers, arrays, node) if arrays else ()
    try:
        sample = combined([v.sample if isinstance(v, Array) else v for v in numbers], place.ranges)
    except Refused as refused:
        if (wanted := _requirement(node)) is not None and refused.diagnostic.code == "division-by-zero":
            refused.diagnostic = replace(refused.diagnostic, message=f"{world.text(wanted.span)} does not hold")
        if refused.diagnostic.span == span and world.in_library(node.span):
            told = meanings(world, node, place) or refused.diagnostic.help
            refused.diagnostic = replace(refused.diagnostic, span=node.span, help=told)
        raise
    if not arrays:
        return sample

    def at(subscripts: Subscripts, ranges: Ranges) -> Element:
        return combined([v.at(subscripts, ranges) if isinstance(v, Array) else v for v in numbers], ranges)

    return Array(axes, sample, at)


def _requirement(node: syntax.Expression) -> syntax.Expression | None:
    """What has to hold for `x / (if x > 0 then 1 else 0)` to be x."""
    match node:
        case syntax.Binary(operator="/", right=syntax.Conditional(condition=wanted, otherwise=syntax.Number(value=0))):
            return wanted
    return None


def _item_by_item(function: str, values: Sequence[Value], node: syntax.Expression, world: World, place: Place) -> Value:
    """Lists go item by item, numbers with each: `3 * [1, 1]` is [3, 3], `[3, 5] * [1, 1]` is [3, 5]."""
    lists = [value for value in values if isinstance(value, Items)]
    if any(isinstance(value, Array) for value in values):
        raise Refused(
            "wrong-kind",
            "numbers go with the items of a list, and this has a tensor beside it",
            node.span,
            help="read an item, as in sizes[0], or write the numbers as an equation: c[0] = 3",
        )
    counts = [len(items.values) for items in lists]
    if len(set(counts)) > 1:
        shown = " and ".join(map(str, counts))
        raise Refused(
            "shapes-disagree",
            f"lists of {shown} items do not go item by item",
            node.span,
            help="give both as many items, or use a number, which goes with each",
        )
    return Items(
        tuple(
            by_element(function, [v.values[k] if isinstance(v, Items) else v for v in values], node, world, place)
            for k in range(counts[0])
        )
    )


def _one_shape(function: str, values: Sequence[Array | Element], arrays: Sequence[Array],
               node: syntax.Expression) -> tuple[core.Axis, ...]:  # fmt: skip
    first = arrays[0]
    for other in arrays[1:]:
        if [a.extent for a in other.axes] != [a.extent for a in first.axes]:
            raise _different_shapes(function, first, other, node)
    return first.axes


def _different_shapes(function: str, first: Array, other: Array, node: syntax.Expression) -> Refused:
    labels: list[Label] = []
    if isinstance(node, syntax.Binary):
        labels = [Label(node.left.span, shown(first.axes)), Label(node.right.span, shown(other.axes))]
    return Refused(
        "shapes-disagree",
        f"{shown(first.axes)} and {shown(other.axes)} are not of one shape, and nothing is broadcast silently",
        node.span,
        labels,
        help=_index_form(function, first, other, node),
    )


def _index_form(function: str, first: Array, other: Array, node: syntax.Expression) -> str:
    """How to write what may have been meant: `y[i, j] = x[i, j] + b[j]`."""
    sides = (node.left, node.right) if isinstance(node, syntax.Binary) else (node, node)
    found = at_indices(first.axes, sides[0], other.axes, sides[1])
    if found is None:
        return "bring both to one shape, or write the equation with indices"
    if isinstance(node, syntax.Binary) and len(first.axes) != len(other.axes):
        left = "z" if any(isinstance(side, syntax.Name) and side.name == "y" for side in sides) else "y"
        return f"write it with indices: {left}[{found[0]}] = {found[1]} {SIGNS.get(function, function)} {found[2]}"
    return "write the equation with indices, which say what meets what"


# ---------------------------------------------------------------- @


def product(left: Value, right: Value, node: syntax.Binary, world: World, place: Place) -> Value:
    """`a @ b` over the last and second-to-last index; axes before are equal or on one side only."""
    if left is POISON or right is POISON:
        return POISON
    left, right = settled(world, left, place), settled(world, right, place)
    for side, value in ((node.left, left), (node.right, right)):
        if not isinstance(value, Array):
            raise Refused(
                "wrong-kind",
                f"@ wants tensors, and this is {described(value)}",
                side.span,
                help="to multiply by a number, write *",
            )
    assert isinstance(left, Array)
    assert isinstance(right, Array)
    before_left, before_right = left.axes[:-2], right.axes[:-2]
    inner_left, inner_right = left.axes[-1], right.axes[-2 if len(right.axes) > 1 else -1]
    labels = [Label(node.left.span, shown(left.axes)), Label(node.right.span, shown(right.axes))]
    if inner_left.extent != inner_right.extent:
        raise Refused(
            "shapes-disagree",
            f"@ goes over the last axis on the left, {inner_left.extent}, and the second-to-"
            f"last on the right, {inner_right.extent}",
            node.span,
            labels,
            help=_transposed(left, right),
        )
    if before_left and before_right and [a.extent for a in before_left] != [a.extent for a in before_right]:
        raise Refused(
            "shapes-disagree",
            "the axes before the last two are not the same",
            node.span,
            labels,
            help="write the product with indices: y[…, i, j] = sum[k](a[…, i, k] * b[…, k, j])",
        )
    return _contracted(left, right, world.span(node.span, place.context.frame), place)


def _transposed(left: Array, right: Array) -> str:
    if len(right.axes) == 2 and right.axes[1].extent == left.axes[-1].extent:  # noqa: PLR2004  (a matrix)
        return "did you mean transpose(…) on the right?"
    return "write it with indices, which say what meets what: y[i, j] = sum[k](a[i, k] * b[k, j])"


def _contracted(left: Array, right: Array, span: Span, place: Place) -> Value:
    (inner,) = indices_for(left.axes[-1:], place.context)
    k = index(inner.name)
    row = left.axes[-2:-1]
    column = right.axes[-1:] if len(right.axes) > 1 else ()
    before = left.axes[:-2] or right.axes[:-2]
    count = len(before)

    def at(subscripts: Subscripts, ranges: Ranges) -> Element:
        ranges = ranges.with_index(inner.name, inner.low, inner.high)
        shared, own = subscripts[:count], subscripts[count:]
        left_before = shared if len(left.axes) > 2 else ()  # noqa: PLR2004  (a stack of matrices)
        right_before = shared if len(right.axes) > 2 else ()  # noqa: PLR2004
        a = left.at((*left_before, *own[: len(row)], k), ranges)
        b = right.at((*right_before, k, *own[len(row) :]), ranges)
        return reduced("sum", (inner,), apply("mul", [a, b], span, ranges), span, ranges)

    axes = (*before, *row, *column)
    if not axes:
        return at((), place.ranges)
    sample = reduced("sum", (inner,), apply("mul", [left.sample, right.sample], span, place.ranges), span,
                     ranges_at(place, (inner,)))  # fmt: skip
    return Array(axes, sample, at)


# ---------------------------------------------------------------- concat, reshape, transpose


def concat(values: Sequence[Value], axis: Value | None, node: syntax.Call, world: World, place: Place) -> Value:
    """`concat(a, b, axis = 1)`: one after the other along an axis, the first if none is given."""
    arrays = [value for value in values if isinstance(value, Array)]
    if not arrays or len(arrays) < len(values):
        raise Refused("wrong-kind", "concat wants tensors", node.span, help=tensors_to_join(values))
    rank = len(arrays[0].axes)
    along = 0 if axis is None else _axis_number(axis, rank, node)
    for other in arrays[1:]:
        pairs = enumerate(zip(arrays[0].axes, other.axes, strict=False))
        same = [a.extent == b.extent or k == along for k, (a, b) in pairs]
        if len(other.axes) != rank or not all(same):
            raise Refused("shapes-disagree", f"concat joins along axis {along}; {shown(arrays[0].axes)} and "
                          f"{shown(other.axes)} differ elsewhere", node.span, help=joined_along(arrays))  # fmt: skip
    starts = [number(0)]
    for value in arrays:
        starts.append(starts[-1] + value.axes[along].extent)
    span = world.span(node.span, place.context.frame)
    name = arrays[0].axes[along].name if len(arrays) == 1 else str(starts[-1])
    axes = (*arrays[0].axes[:along], core.Axis(name, starts[-1]), *arrays[0].axes[along + 1 :])

    def at(subscripts: Subscripts, ranges: Ranges) -> Element:
        parts = [value.at((*subscripts[:along], subscripts[along] - starts[k], *subscripts[along + 1 :]), ranges)
                 for k, value in enumerate(arrays)]  # fmt: skip
        return _chosen(parts, whole(span, subscripts[along]), starts, span, ranges)

    sample = _chosen([a.sample for a in arrays], whole(span, index("?")), starts, span, Ranges())
    return Array(axes, sample, at)


def _chosen(parts: Sequence[Element], at: Element, starts: Sequence[IndexExpr], span: Span, ranges: Ranges) -> Element:
    """The part in whose stretch a place is: `if i < 3 then a[i] else b[i - 3]`."""
    result = parts[-1]
    for k in range(len(parts) - 2, -1, -1):
        condition = apply("lt", [at, whole(span, starts[k + 1])], span, ranges)
        if condition.truth is None:
            result = where(condition, parts[k], result, span, ranges)
        elif condition.truth:
            result = parts[k]
    return result


def _axis_number(value: Value, rank: int, node: syntax.Call) -> int:
    if isinstance(value, Element) and value.number is not None and value.number.denominator == 1:
        axis = int(value.number)
        if -rank <= axis < rank:
            return axis % rank
        raise Refused(
            "no-such-axis",
            f"there is no axis {axis}: the tensors have {rank}, counted from 0",
            node.span,
            help=f"write axis = 0 .. {rank - 1}; -1 is the last",
        )
    raise Refused(
        "not-a-size", "axis is a whole number known when the model is compiled", node.span, help="write axis = 1"
    )


def transpose(value: Value, node: syntax.Call) -> Value:
    """A matrix with its rows as columns."""
    if not isinstance(value, Array) or len(value.axes) != 2:  # noqa: PLR2004  (a matrix)
        raise Refused("wrong-rank", f"transpose wants a matrix, and this is {described(value)}", node.span,
                      help="write other orders with indices: y[i, j, k] = x[k, i, j]")  # fmt: skip
    read = value.at
    return Array(value.axes[::-1], value.sample, lambda subscripts, ranges: read(subscripts[::-1], ranges))


def reshape(value: Value, sizes: Value, node: syntax.Call) -> Value:
    """The same numbers in the same order under other axes; one size may be -1, what is left."""
    if isinstance(value, Element):
        value = _without_axes(value)
    if not isinstance(value, Array) or not isinstance(sizes, Items):
        raise Refused(
            "wrong-kind",
            "reshape wants a tensor and a list of sizes, as in reshape(x, [n, 4])",
            node.span,
            help="write reshape(x, [n, -1]): -1 is what is left",
        )
    total = _product(axis.extent for axis in value.axes)
    extents = _sizes(sizes, total, node)
    if _product(extents) != total:
        raise Refused("shapes-disagree", f"{shown(value.axes)} has {total} numbers, and {_listed(extents)} has "
                      f"{_product(extents)}", node.span, help="one size may be -1, which is what is left")  # fmt: skip
    axes = tuple(core.Axis(str(extent), extent) for extent in extents)
    read, old = value.at, value.axes

    def at(subscripts: Subscripts, ranges: Ranges) -> Element:
        flat = number(0)
        for subscript, extent in zip(subscripts, extents, strict=True):
            flat = flat * extent + subscript
        return read(_unflattened(flat, old, ranges), ranges)

    if not axes:
        return at((), Ranges())
    return Array(axes, value.sample, at)


def _without_axes(element: Element) -> Array:
    return Array((), element, lambda _subscripts, _ranges: element)


def _unflattened(flat: IndexExpr, axes: tuple[core.Axis, ...], ranges: Ranges) -> Subscripts:
    places: list[IndexExpr] = []
    for k in range(len(axes) - 1, -1, -1):
        extent = axes[k].extent
        places.insert(0, ranges.simplified(flat % extent) if k else flat)
        flat = ranges.simplified(flat // extent)
    return tuple(places)


def _product(sizes: Iterable[IndexExpr]) -> IndexExpr:
    total = ONE
    for size in sizes:
        total = total * size
    return total


def _sizes(sizes: Items, total: IndexExpr, node: syntax.Call) -> list[IndexExpr]:
    found = [value.size if isinstance(value, Element) else None for value in sizes.values]
    known = [size for size in found if size is not None]
    if len(known) < len(found):
        raise Refused(
            "not-a-size",
            "reshape wants sizes known when the model is compiled",
            node.span,
            help="sizes are made of numbers and dims: reshape(x, [batch, 2, -1])",
        )
    open_places = [k for k, size in enumerate(known) if size.constant is not None and size.constant < 0]
    if not open_places:
        return known
    rest = _product([size for k, size in enumerate(known) if k not in open_places])
    whole_part, left = split_multiple(total, rest)
    if len(open_places) > 1 or known[open_places[0]].constant != -1 or left.terms:
        raise Refused("shapes-disagree", f"{_listed(known)} does not say how to cut {total} numbers", node.span,
                      help="one size may be -1; the others must divide the number of all")  # fmt: skip
    known[open_places[0]] = whole_part
    return known


def _listed(sizes: Sequence[IndexExpr]) -> str:
    return f"[{', '.join(map(str, sizes))}]"
