"""Rules of graphs: places of tensors that nothing writes, or that nothing reads.

    a[r, 0] = f(r),  s[r, o] = sum[i](a[r, i]*w[i, o])     →     s[r, o] = a[r, 0]*w[0, o]
    h[r, i] = f(r, i),  y[r] = h[r, n - 1]                 →     h[r, n - 1] = f(r, n - 1)

So come derivatives by one of several inputs, as in equations with second derivatives, and what is read at its last step
alone. What is not written is 0.
"""

from collections.abc import Sequence
from dataclasses import replace

import sympy

from gradc.graph.index import IndexExpr
from gradc.graph.nodes import Equation, Read, Reducer

from .domains import solved_for
from .engine import GraphRule, Rule
from .work import Work


def _unwritten(work: Work) -> Sequence[str]:
    """A sum over the places of a factor that is 0 at all but one is what it is there."""
    single = {name: places for name in work.writers if (places := work.single_places(name))}
    changed = []
    for name, equations in list(work.writers.items()) if single else ():
        new = [_at_single_places(equation, single) or equation for equation in equations]
        if any(a is not b for a, b in zip(new, equations, strict=True)):
            work.put(name, new)
            changed.append(name)
    return changed


def _at_single_places(equation: Equation, single: dict[str, dict[int, IndexExpr]]) -> Equation | None:
    if equation.reducer is not Reducer.SUM:
        return None
    for factor in sympy.Mul.make_args(equation.body):
        for at, place in single.get(factor.tensor, {}).items() if isinstance(factor, Read) else ():
            apart = factor.subscripts[at] - place
            if apart.indices and not apart.gathers and (solved := solved_for(equation, apart)) is not None:
                return replace(solved, origin=equation.origin.after(UNWRITTEN.name))
    return None


def _unread(work: Work) -> Sequence[str]:
    """A tensor that is read at one place along an axis is made there alone."""
    changed = []
    for (name, axis), place in _read_places(work).items():
        if place is None or work.is_output(name) or name in work.variables or name not in work.writers:
            continue
        new = [_made_at(equation, axis, place) for equation in work.writers[name]]
        kept = [each for each in new if each is not None]
        if any(a is not b for a, b in zip(new, work.writers[name], strict=True)):
            work.put(name, kept)
            changed.append(name)
    return changed


def _read_places(work: Work) -> dict[tuple[str, int], IndexExpr | None]:
    """For the axes of tensors the place that all reads are at, one of several; None where there is no such."""
    found: dict[tuple[str, int], IndexExpr | None] = {}
    for equation in work.equations():
        for name, places in equation.uses.items():
            for subscripts in places[1:] if name == equation.target else places:
                for at, place in enumerate(subscripts):
                    fixed = not place.indices and not place.gathers
                    known = found.setdefault((name, at), place if fixed else None)
                    if known is not None and known != place:
                        found[name, at] = None
    return found


def _made_at(equation: Equation, axis: int, place: IndexExpr) -> Equation | None:
    """What an equation makes at a place of an axis: itself where it makes nothing else, or no index tells."""
    apart = equation.write[axis] - place
    if not apart.indices or apart.gathers:
        return None if apart.constant else equation
    solved = solved_for(equation, apart)
    return equation if solved is None else replace(solved, origin=equation.origin.after(UNREAD.name))


UNREAD: GraphRule = Rule(
    "unread places", "h[i] = f(i), read at h[0] alone", "h[0] = f(0)", "nothing needs the others", _unread
)
UNWRITTEN: GraphRule = Rule(
    "unwritten places",
    "sum[i](a[i]*w[i]), where a[0] = f is all of a",
    "a[0]*w[0]",
    "a is 0 elsewhere",
    _unwritten,
    assumes="w is finite, or not wanted where a is 0",
)

PLACES: tuple[GraphRule, ...] = (UNREAD, UNWRITTEN)
