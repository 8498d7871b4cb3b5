"""Makes digits.npz, diabetes.npz and breast_cancer.npz, beside this file, from scikit-learn's copies.

Each archive has one array for each input and target of its model file, by the same names. Needs NumPy and
scikit-learn, which nothing else here does. Run it with `python examples/data/make.py`; sources and licences are in
README.md.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits

HERE = Path(__file__).parent


def standardised(values: np.ndarray) -> np.ndarray:
    """Every column with mean 0 and standard deviation 1."""
    return ((values - values.mean(axis=0)) / values.std(axis=0)).astype(np.float32)


def main() -> None:
    """Writes the three archives. They are small enough to be kept in the repository."""
    digits = load_digits()
    # the pixels are counts from 0 to 16
    np.savez_compressed(HERE / "digits.npz", x=(digits.data / 16).astype(np.float32), y=digits.target.astype(np.int64))

    diabetes = load_diabetes(scaled=False)
    np.savez_compressed(HERE / "diabetes.npz", x=standardised(diabetes.data), y=standardised(diabetes.target))

    cancer = load_breast_cancer()
    # scikit-learn has 0 for malignant; here 1 is what the test looks for
    malignant = (cancer.target == 0).astype(np.int64)
    np.savez_compressed(HERE / "breast_cancer.npz", x=standardised(cancer.data), y=malignant)


if __name__ == "__main__":
    main()
