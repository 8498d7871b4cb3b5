"""Burgers' equation in PyTorch, by gradients of gradients."""

import math
from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn

from benchmarks.row import Array


def network(sizes: tuple[int, ...]) -> nn.Module:
    """Linear layers with tanh between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.Tanh()]
    return nn.Sequential(*layers[:-1])


def state(arrays: Mapping[str, Array]) -> dict[str, Tensor]:
    """The parameters as the network's, whose every other layer is linear; PyTorch has outputs first."""
    layers = {name.rpartition(".")[0]: None for name in arrays}
    return {
        f"{2 * n}.{kind}": torch.from_numpy(arrays[f"{layer}.{kind}"].T)
        for n, layer in enumerate(layers)
        for kind in ("weight", "bias")
    }


def value(model: nn.Module, place: Tensor, time: Tensor) -> Tensor:
    """At each point."""
    v: Tensor = model(torch.stack([place, time], 1))[:, 0]
    return -torch.sin(math.pi * place) + time * (1 - place**2) * v


def prediction(model: nn.Module, q: Tensor) -> Tensor:
    """The value at each point."""
    return value(model, *q.unbind(1))


def loss(model: nn.Module, q: Tensor) -> Tensor:
    """The loss of one batch of points."""
    place, time = (part.requires_grad_() for part in q.unbind(1))
    u = value(model, place, time)
    ones = torch.ones_like(u)
    ux, ut = torch.autograd.grad(u, (place, time), ones, create_graph=True)
    (uxx,) = torch.autograd.grad(ux, place, ones, create_graph=True)
    return torch.mean((ut + u * ux - 0.01 / math.pi * uxx) ** 2)
