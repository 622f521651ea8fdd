"""The lock of the emulator of Azure Storage."""

import json
from pathlib import Path

HERE = Path(__file__).parent


def test_lock_has_hashes_and_no_registry_addresses() -> None:
    lock = json.loads((HERE / "package-lock.json").read_bytes())
    packages = {name: package for name, package in lock["packages"].items() if name}

    assert len(packages) > 300
    assert [name for name, package in packages.items() if not package["integrity"].startswith("sha512-")] == []
    assert [name for name, package in packages.items() if "resolved" in package] == []


def test_lock_matches_the_package_file() -> None:
    asked = json.loads((HERE / "package.json").read_bytes())["dependencies"]
    lock = json.loads((HERE / "package-lock.json").read_bytes())["packages"]

    assert lock[""]["dependencies"] == asked
    assert {name: lock[f"node_modules/{name}"]["version"] for name in asked} == asked
