"""Weights from files of other models and of PyTorch: what is chosen, how axes lie, and everything that does not fit.

tests/known_answers/pytorch.py made the file and what PyTorch computes with it; these tests need no torch.
"""

import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import stand_in
from test_training import X, Y, model, same

import gradc
from gradc import GradcError
from gradc.runtime import checkpoint, tensors, weights
from gradc.runtime.rearrange import parse, rearranged
from gradc.runtime.weights import Choice

HERE = Path(__file__).parent
PYTORCH = HERE / "known_answers" / "pytorch.safetensors"
DOCUMENT = (HERE.parent / "docs" / "weights.md").read_text(encoding="utf-8")


def block(comment: str) -> str:
    found = re.search(rf"<!-- {comment} .*? -->\n```\w+\n(.*?)```", DOCUMENT, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> gradc.Model:
    stand_in.install(monkeypatch, tmp_path / "cache")
    return model(seed=3)


def write(path: Path, **arrays: object) -> Path:
    safetensors.numpy.save_file({name: np.asarray(array) for name, array in arrays.items()}, path)
    return path


def told(act) -> list[str]:
    """What an error says, without the file's name."""
    with pytest.raises(GradcError) as caught:
        act()
    (only,) = caught.value.diagnostics
    assert "docs/weights.md" in str(only.help)
    head, *lines = only.message.split("\n     - ")
    assert head.endswith(".safetensors does not fit the model:")
    return lines


# ------------------------------------------------------------------ PyTorch


@pytest.mark.usefixtures("without_jit")
def test_the_document_s_table_loads_what_pytorch_saved(tmp_path):
    net = gradc.compile_text(block("model of"), "net", dtype="float64")
    (tmp_path / "names.toml").write_text(block("table of"), encoding="utf-8")
    net.load(PYTORCH, table=tmp_path / "names.toml")
    with np.load(HERE / "known_answers" / "pytorch.npz") as answer:
        np.testing.assert_allclose(net.predict(answer["ids"]), answer["out"], rtol=1e-12, atol=1e-12)
    single = gradc.compile_text(block("model of"), "net", dtype="float32")
    single.load(PYTORCH, table=tomllib.loads(block("table of")))
    np.testing.assert_array_equal(single.params.flat, net.params.flat.astype("float32"))


def test_what_the_table_leaves_out_or_has_too_much():
    net = gradc.compile_text(block("model of"), "net", dtype="float64")
    before = net.params.flat.copy()
    table = tomllib.loads(block("table of"))
    del table["embed"], table["gated"]["bias"]
    table |= {"logits": {"weight": "head.weight"}, "head": {"bias": "head.bias"}}
    table["plain"]["bias"] = ["rnn.bias_ih_l0", "rnn.bias_hh_l1"]
    assert told(lambda: net.load(PYTORCH, table=table)) == [
        f"the table has head.bias, which is no parameter of the model; it has {', '.join(net.params)}",
        "parameter gated.bias is missing",
        "parameter plain.bias is missing: the file has no rnn.bias_hh_l1",
        "parameter logits.weight is [2, 4] in the file and [4, 2] in the model",
        "parameter logits.bias is missing",
        "gru.bias_ih_l0 is no parameter of the model",
        "head.bias is no parameter of the model",
        "rnn.bias_hh_l0 is no parameter of the model",
    ]
    np.testing.assert_array_equal(net.params.flat, before)


def test_entries_that_cannot_be_read_hide_nothing(line, tmp_path):
    before = line.params.flat.copy()
    file = write(tmp_path / "f.safetensors", weight=np.ones((3, 1)), bias=np.ones(2), other=np.ones(2))
    table = {"w": ["weight: o i", "weight: o (i -> i o"], "b": "bias", "c": 3}
    assert told(lambda: line.load(file, table=table)) == [
        "the table's entry for w is 'weight: o i', where there is no ->",
        "the table's entry for w is 'weight: o (i -> i o', where 'o (i' is no list of axes",
        "the table's entry for c is 3, and not a text or a list of texts",
        "the table has c, which is no parameter of the model; it has w, b",
        "parameter b is [2] in the file and [1] in the model",
        "other is no parameter of the model",
    ]
    with pytest.raises(GradcError, match=re.escape('an entry of the table is written as "fc.weight"')):
        line.load(file, table={"w": "weight: o i"})
    np.testing.assert_array_equal(line.params.flat, before)


# ------------------------------------------------------------------ a part of a file


def test_only_what_fits_is_loaded_and_training_starts_anew(line, tmp_path):
    line.fit(X, Y, epochs=2)
    bias = line.params["b"].copy()
    file = write(tmp_path / "f.safetensors", w=np.ones((3, 1)), old_head=np.ones(7))
    line.load(file, only="w")
    np.testing.assert_array_equal(line.params["w"], 1)
    np.testing.assert_array_equal(line.params["b"], bias)
    assert (line.state.step, line.state.seed, line.session.position.epoch) == (0, 3, 0)
    assert not line.state.flat.any()


def test_a_part_of_a_file_of_the_same_model(line, tmp_path):
    line.fit(X, Y, epochs=2)
    line.save(tmp_path / "f.safetensors")
    other = model(seed=5)
    first = other.params["b"].copy()
    assert checkpoint.load(tmp_path / "f.safetensors", other.session, Choice(only=("w",))) == ["w"]
    np.testing.assert_array_equal(other.params["w"], line.params["w"])
    np.testing.assert_array_equal(other.params["b"], first)
    assert other.state.step == 0
    # where nothing is left out, it is all of it
    whole = model()
    whole.load(tmp_path / "f.safetensors", missing="init")
    same(whole, line)


def test_what_is_missing_gets_its_first_values(line, tmp_path):
    first = line.params["b"].copy()
    line.fit(X, Y, epochs=1)
    file = write(tmp_path / "f.safetensors", w=np.ones((3, 1)))
    assert told(lambda: line.load(file)) == ["parameter b is missing"]
    line.load(file, missing="init")
    np.testing.assert_array_equal(line.params["b"], first)
    np.testing.assert_array_equal(line.params["w"], 1)
    # what the table names is there, or the table is wrong
    assert told(lambda: line.load(file, missing="init", table={"b": "bias"})) == [
        "parameter b is missing: the file has no bias",
    ]


def test_what_is_left_over(line, tmp_path):
    file = write(tmp_path / "f.safetensors", w=np.ones((3, 1)), b=np.ones(1), num=np.int64(3), other=np.ones(2))
    assert told(lambda: line.load(file)) == ["num is no parameter of the model", "other is no parameter of the model"]
    assert told(lambda: line.load(file, ignore="n*")) == ["other is no parameter of the model"]
    assert told(lambda: line.load(file, only=["*", "o*"])) == [
        "no parameter fits o*; the model has w, b",
        "num is no parameter of the model",
        "other is no parameter of the model",
    ]
    line.load(file, ignore=["n*", "oth*"])
    np.testing.assert_array_equal(line.params.flat, 1)


def test_dtypes(line, tmp_path):
    header = b'{"b":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]},'
    header += b'"w":{"dtype":"F8_E5M2","shape":[3,1],"data_offsets":[2,5]}}'
    file = tmp_path / "f.safetensors"
    file.write_bytes(len(header).to_bytes(8, "little") + header + b"\x20\x40" + b"\0\0\0")  # 2.5 in bfloat16
    assert told(lambda: line.load(file)) == ["parameter w is F8_E5M2, which cannot be read"]
    line.load(file, only="b")
    assert line.params["b"] == 2.5
    write(file, w=np.full((3, 1), 1e300), b=np.ones(1, "int32"))
    assert told(lambda: line.load(file)) == [
        "parameter w holds 1e+300 at [0, 0], too large for float32",
        "parameter b is int32 in the file, and real in the model",
    ]
    write(file, w=np.ones((3, 1), "float16"), b=np.array([np.inf]))  # what is infinite there is so here
    line.load(file, missing="init")
    assert line.params["b"] == np.inf


def test_options_and_tables_that_are_none(line, tmp_path):
    file = write(tmp_path / "f.safetensors", w=np.ones((3, 1)), b=np.ones(1))
    (tmp_path / "t.toml").write_text("w = ")
    (tmp_path / "t.bin").write_bytes(b"PK\3\4 what torch.save writes")
    for act, message in {
        lambda: line.load(file, missing="ignore"): 'missing is "error" or "init", not \'ignore\'',
        lambda: line.load(file, only=3): "only is a pattern or a list of patterns, not 3",
        lambda: line.load(file, only=["w", None]): "only is a pattern or a list of patterns, not",
        lambda: line.load(file, ignore=True): "ignore is a pattern or a list of patterns, not True",
        lambda: line.load(file, table=["w"]): "table is a dict or the path of a TOML file, not",
        lambda: line.load(file, table=tmp_path / "t.toml"): "t.toml is not TOML",
        lambda: line.load(file, table=tmp_path / "absent.toml"): "absent.toml cannot be read: No such file",
        lambda: line.load(file, table={"w": 3}): "the table's entry for w is 3, and not a text or a list of texts",
        lambda: line.load(file, table={"w": []}): "the table's entry for w is [], and not a text or a list of texts",
        lambda: line.load(tmp_path / "t.bin"): "in PyTorch: safetensors.torch.save_file(model.state_dict(), ",
    }.items():
        with pytest.raises(GradcError, match=re.escape(message)):
            act()


# ------------------------------------------------------------------ how axes lie

ARRAY = np.arange(24.0).reshape(6, 4)
REARRANGED = {
    "t": ((6, 4), lambda a: a),
    "t: o i -> i o": ((4, 6), lambda a: a.T),
    "t: (g j) i -> i g j": ((4, 3, 2), lambda a: a.reshape(3, 2, 4).transpose(2, 0, 1)),
    "t: (g j) (h d) -> g h j d": ((3, 2, 2, 2), lambda a: a.reshape(3, 2, 2, 2).transpose(0, 2, 1, 3)),
    "t: a b -> (b a)": ((24,), lambda a: a.T.reshape(24)),
    "t: a b -> a 1 b 1": ((6, 1, 4, 1), lambda a: a.reshape(6, 1, 4, 1)),
    "t: (1 a) b -> (1 a 1) b": ((6, 4), lambda a: a),
    "t: (p o) i -> i o where p = 1": ((4, 2), lambda a: a[2:4].T),
    "t: (g j) i -> g j i where g = 0 2 1": ((3, 2, 4), lambda a: a.reshape(3, 2, 4)[[0, 2, 1]]),
    "t: (g j) i -> (g j) i where g = 2 0": ((4, 4), lambda a: a[[4, 5, 0, 1]]),
    "t: (a:3 c) b -> (c a) b": ((6, 4), lambda a: a.reshape(3, 2, 4).transpose(1, 0, 2).reshape(6, 4)),
    "t: a b -> a b where a = 5 _ 5 _, b = 3 0": ((4, 2), lambda a: a[5, [3, 0]] * np.array([[1], [0], [1], [0]])),
    "t: (p o) i -> i o where p = 2, i = 1 2": ((2, 2), lambda a: a[4:6, 1:3].T),
}
UNFIT = {
    "t": ((4, 6), "is [6, 4] in the file and [4, 6] in the model"),
    "t: o i k -> i o k": ((4, 6, 1), "is [6, 4] in the file, and 't: o i k -> i o k' says 3 axes"),
    "t: o i -> i o": ((24,), "is [24] in the model, and 't: o i -> i o' says 2 axes"),
    "t: o i -> o i": ((4, 6), "is [6, 4] in the file and [4, 6] in the model, which 't: o i -> o i' does not join"),
    "t: (g j) i -> i g j": ((4, 5, 2), "is [6, 4] in the file and [4, 5, 2] in the model, which "),
    "t: (a:4 c) b -> (c a) b": ((6, 4), "has an axis of 6 places, which is not so many times 4, as "),
    "t: a:3 b -> a b": ((6, 4), "is [6, 4] in the file and [6, 4] in the model, which "),
    "t: (g j) i -> (j g) i": ((6, 4), "could be cut in several ways: 't: (g j) i -> (j g) i' does not tell the size"),
    "t: (g j) i -> j i where g = 3": ((2, 4), "has 3 places of g, and 't: (g j) i -> j i where g = 3' takes place 3"),
    "t: (g j) i -> j i where g = 0": ((4, 4), "has an axis of 6 places, which is not so many times 4, as "),
    "t: a b -> a b where a = 0 1, b = 0 1 2": ((3, 2), "is [3, 2] in the model, and "),
    "t: a b -> b a where a = 0 1 2, b = 0 1": ((3, 2), "is [3, 2] in the model, and "),
}
MALFORMED = {
    "t: o i": "there is no ->",
    ": o i -> i o": "there is no name of a tensor before the colon",
    "t: o i -> i": "o stands on the left only",
    "t: o -> i o": "i stands on the right only",
    "t: o o -> o": "o stands twice on the left",
    "t: o i -> i o o": "o stands twice on the right",
    "t: o (i -> i o": "'o (i' is no list of axes",
    "t: o () -> o": "'o ()' is no list of axes",
    "t: o 2 -> o 2": "'o 2' is no list of axes",
    "t: o i -> o where i = x": "'i = x' does not say which places of an axis",
    "t: o i -> o i where p = 1 2": "there is no axis p to take places of",
}


@pytest.mark.parametrize("text", REARRANGED)
def test_axes_rearranged(text):
    shape, wanted = REARRANGED[text]
    np.testing.assert_array_equal(rearranged(parse(text), ARRAY, shape), wanted(ARRAY))


@pytest.mark.parametrize("text", UNFIT)
def test_axes_that_do_not_fit(text):
    shape, message = UNFIT[text]
    with pytest.raises(ValueError, match=re.escape(message)):
        rearranged(parse(text), ARRAY, shape)


@pytest.mark.parametrize("text", MALFORMED)
def test_entries_that_are_none(text):
    with pytest.raises(ValueError, match=re.escape(MALFORMED[text])):
        parse(text)


def test_parts_are_added_before_they_are_rounded(tmp_path):
    file = write(tmp_path / "f.safetensors", a=np.float32([1e-8, 0]), c=np.float32([1, 2]), d=np.float32([-1, 0]))
    chosen = weights.choice(None, "error", (), {"b": ["a", "c", "d"]})
    found = weights.chosen(chosen, tensors.read(file), {"b": (0, (2,))}, "float32")
    np.testing.assert_array_equal(found["b"], np.float32([1e-8, 2]))
