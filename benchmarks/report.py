"""Timings -> the table, as markdown and as JSON; and whether all peers did the same work. It times nothing."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import geometric_mean

from .machine import Machine
from .row import Row
from .summary import summary
from .worker import Timing

TITLES = {
    "gradc": "gradc",
    "torch": "PyTorch",
    "compile": "torch.compile",
    "jax": "JAX jit",
    "pytensor": "PyTensor",
    "blas": "products alone",
}
FIRST_AGREES = 1e-5
LAST_AGREES = 1e-3
ROUNDING = 1e-7
"""Of float32."""


@dataclass(frozen=True, slots=True)
class Result:
    """A row's timings: for each peer one of each round.

    Attributes:
        timings: of training steps.
        predictions: the same of predictions, for each size of a batch.
    """

    row: Row
    timings: Mapping[str, Sequence[Timing]]
    predictions: Mapping[int, "Result"] = field(default_factory=dict)

    def median(self, peer: str) -> float:
        """Seconds a step: the median of the better round."""
        return min(timing.median for timing in self.timings[peer])

    def least(self, peer: str) -> float:
        """Seconds a step in the quickest block of all."""
        return min(timing.least for timing in self.timings[peer])

    def megabytes(self, peer: str) -> float:
        """The memory of the round that took less of it: one may have compiled."""
        return min(timing.megabytes for timing in self.timings[peer])

    def rivals(self) -> list[str]:
        """The frameworks."""
        return [peer for peer in self.timings if peer not in ("gradc", "blas")]

    def ratio(self) -> float | None:
        """How many times as long as gradc the quickest framework takes, by medians."""
        if not self.rivals() or "gradc" not in self.timings:
            return None
        return min(map(self.median, self.rivals())) / self.median("gradc")

    def least_ratio(self) -> float | None:
        """The same by the quickest blocks, which a busy machine disturbs less."""
        if not self.rivals() or "gradc" not in self.timings:
            return None
        return min(map(self.least, self.rivals())) / self.least("gradc")

    def share_of_blas(self) -> float | None:
        """The time of the products alone as a part of gradc's."""
        return self.least("blas") / self.least("gradc") if {"blas", "gradc"} <= set(self.timings) else None


def disagreements(result: Result) -> list[str]:
    """Peers whose losses or predictions differ from gradc's by more than rounding: they did not do the same work."""
    found = [
        f"{text} (predictions, batch {batch})"
        for batch, predicted in result.predictions.items()
        for text in disagreements(predicted)
    ]
    if not result.timings:
        return found
    ours = result.timings["gradc"][0]
    for peer in result.rivals():
        for theirs in result.timings[peer]:
            if not _near(theirs.first_loss, ours.first_loss, FIRST_AGREES):
                found.append(f"{peer}: first loss {theirs.first_loss:.8g}, gradc's {ours.first_loss:.8g}")
            # a small loss is a difference of numbers that were as large as the first
            if not _near(theirs.last_loss, ours.last_loss, LAST_AGREES, ROUNDING * abs(ours.first_loss)):
                steps = result.row.steps
                found.append(f"{peer}: loss of step {steps} {theirs.last_loss:.8g}, gradc's {ours.last_loss:.8g}")
    return found


def _near(a: float, b: float, tolerance: float, least: float = 0.0) -> bool:
    """Near in relation to their size, or by so much in any case. NaN is near nothing."""
    return abs(a - b) <= max(tolerance * abs(b), least)


def markdown(results: Sequence[Result], machine: Machine, versions: Mapping[str, str]) -> str:
    """The tables, of training steps and of predictions, and what was measured where."""
    trained = [result for result in results if result.timings]
    predicted = [result for result in results if result.predictions]
    lines = training_table(trained) if trained else []
    if predicted:
        lines += [*([""] if lines else []), *prediction_table(predicted)]
    return "\n".join([*lines, "", *_notes(results, machine, versions), ""])


def training_table(results: Sequence[Result]) -> list[str]:
    """Time and memory of a step."""
    peers = [peer for peer in TITLES if any(peer in result.timings for result in results)]
    header = ["training step, µs", *(TITLES[peer] for peer in peers), "best peer ÷ gradc"]
    lines = [_line(header), _line(["---", *["---:"] * (len(header) - 1)])]
    for result in results:
        cells = [_cell(result, peer) for peer in peers]
        lines.append(_line([result.row.title, *cells, _ratio(result)]))
    return lines


def prediction_table(results: Sequence[Result]) -> list[str]:
    """Time of a prediction, for one example and for a batch of them."""
    every = [predicted for result in results for predicted in result.predictions.values()]
    peers = [peer for peer in TITLES if any(peer in predicted.timings for predicted in every)]
    batches = " / ".join(map(str, _batches(results)))
    header = [f"prediction, µs, batch {batches}", *(TITLES[peer] for peer in peers), "best peer ÷ gradc"]
    lines = [_line(header), _line(["---", *["---:"] * (len(header) - 1)])]
    for result in results:
        found = result.predictions.values()
        cells = [" / ".join(_micro(each.median(peer)) if peer in each.timings else "-" for each in found)
                 for peer in peers]  # fmt: skip
        ratios = [f"{ratio:.2f}×" if (ratio := each.ratio()) is not None else "-" for each in found]
        cells = ["-" if set(cell) <= set("- /") else cell for cell in cells]
        lines.append(_line([result.row.short, *cells, f"**{' / '.join(ratios)}**"]))
    return lines


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(result: Result, peer: str) -> str:
    if peer not in result.timings:
        return "-"
    memory = f", {result.megabytes(peer):.0f} MB" if peer != "blas" else ""
    return f"{_micro(result.median(peer))} ({_micro(result.least(peer))}){memory}"


def _micro(seconds: float) -> str:
    """Microseconds with about three figures."""
    value = seconds * 1e6
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"


def _ratio(result: Result) -> str:
    by_median, by_least = result.ratio(), result.least_ratio()
    if by_median is None or by_least is None:
        return "-"
    return f"**{by_median:.2f}×** ({by_least:.2f}×)"


def _notes(results: Sequence[Result], machine: Machine, versions: Mapping[str, str]) -> list[str]:
    mean = _mean(results, " Geometric mean of the ratios: {}.")
    means = [_mean([p for r in results if (p := r.predictions.get(batch))], "{}") for batch in _batches(results)]
    of_predictions = f" Of the predictions' ratios: {' / '.join(means)}." if means and all(means) else ""
    named = ", ".join(f"{package} {version}" for package, version in versions.items())
    return [
        "Whole training steps (forward, backward, Adam), float32, all cores: the median, in brackets the quickest "
        "block of steps, and the most memory meanwhile beyond what the framework takes when it is imported."
        f"{mean}{of_predictions}",
        "Every peer runs in a process of its own, in turn, twice round; losses and predictions agree to rounding. "
        "“Products alone” are the row's matrix products by NumPy's BLAS, with nothing around them.",
        "",
        f"{machine}. {named}.",
        *([busy(machine)] if machine.busy else []),
    ]


def _batches(results: Sequence[Result]) -> list[int]:
    return list(dict.fromkeys(batch for result in results for batch in result.predictions))


def _mean(results: Sequence[Result], text: str) -> str:
    """The text with the geometric mean of the ratios, if there are several."""
    ratios = [ratio for result in results if (ratio := result.ratio()) is not None]
    return text.format(f"{geometric_mean(ratios):.2f}×") if len(ratios) > 1 else ""


def busy(machine: Machine) -> str:
    """Said where other work ran on the machine: a table measured so is not one to publish."""
    return f"The machine was busy (load {machine.load:.1f}): these figures say little."


def save(folder: Path, results: Sequence[Result], machine: Machine, versions: Mapping[str, str]) -> None:
    """Writes results.md, results.json with every number, and summary.md, which README.md shows."""
    rows = {
        result.row.name: {
            "title": result.row.title,
            "ratio": result.ratio(),
            "least_ratio": result.least_ratio(),
            "share_of_blas": result.share_of_blas(),
            "timings": _saved(result),
            "predictions": {
                batch: {"ratio": each.ratio(), "timings": _saved(each)} for batch, each in result.predictions.items()
            },
        }
        for result in results
    }
    folder.mkdir(parents=True, exist_ok=True)
    whole = {"machine": asdict(machine), "versions": dict(versions), "rows": rows}
    (folder / "results.json").write_text(json.dumps(whole, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / "summary.md").write_text(summary(whole), encoding="utf-8")
    (folder / "results.md").write_text(markdown(results, machine, versions), encoding="utf-8")


def _saved(result: Result) -> dict[str, list[dict[str, object]]]:
    return {peer: [asdict(timing) for timing in timings] for peer, timings in result.timings.items()}
