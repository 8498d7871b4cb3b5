"""Equal blocks of a model: what is done for one of them is not done again for the next. Work is counted, not timed."""

from collections import Counter
from collections.abc import Callable, Hashable
from typing import Any

import pytest

from gradc.algebra.engine import Rewriting
from gradc.calculus.differentiate import _Adjoints
from gradc.check import check
from gradc.emit.kernels import KernelWriter
from gradc.graph.form import ByForm, Numbering
from gradc.graph.nodes import Equation
from gradc.language import world
from gradc.language.elaborate import elaborate_both
from gradc.language.load import load
from gradc.pipeline import emit, graphs
from gradc.schedule import contract

BLOCKS = """
dim batch, time
input x[batch, time, 8]
target y[batch, time, 8]
h = layer_norm(x)
repeat {count}:
    h = transformer_block(h, heads = 2, hidden = 16, causal = true)
loss mean((h - y)^2)
"""


@pytest.fixture(scope="module")
def work() -> dict[int, Counter[str]]:
    """What is done for 3, 6 and 9 blocks: how often each of these runs."""
    counted = [
        (KernelWriter, "kernel"),
        (_Adjoints, "swap"),
        (Rewriting, "result"),
        (contract, "gemm_of"),
        (world, "names_in"),
    ]
    return {count: _counted(counted, BLOCKS.format(count=count)) for count in (3, 6, 9)}


def _counted(functions: list[tuple[Any, str]], text: str) -> Counter[str]:
    counts: Counter[str] = Counter()
    with pytest.MonkeyPatch.context() as patch:
        for owner, name in functions:
            patch.setattr(owner, name, _counting(getattr(owner, name), name, counts))
        counts["lines"] = len(emit(text).splitlines())
    return counts


def _counting(function: Callable[..., Any], name: str, counts: Counter[str]) -> Callable[..., Any]:
    def called(*arguments: Any, **options: Any) -> Any:
        counts[name] += 1
        return function(*arguments, **options)

    return called


def test_a_kernel_is_written_once_for_all_blocks(work):
    assert work[3]["kernel"] == work[6]["kernel"] == work[9]["kernel"] > 0


def test_contributions_of_sums_are_derived_once_for_all_blocks(work):
    softmaxes = {count: count for count in work}
    assert len({work[count]["swap"] - softmaxes[count] for count in work}) == 1


def test_the_rules_are_asked_as_often_for_one_block_as_for_another(work):
    assert work[9]["result"] - work[6]["result"] <= work[6]["result"] - work[3]["result"]


def test_products_of_matrices_are_found_once_for_all_blocks(work):
    assert work[3]["gemm_of"] == work[6]["gemm_of"] == work[9]["gemm_of"] > 0


def test_what_stands_in_a_definition_is_looked_through_once_for_all_its_calls(work):
    assert work[3]["names_in"] == work[6]["names_in"] == work[9]["names_in"] > 0


def test_what_nothing_asks_for_training_is_elaborated_once():
    model, plain = elaborate_both(load(BLOCKS.format(count=1), file="m.grad", folder=None))
    assert plain is model
    dropped = BLOCKS.format(count=1).replace("causal = true", "causal = true, rate = 0.1")
    model, plain = elaborate_both(load(dropped, file="m.grad", folder=None))
    assert plain != model


# ------------------------------------------------------------------ forms


def _equations(text: str) -> dict[str, Equation]:
    forward = graphs(text).forward
    return {name: equations[0] for name, equations in forward.writers.items()}


def form_of(equation: Equation) -> tuple[Hashable, tuple[str, ...]]:
    """An equation's form, and its tensors by their numbers in it."""
    numbering = Numbering()
    return numbering.equation(equation), numbering.names


def test_equations_between_other_tensors_have_one_form():
    found = _equations("""
dim batch, n = 4
input x[batch, n], ids[batch] : int(4)
param w[n, n] ~ ones
param v[n, n] ~ ones
param u[n, n] ~ ones
a[b, j] = sum[i](x[b, i] * w[i, j])
c[b, j] = sum[i](a[b, i] * v[i, j])
d[b, j] = sum[i: 3](a[b, i] * v[i, j])
e[b, j] = sum[i](a[b, i] * v[j, i])
f[b, j] = sum[i](a[b, i] * a[b, i] * v[i, j])
g[b, j] = w[ids[b], j]
h[b, j] = u[ids[b], j]
loss sum(a) + sum(c) + sum(d) + sum(e) + sum(f) + sum(g) + sum(h)
""")
    forms = {name: form_of(found[name])[0] for name in "acdefgh"}
    assert forms["a"] == forms["c"]
    assert forms["g"] == forms["h"]
    assert len(set(forms.values())) == len(forms) - 2
    assert form_of(found["c"])[1] == ("c", "a", "v")


def test_what_was_made_of_a_form_comes_with_the_names_of_another():
    found = _equations("""
input x[4]
param w[4] ~ ones
param v[4] ~ ones
a[i] = x[i] * w[i]
b[i] = a[i] * v[i]
loss sum(b)
""")
    known = ByForm()
    form, names = form_of(found["a"])
    assert known.recall(form, names) is None
    known.keep(form, names, [found["a"]])
    made = known.recall(*form_of(found["b"]))
    assert made == (found["b"],)


ALIKE = """
dim batch
input x[batch, 4]
target y[batch, 4]
param w[4, 4] ~ normal()
param v[4, 4] ~ normal()
param u[4, 4] ~ normal()
param t[6] ~ normal()
param s[4] ~ normal()
freeze v
a[b, j] = sum[i](x[b, i] * w[i, j])
c[b, j] = sum[i](a[b, i] * v[i, j])
d[b, j] = sum[i](c[b, i] * u[i, j])
e[i: 4] = 2 * t[i]
f[i: 4] = 2 * s[i]
g[b, j] = d[b, j] * e[j] + d[b, j] * f[j] + d[b, j]^2
loss mean((g - y)^2)
"""
"""Equations of one form, of which one reads an input, one what is frozen, one a part of what it reads."""


def test_alike_equations_between_unlike_tensors_have_gradients_of_their_own():
    report = check(ALIKE, file="alike.grad")
    assert report.passed, report
