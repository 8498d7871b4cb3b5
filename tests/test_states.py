"""States and updates: what a model carries from step to step, the same for oracles, graphs and modules."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.agreement import assert_close, sources_of
from support.emitted import load_compiled, load_plain, poisoned

import gradc
from gradc import GradcError
from gradc.graph import noise
from gradc.graph.interpret import interpret
from gradc.graph.verify import verify
from gradc.language.elaborate import elaborate
from gradc.language.evaluate import evaluate
from gradc.language.load import load
from gradc.pipeline import check, derive, emit, gradient_program, graphs, graphs_of, inspect
from gradc.schedule.shard import rows_of
from gradc.schedule.verify import verify_program

HEAD = "dim batch\ndim n = 6, c = 4\ninput x[batch, n]\ntarget y[batch, c]\n"
TAIL = "z = dense(x, c)\npredict z\nloss mean(squared_error(z, y))\n"
MIXED = f"""{HEAD}
def follow(s[i], v[b, i], rate = 0.1):
    update s[i] = (1 - rate) * s[i] + rate * mean[b](v[b, i])
    return[b, i] = v[b, i] - s[i]
shared def net(q[b, i]):
    state seen ~ ones
    update seen = seen + sum(q > 0)
    return dense(q, 4) * stop_gradient(seen) / 10
state middle[n] ~ normal()
state last[3, c] ~ zeros
state steps ~ zeros
state kept[n, c] ~ zeros
state noisy[n] ~ zeros
state slope[n] ~ ones
a = follow(middle, x, rate = 0.25)
hidden = tanh(dense(a, 8))
h = batch_norm(hidden)
z = net(h) + dense(h, c)
update last[0, j] = mean[b](z[b, j])
update last[(i: 2) + 1, j] = last[i, j] + last[2, j]
update steps = steps + 1
weights[i, j] = sum[k](hidden.weight[i, k]) * y[0, j]
update kept = 0.9 * kept + 0.1 * weights
update noisy[i] = noisy[i] / 2 + normal()
update slope[i] = grad(z, x)[0, i] + slope[i] * steps
predict p = z + last[0, 0]
metric count = steps
loss mean(squared_error(z, y)) + 0.01 * steps * mean(z^2)
"""
"""States in a definition, handed to one and shared; of one equation and of several; of gradients and of noise."""


def data(batch: int = 5) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(batch, 6)), rng.normal(size=(batch, 4))


def plain(body: str) -> Any:
    return load_plain(emit(HEAD + body, dtype="float64"))


def after(body: str, steps: int = 1) -> Any:
    """The parameters and states of a model after some steps."""
    module = plain(body)
    params = module.init(0)
    state = module.init_state(params)
    for _ in range(steps):
        module.train_step(params, state, *data())
    return params


# ------------------------------------------------------------------ one meaning everywhere


def test_oracles_graphs_and_module_agree() -> None:
    sources = load(MIXED, file="m.grad", folder=None)
    model, quiet = elaborate(sources, training=True), elaborate(sources, training=False)
    stages = graphs_of(model, quiet)
    assert stages.gradient is not None
    module = load_plain(sources_of(stages, MIXED, "float64").shared)
    params = module.init(3)
    state = module.init_state(params, seed=7)
    x, y = data()
    for step in (1, 2, 3):
        seed = noise.key(7, step)
        values = {name: np.array(params[name]) for name in module.PARAMS} | {"x": x, "y": y}
        oracle = evaluate(model, values, {"batch": 5}, seed)
        for graph in (stages.forward, stages.gradient):
            verify(graph)
            found = interpret(graph, values, {"batch": 5}, seed)
            for name, tensor in model.carried:
                assert_close(found[graph.outputs[f"next {name}"]], oracle[tensor], f"{name} after step {step}")
        before = params.flat.copy()
        loss, gradients = module.loss_and_gradients(params, x, y, seed=seed)
        np.testing.assert_array_equal(params.flat, before)
        for name in module.PARAMS:
            if name not in dict(model.carried):
                assert_close(gradients[name], found[stages.gradient.outputs[f"gradient {name}"]], name)
        assert module.train_step(params, state, x, y) == loss
        for name, tensor in model.carried:
            assert_close(params[name], oracle[tensor], f"{name} after step {step}")
        silent = evaluate(quiet, {name: params[name] for name in module.PARAMS} | {"x": x, "y": y}, {"batch": 5})
        assert_close(module.predict(params, x), silent["p"], "p")
        assert module.evaluate(params, x, y)["count"] == step
    assert len(model.carried) == len(params) - sum(f"{name}.g" in module.MOMENTS for name in params) - 10 + 2


def test_what_states_are_next_needs_no_clean_work_space() -> None:
    stages = graphs(MIXED)
    sources = sources_of(stages, MIXED, "float64")
    ends = []
    for source in (sources.shared, sources.separate):
        module = load_plain(source)
        params = module.init(3)
        with poisoned(module, np.nan):
            state = module.init_state(params)
            state.flat[:] = 0.0
            module.train_step(params, state, *data())
        ends.append(params.flat)
    np.testing.assert_array_equal(*ends)
    assert np.isfinite(ends[0]).all()


def test_the_compiled_module_agrees(tmp_path: Path) -> None:
    body = "h = batch_norm(x)\nstate k ~ zeros\nupdate k = k + 1\noptimize sgd(lr = 0.1)\n"
    source = emit(HEAD + body + TAIL.replace("x,", "h,"))
    ends = []
    for module in (load_plain(source), load_compiled(source, tmp_path)):
        params = module.init(1)
        state = module.init_state(params)
        losses = [module.train_step(params, state, *data()) for _ in range(3)]
        before = params.flat.copy()
        losses.append(module.loss_and_gradients(params, *data())[0])
        np.testing.assert_array_equal(params.flat, before)
        ends.append((losses, before))
    for found, wanted in zip(*ends, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=2e-4, atol=1e-5)
    assert params["k"] == 3.0


# ------------------------------------------------------------------ what an update means

X, Y = data()
MEANS = {
    "a count": ("state k ~ zeros\nupdate k = k + 1", "k", 3.0),
    "a number": ("state k ~ zeros\nupdate k = 7", "k", 7.0),
    "another state": ("state k ~ zeros\nstate j ~ ones\nupdate k = j\nupdate j = k", "k", 1.0),
    "the value before, above and below": (
        "state k ~ zeros\nstate j ~ zeros\nstate i ~ zeros\nupdate j = k\nupdate k = k + 1\nupdate i = k + j",
        "i",
        3.0,
    ),
    "itself": ("state k[n] ~ ones\nupdate k = k", "k", np.ones(6)),
    "without an update": ("state k[n] ~ ones\nmetric m = sum(k)", "k", np.ones(6)),
    "a sum over the batch": ("state k[n] ~ zeros\nupdate k[i] = sum[b](x[b, i])", "k", X.sum(axis=0)),
    "the largest of the batch": ("state k[n] ~ zeros\nupdate k[i] = max[b](x[b, i])", "k", X.max(axis=0)),
    "a target": ("state k[c] ~ zeros\nupdate k[j] = mean[b](y[b, j])", "k", Y.mean(axis=0)),
    "true and false": ("state k[n] ~ zeros\nupdate k[i] = x[0, i] > 0", "k", X[0] > 0),
    "true and false, as a whole": ("m[i] = x[0, i]\nstate k[n] ~ zeros\nupdate k = m > 0", "k", X[0] > 0),
    "true, a scalar": ("state k ~ zeros\nupdate k = x[0, 0] > 0", "k", float(X[0, 0] > 0)),
    "a whole number": ("m[i] = x[0, i]\nstate k ~ zeros\nupdate k = argmax(m)", "k", X[0].argmax()),
    "its indices run over the state": ("state k[n] ~ zeros\nupdate k[i] = 2 * i", "k", 2.0 * np.arange(6)),
    "its indices run over the state where they are read in arithmetic": (
        "state k[i: n] ~ 1 + i\nupdate k[i] = if i < n - 1 then k[i + 1] else 9",
        "k",
        np.array([4.0, 5.0, 6.0, 9.0, 9.0, 9.0]),
    ),
    "several equations": (
        "state k[3] ~ zeros\nupdate k[0] = k[0] + 1\nupdate k[(i: 2) + 1] = k[i]",
        "k",
        np.array([3.0, 2.0, 1.0]),
    ),
    "only in training": ("state k ~ zeros\nif training: update k = k + 1", "k", 3.0),
    "in a definition": (
        "def f(v[b, i]):\n    state k ~ zeros\n    update k = k + 1\n    return 2 * v\nh = f(f(x))\nmetric m = sum(h)",
        "h.f_2.k",
        3.0,
    ),
}


def test_an_equation_that_takes_the_name_of_a_state_that_never_changes() -> None:
    text = """
input x[3]
param w ~ ones
state m ~ zeros
{}m = m + w
loss sum(w * x) + m
"""
    with pytest.warns(UserWarning, match="write update m = … for its next value"):
        emit(text.format(""))
    emit(text.format("update "))


@pytest.mark.parametrize("name", MEANS)
def test_an_update_gives_a_state_its_next_value(name: str) -> None:
    body, state, wanted = MEANS[name]
    np.testing.assert_allclose(after(f"{body}\n{TAIL}", steps=3)[state], wanted, rtol=1e-12)


def test_an_update_sees_the_parameters_of_the_step() -> None:
    module = plain(TAIL + "state w[n, c] ~ zeros\nupdate w = z.weight\nstate l ~ zeros\nupdate l = loss\n")
    params = module.init(0)
    before = np.array(params["z.weight"])
    loss = module.train_step(params, module.init_state(params), *data())
    np.testing.assert_array_equal(params["w"], before)
    assert params["l"] == loss
    assert np.abs(params["z.weight"] - before).min() > 0


def test_a_state_is_a_constant_to_the_gradient() -> None:
    # the state's next value depends on w, the loss on the state's value before: s is 1, 6, 3 and w 2, 1, -5
    text = "param w ~ 2\nstate s ~ ones\nupdate s = 3 * w\nloss w * s\noptimize sgd(lr = 1)\n"
    module = load_plain(emit(text, dtype="float64"))
    params = module.init()
    state = module.init_state(params)
    assert module.loss_and_gradients(params)[1]["w"] == 1.0
    assert [module.train_step(params, state) for _ in range(3)] == [2.0, 6.0, -15.0]
    assert not [name for name in module.MOMENTS if name.startswith("s.")]


def test_a_model_that_trains_nothing_still_carries_its_states() -> None:
    params = after("state k[n] ~ zeros\nupdate k[i] = mean[b](x[b, i])\nloss mean(x) + mean(y) + sum(k)\n")
    np.testing.assert_allclose(params["k"], X.mean(axis=0))


def test_states_lie_behind_what_is_trained_and_have_their_law() -> None:
    module = plain("state k[n] ~ ones\nstate r[n] ~ normal()\nh[b, i] = x[b, i] * r[i]\n" + TAIL.replace("x,", "h,"))
    params = module.init(0)
    assert list(params) == ["k", "r", "z.weight", "z.bias"]
    assert {name: module.PARAMS[name][0] for name in params} == {"z.weight": 0, "z.bias": 24, "k": 28, "r": 34}
    np.testing.assert_array_equal(params["k"], np.ones(6))
    assert 0.3 < params["r"].std() < 2
    assert len(module.init_state(params).flat) == 2 * 28


# ------------------------------------------------------------------ states of shared definitions

CALLS = """
shared def net(v[b, i]):
    state calls ~ zeros
    state middle[4] ~ zeros
    follow = moved(middle, dense(v, 4))
    update calls = 2 * calls + 1
    return follow * (1 + calls)
def moved(s[i], v[b, i]):
    update s[i] = 0.5 * s[i] + mean[b](v[b, i])
    return[b, i] = v[b, i] - s[i]
first[b, i] = second[b, i] + net(x)[b, i]
second[b, i] = net(2 * x)[b, i]
repeat 2: second_half = net(x) - net.calls
predict p = first + second_half
metric count = net.calls
loss mean(squared_error(first + second_half, y))
optimize sgd(lr = 0)
"""
"""Four calls, of which the first is elaborated last but one."""


def in_turn(x: Any, weight: Any, calls: float, middle: Any) -> tuple[list[Any], float, Any]:
    """What each call gives, and the states after all, as Python would have it that runs them one after the other."""
    found = []
    for scale in (1, 2, 1, 1):
        v = scale * x @ weight
        found.append((v - middle) * (1 + calls))
        calls, middle = 2 * calls + 1, 0.5 * middle + v.mean(axis=0)
    return found, calls, middle


def test_each_call_of_a_shared_definition_sees_what_the_call_before_left() -> None:
    module = plain(CALLS)
    params = module.init(2)
    state = module.init_state(params)
    calls, middle = 0.0, np.zeros(4)
    for _ in range(3):
        found, after_calls, after_middle = in_turn(X, params["net.follow.weight"], calls, middle)
        wanted = np.mean((found[1] + found[0] + found[3] - calls - Y) ** 2)
        np.testing.assert_allclose(module.train_step(params, state, X, Y), wanted, rtol=1e-12)
        calls, middle = after_calls, after_middle
        np.testing.assert_allclose(params["net.calls"], calls, rtol=1e-12)
        np.testing.assert_allclose(params["net.middle"], middle, rtol=1e-12)
    before = params.flat.copy()
    still = (X @ params["net.follow.weight"] - middle) * (1 + calls)
    doubled = (2 * X @ params["net.follow.weight"] - middle) * (1 + calls)
    np.testing.assert_allclose(module.predict(params, X), doubled + 2 * still - calls, rtol=1e-12)
    assert module.evaluate(params, X, Y)["count"] == calls
    np.testing.assert_array_equal(params.flat, before)


def test_the_oracles_agree_on_states_of_shared_definitions() -> None:
    sources = load(HEAD + CALLS, file="m.grad", folder=None)
    model, quiet = elaborate(sources, training=True), elaborate(sources, training=False)
    stages = graphs_of(model, quiet)
    rng = np.random.default_rng(1)
    values = {"x": X, "y": Y, "net.calls": np.array(3.0), "net.middle": rng.normal(size=4)}
    values |= {"net.follow.weight": rng.normal(size=(6, 4)), "net.follow.bias": np.zeros(4)}
    oracle = evaluate(model, values, {"batch": 5})
    found, calls, middle = in_turn(X, values["net.follow.weight"], 3.0, values["net.middle"])
    carried = dict(model.carried)
    assert_close(oracle[carried["net.calls"]], calls, "calls")
    assert_close(oracle[carried["net.middle"]], middle, "middle")
    assert_close(oracle["first"], found[1] + found[0], "first")
    assert stages.gradient is not None
    for graph in (stages.forward, stages.gradient):
        verify(graph)
        ours = interpret(graph, values, {"batch": 5})
        for name, tensor in model.carried:
            assert_close(ours[graph.outputs[f"next {name}"]], oracle[tensor], name)
    assert check(HEAD + CALLS).passed  # what a call is left is a constant to the gradient


def test_running_moments_of_a_shared_norm_move_with_each_call() -> None:
    text = "shared def net(q[b, i]):\n    h = batch_norm(q)\n    return h * h.gain[0]\n"
    params = after(text + "a = net(x)\nb = net(3 * x)\n" + TAIL.replace("x,", "a + b,"), steps=1)
    mean, var = np.zeros(6), np.ones(6)
    for seen in (X, 3 * X):
        mean, var = 0.9 * mean + 0.1 * seen.mean(axis=0), 0.9 * var + 0.1 * seen.var(axis=0, ddof=1)
    np.testing.assert_allclose(params["net.h.running_mean"], mean, rtol=1e-12)
    np.testing.assert_allclose(params["net.h.running_var"], var, rtol=1e-12)


def test_a_call_reads_its_own_view_of_a_state_by_its_full_name() -> None:
    text = "shared def net(q[b, i]):\n    h = tick(q)\n    return h * h.k\n"
    text += "def tick(q[b, i]):\n    state k ~ ones\n    update k = k + 1\n    return q\n"
    module = plain(text + "a = net(x)\nb = net(a)\npredict b\nmetric m = sum(b)\nloss mean(b) + 0 * mean(y)\n")
    params = module.init()
    np.testing.assert_allclose(module.loss_and_gradients(params, *data())[0], 2 * X.mean(), rtol=1e-12)


# ------------------------------------------------------------------ the tools


SMALL = HEAD + "state middle[n] ~ normal()\nupdate middle[i] = mean[b](x[b, i])\na[b, i] = x[b, i] - middle[i]\n"
SMALL += TAIL.replace("x,", "a,")


def test_tools_know_states() -> None:
    report = check(SMALL)
    assert report.passed, str(report)
    assert "middle" not in {row.name for row in report.rows}
    assert "d_z.weight[i, o] = sum[b](a[b, i]*d_z[b, o])" in str(derive(SMALL, of="z.weight"))
    with pytest.raises(GradcError, match="middle is a state: the loss is not differentiated by it"):
        derive(SMALL, of="middle")
    for stage in ("syntax", "gradient", "program", "python"):
        assert "middle" in inspect(SMALL, stage=stage)
    assert "States      middle[6]" in emit(SMALL)


@pytest.mark.usefixtures("without_jit")
def test_training_that_stopped_goes_on_to_the_bit(tmp_path: Path) -> None:
    x, y = data(40)

    def fresh() -> gradc.Model:
        return gradc.compile_text(MIXED, "mixed", seed=5)

    through, stopped = fresh(), fresh()
    through.fit(x, y, epochs=2, batch_size=16, validation=0.2, progress=False)
    stopped.fit(x, y, epochs=1, batch_size=16, validation=0.2, progress=False)
    stopped.save(tmp_path / "half.safetensors")
    resumed = fresh()
    resumed.load(tmp_path / "half.safetensors")
    resumed.fit(x, y, epochs=1, batch_size=16, validation=0.2, progress=False)
    np.testing.assert_array_equal(resumed.params.flat, through.params.flat)
    assert resumed.params["steps"] == 4.0
    assert np.abs(resumed.params["h.running_mean"]).min() > 0


WIDE = """
dim batch
input  x[batch, 256]
target y[batch] : int(10)
state  seen[256] ~ zeros
h      = relu(dense(x, 256))
update seen[i] = {}
loss mean(cross_entropy(dense(h, 10), y))
"""


@pytest.mark.parametrize(
    ("value", "cut"),
    [
        ("sum[b](h[b, i])", True),
        ("max[b](h[b, i])", False),
        ("0.9 * seen[i] + 0.1 * mean[b](h[b, i])", True),
        ("if i == 0 then max[b](h[b, 0]) else 0", False),
        ("seen[i] + 1 + 0 * sum[k](h.weight[i, k])", True),
        ("seen[i] + sum(h) / batch", True),
    ],
)
def test_states_are_the_same_whatever_the_number_of_workers(
    value: str, cut: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("threadpoolctl")
    text = WIDE.format(value)
    graph = graphs(text).gradient
    assert graph is not None
    program = gradient_program(graph)
    verify_program(program)
    assert (rows_of(program) is not None) == cut
    source = emit(text, dtype="float64")
    assert ("shards_of" in source) == cut
    module, rng = load_plain(source), np.random.default_rng(0)
    x, y = rng.normal(size=(3, 256)), rng.integers(0, 10, 3)
    ends = []
    for workers in (1, 2) if cut else ():
        monkeypatch.setattr(module, "shards_of", lambda *_, workers=workers: workers)
        params = module.init(1)
        state = module.init_state(params)
        losses = [module.train_step(params, state, x, y) for _ in range(2)]
        before = params.flat.copy()
        module.loss_and_gradients(params, x, y)
        np.testing.assert_array_equal(params.flat, before)
        ends.append((losses, before))
    for one, two in zip(*ends, strict=True) if cut else ():
        np.testing.assert_allclose(two, one, rtol=1e-9, atol=1e-12)


# ------------------------------------------------------------------ what is refused

REFUSED = {
    "an input": ("update x[b, i] = x[b, i]", "not-a-state", "x is an input"),
    "a target": ("update y[b, j] = y[b, j]", "not-a-state", "y is a target"),
    "a parameter": ("param w[n] ~ zeros\nupdate w = w + 1", "not-a-state", "w is a parameter, to which its optimizer"),
    "a dim": ("update n = 1", "not-a-state", "n is a dim"),
    "a computed tensor": ("h = 2 * x\nupdate h = h", "not-a-state", "h is a tensor that the model computes"),
    "what hides a state": ("state s[n] ~ zeros\ns = s + 1\nupdate s = s", "not-a-state", "s is a tensor that the"),
    "nothing": ("update w = 1", "not-a-state", "w means nothing here"),
    "a state below": ("update s = 1\nstate s ~ zeros", "not-a-state", "declare one above: state s"),
    "a definition's view of the file": (
        "state s ~ zeros\ndef f(q[b, i]):\n    update s = 1\n    return q\nh = f(x)",
        "not-a-state",
        "or take one as an argument",
    ),
    "an expression handed over": (
        "state s[n] ~ zeros\ndef f(q[i], v[b, i]):\n    update q[i] = 2 * q[i]\n    return v\nh = f(s + 1, x)",
        "not-a-state",
        "q is a tensor",
    ),
    "a number handed over": (
        "def f(v[b, i], k):\n    update k = 1\n    return v\nh = f(x, 3)",
        "not-a-state",
        "k is a whole number",
    ),
    "two updates": ("state s ~ zeros\nupdate s = 1\nupdate s = 2", "two-updates", "s has two updates"),
    "an update in rounds": (
        "state s ~ zeros\nfor k in range(2): update s = k",
        "two-updates",
        "an update in each round of a loop",
    ),
    "one place twice": ("state s[n] ~ zeros\nupdate s[i] = 1\nupdate s[j] = 2", "written-twice", "one place of s.next"),
    "two updates in one of two calls": (
        "shared def f(q[b, i]):\n    state s ~ zeros\n    update s = s + 1\n    update s = s + 2\n    return s * q\n"
        "h = f(x)\nk = f(h)",
        "two-updates",
        "f.s has two updates",
    ),
    "a state in two calls": (
        "state s ~ zeros\ndef f(q, v[b, i]):\n    update q = 1\n    return v\nh = f(s, x)\nk = f(s, x)",
        "two-updates",
        "s has two updates",
    ),
    "other extents": (
        "state s[n] ~ zeros\nupdate s[j] = sum[b](y[b, j])",
        "shapes-disagree",
        "the update of s is not shaped like it",
    ),
    "other axes": ("state s[n] ~ zeros\nupdate s[b, i] = x[b, i]", "shapes-disagree", "this is a tensor"),
    "a number for a tensor": ("state s[n] ~ zeros\nupdate s = 0", "shapes-disagree", "this is a whole number"),
    "a tensor for a number": ("state s ~ zeros\nupdate s = x", "shapes-disagree", "declared here as a scalar"),
    "a free extent": ("state s[n] ~ zeros\nupdate s[b] = sum[i](x[b, i])", "shapes-disagree", "b = batch"),
    "some places": ("state s[n] ~ zeros\nupdate s[0] = 1\nupdate s[n - 1] = 2", "places-left-out", "2 of its 6 places"),
    "a definition for a value": ("state s ~ zeros\nupdate s = relu", "not-a-tensor", "the definition relu"),
    "a list for a value": ("state s ~ zeros\nupdate s = [1]", "not-a-tensor", "a list"),
    "two values": (
        "def f(v[b, i]):\n    return sum(v), sum(v)\nstate s ~ zeros\nupdate s = f(x)",
        "several-values",
        "2 values",
    ),
    "what means nothing": ("state s ~ zeros\nupdate s = foo + 1", "unknown-name", "unknown name foo"),
    "its own next value": ("state s ~ zeros\nupdate s = s.next", "unknown-name", "no parameter s.next"),
    "a state of free size": ("state s[batch] ~ zeros\nupdate s[b] = 1", "free-parameter", "is known only when called"),
    "a law that reads": ("state s[n] ~ x", "not-a-law", "an initial law is a number"),
    "a frozen state": ("state s ~ zeros frozen", "not-here", "s is a state, which is not trained in any case"),
    "freezing a state": ("state s ~ zeros\nfreeze s", "pattern-fits-nothing", "no parameter fits s"),
    "an update in an optimizer": (
        "optimizer o(lr = 1):\n    state v ~ zeros\n    update v = v + g\n    p = p - lr * v\noptimize o()",
        "not-here",
        "leave `update` out: v = …",
    ),
    "a frozen moment": (
        "optimizer o(lr = 1):\n    state v ~ zeros frozen\n    v = v + g\n    p = p - lr * v\noptimize o()",
        "not-here",
        "v is a state",
    ),
    "a state of training alone": ("if training: state s ~ zeros", "parameter-in-training-only", "another state, or"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str) -> None:
    line, code, message = REFUSED[name]
    with pytest.raises(GradcError) as caught:
        emit(f"{HEAD}{line}\n{TAIL}")
    assert {found.code for found in caught.value.diagnostics} == {code}, str(caught.value)
    assert message in str(caught.value)
