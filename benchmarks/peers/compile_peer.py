"""torch.compile: forward and backward compiled by Inductor; the optimizer fused, or compiled too."""

from benchmarks.row import Row

from . import Arrays, Peer
from .torch_peer import predicted, trained


def peers(row: Row, arrays: Arrays) -> dict[str, Peer]:
    """Forward and backward compiled; the optimizer as well."""
    return {
        "fused": trained(row, arrays, "fused", compiled="loss"),
        "optimizer compiled": trained(row, arrays, "foreach", compiled="optimizer too"),
    }


def predictors(row: Row, arrays: Arrays) -> dict[str, Peer]:
    """The prediction compiled."""
    return {"": predicted(row, arrays, compiled=True)}
