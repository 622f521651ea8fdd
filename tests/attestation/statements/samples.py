"""Statements of builders and a publisher, and policies that demand them."""

import dataclasses
import functools
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ed25519

from cloister.attestation.collateral_source import SEEN_STATEMENT, STATEMENT, Collateral, InMemory
from cloister.attestation.policy.policy import Policy
from cloister.attestation.policy.statements import BuildersPolicy, PublisherPolicy
from cloister.attestation.statements.lifecycle import ImageStatus, LifeCycle, ListedImage
from cloister.attestation.statements.provenance import Dependency, Provenance
from cloister.client.collateral.sources import Combined
from cloister.protocol import dsse
from cloister.protocol.signingkey import PrivateKey, key_id, spki_of

LAB, CLINIC, OTHER_LAB, PUBLISHER = (ed25519.Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in range(1, 5))
DAY = timedelta(days=1)


def public(key: PrivateKey) -> bytes:
    return spki_of(key.public_key())


def provenance(image: bytes, key: PrivateKey, **changes: Any) -> Provenance:
    """What the builder with ``key`` states of the image with this manifest digest."""
    made = Provenance(
        "base",
        {"manifest.json": image.hex(), "uki.efi": "ab" * 32},
        (Dependency("lock", "cd" * 32), Dependency("libc6", "ef" * 32, "pkg:deb/debian/libc6@2.41?arch=amd64")),
        key_id(public(key)),
        datetime.fromisoformat("2026-02-01T00:00:00+00:00"),
    )
    return dataclasses.replace(made, **changes)


def signed(stated: Provenance | LifeCycle, key: PrivateKey) -> bytes:
    return dsse.sign(stated.payload(), key)


def built(image: bytes, key: PrivateKey, **changes: Any) -> bytes:
    return signed(provenance(image, key, **changes), key)


def life(image: bytes, at: datetime, **changes: Any) -> LifeCycle:
    """A statement of the day before ``at``, with the image as current; its packages are of the week before."""
    status = changes.pop("status", ImageStatus.CURRENT)
    indexed = changes.pop("indexed", at - 8 * DAY)
    listed = {image.hex(): ListedImage("base", status, indexed)}
    return dataclasses.replace(LifeCycle(7, at - DAY, at + 30 * DAY, listed), **changes)


def brought(*statements: bytes, seen: tuple[bytes, ...] = (), besides: Collateral | None = None) -> Collateral:
    """What the party has, besides other collateral."""
    own = InMemory({STATEMENT: statements, SEEN_STATEMENT: seen})
    return Combined((own, besides)) if besides is not None else own


def builders(required: int = 1, **keys: PrivateKey) -> BuildersPolicy:
    return BuildersPolicy(required, {name: public(key) for name, key in (keys or {"lab": LAB}).items()})


def publisher(days: int | None = None) -> PublisherPolicy:
    return PublisherPolicy("team", public(PUBLISHER), days)


def without_builder(policy: Policy, at: datetime) -> tuple[Policy, tuple[bytes, ...]]:
    return dataclasses.replace(policy, builders=builders()), ()


def without_publisher(policy: Policy, at: datetime) -> tuple[Policy, tuple[bytes, ...]]:
    return dataclasses.replace(policy, publisher=publisher()), ()


def too_old(policy: Policy, at: datetime) -> tuple[Policy, tuple[bytes, ...]]:
    stated = signed(life(policy.images[0].manifest_digest, at), PUBLISHER)
    return dataclasses.replace(policy, publisher=publisher(7)), (stated,)


FAULTS: dict[str, Callable[[Policy, datetime], tuple[Policy, tuple[bytes, ...]]]] = {
    "image-builders": without_builder,
    "image-lifecycle": without_publisher,
    "image-age": too_old,
}
"""For each check the policy and the statements with which it fails, and nothing else does."""


def shared(good: Any) -> dict[str, Callable[[], Any]]:
    """The cases of these checks; ``good`` is a case in which nothing fails."""

    def case(name: str) -> Any:
        policy, statements = FAULTS[name](good.policy, good.at)
        return good.but(policy=policy, collateral=brought(*statements, besides=good.collateral))

    return {name: functools.partial(case, name) for name in FAULTS}


def cases(good: Callable[[Any], Any]) -> dict[str, Callable[[Any], Any]]:
    """The cases of these checks for a platform; ``good`` makes the case in which nothing fails."""
    return {name: lambda machine, name=name: shared(good(machine))[name]() for name in FAULTS}
