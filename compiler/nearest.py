"""Which known name may have been meant by an unknown one: `ReLU` is relu, `pixel` pixels, `btach` batch."""

import difflib
from collections.abc import Iterable, Mapping

SHORTEST_START = 3
"""Letters that a name must have to stand for one that it begins."""
LIKE, MUCH_LIKE = 0.6, 0.7
"""How much two names must have in common, of 1; and where what is meant is less likely to be one of these."""


def nearest(
    name: str, known: Iterable[str], like: float = LIKE, aliases: Mapping[str, str] | None = None
) -> str | None:
    """The known name that another begins, or begins with, or else is most like.

    Args:
        aliases: what others call some that are known.
    """
    plain: dict[str, str] = {}
    for each, meant in [*((k, k) for k in known if k != name), *(aliases or {}).items()]:
        plain.setdefault(_plain(each), meant)
    wanted = _plain(name)
    exact = [wanted] if wanted in plain else []
    begun = [each for each in plain if _begins(wanted, each)] or [each for each in plain if _begins(each, wanted)]
    close = exact or begun[:1] or difflib.get_close_matches(wanted, plain, n=1, cutoff=like)
    return plain[close[0]] if close else None


def did_you_mean(
    name: str, known: Iterable[str], like: float = LIKE, aliases: Mapping[str, str] | None = None
) -> str | None:
    """`did you mean batch?`"""
    close = nearest(name, known, like, aliases)
    return f"did you mean {close}?" if close is not None else None


def _begins(start: str, name: str) -> bool:
    return len(start) >= SHORTEST_START and name.startswith(start)


def _plain(name: str) -> str:
    """As others write it: without capitals and underscores."""
    return name.lower().replace("_", "")
