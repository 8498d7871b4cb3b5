"""What all parts of the elaborator share: the tables that are filled, the errors that are found, the budget.

The parts call each other in a circle (an expression calls a definition, whose equations hold expressions). They do so
through the functions a `World` is given, so that imports run one way.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Protocol, TypeVar

from gradc.errors import Diagnostic, GradcError, Label, Span
from gradc.graph.index import IndexExpr
from gradc.graph.ranges import often_nonnegative

from . import core, syntax
from .places import Place
from .refusal import Echo, OutOfBudget, Refused
from .scopes import Entry, Frame, Group, Scope, Thunk
from .values import POISON, Value
from .walk import names_in

T = TypeVar("T")

MOST_STEPS = 50_000
"""Parts of expressions that a model may come to when all its definitions and loops are unfolded."""
MOST_INSTANCES = 20_000
"""Equations and rounds of loops that a model may come to."""
MOST_BYTES = 2**40
"""Bytes that a tensor may take, where its free dims are 1."""


def unfolds_too_far(span: Span) -> OutOfBudget:
    """What is said of a model of more than `MOST_STEPS`."""
    return OutOfBudget(Refused(
        "too-large", f"the model unfolds to more than {MOST_STEPS:,} parts of equations", span,
        help="loops and definitions unfold when the model is compiled: take fewer rounds or layers, or let an index "
        "run; what is called twice is unfolded twice, so give its result a name",
    ))  # fmt: skip


class Library(Protocol):
    """Where definitions that a file does not have are looked for."""

    def find(self, name: str) -> syntax.Definition | None:
        """The definition of that name."""

    def names(self) -> set[str]:
        """All names it has."""

    def elsewhere(self) -> dict[str, str]:
        """What others call its definitions, and what they are called here."""

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


@dataclass(frozen=True, slots=True, eq=False)
class Updated:
    """An update: the state, the tensor that holds it there, the equation of its next value, and where it stands."""

    state: core.Leaf
    seen: str
    entry: Entry
    span: Span
    frame: Frame


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A state as a call of a shared definition sees it: in a tensor of the call's own."""

    state: core.Leaf
    name: str
    order: tuple[int, ...]
    frame: Frame
    value: Value


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
    made: dict[str, Thunk | Group] = field(default_factory=dict)
    """Equations by the full name of what they make."""
    parameters: dict[str, Value] = field(default_factory=dict)
    preconditions: list[core.Precondition] = field(default_factory=list)
    outputs: list[tuple[syntax.Output, str, Entry]] = field(default_factory=list)
    updates: list[Updated] = field(default_factory=list)
    seen: dict[str, Seen] = field(default_factory=dict)
    """States of shared definitions, by what each call calls them."""
    statements: list[syntax.Statement] = field(default_factory=list)
    """Statements about training, which come last."""
    forcing: list[Thunk | Group] = field(default_factory=list)
    """Equations that are being elaborated, each for the sake of the one before."""
    deepest: tuple[int, Thunk | Group | None] = (0, None)
    """How many they were when they were most, and the last of them."""
    diagnostics: list[Diagnostic] = field(default_factory=list)
    doubts: list[Diagnostic] = field(default_factory=list)
    """Warnings."""
    hidden: dict[str, syntax.Target] = field(default_factory=dict)
    """By the name of a state: the left side of an equation that has the state's name."""
    recursive: set[int] = field(default_factory=set)
    """Definitions known to call themselves, by their identity."""
    shared: dict[int, list[str]] = field(default_factory=dict)
    """By the identity of a shared definition: its name, then what its calls are called."""
    named: dict[int, tuple[syntax.Expression, frozenset[str]]] = field(default_factory=dict)
    """By the identity of an expression: itself, and the names in it."""
    uses: dict[int, Mapping[str, int]] = field(default_factory=dict)
    """How often each name stands in a definition of numbers, by its identity."""
    numeric: dict[int, bool] = field(default_factory=dict)
    trained: dict[int, bool] = field(default_factory=dict)
    """By the identity of a definition: whether it is one of numbers, whether it has parameters."""
    cycles: dict[int, tuple[Entry, Entry]] = field(default_factory=dict)
    """By the identity of an equation: itself, and one of those that it is in a cycle with."""
    cycles_at: int = 0
    """How many equations there were when the cycles were looked for."""
    asked: bool = False
    """Whether anything so far is another where `training` is another."""
    sites: int = 0
    """How many calls of `uniform()` and `normal()` there are so far."""
    steps: int = 0
    instances: int = 0
    measured: int = 0
    """How many index equations have their extents so far."""

    # ------------------------------------------------------------ errors

    def report(self, refused: Refused, frame: Frame) -> None:
        """One more error. What a definition of the library finds is shown at the user's call."""
        if isinstance(refused, Echo):
            return
        diagnostic = refused.diagnostic
        if any(_of_one_cycle(known, diagnostic) for known in self.diagnostics):
            return
        if diagnostic.span and frame.call and frame.definition:
            diagnostic = self._at_call(diagnostic, frame)
        if any(_says(known, diagnostic) for known in self.diagnostics):
            return
        last = self.diagnostics[-1] if self.diagnostics else None
        if last is not None and _same_but_for_place(last, diagnostic) and last.span and diagnostic.span:
            labels = (*(last.labels or (Label(last.span, ""),)), Label(diagnostic.span, ""))
            self.diagnostics[-1] = replace(last, labels=labels)
        else:
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
        return replace(found, span=frame.call, labels=(*_calls(frame), *labels))

    def in_library(self, span: Span) -> bool:
        """Whether a place is in a file of the library."""
        return self.library.text(span.file) is not None

    def raise_errors(self) -> None:
        """Gives up if anything is wrong so far."""
        if self.diagnostics:
            # where something else is wrong, what depends on what is known by halves
            found = [each for each in self.diagnostics if each.code != "cycle"] or self.diagnostics
            ordered = sorted(found, key=lambda d: d.span or Span("", 0, 0, 0, 0))
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
            raise unfolds_too_far(place.context.span)
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

    def may_lack(self, start: str) -> bool:
        """Whether an equation is wrong whose calls might have made parameters with names that begin so, or an end of
        them: what is said of those that are not there would follow from that alone."""
        wrong = (f"{name}." for name, entry in self.made.items() if entry.state == "done" and entry.result is POISON)
        return any(start.startswith(name) or name.startswith(start) for name in wrong)

    def begin(self, entry: Thunk | Group) -> None:
        """An equation is elaborated from here on, until it is taken off `forcing`."""
        self.forcing.append(entry)
        if len(self.forcing) > self.deepest[0]:
            self.deepest = len(self.forcing), entry

    # ------------------------------------------------------------ spans and texts

    def span(self, span: Span, frame: Frame) -> Span:
        """The place in the user's own file: of the text itself, or of the call that leads into the library."""
        return frame.call if frame.call and self.in_library(span) else span

    def text(self, span: Span) -> str:
        """The source text of a statement, on one line and without comments."""
        source = self.sources.get(span.file)
        return _excerpt(source if source is not None else self.library.text(span.file) or "", span)

    # ------------------------------------------------------------ tables

    def add_tensor(self, order: tuple[int, ...], tensor: core.Tensor) -> None:
        """One more computed tensor. Whether one with a free axis is stored, the schedule decides."""
        if all(axis.extent.constant is not None for axis in tensor.axes):
            check_size(tensor.axes, tensor.span, tensor.name)
        self.tables.tensors.append((order, tensor))
        self.tables.spans[tensor.name] = tensor.span

    def names_in(self, *roots: syntax.Expression) -> set[str]:
        """The names that stand in these; those of what stands in a definition are found once for all its calls."""
        found: set[str] = set()
        for root in roots:
            if id(root) not in self.named:
                self.named[id(root)] = root, frozenset(names_in(root))
            found |= self.named[id(root)][1]
        return found

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


def _calls(frame: Frame) -> list[Label]:
    """The call in the user's own file, and those in the library that it leads through."""
    labels: list[Label] = []
    inner: Frame | None = frame
    while inner is not None and inner.definition and inner.call and inner.call == frame.call:
        labels.insert(0, Label(inner.at or inner.call, f"in this call of {inner.definition.name}"))
        inner = inner.parent
    return labels


def _says(known: Diagnostic, again: Diagnostic) -> bool:
    """Whether an error says all that another does: the same, or the same of several places of a line, this one too; of
    a call, whichever lines of the library it is found in."""
    if again.span and (known.message, known.help, known.span) == (again.message, again.help, again.span):
        return True
    joined = replace(again, span=known.span, labels=known.labels)
    return known == again or (known == joined and any(label.span == again.span for label in known.labels))


def _of_one_cycle(known: Diagnostic, again: Diagnostic) -> bool:
    """Whether both are cycles that have an equation in common, so that each is a part of one larger."""
    spans = {label.span for label in known.labels}
    return known.code == again.code == "cycle" and any(label.span in spans for label in again.labels)


def _same_but_for_place(a: Diagnostic, b: Diagnostic) -> bool:
    """Whether two errors of one line say the same: it is said once, with marks under both places."""
    if a.span is None or b.span is None or b.labels or any(label.text for label in a.labels):
        return False
    return (a.message, a.help, a.span.file, a.span.line) == (b.message, b.help, b.span.file, b.span.line)


@lru_cache(maxsize=1024)
def _excerpt(source: str, span: Span) -> str:
    lines = source.split("\n")[span.line - 1 : span.end_line]
    if not lines:
        return ""
    lines[-1] = lines[-1][: span.end_column - 1]
    lines[0] = lines[0][span.column - 1 :]
    return " ".join(line.split("#")[0].strip() for line in lines).strip()


def ordered(items: Iterable[tuple[tuple[int, ...], T]]) -> tuple[T, ...]:
    """Things in the order of the model: what the calls in an equation make comes before what the equation makes."""
    return tuple(item for _, item in sorted(items, key=lambda pair: (*pair[0], math.inf)))


def bytes_taken(extents: Iterable[IndexExpr]) -> int:
    """How many bytes a tensor takes at least: its free dims are 1."""
    return 8 * math.prod(max(1, extent.value(dict.fromkeys(extent.dims, 1))) for extent in extents)


def too_large(name: str, extents: Sequence[IndexExpr]) -> str | None:
    """What is said of a tensor that is larger than any memory."""
    total = bytes_taken(extents)
    if total <= MOST_BYTES:
        return None
    free = dict.fromkeys(dim for extent in extents for dim in extent.dims)
    least = f", with {', '.join(f'{dim} = 1' for dim in free)}" if free else ""
    return f"{name} would take {total:,} bytes: {' × '.join(map(str, extents))} numbers of 8 bytes{least}"


def check_size(axes: tuple[core.Axis, ...], span: Span, name: str) -> None:
    """A tensor may not be larger than any memory."""
    message = too_large(name, [axis.extent for axis in axes])
    if message is not None:
        raise Refused("too-many-bytes", message, span, help="make one of its axes shorter")
