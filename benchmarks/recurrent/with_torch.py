"""The recurrent networks in PyTorch, by its fused LSTM and GRU.

PyTorch's layers have two biases where the model has one, and Adam would move their sum twice as far: what the model
does not have is zeros here, not trained.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.row import Array

GATES = {"lstm": 4, "gru": 3}


class Recurrent(nn.Module):
    """One layer, from the state 0."""

    def __init__(self, layer: str, width: int, units: int) -> None:
        super().__init__()
        gates = GATES[layer] * units
        self.layer = layer
        self.wx, self.wh = nn.Parameter(torch.empty(gates, width)), nn.Parameter(torch.empty(gates, units))
        self.bias = nn.Parameter(torch.empty(gates))
        if layer == "gru":
            self.bias_h = nn.Parameter(torch.empty(units))

    # torch.compile would unroll the steps: seven minutes, and five times as slow. nn.LSTM it leaves alone by itself
    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def forward(self, x: Tensor) -> Tensor:
        """[batch, time, width] -> [batch, time, units]."""
        start = x.new_zeros(1, len(x), self.wh.shape[1])
        if self.layer == "lstm":
            weights = (self.wx, self.wh, self.bias, torch.zeros_like(self.bias))
            return torch.lstm(x, (start, start), weights, True, 1, 0.0, True, False, True)[0]
        # the candidate's bias inside of the reset gate's product
        bias_h = torch.cat([self.bias.new_zeros(2 * len(self.bias_h)), self.bias_h])
        return torch.gru(x, start, (self.wx, self.wh, self.bias, bias_h), True, 1, 0.0, True, False, True)[0]


def network(layer: str, sizes: tuple[int, int, int]) -> nn.Module:
    """Embedding, recurrent layer, linear layer."""
    signs, width, units = sizes
    return nn.Sequential(nn.Embedding(signs, width), Recurrent(layer, width, units), nn.Linear(units, signs))


def state(arrays: Mapping[str, Array]) -> dict[str, Tensor]:
    """The parameters as the network's; PyTorch has outputs first, all gates in one axis."""
    found = {}
    for name, array in arrays.items():
        layer, _, kind = name.rpartition(".")
        place = 0 if "embedding" in layer else 2 if layer == "logits" else 1
        value = torch.from_numpy(array)
        if place == 1:
            value = value.flatten(-2) if value.ndim > 1 else value
        found[f"{place}.{kind}"] = value.T if place and value.ndim > 1 else value
    return found


def prediction(model: nn.Module, x: Tensor) -> Tensor:
    """Of one batch."""
    return torch.softmax(model(x), 2)


def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """The loss of one batch."""
    return functional.cross_entropy(model(x).flatten(0, 1), y.flatten())
