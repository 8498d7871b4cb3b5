"""The words: excerpts stand where they are said to come from, code runs, claims hold, links lead somewhere."""

import ast
import hashlib
import importlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import sympy
from click.testing import CliRunner
from support.emitted import load_plain

import gradc
from gradc import pipeline
from gradc.cli import program
from gradc.graph.index import index
from gradc.graph.nodes import INF, Read
from gradc.graph.scalar import EXP
from gradc.runtime.batches import split
from gradc.runtime.session import Settings

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
USING = ROOT / "docs" / "using.md"
EXAMPLES = ROOT / "examples" / "README.md"
PAGES = (README, ROOT / "compiler" / "README.md", EXAMPLES, *sorted((ROOT / "docs").glob("*.md")))
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
    """Those of README.md, and of the page on how to use it."""
    texts = [page.read_text("utf-8") for page in (README, USING)]
    found = [Block(m["language"], m["text"], m["source"] or "") for text in texts for m in BLOCK.finditer(text)]
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


def test_the_table_is_what_the_results_hold(golden, monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    summary = importlib.import_module("benchmarks.summary").summary
    folder = ROOT / "benchmarks"
    golden(folder / "summary.md", summary(json.loads((folder / "results.json").read_text("utf-8"))))


def test_the_front_page_is_little_more_than_a_screen():
    text = README.read_text("utf-8")
    assert len(text.splitlines()) < 130
    assert not [row for row in TABLE.sub("", text).splitlines() if len(row) > 120]


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

MEASURES = {
    "accuracy": 0.015,
    "recall": 0.03,
    "mean squared error": 0.01,
    "relative L2 error": 0.002,
    "root mean square error": 0.01,
    "perplexity": 0.4,
    "bits": 0.05,
    "near": 0.04,
    "places": 0,
}
"""What the table says of the examples, and how far another processor's rounding, or a part of the examples, may lead
from it."""
METRICS = {"mean squared error": "loss"} | dict.fromkeys(["relative L2 error", "root mean square error"], "error")
"""By what names the models have them, where these are others."""
TRAINED = sorted((ROOT / "tests" / "trained").glob("*.npz"))
"""What those examples have learned whose training takes too long for a test."""
ENOUGH = {"burgers": 400, "letters_hmm": 8, "text_gru": 12, "text_transformer": 12}
"""So many of the examples held back are evaluated, by Python without Numba; of the other models 24."""


def row_of(name: str) -> str:
    """What the table of the examples says of one."""
    (row,) = [line for line in EXAMPLES.read_text("utf-8").splitlines() if line.startswith(f"| [`{name}.grad`]")]
    return row


def assert_the_table_is_true(name: str, reached: Mapping[str, float]) -> None:
    _, _, row, *_ = row_of(name).split("|")
    claims = re.findall(rf"({'|'.join(MEASURES)}) ([\d.]+)( %)?", row)
    assert claims
    for measure, number, percent in claims:
        value = reached[METRICS.get(measure, measure)]
        assert abs(value - float(number) / (100 if percent else 1)) <= MEASURES[measure], (measure, value)


def test_the_front_page_says_what_the_table_says():
    (reached,) = re.findall(r"to ([\d.]+ %) of those held back", README.read_text("utf-8").replace("\n", " "))
    assert f"accuracy {reached}" in row_of("digits")


@pytest.mark.parametrize("name", ["digits", "digits_cnn", "digits_lstm", "diabetes", "breast_cancer"])
def test_the_examples_reach_what_the_table_says(name):
    model = gradc.compile(ROOT / "examples" / f"{name}.grad")
    assert_the_table_is_true(name, model.fit(progress=False).epochs[-1].validation)


@pytest.mark.parametrize("path", TRAINED, ids=lambda path: path.stem)
def test_what_the_examples_have_learned_reaches_what_the_table_says(path):
    """Stored parameters of a whole training. That a module's steps are right, others tests see to."""
    module = load_plain((ROOT / "generated" / f"{path.stem}.py").read_text("utf-8"))
    params = module.init(0)
    with np.load(path) as learned:
        text = hashlib.sha256(module.SOURCE.encode()).hexdigest()
        assert learned["its text"] == text, f"the model is another; run tests/trained/make.py {path.stem}"
        assert set(learned) - {"its text"} == set(module.PARAMS)
        for name in module.PARAMS:
            params[name] = learned[name]
    with np.load(ROOT / "examples" / module.DATA) as data:
        arrays = [data[name] for name in (*module.INPUTS, *module.TARGETS)]
    if module.FIT["validation"]:
        order = np.random.default_rng(module.FIT["seed"]).permutation(len(arrays[0]))
        arrays = [array[order[: ENOUGH.get(path.stem, 24)]] for array in arrays]
    assert_the_table_is_true(path.stem, module.evaluate(params, *arrays))


def test_every_example_is_in_the_table():
    quick = {"digits", "digits_cnn", "digits_lstm", "diabetes", "breast_cancer", "vae"}
    quick |= {"digits_low", "digits_high", "digits_high_alone"}
    assert quick | {path.stem for path in TRAINED} == {path.stem for path in (ROOT / "examples").glob("*.grad")}


def test_the_autoencoder_comes_near_to_what_the_table_says():
    """In a tenth of its steps; the principal components in full."""
    text = (ROOT / "examples" / "vae.grad").read_text("utf-8")
    text = text.replace("steps = 9000", "steps = 900").replace("epochs = 200", "epochs = 20")
    x = np.load(ROOT / "examples" / "data" / "digits.npz")["x"]
    reached = gradc.compile_text(text, name="vae").fit(x, progress=False).epochs[-1].validation
    assert 0.0098 < reached["error"] < 0.019, reached
    (held_back,) = split((x.astype(np.float64),), "batch", Settings(32, 0.2, 0)).held_back
    rest = x[~(x[:, None] == held_back[None].astype(x.dtype)).all(axis=2).any(axis=1)].astype(np.float64)
    components = np.linalg.svd(rest - rest.mean(axis=0), full_matrices=False)[2]
    for count, error in ((8, 0.0238), (16, 0.0114)):
        known = components[:count]
        back = (held_back - rest.mean(axis=0)) @ known.T @ known + rest.mean(axis=0)
        np.testing.assert_allclose(np.mean((back - held_back) ** 2), error, atol=5e-5)


def test_ridge_regression_reaches_what_the_table_says():
    data = np.load(ROOT / "examples" / "data" / "diabetes.npz")
    x, y = data["x"].astype(np.float64), data["y"].astype(np.float64)
    held_back, rest = np.split(np.random.default_rng(0).permutation(len(x)), [89])
    center, mean = x[rest].mean(0), y[rest].mean()
    centered = x[rest] - center
    weight = np.linalg.solve(centered.T @ centered + np.eye(10), centered.T @ (y[rest] - mean))
    error = np.mean(((x[held_back] - center) @ weight + mean - y[held_back]) ** 2)
    np.testing.assert_allclose(error, 0.493, atol=5e-4)


def held_back_and_rest(name: str, *arrays: str) -> list[np.ndarray]:
    """Of each array of an example's data the part held back, then the rest."""
    with np.load(ROOT / "examples" / "data" / f"{name}.npz") as data:
        found = [data[array].astype(np.float64 if data[array].dtype.kind == "f" else np.int64) for array in arrays]
    count = -(-len(found[0]) // 5)
    order = np.random.default_rng(0).permutation(len(found[0]))
    return [array[part] for part in (order[:count], order[count:]) for array in found]


def test_frequencies_of_letters_reach_what_the_table_says():
    held_back, rest = held_back_and_rest("letters", "letters")
    single = np.bincount(rest.ravel(), minlength=27) / rest.size
    pairs = np.ones((27, 27))
    np.add.at(pairs, (rest[:, :-1], rest[:, 1:]), 1)
    pairs /= pairs.sum(axis=1, keepdims=True)
    of_pairs = np.log(single[held_back[:, 0]]).sum() + np.log(pairs[held_back[:, :-1], held_back[:, 1:]]).sum()
    np.testing.assert_allclose(np.exp(-np.log(single[held_back]).mean()), 16.5, atol=0.05)
    np.testing.assert_allclose(np.exp(-of_pairs / held_back.size), 9.4, atol=0.05)


def test_the_shorter_way_reaches_what_the_table_says():
    with np.load(ROOT / "examples" / "data" / "karate.npz") as data:
        person, friend, club = data["person"], data["friend"], data["club"]
    steps = np.full((2, 34), 99)
    steps[0, 0] = steps[1, 33] = 0
    for _ in range(34):
        for side in steps:
            np.minimum.at(side, person, side[friend] + 1)
    nearer = np.sign(steps[0] - steps[1])[1:33]
    assert np.sum((nearer > 0) == club[1:33], where=nearer != 0) == 26
    assert np.sum(nearer == 0) == 6


def test_linear_steps_reach_what_the_table_says():
    start, counted, rest_start, rest_counted = held_back_and_rest("predators", "start", "counted")
    seen = np.concatenate([rest_start[:, None], rest_counted], axis=1)
    ones = np.ones((seen[:, 1:].size // 2, 1))
    step = np.linalg.lstsq(np.hstack([seen[:, :-1].reshape(-1, 2), ones]), seen[:, 1:].reshape(-1, 2), rcond=None)[0]
    off, now = [], start
    for count in range(counted.shape[1]):
        now = now @ step[:2] + step[2]
        off.append(now - counted[:, count])
    np.testing.assert_allclose(np.sqrt(np.mean(np.square(off))), 0.306, atol=5e-4)


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
    text = re.sub(r"`[^`\n]+`", "", BLOCK.sub("", page.read_text("utf-8")))
    for target in re.findall(r"\[[^\]]+\]\((?!https?://)([^)#]+)\)", text):
        assert (page.parent / target).exists(), target


def files_of_the_compiler() -> dict[str, set[str]]:
    """By folder; of the files that only make a folder a package, those with something in them."""
    found: dict[str, set[str]] = {}
    for path in (ROOT / "compiler").rglob("*"):
        empty = path.name == "__init__.py" and len(ast.parse(path.read_text("utf-8")).body) <= 1
        if path.is_file() and path.suffix not in (".md", ".pyc") and not empty:
            found.setdefault(path.parent.relative_to(ROOT / "compiler").as_posix(), set()).add(path.name)
    return found


def test_the_map_names_every_file_under_its_folder_and_no_other():
    page = (ROOT / "compiler" / "README.md").read_text("utf-8").partition("\n## Folders and files\n")[2]
    sections = re.split(r"^### `([\w/]+)/`.*$", page.partition("\n## ")[0], flags=re.M)
    named = dict(zip([".", *sections[1::2]], sections[::2], strict=True))
    suffixes = "py|grad|lark|json|typed"
    shown = {folder: set(re.findall(rf"`(\w+\.(?:{suffixes}))`", text)) for folder, text in named.items()}
    assert shown == files_of_the_compiler()


@pytest.mark.parametrize("start", ["ßЖ", ""])
def test_a_text_is_gone_on_with_from_letters_that_are_known(start):
    script = [ROOT / "examples" / "text_sample.py", ROOT / "examples" / "text_gru.grad", "gru.safetensors", start]
    run = subprocess.run([sys.executable, *script], capture_output=True, text=True, encoding="utf-8", check=False)
    assert (run.returncode, run.stdout) == (1, "")
    assert re.fullmatch(r"error: the net has learned no letter of '.*'; begin with some of these: .*\n", run.stderr)
