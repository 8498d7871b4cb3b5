"""diabetes: the network of diabetes.grad, its gradient and its training step, as loops and matrix products.

    h           = silu(dense(x, 16))            diabetes.grad:14
    progress[b] = dense(h, 1)[b, 0]             diabetes.grad:15
    predict progress                            diabetes.grad:17
    loss    mean(squared_error(progress, y))    diabetes.grad:18
    metric  explained = r2(progress, y)         diabetes.grad:19

Sizes       batch (any size), features = 10
Parameters  h_weight[10, 16]  h_bias[16]  progress_weight[16, 1]  progress_bias[1]  (193 float32 numbers
            in one buffer)
Names       d_X is ∂loss/∂X and has X's shape

Emitted by gradc 0.1.0 from diabetes.grad, sha256 2f32ff71. It needs NumPy and Numba, not gradc.
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
    function.__qualname__ += "_2f32ff71"
    try:
        return njit(fastmath=FAST, cache=True, **PLAIN)(function)
    except RuntimeError:  # there is no folder to keep it in
        return njit(fastmath=FAST, **PLAIN)(function)


# ------------------------------------------------------------------ parameters

NAME = "diabetes"
DTYPE = "float32"
HASH = "2f32ff71"
PARAMS = {
    "h.weight": (0, (10, 16)),
    "h.bias": (160, (16,)),
    "progress.weight": (176, (16, 1)),
    "progress.bias": (192, (1,)),
}
SIZE = 193
MOMENTS = {
    "h.weight.m": (0, (10, 16)),
    "h.bias.m": (160, (16,)),
    "progress.weight.m": (176, (16, 1)),
    "progress.bias.m": (192, (1,)),
    "h.weight.v": (193, (10, 16)),
    "h.bias.v": (353, (16,)),
    "progress.weight.v": (369, (16, 1)),
    "progress.bias.v": (385, (1,)),
}
INPUTS = {
    "x": ("real", ("batch", 10)),
}
TARGETS = {
    "y": ("real", ("batch",)),
}
RANGES = {}
BATCH = "batch"
PREDICTIONS = ("progress",)
METRICS = ("explained",)
DATA = "data/diabetes.npz"
FIT = {"epochs": 60, "batch": 40, "validation": 0.2, "seed": 0}
SOURCE = (
    "# How far diabetes has gone a year after ten measurements were taken.\n"
    "#\n"
    "# 442 patients and noise: what wins here is restraint, so weight_decay is strong. The target is stan"
    "dardised: the loss\n"
    "# of whoever always says the mean is 1.\n"
    "\n"
    "model diabetes\n"
    "\n"
    "dim batch\n"
    "dim features = 10\n"
    "\n"
    "input  x[batch, features]\n"
    "target y[batch]\n"
    "\n"
    "h           = silu(dense(x, 16))\n"
    "progress[b] = dense(h, 1)[b, 0]\n"
    "\n"
    "predict progress\n"
    "loss    mean(squared_error(progress, y))\n"
    "metric  explained = r2(progress, y)\n"
    "\n"
    "optimize adamw(lr = 3e-3, weight_decay = 1)\n"
    'data     "data/diabetes.npz"\n'
    "fit      epochs = 60, batch = 40, validation = 0.2, seed = 0\n"
)


@kernel
def parts(p):
    """h_weight, h_bias, progress_weight, progress_bias: views of the flat buffer p, or of its gradient."""
    return view(p, 0, (10, 16)), view(p, 160, (16,)), view(p, 176, (16, 1)), view(p, 192, (1,))


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
def sigmoid(x):
    """1 / (1 + e^-x) within 2.4 ulp, by e^-|x|, which cannot overflow and leaves small results their digits."""
    e = exp(-abs(x))
    return (f4(1.0) if x >= f4(0.0) else e) / (f4(1.0) + e)


# ------------------------------------------------------------------ kernels


@kernel
def loss_and_d_h_dense(
    h_dense_sum,
    h_bias,
    progress_weight,
    progress_bias,
    y,
    d_progress_bias,
    d_h_bias,
    d_progress_weight,
    h_dense,
    h_sigmoid,
    h,
    d_h_dense,
):
    """h_dense[b, o] = h_dense_sum[b, o] + h_bias[o]                                        diabetes.grad:14
    h_sigmoid[b, o] = sigmoid(h_dense[b, o])                                                diabetes.grad:14
    h[b, o] = h_dense[b, o]*h_sigmoid[b, o]                                                 diabetes.grad:14
    progress_dense_sum[b, 0] = Σ_o h[b, o]*progress_weight[o, 0]                            diabetes.grad:15
    progress_dense[b, 0] = progress_dense_sum[b, 0] + progress_bias[0]                      diabetes.grad:15
    loss_sum = Σ_b (progress_dense[b, 0] - y[b])^2                                          diabetes.grad:18
    d_progress[b] = 2*(progress_dense[b, 0] - y[b])/batch                                   diabetes.grad:18
    d_progress_bias[0] = Σ_b d_progress[b]                                                  diabetes.grad:15
    d_h[b, i] = progress_weight[i, 0]*d_progress[b]                                         diabetes.grad:15
    d_h_sigmoid[b, i] = d_h[b, i]*h_dense[b, i]                                             diabetes.grad:14
    d_h_dense[b, i] = d_h[b, i]*h_sigmoid[b, i] + d_h_sigmoid[b, i]*h_sigmoid[b, i]*(1 -
            h_sigmoid[b, i])                                                                diabetes.grad:14
    d_h_bias[i] = Σ_b d_h_dense[b, i]                                                       diabetes.grad:14
    d_progress_weight[i, 0] = Σ_b h[b, i]*d_progress[b]                                     diabetes.grad:15
    loss = loss_sum/batch                                                                   diabetes.grad:18
    """
    batch = h_dense_sum.shape[0]
    loss_sum = 0.0
    d_progress_bias[:] = f4(0.0)
    d_h_bias[:] = f4(0.0)
    d_progress_weight[:, :] = f4(0.0)
    for b in range(batch):
        progress_dense_sum = f4(0.0)
        for o in range(16):
            h_dense[o] = h_dense_sum[b, o] + h_bias[o]
            h_sigmoid[o] = sigmoid(h_dense[o])
            h[o] = h_dense[o] * h_sigmoid[o]
            progress_dense_sum += h[o] * progress_weight[o, 0]
        progress_dense = progress_dense_sum + progress_bias[0]
        loss_sum += (progress_dense - y[b]) ** 2
        d_progress = f4(2.0) * (progress_dense - y[b]) / f4(batch)
        d_progress_bias[0] += d_progress
        for i in range(16):
            d_h = progress_weight[i, 0] * d_progress
            d_h_sigmoid = d_h * h_dense[i]
            d_h_dense[b, i] = d_h * h_sigmoid[i] + d_h_sigmoid * h_sigmoid[i] * (f4(1.0) - h_sigmoid[i])
            d_h_bias[i] += d_h_dense[b, i]
        for i in range(16):
            d_progress_weight[i, 0] += h[i] * d_progress
    loss = loss_sum / batch
    return loss


@kernel
def adamw(m, g, v, p, t):
    """rate_pow = 0.9^t                                                                     diabetes.grad:21
    rate = 0.003/(1 - rate_pow)                                                             diabetes.grad:21
    unbias_pow = 0.999^t                                                                    diabetes.grad:21
    unbias = 1/sqrt(1 - unbias_pow)                                                         diabetes.grad:21
    m_2[n] = 0.9*m[n] + 0.1*g[n]                                                            diabetes.grad:21
    v_2[n] = 0.999*v[n] + 0.001*g[n]^2                                                      diabetes.grad:21
    p_2[n] = 0.997*p[n]                                                                     diabetes.grad:21
    p_3[n] = p_2[n] - rate*m_2[n]/(sqrt(v_2[n])*unbias + 1e-08)                             diabetes.grad:21
    """
    size = m.shape[0]
    rate_pow = 0.9**t
    rate = 0.003 / (1.0 - rate_pow)
    unbias_pow = 0.999**t
    unbias = 1.0 / np.sqrt(1.0 - unbias_pow)
    for n in range(size):
        m_2 = f4(0.9) * m[n] + f4(0.1) * g[n]
        v_2 = f4(0.999) * v[n] + f4(0.001) * (g[n] * g[n])
        p_2 = f4(0.997) * p[n]
        p_3 = p_2 - f4(rate) * m_2 / (np.sqrt(v_2) * f4(unbias) + f4(1e-08))
        p[n] = p_3
        m[n] = m_2
        v[n] = v_2


@kernel
def forward_progress(h_dense_sum, h_bias, progress_weight, progress_bias, progress):
    """h_dense[b, o] = h_dense_sum[b, o] + h_bias[o]                                        diabetes.grad:14
    h_sigmoid[b, o] = sigmoid(h_dense[b, o])                                                diabetes.grad:14
    h[b, o] = h_dense[b, o]*h_sigmoid[b, o]                                                 diabetes.grad:14
    progress_dense_sum[b, 0] = Σ_o h[b, o]*progress_weight[o, 0]                            diabetes.grad:15
    progress_dense[b, 0] = progress_dense_sum[b, 0] + progress_bias[0]                      diabetes.grad:15
    progress[b] = progress_dense[b, 0]                                                      diabetes.grad:15
    """
    batch = h_dense_sum.shape[0]
    for b in range(batch):
        progress_dense_sum = f4(0.0)
        for o in range(16):
            h_dense = h_dense_sum[b, o] + h_bias[o]
            h_sigmoid = sigmoid(h_dense)
            h = h_dense * h_sigmoid
            progress_dense_sum += h * progress_weight[o, 0]
        progress_dense = progress_dense_sum + progress_bias[0]
        progress[b] = progress_dense


@kernel
def forward_explained_sum_2_scale(y):
    """explained_centre_sum = Σ_i y[i]                                                      diabetes.grad:19
    explained_sum_2_scale = -explained_centre_sum/batch                                     diabetes.grad:19
    """
    batch = y.shape[0]
    explained_centre_sum = 0.0
    for i in range(batch):
        explained_centre_sum += y[i]
    explained_sum_2_scale = -explained_centre_sum / batch
    return explained_sum_2_scale


@kernel
def forward_loss(h_dense_sum, h_bias, progress_weight, progress_bias, y, explained_sum_2_scale):
    """h_dense[b, o] = h_dense_sum[b, o] + h_bias[o]                                        diabetes.grad:14
    h_sigmoid[b, o] = sigmoid(h_dense[b, o])                                                diabetes.grad:14
    h[b, o] = h_dense[b, o]*h_sigmoid[b, o]                                                 diabetes.grad:14
    progress_dense_sum[b, 0] = Σ_o h[b, o]*progress_weight[o, 0]                            diabetes.grad:15
    progress_dense[b, 0] = progress_dense_sum[b, 0] + progress_bias[0]                      diabetes.grad:15
    loss_sum = Σ_b (progress_dense[b, 0] - y[b])^2                                          diabetes.grad:18
    explained_sum = Σ_b (y[b] - progress_dense[b, 0])^2                                     diabetes.grad:19
    explained_sum_2 = Σ_b (y[b] + explained_sum_2_scale)^2                                  diabetes.grad:19
    loss = loss_sum/batch                                                                   diabetes.grad:18
    explained = 1 - explained_sum/explained_sum_2                                           diabetes.grad:19
    """
    batch = h_dense_sum.shape[0]
    loss_sum = 0.0
    explained_sum = 0.0
    explained_sum_2 = 0.0
    for b in range(batch):
        progress_dense_sum = f4(0.0)
        for o in range(16):
            h_dense = h_dense_sum[b, o] + h_bias[o]
            h_sigmoid = sigmoid(h_dense)
            h = h_dense * h_sigmoid
            progress_dense_sum += h * progress_weight[o, 0]
        progress_dense = progress_dense_sum + progress_bias[0]
        loss_sum += (progress_dense - y[b]) ** 2
        explained_sum += (y[b] - progress_dense) ** 2
        explained_sum_2 += (y[b] + f4(explained_sum_2_scale)) ** 2
    loss = loss_sum / batch
    explained = 1.0 - explained_sum / explained_sum_2
    return loss, explained


# ------------------------------------------------------------------ forward, backward, update


@inlined
def differentiate(params, d_params, work, x, y):
    """One forward and one backward pass: returns the loss and fills d_params."""
    batch = x.shape[0]
    h_weight, h_bias, progress_weight, progress_bias = parts(params)
    d_h_weight, d_h_bias, d_progress_weight, d_progress_bias = parts(d_params)
    h_dense_sum = view(work, 0, (batch, 16))  # kept for d_progress_bias and d_h_dense
    h_dense = view(work, 16 * batch, (16,))
    h_sigmoid = view(work, 16 * batch + 16, (16,))
    h = view(work, 16 * batch + 32, (16,))
    d_h_dense = view(work, 16 * batch + 48, (batch, 16))

    # forward
    gemm(x, h_weight, h_dense_sum, False)  # h_dense_sum[b, o] = Σ_i x[b, i] h_weight[i, o]
    loss = loss_and_d_h_dense(
        h_dense_sum,
        h_bias,
        progress_weight,
        progress_bias,
        y,
        d_progress_bias,
        d_h_bias,
        d_progress_weight,
        h_dense,
        h_sigmoid,
        h,
        d_h_dense,
    )

    # backward
    gemm(x.T, d_h_dense, d_h_weight, False)  # d_h_weight[i, o] = Σ_b x[b, i] d_h_dense[b, o]
    return loss


@inlined
def update(params, d_params, moments, t):
    """One step of adamw, in place; t counts steps from 1."""
    p = view(params, 0, (193,))
    g = view(d_params, 0, (193,))
    m = view(moments, 0, (193,))
    v = view(moments, 193, (193,))
    adamw(m, g, v, p, t)


@entry
def gradient_entry(params, d_params, work, x, y):
    """The loss and its gradient. Returns (which array is out of range or -1, its place, the loss)."""
    if params.size != SIZE:
        raise ValueError("params are of another model: init() makes those of this one")
    return -1, -1, differentiate(params, d_params, work, x, y)


@entry
def step_entry(params, d_params, moments, t, losses, work, x_rows, y_rows):
    """gradient_entry and a step of the optimizer, for each of the losses: each on as many of the rows, in their order.

    Ends before an array that is out of range, and with a loss that is not finite. Returns (which array is
    out of range or -1, its place in its batch, how many steps were taken, the loss of the last).
    """
    if params.size != SIZE or d_params.size != SIZE or moments.size != 386:
        raise ValueError("params or state are of another model: init() and init_state(params) make those of this one")
    count = x_rows.shape[0] // losses.size
    for step in range(losses.size):
        first = step * count
        x = rows(x_rows, first, first + count)
        y = rows(y_rows, first, first + count)
        loss = differentiate(params, d_params, work, x, y)
        update(params, d_params, moments, float(t))
        losses[step] = loss
        if not np.isfinite(loss):
            return -1, -1, step + 1, loss
        t += 1
    return -1, -1, losses.size, losses[losses.size - 1]


@entry
def predict_entry(params, work, x, progress):
    """One forward pass: fills progress."""
    if params.size != SIZE:
        raise ValueError("params are of another model: init() makes those of this one")
    batch = x.shape[0]
    h_weight, h_bias, progress_weight, progress_bias = parts(params)
    h_dense_sum = view(work, 0, (batch, 16))
    gemm(x, h_weight, h_dense_sum, False)  # h_dense_sum[b, o] = Σ_i x[b, i] h_weight[i, o]
    forward_progress(h_dense_sum, h_bias, progress_weight, progress_bias, progress)
    return -1, -1


@entry
def evaluate_entry(params, work, x, y):
    """One forward pass: returns loss, explained."""
    if params.size != SIZE:
        raise ValueError("params are of another model: init() makes those of this one")
    batch = x.shape[0]
    h_weight, h_bias, progress_weight, progress_bias = parts(params)
    h_dense_sum = view(work, 0, (batch, 16))
    explained_sum_2_scale = forward_explained_sum_2_scale(y)
    gemm(x, h_weight, h_dense_sum, False)  # h_dense_sum[b, o] = Σ_i x[b, i] h_weight[i, o]
    loss, explained = forward_loss(h_dense_sum, h_bias, progress_weight, progress_bias, y, explained_sum_2_scale)
    return -1, -1, loss, explained


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
        if self.work[0].size < 32 * batch + 48:
            self.work[0] = np.empty(32 * batch + 48, f4)
        return self.work


def init(seed=0):
    """New parameters, drawn by their laws."""
    rng = np.random.default_rng(seed)
    params = Params(np.zeros(SIZE, f4))
    params["h.weight"] = np.sqrt(3 / 13) * (2.0 * rng.random((10, 16)) - 1.0)
    params["progress.weight"] = np.sqrt(6 / 17) * (2.0 * rng.random((16, 1)) - 1.0)
    return params


def init_state(params, seed=0):
    """The state before the first step."""
    moments = np.zeros(386, f4)
    return State(moments, seed)


def train_step(params, state, x, y):
    """One training step on one batch, in place; returns the loss.

    x: float32 [batch, features = 10]; y: float32 [batch].
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
    _, _, done, loss = step_entry(
        params.flat, state.d_params, state.flat, state.step + 1, losses, *state.work_for(count), x, y
    )
    state.step += done
    if not math.isfinite(loss):
        raise FloatingPointError(f"the loss of step {state.step} is {loss}")
    return loss


def loss_and_gradients(params, x, y, *, seed=0):
    """The loss and its gradient by every parameter, named as the parameters are."""
    x, y = _checked(x, y)
    batch = x.shape[0]
    gradients = Params(np.zeros(SIZE, f4))
    _, _, loss = gradient_entry(params.flat, gradients.flat, np.empty(32 * batch + 48, f4), x, y)
    return loss, gradients


def predict(params, x, *, seed=0):
    """The prediction progress: [batch]. x: float32 [batch, features = 10]."""
    (x,) = _checked_inputs(x)
    batch = x.shape[0]
    progress = np.empty((batch,), f4)
    predict_entry(params.flat, np.empty(16 * batch, f4), x, progress)
    return progress


def evaluate(params, x, y, *, seed=0):
    """The loss and the metrics, without changing anything."""
    x, y = _checked(x, y)
    batch = x.shape[0]
    _, _, loss, explained = evaluate_entry(params.flat, np.empty(16 * batch, f4), x, y)
    return {"loss": float(loss), "explained": float(explained)}


def _checked_inputs(x):
    x = _array("x", x, "fiu", "numbers", f4)
    if x.ndim != 2 or x.shape[1] != 10 or x.size == 0:
        raise ValueError(f"x is [batch, features = 10]; got {list(x.shape)}")
    return (x,)


def _checked(x, y):
    (x,) = _checked_inputs(x)
    y = _array("y", y, "fiu", "numbers", f4)
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
