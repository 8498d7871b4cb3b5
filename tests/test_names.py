"""Whatever a model calls its things, the module computes the same: hostile names against plain ones, in every role.

Each test writes a model twice, once with names that mean something to Python, NumPy, Numba or the emitted module
itself, once with names that mean nothing; both must make the same numbers, from code of the same shape.
"""

import ast
import builtins
import functools
import keyword
import re
import subprocess
import sys
import unicodedata
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from support.emitted import load_compiled, load_plain

import gradc
from gradc import pipeline
from gradc.emit.names import KERNEL_NAMES, MODULE_NAMES, PRELUDE_NAMES, Names
from gradc.errors import GradcError, GradcWarning

ROOT = Path(__file__).parent.parent
GENERATED = (ROOT / "generated" / "digits.py").read_text(encoding="utf-8")
LONG = "a" * 199


def words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


RESERVED = words(
    "model use data dim input target param state update predict metric loss optimize optimizer freeze fit def shared "
    "return for in repeat if then else and or not inf pi true false training frozen with"
)
"""Words of the language: as names they are refused, which other tests look at."""

BUILT_IN = words(
    "abs min max round sum exp expm1 log log1p tanh sinh cosh sin cos tan asin acos atan erf sqrt floor sign clip range"
    " prod mean argmax argmin logsumexp softmax reshape concat transpose grad uniform normal zeros ones"
)
"""Functions of the language: other names in these models rely on them."""

WORDS = {
    "keywords": (*keyword.kwlist, *keyword.softkwlist),
    "builtins": [name for name in dir(builtins) if not name.endswith(("Error", "Warning"))],
    "the module's": (*MODULE_NAMES, *KERNEL_NAMES, *PRELUDE_NAMES),
    "those of a module": sorted({node.id for node in ast.walk(ast.parse(GENERATED)) if isinstance(node, ast.Name)}),
    "attributes": words(
        "shape size dtype T real imag astype reshape dot ndarray njit prange objmode vectorize int64 float32 empty "
        "array full asarray __class__ __dict__ __init__ __getattr__ __builtins__ __import__ __doc__ __name__"
    ),
    "underscores": words("_ __ ___ _1 __1 x_ x__ _x h_weight d_x d_d_x d_h_weight start_1 best value largest smallest"),
    "letters": words("α β γ δ ε ζ η θ λ µ ξ ρ σ τ φ χ ψ ω Γ Δ Θ Λ Σ Φ Ψ Ω é ñ Ä ß ç ø å ő ž Ł ħ"),
    "long": (LONG + "b", LONG + "c", "b" + LONG),
}
NAMES = tuple(
    name
    for name in dict.fromkeys(name for words in WORDS.values() for name in words)
    if name not in (*RESERVED, *BUILT_IN)
)


def models(function: Callable[[tuple[str, ...]], Iterable[str]]) -> Callable[[tuple[str, ...]], str]:
    """A model's text of the lines that a function yields."""

    @functools.wraps(function)
    def text(names: tuple[str, ...]) -> str:
        return "\n".join(function(names)) + "\n"

    return text


def total(parts: Iterable[str]) -> str:
    return " + ".join(parts)


START = ("dim bat", "input x_x[bat, 2]")


@models
def inputs(names):
    yield "dim bat"
    for k, name in enumerate(names):
        yield f"input {name}[bat]{('', ' : int(3)', ' : bool')[k % 3]}"
    terms = [f"(if {name} then {k} else 1)" if k % 3 == 2 else f"{name} * {k + 1}" for k, name in enumerate(names)]
    yield f"param w_w[] ~ normal()\nh_h = tanh(w_w * ({total(terms)}))\npredict p_p = h_h\nloss mean(h_h)"


@models
def targets(names):
    yield from START
    for k, name in enumerate(names):
        yield f"target {name}[bat]{('', ' : int(3)')[k % 2]}"
    yield "param w_w[2] ~ normal()\nh_h = x_x @ w_w\npredict p_p = h_h"
    yield f"loss mean((h_h - ({total(names)}))^2)\nmetric m_m = mean(h_h) * mean({names[0]})"


@models
def parameters(names):
    yield from START
    for k, name in enumerate(names):
        yield f"param {name}{('[]', '[2]')[k % 2]} ~ normal() * {k + 1}"
    terms = [f"{name}[1] * {name}[0]" if k % 2 else f"x_x[b_b, 0] * {name}" for k, name in enumerate(names)]
    yield f"h_h[b_b] = tanh({total(terms)})\nloss mean(h_h)"


@models
def scalars(names):
    """Tensors between a parameter and the loss, all in one kernel."""
    yield from START
    yield "param w_w[] ~ normal()"
    last = "x_x"
    for k, name in enumerate(names):
        yield f"{name} = " + (f"tanh({last} * w_w)", f"{last} * w_w", f"exp(-{last})")[k % 3]
        last = name
    yield f"loss mean({last}^2)"


@models
def products(names):
    """Tensors that are stored, and multiplied by a matrix."""
    yield "dim bat\ninput x_x[bat, 4]\nparam w_w[4, 4] ~ normal()"
    last = "x_x"
    for k, name in enumerate(names):
        written_out = f"{name}[b_b, o_o] = sum[k_k]({last}[b_b, k_k] * w_w[o_o, k_k])"
        yield f"{name} = tanh({last} @ w_w)" if k % 2 else written_out
        last = name
    yield f"loss mean({last}^2)"


@models
def batched(names):
    """Products for each value of an index, which runs in a loop around them."""
    yield "dim bat\ninput x_x[bat, 3, 3], y_y[bat, 3, 3]\nparam w_w[3, 3] ~ normal()"
    last = "x_x"
    for k, name in enumerate(names):
        yield f"o_{k}o[{name}, i_i, j_j] = sum[k_k]({last}[{name}, i_i, k_k] * y_y[{name}, k_k, j_j])"
        last = f"o_{k}o"
    yield f"u_u = {last} @ w_w\nloss mean(u_u^2)"


@models
def sharded(names):
    """Inputs, parameters and tensors of a model large enough to run on ranges of rows."""
    yield "dim bat"
    for k, name in enumerate(names):
        match k % 3:
            case 0:
                yield f"input {name}[bat, 96]\nparam w_{k}w[96, 96] ~ normal() * 0.01\nh_{k}h = {name} @ w_{k}w"
            case 1:
                yield f"param {name}[96, 96] ~ normal() * 0.01\nh_{k}h = tanh(h_{k - 1}h @ {name})"
            case _:
                yield f"{name}[b_b, i_i] = h_{k - 1}h[b_b, i_i] * 2"
                yield f"h_{k}h[{name}] = sum[i_i](h_{k - 1}h[{name}, i_i])"
    yield f"loss {total(f'mean(h_{k}h^2)' for k in range(len(names)))}"


@models
def sizes(names):
    yield "param w_w[] ~ normal()"
    for k, name in enumerate(names):
        yield f"dim {name}{'' if k % 2 else ' = 3'}\ninput x_{k}x[{name}, 2]"
    yield f"loss {total(f'mean(x_{k}x) * w_w * {name}' for k, name in enumerate(names))}"


@models
def parameter_sizes(names):
    yield from START
    for k, name in enumerate(names):
        yield f"dim {name} = {k % 3 + 1}\nparam w_{k}w[{name}, e_e: 2] ~ normal() * (1 + e_e) + {name}"
    yield f"loss mean(x_x) + {total(f'mean(w_{k}w^2)' for k in range(len(names)))}"


@models
def indices(names):
    yield from START
    yield "param w_w[2] ~ normal()"
    for k, name in enumerate(names):
        body = f"sum[o_o](x_x[{name}, o_o] * w_w[o_o])^2" if k % 2 else f"max[o_o](x_x[o_o, {name}] * w_w[{name}])"
        yield f"s_{k}s[{name}] = {body}"
    yield f"loss {total(f'mean(s_{k}s)' for k in range(len(names)))}"


@models
def reduced(names):
    yield from START
    yield "param w_w[2] ~ normal()"
    forms = (
        "sum[{0}](x_x[b_b, {0}] * w_w[{0}])^2",
        "argmax[{0}](x_x[b_b, {0}]) * w_w[0]",
        "max[{0}](x_x[b_b, {0}] + w_w[{0}])",
        "logsumexp[{0}](x_x[b_b, {0}] + w_w[{0}])",
    )
    yield f"h_h[b_b] = {total(forms[k % 4].format(name) for k, name in enumerate(names))}\nloss mean(h_h)"


@models
def laws(names):
    """Indices of initial laws, two at a time."""
    yield from START
    for k, (one, two) in enumerate(zip(names[::2], names[1::2], strict=False)):
        law = f"{one} * 10 + {two} * {k} + normal()" if k % 2 else f"if {one} < {two} then {one} else {two} * 0.5"
        yield f"param w_{k}w[{one}: 3, {two}: 4] ~ {law}"
    yield f"loss {total(('mean(x_x)', *(f'mean(w_{k}w^2)' for k in range(len(names) // 2))))}"


@models
def outputs(names):
    yield from START
    yield "param w_w[] ~ normal()"
    for k, name in enumerate(names):
        forms = f"predict {name} = x_x * w_w", f"predict {name} = mean(x_x) * w_w", f"metric {name} = mean(x_x) * w_w"
        yield f"{forms[k % 3]} + {k}"
    yield "loss mean(x_x * w_w)"


@models
def predictions_alone(names):
    """Predictions that need different inputs: each gets functions of its own."""
    yield "dim bat\nparam w_w[] ~ normal()"
    for k, name in enumerate(names):
        yield f"input x_{k}x[bat]\npredict {name} = x_{k}x * w_w"
    yield "loss mean(x_0x) * w_w"


@models
def moments(names):
    yield from START
    yield "param w_w[3] ~ normal()\noptimizer o_o(s_s = 0.1):"
    for name in names:
        yield f"    state {name} ~ zeros\n    {name} = 0.5 * {name} + g"
    yield f"    p = p - s_s * ({total(names)})\noptimize o_o(s_s = 0.05)\nloss mean(x_x) * sum(w_w^2)"


@models
def hyperparameters(names):
    yield from START
    yield f"param w_w[3] ~ normal()\noptimizer o_o({', '.join(f'{name} = 0.1' for name in names)}):"
    yield f"    p = p - g * ({total(names)})"
    yield f"optimize o_o({', '.join(f'{name} = 0.0{k + 1}' for k, name in enumerate(names))})"
    yield "loss mean(x_x) * sum(w_w^2)"


@models
def rules(names):
    yield from START
    for k, name in enumerate(names):
        yield f"param w_{k}w[2] ~ normal()\noptimizer {name}(lr = 0.1):\n    p = p - lr * g"
        yield f"optimize w_{k}w with {name}(lr = 0.{k + 1})"
    yield f"loss {total(f'sum(w_{k}w^2)' for k in range(len(names)))} + mean(x_x) * w_0w[0]"


@models
def definitions(names):
    yield from START
    yield "param w_w[] ~ normal()"
    for k, name in enumerate(names):
        yield f"def {name}(q_q) = tanh(q_q * {k + 1})"
    yield f"h_h = {total(f'{name}(x_x * w_w)' for name in names)}\nloss mean(h_h)"


@models
def arguments(names):
    yield from START
    yield "param w_w[] ~ normal()"
    for k, name in enumerate(names):
        yield f"def f_{k}f({name}, u_u = {k + 1}) = tanh({name} * u_u)"
    yield f"h_h = {total(f'f_{k}f({name} = x_x * w_w)' for k, name in enumerate(names))}\nloss mean(h_h)"


@models
def inside(names):
    """Parameters, tensors and dims of definitions."""
    yield from START
    for k, name in enumerate(names):
        yield f"def f_{k}f(q_q[..., i_i]):"
        yield from (
            (f"    param {name}[i_i] ~ normal()", f"    return[..., i_i] = tanh(q_q[..., i_i] * {name}[i_i])"),
            (f"    {name} = q_q * 2", f"    return tanh({name})"),
            (f"    v_v[..., {name}] = q_q[..., {name}] * 3", "    return v_v"),
        )[k % 3]
        yield f"h_{k}h = f_{k}f(x_x)"
    yield f"loss {total(f'mean(h_{k}h)' for k in range(len(names)))}"


ROLES = (
    inputs, targets, parameters, scalars, products, batched, sharded, sizes, parameter_sizes, indices, reduced, laws,
    outputs, predictions_alone, moments, hyperparameters, rules, definitions, arguments, inside,
)  # fmt: skip
AT_ONCE = 9
"""Names in one model: enough to meet each other, few enough to be compiled soon."""


IN_RULES = {"p", "g", "t", "s_s"}
"""Names that mean something in an optimizer's rule already."""


def chosen(role: Callable[[tuple[str, ...]], str]) -> list[tuple[str, ...]]:
    """An even share of the names for each role, in groups: each name is tried in some role."""
    at = ROLES.index(role)
    names = [name for name in NAMES if role not in (moments, hyperparameters) or name not in IN_RULES]
    share = names[at :: len(ROLES)]
    return [tuple(share[at : at + AT_ONCE]) for at in range(0, len(share), AT_ONCE)]


def emitted(text: str, **options: Any) -> str:
    """The module of a text, without the warnings of what its loss leaves out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GradcWarning)
        return pipeline.emit(text, file="m.grad", dtype="float64", **options)


def arrays_for(module: ModuleType, batch: int = 5) -> list[Any]:
    """Random arrays as the module declares them."""
    rng = np.random.default_rng(7)
    arrays: list[Any] = []
    for kind, axes in (*module.INPUTS.values(), *module.TARGETS.values()):
        shape = [batch if isinstance(axis, str) else axis for axis in axes]
        arrays.append(rng.normal(size=shape) if kind == "real" else rng.integers(0, 2, shape))
        if kind == "bool":
            arrays[-1] = arrays[-1].astype(bool)
    return arrays


def behaviour(module: ModuleType) -> dict[str, Any]:
    """All numbers that the module makes of random arrays, without the model's names."""
    arrays = arrays_for(module)
    given = arrays[: len(module.INPUTS)]
    params = module.init(seed=3)
    state = module.init_state(params)
    made: dict[str, Any] = {"params": params.flat.copy()}
    loss, gradients = module.loss_and_gradients(params, *arrays)
    made |= {"loss": loss, "gradients": gradients.flat}
    made["metrics"] = [*module.evaluate(params, *arrays).values()]
    if module.PREDICTIONS:
        predicted = module.predict(params, *given)
        made["predictions"] = list(predicted.values()) if isinstance(predicted, dict) else [predicted]
    made["steps"] = [module.train_step(params, state, *arrays) for _ in range(2)]
    return made | {"trained": params.flat, "moments": state.flat}


def assert_same(hostile: dict[str, Any], plain: dict[str, Any]) -> None:
    assert hostile.keys() == plain.keys()
    for what, value in plain.items():
        if what == "predictions":
            for a, b in zip(hostile[what], value, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-9, err_msg=what)
        else:
            np.testing.assert_allclose(hostile[what], value, rtol=1e-9, atol=1e-12, err_msg=what)


def assert_same_code(hostile: str, plain: str, names: tuple[str, ...]) -> None:
    """Both modules are of the same kinds of syntax, attributes and imports; other identifiers are made of the names."""
    trees = ast.parse(hostile), ast.parse(plain)
    kinds, attributes, imports, identifiers = zip(*map(parts_of, trees), strict=True)
    assert kinds[0] == kinds[1]
    assert attributes[0] - NUMBERS == attributes[1] - NUMBERS
    assert imports[0] == imports[1]
    # and of what the emitter calls by its role: loops, terms of a sum, the best so far, kernels by what they make first
    stems = [re.escape(re.sub(r"\W", "_", unicodedata.normalize("NFKC", name))) for name in names]
    made = re.compile(
        rf"\w*({'|'.join(stems)})\w*|(term|value|best|total|largest|smallest|product|[a-z])_?\d?|_+\d?|[fiu][48]"
        r"|(forward|backward|predict|evaluate)_\w+"
    )
    assert [name for name in identifiers[0] - identifiers[1] if not made.fullmatch(name)] == []


NUMBERS = {"float32", "float64", "int32", "int64", "uint32", "uint64"}
"""Types that a module names at its top where their short names stand anywhere in it, comments included."""


def parts_of(tree: ast.Module) -> tuple[set[str], set[str], list[str], set[str]]:
    """The kinds of nodes in a module, its attributes, its imports, its identifiers."""
    kinds, attributes, imports, identifiers = set(), set(), [], set()
    for node in ast.walk(tree):
        kinds.add(type(node).__name__)
        match node:
            case ast.Attribute(_, name):
                attributes.add(name)
            case ast.Import() | ast.ImportFrom():
                imports.append(ast.unparse(node))
            case ast.Name(name) | ast.arg(name) | ast.FunctionDef(name) | ast.ClassDef(name):
                identifiers.add(name)
    return kinds, attributes, imports, identifiers


def compare(role: Callable[[tuple[str, ...]], str], names: tuple[str, ...]) -> str:
    """The module with these names, once it has been seen to be the one with plain names."""
    plain_names = tuple(f"n{k}n" for k in range(len(names)))
    hostile, plain = emitted(role(names)), emitted(role(plain_names))
    assert_same_code(hostile, plain, names)
    assert_same(behaviour(load_plain(hostile)), behaviour(load_plain(plain)))
    return hostile


def assert_clean(sources: list[str], folder: Path) -> None:
    """No name is undefined, unused or given twice; ruff reads also what the test did not run."""
    for at, source in enumerate(sources):
        (folder / f"m{at}.py").write_text(source, encoding="utf-8")
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "E9,F", "--ignore", "F841", str(folder)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.__name__)
def test_names_change_nothing(role, tmp_path):
    assert_clean([compare(role, names) for names in chosen(role)], tmp_path)


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.__name__)
def test_the_modules_own_names_change_nothing(role):
    """What every module says, in every role: arrays, loops and functions that a model's names could hide."""
    own = ("params", "work", "np", "_array", "predict_entry", "lambda", "total", "_", "d_w_w", "class")
    compare(role, own[:6] if role is sharded else own)


def test_a_moment_may_be_called_as_the_number_of_its_places():
    compare(moments, ("size", "size_", "n"))


def test_every_name_of_a_module_is_known_to_the_names():
    """Tensors may be called what the module's own functions, classes and constants are called, so those are taken."""
    taken = Names().taken
    sources = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "generated").glob("*.py"))]
    sources.append(emitted(sharded(tuple(f"n{k}n" for k in range(9)))))
    for source in sources:
        for node in ast.parse(source).body:
            if isinstance(node, ast.FunctionDef) and any(ast.unparse(d) == "kernel" for d in node.decorator_list):
                continue  # kernels are named among the model's names
            assert [name for name in _defined(node) if name not in taken] == []


def _defined(node: ast.stmt) -> list[str]:
    match node:
        case ast.FunctionDef(name) | ast.ClassDef(name):
            return [name]
        case ast.Assign(targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
        case ast.Import(names) | ast.ImportFrom(_, names):
            return [name.asname or name.name for name in names]
    return []


# ---------------------------------------------------------------- names that become one


COLLISIONS = """
dim bat
input x[bat, 3], h_weight_[bat]
param h_weight[3, 3] ~ normal()
param d_h_weight[] ~ normal()
h = dense(tanh(x @ h_weight), 3)
d_h = h * d_h_weight
h_2 = dense(d_h, 3)
h = dense(h_2, 2)
h_bias = h * 2
d_h_weight_place = mean(h_bias) * d_h_weight + mean(h_weight_)
predict p = h
predict h_p = h_bias
predict entry = d_h_weight
loss mean(h_bias^2) + d_h_weight_place * sum(h.weight^2) + sum(h.bias) + sum(h_2.weight)
"""


def test_names_that_differ_by_a_dot_only():
    """`h.weight` and `h_weight` are two, and so are `d_h` of the model and of the gradient."""
    module = load_plain(emitted(COLLISIONS))
    assert {"h_weight", "d_h_weight", "h.weight", "h.bias", "h_2.weight"} <= set(module.PARAMS)
    params = module.init(seed=1)
    arrays = arrays_for(module)
    gradient = module.loss_and_gradients(params, *arrays)[1].flat
    for at in range(params.flat.size):
        kept, losses = params.flat[at], []
        for step in (1e-6, -1e-6):
            params.flat[at] = kept + step
            losses.append(module.loss_and_gradients(params, *arrays)[0])
        params.flat[at] = kept
        np.testing.assert_allclose(gradient[at], (losses[0] - losses[1]) / 2e-6, rtol=1e-5, atol=1e-8)


def test_predictions_called_like_the_functions_of_others():
    text = "dim bat\ninput x[bat], y[bat]\nparam w[] ~ ones\nloss mean(x + y) * w\n"
    text += "predict entry = x * w\npredict p = y * w\npredict p_entry = x * y\npredict entry_ = x * 3\n"
    module = load_plain(emitted(text))
    x, y = np.arange(4.0), np.ones(4)
    params = module.init()
    expected = {"entry": x, "p": y, "p_entry": x * y, "entry_": x * 3}
    for name, value in module.predict(params, x, y).items():
        np.testing.assert_allclose(value, expected[name])
    np.testing.assert_allclose(module.predict_entry_(params, x), x)
    np.testing.assert_allclose(module.predict_p(params, y), y)
    np.testing.assert_allclose(module.predict_p_entry_(params, x, y), x * y)


@pytest.mark.parametrize(("one", "other"), [("ϑ", "θ"), ("µ", "μ"), ("ϕ", "φ"), ("ϵ", "ε"), ("ϰ", "κ")])
def test_letters_that_python_takes_for_one_are_one_name(one, other):
    with pytest.raises(GradcError, match=f"{other} is declared already"):
        emitted(f"input {one}[3], {other}[3]\nloss sum({one})")
    module = load_plain(emitted(f"input x[3]\nparam {one}[3] ~ ones\nloss sum(x * {other}^2)"))
    assert list(module.PARAMS) == [other]
    np.testing.assert_allclose(module.loss_and_gradients(module.init(), np.ones(3))[0], 3.0)


# ---------------------------------------------------------------- text that could end a string or a line


NASTY = (
    '"""', "'''", '"', "'", "\\", "\\N{BULLET", "\\x", "\\u12", "{{ 7*7 }}", "{% raw %}", "{# #}", "{name}", "%s %(x)s",
    "$x ${y}", "`id`", "<script>", "]]>", "#!/bin/sh", "# noqa", "# type: ignore", "-*- coding: latin-1 -*-",
    '"""\nimport os\n"""', "'''\nraise SystemExit\n'''", "é ü Ω ∂ 😀 中",
)  # fmt: skip
PLAIN = "dim bat\ninput x[bat]\nparam w[] ~ 1 + 0\nh = x * w\nloss mean(h)\n"


def test_comments_are_text_wherever_they_go():
    nasty = " ".join(NASTY).replace("\n", " ")
    rows = "\n".join(f"# {row}" for row in "\n".join(NASTY).split("\n"))
    model = PLAIN.replace("h = x * w", f"h = (x  # {nasty}\n  * # {nasty}\n  w)  # {nasty}")
    model = model.replace("~ 1 + 0", f"~ (1 # {nasty}\n + 0) # {nasty}")
    text = f"{rows}\n{model}{rows}\n"
    source, plain = emitted(text), emitted(PLAIN)
    assert_same_code(source, plain, ())
    module = load_plain(source)
    assert text == module.SOURCE
    assert_same(behaviour(module), behaviour(load_plain(plain)))


@pytest.mark.parametrize("path", [nasty for nasty in NASTY if not set(nasty) & set('"\n\\')])
def test_paths_are_text(path):
    source = emitted(f'{PLAIN}data "{path}.npz"\n')
    assert_same_code(source, emitted(PLAIN), ())
    assert f"{path}.npz" == load_plain(source).DATA


@pytest.mark.parametrize("name", [*NASTY, "x" * 200, "a\tb", "a\rb\nc", "a\udcffb", "-rf", " ", "\u202e", "import os"])
def test_a_files_name_is_text(name):
    name = name.replace("/", "")
    source = pipeline.emit(PLAIN, file=f"{name}.grad", dtype="float64")
    assert_same_code(source, emitted(PLAIN), ())
    assert name == load_plain(source.encode().decode()).NAME


def test_a_used_files_name_is_text(tmp_path):
    (tmp_path / "a'{x}%s.grad").write_text("def twice(q) = q * 2\n")
    text = 'use "a\'{x}%s.grad"\n' + PLAIN.replace("mean(h)", "mean(twice(tanh(h)))")
    assert_same_code(emitted(text, folder=tmp_path), emitted(PLAIN.replace("mean(h)", "mean(tanh(h) * 2)")), ())


def test_model_names_are_names():
    for name in ("None", "__import__", "numpy", "self", "Ω", "_", LONG):
        assert name == load_plain(emitted(f"model {name}\n{PLAIN}")).NAME
    with pytest.raises(GradcError):
        emitted(f'model a"b\n{PLAIN}')


# ---------------------------------------------------------------- for callers, and compiled


def test_arrays_by_the_models_names():
    """A name that Python or the module has taken is the name of the array all the same."""
    text = "dim bat\ninput lambda[bat], params[bat]\ntarget class[bat], max_[bat]\nparam w[] ~ ones\n"
    text += "predict p = lambda * params * w\nloss mean((lambda * w - class)^2) + mean(max_)"
    model = gradc.compile_text(text)
    given = {"lambda": np.ones(4), "params": np.arange(4.0), "class": np.zeros(4), "max_": np.zeros(4)}
    loss, _ = model.loss_and_gradients(**given)
    assert loss == model.loss_and_gradients(*given.values())[0] == model.evaluate(**given)["loss"] == 1.0
    np.testing.assert_allclose(model.predict(params=given["params"], **{"lambda": given["lambda"]}), np.arange(4.0))
    with pytest.raises(TypeError, match="klass"):
        model.predict(klass=np.ones(4))


def test_a_compiled_module_with_hostile_names(tmp_path):
    source = emitted(inputs(("np", "lambda", "work", "Σ", "_array", "float32")))
    assert_same(behaviour(load_compiled(source, tmp_path)), behaviour(load_plain(source)))
