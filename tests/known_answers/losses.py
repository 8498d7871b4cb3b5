"""What PyTorch gives for losses of densities, regions, distances and sequences. It writes nothing: see make.py."""

from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional as F

Function = Callable[..., torch.Tensor]

RNG = np.random.default_rng(20261126)


def _normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).round(3)


A = _normal(6)
B = A - np.array([1.0, -1.0, 0.0, 2.0, 0.4, -3.0])
SCORES = np.array([-2.0, -0.5, 0.0, 0.3, 1.0, 2.0])
HITS = np.array([1.0, 0.0, 1.0, 0.25, 0.0, 1.0])
A_ROWS, B_ROWS, C_ROWS = _normal(5, 3), _normal(5, 3), _normal(5, 3)
# two points that are the same
B_ROWS[1] = A_ROWS[1]
ALIKE = np.array([1.0, 0.0, 0.0, 1.0, 0.5])
# one variance below eps
VARIANCE = np.array([0.5, 1.0, 2.0, 1e-8, 0.1, 3.0])
REGION = RNG.uniform(size=(3, 4, 4)).round(3)
COVER = (RNG.uniform(size=(3, 4, 4)) < 0.5).astype(float)
# two labels alike, none, one that needs more steps than there are, as many as there are
SPEECH = _normal(5, 6, 4)
LABELS = np.array([[1, 2, 2], [3, 0, 0], [2, 2, 2], [3, 1, 0], [1, 2, 3]])
STEPS, COUNT = np.array([6, 5, 4, 2, 6]), np.array([3, 0, 3, 2, 3])
RANGES = {"labels": 4, "steps": 7, "count": 4}


def triplet(swap: bool) -> Function:
    return lambda a, b, c: F.triplet_margin_loss(a, b, c, reduction="none", swap=swap)


def contrastive(a: torch.Tensor, b: torch.Tensor, alike: torch.Tensor, margin: float = 1) -> torch.Tensor:
    apart = F.pairwise_distance(a, b)
    return (alike * apart**2 + (1 - alike) * F.relu(margin - apart) ** 2) / 2


def focal(logits: torch.Tensor, y: torch.Tensor, alpha: float = 0.25, gamma: float = 2) -> torch.Tensor:
    p, cross = logits.sigmoid(), F.binary_cross_entropy_with_logits(logits, y, reduction="none")
    return (alpha * y + (1 - alpha) * (1 - y)) * (1 - p * y - (1 - p) * (1 - y)) ** gamma * cross


def dice(p: torch.Tensor, y: torch.Tensor, smooth: float = 1) -> torch.Tensor:
    return 1 - (2 * (p * y).sum((1, 2)) + smooth) / (p.sum((1, 2)) + y.sum((1, 2)) + smooth)


def ctc(
    logits: torch.Tensor, labels: torch.Tensor, steps: torch.Tensor, count: torch.Tensor, zero: bool = True
) -> torch.Tensor:
    p = F.log_softmax(logits, -1).transpose(0, 1)
    return F.ctc_loss(p, labels, steps, count, reduction="none", zero_infinity=zero)


ROWS: dict[str, tuple[Function, dict[str, np.ndarray]]] = {
    "gaussian_nll(a, b, v)": (
        lambda a, b, v: F.gaussian_nll_loss(a, b, v, reduction="none"),
        {"a": A, "b": B, "v": VARIANCE},
    ),
    "gaussian_nll(a, b, v, full = true, eps = 0.3)": (
        lambda a, b, v: F.gaussian_nll_loss(a, b, v, full=True, eps=0.3, reduction="none"),
        {"a": A, "b": B, "v": VARIANCE},
    ),
    "normal_nll(a - b, 2)": (
        lambda a, b: F.gaussian_nll_loss(a, b, 2.0, reduction="none"),
        {"a": A, "b": B},
    ),
    "focal(logits, y)": (focal, {"logits": SCORES, "y": HITS}),
    "focal(logits, y, alpha = 0.6, gamma = 1)": (
        lambda logits, y: focal(logits, y, 0.6, 1),
        {"logits": SCORES, "y": HITS},
    ),
    "dice(p, y)": (dice, {"p": REGION, "y": COVER}),
    "dice(p, y, smooth = 0.1)": (lambda p, y: dice(p, y, 0.1), {"p": REGION, "y": COVER}),
    "distance(a, b)": (F.pairwise_distance, {"a": A_ROWS, "b": B_ROWS}),
    "triplet(a, b, c)": (triplet(False), {"a": A_ROWS, "b": B_ROWS, "c": C_ROWS}),
    "triplet(a, b, c, swap = true)": (triplet(True), {"a": A_ROWS, "b": B_ROWS, "c": C_ROWS}),
    "contrastive(a, b, z)": (contrastive, {"a": A_ROWS, "b": B_ROWS, "z": ALIKE}),
    "contrastive(a, b, z, margin = 2)": (
        lambda a, b, z: contrastive(a, b, z, 2),
        {"a": A_ROWS, "b": B_ROWS, "z": ALIKE},
    ),
    "info_nce(a, b)": (
        lambda a, b: F.cross_entropy(a @ b.T / 0.1, torch.arange(len(a)), reduction="none"),
        {"a": A_ROWS, "b": B_ROWS},
    ),
    "info_nce(a, b, temperature = 2)": (
        lambda a, b: F.cross_entropy(a @ b.T / 2, torch.arange(len(a)), reduction="none"),
        {"a": A_ROWS, "b": B_ROWS},
    ),
    "ctc(logits, labels, steps, count, zero_infinity = true)": (
        ctc,
        {"logits": SPEECH, "labels": LABELS, "steps": STEPS, "count": COUNT},
    ),
    "ctc(logits, labels, steps, count)": (
        lambda logits, labels, steps, count: ctc(logits, labels, steps, count, False),
        {"logits": SPEECH[::3], "labels": LABELS[::3], "steps": STEPS[::3], "count": COUNT[::3]},
    ),
    "residual(x, tanh)": (lambda x: x + x.tanh(), {"x": A}),
}
