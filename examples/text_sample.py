"""Lets a net that has learned letters, text_gru.grad or text_transformer.grad, go on with a text.

gradc train examples/text_gru.grad --out gru.safetensors
python examples/text_sample.py examples/text_gru.grad gru.safetensors "The for statement "
"""

import sys
from pathlib import Path

import numpy as np

import gradc

SEEN = 64
"""How many letters back the nets were trained to look."""


def written(model: gradc.Model, letters: str, start: str, length: int = 400, temperature: float = 0.7) -> str:
    """The text, gone on with letter by letter: each is drawn by the probabilities that the net gives, those of likely
    ones raised by a temperature below 1."""
    rng = np.random.default_rng(0)
    codes = [letters.index(letter) for letter in start if letter in letters]
    for _ in range(length):
        p = model.predict(np.array([codes[-SEEN:]]))[0, -1].astype(np.float64) ** (1 / temperature)
        codes.append(int(rng.choice(len(letters), p=p / p.sum())))
    return "".join(letters[code] for code in codes)


def main(file: str, weights: str, start: str = "The ") -> None:
    """Prints what the net writes."""
    with np.load(Path(__file__).parent / "data" / "text.npz") as data:
        letters = str(data["letters"])
    if not set(start) & set(letters):
        sys.exit(f"error: the net has learned no letter of {start!r}; begin with some of these: {letters.strip()}")
    model = gradc.compile(file)
    model.load(weights)
    print(written(model, letters, start))


if __name__ == "__main__":
    main(*sys.argv[1:])
