"""A derivation: the chain rule for one parameter, and how it is written for people.

`derive.py` makes it from graphs.
"""

from dataclasses import dataclass

from .derivation_latex import html, latex
from .derivation_steps import Chain
from .derivation_text import text


@dataclass(frozen=True, slots=True)
class Derivation(Chain):
    """The gradient of the loss by one parameter, step by step. `str()` is what `gradc derive` prints.

    Attributes (with those of a `Chain`):
        as_latex: whether `str()` is LaTeX.
    """

    as_latex: bool = False

    def __str__(self) -> str:
        return self.latex if self.as_latex else self.text

    @property
    def text(self) -> str:
        """The derivation as text of at most 100 columns, where no name is wider."""
        return text(self)

    @property
    def latex(self) -> str:
        """The derivation as an `align*` environment of amsmath."""
        return latex(self)

    def _repr_latex_(self) -> str:
        return self.latex

    def _repr_html_(self) -> str:
        return html(self)
