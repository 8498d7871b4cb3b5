"""An emitted module with clocks in it: its source and its call sites → a module whose calls are timed and counted.

Before and after every call of a kernel or a product the copy reads a clock in compiled code; the rest is as emitted,
so that what is timed is the code that users run. The clocks are one array, handed from the callers down: every compiled
function and every call of one gets it as its last argument. In a copy without kernels only the products are left, in
the loops and on the operands that they have in the module; what no kernel writes is 1 there, as whatever happens to lie
in memory may be denormals, with which a product takes fifty times as long.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from gradc import clock
from gradc.emit.driver import CallSite
from gradc.runtime.interface import Emitted

PRODUCTS = ("gemm", "gemm_by_all")
COMPILED = ("inlined", "entry")
"""The decorators of the functions that run programs, and of those that call them."""
WORDS = ("clocks", "mark", "lap", "multiplied")


@dataclass(frozen=True, slots=True)
class Clocked:
    """A module with clocks.

    Attributes:
        module: it, with the functions of the emitted one.
        sites: function and call site, in the order of the text; the site at place n has row n + 1 of the clocks.
        clocks: nanoseconds, calls and multiply-adds of each site.
        cost: nanoseconds that the clock itself adds to each call of a site.
    """

    module: Emitted
    sites: tuple[tuple[str, CallSite], ...]
    clocks: npt.NDArray[np.int64]
    cost: float


def clocked(source: str, sites: Mapping[str, Sequence[CallSite]], file: str, *, kernels: bool = True) -> Clocked:
    """The module with clocks, loaded.

    Args:
        source: an emitted module.
        sites: for each of its functions that runs a program the calls in it, in order, as the emitter tells them.
        file: what the module is said to be loaded from: errors that it raises are known by it.
        kernels: whether they are called; without, the products alone are, and what kernels give back is 0.
    """
    tree = ast.parse(source)
    words = dict(zip(WORDS, _unused(source), strict=True))
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    compiled = {name for name, node in functions.items() if _mark_of(node) in COMPILED}
    ordered = [(name, site) for name in functions if name in sites for site in sites[name]]
    _Handed(compiled, words["clocks"]).visit(tree)
    if not kernels:
        _Filled().visit(tree)
    at = 1
    for name, node in functions.items():
        if name in compiled:
            node.args.args.append(ast.arg(words["clocks"]))
        if sites.get(name):
            writer = _Writer(iter(sites[name]), words, at, kernels)
            node.body = writer.block(node.body)
            at = writer.at
    assert at == len(ordered) + 1, "every call that the emitter wrote is found again"
    return _loaded(tree, tuple(ordered), words, file)


def _loaded(tree: ast.Module, sites: tuple[tuple[str, CallSite], ...], words: Mapping[str, str], file: str) -> Clocked:
    """Runs the tree as a module. Its compiled code is kept nowhere."""
    module = ModuleType("clocked")
    module.__file__ = file
    clocks = np.zeros((len(sites) + 1, clock.COLUMNS), np.int64)
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "cache":
            node.value = ast.Constant(False)
    exec(compile(ast.fix_missing_locations(tree), file, "exec"), module.__dict__)
    given = {name: getattr(clock, name) for name in WORDS[1:]} | {WORDS[0]: clocks}
    module.__dict__.update({words[name]: value for name, value in given.items()})
    return Clocked(cast(Emitted, module), sites, clocks, clock.cost())


def _unused(source: str) -> Iterator[str]:
    """The words, each as a name that the module does not have."""
    for word in WORDS:
        name = f"_{word}"
        while name in source:
            name += "_"
        yield name


def _mark_of(node: ast.FunctionDef) -> str:
    """Its decorator."""
    return ast.unparse(node.decorator_list[0]) if node.decorator_list else ""


class _Handed(ast.NodeTransformer):
    """Hands the clocks to every call of compiled functions."""

    def __init__(self, compiled: set[str], clocks: str) -> None:
        self.compiled = compiled
        self.clocks = clocks

    def visit_Call(self, node: ast.Call) -> ast.Call:
        """Adds the argument."""
        self.generic_visit(node)
        if _called(node) in self.compiled:
            node.args.append(_name(self.clocks))
        return node


class _Filled(ast.NodeTransformer):
    """Fills new arrays: numbers with 1, places and conditions, by which others may be read, with 0."""

    def visit_Call(self, node: ast.Call) -> ast.Call:
        """`np.ones(size, f4)` in place of `np.empty(size, f4)`, and `aligned(np.ones, size, f4)`."""
        self.generic_visit(node)
        kind = ast.unparse(node.args[-1]) if node.args else ""
        filled = ast.Attribute(_name("np"), "zeros" if kind in ("np.int64", "np.bool_") else "ones", ast.Load())
        if ast.unparse(node.func) == "np.empty":
            node.func = filled
        node.args = [filled if ast.unparse(given) == "np.empty" else given for given in node.args]
        return node


@dataclass
class _Writer:
    """Writes the body of one function anew.

    Attributes:
        left: the calls that are still to come.
        at: the row of the next.
    """

    left: Iterator[CallSite]
    words: Mapping[str, str]
    at: int
    kernels: bool

    def __post_init__(self) -> None:
        self.next: CallSite | None = next(self.left, None)

    def block(self, body: Sequence[ast.stmt]) -> list[ast.stmt]:
        """Statements, with clocks around those that call a site."""
        return [row for statement in body for row in self.statement(statement)]

    def statement(self, node: ast.stmt) -> list[ast.stmt]:
        """One of them: a call, or what has calls inside of it."""
        if isinstance(node, ast.Expr | ast.Assign) and self.next and _called(node.value) == self.next.function:
            return self.site(node)
        for field in ("body", "orelse"):
            if isinstance(inside := getattr(node, field, None), list) and inside:
                setattr(node, field, self.block(inside))
        return [node]

    def site(self, node: ast.Expr | ast.Assign) -> list[ast.stmt]:
        """A call between two looks at the clock."""
        at, self.at, self.next = self.at, self.at + 1, next(self.left, None)
        call = cast(ast.Call, node.value)
        clocks, row = _name(self.words["clocks"]), ast.Constant(at)
        if _called(call) not in PRODUCTS and not self.kernels:
            return [_nothing(node)]
        rows = [self.call("mark", clocks), node, self.call("lap", clocks, row)]
        if _called(call) in PRODUCTS:
            rows.append(self.call("multiplied", clocks, row, call.args[0], call.args[2]))
        return rows

    def call(self, word: str, *arguments: ast.expr) -> ast.stmt:
        """A call of the clock."""
        return ast.Expr(ast.Call(_name(self.words[word]), list(arguments), []))


def _nothing(node: ast.Expr | ast.Assign) -> ast.stmt:
    """In place of a kernel's call: what it gives back is 0."""
    if isinstance(node, ast.Expr):
        return ast.Pass()
    (target,) = node.targets
    count = len(target.elts) if isinstance(target, ast.Tuple) else 0
    value: ast.expr = ast.Tuple([ast.Constant(0)] * count, ast.Load()) if count else ast.Constant(0)
    return ast.Assign([target], value)


def _called(node: Any) -> str:
    """The function that an expression calls."""
    return node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""


def _name(text: str) -> ast.Name:
    return ast.Name(text, ast.Load())
