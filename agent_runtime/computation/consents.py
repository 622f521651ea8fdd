"""The providers' consents: each is checked, counted against its asset's share, and kept for the receipt."""

from agent_runtime.errors import Reason, Refusal
from agent_runtime.limits import Limits
from agent_runtime.rpc.session import Session
from cloister.protocol import canonical, transcript
from cloister.protocol.manifest import Asset, Manifest
from cloister.protocol.receipt import Consent

_MAX_SIGNATURE = 1024


def verified_consent(asset: Asset, signature: bytes, manifest: Manifest, session: Session) -> Consent:
    """The consent that ``signature`` gives. Raises Refusal WRONG_CONSENT when it is not its provider's, or to this."""
    message = transcript.consent_message(
        manifest_digest=manifest.digest(),
        asset=asset.name,
        asset_digest=bytes.fromhex(asset.digest),
        transcript=session.transcript,
    )
    provider = manifest.parties[asset.provider]
    if len(signature) > _MAX_SIGNATURE or not transcript.verify(provider, signature, message):
        raise Refusal(
            Reason.WRONG_CONSENT,
            f"The consent is not for {asset.name} with SHA-256 {asset.digest} under this manifest in this session.",
            asset=asset.name,
        )
    return Consent(asset.name, asset.digest, asset.provider, session.transcript, signature)


def event_detail(consent: Consent) -> dict[str, str]:
    """A consent as the event log has it."""
    return {
        "asset": consent.asset,
        "digest": consent.digest,
        "party": consent.party,
        "transcript": canonical.to_base64(consent.transcript),
        "consent": canonical.to_base64(consent.signature),
    }


class Consents:
    """All that were given in this machine's life. Whoever calls sees to it that one call is made at a time."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._counted: set[tuple[str, str]] = set()
        self._kept: dict[str, Consent] = {}

    def is_new(self, asset: str, session: Session, *, assets: int) -> bool:
        """Whether it would be this session's first to one of so many assets. Raises Refusal LOG_FULL."""
        if (session.id, asset) in self._counted:
            return False
        before = sum(name == asset for _, name in self._counted)
        # Equal shares: nobody can use up what another provider's asset has.
        if before >= min(self._limits.consents_per_asset, max(1, self._limits.consents // assets)):
            raise Refusal(Reason.LOG_FULL, f"{asset} was begun too often; reset the machine to start afresh.")
        return True

    def keep(self, consent: Consent, session: Session) -> None:
        """The newest consent to an asset stands for it."""
        self._counted.add((session.id, consent.asset))
        self._kept[consent.asset] = consent

    def all(self) -> tuple[Consent, ...]:
        """One for each asset that was consented to, in the order of their names."""
        return tuple(self._kept[name] for name in sorted(self._kept))
