"""Derivations: that they are the chain rule, that they read well, and that their LaTeX is well formed."""

import re

import pytest
import sympy

from gradc.calculus.normal import normal_form
from gradc.derivation import Derivation
from gradc.derivation_steps import Step
from gradc.derive import derive
from gradc.errors import GradcError
from gradc.pipeline import gradient_graph, graphs

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
"""
MODELS = {
    "network": (NETWORK, "h.weight"),
    "maximum": ("dim batch\ninput x[batch, 4]\nparam w[4] ~ zeros\nm[b] = max[k](w[k] * x[b, k])\nloss sum(m)", "w"),
    "two places": ("param w[4, 3] ~ zeros\nloss max[i, j](w[i, j]^2)", "w"),
    "product": ("param w[4] ~ ones\nloss prod[k](sin(w[k]))", "w"),
    "window": ("param k[3] ~ ones\nparam w[7] ~ ones\ny[t: 5] = sum[u](k[u] * w[t + u])\nloss sum(y^2)", "w"),
    "gather": ("dim batch\ninput i[batch] : int(9)\nparam e[9, 2] ~ ones\nv[b, d] = e[i[b], d]\nloss sum(v^2)", "e"),
    "unstable": ("param w[4] ~ ones\nloss sum(log(1 + exp(w))) + log(sum(exp(w)))", "w"),
    "scalar": ("param w ~ ones\nloss (w - 1)^2 * w", "w"),
}  # fmt: skip


@pytest.fixture(scope="module", params=MODELS)
def derived(request: pytest.FixtureRequest) -> Derivation:
    text, of = MODELS[request.param]
    return derive(text, file="net.grad", of=of)


def of_network(parameter: str = "h.weight") -> Derivation:
    return derive(NETWORK, file="net.grad", of=parameter)


def step_of(derivation: Derivation, tensor: str) -> Step:
    return next(step for step in derivation.steps if step.tensor == tensor)


# ---------------------------------------------------------------- it is the chain rule


def test_steps_go_from_the_loss_to_the_parameter(derived):
    assert derived.steps[0].target == "d_loss"
    assert derived.steps[-1].tensor == derived.parameter
    seen: set[str] = set()
    for step in derived.steps:
        seen.add(step.target)
        for part in step.contributions:
            assert part.read.tensor == step.tensor
            cotangents = [read.tensor for read in part.swapped.reads if read.tensor.startswith("d_")]
            assert set(cotangents) <= seen


@pytest.mark.parametrize("name", MODELS)
def test_contributions_are_those_of_the_gradient(name):
    """Read and write swapped, times the slope that is shown, and solved for the place: what the graph has."""
    text, of = MODELS[name]
    stages = graphs(text, file="net.grad")
    gradient = gradient_graph(stages.model, stages.forward)
    with sympy.core.parameters.distribute(False):
        for step in derive(text, file="net.grad", of=of).steps[1:]:
            written = gradient.writers[step.target]
            assert tuple(part.adjoint for part in step.contributions) == written
            for part in step.contributions:
                assert normal_form(part.swapped, gradient.tensors[step.target]) == part.adjoint


def test_what_is_computed_is_the_simplified_graph():
    stages = graphs(NETWORK)
    assert stages.gradient is not None
    derivation = of_network()
    assert {equation.target for equation in derivation.computed} >= {"d_logits", "d_h", "d_h.dense", "d_h.weight"}
    for equation in derivation.computed:
        assert equation in stages.gradient.equations


# ---------------------------------------------------------------- it says so


def test_a_step_in_text():
    text = str(of_network())
    assert "10  d_h" in text or re.search(r"^ *\d+  d_h, the derivative by h$", text, re.MULTILINE)
    for line in (
        "    read in      logits.sum[b, o] = sum[i](h[b, i]*logits.weight[i, o])",
        "    slope        ∂logits.sum[b, o]/∂h[b, i] = logits.weight[i, o]",
        "    chain rule   d_h[b, i] += d_logits.sum[b, o]*logits.weight[i, o]",
        "    sum over o   d_h[b, i] = sum[o](d_logits.sum[b, o]*logits.weight[i, o])",
    ):
        assert line in text
    assert "net.grad:7\n" in text


def test_constants_and_copies_are_named():
    derivation = of_network()
    assert "a constant" in step_of(derivation, "loss.sum").fate
    assert "becomes      d_loss.sum = 1/batch" in str(derivation)
    assert step_of(derivation, "h.dense.sum").fate == "a copy: d_h.dense is read in its place"
    assert step_of(derivation, "h").fate == ""


def test_several_contributions_are_added():
    both = derive("param w[3] ~ ones\na = sin(w)\nc = cos(w)\nloss sum(a * c)", of="w")
    assert len(both.steps[-1].contributions) == 2
    assert len(both.steps[-1].total) == 1
    assert "together     d_w[" in str(both)
    assert "w is read 2 times, and each read contributes" in str(both)


def test_a_maximum_says_where():
    text = str(derive(MODELS["maximum"][0], of="w"))
    assert re.search(r"slope +∂m\[b\]/∂w\[k\] = x\[b, k\] where k is m\.arg\[b\], else 0", text)
    assert "with         m.arg[b] = argmax[k](" in text
    assert "chain rule   d_w[m.arg[b]] += " in text


def test_places_that_meet_are_added():
    text, of = MODELS["window"]
    derivation = derive(text, of=of)
    assert "chain rule   d_w[t + u] += d_y[t]*k[u]" in str(derivation)
    assert r"\mathrel{+}= \left(\frac{\partial L}{\partial y}\right)_{t} \, k_{u}" in derivation.latex


def test_what_is_made_stable_is_shown():
    derivation = derive(MODELS["unstable"][0], of="w")
    rules = {rule for part in derivation.stabilised for rule in part.rules}
    assert rules
    text = str(derivation)
    assert "Rewritten before it is differentiated, by “" in text
    assert "as written" in text
    assert "instead" in text
    assert rules <= {rule.name for rule in derivation.rules}


def test_rules_that_fired_are_explained():
    derivation = of_network()
    names = [rule.name for rule in derivation.rules]
    assert len(names) == len(set(names))
    text = str(derivation)
    assert "The rules that fired" in text
    for rule in derivation.rules:
        assert f"    {rule.name}" in text
    quoted = set(re.findall(r"“([^”]+)”", text))
    assert quoted == set(names)


def test_a_parameter_that_the_loss_does_not_reach():
    text = "param w[3] ~ ones\nparam unused[2] ~ ones\nloss sum(w^2)"
    derivation = derive(text, of="unused")
    assert derivation.steps == ()
    assert "its derivative is 0 everywhere" in str(derivation)
    assert "&= 0 &&" in derivation.latex
    assert "0 everywhere" in derivation._repr_html_()


def test_text_is_100_columns_wide(derived):
    assert [line for line in str(derived).split("\n") if len(line) > 100] == []


def test_the_same_text_each_time():
    assert str(of_network()) == str(of_network())


# ---------------------------------------------------------------- LaTeX


def well_formed(latex: str) -> None:
    """Braces, environments, \\left and \\right balance; every row has the columns of the others."""
    bare = re.sub(r"\\.", "", latex)
    assert bare.count("{") == bare.count("}")
    assert not re.search(r"[#%$~]", bare)
    assert re.findall(r"\\left(?![a-z])", latex).__len__() == re.findall(r"\\right(?![a-z])", latex).__len__()
    open_ones: list[str] = []
    for kind, name in re.findall(r"\\(begin|end)\{([a-z]+\*?)\}", latex):
        if kind == "begin":
            open_ones.append(name)
        else:
            assert open_ones.pop() == name
    assert open_ones == []
    inner = re.sub(r"\\begin\{cases\}.*?\\end\{cases\}", "", latex, flags=re.DOTALL)
    rows = re.split(r"\\\\(?:\[1ex\])?\n", inner.split("\n", 1)[1].rsplit("\n", 2)[0])
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {3}
    assert re.findall(r"[\w}]_\{[^{}]*\}_", latex) == []


def test_latex_is_well_formed(derived):
    assert derived.latex.startswith("\\begin{align*}\n")
    assert derived.latex.endswith("\\end{align*}\n")
    well_formed(derived.latex)
    assert derived._repr_latex_() == derived.latex


def test_latex_has_the_steps():
    latex = derive(NETWORK, of="h.weight", latex=True)
    text = str(latex)
    assert text == latex.latex
    assert r"\frac{\partial \left(\text{logits}_{\text{sum}}\right)_{b, o}}{\partial h_{b, i}}" in text
    assert r"\left(\frac{\partial L}{\partial h}\right)_{b, i} &\mathrel{+}=" in text
    assert r"\text{chain rule}" in text


def test_html_shows_each_step_and_holds_no_markup_of_the_model():
    html = derive(NETWORK, file="a<b>&.grad", of="h.weight")._repr_html_()
    assert html.count("$$") == 2 * html.count(r"\begin{aligned}")
    assert "<b>&" not in html
    assert re.findall(r"<(?!/?(?:div|h4|p|b|ul|li|code)>)", html) == []


def test_names_that_latex_would_obey():
    derivation = derive("param a_1_b[2] ~ ones\nθ = a_1_b^2\nloss sum(θ)", file="50%_$.grad", of="a_1_b")
    well_formed(derivation.latex)


# ---------------------------------------------------------------- errors


def fails(text: str, of: str, *messages: str) -> None:
    with pytest.raises(GradcError) as caught:
        derive(text, file="net.grad", of=of)
    for message in messages:
        assert message in str(caught.value)


def test_an_unknown_parameter():
    listed = "the parameters that are trained: h.weight, h.bias, logits.weight, logits.bias"
    fails(NETWORK, "h.wieght", "there is no parameter h.wieght", "did you mean h.weight?", listed)
    fails(NETWORK, "h", "there is no parameter h", "did you mean h.weight or h.bias?")
    fails(NETWORK, "zzz", "there is no parameter zzz", listed)


def test_many_parameters_are_not_all_listed():
    text = "\n".join(f"param w{n} ~ ones" for n in range(30)) + "\nloss w0 * w29\n"
    fails(text, "v", "and 10 more")


def test_a_frozen_parameter_and_none():
    fails("param w ~ ones frozen\nparam v ~ ones\nloss v * w", "w", "w is frozen", "that are trained: v")
    fails("param w ~ ones frozen\nloss w", "v", "the model trains no parameters")


def test_a_step_without_a_slope_ends_the_way():
    text = "dim n\ninput x[n]\nparam w ~ ones\nparam v ~ ones\nh[i] = w * x[i]\ny[i] = sign(h[i]) * v\nloss sum(y)\n"
    assert "The loss does not depend on w" in str(derive(text, of="w"))
    assert "d_v = sum[i](sign(h[i]))" in str(derive(text, of="v"))
