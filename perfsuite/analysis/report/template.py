"""The templates of pages: nothing from a result file acts on a reader."""

from __future__ import annotations

import functools
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from perfsuite.formatting import printable


def own_file(name: str) -> str:
    """Return a file that belongs to the pages: a template, a style sheet, a script."""
    return resources.files("perfsuite.analysis.report").joinpath(name).read_text(encoding="utf-8")


def template(name: str) -> jinja2.Template:
    """Return a template by the name of its file."""
    return _environment().get_template(name)


@functools.cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FunctionLoader(own_file),
        autoescape=True,
        finalize=_finalize,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _finalize(value: Any) -> Any:
    """Let nothing through that acts on a reader: control characters, changes of direction, halves of letters."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value
