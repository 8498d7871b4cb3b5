"""The perceptron in PyTorch."""

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.row import Array


def network(sizes: tuple[int, ...]) -> nn.Module:
    """Linear layers with relu between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def state(arrays: Mapping[str, Array]) -> dict[str, Tensor]:
    """The parameters as the network's, whose every other layer is linear; PyTorch has weights the other way round."""
    layers = {name.rpartition(".")[0]: None for name in arrays}
    return {
        f"{2 * n}.{kind}": torch.from_numpy(arrays[f"{layer}.{kind}"].T.copy())
        for n, layer in enumerate(layers)
        for kind in ("weight", "bias")
    }


def prediction(model: nn.Module, x: Tensor) -> Tensor:
    """Of one batch."""
    return torch.softmax(model(x), 1)


def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """The loss of one batch."""
    return functional.cross_entropy(model(x), y)
