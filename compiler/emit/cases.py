"""Cases inside of bodies: which of them may be computed before the rest, and what they are called then.

h_before = h[b, t - 1, j] if t > 0 else f4(0.0)
h[b, t, j] = h_gru_n[b, t, j] * (f4(1.0) - h_gru_z[b, t, j]) + h_gru_z[b, t, j] * h_before
"""

from collections.abc import Collection, Iterator

import sympy

from gradc.graph.index import index
from gradc.graph.nodes import Read, Value
from gradc.graph.scalar import AND, OR, WHERE

from .names import Names


def cases_in(body: sympy.Expr) -> Iterator[sympy.Expr]:
    """The cases in a body that are computed whatever holds: not the body itself, and none under another's condition."""
    if isinstance(body, Read | Value | WHERE.head | AND.head | OR.head):
        return
    for part in body.args:
        if isinstance(part, WHERE.head):
            yield part
        else:
            yield from cases_in(part)


def name_of_case(case: sympy.Expr, rounds: Collection[str], names: Names) -> str:
    """`h_before` for `if t > 0 then h[b, t - 1, j] else 0`, `h_after` where it is read a step later; else `term`.

    Args:
        rounds: the indices of sequential loops around it.
    """
    _, then, otherwise = case.args
    if not isinstance(then, Read) or otherwise != 0:
        return "term"
    steps = {place - index(name) for place in then.subscripts for name in set(place.indices) & set(rounds)}
    known = {step.constant for step in steps if step.constant}
    if not known or min(known) < 0 < max(known):
        return "term"
    return f"{names.of(then.tensor)}_{'before' if max(known) < 0 else 'after'}"
