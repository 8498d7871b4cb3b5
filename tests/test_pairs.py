"""Sums of products of several factors run two at a time, where that takes less, and keep their value and slopes."""

import os
import string
import subprocess
import sys
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.agreement import assert_close
from support.emitted import load_plain

from gradc.pipeline import emit, graphs


def pairs(text: str) -> dict[str, tuple[str, ...]]:
    """The tensors that are pairs, and the indices along their axes."""
    forward = graphs(text).forward
    return {name: tuple(axis.name for axis in t.axes) for name, t in forward.tensors.items() if ".pair" in name}


def product(spec: str, sizes: Mapping[str, int]) -> str:
    """A model whose loss is a weighted sum of the einsum of its parameters."""
    inputs, output = spec.split("->")
    factors = inputs.split(",")
    letters = "".join(dict.fromkeys(inputs.replace(",", "")))
    named = [f"f{at}{'[' + ', '.join(each) + ']' if each else ''}" for at, each in enumerate(factors)]
    shapes = [f"f{at}{[sizes[i] for i in each]}" for at, each in enumerate(factors)]
    summed = ", ".join(each for each in letters if each not in output)
    body = " * ".join(named)
    written = f"y[{', '.join(output)}]" if output else "y"
    return "\n".join([
        *(f"param {shape} ~ zeros" for shape in shapes),
        f"input weights{[sizes[i] for i in output]}",
        f"{written} = {f'sum[{summed}]({body})' if summed else body}",
        "loss sum(weights * y)" if output else "loss weights * y",
        "",
    ])  # fmt: skip


def agree(spec: str, sizes: Mapping[str, int]) -> None:
    """Value and gradients are those of `jnp.einsum`."""
    inputs, output = spec.split("->")
    rng = np.random.default_rng(5)
    values = [rng.normal(size=[sizes[i] for i in each]) for each in inputs.split(",")]
    weights = rng.normal(size=[sizes[i] for i in output])
    module = load_plain(emit(product(spec, sizes), dtype="float64"))
    params = module.init()
    for at, value in enumerate(values):
        params[f"f{at}"] = value
    loss, gradients = module.loss_and_gradients(params, weights=weights)
    with jax.enable_x64(True):
        formula = jax.value_and_grad(lambda factors: (weights * jnp.einsum(spec, *factors)).sum())
        wanted, slopes = formula([jnp.asarray(value) for value in values])
    assert_close(loss, wanted, "loss")
    for at, slope in enumerate(slopes):
        assert_close(gradients[f"f{at}"], slope, f"f{at}")


SIZES = {"b": 12, "i": 8, "j": 9, "k": 7, "o": 10, "r": 3, "e": 4}
KNOWN = {
    "bilinear": ("bi,bj,ijo->bo", [("b", "i", "j")]),
    "low rank": ("bi,ir,bj,jr,ro->bo", [("b", "r"), ("b", "r"), ("b", "r")]),
    "experts": ("be,bek,eko->bo", [("b", "e", "k")]),
    "quadratic form": ("bi,ij,bj->b", [("b", "i")]),
    "chain": ("bi,ij,jk,ko->bo", [("i", "k"), ("b", "k")]),
    "summed alone": ("bij,io->bo", [("b", "i")]),
    "scaled sum": (",bi,io->bo", [("i", "o")]),
    "no result": ("bi,ij,bj->", [("i", "j")]),
    "a pair": ("bi,io->bo", []),
    "over the same indices": ("bi,bi,bi->b", []),
    "no larger than a factor": ("b,bi,bi->", []),
}


@pytest.mark.parametrize("name", KNOWN)
def test_what_becomes_pairs(name):
    spec, wanted = KNOWN[name]
    found = pairs(product(spec, SIZES))
    assert sorted(map(sorted, found.values())) == sorted(map(sorted, wanted)), found
    agree(spec, SIZES)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_sum_of_products_keeps_value_and_slopes(data):
    letters = string.ascii_lowercase[: data.draw(st.integers(1, 6))]
    sizes = {letter: data.draw(st.integers(1, 5)) for letter in letters}
    indices = st.lists(st.sampled_from(letters), unique=True, max_size=3).map("".join)
    inputs = data.draw(st.lists(indices, min_size=1, max_size=6))
    used = [letter for letter in letters if any(letter in each for each in inputs)]
    output = "".join(data.draw(st.lists(st.sampled_from(used), unique=True, max_size=3))) if used else ""
    agree(f"{','.join(inputs)}->{output}", sizes)


def test_more_factors_than_are_ordered_at_best():
    inputs = [string.ascii_lowercase[at : at + 2] for at in range(18)]
    sizes = dict.fromkeys(string.ascii_lowercase, 3)
    spec = f"{','.join(inputs)}->{inputs[0][0]}{inputs[-1][1]}"
    assert len(pairs(product(spec, sizes))) == len(inputs) - 2
    agree(spec, sizes)


def test_terms_of_one_sum_become_pairs_each():
    text = """
input x[12, 8], z[12, 9]
param w[8, 9, 10] ~ normal()
y[b, o] = sum[i, j](x[b, i] * z[b, j] * w[i, j, o] + w[i, j, o])
loss sum(y)
"""
    module = load_plain(emit(text, dtype="float64"))
    rng = np.random.default_rng(0)
    x, z = rng.normal(size=(12, 8)), rng.normal(size=(12, 9))
    params = module.init()
    w = rng.normal(size=(8, 9, 10))
    params["w"] = w
    loss, gradients = module.loss_and_gradients(params, x=x, z=z)
    assert_close(loss, np.einsum("bi,bj,ijo->", x, z, w) + 12 * w.sum(), "loss")
    assert_close(gradients["w"], np.broadcast_to((np.einsum("bi,bj->ij", x, z) + 12)[..., None], w.shape), "w")
    assert len(pairs(text)) == 1


def test_windows_are_not_copied_one_after_the_other():
    """x·m would be a tensor over b, i, u and k; the kernel is scaled, or the sum."""
    text = """
dim batch
input x[batch, 40, 6], m[batch, 6]
param w[3, 6, 5] ~ normal()
param s[5] ~ ones
y[b, i: 38, o] = sum[u: 3, k](x[b, i + u, k] * s[o] * w[u, k, o])
z[b, i: 38, o] = sum[u: 3, k](x[b, i + u, k] * m[b, k] * w[u, k, o])
loss sum(y) + sum(z)
"""
    assert {name for name, axes in pairs(text).items() if {"i", "u"} <= set(axes)} == set()
    assert pairs(text)["y.pair"] == ("u", "k", "o"), "in the order of what has them all"


def test_recurrences_become_pairs():
    """A multiplicative recurrent net, whose loop has a sum of three factors."""
    text = """
dim batch, time
input x[batch, time, 6]
param w[6, 7, 7] ~ normal() * 0.3
h[b: batch, 0, j: 7] = 1
h[b, t + 1, j] = tanh(sum[i, k](x[b, t, i] * h[b, t, k] * w[i, k, j]))
last[b, j] = h[b, time + 0, j]
loss mean(last ^ 2)
"""
    assert len(pairs(text)) == 1
    module = load_plain(emit(text, dtype="float64"))
    rng = np.random.default_rng(1)
    x, w = rng.normal(size=(4, 5, 6)), rng.normal(size=(6, 7, 7)) * 0.3
    params = module.init()
    params["w"] = w
    loss, gradients = module.loss_and_gradients(params, x=x)

    def total(w):
        h = jnp.ones((4, 7))
        for t in range(5):
            h = jnp.tanh(jnp.einsum("bi,bk,ikj->bj", x[:, t], h, w))
        return (h**2).mean()

    with jax.enable_x64(True):
        wanted, slope = jax.value_and_grad(total)(jnp.asarray(w))
    assert_close(loss, wanted, "loss")
    assert_close(gradients["w"], slope, "w")


def test_pairs_are_the_same_in_every_process():
    text = product("abc,bcd,cde,dea,eab,ace->bd", dict.fromkeys("abcde", 4))
    script = "import sys; from gradc.pipeline import emit; print(emit(sys.argv[1]))"
    runs = [
        subprocess.run(
            [sys.executable, "-c", script, text],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    ]
    assert runs[0] == runs[1] == runs[2]
    assert "_pair" in runs[0]
