"""The one rule: the adjoint of an equation is the same equation with a read and the write swapped.

    out[w] += body            for all indices, where the guards hold
    dA[r]  += dout[w] · ∂body/∂A[r]        for the same indices and guards, for each read A[r] of the body

There are no rules for matrix products, broadcasts, slices or gathers: the swap gives them all. The other reducers are
brought to it: `max` is a gather of its body at the argmax; `logsumexp` weighs its body's derivative with
exp(body − out); `prod` with the product of the other factors. The result is a graph of the same kind, so gradients of
gradients need nothing more.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import sympy
from sympy import Integer

from gradc.graph import scalar
from gradc.graph.form import ByForm, Numbering
from gradc.graph.index import ONE, ZERO, IndexExpr, index, of_atom
from gradc.graph.index import Gather as GatherAtom
from gradc.graph.nodes import (
    INF,
    Equation,
    Graph,
    Guard,
    Read,
    Reducer,
    Tensor,
    Value,
    substitute,
)
from gradc.graph.tensors import Axis, Bounds, Index, Kind

from .bodies import derivative, times
from .normal import normal_form
from .pieces import guarded_pieces


def gradient(graph: Graph, of: str, by: Iterable[str], prefix: str = "d_") -> Graph:
    """The graph with the gradient of the sum of a tensor, of a scalar as a rule, by some of its tensors.

    Args:
        graph: a graph; recurrences in it are equations like any others, and their adjoints are recurrences too.
        of: the tensor whose sum is differentiated.
        by: the tensors it is differentiated by, leaves or not.
        prefix: what the names of adjoints begin with.

    Returns:
        The same graph with an adjoint `d_x` for each tensor between `by` and `of`, and one more output
        `gradient x` for each of `by`; an adjoint that nothing contributes to is 0.
    """
    wanted = tuple(dict.fromkeys(by))
    work = _Adjoints(graph, prefix, wanted)
    with sympy.core.parameters.distribute(False):
        work.seed(of)
        active = _active(graph, of, wanted)
        for name in reversed(graph.order):
            if name in active:
                for equation in graph.writers[name]:
                    work.contribute(equation, active)
        for name in wanted:
            work.adjoint(name)
    outputs = dict(graph.outputs) | {f"gradient {name}": work.names[name] for name in wanted}
    return Graph({**graph.tensors, **work.tensors}, (*graph.equations, *work.alive(of)), outputs)


def _active(graph: Graph, of: str, by: tuple[str, ...]) -> set[str]:
    """The real tensors on a way from `by` to `of`."""
    sources = {
        name: {read.tensor for equation in equations for read in equation.reads}
        for name, equations in graph.writers.items()
        if graph.tensors[name].kind is Kind.REAL
    }
    readers: dict[str, set[str]] = {}
    for name, own in sources.items():
        for source in own:
            readers.setdefault(source, set()).add(name)
    return _reached(by, readers) & _reached((of,), sources)


def _reached(start: Iterable[str], ways: Mapping[str, Iterable[str]]) -> set[str]:
    found = dict.fromkeys(start)
    waiting = list(found)
    for name in waiting:
        for other in ways.get(name, ()):
            if other not in found:
                found[other] = None
                waiting.append(other)
    return set(found)


@dataclass
class _Adjoints:
    """Collects the adjoints' tensors and equations."""

    graph: Graph
    prefix: str
    wanted: tuple[str, ...]
    tensors: dict[str, Tensor] = field(default_factory=dict)
    equations: list[Equation] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    cotangents: dict[int, str] = field(default_factory=dict)
    """By the place of an equation that contributes to an adjoint, the adjoint that it is a multiple of."""
    contributions: ByForm = field(default_factory=ByForm)
    """What sums contribute: equal layers share it."""

    def seed(self, of: str) -> None:
        """dloss/dloss = 1, at each place of a tensor."""
        primal = self.graph.tensors[of]
        dims = {name for extent in primal.extents for name in extent.dims}
        letters = (letter for letter in itertools.chain("ijk", map("i{}".format, itertools.count())))
        names = (letter for letter in letters if letter not in dims)
        indices = tuple(Index(name, ZERO, extent) for name, extent in zip(names, primal.extents, strict=False))
        place = tuple(index(i.name) for i in indices)
        self.equations.append(Equation(self.adjoint(of), place, indices, (), Reducer.SUM, Integer(1), primal.origin))

    def alive(self, of: str) -> list[Equation]:
        """The equations, without contributions of an adjoint to which nothing contributes."""
        targets: dict[str, list[str]] = {}
        for place, cotangent in self.cotangents.items():
            targets.setdefault(cotangent, []).append(self.equations[place].target)
        found = dict.fromkeys([self.adjoint(of)])
        waiting = list(found)
        for name in waiting:
            new = dict.fromkeys(target for target in targets.get(name, ()) if target not in found)
            found |= new
            waiting += new
        return [each for place, each in enumerate(self.equations) if self.cotangents.get(place, waiting[0]) in found]

    def adjoint(self, name: str) -> str:
        """The name of a tensor's adjoint, declared when first asked for."""
        if name not in self.names:
            primal = self.graph.tensors[name]
            self.names[name] = self.fresh(f"{self.prefix}{name}")
            self.tensors[self.names[name]] = replace(primal, name=self.names[name], role=None, bounds=None)
        return self.names[name]

    def fresh(self, name: str) -> str:
        while name in self.graph.tensors or name in self.tensors:
            name += "_"
        return name

    def contribute(self, equation: Equation, active: set[str]) -> None:
        """The contributions of one equation to the adjoints of all that it reads."""
        reads = [read for read in equation.reads if read.tensor in active]
        if not reads or self.graph.tensors[equation.target].kind is not Kind.REAL:
            return
        match equation.reducer:
            case Reducer.SUM:
                self.swap_by_form(equation, reads)
            case Reducer.LOGSUMEXP:
                self.swap(equation, reads, self.softmax_weight(equation))
            case Reducer.PROD:
                self.swap(equation, reads, self.other_factors(equation))
            case Reducer.MAX | Reducer.MIN:
                self.at_argument(equation, reads)
            case Reducer.ARGMAX | Reducer.ARGMIN:
                return

    def swap_by_form(self, equation: Equation, reads: list[Read]) -> None:
        """The contributions of a sum: those of one of the same form, between other tensors, if there was one."""
        numbering = Numbering()
        form = numbering.equation(equation)
        own = dict.fromkeys(read.tensor for read in reads)
        facts = tuple((self.graph.tensors[name].extents, name in own) for name in numbering.names)
        bases = tuple(self.is_base(equation, read) for read in reads)
        adjoints = {name: self.adjoint(name) for name in (equation.target, *own)}
        names = (*numbering.names, *(adjoints[name] for name in numbering.names if name in adjoints))
        key = (form, facts, bases, self.own_value(equation) is not None)
        made = self.contributions.recall(key, names)
        if made is None:
            before = len(self.equations)
            self.swap(equation, reads, Integer(1))
            self.contributions.keep(key, names, self.equations[before:])
        else:
            self.add(made, equation)

    def swap(self, equation: Equation, reads: list[Read], weight: sympy.Expr) -> None:
        """dA[r] += dout[w] · weight · ∂body/∂A[r], for each read."""
        cotangent = Read(self.adjoint(equation.target), equation.write)
        value = self.own_value(equation)
        for read in reads:
            slope = Integer(1) if self.is_base(equation, read) else derivative(equation.body, read, value)
            body = times(cotangent * weight, slope)
            if body != 0:
                self.write(read, body, equation)

    def write(self, read: Read, body: sympy.Expr, equation: Equation) -> None:
        target = self.tensors[self.adjoint(read.tensor)]
        swapped = replace(
            equation,
            target=target.name,
            write=read.subscripts,
            reducer=Reducer.SUM,
            body=body,
        )
        self.add([normal_form(piece, target) for piece in guarded_pieces(swapped, target)], equation)

    def add(self, made: Sequence[Equation], equation: Equation) -> None:
        """What an equation contributes."""
        cotangent = self.adjoint(equation.target)
        origin = replace(equation.origin.after("chain rule"), order=(cotangent, *equation.origin.order))
        self.cotangents |= dict.fromkeys(range(len(self.equations), len(self.equations) + len(made)), cotangent)
        self.equations += [replace(each, origin=origin) for each in made]

    def own_value(self, equation: Equation) -> Read | None:
        """A read that holds the body's value: the target's own, where nothing else is added to it."""
        alone = len(self.graph.writers[equation.target]) == 1 and not equation.reduced
        return Read(equation.target, equation.write) if alone and equation.reducer is Reducer.SUM else None

    # ------------------------------------------------------------ the other reducers

    def softmax_weight(self, equation: Equation) -> Read:
        """exp(body − out), one number a place of the domain; 0 where out is −∞, as a sum of nothing has slope 0.

        The 0 is exp(−∞ − 0): out is taken to be 0 there, as it is in the library's softmax.
        """
        out = Read(equation.target, equation.write)
        name = self.fresh(f"{equation.target}.base")
        self.tensors[name] = replace(self.graph.tensors[equation.target], name=name)
        free = tuple(i for i in equation.indices if i.name in equation.written)
        base = _base(out)
        self.equations.append(replace(equation, target=name, indices=free, guards=(), reducer=Reducer.SUM, body=base))
        body = scalar.EXP(equation.body - Read(name, equation.write))
        return self.made(f"{equation.target}.softmax", equation, body)

    def is_base(self, equation: Equation, read: Read) -> bool:
        """Whether it is a logsumexp, but for 0 where that is −∞. What it hands on there does not matter: the slope of
        the logsumexp is 0 itself."""
        writers = self.graph.writers.get(read.tensor, ())
        sums = bool(writers) and all(writer.reducer is Reducer.LOGSUMEXP for writer in writers)
        return sums and read.tensor not in self.wanted and bool(equation.body == _base(read))

    def other_factors(self, equation: Equation) -> Read:
        """The product of all other bodies that go into the same place: exact where one is 0."""
        twins = {i.name: f"{i.name}_" for i in equation.reduced}
        others = tuple(Index(twins[i.name], i.low, i.high) for i in equation.reduced)
        values = {name: index(twin) for name, twin in twins.items()}
        same: sympy.Expr = sympy.true
        for name, twin in twins.items():
            equal = scalar.EQ(Value(index(name)), Value(index(twin)))
            same = equal if same is sympy.true else scalar.AND(same, equal)
        body = scalar.WHERE(same, Integer(1), substitute(equation.body, values))
        guards = tuple(guard.substitute(values) for guard in equation.guards)
        return self.made(f"{equation.target}.others", equation, body, (others, guards))

    def made(self, name: str, equation: Equation, body: sympy.Expr,
             product: tuple[tuple[Index, ...], tuple[Guard, ...]] | None = None) -> Read:  # fmt: skip
        """A tensor over the equation's whole domain, and its read there."""
        name = self.fresh(name)
        axes = tuple(Axis(i.name, i.extent) for i in equation.indices)
        place = tuple(index(i.name) - i.low for i in equation.indices)
        self.tensors[name] = Tensor(name, axes, Kind.REAL, equation.origin)
        more, guards = product or ((), ())
        self.equations.append(
            Equation(
                name,
                place,
                (*equation.indices, *more),
                (*equation.guards, *guards),
                Reducer.PROD if product else Reducer.SUM,
                body,
                equation.origin,
            )
        )
        return Read(name, place)

    def at_argument(self, equation: Equation, reads: list[Read]) -> None:
        """max and min are a gather of their body at the first place that reaches them."""
        arg = self.fresh(f"{equation.target}.arg")
        count = ONE
        for i in equation.reduced:
            count *= i.extent
        primal = self.graph.tensors[equation.target]
        bounds = Bounds(ZERO, count - 1)
        self.tensors[arg] = replace(primal, name=arg, kind=Kind.WHOLE, bounds=bounds)
        reducer = Reducer.ARGMAX if equation.reducer is Reducer.MAX else Reducer.ARGMIN
        self.equations.append(replace(equation, target=arg, reducer=reducer))
        place = of_atom(GatherAtom(arg, equation.write, ZERO, count - 1))
        values: dict[str, IndexExpr] = {}
        for i in reversed(equation.reduced):
            values[i.name] = i.low + (place % i.extent if len(equation.reduced) > 1 else place)
            place = place // i.extent
        rest = tuple(i for i in equation.indices if i.name not in values)
        guards = tuple(guard.substitute(values) for guard in equation.guards)
        cotangent = Read(self.adjoint(equation.target), equation.write)
        for read in reads:
            slope = substitute(derivative(equation.body, read), values)
            moved = substitute(read, values)
            here = replace(equation, indices=rest, guards=guards)
            if (body := times(cotangent, slope)) != 0:
                self.write(moved, body, here)


def _base(out: Read) -> sympy.Expr:
    """A logsumexp, and 0 where it is −∞: what exponents of weights are less."""
    return scalar.WHERE(scalar.EQ(out, -INF), Integer(0), out)
