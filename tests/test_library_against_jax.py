"""Norms, attention and losses of the library against formulas in JAX, in float64 to 1e-9: values, first and second
derivatives.

The formulas are written from the papers; nothing of the library is read. Of what is smooth the loss also holds a
product of its gradient with fixed numbers, so that the gradient that is compared is made of second derivatives.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import groupby, product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.agreement import assert_close
from support.emitted import load_plain

from gradc.pipeline import emit

Numbers = dict[str, Any]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Case:
    """A call of the library, and what it is of.

    Attributes:
        formula: of all values by name; a layer's parameters are called as in gradc, behind "value.".
        shape: of the value.
        arguments: the real ones' shapes; whole: the whole-number ones, and how many values they can have.
        smooth: whether second derivatives are compared.
    """

    call: str
    formula: Callable[[Numbers], Any]
    shape: Shape
    arguments: Mapping[str, Shape]
    whole: Mapping[str, tuple[Any, int]] = field(default_factory=dict)
    smooth: bool = True

    def text(self) -> str:
        """The model. Arguments are parameters, so that their gradients are to be had."""
        first = next(iter(self.arguments))
        lines = [f"param {name}{list(shape)} ~ zeros" for name, shape in self.arguments.items()]
        lines += [f"input {name}{list(np.shape(v))} : int({n})" for name, (v, n) in self.whole.items()]
        lines += [f"input weights{list(self.shape)}, across{list(self.arguments[first])}"]
        lines += [f"value = {self.call}", "total = sum(weights * value)", f"slope = grad(total, {first})"]
        lines += ["loss total + sum(across * slope)" if self.smooth else "loss total + 0 * sum(across)"]
        return "\n".join(lines) + "\n"

    def loss(self, values: Numbers, weights: Any, across: Any) -> Any:
        """The same by JAX."""
        whole = {name: np.asarray(v) for name, (v, _) in self.whole.items()}
        first = next(iter(self.arguments))

        def total(point: Any) -> Any:
            return (weights * self.formula({**values, **whole, first: point})).sum()

        if not self.smooth:
            return total(values[first])
        value, slope = jax.value_and_grad(total)(values[first])
        return value + (across * slope).sum()


def agree(case: Case) -> None:
    """The emitted module's loss and gradients are the formula's."""
    module = load_plain(emit(case.text(), dtype="float64"))
    rng = np.random.default_rng(3)
    values = {name: rng.normal(size=shape) for name, (_, shape) in module.PARAMS.items()}
    weights, across = rng.normal(size=case.shape), rng.normal(size=next(iter(case.arguments.values())))
    params = module.init()
    for name, value in values.items():
        params[name] = value
    whole = {name: np.asarray(value) for name, (value, _) in case.whole.items()}
    loss, gradients = module.loss_and_gradients(params, **whole, weights=weights, across=across)
    with jax.enable_x64(True):
        own = {name: jnp.asarray(value) for name, value in values.items()}
        quick = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
        formula = jax.jit(jax.value_and_grad(case.loss), compiler_options=quick)
        wanted, slopes = formula(own, weights, across)
    assert_close(loss, wanted, "loss")
    largest = max(float(np.abs(slope).max()) for slope in slopes.values())
    for name, slope in slopes.items():
        # what cancels in one gradient is of the size of the others
        np.testing.assert_allclose(gradients[name], slope, rtol=1e-9, atol=1e-11 * largest, err_msg=name)


# ---------------------------------------------------------------- norms


def normed(x: Any, axes: Any, eps: float = 1e-5) -> Any:
    return (x - x.mean(axes, keepdims=True)) / jnp.sqrt(x.var(axes, keepdims=True) + eps)


def layer_norm(v: Numbers, x: Any, name: str = "value") -> Any:
    return normed(x, -1) * v[f"{name}.gain"] + v[f"{name}.offset"]


def group_norm(v: Numbers, groups: int) -> Any:
    x = v["x"]
    parts = x.reshape(*x.shape[:-1], groups, -1)
    axes = (*range(1, x.ndim - 1), x.ndim)
    return normed(parts, axes).reshape(x.shape) * v["value.gain"] + v["value.offset"]


def rms_norm(v: Numbers) -> Any:
    return v["x"] / jnp.sqrt((v["x"] ** 2).mean(-1, keepdims=True) + 1e-5) * v["value.gain"]


PICTURE = (2, 3, 2, 4)
NORMS = [
    Case("layer_norm(x)", lambda v: layer_norm(v, v["x"]), PICTURE, {"x": PICTURE}),
    Case("layer_norm(x, eps = 0.1)", lambda v: normed(v["x"], -1, 0.1) * v["value.gain"] + v["value.offset"], (5,),
         {"x": (5,)}),
    Case("rms_norm(x)", rms_norm, (3, 4), {"x": (3, 4)}),
    Case("group_norm(x, 2)", lambda v: group_norm(v, 2), PICTURE, {"x": PICTURE}),
    Case("group_norm(x, 1)", lambda v: group_norm(v, 1), (2, 4), {"x": (2, 4)}),
    Case("instance_norm(x)", lambda v: normed(v["x"], (1, 2)), PICTURE, {"x": PICTURE}),
    Case("instance_norm(x, affine = true)",
         lambda v: normed(v["x"], 1) * v["value.gain"] + v["value.offset"], (2, 3, 4), {"x": (2, 3, 4)}),
]  # fmt: skip

# ---------------------------------------------------------------- attention


def rotated(x: Any) -> Any:
    """x[batch, time, heads, size] by rotation matrices."""
    size = x.shape[-1]
    angles = jnp.arange(x.shape[1])[:, None] * 10000.0 ** (-jnp.arange(0, size, 2) / size)
    cos, sin = jnp.cos(angles), jnp.sin(angles)
    turns = jnp.array([[cos, -sin], [sin, cos]])
    return jnp.einsum("rptn,bthnp->bthnr", turns, x.reshape(*x.shape[:-1], -1, 2)).reshape(x.shape)


def attended(v: Numbers, x: Any, memory: Any, name: str, seen: Any, turn: Callable[[Any], Any] = lambda x: x) -> Any:
    def heads(part: str, source: Any) -> Any:
        return jnp.einsum("bti,ihd->bthd", source, v[f"{name}.{part}.weight"]) + v[f"{name}.{part}.bias"]

    q, k = turn(heads("q", x)), turn(heads("k", memory))
    scores = jnp.einsum("bthd,buhd->bhtu", q, k) / np.sqrt(q.shape[-1])
    weights = jax.nn.softmax(jnp.where(seen, scores, -jnp.inf))
    mixed = jnp.einsum("bhtu,buhd->bthd", weights, heads("v", memory))
    return jnp.einsum("bthd,hdo->bto", mixed, v[f"{name}.out.weight"]) + v[f"{name}.out.bias"]


def own_attention(v: Numbers, seen: Any = True, turn: Callable[[Any], Any] = lambda x: x) -> Any:
    return attended(v, v["x"], v["x"], "value", seen, turn)


def block(v: Numbers, activation: Callable[[Any], Any]) -> Any:
    x = v["x"]
    middle = x + attended(v, layer_norm(v, x, "value.norm"), layer_norm(v, x, "value.norm"), "value.attended", past(x))
    inner = layer_norm(v, middle, "value.norm_2") @ v["value.inner.weight"] + v["value.inner.bias"]
    return middle + activation(inner) @ v["value.outer.weight"] + v["value.outer.bias"]


def past(x: Any) -> Any:
    return np.tril(np.ones((x.shape[1], x.shape[1]), bool))


def waves(x: Any) -> Any:
    places, features = x.shape[-2:]
    angles = np.arange(places)[:, None] / 10000.0 ** (np.arange(features) // 2 * 2 / features)
    return x + np.where(np.arange(features) % 2 == 0, np.sin(angles), np.cos(angles))


MASK = np.array([[[1, 0, 1], [0, 1, 0], [1, 1, 1]], [[0, 0, 1], [1, 1, 0], [1, 0, 0]]])
WORDS = (2, 3, 4)
ATTENTION = [
    Case("attention(x, 2)", own_attention, WORDS, {"x": WORDS}, smooth=False),
    Case("attention(x, 1, causal = true)", lambda v: own_attention(v, past(v["x"])), WORDS, {"x": WORDS}),
    Case("attention(x, 2, mask = 1 == m, rotary = true)", lambda v: own_attention(v, MASK[:, None] == 1, rotated),
         WORDS, {"x": WORDS}, {"m": (MASK, 2)}),
    Case("attention(x, 2, memory = u)", lambda v: attended(v, v["x"], v["u"], "value", True), WORDS,
         {"x": WORDS, "u": (2, 5, 3)}, smooth=False),
    Case("transformer_block(x, 2, 5, causal = true, activation = tanh)", lambda v: block(v, jnp.tanh), WORDS,
         {"x": WORDS}),
    Case("sinusoidal_positions(x)^2", lambda v: waves(v["x"]) ** 2, (2, 4, 5), {"x": (2, 4, 5)}),
    Case("rotary_positions(x)^2", lambda v: rotated(v["x"]) ** 2, (2, 3, 2, 4), {"x": (2, 3, 2, 4)}),
    Case("residual(x, tanh)", lambda v: v["x"] + jnp.tanh(v["x"]), (3,), {"x": (3,)}),
]  # fmt: skip

# ---------------------------------------------------------------- losses


def density(a: Any, b: Any, spread: Any) -> Any:
    return -jax.scipy.stats.norm.logpdf(a, b, jnp.sqrt(spread))


def focal(x: Any, y: Any, alpha: float, gamma: float) -> Any:
    yes, no = alpha * y * jax.nn.log_sigmoid(x), (1 - alpha) * (1 - y) * jax.nn.log_sigmoid(-x)
    return -yes * jax.nn.sigmoid(-x) ** gamma - no * jax.nn.sigmoid(x) ** gamma


def dice(p: Any, y: Any) -> Any:
    axes = tuple(range(1, p.ndim))
    return 1 - (2 * (p * y).sum(axes) + 1) / (p.sum(axes) + y.sum(axes) + 1)


def distance(a: Any, b: Any) -> Any:
    return jnp.linalg.norm(a - b + 1e-6, axis=-1)


def info_nce(a: Any, b: Any) -> Any:
    return -jnp.diagonal(jax.nn.log_softmax(a @ b.T / 0.1))


def collapsed(path: tuple[int, ...]) -> tuple[int, ...]:
    """What a path of the alphabet says: what follows itself once, blanks not at all."""
    return tuple(letter for letter, _ in groupby(path) if letter != 0)


def ctc(logits: Any, labels: Any, steps: Any, count: Any) -> Any:
    """By all the paths there are; 0 where there is none."""
    found = []
    for row, label, n, c in zip(jax.nn.log_softmax(logits), labels, steps, count, strict=True):
        paths = [p for p in product(range(logits.shape[2]), repeat=int(n)) if collapsed(p) == tuple(label[:c])]
        taken = row[np.arange(n), np.array(paths, int).reshape(len(paths), n)].sum(1)
        found.append(-jax.nn.logsumexp(taken) if paths else jnp.zeros(()))
    return jnp.stack(found)


LABELS, STEPS, COUNT = np.array([[1, 2, 1], [2, 2, 0], [1, 0, 0], [1, 1, 2]]), np.array([4, 3, 1, 4]), [3, 2, 0, 3]
HITS, ROWS = np.array([1, 0, 1, 0]), (4, 3)
LOSSES = [
    Case("gaussian_nll(a, b, exp(c), full = true)", lambda v: density(v["a"], v["b"], jnp.exp(v["c"])), (4,),
         {"a": (4,), "b": (4,), "c": (4,)}),
    Case("focal(a, y)", lambda v: focal(v["a"], HITS, 0.25, 2), (4,), {"a": (4,)}, {"y": (HITS, 2)}),
    Case("focal(a, y, alpha = 0.7, gamma = 1.5)", lambda v: focal(v["a"], HITS, 0.7, 1.5), (4,), {"a": (4,)},
         {"y": (HITS, 2)}),
    Case("dice(sigmoid(a), sigmoid(b))", lambda v: dice(jax.nn.sigmoid(v["a"]), jax.nn.sigmoid(v["b"])), (2,),
         {"a": (2, 3, 2), "b": (2, 3, 2)}),
    Case("distance(a, b)", lambda v: distance(v["a"], v["b"]), (4,), {"a": ROWS, "b": ROWS}),
    Case("triplet(a, b, c)",
         lambda v: jax.nn.relu(distance(v["a"], v["b"]) - distance(v["a"], v["c"]) + 1), (4,),
         {"a": ROWS, "b": ROWS, "c": ROWS}, smooth=False),
    Case("triplet(a, b, c, margin = 2, swap = true)",
         lambda v: jax.nn.relu(
             distance(v["a"], v["b"]) - jnp.minimum(distance(v["a"], v["c"]), distance(v["b"], v["c"])) + 2), (4,),
         {"a": ROWS, "b": ROWS, "c": ROWS}, smooth=False),
    Case("contrastive(a, b, sigmoid(c), margin = 3)",
         lambda v: jax.nn.sigmoid(v["c"]) * distance(v["a"], v["b"]) ** 2 / 2
         + jax.nn.sigmoid(-v["c"]) * jax.nn.relu(3 - distance(v["a"], v["b"])) ** 2 / 2, (4,),
         {"a": ROWS, "b": ROWS, "c": (4,)}, smooth=False),
    Case("info_nce(a, b)", lambda v: info_nce(v["a"], v["b"]), (4,), {"a": ROWS, "b": ROWS}),
    Case("ctc(a, y, s, c)", lambda v: ctc(v["a"], LABELS, STEPS, COUNT), (4,), {"a": (4, 4, 3)},
         {"y": (LABELS, 3), "s": (STEPS, 5), "c": (COUNT, 4)}),
]  # fmt: skip
CASES = [*NORMS, *ATTENTION, *LOSSES]


@pytest.mark.parametrize("case", CASES, ids=[case.call for case in CASES])
def test_formula(case: Case) -> None:
    agree(case)


# ---------------------------------------------------------------- any shapes

SHAPES = settings(max_examples=3, database=None, deadline=None, derandomize=True)
few = st.integers(1, 3)


@SHAPES
@given(outer=st.lists(few, max_size=3), groups=few, size=st.integers(2, 3))
def test_norms_of_any_shape(outer: list[int], groups: int, size: int) -> None:
    shape = (2, *outer, groups * size)
    agree(Case("layer_norm(x)", lambda v: layer_norm(v, v["x"]), shape, {"x": shape}, smooth=False))
    agree(Case(f"group_norm(x, {groups})", lambda v: group_norm(v, groups), shape, {"x": shape}, smooth=False))


@SHAPES
@given(batch=few, time=few, heads=few, half=few, causal=st.booleans())
def test_attention_of_any_shape(batch: int, time: int, heads: int, half: int, causal: bool) -> None:
    shape = (batch, time, 2 * heads * half)
    call = f"attention(x, {heads}, causal = {str(causal).lower()}, rotary = true)"

    def formula(v: Numbers) -> Any:
        return own_attention(v, past(v["x"]) if causal else True, rotated)

    agree(Case(call, formula, shape, {"x": shape}, smooth=False))


@SHAPES
@given(seed=st.integers(0, 2**32), time=st.integers(1, 4), most=few)
def test_ctc_of_any_lengths(seed: int, time: int, most: int) -> None:
    """Those that do not fit have no gradient."""
    rng = np.random.default_rng(seed)
    labels, steps, count = rng.integers(1, 3, (3, most)), rng.integers(0, time + 1, 3), rng.integers(0, most + 1, 3)
    whole = {"y": (labels, 3), "s": (steps, time + 1), "c": (count, most + 1)}
    call = "ctc(a, y, s, c, zero_infinity = true)"
    agree(Case(call, lambda v: ctc(v["a"], labels, steps, count), (3,), {"a": (3, time, 3)}, whole, smooth=False))


def test_a_label_without_a_way_has_no_gradient() -> None:
    """Two that are equal need a blank between them: three steps."""
    text = """input y[2, 2] : int(3), s[2] : int(3), c[2] : int(3)
param a[2, 2, 3] ~ normal()
each = ctc(a, y, s, c)
predict each
loss sum(each)
"""
    module = load_plain(emit(text, dtype="float64"))
    params, labels, two = module.init(1), np.array([[1, 1], [1, 2]]), np.array([2, 2])
    assert np.isposinf(module.predict(params, labels, two, two)[0])
    _, gradients = module.loss_and_gradients(params, labels, two, two)
    assert (gradients["a"][0] == 0).all()
    assert np.isfinite(gradients["a"]).all()
    assert (gradients["a"][1] != 0).all()


RECURRENT = """dim batch, time
input x[batch, time, 2]
target y[batch]
h = simple_rnn(x, 3)
z[b] = h[b, time - 1, 0]
loss mean((z - y)^2)
first[b: batch, j] = grad(loss, h)[b, 0, j]
metric by_weight = gradient_norm(loss, h.wh)
metric by_inputs = gradient_norm(loss, x)
metric by_first  = sqrt(sum(first^2))
"""


def test_norms_of_gradients_are_metrics() -> None:
    """By a parameter, by all of a sequence, by a state on the way: its derivative is by way of the later ones too."""
    module = load_plain(emit(RECURRENT, dtype="float64"))
    params, rng = module.init(1), np.random.default_rng(2)
    x, y = rng.normal(size=(2, 3, 2)), rng.normal(size=2)

    def loss(wx: Any, wh: Any, x: Any, nudge: Any) -> Any:
        h = jnp.zeros((2, 3))
        for t in range(x.shape[1]):
            h = jnp.tanh(x[:, t] @ wx + h @ wh) + (nudge if t == 0 else 0)
        return ((h[:, 0] - y) ** 2).mean()

    with jax.enable_x64(True):
        values = (params["h.wx"], params["h.wh"], x, np.zeros((2, 3)))
        slopes = jax.grad(loss, argnums=(1, 2, 3))(*map(jnp.asarray, values))
    found = module.evaluate(params, x, y)
    for name, slope in zip(("by_weight", "by_inputs", "by_first"), slopes, strict=True):
        assert_close(found[name], np.linalg.norm(np.asarray(slope)), name)
