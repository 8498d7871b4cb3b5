"""The convolutional network in PyTorch, in its channels-last memory format."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.row import Array


class Places(nn.Module):
    """Rows, columns and channels as one axis, channels last: of what lies so in memory, a view."""

    def forward(self, x: Tensor) -> Tensor:
        """[batch, channels, rows, columns] -> [batch, features]."""
        return x.permute(0, 2, 3, 1).flatten(1)


def network(side: int, filters: tuple[int, int], hidden: int) -> nn.Module:
    """Two convolutions, each with relu and a pool; two linear layers."""
    first, second = filters
    layers = nn.Sequential(
        nn.Conv2d(1, first, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(first, second, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        Places(),
        nn.Linear((side // 4) ** 2 * second, hidden),
        nn.ReLU(),
        nn.Linear(hidden, 10),
    )
    return layers.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def state(arrays: Mapping[str, Array]) -> dict[str, Tensor]:
    """The parameters as the network's; PyTorch has a layer's outputs first, its inputs next."""
    found = {}
    for layer, place in {"h": 0, "h_2": 3, "f": 7, "logits": 9}.items():
        weight = torch.from_numpy(arrays[f"{layer}.weight"])
        found[f"{place}.weight"] = weight.permute(3, 2, 0, 1) if weight.ndim == 4 else weight.T
        found[f"{place}.bias"] = torch.from_numpy(arrays[f"{layer}.bias"])
    return found


def prediction(model: nn.Module, x: Tensor) -> Tensor:
    """Of one batch."""
    return torch.softmax(model(x.permute(0, 3, 1, 2)), 1)


def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """The loss of one batch."""
    return functional.cross_entropy(model(x.permute(0, 3, 1, 2)), y)
