"""The training loop: epochs, batches, validation, interruption.

A session and checked arrays -> a history; the session is moved on in place. The examples of epoch e come in an order
that depends on the seed and e alone, so training that stopped anywhere goes on as if it never had, to the bit.
It checks no arrays (`data.py`), writes no files (`checkpoint.py`) and shows nothing (`progress.py`).
"""

import math
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from numbers import Integral
from typing import Protocol

from gradc.errors import GradcWarning, fail

from .batches import Cut, split
from .data import fingerprint
from .interface import Array
from .interrupt import Interrupt, interruptible
from .retreat import retreat
from .session import Position, Session, Settings

CALL_SECONDS = 0.05
"""As many steps are taken in one call as take about this long: Ctrl-C waits for its end, a bar moves after it."""
MOST_GROWTH = 8
"""How many times as many steps the next call takes at most, as the time of the last may have been a bad measure."""
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
    """Watches a fit. `steps` is told the losses of the steps that were taken at once, one or many."""

    def start(self, plan: Plan) -> None: ...
    def steps(self, losses: Sequence[float]) -> None: ...
    def epoch(self, epoch: Epoch) -> None: ...
    def finish(self) -> None: ...


class Silent:
    """Progress that nobody watches."""

    def start(self, plan: Plan) -> None: ...
    def steps(self, losses: Sequence[float]) -> None: ...
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
        FloatingPointError: the loss of a step is not finite, or weights have become NaN. The session is again as it was
            at the end of an epoch before, or at the start: what such a step makes of the parameters is of no use.
    """
    if not isinstance(epochs, Integral) or epochs < 0:
        raise fail(
            "bad-epochs",
            f"epochs is a whole number, at least 0, not {epochs!r}",
            "epochs = 30 goes 30 times through the data",
        )
    epochs = int(epochs)
    cut = split(arrays, session.module.BATCH, settings)
    _take_up(session, cut.settings, cut.examples, fingerprint(arrays))
    first = session.position.epoch + 1
    plan = Plan(first, first + epochs - 1, cut.steps, session.position.step)
    watch = progress or Silent()
    with interruptible() as interrupt:
        watch.start(plan)
        try:
            return _train(session, cut, plan, watch, interrupt)
        finally:
            watch.finish()


def evaluate(session: Session, arrays: Sequence[Array]) -> dict[str, float]:
    """The loss and metrics: in one call up to 8 MB of examples, beyond it the mean over equal parts."""
    module, params = session.module, session.params
    size = sum(array.nbytes for array in arrays)
    if module.BATCH is None or size <= EVALUATE_BYTES:
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


def departures(session: Session, arrays: Sequence[Array], settings: Settings) -> tuple[list[str], bool]:
    """What is otherwise than in the session's last fit, so that training would not go on as if it had never stopped.

    And whether other examples are held back now.
    """
    before, found = session.settings, []
    if session.data and fingerprint(arrays) != session.data:
        count = split(arrays, session.module.BATCH, settings).examples
        numbers = "with other numbers in them" if count == session.examples else f"before: {session.examples:,}"
        found.append(f"other data ({count:,} examples to train on, {numbers})")
    if settings.validation != before.validation:
        found.append(f"validation {settings.validation:g} (before: {before.validation:g})")
    mixed = bool(found) and settings.validation > 0
    if settings.batch != before.batch:
        found.append(f"batch {settings.batch} (before: {before.batch})")
    return found, mixed


def _take_up(session: Session, settings: Settings, examples: int, data: str) -> None:
    """Notes what the position means from now on. One within an epoch that was cut otherwise has no meaning any more."""
    cut_before = session.settings, session.examples, session.data or data
    if session.position.step and cut_before != (settings, examples, data):
        message = f"epoch {session.position.epoch + 1} was interrupted, and its examples are cut otherwise now: "
        warnings.warn(message + "what was left of it is passed over", GradcWarning, stacklevel=4)
        session.position = Position(session.position.epoch + 1)
    session.settings = settings
    session.examples = examples
    session.data = data


@dataclass(slots=True)
class _Clock:
    """Steps and their seconds, and how many steps the next call takes.

    The first step of a fit compiles the kernels, so it is left out.
    """

    steps: int = 0
    seconds: float = 0.0
    cold: bool = True
    next: int = 1

    @property
    def rate(self) -> float:
        return self.steps / self.seconds if self.seconds > 0.0 else 0.0

    def most(self) -> int:
        """How many steps the next call may take."""
        return self.next

    def took(self, steps: int, seconds: float) -> None:
        """Counts a call, and chooses how many steps the next one takes."""
        if self.cold:
            self.cold = False
            return
        self.steps += steps
        self.seconds += seconds
        self.next = max(1, min(MOST_GROWTH * self.next, int(steps * CALL_SECONDS / max(seconds, 1e-9))))


def _train(session: Session, cut: Cut, plan: Plan, watch: Progress, interrupt: Interrupt) -> History:
    history, clock, reached = History(), _Clock(), retreat(session)
    for number in range(plan.first, plan.last + 1):
        begin = time.perf_counter()
        try:
            loss = _train_epoch(session, cut, watch, interrupt, clock)
            if loss is not None:
                reached.keep(session, last=interrupt.requested or number == plan.last)
        except FloatingPointError as error:
            reached.back(session)
            error.add_note(f"the parameters are again as they were after step {reached.copy.step}")
            raise
        if loss is None:
            history.interrupted = True
            break
        seconds = time.perf_counter() - begin
        validation = evaluate(session, cut.held_back) if cut.held_back else {}
        history.epochs.append(Epoch(number, loss, validation, cut.steps, seconds))
        watch.epoch(history.epochs[-1])
        if interrupt.requested:
            history.interrupted = number < plan.last
            break
    history.rate = clock.rate
    return history


def _train_epoch(session: Session, cut: Cut, watch: Progress, interrupt: Interrupt, clock: _Clock) -> float | None:
    """What is left of the session's epoch. The mean loss of its steps, or None where it was interrupted.

    A step may take 10 µs, so what is done here for every one is counted in fractions of one.
    """
    params, state, train_steps = session.params, session.state, session.module.train_steps
    position, before, last = session.position, session.state.step, cut.steps - session.position.step
    total, examples, done = 0.0, 0, 0
    begin = time.perf_counter()
    try:
        for steps, arrays in cut.blocks(position.epoch, position.step, clock.most):
            losses = train_steps(params, state, steps, *arrays)
            size = 1 if cut.order is None else len(arrays[0]) // steps
            losses = losses.tolist()
            for loss in losses:
                total += loss * size
            watch.steps(losses)
            done += steps
            examples += steps * size
            begin, started = time.perf_counter(), begin
            clock.took(steps, begin - started)
            if interrupt.requested and done < last:
                return None
    finally:
        # the state counts its steps itself, whatever breaks into the loop
        step = position.step + state.step - before
        session.position = Position(position.epoch, step) if step < cut.steps else Position(position.epoch + 1)
    return total / examples
