"""Verifies the providers' consents, limits their number and keeps them for the receipt."""

from agent_runtime.errors import CallRefusal, Reason
from agent_runtime.limits import Limits
from agent_runtime.rpc.session import BoundSession
from cloister.protocol import canonical, signingkey, transcript
from cloister.protocol.manifest import Asset, Manifest
from cloister.protocol.receipt import Consent


def verified_consent(asset: Asset, signature: bytes, manifest: Manifest, session: BoundSession) -> Consent:
    """Verify a provider's consent. Raises CallRefusal WRONG_CONSENT for a wrong key, asset, manifest or session."""
    message = transcript.consent_message(
        manifest_digest=manifest.digest(),
        asset=asset.name,
        asset_digest=bytes.fromhex(asset.digest),
        transcript=session.transcript,
    )
    provider = manifest.parties[asset.provider]
    if not signingkey.verify(provider, signature, message):
        raise CallRefusal(
            Reason.WRONG_CONSENT,
            f"{asset.name}: the consent is invalid for SHA-256 {asset.digest}, this manifest and this session.",
            asset=asset.name,
        )
    return Consent(asset.name, asset.digest, asset.provider, session.transcript, signature)


def event_detail(consent: Consent) -> dict[str, str]:
    """The detail of a consent's event."""
    return {
        "asset": consent.asset,
        "digest": consent.digest,
        "party": consent.party,
        "transcript": canonical.to_base64(consent.transcript),
        "consent": canonical.to_base64(consent.signature),
    }


class Consents:
    """All consents of this boot. Not thread-safe: the caller holds a lock."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._counted: set[tuple[str, str]] = set()
        self._kept: dict[str, Consent] = {}

    def is_new(self, asset: str, session: BoundSession, *, assets: int) -> bool:
        """Return whether the session must yet consent to ``asset``, one of ``assets``. Raises CallRefusal LOG_FULL."""
        if (session.id, asset) in self._counted:
            return False
        before = sum(name == asset for _, name in self._counted)
        # Equal shares: no provider can use up the consents of another provider's asset.
        if before >= min(self._limits.consents_per_asset, max(1, self._limits.consents // assets)):
            raise CallRefusal(
                Reason.LOG_FULL, f"{asset}: too many uploads were started. Reset the machine to start again."
            )
        return True

    def keep(self, consent: Consent, session: BoundSession) -> None:
        """Keep a consent. It replaces an earlier one to the same asset."""
        self._counted.add((session.id, consent.asset))
        self._kept[consent.asset] = consent

    def all(self) -> tuple[Consent, ...]:
        """The last consent to each asset, sorted by the asset's name."""
        return tuple(self._kept[name] for name in sorted(self._kept))
