"""The part of a module that runs training steps in shards: what the workers of a team call, and what calls them.

    differentiate   each worker, over its range of rows; the sums of all are met, what comes after them the first does
    step_entry      step after step: each worker adds up the shares of its range of parameters and steps there

One worker alone is a team, too.
"""

import math
from dataclasses import dataclass

from gradc.graph.index import ONE
from gradc.graph.tensors import Role
from gradc.schedule.costs import PART_WORK, SHARD_WORK, SHARDED_WORK, STEP_TERMS, USUAL_BATCH
from gradc.schedule.few import most_sums
from gradc.schedule.program import Program, Space
from gradc.schedule.shard import Rows, row_by_row, work_of, work_per_row

from .breaking import laid_out
from .callers import Callers, own
from .definitions import function, unpacked
from .driver import Body
from .lines import INDENT, call_rows, list_rows
from .predicted import ROWS_OF_SUMS, SUMS, Predicted, joint_of
from .rounds import RANGE
from .teams import OWN_SHARDS, Notes, each_own, notes_of, share_of

RANGE_NAMES = tuple(RANGE.values())
PLACES = ("shares", "board", "turns", "calls")
"""What workers share, as a state holds it."""


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
    def widest_meeting(self) -> str:
        """The most numbers that workers add up at once."""
        sizes = [math.prod(self.program.graph.tensors[name].extents, start=ONE) for name in self.rows.met]
        known = max((len(self.sums), *(size.constant for size in sizes if size.constant is not None)))
        free = [self.size(size) for size in dict.fromkeys(sizes) if size.constant is None]
        return f"max({', '.join([str(known or 1), *free])})" if free else str(known or 1)

    @property
    def joint(self) -> dict[str, int]:
        """The gradients that workers make together, each with its offset among the parameters."""
        targets = {gemm.equation.target for gemm in self.rows.joint}
        outputs = self.program.graph.outputs
        found = ((outputs.get(f"gradient {each.name}"), each.offset) for each in self.spec.parameters)
        return {target: offset for target, offset in found if target in targets}

    # ------------------------------------------------------------ in a team

    def after(self) -> list[str]:
        """The arguments of `of_sums`."""
        tensors = self.program.graph.tensors
        reads = any(tensors[name].role in (Role.PARAM, Role.STATE) for name in self.finish.arrays)
        work = [space.value for space in self.finish.work]
        drawn = any(tensors[name].site is not None for name in self.finish.arrays)
        given = [*(["params"] if reads else []), "d_params", *work, *(["seed"] if drawn else [])]
        return [*given, *map(self.names.of, self.finish.dims), *self.sums]

    def passed_by_all(self) -> list[str]:
        """The rows of `differentiate`: a worker's pass over each of its shards, what the first does after those of all,
        and the sum of all gradients."""
        size, rows = self.spec.size, self.names.of(self.rows.dim)
        dims = dict.fromkeys((self.rows.dim, *self.finish.dims, *self.dims_of_common()))
        return [
            *(f"{self.names.of(dim)} = {self.dim_source(dim, 'all')}" for dim in dims),
            "worker, _, turns = team",
            "shards = shares.shape[0]",
            OWN_SHARDS,
            *([ROWS_OF_SUMS] if self.rows.by_all else []),
            *each_own(self.over_rows(rows)),
            f"d_params = view(shares, 0, ({size},))",
            *(["meet(worker, turns)"] if self.sums else []),
            *(f"{name} = {self.real}(added_up({at}, team))" for at, name in enumerate(self.sums)),
            "loss = 0.0",
            "if worker == 0 and not is_left(turns):",
            *(f"{INDENT}{row}" for row in call_rows("loss = of_sums", self.after())),
            "loss = joined(loss, team)",
            *each_own(self.gradients_added()),
            "meet(worker, turns)",
            "return loss",
        ]

    def over_rows(self, rows: str) -> list[str]:
        """The pass over a shard's rows; what it adds to the sums goes to the board."""
        given = [*self.work_names(self.program), *self.seed(self.program), *self.passed("all")]
        arguments = ["params", "d_params", *RANGE_NAMES, *self.team_of_rows, *given]
        size = self.spec.size
        return [
            f"first, last = {share_of(rows)}",
            f"d_params = view(shares, {size} * shard, ({size},))",
            *call_rows(f"{unpacked(self.sums)} = over_rows" if self.sums else "over_rows", arguments),
            *(f"put_up({name}, {at}, shard, team)" for at, name in enumerate(self.sums)),
        ]

    def gradients_added(self) -> list[str]:
        """The rows that make the sums of all gradients; but of those that the optimizer's step makes."""
        if self.steps_jointly:
            return [row for run in self.added() for row in (ends_of(run), "add_shares(shares, begin, end)")]
        whole = [(0, self.spec.trained)]
        ranges = [
            "begin, end" if self.added() == whole else f"max(begin, {low}), min(end, {high})"
            for low, high in self.added()
        ]
        joint = self.for_joint("joint_gradients", "d_params", "begin", "end")
        return [ends_of(whole[0]), *(joint if self.rows.joint else []), *(f"add_shares(shares, {r})" for r in ranges)]

    @property
    def steps_jointly(self) -> bool:
        """Whether the optimizer's step by a joint gradient is taken while its rows are made."""
        return self.cut and bool(self.rows.joint)

    def for_joint(self, function: str, *first: str) -> list[str]:
        """The call of a function of all joint products, with these arguments and what they read."""
        return call_rows(function, [*first, *self.read_by_joint()])

    def read_by_joint(self) -> list[str]:
        """What the functions of all joint products are given to read."""
        read = {operand.tensor for gemm in self.rows.joint for operand in (gemm.a, gemm.b)}
        given = [self.names.of(tensor.name) for tensor in self.given("all") if tensor.name in read]
        common = [Space.COMMON.value] if self.rows.common else []
        return [*map(self.names.of, self.dims_of_common()), *common, *given]

    def dims_told(self) -> list[str]:
        """The rows that make the free dims of what all workers have in common."""
        return [f"{self.names.of(dim)} = {self.dim_source(dim, 'all')}" for dim in self.dims_of_common()]

    def completed(self) -> list[str]:
        """The joint gradients."""
        if not self.steps_jointly:
            return []
        return [*self.dims_told(), *self.for_joint("joint_gradients", f"view(shares, 0, ({self.spec.size},))")]

    def dims_of_common(self) -> list[str]:
        """The free dims of what all workers have in common."""
        buffers = (self.program.buffers[name] for name in sorted(self.rows.common))
        sizes = [size for b in buffers for size in (*b.extents, b.offset) if size is not None]
        return list(dict.fromkeys(name for size in sizes for name in size.dims))

    def added(self) -> list[tuple[int, int]]:
        """The ranges of the gradients that are added up: all but the joint ones."""
        ranges: list[tuple[int, int]] = []
        for parameter in sorted(self.spec.parameters, key=lambda parameter: parameter.offset):
            last, gradient = parameter.offset + parameter.size, f"gradient {parameter.name}"
            if parameter.offset >= self.spec.trained or self.program.graph.outputs.get(gradient) in self.joint:
                continue
            first = ranges.pop()[0] if ranges and ranges[-1][1] == parameter.offset else parameter.offset
            ranges.append((first, last))
        return ranges

    @property
    def team_of_rows(self) -> list[str]:
        """What `over_rows` is told of the team: nothing, where its rows need nothing of other workers."""
        return ["team"] if self.rows.need_all else []

    def work_names(self, program: Program) -> list[str]:
        """Of a step, with the sums of products that all make together last."""
        names = [space.value for space in program.work]
        return [*names, SUMS] if program is self.program and self.rows.by_all else names

    def space_for_sums(self, workers: str) -> str:
        """A new array for the sums of products that all make together."""
        size = most_sums(self.rows.by_all, STEP_TERMS)
        return f"aligned(np.empty, {size} * {workers}, {self.real})"

    # ------------------------------------------------------------ entries

    @property
    def gradients(self) -> str:
        """A row of gradients for each worker."""
        return "shares"

    @property
    def team(self) -> list[str]:
        """Which worker it is, and where it meets the others."""
        return ["team"]

    @property
    def place(self) -> list[str]:
        """The parts of a team."""
        return ["worker", "board", "turns"]

    def leaving(self) -> list[str]:
        """It waits until nobody reads the arrays any more."""
        return ["meet(worker, turns)"]

    def step_entry(self) -> str:
        """The steps, and around them what workers do between calls."""
        given, _ = self.cut_rows()
        seed, work, (notes, _) = self.seed(self.program), self.work_names(self.program), self.notes()
        taken = ["params", "shares", "moments", "t", "losses", "(worker, board, turns)", *work, *seed, *given]
        lines = [
            '"""A worker\'s part of take_steps. The first, where it is calling, calls all who stay, and gives -2 if',
            "one is away; the others stay for a while, and take the steps that they are called to.",
            '"""',
            *own("params", "shares", "moments", moments=self.spec.moments),
            "if calling:",
            *(f"{INDENT}{noted}" for _, noted, _ in notes),
            f"{INDENT}if not all_called(turns):",
            f"{INDENT * 2}return -2, -1, 0, 0.0",
            "while True:",
            f"{INDENT}turns[worker, 2] = STAYS",
            *(f"{INDENT}{row}" for row in call_rows("done = take_steps", taken)),
            f"{INDENT}if worker == 0 or not called_again(worker, turns):",
            f"{INDENT * 2}return done",
            *(f"{INDENT}{name} = {value}" for name, _, value in notes),
        ]
        own_place = [*self.place, "calls", "calling"]
        arguments = ["params", "shares", "moments", "t", "losses", *own_place, *work, *seed, *given]
        return f"{self.steps_taken()}\n\n\n{function('entry', 'step_entry', arguments, lines)}"

    def notes(self) -> Notes:
        """What changes from call to call, and is noted for those who stay."""
        given, _ = self.cut_rows()
        numbers = [("t", "t", "{}"), *((name, name, "{}") for name in self.seed(self.program))]
        return notes_of(numbers, [("losses", 1)], zip(given, self.given("all"), strict=True))

    def meeting(self, *, steps: bool = False) -> list[str]:
        """The team; or of it the parts that steps need, the gradient and which parameters are this worker's."""
        if not steps:
            return ["team = worker, board, turns"]
        some = self.spec.updates and (self.added() or not self.steps_jointly)
        more = [f"d_params = view(shares, 0, ({self.spec.size},))"] if some else []
        count = ["shards = shares.shape[0]", OWN_SHARDS] if self.cut and self.spec.updates else []
        return ["worker, _, turns = team", *count, *more]

    def updated(self, *_: str) -> list[str]:
        """Each worker steps in its shards' ranges of the parameters, or the first in all; then all see it."""
        # not super(): a dataclass with slots is another class than the one that its methods were written in
        update = Callers.updated(self, *(("begin", "end") if self.cut else ()))
        own = update
        if self.cut:
            runs = self.added() if self.steps_jointly else [(0, self.spec.trained)]
            joint = self.for_joint("joint_steps", "params", "shares", "moments", "float(t)", "shard")
            own = [*(joint if self.steps_jointly else []), *(row for run in runs for row in (ends_of(run), *update))]
            own = [*(self.dims_told() if self.steps_jointly else []), *each_own(own)]
        elif update:
            own = ["if worker == 0:", *(f"{INDENT}{row}" for row in update)]
        return ["if is_left(turns):", f"{INDENT}return -1, -1, step, 0.0", *(own if update else []),
                "meet(worker, turns)"]  # fmt: skip

    # ------------------------------------------------------------ for callers

    def fresh_spaces(self, program: Program) -> list[str]:
        """A worker that is alone needs none for sums."""
        sums = [f"np.empty(0, {self.real})"] if program is self.program and self.rows.by_all else []
        return [*self.fresh_work(program), *sums]

    def filled(self, gradient: str) -> list[str]:
        """The gradient as the only share, and a team of one."""
        return [f"{gradient}.reshape(1, SIZE)", f"*alone({len(self.sums)})"]

    def work_for(self) -> str:
        """The methods of State that keep how a step is cut, and its space."""
        sizes = {kind: self.size(size) for kind, size in self.program.work.items()}
        dims = dict.fromkeys(name for size in self.program.work.values() for name in size.dims)
        widest = self.widest_meeting
        small = ["self.turns[0, 3] < 0", "self.held[0] is not params.flat", "self.held[1] is not self.flat"]
        small += [f"self.work[0][{at}].size < {size}" for at, size in enumerate(sizes.values())]
        small += [] if widest.isdigit() else [f"self.board.shape[2] < {widest}"]
        fresh = dict(zip(sizes, self.fresh_work(self.program), strict=True))
        common = [f"{INDENT * 2}common = {fresh[Space.COMMON]}"] if Space.COMMON in fresh else []
        fresh |= {Space.COMMON: "common"} if common else {}
        if self.rows.by_all:
            common.append(f"{INDENT * 2}{SUMS} = {self.space_for_sums('workers')}")
        spaces = [*fresh.values(), *([SUMS] if self.rows.by_all else [])]
        element = ", ".join(spaces) + ("," if len(spaces) == 1 else "")
        _, length = self.notes()
        rows = [
            "def shards_for(self, rows, work):",
            f'{INDENT}"""How many shards a step of so many rows and multiply-adds is cut into: each time as many."""',
            f"{INDENT}try:",
            f"{INDENT * 2}return self.cuts[rows, work]",
            f"{INDENT}except KeyError:",
            f"{INDENT * 2}return self.cuts.setdefault((rows, work), shards_of(rows, work, {SHARD_WORK}))",
            "",
            f"def work_for({', '.join(['self', 'params', 'workers', *map(self.names.of, dims)])}):",
            f'{INDENT}"""The work space of each worker, made anew only for others or where a larger batch needs it."""',
            f"{INDENT}if {' or '.join(['len(self.work) != workers', *small])}:",
            *common,
            *list_rows(INDENT * 2, "self.work", f"({element})", "for _ in range(workers)"),
            f"{INDENT * 2}self.shares = np.empty((workers, SIZE), {self.real})",
            f"{INDENT * 2}self.board = np.empty((2, workers, {widest}), np.float64)",
            f"{INDENT * 2}self.turns = np.zeros((workers, 8), np.int64)  # a line of cache for each",
            f"{INDENT * 2}self.calls = np.empty({length}, np.int64)",
            f"{INDENT * 2}self.held = params.flat, self.flat",
            f"{INDENT}return self.work",
        ]
        return "\n".join(laid_out(f"{INDENT}{row}" if row else "" for row in rows))

    def step_called(self, results: str) -> list[str]:
        """The rows that hand the steps to the workers."""
        count = "count" if self.spec.batch == self.rows.dim else self.dim_source(self.rows.dim, "all")
        work, known = work_of(self.rows), {self.rows.dim: count}
        known |= {dim: "count" if dim == self.spec.batch else self.dim_source(dim, "all") for dim in work.dims}
        sizes = ["params", "shards", *self.step_sizes(self.program).values()]
        held = ["params.flat", "shares", "state.flat", "t", "losses", "worker", "board", "turns", "calls", "calling",
                "*spaces[worker]"]  # fmt: skip
        given = [*held, *self.called_seed(self.program, "state.seed"), *self.passed("all")]
        # a worker cannot make one shard after the other where they meet halfway
        how = "step_together" if self.rows.need_all else "step"
        steps = [] if self.rows.need_all else ["losses.size"]
        return [
            f"work = {self.known_size(work, known)}",
            f"shards = state.shards_for({count}, work)",
            f"spaces = state.work_for({', '.join(sizes)})",
            "# a worker may begin when an interrupt has ended the step: what is the state's then is another's",
            f"{', '.join(PLACES)}, t = {', '.join(f'state.{name}' for name in PLACES)}, state.step + 1",
            "",
            "def part(turns, worker, calling=False):",
            *(f"{INDENT}{row}" for row in call_rows("return step_entry", given)),
            "",
            *call_rows(f"{results} = WORKERS.{how}", ["part", "shards", "work", "turns", *steps]),
        ]

    def predicted(self, label: str, program: Program, result: str, called: list[str]) -> list[str]:
        """By a team; or by parts of the batch, where it is long."""
        joint = joint_of(program, self)
        if joint is not None:
            return Predicted(self, label, program, joint).called()
        return [*self.in_parts(label, program, result), *called]

    def in_parts(self, label: str, program: Program, result: str) -> list[str]:
        """Each worker predicts a range of the rows, where a part of a batch is a smaller batch."""
        rows = row_by_row(program.graph, program.steps)
        if rows is None or work_per_row(rows) * USUAL_BATCH < SHARDED_WORK:
            return []
        dim, work = self.names.of(rows.dim), work_of(rows)
        known = {each: self.dim_source(each, label) for each in work.dims} | {rows.dim: dim}
        here = {each: self.names.of(each) for size in program.work.values() for each in size.dims}
        here[rows.dim] = "count"
        sizes = ((self.known_size(size, here), self.dtype(space.kind)) for space, size in program.work.items())
        spaces = (f"aligned(np.empty, {size}, {dtype})" for size, dtype in sizes)
        tensors = program.graph.tensors
        arrays = [*self.given(label), *(tensors[name] for name in program.graph.outputs.values())]
        cut = [self.names.of(each.name) + ("[first:last]" if rows.extent in each.extents else "") for each in arrays]
        entry = call_rows(f"return {label}_entry", ["params.flat", *spaces, *dict.fromkeys(cut)])
        ran = "WORKERS.run(part, shards, work)"
        end = [ran, f"return {result}"]
        if self.bounded(label):
            asked = f"if not any(bad >= 0 for bad, *_ in {ran}):  # else the whole batch tells where"
            end = [asked, f"{INDENT}return {result}"]
        sized = any(rows.dim in size.dims for size in program.work.values())
        return [
            f"work = {self.known_size(work, known)}",
            f"if (shards := shards_of({dim}, work, {PART_WORK})) > 1:",
            "",
            f"{INDENT}def part(worker):",
            f"{INDENT * 2}first, last = {share_of(dim, 'worker')}",
            *([f"{INDENT * 2}count = last - first"] if sized else []),
            *(f"{INDENT * 2}{row}" for row in entry),
            "",
            *(f"{INDENT}{row}" for row in end),
            "",
        ]


def ends_of(run: tuple[int, int]) -> str:
    """The row that tells which of a stretch of the parameters are a worker's."""
    first, last = run
    return f"begin, end = {share_of(str(last - first), start=first)}"
