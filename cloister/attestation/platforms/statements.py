"""The checks of what others state about the image: its builders, and its publisher.

Statements come from the party itself, never from the machine. Signatures are verified here, under the keys that the
policy names; a statement of anyone else has no effect.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from cloister.attestation.collateral.usable import UsableCollateral
from cloister.attestation.policy.images import ImageReference
from cloister.attestation.policy.policy import Policy
from cloister.attestation.policy.statements import BuildersPolicy, PublisherPolicy
from cloister.attestation.result.verdict import Recorder
from cloister.attestation.statements.checks import UNLISTED, WITHDRAWN
from cloister.attestation.statements.lifecycle import ImageStatus, ListedImage
from cloister.attestation.statements.newest import Newest, newest
from cloister.attestation.statements.provenance import Provenance
from cloister.attestation.statements.statement import ImageStatement
from cloister.protocol import canonical, signingkey

CLOCKS = timedelta(minutes=5)
"""How far a publisher's clock may be ahead of the party's."""

_NO_IMAGE = "the machine has not booted an image that the policy names"


def check_statements(
    checks: Recorder,
    image: ImageReference | None,
    policy: Policy,
    collateral: UsableCollateral,
    at: datetime,
    *,
    live: bool,
) -> None:
    """Records the three checks for the image that matched, None if none did.

    ``live``: the appraisal is for a session now, so that no statement can be from later.
    """
    for name, demanded in (
        ("image-builders", policy.builders is not None),
        ("image-lifecycle", policy.publisher is not None),
        ("image-age", policy.publisher is not None and policy.publisher.maximum_age_days is not None),
    ):
        if not demanded:
            checks.not_applicable(name, "your policy does not demand it")
        elif image is None:
            checks.not_applicable(name, _NO_IMAGE)
    if image is None:
        return
    if policy.builders is not None:
        _check_builders(checks, image, policy.builders, collateral.statements())
    if policy.publisher is not None:
        _check_publisher(checks, image, policy.publisher, collateral, at, live)


def _check_builders(
    checks: Recorder, image: ImageReference, policy: BuildersPolicy, statements: Sequence[ImageStatement]
) -> None:
    found: list[str] = []
    others: list[str] = []
    for name, key in policy.keys.items():
        digests = {_made(one, key): one for one in statements}
        digests.pop(None, None)
        if image.manifest_digest in digests:
            found.append(name)
            checks.use(digests[image.manifest_digest])
        elif digests:
            others += [f"{name} states another image, {digest.hex()}" for digest in list(digests)[-1:] if digest]
    checks.record(
        "image-builders",
        len(found) >= policy.required,
        f"statements of {_of(policy)} about the image {image.manifest_digest.hex()}",
        "; ".join([", ".join(found) or "none", *others]),
    )


def _of(policy: BuildersPolicy) -> str:
    """The builders who are demanded, in words."""
    names = ", ".join(policy.keys)
    return names if policy.required == len(policy.keys) else f"at least {policy.required} of these: {names},"


def _made(statement: ImageStatement, key: bytes) -> bytes | None:
    """The image that the builder with this key states to have made; None for a statement of someone else.

    SLSA v1.1, "Verifying artifacts", step 1: the key has signed it, and the builder that it names is the key's.
    """
    stated = statement.stated
    if not isinstance(stated, Provenance) or stated.builder != signingkey.key_id(key) or not statement.signed_by(key):
        return None
    return stated.manifest_digest


def _check_publisher(
    checks: Recorder,
    image: ImageReference,
    policy: PublisherPolicy,
    collateral: UsableCollateral,
    at: datetime,
    live: bool,
) -> None:
    seen = newest(collateral.seen_statements(), policy.key)
    given = newest(collateral.statements(), policy.key)
    digest = image.manifest_digest.hex()
    last = f" and not older than the last one seen (counter {seen.life.counter})" if seen else ""
    expected = f"a statement of {policy.name}, valid at {_time(at)}{last}, with the image {digest} as current"
    if given is None:
        checks.record("image-lifecycle", False, expected, "no statement that its key has signed")
        _judge_age(checks, policy, None, at)
        return
    life = given.life
    checks.use(given.statements[0])
    problem = _problem(given, seen, at, live)
    listed = life.images.get(digest)
    found = f"counter {life.counter}, issued {_time(life.issued)}, expires {_time(life.expires)}"
    if problem:
        checks.record("image-lifecycle", False, expected, f"{found}: {problem}")
    elif listed is None:
        checks.fail("image-lifecycle", expected, f"{found}, which does not list the image", UNLISTED)
    elif listed.status is not ImageStatus.CURRENT:
        checks.fail("image-lifecycle", expected, f"{found}, with the image as {listed.status}", WITHDRAWN)
    else:
        checks.record("image-lifecycle", True, expected, f"{found}, with the image as current")
    _judge_age(checks, policy, None if problem else listed, at)


def _judge_age(checks: Recorder, policy: PublisherPolicy, listed: ListedImage | None, at: datetime) -> None:
    if policy.maximum_age_days is None:
        return  # recorded as not demanded
    if listed is None:
        checks.not_applicable("image-age", "no usable statement of the publisher says how old the image is")
        return
    age = at - listed.indexed
    checks.record(
        "image-age",
        age <= timedelta(days=policy.maximum_age_days),
        f"an index of Debian that is at most {policy.maximum_age_days} days old",
        f"the index of {_time(listed.indexed)}, {max(age, timedelta()).days} days before",
    )


def _problem(given: Newest, seen: Newest | None, at: datetime, live: bool) -> str:
    """What is wrong with the newest statement that the party has; empty if nothing is."""
    life = given.life
    if len(given.digests) > 1:
        return "two different statements have this counter"
    if seen is not None and seen.life.counter > life.counter:
        return "older than the last one seen"
    if seen is not None and seen.life.counter == life.counter and given.digests != seen.digests:
        return "another statement with this counter was seen before"
    if live and life.issued > at + CLOCKS:
        return "issued in the future"
    return "expired" if life.expires <= at else ""


def _time(moment: datetime) -> str:
    return canonical.to_time(moment)
