"""Matrix products: NumPy's when Python calls them, NumPy's own BLAS when compiled code does."""

# mypy: ignore-errors
# Numba infers the types: the text of these functions is emitted as it stands.
import ctypes
import sys
from functools import cache
from pathlib import Path

import numpy as np
from llvmlite.binding import add_symbol
from numba import types
from numba.core import cgutils
from numba.extending import lower_builtin, type_callable

from .array_field import array_field
from .own_signature import own_signature
from .scope import inlined, kernel
from .tile import FEW, LONG, REGISTER, ROWS, move, room, tile, turn


def gemm(a, b, out, accumulate):
    """out = a @ b, or out += a @ b, of two stacks of matrices out = Σ_s a[s] @ b[s]. Compiled code does it by
    compiled_gemm.
    """
    if a.ndim == 2 and not accumulate:
        np.matmul(a, b, out)
        return
    made = a @ b if a.ndim == 2 else np.matmul(a, b).sum(0)
    out[...] = out + made if accumulate else made


@type_callable(gemm)
def type_of_gemm(_):
    """What compiled code takes a product for: it gives nothing back."""
    return lambda a, b, out, accumulate: types.none


@lower_builtin(gemm, types.Array, types.Array, types.Array, types.Boolean)
def compiled_gemm(context, builder, signature, arguments):
    """The same by product_of. Nothing is allocated.

    a and b have contiguous rows, or contiguous columns as a transposed array has; out has contiguous rows.
    """
    return called_product(context, builder, signature, arguments, product_of, types.boolean)


def called_product(context, builder, signature, arguments, made, *more):
    """A call of what is made for the type of the matrices, which come first among the arguments."""
    kinds = signature.args[:3]
    data, strides, shapes = (
        [array_field(context, builder, kind, array, name) for kind, array in zip(kinds, arguments[:3], strict=True)]
        for name in ("data", "strides", "shape")
    )
    steps = [cgutils.unpack_tuple(builder, each) for each in strides]
    *before, terms = cgutils.unpack_tuple(builder, shapes[0])
    stacked = len(before) > 1
    nexts = [each[0] if stacked else cgutils.intp_t(0) for each in steps[:2]]
    numbers = (
        [builder.ptrtoint(each, cgutils.intp_t) for each in data],
        [*(step for each in steps for step in each[-2:]), *nexts],
        [*cgutils.unpack_tuple(builder, shapes[2]), terms, before[0] if stacked else cgutils.intp_t(1)],
    )
    # of addresses and steps: compiled once, not for each order of axes
    tuples = [types.UniTuple(types.intp, len(some)) for some in numbers]
    called = [context.make_tuple(builder, kind, some) for kind, some in zip(tuples, numbers, strict=True)]
    product, typing = made(kinds[2].dtype), context.typing_context
    typing.refresh()  # it is a function that Numba has not heard of yet
    product = typing.resolve_value_type(product)
    product_type = own_signature(typing, product, (*tuples, *more))
    context.get_function(product, product_type)(builder, [*called, *arguments[3:]])
    return context.get_dummy_value()


@cache
def product_of(dtype):
    """The product of matrices of this type, given by their addresses, steps in bytes and sizes: tile by tile.

    What a column of tiles needs of b is packed on the stack, row after row, if it does not lie so, or by the first of
    them if it is read often; so are rows of a transposed a, whose numbers lie far apart, if they are read often. A few
    rows are made in wider tiles: that is reading b, and longer stretches of it are fetched ahead.
    BLAS takes what is very large and has many rows, which it cuts for threads of its own, and a few rows times a large
    matrix that lies transposed. Of stacks, a tile sums up several products before it is stored.
    """
    item, deep = dtype.bitwidth // 8, 256
    many = 2**17 // (deep * item)
    one = REGISTER // item
    two, few_wide, long = 2 * one, 4 * one, LONG * one
    by_blas, packed, panel_at, rows_at, column_of_tiles = (
        blas_product(dtype),
        packing(dtype),
        room(deep * two * item),
        room((many + one) * deep * item),
        tiles(dtype),
    )
    first = tile(dtype, ROWS, 2, packs=True)

    @kernel
    def product(addresses, steps, sizes, accumulate):
        a, b, out = addresses
        a_row, a_column, b_row, b_column, out_row, _, a_next, b_next = steps
        m, n, k, count = sizes
        if count == 1 and ((m > 192 and m * n * k > 2**27) or (m < 4 and n * k > 2**17 and b_column != item)):
            by_blas(addresses, steps, sizes, accumulate)
            return
        wide = long if m == 1 else few_wide
        widest = wide if m <= FEW and b_column == item else two
        packs = (b_column != item and n > 1) or (m >= 24 and b_row > 4 * REGISTER)
        turns = a_column != item and m >= one and n >= 8 * two and 2 * k >= deep
        panel, rows_of_a = panel_at(), rows_at()
        several = deep // k if 0 < k <= deep and not turns else 1  # products of the stacks, as far as there is room
        pieces = (k + deep - 1) // deep if k > 0 else 1
        for piece in range(((count + several - 1) // several if count > 0 else 1) * pieces):
            pair, term = piece // pieces * several, piece % pieces * deep
            pairs = several if several < count - pair else count - pair  # min would be compiled as a function
            terms = deep if deep < k - term else k - term
            row = 0
            while row < m:
                height = many if turns and m - row >= many + one else m - row
                a_now, a_step, a_term = a + pair * a_next + row * a_row + term * a_column, a_row, a_column
                if turns:
                    packed((a_now, a_row, a_column), height, terms, rows_of_a, deep * item)
                    a_now, a_step, a_term = rows_of_a, deep * item, item
                column = 0
                while column < n:
                    left = n - column
                    width = widest if left >= widest else two if left >= two else one if left >= one else left
                    b_now, b_step, b_pair = b + pair * b_next + term * b_row + column * b_column, b_row, b_next
                    out_now, adds, done = out + row * out_row + column * item, accumulate or piece > 0, 0
                    if packs and b_column != item:
                        b_pair = terms * two * item
                        for other in range(pairs):
                            place = panel + other * b_pair
                            packed((b_now + other * b_next, b_row, b_column), terms, width, place, two * item)
                        b_now, b_step = panel, two * item
                    elif packs and width == two:
                        top = (a_now, a_step, a_term, b_now, b_step, out_now, out_row, terms)
                        first((*top, ROWS - 1, two, adds, panel, a_next, b_pair, pairs, 1))
                        b_now, b_step, b_pair, done = panel, two * item, terms * two * item, ROWS
                    a_left, out_left = a_now + done * a_step, out_now + done * out_row
                    whole = (a_left, a_step, a_term, b_now, b_step, out_left, out_row, terms)
                    column_of_tiles(whole, (a_next, b_pair, pairs), height - done, width, adds)
                    column += width
                row += height

    return product


def packing(dtype):
    """Copies a part of b, row after row: what lies in columns, or is no more than one register of them."""
    item = dtype.bitwidth // 8
    one = REGISTER // item
    turned, moved = turn(dtype), move(dtype)

    @kernel
    def pack(part, terms, width, panel, panel_row):
        (b, b_row, b_column), done = part, 0
        if b_row == item and terms >= one:
            done = terms
            for column in range(0, width, one):
                for term in range(0, terms, one):
                    at = term if term < terms - one else terms - one
                    place = panel + at * panel_row + column * item
                    turned((b + at * item + column * b_column, b_column, width - column - 1, place, panel_row))
        for term in range(done, terms):
            for column in range(width):
                moved((b + term * b_row + column * b_column, panel + term * panel_row + column * item))

    return pack


def tiles(dtype):
    """Tile under tile over all rows of a product, for two registers of columns, or for no more than one; for more of a
    few rows, and of a single one."""
    two = 2 * REGISTER * 8 // dtype.bitwidth
    most, narrow_most, narrow_twice = tile(dtype, ROWS, 2), tile(dtype, ROWS, 1), tile(dtype, 2 * ROWS, 1)
    less = tile(dtype, ROWS - 1, 2)
    four, narrow_four = tile(dtype, 4, 2), tile(dtype, 4, 1)
    single, narrow_single = tile(dtype, 1, 2), tile(dtype, 1, 1)
    few, long = tile(dtype, FEW, 4), tile(dtype, 1, LONG)

    @inlined
    def column_of_tiles(whole, stack, m, width, accumulate):
        a, a_row, a_column, b, b_step, out, out_row, terms = whole
        row = 0
        while row < m:
            last, count = m - row - 1, 1  # tiles that are made by one call
            place, target = a + row * a_row, out + row * out_row
            operands = (place, a_row, a_column, b, b_step, target, out_row, terms, last, width, accumulate, 0, *stack)
            if width > two:
                few((*operands, 1)) if last > 0 else long((*operands, 1))
                row += FEW
            elif width != two and last > ROWS:
                if last >= 2 * ROWS:
                    count = (last + 1) // (2 * ROWS)
                narrow_twice((*operands, count))
                row += 2 * ROWS * count
            elif last >= 4 and width == two and (last + 1) % ROWS != 0 and (last + 1) % ROWS != 4:
                less((*operands, 1))  # so that no rows are left, or four
                row += ROWS - 1
            elif last >= 4:
                if last >= ROWS:
                    count = (last + 1) // ROWS
                most((*operands, count)) if width == two else narrow_most((*operands, count))
                row += ROWS * count
            elif last > 0:
                four((*operands, 1)) if width == two else narrow_four((*operands, 1))
                row += 4
            else:
                single((*operands, 1)) if width == two else narrow_single((*operands, 1))
                row += 1

    return column_of_tiles


def blas_product(dtype):
    """The same by BLAS: a few rows one by one, each times a matrix."""
    item, size = dtype.bitwidth // 8, types.intp
    arguments = [types.intc] * 3 + [size] * 3 + [dtype, size, size, size, size, dtype, size, size]
    letter = "s" if dtype == types.float32 else "d"
    xgemm = types.ExternalFunction(f"numpy_{letter}gemm", types.void(*arguments))
    arguments = [types.intc] * 2 + [size] * 2 + [dtype, size, size, size, size, dtype, size, size]
    xgemv = types.ExternalFunction(f"numpy_{letter}gemv", types.void(*arguments))
    by_rows, plain, turned = 101, 111, 112  # as cblas.h numbers them

    @inlined
    def product(addresses, steps, sizes, accumulate):
        a, b, out = addresses
        a_row, a_column, b_row, b_column, out_row, _, _, _ = steps
        m, n, k, _ = sizes
        kept = 1.0 if accumulate else 0.0
        a_by_rows = a_column == item or k == 1
        b_by_rows = b_column == item or n == 1
        a_step, a_least = (a_row // item, k) if a_by_rows else (a_column // item, m)
        b_step, b_least = (b_row // item, n) if b_by_rows else (b_column // item, k)
        b_step = b_step if b_step > b_least else b_least
        if m < 4:
            for i in range(m):
                xgemv(
                    by_rows,
                    turned if b_by_rows else plain,
                    k if b_by_rows else n,
                    n if b_by_rows else k,
                    1.0,
                    b,
                    b_step,
                    a + i * a_row,
                    a_column // item if k > 1 else 1,
                    kept,
                    out + i * out_row,
                    1,
                )
            return
        out_step = out_row // item
        xgemm(
            by_rows,
            plain if a_by_rows else turned,
            plain if b_by_rows else turned,
            m,
            n,
            k,
            1.0,
            a,
            a_step if a_step > a_least else a_least,
            b,
            b_step,
            kept,
            out,
            out_step if out_step > n else n,
        )

    return product


def blas_address(function):
    """Where NumPy's cblas_sgemm, or another such function, is. NumPy's wheels bring it under a name of their own.

    Sizes are passed as 64 bits. Where BLAS takes 32, it finds them in the lower half of the same register or slot; only
    Apple's slots are packed.
    """
    names = [f"scipy_cblas_{function}64_", f"cblas_{function}64_", f"cblas_{function}$NEWLAPACK$ILP64"]
    if sys.platform != "darwin":
        names += [f"scipy_cblas_{function}", f"cblas_{function}"]
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


for _function in ("sgemm", "dgemm", "sgemv", "dgemv"):
    add_symbol(f"numpy_{_function}", blas_address(_function))
