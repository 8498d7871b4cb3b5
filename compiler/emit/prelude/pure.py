"""Functions in LLVM's terms that loops by registers may call, and their forms for registers."""

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


def called(builder, name, arguments, one, form, masked):
    """A call of a function of single numbers with forms for registers, which LLVM takes where a loop goes on by these.

    `one` writes what it is; `form` makes a form of that name for a register's type, where it is `masked` with a mask.
    """
    module, kinds = builder.module, [each.type for each in arguments]
    if name not in module.globals:
        function, inner = pure(module, name, ir.FunctionType(kinds[0], kinds), "noinline")
        inner.ret(one(inner, *function.args))
        forms = {lanes: form(module, f"{name}.{lanes}", ir.VectorType(kinds[0], lanes)) for lanes in LANES}
        mask, given = "M" if masked else "N", "v" * len(kinds)
        known = ",".join(f"_ZGV_LLVM_{mask}{lanes}{given}_{name}({form.name})" for lanes, form in forms.items())
        set.add(function.attributes, f'"vector-function-abi-variant"="{known}"')
    return builder.call(module.globals[name], arguments)
