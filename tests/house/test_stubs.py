"""The generated code is committed because its bytes are measured: it must match ``proto/``."""

from pathlib import Path

from tools import stubs


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*_pb2*") if path.is_file()}


def test_committed_stubs_match_their_sources(tmp_path: Path) -> None:
    generated = stubs.generate(tmp_path)

    assert generated
    assert _contents(stubs.ROOT / "cloister" / "v1") == {path.name: path.read_bytes() for path in generated}


def test_stubs_folder_has_only_generated_files() -> None:
    names = {path.name for path in (stubs.ROOT / "cloister" / "v1").iterdir() if path.name != "__pycache__"}

    assert {name for name in names if not name.endswith(stubs.GENERATED)} == {"__init__.py"}
    assert (stubs.ROOT / "cloister" / "v1" / "__init__.py").read_bytes() == b""
