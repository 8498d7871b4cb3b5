"""Functions for another process, which finds them here by name."""

import os

from gradc.errors import Diagnostic, GradcError, Span


def process():
    """Where it is called."""
    return os.getpid()


def refuse(text):
    """An error with a place in a text."""
    raise GradcError(
        [Diagnostic("unknown-name", "there is no such thing", Span("m.grad", 1, 1, 1, 4))], {"m.grad": text}
    )


def only_in(here):
    """Ends any process but the one given, without an answer."""
    if os.getpid() != here:
        os._exit(3)
    return "here"
