"""What equations mean: every form of the language, computed by the plain oracle, against the same in NumPy."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from gradc.language.elaborate import elaborate_text
from gradc.language.evaluate import evaluate, evaluate_before, evaluate_law, evaluate_update

Values = Mapping[str, Any]

HEADER = """
dim batch, time
dim n = 6, m = 4
input x[batch, n], y[batch, n], s[batch, time], q[batch, n, m], r[n], c[]
input ids[batch] : int(m), flag[batch] : bool, pair[batch, 2] : int(n), free[batch] : int
param w[n, m] ~ normal()
param v[m, n] ~ normal()
param table[m, 3] ~ normal()
"""

DIMS = {"batch": 3, "time": 5}


def leaves(seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    normal = {
        name: rng.standard_normal(shape)
        for name, shape in {
            "x": (3, 6),
            "y": (3, 6),
            "s": (3, 5),
            "q": (3, 6, 4),
            "r": (6,),
            "c": (),
            "w": (6, 4),
            "v": (4, 6),
            "table": (4, 3),
        }.items()
    }
    whole = {"ids": rng.integers(0, 4, 3), "pair": rng.integers(0, 6, (3, 2)), "free": np.array([-3, 2, 99])}
    return {**normal, **whole, "flag": np.array([True, False, True])}


def compute(lines: str, training: bool = True, header: str = HEADER) -> dict[str, Any]:
    model = elaborate_text(f"{header}\n{lines}\npredict o\nloss 0 * 1\n", training=training)
    found = evaluate(model, leaves(), DIMS)
    return found | {"o": found[model.predictions[0].tensor]}


def softmax(x: Any) -> Any:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def shifted(s: Any) -> Any:
    return np.concatenate([np.zeros_like(s[:, :1]), s[:, :-1]], axis=1)


CASES: Mapping[str, tuple[str, Callable[[Values], Any]]] = {
    # whole tensors
    "element-wise": ("o = x + y * 2 - x / y", lambda t: t["x"] + t["y"] * 2 - t["x"] / t["y"]),
    "a scalar goes to every place": ("o = x * c + 1", lambda t: t["x"] * t["c"] + 1),
    "power binds tighter than minus": ("o = -x^2", lambda t: -(t["x"] ** 2)),
    "division from the left": ("o = 1/2*x", lambda t: t["x"] / 2),
    "pipes": ("o = x |> tanh |> max(0.1)", lambda t: np.maximum(np.tanh(t["x"]), 0.1)),
    "product": ("o = x @ w", lambda t: t["x"] @ t["w"]),
    "products in a row": ("o = x @ w @ v", lambda t: t["x"] @ t["w"] @ t["v"]),
    "product of a stack": ("o = q @ v", lambda t: t["q"] @ t["v"]),
    "product with a vector": ("o = x @ r", lambda t: t["x"] @ t["r"]),
    "product from a vector": ("o = r @ w", lambda t: t["r"] @ t["w"]),
    "product of vectors": ("o = r @ r", lambda t: t["r"] @ t["r"]),
    "product of computed tensors": ("o = tanh(x) @ (w + 1)", lambda t: np.tanh(t["x"]) @ (t["w"] + 1)),
    "concat": ("o = concat(x, y, axis = 1)", lambda t: np.concatenate([t["x"], t["y"]], 1)),
    "concat of three": ("o = concat(x, 2*y, x, axis = -1)", lambda t: np.concatenate([t["x"], 2 * t["y"], t["x"]], 1)),
    "concat along the first": ("o = concat(x, y)", lambda t: np.concatenate([t["x"], t["y"]])),
    "reshape": ("o = reshape(q, [batch, n * m])", lambda t: t["q"].reshape(3, 24)),
    "reshape with the rest": ("o = reshape(q, [-1, 2, 3])", lambda t: t["q"].reshape(-1, 2, 3)),
    "reshape across axes": ("o = reshape(w, [3, 8])", lambda t: t["w"].reshape(3, 8)),
    "reshape of a scalar": ("o = reshape(c, [1, 1])", lambda t: t["c"].reshape(1, 1)),
    "transpose": ("o = transpose(w)", lambda t: t["w"].T),
    "reductions to a scalar": (
        "o = sum(x) + mean(x) + max(x) + min(x) + prod(r)",
        lambda t: t["x"].sum() + t["x"].mean() + t["x"].max() + t["x"].min() + t["r"].prod(),
    ),
    "a scalar's own mean": ("o = mean(c)", lambda t: t["c"]),
    "reductions of the last axis": (
        "o = argmax(x) + argmin(x) * 10",
        lambda t: t["x"].argmax(1) + t["x"].argmin(1) * 10,
    ),
    "logsumexp": ("o = logsumexp(x)", lambda t: np.log(np.exp(t["x"]).sum(-1))),
    "argmax of a vector": ("o = argmax(r)", lambda t: t["r"].argmax()),
    "softmax": ("o = softmax(x)", lambda t: softmax(t["x"])),
    "softmax of any rank": ("o = softmax(q)", lambda t: softmax(t["q"])),
    "max of two": ("o = max(x, y)", lambda t: np.maximum(t["x"], t["y"])),
    "min of three": ("o = min(x, y, 0)", lambda t: np.minimum(np.minimum(t["x"], t["y"]), 0)),
    "clip": ("o = clip(x, -0.5, 0.5)", lambda t: np.clip(t["x"], -0.5, 0.5)),
    "truth counts": ("o = mean(x > y)", lambda t: (t["x"] > t["y"]).mean()),
    "conditions on tensors": (
        "o = if x > 0 and not (y > 0) then x else y",
        lambda t: np.where((t["x"] > 0) & ~(t["y"] > 0), t["x"], t["y"]),
    ),
    "chained comparison": ("o = if -0.5 <= x < 0.5 then 1 else 0", lambda t: ((t["x"] >= -0.5) & (t["x"] < 0.5)) * 1),
    "functions": (
        "o = abs(x) + sign(x) + sin(x) + erf(x) + log1p(exp(x)) + expm1(x) + floor(x) + round(x)",
        lambda t: _functions(t["x"]),
    ),
    "remainders": ("o = free // 4 + free % 4 * 100", lambda t: t["free"] // 4 + t["free"] % 4 * 100),
    "constants": ("o = c * pi + inf", lambda t: np.asarray(np.inf)),
    # index notation
    "a dense layer": (
        "o[i, k] = sum[j](x[i, j] * w[j, k]) + table[k, 0]",
        lambda t: t["x"] @ t["w"] + t["table"][:, 0],
    ),
    "a scalar by index": ("o[] = sum[i, j](x[i, j]) / (batch * n)", lambda t: t["x"].mean()),
    "a slice": ("o[i, j: 2] = x[i, j]", lambda t: t["x"][:, :2]),
    "a diagonal": ("o[i: 4] = w[i, i]", lambda t: np.diag(t["w"][:4])),
    "windows": ("o[i, j] = max[u: 2](x[i, 2*j + u])", lambda t: t["x"].reshape(3, 3, 2).max(-1)),
    "overlapping windows": (
        "o[i, j] = sum[u: 3](x[i, j + u] * r[u])",
        lambda t: np.stack([t["x"][:, j : j + 3] @ t["r"][:3] for j in range(4)], 1),
    ),
    "a split axis": ("o[i, a, d: 2] = x[i, a * 2 + d]", lambda t: t["x"].reshape(3, 3, 2)),
    "joined axes": ("o[i, a*m + d] = q[i, a, d]", lambda t: t["q"].reshape(3, 24)),
    "a dim as index and as size": ("o[batch, n*m + d] = q[batch, n, d]", lambda t: t["q"].reshape(3, 24)),
    "backwards": ("o[i, j] = x[i, n - 1 - j]", lambda t: t["x"][:, ::-1]),
    "every second": ("o[i, j] = x[i, 2*j]", lambda t: t["x"][:, ::2]),
    "each twice": ("o[i, j] = x[i, j // 2]", lambda t: np.repeat(t["x"], 2, 1)),
    "an index as a value": ("o[j: n] = 10000^(-j / n)", lambda t: 10000.0 ** (-np.arange(6) / 6)),
    "a triangle": (
        "o[i: n, j: n] = if j <= i then r[j] else -inf",
        lambda t: np.where(np.tri(6, dtype=bool), t["r"][None, :], -np.inf),
    ),
    "the last place": ("o[i] = s[i, time - 1]", lambda t: t["s"][:, -1]),
    "a shift with zeros": ("o[i, j: time] = s?[i, j - 1]", lambda t: shifted(t["s"])),
    "a shift by condition": (
        "o[i, j] = if j > 0 then s[i, j - 1] else s[i, j]",
        lambda t: np.concatenate([t["s"][:, :1], t["s"][:, :-1]], 1),
    ),
    "not equal lets read": ("o[i, j: time] = if j != 0 then s[i, j - 1] else 0", lambda t: shifted(t["s"])),
    "else lets read": ("o[i, j: time] = if j == 0 or j < 0 then 0 else s[i, j - 1]", lambda t: shifted(t["s"])),
    "both ends guarded": ("o[i, j: 8] = x?[i, j - 1]", lambda t: np.pad(t["x"], ((0, 0), (1, 1)))),
    "a gather": ("o[i, j] = table[ids[i], j]", lambda t: t["table"][t["ids"]]),
    "a gather of arithmetic": ("o[i, j] = table[(ids[i] + 1) % m, j]", lambda t: t["table"][(t["ids"] + 1) % 4]),
    "a gather by argmax": ("o[i, j] = table[argmax[k](q[i, 0, k]), j]", lambda t: t["table"][t["q"][:, 0].argmax(-1)]),
    "a gather by a whole tensor": ("o[i, j] = v[argmax(x @ w)[i], j]", lambda t: t["v"][(t["x"] @ t["w"]).argmax(1)]),
    "a gather that is clipped": ("o[i] = r[clip(free[i], 0, n - 1)]", lambda t: t["r"][np.clip(t["free"], 0, 5)]),
    "a gather by min": ("o[i, j: n] = x[i, min(j + 1, n - 1)]", lambda t: t["x"][:, np.minimum(np.arange(6) + 1, 5)]),
    "a gather under a condition": (
        "o[i] = if 0 <= free[i] < n then r[free[i]] else 7",
        lambda t: np.array([7, t["r"][2], 7]),
    ),
    "a guarded gather": ("o[i] = r?[free[i]]", lambda t: np.array([0, t["r"][2], 0])),
    "a guarded gather of floor": (
        "o[i, j: n] = x?[i, floor(r[j])]",
        lambda t: np.stack([_guarded(t["x"], int(k)) for k in np.floor(t["r"])], 1),
    ),
    "two gathers": (
        "o[i] = r[pair[i, 0]] * r[pair[i, 1]]",
        lambda t: t["r"][t["pair"][:, 0]] * t["r"][t["pair"][:, 1]],
    ),
    "a gather by a stored one": (
        "k[i] = (ids[i] + 1) // 2\no[i] = r[k[i] + 3]",
        lambda t: t["r"][(t["ids"] + 1) // 2 + 3],
    ),
    "a scatter": ("o[a: m, j] = sum[i](if ids[i] == a then x[i, j] else 0)", lambda t: _scattered(t)),
    "a scatter told by its range": ("o[a, j] = sum[i](if ids[i] == a then x[i, j] else 0)", lambda t: _scattered(t)),
    "a transposed convolution": (
        "o[b, p: 2*n] = sum[i, u: 3](if 2*i + u == p + 1 then x[b, i] * r[u] else 0)",
        lambda t: _transposed(t),
    ),
    "several equations": (
        "o[i, 0] = x[i, 0]\no[i, 2] = x[i, 1]",
        lambda t: np.stack([t["x"][:, 0], 0 * t["x"][:, 0], t["x"][:, 1]], 1),
    ),
    "interleaved": (
        "o[i, 2*j] = x[i, j]\no[i, 2*j + 1] = y[i, j]",
        lambda t: np.stack([t["x"], t["y"]], 2).reshape(3, 12),
    ),
    "one after the other": ("o[i, j] = x[i, j]\no[i, n + j] = y[i, j]", lambda t: np.concatenate([t["x"], t["y"]], 1)),
    "three interleaved": (
        "o[3*j] = r[j]\no[3*j + 1] = r[j]^2\no[3*j + 2] = 0 * r[j]",
        lambda t: np.stack([t["r"], t["r"] ** 2, 0 * t["r"]], 1).reshape(18),
    ),
    "dots": ("o[..., k] = sum[j](x[..., j] * w[j, k])", lambda t: t["x"] @ t["w"]),
    "dots of no axes": ("o[..., k] = sum[j](r[..., j] * w[j, k])", lambda t: t["r"] @ t["w"]),
    "dots of two axes": ("o[..., k] = sum[j](q[..., j] * v[j, k])", lambda t: t["q"] @ t["v"]),
    "dots reduced": ("o[k] = mean[...](q[..., k])", lambda t: t["q"].mean((0, 1))),
    "dots at the end": ("o[k, ...] = q[k, ...] + 1", lambda t: t["q"] + 1),
    "mean": ("o[i] = mean[j](x[i, j])", lambda t: t["x"].mean(1)),
    "prod": ("o[i] = prod[j](x[i, j])", lambda t: t["x"].prod(1)),
    "reduction in a reduction": ("o[i] = max[j](sum[k](q[i, j, k]))", lambda t: t["q"].sum(2).max(1)),
    "the same name in two reductions": (
        "o[i] = sum[j](x[i, j]) * max[j](y[i, j])",
        lambda t: t["x"].sum(1) * t["y"].max(1),
    ),
    "argmax by index": ("o[i, j] = argmax[k](q[i, j, k])", lambda t: t["q"].argmax(2)),
    "softmax over an index": (
        "o[i, j, k] = softmax[j](q[i, j, k])",
        lambda t: np.moveaxis(softmax(np.moveaxis(t["q"], 1, 2)), 2, 1),
    ),
    "softmax inside of a sum": (
        "o[i, k] = sum[j](softmax[j](q[i, j, k]) * x[i, j])",
        lambda t: np.einsum("ikj,ij->ik", softmax(np.moveaxis(t["q"], 1, 2)), t["x"]),
    ),
    "a masked softmax": (
        "o[i, j: n] = softmax[j](if j < 3 then x[i, j] else -inf)",
        lambda t: np.pad(softmax(t["x"][:, :3]), ((0, 0), (0, 3))),
    ),
    "a loss over an index": ("o[i, j] = cross_entropy[k](q[i, j, k], ids[i])", lambda t: _cross_entropy(t)),
    "a whole value read": (
        "o[i] = softmax(x)[i, 0] + tanh(x)[i, 1]",
        lambda t: softmax(t["x"])[:, 0] + np.tanh(t["x"][:, 1]),
    ),
    "a whole value in an index equation": ("o[i, j] = x[i, j] - mean(x)", lambda t: t["x"] - t["x"].mean()),
    "a whole value of an index": (
        "o[j] = sum(abs(x - r[j]))",
        lambda t: np.abs(t["x"][..., None] - t["r"]).sum((0, 1)),
    ),
    "equations below": ("o[i] = later[i] + 1\nlater[i] = r[i] * 2", lambda t: t["r"] * 2 + 1),
    "a whole tensor of equations above": ("a[i] = r[i]\no = a * 2", lambda t: t["r"] * 2),
    "an equation below a whole tensor": ("a[i] = b[i]\nu = tanh(r)\nb[i] = u[i]\no = a", lambda t: np.tanh(t["r"])),
    "true as a number": ("o[i] = flag[i] + 1", lambda t: t["flag"] + 1),
    "a condition that is a tensor": (
        "o[i] = if flag[i] then x[i, 0] else 0",
        lambda t: np.where(t["flag"], t["x"][:, 0], 0),
    ),
    "scalar tensors": ("k = max(x)\no[i] = k * r[i] + c[]", lambda t: t["x"].max() * t["r"] + t["c"]),
    # definitions
    "a definition of numbers": ("def f(a) = a * a + 1\no = f(x + y)", lambda t: (t["x"] + t["y"]) ** 2 + 1),
    "numbers in an index equation": (
        "def f(a, b) = a * b + a\no[i] = f(r[i] + 1, i)",
        lambda t: (t["r"] + 1) * np.arange(6) + t["r"] + 1,
    ),
    "names in definitions do not meet": (
        "def f(a) = a * a\ndef g(a, b) = f(a + 1) * b * b\no = g(x + 1, f(x + y))",
        lambda t: (t["x"] + 2) ** 2 * (t["x"] + t["y"]) ** 4,
    ),
    "an index keeps its meaning": (
        "def f(a) = sum[i](a[i] * a[i])\no[i] = f(r - r[i])",
        lambda t: ((t["r"][None] - t["r"][:, None]) ** 2).sum(1),
    ),
    "a definition of tensors": (
        "def f(a[..., i], k):\n    b[..., j: k] = a[..., j]\n    return[..., j] = b[..., j] / i\no = f(x, 2)",
        lambda t: t["x"][:, :2] / 6,
    ),
    "a body that is an expression": ("def f(a, b) = softmax(a) @ b\no = f(x, w)", lambda t: softmax(t["x"]) @ t["w"]),
    "two values": (
        "def moments(a[..., i]):\n    mu[...] = mean[i](a[..., i])\n    return mu, mean(a^2)\no, other = moments(x)",
        lambda t: t["x"].mean(1),
    ),
    "two values of equations": (
        "def moments(a[..., i]):\n    mu[...] = mean[i](a[..., i])\n    var[...] = mean[i]((a[..., i] - mu[...])^2)\n"
        "    return mu, var\nmu, var = moments(x)\no = mu + var",
        lambda t: t["x"].mean(1) + t["x"].var(1),
    ),
    "defaults": ("def f(a, k = 2, j = k + 1) = a * k + j\no = f(x)", lambda t: t["x"] * 2 + 3),
    "keywords": ("def f(a, k = 2, j = 3) = a * k + j\no = f(j = 1, a = x)", lambda t: t["x"] * 2 + 1),
    "words": (
        "def f(a, mode = up | down) = if mode == up then a + 1 else a - 1\no = f(x, mode = down) * f(x)",
        lambda t: (t["x"] - 1) * (t["x"] + 1),
    ),
    "words handed on": (
        "def g(a, mode = up | down) = if mode != up then 2 * a else a\n"
        "def f(a, mode = up | down) = g(a, mode)\no = f(x, down)",
        lambda t: 2 * t["x"],
    ),
    "lists": (
        "def f(a, sizes):\n    for k in sizes:\n        a = a * k\n    return a\no = f(x, [2, 3])",
        lambda t: t["x"] * 6,
    ),
    "definitions as arguments": (
        "def twice(f, a) = f(f(a))\no = twice(tanh, x) + twice(softmax, x)",
        lambda t: np.tanh(np.tanh(t["x"])) + softmax(softmax(t["x"])),
    ),
    "a dim of a definition's own": (
        "def f(a[i]):\n    dim half = i // 2\n    return[j: half] = a[j + half]\no = f(r)",
        lambda t: t["r"][3:],
    ),
    "conditions when compiled": (
        "def f(a, k):\n    if k > 2: return a * k\n    else: return a\no = f(x, 3) + f(x, 1)",
        lambda t: t["x"] * 4,
    ),
    "equal axes agree": (
        "def trace(a[i, i]) = sum[i](a[i, i])\nk = w @ v\no = trace(k)",
        lambda t: np.trace(t["w"] @ t["v"]),
    ),
    "a number in a header": ("def f(a[i, 4]) = sum(a)\no = f(w)", lambda t: t["w"].sum()),
    # loops
    "repeat": ("a = x\nrepeat 3: a = tanh(a)\no = a", lambda t: np.tanh(np.tanh(np.tanh(t["x"])))),
    "for over values": ("a = x\nfor k in 2, 3: a = a * k\no = a", lambda t: t["x"] * 6),
    "for over a range": ("a = 0\nfor k in range(4): a = a + k * x\no = a", lambda t: t["x"] * 6),
    "for over a longer range": ("a = 0\nfor k in range(1, 10, 4): a = a + k * x\no = a", lambda t: t["x"] * 15),
    "a loop's number is no index": (
        "a = x\nfor k in range(2):\n    b[i] = a[i, k]\n    a = a * sum(b)\no = b",
        lambda t: t["x"][:, 1] * t["x"][:, 0].sum(),
    ),
    "loops in loops": ("a = x\nfor k in 1, 2:\n    repeat 2: a = a * k\no = a", lambda t: t["x"] * 4),
    "for over definitions": ("a = x\nfor f in tanh, relu: a = f(a)\no = a", lambda t: np.maximum(np.tanh(t["x"]), 0)),
    "the last round's name": ("for k in 1, 2: u = x * k\no = u", lambda t: t["x"] * 2),
    "a name again": ("u = x\nu = u + 1\nu = u * 2\no = u", lambda t: (t["x"] + 1) * 2),
}


def _functions(x: Any) -> Any:
    erf = np.vectorize(math.erf)(x)
    return np.abs(x) + np.sign(x) + np.sin(x) + erf + np.log1p(np.exp(x)) + np.expm1(x) + np.floor(x) + np.round(x)


def _guarded(x: Any, k: int) -> Any:
    return x[:, k] if 0 <= k < x.shape[1] else 0 * x[:, 0]


def _scattered(t: Values) -> Any:
    result = np.zeros((4, 6))
    np.add.at(result, t["ids"], t["x"])
    return result


def _transposed(t: Values) -> Any:
    result = np.zeros((3, 12))
    for i in range(6):
        for u in range(3):
            p = 2 * i + u - 1
            if 0 <= p < 12:
                result[:, p] += t["x"][:, i] * t["r"][u]
    return result


def _cross_entropy(t: Values) -> Any:
    picked = np.take_along_axis(t["q"], np.broadcast_to(t["ids"][:, None, None], (3, 6, 1)), 2)[..., 0]
    return np.log(np.exp(t["q"]).sum(-1)) - picked


@pytest.mark.parametrize("name", list(CASES))
def test_an_equation_means_what_numpy_says(name: str) -> None:
    lines, expected = CASES[name]
    found = compute(lines)
    wanted = expected(leaves())
    assert found["o"].shape == np.shape(wanted)
    np.testing.assert_allclose(found["o"], wanted, rtol=1e-12, atol=1e-12)


# ---------------------------------------------------------------- special values

SPECIAL = """
dim n = 3
input z[n], k[n]
param w[n] ~ zeros
"""


def special(lines: str, z: list[float], k: list[float]) -> Any:
    model = elaborate_text(f"{SPECIAL}\n{lines}\npredict o\nloss 0 * 1\n", training=True)
    return evaluate(model, {"z": np.array(z), "k": np.array(k)}, {})[model.predictions[0].tensor]


INF, NAN = float("inf"), float("nan")


@pytest.mark.parametrize(
    ("lines", "z", "wanted"),
    [
        ("o = argmax(z)", [1.0, 1.0, 0.0], 0),
        ("o = argmin(z)", [1.0, 0.0, 0.0], 1),
        ("o = argmax(z)", [1.0, NAN, 2.0], 1),
        ("o = max(z)", [1.0, NAN, 2.0], NAN),
        ("o = logsumexp(z)", [-INF, -INF, -INF], -INF),
        ("o = logsumexp(z)", [-INF, 0.0, -INF], 0.0),
        ("o = logsumexp(z)", [INF, 0.0, -INF], INF),
        ("o = logsumexp(z)", [1000.0, 1000.0, 1000.0], 1000 + math.log(3)),
        ("o = prod(z)", [0.0, 2.0, 3.0], 0.0),
        ("o = z^0.5", [4.0, 0.0, -1.0], [2.0, 0.0, NAN]),
        ("o = if z > 0 then 1 / z else 0", [2.0, 0.0, NAN], [0.5, 0.0, 0.0]),
        ("o = relu(z)", [NAN, -1.0, 1.0], [0.0, 0.0, 1.0]),
        ("o = max(z, 0)", [NAN, -1.0, 1.0], [NAN, 0.0, 1.0]),
        ("o[i: n] = if i > 0 then z[i - 1] else 7", [1.0, 2.0, 3.0], [7.0, 1.0, 2.0]),
    ],
)
def test_special_values(lines: str, z: list[float], wanted: Any) -> None:
    np.testing.assert_array_equal(special(lines, z, z), wanted)


# ---------------------------------------------------------------- training


def test_training_is_known_when_the_model_is_compiled() -> None:
    lines = "o = if training then 2 * x else x"
    np.testing.assert_array_equal(compute(lines)["o"], 2 * leaves()["x"])
    np.testing.assert_array_equal(compute(lines, training=False)["o"], leaves()["x"])


def test_statements_unfold_by_training() -> None:
    lines = "if training: o = 2 * x\nelse: o = x"
    np.testing.assert_array_equal(compute(lines, training=False)["o"], leaves()["x"])


def laws(lines: str) -> list[Any]:
    model = elaborate_text(f"dim n = 400, m = 30\n{lines}\nloss 0 * 1\n", training=True)
    rng = np.random.default_rng(0)
    return [evaluate_law(leaf.law, rng) for leaf in model.leaves if leaf.law]


def test_laws() -> None:
    zeros, counted, uniform, normal = laws(
        "param a[n] ~ zeros\nparam b[i: n, m] ~ log(1 + i)\n"
        "param c[n, m] ~ uniform()\nparam d[n, m] ~ he_normal(fan_in = n)"
    )
    np.testing.assert_array_equal(zeros, np.zeros(400))
    np.testing.assert_allclose(counted, np.log1p(np.arange(400))[:, None] * np.ones(30))
    assert 0 <= uniform.min() < uniform.max() < 1
    np.testing.assert_allclose(uniform.mean(), 0.5, atol=0.02)
    np.testing.assert_allclose(normal.std(), math.sqrt(2 / 400), rtol=0.02)
    assert len(np.unique(normal)) == normal.size


def test_orthogonal_is_the_first_axis_against_the_rest() -> None:
    tall, wide = laws("param a[n, 5, 2] ~ orthogonal\nparam b[m, n] ~ orthogonal")
    flat = tall.reshape(400, 10)
    np.testing.assert_allclose(flat.T @ flat, np.eye(10), atol=1e-12)
    np.testing.assert_allclose(wide @ wide.T, np.eye(30), atol=1e-12)


def test_an_update_by_number_and_its_clipping() -> None:
    model = elaborate_text(
        "param w[3] ~ zeros\nparam v[2] ~ zeros\nloss sum(w) + sum(v)\n"
        "optimize sgd(lr = 0.1, momentum = 0.9), clip_norm = 1.0, clip_value = 0.25\n",
        training=True,
    )
    (update,) = model.training.updates
    assert update.parameters == ("w", "v")
    g = np.array([3.0, 0.0, 4.0, 0.0, 0.0])
    scalars = evaluate_before(model.training, g)
    np.testing.assert_allclose(scalars["clip_scale"], 1 / (5 + 1e-6))
    p, v = np.ones(5), np.full(5, 0.5)
    found = evaluate_update(update, {"p": p, "g": g, "v": v, "t": np.array(2), "clip_scale": scalars["clip_scale"]})
    clipped = np.minimum(g / (5 + 1e-6), 0.25)
    np.testing.assert_allclose(found["v"], 0.9 * v + clipped)
    np.testing.assert_allclose(found["p"], p - 0.1 * (0.9 * v + clipped))


def test_a_rule_of_tensors_runs_for_each() -> None:
    model = elaborate_text(
        "param w[3, 2] ~ zeros\nparam v[2] ~ zeros\nloss sum(w) + sum(v)\n"
        "optimizer unit(lr = 0.1):\n    size = sqrt(sum(g^2))\n    p = p - lr * g / size\noptimize unit\n",
        training=True,
    )
    first, second = model.training.updates
    assert (first.parameters, second.parameters) == (("w",), ("v",))
    assert [str(axis.extent) for axis in first.axes] == ["3", "2"]
    g = np.arange(6.0).reshape(3, 2)
    found = evaluate_update(first, {"p": np.zeros((3, 2)), "g": g})
    np.testing.assert_allclose(found["p"], -0.1 * g / np.linalg.norm(g))


def test_a_schedule_reads_the_step() -> None:
    model = elaborate_text(
        "param w[3] ~ zeros\nloss sum(w)\noptimize sgd(lr = exponential_decay(0.5, factor = 0.1))\n", training=True
    )
    (update,) = model.training.updates
    for step in (1, 2, 3):
        found = evaluate_update(update, {"p": np.zeros(3), "g": np.ones(3), "t": np.array(step)})
        np.testing.assert_allclose(found["p"], -0.5 * 0.1 ** (step - 1) * np.ones(3))
