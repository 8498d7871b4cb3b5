"""The largest and the smallest of a row in float64: over integers, since that vectorises."""

# mypy: ignore-errors
# Numba infers the types: the text of these functions is emitted as it stands.
import numpy as np

from .scope import f8, i8, vector


@vector
def ordered(x):
    """An integer for a float, in the floats' order, and back: the bits, those of the magnitude turned if x < 0."""
    return i8(x ^ i8(0x7FFFFFFFFFFFFFFF)) if x < i8(0) else x


@vector
def largest(values):
    """The largest of a row, NaN if one of them is, -inf if there is none."""
    top = ordered(i8(-0x0010000000000000))
    for n in range(values.shape[0]):
        image = ordered(f8(values[n]).view(i8))
        image = i8(0x7FFFFFFFFFFFFFFF) if np.isnan(values[n]) else image
        top = image if image > top else top
    return i8(ordered(top)).view(f8)


@vector
def smallest(values):
    """The smallest of a row, NaN if one of them is, inf if there is none."""
    bottom = i8(0x7FF0000000000000)
    for n in range(values.shape[0]):
        image = ordered(f8(values[n]).view(i8))
        image = i8(-0x7FFFFFFFFFFFFFFF - 1) if np.isnan(values[n]) else image
        bottom = image if image < bottom else bottom
    return i8(ordered(bottom)).view(f8)
