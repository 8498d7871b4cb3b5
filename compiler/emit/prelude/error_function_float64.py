"""erf in float64."""

# mypy: ignore-errors
# Numba infers the types: the text of these functions is emitted as it stands.
import numpy as np

from .exponential_float64 import exp
from .scope import f8, vector


@vector
def erf(x):
    """erf x within 1.5 ulp: x + x p(x²) below 1, else 1 - e^(x q(x)), with the sign of x.

    p and q are minimax polynomials (Remez' exchange) for erf x / x - 1 and ln(1 - erf x) / x.
    """
    a = min(abs(x), f8(6.0))
    square = a * a
    p = 5.945255584223488e-11
    p = p * square - 1.136567067182716e-09
    p = p * square + 1.4657883530919653e-08
    p = p * square - 1.635002619207727e-07
    p = p * square + 1.6460972954153765e-06
    p = p * square - 1.4925593518728226e-05
    p = p * square + 0.00012055331037551108
    p = p * square - 0.0008548326978765149
    p = p * square + 0.00522397762478137
    p = p * square - 0.02686617064507296
    p = p * square + 0.11283791670954858
    p = p * square - 0.3761263890318375
    p = p * square + 0.1283791670955126
    q = 1.5188164744944395e-12
    q = q * a - 6.744674891790136e-11
    q = q * a + 1.4024133207146212e-09
    q = q * a - 1.813069252680123e-08
    q = q * a + 1.6302361769392801e-07
    q = q * a - 1.0781251581504554e-06
    q = q * a + 5.3852180088934646e-06
    q = q * a - 2.0351230245715244e-05
    q = q * a + 5.60380537192651e-05
    q = q * a - 9.548535803101798e-05
    q = q * a + 9.72641186672455e-07
    q = q * a + 0.0005746617254151835
    q = q * a - 0.001692611048801437
    q = q * a + 0.000212038860443205
    q = q * a + 0.019124963286367168
    q = q * a - 0.10277082653001468
    q = q * a - 0.6366202528123595
    q = q * a - 1.1283791108431886
    return np.copysign(a + a * p if a < f8(1.0) else 1.0 - exp(a * q), x)
