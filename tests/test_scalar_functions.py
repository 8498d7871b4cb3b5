"""Every row of the table of scalar functions: derivatives, kinks, spellings, and what emitted code makes of it."""

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_graphs import Small
from support.emitted import load_compiled, load_plain
from sympy import Integer

from gradc.emit.style import Surroundings, body_printer
from gradc.graph import scalar
from gradc.graph.index import dim, index
from gradc.graph.interpret import interpret
from gradc.graph.latex import LATEX
from gradc.graph.nodes import Read
from gradc.graph.printing import Printer, text_of
from gradc.graph.scalar import Row
from gradc.graph.tensors import Kind
from gradc.pipeline import emit

pytestmark = pytest.mark.filterwarnings("ignore:(?s).*derivative of the loss by")
"""Of steps, and of lines twice over, it is 0: nobody trains these models."""

ROWS = {name: row for name, row in scalar.ROWS.items() if not row.draws}
"""All but random numbers, which are made of a key and a place (`test_randomness.py`)."""

NAMES = ("a", "b", "c")
N, PLACE = dim("n"), index("i")
NAN, INF = float("nan"), float("inf")
READS = tuple(Read(name, (PLACE,)) for name in NAMES)

LOGIC = ("and", "or", "not")
"""Rows that take truth values."""

DOMAIN: Mapping[str, tuple[float, float]] = {
    "log": (0.2, 3), "log1p": (-0.8, 3), "sqrt": (0.2, 3), "asin": (-0.9, 0.9), "acos": (-0.9, 0.9), "pow": (0.2, 3),
    "floordiv": (0.3, 4), "mod": (0.3, 4),
}  # fmt: skip
"""Where random arguments lie; from -2.5 to 2.5 by default."""

IN_JAX: Mapping[str, Callable[..., Any]] = {
    "exp": jnp.exp, "sqrt": jnp.sqrt, "log": jnp.log, "log1p": jnp.log1p, "expm1": jnp.expm1, "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid, "softplus": jax.nn.softplus, "erf": jax.scipy.special.erf, "sin": jnp.sin,
    "cos": jnp.cos, "tan": jnp.tan, "asin": jnp.arcsin, "acos": jnp.arccos, "atan": jnp.arctan, "sinh": jnp.sinh,
    "cosh": jnp.cosh, "abs": jnp.abs, "sign": jnp.sign, "floor": jnp.floor, "round": jnp.round,
    "stop_gradient": jax.lax.stop_gradient, "floordiv": jnp.floor_divide, "mod": jnp.mod, "max": jnp.maximum,
    "min": jnp.minimum, "clip": jnp.clip, "pow": jnp.power, "where": lambda c, a, b: jnp.where(c > 0, a, b),
}  # fmt: skip
TRUTHS = ("lt", "le", "eq", "ne", *LOGIC)

KINKS: Mapping[str, tuple[tuple[tuple[float, ...], tuple[float, ...]], ...]] = {
    "abs": (((0,), (0,)), ((-0.0,), (0,)), ((-2,), (-1,))),
    "sign": (((0,), (0,)), ((3,), (0,))),
    "floor": (((2,), (0,)), ((0.5,), (0,))),
    "round": (((0.5,), (0,)), ((1.5,), (0,))),
    "stop_gradient": (((2,), (0,)),),
    "floordiv": (((4, 2), (0, 0)), ((5, 2), (0, 0))),
    "mod": (((4, 2), (1, -2)), ((5, 2), (1, -2)), ((-1, 2), (1, 1))),
    "sqrt": (((0,), (INF,)),),
    "max": (((1, 1), (0.5, 0.5)), ((1, 2), (0, 1)), ((2, 1), (1, 0))),
    "min": (((1, 1), (0.5, 0.5)), ((1, 2), (1, 0)), ((2, 1), (0, 1))),
    "clip": (((0, 0, 1), (1, 0, 0)), ((1, 0, 1), (1, 0, 0)), ((2, 0, 1), (0, 0, 1)), ((-1, 0, 1), (0, 1, 0))),
    "pow": (
        ((0, 2), (0, 0)), ((0, 1), (1, 0)), ((0, 0), (0, 0)), ((0, 0.5), (INF, 0)), ((3, 0), (0, np.log(3))),
        ((-2, 3), (12, NAN)),
    ),
    "where": (((1, 5, 7), (0, 1, 0)), ((0, 5, 7), (0, 0, 1))),
    "lt": (((0, 0), (0, 0)),), "le": (((0, 0), (0, 0)),), "eq": (((0, 0), (0, 0)),), "ne": (((0, 0), (0, 0)),),
    "and": (((1, 0), (0, 0)),), "or": (((1, 0), (0, 0)),), "not": (((1,), (0,)),),
}  # fmt: skip
"""For every row with a kink: arguments, and the derivative by each of them. They are PyTorch's, asked of 2.13."""

WHOLE_POINTS = (0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 1.5, 2.5, 40.0, -40.0)
UNARY_POINTS = (*WHOLE_POINTS, 1e-300, 710.0, -745.0, 1e300, -1e300, INF, -INF, NAN)
POINTS = (0.0, 1.0, -1.0, 0.5, 3.0, -2.0, INF, -INF, NAN)
ULPS = {"float64": 1e-14, "float32": 2e-6}

SOME_LOSS = "param w ~ zeros\nloss w^2\n"

every_row = pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())


def called(row: Row) -> Any:
    """The function of its reads; a number above 0 is true where a truth value is wanted."""
    if row.name in LOGIC:
        return row(*(ROWS["lt"](Integer(0), read) for read in READS[: row.arity]))
    if row.name == "where":
        return row(ROWS["lt"](Integer(0), READS[0]), READS[1], READS[2])
    return row(*READS[: row.arity])


def arguments(row: Row, count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    low, high = DOMAIN.get(row.name, (-2.5, 2.5))
    if row.name == "clip":
        x, ends = rng.uniform(low, high, count), np.sort(rng.uniform(low, high, (2, count)), axis=0)
        return [x, ends[0], ends[1]]
    return [rng.uniform(low, high, count) for _ in range(row.arity)]


def truths(row: Row, values: list[np.ndarray]) -> list[np.ndarray]:
    """Arguments as the row's plain meaning takes them."""
    if row.name in LOGIC:
        return [value > 0 for value in values]
    return [values[0] > 0, *values[1:]] if row.name == "where" else values


def computed(body: Any, values: list[np.ndarray]) -> np.ndarray:
    """A body by the interpreter, at every place."""
    small = Small()
    for name in NAMES[: len(values)]:
        small.leaf(name, N)
    graph = small.tensor("out", N).write("out", (PLACE,), {"i": N}, body).graph()
    return interpret(graph, dict(zip(NAMES, values, strict=False)), {"n": len(values[0])})["out"]


def slopes(row: Row, values: list[np.ndarray]) -> list[np.ndarray]:
    """The row's own derivative by each argument."""
    body = called(row)
    assert row.derivative is not None
    partial = row.derivative(body, *body.args)
    assert len(partial) == row.arity
    return [computed(part, values) for part in partial]


# ---------------------------------------------------------------- derivatives


@every_row
def test_derivative_is_that_of_central_differences(row: Row) -> None:
    values = arguments(row, 40)
    step = 1e-6
    for place, slope in enumerate(slopes(row, values)):
        if row.name == "stop_gradient":
            np.testing.assert_array_equal(slope, 0)
            continue
        ends = []
        for sign in (1, -1):
            moved = [value + sign * step * (at == place) for at, value in enumerate(values)]
            ends.append(np.asarray(row.numpy(*truths(row, moved)), np.float64))
        np.testing.assert_allclose(slope, (ends[0] - ends[1]) / (2 * step), rtol=1e-7, atol=1e-8)


@every_row
def test_derivative_is_that_of_jax(row: Row) -> None:
    values = arguments(row, 40)
    found = slopes(row, values)
    if row.name in TRUTHS:
        for slope in found:
            np.testing.assert_array_equal(slope, 0)
        return
    with jax.enable_x64(True):
        total = jax.grad(lambda *at: IN_JAX[row.name](*at).sum(), argnums=tuple(range(row.arity)))
        for slope, wanted in zip(found, total(*map(jnp.asarray, values)), strict=True):
            np.testing.assert_allclose(slope, wanted, rtol=1e-9, atol=1e-12)


@every_row
def test_value_is_that_of_jax(row: Row) -> None:
    if row.name in TRUTHS:
        return
    values = arguments(row, 40)
    with jax.enable_x64(True):
        wanted = IN_JAX[row.name](*map(jnp.asarray, values))
        np.testing.assert_allclose(computed(called(row), values), wanted, rtol=1e-14, atol=1e-15)


@every_row
def test_every_kink_is_pinned(row: Row) -> None:
    assert bool(row.kinks) == (row.name in KINKS)
    for place, wanted in KINKS.get(row.name, ()):
        values = [np.array([float(value)]) for value in place]
        found = [float(slope[0]) for slope in slopes(row, values)]
        np.testing.assert_array_equal(found, wanted, err_msg=f"{row.name}{place}")


@every_row
def test_probes_have_as_many_numbers_as_the_row_takes(row: Row) -> None:
    assert all(len(probe) == row.arity for probe in row.probes)


@every_row
def test_a_row_without_derivative_says_why(row: Row) -> None:
    assert (row.derivative is not None) or row.why


# ---------------------------------------------------------------- spellings


@every_row
def test_printed_text_is_the_language(row: Row) -> None:
    """It compiles, and means what was printed."""
    values = arguments(row, 6)
    body = called(row)
    shown = text_of(ROWS["where"](body, Integer(1), Integer(0)) if row.gives == "bool" else body)
    names = ", ".join(f"{name}[n]" for name in NAMES[: row.arity])
    module = load_plain(emit(f"dim n\ninput {names}\nout[i: n] = {shown}\npredict out\n{SOME_LOSS}", dtype="float64"))
    found = module.predict(module.init(), *values)
    np.testing.assert_allclose(found, np.asarray(row.numpy(*truths(row, values)), np.float64), rtol=1e-13)


@every_row
def test_latex_is_balanced(row: Row) -> None:
    shown = Printer(LATEX).print(called(row))
    assert shown.count("{") == shown.count("}")
    assert shown.count(r"\left") == shown.count(r"\right")
    assert all(f"{name}_{{i}}" in shown for name in NAMES[: row.arity])


@every_row
@pytest.mark.parametrize("real", ["f4", "f8"])
def test_python_is_an_expression(row: Row, real: str) -> None:
    used: list[str] = []
    tensors = Small().leaf("a", N).leaf("b", N).leaf("c", N).tensors
    around = Surroundings(lambda name, _: f"{name}[i]", str, tensors, real, used.append)
    body = called(row)
    shown = body_printer(around, Kind.BOOL if row.gives == "bool" else Kind.REAL, False).print(body)
    code = compile(shown, "<row>", "eval")
    wider = {"i", "np", "f4", "f8", "abs", "max", "min", "int", *NAMES, *used}
    assert set(code.co_names) - {"sqrt", "floor", "rint", "sign", "isnan", "inf"} <= wider


# ---------------------------------------------------------------- emitted code

SPELT: Mapping[str, str] = {
    "lt": "a < b", "le": "a <= b", "eq": "a == b", "ne": "a != b", "and": "a > 0 and b > 0", "or": "a > 0 or b > 0",
    "not": "not a > 0", "where": "if a > 0 then b else c", "floordiv": "a // b", "mod": "a % b", "pow": "a^b",
}  # fmt: skip


def spelt(row: Row) -> str:
    """The function as a model has it; true is 1."""
    text = SPELT.get(row.name, f"{row.name}({', '.join(NAMES[: row.arity])})")
    return f"if {text} then 1 else 0" if row.gives == "bool" else text


def source(dtype: str, names: Iterable[str]) -> str:
    """One module with some rows: a prediction each, and one that keeps `predict` handing out several."""
    lines = [f"{name}_of = {spelt(ROWS[name])}" for name in names]
    predictions = [*(f"predict p_{name} = {name}_of" for name in names), "predict all = a + b + c"]
    return emit("\n".join(["dim n", "input a[n], b[n], c[n]", *lines, *predictions, SOME_LOSS]), dtype=dtype)


def special(row: Row) -> list[np.ndarray]:
    """All combinations of special points. Of what has no floor, there is no whole number."""
    axes = [UNARY_POINTS] if row.arity == 1 else [POINTS] * row.arity
    axes = [WHOLE_POINTS] if row.gives == "whole" else axes
    grid = np.stack(np.meshgrid(*axes, indexing="ij")).reshape(row.arity, -1)
    return [*grid, *np.zeros((3 - row.arity, grid.shape[1]))]


def check_emitted(module: ModuleType, row: Row) -> None:
    """Its value at special points is the row's plain meaning there."""
    values = special(row)
    with np.errstate(all="ignore"):
        values = [value.astype(module.DTYPE) for value in values]
        found = module.predict(module.init(), *values)[f"p_{row.name}"]
        exact = [value.astype(np.float64) for value in values[: row.arity]]
        wanted = np.asarray(row.numpy(*truths(row, exact))).astype(module.DTYPE)
    smallest = float(np.finfo(module.DTYPE).tiny)
    np.testing.assert_allclose(found, wanted, rtol=ULPS[module.DTYPE], atol=smallest, err_msg=row.name)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], ModuleType]:
    """The compiled modules, each made once."""
    folder: Path = tmp_path_factory.mktemp("rows")
    return cache(lambda dtype: load_compiled(source(dtype, ROWS), folder))


@every_row
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_emitted_value_at_special_points(row: Row, dtype: str) -> None:
    check_emitted(load_plain(source(dtype, [row.name])), row)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_compiled_value_at_special_points(dtype: str, compiled: Callable[[str], ModuleType]) -> None:
    for row in ROWS.values():
        check_emitted(compiled(dtype), row)


@every_row
def test_emitted_gradient_at_kinks(row: Row) -> None:
    """What is pinned of the row holds of a whole model."""
    if row.name not in KINKS:
        return
    names = NAMES[: row.arity]
    params = "\n".join(f"param {name}[1] ~ zeros" for name in names)
    module = load_plain(emit(f"{params}\nout = {spelt(row)}\nloss sum(out)\n", dtype="float64"))
    for place, wanted in KINKS[row.name]:
        given = module.init()
        for name, value in zip(names, place, strict=True):
            given[name] = value
        with np.errstate(all="ignore"):
            _, gradients = module.loss_and_gradients(given)
        found = [float(gradients[name][0]) for name in names]
        np.testing.assert_allclose(found, wanted, rtol=1e-15, err_msg=f"{row.name}{place}")


def test_the_slope_of_expm1_keeps_its_digits_far_below_zero():
    """As e^x: the result and 1 would cancel."""
    model = load_plain(emit("param x ~ zeros\nloss elu(x) + selu(x)\n", dtype="float64"))
    params = model.init(0)
    for x in (-1.0, -15.0, -40.0, -100.0):
        params["x"] = x
        slope = model.loss_and_gradients(params)[1]["x"]
        np.testing.assert_allclose(slope, (1 + 1.0507009873554804935 * 1.6732632423543772848) * np.exp(x), rtol=1e-13)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_what_is_divided_by_a_root_of_nothing_or_of_infinity(dtype: str, tmp_path: Path) -> None:
    """As IEEE 754 has it: an estimate of 1/√x that is corrected by products gives NaN there."""
    text = "dim n\ninput x[n]\npredict a = 1 / sqrt(x)\npredict b = exp(-2 / sqrt(x))\nparam w ~ ones\nloss w^2\n"
    module = load_compiled(emit(text, dtype=dtype), tmp_path)
    x = np.tile(np.array([0, 4, INF, 1e-30, 1e30, NAN], dtype), 12)
    found = module.predict(module.init(), x)
    with np.errstate(all="ignore"):
        wanted = 1 / np.sqrt(x.astype(np.float64))
    np.testing.assert_allclose(found["a"], wanted, rtol=ULPS[dtype])
    np.testing.assert_allclose(found["b"], np.exp(-2 * wanted), rtol=ULPS[dtype], atol=np.finfo(dtype).tiny)
