"""The part of a module that runs a training step in shards: what the workers call, and what calls the workers.

    share_entry     each worker, over its range of rows: its share of the gradient and of the sums
    sums_entry      once: the loss, of the sums of all shares
    added_entry     each worker, over its range of parameters: adds up the shares and takes the optimizer's step

Where the optimizer's step needs all gradients at once (to clip their norm), added_entry runs once.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from gradc.graph.index import ONE
from gradc.graph.tensors import Role
from gradc.schedule.costs import SHARDED_WORK
from gradc.schedule.program import Program
from gradc.schedule.shard import Rows, row_by_row, work_of, work_per_row

from .callers import Callers, entry_text, own, plain, unpacked
from .driver import WORK_NAMES, Body
from .lines import INDENT, call_rows, list_rows
from .rounds import RANGE

RANGE_NAMES = tuple(RANGE.values())


@dataclass(frozen=True, slots=True)
class ShardedCallers(Callers):
    """Writes them for a module whose steps can run in shards.

    Attributes:
        rows: how the gradient is cut.
        finish: what `of_sums` does.
        cut: whether the optimizer's step can be cut into ranges of parameters.
    """

    rows: Rows
    finish: Body
    cut: bool

    @property
    def program(self) -> Program:
        """What computes the gradient."""
        assert self.spec.gradient is not None
        return self.spec.gradient

    @property
    def sums(self) -> list[str]:
        """The scalars that shares add up to."""
        return [self.names.of(name) for name in self.rows.partial]

    @property
    def team(self) -> list[str]:
        """The argument by which a worker meets the others, where it does."""
        return ["team"] if self.rows.met else []

    @property
    def widest_meeting(self) -> str:
        """The most numbers that workers add up at once."""
        sizes = [math.prod(self.program.graph.tensors[name].extents, start=ONE) for name in self.rows.met]
        known = max((size.constant for size in sizes if size.constant is not None), default=0)
        free = [self.size(size) for size in dict.fromkeys(sizes) if size.constant is None]
        return f"max({', '.join([str(known), *free])})" if free else str(known)

    # ------------------------------------------------------------ what comes after all rows

    def after(self, names: Mapping[str, str]) -> list[str]:
        """The arguments of `of_sums`, `params`, `d_params`, `work` and `seed` under these names."""
        tensors = self.program.graph.tensors
        reads = any(tensors[name].role in (Role.PARAM, Role.STATE) for name in self.finish.arrays)
        work = [WORK_NAMES[kind] for kind in self.finish.work]
        drawn = any(tensors[name].site is not None for name in self.finish.arrays)
        arguments = [*(["params"] if reads else []), "d_params", *work, *(["seed"] if drawn else [])]
        return [*(names.get(name, name) for name in arguments), *map(self.names.of, self.finish.dims), *self.sums]

    def sums_entry(self) -> str:
        """The entry for `of_sums`."""
        called = self.after({"d_params": "shares[0]", "seed": "random_key(seed, t)"})
        given = self.after({"d_params": "shares"})
        arguments = [*(["t"] if "seed" in given else []), *given]
        checked = own("params") if "params" in given else []
        doc = "The loss, of the sums of all shares; states get their next values."
        doc = doc if self.spec.carries else "The loss, of the sums of all shares."
        lines = [f'"""{doc}"""', *checked, *call_rows("return of_sums", called)]
        return entry_text("entry", "sums_entry", arguments, lines)

    # ------------------------------------------------------------ entries

    def sharded_entries(self) -> list[str]:
        """A worker's share of a step, and what follows when all have done theirs."""
        work, arrays = self.work_names(self.program), self.passed("all")
        seed = ["t", "seed"] if self.seed(self.program) else []
        arguments = ["params", "d_params", *RANGE_NAMES, *self.team, *seed, *work, *arrays]
        rows = ["params", "d_params", *RANGE_NAMES, *self.team, *work, *self.step_seed(), *arrays]
        share = [
            '"""The share of the rows first .. last - 1: (which array is out of range or -1, its place, sums)."""',
            *own("params"),
            *self.checks("all", len(self.sums)),
            *call_rows(f"{unpacked(self.sums)} = over_rows" if self.sums else "over_rows", rows),
            f"return {', '.join(['-1', '-1', *self.sums])}",
        ]
        return [entry_text("entry", "share_entry", arguments, share), self.sums_entry(), self.added_entry()]

    def added_entry(self) -> str:
        """The shares' sum and the optimizer's step."""
        what = "of the parameters first .. last - 1, " if self.cut else ""
        ends = ", ".join(RANGE_NAMES) if self.cut else f"0, {self.spec.trained}"
        lines = [
            f'"""Adds up the shares {what}in their order, then takes one step of the optimizer."""',
            *own("params", "moments", moments=self.spec.moments),
            "d_params = shares[0]",
            f"sums = rows(d_params, {ends})",
            "for worker in range(1, shares.shape[0]):",
            f"{INDENT}share = rows(shares[worker], {ends})",
            f"{INDENT}for n in range(share.size):",
            f"{INDENT * 2}sums[n] += share[n]",
            *self.updated(*RANGE_NAMES),
        ]
        arguments = ["params", "shares", "moments", "t", *self.update_work(), *(RANGE_NAMES if self.cut else ())]
        return entry_text("entry", "added_entry", arguments, lines)

    def updated(self, *over: str) -> list[str]:
        """Where it can be cut, without a range over all parameters."""
        # not super(): a dataclass with slots is another class than the one that its methods were written in
        return Callers.updated(self, *((over or ("0", str(self.spec.trained))) if self.cut else ()))

    # ------------------------------------------------------------ for callers

    def sharded_call(self) -> list[str]:
        """Hands long steps to the workers."""
        arrays = ", ".join(self.passed("all"))
        return [
            f"if (shards := shards_of({self.shard_sizes()})) > 1:",
            f"{INDENT}return _step_in_shards(params, state, shards, {arrays})",
        ]

    def shard_sizes(self, rows: str = "") -> str:
        """How many rows there are, and the multiply-adds of all."""
        work = work_of(self.rows)
        sizes = {dim: self.dim_source(dim, "all") for dim in {*work.dims, self.rows.dim}}
        sizes[self.rows.dim] = rows or sizes[self.rows.dim]
        return f"{sizes[self.rows.dim]}, {self.known_size(work, sizes)}"

    def sharded_calls(self) -> list[str]:
        """Hands them one by one to train_step."""
        batch, names = self.spec.batch, self.passed("all")
        rows, whole = self.dim_source(self.rows.dim, "all"), f"train_step(params, state, {', '.join(names)})"
        if batch != self.rows.dim:
            losses = f"np.array([{whole} for _ in range(steps)])"
            return [f"if shards_of({self.shard_sizes()}) > 1:", f"{INDENT}return {losses}"]
        parts = ", ".join(f"{name}[first : first + count]" for name in names)
        one = f"train_step(params, state, {parts})"
        return [
            f"count = {rows} // steps",
            f"if shards_of({self.shard_sizes('count')}) > 1:",
            *list_rows(INDENT, "losses", one, f"for first in range(0, {rows}, count)"),
            f"{INDENT}return np.array(losses)",
        ]

    def in_parts(self, label: str, program: Program, result: str) -> list[str]:
        """Each worker predicts a range of the rows, where a part of a batch is a smaller batch."""
        rows = row_by_row(program)
        if rows is None or work_per_row(rows) < SHARDED_WORK:
            return []
        dim, work = self.names.of(rows.dim), work_of(rows)
        known = {each: self.dim_source(each, label) for each in work.dims} | {rows.dim: dim}
        here = {each: self.names.of(each) for size in program.work.values() for each in size.dims} | {rows.dim: "count"}
        spaces = (f"np.empty({self.known_size(size, here)}, {self.dtype(kind)})" for kind, size in program.work.items())
        tensors = program.graph.tensors
        arrays = [*self.given(label), *(tensors[name] for name in program.graph.outputs.values())]
        cut = [self.names.of(each.name) + ("[first:last]" if rows.extent in each.extents else "") for each in arrays]
        entry = call_rows(f"return {label}_entry", ["params.flat", *spaces, *dict.fromkeys(cut)])
        ran = "WORKERS.map(share, shards)"
        end = [ran, f"return {result}"]
        if self.bounded(label):
            asked = f"if not any(bad >= 0 for bad, *_ in {ran}):  # else the whole batch tells where"
            end = [asked, f"{INDENT}return {result}"]
        sized = any(rows.dim in size.dims for size in program.work.values())
        return [
            f"if (shards := shards_of({dim}, {self.known_size(work, known)})) > 1:",
            "",
            f"{INDENT}def share(worker):",
            f"{INDENT * 2}first, last = {dim} * worker // shards, {dim} * (worker + 1) // shards",
            *([f"{INDENT * 2}count = last - first"] if sized else []),
            *(f"{INDENT * 2}{row}" for row in entry),
            "",
            *(f"{INDENT}{row}" for row in end),
            "",
        ]

    def sharded_text(self) -> str:
        """`train_step` for long steps."""
        count = self.dim_source(self.rows.dim, "all")
        needed = [row for row in self.dims_of(self.program, "all") if self.work_needs(self.program, row)]
        seed = self.called_seed(self.program, "state.seed")
        team = ["(worker, state.board, state.turns)"] if self.rows.met else []
        shared = ["params.flat", "state.shares[worker]", *RANGE_NAMES, *team, *(["step", *seed] if seed else [])]
        lines = [
            '"""train_step with the rows cut into ranges, one for each worker, and their shares added in order."""',
            f"count = {count}",
            *needed,
            *self.space(),
            "step = state.step + 1",
            "",
            "def share(worker):",
            f"{INDENT}first, last = count * worker // shards, count * (worker + 1) // shards",
            *indented(call_rows("return share_entry", [*shared, "*state.shards[worker]", *self.passed("all")])),
            "",
            f"done = WORKERS.map(share, shards{', state.turns' if team else ''})",
            *(["bad, place, *_ = max(done, key=lambda result: result[0])"] if self.bounded("all") else []),
            *self.refusal("all"),
            *self.added(),
            "state.step = step",
            "if not math.isfinite(loss):",
            f'{INDENT}raise FloatingPointError(f"the loss of step {{step}} is {{loss}}")',
            "return loss",
        ]
        return plain("_step_in_shards", ["params", "state", "shards", *self.passed("all")], lines)

    def space(self) -> list[str]:
        """The rows that make the workers' work space, and the space for their shares."""
        sizes = [
            f"state.shards[0][{at}].size < {self.size(size)}" for at, size in enumerate(self.program.work.values())
        ]
        work = self.fresh_work(self.program)
        element = f"({', '.join(work)}{',' if len(work) == 1 else ''})"
        widest = self.widest_meeting
        sizes += [f"state.board.shape[2] < {widest}"] if not widest.isdigit() else []
        board = [
            f"{INDENT}state.board = np.empty((2, shards, {widest}), {self.real})",
            f"{INDENT}state.turns = np.empty((shards, 8), np.int64)  # a line of cache for each",
            "state.turns[:] = 0",
        ]
        return [
            f"if {' or '.join(['len(state.shards) != shards', *sizes])}:",
            *list_rows(INDENT, "state.shards", element, "for _ in range(shards)"),
            f"{INDENT}state.shares = np.empty((shards, SIZE), {self.real})",
            *(board if self.rows.met else []),
        ]

    def added(self) -> list[str]:
        """The rows that make one step of the shares."""
        known = {"params": "params.flat", "d_params": "state.shares", "seed": "_seed(state.seed)"}
        known |= {WORK_NAMES[kind]: f"state.shards[0][{at}]" for at, kind in enumerate(self.program.work)}
        known |= {self.names.of(dim): self.dim_source(dim, "all") for dim in self.finish.dims}
        called = [known.get(name, name) for name in self.after({})]
        stepped = ["step"] if known["seed"] in called else []
        held = ["params.flat", "state.shares", "state.flat", "step", *(known[name] for name in self.update_work())]
        lines = [f"{unpacked(self.sums)} = (math.fsum(column) for column in list(zip(*done, strict=True))[2:])"]
        lines = [*(lines if self.sums else []), *call_rows("loss = sums_entry", [*stepped, *called])]
        if not self.cut:
            return [*lines, f"added_entry({', '.join(held)})"]
        size = self.spec.trained
        return [
            *lines,
            "",
            "def added(worker):",
            f"{INDENT}first, last = {size} * worker // shards, {size} * (worker + 1) // shards",
            f"{INDENT}added_entry({', '.join([*held, *RANGE_NAMES])})",
            "",
            "WORKERS.map(added, shards)",
        ]


def indented(rows: list[str]) -> list[str]:
    """The rows, one level deeper."""
    return [f"{INDENT}{row}" for row in rows]
