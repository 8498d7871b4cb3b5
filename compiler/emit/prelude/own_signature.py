"""How a function of the module is asked for its type, for the functions here that tell Numba what code they are."""

# mypy: ignore-errors
from numba.core.compiler import Flags
from numba.core.targetconfig import ConfigStack


def own_signature(context, function, given):
    """The signature of a call of a function of this module, which is compiled once: to Numba it would be another one
    wherever callers are compiled in another way."""
    with ConfigStack().enter(Flags()):
        return context.resolve_function_type(function, given, {})
