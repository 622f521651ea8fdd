"""Evidence that is known and not judged: it is refused by its name, with what judges it."""

import re
from collections.abc import Callable
from typing import NamedTuple

from cloister.attestation.snp.report import SIZE, VERSIONS
from cloister.attestation.tpm.eventlog import is_log
from cloister.client.evidence.evidence_files.members import WrapperMembers
from cloister.client.evidence.evidence_files.source import EvidenceFile

_SGX = "Use a verifier for SGX, such as Intel's DCAP library."


class _Known(NamedTuple):
    looks: str
    hint: str
    fits: Callable[[bytes], bool]


def _is_tee(data: bytes, tee: int, key: int | None = None) -> bool:
    """Whether the bytes begin like a quote of version 4 or 5 for a kind of machine, with this kind of key."""
    kind = int.from_bytes(data[2:4], "little")
    known = data[:2] in (b"\x04\0", b"\x05\0") and int.from_bytes(data[4:8], "little") == tee and len(data) >= 48
    return known and (kind in (2, 3) if key is None else kind == key)


def _is_dstack(data: bytes) -> bool:
    """A version, a kind, and a report, a quote or a document of AWS Nitro after its size (SCALE)."""
    begins = (
        b"\x84\x44\xa1\x01",
        b"\x04\0\x02\0",
        b"\x05\0\x02\0",
        *(bytes([version, 0, 0, 0]) for version in range(2, 6)),
    )
    return data[:1] == b"\0" and data[1:2] < b"\x08" and data[2:3] != b"" and data[2] & 3 == 1 and data[4:8] in begins


def _is_sha1_log(data: bytes) -> bool:
    """Two TCG_PCClientPCREvent in a row, of registers and types that there are.

    Not a log in the crypto-agile format: its first event has this format, and its second looks like it if its digests
    are zero.
    """
    if is_log(data):
        return False
    place = 0
    for _ in range(2):
        register, kind = (int.from_bytes(data[place + at : place + at + 4], "little") for at in (0, 4))
        size = int.from_bytes(data[place + 28 : place + 32], "little")
        place += 32 + size
        if register > 23 or not (0 < kind < 0x12 or kind >> 8 == 0x800000) or size > 1 << 16 or place > len(data):
            return False
    return True


_BYTES = (
    _Known("a TDX quote with a P-384 key", "Ask for a quote with a P-256 key: TDX's quoting enclave signs with no "
           "other.", lambda data: _is_tee(data, 0x81, 3)),
    _Known("a quote of an SGX enclave", _SGX, lambda data: (data[:2] == b"\x03\0" and data[4:8] == bytes(4)
           and data[2:4] in (b"\x02\0", b"\x03\0") and len(data) >= 432) or _is_tee(data, 0)),
    _Known("a TDREPORT, which only its own machine can verify", "Have it quoted on the machine, and pass the quote.",
           lambda data: len(data) == 1024 and data[:2] == b"\x81\0"),
    _Known("a token of Arm PSA (COSE)", "Use a verifier for Arm PSA, such as Veraison.",
           lambda data: data[:2] == b"\xd2\x84" and b"/psa/" in data[:64]),
    _Known("an attestation document of AWS Nitro", "Use a verifier for Nitro enclaves: AWS signs it with its own "
           "certificates.", lambda data: data[:2] == b"\x84\x44" or data[:3] == b"\xd2\x84\x44"),
    _Known("a token of Arm CCA", "Use a verifier for Arm CCA, such as Veraison.",
           lambda data: data[:3] == b"\xd9\x01\x8f"),
    _Known("a token of another verifier (JWT)", "It is that verifier's claim and no evidence: pass the report or quote "
           "that it was made from.", lambda data: data[:3] == b"eyJ" and data.count(b".") == 2),
    _Known("a private key", "Never pass it to anyone. For a TPM's key, pass the public one.",
           lambda data: b"PRIVATE KEY-----" in data[:64]),
    _Known("a versioned attestation of dstack", "Pass the answer of dstack's GetQuote instead, or the bare quote.",
           _is_dstack),
    _Known("endorsements of Azure's utility VM (COSE)", "They prove no machine: pass the report.",
           lambda data: data[:2] == b"\xd2\x84" and b"application/json" in data[:64]),
    _Known("a signed message (COSE)", "Pass the report or quote that it is about.",
           lambda data: data[:2] == b"\xd2\x84"),
    _Known("the ACPI table that says where a TD's log is", "Pass the log: /sys/firmware/acpi/tables/data/CCEL.",
           lambda data: data[:4] == b"CCEL"),
    _Known("a boot event log with SHA-1 alone", "Have the TPM's SHA-256 bank logged: SHA-1 proves nothing today.",
           _is_sha1_log),
)  # fmt: skip


def refuse(data: bytes, source: EvidenceFile) -> None:
    """Raises InputError for bytes of a known kind that is not judged."""
    for known in _BYTES:
        if known.fits(data):
            raise source.like(known.looks).refuse("that kind is not judged here", known.hint)


_OTHER_PROBLEM = "that is not evidence of a supported kind"
_SOURCE = "Pass the report or quote that it was made from."
_DECODE = "Only one layer of encoding is read: decode it once, and pass what it gives."
_AGAIN = "Look at the file, and get it again from the tool that wrote it."
_UNPACK = "Unpack it, and pass the files in it."
_BYTES_ALONE = "Pass the bytes themselves, or their hex or base64 and nothing else."


def _is_text(data: bytes) -> bool:
    return all(one in b"\t\n\r" or 0x20 <= one < 0x7F for one in data[:4096])


def _is_dump(data: bytes) -> bool:
    """Lines of an offset and bytes in hex, as xxd and hexdump -C write them."""
    return re.match(rb"0{7,8}:? [ 0-9a-f]{16}", data) is not None


_OTHER = (
    _Known("an empty file", "Whatever should have written it failed: get it again.", lambda data: not data),
    _Known("an archive (ZIP)", _UNPACK, lambda data: data[:4] == b"PK\x03\x04"),
    _Known("a compressed file", _UNPACK,
           lambda data: data[:2] == b"\x1f\x8b" or data[:4] in (b"\x28\xb5\x2f\xfd", b"\xfd7zX")),
    _Known("a picture", _AGAIN, lambda data: data[:3] == b"\xff\xd8\xff" or data[:4] in (b"\x89PNG", b"GIF8")),
    _Known("a PDF document", _AGAIN, lambda data: data[:5] == b"%PDF-"),
    _Known("a program", _AGAIN, lambda data: data[:4] == b"\x7fELF" or data[:2] in (b"MZ", b"#!")),
    _Known("a web page or XML", "A server perhaps answered with an error: read the file, and get it again.",
           lambda data: data.lstrip()[:1] == b"<"),
    _Known("text in UTF-16 or with a byte order mark", "Save it as UTF-8 without the mark.",
           lambda data: data[:2] in (b"\xff\xfe", b"\xfe\xff") or data[:3] == b"\xef\xbb\xbf"),
    _Known("a hex dump", f"{_BYTES_ALONE} `xxd -r` gives the bytes.", _is_dump),
    _Known("a SEV-SNP report that was cut off", f"A report has {SIZE} bytes: get it again.",
           lambda data: 0x50 <= len(data) < SIZE and int.from_bytes(data[:4], "little") in VERSIONS
           and data[0x34:0x38] == b"\x01\0\0\0"),
    _Known("a JSON list", "Pass the report or quote in it, as bytes or hex.", lambda data: data[:1] == b"["),
    _Known("text", _BYTES_ALONE, _is_text),
)  # fmt: skip
"""Files of other kinds, for the sentence about one that no form fits."""


def refuse_other(data: bytes, source: EvidenceFile) -> None:
    """Raises InputError for bytes that no form fits, if they are of a kind that has a name."""
    if source.looks and _is_text(data):
        json = data.lstrip()[:1] in (b"{", b"[")
        raise source.like("JSON" if json else "text").refuse(_OTHER_PROBLEM, _DECODE)
    for known in _OTHER:
        if known.fits(data):
            raise source.like(known.looks).refuse(_OTHER_PROBLEM, known.hint)


class _KnownJson(NamedTuple):
    looks: str
    hint: str
    fits: Callable[[WrapperMembers], bool]


def _has(*names: str) -> Callable[[WrapperMembers], bool]:
    return lambda found: all(name in found for name in names)


def _is_csv(found: WrapperMembers) -> bool:
    report = found.value.get("attestation_report")
    return (isinstance(report, dict) and "magic" in report and "data" in report) or "serial_number" in found


_JSON = (
    _KnownJson("evidence of Hygon CSV", "Use a verifier for Hygon CSV, such as trustee's.", _is_csv),
    _KnownJson("evidence of Arm CCA", "Use a verifier for Arm CCA, such as Veraison.", lambda found:
               ("token" in found and isinstance(found.value["token"], list))
               or any(isinstance(one, dict) and "cca-platform-profile" in one for one in found.value.values())),
    _KnownJson("evidence of IBM Secure Execution", "Use a verifier for IBM Secure Execution, such as trustee's.",
               _has("cuid", "encr_measurement_key")),
    _KnownJson("evidence of an NVIDIA GPU", "Use NVIDIA's verifier; pass the machine's report or quote here.",
               _has("evidence_list")),
    _KnownJson("a versioned attestation of dstack", "Pass the answer of dstack's GetQuote instead, or the bare quote.",
               lambda found: "attestation" in found and "quote" not in found),
    _KnownJson("a request to Azure Attestation", "Decode its report once, and pass that.",
               _has("report", "runtimeData")),
    _KnownJson("the claims of another verifier's token", _SOURCE, lambda found:
               "eat_profile" in found or ("iss" in found and "exp" in found)),
    _KnownJson("a token of another verifier", "It is that verifier's claim and no evidence: pass the report or quote "
               "that it was made from.", lambda found: "token" in found and isinstance(found.value["token"], str)),
)  # fmt: skip


def refuse_json(found: WrapperMembers) -> None:
    """Raises InputError for JSON of a known kind that is not judged."""
    for known in _JSON:
        if known.fits(found):
            raise found.source.like(known.looks).refuse("that kind is not judged here", known.hint)
