"""Looks through expressions of the syntax tree: the names in them, the names that stand alone between brackets."""

from collections.abc import Iterable, Iterator

from . import syntax


def children(node: syntax.Expression) -> tuple[syntax.Expression, ...]:
    """The expressions right inside of one, in the order of the source."""
    match node:
        case syntax.Name() | syntax.Number():  # most are leaves
            return ()
        case syntax.Unary(operand=operand):
            return (operand,)
        case syntax.Binary(left=left, right=right):
            return left, right
        case syntax.Comparison(operands=operands):
            return operands
        case syntax.Conditional(condition=condition, then=then, otherwise=otherwise):
            return condition, then, otherwise
        case syntax.Binder(extent=extent):
            return (extent,)
        case syntax.Subscript(base=base, subscripts=subscripts):
            return base, *subscripts
        case syntax.Call(indices=indices, arguments=arguments):
            return *(indices or ()), *(argument.value for argument in arguments)
        case syntax.List(items=items):
            return items
    return ()


def nodes(*roots: syntax.Expression) -> Iterator[syntax.Expression]:
    """All expressions in these, themselves too."""
    stack = list(reversed(roots))
    while stack:
        node = stack.pop()
        yield node
        stack.extend(reversed(children(node)))


def names_in(*roots: syntax.Expression) -> set[str]:
    """The names that stand in these, those of calls not among them."""
    found: set[str] = set()
    stack = list(roots)
    while stack:
        node = stack.pop()
        if isinstance(node, syntax.Name | syntax.Binder):
            found.add(node.name)
        stack.extend(children(node))
    return found


def alone_in(left: Iterable[syntax.Expression], right: syntax.Expression) -> set[str]:
    """The names that stand alone between brackets somewhere in an equation: there a dim's name is an index."""
    found = {node.name for node in left if isinstance(node, syntax.Name)}
    for node in nodes(right):
        if isinstance(node, syntax.Subscript):
            found |= {sub.name for sub in node.subscripts if isinstance(sub, syntax.Name)}
        elif isinstance(node, syntax.Call) and node.indices:
            found |= {sub.name for sub in node.indices if isinstance(sub, syntax.Name)}
    return found


def has_dots(*roots: syntax.Expression) -> bool:
    """Whether `...` stands anywhere in these."""
    return any(isinstance(node, syntax.Ellipsis) for node in nodes(*roots))


def calls_in_order(node: syntax.Expression) -> Iterator[tuple[int, str, syntax.Expression]]:
    """The calls in an expression, innermost and leftmost first: (identity, name, node). `x |> f` calls f."""
    if isinstance(node, syntax.Binary) and node.operator == "|>":
        yield from calls_in_order(node.left)
        if isinstance(node.right, syntax.Name):
            yield id(node.right), node.right.name, node.right
            return
        yield from calls_in_order(node.right)
        return
    for child in children(node):
        yield from calls_in_order(child)
    if isinstance(node, syntax.Call):
        yield id(node), node.function, node


def certain_calls(root: syntax.Expression) -> Iterator[str]:
    """The names of the calls that are made whatever the conditions in an expression come out as."""
    stack = [root]
    while stack:
        node = stack.pop()
        match node:
            case syntax.Conditional(condition=condition):
                stack.append(condition)
                continue
            case syntax.Binary(operator="and" | "or", left=left):
                stack.append(left)
                continue
            case syntax.Binary(operator="|>", right=syntax.Name(name=name)):
                yield name
            case syntax.Call(function=name):
                yield name
        stack.extend(children(node))


def statements_in(body: Iterable[syntax.Statement]) -> Iterator[syntax.Statement]:
    """All statements of a block, those of its loops and branches too."""
    for statement in body:
        yield statement
        match statement:
            case syntax.For(body=inner) | syntax.Repeat(body=inner):
                yield from statements_in(inner)
            case syntax.If(then=then, otherwise=otherwise):
                yield from statements_in(then)
                yield from statements_in(otherwise)


def values_in(statement: syntax.Statement) -> tuple[syntax.Expression, ...]:
    """The right sides of a statement: what is computed when the model runs."""
    match statement:
        case syntax.Equation(value=value) | syntax.Output(value=value):
            return (value,)
        case syntax.Return(values=values):
            return values
    return ()


def without_binders(node: syntax.Expression) -> syntax.Expression:
    """A left side's subscript with the indices that state their extent as plain names."""
    match node:
        case syntax.Binder(span=span, name=name):
            return syntax.Name(span, name)
        case syntax.Unary(span=span, operator=operator, operand=operand):
            return syntax.Unary(span, operator, without_binders(operand))
        case syntax.Binary(span=span, operator=operator, left=left, right=right):
            return syntax.Binary(span, operator, without_binders(left), without_binders(right))
    return node
