"""The likely cause of a PCR or RTMR that differs: the first event that does, and what such an event is made by.

What the image decides is in PCR 4 (programs), 9 (command line and initrd) and 11 (sections of the kernel image), in
the order of its manifest. A TD has the first in RTMR 1, among events of the disk, and the others in RTMR 2, those of 11
first. What must be empty (PCR 12 and 13) needs no manifest, nor does PCR 2, which has a separator only.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from cloister.attestation.diagnosis import events
from cloister.attestation.diagnosis.events import EV_EFI_BOOT_SERVICES_APPLICATION, SEPARATOR, LoggedEvent
from cloister.attestation.result.cause import Cause, Likely
from cloister.attestation.result.verdict import Check
from cloister.attestation.tpm.ccel import Ccel
from cloister.attestation.tpm.eventlog import EventLog
from cloister.protocol.imagemanifest import ImageManifest

_PROGRAMS, _KERNEL_INPUTS, _SECTIONS = 4, 9, 11
_IMAGE_PCRS = (_PROGRAMS, _KERNEL_INPUTS, _SECTIONS)
_SECURE_BOOT_PCR = 7
_EMPTY = (12, 13)
_DRIVERS = 2
# By PCR where the policy pins a value of the platform, of which no manifest has the events.
_OF_PLATFORM = {
    0: Likely.FIRMWARE,
    1: Likely.MACHINE,
    2: Likely.DRIVER,
    3: Likely.DRIVER,
    5: Likely.DISK,
    6: Likely.MACHINE,
    7: Likely.SECURE_BOOT,
}


@dataclass(frozen=True)
class Expected:
    """An event that the image manifest lists: its description and its digest in the register's bank."""

    event: str
    digest: bytes


def explain_pcr(check: Check, log: EventLog, images: Sequence[ImageManifest], failed: frozenset[str]) -> Cause | None:
    """The cause of a failed ``pcr-N``, or None where there is nothing to say. ``failed`` are all failed checks."""
    index = int(check.name.removeprefix("pcr-"))
    if index not in (*_IMAGE_PCRS, *_EMPTY, *_OF_PLATFORM):
        return None
    place = f"PCR {index}"
    if other := _image_with(images, index, check.found):
        return Cause(check.name, Likely.IMAGE, place, check.expected, f"the value of {other}")
    if log.replay([index])[index].hex() != check.found:
        return Cause(check.name, Likely.UNKNOWN, place, "", "a log whose events do not lead to its value")
    logged = events.of_tpm(log, index)
    secure = events.secure_boot(events.of_tpm(log, _SECURE_BOOT_PCR))
    if index == _SECURE_BOOT_PCR:
        state = {True: "on", False: "off", None: "not measured"}[secure]
        return Cause(check.name, Likely.SECURE_BOOT, "PCR 7, the variable SecureBoot", "", state)
    expected = _expected(check, index, images)
    if expected is None:
        first = next((f"{one.describe()} first" for one in logged if not one.is_separator), "no events")
        return Cause(check.name, _without_list(index, secure, failed), place, "", first)
    number, wanted, found = first_difference(expected, logged)
    likely = _likely(index, number, expected, logged, secure, failed)
    return Cause(check.name, likely, f"event {number + 1} of {place}", wanted, found)


def explain_rtmr(check: Check, log: Ccel, images: Sequence[ImageManifest], failed: frozenset[str]) -> Cause | None:
    """The cause of a failed ``tdx-rtmr-N``, or None where there is nothing to say."""
    index = int(check.name.removeprefix("tdx-rtmr-"))
    place = f"RTMR {index}"
    if index > 2:
        return None
    if log.replay()[index].hex() != check.found:
        return Cause(check.name, Likely.UNKNOWN, place, "", "a log whose events do not lead to its value")
    logged = events.of_td(log, index)
    secure = events.secure_boot(events.of_td(log, 0))
    first = next((f"{one.describe()} first" for one in logged if not one.is_separator), "no events")
    if index == 0:
        other_firmware = not failed.isdisjoint(("tdx-mrtd", "gcp-mrtd"))
        return Cause(check.name, Likely.FIRMWARE if other_firmware else Likely.MACHINE, place, "", first)
    known = [image for image in images if image.events.get(_PROGRAMS) and image.events.get(_SECTIONS)]
    if not known:
        pair = {f"tdx-rtmr-{number}" for number in (1, 2)}
        alone = Likely.COMMAND_LINE if index == 2 else Likely.PROGRAM
        return Cause(check.name, Likely.IMAGE if pair <= failed else alone, place, "", first)
    if index == 1:
        return _programs_of_td(check, place, logged, known, secure)
    image = max(known, key=lambda one: first_difference(_td_sections(one), logged)[0])
    expected = _td_sections(image)
    number, wanted, found = first_difference(expected, logged)
    sections = len(image.events[_SECTIONS])
    likely = Likely.IMAGE if number < sections else Likely.COMMAND_LINE
    return Cause(check.name, likely, f"event {number + 1} of {place}", wanted, found)


def first_difference(expected: Sequence[Expected], logged: Sequence[LoggedEvent]) -> tuple[int, str, str]:
    """Position, what is expected there and what is found; the end of both if they are equal."""
    for number, (one, other) in enumerate(zip(expected, logged, strict=False)):
        if one.digest != other.digest:
            return number, f"{one.event} ({one.digest.hex()})", other.describe()
    number = min(len(expected), len(logged))
    wanted = (
        f"{expected[number].event} ({expected[number].digest.hex()})" if number < len(expected) else "no more events"
    )
    return number, wanted, logged[number].describe() if number < len(logged) else "no more events"


def _image_with(images: Sequence[ImageManifest], index: int, value: str) -> str:
    """The image that has this value of a register that identifies images, or nothing."""
    if index not in _IMAGE_PCRS:
        return ""
    image = next((one for one in images if one.pcrs.get(index) == value), None)
    return f"the image {image.flavor}, manifest {image.digest().hex()}" if image else ""


def _expected(check: Check, index: int, images: Sequence[ImageManifest]) -> tuple[Expected, ...] | None:
    """The events that lead to the expected value, None if they are not known."""
    if index in _EMPTY:
        return ()
    if index == _DRIVERS:
        only = hashlib.sha256(SEPARATOR).digest()
        value = hashlib.sha256(bytes(32) + only).hexdigest()
        return (Expected("EV_SEPARATOR: 00000000", only),) if value == check.expected else None
    image = next((one for one in images if one.pcrs.get(index) == check.expected and index in one.events), None)
    if image is None or index not in _IMAGE_PCRS:
        return None
    return tuple(Expected(one.event, bytes.fromhex(one.sha256)) for one in image.events[index])


def _without_list(index: int, secure: bool | None, failed: frozenset[str]) -> Likely:
    """The likely cause where the expected events are not known: which registers differ together says something."""
    if index in _OF_PLATFORM:
        return _OF_PLATFORM[index]
    if index == _KERNEL_INPUTS:
        return Likely.IMAGE if "pcr-11" in failed else Likely.COMMAND_LINE
    if index == _PROGRAMS and "pcr-11" not in failed:
        return Likely.SECURE_BOOT if secure else Likely.PROGRAM
    return Likely.IMAGE


def _likely(
    index: int,
    number: int,
    expected: Sequence[Expected],
    logged: Sequence[LoggedEvent],
    secure: bool | None,
    failed: frozenset[str],
) -> Likely:
    """The likely cause of the first difference, at position ``number``."""
    if index == _EMPTY[0]:
        return Likely.COMMAND_LINE if logged and logged[0].words() else Likely.HOST_INPUT
    if index == _EMPTY[1]:
        return Likely.HOST_INPUT
    if index == _DRIVERS:
        return Likely.DRIVER
    if index == _KERNEL_INPUTS and "pcr-11" not in failed:  # the image is the same: its parts are in PCR 11
        return Likely.COMMAND_LINE if number == 0 else Likely.HOST_INPUT
    if index == _PROGRAMS:
        wanted, found = [one.digest for one in expected], [one.digest for one in logged]
        if secure and found == wanted[:-1]:  # the stub starts the kernel itself, without the firmware
            return Likely.SECURE_BOOT
        if _is_within(wanted, found):
            return Likely.PROGRAM
    return Likely.IMAGE


def _programs_of_td(
    check: Check, place: str, logged: Sequence[LoggedEvent], images: Sequence[ImageManifest], secure: bool | None
) -> Cause:
    """RTMR 1: the image's programs, between events of the disk that no manifest has."""
    started = [one for one in logged if one.kind == EV_EFI_BOOT_SERVICES_APPLICATION]
    found = [one.digest for one in started]
    best: tuple[int, list[Expected]] = (-1, [])
    for image in images:
        programs = [Expected(one.event, bytes.fromhex(one.sha384)) for one in image.events[_PROGRAMS]]
        programs = [one for one in programs if one.event.startswith("EV_EFI_BOOT_SERVICES_APPLICATION")]
        wanted = [one.digest for one in programs]
        if found == wanted:
            other = next((one.describe() for one in logged if one not in started and not one.is_separator), "no other")
            return Cause(check.name, Likely.DISK, f"{place}, events besides the image's programs", "", other)
        if secure and found == wanted[:-1]:
            return Cause(check.name, Likely.SECURE_BOOT, place, programs[-1].event, "no more programs")
        if _is_within(wanted, found):
            more = next((one.describe() for one in started if one.digest not in wanted), "one of them twice")
            return Cause(check.name, Likely.PROGRAM, place, "the image's programs alone", more)
        number = first_difference(programs, started)[0]
        best = max(best, (number, programs), key=lambda pair: pair[0])
    number, wanted_text, found_text = first_difference(best[1], started)
    return Cause(check.name, Likely.IMAGE, f"program {number + 1} in {place}", wanted_text, found_text)


def _td_sections(image: ImageManifest) -> tuple[Expected, ...]:
    listed = (*image.events[_SECTIONS], *image.events.get(_KERNEL_INPUTS, ()))
    return tuple(Expected(one.event, bytes.fromhex(one.sha384)) for one in listed)


def _is_within(wanted: Sequence[bytes], found: Sequence[bytes]) -> bool:
    """Whether all of ``wanted`` occur in ``found``, in their order."""
    rest = iter(found)
    return all(one in rest for one in wanted)
