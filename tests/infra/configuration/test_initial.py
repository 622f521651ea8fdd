"""The first configuration of a workspace."""

import pytest

from cloister.errors import InputError
from infra.configuration import initial
from infra.configuration.validation import ConfigurationError

UUID = "11111111-2222-4333-8444-555555555555"
AZURE = {
    "backend": "azure",
    "image": "base",
    "cvm": "trainer",
    "memory": "16GiB",
    "vcpus": 4,
    "tee": "sev-snp",
    "zone": "1",
    "ingress": "198.51.100.0/24, 203.0.113.7/32",
    "endpoint": "public",
    "registry": "main",
    "subscription": UUID,
    "tenant": UUID,
    "location": "westeurope",
}


def test_local_workspace_needs_no_options():
    found = initial.settings(
        "lab", {"backend": "local", "image": "base", "cvm": "trainer", "memory": "4GiB", "vcpus": 2}
    )
    assert found == {
        "backend": "local",
        "image": "base",
        "cvms[0].name": "trainer",
        "cvms[0].memory": "4GiB",
        "cvms[0].vcpus": 2,
    }


def test_zero_processors_are_rejected():
    with pytest.raises(ConfigurationError) as caught:
        initial.settings("lab", {"image": "base", "cvm": "trainer", "vcpus": 0, "port": 0})
    assert caught.value.problems == ("--vcpus: must be an integer from 1 to 64, not 0.",)


def test_azure_workspace_has_its_section():
    assert initial.settings("lab", AZURE | {"port": 0, "project": "", "region": ""}) == {
        "backend": "azure",
        "image": "base",
        "azure.subscription": UUID,
        "azure.tenant": UUID,
        "azure.location": "westeurope",
        "azure.registry": "organization/cloister-registry/main",
        "cvms[0].name": "trainer",
        "cvms[0].memory": "16GiB",
        "cvms[0].vcpus": 4,
        "cvms[0].tee": "sev-snp",
        "cvms[0].zone": "1",
        "ingress[0]": "198.51.100.0/24",
        "ingress[1]": "203.0.113.7/32",
        "endpoint": "public",
    }


def test_missing_options_are_reported_before_a_stack_is_created():
    with pytest.raises(ConfigurationError) as caught:
        initial.settings("lab", {"backend": "gcp", "image": "base", "cvm": "trainer", "project": "my-project"})
    assert caught.value.problems == (
        "--ingress: is missing.",
        "--tee: is missing.",
        "--zone: is missing.",
        "--region: is missing.",
        "--registry: is missing.",
    )


def test_options_of_another_backend_are_rejected():
    with pytest.raises(ConfigurationError) as caught:
        initial.settings("lab", AZURE | {"project": "my-project"})
    assert caught.value.problems == ("--project: applies to gcp only, and the backend is azure. Omit it.",)
    with pytest.raises(ConfigurationError) as caught:
        initial.settings("lab", {"image": "base", "cvm": "trainer", "registry": "main", "tenant": UUID})
    assert caught.value.problems == (
        "--registry: applies to azure and gcp only, and the backend is local. Omit it.",
        "--tenant: applies to azure only, and the backend is local. Omit it.",
    )


def test_backend_alone_reports_the_options_it_needs():
    with pytest.raises(ConfigurationError) as caught:
        initial.settings("lab", {"backend": "azure", "image": "base", "cvm": "trainer", "memory": "4GiB", "vcpus": 2})
    missing = ("ingress", "tee", "subscription", "tenant", "location", "registry")
    assert caught.value.problems == tuple(f"--{option}: is missing." for option in missing)


def test_error_names_the_option():
    wrong = {"vcpus": 5000, "memory": "much", "cvm": "No", "ingress": "here, 10.0.0.0/8", "endpoint": "open"}
    with pytest.raises(ConfigurationError) as caught:
        initial.settings("lab", AZURE | wrong)
    assert {problem.partition(":")[0] for problem in caught.value.problems} == {f"--{option}" for option in wrong}


def test_invalid_backend_is_the_only_error():
    with pytest.raises(InputError) as caught:
        initial.settings("lab", {"backend": "aws", "image": "base", "cvm": "trainer"})
    assert caught.value.message == "Invalid backend 'aws': must be one of local, azure, gcp."
