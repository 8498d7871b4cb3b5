"""Long statements, broken as ruff's formatter breaks them: in brackets, at the operators that hold least."""

WIDTH = 120
LOOSEST_FIRST = ((" if ", " else "), (" or ",), (" and ",), (" + ", " - "), (" * ", " / "))


def broken(indent: str, text: str, width: int = WIDTH - 4) -> list[str]:
    """The statement on one line if it fits, a function's body being indented by four more; else on several."""
    row = indent + text
    sign = next((sign for sign in (" = ", " += ", " -= ", " *= ") if sign in text), None)
    if len(row) <= width or sign is None or text.startswith(("for ", "if ", "#")):
        return [row]
    target, value = text.split(sign, maxsplit=1)
    inner = indent + "    "
    rows = [inner + value] if len(inner + value) <= width else [inner + part for part in parts(value)]
    return [f"{indent}{target}{sign}(", *rows, f"{indent})"]


def parts(value: str) -> list[str]:
    """An expression at its loosest operators, each but the first part with its operator in front."""
    for signs in LOOSEST_FIRST:
        places = [(at, sign) for sign in signs for at in outermost(value, sign)]
        if places:
            starts = [0, *(at + 1 for at, _ in sorted(places))]
            ends = [*(at for at, _ in sorted(places)), len(value)]
            return [value[start:end] for start, end in zip(starts, ends, strict=True)]
    return [value]


def outermost(value: str, sign: str) -> list[int]:
    """Where an operator stands outside of all brackets."""
    depth, found = 0, []
    for at, letter in enumerate(value):
        depth += letter in "([{"
        depth -= letter in ")]}"
        if depth == 0 and value.startswith(sign, at):
            found.append(at)
    return found
