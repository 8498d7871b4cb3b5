"""How random recurrences step: which place a round writes, which are earlier, where the first ones come from.

Values are computed one round after the other, in the order that is known here, and so by nothing that gradc does.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from .bases import Made
from .expressions import stated
from .terms import ATOM, COMPARISON, SUM, Choices, Idx, Known, Size, Term, Uses
from .world import Array, Points, Stored, World, places

FORMS = ("guard", "condition", "places", "mirror")


@dataclass(frozen=True)
class Way:
    """Along an index t of extent T, `step` places at a time.

    Attributes:
        form: `guard` writes at t and reads `h?[t - 1]`; `condition` reads `h[t - 1]` where t > 0; `places` writes at
            t + 1, or at t if backward, and the first places apart; `mirror` writes at T - 1 - t and reads `h?[T - t]`.
    """

    moving: Idx
    form: str
    backward: bool
    step: int

    @property
    def size(self) -> Size:
        """The extent of what is written."""
        size = self.moving.size
        return longer(size, self.step) if self.form == "places" else size

    @property
    def guarded(self) -> bool:
        """Whether earlier places are read by `?`."""
        return self.form in ("guard", "mirror")

    @property
    def rounds(self) -> Sequence[int]:
        found = range(self.moving.size.value)
        return found[::-1] if self.backward else found

    @property
    def starts(self) -> Sequence[int]:
        """The places that are written apart."""
        first = self.moving.size.value if self.backward else 0
        return range(first, first + self.step) if self.form == "places" else ()

    def earlier(self, rounds: int) -> Term:
        """The place that was written so many rounds ago."""
        factor, shift = self._arithmetic(rounds)
        name = self.moving.name
        text, level = self._shown(rounds, name), SUM if factor < 0 or shift else ATOM
        return Term(text, level, lambda points: factor * points.indices[name] + shift)

    def left(self, uses: Uses, choices: Choices) -> str:
        """The place that is written, with the extent of the index where nothing else tells it."""
        if self._shown(0, "t") == "t":
            return stated(self.moving, uses, choices)
        return self._shown(0, inside(self.moving, uses))

    def _arithmetic(self, rounds: int) -> tuple[int, int]:
        by = rounds if self.backward else -rounds
        if self.form == "mirror":
            return -1, self.moving.size.value - 1 - by
        return 1, by + (self.step if self.form == "places" and not self.backward else 0)

    def _shown(self, rounds: int, name: str) -> str:
        factor, shift = self._arithmetic(rounds)
        if factor > 0:
            return f"{name} {'+' if shift > 0 else '-'} {abs(shift)}" if shift else name
        more = shift - self.moving.size.value
        start = (
            f"{ending(self.moving.size)} {'+' if more > 0 else '-'} {abs(more)}" if more else ending(self.moving.size)
        )
        return f"{start} - {name}"

    def begun(self, choices: Choices) -> tuple[Term, bool]:
        """Whether the place of `step` rounds ago is inside; or whether it is not, and true."""
        name, end, step, count = self.moving.name, ending(self.moving.size), self.step, self.moving.size.value
        if self.backward:
            texts = [f"{name} + {step} < {end}", f"{name} < {end} - {step}", f"{name} >= {end} - {step}"]
        else:
            texts = [f"{name} > {step - 1}", f"{name} >= {step}", f"{name} < {step}"]
        if step == 1:
            texts.append(f"{name} == {end} - 1" if self.backward else f"{name} == 0")
        text = choices.pick(texts)
        negated = text in texts[2:]

        def at(points: Points) -> Array:
            t = points.indices[name]
            return (t + step < count if self.backward else t >= step) != negated

        return Term(text, COMPARISON, at), negated


def drawn_way(size: Size, choices: Choices) -> Way:
    form = choices.pick(FORMS)
    backward = choices.chance(35) and (size.static or form != "places")
    return Way(Idx("t", size), form, backward, choices.pick([1, 1, 1, 2]))


def longer(size: Size, by: int) -> Size:
    return Size(str(size.value + by) if size.static else f"{size.text} + {by}", size.value + by, size.static)


def ending(size: Size) -> str:
    """The extent in arithmetic."""
    return f"({size.text})" if " " in size.text else size.text


def inside(idx: Idx, uses: Uses) -> str:
    """An index within arithmetic, its extent stated in brackets where nothing else tells it."""
    return idx.name if uses.tells(idx) else f"({idx.name}: {idx.size.text})"


# ---------------------------------------------------------------- values


@dataclass(frozen=True)
class Part:
    """An equation of a recurrence: what it writes in a round, at all values of the indices that do not step."""

    target: str
    extents: Mapping[str, int]
    subscripts: Sequence[Term]
    body: Term

    def run(self, world: World, fixed: Mapping[str, int]) -> None:
        """Writes the places of one round into its tensor."""
        points = places(world, self.extents)
        points = Points(world, {**points.indices, **fixed}, points.count, points.real)
        at = [subscript.at(points) for subscript in self.subscripts]
        world.tensors[self.target] = world.write(world.tensors[self.target], points, at, self.body.at(points),
                                                 world.moved.get(self.target))  # fmt: skip


def together(tensors: Sequence[Known], runs: Iterable[tuple[Part, Mapping[str, int]]]) -> Made:
    """The tensors of a recurrence, from the runs of its equations in order, each with the indices that step."""
    runs = list(runs)

    def compute(world: World) -> tuple[Stored, ...]:
        for tensor in tensors:
            world.tensors[tensor.name] = world.zeros([size.value for size in tensor.sizes])
        for part, fixed in runs:
            part.run(world, fixed)
        return tuple(world.tensors[tensor.name] for tensor in tensors)

    return Made(tuple(tensors), compute, recurrent=True)
