"""Windows at a step that scatter: a product for each turn of the places, right for any kernel, step and padding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax
from support.agreement import assert_close
from support.emitted import load_compiled, load_plain, poisoned

from gradc.pipeline import emit, graphs
from gradc.schedule.build import schedule
from gradc.schedule.program import Gemm
from gradc.schedule.verify import verify_program

UP = """
dim batch
input x[batch, {size}, {size}, 6]
h = conv_transpose2d(x, 8, {kernel}, stride = {stride}, padding = {padding}, bias = false)
loss mean(sin(h))
"""
DOWN = """
dim batch
input x[batch, {size}, {size}, 6]
param s[6] ~ ones
v[b, i, j, k] = x[b, i, j, k] * s[k]
h = conv2d(v, 8, {kernel}, stride = {stride}, padding = {padding}, bias = false)
loss mean(sin(h))
"""


def products(text):
    """Those of the gradient's program."""
    graph = graphs(text).gradient
    assert graph is not None
    program = schedule(graph)
    verify_program(program)
    return [step for step in program.steps if isinstance(step, Gemm)]


def turns(gemm):
    """The places along axes that a product writes in turns."""
    return tuple(place for place in gemm.out.subscripts if len(place.indices) == 1 and place.bare is None)


def down(x, weight, stride, padding):
    n, k = x.shape[1], weight.shape[0]
    reach = max((-(-n // stride) - 1) * stride + k - n, 0)
    edges = "VALID" if padding == "valid" else [(reach // 2, reach - reach // 2)] * 2
    return lax.conv_general_dilated(x, weight, (stride, stride), edges, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def up(x, weight, stride, padding):
    n, k = x.shape[1], weight.shape[0]
    wide = (n - 1) * stride + k if padding == "valid" else n * stride
    turned = jnp.swapaxes(weight, -1, -2)
    shape = (x.shape[0], wide, wide, weight.shape[-1])
    return jax.vjp(lambda y: down(y, turned, stride, padding), jnp.zeros(shape, x.dtype))[1](x)[0]


def compare(module, function, tolerance, **shape):
    """Loss and gradients are those of JAX."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(3, shape["size"], shape["size"], 6)).astype(module.DTYPE)
    params = module.init()
    for name in params:
        params[name] = rng.normal(size=params[name].shape)
    loss, gradients = module.loss_and_gradients(params, x=x)
    with jax.enable_x64(True):
        given = {name: jnp.asarray(params[name]) for name in params}

        def total(given):
            seen = jnp.asarray(x) * given.get("s", 1.0)
            return jnp.sin(function(seen, given["h.weight"], shape["stride"], shape["padding"])).mean()

        wanted, slopes = jax.value_and_grad(total)(given)
    assert_close(loss, wanted, "loss", tolerance)
    for name in params:
        assert_close(gradients[name], slopes[name], name, tolerance)


def test_each_turn_gathers_from_its_part_of_the_window():
    """Of three places of a window and a step of two, one goes to the even places, two to the odd ones."""
    text = UP.format(size=8, kernel=3, stride=2, padding="same")
    found = {turns(gemm): {i.name for i in gemm.equation.reduced} for gemm in products(text) if turns(gemm)}
    assert sorted((tuple(map(str, places)), sorted(summed)) for places, summed in found.items()) == [
        (("2*i", "2*j"), ["k", "u", "v"]),
        (("2*i", "2*j + 1"), ["k", "u"]),
        (("2*i + 1", "2*j"), ["k", "v"]),
        (("2*i + 1", "2*j + 1"), ["k"]),
    ]


def test_turns_that_are_not_equally_long_are_no_products_of_their_own():
    """Of seven places every other is four or three."""
    found = products(DOWN.format(size=7, kernel=3, stride=2, padding="same"))
    assert not any(turns(gemm) for gemm in found)


def test_the_module_says_which_turn():
    code = emit(UP.format(size=8, kernel=2, stride=2, padding="valid"))
    assert "columns_of(view(h_y, 0, (batch, 16, 8, 16))[b, 2 * i + 1], 0, 8)" in code


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [(3, 2, "same"), (4, 2, "same"), (2, 2, "valid"), (5, 3, "same"), (1, 2, "same")]
)
@pytest.mark.parametrize("way", ["up", "down"])
def test_compiled(tmp_path, way, kernel, stride, padding):
    text, function, size = (UP, up, 8) if way == "up" else (DOWN, down, 12)
    shape = {"size": size, "kernel": kernel, "stride": stride, "padding": padding}
    compare(load_compiled(emit(text.format(**shape)), tmp_path), function, 2e-5, **shape)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    st.sampled_from(["up", "down"]), st.integers(4, 13), st.integers(1, 5), st.integers(2, 4),
    st.sampled_from(["same", "valid"]),
)  # fmt: skip
def test_any_sizes(way, size, kernel, stride, padding):
    text, function = (UP, up) if way == "up" else (DOWN, down)
    shape = {"size": max(size, kernel), "kernel": kernel, "stride": stride, "padding": padding}
    verify_program(schedule(graphs(text.format(**shape)).gradient))
    module = load_plain(emit(text.format(**shape), dtype="float64"))
    with poisoned(module, np.nan):
        compare(module, function, 1e-9, **shape)
