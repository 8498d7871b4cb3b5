"""sin, cos, tan, asin, acos and atan in float64."""

# mypy: ignore-errors
# Numba infers the types: the text of these functions is emitted as it stands.
import numpy as np

from .scope import f8, vector


@vector
def sin(x):
    """sin x within 1 ulp, by the C library: the exact reduction of any float64 has no vector form that is faster."""
    return f8(np.nan) if abs(x) == f8(np.inf) else np.sin(x)


@vector
def cos(x):
    """cos x within 1 ulp, by the C library: the exact reduction of any float64 has no vector form that is faster."""
    return f8(np.nan) if abs(x) == f8(np.inf) else np.cos(x)


@vector
def tan(x):
    """tan x within 1 ulp, by the C library: the exact reduction of any float64 has no vector form that is faster."""
    return f8(np.nan) if abs(x) == f8(np.inf) else np.tan(x)


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
    """acos x within 1.5 ulp, NaN outside -1 .. 1. Above ½ it is 2 asin √((1 - x) / 2), exact near 1 too."""
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
