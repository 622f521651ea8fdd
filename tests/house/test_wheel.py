"""The wheel that a party installs: ``cloister/`` and nothing else."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The paths of all files in the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_wheel_has_only_the_party_package(names: set[str]) -> None:
    folders = {name.split("/")[0] for name in names}

    assert {folder for folder in folders if not folder.endswith(".dist-info")} == {"cloister"}


def test_wheel_has_every_file_of_the_package(names: set[str]) -> None:
    files = {str(path.relative_to(ROOT)) for path in (ROOT / "cloister").rglob("*") if path.is_file()}

    assert {name for name in names if name.startswith("cloister/")} == {
        name for name in files if "__pycache__" not in name
    }


def test_wheel_has_the_schemas_and_the_type_marker(names: set[str]) -> None:
    folder = (ROOT / "docs" / "schemas").resolve()
    schemas = {f"cloister/protocol/schemas/{path.relative_to(folder)}" for path in folder.rglob("*.schema.json")}

    assert schemas
    assert schemas | {"cloister/py.typed"} <= names


def test_wheel_has_the_license(names: set[str]) -> None:
    assert [name for name in names if name.endswith(".dist-info/licenses/LICENSE")]
