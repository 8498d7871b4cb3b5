"""erf in float32."""

# mypy: ignore-errors
# Numba infers the types: the text of these functions is emitted as it stands.
import numpy as np

from .exponential_float32 import exp
from .scope import f4, vector


@vector
def erf(x):
    """erf x within 1.2 ulp: x + x p(x²) below 0.875, else 1 - e^(x q(x)), with the sign of x.

    p and q are minimax polynomials (Remez' exchange) for erf x / x - 1 and ln(1 - erf x) / x.
    """
    a = min(abs(x), f4(4.0))
    square = a * a
    p = f4(-6.2032515e-4)
    p = p * square + f4(5.0321845e-3)
    p = p * square + f4(-2.6791468e-2)
    p = p * square + f4(1.1282456e-1)
    p = p * square + f4(-3.761255e-1)
    p = p * square + f4(1.2837915e-1)
    q = f4(2.1519864e-4)
    q = q * a + f4(-3.224936e-3)
    q = q * a + f4(2.292187e-2)
    q = q * a + f4(-1.0531141e-1)
    q = q * a + f4(-6.3568085e-1)
    q = q * a + f4(-1.1285254)
    return np.copysign(a + a * p if a < f4(0.875) else f4(1.0) - exp(a * q), x)
