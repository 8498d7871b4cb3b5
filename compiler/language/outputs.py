"""Predictions, the loss and the metrics: each a tensor and the name it is handed out under."""

from collections.abc import Collection, Mapping, Sequence

from gradc.errors import Label, Span

from . import core, syntax
from .core import Role
from .equations import force, is_scalar_tensor
from .places import Context
from .refusal import Refused
from .scopes import Frame, Thunk
from .tensors import dependencies, store
from .values import POISON, Array, Element, Value, described
from .world import World


def collect(world: World, frame: Frame) -> dict[str, list[core.Output]]:
    """The outputs by their role: predict, loss, metric."""
    found: dict[str, list[core.Output]] = {"predict": [], "loss": [], "metric": []}
    names: dict[str, syntax.Output] = {}
    for statement, name, entry in world.outputs:
        try:
            _check_name(statement, name, names)
            value = force(world, entry)
            if value is not POISON:
                reserved = entry.targets[0] if isinstance(entry, Thunk) else name
                found[statement.role].append(_output(world, statement, name, value, reserved))
        except Refused as refused:
            world.report(refused, frame)
    if not any(statement.role == "loss" for statement, _, _ in world.outputs):
        file, text = next(iter(world.sources.items()))
        rows = text.rstrip().split("\n")
        end = Span(file, len(rows), len(rows[-1]) + 1, len(rows), len(rows[-1]) + 2)
        message = "the model has no loss" if text.strip() else "the file is empty, and a model has a loss"
        world.report(Refused("no-loss", message, end, help="add one: loss mean(squared_error(p, y))"), frame)
    return found


def _check_name(statement: syntax.Output, name: str, names: dict[str, syntax.Output]) -> None:
    known = names.get(name)
    if known is not None:
        labels = [Label(known.span, "here"), Label(statement.span, "and here")]
        if statement.role == known.role == "loss":
            raise Refused("two-losses", "a model has one loss", statement.span, labels, help="add them up")
        raise Refused("name-taken", f"two outputs are called {name}", statement.span, labels,
                      help=f"give one a name: {statement.role} other = …")  # fmt: skip
    names[name] = statement


def _output(world: World, statement: syntax.Output, name: str, value: Value, reserved: str) -> core.Output:
    if not isinstance(value, Element | Array):
        raise Refused(
            "not-a-tensor",
            f"an output is a tensor, and this is {described(value)}",
            statement.span,
            help="name a tensor or a number that the model computes",
        )
    if statement.role != "predict" and isinstance(value, Array):
        word = "the loss" if statement.role == "loss" else "a metric"
        raise Refused("not-a-scalar", f"{word} is a scalar, and this is {described(value)}", statement.value.span,
                      help="take its mean or its sum")  # fmt: skip
    if statement.role == "loss" and isinstance(value, Element) and value.kind is core.Kind.BOOL:
        raise Refused("not-a-scalar", "the loss is a number, and this is true or false", statement.value.span,
                      help="what is true or false has no derivative; a metric may be")  # fmt: skip
    text, tensor = world.text(statement.span), tensor_name(value)
    if tensor is None or any(leaf.name == tensor for _, leaf in world.tables.leaves):
        order = (2**62, len(world.tables.tensors))
        context = Context(name, Frame(), order, text, statement.span)
        tensor = world.unique(name) if reserved in world.tables.spans else reserved
        world.tables.names.setdefault(tensor, 1)
        store(world, value, tensor, context, order)
    return core.Output(statement.span, name, tensor, text)


def tensor_name(value: Element | Array) -> str | None:
    """The tensor that holds a value, if there is one."""
    if isinstance(value, Array):
        return value.name
    return value.expression.tensor if is_scalar_tensor(value) and isinstance(value.expression, core.Read) else None


def check_targets(world: World, predictions: Sequence[core.Output], frame: Frame) -> None:
    """No prediction may need a target: whoever predicts has none."""
    tables = world.tables
    reads = dependencies((tensor for _, tensor in tables.tensors), (equation for _, equation in tables.equations))
    leaves = {leaf.name: leaf for _, leaf in world.tables.leaves}
    if predictions:
        _check_ranges(world, frame)
    for output in predictions:
        path = _path_to_target(output.tensor, reads, leaves)
        if path:
            target = leaves[path[-1]]
            world.report(Refused(
                "predict-needs-target", f"{_called(output)} needs the target {target.name}", output.span,
                [Label(output.span, f"through {' → '.join(path)}"), Label(target.span, "only training has this")],
                help=f"declare {target.name} as an input if predict is to have it",
            ), frame)  # fmt: skip
        else:
            _check_sizes(world, output, reads, frame)


def _called(output: core.Output) -> str:
    return "the prediction" if output.name == "prediction" else f"the prediction {output.name}"


def _check_sizes(world: World, output: core.Output, reads: Mapping[str, list[str]], frame: Frame) -> None:
    """No prediction may need a size that only a target tells."""
    needed = [output.tensor]
    for name in needed:
        needed += [other for other in reads.get(name, []) if other not in needed]
    tensors = {tensor.name: tensor.axes for _, tensor in world.tables.tensors}
    tensors |= {leaf.name: leaf.axes for _, leaf in world.tables.leaves}
    used = {dim for name in needed for axis in tensors.get(name, ()) for dim in axis.extent.dims}
    equations = (equation for _, equation in world.tables.equations if equation.target in needed)
    used |= {dim for equation in equations for dim in core.dims_in(equation)}
    _report_sizes(world, f"{_called(output)} needs", used, output.span, frame)


def _check_ranges(world: World, frame: Frame) -> None:
    """The whole numbers that predict gets are checked there: their ranges are no sizes that only a target tells."""
    for _, leaf in world.tables.leaves:
        if leaf.role is Role.INPUT and leaf.bounds is not None:
            dims = {*leaf.bounds.low.dims, *leaf.bounds.high.dims}
            _report_sizes(world, f"{leaf.name} is checked in predict, and its range needs", dims, leaf.span, frame)


def _report_sizes(world: World, who: str, dims: Collection[str], span: Span, frame: Frame) -> None:
    """What is said of those of the sizes that only a target tells."""
    leaves = [leaf for _, leaf in world.tables.leaves]
    told = {str(axis.extent): leaf for leaf in reversed(leaves) for axis in leaf.axes if leaf.role is Role.TARGET}
    inputs = {str(axis.extent) for leaf in leaves for axis in leaf.axes if leaf.role is Role.INPUT}
    for dim in sorted({*dims} & {*told} - inputs):
        world.report(Refused(
            "predict-needs-target", f"{who} the size {dim}", span,
            [Label(span, f"over {dim}"), Label(told[dim].span, "only training has this, which tells it")],
            help=f"let {dim} stand alone in the brackets of an input",
        ), frame)  # fmt: skip


def _path_to_target(start: str, reads: Mapping[str, list[str]], leaves: Mapping[str, core.Leaf]) -> list[str] | None:
    before: dict[str, str | None] = {start: None}
    queue = [start]
    for name in queue:
        if name in leaves and leaves[name].role is Role.TARGET:
            path: list[str] = []
            at: str | None = name
            while at is not None:
                path.insert(0, at)
                at = before[at]
            return path
        for other in reads.get(name, []):
            if other not in before:
                before[other] = name
                queue.append(other)
    return None
