"""Layers become the root file system that docker and podman make of them, and no member leads out of it."""

import io
import os
import stat
import tarfile
from pathlib import Path

import pytest

from cloister.errors import InputError
from cloister.protocol.archives.reader import Piece
from cloister.protocol.containers import limits
from cloister.protocol.containers.rootfs import RootFilesystem
from cloister.protocol.containers.sinks import CountingSink, WritingSink
from tests.oci_archives import Entry, folder, hard, link, tar

OWNS = os.geteuid() == 0


def apply(layers: list[list[Entry]], into: Path, most: int | None = None) -> RootFilesystem:
    """Unpack layers into a new folder, after counting them, which must come to the same."""
    tars = [tar(layer) for layer in layers]
    counted = RootFilesystem.of((Piece(io.BytesIO(data), 0, len(data)) for data in tars), CountingSink(), most)
    into.mkdir()
    found = RootFilesystem.of(
        (Piece(io.BytesIO(data), 0, len(data)) for data in tars), WritingSink(into, owns=OWNS), most
    )
    for root in (counted, found):
        root.finish()
    assert (found.size, found.peak, found.entries) == (counted.size, counted.peak, counted.entries)
    return found


def listed(folder: Path) -> dict[str, str]:
    """Every path below ``folder``, with what it is."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = f"-> {os.readlink(path)}"
        elif path.is_dir():
            found[name] = "/"
        elif path.is_fifo():
            found[name] = "|"
        else:
            found[name] = path.read_text()
    return found


A, B = Entry("d/a", b"a"), Entry("d/b", b"b")
CASES = {
    "folders that only a path names": ([[A]], {"d": "/", "d/a": "a"}),
    "dots and slashes": ([[Entry("./d//a", b"a"), Entry("/x", b"x")]], {"d": "/", "d/a": "a", "x": "x"}),
    "file replaced": ([[A], [Entry("d/a", b"2")]], {"d": "/", "d/a": "2"}),
    "file twice in a layer": ([[A, Entry("d/a", b"2")]], {"d": "/", "d/a": "2"}),
    "file by folder": ([[Entry("x", b"x")], [folder("x"), Entry("x/a", b"a")]], {"x": "/", "x/a": "a"}),
    "folder by file": ([[A, B], [Entry("d", b"d")]], {"d": "d"}),
    "folder by link": ([[A], [folder("e"), link("d", "e")]], {"d": "-> e", "e": "/"}),
    "link by folder": ([[link("d", "/etc")], [folder("d")]], {"d": "/"}),
    "link by file": ([[link("d", "/etc")], [Entry("d", b"d")]], {"d": "d"}),
    "folder again keeps its contents": ([[A], [folder("d")]], {"d": "/", "d/a": "a"}),
    "whiteout": ([[A, B], [Entry("d/.wh.a")]], {"d": "/", "d/b": "b"}),
    "whiteout of a folder": ([[A, Entry("x", b"x")], [Entry(".wh.d")]], {"x": "x"}),
    "whiteout of nothing": ([[A], [Entry("d/.wh.none"), Entry("none/.wh.x")]], {"d": "/", "d/a": "a"}),
    "whiteout below a file": ([[Entry("x", b"x")], [Entry("x/.wh.a")]], {"x": "x"}),
    "whiteout before what replaces it": ([[A], [Entry("d/.wh.a"), Entry("d/a", b"2")]], {"d": "/", "d/a": "2"}),
    "whiteout after what replaces it": ([[A], [Entry("d/a", b"2"), Entry("d/.wh.a")]], {"d": "/", "d/a": "2"}),
    "whiteout of a link": ([[link("l", "/etc/passwd")], [Entry(".wh.l")]], {}),
    "whiteout of a folder that is made again": (
        [[A, B], [Entry(".wh.d"), folder("d"), Entry("d/c", b"c")]], {"d": "/", "d/c": "c"}),
    "whiteout after the folder is made again": (
        [[A, B], [folder("d"), Entry("d/c", b"c"), Entry(".wh.d")]], {"d": "/", "d/c": "c"}),
    "opaque": ([[A, B], [folder("d"), Entry("d/.wh..wh..opq"), Entry("d/c", b"c")]], {"d": "/", "d/c": "c"}),
    "opaque at the end": ([[A, B], [folder("d"), Entry("d/c", b"c"), Entry("d/.wh..wh..opq")]], {"d": "/", "d/c": "c"}),
    "opaque, deep": (
        [[Entry("d/e/f/a", b"a")], [Entry("d/e/g", b"g"), Entry("d/.wh..wh..opq")]],
        {"d": "/", "d/e": "/", "d/e/g": "g"}),
    "opaque root": ([[A], [Entry(".wh..wh..opq"), Entry("x", b"x")]], {"x": "x"}),
    "aufs's own files": ([[A, Entry(".wh..wh.aufs"), Entry(".wh..wh.plnk/1")]], {"d": "/", "d/a": "a"}),
    "through a link in the image": (
        [[folder("usr/lib"), link("lib", "usr/lib")], [Entry("lib/x", b"x")]],
        {"lib": "-> usr/lib", "usr": "/", "usr/lib": "/", "usr/lib/x": "x"}),
    "through an absolute link": (
        [[folder("usr/lib"), link("lib", "/usr/lib"), Entry("lib/x", b"x")]],
        {"lib": "-> /usr/lib", "usr": "/", "usr/lib": "/", "usr/lib/x": "x"}),
    "through a link to nothing yet": (
        [[link("lib", "/a/b"), Entry("lib/x", b"x")]], {"lib": "-> /a/b", "a": "/", "a/b": "/", "a/b/x": "x"}),
    "through a link above the root": (
        [[link("l", "../../../.."), Entry("l/x", b"x")]], {"l": "-> ../../../..", "x": "x"}),
    "a link that is not followed": ([[link("d/up", "../../../etc/x")]], {"d": "/", "d/up": "-> ../../../etc/x"}),
    "whiteout through a link": (
        [[Entry("usr/x", b"x"), link("l", "usr")], [Entry("l/.wh.x")]], {"l": "-> usr", "usr": "/"}),
    "hard link": ([[A, hard("d/c", "d/a")]], {"d": "/", "d/a": "a", "d/c": "a"}),
    "hard link to a lower layer": ([[A], [hard("c", "/d/a")]], {"d": "/", "d/a": "a", "c": "a"}),
    "hard link outlives its first name": ([[A, hard("c", "d/a")], [Entry("d/.wh.a")]], {"d": "/", "c": "a"}),
    "hard link to itself": ([[A, hard("d/a", "d/a")]], {"d": "/", "d/a": "a"}),
    "hard link to a link": ([[link("l", "x"), hard("m", "l")]], {"l": "-> x", "m": "-> x"}),
    "hard link through a link": (
        [[A, link("l", "d"), hard("c", "l/a")]], {"d": "/", "d/a": "a", "l": "-> d", "c": "a"}),
    "pipe": ([[Entry("p", kind=tarfile.FIFOTYPE)]], {"p": "|"}),
    "devices": ([[Entry("dev/null", kind=tarfile.CHRTYPE), Entry("dev/sda", kind=tarfile.BLKTYPE)]], {"dev": "/"}),
    "device in place of a file": ([[Entry("x", b"x")], [Entry("x", kind=tarfile.CHRTYPE)]], {}),
    "names that are not UTF-8": ([[Entry("caf\udce9", b"x")]], {"caf\udce9": "x"}),
    "names that differ in their letters": (
        [[Entry("README", b"1"), Entry("readme", b"2")], [Entry(".wh.readme")]], {"README": "1"}),
    "names that people do not see": ([[Entry("a\u200bb", b"x")]], {"a\u200bb": "x"}),
}  # fmt: skip


@pytest.mark.parametrize("case", list(CASES))
def test_layers_are_applied(tmp_path: Path, case: str) -> None:
    layers, expected = CASES[case]
    apply(layers, tmp_path / "root")

    assert listed(tmp_path / "root") == expected
    assert [path.name for path in tmp_path.iterdir()] == ["root"]


REFUSED = {
    "above the root": ([[Entry("../x", b"x")]], "leads out of the image"),
    "above the root in the middle": ([[Entry("d/../../x", b"x")]], "leads out of the image"),
    "hard link above the root": ([[hard("x", "../../etc/passwd")]], "hard link with an invalid target"),
    "hard link to nothing": ([[hard("x", "etc/passwd")]], "which is not a file in the image"),
    "hard link to a folder": ([[A, hard("x", "d")]], "which is not a file in the image"),
    "hard link to what it replaces": ([[A, hard("d", "d/a")]], "what it replaces"),
    "below a file": ([[Entry("x", b"x"), Entry("x/y", b"y")]], "below something that is not a folder"),
    "links in a circle": ([[link("a", "b"), link("b", "a"), Entry("a/x", b"x")]], "links in a circle"),
    "many links": ([[*(link(f"l{n}", f"l{n + 1}") for n in range(50)), Entry("l0/x", b"x")]], "too many links"),
    "whiteout of the folder itself": ([[Entry("d/.wh..")]], "removes nothing that can exist"),
    "whiteout of the folder above": ([[Entry("d/.wh...")]], "removes nothing that can exist"),
    "whiteout without a name": ([[Entry("d/.wh.")]], "removes nothing that can exist"),
    "user beyond the sandbox's": ([[Entry("x", user=100_000)]], "belongs to user 100000"),
    "group beyond the sandbox's": ([[Entry("x", group=65_536)]], "and group 65536"),
    "long name": ([[Entry("x" * 256, b"x")]], "an invalid name"),
    "long path": ([[Entry("/".join(["x" * 200] * 20), b"x")]], "too long or too deep"),
    "deep path": ([[Entry("/".join(["x"] * 300), b"x")]], "too long or too deep"),
    "long link": ([[link("x", "y" * 5000)]], "an invalid target"),
    "sparse file": ([[Entry("x", kind=tarfile.GNUTYPE_SPARSE)]], "is sparse"),
}


@pytest.mark.parametrize("case", list(REFUSED))
def test_members_that_lead_out_or_are_malformed_are_refused(tmp_path: Path, case: str) -> None:
    layers, said = REFUSED[case]
    with pytest.raises(InputError) as caught:
        apply(layers, tmp_path / "root")

    assert said in caught.value.message
    assert {path.name for path in tmp_path.iterdir()} <= {"root"}


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("seconds", [10**12, 2**63, 2**80])
def test_time_that_no_file_can_have_is_refused_on_the_partys_machine(form: int, seconds: int) -> None:
    data = tar([Entry("x", time=seconds)], form)
    with pytest.raises(InputError, match="invalid number"):
        RootFilesystem.of(iter([Piece(io.BytesIO(data), 0, len(data))]), CountingSink())


def test_modes_times_and_owners_are_kept_and_set_id_bits_are_not(tmp_path: Path) -> None:
    layers = [
        [
            folder("t", mode=0o1777, user=3, group=4),
            folder("closed", mode=0o500),
            Entry("closed/su", b"x", mode=0o6755, user=5, group=6, time=1_600_000_000.25),
            link("l", "t", user=7, group=8),
        ],
        [folder("t", mode=0o750, user=9, group=9)],
    ]
    apply(layers, tmp_path / "root")
    su, top = ((tmp_path / "root" / name).lstat() for name in ("closed/su", "t"))

    assert stat.S_IMODE(su.st_mode) == 0o755
    assert stat.S_IMODE(top.st_mode) == 0o750
    assert stat.S_IMODE((tmp_path / "root/closed").stat().st_mode) == 0o500
    assert su.st_mtime_ns == 1_600_000_000_250_000_000
    if OWNS:
        linked = (tmp_path / "root/l").lstat()
        assert (su.st_uid, su.st_gid, top.st_uid, linked.st_uid, linked.st_gid) == (5, 6, 9, 7, 8)


def test_size_counts_pages_entries_and_each_content_once(tmp_path: Path) -> None:
    layers = [[Entry("a", bytes(5000)), hard("b", "a"), folder("d"), Entry("empty")], [Entry(".wh.b")]]
    found = apply(layers, tmp_path / "root")

    assert found.size == 8192 + 3 * limits.ENTRY
    assert found.peak == 8192 + 4 * limits.ENTRY


def test_size_of_the_manifest_bounds_what_is_written(tmp_path: Path) -> None:
    layers = [[Entry("a", bytes(5000))], [Entry(".wh.a")], [Entry("b", bytes(5000))]]
    needed = apply(layers, tmp_path / "enough").peak

    apply(layers, tmp_path / "exactly", needed)
    with pytest.raises(InputError, match="takes more than"):
        apply(layers, tmp_path / "less", needed - 1)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("MAX_ENTRIES", 3, "more than 3 files"),
        ("MAX_CHANGES", 5, "more than 5 members"),
        ("MAX_PATHS", 9, "9 bytes of"),
    ],
)
def test_everything_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: int, said: str
) -> None:
    monkeypatch.setattr(limits, name, value)
    entries = [Entry(f"x{number % 2 if name == 'MAX_CHANGES' else number}") for number in range(6)]
    with pytest.raises(InputError, match=said):
        apply([entries], tmp_path / "root")
