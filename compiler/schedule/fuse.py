"""Fusing: equations become statements in trees of loops, beside what they use.

    h[b, j] = …                     for b:
    m[b]    = max_j h[b, j]             for j: h = …; m = max(m, h)
    e[b, j] = exp(h[b, j] - m[b])       for j: e = exp(h - m); s += e
    s[b]    = Σ_j e[b, j]

An equation enters a loop of the tree where one of its own indices can run along with it: what it reads of tensors made
inside that loop, it reads at the same value of the index, and those are complete there. A reduced index may be the
outer one: then a row is accumulated. A recurrence is a step of its own, its body fused in the same way.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from gradc.graph.index import index
from gradc.graph.nodes import Equation, Guard, Reducer, Tensor, substitute
from gradc.graph.recurrence import Ordered, Recurrence, equations_in
from gradc.graph.tensors import Index

from .costs import MOST_ARRAYS, UNROLLED_ROUNDS
from .memory import uses_of
from .program import Gemm, Item, Loop, Nest, Sequential, Statement, Step, guards_of_rounds, may_be_idle, outermost


@dataclass
class _Loop:
    """A loop while it is filled.

    Attributes:
        statements: all in it, in the order in which they came.
        made: what they compute.
        read: what they read along the loop's index.
    """

    index: Index
    items: "list[_Loop | Statement]" = field(default_factory=list)
    statements: list[Statement] = field(default_factory=list)
    made: set[str] = field(default_factory=set)
    read: set[str] = field(default_factory=set)


@dataclass
class _Tree:
    """A nest while it is filled, the same way."""

    guards: tuple[Guard, ...] = ()
    items: "list[_Loop | Statement]" = field(default_factory=list)
    made: set[str] = field(default_factory=set)
    read: set[str] = field(default_factory=set)
    idle: bool = True

    def takes(self, site: "_Site") -> bool:
        """Whether an equation may stand beside those that are here: where either holds in rounds in which the other
        does not, the other may stand idle."""
        mine, theirs = set(self.guards), set(site.guards)
        return (mine <= theirs or self.idle) and (theirs <= mine or site.idle)

    def add(self, statement: Statement, loops: "list[_Loop]", site: "_Site") -> None:
        """A statement that has been put into these loops, one in the other."""
        self.idle = self.idle and site.idle
        self.guards = tuple(guard for guard in self.guards if guard in site.guards)
        (loops[-1].items if loops else self.items).append(statement)
        equation = statement.equation
        for loop in loops:
            loop.statements.append(statement)
            loop.made.add(equation.target)
            loop.read.update(equation.read_along.get(loop.index.name, ()))
        self.made.add(equation.target)
        self.read.update(equation.sources())


@dataclass(frozen=True, slots=True)
class Decided:
    """What is decided before equations are fused.

    Attributes:
        products: the equations that are products of matrices.
        packed: for products the equations of what is packed in each of their rounds.
        stores: tensors that are written where a leaf lies, each with its leaf: after all that reads the leaf.
        tensors: those of the graph.
        parts: tensors that are written in parts, each with the axis of these.
    """

    products: Mapping[Equation, Gemm] = field(default_factory=dict)
    packed: Mapping[Equation, Equation] = field(default_factory=dict)
    stores: Mapping[str, str] = field(default_factory=dict)
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    parts: Mapping[str, int] = field(default_factory=dict)


def fuse(items: Sequence[Ordered], decided: Decided, around: tuple[str, ...] = (),
         begun: set[str] | None = None) -> tuple[Step, ...]:  # fmt: skip
    """Steps for equations and recurrences that stand in an order in which each comes after those it needs.

    An equation goes to the latest nest that it can be computed beside; where there is none it opens a new one.

    Args:
        around: the indices of the sequential loops that the steps are for.
        begun: the tensors that have been written to before; those of the steps are added.
    """
    begun = set() if begun is None else begun
    steps: list[_Tree | Gemm | Sequential] = []
    made_in: dict[str, int] = {}
    read_in: dict[str, int] = {}
    partners = _partners([equation for equation, _ in equations_in(items)])
    for item in items:
        if isinstance(item, Recurrence):
            inner = fuse(item.body, decided, (*around, item.index.name), begun)
            steps.append(Sequential(item.index, item.backward, inner))
            for equation, _ in equations_in(item.body):
                made_in[equation.target] = len(steps) - 1
                read_in |= dict.fromkeys(equation.sources(), len(steps) - 1)
            continue
        parts = decided.parts.get(item.target)
        starts = item.target not in begun or parts is not None
        begun.add(item.target)
        leaf = decided.stores.get(item.target)
        first = max((made_in[name] for name in (*item.sources(), item.target) if name in made_in), default=-1)
        first = max(first, read_in.get(leaf, -1)) if leaf else first
        if item in decided.products:
            gemm = replace(decided.products[item], starts=starts)
            steps.append(_packed(gemm, decided.packed.get(item), around))
            made_in[item.target] = len(steps) - 1
            read_in |= dict.fromkeys(item.sources(), len(steps) - 1)
            continue
        guards = guards_of_rounds(item, around)
        idle = may_be_idle(item, guards, decided.tensors.get(item.target) if starts else None)
        site = _Site(starts, partners.get(item.target, set()), leaf, around, guards, idle, parts)
        insertion = _Insertion(item, site)
        place = _latest_nest(steps, first, insertion)
        if place is None:
            tree = _Tree(site.guards)
            steps.append(tree)
            place = len(steps) - 1
            insertion.run(tree, alone=True)
        made_in[item.target] = place
        read_in |= {name: max(place, read_in.get(name, -1)) for name in item.sources()}
    return tuple(Nest(_frozen(step.items), step.guards) if isinstance(step, _Tree) else step for step in steps)


def _packed(gemm: Gemm, equation: Equation | None, around: tuple[str, ...]) -> Gemm:
    """The product with the nest that packs a factor in each of its rounds."""
    if equation is None:
        return gemm
    rounds = outermost(gemm.batch, {i.name for i in equation.indices})
    (nest,) = fuse((equation,), Decided(), (*around, *(index.name for index in rounds)))
    assert isinstance(nest, Nest)
    return replace(gemm, packing=nest)


@dataclass(frozen=True, slots=True)
class _Site:
    """What is known of an equation beside itself.

    Attributes:
        starts: it is the first that writes its target.
        partners: the tensors that its target is read together with.
        leaf: where it is stored, if where a leaf lies.
        around: the indices of the sequential loops around it.
        guards: in which of their rounds it holds.
        idle: whether it may stand in other rounds too, in which it adds nothing.
        parts: the axis along which its target is written in parts.
    """

    starts: bool
    partners: set[str]
    leaf: str | None
    around: tuple[str, ...]
    guards: tuple[Guard, ...]
    idle: bool
    parts: int | None


def _partners(equations: list[Equation]) -> dict[str, set[str]]:
    """For each tensor those that are read together with it."""
    partners: dict[str, set[str]] = {}
    for equation in equations:
        sources = equation.sources()
        for name in sources:
            partners.setdefault(name, set()).update(sources)
    return partners


def _latest_nest(steps: "list[_Tree | Gemm | Sequential]", first: int, insertion: "_Insertion") -> int | None:
    nearest: list[int] = [first] if first >= 0 else []
    candidates: list[int] = [*nearest, *range(len(steps) - 1, max(first, 0) - 1, -1)]
    for place in candidates:
        step = steps[place]
        if isinstance(step, _Tree) and step.takes(insertion.site) and insertion.run(step, alone=False):
            return place
    return None


def _frozen(items: "list[_Loop | Statement]") -> tuple[Item, ...]:
    return tuple(item if isinstance(item, Statement) else Loop(item.index, _frozen(item.items)) for item in items)


class _Insertion:
    """Finds one equation's place in a tree, in one after the other until it has one; if it writes where a leaf lies,
    after all that reads the leaf."""

    def __init__(self, equation: Equation, site: _Site) -> None:
        self.tree: _Tree
        self.equation = equation
        self.site = site
        self.leaf = site.leaf
        self.partners = site.partners
        self.needs = set(equation.sources()) | {equation.target}
        self.indices = {i.name: i for i in equation.indices if i.name not in site.around}

    def run(self, tree: _Tree, alone: bool) -> bool:
        """Inserts the equation; without `alone` only where it shares a loop or is a scalar of this nest."""
        self.tree = tree
        if not alone and not self.stays_small():
            return False
        outermost = self.entrance(tree.items, list(self.indices))
        if not alone and outermost is None and not self.stands_beside():
            return False
        self.descend([], list(self.indices), {}, outermost)
        return True

    def stays_small(self) -> bool:
        """Whether the arrays of the tree stay few, or it makes what the equation needs."""
        made = self.tree.made
        return not self.needs.isdisjoint(made) or len((self.tree.read - made) | self.needs) <= MOST_ARRAYS

    def stands_beside(self) -> bool:
        """Whether it belongs to the tree though it shares no loop of it: scalars stay with what makes them."""
        if not any(isinstance(item, _Loop) for item in self.tree.items):
            return True
        return not self.indices and not self.needs.isdisjoint(self.tree.made)

    # ------------------------------------------------------------ going down

    def descend(
        self, loops: list[_Loop], left: list[str], names: dict[str, str], found: "tuple[_Loop, str] | None"
    ) -> None:
        """Into the loops that the equation shares, of which the next is `found`, then into new ones for the indices
        that are left."""
        items = loops[-1].items if loops else self.tree.items
        if found is not None:
            loop, mine = found
            left = [name for name in left if name != mine]
            further = self.entrance(loop.items, left)
            self.descend([*loops, loop], left, {**names, mine: loop.index.name}, further)
            return
        for name in self.loop_order(left):
            shown = _unused(name, {*(loop.index.name for loop in loops), *self.site.around})
            names = {**names, name: shown}
            own = self.indices[name]
            loop = _Loop(own if shown == name else replace(own, name=shown))
            items.append(loop)
            items, loops = loop.items, [*loops, loop]
        path = tuple(loop.index.name for loop in loops)
        site = self.site
        statement = Statement(_renamed(self.equation, names), path, site.starts, site.around, site.parts)
        self.tree.add(statement, loops, self.site)

    def entrance(self, items: "list[_Loop | Statement]", left: list[str]) -> "tuple[_Loop, str] | None":
        """The last loop at this level that the equation may share, and which of its indices runs along with it."""
        if not left:
            return None
        needed = [at for at, item in enumerate(items) if self.makes_what_is_needed(item)]
        first = needed[-1] if needed else 0
        # beside what makes its operands, if it can; else in the last loop that it shares anything with
        for at in [*needed[-1:], *range(len(items) - 1, first - 1, -1)]:
            loop = items[at]
            if not isinstance(loop, _Loop):
                continue
            for name in self.by_likeness(left, loop):
                own = self.indices[name]
                if (own.low, own.high) != (loop.index.low, loop.index.high) or self.belongs_inside(name, left):
                    continue
                if at in needed:
                    if self.runs_along(loop, name):
                        return loop, name
                elif self.shares_a_read(loop, name) or self.meets_its_partner(loop):
                    return loop, name
        return None

    def belongs_inside(self, name: str, left: list[str]) -> bool:
        """Whether the index is the one of unit stride, and others would run inside of its loop: what the loop makes is
        rather kept as a row."""
        others = [self.stride_score(other) for other in left if other != name]
        return bool(others) and self.stride_score(name) > max(others) and self.outer_first(left) == left

    def by_likeness(self, left: list[str], loop: _Loop) -> list[str]:
        """The indices that may run along with a loop, one of the same name first."""
        return sorted(self.outer_first(left), key=lambda name: name != loop.index.name)

    def outer_first(self, left: list[str]) -> list[str]:
        """A place and the best value so far are variables, not rows: an argmax runs over its own indices innermost, and
        so does what reduces few places: those loops are unrolled, and the one around them runs in vectors."""
        if self.equation.reducer not in (Reducer.ARGMAX, Reducer.ARGMIN) and not self.reduces_few:
            return left
        written = [name for name in left if name in self.equation.written]
        return written or left

    @cached_property
    def reduces_few(self) -> bool:
        """Whether all that is reduced is a small window: the same few rounds everywhere."""
        rounds, guarded = 1, {name for guard in self.equation.guards for name in guard.value.indices}
        for each in self.equation.reduced:
            if each.extent.constant is None or each.name in guarded:
                return False
            rounds *= each.extent.constant
        return 1 < rounds <= UNROLLED_ROUNDS

    def makes_what_is_needed(self, item: "_Loop | Statement") -> bool:
        if isinstance(item, Statement):
            return item.equation.target in self.needs or self.overwrites(item.equation)
        return not self.needs.isdisjoint(item.made) or (
            self.leaf is not None and any(self.overwrites(each.equation) for each in item.statements)
        )

    def overwrites(self, other: Equation) -> bool:
        """Whether this equation writes what the other reads."""
        return self.leaf is not None and self.leaf in other.sources()

    def runs_along(self, loop: _Loop, name: str) -> bool:
        """Whether all that the equation reads of what the loop makes, it reads at the loop's own index, complete."""
        for statement in loop.statements:
            target = statement.equation.target
            if self.overwrites(statement.equation) and not self.overwrites_along(statement.equation, loop, name):
                return False
            if target not in self.needs or self.writes_beside(target):
                continue
            places = [at for at, place in enumerate(statement.equation.write) if place.bare == loop.index.name]
            if not places or any(subscripts[places[0]].bare != name for subscripts in uses_of(target, self.equation)):
                return False
        return True

    def writes_beside(self, target: str) -> bool:
        """Whether it writes a part of the tensor, and needs nothing of the others."""
        return target == self.equation.target and self.site.parts is not None and target not in self.equation.sources()

    def overwrites_along(self, other: Equation, loop: _Loop, name: str) -> bool:
        """Whether the other equation reads of the leaf only what this one writes in the same round of the loop."""
        at = next(at for at, place in enumerate(self.equation.write) if place.bare == name)
        return all(subscripts[at].bare == loop.index.name for subscripts in uses_of(self.leaf or "", other))

    def shares_a_read(self, loop: _Loop, name: str) -> bool:
        """Whether a statement in the loop reads or makes, along its index, what the equation reads along `name`."""
        return not loop.read.isdisjoint(self.equation.read_along.get(name, ()))

    def meets_its_partner(self, loop: _Loop) -> bool:
        """Whether the loop makes something that will be read together with what the equation makes."""
        return not loop.made.isdisjoint(self.partners)

    # ------------------------------------------------------------ new loops

    def loop_order(self, left: list[str]) -> list[str]:
        """Outermost first: in the order of the axes of what is summed, where one read has them all; else written
        indices in their order, then summed ones, and the one of unit stride innermost."""
        along = self.axes_of_the_sum(left)
        if along is not None and self.outer_first(left) == left:
            return along
        written = [name for name in self.equation.written if name in left]
        order = [*written, *(name for name in left if name not in written)]
        if len(order) > 1 and self.outer_first(left) == left:
            inner = max(order, key=lambda name: (self.stride_score(name), order.index(name)))
            order.remove(inner)
            order.append(inner)
        return order

    def axes_of_the_sum(self, left: list[str]) -> list[str] | None:
        """The indices in the order in which a read of all of them lies in memory, where the equation sums."""
        if set(left) <= set(self.equation.written):
            return None
        for read in self.equation.reads:
            order = [place.bare for place in read.subscripts if place.bare in left]
            if len(order) == len(left) == len(set(order)):
                return [name for name in order if name is not None]
        return None

    def stride_score(self, name: str) -> int:
        """In how many reads and writes the index runs along the last axis, less those where it jumps."""
        return self.stride_scores.get(name, 0)

    @cached_property
    def stride_scores(self) -> dict[str, int]:
        """The score of each index of the equation."""
        scores: dict[str, int] = {}
        for places in (self.equation.write, *(read.subscripts for read in self.equation.reads)):
            for name in {name for place in places for name in place.indices}:
                scores[name] = scores.get(name, 0) + (1 if name in places[-1].indices else -1)
        return scores


def _unused(name: str, taken: set[str]) -> str:
    count, candidate = 1, name
    while candidate in taken:
        count += 1
        candidate = f"{name}{count}"
    return candidate


def _renamed(equation: Equation, names: Mapping[str, str]) -> Equation:
    """The equation with its indices under the names of the loops."""
    if all(old == new for old, new in names.items()):
        return equation
    values = {old: index(new) for old, new in names.items()}
    return replace(
        equation,
        write=tuple(place.substitute(values) for place in equation.write),
        indices=tuple(replace(i, name=names.get(i.name, i.name)) for i in equation.indices),
        guards=tuple(guard.substitute(values) for guard in equation.guards),
        body=substitute(equation.body, values),
    )
