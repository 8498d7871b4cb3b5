"""The chain rule for one parameter, step by step, as data: what a derivation says."""

from dataclasses import dataclass, replace

import sympy

from gradc.graph.nodes import Equation, Read


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one read of a tensor adds to its derivative.

    Attributes:
        equation: the equation of the forward pass that reads the tensor.
        read: where it does.
        slope: the derivative of its right side by that read.
        only: where the slope is that and not 0, in words; empty where it is everywhere.
        swapped: the equation with read and write swapped, for one tuple of indices: nothing is summed yet.
        adjoint: the same as the graph has it: summed over what is not written, its place solved for its indices.
    """

    equation: Equation
    read: Read
    slope: sympy.Expr
    only: str
    swapped: Equation
    adjoint: Equation


@dataclass(frozen=True, slots=True)
class Step:
    """How the derivative by one tensor comes about.

    Attributes:
        tensor: the tensor.
        target: its derivative.
        contributions: one for each read; none for the loss itself.
        helpers: equations made on the way, such as the place of a maximum.
        total: the contributions, joined where they are written to the same places.
        rules: what fired on it afterwards.
        final: what it has become; where it is a constant, that.
        fate: why the emitted code does not compute it on its own; empty where it does.
    """

    tensor: str
    target: str
    contributions: tuple[Contribution, ...]
    helpers: tuple[Equation, ...]
    total: tuple[Equation, ...]
    rules: tuple[str, ...]
    final: tuple[Equation, ...]
    fate: str

    @property
    def adds(self) -> bool:
        """Whether the sum of the contributions says more than they do: there are several, or one is summed or moved."""
        if len(self.contributions) != 1:
            return len(self.contributions) > 1
        (part,) = self.contributions
        return bool(part.adjoint.reduced) or replace(part.swapped, origin=part.adjoint.origin) != part.adjoint


@dataclass(frozen=True, slots=True)
class Stabilised:
    """Equations of the forward pass that were rewritten before they were differentiated."""

    before: tuple[Equation, ...]
    after: tuple[Equation, ...]
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RuleNote:
    """A rule of algebra that fired: what it turns into what, and why."""

    name: str
    before: str
    after: str
    why: str


@dataclass(frozen=True, slots=True)
class Chain:
    """The gradient of the loss by one parameter, step by step.

    Attributes:
        parameter, gradient: the names of the parameter and of the derivative by it.
        loss: what is differentiated: "the loss", or the name of a scalar that the parameter has of its own.
        prefix: what the names of its derivatives begin with.
        file: the model's file.
        forward: the equations from the parameter to the loss.
        stabilised: those that were rewritten first: made stable, or two factors at a time.
        steps: from the loss back to the parameter.
        computed: all that the emitted code computes for it in the backward pass.
        rules: the rules that fired, each once.
        nested: whether the model's equations have derivatives in them.
    """

    parameter: str
    gradient: str
    loss: str
    prefix: str
    file: str
    forward: tuple[Equation, ...]
    stabilised: tuple[Stabilised, ...]
    steps: tuple[Step, ...]
    computed: tuple[Equation, ...]
    rules: tuple[RuleNote, ...]
    nested: bool

    @property
    def subject(self) -> str:
        """What is differentiated, at the start of a sentence."""
        return "The loss" if self.loss == "the loss" else self.loss
