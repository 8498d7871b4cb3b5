"""What is said of a tensor and of an index, in the elaborated syntax and in the graph alike: kinds, roles, extents."""

from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from .index import IndexExpr
from .ranges import Ranges


class Kind(Enum):
    """What the numbers of a tensor or an expression are."""

    REAL = "real"
    WHOLE = "whole"
    BOOL = "bool"


class Role(Enum):
    """Where a leaf's values come from."""

    INPUT = "input"
    TARGET = "target"
    PARAM = "param"
    STATE = "state"
    RANDOM = "random"
    """The key of a site of random numbers: a scalar, made of the seed and the site's number."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """low ≤ value ≤ high of a whole number, both in the dims alone."""

    low: IndexExpr
    high: IndexExpr


@dataclass(frozen=True, slots=True)
class Gradient:
    """`grad(of, by)`: the total derivatives of the sum of one tensor by the places of another."""

    of: str
    by: str


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of a tensor: its extent, in the dims, and the name it is shown under (a dim's or an index's)."""

    name: str
    extent: IndexExpr


@dataclass(frozen=True)
class Index:
    """An index and its half-open range, low ≤ index < high."""

    name: str
    low: IndexExpr
    high: IndexExpr

    @cached_property
    def extent(self) -> IndexExpr:
        """How many values it takes."""
        return self.high - self.low


def ranges_of(indices: tuple[Index, ...]) -> Ranges:
    """What the indices' ranges say, for proofs."""
    return Ranges({index.name: (index.low, index.high) for index in indices})
