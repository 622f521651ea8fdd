"""Flips each bit of what hardware signed or bound: the verifier must reject every change.

The test kit makes valid evidence; one bit of one part is flipped at a time, and the whole is appraised again.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from cloister.attestation.azure import hcl
from cloister.attestation.binding import SessionBinding
from cloister.attestation.collateral_source import CRL, QE_IDENTITY, TCB_INFO, CollateralItem
from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.evidence import Evidence, TpmQuote
from cloister.attestation.policy.policy import Policy
from cloister.attestation.snp.table import ASK, VCEK, CertificateTable
from cloister.attestation.testkit import LocalMachine, RsaTpm, SnpMachine, Td
from cloister.attestation.testkit.google import GcpSnpMachine
from cloister.attestation.testkit.microsoft import AzureSnpMachine, AzureTdxMachine
from cloister.attestation.verifier import SessionPurpose, verify
from cloister.attestation.x509.roots import VENDORS, Anchor

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
SESSION = SessionPurpose(b"n" * 32, b"t" * 32, b"h" * 32)

Change = Callable[[Evidence, bytes], Evidence]


@dataclass(frozen=True)
class Subject:
    """Valid evidence with what is needed to accept it, and the parts in which no bit may change."""

    evidence: Evidence
    policy: Policy
    roots: tuple[Anchor, ...]
    parts: Mapping[str, tuple[bytes, Change]]

    def accepts(self, evidence: Evidence) -> bool:
        """Whether the verdict accepts ``evidence``; malformed evidence is not accepted."""
        try:
            return verify(evidence, self.policy, purpose=SESSION, at=AT, roots=self.roots).accepted
        except MalformedEvidence:
            return False


@dataclass(frozen=True)
class Count:
    """How many bits of one part were flipped, in how many seconds; ``accepted`` are those the verifier accepted."""

    part: str
    flipped: int
    accepted: tuple[int, ...]
    seconds: float

    def sentence(self) -> str:
        """For people."""
        places = ", ".join(str(bit) for bit in self.accepted[:20])
        noticed = f"{len(self.accepted)} ACCEPTED (bit {places})" if self.accepted else "all rejected"
        return f"{self.part}: {self.flipped} bits flipped one by one, {noticed}, {self.seconds:.0f} s"


def flip(subject: Subject) -> Iterator[Count]:
    """Flip every bit of every part. Raises RuntimeError if the unchanged evidence is not accepted."""
    if not subject.accepts(subject.evidence):
        raise RuntimeError("The unchanged evidence is not accepted.")
    for name, (data, change) in subject.parts.items():
        if not subject.accepts(change(subject.evidence, data)):
            raise RuntimeError(f"The unchanged evidence is not accepted: {name}.")
        began = time.monotonic()
        accepted = []
        for bit in range(8 * len(data)):
            changed = bytearray(data)
            changed[bit // 8] ^= 1 << bit % 8
            if subject.accepts(change(subject.evidence, bytes(changed))):
                accepted.append(bit)
        yield Count(name, 8 * len(data), tuple(accepted), time.monotonic() - began)


def _before_chain(quote: bytes) -> tuple[bytes, Change]:
    """What a TDX quote signs, without its certificates."""
    at = quote.index(b"-----BEGIN")
    return quote[:at], lambda whole, data: dataclasses.replace(whole, tdx_quote=data + quote[at:])


def _session() -> SessionBinding:
    return SessionBinding(SESSION.nonce, SESSION.tls_key_digest, SESSION.hpke_key_digest)


def _field(name: str, evidence: Evidence) -> tuple[bytes, Change]:
    """A whole part of the evidence."""
    return getattr(evidence, name), lambda whole, data: dataclasses.replace(whole, **{name: data})


def _first_certificate(evidence: Evidence) -> tuple[bytes, Change]:
    """The certificate of the vTPM's key."""
    first, *above = evidence.ak_certificates
    return first, lambda whole, data: dataclasses.replace(whole, ak_certificates=(data, *above))


def _in_table(table: CertificateTable, kind: UUID) -> tuple[bytes, Change]:
    """One certificate of the host's table."""

    def change(whole: Evidence, data: bytes) -> Evidence:
        changed = CertificateTable({**table.entries, kind: data})
        return dataclasses.replace(whole, snp_certificates=changed.encode())

    return table.entries[kind], change


def _collateral(evidence: Evidence, names: Mapping[str, str]) -> dict[str, tuple[bytes, Change]]:
    """Each item of collateral of some kinds, named by its kind; a number tells several of one kind apart."""
    parts: dict[str, tuple[bytes, Change]] = {}
    for index, item in enumerate(evidence.collateral):
        if item.kind not in names:
            continue

        def change(whole: Evidence, data: bytes, index: int = index, kind: str = item.kind) -> Evidence:
            items = [*whole.collateral]
            items[index] = CollateralItem(kind, data)
            return dataclasses.replace(whole, collateral=tuple(items))

        number = 1 + sum(name.startswith(names[item.kind]) for name in parts)
        parts[names[item.kind] if number == 1 else f"{names[item.kind]} {number}"] = (item.content, change)
    return parts


def _quote(evidence: Evidence) -> dict[str, tuple[bytes, Change]]:
    """The parts of a vTPM's quote."""
    quote = evidence.tpm_quote
    if quote is None:
        raise RuntimeError("The machine has no vTPM.")

    def member(name: str) -> tuple[bytes, Change]:
        def change(whole: Evidence, data: bytes) -> Evidence:
            return dataclasses.replace(whole, tpm_quote=dataclasses.replace(quote, **{name: data}))

        return getattr(quote, name), change

    def registers(whole: Evidence, data: bytes) -> Evidence:
        pcrs = tuple(data[at : at + 32] for at in range(0, len(data), 32))
        return dataclasses.replace(whole, tpm_quote=TpmQuote(quote.attest, quote.signature, quote.ak_public, pcrs))

    parts = {f"TPM quote, {name}": member(name) for name in ("attest", "signature", "ak_public")}
    return {**parts, "TPM quote, registers": (b"".join(quote.pcrs), registers)}


def snp() -> Subject:
    """A SEV-SNP report: every bit is signed, or part of the signature."""
    machine = SnpMachine.create_at(AT)
    evidence = machine.evidence(_session())
    table = CertificateTable.parse(machine.processor.table())
    certificates = {VCEK: "certificate of the signing key", ASK: "signer"}
    parts = {
        "SEV-SNP report": _field("snp_report", evidence),
        **{name: _in_table(table, kind) for kind, name in certificates.items()},
        **_collateral(evidence, {CRL: "revocation list"}),
    }
    return Subject(evidence, machine.policy(), (machine.processor.amd.anchor(),), parts)


def tdx() -> Subject:
    """A TDX quote with everything in it: what the TD, the quoting enclave and Intel signed."""
    td = Td.create(AT)
    evidence = td.evidence(_session())
    # Only the quote carries the root, so that all three of its certificates are needed.
    items = (item for item in _items(td.intel.collateral().contents) if item.content != td.intel.root)
    evidence = dataclasses.replace(evidence, collateral=tuple(items))
    signed = {CRL: "revocation list", TCB_INFO: "TCB info", QE_IDENTITY: "QE identity"}
    parts = {"TDX quote": _field("tdx_quote", evidence), **_collateral(evidence, signed)}
    report = td.report(evidence.report_data(), tee_tcb_svn2=None, mr_service_td=None)
    for version in (4, 5):
        parts[f"TDX quote of report 1.0 in version {version}"] = _before_chain(td.intel.quote(report, version=version))
    return Subject(evidence, td.policy(), (td.intel.anchor(),), parts)


def azure() -> Subject:
    """A report of Azure's paravisor, and the quote of its vTPM."""
    machine = AzureSnpMachine.create(AT)
    evidence = machine.evidence(_session())
    parts = {"HCL report": _field("hcl_report", evidence), **_quote(evidence)}
    return Subject(evidence, machine.policy(), machine.roots(), parts)


def azure_tdx() -> Subject:
    """A report of Azure's paravisor in a TD; its TDREPORT is left out, which only its own machine can check."""
    machine = AzureTdxMachine.create(AT)
    evidence = machine.evidence(_session())
    items = _items(machine.intel.collateral().contents)
    evidence = dataclasses.replace(evidence, collateral=tuple(items))
    report, _ = _field("hcl_report", evidence)
    end = 32 + hcl.TDREPORT_SIZE

    def head(whole: Evidence, data: bytes) -> Evidence:
        return dataclasses.replace(whole, hcl_report=data + report[32:])

    def claims(whole: Evidence, data: bytes) -> Evidence:
        return dataclasses.replace(whole, hcl_report=report[:end] + data)

    parts = {"HCL report, head": (report[:32], head), "HCL report, claims": (report[end:], claims), **_quote(evidence)}
    return Subject(evidence, machine.policy(), machine.roots(), parts)


def gcp() -> Subject:
    """Google's endorsement, and the report of the endorsed firmware."""
    machine = GcpSnpMachine.create(AT, vtpm=RsaTpm.create())
    evidence = machine.evidence(_session())
    parts = {
        "launch endorsement": _field("launch_endorsement", evidence),
        "SEV-SNP report at Google": _field("snp_report", evidence),
        "certificate of the vTPM's key": _first_certificate(evidence),
        **_quote(evidence),
    }
    return Subject(evidence, machine.policy(), machine.roots(), parts)


def vtpm() -> Subject:
    """The quote of a TPM with an ECC key."""
    machine = LocalMachine.create(AT)
    evidence = machine.evidence(_session())
    parts = {"certificate of the vTPM's key": _first_certificate(evidence), **_quote(evidence)}
    return Subject(evidence, machine.policy(), VENDORS, parts)


def _items(contents: Mapping[str, tuple[bytes, ...]]) -> Iterator[CollateralItem]:
    for kind, values in contents.items():
        yield from (CollateralItem(kind, value) for value in values)


SUBJECTS: Mapping[str, Callable[[], Subject]] = {
    "snp": snp,
    "tdx": tdx,
    "azure": azure,
    "azure-tdx": azure_tdx,
    "gcp": gcp,
    "vtpm": vtpm,
}
