"""Canonical JSON: one text for one value, and ambiguous text is rejected."""

import datetime
import json

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from cloister.protocol import canonical
from cloister.protocol.canonical import FormatError

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(_VALUES)
def test_encoded_value_parses_to_the_same_value(value):
    assert canonical.parse_canonical(canonical.encode(value), what="It", limit=1_000_000) == value


_ASCII = st.text(st.characters(max_codepoint=0x7F), max_size=12)
_PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | _ASCII,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_ASCII, inner, max_size=4),
    max_leaves=20,
)


@given(_VALUES | _PLAIN, st.booleans(), st.booleans(), st.sampled_from([(",", ":"), (", ", ": "), (",", ": ")]))
def test_exactly_the_canonical_form_is_accepted(value, ascii_only, in_order, separators):
    """Of any JSON of a value, that is accepted which the library for RFC 8785 writes."""
    written = json.dumps(value, ensure_ascii=ascii_only, sort_keys=in_order, separators=separators)
    data = written.encode("utf-8", "surrogatepass")
    try:
        found = canonical.parse_canonical(data, what="It", limit=1_000_000)
    except FormatError:
        assert data != canonical.encode(value)
    else:
        assert found == value
        assert data == rfc8785.dumps(value)


@pytest.mark.parametrize(
    ("text", "canonical_text"),
    [
        ('{"\ufb33":1,"\U0001f600":2}', '{"\U0001f600":2,"\ufb33":1}'),
        ('{"a":"\\u0041"}', '{"a":"A"}'),
        ('{"a":"\\u000a"}', '{"a":"\\n"}'),
        ('{"a":"\\/"}', '{"a":"/"}'),
        ('{"b":1,"a":2}', '{"a":2,"b":1}'),
        ('{"a":-0}', '{"a":0}'),
        ('{"a": 1}', '{"a":1}'),
        ('{"a":"\\u001F"}', '{"a":"\\u001f"}'),
    ],
)
def test_another_spelling_of_the_same_value_is_rejected(text, canonical_text):
    value = canonical.parse(text.encode(), what="It", limit=1000)
    assert canonical.encode(value).decode() == canonical_text
    assert canonical.parse_canonical(canonical_text.encode(), what="It", limit=1000) == value
    with pytest.raises(FormatError, match="not in canonical form"):
        canonical.parse_canonical(text.encode(), what="It", limit=1000)


def test_members_are_sorted_by_utf16_code_units():
    """RFC 8785 section 3.2.3: the example's order, which differs from that of code points."""
    value = {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\u0080": 6, "\u00f6": 7}
    assert canonical.encode(value).decode() == (
        '{"\\r":2,"1":4,"\u0080":6,"\u00f6":7,"\u20ac":1,"\U0001f600":5,"\ufb33":3}'
    )


_NAMES = st.sampled_from(["a", "b", ":", '":"', "{}", "\u00e9"])
_PAIRS = st.recursive(
    st.none() | st.integers(0, 9) | _NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.lists(st.tuples(_NAMES, inner), max_size=3).map(tuple),
    max_leaves=12,
)
"""JSON values; an object is a tuple of its members, and may have a member twice."""


@given(_PAIRS, st.sampled_from(["", " ", "\n\t"]))
def test_json_is_rejected_exactly_if_an_object_has_a_member_twice(value, space):
    def written(one) -> str:
        if isinstance(one, tuple):
            members = (f"{json.dumps(name)}{space}:{space}{written(inner)}" for name, inner in one)
            return f"{{{f',{space}'.join(members)}}}"
        return f"[{','.join(map(written, one))}]" if isinstance(one, list) else json.dumps(one)

    def repeated(one) -> bool:
        if isinstance(one, tuple):
            return len({name for name, _ in one}) < len(one) or any(repeated(inner) for _, inner in one)
        return isinstance(one, list) and any(map(repeated, one))

    data = written(value).encode()
    if repeated(value):
        with pytest.raises(FormatError, match="twice"):
            canonical.parse(data, what="It", limit=10_000)
    else:
        assert canonical.parse(data, what="It", limit=10_000) == json.loads(data)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b'{"a":1,"a":2}', "It has the member 'a' twice."),
        (b'{"a":1.0}', "It has the number 1.0; only integers are allowed."),
        (b'{"a":1e2}', "It has the number 1e2; only integers are allowed."),
        (b'{"a":NaN}', "It has the number NaN; only integers are allowed."),
        (b'{"a":9007199254740992}', "It has the number 9007199254740992, which is too large."),
        (b"[" * 40 + b"]" * 40, "It is nested more than 32 levels deep."),
        (b'"\xff"', "It is not UTF-8 (byte 1)."),
        (b'{"a":', "It is not JSON: Expecting value (line 1, column 6)."),
        (b" " * 101, "It has more than 100 bytes."),
    ],
)
def test_ambiguous_json_is_rejected_in_one_sentence(text, sentence):
    with pytest.raises(FormatError) as refused:
        canonical.parse(text, what="It", limit=100)
    assert refused.value.message == sentence


def test_brackets_in_strings_do_not_hide_nesting():
    for text in (b'["]",' * 33 + b"1" + b"]" * 33, b'["]",' * 20_000, b'["\\"]",' * 20_000):
        with pytest.raises(FormatError, match="32 levels"):
            canonical.parse(text, what="It", limit=1_000_000)
    assert canonical.parse(b'["' + b"[" * 40 + b'"]', what="It", limit=100) == ["[" * 40]


@pytest.mark.parametrize("text", [b'"' + b'\\"' * 500_000, b'"' * 500_000, b'"' + b"\\" * 500_000])
def test_unterminated_string_is_read_once(text):
    with pytest.raises(FormatError, match="not JSON"):
        canonical.parse(text, what="It", limit=2_000_000)


@pytest.mark.parametrize("text", [b'{"\\ud800":1}', b'["\\udc00"]', b'["\\udc00\\ud800"]'])
def test_unpaired_surrogate_is_rejected(text):
    with pytest.raises(FormatError, match="surrogate"):
        canonical.parse(text, what="It", limit=100)
    with pytest.raises(FormatError):
        canonical.encode({"\ud800": 1})


def test_surrogate_pair_is_one_character():
    assert canonical.parse(b'"\\ud83d\\ude00"', what="It", limit=100) == "\U0001f600"


@pytest.mark.parametrize("text", [b'{"b":1,"a":2}', b'{"a": 1}', b'{"a":1}\n', b'"\\u0041"'])
def test_json_that_is_not_canonical_is_rejected(text):
    with pytest.raises(FormatError, match="canonical form"):
        canonical.parse_canonical(text, what="It", limit=100)


@given(st.binary(max_size=100))
def test_any_bytes_parse_or_are_rejected_as_malformed(data):
    try:
        canonical.parse(data, what="It", limit=1000)
    except FormatError:
        pass


@given(st.binary(max_size=50))
def test_bytes_have_one_base64_text(data):
    text = canonical.to_base64(data)
    assert canonical.from_base64(text, what="It") == data
    with pytest.raises(FormatError):
        canonical.from_base64(text + "=", what="It")


@pytest.mark.parametrize("text", ["A", "AB", "A+/A", "AA A", "AAA\n", "ÄAAA"])
def test_base64_with_stray_bits_or_characters_is_rejected(text):
    with pytest.raises(FormatError):
        canonical.from_base64(text, what="It")


def test_time_is_written_in_utc():
    zone = datetime.timezone(datetime.timedelta(hours=2))
    moment = datetime.datetime(2026, 1, 31, 1, 2, 3, 456000, tzinfo=zone)
    assert canonical.to_time(moment) == "2026-01-30T23:02:03.456Z"
    assert canonical.to_time(datetime.datetime(999, 1, 2, tzinfo=datetime.UTC)) == "0999-01-02T00:00:00.000Z"
    assert canonical.from_time("2026-01-30T23:02:03.456Z", what="It") == moment


@pytest.mark.parametrize(
    "text", ["2026-01-30", "2026-01-30T23:02:03", "2026-01-30T23:02:03+00:00", "2026-13-30T23:02:03Z"]
)
def test_time_in_another_format_is_rejected(text):
    with pytest.raises(FormatError):
        canonical.from_time(text, what="It")


def nested(levels):
    value = []
    for _ in range(levels - 1):
        value = [value]
    return value


WITHOUT_FORM = {
    "fraction": (1.5, b"1.5"),
    "whole number as a float": (1.0, b"1.0"),
    "zero as a float": (0.0, b"0.0"),
    "exponent": (1e300, b"1e300"),
    "not a number": (float("nan"), b"NaN"),
    "infinity": (float("inf"), b"Infinity"),
    "negative infinity": (float("-inf"), b"-Infinity"),
    "large integer": (2**53, b"9007199254740992"),
    "small integer": (-(2**53), b"-9007199254740992"),
    "integer of more digits than Python writes": (10**5000, b"1" + b"0" * 5000),
    "unpaired surrogate": ("\ud800", b'"\\ud800"'),
    "two surrogates in the wrong order": ("\udc00\ud800", b'"\\udc00\\ud800"'),
    "deep nesting": (nested(33), b"[" * 33 + b"]" * 33),
    "nesting deeper than the interpreter's stack": (nested(100_000), b"[" * 100_000 + b"]" * 100_000),
}


AROUND = {
    "X": lambda value: value,
    "[X]": lambda value: [value],
    '{"a":X}': lambda value: {"a": value},
    '{"a":[1,X]}': lambda value: {"a": [1, value]},
}


@pytest.mark.parametrize("name", list(WITHOUT_FORM))
@pytest.mark.parametrize("around", list(AROUND))
def test_what_is_not_parsed_is_not_encoded(name, around):
    value, text = WITHOUT_FORM[name]
    enclosed, before, after = AROUND[around](value), *around.encode().split(b"X")
    with pytest.raises(FormatError):
        canonical.parse(before + text + after, what="It", limit=1_000_000)
    with pytest.raises(FormatError, match="The value has no canonical JSON form"):
        canonical.encode(enclosed)
    with pytest.raises(FormatError):
        canonical.digest(enclosed)


@pytest.mark.parametrize(
    "value",
    [b"bytes", {1, 2}, object(), {1: "a"}, {None: 1}, {True: 1}, {b"a": 1}],
    ids=lambda value: type(value).__name__,
)
def test_what_json_does_not_have_is_not_encoded(value):
    for enclosed in (value, [value], {"a": value}):
        with pytest.raises(FormatError, match="no canonical JSON form"):
            canonical.encode(enclosed)


@pytest.mark.parametrize("value", [2**53 - 1, -(2**53) + 1, nested(32), "\U0001f600", {"": ""}, True, None, (1, "a")])
def test_what_is_encoded_is_parsed(value):
    data = canonical.encode(value)
    assert canonical.encode(canonical.parse_canonical(data, what="It", limit=1_000_000)) == data
