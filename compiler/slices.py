"""What makes one gradient or tensor: a graph, a program or an emitted module → the part of it that does.

Of a gradient it is all that the backward pass does for it, and the equations of the forward pass that this reads at
first hand; of any other tensor, all that it is computed from; of an input or a parameter of a graph without gradients,
its way to the loss.
"""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import replace

from gradc.emit.driver import Driver, Flow, KernelTable
from gradc.emit.layout import ModuleSpec
from gradc.emit.names import Names
from gradc.graph.nodes import Graph
from gradc.schedule.program import Gemm, Item, Loop, Nest, Program, Sequential, Statement, Step, written_by

LOSS = "loss"
HEADINGS = ("# forward", "# backward")


def target_of(graph: Graph, name: str) -> str | None:
    """The tensor that a name means here: a parameter's gradient, a tensor, or an output; None where it means none."""
    for label in (f"gradient {name}", name, f"predict {name}", f"metric {name}"):
        if label in graph.outputs:
            return graph.outputs[label]
    return name if name in graph.tensors else None


def makers(graph: Graph, target: str) -> set[str]:
    """The tensors whose equations make the target, or, of a leaf, those that are computed from it."""
    if target not in graph.writers:
        return way(graph, target)
    forward = ancestors(graph, graph.outputs[LOSS]) if LOSS in graph.outputs else set(graph.tensors)
    if target in forward:
        return ancestors(graph, target)
    return _needed(graph, target, until=forward)


def ancestors(graph: Graph, name: str) -> set[str]:
    """The tensor and all computed ones that it needs."""
    return _needed(graph, name, until=set())


def _needed(graph: Graph, name: str, until: set[str]) -> set[str]:
    found: set[str] = set()
    waiting = [name]
    while waiting:
        name = waiting.pop()
        if name not in found and (name in graph.writers or name in graph.gradients):
            found.add(name)
            if name not in until:
                waiting += _sources(graph, name)
    return found


def way(graph: Graph, leaf: str) -> set[str]:
    """The tensors that are computed from a leaf; those on its way to the loss, if it reaches it."""
    found = {leaf}
    for name in graph.order:
        if found.intersection(_sources(graph, name)):
            found.add(name)
    found.remove(leaf)
    needed = found & ancestors(graph, graph.outputs[LOSS]) if LOSS in graph.outputs else set()
    return needed or found


def _sources(graph: Graph, name: str) -> list[str]:
    """What a tensor is computed from; of a gradient that it reads, also what that is of."""
    read = graph.needs(name)
    return [*read, *(needed for source in read if source in graph.gradients for needed in graph.needs(source))]


# ---------------------------------------------------------------- graphs, programs


def graph_slice(graph: Graph, target: str) -> Graph:
    """Only the equations that make the target, and the tensors in them."""
    names = makers(graph, target)
    equations = tuple(equation for equation in graph.equations if equation.target in names)
    used = {target, *names, *(source for equation in equations for source in equation.sources())}
    tensors = {name: tensor for name, tensor in graph.tensors.items() if name in used}
    outputs = {label: name for label, name in graph.outputs.items() if name == target}
    return Graph(tensors, equations, outputs or {target: target})


def program_slice(program: Program, target: str) -> Program:
    """Only the steps, loops and statements that make the target, and their buffers."""
    names = makers(program.graph, target)
    steps = tuple(step for whole in program.steps for step in _step_slice(whole, names))
    buffers = {name: buffer for name, buffer in program.buffers.items() if name in names}
    return replace(program, graph=graph_slice(program.graph, target), steps=steps, buffers=buffers)


def _step_slice(step: Step, names: set[str]) -> Iterator[Step]:
    if isinstance(step, Gemm):
        if step.equation.target in names:
            yield step
    elif isinstance(step, Sequential):
        if steps := tuple(part for inner in step.steps for part in _step_slice(inner, names)):
            yield Sequential(step.index, step.backward, steps)
    elif isinstance(step, Nest) and (items := tuple(_item_slice(step.items, names))):
        yield replace(step, items=items)


def _item_slice(items: Iterable[Item], names: set[str]) -> Iterator[Item]:
    for item in items:
        if isinstance(item, Statement):
            if item.equation.target in names:
                yield item
        elif body := tuple(_item_slice(item.body, names)):
            yield Loop(item.index, body)


# ---------------------------------------------------------------- Python


def source_slice(source: str, spec: ModuleSpec, program: Program, target: str) -> str:
    """Only the kernels that make the target, and the lines that call them, as they stand in the module."""
    wanted = _statements_of(spec, program, makers(program.graph, target))
    rows = source.split("\n")
    functions = {node.name: node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}
    driver = functions[_driver_name(spec, program)]
    kept = _kept(driver, wanted)
    called = {name for statement in kept for name in _names(statement)}
    kernels = [_with_decorators(node, rows) for name, node in functions.items() if name in called & _kernels(functions)]
    lines = [line for statement in kept for line in _with_comments(statement, rows)]
    header = rows[_first_line(driver) - 1 : driver.body[0].lineno - 1]
    adjoint = target not in ancestors(program.graph, program.graph.outputs.get(LOSS, target))
    forward = ", and of the forward pass what that reads at first hand" if adjoint else ""
    note = f"# Of {spec.name}.py only what makes {target}{forward}; {driver.name} does more than these lines."
    return "\n\n\n".join([note, *kernels, "\n".join([*header, *lines])]) + "\n"


def _driver_name(spec: ModuleSpec, program: Program) -> str:
    if program is spec.gradient:
        return "differentiate"
    return "predict_entry" if program is spec.predict else "evaluate_entry"


def _statements_of(spec: ModuleSpec, program: Program, names: set[str]) -> set[str]:
    """The statements that the emitter writes for the steps that make the tensors, as trees."""
    given = Names()
    for tensor in (*spec.inputs, *spec.targets):
        given.of(tensor.name)
    driver = Driver(given, "f4" if spec.dtype == "float32" else "f8", KernelTable(), given)
    for earlier in (spec.gradient, spec.predict, spec.evaluate):
        if earlier is not None:
            driver.body(earlier)
        if earlier is program:
            break
    flow, around = Flow(program), driver.surroundings(program.graph, {})
    steps = [at for at, step in enumerate(program.steps) if names.intersection(written_by(step))]
    texts = ["\n".join(driver.step(program, at, flow, around, "")) for at in steps]
    return {ast.dump(statement) for text in texts for statement in ast.parse(text).body}


def _kept(function: ast.FunctionDef, wanted: set[str]) -> list[ast.stmt]:
    """The wanted statements, and before them the views and sizes that they use."""
    kept: list[ast.stmt] = []
    used: set[str] = set()
    for statement in reversed(function.body):
        view = isinstance(statement, ast.Assign) and used.intersection(_assigned(statement)) and _is_view(statement)
        if ast.dump(statement) in wanted or view:
            kept.append(statement)
            used |= _names(statement)
    return kept[::-1]


def _is_view(statement: ast.Assign) -> bool:
    """`h = view(work, …)`, `h_weight, h_bias = parts(params)`, `start_2 = start_1 + batch`: no tensor is computed."""
    calls = {ast.unparse(node.func) for node in ast.walk(statement.value) if isinstance(node, ast.Call)}
    return calls <= {"parts", "view", "rows", "columns_of"}


def _assigned(statement: ast.Assign) -> set[str]:
    return {node.id for target in statement.targets for node in ast.walk(target) if isinstance(node, ast.Name)}


def _names(statement: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}


def _kernels(functions: dict[str, ast.FunctionDef]) -> set[str]:
    """The functions that are decorated as kernels, but for what all modules share."""
    marked = {name for name, node in functions.items() for mark in node.decorator_list if ast.unparse(mark) == "kernel"}
    return marked - {"parts"}


def _with_decorators(node: ast.FunctionDef, rows: list[str]) -> str:
    return "\n".join(rows[_first_line(node) - 1 : node.end_lineno])


def _first_line(node: ast.FunctionDef) -> int:
    return min([node.lineno, *(mark.lineno for mark in node.decorator_list)])


def _with_comments(statement: ast.stmt, rows: list[str]) -> list[str]:
    """Its lines, and the comment above them."""
    first = statement.lineno
    while rows[first - 2].strip().startswith("#"):
        first -= 1
    heading = [""] if rows[first - 1].strip() in HEADINGS else []
    return [*heading, *rows[first - 1 : statement.end_lineno]]
