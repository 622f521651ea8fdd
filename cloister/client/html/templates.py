"""Templates of pages. Whatever value is filled in becomes text: no markup, and no character that hides or turns it."""

import functools
import importlib.resources

import jinja2

from cloister.protocol import text

_SHARED = "html"


def read(room: str, name: str) -> str:
    """The file ``name`` of a room of the client."""
    return importlib.resources.files(f"cloister.client.{room}").joinpath(name).read_text(encoding="utf-8")


def template(room: str, name: str) -> jinja2.Template:
    """The template ``name`` of a room. It may include those of its own room, and ``html/NAME``."""
    return _environment(room).get_template(name)


@functools.cache
def _environment(room: str) -> jinja2.Environment:
    def load(name: str) -> str:
        folder, _, file = name.partition("/")
        return read(_SHARED, file) if folder == _SHARED else read(room, name)

    return jinja2.Environment(
        loader=jinja2.FunctionLoader(load),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printable,
    )


def _printable(value: object) -> object:
    """Names in documents come from other parties: no character may hide, or turn the direction of what follows."""
    # What has __html__ is the output of a macro: its values have been through here.
    if not isinstance(value, str) or hasattr(value, "__html__") or value.isprintable():
        return value
    return text.printable(value)
