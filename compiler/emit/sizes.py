"""Which kernels are alike but for sizes: kernels → groups, each of which is written as one that asks its arrays.

    for c in range(16):                     for c in range(64):                     size_c = h.shape[1]
        h[b, c] = x[b, c] * gain[c]             g[b, c] = y[b, c] * slope[c]        for c in range(size_c):
                                                                                        h[b, c] = x[b, c] * gain[c]

What is looked at is the text. A number that is not the same in all of them is at best the length of the same axis of
the same argument, else it is handed over; then each kernel is the common one at its own sizes. Short loops keep their
ends, which compilers unroll, and so do divisors.
"""

import ast
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

from .bodies import WIDEST_ROW
from .kernels import Kernel
from .lines import INDENT, wrapped
from .names import WORDS, Names
from .text import DOC_WIDTH

LEAST = 8
"""Smaller numbers stay as they are: compilers unroll loops of so few rounds. Those of a residual network, of 8 to 64
rounds, did not become slower, as measured in 2026."""
WORD = re.compile(r"(?<![\w.])[^\W\d]\w*")
NUMBER = re.compile(r"(?<![\w.])(?<!e[-+])\d+(?![\w.])")
ENDS = re.compile(r"for (\w+) in range\((?:[^()]*, )?(\d+)\):")

Lengths = tuple[tuple[int | None, ...], ...]
"""For each argument of a kernel the lengths of its axes, where they are numbers."""
Key = tuple[str, ...]
"""The text of a kernel without names."""


@dataclass(frozen=True, slots=True)
class Size:
    """A size's name, and the axis of an argument that it is the length of; None where it is handed over."""

    name: str
    axis: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Group:
    """Kernels that are alike but for sizes.

    Attributes:
        sizes: the sizes in which they differ.
        numbers: for each number of the text, counted from its start, that is a size: which.
        values: for each of the kernels its sizes.
    """

    sizes: tuple[Size, ...]
    numbers: Mapping[int, str]
    values: Mapping[Key, tuple[int, ...]]

    def common(self, kernel: Kernel) -> Kernel:
        """One of them as the kernel that does the work of all."""
        taken = [f"{s.name} = {kernel.arguments[s.axis[0]]}.shape[{s.axis[1]}]" for s in self.sizes if s.axis]
        return replace(
            kernel,
            arguments=(*kernel.arguments, *(size.name for size in self.sizes if not size.axis)),
            doc=(*kernel.doc, *self.doc()),
            body=(*taken, *_with_sizes(kernel.body, self.numbers)),
        )

    def given(self, key: Key) -> tuple[int, ...]:
        """What a call of the common kernel in the place of this one hands over, after all that this one is given."""
        return tuple(value for size, value in zip(self.sizes, self.values[key], strict=True) if not size.axis)

    def doc(self) -> list[str]:
        """`size_c is 16, 32 or 64`."""
        single = len(self.sizes) == 1
        names = ", ".join(size.name for size in self.sizes)
        cases = dict.fromkeys(self.values.values())
        values = [str(each[0]) if single else f"({', '.join(map(str, each))})" for each in cases]
        said = f"{names if single else f'({names})'} is {', '.join(values[:-1])} or {values[-1]}."
        return wrapped(said, DOC_WIDTH, INDENT * 2)


@dataclass(slots=True)
class Alike:
    """Kernels with one outline, by their keys: the numbers in their texts, and the lengths of what they are given."""

    kernels: dict[Key, Kernel] = field(default_factory=dict)
    numbers: dict[Key, tuple[int, ...]] = field(default_factory=dict)

    def differing(self) -> list[int]:
        """The places among the numbers where they are not the same."""
        return [at for at, values in enumerate(zip(*self.numbers.values(), strict=True)) if len(set(values)) > 1]

    def leave_small(self) -> None:
        """Takes out, one after the other, those that differ from the others in a small number."""
        while small := [key for key, own in self.numbers.items() if any(own[at] < LEAST for at in self.differing())]:
            del self.numbers[small[0]], self.kernels[small[0]]


def groups(kernels: Mapping[Key, Kernel], lengths: Mapping[Key, Lengths]) -> dict[Key, Group]:
    """The group of each kernel that is alike to another one but for sizes."""
    outlines: dict[tuple[str, int], Alike] = {}
    for key, kernel in kernels.items():
        outline, numbers = _outline(kernel)
        if numbers == _numbers(kernel.body):
            alike = outlines.setdefault((outline, len(kernel.arguments)), Alike())
            alike.kernels[key], alike.numbers[key] = kernel, numbers
    found: dict[Key, Group] = {}
    for alike in outlines.values():
        alike.leave_small()
        group = _group(alike, lengths)
        if group is not None:
            found |= dict.fromkeys(alike.kernels, group)
    return found


def _group(alike: Alike, lengths: Mapping[Key, Lengths]) -> Group | None:
    """What they have in common."""
    differing = alike.differing()
    if not differing or _divides(next(iter(alike.kernels.values())).body, differing):
        return None
    kernel, given = next(iter(alike.kernels.values())), [lengths[key] for key in alike.kernels]
    local = Names({*kernel.arguments, *WORD.findall("\n".join(kernel.body))})
    sizes: dict[tuple[str, tuple[int, ...]], Size] = {}
    numbers: dict[int, str] = {}
    loops = _loops(kernel.body)
    for at in sorted(differing, key=lambda at: at not in loops):
        values = tuple(own[at] for own in alike.numbers.values())
        like = next((size for (_, other), size in sizes.items() if other == values), None) if at not in loops else None
        name = f"size_{loops[at]}" if at in loops else "number"
        if like is None and (name, values) not in sizes:
            sizes[name, values] = Size(local.fresh(name), _axis(kernel, loops.get(at), values, given))
        numbers[at] = (like or sizes[name, values]).name
    if any(len(row) > WIDEST_ROW for row in _with_sizes(kernel.body, numbers)):
        return None
    cases = zip(alike.kernels, zip(*(values for _, values in sizes), strict=True), strict=True)
    return Group(tuple(sizes.values()), numbers, dict(cases))


def _axis(
    kernel: Kernel, loop: str | None, values: tuple[int, ...], given: Sequence[Lengths]
) -> tuple[int, int] | None:
    """The argument, and its axis, whose lengths these are: at best one along which the loop goes."""
    fitting = [
        (argument, axis)
        for argument, axes in enumerate(given[0])
        for axis in range(min(len(lengths[argument]) for lengths in given) if axes else 0)
        if tuple(lengths[argument][axis] for lengths in given) == values
    ]
    along = [place for place in fitting if loop and place in _along(kernel, loop)]
    return next(iter([*along, *fitting]), None)


def _along(kernel: Kernel, loop: str) -> set[tuple[int, int]]:
    """The arguments and axes along which a loop goes."""
    subscripts = re.findall(r"(\w+)\[([^\[\]]*)\]", "\n".join(kernel.body))
    return {
        (kernel.arguments.index(array), axis)
        for array, places in subscripts
        if array in kernel.arguments
        for axis, place in enumerate(places.split(", "))
        if place == loop
    }


def _outline(kernel: Kernel) -> tuple[str, tuple[int, ...]]:
    """The text without names and numbers, however its lines are broken; and the numbers."""
    text = ast.unparse(ast.parse("\n".join(kernel.body)))
    names = {name: f"name_{place}" for place, name in enumerate(kernel.arguments)}
    nameless = WORD.sub(
        lambda word: word[0] if word[0] in WORDS else names.setdefault(word[0], f"name_{len(names)}"), text
    )
    return NUMBER.sub("#", nameless), _numbers([text])


def _numbers(rows: Iterable[str]) -> tuple[int, ...]:
    """The whole numbers in a text."""
    return tuple(int(number) for row in rows for number in NUMBER.findall(row))


def _loops(rows: Iterable[str]) -> dict[int, str]:
    """The numbers that are ends of loops, by their places among all, with the loops' variables."""
    found, before = {}, 0
    for row in rows:
        before += len(NUMBER.findall(row))
        if ends := ENDS.fullmatch(row.strip()):
            found[before - 1] = ends[1]
    return found


def _divides(rows: Iterable[str], places: Sequence[int]) -> bool:
    """Whether one of these numbers is a divisor: dividing by what is known only later takes longer."""
    before = [row[: number.start()] for row in rows for number in NUMBER.finditer(row)]
    return any(before[at].endswith(("// ", "% ")) for at in places)


def _with_sizes(rows: Iterable[str], numbers: Mapping[int, str]) -> tuple[str, ...]:
    """The rows with sizes for numbers."""
    places = count()

    def sized(number: re.Match[str]) -> str:
        return numbers.get(next(places), number[0])

    return tuple(NUMBER.sub(sized, row) for row in rows)
