"""Axes cut into blocks: a product for each block, as grouped convolutions and layers have, right for any sizes."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.agreement import assert_close
from support.emitted import load_compiled, load_plain

from gradc.pipeline import emit, graphs
from gradc.schedule.build import schedule
from gradc.schedule.program import Gemm, Nest
from gradc.schedule.verify import verify_program

CONVOLUTION = """
dim batch
input x[batch, 9, 8, {channels}]
h = tanh(conv2d(x, {filters}, 3, groups = {groups}, padding = same))
y = conv2d(h, {filters}, 3, groups = {groups}, stride = {stride})
loss mean(y ^ 2)
"""
LAYER = """
dim batch
input x[batch, {inputs}]
param w[{blocks}, {inner}, {outer}] ~ normal()
param s[{outputs}] ~ ones
y[b, (g: {blocks}) * {outer} + (o: {outer})] = sum[k: {inner}](x[b, g * {inner} + k] * w[g, k, o])
z[b, n] = tanh(y[b, n]) * s[n]
loss mean(z ^ 2)
"""


def steps_of(text):
    """The steps of the gradient's program."""
    graph = graphs(text).gradient
    assert graph is not None
    program = schedule(graph)
    verify_program(program)
    return program.steps


def products(text):
    return [step for step in steps_of(text) if isinstance(step, Gemm)]


def sums_in_loops(text):
    """The tensors that are sums over several indices, and loops."""
    nests = [step for step in steps_of(text) if isinstance(step, Nest)]
    return {equation.target for nest in nests for equation in nest.equations if len(equation.reduced) > 1}


def test_a_grouped_convolution_is_products_for_each_group():
    text = CONVOLUTION.format(channels=32, filters=48, groups=4, stride=1)
    found = {gemm.equation.target: {i.name for i in gemm.batch} for gemm in products(text)}
    assert found == {name: {"b", "g"} for name in ("h.y", "y.y", "d_h.weight", "d_y.weight", "d_h")}
    assert sums_in_loops(text) <= {"loss.sum", "d_h.bias", "d_y.bias"}


def test_blocks_are_read_and_written_where_they_lie():
    text = LAYER.format(blocks=4, inner=8, outer=6, inputs=32, outputs=24)
    source = emit(text)
    calls = re.findall(r"gemm\((.*)\)$", source, flags=re.MULTILINE)
    assert "columns_of(x, 8 * g, 8 * g + 8), w[g], columns_of(y, 6 * g, 6 * g + 6), False" in calls
    assert "columns_of(x, 8 * g, 8 * g + 8).T, columns_of(d_y, 6 * g, 6 * g + 6), d_w[g], False" in calls
    assert ".factor" not in source.split("# ---")[0]


def test_blocks_of_rows():
    """Weights whose inputs are the rows of one large matrix."""
    text = """
dim batch
input x[batch, 4, 8]
param w[32, 24] ~ normal()
y[b, g: 4, o] = sum[k: 8](x[b, g, k] * w[g * 8 + k, o])
loss mean(y ^ 2)
"""
    assert {gemm.equation.target for gemm in products(text)} >= {"y", "d_w"}
    module = load_plain(emit(text, dtype="float64"))
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(5, 4, 8)), rng.normal(size=(32, 24))
    params = module.init()
    params["w"] = w
    loss, gradients = module.loss_and_gradients(params, x)
    y = np.einsum("bgk,gko->bgo", x, w.reshape(4, 8, 24))
    assert_close(loss, (y**2).mean(), "loss")
    assert_close(gradients["w"], 2 / y.size * np.einsum("bgk,bgo->gko", x, y).reshape(w.shape), "w")


def by_jax(x, weights, groups, stride):
    def total(weights):
        value = x
        for (weight, bias), padding, step in zip(weights, ("SAME", "VALID"), (1, stride), strict=True):
            numbers = ("NHWC", "HWIO", "NHWC")
            value = bias + jax.lax.conv_general_dilated(
                value, weight, (step, step), padding, dimension_numbers=numbers, feature_group_count=groups
            )
            value = jnp.tanh(value) if padding == "SAME" else value
        return (value**2).mean()

    with jax.enable_x64(True):
        weights = [[jnp.asarray(part) for part in layer] for layer in weights]
        return jax.value_and_grad(total)(weights)


def agree(module, channels, filters, groups, stride):
    rng = np.random.default_rng(channels)
    x = rng.normal(size=(3, 9, 8, channels))
    params = module.init(seed=1)
    weights = [(params["h.weight"], params["h.bias"]), (params["y.weight"], params["y.bias"])]
    loss, gradients = module.loss_and_gradients(params, x)
    wanted, slopes = by_jax(x, weights, groups, stride)
    assert_close(loss, wanted, "loss")
    for layer, slope in zip(("h", "y"), slopes, strict=True):
        assert_close(gradients[f"{layer}.weight"], slope[0], f"{layer}.weight")
        assert_close(gradients[f"{layer}.bias"], slope[1], f"{layer}.bias")


@settings(max_examples=15, deadline=None)
@given(st.integers(2, 4), st.integers(1, 9), st.integers(1, 9), st.integers(1, 2))
def test_grouped_convolutions_of_any_size(groups, inputs, outputs, stride):
    # the second layer has the filters of the first as its channels
    sizes = {"channels": groups * inputs, "filters": groups * outputs, "groups": groups, "stride": stride}
    agree(load_plain(emit(CONVOLUTION.format(**sizes), dtype="float64")), **sizes)


@pytest.mark.parametrize("stride", [1, 2])
def test_compiled_they_are_the_same(tmp_path, stride):
    sizes = {"channels": 32, "filters": 40, "groups": 4, "stride": stride}
    agree(load_compiled(emit(CONVOLUTION.format(**sizes), dtype="float64"), tmp_path), **sizes)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5), st.integers(1, 9), st.integers(1, 9))
def test_layers_of_blocks_of_any_size(blocks, inner, outer):
    text = LAYER.format(blocks=blocks, inner=inner, outer=outer, inputs=blocks * inner, outputs=blocks * outer)
    module = load_plain(emit(text, dtype="float64"))
    rng = np.random.default_rng(blocks)
    x, w = rng.normal(size=(5, blocks * inner)), rng.normal(size=(blocks, inner, outer))
    params = module.init()
    params["w"] = w
    loss, gradients = module.loss_and_gradients(params, x)
    y = np.tanh(np.einsum("bgk,gko->bgo", x.reshape(5, blocks, inner), w))
    d_y = 2 * y * (1 - y**2) / y.size
    assert_close(loss, (y**2).mean(), "loss")
    assert_close(gradients["w"], np.einsum("bgk,bgo->gko", x.reshape(5, blocks, inner), d_y), "w")
    assert_close(gradients["s"], (2 * y * y / y.size).sum(0).reshape(-1), "s")
