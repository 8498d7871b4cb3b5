"""Makes batch_norm.npz: what PyTorch's BatchNorm1d and 2d give in training, and what they predict, in float64.

    python tests/known_answers/batch_norm.py

It needs torch; tests/test_batch_norm.py does not. `flat` is a small network on rows, `pictures` one on pictures, whose
channels are moved last: parameters and running moments at first, and after each of 20 steps of SGD with batches of 5, 5
and 3; the losses, and what is predicted after the last. `value` and `gradient …` are one call of a layer alone.
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

STEPS = 20
BATCHES = ((0, 5), (5, 10), (10, 13))


class Flat(nn.Module):
    """dense, batch_norm with a momentum of its own, tanh, dense, batch_norm."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 3, bias=False)
        self.norm = nn.BatchNorm1d(3, momentum=0.3, eps=1e-3)
        self.second = nn.Linear(3, 2, bias=False)
        self.last = nn.BatchNorm1d(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.second(torch.tanh(self.norm(self.first(x)))))


class Pictures(nn.Module):
    """batch_norm of pictures, then a map of each place."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.last = nn.Conv2d(3, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(F.relu(self.norm(x.movedim(-1, 1)))).movedim(1, -1)


def values_of(model: nn.Module) -> dict[str, np.ndarray]:
    """Parameters and running moments, in the layout that gradc has."""
    kept = {name: t.detach().numpy() for name, t in model.state_dict().items() if not name.endswith("tracked")}
    return {name: np.array(v.reshape(v.shape[:2]).T if v.ndim > 1 else v) for name, v in kept.items()}


def trained(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> dict[str, np.ndarray]:
    """Where 20 steps lead."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name or (name.startswith("last") and parameter.ndim == 1):
                parameter += 0.3 * torch.randn_like(parameter)
    found = {f"initial {name}": value for name, value in values_of(model).items()} | {"x": x.numpy(), "y": y.numpy()}
    optimizer, losses, after = torch.optim.SGD(model.parameters(), 0.1), [], []
    for step in range(STEPS):
        begin, end = BATCHES[step % len(BATCHES)]
        optimizer.zero_grad()
        loss = F.mse_loss(model(x[begin:end]), y[begin:end])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        after.append(values_of(model))
    for name in after[0]:
        found[f"after {name}"] = np.array([values[name] for values in after])
    model.eval()
    with torch.no_grad():
        return found | {"losses": np.array(losses), "predicted": model(x).numpy()}


def alone() -> dict[str, np.ndarray]:
    """One call in training: the value, and the gradients of a weighted sum of it."""
    layer = nn.BatchNorm1d(3)
    x = (2 * torch.randn(4, 3, 5) + 1).requires_grad_()
    weights = torch.randn(4, 3, 5)
    with torch.no_grad():
        layer.weight += torch.randn(3)
        layer.bias += torch.randn(3)
    value = layer(x)
    (value * weights).sum().backward()
    last = {"x": x, "weights": weights, "value": value, "gradient x": x.grad}
    found = {name: tensor.detach().movedim(1, -1).numpy() for name, tensor in last.items() if tensor is not None}
    pairs = (("gain", layer.weight), ("offset", layer.bias))
    found |= {name: parameter.detach().numpy() for name, parameter in pairs}
    found |= {f"gradient {name}": p.grad.numpy() for name, p in pairs if p.grad is not None}
    return found | {"running_mean": layer.running_mean.numpy(), "running_var": layer.running_var.numpy()}


def main() -> None:
    """Writes the file."""
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(20261126)
    parts = {
        "flat": trained(Flat(), torch.randn(13, 4), torch.randn(13, 2)),
        "pictures": trained(Pictures(), torch.randn(13, 4, 2, 3), torch.randn(13, 4, 2, 2)),
        "alone": alone(),
    }
    arrays = {f"{part}/{name}": value for part, found in parts.items() for name, value in found.items()}
    np.savez_compressed(Path(__file__).parent / "batch_norm.npz", made_with=torch.__version__, **arrays)


if __name__ == "__main__":
    main()
