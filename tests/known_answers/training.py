"""What PyTorch's optimizers and learning-rate schedulers do, step by step.

The keys are gradc's texts; beside each stands what PyTorch calls it. `rates` has learning rates, `trajectories` the
parameters of a small model after each of 20 steps. Lion, which PyTorch lacks, is its paper's algorithm in NumPy. It
writes nothing: see make.py.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional as F
from torch.optim import lr_scheduler

RNG = np.random.default_rng(20240612)

# ---------------------------------------------------------------- schedules

Scheduler = Callable[[torch.optim.Optimizer], lr_scheduler.LRScheduler]


def warmed(optimizer: torch.optim.Optimizer) -> lr_scheduler.LRScheduler:
    """A line over 8 steps, then half a cosine over 32."""
    line = lr_scheduler.LinearLR(optimizer, start_factor=1 / 9, total_iters=8)
    cosine = lr_scheduler.CosineAnnealingLR(optimizer, T_max=32, eta_min=0.01)
    return lr_scheduler.SequentialLR(optimizer, [line, cosine], milestones=[8])


def one_cycle(optimizer: torch.optim.Optimizer, steps: int, **options: float) -> lr_scheduler.LRScheduler:
    return lr_scheduler.OneCycleLR(optimizer, 0.5, total_steps=steps, cycle_momentum=False, **options)


# the scheduler, and how many steps it is meant for: what follows is a choice of gradc's, not PyTorch's
SCHEDULES: dict[str, tuple[Scheduler, int]] = {
    "constant(0.5)": (lambda o: lr_scheduler.ConstantLR(o, factor=1), 50),
    "step_decay(0.5, every = 7)": (lambda o: lr_scheduler.StepLR(o, 7), 50),
    "step_decay(0.5, every = 10, factor = 0.7)": (lambda o: lr_scheduler.StepLR(o, 10, 0.7), 50),
    "exponential_decay(0.5, 0.9)": (lambda o: lr_scheduler.ExponentialLR(o, 0.9), 50),
    "cosine(0.5, steps = 50)": (lambda o: lr_scheduler.CosineAnnealingLR(o, 50), 50),
    "cosine(0.5, steps = 40, warmup = 8, final = 0.01)": (warmed, 41),
    "one_cycle(0.5, steps = 50)": (lambda o: one_cycle(o, 50), 50),
    "one_cycle(0.5, steps = 47, pct_start = 0.4, div_factor = 10, final_div_factor = 100)": (
        lambda o: one_cycle(o, 47, pct_start=0.4, div_factor=10, final_div_factor=100),
        47,
    ),
}


def learning_rates(scheduler: Scheduler, steps: int) -> list[float]:
    """The learning rate that each of the steps uses."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    schedule = scheduler(optimizer)
    rates = []
    for _ in range(steps):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        schedule.step()
    return rates


# ---------------------------------------------------------------- optimizers

DATA_X = RNG.normal(size=(8, 2)).round(3)
DATA_Y = (3 * RNG.normal(size=8)).round(3)
INITIAL = {
    "w": RNG.normal(size=(2, 3)).round(3),
    "b": RNG.normal(size=3).round(3),
    "v": RNG.normal(size=3).round(3),
    "c": np.array(0.5),
}
STEPS = 20
Optimizer = Callable[[list[torch.Tensor]], torch.optim.Optimizer]

OPTIMIZERS: dict[str, Optimizer] = {
    "sgd(lr = 0.05)": lambda p: torch.optim.SGD(p, 0.05),
    "sgd()": torch.optim.SGD,
    "sgd(lr = 0.05, momentum = 0.9)": lambda p: torch.optim.SGD(p, 0.05, 0.9),
    "sgd(lr = 0.05, momentum = 0.9, nesterov = true, weight_decay = 0.1)": (
        lambda p: torch.optim.SGD(p, 0.05, 0.9, nesterov=True, weight_decay=0.1)
    ),
    "sgd(lr = 0.05, momentum = 0.9, dampening = 0.3)": lambda p: torch.optim.SGD(p, 0.05, 0.9, dampening=0.3),
    "rmsprop()": torch.optim.RMSprop,
    "rmsprop(lr = 0.02, alpha = 0.9, centered = true)": (
        lambda p: torch.optim.RMSprop(p, 0.02, alpha=0.9, centered=True)
    ),
    "rmsprop(momentum = 0.8, weight_decay = 0.1, eps = 1e-3)": (
        lambda p: torch.optim.RMSprop(p, momentum=0.8, weight_decay=0.1, eps=1e-3)
    ),
    "adagrad()": torch.optim.Adagrad,
    "adagrad(lr = 0.1, lr_decay = 0.05, weight_decay = 0.1, initial = 0.2)": (
        lambda p: torch.optim.Adagrad(p, 0.1, lr_decay=0.05, weight_decay=0.1, initial_accumulator_value=0.2)
    ),
    "adadelta()": torch.optim.Adadelta,
    "adadelta(lr = 0.5, rho = 0.8, eps = 1e-3, weight_decay = 0.1)": (
        lambda p: torch.optim.Adadelta(p, 0.5, rho=0.8, eps=1e-3, weight_decay=0.1)
    ),
    "adam()": torch.optim.Adam,
    "adam(lr = 0.1, beta1 = 0.8, beta2 = 0.95, eps = 1e-3, weight_decay = 0.1)": (
        lambda p: torch.optim.Adam(p, 0.1, (0.8, 0.95), 1e-3, 0.1)
    ),
    "adam(lr = 0.3, beta2 = 0.9, amsgrad = true)": lambda p: torch.optim.Adam(p, 0.3, (0.9, 0.9), amsgrad=True),
    "adamw()": torch.optim.AdamW,
    "adamw(lr = 0.1, weight_decay = 0.3)": lambda p: torch.optim.AdamW(p, 0.1, weight_decay=0.3),
    "adamw(lr = 0.3, beta2 = 0.9, amsgrad = true)": lambda p: torch.optim.AdamW(p, 0.3, (0.9, 0.9), amsgrad=True),
    "nadam()": torch.optim.NAdam,
    "nadam(lr = 0.1, weight_decay = 0.1, momentum_decay = 0.1)": (
        lambda p: torch.optim.NAdam(p, 0.1, weight_decay=0.1, momentum_decay=0.1)
    ),
}


def loss_of(parameters: dict[str, torch.Tensor]) -> torch.Tensor:
    """The model of the test: two layers with a tanh between, mean squared error."""
    hidden = torch.tanh(torch.tensor(DATA_X) @ parameters["w"] + parameters["b"])
    return F.mse_loss(hidden @ parameters["v"] + parameters["c"], torch.tensor(DATA_Y))


def flat(parameters: dict[str, torch.Tensor]) -> np.ndarray:
    return np.concatenate([tensor.detach().numpy().ravel() for tensor in parameters.values()])


def started() -> dict[str, torch.Tensor]:
    return {name: torch.tensor(value, requires_grad=True) for name, value in INITIAL.items()}


def trajectory(
    optimizer: Optimizer,
    clip: Callable[[list[torch.Tensor]], object] = lambda _: None,
    scheduler: Scheduler | None = None,
) -> np.ndarray:
    """All parameters in a row after each step: [STEPS, their number]."""
    parameters = started()
    rule = optimizer(list(parameters.values()))
    schedule = scheduler(rule) if scheduler else None
    rows = []
    for _ in range(STEPS):
        rule.zero_grad()
        loss_of(parameters).backward()
        clip(list(parameters.values()))
        rule.step()
        if schedule:
            schedule.step()
        rows.append(flat(parameters))
    return np.stack(rows)


def lion(lr: float = 1e-4, beta1: float = 0.9, beta2: float = 0.99, weight_decay: float = 0.0) -> np.ndarray:
    """Chen and others (2023), algorithm 2, line by line."""
    parameters = started()
    m = {name: np.zeros(value.shape) for name, value in INITIAL.items()}
    rows = []
    for _ in range(STEPS):
        gradients = torch.autograd.grad(loss_of(parameters), list(parameters.values()))
        for (name, p), gradient in zip(parameters.items(), gradients, strict=True):
            g, theta = gradient.numpy(), p.detach().numpy()
            c = beta1 * m[name] + (1 - beta1) * g
            theta -= lr * (np.sign(c) + weight_decay * theta)
            m[name] = beta2 * m[name] + (1 - beta2) * g
        rows.append(flat(parameters))
    return np.stack(rows)


def trajectories() -> dict[str, np.ndarray]:
    """The optimize line's text → the trajectory."""

    def sgd(p: list[torch.Tensor]) -> torch.optim.Optimizer:
        return torch.optim.SGD(p, 0.05)

    def adamw(p: list[torch.Tensor]) -> torch.optim.Optimizer:
        return torch.optim.AdamW(p, 0.1)

    def cosine(rule: torch.optim.Optimizer) -> lr_scheduler.LRScheduler:
        return lr_scheduler.CosineAnnealingLR(rule, STEPS)

    return {text: trajectory(optimizer) for text, optimizer in OPTIMIZERS.items()} | {
        "lion()": lion(),
        "lion(lr = 0.03, beta1 = 0.8, beta2 = 0.9, weight_decay = 0.1)": lion(0.03, 0.8, 0.9, 0.1),
        "sgd(lr = 0.05), clip_norm = 1.5": trajectory(sgd, lambda p: torch.nn.utils.clip_grad_norm_(p, 1.5)),
        "sgd(lr = 0.05), clip_value = 0.5": trajectory(sgd, lambda p: torch.nn.utils.clip_grad_value_(p, 0.5)),
        f"adamw(lr = cosine(0.1, steps = {STEPS}))": trajectory(adamw, scheduler=cosine),
    }


def rates() -> dict[str, list[float]]:
    """The schedule's text → the learning rates."""
    return {text: learning_rates(*entry) for text, entry in SCHEDULES.items()}


def start() -> dict[str, np.ndarray]:
    """What every trajectory starts from: the data, and the parameters as `initial_<name>`."""
    return {"x": DATA_X, "y": DATA_Y} | {f"initial_{name}": value for name, value in INITIAL.items()}
