"""Draws what ring_gan.grad makes, in blue, over the points it was shown, in grey.

gradc train examples/ring_gan.grad --out weights.safetensors
python examples/ring_picture.py weights.safetensors ring.png
"""

import sys
from pathlib import Path

import numpy as np
from pictures import png

import gradc

HERE = Path(__file__).parent
SIDE, REACH = 480, 1.4
"""Pixels along a side, and how far the picture goes from the middle."""


def dot(pixels: np.ndarray, points: np.ndarray, colour: tuple[int, int, int]) -> None:
    """Puts a dot of three pixels by three at each of points[n, 2]."""
    across, up = (np.clip((points / REACH + 1) / 2, 0.01, 0.99) * SIDE).astype(int).T
    for right in (-1, 0, 1):
        for down in (-1, 0, 1):
            pixels[SIDE - 1 - up + down, across + right] = colour


def main(weights: str, picture: str) -> None:
    """Draws the first thousand real points, then a thousand made ones."""
    model = gradc.compile(HERE / "ring_gan.grad")
    model.load(weights)
    pixels = np.full((SIDE, SIDE, 3), 255, np.uint8)
    dot(pixels, np.load(HERE / "data" / "ring.npz")["real"][:1000], (205, 205, 205))
    dot(pixels, model.predict(seed=0), (30, 90, 200))
    Path(picture).write_bytes(png(pixels))


if __name__ == "__main__":
    main(*sys.argv[1:])
