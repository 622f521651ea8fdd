"""The built image, without booting it: its parts match, and its code is complete."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from cloister.process import run
from image.build import output, verify
from image.inputs import recipe
from infra.configuration.image import Image

_PACKAGES = "usr/lib/cloister"
_LOADER = "usr/lib64/ld-linux-x86-64.so.2"
_LIBRARIES = "usr/lib/x86_64-linux-gnu"
_INTERPRETER = "usr/bin/python3"

# Runs in the image's interpreter: imports the given modules and prints the origin of each.
_IMPORT = """
import importlib, json, os, sys
packages = sys.argv[1]
sys.path.insert(0, packages)
for name in sys.argv[2:]:
    importlib.import_module(name)
found = {name: [getattr(module, "__file__", None), getattr(module, "__cached__", None)]
         for name, module in sys.modules.items() if name != "__main__"}
uncompiled = [name for name, (file, cached) in found.items()
              if cached and not os.path.exists(cached)]
print(json.dumps({"files": {name: file for name, (file, _) in found.items() if file}, "uncompiled": uncompiled}))
"""


@pytest.fixture(scope="module")
def root(tree: Path) -> Path:
    return tree


def test_agent_imports_exactly_the_modules_of_the_recipe(root: Path) -> None:
    """With the image's loader, interpreter, libraries and byte code only."""
    modules = recipe.load("base").recipe.agent.modules
    words = [root / _LOADER, "--inhibit-cache", "--library-path", root / _LIBRARIES, root / _INTERPRETER, "-I", "-B"]
    done = run([*words, "-c", _IMPORT, root / _PACKAGES, *modules], env={"PATH": "/nowhere"})
    found = json.loads(done.stdout)
    files = {name: Path(file).resolve() for name, file in found["files"].items()}

    assert [name for name, file in files.items() if not file.is_relative_to(root.resolve())] == []
    assert found["uncompiled"] == []
    ours = [name for name in found["files"] if name.split(".")[0] in ("agent_runtime", "cloister")]
    assert sorted(ours) == sorted(modules)


def test_every_platform_has_its_drivers_once(root: Path) -> None:
    """In load order; disk drivers are in the initrd."""
    folder = root / "usr/lib/modules"
    lists = {path.name: path.read_text().split() for path in folder.glob("order*")}

    platforms = ["order-azure", "order-gcp", "order-local", "order-snp", "order-tdx"]
    assert sorted(lists) == sorted(["order", *platforms, "order-scratch", "order-aes"])
    assert lists["order-azure"] == ["hv_netvsc", "hv_utils"]
    assert lists["order-gcp"][-1] == "gve"
    assert all({"button", "evdev"} <= set(lists[f"order-{name}"]) for name in ("local", "gcp"))
    assert (lists["order-snp"][-1], lists["order-tdx"][-1]) == ("sev_guest", "tdx_guest")
    assert {f"{name}.ko" for names in lists.values() for name in names} == {path.name for path in folder.glob("*.ko")}


def test_lease_with_a_single_address_has_a_route(root: Path) -> None:
    """A lease as Google assigns it, applied by the image's script in a network namespace."""
    busybox, lease = root / "usr/bin/busybox", {"interface": "lo", "ip": "10.99.0.10", "subnet": "255.255.255.255"}
    script = (
        f"{busybox} sh {root}/usr/lib/cloister/network deconfig && {busybox} sh {root}/usr/lib/cloister/network bound"
    )
    words = [
        "unshare",
        "--user",
        "--map-root-user",
        "--net",
        busybox,
        "sh",
        "-c",
        f"{script} && ip -o address && ip route",
    ]
    done = run(words, env={**os.environ, **lease, "router": "10.99.0.1", "mtu": "1460"}, check=False)
    if b"unshare failed" in done.stderr or b"Operation not permitted" in done.stderr:
        pytest.skip("this host does not allow network namespaces")
    shown = done.stdout.decode()
    assert "10.99.0.10/32" in shown, done.stderr
    assert shown.splitlines()[-2:] == ["default via 10.99.0.1 dev lo ", "10.99.0.1 dev lo scope link "]


def test_root_contains_exactly_the_listed_files(base_image: Image, root: Path) -> None:
    listed = json.loads((base_image.folder / "files.json").read_bytes())["layers"]["root"]
    found = {path.relative_to(root).as_posix(): _describe(path) for path in root.rglob("*")}

    assert found == listed


def test_outputs_match_the_image_manifest(base_image: Image) -> None:
    found = {
        path.name: (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size)
        for path in base_image.folder.iterdir()
        if path.name != output.MANIFEST
    }

    assert found == {name: (made.sha256, made.size) for name, made in base_image.manifest.outputs.items()}


def test_disk_holds_kernel_image_root_and_hash_tree(base_image: Image) -> None:
    disk = base_image.disk.read_bytes()

    assert [disk.count((base_image.folder / name).read_bytes()) for name in _ON_DISK] == [1, 1, 1]


def test_events_lead_to_the_image_manifests_values(base_image: Image) -> None:
    """With SHA-256 only, as docs/image.md describes."""
    measurements = json.loads((base_image.folder / "measurements.json").read_bytes())
    found = {}
    for index, register in measurements["pcrs"].items():
        value = bytes(32)
        for event in register["events"]:
            value = hashlib.sha256(value + bytes.fromhex(event["digest"])).digest()
        assert value.hex() == register["value"]
        found[int(index)] = value.hex()

    assert found == base_image.manifest.pcrs
    assert {found[12], found[13]} == {"00" * 32}


def test_kernel_initrd_and_command_line_are_in_the_events(base_image: Image) -> None:
    measurements = json.loads((base_image.folder / "measurements.json").read_bytes())
    digests = {event["digest"] for event in measurements["pcrs"]["11"]["events"]}
    command_line = " ".join(recipe.load("base").recipe.kernel.command_line).encode()

    for contents in (
        (base_image.folder / "vmlinuz").read_bytes(),
        (base_image.folder / "initrd.cpio.zst").read_bytes(),
        command_line,
    ):
        assert hashlib.sha256(contents).hexdigest() in digests


def test_image_is_small(base_image: Image) -> None:
    """What firmware hashes, and what a party downloads: the disk without padding."""
    sizes = {name: made.size for name, made in base_image.manifest.outputs.items()}

    assert sizes["uki.efi"] <= 15_000_000
    assert sum(sizes[name] for name in _ON_DISK) <= 85_000_000


def test_rebuild_elsewhere_is_identical(base_image: Image) -> None:
    """With another folder, umask, time zone, locale, home, hash seed, number of processors and order of files."""
    verification = verify.verify("base", base_image.folder)

    assert [(row.name, row.found) for row in verification.comparisons if not row.same] == []
    assert (verification.same, verification.damaged, verification.differences) == (True, (), ())


_ON_DISK = ("uki.efi", "root.erofs", "root.verity")


def _describe(path: Path) -> dict[str, str]:
    """In the form of an entry of image.rootfs.tree."""
    if path.is_symlink():
        return {"kind": "link", "mode": "0777", "target": os.readlink(path)}
    mode = f"{path.stat().st_mode & 0o7777:04o}"
    if path.is_dir():
        return {"kind": "directory", "mode": mode}
    return {"kind": "file", "mode": mode, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
