"""The one rule, held against central differences of the graph's interpreter: for each reducer, each kind of read."""

from dataclasses import replace

import numpy as np
import pytest

from gradc.calculus.differentiate import gradient
from gradc.graph.interpret import interpret
from gradc.graph.nodes import Graph, Read, Relation, rebuild
from gradc.graph.verify import verify
from gradc.language.elaborate import elaborate_text
from gradc.language.lower import lower

HEADER = """
dim n = 4, m = 3
param a[n, m] ~ normal()
param b[m] ~ normal()
param k[2] ~ normal()
input ids[5] : int(n)
"""

CASES = {
    "product": "y[i] = sum[j](a[i, j] * b[j])\nloss sum(y^2)",
    "transposed": "loss sum(a @ transpose(a))",
    "broadcast": "y[i, j] = a[i, j] * b[j] + b[j]\nloss sum(sin(y))",
    "same tensor twice": "y[i] = sum[j](a[i, j] * a[i, j] * b[j])\nloss sum(y)",
    "slice": "y[i: 2, j: 2] = a[i, j] * b[j]\nloss sum(y^2)",
    "shifted": "y[i: n - 1, j] = a[i + 1, j] * a[i, j]\nloss sum(y)",
    "strided": "y[i: 2, j] = a[2*i, j] * a[2*i + 1, j]\nloss sum(y)",
    "reversed": "y[i, j] = a[n - 1 - i, j] * a[i, j] * b[j]\nloss sum(y)",
    "one place": "y[j] = a[2, j] * b[j]\nloss sum(y) * b[0]",
    "diagonal": "y[i: 3] = a[i, i]^2 * b[i]\nloss sum(y)",
    "window": "y[i: 3] = sum[u: 2](a[i + u, 0] * k[u])\nloss sum(y^3)",
    "merged axes": "y[i*m + j] = a[i, j] * b[j]\nloss sum(exp(y))",
    "gather": "y[e, j] = a[ids[e], j] * b[j]\nloss sum(y^2)",
    "scatter": "y[i, j] = sum[e](if ids[e] == i then a[i, j] * b[j] else 0)\nloss sum(y^2)",
    "guarded read": "y[i, j] = a[i, j] * (a?[i - 1, j] + a?[i + 1, j])\nloss sum(y)",
    "branches of indices": "y[i, j] = if j < i then a[i, j] * b[j] else a[i, j]^2\nloss sum(y)",
    "branches of data": "y[i, j] = if a[i, j] > 0 then log(a[i, j]) else a[i, j] * b[j]\nloss sum(y)",
    "concatenated": "q = concat(a, a, axis = 0)\nloss sum(q^3)",
    "max over one": "y[i] = max[j](a[i, j] * b[j])\nloss sum(y^2)",
    "min over two": "y = min[i, j](a[i, j]^2)\nloss y * b[0]",
    "logsumexp": "y[i] = logsumexp[j](a[i, j] * b[j])\nloss sum(y^2)",
    "prod": "y[i] = prod[j](a[i, j] + b[j])\nloss sum(y)",
    "mean": "loss mean[i, j](a[i, j]^2) + mean(b)",
    "argmax as an index": "y[i] = a[i, argmax[j](a[i, j] * b[j])]\nloss sum(y^2)",
    "several equations": "y[0] = a[0, 0]^2\ny[1] = b[1]^3\ny[i + 2] = sum[j](a[i, j])\nloss sum(y^2)",
    "softmax": "p = softmax(a)\nloss sum(p^2)",
}


def _forward(text: str) -> Graph:
    graph = lower(elaborate_text(HEADER + text))
    return Graph(graph.tensors, graph.equations, {"loss": graph.outputs["loss"]})


def _values() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    reals = {"a": rng.normal(size=(4, 3)), "b": rng.normal(size=3), "k": rng.normal(size=2)}
    return reals | {"ids": rng.integers(0, 4, 5)}


def _differences(graph: Graph, name: str, values: dict[str, np.ndarray], output: str = "loss") -> np.ndarray:
    slopes = np.zeros_like(values[name])
    for place in np.ndindex(slopes.shape):
        ends = []
        for step in (1e-6, -1e-6):
            moved = {key: array.copy() for key, array in values.items()}
            moved[name][place] += step
            ends.append(interpret(graph, moved, {})[graph.outputs[output]])
        slopes[place] = (ends[0] - ends[1]) / 2e-6
    return slopes


@pytest.mark.parametrize("case", sorted(CASES))
def test_the_rule_agrees_with_central_differences(case):
    graph, values = _forward(CASES[case]), _values()
    differentiated = gradient(graph, graph.outputs["loss"], ["a", "b", "k"])
    verify(differentiated)
    found = interpret(differentiated, values, {})
    for name in ("a", "b", "k"):
        slope = found[differentiated.outputs[f"gradient {name}"]]
        np.testing.assert_allclose(slope, _differences(graph, name, values), rtol=1e-6, atol=1e-7)


def test_a_gradient_has_a_gradient():
    graph, values = _forward("y[i] = sum[j](tanh(a[i, j] * b[j]))\nloss sum(y^2)"), _values()
    once = gradient(graph, graph.outputs["loss"], ["b"])
    slope = once.outputs["gradient b"]
    tensors, equations = dict(once.tensors), once.equations
    # the sum of the squared gradient is a scalar of the graph: differentiate it again
    square = _forward("loss sum(b * b)")
    renamed = {"b": slope}
    total = next(eq for eq in square.equations if eq.target == square.outputs["loss"])
    body = rebuild(total.body, {read: Read(renamed[read.tensor], read.subscripts) for read in total.reads})
    twice_target = replace(tensors["loss"], name="norm")
    equations = (*equations, replace(total, target="norm", body=body))
    twice = Graph({**tensors, "norm": twice_target}, equations, {"loss": "norm"})
    second = gradient(twice, "norm", ["a"])
    verify(second)
    found = interpret(second, values, {})[second.outputs["gradient a"]]
    np.testing.assert_allclose(found, _differences(twice, "a", values), rtol=1e-5, atol=1e-6)


def test_a_product_with_zeros_has_its_exact_slopes():
    graph, values = _forward(CASES["prod"]), _values()
    values["a"][0] = -values["b"]
    values["a"][1, 0] = -values["b"][0]
    differentiated = gradient(graph, graph.outputs["loss"], ["a"])
    slope = interpret(differentiated, values, {})["d_a"]
    np.testing.assert_array_equal(slope[0], 0.0)
    factors = values["a"][1] + values["b"]
    np.testing.assert_allclose(slope[1], [factors[1] * factors[2], 0.0, 0.0], rtol=1e-12)


def test_logsumexp_of_nothing_but_minus_infinity_has_slope_0():
    graph = _forward("y[i] = logsumexp[j](if j < i then a[i, j] else -inf)\nz = y[1] + y[2]\nloss z + 0 * y[3]")
    values = _values()
    differentiated = gradient(graph, graph.outputs["loss"], ["a"])
    slope = interpret(differentiated, values, {})["d_a"]
    assert np.isfinite(slope).all()
    np.testing.assert_array_equal(slope[0], 0.0)


def test_a_slice_that_is_swapped_is_solved_for_its_index():
    graph = _forward(CASES["shifted"])
    differentiated = gradient(graph, graph.outputs["loss"], ["a"])
    writes = [eq for eq in differentiated.equations if eq.target == "d_a"]
    assert all(place.bare for eq in writes for place in eq.write)
    assert any(guard.relation is Relation.AT_LEAST for eq in writes for guard in eq.guards)


def test_a_stopped_value_is_a_constant():
    graph, values = _forward("y[i, j] = stop_gradient(a[i, j]) * a[i, j]\nloss sum(y)"), _values()
    differentiated = gradient(graph, graph.outputs["loss"], ["a"])
    np.testing.assert_array_equal(interpret(differentiated, values, {})["d_a"], values["a"])


def test_what_the_loss_does_not_reach_has_gradient_0():
    graph, values = _forward("loss sum(a)"), _values()
    differentiated = gradient(graph, graph.outputs["loss"], ["a", "b"])
    assert "d_b" not in differentiated.writers
    np.testing.assert_array_equal(interpret(differentiated, values, {})["d_a"], 1.0)
