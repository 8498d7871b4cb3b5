"""What a module is made of, and where its parameters and moments lie in their flat buffers."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import sympy

from gradc.graph.index import ZERO, IndexExpr
from gradc.graph.nodes import Tensor
from gradc.graph.tensors import Index
from gradc.schedule.program import Program, Space


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter or a state: its place in the flat buffer, and how it starts. law is None for the built-in
    `orthogonal`."""

    name: str
    shape: tuple[int, ...]
    offset: int
    law: sympy.Expr | None
    indices: tuple[Index, ...]
    law_text: str
    is_state: bool

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Moment:
    """A state of an optimizer in the flat buffer of moments: its leaf in the rule's graph, place and first value."""

    leaf: str
    offset: int
    shape: tuple[int, ...]
    start: sympy.Expr

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class UpdateProgram:
    """An optimizer's rule over a stretch of the parameters: `shape` is (size,) or one parameter's own."""

    rule: str
    program: Program
    offset: int
    shape: tuple[int, ...]
    moments: tuple[Moment, ...]

    def work(self, space: Space) -> int:
        """How long its work space is: the one dim that a rule may have is the number of parameters."""
        length = self.program.work.get(space, ZERO)
        return length.value(dict.fromkeys(length.dims, math.prod(self.shape)))


@dataclass(frozen=True, slots=True)
class Alone:
    """One of several predictions, by itself: it needs fewer inputs."""

    program: Program
    inputs: tuple[Tensor, ...]


@dataclass(frozen=True, slots=True)
class ModuleSpec:
    """All that a module is written from.

    Attributes:
        equations: lines of the model to show at the top, each with its line number.
        inputs, targets: leaves, in the order in which callers pass them.
        moment_names: name → (offset, shape) for each state of each parameter.
        before: computes what the updates share (the clipping factor) from all `trained` gradients.
        gradient, predict, evaluate: programs; a model without a loss has only predict.
        alone: for predictions that need different inputs, each one's own program, as `predict_p`.
        nested: whether there are derivatives of other tensors than the loss.
        preconditions: expressions in the free dims that must be at least 0, each with its message.
    """

    name: str
    file: str
    source: str
    digest: str
    version: str
    dtype: str
    equations: tuple[tuple[str, int], ...]
    sizes: tuple[tuple[str, int], ...]
    dims: tuple[str, ...]
    inputs: tuple[Tensor, ...]
    targets: tuple[Tensor, ...]
    parameters: tuple[Parameter, ...]
    trained: int
    moments: int
    moment_names: Mapping[str, tuple[int, tuple[int, ...]]]
    updates: tuple[UpdateProgram, ...]
    before: Program | None
    gradient: Program | None
    evaluate: Program | None
    predict: Program | None
    alone: Mapping[str, Alone]
    nested: bool
    preconditions: tuple[tuple[IndexExpr, str], ...]
    data: str | None
    fit: Mapping[str, float]

    @property
    def update_work(self) -> tuple[Space, ...]:
        """The spaces that the optimizer's rules need."""
        return tuple(space for space in Space if any(update.work(space) for update in self.updates))

    @property
    def size(self) -> int:
        """How many numbers all parameters and states hold."""
        return sum(parameter.size for parameter in self.parameters)

    @property
    def batch(self) -> str | None:
        """The free dim along which batches are cut: the first axis of every array, and no other axis of any.

        x[batch, 64], y[batch] -> batch;  adjacency[nodes, nodes], y[nodes] -> None: a slice of it is no smaller graph
        """
        arrays = (*self.inputs, *self.targets)
        firsts = {str(tensor.extents[0]) if tensor.extents else "" for tensor in arrays}
        others = {name for tensor in arrays for extent in tensor.extents[1:] for name in extent.dims}
        alone = len(firsts) == 1 and arrays[0].extents and arrays[0].extents[0].dims == tuple(firsts)
        return None if not alone or firsts & others else firsts.pop()

    @property
    def carries(self) -> bool:
        """Whether a step gives states new values."""
        return self.gradient is not None and any(label.startswith("next ") for label in self.gradient.graph.outputs)
