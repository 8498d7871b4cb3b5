"""What training carries: the weights, the optimizers' state, and how far it has come.

`training.py` moves it on, `checkpoint.py` writes and reads it, `model.py` owns one. It computes nothing.
"""

from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np

from gradc.errors import Diagnostic, GradcError, fail

from .interface import Array, Emitted, Flat, State


@dataclass(frozen=True, slots=True)
class Position:
    """Where training stands: `epoch` epochs are done, and `step` steps of the next one."""

    epoch: int = 0
    step: int = 0


@dataclass(frozen=True, slots=True)
class Settings:
    """How data is cut: examples in a batch, the fraction held back for validation, the seed of split and order."""

    batch: int = 32
    validation: float = 0.0
    seed: int = 0


@dataclass(slots=True)
class Session:
    """One model being trained.

    `settings`, `examples` and `data` (a hash of the arrays) are the last fit's: they give `position` its meaning.
    `lr` is the learning rate that the model was compiled with, None where it is the model's own.
    """

    module: Emitted
    params: Flat
    state: State
    position: Position = Position()
    settings: Settings = Settings()
    examples: int = 0
    data: str = ""
    lr: float | None = None


@dataclass(slots=True)
class Snapshot:
    """All of a session but its module: numbers of its own, which can be pickled."""

    params: Array
    moments: Array
    step: int
    state_seed: int
    position: Position
    settings: Settings
    examples: int
    data: str

    def follow(self, session: Session) -> None:
        """Takes what the same session has reached since, within one fit, into the same memory."""
        np.copyto(self.params, session.params.flat)
        np.copyto(self.moments, session.state.flat)
        self.step, self.position = session.state.step, session.position


def snapshot(session: Session) -> Snapshot:
    """A copy of what a session has reached."""
    state = session.state
    return Snapshot(
        *(session.params.flat.copy(), state.flat.copy(), state.step, state.seed),
        *(session.position, session.settings, session.examples, session.data),
    )


def go_to(session: Session, reached: Snapshot) -> None:
    """A session of the same model text, moved to where another one was."""
    np.copyto(session.params.flat, reached.params)
    np.copyto(session.state.flat, reached.moments)
    session.state.step, session.state.seed = reached.step, reached.state_seed
    session.position, session.settings = reached.position, reached.settings
    session.examples, session.data = reached.examples, reached.data


def checked_seed(seed: Any) -> int:
    """The seed as Python's own number, which a file of weights can hold; NumPy's are taken, too.

    Raises:
        GradcError: it is none.
    """
    if not isinstance(seed, Integral) or seed < 0:
        raise fail("bad-seed", f"seed is a whole number, at least 0, not {seed!r}", "any other is as good: seed = 0")
    return int(seed)


def start(module: Emitted, seed: int, lr: float | None = None) -> Session:
    """A session before its first step.

    Raises:
        GradcError: the seed is none, or a law gives NaN.
    """
    seed = checked_seed(seed)
    with np.errstate(all="ignore"):  # what is no number is told with its name
        params = module.init(seed)
    if np.isnan(params.flat).any():
        raise GradcError([_no_number(name, params[name]) for name in params if np.isnan(params[name]).any()])
    state = module.init_state(params)
    state.seed = seed
    return Session(module, params, state, lr=lr)


def _no_number(name: str, values: Array) -> Diagnostic:
    message = f"the initial law of {name} gives NaN at {np.isnan(values).sum():,} of {values.size:,} places"
    help = "look at the law there: a root or a logarithm of a number below 0, 0 / 0, inf - inf"
    return Diagnostic("law-gives-nan", message, help=help)
