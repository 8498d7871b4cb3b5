"""Which nests are alike: their kernels have the same text, but for names. The text of each kind is written once.

The form of a nest holds all that its kernel's text depends on (`kernels.py`): its equations, the loops around them, how
each tensor lies in memory, and which of them are needed outside.
"""

from collections.abc import Hashable

from gradc.graph.form import Numbering
from gradc.graph.index import IndexExpr
from gradc.graph.tensors import Role
from gradc.schedule.program import Item, Loop, Nest, Program


def form_of(nest: Nest, program: Program, external: frozenset[str], around: tuple[tuple[str, ...], IndexExpr | None]
            ) -> tuple[Hashable, tuple[str, ...]]:  # fmt: skip
    """The form of a nest, and its tensors by their numbers in it.

    Args:
        external: the tensors that are needed outside of it.
        around: the indices of sequential loops around it, and the extent over a range of which it runs.
    """
    numbering = Numbering()
    items = tuple(_form_of_item(item, numbering) for item in nest.items)
    guards = tuple((numbering.place(guard.value), guard.relation) for guard in nest.guards)
    touched = numbering.names
    lying = tuple(_lying(name, program, numbering) for name in touched)
    roots = tuple(_lying(name, program, numbering) for name in numbering.names[len(touched) :])
    needed = tuple(name in external for name in touched)
    return (items, guards, lying, roots, needed, around), numbering.names


def _form_of_item(item: Item, numbering: Numbering) -> Hashable:
    if isinstance(item, Loop):
        return item.index, tuple(_form_of_item(inner, numbering) for inner in item.body)
    return numbering.equation(item.equation), item.path, item.starts, item.around, item.parts


def _lying(name: str, program: Program, numbering: Numbering) -> Hashable:
    """What a tensor is, and where it lies."""
    tensor, buffer = program.graph.tensors[name], program.buffers.get(name)
    of_leaf = tensor.role in (Role.PARAM, Role.STATE)
    if buffer is None:
        return tensor.kind, tensor.extents, of_leaf
    root = None if buffer.shares is None else numbering.of(buffer.shares)
    return tensor.kind, tensor.extents, of_leaf, buffer.storage, buffer.kind, buffer.axes, buffer.extents, root
