"""tanh, sigmoid, softplus, sinh and cosh in float32."""

# mypy: ignore-errors
# Numba infers the types: the text of these functions is emitted as it stands.
import numpy as np

from .exponential_float32 import exp, log_of_normal
from .scope import f4, i4, vector


@vector
def tanh(x):
    """tanh x within 2.5 ulp, as t / (t + 2) with t = e^2|x| - 1 = 2^n (e^2r - 1) + (2^n - 1), and the sign of x."""
    a = min(abs(x), f4(9.1))
    # |x| = n ln √2 + r: floats of the size of this sum lie 1 apart, and its last bits are n + 127
    shifted = f4(a * f4(2.88539008) + f4(12583039.0))
    n = shifted - f4(12583039.0)
    r = a - n * f4(0.3466796875) + n * f4(1.06097220e-4)
    t = f4(8.884804453e-02)
    t = t * r + f4(2.677286840e-01)
    t = t * r + f4(6.666752011e-01)
    t = t * r + f4(1.333323489)
    t = t * r + f4(1.999999926)
    t = t * r * r + f4(2.0) * r
    power = i4(shifted.view(i4) << i4(23)).view(f4)
    t = power * t + (power - f4(1.0))
    return np.copysign(t / (t + f4(2.0)), x)


@vector
def sigmoid(x):
    """1 / (1 + e^-x) within 2.4 ulp, by e^-|x|, which cannot overflow and leaves small results their digits."""
    e = exp(-abs(x))
    return (f4(1.0) if x >= f4(0.0) else e) / (f4(1.0) + e)


@vector
def softplus(x):
    """ln(1 + e^x) within 2 ulp, as max(x, 0) + ln(1 + e^-|x|)."""
    e = exp(-abs(x))
    u = f4(1.0) + e
    return max(x, f4(0.0)) + (log_of_normal(u) + (e - (u - f4(1.0))) / u)


@vector
def sinh(x):
    """sinh x within 2.6 ulp: Cephes' polynomial in x below 1, else w - 1 / 4w with w = e^|x| / 2 and the sign of x."""
    a = min(abs(x), f4(89.41598))
    small = min(a, f4(1.0))
    square = small * small
    s = f4(2.03721912945e-4)
    s = s * square + f4(8.33028376239e-3)
    s = s * square + f4(1.66667160211e-1)
    # e^0.71875 / 2 is 1.0259334 to 1 part in 10^9, and e^(|x| - 0.71875) does not overflow before sinh does
    w = f4(1.0259334) * exp(a - f4(0.71875))
    far = f4(np.inf) if abs(x) > f4(89.41598) else w - f4(0.25) / w
    return np.copysign(far if a > f4(1.0) else s * square * small + small, x)


@vector
def cosh(x):
    """cosh x within 2 ulp, as w + 1 / 4w with w = e^|x| / 2."""
    w = f4(1.0259334) * exp(min(abs(x), f4(89.41598)) - f4(0.71875))
    return f4(np.inf) if abs(x) > f4(89.41598) else w + f4(0.25) / w
