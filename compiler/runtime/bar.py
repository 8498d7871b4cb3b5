"""Showing a fit as a bar, in a terminal or a notebook.

Implements `training.Progress`. Names come from a model file, so nothing is read as markup. Rich is imported here, and
this module only where there is someone to see a bar.
"""

import time
from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from .progress import described
from .training import Epoch, Plan

SECONDS_BETWEEN = 0.1


class Bar:
    """A progress bar over all steps, with the last loss and what the last validation gave."""

    def __init__(self, console: Console) -> None:
        columns = (
            TextColumn("epoch {task.fields[epoch]}/{task.fields[last]}", markup=False),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[told]}", markup=False),
            TimeRemainingColumn(compact=True),
        )
        self._bar = RichProgress(*columns, console=console)
        self._task = self._bar.add_task("", start=False, total=None, epoch=0, last=0, told="")
        self._done = 0
        self._shown_at = 0.0
        self._validation = ""

    def start(self, plan: Plan) -> None:
        """Shows the bar."""
        self._done = plan.done
        total = (plan.last - plan.first + 1) * plan.steps
        told = "compiling"  # the first step does
        self._bar.update(self._task, total=total, completed=plan.done, epoch=plan.first, last=plan.last, told=told)
        self._bar.start_task(self._task)
        self._bar.start()

    def steps(self, losses: Sequence[float]) -> None:
        """Counts them; moves the bar ten times a second at most."""
        self._done += len(losses)
        now = time.monotonic()
        if now - self._shown_at >= SECONDS_BETWEEN:
            self._shown_at = now
            self._bar.update(self._task, completed=self._done, told=f"loss {losses[-1]:.4g}{self._validation}")

    def epoch(self, epoch: Epoch) -> None:
        """Shows the epoch's mean loss and validation."""
        if epoch.validation:
            self._validation = f"; validation {described(epoch.validation)}"
        told = f"loss {epoch.loss:.4g}{self._validation}"
        last = self._bar.tasks[0].fields["last"]
        self._bar.update(self._task, completed=self._done, epoch=min(epoch.number + 1, last), told=told)

    def finish(self) -> None:
        """Leaves the bar as it stands."""
        self._bar.stop()
