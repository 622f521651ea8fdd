"""A hostile disk or host: each case ends as the table says (`cases.py`, docs/hostile-host.md)."""

from pathlib import Path

import pytest

from cloister.attestation.tpm.structures import QUOTED_PCRS
from cloister.protocol.imagemanifest import replayed
from image.build import output
from image.secureboot import keys, prediction, signing
from infra.configuration import image
from infra.configuration.image import Image
from tests.e2e.hostile.cases import CASES, Case, Detected, NoBoot
from tests.e2e.hostile.host import HostileHost

pytestmark = [pytest.mark.vm, pytest.mark.hostile]

_RUNTIME_LOG = 15
_NOT_APPLICABLE = "not-applicable"


@pytest.fixture(scope="session")
def signed_image(base_image: Image, tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The image, signed with new keys, beside a copy of it."""
    folder = tmp_path_factory.mktemp("signed")
    keys.create(folder / "keys", "Test")
    copy = folder / "base"
    copy.symlink_to(base_image.folder)
    signing.sign(copy, folder / "keys")
    return image.find(str(signing.folder(copy) / output.MANIFEST))


@pytest.fixture(scope="session")
def genuine(
    base_image: Image, signed_image: Image, tmp_path_factory: pytest.TempPathFactory
) -> dict[bool, tuple[bytes, ...]]:
    """The registers of a machine whose host changes nothing, with Secure Boot and without."""
    found = {}
    for started in (base_image, signed_image):
        with HostileHost.create(tmp_path_factory.mktemp("genuine"), started) as host:
            host.boot(console=True)
            with host.attest() as opening:
                assert opening.verdict.accepted, opening.verdict.failures
                found[started.signed] = tuple(opening.verdict.claims.pcrs[index] for index in QUOTED_PCRS)
    return found


def test_registers_are_as_predicted_with_secure_boot_and_without(
    base_image: Image, signed_image: Image, genuine: dict[bool, tuple[bytes, ...]]
) -> None:
    off, on = ({4: found[4], 7: found[7]} for found in (genuine[False], genuine[True]))

    assert off == {
        4: bytes.fromhex(base_image.manifest.pcrs[4]),
        7: bytes.fromhex(replayed(prediction.secure_boot(None, enabled=None))),
    }
    assert signed_image.statement is not None
    assert {index: value.hex() for index, value in on.items()} == signed_image.statement.pcrs


@pytest.mark.parametrize("name", CASES)
def test_hostile_boot_ends_as_the_table_says(
    name: str, base_image: Image, signed_image: Image, genuine: dict[bool, tuple[bytes, ...]], tmp_path: Path
) -> None:
    case = CASES[name]
    with HostileHost.create(tmp_path, signed_image if case.secure else base_image) as host:
        _boot(case, host, genuine[case.secure])


def _boot(case: Case, host: HostileHost, genuine: tuple[bytes, ...]) -> None:
    changed = case.change(host.image, host.folder)
    if isinstance(case.outcome, NoBoot):
        assert host.refused(says=case.outcome.says, **changed) == case.outcome.after
        return
    host.boot(console=True, **changed)
    with host.attest() as opening:
        verdict = opening.verdict
    if isinstance(case.outcome, Detected):
        assert tuple(check.name for check in verdict.failures) == case.outcome.checks
        return
    assert verdict.accepted, verdict.failures
    differing = [
        index for index in QUOTED_PCRS if index != _RUNTIME_LOG and verdict.claims.pcrs[index] != genuine[index]
    ]
    assert differing == list(case.outcome.unjudged)
    for index in differing:
        (check,) = (one for one in verdict.checks if one.name == f"pcr-{index}")
        assert check.outcome == _NOT_APPLICABLE
        assert check.found == verdict.claims.pcrs[index].hex()
