"""The cloud of a VLEK by its name in AMD's certificate, its host name, or its region."""

import pytest

from cloister.attestation.snp import clouds


@pytest.mark.parametrize(
    ("cloud", "names"),
    [
        (
            "CN=cc-us-east-2.amazonaws.com",
            ("CN=cc-us-east-2.amazonaws.com", "cc-us-east-2.amazonaws.com", "us-east-2"),
        ),
        (
            "CN=cc-us-gov-west-1.amazonaws.com",
            ("CN=cc-us-gov-west-1.amazonaws.com", "cc-us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ),
        ("CN=cloud.example", ("CN=cloud.example", "cloud.example")),
        ("cc-us-east-2.amazonaws.com", ("cc-us-east-2.amazonaws.com",)),
        (
            "CN=cc-us-east-2.amazonaws.com.example",
            ("CN=cc-us-east-2.amazonaws.com.example", "cc-us-east-2.amazonaws.com.example"),
        ),
        ("CN=cc-us-east-2.amazonaws.com\n", ("CN=cc-us-east-2.amazonaws.com\n", "cc-us-east-2.amazonaws.com\n")),
        ("absent", ("absent",)),
    ],
)
def test_region_is_that_of_amazons_own_names_only(cloud: str, names: tuple[str, ...]) -> None:
    assert clouds.names(cloud) == names
