"""For each cause of a changed register: the first event that differs and the likely cause, also without a manifest."""

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import pytest

from cloister.attestation.diagnosis.explain import explained
from cloister.attestation.result.cause import Likely
from cloister.attestation.result.verdict import Verdict
from cloister.attestation.testkit import BootEvent, LocalMachine, Td
from cloister.protocol import schema
from cloister.protocol.canonical import FormatError
from cloister.protocol.imagemanifest import ImageEvent, ImageManifest
from tests.attestation.clouds import AT, BINDING, MANIFEST, Case

ACTION, SEPARATOR, TAG, IPL = 0x80000007, 0x4, 0x6, 0xD
PROGRAM, VARIABLE = 0x80000003, 0x80000001
SEP = bytes(4)


def variable(value: int) -> bytes:
    name = "SecureBoot"
    head = bytes(16) + len(name).to_bytes(8, "little") + (1).to_bytes(8, "little")
    return head + name.encode("utf-16-le") + bytes([value])


def command_line(text: str) -> bytes:
    return text.encode("utf-16-le") + b"\0\0"


OWN = "lockdown=confidentiality roothash=12ab"
PLATFORM = (
    BootEvent(0, 0x8, "firmware 1.0".encode("utf-16-le")),
    BootEvent(1, 0x8000000B, b"SMBIOS, 2 processors, 4 GiB"),
    BootEvent(7, VARIABLE, variable(0)),
    *(BootEvent(pcr, SEPARATOR, SEP) for pcr in (0, 1, 2, 3, 5, 6, 7)),
    BootEvent(5, 0x80000006, b"partition table"),
)
PROGRAMS = (
    BootEvent(4, ACTION, b"Calling EFI Application from Boot Option"),
    BootEvent(4, SEPARATOR, SEP),
    BootEvent(4, PROGRAM, b"the UKI"),
    BootEvent(4, PROGRAM, b"the kernel"),
)
SECTIONS = tuple(BootEvent(11, IPL, data) for data in (b".linux\0", b"the kernel", b".cmdline\0", OWN.encode()))
INPUTS = (BootEvent(9, TAG, command_line(OWN)), BootEvent(9, TAG, b"the initrd"))
BOOT = (*PLATFORM, *PROGRAMS, *SECTIONS, *INPUTS)


def listed(events: Sequence[BootEvent], pcr: int) -> tuple[ImageEvent, ...]:
    types = {ACTION: "EV_EFI_ACTION", PROGRAM: "EV_EFI_BOOT_SERVICES_APPLICATION", TAG: "EV_EVENT_TAG"}
    return tuple(
        ImageEvent(
            f"{types.get(event.kind, 'EV_IPL')}: {event.data[:20]!r}",
            hashlib.sha256(event.data).hexdigest(),
            hashlib.sha384(event.data).hexdigest(),
        )
        for event in events
        if event.pcr == pcr
    )


def image(events: Sequence[BootEvent], flavor: str = "base") -> ImageManifest:
    lists = {pcr: listed(events, pcr) for pcr in (4, 9, 11, 12, 13)}
    pcrs = {}
    for pcr, found in lists.items():
        value = bytes(32)
        for event in found:
            value = hashlib.sha256(value + bytes.fromhex(event.sha256)).digest()
        pcrs[pcr] = value.hex()
    return ImageManifest(flavor=flavor, debug=False, inputs={}, outputs={}, pcrs=pcrs, events=lists)


IMAGE = image(BOOT)
_OTHER_SECTIONS = tuple(dataclasses.replace(one, data=one.data.replace(b"12ab", b"34cd")) for one in SECTIONS)
OTHER_BOOT = (
    *PLATFORM,
    *PROGRAMS[:2],
    BootEvent(4, PROGRAM, b"another UKI"),
    PROGRAMS[3],
    *_OTHER_SECTIONS,
    BootEvent(9, TAG, command_line(OWN.replace("12ab", "34cd"))),
    INPUTS[1],
)


def replaced(old: BootEvent, *new: BootEvent) -> Callable[[tuple[BootEvent, ...]], tuple[BootEvent, ...]]:
    def change(boot: tuple[BootEvent, ...]) -> tuple[BootEvent, ...]:
        index = boot.index(old)
        return (*boot[:index], *new, *boot[index + 1 :])

    return change


class Row(NamedTuple):
    """What the host changes, and what must be said: check, cause, place, and words of what is found."""

    change: Callable[[tuple[BootEvent, ...]], tuple[BootEvent, ...]]
    with_manifest: tuple[tuple[str, Likely, str, str], ...]
    without: tuple[tuple[str, Likely], ...]


EXTRA = f"{OWN} lockdown=none"
ROWS: Mapping[str, Row] = {
    "command line in the boot entry": Row(
        lambda boot: (
            *replaced(INPUTS[0], BootEvent(9, TAG, command_line(EXTRA)))(boot),
            BootEvent(12, IPL, command_line(EXTRA)),
        ),
        (
            ("pcr-9", Likely.COMMAND_LINE, "event 1 of PCR 9", f"EV_EVENT_TAG, '{EXTRA}'"),
            ("pcr-12", Likely.COMMAND_LINE, "event 1 of PCR 12", f"EV_IPL, '{EXTRA}'"),
        ),
        (("pcr-9", Likely.COMMAND_LINE), ("pcr-12", Likely.COMMAND_LINE)),
    ),
    "credential": Row(
        lambda boot: (
            *replaced(INPUTS[1], BootEvent(9, TAG, b"the initrd and \xff"))(boot),
            BootEvent(12, IPL, b"\xff\xfe cpio"),
        ),
        (
            ("pcr-9", Likely.HOST_INPUT, "event 2 of PCR 9", "EV_EVENT_TAG, digest"),
            ("pcr-12", Likely.HOST_INPUT, "event 1 of PCR 12", "EV_IPL, digest"),
        ),
        (("pcr-9", Likely.COMMAND_LINE), ("pcr-12", Likely.HOST_INPUT)),
    ),
    "system extension": Row(
        lambda boot: (*boot, BootEvent(13, IPL, b"\xff sysext")),
        (("pcr-13", Likely.HOST_INPUT, "event 1 of PCR 13", "EV_IPL, digest"),),
        (("pcr-13", Likely.HOST_INPUT),),
    ),
    "another image": Row(
        lambda _: OTHER_BOOT,
        (
            ("pcr-4", Likely.IMAGE, "event 3 of PCR 4", "'another UKI'"),
            ("pcr-9", Likely.IMAGE, "event 1 of PCR 9", "34cd"),
            ("pcr-11", Likely.IMAGE, "event 4 of PCR 11", "34cd"),
        ),
        (("pcr-4", Likely.IMAGE), ("pcr-9", Likely.IMAGE), ("pcr-11", Likely.IMAGE)),
    ),
    "another program first": Row(
        replaced(PROGRAMS[2], BootEvent(4, PROGRAM, b"a boot loader"), PROGRAMS[2]),
        (("pcr-4", Likely.PROGRAM, "event 3 of PCR 4", "'a boot loader'"),),
        (("pcr-4", Likely.PROGRAM),),
    ),
    "Secure Boot": Row(
        lambda boot: replaced(PLATFORM[2], BootEvent(7, VARIABLE, variable(1)))(replaced(PROGRAMS[3])(boot)),
        (
            ("pcr-4", Likely.SECURE_BOOT, "event 4 of PCR 4", "no more events"),
            ("pcr-7", Likely.SECURE_BOOT, "PCR 7, the variable SecureBoot", "on"),
        ),
        (("pcr-4", Likely.SECURE_BOOT), ("pcr-7", Likely.SECURE_BOOT)),
    ),
    "driver": Row(
        lambda boot: (BootEvent(2, 0x80000004, b"an option ROM"), *boot),
        (("pcr-2", Likely.DRIVER, "event 1 of PCR 2", "EV_EFI_BOOT_SERVICES_DRIVER, 'an option ROM'"),),
        (("pcr-2", Likely.DRIVER),),
    ),
    "firmware": Row(
        replaced(PLATFORM[0], BootEvent(0, 0x8, "firmware 2.0".encode("utf-16-le"))),
        (("pcr-0", Likely.FIRMWARE, "PCR 0", "'firmware 2.0'"),),
        (("pcr-0", Likely.FIRMWARE),),
    ),
    "processors or memory": Row(
        replaced(PLATFORM[1], BootEvent(1, 0x8000000B, b"SMBIOS, 8 processors, 32 GiB")),
        (("pcr-1", Likely.MACHINE, "PCR 1", "8 processors"),),
        (("pcr-1", Likely.MACHINE),),
    ),
    "partition table": Row(
        replaced(PLATFORM[-1], BootEvent(5, 0x80000006, b"another table")),
        (("pcr-5", Likely.DISK, "PCR 5", "'another table'"),),
        (("pcr-5", Likely.DISK),),
    ),
}
PINNED = (0, 1, 2, 5, 7)


@pytest.fixture(scope="module")
def machine() -> LocalMachine:
    made = LocalMachine.create(AT, manifest_digest=MANIFEST)
    return dataclasses.replace(made, boot_events=BOOT)


def appraised(machine: LocalMachine, boot: tuple[BootEvent, ...]) -> tuple[Verdict, Case]:
    """The verdict on a machine with another boot, under a policy that pins all of the genuine one."""
    pcrs = machine.pcrs()
    policy = machine.policy(platform_pcrs={index: pcrs[index] for index in PINNED})
    case = Case(dataclasses.replace(machine, boot_events=boot).evidence(BINDING), policy, ())
    return case.verdict(), case


@pytest.mark.parametrize("name", ROWS)
def test_each_cause_is_named_with_its_first_event(machine: LocalMachine, name: str) -> None:
    row = ROWS[name]
    verdict, case = appraised(machine, row.change(BOOT))
    assert [check.name for check in verdict.failures] == [one[0] for one in row.with_manifest]
    assert [(cause.check, cause.likely) for cause in verdict.causes] == list(row.without)

    found = explained(verdict, case.evidence, [IMAGE])
    assert [(cause.check, cause.likely, cause.place) for cause in found.causes] == [
        one[:3] for one in row.with_manifest
    ]
    for cause, (*_, words) in zip(found.causes, row.with_manifest, strict=True):
        assert words in cause.found
        assert cause.sentence().startswith(f"{cause.check}: likely {cause.likely}. ")
    schema.validate("verdict", found.value(), what="The verdict")
    assert found.value()["diagnosis"] == [cause.value() for cause in found.causes]
    # An explanation changes nothing else.
    assert dataclasses.replace(found, causes=()) == dataclasses.replace(verdict, causes=())
    assert not found.accepted


def test_image_that_the_caller_has_is_named(machine: LocalMachine) -> None:
    other = image(OTHER_BOOT, "pytorch")
    verdict, case = appraised(machine, OTHER_BOOT)
    found = explained(verdict, case.evidence, [IMAGE, other])
    name = f"the value of the image pytorch, manifest {other.digest().hex()}"
    assert [(cause.likely, cause.found) for cause in found.causes] == [(Likely.IMAGE, name)] * 3


def test_log_that_does_not_lead_to_the_registers_explains_nothing(machine: LocalMachine) -> None:
    """A host can write any log: only one that leads to the quoted value says what was measured."""
    boot = ROWS["command line in the boot entry"].change(BOOT)
    _, case = appraised(machine, boot)
    lied = dataclasses.replace(case.evidence, boot_event_log=machine.evidence(BINDING).boot_event_log)
    found = explained(case.but(evidence=lied).verdict(), lied, [IMAGE])
    assert {cause.likely for cause in found.causes} == {Likely.UNKNOWN}
    assert all("the cause is not known" in cause.sentence() for cause in found.causes)


def test_text_that_the_digest_does_not_cover_is_not_shown(machine: LocalMachine) -> None:
    from cloister.attestation.diagnosis.events import LoggedEvent

    event = LoggedEvent(IPL, b"\1" * 32, command_line("quiet"), covered=False)
    assert event.words() is None
    assert "quiet" not in event.describe()
    hostile = LoggedEvent(IPL, b"\1" * 32, b"\x1b[2J" + b"x" * 4096, covered=True)
    assert len(hostile.describe()) < 300
    assert hostile.describe().isprintable()


def test_accepted_verdict_has_no_causes(machine: LocalMachine) -> None:
    verdict, case = appraised(machine, BOOT)
    assert verdict.accepted
    other = image(OTHER_BOOT)
    assert explained(verdict, case.evidence, [other]) == verdict
    assert "diagnosis" not in verdict.value()


def test_manifest_whose_events_do_not_lead_to_its_registers_is_invalid() -> None:
    assert ImageManifest.parse(IMAGE.encode()) == IMAGE
    wrong = dataclasses.replace(IMAGE, pcrs={**IMAGE.pcrs, 9: "00" * 32})
    with pytest.raises(FormatError, match="the events of PCR 9 do not lead to its value"):
        ImageManifest.parse(wrong.encode())


def in_rtmrs(boot: Sequence[BootEvent]) -> tuple[BootEvent, ...]:
    """The events as a TD's firmware measures them: register 1 to 4 for RTMR 0 to 3."""
    registers = {0: 1, 1: 1, 7: 1, 9: 3, 11: 3, 12: 3, 13: 3}
    return tuple(dataclasses.replace(event, pcr=registers.get(event.pcr, 2)) for event in boot)


TD_ROWS: Mapping[
    str, tuple[Callable[[tuple[BootEvent, ...]], tuple[BootEvent, ...]], tuple[tuple[str, Likely, str], ...]]
] = {
    "command line": (
        lambda boot: (*boot, BootEvent(12, IPL, command_line("quiet"))),
        (("tdx-rtmr-2", Likely.COMMAND_LINE, "event 7 of RTMR 2"),),
    ),
    "changed command line": (
        replaced(INPUTS[0], BootEvent(9, TAG, command_line(EXTRA))),
        (("tdx-rtmr-2", Likely.COMMAND_LINE, "event 5 of RTMR 2"),),
    ),
    "another image": (
        lambda _: OTHER_BOOT,
        (("tdx-rtmr-1", Likely.IMAGE, "program 1 in RTMR 1"), ("tdx-rtmr-2", Likely.IMAGE, "event 4 of RTMR 2")),
    ),
    "another program": (
        replaced(PROGRAMS[2], BootEvent(4, PROGRAM, b"a boot loader"), PROGRAMS[2]),
        (("tdx-rtmr-1", Likely.PROGRAM, "RTMR 1"),),
    ),
    "partition table": (
        replaced(PLATFORM[-1], BootEvent(5, 0x80000006, b"another table")),
        (("tdx-rtmr-1", Likely.DISK, "RTMR 1, events besides the image's programs"),),
    ),
    "Secure Boot": (
        lambda boot: replaced(PLATFORM[2], BootEvent(7, VARIABLE, variable(1)))(replaced(PROGRAMS[3])(boot)),
        (("tdx-rtmr-1", Likely.SECURE_BOOT, "RTMR 1"), ("tdx-rtmr-0", Likely.MACHINE, "RTMR 0")),
    ),
    "processors or memory": (
        replaced(PLATFORM[1], BootEvent(1, 0x8000000B, b"SMBIOS, 8 processors, 32 GiB")),
        (("tdx-rtmr-0", Likely.MACHINE, "RTMR 0"),),
    ),
}


@pytest.mark.parametrize("name", TD_ROWS)
def test_each_cause_in_a_td_is_named(name: str) -> None:
    change, expected = TD_ROWS[name]
    td = dataclasses.replace(Td.create(AT, manifest_digest=MANIFEST), boot_events=in_rtmrs(BOOT))
    reference = td.image()
    assert reference.tdx is not None
    rtmrs = {**reference.tdx.rtmrs, 0: td.report(bytes(64)).rtmr0}
    pinned = dataclasses.replace(reference, tdx=dataclasses.replace(reference.tdx, rtmrs=rtmrs))
    changed = dataclasses.replace(td, boot_events=in_rtmrs(change(BOOT)))
    case = Case(
        changed.evidence(BINDING), td.policy(images=(pinned,)), (td.intel.anchor(),), collateral=td.intel.collateral()
    )
    verdict = case.verdict()
    found = explained(verdict, case.evidence, [IMAGE])
    assert {(cause.check, cause.likely, cause.place) for cause in found.causes} == set(expected)
    assert [cause.check for cause in found.causes] == [check.name for check in verdict.failures]
    schema.validate("verdict", found.value(), what="The verdict")
    for cause in verdict.causes:  # without a manifest there is a cause, too
        assert cause.sentence()


def test_other_firmware_of_a_td_is_named() -> None:
    td = Td.create(AT, manifest_digest=MANIFEST)
    evidence = td.evidence(BINDING, {"mr_td": hashlib.sha384(b"another").digest()})
    case = Case(evidence, td.policy(), (td.intel.anchor(),), collateral=td.intel.collateral())
    (cause,) = case.verdict().causes
    assert (cause.check, cause.likely, cause.place) == ("tdx-mrtd", Likely.FIRMWARE, "MRTD")
