"""What emitted modules say of themselves: signs in docstrings, names of kernels, what values are kept for."""

import ast
import re
from pathlib import Path

import pytest

from gradc.emit.prelude import prelude_words
from gradc.pipeline import emit

GENERATED = sorted((Path(__file__).parent.parent / "generated").glob("*.py"))
SAID = re.compile(r"^ *(?:\"\"\")?(\w+)(?:\[.*?\])? (\+?=) (Σ?)", re.M)
"""An equation of a docstring: its target, how it is written, and whether it is a sum."""


def kernels(source: str) -> dict[str, ast.FunctionDef]:
    found = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    return {node.name: node for node in found if [ast.unparse(mark) for mark in node.decorator_list] == ["kernel"]}


def targets_added_to(node: ast.FunctionDef) -> set[str]:
    """The arrays to whose places something is added in place."""
    inside = (each for each in ast.walk(node) if isinstance(each, ast.AugAssign))
    return {ast.unparse(each.target.value) for each in inside if isinstance(each.target, ast.Subscript)}


@pytest.mark.parametrize("path", GENERATED, ids=lambda path: path.stem)
def test_docstrings_say_where_something_is_added(path):
    """`d_weight[x[b, t], u] += d_h[b, t, u]`: words that come up twice add up. A sum says so by its sign."""
    for node in kernels(path.read_text("utf-8")).values():
        doc = ast.get_docstring(node, clean=False) or ""
        added = {name for name, sign, total in SAID.findall(doc) if sign == "+=" or total}
        said = {name for name, *_ in SAID.findall(doc)}
        assert targets_added_to(node) & said <= added, node.name


LSTM = (Path(__file__).parent.parent / "generated" / "digits_lstm.py").read_text("utf-8")


def test_the_way_back_through_an_lstm_is_one_kernel_that_names_each_of_its_parts():
    backward = [name for name in kernels(LSTM) if name.startswith("backward_h")]
    assert backward == ["backward_h", "backward_h_c", "backward_h_bias"]
    for gate in ("input_gate", "forget_gate", "candidate", "output_gate"):
        assert f"d_h_{gate} = " in LSTM
    assert "predict_h" in kernels(LSTM)
    loop = LSTM.partition("# back through t: each round reads what the one after it made\n")[2]
    assert loop.startswith("    for t in range(7, -1, -1):\n")


def test_values_are_kept_for_what_reads_them():
    """In a recurrence, too, whose steps stand in one loop."""
    kept = dict(re.findall(r"^    (\w+) = view\(.*\)  # kept for (.*)$", LSTM, re.M))
    assert kept["h_c"] == "d_h_forget_gate"
    assert kept["h_tanh"] == "d_h_output_gate and d_h_c"
    assert kept["h_candidate"] == "d_h_input_gate and d_h_z"


def test_places_stand_one_below_the_other():
    """Also that of an equation alone in its docstring, and longer than a row."""
    own = [
        node
        for name, node in kernels(LSTM).items()
        if name not in ("first_outside", *prelude_words(("team",), "float32"))
    ]
    for node in own:
        rows = ast.get_source_segment(LSTM, node).partition('"""')[2].partition('"""')[0].splitlines()
        ends = {len(row) + 7 * (at == 0) for at, row in enumerate(rows) if row.endswith(tuple("0123456789"))}
        assert ends == {108}, node.name


def test_cases_in_a_long_body_are_named_before_it():
    """What is not under a condition itself: else it would be computed where it may not be."""
    text = """
dim batch, time
input x[batch, time, 3]
param w_of_the_past[3] ~ ones
param w_of_the_present[3] ~ ones
seen[b, t, j] = w_of_the_present[j] * tanh(x[b, t, j]) * x[b, t, j]
hidden[b, t, j] = seen[b, t, j] + w_of_the_past[j] * hidden?[b, t - 1, j] * x[b, t, j] * w_of_the_present[j]
later[b, t, j]  = seen[b, t, j] + w_of_the_past[j] * later?[b, t + 1, j] * x[b, t, j] * w_of_the_present[j]
loss mean(hidden) + mean(later)
"""
    source = emit(text)
    assert "hidden_before = hidden[b, t - 1, j] if t > 0 else f4(0.0)" in source
    assert "later_after = later[b, t + 1, j] if t + 1 < time else f4(0.0)" in source
    assert "def backward_later_through_t(" in source


def test_the_number_of_parameters_stays_on_its_line():
    text = "dim n\ninput x[n]\n" + "".join(f"param weight_{k}[{10 + k}, 100] ~ ones\n" for k in range(6))
    source = emit(text + "loss " + " + ".join(f"sum(weight_{k})" for k in range(6)) + " + mean(x)\n")
    assert re.search(r"\(7 500 float(32|64) numbers", source)
