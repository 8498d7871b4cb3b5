"""Matrix products: NumPy's when Python calls them, BLAS through Numba's own symbol when compiled code does."""

# mypy: ignore-errors
# Numba infers the types: the text of these functions is emitted as it stands.
import numpy as np
from numba import types
from numba.extending import overload
from numba.np.linalg import ensure_blas

from .scope import f4, f8, vector


def gemm(a, b, out, accumulate):
    """out = a @ b, or out += a @ b, by NumPy. Compiled code calls BLAS instead, through compiled_gemm."""
    if accumulate:
        out += a @ b
    else:
        np.matmul(a, b, out)


@vector
def stored(x):
    """How BLAS finds x: whether its rows are contiguous (or else its columns), and how far apart they start."""
    by_rows = x.strides[1] == x.itemsize or x.shape[1] == 1
    step, least = (x.strides[0], x.shape[1]) if by_rows else (x.strides[1], x.shape[0])
    return by_rows, max(step // x.itemsize, least, 1)


@overload(gemm)
def compiled_gemm(a, b, out, accumulate):
    """The same by the BLAS that SciPy brings. Nothing is copied, nothing allocated.

    a and b have contiguous rows, or contiguous columns as a transposed array has; out has contiguous rows. BLAS counts
    by columns, so it is asked for outᵀ = bᵀ aᵀ. OpenBLAS wakes its threads above 2^18 multiply-adds: below 2^22, where
    waiting for them costs more than they bring, columns go to it in blocks that stay under that.
    """
    ensure_blas()
    letter, size, reals = types.char, types.intp, types.CPointer(out.dtype)
    arguments = [letter] * 3 + [size] * 3 + [reals, reals, size, reals, size, reals, reals, size]
    xxgemm = types.ExternalFunction("numba_xxgemm", types.intc(*arguments))
    single = out.dtype == types.float32
    kind = ord("s" if single else "d")
    zero, one = np.zeros(1, f4 if single else f8), np.ones(1, f4 if single else f8)

    def product(a, b, out, accumulate):
        m, n, k = out.shape[0], out.shape[1], a.shape[1]
        a_by_rows, a_step = stored(a)
        b_by_rows, b_step = stored(b)
        a_turn, b_turn = ord("n" if a_by_rows else "t"), ord("n" if b_by_rows else "t")
        out_step = max(out.strides[0] // out.itemsize, n, 1)
        beta = one if accumulate else zero
        block = max(2**18 // max(m * k, 1), 8) if 2**18 < m * n * k <= 2**22 else max(n, 1)
        for first in range(0, n, block):
            columns = min(block, n - first)
            x, y, z = b[:, first : first + columns].ctypes, a.ctypes, out[:, first : first + columns].ctypes
            xxgemm(kind, b_turn, a_turn, columns, m, k, one.ctypes, x, b_step, y, a_step, beta.ctypes, z, out_step)

    return product
