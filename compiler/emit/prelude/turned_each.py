"""A stack of matrices, each transposed."""

# mypy: ignore-errors
# Numba infers the types: the text of these functions is emitted as it stands.
import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import lower_builtin, type_callable

from .array_field import array_field
from .array_of import array_of


def turned_each(stack):
    """The stack with rows and columns exchanged. Nothing is copied."""
    return np.swapaxes(stack, 1, 2)


@type_callable(turned_each)
def type_of_turned_each(_):
    """What compiled code takes it for: a stack whose rows lie apart."""
    return lambda stack: stack.copy(layout="A")


@lower_builtin(turned_each, types.Array)
def compiled_turned_each(context, builder, signature, arguments):
    """What it is in compiled code: lengths and steps in another order."""
    kind, (given,) = signature.args[0], arguments
    data, shape, strides = (array_field(context, builder, kind, given, name) for name in ("data", "shape", "strides"))
    (pairs, m, n), (pair, row, column) = (cgutils.unpack_tuple(builder, each) for each in (shape, strides))
    return array_of(context, builder, signature.return_type, data, [pairs, n, m], [pair, column, row])
