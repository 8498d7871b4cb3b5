"""Matrix products: NumPy's when Python calls them, BLAS through Numba's own symbol when compiled code does."""

# mypy: ignore-errors
# Numba infers the types: the text of these functions is emitted as it stands.
import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload, register_jitable
from numba.np.arrayobj import make_array
from numba.np.linalg import ensure_blas

from .scope import f4, f8


def gemm(a, b, out, accumulate):
    """out = a @ b, or out += a @ b, by NumPy. Compiled code calls BLAS instead, through compiled_gemm."""
    if accumulate:
        out += a @ b
    else:
        np.matmul(a, b, out)


@intrinsic
def address(_, array):
    """Where an array begins."""

    def generate(context, builder, _, arguments):
        return builder.ptrtoint(make_array(array)(context, builder, arguments[0]).data, cgutils.intp_t)

    return types.intp(array), generate


@overload(gemm)
def compiled_gemm(a, b, out, accumulate):
    """The same by the BLAS that SciPy brings. Nothing is copied, nothing allocated.

    a and b have contiguous rows, or contiguous columns as a transposed array has; out has contiguous rows.
    """
    product = blas_product(out.dtype)

    def call(a, b, out, accumulate):
        # addresses and steps: compiled once, not for each order of axes
        sizes = out.shape[0], out.shape[1], a.shape[1]
        product((address(a), address(b), address(out)), a.strides, b.strides, out.strides, sizes, accumulate)

    return call


PRODUCTS = {}


def blas_product(dtype):
    """The compiled product of matrices of this type, given by their addresses and steps in bytes.

    BLAS counts by columns, so it is asked for outᵀ = bᵀ aᵀ. OpenBLAS wakes its threads above 2^18 multiply-adds: below
    2^22, where waiting for them costs more than they bring, columns go to it in blocks that stay under that.
    """
    if dtype in PRODUCTS:
        return PRODUCTS[dtype]
    ensure_blas()
    letter, size, address = types.char, types.intp, types.intp
    arguments = [letter] * 3 + [size] * 3 + [address, address, size, address, size, address, address, size]
    xxgemm = types.ExternalFunction("numba_xxgemm", types.intc(*arguments))
    single = dtype == types.float32
    kind, plain, turned = ord("s" if single else "d"), ord("n"), ord("t")
    item = 4 if single else 8
    numbers = np.array([0, 1], f4 if single else f8)

    @register_jitable(error_model="numpy")
    def product(places, a_strides, b_strides, out_strides, sizes, accumulate):
        a, b, out = places
        m, n, k = sizes
        # plain comparisons: min and max of two numbers would be compiled as functions
        a_by_rows = a_strides[1] == item or k == 1
        b_by_rows = b_strides[1] == item or n == 1
        a_step = (a_strides[0] if a_by_rows else a_strides[1]) // item
        b_step = (b_strides[0] if b_by_rows else b_strides[1]) // item
        out_step = out_strides[0] // item
        a_least, b_least = (k if a_by_rows else m), (n if b_by_rows else k)
        zero = numbers.ctypes.data
        beta = zero + item if accumulate else zero
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
                zero + item,
                b + first * b_strides[1],
                b_least if b_step < b_least else b_step,
                a,
                a_least if a_step < a_least else a_step,
                beta,
                out + first * item,
                n if out_step < n else out_step,
            )

    PRODUCTS[dtype] = product
    return product
