"""The workspace descriptor, which the platform team gives to the parties. They confirm its values first."""

from dataclasses import dataclass
from typing import Any, Self

from cloister.protocol import canonical, schema, signingkey
from cloister.protocol.bootconfig import BootConfiguration

MAX_SIZE = 1024 * 1024

ROLES = ("owner", "algorithm-provider", "dataset-provider", "result-consumer", "auditor")


@dataclass(frozen=True)
class MemberEntry:
    """A member's name, public key (SubjectPublicKeyInfo, DER) and roles."""

    name: str
    key: bytes
    roles: tuple[str, ...]


@dataclass(frozen=True)
class CvmEntry:
    """A confidential VM: ``endpoint`` is host:port, ``platform`` as in evidence (``local``, ``azure-snp``, ...)."""

    name: str
    endpoint: str
    platform: str
    boot_configuration: BootConfiguration


@dataclass(frozen=True)
class Budget:
    """What a workspace may cost in a month; who watches it is the platform team's matter."""

    amount: int
    currency: str


@dataclass(frozen=True)
class Descriptor:
    """A workspace as its parties see it."""

    workspace: str
    """Name of the workspace."""
    backend: str
    """``local``, ``azure`` or ``gcp``."""
    flavor: str
    """Flavor of the guest image."""
    image: str
    """Digest of the image manifest, hex."""
    members: tuple[MemberEntry, ...]
    cvms: tuple[CvmEntry, ...]
    authority: bytes | None
    """Certificate of the workspace's CA (DER); None unless the backend is ``local``."""
    budget: Budget | None = None

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """From JSON of at most 1 MiB. Raises FormatError."""
        what = "The workspace descriptor"
        return cls.from_value(canonical.parse(data, what=what, limit=MAX_SIZE))

    @classmethod
    def from_value(cls, value: Any) -> Self:
        """From the JSON value. Raises FormatError, also when a boot configuration belongs to another CVM."""
        what = "The workspace descriptor"
        schema.validate("descriptor", value, what=what)
        for place in ("members", "cvms"):
            names = [one["name"] for one in value[place]]
            if len(set(names)) != len(names):
                raise canonical.FormatError(f"{what}: two {place} have the same name.")
        cvms = []
        for cvm in value["cvms"]:
            configuration = BootConfiguration.parse(canonical.encode(cvm["boot_configuration"]))
            if (configuration.workspace, configuration.cvm) != (value["workspace"], cvm["name"]):
                raise canonical.FormatError(
                    f"{what}: the boot configuration of {cvm['name']} is for the CVM {configuration.cvm} "
                    f"of the workspace {configuration.workspace}."
                )
            if configuration.digest().hex() != cvm["boot_configuration_digest"]:
                raise canonical.FormatError(
                    f"{what}: the boot configuration of {cvm['name']} has the digest {configuration.digest().hex()}, "
                    f"not {cvm['boot_configuration_digest']}."
                )
            cvms.append(CvmEntry(cvm["name"], cvm["endpoint"], cvm["platform"], configuration))
        return cls(
            workspace=value["workspace"],
            backend=value["backend"],
            flavor=value["image"]["flavor"],
            image=value["image"]["manifest_digest"],
            members=tuple(_member(one, what) for one in value["members"]),
            cvms=tuple(cvms),
            authority=(
                canonical.from_base64(value["authority"], what=f"{what}: authority") if "authority" in value else None
            ),
            budget=Budget(**value["budget"]) if "budget" in value else None,
        )

    def value(self) -> dict[str, Any]:
        """The JSON value."""
        value: dict[str, Any] = {
            "version": 1,
            "workspace": self.workspace,
            "backend": self.backend,
            "image": {"flavor": self.flavor, "manifest_digest": self.image},
            "members": [
                {"name": one.name, "key": canonical.to_base64(one.key), "roles": list(one.roles)}
                for one in self.members
            ],
            "cvms": [
                {
                    "name": cvm.name,
                    "endpoint": cvm.endpoint,
                    "platform": cvm.platform,
                    "boot_configuration": canonical.parse(
                        cvm.boot_configuration.encode(), what="The boot configuration", limit=MAX_SIZE
                    ),
                    "boot_configuration_digest": cvm.boot_configuration.digest().hex(),
                }
                for cvm in self.cvms
            ],
        }
        if self.authority is not None:
            value["authority"] = canonical.to_base64(self.authority)
        if self.budget is not None:
            value["budget"] = {"amount": self.budget.amount, "currency": self.budget.currency}
        return value

    def encode(self) -> bytes:
        """Canonical JSON."""
        return canonical.encode(self.value())


def _member(value: dict[str, Any], what: str) -> MemberEntry:
    place = f"{what}: the key of {value['name']}"
    key = canonical.from_base64(value["key"], what=place)
    try:
        signingkey.load_public_key(key)
    except canonical.FormatError as error:
        raise canonical.FormatError(f"{place} cannot be used: {error.message}") from error
    return MemberEntry(value["name"], key, tuple(value["roles"]))
