"""text_gru: the network of text_gru.grad, its gradient and its training step, as loops and matrix products.

    h      = gru(embedding(x, letters, 32), 128)    text_gru.grad:13
    logits = dense(h, letters)                      text_gru.grad:14
    predict p = softmax(logits)                     text_gru.grad:16
    loss    mean(cross_entropy(logits, y))          text_gru.grad:17
    metric  bits = loss / log(2)                    text_gru.grad:18
    metric  accuracy = mean(argmax(logits) == y)    text_gru.grad:19

Sizes       batch (any size), time (any size), letters = 64
Parameters  h_embedding_weight[64, 32]  h_gru_wx[32, 3, 128]  h_gru_wh[128, 3, 128]  h_gru_bias[3, 128]
            h_gru_bias_h[128]  logits_weight[128, 64]  logits_bias[64]  (72 256 float32 numbers in one buffer)
Names       d_X is ∂loss/∂X and has X's shape

Emitted by gradc 0.1.0 from text_gru.grad, sha256 bc806d0e. It needs NumPy and Numba, not gradc.
This file, all of it, is yours to use under any terms.
"""

import ctypes
import gc
import math
import operator
import os
import sys
import threading
from collections import Counter
from contextlib import contextmanager, nullcontext
from functools import cache, partial, reduce
from itertools import chain
from pathlib import Path
from queue import SimpleQueue
from time import perf_counter, sleep

import numpy as np
from llvmlite import binding, ir
from llvmlite.binding import add_symbol, get_host_cpu_features
from llvmlite.ir import Constant, IntType, IRBuilder
from llvmlite.ir.instructions import InsertValue, PhiInstr
from numba import njit, types
from numba.core import cgutils, config
from numba.core.analysis import compute_cfg_from_blocks, compute_use_defs
from numba.core.callconv import CPUCallConv, Status
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler, Flags
from numba.core.compiler_machinery import register_pass
from numba.core.cpu import CPUContext
from numba.core.ir import UNDEFINED, Assign
from numba.core.ir_utils import build_definitions, find_const, guard
from numba.core.lowering import Lower
from numba.core.rewrites import rewrite_registry
from numba.core.ssa import reconstruct_ssa
from numba.core.targetconfig import ConfigStack
from numba.core.typed_passes import NativeLowering, PreLowerStripPhis
from numba.core.typing.templates import CallableTemplate
from numba.core.untyped_passes import GenericRewrites, ReconstructSSA
from numba.extending import intrinsic, lower_builtin, register_jitable, type_callable
from numba.np.numpy_support import as_dtype

try:
    import threadpoolctl
except ImportError:  # then every step is one shard
    threadpoolctl = None

f4 = np.float32
i4 = np.int32

# Sums may be reordered; nnan and ninf stay out: NaN and infinity keep their meaning. Vector functions keep their order.
FAST = {"arcp", "contract", "nsz", "reassoc"}
# Nothing here allocates an array, so none has to be counted (_nrt).
PLAIN = {"error_model": "numpy", "nogil": True, "_nrt": False}
# Compiled where compiled code calls them, with no way in from Python: Python, calling them, runs them as they stand.
BARE = {
    **PLAIN,
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
    "pipeline_class": lambda *how: fitting(Parts, *how),
}
# In an entry's code a kernel is a function of its own; the others become a part of what calls them.
kernel = register_jitable(fastmath=FAST, forceinline=False, **BARE)
inlined = register_jitable(fastmath=FAST, forceinline=True, **BARE)
vector = register_jitable(fastmath={"contract"}, forceinline=True, **BARE)


def entry(function):
    """Compiled at its first call, kernels and all, and kept on disk under the hash of its model."""
    function.__qualname__ += "_bc806d0e"
    options = {
        **PLAIN,
        "fastmath": FAST,
        "no_cfunc_wrapper": True,
        "pipeline_class": lambda *how: fitting(Entries, *how),
    }
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # there is no folder to keep it in
        return njit(**options)(function)


# ------------------------------------------------------------------ parameters

NAME = "text_gru"
DTYPE = "float32"
HASH = "bc806d0e"
PARAMS = {
    "h.embedding.weight": (0, (64, 32)),
    "h.gru.wx": (2048, (32, 3, 128)),
    "h.gru.wh": (14336, (128, 3, 128)),
    "h.gru.bias": (63488, (3, 128)),
    "h.gru.bias_h": (63872, (128,)),
    "logits.weight": (64000, (128, 64)),
    "logits.bias": (72192, (64,)),
}
SIZE = 72256
MOMENTS = {
    "h.embedding.weight.m": (0, (64, 32)),
    "h.gru.wx.m": (2048, (32, 3, 128)),
    "h.gru.wh.m": (14336, (128, 3, 128)),
    "h.gru.bias.m": (63488, (3, 128)),
    "h.gru.bias_h.m": (63872, (128,)),
    "logits.weight.m": (64000, (128, 64)),
    "logits.bias.m": (72192, (64,)),
    "h.embedding.weight.v": (72256, (64, 32)),
    "h.gru.wx.v": (74304, (32, 3, 128)),
    "h.gru.wh.v": (86592, (128, 3, 128)),
    "h.gru.bias.v": (135744, (3, 128)),
    "h.gru.bias_h.v": (136128, (128,)),
    "logits.weight.v": (136256, (128, 64)),
    "logits.bias.v": (144448, (64,)),
}
INPUTS = {
    "x": ("whole", ("batch", "time")),
}
TARGETS = {
    "y": ("whole", ("batch", "time")),
}
RANGES = {
    "x": 64,
    "y": 64,
}
BATCH = "batch"
PREDICTIONS = ("p",)
METRICS = ("bits", "accuracy")
DATA = "data/text.npz"
FIT = {"epochs": 8, "batch": 64, "validation": 0.1, "seed": 0}
SOURCE = (
    "# Which letter comes next? A gated recurrent net reads Python's own language reference, letter by le"
    "tter.\n"
    "#\n"
    "# `text_sample.py` lets the trained net write.\n"
    "\n"
    "model text_gru\n"
    "\n"
    "dim batch, time\n"
    "dim letters = 64\n"
    "\n"
    "input  x[batch, time] : int(letters)\n"
    "target y[batch, time] : int(letters)         # the text of x, a letter later\n"
    "\n"
    "h      = gru(embedding(x, letters, 32), 128)\n"
    "logits = dense(h, letters)\n"
    "\n"
    "predict p = softmax(logits)\n"
    "loss    mean(cross_entropy(logits, y))\n"
    "metric  bits = loss / log(2)                 # a letter; less is better\n"
    "metric  accuracy = mean(argmax(logits) == y)\n"
    "\n"
    "optimize adam(lr = cosine(1e-2, warmup = 50, steps = 760)), clip_norm = 1.0\n"
    'data     "data/text.npz"\n'
    "fit      epochs = 8, batch = 64, validation = 0.1, seed = 0\n"
)


@inlined
def parts(p):
    """h_embedding_weight, h_gru_wx, h_gru_wh, h_gru_bias, h_gru_bias_h, logits_weight, logits_bias: views of the flat
    buffer p, or of its gradient."""
    return (
        view(p, 0, (64, 32)),
        view(p, 2048, (32, 3, 128)),
        view(p, 14336, (128, 3, 128)),
        view(p, 63488, (3, 128)),
        view(p, 63872, (128,)),
        view(p, 64000, (128, 64)),
        view(p, 72192, (64,)),
    )


# ------------------------------------------------------------------ vector functions


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
def ordered(x):
    """An integer for a float, in the floats' order, and back: the bits, those of the magnitude turned if x < 0."""
    return i4(x ^ i4(0x7FFFFFFF)) if x < i4(0) else x


@vector
def largest(values):
    """The largest of a row, NaN if one of them is, -inf if there is none."""
    top = ordered(i4(-0x00800000))
    for n in range(values.shape[0]):
        image = ordered(f4(values[n]).view(i4))
        image = i4(0x7FFFFFFF) if np.isnan(values[n]) else image
        top = image if image > top else top
    return i4(ordered(top)).view(f4)


# ------------------------------------------------------------------ kernels


@kernel
def forward_h_gru_a(h_gru_bias, h_gru_a_sum_table, x, h_gru_a, first, last):
    """h_gru_a[b, t, g, j] = h_gru_bias[g, j] + h_gru_a_sum_table[x[b, t], g, j]            text_gru.grad:13"""
    time = x.shape[1]
    for b in range(first, last):
        for t in range(time):
            for g in range(3):
                for j in range(128):
                    h_gru_a[b, t, g, j] = h_gru_bias[g, j] + h_gru_a_sum_table[x[b, t], g, j]


@kernel
def forward_h(h_gru_a, h_gru_s, h_gru_bias_h, h, h_gru_r, h_gru_z, h_gru_n, first, last, t):
    """h_gru_r_exp_of[b, t, j] = -h_gru_a[b, t, 0, j] - h_gru_s[b, t, 0, j]                 text_gru.grad:13
    h_gru_r[b, t, j] = sigmoid(-h_gru_r_exp_of[b, t, j])                                    text_gru.grad:13
    h_gru_z_exp_of[b, t, j] = -h_gru_a[b, t, 1, j] - h_gru_s[b, t, 1, j]                    text_gru.grad:13
    h_gru_z[b, t, j] = sigmoid(-h_gru_z_exp_of[b, t, j])                                    text_gru.grad:13
    h_gru_n_tanh_of[b, t, j] = h_gru_a[b, t, 2, j] + h_gru_r[b, t, j]*(h_gru_s[b, t, 2, j] +
            h_gru_bias_h[j])                                                                text_gru.grad:13
    h_gru_n[b, t, j] = tanh(h_gru_n_tanh_of[b, t, j])                                       text_gru.grad:13
    h[b, t, j] = h_gru_n[b, t, j]*(1 - h_gru_z[b, t, j]) + h_gru_z[b, t, j]*(if t > 0 then
            h[b, t - 1, j] else 0)                                                          text_gru.grad:13
    """
    for b in range(first, last):
        for j in range(128):
            h_gru_r_exp_of = -h_gru_a[b, t, 0, j] - h_gru_s[b, t, 0, j]
            h_gru_r[b, t, j] = sigmoid(-h_gru_r_exp_of)
            h_gru_z_exp_of = -h_gru_a[b, t, 1, j] - h_gru_s[b, t, 1, j]
            h_gru_z[b, t, j] = sigmoid(-h_gru_z_exp_of)
            h_gru_n_tanh_of = h_gru_a[b, t, 2, j] + h_gru_r[b, t, j] * (h_gru_s[b, t, 2, j] + h_gru_bias_h[j])
            h_gru_n[b, t, j] = tanh(h_gru_n_tanh_of)
            h_before = h[b, t - 1, j] if t > 0 else f4(0.0)
            h[b, t, j] = h_gru_n[b, t, j] * (f4(1.0) - h_gru_z[b, t, j]) + h_gru_z[b, t, j] * h_before


@kernel
def loss_sum_and_d_logits(logits_sum, logits_bias, y, d_logits_bias, logits, logits_exp, d_logits, first, last):
    """logits[b, t, o] = logits_sum[b, t, o] + logits_bias[o]                               text_gru.grad:14
    logits_max[b, t] = max_o logits[b, t, o]                                                text_gru.grad:17
    logits_shift[b, t] = if abs(logits_max[b, t]) < inf then logits_max[b, t] else 0        text_gru.grad:17
    logits_exp[b, t, j] = exp(logits[b, t, j] - logits_shift[b, t])                         text_gru.grad:17
    logits_total[b, t] = Σ_j logits_exp[b, t, j]                                            text_gru.grad:17
    loss_cross_entropy_logsumexp[b, t] = log(logits_total[b, t]) + logits_shift[b, t]       text_gru.grad:17
    logits_inverse[b, t] = if logits_total[b, t] == 0 then 0 else 1/logits_total[b, t]      text_gru.grad:17
    loss_cross_entropy[b, t] = loss_cross_entropy_logsumexp[b, t] - logits[b, t, y[b, t]]   text_gru.grad:17
    loss_sum = Σ_b,t loss_cross_entropy[b, t]                                               text_gru.grad:17
    loss_cross_entropy_logsumexp_softmax[b, t, j] = logits_inverse[b, t]*logits_exp[b, t, j]  text_gru.grad:17
    d_logits[b, t, j] = loss_cross_entropy_logsumexp_softmax[b, t, j]/(batch*time)          text_gru.grad:17
    d_logits[b, t, y[b, t]] += -1/(batch*time)                                              text_gru.grad:17
    d_logits_bias[o] = Σ_b,t d_logits[b, t, o]                                              text_gru.grad:14
    """
    batch = logits_sum.shape[0]
    time = logits_sum.shape[1]
    loss_sum = 0.0
    d_logits_bias[...] = f4(0.0)
    for b in range(first, last):
        for t in range(time):
            for o in range(64):
                logits[o] = logits_sum[b, t, o] + logits_bias[o]
            logits_max = largest(logits)
            logits_shift = logits_max if abs(logits_max) < f4(np.inf) else f4(0.0)
            logits_total = f4(0.0)
            for j in range(64):
                logits_exp[j] = exp(logits[j] - logits_shift)
                logits_total += logits_exp[j]
            loss_cross_entropy_logsumexp = log(logits_total) + logits_shift
            logits_inverse = f4(0.0) if logits_total == f4(0.0) else f4(1.0) / logits_total
            loss_cross_entropy = loss_cross_entropy_logsumexp - logits[y[b, t]]
            loss_sum += loss_cross_entropy
            for j in range(64):
                loss_cross_entropy_logsumexp_softmax = logits_inverse * logits_exp[j]
                d_logits[b, t, j] = loss_cross_entropy_logsumexp_softmax / f4(batch * time)
            d_logits[b, t, y[b, t]] -= f4(1.0) / f4(batch * time)
            for o in range(64):
                d_logits_bias[o] += d_logits[b, t, o]
    return loss_sum


@kernel
def backward_h(d_h, h_gru_z, first, last, t):
    """d_h[b, t, j] += d_h[b, t + 1, j]*h_gru_z[b, t + 1, j]  where t + 2 <= time           text_gru.grad:13"""
    for b in range(first, last):
        for j in range(128):
            d_h[b, t, j] += d_h[b, t + 1, j] * h_gru_z[b, t + 1, j]


@kernel
def backward_h_gru_n_tanh_of(
    d_h,
    h_gru_z,
    h,
    h_gru_n,
    h_gru_s,
    h_gru_bias_h,
    h_gru_r,
    d_h_gru_n_tanh_of,
    d_h_gru_s,
    d_h_gru_z_exp_of,
    d_h_gru_r_exp_of,
    first,
    last,
    t,
):
    """d_h_gru_n[b, t, j] = d_h[b, t, j]*(1 - h_gru_z[b, t, j])                             text_gru.grad:13
    d_h_gru_z[b, t, j] = d_h[b, t, j]*((if t > 0 then h[b, t - 1, j] else 0) - h_gru_n[b, t, j])  text_gru.grad:13
    d_h_gru_n_tanh_of[b, t, j] = d_h_gru_n[b, t, j]*(1 - h_gru_n[b, t, j]^2)                text_gru.grad:13
    d_h_gru_r[b, t, j] = d_h_gru_n_tanh_of[b, t, j]*(h_gru_s[b, t, 2, j] + h_gru_bias_h[j])  text_gru.grad:13
    d_h_gru_s[b, t, 2, j] = d_h_gru_n_tanh_of[b, t, j]*h_gru_r[b, t, j]                     text_gru.grad:13
    d_h_gru_z_exp_of[b, t, j] = -d_h_gru_z[b, t, j]*h_gru_z[b, t, j]*(1 - h_gru_z[b, t, j])  text_gru.grad:13
    d_h_gru_s[b, t, 1, j] = -d_h_gru_z_exp_of[b, t, j]                                      text_gru.grad:13
    d_h_gru_r_exp_of[b, t, j] = -d_h_gru_r[b, t, j]*h_gru_r[b, t, j]*(1 - h_gru_r[b, t, j])  text_gru.grad:13
    d_h_gru_s[b, t, 0, j] = -d_h_gru_r_exp_of[b, t, j]                                      text_gru.grad:13
    """
    for b in range(first, last):
        for j in range(128):
            d_h_gru_n = d_h[b, t, j] * (f4(1.0) - h_gru_z[b, t, j])
            d_h_gru_z = d_h[b, t, j] * ((h[b, t - 1, j] if t > 0 else f4(0.0)) - h_gru_n[b, t, j])
            d_h_gru_n_tanh_of[b, t, j] = d_h_gru_n * (f4(1.0) - h_gru_n[b, t, j] * h_gru_n[b, t, j])
            d_h_gru_r = d_h_gru_n_tanh_of[b, t, j] * (h_gru_s[b, t, 2, j] + h_gru_bias_h[j])
            d_h_gru_s[b, t, 2, j] = d_h_gru_n_tanh_of[b, t, j] * h_gru_r[b, t, j]
            d_h_gru_z_exp_of[b, t, j] = -d_h_gru_z * h_gru_z[b, t, j] * (f4(1.0) - h_gru_z[b, t, j])
            d_h_gru_s[b, t, 1, j] = -d_h_gru_z_exp_of[b, t, j]
            d_h_gru_r_exp_of[b, t, j] = -d_h_gru_r * h_gru_r[b, t, j] * (f4(1.0) - h_gru_r[b, t, j])
            d_h_gru_s[b, t, 0, j] = -d_h_gru_r_exp_of[b, t, j]


@kernel
def backward_h_gru_a(
    d_h_gru_n_tanh_of,
    d_h_gru_z_exp_of,
    d_h_gru_r_exp_of,
    h_gru_r,
    x,
    d_h_gru_bias_h,
    d_h_gru_a_sum_table,
    d_h_gru_bias,
    d_h_gru_a,
    first,
    last,
):
    """d_h_gru_a[b, t, 2, j] = d_h_gru_n_tanh_of[b, t, j]                                   text_gru.grad:13
    d_h_gru_a[b, t, 1, j] = -d_h_gru_z_exp_of[b, t, j]                                      text_gru.grad:13
    d_h_gru_a[b, t, 0, j] = -d_h_gru_r_exp_of[b, t, j]                                      text_gru.grad:13
    d_h_gru_bias_h[j] = Σ_b,t d_h_gru_n_tanh_of[b, t, j]*h_gru_r[b, t, j]                   text_gru.grad:13
    d_h_gru_a_sum_table[x[b, t], g, j] += d_h_gru_a[b, t, g, j]                             text_gru.grad:13
    d_h_gru_bias[g, j] = Σ_b,t d_h_gru_a[b, t, g, j]                                        text_gru.grad:13
    """
    time = d_h_gru_n_tanh_of.shape[1]
    d_h_gru_bias_h[...] = f4(0.0)
    d_h_gru_a_sum_table[...] = f4(0.0)
    d_h_gru_bias[...] = f4(0.0)
    for b in range(first, last):
        for t in range(time):
            for j in range(128):
                d_h_gru_a[2, j] = d_h_gru_n_tanh_of[b, t, j]
                d_h_gru_a[1, j] = -d_h_gru_z_exp_of[b, t, j]
                d_h_gru_a[0, j] = -d_h_gru_r_exp_of[b, t, j]
                d_h_gru_bias_h[j] += d_h_gru_n_tanh_of[b, t, j] * h_gru_r[b, t, j]
            for g in range(3):
                for j in range(128):
                    d_h_gru_a_sum_table[x[b, t], g, j] += d_h_gru_a[g, j]
                    d_h_gru_bias[g, j] += d_h_gru_a[g, j]


@kernel
def backward_h_gru_wh_factor(h, d_h_gru_s, d_h_gru_wh_factor, d_h_gru_wh_factor_2, first, last):
    """d_h_gru_wh_factor[b, t, k] = h[b, t - 1, k]  where t >= 1                            text_gru.grad:13
    d_h_gru_wh_factor_2[b, t, g, j] = d_h_gru_s[b, t, g, j]  where t >= 1                   text_gru.grad:13
    """
    time = h.shape[1]
    for b in range(first, last):
        for t in range(time):
            if t > 0:
                for k in range(128):
                    d_h_gru_wh_factor[b, t, k] = h[b, t - 1, k]
            else:
                for k in range(128):
                    d_h_gru_wh_factor[b, t, k] = f4(0.0)
            for g in range(3):
                if t > 0:
                    for j in range(128):
                        d_h_gru_wh_factor_2[b, t, g, j] = d_h_gru_s[b, t, g, j]
                else:
                    for j in range(128):
                        d_h_gru_wh_factor_2[b, t, g, j] = f4(0.0)


@kernel
def clip(gradient):
    """gradient_norm_sum = Σ_n gradient[n]^2                                                text_gru.grad:21
    gradient_norm = sqrt(gradient_norm_sum)                                                 text_gru.grad:21
    clip_scale = min(1, 1/(gradient_norm + 1e-06))                                          text_gru.grad:21
    """
    gradient_norm_sum = 0.0
    for n in range(72256):
        gradient_norm_sum += gradient[n] * gradient[n]
    gradient_norm = np.sqrt(gradient_norm_sum)
    clip_scale = min(1.0 / (gradient_norm + 1e-06), 1.0)
    return clip_scale


@kernel
def adam(g, m, v, p, t, clip_scale):
    """lr_cos = if t <= 50 then 0 else cos(pi*min(1, t/710 - 51/710))                       text_gru.grad:21
    lr = if t <= 50 then t/5100 else 0.005*lr_cos + 0.005                                   text_gru.grad:21
    rate_pow = 0.9^t                                                                        text_gru.grad:21
    rate = lr/(1 - rate_pow)                                                                text_gru.grad:21
    unbias_pow = 0.999^t                                                                    text_gru.grad:21
    unbias = 1/sqrt(1 - unbias_pow)                                                         text_gru.grad:21
    g_2[n] = g[n]*clip_scale                                                                text_gru.grad:21
    m_2[n] = 0.9*m[n] + 0.1*g_2[n]                                                          text_gru.grad:21
    v_2[n] = 0.999*v[n] + 0.001*g_2[n]^2                                                    text_gru.grad:21
    p_2[n] = p[n] - rate*m_2[n]/(sqrt(v_2[n])*unbias + 1e-08)                               text_gru.grad:21
    """
    size = g.shape[0]
    lr_cos = 0.0 if t <= 50.0 else np.cos(np.pi * min(t / 710.0 - 51.0 / 710.0, 1.0))
    lr = t / 5100.0 if t <= 50.0 else 0.005 * lr_cos + 0.005
    rate_pow = 0.9**t
    rate = lr / (1.0 - rate_pow)
    unbias_pow = 0.999**t
    unbias = 1.0 / np.sqrt(1.0 - unbias_pow)
    for n in range(size):
        g_2 = g[n] * f4(clip_scale)
        m_2 = f4(0.9) * m[n] + f4(0.1) * g_2
        v_2 = f4(0.999) * v[n] + f4(0.001) * (g_2 * g_2)
        p_2 = p[n] - f4(rate) * m_2 / (np.sqrt(v_2) * f4(unbias) + f4(1e-08))
        p[n] = p_2
        m[n] = m_2
        v[n] = v_2


@kernel
def predict_h_gru_a(h_gru_bias, h_gru_a_sum_table, x, h_gru_a):
    """h_gru_a[b, t, g, j] = h_gru_bias[g, j] + h_gru_a_sum_table[x[b, t], g, j]            text_gru.grad:13"""
    batch = x.shape[0]
    time = x.shape[1]
    for b in range(batch):
        for t in range(time):
            for g in range(3):
                for j in range(128):
                    h_gru_a[b, t, g, j] = h_gru_bias[g, j] + h_gru_a_sum_table[x[b, t], g, j]


@kernel
def predict_h(h_gru_a, h_gru_s, h_gru_bias_h, h, t):
    """h_gru_r_exp_of[b, t, j] = -h_gru_a[b, t, 0, j] - h_gru_s[b, t, 0, j]                 text_gru.grad:13
    h_gru_r[b, t, j] = sigmoid(-h_gru_r_exp_of[b, t, j])                                    text_gru.grad:13
    h_gru_z_exp_of[b, t, j] = -h_gru_a[b, t, 1, j] - h_gru_s[b, t, 1, j]                    text_gru.grad:13
    h_gru_z[b, t, j] = sigmoid(-h_gru_z_exp_of[b, t, j])                                    text_gru.grad:13
    h_gru_n_tanh_of[b, t, j] = h_gru_a[b, t, 2, j] + h_gru_r[b, t, j]*(h_gru_s[b, t, 2, j] +
            h_gru_bias_h[j])                                                                text_gru.grad:13
    h_gru_n[b, t, j] = tanh(h_gru_n_tanh_of[b, t, j])                                       text_gru.grad:13
    h[b, t, j] = h_gru_n[b, t, j]*(1 - h_gru_z[b, t, j]) + h_gru_z[b, t, j]*(if t > 0 then
            h[b, t - 1, j] else 0)                                                          text_gru.grad:13
    """
    batch = h_gru_a.shape[0]
    for b in range(batch):
        for j in range(128):
            h_gru_r_exp_of = -h_gru_a[b, t, 0, j] - h_gru_s[b, 0, j]
            h_gru_r = sigmoid(-h_gru_r_exp_of)
            h_gru_z_exp_of = -h_gru_a[b, t, 1, j] - h_gru_s[b, 1, j]
            h_gru_z = sigmoid(-h_gru_z_exp_of)
            h_gru_n_tanh_of = h_gru_a[b, t, 2, j] + h_gru_r * (h_gru_s[b, 2, j] + h_gru_bias_h[j])
            h_gru_n = tanh(h_gru_n_tanh_of)
            h[b, t, j] = h_gru_n * (f4(1.0) - h_gru_z) + h_gru_z * (h[b, t - 1, j] if t > 0 else f4(0.0))


@kernel
def forward_p(logits_sum, logits_bias, logits, logits_exp, p):
    """logits[b, t, o] = logits_sum[b, t, o] + logits_bias[o]                               text_gru.grad:14
    logits_max[b, t] = max_o logits[b, t, o]                                                text_gru.grad:16
    logits_shift[b, t] = if abs(logits_max[b, t]) < inf then logits_max[b, t] else 0        text_gru.grad:16
    logits_exp[b, t, j] = exp(logits[b, t, j] - logits_shift[b, t])                         text_gru.grad:16
    logits_total[b, t] = Σ_j logits_exp[b, t, j]                                            text_gru.grad:16
    logits_inverse[b, t] = if logits_total[b, t] == 0 then 0 else 1/logits_total[b, t]      text_gru.grad:16
    p[b, t, i] = logits_inverse[b, t]*logits_exp[b, t, i]                                   text_gru.grad:16
    """
    batch = logits_sum.shape[0]
    time = logits_sum.shape[1]
    for b in range(batch):
        for t in range(time):
            for o in range(64):
                logits[o] = logits_sum[b, t, o] + logits_bias[o]
            logits_max = largest(logits)
            logits_shift = logits_max if abs(logits_max) < f4(np.inf) else f4(0.0)
            logits_total = f4(0.0)
            for j in range(64):
                logits_exp[j] = exp(logits[j] - logits_shift)
                logits_total += logits_exp[j]
            logits_inverse = f4(0.0) if logits_total == f4(0.0) else f4(1.0) / logits_total
            for i in range(64):
                p[b, t, i] = logits_inverse * logits_exp[i]


@kernel
def forward_loss(logits_sum, logits_bias, y, logits):
    """logits[b, t, o] = logits_sum[b, t, o] + logits_bias[o]                               text_gru.grad:14
    logits_max[b, t] = max_o logits[b, t, o]                                                text_gru.grad:17
    accuracy_argmax[b, t] = argmax_o logits[b, t, o]                                        text_gru.grad:19
    logits_shift[b, t] = if abs(logits_max[b, t]) < inf then logits_max[b, t] else 0        text_gru.grad:17
    logits_exp[b, t, j] = exp(logits[b, t, j] - logits_shift[b, t])                         text_gru.grad:17
    logits_total[b, t] = Σ_j logits_exp[b, t, j]                                            text_gru.grad:17
    loss_cross_entropy_logsumexp[b, t] = log(logits_total[b, t]) + logits_shift[b, t]       text_gru.grad:17
    loss_cross_entropy[b, t] = loss_cross_entropy_logsumexp[b, t] - logits[b, t, y[b, t]]   text_gru.grad:17
    loss_sum = Σ_b,t loss_cross_entropy[b, t]                                               text_gru.grad:17
    accuracy_sum = Σ_b,t (if accuracy_argmax[b, t] == y[b, t] then 1 else 0)                text_gru.grad:19
    loss = loss_sum/(batch*time)                                                            text_gru.grad:17
    bits = loss/log(2)                                                                      text_gru.grad:18
    accuracy = accuracy_sum/(batch*time)                                                    text_gru.grad:19
    """
    batch = logits_sum.shape[0]
    time = logits_sum.shape[1]
    loss_sum = 0.0
    accuracy_sum = 0
    for b in range(batch):
        for t in range(time):
            accuracy_argmax = 0
            best = f4(-np.inf)
            for o in range(64):
                logits[o] = logits_sum[b, t, o] + logits_bias[o]
                value = logits[o]
                if value > best or (np.isnan(value) and not np.isnan(best)):
                    best, accuracy_argmax = value, o
            logits_max = largest(logits)
            logits_shift = logits_max if abs(logits_max) < f4(np.inf) else f4(0.0)
            logits_total = f4(0.0)
            for j in range(64):
                logits_exp = exp(logits[j] - logits_shift)
                logits_total += logits_exp
            loss_cross_entropy_logsumexp = log(logits_total) + logits_shift
            loss_cross_entropy = loss_cross_entropy_logsumexp - logits[y[b, t]]
            loss_sum += loss_cross_entropy
            accuracy_sum += 1 if accuracy_argmax == y[b, t] else 0
    loss = loss_sum / (batch * time)
    bits = loss / np.log(2.0)
    accuracy = accuracy_sum / (batch * time)
    return loss, bits, accuracy


@kernel
def first_outside(values, size):
    """The first place, counted row by row, that does not hold one of 0 .. size - 1, or -1."""
    flat = view(values, 0, (values.size,))
    for n in range(flat.size):
        if flat[n] < 0 or flat[n] >= size:
            return n
    return -1


# ------------------------------------------------------------------ forward, backward, update


@inlined
def over_rows(params, d_params, first, last, team, work, x, y):
    """One forward and one backward pass over the rows first .. last - 1: fills d_params with their share,
    returns what they add to the sums.
    """
    batch = x.shape[0]
    time = x.shape[1]
    h_embedding_weight, h_gru_wx, h_gru_wh, h_gru_bias, h_gru_bias_h, logits_weight, logits_bias = parts(params)
    (
        d_h_embedding_weight,
        d_h_gru_wx,
        d_h_gru_wh,
        d_h_gru_bias,
        d_h_gru_bias_h,
        d_logits_weight,
        d_logits_bias,
    ) = parts(d_params)
    h_gru_a_sum_table = view(work, 0, (64, 3, 128))
    h_gru_a = view(work, 24576, (batch, time, 3, 128))
    h_gru_s = view(work, 384 * batch * time + 24576, (batch, time, 3, 128))  # kept for d_h_gru_r
    h_gru_r = view(work, 768 * batch * time + 24576, (batch, time, 128))  # kept for d_h_gru_s and d_h_gru_r_exp_of
    h_gru_z = view(work, 896 * batch * time + 24576, (batch, time, 128))  # kept for d_h and d_h_gru_n
    h_gru_n = view(work, 1024 * batch * time + 24576, (batch, time, 128))  # kept for d_h_gru_z and d_h_gru_n_tanh_of
    h = view(work, 1152 * batch * time + 24576, (batch, time, 128))  # kept for d_h_gru_z and d_logits_weight
    logits_sum = view(work, 24576, (batch, time, 64))
    logits = view(work, 0, (64,))
    logits_exp = view(work, 1280 * batch * time + 24576, (64,))
    d_logits = view(work, 1280 * batch * time + 24640, (batch, time, 64))
    d_h = view(work, 24576, (batch, time, 128))
    d_h_gru_n_tanh_of = view(work, 1344 * batch * time + 24640, (batch, time, 128))
    d_h_gru_s = view(work, 1472 * batch * time + 24640, (batch, time, 3, 128))
    d_h_gru_z_exp_of = view(work, 1856 * batch * time + 24640, (batch, time, 128))
    d_h_gru_r_exp_of = view(work, 1984 * batch * time + 24640, (batch, time, 128))
    d_h_gru_a = view(work, 0, (3, 128))
    d_h_gru_a_sum_table = view(work, 2112 * batch * time + 24640, (64, 3, 128))
    d_h_gru_wh_factor = view(work, 1984 * batch * time + 24640, (batch, time, 128))
    d_h_gru_wh_factor_2 = view(work, 384 * batch * time + 24576, (batch, time, 3, 128))

    # forward
    # h_gru_a_sum_table[s, g, j] = Σ_i h_embedding_weight[s, i] h_gru_wx[i, g, j]
    gemm(h_embedding_weight, view(h_gru_wx, 0, (32, 384)), view(h_gru_a_sum_table, 0, (64, 384)), False)
    forward_h_gru_a(h_gru_bias, h_gru_a_sum_table, x, h_gru_a, first, last)
    h_gru_s[first:last, :1] = f4(0.0)
    # through t: each round reads what the one before it made
    for t in range(time):
        if t > 0:
            # h_gru_s[b, t, g, j] = Σ_k h[b, t - 1, k] h_gru_wh[k, g, j]
            gemm(
                h[first:last, t - 1],
                view(h_gru_wh, 0, (128, 384)),
                view(h_gru_s, 0, (batch, time, 384))[first:last, t],
                False,
            )
        else:
            h_gru_s[first:last, t, ...] = f4(0.0)
        forward_h(h_gru_a, h_gru_s, h_gru_bias_h, h, h_gru_r, h_gru_z, h_gru_n, first, last, t)
    # logits_sum[b, t, o] = Σ_i h[b, t, i] logits_weight[i, o]
    gemm(
        view(rows(h, first, last), 0, (last * time - first * time, 128)),
        logits_weight,
        view(rows(logits_sum, first, last), 0, (last * time - first * time, 64)),
        False,
    )

    # backward
    loss_sum = loss_sum_and_d_logits(
        logits_sum, logits_bias, y, d_logits_bias, logits, logits_exp, d_logits, first, last
    )
    # d_h[b, t, i] = Σ_o d_logits[b, t, o] logits_weight[i, o]
    gemm(
        view(rows(d_logits, first, last), 0, (last * time - first * time, 64)),
        logits_weight.T,
        view(rows(d_h, first, last), 0, (last * time - first * time, 128)),
        False,
    )
    # back through t: each round reads what the one after it made
    for t in range(time - 1, -1, -1):
        if time >= t + 2:
            backward_h(d_h, h_gru_z, first, last, t)
        if time >= t + 2:
            # d_h[b, t, k] += Σ_g,j d_h_gru_s[b, t + 1, g, j] h_gru_wh[k, g, j]
            gemm(
                view(d_h_gru_s, 0, (batch, time, 384))[first:last, t + 1],
                view(h_gru_wh, 0, (128, 384)).T,
                d_h[first:last, t],
                True,
            )
        backward_h_gru_n_tanh_of(
            d_h,
            h_gru_z,
            h,
            h_gru_n,
            h_gru_s,
            h_gru_bias_h,
            h_gru_r,
            d_h_gru_n_tanh_of,
            d_h_gru_s,
            d_h_gru_z_exp_of,
            d_h_gru_r_exp_of,
            first,
            last,
            t,
        )
    # d_logits_weight[i, o] = Σ_b,t h[b, t, i] d_logits[b, t, o]
    gemm(
        view(rows(h, first, last), 0, (last * time - first * time, 128)).T,
        view(rows(d_logits, first, last), 0, (last * time - first * time, 64)),
        d_logits_weight,
        False,
    )
    backward_h_gru_a(
        d_h_gru_n_tanh_of,
        d_h_gru_z_exp_of,
        d_h_gru_r_exp_of,
        h_gru_r,
        x,
        d_h_gru_bias_h,
        d_h_gru_a_sum_table,
        d_h_gru_bias,
        d_h_gru_a,
        first,
        last,
    )
    backward_h_gru_wh_factor(h, d_h_gru_s, d_h_gru_wh_factor, d_h_gru_wh_factor_2, first, last)
    # d_h_gru_wh[k, g, j] = Σ_b,t d_h_gru_wh_factor[b, t, k] d_h_gru_wh_factor_2[b, t, g, j]
    gemm(
        view(rows(d_h_gru_wh_factor, first, last), 0, (last * time - first * time, 128)).T,
        view(rows(d_h_gru_wh_factor_2, first, last), 0, (last * time - first * time, 384)),
        view(d_h_gru_wh, 0, (128, 384)),
        False,
    )
    add_up(d_h_gru_a_sum_table, team)  # d_h_gru_a_sum_table, of the rows of all
    d_h_embedding_weight[...] = 0.0
    d_h_gru_wx[...] = 0.0
    return (loss_sum,)


@inlined
def of_sums(params, d_params, work, batch, time, loss_sum):
    """The loss, of the sums over all rows."""
    h_embedding_weight, h_gru_wx, _, _, _, _, _ = parts(params)
    d_h_embedding_weight, d_h_gru_wx, _, _, _, _, _ = parts(d_params)
    d_h_gru_a_sum_table = view(work, 2112 * batch * time + 24640, (64, 3, 128))

    # forward
    loss = loss_sum / (batch * time)

    # backward
    # d_h_embedding_weight[s, i] = Σ_g,j d_h_gru_a_sum_table[s, g, j] h_gru_wx[i, g, j]
    gemm(view(d_h_gru_a_sum_table, 0, (64, 384)), view(h_gru_wx, 0, (32, 384)).T, d_h_embedding_weight, False)
    # d_h_gru_wx[i, g, j] = Σ_s h_embedding_weight[s, i] d_h_gru_a_sum_table[s, g, j]
    gemm(h_embedding_weight.T, view(d_h_gru_a_sum_table, 0, (64, 384)), view(d_h_gru_wx, 0, (32, 384)), False)
    return loss


@inlined
def differentiate(params, shares, team, work, x, y):
    """One forward and one backward pass by all workers of a team, each over the rows of its shards:
    returns the loss, fills the first of the shares.
    """
    batch = x.shape[0]
    time = x.shape[1]
    worker, _, turns = team
    shards = shares.shape[0]
    from_shard, to_shard = own_shards(shards, worker, turns)
    for shard in range(from_shard, to_shard):
        first, last = batch * shard // shards, batch * (shard + 1) // shards
        d_params = view(shares, 72256 * shard, (72256,))
        (loss_sum,) = over_rows(params, d_params, first, last, team, work, x, y)
        put_up(loss_sum, 0, shard, team)
    d_params = view(shares, 0, (72256,))
    meet(worker, turns)
    loss_sum = f4(added_up(0, team))
    loss = 0.0
    if worker == 0 and not is_left(turns):
        loss = of_sums(params, d_params, work, batch, time, loss_sum)
    loss = joined(loss, team)
    for shard in range(from_shard, to_shard):
        begin, end = 72256 * shard // shards, 72256 * (shard + 1) // shards
        add_shares(shares, begin, end)
    meet(worker, turns)
    return loss


@inlined
def update(params, d_params, moments, t):
    """One step of adam, in place; t counts steps from 1."""
    gradient = d_params[0:72256]
    clip_scale = clip(gradient)
    p = view(params, 0, (72256,))
    g = view(d_params, 0, (72256,))
    m = view(moments, 0, (72256,))
    v = view(moments, 72256, (72256,))
    adam(g, m, v, p, t, clip_scale)


@entry
def gradient_entry(params, shares, worker, board, turns, work, x, y):
    """The loss and its gradient. Returns (which array is out of range or -1, its place, the loss)."""
    if params.size != SIZE:
        raise ValueError("params are of another model: init() makes those of this one")
    place = first_outside(x, 64)
    if place >= 0:
        return 0, place, 0.0
    place = first_outside(y, 64)
    if place >= 0:
        return 1, place, 0.0
    team = worker, board, turns
    loss = differentiate(params, shares, team, work, x, y)
    return -1, -1, loss


@inlined
def take_steps(params, shares, moments, t, losses, team, work, x_rows, y_rows):
    """gradient_entry and a step of the optimizer, for each of the losses: each on as many of the rows, in their order.

    Ends before an array that is out of range, and with a loss that is not finite. Returns (which array is
    out of range or -1, its place in its batch, how many steps were taken, the loss of the last).
    """
    worker, _, turns = team
    d_params = view(shares, 0, (72256,))
    count = x_rows.shape[0] // losses.size
    loss = 0.0
    for step in range(losses.size):
        first = step * count
        x = rows(x_rows, first, first + count)
        y = rows(y_rows, first, first + count)
        place = first_outside(x, 64)
        if place >= 0:
            meet(worker, turns)
            return 0, place, step, 0.0
        place = first_outside(y, 64)
        if place >= 0:
            meet(worker, turns)
            return 1, place, step, 0.0
        loss = differentiate(params, shares, team, work, x, y)
        if is_left(turns):
            return -1, -1, step, 0.0
        if worker == 0:
            update(params, d_params, moments, float(t))
        meet(worker, turns)
        if worker == 0:
            losses[step] = loss
        if not np.isfinite(loss):
            return -1, -1, step + 1, loss
        t += 1
    return -1, -1, losses.size, loss


@entry
def step_entry(params, shares, moments, t, losses, worker, board, turns, calls, calling, work, x_rows, y_rows):
    """A worker's part of take_steps. The first, where it is calling, calls all who stay, and gives -2 if
    one is away; the others stay for a while, and take the steps that they are called to.
    """
    if params.size != SIZE or shares.shape[1] != SIZE or moments.size != 144512:
        raise ValueError("params or state are of another model: init() and init_state(params) make those of this one")
    if calling:
        calls[0] = t
        note_array(calls, 1, losses)
        note_array(calls, 3, x_rows)
        note_array(calls, 6, y_rows)
        if not all_called(turns):
            return -2, -1, 0, 0.0
    while True:
        turns[worker, 2] = STAYS
        done = take_steps(params, shares, moments, t, losses, (worker, board, turns), work, x_rows, y_rows)
        if worker == 0 or not called_again(worker, turns):
            return done
        t = calls[0]
        losses = noted_array(calls, 1, losses)
        x_rows = noted_array(calls, 3, x_rows)
        y_rows = noted_array(calls, 6, y_rows)


@entry
def predict_entry(params, work, x, p):
    """One forward pass: fills p."""
    if params.size != SIZE:
        raise ValueError("params are of another model: init() makes those of this one")
    place = first_outside(x, 64)
    if place >= 0:
        return 0, place
    batch = x.shape[0]
    time = x.shape[1]
    h_embedding_weight, h_gru_wx, h_gru_wh, h_gru_bias, h_gru_bias_h, logits_weight, logits_bias = parts(params)
    h_gru_a_sum_table = view(work, 0, (64, 3, 128))
    h_gru_a = view(work, 24576, (batch, time, 3, 128))
    h_gru_s = view(work, 384 * batch * time + 24576, (batch, 3, 128))
    h = view(work, 384 * batch * time + 384 * batch + 24576, (batch, time, 128))
    logits_sum = view(work, 24576, (batch, time, 64))
    logits = view(work, 0, (64,))
    logits_exp = view(work, 384 * batch * time + 24576, (64,))
    # h_gru_a_sum_table[s, g, j] = Σ_i h_embedding_weight[s, i] h_gru_wx[i, g, j]
    gemm(h_embedding_weight, view(h_gru_wx, 0, (32, 384)), view(h_gru_a_sum_table, 0, (64, 384)), False)
    predict_h_gru_a(h_gru_bias, h_gru_a_sum_table, x, h_gru_a)
    # through t: each round reads what the one before it made
    for t in range(time):
        if t > 0:
            # h_gru_s[b, t, g, j] = Σ_k h[b, t - 1, k] h_gru_wh[k, g, j]
            gemm(h[:, t - 1], view(h_gru_wh, 0, (128, 384)), view(h_gru_s, 0, (batch, 384)), False)
        else:
            h_gru_s[...] = f4(0.0)
        predict_h(h_gru_a, h_gru_s, h_gru_bias_h, h, t)
    # logits_sum[b, t, o] = Σ_i h[b, t, i] logits_weight[i, o]
    gemm(view(h, 0, (batch * time, 128)), logits_weight, view(logits_sum, 0, (batch * time, 64)), False)
    forward_p(logits_sum, logits_bias, logits, logits_exp, p)
    return -1, -1


@entry
def evaluate_entry(params, work, x, y):
    """One forward pass: returns loss, bits, accuracy."""
    if params.size != SIZE:
        raise ValueError("params are of another model: init() makes those of this one")
    place = first_outside(x, 64)
    if place >= 0:
        return 0, place, 0.0, 0.0, 0.0
    place = first_outside(y, 64)
    if place >= 0:
        return 1, place, 0.0, 0.0, 0.0
    batch = x.shape[0]
    time = x.shape[1]
    h_embedding_weight, h_gru_wx, h_gru_wh, h_gru_bias, h_gru_bias_h, logits_weight, logits_bias = parts(params)
    h_gru_a_sum_table = view(work, 0, (64, 3, 128))
    h_gru_a = view(work, 24576, (batch, time, 3, 128))
    h_gru_s = view(work, 384 * batch * time + 24576, (batch, 3, 128))
    h = view(work, 384 * batch * time + 384 * batch + 24576, (batch, time, 128))
    logits_sum = view(work, 24576, (batch, time, 64))
    logits = view(work, 0, (64,))
    # h_gru_a_sum_table[s, g, j] = Σ_i h_embedding_weight[s, i] h_gru_wx[i, g, j]
    gemm(h_embedding_weight, view(h_gru_wx, 0, (32, 384)), view(h_gru_a_sum_table, 0, (64, 384)), False)
    predict_h_gru_a(h_gru_bias, h_gru_a_sum_table, x, h_gru_a)
    # through t: each round reads what the one before it made
    for t in range(time):
        if t > 0:
            # h_gru_s[b, t, g, j] = Σ_k h[b, t - 1, k] h_gru_wh[k, g, j]
            gemm(h[:, t - 1], view(h_gru_wh, 0, (128, 384)), view(h_gru_s, 0, (batch, 384)), False)
        else:
            h_gru_s[...] = f4(0.0)
        predict_h(h_gru_a, h_gru_s, h_gru_bias_h, h, t)
    # logits_sum[b, t, o] = Σ_i h[b, t, i] logits_weight[i, o]
    gemm(view(h, 0, (batch * time, 128)), logits_weight, view(logits_sum, 0, (batch * time, 64)), False)
    loss, bits, accuracy = forward_loss(logits_sum, logits_bias, y, logits)
    return -1, -1, loss, bits, accuracy


# ------------------------------------------------------------------ for callers


def processors():
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def shards_of(rows, work, least):
    """How many workers so many rows and multiply-adds are cut for: GRADC_THREADS at most, each with enough."""
    most = min(rows, work // least)
    if most <= 1 or threadpoolctl is None:  # asking for the others takes a microsecond
        return 1
    return max(1, min(most, int(os.environ.get("GRADC_THREADS") or processors())))


class OneBlasThread:
    """Holds BLAS, whose limit is the whole process's, at one thread while any step runs in shards."""

    def __init__(self):
        self.lock, self.users, self.controller, self.limit = threading.Lock(), 0, None, None

    def __enter__(self):
        with self.lock:
            self.users += 1
            if self.users == 1:
                # kept: finding the libraries anew takes a millisecond, setting their limit a hundredth of one
                self.controller = self.controller or threadpoolctl.ThreadpoolController()
                self.limit = self.controller.limit(limits=1, user_api="blas")

    def __exit__(self, *_):
        with self.lock:
            self.users -= 1
            if self.users == 0:
                self.limit.restore_original_limits()


class Worker(threading.Thread):
    """A thread that does one thing after another, each as soon as it is handed over, and is idle between them."""

    def __init__(self, idle):
        super().__init__(daemon=True)
        self.idle, self.todo = idle, SimpleQueue()  # the futures of a thread pool take ten times as long
        self.start()

    def run(self):
        while True:
            self.todo.get()()
            if len(self.idle) >= 16:  # enough are
                return
            self.idle.append(self)


class Pace:
    """Whether calls are made by a worker for each shard, or by one alone: on a processor that is busy with other
    programs, workers wait for one that the system has taken off its core.

    Where calls together lose more than a few milliseconds against what one alone has been seen to take, one alone makes
    them for eight times as long as was lost, and twice as long each time that they are late again soon after.
    """

    def __init__(self, what, shards):
        self.what, self.shards, self.calls = what, shards, 0
        self.alone, self.is_guess = 1.5e-11, True  # seconds for a multiply-add by one worker
        self.lost, self.rest, self.until = 0.0, 0.0, 0.0

    def is_alone(self):
        """Whether one worker makes the next call."""
        return self.until > 0.0 and perf_counter() < self.until

    def took(self, seconds, work, workers):
        """Notes how long so many workers took for so many multiply-adds."""
        self.calls += 1
        if self.calls == 1:  # it may have been compiled first
            return
        if workers == 1:
            self.alone = seconds / work if self.is_guess else min(self.alone, seconds / work)
            self.is_guess = False
            return
        self.lost = max(0.0, self.lost + seconds - 1.5 * work * self.alone)
        if self.lost > 0.003:
            now, longest = perf_counter(), 128 * self.lost
            soon = now < self.until + self.rest
            self.rest = min(max(8 * self.lost, 2 * self.rest if soon else 0.0), longest)
            self.lost, self.until = 0.0, now + self.rest


class Workers:
    """Threads for shards, made when first needed, and made anew in a process that was forked."""

    def __init__(self):
        self.process, self.idle, self.left, self.one_blas_thread = os.getpid(), [], [], OneBlasThread()
        self.paces, self.no_limit = {}, nullcontext()

    def hand(self, part, workers):
        """Has part(worker) done for each of the workers, by threads that do nothing else."""
        for worker in workers:
            try:
                thread = self.idle.pop()
            except IndexError:
                thread = Worker(self.idle)
            thread.todo.put(partial(part, worker))

    def limit(self, work):
        """What holds BLAS at one thread where so many multiply-adds may contain products that it is handed."""
        return self.one_blas_thread if work > 33554432 else self.no_limit

    def run(self, part, count, work):
        """What part(0) … part(count - 1) give, done at the same time, for so many multiply-adds."""
        ended = SimpleQueue()

        def others(worker):
            try:
                ended.put((worker, part(worker), None))
            except BaseException as error:
                ended.put((worker, None, error))

        with self.limit(work):
            self.hand(others, range(1, count))
            first = part(0)  # here: to wake one thread less
            rest = sorted((ended.get() for _ in range(1, count)), key=lambda each: each[0])
        for _, _, error in rest:
            if error is not None:
                raise error
        return [first, *(result for _, result, _ in rest)]

    def meet(self, part, count, turns):
        """What part(0) gives; part(1) … part(count - 1) are done at the same time, and all meet by turns to the end.

        Who stays is called by part(0), who is away is handed a part. Nobody waits for who is interrupted: the turns
        are of no use then (turns[0, 3] is -1), and what the others may still read is kept.
        """
        if count == 1:
            return part(0)
        if turns[0, 3] != self.process:  # this is the first time; or the process was forked, and nobody came along
            turns[:] = 0
        turns[0, 3] = -1
        failed = []

        def others(worker):
            try:
                part(worker)
            except BaseException as error:
                failed.append(error)
                turns[worker, 0], turns[worker, 2] = LAST_TURN, AWAY

        try:
            result = part(0, calling=True)
            if result[0] == -2:
                self.hand(others, [worker for worker in range(1, count) if turns[worker, 2] == AWAY])
                result = part(0)
        except BaseException:
            turns[:, 0] = LAST_TURN  # of those who have not begun, too; who has goes on telling its own
            self.left = [(part, turns), *((kept, old) for kept, old in self.left if (old[1:, 2] != AWAY).any())]
            raise
        if failed:
            raise failed[0]
        turns[0, 3] = self.process
        return result

    def pace(self, what, shards, work):
        """How fast calls of about so much work are made, that are cut into so many shards."""
        key = what, shards, work.bit_length()
        try:
            return self.paces[key]
        except KeyError:
            return self.paces.setdefault(key, Pace(what, shards))

    def step_together(self, part, shards, work, turns):
        """What part(turns, 0) gives, of steps whose shards a worker each makes."""
        with self.limit(work if shards > 1 else 0):
            return self.meet(partial(part, turns), shards, turns)


WORKERS = Workers()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=WORKERS.__init__)  # threads stay behind


def alone(sums):
    """A team of one: which worker, a board for so many sums, turns to wait for."""
    return 0, np.empty((2, 1, sums), np.float64), np.zeros((1, 8), np.int64)


def aligned(make, size, kind):
    """np.empty or np.zeros of so many numbers, from the start of a line of the cache on: from there, registers as long
    as a line are loaded at up to twice the speed. Of few numbers that is not worth looking for.
    """
    if size < 16384:
        return make(size, kind)
    found = make(size + 64, kind)
    start = -found.ctypes.data % 64 // found.itemsize
    return found[start : start + size]


class Params:
    """Every parameter in one flat float32 buffer; params["name"] is a view of its part, assignment copies into it."""

    def __init__(self, flat):
        self.flat = flat

    def __getitem__(self, name):
        if name not in PARAMS:
            raise KeyError(f"no parameter {name}; there are {', '.join(PARAMS)}")
        offset, shape = PARAMS[name]
        return self.flat[offset : offset + math.prod(shape)].reshape(shape)

    def __setitem__(self, name, value):
        place = self[name]
        if np.ndim(value) and np.shape(value) != place.shape:
            raise ValueError(f"{name} is {list(place.shape)}; got {list(np.shape(value))}")
        place[...] = value

    def __iter__(self):
        return iter(PARAMS)

    def __len__(self):
        return len(PARAMS)

    def keys(self):
        return PARAMS.keys()

    def values(self):
        return [self[name] for name in PARAMS]

    def items(self):
        return [(name, self[name]) for name in PARAMS]

    def __getattr__(self, name):
        raise AttributeError(f"params have no {name}: calls take params, then state; names stand in params[...]")


class State:
    """What training carries from step to step: the optimizer's moments, the step count, and the buffers of a step."""

    def __init__(self, flat, seed=0):
        self.flat = flat
        self.step = 0
        self.seed = seed
        self.work, self.cuts = [], {}  # of each worker; into how many shards steps are cut
        self.losses = np.empty(1, np.float64)  # of train_step

    def shards_for(self, rows, work):
        """How many shards a step of so many rows and multiply-adds is cut into: each time as many."""
        try:
            return self.cuts[rows, work]
        except KeyError:
            return self.cuts.setdefault((rows, work), shards_of(rows, work, 2000000))

    def work_for(self, params, workers, batch, time):
        """The work space of each worker, made anew only for others or where a larger batch needs it."""
        if (
            len(self.work) != workers
            or self.turns[0, 3] < 0
            or self.held[0] is not params.flat
            or self.held[1] is not self.flat
            or self.work[0][0].size < 2112 * batch * time + 49216
        ):
            self.work = [(aligned(np.empty, 2112 * batch * time + 49216, f4),) for _ in range(workers)]
            self.shares = np.empty((workers, SIZE), f4)
            self.board = np.empty((2, workers, 24576), np.float64)
            self.turns = np.zeros((workers, 8), np.int64)  # a line of cache for each
            self.calls = np.empty(9, np.int64)
            self.held = params.flat, self.flat
        return self.work


def orthogonal(rng, shape):
    """A random orthogonal matrix, the first axis against the rest (Saxe and others, 2014)."""
    rows, columns = shape[0], math.prod(shape[1:])
    q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
    q *= np.where(np.diag(r) < 0, -1.0, 1.0)
    return (q if rows >= columns else q.T).reshape(shape)


def init(seed=0):
    """New parameters, drawn by their laws."""
    rng = np.random.default_rng(seed)
    params = Params(aligned(np.zeros, SIZE, f4))
    params["h.embedding.weight"] = rng.standard_normal((64, 32))
    params["h.gru.wx"] = np.sqrt(0.0375) * (2.0 * rng.random((32, 3, 128)) - 1.0)
    params["h.gru.wh"] = orthogonal(rng, (128, 3, 128))
    params["logits.weight"] = np.sqrt(0.03125) * (2.0 * rng.random((128, 64)) - 1.0)
    return params


def init_state(params, seed=0):
    """The state before the first step."""
    moments = aligned(np.zeros, 144512, f4)
    return State(moments, seed)


def train_step(params, state, x, y):
    """One training step on one batch, in place; returns the loss.

    x: whole numbers [batch, time] below 64; y: whole numbers [batch, time] below 64.
    """
    x, y = _checked(x, y)
    return _steps(params, state, state.losses, x, y)


def train_steps(params, state, steps, x, y):
    """train_step on one batch after the other, which are parts of the arrays; returns their losses."""
    x, y = _checked(x, y)
    if steps < 1 or x.shape[0] % steps:
        raise ValueError(f"{x.shape[0]} rows are not {steps} batches of one size")
    losses = np.empty(steps, np.float64)
    _steps(params, state, losses, x, y)
    return losses


def _steps(params, state, losses, x, y):
    """A step for each of the losses, which it fills in; returns the last."""
    count = x.shape[0] // losses.size
    work = 172032 * count * x.shape[1] + 786432
    shards = state.shards_for(count, work)
    spaces = state.work_for(params, shards, count, x.shape[1])
    # a worker may begin when an interrupt has ended the step: what is the state's then is another's
    shares, board, turns, calls, t = state.shares, state.board, state.turns, state.calls, state.step + 1

    def part(turns, worker, calling=False):
        return step_entry(
            params.flat, shares, state.flat, t, losses, worker, board, turns, calls, calling, *spaces[worker], x, y
        )

    bad, place, done, loss = WORKERS.step_together(part, shards, work, turns)
    state.step += done
    if bad >= 0:
        raise ValueError(_out_of_range(("x", "y")[bad], (x, y)[bad][done * count :], place))
    if not math.isfinite(loss):
        raise FloatingPointError(f"the loss of step {state.step} is {loss}")
    return loss


def loss_and_gradients(params, x, y, *, seed=0):
    """The loss and its gradient by every parameter, named as the parameters are."""
    x, y = _checked(x, y)
    batch = x.shape[0]
    time = x.shape[1]
    gradients = Params(np.zeros(SIZE, f4))
    bad, place, loss = gradient_entry(
        params.flat,
        gradients.flat.reshape(1, SIZE),
        *alone(1),
        aligned(np.empty, 2112 * batch * time + 49216, f4),
        x,
        y,
    )
    if bad >= 0:
        raise ValueError(_out_of_range(("x", "y")[bad], (x, y)[bad], place))
    return loss, gradients


def predict(params, x, *, seed=0):
    """The prediction p: [batch, time, 64]. x: whole numbers [batch, time] below 64."""
    (x,) = _checked_inputs(x)
    batch = x.shape[0]
    time = x.shape[1]
    p = np.empty((batch, time, 64), f4)
    work = 57344 * batch * x.shape[1] + 786432
    if (shards := shards_of(batch, work, 10000000)) > 1:

        def part(worker):
            first, last = batch * worker // shards, batch * (worker + 1) // shards
            count = last - first
            return predict_entry(
                params.flat,
                aligned(np.empty, 512 * count * time + 384 * count + 24576, f4),
                x[first:last],
                p[first:last],
            )

        if not any(bad >= 0 for bad, *_ in WORKERS.run(part, shards, work)):  # else the whole batch tells where
            return p

    bad, place = predict_entry(params.flat, aligned(np.empty, 512 * batch * time + 384 * batch + 24576, f4), x, p)
    if bad >= 0:
        raise ValueError(_out_of_range(("x",)[bad], (x,)[bad], place))
    return p


def evaluate(params, x, y, *, seed=0):
    """The loss and the metrics, without changing anything."""
    x, y = _checked(x, y)
    batch = x.shape[0]
    time = x.shape[1]
    bad, place, loss, bits, accuracy = evaluate_entry(
        params.flat, aligned(np.empty, 512 * batch * time + 384 * batch + 24576, f4), x, y
    )
    if bad >= 0:
        raise ValueError(_out_of_range(("x", "y")[bad], (x, y)[bad], place))
    return {"loss": float(loss), "bits": float(bits), "accuracy": float(accuracy)}


def _checked_inputs(x):
    x = _array("x", x, "iu", "whole numbers", np.int64)
    if x.ndim != 2 or x.size == 0:
        raise ValueError(f"x is [batch, time], batch and time at least 1; got {list(x.shape)}")
    return (x,)


def _checked(x, y):
    (x,) = _checked_inputs(x)
    y = _array("y", y, "iu", "whole numbers", np.int64)
    if y.ndim != 2 or y.shape[0] != x.shape[0] or y.shape[1] != x.shape[1] or y.size == 0:
        raise ValueError(f"y is [batch, time] with batch = {x.shape[0]}, time = {x.shape[1]}; got {list(y.shape)}")
    return x, y


def _array(name, value, kinds, words, dtype):
    if type(value) is np.ndarray and value.dtype == dtype and value.flags.carray:
        return value
    try:
        array = np.asarray(value)
    except ValueError as error:  # rows of different lengths
        raise ValueError(f"{name} cannot be made an array: {error}") from None
    if array.dtype.kind not in kinds:
        raise TypeError(f"{name} holds {words}; got {array.dtype}")
    array = np.asarray(array, dtype, order="C")
    # of arrays that cannot be written Numba would compile versions of its own
    return array if array.flags.writeable else array.copy()


def _out_of_range(name, array, place):
    at = list(map(int, np.unravel_index(place, np.shape(array))))
    value = np.ravel(array)[place]
    return f"{name} holds whole numbers from 0, below {RANGES[name]}; {name}{at or ''} is {value}"


# ------------------------------------------------------------------ how Numba compiles it; views and products


# What the classes below change in Numba, which promises nothing of it.
INNER = (
    *((JITCodeLibrary, name) for name in ("add_ir_module", "get_defined_functions", "_get_module_for_linking")),
    (JITCodeLibrary, "_optimize_final_module"),
    *((Lower, name) for name in ("lower_expr", "lower_binop", "lower_getitem", "lower_setitem", "loadvar", "typeof")),
    *((Lower, name) for name in ("setup_function", "_find_singly_assigned_variable")),
    *((CPUCallConv, name) for name in ("call_function", "_get_return_argument", "_get_excinfo_argument")),
    *((CPUCallConv, "return_status_propagate"), (CPUContext, "call_conv")),
    *((ReconstructSSA, "_patch_locals"), (PreLowerStripPhis, "_strip_phi_nodes")),
)


# To LLVM half a register is better, as it was for processors that ran slower with whole ones. (A name that llvmlite
# does not know among attributes.)
WIDE = '"prefer-vector-width"="512"'
# By itself it makes 1/√x in float32 from an estimate, and corrects that: to NaN where x is 0 or infinite.
EXACT = '"reciprocal-estimates"="none"'


def fitting(compiler, *how):
    """The compiler, or Numba's own if Numba is no longer made as this one expects: then the same is compiled slower."""
    return (compiler if all(hasattr(inner, name) for inner, name in INNER) else Compiler)(*how)


class Part(JITCodeLibrary):
    """The code of a function that entries call: it waits for them as Numba wrote it."""

    # Numba would have it compiled to know its address: it has none, and Python cannot call it
    codegen = property(lambda part: part)
    get_pointer_to_function = set_env = lambda *_: 0

    def add_ir_module(self, module):
        """Takes the code in. A kernel stays a function of its own, and fills whole registers."""
        for function in module.functions:
            leave_out_unread(function)
            if not function.is_declaration and "alwaysinline" not in function.attributes:
                function.attributes.add("noinline")
                set.update(function.attributes, (WIDE, EXACT))
        super().add_ir_module(module)

    def add_llvm_module(self, module):
        """Takes the code in, as it is."""
        self._final_module.link_in(module)

    def finalize(self):
        """Not here: in the entries."""
        self._finalized = True

    def _get_module_for_linking(self):
        return self._final_module


def leave_out_unread(function):
    """Leaves out the arrays, and other values of several parts, that are put together but only read part by part."""
    written = [each for block in function.blocks for each in block.instructions]
    phis = (incoming for each in written if isinstance(each, PhiInstr) for incoming, _ in each.incomings)
    times = Counter(map(id, chain(phis, *(each.operands for each in written))))
    for each in reversed(written):
        if isinstance(each, InsertValue) and not times[id(each)]:
            times.subtract(map(id, each.operands))
    unread = {id(each) for each in written if isinstance(each, InsertValue) and not times[id(each)]}
    for block in function.blocks:
        block.instructions = [each for each in block.instructions if id(each) not in unread]


class Whole(JITCodeLibrary):
    """The code of an entry and of all that it calls."""

    def add_ir_module(self, module):
        """Takes the entry's own code in."""
        for function in module.functions:
            if not function.is_declaration:
                set.add(function.attributes, EXACT)
        super().add_ir_module(module)

    def add_llvm_module(self, module):
        """Takes the code in."""
        self._final_module.link_in(module)

    def finalize(self):
        """Links what it calls, what that calls, and so on; only then is all of it compiled."""
        for library in self._linking_libraries:
            more = library._linking_libraries if isinstance(library, Part) else []
            self._linking_libraries += [each for each in more if each not in self._linking_libraries]
        super().finalize()

    def _optimize_final_module(self):
        for function in self.get_defined_functions():
            # nobody else calls it: what it is always given is known in it
            if self.name not in function.name and function.linkage.name != "weak_odr":
                function.linkage = "internal"
        level, config.OPT = config.OPT, min(config.OPT, 2)  # level 3 unrolls twice as far: no faster, but longer to do
        try:
            super()._optimize_final_module()
        finally:
            config.OPT = level
        if hasattr(self._codegen, "_pass_builder"):
            # only now are there loops by registers, and calls in them of what is written for registers
            passes = binding.create_new_module_pass_manager()
            passes.add_always_inliner_pass()
            passes.run(self._final_module, self._codegen._pass_builder())
        for function in self.get_defined_functions():
            # code that is linked later would call it for what has its name there: it is made for its callers here
            if function.linkage.name == "internal":
                function.name += f".{self.name}"


class Types:
    """What Numba knows of types. What an operator makes of numbers and arrays is asked once: Numba tries dozens of
    meanings, those for lists and texts too, and would at every sum in a module. Nor is a function asked again that
    tells the type of what it returns by those that it is given, as `view` and `gemm` do."""

    operators = frozenset((*filter(callable, vars(operator).values()), bool))
    operands = (types.Number, types.Boolean, types.Array, types.BaseTuple)

    def __init__(self, context):
        self.context = context

    def __getattr__(self, name):
        return getattr(self.context, name)

    def resolve_function_type(self, function, given, named):
        """The signature of a call."""
        if isinstance(function, types.Function) and not named:
            plain = function.typing_key in self.operators and all(isinstance(each, self.operands) for each in given)
            if plain or all(issubclass(each, CallableTemplate) for each in function.templates):
                return signature_of(self.context, function, tuple(given))
            if getattr(function.typing_key, "__module__", None) == __name__:
                return own_signature(self.context, function, given)
        return self.context.resolve_function_type(function, given, named)

    def resolve_setitem(self, target, index, value):
        """The signature of an assignment to a place of an array."""
        return self.resolve_function_type(self.resolve_value_type(operator.setitem), (target, index, value), {})


@cache
def signature_of(context, function, given):
    """The signature of a call with these types."""
    return context.resolve_function_type(function, given, {})


NEVER, ALWAYS = (Constant(IntType(1), truth) for truth in (0, 1))


class Calls(CPUCallConv):
    """How functions are called. None of these raises an exception: what Numba writes behind each call, in case it does,
    is left out."""

    def call_function(self, builder, function, kind, kinds, values, attrs=None):
        """A call: its status, and what it returns."""
        place = builder.place_for(self._get_return_argument(function.function_type).pointee)
        given = self._get_arg_packer(kinds).as_arguments(builder, values)
        code = builder.call(function, [place, self._get_excinfo_argument(builder.function), *given], attrs=attrs or ())
        status = Status(**dict.fromkeys(Status._fields, NEVER) | {"code": code, "is_ok": ALWAYS})
        if kind == types.none:
            return status, self.context.get_dummy_value()
        return status, self.context.get_returned_value(builder, kind, builder.load(place))

    def return_status_propagate(self, builder, status):
        """What is done where a call has raised an exception."""


class Context(CPUContext):
    """What Numba knows of the processor, with such calls."""

    call_conv = property(Calls)


class Builder(IRBuilder):
    """Writes LLVM's text. What was put into an array's or a tuple's value need not be taken out of it again, nor is the
    product of two sizes left to be found."""

    def __init__(self, block):
        super().__init__(block)
        self.places = {}

    def place_for(self, kind):
        """Where calls leave what they return of this type, from where it is taken at once."""
        if kind not in self.places:
            self.places[kind] = cgutils.alloca_once(self, kind)
        return self.places[kind]

    @contextmanager
    def if_then(self, condition, likely=None):
        """What is written where a condition holds."""
        if condition is NEVER:
            yield
        else:
            with super().if_then(condition, likely) as block:
                yield block

    def extract_value(self, whole, place, name=""):
        """What stands at a place of a value."""
        wanted = list(place) if isinstance(place, (tuple, list)) else [place]
        made = whole
        while isinstance(made, InsertValue):
            there, rest = list(made.indices), wanted[len(made.indices) :]
            if there == wanted[: len(there)]:
                return self.extract_value(made.value, rest) if rest else made.value
            if wanted == there[: len(wanted)]:
                break  # only a part of it was put in here
            made = made.aggregate
        else:
            if isinstance(made, Constant) and made.constant is None:  # all of it is 0
                return Constant(reduce(lambda kind, at: kind.elements[at], wanted, made.type), None)
        return super().extract_value(whole, place, name)

    def mul(self, one, other, **how):
        """A product of whole numbers."""
        if all(isinstance(each, Constant) and isinstance(each.constant, int) for each in (one, other)):
            return Constant(one.type, one.constant * other.constant)
        return super().mul(one, other, **how)


class Statements(Lower):
    """How statements become LLVM's: rounds of loops and numbers of arrays in a few lines, where Numba, which thinks of
    steps of 0 and of indices from the end, writes ten times as many for LLVM to read and to leave out."""

    def lower_expr(self, result, expr):
        """The value of an expression."""
        builder, op = self.builder, expr.op
        if op == "call" and isinstance(result, types.RangeType):
            given = [(self.loadvar(each.name), self.typeof(each.name)) for each in expr.args]
            ends = [self.context.cast(builder, value, kind, result.dtype) for value, kind in given]
            whole = ends[0].type
            ends = [whole(0), *ends] if len(ends) == 1 else ends
            return self.struct(result, [*ends, whole(1)][:3])
        if op == "getiter" and isinstance(self.typeof(expr.value.name), types.RangeType):
            return self.struct(result, self.rounds(*cgutils.unpack_tuple(builder, self.loadvar(expr.value.name))))
        if op == "iternext" and isinstance(self.typeof(expr.value.name), types.RangeIteratorType):
            return self.struct(result, self.following(*cgutils.unpack_tuple(builder, self.loadvar(expr.value.name))))
        if op in ("pair_first", "pair_second"):
            return builder.extract_value(self.loadvar(expr.value.name), int(op == "pair_second"))
        if op == "getattr" and expr.attr == "T" and isinstance(self.typeof(expr.value.name), types.Array):
            data, lengths, steps = self.fields(expr.value)
            return array_of(self.context, builder, result, data, lengths[::-1], steps[::-1])
        if op == "static_getitem" and expr.index_var is not None and self.leads(expr.value, expr.index_var):
            return self.lower_getitem(result, expr, expr.value, expr.index_var, None)
        return super().lower_expr(result, expr)

    def lower_binop(self, result, expr, op):
        """What an operator makes of two values. A known power is a product; Numba calls a loop for it."""
        exponent = guard(find_const, self.func_ir, expr.rhs) if op is operator.pow else None
        if isinstance(result, types.Float) and isinstance(exponent, int) and 0 < exponent <= 16:
            base = self.context.cast(self.builder, self.loadvar(expr.lhs.name), self.typeof(expr.lhs.name), result)
            return reduce(self.builder.fmul, [base] * exponent)
        if not (expr.static_lhs is UNDEFINED is expr.static_rhs):
            return super().lower_binop(result, expr, op)
        context, builder = self.context, self.builder
        function = context.typing_context.resolve_value_type(op)
        signature = signature_of(context.typing_context, function, self.fndesc.calltypes[expr].args)
        operands = zip((expr.lhs.name, expr.rhs.name), signature.args, strict=True)
        values = [context.cast(builder, self.loadvar(name), self.typeof(name), kind) for name, kind in operands]
        made = context.get_function(function, signature)(builder, values)
        return context.cast(builder, made, signature.return_type, result)

    def setup_function(self, description):
        """Begins a function."""
        super().setup_function(description)
        self.builder = Builder(self.entry_block)
        self.call_helper = self.call_conv.init_call_helper(self.builder)

    def _find_singly_assigned_variable(self):
        """Finds the variables that are values in LLVM's text: assigned once, and before all that reads them. The others
        are places in memory; to Numba so are all that another block reads."""
        blocks = self.func_ir.blocks
        assigned = [(each.target.name, place) for place, block in blocks.items() for each in block.find_insts(Assign)]
        home, times = dict(assigned), Counter(name for name, _ in assigned)
        before = compute_cfg_from_blocks(blocks).dominators()
        values = {name for name in home if times[name] == 1}
        for place, names in compute_use_defs(blocks).usemap.items():
            written = {each for each in before[place] if each < place}  # when the block is written
            values -= {name for name in names if home.get(name) not in written}
        self._singly_assigned_vars, self._blk_local_varmap = values, {}

    def struct(self, kind, values):
        """The value that is made of these."""
        return cgutils.make_anonymous_struct(self.builder, values, self.context.get_value_type(kind))

    def rounds(self, start, stop, step):
        """The state of a loop: where its next index and its count of rounds to come lie, and between them its ends."""
        builder = self.builder
        with builder.goto_entry_block():
            places = [builder.alloca(start.type) for _ in range(2)]
        back = builder.icmp_signed("<", step, step.type(0))
        least = builder.select(back, step.type(-1), step.type(1))
        distance = builder.sub(builder.add(builder.sub(stop, start), step), least)
        builder.store(start, places[0])
        builder.store(builder.sdiv(distance, step), places[1])
        return places[0], stop, step, places[1]

    def following(self, place, _, step, count):
        """The next index, and whether there is one."""
        builder = self.builder
        index, left = builder.load(place), builder.load(count)
        builder.store(builder.add(index, step), place)
        builder.store(builder.sub(left, left.type(1), flags=["nsw"]), count)
        return index, builder.icmp_signed(">", left, left.type(0))

    def lower_getitem(self, result, expr, array, index, signature):
        """What is read from an array: a number, or the part that has these indices along its first axes."""
        if not self.leads(array, index):
            return super().lower_getitem(result, expr, array, index, signature)
        kind = self.typeof(array.name)
        data, lengths, steps = self.part(array, index)
        if lengths:
            return array_of(self.context, self.builder, result, data, lengths, steps)
        number = self.context.unpack_value(self.builder, kind.dtype, data, align=None if kind.aligned else 1)
        return self.context.cast(self.builder, number, kind.dtype, result)

    def lower_setitem(self, array, index, value, signature):
        """What is written into one: a number, in one place or in all of a part."""
        kind, given, builder = self.typeof(array.name), self.typeof(value.name), self.builder
        filled = isinstance(given, types.Number) and kind.layout == "C"
        if not self.leads(array, index, filled):
            return super().lower_setitem(array, index, value, signature)
        number = self.context.cast(builder, self.loadvar(value.name), given, kind.dtype)
        data, lengths, _ = self.part(array, index)
        count = cgutils.intp_t(1)
        for length in lengths:
            count = builder.mul(count, length)
        align = None if kind.aligned else 1
        if not lengths:
            return self.context.pack_value(builder, kind.dtype, number, data, align=align)
        with cgutils.for_range(builder, count) as loop:
            place = builder.gep(data, [loop.index])
            self.context.pack_value(builder, kind.dtype, number, place, align=align)

    def fields(self, array):
        """The address of an array, and the lengths and steps of its axes."""
        given, kind = self.loadvar(array.name), self.typeof(array.name)
        data, *axes = (
            array_field(self.context, self.builder, kind, given, name) for name in ("data", "shape", "strides")
        )
        return data, *(cgutils.unpack_tuple(self.builder, each) for each in axes)

    def indices(self, index):
        """The indices that an array is read or written at, and their types."""
        value, kind = self.loadvar(index.name), self.typeof(index.name)
        single = not isinstance(kind, types.BaseTuple)
        return ([value], (kind,)) if single else (cgutils.unpack_tuple(self.builder, value), tuple(kind))

    def leads(self, array, index, filled=None):
        """Whether there are indices along the first axes of an array; along all of them, or all that follows is
        `filled`."""
        kind, indices = self.typeof(array.name), self.typeof(index.name)
        indices = tuple(indices) if isinstance(indices, types.BaseTuple) else (indices,)
        rest = len(indices) > 0 and isinstance(indices[-1], types.EllipsisType)
        whole = all(isinstance(each, types.Integer) for each in indices[: len(indices) - rest])
        if not isinstance(kind, types.Array) or kind.layout not in "CA" or not whole or not indices:
            return False
        if filled is None:
            return not rest and len(indices) <= kind.ndim
        return filled and len(indices) <= kind.ndim if rest else len(indices) == kind.ndim

    def part(self, array, index):
        """The address of a part of an array, and the lengths and steps of the axes that it has left."""
        context, builder, kind = self.context, self.builder, self.typeof(array.name)
        data, lengths, steps = self.fields(array)
        values, kinds = self.indices(index)
        at = [
            context.cast(builder, each, of, types.intp)
            for each, of in zip(values, kinds, strict=True)
            if isinstance(of, types.Integer)
        ]
        if kind.layout == "A":
            for each, step in zip(at, steps, strict=False):
                data = cgutils.pointer_add(builder, data, builder.mul(each, step))
        elif at:
            number = at[0]
            for length, each in zip(lengths[1:], [*at[1:], *[None] * (kind.ndim - len(at))], strict=True):
                number = builder.mul(number, length)
                number = number if each is None else builder.add(number, each)
            data = builder.gep(data, [number])
        return data, lengths[len(at) :], steps[len(at) :]


@register_pass(mutates_CFG=True, analysis_only=False)
class Lowering(NativeLowering):
    """The pass that makes LLVM's text."""

    lowering_class = Statements


@register_pass(mutates_CFG=True, analysis_only=False)
class Assigned(ReconstructSSA):
    """The pass that gives each assignment a variable, without finding out anew where each is needed: nothing is counted
    here, and in a function with many loops that takes longest."""

    def run_pass(self, state):
        """The function in this form."""
        state.func_ir = reconstruct_ssa(state.func_ir)
        self._patch_locals(state)
        state.func_ir._definitions = build_definitions(state.func_ir.blocks)
        return True


@register_pass(mutates_CFG=True, analysis_only=False)
class Joined(PreLowerStripPhis):
    """The pass that joins them again where branches meet, likewise."""

    def run_pass(self, state):
        """The function in this form."""
        state.func_ir = self._strip_phi_nodes(state.func_ir)
        state.func_ir._definitions = build_definitions(state.func_ir.blocks)
        return True


@register_pass(mutates_CFG=True, analysis_only=False)
class Constants(GenericRewrites):
    """The pass that finds constant indices and exponents, likewise."""

    def run_pass(self, state):
        """The function with these as such."""
        blocks = state.func_ir.blocks
        for rule in rewrite_registry.rewrites["before-inference"]:
            found, waiting = rule(state), list(blocks.items())
            while waiting:
                place, block = waiting.pop()
                if found.match(state.func_ir, block, state.typemap, state.calltypes):
                    blocks[place] = found.apply()
                    waiting.append((place, blocks[place]))
        return True


class Parts(Compiler):
    """How what entries call is compiled."""

    idle = (
        *("ir_processing", "with_lifting", "inline_closure_likes", "make_function_op_code_to_jit_function"),
        *("inline_inlinables", "inline_overloads", "find_literally", "literal_unroll", "LiteralPropagation"),
        *("nopython_rewrites", "ir_legalization", "dump_parfor_diagnostics"),
    )
    """Passes that look for `with`, closures, what is pasted in, `literally`, arithmetic of whole arrays, and for where
    variables are needed."""
    own = (
        *((NativeLowering, Lowering), (ReconstructSSA, Assigned), (PreLowerStripPhis, Joined)),
        (GenericRewrites, Constants),
    )
    """Passes that are others here."""

    def define_pipelines(self):
        """Numba's own passes."""
        state, pipelines = self.state, super().define_pipelines()
        state.library = Part(state.targetctx.codegen(), state.func_id.func_qualname)
        state.flags.noalias = not state.flags.forceinline  # the arrays that a kernel is given lie apart
        state.typingctx = Types(state.typingctx)
        state.targetctx.__class__ = Context  # it is a copy for this function
        for each in pipelines:
            steps = [(step, why) for step, why in each.passes if step.name() not in self.idle]
            each.passes = [(dict(self.own).get(step, step), why) for step, why in steps]
        return pipelines


class Entries(Compiler):
    """How entries are compiled."""

    def define_pipelines(self):
        """Numba's own passes."""
        state = self.state
        state.library = Whole(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        return super().define_pipelines()

    def compile_extra(self, function):
        """The entry, and what it calls on the way. Python's collector of cycles rests meanwhile: most of what is made
        is in use until all is done, and to look, over and over, for what is not takes a tenth of the time."""
        enabled = gc.isenabled()
        gc.disable()
        try:
            return with_room(super().compile_extra, function)
        finally:
            if enabled:
                gc.enable()


def with_room(call, argument):
    """call(argument), with memory for all calls inside of it. Python would get some, and give it back, at every call
    that happens to reach beyond what it has: a seventh of the time."""
    return call(argument)


with_room.__code__ = with_room.__code__.replace(co_stacksize=2**16)


# How many numbers a register may have.
LANES = 2, 4, 8, 16


def pure(module, name, kind, inlining):
    """A new function that looks at nothing but its arguments, and where it is written. It is kept, called or not: loops
    become loops by registers late."""
    function = ir.Function(module, kind, name)
    function.linkage = "weak_odr"
    for attribute in (inlining, "nounwind", "willreturn", "memory(none)"):
        set.add(function.attributes, attribute)  # llvmlite does not know all of them
    return function, ir.IRBuilder(function.append_basic_block())


def called(builder, name, arguments, one, form, masked):
    """A call of a function of single numbers with forms for registers, which LLVM takes where a loop goes on by these.

    `one` writes what it is; `form` makes a form of that name for a register's type, where it is `masked` with a mask.
    """
    module, kinds = builder.module, [each.type for each in arguments]
    if name not in module.globals:
        function, inner = pure(module, name, ir.FunctionType(kinds[0], kinds), "noinline")
        inner.ret(one(inner, *function.args))
        forms = {lanes: form(module, f"{name}.{lanes}", ir.VectorType(kinds[0], lanes)) for lanes in LANES}
        mask, given = "M" if masked else "N", "v" * len(kinds)
        known = ",".join(f"_ZGV_LLVM_{mask}{lanes}{given}_{name}({form.name})" for lanes, form in forms.items())
        set.add(function.attributes, f'"vector-function-abi-variant"="{known}"')
    return builder.call(module.globals[name], arguments)


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


def array_field(context, builder, kind, array, name):
    """The data, shape, strides … of an array in compiled code."""
    return builder.extract_value(array, context.data_model_manager[kind].get_field_position(name))


def array_of(context, builder, kind, data, lengths, steps):
    """An array in compiled code: an address, lengths and steps in bytes. It owns nothing and is not counted."""
    model = context.data_model_manager[kind]
    count = lengths[0]
    for length in lengths[1:]:
        count = builder.mul(count, length)
    fields = {
        "nitems": count,
        "itemsize": cgutils.intp_t(as_dtype(kind.dtype).itemsize),
        "data": data,
        "shape": cgutils.pack_array(builder, lengths),
        "strides": cgutils.pack_array(builder, steps),
    }
    array = cgutils.get_null_value(model.get_value_type())
    for name, value in fields.items():
        array = builder.insert_value(array, value, model.get_field_position(name))
    return array


def own_signature(context, function, given):
    """The signature of a call of a function of this module, which is compiled once: to Numba it would be another one
    wherever callers are compiled in another way."""
    with ConfigStack().enter(Flags()):
        return context.resolve_function_type(function, given, {})


def view(buffer, start, shape):
    """The numbers of a contiguous array from `start` on, counted row by row, as an array of this shape."""
    return buffer.reshape(-1)[start : start + math.prod(shape)].reshape(shape)


@type_callable(view)
def type_of_view(_):
    """What compiled code takes a view for: a contiguous array with as many axes as the shape has."""
    return lambda buffer, start, shape: types.Array(
        buffer.dtype, len(shape), "C", readonly=not buffer.mutable, aligned=buffer.aligned
    )


@lower_builtin(view, types.Array, types.Integer, types.UniTuple)
def compiled_view(context, builder, signature, arguments):
    """What a view is in compiled code: another address, lengths and steps."""
    array, buffer = signature.return_type, signature.args[0]
    given, start, shape = arguments
    lengths = cgutils.unpack_tuple(builder, shape)
    steps = [cgutils.intp_t(as_dtype(array.dtype).itemsize)]
    for length in reversed(lengths[1:]):
        steps.insert(0, builder.mul(steps[0], length))
    data = builder.gep(array_field(context, builder, buffer, given, "data"), [start])
    return array_of(context, builder, array, data, lengths, steps)


def rows(array, first, last):
    """array[first:last], of which there have to be so many."""
    return array[first:last]


@type_callable(rows)
def type_of_rows(_):
    """What compiled code takes some rows for: an array as the whole is."""
    return lambda array, first, last: array


@lower_builtin(rows, types.Array, types.Integer, types.Integer)
def compiled_rows(context, builder, signature, arguments):
    """What rows is in compiled code: another address and one other length."""
    array = signature.return_type
    given, first, last = arguments
    data, shape, strides = (array_field(context, builder, array, given, name) for name in ("data", "shape", "strides"))
    lengths, steps = cgutils.unpack_tuple(builder, shape), cgutils.unpack_tuple(builder, strides)
    start = cgutils.pointer_add(builder, data, builder.mul(first, steps[0]))
    return array_of(context, builder, array, start, [builder.sub(last, first), *lengths[1:]], steps)


# A vector register has so many bytes, and so many rows of two registers each are summed up in registers; or so few of
# four each; or one of so many.
REGISTER = next((width for name, width in (("avx512f", 64), ("avx2", 32)) if get_host_cpu_features().get(name)), 16)
ROWS, FEW, LONG = (8, 4, 4) if REGISTER == 64 else (6, 2, 8)


def tile(dtype, rows, vectors, packs=False):
    """out[i, j] = Σ_s,k a[s, i, k]·b[s, k, j], or += , for `rows` rows, and columns that fill so many registers.

    Compiled code calls it with addresses and steps in bytes; the columns lie side by side in b and out. `last` is the
    last row that there is: those after it do its work again. Of the columns of one register alone, there are `width`.
    With `packs`, what is read of b is put side by side to `panel`, for the tiles below it. So many `tiles` are made,
    one below the other: what a call takes is a tenth of a tile of 32 terms.

    This is the inner part of Goto and van de Geijn's "Anatomy of high-performance matrix multiplication" (2008): sums
    stay in registers over all s and k; for each a row of b is loaded, and each number of a's column multiplied with it.
    """
    vector, number = register_of(dtype)
    places = [(r, v) for r in range(rows) for v in range(vectors)]

    def body(builder, *operands):
        a, a_row, a_term, b, b_term, out, out_row, terms, last, width, accumulate, panel, *stack, tiles = operands
        a_next, b_next, count = stack
        a, b, out, panel = (pointer(builder, address) for address in (a, b, out, panel))
        wide = None if vectors > 1 else width
        row = [least(builder, r, last) for r in range(rows)]
        a_rows = [builder.mul(a_row, r) for r in row]
        out_rows = [builder.mul(out_row, r) for r in row]
        a_tile, out_tile = (builder.mul(step, ir.Constant(step.type, rows)) for step in (a_row, out_row))
        kind = ir.FunctionType(vector, [vector] * 3)
        fused = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fmuladd.{suffix_of(vector)}")

        def following(a_now, b_now, panel_now, *sums):
            columns = [load(builder, vector, behind(builder, b_now, v * REGISTER), wide) for v in range(vectors)]
            for v in range(vectors if packs else 0):
                store(builder, columns[v], behind(builder, panel_now, v * REGISTER))
            factors = [load(builder, number, behind(builder, a_now, a_rows[r])) for r in range(rows)]
            factors = [spread(builder, factor, vector) for factor in factors]
            products = zip(places, sums, strict=True)
            grown = [builder.call(fused, [factors[r], columns[v], total]) for (r, v), total in products]
            nexts = (a_now, a_term), (b_now, b_term), (panel_now, vectors * REGISTER if packs else 0)
            return [*(behind(builder, *place) for place in nexts), *grown]

        zeros = [ir.Constant(vector, [0.0] * vector.count)] * len(places)

        def following_pair(a_now, b_now, *more):
            _, _, panel_now, *sums = repeated(builder, terms, [a_now, b_now, *more], following)
            return [behind(builder, a_now, a_next), behind(builder, b_now, b_next), panel_now, *sums]

        def following_tile(a_top, out_top):
            _, _, _, *totals = repeated(builder, count, [a_top, b, panel, *zeros], following_pair)
            targets = [behind(builder, out_top, out_rows[r], v * REGISTER) for r, v in places]
            with builder.if_else(accumulate) as (add, put):
                with add:
                    # all are read before any is written: a row that stands for others is written several times
                    before = [load(builder, vector, place, wide) for place in targets]
                    for place, *parts in zip(targets, before, totals, strict=True):
                        store(builder, builder.fadd(*parts), place, wide)
                with put:
                    for place, total in zip(targets, totals, strict=True):
                        store(builder, total, place, wide)
            return [behind(builder, a_top, a_tile), behind(builder, out_top, out_tile)]

        repeated(builder, tiles, [a, out], following_tile)

    return once(f"tile.{rows}.{vectors}.{'packing.' if packs else ''}{suffix_of(vector)}", body)


def turn(dtype):
    """out[k, j] = b[j, k] for as many j and k as a register has numbers; of the j there are those up to `last`.

    Rows are interleaved with those half the way further down, again and again, until they are columns.
    """
    vector, _ = register_of(dtype)
    count, half = vector.count, vector.count // 2
    orders = [[n for k in some for n in (k, count + k)] for some in (range(half), range(half, count))]

    def body(builder, *operands):
        b, b_column, last, out, out_row = operands
        b, out = (pointer(builder, address) for address in (b, out))
        places = (behind(builder, b, builder.mul(b_column, least(builder, r, last))) for r in range(count))
        rows = [load(builder, vector, place) for place in places]
        masks = [ir.Constant(ir.VectorType(ir.IntType(32), count), order) for order in orders]
        for _ in range(count.bit_length() - 1):
            pairs = zip(rows[:half], rows[half:], strict=True)
            rows = [builder.shuffle_vector(*pair, mask) for pair in pairs for mask in masks]
        for r in range(count):
            store(builder, rows[r], behind(builder, out, builder.mul(out_row, ir.Constant(out_row.type, r))))

    return once(f"turn.{suffix_of(vector)}", body)


def move(dtype):
    """Copies a number from one address to another."""
    _, number = register_of(dtype)

    def body(builder, *addresses):
        b, out = (pointer(builder, address) for address in addresses)
        store(builder, load(builder, number, b), out)

    return once(f"move.f{8 * item_of(number)}", body)


def once(name, body):
    """A function of a tuple of numbers, for compiled code, built once in each library: `body` says what it is."""

    @intrinsic
    def call(typing, numbers):
        def code(context, builder, signature, arguments):
            values = cgutils.unpack_tuple(builder, arguments[0])
            kind = ir.FunctionType(ir.VoidType(), [value.type for value in values])
            function = cgutils.get_or_insert_function(builder.module, kind, name)
            if function.is_declaration:
                function.linkage = "linkonce_odr"
                inner = ir.IRBuilder(function.append_basic_block("start"))
                body(inner, *function.args)
                inner.ret_void()
            builder.call(function, values)
            return context.get_dummy_value()

        return types.void(numbers), code

    return call


def room(size):
    """The address of so many bytes on the stack of the function that asks."""

    @intrinsic
    def address(typing):
        def code(context, builder, signature, arguments):
            with builder.goto_entry_block():  # cgutils.alloca_once would fill it with 0
                place = builder.alloca(ir.IntType(8), size)
            place.align = REGISTER
            return builder.ptrtoint(place, cgutils.intp_t)

        return types.intp(), code

    return address


def register_of(dtype):
    """A register full of numbers, and a number, as LLVM's types."""
    number = ir.FloatType() if dtype == types.float32 else ir.DoubleType()
    return ir.VectorType(number, REGISTER * 8 // dtype.bitwidth), number


def suffix_of(vector):
    """What LLVM calls a type of vectors in names of functions."""
    return f"v{vector.count}f{8 * item_of(vector)}"


def repeated(builder, rounds, values, following):
    """Code for a loop: values, of which so many times those that follow are made."""
    start, loop, after = builder.block, builder.append_basic_block("loop"), builder.append_basic_block("after")
    none, one = ir.Constant(rounds.type, 0), ir.Constant(rounds.type, 1)
    builder.cbranch(builder.icmp_signed(">", rounds, none), loop, after)
    builder.position_at_end(loop)
    now = [builder.phi(value.type) for value in (rounds, *values)]
    then = [builder.sub(now[0], one), *following(*now[1:])]
    last = builder.block  # another one, if there are loops in it
    builder.cbranch(builder.icmp_signed(">", then[0], none), loop, after)
    builder.position_at_end(after)
    end = [builder.phi(value.type) for value in values]
    for phi, first, other in zip(now, (rounds, *values), then, strict=True):
        phi.add_incoming(first, start)
        phi.add_incoming(other, last)
    for phi, first, other in zip(end, values, then[1:], strict=True):
        phi.add_incoming(first, start)
        phi.add_incoming(other, last)
    return end


def least(builder, number, other):
    """The smaller one."""
    number = ir.Constant(other.type, number)
    return builder.select(builder.icmp_signed("<", other, number), other, number)


def pointer(builder, address):
    """The place of a byte, given as a number."""
    return builder.inttoptr(address, ir.IntType(8).as_pointer())


def behind(builder, place, *counts):
    """So many bytes behind a place. (Of addresses added up as numbers, LLVM takes some for no address at all.)"""
    for count in counts:
        place = builder.gep(place, [ir.Constant(ir.IntType(64), count) if isinstance(count, int) else count])
    return place


def spread(builder, number, vector):
    """A register with one number everywhere."""
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
    places = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), [0] * vector.count)
    return builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), places)


def load(builder, kind, place, count=None):
    """What lies at an address: a number, or a register, of which there may be the first `count` numbers alone."""
    place = builder.bitcast(place, kind.as_pointer())
    if count is None:
        return builder.load(place, align=item_of(kind))
    zero = ir.Constant(kind, [0.0] * kind.count)
    return masked(builder, "load", kind, kind, [place, item_of(kind), first_of(builder, kind, count), zero])


def store(builder, value, place, count=None):
    """Puts a register, or its first `count` numbers, to an address."""
    kind = value.type
    place = builder.bitcast(place, kind.as_pointer())
    if count is None:
        builder.store(value, place, align=item_of(kind))
    else:
        mask = first_of(builder, kind, count)
        masked(builder, "store", ir.VoidType(), kind, [value, place, item_of(kind), mask])


def masked(builder, what, result, vector, arguments):
    """A call of one of LLVM's functions that load or store part of a register."""
    arguments = [ir.Constant(ir.IntType(32), part) if isinstance(part, int) else part for part in arguments]
    kind = ir.FunctionType(result, [part.type for part in arguments])
    name = f"llvm.masked.{what}.{suffix_of(vector)}"
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)


def item_of(kind):
    """The bytes of a number."""
    return 4 if isinstance(getattr(kind, "element", kind), ir.FloatType) else 8


def first_of(builder, vector, count):
    """Which numbers of a register are the first so many."""
    lanes = ir.VectorType(ir.IntType(32), vector.count)
    count = spread(builder, builder.trunc(count, ir.IntType(32)), lanes)
    return builder.icmp_signed("<", ir.Constant(lanes, list(range(vector.count))), count)


def gemm(a, b, out, accumulate):
    """out = a @ b, or out += a @ b, of two stacks of matrices out = Σ_s a[s] @ b[s]. Compiled code does it by
    compiled_gemm.
    """
    if a.ndim == 2 and not accumulate:
        np.matmul(a, b, out)
        return
    made = a @ b if a.ndim == 2 else np.matmul(a, b).sum(0)
    out[...] = out + made if accumulate else made


@type_callable(gemm)
def type_of_gemm(_):
    """What compiled code takes a product for: it gives nothing back."""
    return lambda a, b, out, accumulate: types.none


@lower_builtin(gemm, types.Array, types.Array, types.Array, types.Boolean)
def compiled_gemm(context, builder, signature, arguments):
    """The same by product_of. Nothing is allocated.

    a and b have contiguous rows, or contiguous columns as a transposed array has; out has contiguous rows.
    """
    return called_product(context, builder, signature, arguments, product_of, types.boolean)


def called_product(context, builder, signature, arguments, made, *more):
    """A call of what is made for the type of the matrices, which come first among the arguments."""
    kinds = signature.args[:3]
    data, strides, shapes = (
        [array_field(context, builder, kind, array, name) for kind, array in zip(kinds, arguments[:3], strict=True)]
        for name in ("data", "strides", "shape")
    )
    steps = [cgutils.unpack_tuple(builder, each) for each in strides]
    *before, terms = cgutils.unpack_tuple(builder, shapes[0])
    stacked = len(before) > 1
    nexts = [each[0] if stacked else cgutils.intp_t(0) for each in steps[:2]]
    numbers = (
        [builder.ptrtoint(each, cgutils.intp_t) for each in data],
        [*(step for each in steps for step in each[-2:]), *nexts],
        [*cgutils.unpack_tuple(builder, shapes[2]), terms, before[0] if stacked else cgutils.intp_t(1)],
    )
    # of addresses and steps: compiled once, not for each order of axes
    tuples = [types.UniTuple(types.intp, len(some)) for some in numbers]
    called = [context.make_tuple(builder, kind, some) for kind, some in zip(tuples, numbers, strict=True)]
    product, typing = made(kinds[2].dtype), context.typing_context
    typing.refresh()  # it is a function that Numba has not heard of yet
    product = typing.resolve_value_type(product)
    product_type = own_signature(typing, product, (*tuples, *more))
    context.get_function(product, product_type)(builder, [*called, *arguments[3:]])
    return context.get_dummy_value()


@cache
def product_of(dtype):
    """The product of matrices of this type, given by their addresses, steps in bytes and sizes: tile by tile.

    What a column of tiles needs of b is packed on the stack, row after row, if it does not lie so, or by the first of
    them if it is read often; so are rows of a transposed a, whose numbers lie far apart, if they are read often. A few
    rows are made in wider tiles: that is reading b, and longer stretches of it are fetched ahead.
    BLAS takes what is very large and has many rows, which it cuts for threads of its own, and a few rows times a large
    matrix that lies transposed. Of stacks, a tile sums up several products before it is stored.
    """
    item, deep = dtype.bitwidth // 8, 256
    many = 2**17 // (deep * item)
    one = REGISTER // item
    two, few_wide, long = 2 * one, 4 * one, LONG * one
    by_blas, packed, panel_at, rows_at, column_of_tiles = (
        blas_product(dtype),
        packing(dtype),
        room(deep * two * item),
        room((many + one) * deep * item),
        tiles(dtype),
    )
    first = tile(dtype, ROWS, 2, packs=True)

    @kernel
    def product(addresses, steps, sizes, accumulate):
        a, b, out = addresses
        a_row, a_column, b_row, b_column, out_row, _, a_next, b_next = steps
        m, n, k, count = sizes
        if count == 1 and ((m > 192 and m * n * k > 2**27) or (m < 4 and n * k > 2**17 and b_column != item)):
            by_blas(addresses, steps, sizes, accumulate)
            return
        wide = long if m == 1 else few_wide
        widest = wide if m <= FEW and b_column == item else two
        packs = (b_column != item and n > 1) or (m >= 24 and b_row > 4 * REGISTER)
        turns = a_column != item and m >= one and n >= 8 * two and 2 * k >= deep
        panel, rows_of_a = panel_at(), rows_at()
        several = deep // k if 0 < k <= deep and not turns else 1  # products of the stacks, as far as there is room
        pieces = (k + deep - 1) // deep if k > 0 else 1
        for piece in range(((count + several - 1) // several if count > 0 else 1) * pieces):
            pair, term = piece // pieces * several, piece % pieces * deep
            pairs = several if several < count - pair else count - pair  # min would be compiled as a function
            terms = deep if deep < k - term else k - term
            row = 0
            while row < m:
                height = many if turns and m - row >= many + one else m - row
                a_now, a_step, a_term = a + pair * a_next + row * a_row + term * a_column, a_row, a_column
                if turns:
                    packed((a_now, a_row, a_column), height, terms, rows_of_a, deep * item)
                    a_now, a_step, a_term = rows_of_a, deep * item, item
                column = 0
                while column < n:
                    left = n - column
                    width = widest if left >= widest else two if left >= two else one if left >= one else left
                    b_now, b_step, b_pair = b + pair * b_next + term * b_row + column * b_column, b_row, b_next
                    out_now, adds, done = out + row * out_row + column * item, accumulate or piece > 0, 0
                    if packs and b_column != item:
                        b_pair = terms * two * item
                        for other in range(pairs):
                            place = panel + other * b_pair
                            packed((b_now + other * b_next, b_row, b_column), terms, width, place, two * item)
                        b_now, b_step = panel, two * item
                    elif packs and width == two:
                        top = (a_now, a_step, a_term, b_now, b_step, out_now, out_row, terms)
                        first((*top, ROWS - 1, two, adds, panel, a_next, b_pair, pairs, 1))
                        b_now, b_step, b_pair, done = panel, two * item, terms * two * item, ROWS
                    a_left, out_left = a_now + done * a_step, out_now + done * out_row
                    whole = (a_left, a_step, a_term, b_now, b_step, out_left, out_row, terms)
                    column_of_tiles(whole, (a_next, b_pair, pairs), height - done, width, adds)
                    column += width
                row += height

    return product


def packing(dtype):
    """Copies a part of b, row after row: what lies in columns, or is no more than one register of them."""
    item = dtype.bitwidth // 8
    one = REGISTER // item
    turned, moved = turn(dtype), move(dtype)

    @kernel
    def pack(part, terms, width, panel, panel_row):
        (b, b_row, b_column), done = part, 0
        if b_row == item and terms >= one:
            done = terms
            for column in range(0, width, one):
                for term in range(0, terms, one):
                    at = term if term < terms - one else terms - one
                    place = panel + at * panel_row + column * item
                    turned((b + at * item + column * b_column, b_column, width - column - 1, place, panel_row))
        for term in range(done, terms):
            for column in range(width):
                moved((b + term * b_row + column * b_column, panel + term * panel_row + column * item))

    return pack


def tiles(dtype):
    """Tile under tile over all rows of a product, for two registers of columns, or for no more than one; for more of a
    few rows, and of a single one."""
    two = 2 * REGISTER * 8 // dtype.bitwidth
    most, narrow_most, narrow_twice = tile(dtype, ROWS, 2), tile(dtype, ROWS, 1), tile(dtype, 2 * ROWS, 1)
    less = tile(dtype, ROWS - 1, 2)
    four, narrow_four = tile(dtype, 4, 2), tile(dtype, 4, 1)
    single, narrow_single = tile(dtype, 1, 2), tile(dtype, 1, 1)
    few, long = tile(dtype, FEW, 4), tile(dtype, 1, LONG)

    @inlined
    def column_of_tiles(whole, stack, m, width, accumulate):
        a, a_row, a_column, b, b_step, out, out_row, terms = whole
        row = 0
        while row < m:
            last, count = m - row - 1, 1  # tiles that are made by one call
            place, target = a + row * a_row, out + row * out_row
            operands = (place, a_row, a_column, b, b_step, target, out_row, terms, last, width, accumulate, 0, *stack)
            if width > two:
                few((*operands, 1)) if last > 0 else long((*operands, 1))
                row += FEW
            elif width != two and last > ROWS:
                if last >= 2 * ROWS:
                    count = (last + 1) // (2 * ROWS)
                narrow_twice((*operands, count))
                row += 2 * ROWS * count
            elif last >= 4 and width == two and (last + 1) % ROWS != 0 and (last + 1) % ROWS != 4:
                less((*operands, 1))  # so that no rows are left, or four
                row += ROWS - 1
            elif last >= 4:
                if last >= ROWS:
                    count = (last + 1) // ROWS
                most((*operands, count)) if width == two else narrow_most((*operands, count))
                row += ROWS * count
            elif last > 0:
                four((*operands, 1)) if width == two else narrow_four((*operands, 1))
                row += 4
            else:
                single((*operands, 1)) if width == two else narrow_single((*operands, 1))
                row += 1

    return column_of_tiles


def blas_product(dtype):
    """The same by BLAS: a few rows one by one, each times a matrix."""
    item, size = dtype.bitwidth // 8, types.intp
    arguments = [types.intc] * 3 + [size] * 3 + [dtype, size, size, size, size, dtype, size, size]
    letter = "s" if dtype == types.float32 else "d"
    xgemm = types.ExternalFunction(f"numpy_{letter}gemm", types.void(*arguments))
    arguments = [types.intc] * 2 + [size] * 2 + [dtype, size, size, size, size, dtype, size, size]
    xgemv = types.ExternalFunction(f"numpy_{letter}gemv", types.void(*arguments))
    by_rows, plain, turned = 101, 111, 112  # as cblas.h numbers them

    @inlined
    def product(addresses, steps, sizes, accumulate):
        a, b, out = addresses
        a_row, a_column, b_row, b_column, out_row, _, _, _ = steps
        m, n, k, _ = sizes
        kept = 1.0 if accumulate else 0.0
        a_by_rows = a_column == item or k == 1
        b_by_rows = b_column == item or n == 1
        a_step, a_least = (a_row // item, k) if a_by_rows else (a_column // item, m)
        b_step, b_least = (b_row // item, n) if b_by_rows else (b_column // item, k)
        b_step = b_step if b_step > b_least else b_least
        if m < 4:
            for i in range(m):
                xgemv(
                    by_rows,
                    turned if b_by_rows else plain,
                    k if b_by_rows else n,
                    n if b_by_rows else k,
                    1.0,
                    b,
                    b_step,
                    a + i * a_row,
                    a_column // item if k > 1 else 1,
                    kept,
                    out + i * out_row,
                    1,
                )
            return
        out_step = out_row // item
        xgemm(
            by_rows,
            plain if a_by_rows else turned,
            plain if b_by_rows else turned,
            m,
            n,
            k,
            1.0,
            a,
            a_step if a_step > a_least else a_least,
            b,
            b_step,
            kept,
            out,
            out_step if out_step > n else n,
        )

    return product


def blas_address(function):
    """Where NumPy's cblas_sgemm, or another such function, is. NumPy's wheels bring it under a name of their own.

    Sizes are passed as 64 bits. Where BLAS takes 32, it finds them in the lower half of the same register or slot; only
    Apple's slots are packed.
    """
    names = [f"scipy_cblas_{function}64_", f"cblas_{function}64_", f"cblas_{function}$NEWLAPACK$ILP64"]
    if sys.platform != "darwin":
        names += [f"scipy_cblas_{function}", f"cblas_{function}"]
    folder = Path(np.__file__).parent
    # a name is looked for in a library and in all that it is linked with; Windows looks in the library alone
    for file in (*folder.glob("*core/_multiarray_umath.*"), *folder.parent.glob("numpy.libs/*openblas*")):
        try:
            library = ctypes.CDLL(str(file))
        except OSError:  # not a library
            continue
        for name in names:
            if hasattr(library, name):
                return ctypes.cast(getattr(library, name), ctypes.c_void_p).value
    raise ImportError("NumPy's BLAS was not found beside NumPy; NumPy's wheels and conda's packages have one")


for _function in ("sgemm", "dgemm", "sgemv", "dgemv"):
    add_symbol(f"numpy_{_function}", blas_address(_function))


LAST_TURN = 2**62  # come to by who was interrupted: nobody waits for it any more
AWAY, STAYS, CALLED = 0, 1, 2  # what a worker does between calls, in turns[worker, 2]


@kernel
def own_shards(shards, worker, turns):
    """Which of so many shards a worker makes, the first and the one after the last: one, or several where there are
    fewer workers. What they give depends on the shards, not on who makes them.
    """
    workers = turns.shape[0]
    return shards * worker // workers, shards * (worker + 1) // workers


@kernel
def add_up(values, team):
    """Adds to an array what the others of a team hold in theirs, in their order; all wait for each other there.

    A team is (which worker this is, a board with two halves of a row for each, what turn each has told and come to).
    A half is written anew two turns later: by then all have read it.
    """
    worker, board, turns = team
    half, flat = turns[worker, 1] % 2, view(values, 0, (values.size,))
    if turns.shape[0] > 1:
        for n in range(flat.size):
            board[half, worker, n] = flat[n]
        meet(worker, turns)
        for n in range(flat.size):
            total = board[half, 0, n]
            for other in range(1, turns.shape[0]):
                total += board[half, other, n]
            flat[n] = total


@kernel
def joined(value, team):
    """The sum of a number that each worker has."""
    worker, board, turns = team
    half, total = turns[worker, 1] % 2, float(value)
    if turns.shape[0] > 1:
        board[half, worker, 0] = value
        meet(worker, turns)
        total = board[half, 0, 0]
        for other in range(1, turns.shape[0]):
            total += board[half, other, 0]
    return total


@kernel
def put_up(value, place, shard, team):
    """Puts on the board what a shard adds to a sum."""
    worker, board, turns = team
    board[turns[worker, 1] % 2, shard, place] = value


@kernel
def added_up(place, team):
    """What all shards add to a sum, in their order, once all have met."""
    worker, board, turns = team
    half = (turns[worker, 1] - 1) % 2
    found = board[half, 0, place]
    for shard in range(1, board.shape[1]):
        found += board[half, shard, place]
    return found


@kernel
def add_shares(shares, first, last):
    """Adds what all workers have to what the first has, in their order, at the places first .. last - 1."""
    for other in range(1, shares.shape[0]):
        for n in range(first, last):
            shares[0, n] += shares[other, n]


@kernel
def rows_within(begin, end, offset, count, width):
    """Which of so many rows, the first of which lies at an offset, start at the places begin .. end - 1."""
    first, last = (begin - offset + width - 1) // width, (end - offset + width - 1) // width
    return min(max(first, 0), count), min(max(last, 0), count)


@kernel
def meet(worker, turns):
    """Waits until all have come here: each sees then what the others wrote before."""
    turn = turns[worker, 1] = turns[worker, 1] + 1
    tell(turns, worker, turn)
    for other in range(turns.shape[0]):
        rounds = 0
        while turn_of(turns, other) < turn:
            rounds += 1
            if rounds > 4096:  # some ten microseconds: others may need the processor
                give_way()


@kernel
def is_left(turns):
    """Whether a worker was interrupted: what it has not added is missing."""
    left = 0
    for other in range(turns.shape[0]):
        left += turn_of(turns, other) == LAST_TURN
    return left > 0


@kernel
def all_called(turns):
    """Calls all who stay to one call more; whether nobody is away."""
    there = 0
    for worker in range(1, turns.shape[0]):
        there += call_staying(turns, worker)
    return there == turns.shape[0] - 1


@kernel
def called_again(worker, turns):
    """Stays for a while, some tenths of a millisecond, and says whether there was a call meanwhile."""
    rounds = 0
    while stays_uncalled(turns, worker) and rounds < 6144:
        rounds += 1
        if rounds > 4096:
            give_way()
    return not leave_uncalled(turns, worker)


def tell(turns, worker, turn):
    """Says that a worker has come to a turn: what it wrote before is seen by all who see that."""
    turns[worker, 0] = turn


def turn_of(turns, worker):
    """The turn that a worker has come to."""
    return turns[worker, 0]


def give_way():
    """Lets another thread run."""
    sleep(0)


def call_staying(turns, worker):
    """Calls a worker that stays; whether it does. In Python none does: one that is not yet away soon will be."""
    while turns[worker, 2] == STAYS:
        sleep(0)
    return False


def stays_uncalled(turns, worker):
    """Whether a worker waits for a call, and has none yet. In Python none waits."""
    return False


def leave_uncalled(turns, worker):
    """Ends a worker's stay, if it was not called; whether it ends."""
    turns[worker, 2] = AWAY
    return True


def note_array(calls, at, array):
    """Writes down where an array lies and how long its axes are."""


def noted_array(calls, at, array):
    """An array of the same kind that was written down."""
    return array


@type_callable(tell)
def type_of_tell(_):
    """It gives nothing back."""
    return lambda turns, worker, turn: types.none


@type_callable(turn_of)
def type_of_turn_of(_):
    """A whole number."""
    return lambda turns, worker: types.intp


@type_callable(give_way)
def type_of_give_way(_):
    """It gives nothing back."""
    return lambda: types.none


@type_callable(call_staying)
@type_callable(stays_uncalled)
@type_callable(leave_uncalled)
def type_of_called(_):
    """Whether it is so."""
    return lambda turns, worker: types.boolean


@type_callable(note_array)
def type_of_noted(_):
    """It gives nothing back."""
    return lambda calls, at, array: types.none


@type_callable(noted_array)
def type_of_found(_):
    """The same kind of array."""
    return lambda calls, at, array: array


def compiled_turn(context, builder, turns, given, worker):
    """Where a worker's turn stands."""
    data, strides = (array_field(context, builder, turns, given, name) for name in ("data", "strides"))
    return cgutils.pointer_add(builder, data, builder.mul(worker, builder.extract_value(strides, 0)))


@lower_builtin(tell, types.Array, types.Integer, types.Integer)
def compiled_tell(context, builder, signature, arguments):
    """A store that nothing written before it passes."""
    place = compiled_turn(context, builder, signature.args[0], *arguments[:2])
    builder.store_atomic(arguments[2], place, "release", 8)
    return context.get_dummy_value()


@lower_builtin(turn_of, types.Array, types.Integer)
def compiled_turn_of(context, builder, signature, arguments):
    """A load that nothing read after it passes."""
    place = compiled_turn(context, builder, signature.args[0], *arguments)
    return builder.load_atomic(place, "acquire", 8)


@lower_builtin(give_way)
def compiled_give_way(context, builder, *_):
    """By the C library, where it has a function for that."""
    if hasattr(os, "sched_yield"):
        kind = cgutils.ir.FunctionType(cgutils.int32_t, [])
        builder.call(cgutils.get_or_insert_function(builder.module, kind, "sched_yield"), [])
    return context.get_dummy_value()


def compiled_change(context, builder, signature, arguments, old, new):
    """Whether turns[worker, 2] was the one, and now is the other."""
    place = compiled_turn(context, builder, signature.args[0], *arguments)
    place = cgutils.pointer_add(builder, place, cgutils.intp_t(16))
    done = builder.cmpxchg(place, cgutils.intp_t(old), cgutils.intp_t(new), "acq_rel", "acquire")
    return builder.extract_value(done, 1)


@lower_builtin(call_staying, types.Array, types.Integer)
def compiled_called(context, builder, signature, arguments):
    """All that was written before is seen by who is called."""
    return compiled_change(context, builder, signature, arguments, STAYS, CALLED)


@lower_builtin(leave_uncalled, types.Array, types.Integer)
def compiled_leaves(context, builder, signature, arguments):
    """Either it ends, or it is called: not both."""
    return compiled_change(context, builder, signature, arguments, STAYS, AWAY)


@lower_builtin(stays_uncalled, types.Array, types.Integer)
def compiled_stays(context, builder, signature, arguments):
    """A load that nothing read after it passes."""
    place = compiled_turn(context, builder, signature.args[0], *arguments)
    place = cgutils.pointer_add(builder, place, cgutils.intp_t(16))
    return builder.icmp_signed("==", builder.load_atomic(place, "acquire", 8), cgutils.intp_t(STAYS))


def compiled_note(context, builder, calls, given, at):
    """Where in what is written down an array's numbers start."""
    data = array_field(context, builder, calls, given, "data")
    return cgutils.pointer_add(builder, data, builder.mul(at, cgutils.intp_t(8)), cgutils.intp_t.as_pointer())


@lower_builtin(note_array, types.Array, types.Integer, types.Array)
def compiled_noted(context, builder, signature, arguments):
    """Its address and the lengths of its axes."""
    calls, _, kind = signature.args
    note = compiled_note(context, builder, calls, *arguments[:2])
    data, shape = (array_field(context, builder, kind, arguments[2], name) for name in ("data", "shape"))
    numbers = [builder.ptrtoint(data, cgutils.intp_t), *cgutils.unpack_tuple(builder, shape)]
    for n, number in enumerate(numbers):
        builder.store(number, builder.gep(note, [cgutils.intp_t(n)]))
    return context.get_dummy_value()


@lower_builtin(noted_array, types.Array, types.Integer, types.Array)
def compiled_found(context, builder, signature, arguments):
    """An array that lies there row after row, and is nobody's."""
    calls, _, kind = signature.args
    note = compiled_note(context, builder, calls, *arguments[:2])
    address, *lengths = (builder.load(builder.gep(note, [cgutils.intp_t(n)])) for n in range(kind.ndim + 1))
    pointer = array_field(context, builder, kind, arguments[2], "data").type
    steps = [cgutils.intp_t(as_dtype(kind.dtype).itemsize)]
    for length in reversed(lengths[1:]):
        steps.insert(0, builder.mul(steps[0], length))
    return array_of(context, builder, kind, builder.inttoptr(address, pointer), lengths, steps)
