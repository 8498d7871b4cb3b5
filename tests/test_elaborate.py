"""What the elaborator makes of a model: names, extents, preconditions, outputs, the order of parameters, training."""

import re
import time
from pathlib import Path

import pytest

from gradc.errors import GradcError
from gradc.graph.ranges import Ranges, never_negative
from gradc.language import core
from gradc.language.elaborate import elaborate, elaborate_text
from gradc.language.load import load
from gradc.language.tensors import parts

HEADER = """dim batch, time
dim n = 6, m = 4
input x[batch, n], s[batch, time], r[n]
input ids[batch] : int(m)
"""

DIGITS = Path(__file__).parents[1] / "examples" / "digits.grad"


def model(lines: str, training: bool = True, folder: Path | None = None) -> core.Model:
    loss = "" if re.search(r"^loss ", lines, re.MULTILINE) else "\nloss 0 * 1\n"
    return elaborate_text(HEADER + lines + loss, file="m.grad", training=training, folder=folder)


def parameters(lines: str) -> list[str]:
    return [leaf.name for leaf in model(lines).leaves if leaf.role is core.Role.PARAM]


def shape(lines: str, name: str = "o") -> str:
    (tensor,) = [tensor for tensor in model(lines).tensors if tensor.name == name]
    return ", ".join(str(axis.extent) for axis in tensor.axes)


# ---------------------------------------------------------------- names of parameters

NAMES = {
    "one call": ("h = relu(dense(x, 3))", "h.weight h.bias"),
    "no bias": ("h = dense(x, 3, bias = false)", "h.weight"),
    "two calls": (
        "h = dense(dense(x, 3), 2)",
        "h.dense_1.weight h.dense_1.bias h.dense_2.weight h.dense_2.bias",
    ),
    "two calls side by side": (
        "h = dense(x, 2) + tanh(dense(x, 2))",
        "h.dense_1.weight h.dense_1.bias h.dense_2.weight h.dense_2.bias",
    ),
    "calls of two definitions": (
        "h = dense(embedding(ids, m, 3), 2)",
        "h.embedding.weight h.dense.weight h.dense.bias",
    ),
    "by pipes": (
        "h = x |> dense(3) |> relu |> dense(2)",
        "h.dense_1.weight h.dense_1.bias h.dense_2.weight h.dense_2.bias",
    ),
    "a name again": (
        "h = dense(x, 3)\nh = dense(h, 3)\nh = dense(h, 3)",
        "h.weight h.bias h_2.weight h_2.bias h_3.weight h_3.bias",
    ),
    "an input's name again": ("x = dense(x, 3)", "x_2.weight x_2.bias"),
    "a name that is taken": ("h = x\nh_2 = x\nh = dense(x, 2)", "h_3.weight h_3.bias"),
    "a loop": ("repeat 2: h = dense(x, 3)", "h.weight h.bias h_2.weight h_2.bias"),
    "a call in a return": (
        "def block(a):\n    h = relu(dense(a, 3))\n    return dense(h, 2)\ny = block(x)",
        "y.h.weight y.h.bias y.dense.weight y.dense.bias",
    ),
    "two calls in a return": (
        "def block(a) = dense(a, 2) + dense(a, 2)\ny = block(x)",
        "y.dense_1.weight y.dense_1.bias y.dense_2.weight y.dense_2.bias",
    ),
    "two calls of a definition that calls": (
        "def block(a):\n    h = dense(a, 6)\n    return h\ny = block(block(x))",
        "y.block_1.h.weight y.block_1.h.bias y.block_2.h.weight y.block_2.h.bias",
    ),
    "in the outputs": (
        "predict p = dense(x, 2)\nloss mean(dense(x, 1))\nmetric a = mean(dense(x, 1))",
        "p.weight p.bias loss.weight loss.bias a.weight a.bias",
    ),
    "a prediction without a name": ("predict dense(x, 2)", "prediction.weight prediction.bias"),
    "in an index equation": ("o[i] = dense(x, 2)[i, 0]", "o.weight o.bias"),
    "over an index": (
        "def scaled(a[..., i]):\n    param gain[i] ~ ones\n    return[..., i] = a[..., i] * gain[i]\n"
        "o[i, j] = scaled[j](x[i, j])",
        "o.gain",
    ),
    "declared ones": ("param w[n] ~ zeros\nh = dense(x, 2)\nparam u[m] ~ zeros", "w h.weight h.bias u"),
    "an equation below comes later": (
        "a[i] = b[i] + dense(x, 1)[i, 0]\nb[i] = dense(x, 1)[i, 0]",
        "a.weight a.bias b.weight b.bias",
    ),
    "definitions handed on": (
        "def twice(f, a) = f(f(a))\ndef layer(a) = dense(a, 6)\ny = twice(layer, x)",
        "y.layer_1.dense.weight y.layer_1.dense.bias y.layer_2.dense.weight y.layer_2.dense.bias",
    ),
    "several results": (
        "def pair(a):\n    u = dense(a, 2)\n    v = dense(a, 2)\n    return u, v\np, q = pair(x)",
        "p.u.weight p.u.bias p.v.weight p.v.bias",
    ),
    "in a definition with an argument of the name": (
        "def block(x):\n    x = dense(x, 3)\n    return x\ny = block(x)",
        "y.x.weight y.x.bias",
    ),
}


@pytest.mark.parametrize("name", list(NAMES))
def test_parameters_are_named_after_their_equations(name: str) -> None:
    lines, names = NAMES[name]
    assert parameters(lines) == names.split()


def test_parameters_are_read_by_their_full_names() -> None:
    found = model("h = dense(x, 3)\ny = dense(dense(h, 3), 3)\nloss sum(h.weight^2) + sum(y.dense_2.bias)")
    (equation,) = [e for e in found.equations if e.target == "loss"]
    reads = {node.tensor for node in parts(equation.value) if isinstance(node, core.Read)}
    assert reads == {"h.weight", "y.dense_2.bias"}


def test_a_definition_reads_its_own_parameters_by_their_names_there() -> None:
    lines = "def f(a):\n    h = dense(a, 3)\n    return h * sum(h.weight)\ny = f(x)\nz = f(x)"
    reads = [node.tensor for e in model(lines).equations for node in parts(e.value) if isinstance(node, core.Read)]
    assert reads.count("y.h.weight") == 2
    assert reads.count("z.h.weight") == 2


def test_parameters_are_the_same_in_training_and_in_predict() -> None:
    lines = "h = dense(x, 3)\no = if training then h else 2 * h"
    names = [[leaf.name for leaf in model(lines, training=mode).leaves] for mode in (True, False)]
    assert names[0] == names[1]


# ---------------------------------------------------------------- names of tensors

TENSORS = {
    "an equation that is a call": ("o = dense(x, 3)", "o"),
    "a call inside": ("o = relu(dense(x, 3))", "o.dense o"),
    "a returned name": ("def f(a):\n    h = tanh(a)\n    return h\no = f(x)", "o"),
    "a returned name and another": ("def f(a):\n    u = tanh(a)\n    h = u * u\n    return h\no = f(x)", "o.u o"),
    "two returned names": ("def f(a):\n    u = tanh(a)\n    h = u * u\n    return u, h\no, k = f(x)", "o k"),
    "an argument that is an expression": ("o = softmax(x + 1)", "o.softmax.x o.total o.base o"),
    "an argument of an argument": (
        "o = 2 * softmax(softmax(x) + 1)",
        "o.softmax_1.total o.softmax_1.base o.softmax_1 o.softmax_2.x o.softmax_2.total o.softmax_2.base o.softmax_2 o",
    ),
    "a subscript": ("o[i] = r[min(ids[i] + 1, 3)]", "o.min o"),
    "a name again": ("h = tanh(x)\nh = tanh(h)", "h h_2"),
    "an alias": ("h = tanh(x)\no = h", "h"),
    "nothing but an input": ("o = x\npredict o", "o"),
}


@pytest.mark.parametrize("name", list(TENSORS))
def test_tensors_are_named_after_their_equations(name: str) -> None:
    lines, names = TENSORS[name]
    assert [t.name for t in model(lines).tensors if t.name != "loss"] == names.split()


def test_an_index_has_the_name_it_is_written_with() -> None:
    found = model("o[i, k: 2] = sum[j](x[i, j] * r[j]) + max[j](x[i, j]) + k")
    (equation,) = [e for e in found.equations if e.target == "o"]
    assert [i.name for i in equation.indices] == ["i", "k"]
    reduced = [node for node in parts(equation.value) if isinstance(node, core.Reduce)]
    assert [[i.name for i in node.indices] for node in reduced] == [["j"], ["j"]]


def test_an_equation_keeps_its_line() -> None:
    found = model("o = x *   2    # twice\nu[i] = r[\n    i\n] + 1\n")
    by_name = {equation.target: equation for equation in found.equations}
    assert by_name["o"].text == "o = x *   2"
    assert (by_name["o"].span.line, by_name["o"].span.column) == (5, 1)
    assert by_name["u"].text == "u[i] = r[ i ] + 1"


def test_an_equation_of_the_library_stands_at_the_users_call() -> None:
    found = model("o = relu(dense(x, 3))")
    by_name = {equation.target: equation for equation in found.equations}
    assert (by_name["o.dense"].span.file, by_name["o.dense"].span.line) == ("m.grad", 5)
    assert by_name["o.dense"].text.startswith("return[..., o] = sum[i]")


# ---------------------------------------------------------------- extents

EXTENTS = {
    "a bare place": ("o[i] = r[i]", "6"),
    "a stated extent": ("o[i: 3] = r[i]", "3"),
    "as far as reads stay inside": ("o[i] = r[2*i + 1]", "3"),
    "the smaller of two reaches": ("o[i] = r[2*i] * r[i + 1]", "3"),
    "with another index": ("o[i] = max[u: 3](r[i + u])", "4"),
    "backwards": ("o[i] = r[5 - i]", "6"),
    "in a quotient": ("o[i] = r[i // 2]", "12"),
    "of a free dim": ("o[b, i] = s[b, 2*i + 1]", "batch, time // 2"),
    "a free dim, twice": ("o[b, i] = s[b, i // 2]", "batch, 2*time"),
    "a guarded read": ("o[i] = r?[i]", "6"),
    "a guarded read beside another": ("o[i] = r?[i + 1] + s[0, i]", "time"),
    "the range of a gather": ("o[k] = sum[e](if ids[e] == k then 1 else 0)", "4"),
    "a slice of places": ("o[i, 3] = r[i]", "6, 4"),
    "an affine place": ("o[2*i + 1] = r[i]", "12"),
    "numbers of a list": ("a, b = 2 * [1, 3]\no[i * b + (k: b), a * j] = r[i] * s[0, k] * r[j]", "36, 11"),
    "a number below": ("k = 3\no[i * k] = r[i]", "16"),
    "an index of one place beside another": ("o[(i: 4) * 1 + (j: 1)] = r[i + j]", "4"),
    "the larger of two sizes": ("dim k = max(n, m), l = min(n, m)\no[i: k, j: l] = r[i]", "6, 4"),
    "the largest of several": ("o[0] = 1\no[i + 2] = r[i]", "8"),
    "a larger free dim": ("o[time + 1] = 1\no[i] = s[0, i]", "time + 2"),
    "a gather in arithmetic": ("o[i: batch] = r[ids[i] + 2]", "batch"),
    "an index that a gather moves": ("o[b, i] = r[ids[b] + i]", "batch, 3"),
}


@pytest.mark.parametrize("name", list(EXTENTS))
def test_an_index_runs_over_what_is_told(name: str) -> None:
    lines, wanted = EXTENTS[name]
    assert shape(lines) == wanted


def test_dims_that_are_indices_have_their_own_extent() -> None:
    assert shape("o[batch, n] = x[batch, n] * n") == "batch, 6"


def test_dots_keep_the_names_of_their_axes() -> None:
    (tensor,) = [tensor for tensor in model("o[..., j: 2] = x[..., j]").tensors if tensor.name == "o"]
    assert [axis.name for axis in tensor.axes] == ["batch", "j"]


LISTS = {
    "a list with a number": ("a, b = 2 * [1, 3]", "2 6"),
    "a list with a list": ("a, b = [1, 3] * [5, 7] + 1", "6 22"),
    "a list of a header": ("def f(k): return k * [1, 1]\na, b = f(3)", "3 3"),
    "an item": ("l = [4, 5, 6]\na = l[1]\nb = l[3 - 1]", "5 6"),
    "a named list": ("l = [4, 5]\na, b = l", "4 5"),
}


@pytest.mark.parametrize("name", list(LISTS))
def test_lists_go_item_by_item(name: str) -> None:
    lines, wanted = LISTS[name]
    assert shape(f"{lines}\no[i: a, j: b] = 1") == wanted.replace(" ", ", ")


DEFAULTS = {
    "a number at every place": ("def f(x[b, i], mask[i] = 2): return x[b, i] * mask[i] + x[b, 0]", "2"),
    "a size of the header": ("def f(x[b, i], k = 2 * i): return k * x", "12"),
    "true": ("def f(x[b, i], on[b] = true): return[b, i] = if on[b] then x[b, i] * 2 else 0", "2"),
    "no axes": ("def f(x[b, i], k[] = 3): return x * k", "3"),
    "dots": ("def f(x[..., i], k[...] = 5):\n    return[..., i] = x[..., i] * k[...]", "5"),
    "what another default says": ("def f(x[b, i], k = i, l = k + 1): return x * l", "7"),
}


@pytest.mark.parametrize("name", list(DEFAULTS))
def test_arguments_have_defaults(name: str) -> None:
    lines, factor = DEFAULTS[name]
    lines = lines.replace(": return x[b, i] * mask[i] + x[b, 0]", ":\n    return[b, i] = x[b, i] * mask[i]")
    lines = lines.replace("): return", "):\n    return")
    found = model(f"{lines}\no = f(x)")
    numbers = [str(p.value) for e in found.equations if e.target == "o" for p in parts(e.value)
               if isinstance(p, core.Number)]  # fmt: skip
    assert factor in numbers
    assert shape(f"{lines}\no = f(x)") == "batch, 6"


# ---------------------------------------------------------------- ranges and preconditions

BOUNDS = {
    "argmax": ("o = argmax(x)", "0 .. 5"),
    "a sum of gathers": ("o[i] = ids[i] + 2 * ids[i]", "0 .. 9"),
    "a difference": ("o[i] = 2 - ids[i]", "-1 .. 2"),
    "a quotient and a rest": ("o[i] = ids[i] // 2 + ids[i] % 3", "0 .. 3"),
    "max and min": ("o[i] = max(min(ids[i] - 2, 0), -1)", "-1 .. 0"),
    "a branch": ("o[i] = if ids[i] > 1 then 7 else ids[i]", "0 .. 7"),
    "a sum": ("o = sum(ids)", "0 .. 3*batch"),
    "a count": ("o = sum(x > 0)", "0 .. 6*batch"),
    "a clip": ("o = clip(floor(x), -1, 5)", "-1 .. 5"),
    "an index": ("o[i: n] = 2 * i + 1", "1 .. 11"),
    "a place nobody writes": ("o[2*i] = 3 + r0[i]\nr0[i] = ids[0] + 0 * floor(r[i])", "None"),
    "several equations": ("o[0] = 5\no[1] = 7", "0 .. 7"),
    "floor": ("o = floor(x)", "None"),
    "a power": ("o = ids^2", "real"),
    "a quotient": ("o = ids / 2", "real"),
    "a mean": ("o = mean(ids)", "real"),
}


@pytest.mark.parametrize("name", list(BOUNDS))
def test_whole_numbers_carry_their_range(name: str) -> None:
    lines, wanted = BOUNDS[name]
    (tensor,) = [tensor for tensor in model(lines).tensors if tensor.name == "o"]
    found = "None" if tensor.bounds is None else f"{tensor.bounds.low} .. {tensor.bounds.high}"
    assert ("real" if tensor.kind is core.Kind.REAL else found) == wanted


def test_what_a_small_dim_would_break_is_a_precondition() -> None:
    found = model("o[b] = s[b, time - 2]\nu[b, i] = s[b, i + 1]\nk[b] = s[b, time - 1]")
    assert [str(p.value) for p in found.preconditions] == ["time - 2"]
    assert "s[b, time - 2] reads outside of s" in found.preconditions[0].message
    assert found.preconditions[0].span.line == 5


def test_every_read_is_inside_for_all_sizes_that_meet_the_preconditions() -> None:
    found = model("o[b, i] = s[b, 3*i + 2] * s[b, time - 1 - i]")
    for equation in found.equations:
        ranges = Ranges({i.name: (i.low, i.high) for i in equation.indices})
        for node in parts(equation.value):
            if isinstance(node, core.Read):
                assert all(ranges.nonnegative(at) for at in node.subscripts)
    assert all(not never_negative(p.value) for p in found.preconditions)


# ---------------------------------------------------------------- outputs, dims, leaves


def test_outputs_have_the_names_written() -> None:
    found = model("h = tanh(x)\nh = h * 2\npredict h\npredict x + 1\nloss mean(h)\nmetric h2 = loss + 1")
    assert [(o.name, o.tensor) for o in found.predictions] == [("h", "h_2"), ("prediction", "prediction")]
    assert found.loss is not None
    assert (found.loss.name, found.loss.tensor) == ("loss", "loss")
    assert [o.name for o in found.metrics] == ["h2"]


def test_an_output_may_be_written_with_indices() -> None:
    found = model("predict p[i] = x[i, 0]")
    assert [(o.name, o.tensor) for o in found.predictions] == [("p", "p")]


def test_the_legend_of_a_model() -> None:
    found = model('dim half = n // 2\nfit epochs = 3, validation = 0.2\ndata "a/b.npz"')
    assert found.name == "m"
    assert found.dims == ("batch", "time")
    assert found.sizes == (("n", 6), ("m", 4), ("half", 3))
    assert found.fit == (("epochs", 3), ("validation", 0.2))
    assert found.data == "a/b.npz"


def test_leaves_have_their_kinds_and_ranges() -> None:
    found = model("input flag[batch] : bool, k[batch] : int\ntarget y[batch] : int(n)")
    kinds = {leaf.name: (leaf.role.value, leaf.kind.value, leaf.bounds) for leaf in found.leaves}
    assert kinds["flag"] == ("input", "bool", None)
    assert kinds["k"] == ("input", "whole", None)
    assert kinds["y"][:2] == ("target", "whole")
    assert str(kinds["y"][2].high) == "5"


def test_names_may_be_words_of_python() -> None:
    found = model("class = x\nlambda = class * 2\nprint = dense(lambda, 2)\npredict None = print")
    assert [leaf.name for leaf in found.leaves][-2:] == ["print.weight", "print.bias"]
    assert found.predictions[0].name == "None"


def test_a_word_of_a_header_is_itself_beside_a_dim_or_function_of_its_name() -> None:
    """`batch` is a dim of the file, `relu` a definition of the library: compared with words, both are words."""
    lines = """def layer(x[b, i], norm = batch | none, act = relu | tanh):
    if norm == batch: x = batch_norm(x)
    if relu != act: return tanh(x)
    else: return relu(x)
h = layer(x)
o = layer(h, norm = none, act = tanh)
"""
    assert parameters(lines) == ["h.x.gain", "h.x.offset"]
    assert shape(lines) == "batch, 6"


# ---------------------------------------------------------------- training


def test_a_model_without_an_optimizer_has_adam() -> None:
    (update,) = model("param w[n] ~ zeros\nloss sum(w)").training.updates
    assert (update.rule, update.parameters, update.text) == ("adam", ("w",), "optimize adam(lr = 1e-3)")
    assert [moment.name for moment in update.moments] == ["m", "v"]
    assert [name for name, _ in update.results] == ["p", "m", "v"]


def test_groups_of_parameters() -> None:
    lines = (
        "h = dense(x, 3)\nhead = dense(h, 2)\nparam w[n] ~ zeros frozen\nloss mean(head)\n"
        "optimize head.* with sgd(lr = 0.1)\noptimize adam\nfreeze h.b*"
    )
    found = model(lines)
    assert [(u.rule, u.parameters) for u in found.training.updates] == [
        ("sgd", ("head.weight", "head.bias")),
        ("adam", ("h.weight",)),
    ]
    assert [leaf.name for leaf in found.leaves if leaf.frozen] == ["h.bias", "w"]


def test_another_rate() -> None:
    lines = HEADER + "param w[n] ~ zeros\nloss sum(w)\noptimize sgd({})\n"
    for written in ("", "0.1", "lr = 0.1", "momentum = 0", "0.1, 0"):
        found = elaborate(load(lines.format(written)), training=True, lr=0.25)
        (update,) = found.training.updates
        numbers = [str(n.value) for e in update.equations for n in parts(e.value) if isinstance(n, core.Number)]
        assert numbers == ["1/4"]


def test_state_of_a_rule() -> None:
    lines = (
        "optimizer odd(lr = 1):\n    state v ~ constant(2)\n    state k[] ~ ones\n"
        "    k = k + 1\n    p = p - lr * g / k\n"
        "param w[n] ~ zeros\nloss sum(w)\noptimize odd"
    )
    (update,) = model(lines).training.updates
    assert [(moment.name, moment.scalar) for moment in update.moments] == [("v", False), ("k", True)]
    assert dict(update.results)["v"] == "v"


# ---------------------------------------------------------------- files


def test_definitions_of_another_file(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "blocks.grad").write_text(
        'use "inner.grad"\ndim width = 3\ndef block(a) = inner(dense(a, width))\n', encoding="utf-8"
    )
    (tmp_path / "parts" / "inner.grad").write_text("def inner(a) = 2 * tanh(a)\n", encoding="utf-8")
    text = 'use "parts/blocks.grad"\ndim n = 4\ninput x[n, n]\ny = block(x)\nloss mean(y)\n'
    sources = load(text, folder=tmp_path)
    found = elaborate(sources, training=True)
    assert [leaf.name for leaf in found.leaves] == ["x", "y.dense.weight", "y.dense.bias"]
    assert [str(path.relative_to(tmp_path)) for path in sources.paths] == ["parts/blocks.grad", "parts/inner.grad"]


def test_a_used_files_own_uses_stay_its_own(tmp_path: Path) -> None:
    (tmp_path / "a.grad").write_text('use "b.grad"\ndef f(a) = g(a)\n', encoding="utf-8")
    (tmp_path / "b.grad").write_text("def g(a) = 2 * a\n", encoding="utf-8")
    with pytest.raises(GradcError, match="unknown function g"):
        model('use "a.grad"\no = f(x) + g(x)', folder=tmp_path)


def test_a_definition_of_the_file_goes_before_the_librarys() -> None:
    (equation,) = [e for e in model("def relu(a) = 2 * a\no = relu(x)").equations if e.target == "o"]
    assert isinstance(equation.value, core.Apply)
    assert equation.value.function == "mul"


# ---------------------------------------------------------------- time


def test_the_digits_model_takes_less_than_a_tenth_of_a_second() -> None:
    sources = load(DIGITS.read_text(encoding="utf-8"), file="digits.grad", folder=DIGITS.parent)
    best = float("inf")
    for _ in range(5):
        start = time.process_time()
        elaborate(sources, training=True)
        elaborate(sources, training=False)
        best = min(best, time.process_time() - start)
    assert best < 0.1
