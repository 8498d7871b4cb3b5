"""Random numbers in equations: a function of seed, site and place, the same wherever and however they are computed."""

from typing import Any

import numpy as np
import pytest
from support.emitted import load_compiled, load_plain, poisoned

import gradc
from gradc import GradcError
from gradc.graph import noise
from gradc.graph.interpret import interpret
from gradc.graph.verify import verify
from gradc.language.elaborate import elaborate, elaborate_text
from gradc.language.evaluate import evaluate, evaluate_law
from gradc.language.load import load
from gradc.language.lower import lower
from gradc.pipeline import check, emit, graphs, graphs_of
from gradc.schedule.build import schedule
from gradc.schedule.shard import rows_of

HEAD = "dim batch\ndim n = 6\ninput x[batch, n]\ntarget y[batch]\n"
MIXED = """
h = dropout(tanh(dense(x, 8)), 0.25)
z[b, j: 3] = h[b, j] + 0.1 * normal()
q = (z + uniform()) @ transpose(z)
s = normal()
c[b, t, j: 2] = tanh(0.5 * c?[b, t - 1, j] + x[b, t] + 0.1 * normal())
predict p[b] = sum[j](z[b, j] * normal()) + s + c[b, n - 1, 0]
metric spread = mean(z^2)
loss mean((p - y)^2) + 0.001 * mean(q)
"""
"""Numbers of all elements, at places of an equation, of a reduction, of a matrix product's operand, of a recurrence."""


def text(body: str) -> str:
    return HEAD + body + "\n"


def data(batch: int = 5) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(batch, 6)), rng.normal(size=batch)


def predicted(body: str, **options: Any) -> Any:
    """What a model without parameters predicts, plainly run."""
    module = load_plain(emit(text(body + "\nparam w ~ ones\nloss mean(y) * w"), dtype="float64"))
    return module.predict(module.init(), options.pop("x", data()[0]), **options)


# ------------------------------------------------------------------ the numbers themselves


def test_the_cipher_is_the_published_one():
    # Philox-2x32-10 of Random123's known answers: counter 0 and key 0, all ones
    assert int(noise.philox(0, 0)) == 0xFF1DAE59_6CD10DF2
    ones = 2**32 - 1
    assert int(noise.philox(ones, 2**64 - 1)) == 0x2C3F628B_AB4FD7AD


@pytest.mark.parametrize("law", ["uniform", "normal"])
def test_the_numbers_have_their_law(law):
    drawn = np.concatenate([noise.LAWS[law](noise.key(3, site), np.arange(100_000)) for site in (1, 2)])
    assert drawn.mean() == pytest.approx(0.5 if law == "uniform" else 0.0, abs=0.01)
    assert drawn.std() == pytest.approx(12**-0.5 if law == "uniform" else 1.0, abs=0.01)
    assert len(np.unique(drawn)) == len(drawn)
    assert abs(np.corrcoef(drawn[:100_000], drawn[100_000:])[0, 1]) < 0.01
    assert abs(np.corrcoef(drawn[1:], drawn[:-1])[0, 1]) < 0.01
    if law == "uniform":
        assert 0.0 < drawn.min() < 1e-4
        assert 1 - 1e-4 < drawn.max() < 1.0
    else:
        assert (drawn**3).mean() == pytest.approx(0.0, abs=0.03)
        assert (drawn**4).mean() == pytest.approx(3.0, abs=0.08)


# ------------------------------------------------------------------ one meaning everywhere


@pytest.mark.parametrize("seed", [0, 12345])
def test_oracles_and_module_draw_the_same(seed):
    sources = load(text(MIXED), file="m.grad", folder=None)
    model, plain = elaborate(sources, training=True), elaborate(sources, training=False)
    stages = graphs_of(model, plain)
    module = load_plain(emit(text(MIXED), dtype="float64"))
    params = module.init(1)
    x, y = data()
    values = {name: params[name] for name in module.PARAMS} | {"x": x, "y": y}
    oracle = evaluate(model, values, {"batch": 5}, seed)
    assert model.loss is not None
    assert stages.gradient is not None
    for graph in (lower(model), stages.forward, stages.gradient):
        verify(graph)
        found = interpret(graph, values, {"batch": 5}, seed)
        np.testing.assert_allclose(found[graph.outputs["loss"]], oracle[model.loss.tensor], rtol=1e-12)
    loss, gradients = module.loss_and_gradients(params, x, y, seed=seed)
    np.testing.assert_allclose(loss, oracle[model.loss.tensor], rtol=1e-12)
    for name in module.PARAMS:
        np.testing.assert_allclose(gradients[name], found[stages.gradient.outputs[f"gradient {name}"]], rtol=1e-9)
    quiet = evaluate(plain, values, {"batch": 5}, seed)
    np.testing.assert_allclose(module.predict(params, x, seed=seed), quiet["p"], rtol=1e-12)
    assert module.evaluate(params, x, y, seed=seed)["spread"] == pytest.approx(float(quiet["spread"]), rel=1e-12)
    with poisoned(module, np.nan):
        again, poisoned_gradients = module.loss_and_gradients(params, x, y, seed=seed)
    assert again == loss
    np.testing.assert_array_equal(poisoned_gradients.flat, gradients.flat)


def test_uniform_numbers_are_the_same_to_the_bit():
    found = predicted("predict p[b, i] = uniform() + 0 * x[b, i]", seed=9)
    np.testing.assert_array_equal(found, noise.uniform(noise.key(9, 1), np.arange(30).reshape(5, 6)))


def test_a_reduction_has_a_number_for_each_tuple():
    found = predicted("predict p[b] = sum[i](uniform() + 0 * x[b, i])", seed=2)
    np.testing.assert_allclose(found, noise.uniform(noise.key(2, 1), np.arange(30).reshape(5, 6)).sum(axis=1))


def test_each_call_of_a_definition_has_numbers_of_its_own():
    noisy = "def noisy(x[b, i]): return x + normal()\n"
    found = predicted(noisy + "predict p = noisy(x) - noisy(x)")
    assert np.abs(found).min() > 1e-6
    found = predicted("def noisy(a) = a + normal()\npredict p = noisy(x) - noisy(x)")
    assert np.abs(found).min() > 1e-6


@pytest.mark.parametrize(
    "body",
    [
        "def twice(a) = a - a\npredict p = twice(x + normal())",
        "def twice(a): return a - a\npredict p = twice(x + normal())",
        "def twice(a[b, i]): return a - a\npredict p = twice(x + normal())",
        "def twice(v[b, i], a):\n    q = v * a\n    r[b, i] = v[b, i] * a\n    return q - r\n"
        "predict p = twice(x, normal())",
        "e = normal()\npredict p = (x * e) - (x * e)",
        "e = x + normal()\npredict p = e - e",
    ],
)
def test_a_name_means_one_number(body):
    np.testing.assert_array_equal(predicted(body), np.zeros((5, 6)))


def test_a_number_of_a_factor_belongs_to_its_place():
    # every row of the product meets the same numbers, those of the operand's own places
    found = predicted("predict p = (0 * x + normal()) @ transpose(0 * x + 1)")
    np.testing.assert_array_equal(found, np.repeat(found[:, :1], 5, axis=1))
    found = predicted("predict p[b] = (x + normal())[b, 0] - (x + 0)[b, 0]")
    assert len(np.unique(found)) == 5


def test_a_random_place_is_drawn_for_each_place():
    found = predicted("predict p[b, i] = x[b, clip(floor(uniform() * 6), 0, 5)] + 0 * x[b, i]")
    x = data()[0]
    assert all(np.isin(found[b], x[b]).all() for b in range(5))
    assert len(np.unique(found)) > 10


def test_a_softmax_over_an_index_draws_at_all_places():
    found = predicted("predict p[b, i] = softmax[i](x[b, i] * 0 + normal())")
    np.testing.assert_allclose(found.sum(axis=1), np.ones(5))
    assert len(np.unique(found)) == 30


# ------------------------------------------------------------------ seeds


def test_a_seed_says_all():
    body = "predict p[b, i] = normal() + 0 * x[b, i]"
    first, second = predicted(body, seed=1), predicted(body, seed=2)
    np.testing.assert_array_equal(first, predicted(body, seed=np.int64(1)))
    assert np.abs(first - second).min() > 0
    np.testing.assert_array_equal(predicted(body), predicted(body, seed=0))
    np.testing.assert_array_equal(predicted(body, seed=-1), predicted(body, seed=2**63 - 1))
    with pytest.raises(TypeError, match=r"seed is a whole number; got 1\.5"):
        predicted(body, seed=1.5)


def test_numbers_go_by_global_place():
    # a batch's first rows are the smaller batch's
    body = "predict p[b, i] = normal() + 0 * x[b, i]"
    np.testing.assert_array_equal(predicted(body)[:3], predicted(body, x=data(3)[0]))


def test_steps_draw_fresh_numbers_that_seed_and_step_say():
    module = load_plain(emit(text(MIXED), dtype="float64"))
    x, y = data()
    params = module.init(1)
    state = module.init_state(params, seed=4)
    for step in (1, 2):
        wanted = module.loss_and_gradients(params, x, y, seed=noise.key(4, step))[0]
        assert module.train_step(params, state, x, y) == wanted


def test_a_model_may_use_the_names_of_what_draws():
    body = "input seed[batch], _seed[batch]\nrandom_key[b] = seed[b] + _seed[b] + normal()\npredict p = random_key\n"
    module = load_plain(emit(f"dim batch\n{body}param exp ~ ones\nloss mean(random_key) * exp\n", dtype="float64"))
    found = module.predict(module.init(), np.zeros(3), np.ones(3), seed=4)
    np.testing.assert_allclose(found, 1 + noise.normal(noise.key(4, 1), np.arange(3)), rtol=1e-13)


def test_without_random_numbers_no_seed_is_passed_on():
    source = emit(text("predict p = sum(dense(x, 1))\nloss (p - mean(y))^2"))
    assert "random_key" not in source
    assert "_seed" not in source


@pytest.mark.usefixtures("without_jit")
def test_training_that_stopped_goes_on_with_the_numbers_it_would_have_had(tmp_path):
    x, y = data(40)

    def fresh() -> gradc.Model:
        return gradc.compile_text(text(MIXED), "mixed", seed=5)

    through, stopped = fresh(), fresh()
    through.fit(x, y, epochs=2, batch_size=16, progress=False)
    stopped.fit(x, y, epochs=1, batch_size=16, progress=False)
    stopped.save(tmp_path / "half.safetensors")
    resumed = fresh()
    resumed.load(tmp_path / "half.safetensors")
    resumed.fit(x, y, epochs=1, batch_size=16, progress=False)
    np.testing.assert_array_equal(resumed.params.flat, through.params.flat)


# ------------------------------------------------------------------ shards, checks


WIDE = """
dim batch
input  x[batch, 256]
target y[batch] : int(10)
h      = dropout(relu(dense(x, 256)), 0.3)
logits = dense(h, 10)
predict p = softmax(logits)
loss    mean(cross_entropy(logits, y)) + 0.01 * normal()
"""


def test_a_random_model_is_cut_into_rows():
    stages = graphs(WIDE)
    assert stages.gradient is not None
    assert rows_of(schedule(stages.gradient)) is not None


def test_the_number_of_workers_changes_no_number(tmp_path, monkeypatch):
    pytest.importorskip("threadpoolctl")
    source = emit(WIDE, dtype="float32")
    module, plain = load_compiled(source, tmp_path), load_plain(source)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(12, 256)).astype(np.float32), rng.integers(0, 10, 12)
    losses = []
    for workers in (1, 2, 3):
        monkeypatch.setattr(module, "shards_of", lambda *_, workers=workers: workers)
        params = module.init(1)
        state = module.init_state(params, seed=8)
        losses.append([module.train_step(params, state, x, y) for _ in range(3)])
    np.testing.assert_allclose(losses[1:], [losses[0]] * 2, rtol=1e-5)
    wanted = plain.loss_and_gradients(plain.init(1), x, y, seed=noise.key(8, 1))[0]
    np.testing.assert_allclose(losses[0][0], wanted, rtol=1e-5)


def test_checks_hold_the_seed():
    assert check(text(MIXED), file="m.grad").passed


# ------------------------------------------------------------------ dropout


def test_dropout_is_inverted_and_rests_outside_of_training():
    body = "param w ~ ones\npredict p = dropout(x * w, 0.25)\nloss mean(p^2) + 0 * mean(y)"
    module = load_plain(emit(text(body), dtype="float64"))
    x, y = np.ones((2000, 6)), np.zeros(2000)
    params = module.init()
    np.testing.assert_array_equal(module.predict(params, x), x)
    loss, gradients = module.loss_and_gradients(params, x, y, seed=1)
    kept = loss * 0.75**2  # the share that was kept, each of them 4/3
    assert kept == pytest.approx(0.75, abs=0.01)
    assert float(gradients["w"]) == pytest.approx(2 * loss, rel=1e-12)
    assert module.evaluate(params, x, y)["loss"] == 1.0


@pytest.mark.parametrize(("rate", "wanted"), [(0, 1.0), (1, 0.0)])
def test_dropout_at_the_ends(rate, wanted):
    module = load_plain(emit(text(f"param w ~ ones\nloss mean(dropout(x * w, {rate})) + w * mean(y)"), dtype="float64"))
    assert module.loss_and_gradients(module.init(), np.ones((5, 6)), np.zeros(5))[0] == wanted


# ------------------------------------------------------------------ refusals


REFUSED = [
    ("param w ~ ones\nloss w * uniform(2)", "takes no arguments"),
    ("param w ~ ones\nloss w\noptimize sgd(lr = uniform())", "an optimizer has no random numbers"),
    ("param w ~ ones\nloss w\noptimizer odd():\n    p = p - g * normal()\noptimize odd()", "no random numbers"),
    ("param w ~ ones\nloss w\noptimizer odd():\n    state v ~ normal()\n    p = p - v\noptimize odd()", "no random"),
    ("dim n = floor(uniform())\nparam w[n] ~ ones\nloss sum(w)", "size"),
    ("param w ~ ones\nrepeat uniform(): w = w\nloss w", "known when the model is compiled"),
    ("param w ~ ones\nloss if normal() > 0 then w else uniform", "uniform"),
]


@pytest.mark.parametrize(("model", "message"), REFUSED)
def test_what_cannot_be_random_is_refused(model, message):
    with pytest.raises(GradcError, match=message):
        emit(model + "\n")


def test_laws_draw_as_before():
    model = elaborate_text("param w[3] ~ normal() * uniform()\nloss sum(w)\n")
    law = model.leaves[0].law
    assert law is not None
    rng = np.random.default_rng(0)
    wanted = rng.standard_normal(3) * rng.random(3)
    np.testing.assert_array_equal(evaluate_law(law, np.random.default_rng(0)), wanted)
