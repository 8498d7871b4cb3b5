"""Random recurrences: equations that read their own tensors, or each other's, at earlier or later places."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from .bases import ROOM, Statement, drawn_indices, scope_for
from .expressions import Header, expression, reduction, stated, with_cosines
from .functions import SIN, TANH, function_of, plain, sigmoid
from .reads import read, subscripts
from .steps import Part, Way, drawn_way, together
from .terms import ATOM, Choices, Idx, Known, Scope, Size, Term, Uses, binary, call, choice, index_value, joined, number
from .world import Array, Points

DECAYS = (number(0.5), number(-0.5), number(0.3), number(0.9), number(0.25, "1/4"))
ROUNDS = 3
"""How many there are at most: JAX computes one after the other, an operation at a time."""
WRAPPED = (TANH, SIN, plain("cos"))
"""What whole tensors are put through before they are read."""


@dataclass(frozen=True)
class Member:
    """A tensor of a recurrence: its axis that steps, and how it does; a gate is written at t as it stands."""

    known: Known
    axis: int
    way: Way | None


@dataclass
class Recurrence:
    """Tensors that step along one index, while their equations are drawn."""

    tensors: Sequence[Known]
    choices: Choices
    way: Way
    others: tuple[Idx, ...]
    starts: list[Part] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    late: bool = False

    def member(self, name: str, gate: bool = False) -> Member:
        axis = self.choices.integer(0, len(self.others))
        sizes = [idx.size for idx in self.others]
        sizes.insert(axis, self.way.moving.size if gate else self.way.size)
        return Member(Known(name, tuple(sizes)), axis, None if gate else self.way)

    # ------------------------------------------------------------ equations

    def start(self, member: Member) -> None:
        """`h[i, 0] = …` for each place that is written apart."""
        for place in member.way.starts if member.way else ():
            scope = scope_for(self.tensors, self.others, self.choices)
            body = expression(scope, 1)
            self.enter(member, scope.uses, number(place), str(place), body, self.starts)

    def step(self, member: Member, body: Term, scope: Scope) -> None:
        """`h[i, t] = …`."""
        moving = self.way.moving
        if member.way:
            written, shown = member.way.earlier(0), member.way.left(scope.uses, self.choices)
        else:
            written, shown = index_value(moving), stated(moving, scope.uses, self.choices)
        self.enter(member, scope.uses, written, shown, body, self.parts)

    def enter(self, member: Member, uses: Uses, at: Term, shown: str, body: Term, into: list[Part]) -> None:
        texts = [stated(idx, uses, self.choices) for idx in self.others]
        terms = [index_value(idx) for idx in self.others]
        texts.insert(member.axis, shown)
        terms.insert(member.axis, at)
        into.append(Part(member.known.name, {idx.name: idx.size.value for idx in self.others}, terms, body))
        self.lines.append(f"{member.known.name}[{', '.join(texts)}] = {body.text}")
        self.late = self.late or any(tensor.late for tensor in uses.tensors.values())

    def scope(self) -> Scope:
        return scope_for(self.tensors, (*self.others, self.way.moving), self.choices)

    # ------------------------------------------------------------ reads

    def now(self, member: Member, scope: Scope) -> Term:
        """What the round has written already."""
        at = member.way.earlier(0) if member.way else index_value(self.way.moving)
        return self.read(member, at, scope, False)

    def before(self, member: Member, scope: Scope) -> Term:
        """What an earlier round wrote, or two, each by itself or summed with weights."""
        assert member.way is not None, "a gate is read in its own round"
        rounds = [member.way.step]
        if member.way.step > 1 and self.choices.chance(50):
            rounds = [member.way.step, 1]
        terms = [self.joined_over(member, scope, by) if self.room(scope) and self.choices.chance(35)
                 else self.one(member, scope, by) for by in rounds]  # fmt: skip
        return joined("-", terms)

    def one(self, member: Member, scope: Scope, rounds: int, along: tuple[int, Idx] | None = None) -> Term:
        """One place of an earlier round; or something else where there is none."""
        way = self.way
        guarded = way.guarded or (way.form == "condition" and self.choices.chance(30))
        found = self.read(member, way.earlier(rounds), scope, guarded, along)
        if way.form != "condition":
            return found
        condition, negated = way.begun(self.choices)
        start = expression(scope, self.choices.pick([0, 1]))
        return choice(condition, start, found) if negated else choice(condition, found, start)

    def joined_over(self, member: Member, scope: Scope, rounds: int) -> Term:
        """`sum[k](h?[t - 1, k] * w[k, j])`."""
        at = self.choices.integer(0, len(self.others) - 1)
        idx = Idx(scope.fresh_index(), self.others[at].size)
        inner = scope.with_indices((idx,))
        along = (at if at < member.axis else at + 1, idx)
        fitting = [t for t in self.tensors if t.kind == "real" and t.rank == 2 and t.sizes[0].same(idx.size)]
        if fitting and self.choices.chance(70):
            weight = read(self.choices.pick(fitting), inner, plain=True)
        else:
            weight = with_cosines(self.choices.pick(DECAYS), inner.indices[-2:])
        body = binary(self.one(member, inner, rounds, along), "*", weight)
        return reduction(self.choices.pick(["sum", "sum", "sum", "max"]), Header((idx,)), body, inner)

    def room(self, scope: Scope) -> bool:
        return bool(self.others) and min(idx.size.value for idx in self.others) <= scope.room

    def read(self, member: Member, at: Term, scope: Scope, guarded: bool,
             along: tuple[int, Idx] | None = None) -> Term:  # fmt: skip
        """Of a tensor of the recurrence, which tells no extents; perhaps of a function of all of it."""
        tensor, choices = member.known, self.choices
        rest = replace(tensor, sizes=tuple(idx.size for idx in self.others))
        places = subscripts(rest, replace(scope, sure=False), plain=choices.chance(85))
        places.insert(member.axis, at)
        if along is not None:
            places[along[0]] = index_value(along[1])
            scope.uses.bare.append((along[1], along[1].size, False))
        function = choices.pick(WRAPPED) if choices.chance(12) else None
        name = tensor.name if function is None else function(Term(tensor.name, ATOM, at.at)).text

        def value(points: Points) -> Array:
            values = [place.at(points) for place in places]
            inner = Term(name, ATOM, lambda points: points.read(tensor.name, values))
            found = (inner if function is None else function(inner)).at(points)
            return points.xp.where(points.inside(tensor.name, values), found, 0.0) if guarded else found

        return Term(f"{name}{'?' if guarded else ''}[{', '.join(place.text for place in places)}]", ATOM, value)

    # ------------------------------------------------------------ bodies

    def body(self, terms: Sequence[Term], scope: Scope) -> Term:
        """What keeps values tame, as a rule."""
        choices = self.choices
        decay, term = choices.pick(DECAYS), joined("+", terms)
        match choices.integer(0, 6):
            case 0 | 1:
                return binary(binary(decay, "*", term), "+", expression(scope, 1))
            case 2:
                return TANH(binary(expression(scope, 1), "+", term))
            case 3:
                return binary(binary(sigmoid(expression(scope, 1)), "*", term), "-", expression(scope, 1))
            case 4:
                return binary(function_of(term, choices), "*", decay)
            case 5:
                return call("max", binary(decay, "*", term), expression(scope, 1), by=_largest)
        other = expression(scope, 1)
        return binary(other, "-", binary(binary(decay, "*", term), "*", TANH(other)))

    def statement(self, members: Sequence[Member]) -> Statement:
        runs = [(part, {}) for part in self.starts]
        runs += [(part, {self.way.moving.name: at}) for at in self.way.rounds for part in self.parts]
        lines = self.lines[::-1] if self.choices.chance(40) else self.lines
        made = [replace(member.known, late=self.late) for member in members]
        return Statement(tuple(lines), (together(made, runs),))


def _largest(points: Points, a: Array, b: Array) -> Array:
    points.world.kink(lambda: a - b)
    return points.xp.maximum(a, b)


# ---------------------------------------------------------------- statements


def recurrence(name: str, known: Sequence[Known], choices: Choices) -> Statement:
    """`h[i, t, j] = 0.5 * h?[i, t - 1, j] + …`, or two tensors that need each other."""
    others = drawn_indices(known, choices, most=2)
    room = ROOM
    for idx in others:
        room //= idx.size.value
    sizes = [size for tensor in known for size in tensor.sizes if size.value <= min(room, ROUNDS)]
    way = drawn_way(choices.pick(sizes or [Size("2", 2, True)]), choices)
    drawn = Recurrence(known, choices, way, others)
    return choices.weighted([(4, alone), (1, output), (1, gate), (1, both)])(name, drawn)


def alone(name: str, drawn: Recurrence) -> Statement:
    member, scope = drawn.member(name), drawn.scope()
    drawn.start(member)
    drawn.step(member, drawn.body([drawn.before(member, scope)], scope), scope)
    return drawn.statement([member])


def output(name: str, drawn: Recurrence) -> Statement:
    """`c[t] = f(h[t - 1], c[t - 1])`, `h[t] = f(c[t])`."""
    cell, out, scope = drawn.member(f"{name}_c"), drawn.member(name), drawn.scope()
    drawn.start(cell)
    drawn.start(out)
    earlier = [drawn.before(out, scope)]
    if drawn.choices.chance(60):
        earlier.append(drawn.before(cell, scope))
    drawn.step(cell, drawn.body(earlier, scope), scope)
    scope = drawn.scope()
    drawn.step(out, drawn.body([drawn.now(cell, scope)], scope), scope)
    return drawn.statement([cell, out])


def gate(name: str, drawn: Recurrence) -> Statement:
    """`g[t] = f(h[t - 1])`, `h[t] = f(g[t], h[t - 1])`; or `g[t] = f(h[t])`, `h[t + 1] = f(g[t], h[t])`."""
    opened, member, scope = drawn.member(f"{name}_g", gate=True), drawn.member(name), drawn.scope()
    drawn.start(member)
    drawn.step(opened, drawn.body([drawn.before(member, scope)], scope), scope)
    scope = drawn.scope()
    terms = [drawn.now(opened, scope)]
    if drawn.choices.chance(60):
        terms.append(drawn.before(member, scope))
    drawn.step(member, drawn.body(terms, scope), scope)
    return drawn.statement([opened, member])


def both(name: str, drawn: Recurrence) -> Statement:
    """`a[t] = f(b[t - 1])`, `b[t] = f(a[t - 1])`."""
    one, other = drawn.member(name), drawn.member(f"{name}_b")
    for member, read_by in ((one, other), (other, one)):
        scope = drawn.scope()
        drawn.start(member)
        drawn.step(member, drawn.body([drawn.before(read_by, scope)], scope), scope)
    return drawn.statement([one, other])
