"""sin, cos, tan, asin, acos and atan in float64."""

# mypy: ignore-errors
# Numba infers the types: the text of these functions is emitted as it stands.
import numpy as np

from .rare import rare
from .scope import f8, i8, vector


@vector
def sine_less(x, h):
    """sin(x - hπ), which lies between -π/2 and π/2, by a minimax polynomial.

    π comes in pieces of which the first two have 33 bits, Cody and Waite's reduction: their products with h are exact.
    """
    r = x - h * 3.1415926534682512 - h * 1.2154201012607932e-10 - h * 4.044532497591901e-21
    square = r * r
    s = 2.7211564598099075e-15
    s = s * square - 7.642989763561403e-13
    s = s * square + 1.605893964081447e-10
    s = s * square - 2.5052106871532232e-08
    s = s * square + 2.7557319211123672e-06
    s = s * square - 0.00019841269841209142
    s = s * square + 0.008333333333333194
    s = s * square - 0.16666666666666666
    return r - (0.0 - s * square * r)  # so that -0 stays -0


@vector
def mirrored(value, n):
    """The value, or, where n is odd, what lies across 0 from it."""
    return i8(f8(value).view(i8) ^ i8(n << i8(63))).view(f8)


@vector
def sin(x):
    """sin x within 2 ulp; where |x| is beyond 2^20, by the C library."""
    x = f8(x)
    # floats of the size of this sum lie 1 apart, and its last bits are n
    shifted = f8(x * 0.3183098861837907 + 6755399441055744.0)
    value = mirrored(sine_less(x, shifted - 6755399441055744.0), shifted.view(i8))
    if not abs(x) <= f8(1048576.0):
        value = rare(np.sin, x)
    return value


@vector
def cos(x):
    """cos x within 2 ulp, as sin(x + π/2); where |x| is beyond 2^20, by the C library."""
    x = f8(x)
    shifted = f8((x * 0.3183098861837907 - 0.5) + 6755399441055744.0)
    value = mirrored(sine_less(x, (shifted - 6755399441055744.0) + 0.5), shifted.view(i8) + i8(1))
    if not abs(x) <= f8(1048576.0):
        value = rare(np.cos, x)
    return value


@vector
def tan(x):
    """tan x within 4 ulp, as sin x / cos x."""
    return sin(x) / cos(x)


@vector
def arcsine(a):
    """asin a for a from 0 to ½, by a minimax polynomial."""
    square = a * a
    s = 0.03156361927259154
    s = s * square - 0.019233197338172973
    s = s * square + 0.020410031583781352
    s = s * square + 0.004262550908840985
    s = s * square + 0.01062615397697127
    s = s * square + 0.01142780267593453
    s = s * square + 0.013977093062554912
    s = s * square + 0.01735194201687897
    s = s * square + 0.022372195365844443
    s = s * square + 0.03038194345738474
    s = s * square + 0.04464285715763131
    s = s * square + 0.0749999999999039
    s = s * square + 0.1666666666666668
    return s * square * a + a


@vector
def asin(x):
    """asin x within 2.5 ulp, NaN outside -1 .. 1. Above ½ it is π/2 - 2 asin √((1 - x) / 2)."""
    a = min(abs(x), f8(1.0))
    far = a > f8(0.5)
    s = arcsine(np.sqrt(0.5 - 0.5 * a) if far else a)
    s = 1.5707963267948966 - (2.0 * s - 6.123233995736766e-17) if far else s
    return f8(np.nan) if abs(x) > f8(1.0) else np.copysign(s, x)


@vector
def acos(x):
    """acos x within 2 ulp, NaN outside -1 .. 1. Above ½ it is 2 asin √((1 - x) / 2), exact near 1 too."""
    a = min(abs(x), f8(1.0))
    far = a > f8(0.5)
    s = np.copysign(arcsine(np.sqrt(0.5 - 0.5 * a) if far else a), x)
    near = 1.5707963267948966 - (s - 6.123233995736766e-17)
    outer = 2.0 * s if x > f8(0.0) else 3.141592653589793 + (2.0 * s + 1.2246467991473532e-16)
    return f8(np.nan) if abs(x) > f8(1.0) else outer if far else near


@vector
def atan(x):
    """atan x within 2 ulp: -1 / x, (x - 1) / (x + 1) or x, and a minimax polynomial from -tan π/8 to tan π/8."""
    a = abs(x)
    far = a > f8(2.414213562373095)
    middle = a > f8(0.41421356237309503)
    over = f8(-1.0) if far else a - 1.0 if middle else a
    under = a if far else a + 1.0 if middle else f8(1.0)
    start = f8(1.5707963267948966) if far else f8(0.7853981633974483) if middle else f8(0.0)
    r = over / under
    square = r * r
    s = 0.015596354951401796
    s = s * square - 0.033892054951339075
    s = s * square + 0.04522587560498994
    s = s * square - 0.05223396405488362
    s = s * square + 0.058778529339721046
    s = s * square - 0.06666318266332061
    s = s * square + 0.07692289485967486
    s = s * square - 0.0909090847012595
    s = s * square + 0.11111111098147661
    s = s * square - 0.1428571428556672
    s = s * square + 0.19999999999999282
    s = s * square - 0.3333333333333333
    # start is π/2 or π/4 less a part in 3.9e-17 of itself
    return np.copysign(start + (s * square * r + start * 3.8981718325193755e-17 + r), x)
