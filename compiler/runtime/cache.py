"""The cache folder: emitted modules kept on disk, so that a model compiled once starts in a moment.

A key (hash of text, options and versions) -> the emitted module, from the folder or by calling `build`. Each entry is a
folder of its own, put in place by one rename: processes may share the cache without locks. Numba keeps its compiled
entries beside the source. An entry that does not load is built again. It knows nothing of the compiler.
"""

import atexit
import hashlib
import importlib.util
import json
import os
import re
import shutil
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import cast

from platformdirs import user_cache_dir

from gradc.collection import resting
from gradc.errors import GradcWarning

from .interface import Emitted

MOST_ENTRIES = 200
STAGING = ".staging-"
STAGING_SECONDS = 3600.0
RECORD = "entry.json"
IMPORTING = threading.RLock()


@dataclass(frozen=True, slots=True)
class Built:
    """What the compiler made of a model text: source, the files brought in by `use`, and what it warned about."""

    source: str
    dependencies: tuple[Path, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Loaded:
    """An emitted module, ready to call, and its source."""

    module: Emitted
    source: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Key:
    """What an emitted module depends on: `digest` covers all but the files brought in, which are found below `folder`.

    `stem` is for people who look into the cache folder.
    """

    digest: str
    folder: Path
    stem: str


def cache_folder() -> Path:
    """`GRADC_CACHE`, or the user's cache folder of this platform."""
    if chosen := os.environ.get("GRADC_CACHE"):
        return Path(chosen)
    return Path(user_cache_dir("gradc"))


def load(key: Key, build: Callable[[], Built]) -> Loaded:
    """The module for a key: from the cache folder where it is there and whole, else built, and kept if possible."""
    root = cache_folder()
    found = _find(root, key)
    if found is not None:
        return found
    built = build()
    try:
        return _keep(root, key, built)
    except OSError as error:
        reason = error.strerror or str(error)
        message = f"{root} cannot be used as cache ({reason}): models are compiled anew each time. "
        _tell(message + "Set GRADC_CACHE to a folder that can be written.")
    return _without_cache(key, built)


@cache
def _tell(message: str) -> None:
    """Warns of it, once in a process: Python by itself would once for each line that compiles a model."""
    warnings.warn(message, GradcWarning, stacklevel=6)


# ------------------------------------------------------------------ entries


def _dependency_list(root: Path, key: Key) -> Path:
    """Names the files that the model text brought in when it was last compiled: a hit must not parse it to know."""
    return root / f"{key.digest[:32]}.json"


def _entry_digest(key: Key, dependencies: list[str]) -> str:
    """The key's digest, and that of every file brought in."""
    whole = hashlib.sha256(key.digest.encode())
    for name in dependencies:
        content = hashlib.sha256((key.folder / name).read_bytes()).hexdigest()
        whole.update(f"\n{name} {content}".encode())
    return whole.hexdigest()


def _find(root: Path, key: Key) -> Loaded | None:
    """The kept entry; None where there is none. One that does not load is removed."""
    try:
        dependencies = _read_json(_dependency_list(root, key)).get("dependencies", [])
        entry = root / _entry_digest(key, [str(name) for name in cast(list[object], dependencies)])[:32]
    except (OSError, TypeError, ValueError):
        return None  # the list is damaged, or a file brought in is gone: compiling tells
    if not os.access(entry, os.W_OK):
        return None  # not there, or Numba could not write beside it
    try:
        loaded = _open(entry)
        os.utime(entry / RECORD)
    except Exception:  # whatever is wrong with a kept file, the cure is to build it again
        _remove(entry)
        return None
    return loaded


def _open(entry: Path) -> Loaded:
    """Loads an entry, if its source is what was written."""
    record = _read_json(entry / RECORD)
    path = entry / str(record["file"])
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != record["sha256"]:
        raise ValueError(f"{path} is damaged")
    told = tuple(str(warning) for warning in cast(list[object], record["warnings"]))
    return Loaded(_import(path), content.decode(), told)


def _keep(root: Path, key: Key, built: Built) -> Loaded:
    """Writes an entry aside, renames it into place and loads it from there. Raises OSError where that is impossible."""
    root.mkdir(parents=True, exist_ok=True)
    names = sorted(Path(os.path.relpath(path, key.folder)).as_posix() for path in built.dependencies)
    if names:
        _write_json(_dependency_list(root, key), {"dependencies": names})
    digest = _entry_digest(key, names)
    entry = root / digest[:32]
    staging = Path(tempfile.mkdtemp(prefix=STAGING, dir=root))
    try:
        file = _write_module(staging, key.stem, digest, built.source)
        sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
        _write_json(staging / RECORD, {"file": file.name, "sha256": sha256, "warnings": list(built.warnings)})
        _put_in_place(staging, entry)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    _prune(root)
    return Loaded(_import(entry / file.name), built.source, built.warnings)


def _put_in_place(staging: Path, entry: Path) -> None:
    """One rename. Where an entry stands already, another process has just put the same there."""
    try:
        staging.rename(entry)
    except OSError:
        if not entry.exists():
            raise


def _remove(entry: Path) -> None:
    """Out of sight by a rename first: no process sees half an entry."""
    try:
        aside = Path(tempfile.mkdtemp(prefix=STAGING, dir=entry.parent))
        entry.rename(aside / entry.name)
    except OSError:
        return  # another process was quicker, or nothing here can be changed: then no cache is used
    shutil.rmtree(aside, ignore_errors=True)


def _without_cache(key: Key, built: Built) -> Loaded:
    """Loads from a folder that is deleted when the process ends: Numba needs one to write to."""
    try:
        folder = Path(tempfile.mkdtemp(prefix="gradc-"))
    except OSError:
        return Loaded(_from_memory(key, built.source), built.source, built.warnings)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Loaded(_import(_write_module(folder, key.stem, key.digest, built.source)), built.source, built.warnings)


def _from_memory(key: Key, source: str) -> Emitted:
    """Where no folder can be written at all. Numba refuses to import what asks for a cache then, so nothing may ask."""
    name = _module_name(key.stem, key.digest)
    module = ModuleType(name)
    module.__file__ = f"<{name}>"
    exec(compile(source.replace("cache=True", "cache=False"), module.__file__, "exec"), module.__dict__)
    return cast(Emitted, module)


def _module_name(stem: str, digest: str) -> str:
    """Says which model, for people, and which contents, for Numba, which keeps its files under this name."""
    readable = re.sub(r"\W", "_", stem, flags=re.ASCII)[:40]
    return f"{readable}_{digest[:16]}"


def _write_module(folder: Path, stem: str, digest: str, source: str) -> Path:
    path = folder / f"{_module_name(stem, digest)}.py"
    path.write_bytes(source.encode())
    return path


def _import(path: Path) -> Emitted:
    """The module at a path. Numba's compiled entries look for it among the imported modules, by its name."""
    name = path.stem
    with IMPORTING:  # another thread may be half way through the same module
        if name not in sys.modules:
            spec = importlib.util.spec_from_file_location(name, path)
            assert spec is not None
            assert spec.loader is not None
            sys.modules[name] = importlib.util.module_from_spec(spec)
            try:
                with resting():  # it imports Numba
                    spec.loader.exec_module(sys.modules[name])
            except BaseException:
                del sys.modules[name]
                raise
        return cast(Emitted, sys.modules[name])


# ------------------------------------------------------------------ the folder


def _prune(root: Path) -> None:
    """Drops the entries used longest ago, beyond the most that are kept, and what broken-off writes left behind."""
    abandoned = time.time() - STAGING_SECONDS
    entries: list[tuple[float, Path]] = []
    lists: list[tuple[float, Path]] = []
    for path in root.iterdir():
        used = _modified(path / RECORD if path.is_dir() else path)
        if path.name.startswith(STAGING):
            if _modified(path) < abandoned:
                _delete(path)
        elif path.is_dir():
            entries.append((used, path))
        elif path.suffix == ".json":
            lists.append((used, path))
    for kept in (entries, lists):
        for _, path in sorted(kept, reverse=True)[MOST_ENTRIES:]:
            _delete(path)


def _modified(path: Path) -> float:
    """When a file was written last; long ago where it is gone, as another process may be tidying up too."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _read_json(path: Path) -> dict[str, object]:
    """A JSON object, empty where there is no such file."""
    if not path.exists():
        return {}
    value = json.loads(path.read_bytes())
    return value if isinstance(value, dict) else {}


def _write_json(path: Path, value: Mapping[str, object]) -> None:
    """Atomically: a reader sees the old contents or the new."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=STAGING, delete=False, encoding="utf-8") as file:
        json.dump(value, file)
    Path(file.name).replace(path)
