"""Windows along the first axis of an array, as a matrix whose rows overlap."""

# mypy: ignore-errors
# Numba infers the types: the text of these functions is emitted as it stands.
import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import lower_builtin, type_callable

from .array_field import array_field
from .array_of import array_of


def windows(array, count, step, width):
    """A row for each of so many windows: array[n * step : n * step + width] as one row. Nothing is copied."""
    shape = count, width * (array[0].size if array.ndim > 1 else 1)
    return np.lib.stride_tricks.as_strided(array, shape, (step * array.strides[0], array.itemsize))


@type_callable(windows)
def type_of_windows(_):
    """What compiled code takes windows for: a matrix."""
    return lambda array, count, step, width: types.Array(
        array.dtype, 2, "A", readonly=not array.mutable, aligned=array.aligned
    )


@lower_builtin(windows, types.Array, types.Integer, types.Integer, types.Integer)
def compiled_windows(context, builder, signature, arguments):
    """What windows are in compiled code: other lengths and steps."""
    result, array = signature.return_type, signature.args[0]
    given, count, step, width = arguments
    data, shape, strides = (array_field(context, builder, array, given, name) for name in ("data", "shape", "strides"))
    first = builder.extract_value(strides, 0)
    for length in cgutils.unpack_tuple(builder, shape)[1:]:
        width = builder.mul(width, length)
    item = cgutils.intp_t(context.get_abi_sizeof(context.get_data_type(array.dtype)))
    return array_of(context, builder, result, data, [count, width], [builder.mul(first, step), item])
