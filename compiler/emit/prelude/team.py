"""Workers of one step: where they wait for each other, and sums over all. A wait of a microsecond needs no lock."""

# mypy: ignore-errors
# Numba infers the types: the text of these functions is emitted as it stands.
import os
from time import sleep

from numba import types
from numba.core import cgutils
from numba.extending import lower_builtin, type_callable

from .array_field import array_field
from .scope import kernel
from .view import view

LAST_TURN = 2**62  # come to by who was interrupted: nobody waits for it any more


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


def tell(turns, worker, turn):
    """Says that a worker has come to a turn: what it wrote before is seen by all who see that."""
    turns[worker, 0] = turn


def turn_of(turns, worker):
    """The turn that a worker has come to."""
    return turns[worker, 0]


def give_way():
    """Lets another thread run."""
    sleep(0)


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
