"""Random whole-tensor expressions: each a term over hidden indices, one for each axis, and its extents."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .functions import SIN, TANH, call_of_two, function_of
from .reads import data_condition
from .terms import ATOM, OR, PRODUCT, Choices, Known, Size, Term, Value, binary, choice, number
from .world import Array, Points


@dataclass(frozen=True)
class Whole:
    """A tensor-valued expression. Its term is evaluated where the axes' hidden indices stand."""

    term: Term
    sizes: tuple[Size, ...]
    late: bool = False

    def like(self, term: Term) -> "Whole":
        return Whole(term, self.sizes, self.late)

    def at(self, points: Points, subscripts: Sequence[Array]) -> Array:
        """Its value where the axes stand at the subscripts."""
        indices = {**points.indices, **dict(zip(axis_names(len(subscripts)), subscripts, strict=True))}
        return self.term.at(Points(points.world, indices, points.count, points.real))


def axis_names(rank: int) -> list[str]:
    return [f"#{at}" for at in range(rank)]


def axes(points: Points, rank: int) -> list[Array]:
    """Where each axis stands."""
    return [points.indices[name] for name in axis_names(rank)]


def leaf(tensor: Known) -> Whole:
    def at(points: Points) -> Array:
        return points.read(tensor.name, axes(points, tensor.rank))

    return Whole(Term(tensor.name, ATOM, at), tensor.sizes, tensor.late)


def random_whole(known: Sequence[Known], choices: Choices, depth: int) -> Whole:
    """An expression of whole tensors."""
    real = [tensor for tensor in known if tensor.kind == "real"]
    found = leaf(choices.pick(real))
    for _ in range(depth):
        steps: list[Callable[[Whole, list[Known], Choices], Whole]] = [_mapped, _with_equal]
        if found.sizes:
            steps += [_softmax, _reduced_last, _product, _reduced]
        if len(found.sizes) == 2:
            steps.append(_transposed)
        if found.sizes and all(size.static or " " not in size.text for size in found.sizes):
            steps += [_concatenated, _reshaped]
        found = choices.pick(steps)(found, real, choices)
    return found


def _mapped(x: Whole, known: list[Known], choices: Choices) -> Whole:
    if choices.chance(15):
        made = SIN(TANH(x.term))
        return x.like(Term(f"({x.term.inside(OR)} |> tanh |> sin)", ATOM, made.at))
    return x.like(function_of(x.term, choices))


def _with_equal(x: Whole, known: list[Known], choices: Choices) -> Whole:
    """Together with a tensor of the same shape, or a number."""
    equal = [t for t in known if t.rank == len(x.sizes) and all(map(Size.same, t.sizes, x.sizes))]
    if not equal or choices.chance(25):
        return x.like(binary(x.term, choices.pick("+-*/"), number(choices.pick([2, 0.5, 3]))))
    other = leaf(choices.pick(equal))
    late = x.late or other.late
    match choices.integer(0, 4):
        case 0:
            return Whole(binary(x.term, "+", other.term), x.sizes, late)
        case 1:
            return Whole(binary(x.term, "*", other.term), x.sizes, late)
        case 2:
            return Whole(binary(other.term, "-", x.term), x.sizes, late)
        case 3:
            moved = binary(other.term, "+", number(0.1))
            return Whole(call_of_two(x.term, moved, choices), x.sizes, late)
    condition = data_condition(x.term, binary(other.term, "+", number(0.1)), choices)
    return Whole(choice(condition, x.term, number(0.5)), x.sizes, late)


def _softmax(x: Whole, known: list[Known], choices: Choices) -> Whole:
    log = choices.chance(40)
    return x.like(softmax(x, log))


def softmax(x: Whole, log: bool = False) -> Term:
    rank = len(x.sizes)

    def at(points: Points) -> Array:
        return x.term.at(points) - last_reduced(points, "logsumexp", x, axes(points, rank)[:-1])

    if log:
        return Term(f"log_softmax({x.term.text})", ATOM, at)
    return Term(f"softmax({x.term.text})", ATOM, lambda points: points.xp.exp(at(points)))


def last_reduced(points: Points, reducer: str, x: Whole, before: Sequence[Array]) -> Array:
    """A reduction over the last axis, where the axes before it stand as given."""
    count = len(before)
    outer = Points(points.world, {f"before {at}": v for at, v in enumerate(before)}, points.count, points.real)

    def body(inner: Points) -> Array:
        return x.at(inner, [*(inner.indices[f"before {at}"] for at in range(count)), inner.indices["last"]])

    return outer.reduce(reducer, {"last": x.sizes[-1].value}, body)


def _reduced_last(x: Whole, known: list[Known], choices: Choices) -> Whole:
    rank = len(x.sizes)
    text = f"logsumexp({x.term.text})"
    return Whole(
        Term(text, ATOM, lambda points: last_reduced(points, "logsumexp", x, axes(points, rank - 1))),
        x.sizes[:-1], x.late,
    )  # fmt: skip


def _reduced(x: Whole, known: list[Known], choices: Choices) -> Whole:
    """To a scalar."""
    return reduced(x, choices.pick(["sum", "mean", "max", "min", "prod"]))


def reduced(x: Whole, reducer: str) -> Whole:
    extents = {name: size.value for name, size in zip(axis_names(len(x.sizes)), x.sizes, strict=True)}

    def at(points: Points) -> Array:
        outer = Points(points.world, {}, points.count, points.real)
        return outer.reduce(reducer, extents, x.term.at)

    return Whole(Term(f"{reducer}({x.term.text})", ATOM, at), (), x.late)


def _product(x: Whole, known: list[Known], choices: Choices) -> Whole:
    """`x @ w`."""
    rank = len(x.sizes)
    fitting = [t for t in known if t.rank == 2 and t.sizes[0].same(x.sizes[-1])]
    if not fitting or rank < 2:
        return _mapped(x, known, choices)
    w = leaf(choices.pick(fitting))
    at = product(x, w)
    text = f"{x.term.inside(PRODUCT)} @ {w.term.text}"
    return Whole(Term(text, PRODUCT, at), (*x.sizes[:-1], w.sizes[1]), x.late or w.late)


def product(x: Whole, w: Whole) -> Value:
    """Over the last axis of x and the first of a matrix w."""
    rank = len(x.sizes)

    def at(points: Points) -> Array:
        def body(inner: Points) -> Array:
            *before, column = axes(inner, rank)
            return x.at(inner, [*before, inner.indices["k"]]) * w.at(inner, [inner.indices["k"], column])

        indices = {name: points.indices[name] for name in axis_names(rank)}
        outer = Points(points.world, indices, points.count, points.real)
        return outer.reduce("sum", {"k": x.sizes[-1].value}, body)

    return at


def _transposed(x: Whole, known: list[Known], choices: Choices) -> Whole:
    def at(points: Points) -> Array:
        row, column = axes(points, 2)
        return x.at(points, [column, row])

    return Whole(Term(f"transpose({x.term.text})", ATOM, at), (x.sizes[1], x.sizes[0]), x.late)


def _concatenated(x: Whole, known: list[Known], choices: Choices) -> Whole:
    """With another tensor, along a static axis."""
    rank = len(x.sizes)
    fitting = [
        (leaf(t), axis)
        for t in known
        if t.rank == rank
        for axis in range(rank)
        if x.sizes[axis].static and t.sizes[axis].static
        if all(a.same(b) for at, (a, b) in enumerate(zip(t.sizes, x.sizes, strict=True)) if at != axis)
    ]
    if not fitting:
        return _mapped(x, known, choices)
    other, axis = choices.pick(fitting)
    cut = x.sizes[axis].value

    def at(points: Points) -> Array:
        places = axes(points, rank)
        moved = [*places]
        moved[axis] = places[axis] - cut
        return points.xp.where(places[axis] < cut, clipped(x, points, places), clipped(other, points, moved))

    count = cut + other.sizes[axis].value
    sizes = list(x.sizes)
    sizes[axis] = Size(str(count), count, True)
    text = f"concat({x.term.text}, {other.term.text}, axis = {axis})"
    return Whole(Term(text, ATOM, at), tuple(sizes), x.late or other.late)


def clipped(x: Whole, points: Points, places: Sequence[Array]) -> Array:
    """Its value at a place, or at the nearest one that it has."""
    inside = [points.xp.clip(place, 0, size.value - 1) for place, size in zip(places, x.sizes, strict=True)]
    return x.at(points, inside)


def _reshaped(x: Whole, known: list[Known], choices: Choices) -> Whole:
    """The last two axes as one, or the last cut in two."""
    rank = len(x.sizes)
    if rank > 1 and x.sizes[-1].static:
        a, b = x.sizes[-2:]
        merged = Size(str(a.value * b.value) if a.static else f"{a.text}*{b.value}", a.value * b.value, a.static)
        sizes = (*x.sizes[:-2], merged)

        def joined(points: Points) -> Array:
            *before, last = axes(points, rank - 1)
            return x.at(points, [*before, last // b.value, last % b.value])

        return Whole(Term(f"reshape({x.term.text}, {_listed(sizes)})", ATOM, joined), sizes, x.late)
    last = x.sizes[-1]
    width = next((w for w in (2, 3) if last.static and last.value % w == 0), None)
    if width is None:
        return _mapped(x, known, choices)
    sizes = (*x.sizes[:-1], Size(str(last.value // width), last.value // width, True), Size(str(width), width, True))

    def split(points: Points) -> Array:
        *before, outer, inner = axes(points, rank + 1)
        return x.at(points, [*before, outer * width + inner])

    return Whole(Term(f"reshape({x.term.text}, {_listed(sizes)})", ATOM, split), sizes, x.late)


def _listed(sizes: Sequence[Size]) -> str:
    return f"[{', '.join(size.text for size in sizes)}]"
