"""The prelude's functions keep the error their docstrings state, compiled and as plain Python."""

import itertools
import re
from collections.abc import Callable
from functools import cache
from types import FunctionType, SimpleNamespace
from typing import Any

import mpmath
import numpy as np
import pytest
import scipy.special
from numba import njit

from gradc.emit.prelude import AVAILABLE, prelude_imports, prelude_source, prelude_words
from gradc.graph import noise

FAST = {"arcp", "contract", "nsz", "reassoc"}
HEAD = """
import math
import numpy as np
from numba import njit
f4, f8, i4, i8 = np.float32, np.float64, np.int32, np.int64
u4, u8 = np.uint32, np.uint64
"""
COMPILED = "from gradc.emit.prelude.scope import inlined, kernel, vector"
PLAIN = "def vector(function): return function\ninlined = kernel = vector"

WIDTHS = ("float32", "float64")
# more digits than a float64 has, and enough for e^-x beside 1
MP = mpmath.mp.clone()
MP.dps = 40

REFERENCE: dict[str, Callable[[Any], Any]] = {
    **{name: getattr(MP, name) for name in ("exp", "expm1", "log", "log1p", "tanh", "sinh", "cosh", "erf")},
    **{name: getattr(MP, name) for name in ("sin", "cos", "tan", "asin", "acos", "atan")},
    "sigmoid": lambda x: 1 / (1 + MP.exp(-x)),
    "softplus": lambda x: MP.log1p(MP.exp(x)),
}
DOMAIN = {"log": (0, np.inf), "log1p": (-1, np.inf), "asin": (-1, 1), "acos": (-1, 1)}


@cache
def prelude(dtype: str, compiled: bool) -> dict[str, Any]:
    """All of the prelude as an emitted module has it, with the compiler or without."""
    lines = [
        HEAD,
        COMPILED if compiled else PLAIN,
        *prelude_imports(AVAILABLE, dtype),
        prelude_source(AVAILABLE, dtype),
    ]
    scope: dict[str, Any] = {}
    exec("\n".join(lines), scope)
    return scope


@cache
def loop(name: str, dtype: str) -> Any:
    """A kernel in which the function is first compiled, with flags that must not reach it."""
    function = prelude(dtype, compiled=True)[name]

    @njit(fastmath=FAST, error_model="numpy", nogil=True)
    def run(x: Any, out: Any) -> None:
        for n in range(x.shape[0]):
            out[n] = function(x[n])

    return run


def compiled(name: str, x: np.ndarray) -> np.ndarray:
    out = np.empty_like(x)
    loop(name, x.dtype.name)(x, out)
    return out


def plain(name: str, x: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):  # of infinities and NaN compiled code says nothing
        values = [prelude(x.dtype.name, compiled=False)[name](value) for value in x]
    assert {type(value) for value in values} == {x.dtype.type}
    return np.array(values)


def stated(name: str, dtype: str) -> float:
    """The largest error, in units of the last place, that the docstring admits."""
    match = re.search(r"within ([\d.]+) ulp", prelude(dtype, compiled=False)[name].__doc__)
    assert match
    return float(match[1])


def sample(name: str, dtype: str, count: int) -> np.ndarray:
    """Numbers of all sizes and signs in the function's domain, most of them where it changes."""
    rng = np.random.default_rng(AVAILABLE.index(name))
    largest = np.log(np.finfo(dtype).max)
    sizes = np.exp(rng.uniform(-largest, largest, count))
    x = np.concatenate([sizes, np.exp(rng.uniform(-6, 6, count)), rng.uniform(0, 3, count), rng.uniform(0, 100, count)])
    low, high = DOMAIN.get(name, (-np.inf, np.inf))
    x = np.concatenate([x, -x, 1 - np.exp(rng.uniform(-15, 0, count)), np.exp(rng.uniform(-15, 0, count)) - 1])
    return x[(x > low) & (x < high)].astype(dtype)


def exact(name: str, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The true value as a float64, and what is left of it beside that."""
    largest = 1.001 * np.log(np.finfo(x.dtype).max) + 100
    saturates = name in ("exp", "expm1", "sinh", "cosh", "tanh", "sigmoid", "erf")
    near = np.clip(x.astype("float64"), -largest, largest) if saturates else x.astype("float64")
    true = [REFERENCE[name](MP.mpf(value)) for value in near.tolist()]
    value = np.array([float(t) for t in true])
    rest = [float(t - MP.mpf(v)) if np.isfinite(v) else 0.0 for t, v in zip(true, value.tolist(), strict=True)]
    return value, np.array(rest)


def assert_within(limit: float, got: np.ndarray, value: np.ndarray, rest: np.ndarray) -> None:
    """Every number is right to `limit` units of the last place, and every infinity is one."""
    with np.errstate(over="ignore"):
        rounded = value.astype(got.dtype)
    finite = np.isfinite(rounded)
    np.testing.assert_array_equal(got[~finite], rounded[~finite])
    ulp = np.spacing(np.abs(rounded[finite])).astype("float64")
    errors = np.abs((got[finite].astype("float64") - value[finite]) - rest[finite]) / ulp
    assert errors.max() <= limit


NUMPY = {
    **{name: getattr(np, name) for name in ("exp", "expm1", "log", "log1p", "tanh", "sinh", "cosh")},
    **{"sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan},
    "sigmoid": lambda x: np.where(x >= 0, 1, np.exp(-abs(x))) / (1 + np.exp(-abs(x))),
    "softplus": lambda x: np.maximum(x, 0) + np.log1p(np.exp(-abs(x))),
    "erf": scipy.special.erf,
}


@pytest.fixture(scope="module", params=itertools.product(REFERENCE, WIDTHS), ids="-".join)
def case(request: pytest.FixtureRequest) -> tuple[str, str]:
    """A function and a width; the tests of one follow each other, so that a worker compiles it once."""
    return request.param


def test_error_is_as_stated(case: tuple[str, str]) -> None:
    name, dtype = case
    x = sample(name, dtype, 120)
    value, rest = exact(name, x)
    assert_within(stated(name, dtype), compiled(name, x), value, rest)
    # without the processor's fused products, a little more
    few = slice(None, None, 7)
    assert_within(stated(name, dtype) + 0.3, plain(name, x[few]), value[few], rest[few])


def test_error_of_float32_is_as_stated_at_a_million_points(case: tuple[str, str]) -> None:
    name, dtype = case
    if dtype == "float64":
        return
    x = sample(name, dtype, 100_000)
    with np.errstate(all="ignore"):
        value = NUMPY[name](x.astype("float64"))
    assert_within(stated(name, dtype), compiled(name, x), value, np.zeros(len(x)))


def test_special_numbers(case: tuple[str, str]) -> None:
    """NaN stays NaN, infinities and signed zeros are IEEE's, and nothing warns."""
    name, dtype = case
    info = np.finfo(dtype)
    edges = [0.0, info.smallest_subnormal, info.tiny, 1e-8, 1.0, 1 - info.epsneg, 1 + info.eps, info.max, np.inf]
    x = np.array([*edges, *(-edge for edge in edges), np.nan, -np.nan], dtype)
    with np.errstate(all="ignore"):
        wanted = NUMPY[name](x.astype("float64")).astype(dtype)
    special = ~np.isfinite(wanted) | (wanted == 0)
    for got in (compiled(name, x), plain(name, x)):
        np.testing.assert_array_equal(got[special], wanted[special])
        np.testing.assert_array_equal(np.signbit(got[wanted == 0]), np.signbit(wanted[wanted == 0]))
        np.testing.assert_allclose(got[~special], wanted[~special], rtol=4 * info.eps, atol=info.smallest_subnormal)


def test_loops_vectorise(case: tuple[str, str]) -> None:
    name, dtype = case
    compiled(name, np.ones(1, dtype))
    (text,) = loop(name, dtype).inspect_llvm().values()
    assert re.search(r"fmul (contract )?<\d+ x (float|double)>", text)


@pytest.mark.parametrize("dtype", WIDTHS)
@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
def test_sines_of_multiples_of_a_quarter_turn(name: str, dtype: str) -> None:
    """Where all digits cancel, up to the largest float: beyond what is reduced in registers, too."""
    rng = np.random.default_rng(0)
    sizes = np.concatenate([rng.uniform(0, 8, 400), rng.uniform(8, np.log(np.finfo(dtype).max) - 1, 100)])
    near = np.round(np.exp(sizes)) * (np.pi / 2)
    x = np.concatenate([near, -near]).astype(dtype)
    assert_within(stated(name, dtype), compiled(name, x), *exact(name, x))


@cache
def powers(dtype: str) -> Any:
    function = prelude(dtype, compiled=True)["pow"]

    @njit(fastmath=FAST, error_model="numpy", nogil=True)
    def run(x: Any, y: Any, out: Any) -> None:
        for n in range(x.shape[0]):
            out[n] = function(x[n], y[n])

    return run


@pytest.mark.parametrize("dtype", WIDTHS)
def test_pow_at_special_numbers(dtype: str) -> None:
    info = np.finfo(dtype)
    whole = [0.0, 1.0, 2.0, 3.0, 0.5, 1.5, info.smallest_subnormal, info.max, np.inf, 2.0**info.nmant + 1]
    pairs = np.array(list(itertools.product([*whole, *(-w for w in whole), np.nan], repeat=2)), dtype)
    x, y = pairs[:, 0].copy(), pairs[:, 1].copy()
    with np.errstate(all="ignore"):
        wanted = (x.astype("longdouble") ** y.astype("longdouble")).astype(dtype)
    got = np.empty_like(x)
    powers(dtype)(x, y, got)
    function = prelude(dtype, compiled=False)["pow"]
    for out in (got, np.array([function(a, b) for a, b in pairs], dtype)):
        np.testing.assert_allclose(out, wanted, rtol=1.2 * info.eps, atol=info.smallest_subnormal)
        np.testing.assert_array_equal(np.signbit(out[wanted == 0]), np.signbit(wanted[wanted == 0]))


@pytest.mark.parametrize("dtype", WIDTHS)
def test_pow_error_is_as_stated(dtype: str) -> None:
    rng = np.random.default_rng(3)
    span = np.log(np.finfo(dtype).max)
    x = np.exp(rng.uniform(-span, span, 1500)).astype(dtype)
    x[500:] = np.exp(rng.uniform(-0.01, 0.01, 1000))
    y = (rng.uniform(-1.1, 1.1, 1500) * span / np.abs(np.log(x))).astype(dtype)
    got = np.empty_like(x)
    powers(dtype)(x, y, got)
    true = [MP.mpf(a) ** MP.mpf(b) for a, b in zip(x.tolist(), y.tolist(), strict=True)]
    value = np.array([float(t) for t in true])
    rest = np.array([float(t - MP.mpf(v)) if np.isfinite(v) else 0.0 for t, v in zip(true, value, strict=True)])
    normal = value >= np.finfo(dtype).tiny
    assert_within(stated("pow", dtype), got[normal], value[normal], rest[normal])


@pytest.mark.parametrize("dtype", WIDTHS)
def test_largest_and_smallest(dtype: str) -> None:
    rng = np.random.default_rng(5)
    names = {"largest": (np.max, -np.inf), "smallest": (np.min, np.inf)}
    rows = [rng.standard_normal(n).astype(dtype) for n in (0, 1, 9, 40)]
    for value in (np.nan, -np.nan, np.inf, -np.inf):
        row = rng.standard_normal(37).astype(dtype)
        row[20] = value
        rows.append(row)
    for (name, (reduce, start)), is_compiled in itertools.product(names.items(), (True, False)):
        function = prelude(dtype, is_compiled)[name]
        got = np.array([function(row) for row in rows])
        np.testing.assert_array_equal(got, [reduce(row, initial=start) for row in rows])


SMALL = ((3, 4, 5), (1, 4, 5), (3, 1, 5), (3, 4, 1), (1, 1, 1), (0, 3, 2), (2, 0, 3), (2, 3, 0))
TILES = ((8, 5, 32), (13, 16, 16), (14, 9, 33), (5, 17, 33), (17, 40, 50), (6, 257, 31), (25, 300, 65))
MANY_COLUMNS, MANY_ROWS, MANY_TERMS = (9, 33, 1001), (2001, 32, 17), (9, 5003, 31)
FEW_ROWS = ((1, 40, 77), (2, 258, 130), (3, 7, 64), (4, 300, 141), (0, 3, 70))
BY_BLAS = ((1, 300, 600), (3, 700, 200), (520, 510, 530))
TURNED = ((16, 128, 256), (131, 300, 261), (150, 513, 256), (300, 140, 300), (72, 128, 128))
"""Where rows of a transposed a are turned: one piece and several, of rows and of terms."""
SIZES = (*SMALL, *TILES, *FEW_ROWS, MANY_COLUMNS, MANY_ROWS, MANY_TERMS, *TURNED, *BY_BLAS)


def stored(rng: np.random.Generator, shape: tuple[int, int], how: str) -> np.ndarray:
    rows, columns = shape
    match how:
        case "rows":
            return rng.standard_normal(shape)
        case "columns":
            return rng.standard_normal((columns, rows)).T
        case "apart":
            return rng.standard_normal((2 * rows, columns + 3))[::2, 1 : columns + 1]
    raise AssertionError(how)


@cache
def product(dtype: str) -> Any:
    gemm = prelude(dtype, compiled=True)["gemm"]

    @njit(error_model="numpy", nogil=True)
    def run(a: Any, b: Any, out: Any, accumulate: bool) -> None:
        gemm(a, b, out, accumulate)

    return run


@pytest.mark.parametrize("dtype", WIDTHS)
@pytest.mark.parametrize(
    ("a_how", "b_how", "out_how"),
    [("rows", "rows", "rows"), ("columns", "apart", "rows"), ("apart", "columns", "apart")],
)
def test_gemm_takes_every_layout_and_size(dtype: str, a_how: str, b_how: str, out_how: str) -> None:
    rng = np.random.default_rng(7)
    run, python = product(dtype), prelude(dtype, compiled=False)["gemm"]
    for (m, k, n), accumulate in itertools.product(SIZES, (True, False)):
        a = np.asarray(stored(rng, (m, k), a_how), dtype)
        b = np.asarray(stored(rng, (k, n), b_how), dtype)
        for call in (run, python):
            around = np.full((m + 2, n + 4), 0.5 if accumulate else np.nan, dtype)
            out = around[1 : m + 1, 2 : n + 2] if out_how == "apart" else np.full((m, n), around[0, 0], dtype)
            call(a, b, out, accumulate)
            np.testing.assert_allclose(out, a @ b + (0.5 if accumulate else 0), rtol=1e-4, atol=1e-4)
            np.testing.assert_array_equal(around[:, :2], around[0, 0])


STACKS = [(0, 3, 4, 5), (1, 8, 16, 32), (3, 16, 48, 16), (3, 32, 30, 70), (9, 96, 8, 64), (40, 9, 14, 33),
          (3, 40, 100, 40), (2, 30, 300, 50), (5, 1, 7, 40), (3, 25, 0, 3)]  # fmt: skip
"""Pairs, rows, terms and columns: few and many terms for a piece of the stack, tiles that pack, empty ones."""


@pytest.mark.parametrize("dtype", WIDTHS)
@pytest.mark.parametrize("how", ["rows", "columns", "apart"])
def test_gemm_sums_up_the_products_of_stacks(dtype: str, how: str) -> None:
    rng = np.random.default_rng(8)
    run, python = product(dtype), prelude(dtype, compiled=False)["gemm"]
    for (pairs, m, k, n), accumulate in itertools.product(STACKS, (True, False)):
        a = rng.standard_normal((2 * pairs, m, k)).astype(dtype)[::2]
        b = rng.standard_normal((pairs, k, n + 9 * (how == "apart"))).astype(dtype)[:, :, :n]
        if how == "columns":
            a, b = (np.swapaxes(np.swapaxes(each, 1, 2).copy(), 1, 2) for each in (a, b))
        wanted = np.einsum("sik,skj->ij", a, b) + (0.5 if accumulate else 0)
        for call in (run, python):
            out = np.full((m, n), 0.5 if accumulate else np.nan, dtype)
            call(a, b, out, accumulate)
            np.testing.assert_allclose(out, wanted, rtol=1e-4, atol=1e-4)


def test_gemm_is_kept_on_disk(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second process would find the compiled entry; a second copy of the module stands for it."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", "")
    path = tmp_path / "cached.py"
    entry = "@njit(cache=True)\ndef entry(a, b, out):\n    gemm(a, b, out, False)\n"
    path.write_text(
        "\n".join([HEAD, COMPILED, *prelude_imports(["gemm"], "float32"), prelude_source(["gemm"], "float32"), entry])
    )
    a = np.ones((2, 2), "float32")
    hits = []
    for _ in range(2):
        scope: dict[str, Any] = {"__name__": "cached", "__file__": str(path)}
        exec(compile(path.read_text(), str(path), "exec"), scope)
        out = np.zeros_like(a)
        scope["entry"](a, a, out)
        np.testing.assert_array_equal(out, 2 * a)
        hits.append(sum(scope["entry"].stats.cache_hits.values()))
    assert hits == [0, 1]


@pytest.mark.parametrize("dtype", WIDTHS)
@pytest.mark.parametrize("name", AVAILABLE)
def test_text_stands_alone(name: str, dtype: str) -> None:
    """What a function uses comes with it, above it, and nothing else does."""
    scope: dict[str, Any] = {}
    exec("\n".join([HEAD, PLAIN, *prelude_imports([name], dtype), prelude_source([name], dtype)]), scope)
    one = np.ones((1, 1), dtype)
    arguments = {"pow": (one[0, 0], one[0, 0]), "gemm": (one, one, one.copy(), False)}
    arguments |= {"view": (one, 0, (1,)), "rows": (one, 0, 1), "columns_of": (one, 0, 1), "windows": (one, 1, 1, 1)}
    arguments |= {"windows_of_each": (one, 1, 1, 1), "turned_each": (one[None],)}
    arguments |= {"team": (one[0, 0], (0, one, np.zeros((1, 8), int)))}
    arguments |= {"gemm_by_all": (one, one, one.copy(), 0, one, (0, np.zeros((1, 8), int)))}
    row = {"largest": (one[0],), "smallest": (one[0],), **dict.fromkeys(("random_key", "uniform", "normal"), (1, 2))}
    called = {"team": "joined"}.get(name, name)  # its file has several
    scope[called](*(arguments | row).get(name, (one[0, 0] / 2,)))


def test_text_is_the_same_for_any_order_and_repetition() -> None:
    text = prelude_source(["softplus", "exp"], "float32")
    assert text == prelude_source(["exp", "softplus", "softplus"], "float32")
    assert prelude_words(["softplus"], "float32")[:3] == ("exp", "log_of_normal", "softplus")
    assert prelude_source([], "float64") == ""
    assert text.count("def exp(") == 1
    assert text.startswith("@vector\ndef exp(x):\n")


@pytest.mark.parametrize("dtype", WIDTHS)
def test_a_name_stands_for_one_function(dtype: str) -> None:
    names = prelude_words((*AVAILABLE, "compilers"), dtype)
    assert len(names) == len(set(names))


def test_a_numpy_without_blas_is_refused(tmp_path: Any) -> None:
    scope = dict(prelude("float32", compiled=False))
    assert scope["blas_address"]("sgemm") != scope["blas_address"]("dgemv")
    names = {"np": SimpleNamespace(__file__=str(tmp_path / "numpy" / "__init__.py")), "__builtins__": __builtins__}
    search = FunctionType(scope["blas_address"].__code__, {**scope, **names})
    (tmp_path / "numpy" / "core").mkdir(parents=True)
    (tmp_path / "numpy" / "core" / "_multiarray_umath.so").write_text("no library")
    with pytest.raises(ImportError, match="NumPy's BLAS was not found"):
        search("sgemm")


# ------------------------------------------------------------------ views


@pytest.mark.parametrize("dtype", WIDTHS)
def test_views_are_slices_and_reshapes(dtype: str) -> None:
    view, rows, columns_of = (prelude(dtype, compiled=True)[name] for name in ("view", "rows", "columns_of"))

    @njit
    def run(buffer: Any, n: int) -> Any:
        cube = view(buffer, 3 * n, (n, 2, 3))
        some = rows(cube, 1, n)
        matrix = view(buffer, 3, (n, 5))
        parts = columns_of(matrix, 1, n).copy(), columns_of(rows(matrix, 1, 3).T, 0, 2).copy()
        return cube.copy(), some.copy(), view(some, 3, ((n - 1) * 2 - 1, 3)).T.copy(), rows(cube, 2, 2).size, parts

    buffer = np.arange(60).astype(dtype)
    cube, some, turned, none, parts = run(buffer, 4)
    expected = buffer[12:36].reshape(4, 2, 3)
    np.testing.assert_array_equal(cube, expected)
    np.testing.assert_array_equal(some, expected[1:4])
    np.testing.assert_array_equal(turned, expected[1:4].reshape(6, 3)[1:].T)
    assert none == 0
    matrix = buffer[3:23].reshape(4, 5)
    np.testing.assert_array_equal(parts[0], matrix[:, 1:4])
    np.testing.assert_array_equal(parts[1], matrix[1:3].T[:, :2])
    buffer.flags.writeable = False
    np.testing.assert_array_equal(run(buffer, 4)[0], expected)
    plain = prelude(dtype, compiled=False)
    np.testing.assert_array_equal(plain["view"](buffer, 12, (4, 2, 3)), expected)
    np.testing.assert_array_equal(plain["rows"](expected, 1, 4), expected[1:4])


@pytest.mark.parametrize("dtype", WIDTHS)
def test_windows_are_rows_that_overlap(dtype: str) -> None:
    windows = prelude(dtype, compiled=True)["windows"]

    @njit
    def run(array: Any, step: int) -> Any:
        return windows(array[1], 3, step, 2).copy(), windows(array[1, :, 0, 1:], 3, step, 1).T.copy()

    array = np.arange(2 * 7 * 2 * 3).reshape(2, 7, 2, 3).astype(dtype)
    for step in (1, 2):
        rows, turned = run(array, step)
        np.testing.assert_array_equal(rows, [array[1, n * step : n * step + 2].reshape(-1) for n in range(3)])
        np.testing.assert_array_equal(turned.T, [array[1, n * step, 0, 1:] for n in range(3)])
        plain = prelude(dtype, compiled=False)["windows"](array[1], 3, step, 2)
        np.testing.assert_array_equal(plain, rows)


@pytest.mark.parametrize("dtype", WIDTHS)
def test_windows_of_each_are_a_stack(dtype: str) -> None:
    windows_of_each, turned_each = (prelude(dtype, compiled=True)[name] for name in ("windows_of_each", "turned_each"))

    @njit
    def run(array: Any, step: int) -> Any:
        narrow = windows_of_each(array[:, :, 0, 0], 3, step, 1)
        return windows_of_each(array, 3, step, 2).copy(), turned_each(narrow).copy()

    array = np.arange(4 * 7 * 2 * 3).reshape(4, 7, 2, 3).astype(dtype)
    plain = prelude(dtype, compiled=False)
    for step in (1, 2):
        stack, turned = run(array, step)
        wanted = [[part[n * step : n * step + 2].reshape(-1) for n in range(3)] for part in array]
        np.testing.assert_array_equal(stack, wanted)
        np.testing.assert_array_equal(turned[:, 0], array[:, : 3 * step : step, 0, 0])
        np.testing.assert_array_equal(plain["windows_of_each"](array, 3, step, 2), wanted)
        np.testing.assert_array_equal(plain["turned_each"](stack), np.swapaxes(stack, 1, 2))
        assert plain["windows_of_each"](array[:0], 3, step, 2).shape == (0, 3, 12)


# ------------------------------------------------------------------ random numbers


@cache
def draws(law: str, dtype: str) -> Any:
    function = prelude(dtype, compiled=True)[law]

    @njit(fastmath=FAST, error_model="numpy", nogil=True)
    def run(key: Any, out: Any) -> None:
        for n in range(out.shape[0]):
            out[n] = function(key, n)

    return run


@pytest.mark.parametrize("dtype", WIDTHS)
@pytest.mark.parametrize("law", ["uniform", "normal"])
def test_random_numbers_are_those_of_the_oracles_and_vectorise(law: str, dtype: str) -> None:
    key = noise.key(7, 3)
    plain_functions = prelude(dtype, compiled=False)
    assert plain_functions["random_key"](7, 3) == key
    got, wanted = np.empty(20_000, dtype), noise.LAWS[law](key, np.arange(20_000))
    draws(law, dtype)(key, got)
    alone = np.array([plain_functions[law](key, place) for place in range(200)])
    assert alone.dtype == dtype
    exact_law = law == "uniform" and dtype == "float64"
    # float32 numbers come of fewer of the same bits
    tolerance = 0 if exact_law else 1e-14 if dtype == "float64" else 1.2e-7 if law == "uniform" else 2e-5
    np.testing.assert_allclose(got, wanted, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(alone, wanted[:200], rtol=tolerance, atol=tolerance)
    if law == "uniform":
        assert 0 < got.min() < got.max() < 1
    (text,) = draws(law, dtype).inspect_llvm().values()
    assert re.search(r"mul (nuw )?<\d+ x i64>", text)


@pytest.mark.parametrize("dtype", WIDTHS)
def test_the_ends_of_the_random_bits_give_finite_numbers(dtype: str) -> None:
    scope = dict(prelude(dtype, compiled=False))
    for bits in (0, 2**64 - 1, 2**63, 2**32 - 1, 2**32):
        scope["philox"] = lambda key, place, bits=bits: np.uint64(bits)
        exec(f"{PLAIN}\n{prelude_source(['normal', 'uniform'], dtype).replace('def philox', 'def unused')}", scope)
        assert 0 < scope["uniform"](0, 0) < 1
        assert abs(scope["normal"](0, 0)) < 7
