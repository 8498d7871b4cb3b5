"""Draws what vae.grad makes of chance, 8 rows of 16 new pictures; below a line 16 digits and what comes back of them.

gradc train examples/vae.grad --out weights.safetensors
python examples/vae_picture.py weights.safetensors vae.png
"""

import sys
from pathlib import Path

import numpy as np
from burgers_picture import png

import gradc

FOLDER = Path(__file__).parent
ACROSS, ROWS, SIDE, SCALE, GAP = 16, 8, 8, 6, 1


def sheet(pictures: np.ndarray) -> np.ndarray:
    """Pictures beside each other, `ACROSS` in a row, with paper between them: 0 is white."""
    squares = np.zeros((len(pictures), SIDE + GAP, SIDE + GAP))
    squares[:, :SIDE, :SIDE] = pictures.reshape(-1, SIDE, SIDE)
    rows = squares.reshape(-1, ACROSS, SIDE + GAP, SIDE + GAP).swapaxes(1, 2)
    return rows.reshape(-1, ACROSS * (SIDE + GAP))


def main(weights: str, picture: str) -> None:
    """Draws samples, originals and reconstructions, and writes the picture."""
    model = gradc.compile(FOLDER / "vae.grad")
    model.load(weights)
    with np.load(FOLDER / "data" / "digits.npz") as data:
        known = data["x"][-ACROSS:]
    # the input tells how many are wanted, and nothing else
    sample = model.predict(np.zeros((ROWS * ACROSS, SIDE * SIDE), np.float32), seed=1)["sample"]
    line = np.ones((2, ACROSS * (SIDE + GAP)))
    parts = [sheet(sample), line, np.zeros_like(line[:1]), sheet(known), sheet(model.predict(known)["picture"])]
    grey = np.repeat(np.repeat(255 * (1 - np.concatenate(parts)), SCALE, axis=0), SCALE, axis=1)
    Path(picture).write_bytes(png(np.repeat(grey[:, :, None], 3, axis=2).astype(np.uint8)))


if __name__ == "__main__":
    main(*sys.argv[1:])
