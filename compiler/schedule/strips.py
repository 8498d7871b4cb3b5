"""Windows as matrices whose rows overlap: what all windows along one axis read lies side by side in one strip.

    y[b, i, j, o] = Σ_u,v,k x[b, i + u, j + v, k]·w[u, v, k, o]

For each b, i and u this is a product: the row j of its first factor is x[b, i + u] from j on, as far as a window
reaches, and the next row begins one place further. Nothing is copied for that. Where windows reach over the ends of the
axis, x[b] is copied with zeros around, for one b after the other. The gradients of x and w are such products too.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import takewhile

import sympy

from gradc.graph.index import ONE, ZERO, IndexExpr, index
from gradc.graph.nodes import Equation, Guard, Read, Reducer, Relation, Tensor, reads_of, substitute
from gradc.graph.tensors import Axis, Index, Kind, ranges_of

from .program import Window


@dataclass(frozen=True, slots=True)
class Strip:
    """A product of windows.

    Attributes:
        equation: reads the windows as `window` says.
        window: along which axis they follow each other.
        loops: the indices of loops around each product.
        padded: what is read with zeros around, and its tensor; None where no window reaches over an end.
        rounds: the loops in each round of which it is made.
    """

    equation: Equation
    window: Window
    loops: frozenset[str]
    padded: tuple[Equation, Tensor] | None
    rounds: tuple[str, ...]


def strip_of(equation: Equation, tensors: Mapping[str, Tensor], name: str) -> Strip | None:
    """The product of windows that a term is, if it is one.

    Args:
        equation: of one term, a product of factors.
        name: what the tensor with zeros around is called.
    """
    factors = sympy.Mul.make_args(equation.body)
    windows = {read for read in reads_of(equation.body) if any(len(place.indices) > 1 for place in read.subscripts)}
    if len(windows) != 1 or not windows <= set(factors):
        return None
    (read,) = windows
    axis = max(at for at, place in enumerate(read.subscripts) if len(place.indices) > 1)
    window = _window(read, axis, equation)
    if window is None:
        return None
    turned = dict(_backwards(read, equation))
    if turned:
        return strip_of(_substituted(equation, turned), tensors, name)
    return _padded(equation, read, axis, window, tensors, name)


def _backwards(read: Read, equation: Equation) -> Iterator[tuple[str, IndexExpr]]:
    """The indices that go through windows from their last place to the first, and what is to stand for each."""
    for axis, place in enumerate(read.subscripts):
        window = _window(read, axis, equation)
        if window is not None and place.coefficient(window.inner) != ONE:
            last = next(i.high for i in equation.indices if i.name == window.inner) - 1
            yield window.inner, last - index(window.inner)


def _window(read: Read, axis: int, equation: Equation) -> Window | None:
    """The two indices that run along an axis, if windows of fixed size lie there at a fixed step from each other."""
    place = read.subscripts[axis]
    names = place.indices
    indices = {i.name: i for i in equation.indices}
    elsewhere = {other for at, each in enumerate(read.subscripts) if at != axis for other in each.indices}
    if len(set(names)) != 2 or place.gathers or elsewhere & set(names):  # noqa: PLR2004  (a window's place and its own)
        return None
    inner, outer = sorted(names, key=lambda name: (indices[name].extent.constant or float("inf"), name))
    steps = [place.coefficient(name) for name in (outer, inner)]
    constants = [step.constant if step is not None else None for step in steps]
    rest = place - sum((index(n) * (c or 0) for n, c in zip((outer, inner), constants, strict=True)), ZERO)
    if None in constants or rest.constant is None or any(indices[name].low.terms for name in names):
        return None
    if (constants[0] or 0) < 1 or abs(constants[1] or 0) != 1 or indices[inner].extent.constant is None:
        return None
    return Window(axis, outer, inner)


def _padded(equation: Equation, read: Read, axis: int, window: Window, tensors: Mapping[str, Tensor],
            name: str) -> Strip | None:  # fmt: skip
    """The strip of windows; what they read gets zeros around where conditions keep them from its ends."""
    indices = {i.name: i for i in equation.indices}
    place, extents = read.subscripts[axis], tensors[read.tensor].extents
    ends = (place, extents[axis] - 1 - place)
    step = place.coefficient(window.outer)
    assert step is not None
    about = [g for g in equation.guards if {window.outer, window.inner} & set(g.value.indices)]
    if any(g.relation is not Relation.AT_LEAST or g.value not in ends for g in about):
        return None
    guards = tuple(g for g in equation.guards if g not in about)
    leading = {other for each in read.subscripts[:axis] for other in each.indices}
    loops = frozenset(leading.union(*(g.value.indices for g in guards)))
    if not about:
        return Strip(equation, window, loops, None, ())
    alone = takewhile(lambda each: each.bare is not None, read.subscripts[:axis])
    rounds = tuple(each.bare for each in alone if each.bare is not None)
    length = step * (indices[window.outer].extent - 1) + indices[window.inner].extent
    offset = place - step * index(window.outer) - index(window.inner)
    unused = (name for name in "pqrsmn" if name not in indices)
    domain = []
    for at, (each, extent) in enumerate(zip(read.subscripts, extents, strict=True)):
        own = each.bare or next(unused)
        domain.append(Index(own, ZERO, length if at == axis else extent))
    places = tuple(index(i.name) for i in domain)
    inside = places[axis] + offset
    ranges = ranges_of(tuple(domain))
    within = (Guard(value, Relation.AT_LEAST) for value in (inside, extents[axis] - 1 - inside))
    source = Read(read.tensor, (*places[:axis], inside, *places[axis + 1 :]))
    kept = tuple(g for g in within if not ranges.nonnegative(g.value))
    made = Equation(name, places, tuple(domain), kept, Reducer.SUM, source, equation.origin)
    tensor = Tensor(name, tuple(Axis(i.name, i.extent) for i in domain), Kind.REAL, equation.origin)
    moved = Read(name, (*read.subscripts[:axis], place - offset, *read.subscripts[axis + 1 :]))
    body = sympy.Mul(*(moved if part == read else part for part in sympy.Mul.make_args(equation.body)))
    return Strip(replace(equation, guards=guards, body=body), window, loops, (made, tensor), rounds)


def _substituted(equation: Equation, values: Mapping[str, IndexExpr]) -> Equation:
    return replace(
        equation,
        write=tuple(place.substitute(values) for place in equation.write),
        guards=tuple(guard.substitute(values) for guard in equation.guards),
        body=substitute(equation.body, values),
    )
