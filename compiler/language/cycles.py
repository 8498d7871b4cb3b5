"""Cycles of equations: a tensor that depends on itself. Recurrences will be cycles; until then every cycle is refused.

Names already bind as recurrences need them: an index equation sees itself and those below it in its block.
"""

from collections.abc import Iterable, Mapping

from gradc.errors import Label, Span

from . import core
from .refusal import Refused
from .scopes import Group, Thunk
from .tensors import tensors_read
from .world import World


def refuse_cycle(world: World, entry: Thunk | Group) -> None:
    """An equation needs its own value before it has one."""
    start = next(k for k, other in enumerate(world.forcing) if other is entry)
    around = world.forcing[start:]
    span = entry.span if isinstance(entry, Thunk) else entry.equations[0].span
    names = [*(e.name for e in around), entry.name]
    others = [e.span if isinstance(e, Thunk) else e.equations[0].span for e in around]
    raise cycle_error(names, [span, *(s for s in others if s != span)])


def cycle_error(names: list[str], spans: list[Span]) -> Refused:
    """The one refusal of recurrences."""
    through = " → ".join(names)
    if len(set(names)) == 1:
        message = f"{names[0]} depends on itself; recurrences are not there yet in this version of gradc"
    else:
        message = f"these depend on each other: {through}; recurrences are not there yet in this version of gradc"
    labels = [Label(span, "") for span in dict.fromkeys(spans)]
    return Refused("cycle", message, spans[0], labels, f"the cycle is {through}, each reading the next")


def check_cycles(equations: Iterable[core.Equation]) -> Refused | None:
    """The first cycle in which tensors depend on each other, if there is one."""
    reads: dict[str, list[str]] = {}
    spans: dict[str, Span] = {}
    for equation in equations:
        reads.setdefault(equation.target, []).extend(_read_by(equation))
        spans.setdefault(equation.target, equation.span)
    cycle = _find_cycle(reads)
    return cycle_error(cycle, [spans[name] for name in cycle]) if cycle else None


def _read_by(equation: core.Equation) -> list[str]:
    return [*tensors_read(equation.value), *(g.tensor for w in equation.write for g in w.gathers)]


def _find_cycle(reads: Mapping[str, list[str]]) -> list[str] | None:
    """A path from a tensor back to itself, found without recursion."""
    done: set[str] = set()
    for root in reads:
        path: list[str] = []
        stack: list[tuple[str, bool]] = [(root, False)]
        while stack:
            name, leaving = stack.pop()
            if leaving:
                done.add(path.pop())
            elif name in path:
                return [*path[path.index(name) :], name]
            elif name in reads and name not in done:
                path.append(name)
                stack.append((name, True))
                stack.extend((child, False) for child in reversed(list(dict.fromkeys(reads[name]))))
    return None
