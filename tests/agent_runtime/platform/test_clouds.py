"""Evidence on cloud platforms, from the agent's collection to a party's verdict.

The agent and the verifier are real. Azure, Google, AMD and Intel are stand-ins: a software TPM provisioned like their
vTPMs, an HTTP server with their documented answers, and the testkit's vendors.
"""

import base64
import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from agent_runtime import boot
from agent_runtime.clock import Clock
from agent_runtime.computation.receipt import build_receipt
from agent_runtime.config import Config
from agent_runtime.errors import AgentError, CallRefusal
from agent_runtime.limits import Limits
from agent_runtime.operations.operations import Operations
from agent_runtime.platform import azure, gcp, tsm
from agent_runtime.platform.attester import Attester
from agent_runtime.platform.azure import AzureMachine
from agent_runtime.platform.gcp import GcpMachine
from agent_runtime.platform.machine import PlatformMachine
from agent_runtime.rpc.keys import EventKey
from cloister.attestation.azure import hcl
from cloister.attestation.collateral_source import CERTIFICATE, CRL, LAUNCH_ENDORSEMENT, Collateral, InMemory
from cloister.attestation.errors import TpmError
from cloister.attestation.evidence import Evidence, Platform
from cloister.attestation.policy.policy import Policy
from cloister.attestation.result.verdict import Verdict
from cloister.attestation.snp.table import CertificateTable
from cloister.attestation.testkit import (
    Authority,
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
from cloister.attestation.testkit.machine import BOOT_EVENTS
from cloister.attestation.testkit.microsoft import GUEST_SVN, ID_KEY_DIGEST
from cloister.attestation.testkit.td import encode_ccel
from cloister.attestation.tpm import commands, structures
from cloister.attestation.tpm.eventlog import EV_NO_ACTION
from cloister.attestation.verifier import ReceiptPurpose, SessionPurpose, verify
from cloister.attestation.x509.roots import Anchor
from cloister.client.connection.opening import Target, attest
from cloister.endpoint import Address
from cloister.protocol import receipt
from cloister.protocol.bootconfig import BootConfiguration
from cloister.protocol.manifest import Manifest
from tests.agent_runtime.platform.metadata_server import Reply, Server, azure_service, google_service, serving
from tests.agent_runtime.platform.paravisor import REPORT_DATA, Vtpm, td_report
from tests.agent_runtime.world import DATA, TRAIN, manifest_value, new_key
from tests.software_tpm import software_tpm

AT = datetime(2026, 3, 20, 12, tzinfo=UTC)
PURPOSE = SessionPurpose(b"n" * 32, b"t" * 32, b"h" * 32)
SECOND = SessionPurpose(b"m" * 32, b"t" * 32, b"h" * 32)
MANIFEST = hashlib.sha256(b"manifest").digest()
QUOTE_PATH, CERTIFICATES_PATH = "/acc/tdquote", "/metadata/THIM/amd/certification"


@dataclass
class Cloud:
    """A machine of a cloud, and what the party verifies it with."""

    machine: PlatformMachine
    policy: Policy
    roots: tuple[Anchor, ...]
    collateral: Collateral | None
    server: Server
    vtpm: Any
    tsm: "SecurityModule | None" = None

    def attester(self) -> Attester:
        configuration = BootConfiguration.parse(self.machine.boot_configuration)
        return Attester(
            self.machine,
            event_log_key=EventKey.generate().spki,
            boot_configuration=configuration,
            limits=Limits(),
            operations=Operations(Clock()),
        )

    def judge(self, evidence: Evidence, purpose: Any = PURPOSE, manifest: bytes | None = None) -> Verdict:
        """The party's verdict on evidence, after encoding and parsing."""
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
    """configfs-tsm as documented: reading ``outblob`` makes a report over what was written."""

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


VTPM = SoftwareTpm.create()


@cache
def made_once(kind: Any, **parts: Any) -> Any:
    """The testkit's machine of a kind; the RSA keys of its vendor take longer to make than the tests."""
    return kind.create(AT, **parts)


@contextlib.contextmanager
def azure_snp(folder: Path, *, thim: bool = True, **vtpm: Any) -> Iterator[Cloud]:
    kit = made_once(AzureSnpMachine)
    _, ask = kit.processor.amd.signers[kit.processor.kind]

    def hardware(report_data: bytes) -> bytes:
        return kit.processor.report(report_data=report_data, id_key_digest=ID_KEY_DIGEST, guest_svn=GUEST_SVN)

    def others(path: str, _body: bytes) -> Reply:
        if path != CERTIFICATES_PATH or not thim:
            return Reply(b"", 404)
        answer = {
            "vcekCert": pem(kit.processor.certificate),
            "tcbm": "DB18000000000004",
            "certificateChain": pem(ask, kit.processor.amd.root),
            "cacheControl": "86400",
        }
        return Reply(json.dumps(answer, indent=2).encode(), headers={"Content-Type": "application/json"})

    collateral = InMemory({CRL: kit.crls})
    with _azure(folder, kit, hcl.TYPE_SNP, hardware, others, vtpm) as made:
        yield dataclasses.replace(made, collateral=collateral)


@contextlib.contextmanager
def azure_tdx(folder: Path, *, padded: bool = False, **vtpm: Any) -> Iterator[Cloud]:
    kit = made_once(AzureTdxMachine)

    def others(path: str, body: bytes) -> Reply:
        asked = json.loads(body)
        if path != QUOTE_PATH or set(asked) != {"report"} or "=" in asked["report"]:
            return Reply(b"", 400)
        report = base64.urlsafe_b64decode(asked["report"] + "==")
        if len(report) != hcl.TDREPORT_SIZE:
            return Reply(b"", 400)
        unused = {f"rtmr{index}": bytes(48) for index in range(4)}
        fields = {"td_attributes": bytes(8), "mr_config_id": bytes(48), **unused}
        made = Td(intel=kit.intel).report(**{"report_data": report[REPORT_DATA], **fields})
        # With ``padded``, of a length that needs base64 padding.
        intels = (dataclasses.replace(kit.intel, authentication_data=bytes(size)) for size in range(32, 35))
        quotes = (intel.quote(made) for intel in intels)
        text = base64.urlsafe_b64encode(next(quote for quote in quotes if len(quote) % 3 or not padded)).decode()
        return Reply(json.dumps({"quote": text if padded else text.rstrip("=")}).encode())

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
            vtpm, server.reached(azure.metadata_service()), boot_event_log=folder / "log", sleep=server.pauses.append
        )
        yield Cloud(machine, kit.policy(), kit.roots(), None, server, vtpm)


@contextlib.contextmanager
def gcp_snp(folder: Path, *, aux: bytes | None = None) -> Iterator[Cloud]:
    kit = made_once(GcpSnpMachine, vtpm=VTPM)
    events = boot_events()
    (folder / "log").write_bytes(encode_event_log(events))

    def report(report_data: bytes) -> bytes:
        return kit.processor.report(report_data=report_data, measurement=FIRMWARE)

    # The host's certificate table, with Google's endorsement.
    table = CertificateTable.parse(kit.processor.table())
    pages = CertificateTable({**table.entries, gcp.ENDORSEMENT: kit.endorsement or b""}).encode()
    module = SecurityModule("sev_guest", report, pages.ljust(20480, b"\0") if aux is None else aux)
    collateral = InMemory({CERTIFICATE: (kit.google.vtpm_intermediate, kit.google.vtpm_root), CRL: kit.crls})
    with _booted(folder, events) as send, serving(google_service(kit.boot_configuration.encode())) as server:
        template = structures.AK_TEMPLATE.marshal()
        handle, public = commands.create_primary(send, commands.ENDORSEMENT, template)
        commands.flush_context(send, handle)
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public.point)
        for index, data in (
            (structures.NV_AK_TEMPLATE, template),
            (structures.NV_AK_CERTIFICATE, kit.google.certify(key)),
        ):
            commands.nv_define(send, index, len(data))
            commands.nv_write(send, index, data)
        machine = GcpMachine(
            send,
            server.reached(gcp.metadata_service()),
            tsm.ReportInterface(module),
            boot_event_log=folder / "log",
            ccel=folder / "absent",
        )
        yield Cloud(machine, kit.policy(), kit.roots(), collateral, server, send, module)


@contextlib.contextmanager
def gcp_tdx(folder: Path) -> Iterator[Cloud]:
    kit = made_once(GcpTd)
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
            server.reached(gcp.metadata_service()),
            tsm.ReportInterface(module),
            boot_event_log=folder / "absent",
            ccel=folder / "ccel",
        )
        yield Cloud(machine, kit.policy(), kit.roots(), collateral, server, None, module)


@contextlib.contextmanager
def _booted(folder: Path, events: tuple[BootEvent, ...]) -> Iterator[commands.Transport]:
    """A TPM into which firmware has measured a boot."""
    (folder / "tpm").mkdir()
    with software_tpm(folder / "tpm") as send:
        for event in events:
            if event.kind != EV_NO_ACTION:
                commands.pcr_extend(send, event.pcr, hashlib.sha256(event.data).digest())
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


def test_collected_evidence_is_accepted(cloud: Cloud) -> None:
    attester = cloud.attester()

    verdict = cloud.judge(session(attester))

    assert verdict.accepted, verdict.failures
    assert verdict.confidential
    assert verdict.platform == attester.platform.value


def test_each_session_has_evidence_of_its_own(cloud: Cloud) -> None:
    attester = cloud.attester()

    first, evidence = session(attester), session(attester, SECOND)

    assert cloud.judge(first).accepted
    assert cloud.judge(evidence, SECOND).accepted
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


def test_stale_paravisor_report_is_refused(tmp_path: Path) -> None:
    """The report of the boot or of another session is as genuine as a fresh one."""
    with azure_snp(tmp_path, late=None) as cloud:
        attester = cloud.attester()
        with pytest.raises(CallRefusal, match="did not make a new report"):
            session(attester)
    assert 10 < sum(cloud.server.pauses) < 20


@pytest.mark.parametrize("place", [20, 100, 1230, 1300, 2300])
@pytest.mark.parametrize("made", [azure_snp, azure_tdx])
def test_a_report_that_changes_while_it_is_read_is_read_again(tmp_path: Path, made: Any, place: int) -> None:
    with made(tmp_path, torn=place) as cloud:
        attester = cloud.attester()
        session(attester)
        evidence = session(attester, SECOND)
        assert cloud.judge(evidence, SECOND).accepted


def test_defined_but_unwritten_index_is_used(tmp_path: Path) -> None:
    """Azure may have defined it, or an agent that ended before it wrote."""
    with azure_snp(tmp_path) as cloud:
        log = tmp_path / "log"
        commands.nv_undefine(cloud.vtpm, azure.NV_USER_DATA)
        commands.nv_define(cloud.vtpm, azure.NV_USER_DATA, 64)
        cloud.machine = AzureMachine(cloud.vtpm, cloud.server.reached(azure.metadata_service()), boot_event_log=log)
        cloud.vtpm.late = 0
        assert cloud.judge(session(cloud.attester())).accepted


def test_azures_key_certificate_is_included_if_it_exists(tmp_path: Path) -> None:
    key = rsa.generate_private_key(65537, 2048)
    certificate = Authority.create(AT).certify(key.public_key())  # any certificate: the agent only passes it on
    with azure_snp(tmp_path, certificate=certificate) as cloud:
        assert session(cloud.attester()).ak_certificates == (certificate,)


def test_machine_without_processor_certificates_attests(tmp_path: Path) -> None:
    with azure_snp(tmp_path, thim=False) as cloud:
        evidence = session(cloud.attester())
        assert evidence.collateral == ()
        assert [check.name for check in cloud.judge(evidence).failures] == ["snp-chain"]


def test_processor_certificates_are_fetched_once_per_firmware(tmp_path: Path) -> None:
    with azure_snp(tmp_path) as cloud:
        attester = cloud.attester()
        for _ in range(3):
            assert len(session(attester).collateral) == 3
        asked = [path for _, path, _ in cloud.server.requests]
        assert asked.count(azure.CERTIFICATES) == 1

        hardware = cloud.vtpm.hardware
        cloud.vtpm.hardware = lambda data: hardware(data)[:0x180] + b"\x01" * 8 + hardware(data)[0x188:]
        session(attester, SECOND)
        asked = [path for _, path, _ in cloud.server.requests]
        assert asked.count(azure.CERTIFICATES) == 2


def test_padded_quote_is_accepted(tmp_path: Path) -> None:
    with azure_tdx(tmp_path, padded=True) as cloud:
        assert cloud.judge(session(cloud.attester())).accepted


@pytest.mark.parametrize(
    "answer", [b"", b"[]", b"{}", b'{"quote":1}', b'{"quote":"A"}', b'{"quote":"*"}', b"\xff", b"<html>"]
)
def test_an_answer_without_a_quote_is_refused(tmp_path: Path, answer: bytes) -> None:
    with azure_tdx(tmp_path) as cloud:
        attester = cloud.attester()
        cloud.server.respond = lambda *_: Reply(answer)
        with pytest.raises(CallRefusal, match="cannot make evidence"):
            session(attester)


def test_a_machine_without_a_paravisor_is_not_a_confidential_vm(tmp_path: Path) -> None:
    """Such as a trusted-launch VM, whose TPM has neither the key nor the report."""
    (tmp_path / "log").write_bytes(encode_event_log(BOOT_EVENTS))
    with _booted(tmp_path, ()) as send, serving(azure_service(b"{}")) as server, pytest.raises(TpmError):
        AzureMachine(send, server.reached(azure.metadata_service()), boot_event_log=tmp_path / "log")


def test_user_data_that_is_not_base64_is_refused(tmp_path: Path) -> None:
    respond = Reply(b"{not base64}")
    with serving(lambda *_: respond) as server, pytest.raises(AgentError, match="not base64"):
        AzureMachine(lambda _: b"", server.reached(azure.metadata_service()), boot_event_log=tmp_path / "log")


def test_missing_attribute_is_named_in_the_error(tmp_path: Path) -> None:
    module = SecurityModule("tdx_guest", None)
    with serving(google_service(None)) as server, pytest.raises(AgentError, match="cloister-boot-configuration"):
        GcpMachine(
            lambda _: b"",
            server.reached(gcp.metadata_service()),
            tsm.ReportInterface(module),
            boot_event_log=tmp_path,
            ccel=tmp_path,
        )


@pytest.mark.parametrize("kind", ["arm_cca_guest", ""])
def test_unknown_security_module_is_refused(tmp_path: Path, kind: str) -> None:
    module = SecurityModule(kind, None)
    with serving(google_service(b"{}")) as server, pytest.raises(AgentError, match="not a confidential VM"):
        GcpMachine(
            lambda _: b"",
            server.reached(gcp.metadata_service()),
            tsm.ReportInterface(module),
            boot_event_log=tmp_path,
            ccel=tmp_path,
        )


@pytest.mark.parametrize("aux", [b"", b"\xff" * 100])
def test_malformed_certificate_table_is_left_out(tmp_path: Path, aux: bytes) -> None:
    with gcp_snp(tmp_path, aux=aux) as cloud:
        evidence = session(cloud.attester())
        assert (evidence.snp_certificates, evidence.launch_endorsement) == (None, None)
        failed = [check.name for check in cloud.judge(evidence).failures]
        assert failed == ["snp-chain", "gcp-endorsement-path"]


def test_report_over_other_data_is_refused(tmp_path: Path) -> None:
    with gcp_tdx(tmp_path) as cloud:
        attester = cloud.attester()
        assert cloud.tsm is not None
        cloud.tsm.intruder = b"i" * 64
        with pytest.raises(CallRefusal, match="Another process used the report interface"):
            session(attester)


def test_an_agent_serves_sessions_from_a_cloud(tmp_path: Path) -> None:
    """The agent's other tests listen on the local platform; this one on Azure."""
    with azure_tdx(tmp_path) as cloud, serving_agent(tmp_path, cloud) as agent:
        policy = dataclasses.replace(cloud.policy, snp=None)
        opening = attest(Target(Address("127.0.0.1", agent.port), policy))
    assert (opening.verdict.platform, opening.verdict.accepted) == ("azure-tdx", False)


@pytest.mark.parametrize(("word", "debug"), [(b"no\n", False), (b"yes\n", True), (b"", True)])
def test_receipt_and_verdict_agree_on_confidential(cloud: Cloud, tmp_path: Path, word: bytes, debug: bool) -> None:
    """A party compares the two; if they differ, it rejects the result."""
    images = tuple(dataclasses.replace(image, debug=debug) for image in cloud.policy.images)
    cloud.policy = dataclasses.replace(cloud.policy, images=images, allow_debug=True)
    results = tmp_path / "results"
    results.mkdir()
    (results / "model").write_bytes(b"good")

    with serving_agent(tmp_path, cloud, debug=word) as agent:
        context, manifest = agent.computation._context, manifest_of_a_trial()
        context.attester.measure_manifest(manifest.digest())
        made, _ = build_receipt(results, context, manifest=manifest, manifest_bytes=manifest.encode(), consents=())

    evidence = Evidence.parse(made.evidence)
    payload = receipt.open_envelope(made.envelope, evidence.event_log_key)
    said = receipt.Receipt.parse(payload)
    purpose = ReceiptPurpose(receipt.payload_digest(payload), bytes.fromhex(said.log_head))
    verdict = cloud.judge(evidence, purpose, manifest.digest())
    assert verdict.accepted, verdict.failures
    assert (said.confidential, verdict.confidential) == (not debug, not debug)


def test_image_without_debug_file_does_not_serve(tmp_path: Path) -> None:
    with azure_tdx(tmp_path) as cloud, pytest.raises(FileNotFoundError):
        boot.start(Config(address="127.0.0.1:0", debug=tmp_path / "absent", store=tmp_path), cloud.machine)


@contextlib.contextmanager
def serving_agent(folder: Path, cloud: Cloud, *, debug: bytes = b"no\n") -> Iterator[boot.Agent]:
    """``debug`` is the content of the image's file of that name."""
    (folder / "debug").write_bytes(debug)
    (folder / "packages.json").write_bytes(b"{}")
    config = Config(
        address="127.0.0.1:0",
        debug=folder / "debug",
        packages=folder / "packages.json",
        store=folder,
        runner=folder / "runner",
    )
    agent = boot.start(config, cloud.machine)
    try:
        yield agent
    finally:
        agent.stop()


def manifest_of_a_trial() -> Manifest:
    keys = {name: new_key() for name in ("lab", "hospital", "reader")}
    return Manifest.from_value(manifest_value(keys, {"algorithm": TRAIN, "h1": DATA}))


def pem(*certificates: bytes) -> str:
    """PEM, without cryptography, which warns about the serial numbers of AMD."""
    texts = [base64.encodebytes(der).decode() for der in certificates]
    return "".join(f"-----BEGIN CERTIFICATE-----\n{text}-----END CERTIFICATE-----\n" for text in texts)
