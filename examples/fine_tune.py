"""Trains digits_low.grad, hands what it has learned to digits_high.grad, and compares with training from nothing.

Run it with `python examples/fine_tune.py`. Each of five rounds trains on another tenth of the pictures of 5 to 9.
"""

import tempfile
from pathlib import Path

import gradc

HERE = Path(__file__).parent
ROUNDS = 5

low = gradc.compile(HERE / "digits_low.grad")
print(f"digits 0 to 4: accuracy {low.fit(progress=False).validation[-1]['accuracy']:.3f}")
high, alone = gradc.compile(HERE / "digits_high.grad"), gradc.compile(HERE / "digits_high_alone.grad")

with tempfile.TemporaryDirectory() as folder:
    weights = Path(folder) / "low.safetensors"
    low.save(weights)
    scores = []
    for seed in range(ROUNDS):
        high.restart(seed)
        high.load(weights, only="backbone.*")
        alone.restart(seed)
        pair = [model.fit(seed=seed, progress=False).validation[-1]["accuracy"] for model in (high, alone)]
        scores.append(pair)
        print(f"digits 5 to 9, round {seed + 1}: a new head {pair[0]:.3f}, from nothing {pair[1]:.3f}")

means = [sum(column) / ROUNDS for column in zip(*scores, strict=True)]
print(f"mean: a new head {means[0]:.3f}, from nothing {means[1]:.3f}")
