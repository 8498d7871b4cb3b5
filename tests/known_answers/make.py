"""Makes the known answers that tests/test_library_known_answers.py compares the library with, in float64.

PyTorch → rows.json (activations, losses, layers, metrics: values and gradients), laws.json (spread of initial
parameters), schedules.json (learning rates) and optimizers.npz (parameters after each of 20 steps). It needs torch; the
tests don't. Run it with `python tests/known_answers/make.py`.
"""

import json
from pathlib import Path

import functions
import numpy as np
import torch
import training

HERE = Path(__file__).parent


def write(name: str, content: object) -> None:
    """As JSON with a line for each row."""
    text = json.dumps(content, indent=None)
    for cut in ('{"call"', '"activations"', '"losses"', '"metrics"', '"layers"', '"rates"', '"laws"'):
        text = text.replace(f" {cut}", f"\n{cut}")
    (HERE / name).write_text(text + "\n")


def main() -> None:
    """Writes the four files; those in JSON say with what they were made."""
    torch.manual_seed(0)
    # NAdam keeps its mu_product in float32 otherwise
    torch.set_default_dtype(torch.float64)
    made_with = {"torch": torch.__version__, "numpy": np.__version__}
    write("rows.json", {"made_with": made_with} | functions.rows())
    write("laws.json", {"made_with": made_with} | functions.spreads())
    write("schedules.json", {"made_with": made_with, "rates": training.rates()})
    np.savez_compressed(HERE / "optimizers.npz", **training.start(), **training.trajectories())


if __name__ == "__main__":
    main()
