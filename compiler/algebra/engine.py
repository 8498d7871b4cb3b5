"""The engine of the rules: graph and phases → graph, and a log of what fired where.

A rule is data: a name, what it turns into what, why, and a function that tries it. Rules see one node of a body, one
equation or the whole graph. Phases are tuples; a round of a phase tries every rule everywhere, and each round that
changed something must have made the phase's measure smaller. The engine knows no mathematics.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeAlias, TypeVar

import sympy

from gradc.errors import InternalError
from gradc.graph import conditions
from gradc.graph.conditions import facts_of
from gradc.graph.nodes import Equation, Graph, Head, Origin
from gradc.graph.ranges import Ranges
from gradc.graph.scalar import NOT
from gradc.graph.verify import describe

from .work import Work

Change = TypeVar("Change")
Measure: TypeAlias = tuple[int, ...]

MOST_ROUNDS = 40
"""Rounds of a phase. Real models settle in three to six; the budget only stops rules that undo each other."""
MOST_FIRES = 2000
"""Of rules in one body and one round."""
RECENT = 6


@dataclass(frozen=True, slots=True)
class Rule(Generic[Change]):
    """A rewrite.

    Attributes:
        name: how it is called in logs and in the trail of an origin.
        before, after: what it turns into what, as text for people.
        why: the reason, numerical or structural.
        apply: tries it; None where it does not fit.
        assumes: what must hold for the value to stay; empty where nothing is assumed.
        nodes: for a rule of bodies, the types of node that it looks at.
        outermost: for a rule of bodies, whether it takes several nodes at once and must come before rules of the inner.
    """

    name: str
    before: str
    after: str
    why: str
    apply: Change
    assumes: str = ""
    nodes: tuple[type, ...] = ()
    outermost: bool = False


@dataclass(frozen=True, slots=True)
class Fired:
    """One use of a rule: in an equation of which tensor, and from which line of the model that came."""

    rule: str
    target: str
    origin: Origin


@dataclass(frozen=True, slots=True)
class Site:
    """Where a rule of bodies looks: the equation, the conditions decided on the way down, and the graph.

    `above` is the place outside of the last condition, whose ranges are found but once.
    """

    work: Work
    equation: Equation
    known: dict[sympy.Expr, bool] = field(default_factory=dict)
    above: "Site | None" = None
    found: list[Ranges] = field(default_factory=list, compare=False)

    def inside(self, condition: sympy.Expr, outcome: bool) -> "Site":
        """The same place within the branch that is taken where the condition comes out so."""
        while isinstance(condition, NOT.head):
            condition, outcome = condition.args[0], not outcome
        known = dict(self.known)
        known.pop(condition, None)  # the last one that was asked stands last
        known[condition] = outcome
        return Site(self.work, self.equation, known, self)

    def ranges(self) -> Ranges:
        """What the domain and the conditions on the way down say of the indices."""
        if not self.found:
            self.found.append(self._told())
        return self.found[0]

    def _told(self) -> Ranges:
        if self.above is None:
            return self.work.ranges(self.equation)
        condition, outcome = next(reversed(self.known.items()))
        return self.above.ranges().with_facts(facts_of(condition, outcome))


BodyRule: TypeAlias = Rule[Callable[[sympy.Expr, Site], sympy.Expr | None]]
EquationRule: TypeAlias = Rule[Callable[[Equation, Work], tuple[Equation, ...] | None]]
GraphRule: TypeAlias = Rule[Callable[[Work], Sequence[str]]]


@dataclass(frozen=True, slots=True)
class Phase:
    """Rules that are tried together until none fits.

    Attributes:
        name: for messages.
        measure: what every round that changes something makes smaller.
        bodies, equations, graphs: the rules. Those of equations look at their equation alone, so they are not asked
            again about one that none of them fits. A rule of graphs changes the work itself and gives the tensors that
            it changed.
    """

    name: str
    measure: Callable[[Work], Measure]
    bodies: tuple[BodyRule, ...] = ()
    equations: tuple[EquationRule, ...] = ()
    graphs: tuple[GraphRule, ...] = ()


@dataclass(frozen=True, slots=True)
class Rewritten:
    """What came of it."""

    graph: Graph
    log: tuple[Fired, ...]


def rewrite(graph: Graph, phases: Sequence[Phase]) -> Rewritten:
    """The graph after all phases, one after the other; one that comes again is skipped if nothing fired in between.

    Raises:
        InternalError: a phase does not settle, or its measure does not fall; the last rules are named.
    """
    work, log = Work(graph), list[Fired]()
    with sympy.core.parameters.distribute(False):
        settled: dict[str, int] = {}
        visits = {phase.name: Visits(phase) for phase in phases}
        for phase in phases:
            if settled.get(phase.name) != len(log):
                _run(phase, visits[phase.name], work, log)
            settled[phase.name] = len(log)
    return Rewritten(work.graph() if log else graph, tuple(log))


def _run(phase: Phase, visits: "Visits", work: Work, log: list[Fired]) -> None:
    measure = phase.measure(work)
    for _ in range(MOST_ROUNDS):
        before = len(log)
        for name in work.order():
            visits.visit(work, name, log)
        for rule in phase.graphs:
            log += [Fired(rule.name, target, work.origin(target)) for target in rule.apply(work)]
        if len(log) == before:
            return
        smaller = phase.measure(work)
        if not smaller < measure:
            raise InternalError(f"{phase.name}: {_recent(log)} left the measure at {smaller}, from {measure}")
        measure = smaller
    raise InternalError(f"{phase.name} does not settle in {MOST_ROUNDS} rounds; last: {_recent(log)}")


def _recent(log: Sequence[Fired]) -> str:
    return ", ".join(f"{fired.rule} at {fired.target}" for fired in log[-RECENT:])


class Visits:
    """A phase's rules of bodies and of equations, from one tensor to the next, round after round.

    Where no rule fits, none will until something is changed that the rules have looked at: the tensor's own equations,
    or those behind what they read. So only those are visited again.
    """

    def __init__(self, phase: Phase) -> None:
        self.bodies = BodyRules(phase.bodies)
        self.equations = phase.equations
        self.fitted: dict[int, Equation] = {}
        """Equations that no rule of equations fits, by their identity."""
        self.settled: dict[str, tuple[int, frozenset[str]]] = {}
        """When no rule fitted a tensor's equations, and what all had been looked at."""

    def visit(self, work: Work, name: str, log: list[Fired]) -> None:
        """Every rule, once, on the equations of a tensor."""
        if name in self.settled:
            since, asked = self.settled[name]
            if work.unchanged(asked, since):
                return
        equations = work.writers.get(name, ())
        work.asked = {name}
        results: list[Equation] = []
        for equation in equations:
            rewriting = Rewriting(self.bodies, work, equation)
            new = rewriting.result()
            after = [new] if id(new) in self.fitted else _changed(self.equations, new, work, rewriting.fired)
            self.fitted.update((id(each), each) for each in after)
            results += after
            log += [Fired(rule, name, results[-1].origin if results else equation.origin) for rule in rewriting.fired]
        if len(results) != len(equations) or any(a is not b for a, b in zip(results, equations, strict=True)):
            work.put(name, results)
        else:
            self.settled[name] = work.time, frozenset(work.asked)


def _changed(rules: Sequence[EquationRule], equation: Equation, work: Work, fired: list[str]) -> list[Equation]:
    """The equation after all rules of equations that fit it, and those that fit what came of it."""
    waiting, done = [equation], list[Equation]()
    while waiting:
        current = waiting.pop()
        for rule in rules:
            changed = rule.apply(current, work)
            if changed is not None:
                fired.append(rule.name)
                waiting += [replace(each, origin=each.origin.after(rule.name)) for each in reversed(changed)]
                break
        else:
            done.append(current)
        if len(fired) > MOST_FIRES:
            raise InternalError(f"{describe(equation)}: no end to {', '.join(fired[-RECENT:])}")
    return done


class BodyRules:
    """Rules of bodies by the types of node that they look at."""

    def __init__(self, rules: Sequence[BodyRule]) -> None:
        self.rules = tuple(rules)
        self._by_type: dict[type, tuple[tuple[BodyRule, ...], tuple[BodyRule, ...]]] = {}

    def of(self, kind: type) -> tuple[tuple[BodyRule, ...], tuple[BodyRule, ...]]:
        """Those for nodes of a type that come before the rules of what is inside, and all."""
        found = self._by_type.get(kind)
        if found is None:
            fitting = tuple(rule for rule in self.rules if issubclass(kind, rule.nodes))
            found = self._by_type[kind] = tuple(rule for rule in fitting if rule.outermost), fitting
        return found


class Rewriting:
    """The rules of bodies at work on one equation: below a node, at the node, then at what that made of it."""

    def __init__(self, rules: BodyRules, work: Work, equation: Equation) -> None:
        self.rules = rules
        self.equation = equation
        self.site = Site(work, equation)
        self.fired: list[str] = []

    def result(self) -> Equation:
        """The equation with its body rewritten; itself where no rule fits."""
        if not self.rules.rules:
            return self.equation
        body = self.at(self.equation.body, self.site)
        if not self.fired:
            return self.equation
        origin = self.equation.origin
        for rule in self.fired:
            origin = origin.after(rule)
        return replace(self.equation, body=body, origin=origin)

    def at(self, body: sympy.Expr, site: Site) -> sympy.Expr:
        """The body with every rule tried on it and below."""
        while True:
            outermost, rules = self.rules.of(type(body))
            changed = self.tried(body, site, outermost) if outermost else None
            if changed is None and body.args:
                body = self.below(body, site)
                rules = self.rules.of(type(body))[1]
            if changed is None and rules:
                changed = self.tried(body, site, rules)
            if changed is None:
                return body
            body = changed

    def below(self, body: sympy.Expr, site: Site) -> sympy.Expr:
        """The same node with its arguments rewritten."""
        parts = [self.at(part, inner) for part, inner in parts_of(body, site)]
        same = all(new is old for new, old in zip(parts, body.args, strict=True))
        return body if same else body.func(*parts)

    def tried(self, body: sympy.Expr, site: Site, rules: Sequence[BodyRule]) -> sympy.Expr | None:
        """What the first rule that fits makes of the node."""
        for rule in rules:
            changed = rule.apply(body, site)
            if changed is not None and changed != body:
                self.fired.append(rule.name)
                if len(self.fired) > MOST_FIRES:
                    raise InternalError(f"{describe(self.equation)}: no end to {', '.join(self.fired[-RECENT:])}")
                return changed
        return None


def parts_of(body: sympy.Expr, site: Site) -> tuple[tuple[sympy.Expr, Site], ...]:
    """The arguments, each where it stands: branches know the condition they are under."""
    if not isinstance(body, Head):
        return tuple((argument, site) for argument in body.args)
    return tuple(
        (part.body, site if part.condition is None else site.inside(part.condition, part.outcome))
        for part in conditions.parts_of(body)
    )


def nodes_of(body: sympy.Expr, site: Site) -> Iterator[tuple[sympy.Expr, Site]]:
    """Every node of a body, each where it stands."""
    yield body, site
    for part, inner in parts_of(body, site):
        yield from nodes_of(part, inner)
