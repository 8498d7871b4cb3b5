"""How Numba compiles a module: an entry goes to LLVM at once, with all that it calls.

By itself Numba hands every function to LLVM alone, and again with each that calls it: a kernel would be optimised and
translated twice or more. And it writes much for LLVM that no code here is in need of: for indices from the end, for
steps of 0, for where each variable is last needed. A first step took twice as long with it, as measured in 2026.
"""

# mypy: ignore-errors
import gc
import operator
from collections import Counter
from contextlib import contextmanager
from functools import cache, reduce
from itertools import chain

from llvmlite import binding
from llvmlite.ir import Constant, IntType, IRBuilder
from llvmlite.ir.instructions import InsertValue, PhiInstr
from numba import types
from numba.core import cgutils, config
from numba.core.analysis import compute_cfg_from_blocks, compute_use_defs
from numba.core.callconv import CPUCallConv, Status
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.core.compiler_machinery import register_pass
from numba.core.cpu import CPUContext
from numba.core.ir import UNDEFINED, Assign
from numba.core.ir_utils import build_definitions, find_const, guard
from numba.core.lowering import Lower
from numba.core.rewrites import rewrite_registry
from numba.core.ssa import reconstruct_ssa
from numba.core.typed_passes import NativeLowering, PreLowerStripPhis
from numba.core.typing.templates import CallableTemplate
from numba.core.untyped_passes import GenericRewrites, ReconstructSSA

from .array_field import array_field
from .array_of import array_of
from .own_signature import own_signature

# What the classes below change in Numba, which promises nothing of it.
INNER = (
    *((JITCodeLibrary, name) for name in ("add_ir_module", "get_defined_functions", "_get_module_for_linking")),
    (JITCodeLibrary, "_optimize_final_module"),
    *((Lower, name) for name in ("lower_expr", "lower_binop", "lower_getitem", "lower_setitem", "loadvar", "typeof")),
    *((Lower, name) for name in ("setup_function", "_find_singly_assigned_variable")),
    *((CPUCallConv, name) for name in ("call_function", "_get_return_argument", "_get_excinfo_argument")),
    *((CPUCallConv, "return_status_propagate"), (CPUContext, "call_conv")),
    *((ReconstructSSA, "_patch_locals"), (PreLowerStripPhis, "_strip_phi_nodes")),
)


# To LLVM half a register is better, as it was for processors that ran slower with whole ones. (A name that llvmlite
# does not know among attributes.)
WIDE = '"prefer-vector-width"="512"'
# By itself it makes 1/√x in float32 from an estimate, and corrects that: to NaN where x is 0 or infinite.
EXACT = '"reciprocal-estimates"="none"'


def fitting(compiler, *how):
    """The compiler, or Numba's own if Numba is no longer made as this one expects: then the same is compiled slower."""
    return (compiler if all(hasattr(inner, name) for inner, name in INNER) else Compiler)(*how)


class Part(JITCodeLibrary):
    """The code of a function that entries call: it waits for them as Numba wrote it."""

    # Numba would have it compiled to know its address: it has none, and Python cannot call it
    codegen = property(lambda part: part)
    get_pointer_to_function = set_env = lambda *_: 0

    def add_ir_module(self, module):
        """Takes the code in. A kernel stays a function of its own, and fills whole registers."""
        for function in module.functions:
            leave_out_unread(function)
            if not function.is_declaration and "alwaysinline" not in function.attributes:
                function.attributes.add("noinline")
                set.update(function.attributes, (WIDE, EXACT))
        super().add_ir_module(module)

    def add_llvm_module(self, module):
        """Takes the code in, as it is."""
        self._final_module.link_in(module)

    def finalize(self):
        """Not here: in the entries."""
        self._finalized = True

    def _get_module_for_linking(self):
        return self._final_module


def leave_out_unread(function):
    """Leaves out the arrays, and other values of several parts, that are put together but only read part by part."""
    written = [each for block in function.blocks for each in block.instructions]
    phis = (incoming for each in written if isinstance(each, PhiInstr) for incoming, _ in each.incomings)
    times = Counter(map(id, chain(phis, *(each.operands for each in written))))
    for each in reversed(written):
        if isinstance(each, InsertValue) and not times[id(each)]:
            times.subtract(map(id, each.operands))
    unread = {id(each) for each in written if isinstance(each, InsertValue) and not times[id(each)]}
    for block in function.blocks:
        block.instructions = [each for each in block.instructions if id(each) not in unread]


class Whole(JITCodeLibrary):
    """The code of an entry and of all that it calls."""

    def add_ir_module(self, module):
        """Takes the entry's own code in."""
        for function in module.functions:
            if not function.is_declaration:
                set.add(function.attributes, EXACT)
        super().add_ir_module(module)

    def add_llvm_module(self, module):
        """Takes the code in."""
        self._final_module.link_in(module)

    def finalize(self):
        """Links what it calls, what that calls, and so on; only then is all of it compiled."""
        for library in self._linking_libraries:
            more = library._linking_libraries if isinstance(library, Part) else []
            self._linking_libraries += [each for each in more if each not in self._linking_libraries]
        super().finalize()

    def _optimize_final_module(self):
        for function in self.get_defined_functions():
            # nobody else calls it: what it is always given is known in it
            if self.name not in function.name and function.linkage.name != "weak_odr":
                function.linkage = "internal"
        level, config.OPT = config.OPT, min(config.OPT, 2)  # level 3 unrolls twice as far: no faster, but longer to do
        try:
            super()._optimize_final_module()
        finally:
            config.OPT = level
        if hasattr(self._codegen, "_pass_builder"):
            # only now are there loops by registers, and calls in them of what is written for registers
            passes = binding.create_new_module_pass_manager()
            passes.add_always_inliner_pass()
            passes.run(self._final_module, self._codegen._pass_builder())
        for function in self.get_defined_functions():
            # code that is linked later would call it for what has its name there: it is made for its callers here
            if function.linkage.name == "internal":
                function.name += f".{self.name}"


class Types:
    """What Numba knows of types. What an operator makes of numbers and arrays is asked once: Numba tries dozens of
    meanings, those for lists and texts too, and would at every sum in a module. Nor is a function asked again that
    tells the type of what it returns by those that it is given, as `view` and `gemm` do."""

    operators = frozenset((*filter(callable, vars(operator).values()), bool))
    operands = (types.Number, types.Boolean, types.Array, types.BaseTuple)

    def __init__(self, context):
        self.context = context

    def __getattr__(self, name):
        return getattr(self.context, name)

    def resolve_function_type(self, function, given, named):
        """The signature of a call."""
        if isinstance(function, types.Function) and not named:
            plain = function.typing_key in self.operators and all(isinstance(each, self.operands) for each in given)
            if plain or all(issubclass(each, CallableTemplate) for each in function.templates):
                return signature_of(self.context, function, tuple(given))
            if getattr(function.typing_key, "__module__", None) == __name__:
                return own_signature(self.context, function, given)
        return self.context.resolve_function_type(function, given, named)

    def resolve_setitem(self, target, index, value):
        """The signature of an assignment to a place of an array."""
        return self.resolve_function_type(self.resolve_value_type(operator.setitem), (target, index, value), {})


@cache
def signature_of(context, function, given):
    """The signature of a call with these types."""
    return context.resolve_function_type(function, given, {})


NEVER, ALWAYS = (Constant(IntType(1), truth) for truth in (0, 1))


class Calls(CPUCallConv):
    """How functions are called. None of these raises an exception: what Numba writes behind each call, in case it does,
    is left out."""

    def call_function(self, builder, function, kind, kinds, values, attrs=None):
        """A call: its status, and what it returns."""
        place = builder.place_for(self._get_return_argument(function.function_type).pointee)
        given = self._get_arg_packer(kinds).as_arguments(builder, values)
        code = builder.call(function, [place, self._get_excinfo_argument(builder.function), *given], attrs=attrs or ())
        status = Status(**dict.fromkeys(Status._fields, NEVER) | {"code": code, "is_ok": ALWAYS})
        if kind == types.none:
            return status, self.context.get_dummy_value()
        return status, self.context.get_returned_value(builder, kind, builder.load(place))

    def return_status_propagate(self, builder, status):
        """What is done where a call has raised an exception."""


class Context(CPUContext):
    """What Numba knows of the processor, with such calls."""

    call_conv = property(Calls)


class Builder(IRBuilder):
    """Writes LLVM's text. What was put into an array's or a tuple's value need not be taken out of it again, nor is the
    product of two sizes left to be found."""

    def __init__(self, block):
        super().__init__(block)
        self.places = {}

    def place_for(self, kind):
        """Where calls leave what they return of this type, from where it is taken at once."""
        if kind not in self.places:
            self.places[kind] = cgutils.alloca_once(self, kind)
        return self.places[kind]

    @contextmanager
    def if_then(self, condition, likely=None):
        """What is written where a condition holds."""
        if condition is NEVER:
            yield
        else:
            with super().if_then(condition, likely) as block:
                yield block

    def extract_value(self, whole, place, name=""):
        """What stands at a place of a value."""
        wanted = list(place) if isinstance(place, (tuple, list)) else [place]
        made = whole
        while isinstance(made, InsertValue):
            there, rest = list(made.indices), wanted[len(made.indices) :]
            if there == wanted[: len(there)]:
                return self.extract_value(made.value, rest) if rest else made.value
            if wanted == there[: len(wanted)]:
                break  # only a part of it was put in here
            made = made.aggregate
        else:
            if isinstance(made, Constant) and made.constant is None:  # all of it is 0
                return Constant(reduce(lambda kind, at: kind.elements[at], wanted, made.type), None)
        return super().extract_value(whole, place, name)

    def mul(self, one, other, **how):
        """A product of whole numbers."""
        if all(isinstance(each, Constant) and isinstance(each.constant, int) for each in (one, other)):
            return Constant(one.type, one.constant * other.constant)
        return super().mul(one, other, **how)


class Statements(Lower):
    """How statements become LLVM's: rounds of loops and numbers of arrays in a few lines, where Numba, which thinks of
    steps of 0 and of indices from the end, writes ten times as many for LLVM to read and to leave out."""

    def lower_expr(self, result, expr):
        """The value of an expression."""
        builder, op = self.builder, expr.op
        if op == "call" and isinstance(result, types.RangeType):
            given = [(self.loadvar(each.name), self.typeof(each.name)) for each in expr.args]
            ends = [self.context.cast(builder, value, kind, result.dtype) for value, kind in given]
            whole = ends[0].type
            ends = [whole(0), *ends] if len(ends) == 1 else ends
            return self.struct(result, [*ends, whole(1)][:3])
        if op == "getiter" and isinstance(self.typeof(expr.value.name), types.RangeType):
            return self.struct(result, self.rounds(*cgutils.unpack_tuple(builder, self.loadvar(expr.value.name))))
        if op == "iternext" and isinstance(self.typeof(expr.value.name), types.RangeIteratorType):
            return self.struct(result, self.following(*cgutils.unpack_tuple(builder, self.loadvar(expr.value.name))))
        if op in ("pair_first", "pair_second"):
            return builder.extract_value(self.loadvar(expr.value.name), int(op == "pair_second"))
        if op == "getattr" and expr.attr == "T" and isinstance(self.typeof(expr.value.name), types.Array):
            data, lengths, steps = self.fields(expr.value)
            return array_of(self.context, builder, result, data, lengths[::-1], steps[::-1])
        if op == "static_getitem" and expr.index_var is not None and self.leads(expr.value, expr.index_var):
            return self.lower_getitem(result, expr, expr.value, expr.index_var, None)
        return super().lower_expr(result, expr)

    def lower_binop(self, result, expr, op):
        """What an operator makes of two values. A known power is a product; Numba calls a loop for it."""
        exponent = guard(find_const, self.func_ir, expr.rhs) if op is operator.pow else None
        if isinstance(result, types.Float) and isinstance(exponent, int) and 0 < exponent <= 16:
            base = self.context.cast(self.builder, self.loadvar(expr.lhs.name), self.typeof(expr.lhs.name), result)
            return reduce(self.builder.fmul, [base] * exponent)
        if not (expr.static_lhs is UNDEFINED is expr.static_rhs):
            return super().lower_binop(result, expr, op)
        context, builder = self.context, self.builder
        function = context.typing_context.resolve_value_type(op)
        signature = signature_of(context.typing_context, function, self.fndesc.calltypes[expr].args)
        operands = zip((expr.lhs.name, expr.rhs.name), signature.args, strict=True)
        values = [context.cast(builder, self.loadvar(name), self.typeof(name), kind) for name, kind in operands]
        made = context.get_function(function, signature)(builder, values)
        return context.cast(builder, made, signature.return_type, result)

    def setup_function(self, description):
        """Begins a function."""
        super().setup_function(description)
        self.builder = Builder(self.entry_block)
        self.call_helper = self.call_conv.init_call_helper(self.builder)

    def _find_singly_assigned_variable(self):
        """Finds the variables that are values in LLVM's text: assigned once, and before all that reads them. The others
        are places in memory; to Numba so are all that another block reads."""
        blocks = self.func_ir.blocks
        assigned = [(each.target.name, place) for place, block in blocks.items() for each in block.find_insts(Assign)]
        home, times = dict(assigned), Counter(name for name, _ in assigned)
        before = compute_cfg_from_blocks(blocks).dominators()
        values = {name for name in home if times[name] == 1}
        for place, names in compute_use_defs(blocks).usemap.items():
            written = {each for each in before[place] if each < place}  # when the block is written
            values -= {name for name in names if home.get(name) not in written}
        self._singly_assigned_vars, self._blk_local_varmap = values, {}

    def struct(self, kind, values):
        """The value that is made of these."""
        return cgutils.make_anonymous_struct(self.builder, values, self.context.get_value_type(kind))

    def rounds(self, start, stop, step):
        """The state of a loop: where its next index and its count of rounds to come lie, and between them its ends."""
        builder = self.builder
        with builder.goto_entry_block():
            places = [builder.alloca(start.type) for _ in range(2)]
        back = builder.icmp_signed("<", step, step.type(0))
        least = builder.select(back, step.type(-1), step.type(1))
        distance = builder.sub(builder.add(builder.sub(stop, start), step), least)
        builder.store(start, places[0])
        builder.store(builder.sdiv(distance, step), places[1])
        return places[0], stop, step, places[1]

    def following(self, place, _, step, count):
        """The next index, and whether there is one."""
        builder = self.builder
        index, left = builder.load(place), builder.load(count)
        builder.store(builder.add(index, step), place)
        builder.store(builder.sub(left, left.type(1), flags=["nsw"]), count)
        return index, builder.icmp_signed(">", left, left.type(0))

    def lower_getitem(self, result, expr, array, index, signature):
        """What is read from an array: a number, or the part that has these indices along its first axes."""
        if not self.leads(array, index):
            return super().lower_getitem(result, expr, array, index, signature)
        kind = self.typeof(array.name)
        data, lengths, steps = self.part(array, index)
        if lengths:
            return array_of(self.context, self.builder, result, data, lengths, steps)
        number = self.context.unpack_value(self.builder, kind.dtype, data, align=None if kind.aligned else 1)
        return self.context.cast(self.builder, number, kind.dtype, result)

    def lower_setitem(self, array, index, value, signature):
        """What is written into one: a number, in one place or in all of a part."""
        kind, given, builder = self.typeof(array.name), self.typeof(value.name), self.builder
        filled = isinstance(given, types.Number) and kind.layout == "C"
        if not self.leads(array, index, filled):
            return super().lower_setitem(array, index, value, signature)
        number = self.context.cast(builder, self.loadvar(value.name), given, kind.dtype)
        data, lengths, _ = self.part(array, index)
        count = cgutils.intp_t(1)
        for length in lengths:
            count = builder.mul(count, length)
        align = None if kind.aligned else 1
        if not lengths:
            return self.context.pack_value(builder, kind.dtype, number, data, align=align)
        with cgutils.for_range(builder, count) as loop:
            place = builder.gep(data, [loop.index])
            self.context.pack_value(builder, kind.dtype, number, place, align=align)

    def fields(self, array):
        """The address of an array, and the lengths and steps of its axes."""
        given, kind = self.loadvar(array.name), self.typeof(array.name)
        data, *axes = (
            array_field(self.context, self.builder, kind, given, name) for name in ("data", "shape", "strides")
        )
        return data, *(cgutils.unpack_tuple(self.builder, each) for each in axes)

    def indices(self, index):
        """The indices that an array is read or written at, and their types."""
        value, kind = self.loadvar(index.name), self.typeof(index.name)
        single = not isinstance(kind, types.BaseTuple)
        return ([value], (kind,)) if single else (cgutils.unpack_tuple(self.builder, value), tuple(kind))

    def leads(self, array, index, filled=None):
        """Whether there are indices along the first axes of an array; along all of them, or all that follows is
        `filled`."""
        kind, indices = self.typeof(array.name), self.typeof(index.name)
        indices = tuple(indices) if isinstance(indices, types.BaseTuple) else (indices,)
        rest = len(indices) > 0 and isinstance(indices[-1], types.EllipsisType)
        whole = all(isinstance(each, types.Integer) for each in indices[: len(indices) - rest])
        if not isinstance(kind, types.Array) or kind.layout not in "CA" or not whole or not indices:
            return False
        if filled is None:
            return not rest and len(indices) <= kind.ndim
        return filled and len(indices) <= kind.ndim if rest else len(indices) == kind.ndim

    def part(self, array, index):
        """The address of a part of an array, and the lengths and steps of the axes that it has left."""
        context, builder, kind = self.context, self.builder, self.typeof(array.name)
        data, lengths, steps = self.fields(array)
        values, kinds = self.indices(index)
        at = [
            context.cast(builder, each, of, types.intp)
            for each, of in zip(values, kinds, strict=True)
            if isinstance(of, types.Integer)
        ]
        if kind.layout == "A":
            for each, step in zip(at, steps, strict=False):
                data = cgutils.pointer_add(builder, data, builder.mul(each, step))
        elif at:
            number = at[0]
            for length, each in zip(lengths[1:], [*at[1:], *[None] * (kind.ndim - len(at))], strict=True):
                number = builder.mul(number, length)
                number = number if each is None else builder.add(number, each)
            data = builder.gep(data, [number])
        return data, lengths[len(at) :], steps[len(at) :]


@register_pass(mutates_CFG=True, analysis_only=False)
class Lowering(NativeLowering):
    """The pass that makes LLVM's text."""

    lowering_class = Statements


@register_pass(mutates_CFG=True, analysis_only=False)
class Assigned(ReconstructSSA):
    """The pass that gives each assignment a variable, without finding out anew where each is needed: nothing is counted
    here, and in a function with many loops that takes longest."""

    def run_pass(self, state):
        """The function in this form."""
        state.func_ir = reconstruct_ssa(state.func_ir)
        self._patch_locals(state)
        state.func_ir._definitions = build_definitions(state.func_ir.blocks)
        return True


@register_pass(mutates_CFG=True, analysis_only=False)
class Joined(PreLowerStripPhis):
    """The pass that joins them again where branches meet, likewise."""

    def run_pass(self, state):
        """The function in this form."""
        state.func_ir = self._strip_phi_nodes(state.func_ir)
        state.func_ir._definitions = build_definitions(state.func_ir.blocks)
        return True


@register_pass(mutates_CFG=True, analysis_only=False)
class Constants(GenericRewrites):
    """The pass that finds constant indices and exponents, likewise."""

    def run_pass(self, state):
        """The function with these as such."""
        blocks = state.func_ir.blocks
        for rule in rewrite_registry.rewrites["before-inference"]:
            found, waiting = rule(state), list(blocks.items())
            while waiting:
                place, block = waiting.pop()
                if found.match(state.func_ir, block, state.typemap, state.calltypes):
                    blocks[place] = found.apply()
                    waiting.append((place, blocks[place]))
        return True


class Parts(Compiler):
    """How what entries call is compiled."""

    idle = (
        *("ir_processing", "with_lifting", "inline_closure_likes", "make_function_op_code_to_jit_function"),
        *("inline_inlinables", "inline_overloads", "find_literally", "literal_unroll", "LiteralPropagation"),
        *("nopython_rewrites", "ir_legalization", "dump_parfor_diagnostics"),
    )
    """Passes that look for `with`, closures, what is pasted in, `literally`, arithmetic of whole arrays, and for where
    variables are needed."""
    own = (
        *((NativeLowering, Lowering), (ReconstructSSA, Assigned), (PreLowerStripPhis, Joined)),
        (GenericRewrites, Constants),
    )
    """Passes that are others here."""

    def define_pipelines(self):
        """Numba's own passes."""
        state, pipelines = self.state, super().define_pipelines()
        state.library = Part(state.targetctx.codegen(), state.func_id.func_qualname)
        state.flags.noalias = not state.flags.forceinline  # the arrays that a kernel is given lie apart
        state.typingctx = Types(state.typingctx)
        state.targetctx.__class__ = Context  # it is a copy for this function
        for each in pipelines:
            steps = [(step, why) for step, why in each.passes if step.name() not in self.idle]
            each.passes = [(dict(self.own).get(step, step), why) for step, why in steps]
        return pipelines


class Entries(Compiler):
    """How entries are compiled."""

    def define_pipelines(self):
        """Numba's own passes."""
        state = self.state
        state.library = Whole(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        return super().define_pipelines()

    def compile_extra(self, function):
        """The entry, and what it calls on the way. Python's collector of cycles rests meanwhile: most of what is made
        is in use until all is done, and to look, over and over, for what is not takes a tenth of the time."""
        enabled = gc.isenabled()
        gc.disable()
        try:
            return with_room(super().compile_extra, function)
        finally:
            if enabled:
                gc.enable()


def with_room(call, argument):
    """call(argument), with memory for all calls inside of it. Python would get some, and give it back, at every call
    that happens to reach beyond what it has: a seventh of the time."""
    return call(argument)


with_room.__code__ = with_room.__code__.replace(co_stacksize=2**16)
