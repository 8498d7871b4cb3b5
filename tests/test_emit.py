"""Small parts of the emitter: names, long lines, laws, the text of bodies."""

import ast
import itertools
import keyword
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from support.emitted import load_compiled, load_plain

import gradc
from gradc import pipeline
from gradc.emit.breaking import laid_out
from gradc.emit.lines import broken, parts
from gradc.emit.names import Names, identifier
from gradc.emit.style import Surroundings, index_text
from gradc.graph.index import dim, index
from gradc.pipeline import emit

TINY = "dim batch\ninput x[batch, 4]\ntarget y[batch]\nz[b] = dense(x, 1)[b, 0]\npredict z\nloss mean((z - y)^2)\n"


@pytest.mark.parametrize("name", [*keyword.kwlist, "print", "np", "f4", "exp", "range", "params", "work", "gemm"])
def test_no_name_of_a_model_is_one_of_pythons_or_the_modules(name):
    shown = Names().of(name)
    assert shown != name
    assert shown.isidentifier()


def test_different_names_stay_different():
    names = Names()
    assert len({names.of(name) for name in ("h.weight", "h_weight", "h_weight_", "h weight")}) == 4
    assert names.of("h.weight") == "h_weight"


def test_an_identifier_is_always_one():
    for name in ("", "1x", "a b", "θ", "ä.β", "x" * 200):
        assert identifier(name).isidentifier()


INDEX_EXPRESSIONS = [
    -(dim("n") % 2),
    -(dim("n") // 3),
    -(dim("n") % 3) // 2,
    -2 * (dim("n") % 3) + index("i") // 2 - 5,
    (index("i") - dim("n") % 4) % (dim("n") + 1),
]


@pytest.mark.parametrize("expression", INDEX_EXPRESSIONS, ids=str)
def test_index_expressions_read_back_as_what_they_are(expression):
    around = Surroundings(lambda *_: "", str, {}, "f8", lambda _: None)
    for n, i in itertools.product(range(1, 8), range(5)):
        values = {"n": n, "i": i}
        for text in (str(expression), index_text(expression, around)):
            assert eval(text, {}, values) == expression.value(values)


def test_a_short_statement_stays_on_its_line():
    assert broken("    ", "h[b] = a + b") == ["    h[b] = a + b"]


def test_a_long_statement_is_broken_at_its_loosest_operators():
    text = " + ".join(f"f4(0.{n}) * some_array[b, j]" for n in range(1, 7))
    rows = broken("    ", f"target[b, j] = {text}")
    assert rows[0] == "    target[b, j] = ("
    assert all(row.startswith("        + ") for row in rows[2:-1])
    joined = ast.parse("\n".join(row[4:] for row in rows))
    assert ast.unparse(joined) == ast.unparse(ast.parse(f"target[b, j] = {text}"))


def test_parts_respect_brackets():
    assert parts("a * (b + c) + d") == ["a * (b + c)", "+ d"]
    assert parts("f(a - b)") == ["f(a - b)"]


def test_emitting_twice_gives_the_same_bytes():
    assert emit(TINY) == emit(TINY)


def test_the_module_says_whose_it_is():
    assert "is yours to use under any terms" in emit(TINY)


def test_laws_are_drawn_as_they_are_written():
    text = (
        "param a[i: 6] ~ log(1 + i)\nparam b[i: 2, j: 3] ~ if i == j then 1 else 0\nparam c[400] ~ 2 * normal() + 5\n"
        "param d[6, 3, 2] ~ orthogonal\nparam e ~ 3\nparam f[i: 3] ~ erf(i)\n"
        "loss sum(a) + sum(b) + sum(c) + sum(d) + e + sum(f)\n"
    )
    params = gradc.compile_text(text, dtype="float64").params
    np.testing.assert_allclose(params["a"], np.log(1 + np.arange(6)))
    np.testing.assert_array_equal(params["b"], np.eye(2, 3))
    assert abs(params["c"].mean() - 5) < 0.5
    assert 1.5 < params["c"].std() < 2.5
    flat = params["d"].reshape(6, 6)
    np.testing.assert_allclose(flat @ flat.T, np.eye(6), atol=1e-12)
    assert params["e"] == 3
    np.testing.assert_allclose(params["f"], [0.0, 0.8427007929497149, 0.9953222650189527])


def test_a_parameter_that_the_loss_does_not_reach_is_warned_of():
    with pytest.warns(gradc.GradcWarning, match="does not depend on idle"):
        emit(TINY + "param idle[3] ~ zeros\n")


def test_predictions_with_different_inputs_stand_alone_too():
    text = "dim batch\ninput x[batch, 2], z[batch, 3]\nparam w ~ ones\n"
    text += "predict a = w * x\npredict b = z + 1\nloss sum(a) + sum(b)\n"
    model = gradc.compile_text(text, dtype="float64")
    x, z = np.ones((5, 2)), np.ones((5, 3))
    both = model.predict(x, z)
    np.testing.assert_array_equal(model.module.predict_a(model.params, x), both["a"])
    np.testing.assert_array_equal(model.module.predict_b(model.params, z), both["b"])


def test_a_guarded_read_of_conditions_is_one():
    text = "dim n\ninput m[n] : bool, x[n]\nparam w ~ 2\n"
    text += "k[t: n] = m?[t - 1] and not m[t]\nc[t: n] = m?[t + 1] + 2 * m?[t - 1]\n"
    text += "z[t: n] = if m?[t - 1] then w * x[t] else 0\nloss sum(z)\npredict k\npredict c\npredict z\n"
    module = load_plain(emit(text, dtype="float64"))
    found = module.predict(module.init(), np.array([True, False, True, True]), np.arange(4.0))
    np.testing.assert_array_equal(found["k"], [False, True, False, False])
    assert found["k"].dtype == bool
    np.testing.assert_array_equal(found["c"], [0, 3, 1, 2])
    np.testing.assert_array_equal(found["z"], [0, 2, 0, 6])


def test_conditions_follow_from_conditions():
    """What a recurrence holds is known before it is done, also of several tensors, whichever is asked first."""
    for order in ("", "last[b] = if c[b, n - 1] then 1 else 0\n"):
        module = load_plain(emit(
            "dim b, n\ninput m[b, n] : bool, x[b, n]\nparam w ~ ones\n" + order +
            "odd[b, t: n] = if m[b, t] then not odd?[b, t - 1] else odd?[b, t - 1]\n"
            "a[b, t: n] = if m[b, t] then c?[b, t - 1] else a?[b, t - 1]\n"
            "c[b, t: n] = not a[b, t] and x[b, t] > 0\n"
            "y[b, t] = w * ((if odd[b, t] then x[b, t] else 0) + (if a[b, t] then 10 else 0))\n"
            "predict y\nloss sum(y)\n"
        ))  # fmt: skip
        rng = np.random.default_rng(3)
        m, x = rng.random((3, 6)) > 0.5, rng.normal(size=(3, 6)).astype(np.float32)
        odd, a, c = (np.zeros(3, bool) for _ in range(3))
        expected = np.empty((3, 6), np.float32)
        for t in range(6):
            odd, a = odd ^ m[:, t], np.where(m[:, t], c, a)
            c = ~a & (x[:, t] > 0)
            expected[:, t] = np.where(odd, x[:, t], 0) + np.where(a, 10, 0)
        np.testing.assert_array_equal(module.predict(module.init(), m, x), expected)


ALONE = """
dim n, groups, kinds
input g[n] : int(groups), about[groups] : int(kinds), name[kinds], x[n]
param w ~ ones
loss sum(x) * w
"""


@pytest.mark.parametrize(
    ("equation", "arrays"),
    [
        ("c[q: groups] = sum[i](if g[i] == q then 1 else 0)", ["g", "about", "name"]),  # for its size, and for ranges
        ("c = g * 2", ["g", "about", "name"]),
        ("c = about + 1", ["about", "name"]),
        ("c = groups * 2", ["about", "name"]),
        ("c = name * w", ["name"]),
    ],
)
def test_a_prediction_alone_gets_what_tells_its_dims(equation, arrays):
    module = load_plain(emit(f"{ALONE}{equation}\npredict c\npredict d = x * w\n", dtype="float64"))
    given = {"g": np.array([0, 2, 2]), "about": np.array([1, 0, 4]), "name": np.arange(5.0), "x": np.ones(3)}
    params = module.init()
    wanted = module.predict(params, *given.values())["c"]
    np.testing.assert_array_equal(module.predict_c(params, **{name: given[name] for name in arrays}), wanted)


def test_a_parameter_of_training_alone_is_refused():
    with pytest.raises(gradc.GradcError, match="where training is false"):
        emit(TINY.replace("z[b] = dense(x, 1)[b, 0]", "if training:\n    param w ~ ones\nz[b] = dense(x, 1)[b, 0]"))


@pytest.mark.parametrize(("reducer", "expected"), [("min", -2), ("max", 0)])
def test_extrema_of_whole_numbers_start_from_whole_numbers(reducer, expected):
    """Infinity does not fit into the array that they are kept in."""
    text = f"dim b\ninput x[b]\nparam w ~ ones\nh[i: b, j: 3] = {reducer}[l: 3](-1 * l)\nloss sum(h) * w + sum(x)\n"
    module = load_plain(emit(text))
    loss, _ = module.loss_and_gradients(module.init(), np.zeros(2))
    assert loss == expected * 6


def test_arrays_begin_on_lines_of_the_cache():
    """And so do the parameters in them: those of other sizes lie behind those that fill lines."""
    widths = (9, 256, 64, 80)
    layers = "".join(f"h = relu(dense({given}, {width}))\n" for given, width in zip("xhhh", widths, strict=True))
    module = load_plain(emit(f"dim batch\ninput x[batch, 64]\n{layers}loss mean(h^2)\noptimize adam(lr = 1e-3)\n"))
    params = module.init(0)
    state = module.init_state(params)
    assert list(module.PARAMS) == [f"{h}.{part}" for h in ("h", "h_2", "h_3", "h_4") for part in ("weight", "bias")]
    module.train_step(params, state, np.zeros((64, 64), "float32"))
    for array in (params.flat, state.flat, *itertools.chain(*state.work)):
        assert array.ctypes.data % 64 == 0
    for name in params:
        if params[name].size % 16 == 0:
            assert params[name].ctypes.data % 64 == 0
    for name, (offset, shape) in module.PARAMS.items():
        np.testing.assert_array_equal(params[name], params.flat[offset : offset + params[name].size].reshape(shape))
        assert module.MOMENTS[f"{name}.m"] == (offset, shape)


def test_a_long_name_makes_no_long_line():
    source = pipeline.emit("dim n = 2\nparam w[n] ~ ones\nloss sum(w^2)", file=f"{'long_' * 9}name.grad")
    assert max(map(len, source.splitlines())) <= 120


def test_a_function_of_a_number_stays_where_it_is_used():
    assert "bits = loss / np.log(2.0)" in emit(TINY + "metric bits = loss / log(2)\n")


BRANCHES = """
dim batch
input x[batch, 8, 8, 2]
target y[batch] : int(5)
h = conv2d(x, 8, kernel = 3, padding = same)
h = h + relu(batch_norm(conv2d(h, 8, kernel = 3, padding = same)))
logits = dense(flatten(max_pool2d(h, 2)), 5)
loss mean(cross_entropy(logits, y))
"""
GRADIENT = """
import numpy as np
import branches
rng = np.random.default_rng(0)
x, y = rng.random((50, 8, 8, 2), dtype="float32"), rng.integers(0, 5, 50)
loss, gradients = branches.loss_and_gradients(branches.init(1), x, y)
print(loss, gradients.flat.tobytes().hex())
print(sum(branches.gradient_entry.stats.cache_hits.values()))
"""


def test_an_entry_from_the_disk_gives_the_bits_of_one_compiled_here(tmp_path):
    """Its kernels are large enough for LLVM to leave them functions of their own, if it may."""
    (tmp_path / "branches.py").write_text(emit(BRANCHES, dtype="float32"))
    (tmp_path / "gradient.py").write_text(GRADIENT)
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    said = []
    for _ in range(2):
        run = subprocess.run(
            [sys.executable, "gradient.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, run.stderr
        said.append(run.stdout.split("\n"))
    assert [rows[1] for rows in said] == ["0", "1"]
    assert said[0][0] == said[1][0]


def test_conditions_that_a_loop_has_in_all_rounds_stand_around_it():
    """In it, LLVM asks for them in every round, and what packs windows takes three times as long."""
    source = emit("dim n\ninput x[n, 9, 16]\ny = conv1d(x, 16, 3, padding = same)\nloss mean(y^2)\n")
    rows = [row.strip() for row in source.splitlines()]
    at = next(at for at, row in enumerate(rows) if row.startswith("if ") and row.endswith(":") and "p > 0" in row)
    assert rows[at + 1].startswith("for k in range(16)")
    assert rows[at + 3 : at + 5] == ["else:", "for k in range(16):"]
    assert rows[at + 5].endswith("= f4(0.0)")


def test_a_numba_that_is_made_otherwise_compiles_the_same(tmp_path):
    source = emit("dim n\ninput x[n, 40]\npredict p = tanh(dense(x, 30))\nloss mean(p^2)\n", dtype="float64")
    usual, other = (load_compiled(source, tmp_path) for _ in range(2))
    other.INNER = ((type, "what no class has"),)
    x = np.linspace(-1, 1, 200).reshape(5, 40)
    params = usual.init(0)
    one, another = (module.loss_and_gradients(params, x)[1].flat for module in (usual, other))
    np.testing.assert_allclose(one, another, rtol=1e-12)


def test_long_texts_in_calls_are_broken_between_words():
    message = 'raise ValueError(f"back, a name, is [batch, time, tags = 3] with batch = {a.shape[0]}, (time) = {a.shape[1]}; got {list(b.shape)}")'  # noqa: E501
    rows = laid_out(["        " + message])
    assert max(map(len, rows)) <= 120
    assert rows[0].strip() == "raise ValueError("
    assert rows[-1].strip() == ")"
    a, b = np.zeros((2, 5)), np.zeros((3, 4))
    wanted = "back, a name, is [batch, time, tags = 3] with batch = 2, (time) = 5; got [3, 4]"
    with pytest.raises(ValueError, match=re.escape(wanted)):
        exec("\n".join(row[8:] for row in rows), {"a": a, "b": b, "ValueError": ValueError})


def test_sizes_of_two_other_arrays_are_named_in_an_error():
    text = "dim batch, time, tags = 3\ninput score[batch, time, tags], second[batch, time, tags]\n"
    module = load_plain(emit(text + "param w ~ ones\npredict p = score + w * second\nloss w^2\n"))
    wanted = "second is [batch, time, tags = 3] with batch = 2, time = 4; got [2, 5, 3]"
    with pytest.raises(ValueError, match=re.escape(wanted)):
        module.predict(module.init(), np.zeros((2, 4, 3)), np.zeros((2, 5, 3)))


@pytest.mark.parametrize("load", [load_plain, load_compiled])
def test_the_largest_of_a_long_row_is_found_after_it_is_made(load, tmp_path):
    """Over whole registers, with the same values: NaN, rows of -inf, and rows that are read where they are given."""
    text = """
dim batch, n = 40
input x[batch, n], keep[batch, n] : bool
m[b, i] = if keep[b, i] then 2 * x[b, i] else -inf
predict p = softmax(m)
predict q = softmax(x)
predict short[b, i: 8] = softmax[i](x[b, i])
loss sum(p) + sum(q) + sum(short)
"""
    source = emit(text, dtype="float64")
    assert " = largest(" in source
    assert "largest(short" not in source
    module = load(source, *([tmp_path] if load is load_compiled else []))
    rng = np.random.default_rng(0)
    x, keep = rng.normal(size=(4, 40)), rng.integers(0, 2, (4, 40)) > 0
    keep[1] = False
    x[2, 7] = np.nan
    x[3] += 800
    keep[2, 7] = False
    found = module.predict(module.init(0), x, keep)
    masked = np.where(keep, 2 * x, -np.inf)
    masked[1] = 0
    for name, row in (("p", masked), ("q", x), ("short", x[:, :8])):
        wanted = np.exp(row - row.max(1, keepdims=True))
        wanted /= wanted.sum(1, keepdims=True)
        if name == "p":
            wanted[1] = 0  # nothing is kept of that row
        np.testing.assert_allclose(found[name], wanted, rtol=1e-12)


def test_a_law_may_ask_what_it_drew():
    """Signs at random: a condition on a random number."""
    module = load_plain(emit("param q[40] ~ if uniform() > 0.5 then 1 else -1\nloss sum(q^2)\n"))
    assert set(module.init(0)["q"].tolist()) == {-1.0, 1.0}
