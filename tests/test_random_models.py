"""Random small models: the syntax's oracle, every graph, the emitted code and JAX agree, whatever the buffers hold.

A part that fails prints the model, with the values of its leaves: it can be pasted into a script. With SHRINK=1 in the
environment it is made smaller first, which takes minutes.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, note, seed, settings
from support.agreement import by_jax, check_compiled, check_module, check_stages, sources_of
from support.models import BYTES, RandomModel, made_from, models

PARTS, EXAMPLES = 20, 25
COMPILED = 20


def explore(check: Any, part: int, examples: int) -> None:
    """Runs a check on models of a part of its own."""

    @seed(part)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink] if os.environ.get("SHRINK") else [Phase.generate],
        report_multiple_bugs=False,
    )
    @given(model=models())
    def run(model: RandomModel) -> None:
        note(repr(model))
        check(model)

    run()


@contextmanager
def noted(model: RandomModel) -> Iterator[None]:
    """What goes wrong inside shows the model."""
    try:
        yield
    except Exception as error:
        error.add_note(repr(model))
        raise


def agrees(model: RandomModel) -> None:
    expected = by_jax(model)
    stages = check_stages(model, expected)
    check_module(sources_of(stages, model.text, "float64"), model, expected)


@pytest.mark.parametrize("part", range(PARTS))
def test_models_agree(part: int) -> None:
    explore(agrees, part, EXAMPLES)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("start", range(COMPILED // 2))
def test_compiled_models_agree(start: int, dtype: str, tmp_path: Path) -> None:
    """Few, since each takes Numba seconds; `-k compiled` runs them alone."""
    model = made_from(np.random.default_rng(start).bytes(BYTES), most=3)
    expected = by_jax(model)
    sources = sources_of(check_stages(model, expected), model.text, dtype)
    with noted(model):
        check_compiled(sources, model, expected, tmp_path)
