"""Makes karate.npz, beside this file: who of a karate club met whom outside of it, and which way each went.

W. W. Zachary, An information flow model for conflict and fission in small groups, Journal of Anthropological Research
33 (1977): 34 people, 78 friendships, and the club that each joined after the old one had split. Needs NumPy alone.
"""

from pathlib import Path

import numpy as np

FRIENDS = {
    1: [2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 18, 20, 22, 32],
    2: [3, 4, 8, 14, 18, 20, 22, 31],
    3: [4, 8, 9, 10, 14, 28, 29, 33],
    4: [8, 13, 14],
    5: [7, 11],
    6: [7, 11, 17],
    7: [17],
    9: [31, 33, 34],
    10: [34],
    14: [34],
    15: [33, 34],
    16: [33, 34],
    19: [33, 34],
    20: [34],
    21: [33, 34],
    23: [33, 34],
    24: [26, 28, 30, 33, 34],
    25: [26, 28, 32],
    26: [32],
    27: [30, 34],
    28: [34],
    29: [32, 34],
    30: [33, 34],
    31: [33, 34],
    32: [33, 34],
    33: [34],
}
"""Each pair once, by the numbers of the paper."""
STAYED = [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 17, 18, 20, 22]
"""With the instructor, who is number 1; the others followed the president, number 34."""


def main() -> None:
    """Writes the archive: each friendship in both directions."""
    pairs = np.array([(a - 1, b - 1) for a, others in FRIENDS.items() for b in others], np.int64)
    person, friend = np.concatenate([pairs, pairs[:, ::-1]]).T
    club = np.ones(34, np.int64)
    club[np.array(STAYED) - 1] = 0
    told = np.isin(np.arange(34), [0, 33])
    np.savez_compressed(Path(__file__).parent / "karate.npz", person=person, friend=friend, club=club, told=told)


if __name__ == "__main__":
    main()
