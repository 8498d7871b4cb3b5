"""Rows of a function's body: statements, broken where they are long, and cases."""

import sympy

from gradc.graph.scalar import WHERE

from .cases import cases_in, name_of_case
from .lines import INDENT, broken, parts
from .names import Names
from .style import BodyPrinter

WIDEST_ROW = 116
"""Columns of a statement, before a function's body is indented."""
LONGEST_CASES = 2 * WIDEST_ROW
"""Letters of cases that are read as one expression; longer ones are cases of the statement."""


class BodyWriter:
    """Writes one row after the other.

    Attributes:
        names: what tensors are called; `local`, what else the body names.
        around_nest: the indices of the sequential loops around what is being written.
        indented: how far, before the depth that each row is given.
    """

    names: Names
    local: Names
    lines: list[str]
    around_nest: tuple[str, ...]
    indented: int

    def emit(self, depth: int, text: str) -> None:
        """A row, in several where it is long."""
        self.lines += broken(INDENT * (depth + self.indented), text)

    def assign(self, depth: int, target: str, body: sympy.Expr, printer: BodyPrinter) -> None:
        """`target = body`; cases that are too long for one expression are cases of the statement."""
        text = self.with_named_cases(depth, target, body, printer)
        rows = broken(INDENT * (depth + self.indented), target + text)
        long = len(text) > LONGEST_CASES or any(len(row) > WIDEST_ROW for row in rows)
        if long and isinstance(body, WHERE.head):
            self.cases(depth, target, body, printer)
            return
        self.assignment(depth, target, text)

    def with_named_cases(self, depth: int, target: str, body: sympy.Expr, printer: BodyPrinter) -> str:
        """The body's text. Where it is too long for a row, cases among its factors and terms are named before."""
        text = printer.print(body)
        if len(broken(INDENT * (depth + self.indented), target + text)) == 1:
            return text
        for case in cases_in(body):
            shown = f"({printer.print(case)})"
            if shown in text:
                name = self.local.fresh(name_of_case(case, self.around_nest, self.names))
                self.assign(depth, f"{name} = ", case, printer)
                text = text.replace(shown, name)
        return text

    def cases(self, depth: int, target: str, body: sympy.Expr, printer: BodyPrinter) -> None:
        """`if … : target = …`, `elif … :`, `else:`. Where 0 is added there is nothing to do."""
        word = "if"
        while isinstance(body, WHERE.head):
            condition, then, body = body.args
            self.emit(depth, f"{word} {printer.print(condition)}:")
            self.assign(depth + 1, target, then, printer)
            word = "elif"
        if body != 0 or "+=" not in target:
            self.emit(depth, "else:")
            self.assign(depth + 1, target, body, printer)

    def assignment(self, depth: int, target: str, body: str) -> None:
        """`target = body`; a sum with terms too long for a line is taken from named ones."""
        indent = INDENT * (depth + self.indented)
        rows = broken(indent, target + body)
        terms = parts(body)
        if any(len(row) > WIDEST_ROW for row in rows) and len(terms) > 1 and terms[1][0] in "+-":
            for at, term in enumerate(terms):
                sign, value = (term[0], term[2:]) if at else ("", term)
                if len(value) > WIDEST_ROW // 2:
                    name = self.local.fresh("term")
                    self.lines += broken(indent, f"{name} = {value}")
                    terms[at] = f"{sign} {name}".strip()
            rows = broken(indent, target + " ".join(terms))
        self.lines += rows

    def extremum(self, depth: int, target: str, body: str, sign: str, real: bool) -> None:
        """NaN passes on: once there, it stays."""
        value = body if body.replace("_", "a").isalnum() else self.local.fresh("value")
        if value != body:
            self.emit(depth, f"{value} = {body}")
        lost = f" or np.isnan({value})" if real else ""
        self.emit(depth, f"{target} = {value} if {value} {sign} {target}{lost} else {target}")
