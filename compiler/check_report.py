"""What a check of gradients found: rows of a table, and its text. Nothing is computed here."""

from dataclasses import dataclass

from gradc.differences import Slope

LOSS_RTOL = 1e-9
MOST_SHOWN = 3  # slopes that differ, for each parameter
CLOSE = 1e-4
RATIOS = ((-1.0, "the sign is wrong"), (2.0, "twice as much"), (0.5, "half as much"))


@dataclass(frozen=True, slots=True)
class Row:
    """One parameter: how many slopes were compared, how many left out at kinks, and those that differ."""

    name: str
    shape: tuple[int, ...]
    compared: int
    kinks: int
    error: float
    scale: float
    wrong: tuple[Slope, ...]

    @property
    def verdict(self) -> str:
        """In a word."""
        if not self.compared:
            return "not checked: kinks everywhere"
        return "differs" if self.wrong else "agrees"


@dataclass(frozen=True, slots=True)
class Report:
    """What was compared. `str()` is a table; `passed` says that all of it agrees.

    `loss` is the module's, `plain` that of the model's equations as written, at the same place.
    """

    rows: tuple[Row, ...]
    loss: float
    plain: float

    @property
    def loss_agrees(self) -> bool:
        """Whether the module computes the loss that the model says."""
        return abs(self.loss - self.plain) <= LOSS_RTOL * max(1.0, abs(self.plain))

    @property
    def passed(self) -> bool:
        """Whether all gradients agree, and the loss."""
        return self.loss_agrees and all(row.verdict == "agrees" for row in self.rows)

    def __str__(self) -> str:
        header = ("parameter", "shape", "compared", "largest error", "largest slope", "")
        table = [header, *map(_cells, self.rows)]
        widths = [max(len(row[at]) for row in table) for at in range(len(header))]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table
        ]
        left_out = sum(row.kinks for row in self.rows)
        if left_out:
            lines += ["", f"{left_out} left out: at a kink, where slopes to both sides differ"]
        for row in self.rows:
            lines += [f"{row.name}{_place(slope)}: {_difference(slope)}" for slope in row.wrong[:MOST_SHOWN]]
        if not self.loss_agrees:
            lines += ["", f"the module's loss is {self.loss!r}; the equations as written give {self.plain!r}"]
        return "\n".join(lines)


def _cells(row: Row) -> tuple[str, ...]:
    shape = " × ".join(map(str, row.shape)) or "a number"
    return row.name, shape, str(row.compared), f"{row.error:.1e}", f"{row.scale:.1e}", row.verdict


def _place(slope: Slope) -> str:
    if slope.place is None:
        return ", along a random direction"
    return f"[{', '.join(map(str, slope.place))}]" if slope.place else ""


def _difference(slope: Slope) -> str:
    said = f"the gradient says {slope.analytic:.6g}, differences {slope.numeric:.6g}"
    ratio = slope.analytic / slope.numeric if slope.numeric else 0.0
    close = next((name for value, name in RATIOS if abs(ratio - value) < CLOSE * abs(value)), None)
    return f"{said} ({close})" if close else said
