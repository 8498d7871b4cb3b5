"""What PyTorch gives for norms, attention, positions and a transformer's block. It writes nothing: see make.py."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

Function = Callable[..., torch.Tensor]
Values = dict[str, np.ndarray]

RNG = np.random.default_rng(20261127)
RANGES = {"m": 2}


def _normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).round(3)


def channels_first(function: Function) -> Function:
    """A function of PyTorch's pictures, [n, c, h, w], for those of gradc, [n, h, w, c]."""
    return lambda x, *rest: torch.movedim(function(torch.movedim(x, -1, 1), *rest), 1, -1)


def _multihead(name: str, parameters: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """gradc's parameters of attention under the names, and in the shapes, of PyTorch's MultiheadAttention."""

    def weight(part: str, inner: int) -> torch.Tensor:
        return parameters[f"{part}.weight"].reshape(inner, -1).T

    width = parameters["out.bias"].numel()
    parts = [weight(part, parameters[f"{part}.weight"].shape[0]) for part in "qkv"]
    biases = torch.cat([parameters[f"{part}.bias"].reshape(-1) for part in "qkv"])
    ours = {"in_proj_bias": biases, "out_proj.weight": weight("out", width), "out_proj.bias": parameters["out.bias"]}
    if parts[0].shape == parts[1].shape:
        ours |= {"in_proj_weight": torch.cat(parts)}
    else:
        ours |= {f"{part}_proj_weight": value for part, value in zip("qkv", parts, strict=True)}
    return {f"{name}{key}": value for key, value in ours.items()}


def multihead(names: list[str], causal: bool = False, masked: bool = False, memory: bool = False) -> Function:
    """PyTorch's MultiheadAttention with two heads by gradc's parameters."""

    def function(x: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        other, rest = (rest[0], rest[1:]) if memory else (x, rest)
        mask, rest = (rest[0] == 0, rest[1:]) if masked else (None, rest)
        width, wide = x.shape[2], other.shape[2]
        layer = torch.nn.MultiheadAttention(width, 2, batch_first=True, kdim=wide, vdim=wide, device="meta")
        unseen = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1) if causal else None
        unseen = mask.repeat_interleave(2, 0) if mask is not None else unseen
        weights = _multihead("", dict(zip(names, rest, strict=True)))
        options = {"need_weights": False, "attn_mask": unseen}
        return torch.func.functional_call(layer, weights, (x, other, other), options)[0]

    return function


def encoder_layer(names: list[str], hidden: int, activation: str = "gelu") -> Function:
    """PyTorch's TransformerEncoderLayer with norms first and two heads, causal, by gradc's parameters."""

    def function(x: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        layer = torch.nn.TransformerEncoderLayer(
            x.shape[2], 2, hidden, dropout=0, activation=activation, batch_first=True, norm_first=True, device="meta"
        )
        given = dict(zip(names, rest, strict=True))
        inside = {name.removeprefix("attended."): value for name, value in given.items() if "attended." in name}
        weights = _multihead("self_attn.", inside)
        for ours, theirs in {"norm": "norm1", "norm_2": "norm2"}.items():
            weights |= {f"{theirs}.weight": given[f"{ours}.gain"], f"{theirs}.bias": given[f"{ours}.offset"]}
        for ours, theirs in {"inner": "linear1", "outer": "linear2"}.items():
            weights |= {f"{theirs}.weight": given[f"{ours}.weight"].T, f"{theirs}.bias": given[f"{ours}.bias"]}
        unseen = torch.nn.Transformer.generate_square_subsequent_mask(x.shape[1])
        return torch.func.functional_call(layer, weights, (x,), {"src_mask": unseen, "is_causal": True})

    return function


def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *mask: torch.Tensor, **more: Any) -> torch.Tensor:
    q, k, v = (each.transpose(1, 2) for each in (q, k, v))
    seen = mask[0][:, None] == 1 if mask else None
    return F.scaled_dot_product_attention(q, k, v, attn_mask=seen, **more).transpose(1, 2)


def into_heads(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    return torch.einsum("bti,ihd->bthd", x, weight) + bias


def out_of_heads(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    return torch.einsum("bthd,hdo->bto", x, weight) + bias


def sinusoidal(x: torch.Tensor, base: float = 10000) -> torch.Tensor:
    places, features = x.shape[-2:]
    turns = [[t / base ** (2 * (c // 2) / features) for c in range(features)] for t in range(places)]
    return x + torch.tensor([[np.cos(a) if c % 2 else np.sin(a) for c, a in enumerate(row)] for row in turns])


def rotary(x: torch.Tensor, base: float = 10000) -> torch.Tensor:
    """Pairs of features as complex numbers, as in RoFormer's equation 12."""
    pairs = torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2))
    shape = [1, x.shape[1], *[1] * (x.dim() - 3), pairs.shape[-1]]
    turns = [[t * base ** (-2 * n / x.shape[-1]) for n in range(pairs.shape[-1])] for t in range(x.shape[1])]
    turned = pairs * torch.exp(1j * torch.tensor(turns).reshape(shape))
    return torch.view_as_real(turned).reshape(x.shape)


SERIES = _normal(2, 4, 3)
PICTURE = _normal(2, 3, 2, 4)
GAIN = {"gain": _normal(4), "offset": _normal(4)}
WIDE, MEMORY = _normal(2, 3, 4), _normal(2, 5, 3)
Q, K, V = _normal(2, 3, 2, 4), _normal(2, 3, 2, 4), _normal(2, 3, 2, 3)
SEEN = np.array([[[1, 0, 1], [0, 1, 0], [1, 1, 1]], [[0, 0, 1], [1, 1, 0], [1, 0, 0]]])


def attention_parameters(width: int, wide: int) -> dict[str, np.ndarray]:
    half = width // 2
    parts = {f"{part}.weight": _normal(width if part == "q" else wide, 2, half) for part in "qkv"}
    biases = {f"{part}.bias": _normal(2, half) for part in "qkv"}
    named = {name: (parts | biases)[name] for part in "qkv" for name in (f"{part}.weight", f"{part}.bias")}
    return named | {"out.weight": _normal(2, half, width), "out.bias": _normal(width)}


OWN, CROSSED = attention_parameters(4, 4), attention_parameters(4, 3)
BLOCK = {
    **{f"norm.{name}": value for name, value in GAIN.items()},
    **{f"attended.{name}": value for name, value in OWN.items()},
    **{f"norm_2.{name}": value for name, value in GAIN.items()},
    **{
        "inner.weight": _normal(4, 6),
        "inner.bias": _normal(6),
        "outer.weight": _normal(6, 4),
        "outer.bias": _normal(4),
    },
}
ROWS: list[tuple[str, Function, Values, Values]] = [
    ("layer_norm(w)", lambda x, g, b: F.layer_norm(x, (4,), g, b), {"w": WIDE}, GAIN),
    ("layer_norm(w, eps = 0.1)", lambda x, g, b: F.layer_norm(x, (4,), g, b, 0.1), {"w": WIDE}, GAIN),
    ("rms_norm(w)", lambda x, g: F.rms_norm(x, (4,), g, 1e-5), {"w": WIDE}, {"gain": GAIN["gain"]}),
    (
        "group_norm(image, 2)",
        channels_first(lambda x, g, b: F.group_norm(x, 2, g, b)),
        {"image": PICTURE},
        GAIN,
    ),
    ("group_norm(w, 1)", channels_first(lambda x, g, b: F.group_norm(x, 1, g, b)), {"w": WIDE}, GAIN),
    ("instance_norm(image)", channels_first(F.instance_norm), {"image": PICTURE}, {}),
    (
        "instance_norm(image, affine = true)",
        channels_first(lambda x, g, b: F.instance_norm(x, weight=g, bias=b)),
        {"image": PICTURE},
        GAIN,
    ),
    ("attend(q, k, v)", attend, {"q": Q, "k": K, "v": V}, {}),
    ("attend(q, k, v, causal = true)", lambda *x: attend(*x, is_causal=True), {"q": Q, "k": K, "v": V}, {}),
    ("attend(q, k, v, mask = 1 == m)", attend, {"q": Q, "k": K, "v": V, "m": SEEN}, {}),
    (
        "into_heads(s, 2, 4)",
        into_heads,
        {"s": SERIES},
        {"weight": _normal(3, 2, 4), "bias": _normal(2, 4)},
    ),
    ("out_of_heads(q, 3)", out_of_heads, {"q": Q}, {"weight": _normal(2, 4, 3), "bias": _normal(3)}),
    ("attention(w, 2)", multihead(list(OWN)), {"w": WIDE}, OWN),
    ("attention(w, 2, causal = true)", multihead(list(OWN), causal=True), {"w": WIDE}, OWN),
    ("attention(w, 2, mask = 1 == m)", multihead(list(OWN), masked=True), {"w": WIDE, "m": SEEN}, OWN),
    (
        "attention(w, 2, memory = u)",
        multihead(list(CROSSED), memory=True),
        {"w": WIDE, "u": MEMORY},
        CROSSED,
    ),
    ("transformer_block(w, 2, 6, causal = true)", encoder_layer(list(BLOCK), 6), {"w": WIDE}, BLOCK),
    (
        "transformer_block(w, 2, 6, causal = true, activation = relu)",
        encoder_layer(list(BLOCK), 6, "relu"),
        {"w": WIDE},
        BLOCK,
    ),
    ("sinusoidal_positions(w)", sinusoidal, {"w": WIDE}, {}),
    ("sinusoidal_positions(s, base = 100)", lambda x: sinusoidal(x, 100), {"s": SERIES}, {}),
    ("rotary_positions(q)", rotary, {"q": Q}, {}),
    ("rotary_positions(w, base = 100)", lambda x: rotary(x, 100), {"w": WIDE}, {}),
]
