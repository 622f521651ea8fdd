"""A digest is found again for what has not changed, and for nothing else."""

import hashlib
import io
import os
import stat
import tarfile
import time
import zipfile
from pathlib import Path

import pytest

from cloister import usercache
from cloister.client.computation import asset, digests
from cloister.client.computation.asset import describe_asset
from cloister.client.computation.digests import Digest, DigestCache, Identity, file_system

HOUR = 3600 * 10**9


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache on a local disk, and a clock that is an hour ahead: what is there has settled."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(digests, "now", lambda: time.time_ns() + HOUR)
    monkeypatch.setattr(digests, "_is_local", lambda descriptor: True)
    return DigestCache()


@pytest.fixture
def reads(monkeypatch):
    """The assets that were read."""
    found = []
    read = asset._read

    def noted(stream, progress, unpack):
        found.append(stream)
        return read(stream, progress, unpack)

    monkeypatch.setattr(asset, "_read", noted)
    return found


def _file(folder: Path) -> Path:
    path = folder / "data.csv"
    path.write_bytes(b"1,2\n" * 1000)
    return path


def _zip(folder: Path) -> Path:
    path = folder / "data.zip"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("a.csv", b"1,2\n")
        made.writestr("Thumbs.db", b"")
    return path


def _folder(folder: Path) -> Path:
    path = folder / "data"
    (path / "deep").mkdir(parents=True)
    for name in ("a.csv", "deep/b.csv", ".DS_Store"):
        (path / name).write_bytes(b"1,2\n")
    return path


ASSETS = {"file": _file, "zip": _zip, "folder": _folder}


@pytest.mark.parametrize("make", ASSETS.values(), ids=ASSETS)
@pytest.mark.parametrize("unpack", [None, False])
def test_unchanged_asset_is_read_once_and_described_alike(tmp_path, reads, make, unpack):
    path = make(tmp_path)
    first = describe_asset(path, unpack=unpack)
    seen = []
    second = describe_asset(path, seen.append, unpack=unpack)
    assert len(reads) == 1
    assert (first.remembered, second.remembered) == (False, True)
    assert second == first
    assert seen == [first.size]


@pytest.mark.parametrize(
    ("first", "second", "times"),
    [(None, False, 1), (False, None, 2), (None, True, 1), (True, None, 1), (False, True, 2)],
)
def test_archive_that_was_not_read_as_one_is_read_again(tmp_path, reads, first, second, times):
    path = _zip(tmp_path)
    describe_asset(path, unpack=first)
    found = describe_asset(path, unpack=second)
    assert len(reads) == times
    assert found.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (found.unpacked_size, found.leftovers) == ((None, ()) if second is False else (4, ("Thumbs.db",)))
    assert bool(found.in_memory) == (second is not False)


def test_what_is_known_of_an_archive_is_kept_when_it_is_read_as_bytes(tmp_path, cache):
    with _zip(tmp_path).open("rb") as stream:
        identity = Identity.of_file(stream.fileno())
    whole, plain = Digest("00" * 32, 1, True, 4), Digest("00" * 32, 1, False)
    for digest in (whole, plain):
        cache.keep(identity, digest, began=digests.now())
    assert cache.find(identity, examined=True) == whole


def test_archive_that_cannot_be_unpacked_is_refused_each_time(tmp_path):
    path = tmp_path / "data.zip"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("../a", b"")
    describe_asset(path, unpack=False)
    for _ in range(2):
        with pytest.raises(asset.ArchiveError):
            describe_asset(path)


def _edit(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def _edit_and_set_back(path: Path) -> None:
    """The tools that keep dates: size and the time of the contents are the same."""
    kept = path.stat()
    _edit(path)
    os.utime(path, ns=(kept.st_atime_ns, kept.st_mtime_ns))


def _replace(path: Path) -> None:
    kept = path.stat()
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    os.utime(other, ns=(kept.st_atime_ns, kept.st_mtime_ns))
    other.replace(path)


def _append(path: Path) -> None:
    with path.open("ab") as out:
        out.write(b"x")


CHANGES = {
    "edited": _edit,
    "edited, date set back": _edit_and_set_back,
    "replaced": _replace,
    "longer": _append,
    "shorter": lambda path: os.truncate(path, 10),
    "touched": os.utime,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("make", [_file, _folder], ids=["file", "in a folder"])
def test_changed_asset_is_read_again(tmp_path, reads, make, change):
    path = make(tmp_path)
    describe_asset(path)
    _wait_for_another_time(tmp_path)
    change(path if path.is_file() else path / "deep" / "b.csv")
    found = describe_asset(path)
    assert len(reads) == 2
    assert not found.remembered
    with asset.open_asset(path) as stream:
        assert found.digest == hashlib.sha256(stream.read()).hexdigest()


def _wait_for_another_time(folder: Path) -> None:
    """Until the file system's clock, which has a step of some milliseconds, has moved on."""
    mark = folder / "clock"
    mark.touch()
    before = mark.stat().st_ctime_ns
    while mark.stat().st_ctime_ns == before:
        mark.touch()


@pytest.mark.parametrize(
    ("age", "kept"), [(-HOUR, False), (0, False), (1_999_999_999, False), (2_000_000_000, False), (2_000_000_001, True)]
)
def test_file_that_was_changed_within_two_seconds_is_read_again(tmp_path, cache, age, kept):
    with _file(tmp_path).open("rb") as stream:
        identity = Identity.of_file(stream.fileno())
    cache.keep(identity, Digest("00" * 32, 1, False), began=identity.newest + age)
    assert (cache.find(identity, examined=False) is not None) == kept


def test_newest_time_of_any_file_of_a_folder_counts(tmp_path):
    path = _folder(tmp_path)
    with asset.open_asset(path) as stream:
        newest = asset.identify(path, stream).newest
    assert newest == max(one.stat().st_ctime_ns for one in path.rglob("*") if one.is_file())


@pytest.mark.parametrize("make", [_file, _folder], ids=["file", "folder"])
def test_asset_that_changes_while_it_is_read_is_not_kept(tmp_path, monkeypatch, make):
    path = make(tmp_path)
    read = asset._read

    def changing(stream, progress, unpack):
        found = read(stream, progress, unpack)
        os.utime(path if path.is_file() else path / "a.csv")
        return found

    _wait_for_another_time(tmp_path)
    monkeypatch.setattr(asset, "_read", changing)
    describe_asset(path)
    assert not describe_asset(path).remembered


def test_asset_on_another_file_system_is_read_again(tmp_path, monkeypatch):
    path = _file(tmp_path)
    monkeypatch.setattr(digests, "_is_local", lambda descriptor: False)
    describe_asset(path)
    assert not describe_asset(path).remembered


MOUNTS = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
30 27 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
31 30 0:40 /sub /data rw,relatime - btrfs /dev/vdb rw
32 30 0:41 / /mnt/n\\040fs rw,relatime shared:2 master:3 - nfs4 server:/a rw,vers=4.2
33 30 0:42 / /mnt/s rw - fuse.sshfs me@there:/ rw
34 30 0:43 / /mnt/c rw - cifs //server/a rw
35 30 0:44 / /mnt/v rw - 9p drvfs rw
36 30 0:45 / /mnt/f rw - virtiofs home rw
37 30 8:17 / /media/stick rw - vfat /dev/sdb1 rw
38 30 0:46 / /shm rw - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(
    ("number", "kind", "local"),
    [
        ("30", "ext4", True),
        ("31", "btrfs", True),
        ("38", "tmpfs", True),
        ("32", "nfs4", False),
        ("33", "fuse.sshfs", False),
        ("34", "cifs", False),
        ("35", "9p", False),
        ("36", "virtiofs", False),
        ("37", "vfat", False),
        ("3", "", False),
        ("99", "", False),
    ],
)
def test_file_system_is_that_of_the_files_mount(number, kind, local):
    assert file_system(MOUNTS, number) == kind
    assert (kind in digests._LOCAL) == local


def test_kernel_names_the_mount_of_an_open_file(tmp_path, monkeypatch):
    monkeypatch.undo()
    with Path("/proc/self/status").open("rb") as stream:
        assert not digests._is_local(stream.fileno())
    with _file(tmp_path).open("rb") as stream:
        number = Path(f"/proc/self/fdinfo/{stream.fileno()}").read_text().split("mnt_id:")[1].split()[0]
        mounts = Path("/proc/self/mountinfo").read_text()
        assert digests._is_local(stream.fileno()) == (file_system(mounts, number) in digests._LOCAL)


def _damage(change):
    def damage(path: Path) -> None:
        path.write_bytes(change(path.read_bytes()))

    return damage


def _of_another_version(data: bytes) -> bytes:
    body = data.partition(b"\n")[2].replace(b'"software":"', b'"software":"9')
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def _lacking(data: bytes) -> bytes:
    body = data.partition(b"\n")[2].replace(b'"digest"', b'"digests"')
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body


DAMAGES = {
    "empty": _damage(lambda data: b""),
    "cut": _damage(lambda data: data[:-1]),
    "a flipped bit in a digest": _damage(lambda data: data.replace(b'"digest":"', b'"digest":"0', 1)),
    "not JSON": _damage(lambda data: hashlib.sha256(b"{").hexdigest().encode() + b"\n{"),
    "JSON of something else": _damage(lambda data: hashlib.sha256(b"[]").hexdigest().encode() + b"\n[]"),
    "of another version": _damage(_of_another_version),
    "without a member": _damage(_lacking),
    "too large": _damage(lambda data: data + b" " * digests._LIMIT),
    "readable by others": lambda path: path.chmod(0o644),
    "writable by a group": lambda path: path.chmod(0o620),
    "a folder": lambda path: (path.unlink(), path.mkdir(mode=0o700)),
    "a pipe": lambda path: (path.unlink(), os.mkfifo(path, 0o600)),
    "a link to nothing": lambda path: (path.unlink(), path.symlink_to("absent")),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damaged_cache_is_ignored(tmp_path, cache, damage):
    path = _file(tmp_path)
    expected = describe_asset(path)
    assert describe_asset(path).remembered
    damage(cache.path)
    found = describe_asset(path)
    assert not found.remembered
    assert found == expected


def test_cache_is_the_users_alone_and_has_no_names(tmp_path, cache):
    path = _folder(tmp_path)
    describe_asset(path)
    assert cache.path == usercache.root() / "digests"
    assert stat.S_IMODE(cache.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(cache.path.parent.stat().st_mode) == 0o700
    assert b"b.csv" not in cache.path.read_bytes()


def test_cache_is_bounded_and_keeps_the_last_digests(monkeypatch, cache):
    monkeypatch.setattr(digests, "_MOST", 3)
    found = [Identity(f"file:{number}", 0, True) for number in range(5)]
    for identity in found:
        cache.keep(identity, Digest("00" * 32, 1, False), began=HOUR)
    assert [cache.find(one, examined=False) is not None for one in found] == [False, False, True, True, True]


def test_full_cache_stays_below_its_limit(cache):
    digest = Digest("0" * 64, 2**50, True, 2**50, 2**50, ("x" * digests._MAX_LEFTOVERS,))
    for number in range(digests._MOST, digests._MOST + 3):
        cache.keep(Identity(f"folder:{number:064}", 0, True), digest, began=HOUR)
    entry = len(cache.path.read_bytes()) / 3
    assert entry * digests._MOST < digests._LIMIT


def test_archive_with_too_many_leftovers_is_read_again(tmp_path, cache):
    path = tmp_path / "data.tar"
    with tarfile.open(path, "w") as made:
        for number in range(300):
            made.addfile(tarfile.TarInfo(f"._{number:08}"), io.BytesIO())
    describe_asset(path)
    assert not describe_asset(path).remembered


def test_cache_that_cannot_be_written_costs_time_only(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(_file(tmp_path)))  # a file where the folder would be
    other = tmp_path / "other.csv"
    other.write_bytes(b"1")
    assert describe_asset(other) == describe_asset(other)
