"""Builds the receipt of a result, its evidence, and the members of the result's zip."""

import hashlib
import secrets
from dataclasses import dataclass
from pathlib import Path

from agent_runtime.computation.context import ComputationContext
from agent_runtime.computation.results import collect_files
from cloister.protocol import canonical, names
from cloister.protocol.manifest import Manifest
from cloister.protocol.receipt import Consent, Receipt, payload_digest

IMAGE_PCRS = (4, 9, 11, 12, 13)
"""PCRs whose values depend on the image only."""


@dataclass(frozen=True)
class SignedReceipt:
    """``envelope`` is the DSSE envelope, ``evidence`` the encoded evidence over its payload."""

    envelope: bytes
    evidence: bytes
    payload_digest: bytes
    files: tuple[tuple[str, int], ...]
    """Name and size of each file of the result."""


def build_receipt(
    folder: Path,
    context: ComputationContext,
    *,
    manifest: Manifest,
    manifest_bytes: bytes,
    consents: tuple[Consent, ...],
) -> tuple[SignedReceipt, dict[str, Path | bytes]]:
    """The receipt for the results in ``folder``, and the members of the result's zip.

    Raises AgentError or ValueError when ``folder`` has anything but files, or more than the manifest allows.
    """
    boot_configuration = context.boot_configuration.encode()
    files = collect_files(folder, max_size=manifest.results.max_size, limits=context.limits)
    lines, head = context.log.snapshot()
    receipt = Receipt(
        files={file.name: file.digest.hex() for file in files},
        manifest=manifest.digest().hex(),
        assets={asset.name: asset.digest for asset in manifest.assets()},
        consents=consents,
        boot_configuration=hashlib.sha256(boot_configuration).hexdigest(),
        platform=context.attester.platform.value,
        confidential=context.confidential,
        pcrs={index: value.hex() for index, value in context.attester.pcrs(IMAGE_PCRS).items()},
        log_head=head.hex(),
        salt=secrets.token_hex(32),
        created=canonical.to_time(context.clock.now()),
    )
    payload = receipt.payload()
    digest = payload_digest(payload)
    evidence = context.attester.for_receipt(payload_digest=digest, log_head=head)
    envelope = context.sign(payload)
    members: dict[str, Path | bytes] = {
        **{file.name: file.path for file in files},
        f"{names.PROOF_FOLDER}/receipt.dsse.json": envelope,
        f"{names.PROOF_FOLDER}/evidence.json": evidence.encode_json(),
        f"{names.PROOF_FOLDER}/manifest.json": manifest_bytes,
        f"{names.PROOF_FOLDER}/boot-configuration.json": boot_configuration,
        f"{names.PROOF_FOLDER}/events.jsonl": lines,
    }
    listed = tuple((file.name, file.size) for file in files)
    return SignedReceipt(envelope, evidence.encode(), digest, listed), members
