"""gradc's vector functions: the kernels of modules of one equation. Writes nanoseconds a number as JSON."""

import json
import sys

import numpy as np
from clock import cost

import gradc


def of(name: str, dtype: str, numbers: int) -> float:
    """A function's cost."""
    body = "x[n]^1.7" if name == "pow" else f"{name}(x[n])"
    model = gradc.compile_text(f"dim count\ninput x[count]\npredict y[n] = {body}\nloss sum(y)", dtype=dtype)
    x = np.random.default_rng(0).uniform(0.1, 4.0, numbers).astype(dtype)
    y, params = np.empty_like(x), model.module.init().flat
    entry = model.module.predict_entry
    entry(params, x, y)
    return cost(lambda: entry(params, x, y), numbers)


found = {name: {dtype: of(name, dtype, int(sys.argv[1])) for dtype in ("float32", "float64")} for name in sys.argv[2:]}
sys.stdout.write(json.dumps(found))
