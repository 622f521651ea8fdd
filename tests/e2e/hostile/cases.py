"""What a host can do to the image's boot, and what comes of each: the table of `invoke test.hostile`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias
from uuid import UUID

from cloister.protocol.imagemanifest import KERNEL_IMAGE
from image.formats import disk, pe, verity
from image.inputs import host_tools
from image.secureboot import authenticode, enrolment, prediction
from image.secureboot.keys import Certificates, Signer
from infra.configuration.image import Image
from tests.e2e.hostile.boot_variables import with_load_options
from tests.e2e.hostile.disk import ESP, ROOT, VERITY, HostileDisk, esp, flipped, flipped_at
from tests.e2e.hostile.host import HostChanges
from tests.image.secureboot.test_enrolment import EFITOOLS
from tests.image.small_programs import efi_program

_VARIABLES = "usr/share/OVMF/OVMF_VARS_4M.fd"
_EXTRA = f"{disk.BOOT_FILE}.extra.d"
_DENIED = "Access Denied"
_LABEL = 43  # fatgen103, page 11: BS_VolLab


@dataclass(frozen=True)
class NoBoot:
    """The machine does not get to its agent: ``after`` is its last milestone, ``says`` words on its console."""

    after: str = ""
    says: str = ""

    def sentence(self) -> str:
        if self.says:
            return "firmware does not start it"
        return "does not boot: the kernel panics" + (f" after the milestone `{self.after}`" if self.after else "")


@dataclass(frozen=True)
class Detected:
    """The verdict rejects the machine, for exactly these checks."""

    checks: tuple[str, ...]

    def sentence(self) -> str:
        return f"rejected: {', '.join(self.checks)}"


@dataclass(frozen=True)
class Same:
    """The same measured image runs. These registers differ, which the policy does not judge: the verdict names each."""

    unjudged: tuple[int, ...] = ()

    def sentence(self) -> str:
        if not self.unjudged:
            return "the same image runs; no register differs"
        differs = ", ".join(f"PCR {index}" for index in self.unjudged)
        return f"the same image runs; the verdict names {differs} as not judged"


Outcome: TypeAlias = NoBoot | Detected | Same
Change: TypeAlias = Callable[[Image, Path], HostChanges]
"""From the image and a folder for files: the arguments of ``HostileHost.boot``."""


@dataclass(frozen=True)
class Case:
    """What the host changes, and the outcome; ``secure`` for a machine with Secure Boot."""

    what: str
    change: Change
    outcome: Outcome
    secure: bool = False


def _disk(change: Callable[[HostileDisk], HostileDisk]) -> Change:
    return lambda image, _: {"disk": change(HostileDisk.of(image.disk.read_bytes())).contents()}


def _bit(partition: int, change: Callable[[bytes], bytes]) -> Change:
    return _disk(lambda disk: disk.change(partition, change))


def _files(files: Mapping[str, bytes]) -> Change:
    return _disk(lambda disk: disk.with_files(dict(files)))


def _in_uki(place: Callable[[bytes], int]) -> Change:
    """A bit of the UKI, at an offset that follows from its contents."""

    def change(image: Image, _: Path) -> HostChanges:
        uki = _uki(image)
        flip = flipped_at(place(uki))
        changed = HostileDisk.of(image.disk.read_bytes()).change(ESP, lambda volume: _put(volume, uki, flip(uki)))
        return {"disk": changed.contents()}

    return change


def _put(volume: bytes, uki: bytes, other: bytes) -> bytes:
    """Another UKI of the same size in place of the one in the volume."""
    if volume.count(uki) != 1 or len(uki) != len(other):
        raise ValueError("The volume does not hold the UKI in one piece, or the other has another size.")
    return volume.replace(uki, other)


def _uki(image: Image) -> bytes:
    return prediction.kernel_image(image.folder).read_bytes()


def _section(name: str, offset: int) -> Callable[[bytes], int]:
    def place(uki: bytes) -> int:
        (section,) = (one for one in pe.Headers.parse(uki).sections if one.name == name)
        return section.raw_offset + offset

    return place


def _time_stamp(uki: bytes) -> int:
    """COFF's TimeDateStamp, which nothing reads."""
    return pe.Headers.parse(uki).signature + 8


def _kernel_time_stamp(uki: bytes) -> int:
    return _section(".linux", _time_stamp(pe.sections(uki)[".linux"]))(uki)


def _changed_uki(image: Image) -> bytes:
    """A UKI of the host's: without lockdown, and without a signature."""
    return flipped(b"lockdown=confidentiality", b"mockdown=confidentiality")((image.folder / KERNEL_IMAGE).read_bytes())


def _other_root(image: Image, _: Path) -> HostChanges:
    """A root that differs in one bit, with a hash tree that matches it, under the names and identifiers of its own."""
    root = flipped(b"runner.pyshutdown", b"runner.pyrhutdown")((image.folder / "root.erofs").read_bytes())
    tree = verity.hash_tree(root, salt=bytes(32), identifier=UUID(int=1))
    uki = (image.folder / KERNEL_IMAGE).read_bytes()
    return {"disk": disk.build(uki, root, tree.contents, tree.root_hash)}


def _second_esp(at: int, uki: Callable[[Image], bytes]) -> Change:
    return lambda image, _: {
        "disk": HostileDisk.of(image.disk.read_bytes()).with_partition(esp(uki(image)), at).contents()
    }


def _smbios(image: Image, _: Path) -> HostChanges:
    return {"extra": ["-smbios", "type=11,value=io.systemd.stub.kernel-cmdline-extra=lockdown=none"]}


def _boot_entry(image: Image, _: Path, *, options: str = "") -> HostChanges:
    store = host_tools.ensure().path(_VARIABLES).read_bytes()
    if image.keys:
        store = enrolment.enrolled(store, image.keys)
    return {"variables": with_load_options(store, image.disk.read_bytes(), options)}


def _acpi(_: Image, folder: Path) -> HostChanges:
    (folder / "body.aml").write_bytes(b"\x08HOST\x01")  # Name (HOST, One)
    return {"extra": ["-acpitable", f"sig=SSDT,rev=2,data={folder / 'body.aml'}"]}


def _handed_over(image: Image, _: Path) -> HostChanges:
    return {"extra": ["-kernel", str(image.folder / KERNEL_IMAGE)]}


def _unsigned(image: Image, _: Path) -> HostChanges:
    return {"disk": _with_uki(image, lambda uki: uki)}


def _signed_otherwise(image: Image, _: Path) -> HostChanges:
    return {"disk": _with_uki(image, _sign_otherwise)}


def _sign_otherwise(uki: bytes) -> bytes:
    return authenticode.sign(uki, Signer.load(EFITOOLS, "KEK"))


def _with_uki(image: Image, change: Callable[[bytes], bytes]) -> bytes:
    """The disk with the unsigned UKI, after ``change``, in place of the signed one."""
    base = image.folder.with_name(image.folder.name.removesuffix("-signed"))
    uki, root, tree = ((base / name).read_bytes() for name in (KERNEL_IMAGE, "root.erofs", "root.verity"))
    return disk.build(change(uki), root, tree, verity.root_hash(tree))


def _without_keys(_: Image, __: Path) -> HostChanges:
    return {"variables": host_tools.ensure().path(_VARIABLES).read_bytes()}


def _other_keys(image: Image, _: Path) -> HostChanges:
    """The host's own keys, and the image's UKI signed with them."""
    keys = Certificates(*((EFITOOLS / f"{name}.der").read_bytes() for name in ("PK", "KEK", "KEK")))
    store = host_tools.ensure().path(_VARIABLES).read_bytes()
    return {"variables": enrolment.enrolled(store, keys), "disk": _with_uki(image, _sign_otherwise)}


_ADDON = pe.append_sections(efi_program(), [(".cmdline", b"lockdown=none")])
_OF_UKI = ("pcr-4", "pcr-9", "pcr-11")
_LOCKDOWN = flipped(b"lockdown=confidentiality", b"mockdown=confidentiality")

CASES: Mapping[str, Case] = {
    # One bit in each partition.
    "bit-label": Case("one bit of the ESP's label", _bit(ESP, flipped_at(_LABEL)), Same()),
    "bit-header": Case("one bit of the UKI's header", _in_uki(_time_stamp), Detected(("pcr-4",))),
    "bit-command-line": Case("one bit of the command line in the UKI", _bit(ESP, _LOCKDOWN), Detected(_OF_UKI)),
    "bit-os-release": Case(
        "one bit of os-release in the UKI", _bit(ESP, flipped(b"PRETTY_NAME", b"QRETTY_NAME")), Detected(_OF_UKI)
    ),
    "bit-kernel": Case("one bit of the kernel in the UKI", _in_uki(_kernel_time_stamp), Detected(("pcr-4", "pcr-11"))),
    "bit-initrd": Case("one bit of the initrd in the UKI", _in_uki(_section(".initrd", 0)), NoBoot()),
    "bit-root-superblock": Case("one bit of the root's superblock", _bit(ROOT, flipped_at(1024)), NoBoot("initrd")),
    "bit-root": Case(
        "one bit of a file in the root",
        _bit(ROOT, flipped(b"runner.pyshutdown", b"runner.pyrhutdown")),
        NoBoot("root"),
    ),
    "bit-tree-superblock": Case(
        "one bit of the hash tree's superblock, which nothing reads", _bit(VERITY, flipped_at(20)), Same()
    ),
    "bit-tree-root": Case(
        "one bit of the hash tree's first block", _bit(VERITY, flipped_at(verity.BLOCK_SIZE)), NoBoot("initrd")
    ),
    "bit-tree": Case(
        "one bit of the hash tree's leaves", _bit(VERITY, flipped_at(2 * verity.BLOCK_SIZE)), NoBoot("initrd")
    ),
    "other-root": Case("root and hash tree of another image", _other_root, NoBoot("initrd")),
    # What lies beside the UKI.
    "second-esp": Case("a second ESP with the same UKI", _second_esp(3, _uki), Same((5, 10))),
    "second-esp-first": Case(
        "a second ESP with another UKI, before the image's", _second_esp(0, _changed_uki), Detected(_OF_UKI)
    ),
    "addon": Case(
        "an addon beside the UKI",
        _files({f"{_EXTRA}/host.addon.efi": _ADDON}),
        Detected(("pcr-4", "pcr-9", "pcr-12")),
    ),
    "global-addon": Case(
        "an addon for every UKI",
        _files({"loader/addons/host.addon.efi": _ADDON}),
        Detected(("pcr-4", "pcr-9", "pcr-12")),
    ),
    "credential": Case(
        "a credential beside the UKI", _files({f"{_EXTRA}/host.cred": b"host"}), Detected(("pcr-9", "pcr-12"))
    ),
    "global-credential": Case(
        "a credential for every UKI", _files({"loader/credentials/host.cred": b"host"}), Detected(("pcr-9", "pcr-12"))
    ),
    "sysext": Case(
        "a system extension beside the UKI",
        _files({f"{_EXTRA}/host.sysext.raw": b"host"}),
        Detected(("pcr-9", "pcr-13")),
    ),
    "confext": Case(
        "a configuration extension beside the UKI",
        _files({f"{_EXTRA}/host.confext.raw": b"host"}),
        Detected(("pcr-9", "pcr-12")),
    ),
    "random-seed": Case("a random seed for the kernel", _files({"loader/random-seed": bytes(32)}), Same()),
    # What the host hands over.
    "boot-entry": Case("a boot entry of the host's, without options", _boot_entry, Same((1, 10))),
    "boot-entry-options": Case(
        "a command line in a boot entry", partial(_boot_entry, options="lockdown=none"), Detected(("pcr-9", "pcr-12"))
    ),
    "smbios": Case("a command line in SMBIOS", _smbios, Detected(("pcr-9", "pcr-12"))),
    "acpi": Case("an ACPI table (SSDT)", _acpi, Same((1, 10))),
    "kernel": Case("the image's UKI, handed over in place of the disk's", _handed_over, Detected(("pcr-4",))),
    # With Secure Boot.
    "secure": Case("nothing, with Secure Boot", lambda *_: {}, Same(), secure=True),
    "secure-unsigned": Case("the unsigned UKI, with Secure Boot", _unsigned, NoBoot(says=_DENIED), secure=True),
    "secure-other-key": Case(
        "the UKI signed with another key, with Secure Boot", _signed_otherwise, NoBoot(says=_DENIED), secure=True
    ),
    "secure-bit": Case(
        "one bit of the signed UKI, with Secure Boot", _bit(ESP, _LOCKDOWN), NoBoot(says=_DENIED), secure=True
    ),
    "secure-no-keys": Case(
        "no keys in the firmware, which turns Secure Boot off", _without_keys, Detected(("pcr-4", "pcr-7")), secure=True
    ),
    "secure-other-keys": Case("the host's own keys in the firmware", _other_keys, Detected(("pcr-7",)), secure=True),
    "secure-addon": Case(
        "an unsigned addon beside the UKI, with Secure Boot",
        _files({f"{_EXTRA}/host.addon.efi": _ADDON}),
        Same(),
        secure=True,
    ),
    "secure-credential": Case(
        "a credential beside the UKI, with Secure Boot",
        _files({f"{_EXTRA}/host.cred": b"host"}),
        Detected(("pcr-9", "pcr-12")),
        secure=True,
    ),
    "secure-boot-entry-options": Case(
        "a command line in a boot entry, with Secure Boot",
        partial(_boot_entry, options="lockdown=none"),
        Same((1, 10)),
        secure=True,
    ),
    "secure-smbios": Case(
        "a command line in SMBIOS, with Secure Boot", _smbios, Detected(("pcr-9", "pcr-12")), secure=True
    ),
}
