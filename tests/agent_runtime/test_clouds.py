"""From the agent's collection on a machine in a cloud to the verdict of a party.

Nothing here is Azure, Google, AMD or Intel: a software TPM is provisioned as their vTPMs are, an HTTP server answers as
their metadata services do, and the testkit's vendors sign. The agent's collection and the verifier are the real ones.
"""

import base64
import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from agent_runtime import azure, gcp, tsm
from agent_runtime.attester import Attester
from agent_runtime.azure import AzureMachine
from agent_runtime.gcp import GcpMachine
from agent_runtime.limits import Limits
from agent_runtime.machine import Machine
from cloister.attestation import tpm, tpm_commands
from cloister.attestation.azure import hcl
from cloister.attestation.collateral import Collateral, InMemory
from cloister.attestation.eventlog import EV_NO_ACTION
from cloister.attestation.evidence import CERTIFICATE, CRL, LAUNCH_ENDORSEMENT, Evidence, Platform
from cloister.attestation.policy import Policy
from cloister.attestation.roots import Anchor
from cloister.attestation.snp.table import CertificateTable
from cloister.attestation.testkit import (
    AzureSnpMachine,
    AzureTdxMachine,
    BootEvent,
    GcpSnpMachine,
    GcpTd,
    SoftwareTpm,
    Td,
    encode_event_log,
)
from cloister.attestation.testkit.google import FIRMWARE, boot_events
from cloister.attestation.testkit.machine import BOOT_EVENTS, new_event_log_key
from cloister.attestation.testkit.microsoft import GUEST_SVN, ID_KEY_DIGEST
from cloister.attestation.testkit.td import encode_ccel
from cloister.attestation.verdict import Verdict
from cloister.attestation.verify import ReceiptPurpose, SessionPurpose, verify
from cloister.protocol.bootconfig import BootConfiguration
from tests.agent_runtime.metadata_server import Answer, Server, azure_service, google_service, serving
from tests.agent_runtime.paravisor import REPORT_DATA, Vtpm, td_report
from tests.software_tpm import software_tpm

AT = datetime(2026, 3, 20, 12, tzinfo=UTC)
PURPOSE = SessionPurpose(b"n" * 32, b"t" * 32, b"h" * 32)
MANIFEST = hashlib.sha256(b"manifest").digest()
QUOTE_PATH, CERTIFICATES_PATH = "/acc/tdquote", "/metadata/THIM/amd/certification"


@dataclass
class Cloud:
    """A machine as the agent has it, and what the party has: policy, roots, collateral of its own."""

    machine: Machine
    policy: Policy
    roots: tuple[Anchor, ...]
    collateral: Collateral | None
    server: Server
    vtpm: Any
    tsm: "SecurityModule | None" = None

    def attester(self) -> Attester:
        configuration = BootConfiguration.parse(self.machine.boot_configuration())
        return Attester(
            self.machine, event_log_key=new_event_log_key(), boot_configuration=configuration, limits=Limits()
        )

    def judge(self, evidence: Evidence, purpose: Any = PURPOSE, manifest: bytes | None = None) -> Verdict:
        """What the party says of evidence that went over the wire."""
        received = Evidence.parse(evidence.encode())
        return verify(
            received,
            self.policy,
            purpose=purpose,
            at=AT,
            manifest_digest=manifest,
            collateral=self.collateral,
            roots=self.roots,
        )


@dataclass
class SecurityModule:
    """configfs-tsm as the kernel documents it: the report is made when it is read, over what was written."""

    kind: str
    make: Any
    aux: bytes | None = None
    generation: int = 0
    written: bytes = b""
    intruder: bytes = b""

    def read(self, name: str) -> bytes:
        if name == "provider":
            return f"{self.kind}\n".encode()
        if name == "generation":
            return f"{self.generation}\n".encode()
        if name == "auxblob":
            if self.aux is None:
                raise FileNotFoundError(name)
            return self.aux
        assert name == "outblob"
        if len(self.written) != 64:
            raise OSError(22, "Invalid argument")
        if self.intruder:
            self.write("inblob", self.intruder)
        return self.make(self.written)

    def write(self, name: str, data: bytes) -> None:
        assert name == "inblob"
        self.written = data
        self.generation += 1


@contextlib.contextmanager
def azure_snp(folder: Path, *, thim: bool = True, **vtpm: Any) -> Iterator[Cloud]:
    kit = AzureSnpMachine.create(AT)
    _, ask = kit.processor.amd.signers[kit.processor.kind]

    def hardware(report_data: bytes) -> bytes:
        return kit.processor.report(report_data=report_data, id_key_digest=ID_KEY_DIGEST, guest_svn=GUEST_SVN)

    def others(path: str, _body: bytes) -> Answer:
        if path != CERTIFICATES_PATH or not thim:
            return Answer(b"", 404)
        answer = {
            "vcekCert": pem(kit.processor.certificate),
            "tcbm": "DB18000000000004",
            "certificateChain": pem(ask, kit.processor.amd.root),
            "cacheControl": "86400",
        }
        return Answer(json.dumps(answer, indent=2).encode(), headers={"Content-Type": "application/json"})

    collateral = InMemory({CRL: kit.crls})
    with _azure(folder, kit, hcl.TYPE_SNP, hardware, others, vtpm) as made:
        yield dataclasses.replace(made, collateral=collateral)


@contextlib.contextmanager
def azure_tdx(folder: Path, *, padded: bool = False, **vtpm: Any) -> Iterator[Cloud]:
    kit = AzureTdxMachine.create(AT)

    def others(path: str, body: bytes) -> Answer:
        asked = json.loads(body)
        if path != QUOTE_PATH or set(asked) != {"report"} or "=" in asked["report"]:
            return Answer(b"", 400)
        report = base64.urlsafe_b64decode(asked["report"] + "==")
        if len(report) != hcl.TDREPORT_SIZE:
            return Answer(b"", 400)
        unused = {f"rtmr{index}": bytes(48) for index in range(4)}
        fields = {"td_attributes": bytes(8), "mr_config_id": bytes(48), **unused}
        quote = kit.intel.quote(Td(intel=kit.intel).report(**{"report_data": report[REPORT_DATA], **fields}))
        text = base64.urlsafe_b64encode(quote).decode()
        return Answer(json.dumps({"quote": text if padded else text.rstrip("=")}).encode())

    with _azure(folder, kit, hcl.TYPE_TDX, td_report, others, vtpm) as made:
        yield dataclasses.replace(made, collateral=kit.intel.collateral())


@contextlib.contextmanager
def _azure(folder: Path, kit: Any, kind: int, hardware: Any, others: Any, options: dict[str, Any]) -> Iterator[Cloud]:
    (folder / "log").write_bytes(encode_event_log(BOOT_EVENTS))
    respond = azure_service(kit.boot_configuration.encode(), others)
    with _booted(folder, BOOT_EVENTS) as send, serving(respond) as server:
        vtpm = Vtpm(send, hardware, kind, **options)
        vtpm.provision()
        machine = AzureMachine(
            vtpm, server.reached(azure.service()), boot_event_log=folder / "log", pause=server.pauses.append
        )
        yield Cloud(machine, kit.policy(), kit.roots(), None, server, vtpm)


@contextlib.contextmanager
def gcp_snp(folder: Path, *, aux: bytes | None = None) -> Iterator[Cloud]:
    kit = GcpSnpMachine.create(AT, vtpm=SoftwareTpm.create())
    events = boot_events()
    (folder / "log").write_bytes(encode_event_log(events))

    def report(report_data: bytes) -> bytes:
        return kit.processor.report(report_data=report_data, measurement=FIRMWARE)

    # The host's pages, and in them what Google puts there besides AMD's certificates.
    table = CertificateTable.parse(kit.processor.table())
    pages = CertificateTable({**table.entries, gcp.ENDORSEMENT: kit.endorsement or b""}).encode()
    module = SecurityModule("sev_guest", report, pages.ljust(20480, b"\0") if aux is None else aux)
    collateral = InMemory({CERTIFICATE: (kit.google.vtpm_intermediate, kit.google.vtpm_root), CRL: kit.crls})
    with _booted(folder, events) as send, serving(google_service(kit.boot_configuration.encode())) as server:
        template = tpm.AK_TEMPLATE.marshal()
        handle, public = tpm_commands.create_primary(send, tpm_commands.ENDORSEMENT, template)
        tpm_commands.flush_context(send, handle)
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public.point)
        for index, data in ((tpm.NV_AK_TEMPLATE, template), (tpm.NV_AK_CERTIFICATE, kit.google.certify(key))):
            tpm_commands.nv_define(send, index, len(data))
            tpm_commands.nv_write(send, index, data)
        machine = GcpMachine(
            send,
            server.reached(gcp.service()),
            tsm.Reports(module),
            boot_event_log=folder / "log",
            ccel=folder / "absent",
        )
        yield Cloud(machine, kit.policy(), kit.roots(), collateral, server, send, module)


@contextlib.contextmanager
def gcp_tdx(folder: Path) -> Iterator[Cloud]:
    kit = GcpTd.create(AT)
    (folder / "ccel").write_bytes(encode_ccel(kit.boot_events))

    def quote(report_data: bytes) -> bytes:
        return kit.intel.quote(kit.report(report_data, mr_td=FIRMWARE, mr_config_id=bytes(48)))

    module = SecurityModule("tdx_guest", quote)
    intel = kit.intel.collateral()
    collateral = InMemory({**intel.contents, LAUNCH_ENDORSEMENT: (kit.google.endorse(),)})

    def untouched(_command: bytes) -> bytes:
        raise AssertionError("a TD's vTPM is not asked")

    with serving(google_service(kit.boot_configuration.encode())) as server:
        machine = GcpMachine(
            untouched,
            server.reached(gcp.service()),
            tsm.Reports(module),
            boot_event_log=folder / "absent",
            ccel=folder / "ccel",
        )
        yield Cloud(machine, kit.policy(), kit.roots(), collateral, server, None, module)


@contextlib.contextmanager
def _booted(folder: Path, events: tuple[BootEvent, ...]) -> Iterator[tpm_commands.Transport]:
    """A TPM into which firmware has measured a boot."""
    (folder / "tpm").mkdir()
    with software_tpm(folder / "tpm") as send:
        for event in events:
            if event.kind != EV_NO_ACTION:
                tpm_commands.pcr_extend(send, event.pcr, hashlib.sha256(event.data).digest())
        yield send


CLOUDS = {
    Platform.AZURE_SNP: azure_snp,
    Platform.AZURE_TDX: azure_tdx,
    Platform.GCP_SNP: gcp_snp,
    Platform.GCP_TDX: gcp_tdx,
}


@pytest.fixture(params=CLOUDS, ids=str)
def cloud(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cloud]:
    with CLOUDS[request.param](tmp_path) as made:
        assert made.machine.platform is request.param
        yield made


def session(attester: Attester, purpose: SessionPurpose = PURPOSE) -> Evidence:
    return attester.for_session(
        nonce=purpose.nonce, tls_key_digest=purpose.tls_key_digest, hpke_key_digest=purpose.hpke_key_digest
    )


def test_what_the_agent_collects_is_accepted(cloud: Cloud) -> None:
    attester = cloud.attester()

    verdict = cloud.judge(session(attester))

    assert verdict.accepted, verdict.failures
    assert verdict.confidential
    assert verdict.platform == attester.platform.value


def test_each_session_has_evidence_of_its_own(cloud: Cloud) -> None:
    attester = cloud.attester()
    second = SessionPurpose(b"m" * 32, PURPOSE.tls_key_digest, PURPOSE.hpke_key_digest)

    first, evidence = session(attester), session(attester, second)

    assert cloud.judge(first).accepted
    assert cloud.judge(evidence, second).accepted
    assert not cloud.judge(evidence).accepted


def test_the_manifest_and_the_receipt_are_attested(cloud: Cloud) -> None:
    attester = cloud.attester()
    attester.measure_manifest(MANIFEST)

    evidence = attester.for_receipt(payload_digest=b"p" * 32, log_head=b"l" * 32)

    verdict = cloud.judge(evidence, ReceiptPurpose(b"p" * 32, b"l" * 32), MANIFEST)
    assert verdict.accepted, verdict.failures
    shown = attester.pcrs((4, 9, 11))
    assert shown == {index: verdict.claims.pcrs[index] for index in shown}
    assert bool(shown) is (attester.platform is not Platform.GCP_TDX)


def pem(*certificates: bytes) -> str:
    """As text: not by a library, which warns of the serial number that AMD gives its keys."""
    texts = [base64.encodebytes(der).decode() for der in certificates]
    return "".join(f"-----BEGIN CERTIFICATE-----\n{text}-----END CERTIFICATE-----\n" for text in texts)
