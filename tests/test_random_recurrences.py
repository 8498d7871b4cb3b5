"""Random recurrences over windows, halves and sums of what lies earlier: one or two tensors, along one index or two.

Each has an order, forwards and back; its programs verify; and its module's gradient agrees with central differences.
"""

from collections.abc import Sequence
from random import Random

import pytest

from gradc.check import check
from gradc.schedule.build import schedule
from gradc.schedule.verify import verify_program
from gradc.stages import graphs

PARTS, EXAMPLES = 8, 8
FACTORS = ("0.3", "-0.5", "w[1]")


class Drawn:
    """One random model."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.names = ("h", "g")[: self.random.choice([1, 2])]

    def text(self) -> str:
        raise NotImplementedError

    def pick(self, options: Sequence[str]) -> str:
        return self.random.choice(options)

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def other(self, reader: str) -> tuple[str, int]:
        """What is read, and how many rounds back at least: what stands before is read in its own round too."""
        name = self.pick(self.names)
        return name, 0 if self.names.index(name) < self.names.index(reader) else 1

    def equation(self, left: str, start: str, reads: Sequence[str]) -> str:
        right = " + ".join([start, *(f"{self.pick(FACTORS)} * {read}" for read in reads)])
        return f"{left} = {f'tanh({right})' if self.chance(0.6) else right}"


class AlongOne(Drawn):
    """`h[i, t] = …`, forwards or backwards in time, perhaps with a last axis of 2."""

    def text(self) -> str:
        wide, self.back = self.chance(0.35), self.chance(0.3)
        last, first = (", j: 2", "w[j]") if wide else ("", "w[0]")
        equations = [
            self.equation(f"{name}[i: b, t: n{last}]", f"x[i, t] * {first}",
                          [self.read(name, wide) for _ in range(self.random.choice([1, 1, 2]))])
            for name in self.names
        ]  # fmt: skip
        self.random.shuffle(equations)
        loss = self.pick(["mean(h^2)", f"mean[i]((h[i, n - 1{', 1' if wide else ''}] - 0.3)^2)"])
        dims = self.pick(["dim b, n", "dim b, n = 6"])
        return "\n".join([dims, "input x[b, n]", "param w[3] ~ normal()", *equations, f"loss {loss}", ""])

    def read(self, reader: str, wide: bool) -> str:
        name, least = self.other(reader)
        sign = "+" if self.back else "-"
        j = self.pick([", j", ", (j + 1) % 2"]) if wide else ""
        kinds = ["place", "window", "first"] + ([] if self.back else ["half", "pairs", "all before"])
        match self.pick(kinds):
            case "window":
                step, length = self.pick(["", "2*"]), self.pick(["2", "3"])
                body = f"w[k] * {name}?[i, t {sign} {step}k {sign} {least}{j}]"
                if self.chance(0.3):
                    body += f" * {name}?[i, t {sign} 1{j}]"
                return f"{self.pick(['sum', 'sum', 'max', 'logsumexp'])}[k: {length}]({body})"
            case "first":
                row, first = self.pick(["i", "0"]), self.pick(["0", "1"])
                place, after = (f"n - 1 - {first}", "<") if self.back else (first, ">")
                return f"(if t {after} {place} then {name}[{row}, {place}{j}] else 0.1)"
            case "half":
                return f"(if t > 0 then {name}[i, t // 2{j}] else 0)"
            case "pairs":
                return f"sum[k: n](if k < t then {name}[i, k{j}] * {name}[i, t - k - 1{j}] else 0)"
            case "all before":
                return f"sum[s: n](if s < t then {name}[i, s{j}] * w[(t - s) % 3] else 0)"
        return f"{name}?[i, t {sign} {self.random.choice([least, 1, 2])}{j}]"


class AlongTwo(Drawn):
    """`h[i, j] = …`, each place from what lies above it and before it."""

    def text(self) -> str:
        equations = [
            self.equation(
                f"{name}[i: n, j: m]", "x[i, j]", [self.read(name) for _ in range(self.random.choice([1, 2]))]
            )
            for name in self.names
        ]
        self.random.shuffle(equations)
        loss = self.pick(["mean(h^2)", "(h[n - 1, m - 1] - 0.3)^2"])
        dims = self.pick(["dim n, m", "dim n = 4, m = 3"])
        return "\n".join([dims, "input x[n, m]", "param w[3] ~ normal()", *equations, f"loss {loss}", ""])

    def read(self, reader: str) -> str:
        name, _ = self.other(reader)
        match self.pick(["place", "place", "window", "row above", "row before", "product", "first"]):
            case "window":
                return f"sum[u: 2, v: 2](if u + v > 0 then w[u + v - 1] * {name}?[i - u, j - v] else 0)"
            case "row above":
                return f"max[v: 3](w[v] * {name}?[i - 1, j + v - 1])"
            case "row before":
                return f"sum[v: m](if v < j then {name}[i, v] * w[v % 3] else 0)"
            case "product":
                return f"{name}?[i - 1, j] * {name}?[i, j - 1]"
            case "first":
                return self.pick([
                    f"(if i > 0 then {name}[0, j] else 0.1)",
                    f"(if i > 0 or j > 0 then {name}[0, 0] else 0.1)",
                    f"(if j > 0 then {name}[i, 0] else 0.1)",
                ])  # fmt: skip
        return f"{name}?[{self.pick(['i - 1, j', 'i, j - 1', 'i - 1, j - 1', 'i - 1, j + 1', 'i - 2, j', 'i, j - 2'])}]"


@pytest.mark.parametrize("kind", [AlongOne, AlongTwo])
@pytest.mark.parametrize("part", range(PARTS))
def test_gradients_agree(kind: type[Drawn], part: int) -> None:
    for seed in range(part * EXAMPLES, (part + 1) * EXAMPLES):
        text = kind(seed).text()
        stages = graphs(text)
        for graph in filter(None, (stages.gradient, stages.evaluate)):
            verify_program(schedule(graph))
            verify_program(schedule(graph, share=False))
        report = check(text)
        assert report.passed, f"{text}\n{report}"
