"""Lint, types, and the direction of imports: what a reader may take for granted about the source."""

import ast
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "compiler"

LAYERS = {
    "errors": set(),
    "patterns": set(),
    "nearest": set(),
    "collection": set(),
    "beside": {"nearest"},
    "source": {"beside", "errors"},
    "graph": {"errors"},
    "language": {"graph", "errors", "patterns", "nearest", "source"},
    "calculus": {"graph", "errors"},
    "algebra": {"graph", "errors"},
    "schedule": {"graph", "errors"},
    "emit": {"graph", "errors", "schedule"},
    "capacity": {"language", "schedule", "errors"},
    "stages": {"language", "calculus", "algebra", "schedule", "emit", "graph", "errors", "collection", "capacity"},
    "runtime": {"errors", "patterns", "nearest", "collection", "beside", "source"},
}
"""What each part may import. Emitting prints programs, so it alone of the middle ones sees another: `schedule`."""

THIRD_PARTY = {
    "lark": {"language"},
    "jinja2": {"emit/render.py"},
    "numba": {"clock.py", "emit/prelude", "collection.py", "runtime/ready.py"},
    "opt_einsum": {"algebra/pairs.py"},
    "sympy": {"graph", "calculus", "algebra", "schedule", "emit", "language/lower.py", "deriv", "held", "check"},
}


def _imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module or "")
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("layer", sorted(LAYERS))
def test_imports_run_one_way(layer):
    for path in _sources():
        part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if part != layer:
            continue
        used = {name.split(".")[1] for name in _imports(path) if name.startswith("gradc.")}
        assert used - LAYERS[layer] - {layer, "__version__"} == set(), path


@pytest.mark.parametrize("library", sorted(THIRD_PARTY))
def test_third_parties_stay_at_their_place(library):
    for path in _sources():
        place = path.relative_to(PACKAGE).as_posix()
        if any(name.split(".")[0] == library for name in _imports(path)):
            assert any(place.startswith(allowed) for allowed in THIRD_PARTY[library]), place


def _run(*command: str, **environment: str) -> str:
    """What it prints."""
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=os.environ | environment)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_ruff_finds_nothing():
    _run(sys.executable, "-m", "ruff", "check", ".")


USERS = """
import gradc

model = gradc.compile("digits.grad")
loss, gradients = model.loss_and_gradients([[0.0]], [1])
reveal_type(model)
reveal_type(loss)
reveal_type(model.fit([[0.0]], [1], epochs=1))
"""


def test_users_see_the_types(tmp_path):
    """Of a package that is installed as a folder: `py.typed` comes along."""
    shipped = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]["package-data"]["gradc"]
    assert "py.typed" in shipped
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "gradc").symlink_to(PACKAGE, target_is_directory=True)
    (tmp_path / "script.py").write_text(USERS)
    script = str(tmp_path / "script.py")
    told = _run(sys.executable, "-m", "mypy", "--strict", script, MYPYPATH=str(tmp_path / "site"))
    for kind in ("gradc.runtime.model.Model", "float", "gradc.runtime.training.History"):
        assert f'Revealed type is "{kind}"' in told


def test_mypy_strict_finds_nothing(tmp_path):
    (tmp_path / "gradc").symlink_to(PACKAGE, target_is_directory=True)
    _run(sys.executable, "-m", "mypy", "--strict", "-p", "gradc", MYPYPATH=str(tmp_path))
