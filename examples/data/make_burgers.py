"""Makes burgers.npz, beside this file: random points, and the solution of Burgers' equation there. Needs NumPy alone.

The Cole-Hopf transformation (Hopf 1950, Cole 1951) makes the equation one of heat, whose solution is an integral
against a bell curve, computed by Gauss and Hermite's quadrature (Basdevant and others, 1986, from whom the problem is).
"""

from pathlib import Path

import numpy as np

POINTS = 10_000
VISCOSITY = 0.01 / np.pi
NODES = 100


def solution(x: np.ndarray, t: np.ndarray) -> np.ndarray:
    """u(x, t) for u(x, 0) = -sin πx: both of one length, t above 0."""
    nodes, weights = np.polynomial.hermite.hermgauss(NODES)
    from_where = x[:, None] - np.sqrt(4 * VISCOSITY * t)[:, None] * nodes
    exponent = -np.cos(np.pi * from_where) / (2 * np.pi * VISCOSITY)
    heat = np.exp(exponent - exponent.max(axis=1, keepdims=True)) * weights
    return -(np.sin(np.pi * from_where) * heat).sum(axis=1) / heat.sum(axis=1)


def main() -> None:
    """Writes the archive."""
    rng = np.random.default_rng(0)
    x, t = rng.uniform(-1, 1, POINTS), rng.uniform(0, 1, POINTS)
    q = np.stack([x, t], axis=1).astype(np.float32)
    known = solution(x, t).astype(np.float32)
    np.savez_compressed(Path(__file__).parent / "burgers.npz", q=q, known=known)


if __name__ == "__main__":
    main()
