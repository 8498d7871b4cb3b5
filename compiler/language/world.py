"""What all parts of the elaborator share: the names in scope, the tables that are filled, the errors that are found.

The parts call each other in a circle (an expression calls a definition, whose equations hold expressions). They do so
through the functions a `World` is given, so that imports run one way.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, TypeAlias, TypeVar

from gradc.errors import Diagnostic, GradcError, Label, Span
from gradc.graph.index import IndexExpr, Ranges, often_nonnegative

from . import core, syntax
from .values import POISON, Array, Value

T = TypeVar("T")

MOST_STEPS = 100_000
"""Parts of expressions that a model may come to when all its definitions and loops are unfolded."""
MOST_INSTANCES = 20_000
"""Equations and rounds of loops that a model may come to."""
MOST_BYTES = 2**40
"""Bytes that a tensor of fixed size may take."""
WIDEST = 2**63 - 1
"""The largest whole number that a tensor can hold."""


class Refused(Exception):
    """One thing that is wrong with the model, on its way to the list of errors."""

    def __init__(self, code: str, message: str, span: Span | None, labels: Iterable[Label] = (),
                 help: str | None = None) -> None:  # fmt: skip
        super().__init__(message)
        self.diagnostic = Diagnostic(code, message, span, tuple(labels), help)


class Echo(Refused):
    """What is wrong only because something else is, and was reported there."""

    def __init__(self) -> None:
        super().__init__("echo", "", None)


class OutOfBudget(Exception):
    """The model unfolds to more than is compiled. Nothing else is looked at then."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(str(refused))
        self.refused = refused


# ---------------------------------------------------------------- scopes


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """The file, or one call of a definition: where its names begin, and where the user called it.

    Attributes:
        prefix: what the names of its tensors and parameters begin with, dot included.
        order: its place in the model, for the order of parameters.
        call: the call in the user's own file; None for the file itself.
        axes: what `...` in the definition's header stands for.
        results: the local names of what it returns, and the tensor names that these are to have.
        returns: what the tensor is called that `return[…] = …` makes, where `results` does not say.
        wanted: the tensor names that the results are to have.
    """

    definition: syntax.Definition | None = None
    parent: "Frame | None" = None
    prefix: str = ""
    order: tuple[int, ...] = ()
    call: Span | None = None
    axes: tuple[core.Axis, ...] | None = None
    results: Mapping[str, str] = field(default_factory=dict)
    returns: str = ""
    wanted: tuple[str, ...] = ()

    def chain(self) -> tuple[syntax.Definition, ...]:
        """The definitions that are being called, outermost first."""
        outer = self.parent.chain() if self.parent else ()
        return (*outer, self.definition) if self.definition else outer


@dataclass(slots=True, eq=False)
class Given:
    """A name for a value: an input, a parameter, an argument. A `number` is never an index."""

    value: Value
    number: bool = False


@dataclass(slots=True, eq=False)
class Size:
    """A dim."""

    name: str
    value: IndexExpr


@dataclass(slots=True, eq=False)
class Thunk:
    """A whole-tensor equation, or one of its left sides; elaborated when it is needed."""

    name: str
    scope: "Scope"
    position: int
    order: tuple[int, ...]
    targets: tuple[str, ...]
    value: syntax.Expression
    span: Span
    state: str = "waiting"
    result: Value = POISON


@dataclass(slots=True, eq=False)
class Part:
    """One of several left sides."""

    whole: Thunk
    at: int


@dataclass(slots=True, eq=False)
class Written:
    """One index equation of a group, and where it stands."""

    subscripts: tuple[syntax.Expression, ...]
    value: syntax.Expression
    span: Span
    scope: "Scope"
    position: int
    order: tuple[int, ...]


@dataclass(slots=True, eq=False)
class Group:
    """The index equations of one name in one block, which make one tensor."""

    name: str
    shown: str
    equations: list[Written] = field(default_factory=list)
    state: str = "waiting"
    prepared: list[object] = field(default_factory=list)
    axes: tuple[core.Axis, ...] | None = None
    result: Value = POISON


@dataclass(slots=True, eq=False)
class Returning:
    """`return a, b`: evaluated where the definition is called."""

    values: tuple[syntax.Expression, ...]
    span: Span
    scope: "Scope"
    position: int
    order: tuple[int, ...]


Entry: TypeAlias = Given | Size | Thunk | Part | Group | Returning


class Scope:
    """A block: the file, a definition's body, one round of a loop. Every statement has a position in it."""

    def __init__(self, frame: Frame, outer: "Scope | None" = None, home: "Scope | None" = None) -> None:
        self.frame = frame
        self.outer = outer
        self.home = home or (outer.home if outer else None)
        self.at = outer.now if outer else 0
        self.now = 0
        self.entries: dict[str, list[tuple[int, Entry]]] = {}
        self.pending: list[Thunk | Group] = outer.pending if outer else []

    def define(self, name: str, entry: Entry) -> None:
        """The name means this from here on."""
        self.entries.setdefault(name, []).append((self.now, entry))
        self.now += 1

    def group_of(self, name: str) -> Group | None:
        """The tensor that this block's index equations of the name make."""
        return next((e for _, e in self.entries.get(name, []) if isinstance(e, Group)), None)

    def find(self, name: str, position: int, indexed: bool) -> Entry | None:
        """What the name means at a position: the nearest above, for index equations the index equations below too."""
        scope: Scope | None = self
        while scope is not None:
            above = [entry for at, entry in scope.entries.get(name, []) if at < position]
            if above:
                return above[-1]
            if indexed and scope is self and (group := self.group_of(name)):
                return group
            position, scope = scope.at, scope.outer
        if self.home is None:
            return None
        return next((e for _, e in self.home.entries.get(name, []) if isinstance(e, Size)), None)

    def dims(self) -> dict[str, Size]:
        """The dims of this block, by name."""
        return {name: e for name, entries in self.entries.items() for _, e in entries if isinstance(e, Size)}

    def names(self) -> set[str]:
        """All names that can be meant here, for suggestions."""
        outer = self.outer.names() if self.outer else set()
        return outer | set(self.home.dims() if self.home else ()) | set(self.entries)


# ---------------------------------------------------------------- places


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
        name = _first_free(wanted, self.taken)
        self.taken.add(name)
        return name

    def fresh_local(self, wanted: str) -> str:
        """A name for a value that is used more than once."""
        name = _first_free(wanted, self.locals)
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
        random: whether `normal()` and `uniform()` may stand here.
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
    random: bool = False

    def inside(self, scope: Scope, locals: Mapping[str, core.Expression]) -> "Place":
        """The same place in the body of a definition, which sees none of the indices here."""
        context = self.context.inside(scope.frame)
        return Place(scope, scope.now, context, {}, self.known, self.ranges, self.conditions,
                     {**self.locals, **locals} if locals else self.locals, None, self.random)  # fmt: skip

    def under(self, condition: core.Expression, facts: Iterable[IndexExpr]) -> "Place":
        """The same where a condition holds."""
        return replace(self, conditions=(*self.conditions, condition), ranges=self.ranges.with_facts(facts))

    def among(self, written: Mapping[str, core.Index]) -> "Place":
        """The same with more indices."""
        ranges = self.ranges
        for index in written.values():
            ranges = ranges.with_index(index.name, index.low, index.high)
        known = {**self.known, **{index.name: index for index in written.values()}}
        return replace(self, indices={**self.indices, **written}, known=known, ranges=ranges)


# ---------------------------------------------------------------- the world


class Library(Protocol):
    """Where definitions that a file does not have are looked for."""

    def find(self, name: str) -> syntax.Definition | None:
        """The definition of that name."""

    def names(self) -> set[str]:
        """All names it has."""

    def text(self, file: str) -> str | None:
        """The text of one of its files."""


@dataclass(slots=True, eq=False)
class Tables:
    """What elaboration fills: for a model, or for one optimizer rule."""

    leaves: list[tuple[tuple[int, ...], core.Leaf]] = field(default_factory=list)
    tensors: list[tuple[tuple[int, ...], core.Tensor]] = field(default_factory=list)
    equations: list[tuple[tuple[int, ...], core.Equation]] = field(default_factory=list)
    names: dict[str, int] = field(default_factory=dict)
    spans: dict[str, Span] = field(default_factory=dict)
    moments: list[core.Moment] = field(default_factory=list)
    step: bool = False
    """Whether this is an optimizer's rule, where `t`, the step, can be read and `state` declared."""


@dataclass(slots=True, eq=False)
class World:
    """One elaboration."""

    training: bool
    library: Library
    sources: dict[str, str]
    evaluate: "Callable[[World, syntax.Expression, Place], Value]"
    run: "Callable[[World, tuple[syntax.Statement, ...], Scope], None]"
    force: "Callable[[World, Entry], Value]"
    axes: "Callable[[World, Entry], tuple[core.Axis, ...] | None]"
    definitions: dict[str, dict[str, syntax.Definition]] = field(default_factory=dict)
    """By the file they are seen in, then by name."""
    homes: dict[str, Scope] = field(default_factory=dict)
    """The dims of each file."""
    tables: Tables = field(default_factory=Tables)
    made: dict[str, Entry] = field(default_factory=dict)
    """Equations by the full name of what they make."""
    parameters: dict[str, Array] = field(default_factory=dict)
    preconditions: list[core.Precondition] = field(default_factory=list)
    outputs: list[tuple[syntax.Output, str, Entry]] = field(default_factory=list)
    statements: list[syntax.Statement] = field(default_factory=list)
    """Statements about training, which come last."""
    forcing: list[Thunk | Group] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    recursive: set[int] = field(default_factory=set)
    """Definitions known to call themselves, by their identity."""
    uses: dict[int, Mapping[str, int]] = field(default_factory=dict)
    """How often each name stands in a definition of numbers, by its identity."""
    numeric: dict[int, bool] = field(default_factory=dict)
    trained: dict[int, bool] = field(default_factory=dict)
    """By the identity of a definition: whether it is one of numbers, whether it has parameters."""
    steps: int = 0
    instances: int = 0
    folder: Path | None = None

    # ------------------------------------------------------------ errors

    def report(self, refused: Refused, frame: Frame) -> None:
        """One more error. What a definition of the library finds is shown at the user's call."""
        if isinstance(refused, Echo):
            return
        diagnostic = refused.diagnostic
        if diagnostic.span and frame.call and frame.definition:
            diagnostic = self._at_call(diagnostic, frame)
        if diagnostic not in self.diagnostics:
            self.diagnostics.append(diagnostic)

    def _at_call(self, found: Diagnostic, frame: Frame) -> Diagnostic:
        assert frame.definition
        assert frame.call
        assert found.span
        name = frame.definition.name
        if not self.in_library(found.span):
            label = Label(frame.call, f"in this call of {name}")
            labels = found.labels if found.span == frame.call else (*found.labels, label)
            return replace(found, labels=labels)
        labels = found.labels if found.labels else (Label(found.span, f"here, in {name}"),)
        return replace(found, span=frame.call, labels=(Label(frame.call, f"in this call of {name}"), *labels))

    def in_library(self, span: Span) -> bool:
        """Whether a place is in a file of the library."""
        return self.library.text(span.file) is not None

    def raise_errors(self) -> None:
        """Gives up if anything is wrong so far."""
        if self.diagnostics:
            ordered = sorted(self.diagnostics, key=lambda d: d.span or Span("", 0, 0, 0, 0))
            raise GradcError(ordered, self.texts(ordered))

    def texts(self, diagnostics: Iterable[Diagnostic]) -> dict[str, str]:
        """The sources, and those files of the library that the diagnostics point into."""
        found = dict(self.sources)
        for diagnostic in diagnostics:
            for label in diagnostic.labels:
                text = self.library.text(label.span.file)
                if text is not None:
                    found[label.span.file] = text
        return found

    # ------------------------------------------------------------ work

    def value(self, node: syntax.Expression, place: Place) -> Value:
        """The value of an expression; POISON, and an error in the list, where it has none."""
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise OutOfBudget(Refused(
                "too-large", f"the model unfolds to more than {MOST_STEPS:,} parts of equations", place.context.span,
                help="definitions that call others several times multiply; give the results names of their own",
            ))  # fmt: skip
        try:
            return self.evaluate(self, node, place)
        except Refused as refused:
            self.report(refused, place.context.frame)
            return POISON

    def count_instance(self, span: Span, more: int = 1) -> None:
        """Loops and definitions unfold when the model is compiled; they may not unfold without end."""
        self.instances += more
        if self.instances > MOST_INSTANCES:
            raise OutOfBudget(Refused(
                "too-large", f"the model unfolds to more than {MOST_INSTANCES:,} equations", span,
                help="`for` and `repeat` unfold when the model is compiled; an index runs when it is called",
            ))  # fmt: skip

    def find(self, name: str, place: Place) -> Entry | None:
        """What a name means where it stands."""
        if place.context.own is not None and place.context.own.shown == name:
            return place.context.own
        return place.scope.find(name, place.position, place.context.indexed)

    def definition(self, name: str, span: Span) -> syntax.Definition | None:
        """The definition that a name means in the file of the span: of the file, of those it uses, of the library."""
        own = self.definitions.get(span.file, {}).get(name)
        return own or self.library.find(name)

    def unique(self, name: str) -> str:
        """The name, counted up if a tensor or parameter has it already."""
        names = self.tables.names
        free = name
        while free in names:
            names[name] += 1
            free = f"{name}_{names[name]}"
        names[free] = 1
        return free

    # ------------------------------------------------------------ spans and texts

    def span(self, span: Span, frame: Frame) -> Span:
        """The place in the user's own file: of the text itself, or of the call that leads into the library."""
        return frame.call if frame.call and self.in_library(span) else span

    def text(self, span: Span) -> str:
        """The source text of a statement, on one line and without comments."""
        source = self.sources.get(span.file)
        source = source if source is not None else self.library.text(span.file) or ""
        lines = source.split("\n")[span.line - 1 : span.end_line]
        if not lines:
            return ""
        lines[-1] = lines[-1][: span.end_column - 1]
        lines[0] = lines[0][span.column - 1 :]
        return " ".join(line.split("#")[0].strip() for line in lines).strip()

    # ------------------------------------------------------------ tables

    def add_tensor(self, order: tuple[int, ...], tensor: core.Tensor) -> None:
        """One more computed tensor."""
        check_size(tensor.axes, tensor.span, tensor.name)
        self.tables.tensors.append((order, tensor))
        self.tables.spans[tensor.name] = tensor.span

    def add_equation(self, order: tuple[int, ...], equation: core.Equation) -> None:
        """One more equation."""
        self.count_instance(equation.span)
        self.tables.equations.append((order, equation))

    def add_leaf(self, order: tuple[int, ...], leaf: core.Leaf) -> None:
        """One more input, target or parameter."""
        check_size(leaf.axes, leaf.span, leaf.name)
        self.tables.leaves.append((order, leaf))
        self.tables.spans[leaf.name] = leaf.span

    def require(self, span: Span, value: IndexExpr, message: str) -> bool:
        """Whether value ≥ 0 can be asked of a caller: true for all large enough dims. If so, it is."""
        if not often_nonnegative(value):
            return False
        if all(value != p.value for p in self.preconditions):
            self.preconditions.append(core.Precondition(span, value, message))
        return True


def ordered(items: Iterable[tuple[tuple[int, ...], T]]) -> tuple[T, ...]:
    """Things in the order of the model: what the calls in an equation make comes before what the equation makes."""
    return tuple(item for _, item in sorted(items, key=lambda pair: (*pair[0], math.inf)))


def check_size(axes: tuple[core.Axis, ...], span: Span, name: str) -> None:
    """A tensor of fixed size may not be larger than any memory."""
    total = 8
    for axis in axes:
        size = axis.extent.constant
        if size is None:
            return
        total *= size
    if total > MOST_BYTES:
        shape = " × ".join(str(axis.extent) for axis in axes)
        raise Refused("too-many-bytes", f"{name} would take {total:,} bytes: {shape} numbers of 8 bytes", span)


def _first_free(wanted: str, taken: Iterable[str]) -> str:
    name, count = wanted, 1
    while name in taken:
        count += 1
        name = f"{wanted}_{count}"
    return name
