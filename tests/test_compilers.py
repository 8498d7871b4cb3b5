"""How Numba compiles emitted modules: each kernel once, as a function of its entry, with vectors in it."""

import gc
import operator
import re
from types import SimpleNamespace

import numpy as np
import pytest
from llvmlite.binding import get_host_cpu_features
from numba import types
from numba.core import config
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.core.dispatcher import _FunctionCompiler
from numba.core.typing.context import Context
from support.emitted import load_compiled, load_plain

from gradc import pipeline

MODEL = """
model small
dim batch
input x[batch, 24]
target y[batch, 24]
h = tanh(dense(x, 24))
loss mean(squared_error(dense(h, 24), y))
optimize adam(lr = 1e-2)
"""


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """The module after a step, the libraries that machine code was made of for it, and what was written for LLVM of
    the functions that entries call."""
    translated, finish = [], JITCodeLibrary._finalize_specific
    written, take = [], JITCodeLibrary.add_ir_module

    def noted(library):
        translated.append(library)
        finish(library)

    def told(library, module):
        if type(library).__name__ == "Part":
            written.append(str(module))
        take(library, module)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JITCodeLibrary, "_finalize_specific", noted)
        patch.setattr(JITCodeLibrary, "add_ir_module", told)
        module = load_compiled(pipeline.emit(MODEL, file="small.grad"), tmp_path_factory.mktemp("compiled"))
        x = np.random.default_rng(0).normal(size=(8, 24)).astype(np.float32)
        params = module.init(seed=0)
        module.train_step(params, module.init_state(params), x, x)
    return module, translated, written


def functions_of(module):
    """The LLVM text of each function of the step's entry, by its name in the module."""
    (text,) = module.step_entry.inspect_llvm().values()
    named = re.compile(rf"@\S*?\d({'|'.join(kernels_of(module))})B")
    definitions = re.findall(r"^define .*?^}", text, flags=re.MULTILINE | re.DOTALL)
    return [(found[1], each) for each in definitions if (found := named.search(each.split("\n")[0]))]


def kernels_of(module):
    return [name for name in vars(module) if re.match(r"(forward|backward|loss_|adam)", name)]


def test_a_kernel_is_in_its_entry_once_and_nobody_elses(compiled):
    module, *_ = compiled
    found = functions_of(module)
    assert sorted(name for name, _ in found) == sorted(name for name in set(kernels_of(module)) & calls_of(module))
    assert all(text.startswith("define internal") for _, text in found)


def test_what_is_made_for_an_entry_has_a_name_of_its_own(compiled):
    """Code that is linked later finds functions by their names, also those that no one else should call."""
    module, *_ = compiled
    (text,) = module.step_entry.inspect_llvm().values()
    names = re.findall(r'^define internal [^@]*@"?([^"(]+)', text, flags=re.MULTILINE)
    assert any(name.startswith("tile.") for name in names)
    assert all(re.search(rf"step_entry_{module.HASH}(\.\d+)?$", name) for name in names)


def calls_of(module):
    """What the functions that make up a step call."""
    return {name for function in (module.differentiate, module.update) for name in function.__code__.co_names}


def test_kernels_have_vectors(compiled):
    module, *_ = compiled
    assert all(re.search(r"<\d+ x float>", text) for _, text in functions_of(module))


RARE = """
model rare
dim count
input x[count]
predict y[n] = log(x[n]) + sin(x[n])
loss sum(y)
"""


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_rare_is_part_of_the_loop(tmp_path, dtype):
    """A register calls nothing unless one of its numbers is in need of the C library, and then that one gets it."""
    module = load_compiled(pipeline.emit(RARE, file="rare.grad", dtype=dtype), tmp_path)
    x = np.linspace(0.1, 20, 100).astype(dtype)
    x[[3, 50, 51, 70, 80, 99]] = 0, -1, np.inf, np.nan, 1e7, np.finfo(dtype).smallest_subnormal
    with np.errstate(all="ignore"):
        wanted = np.log(x.astype("float64")) + np.sin(x.astype("float64"))
    np.testing.assert_allclose(module.predict(module.init(), x), wanted, rtol=1e-6, atol=1e-6)
    (text,) = module.predict_entry.inspect_llvm().values()
    assert re.search(r"define .*<\d+ x (float|double)> @rare", text)
    assert not re.search(r"call .*<\d+ x (float|double)> @rare", text)


@pytest.mark.parametrize("by_bits", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_powers_of_two_are_the_processors(tmp_path, monkeypatch, dtype, by_bits):
    """In registers and one by one, from what becomes 0 over denormals to infinity; and where the processor has none."""
    text = "dim count\ninput x[count]\npredict y[n] = exp(x[n])\nloss sum(y)\n"
    module = load_compiled(pipeline.emit(text, file="powers.grad", dtype=dtype), tmp_path)
    if by_bits:
        monkeypatch.setattr(module, "get_host_cpu_features", lambda: SimpleNamespace(flatten=str))
    ends = [-np.inf, -746, -745, -709, -104, -103, -88, -87, 0, 88, 89, 709, 710, np.inf, np.nan]
    denormal = np.log(np.finfo(dtype).tiny)
    x = np.array(2 * ends + [*np.linspace(-760, 720, 101), *np.linspace(denormal - 2, denormal + 2, 4000)], dtype)
    with np.errstate(all="ignore"):
        exact = np.exp(x.astype(np.longdouble))
        wanted, given = exact.astype(dtype), module.predict(module.init(), x)
    finite = np.isfinite(wanted)
    np.testing.assert_array_equal(given[~finite], wanted[~finite])
    assert np.max(np.abs(given[finite] - exact[finite]) / np.spacing(wanted[finite])) <= 1.1
    (text,) = module.predict_entry.inspect_llvm().values()
    has_them = all(map(get_host_cpu_features().get, ("avx512f", "avx512vl"))) and not by_bits
    assert bool(re.search(r"llvm\.x86\.avx512\.mask\.scalef", text)) == has_them
    assert not re.search(r"call .*<\d+ x (float|double)> @scaled", text)


def test_no_kernel_is_translated_alone(compiled):
    module, translated, _ = compiled
    names = [library.name for library in translated]
    assert any("step_entry" in name for name in names)
    assert not set(names) & {*kernels_of(module), "differentiate", "update", "parts"}


def test_what_entries_call_raises_nothing(compiled):
    """Callers do not look whether it has."""
    _, _, written = compiled
    assert len(written) > 8
    returned = {code for text in written for code in re.findall(r"\bret i32 (\S+)", text)}
    assert returned == {"0"}
    assert not any(re.search(r"= (alloca|load) .*excinfo", text) for text in written)


def test_arrays_are_put_together_only_where_they_are_read(compiled):
    *_, written = compiled
    functions = [each for text in written for each in re.findall(r"^define .*?^}", text, re.MULTILINE | re.DOTALL)]
    made = [(each, name) for each in functions for name in re.findall(r"(%\S+) = insertvalue", each)]
    assert made
    assert all(len(re.findall(rf"{re.escape(name)}(?=[,\s])", each)) > 1 for each, name in made)


def test_numbas_own_level_is_as_it_was(compiled):
    assert config.OPT == 3


VISITS = """

@inlined
def visits(numbers, flags, totals, places):
    totals[...] = 7.0
    n = 0
    for start, stop, step in ((0, 5, 1), (5, 0, -1), (1, 6, 2), (6, 1, -2), (3, 3, 1), (4, 2, 1)):
        for i in range(start, stop, step):
            places[n] = i
            n += 1
    for i in range(numbers.shape[0]):
        part = numbers[i]
        for j in range(1, numbers.shape[1]):
            flags[i, j] = part[j, 0] > 0.0
            totals[i] += part[j, 1] + numbers[i, j, 1]
    numbers[0, 1, ...] = 3
    numbers[1, 0, 0] = places[0]
    return n


@entry
def visit(numbers, flags, totals, places):
    return visits(numbers, flags, totals, places)
"""
"""Loops forwards, backwards, in steps and over nothing; numbers and parts of arrays."""


@pytest.mark.parametrize("aside", [False, True])
def test_loops_and_places_are_as_in_python(tmp_path, aside):
    """Of arrays that lie in one stretch, and of one that is seen from its end."""
    source = pipeline.emit(MODEL, file="small.grad") + VISITS
    results = []
    for module in (load_plain(source), load_compiled(source, tmp_path)):
        numbers = np.random.default_rng(0).normal(size=(2, 3, 2)).astype(np.float32)
        numbers = numbers[:, ::-1] if aside else numbers
        arrays = numbers, np.zeros((2, 3), bool), np.zeros(2), np.full(20, -1)
        count = module.visit(*arrays)
        results.append([count, *(array.tolist() for array in arrays)])
    assert results[0] == results[1]


BRANCHES = """

@inlined
def crossed(numbers, totals):
    turned, pair = numbers.T, (numbers.shape, numbers[0, 0])
    (height, width), first = pair
    if first > 0.0:
        late = 2 * height * 3
    for j in range(width):
        last = turned[j, height - 1]
        for i in range(height):
            if turned[j, i] > last:
                totals[j] += i
            totals[j] += turned[j, i] * last
    if first > 0.0:
        totals[0] += late
    return turned[width - 1, 0], 2 * width, last


@entry
def cross(numbers, totals):
    return crossed(numbers, totals)
"""
"""Variables that are read in other blocks than they are assigned in, one of them on some ways only; axes turned."""


@pytest.mark.parametrize("aside", [False, True])
def test_variables_are_what_they_were_in_other_blocks(tmp_path, aside):
    source = pipeline.emit(MODEL, file="small.grad") + BRANCHES
    results = []
    for module in (load_plain(source), load_compiled(source, tmp_path)):
        numbers = np.arange(1, 7, dtype=np.float32).reshape(2, 3)
        totals = np.zeros(3)
        values = module.cross(numbers[:, ::-1] if aside else numbers, totals)
        results.append([*values, *totals.tolist()])
    assert results[0] == results[1]


OPERATORS = """

@inlined
def of_kinds(flag, small, whole, single, double):
    return (
        small + small, small * whole, whole - 1, whole // 2, -7 // whole, -7 % whole, whole / 2, single / 3, single * 2,
        f4(whole) * single, single * double, single < double, whole == 3, flag == 1, flag & (whole > 1), -single,
        single ** 5, double ** 3, double ** 0.5, (whole << 2) | small, bool(whole), not single
    )  # fmt: skip


@entry
def kinds(flag, small, whole, single, double):
    return of_kinds(flag, small, whole, single, double), of_kinds(flag, small, small, double, single)
"""
"""The operators, between numbers of several kinds."""


def test_an_operator_has_a_meaning_for_each_kind_of_numbers(tmp_path):
    source = pipeline.emit(MODEL, file="small.grad") + OPERATORS
    numbers = True, np.int32(5), 3, np.float32(0.1), 0.7
    module = load_compiled(source, tmp_path)
    for expected, found in zip(load_plain(source).kinds(*numbers), module.kinds(*numbers), strict=True):
        np.testing.assert_allclose(np.array(found, float), np.array(expected, float), rtol=1e-6)
    (text,) = module.kinds.inspect_llvm().values()
    assert "int_power" not in text  # a product each


def test_the_types_of_an_operator_are_found_once(tmp_path, monkeypatch):
    asked = []
    find = Context.resolve_function_type

    def noted(context, function, given, named):
        if getattr(function, "typing_key", None) is operator.mul and len(given) == 2:
            asked.append(given)
        return find(context, function, given, named)

    monkeypatch.setattr(Context, "resolve_function_type", noted)
    module = load_compiled(pipeline.emit(MODEL, file="small.grad"), tmp_path)
    x = np.zeros((8, 24), np.float32)
    params = module.init(seed=0)
    module.train_step(params, module.init_state(params), x, x)
    numbers = [given for given in asked if all(isinstance(each, types.Number) for each in given)]
    assert len(numbers) > 3
    # once by the module's own functions; entries, and what Numba compiles of its own, ask again
    assert len(numbers) <= len(set(numbers)) + 3


WIDE_MODEL = """
dim batch
input x[batch, 600]
target y[batch] : int(10)
logits = dense(tanh(dense(x, 300)), 10)
loss mean(cross_entropy(logits, y))
optimize adam(lr = 1e-2)
"""
"""A step that is cut, with products that all workers make together: kernels call products, and so do others."""


def test_each_function_is_compiled_once(tmp_path, monkeypatch):
    compiled, core = [], _FunctionCompiler._compile_core

    def noted(function, given, returned):
        compiled.append((function.py_func, given))
        return core(function, given, returned)

    monkeypatch.setattr(_FunctionCompiler, "_compile_core", noted)
    code = pipeline.emit(WIDE_MODEL)
    assert "gemm_by_all(" in code
    module = load_compiled(code, tmp_path)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(64, 600)).astype(np.float32), rng.integers(0, 10, 64)
    params = module.init(seed=0)
    module.train_step(params, module.init_state(params), x, y)
    own = [(function, given) for function, given in compiled if function.__module__ == module.__name__]
    assert len(own) > 10
    assert len(own) == len(set(own))


def test_no_cycles_are_looked_for_while_an_entry_is_compiled(compiled, monkeypatch):
    module, *_ = compiled
    seen = []
    monkeypatch.setattr(Compiler, "compile_extra", lambda _, function: (seen.append(gc.isenabled()), function)[1])
    entries = object.__new__(module.Entries)
    assert entries.compile_extra("entry") == "entry"
    assert gc.isenabled()
    gc.disable()
    try:
        entries.compile_extra("entry")
        assert not gc.isenabled()  # who has switched it off finds it so
    finally:
        gc.enable()
    assert seen == [False, False]
