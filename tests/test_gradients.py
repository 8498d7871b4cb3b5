"""`grad(y, x)` in equations: the emitted module, the graphs and the oracle of the syntax against JAX, to 1e-9.

Each case is a model, and its loss and predictions written again for JAX, whose `grad` does the same another way.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_graphs import Small, i, read
from support.agreement import assert_close, sources_of
from support.emitted import load_plain

import gradc
from gradc import check_nested
from gradc.calculus.nested import expanded
from gradc.errors import InternalError
from gradc.graph.interpret import interpret
from gradc.graph.tensors import Gradient
from gradc.graph.verify import verify
from gradc.language.evaluate import evaluate
from gradc.language.lower import lower
from gradc.pipeline import Stages, check, derive, emit, gradient_graph, graphs, inspect

Numbers = Mapping[str, Any]
Outputs = tuple[Any, dict[str, Any]]
"""A loss, and predictions by their names."""
ROWS = 4
tanh, sin, exp = jnp.tanh, jnp.sin, jnp.exp


def total(function: Callable[..., Any]) -> Callable[..., Any]:
    """The derivatives of the sum of what a function gives."""
    return jax.grad(lambda *arguments: jnp.sum(function(*arguments)))


NETWORK = """
dim n
input x[n, 2]
h = tanh(dense(x, 5))
k = sin(dense(h, 4))
u[i] = dense(k, 1)[i, 0]
"""
BURGERS = """
ux[i] = grad(u, x)[i, 0]
uxx[i] = grad(ux, x)[i, 0]
f[i] = grad(u, x)[i, 1] + u[i] * ux[i] - 0.1 * uxx[i]
predict slope = grad(u, x)
predict uxx
loss mean(f^2)
"""
KORTEWEG_DE_VRIES = """
def along(y[n], x[n, c]):
    return[i] = grad(y, x)[i, 0]
ux = along(u, x)
uxx = along(ux, x)
predict uxxx = along(uxx, x)
f[i] = grad(u, x)[i, 1] + 6 * u[i] * ux[i] + uxxx[i]
loss sum(f^2)
"""


def network(v: Numbers, x: Any) -> Any:
    h = tanh(x @ v["h.weight"] + v["h.bias"])
    k = sin(h @ v["k.weight"] + v["k.bias"])
    return (k @ v["u.weight"] + v["u.bias"])[:, 0]


def derivatives(v: Numbers) -> list[Callable[[Any], Any]]:
    """u, and its first, second and third derivatives by the first column."""
    found: list[Callable[[Any], Any]] = [lambda x: network(v, x)]
    for _ in range(3):
        found.append(lambda x, below=found[-1]: total(below)(x)[:, 0])
    return found


def burgers(v: Numbers) -> Outputs:
    u, ux, uxx, _ = derivatives(v)
    x, slope = v["x"], total(u)(v["x"])
    return ((slope[:, 1] + u(x) * ux(x) - 0.1 * uxx(x)) ** 2).mean(), {"slope": slope, "uxx": uxx(x)}


def korteweg_de_vries(v: Numbers) -> Outputs:
    u, ux, _, uxxx = derivatives(v)
    x = v["x"]
    return ((total(u)(x)[:, 1] + 6 * u(x) * ux(x) + uxxx(x)) ** 2).sum(), {"uxxx": uxxx(x)}


ENERGY = """
dim n
input r[n, 3]
target f[n, 3]
param a ~ ones
param b ~ ones
apart[i, j] = sqrt(sum[k]((r[i, k] - r[j, k])^2) + 0.1)
energy = 0.5 * sum[i: n, j: n](a * exp(-apart[i, j] * b))
predict force = -grad(energy, r)
loss sum((force - f)^2) + energy^2
"""


def forces(v: Numbers) -> Outputs:
    def energy(r: Any) -> Any:
        apart = jnp.sqrt(((r[:, None, :] - r[None, :, :]) ** 2).sum(-1) + 0.1)
        return 0.5 * (v["a"] * exp(-apart * v["b"])).sum()

    force = -jax.grad(energy)(v["r"])
    return ((force - v["f"]) ** 2).sum() + energy(v["r"]) ** 2, {"force": force}


PENALTY = """
dim n
input x[n, 3]
target y[n] : int(4)
logits = tanh(dense(x, 4))
misfit = mean(cross_entropy(logits, y))
loss misfit + 0.3 * sum(grad(misfit, logits.weight)^2)
metric slope = sqrt(sum(grad(loss, logits.weight)^2))
"""


def penalised(v: Numbers) -> Outputs:
    def misfit(w: Any) -> Any:
        logits = tanh(v["x"] @ w + v["logits.bias"])
        return -(jax.nn.log_softmax(logits)[jnp.arange(ROWS), v["y"]]).mean()

    slope = jax.grad(misfit)(v["logits.weight"])
    return misfit(v["logits.weight"]) + 0.3 * (slope**2).sum(), {}


BY_SOFTMAX = """
dim n
input x[n, 3]
param w[3, 2] ~ normal()
p = softmax(x @ w)
z[i] = p[i, 1] * log(p[i, 0])
predict by_p = grad(z, p)
loss sum(by_p) * sum(w) + p[0, 0]
"""


def by_softmax(v: Numbers) -> Outputs:
    p = jax.nn.softmax(v["x"] @ v["w"])
    by_p = total(lambda p: p[:, 1] * jnp.log(p[:, 0]))(p)
    return by_p.sum() * v["w"].sum() + p[0, 0], {"by_p": by_p}


REDUCERS = """
dim n
input x[n, 3]
param a[3] ~ normal()
z[i, j] = a[j] * x[i, j]
l[i] = logsumexp[j](z[i, j])^2 + max[j](z[i, j])^3
y[i] = l[i] + prod[j](1 + z[i, j]) + sum[j](if z[i, j] > 0 then z[i, j]^3 else z[i, j])
predict slope = grad(y, a)
predict second = grad(slope^2, a)
loss mean(second^2)
"""


def reducers(v: Numbers) -> Outputs:
    def y(a: Any) -> Any:
        z = a * v["x"]
        l = jax.nn.logsumexp(z, axis=1) ** 2 + z.max(1) ** 3  # noqa: E741  (as in the model)
        return l + jnp.prod(1 + z, 1) + jnp.where(z > 0, z**3, z).sum(1)

    second = total(lambda a: total(y)(a) ** 2)(v["a"])
    return (second**2).mean(), {"slope": total(y)(v["a"]), "second": second}


GATHERS = """
dim n
input ids[n] : int(5)
param table[5, 3] ~ normal()
e[i] = sum[j](table[ids[i], j] * table[ids[i], 2 - j])^2
predict slope = grad(e, table)
q[v, j: 2] = slope[v, j] * slope[v, j + 1]
loss sum(grad(q, slope)^2)
"""


def gathers(v: Numbers) -> Outputs:
    ids = v["ids"]
    slope = total(lambda t: (t[ids] * t[ids][:, ::-1]).sum(1) ** 2)(v["table"])
    return (total(lambda s: s[:, :-1] * s[:, 1:])(slope) ** 2).sum(), {"slope": slope}


STOPPED = """
dim n
input x[n, 3]
param w ~ ones
u[i] = sum[j](x[i, j] * stop_gradient(sin(x[i, j] * w)) + x[i, j]^2 * w)
predict slope = grad(u, x)
loss sum(slope^2)
"""


def stopped(v: Numbers) -> Outputs:
    def u(x: Any) -> Any:
        return (x * jax.lax.stop_gradient(sin(x * v["w"])) + x**2 * v["w"]).sum(1)

    slope = total(u)(v["x"])
    return (slope**2).sum(), {"slope": slope}


SEVERAL = """
dim n
input x[n], t
param w ~ ones
param s ~ ones
h[i] = tanh(w * x[i]) * t
u = sum(h^3) * exp(s * t)
predict by_t = grad(sum(h^3) * exp(s * t), t)
predict by_h = grad(u, h)
loss sum(grad(grad(u, t), x)) + grad(u, s)^2 + sum(by_h * x) + sum(grad(h, h)) + grad(t, s)
"""


def several(v: Numbers) -> Outputs:
    """By a scalar, by two tensors, of an expression, by what is computed on the way."""
    x, t, s, w = v["x"], v["t"], v["s"], v["w"]

    def of_h(h: Any, t: Any, s: Any) -> Any:
        return (h**3).sum() * exp(s * t)

    def u(x: Any, t: Any, s: Any) -> Any:
        return of_h(tanh(w * x) * t, t, s)

    by_t_x = jax.grad(jax.grad(u, 1), 0)(x, t, s)
    by_h = jax.grad(of_h)(tanh(w * x) * t, t, s)
    loss = by_t_x.sum() + jax.grad(u, 2)(x, t, s) ** 2 + (by_h * x).sum() + ROWS
    return loss, {"by_t": jax.grad(u, 1)(x, t, s), "by_h": by_h}


RECURRENCE = """
dim n, time = 3
input a[n, time, 2]
param w[2, 2] ~ normal()
h[b, t, j] = tanh(a[b, t, j] + sum[k](h?[b, t - 1, k] * w[k, j]))
y[b] = sum[t, j](h[b, t, j]^2)
predict by_a = grad(y, a)
predict by_h = grad(y, h)
predict second = grad(by_a^2, a)
loss mean(grad(by_a^2, a)^2) + sum(by_h^2) + sum(y)
"""


def recurrence(v: Numbers) -> Outputs:
    """By what comes in, and by the steps themselves: what is added to one moves those after it."""

    def y(a: Any, added: Any) -> Any:
        h, total = jnp.zeros((ROWS, 2)), 0.0
        for t in range(3):
            h = tanh(a[:, t] + h @ v["w"]) + added[:, t]
            total += (h**2).sum()
        return total

    a, none = v["a"], jnp.zeros_like(v["a"])
    by_a, by_h = jax.grad(y)(a, none), jax.grad(y, 1)(a, none)
    second = total(lambda a: jax.grad(y)(a, none) ** 2)(a)
    loss = (second**2).mean() + (by_h**2).sum() + y(a, none)
    return loss, {"by_a": by_a, "by_h": by_h, "second": second}


CASES: Mapping[str, tuple[str, Callable[[Numbers], Outputs]]] = {
    "second order": (NETWORK + BURGERS, burgers),
    "third order": (NETWORK + KORTEWEG_DE_VRIES, korteweg_de_vries),
    "forces of an energy": (ENERGY, forces),
    "a penalty on a gradient": (PENALTY, penalised),
    "by what a rule of algebra would look through": (BY_SOFTMAX, by_softmax),
    "reducers": (REDUCERS, reducers),
    "gathers and windows": (GATHERS, gathers),
    "stopped gradients": (STOPPED, stopped),
    "several at once": (SEVERAL, several),
    "a recurrence": (RECURRENCE, recurrence),
}


@dataclass(frozen=True)
class Example:
    """A case with values for its leaves, and what JAX makes of them: by label as in graphs."""

    stages: Stages
    text: str
    values: Numbers
    wanted: Numbers

    @property
    def dims(self) -> Mapping[str, int]:
        return dict.fromkeys(self.stages.model.dims, ROWS)

    def named(self, *roles: str) -> list[str]:
        return [leaf.name for leaf in self.stages.model.leaves if leaf.role.value in roles]


@pytest.fixture(scope="module", params=CASES)
def example(request: pytest.FixtureRequest) -> Example:
    text, outputs = CASES[request.param]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gradc.GradcWarning)
        stages = graphs(text)
    found = Example(stages, text, drawn(stages), {})
    with jax.enable_x64(True):
        given = {name: jnp.asarray(value) for name, value in found.values.items()}
        moved = {name: given[name] for name in found.named("param")}
        function = jax.value_and_grad(lambda params: outputs({**given, **params}), has_aux=True)
        (loss, predictions), slopes = function(moved)
        wanted = {"loss": loss, **{f"predict {name}": value for name, value in predictions.items()}}
        return replace(found, wanted=wanted | {f"gradient {name}": value for name, value in slopes.items()})


def drawn(stages: Stages) -> dict[str, Any]:
    rng = np.random.default_rng(5)
    values: dict[str, Any] = {}
    for leaf in stages.model.leaves:
        shape = [axis.extent.value(dict.fromkeys(stages.model.dims, ROWS)) for axis in leaf.axes]
        top = leaf.bounds.high.value({}) + 1 if leaf.bounds else None
        values[leaf.name] = rng.integers(0, top, shape) if top else rng.normal(size=shape) * 0.7
    return values


# ---------------------------------------------------------------- against JAX


def test_the_syntax_agrees_with_jax(example: Example) -> None:
    """The oracle's derivatives are forward ones: they share nothing with the one rule."""
    found = evaluate(example.stages.model, example.values, example.dims)
    for label, tensor in lower(example.stages.model).outputs.items():
        if label in example.wanted:
            assert_close(found[tensor], example.wanted[label], label)


def test_the_graphs_agree_with_jax(example: Example) -> None:
    stages = example.stages
    for graph in (stages.forward, gradient_graph(stages.model, stages.forward), stages.gradient, stages.predict):
        if graph is None:
            continue
        verify(graph)
        assert not graph.gradients
        found = interpret(graph, example.values, example.dims)
        for label, tensor in graph.outputs.items():
            if label in example.wanted:
                assert_close(found[tensor], example.wanted[label], label)


def test_the_module_agrees_with_jax(example: Example) -> None:
    module = load_plain(sources_of(example.stages, example.text, "float64").shared)
    for label, value in results(module, example):
        if label in example.wanted:
            assert_close(value, example.wanted[label], label)


def results(module: Any, example: Example) -> Iterator[tuple[str, Any]]:
    params = module.init(0)
    for name in example.named("param"):
        params[name] = example.values[name]
    loss, gradients = module.loss_and_gradients(params, *map(example.values.get, example.named("input", "target")))
    yield "loss", loss
    yield from ((f"gradient {name}", gradients[name]) for name in example.named("param"))
    found = module.predict(params, *map(example.values.get, example.named("input"))) if module.PREDICTIONS else {}
    found = found if isinstance(found, dict) else {module.PREDICTIONS[0]: found}
    yield from ((f"predict {name}", value) for name, value in found.items())


# ---------------------------------------------------------------- by differences


@pytest.mark.parametrize("text", [NETWORK + BURGERS, PENALTY, STOPPED, RECURRENCE],
                         ids=["network", "penalty", "stopped", "recurrence"])  # fmt: skip
def test_checks_compare_gradients_of_equations_too(text: str) -> None:
    report = check(text)
    assert report.passed, str(report)
    assert any(row.name.startswith("grad(") and row.compared for row in report.rows)


def test_a_check_tells_a_wrong_gradient_in_an_equation(monkeypatch: pytest.MonkeyPatch) -> None:
    def doubled(graph: Any) -> Any:
        found = expanded(graph)
        equations = [replace(e, body=2 * e.body) if e.target == "du.dx" else e for e in found.graph.equations]
        return replace(found, graph=found.graph.with_equations(tuple(equations)))

    monkeypatch.setattr(check_nested, "expanded", doubled)
    report = check(NETWORK + BURGERS)
    assert not report.passed
    assert "grad(u, x)[0, 0]: the gradient says" in str(report)
    assert "(twice as much)" in str(report)


# ---------------------------------------------------------------- graphs and words


def test_gradients_of_one_tensor_are_made_at_once_and_shared() -> None:
    stages = graphs("dim n\ninput x[n], t[n]\nparam w ~ ones\nu[i] = tanh(w * x[i]) * t[i]\n"
                    "loss sum(grad(u, x) * grad(u, x) + grad(u, t)) + sum(grad(u, x))")  # fmt: skip
    names = [name for name in stages.forward.tensors if name.startswith("du.d")]
    assert {"du.dx", "du.dt"} < set(names)
    assert not any(name.endswith("_") for name in names)


def test_stages_show_what_stands_for_a_gradient_and_what_it_becomes() -> None:
    text = NETWORK + BURGERS
    assert "ux[i] = grad(u, x)[i, 0]" in inspect(text, stage="graph")
    only = inspect(text, stage="graph", of="ux")
    assert "h.dense.sum[n, o] =" in only
    assert "loss" not in only.partition("outputs")[0]
    assert "ux[i] = du.dx[i, 0]" in inspect(text, stage="gradient")
    assert "dY_dX is the derivative of Y's sum by X" in inspect(text)
    assert "stands for the derivative of Y's sum by X" in str(derive(text, of="h.weight"))


def test_a_user_s_names_do_not_meet_those_of_derivatives() -> None:
    stages = graphs("dim n\ninput x[n]\nparam w ~ ones\ndef f(x[n]):\n    param dx ~ ones\n    return dx * sum(x)\n"
                    "u[i] = w * x[i]\ndu = f(x)\nloss sum(grad(u, x)) * du")  # fmt: skip
    assert {"du.dx", "du.dx_"} <= set(stages.forward.tensors)


@pytest.mark.parametrize(
    ("lines", "name"),
    [
        ("u[i] = w * x[i]\nloss sum(grad(u, t)) + sum(u)", "grad(u, t)"),
        ("u[i] = relu(w * x[i])\nux = grad(u, x)\nloss sum(grad(ux, x)) + sum(u)", "grad(ux, x)"),
        ("u[i] = w * stop_gradient(x[i])\nloss sum(grad(u, x)) + sum(u)", "grad(u, x)"),
    ],
    ids=["not read", "relu", "stopped"],
)
def test_a_gradient_that_is_0_everywhere_is_warned_of(lines: str, name: str) -> None:
    text = "dim n\ninput x[n], t[n]\nparam w ~ ones\n" + lines
    with pytest.warns(gradc.GradcWarning) as caught:
        module = load_plain(emit(text, dtype="float64"))
    assert any(f"{name} is 0 everywhere" in str(each.message) for each in caught)
    loss, _ = module.loss_and_gradients(module.init(0), np.arange(3.0), np.ones(3))
    assert loss == 3.0


@pytest.mark.parametrize(
    ("of", "slope"),
    [
        ("softsign(x)", lambda x: 1 / (1 + np.abs(x)) ** 2),
        ("x / (1 + x^2)", lambda x: (1 - x**2) / (1 + x**2) ** 2),
        ("2 / (1 + abs(x)) + x / (3 + x)", lambda x: 3 / (3 + x) ** 2 - 2 * np.sign(x) / (1 + np.abs(x)) ** 2),
    ],
)
def test_slopes_of_quotients_keep_their_digits_far_from_0(of: str, slope: Callable[[Any], Any]) -> None:
    text = f"dim n\ninput x[n]\ny = {of}\npredict slope = grad(y, x)\nloss sum(y)"
    module = load_plain(emit(text, dtype="float32"))
    x = np.array([-1e8, -1e5, -17, 0.5, 0, 40, 1e4, 1e5, 1e8], "float32")
    np.testing.assert_allclose(module.predict(module.init(0), x), slope(x.astype("float64")), rtol=1e-5)


def test_gradients_that_need_each_other_are_a_bug() -> None:
    small = Small().leaf("x", 3).tensor("a", 3).tensor("b", 3).tensor("g", 3).tensor("h", 3)
    small.write("a", [i], {"i": 3}, read("h", i)).write("b", [i], {"i": 3}, read("g", i))
    for name, of in (("g", "a"), ("h", "b")):
        small.tensors[name] = replace(small.tensors[name], gradient=Gradient(of, "x"))
    with pytest.raises(InternalError, match="each needs another"):
        expanded(small.graph("a"))


def test_a_graph_with_gradients_to_be_made_has_no_values() -> None:
    small = Small().leaf("x", 3).tensor("g", 3).tensor("y", 3)
    small.tensors["g"] = replace(small.tensors["g"], gradient=Gradient("x", "x"))
    with pytest.raises(InternalError, match="g stands for equations"):
        interpret(small.write("y", [i], {"i": 3}, read("g", i)).graph(), {"x": np.ones(3)}, {})
