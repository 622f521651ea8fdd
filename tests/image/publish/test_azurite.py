"""The lock of what stands in for Azure's storage."""

import json
from pathlib import Path

HERE = Path(__file__).parent


def test_lock_names_each_package_by_hash_and_not_where_it_is_from() -> None:
    lock = json.loads((HERE / "package-lock.json").read_bytes())
    packages = {name: package for name, package in lock["packages"].items() if name}

    assert len(packages) > 300
    assert [name for name, package in packages.items() if not package["integrity"].startswith("sha512-")] == []
    assert [name for name, package in packages.items() if "resolved" in package] == []


def test_lock_is_that_of_the_package_file() -> None:
    asked = json.loads((HERE / "package.json").read_bytes())["dependencies"]
    lock = json.loads((HERE / "package-lock.json").read_bytes())["packages"]

    assert lock[""]["dependencies"] == asked
    assert {name: lock[f"node_modules/{name}"]["version"] for name in asked} == asked
