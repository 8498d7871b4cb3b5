"""Where a model declares its inputs and targets: for errors about the arrays that it is given."""

from gradc.errors import Span

from . import syntax
from .parse import parse


def declared(text: str, *, file: str) -> dict[str, Span]:
    """The place of each input and target in a text that has compiled, from its name to the end of its type."""
    lines = [statement for statement in parse(text, file).statements if isinstance(statement, syntax.Inputs)]
    return {tensor.name: tensor.span for line in lines for tensor in line.tensors}
