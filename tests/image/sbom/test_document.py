"""The bill of materials: valid for the field's own validator, complete, and the same each time."""

import json
import tomllib
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from image.build.source import CHECKOUT
from image.inputs import lockfile
from image.inputs.lockfile import Lock
from image.sbom import document
from image.sbom.declared import Declared
from image.sbom.document import DescribedImage

IMAGE = DescribedImage("base", "An image.", "ab" * 32, {"lock": "cd" * 32, "source": "ef" * 32})
WITH_GAP = Declared((("glibc", "2.41-1"), ("gcc-14", "14.2")), ("GPL-2+", "Expat or ISC"), "", "a gap", "gcc-14-base")
EXPRESSION = Declared(expression="MIT OR Apache-2.0")


@pytest.fixture(scope="module")
def lock() -> Lock:
    return lockfile.read(lockfile.LockPlace.committed("base"))


@pytest.fixture(scope="module")
def encoded(lock: Lock) -> bytes:
    return encode(lock)


def encode(lock: Lock) -> bytes:
    return document.encode(
        IMAGE,
        lock,
        debian={one.name: WITH_GAP for one in lock.packages},
        wheels={one.name: EXPRESSION for one in lock.wheels},
        agent_wheels={one.name: EXPRESSION for one in lock.agent_wheels},
    )


def test_the_document_is_valid_and_the_same_each_time(lock: Lock, encoded: bytes) -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(encoded.decode()) is None
    assert encode(lock) == encoded


def test_a_document_that_breaks_the_schema_is_seen(encoded: bytes) -> None:
    """The validator of the test above can fail."""
    broken = encoded.replace(b'"operating-system"', b'"operating system"')
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(broken.decode()) is not None


def test_every_package_and_wheel_is_a_component_with_its_digest(lock: Lock, encoded: bytes) -> None:
    value = json.loads(encoded)
    components = {one["bom-ref"]: one for one in value["components"]}
    digests = {ref: one["hashes"][0]["content"] for ref, one in components.items() if "hashes" in one}
    expected = {f"deb/{one.name}": one.sha256 for one in lock.packages}
    expected |= {f"wheel/{one.name}": one.sha256 for one in lock.wheels}
    expected |= {f"agent-wheel/{one.name}": one.sha256 for one in lock.agent_wheels}
    assert digests == expected
    assert value["dependencies"] == [{"ref": "image", "dependsOn": sorted(components)}]


def test_a_component_names_its_sources_its_licences_and_what_is_not_known(lock: Lock, encoded: bytes) -> None:
    one = component(encoded, f"deb/{lock.packages[0].name}")
    assert [(source["name"], source["version"]) for source in one["pedigree"]["ancestors"]] == list(WITH_GAP.sources)
    assert [entry["license"]["name"] for entry in one["licenses"]] == list(WITH_GAP.licences)
    properties = {entry["name"]: entry["value"] for entry in one["properties"]}
    assert properties["cloister:licence:gap"] == "a gap"
    assert properties["cloister:licence:copyright-file-of"] == "gcc-14-base"
    wheel = component(encoded, f"agent-wheel/{lock.agent_wheels[0].name}")
    assert wheel["licenses"] == [{"expression": "MIT OR Apache-2.0", "acknowledgement": "declared"}]


def test_package_urls_are_as_the_reference_library_writes_them(encoded: bytes) -> None:
    value = json.loads(encoded)
    listed = [one["purl"] for one in value["components"] if "purl" in one]
    listed += [source["purl"] for one in value["components"] for source in one.get("pedigree", {}).get("ancestors", [])]
    assert len(listed) > 50
    assert [PackageURL.from_string(one).to_string() for one in listed] == listed


@pytest.mark.parametrize("name", ["libstdc++6", "a_b", "x.y-z"])
@pytest.mark.parametrize("version", ["1:2.3~rc1-4+deb13u1", "6.5+20250216-2"])
def test_unusual_names_and_versions_survive_a_package_url(name: str, version: str) -> None:
    text = document.purl("deb/debian", name, version, {"upstream": f"{name}@{version}", "arch": "amd64"})
    found = PackageURL.from_string(text)
    assert (found.name, found.version, found.qualifiers) == (
        name,
        version,
        {"arch": "amd64", "upstream": f"{name}@{version}"},
    )
    assert found.to_string() == text


def test_the_agents_licence_is_the_projects(encoded: bytes) -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    assert component(encoded, "agent")["licenses"][0]["license"]["id"] == project["license"]


def test_the_serial_number_follows_the_contents(lock: Lock, encoded: bytes) -> None:
    other = document.encode(
        DescribedImage("base", "Another image.", IMAGE.uki, IMAGE.inputs),
        lock,
        debian={one.name: WITH_GAP for one in lock.packages},
        wheels={one.name: EXPRESSION for one in lock.wheels},
        agent_wheels={one.name: EXPRESSION for one in lock.agent_wheels},
    )
    assert json.loads(other)["serialNumber"] != json.loads(encoded)["serialNumber"]


def component(encoded: bytes, ref: str) -> dict[str, Any]:
    return next(one for one in json.loads(encoded)["components"] if one["bom-ref"] == ref)
