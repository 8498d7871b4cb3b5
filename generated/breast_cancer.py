"""breast_cancer: the network of breast_cancer.grad, its gradient and its training step, as loops and matrix products.

    h        = tanh(dense(x, 16))                                                      breast_cancer.grad:15
    logit[b] = dense(h, 1)[b, 0]                                                       breast_cancer.grad:16
    margin   = (2 * y - 1) * logit                                                     breast_cancer.grad:17
    weight   = if y == 1 then 2 else 1                                                 breast_cancer.grad:18
    predict p = sigmoid(logit)                                                         breast_cancer.grad:20
    loss    mean(weight * focal(margin))                                               breast_cancer.grad:21
    metric  accuracy = mean(margin > 0)                                                breast_cancer.grad:22
    metric  recall   = sum(if y == 1 and margin > 0 then 1 else 0) / max(sum(y), 1)    breast_cancer.grad:23

Sizes       batch (any size), features = 30
Parameters  h_weight[30, 16]  h_bias[16]  logit_weight[16, 1]  logit_bias[1]  (513 float32 numbers in one
            buffer)
Names       d_X is ∂loss/∂X and has X's shape

Emitted by gradc 0.1.0 from breast_cancer.grad, sha256 2e3bc5b8. It needs NumPy and Numba, not gradc.
This file, all of it, is yours to use under any terms.
"""

import ctypes
import math
import sys
from pathlib import Path

import numpy as np
from llvmlite.binding import add_symbol
from numba import njit, types
from numba.core import cgutils
from numba.extending import lower_builtin, register_jitable, type_callable

f4 = np.float32
i4 = np.int32

# Sums may be reordered; nnan and ninf stay out: NaN and infinity keep their meaning. Vector functions keep their order.
FAST = {"arcp", "contract", "nsz", "reassoc"}
# Nothing here allocates an array, so none has to be counted (_nrt).
PLAIN = {"error_model": "numpy", "nogil": True, "_nrt": False}
# Compiled where compiled code calls them, with no way in from Python: Python, calling them, runs them as they stand.
# They become part of the entries: an entry that comes from the disk gives the bits of the one that was compiled here.
BARE = {**PLAIN, "no_cpython_wrapper": True, "no_cfunc_wrapper": True, "forceinline": True}
kernel = register_jitable(fastmath=FAST, **BARE)
inlined = njit(inline="always")  # into the entries: what only puts kernels together is compiled once, there
vector = register_jitable(fastmath={"contract"}, **BARE)


def entry(function):
    """Compiled at its first call, kernels and all, and kept on disk under the hash of its model."""
    function.__qualname__ += "_2e3bc5b8"
    try:
        return njit(fastmath=FAST, cache=True, **PLAIN)(function)
    except RuntimeError:  # there is no folder to keep it in
        return njit(fastmath=FAST, **PLAIN)(function)


# ------------------------------------------------------------------ parameters

NAME = "breast_cancer"
DTYPE = "float32"
HASH = "2e3bc5b8"
PARAMS = {
    "h.weight": (0, (30, 16)),
    "h.bias": (480, (16,)),
    "logit.weight": (496, (16, 1)),
    "logit.bias": (512, (1,)),
}
SIZE = 513
MOMENTS = {
    "h.weight.m": (0, (30, 16)),
    "h.bias.m": (480, (16,)),
    "logit.weight.m": (496, (16, 1)),
    "logit.bias.m": (512, (1,)),
    "h.weight.v": (513, (30, 16)),
    "h.bias.v": (993, (16,)),
    "logit.weight.v": (1009, (16, 1)),
    "logit.bias.v": (1025, (1,)),
}
INPUTS = {
    "x": ("real", ("batch", 30)),
}
TARGETS = {
    "y": ("whole", ("batch",)),
}
RANGES = {
    "y": 2,
}
BATCH = "batch"
PREDICTIONS = ("p",)
METRICS = ("accuracy", "recall")
DATA = "data/breast_cancer.npz"
FIT = {"epochs": 30, "batch": 32, "validation": 0.2, "seed": 0}
SOURCE = (
    "# Is a tumour malignant? From thirty measurements of cell nuclei under the microscope.\n"
    "\n"
    "model breast_cancer\n"
    "\n"
    "dim batch\n"
    "dim features = 30\n"
    "\n"
    "input  x[batch, features]\n"
    "target y[batch] : int(2)                     # 1 is malignant\n"
    "\n"
    "# The focal loss (Lin and others, 2017): the logarithmic loss of a margin, less of it the surer the "
    "model is, so that\n"
    "# training dwells on the hard cases.\n"
    "def focal(margin, gamma = 2) = sigmoid(-margin)^gamma * softplus(-margin)\n"
    "\n"
    "h        = tanh(dense(x, 16))\n"
    "logit[b] = dense(h, 1)[b, 0]\n"
    "margin   = (2 * y - 1) * logit               # above 0 where the model is right\n"
    "weight   = if y == 1 then 2 else 1           # to miss a tumour is twice as bad as a false alarm\n"
    "\n"
    "predict p = sigmoid(logit)\n"
    "loss    mean(weight * focal(margin))\n"
    "metric  accuracy = mean(margin > 0)\n"
    "metric  recall   = sum(if y == 1 and margin > 0 then 1 else 0) / max(sum(y), 1)\n"
    "\n"
    "optimize adam(lr = 3e-3)\n"
    'data     "data/breast_cancer.npz"\n'
    "fit      epochs = 30, batch = 32, validation = 0.2, seed = 0\n"
)


@kernel
def parts(p):
    """h_weight, h_bias, logit_weight, logit_bias: views of the flat buffer p, or of its gradient."""
    return view(p, 0, (30, 16)), view(p, 480, (16,)), view(p, 496, (16, 1)), view(p, 512, (1,))


# ------------------------------------------------------------------ vector functions


@vector
def exp(x):
    """e^x within 1.1 ulp, without branches, so that loops over it vectorise: 2^n e^r, Cephes' polynomial for e^r."""
    y = min(max(x, f4(-104.0)), f4(88.72283))
    # x = n ln 2 + r: floats of the size of this sum lie 1 apart, and its last bits are n
    shifted = f4(y * f4(1.44269504) + f4(12582912.0))
    n = shifted - f4(12582912.0)
    r = y - n * f4(0.693359375) + n * f4(2.12194440e-4)
    e = f4(1.9875691500e-4)
    e = e * r + f4(1.3981999507e-3)
    e = e * r + f4(8.3334519073e-3)
    e = e * r + f4(4.1665795894e-2)
    e = e * r + f4(1.6666665459e-1)
    e = e * r + f4(5.0000001201e-1)
    e = e * r * r + r + f4(1.0)
    # 2^n in two factors: n reaches beyond what one float's exponent holds, at both ends
    bits = shifted.view(i4) - i4(0x4B400000)
    half = bits >> i4(1)
    rest = bits - half
    e = e * i4((half + i4(127)) << i4(23)).view(f4) * i4((rest + i4(127)) << i4(23)).view(f4)
    return f4(np.inf) if x > f4(88.72283) else e


@vector
def log_of_normal(x):
    """ln x within 0.9 ulp for what is positive, finite and no denormal: x = 2^n (1 + r), Cephes' polynomial in r.

    1 + r runs from √½ to √2, so that near x = 1 there is n = 0 and nothing cancels.
    """
    bits = f4(x).view(i4)
    n = i4(bits - i4(0x3F3504F3)) >> i4(23)
    r = i4(bits - i4(n << i4(23))).view(f4) - f4(1.0)
    n = f4(i4(n))
    s = f4(7.0376836292e-2)
    s = s * r + f4(-1.1514610310e-1)
    s = s * r + f4(1.1676998740e-1)
    s = s * r + f4(-1.2420140846e-1)
    s = s * r + f4(1.4249322787e-1)
    s = s * r + f4(-1.6668057665e-1)
    s = s * r + f4(2.0000714765e-1)
    s = s * r + f4(-2.4999993993e-1)
    s = s * r + f4(3.3333331174e-1)
    square = r * r
    return s * r * square - n * f4(2.12194440e-4) - f4(0.5) * square + r + n * f4(0.693359375)


@vector
def tanh(x):
    """tanh x within 1.3 ulp: Cephes' polynomial below 0.625, else 1 - 2 / (e^2|x| + 1), with the sign of x."""
    a = min(abs(x), f4(10.0))
    square = a * a
    s = f4(-5.70498872745e-3)
    s = s * square + f4(2.06390887954e-2)
    s = s * square + f4(-5.37397155531e-2)
    s = s * square + f4(1.33314422036e-1)
    s = s * square + f4(-3.33332819422e-1)
    near = s * square * a + a
    far = f4(1.0) - f4(2.0) / (exp(f4(2.0) * a) + f4(1.0))
    return np.copysign(near if a < f4(0.625) else far, x)


@vector
def sigmoid(x):
    """1 / (1 + e^-x) within 2.4 ulp, by e^-|x|, which cannot overflow and leaves small results their digits."""
    e = exp(-abs(x))
    return (f4(1.0) if x >= f4(0.0) else e) / (f4(1.0) + e)


@vector
def softplus(x):
    """ln(1 + e^x) within 2 ulp, as max(x, 0) + ln(1 + e^-|x|)."""
    e = exp(-abs(x))
    u = f4(1.0) + e
    return max(x, f4(0.0)) + (log_of_normal(u) + (e - (u - f4(1.0))) / u)


# ------------------------------------------------------------------ kernels


@kernel
def forward_loss_sum_sigmoid(h, h_bias, logit_weight, logit_bias, y, loss_log, loss_sum_sigmoid):
    """h_dense[b, o] = h_dense_sum[b, o] + h_bias[o]                                   breast_cancer.grad:15
    h[b, o] = tanh(h_dense[b, o])                                                      breast_cancer.grad:15
    logit_dense_sum[b, 0] = Σ_o h[b, o]*logit_weight[o, 0]                             breast_cancer.grad:16
    logit_dense[b, 0] = logit_dense_sum[b, 0] + logit_bias[0]                          breast_cancer.grad:16
    margin[b] = logit_dense[b, 0]*(2*y[b] - 1)                                         breast_cancer.grad:17
    loss_log[b] = softplus(-margin[b])                                                 breast_cancer.grad:21
    loss_sum_sigmoid[b] = sigmoid(-margin[b])                                          breast_cancer.grad:21
    """
    batch = h.shape[0]
    for b in range(batch):
        logit_dense_sum = f4(0.0)
        for o in range(16):
            h_dense = h[b, o] + h_bias[o]
            h[b, o] = tanh(h_dense)
            logit_dense_sum += h[b, o] * logit_weight[o, 0]
        logit_dense = logit_dense_sum + logit_bias[0]
        margin = logit_dense * (f4(2.0) * f4(y[b]) - f4(1.0))
        loss_log[b] = softplus(-margin)
        loss_sum_sigmoid[b] = sigmoid(-margin)


@kernel
def loss_and_d_h_dense(
    y,
    loss_log,
    loss_sum_sigmoid,
    logit_weight,
    h,
    d_logit_bias,
    d_h_bias,
    d_logit_weight,
    d_h_dense,
):
    """weight[b] = if y[b] == 1 then 2 else 1                                          breast_cancer.grad:18
    loss_sum = Σ_b weight[b]*loss_log[b]*loss_sum_sigmoid[b]^2                         breast_cancer.grad:21
    d_loss_log[b] = weight[b]*loss_sum_sigmoid[b]^2/batch                              breast_cancer.grad:21
    d_loss_sum_sigmoid[b] = 2*weight[b]*loss_log[b]*loss_sum_sigmoid[b]/batch          breast_cancer.grad:21
    d_margin[b] = -d_loss_sum_sigmoid[b]*loss_sum_sigmoid[b]*(1 - loss_sum_sigmoid[b]) -
            d_loss_log[b]*loss_sum_sigmoid[b]                                          breast_cancer.grad:21
    d_logit[b] = d_margin[b]*(2*y[b] - 1)                                              breast_cancer.grad:17
    d_logit_bias[0] = Σ_b d_logit[b]                                                   breast_cancer.grad:16
    d_h[b, i] = logit_weight[i, 0]*d_logit[b]                                          breast_cancer.grad:16
    d_h_dense[b, i] = d_h[b, i]*(1 - h[b, i]^2)                                        breast_cancer.grad:15
    d_h_bias[i] = Σ_b d_h_dense[b, i]                                                  breast_cancer.grad:15
    d_logit_weight[i, 0] = Σ_b h[b, i]*d_logit[b]                                      breast_cancer.grad:16
    loss = loss_sum/batch                                                              breast_cancer.grad:21
    """
    batch = y.shape[0]
    loss_sum = 0.0
    d_logit_bias[:] = f4(0.0)
    d_h_bias[:] = f4(0.0)
    d_logit_weight[:, :] = f4(0.0)
    for b in range(batch):
        weight = 2 if y[b] == 1 else 1
        loss_sum += f4(weight) * loss_log[b] * (loss_sum_sigmoid[b] * loss_sum_sigmoid[b])
        d_loss_log = f4(weight) * (loss_sum_sigmoid[b] * loss_sum_sigmoid[b]) / f4(batch)
        d_loss_sum_sigmoid = f4(2.0) * f4(weight) * loss_log[b] * loss_sum_sigmoid[b] / f4(batch)
        d_margin = (
            -d_loss_sum_sigmoid * loss_sum_sigmoid[b] * (f4(1.0) - loss_sum_sigmoid[b])
            - d_loss_log * loss_sum_sigmoid[b]
        )
        d_logit = d_margin * (f4(2.0) * f4(y[b]) - f4(1.0))
        d_logit_bias[0] += d_logit
        for i in range(16):
            d_h = logit_weight[i, 0] * d_logit
            d_h_dense[b, i] = d_h * (f4(1.0) - h[b, i] * h[b, i])
            d_h_bias[i] += d_h_dense[b, i]
        for i in range(16):
            d_logit_weight[i, 0] += h[b, i] * d_logit
    loss = loss_sum / batch
    return loss


@kernel
def adam(m, g, v, p, t):
    """rate_pow = 0.9^t                                                                breast_cancer.grad:25
    rate = 0.003/(1 - rate_pow)                                                        breast_cancer.grad:25
    unbias_pow = 0.999^t                                                               breast_cancer.grad:25
    unbias = 1/sqrt(1 - unbias_pow)                                                    breast_cancer.grad:25
    m_2[n] = 0.9*m[n] + 0.1*g[n]                                                       breast_cancer.grad:25
    v_2[n] = 0.999*v[n] + 0.001*g[n]^2                                                 breast_cancer.grad:25
    p_2[n] = p[n] - rate*m_2[n]/(sqrt(v_2[n])*unbias + 1e-08)                          breast_cancer.grad:25
    """
    size = m.shape[0]
    rate_pow = 0.9**t
    rate = 0.003 / (1.0 - rate_pow)
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
def forward_p(h_dense_sum, h_bias, logit_weight, logit_bias, p):
    """h_dense[b, o] = h_dense_sum[b, o] + h_bias[o]                                   breast_cancer.grad:15
    h[b, o] = tanh(h_dense[b, o])                                                      breast_cancer.grad:15
    logit_dense_sum[b, 0] = Σ_o h[b, o]*logit_weight[o, 0]                             breast_cancer.grad:16
    logit_dense[b, 0] = logit_dense_sum[b, 0] + logit_bias[0]                          breast_cancer.grad:16
    p[b] = sigmoid(logit_dense[b, 0])                                                  breast_cancer.grad:20
    """
    batch = h_dense_sum.shape[0]
    for b in range(batch):
        logit_dense_sum = f4(0.0)
        for o in range(16):
            h_dense = h_dense_sum[b, o] + h_bias[o]
            h = tanh(h_dense)
            logit_dense_sum += h * logit_weight[o, 0]
        logit_dense = logit_dense_sum + logit_bias[0]
        p[b] = sigmoid(logit_dense)


@kernel
def forward_accuracy(h_dense_sum, h_bias, logit_weight, logit_bias, y, loss_log, loss_sum_sigmoid):
    """h_dense[b, o] = h_dense_sum[b, o] + h_bias[o]                                   breast_cancer.grad:15
    h[b, o] = tanh(h_dense[b, o])                                                      breast_cancer.grad:15
    logit_dense_sum[b, 0] = Σ_o h[b, o]*logit_weight[o, 0]                             breast_cancer.grad:16
    logit_dense[b, 0] = logit_dense_sum[b, 0] + logit_bias[0]                          breast_cancer.grad:16
    margin[b] = logit_dense[b, 0]*(2*y[b] - 1)                                         breast_cancer.grad:17
    loss_log[b] = softplus(-margin[b])                                                 breast_cancer.grad:21
    loss_sum_sigmoid[b] = sigmoid(-margin[b])                                          breast_cancer.grad:21
    accuracy_sum = Σ_b (if margin[b] > 0 then 1 else 0)                                breast_cancer.grad:22
    recall_sum = Σ_b (if y[b] == 1 and margin[b] > 0 then 1 else 0)                    breast_cancer.grad:23
    recall_sum_2 = Σ_b y[b]                                                            breast_cancer.grad:23
    accuracy = accuracy_sum/batch                                                      breast_cancer.grad:22
    recall = recall_sum/max(recall_sum_2, 1)                                           breast_cancer.grad:23
    """
    batch = h_dense_sum.shape[0]
    accuracy_sum = 0
    recall_sum = 0
    recall_sum_2 = 0
    for b in range(batch):
        logit_dense_sum = f4(0.0)
        for o in range(16):
            h_dense = h_dense_sum[b, o] + h_bias[o]
            h = tanh(h_dense)
            logit_dense_sum += h * logit_weight[o, 0]
        logit_dense = logit_dense_sum + logit_bias[0]
        margin = logit_dense * (f4(2.0) * f4(y[b]) - f4(1.0))
        loss_log[b] = softplus(-margin)
        loss_sum_sigmoid[b] = sigmoid(-margin)
        accuracy_sum += 1 if margin > f4(0.0) else 0
        recall_sum += 1 if y[b] == 1 and margin > f4(0.0) else 0
        recall_sum_2 += y[b]
    accuracy = accuracy_sum / batch
    recall = recall_sum / max(recall_sum_2, 1.0)
    return accuracy, recall


@kernel
def forward_loss(y, loss_log, loss_sum_sigmoid):
    """weight[b] = if y[b] == 1 then 2 else 1                                          breast_cancer.grad:18
    loss_sum = Σ_b weight[b]*loss_log[b]*loss_sum_sigmoid[b]^2                         breast_cancer.grad:21
    loss = loss_sum/batch                                                              breast_cancer.grad:21
    """
    batch = y.shape[0]
    loss_sum = 0.0
    for b in range(batch):
        weight = 2 if y[b] == 1 else 1
        loss_sum += f4(weight) * loss_log[b] * (loss_sum_sigmoid[b] * loss_sum_sigmoid[b])
    loss = loss_sum / batch
    return loss


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
def differentiate(params, d_params, work, x, y):
    """One forward and one backward pass: returns the loss and fills d_params."""
    batch = x.shape[0]
    h_weight, h_bias, logit_weight, logit_bias = parts(params)
    d_h_weight, d_h_bias, d_logit_weight, d_logit_bias = parts(d_params)
    h = view(work, 0, (batch, 16))  # kept for d_logit_bias and d_h_dense
    loss_log = view(work, 16 * batch, (batch,))  # kept for d_logit_bias and d_h_dense
    loss_sum_sigmoid = view(work, 17 * batch, (batch,))  # kept for d_logit_bias and d_h_dense
    d_h_dense = view(work, 18 * batch, (batch, 16))

    # forward
    gemm(x, h_weight, h, False)  # h_dense_sum[b, o] = Σ_i x[b, i] h_weight[i, o]
    forward_loss_sum_sigmoid(h, h_bias, logit_weight, logit_bias, y, loss_log, loss_sum_sigmoid)
    loss = loss_and_d_h_dense(
        y, loss_log, loss_sum_sigmoid, logit_weight, h, d_logit_bias, d_h_bias, d_logit_weight, d_h_dense
    )

    # backward
    gemm(x.T, d_h_dense, d_h_weight, False)  # d_h_weight[i, o] = Σ_b x[b, i] d_h_dense[b, o]
    return loss


@inlined
def update(params, d_params, moments, t):
    """One step of adam, in place; t counts steps from 1."""
    p = view(params, 0, (513,))
    g = view(d_params, 0, (513,))
    m = view(moments, 0, (513,))
    v = view(moments, 513, (513,))
    adam(m, g, v, p, t)


@entry
def gradient_entry(params, d_params, work, x, y):
    """The loss and its gradient. Returns (which array is out of range or -1, its place, the loss)."""
    if params.size != SIZE:
        raise ValueError("params are of another model: init() makes those of this one")
    place = first_outside(y, 2)
    if place >= 0:
        return 1, place, 0.0
    return -1, -1, differentiate(params, d_params, work, x, y)


@entry
def step_entry(params, d_params, moments, t, losses, work, x_rows, y_rows):
    """gradient_entry and a step of the optimizer, for each of the losses: each on as many of the rows, in their order.

    Ends before an array that is out of range, and with a loss that is not finite. Returns (which array is
    out of range or -1, its place in its batch, how many steps were taken, the loss of the last).
    """
    if params.size != SIZE or d_params.size != SIZE or moments.size != 1026:
        raise ValueError("params or state are of another model: init() and init_state(params) make those of this one")
    count = x_rows.shape[0] // losses.size
    for step in range(losses.size):
        first = step * count
        x = rows(x_rows, first, first + count)
        y = rows(y_rows, first, first + count)
        place = first_outside(y, 2)
        if place >= 0:
            return 1, place, step, 0.0
        loss = differentiate(params, d_params, work, x, y)
        update(params, d_params, moments, float(t))
        losses[step] = loss
        if not np.isfinite(loss):
            return -1, -1, step + 1, loss
        t += 1
    return -1, -1, losses.size, losses[losses.size - 1]


@entry
def predict_entry(params, work, x, p):
    """One forward pass: fills p."""
    if params.size != SIZE:
        raise ValueError("params are of another model: init() makes those of this one")
    batch = x.shape[0]
    h_weight, h_bias, logit_weight, logit_bias = parts(params)
    h_dense_sum = view(work, 0, (batch, 16))
    gemm(x, h_weight, h_dense_sum, False)  # h_dense_sum[b, o] = Σ_i x[b, i] h_weight[i, o]
    forward_p(h_dense_sum, h_bias, logit_weight, logit_bias, p)
    return -1, -1


@entry
def evaluate_entry(params, work, x, y):
    """One forward pass: returns loss, accuracy, recall."""
    if params.size != SIZE:
        raise ValueError("params are of another model: init() makes those of this one")
    place = first_outside(y, 2)
    if place >= 0:
        return 1, place, 0.0, 0.0, 0.0
    batch = x.shape[0]
    h_weight, h_bias, logit_weight, logit_bias = parts(params)
    h_dense_sum = view(work, 0, (batch, 16))
    loss_log = view(work, 16 * batch, (batch,))
    loss_sum_sigmoid = view(work, 17 * batch, (batch,))
    gemm(x, h_weight, h_dense_sum, False)  # h_dense_sum[b, o] = Σ_i x[b, i] h_weight[i, o]
    accuracy, recall = forward_accuracy(h_dense_sum, h_bias, logit_weight, logit_bias, y, loss_log, loss_sum_sigmoid)
    loss = forward_loss(y, loss_log, loss_sum_sigmoid)
    return -1, -1, loss, accuracy, recall


# ------------------------------------------------------------------ for callers


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


class State:
    """What training carries from step to step: the optimizer's moments, the step count, and the buffers of a step."""

    def __init__(self, flat, seed=0):
        self.flat = flat
        self.step = 0
        self.seed = seed
        self.d_params = np.empty(SIZE, f4)
        self.work = [np.empty(0, f4)]
        self.losses = np.empty(1, np.float64)  # of train_step

    def work_for(self, batch):
        """The work space of a step, made anew only where a larger batch needs it."""
        if self.work[0].size < 34 * batch:
            self.work[0] = np.empty(34 * batch, f4)
        return self.work


def init(seed=0):
    """New parameters, drawn by their laws."""
    rng = np.random.default_rng(seed)
    params = Params(np.zeros(SIZE, f4))
    params["h.weight"] = np.sqrt(3 / 23) * (2.0 * rng.random((30, 16)) - 1.0)
    params["logit.weight"] = np.sqrt(6 / 17) * (2.0 * rng.random((16, 1)) - 1.0)
    return params


def init_state(params, seed=0):
    """The state before the first step."""
    moments = np.zeros(1026, f4)
    return State(moments, seed)


def train_step(params, state, x, y):
    """One training step on one batch, in place; returns the loss.

    x: float32 [batch, features = 30]; y: whole numbers [batch] below 2.
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
    bad, place, done, loss = step_entry(
        params.flat, state.d_params, state.flat, state.step + 1, losses, *state.work_for(count), x, y
    )
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
    gradients = Params(np.zeros(SIZE, f4))
    bad, place, loss = gradient_entry(params.flat, gradients.flat, np.empty(34 * batch, f4), x, y)
    if bad >= 0:
        raise ValueError(_out_of_range(("x", "y")[bad], (x, y)[bad], place))
    return loss, gradients


def predict(params, x, *, seed=0):
    """The prediction p: [batch]. x: float32 [batch, features = 30]."""
    (x,) = _checked_inputs(x)
    batch = x.shape[0]
    p = np.empty((batch,), f4)
    predict_entry(params.flat, np.empty(16 * batch, f4), x, p)
    return p


def evaluate(params, x, y, *, seed=0):
    """The loss and the metrics, without changing anything."""
    x, y = _checked(x, y)
    batch = x.shape[0]
    bad, place, loss, accuracy, recall = evaluate_entry(params.flat, np.empty(18 * batch, f4), x, y)
    if bad >= 0:
        raise ValueError(_out_of_range(("x", "y")[bad], (x, y)[bad], place))
    return {"loss": float(loss), "accuracy": float(accuracy), "recall": float(recall)}


def _checked_inputs(x):
    x = _array("x", x, "fiu", "numbers", f4)
    if x.ndim != 2 or x.shape[1] != 30 or x.size == 0:
        raise ValueError(f"x is [batch, features = 30]; got {list(x.shape)}")
    return (x,)


def _checked(x, y):
    (x,) = _checked_inputs(x)
    y = _array("y", y, "iu", "whole numbers", np.int64)
    if y.ndim != 1 or y.shape[0] != x.shape[0] or y.size == 0:
        raise ValueError(f"y is [batch] with batch = {x.shape[0]}; got {list(y.shape)}")
    return x, y


def _array(name, value, kinds, words, dtype):
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


# ------------------------------------------------------------------ views and products in compiled code


def array_field(context, builder, kind, array, name):
    """The data, shape, strides … of an array in compiled code."""
    return builder.extract_value(array, context.data_model_manager[kind].get_field_position(name))


def array_of(context, builder, kind, data, lengths, steps):
    """An array in compiled code: an address, lengths and steps in bytes. It owns nothing and is not counted."""
    model, item = context.data_model_manager[kind], context.get_abi_sizeof(context.get_data_type(kind.dtype))
    count = lengths[0]
    for length in lengths[1:]:
        count = builder.mul(count, length)
    fields = {
        "nitems": count,
        "itemsize": cgutils.intp_t(item),
        "data": data,
        "shape": cgutils.pack_array(builder, lengths),
        "strides": cgutils.pack_array(builder, steps),
    }
    array = cgutils.get_null_value(model.get_value_type())
    for name, value in fields.items():
        array = builder.insert_value(array, value, model.get_field_position(name))
    return array


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
    steps = [cgutils.intp_t(context.get_abi_sizeof(context.get_data_type(array.dtype)))]
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


def gemm(a, b, out, accumulate):
    """out = a @ b, or out += a @ b, by NumPy. Compiled code calls NumPy's BLAS itself, through compiled_gemm."""
    if accumulate:
        out += a @ b
    else:
        np.matmul(a, b, out)


@type_callable(gemm)
def type_of_gemm(_):
    """What compiled code takes a product for: it gives nothing back."""
    return lambda a, b, out, accumulate: types.none


@lower_builtin(gemm, types.Array, types.Array, types.Array, types.Boolean)
def compiled_gemm(context, builder, signature, arguments):
    """The same by BLAS. Nothing is copied, nothing allocated.

    a and b have contiguous rows, or contiguous columns as a transposed array has; out has contiguous rows.
    """
    kinds = signature.args[:3]
    data, strides, shapes = (
        [array_field(context, builder, kind, array, name) for kind, array in zip(kinds, arguments[:3], strict=True)]
        for name in ("data", "strides", "shape")
    )
    numbers = (
        [builder.ptrtoint(each, cgutils.intp_t) for each in data],
        [step for steps in strides for step in cgutils.unpack_tuple(builder, steps)],
        [*cgutils.unpack_tuple(builder, shapes[2]), builder.extract_value(shapes[0], 1)],
    )
    # of addresses and steps: compiled once, not for each order of axes. It raises nothing.
    tuples = [types.UniTuple(types.intp, len(some)) for some in numbers]
    called = [context.make_tuple(builder, kind, some) for kind, some in zip(tuples, numbers, strict=True)]
    product_type = types.none(*tuples, types.boolean)
    product = context.compile_subroutine(builder, blas_product(kinds[2].dtype), product_type)
    context.call_internal_no_propagate(builder, product.fndesc, product_type, [*called, arguments[3]])
    return context.get_dummy_value()


def blas_product(dtype):
    """The product of matrices of this type, given by their addresses, steps in bytes and sizes.

    OpenBLAS wakes its threads above 2^18 multiply-adds: below 2^22, where waiting for them costs more than they bring,
    the product goes to it in blocks that stay under that, of columns, or of rows or of what is summed where those are
    many.
    """
    size, number = types.intp, dtype
    arguments = [types.intc] * 3 + [size] * 3 + [number, size, size, size, size, number, size, size]
    xgemm = types.ExternalFunction(f"numpy_{'s' if dtype == types.float32 else 'd'}gemm", types.void(*arguments))
    by_rows, plain, turned = 101, 111, 112  # as cblas.h numbers them
    item = dtype.bitwidth // 8

    def product(addresses, steps, sizes, accumulate):
        a, b, out = addresses
        a_row, a_column, b_row, b_column, out_row, _ = steps
        m, n, k = sizes
        # plain comparisons: min and max of two numbers would be compiled as functions
        a_by_rows = a_column == item or k == 1
        b_by_rows = b_column == item or n == 1
        a_step = (a_row if a_by_rows else a_column) // item
        b_step = (b_row if b_by_rows else b_column) // item
        out_step = out_row // item
        a_least, b_least = (k if a_by_rows else m), (n if b_by_rows else k)
        tall, wide, deep = m, n, k
        if 2**18 < m * n * k <= 2**22:
            if 8 * m * k <= 2**18:
                wide = 2**18 // (m * k)
            elif 8 * n * k <= 2**18:
                tall = 2**18 // (n * k)
            else:
                deep = 2**18 // (m * n)
        for row in range(0, m, tall if tall > 0 else 1):
            for column in range(0, n, wide if wide > 0 else 1):
                for term in range(0, k if k > 0 else 1, deep if deep > 0 else 1):
                    xgemm(
                        by_rows,
                        plain if a_by_rows else turned,
                        plain if b_by_rows else turned,
                        tall if tall < m - row else m - row,
                        wide if wide < n - column else n - column,
                        deep if deep < k - term else k - term,
                        1.0,
                        a + row * a_row + term * a_column,
                        a_least if a_step < a_least else a_step,
                        b + column * b_column + term * b_row,
                        b_least if b_step < b_least else b_step,
                        1.0 if accumulate or term > 0 else 0.0,
                        out + row * out_row + column * item,
                        n if out_step < n else out_step,
                    )

    return product


def blas_address(letter):
    """Where NumPy's cblas_sgemm or cblas_dgemm is. NumPy's wheels bring it under a name of their own.

    Sizes are passed as 64 bits. Where BLAS takes 32, it finds them in the lower half of the same register or slot; only
    Apple's slots are packed.
    """
    names = [f"scipy_cblas_{letter}gemm64_", f"cblas_{letter}gemm64_", f"cblas_{letter}gemm$NEWLAPACK$ILP64"]
    if sys.platform != "darwin":
        names += [f"scipy_cblas_{letter}gemm", f"cblas_{letter}gemm"]
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


for _letter in "sd":
    add_symbol(f"numpy_{_letter}gemm", blas_address(_letter))
