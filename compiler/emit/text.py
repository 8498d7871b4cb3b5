"""Equations as the docstrings and comments of a module show them: in the module's own names.

d_h_bias[j] = Σ_b d_h_dense[b, j]                                               digits.grad:9
"""

from dataclasses import replace

from gradc.graph.index import IndexExpr
from gradc.graph.nodes import Equation, Read, Reducer
from gradc.graph.printing import TEXT, Level, Piece, Printer, level_of
from gradc.graph.show import guard_text, place_in_text

from .lines import INDENT, WIDTH, wrapped
from .names import Names

DOC_WIDTH = 104
"""Columns at which the places end that rows of a docstring come from."""
WIDEST = 110
"""Columns of a docstring row; beyond them it goes on in the next."""

REDUCERS = {
    Reducer.SUM: "Σ", Reducer.PROD: "Π", Reducer.MAX: "max", Reducer.MIN: "min", Reducer.ARGMAX: "argmax",
    Reducer.ARGMIN: "argmin", Reducer.PEAK: "max", Reducer.LOGSUMEXP: "logsumexp",
}  # fmt: skip


def equation_text(equation: Equation, names: Names, adds: bool = False) -> str:
    """`h[b, j] = …`, without the place it comes from."""

    def index(expr: IndexExpr) -> str:
        renamed = expr.rename_tensors({g.tensor: names.of(g.tensor) for g in expr.gathers})
        return str(renamed)

    def read(leaf: Read) -> Piece:
        places = ", ".join(map(index, leaf.subscripts))
        return Piece(f"{names.of(leaf.tensor)}[{places}]" if places else names.of(leaf.tensor))

    style = replace(TEXT, read=read, value=lambda expr: Piece(index(expr), level_of(expr)))
    printer = Printer(style, equation.origin.order)
    piece = printer.piece(equation.body)
    places = ", ".join(map(index, equation.write))
    target = f"{names.of(equation.target)}[{places}]" if places else names.of(equation.target)
    body = piece.text
    if equation.reduced or equation.reducer is not Reducer.SUM:
        over = ",".join(i.name for i in equation.reduced)
        body = f"{REDUCERS[equation.reducer]}_{over} {printer.within(piece, Level.PRODUCT)}"
    where = f"  where {' and '.join(map(guard_text, equation.guards))}" if equation.guards else ""
    return f"{target} {'+=' if adds else '='} {body}{where}"


def with_place(text: str, equation: Equation, first: str, further: str) -> list[str]:
    """Rows of a docstring: the text, with `further` before its second row and those after it; and at the right the line
    of the model that it comes from. `first` stands before all."""
    place = place_in_text(equation.origin)
    *above, last = wrapped(text, WIDEST - len(place), further)
    if len(last) + 2 + len(place) > WIDTH - len(INDENT):  # a name that is as long as a row
        above, last = [*above, last], ""
    width = DOC_WIDTH - len("" if above else first)
    return [*above, f"{last}{' ' * max(2, width - len(last) - len(place))}{place}"]
