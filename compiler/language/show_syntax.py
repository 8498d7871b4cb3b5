"""Prints a syntax tree: `syntax.File` → text, a line for each statement, operators before their operands.

`h = relu(x + 1)` in line 9 is `9: (= h (relu (+ x 1)))`: what the parser understood. `unparse` writes the language.
"""

from collections.abc import Iterable, Sequence
from typing import assert_never

from . import syntax as s
from .unparse import unparse


def show(file: s.File) -> str:
    """The statements of a file, one a line, blocks indented below."""
    return "\n".join(f"{line:>4}: {text}" for line, text in _block(file.statements, ""))


def show_expression(node: s.Expression) -> str:
    """An expression, operators before their operands."""
    match node:
        case s.Number() | s.Text() | s.Name() | s.Ellipsis():
            return unparse(node)
        case s.Unary(_, operator, operand):
            return _form(operator, show_expression(operand))
        case s.Binary(_, operator, left, right):
            return _form(operator, show_expression(left), show_expression(right))
        case s.Comparison(_, operators, operands):
            pairs = zip(operators, map(show_expression, operands[1:]), strict=True)
            return _form(show_expression(operands[0]), *(part for pair in pairs for part in pair))
        case s.Conditional(_, condition, then, otherwise):
            return _form("if", *(show_expression(part) for part in (condition, then, otherwise)))
        case s.Binder(_, name, extent):
            return _form(":", name, show_expression(extent))
        case s.Subscript(_, base, subscripts, guarded):
            return _form("read?" if guarded else "read", show_expression(base), _brackets(subscripts))
        case s.Call(_, function, _, indices, arguments):
            over = [] if indices is None else [_brackets(indices)]
            return _form(function, *over, *map(_argument, arguments))
        case s.List(_, items):
            return _form("list", *map(show_expression, items))
        case _:
            assert_never(node)


def _block(statements: Iterable[s.Statement], margin: str) -> list[tuple[int, str]]:
    rows: list[tuple[int, str]] = []
    for statement in statements:
        head, blocks = _statement(statement)
        rows.append((statement.span.line, margin + head))
        for name, block in blocks:
            if name:
                line = block[0].span.line if block else statement.span.line
                rows.append((line, f"{margin}{name}"))
            rows.extend(_block(block, margin + "    "))
    return rows


def _statement(node: s.Statement) -> tuple[str, list[tuple[str, Sequence[s.Statement]]]]:
    """The line of a statement, and its blocks, the second one with a name."""
    match node:
        case s.Definition(_, keyword, name, parameters, body):
            head = _form(keyword, name, *map(_parameter, parameters))
            if isinstance(body, tuple):
                return head, [("", body)]
            return f"{head[:-1]} = {show_expression(body)})", []
        case s.For(_, name, values, body):
            return _form("for", name, *map(show_expression, values)), [("", body)]
        case s.Repeat(_, count, body):
            return _form("repeat", show_expression(count)), [("", body)]
        case s.If(_, condition, then, otherwise):
            rest = [("else", otherwise)] if otherwise else []
            return _form("if", show_expression(condition)), [("", then), *rest]
        case s.Equation() | s.Return() | s.Output() | s.Optimize() | s.Freeze() | s.Fit():
            return _equation(node), []
        case _:
            return _declaration(node), []


def _declaration(node: s.ModelName | s.Use | s.Data | s.Dim | s.Inputs | s.Param) -> str:
    match node:
        case s.ModelName(_, name):
            return _form("model", name)
        case s.Use(_, path):
            return _form("use", show_expression(path))
        case s.Data(_, path):
            return _form("data", show_expression(path))
        case s.Dim(_, name, value):
            return _form("dim", name, *_some(value))
        case s.Inputs(_, target, tensors):
            return _form("target" if target else "input", *map(_declared, tensors))
        case s.Param(_, name, axes, law, frozen, state):
            flags = ["frozen"] if frozen else []
            return _form("state" if state else "param", _tensor(name, axes), show_expression(law), *flags)
        case _:
            assert_never(node)


def _equation(node: s.Equation | s.Return | s.Output | s.Optimize | s.Freeze | s.Fit) -> str:
    match node:
        case s.Equation(_, targets, value, update):
            names = [_tensor(target.name, target.subscripts) for target in targets]
            return _form("update" if update else "=", *names, show_expression(value))
        case s.Return(_, subscripts, values):
            at = [] if subscripts is None else [_brackets(subscripts)]
            return _form("return", *at, *map(show_expression, values))
        case s.Output(_, role, target, value):
            named = [f"{_tensor(target.name, target.subscripts)} ="] if target else []
            return _form(role, *named, show_expression(value))
        case s.Optimize(_, pattern, rule, options, loss):
            given = [*([f"{pattern} with"] if pattern else []), show_expression(rule), *map(_argument, options)]
            return _form("optimize", *given, *([f"for {loss.name}"] if loss else []))
        case s.Freeze(_, patterns):
            return _form("freeze", *(pattern.value for pattern in patterns))
        case s.Fit(_, options):
            return _form("fit", *map(_argument, options))
        case _:
            assert_never(node)


def _form(*parts: str) -> str:
    return f"({' '.join(parts)})"


def _brackets(items: Iterable[s.Expression]) -> str:
    return f"[{' '.join(map(show_expression, items))}]"


def _tensor(name: str, axes: tuple[s.Expression, ...] | None) -> str:
    return name if axes is None else name + _brackets(axes)


def _some(value: s.Expression | None) -> list[str]:
    return [] if value is None else [show_expression(value)]


def _argument(argument: s.Argument) -> str:
    value = show_expression(argument.value)
    return value if argument.name is None else f"{argument.name}={value}"


def _declared(tensor: s.Declared) -> str:
    text = tensor.name + _brackets(tensor.axes)
    if tensor.type is None:
        return text
    return f"{text}:{_form(tensor.type.name, *_some(tensor.type.argument))}"


def _parameter(parameter: s.Parameter) -> str:
    text = _tensor(parameter.name, parameter.axes)
    if parameter.choices:
        return f"{text}={'|'.join(parameter.choices)}"
    return text if parameter.default is None else f"{text}={show_expression(parameter.default)}"
