"""Random numbers in float64: of a key and a place alone, the same wherever they are computed."""

# mypy: ignore-errors
# Numba infers the types: the text of these functions is emitted as it stands.
import numpy as np

from .exponential_float64 import log_of_normal
from .scope import f8, i8, u8, vector


@vector
def philox(key, place):
    """64 random bits for a key and a place: Philox-2x32-10 of Salmon, Moraes, Dror and Shaw (2011).

    The counter is the place, its upper half crossed with the key's, the cipher's key is the key's lower half: keys give
    streams of 2^32 places that do not meet. No product is above 64 bits, so that it is the same as plain Python.
    """
    x = u8(place) & u8(0xFFFFFFFF)
    y = (u8(place) ^ u8(key)) >> u8(32)
    k = u8(key) & u8(0xFFFFFFFF)
    for _ in range(10):
        product = u8(0xD256D193) * x
        x = (product >> u8(32)) ^ k ^ y
        y = product & u8(0xFFFFFFFF)
        k = (k + u8(0x9E3779B9)) & u8(0xFFFFFFFF)
    return (x << u8(32)) | y


@vector
def random_key(seed, number):
    """The key of a site under a step's seed, or the seed of a step: 63 random bits for both numbers."""
    return i8(philox(seed, number) >> u8(1))


@vector
def uniform(key, place):
    """A number between 0 and 1, neither of them: 52 random bits k as (k + ½) / 2^52."""
    return u8((philox(key, place) >> u8(12)) | u8(0x3FF0000000000000)).view(f8) - 0.9999999999999999


@vector
def cos_of_turn(bits):
    """cos 2πu for 32 bits of u, to 2^-52: fdlibm's polynomials in the nearest quarter of the turn."""
    shifted = bits + u8(0x20000000)
    # the place in the quarter, from -⅛ to ⅛ of a turn, becomes a float by way of its bits, which vectorises everywhere
    f = u8((shifted & u8(0x3FFFFFFF)) | u8(0x4330000000000000)).view(f8) - 4503600164241408.0
    x = f * 1.4629180792671596e-09
    z = x * x
    s = 1.58969099521155010221e-10
    s = s * z - 2.50507602534068634195e-08
    s = s * z + 2.75573137070700676789e-06
    s = s * z - 1.98412698298579493134e-04
    s = s * z + 8.33333333332248946124e-03
    s = s * z - 1.66666666666666324348e-01
    s = s * z * x + x
    c = -1.13596475577881948265e-11
    c = c * z + 2.08757232129817482790e-09
    c = c * z - 2.75573143513906633035e-07
    c = c * z + 2.48015872894767294178e-05
    c = c * z - 1.38888888888741095749e-03
    c = c * z + 4.16666666666666019037e-02
    c = c * z * z - 0.5 * z + 1.0
    quarter = shifted >> u8(30)
    value = s if quarter & u8(1) else c
    return -value if (quarter + u8(1)) & u8(2) else value


@vector
def normal(key, place):
    """A normal number, of mean 0 and variance 1, by Box and Muller: √(-2 ln u) cos 2πv; |it| is 6.8 at most.

    u is (k + ½) / 2^32 for the upper half k of the random bits, v the lower half over 2^32.
    """
    bits = philox(key, place)
    u = u8((bits >> u8(32)) | u8(0x4330000000000000)).view(f8) - 4503599627370495.5
    return np.sqrt(-2.0 * log_of_normal(u * 2.3283064365386963e-10)) * cos_of_turn(bits & u8(0xFFFFFFFF))
