"""Random statements that write somewhere else than at bare indices: affine places, several equations, scatters."""

from collections.abc import Sequence

from .bases import Statement, drawn_indices, one, scope_for, tabulated
from .expressions import Header, expression, reduction, stated
from .reads import read
from .statements import any_equation
from .steps import inside, longer
from .terms import NOT, Choices, Idx, Known, Scope, Size, Term, Uses, binary, choice, number
from .world import Stored, World, places


def places_joined(name: str, known: Sequence[Known], choices: Choices) -> Statement:
    """`h[i, j * 3 + k] = …`: two axes become one, perhaps with zeros between."""
    indices = drawn_indices(known, choices)
    static = [idx for idx in indices if idx.size.static and idx.size.value > 1]
    if len(indices) < 2 or not static:
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
    first = f"{inside(high, scope.uses)} * {width}" if width > 1 else inside(high, scope.uses)
    written = f"{first} + {inside(low, scope.uses)}"
    left = [*(stated(idx, scope.uses, choices) for idx in others), written]
    known_out = Known(name, (*(idx.size for idx in others), size), late=_late(scope.uses))
    extents = {idx.name: idx.size.value for idx in indices}

    def compute(world: World) -> Stored:
        points = places(world, extents)
        at = [points.indices[idx.name] for idx in others]
        at.append(points.indices[high.name] * width + points.indices[low.name])
        return world.scatter([s.value for s in known_out.sizes], [(points, at, body.at(points))])

    return Statement((f"{name}[{', '.join(left)}] = {body.text}",), (one(known_out, compute),))


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

    return Statement(tuple(lines), (one(Known(name, tuple(sizes), late=_late(uses)), compute),))


def _first_and_rest(name: str, scope: Scope, indices: tuple[Idx, ...]) -> Statement:
    """`h[0, j] = …` and `h[i + 1, j] = …`."""
    moving, *others = indices
    choices = scope.choices
    first_scope = Scope(choices, scope.known, tuple(others), Uses(), scope.room)
    first, rest = expression(first_scope, 1), expression(scope, 2)
    left = ["0", *(stated(idx, first_scope.uses, choices) for idx in others)]
    right = [f"{inside(moving, scope.uses)} + 1", *(stated(idx, scope.uses, choices) for idx in others)]
    lines = (f"{name}[{', '.join(left)}] = {first.text}", f"{name}[{', '.join(right)}] = {rest.text}")
    known = Known(
        name, (longer(moving.size, 1), *(i.size for i in others)), late=_late(first_scope.uses) or _late(scope.uses)
    )

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

    return Statement(lines, (one(known, compute),))


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
