"""What needs what in a model, as a tree and for Graphviz."""

import re
from itertools import pairwise

from click.testing import CliRunner

from gradc.cli import program
from gradc.picture import picture

NETWORK = """\
dim batch, n = 6
input  x[batch, n], k[batch] : int(n)
target y[batch]
param  table[n] ~ normal()
h = relu(dense(x, 4))
e[b] = table[k[b]]
predict p = tanh(h)
loss mean(h^2) + mean(squared_error(e, y))
metric error = sum(e)
"""
TREE = """\
input: x[batch, 6], k[batch]
target: y[batch]
param: table[6], h.weight[6, 4], h.bias[4]

loss ← y                                                      m.grad:8
├─ h[batch, 4]                                                m.grad:5
│  └─ h.dense[batch, 4] ← x, h.weight, h.bias                 m.grad:5
└─ e[batch] ← k, table                                        m.grad:6

predict p[batch, 4]                                           m.grad:7
└─ h[batch, 4] ↑

metric error                                                  m.grad:9
└─ e[batch] ↑
"""


def test_a_tree():
    assert picture(NETWORK, file="some/m.grad") == TREE


def test_a_graph_for_graphviz():
    """Every tensor once, an edge for each that reads another, and the outputs."""
    text = picture(NETWORK, file="m.grad", dot=True)
    labels = dict(re.findall(r"(\w+) \[label=\"([^\"[]*)", text))
    edges = {(labels[a], labels[b]) for a, b in re.findall(r"(\w+) -> (\w+);", text)}
    assert edges >= {
        ("x", "h.dense"),
        ("h.weight", "h.dense"),
        ("h.dense", "h"),
        ("h", "loss"),
        ("k", "e"),
        ("y", "loss"),
    }
    assert ("h", "x") not in edges
    assert text.startswith("digraph model {\n")
    assert text.endswith("}\n")
    assert all(line.endswith(";") for line in text.split("\n")[1:-2])


def test_a_recurrence_reads_itself():
    text = picture("dim b, t\ninput x[b, t]\nparam w[] ~ ones\nh[b, t] = h?[b, t - 1] * w + x[b, t]\nloss sum(h^2)\n")
    assert "h[b, t] ← w, x; itself at another place" in text


def test_two_that_need_each_other():
    lines = "c[t] = x[t] + h?[t - 1]\nh[t] = tanh(c[t] * w) + c?[t - 1]"
    text = picture(f"dim t\ninput x[t]\nparam w[] ~ ones\n{lines}\nloss sum(h)\n")
    assert text.count("↑") == 1


def test_a_deep_model():
    """A chain of layers is no recursion of ours."""
    text = picture("param w[] ~ ones\nx = w\nrepeat 400: x = sin(x)\nloss x\n")
    rows = [row for row in text.split("\n") if "└─" in row]
    assert len(rows) == 400 - 1
    assert all(len(a) - len(a.lstrip()) < len(b) - len(b.lstrip()) for a, b in pairwise(rows))


def test_the_command(tmp_path):
    (tmp_path / "m.grad").write_text(NETWORK)
    result = CliRunner().invoke(program, ["graph", str(tmp_path / "m.grad")])
    assert (result.exit_code, result.stdout) == (0, TREE)
    result = CliRunner().invoke(program, ["graph", str(tmp_path / "m.grad"), "--dot"])
    assert result.stdout.startswith("digraph model {\n")
