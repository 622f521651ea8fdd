"""Decides who may do what. Nothing here changes state."""

from collections.abc import Collection

from agent_runtime.errors import CallRefusal, Reason
from agent_runtime.rpc.session import BoundSession, PartyIdentity
from cloister.protocol import signingkey
from cloister.protocol.events import State
from cloister.protocol.manifest import Asset, Manifest

OWNER = "owner"
CONSUMER = "result-consumer"


def identify(spki: bytes, *, owners: Collection[str], manifest: Manifest | None, state: State) -> PartyIdentity:
    """Parties and roles of a key; ``owners`` are key ids. Raises CallRefusal NOT_AUTHORIZED when it has no role."""
    key = signingkey.key_id(spki)
    roles = set(manifest.roles(spki)) if manifest else set()
    if key in owners:
        roles.add(OWNER)
    if not roles:
        message = (
            f"Neither the manifest nor the boot configuration names the key {key}."
            if manifest
            else f"No manifest has been submitted, and the boot configuration does not name the key {key}."
        )
        raise CallRefusal(Reason.NOT_AUTHORIZED, message, key=key, state=state.value)
    return PartyIdentity(manifest.names(spki) if manifest else (), tuple(sorted(roles)))


def require_role(session: BoundSession, role: str) -> None:
    """Raises CallRefusal NOT_AUTHORIZED when the session's key lacks the role."""
    if role not in session.identity.roles:
        raise CallRefusal(
            Reason.NOT_AUTHORIZED,
            f"This call requires the role {role}; the key {session.key_id} has: {', '.join(session.identity.roles)}.",
            key=session.key_id,
        )


def require_provider(session: BoundSession, asset: Asset) -> None:
    """Raises CallRefusal NOT_AUTHORIZED unless the session's party provides the asset."""
    if asset.provider not in session.identity.parties:
        raise CallRefusal(
            Reason.NOT_AUTHORIZED,
            f"{asset.provider} provides {asset.name}; this key belongs to {_names(session)}.",
            key=session.key_id,
        )


def require_any_provider(session: BoundSession, manifest: Manifest) -> str:
    """The session's party. Raises CallRefusal NOT_AUTHORIZED unless it provides one of the manifest's assets."""
    providers = {asset.provider for asset in manifest.assets()}
    for party in session.identity.parties:
        if party in providers:
            return party
    raise CallRefusal(
        Reason.NOT_AUTHORIZED,
        f"This key belongs to {_names(session)}, which provides nothing in the manifest.",
        key=session.key_id,
    )


def require_consumer(session: BoundSession, consumer: str, manifest: Manifest) -> None:
    """Raises CallRefusal NOT_AUTHORIZED unless the manifest gives the session's party the slot of ``consumer``."""
    if consumer not in manifest.results.recipients or consumer not in session.identity.parties:
        raise CallRefusal(
            Reason.NOT_AUTHORIZED,
            f"This key belongs to {_names(session)}; it cannot fetch the result for {consumer[:64]!r}.",
        )


def require_approver(session: BoundSession, manifest: Manifest) -> str:
    """The session's party. Raises CallRefusal NOT_AUTHORIZED unless the manifest has it approve the result."""
    for party in session.identity.parties:
        if party in manifest.results.approvers:
            return party
    raise CallRefusal(
        Reason.NOT_AUTHORIZED,
        f"This key belongs to {_names(session)}; the manifest does not have it approve the result.",
        key=session.key_id,
    )


def require_reader(session: BoundSession, manifest: Manifest) -> None:
    """Raises CallRefusal NOT_AUTHORIZED unless the manifest lets the session's party read the algorithm's logs."""
    if not set(manifest.logs.readers) & set(session.identity.parties):
        raise CallRefusal(
            Reason.NOT_AUTHORIZED, f"This key belongs to {_names(session)}; the manifest does not let it read the logs."
        )


def _names(session: BoundSession) -> str:
    return ", ".join(session.identity.parties) or "no party in the manifest"
