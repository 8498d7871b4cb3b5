"""A graph as text: its tensors with their shapes, then its equations as mathematics, in an order in which they can be
computed. What every stage of `gradc inspect` prints.

    h[b, j] = if h_sum[b, j] > 0 then …      for b < batch, j < 32      # digits.grad:9
"""

from collections.abc import Iterable
from pathlib import PurePath

from .nodes import Equation, Graph, Guard, Origin, Reducer, Relation, Tensor
from .printing import TEXT, Level, Printer
from .ranges import Ranges
from .tensors import Index, Kind, Role

NOTE_COLUMN = 100
LONGEST_FILE_NAME = 40


def show(graph: Graph) -> str:
    """The graph as text, the same for equal graphs."""
    lines = [*_tensor_lines(graph), ""]
    for name in graph.order:
        equations = graph.writers[name]
        adds = adds_up(equations)
        lines += [equation_line(equation, adds) for equation in equations]
    handed_out = [f"{outside} = {name}" if outside != name else name for outside, name in graph.outputs.items()]
    return "\n".join([*lines, "", f"outputs: {', '.join(handed_out)}"]) + "\n"


def _tensor_lines(graph: Graph) -> list[str]:
    shown = {name: f"  {shape_of(tensor)}" for name, tensor in graph.tensors.items()}
    width = min(max(map(len, shown.values()), default=0), NOTE_COLUMN // 2)
    return [f"{shown[name]:<{width}}  {kind_of(tensor)}".rstrip() for name, tensor in graph.tensors.items()]


def shape_of(tensor: Tensor) -> str:
    """`h[batch, 32]`."""
    return f"{tensor.name}[{', '.join(str(axis.extent) for axis in tensor.axes)}]" if tensor.axes else tensor.name


def kind_of(tensor: Tensor) -> str:
    """`input, whole 0 .. 9`; nothing for a computed real tensor."""
    words = [tensor.role.value] if isinstance(tensor.role, Role) else []
    if tensor.kind is Kind.WHOLE:
        words.append(f"whole {tensor.bounds.low} .. {tensor.bounds.high}" if tensor.bounds else "whole")
    elif tensor.kind is Kind.BOOL:
        words.append("bool")
    return ", ".join(words)


def equation_line(equation: Equation, adds: bool = False) -> str:
    """One equation: what it writes, the body, the ranges, the guards, the line it comes from."""
    sign = "+=" if adds else "="
    text = f"{place_of(equation)} {sign} {body_of(equation)}"
    if equation.indices:
        text += f"   for {', '.join(map(range_of, equation.indices))}"
    if equation.guards:
        text += f"   where {' and '.join(guard_text(guard) for guard in equation.guards)}"
    return f"{text:<{NOTE_COLUMN}}  # {place_in_text(equation.origin)}"


def place_of(equation: Equation) -> str:
    """`h[b, j]`, what the equation writes."""
    return f"{equation.target}[{', '.join(map(str, equation.write))}]" if equation.write else equation.target


def body_of(equation: Equation) -> str:
    """The body under its reduction: `sum[k] x[b, k]*w[k, o]`."""
    printer = Printer(TEXT, equation.origin.order)
    piece = printer.piece(equation.body)
    if not equation.reduced and equation.reducer is Reducer.SUM:
        return piece.text
    names = ", ".join(index.name for index in equation.reduced)
    return f"{equation.reducer.value}[{names}]({printer.within(piece, Level.CONDITIONAL)})"


def range_of(index: Index) -> str:
    """`b < batch`, or `1 <= b < batch`."""
    low = f"{index.low} <= " if index.low.terms else ""
    return f"{low}{index.name} < {index.high}"


def guard_text(guard: Guard) -> str:
    """A guard as a comparison without subtraction: `n - i - 1 >= 0` is `i < n`, `i - j >= 0` is `j <= i`."""
    below, above = guard.sides
    if guard.relation is not Relation.AT_LEAST:
        return f"{above} {guard.relation.value} {below}"
    if below.constant is not None:
        return f"{above} >= {below}"
    if ((), -1) in guard.value.terms:
        return f"{below - 1} < {above}"
    return f"{below} <= {above}"


def place_in_text(origin: Origin) -> str:
    """`digits.grad:9`."""
    return f"{file_in_text(origin.span.file)}:{origin.span.line}"


def file_in_text(path: str) -> str:
    """A file's name as it may stand in a docstring or a comment: short, without quotes, backslashes or line ends."""
    name = "".join(c if c.isprintable() and c not in '"\\' else "_" for c in PurePath(path).name)
    return name if len(name) <= LONGEST_FILE_NAME else f"{name[: LONGEST_FILE_NAME - 1]}…"


def adds_up(equations: Iterable[Equation]) -> bool:
    """Whether places may be written more than once, so that `+=` must be said."""
    equations = tuple(equations)
    if any(not _injective(equation) for equation in equations):
        return True
    pairs = [(a, b) for n, a in enumerate(equations) for b in equations[:n]]
    return any(not _apart(a, b) for a, b in pairs)


def _injective(equation: Equation) -> bool:
    bare = [place.bare for place in equation.write if place.constant is None]
    return None not in bare and len(set(bare)) == len(bare)


def _apart(a: Equation, b: Equation) -> bool:
    ranges = Ranges()
    return any(
        ranges.nonnegative(x - y - 1) or ranges.nonnegative(y - x - 1) for x, y in zip(a.write, b.write, strict=True)
    )
