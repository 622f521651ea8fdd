"""Trees: the owners, times and special bits in a package do not matter."""

import hashlib
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image.debian import deb
from image.errors import ImageError
from image.rootfs.packages import unpack
from image.rootfs.tree import Tree, TreeEntry, Unwanted
from image.rootfs.workers import Workers
from tests.image.small_programs import package_of_entries


def unpacked(tmp_path: Path, entries: dict[str, tuple[int, TreeEntry]], drop: list[str] | None = None) -> Tree:
    (tmp_path / "small.deb").write_bytes(package_of_entries(entries))
    return unpacked_packages({"small": tmp_path / "small.deb"}, Unwanted(drop or []))


def unpacked_packages(packages: dict[str, Path], unwanted: Unwanted) -> Tree:
    with Workers(2) as workers:
        return unpack(packages, unwanted=unwanted, workers=workers, unxz=deb.unxz)


def archived(tree: Tree) -> bytes:
    file = io.BytesIO()
    tree.archive(file)
    return file.getvalue()


def test_packages_are_merged_into_usr(tmp_path: Path) -> None:
    tree = unpacked(tmp_path, {"bin": (0o755, TreeEntry.directory()), "bin/sh": (0o755, TreeEntry.file(b"sh"))})

    assert tree["usr/bin/sh"] == TreeEntry.file(b"sh", executable=True)
    assert tree["bin"] == TreeEntry.link("usr/bin")


def test_special_bits_and_write_permissions_are_dropped(tmp_path: Path) -> None:
    entries = {"usr/bin/su": (0o4755, TreeEntry.file(b"su")), "usr/data": (0o666, TreeEntry.file(b"d"))}
    tree = unpacked(tmp_path, entries)

    assert (tree["usr/bin/su"].mode, tree["usr/data"].mode) == (0o755, 0o644)


def test_dropped_folder_is_dropped_with_its_contents(tmp_path: Path) -> None:
    entries = {
        "usr/share/doc/small/README": (0o644, TreeEntry.file(b"")),
        "usr/lib/x/__pycache__/a.pyc": (0o644, TreeEntry.file(b"")),
        "usr/lib/x/a.py": (0o644, TreeEntry.file(b"a")),
    }
    tree = unpacked(tmp_path, entries, ["usr/share", "**/__pycache__"])

    assert [path for path, _ in tree if path.startswith(("usr/share", "usr/lib/x"))] == ["usr/lib/x", "usr/lib/x/a.py"]


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("etc/init*", "etc/init.d", True),
        ("etc/init*", "etc/init.d/x", True),
        ("etc/*", "etc/a/b", True),
        ("etc/*/b", "etc/a/c", False),
        ("**/*.pyi", "a/b/c.pyi", True),
        ("**/*.pyi", "c.pyi", True),
        ("usr/**", "usr/a/b", True),
        ("usr/a.b", "usr/axb", False),
    ],
)
def test_one_star_matches_within_a_name_and_two_across_names(pattern: str, path: str, matches: bool) -> None:
    assert Unwanted([pattern])(path) is matches


def test_kept_files_stay_with_the_folders_above_them(tmp_path: Path) -> None:
    names = ("x/tests/__init__.py", "x/tests/needed.py", "x/tests/data/a", "x/tests/data/b")
    entries = {f"usr/lib/{name}": (0o644, TreeEntry.file(b"")) for name in names}
    unwanted = Unwanted(["**/tests"], ["**/needed.py", "usr/lib/x/tests/data"])
    (tmp_path / "small.deb").write_bytes(package_of_entries(entries))
    everything = unpacked(tmp_path, entries)
    everything.remove(unwanted)

    kept = ["x", "x/tests", "x/tests/data", "x/tests/data/a", "x/tests/data/b", "x/tests/needed.py"]
    for tree in (everything, unpacked_packages({"small": tmp_path / "small.deb"}, unwanted)):
        assert [path for path, _ in tree if path.startswith("usr/lib/")] == [f"usr/lib/{name}" for name in kept]


def test_packages_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    """Also when there are more than are decompressed at a time: the later one's file stays."""
    packages = {}
    for index in range(12):
        packages[f"p{index:02}"] = tmp_path / f"p{index:02}.deb"
        entries = {"usr/same": (0o644, TreeEntry.file(str(index).encode()))}
        packages[f"p{index:02}"].write_bytes(package_of_entries(entries))

    assert unpacked_packages(dict(reversed(packages.items())), Unwanted([]))["usr/same"].contents == b"11"


def test_links_are_followed_inside_the_tree() -> None:
    tree = Tree()
    tree.put("lib", TreeEntry.link("usr/lib"))
    tree.put("usr/lib/libc.so.6", TreeEntry.link("libc-2.so"))
    tree.put("usr/lib/libc-2.so", TreeEntry.file(b"c"))
    tree.put("etc/absolute", TreeEntry.link("/lib/libc.so.6"))

    assert tree.resolve("lib/libc.so.6") == "usr/lib/libc-2.so"
    assert tree.resolve("etc/absolute") == "usr/lib/libc-2.so"


def test_loop_of_links_is_an_error() -> None:
    tree = Tree()
    tree.put("a", TreeEntry.link("b"))
    tree.put("b", TreeEntry.link("a"))

    with pytest.raises(ImageError, match="form a loop"):
        tree.resolve("a")


@pytest.mark.parametrize("link_first", [False, True])
@pytest.mark.parametrize("kind", ["link", "file"])
@pytest.mark.parametrize("below", ["usr/lib/x/file", "usr/lib/x/deep/file"])
def test_nothing_is_written_through_a_link(tmp_path: Path, below: str, kind: str, link_first: bool) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "root").mkdir()
    above = TreeEntry.link(str(tmp_path / "home")) if kind == "link" else TreeEntry.file(b"")
    entries = [("usr/lib/x", above), (below, TreeEntry.file(b"theirs"))]
    tree = Tree()
    for path, entry in entries if link_first else reversed(entries):
        tree.put(path, entry)

    with pytest.raises(ImageError, match=f"{below[:14]}.* in the image lies below the {kind} usr/lib/x"):
        tree.write(tmp_path / "root")
    assert list((tmp_path / "home").iterdir()) == []


def test_layers_with_different_entries_at_a_path_are_an_error() -> None:
    below, above = Tree(), Tree()
    below.put("etc/passwd", TreeEntry.file(b"root"))
    above.put("etc/passwd", TreeEntry.file(b"toor"))

    with pytest.raises(ImageError, match="etc/passwd"):
        below.update(above)


@pytest.mark.parametrize("path", ["", "/etc", "../etc", "a/../b", "a//b", ".."])
def test_path_outside_of_the_tree_is_rejected(path: str) -> None:
    with pytest.raises(ImageError):
        Tree().put(path, TreeEntry.file(b""))


NAMES = st.text("abc.", min_size=1, max_size=5).filter(lambda name: name.strip(".") == name)
ENTRIES = st.one_of(
    st.just(TreeEntry.directory()),
    st.builds(TreeEntry.file, st.binary(max_size=20), executable=st.booleans()),
    NAMES.map(TreeEntry.link),
)


@given(st.dictionaries(NAMES, ENTRIES, max_size=8))
def test_archive_round_trips_and_does_not_depend_on_order(entries: dict[str, TreeEntry]) -> None:
    tree, reversed_tree = Tree(), Tree()
    for path in entries:
        tree.put(path, entries[path])
    for path in reversed(entries):
        reversed_tree.put(path, entries[path])

    assert list(Tree.from_archive(io.BytesIO(archived(tree)))) == list(tree)
    assert archived(tree) == archived(reversed_tree)
    assert tree.digest() == reversed_tree.digest()


def test_a_small_archive_has_the_known_digest() -> None:
    tree = Tree()
    tree.put("etc/passwd", TreeEntry.file(b"root:x:0:0\n"))
    tree.put("usr/bin/run", TreeEntry.file(b"#!", executable=True))
    tree.put("bin", TreeEntry.link("usr/bin"))

    assert (
        hashlib.sha256(archived(tree)).hexdigest() == "bb7aff744f0d2a652799f0d312167fa4dc5394dd22a794c6f2cdf19aad8c1fef"
    )
