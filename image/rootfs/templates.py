"""Render small configuration files of the guest from jinja2 templates, in which an undefined name is an error.

Not for files that a verifier parses or that are signed.
"""

from collections.abc import Mapping
from pathlib import Path

import jinja2

from image.errors import ImageError

FOLDER = Path(__file__).parents[1] / "templates"


def render(name: str, values: Mapping[str, object], folder: Path = FOLDER) -> bytes:
    """Render the template ``name`` with ``values``. Raises ImageError for an undefined name."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - the files are not HTML
        keep_trailing_newline=True,
    )
    try:
        text = environment.get_template(name).render(values)
    except jinja2.TemplateError as error:
        raise ImageError(f"Cannot render the template {name}: {error}.") from error
    return text.encode()
