"""``python -m tools.fuzz.seeds``: writes the seeds of all targets, made by the test kit and nobody's machine."""

import dataclasses
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime

from cloister.attestation import tpm
from cloister.attestation.testkit import BootEvent, LocalMachine, encode_event_log
from tools.fuzz.targets import CORPUS, TARGETS

SINCE = datetime(2026, 1, 1, tzinfo=UTC)


def _local() -> dict[str, dict[str, bytes]]:
    """Seeds of what a local machine shows."""
    machine = LocalMachine.create(SINCE, manifest_digest=hashlib.sha256(b"manifest").digest())
    digests = [hashlib.sha256(bytes([number])).digest() for number in range(3)]
    session = machine.session(nonce=digests[0], tls_key_digest=digests[1], hpke_key_digest=digests[2])
    receipt = machine.receipt(payload_digest=digests[0], log_head=digests[1])
    quote = session.tpm_quote
    if quote is None or session.boot_event_log is None:
        raise SystemExit("A local machine shows a quote and a boot event log.")
    policy = machine.policy(platform_pcrs={7: machine.pcrs()[7]}, secure_boot=True)
    events = (BootEvent(0, 0x3, b"StartupLocality\0\x03"), BootEvent(0, 0x8, b"firmware"), BootEvent(4, 0xD, b"x"))
    public = tpm.NvPublic(tpm.NV_AK_TEMPLATE, tpm.ALG_SHA256, tpm.NV_OWNER_READ, b"", 100)
    return {
        "boot-event-log": {"local": session.boot_event_log, "locality": encode_event_log(events)},
        "tpm-attest": {"quote": quote.attest},
        "tpm-signature": {"quote": quote.signature},
        "tpm-public": {"key": quote.ak_public, "template": tpm.AK_TEMPLATE.marshal()},
        "tpm-nv-public": {"template": public.marshal()},
        "certificate": {"leaf": machine.certificate, "authority": machine.authority.certificate},
        "evidence": {
            "session": session.encode(),
            "receipt": receipt.encode(),
            "small": dataclasses.replace(session, boot_event_log=b"log", ak_certificates=()).encode(),
        },
        "evidence-json": {"session": session.encode_json(), "receipt": receipt.encode_json()},
        "policy": {"local.json": policy.encode()},
    }


def seeds() -> Mapping[str, Mapping[str, bytes]]:
    """For each target its seeds by file name."""
    return _local()


def main() -> None:
    """Replaces the seeds in the checkout."""
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
