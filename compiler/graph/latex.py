"""The LaTeX style of bodies and names, for derivations in papers and notebooks."""

from collections.abc import Mapping

from .index import Dim, Gather, Idx, IndexExpr, Monomial, Quotient
from .nodes import Equation, Guard, Reducer, Relation
from .printing import Level, Piece, Printer, Style, level_of, plain_number, plain_quotient
from .tensors import Index

GREEK = (
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu", "xi",
    "pi", "rho", "sigma", "tau", "phi", "chi", "psi", "omega", "Gamma", "Delta", "Theta", "Lambda", "Xi", "Pi", "Sigma",
    "Phi", "Psi", "Omega",
)  # fmt: skip
OWN_COMMANDS = ("exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh", "max", "min")
OTHER_COMMANDS: Mapping[str, str] = {"asin": r"\arcsin", "acos": r"\arccos", "atan": r"\arctan"}
REDUCERS: Mapping[Reducer, str] = {
    Reducer.SUM: r"\sum",
    Reducer.PROD: r"\prod",
    Reducer.MAX: r"\max",
    Reducer.MIN: r"\min",
    Reducer.ARGMAX: r"\operatorname*{arg\,max}",
    Reducer.ARGMIN: r"\operatorname*{arg\,min}",
    Reducer.LOGSUMEXP: r"\operatorname*{logsumexp}",
}
RELATIONS: Mapping[Relation, str] = {Relation.AT_LEAST: r"\ge", Relation.EQUAL: "=", Relation.UNEQUAL: r"\ne"}
OPERATORS: Mapping[str, str] = {
    "add": " + ", "sub": " - ", "mul": r" \, ", "div": " / ", "neg": "-", "or": r" \lor ", "and": r" \land ",
    "not": r"\lnot ", "lt": " < ", "le": r" \le ", "gt": " > ", "ge": r" \ge ",
    "eq": " = ", "ne": r" \ne ", "mod": r" \bmod ",
}  # fmt: skip


def latex_name(name: str) -> str:
    """A tensor's name: `d_h` is ∂L/∂h, `h.weight` has its part as a subscript, Greek letters are themselves."""
    if name.startswith("d_") and len(name) > len("d_"):
        return rf"\frac{{\partial L}}{{\partial {latex_name(name[2:])}}}"
    head, _, rest = name.partition(".")
    stem, _, part = head.partition("_")
    below = [text for text in (part, rest) if text]
    shown = _word(stem) if stem else _word(head)
    return f"{shown}_{{{', '.join(_word(text) for text in below)}}}" if stem and below else shown


def _word(text: str) -> str:
    if text in GREEK:
        return "\\" + text
    if len(text) <= 1 or text.isdigit():
        return text if text.isalnum() else rf"\text{{{_escaped(text)}}}"
    return rf"\text{{{_escaped(text)}}}"


def _escaped(text: str) -> str:
    return "".join("\\" + letter if letter in "_#$%&{}" else letter for letter in text)


def latex_index(expr: IndexExpr) -> str:
    """An index expression: `2 i + u - 1`."""
    ordered = sorted(expr.terms, key=lambda term: (term[1] < 0, not term[0]))
    text = ""
    for monomial, coefficient in ordered:
        sign = "-" if coefficient < 0 else "+"
        shown = _monomial(monomial, abs(coefficient))
        text += f" {sign} {shown}" if text else shown if sign == "+" else f"-{shown}"
    return text or "0"


def _monomial(monomial: Monomial, coefficient: int) -> str:
    factors = [str(coefficient)] if coefficient != 1 or not monomial else []
    for atom in monomial:
        match atom:
            case Dim(name) | Idx(name):
                factors.append(_word(name))
            case Gather(tensor, subscripts):
                factors.append(latex_read(tensor, subscripts))
            case Quotient(a, b):
                factors.append(rf"\lfloor {latex_index(a)} / {latex_index(b)} \rfloor")
            case _:
                factors.append(rf"({latex_index(atom.numerator)} \bmod {latex_index(atom.denominator)})")
    return r" \, ".join(factors)


def latex_read(tensor: str, subscripts: tuple[IndexExpr, ...]) -> str:
    """`h[b, j]` as h with subscripts; a name that has subscripts of its own, or is a fraction, stands in brackets."""
    name = latex_name(tensor)
    if not subscripts:
        return name
    places = ", ".join(map(latex_index, subscripts))
    plain = "_" not in name and "\\frac" not in name
    return f"{name}_{{{places}}}" if plain else rf"\left({name}\right)_{{{places}}}"


def _call(name: str, arguments: tuple[str, ...]) -> Piece:
    shown = ", ".join(arguments)
    match name:
        case "sqrt":
            return Piece(rf"\sqrt{{{shown}}}")
        case "abs":
            return Piece(rf"\left|{shown}\right|")
        case "floor":
            return Piece(rf"\left\lfloor {shown} \right\rfloor")
        case "floordiv":
            return Piece(rf"\left\lfloor {arguments[0]} / {arguments[1]} \right\rfloor")
        case "pow":
            return Piece(rf"\left({arguments[0]}\right)^{{{arguments[1]}}}", Level.POWER)
        case "stop_gradient":
            return Piece(shown if len(shown) == 1 else rf"\left({shown}\right)")
    command = rf"\{name}" if name in OWN_COMMANDS else OTHER_COMMANDS.get(name, rf"\operatorname{{{_escaped(name)}}}")
    return Piece(rf"{command}\left({shown}\right)")


def _where(condition: Piece, then: Piece, otherwise: Piece) -> Piece:
    taken = rf"{then.text} & \text{{if }} {condition.text} \\ "
    return Piece(rf"\begin{{cases}} {taken}{otherwise.text} & \text{{otherwise}} \end{{cases}}")


LATEX = Style(
    number=plain_number,
    read=lambda read: Piece(latex_read(read.tensor, read.subscripts)),
    value=lambda value: Piece(latex_index(value), level_of(value)),
    named=lambda named: Piece(r"\infty" if named.name == "inf" else r"\pi"),
    operators=OPERATORS,
    call=_call,
    where=_where,
    power=lambda base, exponent: Piece(f"{base}^{{{exponent}}}", Level.POWER),
    quotient=plain_quotient,
    fraction=lambda above, below: Piece(rf"\frac{{{above}}}{{{below}}}"),
    brackets=(r"\left(", r"\right)"),
)


def latex_equation(equation: Equation) -> str:
    """An equation with its reduction, its guards beside it."""
    printer = Printer(LATEX, equation.origin.order)
    piece = printer.piece(equation.body)
    body = piece.text
    if equation.reduced or equation.reducer is not Reducer.SUM:
        names = ", ".join(_word(index.name) for index in equation.reduced)
        body = rf"{REDUCERS[equation.reducer]}_{{{names}}} {printer.within(piece, Level.PRODUCT)}"
    guards = r",\ ".join(map(_guard, equation.guards))
    condition = rf" \quad \text{{where }} {guards}" if guards else ""
    return f"{latex_read(equation.target, equation.write)} = {body}{condition}"


def _guard(guard: Guard) -> str:
    return f"{latex_index(guard.value)} {RELATIONS[guard.relation]} 0"


def latex_range(index: Index) -> str:
    """`0 ≤ b < batch`, less the zero."""
    low = "" if not index.low.terms else rf"{latex_index(index.low)} \le "
    return f"{low}{_word(index.name)} < {latex_index(index.high)}"
