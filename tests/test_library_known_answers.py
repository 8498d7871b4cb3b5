"""The library in the language against stored known answers: PyTorch's, and for Lion its paper's.

tests/known_answers/make.py made them, with PyTorch; these tests need only gradc. The emitted modules run as plain
Python, one also compiled. The last tests see to it that every definition of the library says what it is, and has its
row or a reason to have none.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from importlib import resources
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from support.emitted import load_plain

import gradc
from gradc.pipeline import emit

pytestmark = pytest.mark.filterwarnings("ignore:(?s).*derivative of the loss by")
"""Of steps, and of lines twice over, it is 0: nobody trains these models."""

HERE = Path(__file__).parent / "known_answers"
ROWS = json.loads((HERE / "rows.json").read_text())
SCHEDULES = json.loads((HERE / "schedules.json").read_text())["rates"]
LAWS = json.loads((HERE / "laws.json").read_text())
with np.load(HERE / "optimizers.npz") as archive:
    TRAJECTORIES = dict(archive)
OPTIMIZERS = [name for name in TRAJECTORIES if "(" in name]
FUNCTIONS = [*ROWS["activations"], *ROWS["losses"], *ROWS["layers"]]

Row = dict[str, Any]

# rows in one model: few models to compile, and a failure still says where
TOGETHER = 12


def module_of(lines: Sequence[str]) -> ModuleType:
    """The emitted module of a model, in float64, not compiled."""
    return load_plain(emit("\n".join(lines) + "\n", dtype="float64"))


def brackets(values: object) -> str:
    """The shape of nested lists as the brackets of a declaration."""
    return "[" + ", ".join(map(str, np.shape(values))) + "]"


def renamed(row: Row, number: int) -> str:
    """The row's call with its arguments' names numbered."""
    call = row["call"]
    for name in row["arguments"]:
        call = re.sub(rf"\b{name}\b(?!\s*[=(])", f"{name}_{number}", call)
    return call


def lines_of(row: Row, number: int) -> list[str]:
    """Real arguments are parameters, so that their gradients are to be had; whole ones are inputs."""
    lines = [f"target weights_{number}{brackets(row['weights'])}"]
    for name, values in row["arguments"].items():
        shape, whole = brackets(values), row["ranges"].get(name)
        declared = f"input {name}_{number}{shape} : int({whole})" if whole else f"param {name}_{number}{shape} ~ zeros"
        lines.append(declared)
    return [*lines, f"value_{number} = {renamed(row, number)}", f"predict value_{number}"]


class Answers:
    """What gradc gives for some rows, by the rows' numbers."""

    def __init__(self, rows: Sequence[tuple[int, Row]]) -> None:
        lines = [line for number, row in rows for line in lines_of(row, number)]
        total = " + ".join(f"sum(weights_{number} * value_{number})" for number, _ in rows)
        module = module_of([*lines, f"loss {total}"])
        params = module.init()
        inputs, targets = {}, {}
        for number, row in rows:
            targets[f"weights_{number}"] = np.array(row["weights"])
            for name, values in row["arguments"].items():
                if name in row["ranges"]:
                    inputs[f"{name}_{number}"] = np.array(values)
                else:
                    params[f"{name}_{number}"] = np.array(values)
            for name, values in row.get("parameters", {}).items():
                params[f"value_{number}.{name}"] = np.array(values)
        self.values: Mapping[str, np.ndarray] = module.predict(params, **inputs)
        self.gradients = module.loss_and_gradients(params, **inputs, **targets)[1]


@cache
def answers(part: int) -> Answers:
    return Answers(list(enumerate(FUNCTIONS))[part * TOGETHER : (part + 1) * TOGETHER])


def assert_close(actual: np.ndarray, expected: object, name: str, largest: float = 0.0) -> None:
    """To 1e-9, relative, and 1e-14 of the largest entry where values cancel."""
    largest = max(largest, float(np.abs(expected).max()))
    np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-14 * largest, err_msg=name)


@pytest.mark.parametrize("number", range(len(FUNCTIONS)), ids=[row["call"] for row in FUNCTIONS])
def test_function(number: int) -> None:
    row, found = FUNCTIONS[number], answers(number // TOGETHER)
    assert_close(found.values[f"value_{number}"], row["value"], "value")
    # what cancels in one gradient, as that by the keys' bias of an attention, is of the size of the others
    largest = 10 * max((float(np.abs(gradient).max()) for gradient in row["gradients"].values()), default=0.0)
    for name, gradient in row["gradients"].items():
        place = f"value_{number}.{name}" if name in row.get("parameters", {}) else f"{name}_{number}"
        assert_close(found.gradients[place], gradient, f"gradient by {name}", largest)


# ---------------------------------------------------------------- metrics


def metrics(rows: Sequence[Row]) -> dict[str, float]:
    """Each row's call as a metric `row_<number>`."""
    lines, data = ["param unused[] ~ zeros", "loss unused^2"], {}
    for number, row in enumerate(rows):
        for name, values in row["arguments"].items():
            whole = row["ranges"].get(name)
            lines.append(f"input {name}_{number}{brackets(values)}" + (f" : int({whole})" if whole else ""))
            data[f"{name}_{number}"] = np.array(values)
        lines.append(f"metric row_{number} = {renamed(row, number)}")
    module = module_of(lines)
    return module.evaluate(module.init(), **data)


def test_metrics() -> None:
    found = metrics(ROWS["metrics"])
    for number, row in enumerate(ROWS["metrics"]):
        assert found[f"row_{number}"] == pytest.approx(row["value"], rel=1e-12), row["call"]


def test_top_k_counts_ties_for_the_example_and_nan_against_it() -> None:
    logits = [[1.0, 1.0, 1.0], [np.nan, 0.0, 0.0], [0.0, np.nan, 1.0], [np.nan, np.nan, np.nan]]
    row = {"call": "top_k(logits, y, k = 1)", "ranges": {"y": 3}, "arguments": {"logits": logits, "y": [2, 0, 2, 1]}}
    assert metrics([row])["row_0"] == 1 / len(logits)


# ---------------------------------------------------------------- schedules


@cache
def learning_rates() -> dict[str, np.ndarray]:
    """What each schedule does to a parameter whose gradient is 1: the parameter after every step, turned round."""
    names = [f"place_{number}" for number in range(len(SCHEDULES))]
    lines = [f"param {name}[] ~ zeros" for name in names] + ["loss " + " + ".join(names)]
    lines += [f"optimize {name} with sgd(lr = {text})" for name, text in zip(names, SCHEDULES, strict=True)]
    module = module_of(lines)
    params = module.init()
    state = module.init_state(params)
    places = []
    for _ in range(60):
        module.train_step(params, state)
        places.append([-float(params[name]) for name in names])
    return dict(zip(SCHEDULES, np.array(places).T, strict=True))


@pytest.mark.parametrize("text", SCHEDULES)
def test_schedule(text: str) -> None:
    rates = SCHEDULES[text]
    np.testing.assert_allclose(learning_rates()[text][: len(rates)], np.cumsum(rates), rtol=1e-12)


@pytest.mark.parametrize("text", [text for text in SCHEDULES if text.startswith(("cosine", "one_cycle"))])
def test_schedule_keeps_its_end(text: str) -> None:
    last = np.diff(learning_rates()[text])[-5:]
    np.testing.assert_allclose(last, last[-1], rtol=0, atol=1e-12)


# ---------------------------------------------------------------- initial laws


@cache
def drawn() -> dict[str, np.ndarray]:
    """A large weight of each law."""
    names = [f"weight_{number}" for number in range(len(LAWS["laws"]))]
    lines = [f"dim n = {LAWS['fan_in']}, m = {LAWS['fan_out']}"]
    lines += [f"param {name}[n, m] ~ {text}" for name, text in zip(names, LAWS["laws"], strict=True)]
    lines.append("loss " + " + ".join(f"sum({name})" for name in names))
    params = module_of(lines).init()
    return {text: np.array(params[name]) for name, text in zip(names, LAWS["laws"], strict=True)}


@pytest.mark.parametrize("text", LAWS["laws"])
def test_law(text: str) -> None:
    weight, expected = drawn()[text], LAWS["laws"][text]
    spread = expected["std"]
    # 60 000 numbers: both means are within 0.03 of a standard deviation, both deviations within 2 %
    np.testing.assert_allclose(weight.mean(), expected["mean"], rtol=1e-12, atol=0.03 * spread)
    np.testing.assert_allclose(weight.std(), spread, rtol=0.02, atol=1e-12)
    # a uniform law is told by its ends
    if "uniform" in text:
        np.testing.assert_allclose([weight.min(), weight.max()], [expected["low"], expected["high"]], rtol=0.002)


# ---------------------------------------------------------------- optimizers

TWO_LAYERS = """
dim batch
input  x[batch, 2]
target y[batch]
param w[2, 3] ~ zeros
param b[3] ~ zeros
param v[3] ~ zeros
param c[] ~ zeros
h[n, j] = tanh(sum[i](x[n, i] * w[i, j]) + b[j])
z[n]    = sum[j](h[n, j] * v[j]) + c
predict z
loss mean(squared_error(z, y))
optimize {rule}
"""


def assert_follows(rule: str, params: Any, step: Callable[[np.ndarray, np.ndarray], float]) -> None:
    """From the stored start, 20 steps with the rule go where they went when the answers were made."""
    names = ("w", "b", "v", "c")
    for name in names:
        params[name] = TRAJECTORIES[f"initial_{name}"]
    for number, expected in enumerate(TRAJECTORIES[rule], start=1):
        step(TRAJECTORIES["x"], TRAJECTORIES["y"])
        found = np.concatenate([np.ravel(params[name]) for name in names])
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12, err_msg=f"after step {number}")


@pytest.mark.parametrize("rule", OPTIMIZERS)
def test_optimizer(rule: str) -> None:
    module = module_of([TWO_LAYERS.format(rule=rule)])
    params = module.init()
    assert_follows(rule, params, partial(module.train_step, params, module.init_state(params)))


# number by number over all parameters with clipping, and parameter by parameter with a scalar of its own
@pytest.mark.parametrize("rule", ["sgd(lr = 0.05), clip_norm = 1.5", "nadam()"])
def test_optimizer_compiled(rule: str) -> None:
    model = gradc.compile_text(TWO_LAYERS.format(rule=rule), dtype="float64")
    assert_follows(rule, model.params, model.train_step)


# ---------------------------------------------------------------- the sweep

WITHOUT_ROW = {
    "cosine_between": "cosine and one_cycle are made of it",
    "dropout": "it is random",
    "share": "it is a number as it is, or refused",
    "kept": "it is a number as it is, or refused",
    "not_negative": "it is a number as it is, or refused",
    "window_places": "all windows are made of it",
    "zeros_before": "those with padding are made of it",
    "spread_places": "transposed convolutions are made of it",
    "on_line": "linear upsampling is made of it",
    "batch_norm": "it has states",
    "gradient_norm": "it is of a model's loss",
}
"""`test_randomness.py`, `test_batch_norm.py`, `test_library_against_jax.py` and `test_language_errors.py` test those
that are more than a function of their arguments."""


def test_every_definition_has_a_row_or_a_reason() -> None:
    folder = resources.files("gradc") / "language" / "std"
    texts = [file.read_text(encoding="utf-8") for file in folder.iterdir() if file.name.endswith(".grad")]
    defined = {name for text in texts for name in re.findall(r"^(?:def|optimizer) (\w+)", text, re.MULTILINE)}
    calls = [row["call"] for row in [*FUNCTIONS, *ROWS["metrics"]]]
    tested = {word for call in [*calls, *OPTIMIZERS, *SCHEDULES, *LAWS["laws"]] for word in re.findall(r"\w+", call)}
    assert defined
    assert defined - tested == set(WITHOUT_ROW)


def test_every_definition_says_what_it_is() -> None:
    folder = resources.files("gradc") / "language" / "std"
    for file in folder.iterdir():
        if file.name.endswith(".grad"):
            lines = file.read_text(encoding="utf-8").splitlines()
            for above, line in pairwise(lines):
                assert not line.startswith(("def ", "optimizer ")) or above.startswith("# "), line
