"""The one Jinja environment: a name that a template does not know is an error."""

from __future__ import annotations

from functools import cache

import jinja2

from .. import resources


@cache  # it keeps the templates that it compiled
def environment(*, html: bool = False) -> jinja2.Environment:
    """Of the files below templates/; html: values are escaped."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(resources.templates()),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=html,
    )
