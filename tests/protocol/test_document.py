"""YAML is read with its lines, and ambiguous YAML is rejected."""

import pytest

from cloister.errors import InputError
from cloister.protocol.document import Document

PATH = "manifest.yaml"


def test_values_are_read_with_their_lines():
    document = Document.parse(PATH, b"version: 1\nparties:\n  no: {key: 'yes'}\nlist:\n  - true\n  - 1_000\n  - 007\n")

    assert document.value == {"version": 1, "parties": {"no": {"key": "yes"}}, "list": [True, "1_000", "007"]}
    assert document.line(("parties", "no", "key")) == 3
    assert document.line(("list", 1)) == 6
    assert document.line(("parties", "no", "absent")) == 3


def test_json_is_read():
    assert Document.parse(PATH, b'{"a": [1, null, ""]}').value == {"a": [1, None, ""]}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (b"a: 1\na: 2\n", 2),
        (b"a: 1\nb: &x [1]\nc: *x\n", 2),
        (b"a: 1\nb: *x\n", 2),
        (b"a: 1\nb: !!int '2'\n", 2),
        (b"a: 1\nb: ! 2\n", 2),
        (b"version: 1.0\n", 1),
        (b"a:\n- 1e3\n", 2),
        (b"a: [-.5]\n", 1),
        (b"a: .inf\n", 1),
        (b'a: "\\ud800"\n', 1),
        (b'"\\ud800": 1\n', 1),
        (b"--- {}\n--- {}\n", 2),
        (b"a: 1\nb: [\n", 3),
        (b"? [a]\n: 1\n", 1),
        (b"[" * 40 + b"]" * 40, 1),
        (b"\n" + b"[" * 20_000, 2),
        (b"- " * 20_000, 1),
    ],
)
def test_unsupported_yaml_is_rejected_with_its_line(text, line):
    with pytest.raises(InputError, match=rf"manifest\.yaml:{line}:"):
        Document.parse(PATH, text)


def test_text_that_looks_like_a_number_needs_quotes():
    text = b"a: '1.0'\nb: 1.0.0\nc: 1.5h\nd: 1e\ne: v1.0\nf: 2026-01-01\ng: 0x10\n"
    assert set(map(type, Document.parse(PATH, text).value.values())) == {str}


@pytest.mark.parametrize("text", [b"", b"\xff\xfe", b"\x00", b'a: "\\UFFFFFFFF"', b" " * (1 << 20) + b"a"])
def test_bytes_that_are_not_text_are_rejected(text):
    with pytest.raises(InputError, match=r"manifest\.yaml"):
        Document.parse(PATH, text)
