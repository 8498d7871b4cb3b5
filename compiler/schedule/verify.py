"""Checks what every program must keep: program → nothing, or an `InternalError` that names the statement.

Each equation of the graph is computed once; every place that is read was written before, and is complete by then, in
the loops as well; products are of matrices; and what `verify_memory` checks of buffers. A
program that fails is a bug of gradc.
"""

from collections.abc import Iterable
from dataclasses import replace

from gradc.errors import InternalError
from gradc.graph.index import IndexExpr
from gradc.graph.ranges import Ranges
from gradc.graph.recurrence import begins_late, near_reads
from gradc.graph.verify import describe
from gradc.graph.verify import verify as verify_graph

from .matrices import used_in
from .program import Gemm, Operand, Program, Sequential, Step, block_of, plain_steps, turn_of
from .runs import Run, Runs, Subscripts, runs_of, shared_loops
from .verify_memory import verify_memory


def verify_program(program: Program, preconditions: Iterable[IndexExpr] = ()) -> None:
    """Raises an `InternalError` where the program breaks an invariant.

    Args:
        program: the program to check.
        preconditions: expressions in the dims that are checked to be ≥ 0 when called.
    """
    facts = tuple(preconditions)
    runs = runs_of(program)
    verify_graph(replace(program.graph, equations=tuple(run.equation for run in runs.all)), facts)
    _everything_is_computed(program, runs)
    for run in runs.all:
        _loops_fit(run)
        _order(run, program, runs)
    for step in plain_steps(program.steps):
        if isinstance(step, Gemm):
            _product(step, program)
    _rounds_fit(program.steps, frozenset())
    verify_memory(program, runs, Ranges(facts=facts))


def _everything_is_computed(program: Program, runs: Runs) -> None:
    graph = program.graph
    for name in dict.fromkeys((*graph.writers, *runs.writers)):
        wanted, found = len(graph.writers.get(name, ())), len(runs.writers.get(name, ()))
        if wanted != found:
            raise InternalError(f"{name} has {wanted} equations, of which the program computes {found}")
    for label, name in graph.outputs.items():
        if name not in runs.writers:
            raise InternalError(f"the output {label} is {name}, which no step writes")


def _loops_fit(run: Run) -> None:
    """Its loops are its indices, with their ranges, each once."""
    if run.statement is None:
        return
    names = tuple(loop.index.name for loop in run.loops)
    taken = (*run.statement.around, *run.statement.path)
    if names != taken or len(set(names)) < len(names):
        raise InternalError(f"{run}: it stands in loops over {names}, and takes them for {taken}")
    if {index.name: index for index in run.equation.indices} != {loop.index.name: loop.index for loop in run.loops}:
        raise InternalError(f"{run}: its indices are not those of the loops around it")


# ---------------------------------------------------------------- read after write


def _order(run: Run, program: Program, runs: Runs) -> None:
    """All that it reads is complete, and what it adds to has begun."""
    for name in run.equation.sources():
        if program.graph.tensors[name].role is None:
            _read_after_write(run, name, runs)
    first = runs.writers[run.equation.target][0]
    in_parts = run.statement is not None and run.statement.parts is not None
    if run.starts != (run is first or in_parts):
        raise InternalError(f"{run}: it is{' not' if run.starts else ''} the first that writes {run.equation.target}")
    if run is not first and not in_parts:
        _complete(first, run, [run.equation.write], begun=True)
        if begins_late(first.equation, run.equation, _rounds_around(first, run)):
            raise InternalError(f"{run}: it writes {run.equation.target} in a round before {first} sets it to 0")


def _read_after_write(run: Run, name: str, runs: Runs) -> None:
    if name not in runs.writers:
        raise InternalError(f"{run}: it reads {name}, which no step writes")
    if not _has_begun(name, run, runs):
        raise InternalError(f"{run}: it reads {name} before anything has set it to 0")
    for writer in runs.writers[name]:
        places = _of_this_round(writer, run, name)
        if not places:
            continue
        if writer.order >= run.order:
            raise InternalError(f"{run}: it reads {name} before {writer} has written it")
        _complete(writer, run, places)


def _has_begun(name: str, reader: Run, runs: Runs) -> bool:
    """Whether the first that writes a tensor comes before, or in an earlier round."""
    first = runs.writers[name][0]
    around = reader.loops[: shared_loops(first, reader)]
    return first.order < reader.order or any(isinstance(loop, Sequential) for loop in around)


def _of_this_round(writer: Run, reader: Run, name: str) -> list[Subscripts]:
    """What it reads of the writer, less what that never writes, and what earlier rounds of loops around both wrote."""
    around = _rounds_around(writer, reader)
    if not around and writer.order < reader.order:
        return list(reader.reads(name))
    near = near_reads(reader.equation, writer.equation, around)
    if not all(certain for _, certain in near):
        rounds = " and ".join(name for name, _ in around)
        raise InternalError(f"{reader}: it reads {name} of a round of {rounds} still to come")
    return [place for place, _ in near]


def _rounds_around(a: Run, b: Run) -> list[tuple[str, bool]]:
    """The sequential loops around both: the index of each, and whether it runs backward."""
    loops = a.loops[: shared_loops(a, b)]
    return [(loop.index.name, loop.backward) for loop in loops if isinstance(loop, Sequential)]


def _complete(writer: Run, reader: Run, places: list[Subscripts], begun: bool = False) -> None:
    """In every loop around both that goes in any order, the writer writes at its index, and the reader is there too.

    With `begun` it is enough that the writer has set the place to 0: loops that it sums over need not be over.
    """
    for depth in range(shared_loops(writer, reader)):
        name = writer.loops[depth].index.name
        if isinstance(writer.loops[depth], Sequential):
            continue
        if begun and (statement := writer.statement) and depth >= len(statement.around) + statement.free_prefix:
            return
        alike = [
            places_at for places_at in zip(writer.equation.write, *places, strict=True) if _all_are(name, places_at)
        ]
        if not alike:
            what = f"{writer.equation.target} is not complete within the loop over {name}, where {writer} writes it"
            raise InternalError(f"{reader}: {what}")


def _all_are(name: str, places: Iterable[IndexExpr]) -> bool:
    return all(place.bare == name for place in places)


# ---------------------------------------------------------------- products


def _product(gemm: Gemm, program: Program) -> None:
    batch = {index.name for index in gemm.batch}
    for operand in (gemm.out, gemm.a, gemm.b):
        _operand(gemm, operand, batch, program)
    if (gemm.out.rows, gemm.out.columns, gemm.a.columns) != (gemm.a.rows, gemm.b.columns, gemm.b.rows):
        raise InternalError(f"{describe(gemm.equation)}: rows and columns that do not fit")
    if set(gemm.a.columns) != {index.name for index in gemm.equation.reduced} - batch:
        raise InternalError(f"{describe(gemm.equation)}: it sums over {', '.join(gemm.a.columns)}")
    if program.root_of(gemm.out.tensor) in map(program.root_of, (gemm.a.tensor, gemm.b.tensor)):
        raise InternalError(f"{describe(gemm.equation)}: the product lies in the place of an operand")


def _rounds_fit(steps: Iterable[Step], rounds: frozenset[str]) -> None:
    """The indices of a product make its matrices and its loops, but for those of the recurrences around it."""
    for step in steps:
        if isinstance(step, Sequential):
            _rounds_fit(step.steps, rounds | {step.index.name})
        elif isinstance(step, Gemm):
            names = {i.name for i in step.equation.indices}
            if names - rounds != used_in(step):
                raise InternalError(f"{describe(step.equation)}: it takes {', '.join(names)} for other loops than its")


def _operand(gemm: Gemm, operand: Operand, batch: set[str], program: Program) -> None:
    """The tensor is stored whole, and is the matrix that it is taken for."""
    tensor = program.graph.tensors[operand.tensor]
    buffer = program.buffers.get(operand.tensor)
    inner = {*operand.rows, *operand.columns}
    stored = range(len(tensor.axes)) if buffer is None else buffer.axes
    packed = gemm.packing is not None and operand.tensor in gemm.packing.written
    whole = inner | batch - {index.name for index in gemm.packing_rounds} if packed else inner | batch
    if any(at not in stored for at, place in enumerate(operand.subscripts) if whole & set(place.indices)):
        raise InternalError(f"{describe(gemm.equation)}: {operand.tensor} is not stored whole")
    groups = (operand.columns, operand.rows) if operand.transposed else (operand.rows, operand.columns)
    ends = {index.name: index for index in gemm.equation.indices}
    kept = tuple(name for name in operand.order if name in inner)
    if kept != (*groups[0], *groups[1]):
        raise InternalError(f"{describe(gemm.equation)}: {operand.tensor}[{', '.join(kept)}] is no such matrix")
    for place, extent in zip(operand.subscripts, tensor.extents, strict=True):
        name = place.bare
        if operand.window is None and name is None and inner & set(place.indices):
            if turn_of(place, extent, ends) is not None and any(group == place.indices for group in groups):
                continue
            block = block_of(place, extent, ends)
            if block is None or block.number not in batch or not any(group == (block.within,) for group in groups):
                raise InternalError(f"{describe(gemm.equation)}: {place} is no block of an axis of {operand.tensor}")
        if name not in inner:
            continue
        if ends[name].low.terms or ends[name].high != extent:
            raise InternalError(f"{describe(gemm.equation)}: {name} is not all of an axis of {operand.tensor}")
