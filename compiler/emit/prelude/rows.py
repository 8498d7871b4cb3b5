"""A range of rows. A slice of an array takes Numba four times as long to compile."""

# mypy: ignore-errors
# Numba infers the types: the text of these functions is emitted as it stands.
from numba import types
from numba.core import cgutils
from numba.extending import lower_builtin, type_callable

from .array_field import array_field
from .array_of import array_of


def rows(array, first, last):
    """array[first:last], of which there have to be so many."""
    return array[first:last]


@type_callable(rows)
def type_of_rows(_):
    """What compiled code takes some rows for: an array as the whole is."""
    return lambda array, first, last: array


@lower_builtin(rows, types.Array, types.Integer, types.Integer)
def compiled_rows(context, builder, signature, arguments):
    """What rows is in compiled code: another address and one other length."""
    array = signature.return_type
    given, first, last = arguments
    data, shape, strides = (array_field(context, builder, array, given, name) for name in ("data", "shape", "strides"))
    lengths, steps = cgutils.unpack_tuple(builder, shape), cgutils.unpack_tuple(builder, strides)
    start = cgutils.pointer_add(builder, data, builder.mul(first, steps[0]))
    return array_of(context, builder, array, start, [builder.sub(last, first), *lengths[1:]], steps)
