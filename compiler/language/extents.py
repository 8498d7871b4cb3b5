"""What each index of an equation runs over: its syntax → the indices of its left side, its reductions and `...`.

An index runs over what is stated; else over the extent of where it stands bare, and of the dim of its name; else, in
arithmetic only, from 0 as far as its reads stay inside; else over what guarded reads and comparisons tell. Whether
every read is then inside is proved later, where it is elaborated.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from gradc.errors import Label
from gradc.graph.index import ZERO, Gather, IndexExpr, index, of_atom
from gradc.graph.ranges import Ranges

from . import core, syntax
from .cycles import in_one_cycle, measuring
from .indices import described_read, index_name, shown_base, stray_binder, two_dots, wrong_count
from .places import Place
from .refusal import Echo, Refused
from .scopes import Group, Size, Thunk
from .settle import Settling
from .sizes import size_of
from .values import POISON, Array, Element, shown
from .variables import Bare, Variable
from .walk import has_dots, names_in, without_binders
from .world import World

REDUCERS = {"sum", "prod", "mean", "max", "min", "logsumexp", "argmax", "argmin"}


@dataclass(frozen=True, slots=True)
class Solution:
    """The indices of an equation: of its left side by the name written, and those that `...` stands for; and of all
    those of which only a tensor of its own recurrence told."""

    left: Mapping[str, core.Index]
    rest: tuple[core.Index, ...] | None
    told: tuple[Variable, ...]


Env: TypeAlias = Mapping[str, Variable]


def solve(world: World, place: Place, left: Sequence[syntax.Expression], left_names: Sequence[syntax.Expression],
          right: syntax.Expression, fewest: int = 1) -> Solution:  # fmt: skip
    """The range of every index of an equation; those of reductions are noted in the context.

    Args:
        left: the subscripts of the left side.
        left_names: the names and binders among them that are indices.
        fewest: what the extents of these must be at least.

    Raises:
        Refused: an index is undetermined, or two places disagree about one.
    """
    search = _Search(world, place)
    env = search.variables(left_names, {})
    for variable in env.values():
        variable.fewest = fewest
    search.note_state(left, env)
    search.walk(right, env)
    if not has_dots(*left):  # which axes are which is not known then
        search.written = [search.arithmetic(without_binders(node), env) for node in left]
    rest = search.rest(left, right)
    Settling(search).settle()
    for key, variables in search.reductions.items():
        place.context.reductions[key] = tuple(search.index(v) for v in variables)
    told = tuple(variable for variable in search.all if variable.told_by is not None)
    return Solution({name: search.index(v) for name, v in env.items()}, rest, told)


class _Search:
    """One equation's indices and all that its text tells about them."""

    def __init__(self, world: World, place: Place) -> None:
        self.world = world
        self.place = place
        self.context = place.context
        self.all: list[Variable] = []
        self.reductions: dict[int, list[Variable]] = {}
        self.circular: Group | None = None
        self.dots: list[tuple[tuple[core.Axis, ...], syntax.Subscript]] = []
        self.written: list[IndexExpr | None] = []

    # ------------------------------------------------------------ variables

    def variables(self, written: Sequence[syntax.Expression], env: Env) -> dict[str, Variable]:
        """New indices: names and binders."""
        found: dict[str, Variable] = {}
        for node in written:
            if isinstance(node, syntax.Name):
                self._bare_variable(node, env, found)
            elif isinstance(node, syntax.Binder):
                self._stated_variable(node, env, found)
        self.all.extend(found.values())
        return found

    def _bare_variable(self, node: syntax.Name, env: Env, found: dict[str, Variable]) -> None:
        if node.name in found:
            return
        self._check_new(node, env)
        found[node.name] = Variable(node.name, self._internal(node.name), node.span)
        entry = self.world.find(node.name, self.place)
        if isinstance(entry, Size):
            found[node.name].dim = entry.value

    def _stated_variable(self, node: syntax.Binder, env: Env, found: dict[str, Variable]) -> None:
        known = found.get(node.name)
        if known is None:
            self._check_new(node, env)
        variable = found.setdefault(node.name, Variable(node.name, self._internal(node.name), node.span))
        stated = size_of(self.world, node.extent, self.place)
        if variable.stated is not None and variable.stated != stated:
            labels = [Label(variable.span, f"{variable.stated}"), Label(node.span, f"{stated}")]
            raise Refused(
                "extents-disagree", f"index {node.name} states two extents", node.span, labels, help="state it once"
            )
        variable.stated, variable.dim = stated, None

    def _check_new(self, node: syntax.Name | syntax.Binder, env: Env) -> None:
        if node.name in env:
            raise Refused(
                "index-hides",
                f"{node.name} is an index already",
                node.span,
                [Label(env[node.name].span, "here")],
                help="take another name for the index of the reduction",
            )

    def _internal(self, name: str) -> str:
        internal = self.context.internal.get(name)
        if internal is None:
            internal = self.context.internal[name] = self.context.fresh_index(name)
        return internal

    def index(self, variable: Variable) -> core.Index:
        """The index, its range found."""
        assert variable.extent is not None
        return core.Index(variable.internal, ZERO, variable.extent)

    # ------------------------------------------------------------ what the text tells

    def walk(self, node: syntax.Expression, env: Env) -> None:
        """Notes what an expression tells about the indices."""
        match node:
            case syntax.Subscript():
                self._read(node, env)
            case syntax.Call():
                inner = self._over(node, env)
                if inner or (node.indices is not None and node.function in REDUCERS):
                    self.reductions[id(node)] = list(inner.values())
                self._walk_all([a.value for a in node.arguments], {**env, **inner})
            case syntax.Unary(operand=operand):
                self.walk(operand, env)
            case syntax.Binary(operator="|>", left=left, right=syntax.Call(arguments=arguments)):
                self._walk_all([left, *(a.value for a in arguments)], env)
            case syntax.Binary(left=left, right=right):
                self._walk_all([left, right], env)
            case syntax.Comparison():
                self._walk_all(node.operands, env)
                self._compare(node, env)
            case syntax.Conditional():
                self._conditional(node, env)
            case syntax.List(items=items):
                self._walk_all(items, env)
            case syntax.Binder():
                raise stray_binder(node)

    def _over(self, node: syntax.Call, env: Env) -> dict[str, Variable]:
        """The indices that a call is over. A definition, `variance[k](x[i, k])`, may have one of the equation, which is
        not new."""
        indices = node.indices or ()
        if node.indices is None or node.function not in REDUCERS:
            return self.variables([i for i in indices if isinstance(i, syntax.Name) and i.name not in env], env)
        inner = self.variables(indices, env)
        if len(inner) < sum(not isinstance(i, syntax.Ellipsis) for i in indices):
            what = f"{node.function}[…] lists an index twice"
            raise Refused("index-hides", what, node.span, help="list each index once")
        return inner

    def _walk_all(self, parts: Sequence[syntax.Expression], env: Env) -> None:
        for part in parts:
            self.walk(part, env)

    def _conditional(self, node: syntax.Conditional, env: Env) -> None:
        known = self._known_truth(node.condition, env)
        if known is None:
            self.walk(node.condition, env)
        if known is not False:
            self.walk(node.then, env)
        if known is not True:
            self.walk(node.otherwise, env)

    def _known_truth(self, node: syntax.Expression, env: Env) -> bool | None:
        names = names_in(node)
        if any(name in env or not self._is_constant(name) for name in names):
            return None
        value = self.world.value(node, self.place)
        return value.truth if isinstance(value, Element) else None

    def _is_constant(self, name: str) -> bool:
        entry = self.world.find(name, self.place)
        return name in {"true", "false", "training"} or isinstance(entry, Size) or getattr(entry, "number", False)

    def _read(self, node: syntax.Subscript, env: Env) -> None:
        axes = self.axes(node, env)
        for subscript in node.subscripts:
            self.walk(subscript, env)
        if axes is None:
            self._note_own(node, env)
            return
        plain = [s for s in node.subscripts if not isinstance(s, syntax.Ellipsis)]
        dots = len(node.subscripts) - len(plain)
        if dots > 1:
            raise two_dots(node.span)
        if (not dots and len(plain) != len(axes)) or len(plain) > len(axes):
            raise wrong_count(node, shown_base(node), len(plain), axes)
        at = next((k for k, s in enumerate(node.subscripts) if isinstance(s, syntax.Ellipsis)), len(plain))
        width = len(axes) - len(plain)
        if dots:
            self.dots.append((axes[at : at + width], node))
        for k, subscript in enumerate(plain):
            axis = k if k < at else k + width
            self._use(subscript, axes, axis, node, env)

    def axes(self, node: syntax.Subscript, env: Env) -> tuple[core.Axis, ...] | None:
        """The axes of what is read, where they are known."""
        base = node.base
        if isinstance(base, syntax.Name) and "." not in base.name:
            entry = self.world.find(base.name, self.place)
            if isinstance(entry, Group) and entry.state == "measuring":
                self.circular = entry
                return None
            if isinstance(entry, Group) and not self._is_of_own_recurrence(base):
                found = self.world.axes(self.world, entry)
                if found is None and entry.state == "done":
                    raise Echo
                return found
        if self._is_of_own_recurrence(base):
            return None
        if names_in(base) & set(env):
            self.walk(base, env)
            return None
        value = self.world.value(base, self.place)
        if value is POISON:
            raise Echo
        self.context.bases[id(base)] = value
        return value.axes if isinstance(value, Array) else None

    def _is_of_own_recurrence(self, base: syntax.Expression) -> bool:
        """Whether what is read is made of a tensor whose extents are being looked for: then it tells nothing."""
        found = measuring(self.world)
        place = self.place
        names = sorted(names_in(base)) if found else ()
        if not any(in_one_cycle(self.world, self.world.find(name, place), found) for name in names):
            return False
        self.circular = next(entry for entry in found if isinstance(entry, Group))
        return True

    def _note_own(self, node: syntax.Subscript, env: Env) -> None:
        """Where indices stand bare in a tensor of the equation's own recurrence: that tells if nothing else does."""
        entry = self.world.find(node.base.name, self.place) if isinstance(node.base, syntax.Name) else None
        if isinstance(entry, Group | Thunk) and not any(isinstance(s, syntax.Ellipsis) for s in node.subscripts):
            for axis, subscript in enumerate(node.subscripts):
                if isinstance(subscript, syntax.Name) and subscript.name in env:
                    env[subscript.name].own.append((entry, axis))

    def note_state(self, left: Sequence[syntax.Expression], env: Env) -> None:
        """Where indices stand bare on the left side of an update: it gives every place of the state a value, so the
        state tells where no bare read does."""
        own = self.context.own
        for axis, subscript in zip(own.like if own else (), left, strict=False):
            if isinstance(subscript, syntax.Name) and subscript.name in env:
                env[subscript.name].state = axis.extent

    def _tensor(self, node: syntax.Subscript) -> str | None:
        """The name of the tensor that is read."""
        entry = self.world.find(node.base.name, self.place) if isinstance(node.base, syntax.Name) else None
        if isinstance(entry, Group):
            return entry.name
        value = self.context.bases.get(id(node.base))
        return value.name if isinstance(value, Array) else None

    def _use(self, subscript: syntax.Expression, axes: tuple[core.Axis, ...], axis: int, node: syntax.Subscript,
             env: Env) -> None:  # fmt: skip
        extent = axes[axis].extent
        if isinstance(subscript, syntax.Name) and subscript.name in env:
            variable = env[subscript.name]
            if node.guarded:
                variable.guarded.append(extent)
            else:
                why = partial(described_read, self.world, node, axes, self._tensor(node))
                variable.bare.append(Bare(node, axis, extent, why))
            return
        at = None if node.guarded else self.arithmetic(subscript, env)
        if at is None:
            return
        for variable in {v.internal: v for v in env.values()}.values():
            if variable.internal in at.indices:
                variable.reads.append((at, extent))

    def _compare(self, node: syntax.Comparison, env: Env) -> None:
        pairs = zip(node.operators, node.operands, node.operands[1:], strict=False)
        for a, b in [(a, b) for sign, a, b in pairs if sign == "=="] + [(b, a) for s, a, b in pairs if s == "=="]:
            for index_side, other in ((a, b), (b, a)):
                if isinstance(index_side, syntax.Name) and index_side.name in env:
                    value = self.arithmetic(other, env)
                    high = Ranges().most(value) if value is not None and value.gathers else None
                    if high is not None and not high.indices:
                        env[index_side.name].guarded.append(high + 1)

    # ------------------------------------------------------------ index arithmetic

    def arithmetic(self, node: syntax.Expression, env: Env) -> IndexExpr | None:
        """The index expression that a subscript is; None where it is none, or not one yet."""
        match node:
            case syntax.Name(name=name) if name in env:
                return index(env[name].internal)
            case syntax.Unary(operator="-", operand=operand):
                negated = self.arithmetic(operand, env)
                return None if negated is None else -negated
            case syntax.Binary(operator=sign, left=left, right=right) if sign in {"+", "-", "*", "//", "%"}:
                return self._binary(sign, self.arithmetic(left, env), self.arithmetic(right, env))
            case syntax.Subscript(base=base, subscripts=subscripts, guarded=False):
                return self._gather(base, subscripts, env)
        if names_in(node) & set(env):
            return None
        value = self.world.value(node, self.place)
        return value.size if isinstance(value, Element) else None

    def _binary(self, sign: str, a: IndexExpr | None, b: IndexExpr | None) -> IndexExpr | None:
        if a is None or b is None:
            return None
        if sign in {"//", "%"}:
            if not Ranges().nonnegative(b - 1):
                return None
            return a // b if sign == "//" else a % b
        return a + b if sign == "+" else a - b if sign == "-" else a * b

    def _gather(self, base: syntax.Expression, subscripts: Sequence[syntax.Expression], env: Env) -> IndexExpr | None:
        if names_in(base) & set(env) or any(isinstance(s, syntax.Ellipsis) for s in subscripts):
            return None
        if self._is_of_own_recurrence(base):
            return None
        value = self.world.value(base, self.place)
        if not isinstance(value, Array) or value.name is None:
            return None
        bounds = value.sample.range(Ranges())
        parts = [self.arithmetic(subscript, env) for subscript in subscripts]
        if bounds is None or any(part is None for part in parts):
            return None
        return of_atom(Gather(value.name, tuple(p for p in parts if p is not None), bounds.low, bounds.high))

    # ------------------------------------------------------------ `...`

    def rest(self, left: Sequence[syntax.Expression], right: syntax.Expression) -> tuple[core.Index, ...] | None:
        """The indices that `...` stands for: those of the first read, with which all others must agree."""
        unguarded = [found for found in self.dots if not found[1].guarded] or self.dots
        if not unguarded:
            axes = self.place.context.frame.axes
            return None if axes is None else self._rest_indices(axes)
        axes, first = unguarded[0]
        for other, node in unguarded[1:]:
            if [a.extent for a in axes] != [a.extent for a in other]:
                labels = [Label(first.span, f"... is {shown(axes)}"), Label(node.span, f"... is {shown(other)}")]
                raise Refused(
                    "dots-disagree",
                    "... stands for different axes",
                    node.span,
                    labels,
                    help="... is the same axes throughout an equation; name the axes that differ",
                )
        return self._rest_indices(axes)

    def _rest_indices(self, axes: tuple[core.Axis, ...]) -> tuple[core.Index, ...]:
        if self.context.rest is None:
            names = [index_name(axis, self.context) for axis in axes]
            self.context.rest_names = tuple(axis.name for axis in axes)
            self.context.rest = tuple(core.Index(n, ZERO, axis.extent) for n, axis in zip(names, axes, strict=True))
        return self.context.rest
