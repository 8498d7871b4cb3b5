"""`gradc bench`: modules with clocks in them compute what the plain ones do, count what they do, and are told of.

No time is asserted anywhere.
"""

import ast
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from support.emitted import load_plain

import gradc
from gradc import bench, console, pipeline
from gradc.bench_data import Asked, loads, sizes
from gradc.bench_report import Memory, Report, Site, Steps, Table
from gradc.cli import program
from gradc.clock import CALLS, MULTIPLY_ADDS, NANOSECONDS
from gradc.emit.module import emit, emit_with_sites
from gradc.emit.prelude import prelude_words
from gradc.errors import GradcError
from gradc.instrument import PRODUCTS, clocked
from gradc.stages import graphs, module_spec

ROOT = Path(__file__).parent.parent
NET = """
model net
dim batch
input x[batch, 6], ids[batch] : int(4)
target y[batch] : int(3)
h      = tanh(dense(x, 5)) + embedding(ids, 4, 5)
logits = dense(h, 3)
predict p = softmax(logits)
loss mean(cross_entropy(logits, y))
optimize adam(lr = 0.01), clip_norm = 1
"""
RECURRENT = """
dim batch, time
input x[batch, time, 3]
target y[batch, time, 4]
predict p = gru(x, 4)
loss mean(squared_error(p, y))
"""
LONG = """
dim batch
input x[batch, 40]
target y[batch, 40]
h = tanh(dense(x, 200))
h = tanh(dense(h, 200))
predict p = dense(h, 40)
loss mean(squared_error(p, y))
"""
SILENT = "dim n\ninput x[n]\nparam a ~ ones\nloss mean((a * x)^2)\n"


def emitted(text):
    stages = graphs(text)
    return stages, *emit_with_sites(module_spec(stages, text, "float64"))


def arrays_of(text, batch=3):
    model = gradc.compile_text(text, dtype="float64")
    return next(loads(model, graphs(text).model, Asked(batch=batch), targets=True)).arrays.values()


@pytest.fixture
def one_thread(monkeypatch):
    """No step is cut into shards."""
    monkeypatch.setenv("GRADC_THREADS", "1")


def trained(module, arrays):
    """The losses of two steps, and the parameters after them."""
    params = module.init(0)
    state = module.init_state(params)
    return [module.train_step(params, state, *arrays) for _ in range(2)], params.flat


# ------------------------------------------------------------------ modules with clocks


@pytest.mark.parametrize("text", [NET, RECURRENT, LONG], ids=["net", "recurrent", "long"])
@pytest.mark.usefixtures("without_jit", "one_thread")
def test_a_module_with_clocks_computes_the_same(text):
    _, source, sites = emitted(text)
    arrays = arrays_of(text)
    copy = clocked(source, sites, "clocked.py")
    plain = clocked(source, {}, "plain.py")
    for one, other in zip(trained(copy.module, arrays), trained(plain.module, arrays), strict=True):
        np.testing.assert_array_equal(one, other)
    ran = [row[CALLS] > 0 for row in copy.clocks[1:]]
    assert ran == [not caller.endswith("_entry") for caller, _ in copy.sites]
    assert all(row[NANOSECONDS] >= 0 for row in copy.clocks[1:])
    assert all(bool(row[MULTIPLY_ADDS]) == (site.function in PRODUCTS) for (_, site), row in zip(
        copy.sites, copy.clocks[1:], strict=True) if row[CALLS])  # fmt: skip


@pytest.mark.usefixtures("without_jit", "one_thread")
def test_products_are_counted_with_and_without_kernels():
    _, source, sites = emitted(LONG)
    arrays = arrays_of(LONG)
    counts = []
    for kernels in (True, False):
        copy = clocked(source, sites, "clocked.py", kernels=kernels)
        trained(copy.module, arrays)
        counts.append(int(copy.clocks[1:, MULTIPLY_ADDS].sum()))
        called = {site.function for (_, site), row in zip(copy.sites, copy.clocks[1:], strict=True) if row[CALLS]}
        assert (called <= {*PRODUCTS}) == (not kernels)
    # two steps: forward and by the weights, and by the inputs of all layers but the first
    assert counts == [2 * 3 * (2 * 40 * 200 + 3 * 200 * 200 + 3 * 200 * 40)] * 2


@pytest.mark.usefixtures("without_jit", "one_thread")
@pytest.mark.parametrize("text", [NET, RECURRENT], ids=["net", "recurrent"])
def test_products_alone_read_no_denormals(text, monkeypatch):
    """Which may lie in memory where no kernel writes: with them a product takes many times as long."""
    _, source, sites = emitted(text)
    copy = clocked(source, sites, "clocked.py", kernels=False)
    arrays = arrays_of(text)
    monkeypatch.setattr(np, "empty", lambda size, kind: np.full(size, 1e-310).astype(kind))
    params = copy.module.init(0)
    state = copy.module.init_state(params)
    copy.module.train_step(params, state, *arrays)
    held = [np.abs(array) for array in bench.arrays_in(list(vars(state).values())) if array.dtype.kind == "f"]
    assert sum(array.size for array in held) > params.flat.size
    assert all((array[array > 0] > np.finfo(float).tiny).all() for array in held)


@pytest.mark.parametrize("kernels", [True, False])
@pytest.mark.usefixtures("without_jit", "one_thread")
def test_products_that_all_make_together_are_counted(kernels):
    _, source, sites = emitted(LONG.replace("200", "620"))
    copy = clocked(source, sites, "clocked.py", kernels=kernels)
    copy.module.predict(copy.module.init(0), np.ones((3, 40)))
    functions = [site.function for caller, site in copy.sites if caller == "part_of_predict"]
    assert functions.count("gemm") == 2
    assert functions.count("gemm_by_all") == 1
    assert bench.kernels_of(sites)["predict"][1] == 3
    assert copy.clocks[1:, MULTIPLY_ADDS].sum() == 3 * (40 * 620 + 620 * 620 + 620 * 40)


@pytest.mark.usefixtures("without_jit")
def test_the_rounds_of_a_recurrence_are_counted():
    _, source, sites = emitted(RECURRENT)
    copy = clocked(source, sites, "clocked.py")
    model = gradc.compile_text(RECURRENT, dtype="float64")
    (asked, *_) = loads(model, graphs(RECURRENT).model, Asked(dims={"time": 5, "batch": 2}), targets=True)
    assert asked.arrays["x"].shape == (2, 5, 3)
    trained(copy.module, asked.arrays.values())
    assert {2 * 5, 2 * 4} <= set(copy.clocks[1:, CALLS].tolist())


def test_names_of_the_model_are_not_those_of_the_clock():
    text = "dim n\ninput _clocks[n]\nparam _lap ~ ones\n_mark = _lap * _clocks\nloss mean(_mark^2)\n"
    _, source, sites = emitted(text)
    assert "_clocks__" not in source
    copy = clocked(source, sites, "clocked.py")
    params = copy.module.init()
    assert np.isfinite(copy.module.train_step(params, copy.module.init_state(params), np.ones(3)))


def test_the_text_is_the_same_whether_sites_are_asked_for():
    stages, source, sites = emitted(NET)
    assert source == emit(module_spec(stages, NET, "float64"))
    assert set(sites) == {"differentiate", "update", "predict_entry", "evaluate_entry"}


# ------------------------------------------------------------------ kernels of an entry

MOST_KERNELS = {
    "karate": 15,
    "burgers": 45,
    "text_transformer": 20,
    "ring_gan": 20,
    "letters_hmm": 20,
    "digits_lstm": 14,
    "digits_cnn": 13,
}
"""Of a training step; of any other example 12."""


def kernels_in(source, entry):
    """The kernels that an entry calls, by its text."""
    functions = {node.name: node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}
    marks = {name: [ast.unparse(mark) for mark in node.decorator_list] for name, node in functions.items()}
    found, waiting = set(), [entry]
    while waiting:
        called = {node.id for node in ast.walk(functions[waiting.pop()]) if isinstance(node, ast.Name)}
        new = {name for name in called & set(functions) if marks[name] in (["kernel"], ["inlined"])} - found
        found |= new
        waiting += new
    shared = {"first_outside", *prelude_words(("team",), "float32")}
    return {name for name in found if marks[name] == ["kernel"]} - shared


@pytest.mark.parametrize("path", sorted((ROOT / "generated").glob("*.py")), ids=lambda path: path.stem)
def test_a_step_is_made_of_few_kernels(path):
    assert len(kernels_in(path.read_text("utf-8"), "step_entry")) <= MOST_KERNELS.get(path.stem, 12)


@pytest.mark.parametrize("text", [NET, LONG], ids=["net", "long"])
def test_kernels_are_counted_as_they_stand_in_the_text(text):
    _, source, sites = emitted(text)
    counts = bench.kernels_of(sites)
    assert set(counts) == {"step", "predict", "evaluate"}
    for entry, (kernels, products) in counts.items():
        assert kernels == len(kernels_in(source, f"{entry}_entry"))
        assert products > 0


# ------------------------------------------------------------------ what it is run on


def test_data_are_drawn_within_their_ranges():
    model = gradc.compile_text(NET)
    normal, uniform = loads(model, graphs(NET).model, Asked(batch=50), targets=True)
    assert {name: array.shape for name, array in normal.arrays.items()} == {"x": (50, 6), "ids": (50,), "y": (50,)}
    assert 0 <= normal.arrays["ids"].min() <= normal.arrays["ids"].max() < 4
    assert normal.arrays["x"].dtype == np.float32
    assert normal.arrays["x"].min() < 0 < uniform.arrays["x"].min()


def test_predictions_are_given_inputs_alone():
    model = gradc.compile_text(NET)
    load, *_ = loads(model, graphs(NET).model, Asked(), targets=False)
    assert {name: len(array) for name, array in load.arrays.items()} == {"x": 32, "ids": 32}


SECOND = "dim n\ninput x[n]\nparam a ~ ones\nloss a * x[1]\n"


@pytest.mark.parametrize(
    ("text", "dims", "message"),
    [
        (NET, {"bath": 3}, "has no free dim bath; did you mean batch?"),
        (SILENT, {"time": 3}, "its free dims: n"),
        ("input x[3]\nparam a ~ ones\nloss sum(a * x)\n", {"n": 3}, "it has no free dim"),
        (SECOND, {"n": 1}, "with n = 1: x[1] reads outside of x"),
    ],
)
def test_sizes_that_do_not_fit_are_told(text, dims, message):
    with pytest.raises(GradcError) as caught:
        sizes(graphs(text).model, dims)
    assert all(part in str(caught.value) for part in message.split("; "))


# ------------------------------------------------------------------ the command


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Runs `gradc bench` in a folder with the models above."""
    monkeypatch.chdir(tmp_path)
    texts = {"net": NET, "silent": SILENT, "whole": "input x[3]\nparam a ~ ones\nloss sum(a * x)\n"}
    texts["other"] = NET.replace("model net", "model other")
    texts |= {"logs": SILENT.replace("(a * x)^2", "a * log(x)"), "never": SILENT.replace("(a * x)^2", "a * log(-x^2)")}
    for name, text in texts.items():
        Path(f"{name}.grad").write_text(text)
    np.savez("net.npz", x=np.ones((8, 6)), ids=np.arange(8) % 4, y=np.arange(8) % 3)

    def run(*arguments):
        result = CliRunner().invoke(program, ["bench", *arguments, "--seconds", "0"])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return run


def test_a_profile_names_kernels_and_lines(command):
    result = command("net.grad", "--data", "net.npz", "--batch", "4", "--profile")
    assert result.exit_code == 0, result.output
    head, figures, calls, lines = result.output.split("\n\n")
    assert head == "net: a training step, float32, batch = 4; data: net.npz"
    assert all(word in figures for word in ("1 thread", "products alone", "GFLOP/s", "step: ", "moments", "work space"))
    assert "d_h.dense.weight[i, o] = sum[b](x[b, i]*d_h.dense[b, o])" in calls
    assert {"gemm", "adam", "clip"} <= set(re.findall(r"\w+", calls))
    assert {line.split()[3] for line in lines.splitlines()[2:]} == {f"net.grad:{n}" for n in (6, 7, 9, 10)}
    assert "net.grad:7   logits = dense(h, 3)" in lines


@pytest.mark.usefixtures("without_jit")
def test_predictions_are_timed(command):
    result = command("other.grad", "--predict", "--batch", "2")
    assert "other: a prediction, float32, batch = 2; data: drawn at random" in result.output


@pytest.mark.usefixtures("without_jit")
def test_where_normal_numbers_give_no_loss_others_are_drawn(command):
    assert command("logs.grad").exit_code == 0
    result = command("never.grad")
    assert result.exit_code == 1
    assert "the loss of step 1 is nan" in result.stderr
    assert "give data on which it is finite: --data FILE" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["silent.grad", "--predict"], 1, "silent.grad predicts nothing"),
        (["whole.grad", "--batch", "3"], 1, "whole.grad takes no batches"),
        (["net.grad", "--dim", "bacht=3"], 1, "did you mean batch?"),
        (["net.grad", "--data", "absent.npz"], 1, "there is no data file absent.npz"),
        (["absent.grad"], 1, "there is no file absent.grad"),
        (["net.grad", "--dim", "batch=3", "--data", "net.npz"], 2, "--dim is for data drawn at random"),
        (["net.grad", "--dim", "batch"], 2, "'batch' is not a dim and its size, such as time=64"),
        (["net.grad", "--dim", "batch=0"], 2, "'0' is not a whole number of at least 1"),
        (["net.grad", "net.npz"], 2, "data is given by an option, --data net.npz"),
    ],
)
@pytest.mark.usefixtures("without_jit")
def test_mistakes_are_told(command, arguments, code, message):
    result = command(*arguments)
    assert result.exit_code == code, result.output
    assert message in result.stderr


@pytest.mark.usefixtures("without_jit")
def test_what_the_environment_says_of_threads_must_be_a_number(command, monkeypatch):
    monkeypatch.setenv("GRADC_THREADS", "many")
    result = command("silent.grad")
    assert result.exit_code == 1
    assert "GRADC_THREADS is a whole number of at least 1, not 'many'" in result.stderr


# ------------------------------------------------------------------ the report


def report(**changed):
    figures = {
        "name": "m", "dtype": "float32", "what": "a training step", "source": "m.npz", "dims": {"batch": 2},
        "steps": (Steps(2, 2e-3, 1e-3), Steps(1, 4e-3, 2e-3)), "products": 1e-3, "multiply_adds": 10**6,
        "kernels": {"step": (1, 2)}, "memory": Memory(400, 4_000, 4_000_000, 4_000_000_000, None), "sites": (),
        "lines": (), "file": "m.grad",
    }  # fmt: skip
    return Report(**{**figures, **changed})


def test_figures_have_units():
    text = str(report())
    assert "time, 2 threads     2 ms, quickest 1 ms" in text
    assert "its products alone  1 ms, 50% of the quickest in 1 thread" in text
    assert "rate                1 GFLOP/s in 2 threads, 0.5 GFLOP/s in 1 thread" in text
    assert "compiled            step: 1 kernel, 2 products" in text
    assert "parameters 400 bytes, gradients 4 kB, moments 4 MB, work space 4 GB" in text
    assert "resident" not in text
    assert "products alone" not in str(report(multiply_adds=0))


def test_calls_are_in_the_order_of_their_time_and_those_alike_and_the_small_ones_together():
    first, second, *others = pipeline.graphs(NET).gradient.equations
    small = [(f"o{n}", equation, 1e-7) for n, equation in enumerate(others)]
    times = [("a", first, 1e-3), ("b", second, 2e-3), ("b", second, 2e-3), *small]
    sites = tuple(Site(name, "f", (equation,), seconds, seconds, 1, 5) for name, equation, seconds in times)
    rows = report(sites=sites).by_call().rows
    assert [row[:5] for row in rows[:2]] == [
        ("4 ms", "80.0%", "2", "5e-06 GFLOP/s", "b"),
        ("1 ms", "20.0%", "1", "1e-05 GFLOP/s", "a"),
    ]
    assert "(2 alike)" in rows[0][-1]
    assert rows[-1][2:5] == (str(len(others)), "", "the others")
    assert len(rows) == 3


def test_a_terminal_gets_a_drawn_table(monkeypatch, capsys):
    monkeypatch.setattr(console, "is_terminal", lambda stream: True)
    console.show_table(Table("title", ("name", "number"), (("[red]a", "1"),), frozenset([1])))
    shown = capsys.readouterr().out
    assert "[red]a" in shown
    assert "─" in shown


def test_memory_is_counted_once_where_a_step_is_cut(monkeypatch):
    """What workers have in common, and what they hold of others, is one array."""
    stages, source, _ = emitted(LONG)
    module = load_plain(source)
    monkeypatch.setattr(module, "shards_of", lambda *_: 2)
    arrays = {"x": np.zeros((6, 40)), "y": np.zeros((6, 40))}
    work = bench.at_work(module, arrays, False)
    work.call()
    program = module_spec(stages, LONG, "float64").gradient
    assert program is not None
    memory = bench.memory_of(work, program, {"batch": 6}, 8)
    assert (memory.parameters, memory.gradients) == (8 * module.SIZE, 2 * 8 * module.SIZE)
    assert memory.moments == work.state.flat.nbytes
    assert memory.work == 2 * work.state.work[0][0].nbytes + sum(
        getattr(work.state, name).nbytes for name in ("losses", "board", "turns", "calls")
    )
