"""What a person's terminal is told of others' text."""

import pytest

from cloister.protocol import text


@pytest.mark.parametrize(
    "char", ["\x1b", "\x9b", "\x07", "\r", "\n", "\x7f", "\u202e", "\u2066", "\u200b", "\u2028", "\ud800"]
)
def test_what_moves_the_cursor_is_not_shown(char):
    assert text.printable(f"a{char}b") == "a\ufffdb"
    assert text.printable(f"a{char}b", replacement=" ") == "a b"


def test_letters_are_shown_as_they_are_and_so_is_what_is_kept():
    assert (
        text.printable("Gr\u00fc\u00dfe \u5317\u4eac \U0001f600\n\tx", keep="\n\t")
        == "Gr\u00fc\u00dfe \u5317\u4eac \U0001f600\n\tx"
    )
