"""An array put together, for the functions here that tell Numba what code they are."""

# mypy: ignore-errors
from numba.core import cgutils
from numba.np.numpy_support import as_dtype


def array_of(context, builder, kind, data, lengths, steps):
    """An array in compiled code: an address, lengths and steps in bytes. It owns nothing and is not counted."""
    model = context.data_model_manager[kind]
    count = lengths[0]
    for length in lengths[1:]:
        count = builder.mul(count, length)
    fields = {
        "nitems": count,
        "itemsize": cgutils.intp_t(as_dtype(kind.dtype).itemsize),
        "data": data,
        "shape": cgutils.pack_array(builder, lengths),
        "strides": cgutils.pack_array(builder, steps),
    }
    array = cgutils.get_null_value(model.get_value_type())
    for name, value in fields.items():
        array = builder.insert_value(array, value, model.get_field_position(name))
    return array
