"""Matrix products: NumPy's when Python calls them, BLAS through Numba's own symbol when compiled code does."""

# mypy: ignore-errors
# Numba infers the types: the text of these functions is emitted as it stands.
import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import lower_builtin, type_callable
from numba.np.linalg import ensure_blas

from .array_field import array_field


def gemm(a, b, out, accumulate):
    """out = a @ b, or out += a @ b, by NumPy. Compiled code calls BLAS instead, through compiled_gemm."""
    if accumulate:
        out += a @ b
    else:
        np.matmul(a, b, out)


@type_callable(gemm)
def type_of_gemm(_):
    """What compiled code takes a product for: it gives nothing back."""
    return lambda a, b, out, accumulate: types.none


@lower_builtin(gemm, types.Array, types.Array, types.Array, types.Boolean)
def compiled_gemm(context, builder, signature, arguments):
    """The same by the BLAS that SciPy brings. Nothing is copied, nothing allocated.

    a and b have contiguous rows, or contiguous columns as a transposed array has; out has contiguous rows.
    """
    kinds, dtype = signature.args[:3], signature.args[2].dtype
    parts = [
        [array_field(context, builder, kind, array, name) for kind, array in zip(kinds, arguments[:3], strict=True)]
        for name in ("data", "strides", "shape")
    ]
    # BLAS takes its factors, 1 and 0, by their addresses
    one, zero = (cgutils.alloca_once_value(builder, context.get_constant(dtype, value)) for value in (1, 0))
    addresses = [*parts[0], one, builder.select(arguments[3], one, zero)]
    numbers = (
        [builder.ptrtoint(each, cgutils.intp_t) for each in addresses],
        [step for steps in parts[1] for step in cgutils.unpack_tuple(builder, steps)],
        [*cgutils.unpack_tuple(builder, parts[2][2]), builder.extract_value(parts[2][0], 1)],
    )
    # of addresses and steps: compiled once, not for each order of axes. It raises nothing.
    tuples = [types.UniTuple(types.intp, len(some)) for some in numbers]
    called = [context.make_tuple(builder, kind, some) for kind, some in zip(tuples, numbers, strict=True)]
    product = context.compile_subroutine(builder, blas_product(dtype), types.none(*tuples))
    context.call_internal_no_propagate(builder, product.fndesc, types.none(*tuples), called)
    return context.get_dummy_value()


def blas_product(dtype):
    """The product of matrices of this type, given by their addresses and steps in bytes.

    BLAS counts by columns, so it is asked for outᵀ = bᵀ aᵀ. OpenBLAS wakes its threads above 2^18 multiply-adds: below
    2^22, where waiting for them costs more than they bring, columns go to it in blocks that stay under that.
    """
    ensure_blas()
    letter, size, address = types.char, types.intp, types.intp
    arguments = [letter] * 3 + [size] * 3 + [address, address, size, address, size, address, address, size]
    xxgemm = types.ExternalFunction("numba_xxgemm", types.intc(*arguments))
    single = dtype == types.float32
    kind, plain, turned = ord("s" if single else "d"), ord("n"), ord("t")
    item = 4 if single else 8

    def product(addresses, steps, sizes):
        a, b, out, one, beta = addresses
        a_row, a_column, b_row, b_column, out_row, _ = steps
        m, n, k = sizes
        # plain comparisons: min and max of two numbers would be compiled as functions
        a_by_rows = a_column == item or k == 1
        b_by_rows = b_column == item or n == 1
        a_step = (a_row if a_by_rows else a_column) // item
        b_step = (b_row if b_by_rows else b_column) // item
        out_step = out_row // item
        a_least, b_least = (k if a_by_rows else m), (n if b_by_rows else k)
        block = n
        if 2**18 < m * n * k <= 2**22:
            block = 2**18 // (m * k)
            block = 8 if block < 8 else block
        for first in range(0, n, block if block > 0 else 1):
            columns = block if block < n - first else n - first
            xxgemm(
                kind,
                plain if b_by_rows else turned,
                plain if a_by_rows else turned,
                columns,
                m,
                k,
                one,
                b + first * b_column,
                b_least if b_step < b_least else b_step,
                a,
                a_least if a_step < a_least else a_step,
                beta,
                out + first * item,
                n if out_step < n else out_step,
            )

    return product
