"""Showing a fit as plain lines, where there is no terminal for a bar (`bar.py`).

Implements `training.Progress`.
"""

from collections.abc import Callable, Mapping, Sequence

from .training import Epoch, Plan

MOST_LINES = 40


def described(values: Mapping[str, float]) -> str:
    """Loss and metrics in a row: loss 0.1021, accuracy 0.9722."""
    return ", ".join(f"{name} {value:.4g}" for name, value in values.items())


class Lines:
    """A line for each epoch, or for every so many where there are more than 40."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._last = 0
        self._every = 1

    def start(self, plan: Plan) -> None:
        """Chooses how many epochs a line stands for."""
        self._last = plan.last
        self._every = -(-(plan.last - plan.first + 1) // MOST_LINES)

    def steps(self, losses: Sequence[float]) -> None: ...

    def epoch(self, epoch: Epoch) -> None:
        """Writes the line, if it is its turn."""
        if epoch.number % self._every and epoch.number != self._last:
            return
        number = f"{epoch.number:>{len(str(self._last))}}/{self._last}"
        validation = f"; validation {described(epoch.validation)}" if epoch.validation else ""
        self._write(f"epoch {number}: loss {epoch.loss:.4g}{validation}")

    def finish(self) -> None: ...
