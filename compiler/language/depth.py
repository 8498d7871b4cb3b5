"""How deep a tree is: statements → the places where one nests deeper than the later stages follow.

Brackets and blocks are counted by `layout`; here are counted the long chains, `1 + 1 + …`, each sign of which is a level.
"""

from collections.abc import Iterable

from gradc.errors import Span

from . import syntax

DEEPEST = 250


def too_deep(statements: Iterable[syntax.Statement]) -> list[Span]:
    """The statements with a part more than `DEEPEST` levels down. It does not recurse."""
    return [statement.span for statement in statements if _exceeds(statement)]


def _exceeds(root: syntax.Statement) -> bool:
    stack: list[tuple[object, int]] = [(root, 0)]
    while stack:
        node, depth = stack.pop()
        if isinstance(node, tuple):
            stack.extend((part, depth) for part in node)
        elif hasattr(node, "span"):
            if depth > DEEPEST:
                return True
            stack.extend((getattr(node, name), depth + 1) for name in type(node).__slots__[1:])  # type: ignore[attr-defined]
    return False
