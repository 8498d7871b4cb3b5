"""The emitted modules of all examples: checked in, what gradc emits today, clean, and standalone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gradc import pipeline

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.grad"))
GENERATED = ROOT / "generated"

STANDALONE = """
import sys

for banned in ("gradc", "gradc_templates", "sympy", "lark", "jinja2"):
    sys.modules[banned] = None  # an import of it raises

import numpy as np
import {name} as module

rng = np.random.default_rng(0)
arrays = []
for name, (kind, axes) in {{**module.INPUTS, **module.TARGETS}}.items():
    shape = [5 if isinstance(axis, str) else axis for axis in axes]
    if kind == "real":
        arrays.append(rng.normal(size=shape).astype(module.DTYPE))
    elif kind == "bool":
        arrays.append(rng.random(shape) < 0.5)
    else:
        arrays.append(rng.integers(0, module.RANGES[name], shape))
params = module.init(seed=1)
state = module.init_state(params)
before = module.evaluate(params, *arrays)["loss"]
losses = [module.train_step(params, state, *arrays) for _ in range({steps})]
random = hasattr(module, "_seed")
if {falls}:
    assert random or losses[0] == before or abs(losses[0] - before) < 1e-5 * abs(before)
    assert losses[-1] < losses[0], losses
assert (params.flat != module.init(seed=1).flat).any()
assert np.isfinite(params.flat).all()
loss, gradients = module.loss_and_gradients(params, *arrays)
assert list(gradients) == list(module.PARAMS)
module.predict(params, *arrays[: len(module.INPUTS)])
print("trained", losses[0], "to", losses[-1])
"""


COMPILED = {"digits", "diabetes", "breast_cancer"}
"""The others' modules take longer to compile; they run as Python does without Numba's compiler."""
GAMES = {"ring_gan"}
"""Two losses, of which each falls at the cost of the other."""


def _name(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("example", EXAMPLES, ids=_name)
def test_the_checked_in_module_is_what_gradc_emits(example, golden):
    text = example.read_text(encoding="utf-8")
    source = pipeline.emit(text, file=example.name, folder=example.parent, dtype="float32")
    golden(GENERATED / f"{example.stem}.py", source)
    assert source == pipeline.emit(text, file=example.name, folder=example.parent, dtype="float32")


def test_there_is_no_module_without_an_example():
    assert {path.stem for path in GENERATED.glob("*.py")} == {path.stem for path in EXAMPLES}


@pytest.mark.parametrize("example", EXAMPLES, ids=_name)
def test_the_module_runs_without_gradc(example, tmp_path):
    (tmp_path / f"{example.stem}.py").write_text((GENERATED / f"{example.stem}.py").read_text(encoding="utf-8"))
    steps, jit = (40, "0") if example.stem in COMPILED else (8, "1")
    main = STANDALONE.format(name=example.stem, steps=steps, falls=example.stem not in GAMES)
    (tmp_path / "main.py").write_text(main)
    environment = os.environ | {"NUMBA_DISABLE_JIT": jit}
    command = [sys.executable, "main.py"]
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("trained")


@pytest.mark.parametrize("example", EXAMPLES, ids=_name)
def test_the_module_is_clean(example):
    for command in (["check"], ["format", "--check", "--line-length", "120"]):
        run = subprocess.run(
            [sys.executable, "-m", "ruff", *command, str(GENERATED / f"{example.stem}.py")],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stdout + run.stderr
