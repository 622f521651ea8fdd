"""A lock is written only from a signed index, and only if the recipe lists every maintainer script."""

import dataclasses
import hashlib
import json
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from invoke.exceptions import Exit
from pysequoia import Cert

from image.debian.mirror import Mirror
from image.debian.packages import Package, Relation
from image.debian.release import ReleaseError
from image.debian.resolve import Index, ResolveError, closure
from image.inputs import chain, host_tools, lockfile, recipe, relock
from image.inputs.lockfile import Lock, LockedArchive, LockedPackage, LockError, LockPlace
from image.inputs.parts import HandledScript
from image.inputs.relock import ScriptError, refuse_unhandled, script_digest
from image.verbs import change
from tests.image.small_archive import NOW, SmallArchive, SmallServer

SCRIPT = "#!/bin/sh\nldconfig\n"
RECIPE = """
[debian]
suite = "trixie"
security = false
packages = ["crun"]
[debian.left_out]
perl = "no script runs"
[[debian.handled]]
script = "postinst"
sha256 = "{digest}"
packages = ["libyajl2"]
how = "the loader needs no cache"
"""


@pytest.fixture
def small_mirror(
    small_archive: SmallArchive,
    server: SmallServer,
    cache_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Mirror:
    """An archive of four packages, a recipe that names one of them, and no committed lock."""
    small_archive.add("crun", "1.21-1", depends="libyajl2 (>= 2.1), perl | sh")
    small_archive.add("libyajl2", "2.1.0-5", scripts={"postinst": SCRIPT, "prerm": "#!/bin/sh\n"})
    small_archive.add("libyajl2", "2.0", scripts={"postinst": "older"})
    small_archive.add("unrelated", "1")
    keys = tmp_path / "keys"
    keys.mkdir()
    (keys / "archive.asc").write_bytes(small_archive.keyring)
    recipes = tmp_path / "recipes"
    recipes.mkdir()
    (recipes / "tools.toml").write_text(RECIPE.format(digest=hashlib.sha256(SCRIPT.encode()).hexdigest()))
    monkeypatch.setattr(relock, "KEYS", keys)
    monkeypatch.setattr(lockfile, "FOLDER", tmp_path / "committed")
    monkeypatch.setattr(chain, "FOLDER", recipes)
    return Mirror({"debian": f"{server.address}/debian"})


def test_lock_names_what_was_resolved(small_mirror: Mirror, small_archive: SmallArchive, tmp_path: Path) -> None:
    small_archive.release()
    written = relock.write("tools", tmp_path, mirror=small_mirror, now=NOW)
    made = lockfile.load("tools", tmp_path)
    assert [(package.name, package.version, dict(package.scripts)) for package in made.packages] == [
        ("crun", "1.21-1", {}),
        ("libyajl2", "2.1.0-5", {"postinst": hashlib.sha256(SCRIPT.encode()).hexdigest()}),
    ]
    assert made.archives == (LockedArchive("debian", "trixie", "2026-06-01T12:00:00Z"),)
    assert made.request == recipe.load_request("tools")[0].digest()
    assert made.digest() == hashlib.sha256(written.read_bytes()).hexdigest()


def test_changed_maintainer_script_is_rejected(
    small_mirror: Mirror, small_archive: SmallArchive, tmp_path: Path
) -> None:
    small_archive.add("libyajl2", "2.1.0-6", scripts={"postinst": SCRIPT + "echo more\n"})
    small_archive.release()
    with pytest.raises(ScriptError, match=r"the postinst of libyajl2 2.1.0-6 has changed"):
        relock.write("tools", tmp_path, mirror=small_mirror, now=NOW)
    assert not (tmp_path / "tools.json").exists()


def test_index_older_than_the_committed_lock_is_rejected(
    small_mirror: Mirror, small_archive: SmallArchive, tmp_path: Path
) -> None:
    small_archive.release(NOW)
    relock.write("tools", tmp_path / "committed", mirror=small_mirror, now=NOW)
    small_archive.release(NOW - timedelta(days=1))
    with pytest.raises(ReleaseError, match="is older than the lock's index"):
        relock.write("tools", tmp_path, mirror=small_mirror, now=NOW)


def test_unsigned_index_is_rejected(small_mirror: Mirror, small_archive: SmallArchive, tmp_path: Path) -> None:
    signed = small_archive.release()
    small_archive.files["debian/dists/trixie/InRelease"] = signed.replace(b"Codename: trixie", b"Codename: trixiE")
    with pytest.raises(ReleaseError, match="does not verify"):
        relock.write("tools", tmp_path, mirror=small_mirror, now=NOW)


def test_new_and_removed_scripts_are_named() -> None:
    package = LockedPackage("a", "1", "amd64", "debian", "p", "0" * 64, 1, {"preinst": "11"})
    with pytest.raises(ScriptError, match=r"the preinst of a 1 is new .*lists a postinst that b does not have"):
        refuse_unhandled([package], [HandledScript("postinst", "22", ("b",), "?")])


def test_new_kernel_release_alone_does_not_change_a_script() -> None:
    name, text = "linux-image-{}-cloud-amd64", "version={}-cloud-amd64\ndir_to_symlink linux-image-{}\n"
    old, new = "6.12.107+deb13", "6.12.117+deb13"
    digests = {
        script_digest(text.format(release, release.replace("+", "\\+")).encode(), name.format(release))
        for release in (old, new)
    }
    assert len(digests) == 1
    package = LockedPackage(name.format(new), "1", "amd64", "debian", "p", "0" * 64, 1, {"postinst": min(digests)})
    refuse_unhandled([package], [HandledScript("postinst", min(digests), (name.format("RELEASE"),), "?")])


def test_script_that_a_tool_writes_for_each_package_is_one_script() -> None:
    text = "#!/bin/sh\npy3compile -p {}\n"
    one, other = (script_digest(text.format(name).encode(), name) for name in ("python3-pil", "python3-yaml"))
    assert one == other != script_digest(text.format("python3-pil").encode(), "python3-yaml")


def test_script_of_any_package_needs_no_package() -> None:
    def package(script: str, digest: str) -> LockedPackage:
        return LockedPackage("a", "1", "amd64", "debian", "p", "0" * 64, 1, {script: digest})

    of_any = HandledScript("postinst", "11", ("*",), "?")
    refuse_unhandled([], [of_any])
    refuse_unhandled([package("postinst", "11")], [of_any])
    for found in (package("postinst", "22"), package("preinst", "11")):
        with pytest.raises(ScriptError, match="of a 1 is new"):
            refuse_unhandled([found], [of_any])
    # What is said of a package itself is more than what is said of any.
    with pytest.raises(ScriptError, match=r"the postinst of a 1 has changed"):
        refuse_unhandled([package("postinst", "11")], [of_any, HandledScript("postinst", "22", ("a",), "?")])


def test_relock_replaces_a_lock_only_on_request_and_prints_a_note(
    small_mirror: Mirror,
    small_archive: SmallArchive,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    small_archive.release()
    relock.write("tools", tmp_path / "committed", mirror=small_mirror, now=NOW)
    superseded(small_mirror, small_archive, tmp_path, monkeypatch)
    with pytest.raises(relock.fetch.SupersededError, match=r"crun 1.21-1"):
        relock.obtain("tools")
    made, files = relock.obtain("tools", relock=True)
    assert [package.label for package in made.packages] == ["crun 1.22-1", "libyajl2 2.1.0-5"]
    assert set(files) == {package.sha256 for package in made.packages}
    assert re.search(r"NOTE: The new lock .* overrides the committed lock", capsys.readouterr().err)
    assert lockfile.load("tools") == made != lockfile.load("tools", tmp_path / "committed")
    # Later uses print the note again.
    relock.obtain("tools")
    assert "out/tools.json overrides the committed lock" in capsys.readouterr().err


def test_setup_uses_a_new_lock_when_a_locked_tool_is_gone(
    small_mirror: Mirror, small_archive: SmallArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_archive.release()
    relock.write("tools", tmp_path / "committed", mirror=small_mirror, now=NOW)
    superseded(small_mirror, small_archive, tmp_path, monkeypatch)
    made = host_tools.ensure(relock=True)
    assert made.path("usr/share/crun/version").read_text() == "1.22-1"
    # The provider is another process with the same CLOISTER_LOCKS, which does not relock.
    assert host_tools.ensure() == made
    assert made.digest == lockfile.load("tools", tmp_path / "out").digest()


def test_override_is_ignored_when_the_committed_lock_is_newer(
    small_mirror: Mirror, small_archive: SmallArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed, out = tmp_path / "committed", tmp_path / "out"
    small_archive.release()
    relock.write("tools", out, mirror=small_mirror, now=NOW)
    monkeypatch.setattr(lockfile, "FOLDER", committed)
    monkeypatch.setenv("CLOISTER_LOCKS", str(out))
    for later in (0, 1):
        small_archive.add("libyajl2", f"2.1.0-{6 + later}", scripts={"postinst": SCRIPT})
        small_archive.release(NOW + timedelta(hours=later))
        relock.write("tools", committed, mirror=small_mirror, now=NOW + timedelta(hours=later))
        assert lockfile.load("tools") == lockfile.load("tools", committed if later else out)


def test_override_for_another_recipe_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    committed, other = made_lock(), dataclasses.replace(made_lock(), request="11")
    for folder, content in (("committed", committed), ("out", other)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "base.json").write_bytes(content.encode())
    monkeypatch.setattr(lockfile, "FOLDER", tmp_path / "committed")
    monkeypatch.setenv("CLOISTER_LOCKS", str(tmp_path / "out"))
    assert lockfile.load("base") == committed


def test_committed_keys_match_the_readme() -> None:
    found = {}
    for path in relock.KEYS.glob("*.asc"):
        (certificate,) = Cert.split_bytes(path.read_bytes())
        found[path.name] = (hashlib.sha256(path.read_bytes()).hexdigest(), certificate.fingerprint.upper())
    rows = re.findall(r"\| `(\S+)` \| (\w+) \| (\w+) \|", (relock.KEYS / "README.md").read_text())
    assert found == {name: (digest, fingerprint) for name, digest, fingerprint in rows}
    assert len(found) == 2


def test_lock_that_fits_is_replaced_on_request_only_and_shows_what_changes(
    small_mirror: Mirror,
    small_archive: SmallArchive,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    small_archive.release()
    path = relock.write("tools", tmp_path / "committed", mirror=small_mirror, now=NOW)
    kept = path.read_bytes()
    superseded(small_mirror, small_archive, tmp_path, monkeypatch)
    change.lock.body(None, tools=True)
    assert "fits its recipe. `--update` takes newer packages." in capsys.readouterr().out
    assert path.read_bytes() == kept
    change.lock.body(None, tools=True, update=True)
    printed = capsys.readouterr().out
    assert "\ncrun: 1.21-1 -> 1.22-1\n" in printed
    assert lockfile.read(LockPlace("tools", path)).package("crun").version == "1.22-1"
    # Another recipe needs a new lock without being asked.
    recipes = tmp_path / "recipes/tools.toml"
    recipes.write_text(recipes.read_text().replace('["crun"]', '["crun", "unrelated"]'))
    change.lock.body(None, tools=True)
    assert "\nunrelated: added, 1\n" in capsys.readouterr().out


def test_script_that_changed_is_shown_before_it_is_refused(
    small_mirror: Mirror,
    small_archive: SmallArchive,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    small_archive.release()
    path = relock.write("tools", tmp_path / "committed", mirror=small_mirror, now=NOW)
    kept = path.read_bytes()
    monkeypatch.setattr(lockfile, "FOLDER", tmp_path / "committed")
    monkeypatch.setenv("CLOISTER_DEBIAN_MIRROR", small_mirror.bases["debian"].removesuffix("/debian"))
    small_archive.add("libyajl2", "2.1.0-6", scripts={"postinst": SCRIPT + "echo more\n"})
    small_archive.release(NOW + timedelta(days=3650), valid=None)
    with pytest.raises(Exit) as caught:
        change.lock.body(None, tools=True, update=True)
    printed = capsys.readouterr()
    assert caught.value.code == 1
    assert "the postinst of libyajl2 2.1.0-6 has changed" in printed.err
    assert "libyajl2: 2.1.0-5 -> 2.1.0-6 (changed scripts: postinst)" in printed.out
    assert "    +echo more" in printed.out
    assert path.read_bytes() == kept


def superseded(mirror: Mirror, small_archive: SmallArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace a package of the committed lock on the mirror, and empty the cache."""
    monkeypatch.setattr(lockfile, "FOLDER", tmp_path / "committed")
    monkeypatch.setattr(relock, "RELOCKED", tmp_path / "out")
    monkeypatch.setenv("CLOISTER_LOCKS", "")
    monkeypatch.setenv("CLOISTER_DEBIAN_MIRROR", mirror.bases["debian"].removesuffix("/debian"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    del small_archive.files["debian/pool/main/crun_1.21-1_amd64.deb"]
    small_archive.stanzas.pop(0)
    loader = {"usr/lib64/ld-linux-x86-64.so.2": b"loader", "usr/bin/crun": b"program"}
    small_archive.add("crun", "1.22-1", depends="libyajl2, perl", files=loader)
    small_archive.release(NOW + timedelta(days=3650), valid=None)


def test_lock_of_another_recipe_is_rejected(
    small_mirror: Mirror, small_archive: SmallArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_archive.release()
    relock.write("tools", tmp_path / "committed", mirror=small_mirror, now=NOW)
    monkeypatch.setattr(lockfile, "FOLDER", tmp_path / "committed")
    recipes = tmp_path / "recipes/tools.toml"
    recipes.write_text(recipes.read_text().replace('["crun"]', '["crun", "unrelated"]'))
    with pytest.raises(LockError, match="does not match its recipe"):
        relock.obtain("tools")


def made_lock() -> Lock:
    package = LockedPackage("crun", "1", "amd64", "debian", "pool/c.deb", "a" * 64, 3, {})
    return Lock(
        "base", "trixie", "00", (LockedArchive("debian", "trixie", "2026-06-01T12:00:00Z"),), (package,), (), ()
    )


def test_lock_reads_back_as_it_was_written() -> None:
    assert Lock.parse(made_lock().encode()) == made_lock()


@pytest.mark.parametrize("place", ["", "packages", "archives"])
def test_lock_with_an_unknown_key_is_rejected(place: str) -> None:
    value = json.loads(made_lock().encode())
    (value[place][0] if place else value)["surprise"] = 1
    with pytest.raises(LockError, match="surprise"):
        Lock.parse((json.dumps(value, indent=1) + "\n").encode())


LOCKS_OF_OTHERS: dict[str, Callable[[dict[str, Any]], object]] = {
    "no index": lambda value: value["archives"].clear(),
    "no date": lambda value: value["archives"][0].update(date="soon"),
    "a number for a date": lambda value: value["archives"][0].update(date=5),
    "a list for a name": lambda value: value["packages"][0].update(name=["libc6"]),
    "a number for a digest": lambda value: value["packages"][0].update(sha256=5),
    "a list for scripts": lambda value: value["packages"][0].update(scripts=["preinst"]),
    "a number for a script": lambda value: value["packages"][0].update(scripts={"preinst": 5}),
    "a package twice": lambda value: value["packages"].append(value["packages"][0]),
    "half a character": lambda value: value.update(flavor="\ud800"),
}


@pytest.mark.parametrize("name", LOCKS_OF_OTHERS)
def test_lock_that_no_one_wrote_so_is_rejected(name: str) -> None:
    value = json.loads(made_lock().encode())
    LOCKS_OF_OTHERS[name](value)
    with pytest.raises(LockError, match="Invalid lock"):
        Lock.parse((json.dumps(value, indent=1) + "\n").encode())


def test_lock_edited_by_hand_is_rejected() -> None:
    with pytest.raises(LockError, match="edited by hand"):
        Lock.parse(made_lock().encode() + b"\n")
    wrong = dataclasses.replace(made_lock().packages[0], sha256="A" * 64)
    with pytest.raises(LockError, match="invalid digest"):
        Lock.parse(dataclasses.replace(made_lock(), packages=(wrong,)).encode())


def index(*packages: tuple[str, str, str]) -> Index:
    """An index of (name, version, dependencies) for the archive ``debian``."""
    made = []
    for name, version, needs in packages:
        groups = [group.split("|") for group in needs.split(",") if group]
        depends = tuple(tuple(Relation.parse(text) for text in group) for group in groups)
        made.append(Package(name, version, "amd64", depends, (Relation(f"{name}-api", "=", "2"),), "p", 1, "0"))
    return Index({"debian": made})


def names(archive: Index, wanted: list[str], left_out: list[str]) -> list[str]:
    return [candidate.package.name for candidate in closure(archive, wanted, left_out)]


def test_closure_excludes_what_only_left_out_packages_need() -> None:
    archive = index(("a", "1", "b|c,d"), ("b", "1", ""), ("c", "1", ""), ("d", "1", "e"), ("e", "1", ""))
    assert names(archive, ["a"], []) == ["a", "b", "d", "e"]
    assert names(archive, ["a", "c"], ["d"]) == ["a", "c"]


def test_versioned_and_virtual_dependencies_are_resolved_or_named() -> None:
    assert names(index(("a", "1", "b-api (>= 2)"), ("b", "1", "")), ["a"], []) == ["a", "b"]
    with pytest.raises(ResolveError, match=r"a 1 needs b >= 3"):
        names(index(("a", "1", "b (>= 3)"), ("b", "2", "")), ["a"], [])
    with pytest.raises(ResolveError, match="names the package z"):
        names(index(), ["z"], [])


def test_left_out_package_that_nothing_needs_is_an_error() -> None:
    with pytest.raises(ResolveError, match="leaves out perl, which nothing needs"):
        names(index(("a", "1", "")), ["a"], ["perl"])
