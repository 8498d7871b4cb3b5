"""How deep a tree is: statements → the places where one nests deeper than the later stages follow.

Brackets and blocks are counted by `layout`. Here are counted long chains, `1 + 1 + …`, each sign of which is a level.
"""

from collections.abc import Iterable

from gradc.errors import Span

from . import syntax

DEEPEST = 250


def too_deep(statements: Iterable[syntax.Statement]) -> list[Span]:
    """A place more than `DEEPEST` levels down in each statement that has one. It does not recurse."""
    found = (_beyond(statement) for statement in statements)
    return [span for span in found if span]


def _beyond(root: syntax.Statement) -> Span | None:
    stack: list[tuple[object, int]] = [(root, 0)]
    while stack:
        node, depth = stack.pop()
        if isinstance(node, tuple):
            stack.extend((part, depth) for part in node)
        elif isinstance(span := getattr(node, "span", None), Span):
            if depth > DEEPEST:
                return span
            stack.extend((getattr(node, name), depth + 1) for name in getattr(node, "__slots__", ()))
    return None
