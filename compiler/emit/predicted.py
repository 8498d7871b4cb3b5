"""Predictions that all workers of a team make together: a worker's part, the entry around it, and what calls that.

part_of_predict   fills a worker's rows; products with large matrices all make together, of the rows of all
predict_entry     what workers do between calls, around it
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from gradc.graph.index import ONE, IndexExpr
from gradc.graph.nodes import Tensor
from gradc.schedule.costs import FEWEST_ROWS, JOINT_TERMS, JOINT_WORK
from gradc.schedule.few import most_sums
from gradc.schedule.joint import rows_with_joint
from gradc.schedule.program import Gemm, Program, Space
from gradc.schedule.shard import work_of

from .callers import Callers, own
from .definitions import function, sentences
from .lines import INDENT, call_rows
from .products import Joint, rows_name
from .rounds import RANGE
from .teams import OWN_SHARDS, Notes, notes_of

TEAM = ("worker", "turns")
SUMS = "sums"
ROWS_OF_SUMS = f"{SUMS} = view({SUMS}, 0, (shards, {SUMS}.size // shards))"


def joint_of(program: Program, callers: Callers) -> Joint | None:
    """What workers make together of a prediction; None where it is made by one of them, or by parts of the batch."""
    found = rows_with_joint(program.graph, program.steps) if program.in_shards else None
    return Joint(*found, callers.names.of("all rows"), callers.names.of("room for rows")) if found else None


@dataclass(frozen=True, slots=True)
class Predicted:
    """Writes one such prediction."""

    callers: Callers
    label: str
    program: Program
    joint: Joint

    # ------------------------------------------------------------ what is passed

    @property
    def own_spaces(self) -> list[Space]:
        """The spaces that each worker has for itself."""
        return [space for space in self.program.work if space is not Space.COMMON]

    def space_names(self) -> list[str]:
        """All spaces, as functions call them; what all have in common last."""
        common = [Space.COMMON.value] if Space.COMMON in self.program.work else []
        return [*(space.value for space in self.own_spaces), *common, SUMS]

    def results(self) -> list[Tensor]:
        return [self.program.graph.tensors[name] for name in dict.fromkeys(self.program.graph.outputs.values())]

    def arrays(self) -> list[tuple[str, Tensor]]:
        """What is given and what is filled, each under its name: those with rows as the rows of all."""
        tensors = [*self.callers.given(self.label), *self.results()]
        return [(self.callers.names.of(rows_name(t.name) if self.is_cut(t) else t.name), t) for t in tensors]

    def is_cut(self, tensor: Tensor) -> bool:
        return tensor.extents[:1] == (self.joint.rows.extent,)

    def notes(self) -> Notes:
        """What changes from call to call, and is noted for those who stay."""
        return notes_of([("shards", "shards", "{}")], [("params", 1)], self.arrays())

    # ------------------------------------------------------------ in a team

    def part(self, body: Sequence[str]) -> str:
        """A worker's part, of the lines that run the program."""
        callers = self.callers
        cut = [(name, tensor) for name, tensor in self.arrays() if self.is_cut(tensor)]
        ends = ", ".join(RANGE.values())
        filled = [callers.names.of(tensor.name) for tensor in self.results()]
        whole, room, words = self.joint.whole, self.joint.room, set(re.findall(r"\w+", "\n".join(body)))
        lines = [
            *sentences(
                f"A worker's part of one forward pass: fills its rows of {' and '.join(filled)}. Products with large "
                "weights all make together."
            ),
            "worker, turns = team",
            f"{whole} = {cut[0][0]}.shape[0]",
            OWN_SHARDS,
            f"{ends} = {whole} * from_shard // shards, {whole} * to_shard // shards",
            ROWS_OF_SUMS,
            *(f"{callers.names.of(tensor.name)} = rows({name}, {ends})" for name, tensor in cut),
            *(
                [f"{room} = max(last - first, 1)  # where it has none, too, nothing lies on another"]
                if room in words
                else []
            ),
            *callers.checks(self.label, 0, before=[self.meeting()], names=dict(self.named())),
            *body,
            self.meeting(),
            "return -1, -1",
        ]
        arguments = ["params", "team", "shards", *self.space_names(), *(name for name, _ in self.arrays())]
        return function("inlined", self.part_name, arguments, lines)

    @property
    def part_name(self) -> str:
        return part_name(self.label)

    def named(self) -> list[tuple[str, str]]:
        """The tensors, each with what the array of all its rows is called."""
        return [(tensor.name, name) for name, tensor in self.arrays()]

    def meeting(self) -> str:
        return f"meet({', '.join(TEAM)})"

    def entry(self) -> str:
        """The part, and around it what workers do between calls."""
        notes, _ = self.notes()
        team = f"({', '.join(TEAM)})"
        spaces, arrays = self.space_names(), [name for name, _ in self.arrays()]
        passed = ["params", team, "shards", *spaces, *arrays]
        lines = [
            '"""A worker\'s part of one forward pass. The first, where it is calling, calls all who stay, and gives -2',
            "if one is away; the others stay for a while, and take part in the passes that they are called to.",
            '"""',
            *own("params"),
            "if calling:",
            *(f"{INDENT}{noted}" for _, noted, _ in notes),
            f"{INDENT}if not all_called(turns):",
            f"{INDENT * 2}return -2, -1",
            "while True:",
            f"{INDENT}turns[worker, 2] = STAYS",
            *(f"{INDENT}{row}" for row in call_rows(f"done = {self.part_name}", passed)),
            f"{INDENT}if worker == 0 or not called_again(worker, turns):",
            f"{INDENT * 2}return done",
            *(f"{INDENT}{name} = {value}" for name, _, value in notes),
        ]
        arguments = ["params", *TEAM, "calls", "calling", "shards", *spaces, *arrays]
        return function("entry", f"{self.label}_entry", arguments, lines)

    # ------------------------------------------------------------ for callers

    def called(self) -> list[str]:
        """The rows that have a team make a prediction."""
        callers, rows = self.callers, self.joint.rows
        known = {dim: callers.dim_source(dim, self.label) for dim in self.dims()}
        batch = known[rows.dim] = callers.names.of(rows.dim)
        counted = {**known, rows.dim: "count"}
        at_least = {**known, rows.dim: f"max({batch}, {FEWEST_ROWS})"}
        arrays = [callers.names.of(tensor.name) for _, tensor in self.arrays()]
        given = ["params.flat", "worker", "team.turns", "team.calls", "calling", "shards", "*team.spaces[worker]",
                 *arrays]  # fmt: skip
        work = self.program.work
        own_sizes = [(callers.known_size(work[space], counted), callers.dtype(space.kind)) for space in self.own_spaces]
        common = [(callers.known_size(work[Space.COMMON], known), callers.real)] if Space.COMMON in work else []
        common.append((f"{most_sums(self.joint.products, JOINT_TERMS)} * shards", callers.real))
        _, notes = self.notes()
        told = "bad, place = " if callers.bounded(self.label) else ""
        called = ["pace", "part", "workers", "work", callers.known_size(self.largest(), known), str(notes)]
        return [
            f"work = {callers.known_size(work_of(rows), at_least)}  # of fewer rows: reading the weights takes as long",
            f"shards = shards_of({at_least[rows.dim]}, work, {JOINT_WORK})",
            f'pace = WORKERS.pace("{self.label}", shards, work)',
            "workers = WORKERS.free(pace)",
            f"count = -(-{batch} * -(-shards // workers) // shards)  # rows of a worker, at most",
            f"own = {sizes_text(own_sizes)}",
            f"common = {sizes_text(common)}",
            "",
            "def part(team, worker, calling=False):",
            *(f"{INDENT}{row}" for row in call_rows(f"return {self.label}_entry", given)),
            "",
            *call_rows(f"{told}WORKERS.predict", [*called, "own", "common"]),
        ]

    def dims(self) -> list[str]:
        """The free dims that the sizes of its work and its spaces need."""
        sizes = [*self.program.work.values(), work_of(self.joint.rows), self.largest(), self.joint.rows.extent]
        return list(dict.fromkeys(name for size in sizes for name in size.dims))

    def largest(self) -> IndexExpr:
        """Multiply-adds of the largest of the joint products, which are the large ones."""
        return max((_work(gemm) for gemm in self.joint.products), key=lambda work: math.prod(c for _, c in work.terms))


def part_name(label: str) -> str:
    """What the function is called that makes a worker's part."""
    return f"part_of_{label}"


def sizes_text(sizes: Sequence[tuple[str, str]]) -> str:
    """Pairs of a length and a type, as a tuple."""
    pairs = [f"({size}, {kind})" for size, kind in sizes]
    return f"({', '.join(pairs)},)" if len(pairs) == 1 else f"({', '.join(pairs)})"


def _work(gemm: Gemm) -> IndexExpr:
    return math.prod((i.extent for i in gemm.equation.indices), start=ONE)
