"""Random expressions over indices, each as text of the language and as a function of a list of places.

Every read is inside its tensor, under the conditions around it, in a way that the language's page says is provable.
What is drawn first is simplest: Hypothesis shrinks towards it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from .world import Array, Points

Value: TypeAlias = Callable[[Points], Array]

# how tightly each kind of expression binds
CHOICE, OR, AND, NOT, COMPARISON, SUM, PRODUCT, SIGN, POWER, ATOM = range(10)


@dataclass(frozen=True)
class Choices:
    """Decisions, two bytes each; when there are no more, the simplest."""

    entropy: Iterator[int]

    def integer(self, low: int, high: int) -> int:
        return low + (next(self.entropy, 0) * 256 + next(self.entropy, 0)) % (high - low + 1)

    def pick(self, options: Sequence[Any]) -> Any:
        return options[self.integer(0, len(options) - 1)] if len(options) > 1 else options[0]

    def weighted(self, options: Sequence[tuple[int, Any]]) -> Any:
        """One of several, each with its weight."""
        at = self.integer(0, sum(weight for weight, _ in options) - 1)
        for weight, option in options:
            if at < weight:
                return option
            at -= weight
        raise AssertionError("weights are positive")

    def chance(self, percent: int) -> bool:
        """Unlikely things are what shrinks away."""
        return self.integer(0, 99) >= 100 - percent


@dataclass(frozen=True)
class Size:
    """An extent: its text, its value here, and whether it is the same in every call."""

    text: str
    value: int
    static: bool

    def same(self, other: "Size") -> bool:
        """Equal for all sizes of the free dims."""
        return self.text == other.text or (self.static and other.static and self.value == other.value)

    def within(self, other: "Size") -> bool:
        """Not above the other for all sizes of the free dims, plainly."""
        if self.static and other.static:
            return self.value <= other.value
        return self.same(other) or (self.static and self.value == 1) or other.text == f"{self.text} + 1"


@dataclass(frozen=True)
class Idx:
    """An index of an equation and its extent."""

    name: str
    size: Size


@dataclass(frozen=True)
class Known:
    """A tensor that expressions may read."""

    name: str
    sizes: tuple[Size, ...]
    kind: str = "real"
    below: Size | None = None
    """What a whole number is less than."""
    late: bool = False
    """It needs a target."""

    @property
    def rank(self) -> int:
        return len(self.sizes)


@dataclass(frozen=True)
class Term:
    """An expression."""

    text: str
    level: int
    at: Value

    def inside(self, level: int) -> str:
        """The text where something that binds as tightly as `level` is wanted."""
        return self.text if self.level >= level else f"({self.text})"


@dataclass
class Uses:
    """What an equation's terms use: which tensors, and at which extents each index stands bare."""

    tensors: dict[str, Known] = field(default_factory=dict)
    bare: list[tuple[Idx, Size, bool]] = field(default_factory=list)

    def tells(self, idx: Idx) -> bool:
        """Whether the reads tell the index's extent, and agree."""
        found = [(size, sure) for other, size, sure in self.bare if other is idx]
        return any(sure for _, sure in found) and all(size.same(idx.size) for size, _ in found)


@dataclass(frozen=True)
class Scope:
    """Where an expression stands."""

    choices: Choices
    known: tuple[Known, ...]
    indices: tuple[Idx, ...]
    uses: Uses
    room: int = 64
    """How many places reductions inside may still run over."""
    sure: bool = True
    """Whether reads here tell extents: not in `x?`."""

    def with_indices(self, more: Sequence[Idx]) -> "Scope":
        count = 1
        for idx in more:
            count *= idx.size.value
        return replace(self, indices=(*self.indices, *more), room=self.room // max(count, 1))

    def fresh_index(self, taken: Sequence[str] = ()) -> str:
        used = {idx.name for idx in self.indices} | set(taken)
        return next(name for name in "ijklopqrs" if name not in used)


# ---------------------------------------------------------------- small terms


def number(value: float, text: str | None = None) -> Term:
    shown = text if text is not None else repr(value)
    level = SIGN if shown.startswith("-") else PRODUCT if "/" in shown else ATOM
    return Term(shown, level, lambda points: value)


def index_value(idx: Idx) -> Term:
    return Term(idx.name, ATOM, lambda points: points.indices[idx.name])


def call(name: str, *arguments: Term, by: Callable[..., Array]) -> Term:
    text = f"{name}({', '.join(argument.text for argument in arguments)})"
    return Term(text, ATOM, lambda points: by(points, *(argument.at(points) for argument in arguments)))


def binary(left: Term, sign: str, right: Term) -> Term:
    level = SUM if sign in "+-" else PRODUCT
    text = f"{left.inside(level)} {sign} {right.inside(level + 1)}"

    def at(points: Points) -> Array:
        a, b = left.at(points), right.at(points)
        match sign:
            case "+":
                return a + b
            case "-":
                return a - b
            case "*":
                return a * b
        return a / b

    return Term(text, level, at)


def joined(sign: str, terms: Sequence[Term]) -> Term:
    found = terms[0]
    for term in terms[1:]:
        found = binary(found, sign, term)
    return found


def power(base: Term, exponent: int) -> Term:
    return Term(f"{base.inside(ATOM)}^{exponent}", POWER, lambda points: base.at(points) ** exponent)


def negative(term: Term) -> Term:
    return Term(f"-{term.inside(SIGN)}", SIGN, lambda points: -term.at(points))


def choice(condition: Term, then: Term, otherwise: Term) -> Term:
    text = f"if {condition.text} then {then.inside(OR)} else {otherwise.text}"

    def at(points: Points) -> Array:
        return points.xp.where(condition.at(points), then.at(points), otherwise.at(points))

    return Term(text, CHOICE, at)
