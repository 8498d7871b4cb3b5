"""A derivation as text that a student can follow, 100 columns wide."""

import textwrap
from collections.abc import Iterable, Iterator

from gradc.graph.nodes import Equation
from gradc.graph.printing import TEXT, Printer, text_of
from gradc.graph.show import adds_up, body_of, guard_text, place_in_text, place_of, range_of

from .derivation_steps import Chain, Contribution, Stabilised, Step

WIDTH = 100
LABEL = 13
MARGIN = 4


def text(derivation: Chain) -> str:
    """The whole derivation."""
    return "\n".join(_lines(derivation)) + "\n"


def _lines(derivation: Chain) -> Iterator[str]:
    title = f"The derivative of {derivation.loss} by {derivation.parameter}"
    yield f"{title}{derivation.file:>{max(WIDTH - len(title), len(derivation.file) + 2)}}"
    yield ""
    if not derivation.steps:
        yield f"{derivation.subject} does not depend on {derivation.parameter}: its derivative is 0 everywhere."
        return
    d = derivation.prefix
    yield from _paragraph(
        f"{d}X stands for ∂{derivation.loss.removeprefix('the ')}/∂X and has X's shape. One rule gives every step: "
        f"where an equation reads A[r], {d}A[r] receives the derivative by what the equation computes, times the slope "
        "of its right side:"
    )
    if derivation.nested:
        yield from _paragraph("dY.dX, of the model's own equations, stands for the derivative of Y's sum by X.")
    yield ""
    yield f"    out[w] = … A[r] …      gives      {d}A[r] += {d}out[w] · ∂out[w]/∂A[r]"
    yield ""
    yield from _heading(f"Forward: from {derivation.parameter} to {derivation.loss}")
    for equation in derivation.forward:
        yield from _row("", with_domain(equation), place_in_text(equation.origin))
    for rewritten in derivation.stabilised:
        yield from _stabilised(rewritten)
    yield ""
    yield from _heading(f"Backward: from {derivation.loss} to {derivation.parameter}")
    for number, step in enumerate(derivation.steps, 1):
        yield from _step(number, step, derivation.loss)
        yield ""
    yield from _heading(f"What is computed for {derivation.gradient}")
    for equation, adds in signed(derivation.computed):
        yield from _row("", with_domain(equation, adds), place_in_text(equation.origin))
    if derivation.rules:
        yield ""
        yield from _heading("The rules that fired")
        width = max(len(rule.name) for rule in derivation.rules) + 2
        for rule in derivation.rules:
            yield from _hanging(f"    {rule.name:<{width}}", f"{rule.before}  →  {rule.after or 'nothing'}", rule.why)


def _stabilised(rewritten: Stabilised) -> Iterator[str]:
    yield ""
    yield from _paragraph(f"Rewritten before it is differentiated, by {_listed(rewritten.rules)}:", MARGIN)
    for label, equations in (("as written", rewritten.before), ("instead", rewritten.after)):
        for equation in equations:
            yield from _row(label, equation_text(equation), place_in_text(equation.origin))


def _step(number: int, step: Step, loss: str) -> Iterator[str]:
    if not step.contributions:
        yield f"{number:>2}  {step.target} = 1, the derivative of {loss} by itself"
        return
    count = len(step.contributions)
    reads = f": {step.tensor} is read {count} times, and each read contributes" if count > 1 else ""
    yield f"{number:>2}  {step.target}, the derivative by {step.tensor}{reads}"
    for contribution in step.contributions:
        yield from _contribution(contribution, step.adds or adds_up((contribution.adjoint,)))
    for helper in step.helpers:
        yield from _row("with", equation_text(helper))
    if step.adds:
        for equation, adds in signed(step.total):
            yield from _row(total_label(step), equation_text(equation, adds))
    if step.rules:
        yield from _row("rewritten by", _listed(step.rules))
    if step.final != step.total:
        for equation, adds in signed(step.final):
            yield from _row("becomes", equation_text(equation, adds))
    if step.fate:
        yield from _row("", step.fate)


def _contribution(part: Contribution, adds: bool) -> Iterator[str]:
    yield from _row("read in", equation_text(part.equation), place_in_text(part.equation.origin))
    slope = Printer(TEXT, part.equation.origin.order).print(part.slope)
    yield from _row("slope", f"∂{place_of(part.equation)}/∂{text_of(part.read)} = {slope} {part.only}".rstrip())
    swapped = Printer(TEXT, part.swapped.origin.order).print(part.swapped.body)
    yield from _row("chain rule", f"{place_of(part.swapped)} {_sign(adds)} {swapped}{_guards(part.swapped)}")


def total_label(step: Step) -> str:
    """What the sum of the contributions is called: there are several, or one that is summed, or moved."""
    if len(step.contributions) > 1:
        return "together"
    names = ", ".join(each.name for each in step.total[0].reduced)
    label = f"sum over {names}" if names else "that is"
    return label if len(label) < LABEL else "summed"


def signed(equations: Iterable[Equation]) -> Iterator[tuple[Equation, bool]]:
    """The equations, each with whether it adds: to what an earlier one wrote, or to places that it meets again."""
    seen: set[str] = set()
    for equation in equations:
        yield equation, equation.target in seen or adds_up((equation,))
        seen.add(equation.target)


def equation_text(equation: Equation, adds: bool = False) -> str:
    """`h[b, j] = …`, with its guards."""
    return f"{place_of(equation)} {_sign(adds)} {body_of(equation)}{_guards(equation)}"


def with_domain(equation: Equation, adds: bool = False) -> str:
    """The same with the ranges of its indices."""
    ranges = f"   for {', '.join(map(range_of, equation.indices))}" if equation.indices else ""
    return f"{place_of(equation)} {_sign(adds)} {body_of(equation)}{ranges}{_guards(equation)}"


def _sign(adds: bool) -> str:
    return "+=" if adds else "="


def _guards(equation: Equation) -> str:
    return f"   where {' and '.join(map(guard_text, equation.guards))}" if equation.guards else ""


# ---------------------------------------------------------------- lines


def _heading(text: str) -> Iterator[str]:
    yield text
    yield "─" * len(text)


def _paragraph(text: str, indent: int = 0) -> Iterator[str]:
    yield from textwrap.wrap(text, WIDTH, initial_indent=" " * indent, subsequent_indent=" " * indent)


def _row(label: str, text: str, place: str = "") -> Iterator[str]:
    """A label, an equation, and at the right the line it comes from; long equations go on below."""
    start = f"{'':{MARGIN}}{label:<{LABEL}}" if label else " " * MARGIN
    lines = textwrap.wrap(
        text, WIDTH, initial_indent=start, subsequent_indent=" " * (len(start) + MARGIN),
        break_long_words=False, break_on_hyphens=False, drop_whitespace=True,
    )  # fmt: skip
    if place and len(lines[-1]) + len(place) + 2 <= WIDTH:
        lines[-1] = f"{lines[-1]}{place:>{WIDTH - len(lines[-1])}}"
    elif place:
        lines.append(f"{place:>{WIDTH}}")
    yield from lines


def _hanging(start: str, text: str, why: str) -> Iterator[str]:
    yield from textwrap.wrap(
        f"{text}   ({why})", WIDTH, initial_indent=start, subsequent_indent=" " * (len(start) + 2),
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"“{name}”" for name in names)
