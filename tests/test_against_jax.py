"""Examples, losses and optimizers against formulas in JAX, in float64 to 1e-9; examples whatever their buffers hold.

The formulas are written here anew, from the papers and PyTorch's pages; nothing of the library is read.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.agreement import NAN, OTHER, Sources, assert_close, sources_of
from support.emitted import load_plain, poisoned

from gradc.pipeline import emit, graphs

EXAMPLES = Path(__file__).parent.parent / "examples"
Numbers = dict[str, Any]
ROWS = 7


# ---------------------------------------------------------------- examples


def dense(params: Numbers, name: str, x: Any) -> Any:
    return x @ params[f"{name}.weight"] + params[f"{name}.bias"]


def digits(params: Numbers, x: Any, y: Any) -> Any:
    logits = dense(params, "logits", jax.nn.relu(dense(params, "h", x)))
    p = jax.nn.log_softmax(logits)
    smooth = 0.9 * jax.nn.one_hot(y, 10, dtype=p.dtype) + 0.1 / 10
    return -(smooth * p).sum(1).mean(), jnp.exp(p)


def digits_cnn(params: Numbers, x: Any, y: Any) -> Any:
    def conv(name: str, x: Any) -> Any:
        layout = ("NHWC", "HWIO", "NHWC")
        weight, bias = params[f"{name}.weight"], params[f"{name}.bias"]
        return jax.lax.conv_general_dilated(x, weight, (1, 1), "SAME", dimension_numbers=layout) + bias

    h = jax.nn.relu(conv("h", x.reshape(-1, 8, 8, 1)))
    h = jax.lax.reduce_window(h, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    g = jax.nn.relu(conv("g", h)).reshape(len(x), -1)
    p = jax.nn.log_softmax(dense(params, "logits", jax.nn.relu(dense(params, "f", g))))
    smooth = 0.9 * jax.nn.one_hot(y, 10, dtype=p.dtype) + 0.1 / 10
    return -(smooth * p).sum(1).mean(), jnp.exp(p)


def digits_lstm(params: Numbers, x: Any, y: Any) -> Any:
    h = c = jnp.zeros((len(x), 64))
    for row in x.reshape(-1, 8, 8).swapaxes(0, 1):
        inner = jnp.einsum("bi,igj->gbj", row, params["h.wx"]) + jnp.einsum("bk,kgj->gbj", h, params["h.wh"])
        enter, forget, candidate, leave = inner + params["h.bias"][:, None]
        c = jax.nn.sigmoid(forget) * c + jax.nn.sigmoid(enter) * jnp.tanh(candidate)
        h = jax.nn.sigmoid(leave) * jnp.tanh(c)
    p = jax.nn.log_softmax(dense(params, "logits", h))
    smooth = 0.9 * jax.nn.one_hot(y, 10, dtype=p.dtype) + 0.1 / 10
    return -(smooth * p).sum(1).mean(), jnp.exp(p)


def diabetes(params: Numbers, x: Any, y: Any) -> Any:
    progress = dense(params, "progress", jax.nn.silu(dense(params, "h", x)))[:, 0]
    return ((progress - y) ** 2).mean(), progress


def breast_cancer(params: Numbers, x: Any, y: Any) -> Any:
    logit = dense(params, "logit", jnp.tanh(dense(params, "h", x)))[:, 0]
    margin = (2 * y - 1) * logit
    focal = jax.nn.sigmoid(-margin) ** 2 * jax.nn.softplus(-margin)
    return (jnp.where(y == 1, 2, 1) * focal).mean(), jax.nn.sigmoid(logit)


MODELS: Mapping[str, Callable[..., Any]] = {
    "digits": digits, "digits_cnn": digits_cnn, "digits_lstm": digits_lstm, "diabetes": diabetes,
    "breast_cancer": breast_cancer,
}  # fmt: skip


def rows_of(name: str) -> tuple[Any, Any]:
    """The first examples of its data."""
    with np.load(EXAMPLES / "data" / f"{name.removesuffix('_cnn').removesuffix('_lstm')}.npz") as data:
        return data["x"][:ROWS].astype(np.float64), data["y"][:ROWS]


def drawn(module: ModuleType) -> Numbers:
    """Parameters that are not at their laws' zeros."""
    rng = np.random.default_rng(3)
    return {name: rng.normal(size=shape) * 0.3 for name, (_, shape) in module.PARAMS.items()}


def set_to(module: ModuleType, values: Numbers) -> Any:
    params = module.init()
    for name, value in values.items():
        params[name] = value
    return params


@pytest.fixture(scope="module", params=MODELS)
def example(request: pytest.FixtureRequest) -> tuple[str, Sources]:
    """An example's name and its modules in float64."""
    text = (EXAMPLES / f"{request.param}.grad").read_text(encoding="utf-8")
    stages = graphs(text, file=str(EXAMPLES / f"{request.param}.grad"))
    return request.param, sources_of(stages, text, "float64")


def test_example_is_what_jax_says(example: tuple[str, Sources]) -> None:
    name, sources = example
    module = load_plain(sources.shared)
    x, y = rows_of(name)
    values = drawn(module)
    with jax.enable_x64(True):
        (loss, p), gradients = jax.value_and_grad(MODELS[name], has_aux=True)(values, x, y)
    params = set_to(module, values)
    found, found_gradients = module.loss_and_gradients(params, x, y)
    assert_close(found, loss, "loss")
    assert_close(module.predict(params, x), p, "prediction")
    assert_close(module.evaluate(params, x, y)["loss"], loss, "loss, evaluated")
    for each in values:
        assert_close(found_gradients[each], gradients[each], each)


def test_example_has_the_slopes_of_central_differences(example: tuple[str, Sources]) -> None:
    name, sources = example
    module = load_plain(sources.shared)
    x, y = rows_of(name)
    values, step = drawn(module), 1e-6
    _, gradients = module.loss_and_gradients(set_to(module, values), x, y)
    rng = np.random.default_rng(0)
    for each, value in values.items():
        direction = rng.normal(size=value.shape)
        ends = []
        for sign in (1, -1):
            moved = values | {each: value + sign * step * direction}
            ends.append(module.loss_and_gradients(set_to(module, moved), x, y)[0])
        np.testing.assert_allclose((gradients[each] * direction).sum(), (ends[0] - ends[1]) / (2 * step), rtol=1e-5)


def all_of(module: ModuleType, name: str, values: Numbers, fill: float | None) -> Iterator[tuple[str, Any]]:
    """All that a module computes of an example, and its parameters after two steps."""
    x, y = rows_of(name)
    params, before = set_to(module, values), set_to(module, values)
    state = module.init_state(params)
    with poisoned(module, NAN if fill is None else fill):
        if hasattr(state, "d_params"):  # where steps can be cut, gradients get their room with the work space
            state.d_params.fill(NAN if fill is None else fill)
        yield "step", module.train_step(params, state, x, y)
        yield "second step", module.train_step(params, state, x, y)
        yield "parameters", params.flat
        loss, gradients = module.loss_and_gradients(before, x, y)
        yield from (("loss", loss), ("gradients", gradients.flat), ("prediction", module.predict(before, x)))
        yield from module.evaluate(before, x, y).items()


def test_example_is_the_same_to_the_bit(example: tuple[str, Sources]) -> None:
    """Poisoned by NaN, by a second fill, and with every buffer in a place of its own."""
    name, sources = example
    shared, separate = load_plain(sources.shared), load_plain(sources.separate)
    values = drawn(shared)
    found = dict(all_of(shared, name, values, NAN))
    assert all(np.isfinite(value).all() for value in found.values())
    for how, again in (("filled", all_of(shared, name, values, OTHER)), ("apart", all_of(separate, name, values, NAN))):
        for label, value in again:
            np.testing.assert_array_equal(value, found[label], err_msg=f"{label}, {how}")


# ---------------------------------------------------------------- losses


def softened(logits: Any, y: Any, amount: float) -> Any:
    p = jax.nn.log_softmax(logits)
    chosen = jnp.take_along_axis(p, y[:, None], 1)[:, 0]
    return -(1 - amount) * chosen - amount * p.mean(1)


LOSSES: Mapping[str, Callable[..., Any]] = {
    "squared_error(a, b)": lambda a, b, y: (a - b) ** 2,
    "absolute_error(a, b)": lambda a, b, y: jnp.abs(a - b),
    "huber(a, b)": lambda a, b, y: jnp.where(jnp.abs(a - b) <= 1, (a - b) ** 2 / 2, jnp.abs(a - b) - 0.5),
    "huber(a, b, 0.3)": lambda a, b, y: jnp.where(
        jnp.abs(a - b) <= 0.3, (a - b) ** 2 / 2, 0.3 * (jnp.abs(a - b) - 0.15)
    ),
    "smooth_l1(a, b, 0.5)": lambda a, b, y: jnp.where(jnp.abs(a - b) < 0.5, (a - b) ** 2, jnp.abs(a - b) - 0.25),
    "cross_entropy(a, y)": lambda a, b, y: softened(a, y, 0),
    "cross_entropy(a, y, label_smoothing = 0.2)": lambda a, b, y: softened(a, y, 0.2),
    "binary_cross_entropy(a, sigmoid(b))": lambda a, b, y: (
        -jax.nn.sigmoid(b) * jax.nn.log_sigmoid(a) - jax.nn.sigmoid(-b) * jax.nn.log_sigmoid(-a)
    ),
    "kl_divergence(log_softmax(a), softmax(b))": lambda a, b, y: (
        jax.nn.softmax(b) * (jax.nn.log_softmax(b) - jax.nn.log_softmax(a))
    ).sum(1),
    "hinge(a, b)": lambda a, b, y: jnp.maximum(1 - a * b, 0),
    "poisson(a, b^2)": lambda a, b, y: jnp.exp(a) - b**2 * a,
}


@pytest.mark.parametrize("call", LOSSES)
def test_loss(call: str) -> None:
    """Its value and both derivatives, with weights that no symmetry hides behind."""
    rng = np.random.default_rng(5)
    values = {"a": rng.normal(size=(4, 3)) * 2, "b": rng.normal(size=(4, 3))}
    y, weights = rng.integers(0, 3, 4), rng.normal(size=(4, 3))
    weights = weights if LOSSES[call](values["a"], values["b"], y).ndim > 1 else weights[:, 0]
    axes = ", ".join(map(str, weights.shape))
    leaves = f"input y[4] : int(3), weights[{axes}]\nparam a[4, 3] ~ zeros\nparam b[4, 3] ~ zeros\n"
    module = load_plain(emit(f"{leaves}loss sum(weights * {call}) + sum(b)\n", dtype="float64"))
    params = set_to(module, values)
    loss, gradients = module.loss_and_gradients(params, y, weights)
    with jax.enable_x64(True):
        formula = jax.value_and_grad(lambda a, b: (weights * LOSSES[call](a, b, y)).sum() + b.sum(), argnums=(0, 1))
        wanted, slopes = formula(jnp.asarray(values["a"]), jnp.asarray(values["b"]))
    assert_close(loss, wanted, "loss")
    for name, slope in zip("ab", slopes, strict=True):
        assert_close(gradients[name], slope, name)


# ---------------------------------------------------------------- optimizers

Rule = Callable[[Any, Any, Numbers, int], Any]
"""From a parameter, its gradient, what is kept of it and the step to the next parameter."""


def kept(state: Numbers, name: str, value: Any) -> Any:
    state[name] = value
    return value


def fading(state: Numbers, name: str, weight: float, value: Any) -> Any:
    return kept(state, name, weight * state.get(name, 0.0) + (1 - weight) * value)


def sgd(p: Any, g: Any, s: Numbers, t: int) -> Any:
    g = g + 0.01 * p
    v = kept(s, "v", g if t == 1 else 0.8 * s["v"] + 0.9 * g)
    return p - 0.1 * v


def nesterov(p: Any, g: Any, s: Numbers, t: int) -> Any:
    v = kept(s, "v", 0.8 * s.get("v", 0.0) + g)
    return p - 0.1 * (g + 0.8 * v)


def rmsprop(p: Any, g: Any, s: Numbers, t: int) -> Any:
    spread = fading(s, "v", 0.9, g**2) - fading(s, "m", 0.9, g) ** 2
    b = kept(s, "b", 0.5 * s.get("b", 0.0) + g / (jnp.sqrt(spread) + 1e-8))
    return p - 0.01 * b


def adagrad(p: Any, g: Any, s: Numbers, t: int) -> Any:
    total = kept(s, "total", s.get("total", 0.1) + g**2)
    return p - 0.05 / (1 + (t - 1) * 0.1) * g / (jnp.sqrt(total) + 1e-10)


def adadelta(p: Any, g: Any, s: Numbers, t: int) -> Any:
    v = fading(s, "v", 0.9, g**2)
    move = jnp.sqrt(s.get("d", 0.0) + 1e-6) / jnp.sqrt(v + 1e-6) * g
    fading(s, "d", 0.9, move**2)
    return p - move


def adam_step(g: Any, s: Numbers, t: int, amsgrad: bool) -> Any:
    m, v = fading(s, "m", 0.9, g), fading(s, "v", 0.999, g**2)
    v = kept(s, "largest", jnp.maximum(s.get("largest", 0.0), v)) if amsgrad else v
    return m / (1 - 0.9**t) / (jnp.sqrt(v / (1 - 0.999**t)) + 1e-8)


def adam(p: Any, g: Any, s: Numbers, t: int) -> Any:
    return p - 0.01 * adam_step(g + 0.1 * p, s, t, amsgrad=True)


def adamw(p: Any, g: Any, s: Numbers, t: int) -> Any:
    return p * (1 - 0.01 * 0.2) - 0.01 * adam_step(g, s, t, amsgrad=False)


def nadam(p: Any, g: Any, s: Numbers, t: int) -> Any:
    mu, mu_next = (0.9 * (1 - 0.5 * 0.96 ** (step * 4e-3)) for step in (t, t + 1))
    product = kept(s, "product", s.get("product", 1.0) * mu)
    m, v = fading(s, "m", 0.9, g), fading(s, "v", 0.999, g**2)
    root = jnp.sqrt(v / (1 - 0.999**t)) + 1e-8
    return p - 0.01 * (1 - mu) / (1 - product) * g / root - 0.01 * mu_next / (1 - product * mu_next) * m / root


def lion(p: Any, g: Any, s: Numbers, t: int) -> Any:
    direction = jnp.sign(0.9 * s.get("m", 0.0) + 0.1 * g)
    fading(s, "m", 0.99, g)
    return p - 0.01 * (direction + 0.1 * p)


def plain(p: Any, g: Any, s: Numbers, t: int) -> Any:
    return p - 0.1 * g


def by_norm(gradients: Numbers) -> Numbers:
    norm = jnp.sqrt(sum((g**2).sum() for g in gradients.values()))
    return {name: g * jnp.minimum(1, 0.5 / (norm + 1e-6)) for name, g in gradients.items()}


def by_value(gradients: Numbers) -> Numbers:
    return {name: jnp.clip(g, -0.05, 0.05) for name, g in gradients.items()}


OPTIMIZERS: Mapping[str, tuple[Rule, Callable[[Numbers], Numbers]]] = {
    "sgd(lr = 0.1)": (plain, dict),
    "sgd(lr = 0.1, momentum = 0.8, dampening = 0.1, weight_decay = 0.01)": (sgd, dict),
    "sgd(lr = 0.1, momentum = 0.8, nesterov = true)": (nesterov, dict),
    "rmsprop(lr = 0.01, alpha = 0.9, momentum = 0.5, centered = true)": (rmsprop, dict),
    "adagrad(lr = 0.05, lr_decay = 0.1, initial = 0.1)": (adagrad, dict),
    "adadelta()": (adadelta, dict),
    "adam(lr = 0.01, weight_decay = 0.1, amsgrad = true)": (adam, dict),
    "adamw(lr = 0.01, weight_decay = 0.2)": (adamw, dict),
    "nadam(lr = 0.01)": (nadam, dict),
    "lion(lr = 0.01, weight_decay = 0.1)": (lion, dict),
    "sgd(lr = 0.1), clip_norm = 0.5": (plain, by_norm),
    "sgd(lr = 0.1), clip_value = 0.05": (plain, by_value),
}

NETWORK = """dim batch
input x[batch, 3]
target y[batch]
h = tanh(dense(x, 4))
p[b] = dense(h, 1)[b, 0]
loss mean(squared_error(p, y))
optimize """


def network_loss(params: Numbers, x: Any, y: Any) -> Any:
    return ((dense(params, "p", jnp.tanh(dense(params, "h", x)))[:, 0] - y) ** 2).mean()


@pytest.mark.parametrize("text", OPTIMIZERS)
def test_optimizer(text: str) -> None:
    """Six steps, each from JAX's own gradient."""
    rule, clipped = OPTIMIZERS[text]
    module = load_plain(emit(NETWORK + text + "\n", dtype="float64"))
    rng = np.random.default_rng(9)
    x, y = rng.normal(size=(5, 3)), rng.normal(size=5)
    values = drawn(module)
    params = set_to(module, values)
    state = module.init_state(params)
    with jax.enable_x64(True):
        own = {name: jnp.asarray(value) for name, value in values.items()}
        kept_of: dict[str, Numbers] = {name: {} for name in own}
        for step in range(1, 7):
            gradients = clipped(jax.grad(network_loss)(own, x, y))
            own = {name: rule(p, gradients[name], kept_of[name], step) for name, p in own.items()}
            module.train_step(params, state, x, y)
        for name, value in own.items():
            assert_close(params[name], value, f"{name} after six steps")
