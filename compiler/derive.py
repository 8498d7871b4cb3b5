"""The chain rule for one parameter, from the loss down to it, step by step: text → `Derivation`. `gradc derive`.

The steps are read off the graphs that the compiler makes, before and after its rules of algebra; the local slopes are
those that the one rule of differentiation uses.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import sympy

from gradc.algebra import simplify, stabilise
from gradc.algebra.engine import Fired, Rule
from gradc.calculus.bodies import derivative, times
from gradc.calculus.nested import expanded
from gradc.derivation import Derivation
from gradc.derivation_steps import Contribution, RuleNote, Stabilised, Step
from gradc.errors import GradcError, fail
from gradc.graph.index import index
from gradc.graph.nodes import Equation, Graph, Read, Reducer, reads_of, rebuild
from gradc.graph.tensors import Kind, Role
from gradc.language import core
from gradc.language.lower import lower
from gradc.nearest import nearest
from gradc.slices import ancestors
from gradc.stages import adjoint_prefix, gradient_graph, graphs

MOST_NAMES = 20
DEAD_CODE = "dead code"  # fires on all that others made superfluous, and says nothing of the mathematics
EXTREMES = (Reducer.MAX, Reducer.MIN)


def derive(text: str, *, file: str = "model.grad", of: str, latex: bool = False,
           folder: Path | None = None) -> Derivation:  # fmt: skip
    """The derivation of the gradient by one parameter.

    Args:
        text: the model.
        file: its name, as errors and the derivation show it.
        of: the parameter.
        latex: whether `str()` of the result is LaTeX.
        folder: where files that the model uses lie.

    Raises:
        GradcError: the model is wrong, or has no such parameter.
    """
    return derivation(graphs(text, file=file, folder=folder).model, of, latex=latex)


def derivation(model: core.Model, of: str, *, latex: bool = False) -> Derivation:
    """The same for an elaborated model."""
    _check_name(model, of)
    assert model.loss is not None, "the language refuses a model without a loss"
    written = lower(model)
    stable = stabilise.stabilised(written)
    forward = expanded(stable.graph).graph
    gradient = gradient_graph(model, forward)
    simple = simplify.simplified(gradient)
    loss = model.minimised[of]
    prefix = adjoint_prefix(model, loss.tensor)
    work = _Work(forward, gradient, simple.graph, simple.log, loss.tensor, prefix)
    way = work.way(of)
    steps = work.steps(of, way)
    stabilised = tuple(_stabilised(way, written, stable.graph, stable.log))
    fired = [rule for step in steps for rule in step.rules] + [rule for part in stabilised for rule in part.rules]
    target = gradient.outputs[f"gradient {of}"]
    return Derivation(
        parameter=of,
        gradient=target,
        loss="the loss" if loss.tensor == model.loss.tensor else loss.name,
        prefix=prefix,
        file=Path(model.file).name,
        forward=tuple(equation for name in forward.order if name in way for equation in forward.writers[name]),
        stabilised=stabilised,
        steps=steps,
        computed=work.computed(simple.graph.outputs[f"gradient {of}"]),
        rules=tuple(note for note in _rules() if note.name in fired),
        nested=bool(stable.graph.gradients),
        as_latex=latex,
    )


def _check_name(model: core.Model, of: str) -> None:
    names = [leaf.name for leaf in model.leaves if leaf.role is Role.PARAM and not leaf.frozen]
    if of in names:
        return
    kept = {leaf.name: leaf.role for leaf in model.leaves if leaf.role in (Role.PARAM, Role.STATE)}
    if of in kept:
        what = "frozen" if kept[of] is Role.PARAM else "a state"
        raise fail("frozen-parameter", f"{of} is {what}: the loss is not differentiated by it", _listed(names))
    raise _unknown(of, names)


def _unknown(of: str, names: Sequence[str]) -> GradcError:
    own = [name for name in names if name.startswith(f"{of}.")]
    close = own or list(filter(None, [nearest(of, names)]))
    hint = f"did you mean {' or '.join(close)}?\n{_listed(names)}" if close else _listed(names)
    return fail("unknown-parameter", f"there is no parameter {of}", hint)


def _listed(names: Sequence[str]) -> str:
    if not names:
        return "the model trains no parameters"
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"the parameters that are trained: {', '.join(names[:MOST_NAMES])}{more}"


# ---------------------------------------------------------------- steps


@dataclass(frozen=True, slots=True)
class _Work:
    """The graphs that a derivation is read off: forward, with gradients, simplified; and what fired on the last."""

    forward: Graph
    gradient: Graph
    simple: Graph
    log: Sequence[Fired]
    loss: str
    prefix: str

    def way(self, of: str) -> set[str]:
        """The tensors on the ways from the parameter to the loss, both left out."""
        reached = {of}
        for name in self.forward.order:
            reads = {read.tensor for equation in self.forward.writers[name] for read in equation.reads}
            if reads & reached and self.forward.tensors[name].kind is Kind.REAL:
                reached.add(name)
        return reached & ancestors(self.forward, self.loss)

    def adjoints(self) -> Mapping[str, str]:
        """The name of the derivative by each tensor of the forward pass: its own after `d_`, or after the name of what
        is differentiated, longer where taken."""
        names: dict[str, str] = {}
        for name in self.forward.tensors:
            adjoint = f"{self.prefix}{name}"
            while adjoint in self.forward.tensors or adjoint in names.values():
                adjoint += "_"
            if adjoint in self.gradient.tensors:
                names[name] = adjoint
        return names

    def steps(self, of: str, way: set[str]) -> tuple[Step, ...]:
        if not way:
            return ()
        adjoints = {name: other for name, other in self.adjoints().items() if other in self.gradient.writers}
        if of not in adjoints:
            return ()
        order = [name for name in reversed(self.forward.order) if name in way and name in adjoints]
        values: dict[str, sympy.Expr] = {}
        with sympy.core.parameters.distribute(False):
            return tuple(self.step(name, adjoints, values) for name in (*order, of))

    def step(self, name: str, adjoints: Mapping[str, str], values: dict[str, sympy.Expr]) -> Step:
        """One step; `values` holds the constants among the derivatives so far, and gets this one if it is one."""
        target = adjoints[name]
        written = self.gradient.writers[target]
        constant = _constant(written, values)
        if constant is not None:
            values[target] = constant.body
        if name == self.loss:
            return Step(name, target, (), (), written, (), written, "")
        found = zip(self.reads(name, set(adjoints)), written, strict=True)
        parts = tuple(self.contribution(equation, read, adjoint, adjoints) for (equation, read), adjoint in found)
        known = {*self.forward.tensors, *adjoints.values()}
        helpers = dict.fromkeys(source for part in parts for source in part.adjoint.sources() if source not in known)
        final = self.simple.writers.get(target, ())
        fate = "" if final else _fate(target, written, constant)
        fired = (fired.rule for fired in self.log if fired.target in (target, *helpers))
        rules = tuple(dict.fromkeys(rule for rule in fired if rule != DEAD_CODE))
        return Step(
            tensor=name,
            target=target,
            contributions=parts,
            helpers=tuple(equation for helper in helpers for equation in self.gradient.writers[helper]),
            total=_joined(written),
            rules=rules,
            final=final or ((constant,) if constant else _joined(written)),
            fate=fate,
        )

    def reads(self, name: str, active: set[str]) -> Iterator[tuple[Equation, Read]]:
        """The reads of a tensor that contribute to its derivative, in the order in which differentiation meets them."""
        for reader in reversed(self.forward.order):
            if reader not in active:
                continue
            for equation in self.forward.writers[reader]:
                for read in equation.reads:
                    if read.tensor == name and self.slope(equation, read) != 0:
                        yield equation, read

    def slope(self, equation: Equation, read: Read) -> sympy.Expr:
        """The derivative of the body; with the target's own value where that is the body's."""
        alone = len(self.forward.writers[equation.target]) == 1 and not equation.reduced
        value = Read(equation.target, equation.write) if alone and equation.reducer is Reducer.SUM else None
        return derivative(equation.body, read, value)

    def contribution(self, equation: Equation, read: Read, adjoint: Equation,
                     adjoints: Mapping[str, str]) -> Contribution:  # fmt: skip
        slope = self.slope(equation, read)
        cotangent = Read(adjoints[equation.target], equation.write)
        known = {*self.forward.tensors, *adjoints.values()}
        helpers = [source for source in adjoint.sources() if source not in known]
        if equation.reducer in EXTREMES:
            return Contribution(equation, read, slope, _place_of_extreme(equation, helpers[0]), adjoint, adjoint)
        if equation.reducer is not Reducer.SUM:
            slope = times(Read(helpers[0], tuple(index(i.name) - i.low for i in equation.indices)), slope)
        swapped = replace(
            equation,
            target=adjoint.target,
            write=read.subscripts,
            reducer=Reducer.SUM,
            body=times(cotangent, slope),
            origin=replace(equation.origin, order=(cotangent.tensor, *equation.origin.order)),
        )
        return Contribution(equation, read, slope, "", swapped, adjoint)

    def computed(self, target: str) -> tuple[Equation, ...]:
        """What the backward pass computes for the gradient, in order."""
        forward = ancestors(self.simple, self.simple.outputs["loss"]) | set(self.forward.tensors)
        names = ancestors(self.simple, target) - forward
        return tuple(eq for name in self.simple.order if name in names for eq in self.simple.writers[name])


def _place_of_extreme(equation: Equation, arg: str) -> str:
    """Where the slope of a maximum is not 0."""
    places = f"[{', '.join(map(str, equation.write))}]" if equation.write else ""
    names = ", ".join(each.name for each in equation.reduced)
    return f"where {names} is {arg}{places}, else 0"


def _joined(equations: tuple[Equation, ...]) -> tuple[Equation, ...]:
    """Equations that write the same places at the same indices as one, their bodies added."""
    groups: dict[tuple[object, ...], Equation] = {}
    for equation in equations:
        reduced = bool(equation.reduced)
        key = (equation.write, equation.indices, equation.guards, equation.reducer, equation.body if reduced else None)
        if key in groups:
            groups[key] = replace(groups[key], body=sympy.Add(groups[key].body, equation.body))
        else:
            groups[key] = equation
    return tuple(groups.values())


def _constant(written: tuple[Equation, ...], values: Mapping[str, sympy.Expr]) -> Equation | None:
    """The one equation of a tensor, with the constants that it reads put in, where it is a constant then."""
    if len(written) > 1 or written[0].reduced or written[0].guards:
        return None
    (equation,) = written
    body = rebuild(equation.body, {read: values[read.tensor] for read in equation.reads if read.tensor in values})
    bare = all(place.bare for place in equation.write)
    return None if reads_of(body) or not bare else replace(equation, body=body)


def _fate(target: str, written: tuple[Equation, ...], constant: Equation | None) -> str:
    if constant is not None:
        return "a constant: it is put in where it is read"
    if len(written) == 1 and isinstance(written[0].body, Read) and not written[0].reduced:
        return f"a copy: {written[0].body.tensor} is read in its place"
    return f"{target} is not stored: what it holds is put in where it is read"


# ---------------------------------------------------------------- rules


def _stabilised(way: set[str], written: Graph, stable: Graph, log: Sequence[Fired]) -> Iterator[Stabilised]:
    """The equations on the way that were rewritten before differentiation, with those that they read and that are gone;
    after it with those that they need more."""
    rules: dict[str, dict[str, None]] = {}
    for fired in log:
        rules.setdefault(fired.target, {})[fired.rule] = None
    for name in stable.order:
        if name in way and name in rules:
            before = written.writers.get(name, ())
            read = dict.fromkeys(source for equation in before for source in equation.sources())
            gone = [source for source in read if source in rules and source not in stable.writers]
            before = (*(equation for source in gone for equation in written.writers.get(source, ())), *before)
            names = dict.fromkeys(rule for each in (*gone, name) for rule in rules[each])
            yield Stabilised(before, tuple(_with_new(name, stable, written)), tuple(names))


def _with_new(target: str, stable: Graph, written: Graph) -> Iterator[Equation]:
    """The equations of a tensor, after those of the tensors that it reads and that were not there as written."""
    for name in dict.fromkeys(read.tensor for equation in stable.writers[target] for read in equation.reads):
        if name != target and name in stable.writers and name not in written.tensors:
            yield from _with_new(name, stable, written)
    yield from stable.writers[target]


def _rules() -> Iterator[RuleNote]:
    """All rules, each once, in the order in which they are tried."""
    seen: set[str] = set()
    for phase in (*stabilise.PHASES, *simplify.PHASES):
        every: tuple[Rule[Any], ...] = (*phase.bodies, *phase.equations, *phase.graphs)
        for rule in every:
            if rule.name not in seen:
                seen.add(rule.name)
                yield RuleNote(rule.name, rule.before, rule.after, rule.why)
