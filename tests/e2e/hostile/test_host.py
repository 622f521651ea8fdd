"""What a host can change about the image's boot, and that parties detect it before they send data."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from cloister.attestation.result.verdict import Check
from cloister.attestation.tpm.eventlog import EventLog
from cloister.protocol.imagemanifest import KERNEL_IMAGE, ImageEvent, replayed
from image.build import measure
from image.formats import pe
from image.inputs import host_tools
from image.platforms import reference, registers
from image.platforms.machine_value import ValueKind
from infra.configuration.image import Image
from infra.provider.errors import ProviderError
from tests.e2e.hostile.boot_variables import with_load_options
from tests.e2e.hostile.host import HostileHost

pytestmark = pytest.mark.vm

_FIRMWARE_VARIABLES = "usr/share/OVMF/OVMF_VARS_4M.fd"
# systemd-stub measures command lines from outside into PCR 12 (systemd-stub(7)).
_FROM_OUTSIDE = 12


@pytest.fixture
def host(base_image: Image, tmp_path: Path) -> Iterator[HostileHost]:
    with HostileHost.create(tmp_path, base_image) as host:
        yield host


def test_changed_command_lines_are_detected_and_told_apart(host: HostileHost) -> None:
    """One in the boot entry's load options, which replaces the image's own; one in SMBIOS, which is appended.

    The disk is the VHD that Azure gets, as QEMU reads one: what it makes a machine measure is the same.
    """
    uki = (host.image.folder / KERNEL_IMAGE).read_bytes()
    own = pe.sections(uki)[".cmdline"].decode("ascii")
    entry, smbios = own.replace("lockdown=confidentiality", "lockdown=none"), "ia32_emulation=1"
    firmware = host_tools.ensure().path(_FIRMWARE_VARIABLES).read_bytes()
    host.boot(
        vhd=True,
        variables=with_load_options(firmware, host.image.disk.read_bytes(), entry),
        extra=["-smbios", f"type=11,value=io.systemd.stub.kernel-cmdline-extra={smbios}"],
    )

    with host.attest() as opening:
        found = opening.verdict.claims.pcrs
        log = EventLog.parse(opening.evidence.boot_event_log or b"")
    assert [check.name for check in opening.verdict.failures] == ["pcr-9", "pcr-12"]
    from_outside = [event.data.decode("utf-16-le").rstrip("\0") for event in log.events if event.pcr == _FROM_OUTSIDE]
    assert from_outside == [entry, smbios]
    assert found[_FROM_OUTSIDE].hex() == replayed([_text(entry), _text(smbios)])
    initrd = measure.predict(uki)[9][1]
    assert found[9].hex() == replayed([_text(f"{entry} {smbios}"), initrd])
    assert _other_than_said_before(host.image.folder, found) == {9, _FROM_OUTSIDE}
    _assert_nothing_is_uploaded(host, opening.verdict.failures)


@pytest.mark.rare
def test_kernel_image_with_one_flipped_bit_is_refused(host: HostileHost) -> None:
    """The bit makes an option of the command line unknown to the kernel, which boots without lockdown."""
    host.boot(disk=_flipped(host.image.disk.read_bytes(), b"lockdown=confidentiality", b"mockdown=confidentiality"))

    with host.attest() as opening:
        failures = opening.verdict.failures
    assert [check.name for check in failures] == ["pcr-4", "pcr-9", "pcr-11"]
    _assert_nothing_is_uploaded(host, failures)


@pytest.mark.rare
def test_root_with_one_flipped_bit_panics(host: HostileHost) -> None:
    """The bit is in a file name in a folder of the agent."""
    disk = _flipped(host.image.disk.read_bytes(), b"runner.pyshutdown", b"runner.pyrhutdown")
    with pytest.raises(ProviderError) as refused:
        host.boot(disk=disk)
    assert refused.value.message.splitlines()[0] == (
        "The CVM 'trainer' did not start: it restarted 2 times before it was ready. Its last milestone was 'root'."
    )
    assert refused.value.hint == "The disk may not match the image. Check it: invoke image.verify"


def _other_than_said_before(folder: Path, found: Mapping[int, bytes]) -> set[int]:
    """The registers of a machine that are not as `invoke image.measure --platform local` says before it exists."""
    firmware = host_tools.ensure().path("usr/share/OVMF/OVMF_CODE_4M.fd").read_bytes()
    said = {
        int(one.register.removeprefix("PCR ")): one.value
        for one in reference.of_platform("local", registers.predict(folder))
        # The value of PCR 0 was recorded for one firmware; the lock may have another one.
        if one.value and (one.kind is ValueKind.PREDICTED or hashlib.sha256(firmware).hexdigest() in one.of)
    }
    assert {2, 3, 4, 5, 6, 9, 11, 12, 13} <= said.keys()
    return {index for index, value in said.items() if found[index].hex() != value}


def _assert_nothing_is_uploaded(host: HostileHost, failures: tuple[Check, ...]) -> None:
    """A careless lab submits the manifest; the hospital's upload fails before any data is sent."""
    manifest = host.parties.manifest()
    with host.collude(host.parties.keys["lab"]) as session:
        session.submit_manifest(manifest.encode())
    done = host.upload()
    sentences = done.stderr.decode().splitlines()
    assert sentences[:-1] == ["Error: " + failures[0].sentence(), *(check.sentence() for check in failures[1:])]
    assert sentences[-1] == f"The machine is rejected: {', '.join(check.name for check in failures)} failed."
    assert (done.returncode, done.stdout) == (3, b"")
    with host.collude(host.parties.keys["hospital-1"]) as session:
        assert session.upload_offset("h1").offset == 0


def _flipped(disk: bytes, before: bytes, after: bytes) -> bytes:
    """``disk`` with the only occurrence of ``before`` replaced by ``after``, which differs in one bit."""
    different = int.from_bytes(before) ^ int.from_bytes(after)
    if disk.count(before) != 1 or different.bit_count() != 1:
        raise ValueError(f"{before!r} stands {disk.count(before)} times; {different.bit_count()} bits differ.")
    return disk.replace(before, after)


def _text(text: str) -> ImageEvent:
    """A command line as measured: UTF-16, terminated."""
    return ImageEvent.of(text, text.encode("utf-16-le") + b"\0\0")
