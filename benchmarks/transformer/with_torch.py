"""The transformer in PyTorch: queries, keys and values by one product, attention by its fused function."""

from collections import OrderedDict
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.row import Array

LAYERS = {"norm": "norm", "norm_2": "norm_2", "attended.out": "out", "inner": "inner", "outer": "outer"}
LAST = {"logits.layer_norm": "norm", "logits.dense": "logits"}
KINDS = {"gain": "weight", "offset": "bias"}


class Block(nn.Module):
    """Attention and two linear layers, each on the norm of what it is added to."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.inner, self.outer = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """[batch, time, width] -> the same."""
        # [3, batch, heads, time, size]
        q, k, v = self.qkv(self.norm(x)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(seen.transpose(1, 2).flatten(2))
        outer: Tensor = self.outer(functional.gelu(self.inner(self.norm_2(x))))
        return x + outer


class Network(nn.Module):
    """Signs and places, blocks, a norm, a linear layer."""

    def __init__(self, time: int, signs: int, width: int, heads: int, blocks: int) -> None:
        super().__init__()
        self.seen = nn.Embedding(signs, width)
        self.place = nn.Parameter(torch.empty(time, width))
        # named as the model's are: its h is what the first block is given
        self.blocks = nn.Sequential(OrderedDict((f"{2 + n}", Block(width, heads)) for n in range(blocks)))
        self.norm, self.logits = nn.LayerNorm(width), nn.Linear(width, signs)

    def forward(self, x: Tensor) -> Tensor:
        """[batch, time] -> [batch, time, signs]."""
        logits: Tensor = self.logits(self.norm(self.blocks(self.seen(x) + self.place)))
        return logits


def network(**sizes: int) -> nn.Module:
    """The network."""
    return Network(**sizes)


def state(arrays: Mapping[str, Array]) -> dict[str, Tensor]:
    """The parameters under PyTorch's names, outputs first, all heads in one axis."""
    found = {"place": torch.from_numpy(arrays["place"]), "seen.weight": torch.from_numpy(arrays["seen.weight"])}
    for name, array in arrays.items():
        layer, _, kind = name.rpartition(".")
        block, _, part = layer.partition(".")
        ours, value = KINDS.get(kind, kind), torch.from_numpy(array)
        place = f"blocks.{block.removeprefix('h_')}"
        if layer in LAST:
            found[f"{LAST[layer]}.{ours}"] = outputs_first(value)
        elif part in LAYERS:
            found[f"{place}.{LAYERS[part]}.{ours}"] = outputs_first(value)
        elif part == "attended.q":
            three = (torch.from_numpy(arrays[f"{block}.attended.{one}.{kind}"]).flatten(-2) for one in "qkv")
            found[f"{place}.qkv.{kind}"] = torch.cat([outputs_first(value) for value in three])
    return found


def outputs_first(value: Tensor) -> Tensor:
    """A weight [inputs …, outputs] turned round; a vector as it is."""
    return value.flatten(0, -2).T if value.ndim > 1 else value


def prediction(model: nn.Module, x: Tensor) -> Tensor:
    """Of one batch."""
    return torch.softmax(model(x), 2)


def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """The loss of one batch."""
    return functional.cross_entropy(model(x).flatten(0, 1), y.flatten())
