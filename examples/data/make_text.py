"""Makes text.npz, beside this file: Python's own language reference in pieces of 64 letters. Needs NumPy alone.

The text is what `help("topics")` of the interpreter shows, `pydoc_data.topics` of Python 3.11. The letters that are not
among the 64 most frequent are left out, line breaks and other runs of spaces are one space. The target of a piece is
the same text a letter later. The script also prints how well n-grams predict the pieces that the examples hold back.
"""

from collections import Counter
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np

LENGTH = 64
LETTERS = 64
SEED, HELD_BACK = 0, 0.1
"""As in the `fit` of the model files, which hold back the first pieces of an order that depends on the seed."""
LONGEST = 6


def text() -> str:
    """All topics in the order of their names, without the rarer letters."""
    whole = " ".join(" ".join(topics[name] for name in sorted(topics)).split())
    common = {letter for letter, _ in Counter(whole).most_common(LETTERS)}
    return " ".join("".join(letter for letter in whole if letter in common).split())


def bits_by_ngrams(seen: list[str], held_back: list[str]) -> list[float]:
    """Bits a letter by what followed the last 0, 1, 2 … letters in the pieces seen: each length mixed with the one
    below it, by Witten and Bell (1991). No context is looked for outside of a piece, as the nets see none."""
    followers: dict[str, Counter[str]] = {}
    for piece in seen:
        for at, letter in enumerate(piece):
            for back in range(min(at, LONGEST) + 1):
                followers.setdefault(piece[at - back : at], Counter())[letter] += 1
    total, letters = np.zeros(LONGEST + 1), 0
    for piece in held_back:
        for at in range(1, len(piece)):
            p, letters = 1 / LETTERS, letters + 1
            for back in range(LONGEST + 1):
                counts = followers.get(piece[at - back : at]) if back <= at else None
                if counts:
                    kinds, times = len(counts), counts.total()
                    p = (counts[piece[at]] + kinds * p) / (times + kinds)
                total[back] -= np.log2(p)
    return list(total / letters)


def main() -> None:
    """Writes the archive, and prints what n-grams reach."""
    whole = text()
    letters = "".join(sorted(set(whole)))
    codes = np.array([letters.index(letter) for letter in whole], np.uint8)
    count = (len(codes) - 1) // LENGTH
    x, y = (codes[at : at + count * LENGTH].reshape(count, LENGTH) for at in (0, 1))
    np.savez_compressed(Path(__file__).parent / "text.npz", x=x, y=y, letters=letters)

    order = np.random.default_rng(SEED).permutation(count)
    cut = int(np.ceil(HELD_BACK * count))
    pieces = [whole[at * LENGTH : (at + 1) * LENGTH + 1] for at in order]
    for back, bits in enumerate(bits_by_ngrams(pieces[cut:], pieces[:cut])):
        print(f"by the last {back} letters: {bits:.3f} bits a letter")


if __name__ == "__main__":
    main()
