"""karate: the network of karate.grad, its gradient and its training step, as loops and matrix products.

    degree[n]    = 1 + sum[e](if person[e] == n then 1 else 0)                                karate.grad:15
    part[n, j]   = h[n, j] / sqrt(degree[n])                                                  karate.grad:16
    return[n, j] = (part[n, j] + sum[e](if person[e] == n then part[friend[e], j] else 0)) …  karate.grad:17
    h      = relu(around(first, person, friend))                                              karate.grad:22
    logits = around(dense(h, clubs, bias = false), person, friend)                            karate.grad:23
    right  = if argmax(logits) == club then 1 else 0                                          karate.grad:24
    predict p = softmax(logits)                                                               karate.grad:26
    loss    sum(if told then cross_entropy(logits, club) else 0) / sum(told)                  karate.grad:27
    metric  accuracy = sum(if told then 0 else right) / (people - sum(told))                  karate.grad:28

Sizes       ends (any size), people = 34, clubs = 2
Parameters  first_[34, 16]  logits_weight[16, 2]  (576 float32 numbers in one buffer)
Names       d_X is ∂loss/∂X and has X's shape

Emitted by gradc 0.1.0 from karate.grad, sha256 4ec525b6. It needs NumPy and Numba, not gradc.
This file, all of it, is yours to use under any terms.
"""

import ctypes
import gc
import math
import operator
import sys
from collections import Counter
from contextlib import contextmanager
from functools import cache, partial, reduce
from itertools import chain
from pathlib import Path

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
    function.__qualname__ += "_4ec525b6"
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

NAME = "karate"
DTYPE = "float32"
HASH = "4ec525b6"
PARAMS = {
    "first": (0, (34, 16)),
    "logits.weight": (544, (16, 2)),
}
SIZE = 576
MOMENTS = {
    "first.m": (0, (34, 16)),
    "logits.weight.m": (544, (16, 2)),
    "first.v": (576, (34, 16)),
    "logits.weight.v": (1120, (16, 2)),
}
INPUTS = {
    "person": ("whole", ("ends",)),
    "friend": ("whole", ("ends",)),
}
TARGETS = {
    "club": ("whole", (34,)),
    "told": ("bool", (34,)),
}
RANGES = {
    "person": 34,
    "friend": 34,
    "club": 2,
}
BATCH = None
PREDICTIONS = ("p",)
METRICS = ("accuracy",)
DATA = "data/karate.npz"
FIT = {"epochs": 100, "validation": 0.0, "seed": 0}
SOURCE = (
    "# A karate club falls apart, and everybody has to choose: stay with the instructor, or follow the pr"
    "esident? All that is\n"
    "# known is who is friends with whom, and of two people, those two, which way they went (Zachary, 197"
    "7). A network that\n"
    "# sees each through its friends tells it of the other 32 (Kipf and Welling, 2017).\n"
    "\n"
    "model karate\n"
    "\n"
    "dim ends                                     # each friendship has two\n"
    "dim people = 34, clubs = 2\n"
    "\n"
    "input  person[ends] : int(people), friend[ends] : int(people)\n"
    "target club[people] : int(clubs), told[people] : bool\n"
    "\n"
    "# A person and its friends, of each a part: less of who has many.\n"
    "def around(h[n, j], person[e], friend[e]):\n"
    "    degree[n]    = 1 + sum[e](if person[e] == n then 1 else 0)\n"
    "    part[n, j]   = h[n, j] / sqrt(degree[n])\n"
    "    return[n, j] = (part[n, j] + sum[e](if person[e] == n then part[friend[e], j] else 0)) / sqrt(de"
    "gree[n])\n"
    "\n"
    "# Nobody is described: what the first layer makes of each is learned.\n"
    "param first[people, 16] ~ glorot_uniform(fan_in = people, fan_out = 16)\n"
    "\n"
    "h      = relu(around(first, person, friend))\n"
    "logits = around(dense(h, clubs, bias = false), person, friend)\n"
    "right  = if argmax(logits) == club then 1 else 0\n"
    "\n"
    "predict p = softmax(logits)\n"
    "loss    sum(if told then cross_entropy(logits, club) else 0) / sum(told)\n"
    "metric  accuracy = sum(if told then 0 else right) / (people - sum(told))\n"
    "\n"
    "optimize adam(lr = 0.01)\n"
    'data     "data/karate.npz"\n'
    "fit      epochs = 100, validation = 0, seed = 0\n"
)


@inlined
def parts(p):
    """first_, logits_weight: views of the flat buffer p, or of its gradient."""
    return view(p, 0, (34, 16)), view(p, 544, (16, 2))


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


# ------------------------------------------------------------------ kernels


@kernel
def forward_h_around_degree_sum(person, h_around_degree):
    """h_around_degree_sum[person[e]] += 1                                                    karate.grad:15"""
    ends = person.shape[0]
    h_around_degree[...] = 0
    for e in range(ends):
        h_around_degree[person[e]] += 1


@kernel
def forward_h_around_degree(h_around_degree, first_, h):
    """h_around_degree[n] = h_around_degree_sum[n] + 1                                        karate.grad:15
    h_around_part[n, j] = first_[n, j]/sqrt(h_around_degree[n])                               karate.grad:16
    """
    for n in range(34):
        h_around_degree[n] = h_around_degree[n] + 1
        for j in range(16):
            h[n, j] = first_[n, j] / np.sqrt(f4(h_around_degree[n]))


@kernel
def forward_h_around_sum(person, h, friend, h_around_sum):
    """h_around_sum[person[e], j] += h_around_part[friend[e], j]                              karate.grad:17"""
    ends = person.shape[0]
    h_around_sum[...] = f4(0.0)
    for e in range(ends):
        for j in range(16):
            h_around_sum[person[e], j] += h[friend[e], j]


@kernel
def forward_h(h, h_around_sum, h_around_degree):
    """h_around[n, j] = (h_around_part[n, j] + h_around_sum[n, j])/sqrt(h_around_degree[n])   karate.grad:17
    h[n, j] = if h_around[n, j] > 0 then h_around[n, j] else 0                                karate.grad:22
    """
    for n in range(34):
        for j in range(16):
            h_around = (h[n, j] + h_around_sum[n, j]) / np.sqrt(f4(h_around_degree[n]))
            h[n, j] = h_around if h_around > f4(0.0) else f4(0.0)


@kernel
def forward_logits_around_part(logits_around_part, h_around_degree):
    """logits_around_part[n, j] = logits_dense[n, j]/sqrt(h_around_degree[n])                 karate.grad:16"""
    for n in range(34):
        for j in range(2):
            logits_around_part[n, j] = logits_around_part[n, j] / np.sqrt(f4(h_around_degree[n]))


@kernel
def forward_logits_sum(person, logits_around_part, friend, logits_sum):
    """logits_sum[person[e], j] += logits_around_part[friend[e], j]                           karate.grad:17"""
    ends = person.shape[0]
    logits_sum[...] = f4(0.0)
    for e in range(ends):
        for j in range(2):
            logits_sum[person[e], j] += logits_around_part[friend[e], j]


@kernel
def forward_loss(
    logits_around_part,
    logits_sum,
    h_around_degree,
    club,
    told,
    logits,
    logits_exp,
    loss_cross_entropy_logsumexp_softmax,
):
    """logits[n, j] = (logits_around_part[n, j] + logits_sum[n, j])/sqrt(h_around_degree[n])  karate.grad:17
    logits_max[n] = max_j logits[n, j]                                                        karate.grad:27
    logits_shift[n] = if abs(logits_max[n]) < inf then logits_max[n] else 0                   karate.grad:27
    logits_exp[n, j] = exp(logits[n, j] - logits_shift[n])                                    karate.grad:27
    logits_total[n] = Σ_j logits_exp[n, j]                                                    karate.grad:27
    loss_cross_entropy_logsumexp[n] = log(logits_total[n]) + logits_shift[n]                  karate.grad:27
    logits_inverse[n] = if logits_total[n] == 0 then 0 else 1/logits_total[n]                 karate.grad:27
    loss_cross_entropy[n] = loss_cross_entropy_logsumexp[n] - logits[n, club[n]]              karate.grad:27
    loss_sum = Σ_n (if told[n] then loss_cross_entropy[n] else 0)                             karate.grad:27
    loss_sum_2 = Σ_n (if told[n] then 1 else 0)                                               karate.grad:27
    loss_cross_entropy_logsumexp_softmax[n, j] = logits_inverse[n]*logits_exp[n, j]           karate.grad:27
    loss = loss_sum/loss_sum_2                                                                karate.grad:27
    """
    loss_sum = 0.0
    loss_sum_2 = 0
    for n in range(34):
        logits_max = f4(-np.inf)
        for j in range(2):
            logits[j] = (logits_around_part[n, j] + logits_sum[n, j]) / np.sqrt(f4(h_around_degree[n]))
            logits_max = max(logits_max, logits[j])
        logits_shift = logits_max if abs(logits_max) < f4(np.inf) else f4(0.0)
        logits_total = f4(0.0)
        for j in range(2):
            logits_exp[j] = exp(logits[j] - logits_shift)
            logits_total += logits_exp[j]
        loss_cross_entropy_logsumexp = log(logits_total) + logits_shift
        logits_inverse = f4(0.0) if logits_total == f4(0.0) else f4(1.0) / logits_total
        loss_cross_entropy = loss_cross_entropy_logsumexp - logits[club[n]]
        loss_sum += loss_cross_entropy if told[n] else f4(0.0)
        loss_sum_2 += 1 if told[n] else 0
        for j in range(2):
            loss_cross_entropy_logsumexp_softmax[n, j] = logits_inverse * logits_exp[j]
    loss = loss_sum / loss_sum_2
    return loss_sum_2, loss


@kernel
def backward_logits(
    told,
    loss_cross_entropy_logsumexp_softmax,
    club,
    h_around_degree,
    d_logits,
    d_logits_sum,
    d_logits_dense,
    loss_sum_2,
):
    """d_loss_cross_entropy[p] = if told[p] then 1/loss_sum_2 else 0                          karate.grad:27
    d_logits[p, j] = d_loss_cross_entropy[p]*loss_cross_entropy_logsumexp_softmax[p, j]       karate.grad:27
    d_logits[p, club[p]] += -d_loss_cross_entropy[p]                                          karate.grad:27
    d_logits_sum[p, j] = d_logits[p, j]/sqrt(h_around_degree[p])                              karate.grad:17
    d_logits_around_part[p, j] = d_logits[p, j]/sqrt(h_around_degree[p])                      karate.grad:17
    """
    for p in range(34):
        d_loss_cross_entropy = f4(1.0) / f4(loss_sum_2) if told[p] else f4(0.0)
        for j in range(2):
            d_logits[j] = d_loss_cross_entropy * loss_cross_entropy_logsumexp_softmax[p, j]
        d_logits[club[p]] -= d_loss_cross_entropy
        for j in range(2):
            d_logits_sum[p, j] = d_logits[j] / np.sqrt(f4(h_around_degree[p]))
            d_logits_dense[p, j] = d_logits[j] / np.sqrt(f4(h_around_degree[p]))


@kernel
def backward_logits_around_part(d_logits_dense, friend, d_logits_sum, person):
    """d_logits_around_part[friend[e], j] += d_logits_sum[person[e], j]                       karate.grad:17"""
    ends = friend.shape[0]
    for e in range(ends):
        for j in range(2):
            d_logits_dense[friend[e], j] += d_logits_sum[person[e], j]


@kernel
def backward_logits_dense(d_logits_dense, h_around_degree, logits_weight, h, d_h_around_sum, d_first):
    """d_logits_dense[n, j] = d_logits_around_part[n, j]/sqrt(h_around_degree[n])             karate.grad:16
    d_h[n, i] = Σ_o d_logits_dense[n, o]*logits_weight[i, o]                                  karate.grad:23
    d_h_around[n, i] = if h[n, i] > 0 then d_h[n, i] else 0                                   karate.grad:22
    d_h_around_sum[n, i] = d_h_around[n, i]/sqrt(h_around_degree[n])                          karate.grad:17
    d_h_around_part[n, i] = d_h_around[n, i]/sqrt(h_around_degree[n])                         karate.grad:17
    """
    for n in range(34):
        for j in range(2):
            d_logits_dense[n, j] = d_logits_dense[n, j] / np.sqrt(f4(h_around_degree[n]))
        for i in range(16):
            d_h = f4(0.0)
            for o in range(2):
                d_h += d_logits_dense[n, o] * logits_weight[i, o]
            d_h_around = d_h if h[n, i] > f4(0.0) else f4(0.0)
            d_h_around_sum[n, i] = d_h_around / np.sqrt(f4(h_around_degree[n]))
            d_first[n, i] = d_h_around / np.sqrt(f4(h_around_degree[n]))


@kernel
def backward_h_around_part(d_first, friend, d_h_around_sum, person):
    """d_h_around_part[friend[e], j] += d_h_around_sum[person[e], j]                          karate.grad:17"""
    ends = friend.shape[0]
    for e in range(ends):
        for j in range(16):
            d_first[friend[e], j] += d_h_around_sum[person[e], j]


@kernel
def backward_first(d_first, h_around_degree):
    """d_first[n, j] = d_h_around_part[n, j]/sqrt(h_around_degree[n])                         karate.grad:16"""
    for n in range(34):
        for j in range(16):
            d_first[n, j] = d_first[n, j] / np.sqrt(f4(h_around_degree[n]))


@kernel
def adam(m, g, v, p, t):
    """rate_pow = 0.9^t                                                                       karate.grad:30
    rate = 0.01/(1 - rate_pow)                                                                karate.grad:30
    unbias_pow = 0.999^t                                                                      karate.grad:30
    unbias = 1/sqrt(1 - unbias_pow)                                                           karate.grad:30
    m_2[n] = 0.9*m[n] + 0.1*g[n]                                                              karate.grad:30
    v_2[n] = 0.999*v[n] + 0.001*g[n]^2                                                        karate.grad:30
    p_2[n] = p[n] - rate*m_2[n]/(sqrt(v_2[n])*unbias + 1e-08)                                 karate.grad:30
    """
    size = m.shape[0]
    rate_pow = 0.9**t
    rate = 0.01 / (1.0 - rate_pow)
    unbias_pow = 0.999**t
    unbias = 1.0 / np.sqrt(1.0 - unbias_pow)
    for n in range(size):
        m_2 = f4(0.9) * m[n] + f4(0.1) * g[n]
        v_2 = f4(0.999) * v[n] + f4(0.001) * (g[n] * g[n])
        p_2 = p[n] - f4(rate) * m_2 / (np.sqrt(v_2) * f4(unbias) + f4(1e-08))
        p[n] = p_2
        m[n] = m_2
        v[n] = v_2


@kernel
def forward_p(logits_around_part, logits_sum, h_around_degree, logits, logits_exp, p):
    """logits[n, j] = (logits_around_part[n, j] + logits_sum[n, j])/sqrt(h_around_degree[n])  karate.grad:17
    logits_max[n] = max_j logits[n, j]                                                        karate.grad:26
    logits_shift[n] = if abs(logits_max[n]) < inf then logits_max[n] else 0                   karate.grad:26
    logits_exp[n, j] = exp(logits[n, j] - logits_shift[n])                                    karate.grad:26
    logits_total[n] = Σ_j logits_exp[n, j]                                                    karate.grad:26
    logits_inverse[n] = if logits_total[n] == 0 then 0 else 1/logits_total[n]                 karate.grad:26
    p[n, i] = logits_inverse[n]*logits_exp[n, i]                                              karate.grad:26
    """
    for n in range(34):
        logits_max = f4(-np.inf)
        for j in range(2):
            logits[j] = (logits_around_part[n, j] + logits_sum[n, j]) / np.sqrt(f4(h_around_degree[n]))
            logits_max = max(logits_max, logits[j])
        logits_shift = logits_max if abs(logits_max) < f4(np.inf) else f4(0.0)
        logits_total = f4(0.0)
        for j in range(2):
            logits_exp[j] = exp(logits[j] - logits_shift)
            logits_total += logits_exp[j]
        logits_inverse = f4(0.0) if logits_total == f4(0.0) else f4(1.0) / logits_total
        for i in range(2):
            p[n, i] = logits_inverse * logits_exp[i]


@kernel
def evaluate_loss(logits_around_part, logits_sum, h_around_degree, club, told, logits):
    """logits[n, j] = (logits_around_part[n, j] + logits_sum[n, j])/sqrt(h_around_degree[n])  karate.grad:17
    right_argmax[n] = argmax_j logits[n, j]                                                   karate.grad:24
    logits_max[n] = max_j logits[n, j]                                                        karate.grad:27
    right[n] = if right_argmax[n] == club[n] then 1 else 0                                    karate.grad:24
    logits_shift[n] = if abs(logits_max[n]) < inf then logits_max[n] else 0                   karate.grad:27
    logits_exp[n, j] = exp(logits[n, j] - logits_shift[n])                                    karate.grad:27
    logits_total[n] = Σ_j logits_exp[n, j]                                                    karate.grad:27
    loss_cross_entropy_logsumexp[n] = log(logits_total[n]) + logits_shift[n]                  karate.grad:27
    loss_cross_entropy[n] = loss_cross_entropy_logsumexp[n] - logits[n, club[n]]              karate.grad:27
    loss_sum = Σ_n (if told[n] then loss_cross_entropy[n] else 0)                             karate.grad:27
    loss_sum_2 = Σ_n (if told[n] then 1 else 0)                                               karate.grad:27
    accuracy_sum = Σ_n (if told[n] then 0 else right[n])                                      karate.grad:28
    loss = loss_sum/loss_sum_2                                                                karate.grad:27
    accuracy = accuracy_sum/(34 - loss_sum_2)                                                 karate.grad:28
    """
    loss_sum = 0.0
    loss_sum_2 = 0
    accuracy_sum = 0
    for n in range(34):
        right_argmax = 0
        best = f4(-np.inf)
        logits_max = f4(-np.inf)
        for j in range(2):
            logits[j] = (logits_around_part[n, j] + logits_sum[n, j]) / np.sqrt(f4(h_around_degree[n]))
            value = logits[j]
            if value > best or (np.isnan(value) and not np.isnan(best)):
                best, right_argmax = value, j
            logits_max = max(logits_max, logits[j])
        right = 1 if right_argmax == club[n] else 0
        logits_shift = logits_max if abs(logits_max) < f4(np.inf) else f4(0.0)
        logits_total = f4(0.0)
        for j in range(2):
            logits_exp = exp(logits[j] - logits_shift)
            logits_total += logits_exp
        loss_cross_entropy_logsumexp = log(logits_total) + logits_shift
        loss_cross_entropy = loss_cross_entropy_logsumexp - logits[club[n]]
        loss_sum += loss_cross_entropy if told[n] else f4(0.0)
        loss_sum_2 += 1 if told[n] else 0
        accuracy_sum += 0 if told[n] else right
    loss = loss_sum / loss_sum_2
    accuracy = accuracy_sum / (34.0 - loss_sum_2)
    return loss, accuracy


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
def differentiate(params, d_params, work, places, person, friend, club, told):
    """One forward and one backward pass: returns the loss and fills d_params."""
    first_, logits_weight = parts(params)
    d_first, d_logits_weight = parts(d_params)
    h_around_degree = view(places, 0, (34,))  # kept for d_logits_sum and d_logits_around_part
    h_around_sum = view(work, 544, (34, 16))
    h = view(work, 0, (34, 16))  # kept for d_h_around and d_logits_weight
    logits_around_part = view(work, 544, (34, 2))
    logits_sum = view(work, 1088, (34, 2))
    logits = view(work, 1156, (2,))
    logits_exp = view(work, 1158, (2,))
    loss_cross_entropy_logsumexp_softmax = view(work, 1160, (34, 2))  # kept for d_logits
    d_logits = view(work, 1158, (2,))
    d_logits_sum = view(work, 1088, (34, 2))
    d_logits_dense = view(work, 544, (34, 2))
    d_h_around_sum = view(work, 1228, (34, 16))

    # forward
    forward_h_around_degree_sum(person, h_around_degree)
    forward_h_around_degree(h_around_degree, first_, h)
    forward_h_around_sum(person, h, friend, h_around_sum)
    forward_h(h, h_around_sum, h_around_degree)
    gemm(h, logits_weight, logits_around_part, False)  # logits_dense[n, o] = Σ_i h[n, i] logits_weight[i, o]
    forward_logits_around_part(logits_around_part, h_around_degree)
    forward_logits_sum(person, logits_around_part, friend, logits_sum)
    loss_sum_2, loss = forward_loss(
        logits_around_part,
        logits_sum,
        h_around_degree,
        club,
        told,
        logits,
        logits_exp,
        loss_cross_entropy_logsumexp_softmax,
    )

    # backward
    backward_logits(
        told,
        loss_cross_entropy_logsumexp_softmax,
        club,
        h_around_degree,
        d_logits,
        d_logits_sum,
        d_logits_dense,
        loss_sum_2,
    )
    backward_logits_around_part(d_logits_dense, friend, d_logits_sum, person)
    backward_logits_dense(d_logits_dense, h_around_degree, logits_weight, h, d_h_around_sum, d_first)
    gemm(h.T, d_logits_dense, d_logits_weight, False)  # d_logits_weight[i, o] = Σ_n h[n, i] d_logits_dense[n, o]
    backward_h_around_part(d_first, friend, d_h_around_sum, person)
    backward_first(d_first, h_around_degree)
    return loss


@inlined
def update(params, d_params, moments, t):
    """One step of adam, in place; t counts steps from 1."""
    p = view(params, 0, (576,))
    g = view(d_params, 0, (576,))
    m = view(moments, 0, (576,))
    v = view(moments, 576, (576,))
    adam(m, g, v, p, t)


@entry
def gradient_entry(params, d_params, work, places, person, friend, club, told):
    """The loss and its gradient. Returns (which array is out of range or -1, its place, the loss)."""
    if params.size != SIZE:
        raise ValueError("params are of another model: init() makes those of this one")
    place = first_outside(person, 34)
    if place >= 0:
        return 0, place, 0.0
    place = first_outside(friend, 34)
    if place >= 0:
        return 1, place, 0.0
    place = first_outside(club, 2)
    if place >= 0:
        return 2, place, 0.0
    loss = differentiate(params, d_params, work, places, person, friend, club, told)
    return -1, -1, loss


@entry
def step_entry(params, d_params, moments, t, losses, work, places, person, friend, club, told):
    """gradient_entry and a step of the optimizer, for each of the losses: all on the same arrays.

    Ends before an array that is out of range, and with a loss that is not finite. Returns (which array is
    out of range or -1, its place in its batch, how many steps were taken, the loss of the last).
    """
    if params.size != SIZE or d_params.size != SIZE or moments.size != 1152:
        raise ValueError("params or state are of another model: init() and init_state(params) make those of this one")
    for step in range(losses.size):
        place = first_outside(person, 34)
        if place >= 0:
            return 0, place, step, 0.0
        place = first_outside(friend, 34)
        if place >= 0:
            return 1, place, step, 0.0
        place = first_outside(club, 2)
        if place >= 0:
            return 2, place, step, 0.0
        loss = differentiate(params, d_params, work, places, person, friend, club, told)
        update(params, d_params, moments, float(t))
        losses[step] = loss
        if not np.isfinite(loss):
            return -1, -1, step + 1, loss
        t += 1
    return -1, -1, losses.size, losses[losses.size - 1]


@entry
def predict_entry(params, work, places, person, friend, p):
    """One forward pass: fills p."""
    if params.size != SIZE:
        raise ValueError("params are of another model: init() makes those of this one")
    place = first_outside(person, 34)
    if place >= 0:
        return 0, place
    place = first_outside(friend, 34)
    if place >= 0:
        return 1, place
    first_, logits_weight = parts(params)
    h_around_degree = view(places, 0, (34,))
    h_around_sum = view(work, 544, (34, 16))
    h = view(work, 0, (34, 16))
    logits_around_part = view(work, 544, (34, 2))
    logits_sum = view(work, 0, (34, 2))
    logits = view(work, 1088, (2,))
    logits_exp = view(work, 1090, (2,))
    forward_h_around_degree_sum(person, h_around_degree)
    forward_h_around_degree(h_around_degree, first_, h)
    forward_h_around_sum(person, h, friend, h_around_sum)
    forward_h(h, h_around_sum, h_around_degree)
    gemm(h, logits_weight, logits_around_part, False)  # logits_dense[n, o] = Σ_i h[n, i] logits_weight[i, o]
    forward_logits_around_part(logits_around_part, h_around_degree)
    forward_logits_sum(person, logits_around_part, friend, logits_sum)
    forward_p(logits_around_part, logits_sum, h_around_degree, logits, logits_exp, p)
    return -1, -1


@entry
def evaluate_entry(params, work, places, person, friend, club, told):
    """One forward pass: returns loss, accuracy."""
    if params.size != SIZE:
        raise ValueError("params are of another model: init() makes those of this one")
    place = first_outside(person, 34)
    if place >= 0:
        return 0, place, 0.0, 0.0
    place = first_outside(friend, 34)
    if place >= 0:
        return 1, place, 0.0, 0.0
    place = first_outside(club, 2)
    if place >= 0:
        return 2, place, 0.0, 0.0
    first_, logits_weight = parts(params)
    h_around_degree = view(places, 0, (34,))
    h_around_sum = view(work, 544, (34, 16))
    h = view(work, 0, (34, 16))
    logits_around_part = view(work, 544, (34, 2))
    logits_sum = view(work, 0, (34, 2))
    logits = view(work, 1088, (2,))
    forward_h_around_degree_sum(person, h_around_degree)
    forward_h_around_degree(h_around_degree, first_, h)
    forward_h_around_sum(person, h, friend, h_around_sum)
    forward_h(h, h_around_sum, h_around_degree)
    gemm(h, logits_weight, logits_around_part, False)  # logits_dense[n, o] = Σ_i h[n, i] logits_weight[i, o]
    forward_logits_around_part(logits_around_part, h_around_degree)
    forward_logits_sum(person, logits_around_part, friend, logits_sum)
    loss, accuracy = evaluate_loss(logits_around_part, logits_sum, h_around_degree, club, told, logits)
    return -1, -1, loss, accuracy


# ------------------------------------------------------------------ for callers


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
        self.d_params = aligned(np.empty, SIZE, f4)
        self.work = [np.empty(0, f4), np.empty(0, np.int64)]
        self.losses = np.empty(1, np.float64)  # of train_step

    def work_for(self):
        """The work space of a step, made anew only where a larger batch needs it."""
        if self.work[0].size < 1772:
            self.work[0] = aligned(np.empty, 1772, f4)
        if self.work[1].size < 34:
            self.work[1] = aligned(np.empty, 34, np.int64)
        return self.work


def init(seed=0):
    """New parameters, drawn by their laws."""
    rng = np.random.default_rng(seed)
    params = Params(aligned(np.zeros, SIZE, f4))
    params["first"] = np.sqrt(0.12) * (2.0 * rng.random((34, 16)) - 1.0)
    params["logits.weight"] = np.sqrt(1 / 3) * (2.0 * rng.random((16, 2)) - 1.0)
    return params


def init_state(params, seed=0):
    """The state before the first step."""
    moments = aligned(np.zeros, 1152, f4)
    return State(moments, seed)


def train_step(params, state, person, friend, club, told):
    """One training step on one batch, in place; returns the loss.

    person: whole numbers [ends] below 34; friend: whole numbers [ends] below 34; club: whole numbers [people = 34]
    below 2; told: true or false [people = 34].
    """
    person, friend, club, told = _checked(person, friend, club, told)
    return _steps(params, state, state.losses, person, friend, club, told)


def train_steps(params, state, steps, person, friend, club, told):
    """train_step again and again, on the same arrays; returns the losses."""
    person, friend, club, told = _checked(person, friend, club, told)
    if steps < 1:
        raise ValueError("one step is the least")
    losses = np.empty(steps, np.float64)
    _steps(params, state, losses, person, friend, club, told)
    return losses


def _steps(params, state, losses, person, friend, club, told):
    """A step for each of the losses, which it fills in; returns the last."""
    bad, place, done, loss = step_entry(
        params.flat, state.d_params, state.flat, state.step + 1, losses, *state.work_for(), person, friend, club, told
    )
    state.step += done
    if bad >= 0:
        raise ValueError(
            _out_of_range(("person", "friend", "club", "told")[bad], (person, friend, club, told)[bad], place)
        )
    if not math.isfinite(loss):
        raise FloatingPointError(f"the loss of step {state.step} is {loss}")
    return loss


def loss_and_gradients(params, person, friend, club, told, *, seed=0):
    """The loss and its gradient by every parameter, named as the parameters are."""
    person, friend, club, told = _checked(person, friend, club, told)
    gradients = Params(np.zeros(SIZE, f4))
    bad, place, loss = gradient_entry(
        params.flat,
        gradients.flat,
        aligned(np.empty, 1772, f4),
        aligned(np.empty, 34, np.int64),
        person,
        friend,
        club,
        told,
    )
    if bad >= 0:
        raise ValueError(
            _out_of_range(("person", "friend", "club", "told")[bad], (person, friend, club, told)[bad], place)
        )
    return loss, gradients


def predict(params, person, friend, *, seed=0):
    """The prediction p: [34, 2]. person: whole numbers [ends] below 34; friend: whole numbers [ends] below 34."""
    person, friend = _checked_inputs(person, friend)
    p = np.empty((34, 2), f4)
    bad, place = predict_entry(
        params.flat, aligned(np.empty, 1092, f4), aligned(np.empty, 34, np.int64), person, friend, p
    )
    if bad >= 0:
        raise ValueError(_out_of_range(("person", "friend")[bad], (person, friend)[bad], place))
    return p


def evaluate(params, person, friend, club, told, *, seed=0):
    """The loss and the metrics, without changing anything."""
    person, friend, club, told = _checked(person, friend, club, told)
    bad, place, loss, accuracy = evaluate_entry(
        params.flat, aligned(np.empty, 1090, f4), aligned(np.empty, 34, np.int64), person, friend, club, told
    )
    if bad >= 0:
        raise ValueError(
            _out_of_range(("person", "friend", "club", "told")[bad], (person, friend, club, told)[bad], place)
        )
    return {"loss": float(loss), "accuracy": float(accuracy)}


def _checked_inputs(person, friend):
    person = _array("person", person, "iu", "whole numbers", np.int64)
    if person.ndim != 1 or person.size == 0:
        raise ValueError(f"person is [ends], ends at least 1; got {list(person.shape)}")
    friend = _array("friend", friend, "iu", "whole numbers", np.int64)
    if friend.ndim != 1 or friend.shape[0] != person.shape[0] or friend.size == 0:
        raise ValueError(f"friend is [ends] with ends = {person.shape[0]}; got {list(friend.shape)}")
    return person, friend


def _checked(person, friend, club, told):
    person, friend = _checked_inputs(person, friend)
    club = _array("club", club, "iu", "whole numbers", np.int64)
    if club.ndim != 1 or club.shape[0] != 34:
        raise ValueError(f"club is [people = 34]; got {list(club.shape)}")
    told = _array("told", told, "b", "true or false", np.bool_)
    if told.ndim != 1 or told.shape[0] != 34:
        raise ValueError(f"told is [people = 34]; got {list(told.shape)}")
    return person, friend, club, told


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
