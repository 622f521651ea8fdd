"""The small files of the guest that are written from a template: jinja2, and an unknown name is an error.

Never for what is parsed by a verifier or signed.
"""

from pathlib import Path

import jinja2

from image.errors import ImageError
from image.inputs.recipe import Recipe

FOLDER = Path(__file__).parents[1] / "templates"


def render(name: str, recipe: Recipe, folder: Path = FOLDER) -> bytes:
    """The template ``name`` with the recipe's ``flavor``, ``debug`` and ``users``. Raises ImageError."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - the guest's files are no HTML
        keep_trailing_newline=True,
    )
    try:
        text = environment.get_template(name).render(flavor=recipe.flavor, debug=recipe.debug, users=recipe.users)
    except jinja2.TemplateError as error:
        raise ImageError(f"The template {name} cannot be rendered: {error}.") from error
    return text.encode()
