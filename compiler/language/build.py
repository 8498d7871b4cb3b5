"""Makes the nodes of the syntax tree: one method for each rule of `grammar.lark`, words and nodes → a node.

The parser calls the methods while it reads, innermost first, with everything the rule matched, signs included: the
first and the last part of a rule are the ends of its span. What such a grammar cannot say (that an index list holds
names only, say) is checked here and raised as `Misplaced`.
"""

import unicodedata
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple, TypeAlias

from gradc.errors import Label, Span

from . import syntax as s

LONGEST_NAME = 200
LONGEST_NUMBER = 400
LARGEST_EXPONENT = 308
SMALLEST_EXPONENT = -400


class Word(NamedTuple):
    """A word, number or sign of the text: its kind (a terminal of the grammar), itself, its place."""

    type: str
    text: str
    span: Span
    start: int


class Misplaced(Exception):
    """What the words are is right, what they make together is not. The code is a row of the table of messages."""

    def __init__(self, code: str, span: Span, labels: tuple[Label, ...] = (), **words: str) -> None:
        super().__init__(code)
        self.code = code
        self.span = span
        self.labels = labels
        self.words = words


Parts: TypeAlias = list[Any]


def name_of(word: Word) -> str:
    """The name as compared: signs that look alike, such as the micro sign and the Greek mu, are one."""
    if len(word.text) > LONGEST_NAME:
        raise Misplaced("name-too-long", word.span, length=str(len(word.text)), limit=str(LONGEST_NAME))
    return word.text if word.text.isascii() else unicodedata.normalize("NFKC", word.text)


def _span(parts: Sequence[Any]) -> Span:
    first: Span = parts[0].span
    last: Span = parts[-1].span
    return Span(first.file, first.line, first.column, last.end_line, last.end_column)


def _every_second(parts: Parts) -> tuple[Any, ...]:
    """The items of `item ("," item)*`."""
    return tuple(parts[::2])


def _axes(parts: Parts) -> tuple[s.Expression, ...] | None:
    """The items of `["[" [items] "]"]`: none without brackets, an empty tuple where they are empty."""
    bracket, items, _ = parts
    return None if bracket is None else items or ()


class Builder:
    """From the parts of a rule to its node. It holds nothing, so one of them serves every parse."""

    # ------------------------------------------------------------ the file

    def file(self, parts: Parts) -> tuple[s.Statement, ...]:
        statements: list[s.Statement] = []
        for part in parts:
            statements.extend(part) if isinstance(part, tuple) else statements.append(part)
        return tuple(statements)

    def statement(self, parts: Parts) -> s.Statement | tuple[s.Statement, ...]:
        node: s.Statement = parts[0]
        return node

    def bad(self, parts: Parts) -> tuple[s.Statement, ...]:
        return ()

    # ------------------------------------------------------------ declarations

    def model(self, parts: Parts) -> s.ModelName:
        return s.ModelName(_span(parts), name_of(parts[1]))

    def use(self, parts: Parts) -> s.Use:
        return s.Use(_span(parts), _text(parts[1]))

    def data(self, parts: Parts) -> s.Data:
        return s.Data(_span(parts), _text(parts[1]))

    def dim(self, parts: Parts) -> tuple[s.Dim, ...]:
        return tuple(parts[1::2])

    def size(self, parts: Parts) -> s.Dim:
        name, assign, value = parts
        return s.Dim(_span(parts if assign else parts[:1]), name_of(name), value)

    def inputs(self, parts: Parts) -> s.Inputs:
        return s.Inputs(_span(parts), parts[0].type == "TARGET", tuple(parts[1::2]))

    def declared(self, parts: Parts) -> s.Declared:
        name, *axes, _, kind = parts
        present = [part for part in parts if part is not None]
        return s.Declared(_span(present), name_of(name), _axes(axes) or (), kind)

    def type_name(self, parts: Parts) -> s.TypeName:
        name, bracket, argument, _ = parts
        return s.TypeName(_span(parts if bracket else parts[:1]), name_of(name), argument)

    def param(self, parts: Parts) -> s.Param:
        keyword, name, *axes, _, law, frozen = parts
        span = _span(parts if frozen else parts[:-1])
        return s.Param(span, name_of(name), _axes(axes), law, frozen is not None, keyword.type == "STATE")

    # ------------------------------------------------------------ equations and outputs

    def equation(self, parts: Parts) -> s.Equation:
        targets, _, value = parts
        return s.Equation(targets[0].span.to(value.span), targets, value, False)

    def update(self, parts: Parts) -> s.Equation:
        _, target, _, value = parts
        return s.Equation(_span(parts), (target,), value, True)

    def targets(self, parts: Parts) -> tuple[s.Target, ...]:
        return _every_second(parts)

    def target(self, parts: Parts) -> s.Target:
        name, *axes = parts
        return s.Target(_span(parts if axes[0] else parts[:1]), name_of(name), _axes(axes))

    def return_values(self, parts: Parts) -> s.Return:
        return s.Return(_span(parts), None, tuple(parts[1::2]))

    def return_at(self, parts: Parts) -> s.Return:
        _, _, items, _, _, value = parts
        return s.Return(_span(parts), items or (), (value,))

    def predict(self, parts: Parts) -> s.Output:
        _, target, _, value = parts
        return s.Output(_span(parts), "predict", target, value)

    def metric(self, parts: Parts) -> s.Output:
        _, target, _, value = parts
        return s.Output(_span(parts), "metric", target, value)

    def metric_of(self, parts: Parts) -> s.Output:
        value = s.Name(parts[1].span, name_of(parts[1]))
        return s.Output(_span(parts), "metric", None, value)

    def loss(self, parts: Parts) -> s.Output:
        return s.Output(_span(parts), "loss", None, parts[1])

    # ------------------------------------------------------------ training

    def optimize(self, parts: Parts) -> s.Optimize:
        keyword, pattern, _, rule, *rest, for_, loss = parts
        options = tuple(rest[1::2])
        _check_arguments(options)
        minimised = None if for_ is None else s.Name(loss.span, name_of(loss))
        span = keyword.span.to([part for part in parts if part is not None][-1].span)
        return s.Optimize(span, pattern and name_of(pattern), rule, options, minimised)

    def rule_alone(self, parts: Parts) -> s.Call:
        span = parts[0].span
        return s.Call(span, name_of(parts[0]), span, None, ())

    def freeze(self, parts: Parts) -> s.Freeze:
        return s.Freeze(_span(parts), tuple(s.Text(word.span, name_of(word)) for word in parts[1::2]))

    def fit(self, parts: Parts) -> s.Fit:
        options = tuple(parts[1::2])
        _check_arguments(options)
        return s.Fit(_span(parts), options)

    # ------------------------------------------------------------ definitions and blocks

    def function(self, parts: Parts) -> s.Definition:
        (keyword, name, start), _, parameters, _, _, value, _ = parts
        return s.Definition(start.to(value.span), keyword, name, parameters or (), value)

    def definition(self, parts: Parts) -> s.Definition:
        (keyword, name, start), _, parameters, _, body = parts
        return s.Definition(start.to(_end(body)), keyword, name, parameters or (), body)

    def header(self, parts: Parts) -> tuple[str, str, Span]:
        *keywords, name = parts
        return " ".join(word.text for word in keywords), name_of(name), parts[0].span

    def parameters(self, parts: Parts) -> tuple[s.Parameter, ...]:
        return _every_second(parts if parts[-1] else parts[:-1])

    def parameter(self, parts: Parts) -> s.Parameter:
        return s.Parameter(parts[0].span, name_of(parts[0]), None, None, ())

    def parameter_axes(self, parts: Parts) -> s.Parameter:
        return s.Parameter(_span(parts if parts[-1] else parts[:4]), name_of(parts[0]), parts[2] or (), parts[5], ())

    def parameter_default(self, parts: Parts) -> s.Parameter:
        return s.Parameter(_span(parts), name_of(parts[0]), None, parts[2], ())

    def parameter_choices(self, parts: Parts) -> s.Parameter:
        choices = tuple(name_of(word) for word in parts[2::2])
        return s.Parameter(_span(parts), name_of(parts[0]), None, None, choices)

    def for_loop(self, parts: Parts) -> s.For:
        keyword, name, _, *values, body = parts
        return s.For(keyword.span.to(_end(body)), name_of(name), _every_second(values), body)

    def repeat(self, parts: Parts) -> s.Repeat:
        keyword, count, body = parts
        return s.Repeat(keyword.span.to(_end(body)), count, body)

    def choice(self, parts: Parts) -> s.If:
        keyword, condition, then, otherwise = parts
        return s.If(keyword.span.to(_end(otherwise or then)), condition, then, otherwise or ())

    def choice_in_line(self, parts: Parts) -> s.If:
        keyword, condition, _, then, otherwise = parts
        then = then if isinstance(then, tuple) else (then,)
        return s.If(keyword.span.to(_end(otherwise)), condition, then, otherwise)

    def otherwise(self, parts: Parts) -> tuple[s.Statement, ...]:
        body: tuple[s.Statement, ...] = parts[1]
        return body

    def otherwise_if(self, parts: Parts) -> tuple[s.Statement, ...]:
        return (parts[1],)

    def block(self, parts: Parts) -> tuple[s.Statement, ...]:
        return self.file(parts[3:-1])

    def block_in_line(self, parts: Parts) -> tuple[s.Statement, ...]:
        return self.file(parts[1:2])

    def block_of_loop(self, parts: Parts) -> tuple[s.Statement, ...]:
        return self.file(parts[1:2])

    # ------------------------------------------------------------ expressions

    def conditional(self, parts: Parts) -> s.Conditional:
        _, condition, _, then, _, otherwise = parts
        return s.Conditional(_span(parts), condition, then, otherwise)

    def pipe(self, parts: Parts) -> s.Binary:
        left, sign, right = parts
        if not isinstance(right, s.Name | s.Call):
            raise Misplaced("pipe-into-value", right.span)
        return s.Binary(_span(parts), sign.text, left, right)

    def binary(self, parts: Parts) -> s.Binary:
        left, sign, right = parts
        return s.Binary(_span(parts), sign.text, left, right)

    def unary(self, parts: Parts) -> s.Unary:
        return s.Unary(_span(parts), parts[0].text, parts[1])

    def comparison(self, parts: Parts) -> s.Comparison:
        return s.Comparison(_span(parts), tuple(sign.text for sign in parts[1::2]), _every_second(parts))

    def number(self, parts: Parts) -> s.Number:
        return _number(parts[0])

    def name(self, parts: Parts) -> s.Name:
        return s.Name(parts[0].span, name_of(parts[0]))

    def list_of(self, parts: Parts) -> s.List:
        items = parts[1] or ()
        for item in items:
            if isinstance(item, s.Binder | s.Ellipsis):
                raise Misplaced("index-in-list", item.span)
        return s.List(_span(parts), items)

    def group(self, parts: Parts) -> s.Expression:
        """The node in the brackets, which are then a part of its span."""
        return with_span(parts[1], _span(parts))

    def subscript_of_name(self, parts: Parts) -> s.Subscript:
        return self.subscript([self.name(parts[:1]), *parts[1:]])

    def subscript(self, parts: Parts) -> s.Subscript:
        base, bracket, items, _ = parts
        return s.Subscript(_span(parts), base, items or (), bracket.type == "GUARDED")

    def call(self, parts: Parts) -> s.Call:
        name, _, arguments, _ = parts
        return s.Call(_span(parts), name_of(name), name.span, None, arguments or ())

    def call_over(self, parts: Parts) -> s.Call:
        name, _, indices, close, _, arguments, _ = parts
        if indices is None:
            raise Misplaced("no-indices", name.span.to(close.span), name=name.text)
        for index in indices:
            if not isinstance(index, s.Name | s.Binder | s.Ellipsis) or "." in getattr(index, "name", ""):
                raise Misplaced("index-list", index.span, name=name.text)
        return s.Call(_span(parts), name_of(name), name.span, indices, arguments or ())

    def arguments(self, parts: Parts) -> tuple[s.Argument, ...]:
        arguments = _every_second(parts if parts[-1] else parts[:-1])
        _check_arguments(arguments)
        return arguments

    def positional(self, parts: Parts) -> s.Argument:
        return s.Argument(parts[0].span, None, parts[0])

    def keyword(self, parts: Parts) -> s.Argument:
        return s.Argument(_span(parts), name_of(parts[0]), parts[2])

    def items(self, parts: Parts) -> tuple[s.Expression, ...]:
        return _every_second(parts if parts[-1] else parts[:-1])

    def ellipsis(self, parts: Parts) -> s.Ellipsis:
        return s.Ellipsis(parts[0].span)

    def binder(self, parts: Parts) -> s.Binder:
        return s.Binder(_span(parts), name_of(parts[0]), parts[2])


def with_span(node: s.Expression, span: Span) -> s.Expression:
    """The same node at another place."""
    fields = [getattr(node, field) for field in type(node).__slots__[1:]]
    return type(node)(span, *fields)


def _text(word: Word) -> s.Text:
    return s.Text(word.span, word.text[1:-1])


def _end(body: Sequence[s.Statement]) -> Span:
    """The last place of a block; one in which every line is wrong has none, and its tree is never used."""
    return body[-1].span if body else Span("", 0, 0, 0, 0)


def _number(word: Word) -> s.Number:
    """The number as written, exactly. One that no float can hold is refused before it costs memory."""
    mantissa, _, exponent = word.text.lower().partition("e")
    if len(mantissa) > LONGEST_NUMBER or len(exponent) > LONGEST_NUMBER:
        raise Misplaced("number-too-long", word.span, length=str(len(word.text)))
    whole, _, fraction = mantissa.partition(".")
    digits = int(whole + fraction)
    shift = int(exponent or 0) - len(fraction)
    if not digits:
        return s.Number(word.span, Fraction(0), word.text.isdigit())
    if not SMALLEST_EXPONENT <= shift + len(str(digits)) - 1 <= LARGEST_EXPONENT:
        raise Misplaced("number-out-of-range", word.span, number=word.text)
    value = Fraction(digits * 10**shift) if shift >= 0 else Fraction(digits, 10**-shift)
    return s.Number(word.span, value, word.text.isdigit())


def _check_arguments(arguments: tuple[s.Argument, ...]) -> None:
    """Positions before names, and no name twice."""
    names: set[str] = set()
    for argument in arguments:
        if argument.name is None:
            if names:
                raise Misplaced("position-after-name", argument.span)
        elif argument.name in names:
            raise Misplaced("argument-twice", argument.span, name=argument.name)
        else:
            names.add(argument.name)
