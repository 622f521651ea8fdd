"""No file of a party makes a parser call itself until the interpreter's stack ends."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cloister import client
from cloister.client.computation.manifest import load_manifest, write_manifest
from cloister.client.evidence.evidence_files.loading import load
from cloister.client.packages import inspection
from cloister.client.packages.requirements import read_requirements
from cloister.errors import CloisterError
from image.changes.compare import compare
from image.inputs import recipe
from image.inputs.lockfile import Lock

DEEP = 100_000
LISTS = "[" * DEEP + "]" * DEEP
OBJECTS = '{"a":' * DEEP + "1" + "}" * DEEP
OPEN = "[" * DEEP
BLOCKS = "".join(f"{' ' * level}a:\n" for level in range(400))
SEQUENCES = "- " * DEEP + "1"
TOML = f"a = {'[' * 5000}{']' * 5000}"
DOTS = f"a{'.a' * 5000} = 1"
MARKER = f"a; {'(' * 5000}os_name == 'posix'{')' * 5000}"

JSON = {"lists": LISTS, "objects": OBJECTS, "open lists": OPEN}
YAML = JSON | {"blocks": BLOCKS, "sequences": SEQUENCES}


def _collateral(path: Path) -> object:
    path.rename(path.with_suffix(".json"))
    return client.load_collateral(path.parent)


READERS: dict[str, tuple[dict[str, str], Callable[[Path], object]]] = {
    "manifest": (JSON, load_manifest),
    "author's manifest": (YAML, lambda path: write_manifest(path, path.with_name("out"))),
    "policy": (YAML, client.load_policy),
    "descriptor": (YAML, client.load_descriptor),
    "evidence": (JSON, lambda path: load([path])),
    "collateral": (JSON, _collateral),
    "event log": (JSON, lambda path: client.audit_log(path, path, client.load_policy(path))),
    "key": (JSON, client.load_key),
    "public key": (JSON, client.read_public_key),
    "requirements": ({"marker": MARKER}, read_requirements),
    "compared image": (JSON, lambda path: compare(path, path)),
    "lock of an image": (JSON, lambda path: Lock.parse(path.read_bytes())),
    "recipe": ({"lists": TOML, "dots": DOTS}, lambda path: recipe.load(str(path))),
}
ROWS = [(reader, form) for reader, (forms, _) in READERS.items() for form in forms]


@pytest.mark.parametrize(("reader", "form"), ROWS)
def test_nesting_of_a_file_is_refused_in_a_sentence(tmp_path: Path, reader: str, form: str) -> None:
    forms, read = READERS[reader]
    path = tmp_path / ("deep.toml" if reader == "recipe" else "deep")
    path.write_text(forms[form])
    path.chmod(0o600)
    with pytest.raises(CloisterError) as raised:
        read(path)
    assert raised.value.exit_code == (1 if reader == "lock of an image" else 2)
    assert "RecursionError" not in raised.value.message
    assert raised.value.hint or raised.value.remedy


def test_nesting_of_what_an_inspection_kept_is_an_inspection_again(tmp_path: Path) -> None:
    for text in JSON.values():
        (tmp_path / "kept").write_text(text)
        assert inspection._read(tmp_path / "kept") is None
