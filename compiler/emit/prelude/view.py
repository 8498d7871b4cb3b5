"""A stretch of a buffer in a shape. Slices and reshapes of arrays take Numba four times as long to compile."""

# mypy: ignore-errors
# Numba infers the types: the text of these functions is emitted as it stands.
import math

from numba import types
from numba.core import cgutils
from numba.extending import lower_builtin, type_callable
from numba.np.numpy_support import as_dtype

from .array_field import array_field
from .array_of import array_of


def view(buffer, start, shape):
    """The numbers of a contiguous array from `start` on, counted row by row, as an array of this shape."""
    return buffer.reshape(-1)[start : start + math.prod(shape)].reshape(shape)


@type_callable(view)
def type_of_view(_):
    """What compiled code takes a view for: a contiguous array with as many axes as the shape has."""
    return lambda buffer, start, shape: types.Array(
        buffer.dtype, len(shape), "C", readonly=not buffer.mutable, aligned=buffer.aligned
    )


@lower_builtin(view, types.Array, types.Integer, types.UniTuple)
def compiled_view(context, builder, signature, arguments):
    """What a view is in compiled code: another address, lengths and steps."""
    array, buffer = signature.return_type, signature.args[0]
    given, start, shape = arguments
    lengths = cgutils.unpack_tuple(builder, shape)
    steps = [cgutils.intp_t(as_dtype(array.dtype).itemsize)]
    for length in reversed(lengths[1:]):
        steps.insert(0, builder.mul(steps[0], length))
    data = builder.gep(array_field(context, builder, buffer, given, "data"), [start])
    return array_of(context, builder, array, data, lengths, steps)
