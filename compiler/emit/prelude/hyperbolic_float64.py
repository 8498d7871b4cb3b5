"""tanh, sigmoid, softplus, sinh and cosh in float64."""

# mypy: ignore-errors
# Numba infers the types: the text of these functions is emitted as it stands.
import numpy as np

from .exponential_float64 import exp, expm1, log_of_normal
from .scope import f8, vector


@vector
def tanh(x):
    """tanh x within 2.2 ulp, as t / (t + 2) with t = e^2|x| - 1, and the sign of x."""
    t = expm1(2.0 * min(abs(x), f8(22.0)))
    return np.copysign(t / (t + 2.0), x)


@vector
def sigmoid(x):
    """1 / (1 + e^-x) within 2.2 ulp, by e^-|x|, which cannot overflow and leaves small results their digits."""
    e = exp(-abs(x))
    return (f8(1.0) if x >= f8(0.0) else e) / (1.0 + e)


@vector
def softplus(x):
    """ln(1 + e^x) within 2 ulp, as max(x, 0) + ln(1 + e^-|x|)."""
    e = exp(-abs(x))
    u = 1.0 + e
    return max(x, f8(0.0)) + (log_of_normal(u) + (e - (u - 1.0)) / u)


@vector
def sinh(x):
    """sinh x within 2.2 ulp: a minimax polynomial below 1, else w - 1 / 4w with w = e^|x| / 2 and the sign of x."""
    a = min(abs(x), f8(710.475860073943))
    small = min(a, f8(1.0))
    square = small * small
    s = 7.758447644953343e-13
    s = s * square + 1.605727171636141e-10
    s = s * square + 2.5052122948227303e-08
    s = s * square + 2.755731915856835e-06
    s = s * square + 0.0001984126984142567
    s = s * square + 0.00833333333333316
    s = s * square + 0.16666666666666669
    # e^0.8125 / 2 is 1.1267673936066043, and e^(|x| - 0.8125) does not overflow before sinh does
    w = 1.1267673936066043 * exp(a - 0.8125)
    far = f8(np.inf) if abs(x) > f8(710.475860073943) else w - 0.25 / w
    return np.copysign(far if a > f8(1.0) else s * square * small + small, x)


@vector
def cosh(x):
    """cosh x within 2 ulp, as w + 1 / 4w with w = e^|x| / 2."""
    w = 1.1267673936066043 * exp(min(abs(x), f8(710.475860073943)) - 0.8125)
    return f8(np.inf) if abs(x) > f8(710.475860073943) else w + 0.25 / w
