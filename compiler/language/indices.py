"""Names of indices that nobody wrote, and the words in which errors speak of reads."""

import itertools
from collections.abc import Mapping

from gradc.errors import Label, Span
from gradc.graph.index import IndexExpr

from . import core, syntax
from .mends import LETTERS, missing_subscripts
from .places import Context
from .refusal import Refused
from .unparse import unparse
from .values import shown
from .world import World

MOST_ORDERS = 24


def index_name(axis: core.Axis, context: Context) -> str:
    """A short name for the index of an axis: the axis' own, its first letter, or i, j, k …"""
    wanted = axis.name
    if not wanted.isidentifier():
        wanted = ""
    elif len(wanted) > 2:  # noqa: PLR2004  (x, i, dx are short, batch is not)
        wanted = wanted[0].lower()
    candidates = itertools.chain([wanted] if wanted not in ("", "l") else [], LETTERS)
    for name in candidates:
        if name not in context.taken:
            context.taken.add(name)
            return name
    return context.fresh_index(wanted or "i")


def indices_for(axes: tuple[core.Axis, ...], context: Context) -> tuple[core.Index, ...]:
    """An index for each axis, with a name of its own."""
    return tuple(core.Index(index_name(a, context), IndexExpr(), a.extent) for a in axes)


def described_read(world: World, node: syntax.Subscript, axes: tuple[core.Axis, ...], tensor: str | None) -> str:
    """`w is declared at 6:7 as [hidden, pixels]`."""
    name = node.base.name if isinstance(node.base, syntax.Name) else "this"
    span = world.tables.spans.get(tensor or "")
    if span is None:
        return f"{name} is {shown(axes)}"
    made = "declared" if any(leaf.name == tensor for _, leaf in world.tables.leaves) else "made"
    where = f"{span.line}:{span.column}" if span.file == node.span.file else str(span)
    return f"{name} is {made} at {where} as [{', '.join(axis.name or str(axis.extent) for axis in axes)}]"


def stray_binder(node: syntax.Binder) -> Refused:
    """What is said of `(i: 10)` on a right side, outside of what a reduction lists."""
    extent = unparse(node.extent)
    return Refused(
        "stray-binder",
        f"the extent of {node.name} is stated on the left side or in a reduction",
        node.span,
        help=f"write y[{node.name}: {extent}] = … or sum[{node.name}: {extent}](…)",
    )


def suggested_order(node: syntax.Subscript, axes: tuple[core.Axis, ...],
                    wanted: Mapping[str, IndexExpr | None]) -> str | None:  # fmt: skip
    """`did you mean w[o, k]?`: the subscripts in an order in which all that stand bare fit."""
    subscripts = node.subscripts
    if len(subscripts) != len(axes) or not all(isinstance(s, syntax.Name) for s in subscripts):
        return None
    names = [s.name for s in subscripts if isinstance(s, syntax.Name)]
    for order in itertools.islice(itertools.permutations(names), 1, MOST_ORDERS):
        fits = [wanted.get(name) in (None, axis.extent) for name, axis in zip(order, axes, strict=True)]
        if all(fits) and isinstance(node.base, syntax.Name):
            return f"did you mean {node.base.name}[{', '.join(order)}]?"
    return None


def shown_base(node: syntax.Subscript) -> str:
    """What is read, by its name if it has one."""
    return node.base.name if isinstance(node.base, syntax.Name) else "this"


def two_dots(span: Span) -> Refused:
    """What `...` stands for would not be told."""
    help = "one ... stands for any number of axes; name the others"
    return Refused("two-dots", "... stands twice between these brackets", span, help=help)


def wrong_count(node: syntax.Subscript, name: str, count: int, axes: tuple[core.Axis, ...]) -> Refused:
    """A read with too many or too few subscripts."""
    return Refused(
        "wrong-rank",
        f"{name} has {_axes(len(axes))}, and is read at {count}",
        node.span,
        [Label(node.span, f"{name} is {shown(axes)}")],
        help=missing_subscripts(node, name, count, axes),
    )


def _axes(count: int) -> str:
    return f"{count} axis" if count == 1 else f"{count} axes"
