"""Random statements of a model: each some lines of the language, and how to compute the tensors that they make."""

from collections.abc import Sequence

from .bases import ROOM, Statement, drawn_indices, left_side, one, scope_for, tabulated
from .expressions import Header, expression, reduction
from .functions import TANH, function_of
from .reads import combined, index_condition, read
from .terms import ATOM, PRODUCT, Choices, Idx, Known, Scope, Size, Term, Uses, Value, binary, choice, joined, number
from .whole import Whole, axes, axis_names, random_whole
from .world import Array, Points

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
            if (same and choices.chance(65)) or (same and size.value > room) or len(pool) == 6:
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
    made = one(known, lambda world: world.tabulate(shape, found.term.at, names))
    return Statement((f"{name} = {found.term.text}",), (made,))


def gradient(name: str, known: Sequence[Known], choices: Choices) -> Statement:
    """`h = grad(y, x)` of the sum of one tensor, a late one rather, by another."""
    real = [tensor for tensor in known if tensor.kind == "real"]
    y, x = choices.pick([*real[-3:], *real]), choices.pick(real)
    made = Known(name, x.sizes, late=x.late or y.late)
    found = one(made, lambda world: world.gradient(y.name, x.name))
    return Statement((f"{name} = grad({y.name}, {x.name})",), (found,))


def simplest(name: str, known: Sequence[Known], choices: Choices) -> Statement:
    """What is taken where something else came near a kink or became too large."""
    real = [tensor for tensor in known if tensor.kind == "real"]
    tensor = choices.pick(real)

    def at(points: Points) -> Array:
        return points.read(tensor.name, axes(points, tensor.rank))

    return of_whole(name, Whole(TANH(Term(tensor.name, ATOM, at)), tensor.sizes, tensor.late))
