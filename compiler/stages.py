"""All stages in order: text → elaborated syntax → graphs → programs → Python.

    text ─language→ graph ─stabilise→ ─calculus→ gradient graph ─simplify→ graph ─schedule→ program ─emit→ module

A model has up to four graphs: its gradient (with `training` true), its predictions and its metrics (with `training`
false), and the update rule of each group of parameters.
"""

import hashlib
import warnings
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from gradc.algebra.simplify import simplify
from gradc.algebra.stabilise import stabilise
from gradc.calculus.differentiate import gradient
from gradc.calculus.nested import Expanded, expanded
from gradc.capacity import check_capacity
from gradc.collection import resting
from gradc.emit.layout import Alone, ModuleSpec, Moment, Parameter, UpdateProgram
from gradc.emit.module import emit as emit_module
from gradc.errors import Diagnostic, GradcError, GradcWarning, Label, Span, render
from gradc.graph.index import ZERO, number
from gradc.graph.nodes import Graph, Tensor
from gradc.graph.prune import pruned
from gradc.graph.recurrence import Unordered, arrange
from gradc.graph.show import file_in_text
from gradc.graph.tensors import Kind, Role
from gradc.language import core
from gradc.language.elaborate import elaborate_both
from gradc.language.load import load
from gradc.language.lower import lower, lower_law, lower_update
from gradc.schedule.build import schedule
from gradc.schedule.costs import JOINT_RESULT, USUAL_BATCH
from gradc.schedule.program import Program, Space

SHOWN = 4
LINE = 16
"""Numbers in a line of the cache."""


@dataclass(frozen=True, slots=True)
class Stages:
    """The graphs of a model, before they are scheduled.

    Attributes:
        model, plain: as it is in training, and in predict and evaluate.
        forward: all of it in training, stable, with equations for every `grad(y, x)`.
        zeros: the `grad(y, x)` that are 0 everywhere.
    """

    model: core.Model
    plain: core.Model
    forward: Graph
    zeros: tuple[Tensor, ...]
    gradient: Graph | None
    predict: Graph | None
    evaluate: Graph | None


@resting()
def emit(text: str, *, file: str = "model.grad", folder: Path | None = None, dtype: str = "float32",
         lr: float | None = None) -> str:  # fmt: skip
    """The emitted module of a model.

    Args:
        text: the model.
        file: its name, as errors and the module show it.
        folder: where files that it uses lie; by default the file's own, if there is such a file.
        dtype: "float32" or "float64".
        lr: a learning rate in place of the model's.

    Raises:
        GradcError: the model is wrong; everything found wrong by the stage that gave up.
    """
    stages = graphs(text, file=file, folder=folder, lr=lr)
    for diagnostic in doubts(stages):
        warnings.warn(render(diagnostic, {stages.model.file: text}), GradcWarning, stacklevel=2)
    return emit_module(module_spec(stages, text, dtype))


@resting()
def graphs(text: str, *, file: str = "model.grad", folder: Path | None = None, lr: float | None = None) -> Stages:
    """The model's graphs: as written, stabilised, differentiated, simplified."""
    sources = load(text, file=file, folder=_folder(file, folder))
    try:
        return graphs_of(*elaborate_both(sources, lr))
    except GradcError as error:  # what is found after elaborating knows no texts
        texts = {each.name: each.text for each in (sources.file, *sources.used.values())}
        raise GradcError(error.diagnostics, {**texts, **error.sources}) from None


def doubts(stages: Stages) -> tuple[Diagnostic, ...]:
    """All warnings: what compiles and is probably not what was meant."""
    return (*stages.model.doubts, *untrained(stages.model), *unreached(stages), *vanishing(stages))


def untrained(model: core.Model) -> Iterator[Diagnostic]:
    """A warning where every parameter is frozen, so that training would change nothing."""
    leaves = [leaf for leaf in model.leaves if leaf.role is Role.PARAM]
    if not model.loss or not leaves or model.minimised:
        return
    named: dict[Span, list[str]] = {}
    for leaf in leaves:
        named.setdefault(leaf.span, []).append(leaf.name)
    labels = [Label(span, ", ".join(names[:SHOWN]) + ", …" * (len(names) > SHOWN)) for span, names in named.items()]
    yield Diagnostic(
        "nothing-trained",
        "all parameters are frozen: training changes nothing",
        leaves[0].span,
        tuple(labels[:SHOWN]),
        severity="warning",
        help="freeze fewer of them, such as `freeze backbone.*`",
    )


def vanishing(stages: Stages) -> Iterator[Diagnostic]:
    """A warning for each `grad(y, x)` that is 0 everywhere."""
    for tensor in stages.zeros:
        assert tensor.gradient is not None, "it stood for a gradient"
        of, by = tensor.gradient.of, tensor.gradient.by
        yield Diagnostic(
            "zero-gradient",
            f"{tensor.name} is 0 everywhere",
            tensor.origin.span,
            severity="warning",
            help=f"{of} does not depend on {by}, or only by steps whose derivative is 0, such as relu's second one",
        )


def unreached(stages: Stages) -> tuple[Diagnostic, ...]:
    """A warning for each trained parameter that what it is to make less does not depend on, or by steps alone."""
    read: dict[str, set[str]] = {}
    found: list[Diagnostic] = []
    leaves = {leaf.name: leaf for leaf in stages.model.leaves}
    for name, output in stages.model.minimised.items():
        if output.tensor not in read:
            part = pruned(Graph(stages.forward.tensors, stages.forward.equations, {"loss": output.tensor}))
            read[output.tensor] = {source for equation in part.equations for source in equation.sources()}
        loss = output.name if output.tensor in stages.model.own_losses else "the loss"
        if name not in read[output.tensor]:
            said = f"{loss} does not depend on {name}", f"use {name} on the way to {loss}, or say `freeze {name}`"
        elif _is_zero(stages.gradient, name):
            help = f"{name} goes through steps alone, such as argmax, floor, a comparison or stop_gradient"
            said = f"the derivative of {loss} by {name} is 0 everywhere", help
        else:
            continue
        message = f"{said[0]}: it will not be trained"
        span = leaves[name].span
        found.append(Diagnostic("unreached-parameter", message, span, severity="warning", help=said[1]))
    return tuple(found)


def _is_zero(graph: Graph | None, parameter: str) -> bool:
    """Whether nothing writes the gradient by a parameter."""
    made = graph.outputs.get(f"gradient {parameter}") if graph is not None else None
    return graph is not None and made is not None and made not in graph.writers


def dependencies(text: str, file: str) -> tuple[Path, ...]:
    """The files that a model uses, directly or not."""
    return load(text, file=file, folder=_folder(file, None)).paths


def _folder(file: str, folder: Path | None) -> Path | None:
    return Path(file).parent if folder is None and Path(file).is_file() else folder


def graphs_of(model: core.Model, plain: core.Model) -> Stages:
    """The graphs of an elaborated model, with `training` true and false."""
    _check_same_parameters(model, plain)
    trained = forward_graph(model)
    forward = trained.graph
    quiet = forward if plain is model else forward_graph(plain).graph
    return Stages(
        model,
        plain,
        forward,
        trained.zeros,
        simplify(gradient_graph(model, forward)) if model.loss else None,
        simplify(_with_outputs(quiet, "predict ")) if plain.predictions else None,
        simplify(_with_outputs(quiet, "loss", "metric ")) if plain.loss or plain.metrics else None,
    )


def _check_same_parameters(model: core.Model, plain: core.Model) -> None:
    """A parameter or a state must not depend on whether the model is in training."""
    words = {Role.PARAM: "parameter", Role.STATE: "state"}
    kept = {(leaf.name, leaf.role, leaf.axes) for leaf in plain.leaves}
    for leaf in model.leaves:
        if leaf.role in words and (leaf.name, leaf.role, leaf.axes) not in kept:
            raise GradcError([
                Diagnostic(
                    "parameter-in-training-only",
                    f"{leaf.name} is another {words[leaf.role]}, or none, where training is false",
                    leaf.span,
                    help="declare it outside of `if training`",
                )
            ])  # fmt: skip


def forward_graph(model: core.Model) -> Expanded:
    """All of a model, made stable and paired first, then with equations for every `grad(y, x)`."""
    lowered = stabilise(lower(model))
    found = expanded(lowered)
    if lowered.gradients:
        _check_order(found.graph)
    return found


def gradient_graph(model: core.Model, forward: Graph) -> Graph:
    """The loss, the next values of states, and the gradient by every parameter that is trained: of the loss, or of a
    scalar of its own."""
    assert model.loss is not None
    kept = {"loss": model.loss.tensor}
    kept |= {label: name for label, name in forward.outputs.items() if label.startswith("next ")}
    parameters: dict[str, list[str]] = {model.loss.tensor: []}
    for name, minimised in model.minimised.items():
        parameters.setdefault(minimised.tensor, []).append(name)
    graph = pruned(Graph(forward.tensors, forward.equations, kept | {tensor: tensor for tensor in parameters}))
    graph = Graph(graph.tensors, graph.equations, kept)
    for tensor, names in parameters.items():
        graph = gradient(graph, tensor, names, prefix=adjoint_prefix(model, tensor))
    _check_order(graph)
    return graph


def _check_order(graph: Graph) -> None:
    """Refuses a recurrence whose gradient has no loop in which each place comes after those it needs."""
    try:
        arrange(graph)
    except Unordered as cycle:
        lines = dict.fromkeys(equation.origin.span for equation in cycle.equations)
        raise GradcError([
            Diagnostic(
                "gradient-without-order",
                f"the gradient of this recurrence goes through its places in no order that is found: {cycle}",
                next(iter(lines)),
                tuple(Label(span, "read here too") for span in [*lines][1:]),
                help="that what it reads lies earlier must be seen of each of its branches: write fewer, or an "
                "equation for each place, which needs no order: for i in range(1, n): h[i] = …",
            )
        ]) from None  # fmt: skip


def adjoint_prefix(model: core.Model, scalar: str) -> str:
    """What the names of derivatives of a scalar begin with: `d_h` of the loss, `dgap.dh` of `gap`."""
    return f"d{scalar}.d" if scalar in model.own_losses else "d_"


def _with_outputs(graph: Graph, *prefixes: str) -> Graph:
    outputs = {label: name for label, name in graph.outputs.items() if label.startswith(prefixes)}
    return pruned(Graph(graph.tensors, graph.equations, outputs))


# ---------------------------------------------------------------- programs and layout


def module_spec(stages: Stages, text: str, dtype: str) -> ModuleSpec:
    """Everything that the module is written from.

    Raises:
        GradcError: a tensor is larger than any memory.
    """
    model = stages.model
    order = _parameter_order(model)
    parameters = _parameters(model, order)
    trained = sum(p.size for p in parameters if p.name in {n for u in model.training.updates for n in u.parameters})
    rules = [update_graph(model, update) for update in model.training.updates]
    updates, names, moments = _updates(model, rules, {p.name: p for p in parameters})
    release = version("gradc")
    digest = hashlib.sha256(f"{text}\0{dtype}\0{release}".encode()).hexdigest()[:8]
    gradient = gradient_program(stages.gradient, batch=batch_of(model)) if stages.gradient else None
    in_parts = gradient is not None and gradient.in_shards
    evaluate = schedule(stages.evaluate) if stages.evaluate else None
    predict = schedule(stages.predict, in_parts=in_parts) if stages.predict else None
    check_capacity([program for program in (gradient, evaluate, predict) if program], {model.file: text})
    return ModuleSpec(
        name=model.name,
        file=file_in_text(model.file),
        source=text,
        digest=digest,
        version=release,
        dtype=dtype,
        equations=_shown(model, text),
        sizes=model.sizes,
        dims=model.dims,
        inputs=_leaves(stages.forward, Role.INPUT),
        targets=_leaves(stages.forward, Role.TARGET),
        parameters=parameters,
        trained=trained,
        moments=moments,
        moment_names=names,
        updates=updates,
        before=_before(model, {name for graph in rules for eq in graph.equations for name in eq.sources()}),
        gradient=_with_space_for(updates, gradient) if gradient else None,
        evaluate=evaluate,
        predict=predict,
        alone=_alone(stages, in_parts),
        nested=any(tensor.gradient is not None for tensor in model.tensors) or bool(model.own_losses),
        preconditions=tuple((p.value, p.message) for p in model.preconditions),
        data=model.data,
        fit=dict(model.fit),
    )


def batch_of(model: core.Model) -> int:
    """How many rows a step has: what the model is fitted with, or what is usual."""
    return int(dict(model.fit).get("batch", USUAL_BATCH))


def gradient_program(graph: Graph, *, share: bool = True, batch: int = USUAL_BATCH) -> Program:
    """The program of a gradient: what a state is next lies where it is. Batches have about so many rows."""
    states = {label: label.removeprefix("next ") for label in graph.outputs if label.startswith("next ")}
    return schedule(graph, states, share=share, rows=batch)


def _with_space_for(updates: Iterable[UpdateProgram], program: Program) -> Program:
    """The same program with work space in which the optimizer's rules find room too: they run when it is done."""
    needed = {space: max((update.work(space) for update in updates), default=0) for space in Space}
    more = {space: program.work.get(space, ZERO) + length for space, length in needed.items() if length}
    return replace(program, work={**program.work, **more})


def _alone(stages: Stages, in_parts: bool) -> dict[str, Alone]:
    """Predictions by themselves, where they need different inputs."""
    if stages.predict is None:
        return {}
    parts: dict[str, tuple[Graph, tuple[Tensor, ...]]] = {}
    for label, name in stages.predict.outputs.items():
        graph = pruned(Graph(stages.predict.tensors, stages.predict.equations, {label: name}))
        inputs = _needed(graph, _leaves(stages.predict, Role.INPUT))
        parts[_alone_name(label.removeprefix("predict "), parts)] = (graph, inputs)
    if len({inputs for _, inputs in parts.values()}) <= 1:
        return {}
    return {label: Alone(schedule(graph, in_parts=in_parts), inputs) for label, (graph, inputs) in parts.items()}


def _alone_name(prediction: str, others: Collection[str]) -> str:
    """`predict_p`; with `_` after it where that, or `predict_p_entry`, is the name of another function."""
    taken = {"predict_entry", *others, *(f"{other}_entry" for other in others)}
    name = f"predict_{prediction}"
    while name in taken or f"{name}_entry" in taken:
        name += "_"
    return name


def _needed(graph: Graph, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The inputs that a graph reads or hands out, and those that tell free dims: of what it makes, and of the axes and
    ranges of the others."""
    read = {source for equation in graph.equations for source in equation.sources()} | {*graph.outputs.values()}
    needed = [tensor for tensor in inputs if tensor.name in read]
    used = {d for eq in graph.equations for e in eq.index_expressions() for d in e.dims}
    used |= {d for eq in graph.equations for i in eq.indices for d in i.high.dims}
    used |= {d for eq in graph.equations for e in graph.tensors[eq.target].extents for d in e.dims}
    more: list[Tensor] | None = None
    while more is None or more:
        for tensor in needed if more is None else more:
            ranges = (tensor.bounds.low, tensor.bounds.high) if tensor.bounds is not None else ()
            used |= {d for e in (*tensor.extents, *ranges) for d in e.dims}
        missing = used - {str(extent) for tensor in needed for extent in tensor.extents}
        tellers = (next((t for t in inputs if dim in map(str, t.extents)), None) for dim in missing)
        more = [*{teller.name: teller for teller in tellers if teller is not None}.values()]
        needed += more
    return tuple(tensor for tensor in inputs if tensor in needed)


def _leaves(graph: Graph, role: Role) -> tuple[Tensor, ...]:
    return tuple(tensor for tensor in graph.tensors.values() if tensor.role is role)


def _shown(model: core.Model, text: str) -> tuple[tuple[str, int], ...]:
    """The lines of the model's own file that compute something, in order."""
    spans = [equation.span for equation in model.equations]
    spans += [output.span for output in (*model.predictions, *([model.loss] if model.loss else []))]
    rows = text.splitlines()
    numbers = sorted({span.line for span in spans if span.file == model.file and span.line <= len(rows)})
    return tuple((rows[number - 1].strip(), number) for number in numbers)


def _parameter_order(model: core.Model) -> list[str]:
    """In memory: group by group, what is not trained last; in each group first what fills lines of the cache, so that
    all of that begins on one, and of that the large ones, so that the others lie side by side."""
    sizes = {leaf.name: _product(tuple(axis.extent.constant or 0 for axis in leaf.axes)) for leaf in model.leaves}
    groups = (
        sorted(update.parameters, key=lambda name: (sizes[name] % LINE > 0, sizes[name] < JOINT_RESULT))
        for update in model.training.updates
    )
    grouped = [name for names in groups for name in names]
    every = [leaf.name for leaf in model.leaves if leaf.role in (Role.PARAM, Role.STATE)]
    return [*grouped, *(name for name in every if name not in grouped)]


def _parameters(model: core.Model, order: list[str]) -> tuple[Parameter, ...]:
    """In order of appearance, each with its place in memory."""
    leaves = {leaf.name: leaf for leaf in model.leaves if leaf.role in (Role.PARAM, Role.STATE)}
    shapes = {name: tuple(axis.extent.constant or 0 for axis in leaf.axes) for name, leaf in leaves.items()}
    offsets: dict[str, int] = {}
    end = 0
    for name in order:
        offsets[name] = end
        end += _product(shapes[name])
    made = []
    for name, leaf in leaves.items():
        assert leaf.law is not None, "every parameter has an initial law"
        body = lower_law(leaf.law) if leaf.law.value is not None else None
        law, is_state = leaf.law, leaf.role is Role.STATE
        made.append(Parameter(name, shapes[name], offsets[name], body, law.indices, law.text, is_state))
    return tuple(made)


def _product(shape: tuple[int, ...]) -> int:
    total = 1
    for extent in shape:
        total *= extent
    return total


def _updates(model: core.Model, rules: list[Graph], parameters: dict[str, Parameter]) -> tuple[
    tuple[UpdateProgram, ...], dict[str, tuple[int, tuple[int, ...]]], int
]:  # fmt: skip
    """The update programs, the names of their moments in order of the parameters, and how many numbers those are."""
    programs: list[UpdateProgram] = []
    names: dict[str, tuple[int, tuple[int, ...]]] = {}
    end = 0
    for update, graph in zip(model.training.updates, rules, strict=True):
        size = sum(parameters[name].size for name in update.parameters)
        shape = tuple(axis.extent.constant or size for axis in update.axes)
        start = min(parameters[name].offset for name in update.parameters)
        moments = []
        for moment in update.moments:
            own = () if moment.scalar else shape
            law = core.Law(update.span, "", (), moment.law)
            moments.append(Moment(moment.name, end, own, lower_law(law)))
            if moment.scalar:
                names[f"{update.parameters[0]}.{moment.name}"] = (end, ())
            else:
                for name in update.parameters:
                    place = parameters[name]
                    names[f"{name}.{moment.name}"] = (end + place.offset - start, place.shape)
            end += _product(own)
        program = schedule(graph, in_place={f"next {name}": name for name, _ in update.results})
        programs.append(UpdateProgram(update.rule, program, start, shape, tuple(moments)))
    return tuple(programs), names, end


def update_graph(model: core.Model, update: core.Update) -> Graph:
    """The graph of one rule; its outputs are the next values of p and of the moments."""
    leaves = [core.Leaf(update.span, name, core.Role.PARAM, update.axes, Kind.REAL) for name in ("p", "g")]
    for moment in update.moments:
        axes = () if moment.scalar else update.axes
        leaves.append(core.Leaf(update.span, moment.name, core.Role.STATE, axes, Kind.REAL))
    scalars = ["t", *(tensor.name for tensor in model.training.before_tensors)]
    leaves += [core.Leaf(update.span, name, core.Role.INPUT, (), Kind.REAL) for name in scalars]
    results = {f"next {name}": tensor for name, tensor in update.results}
    return simplify(stabilise(pruned(lower_update(leaves, update.tensors, update.equations, results))))


def _before(model: core.Model, read: set[str]) -> Program | None:
    """The program of what the updates share, as far as they read it."""
    training = model.training
    if not training.before:
        return None
    size = sum(
        _product(tuple(axis.extent.constant or 0 for axis in leaf.axes))
        for leaf in model.leaves
        if leaf.name in {name for update in training.updates for name in update.parameters}
    )
    axes = (core.Axis("n", number(size)),)
    leaf = core.Leaf(training.before[0].span, "gradient", core.Role.PARAM, axes, Kind.REAL)
    graph = lower_update([leaf], training.before_tensors, training.before, {})
    graph = pruned(Graph(graph.tensors, graph.equations, {name: name for name in graph.tensors if name in read}))
    return schedule(simplify(stabilise(graph)))
