"""What entries of teams have in common: a shard's range of rows, and what is noted for workers that stay."""

from collections.abc import Iterable
from typing import TypeAlias

from gradc.graph.nodes import Tensor
from gradc.graph.tensors import Kind

from .lines import INDENT

Notes: TypeAlias = tuple[list[tuple[str, str, str]], int]
"""What is noted for those who stay: of each its name, the row that notes it, and what it is by the note; and how many
numbers are noted."""


def notes_of(
    numbers: list[tuple[str, str, str]], arrays: list[tuple[str, int]], given: Iterable[tuple[str, Tensor]]
) -> Notes:
    """The notes of numbers, each as it is noted and found; of arrays, each with how many axes it has; and of tensors
    that are passed under these names. Real numbers are noted by their bits, arrays by where they are and how long their
    axes."""
    numbers, arrays = list(numbers), list(arrays)
    for name, tensor in given:
        if tensor.axes:
            arrays.append((name, len(tensor.axes)))
        elif tensor.kind is Kind.REAL:
            numbers.append((name, f"np.float64({name}).view(np.int64)", "np.int64({}).view(np.float64)"))
        else:
            numbers.append((name, f"int({name})", "{} > 0" if tensor.kind is Kind.BOOL else "{}"))
    found = [
        (name, f"calls[{at}] = {noted}", value.format(f"calls[{at}]"))
        for at, (name, noted, value) in enumerate(numbers)
    ]
    at = len(numbers)
    for name, axes in arrays:
        found.append((name, f"note_array(calls, {at}, {name})", f"noted_array(calls, {at}, {name})"))
        at += 1 + axes
    return found, at


OWN_SHARDS = "from_shard, to_shard = own_shards(shards, worker, turns)"
EACH_OWN = "for shard in range(from_shard, to_shard):"
"""The shards that a worker makes."""


def each_own(lines: list[str]) -> list[str]:
    """Rows for each of a worker's shards."""
    return [EACH_OWN, *(f"{INDENT}{row}" for row in lines)] if lines else []


def share_of(count: str, shard: str = "shard", start: int = 0) -> str:
    """A shard's range of so many, the first of which is at `start`."""
    low = f"{start} + " if start else ""
    return f"{low}{count} * {shard} // shards, {low}{count} * ({shard} + 1) // shards"
