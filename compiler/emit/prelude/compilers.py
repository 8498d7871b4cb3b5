"""How Numba compiles a module: an entry goes to LLVM at once, with all that it calls.

By itself Numba hands every function to LLVM alone, and again with each that calls it: a kernel would be optimised and
translated twice or more.
"""

# mypy: ignore-errors
from numba.core import config
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler

# What the classes below change in Numba, which promises nothing of it.
INNER = ("add_ir_module", "get_defined_functions", "_get_module_for_linking", "_optimize_final_module")


# To LLVM half a register is better, as it was for processors that ran slower with whole ones. (A name that llvmlite
# does not know among attributes.)
WIDE = '"prefer-vector-width"="512"'


def fitting(compiler, *how):
    """The compiler, or Numba's own if Numba is no longer made as this one expects: then the same is compiled slower."""
    return (compiler if all(hasattr(JITCodeLibrary, name) for name in INNER) else Compiler)(*how)


class Part(JITCodeLibrary):
    """The code of a function that entries call: it waits for them as Numba wrote it."""

    # Numba would have it compiled to know its address: it has none, and Python cannot call it
    codegen = property(lambda part: part)
    get_pointer_to_function = set_env = lambda *_: 0

    def add_ir_module(self, module):
        """Takes the code in. A kernel stays a function of its own, and fills whole registers."""
        for function in module.functions:
            if not function.is_declaration and "alwaysinline" not in function.attributes:
                function.attributes.add("noinline")
                set.add(function.attributes, WIDE)
        super().add_ir_module(module)

    def add_llvm_module(self, module):
        """Takes the code in, as it is."""
        self._final_module.link_in(module)

    def finalize(self):
        """Not here: in the entries."""
        self._finalized = True

    def _get_module_for_linking(self):
        return self._final_module


class Whole(JITCodeLibrary):
    """The code of an entry and of all that it calls."""

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
            if self.name not in function.name:  # nobody else calls it: what it is always given is known in it
                function.linkage = "internal"
        level, config.OPT = config.OPT, min(config.OPT, 2)  # level 3 unrolls twice as far: no faster, but longer to do
        try:
            super()._optimize_final_module()
        finally:
            config.OPT = level


class Parts(Compiler):
    """How what entries call is compiled."""

    idle = ("inline_closure_likes", "nopython_rewrites")
    """Passes that look for closures and for arithmetic of whole arrays."""

    def define_pipelines(self):
        """Numba's own passes."""
        state, pipelines = self.state, super().define_pipelines()
        state.library = Part(state.targetctx.codegen(), state.func_id.func_qualname)
        state.flags.noalias = not state.flags.forceinline  # the arrays that a kernel is given lie apart
        for each in pipelines:
            each.passes = [step for step in each.passes if step[0].name() not in self.idle]
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
        """The entry, and what it calls on the way."""
        return with_room(super().compile_extra, function)


def with_room(call, argument):
    """call(argument), with memory for all calls inside of it. Python would get some, and give it back, at every call
    that happens to reach beyond what it has: a seventh of the time."""
    return call(argument)


with_room.__code__ = with_room.__code__.replace(co_stacksize=2**16)
