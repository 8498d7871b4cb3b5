"""Every stage of a model as text, whole and cut down to what makes one gradient."""

import ast
import re
from dataclasses import replace

import pytest

from gradc import inspection
from gradc.errors import GradcError, InternalError
from gradc.inspection import STAGES, inspect
from gradc.pipeline import emit, graphs
from gradc.slices import ancestors, graph_slice, makers, target_of, way

NETWORK = """\
model net
dim batch
dim n = 6, classes = 5
input  x[batch, n]
target y[batch] : int(classes)
h      = relu(dense(x, 8))
logits = dense(h, classes)
predict p = softmax(logits)
loss    mean(cross_entropy(logits, y))
metric  accuracy = mean(argmax(logits) == y)
optimize adamw(lr = 1e-3), clip_norm = 1.0
optimize h.* with sgd(lr = 0.1)
"""


def stage(name: str, of: str | None = None, text: str = NETWORK) -> str:
    return inspect(text, file="net.grad", stage=name, of=of)


# ---------------------------------------------------------------- whole


def test_the_syntax():
    assert "   6: (= h (relu (dense x 8)))\n" in stage("syntax")


def test_the_syntax_of_a_model_that_means_nothing():
    """It is read, and not understood: no name in it is looked up."""
    assert "(= a (f b))" in stage("syntax", text="a = f(b)\n")


def test_the_graph_as_written():
    text = stage("graph")
    assert "h.dense.sum[b, o] = sum[i](x[b, i]*h.weight[i, o])" in text
    assert "d_h" not in text
    assert "accuracy = accuracy.sum/batch" in text


def test_the_gradient_and_what_simplifies():
    before, after = stage("gradient"), stage("simplified")
    assert "d_h.dense.sum[b, o] = d_h.dense[b, o]" in before
    assert "d_h.dense.sum" not in after
    assert [row for row in after.split("\n") if row.startswith("# ")] == ["# gradient", "# predict", "# evaluate"]


def test_the_programs():
    text = stage("program")
    titles = [row for row in text.split("\n") if row.startswith("# ")]
    assert titles == ["# gradient", "# predict", "# evaluate", "# clipping", "# adamw", "# sgd"]


def test_two_groups_with_one_rule():
    text = NETWORK.replace("adamw(lr = 1e-3), clip_norm = 1.0", "sgd(lr = 0.2)")
    assert {"# sgd", "# sgd 2"} <= set(stage("program", text=text).split("\n"))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_python_is_what_is_emitted(dtype):
    shown = inspect(NETWORK, file="net.grad", dtype=dtype)
    assert shown == emit(NETWORK, file="net.grad", dtype=dtype)


@pytest.mark.parametrize("name", STAGES)
def test_the_same_text_each_time(name):
    assert stage(name) == stage(name)
    assert stage(name, "h.weight") == stage(name, "h.weight")


# ---------------------------------------------------------------- of one tensor


def targets(text: str) -> list[str]:
    """The tensors whose equations are shown."""
    return [match[1] for match in re.finditer(r"^([\w.]+)(?:\[[^=]*\])? \+?= ", text, re.MULTILINE)]


def test_the_way_from_a_parameter():
    found = targets(stage("graph", "logits.weight"))
    assert found[0] == "logits.sum"
    assert found[-1] == "loss"
    assert "h" not in found
    assert "accuracy" not in found
    assert "p" not in found


def test_what_makes_a_tensor():
    assert targets(stage("graph", "h")) == ["h.dense.sum", "h.dense", "h"]


def test_what_makes_a_gradient():
    """All of the backward pass that it needs, and of the forward pass what that reads at first hand."""
    found = targets(stage("gradient", "h.weight"))
    assert found[-1] == "d_h.weight"
    assert {"d_loss", "d_logits", "d_h", "d_h.dense", "h.dense", "logits", "loss.cross_entropy.logsumexp"} <= set(found)
    assert not {"h.dense.sum", "d_h.bias", "d_logits.weight", "loss"} & set(found)
    assert targets(stage("simplified", "d_h.weight")) == targets(stage("simplified", "h.weight"))


def test_what_makes_a_prediction_and_a_metric():
    assert "# predict" in stage("simplified", "p")
    assert "# evaluate" in stage("program", "accuracy")
    assert "def predict_entry" in stage("python", "p")
    assert "def evaluate_entry" in stage("python", "accuracy")


def test_the_program_of_a_gradient():
    text = stage("program", "logits.bias")
    assert "d_logits.bias[o] += d_logits[b, o]" in text
    assert "d_h" not in text
    assert "d_logits.weight" not in text


def test_the_lines_of_the_syntax():
    rows = stage("syntax", "logits.weight").strip().split("\n")
    assert [int(row.split(":")[0]) for row in rows] == [6, 7, 9]
    assert "(input" in stage("syntax", "x")


@pytest.mark.parametrize("of", ["h.weight", "logits.bias", "d_h", "p", "accuracy", "h", "x"])
def test_lines_of_the_module(of):
    """Every line is one of the module, the functions are whole or begin as there, and it parses."""
    module, text = emit(NETWORK, file="net.grad"), stage("python", of)
    first, *rest = [row for row in text.split("\n") if row]
    assert first.startswith("# Of net.py only what makes ")
    rows = set(module.split("\n"))
    assert [row for row in rest if row not in rows] == []
    assert len(text) < len(module) / 2
    ast.parse(text)


def test_python_of_a_gradient_has_just_its_kernels():
    of_weight, of_bias = stage("python", "h.weight"), stage("python", "logits.bias")
    assert "gemm(x.T, " in of_weight
    assert "gemm(" not in of_bias
    assert "def backward_h_dense" in of_weight
    assert "def backward_h_dense" not in of_bias
    assert "h_weight, h_bias, logits_weight, logits_bias = parts(params)" in of_weight


def test_the_lines_of_a_gradient_say_what_their_arrays_are():
    driver = ast.parse(stage("python", "d_logits")).body[-1]
    assert isinstance(driver, ast.FunctionDef)
    arguments = {argument.arg for argument in driver.args.args}
    names = [node for node in ast.walk(driver) if isinstance(node, ast.Name)]
    given = {node.id for node in names if isinstance(node.ctx, ast.Store)} | arguments
    assert {node.id for node in names if isinstance(node.ctx, ast.Load) and node.id.startswith(("d_", "h"))} <= given


# ---------------------------------------------------------------- slices


def test_slices_of_a_graph():
    graph = graphs(NETWORK).gradient
    assert graph is not None
    assert target_of(graph, "h.weight") == "d_h.weight"
    assert target_of(graph, "loss") == "loss"
    assert target_of(graph, "nothing") is None
    assert makers(graph, "loss") == ancestors(graph, "loss")
    assert "loss" in way(graph, "h.bias")
    part = graph_slice(graph, "d_h.weight")
    assert set(part.outputs) == {"gradient h.weight"}
    assert {eq.target for eq in part.equations} == makers(graph, "d_h.weight")


# ---------------------------------------------------------------- errors


def fails(name: str, of: str | None, *messages: str, text: str = NETWORK) -> None:
    with pytest.raises(GradcError) as caught:
        stage(name, of, text)
    for message in messages:
        assert message in str(caught.value)


@pytest.mark.parametrize("name", STAGES)
def test_a_tensor_that_there_is_not(name):
    fails(name, "h.wieght", "there is no tensor h.wieght", "did you mean h.weight?", "net.grad has x, y, h.weight")


def test_a_tensor_that_is_simplified_away():
    fails("simplified", "d_h.dense.sum", "d_h.dense.sum does not stand at this stage any more")
    unused = NETWORK.replace("predict p", "unused = 2 * h\npredict p")
    fails("simplified", "unused", "unused does not stand at this stage", text=unused)


def test_a_stage_that_there_is_not():
    fails("pyhton", None, "there is no stage 'pyhton'", "syntax, graph, gradient, simplified, program, python")


def test_a_wrong_model():
    fails("graph", None, "net.grad:1:", text="a = b\n")


def test_stages_are_verified(monkeypatch):
    """What is shown has been checked: a fault in a graph is told, and not printed."""
    real = inspection.graphs

    def wrong(text, **options):
        stages = real(text, **options)
        first, *rest = stages.gradient.equations
        bad = stages.gradient.with_equations((*rest, replace(first, target="x")))
        return replace(stages, gradient=bad)

    monkeypatch.setattr(inspection, "graphs", wrong)
    with pytest.raises(InternalError, match="writes the leaf x"):
        stage("simplified")
