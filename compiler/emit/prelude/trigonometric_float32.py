"""sin, cos, tan, asin, acos and atan in float32."""

# mypy: ignore-errors
# Numba infers the types: the text of these functions is emitted as it stands.
import numpy as np

from .scope import f4, f8, i8, vector


@vector
def quarter_turns(x):
    """x = 2π (n / 4 + f) with f from -⅛ to ⅛, for every x: n modulo 4 in the last bits of an int64, and f in float64.

    Payne and Hanek's reduction without a table: x times a 28-bit piece of 1 / 2π is exact in float64, and its whole
    turns are dropped before the pieces are added, the largest first, so that f keeps its digits where they cancel.
    """
    x = f8(min(max(x, f4(-3.4028235e38)), f4(3.4028235e38)))
    a = x * 0.15915494039654732
    b = x * 2.6953480142255515e-09
    c = x * 4.038449450981451e-18
    d = x * 1.9241762118391763e-26
    e = x * 4.1707168783816406e-35
    a = a - np.rint(a)
    b = b - np.rint(b)
    c = c - np.rint(c)
    d = d - np.rint(d)
    e = e - np.rint(e)
    # floats of the size of this sum lie ¼ apart
    shifted = f8(a + b + c + d + e + 1688849860263936.0)
    return shifted.view(i8), a - (shifted - 1688849860263936.0) + b + c + d + e + x * 3.877041902507235e-43


@vector
def sin_of_turns(n, f):
    """sin 2π(n / 4 + f) to 2^-34 in float64, by minimax polynomials for sin(2πf) / f and cos 2πf."""
    square = f * f
    s = 41.47294862252118
    s = s * square - 76.69786995625331
    s = s * square + 81.60520474626563
    s = s * square - 41.34170215350498
    s = (s * square + 6.283185307152453) * f
    c = 59.22040730959103
    c = c * square - 85.44285212234978
    c = c * square + 64.93931620846661
    c = c * square - 19.739208650358012
    c = c * square + 0.9999999999526005
    value = c if n & i8(1) else s
    return -value if n & i8(2) else value


@vector
def sin(x):
    """sin x within 0.51 ulp, for every x."""
    n, f = quarter_turns(x)
    value = f4(sin_of_turns(n, f))
    value = value if abs(x) > f4(2e-4) else x
    return value if abs(x) < f4(np.inf) else f4(np.nan)


@vector
def cos(x):
    """cos x within 0.51 ulp, for every x."""
    n, f = quarter_turns(x)
    value = f4(sin_of_turns(n + i8(1), f))
    return value if abs(x) < f4(np.inf) else f4(np.nan)


@vector
def tan(x):
    """tan x within 0.51 ulp, for every x."""
    n, f = quarter_turns(x)
    value = f4(sin_of_turns(n, f) / sin_of_turns(n + i8(1), f))
    value = value if abs(x) > f4(2e-4) else x
    return value if abs(x) < f4(np.inf) else f4(np.nan)


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
