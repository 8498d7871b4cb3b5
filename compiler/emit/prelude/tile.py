"""Tiles of matrix products: as much of a result as the processor's vector registers hold."""

# mypy: ignore-errors
# Numba infers the types: the text of these functions is emitted as it stands.
from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

# A vector register has so many bytes, and so many rows of two registers each are summed up in registers; or so few of
# four each; or one of so many.
REGISTER = next((width for name, width in (("avx512f", 64), ("avx2", 32)) if get_host_cpu_features().get(name)), 16)
ROWS, FEW, LONG = (8, 4, 4) if REGISTER == 64 else (6, 2, 8)


def tile(dtype, rows, vectors, packs=False):
    """out[i, j] = Σ_s,k a[s, i, k]·b[s, k, j], or += , for `rows` rows, and columns that fill so many registers.

    Compiled code calls it with addresses and steps in bytes; the columns lie side by side in b and out. `last` is the
    last row that there is: those after it do its work again. Of the columns of one register alone, there are `width`.
    With `packs`, what is read of b is put side by side to `panel`, for the tiles below it. So many `tiles` are made,
    one below the other: what a call takes is a tenth of a tile of 32 terms.

    This is the inner part of Goto and van de Geijn's "Anatomy of high-performance matrix multiplication" (2008): sums
    stay in registers over all s and k; for each a row of b is loaded, and each number of a's column multiplied with it.
    """
    vector, number = register_of(dtype)
    places = [(r, v) for r in range(rows) for v in range(vectors)]

    def body(builder, *operands):
        a, a_row, a_term, b, b_term, out, out_row, terms, last, width, accumulate, panel, *stack, tiles = operands
        a_next, b_next, count = stack
        a, b, out, panel = (pointer(builder, address) for address in (a, b, out, panel))
        wide = None if vectors > 1 else width
        row = [least(builder, r, last) for r in range(rows)]
        a_rows = [builder.mul(a_row, r) for r in row]
        out_rows = [builder.mul(out_row, r) for r in row]
        a_tile, out_tile = (builder.mul(step, ir.Constant(step.type, rows)) for step in (a_row, out_row))
        kind = ir.FunctionType(vector, [vector] * 3)
        fused = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fmuladd.{suffix_of(vector)}")

        def following(a_now, b_now, panel_now, *sums):
            columns = [load(builder, vector, behind(builder, b_now, v * REGISTER), wide) for v in range(vectors)]
            for v in range(vectors if packs else 0):
                store(builder, columns[v], behind(builder, panel_now, v * REGISTER))
            factors = [load(builder, number, behind(builder, a_now, a_rows[r])) for r in range(rows)]
            factors = [spread(builder, factor, vector) for factor in factors]
            products = zip(places, sums, strict=True)
            grown = [builder.call(fused, [factors[r], columns[v], total]) for (r, v), total in products]
            nexts = (a_now, a_term), (b_now, b_term), (panel_now, vectors * REGISTER if packs else 0)
            return [*(behind(builder, *place) for place in nexts), *grown]

        zeros = [ir.Constant(vector, [0.0] * vector.count)] * len(places)

        def following_pair(a_now, b_now, *more):
            _, _, panel_now, *sums = repeated(builder, terms, [a_now, b_now, *more], following)
            return [behind(builder, a_now, a_next), behind(builder, b_now, b_next), panel_now, *sums]

        def following_tile(a_top, out_top):
            _, _, _, *totals = repeated(builder, count, [a_top, b, panel, *zeros], following_pair)
            targets = [behind(builder, out_top, out_rows[r], v * REGISTER) for r, v in places]
            with builder.if_else(accumulate) as (add, put):
                with add:
                    # all are read before any is written: a row that stands for others is written several times
                    before = [load(builder, vector, place, wide) for place in targets]
                    for place, *parts in zip(targets, before, totals, strict=True):
                        store(builder, builder.fadd(*parts), place, wide)
                with put:
                    for place, total in zip(targets, totals, strict=True):
                        store(builder, total, place, wide)
            return [behind(builder, a_top, a_tile), behind(builder, out_top, out_tile)]

        repeated(builder, tiles, [a, out], following_tile)

    return once(f"tile.{rows}.{vectors}.{'packing.' if packs else ''}{suffix_of(vector)}", body)


def turn(dtype):
    """out[k, j] = b[j, k] for as many j and k as a register has numbers; of the j there are those up to `last`.

    Rows are interleaved with those half the way further down, again and again, until they are columns.
    """
    vector, _ = register_of(dtype)
    count, half = vector.count, vector.count // 2
    orders = [[n for k in some for n in (k, count + k)] for some in (range(half), range(half, count))]

    def body(builder, *operands):
        b, b_column, last, out, out_row = operands
        b, out = (pointer(builder, address) for address in (b, out))
        places = (behind(builder, b, builder.mul(b_column, least(builder, r, last))) for r in range(count))
        rows = [load(builder, vector, place) for place in places]
        masks = [ir.Constant(ir.VectorType(ir.IntType(32), count), order) for order in orders]
        for _ in range(count.bit_length() - 1):
            pairs = zip(rows[:half], rows[half:], strict=True)
            rows = [builder.shuffle_vector(*pair, mask) for pair in pairs for mask in masks]
        for r in range(count):
            store(builder, rows[r], behind(builder, out, builder.mul(out_row, ir.Constant(out_row.type, r))))

    return once(f"turn.{suffix_of(vector)}", body)


def move(dtype):
    """Copies a number from one address to another."""
    _, number = register_of(dtype)

    def body(builder, *addresses):
        b, out = (pointer(builder, address) for address in addresses)
        store(builder, load(builder, number, b), out)

    return once(f"move.f{8 * item_of(number)}", body)


def once(name, body):
    """A function of a tuple of numbers, for compiled code, built once in each library: `body` says what it is."""

    @intrinsic
    def call(typing, numbers):
        def code(context, builder, signature, arguments):
            values = cgutils.unpack_tuple(builder, arguments[0])
            kind = ir.FunctionType(ir.VoidType(), [value.type for value in values])
            function = cgutils.get_or_insert_function(builder.module, kind, name)
            if function.is_declaration:
                function.linkage = "linkonce_odr"
                inner = ir.IRBuilder(function.append_basic_block("start"))
                body(inner, *function.args)
                inner.ret_void()
            builder.call(function, values)
            return context.get_dummy_value()

        return types.void(numbers), code

    return call


def room(size):
    """The address of so many bytes on the stack of the function that asks."""

    @intrinsic
    def address(typing):
        def code(context, builder, signature, arguments):
            with builder.goto_entry_block():  # cgutils.alloca_once would fill it with 0
                place = builder.alloca(ir.IntType(8), size)
            place.align = REGISTER
            return builder.ptrtoint(place, cgutils.intp_t)

        return types.intp(), code

    return address


def register_of(dtype):
    """A register full of numbers, and a number, as LLVM's types."""
    number = ir.FloatType() if dtype == types.float32 else ir.DoubleType()
    return ir.VectorType(number, REGISTER * 8 // dtype.bitwidth), number


def suffix_of(vector):
    """What LLVM calls a type of vectors in names of functions."""
    return f"v{vector.count}f{8 * item_of(vector)}"


def repeated(builder, rounds, values, following):
    """Code for a loop: values, of which so many times those that follow are made."""
    start, loop, after = builder.block, builder.append_basic_block("loop"), builder.append_basic_block("after")
    none, one = ir.Constant(rounds.type, 0), ir.Constant(rounds.type, 1)
    builder.cbranch(builder.icmp_signed(">", rounds, none), loop, after)
    builder.position_at_end(loop)
    now = [builder.phi(value.type) for value in (rounds, *values)]
    then = [builder.sub(now[0], one), *following(*now[1:])]
    last = builder.block  # another one, if there are loops in it
    builder.cbranch(builder.icmp_signed(">", then[0], none), loop, after)
    builder.position_at_end(after)
    end = [builder.phi(value.type) for value in values]
    for phi, first, other in zip(now, (rounds, *values), then, strict=True):
        phi.add_incoming(first, start)
        phi.add_incoming(other, last)
    for phi, first, other in zip(end, values, then[1:], strict=True):
        phi.add_incoming(first, start)
        phi.add_incoming(other, last)
    return end


def least(builder, number, other):
    """The smaller one."""
    number = ir.Constant(other.type, number)
    return builder.select(builder.icmp_signed("<", other, number), other, number)


def pointer(builder, address):
    """The place of a byte, given as a number."""
    return builder.inttoptr(address, ir.IntType(8).as_pointer())


def behind(builder, place, *counts):
    """So many bytes behind a place. (Of addresses added up as numbers, LLVM takes some for no address at all.)"""
    for count in counts:
        place = builder.gep(place, [ir.Constant(ir.IntType(64), count) if isinstance(count, int) else count])
    return place


def spread(builder, number, vector):
    """A register with one number everywhere."""
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
    places = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), [0] * vector.count)
    return builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), places)


def load(builder, kind, place, count=None):
    """What lies at an address: a number, or a register, of which there may be the first `count` numbers alone."""
    place = builder.bitcast(place, kind.as_pointer())
    if count is None:
        return builder.load(place, align=item_of(kind))
    zero = ir.Constant(kind, [0.0] * kind.count)
    return masked(builder, "load", kind, kind, [place, item_of(kind), first_of(builder, kind, count), zero])


def store(builder, value, place, count=None):
    """Puts a register, or its first `count` numbers, to an address."""
    kind = value.type
    place = builder.bitcast(place, kind.as_pointer())
    if count is None:
        builder.store(value, place, align=item_of(kind))
    else:
        mask = first_of(builder, kind, count)
        masked(builder, "store", ir.VoidType(), kind, [value, place, item_of(kind), mask])


def masked(builder, what, result, vector, arguments):
    """A call of one of LLVM's functions that load or store part of a register."""
    arguments = [ir.Constant(ir.IntType(32), part) if isinstance(part, int) else part for part in arguments]
    kind = ir.FunctionType(result, [part.type for part in arguments])
    name = f"llvm.masked.{what}.{suffix_of(vector)}"
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)


def item_of(kind):
    """The bytes of a number."""
    return 4 if isinstance(getattr(kind, "element", kind), ir.FloatType) else 8


def first_of(builder, vector, count):
    """Which numbers of a register are the first so many."""
    lanes = ir.VectorType(ir.IntType(32), vector.count)
    count = spread(builder, builder.trunc(count, ir.IntType(32)), lanes)
    return builder.icmp_signed("<", ir.Constant(lanes, list(range(vector.count))), count)
