"""The interpreter against NumPy, and against what the page of the language says of special values."""

import numpy as np
import pytest
import sympy
from small_graphs import Small, at_least, equal, i, j, k, read

from gradc.errors import InternalError
from gradc.graph import scalar
from gradc.graph.index import ONE, ZERO, Gather, dim, index, of_atom
from gradc.graph.interpret import interpret
from gradc.graph.nodes import INF, PI, Reducer, Value
from gradc.graph.tensors import Kind

NAN = float("nan")


def test_product_of_matrices():
    n = dim("n")
    small = Small().leaf("x", n, 4).leaf("w", 4, 3).tensor("h", n, 3)
    graph = small.write("h", (i, j), {"i": n, "j": 3, "k": 4}, read("x", i, k) * read("w", k, j)).graph()
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(5, 4)), rng.normal(size=(4, 3))
    np.testing.assert_allclose(interpret(graph, {"x": x, "w": w}, {"n": 5})["h"], x @ w, rtol=1e-14)


def test_several_equations_add_up_and_unwritten_places_are_zero():
    small = Small().leaf("x", 3).tensor("y", 5)
    small.write("y", (i,), {"i": 3}, read("x", i)).write("y", (i + 1,), {"i": 3}, 10 * read("x", i))
    value = interpret(small.graph(), {"x": [1, 2, 3]}, {})["y"]
    np.testing.assert_array_equal(value, [1, 12, 23, 30, 0])


def test_colliding_and_gathered_writes_accumulate():
    place = of_atom(Gather("dst", (i,), ZERO, ONE * 2))
    small = Small().leaf("x", 4).leaf("dst", 4, whole=(0, 2)).tensor("y", 3)
    graph = small.write("y", (place,), {"i": 4}, read("x", i)).graph()
    value = interpret(graph, {"x": [1, 2, 3, 4], "dst": [0, 2, 0, 2]}, {})["y"]
    np.testing.assert_array_equal(value, [4, 0, 6])


def test_a_guarded_read_never_leaves_the_tensor():
    small = Small().leaf("x", 3).tensor("y", 3)
    graph = small.write("y", (i,), {"i": 3}, read("x", i - 1), guards=(at_least(i - 1),)).graph()
    np.testing.assert_array_equal(interpret(graph, {"x": [1, 2, 3]}, {})["y"], [0, 1, 2])


def test_an_unguarded_read_outside_is_refused():
    small = Small().leaf("x", 3).tensor("y", 3)
    with pytest.raises(AssertionError, match=r"x: i \+ 1 is \[3\], outside 0 \.\. 2"):
        interpret(small.write("y", (i,), {"i": 3}, read("x", i + 1)).graph(), {"x": [1, 2, 3]}, {})


def test_where_evaluates_a_branch_only_where_it_is_taken():
    body = scalar.WHERE(scalar.LT(Value(i), sympy.Integer(2)), read("x", i + 1), 1 / (read("x", i) - 3))
    small = Small().leaf("x", 3).tensor("y", 3)
    value = interpret(small.write("y", (i,), {"i": 3}, body).graph(), {"x": [1, 2, 5]}, {})["y"]
    np.testing.assert_array_equal(value, [2, 5, 0.5])


def _rows(reducer: Reducer, rows: list[list[float]], kind: Kind = Kind.REAL) -> np.ndarray:
    small = Small().leaf("x", len(rows), len(rows[0])).tensor("y", len(rows), kind=kind)
    small.write("y", (i,), {"i": len(rows), "j": len(rows[0])}, read("x", i, j), reducer=reducer)
    return interpret(small.graph(), {"x": rows}, {})["y"]


@pytest.mark.parametrize(
    ("reducer", "expected"),
    [
        (Reducer.MAX, [2, NAN, -np.inf]),
        (Reducer.MIN, [-1, NAN, -np.inf]),
        (Reducer.PROD, [-4, NAN, -np.inf]),
        (Reducer.ARGMAX, [1, 2, 0]),
        (Reducer.ARGMIN, [0, 2, 0]),
        (Reducer.LOGSUMEXP, [np.log(np.exp(-1) + 2 * np.exp(2)), NAN, -np.inf]),
    ],
)
def test_reducers(reducer, expected):
    kind = Kind.WHOLE if reducer in (Reducer.ARGMAX, Reducer.ARGMIN) else Kind.REAL
    rows = [[-1, 2, 2], [1, 5, NAN], [-np.inf] * 3]
    np.testing.assert_allclose(_rows(reducer, rows, kind), expected, rtol=1e-15)


def test_logsumexp_does_not_overflow():
    value = _rows(Reducer.LOGSUMEXP, [[1000.0, 1000.0], [np.inf, 0.0], [-1000.0, -np.inf]])
    np.testing.assert_allclose(value, [1000 + np.log(2), np.inf, -1000], rtol=1e-15)


def test_argmax_over_several_indices_counts_row_major():
    small = Small().leaf("x", 2, 3).tensor("y", kind=Kind.WHOLE)
    graph = small.write("y", (), {"i": 2, "j": 3}, read("x", i, j), reducer=Reducer.ARGMAX).graph()
    assert interpret(graph, {"x": [[0, 1, 2], [7, 3, 7]]}, {})["y"] == 3


def test_a_maximum_over_no_place_is_zero():
    small = Small().leaf("x", 2, 3).tensor("y", 2)
    graph = small.write(
        "y", (i,), {"i": 2, "j": 3}, read("x", i, j), guards=(at_least(i - 1),), reducer=Reducer.MAX
    ).graph()
    np.testing.assert_array_equal(interpret(graph, {"x": [[5, 5, 5], [-1, -2, -3]]}, {})["y"], [0, -1])


def test_guards_compare():
    small = Small().leaf("x", 3).tensor("y")
    graph = small.write("y", (), {"i": 3}, read("x", i), guards=(equal(i, 2),)).graph()
    assert interpret(graph, {"x": [1, 2, 4]}, {})["y"] == 4


def test_ranges_may_need_each_other():
    small = Small().leaf("x", 4).tensor("y", 4)
    graph = small.write("y", (i,), {"j": (0, i + 1), "i": 4}, read("x", j)).graph()
    np.testing.assert_array_equal(interpret(graph, {"x": [1, 2, 3, 4]}, {})["y"], [1, 3, 6, 10])


def test_kinds_and_constants():
    small = Small().leaf("x", 3).tensor("whole", 3, kind=Kind.WHOLE).tensor("bools", 3, kind=Kind.BOOL).tensor("y", 3)
    small.write("whole", (i,), {"i": 3}, scalar.FLOOR(read("x", i)))
    small.write("bools", (i,), {"i": 3}, scalar.LT(read("x", i), sympy.Integer(0)))
    small.write("y", (i,), {"i": 3}, scalar.WHERE(read("bools", i), -INF, PI * read("whole", i) / 2))
    values = interpret(small.graph(), {"x": [-0.5, 1.5, 2]}, {})
    assert [values[name].dtype for name in ("whole", "bools", "y")] == [np.int64, np.bool_, np.float64]
    np.testing.assert_allclose(values["y"], [-np.inf, np.pi / 2, np.pi], rtol=1e-15)


def test_division_of_whole_numbers_is_real():
    small = Small().tensor("y", 3)
    value = interpret(small.write("y", (i,), {"i": 3}, sympy.Rational(1, 3) / Value(i + 1)).graph(), {}, {})["y"]
    np.testing.assert_allclose(value, [1 / 3, 1 / 6, 1 / 9], rtol=1e-15)


def test_inputs_are_not_changed_and_missing_ones_named():
    small = Small().leaf("x", 2).tensor("y", 2)
    graph = small.write("y", (i,), {"i": 2}, read("x", i) + 1).graph()
    x = np.zeros(2)
    interpret(graph, {"x": x}, {})
    np.testing.assert_array_equal(x, [0, 0])
    with pytest.raises(AssertionError, match="no value for x"):
        interpret(graph, {}, {})
    with pytest.raises(AssertionError, match=r"x: \(3,\), not \(2,\)"):
        interpret(graph, {"x": np.zeros(3)}, {})


def test_cycles_and_foreign_nodes_are_bugs():
    small = Small().tensor("y", 2).tensor("z", 2)
    small.write("y", (i,), {"i": 2}, read("z", i) + 1).write("z", (i,), {"i": 2}, read("y", i))
    with pytest.raises(InternalError, match="a place needs itself"):
        interpret(small.graph(), {}, {})
    small = Small().tensor("y", 2).write("y", (i,), {"i": 2}, sympy.Symbol("s"))
    with pytest.raises(InternalError, match="Symbol"):
        interpret(small.graph(), {}, {})


def test_numbers_beyond_a_float_are_infinite():
    small = Small().tensor("y").write("y", (), {}, sympy.Integer(-10) ** 401)
    assert interpret(small.graph(), {}, {})["y"] == -np.inf


@pytest.mark.parametrize("row", scalar.ROWS.values(), ids=lambda row: row.name)
def test_every_function_has_a_value(row):
    points = np.array(row.probes or [(0.5, 0.25, 0.75)[: row.arity], (1.0, 0.0, 0.0)[: row.arity]], float)
    small = Small()
    for n in range(row.arity):
        small.leaf(f"x{n}", len(points))
    small.tensor("y", len(points))
    body = row(*(read(f"x{n}", index("i")) for n in range(row.arity)))
    value = interpret(
        small.write("y", (i,), {"i": len(points)}, body).graph(), {f"x{n}": points[:, n] for n in range(row.arity)}, {}
    )["y"]
    np.testing.assert_array_equal(value, np.asarray(row.numpy(*points.T), np.float64))
