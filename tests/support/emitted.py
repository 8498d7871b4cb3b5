"""Emitted modules for tests: source in, module out, as plain Python or compiled; work space filled with poison.

Plain modules run the same text with Numba's decorators left out, in this process, beside others that compile. Arrays
that a module allocates without a value come filled: what it reads before it writes shows.
"""

import builtins
import contextlib
import functools
import importlib.util
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

SERIAL = itertools.count()


def load_plain(source: str, name: str = "plain_module") -> ModuleType:
    """The module with its functions as Python runs them: what Numba would compile is left as it is."""
    module = ModuleType(name)
    vars(module)["__builtins__"] = {**vars(builtins), "__import__": _without_numba}
    exec(compile(source, f"<{name}>", "exec"), vars(module))
    return module


def load_compiled(source: str, folder: Path) -> ModuleType:
    """The module from a file of its own in a folder: Numba compiles it, and may keep what it compiled there."""
    name = f"compiled_{next(SERIAL)}"
    path = folder / f"{name}.py"
    path.write_text(source, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def poisoned(module: ModuleType, fill: float) -> Iterator[None]:
    """Every array that the module's callers allocate, and does not come from them, is full of `fill` at first.

    Whole numbers are filled with what no tensor has a place for, truth values with whether `fill` is NaN. A compiled
    module must have run before: its kernels look NumPy up when they are compiled.
    """
    names = vars(module)
    true_numpy = names["np"]
    names["np"] = _Poisoned(true_numpy, fill)
    try:
        yield
    finally:
        names["np"] = true_numpy


class _Poisoned:
    """NumPy, but for `empty` and `zeros`: gradients are promised to be written, not to be zero before."""

    def __init__(self, numpy: Any, fill: float) -> None:
        self.numpy = numpy
        self.fill = fill

    def __getattr__(self, name: str) -> Any:
        return getattr(self.numpy, name)

    def empty(self, shape: Any, dtype: Any) -> Any:
        kind = np.dtype(dtype).kind
        fill = self.fill if kind == "f" else np.isnan(self.fill) if kind == "b" else -(2**40)
        return np.full(shape, fill, dtype)

    def zeros(self, shape: Any, dtype: Any) -> Any:
        return self.empty(shape, dtype)


# ---------------------------------------------------------------- Numba, left out


def _same(function: Callable[..., Any]) -> Callable[..., Any]:
    return function


def _njit(*functions: Callable[..., Any], **_options: Any) -> Any:
    return functions[0] if functions else _same


def _registered(*functions: Callable[..., Any], **options: Any) -> Any:
    return _apart if options.get("forceinline") is False else _njit(*functions)


def _apart(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """A kernel, of which LLVM is told that no two of its arrays overlap."""

    @functools.wraps(kernel)
    def checked(*arguments: Any) -> Any:
        arrays = [each for each in arguments if isinstance(each, np.ndarray)]
        for one, other in itertools.combinations(arrays, 2):
            assert not np.shares_memory(one, other), kernel.__name__
        return kernel(*arguments)

    return checked


def _lowered(*_what: Any) -> Any:
    return _same


KINDS = ("Array", "Number", "Integer", "Boolean", "UniTuple", "NoneType", "BaseTuple", "Float", "Any")
TYPES = SimpleNamespace(**dict.fromkeys(KINDS))
NUMBA = {
    "numba": SimpleNamespace(njit=_njit, types=TYPES),
    "numba.core": SimpleNamespace(cgutils=None, config=None),
    "numba.core.analysis": SimpleNamespace(compute_cfg_from_blocks=None, compute_use_defs=None),
    "numba.core.callconv": SimpleNamespace(CPUCallConv=object, Status=None),
    "numba.core.codegen": SimpleNamespace(JITCodeLibrary=object),
    "numba.core.compiler": SimpleNamespace(Compiler=object, Flags=None),
    "numba.core.compiler_machinery": SimpleNamespace(register_pass=lambda **_: _same),
    "numba.core.cpu": SimpleNamespace(CPUContext=object),
    "numba.core.lowering": SimpleNamespace(Lower=object),
    "numba.core.ir": SimpleNamespace(Assign=None, UNDEFINED=None),
    "numba.core.ir_utils": SimpleNamespace(build_definitions=None, find_const=None, guard=None),
    "numba.core.rewrites": SimpleNamespace(rewrite_registry=None),
    "numba.core.ssa": SimpleNamespace(reconstruct_ssa=None),
    "numba.core.targetconfig": SimpleNamespace(ConfigStack=None),
    "numba.core.typed_passes": SimpleNamespace(NativeLowering=object, PreLowerStripPhis=object),
    "numba.core.typing.templates": SimpleNamespace(CallableTemplate=object),
    "numba.core.untyped_passes": SimpleNamespace(GenericRewrites=object, ReconstructSSA=object),
    "numba.extending": SimpleNamespace(
        lower_builtin=_lowered, type_callable=_lowered, register_jitable=_registered, intrinsic=_same
    ),
    "numba.np.numpy_support": SimpleNamespace(as_dtype=None),
    "llvmlite": SimpleNamespace(ir=None, binding=None),
    "llvmlite.ir": SimpleNamespace(Constant=_lowered, IntType=_lowered, IRBuilder=object),
    "llvmlite.ir.instructions": SimpleNamespace(InsertValue=None, PhiInstr=None),
    "llvmlite.binding": SimpleNamespace(add_symbol=_lowered, get_host_cpu_features=dict),
}


def _without_numba(name: str, *arguments: Any, **more: Any) -> Any:
    if name in NUMBA:
        return NUMBA[name]
    return builtins.__import__(name, *arguments, **more)
