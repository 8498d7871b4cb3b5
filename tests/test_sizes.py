"""Kernels that are alike but for sizes are one: which are, what it says of them, and that it computes the same."""

import re

import numpy as np
import pytest
from support.emitted import load_compiled, load_plain

from gradc.emit.driver import KernelTable
from gradc.emit.kernels import Kernel
from gradc.emit.sizes import groups
from gradc.pipeline import emit

TWO_WIDTHS = """
dim batch
input  x[batch, 6, 6, 12]
target y[batch, 20]
def block(x[b, n, m, c], filters):
    return x |> conv2d(filters, 3, padding = same) |> batch_norm |> relu
h = block(block(x, 12), 20)
loss mean(squared_error(global_avg_pool(h), y))
optimize sgd(lr = 0.1)
"""


@pytest.fixture(scope="module")
def texts():
    """The module; and the same where no kernels are one but for sizes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(KernelTable, "alike", lambda _: {})
        apart = emit(TWO_WIDTHS, dtype="float64")
    return emit(TWO_WIDTHS, dtype="float64"), apart


def test_blocks_of_two_widths_have_one_kernel(texts):
    counts = [text.count("@kernel") for text in texts]
    assert counts[0] < counts[1]
    (kernel,) = re.findall(r"@kernel\ndef forward_h_block_1_batch_norm_apart.*?\n\n\n", texts[0], flags=re.DOTALL)
    assert "size_c is 12 or 20." in kernel
    assert "size_c = h_block_1_batch_norm_apart.shape[3]" in kernel
    assert "for c in range(size_c):" in kernel
    assert "for i in range(6):" in kernel
    assert "def forward_h_block_2_batch_norm_apart" not in texts[0]


@pytest.mark.parametrize("compiled", [False, True])
def test_it_computes_the_same(texts, tmp_path, compiled):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(5, 6, 6, 12)), rng.normal(size=(5, 20))
    results = []
    for text in texts:
        module = load_compiled(text, tmp_path) if compiled else load_plain(text)
        params = module.init(0)
        loss, gradients = module.loss_and_gradients(params, x, y)
        results.append([loss, *gradients.flat])
    np.testing.assert_allclose(results[0], results[1], rtol=1e-12, atol=1e-14)


def kernel(width, body, *lengths):
    """A kernel of some arrays whose text depends on a width."""
    names = tuple(f"{letter}_{width}" for letter in "abc"[: len(lengths)])
    rows = tuple(row.format(*names, width=width) for row in body)
    return Kernel(f"kernel_{width}", names, names, (), (), rows, (), lengths)


def found(*kernels):
    """The groups of these, each under its name."""
    return groups({(k.name,): k for k in kernels}, {(k.name,): k.lengths for k in kernels})


FILL = ("for i in range({width}):", "    {0}[i] = {1}[i]")


def test_a_size_is_the_length_of_an_axis_along_which_its_loop_goes():
    one, other = (kernel(width, FILL, (width,), (width,)) for width in (16, 24))
    group = found(one, other)[("kernel_16",)]
    assert group.common(one).body == (
        "size_i = a_16.shape[0]",
        "for i in range(size_i):",
        "    a_16[i] = b_16[i]",
    )
    assert group.common(one).doc == ("size_i is 16 or 24.",)


def test_how_a_line_is_broken_does_not_matter():
    broken = ("for i in range(24):", "    {0}[i] = (", "        {1}[i]", "    )")
    one, other = kernel(16, FILL, (16,), (16,)), kernel(24, broken, (24,), (24,))
    assert len(found(one, other)) == 2


def test_more_than_one_number_is_a_size():
    body = ("for i in range({width}):", "    if i > 0 and i < {width}:", "        {0}[i] = {1}[i - 1]")
    one, other = (kernel(width, body, (width,), (None,)) for width in (16, 24))
    assert found(one, other)[("kernel_24",)].common(other).body[2] == "    if i > 0 and i < size_i:"


def test_a_number_that_no_array_tells_is_handed_over():
    body = ("for i in range({width}):", "    {0}[i] = {1}[i] / f8({count} * number)")
    one, other = (
        kernel(width, [row.replace("{count}", str(width * width)) for row in body], (width,), (None,))
        for width in (16, 24)
    )
    group = found(one, other)[("kernel_24",)]
    assert group.common(other).arguments == ("a_24", "b_24", "number_")
    assert group.common(other).body[2] == "    a_24[i] = b_24[i] / f8(number_ * number)"
    assert group.common(other).doc == ("(size_i, number_) is (16, 256) or (24, 576).",)
    assert (group.given(("kernel_16",)), group.given(("kernel_24",))) == ((256,), (576,))


def test_two_loops_of_one_index_have_a_size_each():
    body = ("for i in range({width}):", "    {0}[i] = {1}[i]", "for i in range({half}):", "    {2}[i] = {0}[2 * i]")
    one, other = (
        kernel(width, [row.replace("{half}", str(width // 2)) for row in body], (width,), (width,), (width // 2,))
        for width in (16, 24)
    )
    assert found(one, other)[("kernel_16",)].common(one).body[:2] == (
        "size_i = a_16.shape[0]",
        "size_i_ = c_16.shape[0]",
    )


@pytest.mark.parametrize(
    ("body", "lengths", "widths"),
    [
        (FILL, lambda width: ((width,), (width,)), (3, 16)),
        (("for i in range(9):", "    {0}[i] = {1}[i // {width}]"), lambda width: ((9,), (width,)), (16, 24)),
    ],
    ids=["a short loop", "a divisor"],
)
def test_other_numbers_keep_kernels_apart(body, lengths, widths):
    assert found(*(kernel(width, body, *lengths(width)) for width in widths)) == {}


def test_which_array_comes_first_keeps_them_apart():
    one = kernel(16, FILL, (16,), (16,))
    other = kernel(24, ("for i in range({width}):", "    {1}[i] = {0}[i]"), (24,), (24,))
    assert found(one, other) == {}


def test_only_those_that_differ_in_large_numbers_are_one():
    kernels = [kernel(width, FILL, (width,), (width,)) for width in (3, 16, 24)]
    assert set(found(*kernels)) == {("kernel_16",), ("kernel_24",)}


def test_an_array_that_is_not_always_of_one_length_tells_nothing():
    table = KernelTable()
    for lengths in ((16,), (32,)):
        table.shared(kernel(16, FILL, lengths, (16,)))
    table.shared(kernel(24, FILL, (24,), (24,)))
    (group,) = {id(group): group for group in table.alike().values()}.values()
    assert group.common(kernel(16, FILL, (16,), (16,))).body[0] == "size_i = b_16.shape[0]"
