"""The check of gradients: right ones pass, wrong ones do not, and what has no slope is left out and told."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sympy

from gradc.check import MOST_ROUNDS, check, check_graph, check_source, rounds
from gradc.check_report import Report
from gradc.differences import Slope, differs, slopes
from gradc.draws import drawn_data, drawn_parameters, small_dims
from gradc.emit.module import emit
from gradc.errors import GradcError
from gradc.graph.index import number
from gradc.graph.nodes import INF, Equation, Graph
from gradc.language import core
from gradc.pipeline import Stages, graphs, module_spec

EXAMPLES = [Path(__file__).parents[1] / "examples" / f"{name}.grad" for name in ("digits", "diabetes", "breast_cancer")]
"""burgers.grad takes a minute; test_gradients checks models like it."""
NETWORK = """\
dim batch
input  x[batch, 4]
target y[batch] : int(3)
h      = tanh(dense(x, 4))
logits = dense(h, 3)
loss   mean(cross_entropy(logits, y)) + 0.1 * sum(h.weight^2)
"""


@pytest.fixture(scope="module")
def network() -> Stages:
    return graphs(NETWORK)


def wrong_rows(report: Report) -> dict[str, str]:
    assert not report.passed
    return {row.name: row.verdict for row in report.rows if row.verdict != "agrees"}


# ---------------------------------------------------------------- right gradients


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_pass(path):
    report = check(path.read_text(), file=str(path))
    assert report.passed, str(report)


@pytest.mark.parametrize(
    "text",
    [
        "param w[3] ~ normal()\nloss sum(w^3)",
        "param w ~ zeros\nloss (w - 2)^2",
        "param w[4, 4] ~ ones\nloss logsumexp[i, j](w[i, j] * w[j, i])",
        "param w[5] ~ zeros\nloss max[i](w[i]) + prod[i](w[i])",
        "dim time\ninput x[time]\nparam w[2] ~ zeros\ny[t] = w[0] * x[t] + w[1] * x?[t - 1]\nloss sum(y^2 + exp(y))",
        "dim n\ninput ids[n] : int(50)\nparam e[50, 3] ~ normal()\nh[i, d] = e[ids[i], d]\nloss sum(h^2)",
        "dim n\ninput on[n] : bool\nparam w[2] ~ zeros\nloss sum[i](if on[i] then w[0] else w[1]^2)",
        "dim batch\ninput x[batch]\nparam w ~ ones\nloss mean(log(x) * w)",
        "param a[3] ~ zeros frozen\nparam w[3] ~ zeros\nloss sum(a * w) + sum(sin(w))",
        "param w[4] ~ zeros\nloss sum(w * stop_gradient(exp(w)))",
        "param w[4] ~ zeros\nloss sum[i](if w[i] > 0 then w[i] * stop_gradient(w[i])^2 else w[i])",
    ],
)
def test_small_models_pass(text):
    report = check(text)
    assert report.passed, str(report)


def test_what_is_emitted_compiled():
    text = "param w[3] ~ normal()\nloss sum(w^3)"
    stages = graphs(text)
    report = check_source(stages.model, emit(module_spec(stages, text, "float64")), compiled=True)
    assert report.passed, str(report)


def test_by_interpretation(network):
    assert network.gradient is not None
    assert check_graph(network.model, network.gradient).passed


# ---------------------------------------------------------------- planted faults

Change = Callable[[Equation], Equation | None]


def planted(graph: Graph, target: str, change: Change) -> Graph:
    """The graph with the equations of one tensor changed, or left out."""
    changed = [change(eq) if eq.target == target else eq for eq in graph.equations]
    assert any(new is not old for new, old in zip(changed, graph.equations, strict=True))
    return graph.with_equations(tuple(equation for equation in changed if equation is not None))


def scaled(by: sympy.Expr) -> Change:
    return lambda equation: replace(equation, body=by * equation.body)


def without_logits(equation: Equation) -> Equation | None:
    """Without the contribution that goes to the target's place."""
    return None if any(place.gathers for place in equation.write) else equation


def swapped(equation: Equation) -> Equation:
    return replace(equation, write=equation.write[::-1])


def shifted(equation: Equation) -> Equation:
    """One row is left out."""
    first = equation.indices[0]
    rest = tuple(replace(i, low=number(1)) if i is first else i for i in equation.indices)
    return replace(equation, indices=rest)


def infinite(equation: Equation) -> Equation:
    return replace(equation, body=equation.body + INF)


FAULTS = {
    "sign": ("d_logits.weight", scaled(sympy.Integer(-1)), {"logits.weight"}),
    "factor of 2": ("d_logits.bias", scaled(sympy.Integer(2)), {"logits.bias"}),
    "a small factor": ("d_h.weight", scaled(sympy.Rational(1001, 1000)), {"h.weight"}),
    "missing term": ("d_logits", without_logits, {"h.weight", "h.bias", "logits.weight", "logits.bias"}),
    "swapped index": ("d_h.weight", swapped, {"h.weight"}),
    "a place left out": ("d_logits.bias", shifted, {"logits.bias"}),
    "infinity": ("d_h.bias", infinite, {"h.bias"}),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_in_the_graph_are_found(network, name):
    target, change, parameters = FAULTS[name]
    assert network.gradient is not None
    report = check_graph(network.model, planted(network.gradient, target, change))
    assert wrong_rows(report) == dict.fromkeys(parameters, "differs")


@pytest.mark.parametrize("name", ["sign", "factor of 2", "missing term", "swapped index"])
def test_faults_in_what_is_emitted_are_found(network, name):
    target, change, parameters = FAULTS[name]
    assert network.gradient is not None
    stages = replace(network, gradient=planted(network.gradient, target, change))
    report = check_source(network.model, emit(module_spec(stages, NETWORK, "float64")), compiled=False)
    assert wrong_rows(report) == dict.fromkeys(parameters, "differs")
    assert report.loss_agrees


def test_a_stopped_value_is_not_moved():
    """Of w · stop(w) the slope is w; differences of the loss as it stands would give 2w."""
    report = check("param w[3] ~ normal()\nloss sum(w * stop_gradient(w))")
    assert report.passed
    assert 0 < report.rows[0].scale < 3


def test_a_wrong_loss_is_told(network):
    source = emit(module_spec(network, NETWORK, "float64"))
    wrong = source.replace("return loss\n", "return loss + 1.0\n")
    assert wrong != source
    report = check_source(network.model, wrong, compiled=False)
    assert not report.passed
    assert "the equations as written give" in str(report)


# ---------------------------------------------------------------- the report


def test_the_table(network):
    assert network.gradient is not None
    report = check_graph(network.model, planted(network.gradient, "d_logits.bias", scaled(sympy.Integer(-1))))
    rows = str(report).split("\n")
    assert rows[0].split() == ["parameter", "shape", "compared", "largest", "error", "largest", "slope"]
    assert rows[1].startswith("h.weight       4 × 4  16")
    assert rows[1].endswith("agrees")
    assert rows[4].endswith("differs")
    assert sum("(the sign is wrong)" in row for row in rows) == 3
    assert all(len(row) <= 100 for row in rows)


def test_kinks_are_left_out_and_told():
    text = "param w[3] ~ normal()\nloss sum(abs(w)) + sum(abs(w - stop_gradient(w)))"
    report = check(text)
    assert not report.passed
    assert [row.verdict for row in report.rows] == ["not checked: kinks everywhere"]
    assert "9 left out: at a kink" in str(report)


def test_nothing_to_check():
    with pytest.raises(GradcError, match="trains no parameters"):
        check("input x\nloss x^2")


def test_no_values_at_which_the_loss_is_finite():
    with pytest.raises(GradcError, match="not finite at any of 8 random places"):
        check("param w ~ zeros\nloss log(-1 - w^2)")


# ---------------------------------------------------------------- differences

RNG = np.random.default_rng


def slopes_of(function, at, gradient) -> list[Slope]:
    values = {"w": np.array(at, np.float64)}
    return list(slopes(lambda v: float(function(v["w"])), values, "w", np.array(gradient, np.float64), RNG(0)))


@pytest.mark.parametrize(
    ("function", "at", "kink"),
    [
        (np.abs, 0.0, True),
        (np.abs, 3e-6, True),
        (np.abs, 3e-5, False),
        (np.abs, 1.0, False),
        (np.floor, 1.0, True),
        (np.floor, 1.5, False),
        (lambda w: max(w, 0.0) ** 2, 0.0, False),
        (lambda w: np.exp(20 * w), 0.0, False),
        (lambda w: 1e6 * w + 1e-9 * w**2, 1.0, False),
        (lambda w: w**3, 0.0, False),
        (lambda w: 0.0, 0.0, False),
    ],
)
def test_kinks(function, at, kink):
    (slope,) = slopes_of(function, at, 0.0)
    assert slope.kink is kink


def test_small_tensors_are_checked_whole_and_large_ones_by_sample():
    assert len(slopes_of(np.sum, np.ones(32), np.ones(32))) == 32
    found = slopes_of(np.sum, np.ones((20, 20)), np.ones((20, 20)))
    assert len({slope.place for slope in found}) == 25
    assert found[-1].place is None
    assert not any(differs(slope, 1.0) for slope in found)


def test_a_sample_looks_where_the_gradient_is_not_0():
    gradient = np.zeros(1000)
    gradient[[17, 400]] = 1.0
    found = slopes_of(lambda w: w[17] + w[400], np.ones(1000), gradient)
    assert {(17,), (400,)} < {slope.place for slope in found}
    missed = slopes_of(lambda w: w[17] + w[400], np.ones(1000), np.zeros(1000))
    assert differs(missed[-1], 1.0)


@pytest.mark.parametrize("said", [np.nan, np.inf, 1.001, -1.0, 0.0])
def test_what_differs(said):
    assert differs(Slope((), said, 1.0, 0.0, False), 1.0)
    assert not differs(Slope((), 1.0, 1.0 + 1e-9, 0.0, False), 1.0)


def test_a_slope_that_is_not_a_number_differs():
    assert differs(Slope((), 1.0, np.nan, 0.0, False), 1.0)


# ---------------------------------------------------------------- draws


def model_of(text: str) -> core.Model:
    return graphs(text).model


def test_sizes_are_small_and_meet_the_preconditions():
    model = model_of("dim batch, time\ninput x[batch, time]\nparam w ~ zeros\ny[b] = x[b, time - 5]\nloss sum(w * y)")
    dims = small_dims(model)
    assert dims["time"] >= 5
    assert set(small_dims(model_of(NETWORK)).values()) == {3}


def test_sizes_that_are_never_met():
    model = model_of("dim time\ninput x[time]\nparam w ~ zeros\nloss w * x[time - 100]")
    with pytest.raises(GradcError, match="no sizes below 64"):
        small_dims(model)


def test_parameters_are_moved_from_their_laws():
    model = model_of("param a[40] ~ zeros\nparam b[40] ~ ones frozen\nparam c[i: 40] ~ 100 + i\nloss sum(a * b * c)")
    values = drawn_parameters(model, 0, RNG(0))
    assert 0.1 < values["a"].std() < 0.6
    np.testing.assert_array_equal(values["b"], np.ones(40))
    assert abs(values["c"].mean() - 119.5) < 5
    assert len(set(values["c"])) == 40


def test_whole_numbers_are_drawn_inside_their_ranges():
    model = model_of("dim n\ninput ids[n] : int(n)\nparam e[2] ~ zeros\nloss sum[i](e[0] * ids[i])")
    draws = [drawn_data(model, {"n": 3}, attempt, RNG(attempt))["ids"] for attempt in range(20)]
    assert {value for draw in draws for value in draw} == {0, 1, 2}


def test_rounds_are_counted(network):
    program = module_spec(network, NETWORK, "float64").gradient
    assert program is not None
    few, many = (rounds(program, {"batch": size}) for size in (3, 30))
    assert 10 < few < many < MOST_ROUNDS


def test_sizes_reach_beyond_what_is_read_places_away():
    """Where they did not, a recurrence would have no step to check."""
    text = """
dim batch, time
input x[batch, time]
param w ~ ones
h[b, t] = tanh(x[b, t] + w * h?[b, t - 5])
g[b, t] = tanh(h[b, t] + w * g?[b, t + 7])
loss mean(g^2)
"""
    assert small_dims(graphs(text).model) == {"batch": 3, "time": 9}
