"""What the files contain, and the one piece of evidence that it forms."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cloister.attestation.azure.hcl import TYPE_TDX, HclReport
from cloister.attestation.collateral_source import CERTIFICATE, CollateralItem, InMemory
from cloister.attestation.evidence import Evidence
from cloister.attestation.raw.kinds import Raw, RawHcl, RawSnp, RawTdx
from cloister.attestation.raw.log import RawLog
from cloister.attestation.raw.tpm import RawTpm, SignedRegisters, TpmKey, fingerprint
from cloister.attestation.tpm.structures import Attest
from cloister.client.collateral.content import PEM
from cloister.client.collateral.folder import collect
from cloister.client.evidence.evidence_files import tpm_tools, unsupported
from cloister.client.evidence.evidence_files.source import EvidenceFile
from cloister.errors import InputError

_SLOTS: Mapping[str, str] = {
    "evidence": "evidence",
    "snp_report": "SEV-SNP report",
    "snp_certificates": "AMD certificate table",
    "tdx_quote": "TDX quote",
    "hcl_report": "Azure HCL report",
    "tpm_attest": "TPM quote",
    "tpm_signature": "signature of a TPM quote",
    "tpm_registers": "list of PCRs",
    "tpm_key": "public key of a TPM",
    "carried_key": "public key of a TPM",
    "ccel": "event log of a TD (CCEL)",
    "tcg_log": "TCG boot event log",
    "preimage": "preimage of the report data",
}
_ONE = "Verify each piece of evidence by itself."


@dataclass(frozen=True)
class FoundPart:
    """A part of evidence and the file that it came from."""

    value: Any
    path: Path


@dataclass
class Parts:
    """The content of the files so far: at most one of each part, and any number of items of collateral.

    ``blobs`` are bytes that only the other files can explain, such as a bare signature. ``unsigned`` counts the bytes
    after the report or quote.
    """

    found: dict[str, FoundPart] = field(default_factory=dict)
    items: list[CollateralItem] = field(default_factory=list)
    blobs: list[tuple[bytes, EvidenceFile]] = field(default_factory=list)
    unsigned: int = 0

    def put(self, slot: str, value: Any, source: EvidenceFile) -> None:
        """Add a part. Raises InputError for a second one."""
        if slot in self.found:
            raise InputError(f"{source.path} is a second {_SLOTS[slot]}; one piece of evidence has one.", hint=_ONE)
        self.found[slot] = FoundPart(value, source.path)

    def certificates(self, certificates: Iterable[bytes]) -> None:
        """Add certificates (DER)."""
        self.items += [CollateralItem(CERTIFICATE, one) for one in certificates]

    def whole(self) -> tuple[Evidence | Raw, InMemory]:
        """The evidence that the parts form, and the collateral among them. Raises InputError, MalformedEvidence."""
        self._place_blobs()
        taken: set[str] = set()

        def take(slot: str) -> Any:
            taken.add(slot)
            return self.found[slot].value if slot in self.found else None

        given = self._given(take)
        rest = [slot for slot in self.found if slot not in taken]
        if rest:
            self._refuse_rest(rest[0], next(iter(taken & self.found.keys())))
        return given, collect(self.items)

    def _given(self, take: Any) -> Evidence | Raw:
        if "evidence" in self.found:
            return take("evidence")
        if "hcl_report" in self.found:
            return self._paravisor(take)
        if "snp_report" in self.found:
            tpm = self._tpm(take) if "tpm_attest" in self.found else None
            return RawSnp(take("snp_report"), take("snp_certificates"), take("preimage"), tpm, self.unsigned)
        if "tdx_quote" in self.found:
            tpm = self._tpm(take) if "tpm_attest" in self.found else None
            return RawTdx(take("tdx_quote"), take("ccel"), take("preimage"), tpm, self.unsigned)
        if "tpm_attest" in self.found:
            return self._tpm(take)
        if "ccel" in self.found:
            return RawLog(take("ccel"), is_ccel=True)
        if "tcg_log" in self.found:
            return RawLog(take("tcg_log"), is_ccel=False)
        names = ", ".join(f"{one.path} ({_SLOTS[slot]})" for slot, one in self.found.items())
        raise InputError(
            "The files do not form one piece of evidence: "
            + (f"there are only {names}." if names else "there are only certificates and other collateral."),
            hint="Name one report, quote or bundle, and the certificates and collateral that belong to it.",
        )

    def _refuse_rest(self, slot: str, main: str) -> None:
        raise InputError(
            f"{self.found[slot].path} is a {_SLOTS[slot]}, which does not belong to "
            f"{self.found[main].path} ({_SLOTS[main]}): it would not be judged.",
            hint=_ONE,
        )

    def _paravisor(self, take: Any) -> RawHcl:
        """The evidence of an Azure paravisor, with what is there of its vTPM. Raises InputError, MalformedEvidence."""
        report = take("hcl_report")
        is_tdx = HclReport.parse(report, recorded=True).report_type == TYPE_TDX
        if is_tdx and "tdx_quote" not in self.found:
            raise InputError(
                f"{self.found['hcl_report'].path} is an Azure HCL report of a TDX machine, which needs a TDX quote: "
                "the report in it is signed only for the machine itself.",
                hint="Add the quote: on the machine, Azure's host makes one from the TDREPORT in the HCL report.",
            )
        quote = self._registers(take) if "tpm_attest" in self.found else None
        log = take("tcg_log") if quote is not None else None
        return RawHcl(report, take("tdx_quote") if is_tdx else None, quote, log, self.unsigned)

    def _tpm(self, take: Any) -> RawTpm:
        """A TPM's quote. Raises InputError when it has no signature, PCRs, key or certificate."""
        registers = self._registers(take)
        key = self._key(take)
        certificates = tuple(item.content for item in self.items if item.kind == CERTIFICATE)
        if key is None and not certificates:
            raise InputError(
                f"{self.found['tpm_attest'].path} is a quote of a TPM without its key.",
                hint="Add the attestation key's certificate, or its public key if you know whose it is (PEM, DER, or "
                "what tpm2_createak -u writes).",
            )
        return RawTpm(registers, key, certificates, take("tcg_log"))

    def _key(self, take: Any) -> TpmKey | None:
        """The key that the caller named, or else the one that came with the quote. Raises InputError for two."""
        named: TpmKey | None = take("tpm_key")
        carried: TpmKey | None = take("carried_key")
        if named is None or carried is None:
            return named or carried
        if fingerprint(named.key) != fingerprint(carried.key):
            raise InputError(
                f"{self.found['tpm_key'].path} is another key than the one in {self.found['carried_key'].path}.",
                hint="Find out which key the TPM has: the quote is of one of them.",
            )
        return TpmKey(named.key, named.public or carried.public, named=True)

    def _registers(self, take: Any) -> SignedRegisters:
        attest, signature, pcrs = take("tpm_attest"), take("tpm_signature"), take("tpm_registers")
        path = self.found["tpm_attest"].path
        if signature is None:
            raise InputError(
                f"{path} is a quote of a TPM without its signature.", hint="Add the file that tpm2_quote -s wrote."
            )
        if pcrs is None:
            raise InputError(
                f"{path} is a quote of a TPM without the PCRs that it is over.",
                hint="Add the file that tpm2_quote -o wrote.",
            )
        return SignedRegisters(attest, signature, pcrs)

    def _place_blobs(self) -> None:
        """Give each blob its place: the values of the quoted PCRs, or the quote's signature. Raises InputError."""
        for data, source in self.blobs:
            quote = Attest.parse(self.found["tpm_attest"].value).quote if "tpm_attest" in self.found else None
            values = tpm_tools.values(data, quote) if quote is not None else None
            is_digest = quote is not None and hashlib.sha256(data).digest() == quote.pcr_digest
            if values is not None and (is_digest or not tpm_tools.is_plain_signature(data)):
                self.put("tpm_registers", values, source)
            elif quote is not None and tpm_tools.is_plain_signature(data):
                self.put("tpm_signature", tpm_tools.plain_signature(data), source)
            elif PEM in data and not source.looks:
                raise source.like("PEM with something else around it").refuse(
                    "only the blocks themselves can be read",
                    "Keep the lines from each BEGIN to its END, and no others.",
                )
            else:
                unsupported.refuse_other(data, source)
                raise source.refuse(
                    f"{'' if not source.looks else 'what it encodes '}is not evidence of a supported kind",
                    "Pass a SEV-SNP report, a TDX quote, an HCL report, a TPM quote, a log, or a bundle of "
                    "`attest --save`, and what belongs to it: docs/evidence-files.md lists all kinds.",
                )
        self.blobs.clear()
