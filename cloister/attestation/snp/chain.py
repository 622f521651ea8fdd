"""The chain of the key that signed a report: ARK to ASK to VCEK, or ARK to ASVK to VLEK.

Each product line has its own root (ARK), which is pinned. It signs itself and two signing keys (AMD publication 57230):
ASK for VCEKs and ASVK for VLEKs. Neither signs for the other, nor for another product line.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cloister.attestation.result.verdict import Recorder
from cloister.attestation.snp.certificates import EndorsementCertificate
from cloister.attestation.snp.checks import TOO_OLD
from cloister.attestation.snp.policy import SnpPolicy
from cloister.attestation.snp.report import SigningKey
from cloister.attestation.x509 import crl
from cloister.attestation.x509.certificate import Certificate, find_path
from cloister.attestation.x509.roots import Anchor
from cloister.protocol import canonical

_ISSUERS = {SigningKey.VCEK: "SEV-{line}", SigningKey.VLEK: "SEV-VLEK-{line}"}


@dataclass(frozen=True)
class Chain:
    """``signer`` is ASK or ASVK, ``root`` the ARK whose key is pinned."""

    leaf: EndorsementCertificate
    signer: Certificate
    root: Certificate

    def expired_at(self, at: datetime) -> str:
        """The first certificate that is not valid at ``at``, with its dates; empty if all are valid."""
        named = ((self.leaf.kind.name, self.leaf), ("its signer", self.signer), ("the root", self.root))
        for name, one in named:
            if not one.not_before <= at <= one.not_after:
                period = f"from {canonical.to_time(one.not_before)} to {canonical.to_time(one.not_after)}"
                return f"{name} is valid {period}"
        return ""


def find_chain(
    leaf: EndorsementCertificate, issuers: Sequence[Certificate], anchors: Sequence[Anchor]
) -> tuple[Chain | None, str]:
    """The chain from ``leaf`` to the root of its product line among ``anchors``, or None and why not.

    ``check_period`` and ``check_revocation`` check validity periods and revocation.
    """
    line = leaf.amd.product_line
    if line is None:
        return None, f"the certificate is for {leaf.amd.product_name!r}, which is not a known product line"
    wanted = _ISSUERS[leaf.kind].format(line=line)
    if leaf.issuer_name != wanted:
        return None, f"the certificate's issuer is {leaf.issuer_name}, must be {wanted}"
    anchor = next((anchor for anchor in anchors if anchor.name == f"ARK-{line}"), None)
    if anchor is None:
        return None, f"no root key of {line} is pinned"
    reason = f"no certificate of {wanted} is present"
    for signer in issuers:
        if signer.subject != leaf.issuer:
            continue
        if not signer.is_ca or not signer.may_sign_certificates:
            reason = f"a certificate of {wanted} is not a certificate authority"
        elif not leaf.signed_by(signer):
            reason = f"the certificate is not signed by the key of {wanted}"
        else:
            # Only its issuer: a folder may have many certificates of other vendors and lines.
            roots = [one for one in issuers if one.subject == signer.issuer]
            path, why = find_path(signer, roots, anchor.spki_sha256, longest=2)
            if path is not None:
                return Chain(leaf, *path), ""
            reason = why
    return None, reason


def lacks_issuers(leaf: EndorsementCertificate, issuers: Sequence[Certificate], anchors: Sequence[Anchor]) -> bool:
    """Whether a chain is missing only because certificates of its authorities are absent."""
    line = leaf.amd.product_line
    pinned = {anchor.spki_sha256 for anchor in anchors if anchor.name == f"ARK-{line}"}
    if not pinned or leaf.issuer_name != _ISSUERS[leaf.kind].format(line=line):
        return False
    signers = any(one.subject == leaf.issuer for one in issuers)
    return not signers or not any(one.fingerprint() in pinned for one in issuers)


def check_period(checks: Recorder, chain: Chain | None, at: datetime) -> None:
    """All three certificates are valid at ``at``."""
    if chain is None:
        checks.not_applicable("snp-validity", "there is no chain whose certificates could be checked")
        return
    expired = chain.expired_at(at)
    when = canonical.to_time(at)
    checks.record("snp-validity", not expired, f"valid at {when}", expired or f"all three are valid at {when}")


def check_revocation(
    checks: Recorder, chain: Chain | None, lists: Sequence[crl.RevocationList], section: SnpPolicy, at: datetime
) -> str:
    """The root's revocation list is present and current and names neither authority. Returns its dates, or nothing.

    Every list that the root signed can revoke, even an expired one; only a current one shows that no newer list was
    withheld.
    """
    if chain is None:
        for name in ("snp-crl", "snp-revocation"):
            checks.not_applicable(name, "there is no chain whose certificates could be revoked")
        return ""
    current, why = crl.current(lists, chain.root, at)
    if current is not None:
        checks.use(current)
    wanted = f"a list signed by the root and current at {canonical.to_time(at)}"
    days = section.max_crl_age_days
    if current is not None and days is not None:
        wanted += f", at most {days} days old"
        fresh = (at - current.this_update).total_seconds() <= days * 86400
        if fresh:
            checks.record("snp-crl", True, wanted, current.period())
        else:
            checks.fail("snp-crl", wanted, current.period(), TOO_OLD)
    elif current is not None:
        checks.record("snp-crl", True, wanted, current.period())
    elif section.require_crl:
        checks.record("snp-crl", False, wanted, why)
    else:
        checks.not_applicable("snp-crl", f"the policy does not require a revocation list; {why}")
    revoked = [
        name
        for name, certificate in (("the signing authority", chain.signer), ("the root", chain.root))
        if crl.revoked(lists, chain.root, certificate.parsed.serial_number)
    ]
    if current is None and not revoked:
        checks.not_applicable("snp-revocation", "there is no current list that could name a certificate")
    else:
        found = f"{' and '.join(revoked)} revoked" if revoked else "none of them"
        checks.record("snp-revocation", not revoked, "no certificate of the chain is revoked", found)
    return current.period() if current else ""
