"""What callers may hand to an emitted module and to a model, and what is said of all else: nothing changes then."""

import copy
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from support.emitted import load_compiled, load_plain

import gradc
from gradc import pipeline
from gradc.errors import GradcError

BATCH = 6
MODEL = """
dim batch, time
dim n = 3
input x[batch, n], s[], flag[batch] : bool, ids[batch] : int(4), k[] : int(5), on[] : bool
target y[batch] : int(n), z[batch, time]
param w[n, n] ~ normal()
param table[4, n] ~ normal()
param bias[] ~ ones
h[b, o] = sum[i](x[b, i] * w[i, o]) * s + table[ids[b], o] + (if flag[b] then 1 else 0) + k * bias
predict p = softmax(h)
predict q = mean(h)
loss mean(cross_entropy(h, y)) + mean(z^2) * (if on then 1 else 2)
metric accuracy = mean(argmax(h) == y)
"""


@pytest.fixture(scope="module")
def module() -> ModuleType:
    return load_plain(pipeline.emit(MODEL, file="calls.grad", dtype="float64"))


def good() -> dict[str, Any]:
    """Arrays that fit, in the order of calls."""
    rng = np.random.default_rng(1)
    return {
        "x": rng.normal(size=(BATCH, 3)), "s": 1.5, "flag": np.arange(BATCH) % 2 == 0, "ids": np.arange(BATCH) % 4,
        "k": 2, "on": True, "y": np.arange(BATCH) % 3, "z": rng.normal(size=(BATCH, 2)),
    }  # fmt: skip


def everything(params: Any, state: Any) -> tuple[bytes, bytes, int, int]:
    return params.flat.tobytes(), state.flat.tobytes(), state.step, state.seed


def refused(module: ModuleType, arrays: dict[str, Any], error: type[Exception], message: str) -> None:
    """Every call with these arrays raises, says why, and changes nothing."""
    params = module.init(seed=2)
    state = module.init_state(params)
    before = everything(params, state)
    calls: list[Callable[[], Any]] = [
        lambda: module.train_step(params, state, *arrays.values()),
        lambda: module.loss_and_gradients(params, **arrays),
        lambda: module.evaluate(params, **arrays),
    ]
    for call in calls:
        with pytest.raises(error) as caught:
            call()
        assert message in str(caught.value)
    assert everything(params, state) == before


READ_ONLY = np.ones((BATCH, 3))
READ_ONLY.flags.writeable = False

WRONG: dict[str, tuple[str, Any, type[Exception], str]] = {
    "complex numbers": ("x", np.ones((BATCH, 3), complex), TypeError, "x holds numbers; got complex128"),
    "objects": ("x", np.ones((BATCH, 3), object), TypeError, "x holds numbers; got object"),
    "decimals": ("x", [[Decimal(1)] * 3] * BATCH, TypeError, "x holds numbers; got object"),
    "text": ("x", np.full((BATCH, 3), "1"), TypeError, "x holds numbers; got <U1"),
    "bytes": ("x", b"abc", TypeError, "x holds numbers; got |S3"),
    "dates": ("x", np.zeros((BATCH, 3), "M8[s]"), TypeError, "x holds numbers; got datetime64[s]"),
    "records": ("x", np.zeros((BATCH, 3), "f4,f4"), TypeError, "x holds numbers"),
    "truth for numbers": ("x", np.ones((BATCH, 3), bool), TypeError, "x holds numbers; got bool"),
    "nothing": ("x", None, TypeError, "x holds numbers; got object"),
    "a mapping": ("x", {"x": 1}, TypeError, "x holds numbers; got object"),
    "a generator": ("x", (n for n in range(3)), TypeError, "x holds numbers; got object"),
    "a function": ("x", len, TypeError, "x holds numbers; got object"),
    "whole numbers beyond 64 bits": ("ids", [2**70] * BATCH, TypeError, "ids holds whole numbers; got object"),
    "rows of different lengths": ("x", [[1.0, 2.0], [3.0]], ValueError, "x cannot be made an array: "),
    "a number for an array": ("x", 1.0, ValueError, "x is [batch, n = 3], batch at least 1; got []"),
    "no rows": ("x", np.zeros((0, 3)), ValueError, "x is [batch, n = 3], batch at least 1; got [0, 3]"),
    "an axis too few": ("x", np.zeros(3), ValueError, "x is [batch, n = 3], batch at least 1; got [3]"),
    "an axis too many": (
        "x",
        np.zeros((BATCH, 3, 1)),
        ValueError,
        "x is [batch, n = 3], batch at least 1; got [6, 3, 1]",
    ),
    "another extent": ("x", np.zeros((BATCH, 4)), ValueError, "x is [batch, n = 3], batch at least 1; got [6, 4]"),
    "another batch": ("ids", np.zeros(5, int), ValueError, "ids is [batch] with batch = 6; got [5]"),
    "a column for a vector": ("ids", np.zeros((BATCH, 1), int), ValueError, "ids is [batch] with batch = 6"),
    "a vector for a scalar": ("s", [1.0], ValueError, "s is a scalar; got [1]"),
    "text for a scalar": ("s", "1.5", TypeError, "s holds numbers; got <U3"),
    "nothing for a scalar": ("s", None, TypeError, "s holds numbers; got object"),
    "a complex scalar": ("s", 1j, TypeError, "s holds numbers; got complex128"),
    "a real for a whole scalar": ("k", 2.0, TypeError, "k holds whole numbers; got float64"),
    "truth for a whole scalar": ("k", True, TypeError, "k holds whole numbers; got bool"),
    "a scalar outside": ("k", 5, ValueError, "k holds whole numbers from 0, below 5; k is 5"),
    "a negative scalar": ("k", -1, ValueError, "k holds whole numbers from 0, below 5; k is -1"),
    "a number for truth": ("on", 1, TypeError, "on holds true or false; got int64"),
    "text for truth": ("on", "False", TypeError, "on holds true or false; got <U5"),
    "numbers for truths": ("flag", np.ones(BATCH, int), TypeError, "flag holds true or false; got int64"),
    "reals for whole numbers": ("ids", np.zeros(BATCH), TypeError, "ids holds whole numbers; got float64"),
    "truths for whole numbers": ("ids", np.zeros(BATCH, bool), TypeError, "ids holds whole numbers; got bool"),
    "times for whole numbers": ("ids", np.zeros(BATCH, "m8[s]"), TypeError, "ids holds whole numbers"),
    "an index outside": ("ids", [0, 1, 2, 3, 4, 0], ValueError, "below 4; ids[4] is 4"),
    "a target outside": ("y", [0, 0, 3, 0, 0, 0], ValueError, "y holds whole numbers from 0, below 3; y[2] is 3"),
    "a negative target": ("y", [0, -1, 0, 0, 0, 0], ValueError, "y[1] is -1"),
    "a target far outside": ("y", np.full(BATCH, 2**63, "u8"), ValueError, "y holds whole numbers from 0, below 3"),
    "real targets": ("y", np.zeros(BATCH), TypeError, "y holds whole numbers; got float64"),
    "fewer targets": ("y", np.zeros(5, int), ValueError, "y is [batch] with batch = 6; got [5]"),
    "a free dim of 0": (
        "z",
        np.zeros((BATCH, 0)),
        ValueError,
        "with batch = 6, time at least 1; got [6, 0]",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_refused_and_changes_nothing(module, name):
    array, value, error, message = WRONG[name]
    refused(module, {**good(), array: value}, error, message)


def laid_out() -> Iterator[tuple[str, str, Any]]:
    """Arrays of the same numbers that lie otherwise, or are of other types."""
    x, ids = good()["x"], good()["ids"]
    yield "column by column", "x", np.asfortranarray(x)
    yield "with gaps", "x", np.repeat(x, 2, axis=1)[:, ::2]
    yield "backwards", "x", x[::-1, ::-1].copy()[::-1, ::-1]
    yield "the other byte order", "x", x.astype(">f8")
    yield "not aligned", "x", np.frombuffer(b"0" + x.tobytes(), "u1")[1:].view("f8").reshape(x.shape)
    yield "a matrix", "x", np.ma.masked_array(x)
    yield "lists", "x", x.tolist()
    yield "twice as long", "x", x.astype(np.longdouble)
    yield "bytes", "ids", ids.astype("i1")
    yield "unsigned", "ids", ids.astype("u8")
    yield "whole numbers of the other byte order", "ids", ids.astype(">i2")
    yield "a list of whole numbers", "ids", ids.tolist()
    yield "a list of truths", "flag", good()["flag"].tolist()
    yield "an array for a scalar", "s", np.array(1.5)
    yield "a float32 for a scalar", "s", np.float32(1.5)
    yield "a small whole number", "k", np.uint8(2)
    yield "NumPy's truth", "on", np.True_


@pytest.mark.parametrize(("array", "value"), [row[1:] for row in laid_out()], ids=[row[0] for row in laid_out()])
def test_how_arrays_lie_changes_nothing(module, array, value):
    params = module.init(seed=2)
    arrays = good()
    expected, gradient = module.loss_and_gradients(params, *arrays.values())
    kept = np.array(value)
    loss, other = module.loss_and_gradients(params, **{**arrays, array: value})
    assert loss == expected
    np.testing.assert_array_equal(other.flat, gradient.flat)
    np.testing.assert_array_equal(np.asarray(value), kept)


def test_arrays_that_cannot_be_written(module, tmp_path):
    np.save(tmp_path / "x.npy", READ_ONLY)
    arrays = good()
    params = module.init(seed=2)
    expected = module.loss_and_gradients(params, **{**arrays, "x": np.ones((BATCH, 3))})[0]
    for x in (READ_ONLY, np.load(tmp_path / "x.npy", mmap_mode="r"), np.broadcast_to(np.ones(3), (BATCH, 3))):
        assert module.loss_and_gradients(params, **{**arrays, "x": x})[0] == expected
    frozen = {name: np.array(array) for name, array in arrays.items()}
    for array in frozen.values():
        array.flags.writeable = False
    state = module.init_state(params)
    assert module.train_step(params, state, **frozen) == module.train_step(
        module.init(seed=2), module.init_state(params), **arrays
    )


def test_calls_that_are_no_calls(module):
    params = module.init(seed=2)
    state = module.init_state(params)
    arrays = good()
    before = everything(params, state)
    for call, message in (
        (lambda: module.train_step(params, state), "missing 8 required positional arguments: 'x', 's'"),
        (lambda: module.train_step(params, state, *arrays.values(), 1), "takes 10 positional arguments but 11"),
        (lambda: module.train_step(params, state, **{**arrays, "xx": 1}), "unexpected keyword argument 'xx'"),
        (lambda: module.train_step(params, state, arrays["x"], **arrays), "multiple values for argument 'x'"),
        (lambda: module.predict(params, *arrays.values()), "positional arguments"),
    ):
        with pytest.raises(TypeError, match=message):
            call()
    assert everything(params, state) == before
    mixed = list(arrays.values())[:3], {name: arrays[name] for name in list(arrays)[3:]}
    assert module.evaluate(params, *mixed[0], **mixed[1]) == module.evaluate(params, *arrays.values())


def test_buffers_of_another_model(module):
    """A kernel would run beyond the end of a buffer that is shorter."""
    other = load_plain(pipeline.emit("param w[2] ~ ones\nloss sum(w^2)\n", file="o.grad", dtype="float64"))
    arrays = good()
    params, state = module.init(), module.init_state(None)
    theirs, their_state = other.init(), other.init_state(None)
    inputs = [arrays[name] for name in module.INPUTS]
    for call in (
        lambda: module.train_step(theirs, state, *arrays.values()),
        lambda: module.train_step(params, module.State(their_state.flat), *arrays.values()),
        lambda: module.loss_and_gradients(theirs, *arrays.values()),
        lambda: module.evaluate(theirs, *arrays.values()),
        lambda: module.predict(theirs, *inputs),
    ):
        with pytest.raises(ValueError, match=r"^params (or state )?are of another model: init\(\) .*of this one$"):
            call()
    with pytest.raises(AttributeError, match=r"params have no .*: calls take params, then state"):
        module.train_step(state, params, *arrays.values())
    for nothing in (None, {}, 3):
        with pytest.raises(AttributeError, match="has no attribute 'flat'"):
            module.predict(nothing, *inputs)
    with pytest.raises((TypeError, ValueError)):
        module.train_step(params, their_state, *arrays.values())
    assert params.flat.tobytes() == module.init().flat.tobytes()


def test_parameters_by_name(module):
    params = module.init(seed=2)
    assert [*params] == [*params.keys()] == ["w", "table", "bias"]
    assert len(params) == 3
    assert "w" in params
    assert "W" not in params
    for (name, value), other in zip(params.items(), params.values(), strict=True):
        np.testing.assert_array_equal(value, params[name])
        np.testing.assert_array_equal(other, params[name])
    assert [*dict(params)] == [*params]
    assert np.shares_memory(params.values()[0], params.flat)
    np.testing.assert_array_equal(copy.deepcopy(params).flat, params.flat)
    with pytest.raises(AttributeError, match=r"params have no w: .* names stand in params"):
        _ = params.w
    for name in ("W", "h.weight", "", None, 0):
        with pytest.raises(KeyError, match=r"no parameter .*; there are w, table, bias"):
            params[name]
        with pytest.raises(KeyError, match="there are"):
            params[name] = 1.0
    before = params.flat.tobytes()
    for value in (np.ones((2, 2)), np.ones(4), np.ones((3, 3, 3)), "abc", [[1.0, 2.0], [3.0]]):
        with pytest.raises(ValueError, match=r"w is \[3, 3\]; got|could not|inhomogeneous|setting an array"):
            params["w"] = value
    assert params.flat.tobytes() == before
    params["w"] = np.arange(9.0).reshape(3, 3).T
    params["bias"] = 7
    np.testing.assert_array_equal(params["w"][0], [0.0, 3.0, 6.0])
    assert params["bias"] == 7.0
    params["w"][0, 0] = 5.0
    assert params.flat[0] == 5.0


def test_sizes_that_only_a_later_array_tells():
    """`a[n + k]` stands before what tells n and k: it is checked once they are known."""
    text = "dim n, k\ninput a[n + k], b[n], c[k], d[2*n]\nparam w[] ~ ones\nh[i: n] = a[i] * b[i] * d[2*i] + a[i + k]\n"
    module = load_plain(pipeline.emit(f"{text}loss mean(h) * w * mean(c)\n", file="m.grad", dtype="float64"))
    params = module.init()
    sizes = {"fits": (7, 4, 3, 8), "a": (6, 4, 3, 8), "d": (7, 4, 3, 7), "c": (7, 4, 4, 8)}
    for name, extents in sizes.items():
        arrays = [np.ones(extent) for extent in extents]
        if name == "fits":
            assert module.loss_and_gradients(params, *arrays)[0] == 2.0
            continue
        with pytest.raises(ValueError, match=r"is \[.*\] with .*; got \["):
            module.loss_and_gradients(params, *arrays)


def test_a_loss_that_is_not_finite_names_its_step(module):
    params = module.init(seed=2)
    state = module.init_state(params)
    module.train_step(params, state, **good())
    x = good()["x"]
    x[1, 2] = np.nan
    with pytest.raises(FloatingPointError, match="the loss of step 2 is nan"):
        module.train_step(params, state, **{**good(), "x": x})


# ---------------------------------------------------------------- models


SMALL = "dim b\ninput x[b, 2]\ntarget y[b] : int(2)\nh = dense(x, 2)\npredict h\nloss mean(cross_entropy(h, y))\n"


@pytest.fixture(scope="module")
def small() -> gradc.Model:
    return gradc.compile_text(SMALL)


def state_of(model: gradc.Model) -> tuple[bytes, bytes, int, int]:
    return everything(model.params, model.state)


def test_data_is_checked_before_training(small):
    """NaN, infinity and targets outside are found with their places, wherever they are; nothing is changed."""
    x, y = np.zeros((50, 2)), np.zeros(50, int)
    before = state_of(small)
    cases: list[tuple[Any, Any, str]] = [
        (np.where(np.arange(100).reshape(50, 2) == 97, np.nan, x), y, "x[48, 1] is nan"),
        (np.where(np.arange(100).reshape(50, 2) >= 90, np.inf, x), y, "x[45, 0] is inf (10 such places in all)"),
        (x + 1e300, y, "x[0, 0] is 1e+300, which float32 cannot hold"),
        (x, y - 1, "y holds 0 .. 1; y[0] is -1 (50 places outside in all)"),
        (x, y + 0.5, "y[b] : int(2) holds whole numbers; float64[50] is given"),
        (x, y + 0.5, "   3 | target y[b] : int(2)"),
        (x, y[:-1], "dim b is 50 in x and 49 in y"),
        (x.astype(complex), y, "x[b, 2] holds real numbers; complex128[50, 2] is given"),
        (x[:0], y[:0], "x[b, 2] is empty"),
        (x.astype(object), y, "x[b, 2] holds real numbers"),
    ]
    for one, other, message in cases:
        with pytest.raises(GradcError) as caught:
            small.fit(one, other, epochs=1, progress=False)
        assert message in str(caught.value)
    assert state_of(small) == before


def test_arrays_of_a_fit(small):
    x, y = np.zeros((4, 2)), np.zeros(4, int)
    before = state_of(small)
    cases: list[tuple[tuple[Any, ...], dict[str, Any], str]] = [
        ((x, y, y), {}, "3 arrays are given; the model takes x[b, 2], y[b] : int(2)"),
        ((x,), {"x": x, "y": y}, "x is given by position and by name"),
        ((x,), {"z": y}, "the model has no array z"),
        ((x,), {}, "target y[b] : int(2) is missing; given: x"),
        ((), {}, "input x[b, 2] is missing"),
    ]
    for arrays, named, message in cases:
        with pytest.raises(GradcError) as caught:
            small.fit(*arrays, **named, epochs=1, progress=False)
        assert message in str(caught.value)
    assert state_of(small) == before


def test_arrays_of_a_call(small):
    x, y = np.zeros((4, 2)), np.zeros(4, int)
    before = state_of(small)
    takes = "takes x[b, 2], y[b] : int(2); given: "
    cases: list[tuple[Callable[[], Any], str]] = [
        (lambda: small.train_step(x), f"train_step {takes}1 by position. Pass each once, in this order or by name"),
        (lambda: small.train_step(x, y, y), f"train_step {takes}3 by position"),
        (lambda: small.evaluate(x, y=y, z=y), f"evaluate {takes}1 by position, y by name, z by name"),
        (lambda: small.loss_and_gradients(x, y, x=x), f"loss_and_gradients {takes}2 by position, x by name"),
        (lambda: small.train_step(), f"train_step {takes}none"),
        (lambda: small.predict(x, y), "predict takes x[b, 2]; given: 2 by position"),
        (lambda: small.train_step(x, y, seed=1), "unexpected keyword argument 'seed'"),
        (lambda: small.train_step(x.astype(complex), y), "x holds numbers; got complex128"),
    ]
    for call, message in cases:
        with pytest.raises(TypeError) as caught:
            call()
        assert message in str(caught.value)
    assert state_of(small) == before


def test_a_step_that_is_refused_changes_nothing_in_the_compiled_module(small):
    x, y = np.zeros((4, 2), "f4"), np.array([0, 1, 2, 0])
    before = state_of(small)
    with pytest.raises(ValueError, match=r"y holds whole numbers from 0, below 2; y\[2\] is 2"):
        small.train_step(x, y)
    with pytest.raises(ValueError, match="of another model"):
        small.module.train_step(small.params, small.module.State(np.zeros(1, "f4")), x, y % 2)
    with pytest.raises(ValueError, match="of another model"):
        small.module.predict(small.module.Params(np.zeros(5, "f4")), x)
    assert state_of(small) == before


def test_many_threads_predict_at_once(small):
    """Work space is a call's own: eight threads get what one gets."""
    rng = np.random.default_rng(0)
    batches = [rng.normal(size=(size, 2)).astype("f4") for size in range(1, 41)]
    expected = [small.predict(batch) for batch in batches]
    with ThreadPoolExecutor(8) as pool:
        for results in pool.map(lambda _: [small.predict(batch) for batch in batches], range(16)):
            for result, wanted in zip(results, expected, strict=True):
                np.testing.assert_array_equal(result, wanted)


def test_models_train_beside_each_other(small):
    """Two models of one module, each in its own thread, go the way they go alone."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(64, 2)).astype("f4"), rng.integers(0, 2, 64)

    def trained(seed: int) -> bytes:
        params = small.module.init(seed)
        state = small.module.init_state(params)
        for _ in range(300):
            small.module.train_step(params, state, x, y)
        return params.flat.tobytes()

    alone = [trained(seed) for seed in (1, 2)]
    together: dict[int, bytes] = {}
    threads = [threading.Thread(target=lambda s=seed: together.update({s: trained(s)})) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [together[1], together[2]] == alone


def test_read_only_arrays_compile_nothing_anew(tmp_path: Path):
    """Numba has a type of its own for arrays that cannot be written: each would cost seconds."""
    module = load_compiled(pipeline.emit(SMALL, file="m.grad"), tmp_path)
    params = module.init()
    x, y = np.ones((3, 2), "f4"), np.zeros(3, int)
    expected = module.loss_and_gradients(params, x, y)[0]
    x.flags.writeable = y.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert module.loss_and_gradients(params, x, y)[0] == expected
    assert len(module.gradient_entry.signatures) == 1


# ---------------------------------------------------------------- what a model starts with


def test_laws_that_give_no_number_are_told_by_name() -> None:
    text = "param w[3] ~ log(normal())\nparam m[i: 3] ~ if i < 1 then -inf else sqrt(i - 1.5) frozen\nloss sum(w)"
    with pytest.raises(GradcError) as caught:
        gradc.compile_text(text)
    assert [each.message for each in caught.value.diagnostics] == [
        "the initial law of w gives NaN at 1 of 3 places",
        "the initial law of m gives NaN at 1 of 3 places",
    ]
    gradc.compile_text("param w[3] ~ normal()\nparam m[i: 3] ~ if i < 1 then -inf else 0 frozen\nloss sum(w)")
