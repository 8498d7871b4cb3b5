"""Compares the gradient that a model's emitted module computes with central differences: text → report. `gradc check`.

The module is emitted in float64; that of a small model runs in plain Python, as compiling would take longer. Its loss
is held against the plain meaning of the model's equations first; the differences are of that loss. Nothing of the code
that makes derivatives takes part in them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from gradc.calculus.nested import expanded
from gradc.check_nested import Nested, nested
from gradc.check_report import Report, Row
from gradc.differences import Array, Slope, differs, slopes
from gradc.draws import drawn_data, drawn_parameters, small_dims
from gradc.emit.module import emit as emit_module
from gradc.errors import fail
from gradc.graph.interpret import interpret
from gradc.graph.nodes import Graph
from gradc.graph.prune import pruned
from gradc.graph.tensors import Role
from gradc.held import held
from gradc.language import core
from gradc.language.lower import lower
from gradc.schedule.program import Item, Loop, Nest, Program, Sequential, Step
from gradc.stages import graphs, module_spec

SEED = 0
DRAWS = 3
ATTEMPTS = 8
MOST_ROUNDS = 30_000
"""Rounds of loops times parameters: above it, compiling takes less time than running the checks in plain Python."""


def check(text: str, *, file: str = "model.grad", folder: Path | None = None) -> Report:
    """Checks every gradient of a model.

    Args:
        text: the model.
        file: its name, as errors show it.
        folder: where files that it uses lie.

    Raises:
        GradcError: the model is wrong or trains nothing, or its loss is finite at no values tried.
    """
    stages = graphs(text, file=file, folder=folder)
    parameters = len(trained(stages.model))
    spec = module_spec(stages, text, "float64")
    assert spec.gradient is not None, "a model with a loss has a gradient"
    large = parameters * rounds(spec.gradient, small_dims(stages.model)) > MOST_ROUNDS
    return check_source(stages.model, emit_module(spec), compiled=large)


def check_source(model: core.Model, source: str, *, compiled: bool) -> Report:
    """The same for a model and its emitted module in float64, compiled or in plain Python."""
    return checked(model, _emitted(model, source, compiled))


def check_graph(model: core.Model, gradient: Graph) -> Report:
    """The same for a graph with the gradients as outputs, by interpretation: slow, and without anything compiled."""
    return checked(model, _interpreted(model, gradient))


# ---------------------------------------------------------------- what is checked


@dataclass(frozen=True, slots=True)
class Subject:
    """A loss and its gradients, as functions of the parameters and the data."""

    loss: Callable[[Mapping[str, Array], Mapping[str, Array]], float]
    gradients: Callable[[Mapping[str, Array], Mapping[str, Array]], Mapping[str, Array]]


def _emitted(model: core.Model, source: str, compiled: bool) -> Subject:
    module: Any = ModuleType(f"gradc_check_{model.name}")
    module.__file__ = f"<{model.name}, emitted to be checked>"
    exec(compile(source, module.__file__, "exec"), module.__dict__)
    if not compiled:
        vars(module).update({name: value.py_func for name, value in vars(module).items() if hasattr(value, "py_func")})
    params = module.init(0)
    order = [leaf.name for role in (Role.INPUT, Role.TARGET) for leaf in model.leaves if leaf.role is role]

    def run(values: Mapping[str, Array], data: Mapping[str, Array]) -> tuple[float, Any]:
        for name in module.PARAMS:
            params[name] = values[name]
        with np.errstate(all="ignore"):
            loss, gradients = module.loss_and_gradients(params, *(data[name] for name in order))
        return float(loss), gradients

    def gradients(values: Mapping[str, Array], data: Mapping[str, Array]) -> Mapping[str, Array]:
        found = run(values, data)[1]
        return {name: np.array(found[name]) for name in module.PARAMS}

    return Subject(lambda values, data: run(values, data)[0], gradients)


def rounds(program: Program, dims: Mapping[str, int]) -> int:
    """How often the statements of a program run, all together; products of matrices are not counted."""
    return sum(_rounds_of_step(step, dims) for step in program.steps)


def _rounds_of_step(step: Step, dims: Mapping[str, int]) -> int:
    match step:
        case Nest(items=items):
            return _rounds_of(items, dims)
        case Sequential(index=index, steps=steps):
            times = index.high.value(dims) - index.low.value(dims)
            first = {**dims, index.name: index.low.value(dims)}
            return times * sum(_rounds_of_step(inner, first) for inner in steps)
    return 0


def _rounds_of(items: Sequence[Item], env: Mapping[str, int]) -> int:
    total = 0
    for item in items:
        if isinstance(item, Loop):
            last = item.index.high.value(env) - 1
            count = max(0, last + 1 - item.index.low.value(env))
            total += count * _rounds_of(item.body, {**env, item.index.name: last})
        else:
            total += 1
    return total


def _interpreted(model: core.Model, gradient: Graph) -> Subject:
    forward = _loss_graph(model, _loss(model))
    dims = small_dims(model)

    def gradients(values: Mapping[str, Array], data: Mapping[str, Array]) -> Mapping[str, Array]:
        found = interpret(gradient, {**values, **data}, dims)
        return {name: found[gradient.outputs[f"gradient {name}"]] for name in trained(model)}

    return Subject(lambda values, data: _plain_loss(forward, {**values, **data}, dims), gradients)


def _loss(model: core.Model) -> str:
    assert model.loss is not None, "the language refuses a model without a loss"
    return model.loss.tensor


def _loss_graph(model: core.Model, scalar: str) -> Graph:
    """The loss, or another scalar that is made less, as the model says it, before any rule of algebra; the gradients in
    its equations are checked apart."""
    graph = expanded(lower(model)).graph
    return pruned(Graph(graph.tensors, graph.equations, {"loss": scalar}))


def _plain_loss(graph: Graph, values: Mapping[str, Array], dims: Mapping[str, int]) -> float:
    return float(interpret(graph, values, dims)[graph.outputs["loss"]])


def trained(model: core.Model) -> tuple[str, ...]:
    """The parameters that have a gradient; an error where there is nothing to check."""
    names = tuple(leaf.name for leaf in model.leaves if leaf.role is Role.PARAM and not leaf.frozen)
    if not names:
        raise fail(
            "no-parameters",
            f"{model.file} trains no parameters, so there are no gradients",
            "freeze fewer of them, or add one",
        )
    return names


# ---------------------------------------------------------------- checking


def checked(model: core.Model, subject: Subject) -> Report:
    """Compares gradients with differences at up to three draws: a later one serves what stood at kinks before."""
    rng = np.random.default_rng(SEED)
    names, written = trained(model), lower(model)
    scalars = {name: output.tensor for name, output in model.minimised.items()}
    found: dict[str, list[Slope]] = {name: [] for name in (*names, *written.gradients)}
    shapes: dict[str, tuple[int, ...]] = {}
    losses: tuple[float, float] | None = None
    for _ in range(DRAWS):
        waiting = [name for name, slopes_of in found.items() if all(slope.kink for slope in slopes_of)]
        if not waiting:
            break
        values, data, loss = _draw(model, subject, rng)
        losses = losses or (loss, _plain_loss(_loss_graph(model, _loss(model)), {**values, **data}, small_dims(model)))
        gradients = subject.gradients(values, data)
        functions = {scalar: _function(model, subject, scalar, values, data) for scalar in set(scalars.values())}
        own = (Nested(name, name, values, gradients[name], functions[scalars[name]]) for name in names)
        for each in (*own, *nested(written, {**values, **data}, small_dims(model))):
            if each.name in waiting:
                found[each.name] += slopes(each.function, each.at, each.by, each.gradient, rng)
                shapes[each.name] = each.gradient.shape
    assert losses is not None, "a model with parameters is drawn at least once"
    return Report(tuple(_row(name, shapes[name], each) for name, each in found.items()), *losses)


def _function(model: core.Model, subject: Subject, scalar: str, here: Mapping[str, Array],
              data: Mapping[str, Array]) -> Callable[[Mapping[str, Array]], float]:  # fmt: skip
    """A scalar as a function of the parameters: where it is not the loss, or the model stops gradients, by
    interpretation."""
    graph, dims = _loss_graph(model, scalar), small_dims(model)
    stopping = held(graph)
    if stopping is None and scalar == _loss(model):
        return lambda values: subject.loss(values, data)
    if stopping is None:
        return lambda values: _plain_loss(graph, {**values, **data}, dims)
    known = {**data, **stopping.values({**here, **data}, dims)}
    return lambda values: _plain_loss(stopping.graph, {**values, **known}, dims)


def _draw(model: core.Model, subject: Subject,
          rng: np.random.Generator) -> tuple[dict[str, Array], dict[str, Array], float]:  # fmt: skip
    """Parameters and data at which the loss is finite."""
    for attempt in range(ATTEMPTS):
        values = drawn_parameters(model, attempt, rng)
        data = drawn_data(model, small_dims(model), attempt, rng)
        loss = subject.loss(values, data)
        if np.isfinite(loss):
            return values, data, loss
    hint = "logarithms, square roots and divisions of inputs or parameters may want numbers that random ones are not"
    raise fail("no-finite-loss", f"{model.file}: the loss is not finite at any of {ATTEMPTS} random places", hint)


def _row(name: str, shape: tuple[int, ...], found: list[Slope]) -> Row:
    smooth = [slope for slope in found if not slope.kink]
    scale = max((abs(slope.numeric) for slope in smooth), default=0.0)
    wrong = tuple(slope for slope in smooth if differs(slope, scale))
    errors = [abs(slope.analytic - slope.numeric) for slope in smooth]
    return Row(name, shape, len(smooth), len(found) - len(smooth), float(np.max(errors, initial=0.0)), scale, wrong)
