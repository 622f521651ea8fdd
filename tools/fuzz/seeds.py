"""``python -m tools.fuzz.seeds``: writes the seeds of all targets, which the test kit makes.

Long because it has the seeds of every parser.
"""

import base64
import bz2
import dataclasses
import gzip
import hashlib
import io
import json
import lzma
import stat
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_der_x509_certificate

from cloister.attestation.azure.hcl import TYPE_SNP, TYPE_TDX
from cloister.attestation.collateral_source import QE_IDENTITY, TCB_INFO
from cloister.attestation.instances import Instances
from cloister.attestation.snp.products import ProductLine
from cloister.attestation.snp.report import SigningKey
from cloister.attestation.tdx.pins import TdxPins
from cloister.attestation.testkit import (
    BootEvent,
    LocalMachine,
    Processor,
    RsaTpm,
    Td,
    encode_ccel,
    encode_event_log,
    evidence_policy,
    igvm,
)
from cloister.attestation.testkit.firmware import TD_SECTIONS, encode_firmware
from cloister.attestation.testkit.google import Google, instance_info
from cloister.attestation.testkit.microsoft import Paravisor, encode_hcl_report
from cloister.attestation.tpm import structures
from tests.attestation.statements import samples
from tests.client.evidence import wrappers
from tools.fuzz.targets import CORPUS, TARGETS

SINCE = datetime(2026, 1, 1, tzinfo=UTC)


def _local() -> dict[str, dict[str, bytes]]:
    """Seeds from the evidence of a local machine."""
    machine = LocalMachine.create(SINCE, manifest_digest=hashlib.sha256(b"manifest").digest())
    digests = [hashlib.sha256(bytes([number])).digest() for number in range(3)]
    session = machine.session(nonce=digests[0], tls_key_digest=digests[1], hpke_key_digest=digests[2])
    receipt = machine.receipt(payload_digest=digests[0], log_head=digests[1])
    quote = session.tpm_quote
    if quote is None or session.boot_event_log is None:
        raise SystemExit("A local machine has a quote and a boot event log.")
    policy = machine.policy(platform_pcrs={7: machine.pcrs()[7]}, secure_boot=True)
    events = (BootEvent(0, 0x3, b"StartupLocality\0\x03"), BootEvent(0, 0x8, b"firmware"), BootEvent(4, 0xD, b"x"))
    public = structures.NvPublic(structures.NV_AK_TEMPLATE, structures.ALG_SHA256, structures.NV_OWNER_READ, b"", 100)
    return {
        "boot-event-log": {"local": session.boot_event_log, "locality": encode_event_log(events)},
        "tpm-attest": {"quote": quote.attest},
        "tpm-signature": {"quote": quote.signature},
        "tpm-public": {"key": quote.ak_public, "template": structures.AK_TEMPLATE.marshal()},
        "tpm-nv-public": {"template": public.marshal()},
        "certificate": {"leaf": machine.certificate, "authority": machine.authority.certificate},
        "evidence": {
            "session": session.encode(),
            "receipt": receipt.encode(),
            "small": dataclasses.replace(session, boot_event_log=b"log", ak_certificates=()).encode(),
        },
        "evidence-json": {"session": session.encode_json(), "receipt": receipt.encode_json()},
        "policy": {"local.json": policy.encode(), "evidence.json": _evidence_policy()},
        "boot-configuration": {"local": session.boot_configuration},
        "attestation-result": {"ear.jwt": _token(), "claims.json": _CLAIMS, "cwt": b"\xd2\x84\x43:veraison/ear"},
        "tpm-response": {
            "key": bytes(8) + structures.sized(quote.ak_public),
            "nv-public": structures.sized(public.marshal()) + structures.sized(b""),
            "quote": bytes(4) + structures.sized(quote.attest) + quote.signature,
            "registers": _registers(machine.pcrs()[:8]),
        },
    }


_CLAIMS = json.dumps({"eat_profile": "tag:ietf.org,2026:rats/ear#03", "ear_status": "none", "submods": {}}).encode()


def _token() -> bytes:
    """An EAR as a JWT, with a signature that no key made."""
    parts = (b'{"alg":"EdDSA"}', _CLAIMS, bytes(64))
    return b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)


def _evidence_policy() -> bytes:
    """A policy for raw evidence with a pin of each form."""
    td = Td.create(SINCE)
    report = td.report(bytes(64))
    pins = TdxPins(mrtds=(report.mr_td,), rtmrs={1: report.rtmr1}, minimum_tee_tcb_svn=report.tee_tcb_svn)
    return evidence_policy(td.policy(), tdx_pins=pins, instances=Instances(ppids=(td.intel.platform.ppid,))).encode()


def _registers(values: Sequence[bytes]) -> bytes:
    """A TPM's response to TPM2_PCR_Read of the first registers: a counter, the selection, and the values."""
    selection = structures.PcrSelection(structures.ALG_SHA256, tuple(range(len(values)))).marshal()
    listed = len(values).to_bytes(4) + b"".join(structures.sized(value) for value in values)
    return bytes(4) + (1).to_bytes(4) + selection + listed


def _amd() -> dict[str, dict[str, bytes]]:
    """Seeds of AMD processors: one product line for each layout, and a cloud's key."""
    milan, turin = Processor.create(SINCE), Processor.create(SINCE, ProductLine.TURIN)
    cloud = Processor.create(SINCE, kind=SigningKey.VLEK, amd=milan.amd)
    return {
        "snp-report": {"milan": milan.report(), "turin": turin.report(), "version-2": milan.report(version=2)},
        "snp-firmware": {"ovmf": encode_firmware(pages=1)},
        "td-firmware": {"ovmf": encode_firmware(td=TD_SECTIONS)},
        "igvm-file": {"small": _igvm()},
        "snp-certificates": {"vcek": milan.table(), "vlek": cloud.table()},
        "snp-endorsement-key": {
            "milan": milan.certificate,
            "turin": turin.certificate,
            "vlek": cloud.certificate,
        },
        "revocation-list": {"amd": milan.amd.crl()},
    }


def _intel() -> dict[str, dict[str, bytes]]:
    """Seeds of a TDX platform and of Intel's collateral for it."""
    td = Td.create(SINCE)
    report = td.report(bytes(64))
    collateral = td.intel.collateral()
    old = dataclasses.replace(report, tee_tcb_svn2=None, mr_service_td=None)
    return {
        "ccel": {"td": encode_ccel(td.boot_events, size=512)},
        "tdx-quote": {
            "td-1.5": td.intel.quote(report),
            "td-1.0": td.intel.quote(old),
            "td-1.0-version-5": td.intel.quote(old, version=5),
        },
        "tdx-pck": {"leaf": td.intel.pck},
        "tdx-tcb-info": {"info.json": next(iter(collateral.items(TCB_INFO)))},
        "tdx-qe-identity": {"identity.json": next(iter(collateral.items(QE_IDENTITY)))},
        "collateral-file": {
            "chain.pem": _pem(td.intel.signer, td.intel.root),
            "set.json": _set(td),
            **_statements(),
        },
    }


def _pem(*certificates: bytes) -> bytes:
    return b"".join(load_der_x509_certificate(der).public_bytes(Encoding.PEM) for der in certificates)


def _statements() -> dict[str, bytes]:
    """A builder's and a publisher's statement about an image."""
    image = hashlib.sha256(b"image").digest()
    life = samples.life(image, SINCE)
    return {
        "provenance.json": samples.built(image, samples.LAB),
        "lifecycle.json": samples.signed(life, samples.PUBLISHER),
    }


def _set(td: Td) -> bytes:
    """Intel's collateral in one document, as some libraries store it."""
    collateral = td.intel.collateral()
    signed = {kind: next(iter(collateral.items(kind))) for kind in (TCB_INFO, QE_IDENTITY)}
    kept = {
        "pck_crl_issuer_chain": _pem(td.intel.authority, td.intel.root).decode(),
        "pck_crl": td.intel.crl().hex(),
        "tcb_info": json.dumps(json.loads(signed[TCB_INFO])["tcbInfo"]),
        "tcb_info_signature": json.loads(signed[TCB_INFO])["signature"],
        "qe_identity": json.dumps(json.loads(signed[QE_IDENTITY])["enclaveIdentity"]),
        "qe_identity_signature": json.loads(signed[QE_IDENTITY])["signature"],
    }
    return json.dumps(kept).encode()


def _clouds() -> dict[str, dict[str, bytes]]:
    """Seeds of Azure's paravisor and of Google's firmware."""
    vtpm = RsaTpm.create()
    paravisor = Paravisor().claims(vtpm, bytes(64))
    google = Google.create(SINCE)
    attest = vtpm.attest([bytes(32)] * 16, bytes(32)).marshal()
    return {
        "hcl-report": {
            "snp": encode_hcl_report(Processor.create(SINCE).report(), paravisor, TYPE_SNP),
            "tdx": encode_hcl_report(bytes(1024), paravisor, TYPE_TDX),
        },
        "launch-endorsement": {"google": google.endorse()},
        "gce-instance": {"machine": instance_info()},
        "tpm-rsa-signature": {"quote": vtpm.sign(attest)},
        "tpm-rsa-public": {"key": vtpm.public().marshal()},
    }


def _archives() -> dict[str, dict[str, bytes]]:
    """Seeds of archives: each reader, with a file, a folder and a link."""
    made = {}
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", method) as packed:
            link = zipfile.ZipInfo("x/link")
            link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
            for info, content in ((zipfile.ZipInfo("x/"), b""), (zipfile.ZipInfo("x/a"), b"data" * 20), (link, b"a")):
                packed.writestr(info, content, compress_type=method)
        made[f"{method}.zip"] = out.getvalue()
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=form) as tar:
            file, folder, soft = tarfile.TarInfo("x/a"), tarfile.TarInfo("y"), tarfile.TarInfo("x/" + "l" * 99)
            file.size, folder.type, soft.type, soft.linkname = 4, tarfile.DIRTYPE, tarfile.SYMTYPE, "a"
            tar.addfile(file, io.BytesIO(b"data"))
            tar.addfile(folder)
            if form != tarfile.USTAR_FORMAT:
                tar.addfile(soft)
        made[f"{form}.tar"] = out.getvalue()
    plain = made[f"{tarfile.USTAR_FORMAT}.tar"]
    made |= {"tar.gz": gzip.compress(plain, mtime=0), "tar.bz2": bz2.compress(plain), "tar.xz": lzma.compress(plain)}
    return {"archive": made}


def _tar(members: Sequence[tuple[str, bytes, str | bytes]], form: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar of members: name, kind, and a link's target or a file's content. Without more than its end needs."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for name, kind, more in members:
            member = tarfile.TarInfo(name)
            member.type, member.mode = kind, 0o755
            if isinstance(more, str):
                member.linkname = more
            else:
                member.size = len(more)
            tar.addfile(member, io.BytesIO(more if isinstance(more, bytes) else b""))
        end = out.tell() + 1024
    return out.getvalue()[:end]


_LOWER = (
    ("usr/", tarfile.DIRTYPE, b""), ("usr/a", tarfile.REGTYPE, b"x"), ("usr/b", tarfile.LNKTYPE, "usr/a"),
    ("lib", tarfile.SYMTYPE, "usr"), ("etc/passwd", tarfile.REGTYPE, b"app:x:7:8::/app:/bin/sh\n"),
    ("dev/null", tarfile.CHRTYPE, b""), ("p", tarfile.FIFOTYPE, b""), ("d/e/f", tarfile.REGTYPE, b"deep"),
)  # fmt: skip
_UPPER = (
    ("lib/c", tarfile.REGTYPE, b"y"), ("lib/.wh.a", tarfile.REGTYPE, b""), ("d/e/g", tarfile.REGTYPE, b""),
    ("d/.wh..wh..opq", tarfile.REGTYPE, b""), ("usr", tarfile.DIRTYPE, b""), ("p", tarfile.DIRTYPE, b""),
    ("up", tarfile.SYMTYPE, "../../.."), ("up/x", tarfile.REGTYPE, b""), ("caf\udce9" * 30, tarfile.REGTYPE, b""),
)  # fmt: skip


def _containers() -> dict[str, dict[str, bytes]]:
    """Seeds of images of containers: a whole one, its documents, and layers that change one another."""
    oci = "application/vnd.oci.image."
    blobs: dict[str, bytes] = {}

    def blob(data: bytes, kind: str) -> dict[str, object]:
        digest = hashlib.sha256(data).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = data
        return {"mediaType": f"{oci}{kind}", "digest": f"sha256:{digest}", "size": len(data)}

    tars = [_tar(members) for members in (_LOWER, _UPPER)]
    process = {"Entrypoint": ["/usr/b"], "Cmd": ["x"], "Env": ["A=b"], "User": "app", "WorkingDir": "/d", "Volumes": {}}
    config = {
        "os": "linux",
        "architecture": "amd64",
        "config": process,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(data).hexdigest()}" for data in tars]},
    }
    layers = [blob(gzip.compress(tars[0], mtime=0), "layer.v1.tar+gzip"), blob(tars[1], "layer.v1.tar")]
    documents = {"config": json.dumps(config).encode()}
    manifest = {"schemaVersion": 2, "config": blob(documents["config"], "config.v1+json"), "layers": layers}
    documents["manifest"] = json.dumps(manifest).encode()
    platform = {"os": "linux", "architecture": "amd64"}
    entry = blob(documents["manifest"], "manifest.v1+json") | {"platform": platform}
    attestation = {**entry, "annotations": {"vnd.docker.reference.type": "attestation-manifest"}}
    documents["index"] = json.dumps({"schemaVersion": 2, "manifests": [attestation, entry]}).encode()
    files = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}', "index.json": documents["index"], **blobs}
    archive = _tar([(name, tarfile.REGTYPE, data) for name, data in files.items()])
    documents["config"] += b"\0app:x:7:8::/app:/bin/sh\napp:x:9:app\n"
    numbered = b"".join(bytes([len(data) // 512]) + bytes(511) + data for data in tars)
    old = _tar(_LOWER[:4], tarfile.GNU_FORMAT)
    return {
        "container-archive": {"image.tar": archive},
        "container-documents": documents,
        "container-layers": {"pax": numbered, "gnu": bytes([len(old) // 512]) + bytes(511) + old},
    }


_FORMS = {
    "fields": "Confidential Containers, SEV-SNP",
    "old-fields": "Confidential Containers, SEV-SNP, old",
    "azure": "attestation-rs, Azure",
    "tpm": "Confidential Containers, TPM",
    "authority": "Intel Trust Authority",
    "clean-rooms": "Azure's clean rooms",
}
"""Seeds of JSON: one for each reader of members."""


def _files() -> dict[str, dict[str, bytes]]:
    """Seeds of files in the forms of other tools."""
    quote, key = wrappers.TPM_QUOTE, wrappers.TPM.public().marshal()
    named = {f"{name}.json": json.dumps(wrappers.JSON[form].document).encode() for name, form in _FORMS.items()}
    claims = Paravisor().claims(wrappers.RSA, bytes(64))
    old = json.loads(claims)
    del old["user-data"], old["keys"][1], old["vm-configuration"]["vmUniqueId"]
    parts = ((quote.attest, quote.signature, pcrs, key) for pcrs in (wrappers.serialized(), wrappers.marshaled()))
    return {
        "evidence-file": {
            **named,
            "report.hex": wrappers.REPORT.hex().encode(),
            "quote.base64": wrappers.base64_of(wrappers.QUOTE).encode(),
            "trailing": wrappers.REPORT + bytes(20),
            "go-tpm-tools": wrappers.ATTESTATION,
            "go-sev-guest": wrappers.SNP_ATTESTATION,
            "go-tdx-guest": wrappers.protobuf_quote(wrappers.QUOTE),
            "go-tdx-guest-4": wrappers.protobuf_quote(wrappers.QUOTE_4),
        },
        "tpm-files": {
            f"{index}": b"".join(structures.sized(part) for part in files) for index, files in enumerate(parts)
        },
        "recorded-claims": {"now.json": claims, "2022.json": json.dumps(old).encode()},
        "recorded-log": {"tpm": wrappers.TCG.ljust(1024, b"\xff"), "td": wrappers.CCEL},
    }


def _igvm() -> bytes:
    """An IGVM file with a header of each kind that is read."""

    def rows(at: int) -> list[tuple[int, bytes]]:
        return [
            igvm.platform(1, 2),
            igvm.platform(2, 3),
            igvm.area(1, 4096),
            igvm.page(0x1000, at),
            igvm.page(0x2000, purpose=1),
            igvm.insert(0x3000, 1),
            igvm.context(0xFFFFFFFFF000, at),
        ]

    return igvm.encode_igvm(rows(igvm.data_offset(rows(0))), bytes(4096))


def seeds() -> Mapping[str, Mapping[str, bytes]]:
    """The seeds of each target by file name."""
    return {**_local(), **_amd(), **_intel(), **_clouds(), **_files(), **_archives(), **_containers()}


def main() -> None:
    """Replace the seeds in the checkout."""
    made = seeds()
    if made.keys() != TARGETS.keys():
        raise SystemExit(f"No seeds for {', '.join(sorted(TARGETS.keys() - made.keys()))}.")
    for target, files in made.items():
        folder = CORPUS / target
        folder.mkdir(parents=True, exist_ok=True)
        for stale in folder.iterdir():
            stale.unlink()
        for name, content in files.items():
            (folder / name).write_bytes(content)


if __name__ == "__main__":
    main()
