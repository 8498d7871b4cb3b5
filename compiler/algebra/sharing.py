"""Rules of graphs: what is computed twice is computed once, and what nobody needs not at all.

Equal tensors become one (under the user's name where one has it), contributions to the same places become one
equation, a costly function that a tensor already holds is read from it, dead tensors go.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import sympy

from gradc.graph.form import renamed
from gradc.graph.index import ZERO, IndexExpr, index
from gradc.graph.nodes import Equation, Guard, Head, Read, Reducer, Tensor, reads_of, rebuild, substitute
from gradc.graph.prune import needed
from gradc.graph.scalar import row_of

from .engine import GraphRule, Rule, Site, nodes_of
from .folding import is_copy
from .work import Work

# ---------------------------------------------------------------- names


def is_made(name: str) -> bool:
    """Whether the compiler, not the user, named the tensor: parts of an equation, and adjoints."""
    return "." in name or name.startswith("d_")


def rename(work: Work, names: Mapping[str, str]) -> None:
    """Every use of the tensors under other names; their own equations are for the caller to remove."""
    for target, equations in tuple(work.writers.items()):
        changed = [renamed(equation, names) for equation in equations]
        if any(a is not b for a, b in zip(changed, equations, strict=True)):
            work.put(target, changed)
    work.rename_outputs(names)


# ---------------------------------------------------------------- equal tensors


@dataclass(frozen=True, slots=True)
class Shape:
    """What two equations must have in common to write the same: everything but the names of indices."""

    write: tuple[IndexExpr, ...]
    ranges: tuple[tuple[IndexExpr, IndexExpr], ...]
    guards: frozenset[Guard]
    reducer: Reducer
    body: sympy.Expr


def shape_of(equation: Equation) -> Shape:
    """The equation with its indices numbered."""
    values, ranges = _numbered(equation)
    return Shape(
        tuple(place.substitute(values) for place in equation.write),
        ranges,
        frozenset(guard.substitute(values) for guard in equation.guards),
        equation.reducer,
        substitute(equation.body, values),
    )


def _numbered(equation: Equation) -> tuple[dict[str, IndexExpr], tuple[tuple[IndexExpr, IndexExpr], ...]]:
    """Numbers for the indices, those of the write in its order, then the reduced ones; their ranges in this order."""
    order = (*equation.written, *(each.name for each in equation.reduced))
    values = {name: index(f"{place}") for place, name in enumerate(order)}
    ends = {each.name: each for each in equation.indices}
    return values, tuple((ends[name].low.substitute(values), ends[name].high.substitute(values)) for name in order)


def _equal_tensors(work: Work) -> Sequence[str]:
    """Tensors with equal equations become one, in one pass from the leaves up."""
    kept: dict[object, list[tuple[Tensor, Sequence[Equation]]]] = {}
    names: dict[str, str] = {}
    for name in work.order():
        tensor, equations = work.tensors[name], work.writers[name]
        if names:
            equations = tuple(renamed(equation, names) for equation in equations)
        outline = frozenset([work.remembered(_outline, equation) for equation in equations])
        alike = kept.setdefault(outline, [])
        for other, theirs in alike:
            same = (other.kind, other.extents) == (tensor.kind, tensor.extents)
            if same and _equal(equations, theirs, work):
                names[name] = other.name
                break
        else:
            alike.append((tensor, equations))
    if not names:
        return ()
    better = _better_names(names)
    names = {name: better.get(other, other) for name, other in names.items() if name not in better.values()}
    names |= {other: name for other, name in better.items()}
    _merge(work, names, better)
    return tuple(names)


def _outline(equation: Equation) -> object:
    """What equations of one shape have in common, and most others not: so few shapes have to be made."""
    return equation.reducer, len(equation.indices), frozenset(equation.sources())


def _equal(some: Sequence[Equation], others: Sequence[Equation], work: Work) -> bool:
    """Whether equations write the same, in whatever order they stand."""
    a, b = (Counter(work.remembered(shape_of, equation) for equation in equations) for equations in (some, others))
    return a == b


def _better_names(names: Mapping[str, str]) -> dict[str, str]:
    """For a kept tensor with a made name: the first name of its twins that the user gave."""
    better: dict[str, str] = {}
    for name, other in names.items():
        if is_made(other) and not is_made(name):
            better.setdefault(other, name)
    return better


def _merge(work: Work, names: Mapping[str, str], better: Mapping[str, str]) -> None:
    sources = {name: work.writers[other] for other, name in better.items()}
    for name in names:
        work.put(name, ())
    for name, equations in sources.items():
        work.put(name, [replace(equation, target=name) for equation in equations])
    rename(work, names)
    for name in names:
        del work.tensors[name]


def _adopted(work: Work) -> Sequence[str]:
    """A tensor that only the user's name was given to again: what is copied takes the name."""
    done: list[str] = []
    for name in work.order():
        if not is_copy(work.writers.get(name, ())) or is_made(name):
            continue
        equation = work.elementwise(name)
        if equation is None:
            continue
        source = work.tensors.get(equation.body.tensor)
        if source is None or not _is_twin(work, source, work.tensors[name], equation):
            continue
        sources = work.writers[source.name]
        work.remove(source.name)
        work.put(name, [replace(each, target=name) for each in sources])
        rename(work, {source.name: name})
        done.append(name)
    return done


def _is_twin(work: Work, source: Tensor, tensor: Tensor, copy: Equation) -> bool:
    if source.name not in work.writers or not is_made(source.name) or work.is_output(source.name):
        return False
    same = source.extents == tensor.extents and source.kind is tensor.kind
    return bool(same and copy.body.subscripts == copy.write)


# ---------------------------------------------------------------- contributions


def _contributions(work: Work) -> Sequence[str]:
    """Equations that add to the same places, over the same domain, become one."""
    done: list[str] = []
    for name, equations in tuple(work.writers.items()):
        if len(equations) > 1:
            merged = _merged(equations, work)
            if len(merged) < len(equations):
                work.put(name, merged)
                done.append(name)
    return done


def _merged(equations: Sequence[Equation], work: Work) -> list[Equation]:
    groups: dict[object, list[Equation]] = {}
    for place, equation in enumerate(equations):
        groups.setdefault(work.remembered(_domain_of, equation) or place, []).append(equation)
    return [_joined(group) for group in groups.values()]


def _domain_of(equation: Equation) -> object | None:
    """What equations must share to be joined: where they write, each place once, and nothing is reduced."""
    if equation.reducer is not Reducer.SUM or equation.reduced or not _writes_once(equation):
        return None
    values, ranges = _numbered(equation)
    places = tuple(place.substitute(values) for place in equation.write)
    return places, ranges, frozenset(guard.substitute(values) for guard in equation.guards)


def _writes_once(equation: Equation) -> bool:
    """Whether each axis is at one place, or has an index of its own that comes to each but once: `i`, `2*n + 1`."""
    names = [name for place in equation.write for name in place.indices]
    alone = all(len(place.indices) <= 1 and not place.gathers for place in equation.write)
    factors = (place.coefficient(name) for place in equation.write for name in place.indices)
    return alone and len(set(names)) == len(names) and all(factor and factor.constant for factor in factors)


def _joined(group: Sequence[Equation]) -> Equation:
    first, *others = group
    bodies = [first.body]
    for other in others:
        values = {theirs: index(ours) for theirs, ours in zip(other.written, first.written, strict=True)}
        bodies.append(substitute(other.body, values))
    origin = first.origin.after(CONTRIBUTIONS.name) if others else first.origin
    return replace(first, body=sympy.Add(*bodies), origin=origin) if others else first


# ---------------------------------------------------------------- costly functions


def _held_functions(work: Work) -> Sequence[str]:
    """A costly function that some tensor holds at the same place is read from there."""
    held: dict[object, list[tuple[str, Head]]] = {}
    for name in work.order():
        costly = _is_costly(work.writers[name][0].body)
        equation = work.elementwise(name) if costly else None
        if equation is not None:
            for form in _forms(equation.body, Site(work, equation)):
                held.setdefault(_signature(form), []).append((name, form))
    asking = [
        name
        for name, equations in work.writers.items()
        if any(work.remembered(_asks_costly, equation) for equation in equations)
    ]
    return [target for target in asking if _reads_held(work, target, held)] if held else ()


def _is_costly(body: sympy.Expr) -> bool:
    return isinstance(body, Head) and row_of(body).costly


def _asks_costly(equation: Equation) -> bool:
    return _has_costly(equation.body)


@lru_cache(maxsize=8192)
def _has_costly(body: sympy.Expr) -> bool:
    return _is_costly(body) or any(map(_has_costly, body.args))


def _forms(head: Head, site: Site) -> Iterator[Head]:
    """The function as it stands, and with what is behind its argument."""
    yield head
    opened = [site.work.through(part) if isinstance(part, Read) else None for part in head.args]
    parts = [part if inner is None or inner.has(Head) else inner for part, inner in zip(head.args, opened, strict=True)]
    if parts != list(head.args):
        yield head.func(*parts)


def _signature(head: Head) -> object:
    return head.row_name, tuple(read.tensor for read in reads_of(head))


def _reads_held(work: Work, target: str, held: Mapping[object, list[tuple[str, Head]]]) -> bool:
    equations = []
    for equation in work.writers[target]:
        changes: dict[sympy.Expr, sympy.Expr] = {}
        for node, site in nodes_of(equation.body, Site(work, equation)):
            if _is_costly(node) and node not in changes and reads_of(node):
                found = _held(node, site, held)
                if found is not None and found.tensor != target:
                    changes[node] = found
        origin = equation.origin.after(HELD.name) if changes else equation.origin
        new = replace(equation, body=rebuild(equation.body, changes), origin=origin) if changes else equation
        equations.append(new)
    if all(new is old for new, old in zip(equations, work.writers[target], strict=True)):
        return False
    work.put(target, equations)
    return True


def _held(node: Head, site: Site, held: Mapping[object, list[tuple[str, Head]]]) -> Read | None:
    for form in _forms(node, site):
        for name, other in held.get(_signature(form), ()):
            read = _unified(site, name, other, form)
            if read is not None:
                return read
    return None


def _unified(site: Site, name: str, held: Head, node: Head) -> Read | None:
    """The read of the tensor at the place where what it holds is the node."""
    bound: dict[str, IndexExpr] = {}
    for theirs, ours in zip(reads_of(held), reads_of(node), strict=True):
        for a, b in zip(theirs.subscripts, ours.subscripts, strict=True):
            if a.bare is not None:
                bound.setdefault(a.bare, b)
    places = site.work.places(name)
    if places is None or not bound.keys() >= places.keys() or substitute(held, bound) != node:
        return None
    at = {axis: bound[own] + offset for own, (axis, offset) in places.items()}
    read = Read(name, tuple(at.get(axis, ZERO) for axis in range(len(site.work.tensors[name].axes))))
    ranges = site.ranges()
    inside = (
        ranges.nonnegative(place) and ranges.nonnegative(axis.extent - 1 - place)
        for place, axis in zip(read.subscripts, site.work.tensors[name].axes, strict=True)
    )
    return read if all(inside) else None


# ---------------------------------------------------------------- dead code


def _dead(work: Work) -> Sequence[str]:
    alive = needed(work.outputs.values(), work.needs)
    dead = [name for name, tensor in work.tensors.items() if name not in alive and tensor.role is None]
    for name in dead:
        work.remove(name)
    return dead


CONTRIBUTIONS: GraphRule = Rule(
    "contributions", "a[i] += f(i); a[i] += g(i)", "a[i] = f(i) + g(i)", "one pass over a", _contributions
)
EQUAL: GraphRule = Rule("equal tensors", "a[i] = f(i); b[j] = f(j)", "b is a", "computed once", _equal_tensors)
ADOPTED: GraphRule = Rule("name", "h[i] = h.sum[i]", "h.sum is h", "the user's name for what is computed", _adopted)
HELD: GraphRule = Rule(
    "held function", "exp(x[i])*y[i], where e[i] = exp(x[i])", "e[i]*y[i]", "a costly call less", _held_functions
)
DEAD: GraphRule = Rule("dead code", "a[i] = f(i), not read", "", "no output needs it", _dead)

SHARING: tuple[GraphRule, ...] = (CONTRIBUTIONS, ADOPTED, EQUAL, HELD, DEAD)
