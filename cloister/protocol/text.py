"""Text that a peer or a file chose, made safe for a terminal."""


def printable(text: str, *, keep: str = "", replacement: str = "\ufffd") -> str:
    """``text`` with every unprintable character replaced, except those in ``keep``.

    Unprintable (str.isprintable) are control and format characters, such as those that reverse the writing direction,
    all separators except the space, and unassigned code points: they are invisible or move the cursor.
    """
    return "".join(char if char.isprintable() or char in keep else replacement for char in text)
