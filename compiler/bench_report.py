"""What timing a model found: its figures, and their text. Nothing is measured here."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gradc.graph.nodes import Equation
from gradc.graph.show import body_of, place_in_text, place_of

LEAST_SHARE = 0.002
"""Of the time: calls that take less are shown together."""
MOST_ROWS = 24
MOST_PLACES = 3
WIDEST = 60
"""Characters of an equation in a table."""
UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


@dataclass(frozen=True, slots=True)
class Steps:
    """Seconds a call with so many threads: the median of blocks of calls, and the quickest block."""

    threads: int
    median: float
    least: float


@dataclass(frozen=True, slots=True)
class Site:
    """One call of a kernel or a product in the module.

    Attributes:
        function: the kernel, `gemm`, or `gemm_by_all`.
        caller: the function that it stands in.
        equations: what it computes.
        seconds, least, calls: in one call of the module, in one thread: the median and the least time, and how often.
        multiply_adds: of a product, in one call of the module.
    """

    function: str
    caller: str
    equations: tuple[Equation, ...]
    seconds: float
    least: float
    calls: int
    multiply_adds: int

    @property
    def places(self) -> tuple[str, ...]:
        """The lines of the model that its equations come from."""
        return tuple(dict.fromkeys(place_in_text(equation.origin) for equation in self.equations))

    @property
    def kind(self) -> tuple[object, ...]:
        """Calls of one kind differ in their tensors alone."""
        equation = self.equations[0]
        return self.function, self.multiply_adds, self.places, equation.write, equation.indices

    @property
    def main(self) -> Equation:
        """Of its equations the one that is computed at the most places, or of several the longest."""
        return max(self.equations, key=lambda equation: (len(equation.indices), len(body_of(equation))))


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes. `peak`: the most that the process has had, the compiler and Numba in it; None where nothing tells."""

    parameters: int
    gradients: int
    moments: int
    work: int
    peak: int | None


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of words under a title; the columns in `right` are numbers."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: frozenset[int]

    def __str__(self) -> str:
        rows = [self.header, *self.rows] if any(self.header) else [*self.rows]
        widths = [max(len(row[at]) for row in rows) for at in range(len(self.header))]
        lines = [
            "  ".join(self.cell(at, cell, width) for at, (cell, width) in enumerate(zip(row, widths, strict=True)))
            for row in rows
        ]
        return "\n".join([*([self.title] if self.title else []), *(line.rstrip() for line in lines)])

    def cell(self, at: int, text: str, width: int) -> str:
        """A cell in its column."""
        return text.rjust(width) if at in self.right else text.ljust(width)


@dataclass(frozen=True, slots=True)
class Report:
    """The figures of one model.

    Attributes:
        what: "a training step" or "a prediction".
        source: where its data come from.
        dims: the sizes of its free dims.
        steps: by number of threads, the most first, one last.
        products: seconds that the matrix products alone take, in one thread.
        multiply_adds: of those products.
        kernels: for each entry of the module its kernels, and its products.
        sites: each call, where a profile is asked for.
        lines: the model's, as written.
        file: the model's.
    """

    name: str
    dtype: str
    what: str
    source: str
    dims: Mapping[str, int]
    steps: tuple[Steps, ...]
    products: float
    multiply_adds: int
    kernels: Mapping[str, tuple[int, int]]
    memory: Memory
    sites: tuple[Site, ...]
    lines: tuple[str, ...]
    file: str

    @property
    def head(self) -> str:
        """What was timed."""
        sizes = ", ".join(f"{name} = {size}" for name, size in self.dims.items())
        return f"{self.name}: {self.what}, {self.dtype}{f', {sizes}' if sizes else ''}; data: {self.source}"

    @property
    def tables(self) -> tuple[Table, ...]:
        """All figures."""
        profile = (self.by_call(), self.by_line()) if self.sites else ()
        return (self.figures(), *profile)

    def __str__(self) -> str:
        return "\n\n".join([self.head, *map(str, self.tables)])

    def figures(self) -> Table:
        """Time, rate, memory, kernels."""
        one = self.steps[-1]
        rows = [(f"time, {_threads(s)}", f"{_time(s.median)}, quickest {_time(s.least)}") for s in self.steps]
        if self.multiply_adds:
            share = f"{self.products / one.least:.0%} of the quickest in 1 thread"
            rows += [
                ("its products alone", f"{_time(self.products)}, {share}"),
                ("rate", ", ".join(f"{_rate(self.multiply_adds, s.median)} in {_threads(s)}" for s in self.steps)),
            ]
        made = (
            f"{entry}: {_plural(kernels, 'kernel')}, {_plural(products, 'product')}"
            for entry, (kernels, products) in self.kernels.items()
        )
        rows += [("compiled", "; ".join(made)), ("memory", self.held())]
        if self.memory.peak is not None:
            rows.append(("resident at most", f"{_bytes(self.memory.peak)}, with the compiler and Numba"))
        return Table("", ("", ""), tuple(rows), frozenset())

    def held(self) -> str:
        """The bytes of a step's arrays."""
        memory = self.memory
        parts = {"parameters": memory.parameters, "gradients": memory.gradients, "moments": memory.moments,
                 "work space": memory.work}  # fmt: skip
        return ", ".join(f"{name} {_bytes(size)}" for name, size in parts.items() if size)

    def by_call(self) -> Table:
        """The calls of kernels and products, those that take longest first; those that are alike together."""
        total = sum(site.seconds for site in self.sites)
        alike: dict[tuple[object, ...], list[Site]] = {}
        for site in self.sites:
            alike.setdefault(site.kind, []).append(site)
        ordered = sorted(alike.values(), key=lambda sites: -_seconds(sites))
        shown = [sites for sites in ordered[:MOST_ROWS] if _seconds(sites) >= LEAST_SHARE * total]
        rows = [_call_row(sites, total) for sites in shown]
        rest = [site for sites in ordered[len(shown) :] for site in sites]
        if rest:
            calls = str(sum(site.calls for site in rest))
            rows.append((_time(_seconds(rest)), _share(_seconds(rest), total), calls, "", "the others", "", ""))
        title = f"Where the time goes, call by call: {_time(total)} in 1 thread, clocked one by one"
        return Table(title, ("time", "share", "calls", "rate", "kernel", "lines", "equation"), tuple(rows), NUMBERS)

    def by_line(self) -> Table:
        """The lines of the model; a call's time goes in equal parts to the equations that it computes."""
        spent: dict[str, float] = {}
        for site in self.sites:
            for equation in site.equations:
                place = place_in_text(equation.origin)
                spent[place] = spent.get(place, 0.0) + site.seconds / len(site.equations)
        total = sum(spent.values())
        texts = {place_in_text(e.origin): self.line_of(e) for site in self.sites for e in site.equations}
        ordered = sorted(spent.items(), key=lambda item: -item[1])
        rows = [(_time(s), _share(s, total), place, texts[place]) for place, s in ordered]
        title = "By lines of the model: the time of a call in equal parts to the equations that it computes"
        return Table(title, ("time", "share", "line", ""), tuple(rows), frozenset((0, 1)))

    def line_of(self, equation: Equation) -> str:
        """The line of the model that an equation comes from."""
        span = equation.origin.span
        inside = span.file == self.file and span.line <= len(self.lines)
        return _shortened((self.lines[span.line - 1] if inside else equation.origin.text).split("#")[0].strip())


NUMBERS = frozenset(range(4))
PART = "part_of_"


def entry_of(function: str) -> str:
    """What a function of a module is for: a training step, or `predict`, `evaluate`."""
    if function.startswith(PART):
        return function.removeprefix(PART)
    return function.removesuffix("_entry") if function.endswith("_entry") else "step"


def _call_row(sites: Sequence[Site], total: float) -> tuple[str, ...]:
    """Calls that are alike, as a row."""
    first, seconds = sites[0], _seconds(sites)
    main, others = first.main, len(first.equations) - 1
    text = _shortened(f"{place_of(main)} = {body_of(main)}")
    text += f"  and {_plural(others, 'other')}" * (others > 0) + f"  ({len(sites)} alike)" * (len(sites) > 1)
    adds = sum(site.multiply_adds for site in sites)
    rate = _rate(adds, seconds) if adds and seconds else ""
    calls = str(sum(site.calls for site in sites))
    return _time(seconds), _share(seconds, total), calls, rate, first.function, _places(first.places), text


def _seconds(sites: Iterable[Site]) -> float:
    return sum(site.seconds for site in sites)


def _share(seconds: float, total: float) -> str:
    return f"{seconds / total:.1%}" if total else ""


def _threads(steps: Steps) -> str:
    return _plural(steps.threads, "thread")


def _plural(count: int, word: str) -> str:
    return f"{count} {word}{'s' * (count != 1)}"


def _time(seconds: float) -> str:
    """With three figures."""
    for scale, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}" if seconds < 1000 * scale else f"{seconds / scale:.0f} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def _rate(multiply_adds: int, seconds: float) -> str:
    """A multiplication and an addition are two operations."""
    return f"{2e-9 * multiply_adds / seconds:.3g} GFLOP/s"


def _bytes(count: int) -> str:
    for scale, unit in UNITS:
        if count >= scale:
            return f"{count / scale:.3g} {unit}" if count < 1000 * scale else f"{count / scale:.0f} {unit}"
    return f"{count} bytes"


def _places(places: Sequence[str]) -> str:
    """`digits.grad:12, 15`."""
    shown: list[str] = []
    before = ""
    for place in places[:MOST_PLACES]:
        file, _, line = place.rpartition(":")
        shown.append(line if file == before else place)
        before = file
    return ", ".join(shown) + ", …" * (len(places) > MOST_PLACES)


def _shortened(text: str) -> str:
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 2]} …"

