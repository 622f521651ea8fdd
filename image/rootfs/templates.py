"""Render small configuration files of the guest from jinja2 templates, in which an undefined name is an error.

Not for files that a verifier parses or that are signed. A template may be someone else's, and is rendered by everyone
who verifies the image: it gets no attribute from which code could be reached.
"""

from collections.abc import Mapping

from image.errors import ImageError


def render(name: str, template: bytes, values: Mapping[str, object]) -> bytes:
    """Render ``template``, the file ``name``, with ``values``. Raises ImageError for an undefined name."""
    # Imported late, because a build that has nothing to do renders nothing.
    import jinja2
    import jinja2.sandbox

    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # the files are not HTML
        keep_trailing_newline=True,
    )
    try:
        text = environment.from_string(template.decode()).render(values)
    except Exception as error:  # a template may divide by zero, or call what it finds with anything
        raise ImageError(f"Cannot render the template {name}: {error}.") from error
    return text.encode()
