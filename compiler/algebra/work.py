"""A graph while it is rewritten: tensors, the equations of each, and what the rules ask of them."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import sympy
from gradc.graph.conditions import under
from gradc.graph.index import IndexExpr, Ranges, index
from gradc.graph.nodes import Equation, Graph, Origin, Read, Reducer, Tensor, substitute
from gradc.graph.tensors import Axis, Index, Kind, ranges_of


class Work:
    """Equations by target, replaced one by one; a graph again at the end.

    Attributes:
        logarithms: for sums of exponentials whose logarithm was made a tensor: its name, and what is added to it.
    """

    def __init__(self, graph: Graph) -> None:
        self.tensors: dict[str, Tensor] = dict(graph.tensors)
        self.writers: dict[str, tuple[Equation, ...]] = dict(graph.writers)
        self.outputs: dict[str, str] = dict(graph.outputs)
        self.logarithms: dict[str, tuple[str, sympy.Expr]] = {}
        self._plain: dict[str, tuple[tuple[Equation, ...], dict[str, IndexExpr] | None]] = {}
        self._ranges: dict[int, tuple[Equation, Ranges]] = {}

    def graph(self) -> Graph:
        """The graph as it is now."""
        equations = tuple(equation for equations in self.writers.values() for equation in equations)
        return Graph(dict(self.tensors), equations, dict(self.outputs))

    def order(self) -> tuple[str, ...]:
        """The computed tensors, each after those it reads."""
        return self.graph().order

    def origin(self, name: str) -> Origin:
        """Where a tensor comes from, the last rule included."""
        equations = self.writers.get(name, ())
        return equations[0].origin if equations else self.tensors[name].origin

    def equations(self) -> Iterable[Equation]:
        """All equations."""
        for equations in self.writers.values():
            yield from equations

    # ------------------------------------------------------------ changing

    def put(self, name: str, equations: Sequence[Equation]) -> None:
        """The equations of a tensor, in place of those it had; without any it is 0."""
        if equations:
            self.writers[name] = tuple(equations)
        else:
            self.writers.pop(name, None)

    def remove(self, name: str) -> None:
        """A tensor that nothing reads."""
        self.writers.pop(name, None)
        del self.tensors[name]

    def fresh(self, name: str) -> str:
        """The name, counted up where it is taken."""
        count, candidate = 1, name
        while candidate in self.tensors:
            count += 1
            candidate = f"{name}_{count}"
        return candidate

    def add(self, name: str, domain: tuple[Index, ...], equation: Equation, kind: Kind = Kind.REAL) -> Read:
        """A new tensor over some indices, with the equation that writes it; what reads it at those indices."""
        name = self.fresh(name)
        place = tuple(map(_place, domain))
        axes = tuple(Axis(each.name, each.extent) for each in domain)
        self.tensors[name] = Tensor(name, axes, kind, equation.origin)
        self.put(name, (replace(equation, target=name, write=place),))
        return Read(name, place)

    # ------------------------------------------------------------ looking

    def ranges(self, equation: Equation) -> Ranges:
        """What holds at every place of an equation's domain."""
        known = self._ranges.get(id(equation))
        if known is None or known[0] is not equation:
            known = (equation, under(ranges_of(equation.indices), equation.guards))
            self._ranges[id(equation)] = known
        return known[1]

    def elementwise(self, name: str) -> Equation | None:
        """The equation of a tensor that has one, without guards or reduction, that writes every place."""
        return self.writers[name][0] if self._places(name) is not None else None

    def through(self, read: Read) -> sympy.Expr | None:
        """What stands in the body of an element-wise tensor, at the place that is read."""
        places = self._places(read.tensor)
        if places is None:
            return None
        equation = self.writers[read.tensor][0]
        values = {
            name: subscript - offset for (name, offset), subscript in zip(places.items(), read.subscripts, strict=True)
        }
        return substitute(equation.body, values)

    def _places(self, name: str) -> dict[str, IndexExpr] | None:
        """For an element-wise tensor: the index that stands at each axis, and what is added to it there."""
        equations = self.writers.get(name, ())
        known = self._plain.get(name)
        if known is None or known[0] is not equations:
            known = (equations, self._placed(self.tensors[name], equations))
            self._plain[name] = known
        return known[1]

    def _placed(self, tensor: Tensor, equations: tuple[Equation, ...]) -> dict[str, IndexExpr] | None:
        if len(equations) != 1:
            return None
        (equation,) = equations
        if equation.guards or equation.reducer is not Reducer.SUM or len(equation.indices) != len(equation.write):
            return None
        ends = {each.name: each for each in equation.indices}
        places: dict[str, IndexExpr] = {}
        for axis, written in zip(tensor.axes, equation.write, strict=True):
            names = written.indices
            if len(names) != 1 or names[0] in places or written.gathers:
                return None
            end = ends[names[0]]
            offset = written - index(end.name)
            if offset.indices or (end.low + offset).terms or end.high + offset != axis.extent:
                return None
            places[end.name] = offset
        return places


def _place(domain: Index) -> IndexExpr:
    return index(domain.name) - domain.low
