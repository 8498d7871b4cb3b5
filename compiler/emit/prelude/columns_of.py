"""A range of columns. A slice of an array takes Numba four times as long to compile."""

# mypy: ignore-errors
# Numba infers the types: the text of these functions is emitted as it stands.
from numba import types
from numba.core import cgutils
from numba.extending import lower_builtin, type_callable

from .array_field import array_field
from .array_of import array_of


def columns_of(matrix, first, last):
    """matrix[:, first:last], of which there have to be so many."""
    return matrix[:, first:last]


@type_callable(columns_of)
def type_of_columns_of(_):
    """What compiled code takes some columns for: a matrix whose rows lie apart."""
    return lambda matrix, first, last: matrix.copy(layout="A")


@lower_builtin(columns_of, types.Array, types.Integer, types.Integer)
def compiled_columns_of(context, builder, signature, arguments):
    """What columns_of is in compiled code: another address and one other length."""
    kind = signature.args[0]
    given, first, last = arguments
    data, shape, strides = (array_field(context, builder, kind, given, name) for name in ("data", "shape", "strides"))
    lengths, steps = cgutils.unpack_tuple(builder, shape), cgutils.unpack_tuple(builder, strides)
    start = cgutils.pointer_add(builder, data, builder.mul(first, steps[1]))
    return array_of(context, builder, signature.return_type, start, [lengths[0], builder.sub(last, first)], steps)
