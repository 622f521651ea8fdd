"""Render small configuration files of the guest from jinja2 templates, in which an undefined name is an error.

Not for files that a verifier parses or that are signed.
"""

from collections.abc import Mapping

import jinja2

from image.errors import ImageError


def render(name: str, template: bytes, values: Mapping[str, object]) -> bytes:
    """Render ``template``, the file ``name``, with ``values``. Raises ImageError for an undefined name."""
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - the files are not HTML
        keep_trailing_newline=True,
    )
    try:
        text = environment.from_string(template.decode()).render(values)
    except (jinja2.TemplateError, UnicodeDecodeError) as error:
        raise ImageError(f"Cannot render the template {name}: {error}.") from error
    return text.encode()
