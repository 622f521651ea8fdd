"""The images that a policy names: reference values that a machine must have to have booted one of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Self

from cloister.attestation.errors import PolicyError
from cloister.attestation.tdx.policy import TdxReference

ZERO = bytes(32)
"""The value of a register without measurements."""

IMAGE_PCRS = (4, 9, 11)
"""The registers that identify an image."""

ZERO_PCRS = (12, 13)
"""The registers for input from outside the image (systemd-stub(7)), which must have no measurements."""


@dataclass(frozen=True)
class ImageReference:
    """Reference values of one image.

    flavor: the name of its recipe.
    debug: whether it gives access for debugging.
    manifest_digest: SHA-256 of its image manifest.
    pcrs: at least PCR 4, 9 and 11 (SHA-256) by index.
    launch_digests: SHA-384 launch digests for the platform ``sev-snp``, one for each number of processors; empty
    rejects
        machines of that platform.
    tdx: values for the platforms ``tdx`` and ``gcp-tdx``; None rejects machines of these platforms.
    """

    flavor: str
    debug: bool
    manifest_digest: bytes
    pcrs: Mapping[int, bytes]
    launch_digests: tuple[bytes, ...] = ()
    tdx: TdxReference | None = None

    def __post_init__(self) -> None:
        """Nothing in a policy can be changed."""
        object.__setattr__(self, "pcrs", MappingProxyType(dict(self.pcrs)))

    @classmethod
    def from_value(cls, value: Mapping[str, Any]) -> Self:
        """From a member of the policy's list ``images``, which has passed the schema."""
        return cls(
            flavor=value["flavor"],
            debug=value["debug"],
            manifest_digest=bytes.fromhex(value["manifest_digest"]),
            pcrs={int(index): bytes.fromhex(digest) for index, digest in value["pcrs"].items()},
            launch_digests=tuple(bytes.fromhex(digest) for digest in value.get("snp", {}).get("launch_digests", ())),
            tdx=TdxReference.from_value(value["tdx"]) if "tdx" in value else None,
        )

    def value(self) -> dict[str, Any]:
        """The JSON value."""
        value: dict[str, Any] = {
            "flavor": self.flavor,
            "debug": self.debug,
            "manifest_digest": self.manifest_digest.hex(),
            "pcrs": {str(index): digest.hex() for index, digest in sorted(self.pcrs.items())},
        }
        if self.launch_digests:
            value["snp"] = {"launch_digests": [digest.hex() for digest in self.launch_digests]}
        if self.tdx is not None:
            value["tdx"] = self.tdx.value()
        return value


def check(images: Iterable[ImageReference]) -> None:
    """Raises PolicyError for an image without its values, or with the values of another that differs in ``debug``."""
    kinds: dict[tuple[str, tuple[bytes, ...]], bool] = {}

    def known(image: ImageReference, values: tuple[bytes, ...], member: str) -> None:
        if kinds.setdefault((member, values), image.debug) != image.debug:
            raise PolicyError(
                f"The policy lists one image both as a debug image ({image.flavor}) and as a normal one: "
                f"two images have the same {member}.",
                hint="Keep the entry whose manifest you trust.",
            )

    for image in images:
        if any(index not in image.pcrs for index in IMAGE_PCRS):
            raise PolicyError(f"The policy does not give all of PCR 4, 9 and 11 of the image {image.flavor}.")
        if any(image.pcrs.get(index, ZERO) != ZERO for index in ZERO_PCRS):
            raise PolicyError(f"The policy gives PCR 12 or 13 of the image {image.flavor} a value other than zero.")
        known(image, tuple(image.pcrs[index] for index in IMAGE_PCRS), "PCR 4, 9 and 11")
        for digest in image.launch_digests:
            known(image, (digest,), "launch digest")
        if image.tdx is not None:
            known(image, (image.tdx.rtmrs[1], image.tdx.rtmrs[2]), "RTMR 1 and 2")
