"""The parsers of untrusted bytes, by name: the targets of `invoke fuzz`.

A target returns when its parser accepts the bytes or rejects them with its documented error; any other exception is a
finding.

Long because it lists every parser.
"""

import contextlib
import zlib
from collections.abc import Callable, Generator, Mapping
from pathlib import Path

CORPUS = Path(__file__).resolve().parents[2] / "tests" / "fuzz" / "corpus"
"""A folder for each target with small seeds, made by ``python -m tools.fuzz.seeds``."""

MAX_SIZE = 64 * 1024
"""Bytes of one input."""


def boot_event_log(data: bytes) -> None:
    """TCG PC Client event log."""
    from cloister.attestation.tpm.eventlog import EventLog

    with _refusals():
        EventLog.parse(data).replay(range(24))


def tpm_attest(data: bytes) -> None:
    """TPMS_ATTEST."""
    from cloister.attestation.tpm.structures import Attest

    with _refusals():
        found = Attest.parse(data)
        if found.quote is not None:  # only the header of other structures is parsed
            _same(data, found.marshal())


def tpm_signature(data: bytes) -> None:
    """TPMT_SIGNATURE."""
    from cloister.attestation.tpm.structures import EcdsaSignature

    with _refusals():
        found = EcdsaSignature.parse(data)
        if EcdsaSignature.parse(found.marshal()) != found:  # its numbers may come with leading zeros or without
            raise RuntimeError("A signature differs after writing and parsing it.")


def tpm_public(data: bytes) -> None:
    """TPMT_PUBLIC."""
    from cloister.attestation.tpm.structures import EccPublic

    with _refusals():
        found = EccPublic.parse(data)
        _same(data, found.marshal())
        if len(found.point) != 65:
            raise RuntimeError("A point of P-256 has 65 bytes.")


def tpm_nv_public(data: bytes) -> None:
    """TPMS_NV_PUBLIC."""
    from cloister.attestation.tpm.structures import NvPublic

    with _refusals():
        _same(data, NvPublic.parse(data).marshal())


def certificate(data: bytes) -> None:
    """X.509 certificate, as the issuer of itself too."""
    from datetime import UTC, datetime

    from cloister.attestation.x509.certificate import Certificate, find_path

    with _refusals():
        found = Certificate.parse(data)
        found.valid_at(datetime(2026, 1, 1, tzinfo=UTC))
        find_path(found, (found,), found.fingerprint())


def evidence(data: bytes) -> None:
    """The evidence message."""
    from cloister.attestation.evidence import Evidence

    with _refusals():
        found = Evidence.parse(data)
        _same(data, found.encode())
        found.report_data()


def evidence_json(data: bytes) -> None:
    """The evidence file."""
    from cloister.attestation.evidence import Evidence

    with _refusals():
        found = Evidence.parse_json(data)
        if Evidence.parse_json(found.encode_json()) != found:
            raise RuntimeError("Evidence differs after writing and parsing the file.")


def policy(data: bytes) -> None:
    """The policy of either kind, JSON or YAML."""
    from cloister.attestation.policy.either import parse_policy

    with _refusals():
        found = parse_policy(data)
        if parse_policy(found.encode()).digest() != found.digest():
            raise RuntimeError("A policy differs after writing and parsing it.")


def tpm_response(data: bytes) -> None:
    """A TPM's responses to commands that read from it, after the response header."""
    from cloister.attestation.tpm import commands, structures

    def answer(command: bytes) -> bytes:
        return command[:2] + (10 + len(data)).to_bytes(4) + bytes(4) + data

    for read in (
        lambda: commands.create_primary(answer, commands.ENDORSEMENT, b"template"),
        lambda: commands.read_public(answer, 0),
        lambda: commands.quote(answer, 0, b"nonce", structures.QUOTED_PCRS),
        lambda: commands.pcr_read(answer, structures.QUOTED_PCRS[:8]),
        lambda: commands.nv_read(answer, structures.NV_AK_CERTIFICATE),
    ):
        with _refusals():
            read()


def boot_configuration(data: bytes) -> None:
    """The boot configuration."""
    from cloister.protocol.bootconfig import BootConfiguration

    with _refusals():
        _same(data, BootConfiguration.parse(data).encode())


def collateral_file(data: bytes) -> None:
    """A file or a response of a vendor's service: PEM, DER, Intel's JSON, or several in one document."""
    from cloister.client.collateral import content

    with _refusals():
        content.read(data, "file")


def attestation_result(data: bytes) -> None:
    """What a verifier concluded, as a token, claims or a verdict: recognised, or not."""
    from cloister.client.evidence.attestation_results import kind_of_result

    kind_of_result(data)


def evidence_file(data: bytes) -> None:
    """A file of evidence: bytes, hex, base64, a protobuf or another tool's JSON."""
    from pathlib import Path

    from cloister.client.evidence.evidence_files import loading
    from cloister.client.evidence.evidence_files.parts import Parts
    from cloister.client.evidence.evidence_files.source import EvidenceFile

    parts = Parts()
    with _refusals(), _input_errors():
        loading.add(parts, data, EvidenceFile(Path("file")))
        parts.whole()


def tpm_files(data: bytes) -> None:
    """What tpm2-tools write beside a quote: four files, after their sizes in 2 bytes each."""
    from pathlib import Path

    from cloister.client.evidence.evidence_files import loading
    from cloister.client.evidence.evidence_files.parts import Parts
    from cloister.client.evidence.evidence_files.source import EvidenceFile

    parts = Parts()
    with _refusals(), _input_errors():
        for index in range(4):
            size = int.from_bytes(data[:2])
            loading.add(parts, data[2 : 2 + size], EvidenceFile(Path(f"file{index}")))
            data = data[2 + size :]
        parts.whole()


def recorded_claims(data: bytes) -> None:
    """The paravisor's runtime claims of 2022 and later."""
    from cloister.attestation.azure.hcl import RuntimeClaims

    with _refusals():
        RuntimeClaims.parse(data, recorded=True)


def recorded_log(data: bytes) -> None:
    """A log alone, with the filling of its area: of a TPM, and of a TD."""
    from cloister.attestation.raw.log import RawLog, replayed

    for is_ccel in (False, True):
        with _refusals():
            _, lines = replayed(RawLog(data, is_ccel))
            if not all(line.isprintable() for line in lines):
                raise RuntimeError("An event is shown with characters that cannot be printed.")


def tpm_rsa_signature(data: bytes) -> None:
    """TPMT_SIGNATURE of the kind RSASSA."""
    from cloister.attestation.tpm.rsa import RsaSignature

    with _refusals():
        _same(data, RsaSignature.parse(data).marshal())


def tpm_rsa_public(data: bytes) -> None:
    """TPMT_PUBLIC of an RSA key."""
    from cloister.attestation.tpm.rsa import RsaPublic

    with _refusals():
        _same(data, RsaPublic.parse(data).marshal())


def snp_report(data: bytes) -> None:
    """SEV-SNP attestation report."""
    from cloister.attestation.snp.report import SnpReport

    with _refusals():
        SnpReport.parse(data)


def snp_firmware(data: bytes) -> None:
    """OVMF with SEV-SNP metadata."""
    from cloister.attestation.launch.snp import KernelHashes, OvmfFirmware

    with _refusals():
        firmware = OvmfFirmware.parse(data)
        firmware.digest(KernelHashes(bytes(32)) if firmware.takes_hashes else None)


def td_firmware(data: bytes) -> None:
    """OVMF with TDX metadata."""
    from cloister.attestation.launch.tdx import Order, TdFirmware

    with _refusals():
        firmware = TdFirmware.parse(data)
        if sum(region.pages for region in firmware.regions) < 64:
            for order in Order:
                firmware.mrtd(order)


def igvm_file(data: bytes) -> None:
    """IGVM file, with the checksum that its headers have."""
    from cloister.attestation.launch.igvm import SEV_SNP, TDX, IgvmFile

    if len(data) >= 24:
        start, size = (int.from_bytes(data[place : place + 4], "little") for place in (8, 12))
        rest = data[24 : 32 if data[4] == 2 else 24] + data[start : start + size]
        header = data[:16] + len(data).to_bytes(4, "little")
        data = header + zlib.crc32(header + bytes(4) + rest).to_bytes(4, "little") + data[24:]
    with _refusals():
        file = IgvmFile.parse(data)
        if SEV_SNP in file.pages:
            list(file.measured(zero_pages=True))
        if TDX in file.pages:
            file.mrtd()


def snp_certificates(data: bytes) -> None:
    """The certificate table of the GHCB."""
    from cloister.attestation.snp.table import CertificateTable

    with _refusals():
        CertificateTable.parse(data)


def snp_endorsement_key(data: bytes) -> None:
    """VCEK or VLEK, parsed without a library."""
    from cloister.attestation.snp.certificates import EndorsementCertificate, is_endorsement

    with _refusals():
        is_endorsement(data)
        EndorsementCertificate.parse(data)


def revocation_list(data: bytes) -> None:
    """X.509 certificate revocation list."""
    from cloister.attestation.x509.crl import RevocationList

    with _refusals():
        RevocationList.parse(data).period()


def ccel(data: bytes) -> None:
    """The boot event log of a TD."""
    from cloister.attestation.tpm.ccel import Ccel

    with _refusals():
        Ccel.parse(data).replay()


def tdx_quote(data: bytes) -> None:
    """TDX quote of version 4 or 5."""
    from cloister.attestation.tdx.quote import TdxQuote

    with _refusals():
        TdxQuote.parse(data)


def tdx_pck(data: bytes) -> None:
    """The SGX extensions of a platform's certificate."""
    from cloister.attestation.tdx.certificates import Pck
    from cloister.attestation.x509.certificate import Certificate

    with _refusals():
        Pck.parse(Certificate.parse(data))


def tdx_tcb_info(data: bytes) -> None:
    """Intel's TCB info."""
    from cloister.attestation.tdx.tcb_info import TcbInfo

    with _refusals():
        TcbInfo.parse(data).period()


def tdx_qe_identity(data: bytes) -> None:
    """Intel's identity of the quoting enclave."""
    from cloister.attestation.tdx.tcb_info import QeIdentity

    with _refusals():
        QeIdentity.parse(data).period()


def hcl_report(data: bytes) -> None:
    """The report of Azure's paravisor."""
    from cloister.attestation.azure.hcl import HclReport

    with _refusals():
        HclReport.parse(data).report_data()


def launch_endorsement(data: bytes) -> None:
    """Google's endorsement of its firmware."""
    from cloister.attestation.gcp.endorsement import LaunchEndorsement

    with _refusals():
        LaunchEndorsement.parse(data)


def gce_instance(data: bytes) -> None:
    """The extension of Google's certificates that names a machine."""
    from cloister.attestation.gcp.certificates import InstanceInfo

    with _refusals():
        InstanceInfo.parse(data)


def archive(data: bytes) -> None:
    """A zip or a tar, plain or compressed: checked and unpacked, with the same outcome."""
    import io

    from cloister.protocol.archives.errors import ArchiveError
    from cloister.protocol.archives.tree import ArchiveTree, Checking, Pieces
    from cloister.protocol.archives.unpacking import read_into

    class Kept(Checking):
        """Keeps the files."""

        def __init__(self) -> None:
            super().__init__()
            self.files: dict[str, bytes] = {}

        def file(self, path: str, pieces: Pieces, executable: bool) -> None:
            self.files[path] = b"".join(pieces)
            super().file(path, iter((self.files[path],)), executable)

        def copy(self, source: str, path: str) -> None:
            self.files[path] = self.files[source]

    kept = Kept()
    try:
        found = read_into(io.BytesIO(data), ArchiveTree(Checking()))
    except ArchiveError:
        return
    if found.size > 1 << 24:  # more than is kept here
        return
    if found != read_into(io.BytesIO(data), ArchiveTree(kept, found.size)):
        raise RuntimeError("An archive has other contents when it is unpacked.")
    if sum(map(len, kept.files.values())) != found.size:
        raise RuntimeError("The unpacked size is not that of the files.")
    if any(path.startswith("/") or ".." in path.split("/") for path in kept.files):
        raise RuntimeError("A path leads out of the archive's folder.")


def container_archive(data: bytes) -> None:
    """An image of a container as an archive, its configuration and users: the same outcome each time."""
    import io

    from cloister.protocol.containers import unpacking
    from cloister.protocol.containers.process import ContainerProcess
    from tools.fuzz.containers import with_checksums

    made = with_checksums(data)
    with _sentences():
        found = unpacking.check(io.BytesIO(made))
        if found != unpacking.check(io.BytesIO(made)):
            raise RuntimeError("An image is another one when it is read again.")
        if ContainerProcess.parse(found.process.encode()) != found.process:
            raise RuntimeError("A process differs after writing and parsing it.")


def container_documents(data: bytes) -> None:
    """An index, a manifest or a configuration with the users after a zero: no digest hides them here."""
    from cloister.protocol.containers import documents
    from cloister.protocol.containers.process import ContainerProcess, resolve

    document, _, users = data.partition(b"\0")
    with _sentences():
        documents.descriptors(document, "The index")
    with _sentences():
        for layer in documents.image_manifest(document, "The manifest").layers:
            documents.require_layer(layer)
    with _sentences():
        config = documents.image_config(document)
        found = resolve(config, (), {"A": "b"}, passwd=users, group=users)
        if ContainerProcess.parse(found.encode()) != found:
            raise RuntimeError("A process differs after writing and parsing it.")


def container_layers(data: bytes) -> None:
    """Layers, each applied to those before it: counted, and made in a model of a file system."""
    from cloister.protocol.containers.sinks import CountingSink
    from tools.fuzz.containers import ModelSink, apply, layers

    tars = layers(data)
    model = ModelSink()
    with _sentences():
        counted = apply(tars, CountingSink())
        made = apply(tars, model)
        if (counted.size, counted.peak, counted.entries) != (made.size, made.peak, made.entries):
            raise RuntimeError("Layers have another size when they are unpacked.")
        if made.entries != len(model.kinds) - 1:
            raise RuntimeError("The number of files and folders is not that of the file system.")
        for path in model.kinds:
            if (place := made.find(path)) is not None and place.path not in model.kinds:
                raise RuntimeError(f"{path!r} leads to what is not there.")


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    target.__name__.replace("_", "-"): target
    for target in (
        boot_event_log,
        tpm_attest,
        tpm_signature,
        tpm_public,
        tpm_nv_public,
        certificate,
        evidence,
        evidence_json,
        policy,
        tpm_response,
        boot_configuration,
        collateral_file,
        attestation_result,
        evidence_file,
        tpm_files,
        recorded_claims,
        recorded_log,
        tpm_rsa_signature,
        tpm_rsa_public,
        snp_report,
        snp_firmware,
        td_firmware,
        igvm_file,
        snp_certificates,
        snp_endorsement_key,
        revocation_list,
        ccel,
        tdx_quote,
        tdx_pck,
        tdx_tcb_info,
        tdx_qe_identity,
        hcl_report,
        launch_endorsement,
        gce_instance,
        archive,
        container_archive,
        container_documents,
        container_layers,
    )
}


def _refusals() -> contextlib.AbstractContextManager[None]:
    """Suppresses the documented errors of the parsers."""
    from cloister.attestation.errors import MalformedEvidence, PolicyError
    from cloister.protocol.canonical import FormatError

    return contextlib.suppress(MalformedEvidence, PolicyError, FormatError)


@contextlib.contextmanager
def _input_errors() -> Generator[None]:
    """Suppresses the documented errors about a party's files. Their messages can be shown to people."""
    from cloister.errors import InputError

    try:
        yield
    except InputError as error:
        if not error.message.isprintable() or not (error.hint or error.remedy):
            raise RuntimeError(f"The message is {error.message!r}, the hint {error.hint!r}.") from error


@contextlib.contextmanager
def _sentences() -> Generator[None]:
    """Suppresses the documented errors about images of containers. Their messages can be shown to people."""
    from cloister.protocol.archives.errors import ArchiveError
    from cloister.protocol.containers.errors import ContainerError

    try:
        yield
    except (ContainerError, ArchiveError) as error:
        if not error.message.isprintable() or not error.hint:
            raise RuntimeError(f"The message is {error.message!r}, the hint {error.hint!r}.") from error


def _same(data: bytes, again: bytes) -> None:
    if data != again:
        raise RuntimeError("The parsed value is encoded differently.")
