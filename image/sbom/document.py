"""The bill of materials as a CycloneDX 1.6 document: the same bytes from the same inputs.

Source: ECMA-424 (CycloneDX 1.6). The document has no time, and its serial number is derived from its contents. It is
written here because the field's library loses what it reads and draws references at random; the library validates it in
the tests.
"""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from cloister.protocol.imagemanifest import KERNEL_IMAGE
from image.inputs.lockfile import Lock, LockedPackage, LockedWheel
from image.sbom.declared import Declared

FILE = "sbom.cdx.json"
_IMAGE, _AGENT = "image", "agent"
_GAP = "cloister:licence:gap"
_LINK = "cloister:licence:copyright-file-of"


@dataclass(frozen=True)
class DescribedImage:
    """What the document is about: the recipe's name and sentence, and SHA-256 (hex) of its UKI and of all inputs."""

    flavor: str
    description: str
    uki: str
    inputs: Mapping[str, str]


def encode(
    image: DescribedImage,
    lock: Lock,
    *,
    debian: Mapping[str, Declared],
    wheels: Mapping[str, Declared],
    agent_wheels: Mapping[str, Declared],
) -> bytes:
    """The document. Each mapping has what every package or wheel of ``lock`` declares, by name."""
    components = [
        _agent(image),
        *(_deb(package, lock.suite, debian[package.name]) for package in lock.packages),
        *(_wheel("wheel", wheel, wheels[wheel.name]) for wheel in lock.wheels),
        *(_wheel("agent-wheel", wheel, agent_wheels[wheel.name]) for wheel in lock.agent_wheels),
    ]
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "lifecycles": [{"phase": "build"}],
            "tools": {"components": [{"type": "application", "name": "cloister image.build"}]},
            "component": {
                "type": "operating-system",
                "bom-ref": _IMAGE,
                "name": f"cloister-{image.flavor}",
                "description": image.description,
                "properties": [
                    _property(f"cloister:output:{KERNEL_IMAGE}", image.uki),
                    *(_property(f"cloister:input:{name}", value) for name, value in image.inputs.items()),
                ],
            },
        },
        "components": components,
        "dependencies": [{"ref": _IMAGE, "dependsOn": sorted(str(one["bom-ref"]) for one in components)}],
    }
    serial = uuid.uuid5(uuid.NAMESPACE_URL, f"urn:cloister:sbom:{_json(document).decode()}")
    return _json(document | {"serialNumber": f"urn:uuid:{serial}"})


def _agent(image: DescribedImage) -> dict[str, Any]:
    return {
        "type": "application",
        "bom-ref": _AGENT,
        "name": "cloister-agent",
        "licenses": [{"license": {"id": "Apache-2.0", "acknowledgement": "declared"}}],
        "properties": [_property("cloister:input:source", image.inputs["source"])],
    }


def _deb(package: LockedPackage, suite: str, declared: Declared) -> dict[str, Any]:
    return {
        "type": "library",
        "bom-ref": f"deb/{package.name}",
        "name": package.name,
        "version": package.version,
        "purl": deb_url(package, suite, upstream="@".join(declared.sources[0])),
        "hashes": _hashes(package.sha256),
        # Where the standard has the origin of a component; scanners take it from the qualifier "upstream".
        "pedigree": {"ancestors": [_source(name, version, suite) for name, version in declared.sources]},
        **_licences(declared, [_property("cloister:debian:path", f"{package.archive}/{package.path}")]),
    }


def _source(name: str, version: str, suite: str) -> dict[str, Any]:
    source = purl("deb/debian", name, version, {"arch": "source", "distro": suite})
    return {"type": "library", "name": name, "version": version, "purl": source}


def _wheel(kind: str, wheel: LockedWheel, declared: Declared) -> dict[str, Any]:
    return {
        "type": "library",
        "bom-ref": f"{kind}/{wheel.name}",
        "name": wheel.name,
        "version": wheel.version,
        "purl": wheel_url(wheel),
        "hashes": _hashes(wheel.sha256),
        **_licences(declared, []),
    }


def deb_url(package: LockedPackage, suite: str, **qualifiers: str) -> str:
    """The package URL of a Debian package; ``qualifiers`` are added."""
    return purl(
        "deb/debian", package.name, package.version, {"arch": package.architecture, "distro": suite, **qualifiers}
    )


def wheel_url(wheel: LockedWheel) -> str:
    """The package URL of a wheel. The type's rules: lower case, and "-" for "_"."""
    return purl("pypi", wheel.name.lower().replace("_", "-"), wheel.version, {"file_name": wheel.file})


def _licences(declared: Declared, properties: list[dict[str, str]]) -> dict[str, Any]:
    """The members ``licenses`` and ``properties``; the latter say what is missing, and where licences are from."""
    extra = [_property(name, value) for name, value in ((_GAP, declared.gap), (_LINK, declared.link)) if value]
    found: dict[str, Any] = {}
    if declared.expression:
        found["licenses"] = [{"expression": declared.expression, "acknowledgement": "declared"}]
    elif declared.licences:
        found["licenses"] = [{"license": {"name": one, "acknowledgement": "declared"}} for one in declared.licences]
    if properties or extra:
        found["properties"] = [*properties, *extra]
    return found


def purl(kind: str, name: str, version: str, qualifiers: Mapping[str, str]) -> str:
    """A package URL (ECMA-427). ``kind`` is the type, with the namespace if there is one."""
    extra = "&".join(f"{key}={_encoded(value)}" for key, value in sorted(qualifiers.items()))
    return f"pkg:{kind}/{_encoded(name)}@{_encoded(version)}?{extra}"


def _encoded(text: str) -> str:
    return quote(text, safe=":")


def _hashes(sha256: str) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": sha256}]


def _property(name: str, value: str) -> dict[str, str]:
    return {"name": name, "value": value}


def _json(value: object) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"
