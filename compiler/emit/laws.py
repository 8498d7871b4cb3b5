"""Initial laws → NumPy expressions over a parameter's whole shape, for the emitted `init`."""

import re
from collections.abc import Mapping

import sympy

from gradc.graph.index import IndexExpr
from gradc.graph.nodes import Named, Read, leaves_of
from gradc.graph.printing import (
    PLAIN_OPERATORS,
    Level,
    Piece,
    Printer,
    Style,
    decimal_of,
    is_long,
    long_number,
    plain_quotient,
)
from gradc.graph.tensors import Index

OPERATORS: Mapping[str, str] = {
    **{name: sign for name, sign in PLAIN_OPERATORS.items() if name not in ("and", "or", "not", "pow")},
    **{"mul": " * ", "div": " / "},
}
CALLS: Mapping[str, str] = {
    "asin": "np.arcsin", "acos": "np.arccos", "atan": "np.arctan", "and": "np.logical_and", "or": "np.logical_or",
    "not": "np.logical_not", "max": "np.maximum", "min": "np.minimum", "round": "np.rint", "pow": "np.power",
    "stop_gradient": "np.asarray", "erf": "np.vectorize(math.erf)",
}  # fmt: skip


def law_text(body: sympy.Expr, indices: tuple[Index, ...], shape: tuple[int, ...]) -> str | None:
    """The law as an expression, an array or a number; None for zeros, which buffers start with.

    `2 * uniform() - 1` over [64, 32] → `2.0 * rng.random((64, 32)) - 1.0`
    """
    if body == 0:
        return None
    places = {i.name: at for at, i in enumerate(indices)}

    def read(leaf: Read) -> Piece:
        size = ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "")
        return Piece(f"rng.random(({size}))" if leaf.tensor == "uniform" else f"rng.standard_normal(({size}))")

    def value(expr: IndexExpr) -> Piece:
        return Piece(_grid(expr, indices, places), Level.SUM)

    return Printer(_style(read, value)).print(body)


def _grid(expr: IndexExpr, indices: tuple[Index, ...], places: Mapping[str, int]) -> str:
    """An index expression over the whole shape, by broadcasting: `np.arange(64)[:, None]`."""
    rank = len(indices)
    ranges: dict[str, str] = {}
    for name in expr.indices:
        at = places[name]
        i = indices[at]
        low = f"{i.low}, " if i.low.terms else ""
        axes = ", ".join(":" if place == at else "None" for place in range(rank))
        ranges[name] = f"np.arange({low}{i.high})" + (f"[{axes}]" if rank > 1 else "")
    return re.sub(r"[^\W\d]\w*", lambda word: ranges.get(word[0], word[0]), str(expr))


def _style(read: object, value: object) -> Style:
    def number(rational: sympy.Rational) -> Piece:
        if is_long(rational):
            return Piece(long_number(rational))
        if rational.q == 1:
            return Piece(f"{rational.p}.0")
        decimal = decimal_of(rational)
        return Piece(decimal) if decimal else Piece(f"{rational.p} / {rational.q}", Level.PRODUCT)

    def call(name: str, arguments: tuple[str, ...]) -> Piece:
        if name == "softplus":
            return Piece(f"np.logaddexp(0.0, {arguments[0]})")
        return Piece(f"{CALLS.get(name, f'np.{name}')}({', '.join(arguments)})")

    def named(leaf: Named) -> Piece:
        return Piece(f"np.{leaf.name}")

    return Style(
        number=number,
        read=read,  # type: ignore[arg-type]  # the callers' closures have these types
        value=value,  # type: ignore[arg-type]
        named=named,
        operators=OPERATORS,
        call=call,
        where=lambda c, a, b: Piece(f"np.where({c.text}, {a.text}, {b.text})"),
        power=lambda base, exponent: Piece(f"{base}**{exponent}", Level.POWER),
        quotient=plain_quotient,
    )


def is_random(body: sympy.Expr) -> bool:
    """Whether a law draws random numbers."""
    return any(isinstance(leaf, Read) for leaf in leaves_of(body))
