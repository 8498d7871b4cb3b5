"""Forms: what is left of equations when their tensors are numbered in the order in which they appear.

    h.norm[b, j]   = x[b, j]*gain[j]            has the form of            h_2.norm[b, j] = h[b, j]*gain_2[j]

Twelve equal blocks of a model are the same equations between other tensors. What depends on the form alone is found out
once: whoever remembers something by a form keeps it in terms of the numbers, and puts the names in.
"""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import replace
from functools import lru_cache, partial

import sympy

from .index import IndexExpr
from .nodes import Equation, Guard, Read, Value, leaves_of, reads_of, rebuild

COMMUTATIVE = (sympy.Add, sympy.Mul)


class Numbering:
    """Numbers tensors as they appear. `names` has them in that order."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The tensors by their numbers."""
        return tuple(self.numbers)

    def of(self, name: str) -> int:
        """The number of a tensor, a new one where it appears for the first time."""
        return self.numbers.setdefault(name, len(self.numbers))

    def place(self, expr: IndexExpr) -> IndexExpr:
        """An index expression that gathers from numbers."""
        gathers = expr.gathers
        return expr.rename_tensors({each.tensor: f"#{self.of(each.tensor)}" for each in gathers}) if gathers else expr

    def places(self, exprs: Iterable[IndexExpr]) -> tuple[IndexExpr, ...]:
        """Several of them."""
        return tuple(map(self.place, exprs))

    def equation(self, equation: Equation) -> Hashable:
        """An equation's form. The order in which its line reads the tensors is part of it: so terms are printed."""
        tokens, names = _body(equation.body, equation.origin.order)
        return (
            self.of(equation.target),
            self.places(equation.write),
            equation.indices,
            tuple((self.place(guard.value), guard.relation) for guard in equation.guards),
            equation.reducer,
            tokens,
            tuple(map(self.of, names)),
            tuple(self.numbers[name] for name in equation.origin.order if name in self.numbers),
        )


@lru_cache(maxsize=16384)
def _body(body: sympy.Expr, order: tuple[str, ...]) -> tuple[Hashable, tuple[str, ...]]:
    """A body's form by itself, and its tensors by their numbers in it.

    SymPy sorts terms and factors by the names of tensors; here they stand in an order without names.
    """
    numbering = Numbering()
    tokens: list[Hashable] = []
    waiting = [body]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Read):
            tokens += [numbering.of(node.tensor), numbering.places(node.subscripts)]
        elif isinstance(node, Value):
            tokens.append(numbering.place(node.value))
        elif node.args:
            tokens += [node.func, len(node.args)]
            sums = isinstance(node, COMMUTATIVE)
            waiting += reversed(sorted(node.args, key=partial(_place, order)) if sums else node.args)
        else:
            tokens.append(node)
    return tuple(tokens), numbering.names


def _place(order: tuple[str, ...], part: sympy.Expr) -> tuple[str, int]:
    """Where a term or a factor stands: by its outline, then by the first tensor of the line that it reads."""
    names = {read.tensor for read in reads_of(part)}
    return _outline(part), next((at for at, name in enumerate(order) if name in names), len(order))


@lru_cache(maxsize=16384)
def _outline(body: sympy.Expr) -> str:
    """A body without the names of tensors."""
    if isinstance(body, Read | Value):
        places = body.subscripts if isinstance(body, Read) else (body.value,)
        nameless = (place.rename_tensors(dict.fromkeys((g.tensor for g in place.gathers), "")) for place in places)
        return f"{type(body).__name__}[{', '.join(map(str, nameless))}]"
    if not body.args:
        return str(body)
    parts = map(_outline, body.args)
    return f"{body.func.__name__}({', '.join(sorted(parts) if isinstance(body, COMMUTATIVE) else parts)})"


class ByForm:
    """What was made of equations: of the first of each form, and of all others by putting their names in.

    A form is whatever tells all that the outcome depends on but for the names; `names` are those in it by their
    numbers, and then any others that are in what is made.
    """

    def __init__(self) -> None:
        self.known: dict[Hashable, tuple[tuple[str, ...], tuple[Equation, ...]]] = {}

    def keep(self, form: Hashable, names: tuple[str, ...], made: Iterable[Equation]) -> None:
        """What was made of the first of a form."""
        self.known[form] = names, tuple(made)

    def recall(self, form: Hashable, names: tuple[str, ...]) -> tuple[Equation, ...] | None:
        """The same for other tensors; None where nothing of this form has been there."""
        if form not in self.known:
            return None
        theirs, made = self.known[form]
        changes = {old: new for old, new in zip(theirs, names, strict=True) if old != new}
        return tuple(renamed(equation, changes) for equation in made)


def renamed(equation: Equation, names: Mapping[str, str]) -> Equation:
    """The equation reading and writing tensors under other names."""
    if equation.target not in names and not any(source in names for source in equation.sources()):
        return equation
    changes: dict[sympy.Expr, sympy.Expr] = {}
    for leaf in leaves_of(equation.body):
        if isinstance(leaf, Read):
            places = tuple(place.rename_tensors(names) for place in leaf.subscripts)
            new: sympy.Expr = Read(names.get(leaf.tensor, leaf.tensor), places)
        else:
            new = Value(leaf.value.rename_tensors(names))
        if new != leaf:
            changes[leaf] = new
    return replace(
        equation,
        target=names.get(equation.target, equation.target),
        write=tuple(place.rename_tensors(names) for place in equation.write),
        guards=tuple(Guard(guard.value.rename_tensors(names), guard.relation) for guard in equation.guards),
        body=rebuild(equation.body, changes),
    )
