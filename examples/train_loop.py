"""Trains digits.grad in a loop of one's own: compile, step, evaluate. Run it with `python examples/train_loop.py`."""

from pathlib import Path

import numpy as np

import gradc

HERE = Path(__file__).parent

model = gradc.compile(HERE / "digits.grad")
data = np.load(HERE / "data" / "digits.npz")
rng = np.random.default_rng(0)
held_back, rest = np.split(rng.permutation(len(data["x"])), [360])

for epoch in range(30):
    for batch in np.array_split(rng.permutation(rest), len(rest) // 32):
        loss = model.train_step(data["x"][batch], data["y"][batch])
    result = model.evaluate(data["x"][held_back], data["y"][held_back])
    print(f"epoch {epoch + 1:2}   loss {loss:.3f}   accuracy {result['accuracy']:.3f}")

model.save("digits.safetensors")
