"""Text that a peer or a file chose: made safe for a terminal, checked for invisible characters."""

import unicodedata

_INVISIBLE = ("Cf", "Zl", "Zp")
"""Unicode categories of format characters, and of line and paragraph separators."""


def first_invisible(text: str) -> str | None:
    """The first invisible character of ``text``, as U+XXXX; None if all are visible.

    Invisible characters, such as those that reverse the writing direction, make one text look like another.
    """
    return next((f"U+{ord(char):04X}" for char in text if unicodedata.category(char) in _INVISIBLE), None)


def printable(text: str, *, keep: str = "", replacement: str = "\ufffd") -> str:
    """``text`` with every unprintable character replaced, except those in ``keep``.

    Unprintable (str.isprintable) are control and format characters, such as those that reverse the writing direction,
    all separators except the space, and unassigned code points: they are invisible or move the cursor.
    """
    return "".join(char if char.isprintable() or char in keep else replacement for char in text)
