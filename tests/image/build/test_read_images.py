"""A document of an image that cannot be used is an error that names its file."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cloister.errors import InputError
from image.build import output
from image.build.built_image import BuiltImage

BROKEN = {
    "nothing": b"",
    "not JSON": b"{",
    "not an object": b"[]",
    "another document": b'{"version":1}',
    "not text": b"\xff\xfe",
    "too large": b" " * (5 << 20),
}
READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "manifest in a folder": ("manifest.json", output.read_manifest),
    "manifest by its path": ("manifest.json", lambda folder: output.read_manifest(folder / "manifest.json")),
    "built image": ("manifest.json", BuiltImage.read),
    "statement of a signed image": ("signed.json", output.read_signed),
}


@pytest.mark.parametrize("content", BROKEN)
@pytest.mark.parametrize("reader", READERS)
def test_broken_document_is_named_by_its_path(tmp_path: Path, reader: str, content: str) -> None:
    name, read = READERS[reader]
    (tmp_path / name).write_bytes(BROKEN[content])
    with pytest.raises(InputError) as caught:
        read(tmp_path)

    assert caught.value.message.startswith(f"{tmp_path / name} cannot be used: ")
    assert caught.value.message.count(str(tmp_path)) == 1
    assert "invoke image.build" in caught.value.hint
    assert caught.value.exit_code == 2
