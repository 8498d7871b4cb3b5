"""Makes predators.npz, beside this file: hares and lynxes by the equations of Lotka and Volterra. Needs NumPy alone.

    hares′ = hares (2/3 - 4/3 lynxes),    lynxes′ = lynxes (hares - 1)

Each of 500 stories starts with numbers of its own, and is counted at the beginning and then sixteen times, half a unit
of time apart; all counts but the first are off by a few hundredths. The equations are solved by Runge and Kutta's
method in steps of 1/100, far finer than what is counted.
"""

from pathlib import Path

import numpy as np

STORIES, COUNTS, APART, FINE, NOISE = 500, 16, 0.5, 50, 0.03


def slope(y: np.ndarray) -> np.ndarray:
    """The derivative by time at y[story, 2]."""
    hares, lynxes = y.T
    return np.stack([hares * (2 / 3 - 4 / 3 * lynxes), lynxes * (hares - 1)], axis=1)


def later(y: np.ndarray) -> np.ndarray:
    """What y becomes until it is counted next."""
    h = APART / FINE
    for _ in range(FINE):
        k1 = slope(y)
        k2 = slope(y + h / 2 * k1)
        k3 = slope(y + h / 2 * k2)
        k4 = slope(y + h * k3)
        y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return y


def main() -> None:
    """Writes the archive."""
    rng = np.random.default_rng(0)
    true = [rng.uniform(0.5, 1.8, (STORIES, 2))]
    for _ in range(COUNTS):
        true.append(later(true[-1]))
    seen = np.stack(true[1:], axis=1)
    counted = seen + NOISE * rng.normal(size=seen.shape)
    start, counted = true[0].astype(np.float32), counted.astype(np.float32)
    np.savez_compressed(Path(__file__).parent / "predators.npz", start=start, counted=counted)


if __name__ == "__main__":
    main()
