"""The category of gradc's warnings: something works, but not as one might expect."""


class GradcWarning(UserWarning):
    """The model or a file is usable, but the message says what one should know about it."""
