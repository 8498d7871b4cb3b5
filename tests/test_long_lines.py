"""Emitted lines stay within their width, however many arrays, dims, parameters and outputs a model has, and are set as
ruff's formatter sets them."""

import re
import subprocess
import sys
from pathlib import Path
from unicodedata import east_asian_width

import numpy as np
import pytest
from support.emitted import load_plain

from gradc.emit.breaking import laid_out
from gradc.emit.lines import broken
from gradc.pipeline import emit

ROOT = Path(__file__).parent.parent
WIDTH = 120
LONG = "a_rather_long_name_"
LAX = "C90,PLR0911,PLR0912,PLR0913,PLR0915,PLR0917,PLR2004"
"""What emitted code is let off, by pyproject.toml; here it lies in another folder."""


def many_arrays(count: int, p: str = "") -> str:
    """So many free dims, inputs of ranks 0 to 3 and all kinds, whole targets, parameters, predictions and metrics."""
    dims = [f"{p}n{k}" for k in range(count)]
    rows = [f"dim {', '.join(dims)}", f"dim {p}size = 7, {p}vocab = 13", f"state {p}running[{p}size] ~ zeros"]
    for k, n in enumerate(dims):
        axes = [n, dims[(k + 1) % count], f"{dims[(k + 1) % count]} + {n} + 1"][: k % 4]
        kind = ["", f" : int({p}vocab)", " : bool"][k // 4 % 3]
        rows += [
            f"input {p}x{k}[{', '.join(axes)}]{kind}",
            f"input {p}z{k}[{n}] : int({p}vocab)",
            f"target {p}y{k}[{n}, {p}size] : int({p}vocab)",
            f"param {p}w{k}[{p}size, {k % 5 + 1}] ~ normal() * 0.1",
        ]
    for k in range(count):
        shown = f"sum({p}w{k})" if k // 4 % 3 == 2 else f"mean({p}x{k}) * sum({p}w{k})"
        rows += [
            f"{p}s{k} = {shown}",
            f"{p}e{k}[i, j] = tanh({p}w{k}[j, 0] * {p}z{k}[i] + {p}y{k}[i, j])",
            f"predict {p}p{k} = {p}s{k} * 2",
            f"metric {p}m{k} = {p}s{k} + 1",
        ]
    rows.append(f"update {p}running[i] = 0.9*{p}running[i] + 0.1*{p}w0[i, 0]")
    rows.append("loss " + " + ".join(f"{p}s{k}^2 + mean({p}e{k})" for k in range(count)))
    return "\n".join([*rows, "optimize adam(lr = 0.01), clip_norm = 1.0", ""])


def in_shards(count: int, p: str = "") -> str:
    """So many nets in one, large enough to be cut into shards, with sums that rows wait for, and recurrences."""
    rows = [
        f"dim {p}batch, " + ", ".join(f"{p}t{k}" for k in range(count)),
        f"dim {p}width = 300, {p}classes = 10",
    ]
    terms = []
    for k in range(count):
        rows += [
            f"input {p}x{k}[{p}batch, {p}width], {p}c{k}[{p}batch] : int({p}classes), {p}b{k}[{p}batch] : bool",
            f"input {p}q{k}[{p}batch, {p}t{k}, 8]",
            f"target {p}y{k}[{p}batch] : int({p}classes)",
            f"{p}h{k} = relu(dense({p}x{k}, 200))",
            f"{p}l{k} = {'batch_norm' if k == 0 else ''}(dense({p}h{k}, {p}classes))",
            f"{p}e{k}[b] = (if {p}b{k}[b] then 1 else 0.5) * {p}l{k}[b, {p}c{k}[b]]",
            f"{p}r{k} = lstm({p}q{k}, 16)",
            f"predict {p}p{k} = softmax({p}l{k})",
            f"predict {p}r{k}",
            f"metric {p}a{k} = mean(argmax({p}l{k}) == {p}y{k})",
        ]
        terms.append(f"mean(cross_entropy({p}l{k}, {p}y{k})) + mean({p}e{k}) + mean({p}r{k}^2)")
    return "\n".join([*rows, "loss " + " + ".join(terms), ""])


SIGNS = "\n".join([
    "# " + "\\" * 300,
    "# " + "\t" * 100 + "漢字" * 80,
    "# " + '"' * 130 + "'" * 130,
    "dim n",
    "input x[n]",
    f"param {'w' * 30} ~ ones",
    f"μ[i] = {' + '.join(['x[i] * ' + 'w' * 30] * 40)}",
    f"loss mean(μ) # {'漢字' * 80}",
    "",
])  # fmt: skip
MODELS = {
    "thirty": many_arrays(30),
    "thirty, long": many_arrays(30, LONG),
    "a few": many_arrays(5),
    "ten, long": many_arrays(10, LONG),
    "shards": in_shards(8),
    "shards, long": in_shards(4, LONG),
    "signs": SIGNS,
}


@pytest.mark.parametrize("text", MODELS.values(), ids=MODELS)
def test_no_line_is_too_long_and_all_are_as_ruff_sets_them(text, tmp_path):
    file = f"{'a_long_file_name_' * 5}.grad"
    source = emit(text, file=file, dtype="float32")
    width = {row: sum(1 + (east_asian_width(letter) in "WF") for letter in row) for row in source.splitlines()}
    assert not [row for row, columns in width.items() if columns > WIDTH]
    path = tmp_path / "emitted.py"
    path.write_text(source)
    settings = ["--config", str(ROOT / "pyproject.toml"), str(path)]
    for command in (["check", "--ignore", LAX], ["format", "--check"]):
        run = subprocess.run(
            [sys.executable, "-m", "ruff", *command, *settings], capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, run.stdout + run.stderr


def test_a_module_of_many_arrays_runs_and_names_the_one_that_is_wrong():
    module = load_plain(emit(many_arrays(12, LONG)))
    arrays = []
    sizes = {name: 3 for _, axes in module.INPUTS.values() for name in axes if str(name).isidentifier()}
    for kind, axes in (*module.INPUTS.values(), *module.TARGETS.values()):
        shape = [axis if isinstance(axis, int) else eval(axis, dict(sizes)) for axis in axes]
        arrays.append(np.ones(shape, {"real": float, "whole": int, "bool": bool}[kind]))
    params = module.init(0)
    state = module.init_state(params)
    losses = [module.train_step(params, state, *arrays) for _ in range(8)]
    assert losses[-1] < losses[0]
    assert len(module.predict(params, *arrays[: len(module.INPUTS)])) == 12
    wrong = (*module.INPUTS, *module.TARGETS).index(f"{LONG}y9")
    arrays[wrong][1, 2] = 13
    with pytest.raises(ValueError, match=rf"{LONG}y9 holds whole numbers from 0, below 13; {LONG}y9\[1, 2\] is 13"):
        module.train_step(params, state, *arrays)


ROWS = [
    ("return " + ", ".join(["name"] * 30), ["return (", *["    name,"] * 30, ")"]),
    ("return {" + ", ".join(['"key": name'] * 20) + "}", ["return {", *['    "key": name,'] * 20, "}"]),
    (", ".join(["name"] * 30) + " = call(1)", ["(", *["    name,"] * 30, ") = call(1)"]),
    (
        "raise E(told((" + ", ".join(["name"] * 30) + ")[bad], place))",
        [
            "raise E(",
            "    told(",
            "        (",
            *["            name,"] * 30,
            "        )[bad],",
            "        place,",
            "    ),",
            ")",
        ],
    ),
    (
        "if " + " or ".join(["some_name < 1"] * 10) + ":",
        ["if (", "    some_name < 1", *["    or some_name < 1"] * 9, "):"],
    ),
    (
        "made = np.empty(" + " + ".join(["7 * some_name"] * 10) + ", f4)",
        ["made = np.empty(", "    7 * some_name", *["    + 7 * some_name"] * 8, "    + 7 * some_name,", "    f4,", ")"],
    ),
    (
        "for i in range(max(" + ", ".join(["some_name - 1"] * 6) + "), some_name + 1):",
        ["for i in range(", f"    max({', '.join(['some_name - 1'] * 6)}), some_name + 1", "):"],
    ),
    (
        f"x[{', '.join(['some_name'] * 12)}] += call(1, 2)",
        ["x[", *["    some_name,"] * 12, "] += call(1, 2)"],
    ),
    ('"""' + "word " * 30 + 'end."""', ['"""' + ("word " * 23).strip(), "word " * 7 + 'end."""']),
    (
        f"x = {'some_name * ' * 9}a  # {'a word ' * 4}".rstrip(),
        [f"# {'a word ' * 4}".rstrip(), f"x = {'some_name * ' * 9}a"],
    ),
]


@pytest.mark.parametrize(("row", "rows"), ROWS, ids=[row[:20] for row, _ in ROWS])
def test_a_long_row_is_broken_in_its_brackets(row, rows):
    assert len(row) > WIDTH
    assert laid_out([row]) == rows


STEPS = """
dim batch, n, m
input x[batch, n, 2], y[batch, m, 2]
param w[2, 2] ~ normal()
u[b, i, k] = sum[j](x[b, i, j] * w[j, k])
c[b, i, q] = sum[k]((u[b, i, k] - y[b, q, k])^2)
d[b: batch, 0, 0] = 0
d[b: batch, (i: n) + 1, 0] = 100
d[b: batch, 0, (q: m) + 1] = 100
d[b, i + 1, q + 1] = c[b, i, q] - logsumexp[k: 3](
    -(if k == 0 then d[b, i, q] else if k == 1 then d[b, i, q + 1] else d[b, i + 1, q]) / 0.7
)
loss mean[b](d[b, n + 0, m + 0])
"""


@pytest.mark.parametrize("letters", [10, 20, 30])
def test_long_names_leave_values_as_they_are(letters: int) -> None:
    names = {name: name * letters for name in "nmxywubijkcqd"}
    text = re.sub(r"[^\W\d]\w*", lambda match: names.get(match[0], match[0]), STEPS)
    results = []
    for model in (STEPS, text):
        source = emit(model)
        assert max(map(len, source.splitlines())) <= WIDTH
        module = load_plain(source)
        params = module.init(0)
        arrays = [np.random.default_rng(k).normal(size=(2, 3 + k, 2)).astype(np.float32) for k in (0, 1)]
        loss, gradients = module.loss_and_gradients(params, *arrays)
        results.append([loss, *np.ravel(gradients[next(iter(params))])])
    np.testing.assert_array_equal(*results)


def test_a_call_is_broken_between_its_arguments() -> None:
    """A comma holds less than any operator."""
    least = "-(a_rather_long_name if another_one == 0 else a_third_of_them) * some_scale_of_it"
    rows = broken("", f"largest = max(a_rather_long_name_of_a_maximum, {least})", WIDTH - 4)
    assert rows == ["largest = max(", "    a_rather_long_name_of_a_maximum,", f"    {least},", ")"]


def test_rows_of_docstrings_and_short_rows_stay():
    rows = ['"""A formula:', "", "h[i] = f(" + ", ".join(["x[i]"] * 40) + ")", '"""', "x = 1"]
    assert laid_out(rows) == rows
