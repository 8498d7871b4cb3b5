"""Contractions: sums of products that are matrix products.

A `+` body is split into terms, a term into factors grouped by the indices they mention:

    d_w[k, o] = Σ_b x[b, k] · d_h[b, o]        rows k, columns o, summed b

A factor that is not a bare read becomes a stored tensor of just its indices; factors without summed indices leave the
sum. In a recurrence the indices of its loops are no indices of the product: `h[b, t - 1, k]` is a matrix over b and k
there. A sum over windows is a product for each place of them:

    y[b, i, o] = Σ_u,k x[b, i + u, k] · w[u, k, o]       for each i, u:  y[:, i] += x[:, i + u] · w[u]

Where they lie side by side along an axis they are one (`strips.py`). Of few channels at few places, what all windows
have in one example is packed, one after the other, and multiplied at once; of hardly any channels, all windows are
copied, if that takes little space.

An axis may be cut into blocks, as the channels of a grouped convolution are; then there is a product for each block:

    y[b, g·O + o] = Σ_k x[b, g·I + k] · w[g, k, o]        for each g

What is no matrix product (a dot product, a sum) stays an equation and becomes a loop.
"""

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import sympy

from gradc.graph.conditions import guards_of
from gradc.graph.index import IndexExpr, index
from gradc.graph.nodes import Equation, Graph, Guard, Read, Reducer, Tensor, mentioned, reads_of
from gradc.graph.scalar import WHERE
from gradc.graph.tensors import Axis, Index, Kind

from .costs import COPIED_WINDOW, LEAST_ROWS, PACKED_NUMBERS
from .factors import Factor, grouped
from .gather import gathered, longest
from .matrices import gemm_of, names_of, with_loops
from .program import Gemm, Operand, Window
from .standing import Standing
from .strips import strip_of


@dataclass(frozen=True, slots=True)
class Contracted:
    """A graph in which the sums that are products have two bare factors, and the product of each such equation.

    `packed` gives for a product the equation of the factor that is made in each of its rounds.
    """

    graph: Graph
    products: dict[Equation, Gemm]
    packed: dict[Equation, Equation]


def contract(graph: Graph, fixed: Mapping[Equation, frozenset[str]] | None = None) -> Contracted:
    """Finds the matrix products of a graph; tensors are added for what has to be computed before one.

    Args:
        fixed: for equations in recurrences the indices of the loops around them.
    """
    tables = _Tables(dict(graph.tensors))
    equations: list[Equation] = []
    products: dict[Equation, Gemm] = {}
    packed: dict[Equation, Equation] = {}
    known: dict[Hashable, tuple[Equation, Gemm | None]] = {}
    with sympy.core.parameters.distribute(False):
        for equation in graph.equations:
            around = fixed.get(equation, frozenset()) if fixed else frozenset()
            kind = _kind(equation, tables.tensors, around)
            if kind in known:
                equations.append(equation)
                products |= _like(*known[kind], equation)
                continue
            made = _Splitter(tables, equation, around).split()
            if kind is not None and made.equations == [equation]:
                known[kind] = equation, made.products.get(equation)
            equations += made.equations
            products |= made.products
            packed |= made.packed
    return Contracted(Graph(tables.tensors, tuple(equations), graph.outputs), products, packed)


def _kind(equation: Equation, tensors: Mapping[str, Tensor], around: frozenset[str]) -> Hashable | None:
    """Of a product of reads, all that decides whether it is a product of matrices, and of which: everything but the
    names of its tensors. Equal layers are asked once. None of any other equation."""
    reads = _factors(equation)
    if not all(isinstance(read, Read) for read in reads):
        return None
    names = [equation.target, *(read.tensor for read in reads)]
    shapes = tuple((names.index(name), tensors[name].kind, tensors[name].extents) for name in names)
    places = equation.write, *(read.subscripts for read in reads)
    return equation.reducer, places, equation.indices, equation.guards, shapes, around


def _factors(equation: Equation) -> tuple[sympy.Expr, ...]:
    body = equation.body
    return body.args if isinstance(body, sympy.Mul) else (body,)


def _like(known: Equation, gemm: Gemm | None, equation: Equation) -> dict[Equation, Gemm]:
    """The product that an equation is, given one of its kind and what that is."""
    if gemm is None:
        return {}
    names = {a.tensor: b.tensor for a, b in zip(_factors(known), _factors(equation), strict=True)}
    out, a, b = (
        Operand(name, part.subscripts, part.rows, part.columns, part.transposed, part.window)
        for part, name in (
            (gemm.out, equation.target),
            (gemm.a, names[gemm.a.tensor]),
            (gemm.b, names[gemm.b.tensor]),
        )
    )
    return {equation: Gemm(equation, out, a, b, gemm.batch, gemm.starts)}


_Form: TypeAlias = tuple[tuple[IndexExpr, ...], tuple[Index, ...], tuple[Guard, ...], sympy.Expr]
"""What a tensor holds that was made for a product: places, domain, guards and body of its equation."""


@dataclass
class _Made:
    equations: list[Equation]
    products: dict[Equation, Gemm]
    packed: dict[Equation, Equation] = field(default_factory=dict)


@dataclass(frozen=True)
class _Tables:
    """The tensors there are, and what was copied out of windows, which several products may read."""

    tensors: dict[str, Tensor]
    copies: dict[_Form, Read] = field(default_factory=dict)

    def as_they_are(self) -> "_Tables":
        return _Tables(dict(self.tensors), dict(self.copies))

    def go_back(self, before: "_Tables") -> None:
        """To what they were."""
        for name in self.tensors.keys() - before.tensors.keys():
            del self.tensors[name]
        for form in self.copies.keys() - before.copies.keys():
            del self.copies[form]


class _Splitter:
    """Splits one equation; adds to the tables. The other arguments are `Standing`'s."""

    def __init__(
        self,
        tables: _Tables,
        equation: Equation,
        fixed: frozenset[str],
        window: Window | None = None,
        blocks: frozenset[str] = frozenset(),
        in_turns: bool = False,
    ) -> None:
        self.tables = tables
        self.tensors, self.copies = tables.tensors, tables.copies
        self.given = equation
        self.equation = _with_guards_of_rounds(equation, fixed)
        self.fixed = fixed
        self.here = Standing(self.equation, self.tensors, fixed, window, blocks, in_turns)
        self.made = _Made([], {})

    def within(self, equation: Equation, fixed: frozenset[str], window: Window | None = None) -> "_Splitter":
        """One for a term in further loops."""
        return _Splitter(self.tables, equation, fixed, window, self.here.blocks, self.here.in_turns)

    def take(self, inner: "_Splitter", loops: Collection[str] = (), first: Collection[str] = ()) -> bool:
        """Takes over what was made of a term: its products are for each value of these indices too (`with_loops`)."""
        self.made.equations += inner.made.equations
        self.made.products |= {made: with_loops(gemm, loops, first) for made, gemm in inner.made.products.items()}
        self.made.packed |= inner.made.packed
        return True

    def split(self) -> _Made:
        equation = self.equation
        real = self.tensors[equation.target].kind is Kind.REAL
        if equation.reducer is not Reducer.SUM or not equation.reduced or not real:
            return _Made([equation], {})
        terms = equation.body.args if isinstance(equation.body, sympy.Add) else (equation.body,)
        loops: list[sympy.Expr] = [term for term in terms if not self.some_product(term)]
        if not self.made.products:
            return _Made([self.given], {})
        if loops:
            self.made.equations.append(replace(equation, body=sympy.Add(*loops)))
        return self.made

    # ------------------------------------------------------------ a term

    def some_product(self, term: sympy.Expr) -> bool:
        """Makes the term a product in the first way that it is one."""
        ways: list[Callable[[sympy.Expr], bool]]
        if self.here.writes_a_part():
            return self.product(term) or self.copied_product(term)
        if self.here.is_scattered():
            ways = [self.gathered_product, self.window_product, self.product]
        else:
            ways = [self.product, self.strip_product, self.packed_product, self.window_product, self.copied_product]
        return any(way(term) for way in (self.block_product, *ways))

    def block_product(self, term: sympy.Expr) -> bool:
        """Makes the term a product for each block of the axes that are cut into blocks by an index of both factors."""
        loops = self.here.numbers_of_blocks(term)
        if not loops:
            return False
        around, blocks = self.fixed | loops, self.here.blocks | loops
        inner = _Splitter(self.tables, replace(self.given, body=term), around, blocks=blocks)
        return inner.some_product(inner.equation.body) and self.take(inner, loops)

    def product(self, term: sympy.Expr, copied: int | None = 1, repeated: bool = False) -> bool:
        """Makes the term a matrix product, if it is one. `copied` says how large a window may become (`is_small`);
        `repeated`, that a factor of fixed size is read in many rounds."""
        factors = grouped(self.here.factors(term))
        reduced = self.here.summed
        outer = [f for f in factors if not f.indices & reduced]
        inner = [f for f in factors if f.indices & reduced]
        if len(inner) != 2 or self.scaled_by_an_index(outer):  # noqa: PLR2004  (a product has two factors)
            return False
        if not reduced <= inner[0].indices & inner[1].indices:
            return False
        if not self.here.guards_fit(inner) or not self.here.thick_enough(inner[0], inner[1]):
            return False
        before = len(self.made.equations)
        guarded = [self.here.guarded(factor, copied) for factor in inner]
        first, second = (self.stored(f, other, copied) for f, other in zip(guarded, inner[::-1], strict=True))
        if first is not None and second is not None and (copied is None or self.here.window or repeated):
            first, second = self.turned(first, second), self.turned(second, first)
        if first is None or second is None or not self.add(first, second, outer):
            for made in self.made.equations[before:]:
                del self.tensors[made.target]
            del self.made.equations[before:]
            return False
        if not self.fixed:
            new = (made for made in self.made.equations[before:] if made not in self.made.products)
            copies = (made for made in new if made.target != self.given.target)
            self.copies |= {_form(made): Read(made.target, made.write) for made in copies}
        return True

    def copied_product(self, term: sympy.Expr) -> bool:
        """Makes the term a product of what a window has at all of its places, one after the other."""
        return self.product(term, COPIED_WINDOW)

    def window_product(self, term: sympy.Expr) -> bool:
        """Makes the term a product for each place of a window: the indices of such places are loops around it."""
        equation = self.equation
        parts = sympy.Mul.make_args(term)
        if any(self.here.is_window(leaf) for part in parts if not isinstance(part, Read) for leaf in reads_of(part)):
            return False
        loops = {name for guard in equation.guards for name in guard.value.indices}
        for read in (*(part for part in parts if isinstance(part, Read)), Read(equation.target, equation.write)):
            for at, place in enumerate(read.subscripts):
                loops |= set() if self.here.runs_whole(read, at) else set(place.indices)
        loops -= self.fixed
        inner = self.within(replace(self.given, body=term), self.fixed | loops)
        if not loops or not inner.product(inner.equation.body):
            return False
        if inner.made.equations[-1] not in inner.made.products and self.here.is_scattered():
            return False
        return self.take(inner, loops)

    def strip_product(self, term: sympy.Expr) -> bool:
        """Makes the term a product of what windows that follow each other along an axis read (`strips.py`)."""
        if self.fixed:
            return False
        name = self.fresh(f"{self.equation.target}.padded")
        strip = strip_of(replace(self.equation, body=term), self.tensors, name)
        sizes = {i.name: i.extent.constant for i in self.equation.indices}
        if strip is None or (sizes[strip.window.outer] or LEAST_ROWS) < LEAST_ROWS:
            return False
        if strip.padded is not None:
            self.tensors[name] = strip.padded[1]
        inner = self.within(strip.equation, strip.loops, strip.window)
        if not inner.product(strip.equation.body):
            self.tensors.pop(name, None)
            return False
        if strip.padded is not None:
            padding, _ = strip.padded
            self.made.equations.append(padding)
            self.made.packed |= dict.fromkeys(inner.made.products if strip.rounds else (), padding)
        return self.take(inner, strip.loops, strip.rounds)

    def packed_product(self, term: sympy.Expr) -> bool:
        """Makes the term a product for each of the first places of a window's tensor: what all windows have there is
        packed, one after the other."""
        here, blocks = self.here, self.here.blocks
        windows = [read for factor in here.factors(term) for read in reads_of(factor.body) if here.is_window(read)]
        if self.fixed - blocks or len(windows) != 1 or not (blocks or here.is_thin(windows[0])):
            return False
        names = [longest(place, self.equation) for place in windows[0].subscripts]
        for count in range(1, len(names) - 1):
            rounds = blocks.union(name for name in names[:count] if name)
            numbers = here.places(names_of(windows[0]) - rounds).constant
            if (numbers is None and count == len(names) - 2) or (numbers is not None and numbers <= PACKED_NUMBERS):
                return self.packed_in_rounds(term, rounds)
        return False

    def gathered_product(self, term: sympy.Expr) -> bool:
        """Makes the term, which windows scatter, a product of what goes into each place, or one for each turn."""
        before = self.tables.as_they_are()
        made = [
            _Splitter(self.tables, each, self.fixed, blocks=self.here.blocks, in_turns=True)
            for each in gathered(replace(self.given, body=term), self.tensors, self.fixed)
        ]
        ways = (_Splitter.strip_product, _Splitter.packed_product, _Splitter.turn_product)
        if all(any(way(inner, inner.equation.body) for way in ways) for inner in made):
            return bool(made) and all(map(self.take, made))
        self.tables.go_back(before)
        return False

    def turn_product(self, term: sympy.Expr) -> bool:
        """Makes the term, which is written in turns, a product for each place along the axes before the last that is,
        and each place of a window."""
        places = self.equation.write
        last = max((at for at, place in enumerate(places) if place.bare is None), default=None)
        if last is None:
            return False
        windows = (place for read in reads_of(term) for place in read.subscripts if len(place.indices) > 1)
        loops = frozenset(name for place in (*places[:last], *windows) for name in place.indices) - self.fixed
        inner = self.within(replace(self.given, body=term), self.fixed | loops)
        return inner.product(inner.equation.body, repeated=True) and self.take(inner, loops)

    def packed_in_rounds(self, term: sympy.Expr, rounds: frozenset[str]) -> bool:
        inner = self.within(replace(self.given, body=term), rounds)
        if not inner.product(inner.equation.body, None):
            return False
        (packing,) = (made for made in inner.made.equations if any(map(self.here.is_window, made.reads)))
        self.made.packed |= dict.fromkeys(inner.made.products, packing)
        return self.take(inner, rounds)

    def scaled_by_an_index(self, outer: Iterable[Factor]) -> bool:
        return any(f.indices for f in outer) and not self.here.bare_write()

    def stored(self, factor: Factor, other: Factor, copied: int | None) -> Read | None:
        """The factor as a bare read: itself, or a tensor made for it. None for a window, all of whose places one after
        the other are too many: then loops are better."""
        body = factor.body
        if isinstance(body, Read) and not factor.guards:
            whole: Read = body
            if all(self.here.runs_whole(whole, at) for at in range(len(whole.subscripts))):
                return whole
        if any(map(self.here.is_window, reads_of(factor.body))) and not self.here.is_small(factor, other, copied):
            return None
        used = mentioned(factor.body) | {name for guard in factor.guards for name in guard.value.indices}
        domain = tuple(i for i in self.equation.indices if i.name in factor.indices or i.name in used & self.fixed)
        if copied is None:
            side_by_side = self.here.side_by_side(body)
            domain = tuple(sorted(domain, key=lambda i: i.name in side_by_side))
        place = tuple(index(i.name) - i.low for i in domain)
        if any(p.bare is None for p in place):
            return None
        name = self.fresh(f"{self.equation.target}.factor")
        origin = self.equation.origin
        made = Equation(name, place, domain, factor.guards, Reducer.SUM, factor.body, origin)
        if not self.fixed and _form(made) in self.copies:
            return self.copies[_form(made)]
        axes = tuple(Axis(i.name, i.extent) for i in domain)
        self.tensors[name] = Tensor(name, axes, Kind.REAL, origin)
        self.made.equations.append(made)
        return Read(name, place)

    def turned(self, read: Read, other: Read) -> Read:
        """A factor of fixed size with its axes as the product with the other needs them: of the loops around, then
        the summed ones, in the other's order, then what is left. Any other factor as it is."""
        here, window = self.here, self.here.window
        own = [name for place in read.subscripts for name in place.indices]
        domain = {i.name: i for i in self.equation.indices}
        around = [name for name in own if name in self.fixed]
        summed = [name for name in here.order(other) if name in here.summed.intersection(own)]
        left = [name for name in own if name not in {*around, *summed}]
        is_plain = all(place.bare or not place.indices for place in read.subscripts)
        order = [name for name in here.order(read) if name]
        is_left_factor = not set(self.equation.write[-1].indices).intersection(left)
        fits = order == [*around, *summed, *left]
        fits = fits or (not window and is_left_factor and order == [*around, *left, *summed])
        if window and window.within(read.subscripts):
            return read
        if (is_plain and fits) or len(set(own)) < len(own) or any(name in left for name in names_of(other)):
            return read
        packing = next((made for made in self.made.equations if made.target == read.tensor), None)
        if packing is not None and not window:
            return self.packed_in_order(packing, (around, left, summed))
        order = [*around, *summed, *left]
        axes = tuple(Axis(name, domain[name].extent) for name in order)
        if any(axis.extent.constant is None or domain[axis.name].low.terms for axis in axes):
            return read
        name, place = self.fresh(f"{read.tensor}.turned"), tuple(map(index, order))
        origin, indices = self.equation.origin, tuple(domain[name] for name in order)
        made = Equation(name, place, indices, (), Reducer.SUM, read, origin)
        self.tensors[name] = Tensor(name, axes, Kind.REAL, origin)
        self.made.equations.append(made)
        return Read(name, place)

    def packed_in_order(self, packing: Equation, groups: tuple[list[str], list[str], list[str]]) -> Read:
        """A factor that is packed for this product alone, packed with its axes in order: a copy of it would stand
        outside of the rounds that it is made in. What lies side by side in a window's tensor stays so, if it can."""
        around, left, summed = groups
        summed_last = bool(summed) and summed[-1] in self.here.side_by_side(packing.body)
        order = (*around, *left, *summed) if summed_last else (*around, *summed, *left)
        given = self.tensors[packing.target]
        axes = {axis.name: axis for axis in given.axes}
        places = {i.name: index(i.name) - i.low for i in packing.indices}
        domain = {i.name: i for i in packing.indices}
        self.tensors[given.name] = replace(given, axes=tuple(axes[name] for name in order))
        place = tuple(places[name] for name in order)
        made = replace(packing, write=place, indices=tuple(domain[name] for name in order))
        self.made.equations[self.made.equations.index(packing)] = made
        return Read(packing.target, place)

    def fresh(self, name: str) -> str:
        count, candidate = 1, name
        while candidate in self.tensors:
            count += 1
            candidate = f"{name}_{count}"
        return candidate

    # ------------------------------------------------------------ the product

    def add(self, first: Read, second: Read, outer: list[Factor]) -> bool:
        equation = self.equation
        target = Read(equation.target, equation.write)
        mentioned = names_of(first) | names_of(second) | self.fixed
        if not {i.name for i in equation.reduced} <= mentioned:
            return False
        plain = not outer and all(self.here.runs_whole(target, at) for at in range(len(equation.write)))
        plain = plain and all(i.name in mentioned for i in equation.indices)
        names = (names_of(first) & names_of(second)) - self.fixed
        made = self.of_factors(first, second) if plain else self.into_own_tensor(first, second)
        gemm = gemm_of(made, (first, second), names, self.fixed, self.here.window)
        if gemm is None:
            return False
        self.made.equations.append(made)
        self.made.products[made] = gemm
        if not plain:
            scale = sympy.Mul(*(f.body for f in outer))
            place = made.write
            written = {name for p in equation.write for name in p.indices}
            free = tuple(i for i in equation.indices if i.name in written)
            body = scale * Read(made.target, place)
            self.made.equations.append(replace(equation, indices=free, guards=self.here.of_rounds(), body=body))
        return True

    def of_factors(self, first: Read, second: Read) -> Equation:
        """The equation itself as a product of these."""
        body, guards = self.equation.body, self.here.of_rounds()
        if not (isinstance(body, sympy.Mul) and set(body.args) == {first, second}):
            body = first * second
        return self.equation if (body, guards) == (self.equation.body, self.equation.guards) else replace(
            self.equation, guards=guards, body=body
        )  # fmt: skip

    def into_own_tensor(self, first: Read, second: Read) -> Equation:
        """The product over the indices that its factors mention."""
        equation = self.equation
        written = {name for place in equation.write for name in place.indices}
        mentioned = names_of(first) | names_of(second) | self.fixed
        indices = tuple(i for i in equation.indices if i.name in mentioned)
        free = tuple(i for i in indices if i.name in written)
        name = self.fresh(f"{equation.target}.product")
        axes = tuple(Axis(i.name, i.extent) for i in free)
        self.tensors[name] = Tensor(name, axes, Kind.REAL, equation.origin)
        place = tuple(index(i.name) - i.low for i in free)
        guards = self.here.of_rounds()
        return replace(equation, target=name, write=place, indices=indices, guards=guards, body=first * second)


def _form(equation: Equation) -> _Form:
    return equation.write, equation.indices, equation.guards, equation.body


def _with_guards_of_rounds(equation: Equation, fixed: frozenset[str]) -> Equation:
    """A factor that is 0 in some rounds of the loops around makes the sum 0 there: no product is computed then.

    Σ_k (if t > 0 then h[b, t - 1, k] else 0)·u[k, j]      becomes      Σ_k h[b, t - 1, k]·u[k, j] where t > 0
    """
    for factor in equation.body.args if fixed and isinstance(equation.body, sympy.Mul) else ():
        if isinstance(factor, WHERE.head) and factor.args[2] == 0:
            guards = guards_of(factor.args[0])
            if guards and all(g.value.indices and fixed.issuperset(g.value.indices) for g in guards):
                body = sympy.Mul(*(part for part in equation.body.args if part is not factor), factor.args[1])
                return replace(equation, guards=(*equation.guards, *guards), body=body)
    return equation
