"""Makes digits_low.npz and digits_high.npz, beside this file: the digits 0 to 4 and 5 to 9 of digits.npz, 8 × 8 pixels,
each at random places of 10 × 10. Run it with `python examples/data/make_shifted.py`."""

from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
COPIES = {"digits_low": 8, "digits_high": 1}


def shifted(pictures: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each picture somewhere in a larger one."""
    larger = np.zeros((len(pictures), 10, 10), np.float32)
    for picture, (row, column), place in zip(pictures, rng.integers(3, size=(len(pictures), 2)), larger, strict=True):
        place[row : row + 8, column : column + 8] = picture
    return larger


def main() -> None:
    """Writes the two archives."""
    rng = np.random.default_rng(0)
    with np.load(HERE / "digits.npz") as data:
        x, y = data["x"].reshape(-1, 8, 8), data["y"]
    for name, first in (("digits_low", 0), ("digits_high", 5)):
        chosen = np.tile(np.flatnonzero((y >= first) & (y < first + 5)), COPIES[name])
        np.savez_compressed(HERE / f"{name}.npz", x=shifted(x[chosen], rng), y=y[chosen] - first)


if __name__ == "__main__":
    main()
