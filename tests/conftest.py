"""Fixtures and options of the whole suite: no test writes to the user's cache, golden files are renewed on request."""

import difflib
from collections.abc import Callable
from pathlib import Path

import numba
import pytest

ROOT = Path(__file__).parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew; read the diff")


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Every worker has a cache folder of its own, so that tests neither see nor leave anything of the user's."""
    patch = pytest.MonkeyPatch()
    patch.setenv("GRADC_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def without_jit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules that are loaded in the test run as Python does. NUMBA_DISABLE_JIT would last beyond it: Numba reads its
    environment when it compiles, and then never compiles again."""
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """Compares a text with a stored one; `pytest --update-golden` stores it instead."""

    def compare(path: Path, text: str) -> None:
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            return
        stored = path.read_text(encoding="utf-8") if path.exists() else ""
        if stored != text:
            rows = difflib.unified_diff(stored.splitlines(), text.splitlines(), str(path), "now", lineterm="", n=2)
            pytest.fail("\n".join(["not what is stored; `pytest --update-golden` renews it", *list(rows)[:80]]))

    return compare
