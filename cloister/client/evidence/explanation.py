"""Why a measurement differs, by an image manifest and a firmware that the party has."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

from cloister import userfile
from cloister.attestation.diagnosis.explain import Explainable, explained
from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.evidence import Evidence
from cloister.attestation.launch.firmware import MAX_SIZE, Firmware
from cloister.attestation.raw.kinds import Raw, logs_of
from cloister.client.files.image_file import load_image
from cloister.errors import InputError
from cloister.protocol.imagemanifest import ImageManifest
from cloister.userfile import FilePath

_Verdict = TypeVar("_Verdict", bound=Explainable)


@dataclass(frozen=True)
class Explanation:
    """What the party knows about its machines' launch: manifests of images, and firmware."""

    images: tuple[ImageManifest, ...] = ()
    firmware: tuple[Firmware, ...] = ()

    @classmethod
    def load(cls, image: FilePath | None = None, firmware: FilePath | None = None) -> Self:
        """From an image manifest and a firmware file (OVMF or IGVM); None for none. Raises InputError."""
        return cls(
            () if image is None else (load_image(Path(image)),),
            () if firmware is None else (_load_firmware(Path(firmware)),),
        )

    def of(self, verdict: _Verdict, evidence: Evidence | Raw) -> _Verdict:
        """``verdict`` with the likely causes of what failed; its checks and its decision stay as they are.

        ``evidence`` is what it is on.
        """
        given = evidence if isinstance(evidence, Evidence) else logs_of(evidence)
        return explained(verdict, given, self.images, self.firmware)


def _load_firmware(path: Path) -> Firmware:
    try:
        return Firmware.parse(userfile.read(path, MAX_SIZE))
    except OSError as error:
        raise userfile.unreadable(path, error) from error
    except MalformedEvidence as error:
        raise InputError(
            f"{path} is not a firmware for SEV-SNP or TDX: {error.place}.",
            hint="Pass the OVMF or IGVM file that the machine is launched with, with metadata for its hardware.",
        ) from error
