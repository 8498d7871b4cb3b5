"""Model files and command lines that mean harm or are merely wrong: a plain answer, soon, and nothing touched.

What a single construct of the language is told is the business of other tests (`test_language_errors.py`,
`test_syntax_errors.py`); here whole files and the whole compiler are tried, to the numbers of the emitted module.
"""

import os
import random
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from support.emitted import load_compiled, load_plain

import gradc
from gradc import pipeline
from gradc.cli import program
from gradc.errors import GradcError, GradcWarning

SECONDS = 4.0
"""Promised are 2, on a machine that does nothing else."""
ROWS = "dim batch\ninput x[batch, 3]\n"
DENSE = f"{ROWS}param w[3, 3] ~ normal()\nh = x @ w\nloss mean(h^2)\n"
SCALAR = "param w[] ~ ones\n"
PAIRS = "dim n = 2000000, b\ninput x[b, n]\nz[b, i: n, j: n] = x[b, i] * x[b, j]\n"


def answer(text: str, folder: Path | None = None) -> tuple[str, list[str]]:
    """The module's source and the warnings, or the error's text and its codes."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            source = pipeline.emit(text, file="m.grad", folder=folder, dtype="float64")
        except GradcError as error:
            for diagnostic in error.diagnostics:
                assert diagnostic.message
                assert diagnostic.span is not None
            return str(error), [diagnostic.code for diagnostic in error.diagnostics]
    assert all(issubclass(warning.category, GradcWarning) for warning in caught)
    return source, [str(warning.message) for warning in caught]


def compiled(text: str) -> ModuleType:
    source, _ = answer(text)
    assert source.startswith('"""'), source
    return load_plain(source)


def swap(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new)


# ---------------------------------------------------------------- refused, soon

REFUSED: dict[str, tuple[str, str]] = {
    "nothing": ("", "m.grad:1:1: error: the file is empty"),
    "blank lines": ("\n\n   \n", "the file is empty"),
    "a comment": ("# hello", "m.grad:1:8: error: the model has no loss"),
    "a name alone": ("model m\n", "has no loss"),
    "a loss that is true or false": (f"{SCALAR}loss w > 0", "the loss is a number, and this is true or false"),
    "a prediction alone": (f"{ROWS}predict p = x\n", "m.grad:3:14: error: the model has no loss"),
    "two names": (f"model a\nmodel b\n{SCALAR}loss w", "model stands twice"),
    "two losses": (f"{SCALAR}loss w\nloss w^2", "a model has one loss"),
    "a loss with axes": (swap(DENSE, "mean(h^2)", "h"), "the loss is a scalar, and this is a tensor [batch, 3]"),
    "a loss in quotes": (f'{SCALAR}loss "w"', "text in quotes stands only after `use` and `data`"),
    "a prediction of a target": (f"target y[3]\n{SCALAR}loss mean(y) * w\npredict p = y * w", "p needs the target y"),
    "a prediction over a target's size": (
        f"dim n\ninput a[n + 1]\ntarget b[n]\n{SCALAR}loss mean(a) * w * mean(b)\npredict p = a * w",
        "the prediction p needs the size n",
    ),
    # sizes
    "a dim of 10^12": ("dim n = 10^12\nparam w[n] ~ zeros\nloss sum(w)", "w would take 8,000,000,000,000 bytes"),
    "a product of sizes": ("param w[1000000, 1000000] ~ zeros\nloss sum(w)", "w would take 8,000,000,000,000 bytes"),
    "an input that large": (f"input x[10^13]\n{SCALAR}loss mean(x) * w", "x would take 80,000,000,000,000 bytes"),
    "a tensor that large": (
        f"input x[1000000]\n{SCALAR}h[i, j] = tanh(x[i] * x[j] * w)\nloss sum(h)",
        "h would take 8,000,000,000,000 bytes",
    ),
    "an input that large for one example": (
        f"dim n = 2000000, b\ninput x[b, n, n]\n{SCALAR}loss mean(x) * w",
        "x would take 32,000,000,000,000 bytes: b × 2000000 × 2000000 numbers of 8 bytes, with b = 1",
    ),
    "a tensor that large for one example": (
        f"{PAIRS}s[b, i, k: n] = sum[j](z[b, i, j] * tanh(z[b, j, k]))\nloss mean(s)",
        "z would take 32,000,000,000,000 bytes: b × 2000000 × 2000000 numbers of 8 bytes, with b = 1",
    ),
    "a prediction that large for one example": (f"{PAIRS}predict z\nloss mean(x)", "z would take 32,000,000,000,000"),
    "a dim of 0": (f"dim n = 0\n{SCALAR}loss w", "dim n is 0, and a size is at least 1"),
    "a dim below 0": (f"dim n = 3 - 5\n{SCALAR}loss w", "dim n is -2"),
    "a dim of 3/2": (f"dim n = 3/2\n{SCALAR}loss w", "a size is a whole number, and this is 3/2"),
    "a type of 10^30 numbers": (
        f"input k[] : int(10^30)\n{SCALAR}loss w * k", "a whole number is at most 9,223,372,036,854,775,807"
    ),
    "a dim of infinity": (f"dim n = inf\n{SCALAR}loss w", "a size is wanted here"),
    "a dim of itself": (f"dim n = n\n{SCALAR}loss w", "unknown name n"),
    "a dim of a tensor": (f"{SCALAR}dim n = w\nloss w", "a size is wanted here"),
    # numbers
    "a tower of powers": (f"{SCALAR}loss w * 9^9^9^9", "this number is too large to be worked out"),
    "a tower of powers as size": (f"dim n = 9^9^9^9\n{SCALAR}loss w", "this number is too large to be worked out"),
    "a power of 0": (f"{SCALAR}loss w * 0^-1", "0 to a negative power divides by zero"),
    "a parameter called like an input": ("input x[3]\nparam x[3] ~ ones\nloss sum(x)", "x is declared already"),
    "a parameter called like a dim": ("dim n = 3\nparam n[3] ~ ones\nloss sum(n)", "n is declared already"),
    "a place beyond the last": (f"{ROWS}{SCALAR}loss mean[b](x[b, 3]) * w", "and the last is 2: write 2"),
    "an index that nothing lists": (f"{ROWS}{SCALAR}h[b] = x[b, i] * w\nloss mean(h)", "such as sum[i](…); nothing is"),
    "a division by 0": (f"{SCALAR}loss w / 0", "a division by zero"),
    "a remainder by 0": (f"{SCALAR}loss w * (7 % 0)", "a division by zero"),
    "a number without end": (f"{SCALAR}loss w * 1e999", "is beyond what a number can be here"),
    "a number of many digits": (f"{SCALAR}loss w * 0.{'1' * 5000}", "a number of 5002 digits"),
    # unfolding
    "a loop without end": (f"{SCALAR}x = w\nrepeat 10^9: x = x * 2\nloss x", "1,000,000,000 rounds"),
    "loops in loops": (
        f"{SCALAR}x = w\nrepeat 1000: repeat 1000: repeat 1000: x = x * 2\nloss x",
        "unfolds to more than 20,000 equations",
    ),
    "a loop over a long range": (f"{SCALAR}for i in range(10^9): x = w\nloss x", "1,000,000,000 rounds"),
    "a loop of -1": (f"{SCALAR}x = w\nrepeat -1: x = x * 2\nloss x", "cannot be repeated -1 times"),
    "a loop of 1/2": (f"{SCALAR}x = w\nrepeat 0.5: x = x * 2\nloss x", "wanted here, and this is 0.5"),
    "a definition of itself": (f"def f(a) = f(a)\n{SCALAR}loss f(w)", "calls itself: f → f"),
    "definitions of each other": (f"def f(a) = g(a)\ndef g(a) = f(a)\n{SCALAR}loss f(w)", "calls itself: f → g → f"),
    "definitions that double": (
        SCALAR + "def f0(a) = a + a\n" + "".join(f"def f{k}(a) = f{k - 1}(a) + f{k - 1}(a)\n" for k in range(1, 40))
        + "loss f39(w)",
        "unfolds to more than 50,000 parts of equations",
    ),
    "definitions with parameters that double": (
        ROWS + "def f0(x[..., i]) = dense(x, 3)\n"
        + "".join(f"def f{k}(x):\n    return f{k - 1}(f{k - 1}(x))\n" for k in range(1, 40)) + "loss mean(f39(x))",
        "unfolds to more than 50,000 parts of equations",
    ),
    # length and depth
    "1 000 equations upside down": (
        f"{ROWS}{SCALAR}" + "".join(f"h{k}[b] = h{k + 1}[b] * w\n" for k in range(1000))
        + "h1000[b] = x[b, 0]\nloss mean(h0)",
        "equations wait for this one, each for one below it",
    ),
    "10 000 brackets": (f"loss {'(' * 10_000}{')' * 10_000}", "more than 100 brackets are open here"),
    "10 000 square ones": (f"loss {'[' * 10_000}", "more than 100 brackets are open here"),
    "3 000 calls": (f"{SCALAR}loss {'exp(' * 3000}w{')' * 3000}", "more than 100 brackets are open here"),
    "3 000 signs": (f"{SCALAR}loss {'-' * 3000}w", "this stands inside more than 250 others"),
    "10 000 terms": (f"{SCALAR}loss {' + '.join(['w'] * 10_000)}", "this stands inside more than 250 others"),
    "100 000 terms": (f"{SCALAR}loss {' + '.join(['w'] * 100_000)}", "more than 40,000 words and signs"),
    "a million letters": ("x" * 999_999, "this line gives nothing a name"),
    "a million and a letter": ("x" * 1_000_001, "m.grad:1:1: error: this file has 1,000,001 bytes"),
    "a million lines": ("\n" * 999_999 + "x", "more than 40,000 words and signs"),
    # what was meant for others
    "Python": ('import os\nos.system("ls")', "`import` is not a statement of the language"),
    "a call of Python": (f'{SCALAR}loss __import__("os")', "text in quotes stands only after `use` and `data`"),
    "a call of eval": (f"{SCALAR}loss eval(w)", "unknown function eval"),
    "an attribute": (f"{SCALAR}loss w.__class__.__mro__", "there is no parameter w.__class__.__mro__"),
    "a lambda": (f"{SCALAR}f = lambda x: x\nloss f(w)", "there are no functions without a name"),
    "Jinja": (f"{DENSE}{{{{ 7*7 }}}}", "`{` is not a sign of the language"),
    "JSON": ('{"a": 1}', "`{` is not a sign of the language"),
    "HTML": ("<html>", "`<` begins no statement"),
    "a shell": ("#!/bin/sh\nrm -rf /", "this line gives nothing a name"),
    "a NUL": ("\0", "the character U+0000 (a control character)"),
    "a line that runs backwards": (swap(DENSE, "h = ", "h = \u202e"), "U+202E (right-to-left override)"),
    "a blank without width": (swap(DENSE, "h = ", "h\u200b = "), "U+200B (zero width space)"),
    "a Cyrillic x": (swap(DENSE, "x", "\u0445"), "names are Latin or Greek letters"),
    # training
    "an optimizer misspelt": (f"{DENSE}optimize adamx(lr = 1)", "did you mean adam?"),
    "a definition as optimizer": (f"{DENSE}optimize relu", "relu is a definition, and no optimizer"),
    "another's option": (f"{DENSE}optimize adam(learning_rate = 1)", "its header is adam(lr = …, beta1 = …"),
    "a rate that is a tensor": (f"{DENSE}optimize adam(lr = w)", "lr of an optimizer is a number"),
    "two plain lines": (f"{DENSE}optimize adam\noptimize sgd(lr = 1)", "two lines are for all parameters"),
    "a pattern of nothing": (f"{DENSE}optimize z.* with adam\noptimize adam", "no parameter fits z.*"),
    "two patterns": (f"{DENSE}optimize w* with adam\noptimize *w with adam", "two patterns fit the parameter w"),
    "a parameter left out": (
        swap(DENSE, "loss", "v = dense(h, 2)\nloss") + "optimize w with adam",
        "no optimize line is for the parameter v.weight",
    ),
    "an argument called p": (f"{SCALAR}loss w\noptimizer o(p = 1): p = p - g\noptimize o", "p cannot be an argument"),
    "a state called g": (
        f"{SCALAR}loss w\noptimizer o(lr = 1):\n    state g ~ zeros\n    p = p - g\noptimize o",
        "g means something in this optimizer already",
    ),
    "a norm below 0": (f"{DENSE}optimize adam, clip_norm = -1", "clip_norm is a number above 0"),
    "a frozen nobody": (f"{DENSE}freeze foo", "no parameter fits foo"),
    "half an epoch": (f"{DENSE}fit epochs = 2.5", "epochs is a whole number, at least 1"),
    "nothing to train on": (f"{DENSE}fit validation = 1", "validation is a number from 0 to below 1"),
    "an unknown option": (f"{DENSE}fit epoch = 3", "did you mean epochs?"),
    "data twice": (f'{DENSE}data "a.npz"\ndata "b.npz"', "data stands twice"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_compiled_is_told_soon(name):
    text, message = REFUSED[name]
    started = time.process_time()
    told, codes = answer(text)
    assert time.process_time() - started < SECONDS
    assert message in told
    assert codes
    assert "Traceback" not in told
    assert all(len(line) < 500 for line in told.split("\n"))


@pytest.mark.parametrize(
    "use", ["loss mean(exp(z))", "loss mean(softmax(z)^2)", "s[b, i] = max[j](z[b, i, j])\nloss mean(s)"]
)
def test_what_is_never_stored_may_be_that_large(use):
    source, _ = answer(PAIRS + use)
    assert source.startswith('"""'), source


def test_what_is_found_after_elaborating_is_shown_in_its_line():
    text, _ = answer("if training: state s ~ zeros\nloss 0 * 1")
    assert "   1 | if training: state s ~ zeros\n" in text


def test_garbage_of_all_kinds():
    """Random text, and a model with random damage: an error or a module, and nothing else."""
    rng = random.Random(5)
    letters = "".join(map(chr, range(32, 127))) + "\n\n\n    \tαβ×é"
    for _ in range(60):
        answer("".join(rng.choices(letters, k=rng.randrange(2000))))
    for _ in range(120):
        at, more = rng.randrange(len(DENSE)), rng.randrange(6)
        answer(DENSE[:at] + "".join(rng.choices(letters, k=rng.randrange(3))) + DENSE[at + more :])


# ---------------------------------------------------------------- odd, and right


def test_a_model_that_trains_nothing_is_a_warning():
    two = f"{ROWS}param w[3] ~ ones\nparam v[] ~ ones frozen\nloss mean(x @ w) * v\n"
    _, told = answer(f"{two}freeze *\n")
    assert len(told) == 1
    assert told[0].startswith("m.grad:3:1: warning: all parameters are frozen: training changes nothing\n")
    assert "= freeze fewer of them" in told[0]
    for fine in (two, f"{ROWS}loss mean(x)\n"):
        assert answer(fine)[1] == []


LOGITS = "dim batch\ninput x[batch, 3]\ntarget y[batch] : int(4)\nz = dense(x, 4)\np = softmax(z)\n"
TWICE_APPLIED = (
    "cross_entropy(p, y)",
    "cross_entropy(softmax(z), y)",
    "cross_entropy(softmax(z), y, label_smoothing = 0.1)",
    "z |> softmax |> cross_entropy(y)",
)


@pytest.mark.parametrize("loss", TWICE_APPLIED)
def test_probabilities_for_logits_are_a_warning(loss):
    _, (told,) = answer(f"{LOGITS}loss mean({loss})\n")
    assert "cross_entropy wants logits, and gets what softmax makes of them: softmax is applied twice" in told
    assert "softmax stands here" in told
    assert answer(f"{LOGITS}predict p\nloss mean(cross_entropy(z, y))\n")[1] == []


def test_a_parameter_that_the_loss_does_not_reach_is_a_warning():
    source, told = answer(f"{ROWS}param w[3] ~ ones\nparam v[2] ~ ones\nloss mean(x @ w)\n")
    assert len(told) == 1
    assert told[0].startswith("m.grad:4:")
    assert "the loss does not depend on v: it will not be trained" in told[0]
    assert "freeze v" in told[0]
    module = load_plain(source)
    params = module.init()
    state = module.init_state(params)
    module.train_step(params, state, np.ones((4, 3)))
    np.testing.assert_array_equal(params["v"], [1.0, 1.0])
    assert (params["w"] != 1.0).all()


def test_a_parameter_that_goes_through_steps_alone_is_a_warning():
    """The loss reads it, and its derivative is 0 everywhere."""
    text = f"{ROWS}param w[3] ~ ones\nparam v[3] ~ ones\np[b] = argmax[i](x[b, i] * w[i])\n"
    _, (told,) = answer(f"{text}loss mean(p) + mean(x @ v)\n")
    assert "m.grad:3:1: warning: the derivative of the loss by w is 0 everywhere: it will not be trained" in told
    assert "such as argmax, floor, a comparison or stop_gradient" in told


def test_a_loss_without_parameters():
    assert compiled("loss 3\n").loss_and_gradients(compiled("loss 3\n").init())[0] == 3.0
    source, told = answer(f"{SCALAR}loss 3\n")
    assert "the loss does not depend on w" in told[0]
    module = load_plain(source)
    loss, gradients = module.loss_and_gradients(module.init())
    assert (loss, gradients["w"]) == (3.0, 0.0)


def test_a_model_without_inputs():
    module = compiled("param w[3] ~ ones\npredict p = w * 2\nloss sum(w^2)\n")
    params = module.init()
    loss, gradients = module.loss_and_gradients(params)
    assert loss == 3.0
    np.testing.assert_array_equal(gradients["w"], [2.0, 2.0, 2.0])
    np.testing.assert_array_equal(module.predict(params), [2.0, 2.0, 2.0])
    assert module.evaluate(params) == {"loss": 3.0}


def test_a_model_without_parameters():
    module = compiled(f"{ROWS}target y[batch]\npredict p = x * 2\nloss mean(x) * mean(y)\nmetric m = sum(y)\n")
    params = module.init()
    x, y = np.ones((2, 3)), np.array([1.0, 3.0])
    assert module.train_step(params, module.init_state(params), x, y) == 2.0
    assert module.evaluate(params, x, y) == {"loss": 2.0, "m": 4.0}
    np.testing.assert_array_equal(module.predict(params, x), x * 2)


def test_inputs_that_nobody_reads_are_checked_all_the_same():
    module = compiled(f"{ROWS}input z[batch], k : int(4)\n{SCALAR}predict p = x * w\nloss mean(x) * w\n")
    params = module.init()
    assert module.loss_and_gradients(params, np.ones((2, 3)), np.ones(2), 3)[0] == 1.0
    with pytest.raises(ValueError, match="z is"):
        module.predict(params, np.ones((2, 3)), np.ones(3), 3)
    with pytest.raises(ValueError, match="k holds whole numbers from 0, below 4"):
        module.predict(params, np.ones((2, 3)), np.ones(2), 4)


def test_scalars_and_truths():
    text = "dim batch\ninput x[batch, 3], f[batch] : bool, g[] : bool, s\nparam w[3] ~ ones\n"
    text += "h[b] = if f[b] and g then sum[i](x[b, i] * w[i]) * s else 0\nloss mean(h)\n"
    module = compiled(f"{text}predict q = if g then 1 else 0\npredict r = x > 0\npredict t = argmax(x)\n")
    params = module.init()
    x, f = np.arange(6.0).reshape(2, 3), np.array([True, False])
    assert module.loss_and_gradients(params, x, f, True, 2.0)[0] == 3.0
    assert module.loss_and_gradients(params, x, f, np.False_, 2.0)[0] == 0.0
    predicted = module.predict(params, x, f, True, 2.0)
    assert predicted["q"] == 1
    np.testing.assert_array_equal(predicted["r"], x > 0)
    np.testing.assert_array_equal(predicted["t"], [2, 2])


def gradient_agrees(module: ModuleType, *arrays: Any) -> None:
    params = module.init(seed=3)
    _, gradients = module.loss_and_gradients(params, *arrays)
    for at in range(params.flat.size):
        kept, losses = params.flat[at], []
        for step in (1e-6, -1e-6):
            params.flat[at] = kept + step
            losses.append(module.loss_and_gradients(params, *arrays)[0])
        params.flat[at] = kept
        np.testing.assert_allclose(gradients.flat[at], (losses[0] - losses[1]) / 2e-6, rtol=1e-5, atol=1e-7)


ONES = """
dim a = 1, b = 1, c = 1
input x[a, b, c]
param w[b, c, a] ~ normal()
h[i, j, k] = x[i, j, k] * w[j, k, i]
g[i, k] = softmax[k](sum[j](h[i, j, k]))
predict g
loss sum(g^2) + max(h) + logsumexp[i](h[i, 0, 0]) + mean(h)
"""


def test_every_dim_of_size_1():
    module = compiled(ONES)
    gradient_agrees(module, np.full((1, 1, 1), 0.7))


def test_one_example():
    module = compiled(swap(DENSE, "h = x @ w", "h = dense(relu(x @ w), 2)"))
    gradient_agrees(module, np.random.default_rng(0).normal(size=(1, 3)))


def test_many_axes():
    axes = "2, 1, 3, 1, 2, 2, 1"
    text = f"dim b\ninput x[b, {axes}]\nparam w[{axes}] ~ normal()\n"
    text += "h[n, i, j, k, l, m, o, p] = tanh(x[n, i, j, k, l, m, o, p] * w[i, j, k, l, m, o, p])\n"
    module = compiled(f"{text}q = reshape(h, [b, 12, 2])\npredict q\nloss mean(h) + max(q)\n")
    gradient_agrees(module, np.random.default_rng(0).normal(size=(2, 2, 1, 3, 1, 2, 2, 1)))


def test_two_logsumexps_of_one_tensor():
    """Each has its own maximum, exponentials and total, although all are named after the tensor."""
    text = f"{ROWS}{SCALAR}h = x * w\nu[k] = logsumexp[i](h[k, i])\nv[i] = logsumexp[k](h[k, i])\n"
    module = compiled(f"{text}z[k] = softmax[k](h[k, 0])\nloss mean(u) + mean(v) + mean(z^2)\n")
    x = np.random.default_rng(0).normal(size=(4, 3))
    z = np.exp(x[:, 0]) / np.exp(x[:, 0]).sum()
    expected = np.log(np.exp(x).sum(1)).mean() + np.log(np.exp(x).sum(0)).mean() + (z**2).mean()
    np.testing.assert_allclose(module.loss_and_gradients(module.init(), x)[0], expected)
    gradient_agrees(module, x)


def test_numbers_at_the_ends():
    """What no float holds is infinite or 0, as it is in float arithmetic, and compiles."""
    for factor, expected in {"1e300 * 1e300": np.inf, "1e-200 * 1e-200": 0.0, "1e308": 1e308}.items():
        module = compiled(f"{SCALAR}loss w * {factor}\n")
        np.testing.assert_array_equal(module.loss_and_gradients(module.init())[0], expected)


def test_a_million_parameters():
    module = compiled("input x[1000000]\nparam w[1000000] ~ ones\nloss sum(x * w)\n")
    assert module.init().flat.size == 1_000_000


def test_two_hundred_predictions():
    text = DENSE + "".join(f"predict p{k} = h * {k}\n" for k in range(200))
    module = compiled(text)
    params = module.init()
    x = np.ones((2, 3))
    predicted = module.predict(params, x)
    assert len(predicted) == 200
    np.testing.assert_allclose(predicted["p199"], x @ params["w"] * 199)


def test_many_layers():
    text = "dim batch\ninput x[batch, 4]\nh = x\nrepeat 30: h = tanh(dense(h, 4))\nloss mean(h^2)\n"
    started = time.process_time()
    module = compiled(text)
    assert time.process_time() - started < 10.0
    assert len(module.PARAMS) == 60
    assert [*module.PARAMS][-1] == "h_31.bias"


COUNTER = """
shared def cell(q[b, i]):
    param w[i] ~ ones
    state count[] ~ zeros
    update count = count + 1
    return[b, j] = q[b, j] * w[j] * count / 300
"""


def test_a_state_that_many_calls_change():
    """Each call sees what the calls before left: a chain of products through all of them."""
    module = compiled(f"{ROWS}{COUNTER}h = x\nrepeat 300: h = cell(h)\nloss mean(h)\n")
    params = module.init()
    module.train_step(params, module.init_state(params), np.ones((2, 3)))
    assert params["cell.count"] == 300.0


TWICE = {
    "products of exponentials": ("exp(x * w)", "exp(x)", "a * b", "log(b) + log(1 + b)"),
    "products": ("x * w", "x", "a * b", "log(1 + exp(b)) + 1 / (1 + exp(-b))"),
    "sums of products": ("x * w", "x", "a * b + a", "log(exp(a) + exp(b)) + exp(a) / (exp(a) + exp(b))"),
    "sums": ("x * w", "x", "a + b", "log(1 + exp(b))"),
}
"""Each round reads the two before it: written out, the last is as long as the Fibonacci number of the rounds."""


@pytest.mark.parametrize("name", TWICE)
def test_what_is_read_twice_is_not_written_out(name):
    first, second, joined, last = TWICE[name]
    rounds = f"repeat 60:\n    c = {joined}\n    a = b\n    b = c\n"
    text = f"{ROWS}{SCALAR}a = {first}\nb = {second}\n{rounds}loss mean({last})\n"
    started = time.process_time()
    compiled(text)
    assert time.process_time() - started < SECONDS


def test_long_constants_are_within_what_float32_holds():
    """0.9^60, folded, is 9^60 over 10^60: each of them is infinite in float32, their ratio would be NaN."""
    text = f"{ROWS}{SCALAR}h = tanh(x) * w\nrepeat 60: h = h * 0.9\nloss sum(h)\n"
    module = load_plain(pipeline.emit(text, file="m.grad", dtype="float32"))
    loss, gradients = module.loss_and_gradients(module.init(), np.ones((1, 3), np.float32))
    np.testing.assert_allclose(loss, 3 * np.tanh(1) * 0.9**60, rtol=1e-5)
    np.testing.assert_allclose(gradients["w"], 3 * np.tanh(1) * 0.9**60, rtol=1e-5)


def _branches(count: int, condition: str) -> str:
    functions = ("tanh", "sigmoid", "exp", "sin", "softplus", "sqrt")
    cases = "".join(
        f"if {condition.format(k)} then {functions[k % 6]}(h[b, j] * {k + 1} / 50) else " for k in range(count)
    )
    text = f"dim batch\ninput x[batch, 3], k[batch] : int({count + 1})\nh = dense(x / 9, 3)^2 + 0.1\n"
    return f"{text}z[b, j] = {cases}h[b, j]\nloss mean(z)\npredict z\n"


@pytest.mark.parametrize("condition", ["k[b] == {0}", "x[b, j] > {0}"])
def test_many_branches(condition):
    """They compile soon, and fit in a line each: `if`, `elif` and `else` where one expression would be too long."""
    started = time.process_time()
    source, _ = answer(_branches(24, condition))
    assert time.process_time() - started < 2 * SECONDS
    assert max(map(len, source.splitlines())) <= 120
    x = np.random.default_rng(0).normal(size=(9, 3)) * 12
    gradient_agrees(load_plain(source), x, np.arange(9) % 25)


# ---------------------------------------------------------------- optimizers of one's own


RULES: dict[str, tuple[str, Callable[..., tuple[Any, Any]]]] = {
    "heavy ball": ("old = p\np = p - lr * g + (p - s) / 2\ns = old", lambda p, g, s: (p - g / 4 + (p - s) / 2, p)),
    "swap": ("old = p\np = s\ns = old", lambda p, g, s: (s, p)),
    "both the same": ("p = p - lr * g\ns = p", lambda p, g, s: (p - 0.25 * g, p - 0.25 * g)),
    "the gradient kept": ("s = g\np = p - s", lambda p, g, s: (p - g, g)),
    "nothing": ("s = s\np = p", lambda p, g, s: (p, s)),
    "the gradient alone": ("p = g\ns = g", lambda p, g, s: (g, g)),
    "a state left alone": ("p = p - g", lambda p, g, s: (p - g, s)),
    "the old value after a sum": (
        "total = sum(p^2)\nold = p\np = p - lr * g\ns = s + old * total + sum(old * g)",
        lambda p, g, s: (p - 0.25 * g, s + p * (p**2).sum() + (p * g).sum()),
    ),
    "by its norm": (
        "r = sqrt(sum(p^2)) / sqrt(sum(g^2))\ns = s + g\np = p - lr * r * s",
        lambda p, g, s: (p - 0.25 * np.sqrt((p**2).sum() / (g**2).sum()) * (s + g), s + g),
    ),
}  # fmt: skip


@pytest.mark.parametrize("axes", ["", "[3]", "[2, 3]"])
@pytest.mark.parametrize("rule", RULES)
def test_rules_store_after_all_have_read(rule, axes):
    """`p` and the states are written in place, and what is read of them is what they were."""
    module = compiled(with_rule(rule, axes))
    params = module.init(seed=1)
    state = module.init_state(params)
    for _ in range(2):
        gradient = module.loss_and_gradients(params)[1].flat
        kept = state.flat.copy() if state.flat.size else 0.5
        value, kept = RULES[rule][1](params.flat.copy(), gradient, kept)
        module.train_step(params, state)
        np.testing.assert_allclose(params.flat, value)
        if state.flat.size:
            np.testing.assert_allclose(state.flat, kept * np.ones(state.flat.size))


def with_rule(rule: str, axes: str) -> str:
    """A model whose optimizer is one of the rules, with lr = 1/4 and a state s that starts as 1/2."""
    lines = "".join(f"    {line}\n" for line in ("state s ~ 0.5", *RULES[rule][0].split("\n")))
    loss = "sum((w - 2)^2)" if axes else "(w - 2)^2"
    return f"param w{axes} ~ normal()\nloss {loss}\noptimizer o(lr = 0.1):\n{lines}optimize o(lr = 0.25)\n"


def test_a_compiled_rule_with_sums(tmp_path):
    """Its values wait in memory of its own until all sums are known."""
    rule = "the old value after a sum"
    module = load_compiled(answer(with_rule(rule, "[2, 3]"))[0], tmp_path)
    params = module.init(seed=1)
    state = module.init_state(params)
    value, kept = RULES[rule][1](params.flat.copy(), 2 * (params.flat - 2), state.flat.copy())
    module.train_step(params, state)
    np.testing.assert_allclose(params.flat, value)
    np.testing.assert_allclose(state.flat, kept)


# ---------------------------------------------------------------- files of others


def outside_folders(path: Path) -> tuple[Path, Path]:
    """A model's folder, and beside it a file that is none of its business."""
    inside, secret = path / "models", path / "secret.grad"
    inside.mkdir()
    secret.write_text("def leak(a) = a * 12345\n")
    return inside, secret


def test_no_use_leaves_the_folder(tmp_path):
    inside, secret = outside_folders(tmp_path)
    (inside / "link.grad").symlink_to(secret)
    (inside / "folder").symlink_to(tmp_path)
    (inside / "dir.grad").mkdir()
    (inside / "real.grad").write_text("def twice(a) = a * 2\n")
    ways = [
        "../secret.grad", str(secret), "link.grad", "folder/secret.grad", "./../secret.grad", "folder/../secret.grad",
        "real.grad/../../secret.grad", "..\\secret.grad", "~/secret.grad", "file:///etc/passwd", "C:/secret.grad",
        "//etc/passwd", "/dev/stdin", "/proc/self/environ", "", ".", "dir.grad", "REAL.GRAD/..", "real.grad\0",
    ]  # fmt: skip
    for way in ways:
        text, codes = answer(f'use "{way}"\n{SCALAR}loss w\n', folder=inside)
        assert codes, way
        assert "12345" not in text
        assert text.startswith("m.grad:1:"), way
    assert "twice" in answer(f'use "real.grad"\n{SCALAR}loss twice(w)\n', folder=inside)[0]


def test_files_that_use_each_other(tmp_path):
    (tmp_path / "a.grad").write_text('use "b.grad"\ndef f(x) = g(x)\n')
    (tmp_path / "b.grad").write_text('use "a.grad"\ndef g(x) = x\n')
    text = answer(f'use "a.grad"\n{SCALAR}loss f(w)', tmp_path)[0]
    assert "b.grad:1:5: error: these files use each other: a.grad → b.grad → a.grad" in text
    assert "= put what both need into a file of its own" in text
    (tmp_path / "m.grad").write_text(f'use "m.grad"\n{SCALAR}loss w')
    text = answer((tmp_path / "m.grad").read_text(), tmp_path)[0]
    assert "m.grad:1:5: error: m.grad uses itself" in text
    assert "= delete this line" in text
    assert "m.grad:1:5: error: m.grad uses itself" in gradc_("check", tmp_path / "m.grad").stderr


def test_no_data_leaves_the_folder(tmp_path, monkeypatch):
    inside, _ = outside_folders(tmp_path)
    np.savez(tmp_path / "secret.npz", x=np.zeros((4, 3)))
    (inside / "link.npz").symlink_to(tmp_path / "secret.npz")
    (inside / "folder").symlink_to(tmp_path)
    monkeypatch.chdir(inside)
    for way in (
        "../secret.npz",
        str(tmp_path / "secret.npz"),
        "link.npz",
        "folder/secret.npz",
        "..\\secret.npz",
        "~/x.npz",
    ):
        (inside / "m.grad").write_text(f'{DENSE}data "{way}"\n')
        result = gradc_("train", "m.grad")
        assert result.exit_code == 1, way
        assert "leaves the folder" in result.stderr or "an absolute path" in result.stderr
    assert sorted(path.name for path in inside.iterdir()) == ["folder", "link.npz", "m.grad"]


def test_compiling_opens_nothing_and_starts_nothing(tmp_path):
    """An untrusted model file can be compiled: nothing of it runs, and nothing but its folder is read."""
    (tmp_path / "blocks.grad").write_text("def twice(a) = a * 2\n")
    text = f'use "blocks.grad"\n{DENSE}data "https://example.com/x.npz"\npredict p = twice(h)\n'
    answer(text, tmp_path)  # what the compiler itself reads is read now
    touched: list[str] = []

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if not watching:
            return
        if event in ("os.system", "subprocess.Popen", "socket.connect", "os.remove", "os.rename", "os.mkdir"):
            touched.append(event)
        if event == "open" and not (str(arguments[0]).startswith(allowed) and not arguments[2] & writing):
            touched.append(f"open {arguments[0]}")

    writing = os.O_WRONLY | os.O_RDWR
    allowed = (str(tmp_path), sys.prefix, sys.base_prefix, str(Path(gradc.__file__).parents[1]), "<")
    watching = True
    sys.addaudithook(watch)
    source, _ = answer(text, tmp_path)
    watching = False
    assert source.startswith('"""')
    assert touched == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["blocks.grad"]


# ---------------------------------------------------------------- the command line


MODEL = "dim b\ninput x[b, 2]\ntarget y[b] : int(2)\nh = dense(x, 2)\npredict h\nloss mean(cross_entropy(h, y))\n"


def gradc_(*arguments: object) -> Result:
    result = CliRunner().invoke(program, list(map(str, arguments)))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    return result


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in, with files of all kinds."""
    (tmp_path / "m.grad").write_text(MODEL)
    (tmp_path / "empty.grad").write_text("")
    (tmp_path / "latin.grad").write_bytes(b"loss 1 # \xff")
    (tmp_path / "big.grad").write_bytes(b"\0" * 5_000_000)
    (tmp_path / "folder.grad").mkdir()
    (tmp_path / "nowhere.grad").symlink_to("absent")
    (tmp_path / "circle.grad").symlink_to("circle.grad")
    os.mkfifo(tmp_path / "pipe.grad")
    (tmp_path / "wrong.grad").write_text("x = \nloss y")
    np.savez(tmp_path / "m.npz", x=np.ones((4, 2)), y=np.zeros(4, int))
    monkeypatch.chdir(tmp_path)
    return tmp_path


WITH_A_MODEL: dict[str, tuple[str, ...]] = {
    "compile": ("compile",), "train": ("train",), "check": ("check",), "inspect": ("inspect",),
    "graph": ("inspect", "--stage", "graph"), "picture": ("graph", "--dot"), "derive": ("derive", "--of", "h.weight"),
    "predict": ("predict", "--weights", "w.safetensors", "--data", "m.npz"),
}  # fmt: skip


@pytest.mark.parametrize("command", WITH_A_MODEL)
def test_files_that_are_no_models(folder, command):
    before = sorted(folder.iterdir())
    for name, message in {
        "absent.grad": "error: there is no file absent.grad",
        "empty.grad": "empty.grad:1:1: error: the file is empty",
        "latin.grad": "latin.grad:1:10: error: this file is not UTF-8: byte 0xff is not text",
        "big.grad": "big.grad:1:1: error: this file has 5,000,000 bytes",
        "folder.grad": "folder.grad is a folder; a model file is wanted",
        "nowhere.grad": "it is a link that leads nowhere",
        "circle.grad": "it is a link that leads nowhere",
        "pipe.grad": "pipe.grad is not a regular file",
        "wrong.grad": "wrong.grad:1:4: error: the right side is missing",
        "/dev/null": "/dev/null is not a regular file",
        "": "is a folder; a model file is wanted",
        "x" * 300: "cannot be read: File name too long",
    }.items():
        result = gradc_(*WITH_A_MODEL[command], name)
        assert result.exit_code == 1, name
        assert message in result.stderr
        assert result.stdout == ""
    assert sorted(folder.iterdir()) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_files_that_may_not_be_touched(folder):
    (folder / "m.grad").chmod(0)
    assert "cannot be read: Permission denied" in gradc_("check", "m.grad").stderr
    (folder / "m.grad").chmod(0o600)
    (folder / "locked").mkdir(0o500)
    assert "cannot be written: Permission denied" in gradc_("compile", "m.grad", "-o", "locked").stderr


def test_compile_overwrites_nothing_of_others(folder):
    (folder / "m.py").write_text("print('mine')\n")
    result = gradc_("compile", "m.grad")
    assert result.exit_code == 1
    assert "m.py is there already, and gradc did not write it" in result.stderr
    assert (folder / "m.py").read_text() == "print('mine')\n"
    (folder / "m.py").unlink()
    (folder / "m.py").mkdir()
    assert "m.py cannot be written: Is a directory" in gradc_("compile", "m.grad").stderr
    for target in ("m.npz", "/dev/null", "x" * 300):
        assert gradc_("compile", "m.grad", "-o", target).exit_code == 1


@pytest.mark.parametrize("name", ["numpy", "numba", "math", "class", "os", "threading"])
def test_modules_that_would_hide_others_are_not_written(folder, name):
    """`numpy.py` beside a script would be what its own `import numpy` finds."""
    (folder / "n.grad").write_text(f"model {name}\n{MODEL}")
    result = gradc_("compile", "n.grad")
    assert result.exit_code == 1
    assert f"give the model another name: model my_{name}" in result.stderr
    assert not (folder / f"{name}.py").exists()


@pytest.mark.parametrize(
    "name", ["two words", "a-b", "ünï", 'a"""b', "a'b", "a\\b", "a{b}", "a%sb", "a\nb", "é\udcff", "-"]
)
def test_names_of_files(folder, name):
    """Whatever a file is called, it compiles, and the module holds its name as text."""
    (folder / f"{name}.grad").write_text(MODEL)
    result = gradc_("compile", "--out", "out", "--", f"{name}.grad")
    assert result.exit_code == 0, result.stderr
    (written,) = (folder / "out").iterdir()
    assert name == load_plain(written.read_text(encoding="utf-8")).NAME


def test_options_that_make_no_sense(folder):
    for arguments, code, message in (
        (("train", "m.grad"), 1, 'give --data FILE, or write a line in the model: data "m.npz"'),
        (("train", "m.grad", "--data", "absent.npz"), 1, "there is no data file absent.npz"),
        (("train", "m.grad", "--data", "."), 1, "= an .npz or .csv file is wanted"),
        (("train", "m.grad", "--data", "m.grad"), 1, "data is an .npz or a .csv file"),
        (("train", "m.grad", "--data", "m.npz", "--resume", "m.npz"), 1, "is not a file of weights"),
        (("train", "m.grad", "--data", "m.npz", "--out", "absent/w.safetensors"), 1, "there is no folder absent"),
        (("train", "m.grad", "--data", "m.npz", "--out", "."), 1, ". cannot be written: it is a folder"),
        (("train", "m.grad", "--data", "m.npz", "--lr", "nan"), 1, "lr is a finite number, at least 0, not nan"),
        (("train", "m.grad", "--data", "m.npz", "--lr", "inf"), 1, "lr is a finite number, at least 0, not inf"),
        (("train", "m.grad", "--data", "m.npz", "--validation", "nan"), 1, "a fraction from 0 to below 1, not nan"),
        (("train", "m.grad", "--data", "m.npz", "--validation", "0.99"), 1, "leaves none to train on"),
        (("train", "m.grad", "--data", "m.npz", "--epochs", "0"), 2, "'0' is not a whole number of at least 1"),
        (("train", "m.grad", "--data", "m.npz", "--batch", "-1"), 2, "'-1' is not a whole number of at least 1"),
        (("derive", "m.grad", "--of", "h.wieght"), 1, "there is no parameter h.wieght"),
        (("derive", "m.grad", "--of", ""), 1, "the parameters that are trained: h.weight, h.bias"),
        (("inspect", "m.grad", "--of", "zz"), 1, "there is no tensor zz"),
        (("predict", "m.grad", "--weights", "absent", "--data", "m.npz"), 1, "there is no file absent"),
        (("compile", "m.grad", "wrong.grad"), 2, "unexpected extra argument"),
        (("compile", "-"), 1, "there is no file -"),
        (("new", "a b"), 1, "'a b' is no name"),
        (("new", ""), 1, "is no name"),
        (("new", "m"), 1, "m.grad is there already"),
        (("new", "x" * 300), 1, "is too long a path"),
        (("train", "m.grad", "--data", "m.npz", "--resume", "x" * 300), 1, "is too long a path"),
    ):  # fmt: skip
        result = gradc_(*arguments)
        assert (result.exit_code, message in result.stderr) == (code, True), (arguments, result.stderr)


def test_nothing_of_a_model_reaches_the_terminal_as_a_command(folder):
    (folder / "m.grad").write_text(f"# \x1b[31m\x07\n{MODEL}x = \x1b]0;title\x07\n")
    for command in WITH_A_MODEL.values():
        result = gradc_(*command, "m.grad")
        assert result.exit_code == 1
        assert not set(result.output) & set("\x1b\x07")


def shell(command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A process of its own, where streams and variables may be anything."""
    environment = {"PATH": os.environ["PATH"], "GRADC_CACHE": os.environ["GRADC_CACHE"], **variables}
    gradc_command = f"{sys.executable} -m gradc"
    return subprocess.run(
        ["bash", "-c", command.replace("gradc", gradc_command)],
        capture_output=True, text=True, env=environment, check=False, timeout=60,
    )  # fmt: skip


def test_streams_that_are_closed_or_full(folder):
    for command, code in {
        "gradc inspect m.grad --stage syntax >&-": 0,
        "gradc compile wrong.grad 2>&-": 1,
        "set -o pipefail; gradc inspect m.grad --stage syntax | head -c 1": 0,
    }.items():
        run = shell(command)
        assert run.returncode == code, run.stderr
        assert "Traceback" not in run.stderr
    if Path("/dev/full").exists():
        run = shell("gradc inspect m.grad --stage syntax > /dev/full")
        message = "error: the output cannot be written: No space left on device\n     = make room"
        assert run.returncode == 1
        assert run.stderr.startswith(message)


def test_odd_surroundings(folder):
    """No home, no cache, a terminal that knows nothing, an encoding that has no Greek."""
    (folder / "m.grad").write_text(f"{MODEL}# αβ\n")
    for variables in (
        {"HOME": "/nonexistent", "GRADC_CACHE": "/proc/none"},
        {
            "TERM": "dumb",
            "NO_COLOR": "1",
            "COLUMNS": "1",
            "PYTHONIOENCODING": "ascii",
            "LC_ALL": "C",
            "PYTHONUTF8": "0",
        },
    ):
        run = shell("gradc compile m.grad -o out", **variables)
        assert run.returncode == 0, run.stderr
        assert "Traceback" not in run.stderr
        assert run.stdout.startswith("out/m.py: <gradc model m: x[b, 2]")
        assert run.stderr.count("cannot be used as cache") == ("/proc/none" in variables.values())


def test_memory_that_is_not_there(folder, monkeypatch):
    def compile_model(*_: object) -> None:
        raise MemoryError("Unable to allocate 373. GiB for an array")

    monkeypatch.setattr("gradc.commands.compile_model", compile_model)
    result = gradc_("compile", "m.grad")
    assert (result.exit_code, result.stdout) == (1, "")
    message, mend = result.stderr.splitlines()
    assert message == "error: there is not enough memory: Unable to allocate 373. GiB for an array"
    assert "make the batch smaller (--batch)" in mend
