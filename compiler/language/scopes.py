"""Names and what they mean: scopes, and the things that a name can be.

A block (the file, a definition's body, one round of a loop) is a scope; each of its statements has a position in it. An
equation is kept as it is written until it is needed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from gradc.errors import Span
from gradc.graph.index import IndexExpr

from . import core, syntax
from .values import POISON, Value


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """The file, or one call of a definition: where its names begin, and where the user called it.

    Attributes:
        prefix: what the names of its tensors and parameters begin with, dot included.
        order: its place in the model, for the order of parameters.
        call: the call in the user's own file; None for the file itself.
        at: the call itself, which may stand in a file of the library.
        axes: what `...` in the definition's header stands for.
        results: the local names of what it returns, and the tensor names that these are to have.
        returns: what the tensor is called that `return[…] = …` makes, where `results` does not say.
        wanted: the tensor names that the results are to have.
        within: the definitions that are being called, by their identity.
        shared: in a shared definition, what the names of this call begin with, and those of its parameters.
    """

    definition: syntax.Definition | None = None
    parent: "Frame | None" = None
    prefix: str = ""
    order: tuple[int, ...] = ()
    call: Span | None = None
    at: Span | None = None
    axes: tuple[core.Axis, ...] | None = None
    results: Mapping[str, str] = field(default_factory=dict)
    returns: str = ""
    wanted: tuple[str, ...] = ()
    within: frozenset[int] = frozenset()
    shared: tuple[str, str] = ("", "")

    def chain(self) -> tuple[syntax.Definition, ...]:
        """The definitions that are being called, outermost first."""
        outer = self.parent.chain() if self.parent else ()
        return (*outer, self.definition) if self.definition else outer

    @property
    def is_shared(self) -> bool:
        """Whether it is a call of a shared definition, or one inside of such a call."""
        return self.shared != ("", "")

    def parameter(self, full: str) -> str:
        """The name of a parameter that is called `full` in this call: one for all calls of a shared definition."""
        own, shared = self.shared
        return shared + full.removeprefix(own)


def frame_of(definition: syntax.Definition, parent: Frame, prefix: str, order: tuple[int, ...], call: Span,
             at: Span) -> Frame:  # fmt: skip
    """The frame of a call inside of another's."""
    within = parent.within | {id(definition)}
    return Frame(definition, parent, prefix, order, call, at, within=within, shared=parent.shared)


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
    """A whole-tensor equation; elaborated when it is needed.

    Attributes:
        name: the full name by which its calls name what is theirs; the tensors have those of `targets`.
    """

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
    """The index equations of one name in one block, which make one tensor.

    Attributes:
        base: the full name by which its calls name what is theirs.
        ends: of each equation that is measured, how far it writes along each axis, where that can be told.
        known: which of the equations have been measured at any time, by their numbers.
        tried: how many equations had been, of all tensors, when this one was last found to need more of them.
        unknown: indices whose extents only its own recurrence may tell, and where they stand.
        like: the axes of the state that it is the next value of.
    """

    name: str
    base: str
    shown: str
    equations: list[Written] = field(default_factory=list)
    state: str = "waiting"
    prepared: list[object] = field(default_factory=list)
    ends: list[tuple[IndexExpr | None, ...]] = field(default_factory=list)
    known: set[int] = field(default_factory=set)
    tried: int = -1
    unknown: dict[str, Span] = field(default_factory=dict)
    like: tuple[core.Axis, ...] = ()
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
        self.home: Scope | None = home or (outer.home if outer else None)
        self.at: int = outer.now if outer else 0
        self.now: int = 0
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
            for at, entry in reversed(scope.entries.get(name, ())):
                if at < position:
                    return entry
            if indexed and scope is self and (group := self.group_of(name)):
                return group
            position, scope = scope.at, scope.outer
        if self.home is None:
            return None
        return next((e for _, e in self.home.entries.get(name, []) if isinstance(e, Size)), None)

    def unseen(self, name: str) -> Thunk | Group | None:
        """The last equation of that name in this block and those around it, above or below."""
        found = (entry for _, entry in reversed(self.entries.get(name, ())) if isinstance(entry, Thunk | Part | Group))
        entry = next(found, None)
        if entry is None:
            return self.outer.unseen(name) if self.outer else None
        return entry.whole if isinstance(entry, Part) else entry

    def dims(self) -> dict[str, Size]:
        """The dims of this block, by name."""
        return {name: e for name, entries in self.entries.items() for _, e in entries if isinstance(e, Size)}

    def names(self) -> set[str]:
        """All names that can be meant here, for suggestions."""
        outer = self.outer.names() if self.outer else set()
        return outer | set(self.home.dims() if self.home else ()) | set(self.entries)
