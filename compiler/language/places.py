"""Where an expression stands: the equation it is part of, the indices around it, the conditions that hold there."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from gradc.errors import Span
from gradc.graph.ranges import Fact, Ranges

from . import core
from .scopes import Frame, Group, Scope
from .values import Value


@dataclass(frozen=True, slots=True)
class CallName:
    """What a call of a definition is called: its result, and what the names of its own begin with."""

    result: str
    prefix: str


@dataclass(slots=True, eq=False)
class Context:
    """One equation while it is elaborated.

    Attributes:
        name: the full name of what it makes; what its calls make is named after it.
        plan: what the calls in it are called, by the identity of the syntax node.
        taken: names of indices in use, shared with the definitions that are unfolded into the equation.
        internal: the names of written indices, where they had to be changed.
        reductions: the indices of each reduction, by the identity of the call.
        direct: the call whose value is the equation's value, by identity, and the names its results are to have.
    """

    name: str
    frame: Frame
    order: tuple[int, ...]
    text: str
    span: Span
    indexed: bool = False
    own: Group | None = None
    plan: dict[int, CallName] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    locals: set[str] = field(default_factory=set)
    internal: dict[str, str] = field(default_factory=dict)
    reductions: dict[int, tuple[core.Index, ...]] = field(default_factory=dict)
    bases: dict[int, Value] = field(default_factory=dict)
    direct: tuple[int, tuple[str, ...]] | None = None
    calls: int = 0
    rest: tuple[core.Index, ...] | None = None
    rest_names: tuple[str, ...] = ()

    def inside(self, frame: Frame) -> "Context":
        """The same equation, where a definition is put into it."""
        return Context(self.name, frame, self.order, self.text, self.span, taken=self.taken, locals=self.locals)

    def fresh_index(self, wanted: str) -> str:
        """An index name that nothing in the equation uses."""
        name = first_free(wanted, self.taken)
        self.taken.add(name)
        return name

    def fresh_local(self, wanted: str) -> str:
        """A name for a value that is used more than once."""
        name = first_free(wanted, self.locals)
        self.locals.add(name)
        return name

    def next_call(self) -> tuple[int, ...]:
        """The place of the next call of the equation in the order of the model."""
        self.calls += 1
        return (*self.order, self.calls)


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Where an expression stands.

    Attributes:
        indices: the indices that can be named here, by the name they are written with.
        known: the ranges of all indices that a value here may mention, made ones too.
        conditions: what holds here, as expressions, outermost first.
        rest: the indices that `...` stands for.
    """

    scope: Scope
    position: int
    context: Context
    indices: Mapping[str, core.Index] = field(default_factory=dict)
    known: Mapping[str, core.Index] = field(default_factory=dict)
    ranges: Ranges = field(default_factory=Ranges)
    conditions: tuple[core.Expression, ...] = ()
    locals: Mapping[str, core.Expression] = field(default_factory=dict)
    rest: tuple[core.Index, ...] | None = None

    def inside(self, scope: Scope, locals: Mapping[str, core.Expression]) -> "Place":
        """The same place in the body of a definition, which sees none of the indices here."""
        context = self.context.inside(scope.frame)
        return Place(scope, scope.now, context, {}, self.known, self.ranges, self.conditions,
                     {**self.locals, **locals} if locals else self.locals, None)  # fmt: skip

    def under(self, condition: core.Expression, facts: Iterable[Fact]) -> "Place":
        """The same where a condition holds."""
        return replace(self, conditions=(*self.conditions, condition), ranges=self.ranges.with_facts(facts))

    def among(self, written: Mapping[str, core.Index]) -> "Place":
        """The same with more indices."""
        ranges = self.ranges
        for index in written.values():
            ranges = ranges.with_index(index.name, index.low, index.high)
        known = {**self.known, **{index.name: index for index in written.values()}}
        return replace(self, indices={**self.indices, **written}, known=known, ranges=ranges)


def first_free(wanted: str, taken: Iterable[str]) -> str:
    """The name, counted up if it is taken."""
    name, count = wanted, 1
    while name in taken:
        count += 1
        name = f"{wanted}_{count}"
    return name
