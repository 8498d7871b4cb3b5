"""Matrix products: NumPy's when Python calls them, NumPy's own BLAS when compiled code does."""

# mypy: ignore-errors
# Numba infers the types: the text of these functions is emitted as it stands.
import ctypes
import sys
from pathlib import Path

import numpy as np
from llvmlite.binding import add_symbol
from numba import types
from numba.core import cgutils
from numba.extending import lower_builtin, type_callable

from .array_field import array_field


def gemm(a, b, out, accumulate):
    """out = a @ b, or out += a @ b, by NumPy. Compiled code calls NumPy's BLAS itself, through compiled_gemm."""
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
    """The same by BLAS. Nothing is copied, nothing allocated.

    a and b have contiguous rows, or contiguous columns as a transposed array has; out has contiguous rows.
    """
    kinds = signature.args[:3]
    data, strides, shapes = (
        [array_field(context, builder, kind, array, name) for kind, array in zip(kinds, arguments[:3], strict=True)]
        for name in ("data", "strides", "shape")
    )
    numbers = (
        [builder.ptrtoint(each, cgutils.intp_t) for each in data],
        [step for steps in strides for step in cgutils.unpack_tuple(builder, steps)],
        [*cgutils.unpack_tuple(builder, shapes[2]), builder.extract_value(shapes[0], 1)],
    )
    # of addresses and steps: compiled once, not for each order of axes. It raises nothing.
    tuples = [types.UniTuple(types.intp, len(some)) for some in numbers]
    called = [context.make_tuple(builder, kind, some) for kind, some in zip(tuples, numbers, strict=True)]
    product_type = types.none(*tuples, types.boolean)
    product = context.compile_subroutine(builder, blas_product(kinds[2].dtype), product_type)
    context.call_internal_no_propagate(builder, product.fndesc, product_type, [*called, arguments[3]])
    return context.get_dummy_value()


def blas_product(dtype):
    """The product of matrices of this type, given by their addresses, steps in bytes and sizes.

    OpenBLAS wakes its threads above 2^18 multiply-adds: below 2^22, where waiting for them costs more than they bring,
    the product goes to it in blocks that stay under that, of columns, or of rows or of what is summed where those are
    many.
    """
    size, number = types.intp, dtype
    arguments = [types.intc] * 3 + [size] * 3 + [number, size, size, size, size, number, size, size]
    xgemm = types.ExternalFunction(f"numpy_{'s' if dtype == types.float32 else 'd'}gemm", types.void(*arguments))
    by_rows, plain, turned = 101, 111, 112  # as cblas.h numbers them
    item = dtype.bitwidth // 8

    def product(addresses, steps, sizes, accumulate):
        a, b, out = addresses
        a_row, a_column, b_row, b_column, out_row, _ = steps
        m, n, k = sizes
        # plain comparisons: min and max of two numbers would be compiled as functions
        a_by_rows = a_column == item or k == 1
        b_by_rows = b_column == item or n == 1
        a_step = (a_row if a_by_rows else a_column) // item
        b_step = (b_row if b_by_rows else b_column) // item
        out_step = out_row // item
        a_least, b_least = (k if a_by_rows else m), (n if b_by_rows else k)
        tall, wide, deep = m, n, k
        if 2**18 < m * n * k <= 2**22:
            if 8 * m * k <= 2**18:
                wide = 2**18 // (m * k)
            elif 8 * n * k <= 2**18:
                tall = 2**18 // (n * k)
            else:
                deep = 2**18 // (m * n)
        for row in range(0, m, tall if tall > 0 else 1):
            for column in range(0, n, wide if wide > 0 else 1):
                for term in range(0, k if k > 0 else 1, deep if deep > 0 else 1):
                    xgemm(
                        by_rows,
                        plain if a_by_rows else turned,
                        plain if b_by_rows else turned,
                        tall if tall < m - row else m - row,
                        wide if wide < n - column else n - column,
                        deep if deep < k - term else k - term,
                        1.0,
                        a + row * a_row + term * a_column,
                        a_least if a_step < a_least else a_step,
                        b + column * b_column + term * b_row,
                        b_least if b_step < b_least else b_step,
                        1.0 if accumulate or term > 0 else 0.0,
                        out + row * out_row + column * item,
                        n if out_step < n else out_step,
                    )

    return product


def blas_address(letter):
    """Where NumPy's cblas_sgemm or cblas_dgemm is. NumPy's wheels bring it under a name of their own.

    Sizes are passed as 64 bits. Where BLAS takes 32, it finds them in the lower half of the same register or slot; only
    Apple's slots are packed.
    """
    names = [f"scipy_cblas_{letter}gemm64_", f"cblas_{letter}gemm64_", f"cblas_{letter}gemm$NEWLAPACK$ILP64"]
    if sys.platform != "darwin":
        names += [f"scipy_cblas_{letter}gemm", f"cblas_{letter}gemm"]
    folder = Path(np.__file__).parent
    # a name is looked for in a library and in all that it is linked with; Windows looks in the library alone
    for file in (*folder.glob("*core/_multiarray_umath.*"), *folder.parent.glob("numpy.libs/*openblas*")):
        try:
            library = ctypes.CDLL(str(file))
        except OSError:  # not a library
            continue
        for name in names:
            if hasattr(library, name):
                return ctypes.cast(getattr(library, name), ctypes.c_void_p).value
    raise ImportError("NumPy's BLAS was not found beside NumPy; NumPy's wheels and conda's packages have one")


for _letter in "sd":
    add_symbol(f"numpy_{_letter}gemm", blas_address(_letter))
