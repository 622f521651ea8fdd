"""A SEV-SNP report from its fields: the bytes that the processor signed, made again exactly.

Some tools restate a report instead of keeping it. Whether the bytes are the right ones is decided by the signature: a
field that was changed or is missing makes it invalid. Source of the names: the crate ``sev`` (AttestationReport), whose
versions 3 to 5 have the report of version 2 with its reserved fields, and versions 6 and 7 all reports.
"""

from typing import Any

from cloister.attestation.snp.products import CHIP_ID_SIZES, ProductLine, TcbVersion, line_of
from cloister.attestation.snp.report import FIELDS, SIZE
from cloister.client.evidence.evidence_files.members import WrapperMembers

_PLACES = {name: (offset, size) for name, offset, size in FIELDS}
_NUMBERS = {"version": "version", "guest_svn": "guest_svn", "policy": "policy", "vmpl": "vmpl"} | {
    "sig_algo": "signature_algorithm",
    "plat_info": "platform_info",
}
_BYTES = (
    "family_id", "image_id", "report_data", "measurement", "host_data", "id_key_digest", "author_key_digest",
    "report_id", "report_id_ma", "chip_id",
)  # fmt: skip
_TCBS = ("current_tcb", "reported_tcb", "committed_tcb", "launch_tcb")
_CPUID = {"cpuid_fam_id": "family", "cpuid_mod_id": "model", "cpuid_step": "stepping"}
_MITIGATIONS = {"launch_mit_vector": "launch_mitigations", "current_mit_vector": "current_mitigations"}
_VERSION_PARTS = ("build", "minor", "major")
# Reserved fields that older versions of the crate write: offset and size in the report.
_RESERVED = {
    "_reserved_0": (0x04C, 4),
    "_reserved_1": (0x188, 24),
    "_reserved_2": (0x1EB, 1),
    "_reserved_3": (0x1EF, 1),
    "_reserved_4": (0x1F8, 168),
}
_KEY_INFO = ("key_info", "_author_key_en")
_TCB_PARTS = ("fmc", "bootloader", "tee", "snp", "microcode", "_reserved")
_SIGNATURE_PARTS = ("r", "s", "_reserved")


def is_restated(value: Any) -> bool:
    """Whether a JSON value is a report as fields."""
    return isinstance(value, dict) and {"measurement", "report_data", "signature"} <= value.keys()


def encode(report: WrapperMembers) -> bytes:
    """The 1184 bytes of a report that is given as fields. Raises InputError, FormatError."""
    report.only(
        *_NUMBERS, *_BYTES, *_TCBS, *_CPUID, *_MITIGATIONS, *_RESERVED, *_KEY_INFO, "signature",
        *("current", "committed"), *(f"{one}_{part}" for one in ("current", "committed") for part in _VERSION_PARTS),
    )  # fmt: skip
    made = bytearray(SIZE)
    for name, field in (_NUMBERS | _CPUID | _MITIGATIONS).items():
        offset, size = _PLACES[field]
        if name in report or name in _NUMBERS:
            _put(made, offset, report.unsigned(name, size).to_bytes(size, "little"))
    for name in _BYTES:
        offset, size = _PLACES[f"*{name}"]
        _put(made, offset, _sized(report, name, size))
    for name, (offset, size) in _RESERVED.items():
        if name in report:
            reserved = report.unsigned(name, size).to_bytes(size, "little") if size < 8 else _sized(report, name, size)
            _put(made, offset, reserved)
    offset, size = _PLACES["key_info"]
    name = next((one for one in _KEY_INFO if one in report), _KEY_INFO[0])
    _put(made, offset, report.unsigned(name, size).to_bytes(size, "little"))
    turin = _is_turin(report)
    for name in _TCBS:
        _put(made, _PLACES[f"*{name}"][0], _tcb(report.object(name), turin=turin))
    for name in ("current", "committed"):
        parts = report.object(name) if name in report else report
        for part in _VERSION_PARTS:
            value = parts.unsigned(part if name in report else f"{name}_{part}", 1)
            _put(made, _PLACES[f"{name}_{part}"][0], bytes([value]))
    signature = report.object("signature")
    signature.only(*_SIGNATURE_PARTS)
    for name in ("r", "s"):
        offset, size = _PLACES[f"signature_{name}"]
        _put(made, offset, _sized(signature, name, size))
    return bytes(made)


def _is_turin(report: WrapperMembers) -> bool:
    """Turin has another layout of TCB versions. A report of version 2 does not name its processor."""
    if "cpuid_fam_id" in report and "cpuid_mod_id" in report:
        return line_of(report.unsigned("cpuid_fam_id", 1), report.unsigned("cpuid_mod_id", 1)) is ProductLine.TURIN
    chip = report.binary("chip_id")
    return any(chip) and not any(chip[CHIP_ID_SIZES[ProductLine.TURIN] :])


def _tcb(parts: WrapperMembers, *, turin: bool) -> bytes:
    """TCB_VERSION, 8 bytes."""
    parts.only(*_TCB_PARTS)
    levels = [parts.unsigned(one, 1) for one in ("bootloader", "tee", "snp", "microcode")]
    if "_reserved" in parts:  # old versions of the crate know one layout, and keep the bytes between
        return bytes(levels[:2]) + _sized(parts, "_reserved", 4) + bytes(levels[2:])
    fmc = parts.unsigned("fmc", 1) if "fmc" in parts else None
    return TcbVersion(*levels, fmc=fmc).encode(ProductLine.TURIN if turin else ProductLine.GENOA)


def _sized(members: WrapperMembers, name: str, size: int) -> bytes:
    data = members.binary(name, size)
    if len(data) != size:
        raise members.source.refuse(
            f"its member {name!r} has {len(data)} bytes and must have {size}",
            "Get the file again from the tool that wrote it.",
        )
    return data


def _put(made: bytearray, offset: int, data: bytes) -> None:
    made[offset : offset + len(data)] = data
