"""The extension of an attestation key's certificate that names the machine at Google.

Source: go-tpm-tools, server/verify.go, gceInstanceInfo: the extension 1.3.6.1.4.1.11129.2.1.21
(CloudComputeInstanceIdentifier) is

    SEQUENCE { zone UTF8String, projectNumber INTEGER, projectId UTF8String, instanceId INTEGER,
               instanceName UTF8String, [0] securityProperties OPTIONAL }
    securityProperties ::= SEQUENCE { [0] securityVersion INTEGER OPTIONAL, [1] isProduction BOOLEAN OPTIONAL, ... }
"""

from dataclasses import dataclass
from typing import Self

from cryptography.x509 import UnrecognizedExtension

from cloister.attestation.instances import GcpInstance
from cloister.attestation.x509 import der
from cloister.attestation.x509.certificate import Certificate

OID = "1.3.6.1.4.1.11129.2.1.21"

_PROPERTIES = 0xA0
_SECURITY_VERSION = 0xA0
_IS_PRODUCTION = 0xA1
_LAST_PROPERTY = 0xAF
_TRUE = b"\xff"


@dataclass(frozen=True)
class InstanceInfo:
    """The machine that a certificate names. ``production``: Google says that it runs in its production environment."""

    zone: str
    project_number: int
    project: str
    instance_id: int
    instance_name: str
    production: bool

    @classmethod
    def of(cls, certificate: Certificate) -> Self | None:
        """From a certificate; None if it lacks the extension. Raises MalformedEvidence."""
        for extension in certificate.parsed.extensions:
            if extension.oid.dotted_string == OID and isinstance(extension.value, UnrecognizedExtension):
                return cls.parse(extension.value.value)
        return None

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """From the extension's value. Raises MalformedEvidence."""
        outer = der.DerReader(data, "GCE instance info")
        reader = outer.inside(der.SEQUENCE, "instance")
        outer.end()
        zone = reader.text(der.UTF8_STRING, "zone")
        number = reader.unsigned("projectNumber")
        project = reader.text(der.UTF8_STRING, "projectId")
        instance = reader.unsigned("instanceId")
        name = reader.text(der.UTF8_STRING, "instanceName")
        production = _is_production(reader) if reader.remaining else False
        reader.end()
        return cls(zone, number, project, instance, name, production)

    def is_one_of(self, allowed: tuple[GcpInstance, ...]) -> bool:
        """Return whether the machine is among ``allowed``."""
        return any(
            one.project == self.project
            and one.zone in (None, self.zone)
            and one.instance_id in (None, self.instance_id)
            and one.instance_name in (None, self.instance_name)
            for one in allowed
        )

    def __str__(self) -> str:
        return f"project {self.project}, zone {self.zone}, {self.instance_name} ({self.instance_id})"


def _is_production(reader: der.DerReader) -> bool:
    """From the security properties; later properties are ignored."""
    outer = reader.inside(_PROPERTIES, "securityProperties")
    properties = outer.inside(der.SEQUENCE, "properties")
    outer.end()
    if properties.next_is(_SECURITY_VERSION):
        properties.inside(_SECURITY_VERSION, "securityVersion").unsigned("value")
    production = False
    if properties.next_is(_IS_PRODUCTION):
        value = properties.inside(_IS_PRODUCTION, "isProduction")
        production = value.element(der.BOOLEAN, "value") == _TRUE
        value.end()
    for tag in range(_IS_PRODUCTION + 1, _LAST_PROPERTY + 1):
        if properties.next_is(tag):
            properties.element(tag, "property")
    properties.end()
    return production
