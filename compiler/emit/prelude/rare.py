"""A function of the C library for the few numbers that are in need of it, in loops that go on by registers of numbers.

Such a loop cannot jump where one of its numbers would. But LLVM takes a function's form for registers where it has one:
this form looks whether any number is in need of the function. It becomes a part of the loop once that goes by registers
(`Whole` in compilers.py), so what it costs is a comparison.
"""

# mypy: ignore-errors
from functools import partial

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import lower_builtin, type_callable

from .pure import called, pure


def rare(function, x):
    """function(x), where that is called for but few x."""
    with np.errstate(all="ignore"):
        return function(x)


@type_callable(rare)
def type_of_rare(_):
    """What compiled code takes it for: a number like x."""
    return lambda function, x: x


@lower_builtin(rare, types.Any, types.Float)
def compiled_rare(_, builder, signature, arguments):
    """What it is in compiled code: a function with forms for registers."""
    name, x = signature.args[0].typing_key.__name__, arguments[1]
    one, form = partial(by_library, name), partial(for_register, name)
    return called(builder, f"rare.{name}.{x.type}", [x], one, form, masked=True)


def for_register(function, module, name, vector):
    """The form for a register: of the numbers that the mask has, or, where it has none, whatever there is."""
    lanes, bits = vector.count, ir.IntType(vector.count)
    kind = ir.FunctionType(vector, [vector, ir.VectorType(ir.IntType(1), lanes)])
    form, builder = pure(module, name, kind, "alwaysinline")
    values, mask = form.args
    result = values
    with builder.if_then(builder.icmp_unsigned("!=", builder.bitcast(mask, bits), bits(0)), likely=False):
        for at in map(ir.IntType(32), range(lanes)):
            value = by_library(function, builder, builder.extract_element(values, at))
            result = builder.insert_element(result, value, at)
        builder.ret(result)
    builder.ret(values)
    return form


def by_library(name, builder, x):
    """The library's function of a number, in float64."""
    double = ir.DoubleType()
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(double, [double]), name)
    wide = x if x.type == double else builder.fpext(x, double)
    value = builder.call(function, [wide])
    return value if x.type == double else builder.fptrunc(value, x.type)
