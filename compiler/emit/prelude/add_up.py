"""Sums over the workers of a step, and where they wait for each other. A wait of a microsecond needs no lock."""

# mypy: ignore-errors
# Numba infers the types: the text of these functions is emitted as it stands.
import os
import time

import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import lower_builtin, type_callable

from .array_field import array_field
from .array_of import array_of


def add_up(values, team):
    """Adds to an array what the other workers of a team hold in theirs, in their order; all wait for each other there.

    A team is (which worker this is, a board with two halves of a row for each, what turn each has told and come to); or
    None, where one works alone. A half is written anew two turns later: by then all have read it.
    """
    if team is not None:
        meet(values.reshape(-1), *team)


def joined(value, team):
    """The sum of a number that each worker has."""
    values = np.array([value])
    add_up(values, team)
    return values[0]


def place_of(team):
    """Which worker this is."""
    return 0 if team is None else team[0]


def meet(values, worker, board, turns):
    """What add_up does in a team."""
    turn = turns[worker, 1] = turns[worker, 1] + 1
    half, workers = turn % 2, turns.shape[0]
    for n in range(values.size):
        board[half, worker, n] = values[n]
    tell(turns, worker, turn)
    for other in range(workers):
        rounds = 0
        while turn_of(turns, other) < turn:
            rounds += 1
            if rounds > 4096:  # some ten microseconds: others may need the processor
                give_way()
    for n in range(values.size):
        total = board[half, 0, n]
        for other in range(1, workers):
            total += board[half, other, n]
        values[n] = total


def tell(turns, worker, turn):
    """Says that a worker has come to a turn: what it wrote before is seen by all who see that."""
    turns[worker, 0] = turn


def turn_of(turns, worker):
    """The turn that a worker has come to."""
    return turns[worker, 0]


def give_way():
    """Lets another thread run."""
    time.sleep(0)


@type_callable(add_up)
def type_of_add_up(_):
    """What compiled code takes it for: it gives nothing back."""
    return lambda values, team: types.none


@type_callable(joined)
def type_of_joined(_):
    """The same kind of number."""
    return lambda value, team: value


@type_callable(place_of)
def type_of_place_of(_):
    """A whole number."""
    return lambda team: types.intp


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


@lower_builtin(add_up, types.Array, types.NoneType)
@lower_builtin(add_up, types.Array, types.BaseTuple)
def compiled_add_up(context, builder, signature, arguments):
    """Nothing for one alone; a meeting in a team."""
    array, team = signature.args
    if isinstance(team, types.BaseTuple):
        data, count = (array_field(context, builder, array, arguments[0], name) for name in ("data", "nitems"))
        compiled_meeting(context, builder, team, arguments[1], (array.dtype, data, count))
    return context.get_dummy_value()


@lower_builtin(joined, types.Float, types.NoneType)
@lower_builtin(joined, types.Float, types.BaseTuple)
def compiled_joined(context, builder, signature, arguments):
    """The number itself; or the sum, by an array of one."""
    number, team = signature.args
    if not isinstance(team, types.BaseTuple):
        return arguments[0]
    place = cgutils.alloca_once_value(builder, arguments[0])
    compiled_meeting(context, builder, team, arguments[1], (number, place, cgutils.intp_t(1)))
    return builder.load(place)


def compiled_meeting(context, builder, team, given, stretch):
    """A meeting about some numbers that lie one after the other."""
    number, data, count = stretch
    values = types.Array(number, 1, "C")
    array = array_of(context, builder, values, data, [count], [cgutils.intp_t(number.bitwidth // 8)])
    meeting = types.none(values, *team.types)
    called = context.compile_subroutine(builder, meet, meeting)
    context.call_internal_no_propagate(builder, called.fndesc, meeting, [array, *cgutils.unpack_tuple(builder, given)])


@lower_builtin(place_of, types.NoneType)
@lower_builtin(place_of, types.BaseTuple)
def compiled_place_of(_, builder, signature, arguments):
    """The first part of a team."""
    alone = not isinstance(signature.args[0], types.BaseTuple)
    return cgutils.intp_t(0) if alone else builder.extract_value(arguments[0], 0)


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
