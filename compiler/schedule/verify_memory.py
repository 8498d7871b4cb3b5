"""Checks the buffers of a program: their shapes, what lies in what, and that nothing is overwritten while in use.

The places of tensors that are alive at the same time do not overlap, and are in the work space. A tensor that takes
another's place does so when that is read no more, or place by place in the very statement that reads it last. An axis
that is not stored is that of a loop around all that use the tensor. Program → nothing, or an `InternalError`.
"""

from collections.abc import Iterable
from itertools import pairwise

from gradc.errors import InternalError
from gradc.graph.index import ONE, IndexExpr
from gradc.graph.ranges import Ranges
from gradc.graph.tensors import Role

from .program import Buffer, Program, Sequential, Storage
from .runs import Run, Runs, shared_loops


def verify_memory(program: Program, runs: Runs, ranges: Ranges) -> None:
    """Raises an `InternalError` where a buffer does not fit its tensor, or is not free when it is written."""
    check = _Check(program, runs, ranges)
    for name in runs.writers:
        if name not in program.buffers:
            raise InternalError(f"{name} is written and has no buffer")
    for name in program.buffers:
        check.buffer(name)
    check.places()


class _Check:
    """The checks of one program's buffers."""

    def __init__(self, program: Program, runs: Runs, ranges: Ranges) -> None:
        self.program = program
        self.graph = program.graph
        self.runs = runs
        self.ranges = ranges

    # ------------------------------------------------------------ one buffer

    def buffer(self, name: str) -> None:
        buffer, tensor = self.program.buffers[name], self.graph.tensors[name]
        extents = tuple(tensor.extents[at] for at in buffer.axes)
        if (buffer.tensor, buffer.kind, buffer.extents) != (name, tensor.kind, extents):
            raise InternalError(f"the buffer of {name} is not of its shape")
        dropped = [at for at in range(len(tensor.axes)) if at not in buffer.axes]
        for axis in dropped:
            self.runs_along(name, axis)
        if buffer.storage is Storage.LOCAL and buffer.axes:
            raise InternalError(f"{name} is a variable with axes")
        if buffer.storage is Storage.GIVEN and dropped:
            raise InternalError(f"{name} is the caller's, and not stored whole")
        if name in self.graph.outputs.values() and tensor.axes and buffer.storage is not Storage.GIVEN:
            raise InternalError(f"{name} is handed out, and not the caller's")
        if buffer.shares:
            self.sharing(buffer, buffer.shares)
        elif buffer.has_stretch:
            self.inside_work(buffer)

    def runs_along(self, name: str, axis: int) -> None:
        """All that touch a tensor are in one loop along the axis, or it has one place: it need not be stored."""
        touching = self.runs.touching[name]
        if self.graph.tensors[name].extents[axis].constant == 1:
            return
        names = {place[axis].bare for run in touching for place in run.touches(name)}
        depth = min(shared_loops(touching[0], run) for run in touching)
        around = {loop.index.name for loop in touching[0].loops[:depth]}
        if len(names) != 1 or not names <= around:
            raise InternalError(f"{name} is not stored along axis {axis + 1}, and no loop along it is around all users")
        for loop in touching[0].loops[:depth]:
            if names == {loop.index.name}:
                return
            if isinstance(loop, Sequential) and not self.same_round(name, loop.index.name):
                raise InternalError(f"{name} is not stored along axis {axis + 1}, and is read in another round")

    def same_round(self, name: str, index: str) -> bool:
        """Whether all that touch a tensor do so at places of the round of a loop that they are in."""
        places = [place for run in self.runs.touching[name] for place in run.touches(name)]
        return any({place[at].bare for place in places} == {index} for at in range(len(places[0])))

    def inside_work(self, buffer: Buffer) -> None:
        end = self.program.work.get(buffer.space)
        if buffer.offset is None or end is None:
            raise InternalError(f"{buffer.tensor} has no place in the work space")
        over = end - buffer.offset - size_of(buffer)
        if not (self.ranges.nonnegative(buffer.offset) and self.ranges.nonnegative(over)):
            raise InternalError(f"{buffer.tensor} reaches beyond the work space of {end}")

    def sharing(self, buffer: Buffer, root: str) -> None:
        """Its place is one of its own shape: a stored tensor's, or that of a parameter or a state."""
        tensor, other = self.graph.tensors[root], self.program.buffers.get(root)
        if other is None:
            fits = tensor.role in (Role.PARAM, Role.STATE) and tensor.extents == buffer.extents
        else:
            fits = other.shares is None and other.extents == buffer.extents
            fits = fits and other.storage is buffer.storage is not Storage.LOCAL
        if not fits or tensor.kind is not buffer.kind:
            raise InternalError(f"{buffer.tensor} cannot lie in the place of {root}")

    # ------------------------------------------------------------ several

    def places(self) -> None:
        """Tensors in one place follow one another; those alive at the same time lie apart."""
        lying: dict[str, list[str]] = {}
        for name in self.program.buffers:
            lying.setdefault(self.program.root_of(name), []).append(name)
        for root, names in lying.items():
            leaf = [root] if self.graph.tensors[root].role is not None else []
            for old, new in pairwise([*leaf, *sorted(names, key=lambda name: self.runs.writers[name][0].order)]):
                self.follows(old, new)
        stored = [root for root in lying if self.is_stretch(root)]
        lives = {root: self.life(lying[root]) for root in stored}
        for at, a in enumerate(stored):
            for b in stored[:at]:
                if lives[a][0] <= lives[b][1] and lives[b][0] <= lives[a][1]:
                    self.apart(self.program.buffers[a], self.program.buffers[b])

    def is_stretch(self, root: str) -> bool:
        buffer = self.program.buffers.get(root)
        return buffer is not None and buffer.storage is Storage.WORK

    def life(self, names: Iterable[str]) -> tuple[int, int]:
        steps = [run.step for name in names for run in self.runs.touching[name]]
        return min(steps), max(steps)

    def apart(self, a: Buffer, b: Buffer) -> None:
        if a.kind is not b.kind or a.offset is None or b.offset is None:
            return
        after = self.ranges.nonnegative(a.offset - b.offset - size_of(b))
        if not after and not self.ranges.nonnegative(b.offset - a.offset - size_of(a)):
            raise InternalError(f"{a.tensor} and {b.tensor} are in use at the same time, and their places overlap")

    def follows(self, old: str, new: str) -> None:
        """The new tensor is written when the old one is read no more; at the last, place by place in one loop."""
        writer = self.runs.writers[new][0]
        for run in self.runs.touching.get(old, ()):
            if run.step >= writer.step and not self.replaces(old, run, writer):
                raise InternalError(f"{run}: {old} is in use, and {writer} overwrites it with {new}")

    def replaces(self, old: str, run: Run, writer: Run) -> bool:
        """Whether the run uses the old tensor just at the place that is then overwritten, whole and once."""
        statement = writer.statement
        if statement is None or statement.accumulates or not statement.starts or writer.equation.guards:
            return False
        same_loops = run.step == writer.step and run.place[:-1] == writer.place[:-1] and run.order <= writer.order
        return same_loops and all(place == writer.equation.write for place in run.touches(old))


def size_of(buffer: Buffer) -> IndexExpr:
    """How many numbers a buffer holds."""
    product = ONE
    for extent in buffer.extents:
        product *= extent
    return product
