"""sin, cos, tan, asin, acos and atan in float32."""

# mypy: ignore-errors
# Numba infers the types: the text of these functions is emitted as it stands.
import numpy as np

from .rare import rare
from .scope import f4, i4, vector


@vector
def sine_less(x, h):
    """sin(x - hπ), which lies between -π/2 and π/2, by a minimax polynomial.

    π comes in pieces, Cody and Waite's reduction: products of h with the first three, of 10 bits, are exact.
    """
    r = x - h * f4(3.140625) - h * f4(9.670257568e-4) - h * f4(6.2771141529e-7) - h * f4(1.2154201e-10)
    square = r * r
    s = f4(2.605748585e-6)
    s = s * square - f4(1.980958901e-4)
    s = s * square + f4(8.333066065e-3)
    s = s * square - f4(1.666665954e-1)
    return r - (f4(0.0) - s * square * r)  # so that -0 stays -0


@vector
def mirrored(value, n):
    """The value, or, where n is odd, what lies across 0 from it."""
    return i4(f4(value).view(i4) ^ i4(n << i4(31))).view(f4)


@vector
def sin(x):
    """sin x within 2.5 ulp; where |x| is beyond 2^15, by the C library."""
    x = f4(x)
    # floats of the size of this sum lie 1 apart, and its last bits are n
    shifted = f4(x * f4(0.31830987) + f4(12582912.0))
    value = mirrored(sine_less(x, shifted - f4(12582912.0)), shifted.view(i4))
    if not abs(x) <= f4(32768.0):
        value = rare(np.sin, x)
    return value


@vector
def cos(x):
    """cos x within 2.5 ulp, as sin(x + π/2); where |x| is beyond 2^15, by the C library."""
    x = f4(x)
    shifted = f4((x * f4(0.31830987) - f4(0.5)) + f4(12582912.0))
    value = mirrored(sine_less(x, (shifted - f4(12582912.0)) + f4(0.5)), shifted.view(i4) + i4(1))
    if not abs(x) <= f4(32768.0):
        value = rare(np.cos, x)
    return value


@vector
def tan(x):
    """tan x within 4 ulp, as sin x / cos x."""
    return sin(x) / cos(x)


@vector
def arcsine(a):
    """asin a for a from 0 to ½, Cephes' polynomial."""
    square = a * a
    s = f4(4.2163199048e-2)
    s = s * square + f4(2.4181311049e-2)
    s = s * square + f4(4.5470025998e-2)
    s = s * square + f4(7.4953002686e-2)
    s = s * square + f4(1.6666752422e-1)
    return s * square * a + a


@vector
def asin(x):
    """asin x within 2.5 ulp, NaN outside -1 .. 1. Above ½ it is π/2 - 2 asin √((1 - x) / 2)."""
    a = min(abs(x), f4(1.0))
    far = a > f4(0.5)
    s = arcsine(np.sqrt(f4(0.5) - f4(0.5) * a) if far else a)
    s = f4(1.5707964) - (f4(2.0) * s + f4(4.371139e-8)) if far else s
    return f4(np.nan) if abs(x) > f4(1.0) else np.copysign(s, x)


@vector
def acos(x):
    """acos x within 1.3 ulp, NaN outside -1 .. 1. Above ½ it is 2 asin √((1 - x) / 2), exact near 1 too."""
    a = min(abs(x), f4(1.0))
    far = a > f4(0.5)
    s = np.copysign(arcsine(np.sqrt(f4(0.5) - f4(0.5) * a) if far else a), x)
    near = f4(1.5707964) - (s + f4(4.371139e-8))
    outer = f4(2.0) * s if x > f4(0.0) else f4(3.1415927) + (f4(2.0) * s - f4(8.742278e-8))
    return f4(np.nan) if abs(x) > f4(1.0) else outer if far else near


@vector
def atan(x):
    """atan x within 2.1 ulp: -1 / x, (x - 1) / (x + 1) or x, then Cephes' polynomial between -tan π/8 and tan π/8."""
    a = abs(x)
    far = a > f4(2.4142135)
    middle = a > f4(0.41421356)
    over = f4(-1.0) if far else a - f4(1.0) if middle else a
    under = a if far else a + f4(1.0) if middle else f4(1.0)
    start = f4(1.5707964) if far else f4(0.7853982) if middle else f4(0.0)
    r = over / under
    square = r * r
    s = f4(8.05374449538e-2)
    s = s * square + f4(-1.38776856032e-1)
    s = s * square + f4(1.99777106478e-1)
    s = s * square + f4(-3.33329491539e-1)
    # start is π/2 or π/4 less a part in 2.8e-8 of itself
    return np.copysign(start + (s * square * r - start * f4(2.7827534e-8) + r), x)
