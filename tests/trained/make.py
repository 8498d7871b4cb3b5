"""Trains examples as `gradc train` does and keeps what they learned, beside this file: `python make.py burgers …`.

test_readme.py evaluates it on the examples held back and compares that with examples/README.md. So a claim is tested
in seconds where training takes a minute. Run this whenever the model's text has changed; the test says so.
"""

import hashlib
import sys
from pathlib import Path

import numpy as np

import gradc

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples"


def main(names: list[str]) -> None:
    """Writes an archive for each example: its parameters, and the hash of its text."""
    for name in names:
        model = gradc.compile(EXAMPLES / f"{name}.grad")
        epoch = model.fit().epochs[-1]
        print(name, epoch.validation or epoch.loss)  # noqa: T201
        text = hashlib.sha256(model.module.SOURCE.encode()).hexdigest()
        np.savez_compressed(HERE / f"{name}.npz", **{"its text": text}, **{n: model.params[n] for n in model.params})


if __name__ == "__main__":
    main(sys.argv[1:])
