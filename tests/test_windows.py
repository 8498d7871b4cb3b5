"""Convolutions, pools, patches and upsampling against JAX, in float64 to 1e-9: values, gradients, second derivatives.

The references are written with JAX's own windows; nothing of the library is read. Modules run as plain Python, with
every buffer full of NaN before.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from jax import lax
from support.emitted import load_plain, poisoned

from gradc.pipeline import emit


@pytest.fixture(autouse=True)
def _in_float64() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


Sizes = tuple[int, ...]
LETTERS = {1: "H", 2: "HW", 3: "DHW"}


# ---------------------------------------------------------------- references


def pads(extents: Sizes, reach: Sizes, stride: Sizes, padding: str) -> list[tuple[int, int]]:
    """Zeros before and behind each axis."""
    if padding == "valid":
        return [(0, 0)] * len(extents)
    found = []
    for n, r, s in zip(extents, reach, stride, strict=True):
        places = -(-n // s)
        total = max((places - 1) * s + r - n, 0)
        before = r - 1 if padding == "causal" else total // 2
        found.append((before, (places - 1) * s + r - n - before))
    return found


def reaches(kernel: Sizes, dilation: Sizes) -> Sizes:
    return tuple((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True))


@dataclass(frozen=True)
class Window:
    """How a window moves."""

    kernel: Sizes
    stride: Sizes
    dilation: Sizes
    padding: str = "valid"
    groups: int = 1

    @property
    def reach(self) -> Sizes:
        return reaches(self.kernel, self.dilation)

    def layout(self) -> tuple[str, str, str]:
        letters = LETTERS[len(self.kernel)]
        return f"N{letters}C", f"{letters}IO", f"N{letters}C"

    def arguments(self, filters: int) -> str:
        """The library's arguments after x."""
        kernel, stride, dilation = (shown(sizes) for sizes in (self.kernel, self.stride, self.dilation))
        return (
            f"{filters}, {kernel}, stride = {stride}, dilation = {dilation}, groups = {self.groups}, "
            f"padding = {self.padding}"
        )


def shown(sizes: Sizes) -> str:
    """One number where it is the same for all axes."""
    return str(sizes[0]) if len(set(sizes)) == 1 else f"[{', '.join(map(str, sizes))}]"


def conv(w: Window, x: Any, weight: Any, bias: Any = 0.0) -> Any:
    edges = pads(x.shape[1:-1], w.reach, w.stride, w.padding)
    return bias + lax.conv_general_dilated(
        x, weight, w.stride, edges, rhs_dilation=w.dilation, dimension_numbers=w.layout(), feature_group_count=w.groups
    )


def conv_transpose(w: Window, x: Any, weight: Any, bias: Any = 0.0) -> Any:
    """What a convolution with the weight, its channels exchanged, does to a cotangent."""
    rank, channels = len(w.kernel), x.shape[-1]
    inputs, filters = weight.shape[-2:]
    split = weight.reshape(*w.kernel, inputs, w.groups, filters // w.groups)
    turned = jnp.moveaxis(split, (rank, rank + 1, rank + 2), (rank + 2, rank + 1, rank))
    turned = turned.reshape(*w.kernel, filters // w.groups, channels)
    spread = [(n - 1) * s + r if w.padding == "valid" else n * s
              for n, s, r in zip(x.shape[1:-1], w.stride, w.reach, strict=True)]  # fmt: skip
    back = jax.vjp(lambda y: conv(w, y, turned), jnp.zeros((x.shape[0], *spread, filters)))[1]
    return back(x)[0] + bias


def pool(kind: str, size: Sizes, stride: Sizes, padding: str, x: Any) -> Any:
    edges = [(0, 0), *pads(x.shape[1:-1], size, stride, padding), (0, 0)]
    window, steps = (1, *size, 1), (1, *stride, 1)
    if kind == "max":
        edges = [(low, max(high, 0)) for low, high in edges]
        return lax.reduce_window(x, -jnp.inf, lax.max, window, steps, edges)
    return lax.reduce_window(x, 0.0, lax.add, window, steps, edges) / np.prod(size)


def unfold(w: Window, x: Any) -> Any:
    edges = pads(x.shape[1:-1], w.reach, w.stride, w.padding)
    patches = lax.conv_general_dilated_patches(
        x, w.kernel, w.stride, edges, rhs_dilation=w.dilation, dimension_numbers=w.layout()
    )
    # JAX has the channels first
    parts = patches.reshape(*patches.shape[:-1], x.shape[-1], -1)
    return jnp.swapaxes(parts, -1, -2).reshape(patches.shape)


# ---------------------------------------------------------------- comparing


def compare(call: str, shape: Sizes, reference: Callable[..., Any]) -> None:
    """A layer of p: its value, and the gradients of the sum of its sine by p and by the layer's parameters."""
    text = f"param p{list(shape)} ~ zeros\nh = {call}\npredict h\nloss sum(sin(h))\n"
    module = load_plain(emit(text, dtype="float64"))
    rng = np.random.default_rng(len(call))
    params = module.init()
    for name in params:
        params[name] = rng.normal(size=params[name].shape)
    with poisoned(module, np.nan):
        value = module.predict(params)
        _, gradients = module.loss_and_gradients(params)
    expected, back = jax.vjp(reference, *(np.array(params[name]) for name in params))
    np.testing.assert_allclose(value, expected, rtol=1e-9, atol=1e-9)
    for name, wanted in zip(params, back(jnp.cos(expected)), strict=True):
        np.testing.assert_allclose(gradients[name], wanted, rtol=1e-9, atol=1e-9, err_msg=name)


def explore(examples: int, strategy: st.SearchStrategy[Any], check: Callable[[Any], None]) -> None:
    """A check of some examples, the same in every run."""

    @seed(20261126)
    @settings(max_examples=examples, database=None, deadline=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(example=strategy)
    def run(example: Any) -> None:
        check(example)

    run()


@st.composite
def windows(draw: st.DrawFn, paddings: tuple[str, ...]) -> tuple[Window, Sizes]:
    """A window, and a shape that it fits in."""
    rank = draw(st.integers(1, 2))
    kernel, stride = (tuple(draw(st.lists(st.integers(1, 3), min_size=rank, max_size=rank))) for _ in range(2))
    dilation = tuple(draw(st.lists(st.integers(1, 2), min_size=rank, max_size=rank)))
    groups, inputs = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    least = reaches(kernel, dilation)
    extents = tuple(draw(st.integers(least[axis], least[axis] + 4)) for axis in range(rank))
    window = Window(kernel, stride, dilation, draw(st.sampled_from(paddings)), groups)
    return window, (2, *extents, groups * inputs)


# ---------------------------------------------------------------- layers

VALID_2D = Window((3, 3), (1, 1), (1, 1))
CONVOLUTIONS: dict[str, tuple[str, Sizes, Window]] = {
    "three channels": ("conv2d(p, 4, 3)", (2, 5, 6, 3), VALID_2D),
    "an even kernel, same": ("conv2d(p, 4, [2, 4], padding = same)", (2, 5, 6, 2),
                             Window((2, 4), (1, 1), (1, 1), "same")),
    "strides over the kernel": ("conv2d(p, 4, 2, stride = 3)", (2, 8, 6, 2), Window((2, 2), (3, 3), (1, 1))),
    "the kernel as long as the axis": ("conv1d(p, 2, 5)", (2, 5, 3), Window((5,), (1,), (1,))),
    "groups of four channels": ("conv2d(p, 8, [3, 2], stride = [1, 2], groups = 2, padding = same)", (2, 4, 5, 8),
                                Window((3, 2), (1, 2), (1, 1), "same", 2)),
    "groups of five channels, dilated": ("conv1d(p, 8, 3, dilation = 2, groups = 2)", (2, 9, 10),
                                         Window((3,), (1,), (2,), "valid", 2)),
    "groups in volumes": ("conv3d(p, 8, [1, 2, 2], groups = 2, padding = causal)", (1, 2, 3, 3, 8),
                          Window((1, 2, 2), (1, 1, 1), (1, 1, 1), "causal", 2)),
    "depthwise": ("conv2d(p, 8, 3, groups = 4)", (2, 4, 5, 4), Window((3, 3), (1, 1), (1, 1), "valid", 4)),
    "causal, dilated": ("conv1d(p, 2, 3, dilation = 2, padding = causal)", (2, 7, 2),
                        Window((3,), (1,), (2,), "causal")),
    "volumes": ("conv3d(p, 4, [1, 2, 3], stride = [1, 2, 1], groups = 2, padding = same)", (1, 2, 3, 4, 2),
                Window((1, 2, 3), (1, 2, 1), (1, 1, 1), "same", 2)),
    "wide channels": ("conv2d(p, 5, 3, stride = [1, 2], padding = same)", (5, 4, 5, 6),
                      Window((3, 3), (1, 2), (1, 1), "same")),
    "long rows": ("conv2d(p, 5, 3)", (2, 4, 11, 4), VALID_2D),
    "long rows, same": ("conv2d(p, 5, 3, padding = same)", (2, 3, 9, 4), Window((3, 3), (1, 1), (1, 1), "same")),
    "long rows, an even kernel": ("conv2d(p, 4, [3, 4], padding = same)", (2, 4, 9, 4),
                                  Window((3, 4), (1, 1), (1, 1), "same")),
    "long rows, strides": ("conv2d(p, 5, 3, stride = 2, padding = same)", (2, 5, 17, 4),
                           Window((3, 3), (2, 2), (1, 1), "same")),
    "long rows, strides over the kernel": ("conv2d(p, 4, 2, stride = 3)", (2, 8, 26, 4),
                                           Window((2, 2), (3, 3), (1, 1))),
    "long rows, dilated": ("conv2d(p, 4, 3, dilation = [2, 1])", (2, 7, 10, 4), Window((3, 3), (1, 1), (2, 1))),
    "long and causal": ("conv1d(p, 4, 3, padding = causal)", (2, 10, 4), Window((3,), (1,), (1,), "causal")),
    "long, one channel": ("conv1d(p, 4, 5)", (2, 14, 1), Window((5,), (1,), (1,))),
}  # fmt: skip


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions(name: str) -> None:
    call, shape, window = CONVOLUTIONS[name]
    compare(call, shape, lambda x, w, b: conv(window, x, w, b))


def test_convolutions_of_many_shapes() -> None:
    def check(example: tuple[Window, Sizes]) -> None:
        window, shape = example
        call = f"conv{len(window.kernel)}d(p, {window.arguments(2 * window.groups)}, bias = false)"
        compare(call, shape, lambda x, w: conv(window, x, w))

    explore(10, windows(("valid", "same", "causal")), check)


def test_transposed_convolutions_of_many_shapes() -> None:
    def check(example: tuple[Window, Sizes]) -> None:
        window, shape = example
        call = f"conv_transpose{len(window.kernel)}d(p, {window.arguments(2 * window.groups)})"
        compare(call, shape, lambda x, w, b: conv_transpose(window, x, w, b))

    explore(6, windows(("valid", "same")), check)


VOLUMES: dict[str, tuple[str, Sizes, Window]] = {
    "stride, dilation, groups": (
        "conv_transpose3d(p, 4, [1, 2, 3], stride = [2, 1, 1], dilation = [1, 2, 1], groups = 2)", (1, 2, 3, 2, 4),
        Window((1, 2, 3), (2, 1, 1), (1, 2, 1), "valid", 2)),
    "same": ("conv_transpose3d(p, 3, [2, 3, 2], stride = [2, 2, 1], padding = same)", (2, 2, 2, 3, 2),
             Window((2, 3, 2), (2, 2, 1), (1, 1, 1), "same")),
}  # fmt: skip


@pytest.mark.parametrize("name", VOLUMES)
def test_transposed_convolutions_of_volumes(name: str) -> None:
    call, shape, window = VOLUMES[name]
    compare(call, shape, lambda x, w, b: conv_transpose(window, x, w, b))


POOLS = {
    "max_pool1d(p, 3)": ((2, 7, 3), "max", (3,), (3,), "valid"),
    "max_pool2d(p, 3, stride = 2, padding = same)": ((2, 6, 5, 2), "max", (3, 3), (2, 2), "same"),
    "max_pool2d(p, [1, 2], stride = 3, padding = same)": ((2, 6, 7, 2), "max", (1, 2), (3, 3), "same"),
    "max_pool3d(p, 2, stride = 1)": ((1, 2, 3, 4, 2), "max", (2, 2, 2), (1, 1, 1), "valid"),
    "avg_pool1d(p, 2, stride = 1, padding = same)": ((2, 5, 3), "avg", (2,), (1,), "same"),
    "avg_pool2d(p, [2, 3])": ((2, 5, 6, 2), "avg", (2, 3), (2, 3), "valid"),
    "avg_pool3d(p, 2, padding = same)": ((1, 3, 2, 3, 2), "avg", (2, 2, 2), (2, 2, 2), "same"),
}


@pytest.mark.parametrize("call", POOLS)
def test_pools(call: str) -> None:
    shape, *rest = POOLS[call]
    compare(call, shape, lambda x: pool(*rest, x))


def linear(scale: Sizes, x: Any) -> Any:
    """Linear upsampling by the middles of the places, beyond the outer ones their numbers."""
    shape = (x.shape[0], *(n * s for n, s in zip(x.shape[1:-1], scale, strict=True)), x.shape[-1])
    return jax.image.resize(x, shape, "linear")


OTHERS: dict[str, tuple[Sizes, Callable[..., Any]]] = {
    "global_max_pool(p)": ((2, 3, 4, 5), lambda x: x.max((1, 2))),
    "global_avg_pool(p)": ((2, 3, 4), lambda x: x.mean(1)),
    "flatten(p)": ((2, 3, 4, 5), lambda x: x.reshape(2, -1)),
    "upsample1d(p, 3)": ((2, 3, 2), lambda x: x.repeat(3, 1)),
    "upsample2d(p, [2, 3])": ((2, 3, 2, 2), lambda x: x.repeat(2, 1).repeat(3, 2)),
    "upsample3d(p, 2)": ((1, 2, 3, 2, 2), lambda x: x.repeat(2, 1).repeat(2, 2).repeat(2, 3)),
    "upsample1d(p, 2, mode = linear)": ((2, 5, 3), lambda x: linear((2,), x)),
    "upsample1d(p, 5, mode = linear)": ((2, 3, 2), lambda x: linear((5,), x)),
    "upsample1d(p, 4, mode = linear)": ((2, 1, 2), lambda x: linear((4,), x)),
    "upsample2d(p, 2, mode = linear)": ((2, 3, 4, 3), lambda x: linear((2, 2), x)),
    "upsample2d(p, [3, 1], mode = linear)": ((2, 2, 3, 2), lambda x: linear((3, 1), x)),
    "upsample3d(p, [2, 1, 3], mode = linear)": ((1, 2, 3, 2, 2), lambda x: linear((2, 1, 3), x)),
    "unfold1d(p, 3, dilation = 2, padding = causal)": (
        (2, 6, 2), lambda x: unfold(Window((3,), (1,), (2,), "causal"), x)),
    "unfold2d(p, [2, 3], stride = [1, 2], padding = same)": (
        (2, 4, 5, 2), lambda x: unfold(Window((2, 3), (1, 2), (1, 1), "same"), x)),
    "max_pool2d(relu(conv2d(p, 3, 3, padding = same)), 2)": (
        (2, 4, 6, 2),
        lambda x, w, b: pool("max", (2, 2), (2, 2), "valid",
                             jax.nn.relu(conv(Window((3, 3), (1, 1), (1, 1), "same"), x, w, b)))),
}  # fmt: skip


@pytest.mark.parametrize("call", OTHERS)
def test_other_windows(call: str) -> None:
    compare(call, *OTHERS[call])


# ---------------------------------------------------------------- free dims, second derivatives

FREE = """
dim batch, width
input  x[batch, width, 2]
param  gain[2] ~ ones
z[b, t, k] = x[b, t, k] * gain[k]
h = conv1d(z, 3, 3, stride = {stride}, padding = {padding})
g = max_pool1d(h, 2, padding = {padding})
predict g
loss sum(sin(g))
"""


@pytest.mark.parametrize(("padding", "stride"), [("valid", 1), ("same", 2)])
def test_free_widths(padding: str, stride: int) -> None:
    module = load_plain(emit(FREE.format(padding=padding, stride=stride), dtype="float64"))
    params = module.init()
    window = Window((3,), (stride,), (1,), padding)
    for width in (4, 7, 9):
        x = np.random.default_rng(width).normal(size=(3, width, 2))
        with poisoned(module, np.nan):
            value = module.predict(params, x)
            _, gradients = module.loss_and_gradients(params, x)

        def reference(gain: Any, weight: Any, bias: Any, x: Any = x) -> Any:
            return pool("max", (2,), (2,), padding, conv(window, x * gain, weight, bias))

        expected, back = jax.vjp(reference, *(np.array(params[name]) for name in params))
        np.testing.assert_allclose(value, expected, rtol=1e-9, atol=1e-12)
        for name, wanted in zip(params, back(jnp.cos(expected)), strict=True):
            np.testing.assert_allclose(gradients[name], wanted, rtol=1e-9, atol=1e-9)
    if padding == "valid":
        with pytest.raises(ValueError, match="dim places is width - 2, which must be at least 1"):
            module.predict(params, np.zeros((3, 2, 2)))


SECOND = {
    "conv2d(tanh(p), 2, 2, stride = 2, padding = same)": (
        (2, 3, 4, 2), lambda p, w, b: conv(Window((2, 2), (2, 2), (1, 1), "same"), jnp.tanh(p), w, b)),
    "conv_transpose1d(p, 2, 3, stride = 2)": (
        (2, 3, 2), lambda p, w, b: conv_transpose(Window((3,), (2,), (1,)), p, w, b)),
    "upsample2d(p^3, [3, 2], mode = linear)": ((1, 2, 3, 2), lambda p: linear((3, 2), p**3)),
    "max_pool1d(p^3, 2, stride = 1)": ((2, 4, 2), lambda p: pool("max", (2,), (1,), "valid", p**3)),
    "avg_pool2d(p^3, 2, padding = same)": ((1, 3, 4, 2), lambda p: pool("avg", (2, 2), (2, 2), "same", p**3)),
}  # fmt: skip


@pytest.mark.parametrize("call", SECOND)
def test_second_derivatives(call: str) -> None:
    """The gradient of the squared gradient by p."""
    shape, reference = SECOND[call]
    text = f"param p{list(shape)} ~ zeros\nh = {call}\ns = sum(sin(h))\nd = grad(s, p)\nloss sum(d^2)\n"
    module = load_plain(emit(text, dtype="float64"))
    params = module.init()
    rng = np.random.default_rng(3)
    for name in params:
        params[name] = rng.normal(size=params[name].shape)
    with poisoned(module, np.nan):
        _, gradients = module.loss_and_gradients(params)

    def squared(*values: Any) -> Any:
        return jnp.sum(jax.grad(lambda *v: jnp.sum(jnp.sin(reference(*v))))(*values) ** 2)

    values = [np.array(params[name]) for name in params]
    for name, wanted in zip(params, jax.grad(squared, tuple(range(len(values))))(*values), strict=True):
        np.testing.assert_allclose(gradients[name], wanted, rtol=1e-9, atol=1e-9, err_msg=name)


# ------------------------------------------------------------------ windows of one's own

SHIFTED = """
input x[2, 12, 14, 6]
param w[3, 3, 6, 8] ~ normal()
y[b, i: 12, j: 12, o] = sum[{u}v: 3, k](x?[b, {row}, j + v, k] * w[{of}, v, k, o])
predict y
loss sum(sin(y))
"""


@pytest.mark.parametrize(
    ("count", "row", "of"),
    [
        (1, "i - 1", "0"), (1, "i + 2", "1"), (2, "i + u - 1", "u + 1"), (3, "i - 2*u + 3", "u"), (3, "i + u - 1", "u"),
        (3, "i - u - 9", "u"), (3, "i - u + 11", "u"), (3, "i + u + 13", "u"),
    ],
)  # fmt: skip
def test_rows_that_no_window_reaches_are_zero(count: int, row: str, of: str) -> None:
    """Windows of rows above or below, some or all of them outside: what is made of none is 0, and so is the gradient by
    a weight that none has."""
    module = load_plain(emit(SHIFTED.format(u=f"u: {count}, " if count > 1 else "", row=row, of=of), dtype="float64"))
    rng = np.random.default_rng(4)
    x, params = rng.normal(size=(2, 12, 14, 6)), module.init()
    weight = jnp.asarray(params["w"])

    def windows(weight: Any) -> Any:
        rows = []
        for i in range(12):
            found = jnp.zeros((2, 12, 8))
            for u in range(count):
                at = eval(row, {"i": i, "u": u})
                for v in range(3 if 0 <= at < 12 else 0):
                    found += x[:, at, v : v + 12] @ weight[eval(of, {"u": u}), v]
            rows.append(found)
        return jnp.stack(rows, 1)

    with poisoned(module, np.nan):
        seen = module.predict(params, x=x)
        loss, gradients = module.loss_and_gradients(params, x=x)
    wanted, slope = jax.value_and_grad(lambda weight: jnp.sin(windows(weight)).sum())(weight)
    np.testing.assert_allclose(seen, windows(weight), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(loss, wanted, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(gradients["w"], slope, rtol=1e-9, atol=1e-9)
