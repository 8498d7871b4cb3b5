"""letters_hmm: the network of letters_hmm.grad, its gradient and its training step, as loops and matrix products.

    first = log_softmax(start)                                                              letters_hmm.grad:19
    next  = log_softmax(change)                                                             letters_hmm.grad:20
    given = log_softmax(emit)                                                               letters_hmm.grad:21
    seen[b, t, s] = given[s, letters[b, t]]                                                 letters_hmm.grad:23
    so_far[b, 0, s]     = first[s] + seen[b, 0, s]                                          letters_hmm.grad:26
    so_far[b, t + 1, s] = logsumexp[r](so_far[b, t, r] + next[r, s]) + seen[b, t + 1, s]    letters_hmm.grad:27
    likely[b]           = logsumexp[s](so_far[b, time - 1, s])                              letters_hmm.grad:28
    total = sum(likely)                                                                     letters_hmm.grad:32
    predict posterior = grad(total, seen)                                                   letters_hmm.grad:33
    loss    -mean(likely) / time                                                            letters_hmm.grad:35
    metric  perplexity = exp(-mean(likely) / time)                                          letters_hmm.grad:36

Sizes       batch (any size), time (any size), states = 16, signs = 27
Parameters  start[16]  change[16, 16]  emit[16, 27]  (704 float32 numbers in one buffer)
Names       d_X is ∂loss/∂X and has X's shape; dY_dX is the derivative of Y's sum by X, too

Emitted by gradc 0.1.0 from letters_hmm.grad, sha256 be25c2d0. It needs NumPy and Numba, not gradc.
This file, all of it, is yours to use under any terms.
"""

import gc
import math
import operator
from collections import Counter
from contextlib import contextmanager
from functools import cache, partial, reduce
from itertools import chain

import numpy as np
from llvmlite import binding, ir
from llvmlite.binding import get_host_cpu_features
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
from numba.extending import lower_builtin, register_jitable, type_callable
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
    function.__qualname__ += "_be25c2d0"
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

NAME = "letters_hmm"
DTYPE = "float32"
HASH = "be25c2d0"
PARAMS = {
    "start": (0, (16,)),
    "change": (16, (16, 16)),
    "emit": (272, (16, 27)),
}
SIZE = 704
MOMENTS = {
    "start.m": (0, (16,)),
    "change.m": (16, (16, 16)),
    "emit.m": (272, (16, 27)),
    "start.v": (704, (16,)),
    "change.v": (720, (16, 16)),
    "emit.v": (976, (16, 27)),
}
INPUTS = {
    "letters": ("whole", ("batch", "time")),
}
TARGETS = {}
RANGES = {
    "letters": 27,
}
BATCH = "batch"
PREDICTIONS = ("posterior",)
METRICS = ("perplexity",)
DATA = "data/letters.npz"
FIT = {"epochs": 60, "batch": 32, "validation": 0.2, "seed": 0}
SOURCE = (
    "# What a text is made of, from its letters alone: a hidden Markov model of Alice in Wonderland.\n"
    "#\n"
    "# At each place the text is in one of a few states, which it does not show; the state decides which "
    "letter comes, and\n"
    "# which state is likely next (Cave and Neuwirth, 1980). Nothing says what a state is: vowels, conson"
    "ants and the ends of\n"
    "# words become states because that makes the letters likely.\n"
    "\n"
    "model letters_hmm\n"
    "\n"
    "dim batch, time\n"
    "dim states = 16, signs = 27                   # space, a to z\n"
    "\n"
    "input letters[batch, time] : int(signs)\n"
    "\n"
    "param start[states]          ~ 0.1 * normal()\n"
    "param change[states, states] ~ 0.1 * normal()\n"
    "param emit[states, signs]    ~ 0.1 * normal()\n"
    "\n"
    "# the logarithms of probabilities\n"
    "first = log_softmax(start)\n"
    "next  = log_softmax(change)\n"
    "given = log_softmax(emit)\n"
    "\n"
    "seen[b, t, s] = given[s, letters[b, t]]\n"
    "\n"
    "# the forward algorithm: log p(the letters up to t, and state s at t)\n"
    "so_far[b, 0, s]     = first[s] + seen[b, 0, s]\n"
    "so_far[b, t + 1, s] = logsumexp[r](so_far[b, t, r] + next[r, s]) + seen[b, t + 1, s]\n"
    "likely[b]           = logsumexp[s](so_far[b, time - 1, s])\n"
    "\n"
    "# The probability of a state at a place, given the whole text, is the derivative of the likelihood b"
    "y what is seen there:\n"
    "# the way back through the forward algorithm is the backward algorithm (Eisner, 2016).\n"
    "total = sum(likely)\n"
    "predict posterior = grad(total, seen)\n"
    "\n"
    "loss    -mean(likely) / time\n"
    "metric  perplexity = exp(-mean(likely) / time)\n"
    "\n"
    "optimize adam(lr = 0.03)\n"
    'data     "data/letters.npz"\n'
    "fit      epochs = 60, batch = 32, validation = 0.2, seed = 0\n"
)


@inlined
def parts(p):
    """start, change, emit: views of the flat buffer p, or of its gradient."""
    return view(p, 0, (16,)), view(p, 16, (16, 16)), view(p, 272, (16, 27))


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
def forward_start_shift(start):
    """start_max = max_j start[j]                                                        letters_hmm.grad:19
    start_shift = if abs(start_max) < inf then start_max else 0                          letters_hmm.grad:19
    """
    start_max = -np.inf
    for j in range(16):
        start_max = max(start_max, start[j])
    start_shift = start_max if abs(start_max) < np.inf else 0.0
    return start_shift


@kernel
def forward_start_inverse(start, first_total_softmax, start_shift):
    """start_exp[j] = exp(start[j] - start_shift)                                        letters_hmm.grad:19
    start_total = Σ_j start_exp[j]                                                       letters_hmm.grad:19
    first_total = log(start_total) + start_shift                                         letters_hmm.grad:19
    start_inverse = if start_total == 0 then 0 else 1/start_total                        letters_hmm.grad:19
    first_base = if start_total == 0 then 0 else first_total                             letters_hmm.grad:19
    """
    start_total = 0.0
    for j in range(16):
        first_total_softmax[j] = exp(start[j] - f4(start_shift))
        start_total += first_total_softmax[j]
    first_total = np.log(start_total) + start_shift
    start_inverse = 0.0 if start_total == 0.0 else 1.0 / start_total
    first_base = 0.0 if start_total == 0.0 else first_total
    return start_inverse, first_base


@kernel
def forward_first(start, first_, first_base):
    """first_[i] = start[i] - first_base                                                 letters_hmm.grad:19"""
    for i in range(16):
        first_[i] = start[i] - f4(first_base)


@kernel
def forward_next(change, change_exp, next_, d_change):
    """change_max[s] = max_j change[s, j]                                                letters_hmm.grad:20
    change_shift[s] = if abs(change_max[s]) < inf then change_max[s] else 0              letters_hmm.grad:20
    change_exp[s, j] = exp(change[s, j] - change_shift[s])                               letters_hmm.grad:20
    change_total[s] = Σ_j change_exp[s, j]                                               letters_hmm.grad:20
    next_total[s] = log(change_total[s]) + change_shift[s]                               letters_hmm.grad:20
    change_inverse[s] = if change_total[s] == 0 then 0 else 1/change_total[s]            letters_hmm.grad:20
    next_base[s] = if change_total[s] == 0 then 0 else next_total[s]                     letters_hmm.grad:20
    next_[s, i] = change[s, i] - next_base[s]                                            letters_hmm.grad:20
    next_total_softmax[s, j] = change_inverse[s]*change_exp[s, j]                        letters_hmm.grad:20
    """
    for s in range(16):
        change_max = f4(-np.inf)
        for j in range(16):
            change_max = max(change_max, change[s, j])
        change_shift = change_max if abs(change_max) < f4(np.inf) else f4(0.0)
        change_total = f4(0.0)
        for j in range(16):
            change_exp[j] = exp(change[s, j] - change_shift)
            change_total += change_exp[j]
        next_total = log(change_total) + change_shift
        change_inverse = f4(0.0) if change_total == f4(0.0) else f4(1.0) / change_total
        next_base = f4(0.0) if change_total == f4(0.0) else next_total
        for i in range(16):
            next_[s, i] = change[s, i] - next_base
        for j in range(16):
            d_change[s, j] = change_inverse * change_exp[j]


@kernel
def forward_seen(emit, letters, emit_exp, given, seen, d_emit):
    """emit_max[s] = max_j emit[s, j]                                                    letters_hmm.grad:21
    emit_shift[s] = if abs(emit_max[s]) < inf then emit_max[s] else 0                    letters_hmm.grad:21
    emit_exp[s, j] = exp(emit[s, j] - emit_shift[s])                                     letters_hmm.grad:21
    emit_total[s] = Σ_j emit_exp[s, j]                                                   letters_hmm.grad:21
    given_total[s] = log(emit_total[s]) + emit_shift[s]                                  letters_hmm.grad:21
    emit_inverse[s] = if emit_total[s] == 0 then 0 else 1/emit_total[s]                  letters_hmm.grad:21
    given_base[s] = if emit_total[s] == 0 then 0 else given_total[s]                     letters_hmm.grad:21
    given[s, i] = emit[s, i] - given_base[s]                                             letters_hmm.grad:21
    seen[b, t, s] = given[s, letters[b, t]]                                              letters_hmm.grad:23
    given_total_softmax[s, j] = emit_inverse[s]*emit_exp[s, j]                           letters_hmm.grad:21
    """
    batch = letters.shape[0]
    time = letters.shape[1]
    for s in range(16):
        emit_max = f4(-np.inf)
        for j in range(27):
            emit_max = max(emit_max, emit[s, j])
        emit_shift = emit_max if abs(emit_max) < f4(np.inf) else f4(0.0)
        emit_total = f4(0.0)
        for j in range(27):
            emit_exp[j] = exp(emit[s, j] - emit_shift)
            emit_total += emit_exp[j]
        given_total = log(emit_total) + emit_shift
        emit_inverse = f4(0.0) if emit_total == f4(0.0) else f4(1.0) / emit_total
        given_base = f4(0.0) if emit_total == f4(0.0) else given_total
        for i in range(27):
            given[i] = emit[s, i] - given_base
        for b in range(batch):
            for t in range(time):
                seen[b, t, s] = given[letters[b, t]]
        for j in range(27):
            d_emit[s, j] = emit_inverse * emit_exp[j]


@kernel
def forward_so_far(first_, seen, so_far):
    """so_far[b, 0, s] = first_[s] + seen[b, 0, s]                                       letters_hmm.grad:26"""
    batch = seen.shape[0]
    for b in range(batch):
        so_far[b, ...] = f4(0.0)
        for s in range(16):
            so_far[b, 0, s] = first_[s] + seen[b, 0, s]


@kernel
def forward_so_far_(so_far, next_, seen, so_far_logsumexp_total, so_far_logsumexp_softmax):
    """so_far_logsumexp_max[b, t, s] = max_r (so_far[b, t, r] + next_[r, s])             letters_hmm.grad:27
    so_far_logsumexp_shift[b, t, s] = if abs(so_far_logsumexp_max[b, t, s]) < inf then
            so_far_logsumexp_max[b, t, s] else 0                                         letters_hmm.grad:27
    so_far_logsumexp_exp[b, t, s, r] = exp(so_far[b, t, r] + next_[r, s] -
            so_far_logsumexp_shift[b, t, s])                                             letters_hmm.grad:27
    so_far_logsumexp_total[b, t, s] = Σ_r so_far_logsumexp_exp[b, t, s, r]               letters_hmm.grad:27
    so_far_logsumexp[b, t, s] = log(so_far_logsumexp_total[b, t, s]) +
            so_far_logsumexp_shift[b, t, s]                                              letters_hmm.grad:27
    so_far[b, t + 1, s] += so_far_logsumexp[b, t, s] + seen[b, t + 1, s]                 letters_hmm.grad:27
    """
    time = so_far.shape[1]
    batch = so_far.shape[0]
    for t in range(time - 1):
        for b in range(batch):
            for s in range(16):
                so_far_logsumexp_max = f4(-np.inf)
                for r in range(16):
                    so_far_logsumexp_max = max(so_far_logsumexp_max, so_far[b, t, r] + next_[r, s])
                so_far_logsumexp_shift = so_far_logsumexp_max if abs(so_far_logsumexp_max) < f4(np.inf) else f4(0.0)
                total = f4(0.0)
                for r in range(16):
                    so_far_logsumexp_softmax[b, t, s, r] = exp(so_far[b, t, r] + next_[r, s] - so_far_logsumexp_shift)
                    total += so_far_logsumexp_softmax[b, t, s, r]
                so_far_logsumexp_total[b, t, s] = total
                so_far_logsumexp = log(so_far_logsumexp_total[b, t, s]) + so_far_logsumexp_shift
                so_far[b, t + 1, s] += so_far_logsumexp + seen[b, t + 1, s]


@kernel
def forward_so_far_logsumexp_softmax(so_far_logsumexp_total, so_far_logsumexp_softmax, time):
    """so_far_logsumexp_inverse[b, t, s] = if so_far_logsumexp_total[b, t, s] == 0 then 0 else
            1/so_far_logsumexp_total[b, t, s]                                            letters_hmm.grad:27
    so_far_logsumexp_softmax[b, t, s, r] =
            so_far_logsumexp_inverse[b, t, s]*so_far_logsumexp_exp[b, t, s, r]           letters_hmm.grad:27
    """
    batch = so_far_logsumexp_total.shape[0]
    for b in range(batch):
        for t in range(time - 1):
            for s in range(16):
                so_far_logsumexp_inverse = (
                    f4(0.0) if so_far_logsumexp_total[b, t, s] == f4(0.0) else f4(1.0) / so_far_logsumexp_total[b, t, s]
                )
                for r in range(16):
                    so_far_logsumexp_softmax[b, t, s, r] = (
                        so_far_logsumexp_inverse * so_far_logsumexp_softmax[b, t, s, r]
                    )


@kernel
def loss_and_d_so_far(so_far, so_far_exp, d_so_far):
    """so_far_max[b] = max_s so_far[b, time - 1, s]                                      letters_hmm.grad:28
    so_far_shift[b] = if abs(so_far_max[b]) < inf then so_far_max[b] else 0              letters_hmm.grad:28
    so_far_exp[b, s] = exp(so_far[b, time - 1, s] - so_far_shift[b])                     letters_hmm.grad:28
    so_far_total[b] = Σ_s so_far_exp[b, s]                                               letters_hmm.grad:28
    likely[b] = log(so_far_total[b]) + so_far_shift[b]                                   letters_hmm.grad:28
    so_far_inverse[b] = if so_far_total[b] == 0 then 0 else 1/so_far_total[b]            letters_hmm.grad:28
    loss_sum = Σ_b likely[b]                                                             letters_hmm.grad:35
    likely_softmax[b, s] = so_far_inverse[b]*so_far_exp[b, s]                            letters_hmm.grad:28
    d_so_far[b, time - 1, s] = -likely_softmax[b, s]/(batch*time)                        letters_hmm.grad:28
    loss = -loss_sum/(batch*time)                                                        letters_hmm.grad:35
    """
    batch = so_far.shape[0]
    time = so_far.shape[1]
    loss_sum = 0.0
    for b in range(batch):
        so_far_max = f4(-np.inf)
        for s in range(16):
            so_far_max = max(so_far_max, so_far[b, time - 1, s])
        so_far_shift = so_far_max if abs(so_far_max) < f4(np.inf) else f4(0.0)
        so_far_total = f4(0.0)
        for s in range(16):
            so_far_exp[s] = exp(so_far[b, time - 1, s] - so_far_shift)
            so_far_total += so_far_exp[s]
        likely = log(so_far_total) + so_far_shift
        so_far_inverse = f4(0.0) if so_far_total == f4(0.0) else f4(1.0) / so_far_total
        loss_sum += likely
        d_so_far[b, ...] = f4(0.0)
        for s in range(16):
            likely_softmax = so_far_inverse * so_far_exp[s]
            d_so_far[b, time - 1, s] = -likely_softmax / (f4(batch) * f4(time))
    loss = -loss_sum / (batch * time)
    return loss


@kernel
def backward_so_far(d_so_far, so_far_logsumexp_softmax):
    """d_so_far[b, t, r] += Σ_s d_so_far[b, t + 1, s]*so_far_logsumexp_softmax[b, t, s, r]  letters_hmm.grad:27"""
    time = d_so_far.shape[1]
    batch = d_so_far.shape[0]
    for t in range(time - 2, -1, -1):
        for b in range(batch):
            for r in range(16):
                total = d_so_far[b, t, r]
                for s in range(16):
                    total += d_so_far[b, t + 1, s] * so_far_logsumexp_softmax[b, t, s, r]
                d_so_far[b, t, r] = total


@kernel
def backward_next(d_so_far, so_far_logsumexp_softmax, letters, d_next, d_start, d_given, d_seen):
    """d_next[r, s] = Σ_b,t d_so_far[b, t + 1, s]*so_far_logsumexp_softmax[b, t, s, r]   letters_hmm.grad:27
    d_first[s] = Σ_b d_so_far[b, 0, s]                                                   letters_hmm.grad:26
    d_seen[b, 0, s] = d_so_far[b, 0, s]                                                  letters_hmm.grad:26
    d_seen[b, t, s] += d_so_far[b, t, s]  where t >= 1                                   letters_hmm.grad:27
    d_given[s, letters[b, t]] += d_seen[b, t, s]                                         letters_hmm.grad:23
    """
    batch = d_so_far.shape[0]
    time = d_so_far.shape[1]
    d_next[...] = f4(0.0)
    d_start[...] = f4(0.0)
    d_given[...] = f4(0.0)
    for b in range(batch):
        for t in range(time - 1):
            for s in range(16):
                for r in range(16):
                    d_next[r, s] += d_so_far[b, t + 1, s] * so_far_logsumexp_softmax[b, t, s, r]
        d_seen[...] = f4(0.0)
        for s in range(16):
            d_start[s] += d_so_far[b, 0, s]
            d_seen[0, s] = d_so_far[b, 0, s]
        for t in range(time):
            for s in range(16):
                if t > 0:
                    d_seen[t, s] += d_so_far[b, t, s]
                d_given[s, letters[b, t]] += d_seen[t, s]


@kernel
def backward_emit(d_given, d_emit):
    """d_given_base_sum[s] = Σ_i d_given[s, i]                                           letters_hmm.grad:21
    d_given_base[s] = -d_given_base_sum[s]                                               letters_hmm.grad:21
    d_emit[s, i] = d_given[s, i] + d_given_base[s]*given_total_softmax[s, i]             letters_hmm.grad:21
    size_i is 27 or 16.
    """
    size_i = d_given.shape[1]
    for s in range(16):
        d_given_base_sum = f4(0.0)
        for i in range(size_i):
            d_given_base_sum += d_given[s, i]
        d_given_base = -d_given_base_sum
        for i in range(size_i):
            d_emit[s, i] = d_given[s, i] + d_given_base * d_emit[s, i]


@kernel
def backward_first_base_sum(d_start, first_total_softmax, start_inverse):
    """d_first_base_sum = Σ_i d_first[i]                                                 letters_hmm.grad:19
    first_total_softmax[i] = start_inverse*start_exp[i]                                  letters_hmm.grad:19
    """
    d_first_base_sum = 0.0
    for i in range(16):
        d_first_base_sum += d_start[i]
        first_total_softmax[i] = f4(start_inverse) * first_total_softmax[i]
    return d_first_base_sum


@kernel
def backward_start(d_start, first_total_softmax, d_first_base_sum):
    """d_start[i] = d_first[i] - d_first_base_sum*first_total_softmax[i]                 letters_hmm.grad:19"""
    for i in range(16):
        d_start[i] = d_start[i] - f4(d_first_base_sum) * first_total_softmax[i]


@kernel
def adam(m, g, v, p, t):
    """rate_pow = 0.9^t                                                                  letters_hmm.grad:38
    rate = 0.03/(1 - rate_pow)                                                           letters_hmm.grad:38
    unbias_pow = 0.999^t                                                                 letters_hmm.grad:38
    unbias = 1/sqrt(1 - unbias_pow)                                                      letters_hmm.grad:38
    m_2[n] = 0.9*m[n] + 0.1*g[n]                                                         letters_hmm.grad:38
    v_2[n] = 0.999*v[n] + 0.001*g[n]^2                                                   letters_hmm.grad:38
    p_2[n] = p[n] - rate*m_2[n]/(sqrt(v_2[n])*unbias + 1e-08)                            letters_hmm.grad:38
    """
    size = m.shape[0]
    rate_pow = 0.9**t
    rate = 0.03 / (1.0 - rate_pow)
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
def forward_first_base(start, start_shift):
    """start_exp[j] = exp(start[j] - start_shift)                                        letters_hmm.grad:19
    start_total = Σ_j start_exp[j]                                                       letters_hmm.grad:19
    first_total = log(start_total) + start_shift                                         letters_hmm.grad:19
    first_base = if start_total == 0 then 0 else first_total                             letters_hmm.grad:19
    """
    start_total = 0.0
    for j in range(16):
        start_exp = exp(start[j] - f4(start_shift))
        start_total += start_exp
    first_total = np.log(start_total) + start_shift
    first_base = 0.0 if start_total == 0.0 else first_total
    return first_base


@kernel
def predict_next(change, next_):
    """change_max[s] = max_j change[s, j]                                                letters_hmm.grad:20
    change_shift[s] = if abs(change_max[s]) < inf then change_max[s] else 0              letters_hmm.grad:20
    change_exp[s, j] = exp(change[s, j] - change_shift[s])                               letters_hmm.grad:20
    change_total[s] = Σ_j change_exp[s, j]                                               letters_hmm.grad:20
    next_total[s] = log(change_total[s]) + change_shift[s]                               letters_hmm.grad:20
    next_base[s] = if change_total[s] == 0 then 0 else next_total[s]                     letters_hmm.grad:20
    next_[s, i] = change[s, i] - next_base[s]                                            letters_hmm.grad:20
    """
    for s in range(16):
        change_max = f4(-np.inf)
        for j in range(16):
            change_max = max(change_max, change[s, j])
        change_shift = change_max if abs(change_max) < f4(np.inf) else f4(0.0)
        change_total = f4(0.0)
        for j in range(16):
            change_exp = exp(change[s, j] - change_shift)
            change_total += change_exp
        next_total = log(change_total) + change_shift
        next_base = f4(0.0) if change_total == f4(0.0) else next_total
        for i in range(16):
            next_[s, i] = change[s, i] - next_base


@kernel
def predict_seen(emit, letters, given, seen):
    """emit_max[s] = max_j emit[s, j]                                                    letters_hmm.grad:21
    emit_shift[s] = if abs(emit_max[s]) < inf then emit_max[s] else 0                    letters_hmm.grad:21
    emit_exp[s, j] = exp(emit[s, j] - emit_shift[s])                                     letters_hmm.grad:21
    emit_total[s] = Σ_j emit_exp[s, j]                                                   letters_hmm.grad:21
    given_total[s] = log(emit_total[s]) + emit_shift[s]                                  letters_hmm.grad:21
    given_base[s] = if emit_total[s] == 0 then 0 else given_total[s]                     letters_hmm.grad:21
    given[s, i] = emit[s, i] - given_base[s]                                             letters_hmm.grad:21
    seen[b, t, s] = given[s, letters[b, t]]                                              letters_hmm.grad:23
    """
    batch = letters.shape[0]
    time = letters.shape[1]
    for s in range(16):
        emit_max = f4(-np.inf)
        for j in range(27):
            emit_max = max(emit_max, emit[s, j])
        emit_shift = emit_max if abs(emit_max) < f4(np.inf) else f4(0.0)
        emit_total = f4(0.0)
        for j in range(27):
            emit_exp = exp(emit[s, j] - emit_shift)
            emit_total += emit_exp
        given_total = log(emit_total) + emit_shift
        given_base = f4(0.0) if emit_total == f4(0.0) else given_total
        for i in range(27):
            given[i] = emit[s, i] - given_base
        for b in range(batch):
            for t in range(time):
                seen[b, t, s] = given[letters[b, t]]


@kernel
def forward_dtotal_dso_far(so_far, so_far_exp, dtotal_dso_far):
    """so_far_max[b] = max_s so_far[b, time - 1, s]                                      letters_hmm.grad:28
    so_far_shift[b] = if abs(so_far_max[b]) < inf then so_far_max[b] else 0              letters_hmm.grad:28
    so_far_exp[b, s] = exp(so_far[b, time - 1, s] - so_far_shift[b])                     letters_hmm.grad:28
    so_far_total[b] = Σ_s so_far_exp[b, s]                                               letters_hmm.grad:28
    so_far_inverse[b] = if so_far_total[b] == 0 then 0 else 1/so_far_total[b]            letters_hmm.grad:28
    likely_softmax[b, s] = so_far_inverse[b]*so_far_exp[b, s]                            letters_hmm.grad:28
    dtotal_dso_far[b, time - 1, s] = likely_softmax[b, s]                                letters_hmm.grad:28
    """
    batch = so_far.shape[0]
    time = so_far.shape[1]
    for b in range(batch):
        so_far_max = f4(-np.inf)
        for s in range(16):
            so_far_max = max(so_far_max, so_far[b, time - 1, s])
        so_far_shift = so_far_max if abs(so_far_max) < f4(np.inf) else f4(0.0)
        so_far_total = f4(0.0)
        for s in range(16):
            so_far_exp[s] = exp(so_far[b, time - 1, s] - so_far_shift)
            so_far_total += so_far_exp[s]
        so_far_inverse = f4(0.0) if so_far_total == f4(0.0) else f4(1.0) / so_far_total
        dtotal_dso_far[b, ...] = f4(0.0)
        for s in range(16):
            likely_softmax = so_far_inverse * so_far_exp[s]
            dtotal_dso_far[b, time - 1, s] = likely_softmax


@kernel
def forward_posterior(dtotal_dso_far, posterior):
    """posterior[b, 0, s] = dtotal_dso_far[b, 0, s]                                      letters_hmm.grad:26
    posterior[b, t, s] += dtotal_dso_far[b, t, s]  where t >= 1                          letters_hmm.grad:27
    """
    batch = dtotal_dso_far.shape[0]
    time = dtotal_dso_far.shape[1]
    for b in range(batch):
        posterior[b, ...] = f4(0.0)
        for s in range(16):
            posterior[b, 0, s] = dtotal_dso_far[b, 0, s]
        for t in range(1, time):
            for s in range(16):
                posterior[b, t, s] += dtotal_dso_far[b, t, s]


@kernel
def evaluate_so_far(so_far, next_, seen):
    """so_far_logsumexp_max[b, t, s] = max_r (so_far[b, t, r] + next_[r, s])             letters_hmm.grad:27
    so_far_logsumexp_shift[b, t, s] = if abs(so_far_logsumexp_max[b, t, s]) < inf then
            so_far_logsumexp_max[b, t, s] else 0                                         letters_hmm.grad:27
    so_far_logsumexp_exp[b, t, s, r] = exp(so_far[b, t, r] + next_[r, s] -
            so_far_logsumexp_shift[b, t, s])                                             letters_hmm.grad:27
    so_far_logsumexp_total[b, t, s] = Σ_r so_far_logsumexp_exp[b, t, s, r]               letters_hmm.grad:27
    so_far_logsumexp[b, t, s] = log(so_far_logsumexp_total[b, t, s]) +
            so_far_logsumexp_shift[b, t, s]                                              letters_hmm.grad:27
    so_far[b, t + 1, s] += so_far_logsumexp[b, t, s] + seen[b, t + 1, s]                 letters_hmm.grad:27
    """
    time = so_far.shape[1]
    batch = so_far.shape[0]
    for t in range(time - 1):
        for b in range(batch):
            for s in range(16):
                so_far_logsumexp_max = f4(-np.inf)
                for r in range(16):
                    so_far_logsumexp_max = max(so_far_logsumexp_max, so_far[b, t, r] + next_[r, s])
                so_far_logsumexp_shift = so_far_logsumexp_max if abs(so_far_logsumexp_max) < f4(np.inf) else f4(0.0)
                so_far_logsumexp_total = f4(0.0)
                for r in range(16):
                    so_far_logsumexp_exp = exp(so_far[b, t, r] + next_[r, s] - so_far_logsumexp_shift)
                    so_far_logsumexp_total += so_far_logsumexp_exp
                so_far_logsumexp = log(so_far_logsumexp_total) + so_far_logsumexp_shift
                so_far[b, t + 1, s] += so_far_logsumexp + seen[b, t + 1, s]


@kernel
def forward_loss(so_far):
    """so_far_max[b] = max_s so_far[b, time - 1, s]                                      letters_hmm.grad:28
    so_far_shift[b] = if abs(so_far_max[b]) < inf then so_far_max[b] else 0              letters_hmm.grad:28
    so_far_exp[b, s] = exp(so_far[b, time - 1, s] - so_far_shift[b])                     letters_hmm.grad:28
    so_far_total[b] = Σ_s so_far_exp[b, s]                                               letters_hmm.grad:28
    likely[b] = log(so_far_total[b]) + so_far_shift[b]                                   letters_hmm.grad:28
    loss_sum = Σ_b likely[b]                                                             letters_hmm.grad:35
    loss = -loss_sum/(batch*time)                                                        letters_hmm.grad:35
    perplexity = exp(-loss_sum/(batch*time))                                             letters_hmm.grad:36
    """
    batch = so_far.shape[0]
    time = so_far.shape[1]
    loss_sum = 0.0
    for b in range(batch):
        so_far_max = f4(-np.inf)
        for s in range(16):
            so_far_max = max(so_far_max, so_far[b, time - 1, s])
        so_far_shift = so_far_max if abs(so_far_max) < f4(np.inf) else f4(0.0)
        so_far_total = f4(0.0)
        for s in range(16):
            so_far_exp = exp(so_far[b, time - 1, s] - so_far_shift)
            so_far_total += so_far_exp
        likely = log(so_far_total) + so_far_shift
        loss_sum += likely
    loss = -loss_sum / (batch * time)
    perplexity = np.exp(-loss_sum / (batch * time))
    return loss, perplexity


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
def differentiate(params, d_params, work, letters):
    """One forward and one backward pass: returns the loss and fills d_params."""
    batch = letters.shape[0]
    time = letters.shape[1]
    start, change, emit = parts(params)
    d_start, d_change, d_emit = parts(d_params)
    first_ = view(work, 16, (16,))
    change_exp = view(work, 32, (16,))
    next_ = view(work, 48, (16, 16))
    emit_exp = view(work, 304, (27,))
    given = view(work, 331, (27,))
    seen = view(work, 358, (batch, time, 16))
    so_far = view(work, 16 * batch * time + 358, (batch, time, 16))
    so_far_logsumexp_total = view(work, 32 * batch * time + 358, (batch, time - 1, 16))
    so_far_logsumexp_softmax = view(work, 48 * batch * time + 358 - 16 * batch, (batch, time - 1, 16, 16))
    so_far_exp = view(work, 32, (16,))
    d_so_far = view(work, 358, (batch, time, 16))
    d_next = view(work, 48, (16, 16))
    d_seen = view(work, 16 * batch * time + 358, (time, 16))
    d_given = view(work, 304 * batch * time + 358 - 272 * batch, (16, 27))
    first_total_softmax = view(work, 0, (16,))  # kept for d_start

    # forward
    start_shift = forward_start_shift(start)
    start_inverse, first_base = forward_start_inverse(start, first_total_softmax, start_shift)
    forward_first(start, first_, first_base)
    forward_next(change, change_exp, next_, d_change)
    forward_seen(emit, letters, emit_exp, given, seen, d_emit)
    forward_so_far(first_, seen, so_far)
    forward_so_far_(so_far, next_, seen, so_far_logsumexp_total, so_far_logsumexp_softmax)
    forward_so_far_logsumexp_softmax(so_far_logsumexp_total, so_far_logsumexp_softmax, time)
    loss = loss_and_d_so_far(so_far, so_far_exp, d_so_far)

    # backward
    backward_so_far(d_so_far, so_far_logsumexp_softmax)
    backward_next(d_so_far, so_far_logsumexp_softmax, letters, d_next, d_start, d_given, d_seen)
    backward_emit(d_given, d_emit)
    backward_emit(d_next, d_change)
    d_first_base_sum = backward_first_base_sum(d_start, first_total_softmax, start_inverse)
    backward_start(d_start, first_total_softmax, d_first_base_sum)
    return loss


@inlined
def update(params, d_params, moments, t):
    """One step of adam, in place; t counts steps from 1."""
    p = view(params, 0, (704,))
    g = view(d_params, 0, (704,))
    m = view(moments, 0, (704,))
    v = view(moments, 704, (704,))
    adam(m, g, v, p, t)


@entry
def gradient_entry(params, d_params, work, letters):
    """The loss and its gradient. Returns (which array is out of range or -1, its place, the loss)."""
    if params.size != SIZE:
        raise ValueError("params are of another model: init() makes those of this one")
    place = first_outside(letters, 27)
    if place >= 0:
        return 0, place, 0.0
    loss = differentiate(params, d_params, work, letters)
    return -1, -1, loss


@entry
def step_entry(params, d_params, moments, t, losses, work, letters_rows):
    """gradient_entry and a step of the optimizer, for each of the losses: each on as many of the rows, in their order.

    Ends before an array that is out of range, and with a loss that is not finite. Returns (which array is
    out of range or -1, its place in its batch, how many steps were taken, the loss of the last).
    """
    if params.size != SIZE or d_params.size != SIZE or moments.size != 1408:
        raise ValueError("params or state are of another model: init() and init_state(params) make those of this one")
    count = letters_rows.shape[0] // losses.size
    for step in range(losses.size):
        first = step * count
        letters = rows(letters_rows, first, first + count)
        place = first_outside(letters, 27)
        if place >= 0:
            return 0, place, step, 0.0
        loss = differentiate(params, d_params, work, letters)
        update(params, d_params, moments, float(t))
        losses[step] = loss
        if not np.isfinite(loss):
            return -1, -1, step + 1, loss
        t += 1
    return -1, -1, losses.size, losses[losses.size - 1]


@entry
def predict_entry(params, work, letters, posterior):
    """One forward pass: fills posterior."""
    if params.size != SIZE:
        raise ValueError("params are of another model: init() makes those of this one")
    place = first_outside(letters, 27)
    if place >= 0:
        return 0, place
    batch = letters.shape[0]
    time = letters.shape[1]
    start, change, emit = parts(params)
    first_ = view(work, 0, (16,))
    next_ = view(work, 16, (16, 16))
    given = view(work, 272, (27,))
    seen = view(work, 299, (batch, time, 16))
    so_far = view(work, 16 * batch * time + 299, (batch, time, 16))
    so_far_logsumexp_total = view(work, 32 * batch * time + 299, (batch, time - 1, 16))
    so_far_logsumexp_softmax = view(work, 48 * batch * time + 299 - 16 * batch, (batch, time - 1, 16, 16))
    so_far_exp = view(work, 0, (16,))
    dtotal_dso_far = view(work, 299, (batch, time, 16))
    start_shift = forward_start_shift(start)
    first_base = forward_first_base(start, start_shift)
    forward_first(start, first_, first_base)
    predict_next(change, next_)
    predict_seen(emit, letters, given, seen)
    forward_so_far(first_, seen, so_far)
    forward_so_far_(so_far, next_, seen, so_far_logsumexp_total, so_far_logsumexp_softmax)
    forward_so_far_logsumexp_softmax(so_far_logsumexp_total, so_far_logsumexp_softmax, time)
    forward_dtotal_dso_far(so_far, so_far_exp, dtotal_dso_far)
    backward_so_far(dtotal_dso_far, so_far_logsumexp_softmax)
    forward_posterior(dtotal_dso_far, posterior)
    return -1, -1


@entry
def evaluate_entry(params, work, letters):
    """One forward pass: returns loss, perplexity."""
    if params.size != SIZE:
        raise ValueError("params are of another model: init() makes those of this one")
    place = first_outside(letters, 27)
    if place >= 0:
        return 0, place, 0.0, 0.0
    batch = letters.shape[0]
    time = letters.shape[1]
    start, change, emit = parts(params)
    first_ = view(work, 0, (16,))
    next_ = view(work, 16, (16, 16))
    given = view(work, 272, (27,))
    seen = view(work, 299, (batch, time, 16))
    so_far = view(work, 16 * batch * time + 299, (batch, time, 16))
    start_shift = forward_start_shift(start)
    first_base = forward_first_base(start, start_shift)
    forward_first(start, first_, first_base)
    predict_next(change, next_)
    predict_seen(emit, letters, given, seen)
    forward_so_far(first_, seen, so_far)
    evaluate_so_far(so_far, next_, seen)
    loss, perplexity = forward_loss(so_far)
    return -1, -1, loss, perplexity


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
        self.work = [np.empty(0, f4)]
        self.losses = np.empty(1, np.float64)  # of train_step

    def work_for(self, batch, time):
        """The work space of a step, made anew only where a larger batch needs it."""
        if self.work[0].size < 304 * batch * time + 790 - 272 * batch:
            self.work[0] = aligned(np.empty, 304 * batch * time + 790 - 272 * batch, f4)
        return self.work


def init(seed=0):
    """New parameters: start ~ 0.1 * normal(); change ~ 0.1 * normal(); emit ~ 0.1 * normal()."""
    rng = np.random.default_rng(seed)
    params = Params(aligned(np.zeros, SIZE, f4))
    params["start"] = 0.1 * rng.standard_normal((16,))
    params["change"] = 0.1 * rng.standard_normal((16, 16))
    params["emit"] = 0.1 * rng.standard_normal((16, 27))
    return params


def init_state(params, seed=0):
    """The state before the first step."""
    moments = aligned(np.zeros, 1408, f4)
    return State(moments, seed)


def train_step(params, state, letters):
    """One training step on one batch, in place; returns the loss. letters: whole numbers [batch, time] below 27."""
    (letters,) = _checked(letters)
    return _steps(params, state, state.losses, letters)


def train_steps(params, state, steps, letters):
    """train_step on one batch after the other, which are parts of the arrays; returns their losses."""
    (letters,) = _checked(letters)
    if steps < 1 or letters.shape[0] % steps:
        raise ValueError(f"{letters.shape[0]} rows are not {steps} batches of one size")
    losses = np.empty(steps, np.float64)
    _steps(params, state, losses, letters)
    return losses


def _steps(params, state, losses, letters):
    """A step for each of the losses, which it fills in; returns the last."""
    count = letters.shape[0] // losses.size
    bad, place, done, loss = step_entry(
        params.flat,
        state.d_params,
        state.flat,
        state.step + 1,
        losses,
        *state.work_for(count, letters.shape[1]),
        letters,
    )
    state.step += done
    if bad >= 0:
        raise ValueError(_out_of_range(("letters",)[bad], (letters,)[bad][done * count :], place))
    if not math.isfinite(loss):
        raise FloatingPointError(f"the loss of step {state.step} is {loss}")
    return loss


def loss_and_gradients(params, letters, *, seed=0):
    """The loss and its gradient by every parameter, named as the parameters are."""
    (letters,) = _checked(letters)
    batch = letters.shape[0]
    time = letters.shape[1]
    gradients = Params(np.zeros(SIZE, f4))
    bad, place, loss = gradient_entry(
        params.flat, gradients.flat, aligned(np.empty, 304 * batch * time + 790 - 272 * batch, f4), letters
    )
    if bad >= 0:
        raise ValueError(_out_of_range(("letters",)[bad], (letters,)[bad], place))
    return loss, gradients


def predict(params, letters, *, seed=0):
    """The prediction posterior: [batch, time, 16]. letters: whole numbers [batch, time] below 27."""
    (letters,) = _checked_inputs(letters)
    batch = letters.shape[0]
    time = letters.shape[1]
    posterior = np.empty((batch, time, 16), f4)
    bad, place = predict_entry(
        params.flat, aligned(np.empty, 304 * batch * time + 299 - 272 * batch, f4), letters, posterior
    )
    if bad >= 0:
        raise ValueError(_out_of_range(("letters",)[bad], (letters,)[bad], place))
    return posterior


def evaluate(params, letters, *, seed=0):
    """The loss and the metrics, without changing anything."""
    (letters,) = _checked(letters)
    batch = letters.shape[0]
    time = letters.shape[1]
    bad, place, loss, perplexity = evaluate_entry(params.flat, aligned(np.empty, 32 * batch * time + 299, f4), letters)
    if bad >= 0:
        raise ValueError(_out_of_range(("letters",)[bad], (letters,)[bad], place))
    return {"loss": float(loss), "perplexity": float(perplexity)}


def _checked_inputs(letters):
    letters = _array("letters", letters, "iu", "whole numbers", np.int64)
    if letters.ndim != 2 or letters.size == 0:
        raise ValueError(f"letters is [batch, time], batch and time at least 1; got {list(letters.shape)}")
    return (letters,)


_checked = _checked_inputs


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
