"""What results.json holds -> the few columns that README.md shows: a row's time, the best peer's, their ratio."""

from collections.abc import Mapping
from typing import Any

from .machine import Machine

NAMES = {"torch": "PyTorch", "compile": "torch.compile", "jax": "JAX jit", "pytensor": "PyTensor"}


def summary(saved: Mapping[str, Any]) -> str:
    """The table of training steps, in a sentence how predictions compare, and what was measured where."""
    trained = [row for row in saved["rows"].values() if row["ratio"] is not None]
    lines = ["| training step | gradc | best peer | ratio |", "| --- | ---: | ---: | ---: |"]
    for row in trained:
        times = {peer: min(each["median"] for each in rounds) for peer, rounds in row["timings"].items()}
        best = min((peer for peer in times if peer in NAMES), key=times.__getitem__)
        ours, theirs = shown(times["gradc"]), f"{shown(times[best])}, {NAMES[best]}"
        lines.append(f"| {row['title']} | {ours} | {theirs} | **{row['ratio']:.2f}×** |")
    ratios = [each["ratio"] for row in saved["rows"].values() for each in row["predictions"].values() if each["ratio"]]
    ahead = sum(row["ratio"] >= 1 for row in trained)
    said = [f"Forward, backward and Adam, float32, all cores; ahead in {ahead} of {len(trained)} rows"]
    said += [f", of predictions in {sum(ratio >= 1 for ratio in ratios)} of {len(ratios)}"] if ratios else []
    machine = Machine(**saved["machine"])
    versions = ", ".join(f"{name} {version}" for name, version in saved["versions"].items())
    busy = f" The machine was busy (load {machine.load:.1f})." if machine.busy else ""
    return "\n".join([*lines, "", f"{''.join(said)}.", f"{machine}; {versions}.{busy}", ""])


def shown(seconds: float) -> str:
    """Microseconds, or milliseconds, with about three figures."""
    value, unit = (seconds * 1e6, "µs") if seconds < 1e-3 else (seconds * 1e3, "ms")
    return f"{value:.3g} {unit}"
