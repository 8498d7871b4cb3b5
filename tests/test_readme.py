"""The words: excerpts stand where they are said to come from, code runs, claims hold, links lead somewhere."""

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import sympy
from click.testing import CliRunner

import gradc
from gradc import pipeline
from gradc.cli import program
from gradc.graph.index import index
from gradc.graph.nodes import INF, Read
from gradc.graph.scalar import EXP

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = (README, ROOT / "compiler" / "README.md", *sorted((ROOT / "docs").glob("*.md")))
PART = re.compile(r"^<!-- part of (?P<file>[^\s:]+) -->\n```\w*\n(?P<text>.*?)^```$", re.M | re.S)
BLOCK = re.compile(r"^(?:<!-- (?P<source>[^\n]*?) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S)
TABLE = re.compile(r"^(<!-- table: (?P<file>\S+) -->\n)(?P<text>.*?)(^<!-- end of table -->$)", re.M | re.S)
FUNCTIONS = re.compile(r"functions of (?P<file>[^:]+): (?P<names>.+)")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page, and what the comment above it says of where it comes from."""

    language: str
    text: str
    source: str

    def __str__(self) -> str:
        return self.text.strip().split("\n", 1)[0]


def blocks(language: str | None = None) -> list[Block]:
    found = [Block(m["language"], m["text"], m["source"] or "") for m in BLOCK.finditer(README.read_text("utf-8"))]
    return [block for block in found if language in (None, block.language)]


def commands() -> list[str]:
    lines = [line.split("  #")[0].strip() for block in blocks("sh") for line in block.text.splitlines()]
    return [command.strip() for line in lines for command in line.split("&&") if command.strip()]


# ------------------------------------------------------------------ excerpts


def functions(source: str, names: str) -> str:
    """Functions of a module as they stand in it; of `f after "word"` what follows a comment that is this word."""
    rows = source.splitlines()
    defined = {node.name: node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}
    parts = []
    for wanted in names.split(", "):
        name, _, comment = wanted.partition(" after ")
        node = defined[name]
        first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        lines = rows[first - 1 : node.end_lineno]
        if comment:
            lines = lines[lines.index(f"    # {comment.strip(chr(34))}") :]
        parts.append("\n".join(lines))
    return "\n\n\n".join(parts) + "\n"


def renewed(text: str, fresh: bool) -> str:
    """The page with its copied parts as they are in their files; `fresh`: as gradc emits them now."""

    def copied(match: re.Match[str]) -> str:
        found = FUNCTIONS.fullmatch(match["source"] or "")
        if found is None:
            return match[0]
        path = ROOT / found["file"]
        model = ROOT / "examples" / f"{path.stem}.grad"
        source = path.read_text("utf-8")
        if fresh:
            source = pipeline.emit(model.read_text("utf-8"), file=model.name, folder=model.parent)
        return f"<!-- {match['source']} -->\n```python\n{functions(source, found['names'])}```"

    def table(match: re.Match[str]) -> str:
        path = ROOT / match["file"]
        return f"{match[1]}{path.read_text('utf-8').strip()}\n{match[4]}" if path.exists() else match[0]

    return TABLE.sub(table, BLOCK.sub(copied, text))


def test_what_is_copied_is_what_stands_in_the_files(request):
    text = README.read_text("utf-8")
    if request.config.getoption("--update-golden"):
        README.write_text(renewed(text, fresh=True), "utf-8")
        return
    assert text == renewed(text, fresh=False), "README.md is behind its sources; `pytest --update-golden` renews it"


def test_the_model_is_the_examples():
    (block,) = [block for block in blocks() if block.source.startswith("lines of ")]
    rows = iter((ROOT / block.source.removeprefix("lines of ")).read_text("utf-8").splitlines())
    assert all(line in rows for line in block.text.splitlines()), block.text
    assert len(block.text.split("\n\n")) > 1
    assert sum(bool(line) for line in block.text.splitlines()) == 10


def test_parts_of_files_stand_in_them():
    parts = [match for page in PAGES for match in PART.finditer(page.read_text("utf-8"))]
    assert parts
    assert all(part["text"] in (ROOT / part["file"]).read_text("utf-8") for part in parts)


def test_output_is_what_the_commands_print(monkeypatch):
    monkeypatch.chdir(ROOT)
    shown = [block for block in blocks() if block.source.startswith("part of: ")]
    assert shown
    for block in shown:
        result = CliRunner().invoke(program, shlex.split(block.source.removeprefix("part of: gradc ")))
        assert result.exit_code == 0, result.output
        assert block.text in result.output


# ------------------------------------------------------------------ code


@pytest.mark.parametrize("block", blocks("grad"), ids=str)
def test_models_compile(block):
    compile(pipeline.emit(block.text), "emitted", "exec")


def test_the_python_interface_runs(tmp_path):
    gradc_block, module_block = [block for block in blocks("python") if not block.source]
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    shutil.copy(ROOT / "generated" / "digits.py", tmp_path)
    for block, jit in ((gradc_block, "0"), (module_block, "1")):
        environment = os.environ | {"NUMBA_DISABLE_JIT": jit}
        command = [sys.executable, "-W", "error", "-c", block.text]
        run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("command", commands())
def test_commands_exist(command):
    words = shlex.split(command)
    if words[0] == "gradc":
        program.commands[words[1]].make_context(words[1], words[2:])
        assert all((ROOT / word).exists() for word in words if word.startswith("examples/"))
    elif words[0] == "pip":
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
        assert words[:3] == ["pip", "install", "-e"]
        assert set(re.findall(r"\w+", words[3])) <= set(extras)
    else:
        assert words == ["pytest"]


def test_every_command_is_shown():
    assert {shlex.split(command)[1] for command in commands() if command.startswith("gradc ")} == set(program.commands)


def test_the_two_commands():
    text = README.read_text("utf-8")
    assert "\npip install -e . && gradc train examples/digits.grad\n" in text
    assert "\npip install -e '.[test]' && pytest\n" in text
    assert "pip install --quiet -e '.[test]' && pytest" in (ROOT / ".ci" / "run").read_text("utf-8")


# ------------------------------------------------------------------ claims

MEASURES = {"accuracy": 0.015, "recall": 0.03, "mean squared error": 0.01}
"""What the table says of the examples, and how far another processor's rounding may lead from it."""


@pytest.mark.parametrize("name", ["digits", "digits_cnn", "diabetes", "breast_cancer"])
def test_the_examples_reach_what_the_table_says(name):
    (row,) = [line for line in README.read_text("utf-8").splitlines() if line.startswith(f"| [`{name}.grad`]")]
    claims = re.findall(rf"({'|'.join(MEASURES)}) ([\d.]+)( %)?", row)
    model = gradc.compile(ROOT / "examples" / f"{name}.grad")
    reached = model.fit(progress=False).epochs[-1].validation
    assert claims
    for measure, number, percent in claims:
        value = reached["loss" if "error" in measure else measure]
        assert abs(value - float(number) / (100 if percent else 1)) <= MEASURES[measure], (measure, value)


def test_the_network_of_the_equation_learns_the_shock():
    """In a tenth of its steps, as all of them take a minute."""
    path = ROOT / "examples" / "burgers.grad"
    text = path.read_text("utf-8").replace("steps = 20000", "steps = 2000").replace("epochs = 1000", "epochs = 100")
    model = gradc.compile_text(text, name="burgers")
    with np.load(ROOT / "examples" / "data" / "burgers.npz") as data:
        reached = model.fit(data["q"], data["known"], progress=False).epochs[-1].validation
    assert reached["error"] < 0.25, reached


def test_ridge_regression_reaches_what_the_table_says():
    data = np.load(ROOT / "examples" / "data" / "diabetes.npz")
    x, y = data["x"].astype(np.float64), data["y"].astype(np.float64)
    held_back, rest = np.split(np.random.default_rng(0).permutation(len(x)), [89])
    center, mean = x[rest].mean(0), y[rest].mean()
    centered = x[rest] - center
    weight = np.linalg.solve(centered.T @ centered + np.eye(10), centered.T @ (y[rest] - mean))
    error = np.mean(((x[held_back] - center) @ weight + mean - y[held_back]) ** 2)
    np.testing.assert_allclose(error, 0.493, atol=5e-4)


FOLDS = re.compile(r"^\| (?P<written>`[^|]+`) \| (?P<becomes>`[^|]+`) \|", re.M)


def test_what_is_left_of_sympys_own_evaluation_is_what_the_notes_say():
    names = {name: Read(name, (index("i"),)) for name in ("x", "y")} | {"inf": INF, "f": EXP}
    rows = FOLDS.findall((ROOT / "docs" / "design-notes.md").read_text("utf-8"))
    assert len(rows) > 5
    with sympy.core.parameters.distribute(False):
        for written, becomes in rows:
            left, right = (re.findall(r"`([^`]+)`", cell) for cell in (written, becomes))
            for form, result in zip(left, right if len(right) == len(left) else right * len(left), strict=True):
                first, second = (eval(text.replace("^", "**"), dict(names)) for text in (form, result))
                assert first == second, (form, result)


# ------------------------------------------------------------------ pages


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    text = BLOCK.sub("", page.read_text("utf-8"))
    for target in re.findall(r"\[[^\]]+\]\((?!https?://)([^)#]+)\)", text):
        assert (page.parent / target).exists(), target


def test_the_map_has_every_file():
    page = (ROOT / "compiler" / "README.md").read_text("utf-8")
    written = {name for words in re.findall(r"`([^`\n]+)`", page) for name in re.findall(r"[\w.]+", words)}
    for path in sorted((ROOT / "compiler").rglob("*.py")):
        if path.parent.name != "prelude" and path.stem not in ("__init__", "__main__"):
            assert path.stem in written or path.name in written, path
