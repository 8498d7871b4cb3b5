"""Whether two places of a tensor can be one: proofs that they never are."""

from collections.abc import Sequence

from .index import Idx, IndexExpr, number, split_multiple
from .ranges import Ranges


def are_apart(places: Sequence[IndexExpr], others: Sequence[IndexExpr], ranges: Ranges) -> bool:
    """Whether two places are certain never to be one: on some axis their values always differ, or their being equal on
    all leaves no case of a choice, as `i > 0 or j > 0` of place 0, 0.

    Args:
        places, others: the subscripts of each, over indices that `ranges` knows all of.
    """
    for left, right in zip(places, others, strict=True):
        difference = left - right
        if ranges.nonnegative(difference - 1) or ranges.nonnegative(-difference - 1):
            return True
        if never_zero(difference, ranges):
            return True
    if not ranges.choices:
        return False
    same = (side for left, right in zip(places, others, strict=True) for side in (left - right, right - left))
    return ranges.with_facts(side for side in same if side.terms).nonnegative(number(-1))


def never_zero(difference: IndexExpr, ranges: Ranges) -> bool:
    """`2*i - 2*j - 1` is never 0: what is left over after the multiples of a factor is not one of them."""
    for monomial, coefficient in difference.terms:
        factor = IndexExpr(((tuple(atom for atom in monomial if not isinstance(atom, Idx)), abs(coefficient)),))
        if factor == number(1) or not ranges.nonnegative(factor - 1):
            continue
        _, rest = split_multiple(difference, factor)
        for side in (rest, -rest):
            if ranges.nonnegative(side - 1) and ranges.nonnegative(factor - 1 - side):
                return True
    return False
