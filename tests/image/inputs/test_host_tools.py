"""The host tools come from their lock and use no file of the host's distribution."""

import hashlib
import re
from pathlib import Path

import pytest

from cloister.process import run
from image.errors import ImageError
from image.inputs import host_tools, lockfile
from image.inputs.host_tools import Tools, ToolsError
from image.inputs.lockfile import Lock, LockedArchive, LockedPackage
from tests.image.small_archive import make_deb

PROGRAMS = ["qemu-system-x86_64", "qemu-img", "swtpm", "swtpm_setup", "mkfs.erofs", "fsck.erofs", "zstd"]


@pytest.fixture(scope="module")
def locked() -> Tools:
    return host_tools.ensure()


@pytest.mark.parametrize("name", PROGRAMS)
def test_program_runs_with_the_locked_libraries_alone(locked: Tools, name: str) -> None:
    assert re.search(rb"[0-9]+[.][0-9]+[.][0-9]+", locked.run(name, "--version", check=False).stdout)
    command = locked.argv(name)
    loader, program = command[0], str(locked.root / "usr/bin" / name)
    options = command[1 : command.index("--argv0")]
    listed = run([loader, *options, "--list", program], env=locked.environment()).stdout.decode()
    paths = [line.split(" => ")[1].split(" (")[0] for line in listed.splitlines() if " => " in line]
    assert paths
    assert [path for path in paths if not path.startswith(f"{locked.root}/")] == []


def test_firmware_is_included(locked: Tools) -> None:
    assert locked.path("usr/share/OVMF/OVMF_CODE_4M.fd").stat().st_size > 1 << 20


def test_qemu_finds_its_own_files(locked: Tools) -> None:
    command = locked.argv("qemu-system-x86_64")
    assert command[command.index("-L") + 1] == str(locked.path("usr/share/qemu"))


def test_failing_tool_is_named(locked: Tools) -> None:
    with pytest.raises(ToolsError, match=r"mkfs\.erofs ended with status"):
        locked.run("mkfs.erofs", "--no-such-option")


def test_swtpm_setup_creates_the_state_of_a_tpm(locked: Tools, tmp_path: Path) -> None:
    locked.run("swtpm_setup", "--tpm2", "--tpmstate", tmp_path, "--pcr-banks", "sha256", timeout=60)
    assert (tmp_path / "tpm2-00.permall").stat().st_size > 0


def test_program_that_is_not_locked_is_an_error(locked: Tools) -> None:
    with pytest.raises(ToolsError, match="no program gcc"):
        locked.argv("gcc")
    with pytest.raises(ToolsError, match="have no usr/share/nothing"):
        locked.path("usr/share/nothing")


def test_environment_excludes_the_hosts_libraries_and_locale(locked: Tools) -> None:
    environment = locked.environment({"LD_PRELOAD": "x", "LD_LIBRARY_PATH": "y", "LC_NUMERIC": "de", "HOME": "/h"})
    assert environment == {
        "HOME": "/h",
        "LC_ALL": "C",
        "LANG": "C",
        "TZ": "UTC",
        "GCONV_PATH": f"{locked.root}/usr/lib/x86_64-linux-gnu/gconv",
    }


def test_packages_are_unpacked_into_one_root(tmp_path: Path) -> None:
    one, two = tmp_path / "one.deb", tmp_path / "two.deb"
    loader = {
        "usr/lib64/ld-linux-x86-64.so.2": b"loader",
        "usr/bin/tool": b"tool",
        "usr/share/doc/tool/README": b"text",
    }
    one.write_bytes(make_deb({"Package": "one"}, loader))
    two.write_bytes(make_deb({"Package": "two"}, {"usr/share/two/data": b"data"}))
    host_tools.unpack([one, two], tmp_path / "root")
    files = {str(path.relative_to(tmp_path / "root")) for path in (tmp_path / "root").rglob("*") if path.is_file()}
    assert files == {"usr/lib64/ld-linux-x86-64.so.2", "usr/bin/ld.so", "usr/bin/tool", "usr/share/two/data"}


def test_file_outside_of_the_root_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "bad.deb").write_bytes(make_deb({"Package": "bad"}, {"../../evil": b"x"}))
    with pytest.raises(ToolsError, match="outside of its root"):
        host_tools.unpack([tmp_path / "bad.deb"], tmp_path / "a/b/root")
    assert not (tmp_path / "evil").exists()


def test_swtpm_setup_rejects_a_folder_with_a_space(tmp_path: Path) -> None:
    root = tmp_path / "my tools"
    for name in ("usr/bin/swtpm", "usr/bin/swtpm_setup", "etc/swtpm_setup.conf"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    with pytest.raises(ToolsError, match="a folder with a space"):
        Tools(root, "00").argv("swtpm_setup")


def test_tools_lock_for_another_recipe_is_rejected(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = LockedPackage("a", "1", "all", "debian", "pool/a.deb", hashlib.sha256(b"").hexdigest(), 1, {})
    archive = LockedArchive("debian", "trixie", "2026-06-01T00:00:00Z")
    lock = Lock("tools", "trixie", "00", (archive,), (package,), (), ())
    (tmp_path / "tools.json").write_bytes(lock.encode())
    monkeypatch.setattr(lockfile, "FOLDER", tmp_path)
    monkeypatch.setenv("CLOISTER_LOCKS", "")
    with pytest.raises(ImageError, match="does not match its recipe"):
        host_tools.ensure()
