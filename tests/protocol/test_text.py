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


@pytest.mark.parametrize(("said", "number"), [("0", 0), ("007", 7), ("6110", 6110), ("9" * 19, 10**19 - 1)])
def test_decimal_digits_are_a_number(said, number):
    assert text.decimal(said) == text.required_decimal(said) == number


NUMBERS_OF_PYTHON = [
    "",
    "+1",
    "-1",
    "1_0",
    " 1",
    "1 ",
    "1\n",
    "\u0661",
    "\uff11",
    "\u00b2",
    "1.0",
    "1e3",
    "0x1",
    "9" * 20,
]


@pytest.mark.parametrize("said", [*NUMBERS_OF_PYTHON, "9" * 5000])
def test_what_only_python_takes_for_a_number_is_refused(said):
    assert text.decimal(said) is None
    with pytest.raises(ValueError, match="is not a number"):
        text.required_decimal(said)
