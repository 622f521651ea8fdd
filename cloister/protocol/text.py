"""Text that a peer or a file chose, for a person's terminal."""


def shown(text: str, *, keep: str = "", instead: str = "\ufffd") -> str:
    """``text`` with ``instead`` of all that nobody sees or that moves the cursor, but for what is in ``keep``.

    Those are control and format characters (such as turn the direction of writing), separators but the space, and what
    is no character (str.isprintable).
    """
    return "".join(char if char.isprintable() or char in keep else instead for char in text)
