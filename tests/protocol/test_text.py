"""Text of others is made safe for a terminal."""

import pytest

from cloister.protocol import text


@pytest.mark.parametrize(
    "char", ["\x1b", "\x9b", "\x07", "\r", "\n", "\x7f", "\u202e", "\u2066", "\u200b", "\u2028", "\ud800"]
)
def test_characters_that_move_the_cursor_are_replaced(char):
    assert text.printable(f"a{char}b") == "a\ufffdb"
    assert text.printable(f"a{char}b", replacement=" ") == "a b"


def test_letters_and_kept_characters_are_unchanged():
    assert (
        text.printable("Gr\u00fc\u00dfe \u5317\u4eac \U0001f600\n\tx", keep="\n\t")
        == "Gr\u00fc\u00dfe \u5317\u4eac \U0001f600\n\tx"
    )
