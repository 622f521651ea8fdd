"""Years later: the image from a tar of its inputs without a network, and packages that have left the mirror.

`invoke test.rebuild` runs these.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from image import cache
from image.inputs import lockfile, recipe, vendor
from image.inputs.lockfile import Lock, LockedPackage
from infra import paths
from infra.configuration.image import Image
from tests import offline
from tests.image.small_archive import SmallServer

pytestmark = pytest.mark.rebuild

_GONE = "libyajl2"


@pytest.fixture(scope="module")
def vendored(base_image: Image, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tar of all inputs."""
    path = tmp_path_factory.mktemp("vendored") / "inputs.tar"
    vendor.vendor("base", path)
    return path


def invoke(*words: str, home: Path, before: list[str] | None = None, **environment: str) -> tuple[int, str]:
    """Run a verb with a cache and a home of its own; exit code and output."""
    command = [*(before or []), sys.executable, "-m", "invoke", *words]
    values = {**os.environ, "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), **environment}
    done = subprocess.run(command, cwd=paths.CHECKOUT, env=values, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_image_is_rebuilt_from_the_tar_without_an_interface(base_image: Image, vendored: Path, tmp_path: Path) -> None:
    """From an empty cache: packages, wheels and host tools are those of the tar."""
    words = ["image.verify", "--against", str(base_image.folder), "--from", str(vendored)]
    code, printed = invoke(*words, home=tmp_path, before=offline.words(), CLOISTER_DEBIAN_MIRROR="http://192.0.2.1")
    assert code == 0, printed
    assert "differs" not in printed
    assert "Every output of the rebuilt image base is identical." in printed


def test_inputs_are_packed_from_the_cache_without_an_interface(vendored: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.tar"
    user = {"XDG_CACHE_HOME": str(cache.root().parent)}
    code, printed = invoke("image.vendor", "--output", str(again), home=tmp_path, before=offline.words(), **user)
    assert code == 0, printed
    assert cache.digest(again) == cache.digest(vendored)


def test_package_that_has_left_the_mirror_comes_from_an_archive(vendored: Path, tmp_path: Path) -> None:
    """The mirror has every package but one. The tar that is packed then is the same as before."""
    lock = lockfile.load(recipe.load("base").lock)
    gone = lock.package(_GONE)
    inputs = tmp_path / "cache" / "cloister" / "inputs"
    inputs.mkdir(parents=True)
    for one in (lock, lockfile.load(recipe.TOOLS)):
        for entry in one.entries:
            if entry.sha256 != gone.sha256 and not (inputs / entry.sha256).exists():
                (inputs / entry.sha256).symlink_to(cache.inputs() / entry.sha256)
    with SmallServer({}) as mirror:
        words = ["image.vendor", "--output", str(tmp_path / "inputs.tar")]
        code, printed = invoke(*words, home=tmp_path, CLOISTER_DEBIAN_MIRROR=mirror.address)
        assert (code, (tmp_path / "inputs.tar").exists()) == (1, False)
        assert f"The Debian mirror no longer has {gone.label}, which the lock of base names" in printed
        assert "CLOISTER_DEBIAN_SNAPSHOT" in printed

        mirror.files = {_snapshot(lock, gone): (cache.inputs() / gone.sha256).read_bytes()}
        snapshot = {"CLOISTER_DEBIAN_MIRROR": mirror.address, "CLOISTER_DEBIAN_SNAPSHOT": mirror.address}
        code, printed = invoke(*words, home=tmp_path, **snapshot)
        assert code == 0, printed
    assert cache.digest(tmp_path / "inputs.tar") == cache.digest(vendored)


def _snapshot(lock: Lock, package: LockedPackage) -> str:
    """Where an archive of old packages has it: in the snapshot of the day after the lock's index."""
    from image.debian.mirror import Mirror

    (date,) = (archive.time() for archive in lock.archives if archive.archive == package.archive)
    return Mirror({}, "").snapshot_address(package.archive, package.path, date).lstrip("/")
