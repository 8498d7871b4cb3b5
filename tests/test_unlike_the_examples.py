"""Whole models that mix what the language has, against independent statements in JAX: loss and all gradients, to 1e-9.

None is like an example of the project: places chosen by conditions, recurrences through whole tensors and along trees,
scatters and gathers of gathers, gradients of gradients, sums over what a condition takes.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.special import logsumexp
from support.agreement import assert_close
from support.emitted import load_plain

from gradc.pipeline import emit

Numbers = dict[str, Any]


class Case(NamedTuple):
    text: str
    arrays: Callable[[np.random.Generator], tuple[Any, ...]]
    loss: Callable[..., Any]


CASES: dict[str, Case] = {}


def case(text: str, arrays: Callable[[np.random.Generator], tuple[Any, ...]]) -> Callable[..., None]:
    """Adds a model; the function below is its loss."""

    def add(loss: Callable[..., Any]) -> None:
        CASES[loss.__name__] = Case(text, arrays, loss)

    return add


def normal(*sizes: int) -> Callable[[np.random.Generator], tuple[Any, ...]]:
    return lambda rng: (rng.normal(size=sizes),)


# ---------------------------------------------------------------- places chosen by conditions

KERNEL = "dim n\ninput x[n]\nparam k[3] ~ normal()\n"
PLACE = "if i + u - 1 < 0 then 1 else if i + u - 1 >= n then n - 2 else i + u - 1"


@case(f"{KERNEL}y[i: n] = sum[u](x[{PLACE}] * k[u])\nloss sum(y^3)\n", normal(6))
def reflected_at_the_ends(p: Numbers, x: Any) -> Any:
    padded = jnp.pad(x, 1, mode="reflect")
    return (sum(padded[u : u + 6] * p["k"][u] for u in range(3)) ** 3).sum()


TABLE = KERNEL.replace("dim n\n", "dim n = 6\n")


@case(f"{TABLE}q[i: n, u: 3] = {PLACE}\ny[i: n] = sum[u](x[q[i, u]] * k[u])\nloss sum(y^3)\n", normal(6))
def reflected_by_a_table_of_places(p: Numbers, x: Any) -> Any:
    padded = jnp.pad(x, 1, mode="reflect")
    return (sum(padded[u : u + 6] * p["k"][u] for u in range(3)) ** 3).sum()


@case(
    "dim n\ninput x[n, n]\nparam k[] ~ 0.7\n"
    "y[i: n, j: n] = x[if i < j then i else j, if i < j then j else i] * k\nloss sum(y^3)\n",
    normal(5, 5),
)
def one_triangle_mirrored(p: Numbers, x: Any) -> Any:
    return ((jnp.triu(x) + jnp.triu(x, 1).T) ** 3).sum() * p["k"] ** 3


@case(
    f"{KERNEL}input s[n] : bool\ny[i] = x[if s[i] then i else n - 1 - i] * k[0] + x[if x[i] > 0 then 0 else i]\n"
    "loss sum(y^3)\n",
    lambda rng: (rng.normal(size=6), rng.random(6) > 0.5),
)
def places_by_data(p: Numbers, x: Any, s: Any) -> Any:
    return ((jnp.where(s, x, x[::-1]) * p["k"][0] + jnp.where(x > 0, x[0], x)) ** 3).sum()


@case(f"{KERNEL}y[i: n] = x?[if i > 2 then i - 4 else i + 5] * k[0]\nloss sum(y^3)\n", normal(7))
def places_that_may_be_outside(p: Numbers, x: Any) -> Any:
    places = [i - 4 if i > 2 else i + 5 for i in range(7)]
    return sum((x[j] * p["k"][0]) ** 3 for j in places if 0 <= j < 7)


ENDS = "x[max(i - 2, 0)] * k[0] + x[min(2 * i, n - 1)] * k[1] + x[clip(3 - i, 0, n - 1)] * k[2]"


@case(f"{KERNEL}y[i: n] = {ENDS}\nloss sum(y^2)\n", normal(6))
def places_held_inside(p: Numbers, x: Any) -> Any:
    i, k = jnp.arange(6), p["k"]
    inside = x[jnp.maximum(i - 2, 0)] * k[0] + x[jnp.minimum(2 * i, 5)] * k[1] + x[jnp.clip(3 - i, 0, 5)] * k[2]
    return (inside**2).sum()


@case(
    """
dim n = 4
input x[n, n]
param w[n * (n + 1) // 2] ~ normal()
p[i: n, j: n] = if j <= i then w[i * (i + 1) // 2 + j] else w[j * (j + 1) // 2 + i]
loss sum(p * x * p)
""",
    normal(4, 4),
)
def a_triangle_in_a_row(p: Numbers, x: Any) -> Any:
    lower = jnp.zeros((4, 4)).at[jnp.tril_indices(4)].set(p["w"])
    return ((lower + jnp.tril(lower, -1).T) ** 2 * x).sum()


# ---------------------------------------------------------------- recurrences


@case(
    f"{KERNEL}h[t] = x[t] + (if t > 0 then h[if t % 2 == 0 then t - 1 else t // 2] * k[0] else 0)\nloss sum(h^2)\n",
    normal(7),
)
def each_after_one_of_two(p: Numbers, x: Any) -> Any:
    h = [x[0]]
    for t in range(1, 7):
        h.append(x[t] + h[t - 1 if t % 2 == 0 else t // 2] * p["k"][0])
    return sum(each**2 for each in h)


@case(
    """
dim batch, time
input x[batch, time, 3]
param u[3, 3] ~ normal() * 0.4
param g[3] ~ ones
pre[b, t, j] = x[b, t, j] + sum[k](h?[b, t - 1, k] * u[k, j])
z = layer_norm(pre)
h[b, t, j] = tanh(z[b, t, j] * g[j])
loss mean(h^2)
""",
    normal(2, 4, 3),
)
def a_norm_in_each_step(p: Numbers, x: Any) -> Any:
    h, rows = jnp.zeros((2, 3)), []
    for t in range(4):
        pre = x[:, t] + h @ p["u"]
        z = (pre - pre.mean(1, keepdims=True)) / jnp.sqrt(pre.var(1, keepdims=True) + 1e-5)
        h = jnp.tanh((z * p["z.gain"] + p["z.offset"]) * p["g"])
        rows.append(h)
    return (jnp.stack(rows) ** 2).mean()


@case(
    """
dim time
input y[time]
param lq[] ~ -1
param lr[] ~ 0.2
param f[] ~ 0.9
before[t: time] = if t == 0 then 1 else f^2 * after?[t - 1] + exp(lq)
gain[t]         = before[t] / (before[t] + exp(lr))
after[t]        = (1 - gain[t]) * before[t]
guess[t: time]  = if t == 0 then 0 else f * mean_of?[t - 1]
error[t]        = y[t] - guess[t]
mean_of[t]      = guess[t] + gain[t] * error[t]
loss sum[t](error[t]^2 / (before[t] + exp(lr)) + log(before[t] + exp(lr)))
""",
    normal(6),
)
def a_kalman_filter(p: Numbers, y: Any) -> Any:
    q, r = jnp.exp(p["lq"]), jnp.exp(p["lr"])
    variance, guess, total = 1.0, 0.0, 0.0
    for seen in y:
        gain, error = variance / (variance + r), seen - guess
        total += error**2 / (variance + r) + jnp.log(variance + r)
        variance, guess = p["f"] ** 2 * (1 - gain) * variance + q, p["f"] * (guess + gain * error)
    return total


@case(
    """
dim n, m
input x[n], y[m]
param w[] ~ 1.1
def softmin(a, b, c) = -0.5 * log(exp(-a / 0.5) + exp(-b / 0.5) + exp(-c / 0.5))
c[i, j] = (x[i] * w - y[j])^2
d[i, j] = c[i, j] + (if i == 0 and j == 0 then 0 else softmin(
    if i > 0 then d?[i - 1, j] else inf, if j > 0 then d?[i, j - 1] else inf,
    if i > 0 and j > 0 then d?[i - 1, j - 1] else inf))
loss d[n - 1, m - 1]
""",
    lambda rng: (rng.normal(size=4), rng.normal(size=5)),
)
def soft_time_warping(p: Numbers, x: Any, y: Any) -> Any:
    d: dict[tuple[int, int], Any] = {}
    for i in range(4):
        for j in range(5):
            before = [d[at] for at in ((i - 1, j), (i, j - 1), (i - 1, j - 1)) if at in d]
            least = -0.5 * logsumexp(jnp.array([-each / 0.5 for each in before])) if before else 0.0
            d[i, j] = (x[i] * p["w"] - y[j]) ** 2 + least
    return d[3, 4]


@case(
    """
dim time, labels = 3, classes = 4
input x[time, classes], y[labels] : int(classes - 1)
param s[] ~ 1.2
z[t, k] = x[t, k] * s
lp = log_softmax(z)
lab[p: 2 * labels + 1] = if p % 2 == 1 then y[min(p // 2, labels - 1)] + 1 else 0
a[0, p: 2 * labels + 1] = if p < 2 then lp[0, lab[p]] else -inf
a[t + 1, p: 2 * labels + 1] = lp[t + 1, lab[p]] + logsumexp[d: 3](
    if p >= d and (d < 2 or p % 2 == 1 and lab[p] != lab?[p - 2]) then a?[t, p - d] else -inf)
loss -logsumexp[e: 2](a[time - 1, 2 * labels - e])
""",
    lambda rng: (rng.normal(size=(6, 4)), np.array([0, 0, 2])),
)
def ctc_by_hand(p: Numbers, x: Any, y: Any) -> Any:
    lp = jax.nn.log_softmax(x * p["s"], -1)
    lab = [0 if s % 2 == 0 else int(y[s // 2]) + 1 for s in range(7)]
    a: list[Any] = [lp[0, lab[s]] if s < 2 else None for s in range(7)]
    for t in range(1, 6):
        old, a = a, []
        for s in range(7):
            skips = s % 2 == 1 and s > 1 and lab[s] != lab[s - 2]
            ways = [old[s - d] for d in range(3 if skips else 2) if s >= d and old[s - d] is not None]
            a.append(lp[t, lab[s]] + logsumexp(jnp.array(ways)) if ways else None)
    return -logsumexp(jnp.array([a[-1], a[-2]]))


@case(
    """
dim batch, steps = 5
input x[batch, 3]
param a[] ~ 10
param b[] ~ 28
param c[] ~ 2.6
s[n, 0, j] = x[n, j]
s[n, (t: steps) + 1, 0] = s[n, t, 0] + 0.01 * a * (s[n, t, 1] - s[n, t, 0])
s[n, (t: steps) + 1, 1] = s[n, t, 1] + 0.01 * (s[n, t, 0] * (b - s[n, t, 2]) - s[n, t, 1])
s[n, (t: steps) + 1, 2] = s[n, t, 2] + 0.01 * (s[n, t, 0] * s[n, t, 1] - c * s[n, t, 2])
loss sum[t: steps](mean[n, j](s[n, t + 1, j]^2))
""",
    normal(2, 3),
)
def three_equations_of_one_state(p: Numbers, x: Any) -> Any:
    s, total = x, 0.0
    for _ in range(5):
        u, v, w = s.T
        slope = [p["a"] * (v - u), u * (p["b"] - w) - v, u * v - p["c"] * w]
        s = s + 0.01 * jnp.stack(slope, 1)
        total += (s**2).mean()
    return total


@case(
    """
dim batch, time
input x[batch, time] : int(4)
param w[4, 4] ~ normal()
c[b, t] = if t == 0 then x[b, 0] else (c?[b, t - 1] + x[b, t]) % 4
loss mean[b, t](w[c[b, t], x[b, t]]^2)
""",
    lambda rng: (rng.integers(0, 4, (2, 5)),),
)
def sums_that_are_places(p: Numbers, x: Any) -> Any:
    return (p["w"][jnp.cumsum(x, 1) % 4, x] ** 2).mean()


@case(
    """
dim time
dim depth = 3
input up[time] : bool, x[time]
param w[depth] ~ normal()
d[t] = clip((if t > 0 then d?[t - 1] else 1) + (if up[t] then 1 else -1), 0, depth - 1)
loss mean[t](x[t] * w[d[t]]^2)
""",
    lambda rng: (rng.random(6) > 0.5, rng.normal(size=6)),
)
def a_pointer_that_goes_up_and_down(p: Numbers, up: Any, x: Any) -> Any:
    d, total = 1, 0.0
    for t in range(6):
        d = min(max(d + (1 if up[t] else -1), 0), 2)
        total += x[t] * p["w"][d] ** 2
    return total / 6


# ---------------------------------------------------------------- gathers and scatters


@case(
    """
dim nodes, edges
input x[nodes, 3], src[edges] : int(nodes), dst[edges] : int(nodes)
param w[3, 2] ~ normal()
param a[2, 2] ~ normal()
z = x @ w
score[e] = leaky_relu(sum[f](z[src[e], f] * a[0, f]) + sum[f](z[dst[e], f] * a[1, f]), 0.2)
den[n: nodes] = sum[e](if dst[e] == n then exp(score[e]) else 0)
out[n: nodes, f] = sum[e](if dst[e] == n then exp(score[e]) / den[dst[e]] * z[src[e], f] else 0)
loss mean(out^2)
""",
    lambda rng: (rng.normal(size=(5, 3)), rng.integers(0, 5, 9), rng.integers(0, 5, 9)),
)
def graph_attention(p: Numbers, x: Any, src: Any, dst: Any) -> Any:
    z = x @ p["w"]
    weight = jnp.exp(jax.nn.leaky_relu(z[src] @ p["a"][0] + z[dst] @ p["a"][1], 0.2))
    total = jnp.zeros(5).at[dst].add(weight)
    return (jnp.zeros((5, 2)).at[dst].add((weight / total[dst])[:, None] * z[src]) ** 2).mean()


@case(
    """
dim batch, time
dim tags = 3
input x[batch, time, 4]
target y[batch, time] : int(tags)
param w[4, tags] ~ normal()
param tr[tags, tags] ~ normal()
em[b, t, k] = sum[i](x[b, t, i] * w[i, k])
al[b, t, k] = em[b, t, k] + (if t > 0 then logsumexp[j](al?[b, t - 1, j] + tr[j, k]) else 0)
z[b] = logsumexp[k](al[b, time - 1, k])
s[b] = sum[t](em[b, t, y[b, t]] + (if t > 0 then tr[y?[b, t - 1], y[b, t]] else 0))
loss mean(z - s)
""",
    lambda rng: (rng.normal(size=(2, 4, 4)), rng.integers(0, 3, (2, 4))),
)
def conditional_random_field(p: Numbers, x: Any, y: Any) -> Any:
    total = 0.0
    for row, tags in zip(x @ p["w"], y, strict=True):
        al, score = row[0], row[0, tags[0]]
        for t in range(1, 4):
            al = logsumexp(al[:, None] + p["tr"], axis=0) + row[t]
            score += p["tr"][tags[t - 1], tags[t]] + row[t, tags[t]]
        total += logsumexp(al) - score
    return total / 2


@case(
    """
dim n
input x[n, 2], y[n] : int(3)
param w[2, 2] ~ normal()
e = x @ w
d[i, j] = sum[k]((e[i, k] - e[j, k])^2)
loss mean[a, p, q](if y[a] == y[p] and a != p and y[a] != y[q] then max(0, d[a, p] - d[a, q] + 1) else 0)
""",
    lambda rng: (rng.normal(size=(5, 2)), np.array([0, 1, 0, 1, 2])),
)
def triplets(p: Numbers, x: Any, y: Any) -> Any:
    e = x @ p["w"]
    d = ((e[:, None] - e[None]) ** 2).sum(-1)
    total = sum(
        jnp.maximum(0, d[a, q] - d[a, r] + 1)
        for a in range(5)
        for q in range(5)
        for r in range(5)
        if y[a] == y[q] and a != q and y[a] != y[r]
    )
    return total / 125


# ---------------------------------------------------------------- gradients in equations


@case(
    """
dim n = 3
input q0[n]
param k[n] ~ normal()
q = q0 * 1
m = q0 * 0
repeat 3:
    h = sum(m^2) / 2 + sum(k * cos(q))
    m = m - 0.1 * grad(h, q)
    h = sum(m^2) / 2 + sum(k * cos(q))
    q = q + 0.1 * grad(h, m)
loss sum(q^2)
""",
    normal(3),
)
def steps_of_a_hamiltonian(p: Numbers, q: Any) -> Any:
    def energy(q: Any, m: Any) -> Any:
        return (m**2).sum() / 2 + (p["k"] * jnp.cos(q)).sum()

    m = jnp.zeros(3)
    for _ in range(3):
        m = m - 0.1 * jax.grad(energy)(q, m)
        q = q + 0.1 * jax.grad(energy, 1)(q, m)
    return (q**2).sum()


@case(
    """
dim batch
input x[batch, 3], d[3]
param w[3] ~ normal()
f = mean(log(1 + exp(x @ w))) + sum(w^4)
g = grad(f, w)
gd = sum(g * d)
hv = grad(gd, w)
loss sum(hv^2)
""",
    lambda rng: (rng.normal(size=(4, 3)), rng.normal(size=3)),
)
def a_hessian_times_a_vector(p: Numbers, x: Any, d: Any) -> Any:
    def f(w: Any) -> Any:
        return jax.nn.softplus(x @ w).mean() + (w**4).sum()

    return (jax.grad(lambda w: jax.grad(f)(w) @ d)(p["w"]) ** 2).sum()


@pytest.mark.parametrize("name", CASES)
def test_model_is_what_jax_says(name):
    text, arrays, formula = CASES[name]
    module = load_plain(emit(text, dtype="float64"))
    given = arrays(np.random.default_rng(7))
    params = module.init(seed=3)
    loss, gradients = module.loss_and_gradients(params, *given)
    with jax.enable_x64(True):
        values = {each: jnp.asarray(params[each]) for each in params}
        wanted, slopes = jax.value_and_grad(formula)(values, *given)
    assert_close(loss, wanted, "loss")
    for each, slope in slopes.items():
        assert_close(gradients[each], slope, each)
