"""Random definitions, with parameters and without, and statements that call them, once or in loops."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .bases import Made, Statement, one
from .functions import TANH, function_of
from .statements import of_whole
from .terms import ATOM, Choices, Known, Size, Term, binary, power
from .whole import Whole, axes, axis_names, last_reduced, leaf, product, reduced
from .world import Array, Points, Stored, World

AddParameter = Callable[[str, tuple[Size, ...]], Known]


@dataclass(frozen=True)
class Definition:
    """A definition of a layer: its lines, and what a call computes."""

    name: str
    lines: tuple[str, ...]
    function: Callable[[Term], Term]
    bias: bool

    def apply(self, x: Whole, units: Size, weight: Known, bias: Known | None, shown: str | None = None) -> Whole:
        """`layer(x, units)`, or as `shown` says."""
        sizes = (*x.sizes[:-1], units)
        inside = Term(self.name, ATOM, product(x, leaf(weight)))
        if bias is not None:
            inside = binary(inside, "+", _last(bias, len(sizes)))
        outside = self.function(inside)
        text = shown if shown is not None else f"{self.name}({x.term.text}, {units.text})"
        return Whole(Term(text, ATOM, outside.at), sizes, x.late)


def _last(bias: Known, rank: int) -> Term:
    return Term(bias.name, ATOM, lambda points: points.read(bias.name, [axes(points, rank)[-1]]))


def layer(name: str, choices: Choices) -> Definition:
    """`function(x · weight + bias)`, written in one of several ways."""
    drawn: list[str] = []

    def function(term: Term) -> Term:
        return function_of(term, ReplayedChoices(choices, drawn))

    has_bias = choices.chance(70)
    shown = function(Term("z", ATOM, lambda points: 0.0)).text
    body = "sum[i](x[..., i] * weight[i, o])" + (" + bias[o]" if has_bias else "")
    lines = [f"def {name}(x[..., i], units):", "    param weight[i, units] ~ normal() * 0.5"]
    lines += ["    param bias[units] ~ zeros"] if has_bias else []
    lines += [f"    z[..., o] = {body}", f"    return {shown}"]
    return Definition(name, tuple(lines), function, has_bias)


class ReplayedChoices(Choices):
    """Draws at first, and later what was drawn then: one function in every call."""

    def __init__(self, choices: Choices, drawn: list[int]) -> None:
        super().__init__(choices.entropy)
        object.__setattr__(self, "drawn", drawn)
        object.__setattr__(self, "replay", list(drawn))

    def integer(self, low: int, high: int) -> int:
        if self.replay:
            return self.replay.pop(0)
        value = super().integer(low, high)
        self.drawn.append(value)
        return value


@dataclass(frozen=True)
class Library:
    """The definitions of a model."""

    layers: tuple[Definition, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        return tuple(line for one in self.layers if one.lines for line in (*one.lines, "")) + FIXED


FIXED = (
    "def square_of(x) = x * x",
    "",
    "def normed(x[..., i]):",
    "    return[..., i] = x[..., i] / sqrt(1/2 + mean[j](x[..., j]^2))",
    "",
    "def moments(x[n, c]):",
    "    centre[c] = mean[n](x[n, c])",
    "    spread[c] = mean[n]((x[n, c] - centre[c])^2)",
    "    return centre, spread",
    "",
)


DENSE = Definition("dense", (), lambda term: term, True)
"""The library's own."""


def library(choices: Choices) -> Library:
    return Library((*(layer(f"layer{at}", choices) for at in range(choices.pick([1, 2]))), DENSE))


# ---------------------------------------------------------------- calls


def call_statement(name: str, known: Sequence[Known], choices: Choices, defined: Library,
                   add: AddParameter) -> Statement | None:  # fmt: skip
    """A statement that calls definitions, if a tensor fits one."""
    fitting = [leaf(t) for t in known if t.rank and t.kind == "real" and t.sizes[-1].static]
    if not fitting:
        return None
    x = choices.pick(fitting)
    match choices.integer(0, 5):
        case 0 | 1:
            return _layers(name, x, choices, defined, add)
        case 2:
            return _repeated(name, x, choices, defined, add)
        case 3:
            return _over_widths(name, x, choices, defined, add)
        case 4:
            matrices = [leaf(t) for t in known if t.rank == 2 and t.kind == "real"]
            return _moments(name, choices.pick(matrices)) if matrices else _normed(name, x)
    return _normed(name, x)


def _sized(choices: Choices) -> Size:
    units = choices.pick([2, 3, 1])
    return Size(str(units), units, True)


def _call(one: Definition, x: Whole, units: Size, prefix: str, add: AddParameter, shown: str | None = None) -> Whole:
    weight = add(f"{prefix}.weight", (x.sizes[-1], units))
    bias = add(f"{prefix}.bias", (units,)) if one.bias else None
    return one.apply(x, units, weight, bias, shown)


def _layers(name: str, x: Whole, choices: Choices, defined: Library, add: AddParameter) -> Statement:
    """`h = layer(x, 3)`, perhaps two calls in the equation: then the definition's name comes between."""
    units, one = _sized(choices), choices.pick(defined.layers)
    if choices.chance(50):
        found = _call(one, x, units, name, add)
        return of_whole(name, found.like(TANH(found.term)) if choices.chance(30) else found)
    other = choices.pick(defined.layers)
    first, second = (f"{one.name}_1", f"{one.name}_2") if one is other else (one.name, other.name)
    a = _call(one, x, units, f"{name}.{first}", add)
    b = _call(other, x, units, f"{name}.{second}", add)
    return of_whole(name, a.like(binary(a.term, "*", b.term)))


def _rounds(name: str, lines: Sequence[str], rounds: Sequence[Whole]) -> Statement:
    """Tensors that are made under one name, one after another; the last keeps it."""
    made = []
    for at, found in enumerate(rounds):
        own = name if at == len(rounds) - 1 else f"{name} round {at}"
        made.append(of_whole(own, found).made[0])
    return Statement(tuple(lines), tuple(made))


def _round_leaf(name: str, at: int, found: Whole) -> Whole:
    return leaf(Known(f"{name} round {at}", found.sizes, late=found.late))


def _repeated(name: str, x: Whole, choices: Choices, defined: Library, add: AddParameter) -> Statement:
    """`repeat 2: h = layer(h, 3)`."""
    units, one = _sized(choices), choices.pick(defined.layers)
    first = _call(one, x, units, name, add)
    second = _call(one, _round_leaf(name, 0, first), units, f"{name}_2", add)
    third = _call(one, _round_leaf(name, 1, first), units, f"{name}_3", add)
    lines = [f"{name} = {first.term.text}", "repeat 2:", f"    {name} = {one.name}({name}, {units.text})"]
    return _rounds(name, lines, [first, second, third])


def _over_widths(name: str, x: Whole, choices: Choices, defined: Library, add: AddParameter) -> Statement:
    """`for w in 3, 2: h = layer(h, w) / w`."""
    one, first_units = choices.pick(defined.layers), _sized(choices)
    rounds = [_call(one, x, first_units, name, add)]
    widths = choices.pick([[3, 2], [2, 1], [2, 3]])
    for at, width in enumerate(widths):
        before = _round_leaf(name, at, rounds[-1])
        after = _call(one, before, Size(str(width), width, True), f"{name}_{at + 2}", add)
        rounds.append(after.like(_divided(after.term, width)))
    shown = ", ".join(map(str, widths))
    lines = [
        f"{name} = {rounds[0].term.text}",
        f"for w in {shown}:",
        f"    {name} = {one.name}({name}, w) / w",
    ]
    return _rounds(name, lines, rounds)


def _divided(term: Term, number: int) -> Term:
    return Term(term.text, ATOM, lambda points: term.at(points) / number)


def _normed(name: str, x: Whole) -> Statement:
    """`h = square_of(normed(x))`."""
    rank = len(x.sizes)
    squared = Whole(power(x.term, 2), x.sizes, x.late)

    def at(points: Points) -> Array:
        spread = 0.5 + last_reduced(points, "mean", squared, axes(points, rank)[:-1])
        return (x.term.at(points) / points.xp.sqrt(spread)) ** 2

    return of_whole(name, x.like(Term(f"square_of(normed({x.term.text}))", ATOM, at)))


def _moments(name: str, x: Whole) -> Statement:
    """`a, b = moments(x)`."""
    columns = x.sizes[1]

    def mean(points: Points, body: Callable[[Points], Array]) -> Array:
        return points.reduce("mean", {"n": x.sizes[0].value}, body)

    def first(points: Points) -> Array:
        return mean(points, lambda inner: x.at(inner, [inner.indices["n"], inner.indices["#0"]]))

    def second(points: Points) -> Array:
        def body(inner: Points) -> Array:
            middle = inner.read(f"{name}", [inner.indices["#0"]])
            return (x.at(inner, [inner.indices["n"], inner.indices["#0"]]) - middle) ** 2

        return mean(points, body)

    def made(own: str, value: Callable[[Points], Array]) -> Made:
        def compute(world: World) -> Stored:
            return world.tabulate([columns.value], value, axis_names(1))

        return one(Known(own, (columns,), late=x.late), compute)

    other = f"{name}_v"
    return Statement((f"{name}, {other} = moments({x.term.text})",), (made(name, first), made(other, second)))


def sum_of_squares(tensor: Known) -> Term:
    """`sum(h.weight^2)`."""
    squared = Whole(power(leaf(tensor).term, 2), tensor.sizes)
    return reduced(squared, "sum").term if tensor.rank else squared.term
