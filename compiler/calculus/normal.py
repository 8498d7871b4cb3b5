"""The normal form after the swap: writes are bare indices wherever they can be.

    dh[t - 1] += e(t)      0 ≤ t < n          becomes      dh[p] += e(p + 1)      0 ≤ p < extent, where 0 ≤ p + 1 < n

A write that stays affine (`n*width + d`), constant (`h[b, 0]`) or a gather (`dE[ids[b]]`) is left as it is: the
scheduler writes it in place, or adds it where places can meet.
"""

from dataclasses import replace

from gradc.graph.index import ZERO, IndexExpr, index
from gradc.graph.nodes import Equation, Guard, Relation, Tensor, substitute
from gradc.graph.tensors import Index, ranges_of


def normal_form(equation: Equation, target: Tensor) -> Equation:
    """The same sum with every write solved for its index that can be."""
    for place, written in enumerate(equation.write):
        solved = _solve(equation, place)
        if solved is not None and written.bare is None:
            equation = _with_place(equation, place, solved, target.extents[place])
    return without_proven_guards(equation)


def _solve(equation: Equation, place: int) -> tuple[Index, int] | None:
    """The one index of the write's place, with coefficient ±1, that no other place mentions."""
    written = equation.write[place]
    names = written.indices
    if len(names) != 1 or written.gathers:
        return None
    if any(names[0] in other.indices for at, other in enumerate(equation.write) if at != place):
        return None
    factor = written.coefficient(names[0])
    if factor is None or factor.constant not in (1, -1):
        return None
    found = next(i for i in equation.indices if i.name == names[0])
    return found, factor.constant


def _with_place(equation: Equation, place: int, solved: tuple[Index, int], extent: IndexExpr) -> Equation:
    old, sign = solved
    name = old.name
    rest = equation.write[place] - index(name) * sign
    inverse = (index(name) - rest) * sign
    values = {name: inverse}
    inside = (Guard(inverse - old.low, Relation.AT_LEAST), Guard(old.high - 1 - inverse, Relation.AT_LEAST))
    return replace(
        equation,
        write=(*equation.write[:place], index(name), *equation.write[place + 1 :]),
        indices=tuple(Index(name, ZERO, extent) if i.name == name else i for i in equation.indices),
        guards=(*(guard.substitute(values) for guard in equation.guards), *inside),
        body=substitute(equation.body, values),
    )


def without_proven_guards(equation: Equation) -> Equation:
    """Guards that the ranges imply are dropped."""
    ranges = ranges_of(equation.indices)
    kept = tuple(
        guard
        for guard in dict.fromkeys(equation.guards)
        if not (guard.relation is Relation.AT_LEAST and ranges.nonnegative(guard.value))
    )
    return replace(equation, guards=kept) if kept != equation.guards else equation
