"""The cloud disk on a machine that claims to be on Google Cloud but is not confidential: the agent reports that."""

import sys
from pathlib import Path

import pytest

from cloister.protocol.bootconfig import BootConfiguration
from image.inputs import host_tools
from infra.configuration.image import Image
from infra.paths import private_folder
from infra.processes import start
from infra.provider import certificates
from infra.provider.qemu import accelerator, machine, vtpm
from tests.e2e import metadata_answer

pytestmark = pytest.mark.vm

_SECONDS = 240
_NETWORK = "169.254.169.0/24"
_SERVER = "169.254.169.254"


@pytest.mark.rare
def test_image_detects_google_and_uses_its_metadata_server(base_image: Image, tmp_path: Path) -> None:
    """The disk is the VHD on SCSI; the boot configuration comes over HTTP, not fw_cfg."""
    tools, place = host_tools.ensure(), private_folder(tmp_path / "machine")
    machine.prepare(place, tools, base_image.disk, b"")
    attribute = place / "attribute.json"
    attribute.write_bytes(BootConfiguration("trial", "trainer", ("0" * 64,)).encode())
    authority = certificates.create_authority("trial", private_folder(tmp_path / "authority"))
    vtpm.create(
        tools, place, lambda point: certificates.certify(tmp_path / "authority", authority, point, "trial/trainer")
    )
    vtpm.start_for_qemu(tools, place)

    hardware = machine.Hardware("trial/trainer", 2, 2 << 30, 1, console=False)
    words = _as_google(machine.argv(tools, hardware, accelerator.choose(tools)), base_image.folder, attribute)
    try:
        start(words, place, machine.QEMU_LOG, tools.environment()).wait(_SECONDS)
    finally:
        machine.stop(place)

    lines = (place / "serial.log").read_text("utf-8", "replace").split("\n")
    said = [line.strip() for line in lines if line.strip()]
    names = [line.partition(" ")[0] for line in said]
    # The agent starts while init works.
    assert (names[-6:-4], sorted(names[-4:-1])) == (["initrd", "root"], ["agent", "init", "runner"])
    assert said[-1] == "failed The machine is not a confidential VM: the kernel found neither SEV-SNP nor TDX."
    (request,) = (place / "requests.log").read_text().strip().split("\n\n")
    assert request.startswith(f"GET {metadata_answer.PATH} HTTP/1.1\n")
    assert f"Host: {_SERVER}" in request.split("\n")


def _as_google(words: list[str], image: Path, attribute: Path) -> list[str]:
    """QEMU's arguments with another product name, disk and network, without milestone port and fw_cfg file."""
    # QEMU's sandbox would not allow it to start the metadata server's stand-in.
    for option in ("-sandbox", "-netdev", "-fw_cfg"):
        place = words.index(option)
        del words[place : place + 2]
    for device in ("virtio-blk-pci,drive=disk,bootindex=1", "virtio-serial-pci"):
        place = words.index(device)
        del words[place - 1 : place + 1]
    milestone = words.index(next(word for word in words if word.startswith("virtserialport")))
    del words[milestone - 1 : milestone + 1]
    answer = f"{sys.executable} {metadata_answer.__file__} {attribute} requests.log"
    forwarded = f"guestfwd=tcp:{_SERVER}:80-cmd:{answer}"
    return [
        *words,
        *("-smbios", "type=1,manufacturer=Google,product=Google Compute Engine"),
        *("-netdev", f"user,id=net,restrict=on,net={_NETWORK},host=169.254.169.2,dns=169.254.169.3,{forwarded}"),
        *("-blockdev", f"driver=vpc,node-name=vhd,read-only=on,file.driver=file,file.filename={image / 'disk.vhd'}"),
        *("-device", "virtio-scsi-pci", "-device", "scsi-hd,drive=vhd,bootindex=1"),
        *("-serial", "file:serial.log"),
    ]
