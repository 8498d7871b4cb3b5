"""The largest and the smallest of a row in float32: over integers, since that vectorises."""

# mypy: ignore-errors
# Numba infers the types: the text of these functions is emitted as it stands.
import numpy as np

from .scope import f4, i4, vector


@vector
def ordered(x):
    """An integer for a float, in the floats' order, and back: the bits, those of the magnitude turned if x < 0."""
    return i4(x ^ i4(0x7FFFFFFF)) if x < i4(0) else x


@vector
def largest(values):
    """The largest of a row, NaN if one of them is, -inf if there is none."""
    top = ordered(i4(-0x00800000))
    for n in range(values.shape[0]):
        image = ordered(f4(values[n]).view(i4))
        image = i4(0x7FFFFFFF) if np.isnan(values[n]) else image
        top = image if image > top else top
    return i4(ordered(top)).view(f4)


@vector
def smallest(values):
    """The smallest of a row, NaN if one of them is, inf if there is none."""
    bottom = i4(0x7F800000)
    for n in range(values.shape[0]):
        image = ordered(f4(values[n]).view(i4))
        image = i4(-0x7FFFFFFF - 1) if np.isnan(values[n]) else image
        bottom = image if image < bottom else bottom
    return i4(ordered(bottom)).view(f4)
