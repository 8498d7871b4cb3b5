"""Workers of one step: which shards of it are whose, where they wait for each other, and sums over all. A wait of a
microsecond needs no lock."""

# mypy: ignore-errors
# Numba infers the types: the text of these functions is emitted as it stands.
import os
from time import sleep

from numba import types
from numba.core import cgutils
from numba.extending import lower_builtin, type_callable
from numba.np.numpy_support import as_dtype

from .array_field import array_field
from .array_of import array_of
from .scope import kernel
from .view import view

LAST_TURN = 2**62  # come to by who was interrupted: nobody waits for it any more
AWAY, STAYS, CALLED = 0, 1, 2  # what a worker does between calls, in turns[worker, 2]


@kernel
def own_shards(shards, worker, turns):
    """Which of so many shards a worker makes, the first and the one after the last: one, or several where there are
    fewer workers. What they give depends on the shards, not on who makes them.
    """
    workers = turns.shape[0]
    return shards * worker // workers, shards * (worker + 1) // workers


@kernel
def add_up(values, team):
    """Adds to an array what the others of a team hold in theirs, in their order; all wait for each other there.

    A team is (which worker this is, a board with two halves of a row for each, what turn each has told and come to).
    A half is written anew two turns later: by then all have read it.
    """
    worker, board, turns = team
    half, flat = turns[worker, 1] % 2, view(values, 0, (values.size,))
    if turns.shape[0] > 1:
        for n in range(flat.size):
            board[half, worker, n] = flat[n]
        meet(worker, turns)
        for n in range(flat.size):
            total = board[half, 0, n]
            for other in range(1, turns.shape[0]):
                total += board[half, other, n]
            flat[n] = total


@kernel
def joined(value, team):
    """The sum of a number that each worker has."""
    worker, board, turns = team
    half, total = turns[worker, 1] % 2, float(value)
    if turns.shape[0] > 1:
        board[half, worker, 0] = value
        meet(worker, turns)
        total = board[half, 0, 0]
        for other in range(1, turns.shape[0]):
            total += board[half, other, 0]
    return total


@kernel
def put_up(value, place, shard, team):
    """Puts on the board what a shard adds to a sum."""
    worker, board, turns = team
    board[turns[worker, 1] % 2, shard, place] = value


@kernel
def added_up(place, team):
    """What all shards add to a sum, in their order, once all have met."""
    worker, board, turns = team
    half = (turns[worker, 1] - 1) % 2
    found = board[half, 0, place]
    for shard in range(1, board.shape[1]):
        found += board[half, shard, place]
    return found


@kernel
def add_shares(shares, first, last):
    """Adds what all workers have to what the first has, in their order, at the places first .. last - 1."""
    for other in range(1, shares.shape[0]):
        for n in range(first, last):
            shares[0, n] += shares[other, n]


@kernel
def rows_within(begin, end, offset, count, width):
    """Which of so many rows, the first of which lies at an offset, start at the places begin .. end - 1."""
    first, last = (begin - offset + width - 1) // width, (end - offset + width - 1) // width
    return min(max(first, 0), count), min(max(last, 0), count)


@kernel
def meet(worker, turns):
    """Waits until all have come here: each sees then what the others wrote before."""
    turn = turns[worker, 1] = turns[worker, 1] + 1
    tell(turns, worker, turn)
    for other in range(turns.shape[0]):
        rounds = 0
        while turn_of(turns, other) < turn:
            rounds += 1
            if rounds > 4096:  # some ten microseconds: others may need the processor
                give_way()


@kernel
def is_left(turns):
    """Whether a worker was interrupted: what it has not added is missing."""
    left = 0
    for other in range(turns.shape[0]):
        left += turn_of(turns, other) == LAST_TURN
    return left > 0


@kernel
def all_called(turns):
    """Calls all who stay to one call more; whether nobody is away."""
    there = 0
    for worker in range(1, turns.shape[0]):
        there += call_staying(turns, worker)
    return there == turns.shape[0] - 1


@kernel
def called_again(worker, turns):
    """Stays for a while, some tenths of a millisecond, and says whether there was a call meanwhile."""
    rounds = 0
    while stays_uncalled(turns, worker) and rounds < 6144:
        rounds += 1
        if rounds > 4096:
            give_way()
    return not leave_uncalled(turns, worker)


def tell(turns, worker, turn):
    """Says that a worker has come to a turn: what it wrote before is seen by all who see that."""
    turns[worker, 0] = turn


def turn_of(turns, worker):
    """The turn that a worker has come to."""
    return turns[worker, 0]


def give_way():
    """Lets another thread run."""
    sleep(0)


def call_staying(turns, worker):
    """Calls a worker that stays; whether it does. In Python none does: one that is not yet away soon will be."""
    while turns[worker, 2] == STAYS:
        sleep(0)
    return False


def stays_uncalled(turns, worker):
    """Whether a worker waits for a call, and has none yet. In Python none waits."""
    return False


def leave_uncalled(turns, worker):
    """Ends a worker's stay, if it was not called; whether it ends."""
    turns[worker, 2] = AWAY
    return True


def note_array(calls, at, array):
    """Writes down where an array lies and how long its axes are."""


def noted_array(calls, at, array):
    """An array of the same kind that was written down."""
    return array


@type_callable(tell)
def type_of_tell(_):
    """It gives nothing back."""
    return lambda turns, worker, turn: types.none


@type_callable(turn_of)
def type_of_turn_of(_):
    """A whole number."""
    return lambda turns, worker: types.intp


@type_callable(give_way)
def type_of_give_way(_):
    """It gives nothing back."""
    return lambda: types.none


@type_callable(call_staying)
@type_callable(stays_uncalled)
@type_callable(leave_uncalled)
def type_of_called(_):
    """Whether it is so."""
    return lambda turns, worker: types.boolean


@type_callable(note_array)
def type_of_noted(_):
    """It gives nothing back."""
    return lambda calls, at, array: types.none


@type_callable(noted_array)
def type_of_found(_):
    """The same kind of array."""
    return lambda calls, at, array: array


def compiled_turn(context, builder, turns, given, worker):
    """Where a worker's turn stands."""
    data, strides = (array_field(context, builder, turns, given, name) for name in ("data", "strides"))
    return cgutils.pointer_add(builder, data, builder.mul(worker, builder.extract_value(strides, 0)))


@lower_builtin(tell, types.Array, types.Integer, types.Integer)
def compiled_tell(context, builder, signature, arguments):
    """A store that nothing written before it passes."""
    place = compiled_turn(context, builder, signature.args[0], *arguments[:2])
    builder.store_atomic(arguments[2], place, "release", 8)
    return context.get_dummy_value()


@lower_builtin(turn_of, types.Array, types.Integer)
def compiled_turn_of(context, builder, signature, arguments):
    """A load that nothing read after it passes."""
    place = compiled_turn(context, builder, signature.args[0], *arguments)
    return builder.load_atomic(place, "acquire", 8)


@lower_builtin(give_way)
def compiled_give_way(context, builder, *_):
    """By the C library, where it has a function for that."""
    if hasattr(os, "sched_yield"):
        kind = cgutils.ir.FunctionType(cgutils.int32_t, [])
        builder.call(cgutils.get_or_insert_function(builder.module, kind, "sched_yield"), [])
    return context.get_dummy_value()


def compiled_change(context, builder, signature, arguments, old, new):
    """Whether turns[worker, 2] was the one, and now is the other."""
    place = compiled_turn(context, builder, signature.args[0], *arguments)
    place = cgutils.pointer_add(builder, place, cgutils.intp_t(16))
    done = builder.cmpxchg(place, cgutils.intp_t(old), cgutils.intp_t(new), "acq_rel", "acquire")
    return builder.extract_value(done, 1)


@lower_builtin(call_staying, types.Array, types.Integer)
def compiled_called(context, builder, signature, arguments):
    """All that was written before is seen by who is called."""
    return compiled_change(context, builder, signature, arguments, STAYS, CALLED)


@lower_builtin(leave_uncalled, types.Array, types.Integer)
def compiled_leaves(context, builder, signature, arguments):
    """Either it ends, or it is called: not both."""
    return compiled_change(context, builder, signature, arguments, STAYS, AWAY)


@lower_builtin(stays_uncalled, types.Array, types.Integer)
def compiled_stays(context, builder, signature, arguments):
    """A load that nothing read after it passes."""
    place = compiled_turn(context, builder, signature.args[0], *arguments)
    place = cgutils.pointer_add(builder, place, cgutils.intp_t(16))
    return builder.icmp_signed("==", builder.load_atomic(place, "acquire", 8), cgutils.intp_t(STAYS))


def compiled_note(context, builder, calls, given, at):
    """Where in what is written down an array's numbers start."""
    data = array_field(context, builder, calls, given, "data")
    return cgutils.pointer_add(builder, data, builder.mul(at, cgutils.intp_t(8)), cgutils.intp_t.as_pointer())


@lower_builtin(note_array, types.Array, types.Integer, types.Array)
def compiled_noted(context, builder, signature, arguments):
    """Its address and the lengths of its axes."""
    calls, _, kind = signature.args
    note = compiled_note(context, builder, calls, *arguments[:2])
    data, shape = (array_field(context, builder, kind, arguments[2], name) for name in ("data", "shape"))
    numbers = [builder.ptrtoint(data, cgutils.intp_t), *cgutils.unpack_tuple(builder, shape)]
    for n, number in enumerate(numbers):
        builder.store(number, builder.gep(note, [cgutils.intp_t(n)]))
    return context.get_dummy_value()


@lower_builtin(noted_array, types.Array, types.Integer, types.Array)
def compiled_found(context, builder, signature, arguments):
    """An array that lies there row after row, and is nobody's."""
    calls, _, kind = signature.args
    note = compiled_note(context, builder, calls, *arguments[:2])
    address, *lengths = (builder.load(builder.gep(note, [cgutils.intp_t(n)])) for n in range(kind.ndim + 1))
    pointer = array_field(context, builder, kind, arguments[2], "data").type
    steps = [cgutils.intp_t(as_dtype(kind.dtype).itemsize)]
    for length in reversed(lengths[1:]):
        steps.insert(0, builder.mul(steps[0], length))
    return array_of(context, builder, kind, builder.inttoptr(address, pointer), lengths, steps)
