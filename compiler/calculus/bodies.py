"""The derivative of a body by one of its reads: sums, products, powers and the table of scalar functions.

Derivatives are memoised by the body's shape (its reads numbered, their tensors forgotten): equal layers share them.
"""

from functools import lru_cache

import sympy
from sympy import Integer

from gradc.errors import InternalError
from gradc.graph import scalar
from gradc.graph.index import number
from gradc.graph.nodes import Head, Named, Read, Value, leaves_of, rebuild


def derivative(body: sympy.Expr, by: Read, value: sympy.Expr | None = None) -> sympy.Expr:
    """∂body/∂by. `value`, where given, is a read that holds the body's own value: tanh′ = 1 − value².

    Raises:
        InternalError: a function in the body has no derivative; the language refuses such models before.
    """
    leaves = leaves_of(body)
    shape: dict[sympy.Expr, sympy.Expr] = {leaf: _slot(place, leaf) for place, leaf in enumerate(leaves)}
    back: dict[sympy.Expr, sympy.Expr] = {slot: leaf for leaf, slot in shape.items()}
    result = _by_shape(rebuild(body, shape), shape[by], value is not None)
    return rebuild(result, back | ({VALUE: value} if value is not None else {}))


VALUE = Read("value", ())


def _slot(place: int, leaf: Read | Value) -> sympy.Expr:
    return Read("read" if isinstance(leaf, Read) else "index", (number(place + 1),))


@lru_cache(maxsize=4096)
def _by_shape(body: sympy.Expr, by: Read, has_value: bool) -> sympy.Expr:
    with sympy.core.parameters.distribute(False):
        if has_value and isinstance(body, Head) and scalar.row_of(body).costly:
            return _chain(body, by, VALUE)
        return _of(body, by)


def _of(body: sympy.Expr, by: Read) -> sympy.Expr:
    if body == by:
        return Integer(1)
    if not body.has(by):
        return Integer(0)
    if isinstance(body, sympy.Add):
        return sympy.Add(*(_of(term, by) for term in body.args))
    if isinstance(body, sympy.Mul):
        return sympy.Add(*(_one_factor(body.args, place, by) for place in range(len(body.args))))
    if isinstance(body, sympy.Pow):
        return body.exp * body.base ** (body.exp - 1) * _of(body.base, by)
    if isinstance(body, Head):
        return _chain(body, by, body)
    assert not isinstance(body, Named | Value)
    raise InternalError(f"no derivative of {type(body).__name__}")


def _one_factor(factors: tuple[sympy.Expr, ...], place: int, by: Read) -> sympy.Expr:
    return times(_of(factors[place], by), sympy.Mul(*factors[:place], *factors[place + 1 :]))


def _chain(body: Head, by: Read, value: sympy.Expr) -> sympy.Expr:
    if body.row_name == "where":
        condition, then, otherwise = body.args
        return where(condition, _of(then, by), _of(otherwise, by))
    row = scalar.row_of(body)
    if row.derivative is None:
        raise InternalError(f"{row.name} has no derivative: {row.why}")
    partial = row.derivative(value, *body.args)
    inner = [_of(argument, by) for argument in body.args]
    return sympy.Add(*(times(slope, change) for slope, change in zip(inner, partial, strict=True)))


def where(condition: sympy.Expr, then: sympy.Expr, otherwise: sympy.Expr) -> sympy.Expr:
    """`if condition then … else …`, and the one value where both are the same."""
    return then if then == otherwise else scalar.WHERE(condition, then, otherwise)


def times(factor: sympy.Expr, body: sympy.Expr) -> sympy.Expr:
    """The product, inside the branches of a `where`: what a branch not taken holds (0/0, say) never meets it."""
    if factor == 0 or body == 0:
        return Integer(0)
    for inner, outer in ((body, factor), (factor, body)):
        if isinstance(inner, Head) and inner.row_name == "where":
            condition, then, otherwise = inner.args
            return where(condition, times(outer, then), times(outer, otherwise))
    return factor * body
