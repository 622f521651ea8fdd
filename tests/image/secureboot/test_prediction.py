"""What Secure Boot measures, as literal values.

The tests that boot a VM (tests/e2e) compare the formulas with firmware.
"""

from dataclasses import replace

import pytest

from cloister.protocol.imagemanifest import replayed
from image.build import measure
from image.secureboot import authenticode, prediction
from image.secureboot.keys import Certificates, Signer
from tests.image.build.test_measure import small_uki
from tests.image.secureboot.test_enrolment import EFITOOLS

_KEYS = Certificates.load(EFITOOLS)


@pytest.mark.parametrize(
    ("keys", "enabled", "value"),
    [
        (None, None, "b5710bf57d25623e4019027da116821fa99f5c81e9e38b87671cc574f9281439"),
        (None, False, "65caf8dd1e0ea7a6347b635d2b379c93b9a1351edc2afc3ecda700e534eb3068"),
        (_KEYS, False, "f9401d5be1111c2f820c45a725d24a42ece199270da3e0d17f778e0437d749df"),
        (_KEYS, True, "a4e62482babf033b987923e007cdae9697d0d8a7e1d50039b92f4d30df37bc6f"),
    ],
)
def test_the_values_of_pcr_7_are_known(keys: Certificates | None, enabled: bool | None, value: str) -> None:
    assert replayed(prediction.secure_boot(keys, enabled=enabled)) == value


def test_events_of_a_firmware_that_started_a_signed_image() -> None:
    events = prediction.secure_boot(_KEYS, enabled=True)

    assert [event.event for event in events] == [
        "EV_EFI_VARIABLE_DRIVER_CONFIG: SecureBoot",
        "EV_EFI_VARIABLE_DRIVER_CONFIG: PK",
        "EV_EFI_VARIABLE_DRIVER_CONFIG: KEK",
        "EV_EFI_VARIABLE_DRIVER_CONFIG: db",
        "EV_EFI_VARIABLE_DRIVER_CONFIG: dbx",
        "EV_SEPARATOR: 00000000",
        "EV_EFI_VARIABLE_AUTHORITY: db",
    ]


@pytest.mark.parametrize("name", ["pk", "kek", "db"])
def test_each_key_decides_pcr_7(name: str) -> None:
    other = replace(_KEYS, **{name: getattr(_KEYS, name)[:-1] + b"\0"})

    assert replayed(prediction.secure_boot(other, enabled=True)) != replayed(
        prediction.secure_boot(_KEYS, enabled=True)
    )


def test_signature_and_its_key_change_no_other_register(signer: Signer) -> None:
    uki = small_uki()
    signed = authenticode.sign(uki, signer)

    assert measure.predict(signed) == measure.predict(uki)
    assert prediction.signed(signed, _KEYS) == prediction.signed(uki, _KEYS)
    off, on = measure.predict(uki)[4], prediction.signed(uki, _KEYS)[4]
    assert on == off[:-1]


@pytest.fixture
def signer() -> Signer:
    return Signer.load(EFITOOLS, "KEK")
