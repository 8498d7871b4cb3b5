"""`verify` accepts sound graphs, and names the equation of each kind of unsound one."""

from dataclasses import replace

import pytest
import sympy
from small_graphs import Small, at_least, equal, i, j, k, read
from sympy import Integer

from gradc.errors import InternalError
from gradc.graph import scalar
from gradc.graph.conditions import NEVER, facts_of, guards_of, implied, index_of, negated, opposite, under
from gradc.graph.index import ONE, ZERO, Gather, dim, index, number, of_atom
from gradc.graph.nodes import Guard, Read, Relation, Value
from gradc.graph.ranges import Either, Ranges, differs
from gradc.graph.verify import verify

n = dim("n")
at_i, at_j = Value(i), Value(j)


def reads_shifted(condition: sympy.Expr, shift: int = -1) -> Small:
    body = scalar.WHERE(condition, read("x", i + shift), Integer(0))
    return Small().leaf("x", n).tensor("y", n).write("y", (i,), {"i": n}, body)


# ---------------------------------------------------------------- conditions


@pytest.mark.parametrize(
    ("condition", "guards"),
    [
        (scalar.LT(at_i, at_j), (at_least(j - i - 1),)),
        (scalar.LE(at_i, Integer(3)), (at_least(3 - i),)),
        (scalar.EQ(at_i, at_j), (equal(i, j),)),
        (scalar.NE(2 * at_i + 1, at_j), (Guard(2 * i + 1 - j, Relation.UNEQUAL),)),
        (scalar.NOT(scalar.LT(at_i, at_j)), (at_least(i - j),)),
        (scalar.NOT(scalar.EQ(at_i, at_j)), (Guard(i - j, Relation.UNEQUAL),)),
        (scalar.NOT(scalar.NE(at_i, at_j)), (equal(i, j),)),
        (scalar.AND(scalar.LT(at_i, at_j), scalar.LT(at_j, at_i**2)), (at_least(j - i - 1), at_least(i * i - j - 1))),
        (
            scalar.NOT(scalar.OR(scalar.LT(at_i, at_j), scalar.EQ(at_j, Integer(0)))),
            (at_least(i - j), Guard(j, Relation.UNEQUAL)),
        ),
        (scalar.EQ(scalar.FLOORDIV(at_i, Integer(2)), scalar.MOD(at_j, Integer(3))), (equal(i // 2, j % 3),)),
        (Integer(1), ()),
        (Integer(0), (NEVER,)),
        (scalar.NOT(Integer(0)), ()),
        (scalar.OR(scalar.LT(at_i, at_j), scalar.LT(at_j, at_i)), None),
        (scalar.NOT(scalar.AND(scalar.LT(at_i, at_j), scalar.LT(at_j, at_i))), None),
        (scalar.LT(read("x", i), Integer(0)), None),
        (scalar.AND(scalar.LT(at_i, at_j), scalar.LT(read("x", i), Integer(0))), None),
        (scalar.LT(at_i / 2, at_j), None),
        (scalar.LT(scalar.FLOORDIV(at_i, at_j), at_j), None),
        (scalar.LT(scalar.EXP(at_i), at_j), None),
        (scalar.LT(at_i**9, at_j), None),
        (scalar.LT(at_i, 1 / at_j), None),
    ],
)  # fmt: skip
def test_guards_of(condition, guards):
    assert guards_of(condition) == guards


def test_what_is_implied_leaves_out_what_is_about_data():
    data, small = scalar.LT(read("x", i), Integer(0)), scalar.LT(at_i, at_j)
    assert implied(scalar.AND(data, small), True) == (at_least(j - i - 1),)
    assert implied(scalar.AND(data, small), False) == ()
    assert implied(scalar.OR(data, small), False) == (at_least(i - j),)
    assert facts_of(scalar.EQ(at_i, at_j), True) == facts_of(scalar.NE(at_i, at_j), False) == (i - j, j - i)
    assert facts_of(scalar.EQ(at_i, at_j), False) == (differs(i - j),)
    assert differs(i - j) == Either(((i - j - 1,), (j - i - 1,)))


def test_negations():
    condition = scalar.LT(read("x", i), Integer(0))
    assert negated(condition) == scalar.NOT(condition)
    assert negated(negated(condition)) == condition
    assert negated(Integer(0)) == 1
    assert all(opposite(opposite(guard)) == guard for guard in (at_least(i - j), equal(i, j)))


def test_index_of_arithmetic():
    assert index_of(2 * at_i + at_j * at_i - 3) == 2 * i + i * j - 3
    assert index_of(sympy.Rational(1, 2)) is None


def test_not_zero_narrows_a_range():
    ranges = Ranges({"i": (ZERO, n)})
    assert under(ranges, (Guard(i, Relation.UNEQUAL),)).nonnegative(i - 1)
    assert under(ranges, (Guard(i - n + 1, Relation.UNEQUAL),)).nonnegative(n - i - 2)
    assert not under(ranges, (Guard(i - 2, Relation.UNEQUAL),)).nonnegative(i - 1)


def test_of_a_choice_what_is_possible_holds():
    ranges = Ranges({"i": (ZERO, n), "j": (ZERO, n)})
    corner = facts_of(scalar.AND(scalar.EQ(at_i, Integer(0)), scalar.EQ(at_j, Integer(0))), False)
    beside = ranges.with_facts(corner)
    assert beside.nonnegative(i + j - 1)
    assert not beside.nonnegative(j - 1)
    assert beside.with_facts((-i,)).nonnegative(j - 1)
    assert beside.with_facts((-i,)).bounds["j"] == (ONE, n)
    either = ranges.with_facts(facts_of(scalar.OR(scalar.LT(Integer(2), at_i), scalar.LT(Integer(1), at_j)), True))
    assert either.nonnegative(3 * j + 2 * i - 6)
    assert not either.nonnegative(i + j - 3)
    assert either.hold_at({"i": 3, "j": 0, "n": 5})
    assert not either.hold_at({"i": 2, "j": 1, "n": 5})
    nowhere = ranges.with_facts((*corner, -i, -j))
    assert nowhere.nonnegative(number(-1))
    assert facts_of(scalar.OR(scalar.LT(read("x", i), Integer(0)), scalar.EQ(at_i, Integer(0))), True) == ()


def test_facts_narrow_ranges():
    ranges = Ranges({"i": (ZERO, n)}).with_facts((i - 2, n - 4 - i))
    assert ranges.bounds["i"] == (number(2), n - 3)
    assert ranges.nonnegative(i // 2 - 1)


# ---------------------------------------------------------------- sound graphs


@pytest.mark.parametrize(
    "small",
    [
        reads_shifted(scalar.LT(Integer(0), at_i)),
        reads_shifted(scalar.NE(at_i, Integer(0))),
        reads_shifted(scalar.NOT(scalar.EQ(at_i, Integer(0)))),
        reads_shifted(scalar.AND(scalar.LT(read("x", i), Integer(1)), scalar.LE(Integer(1), at_i))),
        reads_shifted(scalar.LT(at_i, Value(n - 1)), shift=1),
    ],
)
def test_conditions_keep_reads_inside(small):
    verify(small.graph())


def test_guards_gathers_and_powers_are_accepted():
    place = of_atom(Gather("ids", (i,), ZERO, number(9)))
    small = Small().leaf("ids", n, whole=(0, 9)).leaf("e", 10).tensor("y", n).tensor("z", 10)
    small.write("y", (i,), {"i": n}, read("e", place) ** -2 + Value(place) / 3, guards=(at_least(place - 1),))
    small.write("z", (place,), {"i": n}, read("y", i))
    verify(small.graph())


def test_preconditions_count():
    small = Small().leaf("x", n).tensor("y").write("y", (), {}, read("x", n - 3))
    verify(small.graph(), (n - 3,))
    with pytest.raises(
        InternalError, match=r"y\[\] \(m.grad:1:1\): -3 \+ n|y\[\] \(m.grad:1:1\): n - 3 may be below 0"
    ):
        verify(small.graph())


# ---------------------------------------------------------------- unsound graphs


def _small(body: sympy.Expr, write: tuple = (i,), ranges: dict | None = None) -> Small:
    small = Small().leaf("x", n).leaf("real", 4).leaf("ids", n, whole=(0, 9)).tensor("y", n)
    return small.write("y", write, ranges or {"i": n}, body)


def _gather(tensor: str, low: int = 0, high: int = 9) -> Read:
    return read("x", of_atom(Gather(tensor, (i,), number(low), number(high))))


@pytest.mark.parametrize(
    ("small", "message"),
    [
        (_small(read("x", i + 1)), r"y\[i\] \(m.grad:1:1\): i \+ 1 may reach n in x\[i \+ 1\]"),
        (_small(read("x", i - 1)), r"i - 1 may be below 0 in x\[i - 1\]"),
        (_small(read("x", i, i)), "x has 1 axes, and 2 subscripts"),
        (_small(read("other", i)), "other is no tensor"),
        (_small(read("x", j)), "j has j, which is no index here"),
        (_small(read("x", i), write=(i + 1,)), r"may reach n in y\[i \+ 1\]"),
        (_small(Value(k)), "k, which is no index here"),
        (_small(_gather("real")), "real holds real numbers"),
        (_small(_gather("ids", 1)), r"taken to be 1 \.\. 9; it is 0 \.\. 9"),
        (_small(sympy.Float(0.5) * read("x", i)), "a Float"),
        (_small(sympy.nan), "a NaN"),
        (_small(sympy.oo), "a Infinity"),
        (_small(sympy.zoo), "a ComplexInfinity"),
        (_small(read("x", i) ** sympy.Rational(1, 2)), "a Pow"),
        (_small(sympy.exp(read("x", i))), "a exp"),
        (_small(scalar.MAX(read("x", i))), "max of 1 arguments"),
        (_small(reads_shifted(scalar.LT(read("x", i), Integer(0))).equations[0].body), "may be below 0"),
    ],
)
def test_what_is_unsound_is_named(small, message):
    with pytest.raises(InternalError, match=message):
        verify(small.graph())


def test_the_table_of_tensors_is_checked():
    small = Small().leaf("x", n).tensor("y", n).write("y", (i,), {"i": n}, read("x", i))
    graph = small.graph()
    for broken, message in (
        (replace(graph, outputs={"p": "q"}), "output p is q"),
        (replace(graph, tensors={**graph.tensors, "z": graph.tensors["y"]}), "filed under z"),
        (small.write("x", (i,), {"i": n}, Integer(1)).graph(), "writes the leaf x"),
        (Small().tensor("y", index("i")).write("y", (0,), {}, Integer(1)).graph(), "not in the dims alone"),
    ):
        with pytest.raises(InternalError, match=message):
            verify(broken)


def test_an_index_is_declared_once():
    small = _small(read("x", i))
    twice = replace(small.equations[0], indices=small.equations[0].indices * 2)
    with pytest.raises(InternalError, match="declared twice"):
        verify(small.graph().with_equations((twice,)))


def test_cycles_are_refused():
    small = Small().tensor("y", ONE).tensor("z", ONE)
    small.write("y", (0,), {}, read("z", 0)).write("z", (0,), {}, read("y", 0))
    with pytest.raises(InternalError, match="a cycle"):
        verify(small.graph())
