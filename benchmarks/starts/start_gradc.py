"""The first step of digits by gradc."""

import sys
from pathlib import Path

import numpy as np

import gradc

model = gradc.compile(Path(__file__).parents[2] / "examples" / "digits.grad")
with np.load(sys.argv[1]) as data:
    model.train_step(data["x"], data["y"])
sys.stdout.write("done\n")
sys.stdout.flush()
