"""The likely cause of a launch digest or MRTD that no policy accepts: the known ways to launch, tried one by one.

Neither has a log. MRTD is decided by the firmware and the order in which the host measures it; a launch digest by the
firmware, the hashes of kernel, initrd and command line that the host hands to it, and number and model of the virtual
processors. All that is tried comes from the caller: its own firmware files and image manifests.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cloister.attestation.launch.firmware import Firmware
from cloister.attestation.launch.snp import MODELS, KernelHashes
from cloister.attestation.result.cause import Cause, Likely
from cloister.attestation.result.verdict import Check
from cloister.protocol.imagemanifest import KERNEL_IMAGE, ImageManifest

MAX_FIRMWARE, MAX_IMAGES, MAX_PROCESSORS = 4, 8, 256
"""How many of each are tried."""

_PLACE = "launch digest"


@dataclass(frozen=True)
class Launch:
    """One way to launch a machine. ``firmware`` is a number from 0; ``image`` names whose kernel is loaded, if any.

    ``host`` is that of a launch from an IGVM file, which has everything else.
    """

    firmware: int
    image: str = ""
    model: str = ""
    processors: int = 0
    host: str = ""

    def describe(self) -> str:
        """The launch for people."""
        if self.host:
            return f"firmware {self.firmware + 1}, an IGVM file on {self.host}"
        kernel = f"the kernel of the image {self.image}" if self.image else "no kernel from the host"
        count = f"{self.processors} virtual processor{'' if self.processors == 1 else 's'}"
        return f"firmware {self.firmware + 1}, {kernel}, {count} of the model {self.model}"


def explain_launch(
    check: Check, images: Sequence[ImageManifest], firmware: Sequence[Firmware], *, models: Sequence[str] = ()
) -> Cause | None:
    """The cause of a failed ``snp-launch-digest``, or None without a firmware to try. ``models`` restricts those tried.

    Models with the same signature have the same digests.
    """
    if not firmware:
        return None
    tried = dict(_launches(images, firmware, models or tuple(MODELS)))
    found = tried.get(bytes.fromhex(check.found))
    accepted = [tried[digest] for digest in map(_digest, check.expected.split(" or ")) if digest in tried]
    if found is None:
        likely = Likely.UNKNOWN
        if accepted:  # the policy's machines are launched from what was tried, this one is not
            likely = Likely.FIRMWARE if not images else Likely.IMAGE
        return Cause(check.name, likely, _PLACE, _listed(accepted), f"none of {len(tried)} known launches")
    nearest = max(accepted, key=lambda one: _agreement(one, found), default=None)
    return Cause(check.name, _difference(nearest, found), _PLACE, _listed(accepted), found.describe())


def explain_mrtd(check: Check, place: str, firmware: Sequence[Firmware]) -> Cause:
    """The cause of an MRTD that differs, with the files in ``firmware`` that lead to what is expected or found."""
    tried = {
        digest.hex(): f"firmware {number + 1}, {way}"
        for number, one in enumerate(firmware[:MAX_FIRMWARE])
        for way, digest in one.mrtds()
    }
    accepted = [tried[value] for value in check.expected.split(" or ") if value in tried]
    found = tried.get(check.found, check.found)
    return Cause(check.name, Likely.FIRMWARE, place, " or ".join(accepted) or check.expected, found)


def _launches(
    images: Sequence[ImageManifest], firmware: Sequence[Firmware], models: Sequence[str]
) -> Iterator[tuple[bytes, Launch]]:
    for number, file in enumerate(firmware[:MAX_FIRMWARE]):
        for host, digest in file.igvm_digests():
            yield digest, Launch(number, host=host)
        one = file.snp
        if one is None:
            continue
        kernels: list[tuple[str, KernelHashes | None]] = [("", None)]
        if one.takes_hashes:
            kernels += [
                (f"{image.flavor}, manifest {image.digest().hex()[:12]}", KernelHashes(bytes.fromhex(kernel.sha256)))
                for image in images[:MAX_IMAGES]
                if (kernel := image.outputs.get(KERNEL_IMAGE)) is not None
            ]
        for image, hashes in kernels:
            start = one.digest(hashes)
            for model in models:
                digests = one.launch_digests(start, MODELS[model], MAX_PROCESSORS)
                for count, digest in enumerate(digests, 1):
                    yield digest, Launch(number, image, model, count)


def _difference(nearest: Launch | None, found: Launch) -> Likely:
    if nearest is None or nearest.firmware != found.firmware:
        return Likely.FIRMWARE
    return Likely.IMAGE if nearest.image != found.image else Likely.PROCESSORS


def _agreement(one: Launch, other: Launch) -> tuple[bool, bool, bool]:
    return one.firmware == other.firmware, one.image == other.image, one.model == other.model


def _listed(launches: Sequence[Launch]) -> str:
    shown = sorted({one.describe() for one in launches})
    return " or ".join(shown[:3]) + (f" or {len(shown) - 3} others" if len(shown) > 3 else "")


def _digest(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:  # the policy names none
        return b""
