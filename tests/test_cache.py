"""The cache folder: hits and misses, damage, concurrency, no place to write, and what a hit must not import."""

import gc
import json
import os
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import stand_in

from gradc import GradcError, GradcWarning
from gradc.runtime import build as building
from gradc.runtime import cache
from gradc.runtime.build import Options, build
from gradc.runtime.cache import Loaded

OPTIONS = Options("float32")


@pytest.fixture(autouse=True)
def _stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stand_in.install(monkeypatch, tmp_path / "cache")


def again(text: str, file: Path, options: Options = OPTIONS) -> Loaded:
    """Builds as a new process would: nothing is imported yet."""
    for name in [name for name, module in sys.modules.items() if getattr(module, "PARAMS", None) is not None]:
        del sys.modules[name]
    return build(text, file, options)


def entries(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_dir()]


def test_second_build_comes_from_the_cache(tmp_path):
    first = again("model", tmp_path / "m.grad")
    second = again("model", tmp_path / "m.grad")
    assert stand_in.calls == ["model"]
    assert second.source == first.source
    assert second.module is not first.module
    assert second.module.__file__ == first.module.__file__
    assert Path(second.module.__file__).name.startswith("m_")


def test_a_model_built_twice_in_a_process_is_one_module(tmp_path):
    assert build("model", tmp_path / "m.grad", OPTIONS).module is build("model", tmp_path / "m.grad", OPTIONS).module


@pytest.mark.parametrize(
    ("text", "name", "options"),
    [
        ("model 2", "m.grad", OPTIONS),
        ("model", "n.grad", OPTIONS),
        ("model", "m.grad", Options("float64")),
        ("model", "m.grad", Options("float32", 0.5)),
    ],
)
def test_text_name_and_options_are_part_of_the_key(tmp_path, text, name, options):
    first = again("model", tmp_path / "m.grad")
    assert again(text, tmp_path / name, options).module.__file__ != first.module.__file__
    assert len(stand_in.calls) == 2


def test_a_change_of_the_compiler_is_a_miss(tmp_path, monkeypatch):
    again("model", tmp_path / "m.grad")
    monkeypatch.setattr(building, "_stamp", lambda folder: "edited")
    again("model", tmp_path / "m.grad")
    assert len(stand_in.calls) == 2


def test_the_stamp_sees_every_source_file(tmp_path):
    (tmp_path / "std").mkdir()
    (tmp_path / "std" / "a.grad").write_text("def f(x) = x")
    (tmp_path / "__pycache__").mkdir()
    before = building._stamp(tmp_path)
    (tmp_path / "__pycache__" / "b.py").write_text("")
    assert building._stamp(tmp_path) == before
    (tmp_path / "std" / "a.grad").write_text("def f(x) = 2 * x")
    assert building._stamp(tmp_path) != before


def test_a_file_brought_in_is_part_of_the_key(tmp_path):
    file, text = tmp_path / "m.grad", 'use "b.grad"'
    (tmp_path / "b.grad").write_text("one")
    again(text, file)
    again(text, file)
    assert len(stand_in.calls) == 1
    (tmp_path / "b.grad").write_text("two")
    assert again(text, file).module.SOURCE.endswith("two")
    assert len(stand_in.calls) == 2
    (tmp_path / "b.grad").write_text("one")
    assert again(text, file).module.SOURCE.endswith("one")
    assert len(stand_in.calls) == 2


def test_a_file_brought_in_that_is_gone_is_the_compilers_business(tmp_path):
    (tmp_path / "b.grad").write_text("one")
    again('use "b.grad"', tmp_path / "m.grad")
    (tmp_path / "b.grad").unlink()
    with pytest.raises(FileNotFoundError):
        again('use "b.grad"', tmp_path / "m.grad")
    assert len(stand_in.calls) == 2


def test_the_same_text_in_another_folder_with_another_use(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "b.grad").write_text(folder)
    for folder in ("a", "b", "a", "b"):
        assert again('use "b.grad"', tmp_path / folder / "m.grad").module.SOURCE.endswith(folder)
    assert len(stand_in.calls) == 2


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _record(path: Path) -> Path:
    return path.parent / cache.RECORD


@pytest.mark.parametrize(
    "damage",
    [
        _truncate,
        Path.unlink,
        lambda path: path.write_bytes(b"\0"),
        lambda path: path.write_text(path.read_text().replace("0.9", "0.8")),
        lambda path: _truncate(_record(path)),
        lambda path: _record(path).unlink(),
        lambda path: _record(path).write_text("[]"),
        lambda path: _record(path).write_text("garbage"),
    ],
)
def test_a_damaged_entry_is_built_again(tmp_path, damage):
    first = again("model", tmp_path / "m.grad")
    damage(Path(first.module.__file__))
    assert again("model", tmp_path / "m.grad").source == first.source
    assert again("model", tmp_path / "m.grad").source == first.source
    assert len(stand_in.calls) == 2
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_an_entry_that_does_not_import_is_built_again(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    file = Path(again("model", tmp_path / "m.grad").module.__file__)
    [compiled] = (file.parent / "__pycache__").glob("*.pyc")
    compiled.write_bytes(compiled.read_bytes()[:40])
    again("model", tmp_path / "m.grad")
    assert len(stand_in.calls) == 2


def test_a_damaged_list_of_files_brought_in(tmp_path):
    (tmp_path / "b.grad").write_text("one")
    again('use "b.grad"', tmp_path / "m.grad")
    [names] = (tmp_path / "cache").glob("*.json")
    for content in ("", "3", '{"dependencies": 3}', '{"dependencies": [3]}'):
        names.write_text(content)
        assert again('use "b.grad"', tmp_path / "m.grad").module.SOURCE.endswith("one")


def test_what_the_compiler_warned_about_is_told_again(tmp_path):
    for _ in range(2):
        with pytest.warns(GradcWarning, match="m.grad:1: warning: warn of it"):
            again("warn of it", tmp_path / "m.grad")
    assert len(stand_in.calls) == 1


def test_other_warnings_of_the_compiler_pass_through(tmp_path):
    with pytest.warns(DeprecationWarning, match="old"):
        again("deprecated", tmp_path / "m.grad")


def test_an_error_of_the_model_leaves_nothing(tmp_path):
    with pytest.raises(GradcError, match="this is wrong"):
        again("wrong", tmp_path / "m.grad")
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("options", [Options("float16"), Options("float32", float("nan")), Options("float32", -1.0)])
def test_options_that_make_no_sense(tmp_path, options):
    with pytest.raises(GradcError, match=r"dtype is|lr is"):
        build("model", tmp_path / "m.grad", options)


# ------------------------------------------------------------------ the folder


def test_the_least_recently_used_entries_go(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "MOST_ENTRIES", 3)
    (tmp_path / "b.grad").write_text("one")
    files = []
    for number in range(5):
        loaded = again(f'{number}\nuse "b.grad"', tmp_path / "m.grad")
        files.append(Path(loaded.module.__file__))
        moment = time.time() - 1000 + number
        os.utime(files[-1].parent / cache.RECORD, (moment, moment))
        if number == 3:
            again('1\nuse "b.grad"', tmp_path / "m.grad")  # used just now
    assert [file.exists() for file in files] == [False, True, False, True, True]
    assert len(list((tmp_path / "cache").glob("*.json"))) == 3


def test_broken_off_writes_are_tidied_up(tmp_path):
    folder = tmp_path / "cache"
    (folder / ".staging-old").mkdir(parents=True)
    (folder / ".staging-file").write_text("")
    (folder / ".staging-new").mkdir()
    for name in (".staging-old", ".staging-file"):
        os.utime(folder / name, (0, 0))
    again("model", tmp_path / "m.grad")
    assert not (folder / ".staging-old").exists()
    assert not (folder / ".staging-file").exists()
    assert (folder / ".staging-new").exists()


def test_many_at_once_build_one_entry(tmp_path):
    key = cache.Key("0" * 64, tmp_path, "m")
    source = stand_in.emit("model", file="m.grad", dtype="float32")
    together = threading.Barrier(8)
    failures: list[BaseException] = []

    def race() -> None:
        try:
            together.wait()
            staged = cache._keep(tmp_path / "cache", key, cache.Built(source))
            assert staged.module.NAME == "m"
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=race) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_processes_share_the_cache(tmp_path):
    script = "import sys, stand_in; sys.modules['gradc.pipeline'] = stand_in; import gradc; gradc.compile_text('one')"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "GRADC_CACHE": str(tmp_path / "cache")}
    running = [
        subprocess.Popen([sys.executable, "-c", script], env=environment, stderr=subprocess.PIPE) for _ in range(4)
    ]
    assert [(process.communicate()[1], process.returncode) for process in running] == [(b"", 0)] * 4
    assert len(entries(tmp_path / "cache")) == 1


# ------------------------------------------------------------------ no place to write


def unusable(tmp_path: Path) -> Path:
    """A path that no folder can be made at, whoever asks."""
    (tmp_path / "file").write_text("")
    return tmp_path / "file" / "cache"


def test_without_a_cache_there_is_one_warning_and_a_model(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADC_CACHE", str(unusable(tmp_path)))
    with pytest.warns(GradcWarning, match="cannot be used as cache") as told:
        loaded = again("model", tmp_path / "m.grad")
    assert len(told) == 1
    assert loaded.module.init(0).flat.shape == (4,)
    assert not Path(loaded.module.__file__).is_relative_to(tmp_path)


def test_a_missing_cache_is_told_of_once_in_a_process(tmp_path):
    """However many models are compiled, from however many lines."""
    calls = "\n".join(f"gradc.compile_text('model {n}')" for n in range(3))
    script = f"import sys, stand_in\nsys.modules['gradc.pipeline'] = stand_in\nimport gradc\n{calls}\n"
    (tmp_path / "script.py").write_text(script)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "GRADC_CACHE": str(unusable(tmp_path))}
    command = [sys.executable, str(tmp_path / "script.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("GradcWarning") == 1
    assert "script.py:4: GradcWarning" in done.stderr


def test_where_nothing_can_be_written_the_module_stays_in_memory(tmp_path, monkeypatch):
    def refuse(*args: object, **named: object) -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setenv("GRADC_CACHE", str(unusable(tmp_path)))
    monkeypatch.setattr(cache.tempfile, "mkdtemp", refuse)
    with pytest.warns(GradcWarning, match="cannot be used as cache"):
        loaded = again("model\npython CACHED = dict(cache=True)", tmp_path / "m.grad")
    assert loaded.module.CACHED == {"cache": False}
    assert "cache=True" in loaded.source
    assert loaded.module.__file__.startswith("<m_")


def test_a_cache_that_cannot_be_written_is_not_used(tmp_path, monkeypatch):
    again("model", tmp_path / "m.grad")
    monkeypatch.setattr(cache.os, "access", lambda path, mode: False)
    monkeypatch.setattr(cache, "_keep", lambda *args: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
    with pytest.warns(GradcWarning, match="Permission denied"):
        again("model", tmp_path / "m.grad")
    assert len(stand_in.calls) == 2


def test_a_damaged_entry_that_cannot_be_removed(tmp_path, monkeypatch):
    first = again("model", tmp_path / "m.grad")
    Path(first.module.__file__).unlink()
    monkeypatch.setattr(cache.Path, "rename", lambda path, target: (_ for _ in ()).throw(PermissionError(13, "no")))
    assert cache._find(tmp_path / "cache", building._key("model", tmp_path / "m.grad", OPTIONS)) is None


def test_an_error_while_renaming_is_not_swallowed(tmp_path):
    with pytest.raises(FileNotFoundError):
        cache._put_in_place(tmp_path / "absent", tmp_path / "entry")


def test_the_folder_is_the_users_or_the_one_named(monkeypatch, tmp_path):
    assert cache.cache_folder() == tmp_path / "cache"
    monkeypatch.setenv("GRADC_CACHE", "")
    assert cache.cache_folder().name == "gradc"


# ------------------------------------------------------------------ what is imported


def run(script: str, folder: Path) -> dict[str, object]:
    """Runs a script in a process of its own; it prints JSON."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "GRADC_CACHE": str(folder)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result: dict[str, object] = json.loads(done.stdout)
    return result


HEAVY = "{'sympy', 'lark', 'jinja2', 'rich', 'gradc.pipeline', 'opt_einsum'}"


def test_importing_gradc_imports_next_to_nothing(tmp_path):
    script = f"import json, sys, gradc; print(json.dumps(sorted(({HEAVY} | {{'numpy', 'numba'}}) & set(sys.modules))))"
    assert run(script, tmp_path) == []


def test_a_cache_hit_does_not_import_the_compiler(tmp_path):
    compiling = "import json, sys, stand_in; sys.modules['gradc.pipeline'] = stand_in; import gradc; "
    run(compiling + "gradc.compile_text('one'); print('{}')", tmp_path)
    script = f"import json, sys, gradc; gradc.compile_text('one'); print(json.dumps([*({HEAVY} & set(sys.modules))]))"
    assert run(script, tmp_path) == []


def test_public_names(tmp_path):
    import gradc

    for name in gradc.__all__:
        assert getattr(gradc, name).__name__ == name
    assert set(gradc.__all__) <= set(dir(gradc))
    assert gradc.__version__[0].isdigit()
    with pytest.raises(AttributeError, match="nonsense"):
        _ = gradc.nonsense


def test_numba_keeps_what_it_compiled_beside_the_source(tmp_path):
    kernel = (
        "python import numba",
        "python def double(x): return 2 * x",
        "python double = numba.njit(cache=True)(double)",
    )
    module = again("\n".join(kernel), tmp_path / "m.grad").module
    assert module.double(2.0) == 4.0
    assert list(Path(module.__file__).parent.glob("__pycache__/*.nbi"))
    module = again("\n".join(kernel), tmp_path / "m.grad").module
    assert module.double(2.0) == 4.0
    assert sum(module.double.stats.cache_hits.values()) == 1


def test_no_warning_where_all_is_well(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = again("model", tmp_path / "m.grad")
    np.testing.assert_array_equal(loaded.module.init(1).flat, loaded.module.init(1).flat)


# ------------------------------------------------------------------ what rests meanwhile


def test_no_cycles_are_looked_for_while_something_compiles(tmp_path, monkeypatch):
    seen = []
    pipeline = building.pipeline()
    emit = pipeline.emit
    monkeypatch.setattr(
        pipeline, "emit", lambda *given, **named: (seen.append(gc.isenabled()), emit(*given, **named))[1]
    )
    again("model", tmp_path / "m.grad")
    assert seen == [False]
    assert gc.isenabled()
