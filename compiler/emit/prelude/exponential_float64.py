"""exp, expm1, log, log1p and pow in float64."""

# mypy: ignore-errors
# Numba infers the types: the text of these functions is emitted as it stands.
import numpy as np

from .rare import rare
from .scaled import scaled
from .scope import f8, i8, vector


@vector
def exp(x):
    """e^x within 1.1 ulp, without branches, so that loops over it vectorise: 2^n e^r, a minimax polynomial for e^r."""
    y = min(max(x, f8(-746.0)), f8(710.0))
    # x = n ln 2 + r: floats of the size of this sum lie 1 apart
    n = f8(y * 1.4426950408889634 + 6755399441055744.0) - 6755399441055744.0
    r = y - n * 0.6931471803691238 - n * 1.9082149292705877e-10
    e = 2.500011409950536e-08
    e = e * r + 2.763025115871156e-07
    e = e * r + 2.755758622793232e-06
    e = e * r + 2.4801493090521307e-05
    e = e * r + 0.00019841269506711787
    e = e * r + 0.0013888888943638868
    e = e * r + 0.00833333333349442
    e = e * r + 0.04166666666653012
    e = e * r + 0.16666666666666413
    e = e * r + 0.5000000000000011
    e = e * r + 1.0
    e = e * r + 1.0
    return scaled(e, n)


@vector
def expm1(x):
    """e^x - 1 within 1.8 ulp, near 0 too, as 2^n (e^r - 1) + (2^n - 1) with exp's polynomial for e^r."""
    y = min(max(x, f8(-40.0)), f8(709.782712893384))
    shifted = f8(y * 1.4426950408889634 + 6755399441055744.0)
    n = shifted - 6755399441055744.0
    r = y - n * 0.6931471803691238 - n * 1.9082149292705877e-10
    e = 2.0925542883306756e-09
    e = e * r + 2.5112145971911306e-08
    e = e * r + 2.755723914425601e-07
    e = e * r + 2.755723454244713e-06
    e = e * r + 2.4801587364530537e-05
    e = e * r + 0.00019841269896702247
    e = e * r + 0.0013888888888865455
    e = e * r + 0.008333333333316914
    e = e * r + 0.0416666666666667
    e = e * r + 0.16666666666666682
    e = (e * r + 0.5) * r * r + r
    # half the result, since 2^1024 is no float
    half = i8((shifted.view(i8) - i8(0x4338000000000000 - 1022)) << i8(52)).view(f8)
    e = (half * e + (half - 0.5)) * 2.0
    e = f8(np.inf) if x > f8(709.782712893384) else e
    return x if abs(x) < f8(1e-17) else e


@vector
def log_of_normal(x):
    """ln x within 0.9 ulp for what is positive, finite and no denormal: x = 2^n (1 + r), fdlibm's polynomial.

    1 + r runs from √½ to √2, so that near x = 1 there is n = 0 and nothing cancels.
    """
    bits = f8(x).view(i8)
    n = bits - i8(0x3FE6A09E667F3BCD)
    m = i8(bits - (n & i8(-0x10000000000000))).view(f8)
    # an integer becomes a float by way of its bits, which vectorises everywhere
    n = i8((n >> i8(52)) + i8(0x4338000000000000)).view(f8) - 6755399441055744.0
    r = m - 1.0
    s = r / (m + 1.0)
    square = s * s
    p = 0.14798198605116586
    p = p * square + 0.15313837699209373
    p = p * square + 0.1818357216161805
    p = p * square + 0.22222198432149784
    p = p * square + 0.2857142874366239
    p = p * square + 0.3999999999940942
    p = p * square + 0.6666666666666735
    half = 0.5 * r * r
    return s * (half + p * square) + (n * 1.9082149292705877e-10 - half) + r + n * 0.6931471803691238


@vector
def log(x):
    """ln x within 1 ulp; of what is not positive, infinite, NaN or a denormal, by the C library."""
    x = f8(x)
    value = log_of_normal(abs(x))
    if not f8(2.2250738585072014e-308) <= x <= f8(1.7976931348623157e308):
        value = rare(np.log, x)
    return value


@vector
def log1p(x):
    """ln(1 + x) within 1.4 ulp, near 0 too: the log of u = 1 + x as rounded, plus what rounding took, over u."""
    y = min(max(x, f8(-0.9999999999999999)), f8(1.7976931348623157e308))
    u = 1.0 + y
    s = log_of_normal(u) + (y - (u - 1.0)) / u
    s = s if abs(x) > f8(1e-17) else x
    s = s if x < f8(np.inf) else x
    s = s if x != f8(-1.0) else f8(-np.inf)
    return f8(np.nan) if x < f8(-1.0) else s


@vector
def leading(x):
    """The first 26 bits of x: products of two such numbers are exact."""
    return i8(f8(x).view(i8) & i8(-0x8000000)).view(f8)


@vector
def precise_log2(x):
    """log2 x as a sum of two numbers, good to 67 bits, for x positive and finite. The method is fdlibm's."""
    tiny = x < f8(2.2250738585072014e-308)
    bits = f8(x * 18014398509481984.0 if tiny else x).view(i8)
    n = (bits - i8(0x3FE6A09E667F3BCD)) >> i8(52)
    m = i8(bits - (n << i8(52))).view(f8)
    # n as a float, less the 54 of a denormal
    n = i8(n + i8(0x4338000000000000)).view(f8) - (6755399441055798.0 if tiny else 6755399441055744.0)
    # s = (m - 1) / (m + 1) = high + low
    s = (m - 1.0) / (m + 1.0)
    high = leading(s)
    under = leading(m + 1.0)
    low = ((m - 1.0) - high * under - high * (m - (under - 1.0))) / (m + 1.0)
    # ln m = ⅔ s (3 + s² + s⁴ p(s²)), the bracket being outer + inner, the product with s then main + rest
    square = s * s
    p = 0.17586245476510207
    p = p * square + 0.1755920129864189
    p = p * square + 0.20002213281189724
    p = p * square + 0.23076892317759193
    p = p * square + 0.2727272750439527
    p = p * square + 0.33333333332477383
    p = p * square + 0.4285714285714406
    p = p * square + 0.6
    p = p * square * square + low * (high + s)
    outer = leading(3.0 + high * high + p)
    inner = p - ((outer - 3.0) - high * high)
    rest = low * outer + inner * s
    main = leading(high * outer + rest)
    rest = rest - (main - high * outer)
    # times 2 / (3 ln 2), and n added: log2 x = main + rest
    scaled = 0.9617967009544373 * main
    rest = -7.028461650952758e-09 * main + rest * 0.9617966939259756
    main = leading(scaled + rest + n)
    return main, rest - ((main - n) - scaled)


@vector
def pow(x, y):
    """x^y within 1.1 ulp, as 2^(y log2 |x|); NaN where x < 0 and y is not whole, x^0 = 1^y = 1."""
    main, rest = precise_log2(min(max(abs(x), f8(5e-324)), f8(1.7976931348623157e308)))
    # t + u = y log2 |x|
    y1 = min(max(y, f8(-1e20)), f8(1e20))
    y0 = leading(y1)
    t = y0 * main
    u = (y1 - y0) * main + y1 * rest
    # 2^(1024 - 8e-17) would round to 2^1024
    over = t - 1024.0 + u > f8(-8.0e-17)
    under = t + u < f8(-1080.0)
    t = f8(0.0) if over or under else t
    u = f8(0.0) if over or under else u
    shifted = f8(t + u + 6755399441055744.0)
    r = (t - (shifted - 6755399441055744.0) + u) * 0.6931471805599453
    e = 2.0925542883306756e-09
    e = e * r + 2.5112145971911306e-08
    e = e * r + 2.755723914425601e-07
    e = e * r + 2.755723454244713e-06
    e = e * r + 2.4801587364530537e-05
    e = e * r + 0.00019841269896702247
    e = e * r + 0.0013888888888865455
    e = e * r + 0.008333333333316914
    e = e * r + 0.0416666666666667
    e = e * r + 0.16666666666666682
    e = (e * r + 0.5) * r * r + r + 1.0
    bits = shifted.view(i8) - i8(0x4338000000000000)
    half = bits >> i8(1)
    rest = bits - half
    power = e * i8((half + i8(1023)) << i8(52)).view(f8) * i8((rest + i8(1023)) << i8(52)).view(f8)
    # |x| of 0 or infinity: whatever y is, it is far enough
    edge = x == f8(0.0) or abs(x) == f8(np.inf)
    rising = (abs(x) > f8(1.0)) == (y > f8(0.0))
    power = f8(np.inf) if over or (edge and rising) else power
    power = f8(0.0) if under or (edge and not rising) else power
    whole = np.floor(y) == y
    odd = whole and np.floor(y * 0.5) != y * 0.5
    power = -power if odd and np.copysign(f8(1.0), x) < f8(0.0) else power
    power = power if whole or x >= f8(0.0) or x == f8(-np.inf) else f8(np.nan)
    power = x if np.isnan(x) else power
    power = y if np.isnan(y) else power
    return f8(1.0) if y == f8(0.0) or x == f8(1.0) else power
