"""What is known of a machine: by the workspace descriptor, and by its evidence."""

from collections.abc import Iterator

from cloister.attestation.result.verdict import Verdict
from cloister.client.page.machines import WatchedMachine
from cloister.protocol.signingkey import key_id
from cloister.units import format_size


def facts(machine: WatchedMachine, verdict: Verdict | None) -> Iterator[tuple[str, str]]:
    """Names and values; what the platform team says comes first, then the verdict's claims."""
    yield "Address", str(machine.target.address)
    if machine.descriptor is not None:
        yield "Workspace", f"{machine.workspace}, backend {machine.descriptor.backend}"
        if (budget := machine.descriptor.budget) is not None:
            yield "Budget in the descriptor", f"{budget.amount} {budget.currency} a month"
        yield "Image in the descriptor", f"{machine.descriptor.flavor}, manifest {machine.descriptor.image}"
    if verdict is not None:
        yield from _claimed(verdict)


def _claimed(verdict: Verdict) -> Iterator[tuple[str, str]]:
    claims, configuration = verdict.claims, verdict.claims.boot_configuration
    yield "Platform", verdict.platform
    yield "Confidential", "yes" if verdict.confidential else "no"
    yield "CVM", f"{configuration.cvm} of the workspace {configuration.workspace}"
    if claims.image is not None:
        yield "Image, as proven", f"{claims.image[0]}, manifest {claims.image[1].hex()}"
    yield "Manifest, as proven", claims.manifest_digest.hex() if claims.manifest_digest else "none submitted yet"
    if configuration.scratch:
        yield "Scratch disk", f"{format_size(configuration.scratch)}, encrypted"
    for name, value in claims.identity.items():
        yield name, value or "-"
    yield "Event-log key", key_id(claims.event_log_key)
    yield "Boot configuration", claims.boot_configuration_digest.hex()
