"""The training loop: epochs, batches, validation, interruption.

A session and checked arrays -> a history; the session is moved on in place. The examples of epoch e come in an order
that depends on the seed and e alone, so training that stopped anywhere goes on as if it never had, to the bit.
It checks no arrays (`data.py`), writes no files (`checkpoint.py`) and shows nothing (`progress.py`).
"""

import math
import signal
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Protocol

from gradc.errors import fail

from .batches import Cut, split
from .interface import Array, array_specs, batch_dim
from .notice import GradcWarning
from .session import Position, Session, Settings

EVALUATE_BYTES = 8 * 1024 * 1024
"""Examples evaluated in one call. Beyond it metrics are means over parts, which for one like r2 is an approximation."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """One epoch: its number from 1, the mean loss of its steps, what validation gave, its steps and their seconds."""

    number: int
    loss: float
    validation: dict[str, float]
    steps: int
    seconds: float


@dataclass(slots=True)
class History:
    """What a fit did. `interrupted`: it was ended by Ctrl-C. `rate`: steps a second, the first left out."""

    epochs: list[Epoch] = field(default_factory=list)
    interrupted: bool = False
    rate: float = 0.0

    @property
    def loss(self) -> list[float]:
        """The mean loss of each epoch."""
        return [epoch.loss for epoch in self.epochs]

    @property
    def validation(self) -> list[dict[str, float]]:
        """The loss and metrics on the examples held back, after each epoch; empty where none are."""
        return [epoch.validation for epoch in self.epochs if epoch.validation]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a fit is about to do, for those who show it: epochs `first` to `last`, `steps` each, `done` in the first."""

    first: int
    last: int
    steps: int
    done: int


class Progress(Protocol):
    """Watches a fit. `step` is called often and has to be cheap."""

    def start(self, plan: Plan) -> None: ...
    def step(self, loss: float) -> None: ...
    def epoch(self, epoch: Epoch) -> None: ...
    def finish(self) -> None: ...


class Silent:
    """Progress that nobody watches."""

    def start(self, plan: Plan) -> None: ...
    def step(self, loss: float) -> None: ...
    def epoch(self, epoch: Epoch) -> None: ...
    def finish(self) -> None: ...


def fit(
    session: Session, arrays: Sequence[Array], settings: Settings, epochs: int, progress: Progress | None = None
) -> History:
    """Trains for a number of epochs; what is left of one that was interrupted counts as one.

    Args:
        session: moved on in place, so that it is whole after every step, whatever ends the fit.
        arrays: inputs and targets in order, as `data.prepare` returns them.
        settings: how to cut them. Where the model has no dim to cut along, every step takes all.
        epochs: how many.
        progress: who watches.

    Raises:
        GradcError: the settings do not make sense for the data.
        FloatingPointError: the loss of a step is not finite.
    """
    if epochs < 0:
        raise fail("bad-epochs", f"epochs is a whole number, at least 0, not {epochs}")
    cut = split(arrays, batch_dim(array_specs(session.module)), settings)
    _take_up(session, settings, cut.examples)
    watch = progress or Silent()
    first = session.position.epoch + 1
    history = History()
    clock = _Clock()
    with interruptible() as interrupt:
        watch.start(Plan(first, first + epochs - 1, cut.steps, session.position.step))
        try:
            for number in range(first, first + epochs):
                loss = _train_epoch(session, cut, _Watch(watch, interrupt, clock))
                if loss is None:
                    history.interrupted = True
                    break
                validation = evaluate(session, cut.held_back) if cut.held_back else {}
                history.epochs.append(Epoch(number, loss, validation, cut.steps, clock.lap()))
                watch.epoch(history.epochs[-1])
                if interrupt.requested:
                    history.interrupted = number < first + epochs - 1
                    break
        finally:
            watch.finish()
    history.rate = clock.rate
    return history


def evaluate(session: Session, arrays: Sequence[Array]) -> dict[str, float]:
    """The loss and metrics: in one call up to 8 MB of examples, beyond it the mean over equal parts."""
    module, params = session.module, session.params
    size = sum(array.nbytes for array in arrays)
    if batch_dim(array_specs(module)) is None or size <= EVALUATE_BYTES:
        return module.evaluate(params, *arrays)
    examples = len(arrays[0])
    parts = min(examples, math.ceil(size / EVALUATE_BYTES))
    totals: dict[str, float] = {}
    for part in range(parts):
        begin, end = examples * part // parts, examples * (part + 1) // parts
        for name, value in module.evaluate(params, *(array[begin:end] for array in arrays)).items():
            totals[name] = totals.get(name, 0.0) + value * (end - begin)
    return {name: total / examples for name, total in totals.items()}


# ------------------------------------------------------------------ one epoch


def _take_up(session: Session, settings: Settings, examples: int) -> None:
    """Notes what the position means from now on. One within an epoch that was cut otherwise has no meaning any more."""
    if session.position.step and (session.settings, session.examples) != (settings, examples):
        message = f"epoch {session.position.epoch + 1} was interrupted, and its examples are cut otherwise now: "
        warnings.warn(message + "what was left of it is passed over", GradcWarning, stacklevel=3)
        session.position = Position(session.position.epoch + 1)
    session.settings = settings
    session.examples = examples


@dataclass(slots=True)
class _Clock:
    """Seconds spent in steps. The first step of a fit compiles the kernels, so the rate leaves it out."""

    seconds: float = 0.0
    steps: int = -1
    later_seconds: float = 0.0

    def add(self, seconds: float) -> None:
        self.seconds += seconds
        self.steps += 1
        if self.steps:
            self.later_seconds += seconds

    def lap(self) -> float:
        """The seconds since the last lap."""
        seconds, self.seconds = self.seconds, 0.0
        return seconds

    @property
    def rate(self) -> float:
        return self.steps / self.later_seconds if self.steps > 0 and self.later_seconds > 0.0 else 0.0


@dataclass(frozen=True, slots=True)
class _Watch:
    progress: Progress
    interrupt: "Interrupt"
    clock: _Clock


def _train_epoch(session: Session, cut: Cut, watch: _Watch) -> float | None:
    """What is left of the session's epoch. The mean loss of its steps, or None where it was interrupted."""
    module, params, state = session.module, session.params, session.state
    epoch, step = session.position.epoch, session.position.step
    total, examples = 0.0, 0
    for batch in cut.batches(epoch, step):
        begin = time.perf_counter()
        loss = module.train_step(params, state, *batch)
        watch.clock.add(time.perf_counter() - begin)
        step += 1
        session.position = Position(epoch, step) if step < cut.steps else Position(epoch + 1)
        size = 1 if cut.order is None else len(batch[0])
        total += loss * size
        examples += size
        watch.progress.step(loss)
        if watch.interrupt.requested and step < cut.steps:
            return None
    return total / examples


@dataclass(slots=True)
class Interrupt:
    """Whether Ctrl-C was pressed."""

    requested: bool = False


@contextmanager
def interruptible() -> Iterator[Interrupt]:
    """Ctrl-C inside sets a flag, for the loop to end after its step; a second one ends at once, as usual.

    Only the main thread can catch it, and a program with a handler of its own keeps it.
    """
    interrupt = Interrupt()
    own = threading.current_thread() is threading.main_thread()
    if not own or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield interrupt
        return

    def first(number: int, frame: FrameType | None) -> None:
        interrupt.requested = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, first)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
