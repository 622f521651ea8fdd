"""Only files that match the lock get into the cache, however the transfer went."""

import hashlib
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from cloister.errors import InputError
from image.build.source import CHECKOUT
from image.debian.mirror import Mirror
from image.inputs import fetch, vendor
from image.inputs.fetch import FetchError, SupersededError
from image.inputs.lockfile import Lock, LockedArchive, LockedPackage
from tests import offline
from tests.image.small_archive import SmallArchive, SmallServer

CONTENT = bytes(range(256)) * 4096
PATH = "pool/main/crun_1.21-1_amd64.deb"


def locked(content: bytes = CONTENT) -> Lock:
    package = LockedPackage(
        "crun", "1.21-1", "amd64", "debian", PATH, hashlib.sha256(content).hexdigest(), len(content), {}
    )
    archive = LockedArchive("debian", "trixie", "2026-06-01T12:00:00Z")
    return Lock("base", "trixie", "", (archive,), (package,), (), ())


def mirror(server: SmallServer, snapshot: str = "") -> Mirror:
    return Mirror({"debian": f"{server.address}/debian"}, snapshot)


def test_file_is_fetched_once_and_then_taken_from_the_cache(
    cache_folder: Path, small_archive: SmallArchive, server: SmallServer
) -> None:
    small_archive.files[f"debian/{PATH}"] = CONTENT
    lock = locked()
    for _ in range(2):
        files = fetch.ensure(lock, mirror=mirror(server))
        assert {digest: path.read_bytes() for digest, path in files.items()} == {lock.packages[0].sha256: CONTENT}
    assert server.requests == [(f"debian/{PATH}", "")]
    assert [path.name for path in cache_folder.iterdir()] == [lock.packages[0].sha256]


def test_interrupted_transfer_is_resumed(cache_folder: Path, small_archive: SmallArchive, server: SmallServer) -> None:
    small_archive.files[f"debian/{PATH}"] = CONTENT
    server.cut[f"debian/{PATH}"] = 300_000
    (path,) = fetch.ensure(locked(), mirror=mirror(server)).values()
    assert path.read_bytes() == CONTENT
    assert server.requests == [(f"debian/{PATH}", ""), (f"debian/{PATH}", "bytes=300000-")]


def test_server_without_range_support_sends_the_file_again(
    cache_folder: Path, small_archive: SmallArchive, server: SmallServer
) -> None:
    small_archive.files[f"debian/{PATH}"] = CONTENT
    server.cut[f"debian/{PATH}"] = 300_000
    server.ranges = False
    (path,) = fetch.ensure(locked(), mirror=mirror(server)).values()
    assert path.read_bytes() == CONTENT


def test_partial_file_of_an_earlier_run_is_resumed(
    cache_folder: Path, small_archive: SmallArchive, server: SmallServer
) -> None:
    small_archive.files[f"debian/{PATH}"] = CONTENT
    lock = locked()
    cache_folder.mkdir(parents=True)
    (cache_folder / f"{lock.packages[0].sha256}.part").write_bytes(CONTENT[:1000])
    (path,) = fetch.ensure(lock, mirror=mirror(server)).values()
    assert path.read_bytes() == CONTENT
    assert server.requests == [(f"debian/{PATH}", "bytes=1000-")]


def test_file_with_another_digest_is_rejected_and_not_kept(
    cache_folder: Path, small_archive: SmallArchive, server: SmallServer
) -> None:
    small_archive.files[f"debian/{PATH}"] = CONTENT[:-1] + b"\0"
    with pytest.raises(FetchError, match=r"crun 1.21-1: SHA-256 differs \(lock: \w{64}, file: \w{64}\)"):
        fetch.ensure(locked(), mirror=mirror(server))
    assert list(cache_folder.iterdir()) == []


def test_longer_file_is_rejected_and_not_kept(
    cache_folder: Path, small_archive: SmallArchive, server: SmallServer
) -> None:
    small_archive.files[f"debian/{PATH}"] = CONTENT + b"\0"
    with pytest.raises(FetchError, match="larger than the 1048576 bytes"):
        fetch.ensure(locked(), mirror=mirror(server))
    assert sum(path.stat().st_size for path in cache_folder.iterdir()) == 0


def test_cached_file_whose_bytes_changed_is_fetched_again(
    cache_folder: Path, small_archive: SmallArchive, server: SmallServer
) -> None:
    small_archive.files[f"debian/{PATH}"] = CONTENT
    cache_folder.mkdir(parents=True)
    (cache_folder / locked().packages[0].sha256).write_bytes(b"changed")
    (path,) = fetch.ensure(locked(), mirror=mirror(server)).values()
    assert path.read_bytes() == CONTENT


def test_error_for_a_superseded_package_names_it_and_the_remedies(cache_folder: Path, server: SmallServer) -> None:
    with pytest.raises(SupersededError) as error:
        fetch.ensure(locked(), mirror=mirror(server))
    assert "crun 1.21-1" in error.value.message
    assert all(way in error.value.hint for way in ("--relock", "--from", "CLOISTER_DEBIAN_SNAPSHOT"))
    assert list(cache_folder.iterdir()) == []


def test_package_missing_on_the_mirror_comes_from_the_snapshot_archive(
    cache_folder: Path, small_archive: SmallArchive, server: SmallServer
) -> None:
    small_archive.files[f"archive/debian/20260602T120000Z/{PATH}"] = CONTENT
    (path,) = fetch.ensure(locked(), mirror=mirror(server, snapshot=server.address)).values()
    assert path.read_bytes() == CONTENT
    assert [path for path, _ in server.requests] == [f"debian/{PATH}", f"archive/debian/20260602T120000Z/{PATH}"]


def test_vendored_inputs_need_no_mirror(
    cache_folder: Path,
    small_archive: SmallArchive,
    server: SmallServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small_archive.files[f"debian/{PATH}"] = CONTENT
    fetch.ensure(locked(), mirror=mirror(server))
    tars = [vendor.pack([locked()], tmp_path / name).read_bytes() for name in ("one.tar", "two.tar")]
    assert tars[0] == tars[1]
    server.requests.clear()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    (path,) = fetch.ensure(locked(), tmp_path / "one.tar").values()
    assert path.read_bytes() == CONTENT
    assert server.requests == []


def test_vendored_inputs_need_no_interface(
    cache_folder: Path, small_archive: SmallArchive, server: SmallServer, tmp_path: Path
) -> None:
    """In a network namespace of its own. `invoke test.rebuild` builds the whole image there."""
    small_archive.files[f"debian/{PATH}"] = CONTENT
    fetch.ensure(locked(), mirror=mirror(server))
    packed = vendor.pack([locked()], tmp_path / "inputs.tar")
    (tmp_path / "lock.json").write_bytes(locked().encode())
    program = (
        "import pathlib, socket, sys\n"
        "from image.inputs import fetch, lockfile\n"
        "try:\n    socket.create_connection(('127.0.0.1', 9), 1)\n"
        "except OSError as error:\n    print(error.strerror)\n"
        "lock = lockfile.Lock.parse(pathlib.Path(sys.argv[1]).read_bytes())\n"
        "print(*fetch.ensure(lock, pathlib.Path(sys.argv[2])))\n"
    )
    words = [*offline.words(), sys.executable, "-c", program, str(tmp_path / "lock.json"), str(packed)]
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "elsewhere"), "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["Network is unreachable", locked().packages[0].sha256], done.stderr


def test_changed_vendored_input_is_rejected(
    cache_folder: Path,
    small_archive: SmallArchive,
    server: SmallServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small_archive.files[f"debian/{PATH}"] = CONTENT
    fetch.ensure(locked(), mirror=mirror(server))
    packed = bytearray(vendor.pack([locked()], tmp_path / "inputs.tar").read_bytes())
    packed[packed.index(CONTENT[:512]) + 5] ^= 1
    (tmp_path / "inputs.tar").write_bytes(packed)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    with pytest.raises(FetchError, match="SHA-256"):
        fetch.ensure(locked(), tmp_path / "inputs.tar")


def test_device_pipe_or_folder_is_neither_read_nor_replaced(
    cache_folder: Path, small_archive: SmallArchive, server: SmallServer, tmp_path: Path
) -> None:
    """The tar is checked even when everything is in the cache."""
    small_archive.files[f"debian/{PATH}"] = CONTENT
    fetch.ensure(locked(), mirror=mirror(server))
    for source, said in ((Path(os.devnull), "Is a device, not a file"), (tmp_path / "absent", "No such file")):
        with pytest.raises(FetchError, match=said) as caught:
            fetch.ensure(locked(), source)
        assert caught.value.exit_code == 2
    # A tar with other contents.
    with tarfile.open(tmp_path / "other.tar", "w") as other:
        other.add(Path(__file__), "inputs/file")
    with pytest.raises(FetchError, match=r"other\.tar does not contain crun 1.21-1") as caught:
        fetch.ensure(locked(), tmp_path / "other.tar")
    assert caught.value.exit_code == 2
    os.mkfifo(tmp_path / "pipe")
    for into, said in ((tmp_path / "pipe", "Is a pipe, not a file"), (tmp_path, "Is a directory")):
        with pytest.raises(InputError, match=f"cannot be written: {said}"):
            vendor.pack([locked()], into)
    assert [path.name for path in tmp_path.glob("*pipe*")] == ["pipe"]
