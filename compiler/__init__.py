"""gradc: a symbolic gradient compiler. Equations in; readable, fast, framework-free training code out.

    import gradc

    model = gradc.compile("digits.grad")
    history = model.fit(x, y)
    model.save("digits.safetensors")

Public names are imported when first asked for, so that `import gradc` costs next to nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradc.errors import GradcError, GradcWarning
    from gradc.runtime.model import Model, compile, compile_text
    from gradc.runtime.training import Epoch, History

    __version__: str

__all__ = ["Epoch", "GradcError", "GradcWarning", "History", "Model", "compile", "compile_text"]

_HOMES = {
    "Epoch": "gradc.runtime.training",
    "GradcError": "gradc.errors",
    "GradcWarning": "gradc.errors",
    "History": "gradc.runtime.training",
    "Model": "gradc.runtime.model",
    "compile": "gradc.runtime.model",
    "compile_text": "gradc.runtime.model",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("gradc")
    if name not in _HOMES:
        raise AttributeError(f"module 'gradc' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__, "__version__"])
