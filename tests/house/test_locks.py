"""The lock files have a version and hash for every package, and no package index."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = {
    "checkout": ["platform", "page", "dev"],
    "azure": ["platform", "page", "dev", "azure"],
    "gcp": ["platform", "page", "dev", "gcp"],
    "fuzz": ["platform", "page", "dev", "fuzz"],
    "emulators": ["platform", "page", "dev", "emulators"],
    "browser": ["platform", "page", "dev", "browser"],
}


def _read(lock: str) -> dict[str, tuple[str, list[str]]]:
    """Return name -> (version, hashes) of a lock file."""
    packages = {}
    text = (ROOT / "requirements" / f"{lock}.txt").read_text().replace("\\\n", " ")
    for line in text.splitlines():
        name, version = re.fullmatch(r"([\w.-]+)==(\S+)", line.split(";")[0].split("--hash")[0].strip()).groups()
        packages[canonicalize_name(name)] = (version, re.findall(r"--hash=(sha256:[0-9a-f]{64})(?!\S)", line))
    return packages


@pytest.mark.parametrize("lock", EXTRAS)
def test_lock_pins_each_package_by_hash(lock: str) -> None:
    assert [name for name, (_, hashes) in _read(lock).items() if not hashes] == []


@pytest.mark.parametrize("lock", EXTRAS)
def test_lock_satisfies_the_project_requirements(lock: str) -> None:
    asked = [*PROJECT["dependencies"], *(line for e in EXTRAS[lock] for line in PROJECT["optional-dependencies"][e])]
    locked = _read(lock)
    unmet = []
    for requirement in map(Requirement, asked):
        version, _ = locked.get(canonicalize_name(requirement.name), ("", []))
        if not version or not requirement.specifier.contains(version, prereleases=True):
            unmet.append(str(requirement))

    assert unmet == []


@pytest.mark.parametrize("lock", EXTRAS)
def test_lock_names_no_index(lock: str) -> None:
    assert "://" not in (ROOT / "requirements" / f"{lock}.txt").read_text()


@pytest.mark.parametrize("lock", ["azure", "gcp", "fuzz"])
def test_locks_of_the_extras_agree_with_the_checkout(lock: str) -> None:
    extra = _read(lock)
    checkout = _read("checkout")

    assert {name: extra.get(name) for name in checkout} == checkout
