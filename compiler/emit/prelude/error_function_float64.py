"""erf in float64."""

# mypy: ignore-errors
# Numba infers the types: the text of these functions is emitted as it stands.
from .scope import f8, vector


@vector
def erf(x):
    """erf x within 6 ulp, as x p(x²) / q(x²), which reaches 1 before x is 6.

    p / q is a minimax approximation to erf x / x, found by Lawson's weights. All coefficients are positive, so
    nothing cancels; the sums of even and of odd powers are made apart, since fewer roundings meet in shorter ones.
    """
    y = min(max(x, f8(-6.0)), f8(6.0))
    square = y * y
    fourth = square * square
    p = 1.5710640939128818e-17
    p = p * fourth + 3.3351390474527435e-12
    p = p * fourth + 6.757511185246749e-09
    p = p * fourth + 3.899505073500298e-06
    p = p * fourth + 0.0008555450837950193
    p = p * fourth + 0.06611784826801581
    p = p * fourth + 1.1283791670955126
    odd = 2.226320571892743e-14
    odd = odd * fourth + 1.718941597156255e-10
    odd = odd * fourth + 1.6942095502267442e-07
    odd = odd * fourth + 5.692973500664161e-05
    odd = odd * fourth + 0.006888454525866054
    odd = odd * fourth + 0.22015353992925113
    p = odd * square + p
    q = 8.849259370000108e-16
    q = q * fourth + 2.5481716077382737e-11
    q = q * fourth + 3.514309511436798e-08
    q = q * fourth + 1.5494970057334645e-05
    q = q * fourth + 0.002564372961070685
    q = q * fourth + 0.13474186010560182
    q = q * fourth + 1.0
    odd = 3.3181192643865563e-13
    odd = odd * fourth + 1.124107392262043e-09
    odd = odd * fourth + 8.34780694574816e-07
    odd = odd * fourth + 0.00022605273926355196
    odd = odd * fourth + 0.02198427823824251
    odd = odd * fourth + 0.5284393281523726
    q = odd * square + q
    return min(max(y * p / q, f8(-1.0)), f8(1.0))
