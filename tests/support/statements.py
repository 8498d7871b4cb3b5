"""Random statements of a model: each some lines of the language, and how to compute the tensors that they make."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .expressions import (
    TANH,
    Header,
    expression,
    function_of,
    reduction,
    stated,
)
from .terms import (
    ATOM,
    NOT,
    PRODUCT,
    SUM,
    Choices,
    Idx,
    Known,
    Scope,
    Size,
    Term,
    Uses,
    Value,
    binary,
    choice,
    combined,
    index_condition,
    joined,
    number,
    read,
)
from .whole import Whole, axes, axis_names, random_whole
from .world import Array, Points, Stored, World, places

ROOM = 48
"""How many places an equation runs over, reductions and all."""


@dataclass(frozen=True)
class Made:
    """A tensor that a statement makes."""

    known: Known
    compute: Callable[[World], Stored]


@dataclass(frozen=True)
class Statement:
    """Lines, and the tensors they make, in order."""

    lines: tuple[str, ...]
    made: tuple[Made, ...]


def tabulated(name: str, indices: Sequence[Idx], value: Value, uses: Uses, kind: str = "real",
              below: Size | None = None) -> Made:  # fmt: skip
    """A tensor with an axis for each index."""
    sizes = tuple(idx.size for idx in indices)
    known = Known(name, sizes, kind, below, any(t.late for t in uses.tensors.values()))
    shape, names = [size.value for size in sizes], [idx.name for idx in indices]
    return Made(known, lambda world: world.tabulate(shape, value, names))


def left_side(name: str, indices: Sequence[Idx], uses: Uses, choices: Choices) -> str:
    if not indices:
        return name
    return f"{name}[{', '.join(stated(idx, uses, choices) for idx in indices)}]"


def drawn_indices(known: Sequence[Known], choices: Choices, most: int = 3) -> tuple[Idx, ...]:
    """Indices over the extents of some axes."""
    sizes = [size for tensor in known for size in tensor.sizes]
    found: list[Idx] = []
    room = ROOM
    for at in range(choices.pick([1, 2, 2, 3, 0][: most + 2])):
        fitting = [size for size in sizes if size.value <= room]
        if fitting:
            size = choices.pick(fitting)
            found.append(Idx("ijkl"[at], size))
            room //= size.value
    return tuple(found)


def scope_for(known: Sequence[Known], indices: tuple[Idx, ...], choices: Choices) -> Scope:
    count = 1
    for idx in indices:
        count *= idx.size.value
    return Scope(choices, tuple(known), indices, Uses(), max(1, ROOM // count))


# ---------------------------------------------------------------- index notation


def any_equation(name: str, known: Sequence[Known], choices: Choices) -> Statement:
    """`h[i, j] = …` with anything on the right."""
    indices = drawn_indices(known, choices)
    scope = scope_for(known, indices, choices)
    body = expression(scope, choices.pick([1, 2, 3]))
    if choices.chance(40):
        body = TANH(body)
    made = tabulated(name, indices, body.at, scope.uses)
    return Statement((f"{left_side(name, indices, scope.uses, choices)} = {body.text}",), (made,))


def products(name: str, known: Sequence[Known], choices: Choices) -> Statement:
    """A sum of products: matrix products, outer and inner ones, with batches, with factors apart."""
    tensors = [tensor for tensor in known if tensor.rank and tensor.kind == "real"]
    picked = [choices.pick(tensors) for _ in range(choices.pick([2, 1, 2, 2, 3]))]
    pool = _pool(picked, choices)
    out = tuple(idx for idx in pool if choices.chance(50))
    summed = tuple(idx for idx in pool if idx not in out)
    scope = Scope(choices, tuple(known), tuple(pool), Uses(), 1)
    factors = [read(tensor, scope, plain=True) for tensor in picked]
    if choices.chance(30):
        at = choices.integer(0, len(factors) - 1)
        factors[at] = function_of(factors[at], choices, kinks=False)
    if choices.chance(20):
        factors.insert(choices.integer(0, len(factors)), number(choices.pick([0.5, 2])))
    body = joined("*", factors)
    if len(pool) > 1 and choices.chance(20):
        condition = combined(index_condition(scope), index_condition(scope), choices)
        body = choice(condition, body, number(0))
    if summed:
        body = reduction("sum", Header(summed), body, scope)
    body = _finished(body, scope, out)
    made = tabulated(name, out, body.at, scope.uses)
    return Statement((f"{left_side(name, out, scope.uses, choices)} = {body.text}",), (made,))


def _pool(picked: Sequence[Known], choices: Choices) -> list[Idx]:
    """Indices for all axes; axes of one extent may share theirs."""
    pool: list[Idx] = []
    room = ROOM * 2
    for tensor in picked:
        for size in tensor.sizes:
            same = [idx for idx in pool if idx.size.same(size)]
            if size.value > room and not same:
                same = [idx for idx in pool if idx.size.within(size)]
            if (same and choices.chance(65)) or (same and size.value > room) or len(pool) == 6:  # noqa: PLR2004
                continue
            if size.value <= room:
                pool.append(Idx(_index_name(size, pool, choices), size))
                room //= size.value
    return pool


def _index_name(size: Size, pool: Sequence[Idx], choices: Choices) -> str:
    """A letter, or now and then the dim's own name."""
    taken = {idx.name for idx in pool}
    if size.text.isidentifier() and size.text not in taken and choices.chance(20):
        return size.text
    return next(letter for letter in "ijklopq" if letter not in taken)


def _finished(body: Term, scope: Scope, out: Sequence[Idx]) -> Term:
    """Perhaps with a tensor of fewer axes added, perhaps inside a function."""
    outside = Scope(scope.choices, scope.known, tuple(out), scope.uses, 1)
    fitting = [
        tensor
        for tensor in scope.known
        if tensor.kind == "real" and all(any(idx.size.same(size) for idx in out) for size in tensor.sizes)
    ]
    if fitting and scope.choices.chance(40):
        body = binary(body, "+", read(scope.choices.pick(fitting), outside, plain=True))
    return function_of(body, scope.choices) if scope.choices.chance(40) else body


def over_one_index(name: str, known: Sequence[Known], choices: Choices) -> Statement:
    """`h[i, j] = softmax[i](…)`, a definition called over an index."""
    indices = drawn_indices(known, choices)
    if not indices:
        return any_equation(name, known, choices)
    along = choices.pick(indices)
    scope = scope_for(known, indices, choices)
    inner = expression(scope, 1)

    def value(points: Points) -> Array:
        def moved(more: Points) -> Array:
            at = {**more.indices, along.name: more.indices["#along"]}
            return inner.at(Points(more.world, at, more.count, more.real))

        total = points.reduce("logsumexp", {"#along": along.size.value}, moved)
        return points.xp.exp(inner.at(points) - total)

    text = f"softmax[{along.name}]({inner.text})"
    made = tabulated(name, indices, value, scope.uses)
    # the extent of an index of a call is stated where it stands first
    left = ", ".join(f"{idx.name}: {idx.size.text}" for idx in indices)
    return Statement((f"{name}[{left}] = {text}",), (made,))


def places_joined(name: str, known: Sequence[Known], choices: Choices) -> Statement:
    """`h[i, j * 3 + k] = …`: two axes become one, perhaps with zeros between."""
    indices = drawn_indices(known, choices)
    static = [idx for idx in indices if idx.size.static]
    if len(indices) < 2 or not static:  # noqa: PLR2004  (two axes)
        return any_equation(name, known, choices)
    low = choices.pick(static)
    high = choices.pick([idx for idx in indices if idx != low])
    others = [idx for idx in indices if idx not in (low, high)]
    gap = choices.pick([0, 0, 1]) if high.size.static else 0
    width = low.size.value + gap
    count = (high.size.value - 1) * width + low.size.value
    size = Size(str(count) if high.size.static else f"{high.size.text}*{width}", count, high.size.static)
    scope = scope_for(known, indices, choices)
    body = expression(scope, 2)
    first = f"{_inside(high, scope.uses)} * {width}" if width > 1 else _inside(high, scope.uses)
    written = f"{first} + {_inside(low, scope.uses)}"
    left = [*(stated(idx, scope.uses, choices) for idx in others), written]
    known_out = Known(name, (*(idx.size for idx in others), size), late=_late(scope.uses))
    extents = {idx.name: idx.size.value for idx in indices}

    def compute(world: World) -> Stored:
        points = places(world, extents)
        at = [points.indices[idx.name] for idx in others]
        at.append(points.indices[high.name] * width + points.indices[low.name])
        return world.scatter([s.value for s in known_out.sizes], [(points, at, body.at(points))])

    return Statement((f"{name}[{', '.join(left)}] = {body.text}",), (Made(known_out, compute),))


def _inside(idx: Idx, uses: Uses) -> str:
    """An index within arithmetic, its extent stated in brackets where nothing else tells it."""
    return idx.name if uses.tells(idx) else f"({idx.name}: {idx.size.text})"


def _late(uses: Uses) -> bool:
    return any(tensor.late for tensor in uses.tensors.values())


def several_places(name: str, known: Sequence[Known], choices: Choices) -> Statement:
    """Several equations for one tensor: `h[i, 0] = …`, `h[i, 2] = …`; or a first place and all after it."""
    indices = drawn_indices(known, choices, most=2)
    scope = scope_for(known, indices, choices)
    if indices and choices.chance(40):
        return _first_and_rest(name, scope, indices)
    spots = choices.pick([[0, 1], [1, 0], [0, 2], [0, 1, 3]])
    axis = choices.integer(0, len(indices))
    lines, parts = [], []
    uses = Uses()
    for spot in spots:
        own = scope_for(known, indices, choices)
        body = expression(own, 2)
        uses.tensors.update(own.uses.tensors)
        left = [stated(idx, own.uses, choices) for idx in indices]
        left.insert(axis, str(spot))
        lines.append(f"{name}[{', '.join(left)}] = {body.text}")
        parts.append((spot, body))
    sizes = [idx.size for idx in indices]
    sizes.insert(axis, Size(str(max(spots) + 1), max(spots) + 1, True))
    extents = {idx.name: idx.size.value for idx in indices}

    def compute(world: World) -> Stored:
        found = []
        for spot, body in parts:
            points = places(world, extents)
            at = [points.indices[idx.name] for idx in indices]
            at.insert(axis, spot)
            found.append((points, at, body.at(points)))
        return world.scatter([size.value for size in sizes], found)

    return Statement(tuple(lines), (Made(Known(name, tuple(sizes), late=_late(uses)), compute),))


def _first_and_rest(name: str, scope: Scope, indices: tuple[Idx, ...]) -> Statement:
    """`h[0, j] = …` and `h[i + 1, j] = …`."""
    moving, *others = indices
    choices = scope.choices
    first_scope = Scope(choices, scope.known, tuple(others), Uses(), scope.room)
    first, rest = expression(first_scope, 1), expression(scope, 2)
    size = moving.size
    longer = Size(str(size.value + 1) if size.static else f"{size.text} + 1", size.value + 1, size.static)
    left = ["0", *(stated(idx, first_scope.uses, choices) for idx in others)]
    right = [f"{_inside(moving, scope.uses)} + 1", *(stated(idx, scope.uses, choices) for idx in others)]
    lines = (f"{name}[{', '.join(left)}] = {first.text}", f"{name}[{', '.join(right)}] = {rest.text}")
    known = Known(name, (longer, *(i.size for i in others)), late=_late(first_scope.uses) or _late(scope.uses))

    def compute(world: World) -> Stored:
        start = places(world, {idx.name: idx.size.value for idx in others})
        after = places(world, {idx.name: idx.size.value for idx in indices})
        return world.scatter(
            [s.value for s in known.sizes],
            [
                (start, [0, *(start.indices[idx.name] for idx in others)], first.at(start)),
                (after, [after.indices[moving.name] + 1, *(after.indices[i.name] for i in others)], rest.at(after)),
            ],
        )

    return Statement(lines, (Made(known, compute),))


def scattered(name: str, known: Sequence[Known], choices: Choices) -> Statement:
    """`h[p: 4, j] = sum[i](if ids[i] == p then x[i, j] else 0)`, or `i + k == p`."""
    numbers = [t for t in known if t.kind == "whole" and t.rank and t.below is not None]
    fitting = [t for t in known if t.rank and t.kind == "real"]
    source = choices.pick(fitting)
    indices = tuple(Idx("ijkl"[at], size) for at, size in enumerate(source.sizes))
    with_place = [t for t in numbers if all(any(i.size.same(s) for i in indices) for s in t.sizes)]
    if with_place and choices.chance(70):
        tensor = choices.pick(with_place)
        place = Idx("p", tensor.below)
        scope = scope_for(known, (*indices, place), choices)
        target = read(tensor, scope, plain=True)
        condition = Term(f"{target.text} == p", NOT, lambda points: target.at(points) == points.indices["p"])
    else:
        static = [idx for idx in indices if idx.size.static]
        if not static:
            return any_equation(name, known, choices)
        moved = choices.pick(static)
        count = moved.size.value * 2
        place = Idx("p", Size(str(count), count, True))
        scope = scope_for(known, (*indices, place), choices)
        form, shift = choices.pick([(1, 0), (1, 1), (2, 0), (2, 1)])
        text = f"{'2*' if form > 1 else ''}{moved.name} + {shift} == p" if shift else f"{form}*{moved.name} == p"
        condition = Term(text, NOT, lambda points: points.indices[moved.name] * form + shift == points.indices["p"])
    kept = tuple(idx for idx in indices if choices.chance(50))
    summed = tuple(idx for idx in indices if idx not in kept)
    body = choice(condition, binary(read(source, scope, plain=True), "*", number(2)), number(0))
    if summed:
        body = reduction("sum", Header(summed), body, scope)
    out = (place, *kept)
    made = tabulated(name, out, body.at, scope.uses)
    left = ", ".join([f"p: {place.size.text}", *(stated(idx, scope.uses, choices) for idx in kept)])
    return Statement((f"{name}[{left}] = {body.text}",), (made,))


def whole_numbers(name: str, known: Sequence[Known], choices: Choices) -> Statement:
    """A whole-number tensor: the place of a maximum, or arithmetic on another."""
    numbers = [t for t in known if t.kind == "whole" and t.below is not None and t.below.static and t.rank]
    if numbers and choices.chance(50):
        tensor = choices.pick(numbers)
        indices = tuple(Idx("ijkl"[at], size) for at, size in enumerate(tensor.sizes))
        scope = scope_for(known, indices, choices)
        base = read(tensor, scope, plain=True)
        factor, shift = choices.pick([1, 2]), choices.pick([1, 0, 2])
        bound = choices.pick([2, 3])
        body = Term(f"({factor}*{base.text} + {shift}) % {bound}", PRODUCT,
                    lambda points: (base.at(points) * factor + shift) % bound)  # fmt: skip
        below = Size(str(bound), bound, True)
    else:
        fitting = [t for t in known if t.rank and t.kind == "real"]
        source = choices.pick(fitting)
        indices = tuple(Idx("ijkl"[at], size) for at, size in enumerate(source.sizes))
        scope = scope_for(known, indices, choices)
        along = choices.pick(indices)
        inner = read(source, scope, plain=True)
        indices = tuple(idx for idx in indices if idx != along)
        body = reduction(choices.pick(["argmax", "argmin"]), Header((along,)), inner, scope)
        below = along.size
    made = tabulated(name, indices, body.at, scope.uses, "whole", below)
    return Statement((f"{left_side(name, indices, scope.uses, choices)} = {body.text}",), (made,))


def any_axes(name: str, known: Sequence[Known], choices: Choices) -> Statement:
    """`...` for any number of axes: as they are, beside one that is reduced, or reduced themselves."""
    tensor = choices.pick([t for t in known if t.rank and t.kind == "real"])
    *before, last = (Idx(f"#{at}", size) for at, size in enumerate(tensor.sizes))
    indices = (*before, last)

    def at(points: Points) -> Array:
        return points.read(tensor.name, [points.indices[idx.name] for idx in indices])

    uses = Uses({tensor.name: tensor})
    match choices.integer(0, 2):
        case 0:
            body = function_of(Term(f"{tensor.name}[...]", ATOM, at), choices)
            return Statement((f"{name}[...] = {body.text}",), (tabulated(name, indices, body.at, uses),))
        case 1:
            body = function_of(Term(f"{tensor.name}[..., k]", ATOM, at), choices)
            made = tabulated(name, before, _reduced_over("sum", [last], body), uses)
            return Statement((f"{name}[...] = sum[k]({body.text})",), (made,))
    body = function_of(Term(f"{tensor.name}[..., k]", ATOM, at), choices)
    if not before:
        return whole_equation(name, known, choices)
    made = tabulated(name, [last], _reduced_over("mean", before, body), uses)
    return Statement((f"{name}[k] = mean[...]({body.text})",), (made,))


def _reduced_over(reducer: str, indices: Sequence[Idx], body: Term) -> Value:
    extents = {idx.name: idx.size.value for idx in indices}
    return lambda points: points.reduce(reducer, extents, body.at)


# ---------------------------------------------------------------- whole tensors


def whole_equation(name: str, known: Sequence[Known], choices: Choices) -> Statement:
    """`h = softmax(x @ w)`."""
    return of_whole(name, random_whole(known, choices, choices.pick([1, 2, 3])))


def of_whole(name: str, found: Whole) -> Statement:
    known = Known(name, found.sizes, late=found.late)
    names, shape = axis_names(len(found.sizes)), [size.value for size in found.sizes]
    made = Made(known, lambda world: world.tabulate(shape, found.term.at, names))
    return Statement((f"{name} = {found.term.text}",), (made,))


def simplest(name: str, known: Sequence[Known], choices: Choices) -> Statement:
    """What is taken where something else came near a kink or became too large."""
    real = [tensor for tensor in known if tensor.kind == "real"]
    tensor = choices.pick(real)

    def at(points: Points) -> Array:
        return points.read(tensor.name, axes(points, tensor.rank))

    return of_whole(name, Whole(TANH(Term(tensor.name, ATOM, at)), tensor.sizes, tensor.late))


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
)
assert SUM < PRODUCT
