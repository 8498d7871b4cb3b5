"""From equations to a program: what becomes a product, what shares a nest, where tensors live."""

import pytest

from gradc.graph.index import dim, number
from gradc.pipeline import graphs
from gradc.schedule.build import schedule
from gradc.schedule.expand import expand
from gradc.schedule.hoist import hoist_scalars
from gradc.schedule.program import Gemm, Loop, Nest, Program, Space, Statement, Storage, written_by
from gradc.schedule.verify import verify_program

MLP = """
dim batch
dim pixels = 64, classes = 10
input  x[batch, pixels]
target y[batch] : int(classes)
h      = relu(dense(x, 32))
logits = dense(h, classes)
predict p = softmax(logits)
loss    mean(cross_entropy(logits, y))
"""

ATTENTION = """
dim batch, time
dim heads = 4, width = 8
input q[batch, time, heads, width], k[batch, time, heads, width], v[batch, time, heads, width]
param scale ~ ones
s[b, h, t, u] = scale * sum[d](q[b, t, h, d] * k[b, u, h, d])
p[b, h, t, u] = softmax[u](s[b, h, t, u])
o[b, t, h, d] = sum[u](p[b, h, t, u] * v[b, u, h, d])
predict o
loss sum(o^2)
"""


def _gradient(text: str) -> Program:
    graph = graphs(text).gradient
    assert graph is not None
    program = schedule(graph)
    verify_program(program)
    return program


def _products(program: Program) -> list[Gemm]:
    return [step for step in program.steps if isinstance(step, Gemm)]


def _nest_with(program: Program, target: str) -> Nest:
    return next(step for step in program.steps if isinstance(step, Nest) and target in written_by(step))


def test_a_network_has_five_products_and_four_nests_at_most():
    program = _gradient(MLP)
    assert [step.equation.target for step in _products(program)] == [
        "h.dense.sum",
        "logits.sum",
        "d_h",
        "d_logits.weight",
        "d_h.weight",
    ]
    assert sum(isinstance(step, Nest) for step in program.steps) <= 4


def test_products_read_transposes_in_place():
    by_target = {step.equation.target: step for step in _products(_gradient(MLP))}
    assert by_target["d_h.weight"].a.transposed
    assert not by_target["d_h.weight"].b.transposed
    assert by_target["d_h"].b.transposed


def test_the_loss_its_gradient_and_the_bias_share_one_nest():
    nest = _nest_with(_gradient(MLP), "loss")
    assert {"logits", "loss", "d_logits", "d_logits.bias"} <= set(written_by(nest))
    (rows,) = [item for item in nest.items if isinstance(item, Loop)]
    assert rows.index.name == "b"


def test_a_value_used_in_its_own_loop_alone_is_a_variable():
    program = _gradient(MLP)
    assert program.buffers["h.dense"].storage is Storage.LOCAL
    assert program.buffers["loss"].storage is Storage.LOCAL


def test_a_value_used_in_its_own_row_alone_is_a_row():
    buffer = _gradient(MLP).buffers["logits.exp"]
    assert buffer.storage is Storage.WORK
    assert buffer.extents == (number(10),)


def test_an_activation_lies_in_the_place_of_its_dying_operand():
    assert _gradient(MLP).buffers["h.dense.sum"].shares == "h"


def test_gradients_are_written_where_the_caller_wants_them():
    program = _gradient(MLP)
    for name in ("d_h.weight", "d_h.bias", "d_logits.weight", "d_logits.bias"):
        assert program.buffers[name].storage is Storage.GIVEN


def test_the_work_space_is_told_in_free_dims():
    work = _gradient(MLP).work
    assert set(work) == {Space.WORK}
    assert work[Space.WORK].dims == ("batch",)


def test_batched_products_loop_over_their_batch_indices():
    products = _products(_gradient(ATTENTION))
    scores = next(step for step in products if step.equation.target.startswith("s."))
    assert [i.name for i in scores.batch] == ["b", "h"]


@pytest.mark.parametrize(
    ("units", "hidden", "by_blas"),
    [(1, 32, False), (2, 8, False), (3, 8, False), (2, 32, True), (3, 32, True), (4, 8, True)],
)
def test_thin_products_are_loops(units, hidden, by_blas):
    """But for those beside a wide group: of two columns, where 32 terms are summed for each."""
    text = MLP.replace("classes = 10", f"classes = {units}").replace("dense(x, 32)", f"dense(x, {hidden})")
    targets = [step.equation.target for step in _products(_gradient(text))]
    assert ("logits.sum" in targets) == by_blas
    assert "h.dense.sum" in targets


def test_no_loop_runs_once():
    text = "dim batch\ninput x[batch, 8]\ntarget y[batch]\nz[b] = dense(x, 1)[b, 0]\nloss mean((z - y)^2)\n"

    def loops(items):
        for item in items:
            if isinstance(item, Loop):
                yield item
                yield from loops(item.body)

    for step in _gradient(text).steps:
        if isinstance(step, Nest):
            assert all(loop.index.extent.constant != 1 for loop in loops(step.items))


def test_several_contributions_accumulate():
    text = MLP.replace("mean(cross_entropy(logits, y))", "mean(cross_entropy(logits, y)) + sum(h.weight^2)")
    program = _gradient(text)
    product = next(step for step in _products(program) if step.equation.target == "d_h.weight")
    assert not product.starts


def test_logsumexp_is_written_out_and_its_softmax_reads_the_exponentials():
    graph = graphs(MLP).gradient
    assert graph is not None
    expanded = expand(graph)
    assert {"logits.max", "logits.exp", "logits.total"} <= set(expanded.tensors)
    exponentials = [eq.target for eq in expanded.equations if "exp(" in str(eq.body)]
    assert exponentials == ["logits.exp"]


def test_scalars_leave_loops():
    text = "param w[5] ~ ones\nparam s ~ ones\nloss sum(w * (1 + s * s))\n"
    graph = graphs(text).gradient
    assert graph is not None
    hoisted = hoist_scalars(graph)
    made = [eq for eq in hoisted.equations if eq.target not in graph.tensors]
    assert made
    assert all(not eq.indices for eq in made)


def test_the_same_graph_gives_the_same_program():
    def shown(program: Program) -> list[str]:
        return [str(step) for step in program.steps] + [str(buffer) for buffer in program.buffers.values()]

    assert shown(_gradient(MLP)) == shown(_gradient(MLP))


def test_statements_stand_in_the_loops_of_their_indices():
    for step in _gradient(ATTENTION).steps:
        if isinstance(step, Nest):
            for statement in step.statements():
                assert isinstance(statement, Statement)
                assert sorted(statement.path) == sorted(i.name for i in statement.equation.indices)


CAUSAL = """
dim batch, time
input x[batch, time, 6]
loss mean(attention(x, 2, causal = true)^2)
"""


def test_what_is_the_same_once_written_out_is_stored_once():
    """The slope of a softmax's logsumexp is the softmax; whether a place is in the past is asked where it counts."""
    program = _gradient(CAUSAL)
    assert not any(name.endswith((".past", ".softmax")) for name in program.buffers)
    squares = [name for name, buffer in program.buffers.items() if buffer.extents[-2:] == (dim("time"), dim("time"))]
    assert squares == ["loss.seen.score.sum", "loss.seen.weight"]


CONVOLUTIONS = """
dim batch
input  x[batch, 8, 8, 1]
target y[batch] : int(10)
h = conv2d(x, 12, 3, padding = same) |> relu |> max_pool2d(2)
g = conv2d(h, 16, 3, padding = same) |> relu
logits = dense(global_avg_pool(g), 10)
loss mean(cross_entropy(logits, y))
"""


def test_windows_of_few_channels_are_packed_example_by_example():
    program = _gradient(CONVOLUTIONS)
    products = {step.equation.target: step for step in _products(program)}
    forward, weight, back = products["g.y"], products["d_g.weight"], products["d_h"]
    for step in (forward, weight, back):
        assert [i.name for i in step.batch] == ["b"]
        assert step.packing is not None
        (packed,) = step.packing.written
        assert packed in {step.a.tensor, step.b.tensor}
        assert [str(extent) for extent in program.buffers[packed].extents[:4]] == ["4", "4", "3", "3"]
    assert (forward.a.rows, forward.a.columns) == (("i", "j"), ("u", "v", "k"))
    assert (weight.a.rows, weight.a.columns) == (("u", "v", "k"), ("i", "j"))
    # what windows scatter is gathered: each place of the picture from those of the window that come to it
    assert [str(place) for place in back.equation.write] == ["b", "i", "j", "k"]
    assert back.b.tensor == "g.weight.turned"


def test_a_strip_is_padded_once_for_all_that_read_it() -> None:
    """Of several axes before the windows: the loops along them are outermost, and those of the window inside."""
    program = _gradient("""dim batch
input x[batch, 5, 8, 8, 8]
param w[5, 3, 3, 8, 8] ~ normal()
y[g, b, i: 8, j: 8, o] = sum[u, v, k](x?[b, g, i + u - 1, j + v - 1, k] * w[g, u, v, k, o])
loss sum(y^2)
""")
    back = next(step for step in _products(program) if step.equation.target == "d_w")
    assert {i.name for i in back.packing_rounds} == {"b", "g"}


UPWARDS = """
dim batch
input  x[batch, 4, 4, 40]
param  s[40] ~ ones
param  k[4, 4, 40, 32] ~ normal()
h[b, i, j, c] = tanh(s[c] * x[b, i, j, c])
y[b, p: 8, q: 8, o] = sum[c, i, u, j, v](
    if 2*i + u == p + 1 and 2*j + v == q + 1 then h[b, i, j, c] * k[u, v, c, o] else 0
)
loss mean(y^2)
"""


def test_windows_are_packed_as_their_product_needs_them_whatever_order_the_model_has():
    """Of the sum over i, u, j, v: the places are rows, what a window has at each of them are columns."""
    for text in (UPWARDS, UPWARDS.replace("dim batch", "dim batch = 3")):
        program = _gradient(text)
        (back,) = (step for step in _products(program) if step.equation.target == "d_h")
        assert back.packing is not None
        assert [i.name for i in back.batch] == ["b"]
        (packing,) = back.packing.statements()
        assert [str(place) for place in packing.equation.write] == ["b", "i", "j", "u", "v", "o"]
        assert not any(name.endswith("factor.turned") for name in program.buffers)


def test_windows_of_a_free_picture_are_strips():
    text = """dim batch, n, m
input x[batch, n, m, 8]
loss mean(relu(conv2d(x, 16, 3, padding = same))^2)
"""
    products = {step.equation.target: step for step in _products(_gradient(text))}
    (forward,) = (step for name, step in products.items() if name.endswith(".y"))
    assert [i.name for i in forward.batch] == ["b", "i", "u"]
    assert [i.name for i in forward.packing_rounds] == ["b"]
    assert (forward.a.rows, forward.a.columns) == (("j",), ("v", "k"))


def test_windows_along_an_axis_are_one_product():
    """What they read lies side by side: it is copied only where zeros have to be around it."""
    text = CONVOLUTIONS.replace("8, 8", "20, 20").replace("h, 16, 3, padding = same", "h, 16, 3")
    products = {step.equation.target: step for step in _products(_gradient(text))}
    for name in ("g.y", "d_g.weight"):
        product = products[name]
        assert product.packing is None
        assert product.a.window is not None
        assert (product.a.rows, product.a.columns) in ((("j",), ("v", "k")), (("v", "k"), ("j",)))
        assert {i.name for i in product.batch} == {"b", "i", "u"}
    back = products["d_h"]
    assert back.packing is not None
    assert (back.a.rows, back.a.columns) == (("j",), ("v", "o"))
    assert back.b.tensor.endswith(".turned")


def test_a_convolution_of_many_channels_is_a_product_for_each_place_of_its_windows():
    text = CONVOLUTIONS.replace("x, 12, 3", "x, 128, 3").replace("h, 16, 3", "h, 128, 3")
    products = {step.equation.target: step for step in _products(_gradient(text))}
    assert {"g.y", "d_g.weight", "d_h"} < set(products)
    forward, weight, back = products["g.y"], products["d_g.weight"], products["d_h"]
    assert [i.name for i in forward.batch] == ["i", "j", "u", "v"]
    assert (forward.a.rows, forward.a.columns) == (("b",), ("k",))
    assert ([i.name for i in weight.batch], weight.a.columns) == (["u", "v", "i", "j"], ("b",))
    assert ([i.name for i in back.batch], back.b.transposed) == (["i", "j", "u", "v"], True)
    assert len(forward.equation.guards) == 4


def test_a_window_of_one_channel_is_packed_place_for_place():
    """What lies side by side is copied so, for an example at a time: the places of the window are its outer axes."""
    products = {step.equation.target: step for step in _products(_gradient(CONVOLUTIONS))}
    for name in ("h.y", "d_h.weight"):
        packing = products[name].packing
        assert packing is not None
        (statement,) = packing.statements()
        assert statement.around == ("b",)
        assert [str(place) for place in statement.equation.write] == ["b", "u", "v", "i", "j"]
    assert products["h.y"].b.tensor == "h.weight"


def test_a_long_window_of_one_channel_is_a_loop():
    text = """dim batch
input x[batch, 400, 1]
loss mean(relu(conv1d(x, 4, 65)))
"""
    program = _gradient(text)
    assert {step.equation.target for step in _products(program)} == set()
