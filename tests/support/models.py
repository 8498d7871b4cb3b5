"""Random small models: text of the language, values of its leaves, and the same function for JAX.

    model = draw(models())
    model.text, model.dims, model.values        what a compiler is given
    model.evaluated(jax.numpy, values)          the loss, the metrics and the predictions, by plain formulas

Models are legal, and away from kinks: where a statement came near to one, or its values grew large, a plain one stands
in its place. `repr` of a model is a script that makes it again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st

from .bases import Statement
from .definitions import Library, call_statement, library, sum_of_squares
from .expressions import with_cosines
from .recurrences import recurrence
from .statements import (
    any_axes,
    any_equation,
    gradient,
    over_one_index,
    products,
    simplest,
    whole_equation,
    whole_numbers,
)
from .terms import Choices, Idx, Known, Size, Term, binary, number, power
from .whole import Whole, axis_names, leaf, random_whole, reduced
from .world import Array, Points, Step, World
from .writes import places_joined, scattered, several_places

LARGEST = 30.0
NEAREST = 1e-5
HIGHEST_RANK = 4
BYTES = 1200
"""How many bytes decide on a model; when they are used up, the simplest follows."""
KINDS: tuple[tuple[int, Callable[[str, Sequence[Known], Choices], Statement]], ...] = (
    (5, products),
    (5, any_equation),
    (4, whole_equation),
    (1, over_one_index),
    (1, places_joined),
    (2, several_places),
    (2, scattered),
    (1, whole_numbers),
    (1, any_axes),
    (1, gradient),
    (3, recurrence),
)
"""What statements are drawn from, by weight; calls of definitions come beside them."""


@dataclass(frozen=True)
class RandomModel:
    """A model with everything that one call needs."""

    text: str
    seed: int
    dims: Mapping[str, int]
    inputs: Mapping[str, Array]
    targets: Mapping[str, Array]
    params: Mapping[str, Array]
    states: Mapping[str, Array]
    steps: tuple[Step, ...]
    outputs: Mapping[str, str]
    """`loss`, `metric m`, `predict p` and `next s`, each with the name of the tensor that holds it."""

    @property
    def values(self) -> dict[str, Array]:
        return {**self.inputs, **self.targets, **self.params, **self.states}

    def evaluated(self, xp: Any, values: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs by their names."""
        world = World(xp, self.dims, steps=self.steps)
        for name, value in values.items():
            world.store(name, value)
        for step in self.steps:
            world.run(step)
        return {label: world.tensors[name].array for label, name in self.outputs.items()}

    def __repr__(self) -> str:
        leaves = {"inputs": self.inputs, "targets": self.targets, "params": self.params, "states": self.states}
        rows = ["", "TEXT = '''\\", self.text.rstrip(), "'''", f"DIMS = {dict(self.dims)}"]
        for role, arrays in leaves.items():
            rows.append(f"{role.upper()} = {{")
            rows += [f"    {name!r}: np.array({value.tolist()})," for name, value in arrays.items()]
            rows.append("}")
        return "\n".join(rows)


@dataclass
class Builder:
    """Collects one model."""

    choices: Choices
    seed: int
    dims: dict[str, Size] = field(default_factory=dict)
    known: list[Known] = field(default_factory=list)
    head: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    roles: dict[str, str] = field(default_factory=dict)
    values: dict[str, Array] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.world = World(np, {}, steps=self.steps)
        self.library = Library(())

    # ------------------------------------------------------------ leaves

    def draw_dims(self) -> None:
        choices = self.choices
        for name in ("batch", "time")[: choices.pick([1, 2])]:
            self.dims[name] = Size(name, choices.pick([2, 3, 1, 4]), False)
        for name in ("n", "m", "c")[: choices.pick([2, 3])]:
            self.dims[name] = Size(name, choices.pick([3, 2, 4, 1, 5]), True)
        shown = [f"{s.text} = {s.value}" if s.static else s.text for s in self.dims.values()]
        self.head.append(f"dim {', '.join(shown)}")

    def draw_leaves(self) -> None:
        choices = self.choices
        free = [size for size in self.dims.values() if not size.static]
        self.leaf("x1", "input", (free[0], self.drawn_size(True)))
        if len(free) > 1:
            sizes = choices.pick([(free[0], free[1]), (free[1], free[0], self.drawn_size(True))])
            self.leaf("x2", "input", sizes)
        for at in range(choices.pick([0, 1])):
            self.leaf(f"x{3 + at}", "input", self.drawn_sizes(False, least=0))
        if choices.chance(50):
            self.leaf("ids", "input", (choices.pick([free[0], self.drawn_size(False)]),), "whole")
        if choices.chance(20):
            self.leaf("flags", "input", (free[0],), "bool")
        if choices.chance(60):
            self.leaf("y1", "target", choices.pick([(free[0],), self.drawn_sizes(False)]))
        if choices.chance(30):
            self.leaf("labels", "target", (free[0],), "whole")
        for at in range(choices.pick([1, 2, 3])):
            self.leaf(f"w{1 + at}", "param", self.drawn_sizes(True, least=0))

    def drawn_size(self, static: bool) -> Size:
        return self.choices.pick([size for size in self.dims.values() if size.static or not static])

    def drawn_sizes(self, static: bool, least: int = 1) -> tuple[Size, ...]:
        rank = self.choices.pick([max(least, 2), 1, 3, least])
        sizes = tuple(self.drawn_size(static) for _ in range(rank))
        return sizes if np.prod([size.value for size in sizes]) <= 36 else sizes[:2]

    def leaf(self, name: str, role: str, sizes: tuple[Size, ...], kind: str = "real") -> None:
        below = self.drawn_size(True) if kind == "whole" else None
        if kind == "whole" and self.choices.chance(30):
            below = Size("2", 2, True)
        shape = [size.value for size in sizes]
        if kind == "real":
            value: Array = self.rng.normal(size=shape)
        else:
            value = self.rng.integers(0, below.value if below else 2, shape)
        self.values[name] = value.astype(bool) if kind == "bool" else np.asarray(value)
        suffix = {"whole": f" : int({below.text if below else ''})", "bool": " : bool", "real": ""}[kind]
        axes = f"[{', '.join(size.text for size in sizes)}]" if sizes else ""
        law = " ~ normal()" if role in ("param", "state") else ""
        self.head.append(f"{role} {name}{axes}{suffix}{law}")
        self.enter(Known(name, sizes, kind, below, role == "target"), role)

    def enter(self, known: Known, role: str) -> None:
        self.roles[known.name] = role
        self.known.append(known)
        self.world.store(known.name, self.values[known.name])

    def parameter(self, name: str, sizes: tuple[Size, ...]) -> Known:
        """A parameter that a definition makes: nothing but it reads it."""
        self.values[name] = self.rng.normal(size=[size.value for size in sizes]) * 0.7
        self.roles[name] = "param"
        self.world.store(name, self.values[name])
        return Known(name, sizes)

    # ------------------------------------------------------------ statements

    def add_statement(self, name: str) -> None:
        """One more; a plain one where the first came near to a kink or grew large."""
        choices = self.choices
        parameters = set(self.values)
        if choices.chance(20):
            made = call_statement(name, self.known, choices, self.library, self.parameter)
            if made is not None and self.accept(made):
                return
        else:
            make = choices.weighted(KINDS)
            if self.accept(make(name, self.known, choices)):
                return
        for extra in set(self.values) - parameters:
            del self.values[extra], self.roles[extra], self.world.tensors[extra]
        self.accept(simplest(name, self.known, choices))

    def accept(self, statement: Statement) -> bool:
        """Computes it; keeps it if that went well."""
        self.world.gap = float("inf")
        tensors = [tensor for made in statement.made for tensor in made.known]
        if any(tensor.rank > HIGHEST_RANK for tensor in tensors):
            return False
        steps = [made.step for made in statement.made]
        with np.errstate(all="ignore"):
            for step in steps:
                self.world.run(step)
                if not all(map(self.tame, step.names)):
                    return False
        self.lines += statement.lines
        self.steps += steps
        self.known += [tensor for tensor in tensors if " " not in tensor.name]
        return True

    def tame(self, name: str) -> bool:
        flat = self.world.tensors[name].flat
        bound = np.max(np.abs(flat), initial=0)
        return bool(bound < LARGEST and self.world.gap > NEAREST and flat.dtype.kind in "fi")

    # ------------------------------------------------------------ outputs

    def define(self, name: str, term: Term) -> None:
        """A scalar tensor that is handed out."""
        self.steps.append(Step((name,), lambda world: (world.tabulate((), term.at, ()),)))

    def draw_loss(self) -> None:
        """Weighted sums of what nothing else reads, and of some more."""
        choices = self.choices
        made = [t for t in self.known if t.name not in self.roles and t.kind == "real"]
        used = " ".join(self.lines)
        ends = [t for t in made if used.count(t.name) == 1]
        picked = list({t.name: t for t in [made[-1], *ends[:3], choices.pick(made)]}.values())
        terms = [self.part_of_loss(tensor) for tensor in picked]
        parameters = [Known(name, self.sizes_of(name)) for name, role in self.roles.items() if role == "param"]
        if choices.chance(30):
            terms.append(binary(number(0.1), "*", sum_of_squares(choices.pick(parameters))))
        loss = terms[0]
        for term in terms[1:]:
            loss = binary(loss, "+", term)
        self.lines.append(f"loss {loss.text}")
        self.define("loss", loss)
        self.outputs["loss"] = "loss"

    def sizes_of(self, name: str) -> tuple[Size, ...]:
        return tuple(Size(str(extent), extent, True) for extent in self.values[name].shape)

    def part_of_loss(self, tensor: Known) -> Term:
        x = leaf(tensor)
        match self.choices.integer(0, 3):
            case 0 if tensor.rank:
                indices = tuple(Idx("ijkl"[at], size) for at, size in enumerate(tensor.sizes))
                names = axis_names(tensor.rank)
                places = ", ".join(idx.name for idx in indices)

                def at(points: Points) -> Array:
                    return points.read(tensor.name, [points.indices[idx.name] for idx in indices])

                body = with_cosines(Term(f"{tensor.name}[{places}]", 9, at), indices)
                extents = {idx.name: idx.size.value for idx in indices}
                del names
                return Term(f"sum[{places}]({body.text})", 9, lambda points: points.reduce("sum", extents, body.at))
            case 1:
                return reduced(x.like(power(x.term, 2)), "mean").term if tensor.rank else power(x.term, 2)
            case 2:
                moved = binary(x.term, "-", number(0.3))
                return reduced(x.like(power(moved, 2)), "sum").term if tensor.rank else moved
        return reduced(x, "sum").term if tensor.rank else x.term

    def draw_outputs(self) -> None:
        choices = self.choices
        early = [t for t in self.known if not t.late and t.kind == "real"]
        made = [t for t in early if t.name not in self.roles] or early
        for at in range(choices.pick([1, 2, 0])):
            found = random_whole([choices.pick(made)], choices, choices.pick([0, 1]))
            if not self.good(found):
                found = leaf(choices.pick(made))
            name = f"p{at + 1}"
            self.lines.append(f"predict {name} = {found.term.text}")
            self.hand_out(f"predict {name}", found)
        if choices.chance(30):
            tensor = choices.pick([t for t in self.known if t.kind == "real"])
            found = reduced(leaf(tensor), "mean") if tensor.rank else leaf(tensor)
            self.lines.append(f"metric score = {found.term.text}")
            self.hand_out("metric score", found)

    def draw_states(self) -> None:
        """Perhaps a state that follows a tensor of fixed size, or a mean."""
        choices = self.choices
        if not choices.chance(40):
            return
        followed = choices.pick([tensor for tensor in self.known if tensor.kind == "real"])
        found = leaf(followed)
        if followed.rank and not all(size.static for size in followed.sizes):
            found = reduced(found, "mean")
        self.leaf("s1", "state", found.sizes)
        self.world.store("s1", self.values["s1"])
        old = leaf(Known("s1", found.sizes))
        moved = old.like(binary(binary(number(0.75), "*", old.term), "+", found.term))
        self.lines.append(f"update s1 = {moved.term.text}")
        self.hand_out("next s1", moved)

    def good(self, found: Whole) -> bool:
        self.world.gap = float("inf")
        shape, names = [size.value for size in found.sizes], axis_names(len(found.sizes))
        with np.errstate(all="ignore"):
            value = self.world.tabulate(shape, found.term.at, names)
        return bool(np.isfinite(value.flat).all()) and self.world.gap > NEAREST

    def hand_out(self, label: str, found: Whole) -> None:
        shape, names = [size.value for size in found.sizes], axis_names(len(found.sizes))
        self.steps.append(Step((label,), lambda world: (world.tabulate(shape, found.term.at, names),)))
        self.outputs[label] = label

    def model(self) -> RandomModel:
        free = {name: size.value for name, size in self.dims.items() if not size.static}
        leaves: dict[str, dict[str, Array]] = {"input": {}, "target": {}, "param": {}, "state": {}}
        for name, role in self.roles.items():
            leaves[role][name] = self.values[name]
        calls = any("layer" in line or "normed" in line or "moments" in line for line in self.lines)
        definitions = self.library.lines if calls else ()
        text = "\n".join([*self.head, "", *definitions, *self.lines, ""])
        return RandomModel(text, self.seed, free, *leaves.values(), tuple(self.steps), self.outputs)


def made_from(entropy: bytes, most: int = 5) -> RandomModel:
    """The model that a string of bytes stands for; zeros for the simplest."""
    choices = Choices(iter(entropy))
    builder = Builder(choices, choices.integer(0, 2**16 - 1))
    builder.draw_dims()
    builder.draw_leaves()
    builder.library = library(choices)
    for at in range(choices.integer(1, most)):
        builder.add_statement(f"h{at + 1}")
    builder.accept(simplest("h0", builder.known, choices))
    builder.draw_loss()
    builder.draw_outputs()
    builder.draw_states()
    return builder.model()


def models() -> st.SearchStrategy[RandomModel]:
    """Models, from one string of bytes each: nothing in it repeats, and it shrinks."""
    return st.binary(min_size=BYTES, max_size=BYTES).map(made_from)
