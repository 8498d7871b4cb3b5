"""The autoencoder in PyTorch."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.row import Array


class Network(nn.Module):
    """Its layers have the names of the model's; centre and spread are one product."""

    def __init__(self, pixels: int, hidden: int, codes: int) -> None:
        super().__init__()
        self.h, self.codes = nn.Linear(pixels, hidden), nn.Linear(hidden, 2 * codes)
        self.g, self.logits = nn.Linear(codes, hidden), nn.Linear(hidden, pixels)

    def forward(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[batch, pixels], [batch, codes] -> logits [batch, pixels]; centre and spread of the codes."""
        centre, spread = self.codes(functional.relu(self.h(x))).chunk(2, 1)
        z = centre + torch.exp(spread) * noise
        return self.logits(functional.relu(self.g(z))), centre, spread


def network(sizes: tuple[int, int, int]) -> nn.Module:
    """The network."""
    return Network(*sizes)


def state(arrays: Mapping[str, Array]) -> dict[str, Tensor]:
    """The parameters as the network's; PyTorch has outputs first."""
    value = {name: torch.from_numpy(array.T) for name, array in arrays.items()}
    found = {name: value[name] for name in arrays if name.partition(".")[0] in ("h", "g", "logits")}
    both = {
        f"codes.{kind}": torch.cat([value[f"centre.{kind}"], value[f"spread.{kind}"]]) for kind in ("weight", "bias")
    }
    return found | both


def prediction(model: nn.Module, x: Tensor, noise: Tensor) -> Tensor:
    """Of one batch."""
    logits: Tensor = model(x, noise)[0]
    return torch.sigmoid(logits)


def loss(model: nn.Module, x: Tensor, noise: Tensor) -> Tensor:
    """The loss of one batch."""
    logits, centre, spread = model(x, noise)
    far = functional.binary_cross_entropy_with_logits(logits, x, reduction="sum")
    told = torch.sum((centre**2 + torch.exp(2 * spread) - 1) / 2 - spread)
    return (far + told) / len(x)
