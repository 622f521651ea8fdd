"""A large JSON object is read member by member, as json.loads would read it, or refused."""

import json
from pathlib import Path

import pytest

from cloister.errors import InputError
from image.audit import streaming_json
from image.audit.errors import DataError


@pytest.mark.parametrize("chunk", [1, 2, 7, 1 << 20])
@pytest.mark.parametrize(
    "text",
    [
        "{}",
        " \n{ } \t",
        '{"a": 12345, "b": [1, {"c": "}\\" ,"}], "\\u00e9": null, "": -1.5e3 }\n',
        json.dumps({str(number): {"x": "y" * number} for number in range(40)}),
    ],
)
def test_members_are_those_of_the_object(
    text: str, chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming_json, "_CHUNK", chunk)
    (tmp_path / "data").write_text(text)
    assert list(streaming_json.members(tmp_path / "data", "data")) == list(json.loads(text).items())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "expected {, found its end"),
        (b"[]", r"expected {, found \["),
        (b'{"a": 1', "expected }, found its end"),
        (b'{"a" 1}', "expected :, found 1"),
        (b'{"a": 1,}', "Expecting value"),
        (b"{1: 2}", "the name of a member is not a text"),
        (b'{"a": 1, "a": 2}', "the name of a member is there twice"),
        (b'{"a": {"b": [{"c": 1, "c": 2}]}}', "the member 'c' is there twice"),
        (b'{"a": 1} {}', "text follows the object"),
        (b'{"a": "\xff"}', "codec can't decode"),
        (b'{"a": ' + b"[" * 100_000, "recursion depth"),
        (b'{"a": ' + b"9" * 5000 + b"}", "digits"),
        (b'{"a": "' + b"x" * 100, "Unterminated string"),
    ],
)
def test_anything_but_an_object_is_refused(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(content)
    with pytest.raises(DataError, match=f"data is not data: .*{said}"):
        list(streaming_json.members(tmp_path / "data", "data"))


def test_member_has_a_largest_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming_json, "_CHUNK", 10)
    monkeypatch.setattr(streaming_json, "_LARGEST_MEMBER", 100)
    (tmp_path / "data").write_text(json.dumps({"a": "x" * 1000}))
    with pytest.raises(DataError, match="a member has more than 100 characters"):
        list(streaming_json.members(tmp_path / "data", "data"))


def test_missing_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="absent cannot be read"):
        list(streaming_json.members(tmp_path / "absent", "data"))
