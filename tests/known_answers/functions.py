"""What PyTorch gives for the library's functions, layers, metrics and initial laws.

The keys are gradc's texts; beside each stands what PyTorch calls it. `rows` has values and gradients, `spreads` how
wide a large initial weight is spread. It writes nothing: see make.py.
"""

from collections.abc import Callable
from typing import Any

import attention
import losses
import numpy as np
import torch
from torch.nn import functional as F

Function = Callable[..., torch.Tensor]
Row = dict[str, Any]

# kinks of every activation with the bounds in ACTIVATIONS, both sides of them, and far out
POINTS = [-1000.0, -30.0, -6.0, -3.0, -2.0, -1.0, -0.5, -0.2, 0.0, 0.2, 0.5, 1.0, 2.0, 3.0, 6.0, 30.0, 1000.0]

ACTIVATIONS: dict[str, Function] = {
    "relu(x)": F.relu,
    "leaky_relu(x)": F.leaky_relu,
    "leaky_relu(x, slope = 0.3)": lambda x: F.leaky_relu(x, 0.3),
    "elu(x)": F.elu,
    "elu(x, alpha = 0.5)": lambda x: F.elu(x, 0.5),
    "selu(x)": F.selu,
    "celu(x)": F.celu,
    "celu(x, alpha = 2)": lambda x: F.celu(x, 2.0),
    "gelu(x)": F.gelu,
    "gelu_tanh(x)": lambda x: F.gelu(x, approximate="tanh"),
    "sigmoid(x)": F.sigmoid,
    "logsigmoid(x)": F.logsigmoid,
    # PyTorch goes over to x at 20, where e^-x still counts in float64
    "softplus(x)": lambda x: F.softplus(x, threshold=700),
    "silu(x)": F.silu,
    "mish(x)": F.mish,
    "softsign(x)": F.softsign,
    "tanhshrink(x)": F.tanhshrink,
    # F.hardsigmoid's own derivative is float32's 1/6, in float64 too
    "hardsigmoid(x)": lambda x: F.relu6(x + 3) / 6,
    "hardswish(x)": F.hardswish,
    "hardtanh(x)": F.hardtanh,
    "hardtanh(x, low = -2, high = 0.5)": lambda x: F.hardtanh(x, -2.0, 0.5),
    "relu6(x)": F.relu6,
    "softshrink(x)": F.softshrink,
    "softshrink(x, bound = 2)": lambda x: F.softshrink(x, 2.0),
    "hardshrink(x)": F.hardshrink,
    "hardshrink(x, bound = 2)": lambda x: F.hardshrink(x, 2.0),
    "threshold(x, 0.5, -2)": lambda x: F.threshold(x, 0.5, -2.0),
    "abs(x)": torch.abs,
    "sign(x)": torch.sign,
    "clip(x, -1, 3)": lambda x: torch.clamp(x, -1, 3),
    "max(x, 0.5)": lambda x: torch.maximum(x, torch.tensor(0.5, dtype=torch.float64)),
    "min(x, 0.5)": lambda x: torch.minimum(x, torch.tensor(0.5, dtype=torch.float64)),
    "clip_value(x, 2)": lambda x: torch.clamp(x, -2, 2),
}

RNG = np.random.default_rng(20240611)
LOGITS = (2 * RNG.normal(size=(4, 3))).round(3)
LOGITS[3] = [1000.0, -1000.0, 998.0]
CLASSES = np.array([2, 0, 1, 2])
A = RNG.normal(size=6).round(3)
# differences at and beside the kinks of huber with delta 1 and 2, and none
B = A - np.array([1.0, -1.0, 0.0, 2.0, 0.4, -3.0])
SCORES = np.array([-40.0, -1.0, 0.0, 0.3, 1.0, 40.0])
SIGNS = np.array([1.0, -1.0, 1.0, 1.0, 1.0, -1.0])
HITS = np.array([1.0, 0.0, 1.0, 0.25, 0.0, 1.0])
COUNTS = np.array([0.0, 3.0, 1.0, 2.0, 0.0, 5.0])
LOG_Q = np.log(RNG.dirichlet(np.ones(3), size=4)).round(3)
P = RNG.dirichlet(np.ones(3), size=4)
WITH_ZERO = P.copy()
WITH_ZERO[1] = [0.0, 0.25, 0.75]

LOSSES: dict[str, tuple[Function, dict[str, np.ndarray]]] = {
    "squared_error(a, b)": (lambda a, b: F.mse_loss(a, b, reduction="none"), {"a": A, "b": B}),
    "absolute_error(a, b)": (lambda a, b: F.l1_loss(a, b, reduction="none"), {"a": A, "b": B}),
    "huber(a, b)": (lambda a, b: F.huber_loss(a, b, reduction="none"), {"a": A, "b": B}),
    "huber(a, b, delta = 2)": (lambda a, b: F.huber_loss(a, b, reduction="none", delta=2.0), {"a": A, "b": B}),
    "smooth_l1(a, b)": (lambda a, b: F.smooth_l1_loss(a, b, reduction="none"), {"a": A, "b": B}),
    "smooth_l1(a, b, beta = 2)": (lambda a, b: F.smooth_l1_loss(a, b, reduction="none", beta=2.0), {"a": A, "b": B}),
    "cross_entropy(logits, y)": (
        lambda logits, y: F.cross_entropy(logits, y, reduction="none"),
        {"logits": LOGITS, "y": CLASSES},
    ),
    "cross_entropy(logits, y, label_smoothing = 0.1)": (
        lambda logits, y: F.cross_entropy(logits, y, reduction="none", label_smoothing=0.1),
        {"logits": LOGITS, "y": CLASSES},
    ),
    "cross_entropy(logits, words, label_smoothing = 0.2)": (
        lambda logits, y: F.cross_entropy(logits.permute(0, 2, 1), y, reduction="none", label_smoothing=0.2),
        {"logits": RNG.normal(size=(2, 3, 4)).round(3), "words": np.array([[0, 3, 1], [2, 2, 0]])},
    ),
    "binary_cross_entropy(logits, y)": (
        lambda logits, y: F.binary_cross_entropy_with_logits(logits, y, reduction="none"),
        {"logits": SCORES, "y": HITS},
    ),
    "kl_divergence(log_q, p)": (
        lambda log_q, p: F.kl_div(log_q, p, reduction="none").sum(-1),
        {"log_q": LOG_Q, "p": P},
    ),
    "kl_divergence(log_q, zero)": (
        lambda log_q, p: F.kl_div(log_q, p, reduction="none").sum(-1),
        {"log_q": LOG_Q, "zero": WITH_ZERO},
    ),
    # the hinge, and others below, by hand: PyTorch has none
    "hinge(score, y)": (lambda score, y: F.relu(1 - y * score), {"score": SCORES, "y": SIGNS}),
    "hinge(score, y, margin = 0.3)": (lambda score, y: F.relu(0.3 - y * score), {"score": SCORES, "y": SIGNS}),
    "poisson(log_rate, y)": (
        lambda log_rate, y: F.poisson_nll_loss(log_rate, y, reduction="none"),
        {"log_rate": A, "y": COUNTS},
    ),
    "softmax(logits)": (lambda logits: F.softmax(logits, -1), {"logits": LOGITS}),
    "log_softmax(logits)": (lambda logits: F.log_softmax(logits, -1), {"logits": LOGITS}),
    "flatten(x)": (lambda x: torch.flatten(x, 1), {"x": RNG.normal(size=(2, 3, 4)).round(3)}),
    "clip_norm_scale(norm, 2)": (
        lambda norm: torch.clamp(2 / (norm + 1e-6), max=1.0),
        {"norm": np.array([0.0, 1.0, 3.0, 1e9])},
    ),
}
RANKED = np.array(
    [[3.0, 1.0, 2.0, 0.0], [0.0, 0.0, 1.0, 2.0], [5.0, 4.0, 3.0, 2.0], [1.0, 2.0, 2.5, 3.0], [4, 3, 2, 1]]
)
RANKED_CLASSES = np.array([0, 2, 0, 3, 2])


def top_k(logits: torch.Tensor, y: torch.Tensor, k: int) -> torch.Tensor:
    """Whether y is among the k largest; RANKED has no ties that matter."""
    return (logits.topk(k).indices == y[:, None]).any(1).double().mean()


METRICS: dict[str, tuple[Function, dict[str, np.ndarray]]] = {
    "accuracy(logits, y)": (
        lambda logits, y: (logits.argmax(-1) == y).double().mean(),
        {"logits": RANKED, "y": RANKED_CLASSES},
    ),
    "top_k(logits, y, k = 1)": (
        lambda logits, y: top_k(logits, y, 1),
        {"logits": RANKED, "y": RANKED_CLASSES},
    ),
    "top_k(logits, y, k = 2)": (
        lambda logits, y: top_k(logits, y, 2),
        {"logits": RANKED, "y": RANKED_CLASSES},
    ),
    "top_k(logits, y, k = 3)": (
        lambda logits, y: top_k(logits, y, 3),
        {"logits": RANKED, "y": RANKED_CLASSES},
    ),
    "r2(prediction, y)": (
        lambda prediction, y: 1 - ((y - prediction) ** 2).sum() / ((y - y.mean()) ** 2).sum(),
        {"prediction": A, "y": B},
    ),
}


def classes(name: str, arguments: dict[str, np.ndarray]) -> int:
    """How many values a whole number among the arguments can have."""
    if name in losses.RANGES | attention.RANGES:
        return (losses.RANGES | attention.RANGES)[name]
    return arguments["logits"].shape[-1] if "logits" in arguments else len(arguments["weight"])


def row(call: str, function: Function, arguments: dict[str, np.ndarray]) -> Row:
    """The function's values, and the gradient of Σ weights · values by every real argument."""
    tensors = {name: torch.tensor(value) for name, value in arguments.items()}
    reals = [tensor.requires_grad_() for tensor in tensors.values() if tensor.is_floating_point()]
    value = function(*tensors.values())
    weights = torch.arange(1.0, value.numel() + 1, dtype=torch.float64).reshape(value.shape)
    gradients: dict[str, Any] = {}
    if value.requires_grad and call not in METRICS:
        found = torch.autograd.grad((weights * value).sum(), reals)
        names = [name for name, tensor in tensors.items() if tensor.is_floating_point()]
        # PyTorch's gradient of kl_div by p is NaN where p = 0
        pairs = [(name, gradient) for name, gradient in zip(names, found, strict=True) if gradient.isfinite().all()]
        gradients = {name: gradient.tolist() for name, gradient in pairs}
    return {
        "call": call,
        "arguments": {name: argument.tolist() for name, argument in arguments.items()},
        "ranges": {
            name: classes(name, arguments) for name, tensor in tensors.items() if not tensor.is_floating_point()
        },
        "value": value.tolist(),
        "weights": weights.tolist(),
        "gradients": gradients,
    }


# ---------------------------------------------------------------- layers: the parameters' gradients too

X = RNG.normal(size=(4, 3)).round(3)
IDS = np.array([[0, 3, 3], [1, 4, 0]])
WEIGHT, BIAS, TABLE = RNG.normal(size=(3, 2)).round(3), RNG.normal(size=2).round(3), RNG.normal(size=(5, 2)).round(3)

LAYERS: list[tuple[str, Function, dict[str, np.ndarray], dict[str, np.ndarray]]] = [
    ("dense(x, 2)", lambda x, w, b: F.linear(x, w.T, b), {"x": X}, {"weight": WEIGHT, "bias": BIAS}),
    ("dense(row, 2)", lambda x, w, b: F.linear(x, w.T, b), {"row": X[0]}, {"weight": WEIGHT, "bias": BIAS}),
    (
        "dense(rows, 2)",
        lambda x, w, b: F.linear(x, w.T, b),
        {"rows": np.stack([X, 2 - X])},
        {"weight": WEIGHT, "bias": BIAS},
    ),
    ("dense(x, 2, bias = false)", lambda x, w: F.linear(x, w.T), {"x": X}, {"weight": WEIGHT}),
    ("embedding(ids, 5, 2)", lambda ids, w: F.embedding(ids, w), {"ids": IDS}, {"weight": TABLE}),
]


def recurrent(kind: type[torch.nn.RNNBase], reverse: bool = False) -> Function:
    """PyTorch's layer by gradc's parameters: gates in an axis of their own, one bias, the GRU's second one apart."""

    def function(x: torch.Tensor, wx: torch.Tensor, wh: torch.Tensor, bias: torch.Tensor, *more: torch.Tensor) -> Any:
        units = wh.shape[0]
        layer = kind(x.shape[2], units, batch_first=True, dtype=torch.float64)
        second = torch.zeros(bias.numel() - units * len(more), dtype=torch.float64)
        weights = {
            "weight_ih_l0": wx.reshape(wx.shape[0], -1).T,
            "weight_hh_l0": wh.reshape(units, -1).T,
            "bias_ih_l0": bias.reshape(-1),
            "bias_hh_l0": torch.cat([second, *more]),
        }
        x = torch.flip(x, [1]) if reverse else x
        states = torch.func.functional_call(layer, weights, x)[0]
        return torch.flip(states, [1]) if reverse else states

    return function


def _normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).round(3)


SERIES = _normal(2, 4, 3)
RNN = {"wx": _normal(3, 2), "wh": _normal(2, 2), "bias": _normal(2)}
LSTM = {"wx": _normal(3, 4, 2), "wh": _normal(2, 4, 2), "bias": _normal(4, 2)}
GRU = {"wx": _normal(3, 3, 2), "wh": _normal(2, 3, 2), "bias": _normal(3, 2), "bias_h": _normal(2)}
LAYERS += [
    ("simple_rnn(s, 2)", recurrent(torch.nn.RNN), {"s": SERIES}, RNN),
    ("lstm(s, 2)", recurrent(torch.nn.LSTM), {"s": SERIES}, LSTM),
    ("lstm(s, 2, reverse = true)", recurrent(torch.nn.LSTM, reverse=True), {"s": SERIES}, LSTM),
    ("gru(s, 2)", recurrent(torch.nn.GRU), {"s": SERIES}, GRU),
    ("gru(s, 2, reverse = true)", recurrent(torch.nn.GRU, reverse=True), {"s": SERIES}, GRU),
    ("gru(one, 2)", recurrent(torch.nn.GRU), {"one": SERIES[:, :1]}, GRU),
]


# ---------------------------------------------------------------- windows: PyTorch has channels first


def channels_first(function: Function) -> Function:
    """PyTorch's function, of an array with its channels last, and giving such a one."""

    def turned(x: torch.Tensor, *parameters: torch.Tensor) -> torch.Tensor:
        return function(x.movedim(-1, 1), *parameters).movedim(1, -1)

    return turned


def convolution(name: str, **options: Any) -> Function:
    """PyTorch's convolution, by gradc's weight [window, in, out]."""

    def function(x: torch.Tensor, weight: torch.Tensor, *bias: torch.Tensor) -> torch.Tensor:
        groups = options.get("groups", 1)
        if "transpose" not in name:
            return getattr(F, name)(x, weight.movedim(-1, 0).movedim(-1, 1), *bias, **options)
        # [in, out / groups, window], the groups one after the other along the first axis
        parts = weight.tensor_split(groups, -1)
        turned = torch.cat([part.movedim(-1, 0).movedim(-1, 0) for part in parts])
        return getattr(F, name)(x, turned, *bias, **options)

    return channels_first(function)


def unfolded(x: torch.Tensor, **options: Any) -> torch.Tensor:
    """F.unfold, with windows before channels, and places in rows and columns."""
    size, stride = options["kernel_size"], options["stride"]
    rows, columns = ((n - k) // s + 1 for n, k, s in zip(x.shape[2:], size, stride, strict=True))
    patches = F.unfold(x, **options)
    split = patches.reshape(len(x), x.shape[1], -1, rows, columns)
    return split.transpose(1, 2).reshape(len(x), -1, rows, columns)


TIMES, PICTURES, VOLUMES = _normal(2, 5, 4), _normal(2, 4, 5, 2), _normal(1, 3, 2, 4, 2)
LAYERS += [
    (
        "conv1d(times, 6, 2, stride = 2, dilation = 2, groups = 2)",
        convolution("conv1d", stride=2, dilation=2, groups=2),
        {"times": TIMES},
        {"weight": _normal(2, 2, 6), "bias": _normal(6)},
    ),
    (
        "conv1d(times, 3, 4, padding = same, bias = false)",
        convolution("conv1d", padding="same"),
        {"times": TIMES},
        {"weight": _normal(4, 4, 3)},
    ),
    (
        "conv2d(pictures, 3, [3, 2], stride = [1, 2])",
        convolution("conv2d", stride=(1, 2)),
        {"pictures": PICTURES},
        {"weight": _normal(3, 2, 2, 3), "bias": _normal(3)},
    ),
    (
        "conv3d(volumes, 2, 2, dilation = [2, 1, 1])",
        convolution("conv3d", dilation=(2, 1, 1)),
        {"volumes": VOLUMES},
        {"weight": _normal(2, 2, 2, 2, 2), "bias": _normal(2)},
    ),
    (
        "conv_transpose1d(times, 6, 3, stride = 2, groups = 2)",
        convolution("conv_transpose1d", stride=2, groups=2),
        {"times": TIMES},
        {"weight": _normal(3, 2, 6), "bias": _normal(6)},
    ),
    (
        "conv_transpose2d(pictures, 3, [2, 3], stride = [2, 1], dilation = 2)",
        convolution("conv_transpose2d", stride=(2, 1), dilation=2),
        {"pictures": PICTURES},
        {"weight": _normal(2, 3, 2, 3), "bias": _normal(3)},
    ),
    (
        "conv_transpose3d(volumes, 4, 2, stride = [1, 2, 1], dilation = [2, 1, 1], groups = 2)",
        convolution("conv_transpose3d", stride=(1, 2, 1), dilation=(2, 1, 1), groups=2),
        {"volumes": VOLUMES},
        {"weight": _normal(2, 2, 2, 1, 4), "bias": _normal(4)},
    ),
    ("max_pool1d(times, 2)", channels_first(lambda x: F.max_pool1d(x, 2)), {"times": TIMES}, {}),
    (
        "max_pool2d(pictures, [3, 2], stride = 1)",
        channels_first(lambda x: F.max_pool2d(x, (3, 2), 1)),
        {"pictures": PICTURES},
        {},
    ),
    ("max_pool3d(volumes, 2)", channels_first(lambda x: F.max_pool3d(x, 2)), {"volumes": VOLUMES}, {}),
    (
        "max_pool1d(times, 3, stride = 1, padding = same)",
        channels_first(lambda x: F.max_pool1d(x, 3, 1, 1)),
        {"times": TIMES},
        {},
    ),
    ("max_pool1d(ties, 2)", channels_first(lambda x: F.max_pool1d(x, 2)), {"ties": np.ones((1, 4, 2))}, {}),
    ("avg_pool1d(times, 2)", channels_first(lambda x: F.avg_pool1d(x, 2)), {"times": TIMES}, {}),
    (
        "avg_pool2d(pictures, 3, stride = 1, padding = same)",
        channels_first(lambda x: F.avg_pool2d(x, 3, 1, 1)),
        {"pictures": PICTURES},
        {},
    ),
    ("avg_pool3d(volumes, [1, 2, 2])", channels_first(lambda x: F.avg_pool3d(x, (1, 2, 2))), {"volumes": VOLUMES}, {}),
    ("global_max_pool(pictures)", lambda x: F.adaptive_max_pool2d(x.movedim(-1, 1), 1).flatten(1),
     {"pictures": PICTURES}, {}),
    ("global_avg_pool(pictures)", lambda x: F.adaptive_avg_pool2d(x.movedim(-1, 1), 1).flatten(1),
     {"pictures": PICTURES}, {}),
    (
        "unfold1d(times, 3, stride = 2)",
        lambda x: unfolded(x.movedim(-1, 1)[..., None], kernel_size=(3, 1), stride=(2, 1)).movedim(1, -1)[:, :, 0],
        {"times": TIMES},
        {},
    ),
    (
        "unfold2d(pictures, [2, 3], stride = [2, 1])",
        channels_first(lambda x: unfolded(x, kernel_size=(2, 3), stride=(2, 1))),
        {"pictures": PICTURES},
        {},
    ),
    ("upsample1d(times, 2)", channels_first(lambda x: F.interpolate(x, scale_factor=2)), {"times": TIMES}, {}),
    (
        "upsample2d(pictures, [2, 3])",
        channels_first(lambda x: F.interpolate(x, scale_factor=(2, 3))),
        {"pictures": PICTURES},
        {},
    ),
    ("upsample3d(volumes, 2)", channels_first(lambda x: F.interpolate(x, scale_factor=2)), {"volumes": VOLUMES}, {}),
    (
        "upsample1d(times, 3, mode = linear)",
        channels_first(lambda x: F.interpolate(x, scale_factor=3, mode="linear")),
        {"times": TIMES},
        {},
    ),
    (
        "upsample2d(pictures, [2, 3], mode = linear)",
        channels_first(lambda x: F.interpolate(x, scale_factor=(2, 3), mode="bilinear")),
        {"pictures": PICTURES},
        {},
    ),
    (
        "upsample3d(corner, [1, 2, 2], mode = linear)",
        channels_first(lambda x: F.interpolate(x, scale_factor=(1, 2, 2), mode="trilinear")),
        {"corner": VOLUMES[:, :2, :, :3, :1]},
        {},
    ),
]  # fmt: skip


def layer_row(
    call: str, function: Function, arguments: dict[str, np.ndarray], parameters: dict[str, np.ndarray]
) -> Row:
    """As `row`, with the layer's parameters apart from its arguments."""
    whole = row(call, function, arguments | parameters)
    values = whole["arguments"]
    return whole | {
        "arguments": {name: values[name] for name in arguments},
        "parameters": {name: values[name] for name in parameters},
    }


# ---------------------------------------------------------------- initial laws

FAN_IN, FAN_OUT = 200, 300
LAWS: dict[str, Function] = {
    "zeros": torch.nn.init.zeros_,
    "ones": torch.nn.init.ones_,
    "constant(0.7)": lambda w: torch.nn.init.constant_(w, 0.7),
    "normal_around(1, std = 0.5)": lambda w: torch.nn.init.normal_(w, 1, 0.5),
    "uniform_between(-1, 3)": lambda w: torch.nn.init.uniform_(w, -1, 3),
    "glorot_uniform(n, m)": torch.nn.init.xavier_uniform_,
    "glorot_uniform(n, m, gain = 2)": lambda w: torch.nn.init.xavier_uniform_(w, 2),
    "glorot_normal(n, m)": torch.nn.init.xavier_normal_,
    "he_uniform(n)": lambda w: torch.nn.init.kaiming_uniform_(w),
    "he_normal(n)": lambda w: torch.nn.init.kaiming_normal_(w),
    "lecun_uniform(n)": lambda w: torch.nn.init.kaiming_uniform_(w, nonlinearity="linear"),
    "lecun_normal(n)": lambda w: torch.nn.init.kaiming_normal_(w, nonlinearity="linear"),
}


def spread(law: Function) -> dict[str, float]:
    """Moments and ends of a large weight as PyTorch draws it. PyTorch's weights are [out, in]."""
    weight = law(torch.empty(FAN_OUT, FAN_IN, dtype=torch.float64))
    return {
        "mean": weight.mean().item(),
        "std": weight.std().item(),
        "low": weight.min().item(),
        "high": weight.max().item(),
    }


def rows() -> dict[str, list[Row]]:
    """All rows, by kind."""
    points = np.array(POINTS)
    return {
        "activations": [row(call, function, {"x": points}) for call, function in ACTIVATIONS.items()],
        "losses": [row(call, *rest) for call, rest in (LOSSES | losses.ROWS).items()],
        "metrics": [row(call, *rest) for call, rest in METRICS.items()],
        "layers": [layer_row(*entry) for entry in (*LAYERS, *attention.ROWS)],
    }


def spreads() -> dict[str, Any]:
    """Every law's spread, and the fans it was drawn with."""
    return {"fan_in": FAN_IN, "fan_out": FAN_OUT, "laws": {text: spread(law) for text, law in LAWS.items()}}
