"""What a row of the table is: a model in gradc's language, its data, and where the peers' statements of it stand.

A family of rows is a folder such as `mlp/`: its `__init__.py` declares the rows, its `with_torch.py`, `with_jax.py` and
`with_pytensor.py`, as far as its rows have these peers, say the same network in those frameworks. It knows nothing of
timing.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Products = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One row.

    Attributes:
        name: short, for the command line.
        title: as the table shows it.
        family: the folder with the peers' statements.
        text: the model. It decides names, order and shapes of the parameters, which all peers start from.
        data: one batch by name, in the order of the model's inputs and targets.
        options: what the peers' statements are told, such as the layers' sizes.
        products: the matrix products of one step, (m, n, k) each, or (batch, m, n, k) for as many at once; timed alone
            they say what BLAS leaves to win.
        steps: of one lap, which starts from the initial parameters. Short enough that no moment fades to denormals.
        peers: what can train it.
    """

    name: str
    title: str
    family: str
    text: str
    data: Callable[[np.random.Generator], dict[str, Array]]
    options: Mapping[str, Any]
    products: Products
    steps: int
    peers: tuple[str, ...] = ("torch", "compile", "jax")

    @property
    def short(self) -> str:
        """The title without the size of a training batch."""
        return re.sub(r", (batch \d+|\d+ points)$", "", self.title)


def linear(rows: int, inputs: int, outputs: int, *, first: bool = False) -> Products:
    """The products of a linear map of so many rows: forward, by the weights, and by the rows unless it is first."""
    by_rows = () if first else ((rows, inputs, outputs),)
    return ((rows, outputs, inputs), (inputs, outputs, rows), *by_rows)
