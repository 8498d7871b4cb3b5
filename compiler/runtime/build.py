"""From a model text to a loaded module: the cache first, the compiler only where the cache has nothing.

Options and text -> `cache.Loaded`. The compiler is imported by `pipeline` alone, and only when it is needed.
"""

import hashlib
import importlib
import importlib.metadata
import importlib.util
import os
import platform
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from types import ModuleType

from gradc.collection import resting
from gradc.errors import GradcWarning, fail

from .aside import aside
from .cache import Built, Key, Loaded, load
from .threads import threads_of_steps

DTYPES = ("float32", "float64")
SOURCES = (".py", ".lark", ".grad", ".j2")


@dataclass(frozen=True, slots=True)
class Options:
    """What shapes the emitted module besides the text. `lr` overrides the optimizer's learning rate."""

    dtype: str = "float32"
    lr: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.lr, Real):  # Python's own number: what NumPy's look like in text, a module cannot read
            object.__setattr__(self, "lr", float(self.lr))

    def check(self) -> None:
        """Raises GradcError for values that no module can be emitted for."""
        if self.dtype not in DTYPES:
            raise fail(
                "unknown-dtype", f"dtype is {' or '.join(DTYPES)}, not {self.dtype!r}", "leave it out for float32"
            )
        if self.lr is not None and not (isinstance(self.lr, Real) and 0.0 <= self.lr < float("inf")):
            message = f"lr is a finite number, at least 0, not {self.lr!r}"
            raise fail("bad-learning-rate", message, "write lr=1e-3; a schedule stands in the model's optimize line")


def pipeline() -> ModuleType:
    """The compiler. Imported here alone, and late: SymPy takes 0.35 s, which a model from the cache need not pay."""
    return importlib.import_module("gradc.pipeline")


def build(text: str, file: Path, options: Options) -> Loaded:
    """The module for a model text. `file` is where it stands: its name is shown in errors, its folder is that of `use`.

    Raises:
        GradcError: the text is not a model, the options are wrong, or the environment says no number of threads.
    """
    options.check()
    threads_of_steps()
    loaded = load(_key(text, file, options), lambda: _built(text, file, options))
    for message in loaded.warnings:
        warnings.warn(message, GradcWarning, stacklevel=4)
    return loaded


def _built(text: str, file: Path, options: Options) -> Built:
    """In a process of its own, as long as this one has not loaded the compiler anyway."""
    if "gradc.pipeline" in sys.modules:
        return _compiled(text, file, options)
    return aside(_compiled, text, file, options)


def _compiled(text: str, file: Path, options: Options) -> Built:
    """Warnings are kept with the source, so that a model from the cache gives them too."""
    with resting(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        source = pipeline().emit(text, file=str(file), dtype=options.dtype, lr=options.lr)
    ours = tuple(str(warning.message) for warning in caught if issubclass(warning.category, GradcWarning))
    for other in caught:
        if not issubclass(other.category, GradcWarning):
            warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)
    return Built(source, tuple(pipeline().dependencies(text, str(file))), ours)


def _key(text: str, file: Path, options: Options) -> Key:
    parts = (text, file.name, options.dtype, repr(options.lr), *_versions())
    digest = hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
    return Key(digest, file.parent, file.stem)


def _versions() -> Iterator[str]:
    """Of all that decides what is emitted and what Numba makes of it."""
    for package in ("gradc", "numba", "numpy"):
        yield f"{package} {importlib.metadata.version(package)}"
    yield f"{platform.python_implementation()} {platform.python_version()}"
    yield _stamp(Path(__file__).parents[1])
    # find_spec looks for the templates without importing them
    templates = importlib.util.find_spec("gradc_templates")
    for folder in (templates.submodule_search_locations or ()) if templates else ():
        yield _stamp(Path(folder))


def _stamp(folder: Path) -> str:
    """Changes with every file of the compiler, so that developing it never serves what an older one emitted."""
    seen: list[str] = []
    with os.scandir(folder) as children:
        for child in children:
            if child.is_dir(follow_symlinks=False):
                if child.name != "__pycache__":
                    seen.append(f"{child.name}({_stamp(Path(child.path))})")
            elif child.name.endswith(SOURCES):
                status = child.stat()
                seen.append(f"{child.name} {status.st_size} {status.st_mtime_ns}")
    return " ".join(sorted(seen))
