"""Every row of docs/weights.md for a layer, tried with a file that PyTorch wrote and what PyTorch computes with it.

The tables that load the file are made of the document's rows themselves. tests/known_answers/pytorch.py made the file
and the answers; these tests need no torch.
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from test_weights import DOCUMENT, HERE, block

import gradc
from gradc.runtime import tensors, weights

PYTORCH = HERE / "known_answers" / "layers.safetensors"
Table = dict[str, object]

MODEL = """
dim batch, places
input series[batch, 8, 4], memory[batch, places, 3], picture[batch, 8, 8, 3], volume[batch, 3, 4, 3, 2]

wider[b, t: 10, k] = series?[b, t - 1, k]
conv1   = conv1d(wider, 6, 3, stride = 2, groups = 2)
spread1 = conv_transpose1d(tanh(conv1), 4, 3, stride = 2, groups = 2)
less[b, t: 8, k] = spread1[b, t + 1, k]
norm    = layer_norm(less)
block   = transformer_block(norm, 2, 6, activation = relu)
scaled  = rms_norm(block)
look    = attention(scaled, 2)
cross   = attention(look, 2, memory = memory)
first   = lstm(cross, 3)
second  = lstm(first, 3)

conv2   = conv2d(picture, 4, [3, 2])
grouped = group_norm(conv2, 2)
spread2 = conv_transpose2d(tanh(grouped), 16, [3, 2])
running = batch_norm(spread2)
fc      = dense(flatten(tanh(running)), 2)

conv3   = conv3d(volume, 4, [1, 3, 2])
each    = instance_norm(tanh(conv3), affine = true)
spread3 = conv_transpose3d(each, 3, [3, 1, 2], stride = [1, 2, 1])

predict x = second
predict y = fc
predict z = spread3
loss sum(fc.bias^2)
freeze *
"""
OTHER_MEMORY, BLOCK = "`attention` to a `memory` of another width", "`transformer_block`"
NORMS = "`layer_norm`, `group_norm`, `instance_norm`"
MODULES = {
    "conv1": "`conv1d`", "conv2": "`conv2d`", "conv3": "`conv3d`",
    "spread1": "`conv_transpose1d`", "spread2": "`conv_transpose2d`", "spread3": "`conv_transpose3d`",
    "norm": NORMS, "grouped": NORMS, "each": NORMS, "scaled": "`rms_norm`", "running": "`batch_norm`",
    "look": "`attention`", "cross": "`attention`", "fc": "`dense`",
}  # fmt: skip
"""Layers that are called alike in the model and in the file, and the document's rows for them."""

NET = {"embed": ("`embedding`", "embed"), "forwards": ("`lstm`", "lstm"), "backwards": ("`lstm`", "lstm"),
       "gated": ("`gru`", "gru"), "plain": ("`simple_rnn`", "rnn"), "logits": ("`dense`", "head")}  # fmt: skip
"""The layers of the document's example, with their rows and their names in its file."""

PARTS = {"norm": NORMS, "norm_2": NORMS, "attended": "`attention`", "inner": "`dense`", "outer": "`dense`"}


def document_rows() -> Mapping[str, str]:
    """The first cell of each row of the document's table of layers, and the last."""
    lines = DOCUMENT[DOCUMENT.index("| layer | in PyTorch") :].partition("\n\n")[0].splitlines()
    return {cells[0]: cells[2] for line in lines[2:] for cells in [line.strip("| ").split(" | ")]}


ROWS = document_rows()


def entries(row: str, ours: str, theirs: str, of_layer_0: str = "_l0") -> Table:
    """A row's entries, with the layer's name before the parameters', and the module's before those of its tensors."""
    found: Table = {}
    for line in re.findall(r"`([\w.]+ = [^`]+)`", ROWS[row]):
        name, _, value = line.partition(" = ")
        named = re.sub(r'"(?=\w)', f'"{theirs}.', value).replace("_l0", of_layer_0)
        found[f"{ours}.{name}"] = tomllib.loads(f"value = {named}")["value"]
    assert found
    return found


def table_of_the_model() -> Table:
    table: Table = {}
    for name, row in MODULES.items():
        table |= entries(row, name, name)
    table |= entries(OTHER_MEMORY, "cross", "cross")
    table |= entries("`lstm`", "first", "lstm") | entries("`lstm`", "second", "lstm", "_l1")
    parts = dict(re.findall(r"`(\w+)` is there `(\w+)`", ROWS[BLOCK]))
    for part, row in PARTS.items():
        table |= entries(row, f"block.{part}", f"block.{parts.pop(part)}")
    assert not parts
    after_flatten = re.search(r"`fc\.weight = (\".*?\")`", DOCUMENT)
    assert after_flatten is not None
    return table | {"fc.weight": tomllib.loads(f"value = {after_flatten[1]}")["value"]}


def ignored() -> str:
    """What the document says to pass over."""
    found = re.search(r"`ignore = \"(.*?)\"`", DOCUMENT)
    assert found is not None
    return found[1]


@pytest.mark.filterwarnings("ignore:(?s).*all parameters are frozen")  # nothing of it is trained
@pytest.mark.usefixtures("without_jit")
@pytest.mark.parametrize(("dtype", "within"), [("float64", 1e-12), ("float32", 1e-6)])
def test_every_layer_computes_what_pytorch_s_does(dtype: str, within: float) -> None:
    net = gradc.compile_text(MODEL, "layers", dtype=dtype)
    net.load(PYTORCH, table=table_of_the_model(), ignore=ignored())
    with np.load(PYTORCH.with_suffix(".npz")) as answer:
        inputs = {name: answer[name].astype(dtype) for name in ("series", "memory", "picture", "volume")}
        for name, found in net.predict(**inputs).items():
            np.testing.assert_allclose(found, answer[name], rtol=within, atol=within, err_msg=name)
    # what keys are moved by, all alike, changes no attention
    for name, stored in {"look": "look", "cross": "cross", "block.attended": "block.self_attn"}.items():
        keys = tensors.read(PYTORCH).tensors[f"{stored}.in_proj_bias"][4:8]
        np.testing.assert_array_equal(net.params[f"{name}.k.bias"].ravel(), keys)


def test_the_rows_make_the_document_s_example() -> None:
    table: Table = {}
    for ours, (row, theirs) in NET.items():
        table |= entries(row, ours, theirs, "_l0_reverse" if ours == "backwards" else "_l0")
    parsed = [weights.choice(None, "error", (), entry).table for entry in (table, tomllib.loads(block("table of")))]
    assert parsed[0] == parsed[1]


def test_every_row_is_tried() -> None:
    tried = {OTHER_MEMORY, BLOCK, "`lstm`", *MODULES.values(), *PARTS.values(), *(row for row, _ in NET.values())}
    assert tried == set(ROWS)


def test_the_model_s_file_is_small() -> None:
    assert sum(file.stat().st_size for file in Path(PYTORCH.parent).glob("layers.*")) < 60_000
