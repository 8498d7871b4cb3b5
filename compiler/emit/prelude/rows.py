"""A range of rows. A slice of an array takes Numba four times as long to compile."""

# mypy: ignore-errors
# Numba infers the types: the text of these functions is emitted as it stands.
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload
from numba.np.arrayobj import make_array, populate_array


def rows(array, first, last):
    """array[first:last], of which there have to be so many."""
    return array[first:last]


@intrinsic
def row_range(_, array, first, last):
    """What rows is in compiled code: another address and one other length."""

    def generate(context, builder, _, arguments):
        given = make_array(array)(context, builder, arguments[0])
        lengths = cgutils.unpack_tuple(builder, given.shape)
        steps = cgutils.unpack_tuple(builder, given.strides)
        lengths[0] = builder.sub(arguments[2], arguments[1])
        start = cgutils.pointer_add(builder, given.data, builder.mul(arguments[1], steps[0]))
        out = make_array(array)(context, builder)
        populate_array(out, start, lengths, steps, given.itemsize, meminfo=None)
        return out._getvalue()

    return array(array, types.intp, types.intp), generate


@overload(rows)
def compiled_rows(array, first, last):
    """The same in compiled code."""
    return lambda array, first, last: row_range(array, first, last)
