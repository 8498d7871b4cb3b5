"""Matrix products that all workers of a team make together: of few rows, each by a part of the other matrix."""

# mypy: ignore-errors
# Numba infers the types: the text of these functions is emitted as it stands.
from functools import cache

import numpy as np
from numba import types
from numba.extending import lower_builtin, type_callable

from .gemm import called_product, gemm, product_of
from .rows import rows
from .scope import kernel
from .team import meet, own_shards
from .view import view


@kernel
def gemm_by_all(a, b, out, first, sums, team):
    """out = the rows of a @ b from `first` on: those of a worker, of the rows of all.

    Where there are few, reading b is what takes time: then each worker reads a part of it, which may stay in its own
    cache, makes those terms of the sums of all rows, and adds up the sums of its own rows, part by part. (Parts by
    columns would lie in some of the cache's sets alone.) Where there are more than a row of `sums` has room for, each
    makes its own rows.

    `sums` has a row for each shard. They are the same parts, and so the same bits, whoever makes them. A team begins
    with which worker it is and ends with the turns to wait for.
    """
    worker, turns = team[0], team[-1]
    shards, room = sums.shape
    from_shard, to_shard = own_shards(shards, worker, turns)
    m, k, n = a.shape[0], a.shape[1], out.shape[1]
    if shards == 1 or m * n > room:
        for shard in range(from_shard, to_shard):
            begin, end = m * shard // shards, m * (shard + 1) // shards
            gemm(rows(a, begin, end), b, rows(out, begin - first, end - first), False)
        return
    meet(worker, turns)
    for shard in range(from_shard, to_shard):
        gemm_of_some(a, b, view(sums, room * shard, (m, n)), k * shard // shards, k * (shard + 1) // shards)
    meet(worker, turns)
    for i in range(out.shape[0]):
        place = (first + i) * n
        for j in range(n):
            out[i, j] = sums[0, place + j]
        for shard in range(1, shards):
            for j in range(n):
                out[i, j] += sums[shard, place + j]


def gemm_of_some(a, b, out, first, last):
    """out = a @ b, of each sum the terms first .. last - 1 alone."""
    np.matmul(a[:, first:last], b[first:last], out)


@type_callable(gemm_of_some)
def type_of_gemm_of_some(_):
    """It gives nothing back."""
    return lambda a, b, out, first, last: types.none


@lower_builtin(gemm_of_some, types.Array, types.Array, types.Array, types.Integer, types.Integer)
def compiled_gemm_of_some(context, builder, signature, arguments):
    """The same by part_of_product."""
    return called_product(context, builder, signature, arguments, part_of_product, *signature.args[3:])


@cache
def part_of_product(dtype):
    """The product of some columns of a and as many rows of b."""
    product = product_of(dtype)

    @kernel
    def part(addresses, steps, sizes, first, last):
        a, b, out = addresses
        m, n, _, count = sizes
        a, b = a + first * steps[1], b + first * steps[2]
        product((a, b, out), steps, (m, n, last - first, count), False)

    return part
