"""The residual network in PyTorch, in its channels-last memory format."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.row import Array

KINDS = {"gain": "weight", "offset": "bias"}


def conv(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> nn.Sequential:
    """A convolution and its norm."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False), nn.BatchNorm2d(outputs)
    )


class Block(nn.Module):
    """Two convolutions beside x, or beside its projection where they make it smaller."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.inner, self.outer = conv(inputs, outputs, stride=stride), conv(outputs, outputs)
        self.short = conv(inputs, outputs, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """[batch, inputs, rows, columns] -> [batch, outputs, rows / stride, columns / stride]."""
        outer = self.outer(functional.relu(self.inner(x), inplace=True))
        return functional.relu(outer + self.short(x), inplace=True)


class Network(nn.Module):
    """Its layers have the names of the model's."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.h, self.h_2 = conv(3, width), Block(width, width, 1)
        self.h_3, self.h_4 = Block(width, 2 * width, 2), Block(2 * width, 4 * width, 2)
        self.logits = nn.Linear(4 * width, 10)

    def forward(self, x: Tensor) -> Tensor:
        """[batch, 3, rows, columns] -> [batch, 10]."""
        x = functional.relu(self.h(x), inplace=True)
        x = self.h_4(self.h_3(self.h_2(x)))
        logits: Tensor = self.logits(x.mean((2, 3)))
        return logits


def network(width: int) -> nn.Module:
    """The network."""
    return Network(width).to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def state(arrays: Mapping[str, Array]) -> dict[str, Tensor]:
    """The parameters and running moments under PyTorch's names: `h_2.inner.0.weight`, `h_2.inner.1.running_mean`."""
    found = {}
    for name, array in arrays.items():
        layer, _, kind = name.rpartition(".")
        value = torch.from_numpy(array)
        if "batch_norm" in layer:
            layer = layer.replace("batch_norm", "1")
            found[f"{layer}.num_batches_tracked"] = torch.tensor(0)
        elif value.ndim == 4:
            layer, value = f"{layer.partition('.conv')[0].removesuffix('.halve')}.0", value.permute(3, 2, 0, 1)
        found[f"{layer}.{KINDS.get(kind, kind)}"] = value.T if value.ndim == 2 else value
    return found


def prediction(model: nn.Module, x: Tensor) -> Tensor:
    """Of one batch."""
    return torch.softmax(model(x.permute(0, 3, 1, 2)), 1)


def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """The loss of one batch."""
    return functional.cross_entropy(model(x.permute(0, 3, 1, 2)), y)
