"""What a notebook shows of an object: a line, and its parts below it."""

from cloister.client.html.parts import Part


def fragment(title: str, *parts: Part, accepted: bool | None = None) -> str:
    """HTML without a head, and with a style of its own. ``accepted`` colours the line; None does not."""
    from cloister.client.html import templates  # imports Jinja, which most verbs do not need

    values = {"title": title, "parts": parts, "accepted": accepted}
    return templates.template("html", "fragment.html.j2").render(values)
