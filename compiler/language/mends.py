"""How to mend what is usual elsewhere: `x.T`, `x[0]`, `sum(x, axis = 1)`, `concat([a, b])`, as gradc writes it."""

from collections.abc import Sequence
from dataclasses import replace

from gradc.graph.index import ONE

from . import core, syntax
from .arithmetic import ARITY
from .unparse import unparse
from .values import Array, Element, Function, Items, Value

LETTERS = "ijkmnopqrstuvwxyzabcdefgh"
"""Names for indices. Without l, which readers take for 1."""
AXIS_WORDS = {"axis", "axes", "dim", "dims", "keepdims", "keepdim"}
SIGNATURES = {
    "concat": "concat(a, b, …, axis = 0)",
    "reshape": "reshape(x, [n, -1])",
    "transpose": "transpose(x)",
    "clip": "clip(x, low, high)",
    "max": "max(a, b) by element, max(x) of a whole tensor, max[i](…) over an index",
    "min": "min(a, b) by element, min(x) of a whole tensor, min[i](…) over an index",
}
ATTRIBUTE = "a tensor has no attributes: write transpose(x) for x.T; a size is the name of its dim; functions are f(x)"


def signature(name: str) -> str:
    """How a built-in function is called."""
    return f"write {SIGNATURES.get(name) or name + ('(x)' if ARITY.get(name, 1) == 1 else '(x, y)')}"


def over_index(name: str, node: syntax.Call, values: Sequence[Value]) -> str:
    """`sum(x, axis = 1)` as an equation with indices: y[i] = sum[j](x[i, j])."""
    tensor = node.arguments[0].value if node.arguments else None
    called = tensor.name if isinstance(tensor, syntax.Name) else "x"
    first = values[0] if values else None
    letters = LETTERS[: len(first.axes)] if isinstance(first, Array) else LETTERS[:2]
    gone = _axis(node, len(letters))
    left = ", ".join(letter for k, letter in enumerate(letters) if k != gone)
    equation = f"y[{left}] = {name}[{letters[gone]}]({called}[{', '.join(letters)}])"
    return f"axes go by index: {equation}" if left else signature(name)


def over_last(name: str) -> str:
    """`softmax(x, axis = 0)`: a definition of a tensor's last axis, over another."""
    return f"{name}(x) goes over the last axis; over another: y[i, j] = {name}[i](x[i, j])"


def _axis(node: syntax.Call, rank: int) -> int:
    """The axis that is named, or the last."""
    for argument in node.arguments[1:]:
        value = argument.value
        if isinstance(value, syntax.Number) and value.value.denominator == 1 and 0 <= value.value < rank:
            return int(value.value)
    return rank - 1


def at_indices(first: Sequence[core.Axis], a: syntax.Expression, other: Sequence[core.Axis],
               b: syntax.Expression) -> tuple[str, str, str] | None:  # fmt: skip
    """How tensors of two shapes are read at indices: the left side's, then each read, `i, j`, `x[i, j]`, `b[j]`.

    An axis of one place that only one of them has is read at 0: `i`, `guess[i, 0]`, `y[i]`.
    """
    large, small = (first, other) if len(first) >= len(other) else (other, first)
    names = list(LETTERS[: len(large)])
    at: list[str] = []
    free = list(zip(names, large, strict=True))
    if len(large) == len(small) + 1 and large[-1].extent == ONE and small and small[-1].extent != ONE:
        names, free = [*names[:-1], "0"], free[:-1]
    for axis in reversed(small):
        fit = next((k for k in range(len(free) - 1, -1, -1) if free[k][1].extent == axis.extent), None)
        if fit is None:
            return None
        at.insert(0, free[fit][0])
        free = free[:fit]
    reads = [", ".join(names), ", ".join(at)]
    left = ", ".join(name for name in names if name != "0")
    shown = [side.name if isinstance(side, syntax.Name) else "(…)" for side in (a, b)]
    one, two = reads if large is first else reads[::-1]
    return left, f"{shown[0]}[{one}]", f"{shown[1]}[{two}]"


def missing_subscripts(node: syntax.Subscript, name: str, count: int, axes: Sequence[core.Axis]) -> str:
    """`x[0]` of two axes: y[i] = x[0, i]."""
    if count > len(axes):
        return "leave out what is too much"
    given = [unparse(subscript) for subscript in node.subscripts if not isinstance(subscript, syntax.Ellipsis)]
    at = [*given, *[letter for letter in LETTERS if letter not in given][: len(axes) - count]]
    left = ", ".join(place for place in at if place.isidentifier())
    return f"a read names a place on every axis: y[{left}] = {name}[{', '.join(at)}]"


def whole_subscript(node: syntax.Expression) -> str:
    """`x[i / 2]` with a whole number: x[i // 2]."""
    match node:
        case syntax.Binary(operator="/"):
            return f"write {unparse(replace(node, operator='//'))}, which rounds down"
        case syntax.Binary(operator="^", left=syntax.Name(name=name), right=syntax.Number(value=power)):
            if power in range(2, 5):
                return f"write {' * '.join([name] * int(power))}"
        case syntax.Number():
            return "places count from 0: write a whole number; what lies between two places is a mean of both"
    return "a tensor of whole numbers is declared with `: int(n)`; floor and round make whole numbers"


def no_value(name: str) -> str:
    """What to write in place of the name of a built-in function alone: `h = sum`."""
    if name in ("uniform", "normal"):
        return f"write {name}(), a fresh number at every place"
    if name == "grad":
        return "write grad(y, x), the derivatives of the sum of y by x"
    if name in SIGNATURES:
        return f"write {SIGNATURES[name]}"
    return f"write {name}(x) of a whole tensor, or {name}[i](x[b, i]) over an index"


def tensors_to_join(values: Sequence[Value]) -> str:
    """What `concat` was meant to join."""
    if any(isinstance(value, Items) for value in values):
        return "without square brackets: concat(a, b, axis = 1)"
    if any(isinstance(value, Array) for value in values[:-1]) and isinstance(values[-1], Element):
        return "the axis is given by name: concat(a, b, axis = 1); a number gets an axis by an equation: c[i: 1] = 3"
    return "name whole tensors, as in concat(a, b)"


def joined_along(arrays: Sequence[Array]) -> str:
    """The axis along which tensors can be joined, if there is one."""
    first = arrays[0].axes
    if all(len(other.axes) == len(first) for other in arrays):
        for axis in range(len(first)):
            if all(a.extent == b.extent or k == axis
                   for other in arrays for k, (a, b) in enumerate(zip(first, other.axes, strict=True))):  # fmt: skip
                return f"they fit along another: concat(…, axis = {axis})"
    return "what is joined has all other axes in common"


def no_tensor(value: Value) -> str:
    """What to write in place of a value that makes no tensor."""
    if isinstance(value, Function):
        return f"call it: {value.name}({_wanted(value)})"
    if isinstance(value, Items):
        return "write an equation for each number of the list: y[0] = 3"
    return "write a number or a tensor"


def _wanted(function: Function) -> str:
    """The arguments that a function cannot do without."""
    if function.definition is None:
        return "x"
    wanted = [each for each in function.definition.parameters if each.default is None and not each.choices]
    return ", ".join(parameter.name for parameter in wanted)


def another_rank(parameter: syntax.Parameter, axes: Sequence[core.Axis], header: str) -> str:
    """What to hand over where a header wants more axes, or fewer."""
    wanted = [axis for axis in parameter.axes or () if not isinstance(axis, syntax.Ellipsis)]
    if not axes:
        return f"hand over a whole tensor, without brackets; the header is {header}"
    if len(axes) == len(wanted) - 1:
        letters = ", ".join(LETTERS[: len(axes)])
        return f"an axis of one place is added by y[{letters}, c: 1] = x[{letters}]"
    names = ", ".join(axis.name if isinstance(axis, syntax.Name) else "n" for axis in wanted)
    return f"reshape gives other axes, as in reshape(x, [{names}]), or an equation with indices"
