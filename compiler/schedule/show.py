"""A program as text: where each tensor lives, then its steps as loops and matrix products.

h.dense[batch, 32]    in the place of h
logits.max[·]         a variable            (an axis shown as · is not stored: all its users share a loop along it)

2  loops
     for b < batch:
       for j < 32:
         h.dense[b, j] = h.bias[j] + h.dense.sum[b, j]                                            # digits.grad:9
"""

from collections.abc import Iterator, Sequence

from gradc.graph.index import ONE
from gradc.graph.nodes import Equation, Reducer
from gradc.graph.printing import text_of
from gradc.graph.show import guard_text, place_in_text, place_of, range_of

from .program import Buffer, Gemm, Item, Nest, Program, Sequential, Statement, Step, Storage

NOTE_COLUMN = 100
WIDEST_SHAPE = 44
INDENT = "  "
NOTE = "\t# "
SIGNS = {
    Reducer.PROD: "*=", Reducer.MAX: "max=", Reducer.MIN: "min=", Reducer.PEAK: "max=",
    Reducer.ARGMAX: "argmax=", Reducer.ARGMIN: "argmin=",
}  # fmt: skip


def show(program: Program) -> str:
    """The program as text, the same for equal programs."""
    lines = list(_buffer_lines(program))
    sizes = [f"{size} in {space.value}" for space, size in program.work.items()]
    lines += [f"{INDENT}work space: {', '.join(sizes) or 'none'}", ""]
    width = len(str(len(program.steps)))
    for number, step in enumerate(program.steps, 1):
        first, *more = _step_lines(step)
        lines.append(f"{number:>{width}}{INDENT}{first}")
        lines += [f"{' ' * (width + len(INDENT))}{line}" for line in more]
    lines = [_spaced(line) for line in lines]
    handed_out = [f"{outside} = {name}" if outside != name else name for outside, name in program.graph.outputs.items()]
    return "\n".join([*lines, "", f"outputs: {', '.join(handed_out)}"]) + "\n"


# ---------------------------------------------------------------- buffers


def _buffer_lines(program: Program) -> Iterator[str]:
    shapes = {name: _shape(buffer, program) for name, buffer in program.buffers.items()}
    width = min(max(map(len, shapes.values()), default=0), WIDEST_SHAPE)
    for name, buffer in program.buffers.items():
        yield f"{INDENT}{shapes[name]:<{width}}{INDENT * 2}{_place(buffer, program)}"


def _shape(buffer: Buffer, program: Program) -> str:
    axes = program.graph.tensors[buffer.tensor].axes
    shown = [str(axis.extent) if at in buffer.axes else "·" for at, axis in enumerate(axes)]
    return f"{buffer.tensor}[{', '.join(shown)}]" if shown else buffer.tensor


def _place(buffer: Buffer, program: Program) -> str:
    if buffer.shares:
        return f"in the place of {buffer.shares}"
    match buffer.storage:
        case Storage.LOCAL:
            return "a variable"
        case Storage.GIVEN:
            labels = [label for label, name in program.graph.outputs.items() if name == buffer.tensor]
            return f"the caller's: {', '.join(labels)}" if labels else "the caller's"
        case Storage.WORK | Storage.COMMON:
            size = ONE
            for extent in buffer.extents:
                size *= extent
            assert buffer.offset is not None, "a stored tensor has an offset"
            return f"{buffer.space.value}[{buffer.offset} : {buffer.offset + size}]"


# ---------------------------------------------------------------- steps


def _step_lines(step: Step) -> Iterator[str]:
    match step:
        case Gemm():
            if step.packing:
                yield "packed, for each round of the product"
                yield from _item_lines(step.packing.items, INDENT)
            yield _noted(product_text(step), step.equation)
        case Nest():
            yield f"loops   where {' and '.join(map(guard_text, step.guards))}" if step.guards else "loops"
            yield from _item_lines(step.items, INDENT)
        case Sequential():
            yield f"in order, {range_of(step.index)}{', from the last' if step.backward else ''}:"
            for inner in step.steps:
                yield from (f"{INDENT}{line}" for line in _step_lines(inner))


def product_text(gemm: Gemm) -> str:
    """A matrix product, and the operands that are read transposed."""
    equation = gemm.equation
    factors = " · ".join(f"{operand.tensor}[{', '.join(map(str, operand.subscripts))}]" for operand in (gemm.a, gemm.b))
    turned = [operand.tensor for operand in (gemm.a, gemm.b) if operand.transposed]
    lying = f"   {' and '.join(turned)} transposed" if turned else ""
    summed = ", ".join(index.name for index in equation.reduced)
    batch = f"   for each {', '.join(map(range_of, gemm.batch))}" if gemm.batch else ""
    sign = "=" if gemm.starts else "+="
    where = f"   where {' and '.join(map(guard_text, equation.guards))}" if equation.guards else ""
    return f"product  {place_of(equation)} {sign} sum[{summed}] {factors}{batch}{lying}{where}"


def _item_lines(items: Sequence[Item], margin: str) -> Iterator[str]:
    for item in items:
        if isinstance(item, Statement):
            yield _noted(f"{margin}{statement_text(item)}", item.equation)
        else:
            yield f"{margin}for {range_of(item.index)}:"
            yield from _item_lines(item.body, margin + INDENT)


def statement_text(statement: Statement) -> str:
    """`loss.sum += loss.cross_entropy[b]`: what one run of the statement does."""
    equation = statement.equation
    adds = statement.accumulates or not statement.starts
    sign = SIGNS.get(equation.reducer, "+=" if adds else "=")
    text = f"{place_of(equation)} {sign} {text_of(equation.body)}"
    if equation.guards:
        text += f"   where {' and '.join(map(guard_text, equation.guards))}"
    return text


def _noted(text: str, equation: Equation) -> str:
    return f"{text}{NOTE}{place_in_text(equation.origin)}"


def _spaced(line: str) -> str:
    """The line's note, where it has one, at the column of notes."""
    text, mark, note = line.partition(NOTE)
    return f"{text:<{NOTE_COLUMN}}{INDENT}# {note}" if mark else line
