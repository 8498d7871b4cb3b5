"""The parser: what the language's text becomes, exactly where it stands, and that `unparse` is its inverse."""

import re
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gradc.errors import GradcError, Span
from gradc.language import syntax as s
from gradc.language.grammar import make
from gradc.language.parse import parse
from gradc.language.show_syntax import show, show_expression
from gradc.language.tables import from_json, tables, to_json
from gradc.language.unparse import unparse
from gradc.source import read_model

HERE = Span("x.grad", 1, 1, 1, 1)
LANGUAGE = Path(__file__).parents[1] / "compiler" / "language"
EXAMPLES = Path(__file__).parents[1] / "examples"


def expression(text: str) -> s.Expression:
    """The right side of an equation."""
    (equation,) = parse(f"y = {text}", "x.grad").statements
    assert isinstance(equation, s.Equation)
    return equation.value


def shown(text: str) -> str:
    """The tree of a text, without line numbers."""
    return "\n".join(line[6:] for line in show(parse(text, "x.grad")).split("\n"))


def without_spans(node: object) -> object:
    """A tree as nested tuples, so that two can be compared wherever they stand."""
    if isinstance(node, tuple):
        return tuple(without_spans(part) for part in node)
    if hasattr(node, "span"):
        names = [name for name in type(node).__slots__ if not name.endswith("span")]
        return (type(node).__name__, *(without_spans(getattr(node, name)) for name in names))
    return node


# ---------------------------------------------------------------- the pages of the language

MODEL = """
# digits.grad
model digits                                 # optional, the file's stem otherwise

dim batch                                    # no value: free, any size at run time
dim pixels = 64, classes = 10

input  x[batch, pixels]                      # real
target y[batch] : int(classes)               # whole numbers 0 .. classes-1, checked when called

h      = relu(dense(x, 64))
logits = dense(h, classes)

predict p = softmax(logits)
loss    mean(cross_entropy(logits, y))
metric  accuracy = mean(argmax(logits) == y)

optimize adam(lr = 1e-3)
data     "data/digits.npz"                   # default for `gradc train`, relative to this file
fit      epochs = 30, batch = 64, validation = 0.2
"""

INDICES = """
y[i, o]    = sum[k](x[i, k] * w[k, o]) + b[o]
z[b, i, j] = max[u: 2, v: 2](x[b, 2*i + u, 2*j + v])         # an index may state its extent: u runs over 0, 1
t[i, n, d: width] = x[i, n * width + d]                      # affine indices: split, stride, dilate
m[b, k: 20] = h[b, k]                                        # a slice: the first 20
y[b, n * width + d] = a[b, n, d]                             # the left side may be affine too
e[..., h]  = table[ids[...], h]                              # an index may be a whole-number tensor: gather
g[n, f]    = sum[e](if dst[e] == n then m[e, f] else 0)      # a scatter
c[b, p: 2*n] = sum[i, u](if 2*i + u == p + 1 then x[b, i] * k[u] else 0)
"""

RECURRENCES = """
h[b, t, j] = tanh(a[b, t, j] + sum[k](h?[b, t - 1, k] * u[k, j]))     # h is 0 before the first step
h[b, t, j] = tanh(a[b, t, j] + sum[k]((if t > 0 then h?[b, t - 1, k] else h0[b, k]) * u[k, j]))

h[b, 0, j]     = h0[b, j]                                             # the same, with the start as a place of its own
h[b, t + 1, j] = tanh(a[b, t, j] + sum[k](h[b, t, k] * u[k, j]))
"""

DEFINITIONS = """
def swish(x) = x * sigmoid(x)                         # of numbers: applies to every element

def dense(x[..., i], units):                          # i is a dim inside, units a number; ... is any number of axes
    param weight[i, units] ~ glorot_uniform(fan_in = i, fan_out = units)
    param bias[units] ~ zeros
    return[..., o] = sum[i](x[..., i] * weight[i, o]) + bias[o]

def lstm(x[b, t, i], units):
    param wx[i, 4, units] ~ glorot_uniform(fan_in = i, fan_out = units)
    param wh[units, 4, units] ~ orthogonal
    param bias[4, units] ~ zeros
    z[b, t, g, j] = sum[i](x[b, t, i] * wx[i, g, j]) + sum[k](h?[b, t - 1, k] * wh[k, g, j]) + bias[g, j]
    c[b, t, j]    = sigmoid(z[b, t, 1, j]) * c?[b, t - 1, j] + sigmoid(z[b, t, 0, j]) * tanh(z[b, t, 2, j])
    h[b, t, j]    = sigmoid(z[b, t, 3, j]) * tanh(c[b, t, j])
    return h
"""

TRAINING = """
optimizer momentum(lr = 0.01, mu = 0.9):              # for each trained tensor: p it, g its gradient, t the step from 1
    state v ~ zeros                                   # shaped like p; `state n[] ~ zeros` is a scalar
    v = mu * v + g                                    # in order: the last value given to p and to a state is its next
    p = p - lr * v

optimize adamw(lr = cosine(3e-4, warmup = 100, steps = 2000), weight_decay = 0.01), clip_norm = 1.0
optimize head.* with sgd(lr = 0.1)                    # a group of parameters by name pattern
optimize critic.* with adam(lr = 1e-4) for critic_loss    # … that minimises a scalar of its own
freeze backbone.*
"""

LINES = """
use "blocks.grad"
dim half = n // 2
dim size = n / heads
input x[batch, n], ids[batch, time] : int(vocab), mask[batch] : bool, s
param w[n, m] ~ he_normal(fan_in = n)
param v[n] ~ normal() * 0.1 frozen
param a[i: n] ~ log(1 + i)
state mean[c] ~ zeros
update mean[c] = 0.9 * mean[c] + 0.1 * m[c]
predict expr(x)
predict q[b, i] = x[b, i]
metric accuracy
o[b, 0] = x[b]
e[i] = if u <= t then s[t, u] else -inf
f[d] = 10000^(-d / half)
m = mean[...](x[..., c])
sm = softmax[u](s[b, u, t])
ux[n] = grad(u, x)[n, 0]
y[i] = x[2*i + (p: 2)]
mu, var = moments(x)
for w in 32, 64: x = block(x, w)
for k in range(4): x = block(x, k)
repeat 4: x = block(x)
if bias: y = x + b
else: y = x
if bias: y = x + b else: y = x
def conv(x[b, t, c], filters, kernel = [3, 3], stride = 1, padding = valid | same, bias = true): return x
shared def net(q[n, i]): return q
penalty = sum(h.weight^2) + sum(h.dense_1.weight^2)
z = x |> f |> g(2)
l = reshape(x, [n, 4])
"""


@pytest.mark.parametrize("text", [MODEL, INDICES, RECURRENCES, DEFINITIONS, TRAINING, LINES])
def test_what_the_page_of_the_language_shows_parses(text: str) -> None:
    assert parse(text, "page.grad").statements


@pytest.mark.parametrize("path", sorted([*(LANGUAGE / "std").glob("*.grad"), *EXAMPLES.glob("*.grad")]), ids=str)
def test_library_and_examples_parse(path: Path) -> None:
    assert parse(read_model(path), path.name).statements


def test_a_whole_model() -> None:
    assert shown(MODEL).split("\n") == [
        "(model digits)",
        "(dim batch)",
        "(dim pixels 64)",
        "(dim classes 10)",
        "(input x[batch pixels])",
        "(target y[batch]:(int classes))",
        "(= h (relu (dense x 64)))",
        "(= logits (dense h classes))",
        "(predict p = (softmax logits))",
        "(loss (mean (cross_entropy logits y)))",
        "(metric accuracy = (mean ((argmax logits) == y)))",
        "(optimize (adam lr=0.001))",
        '(data "data/digits.npz")',
        "(fit epochs=30 batch=64 validation=0.2)",
    ]


STATEMENTS = {
    'use "a b.grad"': '(use "a b.grad")',
    "dim batch": "(dim batch)",
    "dim n = m // 2, k": "(dim n (// m 2))\n(dim k)",
    "input x[b, 3], i[b] : int(k), m : bool": "(input x[b 3] i[b]:(int k) m[]:(bool))",
    "target y": "(target y[])",
    "param s ~ zeros": "(param s zeros)",
    "param w[i: n, 2] ~ log(1 + i) frozen": "(param w[(: i n) 2] (log (+ 1 i)) frozen)",
    "param frozen ~ frozen": "(param frozen frozen)",
    "state n[] ~ zeros": "(state n[] zeros)",
    "update m[c] = x[c]": "(update m[c] (read x [c]))",
    "s[] = 1": "(= s[] 1)",
    "a, b[i] = f(x)": "(= a b[i] (f x))",
    "predict x": "(predict x)",
    "predict p[i] = x[i]": "(predict p[i] = (read x [i]))",
    "predict p[i]": "(predict (read p [i]))",
    "metric a": "(metric a)",
    "metric a = loss": "(metric a = loss)",
    "loss mean(x)": "(loss (mean x))",
    "optimize sgd": "(optimize (sgd))",
    "optimize *.bias with sgd(lr = 1) for l": "(optimize *.bias with (sgd lr=1) for l)",
    "optimize a_*2.* with sgd(), clip = 1": "(optimize a_*2.* with (sgd) clip=1)",
    "optimize * with sgd()": "(optimize * with (sgd))",
    "optimize net with sgd()": "(optimize net with (sgd))",
    "freeze h.*, *.state, loss.*, h.dense_1.weight": "(freeze h.* *.state loss.* h.dense_1.weight)",
    "fit epochs = 3": "(fit epochs=3)",
    "with, frozen = f(x)": "(= with frozen (f x))",
    "def f() = 1": "(def f = 1)",
    "def f(x[..., i], n = 3, p = valid | same, g = h): return x": (
        "(def f x[... i] n=3 p=valid|same g=h)\n    (return x)"
    ),
    "shared def f(x): return x": "(shared def f x)\n    (return x)",
    "return a, b[0]": "(return a (read b [0]))",
    "return [1, 2]": "(return (list 1 2))",
    "return[i] = x[i]": "(return [i] (read x [i]))",
    "return[] = x": "(return [] x)",
    "for k in 1, 2: repeat 3: x = f(x)": "(for k 1 2)\n    (repeat 3)\n        (= x (f x))",
    "if a: x = 1 else: x = 2": "(if a)\n    (= x 1)\nelse\n    (= x 2)",
    "if a: x = if b then 1 else 2 else: x = 2": "(if a)\n    (= x (if b 1 2))\nelse\n    (= x 2)",
    "if a: x = 1\nelse if b: x = 2\nelse:\n  x = 3": (
        "(if a)\n    (= x 1)\nelse\n    (if b)\n        (= x 2)\n    else\n        (= x 3)"
    ),
    "repeat 2:\n\n  x = f(x)\n # a comment\n  y = x\n": "(repeat 2)\n    (= x (f x))\n    (= y x)",
    "def f(x):\n  if a:\n    y = 1\n  return y\nz = 2": (
        "(def f x)\n    (if a)\n        (= y 1)\n    (return y)\n(= z 2)"
    ),
}


@pytest.mark.parametrize("text", STATEMENTS)
def test_statements(text: str) -> None:
    assert shown(text) == STATEMENTS[text]


EXPRESSIONS = {
    "a |> f |> g(2)": "(|> (|> a f) (g 2))",
    "a or b and not c": "(or a (and b (not c)))",
    "not a == b": "(not (a == b))",
    "0 <= i < n": "(0 <= i < n)",
    "a + b - c": "(- (+ a b) c)",
    "a - b * c": "(- a (* b c))",
    "a // b % c @ d": "(@ (% (// a b) c) d)",
    "1/2*x": "(* (/ 1 2) x)",
    "-x^2": "(- (^ x 2))",
    "-a * b": "(* (- a) b)",
    "a * -b": "(* a (- b))",
    "a--b": "(- a (- b))",
    "2^-1": "(^ 2 (- 1))",
    "2^3^2": "(^ 2 (^ 3 2))",
    "2^-x^2": "(^ 2 (- (^ x 2)))",
    "x[i]^2": "(^ (read x [i]) 2)",
    "(a + b) * c": "(* (+ a b) c)",
    "if a then b else c + 1": "(if a b (+ c 1))",
    "if a then if b then 1 else 2 else if c then 3 else 4": "(if a (if b 1 2) (if c 3 4))",
    "1 + (if a then b else c)": "(+ 1 (if a b c))",
    "f(if a then b else c, x = if d then 1 else 2)": "(f (if a b c) x=(if d 1 2))",
    "f()": "(f)",
    "f(a, b,)": "(f a b)",
    "f(\n  a,\n  # why\n  b = 2\n)": "(f a b=2)",
    "sum[k](x)": "(sum [k] x)",
    "max[u: 2, v: n + 1](x[u, v])": "(max [(: u 2) (: v (+ n 1))] (read x [u v]))",
    "mean[...](x[..., c])": "(mean [...] (read x [... c]))",
    "x[2*i + (p: 2)]": "(read x [(+ (* 2 i) (: p 2))])",
    "x?[b, t - 1]": "(read? x [b (- t 1)])",
    "x[]": "(read x [])",
    "grad(u, x)[n, 0]": "(read (grad u x) [n 0])",
    "(a @ b)[i]": "(read (@ a b) [i])",
    "x[i][j]": "(read (read x [i]) [j])",
    "x[i]?[j]": "(read? (read x [i]) [j])",
    "sum[k](x[k])[0]": "(read (sum [k] (read x [k])) [0])",
    "h.weight[i] + h.input.state": "(+ (read h.weight [i]) h.input.state)",
    "[]": "(list)",
    "[3, n]": "(list 3 n)",
    "loss": "loss",
    "σ_1 * Ω + größe": "(+ (* σ_1 Ω) größe)",
    "9^9^9^9": "(^ 9 (^ 9 (^ 9 9)))",
    "((((x))))": "x",
}


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_expressions(text: str) -> None:
    assert show_expression(expression(text)) == EXPRESSIONS[text]


NUMBERS = {
    "64": (Fraction(64), True),
    "0": (Fraction(0), True),
    "007": (Fraction(7), True),
    "1e-3": (Fraction(1, 1000), False),
    "0.1": (Fraction(1, 10), False),
    ".5": (Fraction(1, 2), False),
    "2.": (Fraction(2), False),
    "1e3": (Fraction(1000), False),
    "1.25E+2": (Fraction(125), False),
    "1.7976931348623157e308": (Fraction("1.7976931348623157e308"), False),
    "0e999999999": (Fraction(0), False),
    "0.000e-999999999": (Fraction(0), False),
}


@pytest.mark.parametrize("text", NUMBERS)
def test_numbers_are_exact(text: str) -> None:
    number = expression(text)
    assert isinstance(number, s.Number)
    assert (number.value, number.whole) == NUMBERS[text]


def test_names_that_look_alike_are_one() -> None:
    micro, mu = expression("\N{MICRO SIGN}"), expression("\N{GREEK SMALL LETTER MU}")
    assert without_spans(micro) == without_spans(mu)


# ---------------------------------------------------------------- places

PLACED = """dim n = 64, k
input x[n] : int(n)
y[i] = -(x[i] + 2) * f(a, b = 3)  # end
def f(x[n],
      u = 2):
    return[i] = x[i]
z = h.weight?[0]"""


def source(span: Span) -> str:
    """What a span covers."""
    rows = PLACED.split("\n")[span.line - 1 : span.end_line]
    rows[-1] = rows[-1][: span.end_column - 1]
    rows[0] = rows[0][span.column - 1 :]
    return "\n".join(rows)


def spans(node: object) -> list[tuple[str, str]]:
    """Every node's kind and the text it covers, in the order of the tree."""
    if isinstance(node, tuple):
        return [found for part in node for found in spans(part)]
    if not hasattr(node, "span"):
        return []
    inner = [found for name in type(node).__slots__ for found in spans(getattr(node, name))]
    return [(type(node).__name__, source(node.span)), *inner]


def test_every_node_knows_its_place() -> None:
    found = spans(parse(PLACED, "x.grad").statements)
    assert found[:2] == [("Dim", "n = 64"), ("Number", "64")]
    assert found[2:5] == [("Dim", "k"), ("Inputs", "input x[n] : int(n)"), ("Declared", "x[n] : int(n)")]
    assert found[5:8] == [("Name", "n"), ("TypeName", "int(n)"), ("Name", "n")]
    assert found[8:11] == [
        ("Equation", "y[i] = -(x[i] + 2) * f(a, b = 3)"),
        ("Target", "y[i]"),
        ("Name", "i"),
    ]
    assert found[11:14] == [
        ("Binary", "-(x[i] + 2) * f(a, b = 3)"),
        ("Unary", "-(x[i] + 2)"),
        ("Binary", "(x[i] + 2)"),
    ]
    assert ("Argument", "b = 3") in found
    assert ("Definition", "def f(x[n],\n      u = 2):\n    return[i] = x[i]") in found
    assert ("Parameter", "u = 2") in found
    assert ("Return", "return[i] = x[i]") in found
    assert found[-3:] == [("Subscript", "h.weight?[0]"), ("Name", "h.weight"), ("Number", "0")]


def test_a_call_knows_where_its_function_stands() -> None:
    (equation,) = parse("y = \tsum[k](x)", "x.grad").statements
    assert isinstance(equation, s.Equation)
    assert isinstance(equation.value, s.Call)
    assert equation.value.function_span == Span("x.grad", 1, 6, 1, 9)
    assert equation.value.span == Span("x.grad", 1, 6, 1, 15)


# ---------------------------------------------------------------- files and lines


def test_line_ends_of_other_systems_and_byte_order_marks(tmp_path: Path) -> None:
    path = tmp_path / "m.grad"
    path.write_bytes(b"\xef\xbb\xbfx = 1\r\nrepeat 2:\r\n    x = f(x)")
    assert shown(read_model(path)) == "(= x 1)\n(repeat 2)\n    (= x (f x))"


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n", "   \n\t\n", "x = 1", "x = 1\n", "\n\nx = 1\n   # end"])
def test_blank_lines_and_ends(text: str) -> None:
    assert len(parse(text, "x.grad").statements) == ("x = 1" in text)


def test_lines_go_on_inside_brackets() -> None:
    text = "y = f(\na,\n  b\n    = 3\n)\nz[\n  i\n] = x?[\ni]"
    assert shown(text) == "(= y (f a b=3))\n(= z[i] (read? x [i]))"


def test_tabs_alone_indent() -> None:
    assert shown("repeat 2:\n\trepeat 3:\n\t\tx = x\n\ty = x") == (
        "(repeat 2)\n    (repeat 3)\n        (= x x)\n    (= y x)"
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            b"x = 1\ny = \xff2",
            "m.grad:2:5: error: this file is not UTF-8: byte 0xff is not text\n   2 | y = \\xff2\n     |     ^^^^\n"
            "     = save it as UTF-8; in Latin-1 this byte is ÿ",
        ),
        (b"\xef\xbb\xbf# \xc3\xa9 caf\xe9\r\rx = 1", "m.grad:1:8: error: this file is not UTF-8: byte 0xe9"),
        (b"x = 1\r\n\ry = \x80", "m.grad:3:5: error: this file is not UTF-8: byte 0x80"),
        (b"x = \xe2\x82", "m.grad:1:5: error: this file is not UTF-8: byte 0xe2"),
        ("loss 1".encode("utf-16"), "it begins like UTF-16: save it as UTF-8"),
        (b"#" * 1_000_001, "m.grad:1:1: error: this file has 1,000,001 bytes, and a model file has at most 1,000,000"),
        (b"#" * 5_000_000, "m.grad:1:1: error: this file has 5,000,000 bytes, and a model file has at most 1,000,000"),
    ],
)
def test_files_that_are_no_text(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "m.grad"
    path.write_bytes(content)
    with pytest.raises(GradcError) as caught:
        read_model(path, "m.grad")
    assert said in str(caught.value)
    assert str(caught.value).startswith("m.grad:")


def test_files_that_are_none(tmp_path: Path) -> None:
    for path, code in [(tmp_path, "not-a-file"), (tmp_path / "no", "no-such-file"), (Path("a\0b"), "no-such-file")]:
        with pytest.raises(GradcError) as caught:
            read_model(path)
        assert caught.value.diagnostics[0].code == code


def test_a_long_text_is_refused_without_a_file_too() -> None:
    for text in ("#" * 1_000_001, "é" * 500_001):
        with pytest.raises(GradcError) as caught:
            parse(text, "x.grad")
        assert re.fullmatch(
            r"x.grad:1:1: error: this file has 1,000,00. bytes, and a model file has at most 1,000,000\n"
            r"     = is this the data\? .*",
            str(caught.value),
        )


# ---------------------------------------------------------------- the tables


def test_the_stored_tables_are_those_of_the_grammar() -> None:
    stored = (LANGUAGE / "grammar.json").read_text(encoding="utf-8")
    made = make((LANGUAGE / "grammar.lark").read_text(encoding="utf-8"))
    assert from_json(stored) == made, "run python -m gradc.language.grammar"
    assert to_json(made) == stored


def test_the_library_parses_fast() -> None:
    texts = [read_model(path) for path in sorted((LANGUAGE / "std").glob("*.grad"))]
    tables()
    best = min(_time_to_parse(texts) for _ in range(3))
    assert best < 0.5, "0.05 s when it was written"


def _time_to_parse(texts: list[str]) -> float:
    start = time.perf_counter()
    for text in texts:
        parse(text, "x.grad")
    return time.perf_counter() - start


# ---------------------------------------------------------------- unparse

UNPARSED = [
    "a |> f |> g(2)",
    "a or b and not c",
    "(a or b) and c",
    "not a == b",
    "0 <= i < n",
    "(0 <= i) == true",
    "a - (b - c)",
    "a - b * c",
    "(a - b) * c",
    "-x^2",
    "(-x)^2",
    "-a * b",
    "-(a * b)",
    "2^-1",
    "(2^3)^2",
    "2^3^2",
    "1 + (if a then b else c)",
    "f(if a then b else c, x = 2)",
    "max[u: 2, v: n + 1](x[u, v])",
    "x[2 * i + (p: 2)]",
    "(x |> f)[i]",
    "(a @ b)?[i]",
    "grad(u, x)[n, 0][1]",
    "mean[...](x[..., c])",
    "[3, [n]]",
    "0.5",
    "64.0",
    "25e-20",
    "1e300",
    "h.weight[0]",
]


@pytest.mark.parametrize("text", UNPARSED)
def test_text_as_a_person_would_write_it_is_kept(text: str) -> None:
    assert unparse(expression(text)) == text


def test_numbers_that_no_text_has() -> None:
    assert unparse(s.Number(HERE, Fraction(1, 3), False)) == "1 / 3"
    assert unparse(s.Binary(HERE, "^", s.Number(HERE, Fraction(-2), True), s.Number(HERE, Fraction(2, 3), False))) == (
        "(-2)^(2 / 3)"
    )


class Drawn:
    """A tree that shows itself as text."""

    def __init__(self, tree: s.Expression) -> None:
        self.tree = tree

    def __repr__(self) -> str:
        return unparse(self.tree)


class Grower:
    """Draws trees of every kind, not deeper than asked."""

    def __init__(self, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
        self.draw = draw

    def of(self, *choices: Any) -> Any:
        return self.draw(st.sampled_from(choices))

    def many(self, least: int, most: int, make: Callable[[], Any]) -> tuple[Any, ...]:
        return tuple(make() for _ in range(self.draw(st.integers(least, most))))

    def number(self) -> s.Number:
        digits = Fraction(self.draw(st.integers(0, 10**20)))
        exponent = self.draw(st.integers(-99, 99))
        return s.Number(HERE, *self.of((digits, True), (digits * Fraction(10) ** exponent, False)))

    def index(self, depth: int) -> s.Expression:
        name = self.of("i", "k", "x_1")
        return self.of(s.Name(HERE, name), s.Ellipsis(HERE), s.Binder(HERE, name, self.tree(depth)))

    def item(self, depth: int) -> s.Expression:
        return self.index(depth) if self.of(True, False) else self.tree(depth)

    def call(self, depth: int) -> s.Call:
        indices = self.of(None, self.many(1, 2, lambda: self.index(depth)))
        positions = self.many(0, 2, lambda: s.Argument(HERE, None, self.tree(depth)))
        names = self.of((), ("lr",), ("lr", "mu"))
        keywords = (s.Argument(HERE, name, self.tree(depth)) for name in names)
        return s.Call(HERE, self.of("f", "sum"), HERE, indices, (*positions, *keywords))

    def comparison(self, depth: int) -> s.Comparison:
        signs = self.many(1, 3, lambda: self.of("==", "!=", "<", "<=", ">", ">="))
        return s.Comparison(HERE, signs, tuple(self.tree(depth) for _ in range(len(signs) + 1)))

    def binary(self, depth: int) -> s.Binary:
        sign = self.of(*["+", "-", "*", "/", "//", "%", "@", "^", "and", "or"])
        left = self.of(s.Binder(HERE, "p", self.tree(depth)), self.tree(depth))
        return s.Binary(HERE, sign, left, self.tree(depth))

    def tree(self, depth: int) -> s.Expression:
        """A tree of so many levels at most."""
        here = HERE
        leaf = [self.number, lambda: s.Name(here, self.of("a", "h.weight", "inf", "σ", "loss"))]
        less = depth - 1
        grown = [
            lambda: self.call(less),
            lambda: self.comparison(less),
            lambda: self.binary(less),
            lambda: s.Unary(here, self.of("-", "not"), self.tree(less)),
            lambda: s.Binary(here, "|>", self.tree(less), self.of(s.Name(here, "f"), self.call(less))),
            lambda: s.Conditional(here, self.tree(less), self.tree(less), self.tree(less)),
            lambda: s.Subscript(here, self.tree(less), self.many(0, 3, lambda: self.item(less)), self.of(True, False)),
            lambda: s.List(here, self.many(0, 3, lambda: self.tree(less))),
        ]
        made: s.Expression = self.of(*leaf, *(grown if depth > 0 else []))()
        return made


@st.composite
def drawn_trees(draw: Callable[[st.SearchStrategy[Any]], Any]) -> Drawn:
    return Drawn(Grower(draw).tree(3))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(drawn_trees())
def test_unparse_is_the_inverse_of_parse(drawn: Drawn) -> None:
    assert without_spans(expression(repr(drawn))) == without_spans(drawn.tree)
