"""Products of rows that are looked up → rows, looked up, of a product.

    e[b, t, i] = table[x[b, t], i]           z[b, t, j] = sum[i](e[b, t, i]*w[i, j])
    z.table[s, j] = sum[i](table[s, i]*w[i, j])                 z[b, t, j] = z.table[x[b, t], j]

A product of all places becomes one of the rows of a table that has fewer: the signs of a text, the classes. So do its
derivatives, before which what belongs to one row is added up. This is done before differentiation, as pairs are.
"""

from dataclasses import dataclass, replace

import sympy

from gradc.graph.index import ZERO, Gather, IndexExpr, index
from gradc.graph.nodes import Equation, Read, Reducer, mentioned, rebuild
from gradc.graph.tensors import Index

from .engine import EquationRule, Measure, Rule
from .pairs import numbers
from .work import Work

FREE = 32
"""What a free dim counts as: no fewer examples, or steps, are likely."""

PLACES_FOR_A_ROW = 8
"""Places at which a row of the table is looked up at least. Each would have its own product, and three with those of
the derivatives; a single prediction has fewer places, and makes all of the table. An LSTM of 128 units that reads 32
texts of 64 signs, 64 of them different, takes 9.1 → 6.9 ms for a step, 5.4 → 3.7 to predict for 64 texts and as long as
before for one (2026-11, 2 cores of a Zen 4)."""


@dataclass(frozen=True, slots=True)
class _Product:
    """A product with a row that is looked up.

    Attributes:
        row: what is read of the table.
        place: where in the table that is.
        inner: the factors that it is multiplied and summed up with.
        outer: the others.
    """

    row: Read
    place: IndexExpr
    inner: tuple[sympy.Expr, ...]
    outer: tuple[sympy.Expr, ...]


def multiplied_looked_up(work: Work) -> Measure:
    """Products of rows that are looked up in a table with fewer; reads of what such a product became."""
    products = sum(_product_of(equation, work) is not None for equation in work.equations())
    return (products, sum(len(_copies(equation, work)) for equation in work.equations()))


def _of_table(equation: Equation, work: Work) -> tuple[Equation, ...] | None:
    found = _product_of(equation, work)
    if found is None:
        return None
    row, place = found.row, found.place
    table, axis = row.tensor, row.subscripts.index(place)
    taken = {each.name for each in equation.indices}
    name = next(each for each in ("s", *(f"s_{n}" for n in range(2, len(taken) + 3))) if each not in taken)
    own = Index(name, ZERO, work.tensors[table].extents[axis])
    whole = Read(table, tuple(index(name) if at == axis else each for at, each in enumerate(row.subscripts)))
    body = sympy.Mul(whole, *found.inner)
    free = mentioned(body).intersection(equation.written)
    domain = (own, *(each for each in equation.indices if each.name in free))
    indices = (*domain, *equation.reduced)
    part = replace(equation, indices=indices, body=body, origin=equation.origin.after(LOOKUPS.name))
    made = work.add(f"{equation.target}.table", domain, part)
    looked_up = Read(made.tensor, (place, *made.subscripts[1:]))
    kept = tuple(each for each in equation.indices if each.name in equation.written)
    return (replace(equation, indices=kept, body=sympy.Mul(looked_up, *found.outer)),)


def _in_place(equation: Equation, work: Work) -> tuple[Equation, ...] | None:
    """What became a row, looked up, is looked up by who reads it, and need not lie anywhere."""
    copies = _copies(equation, work)
    return (replace(equation, body=rebuild(equation.body, copies)),) if copies else None


def _copies(equation: Equation, work: Work) -> dict[sympy.Expr, sympy.Expr]:
    """What an equation reads of such rows, and what to read in its place; a product has to have it as a matrix."""
    found: dict[sympy.Expr, sympy.Expr] = {}
    if equation.reduced or equation.reducer is not Reducer.SUM:
        return found
    for read in equation.reads:
        row = work.through(read) if any(LOOKUPS.name in e.origin.trail for e in work.behind(read.tensor)) else None
        if isinstance(row, Read) and any(place.gathers for place in row.subscripts):
            found[read] = row
    return found


def _product_of(equation: Equation, work: Work) -> _Product | None:
    """The product that an equation is, if its places are many more than the rows of the table."""
    if equation.reducer is not Reducer.SUM or not equation.reduced or equation.guards:
        return None
    factors = sympy.Mul.make_args(equation.body)
    reduced = {each.name for each in equation.reduced}
    sizes = {each.name: each.extent.value(dict.fromkeys(each.extent.dims, FREE)) for each in equation.indices}
    for factor in factors:
        row = _row(factor, work)
        if row is None:
            continue
        (place,) = (each for each in row.subscripts if each.gathers)
        along = {each.bare for each in row.subscripts if each is not place}
        around = set(place.indices)
        others = tuple(each for each in factors if each is not factor)
        inner = tuple(each for each in others if mentioned(each) & reduced)
        summed = {name for each in inner for name in mentioned(each)}
        rows = work.tensors[row.tensor].extents[row.subscripts.index(place)].constant
        fewer = rows is not None and PLACES_FOR_A_ROW * rows <= numbers(sizes, around)
        if fewer and inner and reduced <= along and around.isdisjoint(reduced | summed | along):
            return _Product(row, place, inner, tuple(each for each in others if each not in inner))
    return None


def _row(factor: sympy.Expr, work: Work) -> Read | None:
    """What is read of a table, at one place that is read itself and whole along the other axes."""
    if not isinstance(factor, Read):
        return None
    read = factor if any(each.gathers for each in factor.subscripts) else work.through(factor)
    if not isinstance(read, Read) or read.tensor in work.variables:
        return None
    extents = work.tensors[read.tensor].extents
    looked_up = [(place, extent) for place, extent in zip(read.subscripts, extents, strict=True) if place.gathers]
    others = [place.bare for place in read.subscripts if not place.gathers]
    if len(looked_up) != 1 or None in others or len(set(others)) < len(others):
        return None
    ((place, extent),) = looked_up
    match place.terms:
        case ((((Gather(low=low, high=high),), 1)),) if low == ZERO and ((extent - high).constant or 0) > 0:
            return read
    return None


LOOKUPS: EquationRule = Rule(
    "lookups",
    "sum[i](table[x[b], i]*w[i, j])",
    "sum[i](table[s, i]*w[i, j]) at s = x[b]",
    "a table has fewer rows than there are places that look one up",
    _of_table,
)

IN_PLACE: EquationRule = Rule(
    "lookups in place",
    "z[b, j] = rows[x[b], j], h[b, j] = f(z[b, j])",
    "h[b, j] = f(rows[x[b], j])",
    "what is looked up need not be written to be read once more",
    _in_place,
)
