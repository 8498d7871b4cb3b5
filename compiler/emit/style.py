"""The Python style of bodies: typed constants, reads of buffers, ternaries for `where`.

A body is printed for the kind of number its statement computes. In float32 code every constant and index value is
`f4(…)`: a bare one would lift the whole expression to float64. Comparisons of whole numbers stay whole.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import sympy

from gradc.graph import scalar
from gradc.graph.index import Dim, Gather, Idx, IndexExpr, Monomial, Quotient
from gradc.graph.kinds import kind_of
from gradc.graph.nodes import Head, Named, Read, Tensor, Value
from gradc.graph.printing import PLAIN_OPERATORS, Level, Piece, Printer, Style, decimal_of, level_of, plain_quotient
from gradc.graph.tensors import Kind

NUMPY_CALLS: Mapping[str, str] = {
    "sqrt": "np.sqrt", "floor": "np.floor", "round": "np.rint", "sign": "np.sign", "abs": "abs",
}  # fmt: skip
SCALAR_CALLS: Mapping[str, str] = {
    **NUMPY_CALLS,
    **{name: f"np.{name}" for name in ("exp", "log", "expm1", "log1p", "tanh", "sin", "cos", "tan", "sinh", "cosh")},
    **{"asin": "np.arcsin", "acos": "np.arccos", "atan": "np.arctan"},
}
LARGEST = sympy.Integer(int(sys.float_info.max))
"""What is larger, such as 1e300 * 1e300, is infinite as a float64."""
COMPARISONS = ("lt", "le", "eq", "ne")
OPERATORS: Mapping[str, str] = {**PLAIN_OPERATORS, "mul": " * ", "div": " / "}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a body's text depends on.

    Attributes:
        read: the text of a tensor at subscripts.
        name: the identifier of a dim.
        tensors: kinds of the tensors.
        real: `f4` in float32 code, `f8` in float64, where bare numbers will do.
        used: told the name of every vector function that the text calls.
        index: the identifier of an index; it may have a dim's name in the model.
    """

    read: Callable[[str, tuple[IndexExpr, ...]], str]
    name: Callable[[str], str]
    tensors: Mapping[str, Tensor]
    real: str
    used: Callable[[str], None]
    index: Callable[[str], str] = str


@dataclass(frozen=True, slots=True)
class BodyPrinter(Printer):
    """Prints bodies in Python. Make it with `body_printer`."""

    around: Surroundings = field(kw_only=True)
    kind: Kind = field(kw_only=True)
    plain: bool = field(kw_only=True)

    def _function(self, body: Head) -> Piece:
        """Comparisons and random numbers are printed for the kind of their arguments, a stopped gradient as those."""
        name = body.row_name
        if name in COMPARISONS:
            kinds = {kind_of(part, self.around.tensors) for part in body.args}
            kind = Kind.REAL if Kind.REAL in kinds else Kind.WHOLE
            if kind is not self.kind:
                return body_printer(self.around, kind, self.plain, self.order)._function(body)
        if scalar.row_of(body).draws and self.kind is Kind.REAL:
            return body_printer(self.around, Kind.WHOLE, self.plain, self.order)._function(body)
        if name == "stop_gradient":
            return self.piece(body.args[0])
        if name == "and" and (chained := self._chain(body)) is not None:
            return chained
        if name in ("max", "min"):
            return self._extremum(name, body)
        if name == "clip":
            x, low, high = body.args
            return self._function(scalar.MIN(scalar.MAX(x, low), high))
        if name == "pow" and not self.plain:
            return self.style.call("pow", tuple(self.piece(part).text for part in body.args))
        if name == "pow":
            base, power = (self.within(self.piece(part), Level.ATOM) for part in body.args)
            simple = f"{base}{power}".replace(".", "").replace("_", "").isalnum()
            return Piece(f"{base}**{power}" if simple else f"{base} ** {power}", Level.POWER)
        if name in ("floor", "round") and kind_of(body, self.around.tensors) is Kind.WHOLE is self.kind:
            inner = body_printer(self.around, Kind.REAL, self.plain, self.order)
            return Piece(f"int({Printer._function(inner, body).text})")
        return Printer._function(self, body)

    def _extremum(self, name: str, body: Head) -> Piece:
        """`max(x, 0)` hands NaN on where the first argument is one: two that vary are compared both ways."""
        a, b = sorted(body.args, key=lambda part: not part.atoms(Read, Value))
        first, second = self.piece(a), self.piece(b)
        if not b.atoms(Read, Value) or self.kind is not Kind.REAL:
            return Piece(f"{name}({first.text}, {second.text})")
        sign = ">=" if name == "max" else "<="
        x, y = self.within(first, Level.SUM), self.within(second, Level.SUM)
        return Piece(f"{x} if {x} {sign} {y} or np.isnan({x}) else {second.text}", Level.CONDITIONAL)

    def _chain(self, body: Head) -> Piece | None:
        """`0 <= i and i < n` as `0 <= i < n`."""
        first, second = body.args
        if not all(isinstance(part, Head) and part.row_name in ("lt", "le") for part in body.args):
            return None
        if first.args[1] != second.args[0]:
            return None
        kinds = {kind_of(part, self.around.tensors) for part in (*first.args, *second.args)}
        printer = body_printer(self.around, Kind.REAL if Kind.REAL in kinds else Kind.WHOLE, self.plain, self.order)
        parts = [printer.within(printer.piece(part), Level.SUM) for part in (*first.args, second.args[1])]
        signs = [self.style.operators[comparison.row_name] for comparison in (first, second)]
        return Piece(parts[0] + signs[0] + parts[1] + signs[1] + parts[2], Level.COMPARISON)


def body_printer(around: Surroundings, kind: Kind, plain: bool, order: tuple[str, ...] = ()) -> BodyPrinter:
    """A printer of bodies that compute numbers of one kind; `plain` for float64 scalars in float32 code."""
    return BodyPrinter(_style(around, kind, plain), order, around=around, kind=kind, plain=plain)


def _style(around: Surroundings, kind: Kind, plain: bool) -> Style:
    typed = kind is Kind.REAL and not plain and around.real == "f4"

    def number(value: sympy.Rational) -> Piece:
        if kind is Kind.REAL and (typed or value.q != 1 or abs(value.p) > 2**53):
            text = _real_text(value)
            return Piece(f"f4({text})") if typed else Piece(text, Level.ATOM if "/" not in text else Level.PRODUCT)
        return Piece(f"{value.p}.0" if kind is Kind.REAL else str(value.p))

    def read(leaf: Read) -> Piece:
        text = around.read(leaf.tensor, leaf.subscripts)
        tensor = around.tensors[leaf.tensor]
        # true and false stand in conditions alone
        lifted = typed and tensor.kind is not Kind.BOOL and (tensor.kind is Kind.WHOLE or not tensor.axes)
        return Piece(f"f4({text})" if lifted else text)

    def value(expr: IndexExpr) -> Piece:
        text = index_text(expr, around)
        return Piece(f"f4({text})") if typed else Piece(text, level_of(expr))

    def named(leaf: Named) -> Piece:
        text = f"np.{leaf.name}"
        return Piece(f"f4({text})" if typed else text)

    def call(name: str, arguments: tuple[str, ...]) -> Piece:
        table = SCALAR_CALLS if plain else NUMPY_CALLS
        if name in table:
            return Piece(f"{table[name]}({', '.join(arguments)})")
        around.used(name)
        if plain and around.real == "f4" and kind is Kind.REAL:
            return Piece(f"{name}({', '.join(f'f4({argument})' for argument in arguments)})")
        return Piece(f"{name}({', '.join(arguments)})")

    return Style(
        number=number,
        read=read,
        value=value,
        named=named,
        operators=OPERATORS,
        call=call,
        where=_ternary,
        power=_power,
        quotient=plain_quotient,
    )


def _real_text(value: sympy.Rational) -> str:
    if abs(value) > LARGEST:
        return "np.inf" if value.p > 0 else "-np.inf"
    if value.q == 1:
        return f"{value.p}.0" if abs(value.p) < 10**15 else repr(float(value.p))
    decimal = decimal_of(value)
    if decimal is not None:
        return decimal
    if abs(value.p) < 10**6 and value.q < 10**6:
        return f"{value.p}.0 / {value.q}.0"
    return repr(value.p / value.q)


def _power(base: str, exponent: int) -> Piece:
    """A square of a place in an array as a product; other powers with blanks as ruff's formatter sets them."""
    if exponent == 2 and not base.startswith("("):  # noqa: PLR2004  (a square)
        return Piece(f"{base} * {base}", Level.PRODUCT)
    return Piece(f"{base}**{exponent}" if base.isidentifier() else f"{base} ** {exponent}", Level.POWER)


def _ternary(condition: Piece, then: Piece, otherwise: Piece) -> Piece:
    def closed(piece: Piece) -> str:
        return f"({piece.text})" if piece.level is Level.CONDITIONAL else piece.text

    return Piece(f"{closed(then)} if {closed(condition)} else {closed(otherwise)}", Level.CONDITIONAL)


# ---------------------------------------------------------------- index expressions


def index_text(expr: IndexExpr, around: Surroundings) -> str:
    """An index expression in Python: `2 * i + u - 1`."""
    if not expr.terms:
        return "0"
    ordered = sorted(expr.terms, key=lambda term: (term[1] < 0, not term[0])) if len(expr.terms) > 1 else expr.terms
    text = ""
    for monomial, coefficient in ordered:
        sign = "-" if coefficient < 0 else "+"
        shown = _monomial_text(monomial, abs(coefficient), around, closed=sign == "-" and not text)
        text += f" {sign} {shown}" if text else shown if sign == "+" else f"-{shown}"
    return text


def stretch(places: Sequence[str]) -> str:
    """The subscripts of what is filled: `...` for whole axes at the end. Slices are ten times the code to Numba."""
    known = list(places)
    while known and known[-1] == ":":
        known.pop()
    return ", ".join(known if len(known) == len(places) else [*known, "..."])


def _monomial_text(monomial: Monomial, coefficient: int, around: Surroundings, closed: bool) -> str:
    """A term; `closed` where a minus comes before it: -(a % b) is not (-a) % b."""
    factors = [str(coefficient)] if coefficient != 1 or not monomial else []
    several = len(monomial) + len(factors) > 1 or closed
    for atom in monomial:
        match atom:
            case Dim(name):
                factors.append(around.name(name))
            case Idx(name):
                factors.append(around.index(name))
            case Gather(tensor, subscripts):
                factors.append(around.read(tensor, subscripts))
            case _:
                sign = "//" if isinstance(atom, Quotient) else "%"
                text = f"{_closed(atom.numerator, around)} {sign} {_closed(atom.denominator, around)}"
                factors.append(f"({text})" if several else text)
    return " * ".join(factors)


def _closed(expr: IndexExpr, around: Surroundings) -> str:
    text = index_text(expr, around)
    return text if level_of(expr) is Level.ATOM else f"({text})"
