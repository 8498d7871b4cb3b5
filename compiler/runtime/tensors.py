"""A safetensors file -> tensors by name. Reading runs no code, whatever the file holds.

bfloat16, which NumPy lacks, becomes float32; every other dtype is kept. What the tensors are for is `checkpoint.py`'s
and `weights.py`'s.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors

from gradc.beside import similar
from gradc.errors import fail, unreadable

from .interface import Array

DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "BOOL": "?",
    "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1",
}  # fmt: skip
PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl")
FROM_PYTORCH = 'in PyTorch: safetensors.torch.save_file(model.state_dict(), "weights.safetensors")'


@dataclass(frozen=True, slots=True)
class TensorFile:
    """What stands in a file: arrays by name, the dtypes of those that NumPy cannot hold, and what is said beside."""

    path: Path
    tensors: Mapping[str, Array]
    strange: Mapping[str, str]
    metadata: Mapping[str, str]


def read(path: Path) -> TensorFile:
    """Reads a whole file.

    Raises:
        GradcError: there is no such file, or it is no safetensors file.
    """
    if not path.exists():
        raise fail("no-such-file", f"there is no file {path}", similar(path, (".safetensors",)))
    if not path.is_file():
        raise fail("not-a-file", f"{path} is not a file", "a .safetensors file is wanted")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error
    deserialize: Callable[[bytes], list[tuple[str, dict[str, Any]]]] = safetensors.deserialize
    try:
        views = deserialize(content)
    except safetensors.SafetensorError as error:
        hint = (
            FROM_PYTORCH if path.suffix in PICKLES else "gradc train --out FILE.safetensors writes one, and model.save"
        )
        raise fail("not-weights", f"{path} is not a file of weights (safetensors): {error}", hint) from error
    tensors = {name: _array(view) for name, view in views if view["dtype"] in DTYPES}
    strange = {name: view["dtype"] for name, view in views if view["dtype"] not in DTYPES}
    return TensorFile(path, dict(sorted(tensors.items())), strange, _metadata(content))


def _array(view: Mapping[str, Any]) -> Array:
    stored = np.frombuffer(view["data"], DTYPES[view["dtype"]])
    if view["dtype"] == "BF16":  # the upper half of a float32
        stored = (stored.astype("<u4") << 16).view("<f4")
    return stored.reshape(view["shape"])


def _metadata(content: bytes) -> Mapping[str, str]:
    """The texts beside the tensors, in the header, whose length the first eight bytes are."""
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return dict(header.get("__metadata__") or {})
