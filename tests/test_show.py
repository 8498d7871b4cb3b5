"""What graphs look like as text and as LaTeX."""

import pytest
import sympy
from small_graphs import Small, at_least, equal, i, j, k, read
from sympy import Integer, Rational

from gradc.errors import InternalError
from gradc.graph import scalar
from gradc.graph.index import ZERO, Gather, dim, index, number, of_atom
from gradc.graph.latex import LATEX, latex_equation, latex_name, latex_range
from gradc.graph.nodes import INF, PI, Guard, Reducer, Relation, Value
from gradc.graph.printing import Printer, text_of
from gradc.graph.show import guard_text, show
from gradc.graph.tensors import Index, Kind, Role

x, y, z = read("x", i), read("y", i), read("z", i)


@pytest.fixture(autouse=True)
def _no_distribution():
    with sympy.core.parameters.distribute(False):
        yield


BODIES = {
    "x[i]/2": lambda: x / 2,
    "2*x[i]/3": lambda: 2 * x / 3,
    "0.1*y[i] + 0.9*x[i]": lambda: Rational(9, 10) * x + Rational(1, 10) * y,
    "y[i] - x[i]": lambda: y - x,
    "-x[i] - y[i]": lambda: -x - y,
    "-(x[i] + y[i])": lambda: -(x + y),
    "-2*(x[i] - y[i])": lambda: -2 * (x - y),
    "z[i] - (x[i] + y[i])": lambda: z - (x + y),
    "z[i] - (x[i] + y[i])/2": lambda: z - (x + y) / 2,
    "x[i]/(y[i]*z[i])": lambda: x / (y * z),
    "x[i]*y[i]/(2*z[i])": lambda: x * y / (2 * z),
    "1/x[i]^2": lambda: x**-2,
    "-1/x[i]": lambda: -1 / x,
    "0.5/x[i]": lambda: Rational(1, 2) / x,
    "(x[i] + y[i])^3": lambda: (x + y) ** 3,
    "-x[i]^2": lambda: -(x**2),
    "1 - x[i]": lambda: 1 - x,
    "sqrt(x[i]) + 1e-08": lambda: Rational(1, 10**8) + scalar.SQRT(x),
    "22/7": lambda: Rational(22, 7),
    "-1/3": lambda: Rational(-1, 3),
    "-inf": lambda: -INF,
    "sqrt(pi)*x[i]": lambda: x * scalar.SQRT(PI),
    "(i + 1)*x[i]": lambda: x * Value(i + 1),
    "x[i]*(if x[i] < 0 then 1 else 0)": lambda: scalar.WHERE(scalar.LT(x, Integer(0)), Integer(1), Integer(0)) * x,
    "if x[i] <= y[i] then x[i] else if y[i] != z[i] then 1 else -z[i]": lambda: scalar.WHERE(
        scalar.LE(x, y), x, scalar.WHERE(scalar.NE(y, z), Integer(1), -z)
    ),
    "if x[i] == y[i] then (if y[i] < z[i] then 1 else 2) else 3": lambda: scalar.WHERE(
        scalar.EQ(x, y), scalar.WHERE(scalar.LT(y, z), Integer(1), Integer(2)), Integer(3)
    ),
    "x[i] < y[i] and (y[i] <= z[i] or not x[i] == z[i])": lambda: scalar.AND(
        scalar.LT(x, y), scalar.OR(scalar.LE(y, z), scalar.NOT(scalar.EQ(x, z)))
    ),
    "(x[i] < y[i]) < z[i]": lambda: scalar.LT(scalar.LT(x, y), z),
    "10000^(-i/half)": lambda: scalar.POW(Integer(10000), -Value(i) / Value(dim("half"))),
    "(x[i]^y[i])^z[i]": lambda: scalar.POW(scalar.POW(x, y), z),
    "x[i] // (y[i]*z[i])": lambda: scalar.FLOORDIV(x, y * z),
    "x[i] // y[i] // z[i]": lambda: scalar.FLOORDIV(scalar.FLOORDIV(x, y), z),
    "(2*i % 3)*x[i]": lambda: scalar.MOD(Value(2 * i), Integer(3)) * x,
    "max(x[i], 0)": lambda: scalar.MAX(x, Integer(0)),
}


@pytest.mark.parametrize("expected", BODIES)
def test_bodies(expected):
    assert text_of(BODIES[expected]()) == expected


LATEX_BODIES = {
    r"\frac{x_{i}}{2}": lambda: x / 2,
    r"y_{i} - \left(x_{i} + z_{i}\right)": lambda: y - (x + z),
    r"\frac{x_{i} - y_{i}}{\text{batch}}": lambda: (x - y) / Value(dim("batch")),
    r"\exp\left(-x_{i}\right)": lambda: scalar.EXP(-x),
    r"\operatorname{sigmoid}\left(x_{i}\right)": lambda: scalar.SIGMOID(x),
    r"\begin{cases} x_{i} & \text{if } x_{i} > 0 \\ 0 & \text{otherwise} \end{cases}": lambda: scalar.WHERE(
        scalar.LT(Integer(0), x), x, Integer(0)
    ),
    r"\pi \, \sqrt{x_{i}}": lambda: scalar.SQRT(x) * PI,
    r"\left|x_{i}\right|^{2}": lambda: scalar.ABS(x) ** 2,
    r"\left\lfloor x_{i} / y_{i} \right\rfloor": lambda: scalar.FLOORDIV(x, y),
    r"\left\lfloor x_{i} \right\rfloor": lambda: scalar.FLOOR(x),
    r"\left(x_{i}\right)^{y_{i}}": lambda: scalar.POW(x, y),
    r"\arctan\left(x_{i}\right)": lambda: scalar.ATAN(x),
    r"\left(x_{i} + y_{i}\right)": lambda: scalar.STOP(x + y),
    r"\left(2 \, i\right) \, x_{i}": lambda: Value(2 * i) * x,
}


def test_names_in_latex():
    assert latex_name("h") == "h"
    assert latex_name("alpha") == r"\alpha"
    assert latex_name("h_sum") == r"h_{\text{sum}}"
    assert latex_name("d_h.weight") == r"\frac{\partial L}{\partial h_{\text{weight}}}"
    assert latex_name("logits") == r"\text{logits}"
    assert latex_name("_h") == r"\text{\_h}"


@pytest.mark.parametrize("expected", LATEX_BODIES)
def test_latex(expected):
    assert Printer(LATEX).print(LATEX_BODIES[expected]()) == expected


def test_latex_equations():
    small = Small().leaf("x", 3, 4).tensor("d_h", 3).leaf("ids", 3, whole=(0, 3))
    gathered = of_atom(Gather("ids", (i,), ZERO, number(3)))
    small.write("d_h", (i,), {"i": 3, "k": 4}, read("x", i, k) - 1, guards=(at_least(k - i),))
    small.write("d_h", (i,), {"i": 3}, read("x", i // 2, gathered) + Value(i % 2))
    first, second = (latex_equation(equation) for equation in small.equations)
    assert first == (
        r"\left(\frac{\partial L}{\partial h}\right)_{i} = \sum_{k} \left(x_{i, k} - 1\right)"
        r" \quad \text{where } k - i \ge 0"
    )
    assert second.endswith(r"= (i \bmod 2) + x_{\lfloor i / 2 \rfloor, \text{ids}_{i}}")
    assert latex_range(Index("i", number(1), dim("n"))) == r"1 \le i < n"


@pytest.mark.parametrize(
    ("guard", "text"),
    [
        (at_least(dim("n") - i - 1), "i < n"),
        (at_least(i - j), "j <= i"),
        (at_least(i - 1), "i >= 1"),
        (at_least(3 - i), "i <= 3"),
        (equal(i, j), "i == j"),
        (Guard(i - 2, Relation.UNEQUAL), "i != 2"),
    ],
)
def test_guards(guard, text):
    assert guard_text(guard) == text


SHOWN = """\
  x[batch, 4]    input
  y[batch]       target, whole 0 .. 2
  w[4, 3]        param
  h[batch, 3]
  d_h[batch, 3]
  best[batch]    whole
  loss

h[b, o] = sum[k](w[k, o]*x[b, k])   for b < batch, o < 3, k < 4                                       # m.grad:1
d_h[b, o] += h[b, o]/2   for b < batch, o < 3   where o >= 1                                          # m.grad:2
d_h[b, y[b]] += -1   for b < batch                                                                    # m.grad:3
best[b] = argmax[o](d_h[b, o])   for b < batch, 1 <= o < 3                                            # m.grad:4
loss = sum[b](best[b])   for b < batch                                                                # m.grad:5

outputs: loss
"""


def test_a_graph():
    batch = dim("batch")
    b, o = index("b"), index("o")
    small = (
        Small().leaf("x", batch, 4).leaf("y", batch, whole=(0, 2), role=Role.TARGET).leaf("w", 4, 3, role=Role.PARAM)
    )
    small.tensor("h", batch, 3).tensor("d_h", batch, 3).tensor("best", batch, kind=Kind.WHOLE).tensor("loss")
    small.write("h", (b, o), {"b": batch, "o": 3, "k": 4}, read("x", b, k) * read("w", k, o))
    small.write("d_h", (b, o), {"b": batch, "o": 3}, read("h", b, o) / 2, guards=(at_least(o - 1),))
    small.write("d_h", (b, of_atom(Gather("y", (b,), ZERO, number(2)))), {"b": batch}, Integer(-1))
    small.write("best", (b,), {"b": batch, "o": (1, 3)}, read("d_h", b, o), reducer=Reducer.ARGMAX)
    small.write("loss", (), {"b": batch}, read("best", b))
    assert show(small.graph()) == SHOWN


def test_equations_of_disjoint_places_are_equalities():
    small = Small().leaf("x", 3).tensor("y", 3, 2)
    small.write("y", (i, 0), {"i": 3}, x).write("y", (i, 1), {"i": 3}, 2 * x)
    lines = show(small.graph()).splitlines()
    assert lines[3].startswith("y[i, 0] = x[i]")
    assert lines[4].startswith("y[i, 1] = 2*x[i]")


def test_what_is_no_body_is_not_printed():
    with pytest.raises(InternalError, match="Symbol"):
        text_of(sympy.Symbol("s"))
