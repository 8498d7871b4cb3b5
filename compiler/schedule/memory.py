"""Where tensors live: variables, rows, stretches of the work space; computed from what each step reads and writes.

A tensor that one nest or one recurrence alone makes and reads keeps only the axes that those loops do not share. All
others get a slot, from their first write to their last read; a slot is handed on when its tensor is dead, and an
element-wise result lies in its dying operand's place.
"""

from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TypeAlias

from gradc.graph.index import ONE, ZERO, IndexExpr
from gradc.graph.nodes import Equation, Graph
from gradc.graph.ranges import never_negative

from .program import (
    Buffer,
    Gemm,
    Item,
    Nest,
    Program,
    Sequential,
    Space,
    Statement,
    Step,
    Storage,
    read_by,
    runs_whole,
    written_by,
)

Path: TypeAlias = tuple[Hashable, ...]
"""The places of loops, one inside the other: equal beginnings are the same loops."""


def place_buffers(graph: Graph, steps: tuple[Step, ...], given: Iterable[str], stores: Mapping[str, str],
                  share: bool = True, common: Collection[str] = ()) -> Program:  # fmt: skip
    """The program with a buffer for every tensor that its steps write.

    Args:
        given: tensors that the caller holds: results. Leaves are held by the caller in any case.
        stores: those of them that are written where a leaf lies, each with its leaf.
        share: whether a slot is handed on, and whether results lie in their operands' place.
        common: the tensors that all workers read, where the program is cut into shards: a slot of theirs is not handed
            on, as workers do not come to its end at the same time.
    """
    held = set(given)
    lives = _lives(steps)
    users = _users(steps)
    buffers: dict[str, Buffer] = {}
    for name in lives:
        tensor = graph.tensors[name]
        everything = tuple(range(len(tensor.axes)))
        if name in held and (tensor.axes or name in stores):
            buffers[name] = Buffer(name, tensor.kind, Storage.GIVEN, everything, tensor.extents, stores.get(name))
            continue
        rounds = _rounds(steps[lives[name].first])
        kept = _kept_axes(name, graph, users[name], rounds, whole=lives[name].first != lives[name].last)
        storage = (Storage.COMMON if name in common else Storage.WORK) if kept else Storage.LOCAL
        buffers[name] = Buffer(name, tensor.kind, storage, kept, tuple(tensor.extents[at] for at in kept))
    if share:
        _share(steps, lives, buffers)
    work = _slots(lives, buffers, share)
    return Program(graph, steps, buffers, work)


@dataclass(slots=True)
class _Life:
    """The first step that writes a tensor and the last that touches it."""

    first: int
    last: int


def _lives(steps: tuple[Step, ...]) -> dict[str, _Life]:
    lives: dict[str, _Life] = {}
    for at, step in enumerate(steps):
        for name in written_by(step):
            lives.setdefault(name, _Life(at, at)).last = at
        for name in read_by(step):
            if name in lives:
                lives[name].last = at
    return lives


# ---------------------------------------------------------------- axes shared by all


def _kept_axes(name: str, graph: Graph, users: "list[_User]", rounds: Collection[str], whole: bool) -> tuple[int, ...]:
    """The axes that are not those of loops around all that write and read the tensor, unless it is kept whole.

    Args:
        rounds: the indices of the sequential loops around the users.
    """
    extents = graph.tensors[name].extents
    uses = [use for _, _, equation in users for use in uses_of(name, equation)]
    everything = tuple(
        at for at, extent in enumerate(extents) if extent.constant != 1 or any(use[at].terms for use in uses)
    )
    if whole:
        return everything
    depth = _common_depth([path for path, _, _ in users])
    around: list[str] = []
    for at in range(depth):
        index = users[0][1][at]
        if index in rounds and not any(_runs_along(axis, [index], uses) for axis in everything):
            break  # what one round leaves for another, it leaves for all rounds of the loops inside
        around.append(index)
    return tuple(at for at in everything if not _runs_along(at, around, uses))


_User: TypeAlias = tuple[Path, tuple[str, ...], Equation]
"""Of an equation that writes or reads a tensor: the places of the loops around it, their indices, and itself."""


def _users(steps: tuple[Step, ...]) -> dict[str, list[_User]]:
    """For each tensor the equations that touch it, in order."""
    found: dict[str, list[_User]] = {}
    for step in steps:
        for user in _users_in(step, (), ()):
            for name in dict.fromkeys((*user[2].sources(), user[2].target)):
                found.setdefault(name, []).append(user)
    return found


def _users_in(step: Step, path: Path, names: tuple[str, ...]) -> "Iterator[_User]":
    match step:
        case Gemm(equation=equation, packing=packing, packing_rounds=rounds):
            inner = (*path, *(0 for _ in rounds))
            around = (*names, *(index.name for index in rounds))
            for place, statement in _walk(packing.items if packing else ()):
                yield (*inner, 0, *place), (*around, *statement.path), statement.equation
            yield (*inner, 1), around, equation
        case Nest(items=items):
            for inner, statement in _walk(items):
                yield (*path, *inner), (*names, *statement.path), statement.equation
        case Sequential(index=index, steps=steps):
            for at, part in enumerate(steps):
                for inner, around, equation in _users_in(part, (), (*names, index.name)):
                    yield (*path, 0, *((at, place) for place in inner)), around, equation


def _rounds(step: Step) -> set[str]:
    """The indices of a step's sequential loops."""
    if not isinstance(step, Sequential):
        return set()
    return {step.index.name}.union(*map(_rounds, step.steps))


def _runs_along(axis: int, around: list[str], uses: Sequence[tuple[IndexExpr, ...]]) -> bool:
    used = {subscripts[axis].bare for subscripts in uses}
    return len(used) == 1 and next(iter(used)) in around


def uses_of(name: str, equation: Equation) -> Iterator[tuple[IndexExpr, ...]]:
    """The subscripts at which an equation writes or reads a tensor."""
    return iter(equation.uses.get(name, ()))


def _walk(items: tuple[Item, ...], path: Path = ()) -> Iterator[tuple[Path, Statement]]:
    """Statements, each with the positions of the loops around it: equal prefixes are the same loops."""
    for at, item in enumerate(items):
        if isinstance(item, Statement):
            yield path, item
        else:
            yield from _walk(item.body, (*path, at))


def _common_depth(paths: list[Path]) -> int:
    depth = 0
    for places in zip(*paths, strict=False):
        if len(set(places)) > 1:
            break
        depth += 1
    return depth


# ---------------------------------------------------------------- in place


def _share(steps: tuple[Step, ...], lives: Mapping[str, _Life], buffers: dict[str, Buffer]) -> None:
    """An element-wise result takes the place of an operand that nobody reads after it."""
    lying: dict[str, list[str]] = {}
    for at, step in enumerate(steps):
        if not isinstance(step, Nest):
            continue
        statements = list(_walk(step.items))
        dying = [name for name in read_by(step) if name in buffers and lives[name].last == at]
        touching = _touching(statements)
        for order, (path, statement) in enumerate(statements):
            new = buffers[statement.equation.target]
            if new.shares or lives[new.tensor].first != at or statement.accumulates or not statement.starts:
                continue
            if statement.equation.guards or not _fills(statement.equation, new):
                continue
            for name in dying:
                if _same_place(buffers[name], new) and _element_wise(
                    name, order, path, statement, touching.get(name, ())
                ):
                    dying.remove(name)
                    moved = [name, *lying.pop(name, ())]
                    _join(moved, new.tensor, buffers, lives)
                    lying.setdefault(new.tensor, []).extend(moved)
                    break


def _join(moved: Iterable[str], new: str, buffers: dict[str, Buffer], lives: Mapping[str, _Life]) -> None:
    """A tensor and all that lie in its place move into the new one's."""
    for name in moved:
        buffers[name] = replace(buffers[name], shares=new, storage=buffers[new].storage)
        lives[new].first = min(lives[new].first, lives[name].first)


def _same_place(old: Buffer, new: Buffer) -> bool:
    return (
        old.tensor != new.tensor
        and old.storage is Storage.WORK
        and not old.shares
        and new.storage is not Storage.LOCAL
        and old.kind is new.kind
        and (old.axes, old.extents) == (new.axes, new.extents)
    )


def _fills(equation: Equation, buffer: Buffer) -> bool:
    """Whether the equation writes every place of the buffer, so that nothing has to be zeroed before it."""
    kept = [equation.write[at] for at in buffer.axes]
    others = {place.bare for at, place in enumerate(equation.write) if at not in buffer.axes}
    alone = others.isdisjoint(place.bare for place in kept)
    return alone and runs_whole(equation, zip(kept, buffer.extents, strict=True))


_Touch: TypeAlias = tuple[int, Path, Equation]
"""A statement of a nest that touches a tensor: its place in the order, the loops around it."""


def _touching(statements: Sequence[tuple[Path, Statement]]) -> dict[str, list[_Touch]]:
    """The statements of a nest that read or write each tensor, in their order."""
    found: dict[str, list[_Touch]] = {}
    for order, (path, statement) in enumerate(statements):
        equation = statement.equation
        for name in {equation.target, *equation.sources()}:
            found.setdefault(name, []).append((order, path, equation))
    return found


def _element_wise(name: str, order: int, path: Path, statement: Statement, touches: Sequence[_Touch]) -> bool:
    """Whether every touch of the operand is in the statement's own loops, at the place that it writes, not after it."""
    write = statement.equation.write
    return all(
        at <= order and there == path and all(place == write for place in uses_of(name, equation))
        for at, there, equation in touches
    )


# ---------------------------------------------------------------- slots


@dataclass(slots=True)
class _Slot:
    size: IndexExpr
    offset: IndexExpr
    free_after: int


def _slots(lives: Mapping[str, _Life], buffers: dict[str, Buffer], share: bool) -> dict[Space, IndexExpr]:
    """Gives every stored tensor its offset; returns how long each space is."""
    ends = dict.fromkeys(Space, ZERO)
    slots: dict[Space, list[_Slot]] = {space: [] for space in Space}
    stored = [name for name, buffer in buffers.items() if buffer.has_stretch]
    for name in sorted(stored, key=lambda name: lives[name].first):
        buffer, life = buffers[name], lives[name]
        size = ONE
        for extent in buffer.extents:
            size *= extent
        space = buffer.space
        slot = _fitting(slots[space], size, life.first) if share and space is not Space.COMMON else None
        if slot is None:
            slot = _Slot(size, ends[space], life.last)
            ends[space] += size
            slots[space].append(slot)
        slot.free_after = life.last
        buffers[name] = replace(buffer, offset=slot.offset)
    return {space: end for space, end in ends.items() if end.terms}


def _fitting(slots: list[_Slot], size: IndexExpr, start: int) -> _Slot | None:
    """The smallest free slot that is certainly long enough."""
    best: _Slot | None = None
    for slot in slots:
        fits = slot.free_after < start and _holds(slot.size, size)
        if fits and (best is None or _holds(best.size, slot.size)):
            best = slot
    return best


@lru_cache(maxsize=4096)
def _holds(size: IndexExpr, other: IndexExpr) -> bool:
    return never_negative(size - other)
