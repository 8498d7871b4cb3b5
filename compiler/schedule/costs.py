"""The figures that scheduling decides by, each with where it was measured. Never timed while compiling."""

THINNEST_PRODUCT = 4
"""Rows, columns or summed extents below this run as loops: a tile of registers would be mostly empty."""

WIDE_ENOUGH, THINNEST_BESIDE_WIDE = 16, 2
"""Beside a group of so many, products of two rows or columns are worth a call too: the two sums of the gradient of a
2 × 32 weight over 256 points took 29 µs in a loop and 2.6 as a product. Of two terms they are not: the loop that reads
the result makes it on the way, and a step of 2-32-32-32-1 with second derivatives takes 171 µs instead of 176
(2026-11). Nor are those of rows by rows, whose sums LLVM makes in vectors: two columns of such a step took 2.8 µs as a
product of 256 × 32 by 32 × 2, and 1.1 in the loop that makes the rows (2026-11, a Zen 4)."""

COPIED_WINDOW = 4
"""A window of few channels is copied, place after place, where that makes at most this many times what the other factor
or the result has. 64 pictures of 28 × 28, 3 × 3 windows, 32 filters, one core: 13 ms as loops, 1.2 as a copy and a
product (2026-11)."""

LEAST_ROWS = 8
"""Windows along an axis that make a product of their own: as many as a tile has rows."""

PACKED_CHANNELS = 128
"""A window of fewer channels, for fewer filters, is packed for a part of the batch and multiplied at once, not place by
place: products of so few numbers spend their time in calls, and workers wait for each other in OpenBLAS. 16 pictures of
32 × 32, 3 × 3 windows, 16 channels, 16 filters: 3.4 ms place by place, 2.4 packed; by two workers at once 7 and 2.8.
With 64 channels on 8 × 8: 1.5 and 1.4 (2026-11, 2 cores of a server CPU)."""

PACKED_NUMBERS = 2**18
"""Numbers that are packed at once: a megabyte. By rows of a picture, where that is less, took 1.2 times as long."""

SHARDED_WORK = 4_000_000
"""Multiply-adds of a step from which a module can run it in shards: shorter ones gain nothing, and their modules need
not carry what that takes."""

USUAL_BATCH = 256
"""Rows of a step of a model that does not say how many it is fitted with."""

JOINT_RESULT = 2**17
"""Numbers of a sum over all rows from which workers make it together, each some of its own rows, when all have done
theirs: shares of it would be half a megabyte and more for each worker, written and read again from beyond its own
cache. 784-512-512-10 at batch 128, 2 cores: 2.2 ms by shares (2026-11)."""

OWN_PRODUCT = 2**22
"""Multiply-adds up to which every worker makes a product of parameters for itself: 70 µs at most, where a core makes
58 · 10^9 in a second, in which the others would wait for the one that made it for all."""

STEPPED_NUMBERS = 2**16
"""Numbers of such a sum, some of its rows, that a worker makes before it takes the optimizer's step by them: they are
still in its cache then, where moments and parameters pass by. 784-400-20 at batch 128, 2 cores: 2.10 ms with 2^14 to
2^17, 2.22 when all of the sum is there (2026-11)."""

STEPPED_ROWS = 128
"""Rows of it at the least, for which a column of tiles of the other factor is packed: 784-2048-2048-10 at batch 256 in
one thread, 76 ms with 32, 73 with 64, 71 with 128, 73 with 256 (2026-11)."""

JOINT_WEIGHTS = 2**16
"""Numbers of a matrix without rows of examples from which all workers make products with it together in predictions,
where the rows are few: reading it takes longer than that they wait for each other twice. 784-512-512-10 for one
example, 2 cores: 75 µs by one of them, 29 by both, in each of whose caches is half of the weights (2026-11)."""

JOINT_TERMS = 6
"""Terms for each row up to which rows are few: 784-512-512-10 for 128 examples takes both workers as long either way,
550 µs, for 64 together 255 instead of 430 (2026-11)."""

STEP_TERMS = 3
"""The same in training steps, where each worker steps the part of the matrix that it reads (if that has JOINT_RESULT
numbers), and has not to fetch the other's part from there: 784-400-20 for 64 examples 1.47 → 1.26 ms, for 128 2.35 →
2.10, for 256 as long either way (2026-11, 2 cores of a server CPU)."""

FEWEST_ROWS = 8
"""Rows of such a product that take about as long as one does."""

BLAS_WORK = 2**25
"""Multiply-adds of a step from which BLAS is held at one thread while workers run: it is handed no products of smaller
ones, and setting its limit and giving it back takes 7 to 16 µs."""

SHARD_WORK = 2_000_000
"""Multiply-adds for each worker from which a step is cut. Workers that stay between steps are called in a microsecond:
256 points of a 2-32-32-32-1 with second derivatives, 6·10^6, 142 → 81 µs by two; 64 rows of 64-128-128-10, 4·10^6, 67 →
62 µs, as half of its weights come from the other core's cache, and without AVX-512 150 → 118 (2026-11, 2 cores of two
server CPUs)."""

PART_WORK = 10_000_000
"""The same of predictions, for which threads are woken: that takes 20 to 50 µs."""

JOINT_WORK = 1_500_000
"""The same of predictions with products that all make together, whose workers stay between calls; for fewer than two
of them at one row these products are none."""

LATE = 0.003
"""Seconds that calls by all workers together may lose against what one alone takes half as long again: about as long as
a system lets another program run before it looks again. On an idle machine single calls lost up to 2.4 ms, of some ten
thousand, and the others make up for that."""

GUESSED_PACE = 1.5e-11
"""Seconds for a multiply-add by one worker alone, until that was seen: what a fast core takes for large products. What
takes longer looks late at first, and is seen not to be by a few calls alone."""

MOST_ARRAYS = 12
"""Arrays in one nest: LLVM checks each pair for overlap before it vectorises, and gives up on many."""

UNROLLED_ROUNDS = 16
"""Rounds of reduced loops up to which they stand innermost, around a variable: LLVM unrolls them and makes vectors of
the loop around. 64 pictures of 28 × 28, windows of 3 × 3, 32 filters: 0.65 ms, and 13 with a row of sums (2026-11)."""
