"""exp, expm1, log, log1p and pow in float32."""

# mypy: ignore-errors
# Numba infers the types: the text of these functions is emitted as it stands.
import numpy as np

from .rare import rare
from .scaled import scaled
from .scope import f4, f8, i4, i8, vector


@vector
def exp(x):
    """e^x within 1.1 ulp, without branches, so that loops over it vectorise: 2^n e^r, a minimax polynomial for e^r."""
    y = min(max(x, f4(-104.0)), f4(89.0))
    # x = n ln 2 + r: floats of the size of this sum lie 1 apart
    n = f4(y * f4(1.44269504) + f4(12582912.0)) - f4(12582912.0)
    r = y - n * f4(0.693359375) + n * f4(2.12194440e-4)
    e = f4(1.3814586e-03)
    e = e * r + f4(8.368718e-03)
    e = e * r + f4(4.166839e-02)
    e = e * r + f4(1.6666521e-01)
    e = e * r + f4(4.9999994e-01)
    e = e * r + f4(1.0)
    e = e * r + f4(1.0)
    return scaled(e, n)


@vector
def expm1(x):
    """e^x - 1 within 1.5 ulp, near 0 too, as 2^n (e^r - 1) + (2^n - 1) with Cephes' polynomial for e^r."""
    y = min(max(x, f4(-18.0)), f4(88.72283))
    shifted = f4(y * f4(1.44269504) + f4(12582912.0))
    n = shifted - f4(12582912.0)
    r = y - n * f4(0.693359375) + n * f4(2.12194440e-4)
    e = f4(1.9875691500e-4)
    e = e * r + f4(1.3981999507e-3)
    e = e * r + f4(8.3334519073e-3)
    e = e * r + f4(4.1665795894e-2)
    e = e * r + f4(1.6666665459e-1)
    e = e * r + f4(5.0000001201e-1)
    e = e * r * r + r
    # half the result, since 2^128 is no float
    half = i4((shifted.view(i4) - i4(0x4B400000 - 126)) << i4(23)).view(f4)
    e = (half * e + (half - f4(0.5))) * f4(2.0)
    e = f4(np.inf) if x > f4(88.72283) else e
    return x if abs(x) < f4(1e-8) else e


@vector
def log_of_normal(x):
    """ln x within 1 ulp for what is positive, finite and no denormal: x = 2^n (1 + r), a minimax polynomial in r.

    1 + r runs from √½ to √2, so that near x = 1 there is n = 0 and nothing cancels.
    """
    bits = f4(x).view(i4)
    # 2^23 n, as the bits of a float have it
    n = i4(i4(bits - i4(0x3F3504F3)) & i4(-0x800000))
    r = i4(bits - n).view(f4) - f4(1.0)
    s = f4(-7.635847e-2)
    s = s * r + f4(1.276192e-1)
    s = s * r + f4(-1.3159676e-1)
    s = s * r + f4(1.4201622e-1)
    s = s * r + f4(-1.6623408e-1)
    s = s * r + f4(2.00012401e-1)
    s = s * r + f4(-2.50008196e-1)
    s = s * r + f4(3.33333313e-1)
    s = s * r + f4(-0.5)
    # 2^-23 ln 2, to more digits than a float has by chance
    return s * (r * r) + r + f4(n) * f4(8.262958e-8)


@vector
def log(x):
    """ln x within 1 ulp; of what is not positive, infinite, NaN or a denormal, by the C library."""
    x = f4(x)
    value = log_of_normal(abs(x))
    if not f4(1.1754944e-38) <= x <= f4(3.4028235e38):
        value = rare(np.log, x)
    return value


@vector
def log1p(x):
    """ln(1 + x) within 1.5 ulp, near 0 too: the log of u = 1 + x as rounded, plus what rounding took, over u."""
    y = min(max(x, f4(-0.99999994)), f4(3.4028235e38))
    u = f4(1.0) + y
    s = log_of_normal(u) + (y - (u - f4(1.0))) / u
    s = s if abs(x) > f4(1e-8) else x
    s = s if x < f4(np.inf) else x
    s = s if x != f4(-1.0) else f4(-np.inf)
    return f4(np.nan) if x < f4(-1.0) else s


@vector
def pow(x, y):
    """x^y within 0.51 ulp, as 2^(y log2 |x|) in float64; NaN where x < 0 and y is not whole, x^0 = 1^y = 1."""
    bits = f8(abs(x)).view(i8)
    n = i8(bits - i8(0x3FE6A09E00000000)) >> i8(52)
    m = i8(bits - i8(n << i8(52))).view(f8)
    # log2 m = 2 / ln 2 · artanh s, with m from √½ to √2; the sum brings n from the last bits into a float
    s = (m - 1.0) / (m + 1.0)
    square = s * s
    log2 = 0.3407388892042273
    log2 = log2 * square + 0.4116721907550705
    log2 = log2 * square + 0.577083594886957
    log2 = log2 * square + 0.9617966732822134
    log2 = log2 * square + 2.885390081790142
    log2 = log2 * s + (i8(n + i8(0x4338000000000000)).view(f8) - 6755399441055744.0)
    log2 = f8(-1e200) if x == f4(0.0) else log2
    log2 = f8(1e200) if abs(x) == f4(np.inf) else log2
    t = min(max(log2 * min(max(f8(y), -1e10), 1e10), f8(-160.0)), f8(128.0))
    shifted = f8(t + 6755399441055744.0)
    r = t - (shifted - 6755399441055744.0)
    e = 1.5201934109333352e-05
    e = e * r + 0.00015469296889475756
    e = e * r + 0.0013333922554591494
    e = e * r + 0.009618027231461214
    e = e * r + 0.05550410353351898
    e = e * r + 0.2402265119836701
    e = e * r + 0.6931471807285612
    e = e * r + 0.9999999999616684
    e = e * i8((shifted.view(i8) + i8(1023)) << i8(52)).view(f8)
    over = e > f8(3.4028235e38)
    power = f4(np.inf) if over else f4(f8(0.0) if over else e)
    whole = np.floor(y) == y
    odd = whole and np.floor(y * f4(0.5)) != y * f4(0.5)
    power = -power if odd and np.copysign(f4(1.0), x) < f4(0.0) else power
    power = power if whole or x >= f4(0.0) or x == f4(-np.inf) else f4(np.nan)
    power = x if np.isnan(x) else power
    return f4(1.0) if y == f4(0.0) or x == f4(1.0) else power
