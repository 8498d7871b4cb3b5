"""tanh, sigmoid, softplus, sinh and cosh in float32."""

# mypy: ignore-errors
# Numba infers the types: the text of these functions is emitted as it stands.
import numpy as np

from .exponential_float32 import exp, log_of_normal
from .scope import f4, vector


@vector
def tanh(x):
    """tanh x within 1.3 ulp: Cephes' polynomial below 0.625, else 1 - 2 / (e^2|x| + 1), with the sign of x."""
    a = min(abs(x), f4(10.0))
    square = a * a
    s = f4(-5.70498872745e-3)
    s = s * square + f4(2.06390887954e-2)
    s = s * square + f4(-5.37397155531e-2)
    s = s * square + f4(1.33314422036e-1)
    s = s * square + f4(-3.33332819422e-1)
    near = s * square * a + a
    far = f4(1.0) - f4(2.0) / (exp(f4(2.0) * a) + f4(1.0))
    return np.copysign(near if a < f4(0.625) else far, x)


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
