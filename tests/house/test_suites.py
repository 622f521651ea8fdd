"""Which tests `invoke test` finds by the name of a room, and what it says about other names."""

import subprocess
import sys
from pathlib import Path

import pytest

from cloister.errors import InputError
from tools import suites


def test_every_folder_with_tests_is_a_room_except_the_machines() -> None:
    folders = {file.parent for file in suites.TESTS.rglob("test_*.py")} - {suites.TESTS}
    machines = {folder for folder in folders if folder.is_relative_to(suites.E2E)}

    assert folders - machines <= set(suites.rooms().values())
    assert machines and not [name for name in suites.rooms() if name.startswith("e2e")]


@pytest.mark.parametrize("name", ["client.connection", "client/connection", "tests/client/connection/"])
def test_a_room_is_found_by_its_dotted_name_and_by_its_path(name: str) -> None:
    assert suites.find(name) == suites.TESTS / "client" / "connection"


@pytest.mark.parametrize("name", ["nowhere", "client.nowhere", "e2e", "e2e.hostile", ".", "..", "../tests/client"])
def test_another_name_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="Unknown test room"):
        suites.find(name)


def _invoke(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "invoke", "test", *words]
    return subprocess.run(command, cwd=suites.CHECKOUT, capture_output=True, check=False, text=True)


def test_an_unknown_room_is_one_sentence_and_exit_code_2() -> None:
    done = _invoke("nowhere")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[0] == "Error: Unknown test room: nowhere."


def test_without_a_room_rooms_and_suites_are_listed() -> None:
    done = _invoke()

    assert done.returncode == 0, done.stderr
    listed = {line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")}
    assert (
        set(suites.rooms())
        | {
            f"test.{one}"
            for one in (
                "browser",
                "engine",
                "examples",
                "exhaustive",
                "faults",
                "flavors",
                "hostile",
                "interop",
                "kinds",
                "load",
                "machines",
                "packages",
                "pages",
                "pulumi",
                "rebuild",
                "sandbox",
                "scratch",
            )
        }
        == listed
    )


def test_packages_that_a_room_needs_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suites, "_is_installed", lambda module: False)

    suites.require_packages("client")
    suites.require_packages("image.formats")
    for room, targets in {"infra.live": "azure gcp", "image": "azure emulators gcp"}.items():
        with pytest.raises(InputError, match="not installed") as caught:
            suites.require_packages(room)
        assert caught.value.hint == f"Run `make {targets}`."


def test_pytest_decides_the_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suites, "CHECKOUT", tmp_path)
    (tmp_path / "test_one.py").write_text("def test_it():\n    assert False\n")

    assert suites.run([tmp_path]) == 1
    assert suites.run([tmp_path], match="nothing") == 5
