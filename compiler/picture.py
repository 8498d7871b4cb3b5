"""What needs what in a model: `core.Model` → a tree for a terminal, or a graph for Graphviz. `gradc graph`.

The tensors are the model's own, as they are written (definitions unfolded, nothing rewritten); gradients are not shown.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

from gradc.graph.tensors import Role
from gradc.language import core
from gradc.language.tensors import tensors_read

from .stages import graphs

NOTE_COLUMN = 60
SHAPES = {Role.INPUT: "invhouse", Role.TARGET: "house", Role.PARAM: "ellipse"}


@dataclass(frozen=True, slots=True)
class Node:
    """A tensor: its name with its shape, its role if it is a leaf, the line that it comes from."""

    label: str
    role: Role | None
    line: str


@dataclass(frozen=True, slots=True)
class Picture:
    """The tensors by name, those that each one reads, and what is handed out: (`loss`, the tensor that holds it)."""

    nodes: Mapping[str, Node]
    needs: Mapping[str, tuple[str, ...]]
    outputs: tuple[tuple[str, str], ...]


def picture(text: str, *, file: str = "model.grad", dot: bool = False, folder: Path | None = None) -> str:
    """A model's dependences as text.

    Args:
        text: the model.
        file: its name, as errors and the text show it.
        dot: for Graphviz, instead of a tree.
        folder: where files that it uses lie.

    Raises:
        GradcError: the model is wrong.
    """
    found = picture_of(graphs(text, file=file, folder=folder).model)
    return as_dot(found) if dot else as_tree(found)


def picture_of(model: core.Model) -> Picture:
    """The dependences of a model in training."""
    name = PurePath(model.file).name
    nodes = {leaf.name: _node(leaf, leaf.role, f"{name}:{leaf.span.line}") for leaf in model.leaves}
    nodes |= {tensor.name: _node(tensor, None, f"{name}:{tensor.span.line}") for tensor in model.tensors}
    needs: dict[str, tuple[str, ...]] = {}
    for equation in model.equations:
        places = [gather.tensor for place in equation.write for gather in place.gathers]
        in_source_order = reversed(tuple(tensors_read(equation.value)))
        read = (*needs.get(equation.target, ()), *in_source_order, *places)
        needs[equation.target] = tuple(dict.fromkeys(read))
    outputs = [("loss", model.loss.tensor)] if model.loss else []
    outputs += [(f"predict {output.name}", output.tensor) for output in model.predictions]
    outputs += [(f"metric {output.name}", output.tensor) for output in model.metrics]
    return Picture(nodes, needs, tuple(outputs))


def _node(tensor: core.Leaf | core.Tensor, role: Role | None, line: str) -> Node:
    shape = f"[{', '.join(str(axis.extent) for axis in tensor.axes)}]" if tensor.axes else ""
    return Node(tensor.name + shape, role, line)


# ---------------------------------------------------------------- a tree


def as_tree(found: Picture) -> str:
    """From each output down to what it is made of. Leaves stand behind the tensor that reads them; what a tensor is
    made of is shown where it first stands, and `↑` says that it stands above."""
    rows: list[tuple[str, str]] = []
    roles = {role: [node.label for node in found.nodes.values() if node.role is role] for role in Role}
    rows += [(f"{role.value}: {', '.join(labels)}", "") for role, labels in roles.items() if labels]
    seen: set[str] = set()
    for label, tensor in found.outputs:
        rows += [("", ""), *_branch(found, label, tensor, seen)]
    return "\n".join(f"{text:<{NOTE_COLUMN}}  {line}".rstrip() for text, line in rows) + "\n"


def _branch(found: Picture, label: str, root: str, seen: set[str]) -> Iterator[tuple[str, str]]:
    """The rows of one output. A loop, not a recursion: a model may be a thousand layers deep."""
    stack = [(root, "", "")]
    while stack:
        name, first, rest = stack.pop()
        node = found.nodes[name]
        head = node.label if first else _handed_out(label, name, node)
        if name in seen:
            yield f"{first}{head} ↑", ""
            continue
        needs = found.needs.get(name, ())
        leaves = [other for other in needs if found.nodes[other].role is not None]
        made = [other for other in needs if found.nodes[other].role is None and other != name]
        again = "; itself at another place" if name in needs else ""
        reads = f" ← {', '.join(leaves)}" if leaves else ""
        yield f"{first}{head}{reads}{again}", node.line
        seen.add(name)
        for at, other in reversed(tuple(enumerate(made))):
            last = at == len(made) - 1
            stack.append((other, f"{rest}{'└─ ' if last else '├─ '}", f"{rest}{'   ' if last else '│  '}"))


def _handed_out(label: str, name: str, node: Node) -> str:
    """`predict p[batch, 10]`, or `predict p = logits[batch, 10]` where the tensor has a name of its own."""
    return label.removesuffix(name) + node.label if label.split()[-1] == name else f"{label} = {node.label}"


# ---------------------------------------------------------------- Graphviz


def as_dot(found: Picture) -> str:
    """A graph in the language of Graphviz: `gradc graph digits.grad --dot | dot -Tsvg > digits.svg`."""
    numbers = {name: f"n{count}" for count, name in enumerate(found.nodes)}
    lines = ["digraph model {", "  rankdir=TB;", '  node [fontname="monospace", shape=box];']
    for name, node in found.nodes.items():
        shape = f", shape={SHAPES[node.role]}" if node.role in SHAPES else ""
        lines.append(f"  {numbers[name]} [label={_quoted(node.label)}, tooltip={_quoted(node.line)}{shape}];")
    for name, needs in found.needs.items():
        lines += [f"  {numbers[other]} -> {numbers[name]};" for other in needs]
    for count, (label, tensor) in enumerate(found.outputs):
        lines.append(f"  out{count} [label={_quoted(label)}, shape=plaintext];")
        lines.append(f"  {numbers[tensor]} -> out{count};")
    return "\n".join([*lines, "}"]) + "\n"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
