"""Tensors that depend on themselves: which equations do, and the refusal of those that are no recurrence.

Names bind as recurrences need them: an index equation sees itself and those below it in its block. While one of them is
elaborated, what depends on it in turn can be asked for: its extents are not told by its own recurrence, and its values
wait until it is their turn.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from gradc.errors import Label, Span
from gradc.graph.cycles import components
from gradc.graph.nodes import Equation
from gradc.graph.recurrence import Unordered, arrange

from . import core, syntax
from .lower import lower
from .places import Place
from .refusal import Refused
from .scopes import Entry, Group, Part, Thunk
from .tensors import dependencies
from .unparse import unparse
from .walk import names_in, nodes
from .world import World

STEPS_BY_REPEAT = "a gradient needs all of what it is of: unfold the steps with `repeat`, a new tensor at each"

# ---------------------------------------------------------------- what depends on what


def depends(entry: Entry | None, on: Collection[Entry]) -> bool:
    """Whether what a name means is made of one of these, read off the equations as they are written."""
    return entry is not None and (_is_one(entry, on) or bool(way_to(entry, on)))


def in_one_cycle(world: World, entry: Entry | None, others: Collection[Entry]) -> bool:
    """Whether a name is, or is in one cycle of equations with, one of those that are waiting for it."""
    if not isinstance(entry, Thunk | Group | Part):
        return False
    own = _cycle_of(world, _whole(entry))
    return any(other is entry or world.cycles.get(id(other), (None, None))[1] is own for other in others)


def recurrence_of(world: World, group: Group) -> list[Group]:
    """The index equations that are in one cycle with these, themselves too."""
    own = _cycle_of(world, group)
    return [entry for entry, known in [*world.cycles.values()] if known is own and isinstance(entry, Group)]


def _cycle_of(world: World, start: Thunk | Group) -> Entry:
    """One for all that depend on each other; found once for all equations that there are by then."""
    if world.cycles_at != world.instances:
        world.cycles, world.cycles_at = {}, world.instances
    if id(start) not in world.cycles:
        waiting, numbers = [start], {id(start): 0}
        needs: list[list[int]] = []
        for entry in waiting:
            new = [other for other in _read_in(entry, world.names_in) if id(other) not in world.cycles]
            for other in new:
                if numbers.setdefault(id(other), len(waiting)) == len(waiting):
                    waiting.append(other)
            needs.append([numbers[id(other)] for other in new])
        for component in components(needs):
            world.cycles |= {id(waiting[at]): (waiting[at], waiting[component[0]]) for at in component}
    return world.cycles[id(start)][1]


def way_to(start: Entry, ends: Collection[Entry]) -> list[Thunk | Group]:
    """A shortest way from what a name means through what it reads to one of these; empty where there is none."""
    before: dict[int, tuple[Thunk | Group, Thunk | Group | None]] = {}
    waiting: list[Thunk | Group] = [_whole(start)] if isinstance(start, Thunk | Group | Part) else []
    for entry in waiting:
        for other in _read_in(entry):
            if _is_one(other, ends):
                way: list[Thunk | Group] = [other]
                step: Thunk | Group | None = entry
                while step is not None:
                    way.append(step)
                    step = before[id(step)][1] if id(step) in before else None
                return way[::-1]
            if id(other) not in before and other is not waiting[0]:
                before[id(other)] = (other, entry)
                waiting.append(other)
    return []


def _read_in(
    entry: Thunk | Group, names: Callable[[syntax.Expression], set[str]] = names_in
) -> Iterator[Thunk | Group]:
    """What the equations of a name read, in the order of the names."""
    if isinstance(entry, Thunk):
        places = [(entry.value, entry.scope, entry.position, False)]
    else:
        places = [(part, w.scope, w.position, True) for w in entry.equations for part in (*w.subscripts, w.value)]
    for node, scope, position, indexed in places:
        for name in sorted(names(node)):
            found = scope.find(name, position, indexed)
            if isinstance(found, Thunk | Group | Part):
                yield _whole(found)


def _whole(entry: Thunk | Group | Part) -> Thunk | Group:
    return entry.whole if isinstance(entry, Part) else entry


def _is_one(entry: Entry, of: Collection[Entry]) -> bool:
    return any(entry is other for other in of)


def measuring(world: World) -> list[Entry]:
    """The tensors whose extents are being looked for."""
    return [entry for entry in world.forcing if isinstance(entry, Group) and entry.state == "measuring"]


def waits_for(world: World, group: Group) -> bool:
    """Whether the values of a tensor need a whole-tensor equation that is being elaborated: they come after it."""
    forcing = [entry for entry in world.forcing if isinstance(entry, Thunk)]
    return in_one_cycle(world, group, forcing)


# ---------------------------------------------------------------- refusals


def cycle_refusal(entry: Thunk | Group, unknown: Mapping[str, Span] = MappingProxyType({})) -> Refused:
    """What is said of an equation that needs its own value before it has one, or its own extents to find those of the
    indices `unknown`, which stand there."""
    way = way_to(entry, (entry,)) or [entry, entry]
    spans = [each.span if isinstance(each, Thunk) else each.equations[0].span for each in way[:-1]]
    names = [each.name for each in way]
    calls = nodes(*(root for each in way for root in _right_sides(each)))
    if any(isinstance(node, syntax.Call) and node.function == "grad" for node in calls):
        return _gradient_error(names, spans)
    groups = sorted((each for each in way if isinstance(each, Group)), key=lambda each: each.equations[0].order)
    again = _made_again((each.name, each.shown) for each in groups)
    return _measure_error(names, spans, unknown, again) if unknown else _cycle_error(names, spans, again)


def gradient_cycle(world: World, node: syntax.Call, place: Place) -> Refused | None:
    """What is said of a `grad` of what it is itself a part of, by whole-tensor equations, which do not see each other:
    `l = f(w) + grad(l, w)`."""
    if not world.forcing or not node.arguments:
        return None
    around = world.forcing[-1]
    for name in sorted(names_in(node.arguments[0].value)):
        of = None if world.find(name, place) else place.scope.unseen(name)
        way = [] if of is None else [of] if of is around else way_to(of, (around,))
        if way:
            spans = [each.span if isinstance(each, Thunk) else each.equations[0].span for each in way]
            return _gradient_error([unparse(node), *(each.name for each in way), unparse(node)], spans)
    return None


def _measure_error(
    names: Sequence[str], spans: Sequence[Span], unknown: Mapping[str, Span], again: str | None
) -> Refused:
    indices = f"index {next(iter(unknown))} runs" if len(unknown) == 1 else f"indices {' and '.join(unknown)} run"
    who = f"{names[0]} depends on itself" if len(set(names)) == 1 else "these depend on each other"
    message = f"{who}, and nothing else tells what {indices} over: {' → '.join(names)}"
    labels = [Label(span, "") for span in dict.fromkeys((*unknown.values(), *spans))]
    return Refused(
        "cycle",
        message,
        labels[0].span,
        labels,
        help=_kept_apart(again)
        if again
        else f"in a recurrence, where each reads what is earlier or later, state it: "
        f"[{', '.join(f'{index}: 10' for index in unknown)}]",
    )


def _right_sides(entry: Thunk | Group) -> Iterator[syntax.Expression]:
    yield from [entry.value] if isinstance(entry, Thunk) else [written.value for written in entry.equations]


def _gradient_error(names: Sequence[str], spans: Sequence[Span]) -> Refused:
    labels = [Label(span, "") for span in dict.fromkeys(spans)]
    through = " → ".join(names)
    return Refused("cycle", f"a gradient is part of what it is of: {through}", spans[0], labels, help=STEPS_BY_REPEAT)


def _cycle_error(names: Sequence[str], spans: Sequence[Span], again: str | None) -> Refused:
    through = " → ".join(names)
    if len(set(names)) == 1:
        message = f"{names[0]} depends on itself, and not at an earlier place of an index"
    else:
        message = f"these depend on each other, and not at earlier places of an index: {through}"
    labels = [Label(span, "") for span in dict.fromkeys(spans)]
    return Refused(
        "cycle",
        message,
        spans[0],
        labels,
        help=_kept_apart(again)
        if again
        else f"the cycle is {through}, each reading the next; a recurrence reads what is earlier or later along "
        "one index, as in h[b, t - 1, j], and never both ways",
    )


def check_cycles(model: core.Model) -> Refused | None:
    """The first cycle of equations that is no recurrence, if there is one."""
    needs = dependencies(model.tensors, model.equations)
    if not _has_cycle({name: set(own) for name, own in needs.items()}):
        return None
    spans = {tensor.name: tensor.span for tensor in model.tensors} | {e.target: e.span for e in model.equations[::-1]}
    for tensor in model.tensors:
        if tensor.gradient is not None and (way := _way_back(tensor.name, needs)):
            return _gradient_error(way, [spans[name] for name in way])
    known = {tensor.name for tensor in model.tensors}
    try:
        arrange(lower(model))
    except Unordered as unordered:
        return _named(unordered.equations, known)
    return None


def _way_back(start: str, needs: Mapping[str, Sequence[str]]) -> list[str]:
    """A shortest way from a tensor through what it needs back to itself; empty where there is none."""
    before: dict[str, str] = {}
    waiting = [start]
    for name in waiting:
        for needed in needs.get(name, ()):
            if needed not in before:
                before[needed] = name
                waiting.append(needed)
    way = [start]
    while way[-1] in before and (len(way) == 1 or way[-1] != start):
        way.append(before[way[-1]])
    return way[::-1] if start in before else []


def _named(cycle: Sequence[Equation], known: Collection[str]) -> Refused:
    """The cycle by the names that the model has; what the compiler made of an equation goes by the equation's."""
    names = [_owner(equation.target, known) for equation in cycle]
    names = [name for at, name in enumerate(names) if at == 0 or name != names[at - 1]]
    if len(names) > 1 and names[0] == names[-1]:
        names.pop()
    spans = [equation.origin.span for equation in cycle]
    written = (equation.origin.text.partition("[")[0].strip() for equation in cycle)
    again = _made_again(zip((_owner(equation.target, known) for equation in cycle), written, strict=True))
    return _cycle_error([*names, names[0]], spans, again)


def _made_again(cycle: Iterable[tuple[str, str]]) -> str | None:
    """The last of the tensors, by name and as written, whose name there was above already: it has a count, `g_2`."""
    return next((as_is for name, as_is in reversed([*cycle]) if name.rpartition(".")[2].startswith(f"{as_is}_")), None)


def _kept_apart(again: str) -> str:
    return (
        f"index equations see those below them in their block: the {again} that is read is the one made here; "
        f"for the one before, keep it under another name, above these: old = {again}"
    )


def _owner(name: str, known: Collection[str]) -> str:
    while name not in known and "." in name:
        name = name.rpartition(".")[0]
    return name


def _has_cycle(reads: dict[str, set[str]]) -> bool:
    """Whether something reads itself; found by taking away what reads nothing that is left."""
    left = {name: {read for read in own if read in reads} for name, own in reads.items()}
    readers: dict[str, list[str]] = {}
    for name, own in left.items():
        for read in own:
            readers.setdefault(read, []).append(name)
    ready = [name for name, own in left.items() if not own]
    done = 0
    for name in ready:
        done += 1
        for reader in readers.get(name, ()):
            left[reader].discard(name)
            if not left[reader]:
                ready.append(reader)
    return done < len(left)
