"""Holds what `stop_gradient` stops: a graph → the same with each stopped value in a tensor of its own.

    y[i] = x[i] * stop_gradient(x[i])     becomes     y.held[i] = x[i];  y[i] = x[i] * y.held[i]

Differences of a loss move all that depends on a parameter. With the held tensors kept as they were, they are the slopes
that such a loss is said to have.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import sympy
from sympy import Integer

from gradc.graph.conditions import Part, parts_of
from gradc.graph.index import index
from gradc.graph.interpret import interpret
from gradc.graph.nodes import Equation, Graph, Head, Read, Reducer, Tensor
from gradc.graph.scalar import NOT, STOP, WHERE
from gradc.graph.tensors import Axis, Kind

from .differences import Array


@dataclass(frozen=True, slots=True)
class Held:
    """A graph that reads its stopped values from tensors, and the equations that compute those."""

    graph: Graph
    equations: tuple[Equation, ...]

    def values(self, here: Mapping[str, Array], dims: Mapping[str, int]) -> dict[str, Array]:
        """What is stopped, as it is at some values of the leaves."""
        found = interpret(self.graph.with_equations((*self.graph.equations, *self.equations)), here, dims)
        return {equation.target: found[equation.target] for equation in self.equations}


def held(graph: Graph) -> Held | None:
    """The graph with its stopped values held; None where nothing is stopped."""
    if not any(equation.body.has(STOP.head) for equation in graph.equations):
        return None
    tensors = dict(graph.tensors)
    made: list[Equation] = []
    equations = tuple(_Holding(equation, tensors, made).result() for equation in graph.equations)
    return Held(Graph(tensors, equations, graph.outputs), tuple(made))


class _Holding:
    """One equation; adds to the table of tensors and to the equations made."""

    def __init__(self, equation: Equation, tensors: dict[str, Tensor], made: list[Equation]) -> None:
        self.equation = equation
        self.tensors = tensors
        self.made = made

    def result(self) -> Equation:
        with sympy.core.parameters.distribute(False):
            body = self.at(self.equation.body, ())
        old = self.equation
        return Equation(old.target, old.write, old.indices, old.guards, old.reducer, body, old.origin)

    def at(self, body: sympy.Expr, conditions: tuple[sympy.Expr, ...]) -> sympy.Expr:
        """The body with reads of held tensors, under the conditions of the branches around it."""
        match body:
            case STOP.head():
                return self.read(body.args[0], conditions)
            case Head():
                return body.func(*(self.at(part.body, _under(conditions, part)) for part in parts_of(body)))
            case sympy.Add() | sympy.Mul() | sympy.Pow():
                return body.func(*(self.at(part, conditions) for part in body.args))
        return body

    def read(self, body: sympy.Expr, conditions: tuple[sympy.Expr, ...]) -> Read:
        old = self.equation
        name = f"{old.target}.held"
        while name in self.tensors:
            name += "_"
        for condition in reversed(conditions):
            body = WHERE(condition, body, Integer(0))
        axes = tuple(Axis(each.name, each.extent) for each in old.indices)
        place = tuple(index(each.name) - each.low for each in old.indices)
        self.tensors[name] = Tensor(name, axes, Kind.REAL, old.origin)
        self.made.append(Equation(name, place, old.indices, old.guards, Reducer.SUM, body, old.origin))
        return Read(name, place)


def _under(conditions: tuple[sympy.Expr, ...], part: Part) -> tuple[sympy.Expr, ...]:
    if part.condition is None:
        return conditions
    return (*conditions, part.condition if part.outcome else NOT(part.condition))
