"""Makes ring.npz, beside this file: points around eight places on a circle. Needs NumPy alone."""

from pathlib import Path

import numpy as np

POINTS, PLACES, SPREAD = 8192, 8, 0.05


def main() -> None:
    """Writes the archive."""
    rng = np.random.default_rng(0)
    turn = 2 * np.pi / PLACES * rng.integers(0, PLACES, POINTS)
    middle = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    real = (middle + SPREAD * rng.normal(size=(POINTS, 2))).astype(np.float32)
    np.savez_compressed(Path(__file__).parent / "ring.npz", real=real)


if __name__ == "__main__":
    main()
