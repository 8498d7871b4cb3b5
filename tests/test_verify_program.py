"""The checks of programs: what the scheduler makes passes, and every fault that is planted is found."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest

from gradc.errors import InternalError
from gradc.graph.index import ZERO, dim, index, number
from gradc.graph.nodes import Equation, Guard, Read, Relation
from gradc.pipeline import graphs, module_spec
from gradc.schedule.build import schedule
from gradc.schedule.program import Buffer, Gemm, Item, Loop, Nest, Program, Sequential, Statement, Storage
from gradc.schedule.runs import runs_of, shared_loops
from gradc.schedule.show import show
from gradc.schedule.verify import verify_program

NETWORK = """\
model net
dim batch
dim n = 6, classes = 5
input  x[batch, n]
target y[batch] : int(classes)
h      = relu(dense(x, 8))
logits = dense(h, classes)
predict p = softmax(logits)
loss    mean(cross_entropy(logits, y))
metric  accuracy = mean(argmax(logits) == y)
optimize adamw(lr = 1e-3)
"""

DIAGONAL = """\
dim batch
input x[batch]
param w[2] ~ normal()
h[0, i] = x[i] * w[0]
h[1, i] = x[i] * w[1]
c[(t: batch) + 2, i: batch] = h[t, i] - 0.5 * h[t + 1, t]
h[(t: batch) + 2, i: batch] = x[t] * w[0] - 0.9 * c[t + 2, i]
loss sum(c^2)
"""


@pytest.fixture(scope="module")
def programs() -> dict[str, Program]:
    spec = module_spec(graphs(NETWORK), NETWORK, "float32")
    found = {"gradient": spec.gradient, "predict": spec.predict, "evaluate": spec.evaluate}
    found["update"] = spec.updates[0].program
    return {label: program for label, program in found.items() if program is not None}


@pytest.fixture(scope="module")
def program(programs: dict[str, Program]) -> Program:
    return programs["gradient"]


def refused(program: Program, message: str) -> None:
    with pytest.raises(InternalError, match=message):
        verify_program(program)


# ---------------------------------------------------------------- surgery


def with_steps(program: Program, *steps: Any) -> Program:
    return replace(program, steps=steps)


def with_buffer(program: Program, name: str, **changes: Any) -> Program:
    return replace(program, buffers={**program.buffers, name: replace(program.buffers[name], **changes)})


def with_statements(program: Program, change: Callable[[Statement], Iterable[Statement]]) -> Program:
    """Every statement of every nest replaced."""

    def items(old: tuple[Item, ...]) -> tuple[Item, ...]:
        new: list[Item] = []
        for item in old:
            new += change(item) if isinstance(item, Statement) else [Loop(item.index, items(item.body))]
        return tuple(new)

    return with_steps(program, *(s if isinstance(s, Gemm) else Nest(items(s.items)) for s in program.steps))


def only(target: str, change: Callable[[Statement], Statement]) -> Callable[[Statement], list[Statement]]:
    return lambda statement: [change(statement) if statement.equation.target == target else statement]


def step_of(program: Program, target: str) -> int:
    return next(run.step for run in runs_of(program).writers[target])


# ---------------------------------------------------------------- what is right


def test_programs_of_a_network_pass(programs):
    for program in programs.values():
        verify_program(program)


def test_runs_stand_in_order_and_know_their_loops(program):
    runs = runs_of(program)
    assert [run.order for run in runs.all] == sorted(run.order for run in runs.all)
    (first, second) = runs.writers["d_logits"]
    assert shared_loops(first, second) == 1
    assert shared_loops(first, runs.writers["h"][0]) == 0
    assert list(second.reads("d_logits")) == []


# ---------------------------------------------------------------- order


def test_steps_in_the_wrong_order(program):
    steps = list(program.steps)
    at = step_of(program, "d_h")
    refused(with_steps(program, *steps[:at], *steps[at + 1 :], steps[at]), "reads d_h before")


def test_a_step_that_is_missing(program):
    at = step_of(program, "d_h")
    refused(with_steps(program, *program.steps[:at], *program.steps[at + 1 :]), "of which the program computes 0")


def test_a_step_that_is_there_twice(program):
    refused(with_steps(program, *program.steps, program.steps[-1]), "of which the program computes 2")


def test_a_read_of_what_is_never_computed(program):
    at = step_of(program, "d_h")
    graph = program.graph.with_equations(tuple(eq for eq in program.graph.equations if eq.target != "d_h"))
    steps = (*program.steps[:at], *program.steps[at + 1 :])
    refused(replace(program, graph=graph, steps=steps), "it reads d_h, which no step writes")


def test_an_output_that_nothing_writes(program):
    graph = replace(program.graph, outputs={**program.graph.outputs, "more": "x"})
    refused(replace(program, graph=graph), "the output more is x, which no step writes")


def test_a_sum_read_in_the_loop_that_sums_it(program):
    """The logarithm of the total moves into the loop that adds up the total."""
    moved = [s for nest in program.steps if isinstance(nest, Nest) for s in nest.statements()]
    log = next(s for s in moved if s.equation.target.endswith("logsumexp"))
    total = next(s for s in moved if s.equation.target.endswith("total"))

    def change(statement: Statement) -> list[Statement]:
        if statement is log:
            return []
        inside = replace(
            log,
            path=total.path,
            equation=replace(log.equation, indices=total.equation.indices),
        )
        return [statement, inside] if statement is total else [statement]

    refused(with_statements(program, change), r"total is not complete within the loop over")


def test_a_read_at_another_place_of_the_loop(program):
    reader = "d_logits.bias"

    def change(statement: Statement) -> Statement:
        (read,) = [r for r in statement.equation.reads if r.tensor == "d_logits"]
        body = statement.equation.body.xreplace({read: Read("d_logits", (ZERO, read.subscripts[1]))})
        return replace(statement, equation=replace(statement.equation, body=body))

    refused(with_statements(program, only(reader, change)), "d_logits is not complete within the loop over b")


@pytest.mark.parametrize("starts", [True, False])
def test_who_writes_first(program, starts):
    seen: list[Statement] = []

    def change(statement: Statement) -> Statement:
        seen.append(statement)
        return replace(statement, starts=False) if len(seen) == (2 if starts else 1) else statement

    if starts:
        wrong = with_statements(program, only("d_logits", lambda statement: replace(statement, starts=True)))
        refused(wrong, "it is not the first that writes d_logits")
    else:
        refused(with_statements(program, only("d_logits", change)), "it is the first that writes d_logits")


def test_loops_that_are_not_the_indices(program):
    wrong = with_statements(program, only("h", lambda statement: replace(statement, path=("b", "z"))))
    refused(wrong, "and takes them for")

    def longer(equation: Equation) -> Equation:
        indices = (equation.indices[0], replace(equation.indices[1], high=equation.indices[1].high - 1))
        return replace(equation, indices=indices)

    wrong = with_statements(program, only("h", lambda s: replace(s, equation=longer(s.equation))))
    refused(wrong, "its indices are not those of the loops around it")


def test_a_read_outside(program):
    def change(statement: Statement) -> Statement:
        read = next(r for r in statement.equation.reads if r.tensor == "h.bias")
        body = statement.equation.body.xreplace({read: Read("h.bias", (index(read.subscripts[0].bare or "") + 1,))})
        return replace(statement, equation=replace(statement.equation, body=body))

    refused(with_statements(program, only("h.dense", change)), "may reach 8 in h.bias")


# ---------------------------------------------------------------- products


def with_product(program: Program, target: str, change: Callable[[Gemm], Gemm]) -> Program:
    return with_steps(
        program,
        *(change(s) if isinstance(s, Gemm) and s.equation.target == target else s for s in program.steps),
    )


def test_products_that_do_not_fit(program):
    def turned(gemm: Gemm) -> Gemm:
        return replace(gemm, b=replace(gemm.b, transposed=not gemm.b.transposed))

    refused(with_product(program, "d_h", turned), "is no such matrix")

    def crossed(gemm: Gemm) -> Gemm:
        a = replace(gemm.a, rows=gemm.a.columns, columns=gemm.a.rows, transposed=not gemm.a.transposed)
        return replace(gemm, a=a)

    refused(with_product(program, "d_h", crossed), "rows and columns that do not fit")

    def unsummed(gemm: Gemm) -> Gemm:
        return replace(gemm, equation=replace(gemm.equation, write=(gemm.equation.write[0], ZERO)))

    refused(with_product(program, "d_h", unsummed), "it sums over")


def test_a_product_over_part_of_an_axis(program):
    def shorter(gemm: Gemm) -> Gemm:
        indices = tuple(replace(i, high=i.high - 1) if i.name == "o" else i for i in gemm.equation.indices)
        return replace(gemm, equation=replace(gemm.equation, indices=indices))

    refused(with_product(program, "d_h", shorter), "o is not all of an axis of d_logits")


def test_a_product_in_the_place_of_its_operand(program):
    refused(with_buffer(program, "d_h", shares="d_logits"), "the product lies in the place of an operand")


def test_an_operand_that_is_not_stored_whole(program):
    refused(with_buffer(program, "d_logits", axes=(1,), extents=(number(5),)), "d_logits is not stored whole")


# ---------------------------------------------------------------- buffers


def test_a_missing_buffer(program):
    buffers = {name: buffer for name, buffer in program.buffers.items() if name != "loss"}
    refused(replace(program, buffers=buffers), "loss is written and has no buffer")


def test_buffers_of_another_shape(program):
    refused(with_buffer(program, "logits.sum", extents=(dim("batch"), number(7))), "is not of its shape")
    refused(with_buffer(program, "d_logits", storage=Storage.LOCAL), "d_logits is a variable with axes")
    refused(with_buffer(program, "d_h.bias", storage=Storage.WORK, offset=ZERO), "is handed out, and not the caller's")
    wrong = with_buffer(program, "loss", storage=Storage.WORK)
    refused(replace(wrong, work={}), "has no place in the work space")


def test_an_axis_that_must_be_stored(program, programs):
    exp = next(name for name in program.buffers if name.endswith(".exp"))
    wrong = with_buffer(program, exp, axes=(), extents=())
    refused(wrong, f"{exp} is not stored along axis 2, and no loop along it is around all users")
    wrong = with_buffer(programs["predict"], "p", axes=(1,), extents=(number(5),))
    refused(wrong, "p is the caller's, and not stored whole")


def test_a_place_outside_the_work_space(program):
    (kind,) = program.work
    refused(replace(program, work={kind: program.work[kind] - 1}), "reaches beyond the work space")
    refused(with_buffer(program, "h", offset=number(-1)), "reaches beyond the work space")


def test_places_that_overlap(program):
    offset = program.buffers["d_logits"].offset
    assert offset is not None
    refused(
        with_buffer(program, "d_logits", offset=offset - 1), "are in use at the same time, and their places overlap"
    )
    refused(with_buffer(program, "d_logits", offset=program.buffers["h"].offset), "their places overlap")


# ---------------------------------------------------------------- in place


def test_a_tensor_that_is_overwritten_while_it_is_in_use(program):
    """h is kept for the gradients of the second layer; the derivative by it cannot lie in its place."""
    refused(with_buffer(program, "d_h", shares="h"), "h is in use, and .* overwrites it with d_h")


def test_in_place_in_the_last_statement_that_reads(program):
    assert program.buffers["d_h"].shares == "d_h.dense"
    verify_program(program)

    def guarded(statement: Statement) -> Statement:
        guard = Guard(index(statement.path[1]) - 1, Relation.AT_LEAST)
        return replace(statement, equation=replace(statement.equation, guards=(guard,)))

    refused(with_statements(program, only("d_h.dense", guarded)), "d_h is in use")


def test_places_that_cannot_be_shared(program):
    refused(with_buffer(program, "h.dense.sum", shares="d_logits"), "h.dense.sum cannot lie in the place of d_logits")
    refused(with_buffer(program, "logits.sum", shares="x"), "logits.sum cannot lie in the place of x")
    chain = with_buffer(program, "d_logits", shares="logits.sum")
    refused(with_buffer(chain, "logits.sum", shares="d_logits"), "cannot lie in the place of")


def test_inputs_are_never_overwritten(programs):
    update = programs["update"]
    stores = [name for name, buffer in update.buffers.items() if buffer.shares == "p"]
    assert stores
    graph = update.graph
    leaf = replace(graph.tensors["p"], role=graph.tensors["t"].role)
    refused(replace(update, graph=replace(graph, tensors={**graph.tensors, "p": leaf})), "cannot lie in the place of p")


def test_an_update_stores_last(programs):
    """Whatever reads the old parameters stands before the statement that stores the new ones."""
    update = programs["update"]
    nests = [step for step in update.steps if isinstance(step, Nest)]
    statements = [s for nest in nests for s in nest.statements()]
    reader = next(s for s in statements if any(r.tensor == "p" for r in s.equation.reads))
    store = next(s for s in statements if update.buffers[s.equation.target].shares == "p")
    later = replace(store.equation, target=reader.equation.target)
    assert later.target != store.equation.target
    order = {id(s): at for at, s in enumerate(statements)}
    assert order[id(reader)] < order[id(store)]

    def change(statement: Statement) -> list[Statement]:
        if statement is store:
            return []
        return [store, statement] if statement is reader else [statement]

    with pytest.raises(InternalError, match=r"before|in use"):
        verify_program(with_statements(update, change))


def test_what_rounds_begin_too_late():
    """Backwards, the first that writes d_h comes to a place after another has: 0 must stand there before all rounds."""
    gradient = graphs(DIAGONAL).gradient
    assert gradient is not None
    program = schedule(gradient)
    zeros = next(run for run in runs_of(program).writers["d_h"])
    assert zeros.equation.body == 0
    graph = program.graph.with_equations(tuple(eq for eq in program.graph.equations if eq.body != 0))
    loops = next(step for step in program.steps[zeros.step :] if isinstance(step, Sequential))
    first, *others = loops.steps
    assert isinstance(first, Nest)

    def starting(items: tuple[Item, ...]) -> tuple[Item, ...]:
        return tuple(
            replace(item, starts=True) if isinstance(item, Statement) else replace(item, body=starting(item.body))
            for item in items
        )

    planted = replace(loops, steps=(replace(first, items=starting(first.items)), *others))
    steps = [planted if step is loops else step for at, step in enumerate(program.steps) if at != zeros.step]
    refused(replace(program, graph=graph, steps=tuple(steps)), "writes d_h in a round before .* sets it to 0")


# ---------------------------------------------------------------- text


def test_a_program_as_text(program):
    text = show(program)
    rows = text.split("\n")
    assert "  h.dense.sum[batch, 8]" in text
    assert any(row.startswith("  h.dense.sum[batch, 8]") and row.endswith("in the place of h") for row in rows)
    assert any(row.startswith("  h.dense[·, ·]") and row.endswith("a variable") for row in rows)
    assert any(row.startswith("  d_h.bias[8]") and row.endswith("the caller's: gradient h.bias") for row in rows)
    assert any("product  h.dense.sum[b, o] = sum[i] x[b, i] · h.weight[i, o]" in row for row in rows)
    assert any("logits.weight transposed" in row for row in rows)
    assert any(row.strip().startswith("loss.sum += ") for row in rows)
    assert any(row.strip() == "for b < batch:" for row in rows)
    assert text.endswith("gradient logits.bias = d_logits.bias\n")
    assert all(len(row) <= 120 for row in rows if not row.startswith("outputs:"))


def test_every_buffer_is_shown(program):
    assert isinstance(program.buffers["h"], Buffer)
    text = show(program)
    assert all(f"  {name}" in text for name in program.buffers)
