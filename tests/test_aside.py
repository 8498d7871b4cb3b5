"""Calls in another process, and what is loaded where."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import elsewhere

import gradc
from gradc.errors import GradcError
from gradc.runtime import aside as calling
from gradc.runtime import ready
from gradc.runtime.aside import aside
from gradc.runtime.ready import get_numba_ready

MODEL = """dim batch
input x[batch, 3]
target y[batch]
guess = dense(x, 1)
loss mean[b](squared_error(guess[b, 0], y[b]))
"""


@pytest.fixture
def two_processors(monkeypatch):
    monkeypatch.setattr(calling, "_processors", lambda: 2)


def test_the_call_is_made_in_another_process(two_processors):
    assert aside(elsewhere.process) != os.getpid()


@pytest.mark.parametrize("program", [None, "", "/opt/someone's/server"])
def test_in_this_one_where_a_program_embeds_python(two_processors, monkeypatch, program):
    monkeypatch.setattr(sys, "executable", program)
    assert aside(elsewhere.process) == os.getpid()


def test_in_this_one_where_there_is_one_processor(monkeypatch):
    monkeypatch.setattr(calling, "_processors", lambda: 1)
    assert aside(elsewhere.process) == os.getpid()


def test_in_this_one_where_no_process_can_be_started(two_processors, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/absent/python3")
    assert aside(elsewhere.process) == os.getpid()


def test_in_this_one_where_the_other_one_ends_without_an_answer(two_processors):
    assert aside(elsewhere.only_in, os.getpid()) == "here"


def test_an_error_is_the_same(two_processors):
    with pytest.raises(GradcError) as caught:
        aside(elsewhere.refuse, "abc")
    with pytest.raises(GradcError) as expected:
        elsewhere.refuse("abc")
    assert str(caught.value) == str(expected.value)
    assert caught.value.diagnostics == expected.value.diagnostics


def test_the_other_one_ends_where_this_one_is_interrupted(two_processors, monkeypatch):
    started = []
    popen = subprocess.Popen
    monkeypatch.setattr(
        subprocess, "Popen", lambda *given, **named: started.append(popen(*given, **named)) or started[0]
    )

    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(calling, "get_numba_ready", interrupted)
    with pytest.raises(KeyboardInterrupt):
        aside(elsewhere.process)
    assert started[0].returncode is not None


def test_numba_is_made_ready_once():
    get_numba_ready()
    get_numba_ready()
    assert get_numba_ready.cache_info().misses == 1


def test_numba_is_made_ready_for_the_options_of_emitted_modules():
    module = gradc.compile_text(MODEL).module
    options = {name: value for name, value in module.BARE.items() if name != "pipeline_class"}
    assert (module.FAST, module.PLAIN, options) == (ready.FAST, ready.PLAIN, ready.BARE)


def test_a_first_run_leaves_the_compiler_out_and_gives_the_same_module(tmp_path):
    script = f"""
import json, sys
from gradc.runtime import aside
aside._processors = lambda: {{}}
import gradc
model = gradc.compile_text({MODEL!r})
loaded = sorted({{{{"sympy", "jinja2", "gradc.stages"}}}} & set(sys.modules))
print(json.dumps([loaded, model.source]))
"""
    seen = []
    for processors in (2, 1):
        folder = tmp_path / str(processors)
        environment = {**os.environ, "GRADC_CACHE": str(folder), "PYTHONPATH": str(Path(__file__).parent)}
        command = [sys.executable, "-c", script.format(processors)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        seen.append(json.loads(done.stdout))
    assert seen[0][0] == []
    assert seen[1][0] == ["gradc.stages", "jinja2", "sympy"]
    assert seen[0][1] == seen[1][1]
