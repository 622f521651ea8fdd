"""Intel's statements about platforms and its quoting enclave: TCB info (version 3) and QE identity (version 2).

Source: Intel SGX and Intel TDX Provisioning Certification Service, API version 4: "Get TDX TCB Info" and "Get TDX QE
Identity", with the tables of each response's members. The signature is over the bytes of the member ``tcbInfo`` or
``enclaveIdentity`` exactly as in the response, so the body is kept as bytes. A member that the tables do not name makes
a document malformed: it might lower trust.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.tdx.certificates import COMPONENTS
from cloister.attestation.tdx.signatures import is_signed_by
from cloister.attestation.tdx.signed_json import JsonMembers, open_signed
from cloister.attestation.x509.certificate import Certificate
from cloister.attestation.x509.signers import Signers
from cloister.protocol import canonical

TDX_ID = "TDX"
TD_QE_ID = "TD_QE"

_ADVISORY = re.compile(r"[A-Z0-9-]{1,32}")
_MODULE_ID = re.compile(r"TDX_[0-9a-fA-F]{2}")
_MAX_ADVISORIES = 256
_COMPONENT = {"svn", "category", "type"}


class TcbStatus(StrEnum):
    """The status of a TCB level. The last two result from an evaluation and never occur in a document."""

    UP_TO_DATE = "UpToDate"
    SW_HARDENING_NEEDED = "SWHardeningNeeded"
    CONFIGURATION_NEEDED = "ConfigurationNeeded"
    CONFIGURATION_AND_SW_HARDENING_NEEDED = "ConfigurationAndSWHardeningNeeded"
    OUT_OF_DATE = "OutOfDate"
    OUT_OF_DATE_CONFIGURATION_NEEDED = "OutOfDateConfigurationNeeded"
    REVOKED = "Revoked"
    TD_RELAUNCH_ADVISED = "TDRelaunchAdvised"
    TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED = "TDRelaunchAdvisedConfigurationNeeded"


_PLATFORM = tuple(TcbStatus)[:7]
_MODULE = (TcbStatus.UP_TO_DATE, TcbStatus.OUT_OF_DATE, TcbStatus.REVOKED)
_ENCLAVE = (*_MODULE, TcbStatus.CONFIGURATION_NEEDED, TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED)


@dataclass(frozen=True)
class TcbLevel:
    """The status of everything at or above some SVN. ``date``: all advisories published before it are addressed."""

    status: TcbStatus
    date: datetime
    advisories: tuple[str, ...]


@dataclass(frozen=True)
class PlatformLevel(TcbLevel):
    """``sgx`` and ``tdx`` are 16 SVNs each."""

    sgx: tuple[int, ...]
    tdx: tuple[int, ...]
    pce_svn: int


@dataclass(frozen=True)
class SvnLevel(TcbLevel):
    """A level of an enclave or of the TDX module, which have one SVN."""

    isv_svn: int


@dataclass(frozen=True)
class ModuleIdentity:
    """A TDX module: its signer, its attributes under a mask (8 bytes each), its levels. ``version`` is in TEE_TCB_SVN.

    The module of TDX 1.0 has ``version`` 0 and no levels.
    """

    version: int
    mr_signer: bytes
    attributes: bytes
    attributes_mask: bytes
    levels: tuple[SvnLevel, ...] = ()


@dataclass(frozen=True)
class SignedStatement:
    """What both documents have: signed bytes ``body``, ``signature`` (r and s, 64 bytes), dates, evaluation number."""

    body: bytes
    signature: bytes
    issue_date: datetime
    next_update: datetime
    evaluation_number: int
    _signers: Signers[bool] = field(default_factory=Signers, init=False, compare=False, repr=False)

    def signed_by(self, certificate: Certificate) -> bool:
        """Return whether the certificate's key made the signature."""
        return self._signers.ask(certificate.spki, lambda: is_signed_by(certificate, self.signature, self.body))

    def current_at(self, at: datetime) -> bool:
        """Return whether ``at`` (with a time zone) is between issue_date and next_update, both included."""
        return self.issue_date <= at <= self.next_update

    def period(self) -> str:
        """Dates and evaluation number, for messages."""
        dates = f"of {canonical.to_time(self.issue_date)}, next due {canonical.to_time(self.next_update)}"
        return f"{dates}, evaluation data {self.evaluation_number}"


@dataclass(frozen=True)
class TcbInfo(SignedStatement):
    """The TCB levels of one kind of platform (``fmspc``, 6 bytes, and ``pce_id``, 2), newest first."""

    fmspc: bytes
    pce_id: bytes
    modules: tuple[ModuleIdentity, ...]
    levels: tuple[PlatformLevel, ...]

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """From the response of Intel's service. Raises MalformedEvidence."""
        body, signature, text = open_signed(data, "tcbInfo")
        info = JsonMembers(text, "TCB info")
        info.constant("id", TDX_ID)
        info.constant("version", 3)
        info.constant("tcbType", 0)
        modules = [_module(info.take("tdxModule", dict), 0)]
        for value in info.sequence("tdxModuleIdentities", required=False):
            modules.append(_module(value, None))
        if len({module.version for module in modules}) != len(modules):
            raise MalformedEvidence("TCB info.tdxModuleIdentities", 0, "has a module twice")
        levels = tuple(_platform_level(value) for value in info.sequence("tcbLevels"))
        if not levels:
            raise MalformedEvidence("TCB info.tcbLevels", 0, "is empty")
        parsed = cls(
            body=body,
            signature=signature,
            issue_date=info.time("issueDate"),
            next_update=info.time("nextUpdate"),
            evaluation_number=info.number("tcbEvaluationDataNumber", 0xFFFFFFFF),
            fmspc=info.hex("fmspc", 6),
            pce_id=info.hex("pceId", 2),
            modules=tuple(modules),
            levels=levels,
        )
        info.end()
        return parsed


@dataclass(frozen=True)
class QeIdentity(SignedStatement):
    """What the quoting enclave for TDX must be; masks say which bits are compared."""

    misc_select: bytes
    misc_select_mask: bytes
    attributes: bytes
    attributes_mask: bytes
    mr_signer: bytes
    isv_prod_id: int
    levels: tuple[SvnLevel, ...]

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """From the response of Intel's service. Raises MalformedEvidence."""
        body, signature, text = open_signed(data, "enclaveIdentity")
        identity = JsonMembers(text, "QE identity")
        identity.constant("id", TD_QE_ID)
        identity.constant("version", 2)
        parsed = cls(
            body=body,
            signature=signature,
            issue_date=identity.time("issueDate"),
            next_update=identity.time("nextUpdate"),
            evaluation_number=identity.number("tcbEvaluationDataNumber", 0xFFFFFFFF),
            # Both are big endian here; the enclave report has them little endian.
            misc_select=identity.hex("miscselect", 4)[::-1],
            misc_select_mask=identity.hex("miscselectMask", 4)[::-1],
            attributes=identity.hex("attributes", 16),
            attributes_mask=identity.hex("attributesMask", 16),
            mr_signer=identity.hex("mrsigner", 32),
            isv_prod_id=identity.number("isvprodid", 0xFFFF),
            levels=_svn_levels(identity.sequence("tcbLevels"), "QE identity.tcbLevels", _ENCLAVE),
        )
        identity.end()
        return parsed


def _module(value: Any, version: int | None) -> ModuleIdentity:
    """``tdxModule`` (of version 0) or one of ``tdxModuleIdentities``, which has its version in its id."""
    members = JsonMembers(value, "TCB info.tdxModuleIdentities")
    levels: tuple[SvnLevel, ...] = ()
    if version is None:
        name = members.take("id", str)
        if not _MODULE_ID.fullmatch(name) or not int(name[-2:], 16):
            raise members.malformed("id", f"is {name[:40]!r}, which is not the id of a module")
        version = int(name[-2:], 16)
        levels = _svn_levels(members.sequence("tcbLevels"), "TCB info.tdxModuleIdentities.tcbLevels", _MODULE)
    module = ModuleIdentity(
        version=version,
        mr_signer=members.hex("mrsigner", 48),
        attributes=members.hex("attributes", 8),
        attributes_mask=members.hex("attributesMask", 8),
        levels=levels,
    )
    members.end()
    return module


def _platform_level(value: Any) -> PlatformLevel:
    members = JsonMembers(value, "TCB info.tcbLevels")
    tcb = JsonMembers(members.take("tcb", dict), "TCB info.tcbLevels.tcb")
    level = PlatformLevel(
        **_common(members, _PLATFORM),
        sgx=_components(tcb, "sgxtcbcomponents"),
        tdx=_components(tcb, "tdxtcbcomponents"),
        pce_svn=tcb.number("pcesvn", 0xFFFF),
    )
    tcb.end()
    members.end()
    return level


def _components(tcb: JsonMembers, field: str) -> tuple[int, ...]:
    found: list[int] = []
    for value in tcb.sequence(field):
        # Intel's TCB infos have hundreds of these: what is obviously right is not taken apart member by member.
        if type(value) is dict and value.keys() <= _COMPONENT:
            svn = value.get("svn")
            named = type(value.get("category", "")) is str and type(value.get("type", "")) is str
            if named and type(svn) is int and 0 <= svn <= 0xFF:
                found.append(svn)
                continue
        component = JsonMembers(value, f"TCB info.tcbLevels.tcb.{field}")
        found.append(component.number("svn", 0xFF))
        component.take("category", str, "")
        component.take("type", str, "")
        component.end()
    if len(found) != COMPONENTS:
        raise tcb.malformed(field, f"has {len(found)} entries, must have {COMPONENTS}")
    return tuple(found)


def _svn_levels(values: list[Any], name: str, statuses: Collection[TcbStatus]) -> tuple[SvnLevel, ...]:
    levels: list[SvnLevel] = []
    for value in values:
        members = JsonMembers(value, name)
        tcb = JsonMembers(members.take("tcb", dict), f"{name}.tcb")
        levels.append(SvnLevel(**_common(members, statuses), isv_svn=tcb.number("isvsvn", 0xFFFF)))
        tcb.end()
        members.end()
    if not levels:
        raise MalformedEvidence(name, 0, "is empty")
    return tuple(levels)


def _common(members: JsonMembers, statuses: Collection[TcbStatus]) -> dict[str, Any]:
    text = members.take("tcbStatus", str)
    if text not in statuses:
        raise members.malformed("tcbStatus", f"is {text[:40]!r}, which is unknown here")
    advisories = members.sequence("advisoryIDs", required=False, most=_MAX_ADVISORIES)
    if not all(isinstance(name, str) and _ADVISORY.fullmatch(name) for name in advisories):
        raise members.malformed("advisoryIDs", "has an entry that is not an advisory's name")
    return {"status": TcbStatus(text), "date": members.time("tcbDate"), "advisories": tuple(advisories)}
