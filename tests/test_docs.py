"""The pages for users: every block of the language's reference compiles or is refused as it says; the library's page is
what its definitions make."""

import importlib.util
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from gradc import pipeline
from gradc.errors import GradcError, located
from gradc.language.arithmetic import ARITY
from gradc.language.arrays import declared
from gradc.language.elaborate import elaborate_text
from gradc.language.load import standard_library
from gradc.runtime import data
from gradc.runtime.data import Source
from gradc.runtime.interface import ArraySpec

ROOT = Path(__file__).parent.parent
LANGUAGE = ROOT / "docs" / "language.md"
LIBRARY = ROOT / "docs" / "library.md"
BLOCK = re.compile(
    r"^(?P<comments>(?:<!--(?:(?!-->).)*-->\n)*)```grad\n(?P<text>.*?)^```\n(?:```text\n(?P<said>.*?)^```\n)?",
    re.M | re.S,
)
NOTE = re.compile(r"<!-- (?P<word>\w+):?(?P<rest>.*?)-->", re.S)
NAMED = re.compile(r"^(\w+)(?:\[.*?\])? *=(?!=)|^(\w+), (\w+) =", re.M)


@dataclass(frozen=True, slots=True)
class Block:
    """A model, or part of one: what the page shows, and what comments that a reader does not see say of it.

    `given` stands before it; `refused` is an error's code; `parameters` are those it makes. A part of a model gets a
    loss, and each tensor at its left margin is predicted, so that it is compiled.
    """

    text: str
    said: str
    notes: dict[str, str]

    def __str__(self) -> str:
        return self.text.split("\n", 1)[0]

    @property
    def given(self) -> str:
        """A comment `refused` names the error in its first line and gives the rest."""
        return self.notes.get("given", "").lstrip("\n") or self.notes.get("refused", "").partition("\n")[2]

    @property
    def model(self) -> str:
        given = self.given
        text = given + self.text
        if re.search(r"^loss ", text, re.M):
            return text
        names = dict.fromkeys(name for match in NAMED.finditer(self.text) for name in match.groups() if name)
        return text + "\n".join([*(f"predict {name}" for name in names), "param own[] ~ ones", "loss own^2", ""])


def blocks() -> list[Block]:
    found = []
    for match in BLOCK.finditer(LANGUAGE.read_text("utf-8")):
        notes = {note["word"]: note["rest"].strip(" ") for note in NOTE.finditer(match["comments"])}
        found.append(Block(match["text"], match["said"] or "", notes))
    return found


def test_every_block_is_found():
    text = LANGUAGE.read_text("utf-8")
    assert len(blocks()) == text.count("```grad") > 20


@pytest.mark.parametrize("block", [block for block in blocks() if "refused" not in block.notes], ids=str)
def test_blocks_compile(block):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compile(pipeline.emit(block.model), "emitted", "exec")
    if "parameters" in block.notes:
        made = [leaf.name for leaf in elaborate_text(block.model).leaves if leaf.role.name == "PARAM"]
        assert [name for name in made if name != "own"] == block.notes["parameters"].split()


@pytest.mark.parametrize("block", [block for block in blocks() if "refused" in block.notes], ids=str)
def test_blocks_that_are_wrong_are_refused(block):
    with pytest.raises(GradcError) as caught:
        pipeline.emit(block.given + block.text + "loss 0 * 1\n")
    code = block.notes["refused"].partition("\n")[0].strip()
    assert code in {diagnostic.code for diagnostic in caught.value.diagnostics}, caught.value
    assert block.said.strip() in str(caught.value)


def test_all_functions_of_numbers_are_named():
    text = LANGUAGE.read_text("utf-8").partition("<!-- functions -->")[2].partition("\n\n")[0]
    assert set(ARITY) <= set(re.findall(r"\w+", text))


def test_the_library_s_page_is_what_its_definitions_make(golden):
    spec = importlib.util.spec_from_file_location("make_library", ROOT / "docs" / "make_library.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    golden(LIBRARY, module.library())
    made = {
        block.name: block
        for file in module.LIBRARY.glob("*.grad")
        for block in module.blocks(file.read_text("utf-8"))
        if block.name
    }
    assert set(made) == standard_library().names()
    assert all(block.comment for block in made.values()), "a comment right above each definition says what it is"


@pytest.mark.parametrize("page", [LANGUAGE, LIBRARY, ROOT / "docs" / "using.md"], ids=lambda page: page.stem)
def test_links_lead_to_headings(page):
    for file, anchor in re.findall(r"\]\(([\w./]*)#([\w-]+)\)", page.read_text("utf-8")):
        text = (page.parent / file if file else page).read_text("utf-8")
        headings = [re.sub(r"\]\([^)]*\)|[^\w\- ]", "", row.lstrip("# ")) for row in re.findall(r"^#+ .*$", text, re.M)]
        assert anchor in {heading.lower().replace(" ", "-") for heading in headings}, (file, anchor)


def test_what_the_page_shows_of_an_error_about_data_is_said() -> None:
    text = "dim batch\ndim n = 4, classes = 3\ninput  x[batch, n]\ntarget y[batch] : int(classes)\nloss mean(x)\n"
    spec = ArraySpec("y", "target", "whole", ("batch",), 3)
    with pytest.raises(GradcError) as caught:
        data.prepare(SimpleNamespace(DTYPE="float32"), (spec,), {"y": np.zeros((150, 3))}, Source(Path("iris.npz")))
    shown = located(caught.value, declared(text, file="iris.grad"), {"iris.grad": text})
    assert f"```text\n{shown}\n```" in LANGUAGE.read_text("utf-8")
