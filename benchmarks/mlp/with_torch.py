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


def parameters(arrays: Mapping[str, Array]) -> list[Tensor]:
    """The initial parameters in the network's order; PyTorch stores weights the other way round."""
    return [torch.from_numpy(array.T.copy()) for array in arrays.values()]


def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """The loss of one batch."""
    return functional.cross_entropy(model(x), y)
