"""Fixtures: a machine of the platform `local`, and the digest of its image."""

import pytest

from cloister.attestation.testkit import LocalMachine
from tests.attestation.platforms.test_local import AT, MANIFEST


@pytest.fixture(scope="module")
def machine() -> LocalMachine:
    return LocalMachine.create(AT, manifest_digest=MANIFEST)


@pytest.fixture(scope="module")
def image(machine: LocalMachine) -> bytes:
    return machine.image().manifest_digest
