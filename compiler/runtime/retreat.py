"""What training has reached, kept aside: where a fit goes back to when the loss of a step is not finite.

The step that finds it has been taken by then, and what it made of the parameters is NaN as a rule. A copy is made at
the end of an epoch, at most every 100 steps, so it costs no time that one could measure. It keeps nothing on disk.
"""

from dataclasses import dataclass

import numpy as np

from .interface import Array
from .session import Position, Session

STEPS_BETWEEN = 100


@dataclass(slots=True)
class Retreat:
    """A copy of a session's numbers, with the step and place in training at which it was made."""

    params: Array
    moments: Array
    step: int
    position: Position

    def keep(self, session: Session) -> None:
        """Copies what the session has reached since, unless it is too early or there are new NaNs or infinities in it.

        A loss behind relu layers can be finite though weights are not.
        """
        early = session.state.step - self.step < STEPS_BETWEEN
        if early or _finite(session.params.flat) < _finite(self.params):
            return
        np.copyto(self.params, session.params.flat)
        np.copyto(self.moments, session.state.flat)
        self.step, self.position = session.state.step, session.position

    def back(self, session: Session) -> None:
        """The session as it was when the copy was made."""
        np.copyto(session.params.flat, self.params)
        np.copyto(session.state.flat, self.moments)
        session.state.step, session.position = self.step, self.position


def retreat(session: Session) -> Retreat:
    """A first copy: of what a fit begins with."""
    return Retreat(session.params.flat.copy(), session.state.flat.copy(), session.state.step, session.position)


def _finite(numbers: Array) -> int:
    return int(np.count_nonzero(np.isfinite(numbers)))
