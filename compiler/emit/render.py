"""Jinja2: the templates' environment. Python decides, a template arranges: it gets strings and tuples of strings."""

from importlib.resources import files
from typing import Any

import jinja2


def render(template: str, **values: Any) -> str:
    """The text of a template of `gradc_templates`; a value that it names and is not given is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_text),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # the result is Python; every name in it is an identifier made by `names`
    )
    return environment.get_template(template).render(**values)


def _text(name: str) -> str:
    return files("gradc_templates").joinpath(name).read_text(encoding="utf-8")
