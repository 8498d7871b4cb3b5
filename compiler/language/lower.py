"""Elaborated syntax → graph: bodies become SymPy expressions, in let-normal form.

    p[b, k] = exp(x[b, k] + c[k]) / sum[j](exp(x[b, j] + c[j]))

becomes small equations, each reduction and each costly function with a tensor of its own:

    p.exp.of[b, k] = x[b, k] + c[k]
    p.exp[b, k]    = exp(p.exp.of[b, k])
    p.sum[b]       = Σ_j p.exp[b, j]
    p[b, k]        = p.exp[b, k] / p.sum[b]

So the chain rule shares what equations share, bodies stay small, and the scheduler alone decides what is stored.
Nothing is rewritten for its value here; that is `algebra`.
"""

import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import assert_never

import sympy
from sympy import Integer, Rational

from gradc.errors import Diagnostic, GradcError
from gradc.graph import scalar
from gradc.graph.conditions import guards_of
from gradc.graph.cycles import components
from gradc.graph.index import Gather, IndexExpr, index, of_atom
from gradc.graph.kinds import joined_kind, kind_of
from gradc.graph.nodes import (
    INF,
    PI,
    Equation,
    Graph,
    Guard,
    Named,
    Origin,
    Read,
    Reducer,
    Tensor,
    Value,
    leaves_of,
    reads_of,
    rebuild,
)
from gradc.graph.tensors import Axis, Index, Kind, Role

from . import core
from .tensors import dependencies
from .values import decimal

LARGEST_POWER = 16
"""Whole powers up to this one are products; above it a power is a call of `pow`."""
MOST = Fraction(sys.float_info.max)


@dataclass(frozen=True, slots=True)
class Scope:
    """Where an expression stands: the indices around it, the conditions on them, the conditions on data, the names."""

    target: str
    origin: Origin
    indices: Mapping[str, Index]
    guards: tuple[Guard, ...] = ()
    conditions: tuple[sympy.Expr, ...] = ()
    locals: Mapping[str, "Typed"] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Typed:
    """A body and what its numbers are."""

    body: sympy.Expr
    kind: Kind


def lower(model: core.Model) -> Graph:
    """The graph of a model: all its tensors, with the predictions, the loss and the metrics as outputs.

    Outputs are named `predict p`, `loss` and `metric accuracy`; `next mean` is what a state is after a step.
    """
    builder = _Builder()
    builder.declare_leaves(model.leaves)
    builder.declare(model.tensors)
    builder.cycle_of = _cycles_of(dependencies(model.tensors, model.equations))
    written = Counter(equation.target for equation in model.equations)
    for equation in model.equations:
        builder.add(equation, alone=written[equation.target] == 1)
    outputs = {f"predict {output.name}": output.tensor for output in model.predictions}
    outputs |= {"loss": model.loss.tensor} if model.loss else {}
    outputs |= {f"metric {output.name}": output.tensor for output in model.metrics}
    outputs |= {f"next {state}": tensor for state, tensor in model.carried}
    outputs |= {f"minimised {output.name}": output.tensor for output in model.own_losses.values()}
    return builder.graph(outputs)


def lower_update(leaves: Iterable[core.Leaf], tensors: Iterable[core.Tensor], equations: Iterable[core.Equation],
                 results: Mapping[str, str]) -> Graph:  # fmt: skip
    """The graph of an optimizer's rule; its outputs are the next values of p and of each state."""
    builder = _Builder()
    builder.declare_leaves(leaves)
    builder.declare(tensors)
    for equation in equations:
        builder.add(equation)
    return builder.graph(results)


def lower_law(law: core.Law) -> sympy.Expr:
    """The body of an initial law; the n-th random number in it is the read `uniform[n]` or `normal[n]`."""
    assert law.value is not None, "orthogonal is made by the runtime"
    builder = _Builder(split=False)
    origin = Origin(law.span, law.text)
    return builder.expression(law.value, Scope("", origin, {i.name: i for i in law.indices})).body


class _Builder:
    """Collects tensors and equations; one for each graph."""

    def __init__(self, split: bool = True) -> None:
        self.split = split
        self.tensors: dict[str, Tensor] = {}
        self.equations: list[Equation] = []
        self.made: dict[tuple[object, ...], str] = {}
        self.keys: dict[int, str] = {}
        self.randoms = 0
        self.seen: dict[str, None] = {}
        self.cycle_of: Mapping[str, frozenset[str]] = {}

    # ------------------------------------------------------------ tensors

    def declare_leaves(self, leaves: Iterable[core.Leaf]) -> None:
        for leaf in leaves:
            origin = Origin(leaf.span, leaf.name)
            self.tensors[leaf.name] = Tensor(leaf.name, leaf.axes, leaf.kind, origin, leaf.role, leaf.bounds)

    def declare(self, tensors: Iterable[core.Tensor]) -> None:
        for tensor in tensors:
            origin = Origin(tensor.span, tensor.name)
            self.tensors[tensor.name] = Tensor(
                tensor.name, tensor.axes, tensor.kind, origin, bounds=tensor.bounds, gradient=tensor.gradient
            )

    def graph(self, outputs: Mapping[str, str]) -> Graph:
        return Graph(self.tensors, tuple(self.equations), outputs)

    def add(self, equation: core.Equation, alone: bool = True) -> None:
        """One equation of the model: its root is written straight into the target.

        A tensor is the sum of its equations: a reduction that is no sum is one only `alone`, at bare indices. One that
        writes no place, as `h[(t: time - 1) + 1]` where time is 1, is none.
        """
        if any(i.extent.constant == 0 for i in equation.indices):
            return
        start, self.seen = len(self.equations), {}
        origin = Origin(equation.span, equation.text)
        indices = {i.name: i for i in equation.indices}
        scope = Scope(equation.target, origin, indices)
        places = {place.bare for place in equation.write}
        straight = alone and None not in places and len(places) == len(equation.write)
        if isinstance(equation.value, core.Reduce) and (straight or equation.value.reducer == "sum"):
            value = equation.value
            inner = replace(scope, indices=indices | {i.name: i for i in value.indices})
            body = self.reduced_body(value, inner)
            domain = (*equation.indices, *value.indices)
            reducer = Reducer(value.reducer)
        else:
            body = self.number(self.expression(equation.value, scope, root=True), self.tensors[equation.target].kind)
            domain, reducer = equation.indices, Reducer.SUM
        self.equations.append(Equation(equation.target, equation.write, domain, (), reducer, body, origin))
        ordered = replace(origin, order=tuple(self.seen))
        self.equations[start:] = [replace(made, origin=ordered) for made in self.equations[start:]]

    def made_tensor(self, role: str, typed: Typed, scope: Scope, reduced: tuple[Index, ...] = (),
                    reducer: Reducer = Reducer.SUM) -> Read:  # fmt: skip
        """A tensor for a part of an equation, over the indices that the part depends on; what reads it here."""
        body = typed.body
        for condition in reversed(scope.conditions):
            body = scalar.WHERE(condition, body, Integer(0))
        inner = {i.name for i in reduced}
        used = _indices_of(body, scope.guards)
        if scope.target in self.cycle_of and not self.cycle_of[scope.target].isdisjoint(_read_in(body)):
            # what is earlier by a condition, as h[0] is where t > 0, is so at the places where that holds
            used |= {name for guard in scope.guards for name in guard.value.indices}
        domain = tuple(i for i in scope.indices.values() if i.name in used and i.name not in inner)
        guards = tuple(g for g in scope.guards if all(name in used for name in g.value.indices))
        key = (domain, reduced, guards, reducer, body)
        place = tuple(index(i.name) - i.low for i in domain)
        if key not in self.made:
            name = self.fresh(f"{scope.target}.{role}")
            axes = tuple(Axis(i.name, i.extent) for i in domain)
            self.tensors[name] = Tensor(name, axes, typed.kind, scope.origin)
            equation = Equation(name, place, (*domain, *reduced), guards, reducer, body, scope.origin)
            self.equations.append(equation)
            self.made[key] = name
        self.seen.setdefault(self.made[key])
        return Read(self.made[key], place)

    def fresh(self, name: str) -> str:
        count, candidate = 1, name
        while candidate in self.tensors:
            count += 1
            candidate = f"{name}_{count}"
        return candidate

    # ------------------------------------------------------------ expressions

    def expression(self, node: core.Expression, scope: Scope, root: bool = False) -> Typed:
        """The body of an expression; `root` says that the equation around it stores the value as it is."""
        match node:
            case core.Number(value=value):
                _check_size(node)
                return Typed(_rational(value), Kind.WHOLE if value.denominator == 1 else Kind.REAL)
            case core.Constant(name=name):
                return Typed(INF if name == "inf" else PI, Kind.REAL)
            case core.Whole(value=value):
                return Typed(Value(value), Kind.WHOLE)
            case core.Read(tensor=tensor, subscripts=subscripts):
                self.seen.setdefault(tensor)
                return Typed(Read(tensor, subscripts), self.tensors[tensor].kind)
            case core.Local(name=name):
                return scope.locals[name]
            case core.Let():
                return self.let(node, scope, root)
            case core.Where():
                return self.where(node, scope)
            case core.Reduce():
                return self.reduce(node, scope)
            case core.Apply():
                return self.apply(node, scope, root)
            case core.Random():
                return self.random(node, scope, root)
        assert_never(node)

    def random(self, node: core.Random, scope: Scope, root: bool) -> Typed:
        """In an equation a number of the site's key and the place; in an initial law the n-th one of its stream."""
        if not self.split:
            self.randoms += 1
            return Typed(Read(node.law, (IndexExpr((((), self.randoms),)),)), Kind.REAL)
        if node.site not in self.keys:
            name = self.keys[node.site] = self.fresh(f"{scope.target}.{node.law}.key")
            self.tensors[name] = Tensor(name, (), Kind.WHOLE, scope.origin, Role.RANDOM, site=node.site)
        arguments = [Read(self.keys[node.site], ()), Value(place_among(scope.indices.values()))]
        return self.function(scalar.ROWS[node.law], arguments, Kind.REAL, scope, root)

    def let(self, node: core.Let, scope: Scope, root: bool) -> Typed:
        value = self.expression(node.value, scope)
        if self.split and not _is_leaf(value.body):
            value = Typed(self.made_tensor("of", value, scope), value.kind)
        return self.expression(node.body, replace(scope, locals={**scope.locals, node.name: value}), root)

    def where(self, node: core.Where, scope: Scope) -> Typed:
        condition = self.expression(node.condition, scope).body
        then = self.expression(node.then, _under(scope, condition))
        otherwise = self.expression(node.otherwise, _under(scope, scalar.NOT(condition)))
        kind = joined_kind(then.kind, otherwise.kind)
        return Typed(scalar.WHERE(condition, self.number(then, kind), self.number(otherwise, kind)), kind)

    def reduce(self, node: core.Reduce, scope: Scope) -> Typed:
        inner = replace(scope, indices={**scope.indices, **{i.name: i for i in node.indices}})
        body = self.reduced_body(node, inner)
        kind = self.reduced_kind(node, body)
        read = self.made_tensor(node.reducer, Typed(body, kind), inner, node.indices, Reducer(node.reducer))
        return Typed(read, kind)

    def reduced_body(self, node: core.Reduce, inner: Scope) -> sympy.Expr:
        typed = self.expression(node.body, inner)
        if typed.kind is Kind.BOOL and node.reducer in ("max", "min"):
            return typed.body
        return self.number(typed, Kind.REAL if node.reducer == "logsumexp" else Kind.WHOLE)

    def reduced_kind(self, node: core.Reduce, body: sympy.Expr) -> Kind:
        if node.reducer in ("argmax", "argmin"):
            return Kind.WHOLE
        return Kind.REAL if node.reducer == "logsumexp" else kind_of(body, self.tensors)

    def apply(self, node: core.Apply, scope: Scope, root: bool) -> Typed:
        if node.function in ("and", "or"):
            left = self.expression(node.arguments[0], scope).body
            settled = left if node.function == "and" else scalar.NOT(left)
            right = self.expression(node.arguments[1], _under(scope, settled)).body
            return Typed(scalar.ROWS[node.function](left, right), Kind.BOOL)
        arguments = [self.expression(argument, scope) for argument in node.arguments]
        if node.function in ("lt", "le", "eq", "ne", "not"):
            return Typed(scalar.ROWS[node.function](*(self.gathered(a.body) for a in arguments)), Kind.BOOL)
        numbers = [Typed(self.number(a, Kind.WHOLE), Kind.WHOLE if a.kind is Kind.BOOL else a.kind) for a in arguments]
        kind = Kind.WHOLE if all(a.kind is Kind.WHOLE for a in numbers) else Kind.REAL
        bodies = [a.body for a in numbers]
        match node.function, bodies:
            case "add", [a, b]:
                return Typed(a + b, kind)
            case "sub", [a, b]:
                return Typed(a - b, kind)
            case "mul", [a, b]:
                return Typed(a * b, kind)
            case "div", [a, b]:
                return Typed(a / b, Kind.REAL)
            case "neg", [a]:
                return Typed(-a, kind)
            case "pow", [a, Integer() as power] if abs(int(power)) <= LARGEST_POWER:
                return Typed(a**power, kind if int(power) >= 0 else Kind.REAL)
            case "pow", [a, Rational() as power] if power == scalar.HALF:
                return self.function(scalar.SQRT, [a], Kind.REAL, scope, root)
            case _:
                row = scalar.ROWS[node.function]
                gives = {"real": Kind.REAL, "whole": Kind.WHOLE, "bool": Kind.BOOL, "same": kind}[row.gives]
                return self.function(row, bodies, gives, scope, root)

    def function(self, row: scalar.Row, bodies: list[sympy.Expr], kind: Kind, scope: Scope, root: bool) -> Typed:
        """A call: what it is applied to gets a name where it joins several reads, and so does a costly result."""
        if self.split and row.derivative is not None:
            bodies = [self.argument(row, body, scope) for body in bodies]
        typed = Typed(row(*bodies), kind)
        if root or not self.split or not row.costly:
            return typed
        return Typed(self.made_tensor(row.name, typed, scope), kind)

    def argument(self, row: scalar.Row, body: sympy.Expr, scope: Scope) -> sympy.Expr:
        reads = [leaf for leaf in leaves_of(body) if isinstance(leaf, Read)]
        if len(reads) < 2:  # noqa: PLR2004  (one read alone is cheap to differentiate through)
            return body
        return self.made_tensor(f"{row.name}.of", Typed(body, kind_of(body, self.tensors)), scope)

    def gathered(self, body: sympy.Expr) -> sympy.Expr:
        """An argument of a condition, its whole numbers of a known range as index values: then what is read at places
        that depend on them is proved by the condition, in every graph."""
        changes: dict[sympy.Expr, sympy.Expr] = {}
        for read in reads_of(body):
            tensor = self.tensors.get(read.tensor)  # what a law draws is none
            if tensor is not None and tensor.kind is Kind.WHOLE and tensor.bounds is not None:
                gather = Gather(read.tensor, read.subscripts, tensor.bounds.low, tensor.bounds.high)
                changes[read] = Value(of_atom(gather))
        return rebuild(body, changes)

    def number(self, typed: Typed, wanted: Kind) -> sympy.Expr:
        """True is 1 where a number is wanted."""
        if typed.kind is Kind.BOOL and wanted is not Kind.BOOL:
            return scalar.WHERE(typed.body, Integer(1), Integer(0))
        return typed.body


def _under(scope: Scope, condition: sympy.Expr) -> Scope:
    """The scope of a branch: a condition on indices bounds its domain, one on data stays a condition."""
    guards = guards_of(condition)
    if guards is None or any(guard.value.gathers for guard in guards):
        return replace(scope, conditions=(*scope.conditions, condition))
    return replace(scope, guards=(*scope.guards, *guards))


def _cycles_of(needs: Mapping[str, Sequence[str]]) -> dict[str, frozenset[str]]:
    """For each tensor that needs itself all that it needs, and that need it."""
    names = list(needs)
    numbers = {name: at for at, name in enumerate(names)}
    found: dict[str, frozenset[str]] = {}
    for part in components([[numbers[each] for each in needs[name] if each in numbers] for name in names]):
        cycle = frozenset(names[at] for at in part)
        if len(cycle) > 1 or any(name in needs[name] for name in cycle):
            found |= dict.fromkeys(cycle, cycle)
    return found


def _read_in(body: sympy.Expr) -> set[str]:
    """The tensors that a body reads, and those that it gathers from."""
    leaves = list(leaves_of(body))
    gathered = {gather.tensor for leaf in leaves for part in _parts_of(leaf) for gather in part.gathers}
    return gathered | {leaf.tensor for leaf in leaves if isinstance(leaf, Read)}


def _parts_of(leaf: Read | Value) -> tuple[IndexExpr, ...]:
    return leaf.subscripts if isinstance(leaf, Read) else (leaf.value,)


def _indices_of(body: sympy.Expr, guards: tuple[Guard, ...]) -> set[str]:
    used = {name for leaf in leaves_of(body) for part in _parts_of(leaf) for name in part.indices}
    # a guard protects reads of the indices it shares with the body: its other indices come in with it
    for guard in guards:
        if used & set(guard.value.indices):
            used |= set(guard.value.indices)
    return used


def place_among(indices: Iterable[Index]) -> IndexExpr:
    """The place of a tuple of indices among all, counted row-major."""
    place = IndexExpr()
    for each in indices:
        place = place * each.extent + index(each.name) - each.low
    return place


def _is_leaf(body: sympy.Expr) -> bool:
    return isinstance(body, Read | Value | Named | Rational)


def _check_size(node: core.Number) -> None:
    """Refuses what would be infinite in float64: a number that was worked out of others, such as 10^400."""
    if abs(node.value) > MOST:
        message = f"this is {decimal(node.value)}, beyond what a number can be here"
        help = "for a number without bound write inf"
        raise GradcError([Diagnostic("number-out-of-range", message, node.span, help=help)])


def _rational(value: Fraction) -> sympy.Rational:
    return Rational(value.numerator, value.denominator)
