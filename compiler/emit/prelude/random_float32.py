"""Random numbers in float32: of a key and a place alone, the same wherever they are computed."""

# mypy: ignore-errors
# Numba infers the types: the text of these functions is emitted as it stands.
import numpy as np

from .exponential_float32 import log_of_normal
from .scope import f4, i4, i8, u4, u8, vector


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
    """A number between 0 and 1, neither of them: 23 random bits k as (k + ½) / 2^23."""
    return f4(i4(philox(key, place) >> u8(40)) | i4(1)) * f4(5.9604645e-08)


@vector
def cos_of_turn(bits):
    """cos 2πu for 32 bits of u, to 2^-23: Cephes' polynomials in the nearest quarter of the turn."""
    shifted = bits + u8(0x20000000)
    x = f4(i4(shifted & u8(0x3FFFFFFF)) - i4(0x20000000)) * f4(1.4629181e-09)
    z = x * x
    s = f4(-1.9515295891e-4)
    s = s * z + f4(8.3321608736e-3)
    s = s * z - f4(1.6666654611e-1)
    s = s * z * x + x
    c = f4(2.443315711809948e-5)
    c = c * z - f4(1.388731625493765e-3)
    c = c * z + f4(4.166664568298827e-2)
    c = c * z * z - f4(0.5) * z + f4(1.0)
    quarter = shifted >> u8(30)
    value = s if quarter & u8(1) else c
    return -value if (quarter + u8(1)) & u8(2) else value


@vector
def normal(key, place):
    """A normal number, of mean 0 and variance 1, by Box and Muller: √(-2 ln u) cos 2πv; |it| is 6.8 at most.

    u is (k + ½) / 2^32 for the upper half k of the random bits, v the lower half over 2^32.
    """
    bits = philox(key, place)
    u = f4(u4(bits >> u8(32))) * f4(2.3283064e-10) + f4(1.1641532e-10)
    return np.sqrt(f4(-2.0) * log_of_normal(u)) * cos_of_turn(bits & u8(0xFFFFFFFF))
