"""A number times a power of two, which processors with AVX-512 do at once, also where either is out of the ordinary.

To LLVM that is a function of theirs, and a loop does not become one by registers around it by itself. But LLVM takes a
function's forms for registers where it has them.
"""

# mypy: ignore-errors
import numpy as np
from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba import types
from numba.core import cgutils, config
from numba.extending import lower_builtin, type_callable

from .pure import called, pure


def scaled(e, n):
    """e·2^n for an e between ½ and 2: right where 2^n itself, or the result, is too large, too small or a denormal."""
    with np.errstate(all="ignore"):
        return np.ldexp(e, 0 if np.isnan(n) else np.int32(n))


@type_callable(scaled)
def type_of_scaled(_):
    """What compiled code takes it for: a number like e."""
    return lambda e, n: e


@lower_builtin(scaled, types.Float, types.Float)
def compiled_scaled(_, builder, signature, arguments):
    """The same in compiled code."""
    e, n = arguments
    known = get_host_cpu_features().flatten() if config.CPU_FEATURES is None else config.CPU_FEATURES
    if not {"+avx512f", "+avx512vl"} <= {*known.split(",")}:
        return by_bits(builder, e, n)
    return called(builder, f"scaled.{e.type}", arguments, by_bits, scaled_register, masked=False)


def scaled_register(module, name, vector):
    """The form for a register, or for several, whose numbers are scaled by bits."""
    form, builder = pure(module, name, ir.FunctionType(vector, [vector] * 2), "alwaysinline")
    single = vector.element == ir.FloatType()
    bits = vector.count * (32 if single else 64)
    if bits not in (128, 256, 512):
        builder.ret(by_bits(builder, *form.args))
        return form
    as_usual = [ir.IntType(32)(4)] if bits == 512 else []  # the rounding
    given = [*form.args, ir.Constant(vector, ir.Undefined), ir.IntType(max(vector.count, 8))(-1), *as_usual]
    kind = ir.FunctionType(vector, [each.type for each in given])
    scale = cgutils.get_or_insert_function(module, kind, f"llvm.x86.avx512.mask.scalef.p{'ds'[single]}.{bits}")
    builder.ret(builder.call(scale, given))
    return form


def by_bits(builder, e, n):
    """The same by a power whose bits are made of n, and where the result is a denormal by two."""
    kind, count = e.type, getattr(e.type, "count", 1)
    single = getattr(kind, "element", kind) == ir.FloatType()
    size, digits, bias = (32, 23, 126) if single else (64, 52, 1022)
    whole = ir.IntType(size) if count == 1 else ir.VectorType(ir.IntType(size), count)

    def constant(of, value):
        return ir.Constant(of, value if count == 1 else [value] * count)

    # e times half the power, which comes first, would be a denormal
    small = builder.fcmp_ordered("<", n, constant(kind, 2.0 - bias))
    more = builder.select(small, constant(kind, 64.0), constant(kind, 0.0))
    # floats of the size of this sum lie 1 apart, and its last bits are those of the exponent
    exponent = builder.fadd(builder.fadd(n, constant(kind, 1.5 * 2.0**digits + bias)), more)
    power = builder.bitcast(builder.shl(builder.bitcast(exponent, whole), constant(whole, digits)), kind)
    rest = builder.select(small, constant(kind, 2.0**-63), constant(kind, 2.0))
    return builder.fmul(builder.fmul(e, power), rest)
