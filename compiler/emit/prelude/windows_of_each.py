"""Windows along the second axis of an array, as a stack of matrices: one for each place of the first."""

# mypy: ignore-errors
# Numba infers the types: the text of these functions is emitted as it stands.
import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import lower_builtin, type_callable

from .array_field import array_field
from .array_of import array_of


def windows_of_each(array, count, step, width):
    """Of each part of an array its windows(part, count, step, width). Nothing is copied."""
    shape = len(array), count, width * int(np.prod(array.shape[2:]))
    return np.lib.stride_tricks.as_strided(array, shape, (array.strides[0], step * array.strides[1], array.itemsize))


@type_callable(windows_of_each)
def type_of_windows_of_each(_):
    """What compiled code takes them for: a stack of matrices."""
    return lambda array, count, step, width: types.Array(
        array.dtype, 3, "A", readonly=not array.mutable, aligned=array.aligned
    )


@lower_builtin(windows_of_each, types.Array, types.Integer, types.Integer, types.Integer)
def compiled_windows_of_each(context, builder, signature, arguments):
    """What they are in compiled code: other lengths and steps."""
    result, array = signature.return_type, signature.args[0]
    given, count, step, width = arguments
    data, shape, strides = (array_field(context, builder, array, given, name) for name in ("data", "shape", "strides"))
    lengths, steps = cgutils.unpack_tuple(builder, shape), cgutils.unpack_tuple(builder, strides)
    for length in lengths[2:]:
        width = builder.mul(width, length)
    item = cgutils.intp_t(context.get_abi_sizeof(context.get_data_type(array.dtype)))
    steps = [steps[0], builder.mul(steps[1], step), item]
    return array_of(context, builder, result, data, [lengths[0], count, width], steps)
