"""The elaborated syntax: every name resolved, every definition unfolded, every index with its range.

`elaborate` makes it from the syntax tree; `lower` makes the graph from it; `evaluate`, the plain oracle, computes it
with NumPy. No SymPy object exists here: what the oracle computes shares none of SymPy's rewriting.

An equation reads: for all its indices, `target[write] = value`. A whole-tensor equation `h = relu(x)` has become the
same with indices made for it. Several equations may give one tensor, at different places; a place nobody gives is 0.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from fractions import Fraction
from functools import cached_property
from typing import TypeAlias

from gradc.errors import Diagnostic, Span
from gradc.graph.index import IndexExpr
from gradc.graph.tensors import Axis as Axis
from gradc.graph.tensors import Bounds as Bounds
from gradc.graph.tensors import Gradient as Gradient
from gradc.graph.tensors import Index as Index
from gradc.graph.tensors import Kind as Kind
from gradc.graph.tensors import Role as Role

# ---------------------------------------------------------------- expressions


@dataclass(frozen=True, slots=True)
class Number:
    """An exact number; ±inf and pi are `Constant`s."""

    span: Span
    value: Fraction


@dataclass(frozen=True, slots=True)
class Constant:
    """`pi` or `inf`."""

    span: Span
    name: str


@dataclass(frozen=True, slots=True)
class Whole:
    """An index expression as a number: an index value, a size, what a gather reads."""

    span: Span
    value: IndexExpr


@dataclass(frozen=True, slots=True)
class Read:
    """`tensor[subscripts]`, proven inside under the conditions it stands in."""

    span: Span
    tensor: str
    subscripts: tuple[IndexExpr, ...]


@dataclass(frozen=True, slots=True)
class Apply:
    """A function of numbers, by its name in the table of scalar functions: add sub mul div neg pow floordiv mod,
    lt le eq ne (gt and ge are turned round), and or not, exp log …, max min of two, clip of three, stop_gradient."""

    span: Span
    function: str
    arguments: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Where:
    """`if condition then then else otherwise`; `x?[r]` is one whose condition says that r is inside."""

    span: Span
    condition: "Expression"
    then: "Expression"
    otherwise: "Expression"


@dataclass(frozen=True, slots=True)
class Reduce:
    """`reducer[indices](body)`: sum prod max min logsumexp argmax argmin. A mean is a sum divided by the count."""

    span: Span
    reducer: str
    indices: tuple[Index, ...]
    body: "Expression"


@dataclass(frozen=True, slots=True)
class Let:
    """`value` under a name, evaluated once, in `body`: an argument of a definition of numbers."""

    span: Span
    name: str
    value: "Expression"
    body: "Expression"


@dataclass(frozen=True, slots=True)
class Local:
    """What a surrounding `Let` named."""

    span: Span
    name: str


@dataclass(frozen=True, slots=True)
class Random:
    """`uniform()` or `normal()`: a fresh number at every place of the indices around it, those of reductions too.

    `site` tells the calls of a model apart; of a place, counted row-major, and a seed it makes the number.
    """

    span: Span
    law: str
    site: int


Expression: TypeAlias = Number | Constant | Whole | Read | Apply | Where | Reduce | Let | Local | Random



def parts_in(part: object) -> Iterator[object]:
    """A part of a model, and all that it is made of."""
    waiting = [part]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, tuple):
            waiting += node
        elif is_dataclass(node) and not isinstance(node, IndexExpr | Span):
            waiting += [getattr(node, field.name) for field in fields(node)]


def dims_in(part: object) -> Iterator[str]:
    """The free dims that a part of a model mentions anywhere."""
    return (name for value in parts_in(part) if isinstance(value, IndexExpr) for name in value.dims)


# ---------------------------------------------------------------- the model


@dataclass(frozen=True, slots=True)
class Law:
    """How a parameter starts: `value` at every place of `indices`; or the built-in `orthogonal`, with value None."""

    span: Span
    text: str
    indices: tuple[Index, ...]
    value: Expression | None


@dataclass(frozen=True, slots=True)
class Leaf:
    """An input, target, parameter or state. `bounds` only for whole numbers whose range is declared."""

    span: Span
    name: str
    role: Role
    axes: tuple[Axis, ...]
    kind: Kind
    bounds: Bounds | None = None
    law: Law | None = None
    frozen: bool = False


@dataclass(frozen=True, slots=True)
class Tensor:
    """A computed tensor: what its equations write, or the `gradient` that it stands for, which has no equations."""

    span: Span
    name: str
    axes: tuple[Axis, ...]
    kind: Kind
    bounds: Bounds | None = None
    gradient: Gradient | None = None


@dataclass(frozen=True, slots=True)
class Equation:
    """For all indices: `target[write] = value`. `text` is the line it comes from, without its indentation."""

    span: Span
    target: str
    write: tuple[IndexExpr, ...]
    indices: tuple[Index, ...]
    value: Expression
    text: str


@dataclass(frozen=True, slots=True)
class Precondition:
    """Something about free dims that is checked when called: `value >= 0`, else `message` (which names the place)."""

    span: Span
    value: IndexExpr
    message: str


@dataclass(frozen=True, slots=True)
class Output:
    """A prediction, the loss or a metric: the name it is handed out under, and the tensor that holds it."""

    span: Span
    name: str
    tensor: str
    text: str


@dataclass(frozen=True, slots=True)
class Moment:
    """A state of an optimizer: one number for each number of the parameter, or with `scalar` one for the tensor."""

    name: str
    scalar: bool
    law: Expression


@dataclass(frozen=True, slots=True)
class Update:
    """One optimizer rule, for one or several parameters.

    Its equations read the leaves `p`, `g` (after clipping by value), the moments, the scalar `t` (the step, from 1)
    and `scalars` of the surrounding `Training`. A rule that works number by number runs once over all parameters of
    its group, as one axis `n` of `size` numbers, a free dim, in the order of `parameters`; any other rule runs for each
    tensor in its own shape. `results` gives for `p` and each moment the tensor with its next value. `loss` is the
    scalar that is made less where the line says `for`; None where that is the model's loss.
    """

    span: Span
    rule: str
    text: str
    parameters: tuple[str, ...]
    axes: tuple[Axis, ...]
    moments: tuple[Moment, ...]
    tensors: tuple[Tensor, ...]
    equations: tuple[Equation, ...]
    results: tuple[tuple[str, str], ...]
    loss: Output | None


@dataclass(frozen=True, slots=True)
class Training:
    """The update of all parameters. `before` computes scalars (the clipping coefficient) from the leaf `gradient`,
    all gradients as one axis of numbers; the updates may read them by name."""

    before_tensors: tuple[Tensor, ...]
    before: tuple[Equation, ...]
    updates: tuple[Update, ...]


@dataclass(frozen=True)
class Model:
    """A whole model, for one value of `training`."""

    name: str
    file: str
    dims: tuple[str, ...]
    """Free dims, in order of declaration."""
    sizes: tuple[tuple[str, int], ...]
    """Dims with a value, for the legend."""
    leaves: tuple[Leaf, ...]
    tensors: tuple[Tensor, ...]
    equations: tuple[Equation, ...]
    predictions: tuple[Output, ...]
    loss: Output | None
    metrics: tuple[Output, ...]
    preconditions: tuple[Precondition, ...]
    carried: tuple[tuple[str, str], ...]
    """For each state that has an update, the tensor with its value after a step."""
    training: Training
    fit: tuple[tuple[str, float], ...]
    data: str | None
    asks: bool
    """Whether it is another model where `training` is another."""
    doubts: tuple[Diagnostic, ...]
    """Warnings: what compiles and is probably not what was meant."""

    @cached_property
    def minimised(self) -> Mapping[str, Output]:
        """By the name of each trained parameter the scalar that it makes less: the loss, or one of its own."""
        own = {name: update.loss for update in self.training.updates for name in update.parameters}
        found = {leaf.name: own.get(leaf.name) or self.loss for leaf in self.leaves
                 if leaf.role is Role.PARAM and not leaf.frozen}  # fmt: skip
        return {name: loss for name, loss in found.items() if loss is not None}

    @cached_property
    def own_losses(self) -> Mapping[str, Output]:
        """The scalars that some parameters make less and others do not, by the tensors that hold them."""
        every = {output.tensor: output for output in self.minimised.values()}
        return {tensor: output for tensor, output in every.items() if self.loss is None or tensor != self.loss.tensor}
