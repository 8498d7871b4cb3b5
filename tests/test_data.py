"""Data: what arrays are accepted, what is wrong with the others, and the files they come from."""

import re
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from gradc import GradcError
from gradc.runtime import data, files
from gradc.runtime.interface import ArraySpec, array_specs, input_specs

X = ArraySpec("x", "input", "real", ("batch", 3), None)
Y = ArraySpec("y", "target", "whole", ("batch",), 10)
MASK = ArraySpec("mask", "input", "bool", ("batch", "time"), None)
IMAGE = ArraySpec("image", "input", "real", ("batch", 2, 2), None)
CHANNELS = ArraySpec("image", "input", "real", ("batch", 8, 3), None)
SCALE = ArraySpec("scale", "input", "real", (), None)
NODE = ArraySpec("node", "input", "whole", ("edges",), "nodes")
FEATURES = ArraySpec("f", "input", "real", ("nodes", "2 * time"), None)
MODULE = SimpleNamespace(DTYPE="float32")


FILE = data.Source(Path("a.npz"))


def prepared(specs, source=data.CALL, **given):
    return data.prepare(MODULE, specs, given, source)


def read(path: Path, specs, others=()):
    return files.read(path, specs, others).arrays


def codes(error: GradcError) -> list[str]:
    return [diagnostic.code for diagnostic in error.diagnostics]


# ------------------------------------------------------------------ arrays


def test_arrays_that_fit_are_not_copied():
    x, y = np.ones((4, 3), "float32"), np.arange(4)
    ready = prepared((X, Y), y=y, x=x)
    assert list(ready) == ["x", "y"]
    assert np.shares_memory(ready["x"], x)
    assert np.shares_memory(ready["y"], y)


@pytest.mark.parametrize(
    ("spec", "value", "dtype"),
    [
        (X, np.ones((4, 6))[:, ::2], "float32"),
        (X, np.asfortranarray(np.ones((4, 3), ">f8")), "float32"),
        (X, [[1, 2, 3], [4, 5, 6]], "float32"),
        (Y, np.array([0, 9], "uint8"), "int64"),
        (MASK, np.array([[True, False]]), "bool"),
        (SCALE, 3, "float32"),
    ],
)
def test_arrays_are_converted(spec, value, dtype):
    ready = prepared((spec,), **{spec.name: value})[spec.name]
    assert ready.dtype == dtype
    assert ready.flags.c_contiguous
    np.testing.assert_array_equal(ready, np.asarray(value))


@pytest.mark.parametrize(
    ("spec", "value", "dtype"),
    [
        (Y, [0.0, 9.0], "int64"),
        (Y, np.array([True, False]), "int64"),
        (MASK, np.array([[1, 0]]), "bool"),
        (MASK, np.array([[1.0, 0.0]]), "bool"),
    ],
)
def test_whole_numbers_may_be_real_in_a_file_and_in_no_call(spec, value, dtype):
    """A .csv has nothing else. A call of `fit` takes what `train_step` takes."""
    ready = prepared((spec,), FILE, **{spec.name: value})[spec.name]
    assert ready.dtype == dtype
    np.testing.assert_array_equal(ready, np.asarray(value))
    with pytest.raises(GradcError, match=r"holds .* is given\n.*= if that is what they are: .*\.astype\("):
        prepared((spec,), **{spec.name: value})


@pytest.mark.parametrize(
    ("spec", "value", "message"),
    [
        (Y, [0.0, 1.5, 2.5], "a.npz: y[1] is 1.5, and y[batch] : int(10) holds whole numbers"),
        (Y, [0.0, np.nan], "y[1] is nan, and y[batch] : int(10) holds whole numbers"),
        (Y, [0.0, 1e30], "y[1] is 1e+30, and y[batch] : int(10) holds whole numbers"),
        (MASK, [[0, 2]], "a.npz: mask[0, 1] is 2, and mask holds true and false"),
    ],
)
def test_numbers_of_a_file_that_are_not_whole(spec, value, message):
    with pytest.raises(GradcError, match=re.escape(message)):
        prepared((spec,), FILE, **{spec.name: value})


def test_a_csv_names_the_line():
    source = data.Source(Path("a.csv"), (2, 3, 7))
    with pytest.raises(GradcError, match=re.escape("a.csv:7: y[2] is 0.5, and y[batch] : int(10) holds whole")):
        prepared((Y,), source, y=[1.0, 2.0, 0.5])
    with pytest.raises(GradcError, match=re.escape("a.csv:3: x[1, 2] is nan")):
        prepared((X,), source, x=[[1.0] * 3, [1.0, 2.0, np.nan], [1.0] * 3])


def test_read_only_arrays_are_taken_and_left_alone():
    x = np.ones((4, 3))
    x.setflags(write=False)
    np.testing.assert_array_equal(prepared((X,), x=x)["x"], x)


NAN = np.ones((4, 3))
NAN[2, 1] = np.nan
INFINITE = np.ones((4, 3))
INFINITE[1:, 0] = -np.inf


@pytest.mark.parametrize(
    ("spec", "value", "message"),
    [
        (X, NAN, r"x[2, 1] is nan"),
        (X, INFINITE, r"x[1, 0] is -inf (3 such places in all)"),
        (X, np.full((1, 3), 1e300), "x[0, 0] is 1e+300, which float32 cannot hold"),
        (SCALE, np.nan, "scale is nan"),
        (X, np.ones((4, 2)), "axis 1 has 3 places; float64[4, 2] is given"),
        (X, np.ones(4), "x[batch, 3] has 2 axes; float64[4] is given"),
        (Y, np.zeros((4, 1), int), "has 1 axis; int64[4, 1] is given"),
        (Y, np.zeros((4, 1), int), "drop the last axis: y[..., 0]"),
        (IMAGE, np.zeros((5, 4)), "the numbers are as many: image.reshape(-1, 2, 2)"),
        (X, np.zeros((5, 3, 1)), "drop the last axis: x[..., 0]"),
        (IMAGE, np.zeros((5, 2, 2, 1)), "drop the last axis"),
        (X, np.zeros(3), "is this one example? x[None] is a batch of one"),
        (X, np.zeros((3, 5)), "it fits when it is transposed: x.T"),
        (CHANNELS, np.zeros((5, 3, 8)), "channels are last here: np.moveaxis(image, 1, -1)"),
        (X, np.zeros((5, 4)), "declare 4 places in the model, or give an array with 3"),
        (Y, np.eye(10), "a class is its number, not a row with a 1 at it: y.argmax(axis=-1)"),
        (Y, np.eye(9, dtype=int), "give it these axes, or declare the axes that it has"),
        (X, np.ones((0, 3)), "x[batch, 3] is empty"),
        (X, [[1.0], [1.0, 2.0]], "cannot be made an array"),
        (X, [["a", "b", "c"]], "x[batch, 3] holds real numbers; <U1[1, 3] is given"),
        (X, [["1", "2", "3"]], "if the words are numbers: x.astype(float)"),
        (Y, ["a", "b"], "words, y = np.unique(y, return_inverse=True)"),
        (X, np.ones((1, 3), complex), "holds real numbers; complex128"),
        (X, np.ones((1, 3), complex), "x.real and x.imag"),
        (X, np.array([[None] * 3]), "holds real numbers; object"),
        (X, np.array([[None] * 3]), "x.astype(float) says which"),
        (Y, np.array([2**63], "uint64"), "too large a whole number"),
        (Y, [0, -1, 10], "y holds 0 .. 9; y[1] is -1 (2 places outside in all)"),
        (Y, [1, 10], "count from 0, not from 1: y - 1"),
        (Y, [0, 12], "the largest is 12: declare int(13)"),
        (Y, [0, -1], "numbers count from 0"),
    ],
)
def test_what_is_wrong_with_an_array(spec, value, message):
    with pytest.raises(GradcError, match=re.escape(message)):
        prepared((spec,), **{spec.name: value})


def test_an_axis_too_few_is_named():
    column = ArraySpec("x", "input", "real", ("batch", 1), None)
    with pytest.raises(GradcError, match=re.escape("add an axis: x[..., None]")):
        prepared((column,), x=np.ones(4))


def test_a_hash_of_arrays_is_of_their_numbers():
    x = np.arange(6, dtype="float32").reshape(2, 3)
    same = data.fingerprint([np.asfortranarray(x), np.zeros(2)])
    assert data.fingerprint([x, np.zeros(2)]) == same
    for others in ([x + 1, np.zeros(2)], [x.reshape(3, 2), np.zeros(2)], [x.astype("float64"), np.zeros(2)], [x]):
        assert data.fingerprint(others) != same


def test_free_dims_agree():
    with pytest.raises(GradcError, match="dim batch is 4 in x and 5 in y"):
        prepared((X, Y), x=np.ones((4, 3)), y=np.zeros(5, int))


def test_a_range_may_be_a_free_dim():
    features = np.ones((3, 4))
    assert prepared((NODE, FEATURES), node=[2, 0], f=features)["node"].tolist() == [2, 0]
    with pytest.raises(GradcError, match=re.escape("node holds 0 .. 2; node[0] is 3")):
        prepared((NODE, FEATURES), node=[3, 0], f=features)


def test_a_range_that_is_not_known_here_is_left_to_the_call():
    assert prepared((NODE,), node=[3, 0])["node"].tolist() == [3, 0]


def test_everything_wrong_is_told_at_once():
    with pytest.raises(GradcError) as caught:
        prepared((X, Y, MASK), x=NAN, y=[0, 99, 0, 0])
    assert codes(caught.value) == ["not-finite", "missing-array", "outside-range"]


def test_arrays_by_position_and_by_name():
    assert data.by_name((X, Y), (1,), {"y": 2}) == {"x": 1, "y": 2}
    with pytest.raises(GradcError) as caught:
        data.by_name((X, Y), (1, 2, 3), {"x": 1, "z": 2})
    assert codes(caught.value) == ["too-many-arrays", "array-twice", "unknown-array"]


def test_declarations_as_shown():
    assert list(map(str, (X, Y, MASK, SCALE))) == [
        "x[batch, 3]",
        "y[batch] : int(10)",
        "mask[batch, time] : bool",
        "scale",
    ]


def test_descriptions_come_from_the_module():
    module = SimpleNamespace(
        INPUTS={"x": ("real", ("batch", 3))}, TARGETS={"y": ("whole", ("batch",))}, RANGES={"y": 10}, DTYPE="float32"
    )
    assert input_specs(module) == (X,)
    assert array_specs(module) == (X, Y)


# ------------------------------------------------------------------ npz


def test_an_npz_is_read_by_names(tmp_path):
    x = np.arange(6.0).reshape(2, 3)
    np.savez(tmp_path / "a.npz", x=x, y=[1, 2], other=np.array([None]))
    found = read(tmp_path / "a.npz", (X, Y))
    np.testing.assert_array_equal(found["x"], x)
    assert list(found) == ["x", "y"]


def test_an_npz_written_here_is_read_by_numpy(tmp_path):
    arrays = {"file": np.arange(3), "p": np.ones((2, 2), "float32"), "s": np.float64(3)}
    files.write_npz(tmp_path / "a.npz", arrays)
    with np.load(tmp_path / "a.npz") as archive:
        assert sorted(archive.files) == ["file", "p", "s"]
        np.testing.assert_array_equal(archive["file"], np.arange(3))
        assert archive["s"].shape == ()
    with pytest.raises(GradcError, match="cannot be written"):
        files.write_npz(tmp_path / "absent" / "a.npz", arrays)


def test_what_is_wrong_with_a_file(tmp_path):
    np.savez(tmp_path / "some.npz", x=np.ones((2, 3)), **{f"a{n}": 1 for n in range(20)})
    np.savez(tmp_path / "objects.npz", x=np.array([None]))
    np.savez(tmp_path / "empty.npz")
    (tmp_path / "text.npz").write_text("not an archive")
    (tmp_path / "data.json").write_text("{}")
    whole = (tmp_path / "some.npz").read_bytes()
    (tmp_path / "short.npz").write_bytes(whole[: len(whole) // 2])
    for file, message in {
        "absent.npz": "there is no data file",
        ".": "is not a file",
        "some.npz": r"some.npz: there is no array for target y\[batch\] : int\(10\); it has x, a0, .*, …",
        "empty.npz": "it has no array",
        "objects.npz": "array x cannot be read: it holds Python objects",
        "text.npz": "is not an .npz file",
        "short.npz": r"np.savez\(",
        "data.json": "data is an .npz or a .csv file",
    }.items():
        with pytest.raises(GradcError, match=message):
            files.read(tmp_path / file, (X,) if file == "objects.npz" else (X, Y))


def test_a_damaged_array(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f8', ")
    with pytest.raises(GradcError, match=r"array x cannot be read: .*\n.*the file is damaged: take another copy"):
        files.read(tmp_path / "a.npz", (X,))


def test_a_file_that_cannot_be_read(tmp_path, monkeypatch):
    def refuse(*args: object, **named: object) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "a.csv").write_text("x_0\n1\n")
    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(GradcError, match=r"a\.csv cannot be read: Permission denied"):
        files.read(tmp_path / "a.csv", (X,))


# ------------------------------------------------------------------ csv


def csv(tmp_path: Path, text: str, specs=(X, Y), others=()):
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    return read(tmp_path / "a.csv", specs, others)


@pytest.mark.parametrize(
    "text",
    [
        "x_0,x_1,x_2,y\n1,2,3,0\n4,5,6,9\n",
        "y,x1,x2,x3\r\n0,1,2,3\r\n9,4,5,6\r\n",
        "x_2;x_1;x_0;y\n3;2;1;0\n6;5;4;9",
        "\ufeffwidth\ty\theight\tdepth\n1\t0\t2\t3\n\n4\t9.0\t5\t6\n",
        '"a ""quoted"" name", b ,c,y\n1,2,3,0\n4, 5,6,9\n',
    ],
)
def test_a_csv_is_read_by_columns(tmp_path, text):
    found = csv(tmp_path, text)
    np.testing.assert_array_equal(found["x"], [[1, 2, 3], [4, 5, 6]])
    np.testing.assert_array_equal(found["y"], [0, 9])


@pytest.mark.parametrize("names", ["0,1,2", "2024,2025,2026"])
def test_columns_may_be_called_by_numbers(tmp_path, names):
    found = csv(tmp_path, f"{names}\n7,8,9\n", specs=(X,))
    np.testing.assert_array_equal(found["x"], [[7, 8, 9]])


def test_a_csv_for_predict_leaves_targets_alone(tmp_path):
    found = csv(tmp_path, "a,b,c,y\n1,2,3,what\n", specs=(X,), others=("y",))
    np.testing.assert_array_equal(found["x"], [[1, 2, 3]])


def test_more_axes_in_row_major_order(tmp_path):
    found = csv(tmp_path, "image_0,image_1,image_2,image_3\n1,2,3,4\n", specs=(IMAGE,))
    np.testing.assert_array_equal(found["image"], [[[1, 2], [3, 4]]])


def test_a_free_second_dim_takes_what_there_is(tmp_path):
    found = csv(tmp_path, "mask_0,mask_1\ntrue,False\n", specs=(MASK,))
    np.testing.assert_array_equal(found["mask"], [[1, 0]])


def test_columns_that_are_too_many_are_the_checks_business(tmp_path):
    found = csv(tmp_path, "image_0,image_1,image_2,image_3,image_4\n1,2,3,4,5\n", specs=(IMAGE,))
    assert found["image"].shape == (1, 5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x_0,x_1,x_2,y\n1,2,3,0\n1,2,a,0\n", "a.csv:3: column x_2: 'a' is not a number"),
        ("x_0,x_1,x_2,y\n1,2,,0\n", "a.csv:2: column x_2: there is nothing"),
        ("x_0,x_1,x_2,y\n1,2,0\n", "a.csv:2: this row has 3 fields; there are 4 columns"),
        ("x_0,x_1,x_2,y\n", "a.csv has no rows"),
        ("", "a.csv has no rows"),
        ("a,a,b,y\n1,2,3,0\n", "two columns named 'a'"),
        ("a,b,y\n1,2,0\n", "a.csv: there are no columns for x[batch, 3]"),
        ("a,b,y\n1,2,0\n", "columns x_0 .. x_2, or 3 columns that belong to no other array; the file's other 2: a, b"),
        ("x_1,x_2,x_4,z\n1,2,0,1\n", "no columns for x[batch, 3]"),
        ("x_0,x_1,z,y\n1,2,0,1\n", "no column x_2: x[batch, 3] has 3, the file 2\n     = one of the others (z) may"),
        ("x1,x2,y\n1,2,0\n", "no column x3: x[batch, 3] has 3, the file 2\n     = if none is left out"),
        ("1,2,2,0\n1,2,3,0\n", "a.csv:1: the first line is all numbers\n     = a line of column names comes first"),
        ("1,2.5,3,0\n", "a.csv:1: the first line is all numbers"),
        ("x_0,x_1,x_2,y\n1,NA,3,0\n", "column x_1: 'NA' is not a number\n     = leave such examples out"),
        ("x_0,x_1,x_2,y\n1,2,,0\n", "there is nothing\n     = leave such examples out"),
        ("x_0;x_1;x_2;y\n1;2,5;3;0\n", "column x_1: '2,5' is not a number\n     = a number has a point before"),
        ("x_0,x_1,x_2,y\n1,2,2020_01,0\n", "column x_2: '2020_01' is not a number\n     = every field"),
        ('x_0,x_1,x_2,y\n1,2,3,"0\n', "unexpected end of data"),
    ],
)
def test_what_is_wrong_with_a_csv(tmp_path, text, message):
    with pytest.raises(GradcError, match=re.escape(message)):
        csv(tmp_path, text)


@pytest.mark.parametrize(
    ("spec", "message"),
    [(SCALE, "use an .npz"), (MASK, "columns mask_0, mask_1, …"), (Y, "a column y"), (IMAGE, "image_0 .. image_3")],
)
def test_how_columns_should_be_named(tmp_path, spec, message):
    with pytest.raises(GradcError, match=re.escape(message)):
        csv(tmp_path, "a,b\n1,2\n", specs=(spec,))


def test_a_csv_that_is_not_utf8(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"x_0\n\xff\n")
    with pytest.raises(GradcError, match="is not UTF-8: byte 4"):
        files.read(tmp_path / "a.csv", (X,))


# ------------------------------------------------------------------ the model's own data


def test_the_data_line_stays_in_its_folder(tmp_path):
    folder = tmp_path / "models"
    (folder / "data").mkdir(parents=True)
    (tmp_path / "secret.npz").write_text("")
    (folder / "link.npz").symlink_to(tmp_path / "secret.npz")
    (folder / "below").symlink_to(tmp_path)
    model = folder / "m.grad"
    assert files.inside_folder(model, "data/a.npz") == folder / "data" / "a.npz"
    outside = ["../secret.npz", "data/../../secret.npz", str(tmp_path / "secret.npz"), "link.npz", "below/secret.npz"]
    for path in [*outside, "C:/secret.npz", "..\\secret.npz", "a\0.npz", "/dev/zero"]:
        with pytest.raises(GradcError, match=r"leaves the folder of m\.grad"):
            files.inside_folder(model, path)
