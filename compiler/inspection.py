"""Shows a model at any stage on its way to Python: text → text. `gradc inspect`.

Each graph and each program is verified before it is shown. The stages: the syntax tree, the graph as written, the
graph with its gradient, the same simplified, the programs (loops, products, buffers), the emitted module.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from gradc.emit.layout import ModuleSpec
from gradc.emit.module import emit as emit_module
from gradc.errors import GradcError, fail
from gradc.graph.index import IndexExpr
from gradc.graph.nodes import Graph
from gradc.graph.show import show as show_graph
from gradc.graph.verify import verify
from gradc.language import show_syntax
from gradc.language.lower import lower
from gradc.language.parse import parse
from gradc.nearest import nearest
from gradc.schedule.program import Program
from gradc.schedule.show import show as show_program
from gradc.schedule.verify import verify_program
from gradc.slices import graph_slice, makers, program_slice, source_slice, target_of
from gradc.stages import Stages, gradient_graph, graphs, module_spec

MOST_NAMES = 20


def inspect(text: str, *, file: str = "model.grad", stage: str = "python", of: str | None = None,
            dtype: str = "float32", folder: Path | None = None) -> str:  # fmt: skip
    """A model at one stage, as text.

    Args:
        text: the model.
        file: its name, as errors and the text show it.
        stage: one of `STAGES`.
        of: a parameter, whose gradient is meant, or a tensor: only what makes it is shown.
        dtype: of the emitted module.
        folder: where files that it uses lie.

    Raises:
        GradcError: the model is wrong, or has no such stage or name.
    """
    if stage not in STAGES:
        raise fail("unknown-stage", f"there is no stage {stage!r}", f"the stages are {', '.join(STAGES)}")
    if stage == "syntax" and of is None:
        return show_syntax.show(parse(text, file)) + "\n"
    model = _Model(text, graphs(text, file=file, folder=folder), dtype)
    if stage not in ("syntax", "graph") and model.frozen(of):
        raise fail(
            "frozen-parameter", f"{of} is frozen: nothing makes its gradient", "leave it out of `freeze` to see it"
        )
    return STAGES[stage](model, of)


@dataclass(frozen=True)
class _Model:
    """A model and its graphs, each verified when it is asked for."""

    text: str
    stages: Stages
    dtype: str

    @cached_property
    def facts(self) -> tuple[IndexExpr, ...]:
        return tuple(condition.value for condition in self.stages.model.preconditions)

    @cached_property
    def written(self) -> Graph:
        return self.verified(lower(self.stages.model))

    @cached_property
    def gradient(self) -> Graph:
        return self.verified(gradient_graph(self.stages.model, self.verified(self.stages.forward)))

    @cached_property
    def simplified(self) -> Mapping[str, Graph]:
        stages = self.stages
        found = {"gradient": stages.gradient, "predict": stages.predict, "evaluate": stages.evaluate}
        return {label: self.verified(graph) for label, graph in found.items() if graph is not None}

    @cached_property
    def spec(self) -> ModuleSpec:
        return module_spec(self.stages, self.text, self.dtype)

    @cached_property
    def programs(self) -> Mapping[str, Program]:
        spec = self.spec
        found = {"gradient": spec.gradient, "predict": spec.predict, "evaluate": spec.evaluate, "clipping": spec.before}
        for update in spec.updates:
            names = (label for label in (update.rule, *_counted(update.rule)) if label not in found)
            found[next(iter(names))] = update.program
        programs = {label: program for label, program in found.items() if program is not None}
        for program in programs.values():
            verify_program(program, self.facts)
        return programs

    def verified(self, graph: Graph) -> Graph:
        verify(graph, self.facts)
        return graph

    def frozen(self, name: str | None) -> bool:
        return any(leaf.frozen and leaf.name == name for leaf in self.stages.model.leaves)

    def unknown(self, name: str) -> GradcError:
        """No tensor of that name, at this stage."""
        graph = self.written
        computed = [n for n in (*graph.tensors, *(f"d_{n}" for n in graph.tensors)) if n != name]
        close = nearest(name, computed)
        shown = [n for n in graph.tensors if "." not in n or graph.tensors[n].role is not None]
        more = f" and {len(shown) - MOST_NAMES} more" if len(shown) > MOST_NAMES else ""
        listed = f"{self.stages.model.file} has {', '.join(shown[:MOST_NAMES])}{more}"
        there = name in graph.tensors or name in self.gradient.tensors
        message = f"{name} does not stand at this stage any more" if there else f"there is no tensor {name}"
        hint = f"did you mean {close}?\n{listed}" if close and not there else listed
        return fail("unknown-tensor", message, hint)


def _counted(rule: str) -> Iterable[str]:
    return (f"{rule} {number}" for number in range(2, 1000))


# ---------------------------------------------------------------- stages


def _syntax(model: _Model, of: str | None) -> str:
    """The statements that stand in the lines from which the tensor's equations come."""
    assert of is not None
    graphs_with_it = (graph for graph in (model.gradient, model.written) if target_of(graph, of) is not None)
    within = next(graphs_with_it, None)
    target = target_of(within, of) if within is not None else None
    if within is None or target is None:
        raise model.unknown(of)
    names = makers(within, target)
    lines = {eq.origin.span.line for eq in within.equations if eq.target in names}
    lines |= {within.tensors[name].origin.span.line for name in (of, *names) if name in within.tensors}
    file = parse(model.text, model.stages.model.file)
    kept = [s for s in file.statements if lines.intersection(range(s.span.line, s.span.end_line + 1))]
    return show_syntax.show(replace(file, statements=tuple(kept))) + "\n"


def _graph(model: _Model, of: str | None) -> str:
    return _shown(model, model.written, of)


def _gradient(model: _Model, of: str | None) -> str:
    return _shown(model, model.gradient, of)


def _shown(model: _Model, graph: Graph, of: str | None) -> str:
    if of is None:
        return show_graph(graph)
    target = target_of(graph, of)
    if target is None:
        raise model.unknown(of)
    return show_graph(graph_slice(graph, target))


def _simplified(model: _Model, of: str | None) -> str:
    if of is None:
        return _titled({label: show_graph(graph) for label, graph in model.simplified.items()})
    for label, graph in model.simplified.items():
        target = target_of(graph, of)
        if target is not None:
            return _titled({label: show_graph(graph_slice(graph, target))})
    raise model.unknown(of)


def _program(model: _Model, of: str | None) -> str:
    if of is None:
        return _titled({label: show_program(program) for label, program in model.programs.items()})
    label, program, target = _found(model, of)
    return _titled({label: show_program(program_slice(program, target))})


def _python(model: _Model, of: str | None) -> str:
    source = emit_module(model.spec)
    if of is None:
        return source
    _, program, target = _found(model, of)
    return source_slice(source, model.spec, program, target)


def _found(model: _Model, of: str) -> tuple[str, Program, str]:
    """The program in which a name means something, and the tensor that it means there."""
    for label in ("gradient", "predict", "evaluate"):
        program = model.programs.get(label)
        target = target_of(program.graph, of) if program is not None else None
        if program is not None and target is not None:
            return label, program, target
    raise model.unknown(of)


def _titled(parts: Mapping[str, str]) -> str:
    return "\n".join(f"# {label}\n\n{text}" for label, text in parts.items())


STAGES: Mapping[str, Callable[[_Model, str | None], str]] = {
    "syntax": _syntax,
    "graph": _graph,
    "gradient": _gradient,
    "simplified": _simplified,
    "program": _program,
    "python": _python,
}
