"""Let-normal form: costly functions inside a body → tensors of their own, as lowering makes them.

    y[i] = 2*sigmoid(x[i])        →        y.sigmoid[i] = sigmoid(x[i])        y[i] = 2*y.sigmoid[i]

What a function is applied to gets a tensor too where it joins several reads. A part of a branch
is computed under the branch's conditions and is 0 elsewhere: its derivative must not meet what is not taken.
"""

from dataclasses import replace

import sympy
from sympy import Integer

from gradc.graph.conditions import guards_of
from gradc.graph.nodes import Equation, Graph, Head, Read, Reducer, Value, leaves_of, reads_of
from gradc.graph.scalar import NOT, WHERE, row_of

from .engine import Site, parts_of
from .work import Work

MOST_READS = 1
"""A function's argument with more than one read is a tensor: its derivative is then used for all of them."""


def let_normal_form(graph: Graph, before: Graph) -> Graph:
    """Equations that are not in `before` are brought to let-normal form; the others are in it already."""
    work = Work(graph)
    made: dict[tuple[object, ...], Read] = {}
    known = set(map(id, before.equations))
    with sympy.core.parameters.distribute(False):
        for equations in tuple(work.writers.values()):
            changed = [eq if id(eq) in known else _Splitting(work, eq, made).result() for eq in equations]
            if any(a is not b for a, b in zip(changed, equations, strict=True)):
                work.put(equations[0].target, changed)
    return work.graph()


class _Splitting:
    """One equation's body, its costly parts given names."""

    def __init__(self, work: Work, equation: Equation, made: dict[tuple[object, ...], Read]) -> None:
        self.made = made
        self.work = work
        self.equation = equation

    def result(self) -> Equation:
        body = self.equation.body
        site = Site(self.work, self.equation)
        if isinstance(body, Head) and row_of(body).costly and self.equation.reducer is Reducer.SUM:
            new = body.func(*(self.argument(body, part, site) for part in body.args))
        else:
            new = self.at(body, site)
        return self.equation if new == body else replace(self.equation, body=new)

    def at(self, body: sympy.Expr, site: Site) -> sympy.Expr:
        """The body with reads in place of its costly functions."""
        if not body.args:
            return body
        if not isinstance(body, Head) or not row_of(body).costly:
            parts = [self.at(part, inner) for part, inner in parts_of(body, site)]
            return body if all(a is b for a, b in zip(parts, body.args, strict=True)) else body.func(*parts)
        inner = body.func(*(self.argument(body, part, site) for part in body.args))
        return self.named(inner, row_of(body).name, site)

    def argument(self, head: Head, body: sympy.Expr, site: Site) -> sympy.Expr:
        body = self.at(body, site)
        return self.named(body, f"{row_of(head).name}.of", site) if len(reads_of(body)) > MOST_READS else body

    def named(self, body: sympy.Expr, role: str, site: Site) -> sympy.Expr:
        """A tensor for a part, over the indices that it depends on."""
        conditions = [guards_of(each if outcome else NOT(each)) for each, outcome in site.known.items()]
        for (condition, outcome), guards in reversed(tuple(zip(site.known.items(), conditions, strict=True))):
            if guards is None:
                body = WHERE(condition if outcome else NOT(condition), body, Integer(0))
        known = (*self.equation.guards, *(guard for guards in conditions for guard in guards or ()))
        used = _indices_of(body)
        for guard in known:
            # it protects reads of the indices it shares with the part: its other indices come in with it
            if not used.isdisjoint(guard.value.indices):
                used.update(guard.value.indices)
        domain = tuple(each for each in self.equation.indices if each.name in used)
        guards = tuple(guard for guard in known if used.issuperset(guard.value.indices))
        part = replace(self.equation, indices=domain, guards=guards, reducer=Reducer.SUM, body=body)
        key = (domain, guards, body)
        if key not in self.made:
            self.made[key] = self.work.add(f"{self.equation.target}.{role}", domain, part)
        return self.made[key]


def _indices_of(body: sympy.Expr) -> set[str]:
    names: set[str] = set()
    for leaf in leaves_of(body):
        for expr in (leaf.value,) if isinstance(leaf, Value) else leaf.subscripts:
            names.update(expr.indices)
    return names
