"""The first step of a model by gradc: `start_gradc.py MODEL DATA`."""

import sys

import numpy as np

import gradc

model = gradc.compile(sys.argv[1])
with np.load(sys.argv[2]) as data:
    model.train_step(**data)
sys.stdout.write("done\n")
sys.stdout.flush()
