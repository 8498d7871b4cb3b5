"""The compiler as others call it: the runtime and the command line, which import it only when they must.

Each part is imported when it is first asked for: who compiles a model need not load what checks and explains one.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .bench import bench as bench
    from .bench_data import Asked as Asked
    from .check import check as check
    from .derive import derive as derive
    from .inspection import inspect as inspect
    from .language.arrays import declared as declared
    from .picture import picture as picture
    from .stages import Stages as Stages
    from .stages import dependencies as dependencies
    from .stages import emit as emit
    from .stages import gradient_graph as gradient_graph
    from .stages import gradient_program as gradient_program
    from .stages import graphs as graphs
    from .stages import graphs_of as graphs_of
    from .stages import module_spec as module_spec
    from .stages import unreached as unreached

_HOMES = {
    "Asked": "bench_data",
    "bench": "bench",
    "check": "check",
    "declared": "language.arrays",
    "derive": "derive",
    "inspect": "inspection",
    "picture": "picture",
}


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    return getattr(importlib.import_module(f"gradc.{_HOMES.get(name, 'stages')}"), name)
