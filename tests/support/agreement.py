"""Whether all that gradc makes of a random model agrees: oracles, graphs, programs, modules, JAX.

Values agree to 1e-9, relative, or of the largest entry where an array's values cancel; memory to the bit.
"""

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradc.calculus.nested import expanded
from gradc.emit.module import emit
from gradc.graph.interpret import interpret
from gradc.graph.nodes import Graph
from gradc.graph.verify import verify
from gradc.language.elaborate import elaborate
from gradc.language.evaluate import evaluate
from gradc.language.load import load
from gradc.language.lower import lower
from gradc.pipeline import Stages, gradient_graph, gradient_program, graphs_of, module_spec
from gradc.schedule.build import schedule
from gradc.schedule.verify import verify_program
from gradc.stages import batch_of

from .emitted import load_compiled, load_plain, poisoned
from .models import RandomModel
from .world import Array

NAN, OTHER = float("nan"), 1e30
TOLERANCE = {"float64": 1e-9, "float32": 2e-3}


@dataclass(frozen=True)
class Expected:
    """What a model gives: outputs by name, and the gradient by each parameter."""

    outputs: Mapping[str, Array]
    gradients: Mapping[str, Array]


def by_jax(model: RandomModel) -> Expected:
    """JAX's values and gradients, in float64, an operation at a time."""
    data = {**model.inputs, **model.targets, **model.states}

    def loss(params: Mapping[str, Array]) -> tuple[Array, dict[str, Array]]:
        outputs = model.evaluated(jnp, {**data, **params})
        return outputs["loss"], outputs

    with jax.enable_x64(True):
        params = {name: jnp.asarray(value) for name, value in model.params.items()}
        (_, outputs), gradients = jax.value_and_grad(loss, has_aux=True)(params)
        return Expected(jax.device_get(outputs), jax.device_get(gradients))


def assert_close(actual: Any, wanted: Any, label: str, tolerance: float = TOLERANCE["float64"]) -> None:
    """Equal up to the tolerance, relative to each entry or to the largest."""
    wanted = np.asarray(wanted, np.float64)
    largest = float(np.max(np.abs(wanted), initial=0.0))
    np.testing.assert_allclose(
        np.asarray(actual, np.float64), wanted, rtol=tolerance, atol=tolerance * max(largest, 1e-3), err_msg=label
    )


# ---------------------------------------------------------------- stages


def check_stages(model: RandomModel, expected: Expected) -> Stages:
    """The oracle on the syntax and the graph's interpreter, after every pass, against what is expected."""
    sources = load(model.text)
    written, plain = elaborate(sources, training=True), elaborate(sources, training=False)
    facts = tuple(p.value for p in written.preconditions)
    oracle = evaluate(written, model.values, model.dims)
    stages = graphs_of(written, plain)
    graph = lower(written)
    for label, name in graph.outputs.items():
        assert_close(oracle[name], expected.outputs[label], f"syntax: {label}")
    passes = {
        "lowered": expanded(graph).graph,
        "stabilised": stages.forward,
        "gradient": gradient_graph(written, stages.forward),
        "simplified": stages.gradient,
        "simplified predictions": stages.predict,
        "simplified metrics": stages.evaluate,
    }
    for label, made in passes.items():
        if made is not None:
            verify(made, facts)
            check_graph(made, model, expected, label)
    return stages


def check_graph(graph: Graph, model: RandomModel, expected: Expected, stage: str) -> None:
    found = interpret(graph, model.values, model.dims)
    for label, name in graph.outputs.items():
        assert_close(found[name], wanted(label, expected), f"{stage}: {label}")


def wanted(label: str, expected: Expected) -> Array:
    """Of an output of a gradient's graph or a model's, or of something that is computed twice."""
    label = label.removesuffix(" again").removesuffix(" alone")
    parameter = label.removeprefix("gradient ")
    return expected.gradients[parameter] if parameter != label else expected.outputs[label]


# ---------------------------------------------------------------- modules


@dataclass(frozen=True)
class Sources:
    """A model's module as it is, and with every buffer in a place of its own."""

    shared: str
    separate: str


def sources_of(stages: Stages, text: str, dtype: str) -> Sources:
    """Both modules; their programs are verified."""
    spec = module_spec(stages, text, dtype)
    facts = tuple(value for value, _ in spec.preconditions)
    apart = {
        role: schedule(graph, share=False)
        for role, graph in [("evaluate", stages.evaluate), ("predict", stages.predict)]
        if graph is not None
    }
    if stages.gradient is not None:
        apart["gradient"] = gradient_program(stages.gradient, share=False, batch=batch_of(stages.model))
    for program in (spec.gradient, spec.evaluate, spec.predict, *apart.values()):
        if program is not None:
            verify_program(program, facts)
    return Sources(emit(spec), emit(replace(spec, **apart)))


def results(module: Any, model: RandomModel, fill: float | None = None) -> dict[str, Array]:
    """All that a module computes, by the names of `wanted`; with fresh arrays full of `fill`, if that is given."""
    params = module.init(0)
    for name, value in (*model.params.items(), *model.states.items()):
        params[name] = value
    arguments = [*model.inputs.values(), *model.targets.values()]
    if fill is None:
        return dict(_results(module, params, model, arguments))
    with poisoned(module, fill):
        return dict(_results(module, params, model, arguments))


def _results(module: Any, params: Any, model: RandomModel, arguments: list[Array]) -> Iterator[tuple[str, Array]]:
    with np.errstate(all="ignore"):
        loss, gradients = module.loss_and_gradients(params, *arguments)
        yield "loss", loss
        for name in model.params:
            yield f"gradient {name}", gradients[name]
        if module.PREDICTIONS:
            found = module.predict(params, *model.inputs.values())
            found = found if isinstance(found, dict) else {module.PREDICTIONS[0]: found}
            yield from ((f"predict {name}", value) for name, value in found.items())
        for name in module.PREDICTIONS:
            alone = getattr(module, f"predict_{name}", None)
            if alone is not None:
                wanted_inputs = inspect.signature(alone).parameters
                given = [value for key, value in model.inputs.items() if {key, f"{key}_"} & set(wanted_inputs)]
                yield f"predict {name} alone", alone(params, *given)
        for name, value in module.evaluate(params, *arguments).items():
            yield ("loss again" if name == "loss" else f"metric {name}"), value
        if model.states and not hasattr(module.step_entry, "py_func"):  # it would be compiled for this alone
            module.train_step(params, module.init_state(params), *arguments)
            yield from ((f"next {name}", np.array(params[name])) for name in model.states)


def check_module(source: Sources, model: RandomModel, expected: Expected) -> None:
    """The plain module gives what is expected, whatever its buffers hold and wherever they lie: to the bit."""
    module = load_plain(source.shared)
    found = results(module, model)
    for label, value in found.items():
        assert_close(value, wanted(label, expected), f"module: {label}")
    again = {
        "poisoned by NaN": results(module, model, NAN),
        "poisoned by 1e30": results(module, model, OTHER),
        "with separate buffers": results(load_plain(source.separate), model, NAN),
    }
    for how, values in again.items():
        for label, value in values.items():
            np.testing.assert_array_equal(value, found[label], err_msg=f"{label}, {how}")


def check_compiled(source: Sources, model: RandomModel, expected: Expected, folder: Path) -> None:
    """The same of the compiled module, in its own dtype."""
    module = load_compiled(source.shared, folder)
    found = results(module, model)
    for label, value in found.items():
        assert_close(value, wanted(label, expected), f"compiled: {label}", TOLERANCE[module.DTYPE])
    for label, value in results(module, model, NAN).items():
        np.testing.assert_array_equal(value, found[label], err_msg=f"{label}, poisoned by NaN")
