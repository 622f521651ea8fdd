"""All measurements of the machines that boot an image: what ``invoke image.measure`` shows."""

from pathlib import Path

from cloister.attestation.launch.snp import MODELS
from cloister.errors import InputError
from image.platforms import firmware, reference, registers
from image.platforms.firmware import HostLaunch
from image.platforms.machine_value import MachineValue
from image.secureboot import prediction


def measure(folder: Path, firmware_file: str, processors: int, model: str, platform: str) -> tuple[MachineValue, ...]:
    """The values of the image in ``folder``, and of ``firmware_file`` if it is not empty; of one platform if named.

    Raises InputError.
    """
    launch = HostLaunch(processors, (model,) if model else tuple(MODELS), prediction.kernel_image(folder))
    if not firmware_file and (model or processors != HostLaunch.DEFAULT_PROCESSORS):
        raise InputError("--vcpus and --model describe a launch from a firmware.", hint="Pass --firmware, too.")
    if platform:
        reference.load(platform)
    values = registers.predict(folder)
    if firmware_file:
        values += firmware.measure(Path(firmware_file), launch)
    return reference.of_platform(platform, values) if platform else values
