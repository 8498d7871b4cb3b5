"""PyTorch, eager and compiled: autograd, and Adam in its fused or its foreach form."""

import importlib
from typing import Any

import torch

from benchmarks.row import Row

from . import Arrays, Peer, predictor

FORMS = ("fused", "foreach")


def peers(row: Row, arrays: Arrays) -> dict[str, Peer]:
    """Eager."""
    return {form: trained(row, arrays, form) for form in FORMS}


def trained(row: Row, arrays: Arrays, form: str, compiled: str = "") -> Peer:
    """Trains the row with Adam in one form; `compiled` names what of the step torch.compile is given."""
    statement = importlib.import_module(f"benchmarks.{row.family}.with_torch")
    model = statement.network(**row.options)
    first = statement.state({**arrays.params, **arrays.states})
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=form == "fused", foreach=form == "foreach")
    data = tuple(torch.from_numpy(array) for array in arrays.data.values())
    loss_of = torch.compile(statement.loss) if compiled else statement.loss
    update = torch.compile(optimizer.step) if compiled == "optimizer too" else optimizer.step

    def step() -> torch.Tensor:
        optimizer.zero_grad(set_to_none=True)
        loss: torch.Tensor = loss_of(model, *data)
        loss.backward()
        update()
        return loss

    def restart() -> None:
        # in place: new tensors would have torch.compile compile again
        model.load_state_dict(first)
        with torch.no_grad():
            for moments in optimizer.state.values():
                for moment in moments.values():
                    moment.zero_()

    return Peer(step, _wait, restart, _wait)


def predictors(row: Row, arrays: Arrays) -> dict[str, Peer]:
    """Eager, without anything kept for gradients."""
    return {"": predicted(row, arrays)}


def predicted(row: Row, arrays: Arrays, *, compiled: bool = False) -> Peer:
    """Predicts for the row."""
    statement = importlib.import_module(f"benchmarks.{row.family}.with_torch")
    model = statement.network(**row.options)
    model.load_state_dict(statement.state({**arrays.params, **arrays.states}))
    model.eval()
    data = tuple(torch.from_numpy(array) for array in arrays.data.values())
    predict = torch.compile(statement.prediction) if compiled else statement.prediction

    def step() -> torch.Tensor:
        with torch.inference_mode():
            prediction: torch.Tensor = predict(model, *data)
            return prediction

    return predictor(step)


def _wait(loss: Any) -> float:
    return float(loss.item())
