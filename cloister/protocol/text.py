"""Text that a peer or a file chose: made safe for a terminal, checked for invisible characters."""

import re

EMOJI = "\ufe0f"
"""Asks for the coloured form of the character before it. Invisible, but part of many emoji, so it is allowed."""

_INVISIBLE = (
    (0x00AD, 0x00AD),
    (0x034F, 0x034F),
    (0x0600, 0x0605),
    (0x061C, 0x061C),
    (0x06DD, 0x06DD),
    (0x070F, 0x070F),
    (0x0890, 0x0891),
    (0x08E2, 0x08E2),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x200B, 0x200F),
    (0x2028, 0x202E),
    (0x2060, 0x206F),
    (0x2800, 0x2800),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0E),
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFFB),
    (0x110BD, 0x110BD),
    (0x110CD, 0x110CD),
    (0x13430, 0x1343F),
    (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A),
    (0xE0000, 0xE0FFF),
)
"""First and last code points. Unicode 16: categories Cf, Zl and Zp, Default_Ignorable_Code_Point without
:data:`EMOJI` (DerivedCoreProperties.txt), and the empty Braille pattern. Frozen: both ends must agree, whatever
version of Unicode their Python knows.
"""


_ANY_INVISIBLE = re.compile("[" + "".join(f"{chr(first)}-{chr(last)}" for first, last in _INVISIBLE) + "]")


def decimal(text: str, digits: int = 19) -> int | None:
    """The number that ``text`` is: one to ``digits`` ASCII digits; None for anything else.

    ``int`` also reads signs, underscores, spaces and the digits of other scripts, and refuses some thousands of digits.
    """
    return int(text) if 0 < len(text) <= digits and text.isascii() and text.isdigit() else None


def required_decimal(text: str) -> int:
    """The number that :func:`decimal` reads. Raises ValueError."""
    if (number := decimal(text)) is None:
        raise ValueError(f"{text[:40]!r} is not a number")
    return number


def first_invisible(text: str) -> str | None:
    """The first invisible character of ``text``, as U+XXXX; None if all are visible.

    Invisible characters, such as those that reverse the writing direction, make one text look like another.
    """
    found = _ANY_INVISIBLE.search(text)
    return f"U+{ord(found[0]):04X}" if found else None


def printable(text: str, *, keep: str = "", replacement: str = "\ufffd") -> str:
    """``text`` with every unprintable character replaced, except those in ``keep``.

    Unprintable (str.isprintable) are control and format characters, such as those that reverse the writing direction,
    all separators except the space, and unassigned code points: they are invisible or move the cursor.
    """
    return "".join(char if char.isprintable() or char in keep else replacement for char in text)
