"""Tensors that depend on themselves: which equations do, and the refusal of those that are no recurrence.

Names bind as recurrences need them: an index equation sees itself and those below it in its block. While one of them is
elaborated, what depends on it in turn can be asked for: its extents are not told by its own recurrence, and its values
wait until it is their turn.
"""

from collections.abc import Collection, Sequence

from gradc.errors import Label, Span
from gradc.graph.nodes import Equation
from gradc.graph.recurrence import Unordered, arrange, equations_in

from . import core, syntax
from .lower import lower
from .refusal import Refused
from .scopes import Entry, Group, Part, Scope, Thunk
from .tensors import tensors_read
from .walk import names_in
from .world import World

# ---------------------------------------------------------------- what depends on what


def depends(entry: Entry | None, on: Collection[Entry], seen: set[int] | None = None) -> bool:
    """Whether what a name means is made of one of these, read off the equations as they are written."""
    seen = set() if seen is None else seen
    if isinstance(entry, Part):
        entry = entry.whole
    if any(entry is other for other in on):
        return True
    if not isinstance(entry, Thunk | Group) or id(entry) in seen:
        return False
    seen.add(id(entry))
    if isinstance(entry, Thunk):
        return mentions(entry.value, entry.scope, entry.position, on, seen)
    return any(
        mentions(part, written.scope, written.position, on, seen, indexed=True)
        for written in entry.equations
        for part in (*written.subscripts, written.value)
    )


def mentions(node: syntax.Expression, scope: Scope, position: int, on: Collection[Entry],
             seen: set[int] | None = None, *, indexed: bool = False) -> bool:  # fmt: skip
    """Whether an expression depends on one of these."""
    seen = set() if seen is None else seen
    return any(depends(scope.find(name, position, indexed), on, seen) for name in sorted(names_in(node)))


def measuring(world: World) -> list[Entry]:
    """The tensors whose extents are being looked for."""
    return [entry for entry in world.forcing if isinstance(entry, Group) and entry.state == "measuring"]


def waits_for(world: World, group: Group) -> bool:
    """Whether the values of a tensor need a whole-tensor equation that is being elaborated: they come after it."""
    forcing = [entry for entry in world.forcing if isinstance(entry, Thunk)]
    return bool(forcing) and depends(group, forcing)


# ---------------------------------------------------------------- refusals


def refuse_cycle(world: World, entry: Thunk | Group) -> None:
    """An equation needs its own value before it has one."""
    start = next(k for k, other in enumerate(world.forcing) if other is entry)
    around = world.forcing[start:]
    span = entry.span if isinstance(entry, Thunk) else entry.equations[0].span
    names = [*(e.name for e in around), entry.name]
    others = [e.span if isinstance(e, Thunk) else e.equations[0].span for e in around]
    raise _cycle_error(names, [span, *(s for s in others if s != span)])


def _cycle_error(names: Sequence[str], spans: Sequence[Span]) -> Refused:
    through = " → ".join(names)
    if len(set(names)) == 1:
        message = f"{names[0]} depends on itself, and not at an earlier place of an index"
    else:
        message = f"these depend on each other, and not at earlier places of an index: {through}"
    labels = [Label(span, "") for span in dict.fromkeys(spans)]
    return Refused("cycle", message, spans[0], labels,
                   f"the cycle is {through}, each reading the next; a recurrence reads what is earlier or later along "
                   "one index, as in h[b, t - 1, j], and never both ways")  # fmt: skip


def check_cycles(model: core.Model) -> Refused | None:
    """The first cycle of equations that is no recurrence, if there is one."""
    reads: dict[str, set[str]] = {}
    for equation in model.equations:
        reads.setdefault(equation.target, set()).update(_read_by(equation))
    if not _has_cycle(reads):
        return None
    known = {tensor.name for tensor in model.tensors}
    try:
        arranged = arrange(lower(model))
    except Unordered as unordered:
        return _named(unordered.equations, known)
    around = next((around for _, around in equations_in(arranged) if around), None)
    if around is not None and not __import__("os").environ.get("REC"):
        inside = [equation for equation, _ in equations_in(around[:1])]
        names = list(dict.fromkeys(_owner(equation.target, known) for equation in inside))
        return Refused("cycle", f"{', '.join(names)}: recurrences are not there yet in this version of gradc",
                       inside[0].origin.span)  # fmt: skip
    return None


def _named(cycle: Sequence[Equation], known: Collection[str]) -> Refused:
    """The cycle by the names that the model has; what the compiler made of an equation goes by the equation's."""
    names = [_owner(equation.target, known) for equation in cycle]
    names = [name for at, name in enumerate(names) if at == 0 or name != names[at - 1]]
    if len(names) > 1 and names[0] == names[-1]:
        names.pop()
    return _cycle_error([*names, names[0]], [equation.origin.span for equation in cycle])


def _owner(name: str, known: Collection[str]) -> str:
    while name not in known and "." in name:
        name = name.rpartition(".")[0]
    return name


def _read_by(equation: core.Equation) -> list[str]:
    return [*tensors_read(equation.value), *(g.tensor for w in equation.write for g in w.gathers)]


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
