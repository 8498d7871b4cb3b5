"""How the elaborator says no: one thing that is wrong, on its way to the list of errors."""

from collections.abc import Iterable

from gradc.errors import Diagnostic, Label, Span


class Refused(Exception):
    """One thing that is wrong with the model, on its way to the list of errors. `help` says how to mend it."""

    def __init__(self, code: str, message: str, span: Span | None, labels: Iterable[Label] = (), *,
                 help: str) -> None:  # fmt: skip
        super().__init__(message)
        self.diagnostic = Diagnostic(code, message, span, tuple(labels), help)


class Echo(Refused):
    """What is wrong only because something else is, and was reported there."""

    def __init__(self) -> None:
        super().__init__("echo", "", None, help="")


class OutOfBudget(Exception):
    """The model unfolds to more than is compiled. Nothing else is looked at then."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(str(refused))
        self.refused = refused
