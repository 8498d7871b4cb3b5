"""A stretch of a buffer in a shape. Slices and reshapes of arrays take Numba four times as long to compile."""

# mypy: ignore-errors
# Numba infers the types: the text of these functions is emitted as it stands.
import math

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload
from numba.np.arrayobj import make_array, populate_array


def view(buffer, start, shape):
    """The numbers of a contiguous array from `start` on, counted row by row, as an array of this shape."""
    return buffer.reshape(-1)[start : start + math.prod(shape)].reshape(shape)


@intrinsic
def stretch(_, buffer, start, shape):
    """What view is in compiled code: an address, lengths and steps."""
    array = types.Array(buffer.dtype, len(shape), "C", readonly=not buffer.mutable, aligned=buffer.aligned)

    def generate(context, builder, _, arguments):
        given, place, sizes = arguments
        lengths = cgutils.unpack_tuple(builder, sizes)
        item = context.get_constant(types.intp, context.get_abi_sizeof(context.get_data_type(buffer.dtype)))
        steps = [item]
        for length in reversed(lengths[1:]):
            steps.insert(0, builder.mul(steps[0], length))
        out, data = make_array(array)(context, builder), make_array(buffer)(context, builder, given).data
        populate_array(out, builder.gep(data, [place]), lengths, steps, item, meminfo=None)
        return out._getvalue()

    return array(buffer, types.intp, types.UniTuple(types.intp, len(shape))), generate


@overload(view)
def compiled_view(buffer, start, shape):
    """The same in compiled code."""
    return lambda buffer, start, shape: stretch(buffer, start, shape)
