"""A graph while it is rewritten: tensors, the equations of each, and what the rules ask of them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import sympy

from gradc.graph.conditions import under
from gradc.graph.index import IndexExpr, index
from gradc.graph.nodes import (
    Equation,
    Graph,
    Guard,
    Origin,
    Read,
    Reducer,
    Relation,
    Tensor,
    in_order,
    needs_of,
    substitute,
)
from gradc.graph.ranges import Ranges
from gradc.graph.tensors import Axis, Index, Kind, ranges_of

Answer = TypeVar("Answer")


class Work:
    """Equations by target, replaced one by one; a graph again at the end.

    Attributes:
        logarithms: for sums of exponentials whose logarithm was made a tensor: its name, and what is added to it.
        variables: tensors that a `grad(y, x)` still to be made is by. No rule looks behind them, since y must go on
            to read them.
        asked: the tensors that rules have looked at, for whoever empties it before.
        time: the number of changes so far.
    """

    def __init__(self, graph: Graph) -> None:
        self.tensors: dict[str, Tensor] = dict(graph.tensors)
        self.writers: dict[str, tuple[Equation, ...]] = dict(graph.writers)
        self.outputs: dict[str, str] = dict(graph.outputs)
        self.origins: dict[str, Origin] = {name: tensor.origin for name, tensor in graph.tensors.items()}
        self.logarithms: dict[str, tuple[str, sympy.Expr]] = {}
        self.gradients = graph.gradients
        self.variables = {gradient.by for gradient in graph.gradients.values()}
        self.asked: set[str] = set()
        self.time = 0
        self._changed: dict[str, int] = {}
        self._handed_out = frozenset(self.outputs.values())
        self._order: tuple[str, ...] | None = None
        self._places: dict[str, tuple[tuple[Equation, ...], dict[str, tuple[int, IndexExpr]] | None]] = {}
        self._opened: dict[Read, tuple[Equation, tuple[sympy.Expr, tuple[Guard, ...]]]] = {}
        self._answers: dict[tuple[object, int], tuple[Equation, Any]] = {}

    def graph(self) -> Graph:
        """The graph as it is now."""
        equations = tuple(equation for equations in self.writers.values() for equation in equations)
        return Graph(dict(self.tensors), equations, dict(self.outputs))

    def order(self) -> tuple[str, ...]:
        """The computed tensors, each after those it reads."""
        if self._order is None:
            self._order = tuple(name for names in in_order(self.writers, self.gradients) for name in names)
        return self._order

    def origin(self, name: str) -> Origin:
        """Where a tensor comes from, the last rule included; of one that is gone, where it came from."""
        equations = self.writers.get(name, ())
        return equations[0].origin if equations else self.origins[name]

    def equations(self) -> Iterable[Equation]:
        """All equations."""
        for equations in self.writers.values():
            yield from equations

    # ------------------------------------------------------------ changing

    def put(self, name: str, equations: Sequence[Equation]) -> None:
        """The equations of a tensor, in place of those it had; without any it is 0."""
        self._touch(name, reordered=_sources(equations) != _sources(self.writers.get(name, ())))
        if equations:
            self.writers[name] = tuple(equations)
        else:
            self.writers.pop(name, None)

    def remove(self, name: str) -> None:
        """A tensor that nothing reads."""
        self._touch(name)
        self.writers.pop(name, None)
        del self.tensors[name]

    def declare(self, tensor: Tensor) -> None:
        """A tensor of a name that is fresh."""
        self.tensors[tensor.name] = tensor
        self.origins[tensor.name] = tensor.origin

    def rename_outputs(self, names: Mapping[str, str]) -> None:
        """What is handed out, under other names."""
        self.outputs = {outside: names.get(name, name) for outside, name in self.outputs.items()}
        handed_out = frozenset(self.outputs.values())
        for name in handed_out ^ self._handed_out:
            self._touch(name, reordered=False)
        self._handed_out = handed_out

    def _touch(self, name: str, reordered: bool = True) -> None:
        self.time += 1
        self._changed[name] = self.time
        if reordered:
            self._order = None

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
        self.declare(Tensor(name, axes, kind, equation.origin))
        self.put(name, (replace(equation, target=name, write=place),))
        return Read(name, place)

    # ------------------------------------------------------------ looking

    def remembered(self, ask: Callable[[Equation], Answer], equation: Equation) -> Answer:
        """The answer to a question about an equation, kept as long as the equation is."""
        known = self._answers.get((ask, id(equation)))
        if known is None or known[0] is not equation:
            known = (equation, ask(equation))
            self._answers[ask, id(equation)] = known
        answer: Answer = known[1]
        return answer

    def unchanged(self, names: Iterable[str], since: int) -> bool:
        """Whether these tensors are what they were at a time: their equations, and whether they are handed out."""
        if since == self.time:
            return True
        changed = self._changed
        return not any(name in changed and changed[name] > since for name in names)

    def behind(self, name: str) -> tuple[Equation, ...]:
        """The equations of a tensor."""
        self.asked.add(name)
        return self.writers.get(name, ())

    def needs(self, name: str) -> tuple[str, ...]:
        """The tensors that one is computed from."""
        return needs_of(self.writers.get(name, ()), self.gradients.get(name))

    def is_output(self, name: str) -> bool:
        """Whether a tensor is handed out."""
        self.asked.add(name)
        return name in self._handed_out

    def ranges(self, equation: Equation) -> Ranges:
        """What holds at every place of an equation's domain."""
        return self.remembered(_ranges, equation)

    def elementwise(self, name: str) -> Equation | None:
        """The equation of a tensor that has one, without guards or reduction, that writes every place."""
        equation = self.writers[name][0] if self.places(name) is not None else None
        return equation if equation is not None and not equation.guards and not self._single(equation) else None

    def opened(self, read: Read) -> tuple[sympy.Expr, tuple[Guard, ...]] | None:
        """What stands in the body of an element-wise tensor at the place that is read, if guards hold there."""
        places = self.places(read.tensor)
        if places is None:
            return None
        equation = self.writers[read.tensor][0]
        known = self._opened.get(read)
        if known is None or known[0] is not equation:
            values = {name: read.subscripts[axis] - offset for name, (axis, offset) in places.items()}
            guards = [guard.substitute(values) for guard in equation.guards]
            apart = (read.subscripts[axis] - equation.write[axis] for axis in self._single(equation))
            guards += [Guard(value, Relation.EQUAL) for value in apart if value.terms]
            known = self._opened[read] = equation, (substitute(equation.body, values), tuple(guards))
        return known[1]

    def single_places(self, name: str) -> dict[int, IndexExpr]:
        """The axes of a tensor, of several places each, along which all that is not 0 is at one place, with that."""
        equations = self.behind(name)
        if not equations or self.tensors[name].role is not None or name in self.variables:
            return {}
        found = [{at: equation.write[at] for at in self._single(equation)} for equation in equations]
        return {at: place for at, place in found[0].items() if all(other.get(at) == place for other in found)}

    def is_unwritten(self, read: Read) -> bool:
        """Whether it is certain that nothing writes the place that is read."""
        places = self.single_places(read.tensor).items()
        return any((read.subscripts[at] - place).constant not in (0, None) for at, place in places)

    def _single(self, equation: Equation) -> tuple[int, ...]:
        """The axes, of several places each, at one of which an equation writes."""
        axes = enumerate(zip(self.tensors[equation.target].axes, equation.write, strict=True))
        return tuple(at for at, (axis, place) in axes if not place.indices and axis.extent.constant != 1)

    def through(self, read: Read) -> sympy.Expr | None:
        """What stands in the body of an element-wise tensor, one without guards, at the place that is read."""
        found = self.opened(read) if self.elementwise(read.tensor) is not None else None
        return None if found is None else found[0]

    def places(self, name: str) -> dict[str, tuple[int, IndexExpr]] | None:
        """The axis at which each index stands and what is added to it there, for a tensor with one equation, without
        reduction, that writes every place where its guards hold, or along some axes a single one."""
        equations = self.behind(name)
        known = self._places.get(name)
        if known is None or known[0] is not equations:
            known = (equations, self._placed(self.tensors[name], equations) if equations else None)
            self._places[name] = known
        return known[1]

    def _placed(self, tensor: Tensor, equations: tuple[Equation, ...]) -> dict[str, tuple[int, IndexExpr]] | None:
        (equation, *others) = equations
        if others or equation.reducer is not Reducer.SUM or tensor.name in self.variables:
            return None
        ends = {each.name: each for each in equation.indices}
        places: dict[str, tuple[int, IndexExpr]] = {}
        for place, (axis, written) in enumerate(zip(tensor.axes, equation.write, strict=True)):
            if not written.indices and not written.gathers:
                continue
            names = written.indices
            if len(names) != 1 or names[0] in places or written.gathers:
                return None
            end = ends[names[0]]
            offset = written - index(end.name)
            if offset.indices or (end.low + offset).terms or end.high + offset != axis.extent:
                return None
            places[end.name] = place, offset
        return places if len(places) == len(ends) else None


def _sources(equations: Iterable[Equation]) -> list[tuple[str, ...]]:
    """What each reads: with the same of every tensor, their order is the same."""
    return [equation.sources() for equation in equations]


def _ranges(equation: Equation) -> Ranges:
    return under(ranges_of(equation.indices), equation.guards)


def _place(domain: Index) -> IndexExpr:
    return index(domain.name) - domain.low
