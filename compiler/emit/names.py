"""Python names for what a model names: `h.weight` → `h_weight`, and never a keyword, a builtin or the module's own.

Whatever a model calls its tensors, the emitted text holds identifiers made here and nothing else of the model's
choosing outside comments and strings.
"""

import builtins
import keyword
import re
from collections.abc import Iterable

from .prelude import AVAILABLE, prelude_words

PRELUDE_NAMES = (*prelude_words((*AVAILABLE, "compilers"), "float32"), *prelude_words(AVAILABLE, "float64"))
IMPORTS = (
    *("math", "njit", "types", "cgutils", "lower_builtin", "type_callable", "register_jitable"),
    *("JITCodeLibrary", "Compiler", "as_dtype", "config", "REGISTER", "ROWS", "FEW", "LONG", "LANES"),
    *("INNER", "WIDE", "EXACT", "Lower", "NativeLowering", "PreLowerStripPhis", "ReconstructSSA", "GenericRewrites"),
    *("build_definitions", "find_const", "guard", "reconstruct_ssa", "register_pass", "rewrite_registry", "operator"),
    *("Assign", "Constant", "Counter", "IRBuilder", "IntType", "UNDEFINED", "binding", "InsertValue", "PhiInstr"),
    *("compute_cfg_from_blocks", "compute_use_defs", "chain", "contextmanager", "reduce"),
    *("CPUCallConv", "CPUContext", "CallableTemplate", "ConfigStack", "Flags", "Status", "NEVER", "ALWAYS"),
    *("ctypes", "gc", "sys", "Path", "add_symbol", "_function", "cache", "ir", "intrinsic", "get_host_cpu_features"),
)
KERNEL_NAMES = ("np", "f4", "f8", "i4", "i8", "u4", "u8", *IMPORTS)
"""Beside builtins and vector functions, all that the body of a kernel may mean."""

LIKE_DIGITS = ("l", "I", "O")
"""Letters that readers take for 1 and 0; ruff (E741) does not let them be names."""

MODULE_NAMES = (
    *("first", "last", "rows", "shards", "share", "shares", "sums", "begin", "end", "worker", "done", "WORKERS"),
    *("team", "workers", "turns", "part", "spaces", "shard", "from_shard", "to_shard", "partial"),
    *("nullcontext", "sleep", "calls", "calling"),
    *("held", "take_steps", "aligned", "common", "own", "part_of_predict", "Team", "AWAY", "STAYS", "CALLED"),
    *("os", "threading", "SimpleQueue", "alone", "board", "Worker", "LAST_TURN", "Pace", "pace", "perf_counter"),
    *("over_rows", "of_sums", "shards_of", "OneBlasThread", "Workers"),
    *("FAST", "kernel", "inlined", "vector", "entry", "gemm", "parts", "count", "PLAIN", "BARE"),
    *("NAME", "DTYPE", "SOURCE", "HASH", "PARAMS", "SIZE", "MOMENTS", "INPUTS", "TARGETS", "RANGES", "PREDICTIONS"),
    *("METRICS", "DATA", "FIT", "Params", "State", "init", "init_state", "train_step", "loss_and_gradients", "predict"),
    *("evaluate", "differentiate", "update", "first_outside", "params", "state", "d_params", "work", "places", "flags"),
    *("moments", "t", "seed", "rng", "flat", "orthogonal", "self"),
    *("gradient_entry", "step_entry", "predict_entry", "evaluate_entry", "bad", "place", "kernels", "step", "numba"),
    *("gradients", "results", "threadpoolctl", "_", "_array", "_checked", "_checked_inputs"),
    *("losses", "steps", "train_steps", "_steps", "BATCH"),
    *("_out_of_range", "_seed", "processors"),
)


WORDS = frozenset((*KERNEL_NAMES, *PRELUDE_NAMES, *dir(builtins), *keyword.kwlist, *keyword.softkwlist, *LIKE_DIGITS))
"""What no name of a model may be anywhere."""


class Names:
    """Hands out identifiers: the same for the same name, different ones for different names."""

    def __init__(self, taken: Iterable[str] = MODULE_NAMES) -> None:
        self.taken = {*WORDS, *taken}
        self.given: dict[str, str] = {}

    def of(self, name: str) -> str:
        """The identifier of a tensor, a dim or a prediction."""
        if name not in self.given:
            self.given[name] = self.fresh(name)
        return self.given[name]

    def fresh(self, name: str) -> str:
        """An identifier like the name that is not taken; it is from now on."""
        shown = identifier(name)
        candidate, count = shown, 1
        while candidate in self.taken or (candidate.startswith("__") and candidate.endswith("__")):
            count += 1
            candidate = f"{shown}_" if count == 2 else f"{shown}_{count - 1}"  # noqa: PLR2004  (the second try)
        self.taken.add(candidate)
        return candidate

    def inside(self, names: Iterable[str], others: Iterable[str]) -> dict[str, str]:
        """Identifiers for a few names that are free again outside of some loops, beside others that are taken there."""
        own = set(others) - self.taken
        self.taken |= own
        found = {name: self.fresh(name) for name in names}
        self.taken -= own | set(found.values())
        return found


def identifier(name: str) -> str:
    """The name with all that Python does not allow turned to underscores: `h.weight` → `h_weight`."""
    shown = re.sub(r"\W", "_", name)
    return shown if shown and not shown[0].isdigit() else f"_{shown}"
