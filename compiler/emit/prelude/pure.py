"""Functions in LLVM's terms that loops by registers may call."""

# mypy: ignore-errors
from llvmlite import ir

# How many numbers a register may have.
LANES = 2, 4, 8, 16


def pure(module, name, kind, inlining):
    """A new function that looks at nothing but its arguments, and where it is written. It is kept, called or not: loops
    become loops by registers late."""
    function = ir.Function(module, kind, name)
    function.linkage = "weak_odr"
    for attribute in (inlining, "nounwind", "willreturn", "memory(none)"):
        set.add(function.attributes, attribute)  # llvmlite does not know all of them
    return function, ir.IRBuilder(function.append_basic_block())
