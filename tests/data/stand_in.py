"""A module as gradc emits it, written by hand in plain NumPy: y = x w + b, squared error, momentum with a little noise.

Stands in for emitted modules where a test is about what uses them. It needs no compiling.
"""

import numpy as np

NAME = "line"
DTYPE = "float32"
SOURCE = ""
HASH = "0123456789abcdef"
PARAMS = {"w": (0, (3, 1)), "b": (3, (1,))}
MOMENTS = {"w.v": (0, (3, 1)), "b.v": (3, (1,))}
INPUTS = {"x": ("real", ("batch", 3))}
TARGETS = {"y": ("real", ("batch",))}
RANGES = {}
BATCH = "batch"
PREDICTIONS = ("p",)
METRICS = ("mae",)
DATA = None
FIT = {"epochs": 4, "batch": 8, "validation": 0.25}
LR = 0.05


class Params:
    def __init__(self, flat):
        self.flat = flat

    def __getitem__(self, name):
        offset, shape = PARAMS[name]
        return self.flat[offset : offset + int(np.prod(shape))].reshape(shape)

    def __setitem__(self, name, value):
        self[name][...] = value

    def __iter__(self):
        return iter(PARAMS)

    def __len__(self):
        return len(PARAMS)

    def keys(self):
        return PARAMS.keys()

    def values(self):
        return [self[name] for name in PARAMS]

    def items(self):
        return [(name, self[name]) for name in PARAMS]


class State:
    def __init__(self):
        self.flat = np.zeros(4, DTYPE)
        self.step = 0
        self.seed = 0


def init(seed=0):
    return Params(np.random.default_rng(seed).normal(size=4).astype(DTYPE))


def init_state(params):
    return State()


def loss_and_gradients(params, x, y, seed=0):
    x, y = _checked(x), np.asarray(y, DTYPE)
    error = (x @ params["w"])[:, 0] + params["b"][0] - y
    gradient = Params(np.zeros(4, DTYPE))
    gradient["w"] = 2 * x.T @ error[:, None] / len(x)
    gradient["b"] = 2 * error.mean()
    return float(np.mean(error.astype("float64") ** 2)), gradient


def train_step(params, state, x, y):
    loss, gradient = loss_and_gradients(params, x, y)
    if not np.isfinite(loss):
        raise FloatingPointError(f"the loss of step {state.step + 1} is {loss}")
    state.step += 1
    noise = np.random.default_rng([state.seed, state.step]).normal(size=4) * 1e-3
    state.flat[:] = 0.9 * state.flat + gradient.flat + noise.astype(DTYPE)
    params.flat -= np.asarray(LR, DTYPE) * state.flat
    return loss


def train_steps(params, state, steps, x, y):
    parts = zip(np.split(x, steps), np.split(y, steps), strict=True)
    return np.array([train_step(params, state, *part) for part in parts])


def predict(params, x, seed=0):
    return (_checked(x) @ params["w"])[:, 0] + params["b"][0]


def evaluate(params, x, y):
    return {
        "loss": loss_and_gradients(params, x, y)[0],
        "mae": float(np.abs(predict(params, x) - np.asarray(y, DTYPE)).mean()),
    }


def _checked(x):
    x = np.ascontiguousarray(x, DTYPE)
    if x.ndim != 2 or x.shape[1] != 3:
        raise ValueError(f"x is [batch, 3]; got {list(x.shape)}")
    return x
