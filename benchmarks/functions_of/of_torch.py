"""PyTorch's functions, into a tensor that is there. Writes nanoseconds a number as JSON."""

import json
import sys

import torch
from clock import cost


def of(name: str, dtype: str, numbers: int) -> float:
    """A function's cost."""
    x = torch.rand(numbers, dtype=getattr(torch, dtype)) * 3.9 + 0.1
    y = torch.empty_like(x)
    calls = {
        "pow": lambda: torch.pow(x, 1.7, out=y),
        "softplus": lambda: torch._C._nn.softplus(x, out=y),
        "erf": lambda: torch.special.erf(x, out=y),
    }
    call = calls.get(name, lambda: getattr(torch, name)(x, out=y))
    call()
    return cost(call, numbers)


torch.set_num_threads(1)
with torch.no_grad():
    sizes = int(sys.argv[1])
    found = {name: {dtype: of(name, dtype, sizes) for dtype in ("float32", "float64")} for name in sys.argv[2:]}
sys.stdout.write(json.dumps(found))
