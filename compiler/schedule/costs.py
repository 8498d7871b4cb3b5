"""The figures that scheduling decides by, each with where it was measured. Never timed while compiling."""

THINNEST_PRODUCT = 4
"""Rows, columns or summed extents below this run as loops: a call of BLAS costs 0.05 µs and packs its operands."""

MOST_ARRAYS = 12
"""Arrays in one nest: LLVM checks each pair for overlap before it vectorises, and gives up on many."""
