"""Makes letters.npz, beside this file, of a text: `python make_letters.py alice.txt`. Needs NumPy alone.

Whatever is no letter is a space, of several only one stays: 27 signs, cut into pieces of one length.
"""

import re
import sys
from pathlib import Path

import numpy as np

LENGTH = 64
SIGNS = " abcdefghijklmnopqrstuvwxyz"


def main(text: str) -> None:
    """Writes the archive."""
    words = re.sub(r"[^a-z]+", " ", Path(text).read_text("utf-8").lower()).strip()
    numbers = np.array([SIGNS.index(sign) for sign in words], np.uint8)
    letters = numbers[: len(numbers) // LENGTH * LENGTH].reshape(-1, LENGTH)
    np.savez_compressed(Path(__file__).parent / "letters.npz", letters=letters)


if __name__ == "__main__":
    main(*sys.argv[1:])
