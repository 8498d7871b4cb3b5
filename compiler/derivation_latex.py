"""A derivation as LaTeX and as HTML: the steps of `derivation.py`, in the notation of `graph/latex.py`.

LaTeX is one `align*` environment of amsmath with three columns: what is given, its value, and why. HTML has an
environment for each step and leaves the typesetting to the MathJax of the notebook.
"""

from collections.abc import Iterator
from html import escape

from gradc.graph.latex import LATEX, latex_equation, latex_name, latex_range, latex_read
from gradc.graph.nodes import Equation
from gradc.graph.printing import Printer
from gradc.graph.show import adds_up, place_in_text

from .derivation_steps import Chain, Contribution, Step
from .derivation_text import signed

SPECIAL = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    **{letter: f"\\{letter}" for letter in "_#$%&{}"},
}  # fmt: skip


def latex(derivation: Chain) -> str:
    """The whole derivation as one environment."""
    blocks = [[_title(title), *rows] for title, rows in _sections(derivation)]
    text = " \\\\[1ex]\n".join(" \\\\\n".join(rows) for rows in blocks if len(rows) > 1)
    name = latex_name(derivation.prefix + derivation.parameter)
    words = _words(f"{derivation.loss} does not depend on it")
    return f"\\begin{{align*}}\n{text or f'{name} &= 0 && {words}'}\n\\end{{align*}}\n"


def html(derivation: Chain) -> str:
    """A heading and an environment for each step."""
    parts = [f"<h4>The derivative of {escape(derivation.loss)} by <code>{escape(derivation.parameter)}</code></h4>"]
    if not derivation.steps:
        parts.append(f"<p>{escape(derivation.subject)} does not depend on it: its derivative is 0 everywhere.</p>")
    for title, rows in _sections(derivation):
        body = escape(" \\\\\n".join(rows), quote=False)
        parts.append(f"<p><b>{escape(title)}</b></p>\n$$\\begin{{aligned}}\n{body}\n\\end{{aligned}}$$")
    if derivation.rules:
        rules = "".join(
            f"<li><b>{escape(rule.name)}</b>: <code>{escape(rule.before)}</code> → "
            f"<code>{escape(rule.after or 'nothing')}</code> ({escape(rule.why)})</li>"
            for rule in derivation.rules
        )
        parts.append(f"<p><b>The rules that fired</b></p>\n<ul>{rules}</ul>")
    return "<div>\n" + "\n".join(parts) + "\n</div>"


# ---------------------------------------------------------------- rows


def _sections(derivation: Chain) -> Iterator[tuple[str, list[str]]]:
    """Titles, each with its rows."""
    if not derivation.steps:
        return
    forward = [_given(equation) for equation in derivation.forward]
    yield f"Forward: from {derivation.parameter} to {derivation.loss}", forward
    for rewritten in derivation.stabilised:
        rules = ", ".join(rewritten.rules)
        yield f"Rewritten first, by {rules}", [_given(equation) for equation in (*rewritten.before, *rewritten.after)]
    for number, step in enumerate(derivation.steps, 1):
        yield f"{number}. The derivative by {step.tensor}", list(_step(step, derivation.loss))
    computed = [_row(equation, adds, place_in_text(equation.origin)) for equation, adds in signed(derivation.computed)]
    yield f"What is computed for {derivation.gradient}", computed


def _step(step: Step, loss: str) -> Iterator[str]:
    if not step.contributions:
        yield f"{latex_name(step.target)} &= 1 && {_words(f'{loss} by itself')}"
        return
    for part in step.contributions:
        yield from _contribution(part, step.adds or adds_up((part.adjoint,)))
    for helper in step.helpers:
        yield _row(helper, False, "with")
    if step.adds:
        for equation, adds in signed(step.total):
            yield _row(equation, adds, "together")
    if step.final != step.total:
        for equation, adds in signed(step.final):
            yield _row(equation, adds, f"by {', '.join(step.rules)}" if step.rules else "that is")


def _contribution(part: Contribution, adds: bool) -> Iterator[str]:
    yield _given(part.equation)
    above = latex_read(part.equation.target, part.equation.write)
    below = latex_read(part.read.tensor, part.read.subscripts)
    slope = Printer(LATEX, part.equation.origin.order).print(part.slope)
    slope = f"{slope} {_words(part.only)}" if part.only else slope
    yield rf"\frac{{\partial {above}}}{{\partial {below}}} &= {slope} && {_words('slope')}"
    left = latex_read(part.swapped.target, part.swapped.write)
    swapped = Printer(LATEX, part.swapped.origin.order).print(part.swapped.body)
    yield f"{left} &{_sign(adds)} {swapped} && {_words('chain rule')}"


def _given(equation: Equation) -> str:
    ranges = r",\ ".join(map(latex_range, equation.indices))
    place = _words(f"   {place_in_text(equation.origin)}")
    left, right = _sides(equation)
    return f"{left} &= {right} && {ranges} {place}"


def _row(equation: Equation, adds: bool, note: str) -> str:
    left, right = _sides(equation)
    return f"{left} &{_sign(adds)} {right} && {_words(note)}"


def _sides(equation: Equation) -> tuple[str, str]:
    left = latex_read(equation.target, equation.write)
    return left, latex_equation(equation).removeprefix(f"{left} = ")


def _sign(adds: bool) -> str:
    return r"\mathrel{+}=" if adds else "="


def _title(text: str) -> str:
    return rf"&\textbf{{{_escaped(text)}}} &&"


def _words(text: str) -> str:
    return rf"\text{{{_escaped(text)}}}"


def _escaped(text: str) -> str:
    """Plain text as LaTeX text: whatever a model calls its tensors, no command comes of it."""
    return "".join(SPECIAL.get(letter, letter if letter.isprintable() else " ") for letter in text)
