"""A part of an array, for the functions here that tell Numba what code they are."""

# mypy: ignore-errors


def array_field(context, builder, kind, array, name):
    """The data, shape, strides … of an array in compiled code."""
    return builder.extract_value(array, context.data_model_manager[kind].get_field_position(name))
