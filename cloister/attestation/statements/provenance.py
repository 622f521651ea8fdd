"""A builder's statement: from these inputs it has made exactly this image.

Sources: SLSA v1.1, "Provenance" (predicate type ``https://slsa.dev/provenance/v1``); in-toto Attestation Framework,
Statement v1 and ResourceDescriptor. The subjects are the image's manifest and its outputs; the manifest's digest is the
image's name, and binds its inputs, the lock among them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from cloister.protocol import canonical, dsse, schema

PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:cloister:image-build:v1"
MANIFEST = "manifest.json"
"""The subject that names the image: its SHA-256 is the digest of the image manifest."""

_BUILDER = "urn:cloister:builder:"
_WHAT = "The provenance"


@dataclass(frozen=True)
class Dependency:
    """An input of the build: name, SHA-256 (hex), and the URL of a package; empty for what is not a package."""

    name: str
    sha256: str
    uri: str = ""


@dataclass(frozen=True)
class Provenance:
    """What a builder states.

    flavor: the name of the image's recipe.
    subjects: SHA-256 (hex) of the image's manifest and of each output, by file name.
    dependencies: what it was built from.
    builder: the id of the builder's key.
    signed: when the statement was signed, by the builder's clock; the build itself reads none.
    """

    flavor: str
    subjects: Mapping[str, str]
    dependencies: tuple[Dependency, ...]
    builder: str
    signed: datetime

    @property
    def manifest_digest(self) -> bytes:
        """The image that it is about, 32 bytes."""
        return bytes.fromhex(self.subjects[MANIFEST])

    def payload(self) -> bytes:
        """The in-toto statement, canonical JSON. Raises FormatError for what no reader would accept."""
        value = {
            "_type": dsse.STATEMENT_TYPE,
            "subject": [{"name": name, "digest": {"sha256": digest}} for name, digest in sorted(self.subjects.items())],
            "predicateType": PREDICATE_TYPE,
            "predicate": {
                "buildDefinition": {
                    "buildType": BUILD_TYPE,
                    "externalParameters": {"flavor": self.flavor},
                    "resolvedDependencies": [
                        {"name": one.name, "digest": {"sha256": one.sha256}, **({"uri": one.uri} if one.uri else {})}
                        for one in self.dependencies
                    ],
                },
                "runDetails": {
                    "builder": {"id": f"{_BUILDER}{self.builder}"},
                    "metadata": {"cloister_signedOn": canonical.to_time(self.signed)},
                },
            },
        }
        self.from_value(value)
        return canonical.encode(value)

    @classmethod
    def from_value(cls, value: Any) -> Self:
        """From a statement's JSON value. Raises FormatError."""
        schema.validate("image/image-provenance", value, what=_WHAT)
        subjects = {one["name"]: one["digest"]["sha256"] for one in value["subject"]}
        if len(subjects) != len(value["subject"]):
            raise canonical.FormatError(f"{_WHAT} names a file twice.")
        if MANIFEST not in subjects:
            raise canonical.FormatError(f"{_WHAT} is not about an image: it has no subject {MANIFEST}.")
        build, run = value["predicate"]["buildDefinition"], value["predicate"]["runDetails"]
        return cls(
            flavor=build["externalParameters"]["flavor"],
            subjects=subjects,
            dependencies=tuple(
                Dependency(one["name"], one["digest"]["sha256"], one.get("uri", ""))
                for one in build["resolvedDependencies"]
            ),
            builder=run["builder"]["id"].removeprefix(_BUILDER),
            signed=canonical.from_time(run["metadata"]["cloister_signedOn"], what=f"{_WHAT}: cloister_signedOn"),
        )
