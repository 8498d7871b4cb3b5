"""Draws the solution of burgers.grad: x from left to right, t upwards, red above 0 and blue below.

gradc train examples/burgers.grad --out weights.safetensors
python examples/burgers_picture.py weights.safetensors burgers.png
"""

import sys
from pathlib import Path

import numpy as np
from pictures import png

import gradc

WIDTH, HEIGHT = 640, 320


def colours(u: np.ndarray) -> np.ndarray:
    """White at 0, red at 1, blue at -1."""
    fade = np.clip(1 - np.abs(u), 0, 1)
    red, blue = np.where(u > 0, 1, fade), np.where(u < 0, 1, fade)
    return (255 * np.stack([red, fade, blue], axis=-1)).astype(np.uint8)


def main(weights: str, picture: str) -> None:
    """Predicts u on a grid and writes the picture."""
    model = gradc.compile(Path(__file__).parent / "burgers.grad")
    model.load(weights)
    t, x = np.meshgrid(np.linspace(1, 0, HEIGHT), np.linspace(-1, 1, WIDTH), indexing="ij")
    u = model.predict(np.stack([x.ravel(), t.ravel()], axis=1).astype(np.float32))
    Path(picture).write_bytes(png(colours(u.reshape(HEIGHT, WIDTH))))


if __name__ == "__main__":
    main(*sys.argv[1:])
