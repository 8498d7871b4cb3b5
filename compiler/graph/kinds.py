"""What the numbers of a body are: real, whole or true/false."""

from collections.abc import Mapping

import sympy
from sympy import Integer, Rational

from . import scalar
from .nodes import Head, Named, Read, Tensor, Value
from .tensors import Kind


def kind_of(body: sympy.Expr, tensors: Mapping[str, Tensor]) -> Kind:
    """What the numbers of a body are."""
    if isinstance(body, Read):
        return tensors[body.tensor].kind
    if isinstance(body, Value | Integer):
        return Kind.WHOLE
    if isinstance(body, Rational | Named):
        return Kind.REAL
    if isinstance(body, sympy.Pow):
        return kind_of(body.base, tensors) if body.exp.is_Integer and body.exp > 0 else Kind.REAL
    if isinstance(body, Head):
        gives = scalar.row_of(body).gives
        if gives != "same":
            return {"real": Kind.REAL, "whole": Kind.WHOLE, "bool": Kind.BOOL}[gives]
        numbers = body.args[1:] if body.row_name == "where" else body.args
        return joined_kind(*(kind_of(part, tensors) for part in numbers))
    return joined_kind(Kind.WHOLE, *(kind_of(part, tensors) for part in body.args))


def joined_kind(*kinds: Kind) -> Kind:
    """What numbers of several kinds are together: reals if any is, whole if any is, else true/false."""
    if all(kind is kinds[0] for kind in kinds):
        return kinds[0]
    return Kind.REAL if Kind.REAL in kinds else Kind.WHOLE
