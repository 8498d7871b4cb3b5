"""The command line: what each command prints and writes, its exit codes, and that no mistake ends in a traceback."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import stand_in
from click.testing import CliRunner, Result
from test_training import Presses

import gradc
from gradc import cli, commands, console
from gradc.cli import program
from gradc.runtime import checkpoint, training

X, Y = stand_in.line_data()


@pytest.fixture(autouse=True)
def _stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stand_in.install(monkeypatch, tmp_path / "cache")
    monkeypatch.chdir(tmp_path)
    np.savez("xy.npz", x=X, y=Y)
    Path("m.grad").write_text('line\ndata "xy.npz"\n')


def gradc_(*arguments: object) -> Result:
    result = CliRunner().invoke(program, list(map(str, arguments)))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    return result


def fails(result: Result, *messages: str) -> None:
    assert result.exit_code == 1, result.output
    for message in messages:
        assert message in result.stderr


# ------------------------------------------------------------------ help, usage


@pytest.mark.parametrize("command", ["", *program.commands])
def test_help(command):
    result = gradc_(*command.split(), "--help")
    assert result.exit_code == 0
    assert "Usage: " in result.output
    assert "..." not in result.output.replace("[ARGS]...", "")


def test_version():
    assert gradc_("--version").output == f"gradc, version {gradc.__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["train"],
        ["train", "m.grad", "--epochs", "0"],
        ["train", "m.grad", "--batch", "many"],
        ["train", "m.grad", "--lr", "-1"],
        ["train", "m.grad", "--validation", "1"],
        ["train", "m.grad", "--dtype", "float16"],
        ["train", "m.grad", "--resume", "w.safetensors", "--seed", "1"],
        ["predict", "m.grad", "--data", "xy.npz"],
        ["predict", "m.grad", "--data", "xy.npz", "--weights", "w.safetensors", "--out", "p.csv"],
        ["inspect", "m.grad", "--stage", "nonsense"],
        ["derive", "m.grad"],
    ],
)
def test_a_wrong_command_line_is_exit_code_2(arguments):
    result = gradc_(*arguments)
    assert result.exit_code == 2
    assert "Error: " in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "m.grad", "--lr", "abc"], "'abc' is not a number of at least 0, such as 0.001"),
        (["train", "m.grad", "--epochs", "1.5"], "'1.5' is not a whole number of at least 1"),
        (["train", "m.grad", "--validation", "20"], "'20' is not a fraction from 0 to below 1"),
        (["train", "m.grad", "--seed", "x"], "'x' is not a whole number of at least 0"),
        (["train", "m.grad", "--epoch", "3"], "Did you mean '--epochs'?"),
        (["train", "m.grad", "xy.npz"], "data is given by an option, --data xy.npz"),
        (["m.grad"], "m.grad is no command: write gradc train m.grad"),
        (["trian", "m.grad"], "Did you mean 'train'?"),
    ],
)
def test_a_wrong_command_line_says_what_is_meant(arguments, message):
    result = gradc_(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr


# ------------------------------------------------------------------ the model file


@pytest.mark.parametrize("command", ["compile", "train", "check", "inspect"])
def test_a_model_that_is_wrong(command):
    Path("bad.grad").write_text("fine\nwrong \x1b[31m\n")
    result = gradc_(command, "bad.grad")
    if command in ("compile", "train"):
        fails(result, "bad.grad:2:1: error: this is wrong\n", "   2 | wrong  [31m\n     | ^^^^^\n", "= write right")
    assert "\x1b" not in result.output


def test_files_that_are_no_models(tmp_path):
    Path("latin.grad").write_bytes(b"\xff")
    fails(gradc_("train", "absent.grad"), "error: there is no file absent.grad")
    fails(gradc_("train", "."), "is a folder")
    fails(gradc_("inspect", "latin.grad"), "latin.grad:1:1: error: this file is not UTF-8")
    fails(gradc_("check", "mm.grad"), "did you mean m.grad?")
    Path("power_of_two.grad").write_text("loss 1")
    fails(gradc_("check", "other.grad"), "there are latin.grad, m.grad, power_of_two.grad")  # all end in .grad


# ------------------------------------------------------------------ compile, new


def test_compile_writes_the_module():
    result = gradc_("compile", "m.grad", "-o", "out/modules", "--dtype", "float64")
    assert result.exit_code == 0
    assert result.output.startswith("out/modules/m.py: <gradc model m: x[batch, 3]")
    assert "float64" in Path("out/modules/m.py").read_text()


def test_compile_writes_the_file_that_is_named():
    assert gradc_("compile", "m.grad", "-o", "out/line.py").output.startswith("out/line.py: <gradc model m: ")
    fails(gradc_("compile", "m.grad", "-o", "m.txt"), "there is no folder m.txt", "= -o names a folder or a .py file")
    for name in ("3d.py", "json.py", "class.py"):
        fails(gradc_("compile", "m.grad", "-o", name), "could not be imported", "-o my_m.py")
    assert sorted(path.name for path in Path("out").iterdir()) == ["line.py"]
    Path("v1.0").mkdir()
    assert gradc_("compile", "m.grad", "-o", "v1.0").output.startswith("v1.0/m.py: ")


def test_compile_overwrites_only_what_gradc_wrote():
    Path("m.py").write_text("my own work")
    fails(gradc_("compile", "m.grad"), "m.py is there already, and gradc did not write it")
    Path("m.py").write_text("Emitted by gradc 0.1")
    assert gradc_("compile", "m.grad").exit_code == 0
    Path("file").write_text("")
    fails(gradc_("compile", "m.grad", "-o", "file"), "file/m.py cannot be written")


def test_a_name_that_is_no_file_name():
    Path("n.grad").write_text("line\npython NAME = '../../evil'\n")
    assert gradc_("compile", "n.grad").output.startswith("n.py: ")


def test_new():
    result = gradc_("new", "flowers")
    assert result.exit_code == 0
    assert "model flowers" in Path("flowers.grad").read_text()
    assert "NAME" not in Path("flowers.grad").read_text()
    fails(gradc_("new", "flowers.grad"), "flowers.grad is there already")
    fails(gradc_("new", "two words"), "'two words' is no name")
    fails(gradc_("new", "absent/flowers"), "cannot be written")


def test_new_writes_no_file_that_does_not_compile(tmp_path, monkeypatch):
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    fails(gradc_("new", "loss"), "`loss` is a word of the language and no name")
    assert not Path("loss.grad").exists()


# ------------------------------------------------------------------ train


def test_train_needs_no_flags():
    result = gradc_("train", "m.grad")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "<gradc model m: x[batch, 3], y[batch] -> p, loss, mae; 4 parameters, float32>; 41 examples"
    assert [line.split(":")[0] for line in lines[1:-1]] == [f"epoch {number}/4" for number in range(1, 5)]
    assert lines[-1].startswith("validation: loss ")
    assert ", mae " in lines[-1]
    assert "steps/s; weights not saved (--out FILE saves them)" in lines[-1]
    assert not list(Path().glob("*.safetensors"))


def test_train_takes_what_is_given():
    np.savetxt("xy.csv", np.column_stack([X, Y]), delimiter=",", header="a,b,c,y", comments="")
    options = "--epochs 2 --batch 4 --lr 0.01 --validation 0 --seed 3 --dtype float64 --data xy.csv --out w.safetensors"
    result = gradc_("train", "m.grad", *options.split())
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1].startswith("on all examples: loss ")
    assert result.stdout.endswith("weights saved to w.safetensors\n")
    model = gradc.compile("m.grad", "float64", lr=0.01, seed=3)
    model.fit(
        np.loadtxt("xy.csv", delimiter=",", skiprows=1)[:, :3],
        Y.astype("float64"),
        epochs=2,
        batch_size=4,
        validation=0,
        seed=3,
    )
    other = gradc.compile("m.grad", "float64")
    other.load("w.safetensors")
    np.testing.assert_allclose(other.params.flat, model.params.flat, rtol=1e-7)
    assert (other.state.step, other.state.seed) == (22, 3)


def test_train_starts_from_a_part_of_a_file():
    safetensors.numpy.save_file({"w": np.ones((3, 1)), "old": np.ones(2)}, "start.safetensors")
    options = ["--load", "start.safetensors", "--epochs", 1, "--lr", 0, "--out", "w.safetensors"]
    fails(gradc_("train", "m.grad", *options), "parameter b is missing", "old is no parameter of the model")
    result = gradc_("train", "m.grad", *options, "--missing", "init", "--ignore", "o*")
    assert result.stdout.startswith("from start.safetensors: w; first values: b\n"), result.output
    result = gradc_("train", "m.grad", *options, "--only", "w")
    assert result.stdout.startswith("from start.safetensors: w; first values: b\n"), result.output
    saved = safetensors.numpy.load_file("w.safetensors")
    np.testing.assert_array_equal(saved["w"], 1)
    np.testing.assert_array_equal(saved["b"], gradc.compile("m.grad").params["b"])
    for wrong in (["--only", "w"], ["--missing", "init"], ["--load", "a", "--resume", "b"]):
        assert gradc_("train", "m.grad", *wrong).exit_code == 2


def test_resumed_training_equals_training_that_never_stopped():
    gradc_("train", "m.grad", "--epochs", 5, "--batch", 7, "--seed", 2, "--out", "whole.safetensors")
    gradc_("train", "m.grad", "--epochs", 2, "--batch", 7, "--seed", 2, "--out", "part.safetensors")
    result = gradc_("train", "m.grad", "--resume", "part.safetensors", "--epochs", 5, "--out", "rest.safetensors")
    assert result.stdout.splitlines()[1].startswith("epoch 3/5: ")
    assert Path("rest.safetensors").read_bytes() == Path("whole.safetensors").read_bytes()
    fails(gradc_("train", "m.grad", "--resume", "rest.safetensors", "--epochs", 5), "has 5 epochs behind it, and 5 are")


def test_resume_says_what_is_otherwise():
    np.savez("few.npz", x=X[:9], y=Y[:9])
    np.savez("other.npz", x=X, y=Y + 1)
    np.savetxt("same.csv", np.column_stack([X, Y]), delimiter=",", header="a,b,c,y", comments="")
    gradc_("train", "m.grad", "--out", "w.safetensors")
    on = ["train", "m.grad", "--resume", "w.safetensors", "--epochs", 5]
    for options in ([], ["--data", "same.csv"], ["--batch", 8], ["--validation", 0.25], ["--lr", 0.001]):
        assert gradc_(*on, *options).stderr == ""
    for options, told in {
        ("--data", "few.npz"): "other data (6 examples to train on, before: 30)",
        ("--data", "other.npz"): "other data (30 examples to train on, with other numbers in them)",
        ("--batch", 7): "batch 7 (before: 8)",
        ("--batch", 7, "--validation", 0.5): "validation 0.5 (before: 0.25); batch 7 (before: 8)",
    }.items():
        result = gradc_(*on, *options)
        assert result.exit_code == 0, result.output
        beginning = "warning: w.safetensors was trained otherwise, so this is not the training that was stopped: "
        assert result.stderr.startswith(f"{beginning}{told}\n     = ")
        assert ("may have been trained on before" in result.stderr) == (options != ("--batch", 7))


def test_resume_keeps_the_learning_rate_unless_another_is_given():
    gradc_("train", "m.grad", "--lr", 0.01, "--epochs", 5, "--out", "whole.safetensors")
    gradc_("train", "m.grad", "--lr", 0.01, "--epochs", 2, "--out", "part.safetensors")
    result = gradc_("train", "m.grad", "--resume", "part.safetensors", "--epochs", 5, "--out", "rest.safetensors")
    assert result.stderr == ""
    assert Path("rest.safetensors").read_bytes() == Path("whole.safetensors").read_bytes()
    result = gradc_("train", "m.grad", "--resume", "part.safetensors", "--epochs", 3, "--lr", 0.02)
    assert result.stdout.startswith("from here on lr 0.02; before: 0.01\n")
    gradc_("train", "m.grad", "--epochs", 1, "--out", "part.safetensors")
    result = gradc_("train", "m.grad", "--resume", "part.safetensors", "--epochs", 3, "--lr", 0.02)
    assert result.stdout.startswith("from here on lr 0.02; before: that of the model\n")


def test_resume_refuses_another_model():
    gradc_("train", "m.grad", "--out", "w.safetensors")
    Path("m.grad").write_text('changed\ndata "xy.npz"\n')
    fails(gradc_("train", "m.grad", "--resume", "w.safetensors"), "is of another model text")
    fails(gradc_("train", "m.grad", "--resume", "absent"), "there is no file absent")


def test_ctrl_c_saves_and_says_how_to_go_on(monkeypatch):
    gradc_("train", "m.grad", "--out", "whole.safetensors")
    Path("m.safetensors").write_text("something else")
    with monkeypatch.context() as patch:
        patch.setattr(commands, "_progress", lambda: Presses(6))
        result = gradc_("train", "m.grad")
    assert result.exit_code == 130
    # how many steps a call takes is a matter of time
    assert re.search(r"^interrupted after step \d of epoch 2; ", result.stdout, flags=re.MULTILINE)
    assert result.stdout.endswith("to go on: gradc train m.grad --resume m_2.safetensors\n")
    assert Path("m.safetensors").read_text() == "something else"
    assert gradc_("train", "m.grad", "--resume", "m_2.safetensors", "--out", "rest.safetensors").exit_code == 0
    assert Path("rest.safetensors").read_bytes() == Path("whole.safetensors").read_bytes()


def test_the_command_to_go_on_is_the_whole_command(monkeypatch):
    np.savez("other data.npz", x=X, y=Y + 1)
    options = ["--epochs", 9, "--data", "other data.npz", "--dtype", "float64", "--seed", 2, "--lr", 0.01, "--batch", 7]
    gradc_("train", "m.grad", *options, "--out", "whole.safetensors")
    with monkeypatch.context() as patch:
        patch.setattr(commands, "_progress", lambda: Presses(31))
        result = gradc_("train", "m.grad", *options, "--out", "part.safetensors")
    assert result.exit_code == 130
    words = shlex.split(result.stdout.splitlines()[-1].removeprefix("to go on: gradc "))
    result = gradc_(*words)
    assert (result.exit_code, result.stderr) == (0, "")
    assert Path("part.safetensors").read_bytes() == Path("whole.safetensors").read_bytes()


def test_ctrl_c_before_training(monkeypatch):
    def press(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "fit", press)
    result = gradc_("train", "m.grad", "--out", "w.safetensors")
    assert (result.exit_code, result.stderr) == (130, "interrupted\n")
    assert not Path("w.safetensors").exists()


@pytest.mark.parametrize("said", ["many", "2.5", "0", "-1"])
def test_a_number_of_threads_that_is_none(said, monkeypatch):
    monkeypatch.setenv("GRADC_THREADS", said)
    fails(gradc_("train", "m.grad"), f"error: GRADC_THREADS is a whole number of at least 1, not '{said}'\n     = uns")


def test_data_that_is_wrong():
    Path("n.grad").write_text("line\n")
    fails(gradc_("train", "n.grad"), "n.grad names no data to train on", "= give --data FILE, or write a line")
    fails(gradc_("train", "n.grad", "--data", "absent.npz"), "there is no data file absent.npz")
    np.savez("nan.npz", x=X * np.nan, y=Y)
    fails(gradc_("train", "n.grad", "--data", "nan.npz"), "x[0, 0] is nan (123 such places in all)")
    Path("n.grad").write_text("dim batch\ninput x[batch, 3]\ntarget y[batch]\n")
    np.savez("few.npz", x=X, y=Y[:9], z=Y)
    shown = "     --> n.grad\n   2 | input x[batch, 3]\n     |       ^^^^^^^^^^^\n   3 | target y[batch]\n"
    fails(gradc_("train", "n.grad", "--data", "few.npz"), f"error: few.npz: dim batch is 41 in x and 9 in y\n{shown}")
    np.savez("name.npz", x=X, z=Y)
    told = "name.npz: there is no array for target y[batch]; it has x, z", "   3 | target y[batch]"
    fails(gradc_("train", "n.grad", "--data", "name.npz"), *told, "= is it z? Save it under the name y")
    fails(gradc_("train", "n.grad", "--data", "nan.npy"), "there is no data file nan.npy", "did you mean nan.npz?")
    Path("n.grad").write_text('data "../xy.npz"\n')
    fails(gradc_("train", "n.grad"), 'data "../xy.npz" leaves the folder of n.grad')


def test_a_place_that_cannot_be_saved_to_is_told_before_training():
    result = gradc_("train", "m.grad", "--out", "absent/w.safetensors")
    fails(result, "absent/w.safetensors cannot be written: there is no folder absent")
    assert result.stdout == ""


def test_what_the_module_refuses_is_told_without_a_traceback():
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fails(gradc_("train", "m.grad", "--lr", "1e30"), "error: the loss of step 3 is", "= a smaller learning rate")


def test_weights_that_are_nan_behind_a_loss_that_is_finite_are_told_without_a_traceback():
    with Path("m.grad").open("a") as text:
        text.write("python counted = lambda state: setattr(state, 'step', state.step + 1)\n")
        text.write("python lost = lambda params: params.__setitem__('w', float('nan'))\n")
        text.write("python train_step = lambda params, state, x, y: (counted(state), lost(params), 1.0)[2]\n")
    fails(gradc_("train", "m.grad", "--epochs", 2), "w is NaN (3 numbers of w), though the loss is finite",
          "     = a root, a logarithm or a quotient at 0", "     = a smaller learning rate")  # fmt: skip


def test_what_was_reached_before_a_loss_that_is_not_finite_is_saved():
    with Path("m.grad").open("a") as text:
        text.write("python plain, grown = train_step, lambda y, step: y if step < 219 else y * float('inf')\n")
        text.write("python train_step = lambda params, state, x, y: plain(params, state, x, grown(y, state.step))\n")
    with np.errstate(all="ignore"):
        result = gradc_("train", "m.grad", "--epochs", 100, "--out", "w.safetensors")
    fails(result, "error: the loss of step 220 is inf\n     = the parameters are again as they were after step 200\n",
          "     = what was reached then is saved to w.safetensors\n     = a smaller learning rate")  # fmt: skip
    gradc_("train", "m.grad", "--epochs", 50, "--out", "whole.safetensors")
    assert Path("w.safetensors").read_bytes() == Path("whole.safetensors").read_bytes()


def test_an_error_of_gradc_itself_is_not_told_as_the_users(monkeypatch):
    model = gradc.compile("m.grad")
    with pytest.raises(ValueError, match="ours"), commands.told_by_module(model):
        raise ValueError("ours")


def test_warnings_are_told_as_diagnostics(monkeypatch):
    emit = stand_in.emit
    monkeypatch.setattr(stand_in, "emit", lambda *text, **named: f"# Emitted by gradc\n{emit(*text, **named)}")
    Path("w.grad").write_text('warn of it\ndata "xy.npz"\n')
    for _ in range(2):
        result = gradc_("compile", "w.grad", "-o", "out")
        assert result.stderr == "w.grad:1: warning: warn of it\n"
    gradc_("train", "m.grad", "--out", "w.safetensors")
    result = gradc_("predict", "w.grad", "--weights", "w.safetensors", "--data", "xy.npz", "--out", "p.npz")
    assert "\nwarning: w.safetensors holds weights of another model text" in result.stderr


def test_other_warnings_stay_what_they_are(monkeypatch):
    Path("d.grad").write_text("deprecated\n")
    with pytest.warns(DeprecationWarning, match="old"):
        gradc_("compile", "d.grad")


# ------------------------------------------------------------------ predict


@pytest.fixture
def weights() -> Path:
    gradc_("train", "m.grad", "--out", "w.safetensors")
    return Path("w.safetensors")


def expected() -> np.ndarray:
    model = gradc.compile("m.grad")
    model.load("w.safetensors")
    return model.predict(X)


def test_predict_writes_a_table(weights):
    np.savetxt("new.csv", X, delimiter=",", header="a,b,c", comments="")
    result = gradc_("predict", "m.grad", "--weights", weights, "--data", "new.csv")
    lines = result.stdout.splitlines()
    assert lines[0] == "p"
    np.testing.assert_array_equal(np.array(lines[1:], "float32"), expected())


def test_predict_hands_the_seed_on(weights):
    Path("m.grad").write_text("line\npython predict = lambda params, x, seed: x[:, 0] * 0 + seed\n")
    result = gradc_("predict", "m.grad", "--weights", weights, "--data", "xy.npz", "--seed", "7")
    assert set(result.stdout.split()[1:]) == {"7"}


def test_predict_writes_an_npz(weights):
    result = gradc_("predict", "m.grad", "--weights", weights, "--data", "xy.npz", "--out", "p.npz")
    assert result.stdout == "p.npz: p float32[41]\n"
    with np.load("p.npz") as archive:
        np.testing.assert_array_equal(archive["p"], expected())


def test_predictions_do_not_replace_their_data(weights):
    before = Path("xy.npz").read_bytes()
    options = ["--weights", weights, "--data", "xy.npz", "--out", "../" + Path.cwd().name + "/xy.npz"]
    fails(gradc_("predict", "m.grad", *options), "xy.npz holds the data", "= --out names another file")
    assert Path("xy.npz").read_bytes() == before


def test_predict_takes_weights_of_another_program(weights):
    there = {"line.weight": np.float64([[1, 2, 3]]), "line.bias": np.float16([4]), "more": np.int64([5])}
    safetensors.numpy.save_file(there, "torch.safetensors")
    Path("names.toml").write_text('w = "line.weight: o i -> i o"\nb = "line.bias"\n')
    options = ["--weights", "torch.safetensors", "--table", "names.toml", "--data", "xy.npz"]
    fails(gradc_("predict", "m.grad", *options), "more is no parameter of the model")
    result = gradc_("predict", "m.grad", *options, "--ignore", "mo*")
    assert result.exit_code == 0, result.output
    np.testing.assert_allclose(np.array(result.stdout.split()[1:], float), X @ [1, 2, 3] + 4, rtol=1e-5)


def test_a_table_of_several_predictions(weights):
    several = "python predict = lambda params, x, seed: {'a': x[:, :2], 'n': (x[:, 0] > 0).astype('int64')}"
    Path("m.grad").write_text(f'line\ndata "xy.npz"\n{several}\n')
    result = gradc_("predict", "m.grad", "--weights", weights, "--data", "xy.npz")
    lines = result.stdout.splitlines()
    assert lines[0] == "a_0,a_1,n"
    assert lines[1].split(",")[2] == str(int(X[0, 0] > 0))


@pytest.mark.parametrize("value", ["x.sum()", "{'a': x, 'b': x[:3]}", "{'a': x, 'b': x.sum()}"])
def test_predictions_that_are_no_table(weights, value):
    Path("m.grad").write_text(f"line\npython predict = lambda params, x, seed: {value}\n")
    result = gradc_("predict", "m.grad", "--weights", weights, "--data", "xy.npz")
    fails(result, "the predictions are not all one row for each example", "give --out FILE.npz")


# ------------------------------------------------------------------ looking at a model


def test_check():
    assert gradc_("check", "m.grad").exit_code == 0
    Path("m.grad").write_text("planted")
    result = gradc_("check", "m.grad")
    assert (result.exit_code, result.stdout) == (1, "w  largest difference 1.0\n")


def test_inspect():
    assert gradc_("inspect", "m.grad").stdout == '# python of None in float32\nline\ndata "xy.npz"\n'
    result = gradc_("inspect", "m.grad", "--stage", "graph", "--of", "w", "--dtype", "float64")
    assert result.stdout.startswith("# graph of w in float64\n")


def test_derive():
    assert gradc_("derive", "m.grad", "--of", "w").stdout == "∂loss/∂w\n"
    assert gradc_("derive", "m.grad", "--of", "w", "--latex").stdout == "\\partial w\n"


# ------------------------------------------------------------------ colours


def test_a_terminal_gets_colours_and_nothing_from_the_model_does(monkeypatch, capsys):
    monkeypatch.setattr(console, "is_terminal", lambda stream: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    console.tell(
        "m.grad:2:1: error: [red]no[/red] \x1b[5m\x07\n   2 | a [bold]b\n     | ^ here\n     --> b.grad\n     = mend it"
    )
    told = capsys.readouterr().err
    assert "\x1b[1;31merror\x1b[0m" in told
    assert "[red]no[/red]  [5m" in told
    assert "a [bold]b" in told
    assert "\x07" not in told
    console.tell("warning: careful")
    assert "\x1b[1;33mwarning\x1b[0m" in capsys.readouterr().err
    console.show_code("def f(x):\n    return x", "python")
    assert "\x1b[" in capsys.readouterr().out
    result = gradc_("train", "m.grad")
    assert "epoch 4/4" in result.stdout


# ------------------------------------------------------------------ processes

RUN = "import sys, stand_in; sys.modules['gradc.pipeline'] = stand_in; from gradc.cli import main; main()"


def start(*arguments: str, **options: object) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "PYTHONUNBUFFERED": "1"}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options
    return subprocess.Popen([sys.executable, "-c", RUN, *arguments], env=environment, **streams)


def test_a_process_returns_the_exit_code():
    good, bad, wrong = start("train", "m.grad"), start("train", "absent.grad"), start("train")
    assert [process.communicate()[1].count("Traceback") for process in (good, bad, wrong)] == [0, 0, 0]
    assert [process.returncode for process in (good, bad, wrong)] == [0, 1, 2]


def test_a_process_that_is_interrupted_saves():
    process = start("train", "m.grad", "--epochs", "1000000", "--out", "w.safetensors")
    assert process.stdout is not None
    while not process.stdout.readline().startswith("<gradc model"):
        pass
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert (process.returncode, err) == (130, "")
    assert out.endswith("to go on: gradc train m.grad --resume w.safetensors --epochs 1000000 --out w.safetensors\n")
    model = gradc.compile("m.grad")
    checkpoint.resume(Path("w.safetensors"), model.session)
    assert model.state.step > 0


def test_a_reader_that_goes_away():
    np.savez("many.npz", x=np.ones((100_000, 3)))
    gradc_("train", "m.grad", "--out", "w.safetensors")
    process = start("predict", "m.grad", "--weights", "w.safetensors", "--data", "many.npz")
    assert process.stdout is not None
    assert process.stdout.readline() == "p\n"
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait() != 0


def test_help_imports_little():
    script = (
        "import sys; from gradc.cli import main; sys.argv = ['gradc', '--help']\ntry: main()\nfinally: "
        "print(sorted({'numpy', 'rich', 'sympy', 'numba'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[]\n")


def test_ctrl_c_where_no_command_runs_yet(monkeypatch):
    def press() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "program", press)
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 130


def test_ctrl_c_that_an_import_hides(monkeypatch, capsys):
    def imports() -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise ImportError("numba._devicearray failed to import") from None

    monkeypatch.setattr(cli, "program", imports)
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert (caught.value.code, capsys.readouterr().err) == (130, "interrupted\n")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    def fails_by_itself() -> None:
        raise ImportError("numba is broken")

    monkeypatch.setattr(cli, "program", fails_by_itself)
    with pytest.raises(ImportError, match="numba is broken"):
        cli.main()


def test_python_m_gradc():
    done = subprocess.run([sys.executable, "-m", "gradc", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("gradc, version ")
