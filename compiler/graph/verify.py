"""Checks what every pass must keep: graph → nothing, or an `InternalError` that names the equation.

Names are known and used at their rank; every read and write is provably inside its tensor under the ranges, the guards
and the conditions around it; bodies are made of the allowed nodes; no tensor needs itself. A graph that fails is a bug
of gradc, never the user's mistake.
"""

from collections.abc import Iterable, Sequence

import sympy

from gradc.errors import InternalError

from .conditions import facts_of, parts_of, under
from .index import Gather, IndexExpr
from .nodes import Equation, Graph, Head, Named, Read, Tensor, Value
from .ranges import Ranges
from .recurrence import Unordered, arrange
from .scalar import ROWS
from .tensors import Kind, ranges_of

NAMED = ("inf", "pi")


def verify(graph: Graph, preconditions: Iterable[IndexExpr] = ()) -> None:
    """Raises an `InternalError` where the graph breaks an invariant.

    Args:
        graph: the graph to check.
        preconditions: expressions in the dims that are checked to be ≥ 0 when called.
    """
    facts = tuple(preconditions)
    for name, tensor in graph.tensors.items():
        if tensor.name != name:
            raise InternalError(f"tensor {tensor.name} is filed under {name}")
        if any(axis.extent.indices or axis.extent.gathers for axis in tensor.axes):
            raise InternalError(f"tensor {name}: an extent that is not in the dims alone")
    for outside, name in graph.outputs.items():
        if name not in graph.tensors:
            raise InternalError(f"output {outside} is {name}, which is no tensor")
    for equation in graph.equations:
        _Check(graph, equation).run(facts)
    _computable(graph)


def _computable(graph: Graph) -> None:
    try:
        arrange(graph)
    except Unordered as cycle:
        raise InternalError(f"a cycle without an order: {', '.join(map(describe, cycle.equations))}") from None


def describe(equation: Equation) -> str:
    """An equation in a message: what it writes, and its line."""
    places = ", ".join(map(str, equation.write))
    trail = f", after {', '.join(equation.origin.trail)}" if equation.origin.trail else ""
    return f"{equation.target}[{places}] ({equation.origin.span}{trail})"


class _Check:
    """The checks of one equation."""

    def __init__(self, graph: Graph, equation: Equation) -> None:
        self.graph = graph
        self.equation = equation
        self.names = {index.name for index in equation.indices}

    def run(self, facts: Sequence[IndexExpr]) -> None:
        target = self.tensor(self.equation.target)
        if target.role is not None:
            self.fail(f"it writes the leaf {target.name}")
        if len(self.names) != len(self.equation.indices):
            self.fail("an index is declared twice")
        ranges = ranges_of(self.equation.indices).with_facts(facts)
        for index in self.equation.indices:
            self.index_expression(index.low, ranges)
            self.index_expression(index.high, ranges)
        plain = [guard for guard in self.equation.guards if not guard.value.gathers]
        reading = [guard for guard in self.equation.guards if guard.value.gathers]
        ranges = under(ranges, plain)
        for guard in (*plain, *reading):
            self.index_expression(guard.value, ranges)
        ranges = under(ranges, reading)
        self.inside(self.equation.target, self.equation.write, ranges)
        self.body(self.equation.body, ranges)

    def fail(self, what: str) -> None:
        raise InternalError(f"{describe(self.equation)}: {what}")

    def tensor(self, name: str) -> Tensor:
        if name not in self.graph.tensors:
            self.fail(f"{name} is no tensor")
        return self.graph.tensors[name]

    # ------------------------------------------------------------ index expressions

    def index_expression(self, expr: IndexExpr, ranges: Ranges) -> None:
        unknown = [name for name in expr.indices if name not in self.names]
        if unknown:
            self.fail(f"{expr} has {unknown[0]}, which is no index here")
        for gather in expr.gathers:
            self.gather(gather, ranges)

    def gather(self, gather: Gather, ranges: Ranges) -> None:
        tensor = self.tensor(gather.tensor)
        if tensor.kind is Kind.REAL:
            self.fail(f"{gather} is a place, but {tensor.name} holds real numbers")
        bounds = tensor.bounds
        if bounds and not (
            ranges.nonnegative(bounds.low - gather.low) and ranges.nonnegative(gather.high - bounds.high)
        ):
            self.fail(f"{gather} is taken to be {gather.low} .. {gather.high}; it is {bounds.low} .. {bounds.high}")
        self.inside(gather.tensor, gather.subscripts, ranges)

    def inside(self, name: str, subscripts: Sequence[IndexExpr], ranges: Ranges) -> None:
        """Every place is in the tensor."""
        tensor = self.tensor(name)
        if len(tensor.axes) != len(subscripts):
            self.fail(f"{name} has {len(tensor.axes)} axes, and {len(subscripts)} subscripts here")
        for axis, subscript in zip(tensor.axes, subscripts, strict=True):
            self.index_expression(subscript, ranges)
            if not ranges.nonnegative(subscript):
                self.fail(f"{subscript} may be below 0 in {name}[{', '.join(map(str, subscripts))}]")
            if not ranges.nonnegative(axis.extent - 1 - subscript):
                self.fail(f"{subscript} may reach {axis.extent} in {name}[{', '.join(map(str, subscripts))}]")

    # ------------------------------------------------------------ bodies

    def body(self, body: sympy.Expr, ranges: Ranges) -> None:
        """Only allowed nodes, every read inside, under the conditions around it."""
        match body:
            case Read():
                self.inside(body.tensor, body.subscripts, ranges)
            case Value():
                self.index_expression(body.value, ranges)
            case Named():
                if body.name not in NAMED:
                    self.fail(f"{body.name} is no constant")
            case sympy.Rational():
                if not body.is_finite:
                    self.fail(f"{body} in the body")
            case sympy.Add() | sympy.Mul():
                for argument in body.args:
                    self.body(argument, ranges)
            case sympy.Pow(args=(base, sympy.Integer())):
                self.body(base, ranges)
            case Head():
                self.function(body, ranges)
            case _:
                self.fail(f"{body} in the body, a {type(body).__name__}")

    def function(self, head: Head, ranges: Ranges) -> None:
        row = ROWS.get(head.row_name)
        if row is None or len(head.args) != row.arity:
            self.fail(f"{head.row_name} of {len(head.args)} arguments")
        for part in parts_of(head):
            known = () if part.condition is None else facts_of(part.condition, part.outcome)
            self.body(part.body, ranges.with_facts(known))
