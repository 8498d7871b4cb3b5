"""Patterns of names, as `backbone.*`: `*` stands for any characters, dots too. Models and the runtime share them."""


def fits(pattern: str, name: str) -> bool:
    """Whether a name fits. What stands between stars is looked for once, from left to right: no pattern is slow."""
    first, *others = pattern.split("*")
    if not others:
        return name == pattern
    *middle, last = others
    if not name.startswith(first) or len(name) < len(first) + len(last) or not name.endswith(last):
        return False
    at, end = len(first), len(name) - len(last)
    for part in middle:
        at = name.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True
