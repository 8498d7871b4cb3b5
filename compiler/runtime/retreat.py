"""What training has reached, kept aside: where a fit goes back to when the loss of a step, or a weight, is not finite.

The step that finds it has been taken by then, and what it made of the parameters is NaN as a rule. A copy is made at
the end of an epoch, at most every 100 steps, so it costs no time that one could measure. It keeps nothing on disk.
"""

import math
from dataclasses import dataclass

import numpy as np

from .interface import Array
from .session import Session, Snapshot, go_to, snapshot

STEPS_BETWEEN = 100


@dataclass(slots=True)
class Retreat:
    """Where a fit goes back to: a copy of what its session had reached."""

    copy: Snapshot

    def keep(self, session: Session, *, last: bool) -> None:
        """Copies what the session has reached since, unless it is too early or there are new infinities in it.

        Raises:
            FloatingPointError: weights have become NaN. A loss behind relu layers can be finite all the same. It is
                looked for whenever it is not too early, and after the last epoch.
        """
        early = session.state.step - self.copy.step < STEPS_BETWEEN
        if early and not last:
            return
        if _not_nan(session.params.flat) < _not_nan(self.copy.params):
            message = f"after step {session.state.step} {self._lost(session)}, though the loss is finite"
            lost = FloatingPointError(message)
            lost.add_note("a root, a logarithm or a quotient at 0 may be why: sqrt(s + 1e-12) has a slope at s = 0")
            raise lost
        if early or _finite(session.params.flat) < _finite(self.copy.params):
            return
        self.copy.follow(session)

    def _lost(self, session: Session) -> str:
        """Which tensors have become NaN, and how much of the first."""
        names: list[str] = []
        for name, (offset, shape) in session.module.PARAMS.items():
            part = slice(offset, offset + math.prod(shape))
            if _not_nan(session.params.flat[part]) < _not_nan(self.copy.params[part]):
                names.append(name)
        count = int(np.isnan(session.params[names[0]]).sum())
        return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} NaN ({count:,} numbers of {names[0]})"

    def back(self, session: Session) -> None:
        """The session as it was when the copy was made."""
        go_to(session, self.copy)


def retreat(session: Session) -> Retreat:
    """A first copy: of what a fit begins with."""
    return Retreat(snapshot(session))


def _not_nan(numbers: Array) -> int:
    return int(numbers.size - np.count_nonzero(np.isnan(numbers)))


def _finite(numbers: Array) -> int:
    return int(np.count_nonzero(np.isfinite(numbers)))
